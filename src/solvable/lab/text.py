"""Numbers as people read them, the same on the terminal and in the report."""

import math
from typing import Any

import numpy as np
import pandas as pd

from solvable.lab.compare import ZERO, Comparison


def readable(value: Any, digits: int = 4) -> str:
    """Return a number with four significant digits, without an exponent where a person would not write one.

    >>> [readable(value) for value in (20000, 0.123456, 1234.5678, 0.001, 3e-9, float("inf"), float("nan"))]
    ['20000', '0.1235', '1235', '0.001', '3e-09', '∞', '–']
    """
    if value is None or value is pd.NA:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return str(value)
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if 1000 <= abs(value) < 1e7:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def with_error(value: float, error: float) -> str:
    """Return a value and its standard error, to the same decimal; the error has two significant digits.

    >>> with_error(0.030941, 0.00123), with_error(1234.5, 67.0), with_error(0.5, float("nan"))
    ('0.0309 ± 0.0012', '1234 ± 67', '0.5')
    """
    if not (math.isfinite(value) and math.isfinite(error)) or error <= 0:
        return readable(value)
    decimals = 1 - math.floor(math.log10(error))
    if decimals > 8:
        return f"{readable(value)} ± {error:.1e}"
    return f"{value:.{max(decimals, 0)}f} ± {error:.{max(decimals, 0)}f}"


def percent(value: float) -> str:
    """Return a signed fraction in percent, as in `+1.2 %`."""
    # Adding 0 turns the -0.0 that rounding can leave into 0.0.
    return f"{round(100 * value, 1) + 0.0:+.1f} %" if math.isfinite(value) else "–"


def file_size(n_bytes: int) -> str:
    """Return bytes in a unit that keeps the number short.

    >>> file_size(512), file_size(2_345_678)
    ('512 B', '2.3 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} B"


def comparison_rows(comparison: Comparison, quantity: str) -> tuple[str, list[str], list[dict[str, Any]]]:
    """Return one quantity of a comparison, ready to be shown as a table.

    Coordinates that are the same in every row are taken out of the table and said once.

    Returns:
        what holds in every row (`n_features = ∞`; empty if nothing does), the heads of the columns, and the
        rows: `cells`, as many texts as heads, and `outside` and `counted`, by which a row is marked.
    """
    table: Any = comparison.table[comparison.table["quantity"] == quantity]
    columns = list(table.columns)
    dims = [dim for dim in columns[1 : columns.index("predicted")] if table[dim].notna().any()]
    fixed = [dim for dim in dims if len(table) > 1 and table[dim].nunique() == 1]
    varied = [dim for dim in dims if dim not in fixed]
    has_interval = table["inside"].notna().any()
    heads = [*varied, "predicted", "measured", "error", *(["interval"] if has_interval else [])]
    rows = []
    for row in table.to_dict("records"):
        cells = [readable(row[dim]) for dim in varied] + [readable(row["predicted"])]
        nothing = abs(row["measured"]) <= ZERO * np.abs(table["measured"]).max()
        cells.append("≈ 0" if nothing else with_error(row["measured"], row["standard_error"]))
        cells.append(percent(row["relative_error"]) if row["counted"] else "not counted")
        outside = bool(row["counted"] and pd.notna(row["inside"]) and not row["inside"])
        if has_interval:
            mark = "outside " if outside else ""
            cells.append(f"{mark}{readable(row['low'], 3)} … {readable(row['high'], 3)}")
        rows.append({"cells": cells, "outside": outside, "counted": bool(row["counted"])})
    return ", ".join(f"{dim} = {readable(table[dim].iloc[0])}" for dim in fixed), heads, rows
