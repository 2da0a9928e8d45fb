"""Readers of `.npz`, `.csv` and `.parquet` files: the target first, then the inputs of all or of some rows."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from solvable.datasets.csv_files import WHOLE, CsvFile
from solvable.datasets.files import (
    LONGEST_PATH,
    array_of,
    choose,
    existing_file,
    listed,
    need_memory_for,
    plain,
    read_errors,
    refuse_repeats,
)
from solvable.errors import InputError
from solvable.progress import progress
from solvable.streams import short

if TYPE_CHECKING:
    import pandas as pd

FILE_TYPES = (".npz", ".csv", ".parquet")

# As pandas names what has no name.
_UNNAMED = re.compile(r"|Unnamed: \d+(?:\.\d+)*")
_NPZ_KEYS = (("X", "y"), ("x_train", "y_train"), ("data", "target"))
_TARGET_NAMES = ("target", "label", "y")
# Number of rows in memory at a time while some rows are selected: 100 columns of these take 50 MB.
_BATCH = 65536
_SMALL_FILE = 10**8


@dataclass(frozen=True, eq=False)
class Source:
    """Raw targets, and a function that reads the raw inputs.

    Attributes:
        y: targets, labels or numbers, of all rows.
        read: returns the inputs of the rows with these ascending numbers, or of all rows for None: a table, or an
            array of numbers `(n, ...)`.
        notes: notes on the reading, for the user.
        names: names of the columns of an input array, if it has names.
        images: whether the inputs share one scale.
        target_name: the name of the target, if it has one.
        n_inputs: the number of inputs, if they do not come from the same rows as the targets.
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
        """Return a source of inputs and targets in memory."""

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
    """Return the targets in a file and a function that reads its inputs.

    Args:
        path: the file.
        name: the user's name for the file, for messages.
        target: the column, or the array of a `.npz`, to predict.
        drop: columns to remove.
        rows: number of rows that will be needed, so that a larger table is never read as a whole; None: all.
        quiet: whether to hide the progress bar.

    Raises:
        InputError: for a file or column that does not exist, or a file that cannot be read.
    """
    suffix = path.suffix.lower()
    path = existing_file(path, name, f"a path to an existing {suffix} file")
    if suffix == ".npz":
        return _open_npz(path, name, target, drop)
    return {".csv": _open_csv, ".parquet": _open_parquet}[suffix](path, name, target, drop, rows, quiet)


def read_column(path: Path, name: str, column: str) -> NDArray[Any]:
    """Return one unprocessed column of a table (of a `.npz`: one array).

    Args:
        path: the file.
        name: the user's name for the file, for messages.
        column: name of the column.

    Raises:
        InputError: for a file or column that does not exist.
    """

    from solvable.datasets.inputs import arrow_to_pandas, cells

    suffix, name = path.suffix.lower(), short(name, LONGEST_PATH)
    path = existing_file(path, name, f"a path to an existing {suffix} file")
    with read_errors(name, suffix):
        if suffix == ".npz":
            with path.open("rb") as stream, np.lib.npyio.NpzFile(stream) as archive:
                return array_of(archive, choose(f"array of {name!r}", column, archive.files), name)
        if suffix == ".parquet":
            from pyarrow import parquet

            file = parquet.ParquetFile(path)
            refuse_repeats(file.schema_arrow.names, name)
            choose(f"column of {name!r}", column, file.schema_arrow.names)
            need_memory_for(name, 8 * file.metadata.num_rows)
            return cells(arrow_to_pandas(file.read(columns=[column]))[column])
        file = CsvFile.of(path, name)
        choose(f"column of {name!r}", column, file.names)
        return cells(_digits_kept(file.read([column])[column], file))


def _digits_kept(column: Any, file: CsvFile) -> Any:
    """Return a column of a file, with all digits of whole numbers beyond 2**53 that stand beside gaps.

    Raises:
        InputError: for different texts that are one number, such as 01 and 1, which may be names.
    """
    import pandas as pd

    if column.dtype.kind in "iu":
        text = file.as_text([str(column.name)])[column.name].str.strip()
        spellings = text.groupby(column).unique()
        if (several := spellings[spellings.map(len) > 1]).size:
            first, second, *_ = several.iloc[0]
            raise InputError(
                f"column {short(column.name)!r} of {file.name!r} holds {short(first)!r} and {short(second)!r}, which "
                "are one number; expected one spelling of each: put a letter before them if they are names"
            )
        return column
    if column.dtype.kind != "f" or not column.isna().any() or not (column.abs() >= 2.0**53).any():
        return column
    text = file.as_text([str(column.name)])[column.name]
    if not text.dropna().str.fullmatch(WHOLE).all():
        return column
    integers = [None if pd.isna(one) else int(one) for one in text]
    # Beyond 64 bits they stay objects, which are refused.
    bits = "UInt64" if column.min() >= 0 else "Int64" if column.max() < 2.0**63 else object
    try:
        return pd.Series(integers, column.index, dtype=bits, name=column.name)
    except OverflowError:
        return pd.Series(integers, column.index, dtype=object, name=column.name)


def at_least_two(name: str, n: int) -> None:
    """Raise if a data set has fewer than two rows."""
    if n < 2:
        raise InputError(f"{name} has {n} {'row' if n == 1 else 'rows'}; expected at least 2")


def _open_npz(path: Path, name: str, target: str | None, drop: Sequence[str]) -> Source:
    with read_errors(name, ".npz"), path.open("rb") as stream, np.lib.npyio.NpzFile(stream) as archive:
        keys = list(archive.files)
        pairs = [(x, target or y) for x, y in _NPZ_KEYS if x in keys and (target or y) in keys]
        if not pairs:
            got = f"holds the arrays {listed(keys)}" if keys else "holds no arrays"
            expected = " or ".join(f"{x} and {plain(target or y)}" for x, y in _NPZ_KEYS)
            raise InputError(f"{name!r} {got}; expected {expected}: rename them with numpy.savez")
        X, y = (array_of(archive, key, name) for key in pairs[0])
        rest = [key for key in keys if key not in pairs[0]]
        notes = (
            [f"arrays {listed(pairs[0]).replace(', ', ' and ')} used; {listed(rest)} ignored"] if rest else []
        )
    if drop:
        raise InputError(
            f"the columns of {name!r} have no names, so {listed(drop)} cannot be dropped; expected a .csv or "
            ".parquet file: remove these columns from the array instead"
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

    with read_errors(name, ".csv"):
        file = CsvFile.of(path, name)
        columns = _Columns.choose(file.names, name, target, drop)
        narrow = None
        if rows is not None and file.regular:
            names = [columns.target, *(one for one in columns.unnamed if one != columns.target)]
            # pandas would hold all cells of the file while it reads one column as numbers.
            small = path.stat().st_size < _SMALL_FILE
            narrow = file.read(names) if small else file.inferred(file.as_text(names), names)
        if narrow is None or len(narrow) <= (rows or 0):
            table = file.read()
            table[columns.target] = _digits_kept(table[columns.target], file)
            _refuse_almost_numbers(table[columns.target], name)
            return _open_table(table, name, target, drop, file.notes)
    _refuse_almost_numbers(narrow[columns.target], name)
    columns = columns.without_row_numbers(narrow)
    n = len(narrow)

    def read_inputs(numbers: NDArray[np.int64] | None) -> Any:
        numbers = np.arange(n) if numbers is None else numbers
        parts = []
        with read_errors(name, ".csv"):
            for start, piece in _with_first_row(file.pieces(_BATCH), f"reading {name}", n, quiet):
                in_piece = numbers[(numbers >= start) & (numbers < start + len(piece))]
                parts.append(piece.iloc[in_piece - start])
        # Types are inferred from the selected rows together, as from a file with these rows only.
        return file.inferred(pd.concat(parts), columns.inputs)

    y = _digits_kept(narrow[columns.target], file)
    return Source(y, read_inputs, [*file.notes, *columns.notes], target_name=columns.target)


def _refuse_almost_numbers(column: Any, name: str) -> None:
    """Raise for a target in a CSV file that is text because of a stray cell or a sign, but nearly all numbers."""
    from solvable.datasets.columns import Origin, refuse_dates_and_numbers

    present = column.dropna()
    if column.dtype.kind not in "fiub" and len(present) and all(isinstance(one, str) for one in present):
        refuse_dates_and_numbers(present, Origin(repr(name), file=True, target=True), str(column.name))


def _open_parquet(
    path: Path, name: str, target: str | None, drop: Sequence[str], rows: int | None, quiet: bool
) -> Source:
    import pyarrow as pa
    from pyarrow import parquet

    from solvable.datasets.inputs import arrow_to_pandas

    def frame(table: Any) -> Any:
        table.validate(full=True)  # for text that is no UTF-8, which pandas would find later
        table = arrow_to_pandas(table)
        return table.astype({column: "category" for column in categories if column in table.columns})

    with read_errors(name, ".parquet"):
        file = parquet.ParquetFile(path, pre_buffer=False)
        schema = file.schema_arrow
        facts = schema.pandas_metadata or {}
        refuse_repeats(schema.names, name)
        # The index of a pandas table is stored as a column, which is not an input.
        index = [column for column in facts.get("index_columns", []) if isinstance(column, str)]
        # Parquet itself has categories of text only.
        categories = [one["name"] for one in facts.get("columns", []) if one["pandas_type"] == "categorical"]
        columns = _Columns.choose(
            [column for column in schema.names if column not in index], name, target, drop
        )
        names = list({columns.target, *columns.unnamed})
        need_memory_for(name, 8 * file.metadata.num_rows * len(names))
        narrow: Any = frame(file.read(columns=names))
        columns = columns.without_row_numbers(narrow)
    n = len(narrow)
    at_least_two(repr(name), n)

    def read_inputs(numbers: NDArray[np.int64] | None) -> Any:
        with read_errors(name, ".parquet"):
            if numbers is None:
                need_memory_for(name, 8 * n * len(columns.inputs), "load some of its rows with rows=")
                return frame(file.read(columns=columns.inputs))[columns.inputs]
            pieces = file.iter_batches(_BATCH, columns=columns.inputs)
            # pyarrow cannot take rows of views of text.
            fields = [schema.field(column) for column in columns.inputs]
            plain = pa.schema(
                [one.with_type(pa.string()) if one.type == pa.string_view() else one for one in fields]
            )
            parts = []
            for start, piece in _with_first_row(pieces, f"reading {name}", n, quiet):
                in_piece = numbers[(numbers >= start) & (numbers < start + len(piece))] - start
                # `take` copies: a slice would keep the whole batch in memory.
                parts.append(piece.select(columns.inputs).cast(plain).take(pa.array(in_piece)))
            return frame(pa.Table.from_batches(parts))[columns.inputs]

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
    """Names of a table's columns as strings: all of them, the inputs, the target, and notes on their choice."""

    all: list[str]
    inputs: list[str]
    target: str
    notes: list[str]

    @classmethod
    def choose(cls, names: Iterable[Any], name: str, target: str | None, drop: Sequence[str]) -> "_Columns":
        """Return the columns of a table, divided into inputs and target."""
        columns = [str(column) for column in names]
        known, dropped = set(columns), set(drop)
        for column in drop:
            if column not in known:
                choose(f"column of {name!r} to drop", column, columns)
        if target is not None:
            choose(f"column of {name!r}", target, columns)
            if target in drop:
                raise InputError(
                    f"column {short(target)!r} of {name!r} is both the target and dropped; choose one"
                )
        remaining = [column for column in columns if column not in dropped]
        if len(remaining) < 2:
            without = f" besides {listed(drop)}" if drop else ""
            raise InputError(
                f"{name!r} has {len(remaining)} column(s){without}; expected inputs and a target, separated by commas"
            )
        notes = [f"columns dropped as requested: {listed(list(dict.fromkeys(drop)))}"] if drop else []
        if target is None:
            candidates = [column for column in remaining if column.lower() in _TARGET_NAMES]
            target = candidates[0] if len(candidates) == 1 else remaining[-1]
            notes.append(
                f"target column: {short(target)!r} ({'by its name' if len(candidates) == 1 else 'the last one'})"
            )
        else:
            notes.append(f"target column: {short(target)!r}")
        return cls(columns, [column for column in remaining if column != target], target, notes)

    @property
    def unnamed(self) -> list[str]:
        """The first columns, if they have no name; a table that pandas has written twice has two."""
        return list(takewhile(_UNNAMED.fullmatch, self.all))

    def without_row_numbers(self, table: "pd.DataFrame") -> "_Columns":
        """Return the columns without first ones that were an index; as an input they would be noise or a leak."""
        numbers = [name for name in self.unnamed if name in self.inputs and table[name].is_unique]
        if not numbers:
            return self
        if len(self.inputs) == len(numbers):
            raise InputError(
                f"the table has only {short(self.target)!r} and row numbers; expected at least one input column"
            )
        which = "column has no name and looks" if len(numbers) == 1 else "columns have no names and look"
        inputs = [name for name in self.inputs if name not in numbers]
        return _Columns(
            self.all, inputs, self.target, [f"the first {which} like row numbers: dropped", *self.notes]
        )


def _with_first_row(pieces: Any, words: str, total: int, quiet: bool) -> Iterator[tuple[int, Any]]:
    """Yield each piece of a table with the number of its first row, under a progress bar."""
    start = 0
    with progress(words, total, quiet=quiet) as advance:
        for piece in pieces:
            yield start, piece
            start += len(piece)
            advance(len(piece))
