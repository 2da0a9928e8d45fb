r"""Ridge regression on nested training sets: every sample size of a learning curve from one factorisation.

The training sets of one trial are the first $n$ points of one random order. The Cholesky factor of the first $n$ rows
and columns of $K + \delta I$ is the first $n$ rows and columns of the whole factor, and so is the forward substitution
$w = L^{-1} Y$. A curve of any number of sizes therefore costs one factorisation of the largest per ridge, and a back
substitution with a few right-hand sides per size.

Where there are so many ridges that decomposing each size once is cheaper, or where the matrix is singular to rounding
at ridge 0, each size is decomposed into eigenvectors instead, which serves all ridges.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, get_lapack_funcs, solve_triangular

Matrix = NDArray[np.float64]

_potrf: Any
_pocon: Any
_lange: Any
_potrf, _pocon, _lange = get_lapack_funcs(("potrf", "pocon", "lange"), dtype=np.float64)

# Measured (LAPACK, n = 1400): eigenvectors cost about 7 Cholesky factorisations; in units of n³ flops:
_EIGH_COST, _CHOLESKY_COST = 7.0 / 3.0, 1.0 / 3.0
# A reciprocal condition number below this much per row is rounding noise: use the pseudo-inverse.
_SINGULAR = float(np.finfo(float).eps)


def nested_dual_coefficients(
    gram: Matrix, targets: Matrix, n_train: NDArray[np.int64], ridge: NDArray[np.float64]
) -> Iterator[tuple[int, int, Matrix]]:
    r"""Yield `(size index, ridge index, α)` with $\alpha = (K_n + \delta I)^{-1} Y_n$ for every size and ridge.

    At ridge 0 a matrix that is singular to rounding gives the least-norm interpolant (pseudo-inverse).

    Args:
        gram: `(N, N)`, symmetric positive semi-definite, in the trial's order; left untouched.
        targets: `(N, outputs)`.
        n_train: sizes, each at most N.
        ridge: $\delta \ge 0$.

    Example:
        >>> gram, targets = np.diag([3.0, 3.0]), np.array([[1.0], [2.0]])
        >>> found = nested_dual_coefficients(gram, targets, np.array([1, 2]), np.array([1.0]))
        >>> [alpha.ravel().tolist() for _, _, alpha in found]
        [[0.25], [0.25, 0.5]]
    """
    largest = float(n_train.max())
    by_cholesky = len(ridge) * _CHOLESKY_COST * largest**3
    by_eigh = _EIGH_COST * float(np.sum(n_train.astype(float) ** 3))
    if by_eigh < by_cholesky:
        yield from _by_eigh(gram, targets, n_train, ridge, range(len(ridge)))
        return
    singular = []
    for r, delta in enumerate(ridge):
        factor = _cholesky(gram[: int(largest), : int(largest)], delta)
        if factor is None:
            singular.append(r)
            continue
        forward = solve_triangular(factor, targets[: len(factor)], lower=True, check_finite=False)
        for i, n in enumerate(n_train):
            yield i, r, _back_substitute(factor, forward, int(n))
    if singular:
        yield from _by_eigh(gram, targets, n_train, ridge, singular)


def _cholesky(gram: Matrix, delta: float) -> Matrix | None:
    """Return the lower factor of `gram + delta I`, or None where it is singular to rounding."""
    matrix = np.array(gram, order="F")
    matrix.flat[:: len(matrix) + 1] += delta
    norm = _lange("1", matrix)
    factor, info = _potrf(matrix, lower=1, clean=0, overwrite_a=1)
    if info != 0:
        return None
    # Not by the smallest pivot: rounding leaves it up to a million times the smallest eigenvalue.
    reciprocal_condition, _ = _pocon(factor, norm, uplo="L")
    return factor if reciprocal_condition > _SINGULAR * len(matrix) else None


def _back_substitute(factor: Matrix, forward: Matrix, n: int) -> Matrix:
    """Solve `L_n^T α = w_n`; the leading block of a Fortran array is passed on without a copy."""
    return solve_triangular(factor[:n, :n], forward[:n], lower=True, trans=1, check_finite=False)


def _by_eigh(
    gram: Matrix,
    targets: Matrix,
    n_train: NDArray[np.int64],
    ridge: NDArray[np.float64],
    which: range | list[int],
) -> Iterator[tuple[int, int, Matrix]]:
    for i, n in enumerate(n_train):
        values, vectors = eigh(gram[:n, :n], check_finite=False)
        projected = vectors.T @ targets[:n]
        for r in which:
            shifted = np.maximum(values, 0.0) + ridge[r]
            known = shifted > len(values) * np.finfo(float).eps * shifted.max()
            yield i, r, vectors[:, known] @ (projected[known] / shifted[known, None])
