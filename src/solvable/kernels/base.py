"""What every kernel is: a value that is called on points and returns their kernel matrix."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.inputs import Array, Namespace, point_pair, points, whole

if TYPE_CHECKING:
    from solvable.kernels.features import FeatureMap


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

    def rows(self, X: Array, Z: Array | None = None, batch: int = 1024) -> Iterator[tuple[slice, Array]]:
        """Yield the kernel matrix by rows, `(rows, K[rows])`, for what need not be in memory at once.

        Args:
            X: points, (n, d).
            Z: points, (m, d); `X` itself when left out.
            batch: rows at a time, at least 1.

        >>> import numpy as np
        >>> from solvable.kernels import Linear
        >>> X, v = np.arange(6.0).reshape(3, 2), np.ones(3)
        >>> np.concatenate([K @ v for _, K in Linear().rows(X, batch=2)]).tolist()  # K v, without K
        [9.0, 39.0, 69.0]
        """
        Z = X if Z is None else Z
        for some in tiles.slices(len(X), whole("batch", batch, at_least=1)):
            yield some, self(X[some], Z)

    @property
    def resolved(self) -> bool:
        """Whether the kernel has all its numbers, so that it may be called on two different sets."""
        return True

    def for_data(self, X: Array) -> Self:
        """Return the kernel with the numbers that it takes from data set by the inputs `X` (n, d)."""
        return self

    def features(
        self, n_features: int, random_state: Any = None, orthogonal: bool | None = None
    ) -> "FeatureMap":
        r"""Return a map $\phi$ to `n_features` random features: $\phi(X) \phi(Z)^\top$ estimates $K(X, Z)$.

        Args:
            n_features: number of columns of $\phi(X)$, at least 1.
            random_state: an int, a `numpy.random.Generator` or None (fresh entropy).
            orthogonal: whether frequencies are orthogonal in blocks of d, which lowers the error of kernels of the
                distance; None: of the Gaussian kernel, which gains most. False: columns independent of each other, as
                the theory of random-feature regression assumes; those of all other kernels always are.

        Raises:
            InputError: when the kernel has no random features, or none that are orthogonal.
        """
        if orthogonal:
            raise InputError(
                f"{type(self).__name__} has no orthogonal features; expected a kernel of the distance, such as "
                "Gaussian; leave orthogonal out"
            )
        return self._features(n_features, random_state)

    def _features(self, n_features: int, random_state: Any) -> "FeatureMap":
        raise InputError(
            f"{type(self).__name__} has no random features, since its formula is not known; expected a kernel of "
            "this library; use the kernel itself"
        )


@dataclass(frozen=True)
class TiledKernel(Kernel):
    """A kernel that is computed tile by tile: the peak memory is the result and a few tiles."""

    def __call__(self, X: Array, Z: Array | None = None, out: Array | None = None) -> Array:
        """Return the kernel matrix of `X` (n, d) and `Z` (m, d), or of `X` and itself when `Z` is left out.

        Args:
            X: points, (n, d); images are flattened by the caller.
            Z: points, (m, d). Left out, the (n, n) result is exactly symmetric with an exact diagonal.
            out: where the result is written, (n, m), of the points' dtype: a `np.memmap` holds what memory does not.

        Returns:
            $K$, (n, m); `out` itself where it was given.

        Raises:
            InputError: when an array is not (points, coordinates), is not finite, or the two do not match.
        """
        if Z is None or Z is X:
            xp, X = points("X", X)
            return tiles.symmetric(xp, self._tile_function(xp, X, X), self._diagonal(xp, X), X, out)
        xp, X, Z = point_pair(X, Z)
        return tiles.rectangular(xp, self._tile_function(xp, X, Z), X, Z, out)

    def rows(self, X: Array, Z: Array | None = None, batch: int = 1024) -> Iterator[tuple[slice, Array]]:
        batch = whole("batch", batch, at_least=1)
        # Another array object, since of a symmetric matrix only one half may be asked for.
        xp, X, Z = point_pair(X, X[:] if Z is None else Z)
        tile = self._tile_function(xp, X, Z)
        for some in tiles.slices(X.shape[0], batch):
            yield some, tiles.rectangular(xp, tile, X, Z, some=some)

    def diag(self, X: Array) -> Array:
        return self._diagonal(*points("X", X))

    @abstractmethod
    def _tile_function(self, xp: Namespace, X: Array, Z: Array) -> tiles.TileFunction:
        """Return the function of two slices that computes a tile; what tiles share is computed here once."""

    @abstractmethod
    def _diagonal(self, xp: Namespace, X: Array) -> Array:
        """Return the diagonal of the checked points."""
