r"""The study `spins-noise`: how much slow and fast charge noise gates withstand.

- `quasi_static`: infidelity under noise that is constant during a gate, by quadrature, against random offsets.
- `pink`: infidelity under 1/f noise up to a cutoff, by the filter function, to second order, against random traces.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.checks import choice
from solvable.lab import Comparison, Study, check_parameters
from solvable.lab.text import readable
from solvable.spins.device import PAPER
from solvable.spins.filter_functions import expected_infidelity, gate_filter_functions
from solvable.spins.gates import X90_GATES, Gate, x90_gate
from solvable.spins.noise import NoiseCurve, PinkNoise
from solvable.spins.pieces import PulsePieces

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BOUND = 1e-3
# Predictions go on to noise this much larger than what is measured, to where the robust gate reaches the bound.
_BEYOND = 2.0
_FREQUENCIES_HZ = np.geomspace(1e3, 1e8, 501)


@dataclass(frozen=True)
class Parameters:
    """The gates and the noise."""

    gates: tuple[str, ...] = ("robust", "naive", "fast-noise")
    """X(π/2) gates to compare: robust (against slow noise), naive, amplitude or fast-noise (against these)."""

    sigma_V_per_m: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0)
    """Standard deviations of the field at the donor in V/m."""

    f_high_MHz: tuple[float, ...] = (1.0, 10.0, 100.0)
    """Highest frequencies of the 1/f noise in MHz, at most 100."""

    f_low_Hz: float = 1.0
    """Lowest frequency of the 1/f noise in Hz: about one over the time of an experiment."""

    n_samples: int = 10_000
    """Number of random offsets per trial."""

    n_traces: int = 200
    """Number of traces of 1/f noise per trial."""

    trials: int = 4
    """Number of repetitions with other random numbers."""

    random_state: int = 0
    """Seed."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"n_samples": 10, "n_traces": 2, "trials": 1, "f_low_Hz": 1e-6, "f_high_MHz": 0.1},
            above={"sigma_V_per_m": 0},
            at_most={
                "sigma_V_per_m": 300,
                "f_high_MHz": 100,
                "f_low_Hz": 1e4,
                "n_samples": 1_000_000,
                "n_traces": 10_000,
            },
        )
        for gate in self.gates:
            choice("gates", gate, X90_GATES)


@dataclass(frozen=True, eq=False)
class Setting:
    """The gates with what is exact about them.

    Attributes:
        gates: by name.
        pieces: propagators of short pieces of their pulses.
        curves: their infidelities against the offset.
    """

    gates: dict[str, Gate]
    pieces: dict[str, PulsePieces]
    curves: dict[str, NoiseCurve]

    @property
    def fingerprint(self) -> str:
        """Nothing beyond the parameters matters."""
        return "spins-noise"


def prepare(parameters: Parameters) -> Setting:
    """Compute the propagators of the gates' pieces, and their curves."""
    largest = _BEYOND * max(parameters.sigma_V_per_m)
    gates = {name: x90_gate(name) for name in parameters.gates}
    pieces = {name: PulsePieces(gate.device, gate.pulse, 5 * largest) for name, gate in gates.items()}
    curves = {name: NoiseCurve(gate, _sigma_grid(parameters), pieces[name]) for name, gate in gates.items()}
    return Setting(gates, pieces, curves)


def _sigma_grid(parameters: Parameters) -> NDArray[np.float64]:
    low, high = min(parameters.sigma_V_per_m), _BEYOND * max(parameters.sigma_V_per_m)
    return np.union1d(parameters.sigma_V_per_m, np.geomspace(low, high, 40))


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the means by quadrature, and those by filter functions."""
    sigmas = _sigma_grid(parameters)
    names = list(parameters.gates)
    static = [setting.curves[name].means(sigmas)[0] for name in names]
    filters = [
        gate_filter_functions(setting.gates[name], _FREQUENCIES_HZ, setting.pieces[name]) for name in names
    ]
    without = [float(setting.curves[name].infidelity(0.0)) for name in names]
    pink = [
        [
            floor + expected_infidelity(one, sigmas, parameters.f_low_Hz, 1e6 * f)
            for f in parameters.f_high_MHz
        ]
        for one, floor in zip(filters, without, strict=True)
    ]
    return xr.Dataset(
        {
            "quasi_static": (("gate", "sigma_V_per_m"), static),
            "pink": (("gate", "f_high_MHz", "sigma_V_per_m"), pink),
            "infidelity_filter": (("gate", "frequency_Hz"), [one.infidelity_filter for one in filters]),
        },
        {
            "gate": names,
            "f_high_MHz": list(parameters.f_high_MHz),
            "sigma_V_per_m": sigmas,
            "frequency_Hz": _FREQUENCIES_HZ,
        },
        {
            "notes": "The filter function is of second order in the noise, and in the error without noise: it overrates"
            " what strong noise does, and is a rough guide for the naive gate, which errs without noise."
        },
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Return means over random offsets and random traces."""
    rng = np.random.default_rng((parameters.random_state, index))
    sigmas = parameters.sigma_V_per_m
    static = [
        [setting.curves[name].monte_carlo(sigma, parameters.n_samples, rng)[0] for sigma in sigmas]
        for name in parameters.gates
    ]
    pink = [
        [_pink_means(parameters, setting, name, 1e6 * f, rng) for f in parameters.f_high_MHz]
        for name in parameters.gates
    ]
    return xr.Dataset(
        {
            "quasi_static": (("gate", "sigma_V_per_m"), static),
            "pink": (("gate", "f_high_MHz", "sigma_V_per_m"), pink),
        },
        {
            "gate": list(parameters.gates),
            "f_high_MHz": list(parameters.f_high_MHz),
            "sigma_V_per_m": list(sigmas),
        },
    )


def _pink_means(
    parameters: Parameters, setting: Setting, name: str, f_high_Hz: float, rng: Any
) -> list[float]:
    largest = max(parameters.sigma_V_per_m)
    gate, pieces = setting.gates[name], setting.pieces[name]
    noise = PinkNoise(gate, largest, parameters.f_low_Hz, f_high_Hz, parameters.n_traces, rng, pieces)
    return [noise.means(sigma)[0] for sigma in parameters.sigma_V_per_m]


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Return a figure of infidelity against noise, and of the gates' filter functions."""
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

    figure, axes = subplots(1, 2, height=3.2)
    ax = axes[0]
    cutoff = _middle(prediction)
    kinds = (
        ("quasi_static", "quasi-static", {"linestyle": "-"}, {"marker": MARKERS[0]}),
        (
            "pink",
            f"1/f to {readable(cutoff)} MHz",
            {"linestyle": "--"},
            {"marker": MARKERS[2], "markerfacecolor": "white"},
        ),
    )
    for color, name in zip(COLORS[1:], prediction.gate.to_numpy(), strict=False):
        for kind, _, line, marker in kinds:
            one, points = prediction[kind].sel(gate=name), measurement[kind].sel(gate=name)
            if kind == "pink":
                one, points = one.sel(f_high_MHz=cutoff), points.sel(f_high_MHz=cutoff)
            prediction_line(ax, one.sigma_V_per_m, one, color=color, **line)
            style = {"color": color, "linestyle": "", "fmt": ""} | marker
            measured_points(ax, points.sigma_V_per_m, *mean_and_error(points), **style)
        axes[1].plot(
            prediction.frequency_Hz / 1e6,
            prediction.infidelity_filter.sel(gate=name),
            color=color,
            label=name,
        )
    ax.axhline(_BOUND, color="#666666", linewidth=0.8, linestyle=":", zorder=0)
    log_axes(ax, "x")
    ax.set_yscale("log")
    ax.set_ylim(top=1.0)
    ax.set_xlabel("rms noise (V/m)")
    ax.set_ylabel("infidelity")
    axes[1].set_xscale("log")
    axes[1].set_yscale("log")
    log_axes(axes[1], "x")
    # Deep notches would push everything else to the top.
    peak, lowest = (
        float(one) for one in (prediction.infidelity_filter.max(), prediction.infidelity_filter.min())
    )
    axes[1].set_ylim(max(lowest, 1e-6 * peak) / 2, 3 * peak)
    axes[1].set_xlabel("frequency of the noise (MHz)")
    axes[1].set_ylabel("filter function\n(1 / (V/m)$^2$)")
    for _, label, line, marker in kinds:
        axes[1].plot([], [], color="#666666", label=label, **line, **marker)
    legend_above(figure, axes[1], columns=4)
    return figure


def _middle(prediction: xr.Dataset) -> float:
    cutoffs = np.sort(prediction.f_high_MHz.to_numpy())
    return float(cutoffs[(len(cutoffs) - 1) // 2])


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return where the gate that withstands most slow noise reaches the bound, under noise of each kind."""
    cutoff = _middle(prediction)
    crossings = [_crossing(prediction.quasi_static.sel(gate=name)) for name in prediction.gate.to_numpy()]
    best = prediction.isel(gate=int(np.argmax(crossings)))
    static, pink = max(crossings), _crossing(best.pink.sel(f_high_MHz=cutoff))
    if static == 0:
        weakest = readable(float(prediction.sigma_V_per_m.min()))
        return f"The error of each gate is above {_BOUND:g} even at {weakest} V/m of slow noise"
    return (
        f"The {best.gate.item()} gate reaches an error of {_BOUND:g} {_at(static, best)} of slow noise, and "
        f"{_at(pink, best)} of 1/f noise up to {readable(cutoff)} MHz"
    )


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return where the bound is crossed under noise of each kind."""
    cutoff = _middle(prediction)
    sentences = []
    for name in prediction.gate.to_numpy():
        one = prediction.sel(gate=name)
        static, pink = (_crossing(curve) for curve in (one.quasi_static, one.pink.sel(f_high_MHz=cutoff)))
        if static == 0:
            weakest = readable(float(one.sigma_V_per_m.min()))
            sentences.append(
                f"The infidelity of the {name} gate is above {_BOUND:g} even at {weakest} V/m of quasi-static noise."
            )
            continue
        text = (
            f"The {name} gate reaches an infidelity of {_BOUND:g} {_at(static, one)} of quasi-static noise and"
            f" {_at(pink, one)} of 1/f noise up to {readable(cutoff)} MHz"
        )
        verdict = ": it withstands slow noise, not fast noise." if static > 2 * pink else "."
        sentences.append(text + verdict)
    return " ".join(sentences)


def _crossing(curve: xr.DataArray) -> float:
    """Return the noise at which a curve crosses the bound: 0 if it starts above it, infinity if it stays below."""
    sigma, values = curve.sigma_V_per_m.to_numpy(), curve.to_numpy()
    above = np.flatnonzero(values >= _BOUND)
    if above.size == 0:
        return np.inf
    if (i := above[0]) == 0:
        return 0.0
    share = np.log(_BOUND / values[i - 1]) / np.log(values[i] / values[i - 1])
    return float(sigma[i - 1] * (sigma[i] / sigma[i - 1]) ** share)


def _at(sigma: float, prediction: xr.Dataset) -> str:
    ends = [readable(float(one)) for one in (prediction.sigma_V_per_m.min(), prediction.sigma_V_per_m.max())]
    if sigma == 0:
        return f"below {ends[0]} V/m"
    return f"above {ends[1]} V/m" if np.isinf(sigma) else f"at {readable(sigma, 2)} V/m"


study = Study(
    name="spins-noise",
    title="Slow and fast charge noise on gates of a donor nuclear spin",
    paper=PAPER,
    question="How much charge noise does a robust gate withstand, and of which frequencies?",
    Parameters=Parameters,
    tiny=Parameters(
        gates=("naive",),
        sigma_V_per_m=(3.0, 30.0),
        f_high_MHz=(1.0, 10.0),
        n_samples=200,
        n_traces=10,
        trials=2,
    ),
    compared=("quasi_static", "pink"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"slow noise: mean of the infidelity $r$ over normal errors $x$ of the field with standard deviation "
        r"$\sigma$: $\int r(x) \frac{e^{-x^2 / 2 \sigma^2}}{\sqrt{2 \pi} \sigma} dx$",
        r"fast noise with the spectrum $S(f) = \frac{\sigma^2}{f \ln(f_h / f_l)}$ from $f_l$ to $f_h$: "
        r"$r(0) + \int_{f_l}^{f_h} S(f) F(f) \, df$",
        r"filter function: $F = \frac{1}{6} (3 s - \left| \mathrm{tr} \, Q \right|^2 - \left\| Q \right\|^2)$, where "
        r"$Q = P A P$ for the projector $P$ on the qubit, and "
        r"$s = \frac{1}{2} (\left\| A P \right\|^2 + \left\| P A \right\|^2)$",
        r"response to noise of frequency $f$ that changes the Hamiltonian by $B$ (per field), for the propagator $U$: "
        r"$A(f) = 2 \pi \int U^\dagger(t) B U(t) e^{2 \pi i f t} \, dt$",
    ),
)
