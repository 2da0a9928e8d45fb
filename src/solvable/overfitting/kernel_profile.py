r"""The noise profile of kernel regression: one kernel matrix and one factorisation for all noise levels and draws.

$\hat f(x) = k(x)^\top (K + \delta I)^{-1} Y$ is linear in the labels, so that all noisy label vectors of a training set
are columns of one linear system, and $|w(x)|^2$, what noise costs in squared loss, is another few columns of it.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, one_number, whole
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
# The noise cost is averaged over so many test points at least, or n over so much: solving for these takes
# less than factorising.
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

    Classes are one-hot columns minus 1/K, and the largest is the answer; numbers are centred by the mean of their
    training labels. Splits, training subsets and first draws of the noise are those of `noise_profile`; further draws
    cost a matrix product each, so a trial's error is its mean over `n_draws`.

    The same fits tell what noise costs in squared loss, whatever the labels: `profile.data` also holds, with dims
    `trial` and `n_train`, `noise_cost`, the mean of $V_n = |w(x)|^2$ over (at least 256) test points, so that
    $\mathcal{E}_0 = 1 + V_n$, and `noise_cost_median`, which is the one to read where the mean has a heavy tail. So
    `1 + profile.data.noise_cost.mean("trial")` is the overfitting coefficient at each size. For classes the two losses
    may well disagree: flips that cost a tenth of their variance rarely turn the largest column.

    Args:
        kernel: what `as_kernel` takes; a length scale that it lacks is the median distance in the training pool.
        X: inputs, `(n, d)`, scaled as the model shall see them.
        y: clean labels; integers, text or booleans are classes, floats are numbers, unless `task` says otherwise.
        noise_levels: shares of corrupted labels, by default 0 to 0.4; for a number standard deviations of the noise in
            units of the target's, by default 0.5 and 1; 0 is added.
        train_sizes: training sizes; by default six over a factor of 32.
        n_trials: training subsets for each size.
        n_draws: draws of the noise for each subset.
        ridge: $\delta \ge 0$, not divided by n.
        test_size: how many samples to test on, or which share; by default a fifth, at most 2000.
        X_test: test inputs, with `y_test` their clean labels; by default a part of X, another in each trial.
        y_test: see `X_test`.
        task: `classes`, `number`, or as y looks.
        channel: what a corrupted label becomes, as in `flip_labels`.
        random_state: seed of the split and of all trials.
        quiet: show no progress bar; there is none either where stderr is no terminal.

    Raises:
        InputError: for data, sizes or levels that cannot be used, or more than fits in memory.

    Source: arXiv:2207.06569, sections 3 and 4; one factorisation for all labels is standard linear algebra.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> profile = kernel_noise_profile("laplace", X, y, [0.2], train_sizes=[100, 1400], n_trials=3)
        >>> profile.sensitivity.round(1).values.ravel().tolist()  # in 0-1 loss, more data washes the noise out
        [0.5, 0.1]
        >>> (1 + profile.data.noise_cost.mean("trial")).round(2).values.tolist()  # in squared loss it stays
        [1.16, 1.15]
    """
    which = as_kernel(kernel)
    delta = one_number("ridge", ridge, at_least=0.0)
    trials, draws = whole("n_trials", n_trials, at_least=1), whole("n_draws", n_draws, at_least=1)
    posed = prepare(
        _points("X", X),
        y,
        X_test=None if X_test is None else _points("X_test", X_test),
        y_test=y_test,
        test_size=test_size,
        kind=task,
        channel=channel,
        random_state=random_state,
    )
    levels, sizes = posed.levels(noise_levels), posed.sizes(train_sizes)
    matrices = _Matrices(which.for_data(posed.X), posed, sizes, trials)
    shape = (trials, len(sizes))
    test, train = np.empty((*shape, len(levels))), np.empty((*shape, len(levels)))
    cost, median, seconds, singular = np.empty(shape), np.empty(shape), np.empty(shape), np.zeros(shape, bool)
    with progress("trials", trials * len(sizes), quiet=quiet) as advance:
        for t, s in np.ndindex(shape):
            start = time.perf_counter()
            draw = posed.draw(int(sizes[s]), levels, t)
            gram, cross = matrices.of(draw)
            fit = KernelFit(gram, cross, delta, posed, draw, levels, draws)
            test[t, s], train[t, s] = fit.errors()
            cost[t, s], median[t, s] = fit.cost.mean(), np.median(fit.cost)
            singular[t, s] = fit.singular
            seconds[t, s] = time.perf_counter() - start
            advance()
    profile = NoiseProfile.of(
        posed,
        sizes,
        levels,
        test,
        train,
        np.broadcast_to(seconds[:, :, None] / len(levels), test.shape),
        estimator=f"kernel regression, {matrices.kernel}, ridge {delta:g}",
        notes=(
            f"each trial's errors are means over {draws} draw{'s' * (draws > 1)} of the noise, from one factorisation, "
            "whose time the noise levels share equally",
            *_on_squared_loss(sizes, cost, median),
            *_on_rounding(sizes, singular),
        ),
    )
    dims = ("trial", "n_train")
    return NoiseProfile(
        profile.data.assign(
            noise_cost=(dims, cost, {"long_name": "mean of |w(x)|² over test points"}),
            noise_cost_median=(dims, median, {"long_name": "median of |w(x)|² over test points"}),
        )
    )


class _Matrices:
    """Kernel matrices of draws: parts of that of all samples where that is less work and fits, else of their own."""

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
        free = free_memory()
        beside = 0.0 if task.X_test is None else m
        fits = free is None or fit + 8 * every * (every + beside) < free / 2
        each = float(np.sum(sizes * (sizes + m)))
        if fits and trials * each > 1.5 * every * (every + beside):
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
                gram = gram.copy()  # it is overwritten, and may be kept by a kernel of somebody's own
            return gram, self._checked(self.kernel(self._task.test_set(draw)[0], X))
        gram, cross = self._whole
        return gram[rows[:, None], rows], cross[:, rows] if draw.test is None else cross[
            draw.test[:, None], rows
        ]

    def _checked(self, matrix: Any) -> Matrix:
        matrix = np.asarray(matrix)
        finite("the kernel matrix", matrix, "check the kernel, or scale the inputs")
        return matrix


def label_vectors(
    task: Task, draw: Draw, levels: Matrix, n_draws: int, at_once: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Yield the noisy label vectors of a training subset, and the number of each one's level, some draws at a time.

    The first is the trial's own draw, which every other way of measuring has too, and with it come the clean labels.

    Args:
        task: from `posing.prepare`.
        draw: from `Task.draw`.
        levels: from `Task.levels`.
        n_draws: how many draws of the noise.
        at_once: of how many draws at a time.

    Yields:
        level numbers `(r,)` and label vectors `(r, n)` or `(r, n, outputs)`.
    """
    every, draws = np.arange(len(levels)), _noisy_draws(task, draw, levels[1:])
    for start in range(0, n_draws, at_once):
        some = list(islice(draws, min(at_once, n_draws - start)))
        clean = [draw.labels[:1]] if start == 0 else []
        level = [*([every[:1]] if clean else []), *[every[1:]] * len(some)]
        yield np.concatenate(level), np.concatenate([*clean, *some])


def _noisy_draws(task: Task, draw: Draw, levels: Matrix) -> Iterator[NDArray[Any]]:
    """Give draw after draw of labels at these levels, the trial's own first.

    Of a number every second draw is the mirror image of the one before: then what is linear in the noise, the product
    with the error that is there without it, cancels, and what noise adds is left.
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
        cost: the variance that unit noise in the labels gives each test point, or some of them.
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
        # Without ridge nothing but predictions is asked for, and the test points' weights are the shorter way to them
        # when label columns outnumber these.
        self._by_weights = ridge == 0 and not self.singular and total > m
        # Evenly spaced, since test sets may come in the order of their classes.
        few = np.linspace(0, m - 1, min(m, max(_COST_POINTS, n // _COST_SHARE))).astype(int)
        self._weights = self._factor.solve((cross if self._by_weights else cross[few]).T)
        self.cost = np.einsum("nm,nm->m", self._weights, self._weights)
        if not task.classes:
            # Subtracting the labels' mean and adding it back puts (1 - sum w)/n on top of each weight.
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
            columns = class_columns(labels, task.n_classes)
            found, fitted = self.predictions(columns)
            wrong = answers(found, task.n_classes) != self._truth[:, None]
            unfitted = (
                np.zeros((1, len(labels))) if fitted is None else answers(fitted, task.n_classes) != labels.T
            )
            return wrong.mean(axis=0), unfitted.mean(axis=0)
        # (r, n, outputs), centred by the training mean of each label vector.
        targets = labels.reshape(*labels.shape[:2], -1)
        mean = targets.mean(axis=1)
        columns = np.moveaxis(targets - mean[:, None], 1, 2).reshape(-1, targets.shape[1]).T
        found, fitted = self.predictions(columns)
        missed = found.reshape(-1, *mean.shape) + mean - self._truth.reshape(len(self._truth), 1, -1)
        left = np.zeros_like(columns) if fitted is None else columns - fitted
        return (
            np.square(missed).sum(axis=2).mean(axis=0),
            np.square(left.reshape(-1, *mean.shape)).sum(axis=2).mean(axis=0),
        )

    def predictions(self, columns: Matrix) -> tuple[Matrix, Matrix | None]:
        """Return predictions `(m, columns)` and the fit of the training labels, None where that is exact.

        Args:
            columns: of labels, `(n, columns)`.
        """
        if self._by_weights:
            return self._weights.T @ columns, None
        alpha = self._factor.solve(columns)
        found = self._cross @ alpha
        exact = self._factor.ridge == 0 and not self.singular
        return found, None if exact else self._factor.fitted(columns, alpha)


def _on_squared_loss(sizes: NDArray[np.int64], cost: Matrix, median: Matrix) -> tuple[str, ...]:
    """Return notes on the noise cost of the same fits in squared loss."""
    coefficient, middle = 1.0 + cost.mean(axis=0), 1.0 + np.median(median, axis=0)
    each = ", ".join(
        f"{e:.3g} ({m:.3g}) at n = {n}" for n, e, m in zip(sizes, coefficient, middle, strict=True)
    )
    said = f"squared loss of the same fits, for any labels: E0 = 1 + V (by medians): {each}"
    heavy = coefficient > TAIL * middle
    if not heavy.any():
        return (said,)
    where = ", ".join(f"n = {n}" for n in sizes[heavy])
    return (
        said,
        f"the mean noise cost in squared loss may not exist (more than {TAIL:g} medians at {where}); read the medians",
    )


def _on_rounding(sizes: NDArray[np.int64], singular: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return a note where kernel matrices were singular to rounding."""
    if not singular.any():
        return ()
    where = ", ".join(f"n = {n}" for n in sizes[singular.any(axis=0)])
    return (
        f"numerically singular kernel matrices at {where}: eigenvalues below rounding were dropped, which acts as a "
        "ridge and hides part of what noise costs",
    )


def _points(name: str, X: Any) -> Matrix:
    return to_float64(points(name, X)[1])
