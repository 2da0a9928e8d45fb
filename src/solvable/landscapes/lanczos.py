r"""Lanczos' method for many vectors at once, each with a symmetric matrix of its own."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.machine import need_memory

Numbers = NDArray[np.float64]
Product = Callable[[Numbers], Numbers]

NOT_FINITE = "the Hessian has NaN or infinite entries at theta; expected finite second derivatives"
# A next vector this small, relative to the matrix, is rounding error.
_EXHAUSTED = 1e-14


def lanczos_tridiagonal(
    product: Product, start: Float[NDArray, "B N"], n_steps: int
) -> tuple[Float[NDArray, "B K"], Float[NDArray, "B K-1"]]:
    r"""Return the diagonals $\alpha$ and $\beta$ of the tridiagonal matrices of Lanczos' method, one for each start.

    The basis is stored and orthogonalised twice in each step. A start whose Krylov space ends early has zeros in
    $\beta$ from there on, and its first $\alpha$ in the rest, which adds no weight and no new end to its measure.

    Args:
        product: multiplies each row of a (B, N) array by the symmetric matrix of its start.
        start: vectors, not zero.
        n_steps: steps, N at most.

    Raises:
        InputError: if a product has NaN or infinity, or if there is no memory for the basis.
    """
    B, N = start.shape
    K = min(n_steps, N)
    remedy = "use fewer steps or fewer probes"
    need_memory(8.0 * B * K * N, f"the Lanczos basis of {B} vectors of {N} numbers for {K} steps", remedy)
    V, alphas, betas = np.zeros((B, K, N)), np.zeros((B, K)), np.zeros((B, K))
    v = start / np.linalg.norm(start, axis=1, keepdims=True)
    size, ended = np.zeros(B), np.zeros(B, dtype=bool)
    for k in range(K):
        V[:, k] = v
        W = np.array(product(v), dtype=np.float64)
        if not np.isfinite(W).all():
            raise InputError(NOT_FINITE)
        basis = V[:, : k + 1]
        for _ in range(2):
            parts = np.einsum("bkn,bn->bk", basis, W)
            W -= np.einsum("bkn,bk->bn", basis, parts)
            alphas[:, k] += parts[:, k]
        betas[:, k] = np.linalg.norm(W, axis=1)
        size = np.maximum(size, np.abs(alphas[:, k]) + betas[:, k])
        alphas[ended, k] = alphas[ended, 0]
        ended |= betas[:, k] <= _EXHAUSTED * np.sqrt(N) * size
        betas[ended, k] = 0
        v = W / np.where(ended, np.inf, betas[:, k])[:, None]
    return alphas, betas[:, :-1]


def lanczos_measure(
    product: Product, start: Float[NDArray, "*batch N"], n_steps: int
) -> tuple[Float[NDArray, "*batch K"], Float[NDArray, "*batch K"]]:
    r"""Return nodes and weights for the spectral measure of a vector v.

    $$\sum_i \frac{(u_i^\top v)^2}{|v|^2}\, \delta_{\lambda_i}$$

    They integrate polynomials up to degree 2K - 1 exactly. With the gradient as v, the weight of the nodes near zero
    is the share of the squared gradient in flat directions.

    Args:
        product: multiplies each row of a (B, N) array by the symmetric matrix of its start.
        start: v, one or a batch, not zero.
        n_steps: steps, N at most.

    Returns:
        Nodes, ascending, and weights, which sum to 1.

    >>> H = np.diag([1.0, 2.0, 5.0])
    >>> nodes, weights = lanczos_measure(lambda V: V @ H, np.array([3.0, 0.0, 4.0]), 2)
    >>> nodes.round(9).tolist(), weights.round(9).tolist()
    ([1.0, 5.0], [0.36, 0.64])
    """
    alphas, betas = lanczos_tridiagonal(product, np.atleast_2d(start), n_steps)
    K = alphas.shape[1]
    T, k = np.zeros((len(alphas), K, K)), np.arange(K)
    T[:, k, k], T[:, k[1:], k[:-1]] = alphas, betas
    nodes, vectors = np.linalg.eigh(T)  # reads the lower triangle
    shape = (*start.shape[:-1], K)
    return nodes.reshape(shape), np.square(vectors[:, 0]).reshape(shape)
