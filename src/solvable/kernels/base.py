"""The base classes of kernels and of their random features."""

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
from solvable.kernels.inputs import Array, Namespace, check_alike, is_half, point_pair, points


class FeatureMap(ABC):
    r"""A callable: `phi(X)` has shape (n, `n_features`) and `phi(X) @ phi(Z).T` estimates the kernel matrix.

    `kernel.features(n_features, random_state)` returns one. The weights are drawn at the first call, from
    `random_state` and the number of coordinates, and are kept: training and test sets use the same map. Tensors get
    the same weights, in their dtype and on their device.

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
        r"""Return the rms error of $\phi(X)\phi(Z)^\top$ as an estimate of K, over the mean of the diagonal.

        Args:
            X: points, (n, d); a few hundred are enough.
            Z: points, (m, d); `X` itself if omitted.

        >>> from solvable.kernels import Gaussian
        >>> X = np.random.default_rng(0).standard_normal((50, 3))
        >>> errors = [Gaussian(2.0).features(k, random_state=0).error(X) for k in (100, 10_000)]
        >>> print(f"{errors[0]:.2f} {errors[1]:.3f}")
        0.06 0.005
        """
        features = self(X)
        xp = array_namespace(features)
        estimate = features @ (features if Z is None else self(Z)).T
        error = estimate - self.kernel(X, Z)
        return float(xp.sqrt(xp.mean(error * error)) / xp.mean(self.kernel.diag(X)))

    @abstractmethod
    def __call__(self, X: Array) -> Array:
        """Return the features of the points `X` (n, d), shape (n, n_features).

        Raises:
            InputError: for points that a kernel would reject, or of another d than in the first call.
        """


class DrawnFeatures(FeatureMap):
    """Features with weights drawn once."""

    def __init__(self, n_features: int, random_state: Any, kernel: "Kernel") -> None:
        self.n_features = whole("n_features", n_features, at_least=1)
        self.kernel = kernel
        try:
            self._generator = np.random.default_rng(random_state)
        except (TypeError, ValueError):
            raise InputError(
                f"random_state is {random_state!r}; expected None, a whole number >= 0 or a numpy.random.Generator"
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
                f"X has {_shape_words(shape)} and the weights of these features were drawn for "
                f"{_shape_words(self._shape)}; expected the same; make a new map with kernel.features(...)"
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


def _shape_words(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} coordinates" if len(shape) == 1 else f"images of {' x '.join(map(str, shape))}"


@dataclass(frozen=True)
class Kernel(ABC):
    r"""A positive semidefinite function $K(x, x')$; `kernel(X, Z)` is the matrix $K(x_i, z_j)$.

    Kernels compare and hash by their parameters, and print as the call that creates them. NumPy input gives NumPy
    float64; a torch tensor gives a tensor of its dtype on its device, without gradient.
    """

    @abstractmethod
    def __call__(self, X: Array, Z: Array | None = None) -> Array:
        """Return the kernel matrix of `X` (n, d) and `Z` (m, d), or of `X` with itself if `Z` is omitted.

        Args:
            X: points, (n, d); flatten images first.
            Z: points, (m, d). If omitted, the (n, n) result is exactly symmetric with an exact diagonal.

        Returns:
            $K$, (n, m).

        Raises:
            InputError: if an array is not (points, coordinates), is not finite, or the two do not match.
        """

    @abstractmethod
    def diag(self, X: Array) -> Array:
        """Return $K(x_i, x_i)$, (n,), in O(n d)."""

    def rows(self, X: Array, Z: Array | None = None, batch: int = 1024) -> Iterator[tuple[slice, Array]]:
        """Yield `(rows, K[rows])`, the kernel matrix in blocks of rows, so that it need not fit in memory.

        Args:
            X: points, (n, d).
            Z: points, (m, d); `X` itself if omitted.
            batch: rows at a time, at least 1.

        >>> import numpy as np
        >>> from solvable.kernels import Linear
        >>> X, v = np.arange(6.0).reshape(3, 2), np.ones(3)
        >>> np.concatenate([K @ v for _, K in Linear().rows(X, batch=2)]).tolist()  # K v, without K
        [9.0, 39.0, 69.0]
        """
        Z = X if Z is None else Z
        for block in tiles.slices(len(X), whole("batch", batch, at_least=1)):
            yield block, self(X[block], Z)

    @property
    def resolved(self) -> bool:
        """Whether all parameters are set, so that the kernel can be called on two different sets."""
        return True

    def for_data(self, X: Array, weights: NDArray[np.float64] | None = None) -> Self:
        """Return the kernel with data-dependent parameters set from the inputs `X` (n, d), and weights of them (n,)."""
        return self

    def features(
        self, n_features: int, random_state: Any = None, orthogonal: bool | None = None
    ) -> "FeatureMap":
        r"""Return a map $\phi$ to `n_features` random features: $\phi(X) \phi(Z)^\top$ estimates $K(X, Z)$.

        Args:
            n_features: number of columns of $\phi(X)$, at least 1.
            random_state: an int, a `numpy.random.Generator` or None (fresh entropy).
            orthogonal: whether frequencies are orthogonal in blocks of d, which lowers the error of distance kernels;
                None: only for the Gaussian kernel, which gains most. False: independent columns, as the theory of
                random-feature regression assumes; those of other kernels are always independent.

        Raises:
            InputError: if the kernel has no random features, or no orthogonal ones.
        """
        if orthogonal:
            raise InputError(
                f"{type(self).__name__} has no orthogonal features; expected a kernel of the distance, such as "
                "Gaussian; omit orthogonal"
            )
        return self._features(n_features, random_state)

    def _features(self, n_features: int, random_state: Any) -> "FeatureMap":
        raise InputError(
            f"{type(self).__name__} has no random features, since its formula is not known; expected a kernel of "
            "this library; use the kernel itself"
        )


@dataclass(frozen=True)
class TiledKernel(Kernel):
    """A kernel computed tile by tile: the peak memory is the result and a few tiles.

    Tensors in half precision are computed in single precision and rounded at the end.
    """

    def __call__(self, X: Array, Z: Array | None = None, out: Array | None = None) -> Array:
        """Return the kernel matrix, as every `Kernel` does, in `out` if passed.

        `out` is (n, m) of the points' dtype; a `np.memmap` holds results larger than memory.
        """
        if is_half(X):
            return rounded(self, X, Z, out)
        if Z is None or Z is X:
            xp, X = points("X", X)
            diagonal = self._finite_diagonal(xp, X)
            return tiles.symmetric(xp, self._tile_function(xp, X, X), diagonal, X, out)
        xp, X, Z = point_pair(X, Z)
        for side in (X, Z):
            self._finite_diagonal(xp, side)
        return tiles.rectangular(xp, self._tile_function(xp, X, Z), X, Z, out)

    def rows(self, X: Array, Z: Array | None = None, batch: int = 1024) -> Iterator[tuple[slice, Array]]:
        batch = whole("batch", batch, at_least=1)
        if is_half(X):
            if Z is not None:
                check_alike(array_namespace(X), X, array_namespace(Z), Z)
            for block, K in self.rows(X.float(), None if Z is None else Z.float(), batch):
                yield block, in_range(self, K.to(X.dtype))
            return
        # X[:] is another object: with Z is X, tiles above the diagonal are not available.
        xp, X, Z = point_pair(X, X[:] if Z is None else Z)
        for side in (X, Z):
            self._finite_diagonal(xp, side)
        tile = self._tile_function(xp, X, Z)
        for block in tiles.slices(X.shape[0], batch):
            yield block, tiles.rectangular(xp, tile, X, Z, block=block)

    def diag(self, X: Array) -> Array:
        if is_half(X):
            return in_range(self, self.diag(X.float()).to(X.dtype))
        return self._finite_diagonal(*points("X", X))

    def _finite_diagonal(self, xp: Namespace, X: Array) -> Array:
        """Return the diagonal; entries are at most the root of a product of two of its entries."""
        with np.errstate(over="ignore", invalid="ignore"):
            return in_range(self, self._diagonal(xp, X))

    @abstractmethod
    def _tile_function(self, xp: Namespace, X: Array, Z: Array) -> tiles.TileFunction:
        """Return the function of two slices that computes a tile; work shared by all tiles is done here once."""

    @abstractmethod
    def _diagonal(self, xp: Namespace, X: Array) -> Array:
        """Return the kernel's diagonal at checked points."""


def rounded(kernel: Kernel, X: Array, Z: Array | None, out: Array | None, **options: Any) -> Array:
    """Return the matrix of a kernel of tensors in half precision, computed in single precision."""
    same = Z is None or Z is X
    if Z is not None and not same:
        check_alike(array_namespace(X), X, array_namespace(Z), Z)
    K = in_range(kernel, kernel(X.float(), None if Z is None or same else Z.float(), **options).to(X.dtype))
    if out is None:
        return K
    tiles.result(array_namespace(X), X, tuple(K.shape), out)[...] = K
    return out


def in_range(kernel: Any, values: Array) -> Array:
    """Return values of a kernel.

    Raises:
        InputError: if one is infinite or NaN, which finite inputs give if a kernel grows beyond the range of its dtype.
    """
    xp = array_namespace(values)
    if not bool(xp.all(xp.isfinite(values))):
        dtype = str(values.dtype).removeprefix("torch.")
        remedy = (
            "a w_std near 2**0.5, fewer layers, or smaller inputs"
            if hasattr(kernel, "w_std")
            else "scale the inputs"
        )
        raise InputError(
            f"{kernel} of these inputs is beyond the range of {dtype}, {float(xp.finfo(values.dtype).max):.1e}; "
            f"expected smaller values: {remedy}"
        )
    return values
