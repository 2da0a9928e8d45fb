"""The Cholesky factor of a kernel matrix with a ridge, and whether rounding has left it any meaning."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

Matrix = NDArray[np.float64]

_potrf: Any
_pocon: Any
_lange: Any
_potrf, _pocon, _lange = get_lapack_funcs(("potrf", "pocon", "lange"), dtype=np.float64)

SINGULAR = float(np.finfo(float).eps)
"""A reciprocal condition number below this much per row is rounding noise."""


def cholesky_in_place(matrix: Matrix, ridge: float) -> Matrix | None:
    """Return the lower factor of `matrix + ridge I`, or None where that is singular to rounding.

    Args:
        matrix: `(n, n)`, symmetric positive semi-definite, in Fortran order, which LAPACK can overwrite: the factor is
            returned in its lower half, and its diagonal is lost; the upper half stays.
        ridge: at least 0.
    """
    matrix.flat[:: len(matrix) + 1] += ridge
    tolerance = SINGULAR * len(matrix)
    # A ridge above rounding bounds the condition number by itself.
    safe = ridge > tolerance * float(matrix.trace())
    norm = 0.0 if safe else _lange("1", matrix)
    factor, info = _potrf(matrix, lower=1, clean=0, overwrite_a=1)
    if info != 0:
        return None
    # Not by the smallest pivot: rounding leaves it up to a million times the smallest eigenvalue.
    return factor if safe or _pocon(factor, norm, uplo="L")[0] > tolerance else None
