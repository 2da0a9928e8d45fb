r"""`SpectrumTracker`: watch a self-supervised model learn one direction after the other, and say whether to wait."""

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from solvable.checks import choice, one_number, whole
from solvable.errors import InputError
from solvable.stepwise.assessment import TrainingVerdict, assess
from solvable.stepwise.growth import Forecast
from solvable.stepwise.history import History, Step
from solvable.stepwise.spectrum import StreamedCovariance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Effective ranks need two more decompositions, and change slowly.
_METRICS_EVERY = 25
# Rows scaled to length 1 in bfloat16 have it to within this.
_ROUNDED = 0.02


class TrackerWarning(UserWarning):
    """A batch that a `SpectrumTracker` cannot use; training goes on without it."""


class _UnusableError(Exception):
    """A batch that cannot be used: the reason, by which they are counted, and details."""


class SpectrumTracker:
    r"""Record the spectrum of embeddings while a model trains: `tracker.update(z_a, z_b)` in any torch loop.

    The eigenvalues of the cross-correlation of two views (of the covariance, for one view) tell how many directions
    are learned. Those that are not grow exponentially, so the time of the next one can be forecast while the loss is
    still flat. An update reads the embeddings and nothing else: no gradient, no random numbers, no communication
    between devices, and no exception for a bad batch, which is left out with a warning. Use it from one thread.

    Args:
        dim: d, number of dimensions of an embedding.
        window: number of rows behind a spectrum, older ones being forgotten; by default 6 d, at least 1024.
        every: number of updates from one spectrum to the next.
        level: eigenvalue of a learned direction; by default 1, as in Barlow Twins and VICReg, unless the large
            eigenvalues come to rest elsewhere, as they do under normalised losses and InfoNCE.
        center: whether the mean embedding is subtracted, as in nearly all losses.
        normalize: what the loss divides embeddings by, if they are given before that: `dimensions` for the standard
            deviation of each over the batch, as in Barlow Twins, or `rows` for the length of each embedding, as in
            SimCLR, CLIP and DINO.

    Attributes:
        steps: the directions learned so far, each with its step and rate of growth.

    Raises:
        InputError: for numbers out of range.

    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch._C.Generator object at ...>
    >>> tracker = SpectrumTracker(dim=3)
    >>> for step in range(60):  # three directions, of which one grows
    ...     shared = torch.randn(256, 3) * torch.tensor([1.0, 1.0, 1e-3 * 1.1**step])
    ...     tracker.update(shared, shared + 1e-4 * torch.randn(256, 3), step=step)
    >>> verdict = tracker.verdict()
    >>> verdict.state, verdict.learned, 63 < verdict.forecast.step < 73
    ('learning', 2, True)
    """

    def __init__(
        self,
        dim: int,
        window: int | None = None,
        every: int = 1,
        *,
        level: float | None = None,
        center: bool = True,
        normalize: Literal["dimensions", "rows"] | None = None,
    ) -> None:
        self.dim = whole("dim", dim, at_least=1)
        self.window = max(6 * self.dim, 1024) if window is None else whole("window", window, at_least=2)
        self.every = whole("every", every, at_least=1)
        self.level = None if level is None else one_number("level", level, above=0)
        self.normalize = None if normalize is None else choice("normalize", normalize, ("dimensions", "rows"))
        self._covariance = StreamedCovariance(self.dim, self.window, center)
        standardised = self.normalize == "dimensions"
        # Standardised, a learned direction has an eigenvalue of at least 1.
        level = 1.0 if self.level is None and standardised else self.level
        self._history = History(self.dim, level, standardised=standardised)
        self._updates = 0
        self._last_step: float | None = None
        self._time = 0.0
        self._two_views = False
        self._identical = True
        self._batch_size = 0
        self._skipped: dict[str, int] = {}
        self._judged: tuple[Any, TrainingVerdict] | None = None
        self._stop_judged = 0, False

    def update(
        self,
        z_a: Any,
        z_b: Any = None,
        *,
        step: float | None = None,
        loss: Any = None,
        learning_rate: float | None = None,
    ) -> None:
        """Take the embeddings of a batch, as they enter the loss.

        Args:
            z_a: embeddings (B, d), or (B, T, d) with T tokens each, of any precision, on any device.
            z_b: embeddings of the other views of the same samples, of the same shape; None for a model with one.
            step: number of the training step over all epochs, not falling; by default one more than at the last update.
                Batches whose gradients are accumulated have the same.
            loss: value of the loss, to recognise what it says when nothing is learned.
            learning_rate: of this step. With a schedule, growth is then measured over the sum of the learning rates,
                and forecasts assume that the present one stays; without, they assume that growth goes on as it was.
        """
        # A bad batch must not end the training, not even with warnings as errors.
        try:
            with torch.inference_mode(False), torch.no_grad():
                self._update(z_a, z_b, step, loss, learning_rate)
            return
        except _UnusableError as error:
            why, details = error.args
        except Exception as error:
            why, details = "of an error", f": {type(error).__name__}: {error}"
        first = why not in self._skipped
        self._skipped[why] = self._skipped.get(why, 0) + 1
        if first:
            with suppress(TrackerWarning):
                text = f"SpectrumTracker left out a batch: {why}{details}"
                warnings.warn(text, TrackerWarning, stacklevel=2)

    def _update(self, z_a: Any, z_b: Any, step: float | None, loss: Any, learning_rate: float | None) -> None:
        last, history = self._last_step, self._history
        now = float(step) if step is not None else 0.0 if last is None else last + 1
        if not np.isfinite(now) or (last is not None and now < last):
            after = "" if last is None else f" after {last:g}"
            raise _UnusableError(
                "steps fall",
                f": got {now:g}{after}; pass the step over all epochs, load the tracker's state with the checkpoint's, "
                "or use a new tracker for a new training",
            )
        if learning_rate is not None:
            if not 0 <= float(learning_rate) < np.inf:
                raise _UnusableError(
                    "the learning rate is out of range", f": got {learning_rate}; expected 0 or more"
                )
            history.pace = float(learning_rate)
        elapsed = history.pace * (1.0 if last is None else now - last)
        self._last_step = now
        self._time = (now if last is None and learning_rate is None else self._time) + (
            elapsed if last is not None else 0.0
        )
        self._updates += 1
        if loss is not None:
            history.losses = {now: float(loss)}
        due = (self._updates - 1) % self.every == 0
        a = self._embeddings(z_a)
        b = None if z_b is None else self._embeddings(z_b)
        if b is not None and b.shape != a.shape:
            raise _UnusableError(
                "the views have different shapes", f": {tuple(a.shape)} and {tuple(b.shape)}"
            )
        self._batch_size = int(np.shape(z_a)[0]) if not isinstance(z_a, Tensor) else z_a.shape[0]
        if len(a) < 2:
            raise _UnusableError("it has one row", "; expected two or more, as one has no covariance")
        # Rows that many further batches will push out of the window before the next spectrum are not needed.
        ahead = (-(self._updates - 1)) % self.every
        if ahead * len(a) >= self.window:
            self._covariance.rows = 0.0
            return
        if not all(_finite(one) for one in (a, b) if one is not None):
            history.not_finite += 1
            raise _UnusableError(
                "embeddings are NaN or infinite", f", first at step {now:g}: lower the learning rate"
            )
        history.not_finite = 0
        if history and self._two_views != (b is not None):
            raise _UnusableError("some have two views and others one", "; expected the same number")
        self._two_views = b is not None
        self._identical = self._identical and b is not None and torch.equal(a, b)
        if self.normalize == "rows":
            a, b = (None if one is None else torch.nn.functional.normalize(one, dim=1) for one in (a, b))
            assert a is not None
        self._covariance.add(a, b, elapsed)
        if due and not (history and now <= history.steps[-1]):
            self._record(now, a)

    def _record(self, now: float, rows: Tensor) -> None:
        covariance, history = self._covariance, self._history
        lengths = torch.linalg.vector_norm(rows.float(), dim=1)
        history.unit_rows = bool((lengths - 1).abs().max() < _ROUNDED)
        history.noise = covariance.rounding
        values = covariance.eigenvalues(history.standardised)
        history.add(now, self._time, covariance.age, covariance.rows, values, covariance.scale())
        if (len(history) - 1) % _METRICS_EVERY == 0:
            history.metrics[now] = covariance.cheap_metrics()

    def _embeddings(self, z: Any) -> Tensor:
        """Return embeddings as rows (n, d).

        Raises:
            _UnusableError: for what is none.
        """
        try:
            tensor = torch.as_tensor(z).detach()
        except (TypeError, ValueError, RuntimeError):
            raise _UnusableError("embeddings are not a tensor", f": got {type(z).__name__}") from None
        fits = tensor.ndim in (2, 3) and tensor.shape[-1] == self.dim and tensor.numel() > 0
        if tensor.is_complex() or not fits:
            got = f"{'complex ' * tensor.is_complex()}{tuple(tensor.shape)}"
            expected = f"(B, {self.dim}) or (B, T, {self.dim})"
            raise _UnusableError("embeddings have another shape", f": {got}; expected {expected}")
        if not tensor.is_floating_point():
            tensor = tensor.float()
        return tensor.reshape(-1, self.dim)

    @property
    def steps(self) -> list[Step]:
        """The directions learned so far, in order."""
        return list(self._history.learned)

    @property
    def should_stop(self) -> bool:
        """Whether more steps of the same training add no direction.

        Cheap enough for every step: it is judged anew when there are 2 % more records.
        """
        recorded, not_finite = self._history.recorded, self._history.not_finite
        at, stop = self._stop_judged
        if recorded - at > recorded // 50 or not_finite or at > recorded:
            stop = self.verdict().should_stop
            self._stop_judged = recorded, stop
        return stop

    def forecast(self) -> Forecast | None:
        """Return when the next direction will be learned, or None if none is seen to grow."""
        return self.verdict().forecast

    def verdict(self, budget: float | None = None) -> TrainingVerdict:
        """Return the state of the training in words: learning, waiting (until when), full, finished, collapsed, ...

        Args:
            budget: last step of the training, to be told if the next direction comes later.
        """
        history = self._history
        skipped = "; ".join(f"{n} batch{'es' * (n > 1)} left out: {why}" for why, n in self._skipped.items())
        key = (
            history.recorded,
            history.not_finite,
            tuple(history.losses.items()),
            skipped,
            budget,
            history.pace,
        )
        if self._judged is None or self._judged[0] != key:
            found = assess(history, self._two_views, self._identical, self._batch_size, skipped, budget)
            self._judged = key, found
        return self._judged[1]

    def __repr__(self) -> str:
        return f"SpectrumTracker(dim={self.dim}, window={self.window}, every={self.every}): {self.verdict().title}"

    def __str__(self) -> str:
        return str(self.verdict())

    def metrics(self) -> dict[str, float]:
        """Return effective rank, participation ratio, RankMe, alpha-ReQ and LiDAR of the embeddings, now.

        LiDAR is that of two views for each source, and NaN with one.

        Raises:
            InputError: before the first update.
        """
        if self._covariance.between is None:
            raise InputError("there are no embeddings yet; expected tracker.update(...) first")
        return self._covariance.cheap_metrics() | {"lidar": self._covariance.lidar()}

    def to_dataset(self) -> xr.Dataset:
        """Return the records: eigenvalues over step and direction, effective ranks, and the learned directions.

        Raises:
            InputError: before the first spectrum.
        """
        history = self._history
        if not len(history):
            raise InputError("there are no records yet; expected tracker.update(...) first")
        names = ("effective_rank", "participation_ratio", "rankme", "alpha_req")
        metrics = {
            name: ("step", [history.metrics.get(step, {}).get(name, np.nan) for step in history.steps])
            for name in names
        }
        learned = np.full(self.dim, np.nan)
        learned[: len(history.learned)] = [one.step for one in history.learned]
        return xr.Dataset(
            {
                "eigenvalue": (("step", "direction"), np.array(history.eigenvalues)),
                "n_learned": ("step", history.counts()),
                "step_time": ("direction", learned),
                **metrics,
            },
            {"step": history.steps, "direction": np.arange(1, self.dim + 1)},
            {"level": history.current_level(), "window": self.window, "views": 2 if self._two_views else 1},
        )

    def plot(self) -> "Figure":
        """Return a figure of the eigenvalues over the steps, with the forecast of the next direction."""
        from solvable.stepwise.drawing import draw_tracker

        return draw_tracker(self.to_dataset(), self.forecast())

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run gives `load_state_dict`: tensors, numbers, lists and dictionaries."""
        return {
            "dim": self.dim,
            "covariance": self._covariance.state_dict(),
            "history": self._history.state_dict(),
            "updates": self._updates,
            "last_step": self._last_step,
            "time": self._time,
            "two_views": self._two_views,
            "identical": self._identical,
            "batch_size": self._batch_size,
            "skipped": dict(self._skipped),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the state of a tracker with the same number of dimensions.

        Raises:
            InputError: for another number of dimensions.
        """
        if not isinstance(state, dict) or not {"dim", "covariance", "history"} <= set(state):
            raise InputError(
                "the state is not that of a SpectrumTracker; expected what tracker.state_dict() returned"
            )
        if state["dim"] != self.dim:
            raise InputError(f"the state is of a tracker with dim={state['dim']}; expected dim={self.dim}")
        self._judged, self._stop_judged = None, (0, False)
        self._covariance.load_state_dict(state["covariance"])
        self._history.load_state_dict(state["history"])
        for name in ("updates", "last_step", "time", "two_views", "identical", "batch_size"):
            setattr(self, f"_{name}", state[name])
        self._skipped = dict(state["skipped"])


def _finite(rows: Tensor) -> bool:
    """Return whether all numbers are finite, and the sum of their squares too, in one pass."""
    dtype = torch.float64 if rows.dtype == torch.float64 else torch.float32
    return bool(torch.isfinite(torch.linalg.vector_norm(rows, dtype=dtype)))
