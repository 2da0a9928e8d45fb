"""The study of shadows: its tiny run, rays and polygons against hand computations, and extreme parameters."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from solvable.errors import InputError
from solvable.junctions.evaporation import Resist
from solvable.junctions.shadow_study import CLOSINGS, Parameters, _ray_widths, study
from solvable.lab import Comparison, compare

TINY = replace(study.tiny, trenches=40)


def trials(parameters: Parameters) -> xr.Dataset:
    return xr.concat([study.trial(parameters, None, i) for i in range(parameters.trials)], dim="trial")


def results(parameters: Parameters) -> tuple[xr.Dataset, xr.Dataset, Comparison]:
    predicted, measured = study.predict(parameters, None), trials(parameters)
    return predicted, measured, compare(predicted, measured, study.compared)


@pytest.fixture(scope="module")
def tiny() -> tuple[xr.Dataset, xr.Dataset, Comparison]:
    return results(TINY)


def test_formulas_agree_with_rays_and_polygons(tiny: tuple[xr.Dataset, xr.Dataset, Comparison]) -> None:
    predicted, measured, comparison = tiny
    assert float(abs(predicted.trench_width_um - measured.trench_width_um).max()) < 1e-9
    for name in ("dolan_overlap_um", "leak_um2", "junction_area_um2"):
        summary = comparison.summary[name]
        assert summary.counted == summary.points
        assert summary.max_error < 1e-5
    # The bisection of the polygons ends at 1e-5 um.
    window = measured.largest_width_um - predicted.largest_width_um
    assert float(abs(window).max()) < 2e-5
    assert (measured.largest_width_here_um > measured.largest_width_um - 2e-5).all()
    assert 0 < int((predicted.trench_width_um > 0).sum()) < TINY.trenches


def test_values_of_the_example(tiny: tuple[xr.Dataset, xr.Dataset, Comparison]) -> None:
    _, measured, _ = tiny
    one = measured.isel(trial=0)
    run = float(np.tan(np.radians(30)))
    assert float(one.dolan_overlap_um.sel(tilt_deg=30)) == pytest.approx(1.2 * run - 0.2)
    assert float(one.junction_area_um2.sel(w1_um=0.1, w2_um=0.4)) == pytest.approx(0.04)
    # At 45 degrees a chord of a trench is sqrt(2) w, and the area (1 - closing)^2 w^2.
    leak = one.leak_um2.sel(w1_um=0.4, w2_um=0.4).values
    assert leak == pytest.approx([0.16 * max(1 - c, 0) ** 2 for c in CLOSINGS], abs=1e-8)
    assert float(one.largest_width_um.sel(tilt_deg=60)) == pytest.approx(0.3 * np.sqrt(3 / 8), abs=2e-5)


def test_rays_find_films_of_any_width() -> None:
    resist = Resist(0.6, 0.3, 0.3)
    tilt = np.degrees(np.arctan(0.5))
    lit = _ray_widths(
        np.array([0.5, 0.5, 0.15 + 1e-7, 0.15]),
        resist,
        np.array([0, tilt, tilt, tilt]),
        np.full(4, 90.0),
        np.zeros(4),
    )
    # Displaced by 0.3 to 0.45 um, so that the undercut of 0.3 um just holds the film.
    assert lit == pytest.approx([0.5, 0.35, 1e-7, 0], abs=1e-12)


def test_conclusion_and_figure(tiny: tuple[xr.Dataset, xr.Dataset, Comparison]) -> None:
    text = study.conclude(*tiny)
    assert text.startswith("Of 40 random trenches, 0 have films that differ by more than 1e-06 μm")
    assert "differ by less than 0.001 % between formulas and polygons" in text
    # 0.4 x 2 sqrt(2) / 0.3 is the tangent of the tilt.
    assert "0.4 x 0.4 μm, needs a patch tilt of 75.1 degrees at an azimuth of 225 degrees" in text
    predicted, measured, comparison = tiny
    wrong = predicted.assign(trench_width_um=predicted.trench_width_um + 1e-5 * (predicted.trench < 3))
    assert "40 random trenches, 3 have" in study.conclude(wrong, measured, comparison)
    axes = study.plot(predicted, measured).axes
    assert len(axes) == 4
    assert all("μm" in ax.get_ylabel() for ax in axes)
    assert ["(" in ax.get_xlabel() or "longest chord" in ax.get_xlabel() for ax in axes] == [True] * 4


def test_the_headline_has_the_least_tilt_and_the_agreement(
    tiny: tuple[xr.Dataset, xr.Dataset, Comparison],
) -> None:
    predicted, measured, comparison = tiny
    assert study.headline is not None
    tilt = np.degrees(np.arctan(0.4 * 2 * np.sqrt(2) / 0.3))
    text = f"Junctions of 0.4 x 0.4 µm stay clean with a patch tilted by {tilt:.1f}° or more; formulas "
    agreement = "and simulations differ by at most 0.001 %"
    assert study.headline(predicted, measured, comparison) == text + agreement
    wrong = predicted.assign(trench_width_um=predicted.trench_width_um + 1e-5 * (predicted.trench < 3))
    expected = f"{text}differ from rays in 3 of 40 trenches"
    assert study.headline(wrong, measured, comparison) == expected


@pytest.mark.slow
def test_the_study_at_full_size() -> None:
    predicted, measured, comparison = results(Parameters(trenches=3000))
    assert float(abs(predicted.trench_width_um - measured.trench_width_um).max()) < 1e-9
    assert comparison.summary["leak_um2"].max_error < 1e-5
    assert comparison.summary["largest_width_um"].max_error < 1e-3


BOUNDS: dict[str, tuple[Any, ...]] = {
    "t1_um": (0.01, 10.0),
    "t2_um": (0.02, 10.0),
    "undercut_um": (0.0, 10.0),
    "tilt_deg": (30.0, 85.0),
    "patch_azimuth_deg": (5.0, 360 - 5.0),
    "widths_um": ((0.01,), (0.85, 0.01)),
    "bridge_um": (0.01, 10.0),
    "tilts_deg": ((1.0, 85.0),),
    "trenches": (1,),
    "random_state": (2**32 - 1,),
}


FAST = ("t2_um", "undercut_um", "patch_azimuth_deg", "tilts_deg")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, marks=() if name in FAST else pytest.mark.slow)
        for name in BOUNDS
        for value in BOUNDS[name]
    ],
)
def test_extreme_parameters_give_right_results(name: str, value: Any) -> None:
    parameters = replace(
        Parameters(widths_um=(0.2,), tilts_deg=(45.0,), trenches=5, trials=1), **{name: value}
    )
    predicted, measured, comparison = results(parameters)
    assert float(abs(predicted.trench_width_um - measured.trench_width_um).max()) < 1e-6
    for quantity in ("dolan_overlap_um", "leak_um2", "junction_area_um2"):
        assert comparison.summary[quantity].max_error < 1e-3
    assert "nan" not in study.conclude(predicted, measured, comparison)
    if name == "tilts_deg":  # figures take most of the time
        study.plot(predicted, measured)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"t1_um": 0.001}, "t1_um must be at least 0.01"),
        ({"tilts_deg": (45.0, 86.0)}, "tilts_deg must be at least 1 and at most 85"),
        (
            {"patch_azimuth_deg": 182.0},
            "patch_azimuth_deg is 182, 2 degrees from a trench, .* expected 5 or more",
        ),
        ({"patch_azimuth_deg": 359.0}, "patch_azimuth_deg is 359, 1 degrees from a trench"),
        ({"tilt_deg": 20.0}, "widths_um has 0.4, and at a tilt of 20 degrees .* expected at most 0.3276"),
        ({"t2_um": 0.01}, "t2_um is 0.01, and trenches of 0.4 um .* expected at least 0.0199"),
        ({"trenches": 0}, "trenches must be a whole number of at least 1"),
    ],
)
def test_what_the_formulas_do_not_cover_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        Parameters(**values)
    assert "\n" not in str(caught.value)


def test_every_parameter_is_tried() -> None:
    assert {field.name for field in fields(Parameters)} == {*BOUNDS, "trials"}
