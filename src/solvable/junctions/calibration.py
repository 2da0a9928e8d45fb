"""The gap that maps measured resistances to measured frequencies."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, numbers, one_number
from solvable.errors import InputError
from solvable.junctions.josephson import ALUMINIUM_GAP_eV, normal_resistance
from solvable.junctions.transmon import f01, resistance_for_frequency, sensitivity

Array = NDArray[np.float64]


class GapCalibration(NamedTuple):
    """Gap, and charging energy, that resistances and frequencies of measured qubits imply."""

    gap_eV: float
    """Gap over the ratio of R_n to the resistance that was passed: with it these resistances give frequencies."""
    gap_sd_eV: float
    """Its standard error."""
    EC_GHz: float
    """Charging energy, as passed or fitted."""
    EC_sd_GHz: float
    """Its standard error; 0 if it was fixed."""
    correlation: float
    """Correlation of the errors of the two; 0 if the charging energy was fixed."""
    residual_sd_GHz: float
    """Scatter of the measured frequencies around those of the fit."""


def calibrate_gap(
    R_ohm: ArrayLike,
    f01_GHz: ArrayLike,
    EC_GHz: float,
    ng: float = 0.25,
    *,
    EC_sd_GHz: float | None = None,
) -> GapCalibration:
    """Return the gap that maps measured resistances to measured frequencies, by least squares.

    Args:
        R_ohm: resistances (n,), all at room temperature or all cold.
        f01_GHz: measured frequencies (n,) of the same qubits.
        EC_GHz: charging energy, from the anharmonicity or a simulation of the capacitance.
        ng: offset charge.
        EC_sd_GHz: standard error of `EC_GHz` as prior knowledge; `inf` fits it freely; by default it is exact.

    Raises:
        InputError: with fewer qubits than unknowns plus one, and if gap and charging energy cannot be told apart (a
            relative error of the gap above 0.2), as with resistances that differ by a few percent.


    >>> R = np.array([8000.0, 9000.0, 10000.0])
    >>> f = f01(140434.0 / 1.1385 / R, 0.24)
    >>> fit = calibrate_gap(R, f, 0.24)
    >>> round(fit.gap_eV * 1e6, 2)  # 180 / 1.1385
    158.1
    """
    from scipy.optimize import least_squares

    R, f = numbers("R_ohm", R_ohm, above=0), numbers("f01_GHz", f01_GHz, above=0)
    finite("R_ohm", R, "leave open junctions out")
    finite("f01_GHz", f, "leave these qubits out")
    EC, charge = one_number("EC_GHz", EC_GHz, above=0), one_number("ng", ng)
    prior = 0.0 if EC_sd_GHz is None else float(numbers("EC_sd_GHz", EC_sd_GHz, above=0))
    if R.ndim != 1 or R.shape != f.shape:
        raise InputError(
            f"R_ohm has shape {R.shape} and f01_GHz {f.shape}; expected two lists of one number per qubit"
        )
    free = 1 + (prior > 0)
    if len(R) < free + 1:
        raise InputError(
            f"R_ohm has {len(R)} qubits; expected at least {free + 1} to fit {free} unknown{'s' * (free > 1)}"
        )

    def predicted(theta: Array) -> tuple[Array, Array]:
        """Return frequencies and their derivatives by the logarithms of gap and charging energy."""
        energy, charging = normal_resistance(1.0, np.exp(theta[0])) / R, EC * np.exp(theta[1:]).prod()
        frequency, S = f01(energy, charging, charge), sensitivity(energy, charging, charge)
        # f01 is E_C times a function of E_J / E_C.
        return frequency, np.stack([S * frequency, (1 - S) * frequency], 1)[:, : len(theta)]

    def fit(theta: Array, weight: float) -> tuple[Array, Array]:
        """Return parameters and J'J; `weight` is that of the prior, in GHz for a change of E_C by itself."""
        extra = np.array([weight]) if len(theta) == 2 and weight else np.zeros(0)

        def residual(theta: Array) -> Array:
            return np.concatenate([predicted(theta)[0] - f, extra * theta[1:]])

        def jacobian(theta: Array) -> Array:
            return (
                np.concatenate([predicted(theta)[1], extra[:, None] * [[0, 1]]])
                if len(extra)
                else predicted(theta)[1]
            )

        derivative: Any = jacobian
        found = least_squares(residual, theta, derivative, method="lm", xtol=1e-14, ftol=1e-14)
        return found.x, found.jac.T @ found.jac

    # The gap that each qubit implies; their mean is a start close to the end.
    start = np.log(ALUMINIUM_GAP_eV * R / resistance_for_frequency(f, EC, ng=charge)).mean()
    theta, square = fit(np.array([start]), 0.0)
    scatter = _scatter(predicted(theta)[0] - f, 1)
    if prior:
        for _ in range(20):
            weight = scatter / (prior / EC) if np.isfinite(prior) else 0.0
            theta, square = fit(np.array([theta[0], theta[1] if len(theta) > 1 else 0.0]), weight)
            before, scatter = scatter, _scatter(predicted(theta)[0] - f, 1 + (weight == 0))
            if abs(scatter - before) <= 1e-6 * before:
                break
    covariance = scatter**2 * np.linalg.pinv(square, hermitian=True)
    sd = np.sqrt(np.diag(covariance))
    correlation = float(covariance[0, 1] / (sd[0] * sd[1])) if len(sd) > 1 and sd.min() > 0 else 0.0
    # Without scatter the errors are 0, and the condition of the problem still shows.
    if len(sd) > 1 and (sd[0] > 0.2 or (not np.isfinite(prior) and np.linalg.cond(square) > 1e10)):
        raise InputError(
            f"gap and E_C cannot be told apart by these {len(R)} qubits (relative error of the gap {sd[0]:.2f}, "
            f"correlation {correlation:.2f}), since their resistances span only {np.ptp(R) / R.mean():.0%} of the "
            "mean; pass EC_sd_GHz, the error of a known E_C, or add qubits with other resistances"
        )
    gap = float(np.exp(theta[0]))
    charging = EC * float(np.exp(theta[1])) if len(sd) > 1 else EC
    return GapCalibration(
        gap,
        gap * float(sd[0]),
        charging,
        charging * float(sd[1]) if len(sd) > 1 else 0.0,
        correlation,
        scatter,
    )


def _scatter(residual: Array, unknowns: int) -> float:
    return float(np.sqrt(np.square(residual).sum() / (len(residual) - unknowns)))
