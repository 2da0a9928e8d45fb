"""The commands `solvable junctions ...`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import App, Parameter

from solvable.checks import grid, one_number
from solvable.errors import InputError
from solvable.junctions.command_fabrication import flows, gds, pict_check
from solvable.junctions.josephson import COLD_RATIO
from solvable.lab.text import percent, readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.terminal.arguments import FIGURES, Numbers, Whole, Wholes, check_path
from solvable.terminal.output import OUTPUT, Output, example

_MOST_LISTED = 20

junctions = App(
    name="junctions",
    help="Josephson junctions: wafers, frequencies, ageing, shadow evaporation, collisions, layouts.",
    help_epilogue=example("solvable junctions f01 --resistance-ohm 9907,10500"),
)

# cyclopts would turn `capacitance_fF` into `--capacitance-f-f`.
Capacitance = Annotated[float, Parameter(name="--capacitance-fF")]
Gap = Annotated[float, Parameter(name="--gap-ueV")]
Sigma = Annotated[float | None, Parameter(name="--sigma-MHz")]
Frequencies = Annotated[Numbers, Parameter(name="--frequencies-GHz")]


@junctions.command(name="wafer-report", help_epilogue=example("solvable junctions wafer-report wafer.csv"))
def wafer_report(
    data: str = "synthetic",
    /,
    *,
    wafer: str | None = None,
    shunt_fF: Annotated[float, Parameter(name="--shunt-fF")] = 78.0,
    junction_fF_per_um2: Annotated[float, Parameter(name="--junction-fF-per-um2")] = 50.0,
    gap_ueV: Gap = 180.0,
    cold_ratio: float = COLD_RATIO,
    text: bool = False,
    save: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Report on a wafer's resistances: yield, spreads and their causes, map, residuals, frequencies.

    Columns of the file: chip, w1_um, w2_um (drawn widths) and one of R_ohm, R_kohm, R_Mohm; optional wafer, junction,
    chip_x_mm, chip_y_mm, x_um, y_um (from the chip's centre), temperature_K, date (ISO 8601), probe, storage. OL and
    inf are open junctions. The report, with figures, is kept as a record.

    Args:
        data: FILE.csv of resistances at room temperature; by default a synthetic wafer.
        wafer: Name of the wafer, if the file has several.
        shunt_fF: Capacitance of the qubit in fF, without its junction.
        junction_fF_per_um2: Capacitance of the junction per area.
        gap_ueV: Superconducting gap in µeV; only gap over cold ratio matters.
        cold_ratio: Resistance when cold over that at room temperature.
        text: Print a map of the junctions instead: # where a residual stands out, else a point.
        save: Write the table with flags, residuals, frequencies, and inductance and capacitance: FILE.csv.
        output: How the result is printed.
    """
    from solvable.junctions.study import Parameters, prepare, study, wafer_of
    from solvable.junctions.wafer_words import facts_of
    from solvable.lab.files import atomically
    from solvable.lab.run import run

    check_path("save", save, (".csv",))
    values: dict[str, Any] = {
        "data": data,
        "wafer": wafer,
        "shunt_fF": shunt_fF,
        "junction_fF_per_um2": junction_fF_per_um2,
        "gap_ueV": gap_ueV,
        "cold_ratio": cold_ratio,
    }
    parameters = Parameters(**values, trials=1)
    report = wafer_of(parameters, prepare(parameters), 0)

    def write(path: Path) -> None:
        with atomically(path) as temporary:
            report.junctions.to_csv(temporary, index=False)

    if text:
        rows = report.text_map()
        output.emit({"map": rows.splitlines()}, rows.splitlines(), lambda: print(rows), {save: write})
        return
    record = run(study, parameters, runs_dir=output.runs_dir, quiet=True)
    page = record.path / "report.html"
    facts = facts_of(report) | {"report": page, "record": record.name}

    def full() -> None:
        print(report)
        print(f"\n{page}")

    output.emit(facts, [str(page)], full, {save: write})


@junctions.command(help_epilogue=example("solvable junctions f01 --f01-GHz 4.9 --rho 320"))
def f01(
    *,
    resistance_ohm: Annotated[Numbers, Parameter(name="--resistance-ohm")] = (),
    frequency: Annotated[Numbers, Parameter(name="--f01-GHz")] = (),
    capacitance_fF: Capacitance = 80.0,
    gap_ueV: Gap = 180.0,
    cold_ratio: float = COLD_RATIO,
    ng: float = 0.25,
    cv: float = 0.027,
    rho: float | None = None,
    output: Output = OUTPUT,
) -> None:
    """Print the frequency of resistances, or the resistance of frequencies.

    Args:
        resistance_ohm: Resistances at room temperature in ohm, comma-separated.
        frequency: Frequencies in GHz instead, comma-separated.
        capacitance_fF: Capacitance of the qubit in fF, junction included.
        gap_ueV: Superconducting gap in µeV; only gap over cold ratio matters.
        cold_ratio: Resistance when cold over that at room temperature.
        ng: Offset charge.
        cv: Spread of the resistance, standard deviation over mean, for the spread of the frequency.
        rho: Specific resistance at room temperature in ohm µm², to print areas.
        output: How the result is printed.
    """
    from solvable.junctions import josephson, transmon

    if bool(resistance_ohm) == bool(frequency):
        raise InputError("expected either --resistance-ohm or --f01-GHz, as in --resistance-ohm 9907,10500")
    one_number("cv", cv, at_least=0, at_most=1)
    notes = []
    ratio = one_number("cold_ratio", cold_ratio, above=0)
    gap = 1e-6 * one_number("gap_ueV", gap_ueV, above=0)
    EC = float(josephson.charging_energy(1e-15 * one_number("capacitance_fF", capacitance_fF, above=0)))
    if resistance_ohm:
        R = grid("resistance_ohm", resistance_ohm, above=0)
    else:
        wanted = grid("f01_GHz", frequency, above=0)
        R = transmon.resistance_for_frequency(wanted, EC, gap, ng) / ratio
    EJ = josephson.josephson_energy(ratio * R, gap)
    f, S = transmon.frequency_and_sensitivity(EJ, EC, ng)
    levels = transmon.energy_levels(EJ, EC, ng, 3)
    alpha = levels[:, 2] - 2 * levels[:, 1] + levels[:, 0]
    if ((R < 100) | (R > 1e6)).any():
        notes.append(
            "a resistance outside of 100 ohm to 1 Mohm: check its unit, and write no commas inside of numbers"
        )
    if (EJ / EC < 5).any():
        notes.append("E_J / E_C below 5: the frequency depends on the offset charge, and this is no transmon")
    columns = {
        "R_ohm": R,
        "EJ_GHz": EJ,
        "f01_GHz": f,
        "anharmonicity_MHz": 1e3 * alpha,
        "EJ_over_EC": EJ / EC,
        "spread_MHz": 1e3 * S * cv * f,
    }
    if rho is not None:
        columns["area_um2"] = one_number("rho", rho, above=0) / R
    heads = {
        "R_ohm": "R (ohm)",
        "EJ_GHz": "E_J (GHz)",
        "f01_GHz": "f01 (GHz)",
        "anharmonicity_MHz": "anharmonicity (MHz)",
        "EJ_over_EC": "E_J / E_C",
        "spread_MHz": f"spread at {percent(cv, 2)} (MHz)",
        "area_um2": "area (µm²)",
    }
    digits = {"R_ohm": 6, "f01_GHz": 6, "anharmonicity_MHz": 5}
    rows = tuple(
        tuple(readable(float(column[i]), digits.get(name, 4)) for name, column in columns.items())
        for i in range(len(R))
    )
    table = Table(tuple(heads[name] for name in columns), rows)
    verdict = Verdict(
        f"E_C = {1e3 * EC:.2f} MHz ({capacitance_fF:g} fF), gap {gap_ueV:g} µeV, cold ratio {cold_ratio:g}",
        (Section("", "", table),),
        tuple(notes),
    )
    facts = [{name: float(column[i]) for name, column in columns.items()} for i in range(len(R))]
    short = f if resistance_ohm else R
    output.emit({"EC_GHz": EC, "qubits": facts}, [f"{one:.8g}" for one in short], lambda: print(verdict))


@junctions.command(help_epilogue=example("solvable junctions ageing ageing.csv --until-days 365"))
def ageing(
    data: Path,
    /,
    *,
    evaporated: str | None = None,
    law: Literal["auto", "log", "stretched", "power"] = "auto",
    until_days: float = 365.0,
    f01_GHz: Annotated[float | None, Parameter(name="--f01-GHz")] = None,
    EC_GHz: Annotated[float, Parameter(name="--EC-GHz")] = 0.25,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Fit how resistances rise with time, and forecast them by each law.

    Columns of the file: t_days, or date (ISO 8601) with --evaporated; R_ohm or R_kohm; optional junction.

    Args:
        data: FILE.csv of readings.
        evaporated: Date of evaporation, as in 2026-03-02, if the file has dates.
        law: Law to fit; auto fits all and says how far the readings choose.
        until_days: Day of the forecast.
        f01_GHz: Frequency of a qubit at the last reading in GHz, to print its aged frequency.
        EC_GHz: Charging energy of that qubit in GHz.
        figure: Write a figure of the forecasts: FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    from solvable.junctions.ageing import aged_f01, fit, plot_forecast, read_csv
    from solvable.lab.figure import save

    check_path("figure", figure, FIGURES)
    day = one_number("until_days", until_days, above=0)
    if f01_GHz is not None:
        one_number("f01_GHz", f01_GHz, above=0, at_most=100)
    readings = read_csv(data, evaporated)
    notes = []
    if evaporated is not None and len(evaporated.strip()) <= 10 and readings.t_days.min() < 3:
        notes.append(
            f"evaporation was taken to be at midnight of {evaporated}; for readings of the first days the law "
            "depends on the hour: pass it, as in --evaporated 2026-03-02T09:00"
        )
    found = fit(readings.t_days, readings.R_ohm, law, readings.junction or None)
    if readings.junction is not None and len(set(readings.junction)) > 1:
        notes.append(_rises(readings))
    last = float(found.t_days.max())
    if day < last:
        raise InputError(
            f"until_days is {day:g}, before the last reading at day {last:g}; expected a later day"
        )
    table: Any = found.table([day], since_days=last)
    rows = tuple(
        (str(row.law), f"{row.weight:.2f}", f"{row.mean:.4f}", f"{row.low:.4f} … {row.high:.4f}")
        for row in table.itertuples()
    )
    heads = ("law", "weight", "R / R at the last reading", "95 % interval")
    sections = [
        Section(
            f"Resistance at day {day:g}",
            "The readings do not pick a law: the spread between the laws is part of the forecast."
            if found.undecided
            else f"The readings pick the law {found.law}.",
            Table(heads, rows),
        )
    ]
    facts: dict[str, Any] = {
        "law": found.law,
        "undecided": found.undecided,
        "weights": found.weights,
        "parameters": {name: one.parameters for name, one in found.laws.items()},
        "forecast": table.to_dict("records"),
        "warnings": found.warnings,
    }
    best = table[table["law"] == found.law].iloc[0]
    if f01_GHz is not None:
        # A higher resistance is a lower frequency.
        aged = aged_f01(f01_GHz, EC_GHz, np.array([best["mean"], best["high"], best["low"]]))
        facts["f01_GHz"] = {"mean": float(aged[0]), "low": float(aged[1]), "high": float(aged[2])}
        sections.append(
            Section(
                f"Frequency at day {day:g}",
                f"{f01_GHz:g} GHz becomes {aged[0]:.4f} GHz by the law {found.law} (95 % interval {aged[1]:.4f} to "
                f"{aged[2]:.4f} GHz, of this law alone).",
            )
        )
    law_words = (
        f"the law is {found.law}" if found.law != "power" else "a power law fits best, which is a check only"
    )
    title = f"{len(found.t_days)} readings to day {last:g}: " + (
        "undecided between the laws" if found.undecided else law_words
    )
    verdict = Verdict(title, tuple(sections), (*notes, *found.warnings))
    files = {figure: lambda path: save(plot_forecast(found, until_days=day), path)}
    output.emit(facts, [f"{best['mean']:.6g}"], lambda: print(verdict), files)


def _rises(readings: Any) -> str:
    """Return a note on junctions that are fitted together."""
    names = np.array(readings.junction)
    rises = {}
    for name in dict.fromkeys(readings.junction):
        own = names == name
        order = np.argsort(readings.t_days[own], kind="stable")
        R = readings.R_ohm[own][order]
        rises[name] = float(R[-1] / R[0] - 1)
    low, high = min(rises, key=lambda name: rises[name]), max(rises, key=lambda name: rises[name])
    return (
        f"{len(rises)} junctions are fitted together, by their geometric mean; from first to last reading R changes by "
        f"{percent(rises[low], 3, signed=True)} ({low}) to {percent(rises[high], 3, signed=True)} ({high}): fit "
        "those that age otherwise by themselves"
    )


@junctions.command(help_epilogue=example("solvable junctions collisions --sigma-MHz 14 --figure lattice.svg"))
def collisions(
    *,
    sigma_MHz: Sigma = None,
    frequencies: Frequencies = (5.0, 5.07, 5.14),
    anharmonicity_MHz: Annotated[float, Parameter(name="--anharmonicity-MHz")] = -330.0,
    hexagons: Wholes = (),
    qubits: Path | None = None,
    edges: Path | None = None,
    rules: Literal["hertzberg2021", "brink2018"] = "hertzberg2021",
    target_yield: Annotated[float | None, Parameter(name="--yield")] = None,
    n_draws: Whole = 20_000,
    random_state: Whole = 0,
    figure: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Say which pairs of a lattice collide, how often, and which spread of the frequencies is allowed.

    Args:
        sigma_MHz: Spread of the frequencies in MHz; by default 0 for --qubits and 14 otherwise.
        frequencies: Three design frequencies of a heavy-hexagon lattice in GHz, ascending.
        anharmonicity_MHz: f12 - f01 in MHz, below 0.
        hexagons: Rows and columns of hexagons, as in 2,3; by default the lattice of 27 qubits.
        qubits: FILE.csv of a lattice of your own, with the columns qubit and f01_GHz, and optionally anharmonicity_MHz.
        edges: FILE.csv of its pairs, with the columns a and b.
        rules: Published set of rules.
        target_yield: Yield to reach, such as 0.9, to print the spread that it allows.
        n_draws: Number of random lattices.
        random_state: Seed.
        figure: Write a picture of the lattice: FILE.svg, FILE.png or FILE.pdf.
        output: How the result is printed.
    """
    from solvable.checks import whole
    from solvable.junctions.drawing import plot_lattice
    from solvable.junctions.lattices import falcon27, heavy_hex, read_lattice
    from solvable.lab.figure import save

    check_path("figure", figure, FIGURES)
    whole("n_draws", n_draws, at_least=100, at_most=10_000_000)
    whole("random_state", random_state, at_least=0)
    alpha = 1e-3 * one_number("anharmonicity_MHz", anharmonicity_MHz)
    if (qubits is None) != (edges is None):
        raise InputError("a lattice of your own needs both --qubits and --edges")
    if qubits is not None and edges is not None:
        lattice = read_lattice(qubits, edges, alpha, rules)
    elif hexagons:
        if len(hexagons) != 2:
            raise InputError(f"hexagons has {len(hexagons)} numbers; expected rows and columns, as in 2,3")
        lattice = heavy_hex(*hexagons, frequencies, alpha, rules)
    else:
        lattice = falcon27(frequencies, alpha, rules)
    default = 14.0 if qubits is None else 0.0
    sigma = 1e-3 * one_number("sigma_MHz", default if sigma_MHz is None else sigma_MHz, at_least=0)
    expected = float(lattice.expected(sigma))
    free = float(lattice.collision_free_yield(sigma, n_draws if sigma else 1, random_state))
    error = (free * (1 - free) / n_draws) ** 0.5
    allowed = (
        None if target_yield is None else 1e3 * lattice.required_spread(target_yield, n_draws, random_state)
    )
    found = lattice.table(sigma)
    facts = {
        "n_qubits": len(lattice.names),
        "n_pairs": len(lattice.edges),
        "sigma_MHz": 1e3 * sigma,
        "expected": expected,
        "yield": free,
        "allowed_sigma_MHz": allowed,
        "collisions": [one._asdict() for one in found],
    }
    verdict = _collision_verdict(lattice, sigma, expected, free, error, target_yield, allowed, found)
    files = {figure: lambda path: save(plot_lattice(lattice, sigma), path)}
    output.emit(facts, [f"{free:.6g}"], lambda: print(verdict), files)


def _collision_verdict(
    lattice: Any,
    sigma: float,
    expected: float,
    free: float,
    error: float,
    target: float | None,
    allowed: float | None,
    found: list[Any],
) -> Verdict:
    n = len(lattice.names)
    if sigma:
        text = (
            f"With a spread of {1e3 * sigma:g} MHz {readable(expected, 3)} collisions are expected, and "
            f"{percent(free, decimals=1)} ± {percent(error, decimals=1)} of the lattices have none."
        )
        title = f"{n} qubits: {percent(free, decimals=1)} of lattices are free of collisions at {1e3 * sigma:g} MHz"
    else:
        text = f"{len(found) or 'No'} collision{'s' * (len(found) != 1)} at these frequencies."
        title = f"{n} qubits: {len(found) or 'no'} collision{'s' * (len(found) != 1)}"
    if allowed is not None:
        text += f" A yield of {percent(target or 0.0)} allows a spread of {readable(allowed, 3)} MHz."
    rows = tuple(
        ("-".join(one.qubits), str(one.rule), one.reason, percent(one.probability, 3))
        for one in found[:_MOST_LISTED]
    )
    sections = [Section("", text)]
    if rows:
        more = f", and {len(found) - len(rows)} more" if len(found) > len(rows) else ""
        table = Table(("qubits", "rule", "reason", "probability"), rows)
        sections.append(Section(f"Which collide ({len(rows)} most probable{more})", "", table))
    return Verdict(title, tuple(sections))


@junctions.command(help_epilogue=example("solvable junctions plan --n-junctions 3600"))
def plan(
    *,
    n_junctions: Whole = 3600,
    width_min_um: float = 0.05,
    width_max_um: float = 0.8,
    area_min_um2: float = 0.01,
    area_max_um2: float = 0.16,
    output: Output = OUTPUT,
) -> None:
    """Say which designs on the next test wafer tell whether widths or the barrier cause the spread.

    Args:
        n_junctions: Number of junctions.
        width_min_um: Smallest width that you can make, in µm.
        width_max_um: Largest width.
        area_min_um2: Smallest area.
        area_max_um2: Largest area.
        output: How the result is printed.
    """
    from solvable.junctions.variability import plan_designs

    table: Any = plan_designs(n_junctions, width_min_um, width_max_um, area_min_um2, area_max_um2)
    points = tuple(
        f"{row.plan}, ± {row.error:.3f}: {row.designs} µm, {min(row.counts)} junctions each"
        for row in table.itertuples()
    )
    few = f"{n_junctions} junctions tell next to nothing of a share between 0 and 1; take more"
    verdict = Verdict(
        f"Share of the widths in the variance at 0.2 x 0.2 µm, from {n_junctions} junctions",
        (Section("Plans, with the standard error of the share", points=points),),
        (
            *([few] if table["error"].min() > 0.25 else []),
            "squares alone cannot tell: both causes go as 1 / area",
            "the best two say nothing of the biases of the two widths, for which unequal widths are needed in both "
            "orders",
            "for widths with errors of 3 nm and a barrier of 1e-5 µm², as far as is known before",
        ),
    )
    output.emit(
        table.to_dict("records"), [f"{error:.6g}" for error in table["error"]], lambda: print(verdict)
    )


junctions.command(
    pict_check,
    help_epilogue=example("solvable junctions pict-check --t1-um 0.6 --t2-um 0.3"),
)
junctions.command(gds, help_epilogue=example("solvable junctions gds test.gds --widths-um 0.1,0.2,0.4"))
junctions.command(
    flows, help_epilogue=example("solvable junctions flows --queue-hours 24 --figure flows.svg")
)
