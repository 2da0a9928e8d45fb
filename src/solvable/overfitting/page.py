# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The wing's page: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Benign, tempered or catastrophic", css_file="../lab/page.css")

with app.setup:
    from html import escape

    import marimo as mo

    from solvable.errors import InputError
    from solvable.lab.text import readable
    from solvable.overfitting import explore, explore_labels, explore_profile


@app.cell(hide_code=True)
def _():
    # Served by `solvable app` it stands below the gallery; on its own there is nothing above it.
    request = mo.app_meta().request
    below = request is not None and "/" in str(request.url["path"]).strip("/")
    up = '<p><a href="../">← all pages</a></p>' if below else ""
    mo.Html(f"""
    <div class="solvable">{up}
    <h1>Benign, tempered or catastrophic: what does fitting noise cost?</h1>
    <p class="lead">A model that fits noisy labels exactly may still come out right as data grow (benign), stay worse by
    a fixed amount (tempered), or get ever worse (catastrophic). Which one it is decides whether to buy data, clean
    labels, or add a ridge.</p>
    </div>
    """)
    return


@app.cell(hide_code=True)
def _():
    def slider(label: str, values: tuple, start: float):
        # A slider moves along the indices of its values, whose steps grow; the page says the value.
        return mo.ui.slider(0, len(values) - 1, 1, value=values.index(start), label=label, full_width=True)

    def control(one, value: str) -> str:
        return f'<div class="control"><b>{value}</b>{one}</div>'

    def facts_of(facts) -> str:
        shown = (
            f'<div class="fact"><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd>{escape(note)}</dd></div>'
            for name, value, note in facts
        )
        return f'<dl class="facts">{"".join(shown)}</dl>'

    def words(text: str) -> str:
        # A number is not parted from its percent sign.
        return escape(text).replace(" %", "&nbsp;%")

    return control, facts_of, slider, words


@app.cell(hide_code=True)
def _():
    family_choice = mo.ui.dropdown(
        list(explore.FAMILIES),
        value=next(iter(explore.FAMILIES)),
        label="Kernel, or eigenvalues",
        full_width=True,
    )
    return (family_choice,)


@app.cell(hide_code=True)
def _(family_choice, slider):
    family = explore.FAMILIES[family_choice.value]
    number_slider = slider(family.label, family.steps, family.start)
    return family, number_slider


@app.cell(hide_code=True)
def _(slider):
    ridge_slider = slider("Ridge, in units of K(x, x)", explore.RIDGES, 0.0)
    n_slider = slider("Training samples n", explore.SIZES, 1000)
    return n_slider, ridge_slider


@app.cell(hide_code=True)
def _(control, facts_of, family, family_choice, n_slider, number_slider, ridge_slider, words):
    number, ridge = family.steps[number_slider.value], explore.RIDGES[ridge_slider.value]
    n = explore.SIZES[n_slider.value]
    seen = explore.theory_view(explore.Setting(family_choice.value, number, ridge), n)
    lines = (
        "<span>this kernel</span>"
        + ('<span class="other">without a ridge</span>' if ridge else "")
        + (f'<span class="asked">where it comes to rest, {seen.limit}</span>' if seen.limit else "")
    )
    mo.Html(f"""
    <div class="solvable"><h2>What fitting noise costs a kernel</h2>
    <p class="soft">Theory, squared loss: how much of the labels' noise a kernel machine that fits it adds to its test
    error; a nearest neighbour adds 100 % of the noise's variance. How fast the kernel's eigenvalues fall
    decides. Kernels have length scale 1, and inputs on a unit sphere of intrinsic dimension D.</p>
    <div class="explorer">
    <div class="controls"><div>{family_choice}</div>{control(number_slider, readable(number))}
    {control(ridge_slider, readable(ridge) if ridge else "none")}{control(n_slider, str(n))}</div>
    <div id="theory">{facts_of(seen.facts)}
    <div class="charts"><div><div id="cost">{seen.chart}</div><div class="legend">{lines}</div></div>
    <div><p id="cost-advice">{words(seen.advice)}</p>
    {f'<p class="warn">{words(seen.warning)}</p>' if seen.warning else ""}</div></div></div>
    </div></div>
    """)
    return


@app.cell(hide_code=True)
def _(slider):
    classes_slider = slider("Classes K", explore_labels.CLASSES, 10)
    wrong_slider = mo.ui.slider(0, 90, 1, value=20, label="Wrong training labels p", full_width=True)
    neighbours_slider = slider("Neighbours k", explore_labels.NEIGHBOURS, 5)
    return classes_slider, neighbours_slider, wrong_slider


@app.cell(hide_code=True)
def _(classes_slider, control, facts_of, neighbours_slider, words, wrong_slider):
    classes = explore_labels.CLASSES[classes_slider.value]
    neighbours = explore_labels.NEIGHBOURS[neighbours_slider.value]
    # Beyond this share labels would point away from the truth.
    wrong = min(wrong_slider.value / 100, 1 - 1 / classes)
    votes = explore_labels.labels_view(classes, wrong, neighbours)
    mo.Html(f"""
    <div class="solvable"><h2>What wrong labels cost a vote</h2>
    <p class="soft">Theory, wrong answers: k nearest neighbours vote, with all the data in the world, on a task that
    true labels would solve. A wrong label is any of the other classes, each as likely. Hold your own model's curve
    against these lines.</p>
    <div class="explorer">
    <div class="controls">{control(classes_slider, str(classes))}{control(wrong_slider, f"{100 * wrong:.3g} %")}
    {control(neighbours_slider, str(neighbours))}</div>
    <div>{facts_of(votes.facts)}
    <div class="charts"><div><div id="votes">{votes.chart}</div>
    <div class="legend"><span>{neighbours}-NN</span><span class="other">1-NN</span>
    <span class="theory">the best possible</span><span class="asked">a guess</span></div></div>
    <div><p id="votes-advice">{words(votes.advice)}</p></div></div></div>
    </div></div>
    """)
    return


@app.cell(hide_code=True)
def _(slider):
    task_choice = mo.ui.dropdown(
        explore_profile.TASKS,
        value=next(iter(explore_profile.TASKS)),
        label="Digits: what is asked",
        full_width=True,
    )
    machine_choice = mo.ui.dropdown(
        explore_profile.KERNELS,
        value=next(iter(explore_profile.KERNELS)),
        label="Kernel of the machine",
        full_width=True,
    )
    length_slider = slider("Length scale", explore_profile.LENGTHS, 1.0)
    penalty_slider = slider("Ridge of the machine", explore_profile.RIDGES, 0.0)
    digits_slider = slider("Digits to train on", explore_profile.SIZES, explore_profile.SIZES[-1])
    return digits_slider, length_slider, machine_choice, penalty_slider, task_choice


@app.cell(hide_code=True)
def _(control, digits_slider, facts_of, length_slider, machine_choice, penalty_slider, task_choice, words):
    length, penalty = (
        explore_profile.LENGTHS[length_slider.value],
        explore_profile.RIDGES[penalty_slider.value],
    )
    machine = explore_profile.Machine(machine_choice.value, length, task_choice.value)
    told = explore_profile.machine_view(machine, explore_profile.SIZES[digits_slider.value], penalty)
    mo.Html(f"""
    <div class="solvable"><h2>A real machine</h2>
    <p class="soft">Measured: kernel regression on handwritten digits, some of whose training labels are made wrong,
    tested on true ones. The same fits are judged twice: by their answers (0-1 loss) and by their squared error. In both
    the cost of noise is 1 for a nearest neighbour.</p>
    <div class="explorer">
    <div class="controls"><div>{task_choice}</div><div>{machine_choice}</div>
    {control(length_slider, f"{readable(length)} × median" if machine.has_length else "has none")}
    {control(penalty_slider, readable(penalty) if penalty else "none")}
    {control(digits_slider, str(explore_profile.SIZES[digits_slider.value]))}</div>
    <div>{facts_of(told.facts)}
    <div class="charts" id="machine"><div><div id="profile">{told.profile}</div>
    <div class="legend"><span>this machine</span><span class="other">1-NN, in the limit</span>
    <span class="theory">the best possible</span><span class="asked">a guess</span></div></div>
    <div><div id="trend">{told.trend}</div>
    <div class="legend"><span>0-1 loss: sensitivity</span><span class="other">squared loss: V</span></div></div></div>
    <p id="machine-advice">{words(told.advice)}</p>
    {f'<p class="warn">{words(told.warning)}</p>' if told.warning else ""}</div>
    </div></div>
    """)
    return


@app.cell(hide_code=True)
def _():
    measured_text = mo.ui.text_area(
        value=explore_labels.EXAMPLE,
        label="n, sensitivity, standard error",
        rows=8,
        full_width=True,
        debounce=300,
    )
    own_classes = mo.ui.text(
        value="10", label="Classes (empty: a number is predicted)", full_width=True, debounce=300
    )
    own_wrong = mo.ui.text(value="20 %", label="Share of wrong labels", full_width=True, debounce=300)
    strict_choice = mo.ui.checkbox(label="Strict: allow for decays as slow as 1/ln n")
    return measured_text, own_classes, own_wrong, strict_choice


@app.cell(hide_code=True)
def _(facts_of, measured_text, own_classes, own_wrong, strict_choice, words):
    try:
        verdict = explore_labels.verdict_view(
            explore_labels.read_measurements(measured_text.value, own_classes.value, own_wrong.value),
            strict_choice.value,
        )
        warned = "".join(f'<p class="warn">{words(one)}</p>' for one in verdict.warnings)
        rests = "".join(f"<p>{words(one)}</p>" for one in verdict.assumptions)
        judged = f"""
        {facts_of(verdict.facts)}
        <div class="charts"><div><div id="measured">{verdict.chart}</div>
        <div class="legend"><span class="other">measured, ± standard error</span>
        <span class="theory">what stays for n → ∞; band: 95 %</span>
        <span class="asked">below it counts as none</span></div></div>
        <div id="verdict"><p>{words(verdict.reason)} {words(verdict.advice)}</p>{warned}
        <div class="soft">{rests}</div></div></div>
        """
    except InputError as error:
        problem = str(error)
        judged = f'<div id="problem" class="problem" role="alert">{words(problem[:1].upper() + problem[1:])}.</div>'
    mo.Html(f"""
    <div class="solvable"><h2>Your own measurements</h2>
    <p class="soft">Sensitivity s at each training size: what wrong labels add to the error on true test labels,
    divided by their share; exactly, s = (e(p) − e(0)) / (p (1 − e(0) K/(K − 1))). The example is a Gaussian
    kernel on MNIST.</p>
    <div class="explorer">
    <div class="controls"><div>{measured_text}</div><div>{own_classes}</div><div>{own_wrong}</div>
    <div>{strict_choice}</div></div>
    <div>{judged}</div>
    </div></div>
    """)
    return


@app.cell(hide_code=True)
def _():
    mo.Html("""
    <div class="solvable soft">
    <p>The same in Python, from <code>solvable.overfitting</code>: <code>overfitting_coefficient(eigensystem, n)</code>,
    <code>noise_profile(estimator, X, y)</code>, <code>classify_overfitting(n, s, error, noise_level=p)</code>; on the
    command line <code>solvable noise-profile FILE.csv --target COLUMN</code>.
    Ridges are added to the kernel matrix undivided, as in scikit-learn's <code>KernelRidge(alpha=)</code>.</p>
    </div>
    """)
    return


if __name__ == "__main__":
    app.run()
