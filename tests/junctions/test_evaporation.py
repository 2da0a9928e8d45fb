"""Shadows are compared with rays that are followed through the resist, without polygons."""

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from shapely import affinity

from solvable.errors import InputError
from solvable.junctions.evaporation import (
    Resist,
    Step,
    crossing_leak,
    dolan_overlap,
    grow,
    shadow,
    trench_floor,
    wafer_area_map,
)

EXAMPLE = Resist(0.6, 0.3, 0.3)
Boxes = list[tuple[float, float, float, float]]

MASKS: dict[str, Boxes] = {
    "cross": [(-2, -0.1, 2, 0.1), (-0.125, -2, 0.125, 2)],
    "ring": [(-1, -1, 1, -0.6), (-1, 0.5, 1, 1), (-1, -1, -0.4, 1), (0.3, -1, 1, 1)],
    "two leads": [(0.1, -0.2, 1.5, 0.2), (-1.5, -0.2, -0.1, 0.2)],
    "stairs": [(-1, -1, 0.2, -0.5), (-0.3, -0.7, 0.4, 0.3), (0.1, 0.1, 1.2, 0.6)],
}


def cross(w1: float, w2: float, length: float = 4.0) -> shapely.Polygon:
    half = length / 2
    return shapely.union(shapely.box(-half, -w1 / 2, half, w1 / 2), shapely.box(-w2 / 2, -half, w2 / 2, half))


def inside(points: NDArray, boxes: Boxes, grown: float = 0.0) -> NDArray[np.bool_]:
    x, y = points[..., 0], points[..., 1]
    return np.logical_or.reduce(
        [(x > a - grown) & (x < c + grown) & (y > b - grown) & (y < d + grown) for a, b, c, d in boxes]
    )


def lit_by_rays(
    points: NDArray, boxes: Boxes, resist: Resist, run: NDArray, *, walls: bool = True
) -> NDArray[np.bool_]:
    upper = np.linspace(resist.t1_um, resist.height_um, 120)[:, None, None]
    lower = np.linspace(0, resist.t1_um, 120 if walls else 1)[:, None, None]
    through = inside(points + upper * run, boxes).all(axis=0)
    return through & inside(points + lower * run, boxes, resist.undercut_um).all(axis=0)


def test_trenches_agree_with_rays() -> None:
    rng = np.random.default_rng(0)
    across = np.linspace(-8, 8, 4001)
    mismatches = 0
    for _ in range(300):
        resist = Resist(
            rng.choice([0.0, rng.uniform(0.1, 1)]), rng.uniform(0.05, 0.6), rng.choice([0, rng.uniform(0, 1)])
        )
        width, tilt = rng.uniform(0.05, 1.5), rng.uniform(0, 70)
        azimuth, trench = rng.uniform(-360, 360, 2)
        lo, hi = trench_floor(width, resist, tilt, azimuth, trench)
        run = np.tan(np.radians(tilt)) * np.sin(np.radians(azimuth - trench))
        heights = np.linspace(0, resist.height_um, 21)[:, None]
        upper = np.concatenate([[[resist.t1_um]], heights[heights[:, 0] >= resist.t1_um]])
        lit = (np.abs(across + upper * run) < width / 2).all(axis=0)
        lit &= np.abs(across) < width / 2 + resist.undercut_um
        mismatches += int(np.sum(lit != ((across > lo) & (across < hi))))
    assert mismatches == 0


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize(
    ("t1", "t2", "undercut"), [(0.6, 0.3, 0.3), (0.5, 0.2, 0.0), (0.0, 0.4, 0.0), (0.4, 0.1, 0.05)]
)
def test_polygons_agree_with_rays_except_at_edges(name: str, t1: float, t2: float, undercut: float) -> None:
    boxes, resist = MASKS[name], Resist(t1, t2, undercut)
    mask = shapely.union_all([shapely.box(*box) for box in boxes])
    rng = np.random.default_rng(1)
    points = rng.uniform(-3, 3, (2500, 2))
    seen = 0
    for tilt, azimuth, turn in [(45, 225, 0), (20, 0, 0), (35, 77, 30), (60, 310, -45), (10, 150, 90)]:
        turned = affinity.rotate(mask, turn, origin=(0, 0))
        film = affinity.rotate(shadow(turned, resist, Step(tilt, azimuth + turn)), -turn, origin=(0, 0))
        run = Step(tilt, azimuth).run
        lit = lit_by_rays(points, boxes, resist, run)
        seen += int(lit.sum())
        wrong = shapely.points(points[lit != shapely.contains_xy(film, points)])
        # Between two sampled heights a ray may pass through a corner of the resist.
        near = np.hypot(*run) * max(t1, t2) / 119 + 1e-6
        assert np.all(shapely.distance(film.boundary, wrong) < near)
        assert len(wrong) < 20
    assert seen > 60


def test_random_masks_agree_with_rays() -> None:
    rng = np.random.default_rng(2)
    points = rng.uniform(-3, 3, (2000, 2))
    for _ in range(12):
        corners = rng.uniform(-1.2, 1, (5, 2))
        boxes: Boxes = [
            (x, y, x + a, y + b)
            for (x, y), (a, b) in zip(corners, rng.uniform(0.1, 1.2, (5, 2)), strict=True)
        ]
        resist = Resist(*rng.uniform(0.05, 0.6, 3))
        step = Step(rng.uniform(0, 60), rng.uniform(0, 360))
        film = shadow(shapely.union_all([shapely.box(*box) for box in boxes]), resist, step)
        wrong = points[lit_by_rays(points, boxes, resist, step.run) != shapely.contains_xy(film, points)]
        near = np.hypot(*step.run) * 0.6 / 119 + 1e-6
        assert np.all(shapely.distance(film.boundary, shapely.points(wrong)) < near)


def test_without_lower_walls_only_the_floor_point_counts() -> None:
    boxes, points = MASKS["cross"], np.random.default_rng(3).uniform(-1.5, 1.5, (20000, 2))
    mask, step = shapely.union_all([shapely.box(*box) for box in boxes]), Step(45, 225)
    for walls in (True, False):
        film = shadow(mask, EXAMPLE, step, lower_walls=walls)
        wrong = shapely.contains_xy(film, points) != lit_by_rays(
            points, boxes, EXAMPLE, step.run, walls=walls
        )
        assert wrong.sum() < 10
    # The corner of the lower layer between the arms stops a part of what passes the upper layer.
    assert shadow(mask, EXAMPLE, step).area == pytest.approx(0.03563, abs=1e-4)
    assert shadow(mask, EXAMPLE, step, lower_walls=False).area == pytest.approx(0.0396, abs=1e-4)


@pytest.mark.parametrize(
    ("widths", "tilt", "floor_only", "with_walls"),
    [
        ((0.1, 0.1), 45, 0.0, 0.0),
        ((0.2, 0.2), 45, 0.00405, 0.00405),
        ((0.2, 0.25), 45, 0.0396, 0.03563),
        ((0.1, 0.1), 55, 0.0, 0.0),
        ((0.2, 0.2), 55, 0.0, 0.0),
        ((0.2, 0.25), 55, 0.0, 0.0),
        ((0.4, 0.4), 55, 0.20294, 0.15298),
    ],
)
@pytest.mark.parametrize("length", [3.0, 8.0])
def test_patch_metal_of_the_example(
    widths: tuple[float, float], tilt: float, floor_only: float, with_walls: float, length: float
) -> None:
    mask, step = cross(*widths, length), Step(tilt, 225)
    assert shadow(mask, EXAMPLE, step, lower_walls=False).area == pytest.approx(floor_only, abs=1e-4)
    assert shadow(mask, EXAMPLE, step).area == pytest.approx(with_walls, abs=1e-4)


def test_patch_metal_grows_with_trenches_that_leak_by_themselves() -> None:
    lo, hi = trench_floor(0.4, EXAMPLE, 45, 225)
    areas = [
        shadow(cross(0.4, 0.4, length), EXAMPLE, Step(45, 225), lower_walls=False).area
        for length in (3, 4, 8)
    ]
    assert areas[0] == pytest.approx(0.61251, abs=1e-4)
    assert np.diff(areas) == pytest.approx(2 * (hi - lo) * np.array([1, 4]), abs=1e-6)
    # 0.566 um^2 belongs to trenches of 2.634 um.
    assert shadow(cross(0.4, 0.4, 2.634), EXAMPLE, Step(45, 225), lower_walls=False).area == pytest.approx(
        0.566, abs=1e-4
    )


@pytest.mark.parametrize(
    ("w1", "w2", "azimuth"), [(0.2, 0.2, 45), (0.2, 0.3, 225), (0.2, 0.2, 120), (0.1, 0.4, 300)]
)
def test_leak_of_a_crossing_agrees_with_polygons(w1: float, w2: float, azimuth: float) -> None:
    largest = float(crossing_leak(w1, w2, azimuth, 0).largest_opening_um)
    resist = Resist(0.2, 0.3, 3.0)
    for share in (1.01, 0.99, 0.95, 0.9):
        formula = crossing_leak(w1, w2, azimuth, share * largest).leak_area_um2
        tilt = float(np.degrees(np.arctan(share * largest / resist.t2_um)))
        by_polygons = shadow(cross(w1, w2, 12), resist, Step(tilt, azimuth)).area
        if np.isfinite(formula):
            assert by_polygons == pytest.approx(float(formula), abs=1e-7)
        else:
            assert by_polygons > 0.01  # metal along a whole trench
        assert (share > 1) == (formula == 0)


def test_leak_at_nine_tenths_of_the_longest_chord() -> None:
    leak = crossing_leak(0.2, 0.2, 45, 0.9 * 0.2 * 2 * np.sqrt(2))
    assert leak.leak_area_um2 == pytest.approx(0.0016, abs=1e-5)
    assert leak.largest_opening_um == pytest.approx(0.565685, abs=1e-6)


def test_a_trench_that_is_open_by_itself_leaks_without_bound() -> None:
    leak = crossing_leak(0.2, 0.2, [0, 90, 180, 270, 45, 135], [0.5, 5, 50, 500, 0.28, 0.29])
    assert np.all(np.isinf(leak.largest_opening_um[:4]))
    assert np.isinf(leak.leak_area_um2).tolist() == [True] * 5 + [False]


@pytest.mark.parametrize("azimuth", [30, 120, 210, 300])
def test_metal_moves_away_from_the_source(azimuth: float) -> None:
    film = shadow(shapely.box(-0.5, -0.5, 0.5, 0.5), Resist(0.6, 0.2, 1), Step(30, azimuth))
    moved = np.array(film.centroid.coords[0])
    toward = np.array([np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))])
    assert moved == pytest.approx(-0.7 * np.tan(np.radians(30)) * toward, abs=1e-6)
    lo, hi = trench_floor(1, Resist(0.6, 0.2, 1), 30, azimuth)
    assert (lo + hi) / 2 == pytest.approx(moved[1], abs=1e-6)


def test_steep_and_shallow_beams() -> None:
    box = shapely.box(0, 0, 1, 2)
    assert shadow(box, EXAMPLE, Step(0, 17)).equals(shadow(box, EXAMPLE, Step(0, 200)))
    assert shadow(box, EXAMPLE, Step(0, 0)).area == pytest.approx(2)
    assert shadow(box, EXAMPLE, Step(1e-4, 45)).area == pytest.approx(2, abs=1e-5)
    assert shadow(box, EXAMPLE, Step(89, 45)).is_empty
    lo, hi = trench_floor(0.2, EXAMPLE, [0, 89], 90)
    assert (hi - lo)[0] == pytest.approx(0.2)
    assert (hi - lo)[1] < 0
    # Along the trench the tilt does not matter, apart from the rounding of sin(180 degrees).
    lo, hi = trench_floor(0.2, EXAMPLE, 89, 180)
    assert hi - lo == pytest.approx(0.2, abs=1e-12)


def test_dolan_overlap_agrees_with_rays() -> None:
    x = np.arange(-3, 3, 2e-4)
    for t1, bridge, tilt, h1 in [
        (0.7, 0.2, 25, 0),
        (0.7, 0.2, 25, 0.05),
        (0.5, 0.4, 35, 0.03),
        (0.4, 0.5, 20, 0.1),
    ]:
        run = np.tan(np.radians(tilt))
        heights = np.linspace(t1, t1 + 0.4, 101)[:, None]
        first = (np.abs(x + heights * run) > bridge / 2).all(axis=0)
        second = (np.abs(x - (heights - h1) * run) > bridge / 2).all(
            axis=0
        )  # on top of a film of thickness h1
        first_end = x[first & (x > -t1 * run)].min()
        second_end = x[second & (x < t1 * run)].max()
        assert second_end - first_end == pytest.approx(dolan_overlap(t1, bridge, tilt, h1), abs=5e-4)
    assert dolan_overlap(0.4, 0.5, 20) < 0
    assert dolan_overlap([0.6, 0.7], 0.2, [[20], [25], [30]]).shape == (3, 2)


def test_areas_over_a_wafer_agree_with_rays_from_the_source() -> None:
    distance, tilt, resist = 600e3, 45.0, Resist(0.6, 0.3, 0.25)  # um here
    places = np.array([[0, 0], [0, 35], [35, 0], [-20, 12], [30, -30], [-40, -40]], dtype=float)
    areas = wafer_area_map(*places.T, 600, resist, w1_um=0.2, w2_um=0.3, tilt_deg=tilt)
    across = np.arange(-1, 1, 2e-4)
    for electrode, (azimuth, width) in enumerate([(0, 0.2), (90, 0.3)]):
        normal = 1 - electrode  # trench 1 is along x: its width is measured along y
        sine = np.sin(np.radians(tilt))
        source = distance * np.array(
            [sine * np.cos(np.radians(azimuth)), sine * np.sin(np.radians(azimuth)), np.cos(np.radians(tilt))]
        )
        for i, place in enumerate(places * 1000):
            floor = place[normal] + across
            lit = np.abs(across) < width / 2 + resist.undercut_um
            for height in np.linspace(resist.t1_um, resist.height_um, 30):
                hit = floor + (source[normal] - floor) * height / source[2]
                lit &= np.abs(hit - place[normal]) < width / 2
            assert areas.width_um[electrode, i] == pytest.approx(lit.sum() * 2e-4, abs=4.1e-4)
            direction = source - np.array([*place, 0.0])
            expected = np.degrees(np.arccos(direction[2] / np.linalg.norm(direction)))
            assert areas.tilt_deg[electrode, i] == pytest.approx(expected, abs=1e-9)
    assert areas.area_um2[0] == pytest.approx(0.06)


def test_area_falls_off_away_from_the_axis() -> None:
    y = np.array([5, 10, 20, 35])
    areas = wafer_area_map(0, y, 600, EXAMPLE, w1_um=0.2, w2_um=0.2, tilt_deg=45).area_um2 / 0.04
    assert areas == pytest.approx([0.982, 0.965, 0.929, 0.876], abs=6e-4)
    grid = wafer_area_map(
        *np.meshgrid([-10, 0, 10], [-10, 0, 10]), 600, EXAMPLE, w1_um=0.2, w2_um=0.2, tilt_deg=45
    )
    assert grid.area_um2.shape == (3, 3)
    assert grid.tilt_deg.shape == (2, 3, 3)
    dark = wafer_area_map(0, 500, 600, EXAMPLE, w1_um=0.2, w2_um=0.2, tilt_deg=45)
    assert dark.area_um2 == 0


def test_openings_of_the_lower_layer() -> None:
    assert grow(shapely.box(0, 0, 1, 1), 0.25).area == pytest.approx(2.25)
    ring = shapely.box(0, 0, 2, 2).difference(shapely.box(0.75, 0.75, 1.25, 1.25))
    assert grow(ring, 0.1).area == pytest.approx(2.2**2 - 0.3**2)
    # With a cavity on the right only, metal that is displaced to the left is lost.
    mask, cavity = shapely.box(-0.1, -1, 0.1, 1), shapely.box(-0.1, -1, 0.8, 1)
    assert shadow(mask, EXAMPLE, Step(20, 0), cavity=cavity).is_empty
    assert shadow(mask, EXAMPLE, Step(20, 180), cavity=cavity).area > 0.1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Step(90, 0), "tilt_deg must be at least 0 and at most 89; got 90"),
        (lambda: Step(-10, 0), "tilt_deg"),
        (lambda: Step(10, 0, kind="sputter"), "unknown kind 'sputter'"),
        (lambda: Step(10, 0, thickness_nm=-1), "thickness_nm"),
        (lambda: Resist(0.6, 0, 0.3), "t2_um"),
        (lambda: Resist(-0.1, 0.3, 0.3), "t1_um"),
        (lambda: trench_floor(0.2, EXAMPLE, [45, 91], 0), "tilt_deg"),
        (lambda: trench_floor(0, EXAMPLE, 45, 0), "width_um"),
        (
            lambda: shadow([1, 2], EXAMPLE, Step(45, 0)),
            "mask must be a polygon or multipolygon of shapely; got list",
        ),
        (lambda: shadow(shapely.Polygon(), EXAMPLE, Step(45, 0)), "got empty"),
        (
            lambda: shadow(shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), EXAMPLE, Step(45, 0)),
            "self-intersection",
        ),
        (lambda: dolan_overlap(0.7, 0.2, 25, 0.7), "h1_um must be below t1_um"),
        (lambda: crossing_leak(0, 0.2, 45, 0.3), "w1_um"),
        (lambda: wafer_area_map(0, 0, 0, EXAMPLE, w1_um=0.2, w2_um=0.2, tilt_deg=45), "source_distance_mm"),
    ],
)
def test_bad_input_is_one_sentence(call, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")) as caught:
        call()
    assert "\n" not in str(caught.value)
