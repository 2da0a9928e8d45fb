# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page on Josephson junctions: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="What does a junction's resistance say?", css_file="../lab/page.css")

with app.setup:
    import html

    import marimo as mo

    from solvable.errors import InputError
    from solvable.junctions import explore
    from solvable.junctions.wafer import Qubit
    from solvable.lab import page
    from solvable.lab.text import percent, readable
    from solvable.lab.verdict import escape
    from solvable.streams import short


@app.cell(hide_code=True)
def _():
    page.header(
        "What does a junction's resistance say of the qubit?",
        """The resistance of a Josephson junction at room temperature tells the frequency of its transmon before
        anything is cooled, and the spread of resistances on a chip tells how many of a lattice's frequencies will
        collide. Move a slider, or drop the resistances of your own wafer.""",
    )
    return


@app.cell(hide_code=True)
def _():
    width_slider = page.slider("Width as drawn", explore.WIDTHS_um, 0.2)
    rho_slider = page.slider("Specific resistance", explore.RHOS_ohm_um2, 320)
    shunt_slider = page.slider("Shunt capacitance", explore.SHUNTS_fF, 78)
    gap_slider = page.slider("Superconducting gap", explore.GAPS_ueV, 180)
    spread_slider = page.slider("Spread of R", explore.SPREADS, 0.027)
    return gap_slider, rho_slider, shunt_slider, spread_slider, width_slider


@app.cell(hide_code=True)
def _(gap_slider, rho_slider, shunt_slider, spread_slider, width_slider):
    chain = explore.Chain(
        explore.WIDTHS_um[width_slider.value],
        explore.RHOS_ohm_um2[rho_slider.value],
        explore.SHUNTS_fF[shunt_slider.value],
        explore.GAPS_ueV[gap_slider.value],
    )
    spread = explore.SPREADS[spread_slider.value]
    junction = explore.chain_view(chain, spread)
    (width_chart, width_legend) = junction.charts[0]
    page.explorer(
        (
            page.control(width_slider, f"{readable(1e3 * chain.width_um)} nm"),
            page.control(rho_slider, f"{chain.rho_ohm_um2} ohm µm²"),
            page.control(shunt_slider, f"{chain.shunt_fF} fF"),
            page.control(gap_slider, f"{chain.gap_ueV} µeV"),
            page.control(spread_slider, percent(spread, 2)),
        ),
        f"""
        <div id="chain">{page.facts(junction.facts)}
        {page.warning(junction.warning)}
        <div class="charts"><div>{width_chart}{page.legend(*width_legend)}</div>
        <div><p class="formula" id="chain-sentence">{escape(junction.sentence)}</p>
        <div class="code"><div class="codehilite"><pre id="chain-code">{html.escape(junction.code)}</pre></div></div>
        </div></div></div>
        """,
        "From a drawn width to a frequency",
        """A square junction has R = ρ / w². Ambegaokar and Baratoff's relation turns R and the gap into the Josephson
        energy, the capacitance gives the charging energy, and f01 is the exact one of the transmon. ρ is that at room
        temperature; when cold, R is 1.1385 times as large. The spread is a relative standard deviation.""",
    )
    return


@app.cell(hide_code=True)
def _():
    chip_slider = page.slider("Spread of R on a chip", explore.SPREADS, 0.005)
    step_slider = page.slider("Frequency step", explore.STEPS_MHz, 70.0)
    return chip_slider, step_slider


@app.cell(hide_code=True)
def _(chip_slider, step_slider):
    chip_spread, step = explore.SPREADS[chip_slider.value], explore.STEPS_MHz[step_slider.value]
    found = explore.collision_view(chip_spread, step)
    page.explorer(
        (
            page.control(chip_slider, percent(chip_spread, 2)),
            page.control(step_slider, f"{readable(step)} MHz"),
        ),
        f"""
        <div id="collisions">{page.facts(found.facts)}
        <div class="charts">
        {"".join(f"<div>{drawn}{page.legend(*legend)}</div>" for drawn, legend in found.charts)}
        <p class="formula" id="collision-sentence">{escape(found.sentence)}</p>
        <div class="code"><div class="codehilite"><pre id="collision-code">{html.escape(found.code)}</pre></div></div>
        </div></div>
        """,
        "How many frequencies of a lattice collide?",
        """A heavy-hexagon lattice of 27 qubits of fixed frequency, at 5 GHz and one and two steps above, with an
        anharmonicity of −330 MHz and cross-resonance gates. Two or three neighbours collide where one of the seven
        rules of Hertzberg and others (2021) is broken. An error that all qubits of a chip share changes nothing, so it
        is the spread on a chip that counts, after trimming if there is any.""",
    )
    return


@app.cell(hide_code=True)
def _():
    upload = mo.ui.file(
        filetypes=[".csv"],
        kind="area",
        max_size=page.LARGEST_FILE_MB * 1_000_000,
        label=f"Resistances of your own wafer: .csv, at most {page.LARGEST_FILE_MB} MB",
    )
    wafer_choice = mo.ui.text(
        placeholder="if the file has several", label="Wafer", full_width=True, debounce=300
    )
    capacitance_choice = mo.ui.number(1, 10_000, 1, value=78, label="Shunt capacitance (fF)", full_width=True)
    gap_choice = mo.ui.number(10, 5000, 1, value=180, label="Superconducting gap (µeV)", full_width=True)
    synthetic_choice = mo.ui.checkbox(label="Show a synthetic wafer")
    page.block(f"""
    <h2>Your own wafer</h2>
    <p class="soft">One row per junction, with the columns <code>chip</code>, <code>w1_um</code>, <code>w2_um</code>
    (widths as drawn) and <code>R_ohm</code> or <code>R_kohm</code>; with <code>chip_x_mm</code> and
    <code>chip_y_mm</code> there is a map. OL is an open junction, an empty cell was not measured.</p>
    <div class="sources" id="wafer-fields">
    <div>{upload}</div>
    <div class="controls"><div>{wafer_choice}</div><div>{synthetic_choice}</div></div>
    <div class="controls"><div>{capacitance_choice}</div><div>{gap_choice}</div></div>
    </div>
    """)
    return capacitance_choice, gap_choice, synthetic_choice, upload, wafer_choice


@app.cell(hide_code=True)
def _(capacitance_choice, gap_choice, synthetic_choice, upload, wafer_choice):
    wafer, shown, file_name = None, "", str(upload.name() or "")
    with mo.status.spinner(title="Reading the wafer …", remove_on_exit=True):
        try:
            # An emptied field has no value.
            qubit = Qubit(shunt_fF=capacitance_choice.value or 78, gap_eV=1e-6 * (gap_choice.value or 180))
            if file_name:
                named = wafer_choice.value.strip() or None
                wafer = explore.wafer_report(file_name, upload.contents() or b"", named, qubit)
            elif synthetic_choice.value:
                wafer = explore.synthetic_report(qubit)
        except (InputError, MemoryError, OSError) as error:
            shown = page.problem(error)
    if wafer is not None:
        source = f"Report on {short(file_name)}:" if file_name else explore.TRUTH
        shown = f'<div id="wafer"><p class="soft">{escape(source)}</p>{wafer._repr_html_()}</div>'
        if drawn_map := explore.map_html(wafer):
            shown += f"""<div class="verdict"><h4>Map of the junctions</h4></div>
            <p class="soft">A dot is a junction, # one that stands out by more than 5 robust standard deviations after
            design and trend, a gap one that is open, shorted or not measured. The y axis points up.</p>
            <div id="wafer-map">{drawn_map}</div>"""
    page.block(shown)
    return


@app.cell(hide_code=True)
def _():
    page.footer("""
    <style>
    #chain .facts { grid-template-columns: repeat(3, minmax(0, 1fr)); }
    @media (max-width: 56rem) { #chain .facts { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
    #chain .formula, #collisions .formula { margin: 0; align-self: start; }
    #collisions .code pre { margin: 0; }
    svg.chart circle.counted { fill: var(--background, #fff); stroke: currentColor; stroke-width: 1.5; r: 4px; }
    .solvable .legend .band::before { border-top: .65rem solid var(--page-accent); opacity: .25;
      vertical-align: -.05em; }
    .solvable .legend :is(.counted, .here)::before { width: 10px; height: 10px; border-radius: 50%;
      border: 1.5px solid currentColor; vertical-align: 0; }
    .solvable .legend .here::before { background: var(--page-accent); border-color: var(--page-accent); }
    #wafer-map { container-type: inline-size; max-width: 36rem; }
    /* A character is 0.6 as wide as it is high: with the space between them each has a square of 1 em. */
    #wafer-map pre { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; line-height: 1;
      letter-spacing: .395em; margin: .4rem 0; overflow: hidden; white-space: pre; }
    #wafer-map b { color: var(--page-best); font-weight: 900; }
    </style>
    <p>The gap over the ratio of the resistances is what a few cooled qubits calibrate:
    <code>solvable.junctions.calibrate_gap(R_ohm, f01_GHz, EC_GHz)</code>. The junction's own capacitance is taken as
    50 fF/µm², for which 45 to 75 are quoted. The seven rules and their windows are those of
    <code>solvable.junctions.collisions</code>.</p>
    <p>The report in Python: <code>wafer.report(wafer.read_csv("FILE.csv"))</code>, with
    <code>from solvable.junctions import wafer</code>. Nothing of a file stays on the disk.</p>
    """)
    return


if __name__ == "__main__":
    app.run()
