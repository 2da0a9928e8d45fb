r"""Single-qubit gates on the nuclear spin: a naive Raman pulse, robust pulses, and any gate made of two of these.

Both drives together take the nuclear spin through the electron's states: the electric one couples the states 0 and 2,
the magnetic one 2 and 1. Rotations about z are virtual. The gates are ours, after the idea of Simon et al. (2020),
whose recipes are not known to us.
"""

from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from solvable.checks import broadcast, choice, numbers, one_number
from solvable.errors import InputError
from solvable.spins.adiabatic import warn_if_too_fast
from solvable.spins.device import Complex, DonorDevice, field
from solvable.spins.fidelity import (
    X90,
    average_gate_fidelity,
    best_virtual_z,
    leakage,
    project,
    unitary,
    virtual_z,
)
from solvable.spins.optimise import Optimised, optimise_gate
from solvable.spins.propagation import propagator
from solvable.spins.pulses import Pulse
from solvable.spins.robust_pulses import SHIPPED
from solvable.spins.shapes import SineSeries, Weighted, Windowed
from solvable.spins.theory import flip_flop_drive_per_field, u3_angles

Array = NDArray[np.float64]

# Naive gate: linear magnetic amplitude 0.8 mT, electric 1000 V/m at 20 GHz, both 29 MHz below their resonances.
_NAIVE_B_X_T, _NAIVE_E_PER_GHZ, _NAIVE_DETUNING_GHZ = 0.4e-3, 50.0, 0.029
# Its edges: short against the gate, and long against the period of the charge, which a jump would excite.
_NAIVE_EDGE_NS = 2.0
_LARGEST_B0_ERROR_T = 0.01
# What a pulse for another device is optimised for.
_ERRORS: dict[str, dict[str, float]] = {
    "slow-noise": {},
    "amplitude": {"amplitude_error": 0.01},
    "fast-noise": {"sigma_V_per_m": 0.0, "pink_sigma_V_per_m": 50.0},
}


@dataclass(frozen=True, eq=False)
class Gate:
    """A pulse on a device, the gate it is meant to be, and the virtual rotations before and after.

    Attributes:
        name: a few words.
        device: the donor.
        pulse: controls.
        target: unitary (2, 2) on the nuclear spin, states 0 (up) and 1 (down).
        before: angle of the virtual rotation about z before the pulse in rad.
        after: that after it.
    """

    name: str
    device: DonorDevice
    pulse: Pulse
    target: Complex
    before: float = 0.0
    after: float = 0.0

    @property
    def duration_ns(self) -> float:
        """Length of the pulse."""
        return self.pulse.duration_ns

    def propagators(
        self,
        offset_V_per_m: ArrayLike = 0.0,
        amplitude_E: ArrayLike = 1.0,
        amplitude_B: ArrayLike = 1.0,
        B0_error_T: float = 0.0,
        *,
        rotating_wave: bool = True,
        step_ns: float | None = None,
    ) -> Complex:
        r"""Return what the gate does to the qubit, virtual rotations included, (..., 2, 2); exact for eight levels.

        Args:
            offset_V_per_m: constant error of the field at the donor.
            amplitude_E: factor of the electric drive, 1 without error.
            amplitude_B: factor of the magnetic drive.
            B0_error_T: error of the static magnetic field, at most 0.01; the drives keep their frequencies.
            rotating_wave: leave out the counter-rotating part of the magnetic drive.
            step_ns: step of the integration, as for `propagator`.
        """
        error = one_number(
            "B0_error_T", B0_error_T, at_least=-_LARGEST_B0_ERROR_T, at_most=_LARGEST_B0_ERROR_T
        )
        device = replace(self.device, B0_T=self.device.B0_T + error)
        offset, gain_E, gain_B = broadcast(
            offset_V_per_m=field(offset_V_per_m, "offset_V_per_m"),
            amplitude_E=numbers("amplitude_E", amplitude_E, at_least=-10, at_most=10),
            amplitude_B=numbers("amplitude_B", amplitude_B, at_least=-10, at_most=10),
        )
        options = {"rotating_wave": rotating_wave, "step_ns": step_ns}
        return virtual_z(self.before, self._bare(device, offset, gain_E, gain_B, options), self.after)

    def _bare(
        self,
        device: DonorDevice,
        offset: Array,
        gain_E: ArrayLike,
        gain_B: ArrayLike,
        options: dict[str, Any],
    ) -> Complex:
        """Return the projected propagators without virtual rotations."""
        U = propagator(device, self.pulse, offset, amplitude_E=gain_E, amplitude_B=gain_B, **options)
        begin, end = self.pulse.controls(np.array([0.0, self.duration_ns]))[:, 0]
        warn_if_too_fast(device, self.pulse)
        return project(device, U, offset + begin, offset + end)

    def infidelity(
        self,
        offset_V_per_m: ArrayLike = 0.0,
        amplitude_E: ArrayLike = 1.0,
        amplitude_B: ArrayLike = 1.0,
        B0_error_T: float = 0.0,
        **options: Any,
    ) -> Any:
        r"""Return the average gate infidelity, leakage counted as loss, for each offset and amplitude.

        Args:
            offset_V_per_m: as for `propagators`, as are all others.
            amplitude_E: factor of the electric drive.
            amplitude_B: factor of the magnetic drive.
            B0_error_T: error of the static magnetic field.
            **options: `rotating_wave` and `step_ns`.

        Returns:
            A number, or an array of the common shape of the arguments.

        >>> bool(robust_x90().infidelity(100.0) < 6e-5)
        True
        """
        M = self.propagators(offset_V_per_m, amplitude_E, amplitude_B, B0_error_T, **options)
        found = 1 - average_gate_fidelity(M, self.target)
        return float(found) if found.ndim == 0 else found

    def leakage(self, offset_V_per_m: ArrayLike = 0.0, **options: Any) -> Any:
        """Return the mean probability to end outside of the qubit, for each offset.

        Args:
            offset_V_per_m: constant error of the field.
            **options: as for `propagators`.
        """
        found = leakage(self.propagators(offset_V_per_m, **options))
        return float(found) if found.ndim == 0 else found


def one_pulse(gate: Any, purpose: str) -> None:
    """Raise unless a gate is a `Gate` that consists of its pulse alone, unlike the corrected sweep."""
    if type(gate) is not Gate and getattr(gate, "return_ns", 1) != 0:
        raise InputError(f"{purpose} needs a Gate that consists of one pulse; got a {type(gate).__name__}")


def calibrated(gate: Gate, sigma_V_per_m: float = 0.0) -> Gate:
    """Return the gate with the virtual rotations that are best on average over quasi-static noise, by default none."""
    x, weights = hermegauss(7 if sigma_V_per_m > 0 else 1)
    M = replace(gate, before=0.0, after=0.0).propagators(sigma_V_per_m * x)
    before, after = best_virtual_z(M, gate.target, weights / weights.sum())
    return replace(gate, before=before, after=after)


def naive_x90(device: DonorDevice | None = None) -> Gate:
    r"""Return X(π/2) by a rectangular Raman pulse at the ionisation point, with edges of 2 ns.

    The magnetic drive has $B_x$ = 0.4 mT (0.8 mT linear) and is 29 MHz below the electron's resonance; the electric
    one has 50 V/m per GHz of tunnel coupling and the frequency $\nu_E$ at which the two dressed qubit states come
    closest, where the transfer is complete. Their distance $\Delta$ gives the duration $1 / (4 \Delta)$.

    Args:
        device: the donor; by default the preset `robust`.

    >>> 0.05 < naive_x90().infidelity(100.0) < 0.2
    True
    """
    device = device or DonorDevice()
    _coupling(device)
    at_rest = device.transitions(0.0)
    nu_B = 1e-3 * float(at_rest.f_esr_MHz) - _NAIVE_DETUNING_GHZ
    near = nu_B + 1e-3 * float(at_rest.f_n_MHz)

    def pulse(nu_E: float, duration_ns: float, edge_ns: float = 0.0) -> Pulse:
        electric, magnetic = _NAIVE_E_PER_GHZ * device.tunnel_coupling_GHz, _NAIVE_B_X_T
        if edge_ns:
            electric, magnetic = (Windowed(one, edge_ns / duration_ns) for one in (electric, magnetic))
        return Pulse(duration_ns, E_c_V_per_m=electric, B_x_T=magnetic, nu_E_GHz=nu_E, nu_B_GHz=nu_B)

    qubit = device.states(0.0)[1][:, :2]

    def distance(nu_E: float) -> float:
        # In the frame of the drives the states 0 and 1 are resonant up to whole multiples of nu_E.
        values, vectors = np.linalg.eig(propagator(device, pulse(nu_E, 1 / nu_E)))
        a, b = np.argsort((np.abs(qubit.T @ vectors) ** 2).sum(0))[-2:]
        return float(abs(np.angle(values[a] / values[b])) / (2 * np.pi) * nu_E)

    bounds = (near - 5e-3, near + 5e-3)
    found: Any = minimize_scalar(distance, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    nu_E = float(found.x)
    periods = round(nu_E * (1 / (4 * distance(nu_E)) + _NAIVE_EDGE_NS))
    return calibrated(Gate("naive X90", device, pulse(nu_E, periods / nu_E, _NAIVE_EDGE_NS), X90))


def sine_pulse(device: DonorDevice, coefficients: ArrayLike, periods: int) -> Pulse:
    r"""Return a pulse of four sine series at the ionisation point, both drives on resonance.

    Args:
        device: the donor.
        coefficients: (K, 4): $E_c$, $E_s$ in V/m; $B_x$, $B_y$ in µT, rotating amplitudes.
        periods: length in periods of the electric drive, so that it ends with its phase of the beginning.
    """
    at_rest = device.transitions(0.0)
    c = np.asarray(coefficients, dtype=np.float64)
    E_c, E_s, B_x, B_y = (
        SineSeries(tuple(scale * c[:, i])) for i, scale in enumerate((1.0, 1.0, 1e-6, 1e-6))
    )
    nu_E = 1e-3 * float(at_rest.f_ff_MHz)
    return Pulse(
        periods / nu_E,
        E_c_V_per_m=E_c,
        E_s_V_per_m=E_s,
        B_x_T=B_x,
        B_y_T=B_y,
        nu_E_GHz=nu_E,
        nu_B_GHz=1e-3 * float(at_rest.f_esr_MHz),
    )


def robust_x90(
    device: DonorDevice | None = None,
    *,
    against: str = "slow-noise",
    start: Pulse | None = None,
    quiet: bool = True,
    **options: Any,
) -> Gate:
    """Return X(π/2) by a smooth pulse that charge noise hardly spoils.

    For the preset `robust` the pulse is shipped. For another device the shipped one is transferred and optimised again,
    which takes about half a minute, and two minutes against amplitude errors or fast noise; `optimise_gate` has more
    to say on how that went.

    Args:
        device: the donor; by default the preset `robust`.
        against: which errors the shipped pulse is for.

            - `slow-noise`: 1 µs; mean infidelity 3e-5 at 100 V/m of quasi-static noise, but 2e-3 to 4e-3 for drives
              that are off by 1 %.
            - `amplitude`: 1 µs; 2e-5 at 100 V/m, and 3e-5 for drives that are off by 1 %; more sensitive to 1/f noise.
            - `fast-noise`: 500 ns; 7e-4 at 50 V/m of 1/f noise up to 10 MHz, and 4e-4 at 100 V/m of quasi-static noise.
        start: a pulse of your own to optimise.
        quiet: show no progress.
        **options: of `optimise_gate`; with any of them the pulse is optimised.

    >>> gate = robust_x90()
    >>> bool(gate.infidelity() < 6e-5), round(gate.duration_ns, 3)
    (True, 999.616)
    """
    device = device or DonorDevice()
    choice("against", against, SHIPPED)
    known = [name for name in signature(optimise_gate).parameters if name not in ("device", "start", "quiet")]
    for name in options:
        choice("option", name, known)
    gate = transferred_x90(device, against)
    if start is None and not options and device == DonorDevice():
        return gate
    return optimised_gate(device, start=start or gate.pulse, quiet=quiet, **_ERRORS[against] | options)[0]


def optimised_gate(device: DonorDevice, **options: Any) -> tuple[Gate, Optimised]:
    """Return the gate that `optimise_gate` finds, and what it reports.

    Args:
        device: the donor.
        **options: of `optimise_gate`; by default the largest electric amplitude is 1600 V/m scaled to the device.
    """
    options = {"largest_E_V_per_m": 1600 * _electric_scale(device)} | options
    found = optimise_gate(device, **options)
    return Gate("an optimised pulse", device, found.pulse, found.target, found.before, found.after), found


def transferred_x90(device: DonorDevice, against: str = "slow-noise") -> Gate:
    r"""Return the robust pulse on another device: same rotations, by other amplitudes and frequencies.

    The electric amplitudes are scaled by the coupling of flip-flop and field, the magnetic ones by the electron's
    gyromagnetic ratio, and the virtual rotations are those that are best without noise. Near $V_t = 3 f_{ff}$ three
    photons of the electric drive excite the charge, and the pulse fails.

    Args:
        device: the donor.
        against: as for `robust_x90`.

    >>> gate = transferred_x90(DonorDevice(tunnel_coupling_GHz=40))
    >>> bool(gate.infidelity(100.0) < 1e-4)
    True
    """
    default, shipped = DonorDevice(), SHIPPED[choice("against", against, SHIPPED)]
    name = "robust X90" if against == "slow-noise" else f"robust X90 ({against})"
    if device == default:
        pulse = sine_pulse(device, shipped.coefficients, shipped.periods)
        return Gate(name, device, pulse, X90, shipped.before, shipped.after)
    E, B = _electric_scale(device), default.gamma_e_GHz_per_T / device.gamma_e_GHz_per_T
    old, new = (float(one.transitions(0.0).f_ff_MHz) for one in (default, device))
    pulse = sine_pulse(
        device, np.array(shipped.coefficients) * (E, E, B, B), round(shipped.periods * new / old)
    )
    return calibrated(Gate(name, device, pulse, X90))


def _electric_scale(device: DonorDevice) -> float:
    """Electric amplitude that drives the flip-flop as strongly as 1 V/m does on the default device."""
    return _coupling(DonorDevice()) / _coupling(device)


def _coupling(device: DonorDevice) -> float:
    """Coupling of the electric drive to the flip-flop at the ionisation point."""
    if device.hyperfine_MHz == 0:
        raise InputError(
            "hyperfine_MHz is 0, and without it no drive turns the nuclear spin; it is 117 for P in Si"
        )
    f_ff = 1e-3 * float(device.transitions(0.0).f_ff_MHz)
    per_field = flip_flop_drive_per_field(
        device.hyperfine_MHz, device.tunnel_coupling_GHz, f_ff, device.depth_nm
    )
    return abs(float(per_field))


X90_GATES = ("robust", "naive", "amplitude", "fast-noise")
"""Names of `x90_gate`."""


def x90_gate(name: str, device: DonorDevice | None = None) -> Gate:
    """Return an X(π/2) by name: robust (against slow noise), naive, or a robust one against another kind of error.

    On other devices than the preset `robust` the pulses are transferred, not optimised.
    """
    device = device or DonorDevice()
    if choice("gate", name, X90_GATES) == "naive":
        return naive_x90(device)
    return transferred_x90(device, "slow-noise" if name == "robust" else name)


def robust_gate(target: ArrayLike, x90: Gate | None = None) -> Gate:
    r"""Return any single-qubit gate as two X(π/2) with virtual rotations about z.

    $U = R_z(\phi + \pi)\, X_{90}\, R_z(\theta + \pi)\, X_{90}\, R_z(\lambda)$ up to a phase. The rotation between the
    pulses turns the phase of the second pulse's electric drive.

    Args:
        target: unitary (2, 2).
        x90: the gate that is used twice; by default `robust_x90()`.

    Raises:
        InputError: if the target is not unitary.

    >>> hadamard = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    >>> bool(robust_gate(hadamard).infidelity(100.0) < 2e-4)
    True
    """
    U = unitary(target)
    x90 = x90 or robust_x90()
    one_pulse(x90, "a gate of two pulses")
    theta, phi, lam = map(float, u3_angles(U))
    angle = x90.after + theta + np.pi + x90.before
    # The second pulse is to begin with the phase of the first: the drive has gone on meanwhile.
    gone_on = 2 * np.pi * x90.pulse.nu_E_GHz * x90.duration_ns
    pulse = x90.pulse + _turned(x90.pulse, angle - gone_on)
    before, after = np.angle(
        np.exp(1j * np.array([x90.before + lam, angle + x90.after + phi + np.pi]))
    ).tolist()
    return Gate(f"two {x90.name}", x90.device, pulse, U, before, after)


def _turned(pulse: Pulse, angle: float) -> Pulse:
    """Return the pulse with the phase of its electric drive turned, which is a rotation about z before and after."""
    E_c, E_s = pulse.E_c_V_per_m, pulse.E_s_V_per_m
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return replace(
        pulse, E_c_V_per_m=Weighted((E_c, E_s), (cos, sin)), E_s_V_per_m=Weighted((E_c, E_s), (-sin, cos))
    )
