# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page on stepwise self-supervised learning: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(
    width="full", app_title="One direction at a time: wait, or stop?", css_file="../lab/page.css"
)

with app.setup:
    import html

    import marimo as mo

    from solvable.errors import InputError
    from solvable.lab import page
    from solvable.lab.text import percent, readable
    from solvable.lab.verdict import escape
    from solvable.stepwise import explore, explore_loss, explore_setting


@app.cell(hide_code=True)
def _():
    page.header(
        "One direction at a time: wait, or stop?",
        """From small weights, an embedding trained without labels is learned one direction at a time, and its loss is a
        staircase. On a plateau the next direction grows unseen, and for a linear model, and so for any kernel, its step
        is known in advance. A flat loss may mean: wait.""",
    )
    return


@app.cell(hide_code=True)
def _():
    start = explore_setting.Setting()
    place_slider = page.slider("You are at step", explore_setting.PLACES, 36)
    dim_slider = page.slider("Dimension d", explore_setting.DIMS, start.dim)
    init_slider = page.slider("Initial weights s₀", explore_setting.INITS, start.init)
    rate_slider = page.slider("Learning rate η", explore_setting.SHARES, start.share)
    weight_decay_slider = page.slider("Weight decay w", explore_setting.WEIGHT_DECAYS, start.weight_decay)
    shared_slider = page.slider("Shared directions", explore_setting.SHARED, start.shared)
    decay_slider = page.slider("Decay a of γ = j⁻ᵃ", explore_setting.DECAYS, start.decay)
    gap_slider = page.slider("Gap in the middle", explore_setting.GAPS, start.gap)
    noise_slider = page.slider("Noise", explore_setting.NOISES, start.noise)
    return (
        decay_slider,
        dim_slider,
        gap_slider,
        init_slider,
        noise_slider,
        place_slider,
        rate_slider,
        shared_slider,
        weight_decay_slider,
    )


@app.cell(hide_code=True)
def _(
    decay_slider,
    dim_slider,
    gap_slider,
    init_slider,
    noise_slider,
    place_slider,
    rate_slider,
    shared_slider,
    weight_decay_slider,
):
    setting = explore_setting.Setting(
        init=explore_setting.INITS[init_slider.value],
        share=explore_setting.SHARES[rate_slider.value],
        decay=explore_setting.DECAYS[decay_slider.value],
        gap=explore_setting.GAPS[gap_slider.value],
        shared=explore_setting.SHARED[shared_slider.value],
        noise=explore_setting.NOISES[noise_slider.value],
        dim=explore_setting.DIMS[dim_slider.value],
        weight_decay=explore_setting.WEIGHT_DECAYS[weight_decay_slider.value],
    )
    seen = explore.view(setting, explore_setting.PLACES[place_slider.value])
    remarks = "".join(f"<p>{escape(one)}</p>" for one in seen.remarks)
    page.explorer(
        (
            page.control(place_slider, explore_setting.whole(setting.step_at(place_slider.value))),
            page.control(dim_slider, str(setting.dim)),
            page.control(init_slider, readable(setting.init)),
            page.control(rate_slider, f"{percent(setting.share)} of the largest"),
            page.control(
                weight_decay_slider, readable(setting.weight_decay) if setting.weight_decay else "none"
            ),
            page.control(shared_slider, str(setting.shared)),
            page.control(decay_slider, readable(setting.decay)),
            page.control(gap_slider, f"× {readable(setting.gap)}" if setting.gap > 1 else "none"),
            page.control(noise_slider, readable(setting.noise) if setting.noise else "none"),
        ),
        f"""
        <div id="staircase">{page.facts(seen.facts)}
        <p class="formula" id="sentence">{escape(seen.sentence)}</p>
        <div class="charts">
        <div><div id="loss">{seen.loss}</div>{page.legend(*seen.loss_legend)}</div>
        <div><div id="eigenvalues">{seen.eigenvalues}</div>{page.legend(*seen.eigenvalue_legend)}</div>
        <div><div id="spectrum">{seen.spectrum}</div>{page.legend(*seen.spectrum_legend)}
        <div class="soft" id="remarks">{remarks}</div></div>
        <div id="steps">{page.table(seen.heads, seen.rows)}</div></div>
        <div class="code"><div class="codehilite"><pre id="code">{html.escape(seen.code)}</pre></div></div></div>
        """,
        "The staircase",
        """Theory, linear model with d outputs, full-batch gradient descent on the loss ‖C − I‖², where C is the
        cross-correlation of the embeddings of both views. Each direction that the views share has an eigenvalue γ of
        their cross-correlation Γ; the larger it is, the sooner the direction is learned. The initial weights have the
        size s₀ along each.""",
        dense=True,
    )
    return


@app.cell(hide_code=True)
def _():
    labels = (
        "Loss in your log",
        "Dimension d of the embedding",
        "Off-diagonal weight λ",
        "Batch size, of all devices",
        "Factor before the whole loss",
    )
    loss_box, width_box, weight_box, batch_box, factor_box = (
        mo.ui.text(value=value, label=label, full_width=True, debounce=300)
        for value, label in zip(explore_loss.EXAMPLE, labels, strict=True)
    )
    return batch_box, factor_box, loss_box, weight_box, width_box


@app.cell(hide_code=True)
def _(batch_box, factor_box, loss_box, weight_box, width_box):
    try:
        reading = explore_loss.loss_view(
            explore_loss.Reading(
                loss_box.value, width_box.value, weight_box.value, batch_box.value, factor_box.value
            )
        )
        result = f"""
        {page.facts(reading.facts)}<p class="formula" id="reading-sentence">{escape(reading.sentence)}</p>
        {page.warning(reading.warning)}
        <div class="charts"><div>{reading.chart}{page.legend(*explore_loss.LEGEND)}</div>
        <div class="code"><div class="codehilite"><pre id="reading-code">{html.escape(reading.code)}</pre>
        </div></div></div>
        """
    except InputError as error:
        result = page.problem(error)
    page.explorer(
        (loss_box, width_box, weight_box, batch_box, factor_box),
        f'<div id="reading">{result}</div>',
        "Read a loss",
        """Theory, for Barlow Twins as it is used, with normalised coordinates and a small weight of the off-diagonal
        terms: each plateau has a height, so a value from a log file says how many directions the model has learned.
        solo-learn has a factor of 0.025 before the loss.""",
    )
    return


@app.cell(hide_code=True)
def _():
    page.footer("""
    <p>In your own training loop, for any loss: <code>solvable.stepwise.SpectrumTracker(dim)</code> watches the
    spectrum of the embeddings, forecasts the next step and says whether to wait or to stop.
    <code>predict_from_features(model, pairs)</code> predicts a network's steps before it is trained, and
    <code>KernelSSL(kernel, n_components)</code> solves a kernel exactly; on the command line
    <code>solvable run stepwise</code>.</p>
    """)
    return


if __name__ == "__main__":
    app.run()
