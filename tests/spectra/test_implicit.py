"""The effective ridges: their defining equations, their symmetry, and their limits."""

import mpmath
import numpy as np
import pytest

from solvable.errors import InputError
from solvable.spectra import (
    Eigensystem,
    effective_ridge,
    implicit_regularization,
    learnabilities,
    log_effective_ridge,
    power_law,
)


def random_task(seed, n_modes=300):
    rng = np.random.default_rng(seed)
    return Eigensystem(
        log_eigenvalues=rng.normal(0, 1) - rng.uniform(0.5, 12.0) * rng.random(n_modes),
        target_power=rng.pareto(2.0, n_modes),
        multiplicities=rng.integers(1, 4, n_modes),
        noise=rng.random(),
    )


@pytest.mark.parametrize("seed", range(6))
def test_conservation_of_learnability(seed):
    task = random_task(seed)
    n = np.array([0.5, 3, 50, 290, 5000])[:, None]
    ridge = np.array([0.0, 1e-12, 1e-3, 1.0, 1e4])
    log_kappa = log_effective_ridge(task, n, ridge=ridge)
    learned = learnabilities(task, log_kappa) @ task.multiplicities
    with np.errstate(invalid="ignore"):
        total = learned + np.where(ridge > 0, ridge / np.exp(log_kappa), 0.0)
    under = (ridge == 0) & (n > task.rank)
    np.testing.assert_allclose(total[~under], np.broadcast_to(n, total.shape)[~under], rtol=1e-10)
    np.testing.assert_allclose(total[under], task.rank, rtol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_conservation_with_random_features(seed):
    # The two published equations, in κ and γ.
    task = random_task(seed)
    n = np.array([3.0, 50, 120, 290])[:, None, None]
    k = np.array([4.0, 50, 120, 1000])[:, None]
    ridge = np.array([0.0, 1e-8, 1e-3, 1.0, 1e3])
    solution = implicit_regularization(task, n, k, ridge)
    gamma, kappa = np.exp(solution.log_feature_ridge), np.exp(solution.log_effective_ridge)
    z = learnabilities(task, solution.log_feature_ridge) @ task.multiplicities
    explicit = np.where(ridge > 0, ridge / np.where(kappa > 0, kappa, 1.0), 0.0)
    positive = np.broadcast_to(ridge > 0, z.shape)
    np.testing.assert_allclose(z + explicit, np.where(positive, n, np.minimum(n, k)), rtol=1e-10)
    np.testing.assert_allclose(z + k * kappa / gamma, np.broadcast_to(k, z.shape), rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_samples_and_features_play_symmetric_roles(seed):
    # The equation holds δ/n: swap n and k at equal δ/n and γ stays.
    task = random_task(seed)
    n, k = np.meshgrid([5.0, 40, 41, 200, 700], [6.0, 40, 300])
    for per_sample in (0.0, 1e-9, 1e-2, 3.0):
        one = implicit_regularization(task, n, k, per_sample * n)
        other = implicit_regularization(task, k, n, per_sample * k)
        np.testing.assert_allclose(one.log_feature_ridge, other.log_feature_ridge, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(one.unused_samples, other.unused_features, rtol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_many_features_are_a_kernel(seed):
    task = random_task(seed)
    n, ridge = np.array([2.0, 30.0])[:, None], np.array([0.0, 1e-3, 1.0])
    many = log_effective_ridge(task, n, 1e12, ridge)
    np.testing.assert_allclose(many, log_effective_ridge(task, n, ridge=ridge), rtol=0, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.1, 30.0])
@pytest.mark.parametrize("n_train", [5.0, 60.0, 250.0])
def test_overfitting_coefficient_is_how_fast_the_effective_ridge_falls(n_train, ridge):
    # E_0 = -d ln κ / d ln n at fixed δ, by a six-point stencil.
    task = random_task(7)
    h = 0.01
    weights = np.array([-1, 9, -45, 45, -9, 1]) / 60
    points = n_train * np.exp(h * np.array([-3, -2, -1, 1, 2, 3]))
    slope = weights @ log_effective_ridge(task, points, ridge=ridge) / h
    solution = implicit_regularization(task, n_train, ridge=ridge)
    assert -slope == pytest.approx(float(solution.overfitting_coefficient), rel=1e-10)
    learned = learnabilities(task, solution.log_feature_ridge)
    by_the_sum = n_train / (n_train - np.square(learned) @ task.multiplicities)
    assert float(solution.overfitting_coefficient) == pytest.approx(by_the_sum, rel=1e-9)


GENTLE, DEEP, DEEPER = (
    np.linspace(0.0, -30.0, 60),
    np.linspace(0.0, -600.0, 150),
    np.linspace(0.0, -2000.0, 400),
)
SPARSE = np.linspace(0.0, -2000.0, 60)


@pytest.mark.parametrize(
    ("logs", "n_train", "n_features", "ridge"),
    [
        (DEEP, 60, np.inf, 0.0),  # down to 1e-260
        (DEEP, 130, 110, 0.0),
        (DEEPER, 200, np.inf, 0.0),
        (DEEPER, 399.5, np.inf, 0.0),
        (DEEPER, 200, np.inf, 1e-300),
        (DEEPER, 250, 200, 0.0),
        (SPARSE, 40, np.inf, 0.0),
        (SPARSE, 39.3, np.inf, 1e-300),
        (GENTLE, 80, np.inf, 1e-300),  # more samples than modes, hardly a ridge
        (GENTLE, 60, np.inf, 1e-9),  # as many
        (GENTLE, 20, 20, 1e-40),
        (GENTLE, 20, 20, 1e-12),
        (GENTLE, 20, 35, 1e-3),
        (GENTLE, 35, 20, 1e5),
        (GENTLE, 0.3, 35, 1e-3),
        (np.zeros(60), 20, 1e6, 0.1),
    ],
)
def test_effective_ridge_in_fifty_digits(logs, n_train, n_features, ridge):
    solution = implicit_regularization(Eigensystem(log_eigenvalues=logs), n_train, n_features, ridge)
    with mpmath.workdps(60):
        # γ by bisection of z(γ) + δk/(γ(k - z)) = n on z < min(n, k), the published pair with κ eliminated.
        values = [mpmath.exp(mpmath.mpf(float(v))) for v in logs]
        n, delta = mpmath.mpf(n_train), mpmath.mpf(ridge)
        k = mpmath.inf if np.isinf(n_features) else mpmath.mpf(n_features)

        def learned(x):
            gamma = mpmath.exp(x)
            return mpmath.fsum(v / (v + gamma) for v in values)

        def unused(z):
            return 1 if k == mpmath.inf else 1 - z / k

        def too_small(x):
            z = learned(x)
            return z >= n or z >= k or z + delta / (mpmath.exp(x) * unused(z)) > n

        centre = mpmath.mpf(round(float(solution.log_feature_ridge), 3))
        low, high = centre - 1, centre + 1
        assert too_small(low)
        assert not too_small(high)
        for _ in range(175):
            middle = (low + high) / 2
            low, high = (middle, high) if too_small(middle) else (low, middle)
        # Half way between modes 34 nats apart, z in double precision determines κ no better than eps z/g.
        tolerance = 1e-10 if logs is not SPARSE else 1e-7
        assert abs(float(solution.log_feature_ridge - high)) <= tolerance
        if delta > 0 or k > n:  # else κ = 0
            log_kappa = high + mpmath.log(unused(learned(high)))
            assert abs(float(solution.log_effective_ridge - log_kappa)) <= tolerance


def test_limits():
    task = Eigensystem([1.0, 0.5, 0.25], [1.0, 1.0, 1.0])
    assert effective_ridge(task, [3, 4, np.inf]).tolist() == [0.0, 0.0, 0.0]
    assert log_effective_ridge(task, 3).item() == -np.inf
    assert effective_ridge(task, np.inf, ridge=2.0).item() == 0.0
    # With nothing learnable, or an overwhelming ridge, all of n is the explicit ridge.
    assert effective_ridge(Eigensystem([0.0, 0.0]), 5, ridge=2.0).item() == pytest.approx(0.4, rel=1e-12)
    assert effective_ridge(task, 5, ridge=1e20).item() == pytest.approx(2e19, rel=1e-12)
    # Infinitely many samples learn the k modes that the features can carry.
    solution = implicit_regularization(task, np.inf, 2.0)
    assert float(solution.sums.learned_modes) == pytest.approx(2.0, rel=1e-12)
    # A single mode: 1 = λ/(λ+κ)·... solved by hand, κ = (1-n+δ/λ+√…)/2n.
    n, delta = 0.5, 0.3
    by_hand = ((1 - n + delta) + np.sqrt((1 - n + delta) ** 2 + 4 * n * delta)) / (2 * n)
    assert effective_ridge(Eigensystem([1.0]), n, ridge=delta).item() == pytest.approx(by_hand, rel=1e-12)


def test_monotone_and_broadcast():
    n, k, ridge = np.arange(1, 40, 3), np.array([5, 20, np.inf]), np.array([0.0, 1e-3, 1.0])
    solution = implicit_regularization(power_law(1.5, 2.0), n[:, None, None], k[:, None], ridge)
    assert solution.log_feature_ridge.shape == (13, 3, 3)
    assert (np.diff(solution.log_feature_ridge, axis=0)[:, :, 1:] < 0).all()  # falls with n
    assert (np.diff(solution.log_feature_ridge, axis=2) > 0).all()  # grows with the ridge
    assert implicit_regularization(power_law(1.5, 2.0), 5).n_train.shape == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_train": 0}, "n_train must be above 0; got 0"),
        ({"n_train": np.nan}, "n_train must be above 0; got nan"),
        ({"n_train": "many"}, "n_train must be numbers; got 'many'"),
        ({"n_train": []}, "n_train is empty"),
        ({"n_train": 5, "n_features": -1}, "n_features must be above 0; got -1"),
        ({"n_train": 5, "ridge": -1e-9}, "ridge must be at least 0; got -1e-09"),
        ({"n_train": 5, "ridge": np.nan}, "ridge must be at least 0; got nan"),
        ({"n_train": 5, "ridge": np.inf}, "ridge must be finite"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        implicit_regularization(Eigensystem([1.0, 0.5]), **arguments)
