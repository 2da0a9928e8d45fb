r"""`noise_profile`: what label noise costs any estimator, measured by training it on partly wrong labels."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.kernels.inputs import whole
from solvable.overfitting.measuring.channel import Channel
from solvable.overfitting.measuring.estimators import (
    described_over_sizes,
    kind_of,
    maker,
    name_of,
    takes_missing,
    warnings_of,
)
from solvable.overfitting.measuring.posing import prepare
from solvable.overfitting.measuring.processes import in_processes, naming_failures
from solvable.overfitting.measuring.profile import NoiseProfile
from solvable.overfitting.measuring.task import Kind, Task
from solvable.overfitting.measuring.trials import Fit, fit_and_score, one_thread


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
    task: Kind = "auto",
    channel: "Channel | ArrayLike" = "symmetric",
    random_state: int = 0,
    n_jobs: int | None = None,
    cache: str | Path | None = None,
    quiet: bool = False,
) -> NoiseProfile:
    r"""Measure $e_n(p)$: test error on clean labels, trained on $n$ samples of which a share $p$ has a wrong label.

    Each trial splits off test samples, draws a training subset from the others, and corrupts its labels at all levels,
    the wrong labels of a low level among those of a higher one; what noise costs is a difference within a trial. An
    estimator is always trained from scratch, its seed new in each trial, on one thread: the result is the same to the
    bit for every `n_jobs`. It is given classes as numbers from 0, in their sorted order, unless a parameter names them,
    as `class_weight={"fraud": 10}` does; what it prints is not shown.

    Args:
        estimator: anything with scikit-learn's `fit` and `predict` (a pipeline, a search, a skorch net, whose inputs
            are then float32), which is not changed; or a function of the number of training samples that returns one,
            such as `lambda n: KNeighborsClassifier(max(1, int(np.log(n))))`.
        X: inputs, one row for each sample: array, table, sparse matrix, images.
        y: labels, as clean as they can be had: integers, text or booleans name classes, floats are numbers.
        noise_levels: shares of labels to corrupt, from 0 to $1 - 1/K$, by default 0, 0.1, 0.2, 0.3, 0.4; for a number,
            standard deviations of the noise in units of the target's, by default 0, 0.5, 1. 0 is always measured too.
        train_sizes: how many samples to train on; by default six sizes over a factor of 32. A verdict asks for four
            over a factor of 8.
        n_trials: how often to repeat each, at least 1; a standard error asks for 2, a verdict for 3.
        test_size: how many samples to keep for testing, or which share; by default a fifth, at most 2000.
        X_test: test inputs of your own, with `y_test`, the same in all trials; X is then for training only. By default
            each trial keeps another part of X for testing.
        y_test: their clean labels.
        task: `classes` or `number`; by default what the estimator predicts.
        channel: `symmetric`: a corrupted label becomes any of the others; or a matrix `(K, K)` whose row i says what
            one of class i becomes, classes in sorted order.
        random_state: seed of the test set, subsets, corruptions and estimators.
        n_jobs: how many processes run trials, -1 for one on each core; by default joblib's, 1 unless
            `joblib.parallel_config` says otherwise.
        cache: a folder for finished trials: the same call goes on where it was stopped, and more trials, sizes or
            levels measure only what is missing.
        quiet: show no progress bar; there is none either where stderr is no terminal.

    Raises:
        InputError: for data, levels or sizes that cannot be used, and when a fit fails: it says which.

    Source: section 2 of arXiv:2207.06569.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.neighbors import KNeighborsClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> profile = noise_profile(KNeighborsClassifier(1), X, y, (0, 0.2), train_sizes=[200, 800], n_trials=3)
        >>> bool((abs(profile.sensitivity - 1) < 0.15).all())  # the nearest neighbour passes noise on in full
        True
    """
    make = maker(estimator)
    trials = whole("n_trials", n_trials, at_least=1)
    # The first estimator says what the labels are; of a function, that for all samples given.
    first = make(np.shape(X)[0] if np.ndim(X) or hasattr(X, "shape") else 1)
    posed = prepare(
        X,
        y,
        X_test=X_test,
        y_test=y_test,
        test_size=test_size,
        kind=kind_of(first, task),
        channel=channel,
        random_state=random_state,
        nan_allowed=takes_missing(first),
    )
    levels, sizes = posed.levels(noise_levels), posed.sizes(train_sizes)
    estimators = {int(n): make(int(n)) for n in sizes}
    caches, cache_note = _caches(cache, estimators, posed)
    fits = _measure(estimators, posed, levels, trials, caches, n_jobs, quiet)
    rows = [[fits[trial, n] for n in estimators] for trial in range(trials)]
    errors = np.array([[[fit[:3] for fit in at_size] for at_size in row] for row in rows])
    return NoiseProfile.of(
        posed,
        sizes,
        levels,
        errors[..., 0],
        errors[..., 1],
        errors[..., 2],
        estimator=described_over_sizes(estimator, estimators),
        notes=(*warnings_of(fit.warned for row in rows for at_size in row for fit in at_size), *cache_note),
    )


class _Job(NamedTuple):
    """A trial at one size: which levels are to be measured."""

    trial: int
    n_train: int
    levels: tuple[int, ...]


def _measure(
    estimators: dict[int, Any],
    task: Task,
    levels: NDArray[np.float64],
    n_trials: int,
    caches: dict[int, Any],
    n_jobs: int | None,
    quiet: bool,
) -> dict[tuple[int, int], list[Fit]]:
    """Return the fits of each trial at each size, by level; those that are not in the cache are run and kept."""
    from solvable.lab.progress import progress

    found: dict[tuple[int, int], dict[float, Fit]] = {}
    jobs = []
    for trial in range(n_trials):
        for n in estimators:
            found[trial, n] = caches[n].read(trial, n) if caches else {}
            missing = tuple(i for i, level in enumerate(levels) if float(level) not in found[trial, n])
            if missing:
                jobs.append(_Job(trial, n, missing))
    finished = in_processes(_run, [(estimators[job.n_train], task, levels, job) for job in jobs], n_jobs)
    with progress("trials", len(found), done=len(found) - len(jobs), quiet=quiet) as advance:
        for job, fits in finished:
            at = job.trial, job.n_train
            found[at] |= {float(levels[i]): fit for i, fit in zip(job.levels, fits, strict=True)}
            if caches:
                caches[job.n_train].write(*at, found[at])
            advance()
    return {at: [fits[float(level)] for level in levels] for at, fits in found.items()}


def _run(estimator: Any, task: Task, levels: NDArray[np.float64], job: _Job) -> tuple[_Job, list[Fit]]:
    """Do the fits of a job; this runs in a process of its own."""
    draw = task.draw(job.n_train, levels, job.trial)
    fits = []
    with one_thread():
        for i in job.levels:
            with naming_failures(estimator, job.n_train, float(levels[i])):
                fits.append(fit_and_score(estimator, task, draw, i))
    return job, fits


def _caches(
    folder: str | Path | None, estimators: dict[int, Any], task: Task
) -> tuple[dict[int, Any], tuple[str, ...]]:
    """Return the cache of each size, and a note where there can be none."""
    from solvable.overfitting.measuring.trial_cache import TrialCache, data_key, estimator_key

    if folder is None:
        return {}, ()
    same = len({id(estimator) for estimator in estimators.values()}) == 1
    some = list(estimators.values())[:1] if same else list(estimators.values())
    keys = [estimator_key(estimator) for estimator in some]
    if None in keys:
        return {}, (
            f"trials were not cached: {name_of(some[0])} holds code that stands in no file (a lambda, or "
            "made in a notebook); put it in a module to have them kept",
        )
    data = data_key(task)
    named = dict(zip(estimators, keys * len(estimators) if same else keys, strict=False))
    return {n: TrialCache(Path(folder), data, str(key)) for n, key in named.items()}, ()
