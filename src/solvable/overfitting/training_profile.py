r"""What label noise costs a model epoch by epoch: nets stopped early pass on less of it than those that fit it.

One run to interpolation tells all stopping rules apart: its end is the interpolating net, any epoch before it an early
stopped one, and the best of them what a perfect stopping rule would reach.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, grid, whole
from solvable.datasets.labels import Task as Kind
from solvable.errors import InputError
from solvable.lab.trials import run_trials
from solvable.machine import one_thread
from solvable.overfitting.drawing import draw_training
from solvable.overfitting.estimators import described_over_sizes, warnings_of
from solvable.overfitting.fitting import fresh, naming_failures, quietly, seeded
from solvable.overfitting.label_noise import Channel
from solvable.overfitting.noise_profile import NoiseProfile, estimators_and_task
from solvable.overfitting.profile import FITTED
from solvable.overfitting.stopping import EpochByEpoch, check_trainable
from solvable.overfitting.task import Draw, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# So many epochs are recorded by default: early ones all, later ones in steps of a constant factor.
_N_RECORDED = 25
_DIMS = ("trial", "n_train", "noise_level")

Until = Literal["interpolation"] | None


@dataclass(frozen=True, eq=False)
class TrainingProfile:
    """Errors of a net in training by epoch, noise level and training size; each epoch of it is a `NoiseProfile`.

    Attributes:
        data: dims `trial`, `n_train`, `noise_level`, `epoch`, with `test_error` on clean labels, `train_error` on the
            noisy labels that were trained on, and `seconds` of training up to there; `n_epochs` says where training
            ended, and from there on the last values are carried forward. Attributes as those of a `NoiseProfile`.
    """

    data: xr.Dataset

    @property
    def epochs(self) -> NDArray[np.int64]:
        """The epochs that were recorded, rising."""
        return self.data.epoch.to_numpy()

    @property
    def n_epochs(self) -> xr.DataArray:
        """After how many epochs training ended, dims `trial`, `n_train`, `noise_level`."""
        return self.data.n_epochs

    def at(self, epoch: int) -> NoiseProfile:
        """Return the noise profile of nets that are stopped after so many epochs, all of them.

        Args:
            epoch: one of those recorded.

        Raises:
            InputError: for an epoch that was not recorded.
        """
        if epoch not in self.epochs:
            recorded = ", ".join(str(one) for one in self.epochs)
            raise InputError(f"epoch {epoch!r} was not recorded; expected one of {recorded}")
        one = self._errors.sel(epoch=epoch, drop=True)
        return self._profile(one, f"training was stopped after {epoch} epochs, or earlier where it ended")

    @property
    def final(self) -> NoiseProfile:
        """The noise profile at the end of training: of interpolating nets, where they got there."""
        last = int(self.epochs[-1])
        rule = "until no label was wrong twice in a row, " if self.data.attrs["until"] else ""
        return self._profile(
            self._errors.isel(epoch=-1, drop=True), f"training went on {rule}for at most {last} epochs"
        )

    @property
    def best(self) -> NoiseProfile:
        """The noise profile at the epoch of least *clean* test error, in each trial, size and noise level its own.

        This is an oracle: it looks at the clean test labels, which nobody has who stops a net, and the least of many
        errors is a little too low besides. No stopping rule does better than this. A rule that needs no clean labels is
        `TrainedUntil(estimator, stop="validation")`, measured by `noise_profile`.
        """
        where = self.data.test_error.argmin("epoch")
        return self._profile(
            self._errors.isel(epoch=where).drop_vars("epoch"),
            "training was stopped at the epoch of least error on the clean test labels, in each trial, size and noise "
            "level its own: an oracle, the best that any stopping rule could do",
        )

    def __str__(self) -> str:
        """The profile at the end of training in words, and what the best epoch would have made of it."""
        best = self.best.sensitivity.isel(n_train=-1)
        level = float(best.noise_level[-1])
        return (
            f"At the end of training:\n\n{self.final}\n\nAt the epoch of least clean test error (an oracle), "
            f"{self.final.n_train[-1]} samples, noise level {level:g}: sensitivity {float(best[-1]):.3g}"
        )

    def plot(self) -> "Figure":
        """Draw test error over epochs, one line for each noise level, training error dashed, a panel for each size."""
        return draw_training(self.data)

    @property
    def _errors(self) -> xr.Dataset:
        return self.data[["test_error", "train_error", "seconds"]]

    def _profile(self, data: xr.Dataset, note: str) -> NoiseProfile:
        data = data.transpose(*_DIMS)
        data.attrs = {name: value for name, value in self.data.attrs.items() if name != "until"}
        data.attrs["notes"] = f"{data.attrs['notes']}\n{note}".strip()
        return NoiseProfile(data)


def training_profile(
    estimator: Any,
    X: Any,
    y: Any,
    noise_levels: ArrayLike = (0.0, 0.2),
    *,
    train_sizes: ArrayLike | None = None,
    n_trials: int = 5,
    max_epochs: int = 200,
    epochs: ArrayLike | None = None,
    until: Until = "interpolation",
    test_size: float | int | None = None,
    X_test: Any = None,
    y_test: Any = None,
    task: Kind = "auto",
    channel: "Channel | ArrayLike" = "symmetric",
    random_state: int = 0,
    n_jobs: int | None = None,
    quiet: bool = False,
) -> TrainingProfile:
    r"""Return what noise in the labels costs a model at each epoch of its training.

    Args:
        estimator: with `partial_fit`: scikit-learn's `MLPClassifier`, `MLPRegressor`, `SGDClassifier`, or a skorch net.
            It is not changed. Or a function of the number of training samples that returns one.
        X: inputs, one row for each sample: array, table or sparse matrix.
        y: their clean labels: integers, text or booleans name classes, floats are numbers.
        noise_levels: shares of corrupted labels; for a number, standard deviations of the noise in units of the
            target's. 0 is added.
        train_sizes: numbers of samples to train on; by default six over a factor of 32, up to all there are.
        n_trials: training subsets, each with its own noise and seed, at least 1.
        max_epochs: most passes over the training data, at least 1.
        epochs: which are recorded, each from 1 to `max_epochs`, which is added; by default about 25 in steps of a
            constant factor.
        until: `interpolation`: training ends when the noisy labels are fitted twice in a row (for a number, to 0.1 % of
            the noise's variance); None: it goes on to `max_epochs`.
        test_size: how many samples to keep for testing, or which share; by default a fifth, at most 2000.
        X_test: test inputs, with `y_test` their clean labels; by default a part of X, another in each trial.
        y_test: see `X_test`.
        task: whether y holds `classes` or a `number`; by default what the estimator predicts.
        channel: label noise, as in `flip_labels`.
        random_state: seed of the split, the trials and the estimator's own, a whole number of at least 0.
        n_jobs: how many trainings run at once, each on one thread; -1: as many as there are cores. The errors are the
            same to the bit.
        quiet: show no progress bar.

    Raises:
        InputError: for data that cannot be used, an estimator without `partial_fit`, or options out of range.

    Source: sections 3 and 4 of arXiv:2207.06569: interpolating nets are tempered, early stopped ones benign.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.neural_network import MLPClassifier
        >>> net = MLPClassifier((64, 64), learning_rate_init=0.01, batch_size=16)
        >>> X, y = load_iris(return_X_y=True)
        >>> profile = training_profile(net, X, y, train_sizes=60, n_trials=2, epochs=[1, 10, 50])
        >>> profile.epochs
        array([  1,  10,  50, 200])
        >>> bool((profile.best.test_error <= profile.final.test_error).all())
        True
    """
    n_trials = whole("n_trials", n_trials, at_least=1)
    recorded = _recorded(epochs, whole("max_epochs", max_epochs, at_least=1))
    if until is not None:
        choice("until", until, ("interpolation",))
    make, setup = estimators_and_task(
        estimator,
        X,
        y,
        task,
        X_test=X_test,
        y_test=y_test,
        test_size=test_size,
        channel=channel,
        random_state=random_state,
    )
    sizes, levels = setup.sizes(train_sizes), setup.levels(noise_levels)
    estimators = {int(n): make(int(n)) for n in sizes}
    for made in estimators.values():
        check_trainable(made)
    # The largest first, so that no process is left with one of them at the end.
    calls = [(trial, n) for n in reversed(estimators) for trial in range(n_trials)]
    outcomes = run_trials(
        _runs,
        (estimators, setup, levels, recorded, until),
        calls,
        engine="processes",
        n_jobs=n_jobs,
        what="trainings",
        quiet=quiet,
    )
    by_call = dict(zip(calls, outcomes, strict=True))
    rows = [[by_call[trial, n] for n in estimators] for trial in range(n_trials)]

    def stacked(name: str) -> NDArray[Any]:
        return np.array([[[getattr(run, name) for run in at_size] for at_size in row] for row in rows])

    test, train, seconds, fitted = (stacked(name) for name in ("test", "train", "seconds", "fitted"))
    notes: list[str] = list(warnings_of(run.warnings for row in rows for at_size in row for run in at_size))
    if until and not fitted.all():
        notes.append(
            f"in {(~fitted).sum()} of {fitted.size} trainings the labels were not fitted within {recorded[-1]} epochs"
        )
    # Of the last epoch alone it would be this; the others share its coordinates and attributes.
    last = NoiseProfile.of(
        setup,
        sizes,
        levels,
        test[..., -1],
        train[..., -1],
        estimator=described_over_sizes(estimator, estimators),
        notes=notes,
    ).data
    dims = (*_DIMS, "epoch")
    variables = {
        "test_error": (dims, test),
        "train_error": (dims, train),
        "seconds": (dims, seconds),
        "n_epochs": (_DIMS, stacked("n_epochs")),
    }
    coordinates = {**last.coords, "epoch": ("epoch", recorded, {"long_name": "epochs"})}
    return TrainingProfile(xr.Dataset(variables, coordinates, last.attrs | {"until": until or ""}))


class _Run(NamedTuple):
    """One training: errors and seconds at each recorded epoch, where it ended, whether its labels were fitted."""

    test: NDArray[np.float64]
    train: NDArray[np.float64]
    seconds: NDArray[np.float64]
    n_epochs: int
    fitted: bool
    warnings: tuple[str, ...]


def _runs(
    estimators: dict[int, Any],
    task: Task,
    levels: NDArray[np.float64],
    recorded: NDArray[np.int64],
    until: Until,
    trial: int,
    n_train: int,
) -> list[_Run]:
    """Train at all noise levels of one trial and size; this runs in a process of its own."""
    draw, estimator = task.draw(n_train, levels, trial), estimators[n_train]
    runs = []
    with one_thread():
        for i, level in enumerate(levels.tolist()):
            with naming_failures(estimator, n_train, level):
                runs.append(_run(estimator, task, draw, i, level, recorded, until))
    return runs


def _run(
    estimator: Any,
    task: Task,
    draw: Draw,
    index: int,
    level: float,
    recorded: NDArray[np.int64],
    until: Until,
) -> _Run:
    labels, limit = draw.labels[index], _limit(task, level)
    test, train, spent = np.zeros((3, len(recorded)))
    seconds, streak = 0.0, 0
    with seeded(draw.seed), quietly() as caught:
        training = EpochByEpoch(fresh(estimator, draw.seed), task.train_inputs(draw), labels.copy())
        while training.n_epochs < recorded[-1] and streak < 2:
            start = time.perf_counter()
            training.train()
            seconds += time.perf_counter() - start
            if until:
                streak = streak + 1 if training.fitted(limit) else 0
            if training.n_epochs in recorded or streak == 2:
                # What comes later is overwritten then, or carried forward from here.
                later = slice(int(np.searchsorted(recorded, training.n_epochs)), None)
                test[later] = training.error(*task.test_set(draw))
                train[later] = training.error(task.train_inputs(draw), labels)
                spent[later] = seconds
    return _Run(test, train, spent, training.n_epochs, streak == 2, tuple(dict.fromkeys(caught)))


def _limit(task: Task, level: float) -> float:
    """Return the largest training error that counts as fitted; without noise the target's variance is the measure."""
    return 0.0 if task.classes else FITTED * ((level or 1.0) * task.noise_scale) ** 2


def _recorded(epochs: ArrayLike | None, last: int) -> NDArray[np.int64]:
    if epochs is None:
        return np.unique(np.geomspace(1, last, _N_RECORDED).round().astype(np.int64))
    wanted = grid("epochs", epochs, at_least=1.0)
    if (wanted != np.floor(wanted)).any() or wanted.max() > last:
        raise InputError(
            f"epochs must be whole numbers up to max_epochs={last}; got "
            f"{wanted[(wanted != np.floor(wanted)) | (wanted > last)][0]:g}"
        )
    return np.union1d(wanted.astype(np.int64), [last])
