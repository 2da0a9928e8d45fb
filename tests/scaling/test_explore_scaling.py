"""What the wing's page shows, without a browser."""

import re
import subprocess
import sys
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from solvable.errors import InputError
from solvable.scaling import explore, explore_measured, init_, max_lr_richness, param_groups, spectral_norm
from solvable.scaling.explore import BASES, DEPTHS, GAMMAS, INPUTS, OPTIMIZERS, OUTPUTS, WIDTHS, Network
from solvable.scaling.optimizers import muon_factor

START = Network(784, 1024, 4, 10, "adamw", 64)


def torch_network(network: Network, width: int) -> nn.Sequential:
    """A network with biases; one hidden layer stands for all of them."""
    sizes = [network.inputs, *[width] * min(network.depth - 1, 2), network.outputs]
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def words_of(seen: Any) -> str:
    cells = [*seen.facts, seen.heads, *seen.rows, (seen.note, seen.sentence, seen.warning, seen.code)]
    return " ".join(word for row in cells for word in row)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
@pytest.mark.parametrize("base", [64, 1024, None])
def test_every_corner_of_the_sliders_can_be_shown(optimizer, base) -> None:
    assert base in BASES.values()
    ends = ((values[0], values[-1]) for values in (INPUTS, WIDTHS, DEPTHS, OUTPUTS))
    for d, n, depth, k in product(*ends):
        seen = explore.view(Network(d, n, depth, k, optimizer, base))
        assert len(seen.facts) == 4
        assert len(seen.charts) == (3 if depth == 2 else 4)
        assert len(seen.rows) == (4 if depth == 2 else 5)
        assert not re.search(r"\b(nan|inf)\b", words_of(seen) + "".join(chart for chart, _ in seen.charts))
        assert ("as many outputs" in seen.warning) is (k >= n)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
@pytest.mark.parametrize("base", [64, None])
@pytest.mark.parametrize("depth", [2, 3])
def test_the_table_is_what_the_library_does_with_a_real_network(optimizer, base, depth) -> None:
    network = Network(128, 256, depth, 5, optimizer, base)
    model = torch_network(network, 256)
    narrow = None if base is None else torch_network(network, base)
    described = init_(model)
    # With a base, weights are judged by those of the narrow network.
    groups = param_groups(init_weights(model, narrow), optimizer, lr=1.0, base=narrow)
    matrices, rest = groups if optimizer == "muon" else (groups, groups)
    scales = {name: group["lr_scale"] for group in (*rest, *matrices) for name in group["names"]}
    names = [f"{2 * i}.{kind}" for kind in ("weight", "bias") for i in range(depth)]
    if depth == 3:
        assert scales.pop("0.bias") == scales["2.bias"]  # one row in the table
        names.remove("0.bias")
    else:
        names.sort(key=lambda name: name.endswith("bias"))
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    for layer, factor, name in zip(network.layers, network.multipliers, names, strict=True):
        expected = scales[name]
        if optimizer == "muon" and name.endswith("weight"):
            # The table is of updates of norm 1, and torch's have a factor of their own.
            expected *= muon_factor(shapes[name])
            if base is not None:
                (n_out, n_in) = (min(size, base) if size == 256 else size for size in shapes[name])
                expected /= muon_factor((n_out, n_in))
        assert factor == pytest.approx(expected, rel=1e-12), name
        assert layer.fan_in == described[name].layout.fan_in
        assert layer.fan_out == described[name].layout.fan_out
        assert layer.std == pytest.approx(described[name].layout.init_std), name


def init_weights(model: nn.Module, narrow: nn.Module | None) -> nn.Module:
    init_(model, base=narrow)
    return model


def test_torchs_default_is_off_by_as_much_as_its_norms_are() -> None:
    torch.manual_seed(0)
    network = Network(256, 512, 3, 64, "sgd", None)
    default, ours = torch_network(network, 512), torch_network(network, 512)
    init_(ours)
    for i, layer in enumerate(network.layers[:3]):
        ratio = spectral_norm(default[2 * i].weight) / spectral_norm(ours[2 * i].weight)
        assert layer.default_factor == pytest.approx(ratio, rel=0.04)
    # Of a readout with 10 outputs, the fact sheet measured 5.75 ± 0.3.
    assert explore.view(START).rows[2][-1] == "× 5.84"


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (
            START,
            "Tuned at width 64, used at width 1024: with one learning rate, updates would be 16 times too large in the "
            "hidden layers and the output layer.",
        ),
        (
            Network(784, 1024, 3, 10, "sgd", 64),
            "Tuned at width 64, used at width 1024: with one learning rate, updates would be 16 times too small in the "
            "input layer and 16 times too large in the output layer.",
        ),
        (
            Network(784, 256, 3, 10, "muon", 1024),
            "Tuned at width 1024, used at width 256: with one learning rate, updates would be 2 times too large in the "
            "input layer and 2 times too small in the output layer.",
        ),
        (
            Network(64, 512, 4, 10, "sgd", None),
            "At width 512, with the hidden layers' learning rate everywhere, updates would be 8 times too small in the "
            "input layer and 51.2 times too large in the output layer.",
        ),
        (
            Network(64, 64, 4, 10, "sgd", 64),
            "At the width of tuning all factors are 1, and your own settings stand.",
        ),
        (
            Network(1024, 1024, 4, 10, "adamw", None),
            "With one learning rate, updates are of the right size in all layers of weights.",
        ),
    ],
)
def test_the_sentence(network, sentence) -> None:
    assert explore.view(network).sentence == sentence


def test_the_facts_are_those_of_the_table() -> None:
    hidden, updates, default, outputs = explore.view(START).facts
    assert hidden[:2] == ("rate of the hidden layers", "× 0.0625")
    assert updates[1:] == ("16 × too large", "in the hidden layers and output layer")
    assert default[1] == "× 5.84"
    # Adam with one learning rate: n^(3/2), from width 64 to 1024.
    assert outputs[1:] == ("× 64", "with one rate, relative to width 64")
    seen = explore.view(Network(784, 64, 2, 10, "sgd", 64))
    assert [fact[1] for fact in seen.facts] == ["× 1", "right", "× 1.46", "× 1"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values())
@pytest.mark.parametrize("base", [64, None])
def test_the_code_runs(optimizer, base) -> None:
    network = Network(16, 128, 3, 4, optimizer, base)
    scope = {"model": torch_network(network, 128), "narrow": torch_network(network, 64), "lr": 0.1}
    exec(explore.view(network).code, scope)
    made = scope.get("both", (scope.get("optimizer"),))
    groups = [group for one in made for group in one.param_groups]
    assert sum(len(group["params"]) for group in groups) == 6
    if optimizer != "muon":
        lrs = sorted({group["lr"] for group in groups})
        assert lrs == pytest.approx(sorted({0.1 * factor for factor in network.multipliers}))


@pytest.mark.parametrize("depth", [2, 3])
def test_orthogonal_updates_change_features_as_drawn(depth) -> None:
    """One tiny step with one learning rate; within 0.15, for corrections at these widths."""
    widths, changes = (128, 256, 512, 1024), []
    x = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    for width in widths:
        runs = []
        for seed in range(4):
            torch.manual_seed(seed)
            sizes = [2, *[width] * (depth - 1), 5]
            w = [torch.randn(o, i, dtype=torch.float64) / i**0.5 for i, o in pairwise(sizes)]
            moved = [one - 1e-6 * step for one, step in zip(w, steps(w, x), strict=True)]
            found = zip(forward(w, x), forward(moved, x), strict=True)
            runs.append([float((after - h).square().mean().sqrt()) for h, after in found])
        changes.append(np.log(runs).mean(axis=0))
    log_width = np.log(widths) - np.log(widths).mean()
    measured = log_width @ np.array(changes) / (log_width @ log_width)
    network = Network(2, 1024, depth, 5, "muon", 64)
    np.testing.assert_allclose(measured, explore.growth(network, "sp"), atol=0.15)
    assert explore.growth(network, "spectral") == [0.0] * depth


def forward(weights: Any, x: Any) -> list[Any]:
    found = []
    for i, w in enumerate(weights):
        x = (torch.relu(x) if i else x) @ w.T
        found.append(x)
    return found


def steps(weights: Any, x: Any) -> list[Any]:
    """Orthogonal updates for a loss whose gradient at the outputs is constant."""
    leaves = [w.clone().requires_grad_() for w in weights]
    forward(leaves, x)[-1].sum().backward()
    # A gradient of rank one, divided by its norm.
    return [w.grad / w.grad.norm() for w in leaves if w.grad is not None]


def points(chart: str, kind: str) -> np.ndarray:
    """Return the ends of a curve in a chart, in pixels."""
    (path,) = re.findall(rf'<path class="curve {kind}" d="(M[^"]+)"', chart)
    found = np.array([[float(one) for one in pair.split(",")] for pair in re.split("[ML]", path)[1:]])
    return found[[0, -1]]


def test_the_curves_rise_by_their_exponents() -> None:
    for optimizer in OPTIMIZERS.values():
        network = Network(784, 1024, 4, 10, optimizer, 64)
        seen = explore.view(network)
        kinds = ["other", "spectral"] + (["asked dashed"] if optimizer != "muon" else [])
        names = ["sp", "spectral", "ntp"]
        rises = {
            (layer, name): np.diff(points(chart, kind), axis=0)[0]
            for layer, (chart, _) in zip((0, 1, -1), seen.charts[:3], strict=True)
            for kind, name in zip(kinds, names, strict=False)
        }
        # Height of one power of width, from the steepest curve; all three charts have the same axes.
        unit = -rises[-1, "sp"][1] / explore.growth(network, "sp")[-1]
        for (layer, name), (_, down) in rises.items():
            assert -down / unit == pytest.approx(explore.growth(network, name)[layer], abs=0.01)
    assert [word for _, word in explore.view(START).charts[1][1]] == [
        "one rate: as n",
        "spectral: constant",
        "NTK: as √n",
    ]


def test_the_width_moves_the_mark_and_no_curve() -> None:
    narrow, wide = (explore.view(Network(784, n, 4, 10, "sgd", 64)).charts for n in (256, 4096))
    for (one, _), (other, _) in zip(narrow, wide, strict=True):
        assert re.findall(r'class="curve[^>]+', one) == re.findall(r'class="curve[^>]+', other)
        assert "n = 256" in one
        assert "n = 4096" in other


@pytest.mark.parametrize("depth", DEPTHS)
def test_richness(depth) -> None:
    for gamma, regime in ((GAMMAS[0], "lazy"), (1.0, "between"), (GAMMAS[-1], "rich")):
        seen = explore.richness_view(gamma, depth)
        assert float(seen.facts[0][1]) == pytest.approx(max_lr_richness(gamma, depth), rel=0.01)
        assert seen.facts[1][1] == regime
        ratio = max_lr_richness(10 * gamma, depth) / max_lr_richness(gamma, depth)
        assert float(seen.facts[2][1].removeprefix("× ")) == pytest.approx(ratio, rel=0.01)
        assert "nan" not in seen.chart
    assert seen.facts[3][1] == {2: "∝ ln γ", 4: "∝ γ^0.5"}.get(depth, f"∝ γ^{1 - 2 / depth:.2g}")
    assert ("as γ beyond" in seen.advice) is (depth == 2)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_measured_exponents_stand_beside_the_predicted_ones(optimizer) -> None:
    """Within the coordinate check's tolerance: 0.2, and 0.35 for the readout."""
    seen = explore_measured.measured_view(explore_measured.measure(optimizer))
    predicted = {"adamw": [0.0, 1.0, 1.5], "sgd": [-0.5, 0.5, 1.0]}[optimizer]
    for row, expected, tolerance in zip(seen.rows, predicted, (0.2, 0.2, 0.35), strict=True):
        _, spectral, asked, one_rate, asked_of_one_rate = row
        assert float(spectral.split(" ± ")[0]) == pytest.approx(0, abs=tolerance)
        assert float(one_rate.split(" ± ")[0]) == pytest.approx(expected, abs=tolerance)
        assert (float(asked), float(asked_of_one_rate)) == (0.0, expected)
    assert seen.sentence.startswith("AdamW: " if optimizer == "adamw" else "SGD: ")
    steep, flat = (float(one) for one in re.findall(r"by (\d[\d.]*\d)", seen.sentence))
    assert steep == pytest.approx(4 ** float(seen.rows[2][3].split(" ± ")[0]), rel=0.05)
    assert flat == pytest.approx(4 ** float(seen.rows[2][1].split(" ± ")[0]), rel=0.05)


def test_muon_and_a_missing_torch_get_a_sentence(monkeypatch) -> None:
    with pytest.raises(InputError, match=r"Muon is not measured, since .*; choose one of them above"):
        explore_measured.measure("muon")
    assert explore_measured.torch_missing() == ""
    monkeypatch.setattr(explore_measured, "find_spec", lambda name: None)
    sentence = "training a network needs torch, which is not installed: pip install 'solvable[nets]'"
    assert explore_measured.torch_missing() == sentence
    with pytest.raises(InputError) as missing:
        explore_measured.measure("sgd")
    assert str(missing.value) == sentence


def test_everything_but_the_measurement_works_without_torch() -> None:
    code = (
        "import sys\n"
        "from solvable.scaling import explore, explore_measured\n"
        "explore.view(explore.Network(784, 1024, 4, 10, 'muon', 64)); explore.richness_view(1.0, 3)\n"
        "explore_measured.torch_missing()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
