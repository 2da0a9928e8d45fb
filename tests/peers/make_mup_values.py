"""Write `mup_1_0_0.json`: what mup 1.0.0 gives each parameter of a wide network; run it by hand.

It needs an environment of its own: mup asks for torchvision, whose newest version need not fit torch.

    python -m venv peer
    peer/bin/python -m pip install torch==2.13.0 pyyaml
    peer/bin/python -m pip install --no-deps mup==1.0.0
    peer/bin/python tests/peers/make_mup_values.py

The values here were made with the CPU build of torch, in float64. The networks are only built, never trained.

The file holds a JSON list with one dictionary per case:

- `name`; `model`: "mlp" or "transformer", see the functions here of these names; `width`, `base_width`, and
  `delta_width`: that of the third network, from which mup learns which dimensions are widths;
- `optimizer`: "sgd" (`MuSGD`) or "adam" (`MuAdam` and `MuAdamW`, which give the same);
- `parameters`: in the order of `named_parameters`, for each a dictionary of `name`, `shape`, `base_shape` (of
  the parameter in the network of the base width), and these numbers, all relative to what the user asks for:
  - `lr`, `weight_decay`: those of the parameter's group in the optimizer, asked for 1 and 1;
  - `forward`: the factor in front of the parameter in the forward pass: 1 / width_mult() for the weight of a
    `MuReadout`, which divides its input by it, and 1 for all others, its bias too;
  - `rescale`: the factor by which `set_base_shapes` multiplies the values that it finds, meant for values of
    torch's default initialization at the same width;
  - `normal`: the standard deviation of `mup.init.normal_` over that of `torch.nn.init.normal_`.

`lr` and `weight_decay` depend on `optimizer`, the others do not. tests/peers/README.md shows how to read it.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mup
import torch
from torch import Tensor, nn

FILE = Path(__file__).with_name("mup_1_0_0.json")

BASE, DELTA = 64, 128


def mlp(n: int) -> nn.Module:
    """Return the network 64 -> n -> n -> n -> 10 with biases."""
    layers = [nn.Linear(64, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU()]
    return nn.Sequential(*layers, mup.MuReadout(n, 10))


class Block(nn.Module):
    """The parameters of one block of the transformer, in the order of the forward pass."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.mlp_norm = nn.LayerNorm(d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)


def transformer(d: int) -> nn.Module:
    """Return the parameters of a pre-norm transformer: 103 tokens, 32 positions, 2 blocks, an untied readout."""
    model = nn.Module()
    model.token, model.position = nn.Embedding(103, d), nn.Embedding(32, d)
    model.blocks = nn.ModuleList(Block(d) for _ in range(2))
    model.norm = nn.LayerNorm(d)
    model.readout = mup.MuReadout(d, 103, bias=False)
    return model


MODELS = {"mlp": (mlp, (128, 256, 1024)), "transformer": (transformer, (128, 512))}
"""How each model is made, and its widths."""

OPTIMIZERS = {"sgd": (mup.MuSGD,), "adam": (mup.MuAdam, mup.MuAdamW)}


def optimizer_multipliers(model: nn.Module, optimizer: Callable[..., Any]) -> dict[str, tuple[float, float]]:
    """Return for each parameter the learning rate and the weight decay of its group, asked for 1 and 1."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = optimizer(model.parameters(), lr=1.0, weight_decay=1.0).param_groups
    return {names[id(p)]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}


def forward_multipliers(model: nn.Module) -> dict[str, float]:
    """Return for each parameter of a `MuReadout` the factor in front of it, checked by a forward pass."""
    multipliers = {}
    for name, layer in model.named_modules():
        if isinstance(layer, mup.MuReadout):
            multipliers[f"{name}.weight"] = 1 / layer.width_mult()
            x = torch.linspace(-1, 1, layer.in_features, dtype=torch.float64)
            scaled = nn.functional.linear(x, layer.weight / layer.width_mult(), layer.bias)
            torch.testing.assert_close(layer(x), scaled, rtol=1e-12, atol=1e-12)
    return multipliers


def normal_ratio(parameter: Tensor) -> float:
    """Return the standard deviation of `mup.init.normal_` over that of torch, from the same random numbers."""
    draws = []
    for normal_ in (mup.init.normal_, nn.init.normal_):
        torch.manual_seed(0)
        draws.append(normal_(parameter).detach().clone())
    ratios = draws[0] / draws[1]
    torch.testing.assert_close(ratios, ratios.median().expand_as(ratios), rtol=1e-14, atol=0)
    return ratios.median().item()


def cases() -> Iterator[dict[str, Any]]:
    """Yield all cases."""
    for kind, (make, widths) in MODELS.items():
        for width in widths:
            base, delta, model = make(BASE), make(DELTA), make(width).double()
            for parameter in model.parameters():
                nn.init.ones_(parameter)
            mup.set_base_shapes(model, base, delta=delta)
            rescales = {name: p.unique().tolist() for name, p in model.named_parameters()}
            assert all(len(values) == 1 for values in rescales.values())
            forward = forward_multipliers(model)
            normal = {name: normal_ratio(p) for name, p in model.named_parameters()}
            shapes = {name: list(p.shape) for name, p in base.named_parameters()}
            for optimizer, makers in OPTIMIZERS.items():
                multipliers, *others = (optimizer_multipliers(model, maker) for maker in makers)
                assert all(other == multipliers for other in others)
                parameters = []
                for name, p in model.named_parameters():
                    row = {"name": name, "shape": list(p.shape), "base_shape": shapes[name]}
                    row |= dict(zip(("lr", "weight_decay"), multipliers[name], strict=True))
                    row |= {"forward": forward.get(name, 1.0), "rescale": rescales[name][0]}
                    parameters.append(row | {"normal": normal[name]})
                case = {"name": f"{kind}-{width}-{optimizer}", "model": kind, "width": width}
                case |= {"base_width": BASE, "delta_width": DELTA, "optimizer": optimizer}
                yield case | {"parameters": parameters}


def main() -> None:
    """Compute everything and write the file, one line for each parameter."""
    blocks = []
    for case in cases():
        rows = ",\n  ".join(json.dumps(row) for row in case.pop("parameters"))
        blocks.append(f'{json.dumps(case)[:-1]}, "parameters": [\n  {rows}\n]}}')
    FILE.write_text("[\n" + ",\n".join(blocks) + "\n]\n")
    print(f"{len(blocks)} cases, {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
