"""Figures of wafers and of lattices of qubits."""

from typing import TYPE_CHECKING, Any

import numpy as np

from solvable.junctions.collisions import Lattice
from solvable.junctions.wafer_statistics import STANDS_OUT
from solvable.junctions.wafer_table import places_mm
from solvable.lab.figure import COLORS, house_style, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Diverging, and readable without red and green.
_MAP = "PuOr"
_GREY = "#888888"
# More junctions than these are drawn as pixels inside of a vector figure.
_MANY = 1500
# From here on, means of pixels.
_BINNED, _PIXELS = 20_000, 250
_MOST_DESIGNS = 25


@house_style()
def plot_wafer(report: Any) -> "Figure":
    """Return a figure of a wafer: chips, residuals, spread by area, and frequencies of the designs.

    Args:
        report: a `wafer.WaferReport`.
    """
    has_places = "chip_x_mm" in report.chips
    figure, axes = subplots(2, 2, height=6.2)
    if has_places:
        _draw_chips(figure, axes[0, 0], report)
        _draw_residuals(figure, axes[0, 1], report)
    else:
        _draw_levels(axes[0, 0], report)
        _draw_histogram(axes[0, 1], report)
    _draw_spread(axes[1, 0], report)
    _draw_frequencies(axes[1, 1], report)
    return figure


def _map_axes(ax: Any, title: str) -> None:
    ax.set_aspect("equal", "box")
    ax.set_xlabel("x (mm)")
    ax.set_ylabel("y (mm)")
    ax.set_title(title)
    ax.grid(visible=False)


def _draw_chips(figure: Any, ax: Any, report: Any) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    chips: Any = report.chips
    x, y = chips["chip_x_mm"].to_numpy(), chips["chip_y_mm"].to_numpy()
    distance = np.hypot(x[:, None] - x, y[:, None] - y) + np.where(np.eye(len(x)) > 0, np.inf, 0)
    side = 0.96 * float(distance.min()) if len(x) > 1 else 1.0
    level = 100 * chips["level"].to_numpy()
    most = max(float(np.nanmax(np.abs(level))), 1e-9)
    squares = PatchCollection(
        [Rectangle((a - side / 2, b - side / 2), side, side) for a, b in zip(x, y, strict=True)], cmap=_MAP
    )
    squares.set_array(level)
    squares.set_clim(-most, most)
    ax.add_collection(squares)
    ax.set_xlim(x.min() - side, x.max() + side)
    ax.set_ylim(y.min() - side, y.max() + side)
    figure.colorbar(squares, ax=ax, label="R relative to the wafer (%)", shrink=0.85)
    _map_axes(ax, "means of the chips, after design")


def _draw_residuals(figure: Any, ax: Any, report: Any) -> None:
    junctions: Any = report.junctions
    known = junctions["standardized"].notna().to_numpy()
    rows = junctions[known]
    x, y = map(np.asarray, places_mm(rows))
    value = rows["standardized"].to_numpy()
    out = np.abs(value) > STANDS_OUT
    size = np.clip(9000 / max(len(x), 1), 0.3, 14)
    colors: dict[str, Any] = {"cmap": _MAP, "vmin": -4, "vmax": 4}
    if len(x) > _BINNED:
        image, extent = _binned(x, y, value)
        points = ax.imshow(image, extent=extent, origin="lower", **colors)
    else:
        points = ax.scatter(
            x, y, s=size, c=value, marker="s", linewidths=0, rasterized=len(x) > _MANY, **colors
        )
    if out.any():
        # By shape, not by colour alone.
        ax.scatter(
            x[out],
            y[out],
            s=size + 14,
            facecolors="none",
            edgecolors="black",
            linewidths=0.6,
            rasterized=out.sum() > _MANY,
        )
    figure.colorbar(points, ax=ax, label="residual (robust standard deviations)", shrink=0.85)
    _map_axes(ax, f"after design and trend; {int(out.sum())} beyond {STANDS_OUT:g}")


def _binned(x: Any, y: Any, value: Any) -> tuple[Any, tuple[float, float, float, float]]:
    """Return an image of the mean values of many junctions, and its extent."""
    extent = (x.min(), x.max(), y.min(), y.max())
    bounds = [[extent[0], extent[1]], [extent[2], extent[3]]]
    total, _, _ = np.histogram2d(x, y, _PIXELS, bounds, weights=value)
    count, _, _ = np.histogram2d(x, y, _PIXELS, bounds)
    with np.errstate(invalid="ignore"):
        return (total / count).T, extent


def _draw_levels(ax: Any, report: Any) -> None:
    chips: Any = report.chips
    level = 100 * chips["level"].to_numpy()
    ax.bar(np.arange(len(level)), level, color=COLORS[1])
    ax.set_xlabel("chip, in order of the table")
    ax.set_ylabel("R relative to the wafer (%)")
    ax.set_title("means of the chips, after design")


def _draw_histogram(ax: Any, report: Any) -> None:
    junctions: Any = report.junctions
    value = junctions["standardized"].dropna().to_numpy()
    ax.hist(np.clip(value, -8, 8), bins=np.arange(-8, 8.5, 0.5), color=COLORS[1])
    ax.set_xlabel("residual (robust standard deviations)")
    ax.set_ylabel("junctions")
    ax.set_title("after design")


def _draw_spread(ax: Any, report: Any) -> None:
    designs: Any = report.designs[report.designs["n_ok"] >= 3]
    w1, w2 = designs["w1_um"].to_numpy(), designs["w2_um"].to_numpy()
    x = 1 / np.sqrt(w1 * w2)
    for name, label, marker, color in (
        ("wafer_sd", "over the wafer", "s", _GREY),
        ("on_chip_sd", "on chip", "o", COLORS[1]),
    ):
        ax.plot(x, 100 * designs[name].to_numpy(), marker, color=color, label=label, linestyle="")
    if report.model is not None:
        widths = report.widths
        bias = (0.0, 0.0) if widths is None else (widths.bias1_um, widths.bias2_um)
        fitted = np.sqrt(report.model.variance(w1 + bias[0], w2 + bias[1]))
        ax.plot(x, 100 * fitted, "_", color="black", markersize=9, label="model, on chip")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("1 / √(drawn area)  (1/µm)")
    ax.set_ylabel("spread of R (%)")
    ax.set_title("spread of the designs")
    ax.legend()


def _draw_frequencies(ax: Any, report: Any) -> None:
    designs: Any = report.designs
    designs = designs[np.isfinite(designs["f01_GHz"])].sort_values("f01_GHz")
    shown = designs if len(designs) <= _MOST_DESIGNS else designs.iloc[:: len(designs) // _MOST_DESIGNS + 1]
    f = shown["f01_GHz"].to_numpy()
    ends = f - shown["f01_low_GHz"].to_numpy(), shown["f01_high_GHz"].to_numpy() - f
    place = np.arange(len(f))
    ax.errorbar(f, place, xerr=ends, fmt="o", color=COLORS[1])
    ax.set_yticks(place, [f"{a:g} x {b:g}" for a, b in zip(shown["w1_um"], shown["w2_um"], strict=True)])
    ax.set_xlabel("f01 (GHz), with 95 % of junctions on the wafer")
    ax.set_ylabel("drawn widths (µm)")
    ax.set_title(f"frequencies with a shunt of {report.qubit.shunt_fF:g} fF")


@house_style()
def plot_lattice(lattice: Lattice, sigma_GHz: float = 0.0) -> "Figure":
    """Return a picture of a lattice with the probability that each pair collides.

    A qubit's colour is its frequency; a pair's width and colour show its expected number of collisions, of the triples
    that it belongs to as well.

    Args:
        lattice: qubits and pairs.
        sigma_GHz: standard deviation of the frequencies; 0 shows which pairs collide as they are.
    """
    from matplotlib import rcParams
    from matplotlib.colors import Normalize

    place = np.asarray(lattice.layout())
    span = np.ptp(place, axis=0)
    figure, ax = subplots(height=float(np.clip(6.0 * span[1] / max(span[0], 1e-9), 2.2, 7.0)) + 0.6)
    expected = np.zeros(len(lattice.edges))
    number = {frozenset(edge): k for k, edge in enumerate(lattice.edges)}
    for one in lattice.table(sigma_GHz, least=0.0):
        control = one.numbers[0]
        pairs = (
            [frozenset(one.numbers)]
            if len(one.numbers) == 2
            else [frozenset((control, q)) for q in one.numbers[1:]]
        )
        found = [number[pair] for pair in pairs if pair in number]
        if not found and len(one.numbers) == 2:
            # Two targets: shown on the pairs with the control that they share.
            shared = _controls(lattice, *one.numbers)
            found = [number[frozenset((c, q))] for c in shared for q in one.numbers]
        expected[found] += one.probability / max(len(found), 1)
    scale = Normalize(0, max(float(expected.max()), 1e-3))
    colors = _reds()
    for (a, b), value in zip(lattice.edges, expected, strict=True):
        ax.plot(*place[[a, b]].T, color=colors(scale(value)), linewidth=1.2 + 4 * scale(value), zorder=1)
    points = ax.scatter(
        *place.T, c=lattice.frequencies_GHz, cmap="viridis", s=170, zorder=2, edgecolors="black"
    )
    f = lattice.frequencies_GHz
    light = Normalize(f.min(), max(f.max(), f.min() + 1e-9))
    for name, (x, y), value in zip(lattice.names, place, f, strict=True):
        color = "white" if light(value) < 0.6 else "black"
        style = {"fontsize": rcParams["legend.fontsize"], "color": color, "zorder": 3}
        ax.annotate(name, (x, y), ha="center", va="center", **style)
    figure.colorbar(points, ax=ax, label="design frequency (GHz)", shrink=0.8)
    from matplotlib.cm import ScalarMappable

    label = "expected collisions" if sigma_GHz > 0 else "collisions"
    figure.colorbar(ScalarMappable(scale, colors), ax=ax, label=f"{label} of the pair", shrink=0.8)
    ax.set_aspect("equal", "datalim")
    ax.margins(0.08)
    ax.set_axis_off()
    total = float(lattice.expected(sigma_GHz))
    spread = f" at a spread of {1e3 * sigma_GHz:g} MHz" if sigma_GHz > 0 else ""
    ax.set_title(f"{len(f)} qubits, {len(lattice.edges)} pairs: {total:.3g} collisions expected{spread}")
    return figure


def _controls(lattice: Lattice, i: int, k: int) -> list[int]:
    targets: dict[int, set[int]] = {}
    for c, t in lattice.edges:
        targets.setdefault(c, set()).add(t)
    return [c for c, several in targets.items() if {i, k} <= several]


def _reds() -> Any:
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("collisions", colormaps["OrRd"](np.linspace(0.25, 1.0, 64)))
