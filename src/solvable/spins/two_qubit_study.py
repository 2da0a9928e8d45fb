r"""The study `spins-two-qubit`: what charge noise does to a gate of two donor nuclei, and what echoes buy.

- `infidelity`: mean over fields that stay constant during a gate, normally distributed and independent at the two
  donors; Gauss-Hermite quadrature against random draws, both by exact propagation of all levels.
- `first_order`: the same at small noise, against the closed form $\frac{4}{5} (\pi f_n' \sigma T)^2 (S_+ + S_-)$ of
  `first_order_infidelity`, without what the gate has at zero noise; only without echo and for periodic echoes, and
  below 0.01.

Source: set-up and gates are ours, after the idea of Simon et al. (2020).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from solvable.errors import InputError
from solvable.lab import Comparison, Study, check_parameters
from solvable.lab.text import readable
from solvable.spins.device import PAPER, DonorDevice
from solvable.spins.pair import DonorPair
from solvable.spins.two_qubit import TwoQubitGate, infidelities, two_qubit_gate
from solvable.spins.two_qubit_noise import LARGEST_SIGMA_V_PER_M, first_order_infidelity, noise_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BOUND = 1e-3
_SMALL = 0.01


@dataclass(frozen=True)
class Parameters:
    """The pair, its drive, the echoes and the noise."""

    distance_nm: float = 300.0
    """Distance of the donors in nm."""

    tunnel_coupling_GHz: float = 5.694
    """Tunnel coupling of both donors in GHz."""

    B_x_T: float = 3e-4
    """Rotating amplitude of the drive in T, half of the linear one."""

    detuning_MHz: float = 30.0
    """How far the drive is below the electron's frequency, in MHz."""

    ramp_ns: float = 150.0
    """Length of a ramp in ns."""

    periodic: tuple[int, ...] = (2, 4)
    """Numbers of segments of the echoes with X after each; even."""

    concatenated: tuple[int, ...] = (8,)
    """Numbers of segments of the concatenated echoes; powers of 2."""

    sigma_V_per_m: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    """Standard deviations of the field at each donor in V/m."""

    n_draws: int = 100
    """Number of random fields of each trial."""

    trials: int = 5
    """Number of trials."""

    random_state: int = 0
    """Seed."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"periodic": 2, "concatenated": 2, "n_draws": 2, "trials": 1, "ramp_ns": 20},
            above={"sigma_V_per_m": 0, "B_x_T": 0, "detuning_MHz": 0},
            at_most={
                "periodic": 64,
                "concatenated": 64,
                "sigma_V_per_m": LARGEST_SIGMA_V_PER_M,
                "n_draws": 100_000,
                "B_x_T": 0.01,
                "detuning_MHz": 500,
                "ramp_ns": 2000,
            },
        )
        for name, fits in (("periodic", lambda n: n % 2 == 0), ("concatenated", lambda n: n & (n - 1) == 0)):
            if wrong := [n for n in getattr(self, name) if not fits(n)]:
                kind = "even" if name == "periodic" else "powers of 2"
                raise InputError(f"{name} must be {kind}; got {wrong[0]}")
        self.pair()

    def pair(self) -> DonorPair:
        """Return the donors."""
        device = DonorDevice(tunnel_coupling_GHz=self.tunnel_coupling_GHz)
        return DonorPair(device, device, self.distance_nm)


class Gates(NamedTuple):
    """The gate and its echoes, by name."""

    names: list[str]
    gates: list[TwoQubitGate]


def prepare(parameters: Parameters) -> Gates:
    """Return the gates, their hold times found."""
    one = two_qubit_gate(
        parameters.pair(),
        B_x_T=parameters.B_x_T,
        detuning_MHz=parameters.detuning_MHz,
        ramp_ns=parameters.ramp_ns,
    )
    found = {"no echo": one}
    for sequence in ("periodic", "concatenated"):
        for n in getattr(parameters, sequence):
            found[f"{n} segments, {sequence}"] = one.echoed(n, sequence)
    return Gates(list(found), list(found.values()))


def predict(parameters: Parameters, setting: Gates) -> xr.Dataset:
    """Return the means by quadrature, and the closed form of small noise."""
    # Points between those that are measured, for smoother lines.
    sigma = np.unique(parameters.sigma_V_per_m)
    sigma = np.union1d(sigma, np.sqrt(sigma[1:] * sigma[:-1]))
    mean = noise_table(setting.gates, sigma).infidelity.to_numpy()
    closed = np.array([first_order_infidelity(gate, sigma) for gate in setting.gates])
    # What concatenated echoes leave is mostly of second order.
    known = (mean < _SMALL) & np.array(["concatenated" not in name for name in setting.names])[:, None]
    populations = setting.gates[0].populations()
    return xr.Dataset(
        {
            "infidelity": (("gate", "sigma_V_per_m"), mean),
            "first_order": (("gate", "sigma_V_per_m"), np.where(known, closed, np.nan)),
            "at_zero_noise": ("gate", infidelities(setting.gates)),
            "duration_ns": ("gate", [gate.duration_ns for gate in setting.gates]),
            "population": populations.population,
        },
        {"gate": setting.names, "sigma_V_per_m": sigma},
        {"notes": "The X pulses of the echoes are ideal, and their time is not counted."},
    )


def trial(parameters: Parameters, setting: Gates, index: int) -> xr.Dataset:
    """Return the means over random fields."""
    rng = np.random.default_rng((parameters.random_state, index))
    draws = rng.standard_normal((2, len(parameters.sigma_V_per_m), parameters.n_draws))
    offsets = np.array(parameters.sigma_V_per_m)[:, None] * draws
    mean = infidelities(setting.gates, offsets[0], offsets[1]).mean(-1)
    excess = mean - infidelities(setting.gates)[:, None]
    dims = ("gate", "sigma_V_per_m")
    return xr.Dataset(
        {"infidelity": (dims, mean), "first_order": (dims, excess)},
        {"gate": setting.names, "sigma_V_per_m": list(parameters.sigma_V_per_m)},
    )


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw infidelities against noise, and the populations during the gate."""
    from solvable.lab.figure import COLORS, curves, house_style, legend_above, log_axes, subplots

    figure, (left, right) = subplots(1, 2, height=3.4)
    with house_style():
        curves(left, prediction, measurement, "infidelity", x="sigma_V_per_m", hue="gate")
        left.axhline(BOUND, color="#666666", linestyle=":", linewidth=1)
        log_axes(left, "xy")
        left.set(xlabel="rms noise at each donor (V/m)", ylabel="mean infidelity")
        legend_above(figure, left, columns=3)
        names = {"01": "|01⟩", "10": "|10⟩", "other": "excited"}
        for (state, label), color in zip(names.items(), COLORS[1:], strict=False):
            one = prediction.population.sel(state=state)
            right.plot(one.time_ns, one, color=color, label=label)
        right.set(xlabel="time (ns)", ylabel="population\nafter a start in |01⟩", ylim=(-0.02, 1.02))
        right.legend(loc="center left")
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the noise at which gate and best echo reach the bound, or else their infidelities at the strongest."""
    sigma, best = prediction.sigma_V_per_m.to_numpy(), _best(prediction)
    errors = [prediction.infidelity[gate].to_numpy() for gate in (0, best)]
    quiet, echoed = (_crossing(sigma, one, BOUND) for one in errors)
    if best and np.isfinite([quiet, echoed]).all():
        return (
            f"For a two-qubit error of {BOUND:g} fields may fluctuate by {readable(quiet, 2)} V/m at most, with ideal "
            f"echoes by {readable(echoed, 2)} V/m"
        )
    alone, least = (readable(float(one[np.argmax(sigma)]), 2) for one in errors)
    text = f"At {readable(float(sigma.max()))} V/m of noise the two-qubit gate errs by {alone}"
    return f"{text}, with ideal echoes by {least}" if best else f"{text}, and no echo errs less"


def _best(prediction: xr.Dataset) -> int:
    """Return the place of the gate or echo that errs least at the strongest noise."""
    strongest = float(prediction.sigma_V_per_m.max())
    return int(np.argmin(prediction.infidelity.sel(sigma_V_per_m=strongest).to_numpy()))


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences on the noise that the gate stands, on the echoes, and on strong noise."""
    sigma = prediction.sigma_V_per_m.to_numpy()
    strong = readable(float(sigma.max()))

    def stands(gate: int) -> str:
        values = prediction.infidelity[gate].to_numpy()
        found = [(bound, _crossing(sigma, values, bound)) for bound in (BOUND, 10 * BOUND)]
        parts = [f"{bound:g} at {readable(x, 2)} V/m" for bound, x in found if np.isfinite(x)]
        return ", ".join([*parts, f"{readable(float(values[np.argmax(sigma)]), 2)} at {strong} V/m"])

    duration = prediction.duration_ns.to_numpy()
    text = f"The gate of {duration[0]:.0f} ns errs by {stands(0)}."
    if best := _best(prediction):
        name = f"{prediction.gate.to_numpy()[best]}; {duration[best]:.0f} ns, and its ideal pulses"
        text += f" With the best echo ({name}) it errs by {stands(best)}."
    return text


def _crossing(sigma: np.ndarray, infidelity: np.ndarray, bound: float) -> float:
    """Return the noise at which an infidelity reaches the bound, straight in logarithms; NaN if it does not."""
    x, y = np.log(sigma), np.log(infidelity / bound)
    above = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    if not above.size:
        return np.nan
    i = above[0]
    return float(np.exp(np.interp(0.0, y[i : i + 2], x[i : i + 2])))


study = Study(
    name="spins-two-qubit",
    title="A two-qubit gate of donor nuclei by electric dipoles, under charge noise, with and without echoes",
    paper=PAPER,
    question="How quiet must the electric field be for a two-qubit gate by dipoles, and what do echoes buy?",
    Parameters=Parameters,
    tiny=Parameters(periodic=(2,), concatenated=(4,), sigma_V_per_m=(0.1, 0.3), n_draws=10, trials=2),
    compared=("infidelity", "first_order"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"infidelity of a gate $U$ whose pulse makes $M$ of the four states of both qubits: "
        r"$1 - \frac{1}{20} (\mathrm{tr} \, M^\dagger M + \left| \mathrm{tr} \, U^\dagger M \right|^2)$, averaged "
        r"over constant normal errors of the field with the standard deviation $\sigma$ at each donor",
        r"by weak noise during a gate of duration $T$, with the slope $f'$ of the qubit's frequency over the field: "
        r"$\frac{4}{5} (\pi f' \sigma T)^2 (S_+ + S_-)$",
        r"echoes flip the signs $s$ of the segments of a gate; by means over the gate, while $x$ goes from $0$ to "
        r"$\frac{\pi}{2}$: $S_+ = \left| \overline{s} \right|^2$, $S_- = \left| \overline{s e^{i x}} \right|^2$",
        r"without echo: $S_+ + S_- = 1 + \frac{8}{\pi^2}$",
    ),
)
