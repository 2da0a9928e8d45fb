# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page of `regression`, served by `solvable app`; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="More is better", css_file="../lab/page.css")

with app.setup:
    from html import escape

    import marimo as mo
    import numpy as np

    from solvable.errors import InputError
    from solvable.lab import page
    from solvable.lab.text import percent, readable
    from solvable.regression import explore
    from solvable.regression.label_noise import with_label_noise


@app.cell(hide_code=True)
def _():
    page.header(
        "More is better: what would more data, features or ridge buy?",
        """One labelled sample predicts the test error of kernel and random-feature regression at every size, without
        training at each. Move a slider, or drop your own file.""",
    )
    return


@app.cell(hide_code=True)
def _():
    data_choice = page.choice("Data", explore.DATA)
    kernel_choice = page.choice("Kernel", explore.KERNELS)
    upload = page.file_drop()
    target_choice = mo.ui.text(
        placeholder="target, label, y, or the last one", label="Column to predict", full_width=True
    )
    drop_choice = mo.ui.text(placeholder="none", label="Columns to leave out", full_width=True)
    missing_choice = page.choice(
        "Missing values",
        {"refuse them": None, "leave their rows out": "drop", "fill in the column's mean": "mean"},
    )
    page.block(f"""
    <div class="sources">
    <div class="controls"><div>{data_choice}</div><div>{kernel_choice}</div></div>
    <div>{upload}</div>
    <div class="controls"><div>{target_choice}</div><div>{drop_choice}</div><div>{missing_choice}</div></div>
    </div>
    """)
    return data_choice, drop_choice, kernel_choice, missing_choice, target_choice, upload


@app.cell(hide_code=True)
def _(drop_choice, missing_choice, target_choice, upload):
    # The user's own file is diagnosed; the sliders below then show its surface.
    diagnosis, refusal, name = None, "", str(upload.name() or "")
    if name:
        with mo.status.spinner(title=f"Diagnosing {escape(name)} …", subtitle="up to 30 seconds") as spinner:
            try:
                diagnosis = explore.diagnose_upload(
                    name,
                    upload.contents() or b"",
                    target_choice.value.strip() or None,
                    missing_choice.value,
                    tuple(word.strip() for word in drop_choice.value.split(",") if word.strip()),
                    watch=lambda stage: spinner.update(subtitle=f"{stage}; up to 30 seconds in all"),
                )
            except (InputError, MemoryError, OSError) as error:
                refusal = page.problem(error)
    if diagnosis is not None:
        verdict = f"""
        <div id="verdict">{diagnosis._repr_html_()}</div>
        <p class="soft">Until the file is cleared, the sliders below show the surface of {escape(name)} with this
        kernel.</p>
        """
    else:
        verdict = refusal
    page.block(verdict)
    return (diagnosis,)


@app.cell(hide_code=True)
def _(data_choice, diagnosis, kernel_choice):
    named = data_choice.value, kernel_choice.value
    surface = explore.named_surface(*named) if diagnosis is None else diagnosis.surface
    steps = explore.Steps.of(surface)
    return steps, surface


@app.cell(hide_code=True)
def _(steps):
    first_n, first_k, first_ridge = steps.start
    n_slider = page.slider("Training samples", steps.n_train, first_n)
    k_slider = page.slider("Random features", steps.n_features, first_k)
    ridge_slider = page.slider("Ridge", steps.ridge, first_ridge)
    noise_slider = page.slider("Extra label noise", explore.NOISE, 0.0)
    return k_slider, n_slider, noise_slider, ridge_slider


@app.cell(hide_code=True)
def _(noise_slider, steps, surface):
    noise = explore.NOISE[noise_slider.value]
    noisy = with_label_noise(surface, noise * steps.variance)
    return noise, noisy


@app.cell(hide_code=True)
def _(k_slider, n_slider, noise, noise_slider, noisy, ridge_slider, steps):
    n, k = steps.n_train[n_slider.value], steps.n_features[k_slider.value]
    ridge = steps.ridge[ridge_slider.value]
    view = explore.view(noisy, steps, n, k, ridge)
    controls = (
        page.control(n_slider, readable(n)),
        page.control(k_slider, readable(k) if np.isfinite(k) else "∞, the kernel"),
        page.control(ridge_slider, readable(ridge)),
        page.control(noise_slider, percent(noise) if noise else "none"),
    )
    page.explorer(
        controls,
        f"""
        {page.facts(view.facts)}
        <div class="charts"><div id="learning-curve">{view.learning_curve}</div>
        <div id="ridge-curve">{view.ridge_curve}</div></div>
        {page.warning(view.warning)}
        """,
    )
    return


@app.cell(hide_code=True)
def _(surface):
    page.footer(f"""
    <p>Bands: 90 %. Dashed: past the sample, along power laws, trusted up to 16 times the sample. The ridge is added to
    the kernel matrix undivided, as in scikit-learn's <code>KernelRidge(alpha=)</code>. Extra label noise is in percent
    of the labels' variance, and the test labels have it too. Check of the theory:
    {escape(surface.check.in_words())}.</p>
    <p>The same in Python: <code>solvable.regression.LearningSurface.from_kernel(kernel, X, y)</code></p>
    """)
    return


if __name__ == "__main__":
    app.run()
