r"""The cross-correlation of two views, from which everything else follows."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite
from solvable.errors import InputError
from solvable.kernels.inputs import to_float64


def cross_correlation(*views: ArrayLike, center: bool = True) -> NDArray[np.float64]:
    r"""Return $\Gamma$, the symmetrised correlation between views of the same samples.

    $$ \Gamma = \frac{1}{2n} \left(X^\top X' + X'^\top X\right) $$

    For V views it is the mean over all pairs of different views, in O(V) products.

    Args:
        views: two or more arrays (n, m), row i of each a view of sample i.
        center: whether the mean over all views is subtracted first. The paper does not subtract it; the first
            direction is then the mean.

    Returns:
        $\Gamma$, (m, m), symmetric; in a finite sample some eigenvalues are negative.

    Raises:
        InputError: for fewer than two views or samples, shapes that differ, NaN or infinite values.

    Source: arXiv:2303.15438; several views are derived.

    >>> X = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> cross_correlation(X, X[::-1], center=False).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    arrays = checked_views(*views)
    if center:
        mean = np.mean([one.mean(axis=0) for one in arrays], axis=0)
        arrays = [one - mean for one in arrays]
    total = np.sum(arrays, axis=0)
    within = sum(one.T @ one for one in arrays)
    gamma = (total.T @ total - within) / (len(arrays[0]) * len(arrays) * (len(arrays) - 1))
    return (gamma + gamma.T) / 2


def as_numpy(values: Any) -> Any:
    """Return a tensor as an array in double precision, and anything else as it is."""
    return to_float64(values) if hasattr(values, "detach") and not values.is_complex() else values


def checked_views(*views: Any) -> list[NDArray[np.float64]]:
    """Return views as arrays (n, m) of equal shapes.

    Raises:
        InputError: as for `cross_correlation`.
    """
    if len(views) < 2:
        raise InputError(f"got {len(views)} view; expected two or more arrays (n, m)")
    arrays = []
    for i, view in enumerate(views):
        array = np.asarray(as_numpy(view))
        if array.ndim != 2 or array.dtype.kind not in "fiub" or not array.size:
            raise InputError(
                f"view {i + 1} has shape {array.shape} and type {array.dtype}; expected numbers (n, m): flatten images "
                "first"
            )
        arrays.append(array.astype(np.float64))
        finite(f"view {i + 1}", arrays[-1])
    if len({one.shape for one in arrays}) > 1:
        shapes = " and ".join(str(one.shape) for one in arrays)
        raise InputError(
            f"the views have shapes {shapes}; expected the same, row i of each a view of sample i"
        )
    if len(arrays[0]) < 2:
        raise InputError("the views have one row; expected two samples or more")
    return arrays
