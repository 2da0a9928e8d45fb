r"""Whether a recipe of shadow evaporation works, and by what margin; which widths a patch leaves clean.

Source: the checks are ours; the shadows are those of `evaporation`, the recipes those of `recipes`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import grid, one_number
from solvable.junctions.evaporation import Resist, Step, common, crossing_leak, grow, minus, shadow, united
from solvable.junctions.recipes import DARK_UM2, Mask, Recipe, Simulation, cross_mask, electrodes, simulate

if TYPE_CHECKING:
    from shapely import MultiPolygon

_PRECISION_UM = 1e-5  # of the largest width without stray metal


class Check(NamedTuple):
    """One requirement on a recipe."""

    name: str
    passed: bool
    margin: float
    """Distance from failing; of a failed check it may be the area of stray metal, with a minus sign."""
    unit: str
    sentence: str


def check(recipe: Recipe) -> list[Check]:
    r"""Return what a recipe has to fulfil, as a list of named checks with margins.

    - *electrode 1 (2) only in trench 1 (2)*: no metal through the other one, of width w. Margin: t2 |T| - w
      in um, with T as in `trench_floor`. Metal that a wider trench would put on its own wall lands in the
      cavity of the other one near the crossing; without undercut there is none, and (t1 + t2) |T| counts.
    - *one junction per window*: one overlap for each, complete if the trenches cross. Margin: area in um^2.
    - *bridge hangs free* (masks without trenches): no wall under it. Margin: undercut - half the bridge, um.

    For each step after the electrodes:

    - *clear of the junction*: margin is the distance, in um.
    - *nothing through the trenches*: the trenches by themselves let nothing in (`crossing_leak`). Margin: the
      degrees of tilt beyond the one that is enough for any undercut. If it is negative although the check
      passes, only the walls of the lower layer keep the metal out. If a trench leaks by itself, the area
      grows with its length.
    - *no short* (patches): no piece touches both electrodes. Margin: its distance to the farther one, in um.
    - *reaches wire 1 (2)*, *reaches electrode 1 (2)* (patches): the patch lies on bare metal of the wire, and
      the same piece of it on bare metal of the electrode. Metal is bare where the mill has been and no other
      film lies between. Margin: the area in um^2.

    Args:
        recipe: one of the built-in ones, or your own; checks that its mask says nothing about are left out.

    Source: derived here.

    >>> from solvable.junctions.recipes import pict
    >>> for one in check(pict(Resist(0.6, 0.3, 0.3), 45, 45)):
    ...     if not one.passed:
    ...         print(one.sentence)
    step 3 (mill) leaves 0.00405 um^2 in the trenches; a tilt of 62.1 degrees is enough
    step 4 (evaporate) leaves 0.00405 um^2 in the trenches; a tilt of 62.1 degrees is enough
    """
    checks = _checks(simulate(recipe))
    return [one._replace(passed=bool(one.passed), margin=float(one.margin)) for one in checks]


def _checks(result: Simulation) -> Iterator[Check]:
    import shapely

    recipe, mask, films = result.recipe, result.recipe.mask, result.films
    first, second = electrodes(recipe)
    if mask.trenches:
        yield _only_in_its_trench(result, first, 0)
        yield _only_in_its_trench(result, second, 1)
    junctions = united(*result.junctions)
    area, count, wanted = junctions.area, len(result.junctions), len(mask.windows)
    whole = not _crosses(mask) or area >= united(*mask.windows).area - DARK_UM2
    text = f"{count} overlap{'' if count == 1 else 's'} where {wanted} {'is' if wanted == 1 else 'are'} meant"
    text += f", of {area:.6f} um^2{'' if whole else ', not complete'}"
    yield Check("one junction per window", count == wanted and whole, area, "um^2", text)
    if not mask.trenches:
        low_x, _, high_x, _ = mask.windows[0].bounds
        free = recipe.resist.undercut_um - (high_x - low_x) / 2
        text = (
            f"the undercut is {recipe.resist.undercut_um:g} um, half the bridge {(high_x - low_x) / 2:g} um"
        )
        yield Check("bridge hangs free", free >= 0, free, "um", text)
    metal = [_touching(films[i], junctions) for i in (first, second)]
    bare = [minus(metal[0], films[second]), metal[1]]
    wires = [minus(wire, united(films[first], films[second])) for wire in mask.wires]
    milled = shapely.MultiPolygon()
    for i in range(second + 1, len(recipe.steps)):
        step, film, name = recipe.steps[i], films[i], f"step {i + 1} ({recipe.steps[i].kind})"
        hit = common(film, junctions).area
        away = -hit if hit > DARK_UM2 else _distance(film, junctions)
        text = (
            f"{name} covers {hit:.6f} um^2 of the junction" if away < 0 else f"{name} is {away:.3f} um away"
        )
        yield Check(f"{name}: clear of the junction", away >= 0, away, "um^2" if away < 0 else "um", text)
        if _crosses(mask):
            yield _nothing_through(recipe, step, name)
        if step.kind == "mill":
            milled = united(milled, film)
            continue
        near = [max(_distance(piece, one) for one in metal) for piece in film.geoms]
        gap = min(near, default=np.inf)
        text = f"each piece of {name} is at least {gap:.3f} um away from one of the electrodes"
        yield Check(f"{name}: no short", gap > 0, gap, "um", text)
        for k, wire in enumerate(wires):
            on_wire = common(common(film, milled), wire).area
            joined = common(common(_touching(film, wire), milled), bare[k]).area
            for what, size in ((f"wire {k + 1}", on_wire), (f"electrode {k + 1}", joined)):
                text = f"{name} lies on {size:.3f} um^2 of bare {what}"
                yield Check(f"{name}: reaches {what}", size > DARK_UM2, size, "um^2", text)


def _only_in_its_trench(result: Simulation, i: int, own: int) -> Check:
    """Compare the film with that of the same mask without the other trench."""
    recipe, mask, step = result.recipe, result.recipe.mask, result.recipe.steps[i]
    other = 1 - own
    undercut = recipe.resist.undercut_um if mask.cavity is None else 0.0
    cavity = grow(mask.opening, undercut) if mask.cavity is None else mask.cavity
    without = shadow(united(mask.trenches[own], *mask.shared), recipe.resist, step, cavity=cavity)
    stray = minus(result.films[i], without).area
    across = np.radians(step.azimuth_deg - mask.azimuths_deg[other])
    run = np.tan(np.radians(step.tilt_deg)) * abs(np.sin(across))
    closed = (recipe.resist.t2_um if undercut > 0 else recipe.resist.height_um) * run
    dark = stray <= DARK_UM2
    what = f"{stray:.6f} um^2 of electrode {own + 1}" if not dark else f"nothing of electrode {own + 1}"
    text = f"{what} comes through trench {other + 1}, which is {mask.widths_um[other]:g} um wide; "
    text += f"it is dark up to {closed:.3f} um"
    name = f"electrode {own + 1} only in trench {own + 1}"
    return Check(
        name, dark, closed - mask.widths_um[other] if dark else -stray, "um" if dark else "um^2", text
    )


def _nothing_through(recipe: Recipe, step: Step, name: str) -> Check:
    """Check the trenches without the openings of the patch, which let metal in on purpose."""
    mask, resist = recipe.mask, recipe.resist
    leak = shadow(united(*mask.trenches), resist, step, cavity=mask.cavity).area
    height = resist.height_um if mask.cavity is None and resist.undercut_um == 0 else resist.t2_um
    run = height * np.tan(np.radians(step.tilt_deg))
    largest = float(
        crossing_leak(mask.widths_um[0], mask.widths_um[1], step.azimuth_deg, run).largest_opening_um
    )
    needed = float(np.degrees(np.arctan(largest / height)))
    cure = (
        f"a tilt of {needed:.1f} degrees is enough"
        if largest < np.inf
        else "no tilt at this azimuth is enough"
    )
    passed, margin = leak <= DARK_UM2, step.tilt_deg - needed
    text = f"{name} leaves {leak:.5f} um^2 in the trenches; {cure}"
    if passed and margin < 0:
        text = f"{name} leaves nothing in the trenches only since the lower resist catches it; without that {cure}"
    return Check(f"{name}: nothing through the trenches", passed, margin, "degrees", text)


class ProcessWindow(NamedTuple):
    """The largest widths of two equal trenches that stay free of metal, for each tilt."""

    tilt_deg: NDArray[np.float64]
    by_formula_um: NDArray[np.float64]
    by_polygons_um: NDArray[np.float64]
    w_max_um: float
    least_tilt_deg: float


def process_window(
    w_max_um: float, resist: Resist, azimuth_deg: float, tilts_deg: ArrayLike
) -> ProcessWindow:
    r"""Return the largest width of two equal crossed trenches that let in no metal, for each tilt.

    By formula it is $w = t_2 \tan\theta / (1/|\sin\varphi| + 1/|\cos\varphi|)$ (`crossing_leak`), which is
    enough for any undercut. By polygons it is at least as large, since the walls of the lower layer may catch
    what comes in.

    Args:
        w_max_um: the largest width in use, above 0.
        resist: thicknesses and undercut.
        azimuth_deg: of the patch, the in-plane direction towards the source, anticlockwise from trench 1.
        tilts_deg: of the patch, 0 to 89.

    Returns:
        The tilts (n,), the largest widths by formula and by polygons (n,), to 1e-5 um, `w_max_um`, and the
        tilt that is enough for it by formula, `least_tilt_deg`: 90 along a trench, where none is.

    Raises:
        InputError: if an argument is outside its range.

    Source: derived here.

    >>> window = process_window(0.4, Resist(0.6, 0.3, 0.3), 225, [45, 60])
    >>> window.by_formula_um.round(4), round(window.least_tilt_deg, 2)
    (array([0.1061, 0.1837]), 75.15)
    """
    w_max, tilts = one_number("w_max_um", w_max_um, above=0), grid("tilts_deg", tilts_deg)
    steps = [Step(tilt, azimuth_deg) for tilt in tilts]
    chord = float(crossing_leak(1.0, 1.0, azimuth_deg, 0.0).largest_opening_um)
    formula = np.array([resist.t2_um * np.tan(np.radians(tilt)) / chord for tilt in tilts])
    polygons = [_largest_dark(w, resist, step) for w, step in zip(formula, steps, strict=True)]
    least = float(np.degrees(np.arctan(w_max * chord / resist.t2_um)))
    return ProcessWindow(tilts, formula, np.array(polygons), w_max, least)


def _largest_dark(low: float, resist: Resist, step: Step) -> float:
    """Bisect between a width that is dark and the one at which a trench by itself is lit."""
    run = min(abs(step.run))
    high = max(resist.t2_um * run, resist.height_um * run - resist.undercut_um)
    while high - low > _PRECISION_UM:
        middle = (low + high) / 2
        mask = cross_mask(middle, middle, 4 * (middle + resist.height_um * float(max(abs(step.run)))))
        lit = not shadow(mask.opening, resist, step).is_empty
        low, high = (low, middle) if lit else (middle, high)
    return low


def _crosses(mask: Mask) -> bool:
    return mask.azimuths_deg == (0.0, 90.0)


def _touching(film: "MultiPolygon", shape: Any) -> "MultiPolygon":
    """Return the pieces of a film that overlap with a shape."""
    return united(*(one for one in film.geoms if common(one, shape).area > DARK_UM2))


def _distance(one: Any, other: Any) -> float:
    return np.inf if one.is_empty or other.is_empty else float(one.distance(other))
