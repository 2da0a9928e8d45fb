"""Built-in recipes make the junctions of closed formulas; checks fail where a recipe is spoilt on purpose."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from matplotlib.figure import Figure

from solvable.errors import InputError
from solvable.junctions.evaporation import Resist, Step, crossing_leak, dolan_overlap, shadow
from solvable.junctions.recipe_checks import Check, check, process_window
from solvable.junctions.recipes import (
    Mask,
    Recipe,
    bridge_free,
    cross_mask,
    dolan,
    manhattan,
    pict,
    simulate,
    squid,
)
from solvable.junctions.shadow_drawing import plot_cross_section, plot_films, plot_process_window

EXAMPLE = Resist(0.6, 0.3, 0.3)
GOOD = pict(EXAMPLE, 45, 65)


def failed(recipe: Recipe) -> dict[str, Check]:
    return {one.name: one for one in check(recipe) if not one.passed}


@pytest.mark.parametrize(("w1", "w2"), [(0.1, 0.1), (0.2, 0.2), (0.2, 0.25), (0.4, 0.4)])
def test_area_of_crossed_trenches_is_the_product_of_their_widths(w1: float, w2: float) -> None:
    for recipe in (manhattan(EXAMPLE, 45, w1_um=w1, w2_um=w2), pict(EXAMPLE, 45, 55, w1_um=w1, w2_um=w2)):
        result = simulate(recipe)
        assert result.areas_um2 == pytest.approx([w1 * w2], abs=1e-7)
        assert result.junctions[0].bounds == pytest.approx((-w2 / 2, -w1 / 2, w2 / 2, w1 / 2), abs=1e-8)


def test_two_arms_of_a_squid() -> None:
    recipe = squid(EXAMPLE, 50, w1_um=0.2, w2_um=(0.1, 0.24))
    assert simulate(recipe).areas_um2 == pytest.approx([0.02, 0.048], abs=1e-7)
    assert not failed(recipe)
    assert {one.name: one for one in check(recipe)}["one junction per window"].margin == pytest.approx(0.068)


@pytest.mark.parametrize(
    ("t1", "t2", "bridge", "tilt"), [(0.7, 0.3, 0.2, 25), (0.5, 0.1, 0.3, 30), (0.4, 0.4, 0.1, 15)]
)
def test_overlap_under_a_bridge(t1: float, t2: float, bridge: float, tilt: float) -> None:
    recipe = dolan(Resist(t1, t2, 0.4), tilt, width_um=0.25, bridge_um=bridge)
    assert simulate(recipe).areas_um2 == pytest.approx([0.25 * dolan_overlap(t1, bridge, tilt)], abs=1e-7)
    assert not failed(recipe)


def test_a_bridge_needs_overlap_and_undercut() -> None:
    wide = check(dolan(Resist(0.4, 0.3, 0.3), 15, bridge_um=0.3))
    assert not wide[0].passed
    assert wide[0].sentence.startswith("0 overlaps where 1 is meant")
    standing = {one.name: one for one in check(dolan(Resist(0.7, 0.3, 0.05), 25))}
    assert standing["bridge hangs free"].margin == pytest.approx(-0.05)
    assert not standing["bridge hangs free"].passed
    assert not standing["one junction per window"].passed


def test_junction_without_a_bridge() -> None:
    run = np.tan(np.radians(35))
    recipe = bridge_free(Resist(0.6, 0.3, 0.5), 35, opening_um=2.0, width_um=0.2)
    assert simulate(recipe).areas_um2 == pytest.approx([0.2 * (2 - 2 * 0.9 * run)], abs=1e-7)
    assert check(recipe)[0].margin == pytest.approx(0.9 * run - 0.4)
    wide = failed(bridge_free(Resist(0.6, 0.3, 0.5), 35, w_lead_um=0.7))
    assert set(wide) == {"electrode 1 only in trench 1", "electrode 2 only in trench 2"}


def test_a_trench_is_dark_up_to_t2_tan_although_its_walls_would_catch_more() -> None:
    assert not failed(manhattan(EXAMPLE, 45, w1_um=0.299, w2_um=0.299))
    leaky = failed(manhattan(EXAMPLE, 45, w1_um=0.32, w2_um=0.32))
    # Strips of w - t2 T in the cavity of the other trench, 0.3 um to both sides.
    assert leaky["electrode 1 only in trench 1"].margin == pytest.approx(-0.02 * 0.6, abs=1e-7)
    # Without undercut the whole thickness counts.
    assert not failed(manhattan(Resist(0.6, 0.3, 0), 45, w1_um=0.5, w2_um=0.8))
    assert failed(manhattan(Resist(0.6, 0.3, 0), 40, w1_um=0.5, w2_um=0.8))


def test_a_recipe_with_patch_passes_all_checks() -> None:
    checks = check(GOOD)
    assert all(one.passed and one.margin > 0 for one in checks)
    assert len({one.name for one in checks}) == len(checks) == 12
    assert all(type(one.passed) is bool and type(one.margin) is float and one.sentence for one in checks)


def test_a_shallow_patch_leaks_at_the_crossing() -> None:
    leak = failed(pict(EXAMPLE, 45, 45))
    assert set(leak) == {f"step {i}: nothing through the trenches" for i in ("3 (mill)", "4 (evaporate)")}
    (one, _) = leak.values()
    assert "0.00405 um^2" in one.sentence
    assert one.margin == pytest.approx(45 - np.degrees(np.arctan(0.2 * 2 * np.sqrt(2) / 0.3)))
    assert not failed(pict(EXAMPLE, 45, 45 - one.margin))  # the tilt that the check names


def test_a_wide_trench_lets_the_patch_short_the_junction() -> None:
    shorted = failed(pict(EXAMPLE, 60, 45, w1_um=0.4, w2_um=0.4))
    assert "step 4 (evaporate): no short" in shorted
    vertical = failed(replace(GOOD, steps=(*GOOD.steps[:2], Step(0, 0, kind="mill"), Step(0, 0, 100))))
    assert vertical["step 4 (evaporate): clear of the junction"].margin == pytest.approx(-0.04, abs=1e-7)
    assert vertical["step 3 (mill): clear of the junction"].unit == "um^2"


def test_a_patch_from_the_wrong_side_or_without_mill_makes_no_contact() -> None:
    away = failed(pict(EXAMPLE, 45, 65, patch_azimuth_deg=45))
    assert "step 4 (evaporate): reaches wire 1" in away
    unmilled = failed(replace(GOOD, steps=(*GOOD.steps[:2], GOOD.steps[3])))
    assert set(unmilled) == {
        f"step 3 (evaporate): reaches {what} {i}" for what in ("wire", "electrode") for i in (1, 2)
    }


def test_no_tilt_along_a_trench_is_enough() -> None:
    along = failed(pict(EXAMPLE, 45, 65, patch_azimuth_deg=180))
    assert (
        "no tilt at this azimuth is enough" in along["step 3 (mill): nothing through the trenches"].sentence
    )


def test_without_undercut_the_whole_thickness_keeps_the_patch_out() -> None:
    tilt = float(np.degrees(np.arctan(0.2 * 2 * np.sqrt(2) / 0.9)))
    for change, passes in ((0.01, True), (-0.05, False)):
        checks = check(pict(Resist(0.6, 0.3, 0), 45, tilt + change))
        (one,) = (one for one in checks if one.name == "step 3 (mill): nothing through the trenches")
        assert one.margin == pytest.approx(change)
        assert one.passed == passes


def test_short_trenches_do_not_complete_the_junction() -> None:
    assert "not complete" in failed(manhattan(EXAMPLE, 45, length_um=1.9))["one junction per window"].sentence


def test_swapped_steps_swap_the_electrodes() -> None:
    recipe = manhattan(EXAMPLE, 45)
    assert set(failed(replace(recipe, steps=recipe.steps[::-1]))) == {
        "electrode 1 only in trench 1",
        "electrode 2 only in trench 2",
    }


def test_process_window_of_a_single_layer_is_the_formula() -> None:
    window = process_window(0.3, Resist(0, 0.9, 0), 45, [20, 45, 60])
    expected = 0.9 * np.tan(np.radians([20, 45, 60])) / (2 * np.sqrt(2))
    assert window.by_formula_um == pytest.approx(expected)
    assert window.by_polygons_um == pytest.approx(expected, abs=2e-5)
    assert window.by_formula_um[1] == pytest.approx(0.3182, abs=1e-4)
    for width, leak in [(0.317, 0), (0.320, 1.3e-5), (0.33, 5.6e-4)]:
        area = shadow(cross_mask(width, width, 6).opening, Resist(0, 0.9, 0), Step(45, 45)).area
        assert area == pytest.approx(leak, rel=0.05)


def test_process_window_with_undercut() -> None:
    ample = process_window(0.2, Resist(0.2, 0.3, 3), 30, [30, 50])
    assert ample.by_polygons_um == pytest.approx(ample.by_formula_um, abs=2e-5)
    window = process_window(0.2, EXAMPLE, 225, [30, 45, 60])
    assert np.all(window.by_polygons_um >= window.by_formula_um)
    for tilt, width in zip(window.tilt_deg, window.by_polygons_um, strict=True):
        for change, dark in ((-1e-3, True), (1e-3, False)):
            mask = cross_mask(width + change, width + change, 9).opening
            assert shadow(mask, EXAMPLE, Step(tilt, 225)).is_empty == dark
    assert (
        crossing_leak(0.2, 0.2, 225, 0.3 * np.tan(np.radians(window.least_tilt_deg + 1e-6))).leak_area_um2
        == 0
    )
    along = process_window(0.2, EXAMPLE, 180, [0, 45])
    assert np.all(along.by_formula_um == 0)
    assert np.all(along.by_polygons_um == 0)
    assert along.least_tilt_deg == 90


def test_figures_have_labels_with_units() -> None:
    figures = [
        plot_films(simulate(GOOD)),
        plot_cross_section(GOOD, "y", -2.0),
        plot_cross_section(bridge_free(Resist(0.6, 0.3, 0.5), 35)),
        plot_process_window(process_window(0.2, EXAMPLE, 225, [40, 70])),
    ]
    for figure in figures:
        assert isinstance(figure, Figure)
        for ax in figure.axes:
            assert "(" in ax.get_xlabel()
            assert "μm" in ax.get_ylabel()
    figures[0].canvas.draw()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: replace(GOOD, steps=GOOD.steps[:1]), "at least 2 evaporations"),
        (lambda: manhattan(EXAMPLE, 90), "tilt_deg"),
        (lambda: Mask(()), "windows must be one polygon for each junction"),
        (lambda: Mask(GOOD.mask.windows, GOOD.mask.trenches), "must be 2 each, or none"),
        (lambda: replace(GOOD.mask, wires=GOOD.mask.wires[:1]), "wires must be those of the 2 electrodes"),
        (lambda: pict(EXAMPLE, 45, 95), "tilt_deg"),
        (lambda: cross_mask(0.2, 0, 4), "w2_um"),
        (lambda: cross_mask(0.2, 0.2, 0.1), "length_um"),
        (lambda: squid(EXAMPLE, 45, spacing_um=0.1), "spacing_um"),
        (lambda: squid(EXAMPLE, 45, w2_um=(0.1, 0.2, 0.3)), "w2_um must be 2 numbers"),  # pyright: ignore
        (lambda: dolan(EXAMPLE, 45, thicknesses_nm=(9, 9, 9)), "thicknesses_nm must be 2"),  # pyright: ignore
        (lambda: bridge_free(EXAMPLE, 35, w_lead_um=1.5), "w_lead_um"),
        (lambda: process_window(0, EXAMPLE, 225, [45]), "w_max_um"),
        (lambda: process_window(0.2, EXAMPLE, 225, [45, 90]), "tilt_deg"),
        (lambda: plot_cross_section(GOOD, "z"), "unknown along 'z'"),  # pyright: ignore
        (lambda: plot_cross_section(GOOD, "x", 50), "at_um must be the place of a cut through an opening"),
        (lambda: plot_films(simulate(dolan(Resist(0.4, 0.3, 0.3), 5))), "makes no junction"),
    ],
)
def test_bad_input_is_one_sentence(call, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_masks_of_ones_own() -> None:
    turned = shapely.affinity.rotate(cross_mask(0.2, 0.2, 4).opening, 30, origin=(0, 0))
    films = [shadow(turned, EXAMPLE, Step(45, azimuth)) for azimuth in (30, 120)]
    assert films[0].intersection(films[1]).area == pytest.approx(0.04, abs=1e-7)
