"""Report on a wafer: yield, spreads and their causes, a map with a residual for every junction, and the frequencies.

`read_csv` reads a table of resistances, `flag` marks opens, shorts and outliers, `report` does everything;
`synthetic_wafer` makes a table whose truth is known.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.junctions.qubit import Qubit, effective_area, lumped, predicted_frequencies
from solvable.junctions.synthetic import SyntheticWafer, synthetic_wafer
from solvable.junctions.variability import VarianceModel, fit_variance_model
from solvable.junctions.wafer_statistics import (
    STANDS_OUT,
    VarianceComponents,
    WaferMap,
    WidthBias,
    fit_width_bias,
    group_means,
    map_fit,
    robust_residuals,
    robust_spread,
    separate_groups,
    small_sample_factor,
    two_way_effects,
    variance_components,
)
from solvable.junctions.wafer_table import (
    CONDITIONS,
    FLAGS,
    as_table,
    design_codes,
    flag,
    out_of_range,
    places_mm,
    read_csv,
    select_wafer,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solvable.lab.verdict import Verdict

__all__ = [
    "Qubit",
    "SyntheticWafer",
    "VarianceComponents",
    "WaferMap",
    "WaferReport",
    "WidthBias",
    "as_table",
    "fit_width_bias",
    "flag",
    "map_fit",
    "read_csv",
    "report",
    "select_wafer",
    "synthetic_wafer",
    "variance_components",
]

Array = NDArray[np.float64]

# Junctions of a design from which its own spread over the wafer is taken.
_ENOUGH = 10


@dataclass(frozen=True, eq=False)
class WaferReport:
    """The analysis of one wafer; `print` it, or let a notebook display it.

    Spreads are standard deviations of ln R, which are relative ones of R, after opens, shorts and outliers were left
    out and the differences between designs removed.

    Attributes:
        name: of the wafer.
        junctions: the table with `flag`, `residual` (of ln R, after design and robust trend), `standardized` (in robust
            standard deviations of its design), `f01_GHz` and its 95 % interval `f01_low_GHz`, `f01_high_GHz` by the
            error of the gap; for circuit simulators the inductance `L_J_nH` when cold, and `C_J_fF`.
        designs: a row per design: `w1_um`, `w2_um`, `n`, `n_ok`, `R_ohm` (median), `on_chip_sd`, `wafer_sd`,
            `f01_GHz`, and the 95 % interval of a new junction on the wafer, `f01_low_GHz`, `f01_high_GHz`.
        chips: a row per chip: `chip`, `chip_x_mm`, `chip_y_mm`, `n`, `n_ok`, `level` (mean of ln R less the designs),
            `sd` (on the chip, divided by c4).
        counts: number of junctions by flag.
        on_chip_sd: mean of the chips' `sd`.
        on_chip_rms: pooled standard deviation on chips.
        wafer_sd: standard deviation over the wafer.
        components: spread on chips and among chips, with intervals; None on one chip.
        map: map of the chips' levels; None without places.
        widths: biases of the widths and specific resistance; None if the designs do not tell.
        model: where the spread on chips comes from, by widths less their biases; None if the designs do not tell.
        conditions: for each condition that varies, a row per value: `condition`, `value`, `n`, `chips`, `level`,
            `error`.
        qubit: what the frequencies assume.
        notes: on the data, and why parts are missing.
    """

    name: str
    junctions: pd.DataFrame = field(repr=False)
    designs: pd.DataFrame = field(repr=False)
    chips: pd.DataFrame = field(repr=False)
    counts: dict[str, int]
    on_chip_sd: float
    on_chip_rms: float
    wafer_sd: float
    components: VarianceComponents | None
    map: WaferMap | None
    widths: WidthBias | None
    model: VarianceModel | None
    conditions: pd.DataFrame = field(repr=False)
    qubit: Qubit
    notes: tuple[str, ...]

    def verdict(self) -> "Verdict":
        """Return the report in words."""
        from solvable.junctions.wafer_words import verdict

        return verdict(self)

    def text_map(self) -> str:
        """Return a map of the junctions: `#` where a residual stands out by 5 robust standard deviations, else `.`.

        Spaces are places without a junction that could be measured. North is up.

        Raises:
            InputError: if the table has no places.
        """
        from solvable.junctions.wafer_words import text_map

        return text_map(self)

    def plot(self) -> "Figure":
        """Return the figure: map of the chips, map of the residuals, spread by area, frequencies."""
        from solvable.junctions.drawing import plot_wafer

        return plot_wafer(self)

    def __str__(self) -> str:
        return str(self.verdict())

    def _repr_html_(self) -> str:
        return self.verdict()._repr_html_()


def report(table: Any, qubit: Qubit | None = None, *, wafer: str | None = None) -> WaferReport:
    """Return the analysis of a wafer.

    Args:
        table: as from `read_csv`, or a pandas table, xarray Dataset or dictionary with such columns.
        qubit: what turns resistances into frequencies; by default a shunt of 78 fF, 50 fF/µm² of
            junction, a gap of 180 µeV and a cold ratio of 1.1385.
        wafer: name of the wafer, if the table has several.

    Raises:
        InputError: if the table cannot be used, has no good junctions, or one junction on every chip.

    >>> found = report(synthetic_wafer(0).table)
    >>> found.counts["open"] > 10, round(found.widths.bias2_um, 3)
    (True, -0.03)
    """
    # A table from `read_csv` is checked again, since anything may have happened to it since.
    rows: Any = flag(select_wafer(as_table(table), wafer))
    qubit = qubit or Qubit()
    notes: list[str] = []
    name = str(rows["wafer"].iloc[0]) if "wafer" in rows else "the wafer"
    codes, pairs = design_codes(rows)
    chip_codes, chip_names = pd.factorize(rows["chip"])
    R = rows["R_ohm"].to_numpy(np.float64)
    residual, standardized = _residuals(rows, R, rows["flag"].to_numpy(), codes)
    # A strong map hides outliers among the junctions of their design.
    stands_out = (rows["flag"] == "ok") & (np.abs(standardized) > STANDS_OUT)
    rows["flag"] = rows["flag"].where(~stands_out, "outlier")
    flags = rows["flag"].to_numpy()
    ok = flags == "ok"
    counts = {one: int((flags == one).sum()) for one in FLAGS}
    if ok.sum() < 3:
        found = ", ".join(f"{n} {one}" for one, n in counts.items() if n and one != "ok")
        raise InputError(
            f"{int(ok.sum())} of {len(rows)} junctions are good ({found}); expected at least 3 for statistics"
        )
    z = np.log(np.where(ok, R, 1.0))
    good, of_design, of_chip = z[ok], codes[ok], chip_codes[ok]
    k, m = len(chip_names), len(pairs)
    if len(np.unique(of_chip)) == len(good) and k > 1:
        raise InputError(
            "every chip has one good junction; expected 2 or more on most, to tell the spread on chips from that among "
            "chips"
        )
    design_level, chip_level = two_way_effects(good, of_design, of_chip)
    u = good - design_level[of_design]
    rest = u - chip_level[of_chip]
    n_designs, n_groups = len(np.unique(of_design)), separate_groups(of_design, of_chip)
    on_chip_rms, freedom = _pooled(rest, n_designs + len(np.unique(of_chip)) - n_groups)
    if not np.isfinite(on_chip_rms):
        notes.append(
            "each junction is the only one of its design on its chip or wafer, so no spread is known"
        )
    components = None
    if n_groups > 1:
        notes.append(
            f"the chips fall into {n_groups} groups that share no design, so that differences between chips cannot be "
            "told from those between designs: no spread among chips, no map and no biases of widths"
        )
    elif k > 1:
        components = _attempt(notes, lambda: variance_components(u, of_chip, n_designs))
    chips = _chips(rows, chip_codes, chip_names, ok, chip_level, rest, n_designs)
    spreads = chips["sd"].to_numpy(np.float64)
    # Chips with two junctions tell only together.
    on_chip_sd = float(spreads[np.isfinite(spreads)].mean()) if np.isfinite(spreads).any() else on_chip_rms
    wafer_sd = float(np.sqrt(np.square(u - u.mean()).sum() / max(len(u) - m, 1)))
    designs = _designs(pairs, codes, ok, R, u, rest, of_design, of_chip, freedom, components)
    whole_map = None
    if "chip_x_mm" in chips and n_groups == 1:
        whole_map = _map(chips, components)
        if whole_map is None:
            notes.append("there is no map, which needs 6 chips that are neither in a line nor on a circle")
    elif "chip_x_mm" not in chips:
        notes.append(
            "there are no columns chip_x_mm and chip_y_mm, so there is no map, and no trend in the residuals"
        )
    if k == 1:
        notes.append("all junctions are on one chip, so nothing can be said of the spread among chips")
    widths = None
    if n_groups == 1:
        widths = _attempt(notes, lambda: _width_bias(pairs, designs, design_level, components))
    model = _attempt(notes, lambda: _variance_model(designs, widths))
    if (note := out_of_range(pairs, designs["R_ohm"].to_numpy())) is not None:
        notes.append(note)
    area = effective_area(pairs, widths)
    designs = _with_frequencies(designs, area, qubit)
    f01, low, high, frequency_note = predicted_frequencies(R, area[codes], ok | (flags == "outlier"), qubit)
    notes += frequency_note
    L_nH, C_fF = lumped(R, f01, area[codes], qubit)
    junctions = rows.assign(
        residual=residual,
        standardized=standardized,
        f01_GHz=f01,
        f01_low_GHz=low,
        f01_high_GHz=high,
        L_J_nH=L_nH,
        C_J_fF=C_fF,
    )
    return WaferReport(
        name=name,
        junctions=junctions,
        designs=designs,
        chips=chips,
        counts=counts,
        on_chip_sd=on_chip_sd,
        on_chip_rms=on_chip_rms,
        wafer_sd=wafer_sd,
        components=components,
        map=whole_map,
        widths=widths,
        model=model,
        conditions=_conditions(rows, ok, u, components, on_chip_rms),
        qubit=qubit,
        notes=tuple(notes),
    )


def _attempt(notes: list[str], fit: Any) -> Any:
    """Return a fit, or None and note why it cannot be made."""
    try:
        return fit()
    except InputError as reason:
        notes.append(str(reason))
        return None


def _pooled(rest: Array, unknowns: int) -> tuple[float, float]:
    """Return the standard deviation on chips, and the share of the junctions that are degrees of freedom."""
    left = len(rest) - unknowns
    return float(np.sqrt(np.square(rest).sum() / left)) if left > 0 else float("nan"), left / len(rest)


def _map(chips: Any, components: VarianceComponents | None) -> WaferMap | None:
    """Return the map of the chips' levels, each weighted by what is known of it."""
    used = chips[chips["n_ok"] > 0]
    weight: Any = 1.0
    if components is not None and components.on_chip.sd > 0:
        weight = 1 / (components.among_chips.sd**2 + components.on_chip.sd**2 / used["n_ok"])
    return map_fit(used["chip_x_mm"], used["chip_y_mm"], used["level"], weight)


def _chips(
    rows: Any, chip_codes: NDArray, names: Any, ok: NDArray, level: Array, rest: Array, n_designs: int
) -> pd.DataFrame:
    k = len(names)
    of_chip = chip_codes[ok]
    n_ok = np.bincount(of_chip, minlength=k)
    mean = group_means(rest, of_chip, k)
    square = np.bincount(of_chip, np.square(rest - mean[of_chip]), k)
    sd = np.full(k, np.nan)
    # Spreads of two junctions say next to nothing.
    enough = n_ok >= 3
    if enough.any():
        # The levels of the designs come from all chips, each of which pays its share of them.
        freedom = (n_ok - 1 - (n_designs - 1) * n_ok / n_ok.sum())[enough]
        freedom = np.where(freedom >= 1, freedom, np.nan)
        sd[enough] = np.sqrt(square[enough] / freedom) / small_sample_factor(
            np.nan_to_num(freedom, nan=1.0) + 1
        )
    padded = np.full(k, np.nan)
    padded[: len(level)] = level
    chips = pd.DataFrame(
        {
            "chip": names,
            "n": np.bincount(chip_codes, minlength=k),
            "n_ok": n_ok,
            "level": np.where(n_ok > 0, padded, np.nan),
            "sd": sd,
        }
    )
    if "chip_x_mm" in rows:
        first = np.unique(chip_codes, return_index=True)[1]
        for column in ("chip_x_mm", "chip_y_mm"):
            chips[column] = rows[column].to_numpy()[first]
    return chips


def _designs(
    pairs: Array,
    codes: NDArray,
    ok: NDArray,
    R: Array,
    u: Array,
    rest: Array,
    of_design: NDArray,
    of_chip: NDArray,
    freedom: float,
    components: VarianceComponents | None,
) -> pd.DataFrame:
    from scipy.stats import t as student

    m, n_chips = len(pairs), len(np.unique(of_chip))
    n_ok = np.bincount(of_design, minlength=m)
    enough = n_ok >= 3
    medians: Any = pd.Series(R[ok]).groupby(of_design).median()
    median = medians.reindex(range(m)).to_numpy(np.float64)
    wafer_sd, on_chip = np.full(m, np.nan), np.full(m, np.nan)
    mean = group_means(u, of_design, m)
    wafer = np.bincount(of_design, np.square(u - mean[of_design]), m)
    wafer_sd[enough] = np.sqrt(wafer[enough] / (n_ok[enough] - 1))
    squares = np.bincount(of_design, np.square(rest), m)
    if freedom > 0:
        on_chip[enough] = np.sqrt(squares[enough] / (n_ok[enough] * freedom))
    # Of a new junction on the wafer, in ln R: few junctions, and few chips, know little of the spread.
    chips_of = np.array([len(np.unique(of_chip[of_design == d])) for d in range(m)])
    freedom_of = np.maximum(np.where(n_chips > 1, np.minimum(n_ok, chips_of), n_ok) - 1.0, 1.0)
    # All designs together know the spread on chips well, and that among chips as well as there are chips.
    if components is not None and components.on_chip.sd > 0:
        on, among = components.on_chip.sd**2, components.among_chips.sd**2
        shared = (on + among) ** 2 / (on**2 / max(len(u) * freedom, 1) + among**2 / (n_chips - 1))
        freedom_of = np.where(n_ok >= _ENOUGH, freedom_of, np.fmax(freedom_of, shared))
    overall = float(np.sqrt(np.square(u - u.mean()).sum() / max(len(u) - m, 1)))
    known = np.where(n_ok >= _ENOUGH, wafer_sd, np.fmax(wafer_sd, overall))
    reach = student.ppf(0.975, freedom_of) * known * np.sqrt(1 + 1 / np.maximum(n_ok, 1))
    return pd.DataFrame(
        {
            "w1_um": pairs[:, 0],
            "w2_um": pairs[:, 1],
            "n": np.bincount(codes, minlength=m),
            "n_ok": n_ok,
            "R_ohm": median,
            "on_chip_sd": on_chip,
            "wafer_sd": wafer_sd,
            "freedom": n_ok * freedom,
            "reach": reach,
        }
    )


def _with_frequencies(designs: pd.DataFrame, area: Array, qubit: Qubit) -> pd.DataFrame:
    """Return the table of the designs with the frequency of their median and the interval of a new junction."""
    R = designs["R_ohm"].to_numpy(np.float64)
    f01, S = np.full(len(R), np.nan), np.full(len(R), np.nan)
    measured = np.isfinite(R)
    f01[measured], S[measured] = qubit.frequencies(R[measured], area[measured])
    reach = S * designs["reach"].to_numpy(np.float64)  # f goes as R to the power -S
    ends = {"f01_low_GHz": f01 * np.exp(-reach), "f01_high_GHz": f01 * np.exp(reach)}
    return designs.drop(columns="reach").assign(f01_GHz=f01, **ends)


def _residuals(rows: Any, R: Array, flags: NDArray, codes: NDArray) -> tuple[Array, Array]:
    """Return residuals of ln R of good junctions and outliers, and these in robust standard deviations."""
    measured = (flags == "ok") | (flags == "outlier")
    z = np.full(len(R), np.nan)
    z[measured] = np.log(R[measured])
    residual = robust_residuals(z, codes, *places_mm(rows))
    unit = robust_spread(residual, codes)
    with np.errstate(invalid="ignore", divide="ignore"):
        standardized = np.where(unit > 0, residual / unit, 0.0)
    return residual, np.where(np.isfinite(residual), standardized, np.nan)


def _width_bias(pairs: Array, designs: Any, level: Array, components: VarianceComponents | None) -> WidthBias:
    n, sd = designs["n_ok"].to_numpy(), designs["on_chip_sd"].to_numpy()
    used = (n >= 3) & (sd > 0)
    padded = np.full(len(pairs), np.nan)
    padded[: len(level)] = level
    if used.sum() < 2:
        raise InputError(
            f"{int(used.sum())} design{'s' * bool(used.sum() != 1)} of at least 3 good junctions and a spread cannot "
            "tell biases of the widths from the specific resistance; expected junctions of two sizes"
        )
    found = fit_width_bias(pairs[used], padded[used], sd[used] / np.sqrt(n[used]))
    if components is None:
        return found
    # The chips are a sample, whose mean all designs share.
    rho = np.hypot(found.errors[0], components.among_chips.sd / np.sqrt(components.n_chips))
    return found._replace(errors=(float(rho), *found.errors[1:]))


def _variance_model(designs: Any, widths: WidthBias | None) -> VarianceModel:
    used = (designs["n_ok"] >= 3) & (designs["on_chip_sd"] > 0)
    part = designs[used]
    if len(part) < 2:
        raise InputError(
            f"area and barrier cannot be told apart by {len(part)} design{'s' * (len(part) != 1)}; add rectangles "
            "such as 0.05 x 0.8 µm (`plan_designs` proposes some), or measure widths"
        )
    bias = (0.0, 0.0) if widths is None else (widths.bias1_um, widths.bias2_um)
    w1, w2 = part["w1_um"] + bias[0], part["w2_um"] + bias[1]
    return fit_variance_model(w1, w2, part["on_chip_sd"] ** 2, part["freedom"])


def _conditions(
    rows: Any, ok: NDArray, u: Array, components: VarianceComponents | None, on_chip: float
) -> Any:
    """Return the mean level for each value of each condition that varies.

    Its standard error counts the chips that it was measured on: those of a condition may be high by chance.
    """
    among = 0.0 if components is None else components.among_chips.sd
    parts = []
    for column in CONDITIONS:
        if column not in rows:
            continue
        values = rows[column][ok]
        if column == "date":
            values = values.dt.date
        elif column == "temperature_K":
            values = values.round()
        table = pd.DataFrame({"u": u, "chip": rows["chip"][ok]}, index=values.index)
        groups: Any = table.groupby(values.astype(str))
        if groups.ngroups > 1:
            found = groups.agg(n=("u", "size"), level=("u", "mean"), chips=("chip", "nunique")).reset_index()
            found = found.rename(columns={found.columns[0]: "value"})
            error = np.sqrt(among**2 / found["chips"] + on_chip**2 / found["n"])
            parts.append(found.assign(condition=column, error=error))
    columns = ["condition", "value", "n", "chips", "level", "error"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=pd.Index(columns))
