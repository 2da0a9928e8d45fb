"""The kind of values in each column of a user's table, and errors for columns that cannot be inputs."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from solvable.datasets.files import plain
from solvable.datasets.inputs import BEYOND_FLOATS
from solvable.errors import InputError
from solvable.streams import short

MOST_TEXT_VALUES = 30

# Not all: a column of dates or numbers may contain a few dashes or question marks.
_NEARLY_ALL = 0.9
# Only the most frequent values are examined, so that a million names take no longer than a thousand.
_MOST_EXAMINED = 1000
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
# pandas alone would read "May", "10-20" or "1.5" as dates.
_LIKE_A_DATE = re.compile(
    r"\s*(?:\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})"
    rf"|\d{{1,2}}[-. ]+{_MONTH}[-., ]+\d{{2,4}}|{_MONTH}[. ]+\d{{1,2}},? +\d{{4}})(?:[T ,].*)?\s*$",
    re.IGNORECASE,
)
# Also in parentheses, with a minus behind, in hexadecimal, or with Fortran's exponent.
_LIKE_A_NUMBER = re.compile(
    r"[\s$€£+−(-]*(?:0x[\da-f]+|\d[\d.,'’_\s]*(?:[ed][+-]?\d+)?)[\s%$€£)-]*$", re.IGNORECASE
)
# In place of a missing number; any other single text beside several numbers is taken for one too.
_MARKERS = {"?", "-", "--", ".", "*", "n.a."}
_SEVERAL = 5


@dataclass(frozen=True)
class Origin:
    """The source of inputs, for messages.

    Attributes:
        shown: the user's name for the data, as in `'a.csv'` or `the data`.
        file: whether `--drop` and `--missing` apply, or only Python's arguments.
        names: names of the columns of an array, if it has names.
        target: whether the messages are about the target.
        rows: row numbers of the inputs in the source, counted from 0; None: all.
    """

    shown: str
    file: bool = False
    names: Sequence[str] | None = None
    target: bool = False
    rows: NDArray | None = None

    def row(self, i: int) -> int:
        """Return the number of a row in the source, counted from 1."""
        return (i if self.rows is None else int(self.rows[i])) + 1

    def name(self, key: str | int) -> str:
        """Return the name of a column, or its number if the array has no names, as `short` does."""
        return short(self._name(key))

    def listed(self, key: str | int) -> str:
        """Return the name of a column as a list without quotes shows it."""
        return plain(self._name(key))

    def _name(self, key: str | int) -> str:
        if isinstance(key, str):
            return key
        return str(self.names[key]) if self.names is not None else f"column {key}"

    def column(self, key: str | int) -> str:
        """Return the beginning of a sentence about one column."""
        if self.names is None and isinstance(key, int):
            return f"column {key} of X in {self.shown}"
        return f"column {self.name(key)!r} of {self.shown}"

    def how_to_drop(self, key: str | int) -> str:
        """Return the advice that removes a column."""
        if self.target:
            return "choose another target with --target (in Python: target=...)"
        name = self._name(key)
        if plain(name) != name:
            return "leave it out"
        if self.file and isinstance(key, str):
            return f"drop it with --drop {shlex.quote(name)} (in Python: drop=[{name!r}])"
        by_name = isinstance(key, str) and self.names is None
        return f"drop it with X.drop(columns=[{name!r}])" if by_name else "remove it from X"

    def option(self, name: str, value: str) -> str:
        """Return an option of `load` or `from_arrays` as the user writes it."""
        in_python = f'{name}="{value}"'
        return f"--{name} {value} (in Python: {in_python})" if self.file else in_python


def kind_of(column: pd.Series, origin: Origin, key: str | int) -> Literal["number", "text"]:
    """Return the kind of values in a column of inputs; booleans are numbers, categories are text.

    Raises:
        InputError: for dates, numbers written as text, more than 30 different texts, and values that are neither
            numbers nor text.
    """
    dtype: Any = column.dtype
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        raise _dates_error(column.iloc[column.notna().to_numpy().argmax()], origin, key)
    try:
        values = column.dropna()
        if types.is_object_dtype(dtype) and all(isinstance(one, (Real, Decimal)) for one in values):
            values.to_numpy(dtype=np.float64)
    except ArithmeticError:
        raise InputError(f"{origin.column(key)} holds {BEYOND_FLOATS}") from None
    if not len(values):
        return "number"
    if isinstance(dtype, pd.CategoricalDtype):
        return _text(values, origin, key)
    if types.is_bool_dtype(dtype) or (types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype)):
        return "number"
    kinds = set(map(type, values)) if types.is_object_dtype(dtype) or types.is_string_dtype(dtype) else set()
    if kinds and all(issubclass(kind, (Real, Decimal)) or kind.__name__ == "bool_" for kind in kinds):
        return "number"
    if kinds and all(issubclass(kind, date) for kind in kinds):
        raise _dates_error(values.iloc[0], origin, key)
    if kinds and all(issubclass(kind, str) for kind in kinds):
        refuse_dates_and_numbers(values, origin, key)
        return _text(values, origin, key)
    got = " and ".join(sorted(kind.__name__ for kind in kinds)) if kinds else str(dtype)
    raise InputError(
        f"{origin.column(key)} holds {got} values; expected numbers or text: encode it as numbers first, or "
        f"{origin.how_to_drop(key)}"
    )


def refuse_dates_and_numbers(values: pd.Series, origin: Origin, key: str | int) -> None:
    """Raise for text of which nearly all are dates, or numbers with separators, units or a stray word among them."""
    counts = values.value_counts().iloc[:_MOST_EXAMINED]
    texts = counts.index.to_series().astype(str)
    like_dates = texts.str.fullmatch(_LIKE_A_DATE)
    if _share(counts, like_dates) >= _NEARLY_ALL:
        dates = pd.to_datetime(texts.where(like_dates), errors="coerce", format="mixed", utc=True)
        if _share(counts, dates.notna()) >= _NEARLY_ALL:
            raise _dates_error(texts[dates.notna()].iloc[0], origin, key)
    like_numbers = texts.str.fullmatch(_LIKE_A_NUMBER)
    others = [text for text in texts if not _is_float(text)]
    one_other = len(others) == 1 or (others and set(map(str.strip, others)) <= _MARKERS)
    if one_other and len(texts) - len(others) >= _SEVERAL:
        raise InputError(
            f"{origin.column(key)} holds numbers and {short(others[0])!r}; expected numbers only: leave the cells "
            f"empty if they are missing, or {origin.how_to_drop(key)}"
        )
    if _share(counts, like_numbers) < _NEARLY_ALL:
        return
    # The best example is a value that kept the column from being read as numbers.
    not_floats = [text for text in texts if not _is_float(text)]
    example = short(not_floats[0] if not_floats else texts.iloc[0])
    if re.fullmatch(r"[+-]?\d+,\d+", example) and not re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", example):
        raise InputError(
            f"{origin.column(key)} holds numbers with a decimal comma, as in {example!r}; expected a decimal point, "
            "as in 1234.5: convert them, or separate the cells of the file by semicolons"
        )
    raise InputError(
        f"{origin.column(key)} holds numbers written as text, as in {example!r}; expected "
        "plain numbers, as in 1234.5: remove separators, units and other symbols (if the numbers are names, put a "
        f"letter before them), or {origin.how_to_drop(key)}"
    )


def _text(values: pd.Series, origin: Origin, key: str | int) -> Literal["text"]:
    distinct = int(values.nunique())
    if distinct > MOST_TEXT_VALUES:
        raise InputError(
            f"text {origin.column(key)} has {distinct} different values; expected at most {MOST_TEXT_VALUES}, each "
            f"of which becomes a column: {origin.how_to_drop(key)}, or encode it as numbers"
        )
    return "text"


def _dates_error(example: Any, origin: Origin, key: str | int) -> InputError:
    return InputError(
        f"{origin.column(key)} holds dates, as in {short(example)!r}; rows ordered in time resemble their "
        f"neighbours, which makes leave-one-out wrong: {origin.how_to_drop(key)}, or turn it into numbers (the "
        "month, the days since a start)"
    )


def _share(counts: pd.Series, mask: pd.Series) -> float:
    return float(counts[mask.to_numpy(dtype=bool)].sum() / counts.sum())


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
