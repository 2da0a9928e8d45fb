r"""The long sweep, which turns an error of the field into an error of time, and the gates that correct it.

In a linear sweep $E(t) = E_0 + v t$ an unknown offset $\delta E$ of the field shifts the trajectory by
$\tau = \delta E / v$, whatever the Hamiltonian: $U(\delta E) = W(T + \tau) W(\tau)^\dagger$ with $W$ the propagator
without offset. So far from the crossing where the qubit is driven only phases depend on $\delta E$; return sweeps
between pi pulses take these out. Ours, after the idea of Simon et al. (2020).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BarycentricInterpolator

from solvable.errors import InputError
from solvable.spins.adiabatic import warn_if_too_fast
from solvable.spins.device import OPERATORS, Complex, DonorDevice, field
from solvable.spins.fidelity import X90, X180, average_gate_fidelity, best_virtual_z, project, virtual_z
from solvable.spins.gates import Gate, calibrated
from solvable.spins.propagation import block_propagators, propagator
from solvable.spins.pulses import Pulse
from solvable.spins.shapes import Ramp, Windowed

Array = NDArray[np.float64]

_STEP_NS = 0.012


def sweep_propagator(
    device: DonorDevice, sweep: Pulse, offset_V_per_m: ArrayLike = 0.0, *, step_ns: float = _STEP_NS
) -> Complex:
    r"""Return the propagators of a linear sweep without drives for many offsets, at the cost of one.

    The parts of the trajectory that differ are at its two ends, $\delta E / v$ long.

    Args:
        device: the donor.
        sweep: pulse whose field is a `Ramp`, without drives.
        offset_V_per_m: errors of the field, of any shape.
        step_ns: step of the integration.

    Returns:
        The shape of the offsets + (8, 8), in the frame `sweep.nu_B_GHz`.

    >>> U = sweep_propagator(DonorDevice.preset("sweep"), Pulse(100, E_V_per_m=Ramp(-500, 500)), [0.0, 50.0])
    >>> bool(np.allclose(U[1], propagator(DonorDevice.preset("sweep"), Pulse(100, E_V_per_m=Ramp(-450, 550)))))
    True
    """
    offset = field(offset_V_per_m, "offset_V_per_m")
    ramp = sweep.E_V_per_m
    if sweep.duration_ns == 0 or not isinstance(ramp, Ramp) or any(sweep.drives) or ramp.start == ramp.stop:
        raise InputError(
            "sweep must be a pulse whose E_V_per_m is a Ramp, without drives; use propagator for others"
        )
    rate = (ramp.stop - ramp.start) / sweep.duration_ns
    shift = offset.ravel() / rate
    low, high = float(shift.min()), float(shift.max())
    if high - low > sweep.duration_ns:
        return propagator(device, sweep, offset, step_ns=step_ns)

    def piece(begin: float, end: float, n: int) -> Complex:
        """Propagators of n equal steps of the trajectory from one time to another."""
        part = Pulse(
            end - begin, Ramp(ramp.start + rate * begin, ramp.start + rate * end), nu_B_GHz=sweep.nu_B_GHz
        )
        return block_propagators(device, part, n_blocks=n, step_ns=step_ns)

    n = max(int(np.ceil((high - low) / step_ns)), 1)
    width = max(high - low, 1e-9) / n
    nodes = low + width * np.arange(n + 1)
    first = piece(low, low + n * width, n)
    last = piece(sweep.duration_ns + low, sweep.duration_ns + low + n * width, n)
    # From each node to the end of the first part, and from the beginning of the last part to each node.
    to_end, from_begin = [np.eye(8)], [np.eye(8)]
    for i in range(n):
        to_end.append(to_end[-1] @ first[n - 1 - i])
        from_begin.append(last[i] @ from_begin[-1])
    nearest = np.clip(np.rint((shift - low) / width).astype(int), 0, n)
    rest = shift - nodes[nearest]  # at most half a step
    slope = rate * device.per_field
    static = device.static - sweep.nu_B_GHz * (OPERATORS.S_z + OPERATORS.I_z)

    def fraction(begin: NDArray[Any]) -> Complex:
        """From `begin` for a time `rest`: Magnus expansion of order four, exact but for rest**5."""
        field_there = ramp.start + rate * (begin + rest / 2)
        H = static + field_there[:, None, None] * device.per_field
        x = rest[:, None, None]
        exponent = 2 * np.pi * x * H + 1j * np.pi**2 / 3 * x**3 * (H @ slope - slope @ H)
        values, vectors = np.linalg.eigh(exponent)
        return (vectors * np.exp(-1j * values)[:, None, :]) @ np.swapaxes(vectors.conj(), -1, -2)

    reached = low + n * width
    between = sweep.duration_ns + low - reached
    middle = piece(reached, reached + between, 1)[0] if between > 0 else np.eye(8)
    start = np.array(to_end)[::-1][nearest] @ np.swapaxes(fraction(nodes[nearest]).conj(), -1, -2)
    stop = fraction(sweep.duration_ns + nodes[nearest]) @ np.array(from_begin)[nearest]
    return (stop @ middle @ start).reshape(*offset.shape, 8, 8)


# The driven sweep: detuning of both drives below their resonances, range of the field, amplitudes under the window.
_DETUNING_GHZ, _RANGE_V_PER_M, _DURATION_NS = 0.1, 2500.0, 3000.0
_E_S_V_PER_M, _B_X_T = 833.0, 0.5e-3
# Duration of the return sweep: half of the driven one, less what the drives' light shifts take.
_RETURN_NS = 1420.0
# Fields at which its phase is exact; it runs many times around.
_PHASE_POINTS = 257


def long_sweep(device: DonorDevice | None = None) -> Pulse:
    """Return the driven sweep that flips the nuclear spin with a probability near one half, whatever the offset.

    Both drives are 100 MHz below their resonances at the ionisation point, under a window; the field goes from -2500
    to 2500 V/m in 3 µs. The amplitudes are those for the preset `sweep`; the flip probability is no simple function of
    them, since light shifts move the resonance and two passages interfere.

    Args:
        device: the donor; by default the preset `sweep`.
    """
    at_rest = (device or DonorDevice.preset("sweep")).transitions(0.0)
    return Pulse(
        _DURATION_NS,
        E_V_per_m=Ramp(-_RANGE_V_PER_M, _RANGE_V_PER_M),
        E_s_V_per_m=Windowed(_E_S_V_PER_M, 0.25),
        B_x_T=Windowed(_B_X_T, 0.25),
        nu_E_GHz=1e-3 * float(at_rest.f_ff_MHz) - _DETUNING_GHZ,
        nu_B_GHz=1e-3 * float(at_rest.f_esr_MHz) - _DETUNING_GHZ,
    )


@dataclass(frozen=True, eq=False)
class SweepGate(Gate):
    r"""A driven sweep F, alone or as X G X F X G X with two return sweeps G between ideal pi pulses.

    $X G X = Z(-g)$ takes out of the driven sweep what an offset of the field adds to its phases.

    Attributes:
        return_ns: duration of a return sweep; 0 for the driven sweep alone.
    """

    return_ns: float = 0.0

    @property
    def duration_ns(self) -> float:
        """Length without the pi pulses."""
        return self.pulse.duration_ns + 2 * self.return_ns

    def _bare(
        self,
        device: DonorDevice,
        offset: Array,
        gain_E: ArrayLike,
        gain_B: ArrayLike,
        options: dict[str, Any],
    ) -> Complex:
        begin, end = self.pulse.controls(np.array([0.0, self.pulse.duration_ns]))[:, 0]
        warn_if_too_fast(device, self.pulse)
        U = propagator(device, self.pulse, offset, amplitude_E=gain_E, amplitude_B=gain_B, **options)
        F = project(device, U, offset + begin, offset + end)
        if self.return_ns == 0:
            return F
        correction = replace(self, device=device).correction(offset)
        return correction @ F @ correction

    def correction(self, offset_V_per_m: ArrayLike) -> Complex:
        """Return X G X, (..., 2, 2)."""
        offset = field(offset_V_per_m, "offset_V_per_m")
        begin, end = self.pulse.controls(np.array([0.0, self.pulse.duration_ns]))[:, 0]
        back = Pulse(self.return_ns, E_V_per_m=Ramp(end, begin), nu_B_GHz=self.pulse.nu_B_GHz)
        G = project(self.device, sweep_propagator(self.device, back, offset), offset + end, offset + begin)
        return X180 @ G @ X180


def sweep_x90(
    device: DonorDevice | None = None, *, corrected: bool = True, sigma_V_per_m: float = 100.0
) -> Gate:
    r"""Return X(π/2) by the long sweep: with two return sweeps between ideal pi pulses, or alone.

    Args:
        device: the donor; by default the preset `sweep`, for which the amplitudes are.
        corrected: with the return sweeps.
        sigma_V_per_m: noise over which the virtual rotations of the corrected sweep are best on average.

    >>> sweep_x90(corrected=False).duration_ns
    3000.0
    """
    device = device or DonorDevice.preset("sweep")
    if not corrected:
        return calibrated(SweepGate("sweep", device, long_sweep(device), X90))
    gate = SweepGate("corrected sweep", device, long_sweep(device), X90, return_ns=_RETURN_NS)
    return calibrated(gate, sigma_V_per_m)


class SweepCurve:
    """Infidelities of the long sweep on the preset `sweep`, alone and corrected, against a constant error of the field.

    The corrected gate depends smoothly on the error, so it is computed exactly at a few Chebyshev points and
    interpolated. The phases of the sweep alone run many times around; they are put back from the return sweep, which is
    exact at any error.

    Args:
        largest_V_per_m: errors beyond it count as it.
        n_points: number of exact propagations.
    """

    def __init__(self, largest_V_per_m: float = 450.0, n_points: int = 25) -> None:
        self.largest_V_per_m = largest_V_per_m
        device = DonorDevice.preset("sweep")
        self._gate = SweepGate("corrected sweep", device, long_sweep(device), X90, return_ns=_RETURN_NS)
        x = -np.cos(np.pi * np.arange(n_points) / (n_points - 1))
        M = self._gate.propagators(largest_V_per_m * x)
        # Without the common phase, which runs fast, the elements are smooth.
        self._corrected = BarycentricInterpolator(x, M * _without_phase(M))
        # A return sweep is diagonal: only the phase between its elements matters.
        x = -np.cos(np.pi * np.arange(_PHASE_POINTS) / (_PHASE_POINTS - 1))
        G = self._gate.correction(largest_V_per_m * x)
        phase = G[:, 0, 0] * G[:, 1, 1].conj()
        self._phase = BarycentricInterpolator(x, phase / np.abs(phase))

    def propagators(self, offset_V_per_m: ArrayLike) -> Complex:
        """Return (2, n, 2, 2) without virtual rotations: the sweep alone and corrected, at n offsets."""
        x = np.clip(field(offset_V_per_m, "offset_V_per_m") / self.largest_V_per_m, -1, 1)
        corrected, phase = self._corrected(x), self._phase(x)
        inside = np.zeros((x.size, 2, 2), dtype=np.complex128)
        inside[:, 0, 0], inside[:, 1, 1] = phase.conj(), 1.0
        return np.stack([inside @ corrected @ inside, corrected])

    def mean_infidelities(self, sigma_V_per_m: float, offset_V_per_m: ArrayLike | None = None) -> Array:
        """Return the mean infidelities of the sweep alone and corrected.

        The virtual rotations are the best ones for this noise.

        Args:
            sigma_V_per_m: standard deviation of the noise.
            offset_V_per_m: offsets to average over; by default by quadrature.
        """
        x, weights = hermegauss(201)
        weights = weights / weights.sum()
        M = self.propagators(sigma_V_per_m * x)
        phases = [best_virtual_z(one, X90, weights) for one in M]
        if offset_V_per_m is not None:
            M = self.propagators(offset_V_per_m)
            weights = np.full(M.shape[1], 1 / M.shape[1])
        rotated = [virtual_z(before, one, after) for one, (before, after) in zip(M, phases, strict=True)]
        return np.array([weights @ (1 - average_gate_fidelity(one, X90)) for one in rotated])


def _without_phase(M: Complex) -> Complex:
    """Return factors (n, 1, 1) that make an element of each matrix (n, 2, 2) positive."""
    largest = M[:, 1, 0]
    return (largest.conj() / np.abs(largest))[:, None, None]
