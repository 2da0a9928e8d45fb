r"""Recipes of shadow evaporation: masks and steps, and what they make; `recipe_checks` says whether it works.

A junction is where the films of the first two evaporations overlap, with an oxide between them. `manhattan`
crosses two trenches, `squid` has two such crossings, `dolan` uses a suspended bridge, `bridge_free` a wide
opening with two leads. `pict` (patch-integrated cross type) adds wide openings at the ends of crossed
trenches. There, after an ion mill, a third evaporation of the same vacuum cycle connects the electrodes with
wires that were on the wafer before; its beam has to miss the trenches.

The recipe `pict` is our reading of the abstract of Osman et al., Applied Physics Letters 118, 064002 (2021).
The masks, angles and thicknesses here are ours, not those of the paper, which are not known to us; give those
of your process.

Source: the masks are ours; the shadows are those of `evaporation`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from solvable.checks import grid, one_number
from solvable.errors import InputError
from solvable.junctions.evaporation import Resist, Step, common, shadow, united

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon

DARK_UM2 = 1e-8
"""Less metal is a rounding error: 0.01 nm^2."""


@dataclass(frozen=True)
class Mask:
    """Openings of a mask by their purpose, as polygons of shapely in um.

    Trench 1 is for electrode 1 alone and trench 2 for electrode 2; shared openings are coated by both.

    Raises:
        InputError: if there is no window, or if trenches (with widths and azimuths) or wires are neither two
            nor none.
    """

    windows: "tuple[Polygon, ...]"
    """Where a junction is meant to be: one polygon for each."""
    trenches: "tuple[Any, ...]" = ()
    """Openings of trench 1 and trench 2, polygons or multipolygons; none for a Dolan bridge."""
    widths_um: tuple[float, ...] = ()
    """The largest widths of trench 1 and trench 2."""
    azimuths_deg: tuple[float, ...] = ()
    """Directions of the trenches, anticlockwise from x."""
    shared: "tuple[Polygon, ...]" = ()
    """Other openings, such as those for the patch."""
    wires: "tuple[Polygon, ...]" = ()
    """Metal on the wafer before: the wire of electrode 1 and that of electrode 2."""
    cavity: Any = None
    """Openings of the lower layer, if they are not those of the upper one grown by the undercut."""

    def __post_init__(self) -> None:
        if not self.windows:
            raise InputError("windows must be one polygon for each junction; got none")
        counts = len(self.trenches), len(self.widths_um), len(self.azimuths_deg)
        if counts not in ((0, 0, 0), (2, 2, 2)):
            raise InputError(f"trenches, widths_um and azimuths_deg must be 2 each, or none; got {counts}")
        if len(self.wires) not in (0, 2):
            raise InputError(f"wires must be those of the 2 electrodes, or none; got {len(self.wires)}")

    @property
    def opening(self) -> "MultiPolygon":
        """All openings of the upper layer, united."""
        return united(*self.trenches, *self.shared)


@dataclass(frozen=True)
class Recipe:
    """A mask, a resist, and the steps of one vacuum cycle in their order.

    The first two evaporations make the electrodes; oxidation between them is no step here. Those after them
    are patches.

    Raises:
        InputError: if there are fewer than two evaporations.
    """

    name: str
    mask: Mask
    resist: Resist
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        count = sum(step.kind == "evaporate" for step in self.steps)
        if count < 2:
            raise InputError(f"a recipe needs at least 2 evaporations, for the two electrodes; got {count}")


def cross_mask(w1_um: float, w2_um: float, length_um: float) -> Mask:
    """Return the mask of two crossing trenches of one length, trench 1 along x and trench 2 along y.

    Args:
        w1_um: width of trench 1, above 0.
        w2_um: width of trench 2, above 0.
        length_um: of both, with the crossing in the middle, above both widths.

    Raises:
        InputError: if an argument is outside its range.

    >>> cross_mask(0.2, 0.3, 4).opening.bounds
    (-2.0, -2.0, 2.0, 2.0)
    """
    w1, w2 = one_number("w1_um", w1_um, above=0), one_number("w2_um", w2_um, above=0)
    half = one_number("length_um", length_um, above=max(w1, w2)) / 2
    return _crossed((-half, half), (-half, half), w1, [(0.0, w2)])


def manhattan(
    resist: Resist,
    tilt_deg: float,
    *,
    w1_um: float = 0.2,
    w2_um: float = 0.2,
    length_um: float = 4.0,
    thicknesses_nm: tuple[float, float] = (30.0, 60.0),
) -> Recipe:
    """Return the recipe of a cross-type junction, whose area is w1 w2: one beam along each trench.

    Args:
        resist: thicknesses and undercut.
        tilt_deg: of both beams; their azimuths, the in-plane directions towards the source, are 0 and 90
            degrees.
        w1_um: width of trench 1, along x.
        w2_um: width of trench 2, along y.
        length_um: of both trenches; each film ends (t1 + t2) tan(tilt) before the end that faces the source.
        thicknesses_nm: of the two films; examples.

    Raises:
        InputError: if an argument is outside its range.

    >>> result = simulate(manhattan(Resist(0.6, 0.3, 0.3), 45, w1_um=0.2, w2_um=0.3))
    >>> result.areas_um2.round(6)
    array([0.06])
    """
    mask = cross_mask(w1_um, w2_um, length_um)
    return Recipe("Manhattan", mask, resist, _two_steps(tilt_deg, (0.0, 90.0), thicknesses_nm))


def squid(
    resist: Resist,
    tilt_deg: float,
    *,
    w1_um: float = 0.2,
    w2_um: tuple[float, float] = (0.15, 0.25),
    spacing_um: float = 4.0,
    length_um: float = 4.0,
    thicknesses_nm: tuple[float, float] = (30.0, 60.0),
) -> Recipe:
    """Return the recipe of the two junctions of a SQUID: two trenches along y cross one trench along x.

    Args:
        resist: thicknesses and undercut.
        tilt_deg: of both beams; their azimuths, the in-plane directions towards the source, are 0 and 90
            degrees.
        w1_um: width of trench 1, along x.
        w2_um: widths of the two arms, left and right.
        spacing_um: between the centre lines of the arms.
        length_um: of the arms; trench 1 is longer by the spacing.
        thicknesses_nm: of the two films; examples.

    Raises:
        InputError: if an argument is outside its range, or the arms touch.

    >>> simulate(squid(Resist(0.6, 0.3, 0.3), 45)).areas_um2.round(6)
    array([0.03, 0.05])
    """
    arms = [one_number("w2_um", width, above=0) for width in _several("w2_um", w2_um, 2)]
    w1 = one_number("w1_um", w1_um, above=0)
    away = one_number("spacing_um", spacing_um, above=max(arms)) / 2
    half = one_number("length_um", length_um, above=max(w1, *arms)) / 2
    mask = _crossed((-away - half, away + half), (-half, half), w1, [(-away, arms[0]), (away, arms[1])])
    return Recipe("SQUID", mask, resist, _two_steps(tilt_deg, (0.0, 90.0), thicknesses_nm))


def pict(
    resist: Resist,
    tilt_deg: float,
    patch_tilt_deg: float,
    *,
    w1_um: float = 0.2,
    w2_um: float = 0.2,
    patch_azimuth_deg: float = 225.0,
    lead_um: float = 3.0,
    pad_um: float = 2.5,
    thicknesses_nm: tuple[float, float, float] = (30.0, 60.0, 120.0),
) -> Recipe:
    """Return the recipe of a cross-type junction with its patch: two electrodes, an ion mill, and the patch.

    Square openings lie at the ends of the trenches on the sides of -x and -y, above the ends of the wires.
    This is our reading of the process, not the published recipe.

    Args:
        resist: thicknesses and undercut.
        tilt_deg: of the beams of the electrodes; their azimuths are 0 and 90 degrees.
        patch_tilt_deg: of the mill and the patch.
        w1_um: width of trench 1, along x.
        w2_um: width of trench 2, along y.
        patch_azimuth_deg: of the mill and the patch. Like all azimuths it is the in-plane direction towards
            the source: from 225 degrees the patch is displaced towards the junction, on the electrodes.
        lead_um: from the crossing to either patch opening.
        pad_um: side of the patch openings.
        thicknesses_nm: of the electrodes and the patch; examples.

    Raises:
        InputError: if an argument is outside its range.

    >>> from solvable.junctions.recipe_checks import check
    >>> all(one.passed for one in check(pict(Resist(0.6, 0.3, 0.3), 45, 65)))
    True
    """
    import shapely

    w1, w2 = one_number("w1_um", w1_um, above=0), one_number("w2_um", w2_um, above=0)
    lead, pad = (
        one_number("lead_um", lead_um, above=max(w1, w2)),
        one_number("pad_um", pad_um, above=max(w1, w2)),
    )
    *films, patch_nm = _several("thicknesses_nm", thicknesses_nm, 3)
    steps = _two_steps(tilt_deg, (0.0, 90.0), films)
    # A film ends before the end of its trench that faces the source: the trench goes on beyond the crossing.
    beyond = resist.height_um * np.tan(np.radians(tilt_deg)) + max(w1, w2)
    cross = _crossed((-lead, beyond), (-lead, beyond), w1, [(0.0, w2)])
    pads = (
        shapely.box(-lead - pad, -pad / 2, -lead, pad / 2),
        shapely.box(-pad / 2, -lead - pad, pad / 2, -lead),
    )
    wires = (
        shapely.box(-lead - 2 * pad, -pad / 2, -lead, pad / 2),
        shapely.box(-pad / 2, -lead - 2 * pad, pad / 2, -lead),
    )
    mask = Mask(cross.windows, cross.trenches, cross.widths_um, cross.azimuths_deg, pads, wires)
    mill = Step(patch_tilt_deg, patch_azimuth_deg, kind="mill")
    patch = Step(patch_tilt_deg, patch_azimuth_deg, patch_nm)
    return Recipe("PICT", mask, resist, (*steps, mill, patch))


def dolan(
    resist: Resist,
    tilt_deg: float,
    *,
    width_um: float = 0.2,
    bridge_um: float = 0.2,
    lead_um: float = 3.0,
    thicknesses_nm: tuple[float, float] = (30.0, 60.0),
) -> Recipe:
    """Return the recipe of a Dolan bridge: two leads along x, a bridge between them, beams from both sides.

    The junction is as long as `dolan_overlap` says with h1 = 0.

    Args:
        resist: thicknesses and undercut; the bridge hangs free if the undercut is at least half its width.
        tilt_deg: of both beams; their azimuths, the in-plane directions towards the source, are 0 and 180
            degrees.
        width_um: of the leads.
        bridge_um: length of the gap between the leads.
        lead_um: length of the leads.
        thicknesses_nm: of the two films; examples.

    Raises:
        InputError: if an argument is outside its range.

    >>> simulate(dolan(Resist(0.7, 0.3, 0.3), 25)).areas_um2.round(6)  # 0.452831 x 0.2
    array([0.090566])
    """
    import shapely

    half = one_number("width_um", width_um, above=0) / 2
    edge = one_number("bridge_um", bridge_um, above=0) / 2
    end = edge + one_number("lead_um", lead_um, above=0)
    leads = shapely.box(edge, -half, end, half), shapely.box(-end, -half, -edge, half)
    mask = Mask((shapely.box(-edge, -half, edge, half),), shared=leads)
    return Recipe("Dolan", mask, resist, _two_steps(tilt_deg, (0.0, 180.0), thicknesses_nm))


def bridge_free(
    resist: Resist,
    tilt_deg: float,
    *,
    opening_um: float = 2.0,
    width_um: float = 0.2,
    w_lead_um: float = 0.4,
    lead_um: float = 3.0,
    thicknesses_nm: tuple[float, float] = (30.0, 60.0),
) -> Recipe:
    """Return the recipe of a junction without a bridge: a wide opening, two leads undercut on one side each.

    The films are displaced to either side and overlap in the middle, on a length of opening - 2 (t1 + t2)
    tan(tilt). Lead 1 leaves downwards, on the left, and is undercut on the left only, so that the second film
    ends on its wall; lead 2 is its mirror image. The technique is that of Lecocq et al., Nanotechnology 22,
    315302 (2011); the mask is ours.

    Args:
        resist: thicknesses and undercut.
        tilt_deg: of both beams; their azimuths, the in-plane directions towards the source, are 0 and 180
            degrees.
        opening_um: length of the opening along x.
        width_um: of the opening along y, which is the width of the junction.
        w_lead_um: width of the leads, between t2 tan(tilt) and (t1 + t2) tan(tilt).
        lead_um: length of the leads.
        thicknesses_nm: of the two films; examples.

    Raises:
        InputError: if an argument is outside its range.

    >>> simulate(bridge_free(Resist(0.6, 0.3, 0.5), 35)).areas_um2.round(6)  # 0.739626 x 0.2
    array([0.147925])
    """
    import shapely

    a, width = one_number("opening_um", opening_um, above=0) / 2, one_number("width_um", width_um, above=0)
    lead, w = one_number("lead_um", lead_um, above=0), one_number("w_lead_um", w_lead_um, above=0, at_most=a)
    middle = shapely.box(-a, 0, a, width)
    leads = shapely.box(-a, -lead, -a + w, 0), shapely.box(a - w, width, a, width + lead)
    u = resist.undercut_um
    undercuts = shapely.box(-a - u, -lead, -a, width), shapely.box(a, 0, a + u, width + lead)
    cavity = united(middle, *leads, *undercuts) if u > 0 else united(middle, *leads)
    mask = Mask((middle,), leads, (w, w), (90.0, 90.0), (middle,), cavity=cavity)
    return Recipe("bridge-free", mask, resist, _two_steps(tilt_deg, (0.0, 180.0), thicknesses_nm))


@dataclass(frozen=True)
class Simulation:
    """The films of a recipe, as multipolygons in um."""

    recipe: Recipe
    films: "tuple[MultiPolygon, ...]"
    """One for each step: where its metal lands, or what it mills."""
    junctions: "tuple[Polygon, ...]"
    """The overlaps of the films of the first two evaporations that reach into a window of the mask."""

    @property
    def areas_um2(self) -> NDArray[np.float64]:
        """Areas of the junctions, one for each."""
        return np.array([one.area for one in self.junctions])


def simulate(recipe: Recipe) -> Simulation:
    """Return the films of all steps of a recipe, and its junctions.

    Films are ballistic shadows: they do not narrow the openings for later steps, nor cover the sides of
    earlier films.

    Args:
        recipe: one of the built-in ones, or your own.

    Raises:
        InputError: if a mask is no polygon.

    Source: derived here.

    >>> result = simulate(manhattan(Resist(0.6, 0.3, 0.3), 45))
    >>> len(result.films), len(result.junctions)
    (2, 1)
    """
    mask = recipe.mask
    films = tuple(shadow(mask.opening, recipe.resist, step, cavity=mask.cavity) for step in recipe.steps)
    first, second = electrodes(recipe)
    overlaps = common(films[first], films[second]).geoms
    meant = [one for one in overlaps if any(common(one, w).area > DARK_UM2 for w in mask.windows)]
    meant.sort(key=lambda one: one.bounds)
    return Simulation(recipe, films, tuple(meant))


def _two_steps(tilt_deg: float, azimuths: tuple[float, float], thicknesses_nm: Any) -> tuple[Step, ...]:
    thicknesses = _several("thicknesses_nm", thicknesses_nm, 2)
    return tuple(Step(tilt_deg, *one) for one in zip(azimuths, thicknesses, strict=True))


def _several(name: str, values: Any, count: int) -> list[float]:
    array = grid(name, values, at_least=0)
    if len(array) != count:
        raise InputError(f"{name} must be {count} numbers; got {len(array)}")
    return array.tolist()


def _crossed(
    x: tuple[float, float], y: tuple[float, float], w1: float, arms: list[tuple[float, float]]
) -> Mask:
    """Return trench 1 along x, and arms along y, each given by its place on x and its width."""
    import shapely

    across = shapely.box(x[0], -w1 / 2, x[1], w1 / 2)
    along = [shapely.box(at - w / 2, y[0], at + w / 2, y[1]) for at, w in arms]
    windows = tuple(shapely.box(at - w / 2, -w1 / 2, at + w / 2, w1 / 2) for at, w in arms)
    return Mask(windows, (across, united(*along)), (w1, max(w for _, w in arms)), (0.0, 90.0))


def electrodes(recipe: Recipe) -> tuple[int, int]:
    """Return which steps are the first two evaporations."""
    first, second, *_ = (i for i, step in enumerate(recipe.steps) if step.kind == "evaporate")
    return first, second
