"""The figure of the study `scaling`: changes over the width above, losses over the learning rate below."""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solvable.scaling.sweep import Transfer

SPECTRAL, NTP, SP = "spectral", "ntp", "sp"
CHANGES, SWEEPS = (SPECTRAL, NTP), (SPECTRAL, SP)
"""The parametrizations whose changes are measured, and those whose learning rates are compared."""


def transfer_of(measurement: xr.Dataset, name: str) -> "Transfer":
    """Return the optima of the learning rates of a parametrization, from all trials."""
    from solvable.scaling.sweep import from_losses

    one = measurement.sel(sweep=name)
    lrs = one.lr.isel(trial=0).values
    rungs = np.isfinite(lrs)
    losses = one.loss.transpose("width", "rung", "trial").values[:, rungs]
    return from_losses(measurement.width.values, lrs[rungs], losses)


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Plot the changes over the width above, and the losses over the learning rate below."""
    from solvable.lab.figure import COLORS, subplots
    from solvable.scaling.sweep import draw_losses

    figure, axes = subplots(2, 3, height=5.6)
    panels = {
        "spectral_change": "weights, spectral norm",
        "frobenius_change": "weights, Frobenius norm",
        "feature_change": "hidden features",
    }
    for ax, (name, label) in zip(axes[0], panels.items(), strict=True):
        _draw_changes(ax, prediction, measurement, name)
        ax.set(xlabel="width", ylabel="relative change" if ax is axes[0, 0] else "")
        ax.set_title(label)
        _width_ticks(ax, measurement)
    for ax, name, title in zip(
        axes[1], (SP, SPECTRAL), ("loss, one rate for all layers", "loss, spectral condition"), strict=False
    ):
        draw_losses(ax, transfer_of(measurement, name).data)
        ax.set_title(title)
    axes[1, 0].set_xlabel("learning rate")
    optima = axes[1, 2]
    for color, name, label in zip(
        (COLORS[2], COLORS[1]), (SP, SPECTRAL), ("one rate", "spectral"), strict=True
    ):
        data = transfer_of(measurement, name).data
        shift = data.best_log2_lr - data.best_log2_lr[0]
        optima.plot(data.width, shift, marker="o", color=color, label=label)
    optima.set(xlabel="width", ylabel="shift (octaves)")
    optima.set_title("best learning rate")
    optima.set_xscale("log", base=2)
    _width_ticks(optima, measurement)
    _legends(figure, axes, prediction)
    return figure


def _width_ticks(ax: Any, measurement: xr.Dataset) -> None:
    ax.minorticks_off()
    ax.set_xticks(measurement.width.values, [str(width) for width in measurement.width.values])


def _draw_changes(ax: Any, prediction: xr.Dataset, measurement: xr.Dataset, name: str) -> None:
    from solvable.lab.compare import mean_and_error
    from solvable.lab.figure import COLORS, MARKERS, log_axes, measured_points

    for i, parametrization in enumerate(CHANGES):
        for j, layer in enumerate(prediction.layer.values):
            where = {"parametrization": parametrization, "layer": layer}
            line = prediction[name].sel(where)
            if bool(line.isnull().all()):
                continue
            color = (COLORS[1], COLORS[2])[i]
            ax.plot(prediction.width, line, color=color, linewidth=1.0)
            points = measurement[name].sel(where)
            measured_points(
                ax, measurement.width, *mean_and_error(points), color=color, fmt=MARKERS[j % len(MARKERS)]
            )
    log_axes(ax)


def _legends(figure: Any, axes: Any, prediction: xr.Dataset) -> None:
    from matplotlib.lines import Line2D

    from solvable.lab.figure import COLORS, MARKERS

    handles = [Line2D([], [], color=COLORS[1]), Line2D([], [], color=COLORS[2])]
    labels = ["spectral, predicted", "NTK, predicted"]
    for j, layer in enumerate(prediction.layer.values):
        handles.append(Line2D([], [], color="0.4", marker=MARKERS[j % len(MARKERS)], linestyle=""))
        labels.append(f"layer {layer}, measured")
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    lines, widths = axes[1, 0].get_legend_handles_labels()
    figure.legend(lines, [f"width {width}" for width in widths], loc="outside lower left", ncols=4)
    figure.legend(*axes[1, 2].get_legend_handles_labels(), loc="outside lower right", ncols=2)
