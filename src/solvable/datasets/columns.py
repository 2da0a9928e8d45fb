"""What the columns of a user's table hold, and the sentence for one that cannot be an input."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from solvable.errors import InputError

MOST_TEXT_VALUES = 30

# "Nearly all": a few dashes or question marks do not make dates, or numbers, into categories.
_NEARLY_ALL = 0.9
# Only the most frequent values are looked at, so that a million names take no longer than a thousand.
_LOOKED_AT = 1000
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
# pandas alone would take "May", "10-20" or "1.5" for dates.
_LIKE_A_DATE = re.compile(
    r"\s*(?:\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})"
    rf"|\d{{1,2}}[-. ]+{_MONTH}[-., ]+\d{{2,4}}|{_MONTH}[. ]+\d{{1,2}},? +\d{{4}})(?:[T ,].*)?\s*$",
    re.IGNORECASE,
)
_LIKE_A_NUMBER = re.compile(r"[\s$€£+-]*\d[\d.,'’_\s]*(?:e[+-]?\d+)?[\s%$€£]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """Where inputs come from, for messages.

    Attributes:
        shown: what the user calls the data, as in `'a.csv'` or `the data`.
        file: whether `--drop` and `--missing` exist for it, or only Python's arguments.
        names: the names of the columns of an array, where it has names.
        rows: which rows of the source the inputs are, counted from 0; None: all.
    """

    shown: str
    file: bool = False
    names: Sequence[str] | None = None
    rows: NDArray | None = None

    def row(self, i: int) -> int:
        """Return the number of a row in the source, counted from 1."""
        return (i if self.rows is None else int(self.rows[i])) + 1

    def name(self, key: str | int) -> str:
        """Return the name of a column; of an array without names, its number."""
        if isinstance(key, str):
            return key
        return str(self.names[key]) if self.names is not None else f"column {key}"

    def column(self, key: str | int) -> str:
        """Return how a sentence begins that is about one column."""
        if self.names is None and isinstance(key, int):
            return f"column {key} of X in {self.shown}"
        return f"column {self.name(key)!r} of {self.shown}"

    def how_to_drop(self, key: str | int) -> str:
        """Return how to leave a column out."""
        name = self.name(key)
        if self.file and isinstance(key, str):
            return f"drop it with --drop {shlex.quote(name)} (in Python: drop=[{name!r}])"
        return f"drop it with X.drop(columns=[{name!r}])" if isinstance(key, str) else "leave it out of X"

    def option(self, name: str, value: str) -> str:
        """Return how to choose an option of `load` or `from_arrays`."""
        in_python = f'{name}="{value}"'
        return f"--{name} {value} (in Python: {in_python})" if self.file else in_python


def kind_of(column: pd.Series, origin: Origin, key: str | int) -> Literal["number", "text"]:
    """Return what a column of inputs holds; booleans are numbers, categories are text.

    Raises:
        InputError: when it holds dates, numbers written as text, more than 30 different texts, or anything else
            that is neither number nor text.
    """
    dtype: Any = column.dtype
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        raise _dates(column.iloc[column.notna().to_numpy().argmax()], origin, key)
    values = column.dropna()
    if not len(values):
        return "number"
    if isinstance(dtype, pd.CategoricalDtype):
        return _few(values, origin, key)
    if types.is_bool_dtype(dtype) or (types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype)):
        return "number"
    found = set(map(type, values)) if types.is_object_dtype(dtype) or types.is_string_dtype(dtype) else set()
    if found and all(issubclass(kind, (Real, Decimal)) or kind.__name__ == "bool_" for kind in found):
        return "number"
    if found and all(issubclass(kind, date) for kind in found):
        raise _dates(values.iloc[0], origin, key)
    if found and all(issubclass(kind, str) for kind in found):
        _refuse_dates_and_numbers(values, origin, key)
        return _few(values, origin, key)
    held = " and ".join(sorted(kind.__name__ for kind in found)) if found else str(dtype)
    raise InputError(
        f"{origin.column(key)} holds {held} values; expected numbers, or text: encode it as numbers first, or "
        f"{origin.how_to_drop(key)}"
    )


def _refuse_dates_and_numbers(values: pd.Series, origin: Origin, key: str | int) -> None:
    counts = values.value_counts().iloc[:_LOOKED_AT]
    texts = counts.index.to_series().astype(str)
    like_dates = texts.str.fullmatch(_LIKE_A_DATE)
    if _share(counts, like_dates) >= _NEARLY_ALL:
        parsed = pd.to_datetime(texts.where(like_dates), errors="coerce", format="mixed", utc=True)
        if _share(counts, parsed.notna()) >= _NEARLY_ALL:
            raise _dates(texts[parsed.notna()].iloc[0], origin, key)
    like_numbers = texts.str.fullmatch(_LIKE_A_NUMBER)
    if _share(counts, like_numbers) < _NEARLY_ALL:
        return
    # The value that kept the column from being read as numbers says most.
    odd = [text for text in texts if not _is_float(text)]
    shown = odd[0] if odd else texts.iloc[0]
    if re.fullmatch(r"[+-]?\d+,\d+", shown) and not re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", shown):
        raise InputError(
            f"{origin.column(key)} holds numbers with a decimal comma, as in {shown!r}; expected a point, as in "
            "1234.5: write them so, or part the cells of the file by semicolons"
        )
    raise InputError(
        f"{origin.column(key)} holds numbers written as text, as in {shown!r}; expected "
        "plain numbers, as in 1234.5: remove separators, units and other signs (if the numbers are names, put a "
        f"letter before them), or {origin.how_to_drop(key)}"
    )


def _few(values: pd.Series, origin: Origin, key: str | int) -> Literal["text"]:
    different = int(values.nunique())
    if different > MOST_TEXT_VALUES:
        raise InputError(
            f"text {origin.column(key)} has {different} different values; expected at most {MOST_TEXT_VALUES}, each "
            f"of which becomes a column: {origin.how_to_drop(key)}, or encode it as numbers"
        )
    return "text"


def _dates(example: Any, origin: Origin, key: str | int) -> InputError:
    return InputError(
        f"{origin.column(key)} holds dates, as in {str(example)!r}; rows in the order of time resemble their "
        f"neighbours, which makes leave-one-out wrong: {origin.how_to_drop(key)}, or turn it into numbers (the "
        "month, the days since a start)"
    )


def _share(counts: pd.Series, chosen: pd.Series) -> float:
    return float(counts[chosen.to_numpy(dtype=bool)].sum() / counts.sum())


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
