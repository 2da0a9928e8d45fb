"""mup 1.0.0 as a peer (see `benchmarks._peer`).

mup asks for torchvision, which replaces torch where the two do not fit. So its environment has nothing that it asks for
but PyYAML, and sees the torch of ours. The child times nothing but mup's set-up, on one thread.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks._peer import ROOT, Child, Environment, channel, reason

ENVIRONMENT = Environment(
    "mup", "mup", ROOT / ".cache" / "mup", ("mup==1.0.0", "PyYAML==6.0.3"), ("--no-deps",), sees_ours=True
)
# As in mup's documentation: the smallest base model, and another width, which tells what grows.
BASE_WIDTH, DELTA_WIDTH = 1, 2


class Peer(Child):
    """mup's set-up of a network of equal linear layers.

    Args:
        python: the interpreter.
        width: inputs and outputs of each layer.
        depth: number of layers.
        lr: learning rate.
    """

    def __init__(self, python: Path, width: int, depth: int, lr: float) -> None:
        super().__init__(python, "benchmarks._mup")
        self._job = {"width": width, "depth": depth, "lr": lr}
        self.rates: list[float] = []
        """Learning rates of all parameters, as last set up, in the order of the model."""

    def __enter__(self) -> "Peer":
        return self

    def __call__(self) -> float:
        """Set up a new model and return the seconds that it took, without those of the model itself."""
        answer = self.ask(self._job)
        self.rates = answer["rates"]
        return answer["seconds"]


def _set_up(width: int, depth: int, lr: float) -> tuple[float, list[float]]:
    """Return the seconds of mup's set-up and the learning rate of each parameter; in the child only."""
    import mup
    from torch import nn

    def network(width: int) -> nn.Module:
        return nn.Sequential(*(nn.Linear(width, width) for _ in range(depth)))

    target = network(width)
    start = time.perf_counter()
    mup.set_base_shapes(target, network(BASE_WIDTH), delta=network(DELTA_WIDTH))
    # The groups alone, as ours are: no optimizer is made of them.
    groups = mup.MuAdam(target.parameters(), impl=lambda groups, **_: groups, lr=lr)
    seconds = time.perf_counter() - start
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    return seconds, [rates[id(parameter)] for parameter in target.parameters()]


def _serve() -> None:
    """Set up what each line asks for, until the input ends."""
    answer = channel()
    for line in sys.stdin:
        try:
            import torch

            torch.set_num_threads(1)
            seconds, rates = _set_up(**json.loads(line))
            answer(seconds=seconds, rates=rates)
        except Exception as error:
            answer(error=reason(error))


if __name__ == "__main__":
    _serve()
