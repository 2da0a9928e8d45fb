"""The scikit-learn estimators against its KernelRidge, with the mean taken off by hand."""

import pickle

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from solvable.errors import InputError
from solvable.kernels import Gaussian, Laplace
from solvable.regression.estimator import KernelClassifier, KernelRegressor

X, Y = load_diabetes(return_X_y=True)
X = X / X.std(axis=0)


@pytest.mark.parametrize("ridge", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("outputs", [1, 3])
def test_it_is_kernel_ridge_with_an_intercept(ridge: float, outputs: int) -> None:
    rng = np.random.default_rng(0)
    y = Y if outputs == 1 else np.column_stack([Y, Y**2, rng.normal(size=len(Y))])
    kernel = Gaussian(length_scale=4.0)
    # A large constant in the kernel is an intercept that is hardly penalised.
    constant = 1e6
    gram = np.exp(-cdist(X, X[:300], "sqeuclidean") / (2 * 4.0**2)) + constant
    peer = KernelRidge(alpha=ridge, kernel="precomputed").fit(gram[:300], y[:300])
    expected = peer.predict(gram[300:])
    found = KernelRegressor(kernel, ridge).fit(X[:300], y[:300]).predict(X[300:])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_many_rows_are_predicted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from solvable.regression import estimator

    model = KernelRegressor("laplace").fit(X[:50], Y[:50])
    at_once = model.predict(X)
    monkeypatch.setattr(estimator, "_ROWS", 60)
    np.testing.assert_allclose(model.predict(X), at_once, rtol=1e-13)


@pytest.mark.parametrize("kernel", ["laplace", "matern52", "relu-ntk"])
def test_no_ridge_fits_exactly(kernel: str) -> None:
    model = KernelRegressor(kernel, 0.0).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), Y, rtol=1e-5)
    labels = load_digits().target[:200]
    images = load_digits().data[:200] / 6.0
    np.testing.assert_array_equal(KernelClassifier(kernel, 0.0).fit(images, labels).predict(images), labels)


def test_no_ridge_and_few_modes_is_least_squares() -> None:
    from sklearn.linear_model import LinearRegression

    shifted = X + 3.0
    expected = LinearRegression().fit(shifted, Y).predict(shifted)
    np.testing.assert_allclose(
        KernelRegressor("linear", 0.0).fit(shifted, Y).predict(shifted), expected, rtol=1e-7
    )


def test_a_linear_kernel_with_a_ridge_is_ridge_regression() -> None:
    from sklearn.linear_model import Ridge

    shifted = X + 3.0
    expected = Ridge(alpha=2.0).fit(shifted, Y).predict(shifted)
    np.testing.assert_allclose(KernelRegressor("linear", 2.0).fit(shifted, Y).predict(shifted), expected)


@pytest.mark.parametrize("kind", [int, str, bool, float])
def test_classes_keep_their_type(kind: type) -> None:
    data, target = load_breast_cancer(return_X_y=True)
    labels = {
        int: target * 7 - 3,
        str: np.array(["bad", "good"])[target],
        bool: target > 0,
        float: target + 1.0,
    }[kind]
    model = make_pipeline(StandardScaler(), KernelClassifier("laplace", 0.1)).fit(data[::2], labels[::2])
    answers = model.predict(data[1::2])
    assert answers.dtype == labels.dtype
    assert (answers == labels[1::2]).mean() > 0.94
    assert set(model.classes_.tolist()) == set(labels.tolist())


def test_decision_function_and_answers_agree() -> None:
    digits = load_digits()
    model = KernelClassifier("laplace", 0.1).fit(digits.data[:400], digits.target[:400])
    outputs = model.decision_function(digits.data[400:600])
    assert outputs.shape == (200, 10)
    np.testing.assert_array_equal(model.classes_[outputs.argmax(axis=1)], model.predict(digits.data[400:600]))
    # The columns sum to one at every point, as the targets do.
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0, atol=1e-8)
    two = KernelClassifier("laplace", 0.1).fit(digits.data[:400], digits.target[:400] > 4)
    sign = two.decision_function(digits.data[400:600])
    np.testing.assert_array_equal(sign > 0, two.predict(digits.data[400:600]))


def test_it_lives_in_scikit_learn() -> None:
    search = GridSearchCV(
        KernelRegressor(), {"kernel": ["laplace", "gaussian"], "ridge": [0.1, 1.0, 10.0]}, cv=3
    )
    search.fit(X, Y)
    assert search.best_score_ > 0.4
    again = clone(search.best_estimator_)
    assert (again.kernel, again.ridge) == (search.best_params_["kernel"], search.best_params_["ridge"])
    assert "ridge=0.1" in repr(KernelRegressor(ridge=0.1))
    assert cross_val_score(KernelClassifier(Laplace(length_scale=20.0)), X, Y > 150, cv=3).mean() > 0.6
    copied = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copied.predict(X), search.predict(X))


def test_what_is_given_is_left_as_it_was() -> None:
    before = X.copy(), Y.copy()
    KernelRegressor("laplace", 0.0).fit(X, Y).predict(X)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


@pytest.mark.parametrize(
    ("estimator", "sentence"),
    [
        (KernelRegressor("laplace", -1.0), "ridge must be at least 0; got -1"),
        (KernelRegressor("laplace", float("nan")), "ridge must be at least 0; got nan"),
        (KernelRegressor("laplace", float("inf")), "ridge must be finite"),
        (KernelRegressor("laplace", [1.0, 2.0]), "ridge must be one number; got 2"),  # pyright: ignore[reportArgumentType]
        (KernelRegressor("laplace", "much"), "ridge must be one number"),  # pyright: ignore[reportArgumentType]
        (KernelRegressor("laplas"), "did you mean 'laplace'"),
        (KernelClassifier("laplace", -1.0), "ridge must be at least 0"),
    ],
)
def test_bad_parameters_are_one_sentence_at_fit(estimator, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        estimator.fit(X, (Y > 150).astype(int))
    assert "\n" not in str(caught.value)


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="one class"):
        KernelClassifier().fit(X, np.ones(len(X), dtype=int))
