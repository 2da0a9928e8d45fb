"""Which rows of a large data set to read: as many of each class as its share asks for."""

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray


def draw_rows(codes: Int[NDArray, "n"] | None, n: int, rows: int, random_state: int) -> Int[NDArray, "drawn"]:
    """Return the numbers of `rows` of `n` rows, drawn without replacement, in rising order.

    Args:
        codes: the class of each row as a number from 0, to draw from each class its share; None: uniformly.
        n: how many rows there are, more than `rows`.
        rows: how many to draw.
        random_state: seed.
    """
    order = np.random.default_rng(random_state).permutation(n)
    if codes is None:
        return np.sort(order[:rows])
    counts = np.bincount(codes)
    order = order[np.argsort(codes[order], kind="stable")]
    rank = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(order[rank < np.repeat(class_shares(counts, rows), counts)])


def class_shares(counts: Int[NDArray, "c"], rows: int) -> Int[NDArray, "c"]:
    """Return how many of `rows` rows fall to each class: its share, by largest remainders.

    A class of two or more rows gets at least one, as long as there are rows for all of them.

    >>> class_shares(np.array([900, 97, 2, 1]), 10)
    array([8, 1, 1, 0])
    """
    exact = rows * counts / counts.sum()
    shares = np.floor(exact).astype(np.int64)
    shares[(shares == 0) & (counts >= 2)] = 1
    while (excess := int(shares.sum()) - rows) > 0:
        spare = shares > 1
        if not spare.any():
            # Too few rows for all classes: the most frequent ones stay.
            shares[np.argsort(np.where(shares > 0, counts, counts.max() + 1), kind="stable")[:excess]] = 0
            break
        shares[np.where(spare, shares - exact, -np.inf).argmax()] -= 1
    short = rows - int(shares.sum())
    remainders = np.where(shares < counts, exact - shares, -np.inf)
    shares[np.argsort(-remainders, kind="stable")[:short]] += 1
    return shares
