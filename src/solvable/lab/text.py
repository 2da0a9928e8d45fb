"""Number formats of the terminal, reports and pages."""

import math
import re
from typing import Any

import numpy as np
import pandas as pd


def readable(value: Any, digits: int = 4) -> str:
    """Return a number with `digits` significant digits, without an exponent for common magnitudes.

    >>> [readable(value) for value in (20000, 0.123456, 1234.5678, 0.001, 3e-9, float("inf"), float("nan"))]
    ['20000', '0.1235', '1235', '0.001', '3e-09', '∞', '–']
    """
    if value is None or value is pd.NA:
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return str(value)
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if 10 ** (digits - 1) <= abs(value) < 1e7:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def with_error(value: float, error: float) -> str:
    """Return a value and its standard error to the same decimal; the error has two significant digits.

    >>> with_error(0.030941, 0.00123), with_error(1234.5, 67.0), with_error(0.5, 0.996), with_error(0.5, math.nan)
    ('0.0309 ± 0.0012', '1234 ± 67', '0.5 ± 1.0', '0.5')
    """
    # Equal trials differ by rounding only.
    if not (math.isfinite(value) and math.isfinite(error)) or error <= 1e-12 * abs(value):
        return readable(value)
    decimals = 1 - math.floor(math.log10(float(f"{error:.1e}")))  # 0.996 is 1.0
    if decimals > 8:
        return f"{readable(value)} ± {error:.1e}"
    return f"{value:.{max(decimals, 0)}f} ± {error:.{max(decimals, 0)}f}"


def percent(fraction: float, digits: int = 3, *, decimals: int | None = None, signed: bool = False) -> str:
    """Return a fraction in percent, with `digits` significant digits or `decimals` decimals; `signed` adds a plus.

    >>> percent(0.0534), percent(2.3412, 2), percent(3e-7), percent(0.5, decimals=1), percent(0.012, 2, signed=True)
    ('5.34 %', '234 %', '< 0.001 %', '50.0 %', '+1.2 %')
    """
    if not math.isfinite(fraction):
        return readable(fraction)
    plus = "+" if signed else ""
    if decimals is not None:
        # Adding 0 turns the -0.0 that rounding can leave into 0.0.
        return f"{round(100 * fraction, decimals) + 0.0:{plus}.{decimals}f} %"
    if 0.0 < fraction < 1e-5:
        return "< 0.001 %"
    return f"{plus if fraction >= 0 else ''}{readable(100 * float(fraction), digits)} %"


def first_sentence(text: str) -> str:
    """Return a text up to the end of its first sentence; a full stop ends one before a capital letter.

    >>> first_sentence("The error is 0.5 (e.g. at n = 10). More data help.")
    'The error is 0.5 (e.g. at n = 10).'
    """
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", text.strip(), maxsplit=1)[0]


def file_size(n_bytes: int) -> str:
    """Return a number of bytes in a suitable unit.

    >>> file_size(512), file_size(2_345_678)
    ('512 B', '2.3 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} B"
