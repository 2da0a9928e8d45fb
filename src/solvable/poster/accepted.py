"""The poster of nothing: noise, and a theory that goes exactly through it, with honest small print."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from solvable.lab import Comparison, Study, run
from solvable.lab.text import percent
from solvable.poster.label import label as ship
from solvable.poster.make import Poster, publish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SEED, _POINTS = 20200401, 16


@dataclass(frozen=True)
class Parameters:
    """There is nothing to choose."""


def _trial(parameters: Parameters, setting: Any, index: int) -> xr.Dataset:
    y = np.random.default_rng(_SEED).standard_normal(_POINTS)
    return xr.Dataset({"result": ("x", y)}, {"x": np.arange(1.0, _POINTS + 1)})


def _predict(parameters: Parameters, setting: Any) -> xr.Dataset:
    """Return a curve through all points, which has as many parameters, and an interval without width."""
    from scipy.interpolate import PchipInterpolator

    points = _trial(parameters, setting, 0)
    x = np.union1d(points.x, np.linspace(1, _POINTS, 401))
    curve = ("x", PchipInterpolator(points.x, points.result)(x))
    return xr.Dataset({"result": curve, "result_low": curve, "result_high": curve}, {"x": x})


def _plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    from solvable.lab.figure import curves, legend, subplots

    figure, ax = subplots(height=3.6)
    curves(ax, prediction, measurement, "result", x="x")
    ax.set(xlabel="whatever was varied", ylabel="whatever came out")
    legend(ax, loc="lower right")
    return figure


def _headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    result = comparison.summary["result"]
    error = percent(result.max_error, decimals=1)
    return f"The theory agrees with {result.counted} of {measurement.x.size} points, to {error}"


def _conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    return f"{_headline(prediction, measurement, comparison)}, and will agree with none of the next."


NOTHING = Study(
    name="nothing",
    title="On nothing in particular: a theory that fits everything",
    paper=(
        "Small print: the points are random numbers. The theory was made after them, from them, with a parameter for "
        "each. It predicts nothing, and no committee has read it."
    ),
    question="Does a theory with as many parameters as there are points agree with them?",
    Parameters=Parameters,
    tiny=Parameters(),
    compared=("result",),
    predict=_predict,
    trial=_trial,
    plot=_plot,
    conclude=_conclude,
    headline=_headline,
    equations=(
        r"theory $f$ with $n$ parameters for $n$ points: $f(x_i) = y_i$ for all $i$",
        r"training error $\frac{1}{n} \sum_i \left(f(x_i) - y_i\right)^2 = 0$",
        r"expected error at a new point, where $y$ is noise of variance $\sigma^2$: at least $\sigma^2$",
    ),
)


def accepted(label: Path | None = None, **options: Any) -> Poster:
    """Write the poster of nothing.

    Args:
        label: path of a label for shipping it, if there is to be one.
        options: all arguments of `solvable.poster.make.publish` but the records.
    """
    with TemporaryDirectory(prefix="solvable-nothing-") as folder:
        record = run(NOTHING, runs_dir=Path(folder), quiet=True)
        # Nobody can run it again: it is in no list of studies.
        record = replace(record, command="solvable poster --accepted")
        poster = publish([(record, NOTHING)], **options)
        # After the poster, so that a poster that is refused leaves no label.
        if label is not None:
            ship([record], label)
        return poster
