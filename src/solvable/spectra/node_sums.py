r"""The four sums over explicit modes, at any $\kappa$ from $10^{-10^6}$ up, by one reciprocal per mode and point.

With $r = 1/(\kappa + \lambda)$: $z = \sum m \lambda r$, $g = \kappa \sum m \lambda r^2$, $B_1 = \kappa \sum v^2 r$ and
$B_2 = \kappa^2 \sum v^2 r^2$, all matrix products. So that neither $\kappa$ nor $\lambda$ leaves the range of floating
point, the points are taken in blocks of $\ln\kappa$ and everything is scaled by the block's centre. Modes more than
40 nats away from every point of a block follow their leading order, which is exact to $e^{-40}$ relatively.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

_BLOCK = 64.0
_FAR = _BLOCK / 2 + 40.0
# How many doubles a temporary (points x modes) holds: 256 kB stay in the processor's cache.
_CHUNK = 2**15


def node_sums(
    log_kappa: Float[NDArray, "points"],
    log_eigenvalues: Float[NDArray, "modes"],
    multiplicities: Float[NDArray, "modes"],
    target_power: Float[NDArray, "modes"],
) -> Float[NDArray, "4 points"]:
    r"""Return $z$, $g$, $B_1$, $B_2$ (without noise) as rows, `(4, points)`.

    Args:
        log_kappa: `(points,)`; `-inf` is the limit $\kappa \to 0$.
        log_eigenvalues: $\ln\lambda$, `(modes,)`, finite.
        multiplicities: $m$, `(modes,)`.
        target_power: $v^2$, `(modes,)`.

    Example:
        >>> node_sums(np.array([0.0]), np.array([0.0]), np.array([2.0]), np.array([1.0])).ravel().tolist()
        [1.0, 0.5, 0.5, 0.25]
    """
    result = np.zeros((4, len(log_kappa)))
    at_zero = np.isneginf(log_kappa)
    result[0, at_zero] = multiplicities.sum()
    blocks = np.round(np.where(at_zero, 0.0, log_kappa) / _BLOCK)
    rows = max(1, _CHUNK // max(1, len(log_eigenvalues)))
    for block in np.unique(blocks[~at_zero]):
        centre = block * _BLOCK
        distance = log_eigenvalues - centre
        above, below = distance > _FAR, distance < -_FAR
        near = ~(above | below)
        eigenvalues = np.exp(distance[near])
        weights = np.stack([multiplicities[near] * eigenvalues, target_power[near]], axis=1)

        inverse = np.exp(-distance[above])
        learned = multiplicities[above].sum()
        far = np.array(
            [multiplicities[above] @ inverse, target_power[above] @ inverse, target_power[above] @ inverse**2]
        )
        barely_learned = multiplicities[below] @ np.exp(distance[below])
        unlearned = target_power[below].sum()

        points = np.flatnonzero((blocks == block) & ~at_zero)
        for start in range(0, len(points), rows):
            here = points[start : start + rows]
            kappa = np.exp(log_kappa[here] - centre)
            r = kappa[:, None] + eigenvalues
            np.reciprocal(r, out=r)
            z, b1 = (r @ weights).T
            r *= r
            g, b2 = (r @ weights).T
            result[0, here] = z + learned + barely_learned / kappa
            result[1, here] = kappa * (g + far[0]) + barely_learned / kappa
            result[2, here] = kappa * (b1 + far[1]) + unlearned
            result[3, here] = kappa**2 * (b2 + far[2]) + unlearned
    return result
