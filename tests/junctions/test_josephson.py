"""From resistances to energies: brute sums and integrals, limits, a worked example, refusals."""

from typing import Any

import numpy as np
import pytest
from scipy import constants
from scipy.integrate import quad

from solvable.errors import InputError
from solvable.junctions import josephson, transmon

K_eV = constants.k / constants.e


def matsubara(one: float, two: float, T: float) -> float:
    """Return I_c R_n in V by summing a million frequencies, and the rest, which goes as 1 / omega²."""
    step = 2 * np.pi * K_eV * T
    n = 1_000_000
    omega = step * (np.arange(n) + 0.5)
    total = (one * two / np.sqrt((omega**2 + one**2) * (omega**2 + two**2))).sum()
    return step * total + one * two / (step * n)


@pytest.mark.parametrize("T", [0.02, 0.1, 0.5, 1.1])
@pytest.mark.parametrize(
    ("one", "two"), [(180e-6, 180e-6), (180e-6, 220e-6), (300e-6, 170e-6), (20e-6, 2e-3)]
)
def test_currents_are_those_of_a_sum_over_a_million_matsubara_frequencies(
    one: float, two: float, T: float
) -> None:
    got = float(josephson.critical_current(1.0, one, T, two))
    assert got == pytest.approx(matsubara(one, two, T), rel=1e-9)


@pytest.mark.parametrize(("one", "two"), [(180e-6, 180e-6), (180e-6, 220e-6), (170e-6, 300e-6), (1e-6, 1e-3)])
def test_without_temperature_the_current_is_the_integral_over_frequencies(one: float, two: float) -> None:
    # omega = exp(x), so that gaps of different sizes are resolved.
    def integrand(x: float) -> float:
        return np.exp(x) * one * two / np.sqrt((np.exp(2 * x) + one**2) * (np.exp(2 * x) + two**2))

    ends = np.log(min(one, two)) - 40, np.log(max(one, two)) + 40
    value = quad(integrand, *ends, points=list(np.log([one, two])), limit=400, epsabs=0, epsrel=1e-12)[0]
    assert float(josephson.critical_current(1.0, one, 0.0, two)) == pytest.approx(value, rel=1e-10)
    # The branch of zero temperature, and those with one, meet.
    cold = min(one, two) / K_eV / josephson._ZERO_TEMPERATURE
    sides = josephson.critical_current(1.0, one, [cold * (1 - 1e-9), cold * (1 + 1e-9)], two)
    np.testing.assert_allclose(sides, value, rtol=1e-10)


@pytest.mark.parametrize("T", [0.0, 0.01, 0.05, 0.3, 1.0, 30.0])
def test_equal_gaps_give_the_hyperbolic_tangent(T: float) -> None:
    gap = 180e-6
    tangent = np.tanh(gap / (2 * K_eV * T)) if T else 1.0
    expected = np.pi * gap / 2 * tangent / 8000
    assert float(josephson.critical_current(8000.0, gap, T)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("one", "two", "error"), [(180e-6, 220e-6, 0.0025), (170e-6, 300e-6, 0.020)], ids=["near", "far"]
)
def test_means_of_unequal_gaps_err_as_listed(one: float, two: float, error: float) -> None:
    exact = josephson.critical_current(1.0, one, 0.0, two)
    geometric = josephson.critical_current(1.0, np.sqrt(one * two)) / exact - 1
    harmonic = josephson.critical_current(1.0, 2 * one * two / (one + two)) / exact - 1
    assert float(geometric) == pytest.approx(error, rel=0.05)
    assert float(harmonic) == pytest.approx(-error, rel=0.05)


@pytest.mark.parametrize(
    ("t", "expected"), [(0.3, 0.997124), (0.5, 0.956885), (0.7, 0.828771), (0.9, 0.526342)]
)
def test_gap_has_the_values_of_the_table(t: float, expected: float) -> None:
    assert float(josephson.bcs_gap(1.2 * t, 1.2) / josephson.bcs_gap(0.0, 1.2)) == pytest.approx(
        expected, abs=6e-7
    )


@pytest.mark.parametrize("t", [0.05, 0.2, 0.5, 0.8, 0.99])
def test_gap_solves_the_integral_equation_of_bardeen_cooper_and_schrieffer(t: float) -> None:
    # ln(gap(0) / gap(T)) = 2 int dxi f(E) / E with Fermi's function f: no sum over frequencies.
    gap = float(josephson.bcs_gap(t, 1.0)) / K_eV

    def integrand(xi: float) -> float:
        E = np.hypot(xi, gap)
        return 2 * np.exp(-E / t) / (E * (1 + np.exp(-E / t)))

    right = quad(integrand, 0, 60 * t, points=[gap, t], epsrel=1e-12, epsabs=0, limit=200)[0]
    assert np.log(np.pi * np.exp(-np.euler_gamma) / gap) == pytest.approx(right, abs=1e-9)


def test_gap_closes_at_the_critical_temperature_and_then_carries_no_current() -> None:
    T = np.array([1.18, 1.2, 300.0])
    gap = josephson.bcs_gap(T, 1.18)
    assert (gap == 0).all()
    assert (josephson.critical_current(8000.0, gap, T) == 0).all()
    assert (josephson.critical_current(8000.0, 180e-6, T, gap) == 0).all()
    # Just below, it is 3.0633 k T_c sqrt(1 - t).
    near = float(josephson.bcs_gap(1 - 1e-6, 1.0)) / K_eV
    assert near == pytest.approx(np.sqrt(8 * np.pi**2 / 7 / 1.2020569 * 1e-6), rel=1e-4)
    assert josephson.bcs_gap(0.0, 1.18) == josephson.bcs_gap(1e-3, 1.18)
    falling = josephson.bcs_gap(np.linspace(0.01, 1.17, 400), 1.18)
    assert (np.diff(falling) <= 1e-11 * falling[0]).all()


def test_worked_example_from_drawn_widths_to_the_frequency() -> None:
    R_room = 320 / (0.19 * 0.17)
    R_n = josephson.cold_resistance(R_room, 1.1385)
    EJ, EC = josephson.josephson_energy(R_n, 180e-6), josephson.charging_energy(80e-15)
    assert R_room == pytest.approx(9907.12, abs=5e-3)
    assert float(R_n) == pytest.approx(11279.26, abs=5e-3)
    assert float(EJ) == pytest.approx(12.450639, abs=6e-7)
    assert float(EC) == pytest.approx(0.242128, abs=6e-7)
    f, S = transmon.f01(EJ, EC), transmon.sensitivity(EJ, EC)
    assert float(f) == pytest.approx(4.654957, abs=6e-7)
    assert float(transmon.anharmonicity(EJ, EC)) == pytest.approx(-0.277426, abs=6e-7)
    assert float(S) == pytest.approx(0.529234, abs=6e-7)
    assert 1e3 * float(transmon.frequency_spread(EJ, EC, 0.027).sd_GHz) == pytest.approx(66.5, abs=0.06)
    # Ten percent more resistance, exactly and by the power law.
    aged = transmon.f01(josephson.josephson_energy(1.1 * R_n, 180e-6), EC)
    assert float(aged) == pytest.approx(4.425618, abs=6e-7)
    assert float(f * 1.1**-S) == pytest.approx(4.425978, abs=6e-7)
    # And back, from 4.9 GHz to the area.
    assert float(transmon.josephson_energy_for_frequency(4.9, EC)) == pytest.approx(13.720096, abs=6e-7)
    assert float(transmon.area_for_frequency(4.9, 80e-15, 1.1385 * 320)) == pytest.approx(0.0355933, abs=6e-8)


def test_energies_are_those_of_constants_of_nature() -> None:
    # E_J = gap R_K / (8 R_n), by the resistance quantum of 25812.807 ohm.
    gap_GHz = 180e-6 * constants.e / constants.h / 1e9
    expected = gap_GHz * 25812.807459 / 8 / 8000
    assert float(josephson.josephson_energy(8000.0)) == pytest.approx(expected, rel=1e-10)
    assert float(josephson.josephson_energy(1000.0)) == pytest.approx(140.434, abs=6e-4)
    assert float(josephson.critical_current(8000.0)) == pytest.approx(35.343e-9, rel=2e-5)
    assert float(josephson.charging_energy(1e-15)) == pytest.approx(19.370, abs=6e-4)
    EJ = josephson.josephson_energy(8000.0)
    assert float(josephson.josephson_inductance(EJ)) == pytest.approx(9.312, abs=6e-4)
    assert float(josephson.normal_resistance(EJ)) == pytest.approx(8000, rel=1e-12)
    # L_J I_c is the reduced flux quantum.
    product = josephson.josephson_inductance(EJ) * 1e-9 * josephson.critical_current(8000.0)
    assert float(product) == pytest.approx(constants.hbar / (2 * constants.e), rel=1e-12)


@pytest.mark.parametrize(
    ("R_J", "lead", "substrate"), [(8000.0, 50.0, 1e6), (8000.0, 0.0, np.inf), (90.0, 1e3, 2e3)]
)
def test_probe_correction_inverts_the_network(R_J: float, lead: float, substrate: float) -> None:
    measured = 1 / (1 / (R_J + lead) + 1 / substrate)
    assert float(josephson.probe_correct(measured, lead, substrate)) == pytest.approx(R_J, rel=1e-10)


def test_film_capacitance_and_specific_resistance() -> None:
    # 180 µeV and 600 µeV nm over 50 nm.
    assert float(josephson.aluminium_gap(50.0)) == pytest.approx(192e-6)
    assert float(josephson.junction_capacitance(0.04, 75.0)) == pytest.approx(3e-15)
    assert float(josephson.specific_resistance(8000.0, 0.04)) == pytest.approx(320)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: josephson.critical_current(0.0), "R_n_ohm must be"),
        (lambda: josephson.critical_current(8000.0, 180e-6, -0.1), "temperature_K must be"),
        (lambda: josephson.critical_current(8000.0, -1e-6), "gap_eV must be"),
        (lambda: josephson.josephson_energy(8000.0, 0.0), "gap_eV must be"),
        (lambda: josephson.josephson_energy(8000.0, 180e-6, 0.0, 0.0), "gap2_eV must be"),
        (lambda: josephson.charging_energy(0.0), "C_F must be"),
        (lambda: josephson.bcs_gap(-1.0, 1.2), "temperature_K must be"),
        (lambda: josephson.bcs_gap(1.0, 0.0), "critical_temperature_K must be"),
        (lambda: josephson.aluminium_gap(0.0), "thickness_nm must be"),
        (lambda: josephson.cold_resistance([8000.0, np.nan]), "R_room_ohm must be"),
        (lambda: josephson.probe_correct(2e6, 0.0, 1e6), "at least R_sub_ohm; .*the junction is open"),
        (lambda: josephson.probe_correct(1e6, 0.0, 1e6), "at least R_sub_ohm"),
        (lambda: josephson.probe_correct(40.0, 50.0), "at most R_lead_ohm; .*short"),
        (lambda: josephson.normal_resistance(-1.0), "EJ_GHz must be"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
