r"""Plateaus of the Barlow Twins loss: its value with k learned directions, and the directions that a value means.

The loss $\sum_i (C_{ii} - 1)^2 + \lambda \sum_{i \ne j} C_{ij}^2$ of a d-dimensional embedding stays at a plateau while
k directions are learned. Its value tells k, so a number in a log file says how many directions a model has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from solvable.checks import numbers, one_number, whole
from solvable.errors import InputError

# The share of a finite batch fluctuates, and depends a little on the tails of the features.
_FLOOR_ERROR = 0.01
_MOST_DIMENSIONS = 10**7


@dataclass(frozen=True)
class Directions:
    """The number of learned directions that a value of the loss means.

    Attributes:
        directions: the least number of directions with which the loss can be so small. A trained model is usually
            there, since the loss gains from trading some invariance for less correlation.
        low: the same number, or what it is if the share of the finite batch is 1 % smaller.
        high: the number if the embeddings of both views are equal. Views that agree only in part mean that more
            directions have been started, each learned in part. For a batch so small that two numbers have the same
            loss, the larger of them or more.
        floor: the part of the loss that is due to the finite batch, and was subtracted.
    """

    directions: float
    low: float
    high: float
    floor: float

    def __str__(self) -> str:
        if self.directions == 0:
            return "no direction is learned"
        floor = f"; {self.floor:.4g} of the loss is due to the finite batch" if self.floor else ""
        return f"{self.low:.4g} to {self.high:.4g} learned directions{floor}"


def plateau_loss(k: ArrayLike, dim: int, off_diagonal_weight: float) -> Any:
    r"""Return the least loss of an embedding with k learned directions, the height of the plateau.

    $$ L_k = \frac{\lambda d (d - k)}{k + \lambda (d - k)} \quad (\lambda \le 1) $$

    Its k learned directions have eigenvalues $d / (k + \lambda(d - k))$ of the cross-correlation. With
    $\lambda = 1$ the heights are d, d - 1, ..., 0 and the eigenvalues 1, and with larger $\lambda$ too: each direction
    then takes a coordinate for itself.

    Args:
        k: number of learned directions, between 0 and `dim`; may be an array.
        dim: d, number of dimensions of the embedding.
        off_diagonal_weight: $\lambda > 0$; 0.0051 in the original Barlow Twins.

    Source: derived for any $\lambda$; arXiv:2303.15438 has $\lambda = 1$.

    >>> plateau_loss([0, 1, 2, 3], dim=3, off_diagonal_weight=1).tolist()
    [3.0, 2.0, 1.0, 0.0]
    >>> round(plateau_loss(1, dim=8192, off_diagonal_weight=0.0051))
    8000
    """
    d, lam = whole("dim", dim, at_least=1), one_number("off_diagonal_weight", off_diagonal_weight, above=0)
    learned = numbers("k", k, at_least=0, at_most=d)
    heights = _plateau(learned, d, lam)
    return heights if np.ndim(k) else float(heights)


def directions_from_loss(
    loss: float,
    dim: int,
    off_diagonal_weight: float,
    batch_size: int | None = None,
    *,
    normalize: bool = True,
) -> Directions:
    r"""Return how many directions a model has learned, from the value of its Barlow Twins loss.

    The inverse of `plateau_loss`, $k = \lambda d (d - L) / (L (1 - \lambda) + \lambda d)$ for $\lambda \le 1$, after
    the share of the finite batch, about $\lambda d (d-1) (1 - q)^2 / (B - 1)$ with $q = (d-k)/k(d-1)$, is subtracted:
    correlations estimated from B samples are never exactly 0. It is the larger part of a small loss.

    Args:
        loss: value of the loss, at least 0, without a factor in front (0.024 and 0.025 are common).
        dim: d, number of dimensions of the embedding.
        off_diagonal_weight: $\lambda > 0$; 0.0051 in the original Barlow Twins.
        batch_size: B, at least 2; None takes the loss as that of infinitely many samples.
        normalize: whether the loss divides each dimension by its standard deviation over the batch, as the original
            does. Without, as in the theory, embeddings are as large as they like, so that equal views have the same
            plateaus as others and `.high` is `.low`; the share of the batch is $\lambda k (k + 1) c^2 / B$, where c is
            the eigenvalue of `plateau_loss`.

    Returns:
        `.directions` and the interval from `.low` to `.high`, which is $\lambda d^2 / (L + \lambda d)$. A direction of
        the embedding may be there before training: compare with the loss at step 0.

    Raises:
        InputError: for numbers out of range, and a loss below the share of the finite batch.

    Source: derived; the least loss was checked by numerical minimisation, the share of the batch by simulation.

    >>> print(directions_from_loss(4000, dim=8192, off_diagonal_weight=0.0051))
    43.55 to 84.68 learned directions
    >>> round(directions_from_loss(41.9, 2048, 0.0051, batch_size=512).directions)
    2036
    """
    L = one_number("loss", loss, at_least=0)
    d, lam = (
        whole("dim", dim, at_least=1, at_most=_MOST_DIMENSIONS),
        one_number("off_diagonal_weight", off_diagonal_weight, above=0),
    )
    size = np.inf if batch_size is None else whole("batch_size", batch_size, at_least=1, at_most=10**12)
    if size < 2:
        raise InputError("batch_size is 1; expected at least 2, as one sample has no correlations")

    def floor(k: Any) -> Any:
        return share_of_batch(k, d, lam, size, normalize)

    def height(k: Any, share: float = 1.0) -> Any:
        return _plateau(k, d, lam) + share * floor(k)

    least = float(height(np.arange(d + 1.0)).min())
    if (1 - 2 * _FLOOR_ERROR) * least > L + 1e-5 * d:
        raise InputError(
            f"the loss is {L:g}, and correlations of a batch of {size} alone make {least:.4g}; expected a loss above "
            "that: check the batch size (across all devices, if the loss gathers their embeddings), the weight, and a "
            "factor in front of the loss"
        )
    guess, most = _inverse(height, L, 0, d)
    if guess == 0:
        return Directions(0.0, 0.0, 0.0, 0.0)
    low = guess
    if batch_size is not None:
        # The floor is that of features with normal tails, on the average over batches.
        low = _inverse(lambda k: height(k, 1 - _FLOOR_ERROR), L, 0, d)[0]
        most = max(most, _inverse(lambda k: height(k, 1 + _FLOOR_ERROR), L, 0, d)[1])
    high = _inverse(lambda k: lam * d * (d - k) / k + floor(k), L, 1, d)[1] if normalize else most
    return Directions(guess, low, max(most, high), float(floor(guess)))


def share_of_batch(k: Any, d: int, lam: float, batch_size: float, normalize: bool = True) -> Any:
    """Return the part of the loss of k learned directions that is due to the finite batch."""
    if normalize:
        # Correlations of k directions have the mean square q, and those of 1 are the same in every batch.
        q = (d - k) / (np.maximum(k, 1.0) * max(d - 1, 1))
        return lam * d * (d - 1) / (batch_size - 1) * np.maximum(1 - q, 0.0) ** 2
    # The entries of a covariance of k equal variances c, turned at random into d coordinates.
    diagonal = 2 * k**2 / d
    return (lam * (k**2 + k - diagonal) + diagonal) * (_eigenvalue(k, d, lam) ** 2 / batch_size)


def _eigenvalue(k: Any, d: int, lam: float) -> Any:
    return d / (k + min(lam, 1.0) * (d - k))


def _plateau(k: Any, d: int, lam: float) -> Any:
    return min(lam, 1.0) * (d - k) * _eigenvalue(k, d, lam)


def _inverse(height: Callable[[Any], Any], loss: float, least: int, most: int) -> tuple[float, float]:
    """Return the smallest and the largest number of directions at which the height is `loss`.

    Heights fall with the number of directions, unless the share of a small batch rises more than the rest falls.
    """
    grid = np.arange(least, most + 1.0)
    above = height(grid) > loss
    changes = np.flatnonzero(above[1:] != above[:-1])
    if not len(changes):
        end = float(most if above[0] else least)
        return end, end
    ends: list[Any] = [
        brentq(lambda k: height(k) - loss, grid[i], grid[i + 1], xtol=1e-12) for i in changes[[0, -1]]
    ]
    return float(ends[0]), float(ends[1])
