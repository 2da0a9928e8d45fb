# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The wing's page: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Activations by design", css_file="../lab/page.css")

with app.setup:
    from html import escape

    import marimo as mo

    from solvable.activations import explore, explore_training
    from solvable.errors import InputError
    from solvable.lab.text import readable


@app.cell(hide_code=True)
def _():
    # Served by `solvable app` it stands below the gallery; on its own there is nothing above it.
    request = mo.app_meta().request
    below = request is not None and "/" in str(request.url["path"]).strip("/")
    up = '<p><a href="../">← all pages</a></p>' if below else ""
    mo.Html(f"""
    <div class="solvable">{up}
    <h1>Shape a kernel, get the activation that has it</h1>
    <p class="lead">What a wide network learns is decided by its kernel: how alike it holds two inputs, by the angle
    between them. Choose one, a deep network's if you like, or shape your own; here is the activation with which a
    network of <em>one</em> hidden layer has it, and what that network learns.</p>
    </div>
    """)
    return


@app.cell(hide_code=True)
def _():
    preset_choice = mo.ui.dropdown(
        list(explore.PRESETS),
        value=next(iter(explore.PRESETS)),
        label="Kernel to start from",
        full_width=True,
    )
    kind_choice = mo.ui.dropdown(
        {"everything (its kernel: the NTK)": "ntk", "the readout alone (the NNGP kernel)": "nngp"},
        value="everything (its kernel: the NTK)",
        label="What is trained",
        full_width=True,
    )
    family_choice = mo.ui.dropdown(
        {
            explore.AUTOMATIC: explore.AUTOMATIC,
            "polynomial of degree 6": "hermite",
            "ReLU + cosine + line": "relu+cos",
            "three shifted ReLUs + line": "shifted relus",
        },
        value=explore.AUTOMATIC,
        label="What the activation is made of",
        full_width=True,
    )
    signs_choice = mo.ui.dropdown(
        {
            "+ + − − + + −": "alternate pairs",
            "all +": "positive",
            "the calmest, searched": "minimise variance",
        },
        value="+ + − − + + −",
        label="Signs of a polynomial's terms",
        full_width=True,
    )
    mo.Html(f"""
    <div class="solvable"><div class="choices"><div>{preset_choice}</div><div>{kind_choice}</div>
    <div>{family_choice}</div><div>{signs_choice}</div></div></div>
    """)
    return family_choice, kind_choice, preset_choice, signs_choice


@app.cell(hide_code=True)
def _(preset_choice):
    # A preset sets the sliders to its nearest power series; while they stand there, the preset itself is meant.
    values = [explore.slider_values(start) for start in explore.starting_series(preset_choice.value)]
    sliders = mo.ui.array(
        [
            # A slider moves along the indices of its values, whose steps grow.
            mo.ui.slider(0, len(steps) - 1, 1, value=steps.index(start), label=term, full_width=True)
            for steps, start, term in zip(
                values,
                explore.starting_series(preset_choice.value),
                ("a₀", "a₁ c", "a₂ c²", "a₃ c³", "a₄ c⁴", "a₅ c⁵", "a₆ c⁶"),
                strict=True,
            )
        ]
    )
    project_choice = mo.ui.checkbox(label="Take the nearest kernel that such a net has")
    return project_choice, sliders, values


@app.cell(hide_code=True)
def _():
    width_slider = mo.ui.slider(
        0, len(explore.WIDTHS) - 1, 1, value=explore.WIDTHS.index(1024), label="Neurons N", full_width=True
    )
    library_choice = mo.ui.dropdown(["numpy", "torch"], value="numpy", label="The activation as code, for")
    return library_choice, width_slider


@app.cell(hide_code=True)
def _(family_choice, kind_choice, preset_choice, project_choice, signs_choice, sliders, values):
    choice = explore.Choice(
        preset_choice.value,
        tuple(steps[index] for steps, index in zip(values, sliders.value, strict=True)),
        kind_choice.value,
        family_choice.value,
        signs_choice.value,
        project_choice.value,
    )
    problem = ""
    try:
        if choice.waits:
            # It lies above the page: one that pushed the charts down would make them jump.
            mo.output.replace(
                mo.Html('<div class="solvable busy" role="status">Fitting an activation …</div>')
            )
        explore.shape(choice)
    except InputError as error:
        problem = str(error)
    # Something empty in its place, since a cell without output has no margin.
    mo.output.replace(mo.Html("<div></div>"))
    return choice, problem


@app.cell(hide_code=True)
def _(choice, library_choice, problem, project_choice, sliders, values, width_slider):
    width = explore.WIDTHS[width_slider.value]

    def control(slider, value: str) -> str:
        return f'<div class="control"><b>{value}</b>{slider}</div>'

    def facts_of(facts) -> str:
        shown = (
            f'<div class="fact"><dt>{name}</dt><dd>{value}</dd><dd>{note}</dd></div>'
            for name, value, note in facts
        )
        return f'<dl class="facts">{"".join(shown)}</dl>'

    coefficients = "".join(
        control(slider, readable(steps[slider.value])) for steps, slider in zip(values, sliders, strict=True)
    )
    asked_words = "your power series" if choice.shaped else escape(choice.preset)
    # The offer stays where it is once it is taken, so that it can be taken back.
    offer = f"<p>{project_choice}</p>" if problem or choice.project else ""
    legend = f"""<div class="legend"><span class="asked">asked for: {asked_words}</span>"""
    if problem:
        try:
            chart = explore.asked_chart(choice)
        except InputError:
            chart, legend = "", ""
        result = f"""
        <div id="problem" class="problem" role="alert">{escape(problem[:1].upper() + problem[1:])}.{offer}</div>
        <div class="charts"><div id="kernel">{chart}{legend}</div></div></div>
        """
    else:
        seen = explore.view(choice, width)
        result = f"""
        {f'<div id="offer" class="problem">{offer}</div>' if offer else ""}
        {facts_of(seen.facts)}
        <p class="formula" id="formula">{escape(seen.formula)}</p>
        <div class="charts">
        <div><div id="kernel">{seen.kernel}</div>{legend}
        <span>this net; band: ± 1 std with {width} neurons</span></div></div>
        <div id="activation">{seen.activation}</div>
        <div id="coefficients">{seen.coefficients}</div>
        <div class="code"><div class="row">{library_choice}</div>
        <div id="code"><div class="codehilite"><pre>{escape(seen.source[library_choice.value])}</pre></div></div></div>
        </div>
        """
    mo.Html(f"""
    <div class="solvable"><div class="explorer">
    <div class="controls dense">
    <p class="soft">K(c) = a₀ + a₁ c + … + a₆ c⁶, where c is the cosine of the angle. These start at the series
    nearest to the kernel; move one, and the series is the kernel.</p>
    {coefficients}{control(width_slider, str(width))}</div>
    <div>{result}</div>
    </div></div>
    """)
    return facts_of, width


@app.cell(hide_code=True)
def _():
    task_choice = mo.ui.dropdown(
        explore_training.TASKS, value=next(iter(explore_training.TASKS)), label="What to learn"
    )
    train_button = mo.ui.run_button(label="Train the net")
    lacking = explore_training.torch_missing()
    mo.Html(f"""
    <div class="solvable"><h2>Train it</h2>
    <p class="soft">On 400 handwritten digits, beside a ReLU net of the same size, with full-batch gradient descent,
    {
        explore_training.STEPS
    } steps. Before that, the kernels of both say what will happen. The net has the N of the slider, at
    most {explore_training.MOST_TRAINED}.</p>
    {
        f'<p id="no-torch" class="warn">{escape(lacking[:1].upper() + lacking[1:])}</p>'
        if lacking
        else f'<div class="row">{task_choice}{train_button}</div>'
    }
    </div>
    """)
    return task_choice, train_button


@app.cell(hide_code=True)
def _():
    # What was trained last stays, while the sliders move on.
    last_trained, set_last_trained = mo.state("")
    return last_trained, set_last_trained


@app.cell(hide_code=True)
def _(choice, facts_of, problem, set_last_trained, task_choice, train_button, width):
    if train_button.value and problem:
        set_last_trained('<p class="warn">There is no net to train: no activation has the kernel above.</p>')
    elif train_button.value:
        with mo.status.spinner(title="Training …", subtitle="a few seconds") as training_spinner:
            try:
                told = explore_training.trained_view(
                    explore_training.train_both(
                        choice,
                        width,
                        task_choice.value,
                        lambda stage: training_spinner.update(subtitle=stage),
                    )
                )
                set_last_trained(f"""
                <p class="soft">{escape(told.note)}</p>
                {f'<p class="warn">{escape(told.warning)}</p>' if told.warning else ""}
                {facts_of(told.facts)}
                <div class="charts"><div id="train-loss">{told.train_loss}</div>
                <div id="test-loss">{told.test_loss}</div></div>
                <div class="legend"><span>designed net</span><span class="theory">what its kernel said</span>
                <span class="other">ReLU net</span><span class="theory other">what its kernel said</span></div>
                """)
            except InputError as error:
                set_last_trained(f'<p class="warn">{escape(str(error))}</p>')
    return


@app.cell(hide_code=True)
def _(last_trained):
    mo.Html(f'<div class="solvable" id="trained">{last_trained()}</div>')
    return


@app.cell(hide_code=True)
def _():
    mo.Html("""
    <div class="solvable soft">
    <p>The kernel is that of inputs of norm √d and weights of variance 1 in both layers, without biases. The same in
    Python: <code>solvable.activations.design(kernel)</code>; on the command line:
    <code>solvable activations design "relu ntk 4" --family relu+cos</code>.</p>
    </div>
    """)
    return


if __name__ == "__main__":
    app.run()
