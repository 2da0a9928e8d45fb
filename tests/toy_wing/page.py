"""The wing's page."""

import marimo

app = marimo.App(width="full", app_title="The error of a mean", css_file="../lab/page.css")

with app.setup:
    from solvable.lab import page
    from toy_wing.theory import mean_squared_error


@app.cell(hide_code=True)
def _():
    page.header("The error of a mean", "It falls as one over the root of their number.")
    return


@app.cell(hide_code=True)
def _():
    sizes = (10, 100, 1000)
    size = page.slider("Draws n", sizes, 10)
    return size, sizes


@app.cell(hide_code=True)
def _(size, sizes):
    n = sizes[size.value]
    error = float(mean_squared_error([n], [1.0])[0, 0]) ** 0.5
    page.explorer([page.control(size, str(n))], page.facts([("error", f"{error:.3g}", "root mean square")]))
    return


if __name__ == "__main__":
    app.run()
