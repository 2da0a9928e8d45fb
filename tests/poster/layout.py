"""What is wrong with the layout of a poster: letters outside their block or too small, blocks that overlap."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from math import hypot
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pdfminer.converter import PDFPageAggregator
from pdfminer.layout import LTChar
from pdfminer.pdfinterp import PDFPageInterpreter, PDFResourceManager
from pdfminer.pdfpage import PDFPage

from solvable.poster.typesetting import Sheet

POINT = 25.4 / 72
# The smallest text of a poster, in points at A0.
LEAST = 24.0
# Millimetres at A0 by which a letter's box may leave its block: descents differ by a little between programs.
_TOLERANCE = 1.5
# Sizes of sub- and superscripts in proportion to their base: matplotlib's, and the smallest of typst's.
_SCRIPT, _SMALLEST_SCRIPT = 0.7, 0.5


@dataclass(frozen=True)
class Box:
    """A rectangle in millimetres from the upper left corner of the trimmed sheet, x to the right and y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: "Box", tolerance: float) -> bool:
        """Return whether the other box lies inside, or beyond the border by at most the tolerance."""
        return (
            other.left >= self.left - tolerance
            and other.top >= self.top - tolerance
            and other.right <= self.right + tolerance
            and other.bottom <= self.bottom + tolerance
        )

    def overlap(self, other: "Box") -> float:
        """Return how deep the boxes overlap; the distance of those that do not is negative."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return min(across, down)

    @property
    def centre(self) -> "Box":
        """The point in the middle."""
        x, y = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        return Box(x, y, x, y)


@dataclass(frozen=True)
class Letter:
    """A letter of a PDF; `size` is that of its font in points, in whatever direction it is written."""

    text: str
    box: Box
    size: float
    font: str


@dataclass(frozen=True)
class Page:
    """The only page of a PDF: its trimmed size, all that is printed, and its letters but for white space."""

    trim: Box
    media: Box
    letters: tuple[Letter, ...]


class WatchedSheet(Sheet):
    """A sheet that keeps, of the last poster, its content and where its blocks are."""

    content: Mapping[str, Any]
    blocks: Sequence[Mapping[str, Any]]

    def set(self, content: dict[str, Any]) -> None:
        WatchedSheet.content = content
        super().set(content)

    def pdf(self) -> bytes:
        pdf = super().pdf()
        WatchedSheet.blocks = self.query("block")
        return pdf


def page_of(pdf: bytes) -> Page:
    """Read a PDF of one page."""
    (page,) = PDFPage.get_pages(BytesIO(pdf))
    resources = PDFResourceManager()
    device = PDFPageAggregator(resources, laparams=None)
    PDFPageInterpreter(resources, device).process_page(page)
    left, bottom, right, top = page.attrs.get("TrimBox", page.mediabox)

    def box(x0: float, y0: float, x1: float, y1: float) -> Box:
        return Box((x0 - left) * POINT, (top - y1) * POINT, (x1 - left) * POINT, (top - y0) * POINT)

    letters = [
        Letter(one.get_text(), box(*one.bbox), _font_size(one), one.fontname)
        for one in _characters(device.get_result())
        if one.get_text().strip(" \u200b\n\t\u00a0")
    ]
    return Page(box(left, bottom, right, top), box(*page.mediabox), tuple(letters))


def _characters(items: Any) -> Iterator[LTChar]:
    for item in items:
        if isinstance(item, LTChar):
            yield item
        elif isinstance(item, Sequence) or hasattr(item, "__iter__"):
            yield from _characters(item)


def _font_size(character: LTChar) -> float:
    """Return the size of the font, from the box of a letter that may be turned."""
    a, b, c, d, _, _ = character.matrix
    if abs(d) >= abs(c):
        return (character.height - abs(b) * character.adv) / abs(d) * hypot(c, d)
    return (character.width - abs(a) * character.adv) / abs(c) * hypot(c, d)


def faults(
    pdf: bytes,
    blocks: Sequence[Mapping[str, Any]],
    scale: float,
    *,
    texts: Mapping[str, str],
    figure_text: float = LEAST,
) -> list[str]:
    """Return a sentence for each thing that is wrong.

    Each letter lies in the block that its centre is in, blocks neither overlap nor leave the sheet, the blocks with a
    known text hold it and nothing else, no letter is too small, and letters with private codes are in the font that
    gives these their meaning.

    Args:
        pdf: the poster.
        blocks: `name`, `x`, `y`, `w` and `h` of each, in millimetres, as the template reports them.
        scale: size of the paper relative to A0.
        texts: what the blocks of these names hold; white space does not count.
        figure_text: smallest text of figures, in points at A0.
    """
    page, tolerance = page_of(pdf), _TOLERANCE * scale
    boxes = {one["name"]: Box(one["x"], one["y"], one["x"] + one["w"], one["y"] + one["h"]) for one in blocks}
    found = [] if len(boxes) == len(blocks) else ["two blocks have one name"]
    found += [
        f"{name} leaves the sheet" for name, box in boxes.items() if not page.trim.holds(box, tolerance)
    ]
    names = list(boxes)
    for i, one in enumerate(names):
        for other in names[:i]:
            if boxes[one].overlap(boxes[other]) > tolerance:
                found.append(f"{one} overlaps {other}")
    inside: dict[str, list[Letter]] = {name: [] for name in names}
    for letter in page.letters:
        name = next((name for name, box in boxes.items() if box.holds(letter.box.centre, 0.0)), None)
        if name is None:
            found.append(f"{letter.text!r} lies in no block, at {letter.box}")
            continue
        inside[name].append(letter)
        if "\ue000" <= letter.text <= "\uf8ff" and "STIX" not in letter.font:
            found.append(f"{letter.text!r} in {name} is another sign in {letter.font}")
        # The box of a mathematical letter has room for tall signs below and above.
        if not boxes[name].holds(letter.box.centre if "Math" in letter.font else letter.box, tolerance):
            found.append(f"{letter.text!r} leaves {name}: {letter.box} in {boxes[name]}")
    for name, text in texts.items():
        got = folded("".join(letter.text for letter in inside.get(name, ())))
        if got != folded(text):
            found.append(f"{name} holds {got!r} instead of {folded(text)!r}")
    for name, letters in inside.items():
        kind = name.split()[0]
        if kind == "figure":
            small = _too_small_in_figure(letters, figure_text * scale - 0.1)
        else:
            small = [] if kind in ("logo", "code") else _too_small(letters, LEAST * scale - 0.1)
        found += [f"{one.text!r} in {name} has {one.size / scale:.1f} points" for one in small]
    return found


def folded(text: str) -> str:
    """Return a text without white space and places where a line may break."""
    return "".join(text.replace("\u200b", "").split())


def _too_small(letters: Sequence[Letter], least: float) -> list[Letter]:
    """Return the letters that are too small; formulas may have scripts."""
    formulas = [one for one in letters if "Math" in one.font]
    base = max((one.size for one in formulas), default=least)
    return [
        one
        for one in letters
        if one.size < least * (_SMALLEST_SCRIPT if one in formulas and base >= least else 1.0)
    ]


def _too_small_in_figure(letters: Sequence[Letter], least: float) -> list[Letter]:
    """Return the letters that are too small, and neither scripts of a letter beside them nor next to one."""
    good = [one for one in letters if one.size >= least]
    left = [one for one in letters if one.size < least]
    scripts: list[Letter] = []
    while more := [one for one in left if any(_is_script(one, base) for base in (*good, *scripts))]:
        good, scripts = scripts, more
        left = [one for one in left if one not in more]
    return left


def _is_script(one: Letter, base: Letter) -> bool:
    """Return whether a letter has the size of a script of its neighbour, or is another letter of that script."""
    near = one.box.overlap(base.box) > -0.5 * base.size * POINT
    ratio = one.size / base.size
    return near and (abs(ratio - _SCRIPT) < 0.01 or abs(ratio - 1) < 0.01)


def expected(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each block that has one of plain text, and of the tables, for a template's content."""
    names = {
        "title": content["title"],
        "authors": ", ".join(content["authors"]),
        "affiliations": "; ".join(content["affiliations"]),
        "references": "References" + "".join(content["references"]),
        "source": content["source"],
    }
    if content["template"] == "billboard":
        names["answer"] = content["answer"]
    for choice, record in zip(content["choice"]["panels"], content["records"], strict=True):
        i = record["index"]
        names |= {
            f"{part} {i}": "".join(map(_plain, record[part]))
            for part in choice["parts"]
            if part != "equations"
        }
        if "methods" in choice["parts"]:
            names[f"methods {i}"] = "Method" + names[f"methods {i}"]
        names[f"table {i}"] = "".join(printed_cells(record, choice["n"]))
    return {name: text for name, text in names.items() if text}


def printed_cells(record: Mapping[str, Any], n: int) -> list[str]:
    """Return what stands in the tables of a record, of which `n` rows of the first quantity are printed."""
    cells = [*record["summary"]["heads"], *chain(*record["summary"]["rows"])]
    rows = record["rows"]["rows"]
    if n == 0:
        return cells
    last = len(rows) - 1
    shown = rows if n > last else [rows[int(i * last / max(n - 1, 1) + 0.5)] for i in range(n)]
    total = record["rows"]["total"]
    said = f"{n} of {total} rows" if n < total else f"{total} rows"
    about = "; ".join(filter(None, (record["rows"]["fixed"], said)))
    return [*cells, record["rows"]["name"], about, *record["rows"]["heads"], *chain(*shown)]


def _plain(text: str | Sequence[Any]) -> str:
    """Return a text of the content, of strings and commands."""
    return (
        text
        if isinstance(text, str)
        else "".join(one if isinstance(one, str) else one["code"] for one in text)
    )


def quick_plot(prediction: Any, measurement: Any) -> Figure:
    """Return a figure with text of every kind and no axes, which is drawn in a fiftieth of the time."""
    figure = Figure(figsize=(5.0, 3.8))
    FigureCanvasAgg(figure)
    figure.text(0.1, 0.1, "predicted $10^{-2}$ and $x_{n^2}$ and $\\mathcal{E}_0$", size=7)
    figure.text(0.1, 0.3, "upwards $10^{-2}$", size=8, rotation=90)
    return figure
