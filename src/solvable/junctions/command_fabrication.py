"""The commands `solvable junctions pict-check`, `gds` and `flows`: shadows, layouts and process flows."""

from pathlib import Path
from typing import Any, Literal

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.lab.text import percent, readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.terminal.arguments import FIGURES, Numbers, Whole, check_path
from solvable.terminal.output import OUTPUT, Files, Output


def pict_check(
    *,
    t1_um: float,
    t2_um: float,
    undercut_um: float = 0.3,
    tilt_deg: float = 45.0,
    patch_tilt_deg: float = 60.0,
    patch_azimuth_deg: float = 225.0,
    w1_um: float = 0.2,
    w2_um: float = 0.2,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Check a recipe of the patch-integrated cross-type (PICT) junction, one lithography for electrodes and patch.

    The masks are our reading of the process; thicknesses and angles are those of your own. Azimuths point towards the
    source, anticlockwise from the first trench.

    Args:
        t1_um: Thickness of the lower resist, with the undercut, in µm.
        t2_um: Thickness of the upper resist, with the mask, in µm.
        undercut_um: Undercut of the lower resist in µm.
        tilt_deg: Tilt of the beams of both electrodes from the wafer's normal, in degrees.
        patch_tilt_deg: Tilt of ion mill and patch.
        patch_azimuth_deg: Azimuth of ion mill and patch.
        w1_um: Width of the first trench in µm: the largest that you use.
        w2_um: Width of the second trench.
        figure: Write a figure of the films: FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    from solvable.junctions.evaporation import Resist
    from solvable.junctions.recipe_checks import check
    from solvable.junctions.recipes import pict, simulate
    from solvable.junctions.shadow_drawing import plot_films
    from solvable.lab.figure import save

    check_path("figure", figure, FIGURES)
    for name, value in (("t1_um", t1_um), ("t2_um", t2_um), ("w1_um", w1_um), ("w2_um", w2_um)):
        one_number(name, value, above=0, at_most=20)
    recipe = pict(
        Resist(t1_um, t2_um, undercut_um),
        tilt_deg,
        patch_tilt_deg,
        w1_um=w1_um,
        w2_um=w2_um,
        patch_azimuth_deg=patch_azimuth_deg,
    )
    found = check(recipe)
    failed = [one for one in found if not one.passed]
    close = [one for one in found if one.passed and one.margin < 0]
    title = f"{len(found) - len(failed)} of {len(found)} checks pass"
    if not failed:
        title += f", {len(close)} of them only by the undercut" if close else ": the recipe works"
    rows = tuple((_state(one), one.name, f"{readable(one.margin, 3)} {one.unit}") for one in found)
    sections = [Section("", "", Table(("", "check", "margin"), rows))]
    for heading, some in (("What fails", failed), ("What passes without a margin", close)):
        if some:
            sections.append(Section(heading, points=tuple(one.sentence for one in some)))
    verdict = Verdict(title, tuple(sections))
    facts = {"passed": not failed, "checks": [one._asdict() for one in found]}
    files = {figure: lambda path: save(plot_films(simulate(recipe)), path)}
    output.emit(facts, ["passed" if not failed else "failed"], lambda: print(verdict), files)


def _state(one: Any) -> str:
    if not one.passed:
        return "FAILS"
    return "only by the undercut" if one.margin < 0 else "ok"


def gds(
    path: Path,
    /,
    *,
    widths_um: Numbers = (0.1, 0.14, 0.2, 0.28, 0.4),
    area_min_um2: float = 0.01,
    area_max_um2: float = 0.16,
    per_design: Whole = 4,
    chips: Whole = 40,
    kind: Literal["pict", "dolan"] = "pict",
    orientation_deg: Whole = 0,
    grid_um: float = 1e-4,
    lower_resist_um: float | None = None,
    tilt_deg: float | None = None,
    output: Output = OUTPUT,
) -> None:
    """Write a wafer of test junctions as a GDS file, with a CSV table of its labels for the measurement.

    Add a column R_ohm to the table and give it to `solvable junctions wafer-report`. Needs the extra `qubits`.

    Args:
        path: FILE.gds to write; the table is FILE-labels.csv.
        widths_um: Widths that are combined, in µm.
        area_min_um2: Smallest area of a design.
        area_max_um2: Largest area.
        per_design: Junctions of each design on each chip.
        chips: Number of chips of 5 mm, those nearest to the centre.
        kind: Cross with patches (pict) or suspended bridge (dolan), which needs --lower-resist-um and --tilt-deg.
        orientation_deg: 0 or 45.
        grid_um: Grid of the file in µm.
        lower_resist_um: Height of the bridge (dolan).
        tilt_deg: Tilt of the beams (dolan).
        output: How the result is printed.
    """
    from functools import partial

    from solvable.junctions.layout import dolan_cell, pict_cell, write_gds
    from solvable.junctions.variability import designs
    from solvable.junctions.wafer_layout import test_wafer
    from solvable.lab.files import atomically

    check_path("path", path, (".gds",))
    table_path = path.with_name(f"{path.stem}-labels.csv")
    check_path("path", table_path, (".csv",))
    if table_path.exists():
        raise InputError(
            f"{str(table_path)!r} exists, and may hold measurements; move it, or choose another name for the layout"
        )
    pairs = designs(widths_um, area_min_um2, area_max_um2)
    common: dict[str, Any] = {"orientation_deg": orientation_deg, "grid_um": grid_um}
    if kind == "dolan":
        if lower_resist_um is None or tilt_deg is None:
            raise InputError("a Dolan junction needs --lower-resist-um and --tilt-deg, which set its bridge")
        make: Any = partial(dolan_cell, lower_resist_um=lower_resist_um, tilt_deg=tilt_deg, **common)
    else:
        make = partial(pict_cell, **common)
    layout = test_wafer(pairs, make_cell=make, n_per_design=per_design, chips=chips)
    n = len(layout.table)
    worst = max(abs(make(*map(float, pair)).area_error) for pair in pairs)

    def write_table(target: Path) -> None:
        with atomically(target) as temporary:
            layout.table.to_csv(temporary, index=False)

    def full() -> None:
        several = "s" * (len(pairs) != 1)
        text = f"{n} junctions of {len(pairs)} design{several} on {chips} chips; the grid changes areas by at most"
        print(f"{text} {percent(worst, 2)}")

    facts = {"n_junctions": n, "n_designs": len(pairs), "largest_area_error": worst}
    files: Files = {path: lambda target: write_gds(layout, target), table_path: write_table}
    output.emit(facts, [str(path), str(table_path)], full, files)


def flows(
    *files: Path,
    queue_hours: float = 0.0,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Compare process flows: lithographies, vacuum cycles, hours, and days with waiting.

    Args:
        files: FILE.csv of flows of your own, with the columns name, kind, hours, tool, vacuum_cycle; by default three
            illustrative ones.
        queue_hours: Hours of waiting for each booking of a tool.
        figure: Write a Gantt chart: FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    from solvable.junctions.process import (
        DOLAN_WITH_PATCH,
        MANHATTAN_WITH_PATCH,
        PICT,
        Flow,
        compare,
        plot_gantt,
    )
    from solvable.lab.figure import save

    check_path("figure", figure, FIGURES)
    queue = one_number("queue_hours", queue_hours, at_least=0)
    chosen = [Flow.from_csv(path) for path in files] or [DOLAN_WITH_PATCH, MANHATTAN_WITH_PATCH, PICT]
    table: Any = compare(chosen, queue_hours=queue)
    table = table.reset_index() if table.index.name else table
    heads = tuple(str(column).replace("_", " ") for column in table.columns)
    rows = tuple(tuple(readable(cell) for cell in row) for row in table.itertuples(index=False))
    notes = ("the built-in flows are illustrative: the hours are ours",) if not files else ()
    verdict = Verdict("Process flows", (Section("", "", Table(heads, rows)),), notes)
    saved = {figure: lambda path: save(plot_gantt(chosen, queue_hours=queue), path)}
    facts = {"flows": table.to_dict("records")}
    output.emit(facts, [one.name for one in chosen], lambda: print(verdict), saved)
