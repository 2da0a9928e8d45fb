"""Checks of a user's kernel matrix and of its eigenvalues, and its Cholesky factor."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

from solvable.checks import finite
from solvable.errors import InputError
from solvable.kernels.inputs import Array, to_float64
from solvable.kernels.tiles import slices

# Relative to the largest entry or eigenvalue: above the rounding of double precision, below any mistake.
_TOLERANCE = 1e-8
_SHORT_PRECISIONS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23}


def check_gram(K: Array) -> NDArray[np.float64]:
    r"""Return a user's kernel matrix as float64 and exactly symmetric, $(K + K^\top)/2$.

    Args:
        K: (n, n), finite, symmetric to 1e-8 of its largest entry (to its own rounding in single precision).

    Raises:
        InputError: if it is not.

    >>> check_gram([[2, 1], [1, 2]])
    array([[2., 1.],
           [1., 2.]])
    """
    try:
        matrix = to_float64(K)
    except (TypeError, ValueError):
        raise InputError(
            f"the kernel matrix is a {type(K).__name__} that does not hold a rectangle of real numbers; "
            "expected a square array; convert it with np.asarray(..., dtype=float) first"
        ) from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise InputError(
            f"the kernel matrix has shape {matrix.shape}; expected a square one, (n, n); "
            "compute it between all training points, or pass the points and a kernel"
        )
    finite("the kernel matrix", matrix, remedy="check the kernel that made it")
    symmetric = matrix + matrix.T
    symmetric *= 0.5
    largest = max(float(matrix.max()), -float(matrix.min()))
    tolerance = max(_TOLERANCE, 100 * entry_rounding(K))
    # In blocks of rows, to avoid a third matrix of full size.
    for rows in slices(len(matrix), 256):
        deviation = np.abs(matrix[rows] - symmetric[rows])
        if float(deviation.max()) * 2 <= tolerance * largest:
            continue
        i, j = (int(index) for index in np.unravel_index(int(np.argmax(deviation)), deviation.shape))
        i += rows.start
        raise InputError(
            f"the kernel matrix is not symmetric: K[{i}, {j}] is {matrix[i, j]:.9g} and "
            f"K[{j}, {i}] is {matrix[j, i]:.9g}; expected them equal to {tolerance:.0e} of the largest "
            "entry; check the order of the points, or symmetrise it as (K + K.T) / 2"
        )
    return symmetric


def finite_gram(gram: NDArray[np.float64], kernel: Any) -> None:
    """Raise if the matrix of a kernel has NaN or infinite entries, or only zeros.

    Args:
        gram: (n, n), of the training points.
        kernel: the kernel, for the message.

    Raises:
        InputError: if it has.

    >>> finite_gram(np.eye(2), "a kernel")
    """
    finite(f"the kernel matrix of {kernel}", gram, "change the kernel's parameters, or scale the inputs")
    if not gram.any():
        raise InputError(
            f"the kernel matrix of {kernel} is 0, so that nothing can be learned; expected entries above 0: change the "
            "kernel's parameters, or scale the inputs"
        )


def entry_rounding(K: Array) -> float:
    """Return the relative rounding of a matrix's entries: 0 in double precision, 1e-7 or more in a shorter format."""
    dtype = str(getattr(K, "dtype", "float64"))
    return next((eps for name, eps in _SHORT_PRECISIONS.items() if name in dtype), 0.0)


def check_positive_semidefinite(eigenvalues: Array) -> None:
    """Raise if an eigenvalue of a kernel matrix is negative beyond rounding: below -1e-8 of the largest.

    Args:
        eigenvalues: (n,), in any order.

    Raises:
        InputError: naming that eigenvalue.
    """
    values = to_float64(eigenvalues)
    smallest, largest = float(values.min()), float(np.abs(values).max())
    if smallest < -_TOLERANCE * largest:
        raise InputError(
            f"the kernel matrix has the eigenvalue {smallest:.6g} (the largest is {values.max():.6g}); "
            "expected none below 0 beyond rounding; use a positive semidefinite kernel, or drop the negative "
            "part of the spectrum"
        )


Matrix = NDArray[np.float64]

_potrf: Any
_pocon: Any
_lange: Any
_potrf, _pocon, _lange = get_lapack_funcs(("potrf", "pocon", "lange"), dtype=np.float64)

SINGULAR = float(np.finfo(float).eps)
"""A reciprocal condition number below this much per row is rounding noise."""


def cholesky_in_place(matrix: Matrix, ridge: float) -> Matrix | None:
    """Return the lower Cholesky factor of `matrix + ridge I`, or None if that is singular to rounding.

    `matrix`, (n, n), is symmetric positive semi-definite and in Fortran order, so that LAPACK can overwrite it: the
    factor is returned in its lower half, its diagonal is lost, and its upper half is unchanged. `ridge` is at least 0.
    """
    matrix.flat[:: len(matrix) + 1] += ridge
    tolerance = SINGULAR * len(matrix)
    # A ridge above rounding bounds the condition number by itself.
    safe = ridge > tolerance * float(matrix.trace())
    norm = 0.0 if safe else _lange("1", matrix)
    factor, info = _potrf(matrix, lower=1, clean=0, overwrite_a=1)
    if info != 0:
        return None
    # The smallest pivot is no test: with rounding it can be a million times the smallest eigenvalue.
    return factor if safe or _pocon(factor, norm, uplo="L")[0] > tolerance else None
