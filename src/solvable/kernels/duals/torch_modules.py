"""Activations of torch modules and functions; imported only if torch is loaded."""

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from solvable.errors import InputError
from solvable.kernels.duals.base import Activation
from solvable.kernels.duals.closed_forms import ABReLU

# Names in torch (of functions, or of module classes without parameters) and here.
_SAME = {
    "relu": "relu",
    "identity": "identity",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "selu": "selu",
    "mish": "mish",
    "softsign": "softsign",
    "relu6": "relu6",
    "hardswish": "hardswish",
    "softplus": "softplus",
    "elu": "elu",
    "gelu": "gelu",
    "erf": "erf",
    "sin": "sin",
    "cos": "cos",
    "exp": "exp",
    "abs": "abs",
}
_FUNCTIONS = {
    function: _SAME[function.__name__.lower()]
    for function in (
        *(torch.relu, torch.tanh, torch.sigmoid, torch.erf, torch.sin, torch.cos, torch.exp, torch.abs),
        *(functional.relu, functional.silu, functional.selu, functional.mish, functional.softsign),
        *(functional.relu6, functional.hardswish, functional.elu, functional.gelu, functional.tanh),
        functional.sigmoid,
    )
}
_MODULES = (
    nn.ReLU,
    nn.Identity,
    nn.Tanh,
    nn.Sigmoid,
    nn.SiLU,
    nn.SELU,
    nn.Mish,
    nn.Softsign,
    nn.ReLU6,
    nn.Hardswish,
)


def known(spec: Any) -> Activation | str | None:
    """Return the activation, or its name, of a torch object, or None; raise for layers that are not activations."""
    if not isinstance(spec, nn.Module):
        try:
            return _FUNCTIONS.get(spec)
        except TypeError:
            return None
    if type(spec) in _MODULES:
        return _SAME[type(spec).__name__.lower()]
    if isinstance(spec, nn.LeakyReLU):
        return ABReLU(negative=float(spec.negative_slope))
    if isinstance(spec, nn.PReLU) and spec.weight.numel() == 1:
        return ABReLU(negative=float(spec.weight.detach()))
    if isinstance(spec, nn.GELU):
        return "gelu" if spec.approximate == "none" else "gelu tanh"
    if isinstance(spec, nn.ELU) and spec.alpha == 1.0:
        return "elu"
    if isinstance(spec, nn.Softplus) and (spec.beta, spec.threshold) == (1, 20):
        return "softplus"
    if (
        isinstance(spec, nn.Hardtanh)
        and not isinstance(spec, nn.ReLU6)
        and (spec.min_val, spec.max_val) == (-1, 1)
    ):
        return "hardtanh"
    if isinstance(
        spec, nn.Linear | nn.Sequential | nn.modules.batchnorm._BatchNorm | nn.modules.conv._ConvNd
    ):
        raise InputError(
            f"{type(spec).__name__} is not an activation; expected an elementwise module such as torch.nn.ReLU(); "
            "pass the activation between the layers"
        )
    return None


def frozen(spec: Any) -> Any:
    """Return a copy of a module with parameters or buffers, which may change; other objects unchanged."""
    if not isinstance(spec, nn.Module) or not spec.state_dict():
        return spec
    return deepcopy(spec).requires_grad_(False)
