r"""Residuals of whole groups of points that are left out together, from one eigendecomposition or one for each group.

With $A = (K + \delta' I)^{-1}$ the residual of group $g$, predicted from all other groups, is
$A_{gg}^{-1} (A Y)_g$, and the covariance of the residuals of pure noise is $A_{gg}^{-1} (A^2)_{gg} A_{gg}^{-1}$. That
is a solve of the group's size for each ridge. A group that is a large part of the sample is cheaper the other way
round: one eigendecomposition of all the others serves every ridge.

With an intercept the mean of the others, not of all, is taken off the labels: with few groups the difference is large.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.linalg import eigh

# Numbers that are held at once for one group: 32 MB.
_MOST_NUMBERS = 4_000_000
# Measured in operations: from this part of the sample on, decomposing the others costs less.
_LARGE = 1 / 6


def leave_group_out(
    values: Float[NDArray, "N"],
    vectors: Float[NDArray, "N N"],
    groups: Int[NDArray, "N"],
    targets: Float[NDArray, "N outputs"],
    ridges: Float[NDArray, "steps"],
    intercept: bool,
) -> tuple[Float[NDArray, "N outputs steps"], Float[NDArray, "N steps"]]:
    """Return the residual of each point when its group is left out, and its variance for pure noise of unit variance.

    Args:
        values: eigenvalues of the Gram matrix.
        vectors: its eigenvectors.
        groups: index of each point's group.
        targets: `(N, outputs)`.
        ridges: auxiliary ridges, > 0.
        intercept: whether the model takes the mean of its training labels as intercept.
    """
    n = len(values)
    residual, amplification = np.empty((n, targets.shape[1], len(ridges))), np.empty((n, len(ridges)))
    for group in np.unique(groups):
        inside = groups == group
        others = targets[~inside].mean(axis=0) if intercept else np.zeros(targets.shape[1])
        method = _from_the_others if inside.sum() > _LARGE * n else _from_blocks
        found = method(values, vectors, np.flatnonzero(inside), targets - others, ridges)
        residual[inside], amplification[inside] = found
    return residual, amplification


def _from_blocks(
    values: NDArray[np.float64],
    vectors: NDArray[np.float64],
    rows: NDArray[np.int64],
    targets: NDArray[np.float64],
    ridges: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    part, m, outputs = vectors[rows], len(rows), targets.shape[1]
    projected = vectors.T @ targets
    residual, amplification = np.empty((m, outputs, len(ridges))), np.empty((m, len(ridges)))
    pairs = (part[:, None, :] * part).reshape(m * m, -1) if m * m * len(values) <= _MOST_NUMBERS else None
    for steps in _chunks(len(ridges), max(1, _MOST_NUMBERS // (m * m + m * len(values)))):
        inverse = 1.0 / (values + ridges[steps, None])
        if pairs is not None:
            block, squared = ((pairs @ power.T).T.reshape(-1, m, m) for power in (inverse, inverse**2))
        else:
            block, squared = ((part * power[:, None, :]) @ part.T for power in (inverse, inverse**2))
        alpha = part @ (inverse[:, :, None] * projected)
        solved = np.linalg.solve(block, np.concatenate([alpha, squared], axis=2))
        residual[:, :, steps] = solved[..., :outputs].transpose(1, 2, 0)
        covariance = np.linalg.solve(block, solved[..., outputs:].transpose(0, 2, 1))
        amplification[:, steps] = np.diagonal(covariance, axis1=1, axis2=2).T
    return residual, amplification


def _from_the_others(
    values: NDArray[np.float64],
    vectors: NDArray[np.float64],
    rows: NDArray[np.int64],
    targets: NDArray[np.float64],
    ridges: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    others = np.setdiff1d(np.arange(len(values)), rows)
    left = vectors[others]
    found, basis = eigh((left * values) @ left.T, driver="evd", overwrite_a=True, check_finite=False)
    inverse = 1.0 / (np.maximum(found, 0.0)[:, None] + ridges)
    weights = ((vectors[rows] * values) @ left.T) @ basis  # of the group's predictions in that basis
    projected = basis.T @ targets[others]
    residual = np.stack(
        [targets[rows, i, None] - weights @ (one[:, None] * inverse) for i, one in enumerate(projected.T)],
        axis=1,
    )
    return residual, 1.0 + np.square(weights) @ np.square(inverse)


def _chunks(n: int, size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, n, size):
        yield np.arange(start, min(start + size, n))
