"""Tables of a wafer's resistances: reading, checks, and flags of junctions that are none."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from solvable.checks import choice
from solvable.datasets.csv_files import CsvFile
from solvable.datasets.files import LONGEST_PATH, existing_file, listed, read_errors
from solvable.errors import InputError
from solvable.junctions.wafer_statistics import group_medians, robust_spread
from solvable.streams import short

UNITS_OHM = {"R_ohm": 1.0, "R_kohm": 1e3, "R_Mohm": 1e6}
"""Columns of resistances, and their units in ohm."""

REQUIRED = ("chip", "w1_um", "w2_um")
"""Other columns that every table needs."""

CONDITIONS = ("temperature_K", "date", "probe", "storage")
"""Optional columns of test conditions, whose values are compared in the report."""

FLAGS = ("ok", "outlier", "open", "short", "invalid")
"""What `flag` says of a junction."""

_PLACES = ("chip_x_mm", "chip_y_mm", "x_um", "y_um")
# What meters and their operators write for an open junction.
_OPEN_WORDS = ("ol", "o.l.", "o.l", "open", "over", "overload", "overflow", "inf", "infinity")
_GAPS = ("", "na", "n/a", "nan", "none", "null", "-", "--")
# Factors beyond which a junction is open or short, and robust standard deviations beyond which it is an outlier.
_OPEN_FACTOR, _SHORT_FACTOR, _OUTLIER = 3.0, 3.0, 5.0
# A share of this many resistances at a thousandth of the others is no yield, but another unit.
_OTHER_UNIT = 0.05
_PLAUSIBLE_OHM = (100.0, 1e6)
_WIDEST_UM = 50.0


def read_csv(path: str | Path) -> pd.DataFrame:
    """Return a wafer's table from a CSV file, checked, with resistances in ohm and the columns in their units.

    Columns: `chip`, `w1_um`, `w2_um` (drawn widths) and one of `R_ohm`, `R_kohm`, `R_Mohm`; optional `wafer`,
    `junction`, `chip_x_mm`, `chip_y_mm`, `x_um`, `y_um` (from the chip's centre), `temperature_K`, `date` (ISO 8601),
    `probe`, `storage`. Other columns are kept. OL and inf are open junctions; empty cells were not measured.

    Args:
        path: FILE.csv, with commas, semicolons or tabs.

    Raises:
        InputError: if the file cannot be read, or as in `as_table`.
    """
    name = short(path, LONGEST_PATH)
    try:
        with read_errors(name, ".csv"):
            file = CsvFile.of(existing_file(Path(path), name, "a CSV file of resistances"), name)
            table: Any = file.read()
    except InputError as error:
        if "cells" not in str(error):
            raise
        raise InputError(f"{error}; delete lines above the names of the columns, if there are any") from None
    for column in UNITS_OHM:
        # Words for open junctions keep a column text, with the file's decimal sign.
        if file.decimal_comma and column in table and table[column].dtype.kind not in "fiu":
            table[column] = table[column].str.replace(r"^(\s*[+-]?\d+),(\d+\s*)$", r"\1.\2", regex=True)
    return as_table(table, name)


def as_table(table: Any, name: str = "the table") -> pd.DataFrame:
    """Return a copy of a wafer's table with checked columns, from pandas or xarray; see `read_csv` for the columns.

    Args:
        table: a DataFrame, a Dataset of one dim, or a dictionary of columns.
        name: of the table, for messages.

    Raises:
        InputError: for missing columns, resistances in two units, cells that are no numbers, widths that are not above
            0, a junction that is there twice, and a chip without a place or with two. The message names the row,
            counted from 1.

    >>> as_table({"chip": ["A", "A"], "w1_um": [0.2, 0.2], "w2_um": [0.2, 0.2], "R_kohm": [8.1, "OL"]}).R_ohm.tolist()
    [8100.0, inf]
    """
    frame = _as_frame(table, name)
    missing = [column for column in REQUIRED if column not in frame]
    units = [column for column in UNITS_OHM if column in frame]
    if not units:
        missing.append("R_ohm (or R_kohm, R_Mohm)")
    if missing:
        raise InputError(
            f"{name} has no column {missing[0]}; it has {listed(list(map(str, frame.columns)))}: rename or add it, and "
            "delete lines above the names of the columns, if there are any"
        )
    if len(units) > 1:
        raise InputError(
            f"{name} has resistances in {' and '.join(units)}; expected one unit: keep one column"
        )
    if len(frame) == 0:
        raise InputError(f"{name} has no rows; expected one per junction")
    result: Any = frame.reset_index(drop=True).drop(columns=units)
    for column in ("wafer", "chip"):
        if column in result:
            result[column] = _texts(result[column], column, name)
    result["R_ohm"] = (
        _resistances(frame[units[0]].reset_index(drop=True), units[0], name) * UNITS_OHM[units[0]]
    )
    for column in ("w1_um", "w2_um"):
        result[column] = _numbers(result[column], column, name)
        _refuse(result[column] <= 0, result[column], column, name, "a width above 0, in µm")
        _refuse(result[column] > _WIDEST_UM, result[column], column, name, "a width in µm, not in nm")
    for column in (*_PLACES, "temperature_K"):
        if column in result:
            result[column] = _numbers(result[column], column, name)
    if "date" in result:
        result["date"] = _dates(result["date"], name)
    if "junction" in result:
        result["junction"] = _texts(result["junction"], "junction", name)
    else:
        keys = [column for column in ("wafer", "chip") if column in result]
        result["junction"] = (result.groupby(keys).cumcount() + 1).astype(str)
    _check_ids(result, name)
    _check_places(result, name)
    _check_units(result, units[0], name)
    return result


def _as_frame(table: Any, name: str) -> Any:
    if hasattr(table, "to_dataframe"):  # of xarray
        return table.to_dataframe().reset_index()
    try:
        frame = pd.DataFrame(table)
    except (TypeError, ValueError):
        raise InputError(
            f"{name} is of type {type(table).__name__}; expected a pandas table with columns such as chip and R_ohm"
        ) from None
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InputError(f"{name} has two columns {short(repeated[0])!r}; expected unique names: rename one")
    return frame


def _cell(column: Any, row: Any) -> str:
    value = column[row]
    what = "empty" if pd.isna(value) else repr(short(value))
    return f"{what} in row {int(row) + 1} of the data"


def _refuse(bad: Any, values: Any, column: str, name: str, expected: str) -> None:
    if bad.any():
        raise InputError(f"{column} of {name} is {_cell(values, bad.idxmax())}; expected {expected}")


def _texts(column: Any, label: str, name: str) -> Any:
    bad = column.isna()
    if bad.any():
        raise InputError(
            f"{label} of {name} is empty in row {int(bad.idxmax()) + 1} of the data; expected a name in every row: "
            "delete rows that are no junction"
        )
    if column.dtype.kind == "f" and (column == column.round()).all():
        column = column.astype(np.int64)  # names such as 1, 2 with a gap once
    return column.astype(str).str.strip()


def _numbers(column: Any, label: str, name: str) -> Any:
    values: Any = pd.to_numeric(column, errors="coerce")
    _refuse(
        values.isna() | np.isinf(values),
        column,
        label,
        name,
        f"a number{_unit_of(label)}: fill it in, or delete the row",
    )
    return values.astype(np.float64)


def _unit_of(label: str) -> str:
    return f" in {label.rsplit('_', 1)[1]}" if "_" in label else ""


def _resistances(column: Any, label: str, name: str) -> NDArray[np.float64]:
    """Return resistances: infinite for open junctions, NaN where none was measured."""
    if column.dtype.kind in "fiu":
        return column.to_numpy(np.float64)
    words = column.astype(object).where(column.notna(), "").astype(str).str.strip().str.lower()
    values: Any = pd.to_numeric(words, errors="coerce")
    values[words.isin(_OPEN_WORDS)] = np.inf
    bad = values.isna() & ~words.isin(_GAPS)
    _refuse(
        bad,
        column,
        label,
        name,
        "a plain number such as 9907.1, without spaces or units, OL for an open junction",
    )
    return values.to_numpy(np.float64)


def _dates(column: Any, name: str) -> Any:
    try:
        return pd.to_datetime(column, format="ISO8601")
    except (ValueError, TypeError) as error:
        text = column.astype(str)
        plain: Any = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True).isna() & column.notna()
        if plain.any():
            raise InputError(
                f"date of {name} is {_cell(column, plain.idxmax())}; expected ISO 8601, as in 2026-03-02"
            ) from None
        if "time zone" in str(error) or "timezone" in str(error).lower():
            raise InputError(
                f"date of {name} mixes time zones; expected the same zone in every row"
            ) from None
        raise InputError(
            f"date of {name} cannot be read ({error}); expected ISO 8601, as in 2026-03-02"
        ) from None


def _check_ids(table: Any, name: str) -> None:
    keys = [column for column in ("wafer", "chip", "junction") if column in table]
    if (twice := table.duplicated(keys)).any():
        row = table.loc[twice.idxmax()]
        raise InputError(
            f"{name} has junction {row.junction!r} of chip {row.chip!r} twice, again in row {int(twice.idxmax()) + 1}; "
            "expected each once: keep one measurement (the command `solvable junctions ageing` takes series)"
        )


def _check_places(table: Any, name: str) -> None:
    for pair in (_PLACES[:2], _PLACES[2:]):
        present = [column for column in pair if column in table]
        if len(present) == 1:
            other = pair[1] if present[0] == pair[0] else pair[0]
            raise InputError(f"{name} has a column {present[0]} and no {other}; expected both, or none")
    if "chip_x_mm" in table:
        keys = [column for column in ("wafer", "chip") if column in table]
        spread = table.groupby(keys, sort=False)[list(_PLACES[:2])].agg(np.ptp)
        if (moved := (spread > 1e-6).any(axis=1)).any():
            chip = moved.idxmax()
            raise InputError(
                f"chip {chip[-1] if isinstance(chip, tuple) else chip!r} of {name} has two places; expected one"
            )


def _check_units(table: Any, unit: str, name: str) -> None:
    """Raise if some resistances are a thousandth of the others: a mixture of ohm and kohm."""
    R = table.R_ohm.to_numpy()
    usable = (R > 0) & np.isfinite(R)
    z = np.log10(np.where(usable, R, 1.0))
    codes = design_codes(table)[0]
    off = z - group_medians(np.where(usable, z, np.nan), codes)
    for factor in (-3, 3):
        other = usable & (np.abs(off - factor) < 0.25)
        if other.sum() >= max(3, _OTHER_UNIT * usable.sum()):
            row, where = int(np.argmax(other)), "below" if factor < 0 else "above"
            raise InputError(
                f"{unit} of {name} has {int(other.sum())} values about 1000 times {where} "
                f"those of their design, first {table.R_ohm[row] / UNITS_OHM[unit]:g} in row {row + 1}: ohm and "
                "kohm are mixed; expected one unit"
            )


def design_codes(table: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the number of each junction's design, and the widths (designs, 2), ascending."""
    widths = table[["w1_um", "w2_um"]].to_numpy().round(9)
    # One key per design is faster to sort than rows.
    w1, first = np.unique(widths[:, 0], return_inverse=True)
    w2, second = np.unique(widths[:, 1], return_inverse=True)
    keys, codes = np.unique(first * len(w2) + second, return_inverse=True)
    return codes, np.stack([w1[keys // len(w2)], w2[keys % len(w2)]], axis=1)


def places_mm(rows: Any) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return the places of the junctions on the wafer in mm: of their chips, if theirs are unknown."""
    if "chip_x_mm" not in rows:
        return None, None
    x, y = rows["chip_x_mm"].to_numpy(), rows["chip_y_mm"].to_numpy()
    if "x_um" in rows:
        return x + rows["x_um"].to_numpy() / 1e3, y + rows["y_um"].to_numpy() / 1e3
    return x, y


def flag(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column `flag`: ok, outlier, open, short or invalid.

    In this order, within each design, whose median is that of its resistances from 100 ohm to 1 Mohm: invalid if R is
    negative or was not measured; open if R is infinite or above 3 times the median; short if it is 0 or below a third
    of it; outlier if ln R is more than 5 robust standard deviations (1.4826 times the median absolute deviation of the
    rest; see `robust_spread` for small groups) from its median. All count against the yield, and only the outliers
    among them enter the map of residuals.

    Args:
        table: as from `read_csv`.

    >>> table = as_table({"chip": list("AABB"), "w1_um": 0.2, "w2_um": 0.2, "R_ohm": [8000, 8100, 0, 9e6]})
    >>> flag(table).flag.tolist()
    ['ok', 'ok', 'short', 'open']
    """
    codes, _ = design_codes(table)
    R = table["R_ohm"].to_numpy(np.float64)
    invalid = np.isnan(R) | (R < 0)
    usable = ~invalid & (R > 0) & np.isfinite(R)
    z = np.log(np.where(usable, R, 1.0))
    # Of a design with more opens than junctions the median would be that of the opens.
    plausible = usable & (_PLAUSIBLE_OHM[0] <= R) & (_PLAUSIBLE_OHM[1] >= R)
    median = group_medians(np.where(plausible, z, np.nan), codes)
    median = np.where(np.isnan(median), group_medians(np.where(usable, z, np.nan), codes), median)
    is_open = ~invalid & (np.isinf(R) | (z - median > np.log(_OPEN_FACTOR)))
    is_short = ~invalid & ~is_open & ((R == 0) | (median - z > np.log(_SHORT_FACTOR)))
    rest = usable & ~is_open & ~is_short
    inner = np.where(rest, z, np.nan)
    distance = np.abs(inner - group_medians(inner, codes))
    spread = robust_spread(distance, codes)
    # A meter with few digits gives equal values, whose deviation of 0 flags nothing.
    outlier = rest & (spread > 0) & (distance > _OUTLIER * spread)
    flags = np.select([invalid, is_open, is_short, outlier], ["invalid", "open", "short", "outlier"], "ok")
    return table.assign(flag=flags)


def select_wafer(table: pd.DataFrame, wafer: str | None = None) -> pd.DataFrame:
    """Return the rows of one wafer of a table.

    Args:
        table: as from `read_csv`.
        wafer: its name; a table of one wafer needs none.

    Raises:
        InputError: if there is no such wafer, or several and no name.
    """
    if "wafer" not in table:
        if wafer is not None:
            raise InputError(
                f"the wafer {wafer!r} was asked for, and the table has no column wafer; leave it out"
            )
        return table
    names = list(table["wafer"].unique())
    if wafer is None:
        if len(names) > 1:
            raise InputError(
                f"the table has {len(names)} wafers ({listed(names)}); choose one with --wafer (in Python: wafer=)"
            )
        return table
    rows: Any = table[table["wafer"] == choice("wafer", wafer, names)]
    return rows.reset_index(drop=True)


def out_of_range(designs: NDArray[np.float64], medians: NDArray[np.float64]) -> str | None:
    """Return a note on a design whose median resistance is implausible, if there is one."""
    low, high = _PLAUSIBLE_OHM
    for (w1, w2), R in zip(designs, medians, strict=True):
        if np.isfinite(R) and not low <= R <= high:
            return f"the median of {w1:g} x {w2:g} µm is {R:.3g} ohm, outside of 100 ohm to 1 Mohm: check the unit"
    return None
