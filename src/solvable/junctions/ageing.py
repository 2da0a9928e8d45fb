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
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.special import stdtr, stdtrit, xlogy

from solvable.checks import choice, finite, grid, numbers, one_number
from solvable.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LAWS = {
    "log": ("A", "tau_days"),
    "stretched": ("D", "tau_days", "beta"),
    "power": ("c", "p"),
}
"""Parameters of each law beside `R0_ohm`: the amplitude, then those of the shape."""

DECIDED = 0.95
"""Weight from which on a law counts as the one that the readings pick."""

# Ranges of a fit; _RISE is that of the relative rise at the last reading.
_BETA, _P, _RISE = (0.05, 1.0), (0.01, 1.0), (-0.95, 1e3)


def _curve(law: str, t: ArrayLike, *shape: ArrayLike) -> tuple[NDArray, tuple[NDArray, ...]]:
    """Return u(t) at amplitude 1 and its derivatives by the shape: ln tau; ln tau and beta; p."""
    t = np.asarray(t, dtype=float)
    if law == "power":
        rise = t ** np.asarray(shape[0])
        return rise, (xlogy(rise, t),)
    x = t / np.exp(shape[0])
    if law == "log":
        return np.log1p(x), (-x / (1 + x),)
    z = x ** np.asarray(shape[1])
    slope = z * np.exp(-z)
    return -np.expm1(-z), (-np.asarray(shape[1]) * slope, xlogy(slope, x))


def resistance(law: str, t_days: ArrayLike, parameters: Mapping[str, ArrayLike]) -> NDArray:
    r"""Return the resistance $R(t) = R_0 [1 + u(t)]$ by one of the laws of this module.

    Args:
        law: `log`, `stretched` or `power`.
        t_days: times since evaporation (days), at least 0; broadcasts with the parameters.
        parameters: `R0_ohm` and those of the law in `LAWS`; `tau_days` > 0, 0 < `beta` <= 1, `p` > 0.

    Raises:
        InputError: if the law is unknown, a parameter is missing or a value is out of range.

    Source: as in the docstring of the module.

    >>> R_ohm = resistance("log", [0, 60, 365], {"R0_ohm": 7000, "A": 0.02, "tau_days": 0.1})
    >>> R_ohm.round(1).tolist(), round(float(R_ohm[2] / R_ohm[0]), 4)
    ([7000.0, 7895.8, 8148.4], 1.1641)
    """
    choice("law", law, LAWS)
    names = ("R0_ohm", *LAWS[law])
    if missing := [name for name in names if name not in parameters]:
        raise InputError(f"parameters of the law {law} lack {missing[0]}; expected {', '.join(names)}")
    t = numbers("t_days", t_days, at_least=0)
    bounds: dict[str, dict[str, float]] = {"beta": {"above": 0, "at_most": 1}}
    bounds |= {name: {"above": 0} for name in ("R0_ohm", "tau_days", "p")}
    R0, amplitude, *shape = (numbers(name, parameters[name], **bounds.get(name, {})) for name in names)
    if law != "power":
        shape[0] = np.log(shape[0])
    return R0 * (1 + amplitude * _curve(law, t, *shape)[0])


def piecewise_log(
    t_days: ArrayLike, R0_ohm: float, A: float, taus_days: ArrayLike, changes_days: ArrayLike = ()
) -> NDArray:
    r"""Return the resistance of a junction whose storage changes: $R = R_0[1 + A \ln(1 + s)]$, $ds/dt = 1/\tau(t)$.

    Storage sets the speed of ageing and leaves the amplitude alone: R is continuous, and its rate depends on R and on
    the present $\tau$ only. With one $\tau$ it is the law `log`.

    Args:
        t_days: times since evaporation (days), at least 0, of any shape.
        R0_ohm: resistance at t = 0, above 0.
        A: amplitude, of either sign.
        taus_days: the time $\tau$ in each storage (days), above 0; one more than there are changes.
        changes_days: times of the changes (days), above 0 and ascending.

    Raises:
        InputError: if a value is out of range, or the numbers of storages and changes do not match.

    Source: that storage sets the speed and fabrication the amplitude is an observation of Budoyo et al., 2026,
    arXiv:2602.23888; the formula is our own.

    >>> piecewise_log([0, 30, 365], 7000, 0.02, [0.1, 10], [30]).round(1).tolist()  # nitrogen from day 30 on
    [7000.0, 7799.0, 7813.8]
    """
    t = numbers("t_days", t_days, at_least=0)
    R0, A = one_number("R0_ohm", R0_ohm, above=0), one_number("A", A)
    taus = grid("taus_days", taus_days, above=0)
    changes = grid("changes_days", changes_days, above=0) if np.size(changes_days) else np.empty(0)
    if len(taus) != len(changes) + 1 or (np.diff(changes) <= 0).any():
        raise InputError(
            f"taus_days has {len(taus)} and changes_days {len(changes)} values; expected one tau more than there "
            "are changes, and the changes in ascending order"
        )
    starts, ends = np.append(0.0, changes), np.append(changes, np.inf)
    spent = np.clip(t[..., None], starts, ends) - starts
    return R0 * (1 + A * np.log1p((spent / taus).sum(axis=-1)))


def aged_f01(f01_GHz: ArrayLike, EC_GHz: ArrayLike, R_ratio: ArrayLike) -> NDArray:
    r"""Return the frequency of a transmon after its junction has aged: $E_J$ becomes $E_J / (R(t)/R)$.

    It uses the exact spectrum; to first order $f$ changes by the factor $(R(t)/R)^{-S}$, with S about 0.53.

    Args:
        f01_GHz: frequency before (GHz), above 0.
        EC_GHz: charging energy over h (GHz), above 0.
        R_ratio: R(t)/R, above 0, as from `AgeingFit.predict(t, since_days=...)`. The arguments broadcast.

    Raises:
        InputError: if a value is out of range.

    Source: $E_J \propto 1/R$ is Ambegaokar and Baratoff's relation.

    >>> round(float(aged_f01(4.654957, 0.242128, 1.1)), 4)
    4.4256
    """
    from solvable.junctions.transmon import f01, josephson_energy_for_frequency

    ratio = numbers("R_ratio", R_ratio, above=0)
    return f01(josephson_energy_for_frequency(f01_GHz, EC_GHz) / ratio, EC_GHz)


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
            reader = csv.DictReader(file, skipinitialspace=True)
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
                f"evaporated is {evaporated!r}; expected the date of evaporation, as in 2026-03-02, for a file of dates"
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
    names = tuple(column("junction", str, "a name")) if "junction" in columns else None
    return AgeingData(np.array(t_days), np.array(R_ohm), names)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Resistances (ohm), or their ratios to the resistance at `since_days`, all of the shape of `t_days`.

    Attributes:
        t_days: times since evaporation (days).
        mean: the forecast.
        low, high: its interval: of the curve, not of a single reading, which scatters by `residual_sd` in addition.
    """

    t_days: NDArray
    mean: NDArray
    low: NDArray
    high: NDArray


@dataclass(frozen=True, eq=False)
class LawFit:
    """The fit of one law.

    Attributes:
        law: its name.
        parameters: `R0_ohm` and those in `LAWS`. If the readings leave tau of the law `log` open towards zero, then
            instead those of the limit, R linear in ln t: `R_1d_ohm`, at one day, and `rise_per_decade_ohm`.
        standard_errors: of the parameters, linearised; NaN where the readings set no bound.
        residual_sd: standard deviation of ln R about the curve.
        aicc: Akaike's criterion with the correction for few readings; infinite if these are too few for it.
        weight: of the law among those fitted, by `aicc`.
        degrees_of_freedom: readings less parameters.
        warnings: sentences on what the readings do not determine.
    """

    law: str
    parameters: dict[str, float]
    standard_errors: dict[str, float]
    residual_sd: float
    aicc: float
    weight: float
    degrees_of_freedom: int
    warnings: tuple[str, ...]
    _theta: NDArray
    _t: NDArray
    _y: NDArray

    def resistance(self, t_days: ArrayLike) -> NDArray:
        """Return the fitted resistances (ohm) at times (days) of any shape, without an interval.

        Raises:
            InputError: if a time is below 0, or the fitted law falls to zero.
        """
        times = numbers("t_days", t_days, at_least=0)
        last, theta = self._t[-1], self._theta[None]
        rise, fitted = (_log_rise(self.law, one, last, theta)[0][0] for one in (times.ravel(), self._t))
        if not np.isfinite(rise).all():
            raise InputError(
                f"the resistance by the law {self.law} falls to zero before day {times.max():g}; expected earlier times"
            )
        return np.exp(self._y.mean() - fitted.mean() + rise).reshape(times.shape)

    def _forecast(self, times: NDArray, level: float, since: float | None) -> Forecast:
        """Return the fitted values, and the range of values with a sum of squares below the limit of the level."""
        t, y, freedom = self._t, self._y, self.degrees_of_freedom
        limit = _limit(self.residual_sd, freedom, level)
        points, rss, stiffness = _region(self.law, t, y, self._theta, limit)
        # ln R is fitted about its mean, whose error is independent of the curve's; a ratio is free of it.
        reference = t if since is None else np.array([since])
        level_y, level_variance = (y.mean(), 1 / len(t)) if since is None else (0.0, 0.0)

        def log_forecast(at: NDArray, points: NDArray) -> tuple[NDArray, NDArray]:
            (value, slopes), (base, base_slopes) = (
                _log_rise(self.law, one, t[-1], points) for one in (at, reference)
            )
            return level_y + value - base.mean(1)[:, None], slopes[:, 0] - base_slopes[:, 0].mean(1)[:, None]

        flat = times.ravel()
        mean = np.log(self.resistance(flat) / (1.0 if since is None else self.resistance(since)))
        low, high = np.empty_like(mean), np.empty_like(mean)
        for some in np.array_split(np.arange(flat.size), -(-flat.size // 200)):
            value, slope = log_forecast(flat[some], points)
            reach = np.sqrt(
                np.maximum(limit - rss, 0)[:, None]
                * (slope**2 / np.maximum(stiffness, 1e-12)[:, None] + level_variance)
            )
            low[some] = np.minimum(np.nanmin(value - reach, axis=0), mean[some])
            high[some] = np.maximum(np.nanmax(value + reach, axis=0), mean[some])
        return Forecast(times, *(np.exp(one).reshape(times.shape) for one in (mean, low, high)))


@dataclass(frozen=True, eq=False)
class AgeingFit:
    """Fits of one or all laws to the same readings; `law` has the largest weight.

    Attributes:
        law: the law with the largest weight.
        laws: the fit of each law; its `weight` is among these.
        undecided: whether no law has a weight of at least `DECIDED`.
        warnings: sentences on what the readings do not determine.
        t_days, R_ohm: the readings that were fitted, in order of time; of several junctions the geometric means.
    """

    law: str
    laws: dict[str, LawFit]
    undecided: bool
    warnings: tuple[str, ...]
    t_days: NDArray
    R_ohm: NDArray

    @property
    def best(self) -> LawFit:
        """The fit of the law `law`, with its parameters and their standard errors."""
        return self.laws[self.law]

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each law by AICc; they sum to 1."""
        return {name: one.weight for name, one in self.laws.items()}

    def predict(
        self, t_days: ArrayLike, level: float = 0.95, law: str | None = None, since_days: float | None = None
    ) -> Forecast:
        r"""Return the forecast of R(t), or of R(t)/R(since_days), with an interval.

        The interval of a law is by profile: the values that curves reach whose sum of squares is below
        $\mathrm{RSS}(1 + q^2/\nu)$, q the quantile of Student's t with $\nu$ degrees of freedom. It assumes that law.

        Args:
            t_days: times since evaporation (days), at least 0, of any shape.
            level: of the interval, between 0 and 1.
            law: a law of the fit, by default `self.law`; or `average`: the distributions of all laws mixed by their
                weights, so that the interval covers what the laws differ by.
            since_days: time of the resistance to which ratios are returned, such as that of a cooldown.

        Raises:
            InputError: if a value is out of range, or the fitted law falls to zero.

        Warns:
            UserWarning: if the power law is extrapolated.

        Source: our own; mixing by weights of AICc follows Burnham and Anderson, 2002.

        >>> t_days = [0.05, 0.2, 1, 2, 4, 7, 10, 14, 21, 28, 42, 60]
        >>> noise = np.exp(0.002 * np.random.default_rng(1).standard_normal(12))
        >>> found = fit(t_days, noise * resistance("log", t_days, {"R0_ohm": 7000, "A": 0.02, "tau_days": 0.1}))
        >>> found.law, bool(found.predict(365).low < 8148 < found.predict(365).high)
        ('log', True)
        """
        t = numbers("t_days", t_days, at_least=0)
        finite("t_days", t, "")
        one_number("level", level, above=0)
        if level >= 1:
            raise InputError(f"level is {level:g}; expected a number below 1, such as 0.95")
        if since_days is not None:
            one_number("since_days", since_days, at_least=0)
        law = self.law if law is None else choice("law", law, (*self.laws, "average"))
        if law == "power" and t.max() > self.t_days[-1]:
            warnings.warn(
                f"the power law is extrapolated from day {self.t_days[-1]:g} to day {t.max():g}, where it rises too "
                "fast as a rule; compare it with the other laws",
                UserWarning,
                stacklevel=2,
            )
        if law != "average":
            return self.laws[law]._forecast(t, level, since_days)
        ones = list(self.laws.values())
        parts = [one._forecast(t, level, since_days) for one in ones]
        mean, low, high = (
            np.log([getattr(part, name) for part in parts]) for name in ("mean", "low", "high")
        )
        weights, freedom = (
            np.reshape([getattr(one, name) for one in ones], (-1, *np.ones(t.ndim, int)))
            for name in ("weight", "degrees_of_freedom")
        )
        q = stdtrit(freedom, (1 + level) / 2)

        def quantile(share: float, low_end: NDArray, high_end: NDArray) -> NDArray:
            for _ in range(50):
                middle = (low_end + high_end) / 2
                width = np.where(middle < mean, mean - low, high - mean)
                below = stdtr(freedom, q * (middle - mean) / np.maximum(width, 1e-15))
                below = (weights * below).sum(axis=0) < share
                low_end, high_end = np.where(below, middle, low_end), np.where(below, high_end, middle)
            return np.exp(high_end)

        return Forecast(
            t,
            np.exp((weights * mean).sum(axis=0)),
            quantile((1 - level) / 2, low.min(axis=0), low.max(axis=0)),
            quantile((1 + level) / 2, high.min(axis=0), high.max(axis=0)),
        )

    def spread(self, t_days: ArrayLike, since_days: float | None = None) -> NDArray:
        """Return the largest less the smallest forecast of the laws, over the average; arguments as in `predict`.

        It is the part of the uncertainty that the interval of one law leaves out, 0 if only one law was fitted.
        """
        t = numbers("t_days", t_days, at_least=0)
        means = np.array([one.resistance(t) for one in self.laws.values()])
        if since_days is not None:
            base = np.array([one.resistance(since_days) for one in self.laws.values()])
            means /= base.reshape(-1, *[1] * t.ndim)
        return np.ptp(means, axis=0) / np.tensordot(list(self.weights.values()), means, 1)

    def table(
        self, t_days: ArrayLike, level: float = 0.95, since_days: float | None = None
    ) -> "pd.DataFrame":
        """Return the forecast of every law and of their average, a row for each law and time.

        Args: as in `predict`. Columns: law, weight, t_days, mean, low, high, extrapolated.
        """
        import pandas as pd

        parts = []
        for name in (*self.laws, *(["average"] if len(self.laws) > 1 else [])):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the column says it
                one = self.predict(np.ravel(t_days), level, name, since_days)
            columns = {"law": name, "weight": self.weights.get(name, 1.0), **vars(one)}
            parts.append(pd.DataFrame(columns | {"extrapolated": one.t_days > self.t_days[-1]}))
        return pd.concat(parts, ignore_index=True)


def fit(
    t_days: ArrayLike, R_ohm: ArrayLike, law: str = "auto", junction: Sequence[str] | None = None
) -> AgeingFit:
    r"""Return the fits of the laws to readings of one junction, or to several that age alike.

    With `junction` it is the geometric mean of the junctions that is fitted, a reading for each time. Readings taken on
    one day share errors, of temperature or of the meter, so that many junctions do not make a forecast more certain.

    Args:
        t_days: times since evaporation (days) of the readings (n,), at least 0, in any order; repeated times count.
        R_ohm: resistances (n,), above 0.
        law: `auto` for all laws that the number of readings allows, or one of `LAWS`.
        junction: name of the junction of each reading (n,); each must have been read once at each time.

    Raises:
        InputError: if a reading is not a finite number in its range; if a junction lacks a reading; if there are fewer
            readings than parameters + 1, or fewer distinct times than parameters.

    Source: least squares in ln R, weights by AICc (Burnham and Anderson, 2002); the rest is our own.

    >>> t_days = [0.05, 0.2, 1, 2, 4, 7, 10, 14, 21, 28, 42, 60]
    >>> found = fit(t_days, resistance("log", t_days, {"R0_ohm": 7000, "A": 0.02, "tau_days": 0.1}), law="log")
    >>> {name: round(value, 4) for name, value in found.best.parameters.items()}
    {'R0_ohm': 7000.0, 'A': 0.02, 'tau_days': 0.1}
    """
    choice("law", law, ("auto", *LAWS))
    t, R = grid("t_days", t_days, at_least=0), grid("R_ohm", R_ohm, above=0)
    finite("t_days", t)
    finite("R_ohm", R)
    if len(t) != len(R) or (junction is not None and len(junction) != len(R)):
        lengths = f"{len(t)} times" + (f", {len(junction)} names" if junction is not None else "")
        raise InputError(f"R_ohm has {len(R)} values for {lengths}; expected one of each per reading")
    if junction is not None:
        t, R = _geometric_mean(t, R, junction)
    order = np.argsort(t, kind="stable")
    t, R = t[order], R[order]
    fitted: dict[str, LawFit] = {}
    left_out = []
    for name in LAWS if law == "auto" else (law,):
        k, distinct = 1 + len(LAWS[name]), len(np.unique(t))
        if len(t) > k and distinct >= k:
            fitted[name] = _fit_law(name, t, np.log(R))
        else:
            left_out.append(
                f"the law {name} needs at least {k + 1} readings at {k} or more times; got {len(t)} at {distinct}"
            )
    if not fitted:
        raise InputError(left_out[0])
    aicc = np.array([one.aicc for one in fitted.values()])
    best = aicc.min()
    weights = np.exp((best - aicc) / 2) if np.isfinite(best) else np.ones(len(aicc))
    weights /= weights.sum()
    fitted = {
        name: replace(one, weight=float(weight))
        for (name, one), weight in zip(fitted.items(), weights, strict=True)
    }
    top = max(fitted, key=lambda name: fitted[name].weight)
    undecided = bool(weights.max() < DECIDED)
    notes = [*left_out, *fitted[top].warnings]
    chosen = fitted[top]
    limit = _limit(chosen.residual_sd, chosen.degrees_of_freedom, 0.95)
    if (_centred(np.log(R)) ** 2).sum() <= limit:
        notes.append("the readings show no ageing beyond their scatter")
    if undecided:
        notes.append(
            f"the readings do not pick a law (the largest weight is {weights.max():.2f}, of {top}): forecasts by law "
            "differ; add a later reading"
        )
    if top == "power":
        notes.append("the power law fits best; it is a check only, so do not extrapolate it")
    return AgeingFit(top, fitted, undecided, tuple(notes), t, R)


def _geometric_mean(t: NDArray, R: NDArray, junction: Sequence[str]) -> tuple[NDArray, NDArray]:
    """Return the distinct times and the geometric mean over junctions at each."""
    times, column = np.unique(t, return_inverse=True)
    names, row = np.unique(np.asarray(junction, dtype=str), return_inverse=True)
    counts = np.zeros((len(names), len(times)), dtype=int)
    np.add.at(counts, (row, column), 1)
    if (counts != 1).any():
        i, j = np.argwhere(counts != 1)[0]
        raise InputError(
            f"junction {str(names[i])!r} has {counts[i, j]} readings at day {times[j]:g}; expected one of each at "
            "each time; leave out a junction that lacks some, or fit it alone"
        )
    return times, np.exp(np.bincount(column, np.log(R)) / len(names))


def _log_rise(law: str, t: NDArray, last: float, theta: NDArray) -> tuple[NDArray, NDArray]:
    """Return ln(1 + u) (g, u) and its derivatives (g, 1 + s, u) for parameters (g, 1 + s): rise at `last`, shape."""
    rise, shape = theta[:, :1], [theta[:, i, None] for i in range(1, theta.shape[1])]
    (curve, slopes), (end, end_slopes) = _curve(law, t, *shape), _curve(law, last, *shape)
    scaled = curve / end
    by_shape = [rise * (a - scaled * b) / end for a, b in zip(slopes, end_slopes, strict=True)]
    with np.errstate(invalid="ignore", divide="ignore"):
        factor = 1 + rise * scaled
        return np.log(np.where(factor > 0, factor, np.nan)), np.stack([scaled, *by_shape], 1) / factor[
            :, None
        ]


def _bounds(law: str, t: NDArray) -> list[tuple[float, float]]:
    """Return the range of each parameter of the shape."""
    if law == "power":
        return [_P]
    tau = float(np.log(t[t > 0][0] / 1e3)), float(np.log(t[-1] * 1e3))
    return [tau] if law == "log" else [tau, _BETA]


def _limit(residual_sd: float, freedom: int, level: float) -> float:
    """Return the largest sum of squares of curves inside the profile interval of a level."""
    return residual_sd**2 * (freedom + float(stdtrit(freedom, (1 + level) / 2)) ** 2)


def _centred(values: NDArray) -> NDArray:
    """Return the values less their mean over the last axis: R0 is projected out of the fit."""
    return values - values.mean(axis=-1, keepdims=True)


def _best_rises(
    law: str, t: NDArray, y: NDArray, shapes: NDArray, guess: float = 0.0, rounds: int = 6
) -> tuple[NDArray, NDArray, NDArray]:
    """Return parameters (g, 1 + s) with the best rise for shapes (g, s), sums of squares, and squared slopes."""
    columns = shapes.T[..., None]
    curve = _curve(law, t, *columns)[0] / _curve(law, t[-1], *columns)[0]
    rise = np.full((len(shapes), 1), guess)
    for _ in range(rounds):  # Gauss and Newton's steps
        slope = _centred(curve / (1 + rise * curve))
        residual = _centred(y - np.log1p(rise * curve))
        step = (residual * slope).sum(axis=1) / np.maximum((slope**2).sum(axis=1), 1e-12)
        rise = np.clip(rise + step[:, None], *_RISE)
    slope = _centred(curve / (1 + rise * curve))
    rss = (_centred(y - np.log1p(rise * curve)) ** 2).sum(axis=1)
    return np.column_stack([rise, shapes]), rss, (slope**2).sum(axis=1)


def _fit_law(law: str, t: NDArray, y: NDArray) -> LawFit:
    """Return the fit of one law to y = ln R; the weight is set later."""
    bounds = _bounds(law, t)
    axes = [np.linspace(*one, n) for one, n in zip(bounds, (61, 20), strict=False)]
    shapes = np.stack(np.meshgrid(*axes), -1).reshape(-1, len(axes))
    starts, rss, _ = _best_rises(law, t, y, shapes)
    low, high = np.array([_RISE, *bounds]).T
    start = np.clip(starts[np.nanargmin(rss)], low + 1e-9, high - 1e-9)
    jacobian: Any = lambda theta: _centred(_log_rise(law, t, t[-1], theta[None])[1][0]).T  # noqa: E731
    solution = least_squares(
        lambda theta: _centred(_log_rise(law, t, t[-1], theta[None])[0][0] - y),
        start,
        jacobian,
        (low, high),
        x_scale="jac",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-14,
    )
    theta, best = solution.x, 2 * float(solution.cost)
    n, k = len(t), 1 + len(theta)
    freedom = n - k
    # The variance of the residuals is a parameter too.
    correction = (k + 1) * (k + 2) / (freedom - 2) if freedom > 2 else np.inf
    aicc = float(n * np.log(max(best, 1e-300) / n) + 2 * (k + 1 + correction))
    fitted = LawFit(law, {}, {}, float(np.sqrt(best / freedom)), aicc, 1.0, freedom, (), theta, t, y)
    limit = _limit(fitted.residual_sd, freedom, 0.95)
    first = shapes[:, 0]
    open_low, open_high = (
        law != "power" and bool(np.nanmin(rss[first == end]) <= limit) for end in bounds[0]
    )
    return _with_parameters(fitted, open_low, open_high)


def _with_parameters(fitted: LawFit, open_low: bool, open_high: bool) -> LawFit:
    """Return the fit with its parameters; `open_low` and `open_high` say where the readings leave tau open."""
    law, t, theta, variance = fitted.law, fitted._t, fitted._theta, fitted.residual_sd**2
    late = law == "log" and open_low
    if late:  # the limit of a small tau, where R is linear in ln t
        bound = np.array([[_bounds(law, t)[0][0]]])
        theta = _best_rises(law, t, fitted._y, bound)[0][0]

    def quantities(x: NDArray) -> dict[str, float]:
        rises = _log_rise(law, np.append(t, 1.0), t[-1], x[None, 1:])[0][0]
        R0 = np.exp(x[0] - rises[:-1].mean())
        amplitude = x[1] / _curve(law, t[-1], *x[2:])[0]
        if late:
            return {"R_1d_ohm": R0 * np.exp(rises[-1]), "rise_per_decade_ohm": R0 * amplitude * np.log(10)}
        shape = [np.exp(x[2]), *x[3:]] if law != "power" else x[2:]
        return dict(zip(("R0_ohm", *LAWS[law]), (R0, amplitude, *shape), strict=True))

    free = [0] if late else list(range(len(theta)))
    jacobian = _centred(_log_rise(law, t, t[-1], theta[None])[1][0][free]).T
    scale = np.maximum(np.linalg.norm(jacobian, axis=0), 1e-150)
    covariance = np.zeros((1 + len(theta), 1 + len(theta)))
    covariance[0, 0] = variance / len(t)
    inverse = np.linalg.pinv((jacobian / scale).T @ (jacobian / scale))
    covariance[np.ix_(np.add(free, 1), np.add(free, 1))] = variance * inverse / np.outer(scale, scale)
    x = np.array([fitted._y.mean(), *theta])
    values = quantities(x)
    sides = [[list(quantities(x + h).values()) for h in side * np.eye(len(x))] for side in (1e-6, -1e-6)]
    gradient = np.subtract(sides[0], sides[1]) / 2e-6
    errors = np.sqrt(np.einsum("ij,ik,kj->j", gradient, covariance, gradient))
    standard_errors = dict(zip(values, errors.tolist(), strict=True))
    notes = []
    if late:
        notes.append(
            "all readings are late compared with tau, so tau_days, A and R0_ohm cannot be told apart: given are the "
            "resistance after 1 day and the rise per decade of time"
        )
    elif open_low or open_high:
        standard_errors |= {LAWS[law][0]: np.nan, "tau_days": np.nan}
        when = " and ".join(["early"] * open_low + ["late"] * open_high)
        notes.append(
            f"tau_days and {LAWS[law][0]} have no bound: {when} readings that would set it are missing"
        )
    numbers_of = {name: float(value) for name, value in values.items()}
    return replace(fitted, parameters=numbers_of, standard_errors=standard_errors, warnings=tuple(notes))


def _region(
    law: str, t: NDArray, y: NDArray, theta: NDArray, limit: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Return points (g, 1 + s) of the fit's parameters with sums of squares up to a limit, these, and squared slopes.

    Points lie on a grid over all shapes, and close together about the valley: the best first parameter of the shape for
    each beta. The rise at each is its best; the caller adds the others by the squared slope.
    """
    bounds = _bounds(law, t)
    first, beta, fine = np.linspace(*bounds[0], 61), None, 201
    fitted = _best_rises(law, t, y, theta[None, 1:], theta[0])
    if len(bounds) > 1:
        slopes = _centred(_log_rise(law, t, t[-1], theta[None])[1][0])
        others = np.linalg.lstsq(slopes[:2].T, slopes[2], rcond=None)[0]
        spare = max(limit - float(fitted[1][0]), 0.0)
        reach = np.sqrt(spare / max(((slopes[2] - others @ slopes[:2]) ** 2).sum(), 1e-300))
        local = theta[2] + 1.6 * min(reach, 1.0) * np.linspace(-1, 1, 61)
        beta = np.unique(np.clip([*np.linspace(*bounds[1], 24), *local], *bounds[1]))
        first, fine = first[::2], 25

    def fan(centre: NDArray, reach: NDArray, n: int) -> tuple[NDArray, NDArray, NDArray]:
        tau = np.clip(centre[:, None] + reach[:, None] * np.linspace(-1, 1, n), *bounds[0]).ravel()
        shapes = tau[:, None] if beta is None else np.column_stack([tau, np.repeat(beta, n)])
        return _best_rises(law, t, y, shapes, theta[0], 4)

    middle = np.full(1 if beta is None else len(beta), first.mean())
    found = [fan(middle, first[-1] - middle, len(first)), fitted]
    centre, spacing = first[found[0][1].reshape(-1, len(first)).argmin(axis=1)], first[1] - first[0]
    own, rss = np.ones(len(centre)), np.full(len(centre), limit)
    for _ in range(6):  # Gauss and Newton's steps along the first parameter of the shape
        points, rss, stiffness = fan(centre, np.zeros(len(centre)), 1)
        value, slopes = _log_rise(law, t, t[-1], points)
        by_rise, by_tau = (_centred(slopes[:, i]) for i in (0, 1))
        by_tau -= ((by_rise * by_tau).sum(1) / np.maximum(stiffness, 1e-300))[:, None] * by_rise
        own = np.maximum((by_tau**2).sum(1), 1e-300)
        step = (_centred(y - value) * by_tau).sum(1) / own
        centre = np.clip(points[:, 1] + np.clip(step, -spacing, spacing), *bounds[0])
    reach = np.minimum(1.6 * np.sqrt(np.maximum(limit - rss, 0) / own), first[-1] - first[0])
    found.append(fan(centre, reach, fine))
    points, rss, stiffness = (np.concatenate(one) for one in zip(*found, strict=True))
    # The fit itself counts even where its residuals are rounding errors.
    inside = ((rss <= limit) & (stiffness > 1e-12)) | (np.arange(len(rss)) == found[0][1].size)
    return points[inside], rss[inside], stiffness[inside]


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
            fontsize=7,
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
