"""What every kernel is: a value that is called on points and returns their kernel matrix."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.inputs import Array, Namespace, point_pair, points

if TYPE_CHECKING:
    from solvable.kernels.features import FeatureMap

WITH_FEATURES = ("Gaussian", "Laplace", "Matern", "RationalQuadratic", "ArcCosine", "NNGP")
"""The kernels that have random features."""


@dataclass(frozen=True)
class Kernel(ABC):
    r"""A positive semidefinite function $K(x, x')$; `kernel(X, Z)` is the matrix $K(x_i, z_j)$.

    Kernels are values: two of the same numbers are equal, hash alike and print as the call that makes them.
    NumPy in, NumPy float64 out; a torch tensor in, a tensor of its dtype on its device out, without gradient.
    """

    @abstractmethod
    def __call__(self, X: Array, Z: Array | None = None) -> Array:
        """Return the kernel matrix of `X` (n, d) and `Z` (m, d), or of `X` and itself when `Z` is left out.

        Args:
            X: points, (n, d); images are flattened by the caller.
            Z: points, (m, d). Left out, the (n, n) result is exactly symmetric with an exact diagonal.

        Returns:
            $K$, (n, m).

        Raises:
            InputError: when an array is not (points, coordinates), is not finite, or the two do not match.
        """

    @abstractmethod
    def diag(self, X: Array) -> Array:
        """Return $K(x_i, x_i)$, (n,), in O(n d)."""

    @property
    def resolved(self) -> bool:
        """Whether the kernel has all its numbers, so that it may be called on two different sets."""
        return True

    def for_data(self, X: Array) -> Self:
        """Return the kernel with the numbers that it takes from data set by the inputs `X` (n, d)."""
        return self

    def features(self, n_features: int, random_state: Any = None) -> "FeatureMap":
        r"""Return a map $\phi$ to `n_features` random features: $\phi(X) \phi(Z)^\top$ estimates $K(X, Z)$.

        Args:
            n_features: number of columns of $\phi(X)$, at least 1.
            random_state: an int, a `numpy.random.Generator` or None (fresh entropy).

        Raises:
            InputError: when the kernel has no random features.
        """
        raise InputError(
            f"{type(self).__name__} has no random features; expected one of {', '.join(WITH_FEATURES)}; "
            "use the kernel itself or one of these"
        )


@dataclass(frozen=True)
class TiledKernel(Kernel):
    """A kernel that is computed tile by tile: the peak memory is the result and a few tiles."""

    def __call__(self, X: Array, Z: Array | None = None) -> Array:
        if Z is None or Z is X:
            xp, X = points("X", X)
            return tiles.symmetric(xp, self._tile_function(xp, X, X), self._diagonal(xp, X), X)
        xp, X, Z = point_pair(X, Z)
        return tiles.rectangular(xp, self._tile_function(xp, X, Z), X, Z)

    def diag(self, X: Array) -> Array:
        return self._diagonal(*points("X", X))

    @abstractmethod
    def _tile_function(self, xp: Namespace, X: Array, Z: Array) -> tiles.TileFunction:
        """Return the function of two slices that computes a tile; what tiles share is computed here once."""

    @abstractmethod
    def _diagonal(self, xp: Namespace, X: Array) -> Array:
        """Return the diagonal of the checked points."""
