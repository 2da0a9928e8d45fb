"""Statistics of wafers against simulation, dummy variables and plain least squares."""

from typing import Any

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.junctions.wafer_statistics import (
    chi_interval,
    fit_width_bias,
    map_fit,
    robust_residuals,
    small_sample_factor,
    two_way_effects,
    variance_components,
)


def test_small_sample_factor_is_the_mean_of_sample_deviations() -> None:
    np.testing.assert_allclose(small_sample_factor([3, 5, 10]), [0.8862, 0.9400, 0.9727], atol=6e-5)
    assert float(small_sample_factor(2)) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-12)
    rng = np.random.default_rng(0)
    for n in (2, 4, 7):
        means = rng.standard_normal((200_000, n)).std(axis=1, ddof=1).mean()
        assert float(small_sample_factor(n)) == pytest.approx(means, abs=0.005)
    assert float(small_sample_factor(10**6)) == pytest.approx(1, abs=1e-6)
    with pytest.raises(InputError, match="n must be"):
        small_sample_factor(1)


def test_effects_of_an_unbalanced_wafer_are_those_of_dummy_variables() -> None:
    rng = np.random.default_rng(0)
    design, chip = rng.integers(0, 5, 150), rng.integers(0, 9, 150)
    # Some designs are missing on some chips.
    keep = (design + chip) % 4 != 0
    design, chip = design[keep], chip[keep]
    z = 9 + 0.3 * design + 0.05 * chip + 0.02 * rng.standard_normal(len(chip))
    of_design, of_chip = two_way_effects(z, design, chip)
    dummies = np.concatenate([np.eye(5)[design], np.eye(9)[chip]], axis=1)
    fitted = dummies @ np.linalg.lstsq(dummies, z, rcond=None)[0]
    np.testing.assert_allclose(of_design[design] + of_chip[chip], fitted, atol=1e-9)
    assert of_chip[chip].mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("wafers", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_components_and_their_intervals_on_simulated_wafers(wafers: int) -> None:
    """Of 40 chips of 90 junctions with 2.53 % among and 2.70 % on chips."""
    rng = np.random.default_rng(0)
    chip = np.repeat(np.arange(40), 90)
    on, among = [], []
    for _ in range(wafers):
        u = 0.0253 * rng.standard_normal(40)[chip] + 0.027 * rng.standard_normal(3600)
        parts = variance_components(u, chip)
        on.append(parts.on_chip)
        among.append(parts.among_chips)
        assert parts.n_chips == 40
    (on_sd, on_low, on_high), (sd, low, high) = np.array(on).T, np.array(among).T
    assert on_sd.mean() == pytest.approx(0.0270, abs=1e-4)
    assert sd.mean() == pytest.approx(0.0249, abs=5e-4 if wafers == 500 else 1e-3)
    # 0.30 and 0.033 %, with three standard errors of a standard deviation.
    assert sd.std() == pytest.approx(0.0030, rel=3 / np.sqrt(2 * wafers))
    assert on_sd.std() == pytest.approx(0.00033, rel=3 / np.sqrt(2 * wafers))
    error = 3.5 * np.sqrt(0.95 * 0.05 / wafers)
    for ends, truth in (((on_low, on_high), 0.027), ((low, high), 0.0253)):
        assert ((ends[0] < truth) & (ends[1] > truth)).mean() == pytest.approx(0.95, abs=error)


@pytest.mark.parametrize("truth", [pytest.param(0.0, marks=pytest.mark.slow), 0.03])
def test_components_of_unbalanced_wafers_are_unbiased(truth: float) -> None:
    rng = np.random.default_rng(1)
    counts = np.array([2, 3, 5, 9, 12, 20, 33, 50, 1, 1])
    chip = np.repeat([f"C{i}" for i in range(10)], counts)
    number = np.repeat(np.arange(10), counts)
    squares = []
    for _ in range(400):
        u = truth * rng.standard_normal(10)[number] + 0.027 * rng.standard_normal(len(chip))
        parts = variance_components(u, chip)
        squares.append((parts.on_chip.sd**2, parts.among_chips.sd**2))
        assert 0 <= parts.among_chips.low <= parts.among_chips.sd <= parts.among_chips.high
    on, among = np.mean(squares, axis=0)
    assert on == pytest.approx(0.027**2, rel=0.02)
    # Negative estimates are cut at 0, which leaves a bias only where the truth is 0.
    assert among == pytest.approx(truth**2, rel=0.12, abs=0.007**2)


def test_components_need_two_chips_and_two_junctions_on_some() -> None:
    with pytest.raises(InputError, match="all junctions are on one chip"):
        variance_components([0.1, 0.2], ["A", "A"])
    with pytest.raises(InputError, match="every chip has one junction; expected 2 or more on some"):
        variance_components([0.1, 0.2], ["A", "B"])


def test_map_is_found_within_its_errors_over_simulated_wafers() -> None:
    x, y = (one.ravel() for one in np.meshgrid(np.arange(-17.5, 18, 5), np.arange(-12.5, 13, 5)))
    truth = np.array([2e-3, -1e-3, -2e-5])
    rng = np.random.default_rng(0)
    found, errors, left = [], [], []
    for _ in range(500):
        level = truth[0] * x + truth[1] * y + truth[2] * (x**2 + y**2) + 0.02 * rng.standard_normal(len(x))
        one = map_fit(x, y, level)
        assert one is not None
        found.append(one[:3])
        errors.append(one.errors)
        left.append(one.residual_sd)
    values = np.array(found)
    np.testing.assert_allclose(values.std(axis=0), np.mean(errors, axis=0), rtol=0.1)
    assert (np.abs(values.mean(axis=0) - truth) < 4 * np.mean(errors, axis=0) / np.sqrt(500)).all()
    assert np.square(left).mean() == pytest.approx(4e-4, rel=0.05)


def test_share_that_a_map_explains() -> None:
    x, y = np.array([0.0, 1, 2, 0, 1, 2, 0, 1]), np.array([0.0, 0, 0, 1, 1, 1, 2, 2])
    level = np.random.default_rng(0).standard_normal(8)
    A = np.stack([np.ones(8), x, y, x**2 + y**2], axis=1)
    theta, square, *_ = np.linalg.lstsq(A, level, rcond=None)
    found = map_fit(x, y, level)
    assert found is not None
    np.testing.assert_allclose(found[:3], theta[1:], rtol=1e-9)
    assert found.explained == pytest.approx(1 - square[0] / (8 * level.var()), rel=1e-9)
    assert found.residual_sd == pytest.approx(np.sqrt(square[0] / 4), rel=1e-9)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([0, 1, 2, 0, 1], [0, 0, 0, 1, 1]),
        ([0, 1, 2, 3, 4, 5, 6], [0] * 7),
        ([0, 1, 2, 3, 4, 5, 6], [0, 2, 4, 6, 8, 10, 12]),
        ([0] * 7, [0] * 7),
    ],
    ids=["five chips", "row", "diagonal", "one place"],
)
def test_there_is_no_map_of_few_chips_or_of_chips_in_a_line(x: Any, y: Any) -> None:
    assert map_fit(x, y, np.arange(len(x)) / 10) is None


def test_robust_residuals_see_defects_under_a_strong_map() -> None:
    rng = np.random.default_rng(0)
    n = 1200
    x, y = rng.uniform(-20, 20, (2, n))
    design = rng.integers(0, 3, n)
    noise = 0.01 * rng.standard_normal(n)
    defect = np.where(np.arange(n) < 180, 0.15, 0.0)  # 15 % of all junctions
    z = np.array([9.0, 8.3, 7.1])[design] + 9e-3 * x - 6e-3 * y + 3.5e-4 * (x**2 + y**2) + noise + defect
    z[-5:] = np.nan
    rest = robust_residuals(z, design, x, y)
    assert np.isnan(rest[-5:]).all()
    np.testing.assert_allclose(rest[:-5], (noise + defect)[:-5], atol=5e-3)
    # Without places the design alone is removed.
    plain = robust_residuals(z, design, None, None)
    for code in range(3):
        mine = (design == code) & np.isfinite(z)
        np.testing.assert_allclose(plain[mine], z[mine] - np.median(z[mine]), atol=1e-12)
    assert np.isnan(robust_residuals(np.full(4, np.nan), np.zeros(4, dtype=int), None, None)).all()


PAIRS = np.array([[a, b] for a in (0.1, 0.14, 0.2, 0.28, 0.4) for b in (0.1, 0.2, 0.4)])


def test_biases_and_specific_resistance_are_found_within_their_errors() -> None:
    rng = np.random.default_rng(0)
    # Groups of small junctions scatter more.
    error = 0.0006 / np.sqrt(PAIRS.prod(axis=1))
    level = np.log(320 / (PAIRS - [0.010, 0.030]).prod(axis=1))
    fits = [fit_width_bias(PAIRS, level + error * rng.standard_normal(len(PAIRS)), error) for _ in range(80)]
    found = np.array([(np.log(one.rho_ohm_um2), one.bias1_um, one.bias2_um) for one in fits])
    quoted = np.sqrt(np.square([one.errors for one in fits]).mean(axis=0))
    # Errors are inflated where the scatter is larger than expected, and not shrunk where it is smaller.
    ratio = found.std(axis=0) / quoted
    assert ((ratio > 0.7) & (ratio < 1.18)).all()
    assert (np.abs(found.mean(axis=0) - [np.log(320), -0.010, -0.030]) < 4 * quoted / np.sqrt(80)).all()
    assert not any(one.common for one in fits)


def test_squares_give_one_bias_for_both_widths() -> None:
    squares = np.array([[0.1, 0.1], [0.2, 0.2], [0.4, 0.4]])
    found = fit_width_bias(squares, np.log(320 / np.square(squares[:, 0] - 0.02)), np.full(3, 1e-3))
    assert found.common
    assert (found.bias1_um, found.bias2_um) == pytest.approx((-0.02, -0.02), abs=1e-7)
    assert found.rho_ohm_um2 == pytest.approx(320, rel=1e-6)


@pytest.mark.parametrize("pairs", [[[0.2, 0.2]], [[0.2, 0.2], [0.2, 0.2]]])
def test_one_size_cannot_tell_the_bias(pairs: Any) -> None:
    with pytest.raises(InputError, match=r"one size cannot tell biases .*; expected junctions of two sizes"):
        fit_width_bias(pairs, np.full(len(pairs), 9.0), np.full(len(pairs), 1e-3))


def test_interval_of_a_standard_deviation_covers_it() -> None:
    sds = np.random.default_rng(0).standard_normal((1000, 12)).std(axis=1, ddof=1)
    low, high = np.array([chi_interval(sd, 11) for sd in sds]).T
    assert ((low < 1) & (high > 1)).mean() == pytest.approx(0.95, abs=0.024)
    # Equal tails.
    assert (low > 1).mean() == pytest.approx(0.025, abs=0.017)
