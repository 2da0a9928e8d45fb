r"""Floor of the sensitivity to noise at $n \to \infty$, fitted to a few sizes, with its uncertainty.

The model is $s_n = s_\infty + a\, g(n)$ with $g = (n/n_0)^{-b}$, $s_n \ge 0$ throughout. For a given decay it is linear
in $(s_\infty, a)$, so $\chi^2$ as a function of $s_\infty$ alone consists of two parabolas: one with free $a$, one with
$a = -s_\infty / g(n_{\min})$, the steepest possible rise of a sensitivity. The interval of $s_\infty$ holds all values
at which the smallest $\chi^2$ over all decays is close enough to the best fit; it is computed exactly, without
iteration.

Two choices matter. $a$ may have either sign: if it had to be positive, a rising curve would be averaged, and its floor
far too low. And the slowest decay allowed decides how far the data are extrapolated, since a slower decay looks like a
floor. The strict set therefore includes decays like $1/\ln n$, which no power imitates.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

Floats = NDArray[np.float64]

FASTEST = 2.0
SLOWEST, SLOWEST_STRICT = 0.25, 0.05
# Outside these bounds the squares of s, of its error and of their ratio could leave the range of float64.
TINY, HUGE = 1e-60, 1e60


@dataclass(frozen=True)
class Decays:
    r"""A family of shapes $g(n)$, each 1 at the least size.

    Attributes:
        powers: exponents $b$ of $(n/n_{\min})^{-b}$, ascending.
        logs: $L$ of $L / (L + \ln(n/n_{\min}))$, that is $1/\ln n$ in a unit of $n_{\min} e^{-L}$.
    """

    powers: Floats
    logs: Floats

    def shapes(self, x: Floats) -> Floats:
        r"""Return the shapes `(shape, size)` at $x = \ln(n/n_{\min})$."""
        logs = self.logs[:, None]
        return np.concatenate([np.exp(-self.powers[:, None] * x), logs / (logs + x)])

    def rate(self, index: int, x: float) -> float:
        """Return a shape's exponent, for a logarithm the local one."""
        if index < len(self.powers):
            return float(self.powers[index])
        return float(1.0 / (self.logs[index - len(self.powers)] + x))


# With L below 4 the smallest size would be below 55 units of the logarithm, and the shape curved like a power.
DEFAULT = Decays(np.geomspace(SLOWEST, FASTEST, 40), np.empty(0))
STRICT = Decays(np.geomspace(SLOWEST_STRICT, FASTEST, 60), np.geomspace(4.0, 16.0, 5))


@dataclass(frozen=True)
class FloorFit:
    r"""A fitted floor.

    Attributes:
        floor: best $s_\infty$; that of a constant if it fits as well.
        low: lower end of its interval.
        high: upper end.
        decay: best $b$; NaN if a constant fits as well.
        misfit: least $\chi^2$ per degree of freedom; above 1 the interval was widened by it.
        amplitude: $a$, the decaying part at the smallest size.
        index: of the fitted shape.
        best: $s_\infty$ of least $\chi^2$, a constant or not; a common factor in all errors does not change it.
    """

    floor: float
    low: float
    high: float
    decay: float
    misfit: float
    amplitude: float
    index: int
    best: float


class _Parabolas(NamedTuple):
    """Parabolas chi²(t) = least + curvature (t - center)² for start <= t <= end, one for each shape."""

    center: Floats
    curvature: Floats
    least: Floats
    start: Floats
    end: Floats

    def best(self) -> tuple[Floats, Floats]:
        """Return the minimum of each on its domain: t and chi², which is `inf` for an empty domain."""
        t = np.clip(self.center, self.start, np.maximum(self.start, self.end))
        chi2 = self.least + self.curvature * (t - self.center) ** 2
        return t, np.where(self.end >= self.start, chi2, np.inf)

    def within(self, bound: float) -> tuple[float, float]:
        """Return the hull of all t with chi² up to a bound; (inf, -inf) if there are none."""
        below = self.best()[1] <= bound
        if not below.any():
            return np.inf, -np.inf
        radius = np.sqrt(np.maximum(bound - self.least, 0.0) / self.curvature)
        low = np.maximum(self.center - radius, self.start)[below].min()
        return float(low), float(np.minimum(self.center + radius, self.end)[below].max())


def log_sizes(n: Floats) -> Floats:
    r"""Return $\ln(n/n_{\min})$, which does not depend on the unit of $n$."""
    return np.log(n / n.min())


def fit_floor(x: Floats, s: Floats, se: Floats, decays: Decays, reach: float) -> FloorFit:
    r"""Fit $s_\infty$ and its interval: $\chi^2 - \chi^2_{\min}$ is at most reach² max(1, $\chi^2_{\min}$/dof) there.

    Args:
        x: `log_sizes`, at least 4.
        s: sensitivity at each size.
        se: its standard error, above 0.
        decays: allowed shapes.
        reach: quantile of the interval, such as 1.96.
    """
    w = 1.0 / se**2
    g = decays.shapes(x)
    # a of either sign, down to the steepest rise.
    mean_shape = (g @ w) / (g**2 @ w)
    unexplained = 1.0 - mean_shape[:, None] * g
    curvature = unexplained**2 @ w
    center = (unexplained @ (w * s)) / curvature
    decaying = (g @ (w * s)) / (g**2 @ w)  # a = decaying - mean_shape t
    residual = s - center[:, None] - (decaying - mean_shape * center)[:, None] * g
    turn = decaying / (mean_shape - 1.0)  # a = -t there; the sum of w g (1 - g) is positive
    zero = np.zeros_like(turn)
    free = _Parabolas(center, curvature, residual**2 @ w, zero, turn)
    # The steepest rise, from 0 at the smallest size: s = t (1 - g).
    rise = 1.0 - g
    curvature = rise**2 @ w
    center = (rise @ (w * s)) / curvature
    residual = s - center[:, None] * rise
    rising = _Parabolas(center, curvature, residual**2 @ w, np.maximum(turn, 0.0), zero + np.inf)

    (t_free, chi2_free), (t_rising, chi2_rising) = free.best(), rising.best()
    is_free = chi2_free.min() <= chi2_rising.min()
    index = int((chi2_free if is_free else chi2_rising).argmin())
    least = float(min(chi2_free.min(), chi2_rising.min()))
    misfit = least / (len(x) - 3)
    bound = least + reach**2 * max(1.0, misfit)
    ends = free.within(bound), rising.within(bound)
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)

    best = float(t_free[index] if is_free else t_rising[index])
    constant = max(float((w @ s) / w.sum()), 0.0)
    if ((s - constant) ** 2) @ w <= bound:
        return FloorFit(constant, low, high, float("nan"), misfit, 0.0, index, best)
    amplitude = float(decaying[index] - mean_shape[index] * best) if is_free else -best
    return FloorFit(best, low, high, decays.rate(index, float(x.max())), misfit, amplitude, index, best)


class Trend(NamedTuple):
    r"""The slope of $\ln s$ against $\ln n$: NaN unless every $s$ is positive (above `TINY`).

    Attributes:
        slope: weighted least squares.
        error: its standard error, widened if a line does not fit.
        chi2: of the line.
    """

    slope: float
    error: float
    chi2: float


def log_trend(x: Floats, s: Floats, se: Floats) -> Trend:
    """Return the slope of ln s over `x`, the `log_sizes`, at least 3."""
    if (s <= TINY).any():
        return Trend(float("nan"), float("nan"), float("inf"))
    w, y = (s / se) ** 2, np.log(s)
    x0, y0 = np.average(x, weights=w), np.average(y, weights=w)
    spread = float(w @ (x - x0) ** 2)
    slope = float(w @ ((x - x0) * (y - y0))) / spread
    chi2 = float(w @ (y - y0 - slope * (x - x0)) ** 2)
    return Trend(slope, float(np.sqrt(max(1.0, chi2 / (len(x) - 2)) / spread)), chi2)


def reach_of(n_trials: Floats | None, power: float = 0.5) -> float:
    """Return the distance, in standard errors, at which a 95 % interval clears a threshold with probability `power`.

    At power 1/2 it is the half-width of the interval. A standard error from few trials is itself uncertain. The floor
    depends on the sizes at both ends, so it has twice the degrees of freedom of the size with the fewest trials.

    Args:
        n_trials: at each size; None takes standard errors as exact.
        power: probability, in (0, 1).
    """
    quantile = 1.96 if n_trials is None else float(stdtrit(2.0 * (n_trials.min() - 1.0), 0.975))
    return quantile + float(ndtri(power))


class Remedy(NamedTuple):
    """More data that would clear the threshold, if the best fit is right.

    Attributes:
        more_trials: factor for the number of trials at every size; 1 for none.
        doublings: number of sizes to add, each twice the last.
        benign: whether the verdict would be benign rather than tempered.
    """

    more_trials: int
    doublings: int
    benign: bool


# In order of cost; a doubling of n costs more than twice the work of the largest size.
_TRIALS = ((2, 0), (3, 0), (4, 0), (6, 0), (10, 0), (15, 0), (25, 0), (50, 0), (100, 0))
_SIZES = tuple((1, doublings) for doublings in range(1, 7))
_BOTH = tuple((trials, doublings) for doublings in (1, 2, 3, 4, 5, 6) for trials in (4, 16))


def remedies(
    fit: FloorFit, x: Floats, se: Floats, decays: Decays, reach: float, threshold: float
) -> tuple[Remedy, ...]:
    """Return the smallest numbers of trials and of larger sizes that decide alone; a combination if neither does.

    Each is tried on the curve of the best fit, without scatter, at the standard errors that such data would have.

    Args:
        fit: of the present data.
        x: their `log_sizes`.
        se: their standard errors.
        decays: allowed shapes.
        reach: from `reach_of`, with the power of the plan.
        threshold: to be cleared by the interval.
    """
    widened = se * np.sqrt(max(1.0, fit.misfit))
    results = []
    for plans in (_TRIALS, _SIZES, _BOTH):
        if plans is _BOTH and results:
            break
        for more_trials, doublings in plans:
            added = x.max() + np.log(2.0) * np.arange(1, doublings + 1)
            at = np.append(x, added)
            error = np.append(widened, np.full(doublings, widened[x.argmax()])) / np.sqrt(more_trials)
            curve = fit.floor + fit.amplitude * decays.shapes(at)[fit.index]
            trial = fit_floor(at, curve, error, decays, reach)
            if trial.low > threshold or trial.high < threshold:
                results.append(Remedy(more_trials, doublings, trial.high < threshold))
                break
    return tuple(results)
