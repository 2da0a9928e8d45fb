r"""Compression of a spectrum of a million modes to a few hundred nodes.

Every sum that the theory needs is $\sum_i w_i f(\ln\lambda_i - \ln\kappa)$ with $f$ a product of logistic
functions, whose nearest poles lie at $\pm i\pi$. On a bin of $\ln\lambda$ two nats wide such an $f$ equals its
interpolant on $p$ Chebyshev nodes up to about $6.4^{-p}$, for any $\kappa$. The bin's modes may therefore
be replaced by $p$ nodes with weights $\sum_i w_i \ell_j(\ln\lambda_i)$, where $\ell_j$ are the Lagrange polynomials.
Nothing is assumed about the modes themselves: rough spectra and rough targets are as accurate as smooth ones. Node
weights can be slightly negative; only their sums are meaningful.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

BIN_WIDTH = 2.0
N_NODES = 18


def compress(
    log_eigenvalues: Float[NDArray, "modes"], weights: Float[NDArray, "kinds modes"]
) -> tuple[Float[NDArray, "nodes"], Float[NDArray, "kinds nodes"]]:
    r"""Return nodes $x_j$ and weights $W$ with $\sum_i w_i f(\ln\lambda_i) \approx \sum_j W_j f(x_j)$ to about 1e-14.

    Args:
        log_eigenvalues: $\ln\lambda_i$, `(modes,)`, finite, descending.
        weights: `(kinds, modes)`; each row is a measure on the modes (multiplicities, target power).

    Returns:
        `(nodes,)` and `(kinds, nodes)`. Bins that hold no more modes than nodes keep their modes.

    Example:
        >>> log_eigenvalues = -1.5 * np.log(np.arange(1, 100_001))
        >>> x, w = compress(log_eigenvalues, np.ones((1, 100_000)))
        >>> len(x)
        140
        >>> exact = np.sum(1 / (1 + np.exp(-9 - log_eigenvalues)))
        >>> bool(abs(w[0] @ (1 / (1 + np.exp(-9 - x))) / exact - 1) < 1e-13)
        True
    """
    top = log_eigenvalues[0]
    bins = np.floor((top - log_eigenvalues) / BIN_WIDTH).astype(np.int64)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    counts = np.diff(starts, append=len(bins))
    crowded = counts > N_NODES

    sparse = np.repeat(~crowded, counts)
    nodes, node_weights = [log_eigenvalues[sparse]], [weights[:, sparse]]
    if crowded.any():
        angles = (np.arange(N_NODES) + 0.5) * np.pi / N_NODES
        # ℓ_j(t) = Σ_k' (2/p) T_k(t_j) T_k(t), the first term halved.
        synthesis = np.cos(np.outer(np.arange(N_NODES), angles)) * (2.0 / N_NODES)
        synthesis[0] *= 0.5
        for start, count in zip(starts[crowded], counts[crowded], strict=True):
            here = slice(start, start + count)
            centre = top - BIN_WIDTH * (bins[start] + 0.5)
            moments = _chebyshev_moments((log_eigenvalues[here] - centre) / (BIN_WIDTH / 2), weights[:, here])
            nodes.append(centre + np.cos(angles) * (BIN_WIDTH / 2))
            node_weights.append(moments @ synthesis)
    return np.concatenate(nodes), np.concatenate(node_weights, axis=1)


def _chebyshev_moments(
    t: Float[NDArray, "modes"], weights: Float[NDArray, "kinds modes"]
) -> Float[NDArray, "kinds degrees"]:
    """Return the sums of `weights * T_k(t)` for each k, in blocks that stay in the processor's cache."""
    moments = np.zeros((len(weights), N_NODES))
    for start in range(0, len(t), 16384):
        x, w = t[start : start + 16384], weights[:, start : start + 16384]
        before, now, twice = np.ones_like(x), x.copy(), 2.0 * x
        moments[:, 0] += w.sum(axis=1)
        for k in range(1, N_NODES):
            moments[:, k] += w @ now
            before *= -1.0
            before += twice * now
            before, now = now, before
    return moments
