r"""Residuals of whole groups of points that are left out together, from one eigendecomposition or one for each group.

With $A = (K + \delta' I)^{-1}$ the residual of group $g$, predicted from all other groups, is
$A_{gg}^{-1} (A Y)_g$, and the covariance of the residuals of pure noise is $A_{gg}^{-1} (A^2)_{gg} A_{gg}^{-1}$. That
is one solve of the group's size for each ridge. For a group that is a large part of the sample, one eigendecomposition
of all other points is cheaper, since it serves every ridge.

With an intercept, the mean of the other groups, not of all, is subtracted from the labels: with few groups the
difference is large.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.linalg import eigh

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

# Numbers held in memory at once for one group: 32 MB.
_MOST_NUMBERS = 4_000_000
# By count of operations, decomposing the others costs less for groups above this part of the sample.
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
        intercept: whether the model uses the mean of its training labels as intercept.
    """
    n = len(values)
    residual, variance = np.empty((n, targets.shape[1], len(ridges))), np.empty((n, len(ridges)))
    for group in np.unique(groups):
        inside = groups == group
        mean = targets[~inside].mean(axis=0) if intercept else np.zeros(targets.shape[1])
        method = _from_the_others if inside.sum() > _LARGE * n else _from_blocks
        rows = np.flatnonzero(inside)
        residual[inside], variance[inside] = method(values, vectors, rows, targets - mean, ridges)
    return residual, variance


def _from_blocks(
    values: Array, vectors: Array, rows: Rows, targets: Array, ridges: Array
) -> tuple[Array, Array]:
    part, m, outputs = vectors[rows], len(rows), targets.shape[1]
    projected = vectors.T @ targets
    residual, variance = np.empty((m, outputs, len(ridges))), np.empty((m, len(ridges)))
    pairs = (part[:, None, :] * part).reshape(m * m, -1) if m * m * len(values) <= _MOST_NUMBERS else None
    size = max(1, _MOST_NUMBERS // (m * m + m * len(values)))
    for start in range(0, len(ridges), size):
        steps = slice(start, start + size)
        inverse = 1.0 / (values + ridges[steps, None])
        if pairs is not None:
            block, squared = ((pairs @ power.T).T.reshape(-1, m, m) for power in (inverse, inverse**2))
        else:
            block, squared = ((part * power[:, None, :]) @ part.T for power in (inverse, inverse**2))
        alpha = part @ (inverse[:, :, None] * projected)
        solved = np.linalg.solve(block, np.concatenate([alpha, squared], axis=2))
        residual[:, :, steps] = solved[..., :outputs].transpose(1, 2, 0)
        covariance = np.linalg.solve(block, solved[..., outputs:].transpose(0, 2, 1))
        variance[:, steps] = np.diagonal(covariance, axis1=1, axis2=2).T
    return residual, variance


def _from_the_others(
    values: Array, vectors: Array, rows: Rows, targets: Array, ridges: Array
) -> tuple[Array, Array]:
    others = np.setdiff1d(np.arange(len(values)), rows)
    part = vectors[others]
    eigenvalues, basis = eigh((part * values) @ part.T, driver="evd", overwrite_a=True, check_finite=False)
    inverse = 1.0 / (np.maximum(eigenvalues, 0.0)[:, None] + ridges)
    weights = ((vectors[rows] * values) @ part.T) @ basis  # of the group's predictions in that basis
    projected = basis.T @ targets[others]
    fits = [weights @ (column[:, None] * inverse) for column in projected.T]
    residual = targets[rows][:, :, None] - np.stack(fits, axis=1)
    return residual, 1.0 + np.square(weights) @ np.square(inverse)
