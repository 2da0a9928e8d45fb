"""Read a user's file into arrays: `.npz`, `.csv`, `.parquet`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError, choice

if TYPE_CHECKING:
    import pandas as pd

FILE_TYPES = (".npz", ".csv", ".parquet")

_NPZ_KEYS = (("X", "y"), ("x_train", "y_train"), ("data", "target"))
_TARGET_NAMES = ("target", "label", "y")


@dataclass(frozen=True, eq=False)
class Raw:
    """Inputs and targets as they were read, before any scaling.

    Attributes:
        X: inputs `(n, ...)`, numbers of any type.
        y: targets, labels or numbers.
        notes: what a reader should know.
        columns: the names of the inputs, where they have names.
        images: whether the inputs share one scale.
    """

    X: NDArray
    y: ArrayLike
    notes: Sequence[str] = ()
    columns: Sequence[str] | None = None
    images: bool = False


def read_file(path: Path, name: str, target: str | None = None) -> Raw:
    """Return the arrays in a file.

    Args:
        path: the file.
        name: what the user called it, for messages.
        target: the column, or the array of a `.npz`, to predict.

    Raises:
        InputError: when there is no such file or column, or the file cannot be read.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"there is no file {name!r}; expected a path to an existing {suffix} file")
    return {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}[suffix](path, name, target)


def at_least_two(name: str, n: int) -> None:
    """Raise when a data set has fewer than two rows."""
    if n < 2:
        raise InputError(f"{name!r} has {n} {'row' if n == 1 else 'rows'}; expected at least 2")


def _read_npz(path: Path, name: str, target: str | None) -> Raw:
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = list(archive.files)
            pairs = [(x, target or y) for x, y in _NPZ_KEYS if x in keys and (target or y) in keys]
            if not pairs:
                listed = ", ".join(keys) or "nothing"
                known = " or ".join(f"{x} and {target or y}" for x, y in _NPZ_KEYS)
                raise InputError(
                    f"{name!r} holds the arrays {listed}; expected {known}: save it anew with numpy.savez"
                )
            X, y = archive[pairs[0][0]], archive[pairs[0][1]]
            notes = (
                [f"arrays {pairs[0][0]} and {pairs[0][1]} used; {', '.join(rest)} left out"]
                if (rest := [key for key in keys if key not in pairs[0]])
                else []
            )
    except InputError:
        raise
    # A damaged archive raises BadZipFile, EOFError, OSError or ValueError, depending on where it broke.
    except Exception as error:
        raise InputError(
            f"{name!r} cannot be read as a .npz archive of plain arrays ({_first_line(error)})"
        ) from None
    if X.dtype.kind not in "fiub":
        raise InputError(
            f"array {pairs[0][0]} in {name!r} has type {X.dtype}; expected numbers: encode text first"
        )
    if X.ndim < 2:
        raise InputError(
            f"array {pairs[0][0]} in {name!r} has shape {X.shape}; expected (n, d) or images (n, ...)"
        )
    return Raw(X, y, notes, images=X.ndim > 2)


def _read_csv(path: Path, name: str, target: str | None) -> Raw:
    import pandas as pd

    try:
        with path.open(encoding="utf-8") as file:
            header = file.readline()
        separator = next((s for s in (";", "\t") if s in header and "," not in header), ",")
        first = pd.read_csv(path, sep=separator, header=None, nrows=1)
        # A first line of numbers is data, unless it counts the columns: pandas writes such headers.
        no_header = bool(all(kind.kind in "fi" for kind in first.dtypes) and first.notna().all(axis=None))
        no_header = no_header and first.iloc[0].tolist() != list(range(first.shape[1]))
        table = pd.read_csv(path, sep=separator, header=None if no_header else 0)
    except pd.errors.EmptyDataError:
        raise InputError(f"{name!r} is empty; expected a header and at least 2 rows") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{name!r} cannot be read as a CSV table ({_first_line(error)})") from None
    notes = ["the file has no header, so its columns are named 0, 1, ..."] if no_header else []
    return _from_table(table, name, target, notes)


def _read_parquet(path: Path, name: str, target: str | None) -> Raw:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{name!r} cannot be read as a Parquet table ({_first_line(error)})") from None
    return _from_table(table, name, target, [])


def _from_table(table: "pd.DataFrame", name: str, target: str | None, notes: list[str]) -> Raw:
    from pandas.api.types import is_bool_dtype, is_float_dtype, is_integer_dtype, is_numeric_dtype

    table = table.rename(columns=str)
    # DataFrame.to_csv writes its index as a first column without a name; as an input it would be noise or a
    # leak.
    if table.columns.size and table.columns[0] == "Unnamed: 0" and table.iloc[:, 0].is_unique:
        table = table.iloc[:, 1:]
        notes.append("the first column has no name and looks like row numbers: left out")
    if len(table.columns) < 2:
        raise InputError(
            f"{name!r} has {len(table.columns)} column(s); expected inputs and a target, separated by commas"
        )
    at_least_two(name, len(table))
    columns = list(table.columns)
    if target is None:
        named = [column for column in columns if column.lower() in _TARGET_NAMES]
        target = named[0] if len(named) == 1 else columns[-1]
        notes.append(f"target column: {target!r} ({'by its name' if len(named) == 1 else 'the last one'})")
    else:
        choice(f"column of {name!r}", target, columns)
        notes.append(f"target column: {target!r}")
    inputs = table.drop(columns=target)
    for column in inputs.columns:
        if not is_numeric_dtype(inputs[column]):
            raise InputError(
                f"column {column!r} of {name!r} holds {inputs[column].dtype} values, not numbers; encode it "
                "as numbers first (pandas.get_dummies), or drop it"
            )
    y = table[target]
    absent = y.isna().to_numpy(dtype=bool)
    if absent.any():
        raise InputError(
            f"target column {target!r} of {name!r} has {absent.sum()} missing values, the first in "
            f"data row {absent.argmax() + 1}; drop these rows first"
        )
    for is_kind, kind in ((is_bool_dtype, bool), (is_integer_dtype, np.int64), (is_float_dtype, np.float64)):
        if is_kind(y):
            y = y.astype(kind)
            break
    else:
        y = y.astype(str)
    X = inputs.to_numpy(dtype=np.float64, na_value=np.nan)
    return Raw(X, np.asarray(y.to_numpy()), notes, list(inputs.columns))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
