# /// script
# [tool.marimo.display]
# theme = "system"
# ///
"""The page on critical points and flat ground: `solvable app` serves it; `marimo edit` opens it as a notebook."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="full", app_title="Did it find a critical point?", css_file="../lab/page.css")

with app.setup:
    import html

    import marimo as mo

    from solvable.lab import page
    from solvable.lab.text import readable
    from solvable.lab.verdict import escape
    from solvable.landscapes import explore


@app.cell(hide_code=True)
def _():
    page.header(
        "A Newton method stopped. Did it find a critical point?",
        """At a critical point of a loss the gradient is zero: it is a minimum, a saddle or a maximum. Methods that look
        for such points make the gradient shorter step by step, and they also stop on flat ground, where the gradient
        is not zero but points along a direction without curvature, so that no short step makes it shorter. Such a
        point is <em>gradient-flat</em>. It is no critical point, and searches in networks often end at one.""",
    )
    return


@app.cell(hide_code=True)
def _():
    x_slider = page.slider("Start x", explore.COORDINATES, -1.0)
    y_slider = page.slider("Start y", explore.COORDINATES, 2.0)
    return x_slider, y_slider


@app.cell(hide_code=True)
def _(x_slider, y_slider):
    # What changes its height is below the field, which must not move while it is dragged on.
    x, y = explore.COORDINATES[x_slider.value], explore.COORDINATES[y_slider.value]
    searches = explore.toy_view(x, y)
    (field_chart, field_legend), (trace_chart, trace_legend) = searches.charts
    page.explorer(
        (
            f'<div id="start-x">{page.control(x_slider, readable(x))}</div>',
            f'<div id="start-y">{page.control(y_slider, readable(y))}</div>',
            '<p class="soft">Or drag the start in the chart.</p>',
        ),
        f"""
        <div id="toy"><div class="charts">
        <div><div id="field">{field_chart}</div>{page.legend(*field_legend)}</div>
        <div><div id="traces">{trace_chart}</div>{page.legend(*trace_legend)}</div></div>
        {page.facts(searches.facts)}
        <div class="charts"><p class="formula" id="sentence">{escape(searches.sentence)}</p>
        <div class="code"><div class="codehilite"><pre id="code">{html.escape(searches.code)}</pre></div></div></div>
        </div>
        """,
        "Four methods, one start",
        f"""A loss of two weights, x⁴/4 − 3x² + 9x + 0.9y⁴ + 5y² + 40. It has one critical point, its minimum at
        (−3, 0). The stronger the shade, the shorter the gradient g; the second chart shows |g|² after each step. A
        method takes at most {explore.MAX_STEPS} steps, and <code>classify</code> says what it has reached.""",
    )
    return


@app.cell(hide_code=True)
def _():
    # The chart sets the sliders, so that mouse, finger and keyboard have one state. Marimo's HTML runs no scripts, but
    # those of an iframe, which may reach the page around it, run.
    script = """
    const page = parent.document;
    let dragged = false, sent = [], timer = 0;
    const shares = event => {
      // The axis lines are as wide and as high as the plot.
      const box = page.querySelector("#field .axis").getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (box.bottom - event.clientY) / box.height];
    };
    const isOver = event =>
      page.querySelector("#field").contains(event.target) && shares(event).every(share => share >= 0 && share <= 1);
    const isNearStart = event => {
      const box = page.querySelector("#field circle.start").getBoundingClientRect();
      return Math.hypot(event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2) < 20;
    };
    const send = (value, i) => {
      if (sent[i] === value) return;
      sent[i] = value;
      const element = page.querySelector(`#${["start-x", "start-y"][i]} marimo-slider`);
      const options = { bubbles: true, composed: true, detail: { value, element } };
      element.dispatchEvent(new parent.CustomEvent("marimo-value-update", { ...options, bubbles: false }));
      page.dispatchEvent(new parent.CustomEvent("marimo-value-input", options));
    };
    // While an answer is under way the slider may be drawn anew with an older value: send the last one again.
    const settle = (values, tries) => {
      const [x, y] = values.map(value => Number((0.1 * value - 4).toFixed(1)));
      if (!tries || page.querySelector("#sentence").innerText.startsWith(`From (${x}, ${y})`)) return;
      sent = [];
      values.forEach(send);
      timer = setTimeout(settle, 700, values, tries - 1);
    };
    const put = event => {
      const values = shares(event).map(share => Math.round(LAST * Math.min(1, Math.max(0, share))));
      values.forEach(send);
      clearTimeout(timer);
      timer = setTimeout(settle, 700, values, 20);
    };
    page.addEventListener("keydown", () => clearTimeout(timer));
    page.addEventListener("pointerdown", event => {
      clearTimeout(timer);
      sent = [];
      // A finger elsewhere scrolls the page.
      if (!isOver(event) || (event.pointerType === "touch" && !isNearStart(event))) return;
      dragged = true;
      page.documentElement.setPointerCapture(event.pointerId);
      event.preventDefault();
      put(event);
    });
    // A drag by finger must not.
    page.addEventListener("touchmove", event => { if (dragged) event.preventDefault(); }, { passive: false });
    page.addEventListener("pointermove", event => { if (dragged) put(event); });
    for (const end of ["pointerup", "pointercancel"]) page.addEventListener(end, () => { dragged = false; });
    page.addEventListener("click", event => { if (isOver(event)) put(event); });
    """.replace("LAST", str(len(explore.COORDINATES) - 1))
    frame = html.escape(f"<script>{script}</script>", quote=True)
    mo.Html(f'<iframe hidden srcdoc="{frame}"></iframe><style>{explore.STYLE}</style>')
    return


@app.cell(hide_code=True)
def _():
    inputs_slider = page.slider("Inputs k", explore.INPUTS, 6)
    hidden_slider = page.slider("Hidden units p", explore.HIDDEN, 3)
    decay_slider = page.slider("Decay r of the variances", explore.DECAYS, 0.7)
    search_button = mo.ui.run_button(label=f"Search from {explore.N_STARTS} starts", full_width=True)
    return decay_slider, hidden_slider, inputs_slider, search_button


@app.cell(hide_code=True)
def _(decay_slider, hidden_slider, inputs_slider):
    problem = explore.Autoencoder(
        explore.INPUTS[inputs_slider.value],
        explore.HIDDEN[hidden_slider.value],
        explore.DECAYS[decay_slider.value],
    )
    return (problem,)


@app.cell(hide_code=True)
def _():
    last_search, set_last_search = mo.state(None)
    return last_search, set_last_search


@app.cell(hide_code=True)
def _(last_search, problem, search_button, set_last_search):
    if search_button.value:
        with mo.status.spinner(title="Searching …", subtitle="about a second"):
            earlier = last_search()
            if earlier is None or earlier.problem != problem:
                earlier = explore.Search(problem)
            set_last_search(explore.search(earlier))
    return


@app.cell(hide_code=True)
def _(decay_slider, hidden_slider, inputs_slider, last_search, problem, search_button):
    network = explore.autoencoder_view(problem, last_search())
    page.explorer(
        (
            page.control(inputs_slider, str(problem.inputs)),
            page.control(hidden_slider, str(problem.hidden)),
            page.control(decay_slider, readable(problem.decay)),
            search_button,
        ),
        f"""
        <div id="network">{page.facts(network.facts)}
        <p class="formula" id="network-sentence">{escape(network.sentence)}</p>
        <div class="charts">
        {"".join(f"<div>{drawn}{page.legend(*legend)}</div>" for drawn, legend in network.charts)}
        <div class="code"><div class="codehilite"><pre id="network-code">{html.escape(network.code)}</pre></div></div>
        </div></div>
        """,
        "A network whose critical points are all known",
        """A linear autoencoder W₂W₁ with k inputs of variances 1, r, r², … and p hidden units, trained on half the
        squared error. Theory: there is a class of critical points for each set of at most p inputs that it reproduces,
        and it is known where each is, its loss, and how many eigenvalues of the Hessian are negative. A search by
        Levenberg–Marquardt from random starts can end at these points only.""",
    )
    return


@app.cell(hide_code=True)
def _():
    page.footer("""
    <p>For your own network: <code>solvable.landscapes.classify(module_loss(model, criterion, x, y))</code> says what
    kind of point its weights are at, with a certificate, and what to try next;
    <code>find_critical_points(loss, starts)</code> looks for critical points from many starts at once,
    <code>spectrum(loss)</code> and <code>loss_slice(loss)</code> look around one. In a plot of loss
    against index, count only points that <code>classify</code> calls critical.</p>
    """)
    return


if __name__ == "__main__":
    app.run()
