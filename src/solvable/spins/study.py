r"""The study `spins`: robust gates next to naive ones, under slow charge noise.

- `transition_MHz`: the three transitions of the device against the field, by the Schrieffer-Wolff transformation of
  order two, against the exact levels.
- `infidelity`: of the naive and the robust X(π/2), averaged over noise by quadrature, against random offsets.
- `infidelity_at_offset`: of the same gates at a few offsets, interpolated, against exact propagation in finer steps.
- `sweep_infidelity`: the same of the long sweep, alone and corrected, on the preset `sweep`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from solvable.checks import choice
from solvable.lab import Comparison, Section, Study, Table, Verdict, check_parameters
from solvable.lab.text import readable
from solvable.spins.device import PAPER, DonorDevice
from solvable.spins.fidelity import X180
from solvable.spins.gates import X90_GATES, Gate, robust_gate, x90_gate
from solvable.spins.noise import NoiseCurve
from solvable.spins.sweep import SweepCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

TRANSITIONS = ("f_n_MHz", "f_ff_MHz", "f_esr_MHz")
_HADAMARD = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
_SWEEP_SIGMAS = (10.0, 30.0, 100.0)
_MOST_OFFSET = 400.0
_FINE_STEP_NS = 0.015


@dataclass(frozen=True)
class Parameters:
    """The device and the noise."""

    tunnel_coupling_GHz: float = 20.0
    """Tunnel coupling of donor and interface in GHz."""

    B0_T: float = 0.2
    """Static magnetic field in T."""

    depth_nm: float = 15.0
    """Distance of donor and interface in nm."""

    gates: tuple[str, ...] = ("naive", "robust")
    """X(π/2) gates to compare: naive, robust (against slow noise), amplitude or fast-noise (against these)."""

    sigma_V_per_m: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
    """Standard deviations of the field at the donor in V/m."""

    n_samples: int = 10_000
    """Number of random offsets of the field per trial."""

    n_targets: int = 5
    """Number of single-qubit gates in the report's table: X(π), Hadamard, then random ones."""

    without_sweeps: bool = False
    """Leave out the long sweep, which takes most of the time."""

    trials: int = 4
    """Number of repetitions with other random offsets."""

    random_state: int = 0
    """Seed."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"n_samples": 10, "n_targets": 0, "trials": 1},
            above={"sigma_V_per_m": 0},
            at_most={"sigma_V_per_m": 300, "n_samples": 1_000_000, "n_targets": 20},
        )
        for gate in self.gates:
            choice("gates", gate, X90_GATES)
        self.device  # noqa: B018, with checks of its own

    @property
    def device(self) -> DonorDevice:
        """The donor."""
        return DonorDevice(
            tunnel_coupling_GHz=self.tunnel_coupling_GHz, B0_T=self.B0_T, depth_nm=self.depth_nm
        )


@dataclass(frozen=True, eq=False)
class Setting:
    """The gates with their exact infidelities against the offset.

    Attributes:
        gates: by name.
        curves: their infidelities against the offset.
        sweep: the long sweep, or None.
        notes: for the report.
    """

    gates: dict[str, Gate]
    curves: dict[str, NoiseCurve]
    sweep: SweepCurve | None
    notes: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Nothing beyond the parameters matters."""
        return "spins"


def prepare(parameters: Parameters) -> Setting:
    """Compute the gates' infidelities at the nodes of their curves."""
    gates = {name: x90_gate(name, parameters.device) for name in parameters.gates}
    largest = max(parameters.sigma_V_per_m)
    notes = ["all gates are ours, after the idea of the paper, of which only the abstract was used"]
    if parameters.device != DonorDevice():
        notes.append(
            "the robust pulses are those for 20 GHz, 0.2 T and 15 nm with other electric amplitudes; "
            "solvable spins gate --optimise makes one for this device"
        )
    sweep = None if parameters.without_sweeps else SweepCurve()
    curves = {name: NoiseCurve(gate, largest) for name, gate in gates.items()}
    return Setting(gates, curves, sweep, tuple(notes))


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return transitions by perturbation theory and infidelities by quadrature."""
    device = parameters.device
    E = _fields()
    # Finer than what is measured, for smooth lines.
    sigma = np.array(parameters.sigma_V_per_m)
    sigma = np.union1d(sigma, np.geomspace(sigma.min(), sigma.max(), 30))
    offsets = np.union1d(np.linspace(-1, 1, 81) * _widest(parameters), _checked_offsets(parameters))
    found = xr.Dataset(
        {
            "transition_MHz": (("transition", "E_V_per_m"), _perturbative(device, E)),
            "infidelity": (
                ("gate", "sigma_V_per_m"),
                [curve.means(sigma)[0] for curve in setting.curves.values()],
            ),
            "leakage": (
                ("gate", "sigma_V_per_m"),
                [curve.means(sigma)[1] for curve in setting.curves.values()],
            ),
            "infidelity_at_offset": (
                ("gate", "offset_V_per_m"),
                [curve.infidelity(offsets) for curve in setting.curves.values()],
            ),
        },
        {
            "transition": list(TRANSITIONS),
            "E_V_per_m": E,
            "gate": list(parameters.gates),
            "sigma_V_per_m": sigma,
            "offset_V_per_m": offsets,
        },
    )
    last = setting.gates[parameters.gates[-1]].pulse
    t = np.linspace(0, last.duration_ns, 501)
    found["controls"] = (("t_ns", "control"), last.controls(t)[:, 1:])
    found = found.assign_coords(t_ns=t)
    if setting.sweep is not None:
        found["sweep_infidelity"] = (
            _SWEEP_DIMS,
            [setting.sweep.mean_infidelities(one) for one in _SWEEP_SIGMAS],
        )
        found = found.assign_coords(_SWEEP_COORDS)
    return found


_SWEEP_DIMS = ("sweep_sigma_V_per_m", "sweep")
_SWEEP_COORDS = {"sweep": ["alone", "corrected"], "sweep_sigma_V_per_m": list(_SWEEP_SIGMAS)}


def _widest(parameters: Parameters) -> float:
    return min(_MOST_OFFSET, 4 * max(parameters.sigma_V_per_m))


def _checked_offsets(parameters: Parameters) -> Array:
    """Offsets at which a trial propagates exactly; none is a node of the curve."""
    return _widest(parameters) * np.array([-0.73, -0.31, 0.17, 0.59])


def _fields() -> Array:
    return np.linspace(-20e3, 20e3, 41)


def _perturbative(device: DonorDevice, E: Array) -> Array:
    """Transitions of order two, NaN where the expansion fails."""
    found = np.full((3, E.size), np.nan)
    fits = device.distance_to_crossing(E) > 5
    if fits.any():
        H = device.schrieffer_wolff(E[fits])
        levels, vectors = np.linalg.eigh(H)
        which = np.argmax(np.abs(vectors[:, :3, :]), axis=-1)  # level of each spin state
        w = 1e3 * np.take_along_axis(levels, which, -1)
        found[:, fits] = w[:, 1] - w[:, 0], w[:, 2] - w[:, 0], w[:, 2] - w[:, 1]
    return found


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Return exact transitions, and infidelities over random offsets."""
    rng = np.random.default_rng((parameters.random_state, index))
    n = parameters.n_samples
    sigma = parameters.sigma_V_per_m
    E = _fields()
    exact = parameters.device.transitions(E)
    offsets = _checked_offsets(parameters)
    exactly = [gate.infidelity(offsets, step_ns=_FINE_STEP_NS) for gate in setting.gates.values()]
    infidelity = [[curve.monte_carlo(one, n, rng)[0] for one in sigma] for curve in setting.curves.values()]
    found = xr.Dataset(
        {
            "transition_MHz": (("transition", "E_V_per_m"), [exact[name].to_numpy() for name in TRANSITIONS]),
            "infidelity": (("gate", "sigma_V_per_m"), infidelity),
            "infidelity_at_offset": (("gate", "offset_V_per_m"), exactly),
        },
        {
            "transition": list(TRANSITIONS),
            "E_V_per_m": E,
            "gate": list(parameters.gates),
            "sigma_V_per_m": list(sigma),
            "offset_V_per_m": offsets,
        },
    )
    if setting.sweep is not None:
        sweeps = [setting.sweep.mean_infidelities(one, one * rng.standard_normal(n)) for one in _SWEEP_SIGMAS]
        found["sweep_infidelity"] = (_SWEEP_DIMS, sweeps)
        found = found.assign_coords(_SWEEP_COORDS)
    return found


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Return a figure: nuclear frequency, infidelity against noise and offset, and the robust pulse."""
    from solvable.lab.compare import mean_and_error
    from solvable.lab.figure import (
        COLORS,
        MARKERS,
        legend_above,
        log_axes,
        measured_points,
        prediction_line,
        subplots,
    )

    figure, ((a, b), (c, d)) = subplots(2, 2, height=5.2)
    E = 1e-3 * prediction.E_V_per_m.to_numpy()
    prediction_line(a, E, prediction.transition_MHz.sel(transition="f_n_MHz"), color=COLORS[0])
    exact = measurement.transition_MHz.sel(transition="f_n_MHz").mean("trial")
    measured_points(a, E, exact, color=COLORS[0])
    a.set_xlabel("field (kV/m)")
    a.set_ylabel("nuclear\nfrequency (MHz)")
    lines: list[Any] = [
        ("infidelity", "gate", "sigma_V_per_m", one, one) for one in prediction.gate.to_numpy()
    ]
    if "sweep_infidelity" in prediction:
        lines += [
            ("sweep_infidelity", "sweep", "sweep_sigma_V_per_m", one, f"sweep, {one}")
            for one in ("alone", "corrected")
        ]
    for i, (name, dim, axis, which, label) in enumerate(lines):
        predicted, measured = prediction[name].sel({dim: which}), measurement[name].sel({dim: which})
        prediction_line(b, predicted[axis], predicted, color=COLORS[i])
        style = {"fmt": MARKERS[i], "color": COLORS[i], "label": label}
        measured_points(b, measured[axis], *mean_and_error(measured), **style)
    b.axhline(1e-3, color="#999999", linewidth=0.8, linestyle=":")
    log_axes(b)
    b.set_xlabel("noise of the field (V/m)")
    b.set_ylabel("mean infidelity\nof X(π/2)")
    legend_above(figure, b, columns=4)
    for i, one in enumerate(prediction.gate.to_numpy()):
        points = measurement.infidelity_at_offset.sel(gate=one).mean("trial")
        c.plot(points.offset_V_per_m, points, MARKERS[i], color=COLORS[i])
        c.semilogy(
            prediction.offset_V_per_m,
            prediction.infidelity_at_offset.sel(gate=one),
            color=COLORS[i],
        )
    c.axhline(1e-3, color="#999999", linewidth=0.8, linestyle=":")
    c.set_xlabel("offset of the field (V/m)")
    c.set_ylabel("infidelity\nof X(π/2)")
    d.plot(prediction.t_ns, 1e-3 * prediction.controls[:, 0], color=COLORS[1], label="$E_c$ (kV/m)")
    d.plot(prediction.t_ns, 1e-3 * prediction.controls[:, 1], color=COLORS[2], label="$E_s$ (kV/m)")
    d.plot(prediction.t_ns, 1e3 * prediction.controls[:, 2], color=COLORS[3], label="$B_x$ (mT)")
    d.plot(prediction.t_ns, 1e3 * prediction.controls[:, 3], color=COLORS[4], label="$B_y$ (mT)")
    d.set_xlabel("time (ns)")
    d.set_ylabel(f"controls of the\n{prediction.gate.to_numpy()[-1]} pulse")
    d.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0), columnspacing=1.0, handlelength=1.0)
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the mean infidelity of the best gate, and how much less it is than that of the worst."""
    noise, at = _infidelities(prediction, measurement)
    ranked = sorted(zip(at.values.tolist(), at.gate.values.tolist(), strict=True))
    (least, best), (most, worst) = ranked[0], ranked[-1]
    text = f"At {noise} V/m of slow charge noise the {best} gate errs by {readable(least, 2)}"
    return text + (
        f", {readable(float(f'{most / least:.2g}'))} times less than the {worst} gate"
        if 0 < least < most
        else ""
    )


def _infidelities(prediction: xr.Dataset, measurement: xr.Dataset) -> tuple[str, xr.DataArray]:
    """Return the measured noise nearest to 100 V/m, and the mean infidelities of the gates with it."""
    sigma = measurement.sigma_V_per_m.to_numpy()
    nearest = float(sigma[np.argmin(np.abs(np.log(sigma / 100)))])
    return readable(nearest), prediction.infidelity.sel(sigma_V_per_m=nearest)


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return what the robust gate buys."""
    noise, at = _infidelities(prediction, measurement)
    values = [f"{readable(float(at.sel(gate=name)), 2)} ({name})" for name in prediction.gate.to_numpy()]
    text = f"At {noise} V/m of slow noise the mean infidelity of X(π/2) is {' and '.join(values)}"
    if {"naive", "robust"} <= set(prediction.gate.to_numpy()):
        text += f", {readable(float(at.sel(gate='naive') / at.sel(gate='robust')), 2)} times less for the robust gate"
    if "sweep_infidelity" in prediction:
        alone, corrected = (
            float(prediction.sweep_infidelity.sel(sweep=one)[-1]) for one in ("alone", "corrected")
        )
        text += (
            f"; the long sweep has {readable(alone, 2)} alone and {readable(corrected, 2)} corrected with ideal pi "
            f"pulses, at {readable(_SWEEP_SIGMAS[-1])} V/m"
        )
    return f"{text}. Fast noise is another matter: see the study spins-noise."


def details(parameters: Parameters, setting: Setting) -> list[Any]:
    """Return a table of single-qubit gates, each made of two X(π/2)."""
    from scipy.stats import unitary_group

    sigma = min(100.0, max(parameters.sigma_V_per_m))
    targets = {"X(π)": X180, "Hadamard": _HADAMARD}
    targets |= {f"random {i}": unitary_group.rvs(2, random_state=i) for i in range(parameters.n_targets)}
    targets = dict(list(targets.items())[: parameters.n_targets])
    if not targets:
        return []
    x, weights = hermegauss(9)
    weights = weights / weights.sum()
    gates = setting.gates.values()
    rows = []
    for name, target in targets.items():
        values = (float(weights @ robust_gate(target, gate).infidelity(sigma * x)) for gate in gates)
        rows.append((name, *(readable(one, 2) for one in values)))
    table = Table(("gate", *setting.gates), tuple(rows))
    text = f"Mean infidelity of gates made of two X(π/2) and virtual rotations, at {readable(sigma)} V/m of slow noise."
    return [Verdict("Any single-qubit gate", (Section("", text, table),))]


study = Study(
    name="spins",
    title="Gates on a donor nuclear spin that slow charge noise hardly spoils",
    paper=PAPER,
    question="Which fidelity does a fast gate on the nuclear spin of a donor reach under slow charge noise?",
    Parameters=Parameters,
    tiny=Parameters(
        gates=("naive",),
        sigma_V_per_m=(10.0, 30.0),
        n_samples=100,
        n_targets=0,
        without_sweeps=True,
        trials=2,
    ),
    compared=("infidelity", "infidelity_at_offset", "sweep_infidelity", "transition_MHz"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"electron in a field $E$, at the donor ($\sigma_z = -1$) or the interface ($\sigma_z = 1$), with the "
        r"distance $d$ and the tunnel coupling $V_t$ of both: "
        r"$H_1 = \frac{V_t}{2} \sigma_x - \frac{e d E}{2 h} \sigma_z$",
        r"spins of electron ($S$) and nucleus ($I$) in the magnetic field $B_0$, with the hyperfine coupling $A$: "
        r"$H_2 = \gamma_e B_0 S_z - \gamma_n B_0 I_z + A \frac{1 - \sigma_z}{2} S \cdot I$ with gyromagnetic ratios "
        r"$\gamma$, that of the electron a little different at the interface",
        r"infidelity of a gate $U$ whose pulse makes $M$ of the qubit's two states: "
        r"$r = 1 - \frac{1}{6} (\mathrm{tr} \, M^\dagger M + \left| \mathrm{tr} \, U^\dagger M \right|^2)$",
        r"under slow noise, its mean over normal errors $x$ of $E$ with the standard deviation $\sigma$: "
        r"$\int r(E + x) \frac{e^{-x^2 / 2 \sigma^2}}{\sqrt{2 \pi} \sigma} dx$",
    ),
    details=details,
)
