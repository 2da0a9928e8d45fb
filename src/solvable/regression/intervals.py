"""How sure a learning surface is: standard errors of its predictions, and the error rates with theirs."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, t

from solvable.regression import theory
from solvable.regression.error_rate import ErrorRates
from solvable.regression.estimated_curves import EstimatedCurves
from solvable.regression.halves import HalvesCheck
from solvable.spectra import ImplicitRegularization, SpectralSums, implicit_regularization

Array = NDArray[np.float64]

# 90 % of a normal distribution lie within this many standard deviations.
NORMAL_90 = 1.645
# Past what the sample shows, ln(error rate) goes on as a line in ln(test MSE), fitted up to the size where that begins.
_LINE = np.geomspace(1 / 8, 1, 6)
# How far off the error rate itself is on real data, given the right squared error (MNIST, CIFAR-10, digits).
_RATE_ERROR = 0.05


def log_standard_error(
    curves: EstimatedCurves, check: HalvesCheck, solution: ImplicitRegularization
) -> Array:
    """Return the standard error of ln(test error) at each grid point."""
    x = solution.log_feature_ridge
    sums = curves.replicate_sums(x)

    def each(values: NDArray) -> NDArray:
        return values[..., None]

    replicates = theory.test_mse(
        ImplicitRegularization(
            each(solution.n_train),
            each(solution.n_features),
            each(solution.ridge),
            each(x),
            SpectralSums(*sums),
            each(solution.unused_samples),
            each(solution.unused_features),
        )
    )
    jackknife = _jackknife(replicates[..., 1:])
    return np.hypot(jackknife, _other_than_labels(curves, check, solution))


def error_rate(
    rates: ErrorRates,
    curves: EstimatedCurves,
    check: HalvesCheck,
    solution: ImplicitRegularization,
) -> tuple[Array, Array, Array]:
    """Return the error rate at each grid point `(n, k, ridge)`, and the ends of its 90 % interval.

    Args:
        rates: the table of the sample.
        curves: of the sample.
        check: of the sample.
        solution: of the equations, at the grid.
    """
    check = check.of_the_rate()
    test_mse = theory.test_mse(solution)
    n_samples = curves.statistics.n_samples
    replicates = rates.of(curves, solution)
    slope = np.ones(test_mse.shape)
    past = solution.log_feature_ridge < curves.log_kappa[0]
    # A kernel of fewer modes than samples shows all of its spectrum: nothing is past the sample, whatever the size.
    if curves.continuation is not None and past.any():
        columns = _up_to_the_end(curves, solution)
        mse, along = theory.test_mse(columns), rates.of(curves, columns)
        least = 0.5 / n_samples
        x, y = np.log(np.minimum(mse, 1e300)), np.log(np.maximum(along[..., 0], least))
        x_apart, y_apart = x - x.mean(axis=0), y - y.mean(axis=0)
        line = (x_apart * y_apart).sum(axis=0) / np.maximum(np.square(x_apart).sum(axis=0), 1e-300)
        line = np.clip(line, 0.0, 3.0)
        with np.errstate(invalid="ignore", over="ignore"):
            onward = along[-1] * np.exp(line * (np.log(test_mse) - x[-1]))[..., None]
        replicates = np.where(past[..., None], np.nan_to_num(onward, nan=1.0, posinf=1.0), replicates)
        slope = np.where(past, line, slope)
    correction = check.correction(solution.n_train, solution.n_features, solution.ridge)
    whole = np.clip(replicates[..., 0] * np.exp(-correction), 0.0, 1.0)
    # Of so many points none may have been wrong: the rate is then known to a few in N only.
    spread = np.hypot(_jackknife(np.maximum(replicates[..., 1:], 0.1 / n_samples)), _RATE_ERROR)
    spread = np.hypot(spread, slope * _other_than_labels(curves, check, solution))
    with np.errstate(over="ignore"):
        low, high = (whole * np.exp(sign * NORMAL_90 * spread) for sign in (-1.0, 1.0))
    # One wrong answer in one fold makes the logarithm explode: no wider than counting answers leaves it, with doubts.
    wrong = whole * n_samples
    counted = beta.ppf(0.95, wrong + 1.0, np.maximum(n_samples - wrong, 1e-9))
    doubt = np.exp(NORMAL_90 * np.hypot(slope * _other_than_labels(curves, check, solution), _RATE_ERROR))
    high = np.minimum(np.maximum(high, np.log(10.0) / n_samples), np.maximum(counted * doubt, whole))
    return whole, low, np.clip(high, 0.0, 1.0)


def _up_to_the_end(curves: EstimatedCurves, solution: ImplicitRegularization) -> ImplicitRegularization:
    r"""Return solutions at the sizes that lead to the end of what the sample shows, `(sizes, k, ridge)`.

    There $z$ and $\gamma$ are known, so that the equations of random-feature regression give $n = z + \delta / \kappa$
    with $\kappa = \gamma (k - z) / k$.
    """
    k, ridge = solution.n_features[0], solution.ridge[0]
    learned, log_ridge = curves.learned_modes[0], curves.log_kappa[0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = np.where(np.isinf(k), 1.0, np.maximum(1.0 - learned / k, 0.0))
        end = np.where(ridge > 0.0, learned + ridge * np.exp(-log_ridge) / share, learned)
    # Fewer features than that never get there.
    end = np.clip(end, learned, 1e3 * curves.statistics.n_samples)
    return implicit_regularization(curves, _LINE[:, None, None] * end, k, ridge)


def _jackknife(replicates: Array) -> Array:
    """Return the standard error of the logarithm, from values that each leave one fold out (last axis)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.nan_to_num(np.log(replicates), posinf=0.0, neginf=0.0)
    folds = logs.shape[-1]
    # Few folds know their own scatter badly: wider by Student's factor (1.05 for twenty folds, 1.3 for five).
    return t.ppf(0.95, folds - 1) / NORMAL_90 * np.sqrt((folds - 1) * logs.var(axis=-1))


def _other_than_labels(
    curves: EstimatedCurves, check: HalvesCheck, solution: ImplicitRegularization
) -> Array:
    """Return the standard error of ln(test error) for reasons other than the sample's size."""
    of_the_check = check.standard_error(solution.n_train, solution.n_features, solution.ridge)
    doubt = curves.doubt(solution.log_feature_ridge)
    return np.sqrt(_theory_error(solution) ** 2 + of_the_check**2 + doubt**2)


def _theory_error(solution: ImplicitRegularization) -> Array:
    """Return how far the theory itself is off on real data, as a standard error of ln(test error).

    Read off measurements on MNIST, CIFAR-10 and digits: about 1 % with many samples, more with few; finitely many
    features are not Gaussian (3 % at 64, falling as the square root); and near interpolation, where noise is amplified,
    so is any error.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        amplified = np.log(np.minimum(solution.overfitting_coefficient, 1e3))
    few = 0.01 + 0.5 / np.minimum(solution.n_train, solution.n_features)
    return np.sqrt(few**2 + 0.25**2 / solution.n_features + (0.03 * amplified) ** 2)
