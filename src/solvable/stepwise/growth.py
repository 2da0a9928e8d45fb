r"""Growth of one eigenvalue: when it will reach half of its final value, and whether it grows at all.

From small values an eigenvalue follows a logistic curve, whose logit is a straight line in time. A line through the
records of the last few e-foldings gives the rate and the time of the crossing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import t as student

# A line goes through records from this share of the final value on, or through the last e-foldings before that.
_FROM, _E_FOLDINGS = 3e-4, 3.0
_FEWEST = 4
# Features change while a network learns, and growth speeds up: nine of ten networks that were trained for the tests
# needed between a half and five quarters of the time that was left on the line.
_SOONER, _LATER = 0.5, 0.25


@dataclass(frozen=True)
class Forecast:
    """When a direction will be learned, that is, have half of its final eigenvalue.

    Attributes:
        direction: its number, from 1.
        step: the step of the crossing.
        low: lower end of an interval that holds nine of ten steps, for SGD at the present learning rate.
        high: upper end of the interval; may be infinite.
        rate: growth of the eigenvalue's logarithm per step.
        made_at: step of the last record that was used.
        share: eigenvalue over its final value at that step.
    """

    direction: int
    step: float
    low: float
    high: float
    rate: float
    made_at: float
    share: float


@dataclass(frozen=True)
class Line:
    """A straight line through the logit of an eigenvalue.

    Attributes:
        rate: slope, per unit of time.
        error: its standard error.
        crossing: time at which the line passes 0.
        crossing_error: its standard error.
        growth: e-foldings from the first to the last record of the fit.
        span: time from the first to the last record.
        spread: standard deviation of the residuals.
    """

    rate: float
    error: float
    crossing: float
    crossing_error: float
    growth: float
    span: float
    spread: float

    @property
    def grows(self) -> bool:
        """Whether the slope is positive beyond doubt, and the growth visible."""
        return self.rate > 4 * self.error and self.growth > 0.3


def fit_line(
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    level: float,
    age: float = 0.0,
    floor: float = 0.0,
) -> Line | None:
    """Return the line through the last records of an eigenvalue, or None with fewer than four of them.

    Args:
        times: times of the records, ascending (records,).
        values: the eigenvalue (records,).
        level: its final value.
        age: mean age of the samples behind a record, in the unit of `times`: neighbouring records share samples.
        floor: values below it are rounding, and are left out.
    """
    shares = values / level
    last = shares[-1]
    if not last > max(floor / level, 0.0):
        return None
    lowest = max(floor / level, _FROM if last > 30 * _FROM else last * np.exp(-_E_FOLDINGS))
    # The records since the eigenvalue was last below: before, another direction may have had this rank.
    below = np.flatnonzero(shares < lowest)
    first = int(below[-1]) + 1 if len(below) else 0
    t, share = times[first:], np.clip(shares[first:], 1e-300, 0.9)
    n = len(t)
    if n < _FEWEST or t[-1] <= t[0]:
        return None
    y = logit(share)
    x = t - t.mean()
    spread_t = float(x @ x)
    rate = float(x @ y) / spread_t
    residuals = y - y.mean() - rate * x
    # Records that share samples count as one; independent ones are at least twice the mean age apart.
    independent = min(float(n), 1 + (t[-1] - t[0]) / max(2 * age, 1e-300))
    freedom = max(independent - 2, 1.0)
    variance = float(residuals @ residuals) / max(n - 2, 1) * max(n / independent, 1.0)
    error = float(np.sqrt(variance / spread_t))
    crossing = float(t.mean() - y.mean() / rate) if rate > 0 else np.inf
    at = np.sqrt(variance * (1 / n + (crossing - t.mean()) ** 2 / spread_t)) / rate if rate > 0 else np.inf
    factor = float(student.ppf(0.975, freedom)) / 1.96
    return Line(
        rate,
        error * factor,
        crossing,
        float(at) * factor,
        float(rate * (t[-1] - t[0])),
        float(t[-1] - t[0]),
        float(np.sqrt(variance)),
    )


def lag(rate: float, age: float) -> float:
    """Return by how much a mean over past samples runs behind a value that grows at `rate`.

    With exponentially falling weights of mean age a the mean of $e^{rt}$ is smaller by the factor 1 + ra.
    """
    return float(np.log1p(rate * age) / rate) if rate * age > 1e-9 else age


def forecast_from(line: Line, direction: int, now: float, share: float, age: float) -> Forecast:
    """Return the forecast of a line's crossing, in the unit of its times."""
    step = line.crossing - lag(line.rate, age)
    remaining = max(step - now, 0.0)
    error = 2 * line.crossing_error
    low = max(step - error - _SOONER * remaining, now if step > now else step)
    return Forecast(direction, step, low, step + error + _LATER * remaining, line.rate, now, share)


def straight(
    times: NDArray[np.float64], y: NDArray[np.float64], age: float
) -> tuple[float, float, float] | None:
    """Return the slope of a straight line, its standard error, and its value at the last time.

    Args:
        times: times (records,), ascending.
        y: values (records,).
        age: mean age of the samples behind a record: records that share samples count as one.
    """
    x = times - times.mean()
    spread = float(x @ x)
    if spread == 0:
        return None
    slope = float(x @ y) / spread
    residuals = y - y.mean() - slope * x
    n = len(times)
    independent = min(float(n), 1 + (times[-1] - times[0]) / max(2 * age, 1e-300))
    variance = float(residuals @ residuals) / max(n - 2, 1) * n / independent
    factor = float(student.ppf(0.975, max(independent - 2, 1.0))) / 1.96
    return slope, float(np.sqrt(variance / spread)) * factor, float(y.mean() + slope * x[-1])
