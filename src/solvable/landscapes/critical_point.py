"""The record of a class of critical points, and how records are made for all subsets of eigenvectors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError

MOST_SUBSETS = 1_000_000
"""Subsets that are listed at most; a record takes about 300 bytes."""


@dataclass(frozen=True, slots=True)
class CriticalPoint:
    """A class of critical points of a linear network's loss, with the inertia of its Hessian.

    Attributes:
        subset: positions of the eigenvectors that the network reproduces; it projects onto their span.
        loss: the loss, the same on the whole class.
        n_negative: number of negative eigenvalues of the Hessian, the index.
        n_zero: number of zero eigenvalues, the nullity.
        n_positive: number of positive eigenvalues.
        tight: whether all hidden units are used or, in a deep network, the middle matrices are 0 on the unused ones. No
            unused unit adds a negative eigenvalue then. See `deep_linear`.
    """

    subset: tuple[int, ...]
    loss: float
    n_negative: int
    n_zero: int
    n_positive: int
    tight: bool

    @property
    def index_fraction(self) -> float:
        """The index divided by the number of parameters."""
        return self.n_negative / (self.n_negative + self.n_zero + self.n_positive)


def subsets_by_size(n_eigenvectors: int, most: int) -> Iterator[list[tuple[int, ...]]]:
    """Return the subsets of `range(n_eigenvectors)` with 0, 1, ... up to `most` elements, one list for each size.

    Raises:
        InputError: if there are more than `MOST_SUBSETS` of them.
    """
    sizes = range(min(n_eigenvectors, most) + 1)
    total = sum(comb(n_eigenvectors, m) for m in sizes)
    if total > MOST_SUBSETS:
        raise InputError(
            f"{n_eigenvectors} eigenvectors and {most} hidden units give {total:,} classes of critical points; "
            f"expected at most {MOST_SUBSETS:,}: use fewer hidden units"
        )
    return (list(combinations(range(n_eigenvectors), m)) for m in sizes)


def check_subset(subset: Iterable[int], n_eigenvectors: int, n_hidden: int) -> tuple[int, ...]:
    """Return `subset` in ascending order.

    Raises:
        InputError: for positions that do not exist or occur twice, and for more of them than hidden units.
    """
    positions: list[Any] = list(subset)
    whole = all(isinstance(i, (int, np.integer)) and 0 <= i < n_eigenvectors for i in positions)
    if not whole or len(set(positions)) < len(positions):
        raise InputError(
            f"subset is {tuple(positions)}; expected different positions from 0 to {n_eigenvectors - 1}"
        )
    if len(positions) > n_hidden:
        raise InputError(
            f"subset has {len(positions)} positions; expected at most n_hidden, which is {n_hidden}"
        )
    return tuple(sorted(int(i) for i in positions))


def records(
    subsets: list[tuple[int, ...]],
    eigenvalues: NDArray[np.float64],
    *,
    scale: float,
    unexplained: float = 0.0,
    from_unused: int,
    n_zero: int,
    n_parameters: int,
    tight: bool,
) -> list[CriticalPoint]:
    r"""Return the records of subsets S of one size m.

    The loss is the unexplained part plus $s \sum_{i \notin S} \lambda_i$. The index counts the inversions, pairs of i
    in S and j not in S with $\lambda_j > \lambda_i$, and the negative eigenvalues that come from unused hidden units.

    Args:
        subsets: subsets of the positions of `eigenvalues`, all with m elements.
        eigenvalues: $\lambda_i$, all different, in any order.
        scale: s.
        unexplained: loss of the best linear map.
        from_unused: number of negative eigenvalues due to unused hidden units.
        n_zero: the nullity.
        n_parameters: number of parameters.
        tight: goes into the records.
    """
    k, m = len(eigenvalues), len(subsets[0])
    members = np.array(subsets, dtype=np.intp).reshape(len(subsets), m)
    left_out = np.ones((len(subsets), k), dtype=bool)
    np.put_along_axis(left_out, members, False, axis=1)
    # A difference of sums would leave rounding errors where the loss is small or 0; einsum makes no float copy.
    losses = unexplained + scale * np.einsum("sk,k->s", left_out, eigenvalues)
    ranks = np.argsort(np.argsort(eigenvalues))
    # A member of rank t has k - 1 - t eigenvalues above it; m (m - 1) / 2 such pairs lie within S.
    inversions = m * (k - 1) - ranks[members].sum(axis=1) - m * (m - 1) // 2
    return [
        CriticalPoint(subset, loss, index, n_zero, n_parameters - n_zero - index, tight)
        for subset, loss, index in zip(
            subsets, losses.tolist(), (inversions + from_unused).tolist(), strict=True
        )
    ]
