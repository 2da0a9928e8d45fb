r"""The study `junctions`: from a wafer's resistances to the yield of a lattice of qubits.

- `resistance_ohm`: median of each design, against $\rho / ((w_1 + d_1)(w_2 + d_2))$.
- `on_chip_sd`: spread of each design on chips, against the model of widths and barrier.
- `frequency_sd_MHz`: spread of the frequencies that the resistances give one by one, against $S$ times that of R.
- `collisions`: number in a lattice of 27 qubits with this spread, or a part of it as after trimming, against the closed
  form. Its errors are drawn from the wafer's own residuals.

For a synthetic wafer the predictions come from its truth; for one that was measured, from the model that fits it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.checks import choice
from solvable.errors import InputError
from solvable.junctions.josephson import COLD_RATIO
from solvable.junctions.lattices import falcon27
from solvable.junctions.qubit import effective_area
from solvable.junctions.synthetic import synthetic_wafer
from solvable.junctions.wafer import Qubit, WaferReport, read_csv, report, select_wafer
from solvable.junctions.wafer_statistics import two_way_effects
from solvable.junctions.wafer_table import design_codes
from solvable.lab import Comparison, Study, check_parameters
from solvable.lab.keys import data_key
from solvable.lab.text import percent, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SYNTHETIC = "synthetic"

# Design whose spread the lattice has, in µm: that of a qubit near 5 GHz.
_QUBIT_UM = np.array([0.2, 0.2])


@dataclass(frozen=True)
class Parameters:
    """The wafer, the qubit and the lattice."""

    data: str = SYNTHETIC
    """Wafer: synthetic, whose truth is known, or FILE.csv of resistances, as for `solvable junctions wafer-report`."""

    wafer: str | None = None
    """Name of the wafer, if the file has several."""

    shunt_fF: float = 78.0
    """Capacitance of the qubit in fF, without its junction."""

    junction_fF_per_um2: float = 50.0
    """Capacitance of the junction per area in fF/µm²."""

    gap_ueV: float = 180.0
    """Superconducting gap in µeV; only gap over cold ratio matters."""

    cold_ratio: float = COLD_RATIO
    """Resistance when cold over that at room temperature."""

    lattice_GHz: tuple[float, ...] = (5.0, 5.07, 5.14)
    """Three design frequencies of the lattice of 27 qubits, ascending."""

    remaining: tuple[float, ...] = (1.0, 0.5, 0.3, 0.2, 0.15, 0.1)
    """Parts of the spread that remain after trimming, at which the yield is found."""

    n_draws: int = 20_000
    """Number of random lattices."""

    trials: int = 4
    """Number of synthetic wafers; of a file there is one, and each trial draws lattices anew."""

    random_state: int = 0
    """Seed."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"n_draws": 100, "remaining": 0, "trials": 1, "junction_fF_per_um2": 0},
            above={"shunt_fF": 0, "gap_ueV": 0, "cold_ratio": 0, "lattice_GHz": 0},
            at_most={
                "shunt_fF": 1e5,
                "junction_fF_per_um2": 1e4,
                "gap_ueV": 1e5,
                "cold_ratio": 100,
                "lattice_GHz": 1e3,
                "remaining": 1,
                "n_draws": 1_000_000,
            },
        )
        falcon27(self.lattice_GHz)

    @property
    def qubit(self) -> Qubit:
        """What turns resistances into frequencies."""
        return Qubit(
            shunt_fF=self.shunt_fF,
            junction_fF_per_um2=self.junction_fF_per_um2,
            gap_eV=1e-6 * self.gap_ueV,
            cold_ratio=self.cold_ratio,
        )


@dataclass(frozen=True, eq=False)
class Setting:
    """A measured wafer.

    Attributes:
        report: its analysis; None for synthetic wafers.
        notes: on the data.
        fingerprint: of the data.
    """

    report: WaferReport | None
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Read the wafer."""
    if parameters.data == SYNTHETIC:
        if parameters.wafer is not None:
            raise InputError(
                f"wafer is {parameters.wafer!r}, and the synthetic wafer needs none; leave it out"
            )
        return Setting(None, ("the wafers are synthetic, and not those of the paper",), SYNTHETIC)
    if not parameters.data.lower().endswith(".csv"):
        choice("data", parameters.data, (SYNTHETIC, "FILE.csv"))
    table = select_wafer(read_csv(parameters.data), parameters.wafer)
    found = report(table, parameters.qubit)
    return Setting(found, found.notes, data_key(table))


def wafer_of(parameters: Parameters, setting: Setting, index: int) -> WaferReport:
    """Return the analysis of the wafer of a trial."""
    if setting.report is not None:
        return setting.report
    return report(
        synthetic_wafer(np.random.default_rng((parameters.random_state, index))).table, parameters.qubit
    )


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return what truth or fit say of each design, and the expected collisions."""
    if setting.report is None:
        truth = synthetic_wafer(0, n_chips=1, per_design=1).truth
        pairs = _pairs_of_synthetic()
        bias = np.array([truth["bias1_um"], truth["bias2_um"]])
        widths = pairs + bias
        R = truth["rho_ohm_um2"] / widths.prod(axis=1)
        variance = truth["width_sd_um"] ** 2 * (1 / widths**2).sum(axis=1)
        area = widths.prod(axis=1)
        variance += truth["barrier_um2"] / area + truth["probe_sd"] ** 2
    else:
        found = setting.report
        pairs = found.designs[["w1_um", "w2_um"]].to_numpy(np.float64)
        area = effective_area(pairs, found.widths)
        R, variance = _fitted(found, pairs)
    f01, S = np.full(len(R), np.nan), np.full(len(R), np.nan)
    known = np.isfinite(R)
    if known.any():
        f01[known], S[known] = parameters.qubit.frequencies(R[known], area[known])
    sd = np.sqrt(variance)
    lattice = falcon27(parameters.lattice_GHz)
    place = _nearest(pairs)
    relative = float(S[place] * sd[place]) if setting.report is None else _relative_spread(setting.report)
    # Finer than what is measured, for a smooth line.
    remaining = np.union1d(parameters.remaining, np.geomspace(1e-2, max(parameters.remaining) or 1.0, 60))
    sigma_GHz = relative * lattice.frequencies_GHz.mean()
    sigma = remaining * sigma_GHz
    expected = lattice.expected(np.nan_to_num(sigma))
    return xr.Dataset(
        {
            "resistance_ohm": ("design", R),
            "on_chip_sd": ("design", sd),
            "frequency_sd_MHz": ("design", 1e3 * S * sd * f01),
            "collisions": ("remaining", np.where(np.isfinite(relative), expected, np.nan)),
            "poisson_yield": ("remaining", np.exp(-expected)),
            "sigma_MHz": ("remaining", 1e3 * sigma),
            "area_um2": ("design", pairs.prod(axis=1)),
            "f01_GHz": ("design", f01),
        },
        {"design": _names(pairs), "remaining": remaining},
        {"sigma_GHz": float(sigma_GHz), "qubit": place},
    )


def _fitted(found: WaferReport, pairs: NDArray) -> tuple[NDArray, NDArray]:
    """Return resistances and variances of the model that fits a wafer; NaN where there is none."""
    nothing = np.full(len(pairs), np.nan)
    if found.widths is None:
        return nothing, nothing
    bias = np.array([found.widths.bias1_um, found.widths.bias2_um])
    R = found.widths.rho_ohm_um2 / (pairs + bias).prod(axis=1)
    return R, nothing if found.model is None else found.model.variance(*(pairs + bias).T)


def _pairs_of_synthetic() -> NDArray[np.float64]:
    return design_codes(synthetic_wafer(0, n_chips=1, per_design=1).table)[1]


def _names(pairs: NDArray) -> list[str]:
    return [f"{w1:g} x {w2:g}" for w1, w2 in pairs]


def _relative_spread(found: WaferReport) -> float:
    """Return the relative spread of the frequency on chips of the design nearest to that of a qubit.

    The model of all designs knows it better than the few junctions of one.
    """
    pairs = found.designs[["w1_um", "w2_um"]].to_numpy(np.float64)
    place = _nearest(pairs)
    R = found.designs["R_ohm"].to_numpy()[[place]]
    if not np.isfinite(R[0]):
        return float("nan")
    sd = float(found.designs["on_chip_sd"].to_numpy()[place])
    if found.model is not None and found.widths is not None:
        bias = np.array([found.widths.bias1_um, found.widths.bias2_um])
        sd = float(np.sqrt(found.model.variance(*(pairs[place] + bias))))
    area = effective_area(pairs[[place]], found.widths)
    return float(found.qubit.frequencies(R, area)[1][0] * sd)


def _nearest(pairs: NDArray) -> int:
    return int(np.argmin(np.abs(np.log(pairs / _QUBIT_UM)).sum(axis=1)))


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Analyse one wafer, and count the collisions of lattices with its own residuals."""
    found = wafer_of(parameters, setting, index)
    rows: Any = found.junctions[found.junctions["flag"] == "ok"]
    designs: Any = found.designs
    codes, pairs = design_codes(rows)
    all_pairs = designs[["w1_um", "w2_um"]].to_numpy(np.float64)
    place = [int(np.argmin(np.abs(all_pairs - pair).sum(axis=1))) for pair in pairs]
    chips = np.unique(rows["chip"].to_numpy(), return_inverse=True)[1]
    log_f = np.log(rows["f01_GHz"].to_numpy())
    of_design, of_chip = two_way_effects(log_f, codes, chips)
    rest = log_f - of_design[codes] - of_chip[chips]
    freedom = (len(rest) - len(pairs) - len(of_chip) + 1) / len(rest)
    sd = np.full(len(all_pairs), np.nan)
    counts = np.bincount(codes)
    sd[place] = np.where(
        counts >= 3, np.sqrt(np.bincount(codes, rest**2) / (counts * max(freedom, 1e-9))), np.nan
    )
    lattice = falcon27(parameters.lattice_GHz)
    relative = _relative_spread(found)
    collisions, free = _lattices(parameters, lattice, relative, rest / sd[place][codes], index)
    return xr.Dataset(
        {
            "resistance_ohm": ("design", designs["R_ohm"].to_numpy()),
            "on_chip_sd": ("design", designs["on_chip_sd"].to_numpy()),
            "frequency_sd_MHz": ("design", 1e3 * sd * designs["f01_GHz"].to_numpy()),
            "collisions": ("remaining", collisions),
            "collision_free_yield": ("remaining", free),
            "good_share": found.counts["ok"] / len(found.junctions),
            "wafer_sd": found.wafer_sd,
        },
        {"design": _names(all_pairs), "remaining": list(parameters.remaining)},
    )


def _lattices(
    parameters: Parameters, lattice: Any, relative: float, standardized: NDArray, index: int
) -> tuple[NDArray, NDArray]:
    """Return the mean number of collisions and the yield, with errors drawn from the wafer's residuals."""
    rng = np.random.default_rng((parameters.random_state, index, 1))
    pool = standardized[np.isfinite(standardized)]
    collisions, free = np.zeros((2, len(parameters.remaining)))
    left = parameters.n_draws
    while left > 0:
        n = min(left, 5000)
        errors = rng.choice(pool, (n, len(lattice.frequencies_GHz)))
        for k, part in enumerate(parameters.remaining):
            found = lattice.count(lattice.frequencies_GHz * (1 + part * np.nan_to_num(relative) * errors))
            collisions[k] += found.sum()
            free[k] += (found == 0).sum()
        left -= n
    lost = np.nan if not np.isfinite(relative) else 1.0
    return lost * collisions / parameters.n_draws, lost * free / parameters.n_draws


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Return a figure of the chain: resistance, spread on chip, spread of the frequency, yield."""
    from solvable.lab.compare import mean_and_error
    from solvable.lab.figure import COLORS, legend_above, log_axes, measured_points, prediction_line, subplots

    figure, axes = subplots(2, 2, height=5.4)
    order = np.argsort(prediction.area_um2.to_numpy())
    area = prediction.area_um2.to_numpy()[order]
    for ax, name, factor, label in (
        (axes[0, 0], "resistance_ohm", 1e-3, "resistance (kohm)"),
        (axes[0, 1], "on_chip_sd", 100.0, "spread of R\non chip (%)"),
        (axes[1, 0], "frequency_sd_MHz", 1.0, "spread of f01\non chip (MHz)"),
    ):
        mean, error = (factor * np.asarray(one)[order] for one in mean_and_error(measurement[name]))
        predicted = factor * prediction[name].to_numpy()[order]
        ax.plot(area, predicted, "_", color="black", markersize=10, label="design, predicted")
        measured_points(ax, area, mean, error, color=COLORS[1], label="design, measured")
        log_axes(ax, "x")
        ax.set_xlabel("drawn area (µm²)")
        ax.set_ylabel(label)
        ax.set_ylim(bottom=0)
    ax = axes[1, 1]
    theory = prediction.isel(remaining=prediction.remaining.to_numpy() > 0)
    sigma = 1e3 * prediction.attrs["sigma_GHz"] * measurement.remaining.to_numpy()
    for line, source, color, label in (
        ("collisions", "collisions", COLORS[2], "collisions"),
        ("poisson_yield", "collision_free_yield", COLORS[3], "yield"),
    ):
        prediction_line(ax, theory.sigma_MHz, theory[line], color=color)
        measured_points(ax, sigma, *mean_and_error(measurement[source]), color=color, label=label)
    if len(theory.remaining) and np.isfinite(theory.sigma_MHz).all():
        ax.set_ylim(1e-3, 2 * max(1.0, float(theory.collisions.max())))
        log_axes(ax)
    ax.set_xlabel("spread of f01 in the lattice (MHz)")
    ax.set_ylabel("collisions, yield\nof 27 qubits")
    legend_above(figure, axes[0, 0], ax, columns=3)
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the spread of frequencies on chips, and the yield of lattices after the least trimming that is enough."""
    first = measurement.mean("trial")
    spread = float(first.frequency_sd_MHz[int(prediction.attrs["qubit"])])
    text = (
        f"Equal qubits vary by {readable(spread, 3)} MHz on chip"
        if np.isfinite(spread)
        else f"{percent(float(first.good_share))} of the junctions are good"
    )
    part, free = first.remaining.to_numpy(), first.collision_free_yield.to_numpy()
    if not np.isfinite(free).all():
        return f"{text}; the yield of a lattice is unknown"
    shown = _enough(part, free)
    shown = int(np.argmax(free)) if shown is None else shown
    trimmed = "with" if part[shown] == 1 else "trimmed to"
    return (
        f"{text}; {trimmed} {percent(float(part[shown]), 2)} of their spread, "
        f"{percent(float(free[shown]), decimals=0)} of lattices of 27 have no collision"
    )


def _enough(part: NDArray, free: NDArray) -> int | None:
    """Return the place of the largest part of the spread with which half of the lattices have no collision."""
    good = np.flatnonzero(free >= 0.5)
    return int(good[np.argmax(part[good])]) if len(good) else None


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return what the wafer means for a lattice of qubits."""
    first = measurement.mean("trial")
    name = prediction.design.to_numpy()
    place = int(prediction.attrs["qubit"])
    spread = float(first.on_chip_sd[place])
    text = (
        f"{percent(float(first.good_share))} of the junctions are good. R of {name[place]} µm varies by "
        f"{percent(spread, 2)} on chip and f01 by {readable(float(first.frequency_sd_MHz[place]), 3)} MHz"
    )
    free = first.collision_free_yield.to_numpy()
    if np.isfinite(free).all():
        part = measurement.remaining.to_numpy()
        worst = int(np.argmax(part))
        text += (
            f". With {percent(float(part[worst]), 2)} of this spread {percent(float(free[worst]), decimals=1)} of "
            "lattices of 27 qubits have no collision"
        )
        best = _enough(part, free)
        if best not in (None, worst):
            text += f", with {percent(float(part[best]), 2)} of it {percent(float(free[best]), decimals=0)}"
    return f"{text}."


def details(parameters: Parameters, setting: Setting) -> list[Any]:
    """Return the report of a measured wafer, with its figure."""
    return [] if setting.report is None else [setting.report.verdict(), setting.report.plot()]


study = Study(
    name="junctions",
    title="From a wafer's resistances to qubit frequencies and the yield of a lattice",
    paper=(
        "A. Osman, J. Simon, A. Bengtsson, S. Kosen, P. Krantz, D. Perez Lozano, M. Scigliuzzo, J. Bylander, A. Fadavi "
        "Roudsari, Simplified Josephson-junction fabrication process for reproducibly high-performance superconducting "
        "qubits, Appl. Phys. Lett. 118, 064002, 2021, arXiv:2011.05230"
    ),
    question="What do the resistances of a wafer say of the frequencies of its qubits, and of a lattice of them?",
    Parameters=Parameters,
    tiny=Parameters(n_draws=200, remaining=(1.0, 0.1), trials=2),
    compared=("resistance_ohm", "on_chip_sd", "frequency_sd_MHz", "collisions"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"resistance of a junction of drawn widths $w_1$ and $w_2$ with biases $d_1$ and $d_2$, and of specific "
        r"resistance $\rho$: $R = \frac{\rho}{(w_1 + d_1)(w_2 + d_2)}$",
        r"variance of $\ln R$ on a chip, with $v_i = w_i + d_i$, by widths ($a$), barrier ($b$) and probe ($c$): "
        r"$V = a (\frac{1}{v_1^2} + \frac{1}{v_2^2}) + \frac{b}{v_1 v_2} + c$",
        r"spread of the frequency: $\sigma = S \sqrt{V} f_{01}$, where $S = -\frac{d \ln f_{01}}{d \ln R}$",
        r"expected collisions, over all forbidden windows, from $l$ to $h$, of sums of frequencies with the mean "
        r"$\mu$ and the spread $s \propto \sigma$: $m = \sum [\Phi(\frac{h - \mu}{s}) - \Phi(\frac{l - \mu}{s})]$ "
        r"($\Phi$: normal distribution); share of lattices without any, if they are rare: $e^{-m}$",
    ),
    details=details,
)
