"""The closed forms of kernel ridge and random-feature regression, against brute force, fifty digits and limits."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import representative
from solvable.errors import InputError
from solvable.regression import learned_coefficients, optimal_ridge, predict
from solvable.spectra import Eigensystem, log_effective_ridge, power_law


def simulate(task, n, k, ridge, *, rng, n_trials, n_signs=8, blocks=10):
    """Train on Gaussian data with Gaussian features, and test on the whole population.

    Each trial draws the modes' values at n points, the features' directions, and `n_signs` targets with random signs.

    Returns:
        test errors and training errors of each trial `(n_trials,)`, and the learned coefficients over the true ones
        `(n_trials, n_signs, modes)`.
    """
    root = np.sqrt(task.eigenvalues)
    m = len(root)
    assert (task.multiplicities == 1).all()
    test, train, learned = [], [], []
    for size in np.diff(np.linspace(0, n_trials, blocks + 1).astype(int)):
        modes = rng.standard_normal((size, n, m), dtype=np.float32).astype(float)
        signs = rng.choice([-1.0, 1.0], (size, m, n_signs))
        truth = np.sqrt(task.target_power)[:, None] * signs
        labels = modes @ truth + np.sqrt(task.noise) * rng.standard_normal((size, n, n_signs))
        if np.isinf(k):
            maps = np.broadcast_to(np.diag(root), (size, m, m))
            features = modes * root
        else:
            maps = rng.standard_normal((size, m, k), dtype=np.float32).astype(float)
            maps *= root[:, None] / np.sqrt(k)
            features = modes @ maps
        transposed = features.swapaxes(1, 2)
        if n <= min(k, features.shape[2]):
            gram = features @ transposed + ridge * np.eye(n)
            weights = transposed @ np.linalg.solve(gram, labels)
        else:
            weights = np.linalg.solve(
                transposed @ features + ridge * np.eye(features.shape[2]), transposed @ labels
            )
        coefficients = root[:, None] * weights if np.isinf(k) else maps @ weights
        train.append(np.square(labels - features @ weights).mean(axis=(1, 2)))
        test.append(np.square(truth - coefficients).sum(axis=1).mean(axis=1) + task.noise)
        learned.append((coefficients * signs).swapaxes(1, 2))
    return np.concatenate(test), np.concatenate(train), np.concatenate(learned)


def random_spectrum(rng, n_modes):
    """Return a task with a spectrum of one of four shapes and a target of another exponent."""
    i = np.arange(1.0, n_modes + 1)
    shape = rng.integers(4)
    if shape == 0:
        eigenvalues = i ** -rng.uniform(0.8, 1.8)
    elif shape == 1:
        eigenvalues = np.exp(-i / rng.uniform(30, 80))
    elif shape == 2:
        eigenvalues = np.where(i <= rng.integers(20, 60), 1.0, 10.0 ** -rng.uniform(0.5, 2.5))
    else:
        eigenvalues = np.exp(-rng.uniform(2, 6) * rng.random(n_modes))
    power = i ** -rng.uniform(0.3, 1.8)
    return Eigensystem(
        eigenvalues=eigenvalues / eigenvalues.sum(),
        target_power=power / power.sum(),
        noise=float(rng.choice([0.0, 0.03, 0.3])),
    )


def random_settings(seed=20231114, count=40):
    """Return tasks with n, k and ridge, as many of each kind."""
    # The theory is exact to O(1/n), and to O(1/(n tau)) in the training error: sizes above 90, no ridge below 0.01.
    rng = np.random.default_rng(seed)
    found = []
    for kind in range(count):
        task = random_spectrum(rng, 300)
        n = int(rng.integers(90, 150))
        ridge = float(10 ** rng.uniform(-2, 0.3))
        if kind % 4 == 0:
            k = np.inf
        elif kind % 4 == 1:
            k = int(n * rng.uniform(1.5, 2.5))
        elif kind % 4 == 2:
            n, k = int(n * rng.uniform(1.5, 2.5)), n
        else:
            k = n
        if kind % 12 in (0, 5, 10):  # once of each kind but the last
            ridge = 0.0
        found.append((task, n, k, ridge))
    return found


@pytest.mark.parametrize("count", [12, pytest.param(40, marks=pytest.mark.slow)])
def test_brute_force_at_random_settings(count):
    rng = np.random.default_rng(1)
    misses = []
    kinds = set()
    for task, n, k, ridge in random_settings(count=count):
        kinds.add((np.sign(k - n) if np.isfinite(k) else 2, ridge == 0))
        theory = predict(task, n, k, ridge).squeeze()
        test, train, _ = simulate(task, n, k, ridge, rng=rng, n_trials=200)
        for name, trials in (("test_mse", test), ("train_mse", train)):
            expected = float(theory[name])
            error = abs(trials.mean() - expected)
            allowed = max(2 * trials.std(ddof=1) / np.sqrt(len(trials)), 0.03 * expected, 1e-12)
            if error > allowed:
                misses.append((name, n, k, ridge, task.noise, expected, trials.mean(), error / expected))
    assert kinds == {(1, False), (-1, False), (0, False), (2, False), (1, True), (-1, True), (2, True)}
    assert len({miss[1:5] for miss in misses}) <= count // 20, misses


@pytest.mark.parametrize(
    ("n", "k", "ridge", "noise", "test", "train"),
    [
        (50, 100, 0.01, 0.1, 0.3611, None),
        (100, 50, 0.001, 0.0, 0.1447, 0.0364),
        (80, 300, 0.1, 0.2, 0.3627, None),
        (120, 120, 0.01, 0.1, 0.399, None),
    ],
)
def test_numbers_of_the_sheet(n, k, ridge, noise, test, train):
    i = np.arange(1.0, 401.0)
    task = Eigensystem(i**-1.5, i**-1.8 / np.sum(i**-1.8), noise)
    theory = predict(task, n, k, ridge).squeeze()
    assert float(theory.test_mse) == pytest.approx(test, abs=6e-5 if test != 0.399 else 6e-4)
    if train is not None:
        assert float(theory.train_mse) == pytest.approx(train, abs=6e-5)


PER_MODE = {
    "kernel": (100, np.inf, 0.02),
    "kernel, no ridge": (80, np.inf, 0.0),
    "more features": (80, 160, 0.02),
    "fewer features": (160, 80, 0.005),
    "fewer features, no ridge": (160, 70, 0.0),
}


@pytest.mark.parametrize("name", PER_MODE)
def test_mean_and_variance_of_each_mode(name):
    n, k, ridge = PER_MODE[name]
    i = np.arange(1.0, 201.0)
    # Most of the target lies in a few modes, so that the two parts of the variance differ between modes.
    task = Eigensystem(i**-1.3, np.where(i % 10 == 1, 1.0 / i, 1e-3), noise=0.1)
    learned, variance = learned_coefficients(task, n, k, ridge)
    trials = 500
    _, _, found = simulate(task, n, k, ridge, rng=np.random.default_rng(2), n_trials=trials)

    strong = task.target_power > 1e-2
    ratio = found[..., strong] / np.sqrt(task.target_power[strong])
    # Targets of one trial share its data: the trial is the unit of the standard error.
    error = ratio.mean(axis=1).std(axis=0) / np.sqrt(trials)
    assert (np.abs(ratio.mean(axis=(0, 1)) - learned[strong]) < 4 * error + 0.01).all()

    centred = np.square(found - (learned * np.sqrt(task.target_power))).mean(axis=1)
    error = centred.std(axis=0) / np.sqrt(trials)
    assert (np.abs(centred.mean(axis=0) - variance) < 4.5 * error + 0.03 * variance).all()
    # Averages over many modes tell smaller deviations: strong modes, and bands of weak ones.
    for band in (strong, ~strong & (i < 30), ~strong & (i > 30) & (i < 90), i > 100):
        assert centred[:, band].sum(axis=1).mean() == pytest.approx(variance[band].sum(), rel=0.04)


def random_task(rng, n_modes=60, noise=None):
    return Eigensystem(
        log_eigenvalues=rng.normal() - 8.0 * rng.random(n_modes),
        target_power=rng.pareto(2.0, n_modes) * (rng.random(n_modes) < 0.7),
        multiplicities=rng.integers(1, 4, n_modes),
        noise=float(rng.uniform(0.05, 1.0)) if noise is None else noise,
    )


N_GRID, K_GRID, RIDGE_GRID = [0.7, 5, 30, 61, 200], [3, 30, 62, 500, np.inf], [0.0, 1e-10, 1e-3, 1.0, 1e3]


@pytest.mark.parametrize("seed", range(5))
def test_variances_of_the_modes_add_up(seed):
    task = random_task(np.random.default_rng(seed))
    theory = predict(task, N_GRID, K_GRID, RIDGE_GRID)
    _, variance = learned_coefficients(
        task, np.array(N_GRID)[:, None, None], np.array(K_GRID)[:, None], np.array(RIDGE_GRID)
    )
    total = variance @ task.multiplicities
    finite = np.isfinite(theory.test_mse.values)
    scale = theory.test_mse.values[finite]
    assert (np.abs(total[finite] - theory.variance.values[finite]) <= 1e-10 * scale).all()


@pytest.mark.parametrize("seed", range(5))
def test_identities(seed):
    task = random_task(np.random.default_rng(seed))
    theory = predict(task, N_GRID, K_GRID, RIDGE_GRID)
    assert theory.test_mse.dims == ("n_train", "n_features", "ridge")
    positive = theory.sel(ridge=RIDGE_GRID[1:])
    # train = (δ/(nκ))² test, and n = z + δ/κ.
    tau = positive.ridge / positive.n_train / positive.effective_ridge
    np.testing.assert_allclose(
        positive.train_mse, (tau**2 * positive.test_mse).transpose(*theory.test_mse.dims), rtol=1e-10
    )
    samples = positive.learned_modes + positive.ridge / positive.effective_ridge
    np.testing.assert_allclose(
        samples, np.broadcast_to(np.array(N_GRID)[:, None, None], samples.shape), rtol=1e-10
    )
    # Error is bias, variance and noise; noise alone is E_0 times itself.
    parts = positive.bias + positive.variance + task.noise
    np.testing.assert_allclose(parts, positive.test_mse, rtol=1e-12)
    noise = Eigensystem(log_eigenvalues=task.log_eigenvalues, multiplicities=task.multiplicities, noise=2.5)
    only = predict(noise, N_GRID, K_GRID, RIDGE_GRID)
    np.testing.assert_allclose(only.test_mse, 2.5 * theory.overfitting_coefficient, rtol=1e-10)
    assert (theory.overfitting_coefficient >= 1).all()
    assert (theory.test_mse >= task.noise * theory.overfitting_coefficient * (1 - 1e-12)).all()


def published(task, n, k, ridge, digits=50):
    """Return ln κ, E_0, test and train error by the formulas as they are published, in many digits.

    E_0 is the test error of pure unit noise.
    """
    with mpmath.workdps(digits):
        values = [mpmath.exp(mpmath.mpf(float(v))) for v in task.log_eigenvalues]
        counts, power = task.multiplicities.tolist(), task.target_power.tolist()
        n, delta, noise = mpmath.mpf(n), mpmath.mpf(ridge), mpmath.mpf(task.noise)
        kernel = np.isinf(k)
        k = mpmath.mpf(10) ** (2 * digits) if kernel else mpmath.mpf(k)

        def learned(x):
            return [v / (v + mpmath.exp(x)) for v in values]

        def too_small(x):
            z = mpmath.fsum(m * p for m, p in zip(counts, learned(x), strict=True))
            return z >= n or z >= k or z + delta * k / (mpmath.exp(x) * (k - z)) > n

        low, high = mpmath.mpf(-2500), mpmath.mpf(500)
        for _ in range(int(digits * 3.4) + 10):
            middle = (low + high) / 2
            low, high = (middle, high) if too_small(middle) else (low, middle)
        L = learned(high)
        z = mpmath.fsum(m * p for m, p in zip(counts, L, strict=True))
        q = mpmath.fsum(m * p**2 for m, p in zip(counts, L, strict=True))
        kappa_over_gamma = (k - z) / k
        signal = mpmath.fsum(
            ((1 - p) - kappa_over_gamma * p * (1 - p) * k / (k - q)) * v
            for p, v in zip(L, power, strict=True)
        )
        coefficient = 1 / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))
        test = coefficient * (signal + noise)
        train = ((n - z) / n) ** 2 * test
        return [float(x) for x in (high + mpmath.log(kappa_over_gamma), coefficient, test, train)]


FIFTY_DIGITS = {
    "kernel": (8.0, 30, np.inf, 1e-3),
    "kernel, no ridge": (8.0, 30, np.inf, 0.0),
    "kernel, great ridge": (8.0, 30, np.inf, 1e5),
    "half a sample": (8.0, 0.5, np.inf, 1e-3),
    "more features": (8.0, 30, 45, 1e-4),
    "fewer features": (8.0, 45, 30, 1e-4),
    "fewer features, hardly a ridge": (8.0, 45, 30, 1e-25),
    "fewer samples, no ridge": (8.0, 20, 35, 0.0),
    "peak": (8.0, 30, 30, 1e-3),
    "sharp peak": (8.0, 30, 30, 1e-20),
    "one feature": (8.0, 30, 1, 1e-2),
    "more samples than modes, hardly a ridge": (8.0, 200, np.inf, 1e-20),
    "down to 1e-260": (600.0, 40, np.inf, 0.0),
    "down to 1e-260 with features": (600.0, 50, 70, 0.0),
    "2000 nats": (2000.0, 60, np.inf, 0.0),
    "2000 nats, ridge 1e-300": (2000.0, 60, np.inf, 1e-300),
    "2000 nats, features, ridge 1e-300": (2000.0, 60, 70, 1e-300),
}


@pytest.mark.parametrize(
    "name",
    representative(FIFTY_DIGITS, fast=["fewer features", "sharp peak", "2000 nats, features, ridge 1e-300"]),
)
def test_published_formulas_in_fifty_digits(name):
    spread, n, k, ridge = FIFTY_DIGITS[name]
    deep = spread > 100
    rng = np.random.default_rng(3)
    task = (
        random_task(rng)
        if not deep
        else Eigensystem(
            log_eigenvalues=-np.linspace(0, spread, 200), target_power=rng.random(200), noise=0.1
        )
    )
    theory = predict(task, n, k, ridge).squeeze()
    log_kappa, coefficient, test, train = published(task, n, k, ridge, digits=90)
    assert abs(float(theory.log_effective_ridge) - log_kappa) <= 1e-10
    assert float(theory.overfitting_coefficient) == pytest.approx(coefficient, rel=1e-10)
    assert float(theory.test_mse) == pytest.approx(test, rel=1e-10)
    assert float(theory.train_mse) == pytest.approx(train, rel=1e-10, abs=1e-60)


@pytest.mark.parametrize("seed", range(4))
def test_many_features_are_a_kernel(seed):
    task = random_task(np.random.default_rng(seed))
    theory = predict(task, [0.5, 2, 8], [1e12, np.inf], [0.0, 1e-3, 1.0])
    for name in ("test_mse", "train_mse", "bias", "variance", "overfitting_coefficient", "effective_ridge"):
        many, kernel = theory[name].values[:, 0], theory[name].values[:, 1]
        np.testing.assert_allclose(many, kernel, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ridge", [1e-6, 0.1, 30.0])
@pytest.mark.parametrize("n_features", [40.0, 90.0, np.inf])
def test_noise_error_is_how_fast_the_effective_ridge_falls(n_features, ridge):
    # E_0 = -d ln κ/d ln n at fixed δ and k, by a six-point stencil.
    task = random_task(np.random.default_rng(4))
    n, h = 60.0, 0.004
    weights = np.array([-1, 9, -45, 45, -9, 1]) / 60
    points = n * np.exp(h * np.array([-3, -2, -1, 1, 2, 3]))
    slope = weights @ log_effective_ridge(task, points, n_features, ridge) / h
    coefficient = float(predict(task, n, n_features, ridge).overfitting_coefficient.squeeze())
    assert -slope == pytest.approx(coefficient, rel=1e-10)


def test_peak_is_infinite_at_zero_ridge_only():
    task = random_task(np.random.default_rng(3))
    peak = predict(task, [20, 30], [20, 30], [0.0, 1e-12])
    at = peak.test_mse.values
    assert at[0, 0, 0] == np.inf
    assert at[1, 1, 0] == np.inf
    assert np.isfinite(at[0, 1]).all()
    assert np.isfinite(at[1, 0]).all()
    assert np.isfinite(at[..., 1]).all()
    assert peak.train_mse.values[0, 0, 0] == 0.0
    assert (peak.train_mse.sel(n_train=20, ridge=0.0) == 0).all()  # k >= n interpolates
    assert float(peak.train_mse.sel(n_train=30, n_features=20, ridge=0.0)) > 0


def squeeze(task, n, k=np.inf, ridge=0.0):
    return {name: float(values.squeeze()) for name, values in predict(task, n, k, ridge).items()}


def test_more_samples_than_modes_without_ridge():
    # Ordinary least squares: n/(n - r) times all that is not learned, from n = r on.
    task = Eigensystem([2.0, 0.5, 0.1, 0.0], [1.0, 1.0, 1.0, 0.4], noise=0.2)
    for k in (3, 7, np.inf):
        for n in (4, 12, 1000):
            found = squeeze(task, n, k)
            assert found["test_mse"] == pytest.approx(0.6 * n / (n - 3), rel=1e-12), (n, k)
            assert found["overfitting_coefficient"] == pytest.approx(n / (n - 3), rel=1e-12)
            assert found["train_mse"] == pytest.approx(0.6 * (n - 3) / n, rel=1e-12)
            assert found["effective_ridge"] == 0.0
            assert found["variance"] == pytest.approx(0.6 * 3 / (n - 3), rel=1e-12)
            assert found["bias"] == pytest.approx(0.4, rel=1e-12)
        assert squeeze(task, 3, k)["test_mse"] == np.inf
        assert squeeze(task, 3, k)["train_mse"] == 0.0
    # A target that is learned completely leaves no error.
    noiseless = Eigensystem([2.0, 0.5], [1.0, 1.0])
    assert [squeeze(noiseless, n, k)["test_mse"] for n in (2, 3) for k in (2, 3, np.inf)] == [0.0] * 6


def test_least_squares_by_brute_force():
    task = Eigensystem([2.0, 0.5, 0.1], [1.0, 1.0, 1.0], noise=0.2)
    for k in (3, np.inf):
        test, train, _ = simulate(task, 60, k, 0.0, rng=np.random.default_rng(5), n_trials=2000)
        found = squeeze(task, 60, k)
        assert test.mean() == pytest.approx(found["test_mse"], rel=0.01)
        assert train.mean() == pytest.approx(found["train_mse"], rel=0.01)


@pytest.mark.parametrize("ridge", [0.0, 1.0])
def test_infinite_samples(ridge):
    rng = np.random.default_rng(6)
    task = random_task(rng)
    for k in (5, 40, task.rank, 1000, np.inf):
        limit, late = squeeze(task, np.inf, k, ridge), squeeze(task, 1e30, k, ridge)
        assert limit["test_mse"] == pytest.approx(late["test_mse"], rel=1e-8), k
        assert limit["train_mse"] == pytest.approx(late["train_mse"], rel=1e-8)
        assert limit["overfitting_coefficient"] == pytest.approx(1.0, abs=1e-12)
        learned, variance = learned_coefficients(task, np.inf, k, ridge)
        assert variance @ task.multiplicities == pytest.approx(limit["variance"], rel=1e-9, abs=1e-12)
        # What is left is the part of the target that k features cannot carry, Σ γ/(λ+γ) v².
        assert limit["test_mse"] == pytest.approx((1 - learned) @ task.target_power + task.noise, rel=1e-9)


def test_infinite_samples_and_modes():
    task = power_law(1.5, 2.0, noise=0.1)
    assert squeeze(task, np.inf, np.inf, 1.0)["test_mse"] == pytest.approx(0.1)
    # Interpolated noise stays at α times itself for ever: the limit is not the noise, so none is claimed.
    assert squeeze(task, 1e12, np.inf, 0.0)["test_mse"] == pytest.approx(0.15, rel=1e-6)
    assert np.isnan(squeeze(task, np.inf, np.inf, 0.0)["test_mse"])
    learned_by_50 = squeeze(task, np.inf, 50)
    assert learned_by_50["learned_modes"] == pytest.approx(50, rel=1e-12)


def test_a_single_mode():
    # n = L + δ/κ by hand: κ² n + κ (λ(n - 1) - δ) - δλ = 0.
    n, lam, delta, v2, noise = 4.0, 0.5, 0.3, 2.0, 0.1
    b = lam * (n - 1) - delta
    kappa = (-b + np.sqrt(b**2 + 4 * n * delta * lam)) / (2 * n)
    L = lam / (lam + kappa)
    found = squeeze(Eigensystem([lam], [v2], noise), n, ridge=delta)
    assert found["effective_ridge"] == pytest.approx(kappa, rel=1e-12)
    assert found["test_mse"] == pytest.approx(n / (n - L**2) * ((1 - L) ** 2 * v2 + noise), rel=1e-12)


def test_zero_eigenvalues_are_noise():
    i = np.arange(1.0, 40.0)
    with_zero = Eigensystem([*i**-1.5, 0.0, 0.0], [*i**-2.0, 0.3, 0.1], noise=0.2)
    as_noise = Eigensystem(i**-1.5, i**-2.0, noise=0.6)
    a, b = (predict(task, [5, 30, 60], [10, np.inf], [0.0, 1e-2]) for task in (with_zero, as_noise))
    for name in ("test_mse", "train_mse", "overfitting_coefficient"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-12)
    # But what is missed always counts as bias, as it is the same in each training set.
    np.testing.assert_allclose(a.bias, b.bias + 0.4, rtol=1e-10)
    nothing = squeeze(Eigensystem([0.0, 0.0], [1.0, 1.0], 0.1), 5, ridge=1.0)
    assert nothing["test_mse"] == pytest.approx(2.1)
    assert nothing["train_mse"] == pytest.approx(2.1)


def test_target_only_and_noise_only():
    i = np.arange(1.0, 100.0)
    both, target, noise = (
        predict(Eigensystem(i**-1.5, v, noise=s), [5, 30], [20, np.inf], [0.0, 0.1]).test_mse.values
        for v, s in ((i**-2, 0.3), (i**-2, 0.0), (0 * i, 0.3))
    )
    np.testing.assert_allclose(both, target + noise, rtol=1e-12)
    assert (target > 0).all()


def test_scale():
    # Kernel and ridge scaled alike: the same predictor. Targets scaled: errors scale.
    i = np.arange(1.0, 100.0)
    one = predict(Eigensystem(i**-1.5, i**-2, 0.1), [5, 30], [20, np.inf], [0.0, 0.1])
    other = predict(Eigensystem(1e90 * i**-1.5, 3 * i**-2, 0.3), [5, 30], [20, np.inf], [0.0, 1e89])
    np.testing.assert_allclose(3 * one.test_mse.values, other.test_mse.values, rtol=1e-11)
    np.testing.assert_allclose(1e90 * one.effective_ridge.values, other.effective_ridge.values, rtol=1e-11)


@st.composite
def tasks(draw):
    noise = draw(st.sampled_from([0.0, 1e-6, 0.1, 3.0, 100.0]))
    return random_task(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), n_modes=40, noise=noise)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(task=tasks(), fixed=st.sampled_from([2.0, 11.0, 60.0, 300.0, np.inf]))
def test_more_is_better_at_the_optimal_ridge(task, fixed):
    grid = np.array([1.0, 2, 5, 12, 30, 59, 60, 61, 80, 200, 1000])
    _, in_n = optimal_ridge(task, grid, fixed)
    assert (np.diff(in_n) <= 1e-9 * in_n[:-1]).all()
    n = fixed if np.isfinite(fixed) else 25.0
    _, in_k = optimal_ridge(task, n, np.append(grid, np.inf))
    assert (np.diff(in_k) <= 1e-9 * in_k[:-1]).all()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    task=tasks(),
    n=st.sampled_from([3.0, 20.0, 60.0, 300.0]),
    k=st.sampled_from([4.0, 20.0, 61.0, 300.0, np.inf]),
)
def test_optimal_ridge_against_a_dense_scan(task, n, k):
    ridge, error = optimal_ridge(task, n, k)
    scan = predict(task, n, k, np.append(0.0, np.logspace(-16, 8, 2000))).test_mse.values.ravel()
    assert float(error) <= scan.min() * (1 + 1e-9) + 1e-20
    if float(ridge) < 1e8:  # else nothing is worth learning
        at = predict(task, n, k, float(ridge)).test_mse.values.item()
        assert at == pytest.approx(float(error), rel=1e-8, abs=1e-20)
        assert float(error) >= scan.min() * (1 - 1e-3) - 1e-20


def test_optimal_ridge_of_equal_modes_is_the_posterior_mean():
    # Modes of equal power under an isotropic Gaussian design: Bayes says δ = λ σ²/v².
    for n in (20, 50, 200):
        ridge, _ = optimal_ridge(Eigensystem([0.7] * 50, [0.02] * 50, noise=0.3), n)
        assert float(ridge) == pytest.approx(0.7 * 0.3 / 0.02, rel=1e-4)


def test_optimal_ridge_zero_and_shapes():
    ridge, error = optimal_ridge(power_law(1.5, 2.0), [[10.0], [1e4]], [1e6, np.inf])
    assert ridge.shape == error.shape == (2, 2)
    assert ridge[:, 1].tolist() == [0.0, 0.0]  # noiseless, β > α: interpolate
    assert optimal_ridge(Eigensystem([0.0], [1.0]), 5) == (0.0, 1.0)
    # At the peak some ridge is needed, and its error is finite.
    ridge, error = optimal_ridge(power_law(1.5, 2.0), 40, 40)
    assert float(ridge) > 0
    assert np.isfinite(error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_train": 0}, "n_train must be above 0; got 0"),
        ({"n_train": [3, np.nan]}, "n_train must be above 0; got nan"),
        ({"n_train": "ten"}, "n_train must be numbers; got 'ten'"),
        ({"n_train": []}, "n_train is empty"),
        ({"n_train": 5, "n_features": 0}, "n_features must be above 0; got 0"),
        ({"n_train": 5, "ridge": -1}, "ridge must be at least 0; got -1"),
        ({"n_train": 5, "ridge": np.nan}, "ridge must be at least 0; got nan"),
        ({"n_train": 5, "ridge": np.inf}, "ridge must be finite; got inf"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        predict(Eigensystem([1.0, 0.5]), **arguments)


def test_optimal_ridge_refuses():
    with pytest.raises(InputError, match="n_train must be finite"):
        optimal_ridge(Eigensystem([1.0]), np.inf)
    with pytest.raises(InputError, match="n_features must be above 0; got -3"):
        optimal_ridge(Eigensystem([1.0]), 5, -3)
