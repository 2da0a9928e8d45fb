"""A learning surface as a figure."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from solvable.lab.figure import COLORS, MARKERS, log_axes, measured_points, prediction_line, subplots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solvable.regression.diagnose import Diagnosis

MEASURES = {
    "test_mse": "test error (sum over outputs)",
    "error_rate": "error rate",
    "rmse": "RMSE (unit of the target)",
}


def draw_surface(forecast: "xr.Dataset") -> "Figure":
    """Draw predicted errors at one number of features against sample size, one line for each ridge.

    Args:
        forecast: from `LearningSurface.predict`.
    """
    names = [name for name in MEASURES if name in forecast]
    figure, axes = subplots(1, len(names))
    for ax, name in zip(axes if len(names) > 1 else [axes], names, strict=True):
        for i, ridge in enumerate(forecast.ridge.to_numpy()):
            one = forecast.squeeze("n_features").isel(ridge=i)
            predicted_curve(ax, one, name, color=COLORS[i % len(COLORS)], label=f"ridge {ridge:g}")
        mark_sample(ax, int(forecast.attrs["n_samples"]))
        ax.set(xlabel="training samples", ylabel=MEASURES[name])
        log_axes(ax)
        ax.legend()
    return figure


def predicted_curve(ax: "Axes", forecast: "xr.Dataset", name: str, *, color: str, label: str) -> None:
    """Draw one predicted quantity against sample size with its interval, dashed where it is extrapolated."""
    # The two parts share the point where they meet, so that the line has no gap.
    reaching = forecast.extrapolated.shift(n_train=-1, fill_value=False)
    inside = forecast.where(~forecast.extrapolated)
    outside = forecast.where(forecast.extrapolated | reaching)
    for part, style in ((inside, {"label": label}), (outside, {"linestyle": "--"})):
        low, high = part[f"{name}_low"], part[f"{name}_high"]
        prediction_line(ax, part.n_train, part[name], low, high, color=color, **style)


def mark_sample(ax: "Axes", n_samples: int) -> None:
    """Mark the size of the sample with a line."""
    ax.axvline(n_samples, color="0.6", linewidth=0.8)
    ax.annotate(
        f"sample of {n_samples}", (n_samples, 1), (3, -3), ("data", "axes fraction"),
        textcoords="offset points", va="top", color="0.4", fontsize=7,
    )  # fmt: skip


def draw_diagnosis(diagnosis: "Diagnosis") -> "Figure":
    """Draw the curve at the best ridge in the verdict's measure, and squared error against the ridge at this size."""
    d = diagnosis
    figure, (left, right) = subplots(1, 2)
    predicted_curve(left, d.curve, d.measure, color=COLORS[0], label="best ridge")
    if d.ridge is not None:
        present = d.forecast(d.curve.n_train, ridge=d.ridge)
        predicted_curve(left, present, d.measure, color=COLORS[1], label=f"ridge {d.ridge:g}")
    measure = d.measure
    if d.measured is not None and d.measured.attrs["measure"] == measure:
        measured_points(
            left, d.measured.n_train, d.measured.error, color=COLORS[2], fmt=MARKERS[2], label="your model"
        )
    mark_sample(left, d.n_samples)
    left.set(xlabel="training samples", ylabel=MEASURES[measure])
    log_axes(left)
    left.legend()

    unit = float(np.exp(d.surface.curves.log_trace))
    ridges = unit * np.geomspace(1e-5, 1e3, 60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what they say is among the notes
        by_ridge = d.surface.predict(d.n_samples, ridge=ridges).squeeze(["n_train", "n_features"])
    low, high = by_ridge.test_mse_low, by_ridge.test_mse_high
    prediction_line(right, ridges, by_ridge.test_mse, low, high, color=COLORS[0])
    if ridges[0] < d.optimal_ridge < ridges[-1]:
        right.axvline(d.optimal_ridge, color="0.6", linewidth=0.8)
        right.annotate(
            f"best {d.optimal_ridge:.2g}", (d.optimal_ridge, 0), (3, 3), ("data", "axes fraction"),
            textcoords="offset points", color="0.4", fontsize=7,
        )  # fmt: skip
    right.set(xlabel="ridge, added to the kernel matrix", ylabel=MEASURES["test_mse"])
    right.set_title(f"{d.n_samples} samples")
    log_axes(right)
    return figure
