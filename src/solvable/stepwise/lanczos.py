r"""The leading eigenpairs of kernel self-supervised learning, by block Lanczos in the kernel's own inner product."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

from solvable.machine import need_memory

Matrix = NDArray[np.float64]

# Up to this many points, and this many for each component, dense matrices are as fast.
_FEW, _FEW_EACH = 400, 8
# Vectors in a block, at most and beyond the components: a product of K with one takes hardly less time than with all,
# and with more the space becomes larger.
_BLOCK, _SPARE = 8, 8
# Residuals of the leading eigenvalues, relative to the largest: as estimated when Lanczos' method stops, and as
# computed from its result.
_CONVERGED, _CORRECT = 1e-12, 1e-9
# The inner product of K has no more than six digits for vectors whose squared norm is below this share of K.
_LOST = 1e-10
# Eigenvalues closer than this, relative to the largest, may be copies of one.
_EQUAL = 1e-8
# By this factor the space grows from one check of convergence to the next, which costs as much as a dense solution.
_GROWTH = 1.1
# Pivots of K below this share of its largest entry are rounding errors, and so is what they make of eigenvalues.
_ROUNDING = 100 * float(np.finfo(float).eps)

_pivoted_cholesky: Any
(_pivoted_cholesky,) = get_lapack_funcs(("pstrf",), dtype=np.float64)


class Eigenpairs(NamedTuple):
    r"""The solutions of $S K a_j = N \gamma_j a_j$ with the largest $\gamma_j > 0$.

    Attributes:
        eigenvalues: $\gamma_j$, positive, descending (found,).
        vectors: $a_j$ as columns, with $a_i^\top K a_j = \delta_{ij}$ (N, found).
        products: $K a_j$ as columns (N, found).
        smallest: the smallest $\gamma$, 0 where none is negative; to about 1e-3 of itself or of the last eigenvalue.
    """

    eigenvalues: NDArray[np.float64]
    vectors: Matrix
    products: Matrix
    smallest: float


def top_eigenpairs(K: Matrix, n_components: int, floor: float = 0.0) -> Eigenpairs:
    r"""Return the leading solutions of $S K a = N \gamma a$, where S swaps the two halves of the N points.

    These $\gamma$ are the nonzero eigenvalues of $K^{1/2} S K^{1/2} / N$, and the vectors are $a = K^{-1/2} b$ of its
    eigenvectors b. No root and no inverse is formed: $S K$ is self-adjoint in the inner product $a^\top K a'$, in which
    Lanczos' method needs one product of K with a block of vectors per iteration. Where that method meets its limits
    (a matrix of low rank, more equal eigenvalues than a block has vectors, hardly any decay) dense matrices of the rank
    of K take over.

    Args:
        K: kernel matrix of N = 2n points, the second view of each after all first views; symmetric and positive
            semidefinite, of any rank (N, N).
        n_components: most solutions to return, at least 1.
        floor: eigenvalues up to this are rounding errors and not returned, at least 0.

    Returns:
        As many solutions as there are eigenvalues above `floor`, at most `n_components`.

    Raises:
        InputError: if dense matrices are needed and there is no memory for them.

    Source: derived from the kernel form of arXiv:2303.15438.

    >>> K = np.array([[1.0, 0.5], [0.5, 1.0]])  # one pair of points
    >>> found = top_eigenpairs(K, 1)
    >>> found.eigenvalues.round(3).tolist(), round(found.smallest, 3)
    ([0.75], -0.25)
    """
    large = len(K) > max(_FEW, _FEW_EACH * n_components)
    found = _lanczos(K, n_components, floor) if large else None
    return _dense(K, n_components, floor) if found is None else found


def swapped(V: Matrix) -> Matrix:
    """Return the rows with their two halves exchanged."""
    return np.concatenate([V[len(V) // 2 :], V[: len(V) // 2]])


def _dense(K: Matrix, n_components: int, floor: float) -> Eigenpairs:
    r"""Return the solutions from $K = L L^\top$: with the eigenvectors b of $L^\top S L$, $a = S L b / N \gamma$."""
    N = len(K)
    need_memory(6 * 8 * N**2, f"a dense solution for {N // 2} pairs", "use fewer pairs or fewer components")
    rounding = _ROUNDING * float(np.diagonal(K).max(initial=0.0))
    floor = max(floor, rounding)
    factor, order, rank, _ = _pivoted_cholesky(K, lower=1, tol=rounding)
    L = np.zeros((N, rank))
    L[order - 1] = np.tril(factor)[:, :rank]
    values, B = np.linalg.eigh(L.T @ swapped(L) / N)
    top = np.arange(rank)[::-1][:n_components]
    top = top[values[top] > floor]
    gamma = values[top]
    vectors = swapped(L @ B[:, top]) / (N * gamma)
    return Eigenpairs(*_refined(K, vectors, floor), min(float(values.min(initial=0.0)), 0.0))


def _lanczos(K: Matrix, n_components: int, floor: float) -> Eigenpairs | None:
    """Return the solutions in the Krylov space of a random block, or None where they may not be right."""
    N, size = len(K), min(n_components, _BLOCK) + _SPARE
    # Directions that K annihilates would only be in the way.
    block = swapped(_product(K, np.random.default_rng(0).standard_normal((N, size))))
    lost = _LOST * float(np.linalg.norm(K))
    space = _Space(N)
    # T = Q^T K (S K / N) Q, and S K / N times the last block.
    T, image, check_at = np.zeros((0, 0)), np.zeros((N, 0)), n_components
    while True:
        W = np.linalg.qr(space.project(block))[0]
        # Small columns were scaled up, and with them the rounding errors of the projection.
        W = np.linalg.qr(space.project(W))[0]
        Q, KQ = _orthonormal(W, _product(K, W), lost)
        if Q.shape[1] < size or len(T) > N / 2:
            return None
        if len(T) >= check_at:
            values, Y = np.linalg.eigh(T)
            top, scale = np.arange(len(T))[::-1][:n_components], np.abs(values).max()
            # What S K / N makes of the last block leaves the space only along the next one.
            residuals = np.linalg.norm((KQ.T @ image) @ Y[-size:, top], axis=0)
            if residuals.max() <= _CONVERGED * scale:
                break
            check_at = int(_GROWTH * len(T))
        space.add(Q, KQ)
        block = image = swapped(KQ) / N
        above, corner = np.split(space.KQ.T @ image, [len(T)])
        T = np.block([[T, above], [above.T, (corner + corner.T) / 2]])
    gamma = values[top]
    if gamma[-1] <= floor or _may_be_copies(gamma, size):
        return None
    # As S K / N leaves them as they are, it may take the rounding errors off the vectors.
    vectors = swapped(space.KQ @ Y[:, top]) / (N * gamma)
    found = Eigenpairs(*_refined(K, vectors, floor), min(float(values[0]), 0.0))
    residuals = swapped(found.products) / N - found.vectors * found.eigenvalues
    correct = (residuals * _product(K, residuals)).sum(axis=0).max() <= (_CORRECT * scale) ** 2
    return found if correct and len(found.eigenvalues) == n_components else None


class _Space:
    """Columns Q, orthonormal in the inner product of K, and K Q, in arrays that grow by doubling."""

    def __init__(self, N: int) -> None:
        self._both = np.empty((2, 0, N))
        self._size = 0

    @property
    def Q(self) -> Matrix:
        return self._both[0, : self._size].T

    @property
    def KQ(self) -> Matrix:
        return self._both[1, : self._size].T

    def add(self, Q: Matrix, KQ: Matrix) -> None:
        """Add columns."""
        end = self._size + Q.shape[1]
        if end > self._both.shape[1]:
            larger = np.empty((2, 2 * end, len(Q)))
            larger[:, : self._size] = self._both[:, : self._size]
            self._both = larger
        self._both[:, self._size : end] = Q.T, KQ.T
        self._size = end

    def project(self, W: Matrix) -> Matrix:
        """Return W without its part in the space."""
        return W - self.Q @ (self.KQ.T @ W)


def _product(K: Matrix, W: Matrix) -> Matrix:
    """Return K W, in the order of the factors that is faster for a symmetric K and few columns."""
    return (W.T @ K).T


def _orthonormal(W: Matrix, KW: Matrix, least: float) -> tuple[Matrix, Matrix]:
    """Return Q and K Q, orthonormal in the inner product of K, without directions of squared norms up to `least`."""
    squares, U = np.linalg.eigh(W.T @ KW)
    kept = squares > least
    U = U[:, kept] / np.sqrt(squares[kept])
    return W @ U, KW @ U


def _may_be_copies(values: NDArray[np.float64], size: int) -> bool:
    """Return whether as many eigenvalues in a row are equal as a block has vectors: it finds no more copies."""
    return bool((values[: -size + 1] - values[size - 1 :] <= _EQUAL * values[0]).any())


def _refined(K: Matrix, vectors: Matrix, floor: float) -> tuple[NDArray[np.float64], Matrix, Matrix]:
    """Return eigenvalues above `floor`, vectors and products in the span of almost orthonormal vectors."""
    Q, KQ = _orthonormal(vectors, _product(K, vectors), 0.0)
    operator = KQ.T @ swapped(KQ) / len(K)
    values, Y = np.linalg.eigh((operator + operator.T) / 2)
    kept = np.flatnonzero(values > floor)[::-1]
    return values[kept], Q @ Y[:, kept], KQ @ Y[:, kept]
