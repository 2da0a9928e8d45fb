# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page on donor nuclear spins: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="full", app_title="What does charge noise do to a nuclear spin?", css_file="../lab/page.css"
)

with app.setup:
    import html

    import marimo as mo

    from solvable.lab import page
    from solvable.lab.text import readable
    from solvable.lab.verdict import escape
    from solvable.spins import explore
    from solvable.spins.device import DonorDevice


@app.function(hide_code=True)
def part(name: str, view: explore.View) -> str:
    """Return a part of the page as HTML: facts, a warning if any, charts, a sentence and code."""
    charts = "".join(f"<div>{drawn}{page.legend(*legend)}</div>" for drawn, legend in view.charts)
    sentence = f'<p class="formula" id="{name}-sentence">{escape(view.sentence)}</p>'
    code = f'<div class="codehilite"><pre id="{name}-code">{html.escape(view.code)}</pre></div>'
    # Beside a third chart there is one place for both.
    between = "" if len(view.charts) % 2 else "</div><div>"
    below = f'<div>{sentence}{between}<div class="code">{code}</div></div>'
    return f"""
    <div id="{name}">{page.facts(view.facts)}
    {page.warning(view.warning)}
    <div class="charts">{charts}{below}
    </div></div>
    """


@app.cell(hide_code=True)
def _():
    page.header(
        "What does charge noise do to a nuclear spin?",
        """The nuclear spin of a phosphorus donor in silicon is a good qubit but a slow one. Shared between the donor
        and the interface above it, the donor's electron gives the spin an electric dipole, and with it fast gates, and
        a sensitivity to charge noise. Some pulses are fast and hardly feel slow noise.""",
    )
    return


@app.cell(hide_code=True)
def _():
    # Before the parts that take seconds, which would else appear without it.
    page.block("""
    <style>
    :is(#device, #gates, #noise) .facts { grid-template-columns: repeat(3, minmax(0, 1fr)); }
    @media (max-width: 56rem) { #device .facts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
      :is(#gates, #noise) .facts { grid-template-columns: minmax(0, 1fr); } }
    :is(#device, #gates, #noise) .formula { margin: 0 0 1rem; }
    :is(#device, #gates, #noise) .code pre { margin: 0; }
    svg.chart .curve.below { stroke: currentColor; }
    #gates svg.chart .curve:not(.zero) { stroke-width: 1.2; }
    svg.chart circle.here.below { fill: currentColor; }
    svg.chart circle.here.other { fill: var(--page-best); }
    svg.chart circle.start { fill: var(--background, #fff); stroke: currentColor; stroke-width: 1.5; r: 4px; }
    .solvable .legend .below::before { border-color: var(--foreground, #000); }
    .solvable .legend .chosen::before { border-top: 1px solid var(--page-soft); }
    .solvable .legend .bound::before { border-top: 1px dashed var(--page-soft); }
    .solvable .legend .here::before { width: 10px; height: 10px; border-radius: 50%; vertical-align: 0;
      background: var(--page-accent); border: 0; }
    </style>
    """)
    return


@app.cell(hide_code=True)
def _():
    coupling_slider = page.slider("Tunnel coupling", explore.COUPLINGS_GHz, 20.0)
    B0_slider = page.slider("Static magnetic field", explore.B0S_T, 0.2)
    depth_slider = page.slider("Depth of the donor", explore.DEPTHS_nm, 15)
    field_slider = page.slider("Field at the donor", explore.FIELDS_kV_per_m, 0.0)
    idle_noise_slider = page.slider("Noise while idle", explore.NOISES_V_per_m, 100)
    return B0_slider, coupling_slider, depth_slider, field_slider, idle_noise_slider


@app.cell(hide_code=True)
def _(B0_slider, coupling_slider, depth_slider, field_slider, idle_noise_slider):
    device = DonorDevice(
        tunnel_coupling_GHz=explore.COUPLINGS_GHz[coupling_slider.value],
        B0_T=explore.B0S_T[B0_slider.value],
        depth_nm=float(explore.DEPTHS_nm[depth_slider.value]),
    )
    field = explore.FIELDS_kV_per_m[field_slider.value]
    idle_noise = explore.NOISES_V_per_m[idle_noise_slider.value]
    page.explorer(
        (
            page.control(coupling_slider, f"{readable(device.tunnel_coupling_GHz)} GHz"),
            page.control(B0_slider, f"{readable(device.B0_T)} T"),
            page.control(depth_slider, f"{readable(device.depth_nm)} nm"),
            page.control(field_slider, f"{readable(field)} kV/m".replace("-", "−")),
            page.control(idle_noise_slider, f"{idle_noise} V/m"),
        ),
        part("device", explore.device_view(device, field, idle_noise)),
        "A donor, and where to leave its spin idle",
        """The field counts from the ionisation point, where donor and interface have the same energy; at
        lower fields the electron is at the donor. At that point the dipole is largest, and so is the slope of the
        nuclear frequency. The noise is the standard deviation of a field that is constant during one run.""",
    )
    return


@app.cell(hide_code=True)
def _():
    # In a cell of its own: a spinner that appeared with each move of a slider would replace the slider.
    with mo.status.spinner(title="Integrating the pulses, about ten seconds …", remove_on_exit=True):
        computed = [explore.run(_kind) for _kind in explore.GATES]
    return (computed,)


@app.cell(hide_code=True)
def _():
    gate_choice = page.choice("Gate", {"robust pulse": "robust", "naive pulse": "naive"})
    offset_slider = page.slider("Error of the field", explore.OFFSETS_V_per_m, 100)
    return gate_choice, offset_slider


@app.cell(hide_code=True)
def _(computed, gate_choice, offset_slider):
    mo.stop(not computed)
    offset = explore.OFFSETS_V_per_m[offset_slider.value]
    page.explorer(
        (gate_choice, page.control(offset_slider, f"± {offset} V/m")),
        part("gates", explore.gate_view(gate_choice.value, offset)),
        "A quarter turn with the field a little off",
        """Paths of the nuclear spin during X(π/2) on the device with 20 GHz, 0.2 T and 15 nm, all eight levels
        included, from the state 0 (open dot, z = 1) to where y = −1 would be right. Only phases were turned before and
        after, the same for all errors. Where a path is inside the sphere, its distance from the centre is the
        probability that the two states of the qubit still have.""",
    )
    return


@app.cell(hide_code=True)
def _():
    sigma_slider = page.slider("Noise of the field", explore.SIGMAS_V_per_m, 100)
    return (sigma_slider,)


@app.cell(hide_code=True)
def _(computed, sigma_slider):
    mo.stop(not computed)
    sigma = explore.SIGMAS_V_per_m[sigma_slider.value]
    page.explorer(
        (page.control(sigma_slider, f"{sigma} V/m"),),
        part("noise", explore.noise_view(sigma)),
        "How much noise does a gate withstand?",
        """The same two gates, averaged over errors of the field that are normal from gate to gate and constant during
        each.""",
    )
    return


@app.cell(hide_code=True)
def _():
    page.footer("""
    <p>The pulses are ours, after the idea of Simon and others (2020): the naive one is rectangular, with edges of 2 ns
    and 29 MHz off both resonances; the robust one is smooth and 1 µs long. Infidelities are averages over all initial
    states, and leakage counts as loss. They hold for exact amplitudes: electric ones that are 1 % too large cost the
    robust pulse 0.002, magnetic ones 0.004.</p>
    <p>For your own device: <code>solvable.spins.robust_x90(DonorDevice(...))</code>, about half a minute. Other
    pulses withstand 1/f noise or errors of the amplitudes better: <code>robust_x90(against="fast-noise")</code> and
    <code>robust_x90(against="amplitude")</code>.</p>
    """)
    return


if __name__ == "__main__":
    app.run()
