"""Kernels from user objects: a function of two sets of points, or a scikit-learn kernel."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from array_api_compat import is_torch_array
from numpy.typing import NDArray

from solvable.checks import finite
from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.base import Kernel
from solvable.kernels.gram import check_gram
from solvable.kernels.inputs import Array, Namespace, point_pair, points, to_float64

# The diagonal of a kernel function is computed from matrices of this many points.
_DIAGONAL_BLOCK = 64


@dataclass(frozen=True)
class CallableKernel(Kernel):
    """The kernel K = function(X, Z) of a user's function, always called with two arguments.

    Args:
        function: takes points (n, d) and (m, d), NumPy or torch like the kernel's input, and returns (n, m).

    >>> CallableKernel(lambda X, Z: (X @ Z.T + 1) ** 2)([[1.0, 2.0]], [[3.0, 4.0]])
    array([[144.]])
    """

    function: Callable[[Array, Array], Array]

    def __call__(self, X: Array, Z: Array | None = None) -> Array:
        if Z is None or Z is X:
            xp, X = points("X", X)
            return _like(xp, X, check_gram(self._matrix(X, X)))
        xp, X, Z = point_pair(X, Z)
        return _like(xp, X, self._matrix(X, Z))

    def diag(self, X: Array) -> Array:
        """Return K(x_i, x_i), (n,), in O(n) blocks of the function's matrix."""
        xp, X = points("X", X)
        starts = range(0, X.shape[0], _DIAGONAL_BLOCK)
        blocks = [X[start : start + _DIAGONAL_BLOCK] for start in starts]
        return _like(xp, X, np.concatenate([np.diagonal(self._matrix(block, block)) for block in blocks]))

    def _matrix(self, X: Array, Z: Array) -> Any:
        value = self.function(X, Z)
        try:
            K = to_float64(value)
        except (TypeError, ValueError):
            raise InputError(
                f"the kernel function returned a {type(value).__name__}; expected an array of real numbers; "
                "return the matrix of K(x_i, z_j)"
            ) from None
        shape = (X.shape[0], Z.shape[0])
        if K.shape != shape:
            raise InputError(
                f"the kernel function returned shape {K.shape} for {shape[0]} and {shape[1]} points; "
                f"expected {shape}; return the matrix of K(x_i, z_j)"
            )
        finite("the matrix that the kernel function returned", K, remedy="check the function on these points")
        return K


@dataclass(frozen=True)
class ScikitLearnKernel(Kernel):
    """A kernel of `sklearn.gaussian_process.kernels`, with its hyperparameters as they are.

    Args:
        kernel: the scikit-learn kernel; a WhiteKernel in it counts only if `Z` is omitted, as in scikit-learn.

    >>> from sklearn.gaussian_process.kernels import RBF
    >>> ScikitLearnKernel(RBF(length_scale=2.0))([[0.0]], [[2.0]]).round(4)
    array([[0.6065]])
    """

    kernel: Any = field(hash=False)

    def __hash__(self) -> int:
        # Scikit-learn's kernels compare by their parameters but cannot be hashed.
        return hash(repr(self.kernel))

    def __call__(self, X: Array, Z: Array | None = None) -> Array:
        if Z is None or Z is X:
            xp, X = points("X", X)
            X_ = to_float64(X)
            # In tiles, since composite kernels allocate several matrices; a WhiteKernel counts only in the diagonal.
            tile = self._tile(X_, X_)
            return _like(xp, X, tiles.symmetric(np, tile, self.kernel.diag(X_), X_))
        xp, X, Z = point_pair(X, Z)
        X_, Z_ = to_float64(X), to_float64(Z)
        return _like(xp, X, tiles.rectangular(np, self._tile(X_, Z_), X_, Z_))

    def diag(self, X: Array) -> Array:
        xp, X = points("X", X)
        return _like(xp, X, self.kernel.diag(to_float64(X)))

    def _tile(self, X: NDArray[np.float64], Z: NDArray[np.float64]) -> tiles.TileFunction:
        return lambda rows, columns: self.kernel(X[rows], Z[columns])


def _like(xp: Namespace, X: Array, K: Any) -> Array:
    """Return the NumPy array `K` in the library, dtype and device of `X`."""
    return xp.asarray(K, dtype=X.dtype, device=X.device) if is_torch_array(X) else K
