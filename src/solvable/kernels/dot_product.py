r"""Kernels of the inner product $x \cdot x'$: linear, polynomial, power series."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.checks import grid, one_number, whole
from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.angular import AngularKernel
from solvable.kernels.base import DrawnFeatures, FeatureMap, Kernel
from solvable.kernels.distances import Products, sum_of_squares
from solvable.kernels.inputs import Array, Namespace


@dataclass(frozen=True)
class DotProduct(AngularKernel):
    """A kernel f(x . x' / d) of points with d coordinates."""

    def _of_cosine(self, xp: Namespace, cosine: Array) -> Array:
        return self._of_product(xp, cosine)

    def _scale(self, d: int) -> float:
        return 1 / d

    def _diagonal(self, xp: Namespace, X: Array) -> Array:
        return self._of_product(xp, sum_of_squares(xp, X) * self._scale(X.shape[1]))

    def _tile_function(self, xp: Namespace, X: Array, Z: Array) -> tiles.TileFunction:
        products, scale = Products(X, Z), self._scale(X.shape[1])
        return lambda rows, columns: self._of_product(xp, products(rows, columns) * scale)

    @abstractmethod
    def _of_product(self, xp: Namespace, t: Array) -> Array:
        """Return the kernel at the scaled inner products `t`; may overwrite them."""

    def _features(self, n_features: int, random_state: Any) -> FeatureMap:
        coefficients = self._series()
        return MaclaurinFeatures(n_features, random_state, self, coefficients, self._scale(2) != 1)

    @abstractmethod
    def _series(self) -> Sequence[float]:
        """Return the coefficients of the kernel as a power series of the scaled inner product."""


@dataclass(frozen=True)
class Linear(DotProduct):
    r"""$K = x \cdot x'$, the kernel of the user's features.

    Unlike the other dot-product kernels it does not divide by d, so its ridge is that of linear regression on the same
    features, and its `curve` is the kernel at inputs of norm 1, the cosine itself.

    >>> Linear()([[1.0, 2.0]], [[3.0, 4.0]])
    array([[11.]])
    """

    def _scale(self, d: int) -> float:
        return 1.0

    def _of_product(self, xp: Namespace, t: Array) -> Array:
        return t

    def _series(self) -> Sequence[float]:
        return (0.0, 1.0)


@dataclass(frozen=True)
class Polynomial(DotProduct):
    r"""$K = (x \cdot x' / d + o)^p$ for points of d coordinates.

    It equals scikit-learn's `polynomial_kernel` with its default gamma = 1/d and coef0 = o.

    Args:
        degree: p, at least 1.
        offset: $o \ge 0$; 0 keeps only the terms of degree p.

    >>> Polynomial(2, offset=1.0)([[1.0, 2.0]], [[3.0, 4.0]])
    array([[42.25]])
    """

    degree: int
    offset: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "degree", whole("degree", self.degree, at_least=1))
        object.__setattr__(self, "offset", one_number("offset", self.offset, at_least=0))

    def _of_product(self, xp: Namespace, t: Array) -> Array:
        t += self.offset
        # Repeated products are exact for whole degrees and several times faster than a general power.
        K = t
        for bit in bin(self.degree)[3:]:
            K = K * K
            if bit == "1":
                K *= t
        return K

    def _series(self) -> Sequence[float]:
        return [comb(self.degree, k) * self.offset ** (self.degree - k) for k in range(self.degree + 1)]


@dataclass(frozen=True)
class PowerSeries(DotProduct):
    r"""$K = \sum_k a_k (x \cdot x' / d)^k$ for points of d coordinates.

    By Schoenberg's theorem it is positive semidefinite in every dimension if and only if all $a_k \ge 0$.

    Args:
        coefficients: $a_0, a_1, \dots$, each finite and $\ge 0$.

    Raises:
        InputError: naming the first coefficient that is negative.

    >>> PowerSeries([1.0, 0.0, 0.5]).curve([0.0, 1.0])
    array([1. , 1.5])
    """

    coefficients: Sequence[float]

    def __post_init__(self) -> None:
        a = grid("coefficients", self.coefficients)
        for k, value in enumerate(a):
            if not 0 <= value < np.inf:
                raise InputError(
                    f"coefficient a_{k} is {value:g}; expected finite coefficients >= 0, since otherwise the kernel "
                    "is not positive semidefinite in every dimension; set it to 0 or choose another series"
                )
        object.__setattr__(self, "coefficients", tuple(float(value) for value in a))

    def _of_product(self, xp: Namespace, t: Array) -> Array:
        *lower, last = self.coefficients
        K = xp.full(t.shape, last, dtype=t.dtype, device=t.device)
        for a in reversed(lower):
            K *= t
            K += a
        return K

    def _series(self) -> Sequence[float]:
        return self.coefficients


class MaclaurinFeatures(DrawnFeatures):
    r"""$\phi_j(x) = \sqrt{S/k} \prod_{i \le D_j} (s_{ji} \cdot x)/\sqrt d$ for $K = \sum_k a_k (x \cdot x'/d)^k$.

    The degree $D_j$ is k with probability $a_k/S$, S the sum of the $a_k$, and the s are fair random signs. It is
    unbiased for inputs of any length; its variance grows fast with the degree.

    Source: Kar and Karnick, Random feature maps for dot product kernels, 2012.
    """

    def __init__(
        self, n_features: int, random_state: Any, kernel: "Kernel", coefficients: Any, scale: bool = True
    ) -> None:
        super().__init__(n_features, random_state, kernel)
        self._coefficients, self._scale = np.asarray(coefficients, dtype=float), scale

    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        (d,) = shape
        total = self._coefficients.sum()
        # Sorted, so that the columns with an i-th factor are the last ones; they are permuted at the end.
        degrees = np.sort(
            generator.choice(
                len(self._coefficients), self.n_features, p=self._coefficients / total if total else None
            )
        )
        order = generator.permutation(self.n_features)
        weights = [np.sqrt([total / self.n_features]), degrees.astype(float), order.astype(float)]
        for power in range(1, int(degrees[-1]) + 1):
            columns = int((degrees >= power).sum())
            weights.append(generator.choice([-1.0, 1.0], (d, columns)) / (np.sqrt(d) if self._scale else 1.0))
        return weights

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        features = xp.ones((X.shape[0], self.n_features), dtype=X.dtype, device=X.device)
        for signs in weights[3:]:
            features[:, self.n_features - signs.shape[1] :] *= X @ signs
        features *= weights[0]
        return xp.take(features, xp.astype(weights[2], xp.int64), axis=1)
