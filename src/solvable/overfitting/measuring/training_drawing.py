"""A training profile as a figure."""

import math
from typing import TYPE_CHECKING

import numpy as np

from solvable.lab.figure import COLORS, FULL, MARKERS, house_style, log_axes, prediction_line, subplots
from solvable.lab.text import readable

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from solvable.overfitting.measuring.training_profile import TrainingProfile

_MOST_COLUMNS = 3
_GREY = "#666666"


@house_style()
def draw_training(profile: "TrainingProfile") -> "Figure":
    """Draw errors over epochs: a panel for each training size, a colour for each noise level.

    Lines are means over trials: whole of the test error, with a band of one standard error, dashed of the training
    error; a marker stands where half of the trainings had ended.

    Args:
        profile: from `training_profile`.
    """
    data, n_panels = profile.data, profile.data.sizes["n_train"]
    columns = min(n_panels, _MOST_COLUMNS)
    rows = math.ceil(n_panels / columns)
    figure, axes = subplots(
        rows, columns, sharex=True, sharey=True, squeeze=False, height=0.3 + rows * (2.0 if columns > 1 else 3.6),
        width=FULL if columns > 1 else 0.75 * FULL,
    )  # fmt: skip
    for i, ax in enumerate(axes.flat):
        if i >= n_panels:
            ax.remove()
            continue
        _panel(ax, data.isel(n_train=i))
        ax.set_title(f"{data.n_train[i].item()} training samples")
        if i + columns >= n_panels:
            ax.set_xlabel("epoch")
            ax.tick_params(labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel("error rate" if data.attrs["n_classes"] else "squared error")
    # Beyond the last training's end everything is carried forward.
    ended = 1.5 * data.n_epochs.max().item()
    axes[0, 0].set_xlim(0.9 * data.epoch[0].item(), min(ended, 1.1 * data.epoch[-1].item()))
    log_axes(axes[0, 0], "x" if data.attrs["n_classes"] else "xy")
    figure.legend(handles=_key(data), loc="outside upper left", ncols=4)
    return figure


def _panel(ax: "Axes", data: "xr.Dataset") -> None:
    several = data.sizes["trial"] > 1
    for i, level in enumerate(data.noise_level.to_numpy()):
        one, color = data.sel(noise_level=level), COLORS[i % len(COLORS)]
        test = one.test_error.mean("trial")
        error = one.test_error.std("trial", ddof=1) / np.sqrt(data.sizes["trial"]) if several else 0.0
        band = (test - error, test + error) if several else ()
        prediction_line(ax, data.epoch, test, *band, color=color)
        prediction_line(
            ax, data.epoch, one.train_error.mean("trial"), color=color, linestyle="--", linewidth=0.9
        )
        end = float(np.clip(one.n_epochs.median(), data.epoch[0], data.epoch[-1]))
        height = np.interp(np.log(end), np.log(data.epoch), test)
        ax.plot(end, height, MARKERS[i % len(MARKERS)], color=color)


def _key(data: "xr.Dataset") -> "list[Line2D]":
    from matplotlib.lines import Line2D

    lines = [
        Line2D(
            [], [], color=COLORS[i % len(COLORS)], marker=MARKERS[i % len(MARKERS)], label=_noise(level, data)
        )
        for i, level in enumerate(data.noise_level.to_numpy())
    ]
    return [
        *lines,
        Line2D([], [], color=_GREY, label="test, clean labels"),
        Line2D([], [], color=_GREY, linestyle="--", linewidth=0.9, label="training, noisy labels"),
    ]


def _noise(level: float, data: "xr.Dataset") -> str:
    if level == 0:
        return "no noise"
    return f"{100 * level:.4g} % noise" if data.attrs["n_classes"] else f"noise of {readable(level)} sd"
