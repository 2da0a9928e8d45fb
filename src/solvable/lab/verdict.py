"""A verdict: a title and sections of sentences and tables, for a terminal, a page or a notebook."""

import html
import re
from dataclasses import dataclass
from textwrap import fill

_WIDTH = 96
# A number is not parted from its unit or its error by the end of a line.
_BOUND = re.compile(r" (?=%)| (?=±)|(?<=±) | (?=[=<>] )|(?<= [=<>]) ")


@dataclass(frozen=True)
class Table:
    """Texts in columns.

    Attributes:
        heads: of the columns.
        rows: as many texts as heads each.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_text(self) -> str:
        """Return it for a terminal."""
        cells = (self.heads, *self.rows)
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = (
            "   ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
        )
        return "\n".join(f"  {line.rstrip()}" for line in lines)

    def as_html(self) -> str:
        """Return it for a page."""

        def row(cells: tuple[str, ...], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        rows = "".join(row(cells, "td") for cells in self.rows)
        return f"<table><thead>{row(self.heads, 'th')}</thead><tbody>{rows}</tbody></table>"


@dataclass(frozen=True)
class Section:
    """One part of a verdict.

    Attributes:
        heading: a few words; may be empty.
        text: sentences.
        table: stands below them.
        points: sentences that are listed.
    """

    heading: str = ""
    text: str = ""
    table: Table | None = None
    points: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Return it for a terminal."""
        parts = [self.heading] if self.heading else []
        parts += [_filled(self.text, "  ", "  ")] if self.text else []
        parts += [_filled(point, "  - ", "    ") for point in self.points]
        parts += [self.table.as_text()] if self.table else []
        return "\n".join(parts)

    def as_html(self) -> str:
        """Return it for a page."""
        heading = f"<h4>{escape(self.heading)}</h4>" if self.heading else ""
        text = f"<p>{escape(self.text)}</p>" if self.text else ""
        points = "".join(f"<li>{escape(point)}</li>" for point in self.points)
        table = self.table.as_html() if self.table else ""
        return f"{heading}{text}{f'<ul>{points}</ul>' if points else ''}{table}"


@dataclass(frozen=True)
class Verdict:
    """What a tool found out, in words: `print` it, or let a notebook show it.

    Attributes:
        title: what was judged, in a line.
        sections: in the order of their weight.
        notes: what was done to the data, and warnings.

    >>> print(Verdict("Diagnosis of wine", (Section("Ridge", "The best ridge is 0.1."),), ("178 rows",)))
    Diagnosis of wine
    <BLANKLINE>
    Ridge
      The best ridge is 0.1.
    <BLANKLINE>
    Notes
      - 178 rows
    """

    title: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [_filled(self.title), *(section.as_text() for section in self.sections)]
        if self.notes:
            parts.append(Section("Notes", points=self.notes).as_text())
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        sections = "".join(section.as_html() for section in self.sections)
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        details = f"<details><summary>Notes</summary><ul>{notes}</ul></details>" if notes else ""
        return f'<div class="verdict"><h3>{escape(self.title)}</h3>{sections}{details}</div>'


def escape(text: str) -> str:
    """Return text as HTML in which no number is parted from its percent sign."""
    return html.escape(text).replace(" %", "&nbsp;%")


def _filled(text: str, first: str = "", others: str = "") -> str:
    lines = fill(
        _BOUND.sub("\u00a0", text),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
    )
    return lines.replace("\u00a0", " ")
