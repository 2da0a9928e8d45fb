"""Figures of the studies: loss against index, traces of searches, and the toy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.landscapes import toy
from solvable.landscapes.critical_point import CriticalPoint
from solvable.landscapes.experiment import CRITICAL_KINDS, KIND_NAMES, METHOD_NAMES
from solvable.landscapes.result import CriticalPoints
from solvable.landscapes.theory import CRITICAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GREY = "#777777"
_LIMIT: dict[str, Any] = {"color": _GREY, "linewidth": 0.8, "linestyle": "--"}
_KIND_MARKERS = {
    "minimum": "o",
    "saddle": "s",
    "maximum": "^",
    "degenerate": "D",
    "gradient-flat": "X",
    "not converged": "o",
    "non-smooth": "^",
    "diverging": "v",
}
# Smaller squared gradients are rounding errors, down to 1e-300.
_LEAST_SQUARE, _LEAST_ERROR = 1e-32, 1e-16


def plot_loss_index(found: CriticalPoints, exact: Sequence[CriticalPoint] = (), ax: Any = None) -> Any:
    r"""Draw the losses of the ends of a search against their index, as a share of the parameters.

    Ends with $|g|^2 > 10^{-10}$ are hollow: they are no evidence about critical points. `classify` says what they are.

    Args:
        found: from `find_critical_points`.
        exact: records of all critical points, such as those of `linear_autoencoder.theory`.
        ax: matplotlib axes; by default new ones.

    Returns:
        The axes.
    """
    from solvable.lab.figure import COLORS

    ax = _axes() if ax is None else ax
    if exact:
        style: dict[str, Any] = {"marker": ".", "linestyle": "", "markersize": 5, "color": "#bbbbbb"}
        at = [point.index_fraction for point in exact]
        ax.plot(at, [point.loss for point in exact], label=f"all {len(exact)} classes", **style)
    critical = found.squared_gradient <= CRITICAL
    for some, face, label in ((critical, COLORS[1], "critical"), (~critical, "none", "not critical")):
        if some.any():
            style = {
                "marker": "o",
                "linestyle": "",
                "markersize": 4,
                "color": COLORS[1],
                "markerfacecolor": face,
            }
            index = found.index[some] / found.theta.shape[1]
            ax.plot(index, found.loss[some], label=f"{label}: {int(some.sum())} ends", **style)
    ax.set(xlabel="index / number of parameters", ylabel="loss")
    ax.legend()
    return ax


def plot_traces(found: CriticalPoints, ax: Any = None) -> Any:
    """Draw the squared gradients of a search step by step, dotted where the end is not critical; return the axes."""
    from solvable.lab.figure import COLORS

    ax = _axes() if ax is None else ax
    trace = xr.DataArray(found.traces["squared_gradient"].T[None], dims=("trial", "start", "step"))
    _traces(
        ax,
        trace.assign_coords(step=np.arange(trace.sizes["step"])),
        found.squared_gradient <= CRITICAL,
        COLORS[1],
    )
    words: dict[str, Any] = {"ha": "right", "va": "top", "color": _GREY}
    ax.text(0.99, CRITICAL / 2, "counted as critical", transform=ax.get_yaxis_transform(), **words)
    return ax


def _axes() -> Any:
    from solvable.lab.figure import house_style, subplots

    with house_style():
        return subplots(1, 1, width=5.0, height=3.6)[1]


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw the study `landscapes`: found and exact points; traces; errors of searches that are stopped early."""
    from matplotlib.lines import Line2D

    from solvable.lab.compare import mean_and_error
    from solvable.lab.figure import COLORS, measured_points, subplots

    figure, axes = subplots(2, 2, height=5.0, width_ratios=(1.25, 1))
    points, traces, right, loss = axes[0, 0], axes[0, 1], axes[1, 0], axes[1, 1]
    N = prediction.attrs["n_parameters"]
    critical = measurement.squared_gradient.values <= CRITICAL
    at, height = measurement.found_index.values / N, measurement.found_loss.values
    points.plot(
        prediction.exact_index / N,
        prediction.exact_loss,
        marker=".",
        linestyle="",
        markersize=2,
        color="#bbbbbb",
        label=f"all {prediction.sizes['exact']} classes",
    )
    kinds = measurement.found_class.values
    distinct = len(np.unique(kinds[kinds >= 0]))
    classes = f"{distinct} class{'es' * (distinct != 1)}"
    for some, marker, face, label in (
        (
            critical,
            "o",
            COLORS[1],
            f"{prediction.attrs['method']}: {classes} from {int(critical.sum())} starts",
        ),
        (~critical, "s", "none", f"not critical: {int((~critical).sum())} ends"),
    ):
        if some.any():
            style = {"linestyle": "", "color": COLORS[1], "markerfacecolor": face, "markersize": 3}
            points.plot(at[some], height[some], marker=marker, label=label, **style)
    points.set(xlabel="index / number of parameters", ylabel="loss")
    handles, labels = points.get_legend_handles_labels()
    handles.append(Line2D([], [], **_LIMIT))
    figure.legend(handles, [*labels, "counted as critical"], loc="outside upper left", ncols=2)

    _traces(traces, measurement.trace, critical, COLORS[1])
    style: dict[str, Any] = {"color": COLORS[1]}
    cutoff = measurement.cutoff.values
    mean, error = mean_and_error(100 * measurement.index_right)
    measured_points(right, cutoff, mean, error, **style)
    right.set(ylabel="index right (%)", ylim=(-4, 104))
    mean, error = mean_and_error(measurement.loss_error)
    measured_points(loss, cutoff, np.maximum(mean, _LEAST_ERROR), None, **style)
    loss.set(ylabel="mean relative\nerror of the loss")
    _decades(loss)
    for ax in (right, loss):
        ax.set_xscale("log")
        ax.set_xlim(3 * cutoff.max(), cutoff.min() / 3)
        ax.set_xticks(cutoff)
        ax.minorticks_off()
        ax.set_xlabel("search stopped at |g|² below")
        ax.axvline(CRITICAL, **_LIMIT)
    return figure


def plot_flat(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw the study `gradient-flat`: the toy; ends on networks; traces of |g|² and of the residuals."""
    from matplotlib.lines import Line2D

    from solvable.lab.figure import COLORS, subplots

    figure, axes = subplots(2, 2, height=5.6)
    field, ends, traces, residuals = axes[0, 0], axes[0, 1], axes[1, 0], axes[1, 1]
    _draw_toy(field, measurement.isel(trial=0))

    searches = measurement.search.values.tolist()
    kinds = measurement.kind.transpose("search", "trial", "start").values.astype(int)
    critical = np.isin(kinds, [KIND_NAMES.index(name) for name in CRITICAL_KINDS])
    for i, name in enumerate(searches):
        one, color = measurement.sel(search=name).transpose("trial", "start", ...), COLORS[i + 1]
        for j in np.unique(kinds[i]):
            some = kinds[i] == j
            style = _kind_style(j) | {"color": color}
            ends.plot(one.index_fraction.values[some], one.loss.values[some], **style)
        _traces(traces, one.trace, critical[i], color)
    ends.set(xlabel="index / number of parameters", ylabel="loss")
    ends.margins(0.1)

    first = measurement.isel(trial=0)
    for i, name in enumerate(searches):
        one = first.sel(search=name).transpose("step", "start", ...)
        for values, style in ((one.residual_trace, "-"), (one.cokernel_trace, ":")):
            residuals.plot(measurement.step, values, style, color=COLORS[i + 1], linewidth=0.7)
    residuals.set(xlabel="step", ylabel="residuals,\nfirst network", ylim=(-0.04, 1.04))
    handles, _ = field.get_legend_handles_labels()
    handles += [Line2D([], [], color=_GREY, label=KIND_NAMES[j], **_kind_style(j)) for j in np.unique(kinds)]
    handles += [
        Line2D([], [], color=_GREY, linestyle=":", label="|g|², end not critical"),
        Line2D([], [], label="counted as critical", **_LIMIT),
        Line2D([], [], color=_GREY, label="residual $r$"),
        Line2D([], [], color=_GREY, linestyle=":", label="residual $r_H$"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, columnspacing=1.2)
    return figure


def _kind_style(kind: int) -> dict[str, Any]:
    """Return the marker of a kind of point, filled if it is critical."""
    name = KIND_NAMES[kind]
    style = {"marker": _KIND_MARKERS[name], "linestyle": "", "markersize": 4}
    return style if name in CRITICAL_KINDS else style | {"markerfacecolor": "none"}


def _traces(ax: "Axes", trace: xr.DataArray, critical: NDArray[np.bool_], color: str) -> None:
    """Draw |g|² over the steps of each search, dashed where the end is not critical."""
    values = trace.transpose("trial", "start", "step").values
    for line, is_critical in zip(values.reshape(-1, values.shape[-1]), critical.ravel(), strict=True):
        style = "-" if is_critical else ":"
        ax.plot(trace.step, np.maximum(line, _LEAST_SQUARE), style, color=color, linewidth=0.6, alpha=0.7)
    ax.axhline(CRITICAL, **_LIMIT)
    ax.set(xlabel="step", ylabel="squared\ngradient |g|²")
    _decades(ax)


def _decades(ax: "Axes") -> None:
    """Make the vertical axis logarithmic, with a few powers of ten."""
    from matplotlib.ticker import LogLocator, NullLocator

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(numticks=6))
    ax.yaxis.set_minor_locator(NullLocator())


def _draw_toy(ax: "Axes", measurement: xr.Dataset) -> None:
    """Draw contours of |g|² on the toy, its special points, and paths of the methods."""
    from solvable.lab.figure import COLORS

    axis = np.linspace(-4.2, 4.2, 200)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    square = np.log10(np.square(toy.gradient(grid)).sum(axis=-1))
    ax.contour(
        axis, axis, square, levels=np.arange(-1, 5, 0.5), colors="#cccccc", linewidths=0.6, linestyles="-"
    )
    for i, name in enumerate(measurement.method.values.tolist()):
        for j, path in enumerate(
            measurement.toy_path.sel({"method": name}).transpose("path", "toy_step", "axis").values
        ):
            label = METHOD_NAMES[name] if j == 0 else None
            ax.plot(*path.T, color=COLORS[i + 1], marker=".", markersize=2, linewidth=0.8, label=label)
    style: dict[str, Any] = {"linestyle": "", "color": "black", "zorder": 5}
    ax.plot(*toy.CRITICAL, marker="*", markersize=8, label="toy: critical", **style)
    ax.plot(*toy.FLAT, marker="X", markersize=6, label="toy: gradient-flat", **style)
    ax.grid(visible=False)
    ax.set(xlabel="x", ylabel="y")
