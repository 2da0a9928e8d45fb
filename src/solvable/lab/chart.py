"""SVG charts for interactive pages: arrays in, a short string out, in a millisecond or two.

A matplotlib figure takes 400 ms to draw, too long for a slider. These charts support only what the pages need:
logarithmic and linear axes, lines with bands, marks. Colours come from the page (classes below `svg.chart` in
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

# At full width one unit is one pixel, and the text is as large as that of the page.
WIDTH, HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 18, 26, 48
# Positions of 0, on a logarithmic axis that has it, and of the smallest positive value.
_ZERO, _FIRST = 0.03, 0.12


class Axis(Protocol):
    """An axis of a chart: `LogAxis` or `LinearAxis`."""

    @property
    def label(self) -> str:
        """Axis label, with its unit."""
        ...

    @property
    def ticks(self) -> list[float]:
        """Labelled values."""
        ...

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return positions, 0 at the start of the axis and 1 at its end; distant values are clipped nearby."""
        ...


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis.

    Attributes:
        label: axis label, with its unit.
        low: smallest value, > 0.
        high: largest value.
        zero: whether the axis also has 0, left of `low`.
    """

    label: str
    low: float
    high: float
    zero: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.low < self.high < np.inf:
            raise InputError(f"a logarithmic axis needs 0 < low < high; got {self.low:g} and {self.high:g}")

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return positions, as in `Axis.place`."""
        values = np.asarray(values, dtype=np.float64)
        start = _FIRST if self.zero else 0.0
        with np.errstate(divide="ignore"):
            place = np.log(values / self.low) / np.log(self.high / self.low)
        return np.where((values == 0) & self.zero, _ZERO, start + (1.0 - start) * np.clip(place, -2.0, 3.0))

    @property
    def ticks(self) -> list[float]:
        """Labelled values: round numbers such as 30, 100, 300."""
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
    """A linear axis.

    Attributes:
        label: axis label, with its unit.
        low: smallest value.
        high: largest value.
        step: distance between labelled values, > 0.

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
            raise InputError(f"a linear axis needs low < high; got {self.low:g} and {self.high:g}")

    @classmethod
    def around(cls, label: str, low: float, high: float) -> "LinearAxis":
        """Return an axis from `low` to `high` or somewhat beyond, with round ends and steps.

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
        """Return positions, as in `Axis.place`."""
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
    """A line with an optional band.

    Attributes:
        x: positions along the axis, ascending.
        y: values; infinite ones run off the chart, NaN leaves a gap.
        low, high: bounds of the band, or None.
        dashed: mask of the dashed points, or None.
        classes: CSS classes that set the colour, such as `asked`; without any, the first curve of a chart is `first`.
    """

    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    dashed: ArrayLike | None = None
    classes: str = ""


@dataclass(frozen=True)
class Mark:
    """A point, or a vertical line if `y` is None.

    Attributes:
        x, y: position.
        kind: CSS class that sets the colour: `here`, `best` or `sample`.
        text: label of a vertical line.
    """

    x: float
    y: float | None
    kind: str
    text: str = ""


def chart(title: str, x: Axis, y: Axis, curves: Sequence[Curve], marks: Sequence[Mark] = ()) -> str:
    """Return a chart as SVG that fills the available width.

    The title is written above it and read by screen readers. Curves are drawn in order, marks above them.

    >>> axis = LogAxis("n", 1, 100)
    >>> 'd="M0.0,226.0L177.0,113.0L354.0,0.0"' in chart("growth", axis, axis, [Curve([1, 10, 100], [1, 10, 100])])
    True
    """
    w, h = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def px(values: ArrayLike) -> NDArray[np.float64]:
        return x.place(values) * w

    def py(values: ArrayLike) -> NDArray[np.float64]:
        return (1.0 - y.place(values)) * h

    grid, shapes = [], []
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
            shapes.append(f'<path class="band" d="{_band(along, py(curve.low), py(curve.high))}"/>')
        dashed = np.zeros(len(along), bool) if curve.dashed is None else np.asarray(curve.dashed, bool)
        # Both parts include the point where they meet, so that the line has no gap.
        overlap = dashed | np.append(dashed[1:], False)
        shapes.append(f'<path class="{name}" d="{_line(along, np.where(dashed, np.nan, up))}"/>')
        if dashed.any():
            shapes.append(f'<path class="{name} dashed" d="{_line(along, np.where(overlap, up, np.nan))}"/>')

    for mark in marks:
        at = float(px(mark.x))
        if mark.y is not None:
            shapes.append(f'<circle class="{mark.kind}" cx="{at:.1f}" cy="{float(py(mark.y)):.1f}" r="5"/>')
            continue
        shapes.append(f'<path class="upright {mark.kind}" d="M{at:.1f},0V{h}"/>')
        if mark.text:
            side, step = ("start", 5) if at < 0.6 * w else ("end", -5)
            shapes.append(
                f'<text class="note {mark.kind}" x="{at + step:.1f}" y="14" text-anchor="{side}">'
                f"{escape(mark.text)}</text>"
            )

    # A nested svg clips its content without an id, which two charts on a page could share.
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">'
        f'<text class="title" x="{_LEFT}" y="15">{escape(title)}</text>'
        f'<g transform="translate({_LEFT},{_TOP})">{"".join(grid)}'
        f'<svg x="0" y="0" width="{w}" height="{h}" viewBox="0 0 {w} {h}" overflow="hidden">{"".join(shapes)}</svg>'
        f'<path class="axis" d="M0,0V{h}H{w}"/></g>'
        f'<text class="label" x="{_LEFT + w / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>'
        f'<text class="label" transform="translate(12,{_TOP + h / 2})rotate(-90)" text-anchor="middle">'
        f"{escape(y.label)}</text></svg>"
    )


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Return an SVG path with gaps at missing values."""
    pieces, pen = [], "M"
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if b != b:
            pen = "M"
            continue
        pieces.append(f"{pen}{a:.1f},{b:.1f}")
        pen = "L"
    return "".join(pieces)


def _band(x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    finite = np.isfinite(low) & np.isfinite(high)
    x, low, high = x[finite], low[finite], high[finite]
    return _line(np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])) + "Z" if len(x) else ""
