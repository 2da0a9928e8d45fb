r"""A gate on two nuclear spins by the electric dipoles of their donors, and what charge noise does to it.

A magnetic drive just below the electrons' frequency is ramped up, held, and ramped down. While it is on, the nuclei
have $J (XX + YY) / 2 + \zeta ZZ / 4$, which makes, up to rotations about z,

$$\mathrm{fSim}(\theta, \phi): \quad e^{-i \theta (XX + YY) / 2} \text{ and a phase } e^{-i \phi}
    \text{ of } |11\rangle, \qquad \theta = \pi / 4.$$

Ours, after the idea of Simon et al. (2020): numbers, echoes and propagation are our own. Charge noise shifts each
nucleus by some 19 kHz per V/m, against a coupling of 63 kHz, so that the gate needs a field that is quiet to 0.2 V/m.
Echoes with ideal X pulses make it less sensitive.

In the frame of the drive the 64 levels lie in bunches of 4, 16, 24, 16 and 4, one quantum of the drive apart. The first
three, which have the nuclear states, are propagated, each by itself. What the drive does between bunches changes
infidelities by 1e-11 for the default pair, and by 2e-8 in the worst case tried, 0.05 T.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from solvable.checks import broadcast, choice, numbers, one_number, whole
from solvable.errors import InputError
from solvable.machine import limited_blas_threads
from solvable.spins.device import Complex
from solvable.spins.fidelity import average_gate_fidelity, leakage
from solvable.spins.pair import DonorPair, nearest

Array = NDArray[np.float64]

# Levels in ascending order in the frame: bunches of n excited quanta, and the nuclear states in them.
_BUNCHES = ((slice(0, 4), [0]), (slice(4, 20), [1, 2]), (slice(20, 44), [3]))
_STEPS = 20
# Commutator-free step of order four: weights of the drive at the two nodes of Gauss and Legendre.
_NODES = 0.5 + np.array([-1, 1]) / np.sqrt(12)
_WEIGHTS = np.array(
    [[0.5 + 1 / np.sqrt(3), 0.5 - 1 / np.sqrt(3)], [0.5 - 1 / np.sqrt(3), 0.5 + 1 / np.sqrt(3)]]
)
_AT_ONCE = 256
_LARGEST_OFFSET_V_PER_M = 400
_LONGEST_HOLD_NS = 5e4
_WORST = 0.02


class _Ramped(NamedTuple):
    """The nuclear states after the ramp, in the levels of the hold, for one bunch."""

    levels_GHz: Array  # (..., levels)
    amplitudes: Complex  # (..., levels, states)


@dataclass(frozen=True)
class TwoQubitGate:
    r"""A gate that swaps by half, $\theta = \pi / 4$; made by `two_qubit_gate`.

    Attributes:
        pair: the donors.
        ramp_ns: length of each ramp, $\sin^2$.
        hold_ns: time between the ramps, in each segment.
        B_x_T: rotating amplitude in the hold, half of the linear one.
        detuning_MHz: drive below the electron's frequency.
        signs: one for each segment; between segments of opposite sign both nuclei are turned by an ideal X, as they are
            at the end if the last sign is negative.
    """

    pair: DonorPair
    ramp_ns: float
    hold_ns: float
    B_x_T: float
    detuning_MHz: float
    signs: tuple[int, ...] = (1,)

    @property
    def duration_ns(self) -> float:
        """Length of all segments; the pulses between them, which are taken as ideal, would come in addition."""
        return len(self.signs) * (2 * self.ramp_ns + self.hold_ns)

    @property
    def n_pulses(self) -> int:
        """Number of X pulses on both nuclei."""
        return int(np.count_nonzero(np.diff((*self.signs, 1))))

    @property
    def nu_B_GHz(self) -> float:
        """Frequency of the drive."""
        return self.pair.esr_GHz - 1e-3 * self.detuning_MHz

    @cached_property
    def exchange_kHz(self) -> float:
        """$J$ in the hold."""
        return self.pair.exchange(self.B_x_T, self.detuning_MHz)[0]

    @cached_property
    def _without_noise(self) -> "_Fit":
        return _fit(_segment(_ramped(self, *_zero()), self.hold_ns)[0], self.signs)

    @property
    def phi(self) -> float:
        r"""$\phi$ of the target, which comes with the gate and is not set."""
        return float(self._without_noise.phi)

    @property
    def target(self) -> Complex:
        r"""$\mathrm{fSim}(\pi / 4, \phi)$ (4, 4), on |00>, |01>, |10>, |11>."""
        return fsim(np.pi / 4, self.phi)

    @property
    def leakage(self) -> float:
        """Mean probability to leave the four nuclear states, without noise."""
        return float(leakage(self._without_noise.gate))

    def propagators(self, offset_a_V_per_m: ArrayLike = 0.0, offset_b_V_per_m: ArrayLike = 0.0) -> Complex:
        """Return the gate between the nuclear states at rest at the actual fields, (..., 4, 4).

        Rotations about z that are best without noise are part of it, the same for all offsets. What a segment leaves
        outside of the nuclear states counts as lost.

        Args:
            offset_a_V_per_m: constant error of the field at donor a, -400 to 400.
            offset_b_V_per_m: that at donor b.
        """
        return _propagators([self], offset_a_V_per_m, offset_b_V_per_m)[0]

    def infidelity(self, offset_a_V_per_m: ArrayLike = 0.0, offset_b_V_per_m: ArrayLike = 0.0) -> Array:
        """Return the average infidelity for each pair of offsets, leakage counted as loss.

        Args:
            offset_a_V_per_m: as for `propagators`.
            offset_b_V_per_m: as for `propagators`.
        """
        return infidelities([self], offset_a_V_per_m, offset_b_V_per_m)[0]

    def echoed(self, n: int, sequence: str = "periodic") -> "TwoQubitGate":
        r"""Return the gate in n segments, each with ramps of its own, with X on both nuclei between them.

        X on both commutes with $XX + YY$ and $ZZ$ and turns the sign of errors along z. The pulses are ideal here:
        infinitely short and without error. Each segment turns by $\theta / n$.

        Args:
            n: number of segments, 2 to 64, even.
            sequence: `periodic` has X after every segment; `concatenated`, for n a power of 2, has the signs of the
                first half reversed in the second half, and so on within the halves: + - - + - + + -. It has fewer
                pulses, and cancels what the swap, which turns the errors meanwhile, leaves of the periodic one.

        Raises:
            InputError: if the ramps alone turn by more than that, or the gate errs by 0.02 without noise.

        Source: concatenated sequences of Khodjasteh and Lidar, Phys. Rev. Lett. 95, 180501 (2005), here of X alone;
        their use in this gate is ours.

        >>> gate = two_qubit_gate(B_x_T=1e-3, detuning_MHz=50, ramp_ns=80)
        >>> quiet = gate.echoed(8, "concatenated")
        >>> quiet.n_pulses, round(quiet.duration_ns), bool(quiet.infidelity(10, -10) < 1e-3 < gate.infidelity(1, -1))
        (6, 1612, True)
        """
        n = whole("n", n, at_least=2, at_most=64)
        if choice("sequence", sequence, ("periodic", "concatenated")) == "periodic":
            if n % 2:
                raise InputError(f"n must be even, so that the X pulses cancel; got {n}")
            signs = (1, -1) * (n // 2)
        else:
            if n & (n - 1):
                raise InputError(f"n must be a power of 2 for a concatenated sequence; got {n}")
            signs = tuple(1 - 2 * (k.bit_count() % 2) for k in range(n))
        return _with_hold(replace(self, signs=signs))

    @limited_blas_threads(1)
    def populations(self, n_times: int = 201) -> xr.Dataset:
        """Return populations in time of a start in |01>, without echo and noise.

        Returns:
            Dataset on `time_ns` with `population` of the states `00`, `01`, `10`, `11` at rest and of `other` levels,
            which are there only while the drive is on.
        """
        times = np.linspace(0, 2 * self.ramp_ns + self.hold_ns, whole("n_times", n_times, at_least=2))
        levels, drive, start = _at_rest(self, *_zero())
        bunch, states = _BUNCHES[1]
        energies = levels[:, bunch] - levels[:, bunch].mean()
        idle = start[:, bunch, states]
        psi, found = idle[..., :1].astype(np.complex128), [[1.0, 0.0]]
        for t, after in pairwise(times):
            dt = (after - t) / 2
            for k in range(2):
                psi = self._step(energies, drive[:, bunch, bunch], psi, t + k * dt, dt)
            found.append((np.abs(np.swapaxes(idle, -1, -2) @ psi) ** 2).ravel().tolist())
        pair = np.array(found)
        zero = np.zeros(len(times))
        shares = np.stack([zero, *pair.T, zero, 1 - pair.sum(1)], -1)
        return xr.Dataset(
            {"population": (("time_ns", "state"), shares)},
            {"time_ns": times, "state": ["00", "01", "10", "11", "other"]},
        )

    def _amplitude_T(self, t_ns: ArrayLike) -> Array:
        """Return the drive at times within a segment."""
        edge = np.minimum(t_ns, 2 * self.ramp_ns + self.hold_ns - np.asarray(t_ns))
        return self.B_x_T * np.sin(np.pi / 2 * np.clip(edge / self.ramp_ns, 0, 1)) ** 2

    def _step(self, energies: Array, drive: Array, psi: Complex, t_ns: float, dt_ns: float) -> Complex:
        """Return amplitudes (..., d, k) a step later."""
        B_x = _WEIGHTS @ self._amplitude_T(t_ns + _NODES * dt_ns)
        for one in B_x:
            levels, vectors = np.linalg.eigh(_diagonal(energies) + one * drive)
            phases = np.exp(-1j * np.pi * dt_ns * levels)[..., None]
            psi = vectors @ (phases * (np.swapaxes(vectors, -1, -2) @ psi))
        return psi


def two_qubit_gate(
    pair: DonorPair | None = None, *, B_x_T: float = 3e-4, detuning_MHz: float = 30.0, ramp_ns: float = 150.0
) -> TwoQubitGate:
    """Return the gate of a pair, the hold time found so that it swaps by half.

    Args:
        pair: two equal donors; by default 300 nm apart, at a tunnel coupling of 5.694 GHz. The coupling is large with
            the tunnel coupling some 20 to 60 MHz above flip-flop frequency and dipole coupling.
        B_x_T: rotating amplitude of the drive, half of the linear one.
        detuning_MHz: how far the drive is below the electron's frequency.
        ramp_ns: length of a ramp, 20 to 2000; leakage is less with long ones.

    Raises:
        InputError: for donors that differ, a tunnel coupling far from the drive's frequency, drives for which the ramps
            alone swap by more than half or the coupling is below 0.1 kHz, and gates that err by 0.02 without noise.

    >>> gate = two_qubit_gate()
    >>> round(gate.duration_ns), round(gate.phi, 3), bool(gate.infidelity() < 1e-5)
    (2179, 0.256, True)
    """
    pair = DonorPair() if pair is None else pair
    if pair.a != pair.b:
        raise InputError(
            "the gate needs two equal donors, whose nuclei have one frequency; got donors that differ"
        )
    gate = TwoQubitGate(
        pair,
        one_number("ramp_ns", ramp_ns, at_least=20, at_most=2000),
        0.0,
        one_number("B_x_T", B_x_T, above=0, at_most=0.01),
        one_number("detuning_MHz", detuning_MHz, above=0, at_most=500),
    )
    g_dd, nu_B = pair.dipole_coupling_GHz, gate.nu_B_GHz
    if 3 * g_dd + 0.11 > nu_B / 4:
        raise InputError(
            f"the donors' dipoles couple by {1e3 * g_dd:.0f} MHz, too much for the gate in this field; "
            "increase distance_nm or B0_T"
        )
    if abs(pair.a.tunnel_coupling_GHz - nu_B) + 2 * g_dd > nu_B / 4:
        raise InputError(
            f"tunnel_coupling_GHz is {pair.a.tunnel_coupling_GHz:g}, too far from the electron's frequency for a gate "
            f"by dipoles; take about {nu_B + g_dd + 0.11:.2f}"
        )
    if abs(gate.exchange_kHz) < 0.1:
        raise InputError(
            f"the coupling is {gate.exchange_kHz:.2g} kHz, too small for a gate; increase B_x_T or reduce detuning_MHz"
        )
    found = _with_hold(gate)
    if found.hold_ns > _LONGEST_HOLD_NS:
        raise InputError(
            f"the exchange is only {gate.exchange_kHz:.2g} kHz, so that the gate would take"
            f" {1e-3 * found.hold_ns:.0f} µs; take a tunnel coupling of about {nu_B + g_dd + 0.11:.2f} GHz"
        )
    return found


def fsim(theta: float, phi: float) -> Complex:
    r"""Return $\mathrm{fSim}(\theta, \phi)$ on |00>, |01>, |10>, |11>.

    >>> bool(np.allclose(fsim(np.pi / 2, 0.0)[1, 2], -1j))
    True
    """
    swap = [[np.cos(theta), -1j * np.sin(theta)], [-1j * np.sin(theta), np.cos(theta)]]
    found = np.diag([1, 1, 1, np.exp(-1j * phi)])
    found[1:3, 1:3] = swap
    return found


def infidelities(
    gates: Sequence[TwoQubitGate], offset_a_V_per_m: ArrayLike = 0.0, offset_b_V_per_m: ArrayLike = 0.0
) -> Array:
    """Return the average infidelities of a gate and its echoes, (gates, ...), in the time of one of them.

    Args:
        gates: with equal pairs, ramps and drives.
        offset_a_V_per_m: constant error of the field at donor a.
        offset_b_V_per_m: that at donor b.

    Raises:
        InputError: for gates that differ in more than hold and signs.
    """
    found = _propagators(gates, offset_a_V_per_m, offset_b_V_per_m)
    return np.array([1 - average_gate_fidelity(M, gate.target) for gate, M in zip(gates, found, strict=True)])


def _zero() -> tuple[Array, Array]:
    return np.zeros(1), np.zeros(1)


def _diagonal(energies: Array) -> Array:
    return energies[..., None] * np.eye(energies.shape[-1])


def _at_rest(gate: TwoQubitGate, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return levels (n, 64) without drive in its frame, the drive per tesla between them, and the nuclear states."""
    pair = gate.pair
    E = pair.symmetric_field_V_per_m
    levels, vectors = np.linalg.eigh(pair.hamiltonian(E + a, E + b, frame_GHz=gate.nu_B_GHz).real)
    drive = np.swapaxes(vectors, -1, -2) @ pair.per_tesla[0].real @ vectors
    which, mixed = nearest(vectors, pair.products(E + a, E + b))
    start = np.zeros((*levels.shape, 4))
    np.put_along_axis(start, which[..., None], mixed, -2)
    return levels, drive, start


def _ramped(gate: TwoQubitGate, a: Array, b: Array) -> list[_Ramped]:
    """Return the nuclear states after the first ramp for offsets (n,), for each bunch."""
    levels, drive, start = _at_rest(gate, a, b)
    dt = gate.ramp_ns / _STEPS
    # A hold without end, so that only the first ramp counts.
    rising = replace(gate, hold_ns=np.inf)
    found = []
    for bunch, states in _BUNCHES:
        centre = levels[:, bunch].mean(-1, keepdims=True)
        energies, V = levels[:, bunch] - centre, drive[:, bunch, bunch]
        psi = start[:, bunch, states].astype(np.complex128)
        for k in range(_STEPS):
            psi = rising._step(energies, V, psi, k * dt, dt)
        held, vectors = np.linalg.eigh(_diagonal(energies) + gate.B_x_T * V)
        # The phase of the bunch's centre in the ramp comes apart from it.
        turned = np.exp(-2j * np.pi * centre * gate.ramp_ns)[..., None] * (np.swapaxes(vectors, -1, -2) @ psi)
        found.append(_Ramped(held + centre, turned))
    return found


def _segment(ramped: Sequence[_Ramped], hold_ns: ArrayLike) -> Complex:
    """Return ramp, hold and ramp between the nuclear states, (..., 4, 4).

    H is real and symmetric, so the ramp down is the transpose of the ramp up.
    """
    hold = np.asarray(hold_ns)
    shape = np.broadcast_shapes(hold.shape, ramped[0].levels_GHz.shape[:-1])
    found = np.zeros((*shape, 4, 4), dtype=np.complex128)
    for (levels, amplitudes), (_, states) in zip(ramped, _BUNCHES, strict=True):
        phases = np.exp(-2j * np.pi * levels * hold[..., None])
        block = np.swapaxes(amplitudes, -1, -2) @ (phases[..., None] * amplitudes)
        found[..., np.array(states)[:, None], states] = block
    return found


class _Fit(NamedTuple):
    """A gate without noise: rotations about z of a segment and of the whole, phi, and the gate with them."""

    each: Complex
    whole: Complex
    phi: Array
    gate: Complex


def _local(M: Complex, theta: float) -> tuple[Complex, Array]:
    """Return the phases (..., 4), before and after, that bring M closest to fSim(theta, phi), and phi."""
    kept, swapped = M[..., 1, 1] + M[..., 2, 2], 1j * (M[..., 1, 2] + M[..., 2, 1])
    # Of a negative coupling, Z of one qubit before and after turns the sign.
    sign = np.where((kept * swapped.conj()).real < 0, -1, 1)
    middle = np.cos(theta) * kept + sign * np.sin(theta) * swapped
    one = (np.angle(M[..., 0, 0]) - np.angle(middle)) / 2
    local = np.stack([np.ones_like(sign), np.ones_like(sign), sign, sign], -1)
    phases = np.exp(1j * one[..., None] * np.array([0, 1, 1, 2])) * local
    phi = np.angle(M[..., 0, 0]) - np.angle(M[..., 3, 3]) - 4 * one
    return phases, np.angle(np.exp(1j * phi))


def _joined(M: Complex, signs: Sequence[int]) -> Complex:
    """Return the product of equal segments (..., 4, 4), those of negative sign between X on both."""
    turned = M[..., ::-1, ::-1]
    total = np.eye(4, dtype=np.complex128)
    for sign in signs:
        total = (M if sign > 0 else turned) @ total
    return total


def _fit(M: Complex, signs: Sequence[int]) -> _Fit:
    each = _local(M, np.pi / 4 / len(signs))[0]
    total = _joined(each[..., :, None] * M * each[..., None, :], signs)
    whole_gate, phi = _local(total, np.pi / 4)
    return _Fit(each, whole_gate, phi, whole_gate[..., :, None] * total * whole_gate[..., None, :])


def _with_hold(gate: TwoQubitGate) -> TwoQubitGate:
    """Return the gate with the hold of least infidelity, in steps of 0.01 ns."""
    ramped = [_Ramped(levels[0], amplitudes[0]) for levels, amplitudes in _ramped(gate, *_zero())]
    wanted, signs = np.pi / 4 / len(gate.signs), gate.signs
    rate = 2e-6 * np.pi * abs(gate.exchange_kHz)

    def turned(hold: float) -> float:
        M = _segment(ramped, hold)
        return float(np.arctan2(np.abs(M[1, 2]), np.abs(M[1, 1])))

    hold = 0.0
    for _ in range(3):
        hold += (wanted - turned(hold)) / rate
        if hold < 0:
            raise InputError(
                f"ramps of {gate.ramp_ns:g} ns alone turn by more than the {wanted:.3g} rad of each of "
                f"{len(signs)} segments; take fewer segments, shorter ramps or a weaker drive"
            )
    near = np.maximum(np.round(hold, 2) + 0.01 * np.arange(-1000, 1001), 0.0)
    fit = _fit(_segment(ramped, near), signs)
    targets = np.array([fsim(np.pi / 4, phi) for phi in fit.phi])
    overlap = np.abs(np.einsum("nij,nij->n", targets.conj(), fit.gate)) ** 2
    errors = 1 - (overlap + (np.abs(fit.gate) ** 2).sum((-2, -1))) / 20
    best = int(np.argmin(errors))
    if errors[best] > _WORST:
        raise InputError(
            f"without noise the gate would err by {errors[best]:.2g}; take longer ramps, a weaker drive or one further "
            "from the electron's frequency, or a tunnel coupling further from the flip-flop frequency"
        )
    return replace(gate, hold_ns=float(np.round(near[best], 2)))


@limited_blas_threads(1)
def _propagators(gates: Sequence[TwoQubitGate], offset_a: ArrayLike, offset_b: ArrayLike) -> Complex:
    """Return the gates with their rotations about z, (gates, ..., 4, 4)."""
    first = gates[0]
    for one in gates:
        if replace(one, hold_ns=first.hold_ns, signs=first.signs) != first:
            raise InputError("gates must have the same pair, ramps and drive; got gates that differ in these")
    limits: Any = {"at_least": -_LARGEST_OFFSET_V_PER_M, "at_most": _LARGEST_OFFSET_V_PER_M}
    a, b = broadcast(
        offset_a_V_per_m=numbers("offset_a_V_per_m", offset_a, **limits),
        offset_b_V_per_m=numbers("offset_b_V_per_m", offset_b, **limits),
    )
    shape, a, b = a.shape, a.ravel(), b.ravel()
    found = np.empty((len(gates), a.size, 4, 4), dtype=np.complex128)
    for start in range(0, a.size, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        ramped = _ramped(first, a[some], b[some])
        for i, gate in enumerate(gates):
            fit = gate._without_noise
            M = fit.each[:, None] * _segment(ramped, gate.hold_ns) * fit.each
            found[i, some] = fit.whole[:, None] * _joined(M, gate.signs) * fit.whole
    return found.reshape(len(gates), *shape, 4, 4)
