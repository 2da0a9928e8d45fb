"""Figures of shadow evaporation: films from above, a cross section, and the process window of a patch."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from solvable.checks import choice, one_number
from solvable.errors import InputError
from solvable.junctions.evaporation import grow
from solvable.junctions.recipe_checks import ProcessWindow
from solvable.junctions.recipes import Recipe, Simulation, simulate
from solvable.lab.figure import COLORS, FULL, house_style, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Along = Literal["x", "y"]

_RESIST, _LOWER = "#9a9a9a", "#d2d2d2"
_FILMS = (COLORS[1], COLORS[5], COLORS[3], COLORS[4], COLORS[6])
_SUBSTRATE_UM = 0.12  # drawn thickness


@house_style()
def plot_films(simulation: Simulation) -> "Figure":
    """Draw the openings of the mask, the films on the floor and the junctions, from above.

    Args:
        simulation: result of `simulate`. In the labels, an azimuth is the in-plane direction towards the
            source.

    Returns:
        A matplotlib figure: the whole mask on the left, the surroundings of the first junction on the right.

    Raises:
        InputError: if the recipe makes no junction.

    >>> from solvable.junctions.evaporation import Resist
    >>> from solvable.junctions.recipes import manhattan
    >>> len(plot_films(simulate(manhattan(Resist(0.6, 0.3, 0.3), 45))).axes)
    2
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    recipe = simulation.recipe
    if not simulation.junctions:
        raise InputError("the recipe makes no junction to draw; got films that do not overlap in a window")
    figure, axes = subplots(1, 2, width=FULL, height=4.1)
    x, y = simulation.junctions[0].centroid.coords[0]
    bounds = simulation.junctions[0].bounds
    near = 1.3 * max(recipe.resist.height_um, bounds[2] - bounds[0], bounds[3] - bounds[1])
    for ax in axes:
        for wire in recipe.mask.wires:
            _draw(ax, wire, facecolor="#e2e2e2", edgecolor="#b5b5b5", linewidth=0.5)
        for color, i in zip(_FILMS, _drawn(recipe), strict=False):
            _draw(ax, simulation.films[i], facecolor=color, alpha=0.45, linewidth=0)
        _draw(ax, recipe.mask.opening, facecolor="none", edgecolor="black", linewidth=0.8)
        for junction in simulation.junctions:
            _draw(ax, junction, facecolor="none", edgecolor=COLORS[2], linewidth=1.8)
        ax.set(xlabel="x (μm)", ylabel="y (μm)", aspect="equal")
        ax.grid(False)
        ax.margins(0.04)
    axes[0].autoscale_view()
    axes[0].set_title("All openings")
    axes[1].set(xlim=(x - near, x + near), ylim=(y - near, y + near))
    axes[1].set_title(f"Junction of {simulation.areas_um2[0]:.4f} μm²")
    handles: list[Any] = [Line2D([], [], color="black", linewidth=0.8, label="opening of the mask")]
    handles += [Line2D([], [], color=COLORS[2], linewidth=1.8, label="junction")]
    if recipe.mask.wires:
        handles.append(Patch(facecolor="#e2e2e2", edgecolor="#b5b5b5", label="wire"))
    for color, i in zip(_FILMS, _drawn(recipe), strict=False):
        handles.append(Patch(facecolor=color, alpha=0.45, label=_label(recipe, i)))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.suptitle(recipe.name, x=0.01, ha="left")
    return figure


@house_style()
def plot_cross_section(recipe: Recipe, along: Along = "x", at_um: float | None = None) -> "Figure":
    """Draw the resist with its undercut, the films and the beams in a vertical cut along x or y.

    Beams are drawn as they appear in the plane of the cut. Lengths and heights have one scale; films lie flat
    on what is below them, with vertical ends.

    Args:
        recipe: its steps give the thicknesses of the films; films without a thickness are left out.
        along: direction of the cut.
        at_um: place of the cut on the other axis; by default it goes through the middle of the first window.

    Returns:
        A matplotlib figure.

    Raises:
        InputError: if the direction is unknown, or the cut misses all openings.

    >>> from solvable.junctions.evaporation import Resist
    >>> from solvable.junctions.recipes import dolan
    >>> plot_cross_section(dolan(Resist(0.7, 0.3, 0.3), 25)).axes[0].get_xlabel()
    'x (μm)'
    """
    from matplotlib.patches import Patch, Rectangle

    axis = get_args(Along).index(choice("along", along, get_args(Along)))
    mask, resist = recipe.mask, recipe.resist
    middle = mask.windows[0].centroid.coords[0]
    place = (
        round(middle[1 - axis] if at_um is None else one_number("at_um", at_um), 9) + 0.0
    )  # no "-0" in the title
    reach = 2.2 * resist.height_um + (mask.windows[0].bounds[axis + 2] - mask.windows[0].bounds[axis]) / 2
    low, high = middle[axis] - reach, middle[axis] + reach
    cavity = grow(mask.opening, resist.undercut_um) if mask.cavity is None else mask.cavity
    openings = _cut(mask.opening, axis, place, low, high)
    if not openings:
        raise InputError(
            f"at_um must be the place of a cut through an opening; got {place:g}, where there is none"
        )
    figure, ax = subplots(width=FULL, height=3.4)
    layers = (
        (_cut(cavity, axis, place, low, high), 0.0, resist.t1_um, _LOWER),
        (openings, resist.t1_um, resist.t2_um, _RESIST),
    )
    for holes, base, height, color in layers:
        edges = [low, *np.ravel(holes), high]
        for left, right in zip(edges[::2], edges[1::2], strict=True):
            ax.add_patch(Rectangle((left, base), right - left, height, facecolor=color, linewidth=0))
    ax.add_patch(
        Rectangle((low, -_SUBSTRATE_UM), high - low, _SUBSTRATE_UM, facecolor="#5c6b78", linewidth=0)
    )
    handles: list[Any] = [
        Patch(facecolor=_RESIST, label="upper layer"),
        Patch(facecolor=_LOWER, label="lower layer"),
    ]
    below: list[tuple[float, float, float]] = []  # left, right and thickness of the films so far
    films, beams = simulate(recipe).films, []
    for color, i in zip(_FILMS, _drawn(recipe), strict=False):
        step = recipe.steps[i]
        pieces = _cut(films[i], axis, place, low, high)
        thickness = step.thickness_nm / 1000
        marks = {edge for left, right, _ in below for edge in (left, right)}
        for left, right in pieces:
            edges = [left, *sorted(mark for mark in marks if left < mark < right), right]
            for start, end in pairwise(edges):
                base = sum(h for a, b, h in below if a < (start + end) / 2 < b)
                ax.add_patch(Rectangle((start, base), end - start, thickness, facecolor=color, linewidth=0))
        below += [(left, right, thickness) for left, right in pieces]
        handles.append(Patch(facecolor=color, label=_label(recipe, i)))
        beams.append((float(step.run[axis]), color))
    for k, (run, color) in enumerate(
        sorted(beams)
    ):  # in the order of their directions, so that they do not cross
        aside = 0.5 * (k - (len(beams) - 1) / 2)
        _draw_beam(ax, (middle[axis] + aside, resist.height_um), run, color)
    ax.set(xlim=(low, high), ylim=(-_SUBSTRATE_UM, resist.height_um + 0.8), aspect="equal")
    other = "yx"[axis]
    ax.set(
        xlabel=f"{along} (μm)", ylabel="height (μm)", title=f"{recipe.name}: cut at {other} = {place:g} μm"
    )
    ax.grid(False)
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@house_style()
def plot_process_window(window: ProcessWindow) -> "Figure":
    """Draw the largest width of two equal trenches that let in no metal, against the tilt of the patch.

    Args:
        window: result of `process_window`.

    Returns:
        A matplotlib figure.

    >>> from solvable.junctions.evaporation import Resist
    >>> from solvable.junctions.recipe_checks import process_window
    >>> plot_process_window(process_window(0.3, Resist(0.6, 0.3, 0.3), 225, [40, 60])).axes[0].get_xlabel()
    'tilt of the patch (degrees)'
    """
    figure, ax = subplots(width=4.6, height=3.2)
    order = np.argsort(window.tilt_deg)
    tilt, formula, polygons = (one[order] for one in window[:3])
    ax.fill_between(tilt, 0, formula, color=COLORS[1], alpha=0.15, linewidth=0)
    ax.plot(tilt, formula, color=COLORS[1], label="any undercut, by formula")
    ax.plot(tilt, polygons, color=COLORS[2], linestyle="--", label="this undercut, by polygons")
    ax.axhline(window.w_max_um, color="black", linewidth=0.8, label=f"in use, {window.w_max_um:g} μm")
    if tilt[0] <= window.least_tilt_deg <= tilt[-1]:
        ax.plot([window.least_tilt_deg], [window.w_max_um], "o", color="black")
        text = f"{window.least_tilt_deg:.1f}°"
        ax.annotate(
            text, (window.least_tilt_deg, window.w_max_um), (-4, 5), textcoords="offset points", ha="right"
        )
    ax.set(xlabel="tilt of the patch (degrees)", ylabel="largest width without stray metal (μm)")
    ax.set(xlim=(tilt[0], tilt[-1]) if len(tilt) > 1 else None, ylim=(0, None))
    ax.legend(loc="upper left")
    return figure


def _drawn(recipe: Recipe) -> list[int]:
    """Return which steps are evaporations: milled areas are those of the patch that follows."""
    return [i for i, step in enumerate(recipe.steps) if step.kind == "evaporate"]


def _label(recipe: Recipe, i: int) -> str:
    step = recipe.steps[i]
    return f"film {i + 1}: tilt {step.tilt_deg:g}°, azimuth {step.azimuth_deg:g}°, {step.thickness_nm:g} nm"


def _draw(ax: Any, shape: Any, **style: Any) -> None:
    """Add polygons, holes left open, as one patch."""
    import shapely
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    rings = shapely.get_rings(shapely.orient_polygons(shapely.get_parts(shape)))
    if len(rings):
        paths = [Path(shapely.get_coordinates(ring), closed=True) for ring in rings]
        ax.add_patch(PathPatch(Path.make_compound_path(*paths), **style))


def _cut(shape: Any, axis: int, place: float, low: float, high: float) -> list[tuple[float, float]]:
    """Return the intervals in which a line along an axis lies inside polygons, from left to right."""
    import shapely

    ends = [(low, place), (high, place)] if axis == 0 else [(place, low), (place, high)]
    lines = shapely.get_parts(shape.intersection(shapely.LineString(ends)))
    pieces = [(one.bounds[axis], one.bounds[axis + 2]) for one in lines]
    return sorted(one for one in pieces if one[1] > one[0])


def _draw_beam(ax: Any, end: tuple[float, float], run: float, color: str) -> None:
    """Draw arrows of a beam that ends above the resist, coming from the side of the source."""
    direction = np.array([run, 1.0]) / np.hypot(run, 1.0)
    for aside in (-0.12, 0.0, 0.12):
        tip = np.array([end[0] + aside, end[1] + 0.06])
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.2}
        ax.annotate("", tip, tip + 0.65 * direction, arrowprops=arrow, annotation_clip=False)
