"""The part of the page (`page.py`) that reads a loss, without marimo: how many directions a value in a log means."""

from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import numpy as np

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.lab.chart import Curve, LogAxis, Mark, chart
from solvable.lab.text import percent, readable
from solvable.stepwise.plateaus import Directions, directions_from_loss, plateau_loss, share_of_batch

LEGEND = (("", "at least so many"), ("other", "if both views agree"), ("asked", "your loss"))
"""Legend of the chart."""

_POINTS = 100
# Where the axis of directions starts.
_FIRST = 0.8
_LARGEST, _WIDEST = 1e9, 1_000_000


class Reading(NamedTuple):
    """Fields of the page, as they are typed: a value of the Barlow Twins loss, and where it comes from.

    Attributes:
        loss: the value.
        dim: d, number of dimensions of the embedding.
        off_diagonal_weight: of the loss.
        batch_size: number of samples in a batch; may be empty.
        factor: in front of the whole loss.
    """

    loss: str
    dim: str
    off_diagonal_weight: str
    batch_size: str
    factor: str


EXAMPLE = Reading("4000", "8192", "0.0051", "2048", "1")
"""What the page shows first."""


class _Loss(NamedTuple):
    """The numbers of a reading; `value` is the loss without the factor."""

    logged: float
    factor: float
    dim: int
    off_diagonal_weight: float
    batch_size: int | None

    @property
    def value(self) -> float:
        return self.logged / self.factor

    @property
    def first(self) -> float:
        """The loss with one learned direction."""
        return float(plateau_loss(1, self.dim, self.off_diagonal_weight))


@dataclass(frozen=True)
class LossView:
    """Content of the page for a reading: facts, sentences, a chart, and code."""

    facts: tuple[tuple[str, str, str], ...]
    sentence: str
    warning: str
    chart: str
    code: str


def loss_view(reading: Reading) -> LossView:
    """Return what a value of the loss means.

    Raises:
        InputError: for a field that is not a number, or not in range.

    >>> loss_view(Reading("4000", "8192", "0.0051", "", "1")).facts[0]
    ('learned directions', '44 to 85', 'of 8192')
    """
    loss = _Loss(
        one_number("the loss", _number("the loss", reading.loss), at_least=0, at_most=_LARGEST),
        one_number("the factor", _number("the factor", reading.factor), at_least=1e-9),
        _whole("the dimension", reading.dim),
        one_number("the weight λ", _number("the weight λ", reading.off_diagonal_weight), at_least=1e-9),
        _whole("the batch size", reading.batch_size) if reading.batch_size.strip() else None,
    )
    found = directions_from_loss(loss.value, loss.dim, loss.off_diagonal_weight, loss.batch_size)
    unknown = (
        "Without the batch size its part is not subtracted, and small losses are read as too few directions."
    )
    return LossView(
        _facts(found, loss),
        sentence(found, loss.value, loss.dim, loss.off_diagonal_weight),
        "" if loss.batch_size else unknown,
        _chart(found, loss),
        _code(loss),
    )


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        given = f"is “{text.strip()[:20]}”" if text.strip() else "is missing"
        raise InputError(f"{name} {given}; expected a number such as 4000 or 0.0051")
    return value


def _whole(name: str, text: str) -> int:
    value = _number(name, text)
    if value != round(value) or not 1 <= value <= _WIDEST:
        raise InputError(f"{name} is {value:g}; expected a whole number from 1 to {_WIDEST}")
    return round(value)


def _facts(found: Directions, loss: _Loss) -> tuple[tuple[str, str, str], ...]:
    low, high = round(found.low), round(found.high)
    part, batch = "", "–"
    if loss.batch_size:
        batch = readable(found.floor, 3)
        part = f"{percent(found.floor / loss.value, 2)} of this loss" if loss.value > 0 else ""
    return (
        ("learned directions", str(low) if low == high else f"{low} to {high}", f"of {loss.dim}"),
        ("nothing learned", readable(float(loss.dim)), "the loss of constant embeddings"),
        ("one direction", readable(loss.first), "the loss of its plateau"),
        ("due to the finite batch", batch, part),
    )


def sentence(found: Directions, loss: float, dim: int, off_diagonal_weight: float) -> str:
    """Return what a value of the loss says, for the page and the command line."""
    low, high, value = round(found.low), round(found.high), readable(loss)
    equal = f" The number is {high} if both views have equal embeddings." if high > low else ""
    if found.low < 1:
        first = readable(float(plateau_loss(1, dim, off_diagonal_weight)))
        start = f"A loss of {value} needs no learned direction: with one it can be {first}."
        if loss > 1.02 * dim:
            return f"{start} Above d = {dim}, the coordinates are correlated, and the views do not agree."
        return start + equal
    if found.low >= dim:
        return f"All {dim} directions are learned. What is left of the loss is due to the finite batch."
    more = plateau_loss([found.low, min(found.low + 1, dim)], dim, off_diagonal_weight)
    drop = readable(float(more[0] - more[1]), 2)
    least = f"{low} direction{'s' * (low != 1)}"
    text = f"No embedding with fewer than {least} has a loss of {value}.{equal}"
    return f"{text} One more direction lowers the loss by {drop}."


def _chart(found: Directions, loss: _Loss) -> str:
    d, lam = loss.dim, loss.off_diagonal_weight
    k = np.geomspace(_FIRST, d, _POINTS)
    floor = share_of_batch(k, d, lam, loss.batch_size or np.inf)
    heights = np.asarray(plateau_loss(k, d, lam)) + floor
    # Equal views have at least one direction.
    equal = np.where(k >= 1, lam * d * (d - k) / k + floor, np.nan)
    least = max(float(heights.min()), 1e-3 * d)
    value = max(loss.value, 0.5 * least)
    x = LogAxis("learned directions", _FIRST, 1.25 * max(d, 2))
    y = LogAxis("loss", min(least, value) / 1.3, 1.3 * max(float(heights.max()), value))
    curves = [
        Curve(k, heights, classes="least"),
        Curve(k, equal, classes="other"),
        Curve([_FIRST, 1.25 * max(d, 2)], [value, value], dashed=[True, True], classes="asked"),
    ]
    marks = [Mark(end, value, "here") for end in (found.low, found.high) if end >= _FIRST]
    return chart("Loss by learned directions", x, y, curves, marks)


def _code(loss: _Loss) -> str:
    value, factor = f"{loss.logged:.12g}", f"{loss.factor:.12g}"
    shell = [f"--loss {value}", f"--dim {loss.dim}", f"--lambda {loss.off_diagonal_weight:.12g}"]
    call = [f"loss={value}", f"dim={loss.dim}", f"off_diagonal_weight={loss.off_diagonal_weight:.12g}"]
    if loss.factor != 1:
        shell.append(f"--scale {factor}")
        call[0] += f" / {factor}"
    if loss.batch_size:
        shell.append(f"--batch-size {loss.batch_size}")
        call.append(f"batch_size={loss.batch_size}")
    lines = ["from solvable import stepwise", "", "stepwise.directions_from_loss("]
    lines += [*(f"    {one}," for one in call), ")", "", "solvable stepwise directions \\"]
    return "\n".join([*lines, *(f"    {one} \\" for one in shell[:-1]), f"    {shell[-1]}"])
