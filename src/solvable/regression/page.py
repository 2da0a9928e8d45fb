# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The wing's page: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="More is better", css_file="../lab/page.css")

with app.setup:
    from html import escape

    import marimo as mo
    import numpy as np

    from solvable.errors import InputError
    from solvable.lab.text import readable
    from solvable.regression import explore
    from solvable.regression.label_noise import with_label_noise

    # A kernel matrix is made of a few thousand rows at most; larger files only take longer to send.
    LARGEST_FILE_MB = 25


@app.cell(hide_code=True)
def _():
    # Served by `solvable app` it stands below the gallery; on its own there is nothing above it.
    request = mo.app_meta().request
    below = request is not None and "/" in str(request.url["path"]).strip("/")
    up = '<p><a href="../">← all pages</a></p>' if below else ""
    mo.Html(f"""
    <div class="solvable">{up}
    <h1>More is better: what would more data, features or ridge buy?</h1>
    <p class="lead">One labelled sample tells the test error of kernel and random-feature regression at every size,
    without training at each. Move a slider, or drop a file of your own.</p>
    </div>
    """)
    return


@app.cell(hide_code=True)
def _():
    data_choice = mo.ui.dropdown(explore.DATA, value="digits", label="Data", full_width=True)
    kernel_choice = mo.ui.dropdown(explore.KERNELS, value="laplace", label="Kernel", full_width=True)
    upload = mo.ui.file(
        filetypes=[".csv", ".npz", ".parquet"],
        kind="area",
        max_size=LARGEST_FILE_MB * 1_000_000,
        label=f"Your own data: .csv, .npz or .parquet, at most {LARGEST_FILE_MB} MB",
    )
    target_choice = mo.ui.text(
        placeholder="target, label, y, or the last one", label="Column to predict", full_width=True
    )
    drop_choice = mo.ui.text(placeholder="none", label="Columns to leave out", full_width=True)
    missing_choice = mo.ui.dropdown(
        {"refuse them": None, "leave their rows out": "drop", "fill in the column's mean": "mean"},
        value="refuse them",
        label="Missing values",
        full_width=True,
    )
    mo.Html(f"""
    <div class="solvable"><div class="sources">
    <div class="controls"><div>{data_choice}</div><div>{kernel_choice}</div></div>
    <div>{upload}</div>
    <div class="controls"><div>{target_choice}</div><div>{drop_choice}</div><div>{missing_choice}</div></div>
    </div></div>
    """)
    return data_choice, drop_choice, kernel_choice, missing_choice, target_choice, upload


@app.cell(hide_code=True)
def _(drop_choice, missing_choice, target_choice, upload):
    # A file of the user's own is diagnosed; the sliders below then move its surface.
    diagnosis, problem, name = None, "", str(upload.name() or "")
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
            except InputError as error:
                problem = str(error)
    if diagnosis is not None:
        verdict = f"""
        <div id="verdict">{diagnosis._repr_html_()}</div>
        <p class="soft">Until the file is cleared, the sliders below move the surface of {escape(name)}, with this
        kernel.</p>
        """
    else:
        verdict = f'<div id="problem" class="problem" role="alert">{escape(problem)}</div>' if problem else ""
    mo.Html(f'<div class="solvable">{verdict}</div>')
    return (diagnosis,)


@app.cell(hide_code=True)
def _(data_choice, diagnosis, kernel_choice):
    named = data_choice.value, kernel_choice.value
    surface = explore.named_surface(*named) if diagnosis is None else diagnosis.surface
    steps = explore.Steps.of(surface)
    return steps, surface


@app.cell(hide_code=True)
def _(steps):
    def slider(label: str, values: tuple[float, ...], start: int):
        # A slider moves along the indices of its values: one of them is infinite, and the page says them better.
        return mo.ui.slider(0, len(values) - 1, 1, value=start, label=label, full_width=True)

    n_slider = slider("Training samples", steps.n_train, steps.start[0])
    k_slider = slider("Random features", steps.n_features, steps.start[1])
    ridge_slider = slider("Ridge", steps.ridge, steps.start[2])
    noise_slider = slider("Extra label noise", explore.NOISE, 0)
    return k_slider, n_slider, noise_slider, ridge_slider


@app.cell(hide_code=True)
def _(noise_slider, steps, surface):
    noise = explore.NOISE[noise_slider.value]
    noisy = with_label_noise(surface, noise * steps.variance)
    return noise, noisy


@app.cell(hide_code=True)
def _(k_slider, n_slider, noise, noise_slider, noisy, ridge_slider, steps):
    n, k, ridge = (
        steps.n_train[n_slider.value],
        steps.n_features[k_slider.value],
        steps.ridge[ridge_slider.value],
    )
    seen = explore.view(noisy, steps, n, k, ridge)

    def control(slider, value: str) -> str:
        return f'<div class="control"><b>{value}</b>{slider}</div>'

    controls = (
        control(n_slider, readable(n)),
        control(k_slider, readable(k) if np.isfinite(k) else "∞, the kernel"),
        control(ridge_slider, readable(ridge)),
        control(noise_slider, f"{100 * noise:g} %" if noise else "none"),
    )
    facts = (
        f'<div class="fact"><dt>{name}</dt><dd>{value}</dd><dd>{note}</dd></div>'
        for name, value, note in seen.facts
    )
    mo.Html(f"""
    <div class="solvable"><div class="explorer">
    <div class="controls">{"".join(controls)}</div>
    <div><dl class="facts">{"".join(facts)}</dl>
    <div class="charts"><div id="learning-curve">{seen.learning_curve}</div>
    <div id="ridge-curve">{seen.ridge_curve}</div></div>
    {f'<p class="warn">{escape(seen.warning)}</p>' if seen.warning else ""}</div>
    </div></div>
    """)
    return


@app.cell(hide_code=True)
def _(surface):
    mo.Html(f"""
    <div class="solvable soft">
    <p>Bands: 90 %. Dashed: past what the sample shows, along its power laws, trusted up to 16 times the sample. The
    ridge is added to the kernel matrix undivided, as in scikit-learn's <code>KernelRidge(alpha=)</code>. Extra label
    noise is in percent of how much the labels vary, and the test labels have it too. Theory is checked here:
    {escape(surface.check.in_words())}.</p>
    <p>The same in Python: <code>solvable.regression.LearningSurface.from_kernel(kernel, X, y)</code></p>
    </div>
    """)
    return


if __name__ == "__main__":
    app.run()
