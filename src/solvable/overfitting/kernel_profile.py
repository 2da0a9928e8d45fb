r"""Noise profile of kernel regression, with one factorisation for all noise levels and draws.

$\hat f(x) = k(x)^\top (K + \delta I)^{-1} Y$ is linear in the labels, so all noisy label vectors of a training set are
columns of one linear system, and $|w(x)|^2$, the cost of noise in squared loss, takes a few more columns.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, one_number, whole
from solvable.datasets.inputs import check_columns, check_rows, point_array
from solvable.datasets.labels import Task as Kind
from solvable.kernels import Kernel, as_kernel
from solvable.kernels.inputs import points, to_float64
from solvable.machine import free_memory, need_memory
from solvable.overfitting.build_task import prepare
from solvable.overfitting.label_noise import Channel
from solvable.overfitting.linear_smoothers import answers, class_columns
from solvable.overfitting.noise_profile import NoiseProfile
from solvable.overfitting.noise_weights import TAIL, Factor
from solvable.overfitting.task import Draw, Task
from solvable.progress import progress

Matrix = NDArray[np.float64]

# Numbers in one block of label columns or predictions: 32 MB.
_AT_ONCE = 2**22
# The noise cost is averaged over max(256, n/8) test points, whose weights cost less than the factorisation.
_COST_POINTS, _COST_SHARE = 256, 8


def kernel_noise_profile(
    kernel: Any,
    X: Any,
    y: Any,
    noise_levels: ArrayLike | None = None,
    *,
    train_sizes: ArrayLike | None = None,
    n_trials: int = 10,
    n_draws: int = 20,
    ridge: float = 0.0,
    test_size: float | int | None = None,
    X_test: Any = None,
    y_test: Any = None,
    task: Kind = "auto",
    channel: "Channel | ArrayLike" = "symmetric",
    random_state: int = 0,
    quiet: bool = False,
) -> NoiseProfile:
    r"""Return the noise profile of kernel regression, $\hat f(x) = k(x)^\top (K + \delta I)^{-1} Y$.

    Classes are one-hot columns minus 1/K, and the largest prediction is the answer; numbers are centred by the mean of
    their training labels. Splits, training subsets and first draws of the noise are those of `noise_profile`; further
    draws cost a matrix product each, so a trial's error is its mean over `n_draws`.

    The same fits give the cost of noise in squared loss, for any labels: `profile.data` also holds, with dims `trial`
    and `n_train`, `noise_cost`, the mean of $V_n = |w(x)|^2$ over (at least 256) test points, with
    $\mathcal{E}_0 = 1 + V_n$, and `noise_cost_median`, to be used if the mean has a heavy tail. So
    `1 + profile.data.noise_cost.mean("trial")` is the overfitting coefficient at each size. For classes the two losses
    may well disagree: flips that cost a tenth of their variance rarely change the largest column.

    Args:
        kernel: any kernel that `as_kernel` accepts; a missing length scale is the median distance in the training pool.
        X: inputs, `(n, d)`, already scaled for the model.
        y: clean labels; integers, text or booleans are classes, floats are numbers, unless `task` says otherwise.
        noise_levels: shares of corrupted labels, by default 0 to 0.4; for a number standard deviations of the noise in
            units of the target's, by default 0.5 and 1; 0 is added.
        train_sizes: training sizes; by default six over a factor of 32.
        n_trials: training subsets for each size.
        n_draws: draws of the noise for each subset.
        ridge: $\delta \ge 0$, not divided by n.
        test_size: number or share of samples to test on; by default a fifth, at most 2000.
        X_test: test inputs, with `y_test` their clean labels; by default a part of X, another in each trial.
        y_test: see `X_test`.
        task: `classes` or `number`; by default decided by the type of y.
        channel: distribution of a corrupted label, as in `flip_labels`.
        random_state: seed of the split and of all trials.
        quiet: show no progress bar; there is none either if stderr is not a terminal.

    Raises:
        InputError: for data, sizes or levels that cannot be used, or if memory does not suffice.

    Source: arXiv:2207.06569, sections 3 and 4; one factorisation for all labels is standard linear algebra.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> profile = kernel_noise_profile("laplace", X, y, [0.2], train_sizes=[100, 1400], n_trials=3)
        >>> profile.sensitivity.round(1).values.ravel().tolist()  # in 0-1 loss, more data average the noise out
        [0.5, 0.1]
        >>> (1 + profile.data.noise_cost.mean("trial")).round(2).values.tolist()  # in squared loss it stays
        [1.16, 1.15]
    """
    kernel = as_kernel(kernel)
    delta = one_number("ridge", ridge, at_least=0.0)
    trials, draws = whole("n_trials", n_trials, at_least=1), whole("n_draws", n_draws, at_least=1)
    check_rows(X=X, y=y)
    check_rows(X_test=X_test, y_test=y_test)
    check_columns(X=X, X_test=X_test)
    setup = prepare(
        _points("X", X),
        y,
        X_test=None if X_test is None else _points("X_test", X_test),
        y_test=y_test,
        test_size=test_size,
        kind=task,
        channel=channel,
        random_state=random_state,
    )
    levels, sizes = setup.levels(noise_levels), setup.sizes(train_sizes)
    matrices = _Matrices(kernel.for_data(setup.X), setup, sizes, trials)
    shape = (trials, len(sizes))
    test, train, seconds = np.empty((3, *shape, len(levels)))
    cost, median, singular = np.empty(shape), np.empty(shape), np.zeros(shape, bool)
    with progress("trials", trials * len(sizes), quiet=quiet) as advance:
        for t, s in np.ndindex(shape):
            start = time.perf_counter()
            draw = setup.draw(int(sizes[s]), levels, t)
            fit = KernelFit(*matrices.of(draw), delta, setup, draw, levels, draws)
            test[t, s], train[t, s] = fit.errors()
            cost[t, s], median[t, s] = fit.cost.mean(), np.median(fit.cost)
            singular[t, s] = fit.singular
            seconds[t, s] = (time.perf_counter() - start) / len(levels)
            advance()
    notes = [
        f"each trial's errors are means over {draws} draw{'s' * (draws > 1)} of the noise, from one factorisation, "
        "whose time is divided equally among the noise levels",
        *_cost_notes(sizes, cost, median),
    ]
    if singular.any():
        where = ", ".join(f"n = {n}" for n in sizes[singular.any(axis=0)])
        notes.append(
            f"numerically singular kernel matrices at {where}: eigenvalues below rounding were dropped, which acts as "
            "a ridge and hides part of the cost of noise"
        )
    estimator = f"kernel regression, {matrices.kernel}, ridge {delta:g}"
    profile = NoiseProfile.of(setup, sizes, levels, test, train, seconds, estimator=estimator, notes=notes)
    dims = ("trial", "n_train")
    return NoiseProfile(
        profile.data.assign(
            noise_cost=(dims, cost, {"long_name": "mean of |w(x)|² over test points"}),
            noise_cost_median=(dims, median, {"long_name": "median of |w(x)|² over test points"}),
        )
    )


class _Matrices:
    """Kernel matrices of draws: parts of the matrix of all samples if that is less work and fits in memory."""

    def __init__(self, kernel: Kernel, task: Task, sizes: NDArray[np.int64], trials: int) -> None:
        self.kernel, self._task, self._whole = kernel, task, None
        n, m, every = float(sizes.max()), float(task.n_test), float(task.n_samples)
        # The matrix, its factor, the test points' rows, and blocks of label columns and of predictions.
        fit = 8 * (2 * n**2 + 2 * n * m + 6 * _AT_ONCE)
        need_memory(
            fit,
            f"a noise profile of {n:.0f} training samples",
            "lower the largest of train_sizes, or test_size",
        )
        free, entries = free_memory(), every * (every + (0.0 if task.X_test is None else m))
        fits = free is None or fit + 8 * entries < free / 2
        if fits and trials * float(np.sum(sizes * (sizes + m))) > 1.5 * entries:
            gram = self._checked(self.kernel(task.X))
            cross = gram if task.X_test is None else self._checked(self.kernel(task.X_test, task.X))
            self._whole = gram, cross

    def of(self, draw: Draw) -> tuple[Matrix, Matrix]:
        """Return the matrix of a draw's training samples, and that of its test samples with them."""
        rows = draw.rows
        if self._whole is None:
            X = self._task.X[rows]
            gram = self._checked(self.kernel(X))
            if type(self.kernel).__module__.split(".")[0] != "solvable":
                gram = gram.copy()  # it will be overwritten, and a user's kernel may keep it
            return gram, self._checked(self.kernel(self._task.test_set(draw)[0], X))
        gram, cross = self._whole
        cross = cross[:, rows] if draw.test is None else cross[draw.test[:, None], rows]
        return gram[rows[:, None], rows], cross

    def _checked(self, matrix: Any) -> Matrix:
        matrix = np.asarray(matrix)
        finite("the kernel matrix", matrix, "check the kernel, or scale the inputs")
        return matrix


def label_vectors(
    task: Task, draw: Draw, levels: Matrix, n_draws: int, at_once: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Yield the noisy label vectors of a training subset and their level numbers, in blocks of draws.

    The first block starts with the clean labels and the trial's own draw, which is that of `noise_profile`.

    Args:
        task: from `build_task.prepare`.
        draw: from `Task.draw`.
        levels: from `Task.levels`.
        n_draws: number of draws of the noise.
        at_once: number of draws in a block.

    Yields:
        level numbers `(r,)` and label vectors `(r, n)` or `(r, n, outputs)`.
    """
    every, draws = np.arange(len(levels)), _noisy_draws(task, draw, levels[1:])
    for start in range(0, n_draws, at_once):
        block = list(islice(draws, min(at_once, n_draws - start)))
        clean = int(start == 0)
        level = [every[:clean], *[every[1:]] * len(block)]
        yield np.concatenate(level), np.concatenate([draw.labels[:clean], *block])


def _noisy_draws(task: Task, draw: Draw, levels: Matrix) -> Iterator[NDArray[Any]]:
    """Yield draws of labels at these levels, the trial's own first.

    For numbers every second draw mirrors the one before. Then the term linear in the noise, its product with the error
    without noise, cancels.
    """
    generator, y = np.random.default_rng(draw.seed), task.y[draw.rows]
    labels = draw.labels[1:]
    while True:
        yield labels
        if not task.classes:
            yield 2.0 * y - labels
        labels = task.noisy(draw.rows, levels, generator)


class KernelFit:
    """Kernel regression on one training subset, for all its label vectors.

    Attributes:
        cost: variance of the prediction from unit noise in the labels, at each test point or some of them.
        singular: whether the matrix was singular to rounding.
    """

    def __init__(
        self, gram: Matrix, cross: Matrix, ridge: float, task: Task, draw: Draw, levels: Matrix, n_draws: int
    ) -> None:
        self._cross, self._task, self._draw = cross, task, draw
        self._truth = task.test_set(draw)[1]
        self._levels, self._n_draws = levels, n_draws
        self._factor = Factor(gram, ridge)
        self.singular = self._factor.singular
        m, n = cross.shape
        self._columns = (task.n_classes - 1) if task.n_classes else int(np.prod(task.y.shape[1:]))
        total = (1 + n_draws * (len(levels) - 1)) * self._columns
        # Without ridge only predictions are needed; if label columns outnumber the test points, these points' weights
        # are the cheaper way to them.
        self._by_weights = ridge == 0 and not self.singular and total > m
        # Evenly spaced, since test sets may be sorted by class.
        few = np.linspace(0, m - 1, min(m, max(_COST_POINTS, n // _COST_SHARE))).astype(int)
        self._weights = self._factor.solve((cross if self._by_weights else cross[few]).T)
        self.cost = np.einsum("nm,nm->m", self._weights, self._weights)
        if not task.classes:
            # Subtracting the labels' mean and adding it back adds (1 - sum w)/n to each weight.
            self.cost += (1.0 - np.square(self._weights.sum(axis=0))) / n

    def errors(self) -> tuple[Matrix, Matrix]:
        """Return test and training error at each noise level, means over the draws."""
        n_levels = len(self._levels)
        at_once = max(1, _AT_ONCE // (n_levels * self._columns * max(self._cross.shape)))
        sums = np.zeros((2, n_levels))
        for level, labels in label_vectors(self._task, self._draw, self._levels, self._n_draws, at_once):
            for kind, errors in enumerate(self._errors(labels)):
                sums[kind] += np.bincount(level, errors, n_levels)
        sums[:, 1:] /= self._n_draws
        return sums[0], sums[1]

    def _errors(self, labels: NDArray[Any]) -> tuple[Matrix, Matrix]:
        """Return test and training error of each label vector."""
        task = self._task
        if task.n_classes:
            predicted, fitted = self.predictions(class_columns(labels, task.n_classes))
            wrong = answers(predicted, task.n_classes) != self._truth[:, None]
            unfitted = np.zeros((1, len(labels)))
            if fitted is not None:
                unfitted = answers(fitted, task.n_classes) != labels.T
            return wrong.mean(axis=0), unfitted.mean(axis=0)
        # (r, n, outputs), centred by the training mean of each label vector.
        targets = labels.reshape(*labels.shape[:2], -1)
        mean = targets.mean(axis=1)
        columns = np.moveaxis(targets - mean[:, None], 1, 2).reshape(-1, targets.shape[1]).T
        predicted, fitted = self.predictions(columns)
        test = predicted.reshape(-1, *mean.shape) + mean - self._truth.reshape(len(self._truth), 1, -1)
        train = np.zeros_like(columns) if fitted is None else columns - fitted
        return (
            np.square(test).sum(axis=2).mean(axis=0),
            np.square(train.reshape(-1, *mean.shape)).sum(axis=2).mean(axis=0),
        )

    def predictions(self, columns: Matrix) -> tuple[Matrix, Matrix | None]:
        """Return predictions `(m, columns)` from label columns `(n, columns)`, and their fit, None if it is exact."""
        if self._by_weights:
            return self._weights.T @ columns, None
        alpha = self._factor.solve(columns)
        exact = self._factor.ridge == 0 and not self.singular
        return self._cross @ alpha, None if exact else self._factor.fitted(columns, alpha)


def _cost_notes(sizes: NDArray[np.int64], cost: Matrix, median: Matrix) -> Iterator[str]:
    """Yield notes on the noise cost of the same fits in squared loss."""
    coefficient, middle = 1.0 + cost.mean(axis=0), 1.0 + np.median(median, axis=0)
    each = ", ".join(
        f"{e:.3g} ({m:.3g}) at n = {n}" for n, e, m in zip(sizes, coefficient, middle, strict=True)
    )
    yield f"squared loss of the same fits, for any labels: E0 = 1 + V (by medians): {each}"
    if (heavy := coefficient > TAIL * middle).any():
        where = ", ".join(f"n = {n}" for n in sizes[heavy])
        yield f"the mean noise cost in squared loss may not exist (above {TAIL:g} medians at {where}); use the medians"


def _points(name: str, X: Any) -> Matrix:
    return to_float64(points(name, X if hasattr(X, "detach") else point_array(X, name))[1])
