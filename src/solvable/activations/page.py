# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page of designed activations: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Activations by design", css_file="../lab/page.css")

with app.setup:
    import html

    import marimo as mo

    from solvable.activations import explore, explore_training
    from solvable.errors import InputError
    from solvable.lab import page
    from solvable.lab.text import readable
    from solvable.lab.verdict import escape


@app.cell(hide_code=True)
def _():
    page.header(
        "Shape a kernel, get the activation that has it",
        """What a wide network learns depends on its kernel: the similarity of two inputs as a function of the angle
        between them. Choose a kernel, such as a deep network's, or shape your own. The page shows the activation that
        gives a network of <em>one</em> hidden layer this kernel, and what that network learns.""",
    )
    return


@app.cell(hide_code=True)
def _():
    preset_choice = page.choice("Kernel to start from", list(explore.PRESETS))
    kind_choice = page.choice(
        "Trained parameters",
        {"all (kernel: the NTK)": "ntk", "the readout alone (kernel: the NNGP kernel)": "nngp"},
    )
    family_choice = page.choice(
        "Family of the activation",
        {
            explore.AUTOMATIC: explore.AUTOMATIC,
            "polynomial of degree 6": "hermite",
            "ReLU + cosine + line": "relu+cos",
            "three shifted ReLUs + line": "shifted relus",
        },
    )
    signs_choice = page.choice(
        "Signs of a polynomial's terms",
        {
            "+ + − − + + −": "alternate pairs",
            "all +": "positive",
            "least variance": "minimise variance",
        },
    )
    page.block(f"""
    <div class="choices"><div>{preset_choice}</div><div>{kind_choice}</div>
    <div>{family_choice}</div><div>{signs_choice}</div></div>
    """)
    return family_choice, kind_choice, preset_choice, signs_choice


@app.cell(hide_code=True)
def _(preset_choice):
    # A preset sets the sliders to its nearest power series; until one is moved, the kernel is the preset itself.
    values = [explore.slider_values(start) for start in explore.starting_series(preset_choice.value)]
    sliders = mo.ui.array(
        [
            page.slider(term, steps, start)
            for steps, start, term in zip(
                values,
                explore.starting_series(preset_choice.value),
                ("a₀", "a₁ c", "a₂ c²", "a₃ c³", "a₄ c⁴", "a₅ c⁵", "a₆ c⁶"),
                strict=True,
            )
        ]
    )
    project_choice = mo.ui.checkbox(label="Use the nearest kernel that an activation has")
    return project_choice, sliders, values


@app.cell(hide_code=True)
def _():
    width_slider = page.slider("Neurons N", explore.WIDTHS, 1024)
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
    refusal = ""
    try:
        if choice.waits:
            # It is an overlay, since inserting it would move the charts.
            mo.output.replace(
                mo.Html('<div class="solvable busy" role="status">Fitting an activation …</div>')
            )
        explore.shape(choice)
    except InputError as error:
        refusal = str(error)
    # An empty element in its place, since a cell without output has no margin.
    mo.output.replace(mo.Html("<div></div>"))
    return choice, refusal


@app.cell(hide_code=True)
def _(choice, library_choice, refusal, project_choice, sliders, values, width_slider):
    width = explore.WIDTHS[width_slider.value]

    target = ("asked", f"target: {'your power series' if choice.shaped else choice.preset}")
    # The checkbox stays in place when it is checked, so that it can be unchecked.
    offer = f"<p>{project_choice}</p>" if refusal or choice.project else ""
    if refusal:
        try:
            chart = explore.asked_chart(choice) + page.legend(target)
        except InputError:
            chart = ""
        result = f"""
        {page.problem(refusal, offer)}
        <div class="charts"><div id="kernel">{chart}</div></div>
        """
    else:
        view = explore.view(choice, width)
        names = page.legend(target, ("", f"this net; band: ± 1 std with {width} neurons"))
        source = html.escape(view.source[library_choice.value])
        result = f"""
        {f'<div id="offer" class="problem">{offer}</div>' if offer else ""}
        {page.facts(view.facts)}
        <p class="formula" id="formula">{html.escape(view.formula)}</p>
        <div class="charts">
        <div><div id="kernel">{view.kernel}</div>{names}</div>
        <div id="activation">{view.activation}</div>
        <div id="coefficients">{view.coefficients}</div>
        <div class="code"><div class="row">{library_choice}</div>
        <div id="code"><div class="codehilite"><pre>{source}</pre></div></div></div>
        </div>
        """
    explanation = """<p class="soft">K(c) = a₀ + a₁ c + … + a₆ c⁶, where c is the cosine of the angle. The sliders start
    at the series nearest to the kernel; once you move one, the series is the kernel.</p>"""
    coefficients = (
        page.control(slider, readable(steps[slider.value]))
        for steps, slider in zip(values, sliders, strict=True)
    )
    page.explorer((explanation, *coefficients, page.control(width_slider, str(width))), result, dense=True)
    return (width,)


@app.cell(hide_code=True)
def _():
    task_choice = mo.ui.dropdown(
        explore_training.TASKS, value=next(iter(explore_training.TASKS)), label="What to learn"
    )
    train_button = mo.ui.run_button(label="Train the net")
    lacking = explore_training.torch_missing()
    page.block(f"""
    <h2>Train it</h2>
    <p class="soft">Train the net on 400 handwritten digits with {
        explore_training.STEPS
    } steps of full-batch gradient descent, and compare it with a ReLU net of the same size and with the predictions of
    both kernels. The number of neurons is that of the slider, at most {explore_training.MOST_TRAINED}.</p>
    {
        f'<p id="no-torch" class="warn">{escape(lacking[:1].upper() + lacking[1:])}</p>'
        if lacking
        else f'<div class="row">{task_choice}{train_button}</div>'
    }
    """)
    return task_choice, train_button


@app.cell(hide_code=True)
def _():
    # The last result stays while the sliders move.
    last_trained, set_last_trained = mo.state("")
    return last_trained, set_last_trained


@app.cell(hide_code=True)
def _(choice, refusal, set_last_trained, task_choice, train_button, width):
    if train_button.value and refusal:
        set_last_trained(page.warning("There is no net to train: no activation has the kernel above."))
    elif train_button.value:
        with mo.status.spinner(title="Training …", subtitle="a few seconds") as training_spinner:
            try:
                trained = explore_training.trained_view(
                    explore_training.train_both(
                        choice,
                        width,
                        task_choice.value,
                        lambda stage: training_spinner.update(subtitle=stage),
                    )
                )
                curves = page.legend(
                    *(("", "designed net"), ("theory", "prediction of its kernel")),
                    *(("other", "ReLU net"), ("theory other", "prediction of its kernel")),
                )
                set_last_trained(f"""
                <p class="soft">{escape(trained.note)}</p>{page.warning(trained.warning)}
                {page.facts(trained.facts)}
                <div class="charts"><div id="train-loss">{trained.train_loss}</div>
                <div id="test-loss">{trained.test_loss}</div></div>{curves}
                """)
            except InputError as error:
                set_last_trained(page.warning(str(error)))
    return


@app.cell(hide_code=True)
def _(last_trained):
    mo.Html(f'<div class="solvable" id="trained">{last_trained()}</div>')
    return


@app.cell(hide_code=True)
def _():
    page.footer("""
    <p>The kernel is that of inputs of norm √d and weights of variance 1 in both layers, without biases. In Python:
    <code>solvable.activations.design(kernel)</code>; on the command line:
    <code>solvable activations design "relu ntk 4" --family relu+cos</code>.</p>
    """)
    return


if __name__ == "__main__":
    app.run()
