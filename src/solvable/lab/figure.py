"""The figure style of the library: predictions are lines, measurements are points with error bars.

Figures are created without pyplot, so no global state changes and no figure has to be closed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from solvable.lab.compare import mean_and_error
from solvable.lab.files import atomically
from solvable.lab.text import readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, distinguishable with common forms of colour blindness: black first, and without yellow,
# which is too pale for a line on white.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_GREY = "#666666"

COLUMN = 3.4
FULL = 7.0

_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "errorbar.capsize": 0,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "savefig.dpi": 200,
    # Outlined text does not depend on installed fonts; fixed ids make files reproducible.
    "svg.fonttype": "path",
    "svg.hashsalt": "solvable",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Use the library's figure style: `with house_style(): ...`, or `@house_style()` on a function."""
    import matplotlib
    from cycler import cycler

    style: Any = _STYLE | {"axes.prop_cycle": cycler(color=COLORS)}
    with matplotlib.rc_context(style):
        yield


@house_style()
def subplots(
    n_rows: int = 1,
    n_columns: int = 1,
    *,
    width: float | int = FULL,
    height: float | int | None = None,
    **options: Any,
) -> "tuple[Figure, Any]":
    """Return a figure and its axes, as `matplotlib.figure.Figure.subplots` does with `options`.

    Width and height are in inches: `COLUMN` and `FULL` are the widths of a two-column paper, and by default each axes
    is somewhat wider than high.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height or 0.72 * width / n_columns * n_rows + 0.2))
    FigureCanvasAgg(figure)
    return figure, figure.subplots(n_rows, n_columns, **options)


def prediction_line(
    ax: "Axes",
    x: ArrayLike,
    y: ArrayLike,
    low: ArrayLike | None = None,
    high: ArrayLike | None = None,
    **style: Any,
) -> None:
    """Draw a prediction as a line and its interval as a band; infinite values leave gaps."""
    (line,) = ax.plot(x, _finite(y), **style)
    if low is not None and high is not None:
        ax.fill_between(x, _finite(low), _finite(high), color=line.get_color(), alpha=0.15, linewidth=0)


def measured_points(
    ax: "Axes", x: ArrayLike, mean: ArrayLike, error: ArrayLike | None = None, **style: Any
) -> None:
    """Draw measured means as points with bars of one standard error."""
    options: dict[str, Any] = {"fmt": "o"} | style
    ax.errorbar(x, _finite(mean), None if error is None else _finite(error), **options)


def curves(
    ax: "Axes",
    prediction: xr.Dataset,
    measurement: xr.Dataset,
    name: str,
    *,
    x: str,
    hue: str | None = None,
    label: str = "{}",
) -> None:
    """Draw the variable `name` of both datasets against the dim `x`, predictions as lines, measurements as points.

    Each value of the dim `hue` has its own colour, marker and legend entry, such as `"ridge {}"` for `label`. Select a
    value of every other dim first, as in `prediction.sel(ridge=1)`. Intervals are `<name>_low` and `<name>_high` of
    the prediction; mean and standard error are over the dim `trial` of the measurement. The caller labels the axes.
    """
    values = [None] if hue is None else list(prediction[hue].to_numpy())
    for i, value in enumerate(values):
        one = prediction if hue is None else prediction.sel({hue: value})
        style: dict[str, Any] = {"color": COLORS[i % len(COLORS)]}
        bounds = [one.get(f"{name}_{side}") for side in ("low", "high")]
        text = {} if hue is None else {"label": label.format(readable(value))}
        has_points = hue is None or value in measurement[hue]
        # One legend entry per colour: the marker if there is one, else the line.
        prediction_line(ax, one[x], one[name], *bounds, **style, **({} if has_points else text))
        if has_points:
            trials = (measurement if hue is None else measurement.sel({hue: value}))[name]
            style |= text | {"fmt": MARKERS[i % len(MARKERS)]}
            measured_points(ax, trials[x], *mean_and_error(trials), **style)


def legend(ax: "Axes", **options: Any) -> None:
    """Add a legend with the labelled colours and the symbols of predictions and measurements."""
    from matplotlib.lines import Line2D

    handles, labels = ax.get_legend_handles_labels()
    handles += [Line2D([], [], color=_GREY), Line2D([], [], color=_GREY, marker="o", linestyle="")]
    ax.legend(handles, [*labels, "predicted", "measured"], **options)


def legend_above(figure: "Figure", *axes: "Axes", columns: int) -> None:
    """Add one legend above all axes: their labelled colours, and the symbols of predictions and measurements."""
    from matplotlib.lines import Line2D

    labelled = [ax.get_legend_handles_labels() for ax in axes]
    handles = [handle for handles, _ in labelled for handle in handles]
    labels = [label for _, labels in labelled for label in labels]
    handles += [Line2D([], [], color=_GREY), Line2D([], [], color=_GREY, marker="o", linestyle="")]
    figure.legend(handles, [*labels, "predicted", "measured"], loc="outside upper left", ncols=columns)


def log_axes(ax: "Axes", which: str = "xy") -> None:
    """Make axes (`x`, `y` or `xy`) logarithmic, with labels such as 30, 100, 300 rather than powers of ten.

    Draw the data first, since the number of labels depends on the range.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for name in which:
        getattr(ax, f"set_{name}scale")("log")
        low, high = getattr(ax, f"get_{name}lim")()
        axis, decades = getattr(ax, f"{name}axis"), np.log10(high / low)
        steps = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 2.6 else (1,)
        axis.set_major_locator(LogLocator(subs=steps, numticks=20))
        axis.set_major_formatter(FuncFormatter(lambda value, _: readable(float(value))))
        axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=50))
        axis.set_minor_formatter(NullFormatter())


@house_style()
def save(figure: "Figure", path: Path) -> None:
    """Write a figure; equal figures give identical bytes.

    Raises:
        InputError: if the file cannot be written.
    """
    # Metadata with date and creator would differ between runs of the same study.
    keys = {".svg": ("Date", "Creator", "Format", "Type"), ".pdf": ("CreationDate", "Creator", "Producer")}
    with atomically(path) as temporary:
        figure.savefig(temporary, metadata=dict.fromkeys(keys.get(path.suffix.lower(), ("Software",))))


def _finite(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)
