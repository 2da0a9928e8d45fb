import struct
from functools import partial
from math import radians, sqrt, tan
from typing import Any

import gdstk
import numpy as np
import pytest

from solvable.errors import InputError, MissingExtraError
from solvable.junctions import wafer_layout
from solvable.junctions.layout import (
    LAYERS,
    dolan_cell,
    lumped_elements,
    pict_cell,
    snapped_area_report,
    write_gds,
)
from solvable.junctions.synthetic import chip_centres

PRECISION = 1e-6
dolan = partial(dolan_cell, lower_resist_um=0.7, tilt_deg=25)


def polygons(cell, layer):
    return [one for one in cell.get_polygons() if one.layer == LAYERS[layer]]


def top_cell(library) -> Any:
    (top,) = library.top_level()
    return top


def overlap(one, other):
    return sum(shape.area() for shape in gdstk.boolean(one, other, "and", PRECISION))


def points(cell):
    return sorted(tuple(map(tuple, np.round(one.points, 5))) for one in cell.get_polygons())


@pytest.mark.parametrize("orientation", [0, 45])
@pytest.mark.parametrize("grid", [1e-4, 1e-3])
@pytest.mark.parametrize("widths", [(0.1, 0.1), (0.1414, 0.2), (0.2, 0.4), (0.4, 0.107)])
def test_area_of_a_cross_is_the_overlap_of_its_trenches(widths, grid, orientation):
    junction = pict_cell(*widths, grid_um=grid, orientation_deg=orientation)
    first, second = polygons(junction.cell, "junction")
    area = overlap(first, second)
    assert junction.drawn_area_um2 == pytest.approx(area, rel=2e-5)
    assert junction.area_error == pytest.approx(area / (widths[0] * widths[1]) - 1, abs=2e-5)
    assert junction.target_area_um2 == pytest.approx(widths[0] * widths[1])
    corners = np.concatenate([one.points for one in junction.cell.get_polygons()]) / grid
    np.testing.assert_allclose(corners, np.round(corners), atol=1e-6)


@pytest.mark.parametrize(("width", "percent"), [(0.1, 0.82), (0.1414, 0.03), (0.2, -0.60)])
def test_error_of_a_rotated_cross_on_a_grid_of_1_nm(width, percent):
    junction = pict_cell(width, width, grid_um=1e-3, orientation_deg=45)
    area = overlap(*polygons(junction.cell, "junction"))
    assert 100 * (area / width**2 - 1) == pytest.approx(percent, abs=0.006)
    report = snapped_area_report([(width, width)], grid_um=1e-3, orientation_deg=45, sensitivity=0.52)
    assert 100 * report.area_error[0] == pytest.approx(percent, abs=0.006)
    assert 100 * report.f01_error[0] == pytest.approx(0.52 * percent, abs=0.006)


def test_finer_grids_have_smaller_errors():
    designs = np.random.default_rng(0).uniform(0.1, 0.4, (50, 2))
    for angle, step in ((0, 1.0), (45, sqrt(2))):
        for grid in (1e-3, 1e-4):
            report = snapped_area_report(designs, grid_um=grid, orientation_deg=angle)
            assert (abs(report.snapped_w1_um - report.w1_um) <= step * grid / 2 + 1e-12).all()


@pytest.mark.parametrize("orientation", [0, 45])
def test_patches_join_electrodes_and_wires_and_nothing_else(orientation):
    junction = pict_cell(0.2, 0.4, orientation_deg=orientation, overshoot_um=0.5)
    trenches, patches, wires = (polygons(junction.cell, name) for name in ("junction", "patch", "wiring"))
    for i in range(2):
        # Half of the pad's free part, and the overlap, by the pad's side.
        assert overlap(trenches[i], patches[i]) == pytest.approx((0.2, 0.4)[i] * 1.0, rel=1e-3)
        assert overlap(patches[i], wires[i]) == pytest.approx(2.0 * 4.0, rel=1e-3)
        assert overlap(trenches[i], patches[1 - i]) == overlap(patches[i], wires[1 - i]) == 0
        assert overlap(trenches[i], wires) == 0
        assert wires[i].contain(junction.ports_um[i]) or overlap(
            gdstk.ellipse(junction.ports_um[i], 0.1), wires[i]
        )
    assert overlap(patches[0], patches[1]) == overlap(wires[0], wires[1]) == 0
    # Beyond the other trench, each sticks out by the overshoot.
    beyond = [one.area() - width * (6 + 1) for one, width in zip(trenches, (0.2, 0.4), strict=True)]
    assert beyond == pytest.approx([0.2 * (0.2 + 0.5), 0.4 * (0.1 + 0.5)], rel=1e-2)


def test_bias_is_taken_off_the_drawn_widths():
    junction = pict_cell(0.2, 0.2, width_bias_um=(-0.01, 0.03))
    assert (junction.drawn_w1_um, junction.drawn_w2_um) == pytest.approx((0.21, 0.17))
    assert junction.label == "210x170"
    assert junction.area_error == pytest.approx(0, abs=1e-9)
    assert overlap(*polygons(junction.cell, "junction")) == pytest.approx(0.21 * 0.17, rel=1e-5)


@pytest.mark.parametrize("orientation", [0, 45])
def test_films_of_a_dolan_bridge_overlap_as_told(orientation):
    junction = dolan(0.2, 0.25, orientation_deg=orientation)
    left, right = polygons(junction.cell, "junction")
    # Each film lies off its opening by t1 tan(tilt), towards the bridge.
    shift = 0.7 * tan(radians(25)) * np.exp(1j * radians(orientation))
    area = overlap(left.copy().translate(shift), right.copy().translate(-shift))
    assert area == pytest.approx(junction.drawn_area_um2, rel=2e-5)
    assert area == pytest.approx(0.2 * 0.25, rel=1e-3)
    assert overlap(left, right) == 0


def test_layers_are_replaced_one_by_one():
    junction = pict_cell(0.2, 0.2, layers={"patch": 2, "wiring": 7})
    assert sorted(one.layer for one in junction.cell.get_polygons()) == [2, 2, 2, 2, 7, 7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"w1_um": 0.0}, "w1_um must be above 0"),
        ({"w2_um": -0.1}, "w2_um must be above 0"),
        ({"overshoot_um": -0.1}, "overshoot_um must be at least 0"),
        ({"patch_pad_um": 0.15}, "patch_pad_um must be at least 0.2, the width of its electrode; got 0.15"),
        ({"patch_overlap_um": 4.0}, "patch_overlap_um must be below patch_pad_um = 4"),
        ({"patch_overlap_um": 0.0}, "patch_overlap_um must be above 0"),
        ({"electrode_length_um": 3.0}, "electrode_length_um must be above 3"),
        ({"orientation_deg": 30}, "orientation_deg must be 0 or 45; got 30"),
        ({"width_bias_um": (0.2, 0)}, "w1_um - bias must be above 0"),
        ({"grid_um": 0.5}, "rounds to 0 on a grid of 0.5 um"),
        ({"grid_um": 0.03}, r"off by \+10.2 %, more than 5 %"),
        ({"grid_um": 0}, "grid_um must be at least 1e-06"),
        ({"layers": {"pach": 3}}, "did you mean 'patch'"),
        ({"layers": {"patch": -3}}, "layer 'patch' must be a whole number"),
    ],
)
def test_bad_cells_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        pict_cell(**({"w1_um": 0.2, "w2_um": 0.2} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tilt_deg": 90}, "tilt_deg must be below 90"),
        ({"w2_um": 0.7}, "which leaves a bridge; got 0.7"),
        ({"lower_resist_um": 0}, "lower_resist_um must be above 0"),
        ({"lower_resist_um": 30}, "above half the bridge"),
    ],
)
def test_bad_bridges_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        dolan_cell(**({"w1_um": 0.2, "w2_um": 0.25, "lower_resist_um": 0.7, "tilt_deg": 25} | options))


def test_the_nearest_chips():
    centres = chip_centres(40)
    assert len(np.unique(centres, axis=0)) == 40
    # By hand: centres lie at odd multiples of 2.5 mm; of twelve at 17.678 mm, eight are taken, from below.
    distance = np.hypot(*centres.T)
    assert distance.max() == pytest.approx(17.678, abs=1e-3)
    assert (distance < 17.6).sum() == 32
    assert centres.tolist() == sorted(centres.tolist(), key=lambda xy: (xy[1], xy[0]))
    far = centres[distance > 17.6].tolist()
    assert far[:4] == [[-2.5, -17.5], [2.5, -17.5], [-12.5, -12.5], [12.5, -12.5]]


DESIGNS = [(0.2, 0.2), (0.1, 0.4), (0.4, 0.1)]
COLUMNS = ["wafer", "chip", "chip_x_mm", "chip_y_mm", "junction", "x_um", "y_um", "w1_um", "w2_um"]


@pytest.mark.parametrize("make_cell", [pict_cell, partial(pict_cell, orientation_deg=45), dolan])
def test_wafer_has_a_junction_where_the_table_says(make_cell):
    designs = [(0.2, 0.2), (0.1, 0.4)]
    wafer = wafer_layout.test_wafer(
        designs, make_cell=make_cell, chips=[(0, 0), (7.5, -5)], n_per_design=3, wafer="W9"
    )
    table = wafer.table
    assert list(table.columns) == COLUMNS
    assert len(table) == 12
    assert table.groupby(["chip", "w1_um"]).size().tolist() == [3] * 4
    assert set(table.wafer) == {"W9"}
    top = top_cell(wafer.library)
    trenches = polygons(top, "junction")
    assert len(trenches) == 24
    names = {" ".join(label.text.split()[:2]) for label in top.labels}
    for row in table.to_dict("records"):
        centre = 1e3 * row["chip_x_mm"] + row["x_um"], 1e3 * row["chip_y_mm"] + row["y_um"]
        window = gdstk.rectangle(*np.add([[-10, -10], [10, 10]], centre).tolist())
        near = [one for one in trenches if overlap(one, window)]
        assert len(near) == 2
        if make_cell is not dolan:
            assert overlap(*near) == pytest.approx(row["w1_um"] * row["w2_um"], rel=1e-4)
        assert f"{row['chip']} {row['junction']}" in names
    assert len(top.labels) == 16


def test_pads_are_connected_through_the_junction_or_the_short_alone():
    wafer = wafer_layout.test_wafer([(0.2, 0.4)], chips=1, n_per_design=1)
    top = top_cell(wafer.library)
    metal = [one for one in top.get_polygons() if one.layer != LAYERS["text"]]
    assert wafer.references.structure.tolist() == ["short", "open"]
    pieces = gdstk.boolean(metal, [], "or", PRECISION)
    # The junction with its pads is one piece, the short another, and the open is two.
    assert len(pieces) == 4
    wires = gdstk.boolean([one for one in metal if one.layer == LAYERS["wiring"]], [], "or", PRECISION)
    assert len(wires) == 5
    centre = wafer.references[["x_um", "y_um"]].to_numpy() + 1e3 * chip_centres(1)
    for point, number in zip(centre, (1, 2), strict=True):
        near = gdstk.rectangle(*np.add([[-120, -45], [120, 45]], point).tolist())
        assert len(gdstk.boolean(wires, near, "and", PRECISION)) == number


def test_pads_stay_clear_of_long_trenches():
    make_cell = partial(pict_cell, overshoot_um=40)
    top = top_cell(
        wafer_layout.test_wafer([(0.2, 0.4)], make_cell=make_cell, chips=1, n_per_design=1).library
    )
    wires, trenches = polygons(top, "wiring"), polygons(top, "junction")
    assert overlap(wires, trenches) == 0
    assert len(trenches) == 2


def test_whole_wafer_stays_on_its_chips_without_overlaps():
    widths = (0.1, 0.14, 0.2, 0.28, 0.4)
    designs = [(a, b) for a in widths for b in widths if 0.0099 < a * b < 0.1601]
    wafer = wafer_layout.test_wafer(designs)
    assert wafer.table.shape == (4000, 9)
    assert len(wafer.references) == 80
    first = wafer.table[wafer.table.chip == "C01"]
    assert first.groupby(["w1_um", "w2_um"]).size().tolist() == [4] * 25
    chip: Any = next(cell for cell in wafer.library.cells if cell.name == "CHIP")
    assert np.abs(chip.bounding_box()).max() < 2500
    boxes = [gdstk.rectangle(*reference.bounding_box()) for reference in chip.references]
    merged = sum(one.area() for one in gdstk.boolean(boxes, [], "or", PRECISION))
    assert merged == pytest.approx(sum(one.area() for one in boxes))
    # The corners of the chip are measured too.
    assert first.x_um.max() - first.x_um.min() > 4000
    assert first.y_um.max() - first.y_um.min() > 4000


@pytest.mark.parametrize(
    ("designs", "options", "message"),
    [
        ([(0.2, 0.2), (0.2, 0.2)], {}, "both drawn as 200x200 nm"),
        ([(0.2, 0.2), (0.2, 0.20001)], {}, "both drawn as 200x200 nm"),
        ([0.2, 0.2], {}, "designs must be widths"),
        ([(0.2, 0.0)], {}, "designs must be above 0"),
        ([(0.2, np.inf)], {}, "designs has 1 value that is NaN or infinite"),
        (DESIGNS, {"n_per_design": 0}, "n_per_design must be a whole number"),
        (DESIGNS, {"n_per_design": 1000}, "3002 structures on a chip"),
        (DESIGNS, {"chips": 0}, "chips must be a whole number"),
        (DESIGNS, {"chips": [(0, 0), (3, 4)]}, "chips 1 and 2 overlap"),
        (DESIGNS, {"chips": [0, 0, 3]}, "of shape"),
        (DESIGNS, {"chips": 2.5}, "chips must be a whole number"),
        (DESIGNS, {"probe_pad_um": 10}, "probe_pad_um must be at least 38, the height of the cell; got 10"),
        (DESIGNS, {"probe_pad_um": 3000}, "but 0 find a place"),
        (DESIGNS, {"make_cell": partial(pict_cell, grid_um=5e-6)}, "too large for GDS"),
    ],
)
def test_bad_wafers_are_refused(designs, options, message):
    with pytest.raises(InputError, match=message):
        wafer_layout.test_wafer(designs, **options)


def test_equal_layouts_give_equal_files_that_read_back(tmp_path):
    make_cell = partial(pict_cell, orientation_deg=45)
    for name in ("a.gds", "b.gds"):
        write_gds(wafer_layout.test_wafer(DESIGNS, make_cell=make_cell, chips=4), tmp_path / name)
    assert (tmp_path / "a.gds").read_bytes() == (tmp_path / "b.gds").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gds", "b.gds"]
    wafer = wafer_layout.test_wafer(DESIGNS, make_cell=make_cell, chips=4)
    read = gdstk.read_gds(tmp_path / "a.gds")
    assert [cell.name for cell in read.cells] == sorted(cell.name for cell in wafer.library.cells)
    top, drawn = top_cell(read), top_cell(wafer.library)
    assert points(top) == points(drawn)
    assert {label.text for label in top.labels} == {label.text for label in drawn.labels}


def test_cells_are_written_in_any_order(tmp_path):
    cells = [pict_cell(*design) for design in DESIGNS]
    write_gds(cells, tmp_path / "a.gds")
    write_gds(cells[::-1], tmp_path / "b.GDS")
    assert (tmp_path / "a.gds").read_bytes() == (tmp_path / "b.GDS").read_bytes()
    read = {cell.name: cell for cell in gdstk.read_gds(tmp_path / "a.gds").cells}
    for one in cells:
        assert points(read[one.cell.name]) == points(one.cell)


def test_the_bytes_of_a_file(tmp_path):
    # Records are a length, a type and data, all big-endian; those of type 0x1003 are corners on the grid.
    write_gds(pict_cell(0.2, 0.14, grid_um=1e-3), tmp_path / "a.gds")
    content, records = (tmp_path / "a.gds").read_bytes(), []
    while content:
        length, kind = struct.unpack(">HH", content[:4])
        records.append((kind, content[4:length]))
        content = content[length:]
    units = struct.unpack(">QQ", dict(records)[0x0305])
    # Numbers are sign and exponent of 16, in excess of 64, then a fraction of 56 bits.
    values = [(one & (2**56 - 1)) / 2**56 * 16.0 ** ((one >> 56) - 64) for one in units]
    assert values == pytest.approx([1e-3, 1e-9])
    corners = [np.frombuffer(data, ">i4").reshape(-1, 2) for kind, data in records if kind == 0x1003]
    sizes = sorted(np.ptp(one, axis=0).tolist() for one in corners)
    # Electrodes of 7 um beyond the centre, and half the other width and 1.2 um to the other side.
    assert [140, 7000 + 100 + 1200] in sizes
    assert [7000 + 70 + 1200, 200] in sizes
    assert sizes.count([4000, 4000]) == 2


@pytest.mark.parametrize(
    ("cells", "name", "message"),
    [
        ([pict_cell(0.2, 0.2)], "a.oas", "ends in .gds"),
        ([], "a.gds", "no cells"),
        (
            [pict_cell(0.2, 0.2), pict_cell(0.2, 0.2, overshoot_um=2)],
            "a.gds",
            "two cells are called PICT_200x200_0",
        ),
        ([pict_cell(0.2, 0.2), pict_cell(0.2, 0.1, grid_um=1e-3)], "a.gds", "grids"),
    ],
)
def test_bad_files_are_refused_before_anything_is_written(tmp_path, cells, name, message):
    with pytest.raises(InputError, match=message):
        write_gds(cells, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="must be a JunctionCell or several"):
        write_gds(gdstk.Cell("A"), tmp_path / "a.gds")  # pyright: ignore
    (tmp_path / "folder.gds").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        write_gds(pict_cell(0.2, 0.2), tmp_path / "folder.gds")


def test_lumped_elements():
    # By hand: L = phi_0 / (2 pi I_c) with phi_0 = 2.067834e-15 Wb and I_c = 282.743 uV / R.
    table = lumped_elements([8000, 4000], 0.04, c_s_fF_per_um2=60)
    expected = [2.067834e-15 / (2 * np.pi * 282.743e-6 / R) * 1e9 for R in (8000, 4000)]
    assert table.L_J_nH.tolist() == pytest.approx(expected, rel=1e-5)
    assert table.C_J_fF.tolist() == pytest.approx([2.4, 2.4])
    with pytest.raises(InputError, match="one shape"):
        lumped_elements([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="leave open junctions out"):
        lumped_elements([1, np.inf], 1)
    with pytest.raises(InputError, match="R_ohm must be above 0"):
        lumped_elements(0, 1)


def test_gdstk_is_optional(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gdstk", None)
    with pytest.raises(MissingExtraError, match=r"solvable\[qubits\]"):
        pict_cell(0.2, 0.2)
    assert len(snapped_area_report([(0.2, 0.2)])) == 1
