"""The study of forecasts: its contract, its predictions against simulation, and extreme parameters."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from solvable.errors import InputError
from solvable.junctions.ageing_study import Parameters, study
from solvable.lab import compare

SHORT = Parameters(last_days=(60.0,), trials=16)


def trials(parameters: Parameters) -> xr.Dataset:
    return xr.concat([study.trial(parameters, None, i) for i in range(parameters.trials)], dim="trial")


@pytest.fixture(scope="module")
def measured() -> xr.Dataset:
    return trials(SHORT)


def test_forecasts_are_those_of_the_noiseless_fits(measured: xr.Dataset) -> None:
    predicted = study.predict(SHORT, None)
    ratio = predicted.ratio.sel(last_day=60)
    assert float(ratio.sel(truth="log", law="log")) == pytest.approx(1.1641, abs=5e-5)
    assert float(ratio.sel(truth="stretched", law="stretched")) == pytest.approx(1.1197, abs=5e-5)
    exact = float(ratio.sel(truth="stretched", law="stretched"))
    wrong = {law: float(ratio.sel(truth="stretched", law=law)) / exact - 1 for law in ("log", "power")}
    assert wrong == pytest.approx({"log": 0.027, "power": 0.044}, abs=2e-3)
    table = compare(predicted, measured, study.compared).table
    # Four standard errors; the stretched law's forecast has a bias of second order beside.
    ratios = table[table["quantity"] == "ratio"]
    assert (abs(ratios["predicted"] - ratios["measured"]) < 4 * ratios["standard_error"] + 0.003).all()


def test_the_fisher_information_gives_the_errors(measured: xr.Dataset) -> None:
    predicted = np.sqrt(study.predict(SHORT, None).squared_error.values.ravel())
    # By another route: least squares of many draws of noise, in the derivatives of ln R written by hand.
    t = np.array([0.05, 0.2, 1, 2, 4, 7, 10, 14, 21, 28, 42, 60, 365])
    rise = 1 + 0.02 * np.log1p(t / 0.1)
    slopes = np.stack([np.ones(13), np.log1p(t / 0.1) / rise, 0.02 * t / (0.1 + t) / rise], axis=1)
    draws = 0.002 * np.random.default_rng(0).standard_normal((12, 20_000))
    forecasts = slopes[-1] @ np.linalg.lstsq(slopes[:-1], draws, rcond=None)[0]
    assert predicted[0] == pytest.approx(forecasts.std(), rel=0.02)
    # The stretched exponential is curved in its parameters: its errors are an eighth larger than the linear ones.
    np.testing.assert_allclose(predicted, [0.0019, 0.0056], rtol=0.02)
    scatter = np.sqrt(measured.squared_error.mean("trial").values.ravel())
    np.testing.assert_allclose(scatter, predicted, rtol=0.55)


def test_picks_and_conclusion(measured: xr.Dataset) -> None:
    picks = measured.right_pick.mean("trial").sel(last_day=60)
    # 0.85 and 0.36 of many sets, here within three binomial standard errors of 16.
    assert float(picks.sel(truth="log")) == pytest.approx(0.85, abs=0.27)
    assert float(picks.sel(truth="stretched")) == pytest.approx(0.36, abs=0.36)
    assert (measured.covered.mean("trial") > 0.78).all()
    predicted = study.predict(SHORT, None)
    text = study.conclude(predicted, measured, compare(predicted, measured, study.compared))
    assert "With the last reading on day 60, AICc picks the true law in" in text
    assert "errs by +2." in text
    assert len(study.plot(predicted, measured).axes) == 3


def test_the_headline_has_the_shares_of_both_laws(measured: xr.Dataset) -> None:
    predicted = study.predict(SHORT, None)
    comparison = compare(predicted, measured, study.compared)
    assert study.headline is not None
    shares = sorted(100 * measured.right_pick.values.mean(axis=0)[:, 0])
    text = f"The true law of ageing is told in {shares[0]:.0f} to {shares[1]:.0f} % of cases after 60 days of readings"
    assert study.headline(predicted, measured, comparison) == text
    late = measured.assign_coords(last_day=[180.0])
    late["right_pick"] = 0 * late.right_pick + 1
    both = xr.concat([late, measured], dim="last_day")
    assert study.headline(predicted, both, comparison) == f"{text}, in 100 % after 180 days"


def test_a_late_reading_picks_the_law() -> None:
    found = trials(replace(SHORT, last_days=(180.0,), trials=5))
    assert float(found.right_pick.sel(truth="stretched").mean()) == 1


@pytest.mark.slow
def test_the_study_at_full_size() -> None:
    parameters = Parameters(last_days=(60.0, 120.0), trials=150)
    found = trials(parameters)
    bias = found.ratio.mean("trial") / [[[1.164055]], [[1.119715]]] - 1
    assert abs(float(bias.sel(truth="log", last_day=60, law="log"))) < 1e-3
    assert abs(float(bias.sel(truth="stretched", last_day=60, law="stretched"))) < 3e-3
    assert float(bias.sel(truth="stretched", last_day=60, law="log")) == pytest.approx(0.027, abs=1e-3)
    # Three binomial standard errors about the shares of a thousand sets.
    picks = found.right_pick.mean("trial")
    assert float(picks.sel(truth="log", last_day=60)) == pytest.approx(0.85, abs=0.09)
    assert float(picks.sel(truth="stretched", last_day=60)) == pytest.approx(0.36, abs=0.12)
    assert float(picks.sel(truth="stretched", last_day=120)) == pytest.approx(0.97, abs=0.05)
    assert (found.covered.mean("trial") > 0.9).all()


BOUNDS = {
    "log_amplitude": (-0.02, 0.0, 1.0),
    "log_tau_days": (1e-3, 1e4),
    "stretched_amplitude": (-0.5, 0.0, 10.0),
    "stretched_tau_days": (1e-3, 1e4),
    "stretched_beta": (0.1, 1.0),
    "R0_ohm": (1.0, 1e9),
    "noise": (1e-6, 0.1),
    "last_days": ((14.0,), (3650.0,)),
    "forecast_days": (1.0, 36500.0),
    "random_state": (2**32 - 1,),
}


FAST = ("log_amplitude", "stretched_beta", "noise", "last_days", "forecast_days")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, marks=() if name in FAST else pytest.mark.slow)
        for name in BOUNDS
        for value in BOUNDS[name]
    ],
)
def test_extreme_parameters_give_results(name: str, value: Any) -> None:
    parameters = replace(SHORT, trials=1, **{name: value})
    predicted, found = study.predict(parameters, None), study.trial(parameters, None, 0).expand_dims("trial")
    text = study.conclude(predicted, found, compare(predicted, found, study.compared))
    assert text.endswith(".")
    assert "nan" not in text
    if name == "last_days":  # figures take most of the time
        study.plot(predicted, found)


@pytest.mark.parametrize("name", [name for name in BOUNDS if name not in ("last_days", "random_state")])
def test_values_beyond_the_bounds_are_refused(name: str) -> None:
    low, high = BOUNDS[name][0], BOUNDS[name][-1]
    for beyond in (low - 0.1 * abs(low), 1.1 * high):
        with pytest.raises(InputError, match=f"^{name}"):
            replace(SHORT, **{name: beyond})


def test_every_parameter_is_tried() -> None:
    assert {field.name for field in fields(Parameters)} == {*BOUNDS, "trials"}
