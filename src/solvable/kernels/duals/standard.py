r"""The named activations without a closed-form dual, for NumPy arrays and torch tensors."""

from math import pi, sqrt

from solvable.kernels.duals.base import library_of
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
