"""Uncertainty of a learning surface: standard errors of predicted test errors, and intervals of error rates."""

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, t

from solvable.regression import theory
from solvable.regression.error_rate import ErrorRates
from solvable.regression.estimated_curves import EstimatedCurves
from solvable.regression.halves import HalvesCheck
from solvable.spectra import ImplicitRegularization, implicit_regularization

Array = NDArray[np.float64]

# 90 % of a normal distribution lie within this many standard deviations.
NORMAL_90 = 1.645
# Past the sample, ln(error rate) continues as a line in ln(test MSE), fitted at these multiples of the last size.
_LINE = np.geomspace(1 / 8, 1, 6)
# Error of the error rate itself on real data when the squared error is right (MNIST, CIFAR-10, digits).
_RATE_ERROR = 0.05


def log_standard_error(
    curves: EstimatedCurves, check: HalvesCheck, solution: ImplicitRegularization
) -> Array:
    """Return the standard error of ln(test error) at each grid point."""
    grid = {f.name: getattr(solution, f.name)[..., None] for f in fields(solution) if f.name != "sums"}
    sums = curves.replicate_sums(solution.log_feature_ridge)
    replicates = theory.test_mse(replace(solution, sums=sums, **grid))
    return np.hypot(_jackknife(replicates[..., 1:]), _systematic_error(curves, check, solution))


def error_rate(
    rates: ErrorRates, curves: EstimatedCurves, check: HalvesCheck, solution: ImplicitRegularization
) -> tuple[Array, Array, Array]:
    """Return the error rate at each grid point `(n, k, ridge)`, and the ends of its 90 % interval."""
    check = check.of_the_rate()
    test_mse = theory.test_mse(solution)
    n_samples = curves.statistics.n_samples
    replicates = rates.of(curves, solution)
    slope = np.ones(test_mse.shape)
    past = solution.log_feature_ridge < curves.log_kappa[0]
    # The sample shows the whole spectrum of a kernel with fewer modes than samples: no size is past it.
    if curves.continuation is not None and past.any():
        columns = _up_to_the_end(curves, solution)
        mse, rates_along = theory.test_mse(columns), rates.of(curves, columns)
        x, y = np.log(np.minimum(mse, 1e300)), np.log(np.maximum(rates_along[..., 0], 0.5 / n_samples))
        x_apart, y_apart = x - x.mean(axis=0), y - y.mean(axis=0)
        line = (x_apart * y_apart).sum(axis=0) / np.maximum(np.square(x_apart).sum(axis=0), 1e-300)
        line = np.clip(line, 0.0, 3.0)
        with np.errstate(invalid="ignore", over="ignore"):
            onward = rates_along[-1] * np.exp(line * (np.log(test_mse) - x[-1]))[..., None]
        replicates = np.where(past[..., None], np.nan_to_num(onward, nan=1.0, posinf=1.0), replicates)
        slope = np.where(past, line, slope)
    correction = check.correction(solution.n_train, solution.n_features, solution.ridge)
    whole = np.clip(replicates[..., 0] * np.exp(-correction), 0.0, 1.0)
    systematic = slope * _systematic_error(curves, check, solution)
    # If no point is wrong, the rate is known only to a few in N.
    spread = np.hypot(_jackknife(np.maximum(replicates[..., 1:], 0.1 / n_samples)), _RATE_ERROR)
    spread = np.hypot(spread, systematic)
    with np.errstate(over="ignore"):
        low, high = (whole * np.exp(sign * NORMAL_90 * spread) for sign in (-1.0, 1.0))
    # A single wrong point in one fold makes the logarithm explode: the upper end is at most that of a binomial
    # proportion, times the systematic error.
    wrong = whole * n_samples
    binomial = beta.ppf(0.95, wrong + 1.0, np.maximum(n_samples - wrong, 1e-9))
    factor = np.exp(NORMAL_90 * np.hypot(systematic, _RATE_ERROR))
    high = np.minimum(np.maximum(high, np.log(10.0) / n_samples), np.maximum(binomial * factor, whole))
    return whole, low, np.clip(high, 0.0, 1.0)


def _up_to_the_end(curves: EstimatedCurves, solution: ImplicitRegularization) -> ImplicitRegularization:
    r"""Return solutions at the sizes that lead to the end of the sample's range, `(sizes, k, ridge)`.

    There $z$ and $\gamma$ are known, so that the equations of random-feature regression give $n = z + \delta / \kappa$
    with $\kappa = \gamma (k - z) / k$.
    """
    k, ridge = solution.n_features[0], solution.ridge[0]
    learned, log_ridge = curves.learned_modes[0], curves.log_kappa[0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = np.where(np.isinf(k), 1.0, np.maximum(1.0 - learned / k, 0.0))
        end = np.where(ridge > 0.0, learned + ridge * np.exp(-log_ridge) / share, learned)
    # With fewer than z features no size reaches the end.
    end = np.clip(end, learned, 1e3 * curves.statistics.n_samples)
    return implicit_regularization(curves, _LINE[:, None, None] * end, k, ridge)


def _jackknife(replicates: Array) -> Array:
    """Return the standard error of the logarithm, from values that each leave one fold out (last axis)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.nan_to_num(np.log(replicates), posinf=0.0, neginf=0.0)
    folds = logs.shape[-1]
    # With few folds the scatter is uncertain: widen by Student's factor (1.05 for twenty folds, 1.3 for five).
    return t.ppf(0.95, folds - 1) / NORMAL_90 * np.sqrt((folds - 1) * logs.var(axis=-1))


def _systematic_error(curves: EstimatedCurves, check: HalvesCheck, solution: ImplicitRegularization) -> Array:
    """Return the standard error of ln(test error) that does not come from the sample's size."""
    check_error = check.standard_error(solution.n_train, solution.n_features, solution.ridge)
    doubt = curves.doubt(solution.log_feature_ridge)
    return np.sqrt(_theory_error(solution) ** 2 + check_error**2 + doubt**2)


def _theory_error(solution: ImplicitRegularization) -> Array:
    """Return the error of the theory itself on real data, as a standard error of ln(test error).

    Read off measurements on MNIST, CIFAR-10 and digits: about 1 % with many samples and more with few. A finite number
    of features is not Gaussian (3 % at 64, falling as the square root). Near interpolation, where noise is amplified,
    so is any error.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        amplified = np.log(np.minimum(solution.overfitting_coefficient, 1e3))
    few = 0.01 + 0.5 / np.minimum(solution.n_train, solution.n_features)
    return np.sqrt(few**2 + 0.25**2 / solution.n_features + (0.03 * amplified) ** 2)
