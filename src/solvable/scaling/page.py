# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page on learning rates across widths: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="full", app_title="Learning rates that transfer across widths", css_file="../lab/page.css"
)

with app.setup:
    import html

    import marimo as mo

    from solvable.errors import InputError
    from solvable.lab import page
    from solvable.lab.text import readable
    from solvable.lab.verdict import escape
    from solvable.scaling import explore, explore_measured


@app.cell(hide_code=True)
def _():
    page.header(
        "Tune a narrow network, train a wide one",
        """In a wider network, the same learning rate changes the features of some layers more than before, and of
        others less. The spectral condition gives each layer an initialisation and a learning rate with which features
        change by the same amount at every width, so that the rate you tuned on a narrow network suits a wide one.""",
    )
    return


@app.cell(hide_code=True)
def _():
    optimizer_choice = page.choice("Optimizer", explore.OPTIMIZERS)
    base_choice = page.choice("Learning rate tuned at width", explore.BASES)
    inputs_slider = page.slider("Inputs d", explore.INPUTS, 784)
    width_slider = page.slider("Width n", explore.WIDTHS, 1024)
    depth_slider = page.slider("Layers of weights L", explore.DEPTHS, 4)
    outputs_slider = page.slider("Outputs k", explore.OUTPUTS, 10)
    return base_choice, depth_slider, inputs_slider, optimizer_choice, outputs_slider, width_slider


@app.cell(hide_code=True)
def _(base_choice, depth_slider, inputs_slider, optimizer_choice, outputs_slider, width_slider):
    network = explore.Network(
        explore.INPUTS[inputs_slider.value],
        explore.WIDTHS[width_slider.value],
        explore.DEPTHS[depth_slider.value],
        explore.OUTPUTS[outputs_slider.value],
        optimizer_choice.value,
        base_choice.value,
    )
    seen = explore.view(network)
    charts = "".join(f"<div>{chart}{page.legend(*curves)}</div>" for chart, curves in seen.charts)
    page.explorer(
        (
            optimizer_choice,
            base_choice,
            page.control(width_slider, str(network.width)),
            page.control(depth_slider, str(network.depth)),
            page.control(inputs_slider, str(network.inputs)),
            page.control(outputs_slider, str(network.outputs)),
        ),
        f"""
        <div id="network">{page.facts(seen.facts)}
        <p class="formula" id="sentence">{escape(seen.sentence)}</p>{page.warning(seen.warning)}
        <div class="charts">
        <div>{page.table(seen.heads, seen.rows)}<p class="soft">{escape(seen.note)}</p></div>
        <div class="code"><div class="codehilite"><pre id="code">{html.escape(seen.code)}</pre></div></div>
        {charts}</div></div>
        """,
        "Your network",
        """A fully connected network. Theory: the factors hold at any width. The charts show by how much one step
        changes the output of each layer, to leading order in the width n: with one learning rate for all layers and
        weights of variance 1/fan in; in the NTK parametrization, whose weights of variance 1 are divided by √fan in;
        and under the spectral condition.""",
    )
    return (network,)


@app.cell(hide_code=True)
def _():
    measure_button = mo.ui.run_button(label="Measure it")
    lacking = explore_measured.torch_missing()
    page.block(f"""
    <h2>Measure it</h2>
    <p class="soft">{escape(explore_measured.EXPERIMENT)}</p>
    {
        f'<p id="no-torch" class="warn">{escape(lacking[:1].upper() + lacking[1:])}</p>'
        if lacking
        else f'<div class="row">{measure_button}</div>'
    }
    """)
    return (measure_button,)


@app.cell(hide_code=True)
def _():
    # The last result stays while the sliders move.
    last_measured, set_last_measured = mo.state("")
    return last_measured, set_last_measured


@app.cell(hide_code=True)
def _(measure_button, network, set_last_measured):
    if measure_button.value:
        with mo.status.spinner(title="Training …", subtitle="a few seconds"):
            try:
                measured = explore_measured.measured_view(explore_measured.measure(network.optimizer))
                set_last_measured(
                    f"<p>{escape(measured.sentence)}</p>{page.table(measured.heads, measured.rows)}"
                    f'<p class="soft">{escape(measured.note)}</p>'
                )
            except InputError as error:
                set_last_measured(page.warning(str(error)))
    return


@app.cell(hide_code=True)
def _(last_measured):
    mo.Html(f'<div class="solvable" id="measured">{last_measured()}</div>')
    return


@app.cell(hide_code=True)
def _():
    gamma_slider = page.slider("Richness γ", explore.GAMMAS, 1.0)
    return (gamma_slider,)


@app.cell(hide_code=True)
def _(gamma_slider, network):
    gamma = explore.GAMMAS[gamma_slider.value]
    richness = explore.richness_view(gamma, network.depth)
    page.explorer(
        (page.control(gamma_slider, readable(gamma)),),
        f"""
        <div id="richness">{page.facts(richness.facts)}
        <div class="charts"><div>{richness.chart}{page.legend(*richness.legend)}</div>
        <div><p>{escape(richness.advice)}</p></div></div></div>
        """,
        "How much the features are to change",
        """Train (f − f₀)/γ in place of f, where f₀ is the network at the start. With a small γ the weights hardly have
        to move (lazy), with a large one they move a lot and features are learnt (rich). Theory, for the product of L
        weights trained to the target 1; L is that of your network.""",
    )
    return


@app.cell(hide_code=True)
def _():
    page.footer("""
    <p>For any torch model, with convolutions, embeddings, attention and normalisation:
    <code>solvable.scaling.describe(model)</code> lists what each parameter needs, <code>init_</code> and
    <code>param_groups</code> set it, <code>coordinate_check</code> and <code>transfer</code> measure it; on the command
    line: <code>solvable scaling describe torch.nn:MultiheadAttention --params embed_dim=256,num_heads=4</code>.</p>
    """)
    return


if __name__ == "__main__":
    app.run()
