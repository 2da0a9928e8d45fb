"""A free intercept: leave-one-out equals refitting without the row, intercept and all."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from solvable.regression import LearningSurface, diagnose
from solvable.regression.intercept import contrast_gram, contrasts, from_contrasts
from solvable.regression.one_gram import N_FOLDS, decompose, one_gram
from solvable.regression.targets import Targets


def test_contrasts_are_orthonormal_and_nested() -> None:
    matrix = contrasts(np.eye(6))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(5), atol=1e-15)
    np.testing.assert_allclose(matrix.sum(axis=1), 0.0, atol=1e-15)
    np.testing.assert_allclose(matrix[:3, :4], contrasts(np.eye(4)), atol=1e-15)
    np.testing.assert_allclose(from_contrasts(np.eye(5)), matrix.T, atol=1e-15)
    gram = np.cov(np.random.default_rng(0).normal(size=(6, 4)))
    np.testing.assert_allclose(contrast_gram(gram), matrix @ gram @ matrix.T, atol=1e-14)


@pytest.mark.parametrize(("n", "d"), [(30, 80), (30, 30), (31, 30), (60, 12)])
def test_leaving_one_out_is_refitting_without_it(n: int, d: int) -> None:
    # Columns scaled once and for all, as the encoder does; the intercept is scikit-learn's.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    Y = rng.normal(size=(n, 2)) + 5.0
    s = one_gram(decompose(X @ X.T, intercept=True), Y)
    ridges = np.exp(s.log_kappa) * (n - s.learned_modes)
    for step in range(0, len(ridges), 25):
        if not 1e-3 < ridges[step] < 1e5:
            continue
        errors = np.empty(n)
        for i in range(n):
            rest = np.arange(n) != i
            model = Ridge(ridges[step], solver="svd").fit(X[rest], Y[rest])
            errors[i] = np.square(model.predict(X[[i]]) - Y[i]).sum()
        by_fold = [errors[i::N_FOLDS].mean() for i in range(min(n, N_FOLDS))]
        np.testing.assert_allclose(s.squared_error[:, step], by_fold, rtol=1e-10)


@pytest.mark.parametrize("kernel", ["linear", "laplace"])
def test_the_forecast_at_the_samples_size_is_the_leave_one_out_error(kernel: str) -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(80, 100))
    y = X[:, 0] + rng.normal(size=80)
    surface = LearningSurface.from_kernel(kernel, X, Targets.of(y[:, None], ()).centred())
    s = surface.statistics
    errors = s.fold_sizes @ s.squared_error / 80
    steps = np.flatnonzero((s.learned_modes > 5) & (s.learned_modes < 0.9 * 80))[::4]
    ridges = np.exp(s.log_kappa) * (80 - s.learned_modes)
    forecast = surface.predict(80, ridge=ridges[steps]).test_mse.squeeze()
    np.testing.assert_allclose(forecast, errors[steps], rtol=1e-4)


@pytest.mark.parametrize("kernel", ["linear", pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("n", "d"), [(150, 384), (100, 768)])
def test_nothing_is_learned_of_coin_flips(kernel: str | None, n: int, d: int) -> None:
    learned, inside = 0, 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        found = diagnose(rng.normal(size=(n, d)), rng.integers(0, 2, n), kernel=kernel)
        now = found.forecast([n]).isel(n_train=0)
        inside += float(now.error_rate_low) <= 0.5 <= float(now.error_rate_high)
        learned += found.learned
    assert learned <= 1
    # One of the samples has 32 heads in 100 flips.
    assert inside >= 9
