"""Write `lightly_1_6_0.json`: values and gradients of losses of lightly 1.6.0; run it by hand.

It needs an environment of its own: lightly asks for torchvision, whose newest version need not fit torch.

    python -m venv peer
    peer/bin/python -m pip install torch==2.13.0
    peer/bin/python -m pip install --no-deps lightly==1.6.0
    peer/bin/python tests/peers/make_lightly_values.py

The files of the losses are loaded alone, without the rest of lightly, which imports torchvision. That of NT-Xent
imports a memory bank; what stands for it here does what lightly's does at its size of 0, which is nothing. The values
were made with the CPU build of torch, in float64.

The file holds a JSON dictionary:

- `inputs`: for each name the two views `z_a` and `z_b`, (B, d) with few decimals, so that both programs have the same:
  - `random`: independent pairs plus a common part, 8 x 5; `wide`: fewer rows than columns, 4 x 9;
  - `identical`: both views equal; `shifted`: with means of 50 and -20;
  - `constant`: one column of both views is constant; `equal`: all rows equal; `zeros`;
  - `small`: entries of 1e-4, as of a last layer of small weights, where the epsilons count;
- `cases`: a list with a dictionary for each loss, its options and its inputs:
  - `loss`: `barlow_twins`, `vicreg` or `nt_xent`, and `inputs`, one of the names above;
  - `options`: by the names of solvable's functions: `off_diagonal_weight` (lightly's `lambda_param`);
    `invariance`, `variance`, `covariance` (`lambda_param`, `mu_param`, `nu_param`) and `eps`; `temperature`;
  - `value`, and `gradient`: its derivatives with respect to `z_a`.
"""

import importlib.util
import json
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

FILE = Path(__file__).with_name("lightly_1_6_0.json")
LIGHTLY = distribution("lightly")


class NoMemoryBank(nn.Module):
    """Takes the place of lightly's `MemoryBankModule` of size 0, which keeps nothing and returns no negatives."""

    def __init__(self, size: Any = 0, gather_distributed: bool = False) -> None:
        super().__init__()
        assert size == 0

    def forward(self, output: Tensor, update: bool = False) -> tuple[Tensor, None]:
        """Return the output, and no negatives."""
        return output, None


def load(name: str) -> ModuleType:
    """Return one file of `lightly/loss` as a module."""
    path = Path(str(LIGHTLY.locate_file(f"lightly/loss/{name}.py")))
    spec = importlib.util.spec_from_file_location(f"peer_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def losses() -> dict[str, type[nn.Module]]:
    """Return the classes of the losses."""
    for name in ("lightly.models", "lightly.models.modules", "lightly.models.modules.memory_bank"):
        sys.modules[name] = ModuleType(name)
    sys.modules["lightly.models.modules.memory_bank"].MemoryBankModule = NoMemoryBank
    return {
        "barlow_twins": load("barlow_twins_loss").BarlowTwinsLoss,
        "vicreg": load("vicreg_loss").VICRegLoss,
        "nt_xent": load("ntx_ent_loss").NTXentLoss,
    }


NAMES = {
    "off_diagonal_weight": "lambda_param",
    "invariance": "lambda_param",
    "variance": "mu_param",
    "covariance": "nu_param",
    "eps": "eps",
    "temperature": "temperature",
}

OPTIONS = {
    "barlow_twins": [{"off_diagonal_weight": 0.0051}, {"off_diagonal_weight": 0.5}],
    "vicreg": [
        {"invariance": 25.0, "variance": 25.0, "covariance": 1.0, "eps": 1e-4},
        {"invariance": 3.0, "variance": 7.0, "covariance": 2.0, "eps": 1e-2},
    ],
    "nt_xent": [{"temperature": 0.5}, {"temperature": 0.07}],
}


def inputs() -> dict[str, tuple[Tensor, Tensor]]:
    """Return all pairs of views, rounded."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).round(decimals=3)

    common, z_a, z_b = normal(8, 5), normal(8, 5), normal(8, 5)
    pair = common + z_a, common + z_b
    constant = tuple(z.clone() for z in pair)
    for z in constant:
        z[:, 2] = 1.5
    return {
        "random": pair,
        "wide": (normal(4, 9), normal(4, 9)),
        "identical": (common, common),
        "shifted": (pair[0] + 50, pair[1] - 20),
        "constant": constant,
        "equal": (torch.full((8, 5), 0.75).double(),) * 2,
        "zeros": (torch.zeros(8, 5).double(),) * 2,
        "small": (1e-4 * pair[0], 1e-4 * pair[1]),
    }


def cases(views: dict[str, tuple[Tensor, Tensor]]) -> Iterator[dict[str, Any]]:
    """Yield all cases."""
    for loss, make in losses().items():
        for options in OPTIONS[loss]:
            function = make(**{NAMES[name]: value for name, value in options.items()})
            for name, (z_a, z_b) in views.items():
                variable = z_a.clone().requires_grad_()
                value = function(variable, z_b.clone())
                value.backward()
                assert variable.grad is not None
                yield {
                    "loss": loss,
                    "options": options,
                    "inputs": name,
                    "value": value.item(),
                    "gradient": [[float(f"{one:.12g}") for one in row] for row in variable.grad.tolist()],
                }


def main() -> None:
    """Compute everything and write the file, one line for each case."""
    assert LIGHTLY.version == "1.6.0"
    text = {
        name: [[[round(one, 7) for one in row] for row in z.tolist()] for z in pair]
        for name, pair in inputs().items()
    }
    read = {name: tuple(torch.tensor(z, dtype=torch.float64) for z in pair) for name, pair in text.items()}
    pairs = ",\n".join(
        f'{json.dumps(name)}: {{"z_a": {json.dumps(z_a)}, "z_b": {json.dumps(z_b)}}}'
        for name, (z_a, z_b) in text.items()
    )
    rows = [json.dumps(case) for case in cases(read)]
    FILE.write_text(f'{{"inputs": {{\n{pairs}\n}}, "cases": [\n' + ",\n".join(rows) + "\n]}\n")
    print(f"{len(rows)} cases, {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
