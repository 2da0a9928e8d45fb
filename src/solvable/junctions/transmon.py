r"""The transmon: levels of $H = 4 E_C (\hat n - n_g)^2 - E_J \cos \hat\varphi$, exact in the charge basis.

All energies are frequencies E / h in GHz. `ng` is the offset charge in Cooper pairs; 0.25 is halfway between the
extremes of the frequency. Arrays broadcast. Of many junctions with one offset charge, f01 / E_C is a smooth function
of E_J / E_C: it is diagonalised at some ratios and interpolated, with an error of f01 below 1e-11, and of the
anharmonicity below 1e-10 for ratios up to 1e5.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import broadcast, finite, numbers, whole
from solvable.errors import InputError
from solvable.junctions.josephson import ALUMINIUM_GAP_eV, charging_energy, normal_resistance

Array = NDArray[np.float64]

# Below, the frequency depends on the offset charge by percents: this is a Cooper-pair box.
_FEWEST_RATIO = 5.0
_LARGEST_RATIO = 1e6
# Up to this number of junctions each is diagonalised.
_FEW = 64
# Interpolation in the logarithm of the ratio: distance of nodes, nodes beyond the ends, degree.
_STEP, _BEYOND, _DEGREE = 0.05, 5, 7
# Differences of levels below this fraction of the frequency are rounding errors.
_NOISE = 1e-12
_MOST_ORDERS = 5


def energy_levels(
    EJ_GHz: ArrayLike, EC_GHz: ArrayLike, ng: ArrayLike = 0.25, n_levels: int = 4
) -> NDArray[np.float64]:
    """Return the lowest levels in GHz, in ascending order, in a last axis of length `n_levels`.

    Args:
        EJ_GHz: Josephson energy, > 0.
        EC_GHz: charging energy, > 0.
        ng: offset charge.
        n_levels: number of levels, at least 1.

    Source: Koch et al., Phys. Rev. A 76, 042319 (2007), eq. 2.2.

    >>> energy_levels(15.0, 0.3).round(4)
    array([-12.077 ,  -6.3945,  -1.0565,   3.8926])
    """
    whole("n_levels", n_levels, at_least=1, at_most=100)
    EJ, EC, charge = _checked(EJ_GHz, EC_GHz, ng, warn=False)
    flat = zip((EJ / EC).flat, charge.flat, strict=True)
    levels = np.array([_levels(r, g, n_levels)[0] for r, g in flat])
    return levels.reshape(*EJ.shape, n_levels) * EC[..., None]


def f01(EJ_GHz: ArrayLike, EC_GHz: ArrayLike, ng: ArrayLike = 0.25) -> Array:
    """Return the qubit frequency in GHz, the distance of the two lowest levels.

    Args:
        EJ_GHz: Josephson energy, > 0.
        EC_GHz: charging energy, > 0.
        ng: offset charge.

    Warns:
        UserWarning: if E_J / E_C is below 5, where the device is no transmon.

    >>> round(float(f01(12.450639, 0.242128)), 5)
    4.65496
    """
    EJ, EC, charge = _checked(EJ_GHz, EC_GHz, ng)
    return EC * np.exp(_of_ratio(_log_frequency, EJ / EC, charge))


def anharmonicity(EJ_GHz: ArrayLike, EC_GHz: ArrayLike, ng: ArrayLike = 0.25) -> Array:
    """Return f12 - f01 in GHz; about -E_C for a transmon.

    Args:
        EJ_GHz: Josephson energy, > 0.
        EC_GHz: charging energy, > 0.
        ng: offset charge.

    >>> round(float(anharmonicity(12.450639, 0.242128)), 5)
    -0.27743
    """
    EJ, EC, charge = _checked(EJ_GHz, EC_GHz, ng)
    return EC * _of_ratio(_anharmonicity, EJ / EC, charge)


def sensitivity(EJ_GHz: ArrayLike, EC_GHz: ArrayLike, ng: ArrayLike = 0.25) -> Array:
    r"""Return $S = d \ln f_{01} / d \ln E_J = -d \ln f_{01} / d \ln R$, dimensionless.

    By the theorem of Hellmann and Feynman it is
    $(E_J / f_{01}) (\langle 0 | \cos\varphi | 0 \rangle - \langle 1 | \cos\varphi | 1 \rangle)$, which is
    $(1 + E_C / f_{01}) / 2$ to 1.4 %; taking 1/2 is low by 3.5 to 8 %.

    Args:
        EJ_GHz: Josephson energy, > 0.
        EC_GHz: charging energy, > 0.
        ng: offset charge.

    >>> round(float(sensitivity(12.450639, 0.242128)), 5)
    0.52923
    """
    EJ, EC, charge = _checked(EJ_GHz, EC_GHz, ng)
    return _of_ratio(_sensitivity, EJ / EC, charge)


def frequency_and_sensitivity(
    EJ_GHz: ArrayLike, EC_GHz: ArrayLike, ng: ArrayLike = 0.25
) -> tuple[Array, Array]:
    """Return `f01` and `sensitivity`, without a warning for small E_J / E_C.

    Args:
        EJ_GHz: Josephson energy, > 0.
        EC_GHz: charging energy, > 0.
        ng: offset charge.

    >>> [round(float(one), 5) for one in frequency_and_sensitivity(12.450639, 0.242128)]
    [4.65496, 0.52923]
    """
    EJ, EC, charge = _checked(EJ_GHz, EC_GHz, ng, warn=False)
    frequency = EC * np.exp(_of_ratio(_log_frequency, EJ / EC, charge))
    return frequency, _of_ratio(_sensitivity, EJ / EC, charge)


def charge_dispersion(EJ_GHz: ArrayLike, EC_GHz: ArrayLike, level: int = 1) -> Array:
    r"""Return $E_m(n_g = 1/2) - E_m(n_g = 0)$ in GHz of level m; 0 where rounding errors are larger.

    It is negative for odd m. Koch's asymptote $(-1)^m E_C (2^{4m+5} / m!) \sqrt{2/\pi} (E_J / 2 E_C)^{m/2 + 3/4}
    e^{-\sqrt{8 E_J / E_C}}$ is 20 % too large at a ratio of 50.

    Args:
        EJ_GHz: Josephson energy, > 0.
        EC_GHz: charging energy, > 0.
        level: m, 0 for the lowest.

    >>> float(charge_dispersion(10.0, 0.2, level=1).round(9))  # 8 kHz
    -7.814e-06
    """
    m = whole("level", level, at_least=0, at_most=99)
    EJ, EC = np.broadcast_arrays(numbers("EJ_GHz", EJ_GHz, above=0), numbers("EC_GHz", EC_GHz, above=0))
    half, zero = (energy_levels(EJ, EC, ng, m + 1)[..., m] for ng in (0.5, 0.0))
    # Levels lie near -E_J, whose rounding errors their difference has.
    return np.where(np.abs(half - zero) > _NOISE * (EJ + EC), half - zero, 0.0)


def f01_asymptotic(EJ_GHz: ArrayLike, EC_GHz: ArrayLike, order: int = 5) -> Array:
    r"""Return the frequency in GHz as a series in $\xi = \sqrt{2 E_C / E_J}$.

    $\sqrt{8 E_J E_C} - E_C [1 + \xi/4 + 21 \xi^2/128 + 19 \xi^3/128 + 5319 \xi^4/32768]$. The leading terms (order 1)
    err by 15 MHz at 5 GHz and E_J / E_C = 50, the whole series by 4e-6.

    Args:
        EJ_GHz: Josephson energy, > 0.
        EC_GHz: charging energy, > 0.
        order: number of terms after the first, 0 to 5.

    >>> [round(float(f01_asymptotic(12.5, 0.25, order)), 5) for order in (0, 1, 2, 5)]
    [5.0, 4.75, 4.7375, 4.7355]
    """
    EJ, EC, _ = _checked(EJ_GHz, EC_GHz, 0.25)
    return np.sqrt(8 * EJ * EC) - EC * _series((1, 1 / 4, 21 / 128, 19 / 128, 5319 / 32768), EJ, EC, order)


def anharmonicity_asymptotic(EJ_GHz: ArrayLike, EC_GHz: ArrayLike, order: int = 5) -> Array:
    r"""Return the anharmonicity in GHz as a series in $\xi = \sqrt{2 E_C / E_J}$.

    $-E_C [1 + 9 \xi/16 + 81 \xi^2/128 + 3645 \xi^3/4096 + 46899 \xi^4/32768]$.

    Args:
        EJ_GHz: Josephson energy, > 0.
        EC_GHz: charging energy, > 0.
        order: number of terms, 1 to 5.

    >>> round(float(anharmonicity_asymptotic(12.5, 0.25)), 4)
    -0.2868
    """
    EJ, EC, _ = _checked(EJ_GHz, EC_GHz, 0.25)
    return -EC * _series((1, 9 / 16, 81 / 128, 3645 / 4096, 46899 / 32768), EJ, EC, order)


def _series(coefficients: tuple[float, ...], EJ: Array, EC: Array, order: int) -> Array:
    terms = whole("order", order, at_least=0, at_most=_MOST_ORDERS)
    xi = np.sqrt(2 * EC / EJ)
    return sum((c * xi**k for k, c in enumerate(coefficients[:terms])), np.zeros_like(xi))


class FrequencySpread(NamedTuple):
    """Spread of frequencies that a spread of resistances causes, in GHz."""

    sd_GHz: Array
    """Standard deviation."""
    shift_GHz: Array
    """Mean frequency minus the frequency at the mean resistance."""


def frequency_spread(
    EJ_GHz: ArrayLike, EC_GHz: ArrayLike, cv: ArrayLike, ng: ArrayLike = 0.25
) -> FrequencySpread:
    r"""Return the spread of frequencies for resistances with a coefficient of variation, with S held constant.

    The standard deviation is $S c f$ and the mean is larger by $S (1 + S) c^2 f / 2$ than the frequency at the mean
    resistance: 1.93 % and 2.7 MHz at 5 GHz, $E_C$ = 0.2 GHz and c = 3.7 %.

    Args:
        EJ_GHz: Josephson energy at the mean resistance, > 0.
        EC_GHz: charging energy, > 0.
        cv: c, standard deviation of the resistance over its mean, at least 0.
        ng: offset charge.

    Source: own derivation, for lognormal resistances and $f \propto R^{-S}$.

    >>> sd, shift = frequency_spread(16.8925, 0.2, 0.037)
    >>> round(1e3 * float(sd), 1), round(1e3 * float(shift), 2)  # MHz
    (96.4, 2.71)
    """
    c = numbers("cv", cv, at_least=0)
    frequency, S = f01(EJ_GHz, EC_GHz, ng), sensitivity(EJ_GHz, EC_GHz, ng)
    return FrequencySpread(S * c * frequency, S * (1 + S) * c**2 * frequency / 2)


def josephson_energy_for_frequency(f01_GHz: ArrayLike, EC_GHz: ArrayLike, ng: ArrayLike = 0.25) -> Array:
    """Return the Josephson energy in GHz that gives a frequency: the inverse of `f01`, by a bracketed root.

    Args:
        f01_GHz: frequency, above that of E_J = 0, which is 4 E_C (1 - 2 ng).
        EC_GHz: charging energy, > 0.
        ng: offset charge.

    Raises:
        InputError: if no Josephson energy gives this frequency.

    >>> round(float(josephson_energy_for_frequency(4.9, 0.242128)), 4)
    13.7201
    """
    f, EC, charge = broadcast(
        f01_GHz=numbers("f01_GHz", f01_GHz, above=0),
        EC_GHz=numbers("EC_GHz", EC_GHz, above=0),
        ng=_folded(ng),
    )
    least = 4 * EC * (1 - 2 * np.abs(charge))
    if (low := f <= least * (1 + 1e-9)).any():
        raise InputError(
            f"f01_GHz is {f[low].flat[0]:g}; expected more than {least[low].flat[0]:.6g} GHz, the frequency without a "
            "junction at this E_C and ng"
        )
    if (high := f > np.sqrt(8 * _LARGEST_RATIO / 2) * EC).any():
        raise InputError(
            f"f01_GHz is {f[high].flat[0]:g}, {f[high].flat[0] / EC[high].flat[0]:.0f} times E_C; expected GHz"
        )
    from scipy.optimize.elementwise import find_root

    # d f01 / d E_J is the difference of two cosines, at most 2; and f01 > sqrt(8 E_J E_C) - 2.04 E_C at any ng.
    ratio = f / EC
    ends = np.log((f - least) / EC / 2), np.log((ratio + 2.1) ** 2 / 8)
    curve = _curve(_log_frequency, float(ends[0].min()), float(ends[1].max()), charge)
    found = find_root(lambda x, y, g: curve(x, g) - y, ends, args=(np.log(ratio), charge))
    return np.asarray(np.exp(found.x) * EC)


def resistance_for_frequency(
    f01_GHz: ArrayLike, EC_GHz: ArrayLike, gap_eV: ArrayLike = ALUMINIUM_GAP_eV, ng: ArrayLike = 0.25
) -> Array:
    """Return the normal-state resistance in ohm that gives a frequency.

    Args:
        f01_GHz: frequency, as in `josephson_energy_for_frequency`.
        EC_GHz: charging energy, > 0.
        gap_eV: gap of both electrodes; with the gap that `calibrate_gap` finds, it is the resistance at room
            temperature.
        ng: offset charge.

    >>> round(float(resistance_for_frequency(4.654957, 0.242128)), 1)
    11279.3
    """
    return normal_resistance(josephson_energy_for_frequency(f01_GHz, EC_GHz, ng), gap_eV)


def area_for_frequency(
    f01_GHz: ArrayLike,
    C_F: ArrayLike,
    specific_resistance_ohm_um2: ArrayLike,
    gap_eV: ArrayLike = ALUMINIUM_GAP_eV,
    ng: ArrayLike = 0.25,
    specific_fF_per_um2: ArrayLike = 0.0,
) -> Array:
    """Return the junction area in µm² that gives a frequency.

    Args:
        f01_GHz: frequency, as in `josephson_energy_for_frequency`.
        C_F: capacitance of the shunt in F.
        specific_resistance_ohm_um2: resistance of the cold normal metal times area.
        gap_eV: gap of both electrodes.
        ng: offset charge.
        specific_fF_per_um2: capacitance of the junction per area; by default it is part of `C_F`. It lowers E_C as the
            area raises E_J.

    >>> area = area_for_frequency(4.9, 80e-15, 1.1385 * 320)
    >>> round(float(area), 7)
    0.0355933
    """
    C = numbers("C_F", C_F, above=0)
    rho = numbers("specific_resistance_ohm_um2", specific_resistance_ohm_um2, above=0)
    specific = numbers("specific_fF_per_um2", specific_fF_per_um2, at_least=0) * 1e-15
    area = np.zeros(())
    # The junction is a small part of the capacitance, so that this converges by that factor each time.
    for _ in range(100):
        before = area
        area = rho / resistance_for_frequency(f01_GHz, charging_energy(C + specific * before), gap_eV, ng)
        if np.allclose(area, before, rtol=1e-13, atol=0):
            return area
    raise InputError(
        f"no area gives this frequency; expected a junction with less capacitance than the shunt ({C.flat[0]:g} F)"
    )


def _checked(
    EJ_GHz: ArrayLike, EC_GHz: ArrayLike, ng: ArrayLike, warn: bool = True
) -> tuple[Array, Array, Array]:
    """Return the arguments in their common shape, with the offset charge between 0 and 1/2."""
    EJ, EC = numbers("EJ_GHz", EJ_GHz, above=0), numbers("EC_GHz", EC_GHz, above=0)
    finite("EC_GHz", EC, "")
    EJ, EC, charge = broadcast(EJ_GHz=EJ, EC_GHz=EC, ng=_folded(ng))
    ratio = EJ / EC
    if (large := ~(ratio <= _LARGEST_RATIO)).any():
        raise InputError(
            f"EJ_GHz is {np.broadcast_to(EJ, ratio.shape)[large][0]:g}, {ratio[large][0]:.2g} times EC_GHz; expected "
            f"at most {_LARGEST_RATIO:.0e} times, with both in GHz"
        )
    if warn and (small := ratio < _FEWEST_RATIO).any():
        warnings.warn(
            f"E_J / E_C is {ratio[small].min():.3g}; below {_FEWEST_RATIO:g} the levels depend on the offset charge "
            "and the device is no transmon",
            UserWarning,
            stacklevel=3,
        )
    return EJ, EC, charge


def _folded(ng: ArrayLike) -> Array:
    """Return the offset charge between 0 and 1/2, which gives the same levels."""
    charge = numbers("ng", ng)
    if np.isinf(charge).any():
        raise InputError("ng must be finite; got inf")
    return np.abs(charge - np.round(charge))


def _levels(ratio: float, ng: float, n_levels: int, vectors: bool = False) -> tuple[Array, Array]:
    """Return the lowest levels over E_C, and their states by columns if asked."""
    from scipy.linalg import eigh_tridiagonal

    # The states extend over (E_J / E_C)^(1/4) charges, and higher ones further; this keeps levels to 1e-13.
    most = int(np.ceil(8 * (ratio / 32) ** 0.25)) + 5 + n_levels
    n = np.arange(-most, most + 1)
    found: Any = eigh_tridiagonal(
        4 * (n - ng) ** 2,
        np.full(2 * most, -ratio / 2),
        eigvals_only=not vectors,
        select="i",
        select_range=(0, n_levels - 1),
        check_finite=False,
    )
    return found if vectors else (found, np.empty(0))


def _log_frequency(ratio: float, ng: float) -> float:
    levels, _ = _levels(ratio, ng, 2)
    return np.log(levels[1] - levels[0])


def _anharmonicity(ratio: float, ng: float) -> float:
    levels, _ = _levels(ratio, ng, 3)
    return levels[2] - 2 * levels[1] + levels[0]


def _sensitivity(ratio: float, ng: float) -> float:
    levels, states = _levels(ratio, ng, 2, vectors=True)
    cosines = (states[1:] * states[:-1]).sum(axis=0)
    return ratio / (levels[1] - levels[0]) * (cosines[0] - cosines[1])


_OfRatio = Callable[[float, float], float]


def _of_ratio(function: _OfRatio, ratio: Array, charge: Array) -> Array:
    """Return a function of ratio and offset charge, in the shape of both."""
    if ratio.size == 0:
        return np.empty(ratio.shape)
    x = np.log(ratio)
    return _curve(function, float(x.min()), float(x.max()), charge)(x, charge)


def _curve(function: _OfRatio, low: float, high: float, charge: Array) -> Callable[[Array, Array], Array]:
    """Return a function of the logarithm of the ratio, between two ends, and of offset charges.

    Many junctions with one offset charge are interpolated.
    """
    if charge.size <= _FEW or charge.min() < charge.max():
        return np.vectorize(lambda x, g: function(np.exp(x), g), otypes=[np.float64])
    from scipy.interpolate import make_interp_spline

    inner = max(int(np.ceil((high - low) / _STEP)), 1)
    nodes = low + (high - low + 1e-9) / inner * np.arange(-_BEYOND, inner + _BEYOND + 1)
    values = [function(r, charge.flat[0]) for r in np.exp(nodes)]
    spline = make_interp_spline(nodes, values, k=_DEGREE)
    return lambda x, g: spline(x)
