r"""Propagators of short pieces of a pulse as functions of the field's error, interpolated at Chebyshev points.

The method is ours.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.machine import limited_blas_threads
from solvable.spins.device import LARGEST_FIELD_V_PER_M, Complex, DonorDevice, field
from solvable.spins.propagation import block_propagators
from solvable.spins.pulses import Pulse

Array = NDArray[np.float64]

PIECE_NS = 1.7
MOST_POINTS = 129
_TOLERANCE = 1e-4


class PulsePieces:
    r"""Propagators of short pieces of a pulse as functions of the field's error, for noise that changes in time.

    $V_k(\delta) = R_{k+1}(\delta)^T U_k(\delta) R_k(\delta)$, where $U_k$ is the exact propagator of a piece of 1.7 ns
    at a constant error $\delta$ and $R_k$ turns the charge into its eigenstates at the beginning of the piece, in the
    slow field of the pulse with the error. Their product along a trace, with
    $\delta$ from the middle of each piece, lets the charge follow the noise adiabatically; a product of $U_k$ would
    have a jump of the charge between any two. Checked against `block_propagators` with the same traces, which is exact:
    for the robust gate and 100 V/m of 1/f noise up to 10 MHz infidelities of 0.003 to 0.05 err by at most 4e-6.

    Args:
        device: the donor.
        pulse: controls, of non-zero length.
        half_width_V_per_m: largest error of the field, at most 1e5.

    Attributes:
        n_pieces: number of pieces.
        error: largest change of an element of a piece's propagator by the last doubling of the number of fields; each
            doubling about squares it, so that the remaining error is far smaller.
        n_exact: number of exact propagations.
    """

    def __init__(self, device: DonorDevice, pulse: Pulse, half_width_V_per_m: float) -> None:
        if pulse.duration_ns == 0:
            raise InputError("the pulse must have a length above 0 ns for noise that changes in time")
        self.device = device
        self.half_width_V_per_m = one_number(
            "half_width_V_per_m", half_width_V_per_m, above=0, at_most=LARGEST_FIELD_V_PER_M
        )
        self.n_pieces = int(np.ceil(pulse.duration_ns / PIECE_NS))

        self._slow = pulse.controls(np.linspace(0, pulse.duration_ns, self.n_pieces + 1))[:, 0]

        def compute(offsets: Array) -> Complex:
            R = tilt(device, self._slow + offsets[:, None])  # at the ends of the pieces
            U = block_propagators(device, pulse, offsets, n_blocks=self.n_pieces)
            return np.swapaxes(R[:, 1:], -1, -2) @ U @ R[:, :-1]

        def excess(old: Complex, new: Complex) -> tuple[float, float]:
            middle = chebyshev(len(new))[1::2]
            error = float(np.abs(new[1::2] - interpolant(old, middle)).max())
            return error / _TOLERANCE, error

        values, self.error = refined(compute, excess, self.half_width_V_per_m, MOST_POINTS)
        self.n_exact = len(values)
        # (pieces, fields, 64 real and imaginary parts): real weights times these is one real matrix product.
        pieces = np.ascontiguousarray(np.swapaxes(values, 0, 1)).reshape(self.n_pieces, self.n_exact, 64)
        self._pieces = pieces.view(np.float64)

    @limited_blas_threads(1)
    def propagators(self, noise_V_per_m: ArrayLike) -> Complex:
        """Return what the pulse does to the qubit, (n_traces, 2, 2), between the states at rest at either end.

        Args:
            noise_V_per_m: error of the field, (n_traces, 2 n_pieces + 1): at the ends and middles of all pieces.
        """
        noise = field(noise_V_per_m, "noise_V_per_m")
        if noise.ndim != 2 or noise.shape[1] != 2 * self.n_pieces + 1:
            raise InputError(
                f"noise_V_per_m must be of shape (n_traces, {2 * self.n_pieces + 1}); got {noise.shape}"
            )
        if (largest := float(np.abs(noise).max())) > self.half_width_V_per_m:
            raise InputError(
                f"the pieces cover noise up to {self.half_width_V_per_m:g} V/m; got {largest:g}; make them for more"
            )
        first, last = (self.qubit(noise[:, i], i) for i in (0, -1))
        done = first.astype(np.complex128)
        for values, middle in zip(self._pieces, noise[:, 1::2].T, strict=True):
            V = lagrange(self.n_exact, middle / self.half_width_V_per_m) @ values
            done = V.view(np.complex128).reshape(-1, 8, 8) @ done
        return np.swapaxes(last, -1, -2) @ done

    def at(self, offset_V_per_m: ArrayLike) -> Complex:
        """Return $V_k$ at constant errors of the field, (n_pieces, ..., 8, 8)."""
        x = np.asarray(offset_V_per_m, dtype=np.float64) / self.half_width_V_per_m
        found = lagrange(self.n_exact, x.ravel()) @ self._pieces
        return found.view(np.complex128).reshape(self.n_pieces, *x.shape, 8, 8)

    def derivatives(self) -> tuple[Complex, Complex]:
        """Return the pieces' propagators without noise and their derivatives per V/m, both (n_pieces, 8, 8)."""
        step = 1e-4 * self.half_width_V_per_m
        return self.at(0.0), (self.at(step) - self.at(-step)) / (2 * step)

    def qubit(self, error_V_per_m: ArrayLike, edge: int) -> Array:
        """Return the qubit's states at rest (..., 8, 2) in the tilted frame at an edge between pieces, 0 or -1."""
        fields = self._slow[edge] + np.asarray(error_V_per_m, dtype=np.float64)
        return np.swapaxes(tilt(self.device, fields), -1, -2) @ self.device.states(fields)[1][..., :2]


def tilt(device: DonorDevice, offset_V_per_m: ArrayLike) -> Array:
    """Return the rotation (..., 8, 8) whose columns are the charge's excited and ground state, for each spin state."""
    half = np.arctan2(device.tunnel_coupling_GHz, -device.detuning_GHz(offset_V_per_m)) / 2
    cos, sin = np.cos(half), np.sin(half)
    charge = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)
    return np.einsum("...ab,ij->...aibj", charge, np.eye(4)).reshape(*half.shape, 8, 8)


def lagrange(n: int, x: Array) -> Array:
    """Return the weights (..., n) of values at n Chebyshev points of [-1, 1] in the interpolant at x."""
    signs = (-1.0) ** np.arange(n)
    signs[[0, -1]] /= 2
    distance = x[..., None] - chebyshev(n)
    hit = distance == 0
    weights = signs / np.where(hit, 1.0, distance)
    weights = np.where(hit.any(-1, keepdims=True), hit, weights)
    return weights / weights.sum(-1, keepdims=True)


def chebyshev(n: int) -> Array:
    """Return the extrema of the Chebyshev polynomial of degree n - 1 and the ends, from 1 to -1."""
    return np.cos(np.pi * np.arange(n) / (n - 1))


def interpolant(values: NDArray[Any], x: Array) -> NDArray[Any]:
    """Return the interpolant of values (n, ...) at Chebyshev points at x in [-1, 1]; beyond, that at the end."""
    return np.tensordot(lagrange(len(values), np.clip(x, -1, 1)), values, 1)


def refined(
    compute: Callable[[Array], NDArray[Any]],
    excess: Callable[[Any, Any], tuple[float, float]],
    half_width: float,
    most: int,
) -> tuple[NDArray[Any], float]:
    """Return values at so many Chebyshev points that `excess` is at most 1, and the error of the last but one grid.

    Each grid contains the one before, so nothing is computed twice.
    """
    values, n, error = compute(half_width * chebyshev(9)), 9, np.inf
    while n < most:
        n = 2 * n - 1
        new = np.empty((n, *values.shape[1:]), dtype=values.dtype)
        new[::2], new[1::2] = values, compute(half_width * chebyshev(n)[1::2])
        ratio, error = excess(values, new)
        values = new
        if ratio <= 1:
            return values, error
    warnings.warn(
        f"{most} fields up to {half_width:g} V/m do not resolve how the gate depends on the field: the last"
        f" doubling of their number still changed the result by {error:.2g}; use less noise or a shorter gate",
        stacklevel=4,
    )
    return values, error
