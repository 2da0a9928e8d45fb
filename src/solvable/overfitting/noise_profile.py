r"""`noise_profile`: the cost of label noise to any estimator, measured by training it on partly wrong labels."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from solvable.checks import whole
from solvable.datasets.labels import Task as Kind
from solvable.lab.keys import code_of, object_key, short_hash
from solvable.lab.trials import TrialStore, check_trials, run_trials
from solvable.overfitting.build_task import prepare
from solvable.overfitting.drawing import draw_profile
from solvable.overfitting.estimators import (
    described_over_sizes,
    kind_of,
    maker,
    name_of,
    takes_missing,
    warnings_of,
)
from solvable.overfitting.fitting import Fit, fit_in_trial, fresh, naming_failures, on_fit
from solvable.overfitting.label_noise import Channel
from solvable.overfitting.profile_numbers import ProfileNumbers
from solvable.overfitting.task import Task
from solvable.overfitting.verdict import notes_on, verdict_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NoiseProfile(ProfileNumbers):
    """Test error of a procedure trained on partly corrupted labels; from `noise_profile` and others.

    `print` it for the verdict in words; a notebook shows it as HTML.
    """

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on data and measurement, and remarks on the numbers, a sentence each."""
        return notes_on(self)

    def plot(self) -> "Figure":
        """Draw errors over the noise level with the reference curves, and the sensitivity over the training size."""
        return draw_profile(self)

    def __str__(self) -> str:
        """Return the profile and its verdict in words."""
        return str(verdict_on(self))

    def _repr_html_(self) -> str:
        return verdict_on(self)._repr_html_()


def noise_profile(
    estimator: Any,
    X: Any,
    y: Any,
    noise_levels: ArrayLike | None = None,
    *,
    train_sizes: ArrayLike | None = None,
    n_trials: int = 10,
    test_size: float | int | None = None,
    X_test: Any = None,
    y_test: Any = None,
    groups: ArrayLike | None = None,
    task: Kind = "auto",
    channel: "Channel | ArrayLike" = "symmetric",
    random_state: int = 0,
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    quiet: bool = False,
) -> NoiseProfile:
    r"""Measure $e_n(p)$: test error on clean labels, trained on $n$ samples of which a share $p$ has a wrong label.

    Each trial splits off test samples, draws a training subset from the others, and corrupts its labels at all levels,
    the wrong labels of a low level among those of a higher one; the cost of noise is a difference within a trial. An
    estimator is always trained from scratch, with a new seed in each trial, on one thread: the result is the same to
    the bit for every `n_jobs`. It gets classes as numbers from 0, in sorted order, unless a parameter refers to them,
    as `class_weight={"fraud": 10}` does; its printed output is suppressed.

    Args:
        estimator: anything with scikit-learn's `fit` and `predict` (a pipeline, a search, a skorch net, whose inputs
            are then float32), which is not changed; or a function of the number of training samples that returns one,
            such as `lambda n: KNeighborsClassifier(max(1, int(np.log(n))))`.
        X: inputs, one row for each sample: array, table, sparse matrix, images.
        y: labels, as clean as possible: integers, text or booleans name classes, floats are numbers.
        noise_levels: shares of labels to corrupt, from 0 to $1 - 1/K$, by default 0, 0.1, 0.2, 0.3, 0.4; for a number,
            standard deviations of the noise in units of the target's, by default 0, 0.5, 1. 0 is always measured too.
        train_sizes: numbers of training samples; by default six sizes over a factor of 32. A verdict needs four over a
            factor of 8.
        n_trials: number of trials, at least 1; a standard error needs 2, a verdict 3.
        test_size: number or share of samples for testing; by default a fifth, at most 2000.
        X_test: test inputs, with `y_test`, the same in all trials; X is then for training only. By default each trial
            keeps another part of X for testing.
        y_test: their clean labels.
        groups: the group of each sample `(n,)`, if samples of a group are alike (patients, days): errors are then those
            on groups that were not trained on.
        task: `classes` or `number`; by default decided by the estimator.
        channel: `symmetric`: a corrupted label becomes any of the others; or a matrix `(K, K)`, row i the distribution
            of a corrupted label of class i, classes in sorted order.
        random_state: seed of the test set, subsets, corruptions and estimators.
        n_jobs: number of processes for trials, -1 for one on each core; by default joblib's, 1 unless set by
            `joblib.parallel_config`.
        cache: a folder for finished trials: the same call continues after an interruption, and more trials, sizes or
            levels measure only what is missing.
        quiet: show no progress bar; there is none either if stderr is not a terminal.

    Raises:
        InputError: for data, levels or sizes that cannot be used, and when a fit fails, naming the fit.

    Source: section 2 of arXiv:2207.06569.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.neighbors import KNeighborsClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> profile = noise_profile(KNeighborsClassifier(1), X, y, (0, 0.2), train_sizes=[200, 800], n_trials=3)
        >>> bool((abs(profile.sensitivity - 1) < 0.15).all())  # the nearest neighbour passes noise on in full
        True
    """
    trials = whole("n_trials", n_trials, at_least=1)
    options = {
        "X_test": X_test,
        "y_test": y_test,
        "test_size": test_size,
        "channel": channel,
        "groups": groups,
    }
    make, setup = estimators_and_task(estimator, X, y, task, random_state=random_state, **options)
    levels, sizes = setup.levels(noise_levels), setup.sizes(train_sizes)
    check_trials("n_trials times the numbers of sizes and levels", trials * len(sizes) * len(levels))
    estimators = {int(n): make(int(n)) for n in sizes}
    with naming_failures(next(iter(estimators.values())), "when it was copied"):
        store, store_notes = _store(cache, estimators, setup)
    calls = [(trial, n, level) for trial in range(trials) for n in estimators for level in levels.tolist()]
    settings: dict[str, Any] = {"engine": "processes", "n_jobs": n_jobs, "what": "fits", "quiet": quiet}
    settings["describe"] = lambda trial, n, level: f"{name_of(estimators[n])} {on_fit(trial, n, level)}"
    fits = run_trials(fit_in_trial, (estimators, setup), calls, store, **settings)
    errors = np.array([fit[:3] for fit in fits]).reshape(trials, len(sizes), len(levels), 3)
    notes = (*warnings_of(fit.warnings for fit in fits), *store_notes)
    estimator = described_over_sizes(estimator, estimators)
    return NoiseProfile.of(setup, sizes, levels, *np.moveaxis(errors, 3, 0), estimator=estimator, notes=notes)


def estimators_and_task(
    estimator: Any, X: Any, y: Any, kind: Kind, **options: Any
) -> tuple[Callable[[int], Any], Task]:
    """Return a function from the number of samples to an estimator, and the task for the data.

    Args:
        estimator: or a function of the number of training samples that returns one.
        X: inputs.
        y: labels.
        kind: type of y; by default decided by the estimator.
        options: of `prepare`.
    """
    make = maker(estimator)
    # The type of the labels is that of the estimator for all samples.
    first = make(X.shape[0] if getattr(X, "shape", ()) else len(X) if hasattr(X, "__len__") else 1)
    with naming_failures(first, "when it was asked what it predicts"):
        kind, nan_allowed = kind_of(first, kind), takes_missing(first)
    return make, prepare(X, y, kind=kind, nan_allowed=nan_allowed, **options)


def _store(
    folder: str | Path | None, estimators: dict[int, Any], task: Task
) -> tuple[TrialStore | None, tuple[str, ...]]:
    """Return the store of fits, or None and a note if they cannot be stored."""
    if folder is None:
        return None, ()
    # A function of the number of samples may return the same estimator for all of them.
    different = {id(estimator): estimator for estimator in estimators.values()}
    keys = {number: object_key(fresh(estimator, 0)) for number, estimator in different.items()}
    if None in keys.values():
        return None, (
            f"trials were not cached: {name_of(next(iter(different.values())))} holds code that is in no file (a "
            "lambda, or made in a notebook); put it in a module",
        )
    common = [code_of(fit_in_trial), task.fingerprint]
    key = {n: short_hash([*common, keys[id(estimator)]]) for n, estimator in estimators.items()}
    return TrialStore.of_tuples(
        Path(folder), lambda trial, n, level: f"{key[n]}/trial-{trial:04d}-n{n}-noise{level!r}.json", Fit
    ), ()
