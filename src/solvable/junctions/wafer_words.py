"""A wafer's report in words, and its map of residuals as text; a `report` is a `wafer.WaferReport`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.junctions.variability import Share
from solvable.junctions.wafer_statistics import STANDS_OUT, Component
from solvable.junctions.wafer_table import places_mm
from solvable.lab.text import percent
from solvable.lab.verdict import Section, Table, Verdict

# More different places than these in a row or column of the text map are binned.
_MOST_COLUMNS = 150
_MOST_LISTED = 8
_STANDARD = np.array([0.2, 0.2])
# An interval of a share that is wider says nothing.
_OPEN_SHARE = 0.8
# A condition with more values, as a serial number, is no condition.
_MOST_VALUES = 12


def verdict(report: Any) -> Verdict:
    """Return the report in words, the most important first."""
    sections = [_yield(report), _spread(report), _designs(report), _cause(report)]
    if units := [note for note in report.notes if "check the unit" in note]:
        sections.insert(0, Section("Check the unit", f"{units[0][0].upper()}{units[0][1:]}."))
    if report.map is not None:
        sections.append(_map(report))
    sections.append(_residuals(report))
    if len(report.conditions):
        sections.append(_conditions(report))
    qubit = report.qubit
    assumed = (
        f"frequencies assume a shunt of {qubit.shunt_fF:g} fF and {qubit.junction_fF_per_um2:g} fF/µm² of junction, a "
        f"gap of {1e6 * qubit.gap_eV:g} ± {1e6 * qubit.gap_sd_eV:g} µeV and a cold resistance of {qubit.cold_ratio:g} "
        "times that at room temperature; only the gap over this ratio matters, and a few cooled qubits calibrate it"
    )
    rms = (
        f"the spread on chips is the mean of the chips' standard deviations, each over c4; their root mean square is "
        f"{percent(report.on_chip_rms, 3)}"
    )
    title = f"{report.name}: {summary(report)}"
    return Verdict(title, tuple(sections), (*report.notes, rms, assumed))


def summary(report: Any) -> str:
    """Return the report in a line."""
    n = sum(report.counts.values())
    text = f"{report.counts['ok']} of {n} junctions are good ({percent(report.counts['ok'] / n)})"
    text += f", R varies by {percent(report.on_chip_sd, 2)} on chip"
    if report.components is not None:
        text += f" and {percent(report.wafer_sd, 2)} on the wafer"
    return text


def _yield(report: Any) -> Section:
    n = sum(report.counts.values())
    words = {
        "outlier": f"beyond {STANDS_OUT:g} robust standard deviations",
        "open": "open",
        "short": "short",
        "invalid": "negative or not measured",
    }
    lost = [f"{report.counts[flag]} {word}" for flag, word in words.items() if report.counts[flag]]
    designs: Any = report.designs
    dead = designs[designs["n_ok"] < 0.5 * designs["n"]]
    text = f"{report.counts['ok']} of {n} junctions are good"
    text += f"; of the others {', '.join(lost)}." if lost else "."
    chips: Any = report.chips
    worst = chips.assign(share=chips["n_ok"] / chips["n"]).sort_values("share").head(3)
    # A design that is dead takes its part of every chip.
    bad = [f"{c.chip} ({c.n_ok} of {c.n})" for c in _rows(worst) if c.share < (0.5 if len(dead) else 0.9)]
    if len(dead):
        named = [f"{d.w1_um:g} x {d.w2_um:g} µm ({d.n_ok} of {d.n})" for d in _rows(dead.head(_MOST_LISTED))]
        text += f" Designs with less than half good: {', '.join(named)}."
    if bad:
        text += f" Chips with the lowest yield: {', '.join(bad)}."
    return Section("Yield", text)


def _rows(table: Any) -> Iterator[Any]:
    return table.itertuples()


def _interval(one: Component) -> str:
    return f"{percent(one.sd, 3)} ({percent(one.low, 2)} to {percent(one.high, 2)})"


def _spread(report: Any) -> Section:
    text = f"The average spread of R on a chip is {percent(report.on_chip_sd, 3)}"
    if report.components is None:
        return Section("Spread of the resistance", f"{text}.")
    parts = report.components
    text += (
        f", and {percent(report.wafer_sd, 3)} over the wafer, after the differences between designs. Standard "
        f"deviations (95 % intervals): on chip {_interval(parts.on_chip)}, among the means of the {parts.n_chips} "
        f"chips {_interval(parts.among_chips)}."
    )
    sd: Any = report.chips["sd"].dropna()
    if len(sd) > 2:
        text += f" Single chips range from {percent(sd.min(), 2)} to {percent(sd.max(), 2)}."
    return Section("Spread of the resistance", text)


def _designs(report: Any) -> Section:
    heads = ("w1 x w2 (µm)", "good", "R (ohm)", "on chip", "wafer", "f01 (GHz)", "95 % of junctions (GHz)")
    rows = tuple(
        (
            f"{d.w1_um:g} x {d.w2_um:g}",
            f"{d.n_ok} of {d.n}",
            f"{d.R_ohm:.0f}" if np.isfinite(d.R_ohm) else "–",
            percent(d.on_chip_sd, decimals=1),
            percent(d.wafer_sd, decimals=1) if report.components is not None else "–",
            f"{d.f01_GHz:.3f}" if np.isfinite(d.f01_GHz) else "–",
            f"{d.f01_low_GHz:.2f} … {d.f01_high_GHz:.2f}" if np.isfinite(d.wafer_sd) else "too few",
        )
        for d in _rows(report.designs)
    )
    qubit = report.qubit
    shift = 0.52 * qubit.gap_sd_eV / qubit.gap_eV
    text = (
        "Median resistance, spread, and the frequency that it gives, with the interval of a new junction on the "
        f"{'wafer' if len(report.chips) > 1 else 'chip'}. "
        f"The error of the gap, {1e6 * qubit.gap_sd_eV:g} µeV, shifts all frequencies together by about "
        f"{percent(shift, 2)}."
    )
    return Section("Designs", text, Table(heads, rows))


def _cause(report: Any) -> Section:
    points = []
    widths = report.widths
    if widths is not None:
        rho, one, two = widths.errors
        specific = f"{widths.rho_ohm_um2:.1f} ± {rho * widths.rho_ohm_um2:.1f} ohm µm² at the temperature of the test"
        bias = f"{1e3 * widths.bias1_um:+.1f} ± {1e3 * one:.1f} nm"
        if widths.common:
            points.append(
                f"If both widths differ from the drawn ones alike, it is by {bias}, and the specific resistance is "
                f"{specific}. These designs cannot test that: it takes unequal widths in both orders."
            )
        else:
            points.append(f"Specific resistance: {specific}, at the mean of the chips.")
            points.append(
                f"The widths differ from the drawn ones by {bias} (w1) and {1e3 * widths.bias2_um:+.1f} ± "
                f"{1e3 * two:.1f} nm (w2)."
            )
    if report.model is not None:
        pair, share = share_of(report)
        known = share.high - share.low < _OPEN_SHARE
        low, high = (percent(end, decimals=0) for end in (share.low, share.high))
        if known:
            points.append(
                f"At {pair[0]:g} x {pair[1]:g} µm, {percent(share.value, decimals=0)} of the variance on a chip comes "
                f"from the widths (95 % interval {low} to {high}), the rest from the barrier: errors of the widths of "
                f"{1e3 * report.model.a_um2**0.5:.1f} nm. As a share of the standard deviation that is "
                f"{percent(share.value**0.5, decimals=0)}."
            )
        else:
            points.append(
                f"At {pair[0]:g} x {pair[1]:g} µm, the designs leave open how much of the variance the widths cause "
                f"(95 % interval {low} to {high})."
            )
        if known and report.model.misfit_p < 0.01:
            points.append(
                f"The spread of the designs contradicts this model (p = {report.model.misfit_p:.1g}), so do not trust "
                "the share."
            )
    else:
        points.append(
            "The designs do not tell whether the widths or the barrier cause the spread; see the notes."
        )
    return Section("Causes", points=tuple(points))


def share_of(report: Any) -> tuple[NDArray[np.float64], Share]:
    """Return the drawn widths of the design nearest to 0.2 x 0.2 µm, and the area's share of its variance."""
    assert report.model is not None
    pairs = report.designs[["w1_um", "w2_um"]].to_numpy(np.float64)
    pair = pairs[np.argmin(np.abs(np.log(pairs / _STANDARD)).sum(axis=1))]
    widths = report.widths
    bias = (0.0, 0.0) if widths is None else (widths.bias1_um, widths.bias2_um)
    return pair, report.model.area_share(pair[0] + bias[0], pair[1] + bias[1])


def _map(report: Any) -> Section:
    fit = report.map
    assert fit is not None
    x, y, q = fit.errors
    text = (
        f"ln R changes by {_per_mm(fit.gradient_x_per_mm, x)} in x and {_per_mm(fit.gradient_y_per_mm, y)} in y, with "
        f"a curvature of {100 * fit.curvature_per_mm2:+.4f} ± {100 * q:.4f} %/mm². This map explains "
        f"{percent(max(fit.explained, 0.0), decimals=0)} of the variance among chips and leaves "
        f"{percent(fit.residual_sd, 2)}."
    )
    return Section("Map", text)


def _per_mm(value: float, error: float) -> str:
    return f"{100 * value:+.3f} ± {100 * error:.3f} %/mm"


def _residuals(report: Any) -> Section:
    junctions: Any = report.junctions
    size = junctions["standardized"].abs()
    out = junctions.assign(size=size)[size > STANDS_OUT].sort_values("size", ascending=False)
    text = f"{len(out)} junction{'s stand' if len(out) != 1 else ' stands'} out by more than {STANDS_OUT:g} robust "
    text += "standard deviations after design and trend"
    if not len(out):
        return Section("Residuals", f"No junction stands{text.partition('stand')[2]}.")
    named = [
        f"{j.chip}/{j.junction} ({percent(np.expm1(j.residual), 2, signed=True)})"
        for j in _rows(out.head(_MOST_LISTED))
    ]
    more = f" and {len(out) - _MOST_LISTED} more" if len(out) > _MOST_LISTED else ""
    return Section("Residuals", f"{text}: {', '.join(named)}{more}.")


def _conditions(report: Any) -> Section:
    table: Any = report.conditions
    counts = table["condition"].value_counts()
    many = [str(name) for name, count in counts.items() if count > _MOST_VALUES]
    shown = table[~table["condition"].isin(many)]
    rows = tuple(
        (
            str(c.condition),
            str(c.value),
            str(c.n),
            str(c.chips),
            f"{percent(c.level, 2, signed=True)} ± {percent(c.error, 2)}",
        )
        for c in _rows(shown)
    )
    text = (
        "Mean of R relative to the wafer, by the conditions of the test. The errors count the chips: a condition that "
        "goes with the chip cannot be told from it."
    )
    off = [f"{c.condition} {c.value}" for c in _rows(shown) if abs(c.level) > 3 * c.error]
    if off:
        text += f" More than three errors from the mean: {', '.join(off)}."
    if many:
        text += f" Not compared, with more than {_MOST_VALUES} values: {', '.join(many)}."
    heads = ("condition", "value", "junctions", "chips", "R")
    return Section("Test conditions", text, Table(heads, rows) if rows else None)


def text_map(report: Any) -> str:
    """Return the map of the residuals as rows of `#` and `.`; see `WaferReport.text_map`."""
    junctions = report.junctions
    if "chip_x_mm" not in junctions:
        raise InputError(
            "the table has no columns chip_x_mm and chip_y_mm, so there is no map; add the places of the chips"
        )
    x, y = map(np.asarray, places_mm(junctions))
    size = np.abs(junctions["standardized"].to_numpy())
    column, row = _steps(x), _steps(-y)
    picture = np.full((row.max() + 1, column.max() + 1), " ")
    known = np.isfinite(size)
    picture[row[known], column[known]] = "."
    stands_out = size > STANDS_OUT
    picture[row[stands_out], column[stands_out]] = "#"
    return "\n".join("".join(line).rstrip() for line in picture)


def _steps(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of each place along an axis, from the lowest; places on a grid keep its gaps."""
    places = np.unique(values.round(6))
    if len(places) == 1:
        return np.zeros(len(values), dtype=np.int64)
    gaps = np.diff(places)
    # Places that differ by rounding, as thirds of a millimetre in whole micrometres do, are one.
    step = float(np.median(gaps[gaps > 0.1 * np.median(gaps)]))
    extent = places[-1] - places[0]
    step = max(step, extent / (_MOST_COLUMNS - 1))
    return np.round((values - places[0]) / step).astype(np.int64)


def facts_of(report: Any) -> dict[str, Any]:
    """Return the facts of a report for JSON."""
    pair, share = share_of(report) if report.model is not None else (None, None)
    return {
        "wafer": report.name,
        "counts": report.counts,
        "on_chip_sd": report.on_chip_sd,
        "wafer_sd": report.wafer_sd,
        "components": None if report.components is None else _plain(report.components._asdict()),
        "map": None if report.map is None else report.map._asdict(),
        "widths": None if report.widths is None else report.widths._asdict(),
        "share_at_um": None if pair is None else pair.tolist(),
        "area_share": None if share is None else share._asdict(),
        "designs": report.designs.to_dict("records"),
        "chips": report.chips.to_dict("records"),
        "notes": report.notes,
    }


def _plain(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: one._asdict() if isinstance(one, Component) else one for name, one in parts.items()}
