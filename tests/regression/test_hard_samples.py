"""Samples that look harmless and break a careless estimate: few values, few modes, single precision, many classes."""

import numpy as np
import pytest

from solvable.kernels import Laplace
from solvable.regression import KernelRegressor, LearningSurface, diagnose
from solvable.regression import error_rate as rates_module
from solvable.regression.one_gram import distinct_points


def cells(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of 81 different values, a target with noise of variance 1."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 3, (n, 4)).astype(float)
    return X, X[:, 0] - X[:, 1] * X[:, 2] / 2 + rng.standard_normal(n)


def test_repeated_inputs_with_other_labels_are_the_noise() -> None:
    X, y = cells(1000, 0)
    found = diagnose(X, y)
    assert found.n_samples == 1000
    assert any("repeat another one (" in note and "with another label)" in note for note in found.notes)
    low, high = found.noise_interval
    assert low < 1.0 < high
    new_X, new_y = cells(20_000, 1)
    measured = np.square(found.estimator.predict(new_X) - new_y).mean()
    forecast = found.forecast([1000]).isel(n_train=0)
    assert float(forecast.test_mse_low) <= measured <= float(forecast.test_mse_high)
    assert float(forecast.test_mse) == pytest.approx(measured, rel=0.06)


def few_animals(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Yes-or-no questions on animals of seven kinds, most of which answer as others of their kind do."""
    chances = np.random.default_rng(5).beta(0.12, 0.12, (7, 15))
    rng = np.random.default_rng([seed, 1])
    kinds = rng.choice(7, n, p=np.array([41, 20, 13, 10, 8, 5, 4]) / 101)
    return (rng.random((n, 15)) < chances[kinds]).astype(float), kinds.astype(str)


@pytest.mark.filterwarnings("ignore:.. of 101 points repeat another one:UserWarning")
@pytest.mark.filterwarnings("ignore:theory does not hold well here:UserWarning")
def test_new_rows_repeat_the_sample_as_often_as_its_rows_repeat_each_other() -> None:
    (X, y), (new_X, new_y) = few_animals(101, 0), few_animals(4000, 1)
    first = np.unique(X, axis=0, return_index=True)[1]
    assert len(first) < 50
    model = KernelRegressor(Laplace(3.0), ridge=0.02)
    errors = []
    for seed in range(2, 8):
        rows, kinds = few_animals(101, seed)
        outputs = model.fit(rows, np.eye(7)[kinds.astype(int)]).predict(new_X)
        errors.append(np.square(outputs - np.eye(7)[new_y.astype(int)]).sum(axis=1).mean())
    measured = np.mean(errors)

    forecast = LearningSurface.from_kernel(Laplace(3.0), X, y).predict(101, ridge=0.02)
    assert forecast.test_mse_low.item() < measured < forecast.test_mse_high.item()
    # On rows that the sample does not have, the error is larger.
    others = LearningSurface.from_kernel(Laplace(3.0), X[first], y[first]).predict(101, ridge=0.02)
    assert others.test_mse.item() > 1.5 * forecast.test_mse.item()


def test_repeats_are_dropped_on_request() -> None:
    X, y = few_animals(101, 0)
    distinct = len(np.unique(X, axis=0))
    kept, dropped = (diagnose(X, y, "laplace", drop_repeats=drop) for drop in (False, True))
    assert (kept.n_samples, dropped.n_samples) == (101, distinct)
    assert (
        sum("repeat" in note for note in kept.notes) == sum("repeat" in note for note in dropped.notes) == 1
    )
    assert kept.forecast([101]).test_mse.item() < dropped.forecast([distinct]).test_mse.item()


@pytest.mark.parametrize("copies", [1, 4])
def test_points_that_are_nearly_copies(copies: int) -> None:
    # Kernels differ in which of them they tell apart; their errors are compared in the same folds.
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(12 if copies == 4 else 60, 3)), copies, axis=0)
    X = np.vstack([X, X[:30]]) if copies == 1 else X
    X = X + 1e-8 * rng.normal(size=X.shape)
    found = diagnose(X, rng.normal(size=len(X)))
    assert np.isfinite(found.forecast([len(X)]).rmse_high).all()


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 1.0])
def test_a_ridge_of_zero_where_points_repeat(ridge: float) -> None:
    X, y = cells(300, 0)
    found = diagnose(X, y, "laplace")
    inputs = found.data.encoder.transform(cells(4000, 9)[0])
    errors = []
    for seed in range(4):
        new_X, new_y = cells(300, 20 + seed)
        model = KernelRegressor(found.kernel.kernel, ridge).fit(found.data.encoder.transform(new_X), new_y)
        errors.append(np.square(model.predict(inputs) - cells(4000, 9)[1]).mean())
    forecast = found.forecast([300], ridge=ridge).isel(n_train=0)
    assert float(forecast.test_mse_low) < np.mean(errors) < float(forecast.test_mse_high)
    assert float(forecast.test_mse) == pytest.approx(np.mean(errors), rel=0.25)
    # The labels of equal points cannot all be fitted.
    assert float(forecast.train_mse) > 0.4
    assert "exactly" not in str(found)


def test_a_fold_holds_all_copies_of_a_point() -> None:
    rng = np.random.default_rng(0)
    X = np.vstack([X := rng.standard_normal((60, 3)), X[:40]])
    points = distinct_points(np.asarray(Laplace(2.0)(X)))
    assert points.tolist() == [*range(60), *range(40)]
    y = X[:, 0] + rng.standard_normal(100)
    with pytest.warns(UserWarning, match=r"40 of 100 points repeat another one \(40 of them with another"):
        surface = LearningSurface.from_kernel("laplace", X, y)
    assert surface.statistics.fold_sizes.tolist() == [5.0] * 20
    assert (surface.statistics.n_distinct, surface.curves.rank) == (60, np.inf)


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
