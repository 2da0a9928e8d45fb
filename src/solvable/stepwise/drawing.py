"""Figures of the wing: eigenvalues over steps."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solvable.stepwise.growth import Forecast

_MOST_CURVES = 40


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
                fontsize=7,
            )
        below.set(xlabel="step", ylabel="eigenvalue", yscale="log")
        return figure
