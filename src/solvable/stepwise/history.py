r"""What a `SpectrumTracker` has recorded, and what follows from it: levels, learned directions, steps and forecasts."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.stats import chi2

from solvable.stepwise.growth import Forecast, Line, fit_line, forecast_from, lag, straight

# So many of the last records are all kept, and half as many of all older ones, evenly spaced.
_RECENT = 400
_SETTLED = 0.15
# Where learned eigenvalues lie within these, their level is taken to be 1, as in Barlow Twins and VICReg.
_AROUND_ONE = 0.3, 3.0
_FEWEST = 4
# A direction that shares less between the views may grow this many times as slowly as the one before.
_GAP = 10.0
# If its growth was not seen, noise is taken to hide a direction for this share of its time.
_HIDDEN = 0.6
# The next direction's first weights are a sum of squares of as many normal numbers as there are other dimensions: one
# of so many trainings starts lower than is allowed for. To be seen it has to rise from the noise by one e-folding.
_UNLUCKY, _TO_SEE = 0.02, 1.0
# An eigenvalue of a learned direction, measured with few rows, is at least this share of the edge of their spread.
_EDGE = 0.9
# Large eigenvalues at rest that were never seen to grow are learned from this size and number of records on.
_AT_REST, _LONG = 0.02, 30
_LISTS = "steps", "times", "ages", "rows", "eigenvalues", "scales"
_PLAIN = "noise", "not_finite", "own_level", "unit_rows", "pace", "recorded"


@dataclass(frozen=True)
class Step:
    """A direction that was learned: its eigenvalue passed half of its final value.

    Attributes:
        direction: its number, from 1, in the order of learning.
        step: the step, between two records.
        rate: growth of the eigenvalue's logarithm before, per step (per unit of the sum of learning rates, if they were
            given); NaN if it was not seen to grow.
        time: the sum of the learning rates by then, if they were given; else the step.
    """

    direction: int
    step: float
    rate: float
    time: float


@dataclass
class History:
    """Records of a spectrum over training.

    Attributes:
        dim: number of dimensions of the embedding.
        level: final eigenvalue of a learned direction, if it was given.
        steps: step of each record.
        times: sum of the learning rates by then, or the step if they are not given.
        ages: mean age of the samples behind each record, in the unit of `times`.
        rows: number of samples behind each record.
        eigenvalues: of the cross-correlation, descending.
        scales: total variance, and squared norm of the mean.
        metrics: effective rank and others of some records, by step.
        losses: the last loss that was given, by step.
        learned: the directions that were learned, in order.
        noise: share of the largest eigenvalue below which others are rounding.
        not_finite: number of batches with NaN or infinite embeddings since the last good one.
        own_level: whether the eigenvalues of learned directions are at a level of their own, not at 1.
        unit_rows: whether embeddings have length 1.
        standardised: whether each dimension is divided by its standard deviation before eigenvalues are computed.
        pace: increase of `times` per step, now.
        recorded: number of records ever made.
    """

    dim: int
    level: float | None = None
    steps: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    rows: list[float] = field(default_factory=list)
    eigenvalues: list[NDArray[np.float64]] = field(default_factory=list)
    scales: list[tuple[float, float]] = field(default_factory=list)
    metrics: dict[float, dict[str, float]] = field(default_factory=dict)
    losses: dict[float, float] = field(default_factory=dict)
    learned: list[Step] = field(default_factory=list)
    noise: float = 1e-13
    not_finite: int = 0
    own_level: bool = False
    unit_rows: bool = False
    standardised: bool = False
    pace: float = 1.0
    recorded: int = 0

    def add(
        self,
        step: float,
        time: float,
        age: float,
        rows: float,
        eigenvalues: NDArray[np.float64],
        scale: tuple[float, float],
    ) -> None:
        """Add a record, and note which directions have been learned since the last one."""
        for name, value in zip(_LISTS, (step, time, age, rows, eigenvalues, scale), strict=True):
            getattr(self, name).append(value)
        self.recorded += 1
        if self.level is None and not self.own_level and self._has_own_level():
            self.own_level = True
            # Those noted so far passed a level that was none.
            self.learned = []
            levels = self.levels()
            for i in range(1, len(self.steps)):
                self._note_learned(i, float(levels[i]))
        elif len(self.steps) > 1:
            self._note_learned(len(self.steps) - 1, float(self.levels(last=1)[0]))
        if len(self.steps) >= 2 * _RECENT:
            self._thin()

    def _thin(self) -> None:
        """Keep the last records, and of the others half as many, evenly spaced in steps."""
        old = np.array(self.steps[:-_RECENT])
        wanted = np.linspace(old[0], old[-1], _RECENT // 2)
        kept = [*np.unique(np.searchsorted(old, wanted)), *range(len(old), len(self.steps))]
        for name in _LISTS:
            values = getattr(self, name)
            setattr(self, name, [values[i] for i in kept])
        steps = set(self.steps)
        self.metrics = {step: one for step, one in self.metrics.items() if step in steps}

    def step_at(self, time: float) -> float:
        """Return the step at a time, at the present pace if it is in the future."""
        now = self.times[-1]
        if time <= now:
            return float(np.interp(time, self.times, self.steps))
        return self.steps[-1] + (time - now) / self.pace if self.pace > 0 else np.inf

    def __len__(self) -> int:
        return len(self.steps)

    def curve(self, direction: int) -> NDArray[np.float64]:
        """Return the eigenvalue of a rank, from 0, over the records."""
        return np.array([values[direction] for values in self.eigenvalues])

    def settled(self) -> bool:
        """Return whether the largest eigenvalue has stopped growing: it changed little in the last third of records."""
        n = len(self.steps)
        if n < 9:
            return False
        last = np.log(np.maximum(self.curve(0)[-max(n // 3, 3) :], 1e-300))
        return bool(np.ptp(last) < max(_SETTLED, 4 * np.std(np.diff(last))))

    def current_level(self) -> float:
        """Return the eigenvalue of a learned direction, now: as given, or 1, or that of the large ones."""
        if self.level is not None:
            return self.level
        return float(self._typical(last=1)[0]) if self.own_level else 1.0

    def levels(self, last: int = 0) -> NDArray[np.float64]:
        """Return the eigenvalue of a learned direction at each record (records,), or at the `last` ones."""
        now = self.current_level()
        if self.level is not None or not self.own_level:
            return np.full(len(self.steps[-last:]), now)
        # What was much smaller than it is now had not been learned.
        return np.maximum(self._typical(last), now / 10)

    def _typical(self, last: int = 0) -> NDArray[np.float64]:
        """Return the mean of the eigenvalues weighted by themselves, so that the large ones count (records,)."""
        values = np.clip(np.stack(self.eigenvalues[-last:]), 0.0, None)
        total = values.sum(axis=1)
        mean = np.where(total > 0, np.square(values).sum(axis=1) / np.where(total > 0, total, 1.0), 1.0)
        # Rows of length 1 have a total variance of at most 1, so d directions have 1/d each.
        return np.maximum(mean, 1 / self.dim) if self.unit_rows else mean

    def _has_own_level(self) -> bool:
        """Return whether learned eigenvalues do not come to rest at 1, as under normalised losses."""
        if self.unit_rows:
            return True
        typical = float(self._typical(last=1)[0])
        if self.recorded < _FEWEST or _AROUND_ONE[0] <= typical <= _AROUND_ONE[1]:
            return False
        # Small eigenvalues at rest may be the plateau of a small initialisation, unless something has grown before.
        # Eigenvalues alone grow out of their noise too, and the total variance does not.
        first = min(one[0] for one in self.eigenvalues), min(total for total, _ in self.scales)
        grown = typical > 20 * first[0] and self.scales[-1][0] > 20 * first[1]
        known = grown or (typical > _AT_REST and self.recorded >= _LONG)
        return typical > 1 or (known and self.settled())

    def counts(self, last: int = 0, kept: float | None = None) -> NDArray[np.int64]:
        """Return how many directions are learned at each record (records,), or at the `last` ones.

        One that has been learned counts until its eigenvalue is below the share `kept` of its level, since noise in the
        gradients lowers it: by default a quarter, and a tenth of a level that is not the same for all directions.
        """
        if kept is None:
            kept = 0.1 if self.own_level else 0.25
        # Sampling spreads equal eigenvalues: the smallest of n is (1 - sqrt(n / rows))^2 of the mean.
        filled = np.arange(1, self.dim + 1) / np.array(self.rows[-last:])[:, None]
        edge = (1 - np.sqrt(np.minimum(filled, 0.9))) ** 2
        values = np.stack(self.eigenvalues[-last:]) / self.levels(last)[:, None]
        learned = np.searchsorted([one.step for one in self.learned], self.steps[-last:], side="right")
        large, still = (_leading(values >= limit) for limit in (np.minimum(0.5, _EDGE * edge), kept * edge))
        return np.maximum(large, np.minimum(learned, still))

    def best(self) -> tuple[float, int]:
        """Return the last step at which the most directions were learned, and their number."""
        counts = _lasting(self.counts(kept=0.5))
        i = len(counts) - 1 - int(counts[::-1].argmax())
        return self.steps[i], int(counts[i])

    def line(self, direction: int) -> Line | None:
        """Return the line through the logit of the eigenvalue of a rank, from 0."""
        values = self.eigenvalues[-1]
        floor = self.noise * max(float(values[0]), 0.0)
        return fit_line(
            np.array(self.times), self.curve(direction), self.current_level(), self.ages[-1], floor
        )

    def forecast(self, direction: int) -> Forecast | None:
        """Return when the direction of a rank, from 0, will be learned; None if it does not grow."""
        if direction >= self.dim:
            return None
        line = self.line(direction)
        if line is None or not line.grows:
            return None
        share = float(self.eigenvalues[-1][direction]) / self.current_level()
        found = forecast_from(line, direction + 1, self.times[-1], share, self.ages[-1])
        step, low, high = (self.step_at(time) for time in (found.step, found.low, found.high))
        if not np.isfinite(step):
            return None
        return replace(
            found, step=step, low=low, high=high, rate=line.rate * self.pace, made_at=self.steps[-1]
        )

    def earliest(self, direction: int) -> float:
        """Return the earliest time at which a direction that does not visibly grow can be learned.

        What is dormant is as large as the largest of the other eigenvalues or the most negative one. Since the last
        direction was learned it has grown at most at the upper end of the interval of its slope.
        """
        times, values = np.array(self.times), np.stack(self.eigenvalues)
        rounding = self.noise * np.maximum(values[:, 0], 1e-300)
        size = np.max([values[:, direction], -values[:, -1], rounding], axis=0)
        since = times > self.last_change() + 2 * self.ages[-1]
        times, size = times[since], size[since] / self.current_level()
        line = straight(times, np.log(size), self.ages[-1]) if len(times) >= 4 else None
        if line is None:
            return float(self.times[-1])
        slope, error, end = line
        fastest = max(slope + 2 * error, 0.0)
        return float(times[-1] + max(np.log(0.5) - end, 0.0) / fastest) if fastest > 0 else np.inf

    def last_change(self) -> float:
        """Return the last time at which another number of directions was learned than now, or the first time."""
        counts = self.counts()
        others = np.flatnonzero(_lasting(counts) != counts[-1])
        return self.times[others[-1]] if len(others) else self.times[0]

    def visible_by(self, direction: int) -> float:
        """Return the time by which the next direction is out of the noise, if it grows a tenth as fast as the last.

        The last one needed as many e-foldings as its rate times its time. The next one starts lower by as much as it
        grows more slowly, and is hidden until it is as large as the eigenvalues of noise.
        """
        if not self.learned:
            return np.inf
        start, took = self.times[0], self.learned[-1].time - self.times[0]
        if took <= 0:
            return np.inf
        seen = [one.rate * (one.time - start) for one in self.learned if np.isfinite(one.rate)]
        if not seen:
            return start + _GAP * _HIDDEN * took
        others = self.dim - direction
        e_foldings = seen[-1] + np.log(_GAP) - np.log(chi2.ppf(_UNLUCKY, others) / others)
        size = self._noise_floor(direction) / self.current_level()
        hidden = e_foldings - np.log(0.5 / min(size, 0.5)) + _TO_SEE
        return start + _GAP * took * max(float(hidden / seen[-1]), 0.0)

    def _noise_floor(self, direction: int) -> float:
        """Return the size of the eigenvalues of noise, the mean of the last records."""
        recent = self._recent()
        sizes = [max(one[direction], -one[-1], self.noise * one[0]) for one in recent]
        return float(np.mean(sizes))

    def _recent(self) -> list[NDArray[np.float64]]:
        return self.eigenvalues[-max(len(self) // 4, 3) :]

    def above_noise(self, direction: int) -> bool:
        """Return whether an eigenvalue is larger than chance explains, by the size of the most negative one."""
        recent = self._recent()
        values = np.array([one[direction] for one in recent])
        rounding = self.noise * np.mean([one[0] for one in recent])
        if direction < self.dim - 1:
            return bool(values.mean() > max(-2 * np.mean([one[-1] for one in recent]), rounding))
        # If there is one, chance gives it either sign.
        span = self.times[-1] - self.times[-len(recent)]
        independent = min(len(recent), 1 + span / max(2 * self.ages[-1], 1e-300))
        by_chance = 0.0 if values.min() > 0 and independent > 5 else 2 * values.std() / np.sqrt(independent)
        return bool(values.mean() > max(by_chance, rounding))

    def surely_lost(self, direction: int, since: float) -> bool:
        """Return whether the mean of an eigenvalue after a step is below half of its level by two standard errors."""
        i = int(np.searchsorted(self.steps, since, side="right"))
        half = (len(self.steps) - i) // 2
        values = self.curve(direction)[i + half :] / self.levels()[i + half :]
        span = self.times[-1] - self.times[i + half]
        independent = min(len(values), 1 + span / max(2 * self.ages[-1], 1e-300))
        # Views that agree little have a large variance, and their correlation is measured with much noise.
        variance = float(self.dim) if self.standardised else self.scales[-1][0]
        error = variance / (direction + 1) / self.current_level() / np.sqrt(self.rows[-1])
        return bool(values.mean() + 2 * error / np.sqrt(independent) < 0.5)

    def _note_learned(self, at: int, level: float) -> None:
        """Note which directions were learned between the record `at`, at least the second, and the one before."""
        now, before = self.eigenvalues[at] / level, self.eigenvalues[at - 1] / level
        time, earlier, age = self.times[at], self.times[at - 1], self.ages[at]
        while len(self.learned) < self.dim:
            j = len(self.learned)
            if not now[j] >= 0.5:
                break
            if before[j] >= 0.5:
                at_once = earlier if j else self.times[0]
                self.learned.append(Step(j + 1, self.step_at(at_once), np.nan, at_once))
                continue
            a, b = (np.log(x / (1 - x)) for x in np.clip((before[j], now[j]), 1e-300, 1 - 1e-9))
            crossing = earlier + (time - earlier) * -a / (b - a)
            line = fit_line(np.array(self.times[:at]), self.curve(j)[:at], level, age)
            rate = line.rate if line is not None and line.grows else np.nan
            late = lag(rate, age) if np.isfinite(rate) else age
            last = self.learned[-1].time if self.learned else self.times[0]
            found = max(float(crossing - late), last)
            self.learned.append(Step(j + 1, self.step_at(found), float(rate), found))

    def state_dict(self) -> dict[str, Any]:
        """Return tensors, numbers, lists and dictionaries that `load_state_dict` takes."""
        state: dict[str, Any] = {name: list(getattr(self, name)) for name in _LISTS if name != "eigenvalues"}
        values = np.stack(self.eigenvalues) if self.eigenvalues else np.zeros((0, self.dim))
        state["eigenvalues"] = torch.as_tensor(values)
        state["metrics"] = {step: dict(one) for step, one in self.metrics.items()}
        state["losses"] = dict(self.losses)
        state |= {name: getattr(self, name) for name in _PLAIN}
        state["learned"] = [(one.direction, one.step, one.rate, one.time) for one in self.learned]
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        for name in ("steps", "times", "ages", "rows"):
            setattr(self, name, list(state[name]))
        self.scales = [(float(a), float(b)) for a, b in state["scales"]]
        self.eigenvalues = list(torch.as_tensor(state["eigenvalues"]).numpy().copy())
        self.metrics = {float(step): dict(one) for step, one in state["metrics"].items()}
        for name in _PLAIN:
            setattr(self, name, state[name])
        self.losses = {float(step): float(one) for step, one in state["losses"].items()}
        self.learned = [Step(int(one[0]), *map(float, one[1:])) for one in state["learned"]]


def _leading(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many entries at the start of each row are true."""
    return np.where(mask.all(axis=1), mask.shape[1], (~mask).argmax(axis=1))


def _lasting(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return counts without what lasts for a fortieth of the records or less: eigenvalues near a bound cross it."""
    return median_filter(counts, size=2 * max(len(counts) // 40, 2) + 1, mode="nearest")
