"""Rules for inputs in memory: arrays, tensors, lists, and tables of any library, with rows in one order.

Every function that takes data in memory uses these: `as_pandas` for tables and columns of other libraries, `as_array`
for everything else, `check_rows` for the order of rows; `given_inputs` where text is encoded, and `numeric_inputs`
where only numbers are taken. Masked values are missing values.
"""

from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Complex, Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from solvable.errors import InputError, InputTypeError
from solvable.streams import short

BEYOND_FLOATS = "numbers that floats do not reach; expected at most 1e308 in size: use another unit"
"""End of a sentence about whole numbers, fractions or decimals."""


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
        names = None if _named_by_text(X, "X") else [str(column) for column in X.columns]
        _at_least_one_column(X.shape, name)
        return with_text_names(X), names
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


def numeric_inputs(X: Any, name: str = "X") -> Any:
    """Return inputs of numbers as a pandas table of floats, a sparse matrix with rows, or an array.

    Raises:
        InputError: for text, dates, categories and other objects, numbers beyond floats, column names that repeat, and
            something without rows.

    >>> from decimal import Decimal
    >>> numeric_inputs([[Decimal("1.5"), None], [True, 2]])
    array([[1.5, nan],
           [1. , 2. ]])
    """
    X = as_pandas(X)
    if is_sparse(X):
        return X.tocsr()
    if isinstance(X, pd.DataFrame):
        _named_by_text(X, name)
        X = with_text_names(X)
        if all(isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in X.dtypes):
            return X
        columns = {key: floats(X[key], f"column {short(key)!r} of {name}") for key in X.columns}
        return pd.DataFrame(columns, index=X.index)
    array = as_array(X, name)
    if array.ndim == 0:
        raise InputError(
            f"{name} is a {type(X).__name__} without rows; expected numbers, one row for each sample"
        )
    return array if array.dtype.kind in "fiub" else floats(array, name)


def _named_by_text(table: pd.DataFrame, name: str) -> bool:
    """Return whether the columns of a table are named by text, which all differ."""
    if not table.columns.is_unique:
        duplicate = table.columns[table.columns.duplicated()][0]
        raise InputError(
            f"{name} has more than one column {short(duplicate)!r}; expected unique names: rename the columns"
        )
    kinds = {isinstance(column, str) for column in table.columns}
    if len(kinds) > 1:
        raise InputError(
            f"some column names of {name} are text and others are not; expected text: use {name}.rename(columns=str)"
        )
    return kinds <= {True}


def floats(values: Any, what: str) -> NDArray[np.float64]:
    """Return a column or array as floats, with NaN for missing values; `what` begins the sentences."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        raise InputError(
            f"{what} holds categories; expected numbers: encode them, or use .astype(float) if they are numbers"
        )
    if values.dtype.kind in "fiub":
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    if values.dtype.kind in "mM":
        # As objects, dates of nanoseconds would be whole numbers.
        raise _no_number(
            np.datetime64(0, "D") if not values.size else pd.Series(np.ravel(values)).iloc[0], what
        )
    if values.dtype.kind == "V":
        raise InputError(
            f"{what} has the type {values.dtype}; expected numbers, (n, d): use a table of pandas"
        )
    objects = np.array(values, dtype=object)
    try:
        absent = np.asarray(pd.isna(objects), dtype=bool)
        others = [one for one in objects[~absent] if not isinstance(one, (Real, Decimal, np.bool_))]
        if others:
            raise _no_number(others[0], what)
        objects[absent] = np.nan
        return objects.astype(np.float64)
    except ArithmeticError:
        raise InputError(f"{what} holds {BEYOND_FLOATS}") from None


def _no_number(example: Any, what: str) -> InputError:
    if isinstance(example, str):
        return InputError(f"{what} holds text, as in {short(example)!r}; expected numbers: encode it first")
    if isinstance(example, Complex):
        # In scikit-learn's words, which its checks look for.
        return InputError(f"{what} holds complex numbers; expected real ones: Complex data not supported")
    if isinstance(example, (date, time, timedelta, np.datetime64, np.timedelta64, pd.Period)):
        return InputError(
            f"{what} holds dates or times, as in {str(example)!r}; expected numbers: use the month, or the days since "
            "a start"
        )
    # Again in the words of scikit-learn.
    return InputTypeError(
        f"{what} holds {type(example).__name__} values; expected numbers, since float's argument must be a string or a "
        "real number"
    )


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
    if type(values).__module__.startswith("narwhals"):
        return as_pandas(values.to_native())
    if hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__"):
        import pyarrow as pa

        try:
            if hasattr(values, "columns"):
                # What pandas wrote of its row names and categories is read again.
                return arrow_to_pandas(pa.table(values), ignore_metadata=False)
            column = pa.chunked_array(values if hasattr(values, "__arrow_c_stream__") else [values])
            if pa.types.is_struct(column.type):
                # An array with named axes, as of xarray.
                return values
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


def with_text_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns have text as names, by which scikit-learn finds them in any order."""
    if all(isinstance(column, str) for column in table.columns):
        return table
    return table.set_axis([str(column) for column in table.columns], axis=1)


def arrow_to_pandas(table: Any, ignore_metadata: bool = True) -> pd.DataFrame:
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
        ignore_metadata=ignore_metadata,
    )


def cells(column: Any) -> NDArray:
    """Return a pandas column as an array, in which whole numbers beside gaps keep all digits."""
    return column.to_numpy(dtype=object if column.dtype.kind in "iub" and column.hasnans else None)


def check_rows(**named: Any) -> None:
    """Raise unless all pandas objects among the arguments have the same row names in the same order.

    Row names that pandas gave itself, 0 to n - 1, do not count beside names that are no whole numbers.

    >>> check_rows(X=pd.DataFrame({"a": [1, 2]}, index=["p", "q"]), y=pd.Series([3, 4], index=["p", "q"]))
    """
    tables = {name: as_pandas(value) for name, value in named.items()}
    tables = {name: value for name, value in tables.items() if isinstance(value, (pd.Series, pd.DataFrame))}
    first, *others = tables or [""]
    for name in others:
        index, other = tables[first].index, tables[name].index
        if index.equals(other) or (
            len(index) == len(other)
            and (
                (_numbered(index) and _has_no_integers(other))
                or (_numbered(other) and _has_no_integers(index))
            )
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


def _has_no_integers(index: pd.Index) -> bool:
    return not any(isinstance(one, Integral) for one in index)


def check_columns(**named: Any) -> None:
    """Raise unless all tables among the arguments have the same columns in the same order."""
    tables = {name: as_pandas(value) for name, value in named.items()}
    tables = {name: value for name, value in tables.items() if isinstance(value, pd.DataFrame)}
    first, *others = tables or [""]
    for name in others:
        if not tables[first].columns.equals(tables[name].columns):
            raise InputError(
                f"the columns of {name} are {_listed(tables[name].columns)} and those of {first} "
                f"{_listed(tables[first].columns)}; expected the same in the same order: use {name}[{first}.columns]"
            )


def _listed(names: pd.Index) -> str:
    return ", ".join(repr(short(one)) for one in names[:5]) + (" and others" if len(names) > 5 else "")


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
        if str(values.layout) != "torch.strided":
            raise InputError(f"{name} is a sparse tensor; expected a dense one: use {name}.to_dense()")
        values = values.detach().cpu()
        if "bfloat16" in str(values.dtype):
            values = values.float()
    if isinstance(values, (list, tuple)) and any(isinstance(one, np.ma.MaskedArray) for one in values):
        values = np.ma.array(values)
    if isinstance(values, np.ma.MaskedArray):
        return unmasked(values)
    if is_sparse(values):
        raise _sparse(name)
    try:
        array = np.asarray(values)
        if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
            array = np.array(values, dtype=object)
        elif (
            array.dtype.kind == "f" and isinstance(values, (list, tuple)) and (np.abs(array) >= 2.0**53).any()
        ):
            # Whole numbers beside others keep their digits.
            array = np.array(values, dtype=object)
        elif not array.dtype.isnative and array.dtype.kind in "fiuc":
            array = array.astype(array.dtype.newbyteorder("="))
    except (ValueError, TypeError):
        raise InputError(f"{name} cannot be read as an array; expected rows of equal length") from None
    return array


def point_array(X: Any, name: str = "X") -> NDArray:
    """Return points as an array of numbers; see `numeric_inputs`.

    Raises:
        InputError: as `numeric_inputs`, and for a sparse matrix.
    """
    if is_sparse(X):
        raise _sparse(name)
    return np.asarray(numeric_inputs(X, name))


def with_gaps(text: NDArray) -> NDArray:
    """Return an array of text with None for 'nan', as NumPy writes missing values among text; others unchanged."""
    if text.dtype.kind != "U":
        return text
    objects = text.astype(object)
    objects[text == "nan"] = None
    return objects


def unmasked(values: Any) -> NDArray:
    """Return a masked array with NaN, or None where there is no NaN, in place of what is masked."""
    if not np.ma.is_masked(values):
        return np.asarray(values.data)
    # Images are arrays of numbers; elsewhere objects keep the digits of whole numbers.
    if values.dtype.kind == "f" or (values.ndim > 2 and values.dtype.kind in "iub"):
        return values.astype(np.float64).filled(np.nan)
    objects = values.data.astype(object)
    objects[np.ma.getmaskarray(values)] = None
    return objects


def _sparse(name: str) -> InputError:
    return InputError(f"{name} is a sparse matrix; expected a dense array: use {name}.toarray()")


def is_sparse(X: Any) -> bool:
    """Return whether `X` is a sparse matrix or array of SciPy."""
    return hasattr(X, "tocsr") or hasattr(X, "tocoo")


def _at_least_one_column(shape: tuple[int, ...], name: str) -> None:
    if 0 in shape[1:]:
        raise InputError(f"X in {name} has shape {shape}; expected at least one column")
