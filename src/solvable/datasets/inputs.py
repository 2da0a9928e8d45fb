"""Rules for inputs in memory: arrays, tensors, lists, and tables of any library, with rows in one order.

Every function that takes data in memory uses these: `as_pandas` for tables and columns of other libraries, `as_array`
for everything else, `check_rows` for the order of rows. Masked values are missing values.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from solvable.errors import InputError


def given_inputs(X: Any, name: str) -> tuple[NDArray | pd.DataFrame, Sequence[str] | None]:
    """Return inputs as an array or a pandas table, and names for messages if a table's column names are not text.

    Args:
        X: an array, list, tensor or table.
        name: name of the data in messages.

    Raises:
        InputError: for one dimension, a sparse matrix, an object that is no array, and column names that repeat.
    """
    X = as_pandas(X)
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
    array = as_array(X, "X")
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


def as_pandas(values: Any) -> Any:
    """Return a table or column of polars, pyarrow or another library as pandas', and everything else unchanged.

    Names, gaps and all digits of whole numbers are kept.

    Raises:
        InputError: for a table that only its own library can read, such as one that is not computed yet.

    >>> import pyarrow as pa
    >>> as_pandas(pa.table({"size": [10**18 + 1, None]}))["size"].tolist()
    [1000000000000000001, <NA>]
    """
    if isinstance(values, (np.ndarray, list, tuple, pd.DataFrame, pd.Series)):
        return values
    if isinstance(values, (pd.Index, pd.api.extensions.ExtensionArray)):
        return pd.Series(values)
    if hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__"):
        import pyarrow as pa

        try:
            if hasattr(values, "columns"):
                return arrow_to_pandas(pa.table(values))
            column = pa.chunked_array(values if hasattr(values, "__arrow_c_stream__") else [values])
        except pa.ArrowException as error:
            raise InputError(
                f"the {type(values).__name__} cannot be read ({str(error).splitlines()[0]}); expected columns of "
                "numbers, text or booleans: convert the others"
            ) from None
        return arrow_to_pandas(pa.table({"": column})).iloc[:, 0].rename(getattr(values, "name", None))
    if hasattr(values, "to_pandas"):
        return values.to_pandas()
    if hasattr(values, "columns") and hasattr(values, "collect"):
        raise InputError(f"the table is a {type(values).__name__}; expected one in memory: use .collect()")
    return values


def arrow_to_pandas(table: Any) -> pd.DataFrame:
    """Return a pyarrow table as pandas', with types that hold whole numbers and booleans next to gaps."""
    import pyarrow as pa

    # By default pandas makes floats of whole numbers with gaps, which loses digits beyond 2**53.
    kinds = {
        pa.bool_(): pd.BooleanDtype(),
        **{getattr(pa, f"int{bits}")(): getattr(pd, f"Int{bits}Dtype")() for bits in (8, 16, 32, 64)},
        **{getattr(pa, f"uint{bits}")(): getattr(pd, f"UInt{bits}Dtype")() for bits in (8, 16, 32, 64)},
    }
    with_gaps = {
        field.type for field, column in zip(table.schema, table.columns, strict=True) if column.null_count
    }
    return table.to_pandas(
        types_mapper={kind: dtype for kind, dtype in kinds.items() if kind in with_gaps}.get,
        ignore_metadata=True,
    )


def cells(column: Any) -> NDArray:
    """Return a pandas column as an array, in which whole numbers beside gaps keep all digits."""
    return column.to_numpy(dtype=object if column.dtype.kind in "iub" and column.hasnans else None)


def check_rows(**named: Any) -> None:
    """Raise unless all pandas objects among the arguments have the same row names in the same order.

    Row names that pandas gave itself, 0 to n - 1, do not count beside other ones that have no name in common with them.

    >>> check_rows(X=pd.DataFrame({"a": [1, 2]}, index=["p", "q"]), y=pd.Series([3, 4], index=["p", "q"]))
    """
    tables = {name: value for name, value in named.items() if isinstance(value, (pd.Series, pd.DataFrame))}
    first, *others = tables or [""]
    for name in others:
        index, other = tables[first].index, tables[name].index
        if index.equals(other) or (
            len(index) == len(other)
            and (_numbered(index) or _numbered(other))
            and set(index).isdisjoint(other)
        ):
            continue
        if len(index) != len(other):
            difference = f"{len(index)} and {len(other)} rows"
        elif index.is_unique and set(index) == set(other):
            difference = "the same row names in another order"
        else:
            row = next(
                i
                for i, (one, two) in enumerate(zip(index, other, strict=True))
                if one is not two and one != two
            )
            difference = f"different row names, {index[row]!r} and {other[row]!r} in row {row + 1}"
        raise InputError(
            f"{first} and {name} have {difference}; expected the same rows in the same order: use "
            f"{name}.loc[{first}.index], or {name}.to_numpy() if they are in the same order"
        )


def check_lengths(n_rows: int, n_targets: int, X: str = "X", y: str = "y") -> None:
    """Raise unless there is one target for each row; `X` and `y` are their names in the message."""
    if n_rows != n_targets:
        raise InputError(f"{X} has {n_rows} rows and {y} has {n_targets}; expected one target for each row")


def _numbered(index: pd.Index) -> bool:
    return index.equals(pd.RangeIndex(len(index)))


def as_array(values: Any, name: str) -> NDArray:
    """Return a list, tensor, table or masked array as an array, in which masked values are missing ones.

    A list that mixes numbers and text becomes an array of objects, in which the numbers stay numbers.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):
            values = values.float()
    if isinstance(values, np.ma.MaskedArray):
        return unmasked(values)
    if is_sparse(values):
        raise InputError(f"{name} is a sparse matrix; expected a dense array: use {name}.toarray()")
    try:
        array = np.asarray(values)
        if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
            array = np.array(values, dtype=object)
    except (ValueError, TypeError):
        raise InputError(f"{name} cannot be read as an array; expected rows of equal length") from None
    return array


def point_array(X: Any, name: str = "X") -> NDArray:
    """Return points as an array with rows; see `as_array`.

    Raises:
        InputError: for a sparse matrix, a table that cannot be read, and something without rows.
    """
    array = as_array(as_pandas(X), name)
    if array.ndim == 0:
        raise InputError(f"{name} is a {type(X).__name__} without rows; expected points (n, d)")
    return array


def unmasked(values: Any) -> NDArray:
    """Return a masked array with NaN, or None where there is no NaN, in place of what is masked."""
    if not np.ma.is_masked(values):
        return np.asarray(values.data)
    if values.dtype.kind == "f" or (values.ndim > 1 and values.dtype.kind in "iub"):
        return values.astype(np.float64).filled(np.nan)
    objects = values.data.astype(object)
    objects[np.ma.getmaskarray(values)] = None
    return objects


def is_sparse(X: Any) -> bool:
    """Return whether `X` is a sparse matrix or array of SciPy."""
    return hasattr(X, "tocsr") or hasattr(X, "tocoo")


def _at_least_one_column(shape: tuple[int, ...], name: str) -> None:
    if 0 in shape[1:]:
        raise InputError(f"X in {name} has shape {shape}; expected at least one column")
