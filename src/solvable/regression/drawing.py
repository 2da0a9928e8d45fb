"""A learning surface as a figure."""

from typing import TYPE_CHECKING

from solvable.lab.figure import COLORS, log_axes, prediction_line, subplots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
