r"""What charge noise that stays constant during a gate does to the two-qubit gate: averages, and their first order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from solvable.checks import grid, numbers, whole
from solvable.errors import InputError
from solvable.spins.pair import DonorPair
from solvable.spins.two_qubit import TwoQubitGate, infidelities

Array = NDArray[np.float64]

LARGEST_SIGMA_V_PER_M = 30
_NODES = (3, 5, 9, 13, 19, 27, 41)


def noise_table(
    gates: TwoQubitGate | Sequence[TwoQubitGate],
    sigma_V_per_m: ArrayLike,
    correlated: bool = False,
    nodes: int | None = None,
) -> xr.Dataset:
    """Return mean infidelities over normally distributed offsets that stay constant during a gate.

    Args:
        gates: a gate, or a gate and its echoes.
        sigma_V_per_m: standard deviations of the field at each donor, 0 to 30.
        correlated: the same offset at both donors, instead of independent ones.
        nodes: number of Gauss-Hermite nodes for each donor; by default increased until no mean changes by more than
            a hundredth of itself and 1e-6.

    Returns:
        Dataset with `infidelity` on `gate` (numbered; if a sequence was passed) and `sigma_V_per_m`, and `nodes`.

    Raises:
        InputError: for noise so strong that 41 nodes do not suffice.
    """
    sigma = grid("sigma_V_per_m", sigma_V_per_m, at_least=0, at_most=LARGEST_SIGMA_V_PER_M)
    several = [gates] if isinstance(gates, TwoQubitGate) else list(gates)
    means, used = np.empty((len(several), sigma.size)), np.empty(sigma.size, dtype=int)
    for i, one in enumerate(sigma):
        if nodes is not None:
            used[i] = whole("nodes", nodes, at_least=1, at_most=_NODES[-1])
            means[:, i] = _mean(several, one, used[i], correlated)
            continue
        old = np.inf
        for n in _NODES:
            means[:, i], used[i] = _mean(several, one, n, correlated), n
            if np.all(np.abs(means[:, i] - old) < 1e-6 + 0.01 * means[:, i]):
                break
            old = means[:, i].copy()
        else:
            raise InputError(
                f"the mean over noise of {one:g} V/m needs more than 41 nodes; reduce sigma_V_per_m"
            )
    dims = ("sigma_V_per_m",)
    values: Any = means[0] if isinstance(gates, TwoQubitGate) else means
    return xr.Dataset(
        {
            "infidelity": (dims if values.ndim == 1 else ("gate", *dims), values),
            "nodes": (dims, used),
        },
        {"sigma_V_per_m": sigma},
    )


def _mean(gates: Sequence[TwoQubitGate], sigma: float, n: int, correlated: bool) -> Array:
    if sigma == 0:
        return infidelities(gates)
    x, w = np.polynomial.hermite_e.hermegauss(n)
    w = w / w.sum()
    if correlated:
        return infidelities(gates, sigma * x, sigma * x) @ w
    # The donors are equal: of two offsets their order does not matter.
    i, j = np.triu_indices(n)
    weights = w[i] * w[j] * np.where(i == j, 1, 2)
    return infidelities(gates, sigma * x[i], sigma * x[j]) @ weights


def first_order_infidelity(gate: TwoQubitGate, sigma_V_per_m: ArrayLike) -> Array:
    r"""Return the mean infidelity by independent noise to first order in its variance.

    $\frac{4}{5} (\pi f_n' \sigma T)^2 (S_+ + S_-)$ with $f_n' = d f_n / d E$, $T$ the duration, and, for segments
    of signs $s_k$ between which the gate turns at a constant rate, $S_+ = |\overline{s}|^2$ of the sum of both
    errors, which commutes with the gate, and $S_- = |\overline{s e^{i x}}|^2$, $x$ from 0 to $\pi / 2$, of their
    difference, which turns with it. Without echo $S_+ + S_- = 1 + 8 / \pi^2$. Derived here.

    Args:
        gate: the gate or an echo of it.
        sigma_V_per_m: standard deviation of the field at each donor.
    """
    sigma = numbers("sigma_V_per_m", sigma_V_per_m, at_least=0)
    n = len(gate.signs)
    edges = np.exp(0.5j * np.pi * np.arange(n + 1) / n)
    both = np.mean(gate.signs) ** 2
    difference = np.abs(np.array(gate.signs) @ np.diff(edges) / (np.pi / 2)) ** 2
    slope = nuclear_slope_kHz_per_V_per_m(gate.pair)
    return 0.8 * (1e-6 * np.pi * slope * sigma * gate.duration_ns) ** 2 * (both + difference)


def nuclear_slope_kHz_per_V_per_m(pair: DonorPair) -> float:
    """Return $d f_n / d E$ of one nucleus of a pair at rest at the symmetric field.

    >>> round(nuclear_slope_kHz_per_V_per_m(DonorPair()), 1)
    -18.8
    """
    E, step = pair.symmetric_field_V_per_m, 0.1
    energies = pair.states(E + step * np.array([-1, 1]), E)[0]
    flips = energies[:, 2] - energies[:, 0] + energies[:, 3] - energies[:, 1]
    return 1e6 * float(flips[1] - flips[0]) / (4 * step)
