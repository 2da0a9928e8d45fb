"""Variances of areas, edges and barriers by simulation; the split of the variance on simulated wafers; plans."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.junctions import variability
from solvable.junctions.variability import VarianceModel, fit_variance_model, share_error

# Widths with errors of 3 nm, and a barrier: 64 % of the variance at 0.2 x 0.2 µm comes from the area.
A, B = 9e-6, 1e-5
SHARE = 2 * A / (2 * A + B)
FOURTEEN = variability.designs([0.1, 0.14, 0.2, 0.28, 0.4], 0.01, 0.159, both_orders=False)
SQUARES = [[0.1, 0.1], [0.2, 0.2], [0.4, 0.4]]


def fit(pairs: Any, variance: Any, freedom: float, **options: Any) -> VarianceModel:
    w1, w2 = np.asarray(pairs).T
    return fit_variance_model(w1, w2, variance, np.full(len(w1), freedom), **options)


def model_variance(pairs: Any, c: float = 0.0) -> np.ndarray:
    w1, w2 = np.asarray(pairs).T
    return A / w1**2 + A / w2**2 + B / (w1 * w2) + c


@pytest.mark.parametrize(
    ("w1", "w2", "s1", "s2", "r"),
    [
        (0.2, 0.1, 0.02, 0.02, 0.0),
        (0.2, 0.2, 0.03, 0.01, 0.7),
        (0.1, 0.3, 0.02, 0.05, -0.9),
        (1.0, 1.0, 0.2, 0.2, 1.0),
    ],
)
def test_variance_of_areas_is_that_of_two_million(
    w1: float, w2: float, s1: float, s2: float, r: float
) -> None:
    n1, n2 = np.random.default_rng(0).standard_normal((2, 2_000_000))
    area = (w1 + s1 * n1) * (w2 + s2 * (r * n1 + np.sqrt(1 - r**2) * n2))
    got = float(variability.area_variance(w1, w2, s1, s2, r))
    assert got == pytest.approx(area.var() / area.mean() ** 2, rel=0.006)


def test_variance_of_areas_has_a_second_order() -> None:
    got = variability.area_variance([0.2, 0.4], 0.2, 0.0)
    assert got.tolist() == [0, 0]
    first = 2 * (0.003 / 0.2) ** 2
    assert float(variability.area_variance(0.2, 0.2, 0.003)) == pytest.approx(first + first**2 / 4, rel=1e-12)


@pytest.mark.parametrize(
    ("ratio", "listed"), [pytest.param(10.0, 0.1800, marks=pytest.mark.slow), (2.0, 0.5677)]
)
def test_width_of_rough_edges_is_that_of_correlated_edges(ratio: float, listed: float) -> None:
    # Two edges as autoregressive chains, of 40 points per correlation length, averaged by trapezia.
    rng = np.random.default_rng(0)
    step, n = 1 / 40, int(40 * ratio)
    keep = np.exp(-step)
    edges = rng.standard_normal((2, 20_000))
    total = edges / 2
    for _ in range(n):
        edges = keep * edges + np.sqrt(1 - keep**2) * rng.standard_normal(edges.shape)
        total += edges
    total -= edges / 2
    width = total.sum(axis=0) / n
    got = float(variability.width_variance(1.0, 0.02, 0.02 * ratio))
    assert got / 2 == pytest.approx(listed, abs=6e-5)
    assert got == pytest.approx(width.var(), rel=0.04)


def test_width_of_rough_edges_in_both_limits() -> None:
    lengths = np.array([1e-7, 1e-5, 3e-5, 1e-3, 1e4])
    got = variability.width_variance(1.0, 1.0, lengths)
    np.testing.assert_allclose(got[:4], 2 * (1 - lengths[:4] / 3 + lengths[:4] ** 2 / 12), rtol=1e-9)
    assert got[4] == pytest.approx(4 / 1e4, rel=1e-3)


def test_barrier_is_that_of_junctions_made_of_patches() -> None:
    rng = np.random.default_rng(0)
    patch_cv = np.sqrt(np.exp(0.25) - 1)
    for n in (10, 100):
        conductance = np.exp(0.5 * rng.standard_normal((20_000, n))).sum(axis=1)
        got = np.sqrt(float(variability.barrier_variance(patch_cv, 1e-5, n * 1e-5)))
        assert got == pytest.approx(conductance.std() / conductance.mean(), rel=0.02)
    assert np.sqrt(float(variability.barrier_variance(patch_cv, 1e-5, 1e-2))) == pytest.approx(
        0.01685, abs=6e-6
    )


def test_designs_include_areas_that_floating_point_puts_beyond_the_bound() -> None:
    assert 0.4 * 0.4 > 0.16
    assert len(variability.designs([0.1, 0.14, 0.2, 0.28, 0.4], 0.01, 0.16)) == 25
    pairs = variability.designs([0.4, 0.28, 0.2, 0.14, 0.1], 0.01, 0.16, both_orders=False)
    assert len(pairs) == 15
    assert [0.4, 0.4] in pairs.tolist()
    assert len(FOURTEEN) == 14


@pytest.mark.parametrize("constant", [False, True])
def test_exact_variances_give_back_the_model(constant: bool) -> None:
    c = 1e-4 if constant else 0.0
    found = fit(FOURTEEN, model_variance(FOURTEEN, c), 256, constant=constant)
    assert found.a_um2 == pytest.approx(A, rel=1e-6)
    assert found.b_um2 == pytest.approx(B, rel=1e-6)
    assert found.c == pytest.approx(c, rel=1e-5, abs=1e-12)
    assert found.misfit_p == pytest.approx(1.0)
    np.testing.assert_allclose(found.variance(*FOURTEEN.T), model_variance(FOURTEEN, c), rtol=1e-8)
    # 0.643, and 0.563 with a constant.
    assert found.area_share().value == pytest.approx(0.563 if constant else 0.643, abs=6e-4)


def test_rough_edges_are_another_law_in_which_squares_do_tell() -> None:
    # Of edges with correlation length xi, far shorter than the widths: a = 4 s² xi.
    xi, s = 1e-7, 0.3
    widths = np.array(SQUARES)
    area = (variability.width_variance(s, xi, widths[:, ::-1]) / widths**2).sum(axis=1)
    V = area + B / widths.prod(axis=1)
    assert area[0] / area[2] == pytest.approx((0.01 / 0.16) ** -1.5, rel=1e-4)
    found = fit(widths, V, 500, edges="rough")
    assert found.a_um2 == pytest.approx(4 * s**2 * xi, rel=1e-4)
    assert found.b_um2 == pytest.approx(B, rel=1e-3)
    assert variability.identifiable(SQUARES, edges="rough")
    assert not variability.identifiable(SQUARES)


def test_the_interval_of_the_share_covers_the_truth_on_two_hundred_wafers() -> None:
    """257 junctions in each of 14 designs: 0.648 ± 0.117 with an error of 0.120 in earlier simulations."""
    V = model_variance(FOURTEEN)
    shares, p = [], []
    for seed in range(200):
        sample = V * np.random.default_rng(seed).chisquare(256, 14) / 256
        found = fit(FOURTEEN, sample, 256)
        shares.append(found.area_share())
        p.append(found.misfit_p)
    value, error, low, high = np.array(shares).T
    assert 0.90 <= ((low <= SHARE) & (high >= SHARE)).mean() <= 0.99
    assert value.mean() == pytest.approx(SHARE, abs=0.03)
    assert value.std() == pytest.approx(0.12, abs=0.02)
    assert np.median(error) == pytest.approx(0.12, abs=0.01)
    # Probabilities of a right model are uniform.
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


def test_a_wrong_model_is_contradicted() -> None:
    # All of the variance grows as the square of 1 / area.
    V = 1e-6 / FOURTEEN.prod(axis=1) ** 2
    assert fit(FOURTEEN, V, 256).misfit_p < 1e-6


@pytest.mark.parametrize(("a", "b"), [(A, 0.0), (0.0, B)])
def test_a_share_on_its_bound_stays_in_the_interval_from_0_to_1(a: float, b: float) -> None:
    w1, w2 = FOURTEEN.T
    V = a / w1**2 + a / w2**2 + b / (w1 * w2)
    share = fit(FOURTEEN, V, 256).area_share()
    assert share.value == pytest.approx(float(a > 0), abs=1e-6)
    assert 0 <= share.low <= share.value <= share.high <= 1
    assert share.high - share.low > 0.1


def test_squares_are_refused_with_the_reason_and_the_cure() -> None:
    V = model_variance(SQUARES)
    with pytest.raises(
        InputError, match=r"all junctions are squares, .* 1 / area; add rectangles such as 0.05 x 0.8"
    ):
        fit(SQUARES, V, 500)
    # A drawing of 0.2 x 0.2005 is a square to any measurement.
    with pytest.raises(InputError, match="2 shapes of junctions are too alike; add rectangles of other"):
        fit_variance_model([0.2, 0.1], [0.2005, 0.1002], [5e-4, 2e-3], [500.0, 500.0])


@pytest.mark.parametrize(
    ("extra", "n", "listed"),
    [
        ([[0.1, 0.4]], 3600, 0.072),
        ([[0.08, 0.5]], 3600, 0.052),
        ([[0.05, 0.8]], 3600, 0.037),
        ([[0.05, 0.8]], 400, 0.11),
    ],
)
def test_error_of_the_share_is_as_listed_and_as_simulated(extra: Any, n: int, listed: float) -> None:
    pairs = np.array([[0.2, 0.2], *extra])
    assert share_error(n, pairs) == pytest.approx(listed, rel=0.02)
    # An exact solution of two equations per data set, with no fit.
    nu = n // 2
    V = model_variance(pairs)[:, None] * np.random.default_rng(0).chisquare(nu, (2, 20_000)) / nu
    w1, w2 = pairs.T
    a, b = np.linalg.solve(np.stack([1 / w1**2 + 1 / w2**2, 1 / (w1 * w2)], axis=1), V)
    assert (2 * a / (2 * a + b)).std() == pytest.approx(share_error(n, pairs), rel=0.03)


def test_error_of_the_share_of_fourteen_rectangles_of_squares_and_of_two_numbers() -> None:
    assert share_error(3600, FOURTEEN) == pytest.approx(0.12, abs=6e-4)
    assert share_error(3600, SQUARES) == np.inf
    assert share_error(3600, [[0.2, 0.2], [0.05, 0.8]], counts=[1, 0]) == np.inf
    pairs = [[0.2, 0.2], [0.05, 0.8], [0.1, 0.1]]
    assert share_error(3600, pairs, constant=True, c=1e-4) > share_error(3600, pairs, c=1e-4)


def test_planned_designs_are_the_best_of_a_brute_force_search() -> None:
    plans = variability.plan_designs(3600, 0.08, 0.6)
    best, common = plans.error
    assert plans.plan.tolist() == ["best two", "14 common rectangles"]
    assert common == pytest.approx(0.12, abs=1e-3)
    counts = np.array(plans.counts[0])
    assert counts.sum() == 3600
    # Pairs and triples of a coarse grid of rectangles, in divisions by tenths.
    grid = variability.designs([0.08, 0.12, 0.2, 0.35, 0.5, 0.6], 0.01, 0.16, both_orders=False)
    brute = min(
        share_error(3600, shapes, counts=[tenths, 10 - tenths])
        for shapes in combinations(grid, 2)
        for tenths in range(1, 10, 2)
    )
    triples = min(share_error(3600, shapes) for shapes in combinations(grid, 3))
    assert best <= min(brute, triples) * (1 + 1e-3)
    # 0.2 x 0.2 with 0.08 x 0.5 is a bit worse than the elongated one of the plan; the gain is no accident.
    assert best == pytest.approx(brute, rel=0.2)
    # No other division of the same designs is better.
    shapes = [[float(w) for w in pair.split(" x ")] for pair in plans.designs[0].split(", ")]
    others = [share_error(3600, shapes, counts=[n, 3600 - n]) for n in range(100, 3600, 100)]
    assert min(others) == pytest.approx(best, rel=0.01)


@pytest.mark.parametrize(("n", "sd"), [(50, 0.106), pytest.param(300, 0.041, marks=pytest.mark.slow)])
def test_share_from_measured_widths_is_unbiased_by_errors_of_the_microscope(n: int, sd: float) -> None:
    rng = np.random.default_rng(n)
    shares, squared = [], []
    for _ in range(1000):
        w = 0.2 + 0.003 * rng.standard_normal((2, n))
        R = 320 / w.prod(axis=0) * np.exp(np.sqrt(B / 0.04) * rng.standard_normal(n))
        seen = w + 0.002 * rng.standard_normal((2, n))
        shares.append(variability.area_share_from_widths(R, *seen))
        squared.append(np.corrcoef(np.log(R), np.log(seen.prod(axis=0)))[0, 1] ** 2)
    value, error, low, high = np.array(shares).T
    assert value.mean() == pytest.approx(SHARE, abs=4 * sd / np.sqrt(1000) + 0.002)
    assert value.std() == pytest.approx(sd, rel=0.12)
    assert error.mean() == pytest.approx(sd, rel=0.12)
    assert 0.90 < ((low < SHARE) & (high > SHARE)).mean() < 0.98
    # The squared correlation loses a third.
    assert np.mean(squared) == pytest.approx(0.446, abs=0.02)


def test_error_of_the_share_from_widths_is_that_of_a_plain_jackknife() -> None:
    rng = np.random.default_rng(3)
    w = 0.2 + 0.003 * rng.standard_normal((2, 25))
    R = 320 / w.prod(axis=0) * np.exp(0.02 * rng.standard_normal(25))
    z, y = np.log(R), -np.log(w).sum(axis=0)
    left = [np.delete(np.stack([z, y]), i, axis=1) for i in range(25)]
    values = np.array([np.cov(*one)[0, 1] / one[0].var(ddof=1) for one in left])
    got = variability.area_share_from_widths(R, *w)
    assert got.value == pytest.approx(np.cov(z, y)[0, 1] / z.var(ddof=1), rel=1e-10)
    assert got.error == pytest.approx(np.sqrt(24 / 25 * np.square(values - values.mean()).sum()), rel=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: variability.area_variance(0.0, 0.2, 0.003), "w1_um must be"),
        (lambda: variability.area_variance(0.2, 0.2, 0.003, correlation=1.1), "correlation must be"),
        (lambda: variability.width_variance(0.002, 0.0, 0.2), "correlation_length_um must be"),
        (lambda: variability.barrier_variance(0.5, 1e-5, 0.0), "area_um2 must be"),
        (
            lambda: variability.designs([0.1, 0.2], 0.1, 0.2),
            "no pair of widths has an area from 0.1 to 0.2 µm²",
        ),
        (lambda: variability.identifiable([0.1, 0.2]), r"designs has shape \(2,\); expected \(n, 2\)"),
        (lambda: share_error(0, SQUARES), "n must be"),
        (
            lambda: share_error(100, FOURTEEN, counts=[1, 2]),
            "counts has 2 values; expected one per design, 14",
        ),
        (lambda: share_error(100, FOURTEEN, a_um2=0.0), "a_um2 must be"),
        (lambda: fit_variance_model([0.1], [0.2], [1e-3, 1e-3], [9]), "have 1, 1, 2 and 1 values"),
        (lambda: fit_variance_model([0.1, 0.2], [0.2, 0.2], [1e-3, 0], [9, 9]), "variance must be"),
        (
            lambda: fit_variance_model([0.1, 0.2], [0.2, 0.2], [1e-3, 1e-3], [9, 9], edges="smooth"),  # type: ignore[arg-type]
            "unknown edges 'smooth'; expected one of independent, rough",
        ),
        (lambda: variability.area_share_from_widths([8e3] * 9, [0.2] * 9, [0.2] * 9), "expected at least 10"),
        (lambda: variability.area_share_from_widths([8e3] * 10, [0.2] * 9, [0.2] * 9), "expected|shapes"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_measured_widths_of_different_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="expected one resistance and two widths per junction"):
        variability.area_share_from_widths([8e3] * 10, [0.2] * 10, [0.2] * 9)


def test_planned_designs_can_be_made() -> None:
    plans = variability.plan_designs(3600, 0.15, 0.5, 0.02, 0.1)
    for shapes in plans.designs:
        pairs = np.array([[float(w) for w in pair.split(" x ")] for pair in shapes.split(", ")])
        assert pairs.min() >= 0.15
        assert pairs.prod(axis=1).max() <= 0.1 * 1.01


def test_plan_of_large_junctions() -> None:
    assert variability.plan_designs(100, 0.5, 3, 0.3, 2, at_um=(0.6, 0.6)).error[0] < 1


def test_plan_of_designs_that_are_too_alike_is_refused() -> None:
    with pytest.raises(InputError):
        variability.plan_designs(100, 0.199, 0.201, 0.035, 0.05)
