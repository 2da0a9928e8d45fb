r"""Kernels that depend only on the angle for inputs of one norm: their curves and power series in the cosine."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, exp, log, log2

import numpy as np
from array_api_compat import array_namespace, is_torch_array
from numpy.typing import NDArray

from solvable.checks import grid, whole
from solvable.errors import InputError
from solvable.kernels.base import TiledKernel
from solvable.kernels.inputs import Array, Namespace, to_float64

# Aliases of the series are damped by exp(-40); doubles round at exp(-37).
DAMPING = 40.0


@dataclass(frozen=True)
class AngularKernel(TiledKernel):
    """A kernel that depends only on the cosine for inputs of one norm."""

    def curve(self, cosine: Array) -> Array:
        r"""Return the kernel of two inputs of norm $\sqrt d$ at the `cosine` between them, in [-1, 1], of any shape."""
        xp, cosine = cosines(cosine)
        flat = xp.reshape(cosine * 1.0, (-1,))
        return xp.reshape(self._of_cosine(xp, flat), cosine.shape)

    def power_series(self, degree: int) -> NDArray[np.float64]:
        r"""Return $a_0 \dots a_{\text{degree}}$ of $K(c) = \sum_k a_k c^k$, c the cosine of inputs of norm $\sqrt d$.

        The coefficients are Fourier coefficients of K on a circle of radius r < 1 in the complex plane, divided by
        $r^k$; r and the number of points follow from the degree. Each is accurate to about 1e-14 of K(1) if the kernel
        has a closed form. For an arbitrary activation function, whose Hermite coefficients come from quadrature, the
        error is about 1e-4 of the activation's tolerance (1e-10 of K(1) by default), per layer. By Schoenberg's
        theorem the kernel is positive semidefinite on spheres of every dimension if and only if none is negative.

        Args:
            degree: the last power, at least 0; 10^5 takes a few seconds. For functions with kinks and without a
                closed form the time grows as the square of the degree, and 10^4 is the limit for deep networks.

        Returns:
            Coefficients, (degree + 1,).

        Raises:
            InputError: if the degree is too high for an activation's coefficients.
        """
        return power_series(lambda c: self._of_cosine(np, c), degree)

    @abstractmethod
    def _of_cosine(self, xp: Namespace, cosine: Array) -> Array:
        """Return the kernel at cosines (m,), real or (NumPy) complex of magnitude below 1; may overwrite them."""


def power_series(
    function: Callable[[NDArray[np.complex128]], NDArray[np.complex128]], degree: int
) -> NDArray[np.float64]:
    r"""Return $a_0 \dots a_{\text{degree}}$ of a function of complex numbers (m,), analytic inside the unit circle."""
    degree = whole("degree", degree, at_least=0)
    # On a circle of radius r, rounding is divided by r^k and aliases are damped by r^points: a radius near 1 keeps the
    # first small, enough points the second.
    radius = _radius(degree)
    n_points = 2 ** ceil(log2(max(64, DAMPING / -log(radius), 4 * degree)))
    # The function is real on the real axis, so the lower half circle has the complex conjugates.
    circle = radius * np.exp(2j * np.pi * np.arange(n_points // 2 + 1) / n_points)
    values = np.asarray(function(circle))
    coefficients = np.fft.irfft(values.conj(), n_points)[: degree + 1]
    return coefficients / radius ** np.arange(degree + 1)


def _radius(degree: int) -> float:
    return exp(-1 / max(degree, 10))


def degree_on_circle(cosine: NDArray[np.complex128]) -> int:
    """Return the degree for which `power_series` chose the circle of these cosines."""
    radius = float(np.max(np.abs(cosine), initial=0.0))
    return round(-1 / log(radius)) if 0 < radius < 1 else 0


def cosines(cosine: Array) -> tuple[Namespace, Array]:
    """Return the namespace of `cosine` and its values as floats; raise if one is not a number in [-1, 1]."""
    if not is_torch_array(cosine):
        shape = np.shape(cosine)
        cosine = grid("cosine", cosine, at_least=-1).reshape(shape)
    xp = array_namespace(cosine)
    if not bool(xp.all(abs(cosine) <= 1)):
        raise InputError(
            f"a cosine has magnitude {np.max(np.abs(to_float64(cosine))):g}; expected values in [-1, 1]; "
            "divide inner products by both norms"
        )
    return xp, cosine
