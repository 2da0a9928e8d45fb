"""Charts for interactive pages: arrays in, a short SVG text out, within a millisecond or two.

A matplotlib figure takes 400 ms to draw, too long for a slider. These charts know only what the pages need: logarithmic
and linear axes, lines with bands, marks. They take their colours from the page (classes below `svg.chart`, see
`page.css`), so that a dark page has light lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError
from solvable.lab.text import readable

# One unit is one pixel where there is room for the whole width; then letters are as large as those of the page.
WIDTH, HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 18, 26, 48
# Where 0 stands on an axis that has it, and where the numbers begin.
_ZERO, _FIRST = 0.03, 0.12


class Axis(Protocol):
    """What `chart` asks of an axis: `LogAxis` and `LinearAxis` answer."""

    @property
    def label(self) -> str:
        """What is shown, with its unit."""
        ...

    @property
    def ticks(self) -> list[float]:
        """Values that are labelled."""
        ...

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return where values lie, 0 at the axis' begin and 1 at its end; what lies off it stays near it."""
        ...


@dataclass(frozen=True)
class LogAxis:
    """One logarithmic axis.

    Attributes:
        label: what is shown, with its unit.
        low: its smallest value, > 0.
        high: its largest value.
        zero: whether 0 has a place of its own, left of `low`.
    """

    label: str
    low: float
    high: float
    zero: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.low < self.high < np.inf:
            raise InputError(
                f"a logarithmic axis runs between two numbers, 0 < low < high; got {self.low:g} and {self.high:g}"
            )

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return where values lie, 0 at the axis' begin and 1 at its end; what lies off it stays near it."""
        values = np.asarray(values, dtype=np.float64)
        start = _FIRST if self.zero else 0.0
        with np.errstate(divide="ignore"):
            place = np.log(values / self.low) / np.log(self.high / self.low)
        return np.where((values == 0) & self.zero, _ZERO, start + (1.0 - start) * np.clip(place, -2.0, 3.0))

    @property
    def ticks(self) -> list[float]:
        """Values that are labelled, as people say them: 30, 100, 300."""
        decades = np.log10(self.high / self.low)
        steps = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 2.6 else (1,)
        powers = range(int(np.floor(np.log10(self.low))), int(np.ceil(np.log10(self.high))) + 1)
        if decades > 8:
            powers = [power for power in powers if power % 2 == 0]
        values = [step * 10.0**power for power in powers for step in steps]
        inside = [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]
        return [0.0, *inside] if self.zero else inside


@dataclass(frozen=True)
class LinearAxis:
    """One linear axis.

    Attributes:
        label: what is shown, with its unit.
        low: its smallest value.
        high: its largest value.
        step: between two values that are labelled, > 0.

    >>> axis = LinearAxis("K", 0.0, 3.0)
    >>> axis.place([0, 1.5]), axis.ticks
    (array([0. , 0.5]), [0.0, 1.0, 2.0, 3.0])
    """

    label: str
    low: float
    high: float
    step: float = 1.0

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf or not self.step > 0:
            raise InputError(
                f"a linear axis runs between two numbers, low < high; got {self.low:g} and {self.high:g}"
            )

    @classmethod
    def around(cls, label: str, low: float, high: float) -> "LinearAxis":
        """Return an axis that has room for two values, its ends and steps numbers that people choose.

        >>> axis = LinearAxis.around("K", 0.0, 5.83)
        >>> axis.low, axis.high, axis.step
        (0.0, 6.0, 1.0)
        """
        span = max(high - low, 1e-9 * max(abs(high), abs(low)), 1e-12)
        rough = span / 6
        power = 10.0 ** np.floor(np.log10(rough))
        step = float(next(power * m for m in (1, 2, 5, 10) if power * m >= 0.999 * rough))
        ends = np.floor(low / step + 1e-6) * step, np.ceil(high / step - 1e-6) * step
        return cls(label, float(ends[0]), max(float(ends[1]), float(ends[0]) + step), step)

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return where values lie, 0 at the axis' begin and 1 at its end; what lies off it stays near it."""
        place = (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)
        return np.clip(place, -2.0, 3.0)

    @property
    def ticks(self) -> list[float]:
        """Multiples of the step."""
        first, last = np.ceil(self.low / self.step - 1e-6), np.floor(self.high / self.step + 1e-6)
        # Adding 0 turns -0.0 into 0.0, and rounding 0.30000000000000004 into 0.3.
        return [float(f"{k * self.step:.10g}") + 0.0 for k in np.arange(first, last + 1)]


@dataclass(frozen=True, eq=False)
class Curve:
    """A line with its band.

    Attributes:
        x: places along the axis, ascending.
        y: values; infinite ones leave the chart, NaN leaves a gap.
        low, high: ends of the band, or None.
        dashed: where the line is dashed, or None.
        classes: that give it its colour, such as `asked`; without any, the chart's first curve is `first`.
    """

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    dashed: ArrayLike | None = None
    classes: str = ""


@dataclass(frozen=True)
class Mark:
    """A point (`y` given) or an upright line (`y` is None).

    Attributes:
        x, y: where.
        kind: the class that gives it its colour: `here`, `best` or `sample`.
        text: written beside an upright line.
    """

    x: float
    y: float | None
    kind: str
    text: str = ""


def chart(title: str, x: Axis, y: Axis, curves: Sequence[Curve], marks: Sequence[Mark] = ()) -> str:
    """Return an SVG with one chart; it fills the width that it is given.

    Args:
        title: written above it, and what a screen reader says.
        x: the horizontal axis.
        y: the vertical axis.
        curves: drawn in this order.
        marks: drawn above the curves.

    >>> axis = LogAxis("n", 1, 100)
    >>> 'd="M0.0,226.0L177.0,113.0L354.0,0.0"' in chart("growth", axis, axis, [Curve([1, 10, 100], [1, 10, 100])])
    True
    """
    w, h = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def px(values: ArrayLike) -> NDArray[np.float64]:
        return x.place(values) * w

    def py(values: ArrayLike) -> NDArray[np.float64]:
        return (1.0 - y.place(values)) * h

    grid, inside = [], []
    for value, place in zip(x.ticks, px(x.ticks), strict=True):
        grid.append(f'<path class="grid" d="M{place:.1f},0V{h}"/>')
        grid.append(
            f'<text class="tick" x="{place:.1f}" y="{h + 17}" text-anchor="middle">{readable(value)}</text>'
        )
    for value, place in zip(y.ticks, py(y.ticks), strict=True):
        grid.append(f'<path class="grid" d="M0,{place:.1f}H{w}"/>')
        grid.append(
            f'<text class="tick" x="-8" y="{place + 4:.1f}" text-anchor="end">{readable(value)}</text>'
        )

    for i, curve in enumerate(curves):
        name = f"curve {curve.classes or ('first' if i == 0 else '')}".rstrip()
        along, up = px(curve.x), py(curve.y)
        if curve.low is not None and curve.high is not None:
            inside.append(f'<path class="band" d="{_band(along, py(curve.low), py(curve.high))}"/>')
        dashed = np.zeros(len(along), bool) if curve.dashed is None else np.asarray(curve.dashed, bool)
        # Both parts have the point where they meet, so that the line has no gap.
        meeting = dashed | np.append(dashed[1:], False)
        inside.append(f'<path class="{name}" d="{_line(along, np.where(dashed, np.nan, up))}"/>')
        if dashed.any():
            inside.append(f'<path class="{name} dashed" d="{_line(along, np.where(meeting, up, np.nan))}"/>')

    for mark in marks:
        at = float(px(mark.x))
        if mark.y is not None:
            inside.append(f'<circle class="{mark.kind}" cx="{at:.1f}" cy="{float(py(mark.y)):.1f}" r="5"/>')
            continue
        inside.append(f'<path class="upright {mark.kind}" d="M{at:.1f},0V{h}"/>')
        if mark.text:
            side, step = ("start", 5) if at < 0.6 * w else ("end", -5)
            inside.append(
                f'<text class="note {mark.kind}" x="{at + step:.1f}" y="14" text-anchor="{side}">'
                f"{escape(mark.text)}</text>"
            )

    # A nested svg clips what leaves it, without an id that two charts on a page could share.
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
        f'<text class="title" x="{_LEFT}" y="15">{escape(title)}</text>'
        f'<g transform="translate({_LEFT},{_TOP})">{"".join(grid)}'
        f'<svg x="0" y="0" width="{w}" height="{h}" viewBox="0 0 {w} {h}" overflow="hidden">{"".join(inside)}</svg>'
        f'<path class="axis" d="M0,0V{h}H{w}"/></g>'
        f'<text class="label" x="{_LEFT + w / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>'
        f'<text class="label" transform="translate(12,{_TOP + h / 2})rotate(-90)" text-anchor="middle">'
        f"{escape(y.label)}</text></svg>"
    )


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Return a path that is broken where a value is missing."""
    pieces, pen = [], "M"
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if b != b:
            pen = "M"
            continue
        pieces.append(f"{pen}{a:.1f},{b:.1f}")
        pen = "L"
    return "".join(pieces)


def _band(x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    known = np.isfinite(low) & np.isfinite(high)
    x, low, high = x[known], low[known], high[known]
    return _line(np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])) + "Z" if len(x) else ""
