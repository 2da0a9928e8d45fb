r"""Activations by name and from other objects, and the functions of those without a closed-form dual."""

import sys
from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np
from scipy.special import erf, expit

from solvable.checks import choice
from solvable.errors import InputError
from solvable.kernels.duals.base import Activation, library_of
from solvable.kernels.duals.closed_forms import GELU, ABReLU, Erf, Exponential, GaussianBump, Sine
from solvable.kernels.duals.mehler import AnyActivation
from solvable.kernels.inputs import Array


def tanh(z: Array) -> Array:
    return library_of(z).tanh(z)


def sigmoid(z: Array) -> Array:
    # In terms of tanh it neither overflows nor warns.
    return 0.5 + 0.5 * library_of(z).tanh(0.5 * z)


def silu(z: Array) -> Array:
    r"""Return $z / (1 + e^{-z})$, also called swish."""
    return z * sigmoid(z)


def softplus(z: Array) -> Array:
    r"""Return $\log(1 + e^z)$."""
    xp = library_of(z)
    return xp.log1p(xp.exp(-abs(z))) + xp.clip(z, 0.0, None)


def elu(z: Array) -> Array:
    r"""Return z above 0 and $e^z - 1$ below."""
    xp = library_of(z)
    return xp.clip(z, 0.0, None) + xp.expm1(xp.clip(z, None, 0.0))


def selu(z: Array) -> Array:
    r"""Return $\lambda z$ above 0 and $\lambda\alpha(e^z - 1)$ below (Klambauer et al., 2017)."""
    xp = library_of(z)
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return scale * (xp.clip(z, 0.0, None) + alpha * xp.expm1(xp.clip(z, None, 0.0)))


def mish(z: Array) -> Array:
    r"""Return $z \tanh(\log(1 + e^z))$."""
    return z * library_of(z).tanh(softplus(z))


def softsign(z: Array) -> Array:
    r"""Return $z / (1 + |z|)$."""
    return z / (1 + abs(z))


def hardtanh(z: Array) -> Array:
    r"""Return z cut off at $\pm 1$."""
    return library_of(z).clip(z, -1.0, 1.0)


def relu6(z: Array) -> Array:
    r"""Return z cut off at 0 and 6."""
    return library_of(z).clip(z, 0.0, 6.0)


def hardswish(z: Array) -> Array:
    r"""Return $z \min(\max(z + 3, 0), 6) / 6$."""
    return z * library_of(z).clip(z + 3, 0.0, 6.0) / 6


def gelu_tanh(z: Array) -> Array:
    r"""Return $\frac{z}{2}(1 + \tanh(\sqrt{2/\pi}(z + 0.044715 z^3)))$, the tanh approximation of GELU."""
    return 0.5 * z * (1 + library_of(z).tanh(sqrt(2 / pi) * (z + 0.044715 * z * z * z)))


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
    "tanh": lambda: AnyActivation(tanh, ()),
    "sigmoid": lambda: AnyActivation(sigmoid, ()),
    "silu": lambda: AnyActivation(silu, ()),
    "softplus": lambda: AnyActivation(softplus, ()),
    "elu": lambda: AnyActivation(elu, (0.0,)),
    "selu": lambda: AnyActivation(selu, (0.0,)),
    "mish": lambda: AnyActivation(mish, ()),
    "softsign": lambda: AnyActivation(softsign, (0.0,)),
    "hardtanh": lambda: AnyActivation(hardtanh, (-1.0, 1.0)),
    "relu6": lambda: AnyActivation(relu6, (0.0, 6.0)),
    "hardswish": lambda: AnyActivation(hardswish, (-3.0, 3.0)),
    "gelu tanh": lambda: AnyActivation(gelu_tanh, ()),
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
