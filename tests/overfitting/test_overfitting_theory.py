"""The overfitting coefficient against simulation, mpmath, its own slope identity, and bounds that it must keep."""

import re

import mpmath
import numpy as np
import pytest
from scipy.special import zeta

from solvable.errors import InputError
from solvable.overfitting.theory import (
    cost_of_overfitting,
    effective_ranks,
    overfitting_bounds,
    overfitting_coefficient,
)
from solvable.regression import optimal_ridge, predict
from solvable.spectra import (
    Eigensystem,
    PowerLawTail,
    UnresolvedTail,
    circle,
    gaussian_data,
    hypercube,
    hypersphere,
    log_effective_ridge,
    power_law,
)


def laplace(cosine):
    return np.exp(-np.sqrt(np.maximum(2 - 2 * cosine, 0.0)))


def test_power_law_against_a_gaussian_design():
    # Pure unit noise has test error 1 + |w|² with w the weights of a test point; its mean over test points is
    # 1 + tr(K⁻¹ Z Λ² Zᵀ K⁻¹), K = Z Λ Zᵀ. The same truncated spectrum on both sides.
    n, modes, draws = 100, 2000, 40
    eigenvalues = np.arange(1.0, modes + 1) ** -1.5
    generator = np.random.default_rng(1)
    measured = []
    for _ in range(draws):
        z = generator.standard_normal((n, modes))
        inverse = np.linalg.inv((z * eigenvalues) @ z.T)
        measured.append(1.0 + np.sum((inverse @ (z * eigenvalues)) ** 2))
    theory = float(overfitting_coefficient(Eigensystem(eigenvalues), n))
    assert np.mean(measured) == pytest.approx(theory, rel=0.01)
    assert np.std(measured) / np.sqrt(draws) < 0.003 * theory
    # The sheet's number, for 6000 modes.
    assert overfitting_coefficient(power_law(1.5, n_modes=6000), n) == pytest.approx(1.5522, abs=1e-4)


def test_laplace_kernel_on_a_sphere_against_real_kernel_regression():
    n, dimension = 400, 6
    generator = np.random.default_rng(2)
    measured = []
    for _ in range(8):
        points = generator.standard_normal((n + 1500, dimension))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        gram = laplace(points @ points[:n].T)
        gram[np.arange(n), np.arange(n)] = 1.0
        measured.append(1.0 + np.mean(np.sum(np.linalg.solve(gram[:n], gram[n:].T) ** 2, axis=0)))
    theory = float(overfitting_coefficient(hypersphere(laplace, dimension, n_levels=60), n))
    assert np.mean(measured) == pytest.approx(theory, rel=0.01)
    assert theory == pytest.approx(1.210, abs=1e-3)


@pytest.mark.parametrize(
    "task",
    [
        power_law(1.3),
        power_law(4.0),
        Eigensystem(log_eigenvalues=-0.5 * np.arange(1.0, 3000.0)),
        Eigensystem(np.random.default_rng(0).lognormal(0, 3, 700), multiplicities=np.arange(1, 701)),
        hypersphere(np.exp, 31),
        hypersphere(laplace, 6, n_levels=60),
    ],
    ids=["slow", "fast", "exponential", "random", "levels", "laplace"],
)
@pytest.mark.parametrize("ridge", [0.0, 0.1, 3.0])
def test_slope_identity(task, ridge):
    # E0 = -dlnκ/dln n at a fixed ridge, by central differences and two Richardson steps.
    n, steps = 210.0, 0.04 / 2.0 ** np.arange(3)
    x = log_effective_ridge(task, n * np.exp(np.stack([steps, -steps])), ridge=ridge)
    slope = -(x[0] - x[1]) / (2 * steps)
    once = (4 * slope[1:] - slope[:-1]) / 3
    twice = (16 * once[1] - once[0]) / 15
    assert twice == pytest.approx(float(overfitting_coefficient(task, n, ridge)), rel=1e-8)


def mpmath_exponential(rate, n):
    """Return E0 of exp(-rate i) at ridge 0, both the equation and the sum in 40 digits, E0 = n/(n - Σ L²)."""
    with mpmath.workdps(40 + int(rate * n / 2)):
        eigenvalues = [mpmath.exp(-mpmath.mpf(rate) * i) for i in range(1, n + int(90 / rate) + 60)]

        def missing(x):
            kappa = mpmath.exp(x)
            return mpmath.fsum(v / (v + kappa) for v in eigenvalues) - n

        x = mpmath.findroot(
            missing, (-rate * (n + 0.7), -rate * (n + 0.3)), solver="anderson", tol=1e-30, verify=False
        )
        kappa = mpmath.exp(x)
        return float(n / (n - mpmath.fsum((v / (v + kappa)) ** 2 for v in eigenvalues))), float(x)


@pytest.mark.parametrize(("rate", "n"), [(0.5, 90), (3, 400)])
def test_exponential_spectra_against_mpmath(rate, n):
    # κ is e^-1201.5 in the second case: far below the least double.
    task = Eigensystem(log_eigenvalues=-rate * np.arange(1.0, n + 400))
    exact, log_kappa = mpmath_exponential(rate, n)
    assert overfitting_coefficient(task, n) == pytest.approx(exact, rel=1e-11)
    assert log_effective_ridge(task, n) == pytest.approx(log_kappa, rel=1e-13)


@pytest.mark.parametrize(("alpha", "n", "limit"), [(1.1, 1e3, 1.0995), (1.05, 1e4, 1.0499)])
def test_truncated_power_law_with_its_tail(alpha, n, limit):
    modes = 1_000_000
    logs = -alpha * np.log(np.arange(1.0, modes + 1))
    task = Eigensystem.from_log_eigenvalues(logs, tail_trace=zeta(alpha, modes + 1))
    endless = float(overfitting_coefficient(power_law(alpha), n))
    assert endless == pytest.approx(limit, abs=1e-4)
    assert overfitting_coefficient(task, n) == pytest.approx(endless, rel=2e-5)
    # Without the tail the answer is another one.
    assert overfitting_coefficient(Eigensystem(log_eigenvalues=logs), n) > 1.07 * endless


def test_equal_modes_below_at_and_above_their_number():
    task = Eigensystem([0.3], multiplicities=[100])
    assert overfitting_coefficient(task, [50, 90, 100, 150]) == pytest.approx([2, 10, np.inf, 3])
    # A tiny ridge is the continuous limit, and rounds the peak.
    nearly = overfitting_coefficient(task, [50, 100, 150], ridge=1e-9)
    assert nearly[[0, 2]] == pytest.approx([2, 3], rel=1e-6)
    assert 1e3 < nearly[1] < np.inf
    assert overfitting_coefficient(Eigensystem([0.0]), 5) == 1.0


def test_multiple_descent_on_a_sphere():
    n = [20, 32, 50, 100, 200, 496, 1000, 3000, 5000, 6000, 20000]
    sheet = [1.248, 1.310, 1.353, 1.350, 1.357, 1.514, 1.556, 1.550, 1.694, 1.744, 1.665]
    assert overfitting_coefficient(hypersphere(np.exp, 31), n) == pytest.approx(sheet, abs=5e-4)


def random_task(generator):
    modes = generator.integers(30, 300)
    kind = generator.integers(3)
    i = np.arange(1.0, modes + 1)
    logs = [
        -generator.uniform(0.2, 4) * np.log(i),
        -generator.uniform(0.01, 1) * i,
        generator.normal(0, 3, modes),
    ]
    counts = [
        np.ones(modes),
        generator.integers(1, 5, modes),
        # Fractional, their sum above, among or below the numbers of samples.
        generator.uniform(0.5, 1.5, modes) * generator.choice([1.0, 0.05, 0.005]),
    ][generator.integers(3)]
    power = generator.pareto(1.0, modes) * i ** -generator.uniform(0, 3) * (generator.random() < 0.8)
    return Eigensystem(
        log_eigenvalues=logs[kind],
        target_power=power,
        noise=generator.uniform(0.01, 2),
        multiplicities=counts,
        tail=UnresolvedTail(np.exp(logs[kind].min()))
        if generator.random() < 0.3 and modes > 50 <= counts.sum()
        else None,
    )


def test_bounds_and_cost_hold_for_sixty_random_tasks():
    generator = np.random.default_rng(3)
    finite = beyond = 0
    for _ in range(60):
        task = random_task(generator)
        n = np.unique(generator.integers(1, 25, 3))
        exact = overfitting_coefficient(task, n)
        lower, upper = overfitting_bounds(task, n)
        assert (lower >= 1.0).all()
        assert (lower <= exact * (1 + 1e-10)).all()
        assert (exact <= upper * (1 + 1e-10)).all()
        # More samples than modes: both are exact.
        more = n > task.rank
        assert lower[more] == pytest.approx(exact[more], rel=1e-12)
        assert upper[more] == pytest.approx(exact[more], rel=1e-12)
        finite += (np.isfinite(upper) & ~more).sum()
        beyond += more.sum()
        cost, _, largest = cost_of_overfitting(task, n)
        assert (cost >= 1 - 1e-12).all()
        assert (cost <= largest * (1 + 1e-9)).all()
        assert largest.tolist() == exact.tolist()
    assert finite > 40
    assert beyond > 10


def test_bounds_of_the_sheet():
    def bounds(task, n=1000):
        return [float(b) for b in overfitting_bounds(task, n)]

    slow, fast = bounds(power_law(1.1)), bounds(power_law(2.0))
    assert slow[1] == pytest.approx(1.210, abs=1e-3)
    assert fast == pytest.approx([1.19, 5.59], abs=5e-3)
    # An end given as modes, or as a closed form, is the same end; so is any subset of k beyond ten thousand.
    i = np.arange(1.0, 3001.0)
    tail = PowerLawTail(1.1, 2.0, n_before=3000, target_scale=0.0)
    assert bounds(Eigensystem(i**-1.1, tail=tail)) == pytest.approx(slow, rel=1e-12)
    assert bounds(Eigensystem([1.0], tail=PowerLawTail(1.1, 2.0, n_before=1)))[1] == pytest.approx(
        slow[1], rel=1e-3
    )
    n = 30_000
    low, high = bounds(power_law(1.1), n)
    assert low <= float(overfitting_coefficient(power_law(1.1), n)) <= high == pytest.approx(1.21, abs=2e-2)
    # More samples than modes: both are exact. As many: nothing bounds it.
    assert bounds(Eigensystem([1.0, 0.5], multiplicities=[3, 7]), 40) == pytest.approx([4 / 3, 4 / 3])
    assert bounds(Eigensystem([1.0], multiplicities=[10]), 10)[1] == np.inf
    assert bounds(Eigensystem([0.0]), 3) == [1.0, 1.0]
    # Also where a rank is no whole number, or its levels add up to it but for rounding.
    assert bounds(Eigensystem([1.0], multiplicities=[10.5]), 21) == [2.0, 2.0]
    assert bounds(Eigensystem(np.exp(-np.arange(10.0)), multiplicities=[0.1] * 10), 2) == [2.0, 2.0]
    low, high = bounds(Eigensystem(np.exp(-np.arange(10.0)), multiplicities=[0.1] * 10), 1)
    assert 1.0 <= low <= high == np.inf


def test_effective_ranks_from_the_definition():
    generator = np.random.default_rng(4)
    counts = generator.integers(1, 6, 20)
    task = Eigensystem(generator.random(20), multiplicities=counts)
    modes = np.repeat(task.eigenvalues, task.multiplicities.astype(int))
    r, rank = effective_ranks(task, np.arange(len(modes)))
    after = [modes[k:] for k in range(len(modes))]
    np.testing.assert_allclose(r, [m.sum() / m[0] for m in after], rtol=1e-12)
    np.testing.assert_allclose(rank, [m.sum() ** 2 / (m**2).sum() for m in after], rtol=1e-12)


def test_effective_ranks_of_an_endless_power_law():
    k = np.array([[0, 10], [1999, 50_000]])
    r, rank = effective_ranks(power_law(1.5), k)
    np.testing.assert_allclose(r, zeta(1.5, k + 1.0) * (k + 1.0) ** 1.5, rtol=1e-11)
    np.testing.assert_allclose(rank, zeta(1.5, k + 1.0) ** 2 / zeta(3.0, k + 1.0), rtol=1e-11)


def test_effective_ranks_with_an_unresolved_tail_are_not_overstated():
    i = np.arange(1.0, 1001.0)
    task = Eigensystem.from_log_eigenvalues(-1.5 * np.log(i), tail_trace=zeta(1.5, 1001))
    (r, rank), (true_r, true_rank) = effective_ranks(task, [0, 50]), effective_ranks(power_law(1.5), [0, 50])
    np.testing.assert_allclose(r, true_r, rtol=1e-11)
    assert (rank < true_rank).all()
    np.testing.assert_allclose(rank, true_rank, rtol=1e-2)


def test_effective_ranks_far_below_the_least_double():
    r, rank = effective_ranks(Eigensystem(log_eigenvalues=-3.0 * np.arange(1.0, 1000.0)), [0, 700])
    assert r == pytest.approx([1 / (1 - np.exp(-3))] * 2)
    assert rank == pytest.approx([np.tanh(1.5) ** -1] * 2)


def test_cost_of_overfitting_of_the_sheet():
    i = np.arange(1.0, 2001.0)
    cost, ridge, largest = cost_of_overfitting(Eigensystem(i**-1.5, i**-2.0, noise=0.5), 50)
    assert (float(cost), float(largest)) == pytest.approx((1.226, 1.561), abs=1e-3)
    # Against a plain scan over ridges.
    errors = predict(
        Eigensystem(i**-1.5, i**-2.0, noise=0.5), 50, ridge=np.geomspace(1e-3, 10, 2001)
    ).test_mse
    assert float(cost) == pytest.approx(
        float(predict(Eigensystem(i**-1.5, i**-2.0, noise=0.5), 50).test_mse.item() / errors.min()), rel=1e-6
    )
    assert float(ridge) == pytest.approx(float(errors.ridge[errors.argmin(...)["ridge"]]), rel=1e-2)
    # Nothing but noise attains the bound; nothing at all costs nothing.
    pure, _, coefficient = cost_of_overfitting(Eigensystem(i**-1.5, noise=1.0), [50, 200])
    np.testing.assert_allclose(pure, coefficient, rtol=1e-6)
    assert cost_of_overfitting(Eigensystem(i**-1.5), 50).cost == 1.0
    assert cost_of_overfitting(Eigensystem([1.0] * 9, [1.0] * 9, noise=1.0), 9).cost == np.inf
    assert cost_of_overfitting(Eigensystem([1.0] * 9, [1.0] * 9), 12).cost == 1.0
    assert optimal_ridge(Eigensystem([1.0] * 9, [1.0] * 9), 12)[1] == 0.0


UNRESOLVED = {
    "gaussian on a sphere": (hypersphere(lambda t: np.exp(t - 1), 3), 60, 300),
    "few levels of laplace": (hypersphere(laplace, 4, n_levels=12), 30, 600),
    "poisson kernel": (circle(lambda a: 0.51 / (1.49 - 1.4 * np.cos(a)), n_levels=200), 50, 190),
    "gaussian data": (gaussian_data(1.0), 80, 110),
    "gaussian data far down": (gaussian_data(1.0, n_levels=3000), 2900, 3100),
    "unlike dimensions": (gaussian_data(1.2, [1.0, 0.4, 0.7], n_levels=400), 60, 500),
    "cube": (hypercube(np.exp, 24), 500, 2_000_000),
}


@pytest.mark.parametrize("name", UNRESOLVED)
def test_beyond_what_is_resolved_there_is_no_number(name):
    task, inside, outside = UNRESOLVED[name]
    assert 1.0 < overfitting_coefficient(task, inside) < np.inf
    for call in (overfitting_coefficient, cost_of_overfitting):
        with pytest.raises(
            InputError, match=f"not resolved at n = {re.escape(f'{outside:g}')}: .* a larger ridge"
        ):
            call(task, [inside, outside])
    # A ridge lifts κ above the last level.
    assert 1.0 < overfitting_coefficient(task, outside, ridge=1.0) < 3.0
    # Predictions of regression are given as before.
    assert predict(task, outside).overfitting_coefficient.item() > 1.0


def test_what_is_resolved_agrees_with_more_levels():
    few = gaussian_data(1.2, [1.0, 0.4, 0.7], n_levels=60)
    many = gaussian_data(1.2, [1.0, 0.4, 0.7], n_levels=4000)
    for n in np.arange(5.0, 60.0):
        try:
            value = overfitting_coefficient(few, n)
        except InputError:
            assert n > 15
            break
        assert value == pytest.approx(float(overfitting_coefficient(many, n)), rel=0.01)


@pytest.mark.parametrize(
    ("task", "rank"),
    [
        (hypersphere(lambda t: t**2, 5), 15),
        (hypersphere(lambda t: (1 + t) ** 5, 4), 91),
        (hypersphere(lambda t: (0.1 + t) ** 9, 3), 100),
        (hypersphere(lambda t: t**2, 1000), 500_500),
        (hypercube(lambda t: t**2, 20), 191),
        (hypercube(lambda t: (1 + t) ** 3, 30), 4526),
        (hypercube(np.exp, 8), 256),
        (circle(lambda a: 1 + np.cos(a)), 3),
        (circle(lambda a: np.exp(np.cos(a)), n_points=9), 9),
    ],
)
def test_a_finite_rank_is_interpolated_and_averaged_over(task, rank):
    assert task.rank == rank
    assert overfitting_coefficient(task, 2.0 * rank) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "call", [overfitting_coefficient, effective_ranks, overfitting_bounds, cost_of_overfitting]
)
def test_bare_eigenvalues_are_no_task(call):
    with pytest.raises(InputError, match="takes an Eigensystem; got a ndarray: make one"):
        call(np.ones(3), 2)


def test_a_power_law_without_a_target_has_none():
    task = power_law(1.5)
    assert (task.rank, task.total_target_power) == (np.inf, 0.0)
    assert task.trace == pytest.approx(zeta(1.5), rel=1e-12)
    assert overfitting_coefficient(task, 70) == overfitting_coefficient(power_law(1.5, 3.0), 70)
    with pytest.raises(InputError, match=r"alpha > 1 .* got alpha=0\.9; set n_modes"):
        power_law(0.9)
    assert power_law(0.9, n_modes=50).rank == 50


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: overfitting_coefficient(t, 0), "n_train must be above 0; got 0"),
        (lambda t: overfitting_coefficient(t, 10, -1.0), "ridge must be at least 0; got -1"),
        (lambda t: overfitting_coefficient(t, np.nan), "n_train must be above 0; got nan"),
        (lambda t: overfitting_bounds(t, np.inf), "n_train must be finite .* got inf"),
        (lambda t: effective_ranks(t, -1), "k must be at least 0; got -1"),
        (lambda t: effective_ranks(t, [1, 2.5]), "k must be whole numbers; got 2.5"),
        (
            lambda t: effective_ranks(t, [1, 5]),
            "first k = 5 modes; the spectrum has 5 known modes: .* smaller k",
        ),
        (lambda t: cost_of_overfitting(t, np.inf), "n_train must be finite"),
        (
            lambda _: Eigensystem.from_log_eigenvalues([0.0], tail_trace=-1.0),
            "tail_trace must be at least 0; got -1",
        ),
        (lambda _: Eigensystem.from_log_eigenvalues([0.0], tail_trace=np.inf), "tail_trace must be finite"),
    ],
)
def test_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(Eigensystem([1.0, 0.5], multiplicities=[2, 3]))
