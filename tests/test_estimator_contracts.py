"""What scikit-learn asks of an estimator: its own checks, weights as copies, names of columns, labels of every kind."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import DataConversionWarning
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LinearRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor

from solvable.errors import InputError
from solvable.kernels import Gaussian, Linear
from solvable.overfitting.epochs import EpochByEpoch
from solvable.overfitting.stopping import TrainedUntil
from solvable.overfitting.training_profile import training_profile
from solvable.regression.estimator import KernelClassifier, KernelRegressor

N = 60
X = np.random.default_rng(0).normal(size=(N, 3))
WHOLE = np.round(10 * X[:, 0]).astype(int)
LABELS = (X[:, 0] > 0).astype(int)
FLOWERS = load_iris(return_X_y=True)


def shuffled(estimator: BaseEstimator) -> dict[str, str]:
    """The checks that estimators fail which take samples one by one, with the reason."""
    if not isinstance(getattr(estimator, "estimator", None), (SGDClassifier, SGDRegressor)):
        return {}
    reason = "steps are taken sample by sample in random order, and a copy of a sample is one more step"
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in ("dense", "sparse")}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        KernelRegressor(),
        KernelClassifier(),
        KernelRegressor("linear", 0.1),
        TrainedUntil(SGDClassifier(), 5),
        TrainedUntil(SGDRegressor(), "validation", max_epochs=10),
    ],
    expected_failed_checks=shuffled,
)
def test_scikit_learn_is_content(estimator, check) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        TrainedUntil(MLPClassifier((10,), learning_rate_init=0.05), max_epochs=12),
        TrainedUntil(MLPRegressor(hidden_layer_sizes=(20,), learning_rate_init=0.1), 15),
    ]
)
def test_scikit_learn_is_content_with_nets(estimator, check) -> None:
    check(estimator)


def copies(model: TrainedUntil, number: int) -> list[Any]:
    return [clone(model) for _ in range(number)]


class TestTheLossFollowsTheEstimator:
    @pytest.mark.parametrize("kind", [int, np.uint8, np.float32, bool, pd.Series, list])
    @pytest.mark.parametrize("stop", ["validation", "interpolation"])
    def test_integers_are_numbers_for_a_regressor(self, stop: str, kind: Any) -> None:
        target = WHOLE
        if kind in (np.uint8, bool):
            target = np.where(WHOLE > 0, WHOLE, 0)
        if kind is bool:
            target = target > 3
        given = kind(target) if kind in (pd.Series, list) else target.astype(kind)
        model = TrainedUntil(SGDRegressor(random_state=0), stop, random_state=0, max_epochs=40, tolerance=0.7)
        found, expected = copies(model, 2)
        found.fit(X, given)
        expected.fit(X, np.asarray(target, dtype=float))
        assert found.n_epochs_ == expected.n_epochs_ > 1
        np.testing.assert_array_equal(found.predict(X), expected.predict(X))
        assert not hasattr(found, "classes_")
        assert found.score(X, given) == expected.score(X, target.astype(float))

    def test_the_error_is_a_squared_error(self) -> None:
        model = TrainedUntil(SGDRegressor(random_state=0), "validation", max_epochs=40, random_state=0)
        errors = np.array(model.fit(X, WHOLE).validation_errors_)
        assert model.n_epochs_ > 5
        assert (errors > 1).any()  # no share of wrong answers
        training = EpochByEpoch(SGDRegressor(random_state=0), X, WHOLE)
        training.train()
        by_hand = np.mean((training.model.predict(X) - WHOLE) ** 2)
        assert training.error(X, WHOLE) == pytest.approx(by_hand, rel=1e-14)
        assert not training.fitted(0.99 * by_hand)
        assert training.fitted(1.01 * by_hand)

    def test_a_profile_of_training_counts_them_as_numbers_too(self) -> None:
        options: Any = {"train_sizes": 40, "n_trials": 1, "max_epochs": 3, "quiet": True}
        found, expected = (
            training_profile(SGDRegressor(), X, target, **options) for target in (WHOLE, WHOLE * 1.0)
        )
        assert found.at(1).n_classes is None
        np.testing.assert_array_equal(found.data.test_error, expected.data.test_error)
        assert (found.data.test_error > 1).all()

    def test_a_classifier_of_floats_counts_wrong_answers(self) -> None:
        model = TrainedUntil(SGDClassifier(random_state=0), "validation", max_epochs=5, random_state=0)
        found = model.fit(X, LABELS + 1.0)
        assert max(found.validation_errors_) <= 1
        assert found.classes_.tolist() == [1.0, 2.0]

    @pytest.mark.parametrize("dtype", [np.int64, np.float32])
    def test_two_outputs(self, dtype: type) -> None:
        both = np.stack([WHOLE, -WHOLE], axis=1)
        net = MLPRegressor(hidden_layer_sizes=(5,), random_state=0)
        found = TrainedUntil(net, 3).fit(X, both.astype(dtype))
        expected = TrainedUntil(net, 3).fit(X, both.astype(float))
        np.testing.assert_array_equal(found.predict(X), expected.predict(X))

    def test_categories_of_floats_are_classes_of_a_classifier_alone(self) -> None:
        categories = pd.Series(LABELS + 0.5, dtype="category")
        for model in (KernelClassifier(), TrainedUntil(SGDClassifier(random_state=0), 1)):
            assert model.fit(X, categories).classes_.tolist() == ["0.5", "1.5"]
        for make in (KernelRegressor, lambda: TrainedUntil(SGDRegressor(random_state=0), 1)):
            expected = make().fit(X, LABELS + 0.5).predict(X)
            np.testing.assert_array_equal(make().fit(X, categories).predict(X), expected)

    def test_a_net_that_declares_nothing_goes_by_type(self) -> None:
        net = NeuralNet(
            torch.nn.Linear, module__in_features=3, module__out_features=1, criterion=torch.nn.MSELoss
        )
        training = EpochByEpoch(net, X, WHOLE.astype(float))
        training.train()
        assert training.error(X, WHOLE.astype(float)) > 1

    def test_a_regressor_refuses_text(self) -> None:
        for model in (TrainedUntil(SGDRegressor(), 1), KernelRegressor()):
            with pytest.raises(InputError, match=r"y holds text, as in '.*'; expected numbers"):
                model.fit(X, WHOLE.astype(str))


class TestOutputsOfClasses:
    def test_decision_function_is_the_estimators(self) -> None:
        model = TrainedUntil(SGDClassifier(random_state=0), 5).fit(*FLOWERS)
        by_hand = SGDClassifier(random_state=np.random.RandomState(0))
        for _ in range(5):
            by_hand.partial_fit(*FLOWERS, classes=[0, 1, 2])
        np.testing.assert_array_equal(
            model.decision_function(FLOWERS[0]), by_hand.decision_function(FLOWERS[0])
        )
        for other in (MLPClassifier(), SGDRegressor()):
            assert not hasattr(TrainedUntil(other), "decision_function")
        assert not hasattr(TrainedUntil(SGDClassifier()), "predict_proba")
        assert hasattr(TrainedUntil(SGDClassifier(loss="log_loss")), "predict_proba")

    @pytest.mark.parametrize("loss", ["hinge", "log_loss"])
    def test_area_under_the_curve(self, loss: str) -> None:
        data, labels = load_breast_cancer(return_X_y=True)
        data = data / data.std(axis=0)
        model = TrainedUntil(SGDClassifier(loss=loss, random_state=0), 5)
        assert cross_val_score(model, data, labels, cv=2, scoring="roc_auc").min() > 0.95
        fitted = model.fit(data, labels)
        assert roc_auc_score(labels, fitted.decision_function(data)) > 0.95

    def test_a_class_whose_only_sample_is_held_out_stays_a_class(self) -> None:
        labels = np.arange(N) // 5
        labels[55:] = np.arange(55, N)
        model = TrainedUntil(SGDClassifier(loss="log_loss"), "validation", max_epochs=2, validation_size=0.5)
        gone = 0
        for seed in range(5):
            model.set_params(random_state=seed).fit(X, labels)
            assert model.predict_proba(X).shape == (N, len(model.classes_)) == (N, 16)
            np.testing.assert_array_equal(model.estimator_.classes_, model.classes_)
            gone += len(model._held_out(model.estimator_, labels, seed))
        assert gone == 5 * N / 2

    def test_what_an_earlier_fit_left_is_gone(self) -> None:
        model: Any = TrainedUntil(SGDClassifier(), 1).fit(pd.DataFrame(X, columns=list("abc")), LABELS)
        assert (model.n_features_in_, model.feature_names_in_.tolist()) == (3, list("abc"))
        model.set_params(estimator=SGDRegressor()).fit(X[:, :2], WHOLE)
        assert not hasattr(model, "classes_")
        assert not hasattr(model, "feature_names_in_")
        assert model.n_features_in_ == 2

    def test_a_column_of_labels_warns_once(self) -> None:
        with pytest.warns(DataConversionWarning) as caught:
            model = TrainedUntil(SGDClassifier(random_state=0), 3).fit(X, LABELS[:, None])
        assert len(caught) == 1
        assert model.predict(X).shape == (N,)


class HashedText(ClassifierMixin, BaseEstimator):
    """A classifier of text, trained pass by pass."""

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> "HashedText":
        if not hasattr(self, "inner_"):
            self.inner_ = SGDClassifier(random_state=0)
        self.inner_.partial_fit(HashingVectorizer(n_features=64).transform(X), y, classes)
        return self

    def predict(self, X: Any) -> Any:
        return self.inner_.predict(HashingVectorizer(n_features=64).transform(X))


class TestInputs:
    TABLE = pd.DataFrame(X, columns=["a", "b", "c"])

    def net(self) -> NeuralNetRegressor:
        return NeuralNetRegressor(torch.nn.Linear, module__in_features=3, module__out_features=1, verbose=0)

    @pytest.mark.parametrize("form", ["pandas", "arrow", "polars"])
    @pytest.mark.parametrize("inner", ["sgd", "net"])
    def test_columns_in_another_order_are_refused(self, inner: str, form: str) -> None:
        make: Any = {"pandas": pd.DataFrame, "arrow": pa.table, "polars": pl.from_pandas}[form]
        estimator = SGDRegressor(random_state=0) if inner == "sgd" else self.net()
        model: Any = TrainedUntil(estimator, 2, random_state=0).fit(make(self.TABLE), X[:, 0])
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        expected = TrainedUntil(estimator, 2, random_state=0).fit(X, X[:, 0]).predict(X)
        np.testing.assert_allclose(model.predict(make(self.TABLE)), expected, rtol=1e-6)
        for method in (model.predict, lambda table: model.score(table, X[:, 0])):
            with pytest.raises(ValueError, match="must be in the same order"):
                method(make(self.TABLE[["b", "a", "c"]]))
        with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- c"):
            model.predict(make(self.TABLE[["a", "b"]]))

    def test_another_number_of_columns_is_refused(self) -> None:
        model = TrainedUntil(self.net(), 2, random_state=0).fit(X, X[:, 0])
        with pytest.raises(ValueError, match="X has 2 features, but TrainedUntil is expecting 3"):
            model.predict(X[:, :2])

    @pytest.mark.parametrize("form", [list, np.array, pd.Series])
    def test_text_is_the_estimators_business(self, form: Any) -> None:
        texts = ["good and fine", "bad and poor"] * 10
        model = TrainedUntil(HashedText(), 5).fit(form(texts), ["yes", "no"] * 10)
        assert model.predict(form(texts)).tolist() == ["yes", "no"] * 10
        assert model.score(form(texts), ["yes", "no"] * 10) == 1
        assert not hasattr(model, "n_features_in_")

    def test_images_are_the_estimators_business(self) -> None:
        images = np.random.default_rng(0).normal(size=(20, 1, 4, 4)).astype(np.float32)
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
        options: Any = {"criterion": torch.nn.CrossEntropyLoss, "verbose": 0}
        net = NeuralNetClassifier(module, **options)
        model = TrainedUntil(net, 2, random_state=0).fit(images, np.arange(20) % 2)
        assert model.predict(images).shape == (20,)

    @pytest.mark.parametrize("nothing", [None, 3.0])
    def test_no_inputs_are_said(self, nothing: Any) -> None:
        for model in (KernelRegressor(), TrainedUntil(SGDRegressor(), 1)):
            with pytest.raises(ValueError, match=r"one row for each sample|got scalar|2D array"):
                model.fit(nothing, WHOLE)

    def test_masked_inputs_are_missing(self) -> None:
        masked = np.ma.masked_where(X > 2, X)
        for model in (KernelRegressor(), TrainedUntil(SGDRegressor(), 1)):
            with pytest.raises(ValueError, match="NaN"):
                model.fit(masked, WHOLE)

    @pytest.mark.parametrize(
        "model",
        [
            TrainedUntil(SGDRegressor(random_state=0), 1),
            KernelRegressor(),
            TrainedUntil(SGDClassifier(random_state=0), 1),
            KernelClassifier(),
        ],
    )
    def test_rows_in_another_order_are_refused(self, model) -> None:
        table, target = pd.DataFrame(X), pd.Series(LABELS)
        model.fit(table, target)
        model.fit(table, LABELS[::-1])
        with pytest.raises(InputError, match="X and y have the same row names in another order"):
            model.fit(table, target[::-1])
        with pytest.raises(InputError, match="X and y have different row names"):
            model.fit(table, target.set_axis(np.arange(N) + 1))
        with pytest.raises(InputError, match="X and sample_weight have the same row names in another order"):
            model.fit(table, target, sample_weight=pd.Series(np.ones(N))[::-1])
        if isinstance(model, TrainedUntil):
            with pytest.raises(InputError, match="X and y have the same row names in another order"):
                model.score(table, target[::-1])

    @pytest.mark.parametrize("model", [TrainedUntil(SGDClassifier(random_state=0), 1), KernelClassifier()])
    @pytest.mark.parametrize("form", [list, np.array, pd.Series])
    def test_bytes_are_refused(self, model, form: Any) -> None:
        with pytest.raises(InputError, match="y holds bytes, as in b'no'; expected text"):
            model.fit(X, form([b"no", b"yes"] * (N // 2)))

    @pytest.mark.parametrize(
        "make", [lambda: TrainedUntil(SGDClassifier(random_state=0), 1), lambda: KernelClassifier()]
    )
    def test_labels_of_every_type(self, make: Any) -> None:
        names = np.array(["no", "yes"])[LABELS]
        expected = make().fit(X, names)
        forms = [names.tolist(), names.astype(object), pd.Series(names), pd.Categorical(names)]
        for form in [*forms, pa.array(names.tolist()), pl.Series(names.tolist())]:
            found = make().fit(X, form)
            np.testing.assert_array_equal(found.predict(X), expected.predict(X))
            assert found.classes_.tolist() == ["no", "yes"]
        assert set(make().fit(X, LABELS > 0).predict(X).tolist()) == {False, True}
        with pytest.raises(ValueError, match=r"y (has 1 missing values|contains NaN)"):
            make().fit(X, np.where(np.arange(N) == 3, np.nan, LABELS))
        with pytest.raises(InputError, match="y mixes int and str"):
            make().fit(X, ["no", 1] * (N // 2))


class TestWeights:
    COUNTS = np.arange(N) % 4
    POINTS = np.random.default_rng(1).normal(size=(20, 3))

    @pytest.mark.parametrize("ridge", [10.0, 1e-2, 0.0])
    @pytest.mark.parametrize("kernel", [Gaussian(1.0), "laplace", "linear"])
    @pytest.mark.parametrize("two", [False, True])
    def test_a_weight_is_a_number_of_copies(self, kernel: Any, ridge: float, two: bool) -> None:
        y = X[:, 0] ** 2 + np.random.default_rng(2).normal(size=N)
        y = np.stack([y, -(y**2)], axis=1) if two else y
        weighted = KernelRegressor(kernel, ridge).fit(X, y, sample_weight=self.COUNTS)
        copies = np.repeat(X, self.COUNTS, axis=0), np.repeat(y, self.COUNTS, axis=0)
        expected = KernelRegressor(kernel, ridge).fit(*copies).predict(self.POINTS)
        np.testing.assert_allclose(weighted.predict(self.POINTS), expected, rtol=1e-8, atol=1e-8)
        left_out = self.COUNTS == 0
        np.testing.assert_array_equal(weighted.X_fit_, X[~left_out])

    @pytest.mark.parametrize("labels", [LABELS, np.arange(N) % 3])
    def test_of_a_classifier(self, labels: np.ndarray) -> None:
        weighted = KernelClassifier("laplace", 0.5).fit(X, labels, sample_weight=self.COUNTS)
        copies = np.repeat(X, self.COUNTS, axis=0), np.repeat(labels, self.COUNTS)
        expected = KernelClassifier("laplace", 0.5).fit(*copies)
        np.testing.assert_allclose(
            weighted.decision_function(self.POINTS), expected.decision_function(self.POINTS), atol=1e-8
        )
        np.testing.assert_array_equal(weighted.predict(self.POINTS), expected.predict(self.POINTS))

    def test_it_minimises_the_weighted_error(self) -> None:
        weights, ridge = np.random.default_rng(3).exponential(size=N) ** 3, 0.7
        model = KernelRegressor(Gaussian(1.5), ridge).fit(X, WHOLE, weights)
        # The conditions of the minimum, with the intercept as one more unknown.
        system = np.zeros((N + 1, N + 1))
        system[:N, :N] = Gaussian(1.5)(X) + ridge * np.diag(1 / weights)
        system[:N, N] = system[N, :N] = 1
        solution = np.linalg.solve(system, np.append(WHOLE, 0))
        np.testing.assert_allclose(model.dual_coef_[:, 0], solution[:N], rtol=1e-8, atol=1e-10)
        assert model.intercept_[0] == pytest.approx(solution[N], rel=1e-10)

    def test_it_is_the_weighted_regression_of_scikit_learn(self) -> None:
        weights = np.random.default_rng(3).exponential(size=N)
        y = WHOLE + X[:, 1] ** 2
        for ridge in (0.0, 0.3):
            peer = Ridge(alpha=ridge) if ridge else LinearRegression()
            expected = peer.fit(X, y, weights).predict(self.POINTS)
            found = KernelRegressor(Linear(), ridge).fit(X, y, sample_weight=weights).predict(self.POINTS)
            np.testing.assert_allclose(found, expected, rtol=1e-8)

    def test_one_number_and_equal_weights(self) -> None:
        plain = KernelRegressor("laplace", 1.0).fit(X, WHOLE).predict(self.POINTS)
        for weights in (1.0, np.ones(N), [1] * N, pd.Series(np.ones(N))):
            found = KernelRegressor("laplace", 1.0).fit(X, WHOLE, sample_weight=weights)
            np.testing.assert_allclose(found.predict(self.POINTS), plain, rtol=1e-9)
        for factor in (1e-200, 1e-6, 1e6, 1e200):
            scaled = KernelRegressor(Gaussian(1.0), factor).fit(X, WHOLE, sample_weight=factor)
            np.testing.assert_allclose(
                scaled.predict(self.POINTS),
                KernelRegressor(Gaussian(1.0), 1.0).fit(X, WHOLE).predict(self.POINTS),
                rtol=1e-8,
            )

    def test_no_ridge_interpolates_whatever_the_weights(self) -> None:
        weights = np.random.default_rng(3).uniform(0.1, 10, size=N)
        model = KernelRegressor("laplace", 0.0).fit(X, WHOLE, sample_weight=weights)
        np.testing.assert_allclose(model.predict(X), WHOLE, atol=1e-8)

    @pytest.mark.parametrize(
        ("weights", "said"),
        [
            (-np.ones(N), "sample_weight must be at least 0; got -1"),
            (np.full(N, np.nan), "sample_weight must be at least 0; got nan"),
            (np.full(N, np.inf), "sample_weight has 60 values that are NaN or infinite"),
            (np.zeros(N), "sample_weight is zero for all samples"),
            (np.ones(N - 1), r"sample_weight has shape \(59,\); expected \(60,\)"),
            (np.ones((N, 1)), r"sample_weight has shape \(60, 1\)"),
            (["much"] * N, "sample_weight must be numbers"),
        ],
    )
    def test_bad_weights_are_said(self, weights: Any, said: str) -> None:
        for model in (KernelRegressor(), KernelClassifier(), TrainedUntil(SGDClassifier(), 1)):
            with pytest.raises(InputError, match=said):
                model.fit(X, LABELS, sample_weight=weights)

    def test_too_few_samples_with_a_weight_are_said(self) -> None:
        with pytest.raises(InputError, match="zero for all samples but one"):
            KernelRegressor().fit(X, WHOLE, sample_weight=np.eye(N)[0])
        with pytest.raises(InputError, match="y has one class only, 1"):
            KernelClassifier().fit(X, LABELS, sample_weight=LABELS)

    def test_they_reach_partial_fit_and_the_errors(self) -> None:
        weights = np.random.default_rng(0).exponential(size=N)
        model = TrainedUntil(SGDRegressor(random_state=0), 4).fit(X, WHOLE, sample_weight=weights)
        by_hand = SGDRegressor(random_state=np.random.RandomState(0))
        for _ in range(4):
            by_hand.partial_fit(X, WHOLE, weights)
        np.testing.assert_array_equal(model.predict(X), by_hand.predict(X))
        assert model.score(X, WHOLE, weights) == by_hand.score(X, WHOLE, weights)
        training = EpochByEpoch(SGDRegressor(random_state=0), X, WHOLE, sample_weight=weights)
        training.train()
        by_hand = np.average((training.model.predict(X) - WHOLE) ** 2, weights=weights)
        assert training.error(X, WHOLE, weights) == pytest.approx(by_hand, rel=1e-14)
        assert not training.fitted(0.999 * by_hand)
        assert training.fitted(1.001 * by_hand)

    def test_samples_without_weight_are_left_out(self) -> None:
        kept = np.arange(N) % 3 > 0
        for stop in ("validation", "interpolation"):
            model = TrainedUntil(
                SGDRegressor(random_state=0), stop, max_epochs=20, tolerance=0.1, random_state=0
            )
            found, expected = copies(model, 2)
            found.fit(X, WHOLE, sample_weight=kept)
            expected.fit(X[kept], WHOLE[kept])
            np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-12)
            np.testing.assert_allclose(found.validation_errors_, expected.validation_errors_, rtol=1e-12)

    def test_an_estimator_that_takes_none_is_named(self) -> None:
        with pytest.raises(InputError, match=r"HashedText.partial_fit takes no sample_weight"):
            TrainedUntil(HashedText(), 1).fit(["a", "b"], [0, 1], sample_weight=[1, 2])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_kernel_matrix_that_is_not_finite_is_said(bad: float) -> None:
    def kernel(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return np.where(A[:, :1] == B[:, 0], 1.0, bad)

    for model, y in ((KernelRegressor(kernel), WHOLE), (KernelClassifier(kernel), LABELS)):
        with pytest.raises(InputError, match=r"(?i)kernel.*(nan|infinite|finite)"):
            model.fit(X, y)


class TestSeeds:
    def fitted(self, random_state: Any) -> TrainedUntil:
        return TrainedUntil(SGDClassifier(), "validation", max_epochs=5, random_state=random_state).fit(
            X, LABELS
        )

    @pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState, int])
    def test_the_same_generator_gives_the_same_fit(self, make: Any) -> None:
        first, again, other = (self.fitted(make(seed)) for seed in (7, 7, 8))
        np.testing.assert_array_equal(first.decision_function(X), again.decision_function(X))
        assert (first.decision_function(X) != other.decision_function(X)).any()

    def test_a_seed_is_drawn_from_a_generator(self) -> None:
        generator = np.random.default_rng(7)
        first, second = self.fitted(generator), self.fitted(generator)
        assert (first.decision_function(X) != second.decision_function(X)).any()
        assert generator.integers(2**40) != np.random.default_rng(7).integers(2**40)

    @pytest.mark.parametrize("bad", ["seed", -1, 1.5, 2**32, [1, 2]])
    def test_other_things_are_said(self, bad: Any) -> None:
        with pytest.raises(InputError, match="expected None, a whole number from 0 to 2"):
            self.fitted(bad)
