"""The four sums over a spectrum that the closed forms of kernel regression consist of, and the protocol for them.

Test error, train error, bias, variance and the overfitting coefficient depend on eigenvalues and target only through
these functions of one scalar, the effective ridge. Any object that provides them (a known `Eigensystem`, or curves
estimated from a sample) can be solved and used for predictions.
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

if TYPE_CHECKING:
    Grid = NDArray[np.float64]
else:
    # Numbers on a grid of any shape, the same within one call. NumPy turns 0-d arrays into scalars.
    Grid = Float[np.ndarray | np.float64, "*grid"]


class SpectralSums(NamedTuple):
    r"""Sums over modes at effective ridge $\kappa$, with learnability $L_i = \lambda_i / (\lambda_i + \kappa)$.

    Attributes:
        learned_modes: $z = \sum_i m_i L_i$, the effective number of learned modes (degrees of freedom).
        partly_learned_modes: $g = \sum_i m_i L_i (1 - L_i) = -dz / d\ln\kappa$, formed without cancellation.
        linear_bias: $B_1 = \sum_i (1 - L_i) v_i^2 + \sigma^2$.
        squared_bias: $B_2 = \sum_i (1 - L_i)^2 v_i^2 + \sigma^2$, the bias of the mean predictor, noise included.
    """

    learned_modes: Grid
    partly_learned_modes: Grid
    linear_bias: Grid
    squared_bias: Grid

    def __add__(self, other: tuple) -> "SpectralSums":  # pyright: ignore[reportIncompatibleMethodOverride]
        """Add the sums of a spectrum's explicit modes and of its tail."""
        return SpectralSums(*(a + b for a, b in zip(self, other, strict=True)))


@runtime_checkable
class SpectralCurves(Protocol):
    """Protocol of a task for implicit regularisation: its sums as functions of the effective ridge."""

    @property
    def rank(self) -> float:
        """Number of modes with a non-zero eigenvalue; may be `inf`."""
        ...

    @property
    def noise(self) -> float:
        r"""Label noise $\sigma^2$ per sample, summed over outputs; noise not known separately counts as target."""
        ...

    @property
    def log_trace(self) -> float:
        r"""$\ln \sum_i m_i \lambda_i$."""
        ...

    def sums(self, log_kappa: Grid) -> SpectralSums:
        r"""Return the four sums at each $\ln\kappa$ (any shape, `-inf` included)."""
        ...


_BLOCK = 64.0
_FAR = _BLOCK / 2 + 40.0
# Number of doubles in a temporary (points x modes): 256 kB stay in the processor's cache.
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
