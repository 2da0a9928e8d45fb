"""Fits of the laws of ageing to readings, and forecasts that show how much depends on the law; see `ageing`.

Source: least squares in ln R, weights by AICc (Burnham and Anderson, 2002); intervals and averages are our own.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.special import stdtr, stdtrit

from solvable.checks import choice, finite, grid, numbers, one_number
from solvable.errors import InputError
from solvable.junctions.ageing_laws import LAWS, RISE, best_rises, centred, log_rise, shape_bounds, unit_rise

if TYPE_CHECKING:
    import pandas as pd

DECIDED = 0.95
"""Weight from which on a law counts as the one that the readings pick."""


# Times of a round of readings may differ by this share of the time since evaporation, and by these days.
_ROUND, _ROUND_DAYS = 0.1, 0.02


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
        rise, fitted = (log_rise(self.law, one, last, theta)[0][0] for one in (times.ravel(), self._t))
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
                log_rise(self.law, one, t[-1], points) for one in (at, reference)
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
        >>> from solvable.junctions.ageing_laws import resistance
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
        found = {name: self._forecast_or_none(name, t, level, since_days) for name in self.laws}
        lost = sum(self.laws[name].weight for name, part in found.items() if part is None)
        if lost > 1 - DECIDED:
            raise InputError(
                f"the resistance falls to zero before day {t.max():g} by laws of weight {lost:.2f}; expected earlier "
                "times"
            )
        # Other laws that fall to zero have no say.
        ones = [self.laws[name] for name, part in found.items() if part is not None]
        parts = [part for part in found.values() if part is not None]
        mean, low, high = (
            np.log([getattr(part, name) for part in parts]) for name in ("mean", "low", "high")
        )
        weights, freedom = (
            np.reshape([getattr(one, name) for one in ones], (-1, *np.ones(t.ndim, int)))
            for name in ("weight", "degrees_of_freedom")
        )
        weights = weights / weights.sum()
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

    def _forecast_or_none(
        self, law: str, t: NDArray, level: float, since_days: float | None
    ) -> Forecast | None:
        try:
            if law == "average":
                return self.predict(t, level, law, since_days)
            return self.laws[law]._forecast(t, level, since_days)
        except InputError:
            return None

    def table(
        self, t_days: ArrayLike, level: float = 0.95, since_days: float | None = None
    ) -> "pd.DataFrame":
        """Return the forecast of every law and of their average, a row for each law and time.

        A law that falls to zero before the last time has NaN.

        Args: as in `predict`. Columns: law, weight, t_days, mean, low, high, extrapolated.
        """
        import pandas as pd

        t = np.ravel(numbers("t_days", t_days, at_least=0))
        nothing = np.full(len(t), np.nan)
        parts = []
        for name in (*self.laws, *(["average"] if len(self.laws) > 1 else [])):
            one = self._forecast_or_none(name, t, level, since_days) or Forecast(t, nothing, nothing, nothing)
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
        junction: name of the junction of each reading (n,); each must have been read once in each round, whose
            times may differ by a tenth.

    Raises:
        InputError: if a reading is not a finite number in its range; if a junction lacks a reading; if there are fewer
            readings than parameters + 1, or fewer distinct times than parameters.

    Source: least squares in ln R, weights by AICc (Burnham and Anderson, 2002); the rest is our own.

    >>> t_days = [0.05, 0.2, 1, 2, 4, 7, 10, 14, 21, 28, 42, 60]
    >>> from solvable.junctions.ageing_laws import resistance
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
    chosen = fitted[top]
    notes = [*left_out, *chosen.warnings]
    limit = _limit(chosen.residual_sd, chosen.degrees_of_freedom, 0.95)
    if (centred(np.log(R)) ** 2).sum() <= limit:
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
    """Return the mean times of the rounds of readings, and the geometric mean over junctions in each.

    Junctions are probed one after the other, so that the times of a round differ a little.
    """
    names, row = np.unique(np.asarray(junction, dtype=str), return_inverse=True)
    counts = np.bincount(row)
    if counts.min() < counts.max():
        i = int(counts.argmin())
        raise InputError(
            f"junction {str(names[i])!r} has {counts[i]} readings and others {counts.max()}; expected one of each in "
            "every round; leave out a junction that lacks some, or fit it alone"
        )
    order = np.lexsort((t, row))
    times, values = t[order].reshape(len(names), -1), np.log(R[order]).reshape(len(names), -1)
    apart = np.ptp(times, axis=0) > _ROUND * times.mean(axis=0) + _ROUND_DAYS
    if apart.any():
        j = int(apart.argmax())
        raise InputError(
            f"round {j + 1} of the readings spans days {times[:, j].min():.4g} to {times[:, j].max():.4g}; expected "
            "all junctions at about the same time; fit them one by one"
        )
    return times.mean(axis=0), np.exp(values.mean(axis=0))


def _limit(residual_sd: float, freedom: int, level: float) -> float:
    """Return the largest sum of squares of curves inside the profile interval of a level."""
    return residual_sd**2 * (freedom + float(stdtrit(freedom, (1 + level) / 2)) ** 2)


def _fit_law(law: str, t: NDArray, y: NDArray) -> LawFit:
    """Return the fit of one law to y = ln R; the weight is set later."""
    bounds = shape_bounds(law, t)
    axes = [np.linspace(*one, n) for one, n in zip(bounds, (61, 20), strict=False)]
    shapes = np.stack(np.meshgrid(*axes), -1).reshape(-1, len(axes))
    starts, rss, _ = best_rises(law, t, y, shapes)
    low, high = np.array([RISE, *bounds]).T
    start = np.clip(starts[np.nanargmin(rss)], low + 1e-9, high - 1e-9)
    jacobian: Any = lambda theta: centred(log_rise(law, t, t[-1], theta[None])[1][0]).T  # noqa: E731
    solution = least_squares(
        lambda theta: centred(log_rise(law, t, t[-1], theta[None])[0][0] - y),
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
        bound = np.array([[shape_bounds(law, t)[0][0]]])
        theta = best_rises(law, t, fitted._y, bound)[0][0]

    def quantities(x: NDArray) -> dict[str, float]:
        rises = log_rise(law, np.append(t, 1.0), t[-1], x[None, 1:])[0][0]
        R0 = np.exp(x[0] - rises[:-1].mean())
        amplitude = x[1] / unit_rise(law, t[-1], *x[2:])[0]
        if late:
            return {"R_1d_ohm": R0 * np.exp(rises[-1]), "rise_per_decade_ohm": R0 * amplitude * np.log(10)}
        shape = [np.exp(x[2]), *x[3:]] if law != "power" else x[2:]
        return dict(zip(("R0_ohm", *LAWS[law]), (R0, amplitude, *shape), strict=True))

    free = [0] if late else list(range(len(theta)))
    jacobian = centred(log_rise(law, t, t[-1], theta[None])[1][0][free]).T
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
    bounds = shape_bounds(law, t)
    first, beta, fine = np.linspace(*bounds[0], 61), None, 201
    fitted = best_rises(law, t, y, theta[None, 1:], theta[0])
    if len(bounds) > 1:
        slopes = centred(log_rise(law, t, t[-1], theta[None])[1][0])
        others = np.linalg.lstsq(slopes[:2].T, slopes[2], rcond=None)[0]
        spare = max(limit - float(fitted[1][0]), 0.0)
        reach = np.sqrt(spare / max(((slopes[2] - others @ slopes[:2]) ** 2).sum(), 1e-300))
        local = theta[2] + 1.6 * min(reach, 1.0) * np.linspace(-1, 1, 61)
        beta = np.unique(np.clip([*np.linspace(*bounds[1], 24), *local], *bounds[1]))
        first, fine = first[::2], 25

    def fan(centre: NDArray, reach: NDArray, n: int) -> tuple[NDArray, NDArray, NDArray]:
        tau = np.clip(centre[:, None] + reach[:, None] * np.linspace(-1, 1, n), *bounds[0]).ravel()
        shapes = tau[:, None] if beta is None else np.column_stack([tau, np.repeat(beta, n)])
        return best_rises(law, t, y, shapes, theta[0], 4)

    middle = np.full(1 if beta is None else len(beta), first.mean())
    found = [fan(middle, first[-1] - middle, len(first)), fitted]
    centre, spacing = first[found[0][1].reshape(-1, len(first)).argmin(axis=1)], first[1] - first[0]
    own, rss = np.ones(len(centre)), np.full(len(centre), limit)
    for _ in range(6):  # Gauss and Newton's steps along the first parameter of the shape
        points, rss, stiffness = fan(centre, np.zeros(len(centre)), 1)
        value, slopes = log_rise(law, t, t[-1], points)
        by_rise, by_tau = (centred(slopes[:, i]) for i in (0, 1))
        by_tau -= ((by_rise * by_tau).sum(1) / np.maximum(stiffness, 1e-300))[:, None] * by_rise
        own = np.maximum((by_tau**2).sum(1), 1e-300)
        step = (centred(y - value) * by_tau).sum(1) / own
        centre = np.clip(points[:, 1] + np.clip(step, -spacing, spacing), *bounds[0])
    reach = np.minimum(1.6 * np.sqrt(np.maximum(limit - rss, 0) / own), first[-1] - first[0])
    found.append(fan(centre, reach, fine))
    points, rss, stiffness = (np.concatenate(one) for one in zip(*found, strict=True))
    # The fit itself counts even where its residuals are rounding errors.
    inside = ((rss <= limit) & (stiffness > 1e-12)) | (np.arange(len(rss)) == found[0][1].size)
    return points[inside], rss[inside], stiffness[inside]
