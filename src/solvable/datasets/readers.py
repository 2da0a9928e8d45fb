"""Read a user's file: `.npz`, `.csv`, `.parquet`; the target first, then all inputs or those of some rows."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from solvable.checks import choice
from solvable.errors import InputError
from solvable.progress import progress

if TYPE_CHECKING:
    import pandas as pd

FILE_TYPES = (".npz", ".csv", ".parquet")

_NPZ_KEYS = (("X", "y"), ("x_train", "y_train"), ("data", "target"))
_TARGET_NAMES = ("target", "label", "y")
_DECIMAL_COMMA = re.compile(r"(^|;)\s*[+-]?\d+,\d+\s*(;|$)", re.MULTILINE)
# Rows that are in memory at a time when a few of many are picked: 100 columns of these are 50 MB.
_BATCH = 65536
# `DataFrame.to_csv` gives its index, written as a first column, no name, and `read_csv` gives it this one.
_NO_NAME = "Unnamed: 0"


@dataclass(frozen=True, eq=False)
class Source:
    """Targets as they were read, and a way to read the inputs, before any scaling.

    Attributes:
        y: targets, labels or numbers, of all rows.
        read: returns the inputs of the rows with these numbers (rising), or of all rows for None: a table, or an
            array of numbers `(n, ...)`.
        notes: what a reader should know.
        names: the names of the inputs, where they are an array and have names.
        images: whether the inputs share one scale.
        target_name: the name of the target, where it has one.
        n_inputs: the number of inputs, where they do not come from the same rows as the targets.
    """

    y: Any
    read: Callable[[Int[NDArray, "rows"] | None], Any]
    notes: Sequence[str] = ()
    names: Sequence[str] | None = None
    images: bool = False
    target_name: str | None = None
    n_inputs: int | None = None

    @classmethod
    def of_arrays(cls, X: Any, y: Any, **facts: Any) -> "Source":
        """Return inputs and targets that are in memory already."""

        def read(rows: NDArray[np.int64] | None) -> Any:
            return X if rows is None else X.iloc[rows] if hasattr(X, "iloc") else X[rows]

        return cls(y, read, n_inputs=len(X), **facts)


def open_file(
    path: Path,
    name: str,
    target: str | None = None,
    drop: Sequence[str] = (),
    *,
    rows: int | None = None,
    quiet: bool = True,
) -> Source:
    """Return the targets in a file and a way to read its inputs.

    Args:
        path: the file.
        name: what the user called it, for messages.
        target: the column, or the array of a `.npz`, to predict.
        drop: columns to leave out.
        rows: how many rows will be wanted, so that a table with more is never read as a whole; None: all.
        quiet: whether to show no progress bar.

    Raises:
        InputError: when there is no such file or column, or the file cannot be read.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"there is no file {name!r}; expected a path to an existing {suffix} file")
    if suffix == ".npz":
        return _open_npz(path, name, target, drop)
    return {".csv": _open_csv, ".parquet": _open_parquet}[suffix](path, name, target, drop, rows, quiet)


def read_column(path: Path, name: str, column: str) -> NDArray[Any]:
    """Return one column of a table (of a `.npz`: one array), as it stands.

    Args:
        path: the file.
        name: what the user called it, for messages.
        column: its name.

    Raises:
        InputError: when there is no such file or column.
    """
    import pandas as pd

    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"there is no file {name!r}; expected a path to an existing {suffix} file")
    with _readable(name, f"a {suffix} file"):
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return archive[choice(f"array of {name!r}", column, archive.files)]
        if suffix == ".parquet":
            from pyarrow import parquet

            choice(f"column of {name!r}", column, parquet.ParquetFile(path).schema_arrow.names)
            return pd.read_parquet(path, columns=[column])[column].to_numpy()
        separator = _separator(path)
        options: dict[str, Any] = {
            "header": None if _no_header(path, separator) else 0,
            "skipinitialspace": True,
        }
        names = [str(one) for one in pd.read_csv(path, sep=separator, nrows=2, **options).columns]
        choice(f"column of {name!r}", column, names)
        table = pd.read_csv(path, sep=separator, usecols=[names.index(column)], low_memory=False, **options)
        return table.iloc[:, 0].to_numpy()


def _separator(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        header = file.readline()
    return next((s for s in (";", "\t") if s in header and "," not in header), ",")


def _no_header(path: Path, separator: str) -> bool:
    import pandas as pd

    first = pd.read_csv(path, sep=separator, header=None, nrows=1)
    # A first line of numbers is data, unless it counts the columns: pandas writes such headers.
    numbers = bool(all(kind.kind in "fi" for kind in first.dtypes) and first.notna().all(axis=None))
    return numbers and first.iloc[0].tolist() != list(range(first.shape[1]))


def _decimal_commas(path: Path) -> bool:
    """Return whether cells that semicolons part hold numbers with a comma."""
    with path.open(encoding="utf-8") as file:
        return _DECIMAL_COMMA.search(file.read(100_000)) is not None


def at_least_two(shown: str, n: int) -> None:
    """Raise when a data set has fewer than two rows."""
    if n < 2:
        raise InputError(f"{shown} has {n} {'row' if n == 1 else 'rows'}; expected at least 2")


def _open_npz(path: Path, name: str, target: str | None, drop: Sequence[str]) -> Source:
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
    if drop:
        raise InputError(
            f"the columns of {name!r} have no names, and {', '.join(drop)} cannot be dropped; expected a .csv or "
            ".parquet file: leave them out of the array instead"
        )
    if X.dtype.kind not in "fiub":
        raise InputError(
            f"array {pairs[0][0]} in {name!r} has type {X.dtype}; expected numbers: encode text first"
        )
    if X.ndim < 2:
        raise InputError(
            f"array {pairs[0][0]} in {name!r} has shape {X.shape}; expected (n, d) or images (n, ...)"
        )
    return Source.of_arrays(X, y, notes=notes, images=X.ndim > 2, target_name=pairs[0][1])


def _open_csv(
    path: Path, name: str, target: str | None, drop: Sequence[str], rows: int | None, quiet: bool
) -> Source:
    import pandas as pd

    def read(**options: Any) -> Any:
        # `low_memory` would guess the type of a column piece by piece, and mix numbers and text in one column.
        known: dict[str, Any] = {"low_memory": False, "skipinitialspace": True, "decimal": decimal} | options
        return pd.read_csv(path, sep=separator, header=None if no_header else 0, **known)

    def fields() -> int:
        return pd.read_csv(path, sep=separator, header=None, skiprows=1, nrows=1).shape[1]

    with _readable(name, "a CSV table"):
        separator = _separator(path)
        no_header = _no_header(path, separator)
        decimal = "," if separator == ";" and _decimal_commas(path) else "."
        notes = ["the file has no header, so its columns are named 0, 1, ..."] if no_header else []
        head = read(nrows=2)
        # With one name less than columns pandas takes the first column for row names, and counts without it.
        plain = rows is not None and len(head) > 1 and fields() == len(head.columns)
        if rows is None or not plain:
            return _open_table(read(), name, target, drop, notes)
        columns = _Columns.choose(head.columns, name, target, drop)
        wanted = sorted({columns.all.index(columns.target)} | ({0} if columns.all[0] == _NO_NAME else set()))
        narrow = read(usecols=wanted)
        narrow.columns = [columns.all[i] for i in wanted]
        if len(narrow) <= rows:
            return _open_table(read(), name, target, drop, notes)
    columns = columns.without_row_numbers(narrow)
    n = len(narrow)

    def read_inputs(chosen: NDArray[np.int64] | None) -> "pd.DataFrame":
        from io import StringIO

        chosen = np.arange(n) if chosen is None else chosen
        kept = []
        pieces = read(chunksize=_BATCH, low_memory=True, dtype=str)
        for start, piece in _counted(pieces, f"reading {name}", n, quiet):
            inside = chosen[(chosen >= start) & (chosen < start + len(piece))]
            kept.append(piece.iloc[inside - start])
        # Types are guessed from all chosen rows together, as from a file that has no others.
        text = pd.concat(kept).set_axis(columns.all, axis=1)[columns.inputs].to_csv(index=False)
        return pd.read_csv(StringIO(text), low_memory=False, decimal=decimal).set_axis(columns.inputs, axis=1)

    return Source(narrow[columns.target], read_inputs, [*notes, *columns.notes], target_name=columns.target)


def _open_parquet(
    path: Path, name: str, target: str | None, drop: Sequence[str], rows: int | None, quiet: bool
) -> Source:
    import pyarrow as pa
    from pyarrow import parquet

    with _readable(name, "a Parquet table"):
        file = parquet.ParquetFile(path, pre_buffer=False)
        schema = file.schema_arrow
        # The index of a pandas table is a column too: row names, no input.
        index = [
            column
            for column in (schema.pandas_metadata or {}).get("index_columns", [])
            if isinstance(column, str)
        ]
        columns = _Columns.choose(
            [column for column in schema.names if column not in index], name, target, drop
        )
        wanted = list({columns.target} | ({_NO_NAME} if columns.all[0] == _NO_NAME else set()))
        narrow: Any = file.read(columns=wanted).to_pandas(ignore_metadata=True)
        columns = columns.without_row_numbers(narrow)
    n = len(narrow)
    at_least_two(repr(name), n)

    def read_inputs(chosen: NDArray[np.int64] | None) -> "pd.DataFrame":
        with _readable(name, "a Parquet table"):
            if chosen is None:
                return file.read(columns=columns.inputs).to_pandas(ignore_metadata=True)[columns.inputs]
            pieces = file.iter_batches(_BATCH, columns=columns.inputs)
            kept = [
                # `take` copies: a slice would keep the whole batch in memory.
                piece.take(pa.array(chosen[(chosen >= start) & (chosen < start + len(piece))] - start))
                for start, piece in _counted(pieces, f"reading {name}", n, quiet)
            ]
            return pa.Table.from_batches(kept).to_pandas(ignore_metadata=True)[columns.inputs]

    return Source(narrow[columns.target], read_inputs, columns.notes, target_name=columns.target)


def _open_table(
    table: "pd.DataFrame", name: str, target: str | None, drop: Sequence[str], notes: Sequence[str]
) -> Source:
    columns = _Columns.choose(table.columns, name, target, drop)
    table = table.set_axis(columns.all, axis=1)
    columns = columns.without_row_numbers(table)
    at_least_two(repr(name), len(table))
    return Source.of_arrays(
        table[columns.inputs],
        table[columns.target],
        notes=[*notes, *columns.notes],
        target_name=columns.target,
    )


@dataclass(frozen=True)
class _Columns:
    """The columns of a table as strings: all of them, the inputs, the target, and how it was chosen."""

    all: list[str]
    inputs: list[str]
    target: str
    notes: list[str]

    @classmethod
    def choose(cls, found: Iterable[Any], name: str, target: str | None, drop: Sequence[str]) -> "_Columns":
        """Return what is an input and what is the target."""
        columns = [str(column) for column in found]
        if twice := [column for i, column in enumerate(columns) if column in columns[:i]]:
            raise InputError(
                f"{name!r} has more than one column {twice[0]!r}; expected names that differ: rename them"
            )
        for column in drop:
            choice(f"column of {name!r} to drop", column, columns)
        if target is not None:
            choice(f"column of {name!r}", target, columns)
            if target in drop:
                raise InputError(f"column {target!r} of {name!r} is both the target and dropped; choose one")
        left = [column for column in columns if column not in drop]
        if len(left) < 2:
            without = f" besides {', '.join(drop)}" if drop else ""
            raise InputError(
                f"{name!r} has {len(left)} column(s){without}; expected inputs and a target, separated by commas"
            )
        notes = [f"left out, as asked: {', '.join(dict.fromkeys(drop))}"] if drop else []
        if target is None:
            named = [column for column in left if column.lower() in _TARGET_NAMES]
            target = named[0] if len(named) == 1 else left[-1]
            notes.append(
                f"target column: {target!r} ({'by its name' if len(named) == 1 else 'the last one'})"
            )
        else:
            notes.append(f"target column: {target!r}")
        return cls(columns, [column for column in left if column != target], target, notes)

    def without_row_numbers(self, table: "pd.DataFrame") -> "_Columns":
        """Leave out a first column that was an index; as an input it would be noise or a leak."""
        if self.inputs[0] != _NO_NAME or self.all[0] != _NO_NAME or not table[_NO_NAME].is_unique:
            return self
        if len(self.inputs) == 1:
            raise InputError(
                f"the table has no inputs besides {self.target!r} and row numbers; expected at least one: add columns"
            )
        note = "the first column has no name and looks like row numbers: left out"
        return _Columns(self.all, self.inputs[1:], self.target, [note, *self.notes])


@contextmanager
def _readable(name: str, what: str) -> Iterator[None]:
    """Say in a sentence that a file is not what its ending says."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, OSError) as error:
        if type(error).__name__ == "EmptyDataError":
            raise InputError(f"{name!r} is empty; expected a header and at least 2 rows") from None
        mend = "; save it as UTF-8" if isinstance(error, UnicodeError) else ""
        raise InputError(f"{name!r} cannot be read as {what} ({_first_line(error)}){mend}") from None


def _counted(pieces: Any, words: str, total: int, quiet: bool) -> Iterator[tuple[int, Any]]:
    """Yield pieces of a table with the number of the first row of each, under a progress bar."""
    start = 0
    with progress(words, total, quiet=quiet) as advance:
        for piece in pieces:
            yield start, piece
            start += len(piece)
            advance(len(piece))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
