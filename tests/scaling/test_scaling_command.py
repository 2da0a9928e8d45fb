"""`solvable scaling describe`, and the studies' parameters."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from solvable.errors import InputError
from solvable.lab import Comparison
from solvable.lab.run import stacked
from solvable.lab.study import HEADLINE
from solvable.scaling import depth, richness, study
from strict_json import strict

MODELS = """
from torch import nn

def make(width=64):
    return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))

class Packed(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)

class Raw(nn.Module):
    def __init__(self):
        super().__init__()
        self.mixing = nn.Parameter(nn.init.ones_(nn.Parameter(__import__("torch").empty(4, 6))))

built = make(32)
number = 3
"""


@pytest.fixture
def describe(command_line: Any) -> Any:
    Path("mymodels.py").write_text(MODELS, encoding="utf-8")
    return lambda *tokens: command_line("scaling", "describe", *tokens)


def test_the_table_and_its_json(describe) -> None:
    code, out, err = describe("mymodels:make", "--params", "width=512")
    assert (code, err) == (0, "")
    assert "2.weight has weights 4" in " ".join(out.split())  # torch's default readout
    code, out, _ = describe("mymodels:make", "--params", "width=512", "--optimizer", "sgd", "--json")
    rows = {row["name"]: row for row in strict(out)["parameters"]}
    assert rows["2.weight"]["lr_multiplier"] == 10 / 512
    assert rows["0.weight"]["fan_in"] == 784
    assert rows["0.weight"]["weight_factor"] == pytest.approx(0.72, abs=0.03)


def test_relative_to_a_base_and_quiet(describe) -> None:
    code, out, _ = describe(
        "mymodels.py:make", "--params", "width=512", "--base-params", "width=64", "--quiet"
    )
    assert code == 0
    assert out.splitlines() == ["0.weight 1.0", "0.bias 1.0", "2.weight 0.125", "2.bias 1.0"]
    assert describe("mymodels:built", "--quiet")[0] == 0


def test_muon_says_what_it_takes(describe) -> None:
    code, out, _ = describe("mymodels:Packed", "--optimizer", "muon")
    words = " ".join(out.split())
    assert code == 0
    assert "packs 3 matrices" in words
    assert "1 (adamw)" in words


def test_rules_are_written_as_options(describe) -> None:
    code, _, err = describe("mymodels:Raw")
    assert code == 2
    assert "--rules 'mixing=dense'" in err
    code, out, _ = describe("mymodels:Raw", "--rules", "mixing=dense", "--quiet")
    assert (code, out) == (0, "mixing 0.16666666666666666\n")


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["mymodels"], "MODEL is 'mymodels'; expected MODULE:NAME"),
        (["mymodels:mak"], "did you mean 'make'"),
        (["nomodels:make"], "there is no module 'nomodels'"),
        (["mymodels:make", "--params", "widht=3"], "did you mean 'width'"),
        (["mymodels:make", "--params", "width=-1"], "cannot be called with"),
        (["mymodels:number"], "number is of type int; expected a torch.nn.Module"),
        (["mymodels:built", "--params", "width=3"], "takes no --params"),
        (["mymodels:make", "--gain", "0"], "gain must be above 0"),
        (["mymodels:make", "--optimizer", "adm"], "unknown optimizer 'adm'"),
        (["mymodels:make", "--rules", "dense"], "expected REGEX=KIND"),
        (["mymodels:make", "--base-params", "width=x"], "cannot be called"),
    ],
)
def test_bad_input_is_one_sentence(describe, tokens, words) -> None:
    code, out, err = describe(*tokens)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("parameters", "options", "words"),
    [
        (study.Parameters, {"widths": (64,)}, "widths has one value"),
        (study.Parameters, {"loss_share": 2.0}, "expected a share below 1"),
        (depth.Parameters, {"depths": (4,)}, "depths has one value"),
        (richness.Parameters, {"gammas": (1.0,)}, "gammas has one value"),
    ],
)
def test_studies_need_two_points_of_a_line(parameters, options, words) -> None:
    with pytest.raises(InputError, match=words):
        parameters(**options)


def test_the_predictions_of_the_studies() -> None:
    """The spectral condition is flat, NTP falls as the root, and hidden layers by another root in Frobenius norm."""
    parameters = study.Parameters(widths=(64, 256))
    predicted = study.predict(parameters, study.prepare(parameters)).sel(width=256)
    flat, falling = predicted.sel(parametrization="spectral"), predicted.sel(parametrization="ntp")
    assert flat.spectral_change.values == pytest.approx([1, 1, 1])
    assert falling.spectral_change.values == pytest.approx([0.5, 0.5, 0.5])
    assert flat.frobenius_change.values == pytest.approx([1, 0.5, 1])
    assert falling.frobenius_change.values == pytest.approx([0.5, 0.25, 0.5])
    deep = depth.Parameters(depths=(4, 16), optimizer="sgd")
    growth = depth.predict(deep, depth.prepare(deep)).feature_change.sel(depth=16, rates="without")
    assert growth.sel(alpha=[1.0, 0.5]).values == pytest.approx([0.25, 1])


NO_COMPARISON = Comparison(pd.DataFrame(), {})


def losses(best: list[float], lrs: np.ndarray) -> np.ndarray:
    """Return losses of two trials, (trial, size, lr), that are parabolas of the logarithm about their best rates."""
    loss = 1 + np.log2(lrs / np.array(best)[:, None]) ** 2
    return np.stack([loss, loss])


def test_headline_of_widths() -> None:
    lrs = 2.0 ** np.arange(-6, 3)
    values = np.stack([losses([0.5, 0.5, 0.5], lrs), losses([1.0, 0.5, 0.25], lrs)], axis=1)
    grid = {"sweep": ["spectral", "sp"], "width": [64, 128, 256]}
    measurement = xr.Dataset(
        {
            "loss": (("trial", "sweep", "width", "rung"), values),
            "lr": (("trial", "sweep", "rung"), np.tile(lrs, (2, 2, 1))),
        },
        grid,
    )
    assert study.study.headline is not None
    assert study.study.headline(xr.Dataset(), measurement, NO_COMPARISON) == (
        "Best learning rate from width 64 to 256: ×1 under the spectral condition, ×0.25 without it"
    )
    # Without the lower rates, the best one of the wide nets is at the edge of the grid.
    text = study.study.headline(xr.Dataset(), measurement.isel(rung=slice(5, None)), NO_COMPARISON)
    assert text.count("(edge of grid)") == 2
    assert len(text) < HEADLINE - 10  # for longer numbers


@pytest.mark.parametrize("depths", [(2, 4), (2, 8, 32)])
def test_the_axis_of_depths_names_those_that_were_measured(depths: tuple[int, ...]) -> None:
    one = depth.study
    parameters = replace(one.tiny, depths=depths)
    setting = one.prepare(parameters)
    measurement = stacked([one.trial(parameters, setting, 0)])
    axis = one.plot(one.predict(parameters, setting), measurement).axes[0].xaxis
    assert [label.get_text() for label in axis.get_ticklabels()] == [str(one) for one in depths]
    assert len(axis.get_minorticklocs()) == 0


def test_headline_of_depths() -> None:
    lrs = 2.0 ** np.arange(-6, 3)
    values = np.stack([losses([0.5, 1.0], lrs), losses([1.0, 0.25], lrs)], axis=1)
    grid = {"sweep": ["CompleteP", "multiplier alone"], "depth": [4, 32], "lr": lrs}
    measurement = xr.Dataset({"loss": (("trial", "sweep", "depth", "lr"), values)}, grid)
    assert depth.study.headline is not None
    assert depth.study.headline(xr.Dataset(), measurement, NO_COMPARISON) == (
        "Best learning rate from 4 to 32 blocks: ×2 with CompleteP, ×0.25 with a residual multiplier alone"
    )


@pytest.mark.parametrize(
    ("gammas", "words"),
    [
        ([0.01, 0.1, 10.0, 1000.0], "0.01→0.1: ×32 (theory 100), 10→1000: ×10 (theory 10); 4 layers"),
        ([1.0, 10.0], "1→10: ×32 (theory 100 or 3.2); 4 layers"),
    ],
)
def test_headline_of_richness(gammas, words) -> None:
    grid = {"layers": [2, 4], "regime": ["lazy", "rich"]}
    prediction = xr.Dataset({"exponent": (("layers", "regime"), [[2.0, 1.0], [2.0, 0.5]])}, grid)
    ends = [[2.0, 1.0], [1.5, 1.5 if len(gammas) == 2 else 0.5]]
    trials = np.stack([np.array(ends) - 0.1, np.array(ends) + 0.1])
    measurement = xr.Dataset({"exponent": (("trial", "layers", "regime"), trials)}, grid | {"gamma": gammas})
    assert richness.study.headline is not None
    headline = richness.study.headline(prediction, measurement, NO_COMPARISON)
    assert headline == f"Largest stable learning rate at richness {words}"


def test_a_headline_of_extreme_richness_is_short() -> None:
    grid = {"layers": [1000], "regime": ["lazy", "rich"]}
    prediction = xr.Dataset({"exponent": (("layers", "regime"), [[2.0, 0.002]])}, grid)
    trials = xr.Dataset({"exponent": (("trial", "layers", "regime"), [[[1.3, -0.7]]])}, grid)
    measurement = trials.assign_coords(gamma=[1.23e-9, 3.21e-9, 1.23e4, 8.76e8])
    assert richness.study.headline is not None
    assert len(richness.study.headline(prediction, measurement, NO_COMPARISON)) <= HEADLINE
