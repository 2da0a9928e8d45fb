"""Measured errors against scikit-learn and against explicit ridge regression on the features."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import ShuffleSplit

from solvable.datasets import encode_targets
from solvable.errors import InputError
from solvable.kernels import ArcCosine, Gaussian
from solvable.regression import measure

WIDTH = 4.0


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X, y = X[:260] / 16.0 * 3.0, y[:260]
    return X, y, encode_targets(y)[0]


@pytest.fixture(scope="module")
def splits(digits):
    return list(ShuffleSplit(2, test_size=90, random_state=3).split(digits[0]))


def summed_mse(prediction, targets):
    return np.square(prediction - targets).sum(axis=1).mean()


def test_kernel_ridge_of_scikit_learn(digits, splits):
    X, y, targets = digits
    sizes, ridges = [20, 75, 170], [1e-3, 0.5, 20.0]
    found = measure(Gaussian(WIDTH), X, y, n_train=sizes, ridge=ridges, splits=splits)
    assert found.test_mse.dims == ("trial", "n_train", "n_features", "ridge")
    assert found.n_features.values.tolist() == [np.inf]
    for t, (train, test) in enumerate(splits):
        for n in sizes:
            for ridge in ridges:
                model = KernelRidge(alpha=ridge, kernel="rbf", gamma=1 / (2 * WIDTH**2))
                model.fit(X[train[:n]], targets[train[:n]])
                here = found.isel(trial=t).sel(n_train=n, ridge=ridge).squeeze()
                expected = summed_mse(model.predict(X[test]), targets[test])
                assert float(here.test_mse) == pytest.approx(expected, rel=1e-8)
                expected = summed_mse(model.predict(X[train[:n]]), targets[train[:n]])
                assert float(here.train_mse) == pytest.approx(expected, rel=1e-8)


def test_no_ridge_interpolates(digits, splits):
    X, y, targets = digits
    found = measure(Gaussian(WIDTH), X, y, n_train=[30, 170], splits=splits)
    kernel = Gaussian(WIDTH)
    for t, (train, test) in enumerate(splits):
        for i, n in enumerate((30, 170)):
            weights = np.linalg.solve(kernel(X[train[:n]]), targets[train[:n]])
            expected = summed_mse(kernel(X[test], X[train[:n]]) @ weights, targets[test])
            assert found.test_mse.values[t, i, 0, 0] == pytest.approx(expected, rel=1e-8)
    assert (found.train_mse < 1e-18).all()


def test_random_features_against_ridge_regression_on_them(digits, splits):
    X, y, targets = digits
    kernel, seed = ArcCosine(1), 7
    sizes, widths, ridges = [20, 100, 170], [10, 60, 170, 400], [0.0, 1e-2, 3.0]
    found = measure(
        kernel, X, y, n_train=sizes, n_features=widths, ridge=ridges, splits=splits, random_state=seed
    )
    most = max(widths)
    for t, (train, test) in enumerate(splits):
        features = kernel.features(most, random_state=[seed, t, 1])
        # The weights are drawn at the first call.
        whole = features(X)
        for k in widths:
            part = whole[:, :k] * np.sqrt(most / k)  # the first columns, of the narrower map's scale
            for n in sizes:
                inside, outside = part[train[:n]], part[test]
                for ridge in ridges:
                    if ridge > 0:
                        model = Ridge(alpha=ridge, fit_intercept=False, solver="svd")
                        weights = model.fit(inside, targets[train[:n]]).coef_.T
                    else:
                        weights = np.linalg.pinv(inside, rcond=1e-12) @ targets[train[:n]]
                    here = found.isel(trial=t).sel(n_train=n, n_features=k, ridge=ridge)
                    # At n = k without ridge the solution is as ill-conditioned as they come.
                    peak = ridge == 0 and n == k
                    expected = summed_mse(outside @ weights, targets[test])
                    assert float(here.test_mse) == pytest.approx(expected, rel=1e-4 if peak else 1e-8)
                    expected = summed_mse(inside @ weights, targets[train[:n]])
                    assert float(here.train_mse) == pytest.approx(expected, rel=1e-8, abs=1e-16)


def test_samples_and_features_either_way_round(digits, splits):
    # Sizes asked for alone or together go through different systems of equations.
    X, y, _ = digits
    settings = {"ridge": [1e-3, 1.0], "splits": splits[:1], "random_state": 5}
    kernel = Gaussian(WIDTH)
    together = measure(kernel, X, y, n_train=[20, 170], n_features=[60], **settings)
    few = measure(kernel, X, y, n_train=20, n_features=60, **settings)
    many = measure(kernel, X, y, n_train=170, n_features=60, **settings)
    np.testing.assert_allclose(together.test_mse.values[0, 0, 0], few.test_mse.values[0, 0, 0], rtol=1e-9)
    np.testing.assert_allclose(together.test_mse.values[0, 1, 0], many.test_mse.values[0, 0, 0], rtol=1e-9)


def test_many_features_come_near_the_kernel(digits, splits):
    X, y, _ = digits
    found = measure(ArcCosine(1), X, y, n_train=100, n_features=[40, 8000, np.inf], ridge=0.3, splits=splits)
    few, many, kernel = found.test_mse.mean("trial").values.ravel()
    assert many == pytest.approx(kernel, rel=0.03)
    assert few > 1.1 * kernel


def test_one_output_and_numbers(digits):
    X, _, _ = digits
    y = X[:, 20] + 0.5 * X[:, 43]
    split = (np.arange(100), np.arange(150, 200))
    found = measure("laplace", X, y, n_train=100, ridge=0.1, splits=[split])
    from solvable.kernels import as_kernel

    kernel = as_kernel("laplace").for_data(X)
    weights = np.linalg.solve(kernel(X[:100]) + 0.1 * np.eye(100), y[:100])
    expected = np.mean((kernel(X[150:200], X[:100]) @ weights - y[150:200]) ** 2)
    assert float(found.test_mse.squeeze()) == pytest.approx(expected, rel=1e-9)


def test_random_splits(digits):
    X, y, _ = digits
    settings = {"n_train": [30, 100], "ridge": 0.1}
    kernel = Gaussian(WIDTH)
    one = measure(kernel, X, y, **settings, splits=3, random_state=4)
    again = measure(kernel, X, y, **settings, splits=np.int64(3), random_state=4)
    other = measure(kernel, X, y, **settings, splits=3, random_state=5)
    np.testing.assert_array_equal(one.test_mse, again.test_mse)
    assert one.sizes["trial"] == 3
    assert len(np.unique(np.concatenate([one.test_mse.values.ravel(), other.test_mse.values.ravel()]))) == 12
    # More trials do not change the first ones.
    np.testing.assert_array_equal(
        measure(kernel, X, y, **settings, splits=1, random_state=4).test_mse[0], one.test_mse[0]
    )
    # The test set is all that is left over, and no training point: a leak would show as a test error of zero.
    leaky = measure(kernel, X, y, n_train=259, ridge=0.0, splits=2)
    assert (leaky.test_mse > 1e-3).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_train": 500}, "n_train 500 leaves none of the 260 points for testing"),
        ({"n_train": 260}, "n_train 260 leaves none"),
        ({"n_train": 0}, "n_train must be at least 1; got 0"),
        ({"n_train": 10.5}, "n_train must be whole numbers.*got 10.5"),
        ({"n_train": np.inf}, "n_train must be whole numbers; got inf"),
        ({"n_train": np.nan}, "n_train must be at least 1; got nan"),
        ({"n_train": []}, "n_train is empty"),
        ({"n_train": 10, "ridge": -1.0}, "ridge must be at least 0; got -1"),
        ({"n_train": 10, "ridge": np.nan}, "ridge must be at least 0; got nan"),
        ({"n_train": 10, "ridge": np.inf}, "ridge must be finite"),
        ({"n_train": 10, "n_features": 0}, "n_features must be at least 1; got 0"),
        ({"n_train": 10, "n_features": 7.5}, "n_features must be whole numbers or inf; got 7.5"),
        ({"n_train": 10, "splits": 0}, "at least one split; got 0"),
        ({"n_train": 10, "splits": []}, "at least one split"),
        (
            {"n_train": 30, "splits": [(range(20), range(30, 40))]},
            "n_train 30 exceeds the 20 training points",
        ),
        ({"n_train": 10, "splits": [(range(20), [])]}, "no test points"),
    ],
)
def test_refused(digits, options, message):
    X, y, _ = digits
    with pytest.raises(InputError, match=message):
        measure(Gaussian(WIDTH), X, y, **options)


def test_bad_data_are_refused(digits):
    X, y, _ = digits
    with pytest.raises(InputError, match="X has 260 rows and y has 259;"):
        measure(Gaussian(WIDTH), X, y[:-1], n_train=10)
    broken = X.copy()
    broken[3, 4] = np.nan
    with pytest.raises(InputError, match=r"(?i)nan"):
        measure(Gaussian(WIDTH), broken, y, n_train=10)
    with pytest.raises(InputError, match="the target has 27 missing values"):
        measure(Gaussian(WIDTH), X, np.where(y == 3, np.nan, y), n_train=10)


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        (([0, 1, 2], [99]), "indices of the 60 points"),
        (([0, 1, 2], [-1]), "indices of the 60 points"),
        (([0.0, 1.0, 2.0], [3]), "indices of the 60 points"),
        (([0, 1, 2], [2, 3]), "trains on"),
    ],
)
def test_splits_that_are_none(split, sentence):
    X = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(InputError, match=sentence):
        measure("laplace", X, X[:, 0], n_train=[2], splits=[split])
