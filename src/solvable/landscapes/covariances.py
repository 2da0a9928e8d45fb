"""Checks of covariance matrices and of their eigenvalues."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, numbers
from solvable.errors import InputError

# Eigenvalues closer than this, relative to the larger one, count as repeated; below the second, relative to the
# largest one, as 0.
_GAP, _RANK = 1e-8, 1e-12


def covariance_matrix(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return a symmetric matrix as float64, with its rounding errors symmetrised.

    Raises:
        InputError: if it is not square and symmetric, or not finite.
    """
    matrix = numbers(name, values)
    finite(name, matrix, remedy="")
    if matrix.ndim != 2 or len(matrix) != matrix.shape[1]:
        raise InputError(f"{name} has shape {matrix.shape}; expected a square matrix")
    difference = float(np.abs(matrix - matrix.T).max())
    if difference > 1e-8 * float(np.abs(matrix).max()):
        raise InputError(
            f"{name} is not symmetric: entries that mirror each other differ by {difference:.2g}"
        )
    return (matrix + matrix.T) / 2


def check_positive(name: str, eigenvalues: NDArray[np.floating], remedy: str) -> None:
    """Raise if an eigenvalue is negative, or 0 to rounding."""
    smallest, largest = float(eigenvalues.min()), float(eigenvalues.max())
    if smallest <= _RANK * max(largest, 0.0):
        raise InputError(
            f"{name} has the eigenvalue {smallest:.2g} beside the largest, {largest:.2g}; expected all above "
            f"{_RANK:g} times the largest, since critical points are not classified otherwise: {remedy}"
        )


def check_distinct(name: str, eigenvalues: NDArray[np.floating]) -> None:
    """Raise if two positive eigenvalues agree to `_GAP`, or to the rounding errors of an eigensolver."""
    values = np.sort(eigenvalues)
    rounding = len(values) * np.finfo(np.float64).eps * values.max(initial=0.0)
    equal = np.flatnonzero(np.diff(values) <= _GAP * values[1:] + rounding)
    if len(equal):
        first = values[equal[0]]
        raise InputError(
            f"{name} has the eigenvalue {first:.6g} more than once (to {_GAP:g}); expected distinct ones, since "
            "critical points of repeated ones form larger families, with more zero eigenvalues: change the "
            "eigenvalues slightly"
        )


def rank(singular_values: NDArray[np.floating]) -> int:
    """Return how many singular values are not 0 to rounding."""
    return int((singular_values > _RANK * singular_values.max(initial=0.0)).sum())
