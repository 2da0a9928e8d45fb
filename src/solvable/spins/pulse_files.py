"""Pulses in CSV files of samples, as `Pulse.to_csv` or a waveform generator writes them."""

import warnings
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.checks import numbers
from solvable.errors import InputError
from solvable.spins.pulses import CONTROLS, Pulse
from solvable.spins.shapes import Sampled

# Units that a column may have been written in: what to multiply with to get the unit expected.
_UNITS = {"kV_per_m": "V_per_m", "mV_per_m": "V_per_m", "mT": "T", "uT": "T", "us": "ns", "s": "ns"}
_SHORTEST_NS = 0.1
_OVERSHOOT = 0.02


def read_pulse(path: str | Path) -> Pulse:
    """Read a pulse from a CSV file; columns that are missing are zero.

    The columns are `t_ns`, from 0, and any of those of `CONTROLS`; lines `# nu_E_GHz = 5.59` and `# nu_B_GHz = 5.56` at
    the top have the drives' frequencies. Between samples there are cubic splines; a time that occurs twice is a jump.

    Raises:
        InputError: if the file cannot be read, or has columns of other names, blanks, or times out of order.
    """
    path = Path(path)
    text = _text(path)
    frequencies = {"nu_E_GHz": 0.0, "nu_B_GHz": 0.0}
    for name, value in _comments(text).items():
        if name in frequencies:
            try:
                frequencies[name] = float(value)
            except ValueError:
                raise InputError(f"{path}: {name} must be a number; got {value!r}") from None
            if frequencies[name] > 200:
                raise InputError(
                    f"{path}: {name} is {value}; expected GHz, at most 200; this looks like MHz or Hz"
                )
    table = _table(path, text)
    if not len(table):
        raise InputError(f"{path} has no samples below the names of its columns")
    t = _column(path, table, "t_ns")
    if t.size < 2 or t[0] != 0:
        raise InputError(
            f"{path}: t_ns must begin at 0 and have 2 or more values; got {t.size} from {t[:1].tolist()}"
        )
    if (back := np.flatnonzero(np.diff(t) < 0)).size:
        raise InputError(
            f"{path}: t_ns must ascend; row {back[0] + 2} of the samples has {t[back[0] + 1]:g} after {t[back[0]]:g}"
        )
    if t[-1] < _SHORTEST_NS:
        raise InputError(f"{path}: t_ns ends at {t[-1]:g} ns; this looks like another unit, such as s")
    values = {name: _column(path, table, name) for name in CONTROLS if name in table}
    for i, name in enumerate(("nu_E_GHz", "nu_B_GHz")):
        needed = CONTROLS[1 + 2 * i : 3 + 2 * i]
        if not frequencies[name] and any(np.any(values.get(one, 0)) for one in needed):
            raise InputError(
                f"{path} has {needed[0][:1]}-drives, so it needs a line such as '# {name} = 5.59' at its top"
            )
    shapes: dict[str, Any] = {}
    for name, one in values.items():
        if not np.any(one):
            continue
        shapes[name] = Sampled(t, one)
        _warn_of_overshoot(path, name, t, one, shapes[name])
    try:
        return Pulse(float(t[-1]), **shapes, **frequencies)
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from None


def read_comments(path: str | Path) -> dict[str, str]:
    """Return the comments `# name = value` of a pulse's CSV file."""
    return _comments(_text(Path(path)))


def _table(path: Path, text: str) -> Any:
    """Return the samples as text, with the columns' names checked."""
    import pandas as pd

    head = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    if not head:
        raise InputError(f"{path} is empty; expected t_ns and any of {', '.join(CONTROLS)}")
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in head:
            raise InputError(f"{path} is separated by {name}; expected commas, and points in numbers")
    names = [name.strip() for name in head.split(",")]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} has the column {twice!r} twice")
    expected = ("t_ns", *CONTROLS)
    for name in names:
        if name in expected:
            continue
        hint = ""
        for unit, other in _UNITS.items():
            if name.endswith(f"_{unit}") and name.removesuffix(unit) + other in expected:
                hint = f"; convert it to {name.removesuffix(unit) + other}"
        raise InputError(
            f"{path} has unknown column {name!r}; expected t_ns and any of {', '.join(CONTROLS)}{hint}"
        )
    if "t_ns" not in names:
        raise InputError(f"{path} has no column t_ns; expected t_ns and any of {', '.join(CONTROLS)}")
    try:
        table = pd.read_csv(StringIO(text), comment="#", dtype=str, keep_default_na=False, index_col=False)
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as problem:
        raise InputError(f"{path} is not a CSV file of a pulse: {problem}") from None
    table.columns = names
    return table


def _column(path: Path, table: Any, name: str) -> NDArray[np.float64]:
    """Return a column as numbers; a cell that is none is named with its row."""
    found = np.empty(len(table))
    for i, cell in enumerate(table[name]):
        try:
            found[i] = float(cell)
        except (TypeError, ValueError):
            found[i] = np.nan
        if not np.isfinite(found[i]):
            what = (
                "is blank" if not str(cell).strip() or str(cell) == "nan" else f"is {cell!r}, and no number"
            )
            raise InputError(f"{path}: {name} {what} in row {i + 1} of the samples")
    return numbers(f"{path}: {name}", found)


def _warn_of_overshoot(path: Path, name: str, t: NDArray[Any], values: NDArray[Any], shape: Sampled) -> None:
    """Warn if splines leave the range of the samples next to them, as they do at a step."""
    middle = (t[1:] + t[:-1]) / 2
    low, high = np.minimum(values[1:], values[:-1]), np.maximum(values[1:], values[:-1])
    between = shape(middle, float(t[-1]))
    beyond = np.maximum(between - high, low - between)[np.diff(t) > 0].max()
    if beyond > _OVERSHOOT * np.abs(values).max():
        warnings.warn(
            f"{path}: the cubic splines between the samples of {name} overshoot them by {beyond:.2g}; write the time of"
            " a step twice, with the values before and after it, or sample more finely",
            stacklevel=4,
        )


def _comments(text: str) -> dict[str, str]:
    pairs = (
        line.lstrip("# ").split("=", 1) for line in text.splitlines() if line.startswith("#") and "=" in line
    )
    return {name.strip(): value.strip() for name, value in pairs}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise InputError(f"cannot read {path}: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise InputError(f"cannot read {path}: {problem}") from None
