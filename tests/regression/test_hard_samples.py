"""Samples that look harmless and break a careless estimate: few values, few modes, single precision, many classes."""

import numpy as np
import pytest

from solvable.kernels import Laplace
from solvable.regression import LearningSurface, diagnose
from solvable.regression import error_rate as rates_module
from solvable.regression.one_gram import repeated


def cells(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of 81 different values, a target with noise of variance 1."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 3, (n, 4)).astype(float)
    return X, X[:, 0] - X[:, 1] * X[:, 2] / 2 + rng.standard_normal(n)


def test_repeated_inputs_with_other_labels_are_the_noise() -> None:
    X, y = cells(1000, 0)
    found = diagnose(X, y)
    assert found.n_samples == 1000
    assert any("many with another label: all are kept" in note for note in found.notes)
    low, high = found.noise_interval
    assert low < 1.0 < high
    new_X, new_y = cells(20_000, 1)
    measured = np.square(found.estimator.predict(new_X) - new_y).mean()
    forecast = found.forecast([1000]).isel(n_train=0)
    assert float(forecast.test_mse_low) <= measured <= float(forecast.test_mse_high)
    assert float(forecast.test_mse) == pytest.approx(measured, rel=0.06)


def test_true_repeats_are_dropped_though_one_label_is_a_mistake() -> None:
    rng = np.random.default_rng(0)
    X = np.vstack([X := rng.standard_normal((60, 3)), X[:40]])
    y = np.concatenate([y := X[:60, 0] + rng.standard_normal(60), y[:40]])
    y[99] += 1.0
    mask, differ = repeated(np.asarray(Laplace(2.0)(X)), y[:, None])
    assert (int(mask.sum()), differ) == (40, 1)
    with pytest.warns(UserWarning, match="40 of 100 points repeat another one.*one of each is kept"):
        assert LearningSurface.from_kernel("laplace", X, y).n_samples == 60


def test_a_linear_kernel_in_single_precision_has_no_more_modes() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 8))
    y = X[:, 0] + rng.standard_normal(300)
    double = LearningSurface.from_kernel("linear", X, y).predict([100, 300, 3000])
    single = LearningSurface.from_kernel("linear", torch.tensor(X, dtype=torch.float32), y).predict(
        [100, 300, 3000]
    )
    assert single.test_mse.to_numpy() == pytest.approx(double.test_mse.to_numpy(), rel=1e-3)
    # Ordinary least squares: noise (1 + d / (n - d)), of which the sample knows the noise.
    ratio = float(double.test_mse.squeeze()[0] / double.test_mse.squeeze()[2])
    assert ratio == pytest.approx((1 + 8 / 92) / (1 + 8 / 2992), rel=0.02)


def test_noise_drawn_for_many_classes_is_that_of_its_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    centres = 1.3 * rng.standard_normal((6, 10))
    labels = rng.integers(0, 6, 500)
    X = centres[labels] + rng.standard_normal((500, 10))
    grid = {"n_train": [60, 200, 500], "ridge": [0.0, 0.1, 3.0]}
    by_covariance = LearningSurface.from_kernel("laplace", X, labels).predict(**grid).error_rate
    monkeypatch.setattr(rates_module, "_MANY_CLASSES", 2)
    monkeypatch.setattr(rates_module, "_MOST_DRAWS", 6 * rates_module._DRAWS)
    drawn = LearningSurface.from_kernel("laplace", X, labels).predict(**grid).error_rate
    assert float(by_covariance.min()) > 0.03
    assert not np.array_equal(drawn, by_covariance)
    assert drawn.to_numpy() == pytest.approx(by_covariance.to_numpy(), rel=0.08)


def test_the_intercept_of_a_new_group_is_that_of_the_others() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(6), 50)
    X = rng.standard_normal((300, 4))
    y = rng.standard_normal(6)[groups] + 0.5 * rng.standard_normal(300)
    found = diagnose(X, y, kernel="laplace", groups=groups)
    # Nothing but the mean of the others can be known of a new group.
    of_the_mean = np.mean([np.square(y[groups == g] - y[groups != g].mean()).mean() for g in range(6)])
    assert float(found.forecast([300]).test_mse[0]) == pytest.approx(of_the_mean, rel=0.05)


@pytest.mark.parametrize("kernel", ["gaussian", "matern52"])
def test_a_ridge_of_zero_in_two_dimensions_is_not_praised(kernel: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((250, 2))
    found = diagnose(X, np.sin(2 * X[:, 0]) + X[:, 1] + 0.3 * rng.standard_normal(250), kernel=kernel)
    assert found.optimal_ridge > 1e-3
    assert "is not known here" in " ".join(str(found).split())
