"""Multipliers and initial values relative to a base model, against the package mup 1.0.0, from `make_mup_values.py`.

mup leaves a factor 1/m, m being the width over the base's, in the readout's forward pass. To compare, it moves into the
weight: initial values are multiplied by it, learning rates by it (Adam) or by its square (SGD), and the share of the
weights that a step's decay removes stays.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from solvable.scaling import describe, init_, param_groups

CASES = json.loads(Path(__file__).with_name("mup_1_0_0.json").read_text())


def mlp(n: int) -> nn.Module:
    layers: list[nn.Module] = [
        nn.Linear(64, n),
        nn.ReLU(),
        nn.Linear(n, n),
        nn.ReLU(),
        nn.Linear(n, n),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, nn.Linear(n, 10))


class Block(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.mlp_norm = nn.LayerNorm(d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)


def transformer(d: int) -> nn.Module:
    model = nn.Module()
    model.token, model.position = nn.Embedding(103, d), nn.Embedding(32, d)
    model.blocks = nn.ModuleList(Block(d) for _ in range(2))
    model.norm = nn.LayerNorm(d)
    model.readout = nn.Linear(d, 103, bias=False)
    return model


MODELS = {"mlp": mlp, "transformer": transformer}


def narrowing(row: dict[str, Any]) -> float:
    """The one difference: a readout of more outputs than the base has features narrows at large width only.

    mup's initial values fall as 1/width from the base on, ours as 1/sqrt(width) until the layer narrows.
    """
    n_out, n_in = (*row["base_shape"], 1)[:2]
    return max(1.0, (n_out / n_in) ** 0.5) if row["forward"] != 1 else 1.0


def by_name(groups: list[dict[str, Any]], key: str) -> dict[str, float]:
    return {name: group[key] for group in groups for name in group["names"]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_learning_rates_and_decays_are_those_of_mup(case) -> None:
    with torch.device("meta"):
        model, base = (MODELS[case["model"]](case[key]) for key in ("width", "base_width"))
    shapes = {name: list(one.shape) for name, one in model.named_parameters()}
    assert shapes == {row["name"]: row["shape"] for row in case["parameters"]}
    decays = {}
    for name in ("adamw", "adam") if case["optimizer"] == "adam" else ("sgd",):
        groups = param_groups(model, name, lr=1.0, base=base)
        rates = by_name(groups, "lr")
        for row in case["parameters"]:
            folded = row["forward"] ** (1 if case["optimizer"] == "adam" else 2)
            assert rates[row["name"]] == pytest.approx(row["lr"] * folded, rel=1e-12), row["name"]
        if name != "adam":
            groups = param_groups(model, name, lr=1e-3, weight_decay=1.0, base=base)
            decays = by_name(groups, "weight_decay")
    for row in case["parameters"]:
        folded = row["forward"] ** (1 if case["optimizer"] == "adam" else 2)
        if len(row["shape"]) == 1 or row["name"] in ("token.weight", "position.weight"):
            # mup decays biases, gains and embeddings too.
            assert decays[row["name"]] == 0
        else:
            assert decays[row["name"]] == pytest.approx(row["weight_decay"] / folded, rel=1e-12), row["name"]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["optimizer"] == "sgd"], ids=lambda case: case["name"]
)
def test_initial_values_are_those_of_mup(case) -> None:
    """The ratio of the standard deviations to the base's; of what starts at zero or one there is none."""
    with torch.device("meta"):
        described = [describe(MODELS[case["model"]](case[key])) for key in ("width", "base_width")]
    for row in case["parameters"]:
        stds = [one[row["name"]].layout.init_std for one in described]
        if stds[0]:
            assert stds[0] / stds[1] == pytest.approx(
                row["normal"] * row["forward"] * narrowing(row), rel=1e-12
            ), row["name"]
        else:
            assert len(row["shape"]) == 1


@pytest.mark.parametrize("model", MODELS)
def test_drawn_values_relative_to_a_base_are_those_of_mup(model) -> None:
    """`init_` with torch's default at the base width, against mup's rescaling of the default at the wide one."""
    case = next(
        one for one in CASES if one["model"] == model and one["width"] == 128 and one["optimizer"] == "sgd"
    )
    torch.manual_seed(0)
    wide, default, base = (MODELS[model](width) for width in (128, 128, 64))
    init_(wide, base=base, generator=torch.Generator().manual_seed(1))
    for row in case["parameters"]:
        sizes = [
            one.get_parameter(row["name"]).detach().square().mean().sqrt().item() for one in (wide, default)
        ]
        expected = sizes[1] * row["rescale"] * row["forward"] * narrowing(row)
        n = torch.Size(row["shape"]).numel()
        # The errors of standard deviations from n draws and from the base's n/4 at least.
        assert sizes[0] == pytest.approx(expected, rel=5 / n**0.5, abs=1e-12), row["name"]
