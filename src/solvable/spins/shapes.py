"""Shapes of a control in time: constants, ramps, sine series, windows, samples, and joined pieces.

A shape is called with times from its beginning and its duration, both in ns, and returns values in the unit of what it
controls. Numbers serve as constants wherever a shape is expected.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline, PPoly

from solvable.checks import finite, grid, one_number
from solvable.errors import InputError

Array = NDArray[np.float64]


class Shape(Protocol):
    """A function of time on `[0, duration_ns]`."""

    def __call__(self, t_ns: Array, duration_ns: float, /) -> Array:
        """Return the values at these times."""
        ...


@dataclass(frozen=True)
class Constant:
    """One value; at both ends of the pulse it jumps.

    A jump of an electric drive by $\\delta E$ excites the charge by about $(e d / h) \\delta E / (2 V_t)$.
    """

    value: float

    def __call__(self, t_ns: Array, duration_ns: float) -> Array:
        """Return the value at every time."""
        return np.full(np.shape(t_ns), float(self.value))


@dataclass(frozen=True)
class Ramp:
    """From `start` to `stop` at a constant rate."""

    start: float
    stop: float

    def __call__(self, t_ns: Array, duration_ns: float) -> Array:
        """Return the straight line."""
        return self.start + (self.stop - self.start) * t_ns / duration_ns


@dataclass(frozen=True)
class SmoothSweep:
    """From `start` to `stop` along half a cosine, at rest at both ends."""

    start: float
    stop: float

    def __call__(self, t_ns: Array, duration_ns: float) -> Array:
        """Return the half cosine."""
        return self.start + (self.stop - self.start) * np.sin(np.pi * t_ns / (2 * duration_ns)) ** 2


@dataclass(frozen=True)
class SineSeries:
    r"""$\sum_{k=1}^K c_k \sin(k \pi t / T)$, zero at both ends.

    Attributes:
        coefficients: $c_1$ to $c_K$, in the unit of the control.
    """

    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", tuple(grid("coefficients", self.coefficients).tolist()))

    def __call__(self, t_ns: Array, duration_ns: float) -> Array:
        """Return the series."""
        orders = np.arange(1, len(self.coefficients) + 1)
        return np.sin(np.pi * np.asarray(t_ns)[..., None] * orders / duration_ns) @ np.array(
            self.coefficients
        )


@dataclass(frozen=True)
class Windowed:
    r"""A shape times a window that rises as $\sin^2$ over a part of the pulse and falls likewise at the end.

    Attributes:
        shape: what is switched on and off.
        rise: part of the duration, above 0 and at most 0.5.
    """

    shape: "Shape | float"
    rise: float = 0.25

    def __post_init__(self) -> None:
        one_number("rise", self.rise, above=0, at_most=0.5)

    def __call__(self, t_ns: Array, duration_ns: float) -> Array:
        """Return the product."""
        edge = np.minimum(t_ns, duration_ns - t_ns) / (self.rise * duration_ns)
        window = np.sin(np.pi / 2 * np.clip(edge, 0, 1)) ** 2
        return window * as_shape("shape", self.shape)(t_ns, duration_ns)


@dataclass(frozen=True)
class Weighted:
    """A weighted sum of shapes.

    Attributes:
        shapes: the shapes.
        weights: one for each.
    """

    shapes: "tuple[Shape | float, ...]"
    weights: tuple[float, ...]

    def __call__(self, t_ns: Array, duration_ns: float) -> Array:
        """Return the sum."""
        parts = zip(self.shapes, self.weights, strict=True)
        return sum(
            (w * as_shape("shape", one)(t_ns, duration_ns) for one, w in parts), np.zeros(np.shape(t_ns))
        )


@dataclass(frozen=True, eq=False)
class Sampled:
    """Samples with cubic splines between them; a time that occurs twice is a jump.

    Attributes:
        t_ns: times, from 0 to the duration, ascending.
        values: one at each time.
    """

    t_ns: Array
    values: Array

    def __post_init__(self) -> None:
        t, values = grid("t_ns", self.t_ns), grid("values", self.values)
        finite("t_ns", t)
        finite("values", values)
        if t.shape != values.shape or t.size < 2:
            raise InputError(
                f"t_ns and values must be of equal length, 2 or more; got {t.size} and {values.size}"
            )
        steps = np.diff(t)
        if (steps < 0).any() or ((steps[1:] == 0) & (steps[:-1] == 0)).any() or 0 in (steps[0], steps[-1]):
            raise InputError("t_ns must ascend, and a time occurs twice at most, inside the pulse")
        object.__setattr__(self, "t_ns", t)
        object.__setattr__(self, "values", values)

    @cached_property
    def _polynomial(self) -> PPoly:
        jumps = np.flatnonzero(np.diff(self.t_ns) == 0) + 1
        parts = np.split(np.arange(self.t_ns.size), jumps)
        splines = [CubicSpline(self.t_ns[part], self.values[part]) for part in parts]
        breaks = np.concatenate([self.t_ns[:1], *(one.x[1:] for one in splines)])
        return PPoly(np.concatenate([one.c for one in splines], axis=1), breaks)

    def __call__(self, t_ns: Array, duration_ns: float) -> Array:
        """Return the interpolated values."""
        return self._polynomial(np.asarray(t_ns, dtype=np.float64))


@dataclass(frozen=True)
class Joined:
    """Shapes one after the other.

    Attributes:
        shapes: the shapes.
        durations_ns: how long each lasts.
    """

    shapes: "tuple[Shape | float, ...]"
    durations_ns: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.shapes) != len(self.durations_ns) or not self.shapes:
            raise InputError(
                f"durations_ns must have one duration for each shape; got {len(self.durations_ns)} for "
                f"{len(self.shapes)}"
            )
        grid("durations_ns", self.durations_ns, at_least=0)

    def __call__(self, t_ns: Array, duration_ns: float) -> Array:
        """Return the value of the piece that each time is in."""
        starts = np.concatenate([[0.0], np.cumsum(self.durations_ns)])
        t = np.asarray(t_ns, dtype=np.float64)
        which = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, len(self.shapes) - 1)
        found = np.empty(t.shape)
        for i, (shape, duration) in enumerate(zip(self.shapes, self.durations_ns, strict=True)):
            mask = which == i
            found[mask] = as_shape("shape", shape)(t[mask] - starts[i], duration)
        return found


def as_shape(name: str, shape: "Shape | ArrayLike") -> Shape:
    """Return a shape; a number becomes a constant.

    Raises:
        InputError: if it is neither.
    """
    if callable(shape):
        return shape
    return Constant(one_number(name, shape))
