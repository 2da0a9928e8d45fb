"""The figure style: local, readable, reproducible."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import xarray as xr

from solvable.lab.figure import COLUMN, FULL, curves, house_style, legend, save, subplots


@pytest.fixture
def datasets():
    n = [8, 16, 32]
    prediction = xr.Dataset(
        {"mse": (("n", "ridge"), [[np.inf, 1.0], [0.5, 0.5], [0.2, 0.3]])}, {"n": n, "ridge": [0.0, 1.0]}
    )
    prediction["mse_low"], prediction["mse_high"] = 0.9 * prediction.mse, 1.1 * prediction.mse
    measurement = prediction[["mse"]].sel(ridge=[1.0]).expand_dims(trial=2)
    return prediction, measurement


def test_nothing_global_changes(datasets):
    before = dict(matplotlib.rcParams)
    with house_style():
        _, ax = subplots()
        curves(ax, *datasets, "mse", x="n", hue="ridge", label="ridge {}")
        legend(ax)
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_curves_have_a_line_each_and_points_where_measured(datasets):
    figure, ax = subplots(width=COLUMN)
    curves(ax, *datasets, "mse", x="n", hue="ridge", label="ridge {}")
    legend(ax)
    assert figure.get_figwidth() == COLUMN < FULL
    assert len(ax.containers) == 1
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["ridge 0", "ridge 1", "predicted", "measured"]
    assert np.isfinite(ax.get_ylim()).all()


def test_one_curve_without_hue(datasets):
    prediction, measurement = (d.sel(ridge=1.0) for d in datasets)
    _, ax = subplots()
    curves(ax, prediction, measurement.isel(trial=[0]), "mse", x="n")
    assert len(ax.lines) == 2


def test_files_are_reproducible(datasets, tmp_path):
    for name in ("a", "b"):
        with house_style():
            figure, ax = subplots()
            curves(ax, *datasets, "mse", x="n", hue="ridge")
        save(figure, tmp_path / f"{name}.svg")
        for kind in ("png", "pdf", "PDF"):
            save(figure, tmp_path / f"{name}.{kind}")
    for kind in ("svg", "png", "pdf", "PDF"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_importing_the_lab_loads_no_matplotlib_jinja_or_torch():
    code = (
        "import sys, solvable.lab; print([m for m in ('matplotlib', 'jinja2', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
