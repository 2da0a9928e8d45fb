"""Figures: the loss as a staircase and eigenvalues over steps, of the studies and of a tracker."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from solvable.stepwise.growth import Forecast

_GREY = "#777777"
_DOTS: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 2.2}
# Steps are on a logarithmic axis if the last direction comes so many times later than the first.
_MANY_TIMES = 5.0
_POINTS = 70
# Smaller relative errors of a time are not told apart.
_LEAST_PERCENT = 1e-4
# Curves of a tracker's figure, at most.
_MOST_CURVES = 40


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw the study `stepwise`: curves of the first trial; beside them errors of all times, and the spectrum."""
    from solvable.lab.figure import COLORS, MARKERS, log_axes
    from solvable.lab.text import readable

    figure, (loss, eigenvalues, errors, spectrum) = _panels()
    _draw_curves(loss, eigenvalues, prediction, measurement)
    names = {"qr": "closed form", "rows": "closed form by rows", "simulation": "simulation"}
    for i, (theory, label) in enumerate(names.items()):
        ratio = measurement.ratio.sel(theory=theory).transpose("trial", "direction").values
        known = np.isfinite(ratio)
        worst = 100 * np.abs(np.where(known, ratio, 1.0) - 1).max(axis=0)
        worst = np.where(known.any(axis=0), np.maximum(worst, _LEAST_PERCENT), np.nan)
        style = {"color": COLORS[i + 1], "marker": MARKERS[i], "linestyle": ""}
        errors.plot(measurement.direction, worst, label=label, **style)
    errors.set(xlabel="direction", ylabel="largest error\nof the step (%)", yscale="log")
    low, high = errors.get_ylim()
    errors.set_ylim(low, max(high, 1.0))
    log_axes(errors, "y")
    errors.yaxis.set_major_formatter(
        lambda value, _: ("≤ " if value < 1.01 * _LEAST_PERCENT else "") + readable(float(value))
    )
    labels = ("γ of these pairs", "γ of held-out pairs")
    _draw_spectrum(spectrum, prediction, prediction.held_out.values, prediction.held_out_error.values, labels)
    _legend_above(figure, errors, spectrum)
    return figure


def plot_network(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw the study `stepwise-network`: curves of the first trial; errors of predictions and forecasts; spectrum."""
    from solvable.lab.compare import mean_and_error
    from solvable.lab.figure import COLORS, MARKERS, measured_points

    figure, (loss, eigenvalues, errors, spectrum) = _panels()
    _draw_curves(loss, eigenvalues, prediction, measurement)
    errors.axhline(1.0, color=_GREY, linewidth=0.8)
    for i, made in enumerate(measurement.made.values):
        mean, error = mean_and_error(measurement.ratio.sel(made=made))
        measured_points(
            errors,
            measurement.direction + 0.16 * (i - 0.5),
            mean,
            error,
            color=COLORS[i + 1],
            fmt=MARKERS[i],
            label=f"{'forecast' if i else 'predicted'} {made}",
        )
    errors.set(xlabel="direction", ylabel="measured /\npredicted step")
    low, high = errors.get_ylim()
    errors.set_ylim(min(low, 0.9), max(high, 1.1))
    growth, error = mean_and_error(measurement.growth)
    labels = ("γ of the features", "γ by growth in training")
    _draw_spectrum(spectrum, prediction, growth.values, error.values, labels)
    _legend_above(figure, errors, spectrum)
    return figure


def _panels() -> "tuple[Figure, tuple[Any, Any, Any, Any]]":
    from matplotlib.ticker import MaxNLocator

    from solvable.lab.figure import subplots

    figure, axes = subplots(2, 2, height=4.8, width_ratios=(1.9, 1))
    axes[0, 0].sharex(axes[1, 0])
    axes[0, 0].tick_params(labelbottom=False)
    for ax in axes[:, 1]:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, (axes[0, 0], axes[1, 0], axes[0, 1], axes[1, 1])


def _legend_above(figure: "Figure", *axes: "Axes") -> None:
    """Add a legend above all axes, with the symbols of the curves and those of some axes, a column for each."""
    from matplotlib.lines import Line2D

    curves = {
        "predicted": Line2D([], [], color=_GREY),
        "predicted steps": Line2D([], [], color=_GREY, linewidth=0.8, linestyle="--"),
        "measured": Line2D([], [], color=_GREY, **_DOTS),
    }
    columns = [curves, *(dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True)) for ax in axes)]
    rows = max(map(len, columns))
    blank = Line2D([], [], linestyle="")
    padded = [[*one.items(), *[("", blank)] * (rows - len(one))] for one in columns]
    labels, handles = zip(*(entry for one in padded for entry in one), strict=True)
    figure.legend(handles, labels, loc="outside upper left", ncols=len(columns))


def _draw_curves(loss: "Axes", eigenvalues: "Axes", prediction: xr.Dataset, measurement: xr.Dataset) -> None:
    """Draw loss and eigenvalues of the first trial: predictions are lines, measurements points."""
    from matplotlib.ticker import MaxNLocator

    from solvable.lab.figure import COLORS, log_axes

    first = measurement.isel(trial=0)
    d, right = prediction.sizes["direction"], float(prediction.step[-1])
    times = prediction.first_step_time.values
    known = times[np.isfinite(times) & (times > 0) & (times <= right)]
    logarithmic = len(known) > 0 and known[-1] > _MANY_TIMES * known[0]
    left = known[0] / 3 if logarithmic else 0.0
    at = _thinned(first.step.values, left, right, logarithmic)
    for ax in (loss, eigenvalues):
        for time in known:
            ax.axvline(time, color=_GREY, linewidth=0.6, linestyle="--")
        ax.set_xlim(left, right)
    loss.plot(prediction.step, prediction.loss, color=COLORS[0])
    loss.plot(first.step[at], first.loss[at], color=COLORS[0], **_DOTS)
    loss.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    loss.set(ylabel="loss")
    for j in range(d):
        color = COLORS[1 + j % (len(COLORS) - 1)]
        eigenvalues.plot(prediction.step, prediction.eigenvalue.isel(direction=j), color=color)
        values = first.eigenvalue.isel(direction=j, step=at).values
        # Points at rest of all directions would hide each other.
        moving = (values > 0.01) & (values < 0.99)
        eigenvalues.plot(first.step.values[at], np.where(moving, values, np.nan), color=color, **_DOTS)
    eigenvalues.set(xlabel="step", ylabel="eigenvalues of C")
    if logarithmic:
        log_axes(eigenvalues, "x")
    if (trials := measurement.sizes["trial"]) > 1:
        loss.set_title(f"first of {trials} trials")


def _thinned(steps: NDArray[Any], left: float, right: float, logarithmic: bool) -> NDArray[np.int64]:
    """Return the indices of about equally spaced steps."""
    wanted = np.geomspace(max(left, 1), right, _POINTS) if logarithmic else np.linspace(left, right, _POINTS)
    return np.unique(np.abs(steps[None, :] - wanted[:, None]).argmin(axis=1))


def _draw_spectrum(
    ax: "Axes",
    prediction: xr.Dataset,
    values: NDArray[Any],
    errors: NDArray[Any] | None,
    labels: tuple[str, str],
) -> None:
    """Draw the eigenvalues of the views' correlation as a line, and another estimate of them as points."""
    from solvable.lab.figure import COLORS, log_axes, measured_points

    modes, gamma = prediction.mode.values, prediction.gamma.values
    ax.plot(modes, np.where(gamma > 0, gamma, np.nan), color=COLORS[0], label=labels[0])
    places = np.arange(1, len(values) + 1)
    style = {"color": COLORS[2], "markersize": 2.5}
    measured_points(ax, places, np.where(values > 0, values, np.nan), errors, label=labels[1], **style)
    floor = float(prediction.attrs.get("noise_floor", 0.0))
    if floor > 0:
        ax.axhline(floor, color=_GREY, linewidth=0.8, linestyle=":", label="noise floor")
    positive = gamma[gamma > 0]
    ax.set_ylim(0.3 * max(positive.min(), 1e-3 * positive[0]), 1.5 * positive[0])
    ax.set(xlabel="direction", ylabel="correlation\nof the views")
    log_axes(ax, "y")


def draw_tracker(data: xr.Dataset, forecast: "Forecast | None") -> "Figure":
    """Return a figure of a tracker's eigenvalues and number of learned directions over the steps."""
    from solvable.lab.figure import COLORS, house_style, subplots

    with house_style():
        figure, (above, below) = subplots(2, 1, height=4.6, sharex=True, height_ratios=(1, 2))
        steps = data.step.values
        above.step(steps, data.n_learned.values, where="post", color=COLORS[0])
        above.set(ylabel="learned directions")
        for j in range(min(_MOST_CURVES, data.sizes["direction"])):
            values = data.eigenvalue.values[:, j]
            values = np.where(values > 0, values, np.nan)
            below.plot(steps, values, color=COLORS[1 + j % (len(COLORS) - 1)])
        times = data.step_time.values
        for ax in (above, below):
            for time in times[np.isfinite(times)]:
                ax.axvline(time, color="#999999", linewidth=0.6, linestyle=":")
        below.axhline(float(data.attrs["level"]), color="#999999", linewidth=0.6)
        if forecast is not None:
            high = min(forecast.high, 2 * forecast.step)
            for ax in (above, below):
                ax.axvspan(forecast.low, high, color=COLORS[2], alpha=0.15, linewidth=0)
                ax.axvline(forecast.step, color=COLORS[2], linestyle="--")
            below.annotate(
                f"direction {forecast.direction}, forecast",
                (forecast.step, 1),
                xycoords=("data", "axes fraction"),
                xytext=(-3, -4),
                textcoords="offset points",
                ha="right",
                va="top",
                color=COLORS[2],
            )
        below.set(xlabel="step", ylabel="eigenvalue", yscale="log")
        return figure
