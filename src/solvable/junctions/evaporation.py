r"""Where evaporated metal lands under a resist mask: shadows of tilted beams, without diffusion.

A resist has two layers. The upper one, of thickness t2, has the openings M of the mask. The lower one, of
thickness t1, has the larger openings G: M grown by the undercut u. A beam of tilt $\theta$ from the wafer's
normal has an azimuth $\varphi$, which is always the direction in the wafer's plane *towards the source*,
anticlockwise from x. Going up by h towards the source, a ray runs sideways by $h s$, $s =
\tan\theta\,(\cos\varphi, \sin\varphi)$. The floor point p is coated if

$$p + h s \in M \ (t_1 \le h \le t_1 + t_2) \quad\text{and}\quad p + h s \in G \ (0 \le h \le t_1).$$

Metal is displaced away from the source, by about $(t_1 + t_2/2) \tan\theta$. Films that were evaporated
before are not part of the resist: that they narrow the openings is not modelled. Lengths are in um.

Source: ballistic shadows are common knowledge; the formulas are derived here, and tested against rays.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import broadcast, choice, numbers, one_number
from solvable.errors import InputError

if TYPE_CHECKING:
    from shapely import MultiPolygon

Numbers = NDArray[np.float64]
Kind = Literal["evaporate", "mill"]

LARGEST_TILT_DEG = 89.0
"""Tilts above this are refused: shadows are 57 times as long as the resist is thick here."""

_GRID_UM = 1e-9  # corners are rounded to this grid
_MITRE = 10.0  # corners sharper than 11.5 degrees are cut off where openings are grown


@dataclass(frozen=True)
class Resist:
    """Two layers of resist; for a single layer of thickness t, give t1 = 0, t2 = t and undercut = 0.

    Raises:
        InputError: if t1 or the undercut is negative, or t2 is not positive.

    >>> Resist(t1_um=0.6, t2_um=0.3, undercut_um=0.3).height_um
    0.8999999999999999
    """

    t1_um: float
    """Thickness of the lower layer, at least 0."""
    t2_um: float
    """Thickness of the upper layer, which has the openings of the mask, above 0."""
    undercut_um: float
    """By how much the openings of the lower layer are larger than those of the upper one, on each side."""

    def __post_init__(self) -> None:
        one_number("t1_um", self.t1_um, at_least=0)
        one_number("t2_um", self.t2_um, above=0)
        one_number("undercut_um", self.undercut_um, at_least=0)

    @property
    def height_um(self) -> float:
        """Thickness of both layers."""
        return self.t1_um + self.t2_um


@dataclass(frozen=True)
class Step:
    """One evaporation, or one ion milling, with a directed beam.

    Raises:
        InputError: if the tilt is outside 0 to 89 degrees, the thickness is negative, or the kind is unknown.

    >>> Step(45, 180, thickness_nm=30).run.round(3)
    array([-1.,  0.])
    """

    tilt_deg: float
    """Angle between the beam and the wafer's normal, 0 to 89; for a negative tilt, add 180 to the azimuth."""
    azimuth_deg: float
    """Direction in the wafer's plane towards the source, anticlockwise from x."""
    thickness_nm: float = 0.0
    """Thickness of the film on the floor, measured along the normal; it does not enter the shadows."""
    kind: Kind = "evaporate"
    """`evaporate` adds a film; `mill` removes the oxide, and reaches what a film would reach."""

    def __post_init__(self) -> None:
        one_number("tilt_deg", _tilts(self.tilt_deg))
        one_number("azimuth_deg", self.azimuth_deg)
        one_number("thickness_nm", self.thickness_nm, at_least=0)
        choice("kind", self.kind, get_args(Kind))

    @property
    def run(self) -> Numbers:
        """The vector s: how far a ray runs sideways per unit height, towards the source; shape (2,)."""
        azimuth = np.radians(self.azimuth_deg)
        return np.tan(np.radians(self.tilt_deg)) * np.array([np.cos(azimuth), np.sin(azimuth)])


def trench_floor(
    width_um: ArrayLike,
    resist: Resist,
    tilt_deg: ArrayLike,
    azimuth_deg: ArrayLike,
    trench_azimuth_deg: ArrayLike = 0.0,
) -> tuple[Numbers, Numbers]:
    r"""Return the coated interval (lo, hi) across the floor of a long trench, from its centre line.

    The coordinate across the trench points 90 degrees anticlockwise from the trench's direction. With
    $T = \tan\theta \sin(\varphi - \varphi_\text{trench})$ and the total thickness $t = t_1 + t_2$,

    $$\text{lo} = \max(-w/2 - \min(t_1 T, t T), -w/2 - u),$$
    $$\text{hi} = \min(w/2 - \max(t_1 T, t T), w/2 + u).$$

    With ample undercut the film has the width $w - t_2 |T|$.

    Args:
        width_um: of the trench, above 0.
        resist: its thicknesses and undercut.
        tilt_deg: of the beam from the normal, 0 to 89.
        azimuth_deg: in-plane direction towards the source, anticlockwise from x.
        trench_azimuth_deg: direction of the trench, anticlockwise from x.

    Returns:
        Two arrays in um, of the broadcast shape of the arguments. Where hi <= lo, the floor is dark.

    Raises:
        InputError: if a width is not positive or a tilt is outside 0 to 89 degrees.

    Source: derived here; tested against rays.

    >>> lo, hi = trench_floor(0.5, Resist(0.6, 0.3, 0.4), 30, [0, 90, 270])
    >>> (hi - lo).round(4), ((hi + lo) / 2).round(4)
    (array([0.5   , 0.3268, 0.3268]), array([ 0.   , -0.433,  0.433]))
    """
    half = numbers("width_um", width_um, above=0) / 2
    angle = np.radians(
        numbers("azimuth_deg", azimuth_deg) - numbers("trench_azimuth_deg", trench_azimuth_deg)
    )
    run = np.tan(np.radians(_tilts(tilt_deg))) * np.sin(angle)
    low, high = resist.t1_um * run, resist.height_um * run
    lo = np.maximum(-half - np.minimum(low, high), -half - resist.undercut_um)
    hi = np.minimum(half - np.maximum(low, high), half + resist.undercut_um)
    return lo, hi


def grow(mask: Any, undercut_um: float) -> "MultiPolygon":
    """Return polygons grown by the undercut, with mitred corners: the openings of the lower layer.

    Args:
        mask: a polygon or multipolygon of shapely, in um.
        undercut_um: at least 0.

    Returns:
        A multipolygon.

    >>> import shapely
    >>> grow(shapely.box(0, 0, 1, 1), 0.5).bounds
    (-0.5, -0.5, 1.5, 1.5)
    """
    return united(_opening("mask", mask).buffer(undercut_um, join_style="mitre", mitre_limit=_MITRE))


def shadow(
    mask: Any, resist: Resist, step: Step, *, cavity: Any = None, lower_walls: bool = True
) -> "MultiPolygon":
    r"""Return the polygons on the floor that the beam of one step reaches through the openings of a mask.

    The points whose rays stay inside a set of polygons between two heights $a$ and $b$ are the polygons
    shifted by $-a s$, minus the parallelograms that their edges sweep on the way from $-a s$ to $-b s$. This
    holds for any polygons, also with corners that point inwards and with holes. The result is that set for
    the upper layer, between $t_1$ and $t_1 + t_2$, intersected with that for the lower layer, between 0 and
    $t_1$.

    Args:
        mask: the openings M of the upper layer, a polygon or multipolygon of shapely, in um.
        resist: thicknesses and undercut.
        step: the beam. Its azimuth is the in-plane direction towards the source, so metal moves the other
            way.
        cavity: the openings of the lower layer, where they were written separately; by default `mask` grown
            by the undercut. It must contain the mask.
        lower_walls: False asks only that the floor point lies in the cavity, and so lets rays pass through
            the corners of the lower layer between two openings.

    Returns:
        A multipolygon, empty if nothing is reached.

    Raises:
        InputError: if the mask or the cavity is no polygon, is empty, or crosses itself.

    Source: derived here; tested by following rays.

    >>> import shapely
    >>> film = shadow(shapely.box(-1, -0.25, 1, 0.25), Resist(0.6, 0.3, 0.3), Step(30, 90))
    >>> [round(y, 4) for y in film.bounds[1::2]]  # the same as with trench_floor
    [-0.55, -0.2696]
    """
    opening = _opening("mask", mask)
    below = grow(mask, resist.undercut_um) if cavity is None else _opening("cavity", cavity)
    upper = _stays_inside(opening, step.run, resist.t1_um, resist.height_um)
    lower = _stays_inside(below, step.run, 0.0, resist.t1_um) if lower_walls else below
    return common(upper, lower)


def dolan_overlap(
    t1_um: ArrayLike, bridge_um: ArrayLike, tilt_deg: ArrayLike, h1_um: ArrayLike = 0.0
) -> Numbers:
    r"""Return how far two films overlap under a suspended bridge, $(2 t_1 - h_1) \tan\theta - b$, in um.

    The bridge has the width b and its lower edges at the height $t_1$ above the floor, and the beams come
    from both sides at the same tilt. The first film ends at $t_1 \tan\theta - b/2$ beyond the middle, on the
    floor. The second lands on top of the first, at the height $h_1$, and ends at $(t_1 - h_1) \tan\theta -
    b/2$ on the other side. The thickness of the upper layer does not matter. Metal on the bridge's own edges,
    the slope of the first film's end, and openings shorter than the overlap are not modelled.

    A negative value is no overlap: no metal lies on top of the first film. Then $b - 2 t_1 \tan\theta$ is the
    gap between the films on the floor; if that is negative, too, the second film still touches the first
    one's side.

    Args:
        t1_um: height of the bridge above the floor, above 0.
        bridge_um: width of the bridge in the direction of the beams, above 0.
        tilt_deg: of both beams, 0 to 89; their azimuths are 180 degrees apart, across the bridge.
        h1_um: thickness of the first film, at least 0.

    Returns:
        Signed lengths, of the broadcast shape of the arguments.

    Raises:
        InputError: if an argument is outside its range, or the first film is as thick as the lower layer.

    Source: derived here; tested against rays.

    >>> float(dolan_overlap(0.7, 0.2, 25).round(6)), float(dolan_overlap(0.7, 0.2, 25, h1_um=0.03).round(6))
    (0.452831, 0.438841)
    """
    t1, bridge = numbers("t1_um", t1_um, above=0), numbers("bridge_um", bridge_um, above=0)
    first = numbers("h1_um", h1_um, at_least=0)
    if np.any(first >= t1):
        raise InputError(
            "h1_um must be below t1_um, or the first film touches the bridge; got a film as thick as that"
        )
    return np.asarray((2 * t1 - first) * np.tan(np.radians(_tilts(tilt_deg))) - bridge)


class CrossingLeak(NamedTuple):
    """What two crossing trenches let through."""

    largest_opening_um: Numbers
    leak_area_um2: Numbers


def crossing_leak(
    w1_um: ArrayLike, w2_um: ArrayLike, azimuth_deg: ArrayLike, t2_tan_um: ArrayLike
) -> CrossingLeak:
    r"""Return the longest chord of two crossing trenches along the beam, and the area of metal they let in.

    With trench 1 along x and trench 2 along y, a ray crosses trench 1 in $a = w_1/|\sin\varphi|$ and trench 2
    in $b = w_2/|\cos\varphi|$. In the crossing it can enter by one trench and leave by the other, so the
    longest chord is $L_\max = a + b$: no metal reaches the floor if $t_2 \tan\theta \ge L_\max$, although
    $\max(a, b)$ is enough for the trenches by themselves. Between the two limits the area is

    $$(L_\max - t_2\tan\theta)^2 \, |\sin\varphi \cos\varphi|.$$

    It is for ample undercut; the walls of the lower layer may catch part of it, as `shadow` shows.

    Args:
        w1_um: width of trench 1, along x, above 0.
        w2_um: width of trench 2, along y, above 0.
        azimuth_deg: in-plane direction towards the source, anticlockwise from trench 1.
        t2_tan_um: thickness of the upper layer times the tangent of the tilt, at least 0.

    Returns:
        `largest_opening_um` and `leak_area_um2` per crossing, of the broadcast shape. Where $t_2 \tan\theta <
        \max(a, b)$ the area is infinite, since a trench lets metal in over its whole length. That is the case
        for all tilts along a trench, at 0, 90, 180 and 270 degrees, where the chord is infinite, too.

    Raises:
        InputError: if an argument is outside its range.

    Source: derived here; tested against polygons.

    >>> crossing_leak(0.2, 0.2, 45, [0.5, 0.6]).leak_area_um2.round(6)
    array([0.002157, 0.      ])
    """
    w1, w2, azimuth, run = broadcast(
        w1_um=numbers("w1_um", w1_um, above=0),
        w2_um=numbers("w2_um", w2_um, above=0),
        azimuth_deg=np.radians(numbers("azimuth_deg", azimuth_deg)),
        t2_tan_um=numbers("t2_tan_um", t2_tan_um, at_least=0),
    )
    along, across = np.abs(np.cos(azimuth)), np.abs(np.sin(azimuth))
    parallel = np.minimum(along, across) < 1e-9  # cos(90 degrees) is 6e-17
    chords = [
        np.where(parallel, np.inf, width / np.where(parallel, 1.0, part))
        for width, part in ((w1, across), (w2, along))
    ]
    largest = chords[0] + chords[1]
    open_trench = run < np.maximum(*chords)
    excess = np.maximum(np.where(open_trench, 0.0, largest) - run, 0.0)
    area = np.where(open_trench, np.inf, excess**2 * along * across)
    return CrossingLeak(*np.broadcast_arrays(largest, area))


class WaferAreas(NamedTuple):
    """Local beams, film widths and areas over a wafer; the first axis of the first three is the electrode."""

    tilt_deg: Numbers
    azimuth_deg: Numbers
    width_um: Numbers
    area_um2: Numbers


def wafer_area_map(
    x_mm: ArrayLike,
    y_mm: ArrayLike,
    source_distance_mm: float,
    resist: Resist,
    *,
    w1_um: float,
    w2_um: float,
    tilt_deg: float,
    azimuths_deg: tuple[float, float] = (0.0, 90.0),
) -> WaferAreas:
    r"""Return tilt, azimuth, widths and area of crossed junctions over a wafer near its source.

    The wafer is tilted about its centre, at the distance D from a point source. In the wafer's own axes the
    source is at $S = D (\sin\theta\cos\varphi, \sin\theta\sin\varphi, \cos\theta)$, so a ray that ends at the
    place r of the wafer runs sideways by $s = (S - r)_{xy}/S_z$ per unit height. Electrode 1 is the film in a
    trench along x, electrode 2 that in a trench along y, and the area is the product of their widths. At $(x,
    y)$ electrode 1 with the azimuth 0 has the width $w_1 - t_2 |y|/(D \cos\theta)$ if the undercut is ample:
    the loss is of first order in y.

    Args:
        x_mm: place from the wafer's centre, along trench 1.
        y_mm: place from the wafer's centre, along trench 2.
        source_distance_mm: D, above 0.
        resist: thicknesses and undercut.
        w1_um: width of trench 1.
        w2_um: width of trench 2.
        tilt_deg: of both beams at the centre, 0 to 89.
        azimuths_deg: of the two beams at the centre, in-plane directions towards the source, anticlockwise
            from x.

    Returns:
        `tilt_deg`, `azimuth_deg` and `width_um` of shape (2, *places), and `area_um2` of shape (*places);
        width and area are 0 where an electrode is dark.

    Raises:
        InputError: if an argument is outside its range, or a tilt somewhere on the wafer is above 89 degrees.

    Source: derived here; tested by intersecting rays with the resist.

    >>> areas = wafer_area_map(0, [5, 35], 600, Resist(0.6, 0.3, 0.3), w1_um=0.2, w2_um=0.2, tilt_deg=45)
    >>> (areas.area_um2 / 0.04).round(3)
    array([0.982, 0.876])
    """
    places = np.broadcast_arrays(numbers("x_mm", x_mm), numbers("y_mm", y_mm))
    distance = one_number("source_distance_mm", source_distance_mm, above=0)
    tilt, azimuth = np.radians(one_number("tilt_deg", _tilts(tilt_deg))), np.radians(azimuths_deg)
    source = np.tan(tilt) * np.array([np.cos(azimuth), np.sin(azimuth)])  # over its height; (axis, electrode)
    source = source.reshape(2, len(azimuth), *[1] * places[0].ndim)
    x, y = (one[None] / (distance * np.cos(tilt)) for one in places)
    run_x, run_y = source[0] - x, source[1] - y
    tilts, azimuths = np.degrees(np.arctan(np.hypot(run_x, run_y))), np.degrees(np.arctan2(run_y, run_x))
    widths = []
    for i, (width, trench) in enumerate([(w1_um, 0.0), (w2_um, 90.0)]):
        lo, hi = trench_floor(one_number(f"w{i + 1}_um", width), resist, tilts[i], azimuths[i], trench)
        widths.append(np.maximum(hi - lo, 0.0))
    return WaferAreas(tilts, azimuths, np.stack(widths), np.asarray(widths[0] * widths[1]))


def _tilts(tilt_deg: ArrayLike) -> Numbers:
    return numbers("tilt_deg", tilt_deg, at_least=0, at_most=LARGEST_TILT_DEG)


def _opening(name: str, shape: Any) -> "MultiPolygon":
    """Return polygons as one multipolygon, touching parts united."""
    import shapely

    if not isinstance(shape, shapely.Polygon | shapely.MultiPolygon):
        raise InputError(f"{name} must be a polygon or multipolygon of shapely; got {type(shape).__name__}")
    if shape.is_empty or not all(part.is_valid for part in shapely.get_parts(shape)):
        wrong = "empty" if shape.is_empty else shapely.is_valid_reason(shape).lower()
        raise InputError(f"{name} must be polygons that do not cross themselves; got {wrong}")
    return united(*shapely.get_parts(shape))


# Without a grid, intersections of edges that nearly coincide can silently lose a polygon (GEOS 3.14).
def united(*shapes: Any) -> "MultiPolygon":
    """Return the union of polygons on the grid of this module, without slivers."""
    import shapely

    return _polygons(shapely.union_all(shapes, grid_size=_GRID_UM))


def common(one: Any, other: Any) -> "MultiPolygon":
    """Return where two polygons overlap, on the grid of this module, without slivers."""
    import shapely

    return _polygons(shapely.intersection(one, other, grid_size=_GRID_UM))


def minus(one: Any, other: Any) -> "MultiPolygon":
    """Return the first polygon without the second, on the grid of this module, without slivers."""
    import shapely

    return _polygons(shapely.difference(one, other, grid_size=_GRID_UM))


def _polygons(shape: Any) -> "MultiPolygon":
    """Return the polygons of a geometry, without lines, points and slivers as thin as the grid."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shape))
    kept = [one for one in parts if shapely.area(one) > 2 * _GRID_UM * shapely.length(one)]
    return shapely.MultiPolygon(kept)


def _stays_inside(opening: "MultiPolygon", run: Numbers, low_um: float, high_um: float) -> Any:
    """Return the floor points whose rays stay inside an opening between two heights."""
    import shapely

    moved = shapely.transform(opening, lambda points: points - low_um * run)
    rings = shapely.get_rings(shapely.get_parts(opening))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    start, end = points[:-1][same], points[1:][same]
    corners = [start - low_um * run, end - low_um * run, end - high_um * run, start - high_um * run]
    swept: Any = shapely.polygons(np.stack(corners, axis=1))
    # Edges along the beam sweep no area.
    wide = shapely.area(swept) > _GRID_UM * shapely.length(swept)
    return minus(moved, united(*swept[wide]))
