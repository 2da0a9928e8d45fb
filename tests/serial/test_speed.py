"""How long things take: `import solvable`, and a chart against a figure of matplotlib."""

import subprocess
import sys
import time

import numpy as np
import pytest

from solvable.lab.chart import Curve, LogAxis, chart

CODE = """
import sys, time
start = time.perf_counter()
import solvable
seconds = time.perf_counter() - start
heavy = ("torch", "matplotlib", "scipy", "sklearn", "xarray", "pandas")
print(seconds, *(name for name in heavy if name in sys.modules))
assert solvable.regression.LearningSurface and "regression" in dir(solvable)
print(*(name for name in ("torch", "matplotlib") if name in sys.modules))
"""


def test_import_is_quick_and_light() -> None:
    for _ in range(5):  # the best of several, since the machine may be busy
        run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        (seconds, *loaded), drawing = (line.split() for line in run.stdout.splitlines())
        assert loaded == [], "import solvable loads more than itself"
        assert drawing == [], "a wing loads torch or matplotlib"
        if float(seconds) < 0.5:
            return
    pytest.fail("import solvable took more than half a second")


def test_a_chart_is_drawn_many_times_faster_than_a_figure(tmp_path):
    from solvable.lab.figure import log_axes, prediction_line, save, subplots

    x, axis = np.geomspace(10, 1000, 61), LogAxis("x", 0.1, 1000)
    curve = Curve(x, x / 100, x / 150, x / 50)

    def figure():
        fig, ax = subplots(width=3.4)
        prediction_line(ax, curve.x, curve.y, curve.low, curve.high)
        log_axes(ax)
        save(fig, tmp_path / "figure.svg")

    ours, theirs = [], []
    for _ in range(3):
        start = time.perf_counter()
        chart("", axis, axis, [curve])
        middle = time.perf_counter()
        figure()
        ours.append(middle - start)
        theirs.append(time.perf_counter() - middle)
    assert min(theirs) > 10 * min(ours)
