r"""Near-duplicates: points that are far nearer to another one than points spread like the sample would be.

Crops of one image, visits of one patient, words of one speaker, dense classes: each new point of such a kind makes its
companions easy, so the error falls faster with more points than what a sample shows, and leave-one-out is too good
for new patients or speakers.

How near the nearest of N points should be follows from the distances of all pairs. A part $C(r) \propto r^m$ of them
is closer than r; the quantiles of 5 % and 25 % give the dimension m, and the nearest neighbour is expected where
$N C(r) = 1$. A point is a near-duplicate if its nearest neighbour is nearer than the distance that 1 % of points would
have in a uniform sample of that dimension, and at most half of what is expected.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

# Distances are taken from at most this many points to all others.
_POINTS = 1000
_QUANTILES = (0.05, 0.25)
# Labels that differ by less, as a part of their variance, count as equal.
_EQUAL = 0.04


def near_duplicates(
    X: Float[NDArray, "N d"],
    targets: Float[NDArray, "N outputs"],
    groups: Int[NDArray, "N"] | None = None,
    random_state: int = 0,
) -> tuple[float, float]:
    """Return the share of points that are near-duplicates, and the share of these with their neighbour's label.

    Exact copies and points of the same group do not count.

    Args:
        X: inputs, scaled.
        targets: one-hot columns, or numbers.
        groups: index of each point's group.
        random_state: of the draw of points.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 5))
    >>> near_duplicates(X, X)[0] < 0.02
    True
    >>> pairs = np.vstack([X, X + 0.01 * rng.standard_normal(X.shape)])
    >>> near_duplicates(pairs, pairs)
    (1.0, 1.0)
    """
    n = len(X)
    rows = np.sort(np.random.default_rng([random_state, 11]).permutation(n)[:_POINTS])
    squares = np.square(X).sum(axis=1)
    distance = squares[rows, None] + squares - 2.0 * (X[rows] @ X.T)
    distance = np.sqrt(np.maximum(distance, 0.0))
    distance[distance <= 1e-6 * distance.max()] = np.inf
    if groups is not None:
        distance[groups[rows, None] == groups] = np.inf
    pairs = distance[np.isfinite(distance)]
    if pairs.size == 0:
        return 0.0, 0.0
    near, far = np.quantile(pairs, _QUANTILES)
    if near >= far * (1.0 - 1e-6):
        return 0.0, 0.0  # all points are equally far from each other
    dimension = np.log(_QUANTILES[1] / _QUANTILES[0]) / np.log(far / near)
    expected = near * (n * _QUANTILES[0]) ** (-1.0 / dimension)
    neighbour = distance.argmin(axis=1)
    nearest = distance[np.arange(len(rows)), neighbour]
    duplicate = nearest < min(0.5, 0.01 ** (1.0 / dimension)) * expected
    if not duplicate.any():
        return 0.0, 0.0
    difference = np.square(targets[rows] - targets[neighbour]).sum(axis=1)
    same = difference < _EQUAL * targets.var(axis=0).sum()
    return float(duplicate.mean()), float(same[duplicate].mean())
