r"""Errors that a pulse is optimised for, and others to check it with.

To optimise for are few of them, chosen so that means over them are those over the distribution of all errors: Gauss-
Hermite nodes of the field's constant error, pairs of nodes of the drives' gains, and pairs of traces of 1/f noise. All
weights are positive, so that no infidelity is ever rewarded.

Source: derived here, from the principal components of noise in time (Karhunen and Loève).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz
from scipy.special import sici

from solvable.spins.device import DonorDevice
from solvable.spins.propagation import block_propagators
from solvable.spins.pulses import Pulse

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_LOWEST_NOISE_GHZ = 1e-9  # 1 Hz: measurements of a second
_CHECKED_TRACES = 48
# Of the variance of 1/f noise beside its first principal component; the rest is given to the components that are kept.
_KEPT_VARIANCE = 0.995
# Part of the weight of the errorless scenario that goes to the traces.
_TRACES_WEIGHT = 0.9


class Scenarios(NamedTuple):
    """Errors to average over: the field's in time, factors of the drives, and weights that add up to 1."""

    offset_V_per_m: Array  # (scenarios, times), or (scenarios, 1) if constant
    gain_E: Array  # (scenarios,)
    gain_B: Array
    weights: Array


def exact_propagators(
    device: DonorDevice, pulse: Pulse, scenarios: Scenarios, rotating_wave: bool = True
) -> Complex:
    """Return the exact propagators between the states 0 to 3 at rest, (scenarios, 4, 4)."""
    offset, gain_E, gain_B, _ = scenarios
    constant = offset.shape[1] == 1
    U = block_propagators(
        device,
        pulse,
        offset[:, 0] if constant else 0.0,
        n_blocks=1,
        amplitude_E=gain_E,
        amplitude_B=gain_B,
        noise_V_per_m=None if constant else offset,
        rotating_wave=rotating_wave,
    )[:, 0]
    first, last = (device.states(offset[:, i])[1] for i in (0, -1))
    return np.swapaxes(last, -1, -2) @ U @ first


def field_errors(duration: float, n_steps: int, sigma: float, pink: float, cutoff_GHz: float) -> Array:
    r"""Return independent errors of the field in time, each one standard deviation of its amplitude, in V/m.

    The principal components of $\sigma^2 + S \int \cos(2 \pi f \tau) df / f$, the largest first, (modes, times) at the
    edges of the steps; (1, 1) without 1/f noise.
    """
    if pink == 0:
        return np.array([[sigma]])
    tau = duration / n_steps * np.arange(n_steps + 1)
    power = pink**2 / np.log(cutoff_GHz / _LOWEST_NOISE_GHZ)
    row = np.full(tau.shape, sigma**2 + pink**2)
    high, low = (sici(2 * np.pi * f * tau[1:])[1] for f in (cutoff_GHz, _LOWEST_NOISE_GHZ))
    row[1:] = sigma**2 + power * (high - low)
    variances, modes = np.linalg.eigh(toeplitz(row))
    kept = variances[::-1] > 1e-6 * variances[-1]
    return (np.sqrt(np.abs(variances)) * modes).T[::-1][kept]


def training_scenarios(modes: Array, gain: float) -> Scenarios:
    """Return the scenarios to optimise for.

    Args:
        modes: from `field_errors`.
        gain: relative standard deviation of the gains of both drives.
    """
    many = len(modes) > 1 or gain > 0
    offset, weights = _gauss_hermite(modes, 7 if many else 9)
    parts = [(offset, 1.0, 1.0, weights / (3 if gain else 1))]
    if gain:
        few, their = _gauss_hermite(modes, 5)
        step = np.sqrt(3) * gain
        for E, B in ((1 + step, 1), (1 - step, 1), (1, 1 + step), (1, 1 - step)):
            parts.append((few, E, B, their / 6))
    if len(modes) > 1:
        # A pair of opposite errors of a mode, enlarged to a common size, with a weight that makes up for it; these
        # weights are taken from the errorless scenario, so that second derivatives count once.
        size = (modes[1:] ** 2).mean(-1)
        kept = 1 + int(np.searchsorted(np.cumsum(size) / size.sum(), _KEPT_VARIANCE))
        rest, shapes = size[:kept] * size.sum() / size[:kept].sum(), modes[1 : kept + 1]
        errorless = weights.size // 2
        middle = parts[0][3][errorless]
        shares = _TRACES_WEIGHT * middle * rest / rest.sum()
        parts[0][3][errorless] = (1 - _TRACES_WEIGHT) * middle
        scaled = shapes * np.sqrt(rest / size[:kept] / shares)[:, None]
        parts += [(sign * scaled, 1.0, 1.0, shares / 2) for sign in (1, -1)]
    return _joined(parts)


def checking_scenarios(modes: Array, gain: float, rng: np.random.Generator) -> Scenarios:
    """Return scenarios to check with: Gauss-Hermite nodes that were not used, and random traces of 1/f noise."""
    if len(modes) > 1:
        traces = rng.normal(size=(_CHECKED_TRACES, len(modes))) @ modes
        gains = 1 + gain * rng.normal(size=(2, _CHECKED_TRACES))
        return Scenarios(traces, gains[0], gains[1], np.full(_CHECKED_TRACES, 1 / _CHECKED_TRACES))
    offset, weights = _gauss_hermite(modes, 12)
    corners = [(1 + i * gain, 1 + j * gain) for i in (1, -1) for j in (1, -1)] if gain else [(1.0, 1.0)]
    return _joined([(offset, *one, weights / len(corners)) for one in corners])


def _joined(parts: list[tuple[Array, float, float, Array]]) -> Scenarios:
    offsets, gains_E, gains_B, weights = zip(*parts, strict=True)
    sizes = [one.size for one in weights]
    return Scenarios(
        np.concatenate(offsets), np.repeat(gains_E, sizes), np.repeat(gains_B, sizes), np.concatenate(weights)
    )


def _gauss_hermite(modes: Array, n: int) -> tuple[Array, Array]:
    """Return errors of the field along the first mode, (n, times), and weights; one without any error."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n if modes.any() else 1)
    return nodes[:, None] * modes[0], weights / weights.sum()
