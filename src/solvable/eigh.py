"""Eigenvectors of a symmetric matrix, computed without holding the interpreter's lock.

SciPy's `eigh` holds the lock until LAPACK returns, so that all other threads wait, the main one too, which hears
Ctrl-C. NumPy's releases it, but takes 15 % more time and half as much memory again. So LAPACK's routine is called
through the pointer that SciPy offers to Cython, which `ctypes` does without the lock.
"""

import ctypes
import os
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

# The largest size of which LAPACK's 32-bit integers can hold that of the workspace.
_LARGEST = 32_000


def eigh_in_place(matrix: Float[NDArray, "n n"]) -> tuple[Float[NDArray, "n"], Float[NDArray, "n n"]]:
    """Return the eigenvalues of a symmetric matrix, ascending, and its eigenvectors as columns.

    The divide-and-conquer method of LAPACK (`dsyevd`).

    Args:
        matrix: without NaN. If it is contiguous and writable, its memory is overwritten and becomes that of the
            eigenvectors. Only the lower half is read if its order is Fortran's, otherwise the upper half.

    Raises:
        LinAlgError: if the eigenvalues do not converge.

    >>> values, vectors = eigh_in_place(np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> values.round(12).tolist(), abs(vectors).round(3).tolist()
    ([1.0, 3.0], [[0.707, 0.707], [0.707, 0.707]])
    """
    n = len(matrix)
    routine = _dsyevd()
    flags = matrix.flags
    usable = matrix.dtype == np.float64 and matrix.shape == (n, n) and flags.forc and flags.behaved
    if routine is None or not usable or not 0 < n <= _LARGEST:
        return np.linalg.eigh(matrix, "L" if matrix.flags.f_contiguous else "U")
    columns = matrix if matrix.flags.f_contiguous else matrix.T
    values, info = np.empty(n), ctypes.c_int()
    work, iwork = np.empty(1 + 6 * n + 2 * n * n), np.empty(3 + 5 * n, np.intc)
    size = ctypes.c_int(n)
    routine(
        *(b"V", b"L", ctypes.byref(size), columns.ctypes.data, ctypes.byref(size), values.ctypes.data),
        *(work.ctypes.data, ctypes.byref(ctypes.c_int(len(work)))),
        *(iwork.ctypes.data, ctypes.byref(ctypes.c_int(len(iwork)))),
        ctypes.byref(info),
    )
    if info.value:
        raise np.linalg.LinAlgError("the eigenvalues did not converge")
    return values, columns


@lru_cache
def _dsyevd() -> Any:
    """Return LAPACK's routine as a function of 11 addresses, or None if SciPy has none, or its integers are not C's."""
    from scipy.linalg import cython_lapack  # pyright: ignore[reportAttributeAccessIssue]

    capsule = getattr(cython_lapack, "__pyx_capi__", {}).get("dsyevd")
    if capsule is None:
        return None
    python: Any = ctypes.PyDLL(None) if os.name == "posix" else ctypes.pythonapi
    python.PyCapsule_GetName.restype = ctypes.c_char_p
    python.PyCapsule_GetName.argtypes = [ctypes.py_object]
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    signature = python.PyCapsule_GetName(capsule)
    if signature.replace(b" ", b"").count(b",int*") != 6:
        return None
    types = [ctypes.c_char_p] * 2 + [ctypes.c_void_p] * 9
    return ctypes.CFUNCTYPE(None, *types)(python.PyCapsule_GetPointer(capsule, signature))
