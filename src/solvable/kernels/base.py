"""What every kernel is: a value that is called on points and returns their kernel matrix."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from solvable.checks import whole
from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.inputs import Array, Namespace, point_pair, points


class FeatureMap(ABC):
    r"""A callable: `phi(X)` has shape (n, `n_features`) and `phi(X) @ phi(Z).T` estimates the kernel matrix.

    The weights are drawn at the first call, from `random_state` and the number of coordinates of its points,
    and stay: training and test set see the same map. Tensors get the same weights, in their dtype, on their
    device.

    Made by `kernel.features(n_features, random_state)`.

    >>> from solvable.kernels import Gaussian
    >>> phi = Gaussian(length_scale=1.0).features(5000, random_state=0)
    >>> features = phi([[0.0, 0.0], [1.0, 0.0]])
    >>> features.shape
    (2, 5000)
    >>> print(f"{features[0] @ features[1]:.2f} estimates {np.exp(-0.5):.2f}")
    0.60 estimates 0.61
    """

    n_features: int
    kernel: "Kernel"

    def error(self, X: Array, Z: Array | None = None) -> float:
        r"""Return how far $\phi(X)\phi(Z)^\top$ is from the kernel matrix: its rms, over the mean of the diagonal.

        Args:
            X: points, (n, d): some hundred are enough.
            Z: points, (m, d); `X` itself when left out.

        >>> from solvable.kernels import Gaussian
        >>> X = np.random.default_rng(0).standard_normal((50, 3))
        >>> errors = [Gaussian(2.0).features(k, random_state=0).error(X) for k in (100, 10_000)]
        >>> print(f"{errors[0]:.2f} {errors[1]:.3f}")
        0.06 0.005
        """
        features = self(X)
        xp = array_namespace(features)
        estimate = features @ (features if Z is None else self(Z)).T
        off = estimate - self.kernel(X, Z)
        return float(xp.sqrt(xp.mean(off * off)) / xp.mean(self.kernel.diag(X)))

    @abstractmethod
    def __call__(self, X: Array) -> Array:
        """Return the features of the points `X` (n, d), shape (n, n_features).

        Raises:
            InputError: for points that a kernel would refuse, or of another d than at the first call.
        """


class DrawnFeatures(FeatureMap):
    """Features of weights that are drawn once."""

    def __init__(self, n_features: int, random_state: Any, kernel: "Kernel") -> None:
        self.n_features = whole("n_features", n_features, at_least=1)
        self.kernel = kernel
        try:
            self._generator = np.random.default_rng(random_state)
        except (TypeError, ValueError):
            raise InputError(
                f"random_state is {random_state!r}; expected None, a whole number >= 0 or a "
                "numpy.random.Generator; give one of these"
            ) from None
        self._weights: list[NDArray[np.float64]] | None = None
        self._shape: tuple[int, ...] = ()

    def __call__(self, X: Array) -> Array:
        xp, X = self._checked(X)
        shape = tuple(X.shape[1:])
        if self._weights is None:
            self._weights = self._draw(self._generator, *shape)
            self._shape = shape
        if shape != self._shape:
            raise InputError(
                f"X has {_described(shape)} and the weights of these features were drawn for "
                f"{_described(self._shape)}; expected the same; make a new map with kernel.features(...)"
            )
        weights = [xp.asarray(w, dtype=X.dtype, device=X.device) for w in self._weights]
        return self._transform(xp, X, weights)

    def _checked(self, X: Array) -> tuple[Namespace, Array]:
        return points("X", X)

    @abstractmethod
    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        """Return the weights for points of this shape: (d,), or (height, width, channels)."""

    @abstractmethod
    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        """Return the features of checked points."""


def _described(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} coordinates" if len(shape) == 1 else f"images of {' x '.join(map(str, shape))}"


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
