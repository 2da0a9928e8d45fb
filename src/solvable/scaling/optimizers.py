"""What the rules need to know about optimizers: the kind of update, decay, eps, and factors of their own."""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any, Literal

import torch

from solvable.errors import InputError
from solvable.scaling.layout import Layout
from solvable.scaling.theory import FAMILIES, lr_multiplier


@dataclass(frozen=True)
class OptimizerKind:
    """An optimizer, as the rules see it.

    Attributes:
        name: a name in `theory.FAMILIES`.
        decay: `decoupled` (subtracts lr · decay of the weights, as SGD's does too), `coupled` (added to the gradient
            before it is normalised) or `switch` (decoupled if the group says `decoupled_weight_decay`).
        eps: default eps, or None if the optimizer has none that scales with the gradient.
    """

    name: str
    decay: Literal["decoupled", "coupled", "switch"] = "decoupled"
    eps: float | None = None

    @property
    def family(self) -> str:
        """`sgd`, `sign` or `orthogonal`."""
        return FAMILIES[self.name]


OPTIMIZERS = {
    kind.name: kind
    for kind in (
        OptimizerKind("sgd"),
        OptimizerKind("adam", "coupled", 1e-8),
        OptimizerKind("adamw", "decoupled", 1e-8),
        OptimizerKind("nadam", "switch", 1e-8),
        OptimizerKind("adagrad", "coupled", 1e-10),
        OptimizerKind("rmsprop", "coupled", 1e-8),
        OptimizerKind("lion"),
        OptimizerKind("sign"),
        OptimizerKind("muon"),
        OptimizerKind("orthogonal"),
        OptimizerKind("spectral"),
        OptimizerKind("frobenius"),
    )
}
"""Optimizers by name."""

# Class names of optimizers, in lower case, that behave like one of the above.
_ALIKE = {
    "sparseadam": "adam",
    "signsgd": "sign",
    "signum": "sign",
    "spectralsgd": "spectral",
    "sgdschedulefree": "sgd",
    "adamwschedulefree": "adamw",
    "shampoo": "orthogonal",
    "soap": "adamw",
}


def kind_of(optimizer: Any) -> OptimizerKind:
    """Return the kind of an optimizer, given by name, class or instance.

    Raises:
        InputError: for one that is not known; `sign` or `orthogonal` stand for others with such updates.
    """
    if isinstance(optimizer, str):
        name = optimizer.lower().replace("-", "").replace("_", "")
    else:
        name = (optimizer if isinstance(optimizer, type) else type(optimizer)).__name__.lower()
    name = _ALIKE.get(name, name)
    if name not in OPTIMIZERS and not isinstance(optimizer, str):
        if "muon" in name:
            raise InputError(
                f"optimizer is a {name}, of which it is not known what factor it applies and to which parameters; say "
                "it by name: 'muon' if it multiplies by √max(1, rows/columns), as torch's, 'orthogonal' if by nothing"
            )
        if "shampoo" in name:
            return OPTIMIZERS["orthogonal"]
        # Fused and 8-bit versions keep the name of the optimizer in their own.
        name = next((one for one in sorted(OPTIMIZERS, key=len, reverse=True) if one in name), name)
    if name not in OPTIMIZERS:
        given = optimizer if isinstance(optimizer, str) else name
        raise InputError(
            f"unknown optimizer {given!r}; expected one of {', '.join(OPTIMIZERS)}; of others, the kind of their "
            "updates: sign (entries of equal size), orthogonal, spectral or frobenius (divided by that norm)"
        )
    return OPTIMIZERS[name]


@lru_cache(maxsize=4096)
def multiplier(layout: Layout, optimizer: OptimizerKind, shape: tuple[int, ...] = ()) -> float:
    """Return the factor of a parameter's learning rate that gives its updates a scaled norm of the order of lr.

    Args:
        layout: the parameter's layout.
        optimizer: the optimizer.
        shape: the parameter's shape, for `torch.optim.Muon`, which multiplies by a factor of its own.
    """
    if layout.kind == "unscaled":
        return 1.0
    value = lr_multiplier(layout.fan_in, layout.fan_out, optimizer.name, layout.groups)
    # A parameter in units of `unit` is `unit` times one in units of 1, whose learning rate is multiplied by the square
    # of it for SGD. A kernel position that only 1/repeats of the outputs use has a gradient that much smaller.
    match optimizer.family:
        case "sgd":
            value *= layout.unit**2 * layout.repeats
        case "sign":
            value *= layout.unit
        case _:
            value *= layout.unit * layout.repeats**0.5
    if optimizer.name == "muon":
        value /= muon_factor(shape)
    return value


def muon_factor(shape: tuple[int, ...], adjust: str | None = "original") -> float:
    """Return the factor that `torch.optim.Muon` applies to the update of a matrix."""
    rows, columns = shape
    if adjust == "match_rms_adamw":
        return 0.2 * sqrt(max(rows, columns))
    return sqrt(max(1.0, rows / columns))


def decay_per_step(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> float:
    """Return the share of the weights that one step removes; NaN if the decay is part of a normalised gradient."""
    decay = float(group.get("weight_decay") or 0.0)
    kind = kind_of(optimizer)
    coupled = kind.decay == "coupled" or (kind.decay == "switch" and not group.get("decoupled_weight_decay"))
    if decay and coupled and not group.get("decoupled_weight_decay"):
        return float("nan")
    return float(group["lr"]) * decay


def check_optimizer(optimizer: Any) -> torch.optim.Optimizer:
    """Return the optimizer, after checking that it is one with groups and hooks."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(
            f"optimizer is a {type(optimizer).__name__}; expected an instance of torch.optim.Optimizer or of a subclass"
        )
    return optimizer
