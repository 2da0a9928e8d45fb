r"""From propagators to figures of merit: projection on the states at rest, leakage, average gate fidelity.

A gate is judged between the states 0 to 3 *at the actual field*, which the electron follows adiabatically before and
after: judged by the noiseless states, the harmless tilt of the charge would count as leakage.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError
from solvable.spins.device import Complex, DonorDevice

Array = NDArray[np.float64]

X90 = np.array([[1, -1j], [-1j, 1]]) / np.sqrt(2)
X180 = np.array([[0, -1j], [-1j, 0]])


def project(
    device: DonorDevice,
    propagators: Complex,
    before_V_per_m: ArrayLike = 0.0,
    after_V_per_m: ArrayLike | None = None,
    n_states: int = 2,
) -> Complex:
    """Return the propagators between the first states at rest, (..., n_states, n_states).

    Args:
        device: the donor.
        propagators: (..., 8, 8) in the frame of the magnetic drive.
        before_V_per_m: field before the pulse, (...).
        after_V_per_m: field after it; by default the same.
        n_states: 2 for the nuclear qubit, 4 with the electron's states.
    """
    before = device.states(before_V_per_m)[1][..., :n_states]
    after = before if after_V_per_m is None else device.states(after_V_per_m)[1][..., :n_states]
    return np.swapaxes(after, -1, -2) @ propagators @ before


def leakage(M: Complex) -> Array:
    r"""Return $1 - \mathrm{Tr}(M^\dagger M) / d$, the mean probability to leave the d states of M, (..., d, d).

    >>> float(leakage(np.diag([1.0, 0.6])).round(2))
    0.32
    """
    return np.maximum(1 - (np.abs(M) ** 2).sum((-2, -1)) / M.shape[-1], 0.0)  # not below it by rounding


def average_gate_fidelity(M: Complex, target: ArrayLike) -> Array:
    r"""Return $(|\mathrm{Tr}(U^\dagger M)|^2 + \mathrm{Tr}(M^\dagger M)) / (d (d + 1))$, leakage counted as loss.

    Args:
        M: projected propagators (..., d, d).
        target: $U$, unitary (d, d).

    >>> float(average_gate_fidelity(np.eye(2), np.diag([1, -1])).round(4))
    0.3333
    """
    U = unitary(target, M.shape[-1])
    overlap = np.abs(np.einsum("ij,...ij->...", U.conj(), M)) ** 2
    d = M.shape[-1]
    return (overlap + (np.abs(M) ** 2).sum((-2, -1))) / (d * (d + 1))


def unitary(target: ArrayLike, d: int = 2, name: str = "target") -> Complex:
    """Return a unitary as an array.

    Raises:
        InputError: if it is none of this size.
    """
    try:
        U = np.asarray(target, dtype=np.complex128)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a {d}x{d} unitary; got {target!r}") from None
    if U.shape != (d, d):
        raise InputError(f"{name} must be a {d}x{d} unitary; got an array of shape {U.shape}")
    error = np.abs(U.conj().T @ U - np.eye(d)).max()
    if not error < 1e-6:
        raise InputError(f"{name} must be a {d}x{d} unitary; |U^dag U - 1| = {error:.2g}")
    return U


def virtual_z(before: ArrayLike, M: Complex, after: ArrayLike) -> Complex:
    r"""Return $R_z(\mathrm{after})\, M\, R_z(\mathrm{before})$ with $R_z(p) = \mathrm{diag}(e^{-ip/2}, e^{ip/2})$.

    Rotations about z are shifts of the drives' phases, which cost nothing.
    """
    left, right = (
        np.exp(np.multiply.outer(p, [-0.5j, 0.5j])) for p in (np.asarray(after), np.asarray(before))
    )
    return left[..., :, None] * M * right[..., None, :]


def best_virtual_z(M: Complex, target: ArrayLike, weights: ArrayLike | None = None) -> tuple[float, float]:
    r"""Return the phases (before, after) that maximise the mean fidelity of propagators (n, 2, 2).

    The mean of $|\sum_{ij} U^*_{ij} M_{ij} e^{i(\pm a \pm b)/2}|^2$ is $c + \mathrm{Re}$ of
    $A e^{ia} + B e^{ib} + C e^{i(a + b)} + D e^{i(a - b)}$: alternating in a and b, each step is exact.
    """
    U = unitary(target)
    M = M.reshape(-1, 2, 2)
    w = np.full(len(M), 1 / len(M)) if weights is None else np.asarray(weights, dtype=np.float64)
    terms = U.conj() * M  # (n, row: after, column: before)

    def value(b: float, a: float) -> float:
        return float(w @ np.abs(virtual_z(b, terms, a).sum((-2, -1))) ** 2)

    best = (-1.0, 0.0, 0.0)
    for b in (0.0, np.pi / 2, np.pi, 3 * np.pi / 2):
        a = 0.0
        for _ in range(200):
            old = (a, b)
            rows = virtual_z(b, terms, 0.0).sum(-1)  # |e^{-ia/2} r0 + e^{ia/2} r1|^2
            a = float(np.angle(w @ (rows[:, 0] * rows[:, 1].conj())))
            columns = virtual_z(0.0, terms, a).sum(-2)
            b = float(np.angle(w @ (columns[:, 0] * columns[:, 1].conj())))
            if abs(a - old[0]) + abs(b - old[1]) < 1e-12:
                break
        best = max(best, (value(b, a), b, a))
    return best[1], best[2]
