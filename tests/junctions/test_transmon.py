"""Levels, sensitivities and inverses of transmons: dense matrices, forty digits, Mathieu functions, simulation."""

import warnings
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.special import mathieu_a, mathieu_b

from solvable.errors import InputError
from solvable.junctions import transmon
from solvable.junctions.josephson import normal_resistance


def dense_f01(ratio: float, ng: float) -> float:
    """Return f01 / E_C by a dense matrix of 161 charges."""
    n = np.arange(-80, 81)
    H = np.diag(4.0 * (n - ng) ** 2) - ratio / 2 * (np.eye(161, k=1) + np.eye(161, k=-1))
    levels = np.linalg.eigvalsh(H)
    return float(levels[1] - levels[0])


def forty_digits(ratio: Any, ng: float) -> Any:
    """Return f01 / E_C in forty digits: roots of the determinant of the tridiagonal matrix, by its recurrence."""
    n = np.arange(-45, 46)
    H = np.diag(4.0 * (n - ng) ** 2) - float(ratio) / 2 * (np.eye(91, k=1) + np.eye(91, k=-1))
    starts = np.linalg.eigvalsh(H)[:2]
    diagonal = [4 * (mpmath.mpf(int(one)) - mpmath.mpf(ng)) ** 2 for one in n]
    square = (ratio / 2) ** 2

    def quotient(E: Any) -> Any:
        """Return the determinant over that of the matrix without its middle row, both by continued fractions."""
        left = right = mpmath.mpf(0)
        for d in diagonal[:45]:
            left = square / (d - E - left)
        for d in diagonal[:45:-1]:
            right = square / (d - E - right)
        return diagonal[45] - E - left - right

    low, high = (
        mpmath.findroot(quotient, (mpmath.mpf(s), mpmath.mpf(s) + mpmath.mpf("1e-9"))) for s in starts
    )
    return high - low


@pytest.mark.parametrize("ng", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("ratio", [6.0, 20.0, 51.4, 200.0])
def test_sensitivity_is_the_derivative_in_forty_digits(ratio: float, ng: float) -> None:
    with mpmath.workdps(40):
        r, h = mpmath.mpf(ratio), mpmath.mpf("1e-9")
        sides = [mpmath.log(forty_digits(r * mpmath.exp(s * h), ng)) for s in (1, -1)]
        slope = (sides[0] - sides[1]) / (2 * h)
        f = forty_digits(r, ng)
    assert float(transmon.sensitivity(ratio * 0.25, 0.25, ng)) == pytest.approx(float(slope), rel=1e-8)
    assert float(transmon.f01(ratio * 0.25, 0.25, ng)) == pytest.approx(0.25 * float(f), rel=1e-12)


@pytest.mark.parametrize(
    ("EC", "values"),
    [
        (0.20, (0.52796, 0.52182, 0.51790)),
        (0.25, (0.53612, 0.52796, 0.52282)),
        (0.30, (0.54492, 0.53444, 0.52796)),
    ],
)
def test_sensitivities_at_4_5_and_6_GHz(EC: float, values: tuple[float, ...]) -> None:
    EJ = transmon.josephson_energy_for_frequency([4.0, 5.0, 6.0], EC)
    S = transmon.sensitivity(EJ, EC)
    np.testing.assert_allclose(S, values, atol=6e-6)
    closed = (1 + EC / np.array([4.0, 5.0, 6.0])) / 2
    assert ((closed / S - 1 > -0.014) & (closed / S - 1 < -0.002)).all()


@pytest.mark.parametrize(
    "ng", [pytest.param(0.0, marks=pytest.mark.slow), 0.25, pytest.param(0.5, marks=pytest.mark.slow)]
)
def test_many_ratios_with_one_charge_are_interpolated_to_ten_digits(ng: float) -> None:
    ratios = np.exp(np.random.default_rng(1).uniform(np.log(5.001), np.log(2000), 400))
    got = transmon.f01(0.2 * ratios, 0.2, ng)
    few = slice(0, 40)
    np.testing.assert_allclose(got[few], [0.2 * dense_f01(r, ng) for r in ratios[few]], rtol=1e-10)
    # Slices of 40 are diagonalised one by one.
    for function in (transmon.f01, transmon.sensitivity, transmon.anharmonicity):
        singly = np.concatenate([function(0.2 * part, 0.2, ng) for part in np.split(ratios, 10)])
        np.testing.assert_allclose(function(0.2 * ratios, 0.2, ng), singly, rtol=1e-9, atol=1e-11)


def test_equal_junctions_and_grids_are_interpolated_in_their_shape() -> None:
    same = transmon.f01(np.full((10, 10), 12.0), 0.25)
    assert same.shape == (10, 10)
    np.testing.assert_allclose(same, float(transmon.f01(12.0, 0.25)), rtol=1e-12)
    grid = transmon.f01(np.linspace(8, 20, 12)[:, None], np.linspace(0.2, 0.3, 9))
    assert grid.shape == (12, 9)
    assert grid[5, 4] == pytest.approx(float(transmon.f01(np.linspace(8, 20, 12)[5], 0.25)), rel=1e-11)
    assert transmon.energy_levels(np.ones((2, 3)) * 9, 0.2, n_levels=6).shape == (2, 3, 6)


@pytest.mark.parametrize("ratio", [1e3, 1e4, 1e6])
def test_large_ratios_are_an_oscillator_with_the_quartic_corrections(ratio: float) -> None:
    # The series is asymptotic: its first missing term bounds the error.
    levels = transmon.energy_levels(ratio, 1.0)
    xi = np.sqrt(2 / ratio)
    assert levels[1] - levels[0] == pytest.approx(
        float(transmon.f01_asymptotic(ratio, 1.0)), rel=xi**6 * 10 + 1e-10
    )


@pytest.mark.parametrize("ng", [0.0, 0.25, 0.5])
def test_inverse_gives_back_the_frequency(ng: float) -> None:
    # From charge qubits to 10,000: the smallest depend on the charge, and f01 warns of them.
    ratios = np.geomspace(0.3, 1e4, 30)
    if ng == 0.5:
        ratios = ratios[(ratios < 1.7) | (ratios > 3)]  # see the next test
    f = np.array([0.25 * dense_f01(r, ng) for r in ratios])
    EJ = transmon.josephson_energy_for_frequency(f, 0.25, ng)
    np.testing.assert_allclose(EJ, 0.25 * ratios, rtol=1e-8)
    many = transmon.josephson_energy_for_frequency(np.tile(f, (4, 1)), 0.25, ng)
    np.testing.assert_allclose(many, np.tile(EJ, (4, 1)), rtol=1e-8)


@pytest.mark.parametrize("ratio", [1.8, 2.2, 2.8])
def test_inverse_gives_back_the_frequency_of_a_charge_qubit_at_its_sweet_spot(ratio: float) -> None:
    EJ = transmon.josephson_energy_for_frequency(0.25 * dense_f01(ratio, 0.5), 0.25, 0.5)
    assert float(EJ) == pytest.approx(0.25 * ratio, rel=1e-8)


def test_inverse_of_one_frequency_with_many_charges_and_energies() -> None:
    charge, EC = np.linspace(-0.5, 2.0, 11)[:, None], np.array([0.15, 0.2, 0.35])
    EJ = transmon.josephson_energy_for_frequency(4.9, EC, charge)
    assert EJ.shape == (11, 3)
    np.testing.assert_allclose(transmon.f01(EJ, EC, charge), 4.9, rtol=1e-11)


@pytest.mark.parametrize("f", [0.24, 0.25, 3.0])
def test_inverse_of_a_small_ratio(f: float) -> None:
    """At ng = 0.45 and E_C = 0.5 the frequency without a junction is 0.2 GHz."""
    EJ = float(transmon.josephson_energy_for_frequency(f, 0.5, 0.45))
    assert 0.5 * dense_f01(EJ / 0.5, 0.45) == pytest.approx(f, rel=1e-9)


@pytest.mark.parametrize(("ratio", "percents"), [(10, 0.57), (20, 0.82), (30, 0.54), (50, 0.31), (100, 0.14)])
def test_leading_asymptote_errs_as_listed(ratio: float, percents: float) -> None:
    # Without an offset charge, which at a ratio of 10 changes the frequency by 3 %.
    error = float(transmon.f01_asymptotic(ratio, 1.0, 1)) / dense_f01(ratio, 0.0) - 1
    assert 100 * error == pytest.approx(percents, rel=0.05)


@pytest.mark.parametrize(
    ("ratio", "f_error", "alpha_error"), [(50, 3.8e-6, 1.7e-3), (200, 6e-8, 3e-5), (1000, 4e-10, 5e-7)]
)
def test_series_err_as_listed(ratio: float, f_error: float, alpha_error: float) -> None:
    f = float(transmon.f01_asymptotic(ratio, 1.0) / transmon.f01(ratio, 1.0, 0.0) - 1)
    alpha = float(transmon.anharmonicity_asymptotic(ratio, 1.0) / transmon.anharmonicity(ratio, 1.0, 0.0) - 1)
    # The listed errors have one or two digits.
    assert f == pytest.approx(f_error, rel=0.1)
    assert -alpha == pytest.approx(alpha_error, rel=0.05)


def test_terms_of_the_series_one_by_one() -> None:
    orders = [float(transmon.f01_asymptotic(12.5, 0.25, order)) for order in range(6)]
    assert orders[:3] == pytest.approx([5.0, 4.75, 4.7375], abs=1e-12)
    errors = np.abs(np.array(orders) - 0.25 * dense_f01(50.0, 0.25))
    assert (np.diff(errors) < 0).all()
    assert 0.25 * dense_f01(50.0, 0.25) == pytest.approx(4.73547, abs=6e-6)


@pytest.mark.parametrize("ratio", [5.0, 12.0, 30.0])
def test_levels_at_the_ends_are_characteristic_values_of_mathieu(ratio: float) -> None:
    q = ratio / 2
    zero = [mathieu_a(0, q), mathieu_b(2, q), mathieu_a(2, q), mathieu_b(4, q)]
    half = [mathieu_b(1, q), mathieu_a(1, q), mathieu_b(3, q), mathieu_a(3, q)]
    np.testing.assert_allclose(transmon.energy_levels(ratio, 1.0, 0.0), zero, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(transmon.energy_levels(ratio, 1.0, 0.5), half, rtol=1e-9, atol=1e-9)
    for level in range(4):
        got = float(transmon.charge_dispersion(0.3 * ratio, 0.3, level))
        assert got == pytest.approx(0.3 * (half[level] - zero[level]), rel=1e-6, abs=3e-9)
        assert np.sign(got) == (-1) ** level


@pytest.mark.parametrize(
    ("level", "ratio", "factor"), [(1, 20, 1.37), (1, 50, 1.20), (1, 80, 1.15), (0, 50, 1.05), (2, 50, 1.54)]
)
def test_koch_asymptote_of_the_dispersion_is_too_large_as_listed(
    level: int, ratio: float, factor: float
) -> None:
    prefactor = (-1) ** level * 2 ** (4 * level + 5) / [1, 1, 2][level] * np.sqrt(2 / np.pi)
    asymptote = prefactor * (ratio / 2) ** (level / 2 + 0.75) * np.exp(-np.sqrt(8 * ratio))
    assert asymptote / float(transmon.charge_dispersion(ratio, 1.0, level)) == pytest.approx(factor, abs=6e-3)


def test_dispersion_below_rounding_errors_is_zero() -> None:
    assert transmon.charge_dispersion([10.0, 2000.0], [0.2, 0.2], 0)[1] == 0


def test_spread_of_a_million_lognormal_resistances() -> None:
    EC = 0.2
    EJ = float(transmon.josephson_energy_for_frequency(5.0, EC))
    for cv, sd_percent in ((0.037, 1.928), (0.01, 0.5222)):
        sigma = np.sqrt(np.log1p(cv**2))
        R = np.exp(sigma * np.random.default_rng(0).standard_normal(1_000_000) - sigma**2 / 2)
        f = transmon.f01(EJ / R, EC)
        spread = transmon.frequency_spread(EJ, EC, cv)
        assert float(spread.sd_GHz) == pytest.approx(f.std(), rel=0.005)
        assert 100 * f.std() / f.mean() == pytest.approx(sd_percent, rel=0.005)
        assert 1e3 * float(spread.shift_GHz) == pytest.approx(1e3 * (f.mean() - 5.0), abs=0.2)
    assert 1e3 * float(transmon.frequency_spread(EJ, EC, 0.037).shift_GHz) == pytest.approx(2.67, abs=0.06)


def test_frequencies_go_back_to_resistances_and_areas() -> None:
    f = np.array([4.2, 4.9, 6.1])
    R = transmon.resistance_for_frequency(f, 0.22, 190e-6)
    # 140.434 GHz kohm at 180 µeV.
    np.testing.assert_allclose(transmon.f01(140.43395 / R * 1e3 * 190 / 180, 0.22), f, rtol=1e-6)
    np.testing.assert_allclose(normal_resistance(140.43395 / 8), 8000, rtol=1e-6)


@pytest.mark.parametrize("specific", [0.0, 50.0, 75.0])
def test_area_with_the_capacitance_of_the_junction(specific: float) -> None:
    A = float(transmon.area_for_frequency(4.9, 75e-15, 364.32, specific_fF_per_um2=specific))
    EC = 19.370229 / (75 + specific * A)
    EJ = 140.43395 * A / 364.32 * 1e3
    assert EC * dense_f01(EJ / EC, 0.25) == pytest.approx(4.9, rel=1e-6)


@pytest.mark.parametrize("ng", [-0.25, 0.75, 1.25, 17.25])
def test_levels_are_periodic_and_even_in_the_offset_charge(ng: float) -> None:
    np.testing.assert_allclose(
        transmon.energy_levels(3, 0.3, ng), transmon.energy_levels(3, 0.3, 0.25), rtol=1e-12
    )


def test_small_ratios_warn_that_they_are_no_transmons() -> None:
    with pytest.warns(UserWarning, match="E_J / E_C is 4; below 5 .* no transmon"):
        f = transmon.f01(0.8, 0.2, 0.1)
    assert float(f) == pytest.approx(0.2 * dense_f01(4.0, 0.1), rel=1e-11)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transmon.f01(1.0, 0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transmon.f01(0.0, 0.2), "EJ_GHz must be"),
        (lambda: transmon.f01(12.0, -0.2), "EC_GHz must be"),
        (lambda: transmon.f01(12.0, 0.2, np.inf), "ng must be finite"),
        (lambda: transmon.f01(np.nan, 0.2), "EJ_GHz must be"),
        (lambda: transmon.f01(12e9, 0.2), "EJ_GHz is 1.2e[+]10, 6e[+]10 times EC_GHz"),
        (lambda: transmon.f01(np.inf, 0.2), "EJ_GHz is inf"),
        (lambda: transmon.energy_levels(12.0, 0.2, n_levels=0), "n_levels must be"),
        (lambda: transmon.charge_dispersion(12.0, 0.2, -1), "level must be"),
        (lambda: transmon.f01_asymptotic(12.0, 0.2, 6), "order must be"),
        (lambda: transmon.frequency_spread(12.0, 0.2, -0.1), "cv must be"),
        (lambda: transmon.josephson_energy_for_frequency(0.3, 0.2, 0.0), "expected more than 0.8 GHz"),
        (lambda: transmon.josephson_energy_for_frequency(5e9, 0.2), "times E_C; expected GHz"),
        (lambda: transmon.josephson_energy_for_frequency(-5, 0.2), "f01_GHz must be"),
        (
            lambda: transmon.area_for_frequency(4.9, 1e-19, 364.0, specific_fF_per_um2=75.0),
            "no area gives|expected",
        ),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
