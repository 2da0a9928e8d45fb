"""Rules that stop training: what they promise is checked against the labels, and against training by hand."""

import pickle
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier, is_regressor
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier, SGDClassifier
from sklearn.model_selection import cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import LRScheduler
from torch import nn

from solvable.errors import InputError
from solvable.overfitting.epochs import EpochByEpoch
from solvable.overfitting.fitting import one_thread
from solvable.overfitting.label_noise import flip_labels
from solvable.overfitting.noise_profile import noise_profile
from solvable.overfitting.stopping import NotInterpolatingWarning, TrainedUntil, _variance

N = 100
LEARNING_RATE = 0.01


class Layers(nn.Module):
    def __init__(self, n_outputs: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, n_outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def skorch_net(kind: type = NeuralNetClassifier, n_outputs: int = 10, **options) -> NeuralNet:
    if kind is NeuralNetClassifier:
        options["criterion"] = nn.CrossEntropyLoss
    return kind(
        Layers,
        module__n_outputs=n_outputs,
        optimizer=torch.optim.Adam,
        lr=LEARNING_RATE,
        batch_size=32,
        iterator_train__shuffle=True,
        **options,
    )


def mlp(**options) -> MLPClassifier:
    return MLPClassifier((64,), learning_rate_init=LEARNING_RATE, batch_size=32, **options)


@pytest.fixture(autouse=True)
def _torch_on_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs, clean labels, and labels of which a fifth is wrong."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))[: 2 * N]
    return X[order] / 16, y[order], flip_labels(y[order], 0.2, random_state=0)


@pytest.mark.parametrize("make", [mlp, skorch_net])
def test_interpolation_fits_every_noisy_label_on_all_of_them(digits, make) -> None:
    X, y, noisy = digits
    model = TrainedUntil(make(), random_state=0).fit(X, noisy)
    assert model.reached_
    assert (model.predict(X) == noisy).all()
    assert (model.predict(X) != y).mean() == pytest.approx(0.2)
    assert list(model.classes_) == list(range(10))
    assert is_classifier(model)


def test_interpolation_ends_at_the_second_pass_in_a_row_without_an_error(digits) -> None:
    X, _, noisy = digits
    model = TrainedUntil(mlp(random_state=np.random.RandomState(3))).fit(X, noisy)
    by_hand, errors = mlp(random_state=np.random.RandomState(3)), []
    for _ in range(model.n_epochs_):
        by_hand.partial_fit(X, noisy, classes=np.unique(noisy))
        errors.append((by_hand.predict(X) != noisy).mean())
    fitted = np.array(errors) == 0
    assert fitted[-2:].all()
    assert not (fitted[:-2] & fitted[1:-1]).any()
    np.testing.assert_array_equal(by_hand.predict_proba(X), model.predict_proba(X))


def test_a_number_is_fitted_to_a_share_of_its_variance(digits) -> None:
    X, y, _ = digits
    target = y - 4.5 + np.random.default_rng(0).standard_normal(len(y))
    for net in (
        MLPRegressor(hidden_layer_sizes=(128,), learning_rate_init=LEARNING_RATE, batch_size=32),
        skorch_net(NeuralNetRegressor, 1),
    ):
        model = TrainedUntil(net, tolerance=0.01, random_state=0).fit(X, target)
        assert model.reached_
        assert is_regressor(model)
        assert model.predict(X).shape == target.shape
        assert np.square(model.predict(X) - target).mean() < 0.01 * target.var()
        assert not hasattr(model, "classes_")


def test_two_outputs_and_a_binary_net(digits) -> None:
    X, y, _ = digits
    both = np.stack([np.sin(y), np.cos(y)], axis=1)
    model = TrainedUntil(skorch_net(NeuralNetRegressor, 2), 40, random_state=0).fit(X, both)
    assert model.predict(X).shape == both.shape
    assert model.score(X, both) > 0.5
    noisy = flip_labels(y % 2, 0.2, random_state=0)
    binary = TrainedUntil(skorch_net(NeuralNetBinaryClassifier, 1), random_state=0).fit(X, noisy)
    assert (binary.predict(X) == noisy).all()


def test_validation_keeps_the_epoch_of_least_error_on_noisy_labels(digits) -> None:
    X, _, noisy = digits
    early = TrainedUntil(mlp(), "validation", patience=10, random_state=0).fit(X, noisy)
    errors = np.array(early.validation_errors_)
    assert early.reached_
    assert early.n_epochs_ == errors.argmin() + 1
    assert len(errors) == early.n_epochs_ + 10
    # The same again without patience for what comes after the best: the copy is the model of that epoch.
    stopped = clone(early).set_params(max_epochs=early.n_epochs_).fit(X, noisy)
    assert not stopped.reached_
    np.testing.assert_array_equal(stopped.predict_proba(X), early.predict_proba(X))


@pytest.mark.parametrize("make", [mlp, skorch_net])
def test_validation_beats_interpolation_on_clean_labels(digits, make) -> None:
    X, y, noisy = digits
    train, test = slice(None, N), slice(N, None)
    early = TrainedUntil(make(), "validation", random_state=0).fit(X[train], noisy[train])
    late = TrainedUntil(make(), random_state=0).fit(X[train], noisy[train])
    assert early.n_epochs_ < late.n_epochs_
    assert early.score(X[test], y[test]) > late.score(X[test], y[test])


def test_a_number_of_epochs(digits) -> None:
    X, _, noisy = digits
    model = TrainedUntil(SGDClassifier(), 7, max_epochs=3, random_state=0).fit(X, noisy)
    assert (model.n_epochs_, model.reached_, model.estimator_.t_) == (7, True, 7 * len(X) + 1)


def test_not_reached_is_said(digits) -> None:
    X, _, noisy = digits
    with pytest.warns(NotInterpolatingWarning, match=r"did not fit its 200 labels .* within 3 epochs"):
        model = TrainedUntil(mlp(), max_epochs=3, random_state=0).fit(X, noisy)
    assert not model.reached_
    assert model.n_epochs_ == 3


@pytest.mark.parametrize("make", [mlp, skorch_net])
def test_one_seed_settles_everything(digits, make) -> None:
    X, _, noisy = digits
    fits = [TrainedUntil(make(), 3, random_state=seed).fit(X, noisy).predict_proba(X) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(fits[0], fits[1])
    assert (fits[0] != fits[2]).any()


@pytest.mark.parametrize("make", [mlp, skorch_net])
def test_threads_fit_what_one_thread_does(digits, make) -> None:
    X, _, noisy = digits

    def fitted(seed: int) -> np.ndarray:
        return TrainedUntil(make(), 5, random_state=seed).fit(X, noisy).predict_proba(X)

    def states() -> tuple[np.ndarray, torch.Tensor]:
        return np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002

    before = states()
    serial = [fitted(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(list(pool.map(fitted, range(8))), serial)
    np.testing.assert_array_equal(states()[0], before[0])
    if make is mlp:  # torch's loaders draw a number for each prediction
        np.testing.assert_array_equal(states()[1], before[1])


def test_global_generators_are_left_to_models_that_draw_from_them(digits, monkeypatch) -> None:
    X, _, noisy = digits
    drawn = []

    class Unseeded(SGDClassifier):
        def __init__(self) -> None:
            super().__init__(random_state=0)

        def partial_fit(self, X, y, classes=None):
            drawn.append(np.random.rand())  # noqa: NPY002
            return super().partial_fit(X, y, classes)

    for _ in range(2):
        TrainedUntil(Unseeded(), 1, random_state=3).fit(X, noisy)
    assert drawn[0] == drawn[1]
    monkeypatch.setattr("solvable.overfitting.stopping.seeded", None)
    TrainedUntil(SGDClassifier(), 1, random_state=3).fit(X, noisy)


def test_batches_are_new_in_each_pass(digits, monkeypatch) -> None:
    X, _, noisy = digits
    orders = []
    training = EpochByEpoch(mlp(random_state=0), X, noisy)
    original = "sklearn.neural_network._multilayer_perceptron.shuffle"
    from sklearn.utils import shuffle

    def spy(*arrays, **options):
        orders.append(shuffle(*arrays, **options))
        return orders[-1]

    monkeypatch.setattr(original, spy)
    for _ in range(3):
        training.train()
    assert (orders[1] != orders[2]).any()


def test_ctrl_c_ends_all_passes(digits, monkeypatch) -> None:
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("sklearn.neural_network._multilayer_perceptron.shuffle", interrupted)
    with pytest.warns(UserWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        TrainedUntil(mlp(), random_state=0).fit(*digits[::2])


@pytest.mark.parametrize("form", [pd.DataFrame, csr_array, np.ndarray.tolist])
def test_tables_sparse_matrices_and_lists(digits, form) -> None:
    X, _, noisy = digits
    for net, stop in ((mlp(), "validation"), (skorch_net(), 3)):
        if form is csr_array and stop == 3:
            continue
        plain, formed = (TrainedUntil(net, stop, random_state=0).fit(one, noisy) for one in (X, form(X)))
        np.testing.assert_allclose(formed.predict_proba(form(X)), plain.predict_proba(X), atol=1e-6)


def test_a_learning_rate_schedule_goes_on_from_pass_to_pass(digits) -> None:
    X, _, noisy = digits
    schedule = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    model = TrainedUntil(skorch_net(callbacks=[schedule]), 4, random_state=0).fit(X, noisy)
    assert model.estimator_.optimizer_.param_groups[0]["lr"] == pytest.approx(LEARNING_RATE / 2**4)
    assert len(model.estimator_.history) == 4


def test_scikit_learn_takes_it_for_its_own(digits) -> None:
    X, y, noisy = digits
    model = TrainedUntil(mlp(), "validation", patience=5, random_state=1)
    assert clone(model).get_params()["estimator__hidden_layer_sizes"] == (64,)
    assert model.set_params(estimator__alpha=0.5).estimator.alpha == 0.5
    names = np.array([f"digit {one}" for one in noisy])
    model.fit(X, names)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert set(model.classes_) == set(names)
    assert not hasattr(model.estimator, "coefs_")
    assert cross_val_score(TrainedUntil(mlp(), 10, random_state=0), X, y, cv=2).min() > 0.7


def test_small_sets_and_lonely_classes_do_not_warn(digits) -> None:
    X, _, noisy = digits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = TrainedUntil(mlp(), "validation", patience=3, random_state=0).fit(X[:15], noisy[:15])
    assert model.predict(X[:15]).shape == (15,)


def test_only_the_first_rows_are_asked_until_they_are_fitted() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2000, 5)), rng.integers(0, 2, 2000)
    asked = []

    class Spy(SGDClassifier):
        def predict(self, X):
            asked.append(len(X))
            return super().predict(X)

    training = EpochByEpoch(Spy(random_state=0), X, y)
    training.train()
    assert not training.fitted()
    assert asked == [512]
    assert training.fitted(most=1.0)
    assert asked == [512, 512, 1488]
    assert not training.fitted(most=training.error(X, y) - 1e-9)
    assert training.fitted(most=training.error(X, y) + 1e-9)


def test_through_a_noise_profile(digits) -> None:
    X, y, _ = digits
    options = {"train_sizes": [60, 120], "n_trials": 1, "test_size": 0.4}
    late = noise_profile(TrainedUntil(mlp()), X, y, (0, 0.2), **options)
    early = noise_profile(TrainedUntil(skorch_net(), "validation"), X, y, (0, 0.2), **options)
    assert late.interpolates.all()
    assert not early.interpolates.any()
    assert (early.sensitivity < late.sensitivity).all()
    stopped = noise_profile(TrainedUntil(mlp(), max_epochs=2), X, y, (0, 0.2), **options)
    assert any("NotInterpolatingWarning" in note for note in stopped.notes)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (TrainedUntil(RidgeClassifier()), "RidgeClassifier has no partial_fit"),
        (TrainedUntil(mlp(solver="lbfgs")), "MLPClassifier has no partial_fit"),
        (TrainedUntil(mlp(early_stopping=True)), "early_stopping=True"),
        (TrainedUntil(TrainedUntil(mlp())), "inside it instead"),
        (TrainedUntil(mlp(), "interpolate"), "did you mean 'interpolation'"),
        (TrainedUntil(mlp(), 0), "stop must be .*; got 0"),
        (TrainedUntil(mlp(), True), "stop must be .*; got True"),
        (TrainedUntil(mlp(), 2.5), "stop must be .*; got 2.5"),
        (TrainedUntil(mlp(), max_epochs=0), "max_epochs must be .*; got 0"),
        (TrainedUntil(mlp(), "validation", patience=0), "patience must be .*; got 0"),
        (TrainedUntil(mlp(), "validation", validation_size=200), "holds out all of 200 samples"),
        (TrainedUntil(mlp(), "validation", validation_size=0), "validation_size must be a share"),
    ],
)
def test_bad_input_is_said(digits, model, said: str) -> None:
    X, _, noisy = digits
    with pytest.raises(InputError, match=said):
        model.fit(X, noisy)


def test_labels_that_a_net_does_not_take_are_said(digits) -> None:
    X, _, noisy = digits
    with pytest.raises(InputError, match="takes classes as numbers from 0"):
        TrainedUntil(skorch_net()).fit(X, noisy.astype(str))
    with pytest.raises(InputError, match="NeuralNetClassifier or NeuralNetRegressor"):
        TrainedUntil(skorch_net(NeuralNet, criterion=nn.CrossEntropyLoss)).fit(X, noisy)
    with pytest.raises(InputError, match="X has 3 rows and y has 200"):
        TrainedUntil(mlp()).fit(X[:3], noisy)


def test_divergence_is_said(digits) -> None:
    X, y, _ = digits
    with pytest.raises(InputError, match="NaN or infinite values after epoch 1"):
        TrainedUntil(skorch_net(NeuralNetRegressor, 1).set_params(lr=1e30), random_state=0).fit(X, y * 1.0)


@pytest.mark.parametrize("size", [1.7, 0, -0.1, np.inf, "half", True])
def test_a_share_to_keep_aside_is_a_share_or_a_number(size) -> None:
    rule = TrainedUntil(mlp(), "validation", validation_size=size)
    with pytest.raises(
        InputError, match="validation_size must be a share between 0 and 1, or a whole number"
    ):
        rule.fit(np.eye(30), np.arange(30) % 2)


class OfOneClass(ClassifierMixin, BaseEstimator):
    """Predicts the first class, whatever it is trained on."""

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        self.classes_ = np.unique(y) if classes is None else np.asarray(classes)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_held_out_samples_count_by_their_weights():
    X, y = np.zeros((200, 2)), np.arange(200) % 2
    for weights, error in ((None, 0.5), (np.where(y == 1, 3.0, 1.0), 0.75)):
        model = TrainedUntil(OfOneClass(), stop="validation", random_state=0, max_epochs=3)
        assert model.fit(X, y, sample_weight=weights).validation_errors_[0] == pytest.approx(error)


def test_the_variance_that_a_tolerance_is_of_is_weighted():
    y, counts = np.arange(6.0), np.array([1, 0, 3, 2, 1, 5])
    copies = np.repeat(y, counts)
    assert _variance(y, counts.astype(float)) == pytest.approx(copies.var())
    assert _variance(y, None) == pytest.approx(y.var())
