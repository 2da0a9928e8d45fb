"""Figures of a learning surface and of the study `regression`, and the parts that other figures share with them."""

from typing import TYPE_CHECKING, Any

import numpy as np

from solvable.lab.figure import (
    COLORS,
    MARKERS,
    curves,
    house_style,
    log_axes,
    prediction_line,
    subplots,
)
from solvable.lab.text import readable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {"n_train": "training samples", "n_features": "random features"}
MEASURES = {
    "test_mse": "test error (summed)",
    "error_rate": "error rate",
    "rmse": "RMSE (unit of the target)",
}


@house_style()
def draw_surface(forecast: "xr.Dataset") -> "Figure":
    """Draw the errors predicted by `LearningSurface.predict` for one `n_features`, one line for each ridge."""
    names = [name for name in MEASURES if name in forecast]
    figure, axes = subplots(1, len(names), squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        for i, ridge in enumerate(forecast.ridge.to_numpy()):
            one = forecast.squeeze("n_features").isel(ridge=i)
            predicted_curve(ax, one, name, color=COLORS[i % len(COLORS)], label=f"ridge {ridge:g}")
        finish_learning_curve(ax, int(forecast.attrs["n_samples"]), name)
    return figure


def draw_study(prediction: "xr.Dataset", measurement: "xr.Dataset") -> "Figure":
    """Draw errors, predicted and measured, against sample size (or features), and the prediction's relative error."""
    over_features = measurement.sizes["n_features"] > measurement.sizes["n_train"]
    x, panel = ("n_features", "n_train") if over_features else ("n_train", "n_features")
    panels = measurement[panel].to_numpy()
    panels = panels[np.unique(np.linspace(0, len(panels) - 1, min(2, len(panels))).round().astype(int))]
    names = [name for name in MEASURES if name in measurement]
    figure, axes = subplots(len(names), len(panels) + 1, height=2.7 * len(names) + 0.5, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for ax, value in zip(row, panels, strict=False):
            _draw_errors(ax, prediction.sel({panel: value}), measurement.sel({panel: value}), name, x)
            if len(panels) > 1 or np.isfinite(value):
                ax.set_title(f"{readable(float(value))} {AXES[panel]}")
        _draw_relative_error(row[-1], prediction, measurement.sel({panel: panels[-1:]}), name, x)
        row[-1].set_title(row[len(panels) - 1].get_title("left"))
    _legend(figure, axes[0, 0])
    return figure


def _legend(figure: "Figure", ax: "Axes") -> None:
    from matplotlib.lines import Line2D

    handles, labels = ax.get_legend_handles_labels()
    grey: dict[str, Any] = {"color": "0.4"}
    handles += [
        Line2D([], [], **grey),
        Line2D([], [], **grey, linestyle=":"),
        Line2D([], [], **grey, linestyle="", marker="o"),
    ]
    labels += ["learning surface, predicted", "plug-in, predicted", "measured"]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)


def _draw_errors(ax: "Axes", predicted: "xr.Dataset", measured: "xr.Dataset", name: str, x: str) -> None:
    """Draw one measure, predicted and measured; for the squared error the plug-in prediction too."""
    curves(ax, predicted, measured, name, x=x, hue="ridge", label="ridge {}")
    ax.set_yscale("log")
    bounds = ax.get_ylim()  # of surface and measurement, since the plug-in may fall to zero
    if name == "test_mse":
        for i, ridge in enumerate(predicted.ridge.to_numpy()):
            one = predicted.plug_in_test_mse.sel(ridge=ridge)
            ax.plot(one[x], one.where(np.isfinite(one)), ":", color=COLORS[i % len(COLORS)], linewidth=0.9)
    ax.set(ylim=bounds, xlabel=AXES[x], ylabel=MEASURES[name])
    log_axes(ax)
    _mark_study_sample(ax, predicted, x)


def _draw_relative_error(
    ax: "Axes", prediction: "xr.Dataset", measurement: "xr.Dataset", name: str, x: str
) -> None:
    """Draw the relative error of one predicted measure, at the one value of the other axis in the measurement."""
    measured = measurement.mean("trial")[name].squeeze()
    at_measured = prediction.sel(n_train=measurement.n_train, n_features=measurement.n_features).squeeze()
    lines = {name: "-"} | ({"plug_in_test_mse": ":"} if name == "test_mse" else {})
    for i, ridge in enumerate(np.atleast_1d(measurement.ridge.to_numpy())):
        style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)], "linewidth": 0.9}
        for one, line in lines.items():
            off = 100 * (at_measured[one] / measured - 1)
            off = off.sel(ridge=ridge) if "ridge" in off.dims else off
            ax.plot(np.atleast_1d(measurement[x]), np.atleast_1d(off.where(np.isfinite(off))), line, **style)
    ax.axhline(0, color="0.4", linewidth=0.8)
    ax.set(xlabel=AXES[x], ylabel="prediction off by (%)")
    log_axes(ax, "x")
    _mark_study_sample(ax, prediction, x)


def predicted_curve(ax: "Axes", forecast: "xr.Dataset", name: str, *, color: str, label: str) -> None:
    """Draw one predicted measure against sample size with its interval, dashed where it is extrapolated."""
    # The two parts share the point where they meet, so that the line has no gap.
    reaching = forecast.extrapolated.shift(n_train=-1, fill_value=False)
    inside = forecast.where(~forecast.extrapolated)
    outside = forecast.where(forecast.extrapolated | reaching)
    for part, style in ((inside, {"label": label}), (outside, {"linestyle": "--"})):
        low, high = part[f"{name}_low"], part[f"{name}_high"]
        prediction_line(ax, part.n_train, part[name], low, high, color=color, **style)


def finish_learning_curve(ax: "Axes", n_samples: int, name: str) -> None:
    """Mark the sample's size, and label the axes of a measure against sample size."""
    _mark(ax, n_samples, f"sample of {n_samples}", top=True)
    ax.set(xlabel=AXES["n_train"], ylabel=MEASURES[name])
    log_axes(ax)
    ax.legend()


def error_by_ridge(ax: "Axes", forecast: "xr.Dataset", best: float) -> None:
    """Draw the predicted squared error against the ridge, with its interval, and mark the best ridge."""
    low, high = forecast.test_mse_low, forecast.test_mse_high
    prediction_line(ax, forecast.ridge, forecast.test_mse, low, high, color=COLORS[0])
    if forecast.ridge[0] < best < forecast.ridge[-1]:
        _mark(ax, best, f"best {best:.2g}")
    ax.set(xlabel="ridge, added to the kernel matrix", ylabel=MEASURES["test_mse"])
    log_axes(ax)


def _mark_study_sample(ax: "Axes", prediction: "xr.Dataset", x: str) -> None:
    size = float(prediction.attrs["n_samples"])
    if x == "n_train" and size < ax.get_xlim()[1]:
        _mark(ax, size, "sample", above=True)


def _mark(ax: "Axes", x: float, text: str, *, top: bool = False, above: bool = False) -> None:
    """Mark a value with a vertical line and a text beside its lower end, beside its top, or above the axes."""
    ax.axvline(x, color="0.6", linewidth=0.8)
    place = (0, 2) if above else (3, -3 if top else 3)
    ax.annotate(
        text, (x, top or above), place, ("data", "axes fraction"), textcoords="offset points", color="0.4",
        ha="center" if above else "left", va="bottom" if above else "top" if top else "baseline",
    )  # fmt: skip
