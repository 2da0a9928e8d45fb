"""Sizes of paper: names, or width and height with a unit."""

import re
from dataclasses import dataclass

from solvable.checks import choice
from solvable.errors import InputError

SIZES = {"a0": (841, 1189), "a1": (594, 841), "a2": (420, 594), "a3": (297, 420), "a4": (210, 297)}
ORIENTATIONS = ("portrait", "landscape")

_UNITS = {"mm": 1.0, "cm": 10.0, "in": 25.4}
_NUMBERS = re.compile(r"(\d+(?:\.\d+)?)\s*[x×]\s*(\d+(?:\.\d+)?)\s*(mm|cm|in)", re.IGNORECASE)
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(mm|cm|in)", re.IGNORECASE)
_SHORTEST, _LONGEST = 140.0, 5000.0
_WIDEST_BLEED = 20.0


@dataclass(frozen=True)
class Paper:
    """A sheet of paper, in millimetres.

    Attributes:
        width, height: the size after trimming.
        bleed: what is printed beyond it on each side, and cut off.
    """

    width: float
    height: float
    bleed: float = 0.0

    @property
    def scale(self) -> float:
        """Size relative to A0, by the side that is the scarcer; text keeps its proportion to the sheet."""
        short, long = sorted((self.width, self.height))
        return min(short / SIZES["a0"][0], long / SIZES["a0"][1])


def paper(size: str, orientation: str | None = None, bleed: str | float = 0.0) -> Paper:
    """Return the sheet of a size.

    Args:
        size: `a0` to `a4`, or width and height with a unit, such as `36x48in` or `1016x812mm`.
        orientation: `portrait` (by default, of a named size) or `landscape`; a size in numbers has its own.
        bleed: millimetres, or a length such as `3mm`; at most 20 mm.

    Raises:
        InputError: if a size, orientation or bleed is none of these, or an orientation is against the numbers.

    >>> paper("a1", "landscape").width, paper("30x40in").height
    (841, 1016.0)
    """
    if orientation is not None:
        choice("orientation", orientation, ORIENTATIONS)
    if (numbers := _NUMBERS.fullmatch(size.strip())) is None:
        if size.strip().lower() not in SIZES:
            names = ", ".join(SIZES)
            raise InputError(
                f"size is {size!r}; expected {names}, or width x height with a unit, as in 36x48in or 1016x812mm"
            )
        sides = SIZES[size.strip().lower()]
        width, height = sides if orientation != "landscape" else sides[::-1]
    else:
        unit = _UNITS[numbers[3].lower()]
        width, height = (float(numbers[i]) * unit for i in (1, 2))
        short, long = sorted((width, height))
        if short < _SHORTEST or long > _LONGEST or long > 2.5 * short:
            raise InputError(
                f"size is {size!r}; expected sides between {_SHORTEST:g} and {_LONGEST:g} mm, the longer one at most "
                "2.5 times the shorter"
            )
        if orientation is not None and (width > height) != (orientation == "landscape") and width != height:
            raise InputError(
                f"size {size} is {'landscape' if width > height else 'portrait'}, but orientation is {orientation!r}; "
                "exchange the numbers, or leave the orientation out"
            )
    return Paper(width, height, _bleed(bleed))


def _bleed(bleed: str | float) -> float:
    if isinstance(bleed, str):
        found = _LENGTH.fullmatch(bleed.strip())
        value = float(found[1]) * _UNITS[found[2].lower()] if found else -1.0
    else:
        value = float(bleed)
    if not 0 <= value <= _WIDEST_BLEED:
        raise InputError(f"bleed is {bleed!r}; expected a length from 0mm to {_WIDEST_BLEED:g}mm, as in 3mm")
    return value
