"""The study `kernel-convergence`: how far the kernel of a finite net is from its limit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from solvable.activations.kernel_convergence import Parameters, deviation_squared, exact_constant, study
from solvable.errors import InputError
from solvable.lab import Comparison, run


@pytest.mark.slow
def test_small_run_from_end_to_end(tmp_path: Path) -> None:
    parameters = Parameters(depth=(1, 2), widths=(32, 64, 128, 256), n_points=8, d=5, trials=30)
    record = run(study, parameters, runs_dir=tmp_path, quiet=True)
    summary = record.comparison.summary["squared_deviation"]
    assert summary.median_error < 0.2
    assert summary.coverage is not None
    assert summary.coverage >= 0.6
    assert "With one hidden layer of relu" in record.conclusion
    assert "units per layer" in record.conclusion
    assert (record.path / "figure.png").stat().st_size > 10_000
    report = " ".join((record.path / "report.html").read_text().split())
    assert "predicted exactly" in report
    assert "no formula is known" in report


@pytest.mark.parametrize(
    ("activation", "w_std", "b_std"),
    [
        ("relu", 1.0, 0.5),
        pytest.param("relu", 2**0.5, 0.0, marks=pytest.mark.slow),
        pytest.param("tanh", 1.5, 0.0, marks=pytest.mark.slow),
        pytest.param("0.5 sin 6z", 1.0, 0.0, marks=pytest.mark.slow),
    ],
)
def test_exact_constant_is_what_nets_of_any_width_have(activation, w_std, b_std) -> None:
    parameters = Parameters(activation=activation, depth=(1,), w_std=w_std, b_std=b_std, n_points=6, d=4)
    setting = study.prepare(parameters)
    squares = np.array([16 * deviation_squared(setting, 1, 16, seed) for seed in range(300)])
    error = squares.std(ddof=1) / len(squares) ** 0.5
    assert abs(squares.mean() - exact_constant(parameters, setting.X)) < 4 * error


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"depth": ()}, "depth is empty"),
        ({"depth": (0,)}, "at least 1"),
        ({"widths": (2.5,)}, "2.5"),
        ({"widths": (100_000,)}, "lower the width"),
        ({"n_points": 0}, "n_points"),
        ({"w_std": 0.0}, "w_std"),
        ({"b_std": -1.0}, "b_std"),
        ({"trials": 0}, "trials"),
    ],
)
def test_refusals(options, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        Parameters(**options)


def test_unknown_activation_is_a_sentence() -> None:
    with pytest.raises(InputError, match="unknown activation"):
        study.prepare(Parameters(activation="relux"))


@pytest.mark.slow
def test_the_constants_of_a_prototype(tmp_path: Path) -> None:
    """One layer of ReLU 2.0/√N, four 4/√N: .60, .27, .105, .088 at 64, 256, 1024, 2048."""
    record = run(study, Parameters(widths=(64, 256, 1024, 2048), trials=20), runs_dir=tmp_path, quiet=True)
    root = record.measurement.squared_deviation.mean("trial") ** 0.5
    level = root * root.width**0.5
    assert level.sel(depth=1).to_numpy() == pytest.approx(2.1, abs=0.35)
    assert level.sel(depth=4).to_numpy()[1:] == pytest.approx(4.0, abs=0.8)
    slope = np.polyfit(np.log(root.width), np.log(root.T), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.06)


@pytest.mark.parametrize(
    ("depths", "words"),
    [
        ([1, 2, 4], "from about 1600 units with one hidden layer and 6400 units with 4 hidden layers on"),
        ([3], "from about 1600 units with 3 hidden layers on"),
    ],
)
def test_headline_is_the_width_for_five_percent(depths, words) -> None:
    constants = np.array([2.0, 3.0, 4.0])[: len(depths)]  # deviations of 2/√1600, 4/√6400
    prediction = xr.Dataset({}, {"depth": depths}, {"constants": constants})
    assert study.headline is not None
    headline = study.headline(prediction, xr.Dataset(), Comparison(pd.DataFrame(), {}))
    assert headline == f"A net has its infinite-width kernel within 5 % {words}"
    assert "1 unit with" in study.headline(
        prediction.assign_attrs(constants=0 * constants), xr.Dataset(), Comparison(pd.DataFrame(), {})
    )
