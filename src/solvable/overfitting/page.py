# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page on overfitting: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Benign, tempered or catastrophic", css_file="../lab/page.css")

with app.setup:
    import marimo as mo

    from solvable.errors import InputError
    from solvable.lab import page
    from solvable.lab.text import percent, readable
    from solvable.lab.verdict import escape
    from solvable.overfitting import explore, explore_labels, explore_profile


@app.cell(hide_code=True)
def _():
    page.header(
        "Benign, tempered or catastrophic: what does fitting noise cost?",
        """As data grow, a model that fits noisy labels exactly may reach the best error (benign), stay worse by a fixed
        amount (tempered), or get ever worse (catastrophic). That decides whether to buy data, clean labels, or add a
        ridge.""",
    )
    return


@app.cell(hide_code=True)
def _():
    family_choice = page.choice("Kernel, or eigenvalues", list(explore.FAMILIES))
    return (family_choice,)


@app.cell(hide_code=True)
def _(family_choice):
    family = explore.FAMILIES[family_choice.value]
    number_slider = page.slider(family.label, family.steps, family.start)
    return family, number_slider


@app.cell(hide_code=True)
def _():
    ridge_slider = page.slider("Ridge, in units of K(x, x)", explore.RIDGES, 0.0)
    n_slider = page.slider("Training samples n", explore.SIZES, 1000)
    return n_slider, ridge_slider


@app.cell(hide_code=True)
def _(family, family_choice, n_slider, number_slider, ridge_slider):
    number, ridge = family.steps[number_slider.value], explore.RIDGES[ridge_slider.value]
    n = explore.SIZES[n_slider.value]
    theory = explore.theory_view(explore.Setting(family_choice.value, number, ridge), n)
    lines = [("", "this kernel")]
    lines += [("other", "without a ridge")] if ridge else []
    lines += [("asked", f"limit for large n, {theory.limit}")] if theory.limit else []
    page.explorer(
        (
            family_choice,
            page.control(number_slider, readable(number)),
            page.control(ridge_slider, readable(ridge) if ridge else "none"),
            page.control(n_slider, str(n)),
        ),
        f"""
        <div id="theory">{page.facts(theory.facts)}
        <div class="charts"><div><div id="cost">{theory.chart}</div>{page.legend(*lines)}</div>
        <div><p id="cost-advice">{escape(theory.advice)}</p>{page.warning(theory.warning)}</div></div></div>
        """,
        "What fitting noise costs a kernel",
        """Theory, squared loss: the test error that a kernel machine adds by fitting noise in the labels; a nearest
        neighbour adds 100 % of the noise's variance. It depends on how fast the kernel's eigenvalues fall. Kernels have
        length scale 1, and inputs are on a unit sphere of intrinsic dimension D.""",
    )
    return


@app.cell(hide_code=True)
def _():
    classes_slider = page.slider("Classes K", explore_labels.CLASSES, 10)
    wrong_slider = mo.ui.slider(0, 90, 1, value=20, label="Wrong training labels p", full_width=True)
    neighbours_slider = page.slider("Neighbours k", explore_labels.NEIGHBOURS, 5)
    return classes_slider, neighbours_slider, wrong_slider


@app.cell(hide_code=True)
def _(classes_slider, neighbours_slider, wrong_slider):
    classes = explore_labels.CLASSES[classes_slider.value]
    neighbours = explore_labels.NEIGHBOURS[neighbours_slider.value]
    # Above this share, labels point away from the truth.
    wrong = min(wrong_slider.value / 100, 1 - 1 / classes)
    votes = explore_labels.labels_view(classes, wrong, neighbours)
    names = page.legend(
        ("", f"{neighbours}-NN"), ("other", "1-NN"), ("theory", "the best possible"), ("asked", "a guess")
    )
    page.explorer(
        (
            page.control(classes_slider, str(classes)),
            page.control(wrong_slider, percent(wrong)),
            page.control(neighbours_slider, str(neighbours)),
        ),
        f"""
        {page.facts(votes.facts)}
        <div class="charts"><div><div id="votes">{votes.chart}</div>{names}</div>
        <div><p id="votes-advice">{escape(votes.advice)}</p></div></div>
        """,
        "What wrong labels cost a vote",
        """Theory, wrong answers: k nearest neighbours vote, in the limit of many samples, on a task without errors from
        true labels. A wrong label is any of the other classes, each equally likely. Compare your own model's curve
        with these lines.""",
    )
    return


@app.cell(hide_code=True)
def _():
    task_choice = page.choice("Task on digits", explore_profile.TASKS)
    machine_choice = page.choice("Kernel of the model", explore_profile.KERNELS)
    length_slider = page.slider("Length scale", explore_profile.LENGTHS, 1.0)
    penalty_slider = page.slider("Ridge of the model", explore_profile.RIDGES, 0.0)
    digits_slider = page.slider("Digits to train on", explore_profile.SIZES, explore_profile.SIZES[-1])
    return digits_slider, length_slider, machine_choice, penalty_slider, task_choice


@app.cell(hide_code=True)
def _(digits_slider, length_slider, machine_choice, penalty_slider, task_choice):
    length, penalty, size = (
        explore_profile.LENGTHS[length_slider.value],
        explore_profile.RIDGES[penalty_slider.value],
        explore_profile.SIZES[digits_slider.value],
    )
    machine = explore_profile.Machine(machine_choice.value, length, task_choice.value)
    real = explore_profile.machine_view(machine, size, penalty)
    curves = page.legend(
        *(("", "this model"), ("other", "1-NN, in the limit")),
        *(("theory", "the best possible"), ("asked", "a guess")),
    )
    losses = page.legend(("", "0-1 loss: sensitivity"), ("other", "squared loss: V"))
    page.explorer(
        (
            task_choice,
            machine_choice,
            page.control(length_slider, f"{readable(length)} × median" if machine.has_length else "has none"),
            page.control(penalty_slider, readable(penalty) if penalty else "none"),
            page.control(digits_slider, str(size)),
        ),
        f"""
        {page.facts(real.facts)}
        <div class="charts" id="machine"><div><div id="profile">{real.profile}</div>{curves}</div>
        <div><div id="trend">{real.trend}</div>{losses}</div></div>
        <p id="machine-advice">{escape(real.advice)}</p>{page.warning(real.warning)}
        """,
        "A real model",
        """Measured: kernel regression on handwritten digits, trained on partly wrong labels and tested on true ones.
        The same fits are judged twice: by their answers (0-1 loss) and by their squared error. In both, the cost of
        noise is 1 for a nearest neighbour.""",
    )
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
        value="10", label="Classes (empty for regression)", full_width=True, debounce=300
    )
    own_wrong = mo.ui.text(value="20 %", label="Share of wrong labels", full_width=True, debounce=300)
    strict_choice = mo.ui.checkbox(label="Strict: allow for decays as slow as 1/ln n")
    return measured_text, own_classes, own_wrong, strict_choice


@app.cell(hide_code=True)
def _(measured_text, own_classes, own_wrong, strict_choice):
    try:
        verdict = explore_labels.verdict_view(
            explore_labels.read_measurements(measured_text.value, own_classes.value, own_wrong.value),
            strict_choice.value,
        )
        warnings = "".join(map(page.warning, verdict.warnings))
        assumptions = "".join(f"<p>{escape(one)}</p>" for one in verdict.assumptions)
        names_of_curves = page.legend(
            ("other", "measured, ± standard error"),
            ("theory", "floor for n → ∞; band: 95 %"),
            ("asked", "a lower floor counts as none"),
        )
        result = f"""
        {page.facts(verdict.facts)}
        <div class="charts"><div><div id="measured">{verdict.chart}</div>{names_of_curves}</div>
        <div id="verdict"><p>{escape(verdict.reason)} {escape(verdict.advice)}</p>{warnings}
        <div class="soft">{assumptions}</div></div></div>
        """
    except InputError as error:
        result = page.problem(error)
    page.explorer(
        (measured_text, own_classes, own_wrong, strict_choice),
        result,
        "Your own measurements",
        """Sensitivity s at each training size: the error on true test labels that wrong labels add, divided by their
        share; exactly, s = (e(p) − e(0)) / (p (1 − e(0) K/(K − 1))). The example is a Gaussian kernel on MNIST.""",
    )
    return


@app.cell(hide_code=True)
def _():
    page.footer("""
    <p>The same in Python, from <code>solvable.overfitting</code>: <code>overfitting_coefficient(eigensystem, n)</code>,
    <code>noise_profile(estimator, X, y)</code>, <code>classify_overfitting(n, s, error, noise_level=p)</code>; on the
    command line <code>solvable noise-profile FILE.csv --target COLUMN</code>.
    Ridges are added to the kernel matrix undivided, as in scikit-learn's <code>KernelRidge(alpha=)</code>.</p>
    """)
    return


if __name__ == "__main__":
    app.run()
