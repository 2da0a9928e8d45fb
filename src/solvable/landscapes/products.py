"""Symmetric matrices of any kind as functions that multiply the rows of an array."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.checks import finite, numbers
from solvable.errors import InputError

Array = NDArray[np.float64]

# Differences of A and its transpose, as a share of its largest entry, that rounding explains.
_ASYMMETRY = 1e-10


def row_product(A: Any, b: Array) -> Callable[[Array], Array]:
    """Return the function that multiplies each row of a (B, N) array by the matrix of its system."""
    from scipy.sparse import issparse
    from scipy.sparse.linalg import LinearOperator

    N = b.shape[-1]
    if issparse(A) or isinstance(A, LinearOperator):
        if A.shape != (N, N):
            raise InputError(f"A has shape {A.shape} and b has shape {b.shape}; expected A of shape {(N, N)}")
        operator: Any = A
        if not isinstance(A, LinearOperator):
            finite("A", operator.tocoo().data)
            _check_symmetry(float(abs(operator - operator.T).max()), float(abs(operator).max()))
        return lambda v: _real((operator @ v.T).T, v.shape)
    if callable(A):
        if b.ndim == 1:
            return lambda v: _real(A(v[0]), v[0].shape)[None]
        return lambda v: _real(A(v), v.shape)
    matrix = numbers("A", A)
    expected = [(N, N)] + [(len(b), N, N)] * (b.ndim == 2)
    if matrix.shape not in expected:
        raise InputError(
            f"A has shape {matrix.shape} and b has shape {b.shape}; expected A of shape "
            f"{' or '.join(map(str, expected))}"
        )
    finite("A", matrix)
    transposed = matrix.swapaxes(-1, -2)
    _check_symmetry(float(np.abs(matrix - transposed).max()), float(np.abs(matrix).max()))
    if matrix.ndim == 2:
        return lambda v: v @ transposed
    return lambda v: np.matmul(matrix, v[:, :, None])[:, :, 0]


def _check_symmetry(difference: float, largest: float) -> None:
    if difference > _ASYMMETRY * largest:
        raise InputError(
            f"A is not symmetric: an entry and its mirror image differ by {difference:.2g}, where the largest entry is "
            f"{largest:.2g}; pass (A + A.T) / 2, or solve the system with lsmr"
        )


def _real(values: Any, shape: tuple[int, ...]) -> Array:
    """Return a product as float64, after checking its shape."""
    array = np.asarray(values)
    if array.shape != shape or array.dtype.kind not in "biuf":
        raise InputError(
            f"A returned {array.dtype} of shape {array.shape} for v of shape {shape}; expected real numbers of the "
            "shape of v"
        )
    return array.astype(np.float64, copy=False)
