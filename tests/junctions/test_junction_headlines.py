"""The headlines of the studies of wafers and lattices."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from solvable.junctions import collision_study, spread_study, study
from solvable.lab import Comparison

# None of these headlines needs it.
NOTHING = Comparison(pd.DataFrame(), {})


def test_a_wafer_is_told_by_its_spread_and_the_least_trimming_that_is_enough() -> None:
    measurement = xr.Dataset(
        {
            "frequency_sd_MHz": (("trial", "design"), [[40.0, 70.0], [40.0, 80.0]]),
            "collision_free_yield": (("trial", "remaining"), [[0.0, 0.5, 0.9], [0.0, 0.7, 0.9]]),
            "good_share": ("trial", [0.99, 0.97]),
        },
        {"remaining": [1.0, 0.2, 0.1]},
    )
    prediction = xr.Dataset(attrs={"qubit": 1})

    def headline(**changed: Any) -> str:
        return study.headline(prediction, measurement.assign(changed), NOTHING)

    text = (
        "Equal qubits vary by 75 MHz on chip; {} % of their spread, {} % of lattices of 27 have no collision"
    )
    assert headline() == text.format("trimmed to 20", 60)
    free = measurement.collision_free_yield
    assert headline(collision_free_yield=free / 4) == text.format("trimmed to 10", 22)
    assert headline(collision_free_yield=0 * free + 0.8) == text.format("with 100", 80)
    unknown = {
        "collision_free_yield": np.nan * free,
        "frequency_sd_MHz": np.nan * measurement.frequency_sd_MHz,
    }
    assert headline(**unknown) == "98 % of the junctions are good; the yield of a lattice is unknown"


def test_a_spread_is_told_with_the_share_of_the_widths_and_the_error_of_the_best_method() -> None:
    prediction = xr.Dataset(
        {"area_share": ("method", [0.64] * 3), "share_error": ("method", [0.12, 0.03, 0.07])},
        {"cv": [0.01, 0.03], "method": list(spread_study.METHODS)},
    )
    shares = [[0.9, 0.61, 0.2], [0.1, 0.68, 0.2]]
    measurement = xr.Dataset(
        {
            "frequency_sd": (("trial", "cv"), [[0.005, 0.015], [0.005, 0.0154]]),
            "area_share": (("trial", "method"), shares),
        },
        prediction.coords,
    )
    error = 100 * np.sqrt((0.03**2 + 0.04**2) / 2)
    assert spread_study.headline(prediction, measurement, NOTHING) == (
        "A 3 % spread of resistances is a 1.52 % spread of frequencies; the share of the widths in it, 64 %, "
        f"is found to ± {error:.2g} %"
    )


def test_collisions_are_told_where_half_of_the_lattices_have_none_and_beyond() -> None:
    free = [[0.2, 0.9, 0.5], [0.4, 0.9, 0.6]]
    measurement = xr.Dataset(
        {"yield_without_collision": (("trial", "sigma_MHz"), free)}, {"sigma_MHz": [20.0, 5.0, 14.0]}
    )
    text = "At a spread of {} MHz {} % of lattices of 27 qubits have no collision"
    expected = text.format(14, "55.0") + ", at 20 MHz 30.0 %"
    assert collision_study.headline(xr.Dataset(), measurement, NOTHING) == expected
    # With one spread there is no other, and above a half none need be.
    one = measurement.sel(sigma_MHz=[20.0])
    assert collision_study.headline(xr.Dataset(), one, NOTHING) == text.format(20, "30.0")
