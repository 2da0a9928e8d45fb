r"""`spectrum_callback`: a `SpectrumTracker` in a Lightning `Trainer`, of either of Lightning's packages."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch

from solvable.errors import InputError, MissingExtraError
from solvable.stepwise.tracker import SpectrumTracker, TrackerWarning

_PACKAGES = "lightning.pytorch", "pytorch_lightning"
# A verdict takes longer than a spectrum once there are hundreds of records.
_JUDGE_EVERY = 10


def spectrum_callback(
    tracker: SpectrumTracker,
    embeddings: Callable[[Any, Any, Any], Any] | str | Sequence[str] = ("z_a", "z_b"),
    *,
    stop: bool = False,
) -> Any:
    r"""Return a Lightning callback that gives the tracker the embeddings of every training batch.

    The step of a batch is the `trainer.global_step` with whose weights it was computed; batches whose gradients are
    accumulated are spread evenly over one step. With each new spectrum `learned_directions`, and now and then
    `effective_rank`, are logged. The tracker's state is kept in Lightning's checkpoints, so that a resumed run goes
    on. What goes wrong in the callback is told in one `TrackerWarning`, and the training goes on.

    Args:
        tracker: a new tracker for each training.
        embeddings: keys of the embeddings in the dictionary that `training_step` returns: two for two views, one for
            one view; or a function of the outputs of `training_step`, the batch and the module that returns them.
        stop: whether the training ends when `tracker.should_stop`; with several processes, when it is so in all.

    Raises:
        InputError: if the tracker is not a `SpectrumTracker`, or `embeddings` neither one or two keys nor a function.
        MissingExtraError: if neither `lightning` nor `pytorch_lightning` is installed.

    >>> from lightning.pytorch import Trainer  # doctest: +SKIP
    >>> tracker = SpectrumTracker(dim=128, every=10)
    >>> trainer = Trainer(callbacks=[spectrum_callback(tracker)])  # doctest: +SKIP
    """
    if not isinstance(tracker, SpectrumTracker):
        raise InputError(f"tracker is a {type(tracker).__name__}; expected a SpectrumTracker")
    if isinstance(embeddings, str):
        embeddings = (embeddings,)
    if not callable(embeddings):
        keys = tuple(embeddings) if isinstance(embeddings, Sequence) else ()
        if len(keys) not in (1, 2) or not all(isinstance(key, str) for key in keys):
            raise InputError(f"embeddings must be one or two keys, or a function; got {embeddings!r}")
        embeddings = keys
    return _with_base()(tracker, embeddings, bool(stop))


class _Watch:
    """What the callback does, whichever package its other base is from."""

    def __init__(self, tracker: SpectrumTracker, embeddings: Any, stop: bool) -> None:
        super().__init__()
        self.tracker, self.embeddings, self.stop = tracker, embeddings, stop
        self._step = -1
        self._batch = 0
        self._batches = 0
        self._warned: set[str] = set()

    @property
    def state_key(self) -> str:
        where = self.embeddings
        name = getattr(where, "__qualname__", type(where).__name__) if callable(where) else "+".join(where)
        return f"SpectrumTracker({name}, dim={self.tracker.dim})"

    def state_dict(self) -> dict[str, Any]:
        return {"tracker": self.tracker.state_dict(), "step": self._step, "batch": self._batch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        try:
            self.tracker.load_state_dict(state_dict["tracker"])
            self._step, self._batch = state_dict["step"], state_dict["batch"]
        except Exception as error:
            self._warn("its state in the checkpoint cannot be read", error)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # Read before the optimizer steps: of the weights with which this batch is computed.
        step = int(trainer.global_step)
        self._batch = self._batch + 1 if step == self._step else 0
        self._step = step

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        before = self._last_record()
        try:
            self._update(trainer, pl_module, outputs, batch)
        except Exception as error:
            self._warn("a batch was left out", error)
        if self._last_record() != before:
            try:
                self._log(pl_module)
            except Exception as error:
                self._warn("nothing is logged", error)
        if self.stop:
            self._stop(trainer)

    @torch.no_grad()
    def _update(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any) -> None:
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
        if loss is None and pl_module.automatic_optimization:
            return  # training_step has skipped the batch by returning None
        # More batches than Lightning accumulates share a step in manual optimization, and after skipped ones.
        accumulated = max(int(trainer.accumulate_grad_batches), self._batch + 1)
        if pl_module.automatic_optimization:
            loss = loss * trainer.accumulate_grad_batches  # by which Lightning has divided it
        z_a, z_b = self._views(outputs, batch, pl_module)
        rates = [one.param_groups[0]["lr"] for one in getattr(trainer, "optimizers", [])]
        self.tracker.update(
            z_a,
            z_b,
            step=self._step + self._batch / accumulated,
            loss=loss,
            learning_rate=float(rates[0]) if rates else None,
        )

    def _views(self, outputs: Any, batch: Any, pl_module: Any) -> tuple[Any, Any]:
        if callable(self.embeddings):
            views = self.embeddings(outputs, batch, pl_module)
            views = views if isinstance(views, (tuple, list)) else (views,)
        else:
            returned = outputs if isinstance(outputs, Mapping) else {}
            if any(key not in returned for key in self.embeddings):
                got = ", ".join(map(repr, returned)) or "nothing"
                raise InputError(
                    f"training_step returned {got}; expected {' and '.join(map(repr, self.embeddings))} too: return "
                    "{'loss': loss, 'z_a': z_a, 'z_b': z_b}, or pass other keys or a function as `embeddings`"
                )
            views = [returned[key] for key in self.embeddings]
        if len(views) not in (1, 2):
            raise InputError(f"the function `embeddings` returned {len(views)} views; expected one or two")
        return views[0], views[1] if len(views) == 2 else None

    def _last_record(self) -> float | None:
        steps = self.tracker._history.steps
        return steps[-1] if steps else None

    def _log(self, pl_module: Any) -> None:
        history = self.tracker._history
        pl_module.log("learned_directions", float(history.counts(last=1)[0]))
        metrics = history.metrics.get(history.steps[-1])
        if metrics is not None:
            pl_module.log("effective_rank", float(metrics["effective_rank"]))

    def _stop(self, trainer: Any) -> None:
        self._batches += 1
        # All processes come here at the same batches, whether or not they could use them: none waits for another.
        if self._batches % (_JUDGE_EVERY * self.tracker.every):
            return
        decided = False
        try:
            decided = self.tracker.should_stop
        except Exception as error:
            self._warn("there is no verdict", error)
        if trainer.strategy.reduce_boolean_decision(decided, all=True):
            trainer.should_stop = True

    def _warn(self, what: str, error: Exception) -> None:
        if what not in self._warned:
            self._warned.add(what)
            why = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            warnings.warn(f"the spectrum callback goes on, but {what}: {why}", TrackerWarning, stacklevel=2)

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made at run time, so pickle (of ddp_spawn) cannot find it by its name.
        return _remade, (self.__dict__,)


def _with_base() -> type:
    """Return the class of the callback, for the package that is in use, or else the first that is installed."""
    for package in sorted(_PACKAGES, key=lambda name: name not in sys.modules):
        try:
            base = import_module(package).Callback
        except ModuleNotFoundError as error:
            if error.name is None or not package.startswith(error.name):
                raise
        else:
            return type("SpectrumCallback", (_Watch, base), {"__module__": __name__})
    raise MissingExtraError(
        "solvable.stepwise.spectrum_callback needs Lightning, which is not installed: pip install lightning"
    )


def _remade(attributes: dict[str, Any]) -> Any:
    callback = object.__new__(_with_base())
    callback.__dict__.update(attributes)
    return callback
