r"""From a junction's resistance to its energies: Ambegaokar and Baratoff's relation and the charging energy.

Energies are frequencies E / h in GHz, gaps are in eV, resistances in ohm, currents in A, capacitances in F. R_n is the
resistance of the normal metal when cold, which is larger than that at room temperature (`cold_resistance`).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from solvable.checks import broadcast, numbers
from solvable.errors import InputError

ALUMINIUM_GAP_eV = 180e-6
"""Gap of a thick aluminium film; the textbook range is 170 to 190 µeV, so calibrate it on cooled qubits."""

COLD_RATIO = 1.1385
"""R_n when cold over R at room temperature, as quoted for two aluminium junctions; calibrate it with the gap."""

RESISTANCE_QUANTUM_OHM = constants.h / constants.e**2
_FLUX_QUANTUM = constants.h / (2 * constants.e)
_K_eV = constants.k / constants.e  # Boltzmann's constant in eV / K
# gap(0) / (k T_c) in the limit of weak coupling
_GAP_RATIO = np.pi * np.exp(-np.euler_gamma)
# Terms of sums over Matsubara frequencies, before the rest is integrated: an error below 1e-11.
_TERMS = np.arange(400) + 0.5
# tanh(x / 2) is 1 to rounding from here on.
_ZERO_TEMPERATURE = 80.0

Array = NDArray[np.float64]


def critical_current(
    R_n_ohm: ArrayLike,
    gap_eV: ArrayLike = ALUMINIUM_GAP_eV,
    temperature_K: ArrayLike = 0.0,
    gap2_eV: ArrayLike | None = None,
) -> Array:
    r"""Return the critical current in A, $I_c R_n = (\pi \Delta / 2 e) \tanh(\Delta / 2 k T)$ for equal gaps.

    For gaps $\Delta_1 \ne \Delta_2$ it is the sum over Matsubara frequencies $\omega_k = (2 k + 1) \pi k_B T$,
    $I_c R_n = (2 \pi k_B T / e) \sum_k \Delta_1 \Delta_2 / \sqrt{(\omega_k^2 + \Delta_1^2)(\omega_k^2 + \Delta_2^2)}$,
    which at zero temperature is a complete elliptic integral. In the formula for equal gaps
    their geometric mean errs by 2 % at 170 and 300 µeV, and their arithmetic mean by 6 %.

    Args:
        R_n_ohm: normal-state resistance when cold, > 0.
        gap_eV: gap of one electrode at this temperature (`bcs_gap`), at least 0; a gap of 0 carries no current.
        temperature_K: temperature, at least 0.
        gap2_eV: gap of the other electrode; by default the same.

    Returns:
        the currents, in the common shape of the arguments.

    Source: Ambegaokar and Baratoff, Phys. Rev. Lett. 10, 486 (1963).

    >>> round(float(critical_current(8000.0)) * 1e9, 3)  # nA
    35.343
    """
    R = numbers("R_n_ohm", R_n_ohm, above=0)
    one = numbers("gap_eV", gap_eV, at_least=0)
    two = one if gap2_eV is None else numbers("gap2_eV", gap2_eV, at_least=0)
    T = numbers("temperature_K", temperature_K, at_least=0)
    R, one, two, T = broadcast(R_n_ohm=R, gap_eV=one, gap2_eV=two, temperature_K=T)
    return _voltage(one, two, _K_eV * T) / R


def _voltage(gap1: Array, gap2: Array, kT: Array) -> Array:
    """Return I_c R_n in volts; gaps and k T in eV."""
    large, small = np.maximum(gap1, gap2), np.minimum(gap1, gap2)
    # Written for gaps that may be 0, and temperatures that may be.
    safe = np.where(small > 0, small, 1.0)
    big = np.where(small > 0, large, 1.0)
    cold = kT * _ZERO_TEMPERATURE <= safe
    value = np.where(cold, _cold(big, safe), _warm(big, safe, np.where(cold, safe, kT)))
    return np.where(small > 0, value, 0.0)


def _cold(large: Array, small: Array) -> Array:
    from scipy.special import ellipkm1

    # K of the modulus k = (D1 - D2) / (D1 + D2), by its complement 1 - k^2 = 4 D1 D2 / (D1 + D2)^2.
    total = large + small
    return 2 * large * small / total * ellipkm1(4 * (large / total) * (small / total))


def _warm(large: Array, small: Array, kT: Array) -> Array:
    from scipy.special import ellipkinc

    def term(omega: Array) -> Array:
        return large * small / np.sqrt((omega**2 + large**2) * (omega**2 + small**2))

    step = 2 * np.pi * kT
    total = sum(term(step * n) for n in _TERMS)
    # The rest by the midpoint rule backwards: the integral, and its first correction.
    end = step * len(_TERMS)
    rest = small * ellipkinc(np.arctan2(large, end), 1 - (small / large) ** 2)
    slope = -term(end) * (end / (end**2 + large**2) + end / (end**2 + small**2))
    return step * total + rest + step**2 / 24 * slope


def josephson_energy(
    R_n_ohm: ArrayLike,
    gap_eV: ArrayLike = ALUMINIUM_GAP_eV,
    temperature_K: ArrayLike = 0.0,
    gap2_eV: ArrayLike | None = None,
) -> Array:
    r"""Return the Josephson energy $E_J / h = I_c / (4 \pi e)$ in GHz.

    For equal gaps at zero temperature it is $\Delta R_K / (8 R_n h)$ with $R_K = h / e^2$: 140.43 GHz over R_n in kohm
    for a gap of 180 µeV.

    Args:
        R_n_ohm: normal-state resistance when cold, > 0.
        gap_eV: gap of one electrode at this temperature, > 0.
        temperature_K: temperature, at least 0.
        gap2_eV: gap of the other electrode, > 0; by default the same.

    >>> round(float(josephson_energy(8000.0)), 3)
    17.554
    """
    numbers("gap_eV", gap_eV, above=0)
    if gap2_eV is not None:
        numbers("gap2_eV", gap2_eV, above=0)
    current = critical_current(R_n_ohm, gap_eV, temperature_K, gap2_eV)
    return current * _FLUX_QUANTUM / (2 * np.pi * constants.h) / 1e9


def normal_resistance(EJ_GHz: ArrayLike, gap_eV: ArrayLike = ALUMINIUM_GAP_eV) -> Array:
    """Return the normal-state resistance in ohm of a Josephson energy, for equal gaps at zero temperature.

    >>> round(float(normal_resistance(17.5542)))
    8000
    """
    return josephson_energy(1.0, gap_eV) / numbers("EJ_GHz", EJ_GHz, above=0)


def josephson_inductance(EJ_GHz: ArrayLike) -> Array:
    r"""Return the inductance $L_J = (\Phi_0 / 2 \pi)^2 / E_J$ in nH.

    >>> round(float(josephson_inductance(17.5542)), 3)
    9.312
    """
    energy = numbers("EJ_GHz", EJ_GHz, above=0) * 1e9 * constants.h
    return (_FLUX_QUANTUM / (2 * np.pi)) ** 2 / energy * 1e9


def charging_energy(C_F: ArrayLike) -> Array:
    """Return the charging energy E_C / h = e² / (2 C h) in GHz of the whole capacitance between the islands.

    Args:
        C_F: capacitance in F, > 0: of the shunt, and of the junction (`junction_capacitance`).

    >>> round(float(charging_energy(80e-15)), 6)
    0.242128
    """
    return constants.e**2 / (2 * constants.h * numbers("C_F", C_F, above=0)) / 1e9


def junction_capacitance(area_um2: ArrayLike, specific_fF_per_um2: ArrayLike = 50.0) -> Array:
    """Return the capacitance in F of junctions of an area.

    Args:
        area_um2: areas, > 0.
        specific_fF_per_um2: capacitance per area; 45 to 75 fF/µm² are quoted for aluminium oxide.

    >>> float(junction_capacitance(0.04).round(18))
    2e-15
    """
    specific = numbers("specific_fF_per_um2", specific_fF_per_um2, at_least=0)
    return numbers("area_um2", area_um2, above=0) * specific * 1e-15


def specific_resistance(R_ohm: ArrayLike, area_um2: ArrayLike) -> Array:
    """Return resistance times area in ohm µm².

    >>> float(specific_resistance(8000.0, 0.04))
    320.0
    """
    return numbers("R_ohm", R_ohm, above=0) * numbers("area_um2", area_um2, above=0)


def cold_resistance(R_room_ohm: ArrayLike, ratio: ArrayLike = COLD_RATIO) -> Array:
    """Return the normal-state resistance when cold, `ratio` times that at room temperature.

    Only the gap over this ratio enters the frequency: `calibrate_gap` finds that one number.

    >>> round(float(cold_resistance(9907.12)), 2)
    11279.26
    """
    return numbers("R_room_ohm", R_room_ohm, above=0) * numbers("ratio", ratio, above=0)


def probe_correct(R_meas_ohm: ArrayLike, R_lead_ohm: ArrayLike = 0.0, R_sub_ohm: ArrayLike = np.inf) -> Array:
    """Return the resistance of junctions from that at the probes, (R + R_lead) in parallel with R_sub.

    At room temperature the leads are normal metal and the silicon conducts.

    Args:
        R_meas_ohm: resistances at the probes.
        R_lead_ohm: resistance of the leads, from a shorted reference.
        R_sub_ohm: resistance of the substrate, from an open reference; infinite by default.

    Raises:
        InputError: if the measured resistance is not below that of the substrate and above that of the leads.

    >>> float(probe_correct(8000.0, 50.0, 1e6).round(2))
    8014.52
    """
    R = numbers("R_meas_ohm", R_meas_ohm, above=0)
    lead = numbers("R_lead_ohm", R_lead_ohm, at_least=0)
    substrate = numbers("R_sub_ohm", R_sub_ohm, above=0)
    R, lead, substrate = broadcast(R_meas_ohm=R, R_lead_ohm=lead, R_sub_ohm=substrate)
    if (too_large := substrate <= R).any():
        got = R[too_large].flat[0]
        raise InputError(
            f"R_meas_ohm is {got:g}, at least R_sub_ohm; expected less than the open reference: the junction is open"
        )
    inside = 1 / (1 / R - 1 / substrate) - lead
    if (too_small := inside <= 0).any():
        got = R[too_small].flat[0]
        raise InputError(
            f"R_meas_ohm is {got:g}, at most R_lead_ohm; expected more than the shorted reference: the junction is "
            "short"
        )
    return inside


def bcs_gap(temperature_K: ArrayLike, critical_temperature_K: ArrayLike) -> Array:
    r"""Return the gap in eV of a weakly coupled superconductor; it is 0 at and above its critical temperature.

    With $t = T / T_c$ and $x = \Delta / (2 \pi k_B T)$ it solves
    $\ln t + \sum_{n \ge 0} [1 / (n + 1/2) - 1 / \sqrt{(n + 1/2)^2 + x^2}] = 0$; $\Delta(0) = 1.7639\, k_B T_c$. The
    popular $\tanh(1.74 \sqrt{1/t - 1})$ is low by up to 1.8 %.

    Args:
        temperature_K: temperature, at least 0.
        critical_temperature_K: critical temperature, > 0; 1.18 K for a gap of 180 µeV.

    Source: Bardeen, Cooper and Schrieffer, Phys. Rev. 108, 1175 (1957).

    >>> (bcs_gap([0.0, 0.59, 1.0], 1.18) * 1e6).round(2)  # µeV
    array([179.36, 171.63, 113.87])
    """
    from scipy.optimize.elementwise import find_root

    T = numbers("temperature_K", temperature_K, at_least=0)
    T, Tc = np.broadcast_arrays(T, numbers("critical_temperature_K", critical_temperature_K, above=0))
    t = T / Tc
    gap0 = _GAP_RATIO * _K_eV * Tc

    def equation(x: Array, t: Array) -> Array:
        total = sum(1 / n - 1 / np.hypot(n, x) for n in _TERMS)
        end = float(len(_TERMS))
        rest = np.log(x / (2 * end)) + np.arcsinh(end / x)
        slope = -1 / end**2 + end / np.hypot(end, x) ** 3
        return np.log(t) + total + rest + slope / 24

    # Below, the gap differs from that at 0 by less than 1e-15; above, it closes.
    solved = (t > 0.04) & (t < 1)
    result = np.where(t < 1, gap0, 0.0)
    if solved.any():
        inner = t[solved]
        most = _GAP_RATIO / (2 * np.pi * inner)
        # Near T_c the gap is 3.06 k T_c sqrt(1 - t).
        least = 0.2 * np.sqrt(1 - inner) * most / _GAP_RATIO
        found: Array = find_root(equation, (least, most * (1 + 1e-12)), args=(inner,)).x
        result[solved] = np.minimum(2 * np.pi * _K_eV * T[solved] * found, gap0[solved])
    return result


def aluminium_gap(
    thickness_nm: ArrayLike, thick_eV: ArrayLike = ALUMINIUM_GAP_eV, slope_eV_nm: ArrayLike = 600e-6
) -> Array:
    """Return the gap in eV of an aluminium film, `thick_eV` + `slope_eV_nm` / thickness: thin films have larger gaps.

    The electrodes of a junction differ in thickness, so unequal gaps are the usual case. The coefficients are a rule in
    use, not measured here.

    >>> (aluminium_gap([30.0, 110.0]) * 1e6).round(1)  # µeV
    array([200. , 185.5])
    """
    slope = numbers("slope_eV_nm", slope_eV_nm, at_least=0)
    return numbers("thick_eV", thick_eV, above=0) + slope / numbers("thickness_nm", thickness_nm, above=0)
