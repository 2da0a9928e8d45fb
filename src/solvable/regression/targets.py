"""`Targets`: the columns that a model is fitted to and, for classes, how a class is read off its outputs."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.datasets import encode_targets


@dataclass(frozen=True, eq=False)
class Targets:
    """Columns of numbers to fit, and the classes that they stand for.

    Attributes:
        columns: `(n, c)`.
        classes: the name of each column, `()` for numbers.
        codes: index of each sample's class, `(n,)`, or None for numbers.
        offset: added to predictions, `(c,)`: the mean of centred columns, else 0. The predicted class is the one of the
            largest sum.
        intercept: whether the model has an intercept, which is fitted to each training set and not penalised.
    """

    columns: NDArray[np.float64]
    classes: tuple[str, ...] = ()
    codes: NDArray[np.int64] | None = None
    offset: NDArray[np.float64] | float = 0.0
    intercept: bool = False

    @classmethod
    def of(cls, columns: NDArray[np.float64], classes: tuple[str, ...]) -> "Targets":
        """Return targets with the codes that one-hot columns, shifted or not, stand for."""
        return cls(columns, classes, columns.argmax(axis=1) if classes else None)

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, rows: NDArray[Any]) -> "Targets":
        """Return the targets of some samples, by mask or index."""
        codes = None if self.codes is None else self.codes[rows]
        return replace(self, columns=self.columns[rows], codes=codes)

    def centred(self) -> "Targets":
        """Return the targets with each column's mean moved into the offset."""
        mean = self.columns.mean(axis=0)
        return replace(self, columns=self.columns - mean, offset=self.offset + mean, intercept=True)


def as_targets(y: "ArrayLike | Targets") -> Targets:
    """Return labels or numbers as `Targets` without an intercept, encoded by `datasets.encode_targets`.

    Raises:
        InputError: when `y` cannot be used.

    >>> as_targets(["cat", "dog", "cat"]).codes
    array([0, 1, 0])
    """
    return y if isinstance(y, Targets) else Targets.of(*encode_targets(y))
