r"""Ageing of junctions: laws of $R(t)$, their fit with forecasts that show how much depends on the law, aged frequency.

Three laws, with t in days since evaporation and $u(t)$ the relative rise, $R(t) = R_0 [1 + u(t)]$:

- `log`: $u = A \ln(1 + t/\tau)$;
- `stretched`: $u = D (1 - e^{-(t/\tau)^\beta})$, $0 < \beta \le 1$;
- `power`: $u = c\, t^p$, a check only.

Amplitudes of either sign are allowed, since some barriers drift down. Fits minimise squared residuals of $\ln R$, whose
error is constant if that of R is relative. Inside a fit the amplitude is the rise at the last reading, which the
readings determine even where A and $\tau$ are not.

Source: the logarithmic law is that of Budoyo et al., 2026, arXiv:2602.23888; stretched exponential relaxation of
barriers is in Nesbitt and Hebard, 2005, arXiv:cond-mat/0511262. Fit, intervals and average over laws are our own.
"""

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import grid, one_number
from solvable.errors import InputError
from solvable.junctions.ageing_fit import DECIDED, AgeingFit, Forecast, LawFit, fit
from solvable.junctions.ageing_laws import LAWS, aged_f01, piecewise_log, resistance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "DECIDED",
    "LAWS",
    "AgeingData",
    "AgeingFit",
    "Forecast",
    "LawFit",
    "aged_f01",
    "fit",
    "piecewise_log",
    "plot_forecast",
    "read_csv",
    "resistance",
]


class AgeingData(NamedTuple):
    """Readings of a file, each of length n, for `fit(**data._asdict())`; `junction` is None without such a column."""

    t_days: NDArray
    R_ohm: NDArray
    junction: tuple[str, ...] | None


def read_csv(path: str | Path, evaporated: str | None = None) -> AgeingData:
    """Return the readings in a CSV file, in the order of the file.

    Args:
        path: the file. Columns: `t_days`, or `date` (ISO 8601, as in 2026-03-02 or 2026-03-02T14:30); `R_ohm` or
            `R_kohm`; optionally `junction`. Others are ignored.
        evaporated: date of evaporation (ISO 8601), needed with dates.

    Raises:
        InputError: naming line and column, if a column is missing or a cell cannot be read.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "ageing.csv")
    ...     _ = path.write_text("date,R_kohm,junction\\n2026-03-03,7.1,J1\\n2026-03-09,7.2,J1\\n")
    ...     data = read_csv(path, evaporated="2026-03-02")
    >>> data.t_days.tolist(), data.R_ohm.tolist(), data.junction
    ([1.0, 7.0], [7100.0, 7200.0], ('J1', 'J1'))
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            # Where the comma is the decimal sign, columns are separated by semicolons.
            separator = ";" if ";" in file.readline() else ","
            file.seek(0)
            reader = csv.DictReader(file, skipinitialspace=True, delimiter=separator)
            columns = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from None
    for pair in (("t_days", "date"), ("R_ohm", "R_kohm")):
        if sum(name in columns for name in pair) != 1:
            raise InputError(
                f"{str(path)!r} has the columns {', '.join(columns) or 'of an empty file'}; expected one of "
                f"{' and '.join(pair)}"
            )
    if not rows:
        raise InputError(
            f"{str(path)!r} has no readings; expected a line for each below the names of columns"
        )

    def column(name: str, convert: Callable[[str], Any], expected: str) -> list[Any]:
        values = []
        for line, row in rows:
            text = (row[name] or "").strip()
            if separator == ";":
                text = text.replace(",", ".")
            try:
                values.append(convert(text))
            except (ValueError, TypeError):  # not a number or date; a date without the time zone of the other
                raise InputError(
                    f"line {line} of {str(path)!r}: {name} is {text!r}; expected {expected}"
                ) from None
        return values

    def within(low: float, value: float) -> float:
        if not low <= value < np.inf:
            raise ValueError
        return value

    if "date" in columns:
        try:
            start = datetime.fromisoformat(evaporated or "")
        except (ValueError, TypeError):
            raise InputError(
                f"the date of evaporation is {evaporated or 'missing'}; expected one, as in --evaporated 2026-03-02 "
                "(in Python: evaporated=), for a file of dates"
            ) from None
        t_days = column(
            "date",
            lambda text: within(0, (datetime.fromisoformat(text) - start) / timedelta(days=1)),
            f"a date as in 2026-03-02 from {evaporated} on, with a time zone only if that has one",
        )
    else:
        t_days = column("t_days", lambda text: within(0, float(text)), "a number of at least 0")
    unit, factor = ("R_ohm", 1.0) if "R_ohm" in columns else ("R_kohm", 1e3)
    R_ohm = column(unit, lambda text: factor * within(np.nextafter(0, 1), float(text)), "a number above 0")
    keys = (
        [name for name in ("wafer", "chip", "junction") if name in columns] if "junction" in columns else []
    )
    parts = [column(name, str, "a name") for name in keys]
    names = tuple("/".join(one) for one in zip(*parts, strict=True)) if parts else None
    return AgeingData(np.array(t_days), np.array(R_ohm), names)


def plot_forecast(
    fit: AgeingFit,
    t_days: ArrayLike | None = None,
    R_ohm: ArrayLike | None = None,
    until_days: float = 365,
    level: float = 0.95,
) -> "Figure":
    """Return a figure of the curve of each law with its interval, and the readings, against time.

    Args:
        fit: from `fit`.
        t_days: times of the readings to draw (days) (n,), for instance with later ones; by default those of the fit. A
            reading at t = 0 has no place on the logarithmic axis.
        R_ohm: their resistances (n,).
        until_days: end of the forecast (days), above 0.
        level: of the intervals.

    Raises:
        InputError: if a value is out of range.
    """
    from solvable.lab.figure import COLORS, house_style, log_axes, prediction_line, subplots

    if (t_days is None) != (R_ohm is None):
        raise InputError("t_days and R_ohm belong together; expected both or neither")
    t = fit.t_days if t_days is None else grid("t_days", t_days, at_least=0)
    R = fit.R_ohm if R_ohm is None else grid("R_ohm", R_ohm, above=0)
    if len(t) != len(R):
        raise InputError(f"R_ohm has {len(R)} values for {len(t)} times; expected one of each per reading")
    end = max(one_number("until_days", until_days, above=0), t.max())
    begin = min(t[t > 0].min(initial=np.inf), fit.t_days[fit.t_days > 0].min(), end / 10)
    times = np.geomspace(begin, end, 120)
    figure, ax = subplots(width=5.2, height=3.4)
    for i, (name, one) in enumerate(fit.laws.items()):
        forecast = one._forecast(times, level, None)
        label = f"{name}, weight {one.weight:.2f}" + " (check only)" * (name == "power")
        style = {"color": COLORS[i + 1], "linestyle": "--" if name == "power" else "-"}
        # The band of a law that the readings exclude says nothing.
        band = (forecast.low, forecast.high) if one.weight > 0.01 else (None, None)
        prediction_line(ax, times, forecast.mean, *band, label=label, **style)
    ax.plot(t[t > 0], R[t > 0], "o", color=COLORS[0], label="readings", zorder=3)
    last = fit.t_days[-1]
    if end > last:
        ax.axvline(last, color="#666666", linewidth=0.7, linestyle=":")
        ax.annotate(
            "last reading",
            (last, 0.02),
            xycoords=("data", "axes fraction"),
            ha="right",
            xytext=(-3, 0),
            textcoords="offset points",
            color="#666666",
        )
    ax.set(xlabel="time since evaporation (days)", ylabel="resistance (ohm)")
    log_axes(ax, "x")
    with house_style():
        ax.legend(loc="upper left")
    return figure
