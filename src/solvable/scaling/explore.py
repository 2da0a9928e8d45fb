r"""Content of the page (`page.py`), without marimo: what each layer of a network needs, and what a measurement gives.

All of it is in closed form but the measurement, which needs torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from solvable.errors import InputError, missing_extra
from solvable.lab.chart import Curve, LogAxis, Mark, chart
from solvable.lab.text import readable, with_error
from solvable.scaling.parametrizations import exponents
from solvable.scaling.theory import init_std, lr_multiplier, max_lr_richness, plateau_exponent

OPTIMIZERS = {
    "AdamW or Adam": "adamw",
    "SGD, with momentum or not": "sgd",
    "Muon (orthogonal updates)": "muon",
}
"""Optimizers by their names on the page."""
BASES = {str(2**k): 2**k for k in range(6, 11)} | {"none: absolute factors": None}
"""Widths at which the learning rate was tuned, by their names on the page."""
WIDTHS = tuple(2**k for k in range(6, 15))
INPUTS = (2, 8, 32, 64, 128, 256, 784, 1024, 3072, 4096)
OUTPUTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
DEPTHS = tuple(range(2, 9))
GAMMAS = tuple(float(f"{m}e{power}") for power in range(-3, 3) for m in (1, 2, 5)) + (1000.0,)
"""Values of the sliders."""

MEASURED_WIDTHS = (128, 256, 512)
"""Widths of the measurement; at 64 the hidden layers still fall short of their exponents by 0.2."""
MEASURED_STEPS, MEASURED_SEEDS = 3, 2

# Parametrizations: class of the curve, and name. The one that is dashed comes last, since curves may coincide.
_CURVES = {"sp": ("other", "one rate"), "spectral": ("", "spectral"), "ntp": ("asked", "NTK")}
_POWERS = {-0.5: "1/√n", 0.0: "constant", 0.5: "√n", 1.0: "n", 1.5: "n√n"}
# Learning rates at which three steps change the features of the narrowest network by a few percent.
_RATES = {("adamw", "spectral"): 0.05, ("adamw", "sp"): 1e-4, ("sgd", "spectral"): 0.1, ("sgd", "sp"): 1e-3}
_CLOSE = 1.05


def torch_missing() -> str:
    """Return the message about a missing torch, or an empty string if it is installed."""
    return "" if find_spec("torch") is not None else str(missing_extra("torch", "nets", "measuring this"))


@dataclass(frozen=True)
class Layer:
    """A kind of layer: its name in the table and in sentences, its sizes, and whether it is a bias."""

    name: str
    words: str
    fan_in: int
    fan_out: int
    bias: bool = False

    @property
    def std(self) -> float:
        """Standard deviation with which the condition draws the entries."""
        return 0.0 if self.bias else init_std(self.fan_in, self.fan_out)

    @property
    def default_factor(self) -> float:
        """Scaled norm of torch's default initialisation, over that of the condition; NaN for biases."""
        return float("nan") if self.bias else (3 * self.fan_in) ** -0.5 / self.std


@dataclass(frozen=True)
class Network:
    """Settings of the page's controls: a fully connected network, and how it is trained.

    Attributes:
        inputs: number of inputs d.
        width: neurons n of each hidden layer.
        depth: number of layers of weights L.
        outputs: number of outputs k.
        optimizer: a value of `OPTIMIZERS`.
        base: width at which the learning rate was tuned, or None for factors that need no such width.
    """

    inputs: int
    width: int
    depth: int
    outputs: int
    optimizer: str
    base: int | None

    @property
    def layers(self) -> list[Layer]:
        """Layers of weights from the input on, then the biases."""
        d, n, k, deep = self.inputs, self.width, self.outputs, self.depth - 2
        hidden = [Layer(f"hidden (× {deep})", "hidden layers", n, n)] if deep > 1 else []
        hidden = hidden or [Layer("hidden", "hidden layer", n, n)] * deep
        biases = [Layer("biases", "biases", 1, n, True), Layer("output bias", "output bias", 1, k, True)]
        return [
            Layer("input", "input layer", d, n),
            *hidden,
            Layer("output", "output layer", n, k),
            *biases,
        ]

    @property
    def multipliers(self) -> list[float]:
        """Factors of the layers' learning rates; with a base width relative to that."""
        # Muon takes matrices only, and leaves biases to AdamW.
        return [
            lr_multiplier(
                layer.fan_in,
                layer.fan_out,
                "adamw" if layer.bias and self.optimizer == "muon" else self.optimizer,
            )
            / (1.0 if self.base is None else at_base)
            for layer, at_base in zip(self.layers, self._at_base(), strict=True)
        ]

    def _at_base(self) -> list[float]:
        same = self.base is None
        return [1.0] * len(self.layers) if same else replace(self, width=self.base, base=None).multipliers

    @property
    def too_large(self) -> dict[str, float]:
        """By what factor an update is too large with one learning rate, for the layers of weights by their words.

        Without a base width, the one learning rate is that of the hidden layers, or of the input layer.
        """
        weights = [
            (layer, m) for layer, m in zip(self.layers, self.multipliers, strict=True) if not layer.bias
        ]
        unit = 1.0 if self.base is not None else weights[1 if self.depth > 2 else 0][1]
        return {layer.words: unit / m for layer, m in weights}

    @property
    def first_width(self) -> int:
        """Width at which the charts start."""
        return self.base or WIDTHS[0]


def growth(network: Network, parametrization: str) -> dict[str, float] | None:
    r"""Return the exponent of width of the change of each layer's output in one step, or None where none is published.

    With one learning rate, an orthogonal update of norm 1 has a scaled norm of $\sqrt{n_{in}/n_{out}}$: $n^{-1/2}$ at
    the input, 1 in hidden layers, $n^{1/2}$ at the output; the features change by as much.

    >>> growth(Network(784, 1024, 3, 10, "sgd", 64), "sp")
    {'input': -0.5, 'hidden': 0.5, 'output': 1.0}
    """
    roles = ["input", *["hidden"] * (network.depth - 2), "output"]
    if network.optimizer != "muon":
        found = exponents(parametrization, network.optimizer, network.depth, "feature_change").tolist()
    elif parametrization == "ntp":
        return None
    else:
        found = [(0.0 if parametrization == "spectral" else roles.index(role)) for role in roles]
    return dict(zip(roles, found, strict=True))
