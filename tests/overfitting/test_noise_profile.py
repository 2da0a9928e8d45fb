"""`noise_profile` of everything that can be fitted; its statistics, and the sentence for each bad input."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB as AnyLabels
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from cases import representative
from solvable.errors import InputError
from solvable.overfitting.build_task import prepare
from solvable.overfitting.noise_profile import NoiseProfile, noise_profile
from solvable.overfitting.verdict import verdict_on

X, Y = load_digits(return_X_y=True)
SMALL = {"train_sizes": [60, 200], "n_trials": 2, "test_size": 200}
NEAREST = KNeighborsClassifier(1)


def small(estimator, inputs=X, labels=Y, levels=(0.2,), **options) -> NoiseProfile:
    return noise_profile(estimator, inputs, labels, levels, **SMALL | options)


def same(one: NoiseProfile, other: NoiseProfile) -> None:
    xr.testing.assert_identical(one.data.drop_vars("seconds"), other.data.drop_vars("seconds"))


@pytest.fixture(scope="module")
def nearest() -> NoiseProfile:
    sizes = [60, 120, 240, 480, 960]
    return noise_profile(NEAREST, X, Y, (0.1, 0.2, 0.4), train_sizes=sizes, n_trials=8, test_size=500)


def net(kind: str, hidden: int = 32, outputs: int = 10, inputs: int = 64):
    skorch, torch = pytest.importorskip("skorch"), pytest.importorskip("torch")
    torch.manual_seed(0)  # of the initial weights
    module = torch.nn.Sequential
    layers = (torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs))
    loss = {"criterion": torch.nn.CrossEntropyLoss} if kind == "NeuralNetClassifier" else {}
    options = {"max_epochs": 20, "lr": 0.1, "train_split": None, "iterator_train__shuffle": True, **loss}
    return getattr(skorch, kind)(module(*layers), **options)


def test_the_nearest_neighbour_passes_noise_on_in_full(nearest: NoiseProfile) -> None:
    off = nearest.sensitivity - 1.0
    assert float(abs(off.isel(n_train=slice(1, None)).mean("n_train")).max()) < 0.05
    assert float(abs(off.sel(noise_level=[0.2, 0.4], n_train=[120, 240, 480, 960])).max()) < 0.1
    assert bool((abs(off) < 4 * nearest.standard_error).all())
    assert bool(nearest.interpolates.all())
    verdict = nearest.verdict()
    assert verdict.regime == "tempered"
    assert verdict.floor_interval[0] < 1.0 < verdict.floor_interval[1]


def test_averaging_neighbours_cost_less_and_only_they_do_not_interpolate(nearest: NoiseProfile) -> None:
    many = small(KNeighborsClassifier(9), train_sizes=[240, 960], n_trials=3)
    assert float(many.sensitivity.max()) < 0.4 < float(nearest.sensitivity.min())
    assert not bool(many.interpolates.all())
    assert any("does not interpolate: its training labels are not all fitted" in note for note in many.notes)
    assert "does not interpolate" in str(many)
    assert not any("interpolate" in note for note in nearest.notes)


@pytest.mark.slow
def test_standard_errors_agree_with_a_bootstrap_over_trials(nearest: NoiseProfile) -> None:
    many = noise_profile(NEAREST, X, Y, (0.2, 0.4), train_sizes=[60, 100], n_trials=40, test_size=300)
    generator = np.random.default_rng(0)
    draws = [
        NoiseProfile(many.data.isel(trial=generator.integers(40, size=40))).sensitivity for _ in range(400)
    ]
    bootstrap = np.std(draws, axis=0)
    np.testing.assert_allclose(many.standard_error, bootstrap, rtol=0.15)
    # Nothing is known of the scatter of one trial.
    assert np.isnan(NoiseProfile(many.data.isel(trial=[0])).standard_error).all()


FOREST = RandomForestClassifier(5, n_jobs=-1)


@pytest.mark.parametrize(
    "estimator",
    [
        FOREST,
        MLPClassifier((64,), max_iter=60, learning_rate_init=0.01),
        make_pipeline(StandardScaler(), SVC()),
        GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=2),
    ],
    ids=["forest", "mlp", "svc", "search"],
)
def test_any_classifier(estimator) -> None:
    before = repr(estimator)
    profile = small(estimator)
    assert profile.n_classes == 10
    assert profile.test_error.shape == (2, 2)
    assert float(profile.test_error.sel(noise_level=0, n_train=200)) < 0.25
    assert bool((profile.test_error.sel(noise_level=0.2) > profile.test_error.sel(noise_level=0.0)).any())
    assert repr(estimator) == before
    assert not hasattr(estimator, "classes_")


def test_warnings_of_estimators_are_told_once() -> None:
    profile = small(MLPClassifier((8,), max_iter=2))
    (note,) = (note for note in profile.notes if "warned" in note)
    assert note.startswith("in 8 of 8 fits the estimator warned: ConvergenceWarning: ")


def test_a_skorch_net_learns_and_says_nothing(capsys) -> None:
    profile = small(make_pipeline(StandardScaler(), net("NeuralNetClassifier")))
    assert float(profile.test_error.sel(noise_level=0, n_train=200)) < 0.25
    assert capsys.readouterr() == ("", "")
    two = small(net("NeuralNetBinaryClassifier", outputs=1), X / 16, Y > 4)
    assert float(two.test_error.sel(noise_level=0, n_train=200)) < 0.4


@pytest.mark.parametrize("outputs", representative([1, 2], fast=[1]))
def test_numbers(outputs: int) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(500, 5))
    y = (inputs @ generator.normal(size=(5, outputs))).squeeze()
    options = {"train_sizes": [40, 200], "n_trials": 6, "test_size": 200}
    profile = noise_profile(LinearRegression(), inputs, y, **options | {"n_trials": 40})
    assert profile.noise_levels.tolist() == [0, 0.5, 1]
    # Least squares with an intercept, Gaussian inputs: V = 1/n + (1 + 1/n) d/(n - d - 2).
    n = np.array([40, 200])
    expected = 1 / n + (1 + 1 / n) * 5 / (n - 7)
    np.testing.assert_allclose(profile.sensitivity.sel(noise_level=1.0), expected, rtol=0.3)
    one = noise_profile(KNeighborsRegressor(1), inputs, y, [1], **options)
    np.testing.assert_allclose(one.sensitivity.squeeze(), 1.0, atol=0.3)
    assert bool(one.interpolates.all())
    assert any("does not interpolate" in note for note in profile.notes)
    regressor = net("NeuralNetRegressor", inputs=5, outputs=outputs)
    profile = noise_profile(regressor, inputs, y, [1], **options | {"n_trials": 1})
    assert float(profile.test_error.sel(noise_level=0, n_train=200)) < 0.5 * float(np.var(y, axis=0).sum())


def test_integers_are_numbers_for_a_regressor() -> None:
    profile = small(Ridge(), labels=Y, levels=[1])
    assert profile.n_classes is None
    assert profile.data.attrs["loss"] == "squared"


def test_a_heavy_tail_is_told(nearest: NoiseProfile) -> None:
    inputs, y = load_diabetes(return_X_y=True)
    profile = noise_profile(Ridge(), inputs, y, [1], train_sizes=[50], n_trials=5)
    assert not any("mean may not exist" in note for note in profile.notes)
    data = profile.data.copy(deep=True)
    data.test_error[0, 0, 1] *= 100
    assert any("mean may not exist" in note for note in NoiseProfile(data).notes)


def logarithmic(n: int) -> KNeighborsClassifier:
    return KNeighborsClassifier(max(1, round(np.log(n))))


def test_a_function_of_the_number_of_samples(nearest: NoiseProfile, tmp_path) -> None:
    asked = []

    def make(n: int) -> KNeighborsClassifier:
        asked.append(n)
        return logarithmic(n)

    profile = small(make)
    assert set(asked) >= {60, 200}
    assert "KNeighborsClassifier(n_neighbors=4) at n = 60" in profile.estimator
    for n in (60, 200):
        one = small(logarithmic(n), train_sizes=[n])
        xr.testing.assert_equal(one.data.test_error, profile.data.test_error.sel(n_train=[n]))
    same(small(logarithmic, cache=tmp_path), small(logarithmic, cache=tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


def test_tables_texts_sparse_matrices_and_missing_values() -> None:
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"a": generator.normal(size=400), "kind": generator.choice(["x", "y", "z"], 400)})
    labels = np.where(table.a + (table.kind == "x") > 0.3, "yes", "no")
    columns = ColumnTransformer([("kind", OneHotEncoder(), ["kind"])], remainder="passthrough")
    options = {"train_sizes": [40, 200], "test_size": 150}
    profile = small(make_pipeline(columns, LogisticRegression()), table, labels, **options)
    assert profile.n_classes == 2
    assert float(profile.test_error.sel(noise_level=0, n_train=200)) < 0.2
    sparse = small(LogisticRegression(max_iter=1000), csr_array(X / 16), Y)
    dense = small(LogisticRegression(max_iter=1000), X / 16, Y)
    np.testing.assert_allclose(sparse.test_error, dense.test_error, atol=0.01)
    gaps = X.copy()
    gaps[::7, 20] = np.nan
    with pytest.raises(InputError, match="put an imputer in front"):
        small(NEAREST, gaps)
    for estimator in (make_pipeline(SimpleImputer(), NEAREST), RandomForestClassifier(3)):
        assert float(small(estimator, gaps).test_error.min()) < 0.4


def test_labels_of_any_kind_give_the_same_profile() -> None:
    expected = small(NEAREST)
    for labels in (Y.astype(str), pd.Series(Y), Y + 7, list(Y)):
        same(small(NEAREST, labels=labels), expected)


def test_labels_that_a_parameter_names() -> None:
    text = np.where(Y > 4, "fraud", "fine")
    weighted = LogisticRegression(class_weight={"fraud": 1.0, "fine": 1.0}, max_iter=2000)
    plain = LogisticRegression(max_iter=2000)
    xr.testing.assert_allclose(
        small(weighted, X / 16, text).test_error, small(plain, X / 16, text).test_error
    )


def test_each_trial_tests_on_others() -> None:
    task = prepare(X, Y, test_size=300)
    draws = [task.draw(1497, np.array([0.0, 0.2]), trial) for trial in range(3)]
    for draw in draws:
        assert draw.test is not None
        assert set(draw.test) | set(draw.rows) == set(range(1797))
        assert np.bincount(task.y[draw.test]).min() > 20
    assert len(set(draws[0].test) & set(draws[1].test)) < 100


def test_errors_are_widened_where_trials_share_their_samples(nearest: NoiseProfile) -> None:
    # 960 of 1297 samples: of the way from a half to all of them, 0.48; eight trials, 500 test samples.
    assert nearest.widening[:3] == pytest.approx(1.0)
    share = 2 * 960 / 1297 - 1
    assert nearest.widening[-1] == pytest.approx(np.sqrt(1 + 8 * 500 / 1297 * share))


def test_a_class_that_loses_its_last_label_to_noise() -> None:
    class GaussianNB(AnyLabels):
        """Takes labels 0, 1, 2, ... without a gap only, as xgboost does."""

        def fit(self, X, y):
            assert np.array_equal(np.unique(y), np.arange(len(np.unique(y))))
            return super().fit(X, y)

    labels = np.where(Y > 1, 2, Y)
    few = np.concatenate(
        [np.flatnonzero(labels == 2), np.flatnonzero(labels == 0)[:6], np.flatnonzero(labels == 1)[:6]]
    )
    same(*(small(kind(var_smoothing=1e-2), X[few], labels[few], [0.5]) for kind in (GaussianNB, AnyLabels)))


def test_a_channel_matrix_and_a_test_set_of_ones_own() -> None:
    # Only 3 and 8 are confused, so that a tenth of the labels at most changes... and others never.
    matrix = np.eye(10)
    matrix[[3, 8]] = 0
    matrix[3, 8] = matrix[8, 3] = 1
    options = {"X_test": X[1200:], "y_test": Y[1200:], "test_size": None, "n_trials": 6}
    profile = small(NEAREST, X[:1200], Y[:1200], [0.5], channel=matrix, **options)
    assert profile.data.attrs["n_test"] == 597
    share = float(np.isin(Y[:1200], [3, 8]).mean())
    assert profile.data.attrs["flip_share"] == pytest.approx(share)
    # What is lost is half of those two, for whoever passes noise on.
    lost = float(profile.test_error[1, 1] - profile.test_error[1, 0])
    assert lost == pytest.approx(0.5 * share, rel=0.4)
    assert "channel matrix" in str(profile)


def test_the_test_set_is_clean_and_subsets_are_nested_draws() -> None:
    task = prepare(X, Y, test_size=300)
    levels = np.array([0, 0.1, 0.3])
    draw = task.draw(500, levels, 0)
    np.testing.assert_array_equal(draw.labels[0], task.y[draw.rows])
    wrong = draw.labels != draw.labels[0]
    assert np.abs(wrong.sum(axis=1) - 500 * levels).max() <= 1
    assert (wrong[1] <= wrong[2]).all()
    assert (task.draw(500, levels[1:], 0).labels == draw.labels[1:]).all()
    assert (task.draw(500, levels, 1).rows != draw.rows).any()


class Plain:
    """The nearest neighbour; has fit and predict and nothing else."""

    def fit(self, X, y):
        self.X, self.y = X, y

    def predict(self, X):
        return self.y[(np.square(self.X).sum(axis=1) - 2 * X @ self.X.T).argmin(axis=1)]


class Failing(BaseEstimator):
    def fit(self, X, y):
        if len(y) > 100:
            raise RuntimeError("out of luck\nsecond line")
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)


def test_an_estimator_that_is_none_of_scikit_learns() -> None:
    profile = small(Plain())
    assert profile.estimator == "Plain"
    # But for two neighbours that are equally near.
    np.testing.assert_allclose(profile.test_error, small(NEAREST).test_error, atol=0.01)


@pytest.mark.parametrize("labels", [Y, Y > 4], ids=["ten classes", "two classes"])
def test_no_skill_is_no_verdict(labels) -> None:
    # Sizes and trials that are enough for a verdict of anything that has learned something.
    options = {"train_sizes": [60, 120, 240, 480], "n_trials": 8}
    profile = small(DummyClassifier(strategy="constant", constant=0), labels=labels, **options)
    assert np.isnan(profile.sensitivity).all()
    assert np.isnan(profile.standard_error).all()
    assert any("no better than chance without noise" in note for note in profile.notes)
    with pytest.raises(InputError, match="no better than chance without noise at any size"):
        profile.verdict()
    assert "There is no verdict: DummyClassifier" in str(verdict_on(profile))
    # Half of the time the nearest neighbour, half of the time one class: some skill, and a verdict.
    assert small(NEAREST, labels=labels, **options).verdict().floor > 0.5


def test_a_fit_that_fails_says_which() -> None:
    with pytest.raises(InputError) as caught:
        small(Failing(), task="classes")
    assert (
        str(caught.value)
        == "Failing failed on 200 samples at noise level 0 (trial 0): RuntimeError: out of luck"
    )
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"estimator": KNeighborsClassifier}, "KNeighborsClassifier is a class; expected an instance"),
        ({"estimator": StandardScaler()}, "StandardScaler has no predict"),
        ({"estimator": "forest"}, "got 'forest' for an estimator"),
        ({"estimator": lambda n: KNeighborsClassifier}, "is a class; expected an instance"),
        ({"estimator": lambda n: None}, "has no fit"),
        ({"estimator": lambda: NEAREST}, "expected a function of the number of training samples"),
        ({"labels": np.zeros(len(X), dtype=int)}, "y has one class only"),
        ({"levels": [0.95]}, "noise level 0.95 is too high; expected at most 0.9"),
        ({"levels": [0]}, "no level above 0"),
        ({"levels": [-0.1]}, "at least 0"),
        ({"train_sizes": [2000]}, "a train size of 2000 is too large; only 1597 samples are available"),
        ({"train_sizes": [10]}, "too small for 10 classes"),
        ({"train_sizes": [99.5]}, "whole numbers"),
        ({"inputs": np.where(X == 3, np.nan, X)}, "missing values, which the estimator does not accept"),
        ({"inputs": X[:-1]}, "X has 1796 rows and y has 1797"),
        ({"labels": Y / 3}, "the estimator predicts classes"),
        ({"labels": Y.astype(str), "estimator": Ridge()}, "the estimator predicts numbers"),
        ({"task": "number"}, "the task is number, but KNeighborsClassifier predicts classes"),
        ({"task": "class"}, "unknown task 'class'"),
        ({"test_size": 1.5}, "test_size must be a share"),
        ({"test_size": 1790}, "leaves 7 of 1797 samples"),
        ({"n_trials": 0}, "n_trials must be a whole number of at least 1; got 0"),
        ({"n_trials": 2.5}, "n_trials must be a whole number of at least 1; got 2.5"),
        ({"n_jobs": 0}, "n_jobs must be a whole number of at least 1, or -1"),
        ({"random_state": None}, "random_state must be a whole number"),
        ({"channel": np.eye(10)}, "leaves every label as it is"),
        ({"X_test": X}, "one of X_test and y_test was given"),
        ({"labels": np.eye(10)[Y]}, "y has shape (1797, 10); expected one label for each sample"),
        ({"test_size": np.inf}, "test_size must be a share"),
        ({"X_test": X, "y_test": Y}, "leave one of them out"),
        ({"X_test": X, "y_test": Y + 5, "test_size": None}, "no class of y"),
        (
            {"estimator": KNeighborsClassifier(100)},
            "KNeighborsClassifier failed on 60 samples at noise level 0 (trial 0): ",
        ),
    ],
)
def test_bad_inputs_are_one_sentence(options, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        small(**{"estimator": NEAREST} | options)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_read_off_a_profile(nearest: NoiseProfile, tmp_path) -> None:
    kept = tmp_path / "profile.nc"
    nearest.save(kept)
    xr.testing.assert_identical(NoiseProfile.load(kept).data, nearest.data)
    frame = nearest.to_frame()
    assert len(frame) == 5 * 4
    at = frame[(frame.n_train == 960) & (frame.noise_level == 0.2)].iloc[0]
    assert at.sensitivity == pytest.approx(float(nearest.sensitivity.sel(n_train=960, noise_level=0.2)))
    gain = nearest.cleaning_gain(0.4, 0.1)
    error = nearest.test_error
    np.testing.assert_allclose(gain, error.sel(noise_level=0.4) - error.sel(noise_level=0.1))
    np.testing.assert_allclose(
        nearest.cleaning_gain(0.4, 0.3) + nearest.cleaning_gain(0.3), nearest.cleaning_gain(0.4)
    )
    assert (gain.standard_error < 0.1 * gain).all()
    for levels, sentence in (((0.5, 0), "none above 0.4"), ((0.1, 0.2), "a lower level afterwards")):
        with pytest.raises(InputError, match=sentence):
            nearest.cleaning_gain(*levels)
    with pytest.raises(InputError, match=r"noise level 0.3 was not measured; expected one of 0.1, 0.2, 0.4"):
        nearest.verdict(0.3)
    with pytest.raises(InputError, match="there is no file"):
        NoiseProfile.load(tmp_path / "none.nc")
    (tmp_path / "bad.nc").write_text("x")
    with pytest.raises(InputError, match="holds no noise profile"):
        NoiseProfile.load(tmp_path / "bad.nc")


def test_a_gain_for_numbers_is_straight_in_the_variance() -> None:
    inputs, y = load_diabetes(return_X_y=True)
    profile = noise_profile(Ridge(1e-3), inputs, y, [1], train_sizes=[100], n_trials=3)
    whole = profile.cleaning_gain(1)
    np.testing.assert_allclose(profile.cleaning_gain(1, 0.5), 0.75 * whole)


def test_it_is_told_in_words(nearest: NoiseProfile) -> None:
    text = " ".join(str(nearest).split())
    for part in (
        "Noise profile of KNeighborsClassifier(n_neighbors=1)",
        "10 classes, 0-1 loss on clean test labels",
        "60 to 960 training samples, 500 test samples, 8 trials",
        "0: ignores noise, 1: passes it on in full, as 1-NN does",
        "Verdict at 20 % noise: tempered",
        "cleaning to 10 % noise lowers it by",
        "with 960 of 1297 samples trials share most of them and scatter too little",
    ):
        assert part in text
    assert max(map(len, str(nearest).splitlines())) <= 96
    assert "Verdict at 40 % noise" in str(verdict_on(nearest, 0.4))
    assert "n^-0.05" in str(verdict_on(nearest, strict=True))
    json.dumps(nearest.notes)


@pytest.mark.parametrize("kind", ["classes", "number", "one size"])
def test_it_is_drawn(nearest: NoiseProfile, kind: str) -> None:
    inputs, y = load_diabetes(return_X_y=True)
    profile = {
        "classes": lambda: nearest,
        "number": lambda: noise_profile(RandomForestRegressor(3), inputs, y, n_trials=2),
        "one size": lambda: small(NEAREST, train_sizes=[60], n_trials=1),
    }[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = profile.plot()
        figure.canvas.draw()
    left, right = figure.axes
    names = {text.get_text() for text in left.texts}
    assert names == ({"ignored", "1-NN"} if kind == "number" else {"no error", "1-NN", "chance"})
    assert right.get_title(loc="left").startswith("tempered" if kind == "classes" else "undecided")
    assert right.get_xscale() == "log"


def test_groups_are_never_on_both_sides():
    generator = np.random.default_rng(0)
    groups = pd.Series(generator.integers(0, 30, 600)).map("patient {}".format)
    # Samples of a group are alike, and its label is a coin flip: nothing but the group can be learned.
    centres = generator.normal(size=(30, 4))
    codes = groups.str.split().str[1].astype(int).to_numpy()
    inputs = centres[codes] + 0.01 * generator.normal(size=(600, 4))
    labels = generator.integers(0, 2, 30)[codes]
    options = {"train_sizes": [60, 400], "n_trials": 4, "quiet": True}
    task = prepare(inputs, labels, groups=groups)
    assert task.n_pool == 600 - task.n_test - (np.bincount(codes).max() - 1)
    for trial in range(20):
        draw = task.draw(task.n_pool, task.levels(None), trial)
        assert len(draw.test) == task.n_test
        assert not set(codes[draw.rows]) & set(codes[draw.test])
    together = noise_profile(KNeighborsClassifier(1), inputs, labels, [0.2], **options)
    apart = noise_profile(KNeighborsClassifier(1), inputs, labels, [0.2], groups=groups, **options)
    errors = [one.data.test_error.sel(noise_level=0, n_train=400).mean() for one in (together, apart)]
    assert float(errors[0]) < 0.01
    assert float(errors[1]) > 0.25
    assert any("other groups than trained on, of 30" in note for note in apart.notes)


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        (np.zeros(1797), "there are 1 groups; expected at least 2"),
        (np.arange(1796), r"groups has shape \(1796,\)"),
        ([None, *"abc"] + ["d"] * 1793, "groups has 1 missing values"),
        ([1, *"abc"] + ["d"] * 1793, "groups mixes int and str"),
        ((np.arange(1797) > 1700).astype(int), "leaves too few to train on"),
        (np.where(Y == 3, 0, 1 + np.arange(1797) % 20), "class 3 is in one group only"),
        (pd.Series(np.arange(1797) % 9, index=range(1, 1798)), "different row names"),
    ],
)
def test_groups_that_cannot_be_used(groups, sentence):
    inputs = pd.DataFrame(X)
    with pytest.raises(InputError, match=sentence):
        noise_profile(KNeighborsClassifier(1), inputs, Y, [0.2], groups=groups, n_trials=1)


def test_each_class_is_trained_on_whatever_groups_are_tested():
    groups, labels = np.repeat(np.arange(6), 10), np.zeros(60, dtype=int)
    labels[[0, 1, 2, 10, 11, 12]] = 1
    inputs = np.random.default_rng(0).normal(size=(60, 3))
    task = prepare(inputs, labels, groups=groups, test_size=20)
    for trial in range(50):
        draw = task.draw(task.n_pool, task.levels(None), trial)
        assert set(labels[draw.rows]) == {0, 1}
    with pytest.raises(InputError, match="leaves none to train on; expected classes in many groups"):
        prepare(inputs, groups // 2, groups=groups, test_size=40).draw(10, np.array([0.2]), 0)
