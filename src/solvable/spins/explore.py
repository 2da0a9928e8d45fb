"""Content of the page (`page.py`), without marimo: a device, the nuclear spin's path under gates, and slow noise."""

import warnings
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import h

from solvable.lab.chart import Curve, LinearAxis, LogAxis, Mark, chart
from solvable.lab.text import readable
from solvable.spins.device import DonorDevice
from solvable.spins.gates import Gate, naive_x90, robust_x90
from solvable.spins.noise import NoiseCurve
from solvable.spins.pieces import PulsePieces, tilt
from solvable.spins.theory import dephasing_time

Array = NDArray[np.float64]
Fact = tuple[str, str, str]
Legend = tuple[tuple[str, str], ...]

COUPLINGS_GHz = (5.0, 5.5, 6.0, 6.5, *map(float, (7, 8, 9, 10, 12, 14, 17, 20, 25, 30, 40, 50, 70, 100)))
B0S_T = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
DEPTHS_nm = tuple(range(5, 31))
_KV = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20)
FIELDS_kV_per_m = (*(-one for one in reversed(_KV)), 0.0, *_KV)
"""Fields at the donor, measured from the ionisation point."""
NOISES_V_per_m = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200, 300)
"""Standard deviations of the noise on an idle qubit."""
OFFSETS_V_per_m = tuple(range(0, 525, 25))
"""Constant errors of the field during a gate."""
SIGMAS_V_per_m = (1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)
"""Standard deviations of the noise on a gate."""
GATES = {"robust": robust_x90, "naive": naive_x90}

_DEBYE = 3.33564e-30  # C m
# Below this many times their coupling, charge and flip-flop mix, and the states lose their names.
_CLOSE = 3.0
_BOUND = 1e-3
_CLASSES = {"robust": "first", "naive": "other"}


@dataclass(frozen=True)
class View:
    """Content of a part of the page: facts, a sentence, charts with their legends, code, and a warning or nothing."""

    facts: tuple[Fact, ...]
    sentence: str
    charts: tuple[tuple[str, Legend], ...]
    code: str
    warning: str = ""


def device_view(device: DonorDevice, E_kV_per_m: float, sigma_V_per_m: float) -> View:
    """Return what the page shows of a device: its frequencies, what noise does to them, and both against the field.

    Args:
        device: the donor.
        E_kV_per_m: field at the donor from the ionisation point, -100 to 100.
        sigma_V_per_m: standard deviation of slow charge noise, > 0.

    >>> device_view(DonorDevice(), 0.0, 100.0).facts[4]
    ('T2*', '0.42 µs', 'at 100 V/m of slow noise')
    """
    E = 1e3 * E_kV_per_m
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # the page has its own warning
        f_n, f_ff, f_esr = (float(one) for one in device.transitions(E).data_vars.values())
        slope = float(device.frequency_slope_kHz_per_V_per_m(E))
        dipole = abs(float(device.dipoles(E).electric_Debye[0, 2]))
    T2 = float(dephasing_time(slope, sigma_V_per_m))
    facts = (
        ("nuclear spin f_n", f"{f_n:.3f} MHz", "states 0 and 1, the qubit"),
        ("flip-flop f_ff", f"{f_ff:.2f} MHz", "states 0 and 2, the electric drive"),
        ("electron spin f_ESR", f"{f_esr:.2f} MHz", "states 1 and 2, the magnetic drive"),
        ("slope of f_n", f"{_signed(slope)} kHz per V/m", "by the field, exact"),
        ("T2*", _with_unit(T2, "µs", "ms"), f"at {readable(sigma_V_per_m)} V/m of slow noise"),
        (
            "electric dipole",
            f"{readable(dipole, 3)} debye",
            f"of the flip-flop: Rabi {readable(1e-3 * dipole * _DEBYE / h, 3)} MHz per kV/m",
        ),
    )
    fields, _, T2_at_1 = _idle(device)
    best = int(np.nanargmax(T2_at_1))
    moved = _with_unit(abs(slope) * sigma_V_per_m, "kHz", "MHz")
    sentence = f"{readable(sigma_V_per_m)} V/m of noise move f_n by ± {moved}. In this range T2* is longest, "
    sentence += f"{_with_unit(T2_at_1[best] / sigma_V_per_m, 'µs', 'ms')}, at {_signed(fields[best])} kV/m."
    code = f"""from solvable.spins import DonorDevice

device = DonorDevice(
    tunnel_coupling_GHz={device.tunnel_coupling_GHz:g},
    B0_T={device.B0_T:g}, depth_nm={device.depth_nm:g},
)
E_V_per_m = {E:g}
print(device.transitions(E_V_per_m))
print(device.dipoles(E_V_per_m))"""
    warning = (
        "Charge and flip-flop have nearly the same frequency here. Their states are mixed, so the names of"
    )
    warning += " the transitions mean little."
    mixed = float(device.distance_to_crossing(E)) < _CLOSE
    charts = _device_charts(device, E_kV_per_m, (f_n, T2), sigma_V_per_m)
    return View(facts, sentence, charts, code, warning if mixed else "")


@lru_cache(maxsize=256)
def _idle(device: DonorDevice) -> tuple[Array, Array, Array]:
    """Return fields in kV/m, f_n in MHz and T2* in µs with 1 V/m of noise; NaN where the states are mixed."""
    # Denser where the frequency changes.
    fields = 20 * np.sinh(np.linspace(-4, 4, 161)) / np.sinh(4)
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        f_n = device.transitions(1e3 * fields).f_n_MHz.to_numpy()
        T2 = dephasing_time(device.frequency_slope_kHz_per_V_per_m(1e3 * fields), 1.0)
    mixed = device.distance_to_crossing(1e3 * fields) < _CLOSE
    return fields, np.where(mixed, np.nan, f_n), np.where(mixed, np.nan, T2)


def _device_charts(
    device: DonorDevice, E_kV_per_m: float, here: tuple[float, float], sigma: float
) -> tuple[tuple[str, Legend], ...]:
    """Return f_n and T2* against the field as charts, with the values `here` at the field chosen."""
    fields, frequencies, T2_at_1 = _idle(device)
    along = LinearAxis("field from the ionisation point (kV/m)", -21.0, 21.0, 10.0)
    # The largest f_n, at 1 T, is 76 MHz: the axis stays the same for all devices.
    f_axis, T2_axis = (
        LinearAxis("f_n (MHz)", 0.0, 80.0, 20.0),
        LogAxis("T2* of the idle qubit (µs)", 1e-2, 1e5),
    )
    parts = (
        ("Nuclear frequency by field", f_axis, frequencies),
        (f"T2* by field, with {readable(sigma)} V/m of noise", T2_axis, T2_at_1 / sigma),
    )
    legend = ("", "exact, eight levels"), ("here", "your choice")
    return tuple(
        (chart(title, along, axis, [Curve(fields, values)], [Mark(E_kV_per_m, at, "here")]), legend)
        for (title, axis, values), at in zip(parts, here, strict=True)
    )


class Run(PulsePieces):
    """A gate at any constant error of the field up to 500 V/m: exact at 17 or more errors, interpolated between.

    Attributes:
        gate: the gate.
        curve: its infidelity and leakage.
    """

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate.device, gate.pulse, float(OFFSETS_V_per_m[-1]))
        self.gate = gate
        self.curve = NoiseCurve(gate, SIGMAS_V_per_m[-1], self)

    def paths(self, offset_V_per_m: ArrayLike) -> Array:
        r"""Return the Bloch vectors of the nuclear spin, which begins in the state 0, at the ends of all pieces.

        The states 0 and 1 are those at the field of the moment, its oscillating part included. The frame is that of
        $\nu_E - \nu_B$, turned by the virtual rotations, if the pulse is a whole number of periods of $\nu_E$ long.
        The vectors are not renormalised: their length is the probability of both states together.

        Args:
            offset_V_per_m: errors of the field, (n,), at most 500; the result is (n, n_pieces + 1, 3).
        """
        device, pulse = self.device, self.gate.pulse
        offset = np.asarray(offset_V_per_m, dtype=np.float64)
        pieces = self.at(offset)
        R = tilt(device, offset)
        state = (np.swapaxes(R, -1, -2) @ device.states(offset)[1][..., :1]).astype(np.complex128)
        states = [state]
        for piece in pieces:
            states.append(state := piece @ state)
        lab = R[:, None] @ np.stack(states, 1)
        t = np.linspace(0, pulse.duration_ns, self.n_pieces + 1)
        basis = device.states(offset[:, None] + pulse.total_field(t))[1][..., :2]
        a, b = np.moveaxis((np.swapaxes(basis, -1, -2) @ lab)[..., 0], -1, 0)
        coherence = a.conj() * b * np.exp(2j * np.pi * pulse.nu_E_GHz * t + 1j * self.gate.after)
        return np.stack([2 * coherence.real, 2 * coherence.imag, np.abs(a) ** 2 - np.abs(b) ** 2], -1)


@cache
def run(kind: str) -> Run:
    """Return a gate of `GATES`, computed once for all visitors, which takes some seconds."""
    return Run(GATES[kind]())


def gate_view(kind: str, offset_V_per_m: float) -> View:
    """Return what the page shows of a gate: paths on the Bloch sphere without an error of the field and with two.

    Args:
        kind: `robust` or `naive`.
        offset_V_per_m: error of the field x; the paths are those for -x, 0 and x.
    """
    one, x = run(kind), float(offset_V_per_m)
    offsets = np.array([-x, 0.0, x])
    infidelity, leakage = one.curve.infidelity(offsets), one.curve.leakage(offsets)
    facts = tuple(
        (f"infidelity at {_signed(at)} V/m", f"{error:.2g}", f"leakage {leak:.2g}")
        for at, error, leak in zip(offsets + 0.0, infidelity, leakage, strict=True)
    )
    paths = one.paths(offsets)
    sentence = f"The pulse takes {one.gate.duration_ns:.0f} ns. "
    if x > 0:
        apart = np.linalg.norm(paths[2, -1] - paths[0, -1])
        sentence += f"With errors of ± {readable(x)} V/m the paths end {apart:.2g} apart. "
    least = np.linalg.norm(paths[1], axis=-1).min()
    sentence += (
        f"On the way the probability of the states 0 and 1 falls to {least:.2f}; most of the rest is in "
    )
    sentence += "those with the electron's spin up, through which the drives take the nuclear spin."
    code = f"""from solvable.spins import {kind}_x90

gate = {kind}_x90()
print(gate.infidelity([{-x:g}, 0, {x:g}]))
gate.pulse.plot()"""
    legend = ("below", f"{_signed(-x)} V/m"), ("", "no error"), ("other", f"{_signed(x)} V/m")
    charts = (
        (_projection("Seen along x", paths, 1, 2), legend),
        (_projection("Seen from above", paths, 0, 1), legend),
        (_distances(paths, one.gate.duration_ns), (legend[0], legend[2])),
    )
    return View(facts, sentence, charts, code)


def _projection(title: str, paths: Array, across: int, up: int) -> str:
    """Return two components of three paths as a chart on which the sphere is round."""
    # The area of a chart is 354 wide and 226 high.
    x, y = LinearAxis("xyz"[across], -1.8, 1.8), LinearAxis("xyz"[up], -1.8 * 226 / 354, 1.8 * 226 / 354)
    angle = np.linspace(0, 2 * np.pi, 121)
    curves = [Curve(np.cos(angle), np.sin(angle), classes="zero")]
    marks = [Mark(0.0, paths[1, 0, up], "start")]
    for path, kind in ((paths[0], "below"), (paths[2], "other"), (paths[1], "first")):
        curves.append(Curve(path[:, across], path[:, up], classes=kind))
        marks.append(Mark(path[-1, across], path[-1, up], f"here {kind}"))
    return chart(title, x, y, curves, marks)


def _distances(paths: Array, duration_ns: float) -> str:
    """Return how far the paths with an error are from the one without, against time, as a chart."""
    t = np.linspace(0, duration_ns, paths.shape[1])
    distances = np.linalg.norm(paths[[0, 2]] - paths[1], axis=-1)
    return chart(
        "Distance from the path without error",
        LinearAxis.around("time (ns)", 0.0, duration_ns),
        LinearAxis.around("distance of the Bloch vectors", 0.0, max(float(distances.max()), 0.1)),
        [Curve(t, one, classes=kind) for one, kind in zip(distances, ("below", "other"), strict=True)],
    )


def noise_view(sigma_V_per_m: int) -> View:
    """Return what the page shows of slow noise: mean infidelities against its size, and those for constant errors.

    Args:
        sigma_V_per_m: standard deviation of the field from gate to gate, one of `SIGMAS_V_per_m`.
    """
    offsets, at_offsets, means = _noise_curves()
    here = {kind: one[:, SIGMAS_V_per_m.index(sigma_V_per_m)] for kind, one in means.items()}
    facts = [
        (kind, f"{infidelity:.2g}", f"mean infidelity, {leak:.2g} of it leakage")
        for kind, (infidelity, leak) in here.items()
    ]
    ratio = here["naive"][0] / here["robust"][0]
    facts.append(("ratio", f"{float(f'{ratio:.2g}'):g}", "naive to robust"))
    within = float(np.abs(offsets[at_offsets["robust"] >= _BOUND]).min())
    sentence = f"The robust pulse errs by less than {_BOUND:g} at constant errors below {within:.0f} V/m. Noise that "
    sentence += (
        "changes during the gate is another matter: if its spectrum is 1/f from 1 Hz to 10 MHz, the robust "
    )
    sentence += f"pulse reaches {_BOUND:g} at about 26 V/m."
    code = f"""from solvable.spins import (
    noise_sweep, robust_x90,
)

gate, sigma = robust_x90(), {sigma_V_per_m:g}
print(noise_sweep(gate, sigma))
print(noise_sweep(gate, sigma, "pink"))"""
    by_sigma = chart(
        "Slow noise",
        LogAxis("standard deviation of the field (V/m)", 0.9, 111.0),
        LogAxis("mean infidelity", 1e-5, 1.0),
        _against(SIGMAS_V_per_m, {kind: one[0] for kind, one in means.items()}),
        [Mark(sigma_V_per_m, here[kind][0], f"here {classes}") for kind, classes in _CLASSES.items()],
    )
    by_offset = chart(
        "Constant error of the field",
        LinearAxis("error of the field (V/m)", -500.0, 500.0, 250.0),
        LogAxis("infidelity", 1e-5, 1.0),
        _against(offsets, at_offsets),
        [Mark(sign * sigma_V_per_m, None, "sample") for sign in (-1, 1)],
    )
    legend = ("", "robust"), ("other", "naive"), ("bound", f"{_BOUND:g}")
    charts = (by_sigma, legend), (by_offset, (*legend, ("chosen", "± the noise")))
    return View(tuple(facts), sentence, charts, code)


def _against(x: ArrayLike, values: dict[str, Array]) -> list[Curve]:
    """Return curves of both gates, and a dashed line at the bound."""
    at_bound = np.full(np.shape(x), _BOUND)
    bound = Curve(x, at_bound, dashed=at_bound > 0, classes="zero")
    return [*(Curve(x, values[kind], classes=classes) for kind, classes in _CLASSES.items()), bound]


@cache
def _noise_curves() -> tuple[Array, dict[str, Array], dict[str, Array]]:
    """Return errors of the field, infidelities there, and mean infidelity and leakage at `SIGMAS_V_per_m` (2, n)."""
    offsets, curves = np.linspace(-500.0, 500.0, 401), {kind: run(kind).curve for kind in GATES}
    means = {kind: np.array(curve.means(SIGMAS_V_per_m)) for kind, curve in curves.items()}
    return offsets, {kind: curve.infidelity(offsets) for kind, curve in curves.items()}, means


def _signed(value: float) -> str:
    """Return a number with a typographic minus."""
    return readable(value).replace("-", "−")


def _with_unit(value: float, unit: str, thousands: str) -> str:
    """Return a number with a unit, or from 1000 on with the larger one."""
    return f"{readable(value / 1e3, 3)} {thousands}" if value >= 1e3 else f"{readable(value, 3)} {unit}"
