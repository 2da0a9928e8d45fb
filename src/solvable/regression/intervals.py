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
# Past the sample, ln(error rate) continues as a line in ln(test MSE), fitted at these parts of the sample's size.
_LINE = np.geomspace(1 / 8, 1, 6)
# Its slope was 1.4, give or take 0.3, on 27 data sets, the ten of `benchmarks/forecasts.py` among them.
_USUAL_SLOPE = (1.4, 0.3)
# The curve is not quite a line: the least standard error of the fitted slope.
_LINE_ERROR = 0.3
# Standard error of the slope of ln(test error) in ln(n) past the sample, over the same data sets; and how much of the
# slope's error on halves is added to it.
_SHAPE_ERROR, _MISSED = 0.08, 0.3
# Error of the error rate itself on real data when the squared error is right (MNIST, CIFAR-10, digits).
_RATE_ERROR = 0.05
_PROPORTION = 0.5


def log_standard_error(
    curves: EstimatedCurves, check: HalvesCheck, solution: ImplicitRegularization
) -> Array:
    """Return the standard error of ln(test error) at each grid point."""
    grid = {f.name: getattr(solution, f.name)[..., None] for f in fields(solution) if f.name != "sums"}
    sums = curves.replicate_sums(solution.log_feature_ridge)
    replicates = theory.test_mse(replace(solution, sums=sums, **grid))
    return np.hypot(_jackknife(replicates[..., 1:]), _systematic_error(curves, check, solution))


def error_rate(
    rates: ErrorRates,
    curves: EstimatedCurves,
    check: HalvesCheck,
    solution: ImplicitRegularization,
    best_ridge: Array,
) -> tuple[Array, Array, Array]:
    """Return the error rate at each grid point `(n, k, ridge)`, and the ends of its 90 % interval.

    Past the sample the rate continues from its size at the same effective ridge, or at `best_ridge`, that of least test
    error there for each k, if that is larger.
    """
    check = check.of_the_rate()
    test_mse = theory.test_mse(solution)
    n_samples = curves.statistics.n_samples
    replicates = rates.of(curves, solution)
    slope, spread_of_slope = np.ones(test_mse.shape), np.zeros(test_mse.shape)
    past = solution.n_train > n_samples
    if past.any():
        # At equal effective ridges the ridge is in proportion to the samples minus the modes learned.
        z = solution.sums.learned_modes
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.nan_to_num(np.maximum(n_samples - z, 0.0) / (solution.n_train - z))
        ridge = np.clip(
            solution.ridge * part, np.minimum(best_ridge[:, None], solution.ridge), solution.ridge
        )
        sizes = (_LINE * n_samples)[:, None, None, None]
        at_sample = implicit_regularization(curves, sizes, solution.n_features, ridge)
        mse, along = theory.test_mse(at_sample), rates.of(curves, at_sample)
        line, line_error = _slope(mse, np.maximum(along, 0.5 / n_samples))
        with np.errstate(invalid="ignore", over="ignore"):
            shrunk = np.log(test_mse) - np.log(np.minimum(mse[-1], 1e300))
            onward = np.nan_to_num(along[-1] * np.exp(line * shrunk)[..., None], nan=1.0, posinf=1.0)
        if curves.continuation is None:
            # The sample shows the whole spectrum of a kernel with fewer modes.
            onward = np.minimum(replicates, along[-1])
        # Near a peak of the error at the sample's size no line in its logarithm leads on.
        past &= mse[-1] <= 1.001 * mse.min(axis=0)
        replicates = np.where(past[..., None], onward, replicates)
        slope = np.where(past, line, slope)
        spread_of_slope = np.where(
            past, line_error * np.abs(np.nan_to_num(shrunk, posinf=0.0, neginf=0.0)), 0.0
        )
    correction = check.correction(solution.n_train, solution.n_features, solution.ridge)
    whole = np.clip(replicates[..., 0] * np.exp(-correction), 0.0, 1.0)
    systematic = slope * _systematic_error(curves, check, solution)
    # If no point is wrong, the rate is known only to a few in N.
    spread = np.hypot(_jackknife(np.maximum(replicates[..., 1:], 0.1 / n_samples)), _RATE_ERROR)
    spread = np.hypot(np.hypot(spread, systematic), spread_of_slope)
    # Where every point's answer is as uncertain, leaving a fold out changes nothing: part of a proportion's own error.
    rate = np.clip(whole, 0.5 / n_samples, 1.0)
    spread = np.hypot(spread, _PROPORTION * np.sqrt((1.0 - rate) / (rate * n_samples)))
    with np.errstate(over="ignore"):
        low, high = (whole * np.exp(sign * NORMAL_90 * spread) for sign in (-1.0, 1.0))
    # A single wrong point in one fold makes the logarithm explode: the upper end is at most that of a binomial
    # proportion, times the systematic error.
    wrong = whole * n_samples
    binomial = beta.ppf(0.95, wrong + 1.0, np.maximum(n_samples - wrong, 1e-9))
    factor = np.exp(NORMAL_90 * np.hypot(systematic, _RATE_ERROR))
    high = np.minimum(np.maximum(high, np.log(10.0) / n_samples), np.maximum(binomial * factor, whole))
    return whole, low, np.clip(high, 0.0, 1.0)


def _slope(mse: Array, rates: Array) -> tuple[Array, Array]:
    """Return the slope of ln(rate) in ln(mse) and its standard error, from sizes up to the sample's, for each column.

    Args:
        mse: `(sizes, *grid)`.
        rates: of the whole sample and without each fold, `(sizes, *grid, 1 + folds)`.
    """
    x, y = np.log(np.minimum(mse, 1e300)), np.log(rates)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    slopes = (x[..., None] * y).sum(axis=0) / np.maximum(np.square(x).sum(axis=0), 1e-300)[..., None]
    folds = slopes.shape[-1] - 1
    variance = (folds - 1) * slopes[..., 1:].var(axis=-1) + _LINE_ERROR**2
    prior, spread = _USUAL_SLOPE
    precision = 1.0 / variance + 1.0 / spread**2
    slope = (slopes[..., 0] / variance + prior / spread**2) / precision
    return np.clip(slope, prior - 2 * spread, prior + 2 * spread), precision**-0.5


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
    # Past the sample, what no part of it shows; more where its halves showed that the law does not hold.
    missed = np.hypot(_SHAPE_ERROR, _MISSED * abs(np.nan_to_num(check.log_fall_ratio)) / np.log(2.0))
    beyond = missed * np.log(np.maximum(solution.n_train / curves.statistics.n_samples, 1.0))
    return np.sqrt(_theory_error(solution) ** 2 + check_error**2 + doubt**2 + beyond**2)


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
