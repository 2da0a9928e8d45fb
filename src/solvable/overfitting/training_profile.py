r"""`training_profile`: the cost of label noise to a model, epoch by epoch.

One run to interpolation compares all stopping rules: its end is the interpolating net, any earlier epoch an early
stopped one, and the best epoch is the result of a perfect stopping rule.
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
from solvable.lab.trials import check_trials, run_trials
from solvable.machine import one_thread
from solvable.overfitting.drawing import draw_training
from solvable.overfitting.epochs import EpochByEpoch, check_trainable
from solvable.overfitting.estimators import described_over_sizes, name_of, warnings_of
from solvable.overfitting.fitting import fresh, naming_failures, on_fit, quietly, seeded
from solvable.overfitting.label_noise import Channel
from solvable.overfitting.noise_profile import NoiseProfile, estimators_and_task
from solvable.overfitting.profile_numbers import FITTED
from solvable.overfitting.task import Draw, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Default number of recorded epochs: all early ones, later ones in steps of a constant factor.
_N_RECORDED = 25
_DIMS = ("trial", "n_train", "noise_level")

Until = Literal["interpolation"] | None


@dataclass(frozen=True, eq=False)
class TrainingProfile:
    """Errors of a net in training by epoch, noise level and training size; each epoch is a `NoiseProfile`.

    Attributes:
        data: dims `trial`, `n_train`, `noise_level`, `epoch`, with `test_error` on clean labels, `train_error` on the
            noisy training labels, and `seconds` of training up to that epoch; `n_epochs` is the last epoch of a
            training, after which its values are carried forward. Attributes as those of a `NoiseProfile`.
    """

    data: xr.Dataset

    @property
    def epochs(self) -> NDArray[np.int64]:
        """The recorded epochs, rising."""
        return self.data.epoch.to_numpy()

    @property
    def n_epochs(self) -> xr.DataArray:
        """Number of epochs at which each training ended, dims `trial`, `n_train`, `noise_level`."""
        return self.data.n_epochs

    def at(self, epoch: int) -> NoiseProfile:
        """Return the noise profile of nets that are all stopped after one number of epochs.

        Args:
            epoch: one of those recorded.

        Raises:
            InputError: for an epoch that was not recorded.
        """
        if epoch not in self.epochs:
            recorded = ", ".join(str(one) for one in self.epochs)
            raise InputError(f"epoch {epoch!r} was not recorded; expected one of {recorded}")
        index = int(np.flatnonzero(self.epochs == epoch)[0])
        return self._profile(
            index, f"training was stopped after {epoch} epochs, or earlier if it ended before"
        )

    @property
    def final(self) -> NoiseProfile:
        """The noise profile at the end of training: of interpolating nets, if they reached interpolation."""
        rule = "until no label was wrong twice in a row, " if self.data.attrs["until"] else ""
        return self._profile(-1, f"training continued {rule}for at most {self.epochs[-1]} epochs")

    @property
    def best(self) -> NoiseProfile:
        """The noise profile at the epoch of least *clean* test error, separately for each trial, size and noise level.

        This is an oracle: it uses the clean test labels, which are not available in practice, and the least of many
        errors is slightly too low. No stopping rule is better. A rule that needs no clean labels is
        `TrainedUntil(estimator, stop="validation")`, measured by `noise_profile`.
        """
        return self._profile(
            self.data.test_error.argmin("epoch"),
            "training was stopped at the epoch of least error on the clean test labels, separately for each trial, "
            "size and noise level: an oracle, the best possible for any stopping rule",
        )

    def __str__(self) -> str:
        """Return the profile at the end of training in words, and the sensitivity at the best epoch."""
        best = self.best.sensitivity.isel(n_train=-1)
        level = float(best.noise_level[-1])
        return (
            f"At the end of training:\n\n{self.final}\n\nAt the epoch of least clean test error (an oracle), "
            f"{self.final.n_train[-1]} samples, noise level {level:g}: sensitivity {float(best[-1]):.3g}"
        )

    def plot(self) -> "Figure":
        """Draw test error over epochs, one line for each noise level, training error dashed, a panel for each size."""
        return draw_training(self.data)

    def _profile(self, epoch: "int | xr.DataArray", note: str) -> NoiseProfile:
        """Return the noise profile at an epoch, by its index among those recorded."""
        data = self.data[["test_error", "train_error", "seconds"]].isel(epoch=epoch)
        data = data.drop_vars("epoch").transpose(*_DIMS)
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
    r"""Return the cost of label noise to a model at each epoch of its training.

    Args:
        estimator: with `partial_fit`: scikit-learn's `MLPClassifier`, `MLPRegressor`, `SGDClassifier`, or a skorch net.
            It is not changed. Or a function of the number of training samples that returns one.
        X: inputs, one row for each sample: array, table or sparse matrix.
        y: their clean labels: integers, text or booleans name classes, floats are numbers.
        noise_levels: shares of corrupted labels; for a number, standard deviations of the noise in units of the
            target's. 0 is added.
        train_sizes: numbers of training samples; by default six over a factor of 32, up to all.
        n_trials: training subsets, each with its own noise and seed, at least 1.
        max_epochs: largest number of passes over the training data, at least 1.
        epochs: epochs to record, each from 1 to `max_epochs`, which is added; by default about 25 in steps of a
            constant factor.
        until: `interpolation`: training ends when the noisy labels are fitted twice in a row (for a number, to 0.1 % of
            the noise's variance); None: it continues to `max_epochs`.
        test_size: number or share of samples for testing; by default a fifth, at most 2000.
        X_test: test inputs, with `y_test` their clean labels; by default a part of X, another in each trial.
        y_test: see `X_test`.
        task: whether y holds `classes` or a `number`; by default decided by the estimator.
        channel: label noise, as in `flip_labels`.
        random_state: seed of the split, the trials and the estimator, a whole number of at least 0.
        n_jobs: number of trainings at once, each on one thread; -1: one on each core. The errors are the same to the
            bit.
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
    recorded = _epochs_to_record(epochs, whole("max_epochs", max_epochs, at_least=1))
    if until is not None:
        choice("until", until, ("interpolation",))
    options = {"X_test": X_test, "y_test": y_test, "test_size": test_size, "channel": channel}
    make, setup = estimators_and_task(estimator, X, y, task, random_state=random_state, **options)
    sizes, levels = setup.sizes(train_sizes), setup.levels(noise_levels)
    check_trials("n_trials times the number of sizes", n_trials * len(sizes))
    estimators = {int(n): make(int(n)) for n in sizes}
    for model in estimators.values():
        check_trainable(model)
    # Largest size first, so that no single long training is left at the end.
    calls = [(trial, n) for n in reversed(estimators) for trial in range(n_trials)]
    settings: dict[str, Any] = {"engine": "processes", "n_jobs": n_jobs, "what": "trainings", "quiet": quiet}
    settings["describe"] = lambda trial, n: f"trial {trial} of {name_of(estimators[n])} on {n} samples"
    outcomes = run_trials(_runs, (estimators, setup, levels, recorded, until), calls, **settings)
    by_call = dict(zip(calls, outcomes, strict=True))
    rows = [[by_call[trial, n] for n in estimators] for trial in range(n_trials)]

    def stacked(name: str) -> NDArray[Any]:
        return np.array([[[getattr(run, name) for run in at_size] for at_size in row] for row in rows])

    test, train, fitted = stacked("test_error"), stacked("train_error"), stacked("fitted")
    notes: list[str] = list(warnings_of(run.warnings for row in rows for at_size in row for run in at_size))
    if until and not fitted.all():
        notes.append(
            f"in {(~fitted).sum()} of {fitted.size} trainings the labels were not fitted within {recorded[-1]} epochs"
        )
    # All epochs share the coordinates and attributes of the last one's profile.
    name = described_over_sizes(estimator, estimators)
    last = NoiseProfile.of(
        setup, sizes, levels, test[..., -1], train[..., -1], estimator=name, notes=notes
    ).data
    dims = (*_DIMS, "epoch")
    variables = {
        "test_error": (dims, test),
        "train_error": (dims, train),
        "seconds": (dims, stacked("seconds")),
        "n_epochs": (_DIMS, stacked("n_epochs")),
    }
    coordinates = {**last.coords, "epoch": ("epoch", recorded, {"long_name": "epochs"})}
    return TrainingProfile(xr.Dataset(variables, coordinates, last.attrs | {"until": until or ""}))


class _Run(NamedTuple):
    """One training: errors and seconds at each recorded epoch, its last epoch, and whether its labels were fitted."""

    test_error: NDArray[np.float64]
    train_error: NDArray[np.float64]
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
    """Train at all noise levels of one trial and size; this runs in its own process."""
    draw, estimator = task.draw(n_train, levels, trial), estimators[n_train]
    runs = []
    with one_thread():
        for i, level in enumerate(levels.tolist()):
            with naming_failures(estimator, on_fit(trial, n_train, level)):
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
    labels = draw.labels[index]
    # The largest training error that counts as fitted; without noise it is relative to the target's variance.
    limit = 0.0 if task.classes else FITTED * ((level or 1.0) * task.noise_scale) ** 2
    test, train, elapsed = np.zeros((3, len(recorded)))
    seconds, streak = 0.0, 0
    with seeded(draw.seed), quietly() as messages:
        training = EpochByEpoch(fresh(estimator, draw.seed), task.train_inputs(draw), labels.copy())
        while training.n_epochs < recorded[-1] and streak < 2:
            start = time.perf_counter()
            training.train()
            seconds += time.perf_counter() - start
            if until:
                streak = streak + 1 if training.fitted(limit) else 0
            if training.n_epochs in recorded or streak == 2:
                # Later epochs are overwritten below, or keep these values if training ends.
                later = slice(int(np.searchsorted(recorded, training.n_epochs)), None)
                test[later] = training.error(*task.test_set(draw))
                train[later] = training.error(task.train_inputs(draw), labels)
                elapsed[later] = seconds
    return _Run(test, train, elapsed, training.n_epochs, streak == 2, tuple(dict.fromkeys(messages)))


def _epochs_to_record(epochs: ArrayLike | None, last: int) -> NDArray[np.int64]:
    if epochs is None:
        return np.unique(np.geomspace(1, last, _N_RECORDED).round().astype(np.int64))
    values = grid("epochs", epochs, at_least=1.0)
    bad = (values != np.floor(values)) | (values > last)
    if bad.any():
        raise InputError(f"epochs must be whole numbers up to max_epochs={last}; got {values[bad][0]:g}")
    return np.union1d(values.astype(np.int64), [last])
