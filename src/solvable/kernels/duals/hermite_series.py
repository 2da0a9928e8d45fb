r"""Activations given as Hermite series, $\phi(z) = \sum_k b_k h_k(z/s)$: every dot-product kernel has one."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, grid, one_number
from solvable.errors import InputError
from solvable.kernels.duals.base import Activation, PointNumbers, as_tile, check_moment, clipped, library_of
from solvable.kernels.duals.mehler import distinct, positive_variances, spread
from solvable.kernels.duals.series_sums import mehler_sums
from solvable.kernels.inputs import Array, Namespace, to_float64


@dataclass(frozen=True)
class HermiteSeries(Activation):
    r"""$\phi(z) = \sum_k b_k h_k(z/s)$ with the orthonormal Hermite polynomials $h_k = He_k/\sqrt{k!}$.

    At variance $s^2$ its dual is the power series $\sum_k b_k^2 \rho^k$; at variance a the coefficients are
    $\alpha_j = \sum_i b_{j+2i}\, \gamma^j (\gamma^2-1)^i \sqrt{(j+2i)!/j!}\,/\,(2^i i!)$ with $\gamma = \sqrt a/s$.
    Both are exact.

    Args:
        coefficients: $b_0, b_1, \dots$, of any length, not all 0.
        scale: s > 0, the standard deviation of the pre-activations that it is designed for.

    Source: Daniely, Frostig and Singer 2016; multiplication theorem of the Hermite polynomials.

    >>> phi = HermiteSeries((0.0, 1.0, 0.5))
    >>> value, slope = phi.dual(1.0, 1.0, 0.5)
    >>> print(f"{value:.4f} {slope:.4f}")
    0.5625 1.2500
    """

    coefficients: ArrayLike
    scale: float = 1.0

    def __post_init__(self) -> None:
        b = grid("coefficients", self.coefficients)
        finite("coefficients", b)
        if not b.any():
            raise InputError("all coefficients are 0; expected at least one that is not")
        object.__setattr__(self, "coefficients", tuple(float(value) for value in b))
        object.__setattr__(self, "scale", one_number("scale", self.scale, above=0))

    @property
    def degree(self) -> int:
        """The degree of the polynomial."""
        return len(self._b) - 1

    @property
    def _b(self) -> NDArray[np.float64]:
        return np.asarray(self.coefficients, dtype=np.float64)

    def __call__(self, z: Array) -> Array:
        return hermite_sum(self._b, z / self.scale)

    def derivative(self, z: Array) -> Array:
        r"""Return $\phi'(z)$, exactly: $h_k' = \sqrt k\, h_{k-1}$."""
        k = np.arange(1, self.degree + 1)
        return hermite_sum(self._b[1:] * np.sqrt(k) / self.scale, z / self.scale)

    def prepare(
        self, xp: Namespace, variances: Array, derivative: bool = True, degree: int = 0
    ) -> PointNumbers:
        unique, inverse = distinct(to_float64(variances))
        return variances, spread(xp, self._alpha(unique), inverse, variances)

    @as_tile
    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        scale = xp.sqrt(positive_variances(xp, x[0])) * xp.sqrt(positive_variances(xp, z[0]))
        value, slope = mehler_sums(xp, [(x[1], z[1])], clipped(xp, c / scale), derivative)
        return value, None if slope is None else slope / scale

    def moments(self, xp: Namespace, variances: Array, derivative: bool) -> tuple[Array, Array | None]:
        unique, inverse = distinct(to_float64(variances))
        with np.errstate(over="ignore", invalid="ignore"):
            squares = self._alpha(unique) ** 2
            value, slope = squares.sum(axis=1), (squares @ np.arange(self.degree + 1.0)) / unique
        results = []
        for moment in (value, slope) if derivative else (value,):
            check_moment(f"a Hermite series of degree {self.degree}", moment, unique)
            results.append(spread(xp, moment[:, None], inverse, variances)[..., 0])
        return results[0], results[1] if derivative else None

    def hermite_coefficients(self, degree: int, variance: float = 1.0) -> Array:
        alpha = self._alpha(np.array([one_number("variance", variance, above=0)]))[0]
        result = np.zeros(degree + 1)
        result[: len(alpha)] = alpha[: degree + 1]
        return result

    def _alpha(self, variances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coefficients at variances (n,), (n, degree + 1)."""
        b = self._b
        gamma = np.sqrt(variances)[:, None] / self.scale
        j = np.arange(len(b))
        alpha = np.tile(b, (len(variances), 1))
        factor = np.ones_like(alpha)
        # In this form exactly 0 at the scale itself.
        excess = (gamma - 1) * (gamma + 1)
        with np.errstate(over="ignore", invalid="ignore"):
            for i in range(1, (len(b) - 1) // 2 + 1):
                n = len(b) - 2 * i
                low = j[:n]
                factor = factor[:, :n] * excess * (np.sqrt((low + 2 * i) * (low + 2 * i - 1)) / (2 * i))
                if not factor.any():
                    break
                alpha[:, :n] += factor * b[2 * i :]
            return alpha * gamma**j


def hermite_sum(coefficients: NDArray[np.float64], z: Array) -> Array:
    r"""Return $\sum_k b_k h_k(z)$; 0 without coefficients."""
    xp = library_of(z)
    # Clenshaw's recursion for sqrt(k+1) h_{k+1} = z h_k - sqrt(k) h_{k-1}.
    above, further = xp.zeros_like(z), xp.zeros_like(z)
    for k in range(len(coefficients) - 1, -1, -1):
        coefficient = float(coefficients[k])
        above, further = (
            coefficient + (z * above) / sqrt(k + 1) - sqrt((k + 1) / (k + 2)) * further,
            above,
        )
    return above
