r"""Activations by name and from other objects."""

import sys
from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np
from scipy.special import erf, expit

from solvable.checks import choice
from solvable.errors import InputError
from solvable.kernels.duals import standard
from solvable.kernels.duals.base import Activation
from solvable.kernels.duals.closed_forms import GELU, ABReLU, Erf, Exponential, GaussianBump, Sine
from solvable.kernels.duals.mehler import AnyActivation

_MAKERS: dict[str, Callable[[], Activation]] = {
    "relu": ABReLU,
    "leaky relu": lambda: ABReLU(negative=0.01),
    "abs": lambda: ABReLU(negative=-1.0),
    "identity": lambda: ABReLU(negative=1.0),
    "erf": Erf,
    "gelu": GELU,
    "sin": Sine,
    "cos": lambda: Sine(phase=pi / 2),
    "gaussian": GaussianBump,
    "exp": Exponential,
    "tanh": lambda: AnyActivation(standard.tanh, ()),
    "sigmoid": lambda: AnyActivation(standard.sigmoid, ()),
    "silu": lambda: AnyActivation(standard.silu, ()),
    "softplus": lambda: AnyActivation(standard.softplus, ()),
    "elu": lambda: AnyActivation(standard.elu, (0.0,)),
    "selu": lambda: AnyActivation(standard.selu, (0.0,)),
    "mish": lambda: AnyActivation(standard.mish, ()),
    "softsign": lambda: AnyActivation(standard.softsign, (0.0,)),
    "hardtanh": lambda: AnyActivation(standard.hardtanh, (-1.0, 1.0)),
    "relu6": lambda: AnyActivation(standard.relu6, (0.0, 6.0)),
    "hardswish": lambda: AnyActivation(standard.hardswish, (-3.0, 3.0)),
    "gelu tanh": lambda: AnyActivation(standard.gelu_tanh, ()),
}
ACTIVATION_NAMES: tuple[str, ...] = tuple(_MAKERS)
"""The names that `as_activation` accepts."""

_ALIASES = {"swish": "silu", "linear": "identity", "sine": "sin", "cosine": "cos", "logistic": "sigmoid"}
_NUMPY = {
    np.tanh: "tanh",
    np.sin: "sin",
    np.cos: "cos",
    np.exp: "exp",
    np.abs: "abs",
    np.fabs: "abs",
    np.positive: "identity",
    expit: "sigmoid",
    erf: "erf",
}


def as_activation(spec: Any) -> Activation:
    r"""Return the activation that `spec` specifies.

    Args:
        spec: an `Activation`; one of `ACTIVATION_NAMES` (case, spaces, `-` and `_` do not matter; "swish" is silu);
            a torch module or function, which becomes the closed form if there is one; or any elementwise function
            of NumPy arrays or torch tensors, which becomes an `AnyActivation`. A module with parameters or buffers is
            copied, so that training it later does not change the activation.

    Raises:
        InputError: if it is none of these.

    >>> as_activation("Leaky-ReLU")
    ABReLU(negative=0.01, positive=1.0)
    >>> as_activation(np.tanh) == as_activation("tanh")
    True
    >>> as_activation(np.arctan)
    AnyActivation(arctan)
    """
    if isinstance(spec, Activation):
        return spec
    if isinstance(spec, str):
        words = " ".join(spec.strip().lower().replace("_", " ").replace("-", " ").split())
        joined = {name.replace(" ", ""): name for name in (*ACTIVATION_NAMES, *_ALIASES)}
        words = joined.get(words.replace(" ", ""), words)
        return _MAKERS[choice("activation", _ALIASES.get(words, words), ACTIVATION_NAMES)]()
    if not callable(spec) or isinstance(spec, type):
        raise InputError(
            f"{spec!r} is not an activation; expected a name ({', '.join(ACTIVATION_NAMES)}), an Activation, a torch "
            "module, or an elementwise function of arrays"
            + (f"; add () after the class: {spec.__name__}()" if isinstance(spec, type) else "")
        )
    # A torch object implies that torch is loaded, so there is no need to import it.
    if sys.modules.get("torch") is not None:
        from solvable.kernels.duals import torch_modules

        known = torch_modules.known(spec)
        if known is not None:
            return _MAKERS[known]() if isinstance(known, str) else known
        spec = torch_modules.frozen(spec)
    for function, name in _NUMPY.items():
        if spec is function:
            return _MAKERS[name]()
    return AnyActivation(spec)
