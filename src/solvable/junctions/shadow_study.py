r"""The study `junction-shadows`: formulas for shadows of the resist against rays and polygons.

Each trial turns mask and beams by an angle of its own, which must not change what is measured.

- `trench_width_um`: films in random trenches, by `trench_floor`; measured with rays that are followed past walls.
- `dolan_overlap_um`: overlap under a suspended bridge, by `dolan_overlap`; measured as area over width of polygons.
- `leak_um2`: metal that a patch leaves where two trenches cross, by `crossing_leak`; measured as area of polygons.
  The coordinate `closing` is 0 at the tilt that closes a trench by itself, and 1 at that which closes the crossing.
- `junction_area_um2`: of a junction with its patch in the same lithography (`pict`), $w_1 w_2$; by polygons.
- `largest_width_um`: of two trenches that let in no metal, by `process_window`; measured by polygons, with ample
  undercut as the formula assumes. `largest_width_here_um` is the same with the undercut given.

Source: set-up and predictions are our own. Recipe and numbers are examples, not those of the paper.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.junctions.evaporation import (
    LARGEST_TILT_DEG,
    Resist,
    Step,
    crossing_leak,
    dolan_overlap,
    shadow,
    trench_floor,
)
from solvable.junctions.recipe_checks import process_window
from solvable.junctions.recipes import Recipe, cross_mask, dolan, pict, simulate
from solvable.lab import Comparison, Study, check_parameters
from solvable.lab.text import percent, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLOSINGS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.01)
"""Tilts of the patch, from that which closes a trench (0) to that which closes the crossing (1)."""

MISMATCH_UM = 1e-6
"""Widths of films that differ by more are a mismatch."""

_LEAST_ANGLE_DEG = 5.0  # between patch and trenches; along a trench no tilt keeps metal out


@dataclass(frozen=True)
class Parameters:
    """The resist, the beams and the widths."""

    t1_um: float = 0.6
    """Thickness of the lower layer of resist (µm)."""

    t2_um: float = 0.3
    """Thickness of the upper layer, which has the openings (µm)."""

    undercut_um: float = 0.3
    """Undercut of the lower layer (µm)."""

    tilt_deg: float = 45.0
    """Tilt of the beams of the two electrodes, from the normal of the wafer (degrees)."""

    patch_azimuth_deg: float = 225.0
    """Direction towards the source of the patch, anticlockwise from trench 1 (degrees)."""

    widths_um: tuple[float, ...] = (0.1, 0.2, 0.4)
    """Widths of the trenches (µm); each is crossed with each."""

    bridge_um: float = 0.2
    """Width of a suspended bridge (µm)."""

    tilts_deg: tuple[float, ...] = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0)
    """Tilts at which overlaps and largest widths are found (degrees)."""

    trenches: int = 300
    """Number of random trenches."""

    trials: int = 2
    """Number of angles by which everything is turned."""

    random_state: int = 0
    """Seed of trenches and angles."""

    def __post_init__(self) -> None:
        lengths = ("t1_um", "t2_um", "widths_um", "bridge_um")
        check_parameters(
            self,
            at_least=dict.fromkeys(lengths, 0.01)
            | {"undercut_um": 0, "tilt_deg": 1, "patch_azimuth_deg": 0, "tilts_deg": 1}
            | {"trenches": 1, "trials": 1},
            at_most=dict.fromkeys(lengths, 10)
            | {"undercut_um": 10, "tilt_deg": 85, "patch_azimuth_deg": 360, "tilts_deg": 85}
            | {"trenches": 10_000, "trials": 10_000},
        )
        away = abs((self.patch_azimuth_deg + 45) % 90 - 45)
        if away < _LEAST_ANGLE_DEG:
            raise InputError(
                f"patch_azimuth_deg is {self.patch_azimuth_deg:g}, {away:g} degrees from a trench, where hardly "
                f"any tilt keeps metal out; expected {_LEAST_ANGLE_DEG:g} or more, as at 225"
            )
        widest = max(self.widths_um)
        through = self.resist.height_um * float(np.tan(np.radians(self.tilt_deg)))
        if widest > through:
            raise InputError(
                f"widths_um has {widest:g}, and at a tilt of {self.tilt_deg:g} degrees each electrode would reach "
                f"the junction through the other's trench; expected at most {through:.4g}, or a larger tilt_deg"
            )
        longest = float(crossing_leak(widest, widest, self.patch_azimuth_deg, 0).largest_opening_um)
        least = max(CLOSINGS) * longest / np.tan(np.radians(LARGEST_TILT_DEG))
        if self.t2_um < least:
            raise InputError(
                f"t2_um is {self.t2_um:g}, and trenches of {widest:g} um would need a tilt beyond "
                f"{LARGEST_TILT_DEG:g} degrees; expected at least {least:.4g}, or smaller widths_um"
            )

    @property
    def resist(self) -> Resist:
        """The layers of the resist."""
        return Resist(self.t1_um, self.t2_um, self.undercut_um)

    def ample(self, tilt_deg: float) -> Resist:
        """Return the resist with an undercut that no beam of this tilt or a smaller one can reach across."""
        run = float(np.tan(np.radians(tilt_deg)))
        return replace(self.resist, undercut_um=2 * self.resist.height_um * run + self.bridge_um)


def _trenches(parameters: Parameters) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return widths (µm), tilts, azimuths and directions of the random trenches (degrees)."""
    rng, n = np.random.default_rng(parameters.random_state), parameters.trenches
    low, high = np.log(min(parameters.widths_um) / 2), np.log(4 * max(parameters.widths_um))
    widths = np.exp(rng.uniform(low, high, n))
    return widths, rng.uniform(0, 70, n), rng.uniform(0, 360, n), rng.uniform(0, 360, n)


def _patch_tilts(
    w1_um: NDArray, w2_um: NDArray, closing: NDArray, parameters: Parameters
) -> tuple[NDArray, NDArray]:
    """Return t2 tan(tilt) (µm) and the tilts (degrees) of a patch that closes the crossing so far."""
    azimuth = np.radians(parameters.patch_azimuth_deg)
    chords = w1_um / abs(np.sin(azimuth)), w2_um / abs(np.cos(azimuth))
    run = np.maximum(*chords) + closing * np.minimum(*chords)
    return run, np.degrees(np.arctan(run / parameters.t2_um))


def predict(parameters: Parameters, setting: None) -> xr.Dataset:
    """Return what the formulas say; those against tilt and closing on finer grids, for smooth lines."""
    resist = parameters.resist
    low, high = trench_floor(_trenches(parameters)[0], resist, *_trenches(parameters)[1:])
    tilts = np.union1d(
        parameters.tilts_deg, np.linspace(min(parameters.tilts_deg), max(parameters.tilts_deg), 40)
    )
    closing = np.union1d(CLOSINGS, np.linspace(0.02, 0.98, 49))
    widths = np.array(parameters.widths_um)
    w1, w2, c = np.meshgrid(widths, widths, closing, indexing="ij")
    azimuth = parameters.patch_azimuth_deg
    leak = crossing_leak(w1, w2, azimuth, _patch_tilts(w1, w2, c, parameters)[0]).leak_area_um2
    chord = float(crossing_leak(1.0, 1.0, azimuth, 0).largest_opening_um)
    least = float(np.degrees(np.arctan(widths.max() * chord / parameters.t2_um)))
    # The lines reach to the tilt that the largest junction needs.
    ends = min(parameters.tilts_deg), max(*parameters.tilts_deg, min(least, 80.0))
    tilts = np.union1d(parameters.tilts_deg, np.linspace(*ends, 40))
    run = np.tan(np.radians(tilts))
    overlap = dolan_overlap(parameters.t1_um, parameters.bridge_um, tilts)
    return xr.Dataset(
        {
            "trench_width_um": ("trench", np.maximum(high - low, 0)),
            "dolan_overlap_um": ("tilt_deg", np.maximum(overlap, 0)),
            "leak_um2": (("w1_um", "w2_um", "closing"), leak),
            "junction_area_um2": (("w1_um", "w2_um"), np.outer(widths, widths)),
            "largest_width_um": ("tilt_deg", parameters.t2_um * run / chord),
        },
        {
            "trench": np.arange(parameters.trenches),
            "tilt_deg": tilts,
            "closing": closing,
            "w1_um": widths,
            "w2_um": widths,
        },
        {
            "azimuth_deg": azimuth,
            "undercut_um": parameters.undercut_um,
            "least_tilt_deg": least,
            # Of two equal trenches, t2 tan(tilt) over the longest chord where closing is 0.
            "one_trench": float(_patch_tilts(widths[:1], widths[:1], np.zeros(1), parameters)[0][0])
            / (chord * widths[0]),
        },
    )


def trial(parameters: Parameters, setting: None, index: int) -> xr.Dataset:
    """Return what rays and polygons give, all turned by a random angle."""
    turn = np.random.default_rng((parameters.random_state, index)).uniform(0, 360)
    widths, tilts, azimuths, directions = _trenches(parameters)
    films = _ray_widths(widths, parameters.resist, tilts, azimuths + turn, directions + turn)
    n = len(parameters.widths_um)
    leak, area = np.empty((n, n, len(CLOSINGS))), np.empty((n, n))
    for i, w1 in enumerate(parameters.widths_um):
        for j, w2 in enumerate(parameters.widths_um):
            leak[i, j] = _leaks(w1, w2, parameters, turn)
            # Wide pads at a distance, and no patch, which does not reach the junction.
            lead, pad, tilt = 3 + 4 * max(w1, w2), 2.5 + 2 * max(w1, w2), parameters.tilt_deg
            recipe = pict(parameters.resist, tilt, 0, w1_um=w1, w2_um=w2, lead_um=lead, pad_um=pad)
            area[i, j] = _area(replace(recipe, steps=recipe.steps[:2]), turn)
    at_tilts = np.array(parameters.tilts_deg)
    widest, azimuth = max(parameters.widths_um), parameters.patch_azimuth_deg
    ample, here = (
        _largest_widths(resist, widest, azimuth, tuple(at_tilts))
        for resist in (parameters.ample(at_tilts.max()), parameters.resist)
    )
    return xr.Dataset(
        {
            "trench_width_um": ("trench", films),
            "dolan_overlap_um": ("tilt_deg", [_overlap(tilt, parameters, turn) for tilt in at_tilts]),
            "leak_um2": (("w1_um", "w2_um", "closing"), leak),
            "junction_area_um2": (("w1_um", "w2_um"), area),
            "largest_width_um": ("tilt_deg", ample),
            "largest_width_here_um": ("tilt_deg", here),
        },
        {
            "trench": np.arange(parameters.trenches),
            "tilt_deg": at_tilts,
            "closing": list(CLOSINGS),
            "w1_um": list(parameters.widths_um),
            "w2_um": list(parameters.widths_um),
        },
    )


@lru_cache
def _largest_widths(
    resist: Resist, widest_um: float, azimuth_deg: float, tilts_deg: tuple[float, ...]
) -> NDArray:
    """Return the largest dark widths by polygons; they are not turned, and so the same in each trial."""
    return process_window(widest_um, resist, azimuth_deg, tilts_deg).by_polygons_um


def _ray_widths(
    widths_um: NDArray, resist: Resist, tilts_deg: NDArray, azimuths_deg: NDArray, directions_deg: NDArray
) -> NDArray:
    """Return how wide the floor is that rays reach: a grid for a lit point, then bisection for both edges."""
    half = widths_um[:, None] / 2
    run = np.tan(np.radians(tilts_deg)) * np.sin(np.radians(azimuths_deg - directions_deg))

    def clearance(points: NDArray) -> NDArray:
        """Return the least distance (n, k) between the walls and the rays that end at floor points (n, k)."""
        least = np.full(points.shape, np.inf)
        for base, top, wall in (
            (0.0, resist.t1_um, half + resist.undercut_um),
            (resist.t1_um, resist.height_um, half),
        ):
            for height in np.linspace(base, top, 17):
                least = np.minimum(least, wall - np.abs(points + height * run[:, None]))
        return least

    reach = half + resist.undercut_um
    best, step = np.zeros_like(half), reach
    for _ in range(8):  # ever finer grids about the ray with the largest clearance
        points = best + step * np.linspace(-1, 1, 65)
        best = np.take_along_axis(points, clearance(points).argmax(axis=1)[:, None], axis=1)
        step = step / 16
    inside, outside = np.hstack([best, best]), np.hstack([-reach, reach]) * 1.01
    for _ in range(50):
        middle = (inside + outside) / 2
        lit = clearance(middle) > 0
        inside, outside = np.where(lit, middle, inside), np.where(lit, outside, middle)
    return np.where(clearance(best)[:, 0] > 0, inside[:, 1] - inside[:, 0], 0.0)


def _leaks(w1_um: float, w2_um: float, parameters: Parameters, turn_deg: float) -> list[float]:
    """Return the area of metal in two crossing trenches for each of `CLOSINGS`, with ample undercut."""
    from shapely.affinity import rotate

    runs, tilts = _patch_tilts(np.array(w1_um), np.array(w2_um), np.array(CLOSINGS), parameters)
    mask = rotate(cross_mask(w1_um, w2_um, 4 * float(runs.max())).opening, turn_deg, origin=(0, 0))
    azimuth = parameters.patch_azimuth_deg + turn_deg
    return [shadow(mask, parameters.ample(tilt), Step(tilt, azimuth)).area for tilt in tilts]


def _overlap(tilt_deg: float, parameters: Parameters, turn_deg: float) -> float:
    """Return the length of the overlap under a bridge with ample undercut and leads."""
    resist = parameters.ample(tilt_deg)
    lead, width = resist.undercut_um + 3 * parameters.bridge_um, 0.2
    recipe = dolan(resist, tilt_deg, width_um=width, bridge_um=parameters.bridge_um, lead_um=lead)
    return _area(recipe, turn_deg) / width


def _area(recipe: Recipe, turn_deg: float) -> float:
    """Return the area of the junctions of a recipe whose mask and beams are turned."""
    from shapely.affinity import rotate

    def turned(shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(rotate(one, turn_deg, origin=(0, 0)) for one in shapes)

    mask = recipe.mask
    mask = replace(
        mask,
        windows=turned(mask.windows),
        trenches=turned(mask.trenches),
        shared=turned(mask.shared),
        wires=turned(mask.wires),
        azimuths_deg=tuple(one + turn_deg for one in mask.azimuths_deg),
    )
    steps = tuple(replace(step, azimuth_deg=step.azimuth_deg + turn_deg) for step in recipe.steps)
    return float(simulate(replace(recipe, mask=mask, steps=steps)).areas_um2.sum())


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw widths predicted against measured, overlaps and largest widths against tilt, and leaks."""
    from matplotlib.lines import Line2D

    from solvable.lab.figure import COLORS, MARKERS, house_style, log_axes, subplots

    figure, axes = subplots(2, 2, height=5.6)
    (films, overlaps), (leaks, window) = axes
    with house_style():
        predicted, measured = prediction.trench_width_um, measurement.trench_width_um.mean("trial")
        end = 1.05 * max(float(predicted.max()), float(measured.max()), 1e-3)
        films.plot([0, end], [0, end], color="#666666", linewidth=0.8)
        films.plot(predicted, measured, "o", markersize=2.5, alpha=0.6)
        films.set(title=f"Films in {predicted.size} random trenches", aspect="equal")
        films.set(xlabel="width by formula (μm)", ylabel="width by rays (μm)")

        overlaps.plot(prediction.tilt_deg, prediction.dolan_overlap_um)
        one = measurement.dolan_overlap_um.mean("trial")
        overlaps.plot(one.tilt_deg, one, "o", color=COLORS[0])
        overlaps.set(title="Overlap under a suspended bridge", ylim=(0, None))
        overlaps.set(xlabel="tilt of both beams (degrees)", ylabel="overlap (μm)")

        start = prediction.attrs["one_trench"]
        for i, w in enumerate(prediction.w1_um.values):
            line, points = (
                one.leak_um2.sel(w1_um=w, w2_um=w) for one in (prediction, measurement.mean("trial"))
            )
            style = {"color": COLORS[i % len(COLORS)]}
            for one, shown in ((line, {}), (points, {"marker": MARKERS[i % len(MARKERS)], "linestyle": ""})):
                one = one[(one > 0).values]
                label = f"w = {readable(float(w))} μm" if shown else None
                leaks.plot(start + (1 - start) * one.closing, one, label=label, **style, **shown)
        log_axes(leaks, "y")
        leaks.set(title="Metal where trenches cross", ylabel="area (μm²)")
        leaks.set(xlabel=r"$t_2\,\tan\theta$ / longest chord")
        leaks.legend(loc="lower left")

        window.plot(prediction.tilt_deg, prediction.largest_width_um)
        undercut = f"undercut of {readable(prediction.attrs['undercut_um'])} μm"
        for i, (name, label) in enumerate((("", None), ("_here", undercut))):
            one = measurement[f"largest_width{name}_um"].mean("trial")
            window.plot(one.tilt_deg, one, "o^"[i], color=COLORS[2 * i], label=label)
        widest, least = float(prediction.w1_um.max()), prediction.attrs["least_tilt_deg"]
        window.axhline(widest, color=COLORS[1], linewidth=0.8, linestyle="--")
        window.plot(
            [least], [widest], "D", color=COLORS[1], label=f"{readable(widest)} μm needs {least:.1f}°"
        )
        azimuth = prediction.attrs["azimuth_deg"]
        window.set(title=f"Clean under a patch from {azimuth:g}°")
        window.set(xlabel="tilt of the patch (degrees)", ylabel="largest width (μm)", ylim=(0, None))
        handles: list[Any] = [Line2D([], [], color=COLORS[0])]
        handles += [Line2D([], [], color=COLORS[0], marker="o", linestyle="")]
        more, labels = window.get_legend_handles_labels()
        labels = ["by formula", "by rays or polygons", *labels]
        figure.legend([*handles, *more], labels, loc="outside upper left", ncols=4, columnspacing=1.2)
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the tilt that the largest junction demands, and how well formulas agree with simulations."""
    w, least = readable(float(prediction.w1_um.max())), prediction.attrs["least_tilt_deg"]
    count, trenches = _mismatches(prediction, measurement), prediction.sizes["trench"]
    agreement = (
        f"formulas differ from rays in {count} of {trenches} trenches"
        if count
        else f"formulas and simulations differ by at most {percent(max(_worst(comparison), 1e-5), 2)}"
    )
    return f"Junctions of {w} x {w} µm stay clean with a patch tilted by {least:.1f}° or more; {agreement}"


def _mismatches(prediction: xr.Dataset, measurement: xr.Dataset) -> int:
    """Return the number of trenches whose film differs between formula and rays."""
    off = np.abs(measurement.trench_width_um - prediction.trench_width_um).max("trial")
    return int((off > MISMATCH_UM).sum())


def _worst(comparison: Comparison) -> float:
    """Return the largest relative error of the overlaps, leaks and areas."""
    rest = ("dolan_overlap_um", "leak_um2", "junction_area_um2")
    return float(np.nanmax([0.0, *(comparison.summary[name].max_error for name in rest)]))


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences on mismatches, other errors, and the tilt that the largest junction demands."""
    count, worst = _mismatches(prediction, measurement), _worst(comparison)
    error = "less than 0.001 %" if worst < 1e-5 else f"at most {percent(worst, 2)}"
    w, least = readable(float(prediction.w1_um.max())), prediction.attrs["least_tilt_deg"]
    return (
        f"Of {prediction.sizes['trench']} random trenches, {count} have films that differ by more than "
        f"{MISMATCH_UM:g} μm between formula and rays; overlaps, stray metal and areas differ by {error} between "
        "formulas and polygons. "
        f"The largest junction, {w} x {w} μm, needs a patch tilt of {least:.1f} degrees at an azimuth of "
        f"{prediction.attrs['azimuth_deg']:g} degrees to stay clean whatever the undercut."
    )


study = Study(
    name="junction-shadows",
    title="Films under tilted beams, and metal that strays into crossed trenches, by formula and simulation",
    paper=(
        "A. Osman et al., Simplified Josephson-junction fabrication process for reproducibly high-performance "
        "superconducting qubits, Applied Physics Letters 118, 064002, 2021, arXiv:2011.05230"
    ),
    question="Where does evaporated metal land, and how far must a patch be tilted to leave junctions clean?",
    Parameters=Parameters,
    tiny=Parameters(widths_um=(0.1, 0.4), tilts_deg=(30.0, 60.0), trenches=50, trials=2),
    compared=("trench_width_um", "dolan_overlap_um", "leak_um2", "junction_area_um2", "largest_width_um"),
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"film in a trench of width $w$, in a resist of the thickness $t_2$ with ample undercut, for the tilt "
        r"$\theta$ of the beam and its azimuth $\varphi$ from the trench: "
        r"$w - t_2 \left| \tan \theta \sin \varphi \right|$",
        r"overlap under a bridge of width $b$ on a resist of the thickness $t_1$: $2 t_1 \tan \theta - b$",
        r"metal at the crossing of trenches of widths $w_1$ and $w_2$, along which the beam sees the chords "
        r"$a = \frac{w_1}{\left| \sin \varphi \right|}$ and $c = \frac{w_2}{\left| \cos \varphi \right|}$: "
        r"$(a + c - t_2 \tan \theta)^2 \left| \sin \varphi \cos \varphi \right|$ "
        r"for $\max(a, c) \le t_2 \tan \theta \le a + c$",
        r"no metal gets in where $t_2 \tan \theta \ge a + c$, whatever the undercut",
    ),
)
