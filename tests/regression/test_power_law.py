"""When interpolation is optimal: the power-law theorem against the sheet's numbers and the full eigenframework."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from solvable.errors import InputError
from solvable.regression import (
    interpolation_threshold,
    optimal_ridge,
    optimal_train_test_ratio,
    predict,
    relative_test_mse,
)
from solvable.spectra import power_law

INTERPOLATE = [(1.5, 2.0, 0.0), (1.5, 2.0, 0.5), (2.0, 2.5, 0.1)]
REGULARIZE = [(1.5, 2.0, 1.0, 0.103, 0.995), (2.0, 2.5, 0.5, 0.104, 0.9869)]


def full_task(alpha, beta, relative_noise, n):
    """Return the endless task whose noise is that multiple of its noiseless ridgeless error at n."""
    noiseless = float(predict(power_law(alpha, beta), n).test_mse.squeeze())
    return power_law(alpha, beta, noise=relative_noise * noiseless)


@pytest.mark.parametrize(("alpha", "beta", "noise"), INTERPOLATE)
def test_interpolate(alpha, beta, noise):
    assert float(optimal_train_test_ratio(alpha, beta, noise)) == 0.0
    assert noise <= interpolation_threshold(alpha, beta)
    for n in (500, 1e6):
        ridge, error = optimal_ridge(full_task(alpha, beta, noise, n), n)
        assert float(ridge) == 0.0
        assert np.isfinite(error)


@pytest.mark.parametrize(("alpha", "beta", "noise", "tau", "gain"), REGULARIZE)
def test_regularize(alpha, beta, noise, tau, gain):
    assert noise > interpolation_threshold(alpha, beta)
    assert np.sqrt(optimal_train_test_ratio(alpha, beta, noise)) == pytest.approx(tau, abs=6e-4)
    assert relative_test_mse(tau, alpha, beta, noise) == pytest.approx(gain, abs=6e-4)
    n = 1e8
    task = full_task(alpha, beta, noise, n)
    ridge, error = optimal_ridge(task, n)
    best, ridgeless = predict(task, n, ridge=float(ridge)), predict(task, n)
    assert float(error / ridgeless.test_mse.squeeze()) == pytest.approx(gain, abs=6e-4)
    measured = float((best.train_mse / best.test_mse).squeeze())
    assert measured == pytest.approx(float(optimal_train_test_ratio(alpha, beta, noise)), rel=0.02)


@pytest.mark.parametrize(
    ("alpha", "beta", "noise"), [(1.5, 2.0, 0.5), (1.2, 1.3, 0.0), (2.0, 4.5, 2.0), (3.0, 1.5, 1.0)]
)
def test_the_whole_curve_is_the_eigenframeworks(alpha, beta, noise):
    n = 1e8
    theory = predict(full_task(alpha, beta, noise, n), n, ridge=np.append(0.0, np.logspace(-20, 2, 500)))
    test, train = theory.test_mse.values.ravel(), theory.train_mse.values.ravel()
    tau = np.sqrt(train / test)
    near = tau < 0.8
    assert (tau[near] > 0.05).sum() > 5
    found = relative_test_mse(tau[near], alpha, beta, noise)
    np.testing.assert_allclose(test[near] / test[0], found, rtol=2e-3)


@pytest.mark.parametrize("seed", range(20))
def test_optimum_is_the_minimum(seed):
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(1.05, 4)
    beta = rng.uniform(1.05, 2 * alpha + 0.9)
    noise = rng.exponential(2.0) * max(0.0, float(interpolation_threshold(alpha, beta))) + 0.1 * rng.random()
    found = float(optimal_train_test_ratio(alpha, beta, noise))
    by_scan = minimize_scalar(
        lambda tau: float(relative_test_mse(tau, alpha, beta, noise)),
        bounds=(0.0, 0.999999),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert float(relative_test_mse(np.sqrt(found), alpha, beta, noise)) <= by_scan.fun + 1e-12
    assert np.sqrt(found) == pytest.approx(by_scan.x, abs=1e-5)


def test_threshold_is_where_the_optimum_leaves_zero():
    alpha, beta = np.array([1.2, 1.5, 3.0]), np.array([1.4, 2.5, 6.0])
    threshold = interpolation_threshold(alpha, beta)
    assert (optimal_train_test_ratio(alpha, beta, threshold * (1 - 1e-6)) == 0).all()
    assert (optimal_train_test_ratio(alpha, beta, threshold * (1 + 1e-3)) > 0).all()
    # Rough targets want a ridge even without noise.
    assert interpolation_threshold(2.0, 1.5) < 0
    assert optimal_train_test_ratio(2.0, 1.5, 0.0) > 0


def test_relative_error_starts_at_one_and_broadcasts():
    assert (relative_test_mse(0.0, [[1.5], [2.0]], [2.0, 3.0], 0.4) == 1.0).all()
    assert optimal_train_test_ratio([[1.5], [2.0]], 2.0, [0.0, 1.0, 2.0]).shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interpolation_threshold(1.0, 2.0), "alpha must be above 1; got 1"),
        (lambda: interpolation_threshold(1.5, 0.9), "beta must be above 1; got 0.9"),
        (lambda: interpolation_threshold(1.5, 4.0), "beta must be below 2 alpha"),
        (lambda: interpolation_threshold(np.nan, 2.0), "alpha must be above 1; got nan"),
        (lambda: optimal_train_test_ratio(1.5, 2.0, -0.1), "relative_noise must be at least 0; got -0.1"),
        (lambda: optimal_train_test_ratio(1.5, 2.0, np.inf), "relative_noise must be finite"),
        (lambda: relative_test_mse(1.0, 1.5, 2.0, 0.0), "residual_ratio must be below 1; got 1"),
        (lambda: relative_test_mse(-0.1, 1.5, 2.0, 0.0), "residual_ratio must be at least 0; got -0.1"),
        (lambda: relative_test_mse(0.1, 1.5, 2.0, np.nan), "relative_noise must be at least 0; got nan"),
    ],
)
def test_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
