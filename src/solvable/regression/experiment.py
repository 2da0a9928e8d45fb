"""Measurement: kernel ridge and random-feature regression, trained and tested over grids of n, k and ridge.

One trial is one random order of the data: its first points are the training sets of all sizes, its last points the test
set. Trials share the kernel matrix; within a trial all sizes share a factorisation (`nested`).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve, lstsq

from solvable.checks import grid, whole_grid
from solvable.datasets.inputs import check_lengths, check_rows, point_array
from solvable.errors import InputError
from solvable.kernels import Kernel, as_kernel
from solvable.kernels.inputs import to_float64
from solvable.regression.intercept import contrast_gram, contrasts, from_contrasts
from solvable.regression.nested import fewer_outputs, nested_dual_coefficients
from solvable.regression.targets import Targets, as_targets

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
_MOST_FEATURES = 1e9


def measure(
    kernel: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_train: ArrayLike,
    n_features: ArrayLike = np.inf,
    ridge: ArrayLike = 0.0,
    splits: int | Iterable[tuple[ArrayLike, ArrayLike]] = 5,
    random_state: int = 0,
) -> "xr.Dataset":
    r"""Return measured test and training errors for every combination of sample size, features and ridge.

    $\hat f(x) = k(x)^\top (K + \delta I)^{-1} Y$, the least-norm interpolant at ridge 0; with random features
    the kernel is that of the features, $\phi(x) \cdot \phi(x')$. This is `KernelRidge(alpha=ridge)` of
    scikit-learn on each training set, with one kernel matrix for all and one factorisation per split and ridge
    for all sizes.

    Args:
        kernel: as in `LearningSurface.from_kernel`; a missing bandwidth is the median distance of `X`.
        X: inputs, `(N, d)`, already scaled.
        y: labels, as in `LearningSurface.from_gram`.
        n_train: training set sizes; each set is the first n indices of a split's training part.
        n_features: numbers of random features, `inf` for the kernel itself; smaller sets are the first columns.
        ridge: $\delta \ge 0$, not divided by n.
        splits: number of random splits (the largest training set against the rest), or pairs of training and test
            indices, such as `ShuffleSplit().split(X)` of scikit-learn.
        random_state: seed of the splits and the random features.

    Returns:
        `test_mse` and `train_mse`, summed over outputs (scikit-learn averages over them), and for classes `error_rate`,
        the share of test points whose largest output is not that of their class; with dims `trial`, `n_train`,
        `n_features`, `ridge`.

    Raises:
        InputError: when a training set is larger than its split, or for values out of range.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X, y = load_digits(return_X_y=True)
        >>> curves = measure("laplace", X, y, n_train=[100, 400], ridge=[0, 1], splits=2)
        >>> bool((curves.test_mse.sel(n_train=400) < curves.test_mse.sel(n_train=100)).all())
        True
    """
    check_rows(X=X, y=y)
    X = point_array(X)
    targets = as_targets(y)
    check_lengths(len(X), len(targets))
    sizes = whole_grid("n_train", n_train, at_least=2 if targets.intercept else 1)
    widths = whole_widths(n_features)
    ridges = grid("ridge", ridge, at_least=0.0)
    if np.isinf(ridges).any():
        raise InputError("ridge must be finite; got inf")
    resolved = as_kernel(kernel).for_data(X)
    pairs = (
        [random_split(len(X), int(sizes.max()), [random_state, t]) for t in range(splits)]
        if isinstance(splits, (int, np.integer))
        else [(np.asarray(train), np.asarray(test)) for train, test in splits]
    )
    if not pairs:
        raise InputError(f"splits must be at least one split; got {splits!r}")
    for train, test in pairs:
        if len(test) == 0:
            raise InputError("a split has no test points; expected at least one")
        for part in (train, test):
            if part.dtype.kind not in "iu" or part.min() < 0 or part.max() >= len(X):
                raise InputError(
                    f"splits must be indices of the {len(X)} points, 0 to {len(X) - 1}; got others"
                )
        if len(np.intersect1d(train, test)):
            raise InputError("a split tests on points that it trains on; expected disjoint indices")
        if len(train) < sizes.max():
            raise InputError(
                f"n_train {sizes.max()} exceeds the {len(train)} training points of a split; use smaller sizes, or "
                "predict beyond the data with LearningSurface"
            )
    gram = np.asarray(resolved(X)) if np.isinf(widths).any() else None
    trials = [
        trial_errors(resolved, X, targets, gram, train, test, sizes, widths, ridges, [random_state, t])
        for t, (train, test) in enumerate(pairs)
    ]
    return as_dataset(np.stack(trials), sizes, widths, ridges)


def whole_widths(n_features: ArrayLike) -> Array:
    """Return numbers of features as a flat array, each a whole number or `inf`.

    Raises:
        InputError: when one is something else.
    """
    widths = grid("n_features", n_features, at_least=1.0)
    if (fractional := widths != np.floor(widths)).any():
        raise InputError(f"n_features must be whole numbers or inf; got {widths[fractional][0]:g}")
    if (large := np.isfinite(widths) & (widths > _MOST_FEATURES)).any():
        raise InputError(f"n_features must be at most {_MOST_FEATURES:g}, or inf; got {widths[large][0]:g}")
    return widths


def random_split(n_points: int, largest: int, seed: Sequence[int]) -> tuple[Indices, Indices]:
    """Return the indices of the largest training set, in random order, and of the test set, the rest.

    Raises:
        InputError: when the test set would be empty.
    """
    if largest >= n_points:
        raise InputError(
            f"n_train {largest} leaves none of the {n_points} points for testing; expected at most {n_points - 1}: "
            "predict beyond the data with LearningSurface"
        )
    order = np.random.default_rng([*seed, 0]).permutation(n_points)
    return order[:largest], order[largest:]


def as_dataset(errors: NDArray, n_train: NDArray, n_features: NDArray, ridge: NDArray) -> "xr.Dataset":
    """Return errors `(*trial, quantity, n_train, n_features, ridge)` as a labelled dataset."""
    import xarray as xr

    dims = (*(("trial",) if errors.ndim == 5 else ()), "n_train", "n_features", "ridge")
    long_names = {
        "test_mse": "test error, summed over outputs",
        "train_mse": "training error, summed over outputs",
        "error_rate": "error rate",
    }
    variables = {
        name: (dims, errors[..., i, :, :, :], {"long_name": long_name})
        for i, (name, long_name) in enumerate(long_names.items())
    }
    if np.isnan(errors[..., 2, :, :, :]).all():
        del variables["error_rate"]
    return xr.Dataset(variables, {"n_train": n_train.astype(float), "n_features": n_features, "ridge": ridge})


def trial_errors(
    kernel: Kernel | None,
    X: Any,
    targets: Targets,
    gram: Array | None,
    train: Indices,
    test: Indices,
    n_train: Indices,
    n_features: Array,
    ridge: Array,
    seed: Sequence[int],
) -> Array:
    """Return test error, training error and error rate of one split, `(3, n_train, n_features, ridge)`.

    The error rate of numbers is NaN.

    Args:
        kernel: resolved; it and X may be None if all numbers of features are infinite.
        X: all points, `(N, d)`.
        targets: of all points.
        gram: kernel matrix of all points, needed if `n_features` has `inf`.
        train: indices of the largest training set, in order.
        test: indices of the test set.
        n_train: sizes.
        n_features: numbers of features.
        ridge: ridges.
        seed: of the random features.
    """
    train = train[: n_train.max()]
    columns, rotation = fewer_outputs(targets.columns)
    train_y, test_y = columns[train], columns[test]
    errors = np.full((3, len(n_train), len(n_features), len(ridge)), np.nan)
    most = int(max(n_features[np.isfinite(n_features)], default=0))
    features = np.empty(0)
    if most:
        assert kernel is not None
        drawn = kernel.features(most, random_state=[*seed, 1], orthogonal=False)
        features = to_float64(drawn(X[np.concatenate([train, test])]))
    for j, k in enumerate(n_features):
        if np.isinf(k):
            assert gram is not None
            inner, cross = gram[np.ix_(train, train)], gram[np.ix_(test, train)]
            fits = _kernel_fits(inner, cross, train_y, n_train, ridge, targets.intercept)
        else:
            scaled = features[:, : int(k)] * np.sqrt(most / k)
            split = scaled[: len(train)], scaled[len(train) :]
            fits = _feature_fits(*split, train_y, n_train, ridge, targets.intercept)
        for r, predictions, train_error in fits:
            errors[0, :, j, r] = np.square(predictions - test_y[:, None]).sum(axis=2).mean(axis=0)
            errors[1, :, j, r] = train_error
            if targets.codes is not None:
                answers = (predictions @ rotation + targets.offset).argmax(axis=2)
                errors[2, :, j, r] = (answers != targets.codes[test, None]).mean(axis=0)
    return errors


Fits = Iterator[tuple[int, Array, Array]]


def dual_fits(
    gram: Array, targets: Array, n_train: Indices, ridge: Array, intercept: bool
) -> Iterator[tuple[int, Array, Array, Array]]:
    r"""Yield ridge index, dual coefficients, intercepts and training error of each size.

    The coefficients are as in `nested_dual_coefficients`, intercepts `(sizes, outputs)`, training errors `(sizes,)`.
    """
    rounding = len(gram) * np.finfo(float).eps * float(gram.trace())
    if intercept:
        coefficients = nested_dual_coefficients(contrast_gram(gram), contrasts(targets), n_train - 1, ridge)
    else:
        coefficients = nested_dual_coefficients(gram, targets, n_train, ridge)
    for r, alpha in coefficients:
        shift = np.zeros((len(n_train), targets.shape[1]))
        squares = np.square(ridge[r] * alpha).sum(axis=(0, 2))  # (K + δ) α = y - b, so the residual is δ α
        below = ridge[r] <= rounding  # the residual is what a singular matrix leaves
        if intercept or below:
            alpha = from_contrasts(alpha) if intercept else alpha
            for i, n in enumerate(n_train):
                residual = targets[:n] - gram[:n, :n] @ alpha[:n, i]
                if intercept:
                    shift[i] = residual.mean(axis=0)
                if below:
                    squares[i] = np.square(residual - shift[i]).sum()
        yield r, alpha, shift, squares / n_train


def _kernel_fits(
    inner: Array, cross: Array, targets: Array, n_train: Indices, ridge: Array, intercept: bool
) -> Fits:
    """Yield ridge index, predictions `(test points, sizes, outputs)` and training error of each size."""
    for r, alpha, shift, train_error in dual_fits(inner, targets, n_train, ridge, intercept):
        predictions = (cross @ alpha.reshape(len(alpha), -1)).reshape(len(cross), *alpha.shape[1:])
        yield r, predictions + shift, train_error


def _feature_fits(
    train: Array, test: Array, targets: Array, n_train: Indices, ridge: Array, intercept: bool
) -> Fits:
    """Yield the same for ridge regression on features, in the space of samples or features, whichever is smaller."""
    k, largest = train.shape[1], int(n_train.max())
    positive = np.flatnonzero(ridge > 0)
    primal_cost = sum(float(n) * k**2 + len(positive) * k**3 / 3 for n in n_train)
    dual_cost = float(largest) ** 2 * k + len(positive) * float(largest) ** 3 / 3
    dual = len(positive) > 0 and dual_cost <= primal_cost
    if dual:
        fits = _kernel_fits(train @ train.T, test @ train.T, targets, n_train, ridge[positive], intercept)
        for r, predictions, train_error in fits:
            yield int(positive[r]), predictions, train_error
    # Weights (features, sizes, outputs) and intercepts (sizes, outputs) of the other ridges.
    others = np.flatnonzero(ridge == 0) if dual else np.arange(len(ridge))
    weights = np.empty((len(others), k, len(n_train), targets.shape[1]))
    shifts = np.empty((len(others), len(n_train), targets.shape[1]))
    for i, n in enumerate(n_train):
        inputs, outputs = train[:n], targets[:n]
        input_means, output_means = (values.mean(axis=0) * intercept for values in (inputs, outputs))
        if intercept:
            inputs, outputs = inputs - input_means, outputs - output_means
        normal, right = (inputs.T @ inputs, inputs.T @ outputs) if not dual else (None, None)
        for j, r in enumerate(others):
            if ridge[r] == 0:
                # No normal equations: near n = k they would square a large condition number.
                # SciPy's default threshold, eps alone, keeps the rounding noise of linearly dependent features.
                cond = max(n, k) * np.finfo(float).eps
                weights[j, :, i] = lstsq(inputs, outputs, cond=cond, check_finite=False)[0]  # pyright: ignore
            else:
                matrix: Any = np.array(normal)
                matrix.flat[:: k + 1] += ridge[r]
                weights[j, :, i] = cho_solve(cho_factor(matrix, overwrite_a=True, check_finite=False), right)
            shifts[j, i] = output_means - input_means @ weights[j, :, i]
    for j, r in enumerate(others):
        flat = weights[j].reshape(k, -1)
        predictions = (test @ flat).reshape(len(test), *weights.shape[2:]) + shifts[j]
        fitted = (train @ flat).reshape(largest, *weights.shape[2:]) + shifts[j]
        squares = [np.square(targets[:n] - fitted[:n, i]).sum() for i, n in enumerate(n_train)]
        yield int(r), predictions, np.array(squares) / n_train
