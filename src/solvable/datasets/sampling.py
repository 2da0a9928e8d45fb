"""Random choice of rows of a large data set, stratified by class."""

from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from solvable.errors import InputError


def draw_rows(codes: Int[NDArray, "n"] | None, n: int, rows: int, random_state: int) -> Int[NDArray, "drawn"]:
    """Return the sorted numbers of `rows` rows drawn without replacement from `n`.

    Args:
        codes: the class of each row as a number from 0, to draw each class in proportion; None: draw uniformly.
        n: number of rows in the data, more than `rows`.
        rows: number of rows to draw.
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
    """Return the number of rows of each class, in proportion to `counts`, by largest remainders.

    Each class of two or more rows gets at least one, as long as `rows` suffices for all of them.

    >>> class_shares(np.array([900, 97, 2, 1]), 10)
    array([8, 1, 1, 0])
    """
    exact = rows * counts / counts.sum()
    shares = np.floor(exact).astype(np.int64)
    shares[(shares == 0) & (counts >= 2)] = 1
    while (excess := int(shares.sum()) - rows) > 0:
        spare = shares > 1
        if not spare.any():
            # Too few rows for all classes: the most frequent classes stay.
            shares[np.argsort(np.where(shares > 0, counts, counts.max() + 1), kind="stable")[:excess]] = 0
            break
        shares[np.where(spare, shares - exact, -np.inf).argmax()] -= 1
    short = rows - int(shares.sum())
    remainders = np.where(shares < counts, exact - shares, -np.inf)
    shares[np.argsort(-remainders, kind="stable")[:short]] += 1
    return shares


def number_of(name: str, size: Any, n: int, at_least: int = 1) -> int:
    """Return a number of samples, given as a share of `n` or as a number.

    Args:
        name: name of the argument, for messages.
        size: a share between 0 and 1, or a whole number.
        n: number of samples.
        at_least: the least number that is returned for a share.

    Raises:
        InputError: for another size.

    >>> number_of("test_size", 0.2, 50), number_of("test_size", 20, 50)
    (10, 20)
    """
    is_number = isinstance(size, (int, float, np.integer, np.floating)) and not isinstance(size, bool)
    if not is_number or not 0 < size < np.inf or (size >= 1 and size != int(size)):
        raise InputError(
            f"{name} must be a share between 0 and 1, or a whole number of samples; got {size!r}"
        )
    return max(at_least, round(size * n)) if size < 1 else int(size)
