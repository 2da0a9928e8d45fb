"""Values and gradients of losses against lightly 1.6.0, from `make_lightly_values.py`."""

import json
from pathlib import Path

import pytest
import torch

from solvable.stepwise import losses

PEER = json.loads(Path(__file__).with_name("lightly_1_6_0.json").read_text())
VIEWS = {
    name: tuple(torch.tensor(pair[key], dtype=torch.float64) for key in ("z_a", "z_b"))
    for name, pair in PEER["inputs"].items()
}


@pytest.mark.parametrize("case", PEER["cases"], ids=lambda case: f"{case['loss']}-{case['inputs']}")
def test_losses_and_their_gradients_are_those_of_lightly(case) -> None:
    z_a, z_b = VIEWS[case["inputs"]]
    z_a = z_a.clone().requires_grad_()
    value = getattr(losses, case["loss"])(z_a, z_b, **case["options"])
    value.backward()
    assert value.item() == pytest.approx(case["value"], rel=1e-12, abs=1e-14)
    expected = torch.tensor(case["gradient"], dtype=torch.float64)
    # The gradients are kept with twelve digits; means of 50 cost some of those of the computation.
    size = expected.abs().max().item()
    torch.testing.assert_close(z_a.grad, expected, rtol=0, atol=1e-11 * size + 1e-13)


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg", "nt_xent"])
def test_defaults_are_those_of_lightly(name) -> None:
    """Of Barlow Twins, the weight is that of its authors' code, 0.0051, where lightly has 0.005."""
    z_a, z_b = VIEWS["random"]
    first = next(one for one in PEER["cases"] if one["loss"] == name and one["inputs"] == "random")
    assert getattr(losses, name)(z_a, z_b).item() == pytest.approx(first["value"], rel=1e-12)
