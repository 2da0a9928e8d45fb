"""`Targets`: what a model of this wing is fitted to, and, for classes, how its answer is read off the columns."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.datasets import encode_targets
from solvable.errors import InputError

# Errors on new groups are averages over groups: fewer say nothing about their scatter.
FEWEST_GROUPS = 5


@dataclass(frozen=True, eq=False)
class Targets:
    """Columns of numbers to fit, and the classes that they stand for.

    Attributes:
        columns: `(n, c)`.
        classes: the name of each column, `()` for numbers.
        codes: index of each sample's class, `(n,)`, or None for numbers.
        offset: what is added to predictions, `(c,)`: the intercept where the columns are centred, else 0. The class
            that is answered is the one of the largest sum.
        intercept: whether the offset is the mean of the training labels, and not known beforehand.
    """

    columns: NDArray[np.float64]
    classes: tuple[str, ...] = ()
    codes: NDArray[np.int64] | None = None
    offset: NDArray[np.float64] | float = 0.0
    intercept: bool = False

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, rows: NDArray[Any]) -> "Targets":
        """Return those of some samples, by mask or index."""
        return replace(
            self, columns=self.columns[rows], codes=None if self.codes is None else self.codes[rows]
        )

    def centred(self) -> "Targets":
        """Return them with each column's mean moved into the offset."""
        mean = self.columns.mean(axis=0)
        return replace(self, columns=self.columns - mean, offset=self.offset + mean, intercept=True)


def as_targets(y: "ArrayLike | Targets") -> Targets:
    """Return labels or numbers as `Targets`, by the rules of `datasets.encode_targets`, without an intercept.

    Raises:
        InputError: when `y` cannot be used.

    >>> as_targets(["cat", "dog", "cat"]).codes
    array([0, 1, 0])
    """
    if isinstance(y, Targets):
        return y
    columns, classes = encode_targets(y)
    return Targets(columns, classes, columns.argmax(axis=1) if classes else None)


def group_codes(groups: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return each point's group as an index from 0.

    Args:
        groups: names or numbers, `(n,)`.
        n: how many points there are.

    Raises:
        InputError: when there is not one for each point, or fewer than five different ones.
    """
    import pandas as pd

    from solvable.datasets.in_memory import as_array

    array = as_array(groups, "groups")
    if array.shape != (n,):
        raise InputError(f"groups has shape {array.shape}; expected one group for each of the {n} points")
    if missing := int(pd.isna(array).sum()):
        raise InputError(f"groups has {missing} missing values; expected a group for each point")
    names, codes = np.unique(array.astype(str) if array.dtype.kind == "O" else array, return_inverse=True)
    if len(names) < FEWEST_GROUPS:
        raise InputError(
            f"there are {len(names)} groups; expected at least {FEWEST_GROUPS}, since each is left out in turn; "
            "leave groups out, and take the errors as those on new samples of the same groups"
        )
    return codes
