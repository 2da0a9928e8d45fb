"""`LearningSurface` on tasks whose spectrum is known, where exact theory says what it should find."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels import Laplace
from solvable.regression import LearningSurface, measure, predict
from solvable.regression.halves import HalvesCheck
from solvable.spectra import Eigensystem

INF = float("inf")


def gaussian_task(
    n: int, modes: int = 3000, alpha: float = 1.5, beta: float = 1.8, noise: float = 0.0, seed: int = 0
) -> tuple[NDArray, NDArray, Eigensystem]:
    """Return features, labels and eigensystem of a power-law task with Gaussian features."""
    rng = np.random.default_rng(seed)
    i = np.arange(1.0, modes + 1)
    X = rng.normal(size=(n, modes))
    y = X @ (i ** (-beta / 2) * rng.choice([-1.0, 1.0], modes)) + np.sqrt(noise) * rng.normal(size=n)
    return X * i ** (-alpha / 2), y, Eigensystem(i**-alpha, i**-beta, noise)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_finds_the_surface_of_a_known_task(noise: float) -> None:
    grid = {"n_train": [50, 100, 200, 400, 800], "n_features": [100, 1000, INF], "ridge": [0.01, 0.1, 1]}
    errors = []
    for seed in range(3):
        features, y, task = gaussian_task(800, noise=noise, seed=seed)
        forecast = LearningSurface.from_features(features, y).predict(**grid)
        exact = predict(task, **grid)
        errors.append(forecast.test_mse / exact.test_mse - 1)
        for name in ("train_mse", "overfitting_coefficient", "learned_modes", "feature_ridge"):
            np.testing.assert_allclose(forecast[name], exact[name], rtol=0.3)
    assert np.median(np.abs(errors)) < 0.05
    assert abs(np.mean(errors)) < 0.04


def test_extrapolates_a_power_law_and_names_its_exponents() -> None:
    exact = predict(gaussian_task(1, modes=30_000)[2], [800, 1600], ridge=[0.01, 0.1]).test_mse
    off, inside, exponents = [], [], []
    for seed in range(6):
        features, y, _ = gaussian_task(400, modes=30_000, seed=seed)
        surface = LearningSurface.from_features(features, y)
        forecast = surface.predict([800, 1600], ridge=[0.01, 0.1])
        off.append(np.log(forecast.test_mse / exact))
        inside.append((forecast.test_mse_low <= exact) & (exact <= forecast.test_mse_high))
        exponents.append([surface.exponents["alpha"], surface.exponents["beta"]])
    # A sample of 400 numbers knows its error to 7 %, its slope in proportion: each is only near, their middle right.
    assert np.abs(np.median(off, axis=0)).max() < 0.1
    assert np.mean(inside) >= 0.7
    np.testing.assert_allclose(np.mean(exponents, axis=0), [1.5, 1.8], rtol=0.08)
    assert forecast.extrapolated.sel(n_train=1600, ridge=0.01).item()
    assert not surface.predict(200, ridge=0.1).extrapolated.item()


def test_noise_becomes_a_floor() -> None:
    found = []
    for noise in (0.0, 0.05, 0.05, 0.05):
        features, y, _ = gaussian_task(800, noise=noise, seed=len(found))
        found.append(LearningSurface.from_features(features, y).exponents["noise"])
    assert found[0] < 1e-3
    assert np.mean(found[1:]) == pytest.approx(0.05, rel=0.2)


def test_above_and_below_the_ladder_the_sums_keep_their_laws() -> None:
    features, y, _ = gaussian_task(200)
    curves = LearningSurface.from_features(features, y).curves
    top = curves.log_kappa[-1]
    together = curves.sums(np.array([top - 3, top, top + 2, top + 10]))
    alone = [curves.sums(np.array(x)) for x in (top - 3, top, top + 2, top + 10)]
    np.testing.assert_allclose(np.array(together), np.array(alone).T, rtol=1e-12)
    z, _, b1, b2 = together
    np.testing.assert_allclose(z[1] / z[2:], np.exp([2, 10]), rtol=1e-9)
    np.testing.assert_allclose([b1[3], b2[3]], np.square(y).mean(), rtol=0.01)


def test_intervals_cover_what_they_claim() -> None:
    inside = []
    for seed in range(12):
        features, y, task = gaussian_task(300, modes=1000, noise=0.05, seed=seed)
        forecast = LearningSurface.from_features(features, y).predict([50, 150, 300, 900], ridge=[0.05, 1])
        exact = predict(task, [50, 150, 300, 900], ridge=[0.05, 1]).test_mse
        inside.append((forecast.test_mse_low <= exact) & (exact <= forecast.test_mse_high))
    assert np.mean(inside) >= 0.8


def test_fewer_features_than_samples_end_the_spectrum() -> None:
    rng = np.random.default_rng(0)
    d, n, noise = 30, 600, 0.5
    features = rng.normal(size=(n, d)) / np.sqrt(d)
    y = features @ rng.normal(size=d) + np.sqrt(noise) * rng.normal(size=n)
    surface = LearningSurface.from_features(features, y)
    forecast = surface.predict([10, d, 60, 200, 5000], ridge=0.0)
    assert surface.curves.rank == d
    assert surface.exponents == {}
    assert forecast.test_mse.sel(n_train=d).item() == INF
    for size in (60, 200, 5000):  # noise n / (n - d): ordinary least squares
        expected = noise * size / (size - d)
        assert forecast.test_mse.sel(n_train=size).item() == pytest.approx(expected, rel=0.12)
        assert forecast.effective_ridge.sel(n_train=size).item() == 0.0
    assert np.isfinite(forecast.test_mse.sel(n_train=10).item())


def test_biases_obey_their_differential_equation() -> None:
    features, y, _ = gaussian_task(400, noise=0.1)
    curves = LearningSurface.from_features(features, y).curves
    x = np.linspace(curves.log_kappa[0] - 8, curves.log_kappa[-1] - 1, 400)  # past the sample too
    step = 1e-4
    slope = (curves.sums(x + step).linear_bias - curves.sums(x - step).linear_bias) / (2 * step)
    s = curves.sums(x)
    np.testing.assert_allclose(slope, s.linear_bias - s.squared_bias, atol=0.02 * s.linear_bias.max())
    assert (np.diff(s.learned_modes) < 0).all()
    assert (np.diff(s.squared_bias) > -1e-6).all()
    assert (s.partly_learned_modes > 0).all()
    at_end = curves.sums(curves.log_kappa[0] + np.array([-1e-9, 1e-9]))
    for sums in at_end:  # the continuation meets the data
        assert sums[0] == pytest.approx(sums[1], rel=1e-6)


def test_optimal_ridge_is_the_minimum_of_its_own_prediction() -> None:
    features, y, _ = gaussian_task(500, noise=0.5)
    surface = LearningSurface.from_features(features, y)
    best = surface.optimal_ridge([100, 400], [200, INF])
    assert best.dims == ("n_train", "n_features")
    scan = surface.predict([100, 400], [200, INF], np.geomspace(1e-3, 100, 300)).test_mse.min("ridge")
    np.testing.assert_allclose(best.test_mse, scan, rtol=1e-3)
    assert isinstance(float(surface.optimal_ridge(100)), float)


def test_labels_in_any_form_give_the_same_surface() -> None:
    features, number, _ = gaussian_task(200)
    labels = (number > 0).astype(int)
    one_hot = np.eye(2)[labels] - 0.5
    errors = [
        LearningSurface.from_features(features, y).predict(100, ridge=0.1).test_mse.item()
        for y in (labels, np.array(["no", "yes"])[labels], labels > 0, one_hot)
    ]
    np.testing.assert_allclose(errors, errors[0], rtol=1e-12)


def test_from_kernel_accepts_what_users_have() -> None:
    from sklearn.gaussian_process.kernels import Matern

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = X[:, 0]
    for kernel in ("laplace", Matern(length_scale=2.0), lambda A, B: np.exp(A @ B.T)):
        assert LearningSurface.from_kernel(kernel, X, y).n_samples == 60
    with pytest.raises(InputError, match="positive"):
        LearningSurface.from_kernel(lambda A, B: -np.exp(A @ B.T), X, y)
    assert "length_scale=" in LearningSurface.from_kernel("laplace", X, y).kernel


def test_save_and_load(tmp_path: Path) -> None:
    features, y, _ = gaussian_task(100)
    labels = np.array(["", "a\nb"])[(y > 0).astype(int)]
    surface = LearningSurface.from_features(features, labels)
    surface.save(tmp_path / "surface.nc")
    again = LearningSurface.load(tmp_path / "surface.nc")
    assert again.classes == surface.classes == ("", "a\nb")
    assert again.check.log_ratio.tolist() == surface.check.log_ratio.tolist()
    with pytest.raises(InputError, match="folder"):
        surface.save(tmp_path / "nowhere" / "surface.nc")
    assert again.predict([50, 500], ridge=[0, 1]).identical(surface.predict([50, 500], ridge=[0, 1]))
    with pytest.raises(InputError, match="no file"):
        LearningSurface.load(tmp_path / "other.nc")
    (tmp_path / "broken.nc").write_text("no netCDF")
    with pytest.raises(InputError, match=r"broken\.nc"):
        LearningSurface.load(tmp_path / "broken.nc")


@pytest.mark.parametrize("repeated", [10, 40, 100])
def test_duplicates_do_not_end_the_spectrum(repeated: int) -> None:
    features, y, task = gaussian_task(500)
    features[-repeated:], y[-repeated:] = features[:repeated], y[:repeated]
    with pytest.warns(UserWarning, match=f"{repeated} of 500 points repeat"):
        surface = LearningSurface.from_gram(features @ features.T, y)
    assert surface.curves.rank == INF
    assert surface.exponents["alpha"] == pytest.approx(1.5, rel=0.2)
    forecast = surface.predict([100, 300], ridge=[0.01, 0.1]).test_mse
    exact = predict(task, [100, 300], ridge=[0.01, 0.1]).test_mse
    assert (
        float(abs(np.log(forecast / exact)).max()) < 0.9
    )  # optimistic, as the warning says, but no nonsense


def test_single_precision_and_units_do_not_matter() -> None:
    features, y, _ = gaussian_task(150)
    gram = features @ features.T
    expected = LearningSurface.from_gram(gram, y).predict([50, 150], ridge=[0.1, 1]).test_mse
    short = features.astype(np.float32)
    found = LearningSurface.from_gram(short @ short.T, y).predict([50, 150], ridge=[0.1, 1]).test_mse
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    for unit in (1e-200, 1e200):
        scaled = LearningSurface.from_gram(gram * unit, y).predict([50, 150], ridge=np.array([0.1, 1]) * unit)
        np.testing.assert_allclose(scaled.test_mse, expected, rtol=1e-8)
    np.testing.assert_allclose(
        LearningSurface.from_gram(gram, 1e-100 * y).predict([50, 150], ridge=[0.1, 1]).test_mse,
        1e-200 * expected,
        rtol=1e-8,
    )


def test_own_features_end_where_they_end_even_beyond_the_sample() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 500)) / np.sqrt(500)
    y = features @ rng.normal(size=500) + rng.normal(size=200)
    forecast = LearningSurface.from_features(features, y).predict([100, 500, 1000], ridge=[0, 1e-3])
    few = LearningSurface.from_features(features[:, :30], y).predict([100, 1000], ridge=[0, 0.1])
    assert np.isfinite(few.test_mse_high).all()  # all of its 30 columns are seen
    assert (forecast.test_mse_high.sel(n_train=500) == INF).all()
    assert np.isfinite(forecast.test_mse_high.sel(n_train=100)).all()
    # Past its 500 columns least squares has the error n / (n - 500) of the noise, which the sample does not know well.
    beyond = forecast.sel(n_train=1000, ridge=0).squeeze()
    assert beyond.test_mse_low < 1000 / 500 < beyond.test_mse_high
    assert beyond.test_mse == pytest.approx(1000 / 500, rel=0.3)


def test_halves_correct_random_features_that_are_far_from_gaussian() -> None:
    # Most random Fourier features of a Laplace kernel are pure high frequency: theory alone is 60 % and more off.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 8))
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]
    grid = {"n_train": [150, 400], "n_features": [100, 300, INF], "ridge": 0.1}
    kernel = Laplace().for_data(X[:400])
    surface = LearningSurface.from_kernel(kernel, X[:400], y[:400])
    measured = measure(kernel, X[400:], y[400:], splits=8, **grid).test_mse.mean("trial")
    forecast = surface.predict(**grid)
    theory_alone = predict(surface.curves, **grid).test_mse
    assert float(abs(np.log(theory_alone / measured)).max()) > 0.5
    assert float(abs(np.log(forecast.test_mse / measured)).max()) < 0.35
    assert ((forecast.test_mse_low <= measured) & (measured <= forecast.test_mse_high)).all()
    assert "random features" in forecast.attrs["check"]
    of_gram_alone = LearningSurface.from_gram(kernel(X[:400]), y[:400]).check
    assert of_gram_alone.ratios.tolist() == [INF]
    assert (of_gram_alone.correction(*np.array([100.0, 50.0, 0.1])) == 0.0).all()


@pytest.mark.parametrize("kind", ["frame", "list", "tuple", "tensor", "float32"])
def test_inputs_of_any_kind_give_the_same_surface(kind: str) -> None:
    import pandas as pd
    import torch

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).astype(np.float32).astype(float)
    X[5] = X[9]
    y = X[:, 0] + X[:, 1] ** 2
    given = {
        "frame": pd.DataFrame(X, index=[f"row {i}" for i in range(60)]),
        "list": X.tolist(),
        "tuple": tuple(map(tuple, X)),
        "tensor": torch.asarray(X),
        "float32": X.astype(np.float32),
    }[kind]
    with pytest.warns(UserWarning, match="1 of 60 points repeat"):
        expected = LearningSurface.from_kernel("laplace", X, y)
    with pytest.warns(UserWarning, match="1 of 60 points repeat"):
        found = LearningSurface.from_kernel("laplace", given, y)
    np.testing.assert_allclose(found.check.log_ratio, expected.check.log_ratio, atol=1e-9)
    assert found.predict(40, ridge=10.0).test_mse.to_numpy() == pytest.approx(
        expected.predict(40, ridge=10.0).test_mse.to_numpy(), rel=1e-9
    )


def test_halves_interpolate_between_what_was_tried() -> None:
    check = HalvesCheck(
        np.array([0.5, 2.0, INF]),
        np.array([1e-6, 1e-3, 0.1, 10.0]),
        np.array([[0.9, 0.5, 0.3, 0.3], [0.4, 0.3, 0.1, 0.1], [0.1] * 4]),
    )
    n = np.array(100.0)
    assert check.correction(n, np.array(50.0), np.array(0.1)) == pytest.approx(0.2)
    assert check.correction(n, np.array(100.0), np.array(0.1)) == pytest.approx(0.1)  # halfway in ln(k/n)
    assert check.correction(n, np.array(800.0), np.array(0.1)) == pytest.approx(0.0)
    assert check.correction(n, np.array(800.0), np.array(1e-3)) == pytest.approx(
        0.2 * 0.5
    )  # falls as the root of k
    assert check.correction(n, np.array(INF), np.array(0.0)) == 0.0
    # Below the second ridge the correction stays, and the doubt grows.
    assert check.correction(n, np.array(50.0), np.array(0.0)) == pytest.approx(0.4)
    assert check.standard_error(n, np.array(50.0), np.array(0.0)) == pytest.approx(np.hypot(0.1, 0.2 + 0.4))
    assert check.standard_error(n, np.array(INF), np.array(0.0)) == pytest.approx(0.1)
    assert check.correction(n[None], np.array([[50.0], [200.0]]), np.array([0.1, 0.2])).shape == (2, 2)


def test_halves_warn_where_theory_fails() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 2))
    surface = LearningSurface.from_kernel("gaussian", X, np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=200))
    with pytest.warns(UserWarning, match="theory does not hold well here"):
        forecast = surface.predict(100, ridge=1e-6)
    assert forecast.test_mse_high.item() > 1.5 * forecast.test_mse.item()


def test_duplicates_are_warned_about() -> None:
    features, y, _ = gaussian_task(100)
    features[7], y[7] = features[3], y[3]
    with pytest.warns(UserWarning, match="1 of 100 points repeat"):
        LearningSurface.from_features(features, y)


def _gram(n: int = 40) -> tuple[NDArray, NDArray]:
    features, y, _ = gaussian_task(n, modes=200)
    return features @ features.T, y


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda K, y: (K[:, :-1], y), "square"),
        (lambda K, y: (K + np.triu(np.full(K.shape, 0.1)), y), "symmetric"),
        (lambda K, y: (K - np.eye(len(K)) * 10, y), "negative|positive semi"),
        (lambda K, y: (np.where(np.eye(len(K)) > 0, np.nan, K), y), "NaN"),
        (lambda K, y: (K, y[:-1]), "one target for each row"),
        (lambda K, y: (0 * K, y), "no positive diagonal"),
        (lambda K, y: (K, 1e200 * y), "beyond floating point"),
        (lambda K, y: (K, np.ones_like(y)), "constant|same"),
        (lambda K, y: (K, np.where(np.arange(len(y)) == 3, np.nan, y)), "1 missing values"),
        (lambda K, y: (K[:5, :5], y[:5]), "at least 20"),
        (lambda K, y: (K[:1, :1], y[:1]), "one|at least"),
        (lambda K, y: (K, np.arange(len(y))), "identifier|classes"),
    ],
)
def test_bad_input_is_one_sentence(spoil, sentence: str) -> None:
    gram, y = spoil(*_gram())
    with pytest.raises(InputError, match=sentence) as caught:
        LearningSurface.from_gram(gram, y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ({"n_train": [0]}, "n_train must be above 0; got 0"),
        ({"n_train": INF}, "n_train must be finite"),
        ({"n_train": [10], "ridge": -1}, "ridge must be at least 0; got -1"),
        ({"n_train": [10], "n_features": [0]}, "n_features must be above 0"),
        ({"n_train": ["many"]}, "n_train must be numbers"),
        ({"n_train": []}, "n_train is empty"),
        ({"n_train": [np.nan]}, "n_train"),
    ],
)
def test_bad_grids_are_one_sentence(grid: dict, sentence: str) -> None:
    surface = LearningSurface.from_gram(*_gram())
    with pytest.raises(InputError, match=sentence):
        surface.predict(**grid)


def test_plot_draws_every_ridge() -> None:
    figure = LearningSurface.from_gram(*_gram()).plot(ridge=[0.01, 1])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["ridge 0.01", "ridge 1"]


def test_predict_of_theory_says_where_a_surface_is_predicted_from() -> None:
    surface = LearningSurface.from_gram(*_gram())
    for wrong in (surface, np.eye(3)):
        with pytest.raises(InputError, match=r"LearningSurface has its own \.predict"):
            predict(wrong, 10)  # pyright: ignore[reportArgumentType]


def test_past_the_sample_the_best_ridge_stays_near_that_of_the_sample() -> None:
    rng = np.random.default_rng(0)
    X = rng.lognormal(size=(400, 4))
    y = np.sin(X[:, 0]) + X[:, 1] + 0.3 * rng.standard_normal(400)
    surface = LearningSurface.from_kernel("gaussian", (X - X.mean(axis=0)) / X.std(axis=0), y - y.mean())
    here = float(surface.optimal_ridge(400))
    assert here > 0
    found = surface.optimal_ridge([400, 800, 1600, 4000])
    times = found.n_train.to_numpy() / 400
    assert (here / times * (1 - 1e-9) <= found.to_numpy()).all()
    assert (found.to_numpy() <= here * times * (1 + 1e-9)).all()
    at_best = [
        float(surface.predict(n, ridge=r).test_mse.squeeze())
        for n, r in zip(found.n_train, found, strict=True)
    ]
    assert found.test_mse.to_numpy() == pytest.approx(at_best, rel=1e-6)
