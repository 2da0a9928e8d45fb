"""Layout of a user's CSV file: separator, header, number of columns; and its columns as numbers and text."""

import csv
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from solvable.datasets.files import need_memory_for, refuse_repeats
from solvable.errors import InputError
from solvable.streams import short

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS = (",", ";", "\t")
_RECORDS = 50
# Wide tables have 800 000 columns of 20 characters; a file without line breaks would fill the memory.
_LONGEST_LINE = 16_000_000
# Bytes from which the number of cells is estimated.
_SAMPLE = 100_000
# Two or three columns of small whole numbers may have a row 0, 1, 2.
_FEW_COLUMNS = 3
_EXTRA = "\0extra"
WHOLE = re.compile(r"\s*[+-]?\d+\s*")
"""Text of a whole number."""
_NUMBER = re.compile(
    r"\s*[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?\s*|\s*[+-]?(?:inf|infinity|nan)\s*", re.IGNORECASE
)
_THOUSANDS = r"\s*[+-]?\d{1,3}(?:[.,]\d{3})+\s*"
_GAPS = ("", "na", "n/a", "nan", "null", "none", "#n/a", "<na>", "-nan")


@dataclass(frozen=True)
class CsvFile:
    """A CSV file whose layout is known.

    Attributes:
        path: the file.
        name: the user's name for it, for messages.
        separator: a comma, semicolon or tab.
        header: whether the first record holds the names of the columns.
        names: of the columns; of a file without a header 0, 1, ...
        extra: what the fields are that the header does not count: `row names` at the start of each row, `nothing`, an
            empty field at its end, or None.
        decimal_comma: whether the first rows of a file with semicolons have a number with a comma.
        notes: on the layout, for the user.
    """

    path: Path
    name: str
    separator: str
    header: bool
    names: list[str]
    extra: str | None = None
    decimal_comma: bool = False
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path, name: str) -> "CsvFile":
        """Return a file after examining its first records.

        Raises:
            InputError: for names that repeat, rows longer than the header, and a first record that may be either names
                or data.
        """
        separator, records = _first_records(path, name)
        if not records:
            raise InputError(f"{name!r} is empty; expected a header and at least 2 rows")
        _refuse_code_0((cell for record in records for cell in record), name)
        header = _is_header(records, name)
        comma = separator == ";" and any("," in one and _is_number(one) for row in records for one in row)
        if not header:
            names = [str(i) for i in range(len(records[0]))]
            note = "the file has no header, so its columns are named 0, 1, ..."
            return cls(path, name, separator, False, names, None, comma, [note])
        names, rows = [one.strip() for one in records[0]], records[1:]
        if (
            len(names) > 1
            and not names[-1]
            and rows
            and all(not row[-1] for row in rows if len(row) == len(names))
        ):
            return cls(path, name, separator, True, _named(names[:-1], name), "nothing", comma)
        longest = max(map(len, rows), default=0)
        if longest <= len(names):
            return cls(path, name, separator, True, _named(names, name), None, comma)
        if longest == len(names) + 1 and all(len(row) == longest for row in rows):
            named = _named(names, name)
            if not any(row[-1] for row in rows):
                return cls(path, name, separator, True, named, "nothing", comma)
            if not any(_is_number(row[0]) and not WHOLE.fullmatch(row[0]) for row in rows):
                note = "the first column has no name and was taken for the rows' names: not used"
                return cls(path, name, separator, True, named, "row names", comma, [note])
        row = next(row for row in rows if len(row) > len(names))
        raise InputError(
            f"{name!r} has a row of {len(row)} cells, which starts with {_start(row, separator)!r}, and a header of "
            f"{len(names)}; expected equal numbers: put quotes around cells that hold the separator"
        )

    @property
    def regular(self) -> bool:
        """Whether each field of a row belongs to a name."""
        return self.extra is None

    def read(self, columns: Sequence[str] | None = None, dtype: Any = None) -> "pd.DataFrame":
        """Return the table, or some of its columns, as numbers and text, or all of one type.

        Raises:
            InputError: for a row with more or fewer cells than the others, row names that repeat, a cell without a
                name, and numbers whose point may separate thousands.
        """
        return self._with_numbers(self._table(columns, dtype), self.as_text)

    def as_text(self, columns: Sequence[str]) -> "pd.DataFrame":
        """Return columns as they stand in the file."""
        # Text may be read piece by piece, so that the other columns are never in memory as a whole.
        return self._table(columns, str, low_memory=True)

    def pieces(self, rows: int) -> "Iterator[pd.DataFrame]":
        """Yield the table as text, `rows` rows at a time."""
        with self._parse(chunksize=rows, low_memory=True, dtype=str) as pieces:
            for piece in pieces:
                self._refuse_short_rows(piece)
                yield piece

    def inferred(self, table: "pd.DataFrame", columns: Sequence[str]) -> "pd.DataFrame":
        """Return columns of text from `pieces` as `read` returns them."""
        import pandas as pd

        text = StringIO(table.to_csv(index=False, header=False, columns=columns))
        numbers = pd.read_csv(text, low_memory=False, header=None, names=list(columns))
        return self._with_numbers(numbers, lambda names: table[names])

    def _table(self, columns: Sequence[str] | None, dtype: Any, **options: Any) -> Any:
        table: Any = self._parse(usecols=columns if self.regular else None, dtype=dtype, **options)
        self._refuse_short_rows(table)
        if self.extra is not None:
            last = self.extra == "nothing"
            cells = table.iloc[:, -1 if last else 0]
            if cells.notna().any() if last else not cells.is_unique:
                raise InputError(
                    f"the rows of {self.name!r} have {len(self.names) + 1} cells and the header has {len(self.names)}; "
                    "expected equal numbers: name the columns"
                )
            table = table.drop(columns=table.columns[-1]) if last else table.iloc[:, 1:]
            table = table.set_axis(self.names, axis=1)
            table = table if columns is None else table[list(columns)]
        # One block of numbers in place of one for each column, which pandas would handle one by one.
        return table.copy()

    def _refuse_short_rows(self, table: Any) -> None:
        """Raise for a row with fewer cells than there are names, which pandas fills with missing values."""
        last = self.names[-1]
        if last not in table.columns or not table[last].hasnans:
            return
        least = len(self.names) + (self.extra == "row names")
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=self.separator, skipinitialspace=True)
            for row in rows:
                # A line of blanks is an empty one, for pandas too.
                if 0 < len(row) < least and row != [""]:
                    raise InputError(
                        f"{self.name!r} has a row of {len(row)} {'cell' if len(row) == 1 else 'cells'} in line "
                        f"{rows.line_num}, which starts with {_start(row, self.separator)!r}; expected {least}: "
                        "complete the row, with empty cells for missing values, or remove it"
                    )

    def _bytes_needed(self) -> int:
        """Return the size of the file, or of its cells as numbers beside pandas' copies if these are short texts."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            sample = file.read(_SAMPLE)
        cells = sample.count(self.separator.encode()) + sample.count(b"\n")
        return max(size, 15 * size * cells // max(1, len(sample)))

    def _parse(self, **options: Any) -> Any:
        import pandas as pd

        names = self.names if self.regular else [*self.names, _EXTRA]
        # `low_memory` would infer the type of a column piece by piece, and mix numbers and text in one column.
        if not options.get("low_memory"):
            need_memory_for(self.name, self._bytes_needed(), "load some of its rows with rows=")
        defaults: dict[str, Any] = {"low_memory": False, "skipinitialspace": True, "encoding": "utf-8-sig"}
        with warnings.catch_warnings():
            # A warning of pandas that it leaves out the last cells of rows.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                self.path,
                sep=self.separator,
                header=0 if self.header else None,
                names=names,
                index_col=False,
                **(defaults | options),
            )

    def _with_numbers(self, table: Any, as_text: Callable[[list[str]], Any]) -> Any:
        """Return a table whose text has no blanks around it, and whose numbers with a decimal comma are numbers.

        Args:
            table: as pandas reads it.
            as_text: returns columns as they stand in the file.
        """
        import pandas as pd

        commas, found = self.separator == ";", self.decimal_comma
        for name in table.columns[[kind.kind not in "fiub" for kind in table.dtypes]]:
            codes, distinct = pd.factorize(table[name])
            if not all(isinstance(one, str) for one in distinct):
                continue
            _refuse_code_0(distinct, self.name)
            # Word processors write a minus of their own.
            text = pd.Series(distinct).str.strip()
            text = text.mask(text.str.startswith("−"), "-" + text.str[1:])
            text = text[~text.str.lower().isin(_GAPS)]
            values: Any = text
            if len(text) and text.map(_is_number).all():
                with_comma = text.str.contains(",")
                if not with_comma.any():
                    values = pd.to_numeric(text)
                elif commas and text[~with_comma].str.contains(".", regex=False).any():
                    point = text[~with_comma & text.str.contains(".", regex=False)].iloc[0]
                    raise InputError(
                        f"column {short(name)!r} of {self.name!r} holds {short(text[with_comma].iloc[0])!r} and "
                        f"{short(point)!r}; expected one decimal sign: replace the commas or the points"
                    )
                elif commas:
                    values, found = text.str.replace(",", ".").astype("float64"), True
            table[name] = values.reindex(codes).set_axis(table.index)
        if commas and found:
            self._refuse_thousands(table, as_text)
        return table

    def _refuse_thousands(self, table: Any, as_text: Callable[[list[str]], Any]) -> None:
        """Raise for a column whose commas or points may all separate thousands, where the file has the other sign too.

        Args:
            table: with numbers.
            as_text: returns columns as they stand in the file.
        """
        fractions = [name for name in table.columns if table[name].dtype.kind == "f"]
        if not fractions:
            return
        found = {"," if self.decimal_comma else ""}
        doubtful = []
        for name, column in as_text(fractions).items():
            for sign in ",.":
                cells = column[column.str.contains(sign, regex=False, na=False)]
                if len(cells):
                    found.add(sign)
                    doubtful += [(name, cells.iloc[0])] if cells.str.fullmatch(_THOUSANDS).all() else []
        if doubtful and {",", "."} <= found:
            name, cell = doubtful[0]
            raise InputError(
                f"column {short(name)!r} of {self.name!r} holds {short(cell)!r}, where the sign may separate "
                "thousands, since other numbers have the other sign; expected one decimal sign throughout and nothing "
                "between thousands: replace them"
            )


def _named(names: list[str], file: str) -> list[str]:
    """Return names, none of them empty.

    Raises:
        InputError: for names that repeat, since a second target among the inputs would give it away.
    """
    refuse_repeats(filter(None, names), file)
    made = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    # A table that was written twice has such a name already.
    given = set(names)
    return [one if name or one not in given else f"{one}.1" for one, name in zip(made, names, strict=True)]


def _refuse_code_0(cells: Iterable[str], name: str) -> None:
    if any("\0" in cell for cell in cells):
        raise InputError(f"{name!r} holds characters with the code 0; expected text: save it as UTF-8")


def _start(row: list[str], separator: str) -> str:
    """Return the first cells of a row for a message."""
    return separator.join(short(cell, 20) for cell in row[:3])


def _lines(file: TextIO, name: str) -> Iterator[str]:
    """Yield the lines of a file, without reading more than the longest that is allowed."""
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise InputError(
                f"{name!r} has a line of more than {_LONGEST_LINE} characters; expected a line for each row: put line "
                "breaks between the rows"
            )
        yield line


def _first_records(path: Path, name: str) -> tuple[str, list[list[str]]]:
    """Return the separator and the first records that are not empty, split at it."""
    best: tuple[tuple[bool, int, int], str, list[list[str]]] = ((False, 0, 0), ",", [])
    failed = None
    for separator in _SEPARATORS:
        records = []
        # Line breaks inside quotes belong to the cell.
        with path.open(encoding="utf-8-sig", newline="") as file:
            try:
                for record in csv.reader(_lines(file, name), delimiter=separator, skipinitialspace=True):
                    if record:
                        records.append(record)
                    if len(records) > _RECORDS:
                        break
            except csv.Error as error:
                # A wide table is one long cell if it is split at another separator than its own.
                failed = error
                continue
        if not records:
            continue
        n_fields = Counter(map(len, records[1:] or records)).most_common(1)[0][0]
        alike = sum(len(record) == n_fields for record in records) if n_fields > 1 else 0
        # One separator more or less is a header of row names.
        near = abs(len(records[0]) - n_fields) <= 1
        # Where all lines have as many semicolons or tabs, commas are decimal commas or in names.
        certain = separator != "," and alike == len(records)
        score = (certain, alike if near else 0, n_fields)
        if not best[2] or score > best[0]:
            best = (score, separator, records)
    if failed and not best[2]:
        raise failed
    return best[1], best[2]


def _is_header(records: list[list[str]], name: str) -> bool:
    """Return whether the first record holds names rather than data.

    It does if it has text above numbers, or counts many columns or columns of fractions. It does not if it has a number
    with a decimal point above numbers and no text above numbers, texts that all occur again in their columns, or other
    numbers only.

    Raises:
        InputError: for what may be either: different whole numbers above numbers, beside columns of text or above
            fractions, such as years; a few columns of whole numbers that the first record counts; and texts of which
            some occur again in their columns.
    """
    first, rows = records[0], records[1:]
    if not rows:
        return not all(map(_is_number, first))
    if all(map(_is_number, first)):
        fractions = any(all("." in row[j] for row in rows if j < len(row)) for j in range(len(first)))
        if first == [str(i) for i in range(len(first))] and first not in rows:
            if fractions or len(first) > _FEW_COLUMNS:
                return True
            raise _either(first, name)
        if not (fractions and all(map(WHOLE.fullmatch, first)) and len(set(first)) == len(first) > 1):
            return False
        raise _either(first, name)
    fractions = repeats = texts = whole = 0
    for j, cell in enumerate(first):
        below = [row[j] for row in rows if j < len(row) and row[j].strip().lower() not in _GAPS]
        if not below or cell.strip().lower() in (*_GAPS, "?", "-"):
            continue
        if all(map(_is_number, below)):
            if not _is_number(cell):
                return True
            whole, fractions = whole + 1, fractions + (not WHOLE.fullmatch(cell))
        else:
            texts, repeats = texts + 1, repeats + (cell in below)
    if fractions or (whole and repeats) or (texts and repeats == texts):
        return False
    if (whole and len(set(first)) == len(first)) or repeats:
        raise _either(first, name)
    return not whole


def _either(first: list[str], name: str) -> InputError:
    return InputError(
        f"the first line of {name!r}, which starts with {_start(first, ',')!r}, may be names or data; expected names: "
        "add a line of names, or put a letter into those that are numbers"
    )


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell))
