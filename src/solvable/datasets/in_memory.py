"""Conversion of inputs and targets in memory to arrays and tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from solvable.errors import InputError


def given_inputs(X: Any, name: str) -> tuple[NDArray | pd.DataFrame, Sequence[str] | None]:
    """Return inputs as an array or a table, and names for messages where a table's column names are not text.

    Args:
        X: an array, list, tensor or table.
        name: name of the data in messages.

    Raises:
        InputError: for one dimension, a sparse matrix, an object that is no array, and column names that repeat.
    """
    if isinstance(X, pd.DataFrame):
        if not X.columns.is_unique:
            duplicate = X.columns[X.columns.duplicated()][0]
            raise InputError(
                f"X has more than one column {duplicate!r}; expected unique names: rename the columns"
            )
        kinds = {isinstance(column, str) for column in X.columns}
        if len(kinds) > 1:
            raise InputError(
                "some column names of X are text and others are not; expected text: use X.rename(columns=str)"
            )
        names = None if kinds <= {True} else [str(column) for column in X.columns]
        _at_least_one_column(X.shape, name)
        return X, names
    if hasattr(X, "tocsr") or hasattr(X, "tocoo"):
        raise InputError("X is a sparse matrix; expected a dense array: use X.toarray()")
    array = as_array(X, "X")
    if array.dtype.kind in "US" and not isinstance(X, np.ndarray):
        # A list of numbers and text: NumPy would turn the numbers into text.
        array = np.array(X, dtype=object)
    if array.ndim == 1:
        raise InputError(
            f"X has shape {array.shape}; expected (n, d) or images (n, ...): use X.reshape(-1, 1) for one input column"
        )
    if (
        array.ndim == 0
        or array.dtype.kind not in "fiubUSO"
        or (array.ndim > 2 and array.dtype.kind not in "fiub")
    ):
        raise InputError(
            f"X has shape {array.shape} and type {array.dtype}; expected numbers (n, d) or (n, ...)"
        )
    _at_least_one_column(array.shape, name)
    return array, None


def given_targets(X: Any, y: Any) -> tuple[Any, str | None]:
    """Return targets as an array, column or table, and their name if they have one.

    Raises:
        InputError: when X and y are pandas objects with the same row names in another order.
    """
    if not isinstance(y, (pd.Series, pd.DataFrame)):
        return as_array(y, "y"), None
    if (
        isinstance(X, (pd.Series, pd.DataFrame))
        and not X.index.equals(y.index)
        and X.index.is_unique
        and len(X) == len(y)
        and X.index.sort_values().equals(y.index.sort_values())
    ):
        raise InputError(
            "X and y have the same row names in another order; expected the same order: use y.loc[X.index] as y"
        )
    if isinstance(y, pd.Series):
        return y, None if y.name is None else str(y.name)
    return y if y.shape[1] != 1 else y.iloc[:, 0], ", ".join(map(str, y.columns))


def as_array(values: Any, name: str) -> NDArray:
    """Return a list, a tensor or another object that NumPy can read as an array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):
            values = values.float()
    try:
        return np.asarray(values)
    except (ValueError, TypeError):
        raise InputError(f"{name} cannot be read as an array; expected rows of equal length") from None


def _at_least_one_column(shape: tuple[int, ...], name: str) -> None:
    if 0 in shape[1:]:
        raise InputError(f"X in {name} has shape {shape}; expected at least one column")
