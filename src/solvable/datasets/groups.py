"""Rules for groups of samples, such as patients or days, which must not be on both sides of a split."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError

# Errors on new groups are averages over groups, whose scatter fewer than this do not show.
FEWEST_GROUPS = 5


def group_array(groups: ArrayLike, n: int) -> NDArray[Any]:
    """Return the groups of n samples as an array `(n,)`.

    Raises:
        InputError: for another shape.
    """
    import pandas as pd

    from solvable.datasets.inputs import as_array, as_pandas, cells, with_gaps

    column = as_pandas(groups)
    array = cells(column) if isinstance(column, pd.Series) else with_gaps(as_array(column, "groups"))
    if array.shape != (n,):
        raise InputError(f"groups has shape {array.shape}; expected one group for each of the {n} points")
    return array


def group_codes(groups: ArrayLike, n: int, after: str = "", fewest: int = FEWEST_GROUPS) -> NDArray[np.int64]:
    """Return each sample's group as an index from 0, in sorted order of the groups.

    Args:
        groups: names, numbers or dates, `(n,)`.
        n: number of samples.
        after: an earlier step to name in the message, such as " without the repeated rows".
        fewest: least number of different groups.

    Raises:
        InputError: for another shape, missing values, names of several types, or too few different groups.

    >>> group_codes(["b", "a", "b"], 3, fewest=2)
    array([1, 0, 1])
    """
    import pandas as pd
    from pandas.api.types import infer_dtype

    array = group_array(groups, n)
    if missing := int(pd.isna(array).sum()):
        raise InputError(f"groups has {missing} missing values; expected a group for each point")
    if infer_dtype(array).startswith("mixed"):
        kinds = sorted({type(one).__name__ for one in array})
        got = f"mixes {' and '.join(kinds)}" if len(kinds) > 1 else f"holds {kinds[0]} values"
        raise InputError(f"groups {got}; expected names or numbers of one type")
    codes, names = pd.factorize(array, sort=True)
    if len(names) < fewest:
        raise InputError(
            f"there are {len(names)} groups{after}; expected at least {fewest}, since each is left out in turn: "
            "collect more groups, or leave out `groups` for errors on new samples of the same groups"
        )
    return codes.astype(np.int64)
