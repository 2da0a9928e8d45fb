"""`Verdict`: a title and sections of text and tables, for a terminal, a page or a notebook."""

import html
import re
from dataclasses import dataclass
from textwrap import fill

from solvable.streams import printable, visible

_WIDTH = 96
# Spaces at which a line must not break: those between a number and its unit or error.
_UNBREAKABLE = re.compile(r" (?=%)| (?=±)|(?<=±) | (?=[=<>] )|(?<= [=<>]) ")


@dataclass(frozen=True)
class Table:
    """A table of strings.

    Attributes:
        heads: column headings.
        rows: one string per column each.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def as_text(self) -> str:
        """Return plain text for a terminal."""
        cells = (self.heads, *self.rows)
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = (
            "   ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
        )
        return "\n".join(f"  {line.rstrip()}" for line in lines)

    def as_html(self) -> str:
        """Return HTML for a page."""

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
        table: table below the text.
        points: bullet points.
    """

    heading: str = ""
    text: str = ""
    table: Table | None = None
    points: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Return plain text for a terminal."""
        parts = [self.heading] if self.heading else []
        parts += [_wrap(self.text, "  ", "  ")] if self.text else []
        parts += [_wrap(point, "  - ", "    ") for point in self.points]
        parts += [self.table.as_text()] if self.table else []
        return "\n".join(parts)

    def as_html(self) -> str:
        """Return HTML for a page."""
        heading = f"<h4>{escape(self.heading)}</h4>" if self.heading else ""
        text = f"<p>{escape(self.text)}</p>" if self.text else ""
        points = "".join(f"<li>{escape(point)}</li>" for point in self.points)
        table = self.table.as_html() if self.table else ""
        return f"{heading}{text}{f'<ul>{points}</ul>' if points else ''}{table}"


@dataclass(frozen=True)
class Verdict:
    """The result of a tool in words; `print` it, or let a notebook display it.

    Attributes:
        title: the object of the verdict, in one line.
        sections: most important first.
        notes: changes to the data, and warnings.

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
        parts = [_wrap(self.title), *(section.as_text() for section in self.sections)]
        if self.notes:
            parts.append(Section("Notes", points=self.notes).as_text())
        return printable("\n\n".join(parts))

    def _repr_html_(self) -> str:
        sections = "".join(section.as_html() for section in self.sections)
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        details = f"<details><summary>Notes</summary><ul>{notes}</ul></details>" if notes else ""
        return f'<div class="verdict"><h3>{escape(self.title)}</h3>{sections}{details}</div>'


def escape(text: str) -> str:
    """Return text as HTML: control characters as escapes, non-breaking spaces before percent signs."""
    return html.escape(visible(text)).replace(" %", "&nbsp;%")


def _wrap(text: str, first: str = "", others: str = "") -> str:
    lines = fill(
        _UNBREAKABLE.sub("\u00a0", text),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,
    )
    return lines.replace("\u00a0", " ")
