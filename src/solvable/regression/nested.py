r"""Ridge regression on nested training sets: every sample size of a learning curve from one factorisation.

The training sets of one trial are the first $n$ points of one random order. The Cholesky factor of the first $n$ rows
and columns of $K + \delta I$ is the first $n$ rows and columns of the whole factor, and so is the forward substitution
$w = L^{-1} Y$. A curve of any number of sizes therefore costs one factorisation of the largest per ridge, and a back
substitution with a few right-hand sides per size.

With many ridges, or for a matrix that is singular to rounding at ridge 0, each size is decomposed into eigenvectors
instead, which serves all ridges.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs

from solvable.eigh import eigh_in_place
from solvable.kernels.gram import cholesky_in_place

Matrix = NDArray[np.float64]

_trsm: Any = get_blas_funcs("trsm", dtype=np.float64)

# Measured (LAPACK, n = 1400): eigenvectors cost about 7 Cholesky factorisations; in units of n³ flops:
_EIGH_COST, _CHOLESKY_COST = 7.0 / 3.0, 1.0 / 3.0


def nested_dual_coefficients(
    gram: Float[NDArray, "N N"],
    targets: Float[NDArray, "N outputs"],
    n_train: Int[NDArray, "sizes"],
    ridge: Float[NDArray, "ridges"],
) -> Iterator[tuple[int, Float[NDArray, "largest sizes outputs"]]]:
    r"""Yield `(ridge index, α)` with $\alpha = (K_n + \delta I)^{-1} Y_n$ for all sizes side by side.

    At ridge 0 a matrix that is singular to rounding gives the least-norm interpolant (pseudo-inverse).

    Args:
        gram: `(N, N)`, symmetric positive semi-definite, in the trial's order; not modified.
        targets: `(N, outputs)`.
        n_train: sizes, each at most N.
        ridge: $\delta \ge 0$.

    Yields:
        the index of a ridge, each once, in any order, and α `(largest size, sizes, outputs)`, zero below row n of a
        size n: one matrix product with it predicts for all sizes.

    Example:
        >>> gram, targets = np.diag([3.0, 3.0]), np.array([[1.0], [2.0]])
        >>> ((r, alpha),) = nested_dual_coefficients(gram, targets, np.array([1, 2]), np.array([1.0]))
        >>> alpha[:, :, 0].T.tolist()
        [[0.25, 0.0], [0.25, 0.5]]
    """
    largest = int(n_train.max())
    gram, targets = gram[:largest, :largest], targets[:largest]
    by_cholesky = len(ridge) * _CHOLESKY_COST * float(largest) ** 3
    by_eigh = _EIGH_COST * float(np.sum(n_train.astype(float) ** 3))
    if by_eigh < by_cholesky:
        yield from _by_eigh(gram, targets, n_train, ridge, range(len(ridge)))
        return
    singular = []
    for r, delta in enumerate(ridge):
        # The transpose of the copy is the same symmetric matrix in Fortran order, which can be overwritten.
        factor = cholesky_in_place(np.array(gram, order="C").T, delta)
        if factor is None:
            singular.append(r)
            continue
        forward = _trsm(1.0, factor, targets, lower=1)
        yield r, _back_substitute(factor, forward, n_train)
    if singular:
        yield from _by_eigh(gram, targets, n_train, ridge, singular)


def _back_substitute(factor: Matrix, forward: Matrix, n_train: NDArray[np.int64]) -> Matrix:
    """Solve `L_n^T α_n = w_n` for all sizes side by side."""
    largest, outputs = forward.shape
    alpha = np.zeros((largest, len(n_train), outputs))
    # Rows below n are zero and stay zero, so sizes within a factor of two share one substitution with many right-hand
    # sides; smaller sizes use a smaller block.
    octave = np.log2(largest / n_train).astype(int)
    for o in np.unique(octave):
        together = np.flatnonzero(octave == o)
        most = int(n_train[together].max())
        right = np.zeros((len(together) * outputs, most)).T  # in Fortran order, to be overwritten
        for j, i in enumerate(together):
            right[: n_train[i], j * outputs : (j + 1) * outputs] = forward[: n_train[i]]
        solved = _trsm(1.0, factor[:most, :most], right, lower=1, trans_a=1, overwrite_b=1)
        alpha[:most, together] = solved.reshape(most, len(together), outputs)
    return alpha


def fewer_outputs(
    targets: Float[NDArray, "N outputs"],
) -> tuple[Float[NDArray, "N fewer"], Float[NDArray, "fewer outputs"]]:
    """Return the targets rotated to as few columns as their rank, and the rotation back.

    From c one-hot columns minus 1/c this leaves c - 1. Errors summed over outputs stay the same.
    """
    left, singular, right = np.linalg.svd(targets, full_matrices=False)
    nonzero = singular > 1e-14 * singular[0]
    return left[:, nonzero] * singular[nonzero], right[nonzero]


def _by_eigh(
    gram: Matrix,
    targets: Matrix,
    n_train: NDArray[np.int64],
    ridge: NDArray[np.float64],
    which: Sequence[int],
) -> Iterator[tuple[int, Matrix]]:
    alpha = np.zeros((len(which), len(gram), len(n_train), targets.shape[1]))
    for i, n in enumerate(n_train):
        values, vectors = eigh_in_place(gram[:n, :n].copy())
        values, projected = np.maximum(values, 0.0), vectors.T @ targets[:n]
        for j, r in enumerate(which):
            shifted = values + ridge[r]
            regular = shifted > n * np.finfo(float).eps * shifted.max()
            alpha[j, :n, i] = vectors[:, regular] @ (projected[regular] / shifted[regular, None])
    yield from zip(which, alpha, strict=True)
