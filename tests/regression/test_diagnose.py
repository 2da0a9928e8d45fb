"""`diagnose`: what scripts rely on, the numbers against training, and the words for odd data."""

import html
import pickle
import re
import sys
import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, make_friedman1
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import Pipeline

from cases import representative
from solvable.errors import InputError
from solvable.kernels import Gaussian, Linear
from solvable.regression import diagnose
from solvable.regression.diagnose import NATURAL_KERNELS, Diagnosis

# In its package the name means the function.
MODULE = sys.modules[Diagnosis.__module__]
RNG = np.random.default_rng(0)
N = 150
X = RNG.normal(5, 3, (N, 4))
Y = X[:, 0] + 0.1 * X[:, 1] * X[:, 2] + RNG.normal(size=N)


def plain(words: object) -> str:
    """Return text without line breaks."""
    return " ".join(str(words).split())


@pytest.fixture(scope="module")
def of_diabetes() -> Diagnosis:
    return diagnose(*load_diabetes(return_X_y=True), ridge=0.01)


@pytest.fixture(scope="module")
def of_tumours() -> Diagnosis:
    return diagnose(*load_breast_cancer(return_X_y=True), kernel="laplace")


@pytest.fixture(scope="module")
def of_digits() -> Diagnosis:
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))[:500]
    return diagnose(images[order].reshape(-1, 8, 8), labels[order], kernel="laplace")


# What outside scripts rely on.


def test_names_that_scripts_use(of_diabetes: Diagnosis) -> None:
    forecast = of_diabetes.forecast(n_train=[442, 1000, 4420])
    assert isinstance(forecast, xr.Dataset)
    for name in ("test_mse", "test_mse_low", "test_mse_high", "rmse", "rmse_low", "rmse_high", "r2", "ridge"):
        assert forecast[name].dims == ("n_train",)
    assert forecast.n_train.to_numpy().tolist() == [442.0, 1000.0, 4420.0]
    assert bool(
        (forecast.test_mse_low < forecast.test_mse).all()
        and (forecast.test_mse < forecast.test_mse_high).all()
    )
    assert type(of_diabetes.optimal_ridge) is float
    assert type(of_diabetes.noise) is float
    assert set(of_diabetes.exponents) == {"alpha", "beta", "noise"}
    assert isinstance(of_diabetes.estimator, Pipeline)
    low, high = of_diabetes.noise_interval
    assert 0 <= low <= of_diabetes.noise <= high
    # What never goes away is no more than what there is now.
    assert high <= forecast.test_mse_high[0].item()
    assert sorted(of_diabetes.compared) == sorted(NATURAL_KERNELS)
    assert list(of_diabetes.compared.values()) == sorted(of_diabetes.compared.values())
    alone = diagnose(X, Y, None, None, None, 0)  # the order of the arguments
    assert alone.ridge is None


def test_measures_are_each_others(of_diabetes: Diagnosis, of_tumours: Diagnosis) -> None:
    y = load_diabetes().target
    forecast = of_diabetes.forecast([100, 442, 2000])
    assert of_diabetes.variance == pytest.approx(y.var())
    np.testing.assert_allclose(forecast.rmse**2, forecast.test_mse)
    np.testing.assert_allclose(1 - forecast.test_mse / y.var(), forecast.r2)
    assert bool((forecast.r2_low < forecast.r2).all() and (forecast.r2 < forecast.r2_high).all())
    assert of_diabetes.measure == "rmse"
    assert of_tumours.measure == "error_rate"
    assert "rmse" not in of_tumours.forecast([100])
    # The best ridge is the best of a scan.
    scan = of_diabetes.surface.predict(442, ridge=np.geomspace(1e-3, 1e3, 200)).test_mse.min()
    assert of_diabetes.forecast([442]).test_mse.item() <= 1.02 * float(scan)


def test_the_estimator_is_kernel_ridge_by_hand_on_raw_inputs(of_diabetes: Diagnosis) -> None:
    raw, y = load_diabetes(return_X_y=True)
    new = raw[::7] * 1.1 + 0.01
    # The intercept b makes the dual coefficients A (y - b) sum to 0.
    inverse = np.linalg.inv(of_diabetes.kernel(raw) + of_diabetes.optimal_ridge * np.eye(len(y)))
    intercept = inverse.sum(axis=0) @ y / inverse.sum()
    by_hand = of_diabetes.kernel(new, raw) @ inverse @ (y - intercept) + intercept
    np.testing.assert_allclose(of_diabetes.estimator.predict(new), by_hand, rtol=1e-8)
    # The kernel of raw inputs is the inner one on columns scaled to mean 0 and deviation 1.
    scaled = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    np.testing.assert_allclose(of_diabetes.kernel(raw), of_diabetes.kernel.kernel(scaled), atol=1e-10)


@pytest.mark.parametrize("kind", ["integers", "text", "booleans"])
def test_classes_keep_their_type_and_the_estimator_pickles(kind: str) -> None:
    raw, target = load_breast_cancer(return_X_y=True)
    labels = {"integers": target * 3, "text": np.array(["bad", "good"])[target], "booleans": target > 0}[kind]
    found = diagnose(raw[:300], labels[:300], kernel="laplace")
    answers = found.estimator.predict(raw[300:])
    assert answers.dtype == labels.dtype
    assert (answers == labels[300:]).mean() > 0.93
    assert found.data.classes == tuple(map(str, np.unique(labels)))
    again = pickle.loads(pickle.dumps(found.estimator))
    np.testing.assert_array_equal(again.predict(raw[300:]), answers)


def test_tables_with_text() -> None:
    city = RNG.choice(["Rome", "Oslo", "Bern"], N)
    table = pd.DataFrame(
        {"size": X[:, 0], "city": city, "age": X[:, 1]}, index=[f"row {i}" for i in range(N)]
    )
    y = pd.Series(X[:, 0] + 3 * (city == "Rome") + 0.1 * RNG.normal(size=N), index=table.index, name="rent")
    found = diagnose(table, y, kernel="gaussian")
    assert "'rent'" in str(found)
    new = table[["age", "city", "size"]].iloc[:10]  # in another order
    np.testing.assert_array_equal(found.estimator.predict(new), found.estimator.predict(table.iloc[:10]))
    assert np.square(found.estimator.predict(table) - y).mean() < 0.2
    unseen = new.assign(city="Paris")
    assert np.isfinite(found.estimator.predict(unseen)).all()
    assert found.forecast([N]).rmse.item() < 0.6


def test_images(of_digits: Diagnosis) -> None:
    images, labels = load_digits(return_X_y=True)
    assert of_digits.data.X.shape == (500, 64)
    assert len(of_digits.data.classes) == 10
    answers = of_digits.estimator.predict(images.reshape(-1, 8, 8))
    assert answers.dtype == labels.dtype
    assert (answers == labels).mean() > 0.97


def test_the_expected_rate_is_the_estimators_own(of_digits: Diagnosis) -> None:
    images, labels = load_digits(return_X_y=True)
    rest = np.random.default_rng(0).permutation(len(labels))[500:]
    wrong = (of_digits.estimator.predict(images[rest].reshape(-1, 8, 8)) != labels[rest]).mean()
    now = of_digits.forecast([500]).isel(n_train=0)
    assert float(now.error_rate_low) <= wrong <= float(now.error_rate_high)


def test_several_numbers_at_once() -> None:
    targets = np.column_stack([Y, X[:, 1] ** 2, RNG.normal(size=N)])
    found = diagnose(X, targets, kernel="gaussian")
    assert found.estimator.predict(X).shape == (N, 3)
    assert found.variance == pytest.approx(targets.var(axis=0).sum())
    forecast = found.forecast([N])
    np.testing.assert_allclose(forecast.rmse**2 * 3, forecast.test_mse)
    assert "3 numbers" in str(found)
    one = diagnose(X, Y[:, None], kernel="gaussian")
    flat = diagnose(X, Y, kernel="gaussian")
    np.testing.assert_allclose(one.forecast([N]).rmse, flat.forecast([N]).rmse)


def test_what_integers_mean() -> None:
    assert len(diagnose(X, RNG.integers(0, 3, N), kernel="linear").data.classes) == 3
    many = diagnose(X, RNG.integers(0, 10**6, N), kernel="linear")
    assert many.data.classes == ()
    assert many.measure == "rmse"


def test_random_state_decides_everything() -> None:
    rng = np.random.default_rng(0)
    many = rng.normal(size=(5000, 2))
    y = np.sin(many[:, 0]) + 0.3 * rng.normal(size=5000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "MOST_SAMPLES", 300)
        first, again, other = (diagnose(many, y, "laplace", random_state=s) for s in (1, 1, 2))
    assert (first.n_samples, first.data.n_rows) == (300, 5000)
    assert first.forecast([500]).identical(again.forecast([500]))
    assert str(first) == str(again)
    assert first.data.rows.tolist() != other.data.rows.tolist()
    assert "300 of 5000 rows, drawn at random" in plain(first)
    assert 5000.0 in first.to_dataset().n_train
    assert "all your rows" in str(first)


def test_of_more_than_4000_rows_4000_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    # Stopped where the long work would begin.
    class Enough(Exception):
        pass

    seen = []

    def stop(data, *_: object, **__: object) -> None:
        seen.append(data)
        raise Enough

    monkeypatch.setattr(MODULE, "diagnose_dataset", stop)
    many = np.random.default_rng(0).normal(size=(4100, 2))
    with pytest.raises(Enough):
        diagnose(many, many[:, 0])
    assert (len(seen[0].X), seen[0].n_rows) == (4000, 4100)


# In words and pictures.


def test_words_hold_the_numbers(of_diabetes: Diagnosis) -> None:
    words, page = plain(of_diabetes), plain(re.sub("<[^>]*>", " ", of_diabetes._repr_html_()))
    now = of_diabetes.forecast([442]).isel(n_train=0)
    most = of_diabetes.forecast([4420]).isel(n_train=0)
    for text in (words, html.unescape(page)):
        for value in (now.rmse, now.rmse_low, now.rmse_high, most.rmse, most.rmse_low, most.rmse_high):
            assert f"{float(value):.3g}" in text
        assert f"{float(now.r2):.3f}" in text
        assert f"{of_diabetes.optimal_ridge:.2g}" in text
        assert "442 labelled samples" in text
        assert "leave-one-out squared error of 5 natural kernels" in text
    assert not re.search(r"\bnan\b", words)
    assert max(map(len, str(of_diabetes).splitlines())) <= 96
    # No number is parted from its percent sign.
    assert not re.search(r"^\s*%", str(of_diabetes), flags=re.MULTILINE)


def test_a_ridge_in_use_is_said_to_cost(of_diabetes: Diagnosis) -> None:
    cost = (
        of_diabetes.forecast([442], ridge=0.01).test_mse.item() / of_diabetes.forecast([442]).test_mse.item()
    )
    assert cost > 1.2
    words = rf"Your ridge 0\.01\b[^.]* has ({100 * (cost - 1):.0f} % more|{cost:.3g} times the) squared error"
    assert re.search(words, plain(of_diabetes))
    best = diagnose(
        *load_diabetes(return_X_y=True), kernel=of_diabetes.kernel.kernel, ridge=of_diabetes.optimal_ridge
    )
    assert "is as good as the best" in plain(best)


def test_the_cost_of_a_ridge_is_that_of_training() -> None:
    # A ridge of 0.01 on Friedman's function, against refits on fresh samples.
    inputs, y = make_friedman1(12_000, noise=1.0, random_state=3)
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    kernel = Gaussian(length_scale=4.4)
    found = diagnose(inputs[:600], y[:600], kernel=kernel)
    wanted = np.array([1e-3, 0.1, 10.0])
    predicted = np.array([found.forecast([600], ridge=float(r)).test_mse.item() for r in wanted])
    measured = []
    for start in range(1000, 4600, 600):
        part = slice(start, start + 600)
        fits = [
            KernelRidge(alpha=r, kernel="rbf", gamma=0.5 / 4.4**2).fit(scaled[part], y[part] - y.mean())
            for r in wanted
        ]
        measured.append([np.square(f.predict(scaled[-4000:]) + y.mean() - y[-4000:]).mean() for f in fits])
    np.testing.assert_allclose(predicted, np.mean(measured, axis=0), rtol=0.15)


NASTY = "<script>alert('x')</script>"


def test_html_is_escaped() -> None:
    table = pd.DataFrame({f"{NASTY}{i}": X[:, i] for i in range(3)} | {"constant<b>": 1.0})
    labels = pd.Series(np.where(Y.mean() < Y, NASTY, "<i>"), name=f"<img src=1>{NASTY}")
    page = diagnose(table, labels, kernel="gaussian")._repr_html_()
    assert "alert" in page
    for tag in ("<script", "<img", "<i>", "<b>"):
        assert tag not in page


def test_plot_draws(of_diabetes: Diagnosis, of_digits: Diagnosis) -> None:
    from matplotlib.figure import Figure

    for found in (of_diabetes.with_measured([100, 300], [70.0, 60.0]), of_digits):
        figure = found.plot()
        assert isinstance(figure, Figure)
        assert len(figure.axes) >= 2
        assert all(axis.get_xlabel() and axis.lines for axis in figure.axes[:2])
        figure.canvas.draw()


def test_to_dataset_survives_a_file(of_diabetes: Diagnosis, of_tumours: Diagnosis, tmp_path) -> None:
    for found in (of_diabetes, of_tumours):
        table = found.to_dataset()
        assert table.n_train.to_numpy().tolist() == [found.n_samples * factor for factor in (1, 2, 4, 10)]
        assert table.optimal_ridge.item() == found.optimal_ridge
        table.to_netcdf(tmp_path / "verdict.nc", engine="h5netcdf")
        again = xr.open_dataset(tmp_path / "verdict.nc", engine="h5netcdf").load()
        again.close()
        assert again.identical(table)


# Questions turned around.


def test_samples_for_is_the_curve_turned_around(of_diabetes: Diagnosis, of_tumours: Diagnosis) -> None:
    for found, name in ((of_diabetes, "rmse"), (of_tumours, "error_rate")):
        value = found.forecast([found.n_samples / 2])[name].item()
        n, low, high = found.samples_for(value)
        assert n == pytest.approx(found.n_samples / 2, rel=0.1)
        assert high >= n >= low
        # In brackets: where the ends of the interval reach it.
        if np.isfinite(high):
            assert found.forecast([high])[f"{name}_high"].item() == pytest.approx(value, rel=0.02)
    assert of_diabetes.samples_for(1e-9) == (np.inf, np.inf, np.inf)
    assert of_diabetes.samples_for(1e9)[0] == pytest.approx(30)
    squared = of_diabetes.forecast([221]).test_mse.item()
    assert of_diabetes.samples_for(squared, "test_mse")[0] == pytest.approx(
        of_diabetes.samples_for(squared**0.5)[0], rel=1e-6
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda d: d.samples_for(0), "rmse must be above 0; got 0"),
        (lambda d: d.samples_for(np.nan), "rmse must be above 0; got nan"),
        (lambda d: d.samples_for([1, 2]), "rmse must be one number; got 2"),
        (lambda d: d.samples_for(1, "error_rate"), "measure is 'error_rate'; expected one of test_mse, rmse"),
        (lambda d: d.forecast([]), "n_train is empty"),
        (lambda d: d.forecast([0]), "n_train must be above 0"),
        (lambda d: d.forecast(["many"]), "n_train must be numbers"),
        (lambda d: d.forecast([np.inf]), "n_train must be above 0 and at most 1e+09; got inf"),
        (lambda d: d.forecast([10], ridge=-1), "ridge must be at least 0"),
        (lambda d: d.forecast([10, 20], ridge=[1, 2]), "ridge must be one number"),
    ],
)
def test_bad_questions_are_one_sentence(of_diabetes: Diagnosis, call, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        call(of_diabetes)
    assert "\n" not in str(caught.value)


# Against training.


@cache
def friedman(n_sample: int, factor: float, seed: int) -> tuple[Diagnosis, float, xr.Dataset]:
    """Return a diagnosis, the error of training on fresh points, `factor` times as many, and its forecast."""
    inputs, y = make_friedman1(12_000, noise=1.0, random_state=1)
    scaled = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    order = np.random.default_rng(seed).permutation(8000)
    found = diagnose(inputs[order[:n_sample]], y[order[:n_sample]], kernel="gaussian")
    forecast = found.forecast([factor * n_sample]).isel(n_train=0)
    part = order[n_sample : n_sample + round(factor * n_sample)]
    gamma = 0.5 / found.kernel.kernel.length_scale**2  # pyright: ignore[reportAttributeAccessIssue]
    model = KernelRidge(alpha=float(forecast.ridge), kernel="rbf", gamma=gamma).fit(
        scaled[part], y[part] - y.mean()
    )
    return found, float(np.square(model.predict(scaled[8000:]) + y.mean() - y[8000:]).mean()), forecast


def test_friedmans_function_within_the_sample() -> None:
    off, noise = [], []
    for seed in range(6):
        found, measured, forecast = friedman(600, (0.5, 1.0)[seed % 2], seed)
        off.append(np.log(float(forecast.test_mse) / measured))
        noise.append(found.noise)
    # One training set and one sample of 600: 10 % each.
    assert np.abs(off).max() < 0.3
    assert abs(np.mean(off)) < 0.1
    # The floor is 1; half of the prior weight is on none, so it comes out low: 0.1 to 0.9.
    assert 0.1 < np.mean(noise) < 1.1


def test_the_noise_interval_holds_the_noise() -> None:
    # The expected floor is low (0.1 to 0.8, where 1 was added), but its bounds hold it.
    inside = []
    for seed in range(6):
        low, high = friedman(400, 4.0, seed)[0].noise_interval
        inside.append(low <= 1.0 <= high)
    assert np.mean(inside) >= 0.8


def test_four_times_the_sample_where_it_hides_the_floor() -> None:
    # A smooth function's curve falls steeply until it meets the noise, which the marginal likelihood knows before.
    inside = []
    for seed in range(6):
        _, measured, forecast = friedman(400, 4.0, seed)
        inside.append(float(forecast.test_mse_low) <= measured <= float(forecast.test_mse_high))
    assert np.mean(inside) >= 0.8


def test_noise_of_a_linear_function_is_what_was_added() -> None:
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        inputs = rng.normal(size=(400, 10))
        y = inputs @ rng.normal(size=10) + np.sqrt(0.7) * rng.normal(size=400)
        verdict = diagnose(inputs, y, kernel="linear")
        assert verdict.noise_interval[0] < verdict.noise < verdict.noise_interval[1]
        found.append((verdict.noise, verdict.noise_interval[0] <= 0.7 <= verdict.noise_interval[1]))
        # Ordinary least squares: noise (1 + d / (n - d)), all learned long ago.
        assert verdict.forecast([4000], ridge=0.0).test_mse.item() == pytest.approx(
            verdict.noise * 4000 / 3990, rel=0.02
        )
        assert verdict.exponents == {}
    noise, inside = np.array(found).T
    assert noise.mean() == pytest.approx(0.7, rel=0.1)
    assert inside.mean() >= 0.8


def test_fewer_samples_than_columns_leave_the_error_at_as_many_open() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(60, 200))
    found = diagnose(inputs, inputs[:, :5].sum(axis=1) + 0.1 * rng.normal(size=60), kernel="linear")
    forecast = found.forecast([60, 180, 600], ridge=found.optimal_ridge)
    assert np.isfinite(forecast.rmse_high[[0, 2]]).all()
    assert forecast.rmse_high[1] == np.inf
    # Behind the peak, at most all that is left may be noise, or nothing.
    assert (forecast.rmse_low > 0.0).values.tolist() == [True, False, False]
    # The best ridge grows, so that there is no peak.
    assert np.isfinite(found.forecast([180]).rmse_high).all()
    assert np.isfinite(found.estimator.predict(inputs)).all()


@pytest.mark.parametrize("target", representative(["numbers", "unequal classes"], fast=["numbers"]))
def test_pure_noise_is_said_to_be_nothing(target: str) -> None:
    said, inside = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        inputs = rng.normal(size=(150, 5))
        y = {
            "numbers": rng.normal(3.0, 2.0, 150),
            "unequal classes": (rng.random(150) < 0.15).astype(int),
        }[target]
        found = diagnose(inputs, y)
        forecast = found.forecast([150, 1500])
        truth = y.std() if target == "numbers" else 1 - np.bincount(y).max() / 150
        low, high = (forecast[f"{found.measure}_{end}"] for end in ("low", "high"))
        inside.append((low <= truth) & (truth <= high))
        said.append("Nothing is learned from these 150 samples" in plain(found))
        assert not re.search(r"\bnan\b|-0\.000\b", str(found))
    # At the 5 % level; with five kernels and all ridges to choose from, seldom more than one of five.
    assert np.mean(said) >= 0.8
    assert np.mean(inside) >= 0.85


def test_little_that_is_sure_is_said_to_be_learned() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 3))
    found = diagnose(inputs, 0.25 * inputs[:, 0] + rng.normal(size=600), kernel="linear")
    assert 0.02 < found.forecast([600]).r2.item() < 0.1
    assert found.learned
    assert "Nothing is learned" not in plain(found)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", ["classes", "skewed columns"])
def test_more_data_never_do_harm_at_the_best_ridge(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if kind == "classes":
        inputs = rng.normal(size=(100, 10))
        found = diagnose(inputs, (np.square(inputs).sum(axis=1) > 9.34).astype(int), kernel="matern52")
    else:
        inputs = np.exp(rng.normal(size=(150, 12)))
        y = np.log1p(inputs[:, 0] * inputs[:, 1]) + 0.5 * np.sqrt(inputs[:, 2]) + 0.3 * rng.normal(size=150)
        found = diagnose(inputs, y, kernel="linear")
    curve = found.forecast(np.geomspace(1, 16, 30) * found.n_samples)
    for name in ("test_mse", found.measure):
        # The search for the ridge that turns the curve has a grid.
        assert (curve[name].diff("n_train") <= 1e-3 * curve[name].max()).all()
        assert (curve[f"{name}_low"] <= curve[name]).all()
        assert (curve[name] <= curve[f"{name}_high"]).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kernel", ["laplace", "linear"])
def test_noise_floors_are_in_order(kernel: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = np.exp(rng.normal(size=(60, 6)))
    found = diagnose(inputs, inputs[:, 0] * rng.standard_t(2, 60), kernel=kernel)
    low, high = found.noise_interval
    now = found.forecast([60]).isel(n_train=0)
    assert 0.0 <= low <= found.noise <= high <= float(now.test_mse_high)
    assert found.noise <= float(now.test_mse)


def test_forecasts_are_raised_by_the_optimism_of_the_choice(of_diabetes: Diagnosis) -> None:
    found = replace(of_diabetes, optimism=0.1)
    plain, raised = (d.forecast([442]).isel(n_train=0) for d in (replace(found, optimism=0.0), found))
    ratios = [float(raised[f"test_mse{end}"] / plain[f"test_mse{end}"]) for end in ("_low", "", "_high")]
    np.testing.assert_allclose(np.log(ratios), [0.0, 0.1, 0.2], atol=1e-12)
    # Comparisons of models are not.
    assert found.cost_of(1.0) == pytest.approx(replace(found, optimism=0.0).cost_of(1.0))
    section = [str(d).partition("Random features")[2].partition("Check on")[0] for d in (of_diabetes, found)]
    assert section[0] == section[1]


# Odd data.


def test_duplicates_are_noted_once() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = diagnose(np.r_[X, X[:7]], np.r_[Y, Y[:7]], kernel="laplace")
    assert found.n_samples == N + 7
    assert sum("7 of " in note and "points repeat another one: errors" in note for note in found.notes) == 1
    assert len(set(found.notes)) == len(found.notes)
    np.testing.assert_allclose(
        found.forecast([N]).rmse, diagnose(X, Y, "laplace").forecast([N]).rmse, rtol=0.1
    )


def test_inputs_of_few_values_keep_their_rows() -> None:
    rng = np.random.default_rng(0)
    coins = rng.integers(0, 2, (400, 4))
    y = coins[:, 0] + 0.5 * coins[:, 1] + 0.5 * rng.normal(size=400)
    found = diagnose(coins, y, kernel="linear")
    assert found.n_samples == 400
    assert sum("repeat" in note for note in found.notes) >= 1
    # Least squares of four columns: noise (1 + 4 / 395).
    assert found.forecast([400], ridge=0.0).test_mse.item() == pytest.approx(0.25 * (1 + 4 / 395), rel=0.15)


def test_constant_columns_are_dropped_and_expected_again() -> None:
    found = diagnose(np.c_[X, np.ones(N)], Y, kernel="laplace")
    assert found.data.X.shape[1] == 4
    assert "1 constant column dropped" in plain(found)
    np.testing.assert_allclose(
        found.forecast([N]).rmse, diagnose(X, Y, "laplace").forecast([N]).rmse, rtol=1e-9
    )
    assert found.estimator.predict(np.c_[X, np.zeros(N)]).shape == (N,)


def test_one_input_column() -> None:
    x = np.random.default_rng(1).uniform(-3, 3, 200)
    found = diagnose(x[:, None], np.sin(2 * x) + 0.1 * RNG.normal(size=200))
    assert ", 1 input, " in plain(found)
    assert 0.09 < found.forecast([200]).rmse.item() < 0.2
    np.testing.assert_allclose(found.estimator.predict(np.array([[0.5]])), np.sin(1.0), atol=0.15)


def test_heavy_tails_widen_the_interval() -> None:
    heavy = diagnose(X, X[:, 0] + np.random.default_rng(0).standard_t(1.2, size=N) ** 3, kernel="laplace")
    light = diagnose(X, Y, kernel="laplace")
    width = [
        np.log(f.test_mse_high / f.test_mse_low).item() for f in (heavy.forecast([N]), light.forecast([N]))
    ]
    assert width[0] > 3 * width[1]
    assert str(heavy)


def test_units_do_not_matter() -> None:
    one = diagnose(X, Y, kernel="laplace").forecast([N, 1000])
    other = diagnose(X * 1e6 + 1e7, 1e-8 * Y + 3.0, kernel="laplace").forecast([N, 1000])
    np.testing.assert_allclose(other.rmse, 1e-8 * one.rmse, rtol=1e-5)
    np.testing.assert_allclose(other.r2, one.r2, rtol=1e-4)


def test_an_easy_task_has_no_errors_and_no_nonsense() -> None:
    labels = X[:, 0] > 5
    found = diagnose(X + 40 * labels[:, None], labels, kernel="laplace")
    forecast = found.forecast([N, 10 * N])
    assert forecast.error_rate.to_numpy().tolist() == [0.0, 0.0]
    assert 0 < forecast.error_rate_high.max() < 0.05
    words = plain(found)
    assert "expected error rate of 0 %" in words
    assert "100 % less" not in words


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"ridge": -1.0}, "ridge must be at least 0; got -1"),
        ({"ridge": np.inf}, "ridge must be finite; got inf"),
        ({"ridge": "small"}, "ridge must be one number"),
        ({"ridge": [1.0, 2.0]}, "ridge must be one number"),
        ({"kernel": "laplas"}, "did you mean 'laplace'"),
        ({"kernel": 3}, "3 is not a kernel"),
        ({"kernel": lambda A, B: np.ones((2, 2))}, "the kernel function returned shape (2, 2)"),
        ({"random_state": -1}, "random_state must be a whole number of at least 0; got -1"),
        ({"X": X[:, 0]}, "use X.reshape(-1, 1) for one input column"),
        ({"X": X[:-1]}, "X has 149 rows and y has 150"),
        ({"X": np.ones((N, 2))}, "every input column of the data is constant"),
        ({"X": np.where(X > 12, np.nan, X)}, "missing values"),
        ({"X": np.where(X > 12, np.inf, X)}, "infinite value"),
        ({"X": X[:19], "y": Y[:19]}, "at least 20"),
        ({"X": X[:1], "y": Y[:1]}, "at least 2"),
        ({"X": X[:0], "y": Y[:0]}, "the data has 0 rows; expected at least 2"),
        (
            {"X": np.repeat(X[:10], 15, axis=0), "drop_repeats": True},
            "without repeated rows 10 of 150 are left; expected at least 20",
        ),
        (
            {"X": np.repeat(X[:4], 38, axis=0)[:N]},
            "the 150 samples have 4 different inputs; expected at least 5",
        ),
        ({"X": pd.DataFrame({"name": [f"n{i}" for i in range(N)]})}, "has 150 different values"),
        ({"y": np.ones(N)}, "the target is constant"),
        ({"y": np.arange(N)}, "identifier"),
        ({"y": [f"id {i}" for i in range(N)]}, "identifier"),
        ({"y": [f"c{min(i, 40)}" for i in range(N)]}, "40 of the 41 classes of the target have a single row"),
        ({"y": np.where(Y > 8, np.nan, Y)}, "the target has"),
        ({"y": Y * 1e160}, "beyond floating point"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:1.. of 150 points repeat:UserWarning")
def test_bad_input_is_one_sentence(arguments: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        diagnose(**({"X": X, "y": Y, "kernel": "laplace"} | arguments))
    assert "\n" not in str(caught.value)


def test_a_kernel_of_any_kind() -> None:
    from sklearn.gaussian_process.kernels import Matern

    for kernel in (Linear(), Gaussian(), Matern(length_scale=2.0), lambda A, B: np.exp(A @ B.T / 8)):
        found = diagnose(X, Y, kernel=kernel)
        assert found.compared == {}
        assert "as given" in plain(found)
        assert 0.7 < found.forecast([N]).rmse.item() < 3.0


def test_the_best_of_natural_kernels_is_the_best() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 3))
    straight = diagnose(inputs, inputs @ [1.0, 2.0, 3.0] + rng.normal(size=300))
    assert next(iter(straight.compared)) == "linear"
    bent: NDArray = diagnose(inputs, np.sin(2 * inputs[:, 0]) + 0.1 * rng.normal(size=300)).compared
    assert list(bent)[-1] == "linear"
