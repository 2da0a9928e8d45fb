r"""The eigenframework of kernel ridge and random-feature regression: test and train error in closed form.

With $n$ samples, $k$ random features (infinite for a kernel), ridge $\delta$, and $z, g, B_1, B_2$ the sums of
`spectra.SpectralSums` at the effective ridge $\gamma$, write $N = n - z$ and $F = k - z$ for the unused samples and
features. Then

$$ \text{test} = n \, \frac{F B_2 + g B_1}{N F + g (N + F)}, \qquad \text{train} = (N/n)^2 \, \text{test}, \qquad
   \mathcal{E}_0 = n \, \frac{F + g}{N F + g (N + F)}. $$

This is the published random-feature formula without its differences of nearly equal numbers: every term is positive,
so the interpolation peak at $n = k$ is resolved to the last digit. The same expression covers, as limits,
$k \to \infty$ (kernel ridge regression), $n \to \infty$, zero ridge and fewer modes than samples.

Everything here is a function of a task's sums, either of a known `Eigensystem` or, estimated from data, of a
`LearningSurface`.

Conventions: $\delta$ is added to the Gram matrix undivided, as scikit-learn's `KernelRidge(alpha=)` does; errors are
summed over outputs (scikit-learn averages over them); test error includes the noise.

Sources: arXiv:2311.14646 (RF eigenframework), arXiv:2110.03922 (KRR, per-mode moments).
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import elementwise

from solvable.checks import grid, numbers
from solvable.errors import InputError
from solvable.spectra import (
    Eigensystem,
    ImplicitRegularization,
    SpectralCurves,
    implicit_regularization,
    learnabilities,
)
from solvable.spectra.sums import Grid

if TYPE_CHECKING:
    import xarray as xr


def test_mse(solution: ImplicitRegularization) -> Grid:
    r"""Return the test error per sample, summed over outputs, noise included; `inf` at $n = k$ and ridge 0."""
    return solution.test_error(solution.sums.squared_bias, solution.sums.linear_bias)


test_mse.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]  # despite its name, no test for pytest


def train_mse(solution: ImplicitRegularization) -> Grid:
    r"""Return the training error $(\delta/(n\kappa))^2 \cdot$ test; exactly 0 where the model interpolates."""
    unused = solution.unused_samples
    with np.errstate(invalid="ignore"):
        return np.where(unused == 0.0, 0.0, unused**2 * test_mse(solution))


def predict(
    eigensystem: SpectralCurves, n_train: ArrayLike, n_features: ArrayLike = np.inf, ridge: ArrayLike = 0.0
) -> "xr.Dataset":
    r"""Return the theory's prediction for every combination of sample size, number of features and ridge.

    Args:
        eigensystem: the task; an `Eigensystem`, or any `SpectralCurves`.
        n_train: numbers of training samples, > 0, `inf` for the limit.
        n_features: numbers of random features, > 0, `inf` for kernel ridge regression.
        ridge: $\delta \ge 0$, the number added to the diagonal of the Gram matrix, not divided by $n$.

    Returns:
        a dataset with dims `n_train`, `n_features`, `ridge` (always all three) and variables

        - `test_mse`: per sample, summed over outputs, noise included; `inf` at $n = k$ and ridge 0,
        - `train_mse`,
        - `bias`: $\sum_i (1 - L_i)^2 v_i^2$, error of the mean predictor; `squared_bias`: $B_2$, bias and noise;
          `variance`: the rest,
        - `overfitting_coefficient`: $\mathcal{E}_0$, test error of pure unit noise,
        - `learned_modes`: $z$, the effective number of modes learned,
        - `effective_ridge`: $\kappa$; `feature_ridge`: $\gamma$ (equal for infinite features), in units of the kernel;
          `log_effective_ridge`, `log_feature_ridge`: their logarithms, which never underflow.

    Raises:
        InputError: for values outside the ranges above.

    Example:
        >>> from solvable.spectra import Eigensystem
        >>> task = Eigensystem(eigenvalues=[0.1] * 8, target_power=[1 / 8] * 8, noise=0.5)
        >>> theory = predict(task, n_train=[4, 64], n_features=[16, float("inf")], ridge=[0, 0.1])
        >>> float(theory.test_mse.sel(n_train=4, n_features=float("inf"), ridge=0))
        1.5
        >>> theory.sizes["n_train"], theory.sizes["n_features"], theory.sizes["ridge"]
        (2, 2, 2)
    """
    prediction = as_dataset(solve(eigensystem, n_train, n_features, ridge))
    test, squared_bias = prediction.test_mse, prediction.squared_bias
    bias, variance = squared_bias - eigensystem.noise, test - squared_bias
    prediction["bias"] = bias.clip(0.0).assign_attrs(long_name="squared bias, without noise")
    prediction["variance"] = variance.clip(0.0).assign_attrs(long_name="variance")
    return prediction


def solve(
    curves: SpectralCurves, n_train: ArrayLike, n_features: ArrayLike, ridge: ArrayLike
) -> ImplicitRegularization:
    """Return the implicit regularisation at every combination of three axes, in the order of `predict`'s dims."""
    if not isinstance(curves, SpectralCurves):
        raise InputError(
            f"predict takes an Eigensystem or other spectral curves; got a {type(curves).__name__}; a LearningSurface "
            "has its own .predict, for a Gram matrix use LearningSurface.from_gram"
        )
    n = grid("n_train", n_train, above=0.0)
    k = grid("n_features", n_features, above=0.0)
    delta = grid("ridge", ridge, at_least=0.0)
    return implicit_regularization(curves, n[:, None, None], k[:, None], delta)


def as_dataset(solution: ImplicitRegularization) -> "xr.Dataset":
    """Return the quantities of a `solve`d grid as a labelled dataset; `squared_bias` includes the noise."""
    import xarray as xr

    quantities = {
        "test_mse": (test_mse(solution), "test error, summed over outputs"),
        "train_mse": (train_mse(solution), "training error, summed over outputs"),
        "squared_bias": (solution.sums.squared_bias, "squared bias, noise included"),
        "overfitting_coefficient": (solution.overfitting_coefficient, "overfitting coefficient"),
        "learned_modes": (solution.sums.learned_modes, "modes learned"),
        "effective_ridge": (np.exp(solution.log_effective_ridge), "effective ridge"),
        "feature_ridge": (np.exp(solution.log_feature_ridge), "effective ridge of the features"),
        "log_effective_ridge": (solution.log_effective_ridge, "log effective ridge"),
        "log_feature_ridge": (solution.log_feature_ridge, "log effective ridge of the features"),
    }
    axes = {
        "n_train": (solution.n_train[:, 0, 0], "training samples"),
        "n_features": (solution.n_features[0, :, 0], "random features"),
        "ridge": (solution.ridge[0, 0], "ridge"),
    }
    return xr.Dataset(
        {name: (tuple(axes), values, {"long_name": text}) for name, (values, text) in quantities.items()},
        {name: (name, values, {"long_name": text}) for name, (values, text) in axes.items()},
    )


def learned_coefficients(
    eigensystem: Eigensystem, n_train: ArrayLike, n_features: ArrayLike = np.inf, ridge: ArrayLike = 0.0
) -> tuple[Grid, Grid]:
    r"""Return the mean fraction learned and the variance of each mode's coefficient over training sets and features.

    $\mathbb{E}[\hat v_i] = L_i v_i$ and, per mode,

    $$ \mathrm{Var}[\hat v_i] = \frac{\text{test}}{n}\Big(L_i^2 + \frac{g}{F + g} L_i (1 - L_i)\Big)
       + L_i (1 - L_i) \frac{B_1 - B_2}{F + g}, $$

    which for a kernel ($F \to \infty$) is $L_i^2\,\text{test}/n$. The sum over modes is `variance`.

    Args:
        eigensystem: the task; modes of its tail are left out.
        n_train: $n$, > 0; broadcasts with `n_features` and `ridge` to the shape `(*grid)`.
        n_features: $k$, > 0, `inf` for a kernel.
        ridge: $\delta \ge 0$.

    Returns:
        learnability $L_i$ and variance, each `(*grid, levels)`; the variance is that of one mode, summed over outputs.
        Multiply by `multiplicities` for that of a level.

    Source: the kernel case is arXiv:2110.03922, eq. 11; the random-feature case is derived here and checked by
    simulation in the tests.

    Example:
        >>> task = Eigensystem(eigenvalues=[0.1] * 8, target_power=[1 / 8] * 8, noise=0.5)
        >>> learned, variance = learned_coefficients(task, n_train=4)
        >>> float(learned[0].round(12)), float(variance[0].round(12))
        (0.5, 0.09375)
    """
    solution = implicit_regularization(eigensystem, n_train, n_features, ridge)
    learned = learnabilities(eigensystem, solution.log_feature_ridge)
    partly = learned * (1.0 - learned)
    s = solution.sums
    g, unused = s.partly_learned_modes, solution.n_features * solution.unused_features
    with np.errstate(invalid="ignore", divide="ignore"):
        none = np.isinf(unused) | (g == 0.0)
        rotation = np.where(none, 0.0, g / (unused + g))[..., None]
        spread = np.where(none, 0.0, (s.linear_bias - s.squared_bias) / (unused + g))[..., None]
        per_sample = np.where(np.isinf(solution.n_train), 0.0, test_mse(solution) / solution.n_train)[
            ..., None
        ]
        variance = per_sample * (learned**2 + rotation * partly) + spread * partly
    return learned, variance


def optimal_ridge(
    curves: SpectralCurves, n_train: ArrayLike, n_features: ArrayLike = np.inf
) -> tuple[Grid, Grid]:
    r"""Return the ridge of least test error and that error, for each $(n, k)$.

    As a function of the effective ridge $\gamma$ the ridge is $\delta = n \gamma (1 - z/n)(1 - z/k)$, so the search
    solves no equation: a scan over $\ln\gamma$ is followed by a bracketed minimisation around its best point. Of two
    minima near a double-descent peak the lower is returned; if no ridge is better than zero beyond rounding, 0.

    Args:
        curves: the task.
        n_train: $n$, > 0, finite; broadcasts with `n_features`.
        n_features: $k$, > 0, `inf` for a kernel.

    Returns:
        ridge and test error, each of the broadcast shape.

    Example:
        Fifty equal modes, noise as strong as the target: the Bayes-optimal ridge, λ σ²/v².

        >>> ridge, error = optimal_ridge(Eigensystem([1.0] * 50, [0.02] * 50, noise=1.0), n_train=100)
        >>> round(float(ridge), 4)
        50.0
    """
    shape = np.broadcast_shapes(np.shape(n_train), np.shape(n_features))
    if np.isinf(numbers("n_train", n_train, above=0.0)).any():
        raise InputError("n_train must be finite for an optimal ridge; got inf")
    n = np.broadcast_to(numbers("n_train", n_train, above=0.0), shape).ravel()
    k = np.broadcast_to(numbers("n_features", n_features, above=0.0), shape).ravel()
    ridgeless = implicit_regularization(curves, n, k, 0.0)
    error_at_zero = test_mse(ridgeless)
    if np.isneginf(curves.log_trace):  # nothing can be learned
        return np.zeros(shape), error_at_zero.reshape(shape)

    # From zero ridge (or far below the smallest relevant eigenvalue) to where hardly anything is learned.
    lowest = curves.log_trace - np.log(np.minimum(n, k)) - 60.0
    low = np.where(np.isneginf(ridgeless.log_feature_ridge), lowest, ridgeless.log_feature_ridge)
    high = np.maximum(curves.log_trace + 12.0, low + 1.0)
    # Near zero the ridge is proportional to the distance from `low`, where the scan is therefore geometric.
    offsets = np.concatenate([np.geomspace(1e-9, 1 / 240, 60)[:-1], np.linspace(0.0, 1.0, 241)[1:]])
    scan = low + (high - low) * offsets[:, None]

    def log_error(x: Grid, n: Grid, k: Grid) -> Grid:
        return np.log(np.maximum(test_mse(_at(curves, x, n, k)), 1e-300))

    values = log_error(scan, n, k)
    best = np.argmin(values, axis=0)
    columns = np.arange(len(n))
    middle = np.clip(best, 1, len(scan) - 2)
    bracket = (scan[middle - 1, columns], scan[middle, columns], scan[middle + 1, columns])
    tolerances = {"xrtol": 0.0, "xatol": 1e-9}
    minimum = elementwise.find_minimum(log_error, bracket, args=(n, k), tolerances=tolerances)
    inside = (best > 0) & (best < len(scan) - 1) & minimum.success
    x = np.where(inside, minimum.x, scan[best, columns])
    solution = _at(curves, x, n, k)
    with np.errstate(over="ignore"):
        ridge = n * np.exp(x) * solution.unused_samples * solution.unused_features
    error = test_mse(solution)
    at_zero = error_at_zero <= error * (1.0 + 1e-12)
    ridge, error = np.where(at_zero, 0.0, ridge), np.where(at_zero, error_at_zero, error)
    return ridge.reshape(shape), error.reshape(shape)


def _at(curves: SpectralCurves, x: Grid, n: Grid, k: Grid) -> ImplicitRegularization:
    r"""Return the solution at the effective ridge $\gamma = e^x$; its `ridge` is NaN."""
    sums = curves.sums(x)
    n, k = np.broadcast_to(n, x.shape), np.broadcast_to(k, x.shape)
    unused = np.maximum(1.0 - sums.learned_modes / n, 0.0), np.maximum(1.0 - sums.learned_modes / k, 0.0)
    return ImplicitRegularization(n, k, np.full(x.shape, np.nan), x, sums, *unused)
