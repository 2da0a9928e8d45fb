"""Figures of a poster: a study's own figure, drawn again for the place it gets, as vectors with live text."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from solvable.errors import InputError
from solvable.lab import Record
from solvable.lab.figure import house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solvable.lab import Study

# The smallest text of `house_style` in points; figures use no smaller one.
SMALLEST_TEXT = 7.0
# A figure is drawn at most this many times as large as by default, so that a large place shows larger text.
_LARGEST = 1.1


@dataclass(frozen=True)
class Drawing:
    """The figure of one record.

    Attributes:
        width, height: its own size, in inches.
        figure: drawn again, or None if it is the recorded one.
        recorded: path of the recorded figure.
    """

    width: float
    height: float
    figure: "Figure | None"
    recorded: Path

    def save(self, path: Path, place_mm: tuple[float, float], least: float) -> None:
        """Write an SVG for a place of the poster.

        Args:
            path: the file.
            place_mm: width and height of the place.
            least: smallest text allowed on the poster, in points.
        """
        if self.figure is None:
            shutil.copy(self.recorded, path)
            return
        import matplotlib

        width, height = (side / 25.4 for side in place_mm)
        # Inches of the poster for one of the figure: so many that its smallest text is as large as `least`, and more
        # where the place is wider than the figure needs.
        enlarged = max(least / SMALLEST_TEXT, width / (_LARGEST * self.width))
        self.figure.set_size_inches(width / enlarged, height / enlarged)
        _break_long_labels(self.figure)
        with (
            house_style(),
            matplotlib.rc_context({"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]}),
        ):
            self.figure.savefig(path, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))


def drawing(record: Record, study: "Study | None") -> Drawing:
    """Return the figure of a record, drawn by its study if this version knows it and the numbers are there.

    Raises:
        InputError: if it can be neither drawn nor found.
    """
    recorded = record.path / "figure.svg"
    if study is not None:
        with house_style():
            figure = study.plot(record.prediction, record.measurement)
        width, height = figure.get_size_inches()
        return Drawing(float(width), float(height), figure, recorded)
    try:
        size: Any = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', recorded.read_text(encoding="utf-8"))
        width, height = (float(size[i]) / 72 for i in (1, 2))
    except (OSError, ValueError, TypeError):
        raise InputError(
            f"record {record.study}/{record.name} cannot be drawn: this version does not know its study, or its "
            "numbers are missing, and it has no figure.svg; repeat the run"
        ) from None
    return Drawing(width, height, None, recorded)


def _break_long_labels(figure: "Figure") -> None:
    """Set the label of an axis that is longer than its axes in two lines: beyond the figure it would be cut off."""
    figure.draw_without_rendering()
    for ax in figure.axes:
        for axis, side in ((ax.xaxis, "width"), (ax.yaxis, "height")):
            label = axis.label
            length = getattr(label.get_window_extent(), side)
            text = label.get_text()
            # Mathematics cannot be broken.
            breaks = [i for i, letter in enumerate(text) if letter == " " and text.count("$", 0, i) % 2 == 0]
            if length > getattr(ax.bbox, side) and breaks and "\n" not in text:
                middle = min(breaks, key=lambda i: abs(i - len(text) / 2))
                label.set_text(f"{text[:middle]}\n{text[middle + 1 :]}")
