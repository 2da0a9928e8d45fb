r"""Exact propagators of the eight levels, for many fields at once.

A pulse is cut into steps of about 0.02 ns. In a step the electric field and the static Hamiltonian, which both conserve
$S_z + I_z$ (sectors of 2, 2 and 4 levels), are alternated by the symmetric splitting of order six of Blanes and Moan
(J. Comput. Appl. Math. 142, 313 (2002)), so that the drive at several GHz and all jumps of the charge are resolved. The
magnetic drive, which turns both spins and nothing else, acts between the steps, by its own Magnus expansion of order
four. All steps are computed side by side and multiplied in pairs.

$U = \exp(-2 \pi i H t)$ with $H$ in GHz and $t$ in ns, in the frame that turns at $\nu_B$.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import broadcast, numbers, one_number
from solvable.errors import InputError
from solvable.machine import limited_blas_threads
from solvable.spins.device import OPERATORS, DonorDevice, field
from solvable.spins.pulses import Pulse

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

# Splitting of order 6 with 10 stages: weights of the static part and of the field, from the beginning to the middle.
_STATIC = (0.148816447901042, -0.132385865767784, 0.067307604692185, 0.432666402578175)
_FIELD = (0.0502627644003922, 0.413514300428344, 0.0450798897943977, -0.188054853819569, 0.541960678450780)
_A = np.array([*_STATIC, 0.5 - sum(_STATIC), 0.5 - sum(_STATIC), *_STATIC[::-1]])
_B = np.array([*_FIELD, 1 - 2 * sum(_FIELD), *_FIELD[::-1]])

# Levels with equal S_z + I_z, charge at the interface first: up up, down down, and up down with down up.
_SECTORS = (np.array([0, 4]), np.array([3, 7]), np.array([1, 2, 5, 6]))

STEPS_PER_PERIOD = 6
_STEPS_PER_MAGNETIC_PERIOD = 8
_LONGEST_STEP_NS = 0.03
_SPLITTINGS, _QUANTA = 1.5, 3.0
# Matrices per chunk: arrays of this size stay in the cache.
_CHUNK = 4096
# Change of the slow field within a chunk.
_SAME_FIELD_V_PER_M = 50.0


def propagator(
    device: DonorDevice,
    pulse: Pulse,
    offset_V_per_m: ArrayLike = 0.0,
    *,
    amplitude_E: ArrayLike = 1.0,
    amplitude_B: ArrayLike = 1.0,
    rotating_wave: bool = True,
    step_ns: float | None = None,
) -> Complex:
    r"""Return $U$ of a whole pulse in the frame $\nu_B$, for each offset of the field.

    Args:
        device: the donor.
        pulse: controls.
        offset_V_per_m: constant error of the field at the donor.
        amplitude_E: factor of the electric drive.
        amplitude_B: factor of the magnetic drive.
        rotating_wave: leave out the counter-rotating part of the magnetic drive; if False, the drive is the linear
            field $2 (B_x \cos 2 \pi \nu_B t - B_y \sin 2 \pi \nu_B t)$ along x.
        step_ns: length of a step; by default at most 0.03, and shorter for fast drives and charges. The error of the
            infidelity is then below 1e-6 for smooth pulses of 1 µs.

    Returns:
        The common shape of offset and amplitudes + (8, 8).

    >>> U = propagator(DonorDevice(), Pulse(10.0, E_V_per_m=100.0))
    >>> bool(abs(U @ U.conj().T - np.eye(8)).max() < 1e-11)
    True
    """
    blocks = block_propagators(
        device,
        pulse,
        offset_V_per_m,
        n_blocks=1,
        amplitude_E=amplitude_E,
        amplitude_B=amplitude_B,
        rotating_wave=rotating_wave,
        step_ns=step_ns,
    )
    return blocks[..., 0, :, :]


def block_propagators(
    device: DonorDevice,
    pulse: Pulse,
    offset_V_per_m: ArrayLike = 0.0,
    *,
    n_blocks: int,
    amplitude_E: ArrayLike = 1.0,
    amplitude_B: ArrayLike = 1.0,
    noise_V_per_m: ArrayLike | None = None,
    rotating_wave: bool = True,
    step_ns: float | None = None,
) -> Complex:
    r"""Return $U$ of equal pieces of a pulse, (..., n_blocks, 8, 8); the first piece comes first in time.

    Args:
        device: as for `propagator`.
        pulse: as for `propagator`.
        offset_V_per_m: as for `propagator`.
        n_blocks: number of pieces.
        amplitude_E: as for `propagator`.
        amplitude_B: as for `propagator`.
        noise_V_per_m: error of the field in time, (..., n_times) at equal distances from beginning to end of the pulse,
            straight between; added to `offset_V_per_m`.
        rotating_wave: as for `propagator`.
        step_ns: as for `propagator`.
    """
    offset, gain_E, gain_B = broadcast(
        offset_V_per_m=field(offset_V_per_m, "offset_V_per_m"),
        amplitude_E=numbers("amplitude_E", amplitude_E),
        amplitude_B=numbers("amplitude_B", amplitude_B),
    )
    noise = None if noise_V_per_m is None else field(noise_V_per_m, "noise_V_per_m")
    if noise is not None:
        if noise.ndim == 0 or noise.shape[-1] < 2:
            raise InputError(f"noise_V_per_m must have 2 or more times; got an array of shape {noise.shape}")
        shape = np.broadcast_shapes(offset.shape, noise.shape[:-1])
        offset, gain_E, gain_B = (np.broadcast_to(one, shape) for one in (offset, gain_E, gain_B))
        noise = np.broadcast_to(noise, (*shape, noise.shape[-1])).reshape(-1, noise.shape[-1])
    if step_ns is not None:
        one_number("step_ns", step_ns, above=0)
    shape = offset.shape
    offset, gain_E, gain_B = offset.ravel(), gain_E.ravel(), gain_B.ravel()
    if pulse.duration_ns == 0:
        return np.broadcast_to(np.eye(8, dtype=np.complex128), (*shape, n_blocks, 8, 8)).copy()
    errors = _Errors(offset, gain_E, gain_B, noise)
    found = np.broadcast_to(np.eye(8, dtype=np.complex128), (offset.size, n_blocks, 8, 8)).copy()
    length = pulse.duration_ns / n_blocks
    # Steps end where pieces of the pulse were joined and controls may jump.
    for begin, end in pairwise([0.0, *pulse.joints_ns, pulse.duration_ns]):
        first, last = begin / length, end / length
        whole = range(int(np.ceil(first - 1e-9)), int(np.floor(last + 1e-9)))
        if not whole:
            cuts = sorted({first, *(k for k in range(int(first) + 1, n_blocks) if k < last), last})
            runs = [(left, right, 1) for left, right in pairwise(cuts)]
        else:
            runs = [(first, whole[0], 1), (whole[0], whole[-1] + 1, len(whole)), (whole[-1] + 1, last, 1)]
        for left, right, n in runs:
            if right - left < 1e-9:
                continue
            with limited_blas_threads(1):  # threads only wait for each other over such small matrices
                part = _equal_parts(
                    device, pulse, errors, rotating_wave, left * length, right * length, n, step_ns
                )
            blocks = slice(int(left + 1e-9), int(left + 1e-9) + n)
            found[:, blocks] = part @ found[:, blocks]
    return found.reshape(*shape, n_blocks, 8, 8)


class _Errors(NamedTuple):
    """Errors to propagate side by side, flat; noise (errors, times) or None."""

    offset: Array
    gain_E: Array
    gain_B: Array
    noise: Array | None

    @property
    def constant(self) -> Array:
        """The part of the field's error that does not change."""
        return self.offset if self.noise is None else self.offset + self.noise.mean(-1)


def _equal_parts(
    device: DonorDevice,
    pulse: Pulse,
    errors: _Errors,
    rotating_wave: bool,
    begin: float,
    end: float,
    n: int,
    step_ns: float | None,
) -> Complex:
    """Return the propagators of n equal parts of a stretch of a pulse in which nothing jumps, (offsets, n, 8, 8)."""
    n_looked_at = int(np.clip((end - begin) / pulse.duration_ns * 1001, 17, 1001))
    inside = pulse.inside(np.linspace(begin, end, n_looked_at), begin, end)[:, 0]
    if step_ns is None:
        largest = float(np.abs(inside).max() + np.abs(errors.constant).max())
        splitting = float(np.hypot(device.tunnel_coupling_GHz, device.detuning_GHz_per_V_per_m * largest))
        # Steps repeat at 1 / step; less a few quanta of the drive, that must not come down to the charge's frequency.
        fastest = _SPLITTINGS * splitting + _QUANTA * pulse.nu_E_GHz
        step_ns = min(_LONGEST_STEP_NS, 1 / fastest, 1 / (STEPS_PER_PERIOD * max(pulse.nu_E_GHz, 1e-3)))
        if pulse.nu_B_GHz and not rotating_wave:
            step_ns = min(step_ns, 1 / (_STEPS_PER_MAGNETIC_PERIOD * pulse.nu_B_GHz))
    per_part = int(np.ceil((end - begin) / n / step_ns))
    stepper = _Stepper(device, pulse, errors, rotating_wave, begin, end, n * per_part)
    found = np.empty((errors.offset.size, n, 8, 8), dtype=np.complex128)
    change = (
        float(np.abs(np.diff(inside)).max()) * (n_looked_at - 1) / stepper.n_steps
    )  # of the slow field in a step
    at_once = max(_CHUNK // errors.offset.size, 1)
    if change > 0:
        at_once = max(min(at_once, int(_SAME_FIELD_V_PER_M / change)), 1)
    together = max(at_once // per_part, 1)
    for first in range(0, n, together):
        last = min(first + together, n)
        if per_part <= at_once:
            steps = stepper.steps(first * per_part, last * per_part)
            found[:, first:last] = product(steps.reshape(errors.offset.size, last - first, per_part, 8, 8))
            continue
        stop = last * per_part
        chunks = range(first * per_part, stop, at_once)
        parts = [product(stepper.steps(start, min(start + at_once, stop))) for start in chunks]
        found[:, first] = product(np.stack(parts, axis=1))
    if stepper.magnetic:
        found[:, -1] = _turned(stepper.kicks(stepper.n_steps, stepper.n_steps + 1)[:, 0], found[:, -1])
    return found


def product(matrices: Complex) -> Complex:
    """Return the product of (..., n, d, d) along n, the last one leftmost, multiplied in pairs."""
    while (n := matrices.shape[-3]) > 1:
        pairs = matrices[..., 1::2, :, :] @ matrices[..., : n - 1 : 2, :, :]
        matrices = pairs if n % 2 == 0 else np.concatenate([pairs, matrices[..., -1:, :, :]], axis=-3)
    return matrices[..., 0, :, :]


class _Stepper:
    """Propagators of single steps, (offsets, steps, 8, 8)."""

    def __init__(
        self,
        device: DonorDevice,
        pulse: Pulse,
        errors: _Errors,
        rotating_wave: bool,
        begin: float,
        end: float,
        n_steps: int,
    ) -> None:
        self.device, self.pulse, self.noise = device, pulse, errors.noise
        self.offset, self.gain_E = errors.offset[:, None, None], errors.gain_E[:, None, None]
        self.constant = errors.constant[:, None, None]
        gains = errors.gain_B
        self.gain_B = gains[:1] if (gains == gains[0]).all() else gains
        self.rotating_wave, self.n_steps = rotating_wave, n_steps
        self.electric, self.magnetic = pulse.drives
        self.begin, self.end = begin, end
        self.dt = (end - begin) / n_steps
        self.frame = pulse.nu_B_GHz * (OPERATORS.S_z + OPERATORS.I_z)

    def controls(self, t: NDArray[Any]) -> Array:
        """Return the controls of the stretch."""
        return self.pulse.inside(t, self.begin, self.end)

    def steps(self, start: int, stop: int) -> Complex:
        """Return the propagators of a range of steps."""
        E = self._fields(start, stop)  # (offsets, steps, stages)
        n_offsets, n = E.shape[:2]
        # The slow field and constant errors are part of what is exact, so that only small fields are split off.
        slow = float(self.controls(np.array([self.begin + (start + stop) / 2 * self.dt]))[0, 0])
        reference = slow + self.constant  # (offsets, 1, 1)
        H = self.device.static - self.frame + reference * self.device.per_field
        weights = np.pi * self.device.detuning_GHz_per_V_per_m * self.dt * _B
        angles = np.moveaxis((E - reference) * weights, -1, 0).copy()  # (stages, offsets, steps)
        phases = np.empty(angles.shape, dtype=np.complex128)  # of the charge at the interface
        np.cos(angles, out=phases.real)
        np.sin(angles, out=phases.imag)
        found = np.zeros((n_offsets, n, 8, 8), dtype=np.complex128)
        for sector in _SECTORS:
            levels, vectors = np.linalg.eigh(H[:, sector[:, None], sector])
            turns = np.exp(-2j * np.pi * self.dt * _A[:5, None, None] * levels)  # (stages, offsets, levels)
            static = (vectors * turns[..., None, :]) @ np.swapaxes(vectors.conj(), -1, -2)
            found[..., sector[:, None], sector] = _sector(static, phases)
        if self.magnetic:
            kicks = self.kicks(start, stop)
            found = (found.reshape(n_offsets, n, 16, 4) @ kicks).reshape(n_offsets, n, 8, 8)
        return found

    def _fields(self, start: int, stop: int) -> Array:
        """Return the field at the stages of each step in V/m, (offsets, steps, stages)."""
        c = np.concatenate([[0.0], np.cumsum(_A)])
        t = self.begin + np.arange(start, stop)[:, None] * self.dt + c * self.dt
        half = self.controls(self.begin + np.arange(2.0 * start, 2.0 * stop + 1.0) * (self.dt / 2))
        # The envelopes are slow: parabolas through beginning, middle and end of a step.
        parabolas = np.stack([(1 - c) * (1 - 2 * c), 4 * c * (1 - c), c * (2 * c - 1)])
        ends = np.stack([half[:-2:2], half[1:-1:2], half[2::2]], -1)  # (steps, controls, 3)
        slow, along, across = np.moveaxis(ends[:, :3] @ parabolas, 1, 0)
        E = slow + self.offset
        if self.electric:
            phase = 2 * np.pi * self.pulse.nu_E_GHz * t
            E = E + self.gain_E * (along * np.cos(phase) + across * np.sin(phase))
        if self.noise is not None:
            times = np.linspace(0, self.pulse.duration_ns, self.noise.shape[-1])
            E = E + np.stack([np.interp(t, times, one) for one in self.noise])
        return E

    def kicks(self, start: int, stop: int) -> Complex:
        """Return the rotations of both spins at the beginnings of steps, (offsets or 1, steps, 4, 4).

        Each is that of the magnetic drive from half a step before to half a step after.
        """
        k = np.arange(start, stop)
        begin = np.maximum(k - 0.5, 0) * self.dt
        length = np.minimum(k + 0.5, self.n_steps) * self.dt - begin
        nodes = self.begin + begin[:, None] + length[:, None] * (0.5 + np.array([-1, 1]) / np.sqrt(12))
        B_x, B_y = np.moveaxis(self.controls(nodes)[..., 3:], -1, 0)
        if not self.rotating_wave:
            phase = 2 * np.pi * self.pulse.nu_B_GHz * nodes
            linear = 2 * (B_x * np.cos(phase) - B_y * np.sin(phase))
            B_x, B_y = linear * np.cos(phase), -linear * np.sin(phase)
        B = self.gain_B[:, None, None, None] * np.stack(
            [B_x, B_y, np.zeros_like(B_x)], -1
        )  # (., steps, 2, xyz)
        rotations = []
        for gamma in (self.device.gamma_e_GHz_per_T, -1e-3 * self.device.gamma_n_MHz_per_T):
            first, second = np.moveaxis(2 * np.pi * gamma * B, -2, 0)
            h = length[:, None]
            rotations.append(
                _rotation(h / 2 * (first + second) - np.sqrt(3) / 12 * h**2 * np.cross(first, second))
            )
        electron, nucleus = rotations
        joint = electron[..., :, None, :, None] * nucleus[..., None, :, None, :]
        return joint.reshape(*joint.shape[:-4], 4, 4)


def _sector(static: Complex, phases: Complex) -> Complex:
    """Return the propagators (offsets, steps, d, d) of a sector.

    Args:
        static: its static parts (5, offsets, d, d).
        phases: those of the field (11, offsets, steps).
    """
    d, (n_offsets, n) = static.shape[-1], phases.shape[1:]
    half = d // 2
    found = np.zeros((n_offsets, d, d, n), dtype=np.complex128)
    for i in range(d):
        found[:, i, i] = phases[0] if i < half else phases[0].conj()
    for j in range(10):
        moved = static[j if j < 5 else 9 - j] @ found.reshape(n_offsets, d, d * n)
        found = moved.reshape(n_offsets, d, d, n)
        found[:, :half] *= phases[j + 1][:, None, None]
        found[:, half:] *= phases[j + 1][:, None, None].conj()
    return np.moveaxis(found, -1, 1)


def _rotation(angles: Array) -> Complex:
    """Return $\\exp(-i a \\cdot \\sigma / 2)$ of vectors (..., 3) as (..., 2, 2)."""
    size = np.linalg.norm(angles, axis=-1)
    cos, sinc = np.cos(size / 2), np.sinc(size / (2 * np.pi)) / 2
    x, y, z = np.moveaxis(angles * sinc[..., None], -1, 0)
    return np.stack(
        [np.stack([cos - 1j * z, -1j * x - y], -1), np.stack([-1j * x + y, cos + 1j * z], -1)], -2
    )


def _turned(kicks: Complex, matrices: Complex) -> Complex:
    """Return rotations of both spins (..., 4, 4) times matrices (..., 8, 8)."""
    shape = matrices.shape
    return (kicks[..., None, :, :] @ matrices.reshape(*shape[:-2], 2, 4, 8)).reshape(shape)
