"""`make`: a poster of one to four records, as a PDF of one page with a PNG preview beside it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from solvable.checks import choice
from solvable.errors import InputError
from solvable.lab import Record, Study
from solvable.lab.files import atomically
from solvable.poster.content import links_of, names_of, source_of, texts_of, title_of, without_folders
from solvable.poster.figures import Drawing, drawing
from solvable.poster.logos import logo
from solvable.poster.paper import Paper, paper
from solvable.poster.typesetting import Sheet, sheet
from solvable.streams import short, visible
from solvable.wings import load_study, study_names

TEMPLATES = ("classic", "billboard")

_MOST = 4
_MOST_LOGOS = 8
_NUMBERS = ("prediction.nc", "measurement.nc")
# The smallest text in the figures of one record and of several, in points at A0.
_ONE, _SEVERAL = 24, 18
# Pixels of the longer side: of those tried, with which the code of a link of 150 letters is read in every size.
_PREVIEW = 2000


@dataclass(frozen=True)
class Poster:
    """A poster that was written.

    Attributes:
        path: the PDF.
        preview: the PNG beside it.
        notes: what a reader of the poster would not expect, such as a figure that could not be drawn again.
    """

    path: Path
    preview: Path
    notes: tuple[str, ...] = ()


def make(
    records: Record | str | Path | Sequence[Record | str | Path],
    *,
    size: str = "a0",
    orientation: str | None = None,
    title: str | None = None,
    authors: Sequence[str] = (),
    affiliations: Sequence[str] = (),
    logos: Sequence[str | Path] = (),
    link: str | None = None,
    answer: str | None = None,
    template: str = "classic",
    bleed: str | float = 0.0,
    out: str | Path = "poster.pdf",
) -> Poster:
    """Write a poster of one recorded study, or of two to four side by side.

    It has one page with title, authors, the question, the answer in a few words, the theory's formulas, the figure,
    drawn again as vectors for its place, the table of errors, the method, references and a QR code. What is long is set
    smaller, down to 24 points at A0 (in other sizes in proportion); in figures of several records down to 18 points.
    The same records and options give the same bytes.

    Args:
        records: one to four records, or paths of their folders.
        size: `a0` to `a4`, or width and height with a unit, such as `36x48in` or `1016x812mm`.
        orientation: `portrait` (by default, of a named size) or `landscape`.
        title: by default that of the study, or of several studies what stands before the colon.
        authors: their names.
        affiliations: where they work.
        logos: PNG, JPEG, WebP, GIF or SVG files.
        link: address of the QR code; by default the paper's arXiv page.
        answer: the answer in your own words, of one record; by default its headline. The billboard of several records
            shows it instead of the names of the studies.
        template: `classic`, or `billboard` with the answer in letters that can be read from five metres.
        bleed: what is printed beyond each edge and cut off: millimetres, or a length such as `3mm`.
        out: path of the PDF; the preview has the same name, and ends in `.png`.

    Returns:
        the paths of both files, and notes such as that a figure could not be drawn again.

    Raises:
        InputError: if a record, a logo or an option cannot be used, a text is too long for its place, or a letter is
            in none of the fonts.
        MissingExtraError: if typst is not installed.

    >>> from tempfile import mkdtemp
    >>> from solvable.lab import run
    >>> from solvable.regression.study import Parameters, study
    >>> folder = Path(mkdtemp())
    >>> record = run(study, Parameters(n_train=(40, 80), trials=2), runs_dir=folder, quiet=True)
    >>> poster = make(record, authors=["Ada Lovelace"], size="a1", out=folder / "poster.pdf")
    >>> poster.path.name, poster.preview.name, poster.notes
    ('poster.pdf', 'poster.png', ())
    """
    alone = isinstance(records, (Record, str, Path))
    chosen = [loaded(record) for record in ([records] if alone else list(records))]
    if not 1 <= len(chosen) <= _MOST:
        raise InputError(f"got {len(chosen)} records; expected one to {_MOST}: a poster has no room for more")
    pairs, notes = [], []
    for record in chosen:
        study, note = _study_of(record)
        pairs.append((record, study))
        notes += note
    poster = publish(
        pairs,
        size=size,
        orientation=orientation,
        title=title,
        authors=authors,
        affiliations=affiliations,
        logos=logos,
        link=link,
        answer=answer,
        template=template,
        bleed=bleed,
        out=Path(out),
    )
    return replace(poster, notes=(*notes, *poster.notes))


def publish(
    records: Sequence[tuple[Record, Study | None]],
    *,
    size: str,
    orientation: str | None,
    title: str | None,
    authors: Sequence[str],
    affiliations: Sequence[str],
    logos: Sequence[str | Path],
    link: str | None,
    answer: str | None,
    template: str,
    bleed: str | float,
    out: Path,
) -> Poster:
    """Write a poster of records with their studies; without its study a record's own figure serves.

    Arguments are those of `make`.
    """
    for name, given in {"authors": authors, "affiliations": affiliations, "logos": logos}.items():
        if isinstance(given, (str, Path)):
            raise InputError(f"{name} is one text, {str(given)!r}; expected a list, as in [{str(given)!r}]")
    sides = paper(size, orientation, bleed)
    choice("template", template, TEMPLATES)
    if out.suffix.lower() != ".pdf":
        raise InputError(f"out is {str(out)!r}; expected a file that ends in .pdf")
    if link is not None and link.strip() and not re.match(r"https?://\S", link.strip()):
        raise InputError(f"link is {short(link)!r}; expected an address that begins with https:// or http://")
    several = len(records) > 1
    if answer is not None and several and template != "billboard":
        raise InputError(
            "answer is for a poster of one record, or a billboard; leave it out, since each record has its own headline"
        )
    if len(logos) > _MOST_LOGOS:
        raise InputError(
            f"got {len(logos)} logos; expected at most {_MOST_LOGOS}: a poster has no room for more"
        )
    chosen = [record for record, _ in records]
    with sheet("poster.typ") as page:
        drawings = [drawing(record, study) for record, study in records]
        entries = [
            texts_of(record, index, study, brief=len(records) == _MOST)
            for index, (record, study) in enumerate(records)
        ]
        if answer is not None and not several:
            entries[0]["answer"] = [_words("answer", answer)]
        for entry, one in zip(entries, drawings, strict=True):
            entry["figure"] = {"width": one.width, "height": one.height, "file": "", "alt": entry["alt"]}
        heading = title_of(chosen) if title is None else _words("title", title)
        board = entries[0]["answer"][0]
        if several:  # each has its own answer; a billboard has the names of the studies
            board = names_of(chosen) if answer is None else _words("answer", answer)
        links = links_of(chosen) if link is None else [_words("link", link)]
        content = {
            "width": sides.width,
            "height": sides.height,
            "bleed": sides.bleed,
            "scale": sides.scale,
            "template": template,
            "figure_text": _SEVERAL if several else _ONE,
            "title": heading,
            "authors": [_words("author", name) for name in authors],
            "affiliations": [_words("affiliation", name) for name in affiliations],
            "answer": board,
            # An address breaks after each slash.
            "references": [
                *map(without_folders, dict.fromkeys(record.paper for record in chosen)),
                *([links[0].replace("/", "/\u200b")] if link is not None else []),
            ],
            "source": source_of(chosen),
            "logos": [logo(Path(path), page.folder, index) for index, path in enumerate(logos)],
            "links": _codes(links, page.folder),
            "records": entries,
        }
        pdf, png, panels = _set(page, content, drawings, sides)
    preview = out.with_suffix(".png")
    with atomically(out) as first, atomically(preview) as second:
        first.write_bytes(pdf)
        second.write_bytes(png)
    # Four records show none.
    without = [
        f"There is no room for the theory of {record.study}."
        for record, entry, panel in zip(chosen, entries, panels, strict=True)
        if entry["equations"] and "equations" not in panel["parts"] and len(records) < _MOST
    ]
    return Poster(out, preview, tuple(without))


def loaded(record: Record | str | Path) -> Record:
    """Return a record, which may lack its numbers: then its recorded figure serves."""
    if isinstance(record, Record):
        return record
    return Record.load(record, may_lack=_NUMBERS)


def _study_of(record: Record) -> tuple[Study | None, list[str]]:
    """Return the study of a record if its figure can be drawn again, or a note that says why not."""
    name = f"{record.study}/{record.name}"
    if record.study not in study_names():
        why = "this version does not know its study"
    elif missing := [file for file in _NUMBERS if not (record.path / file).is_file()]:
        why = f"{missing[0]} is missing"
    elif not _fits(study := load_study(record.study), record):
        why = "its numbers are those of another version of its study"
    else:
        return study, []
    return None, [f"The figure of {name} is the recorded one, in its own size of text, since {why}."]


def _fits(study: Study, record: Record) -> bool:
    """Return whether a record has the numbers that this version of its study wants."""
    try:
        if study.headline is not None:
            study.headline(record.prediction, record.measurement, record.comparison)
    except (KeyError, AttributeError, ValueError):
        return False
    return True


def _words(name: str, text: str) -> str:
    words = " ".join(text.split())
    if not words:
        raise InputError(f"{name} is empty; give some words, or leave it out")
    if (shown := visible(words)) != words:
        raise InputError(
            f"{name} has control characters or bytes that are no text, '{shown}'; leave them out"
        )
    return words


def _codes(links: list[str], folder: Path) -> list[dict[str, str]]:
    """Return the QR codes of addresses, written as SVG."""
    import segno

    codes = []
    for index, link in enumerate(links):
        try:
            code = segno.make_qr(link, error="m")
        except segno.DataOverflowError:
            raise InputError(
                f"link has {len(link)} characters, more than a QR code holds; shorten it"
            ) from None
        code.save(str(folder / f"code-{index}.svg"), border=0, dark="#16202a", xmldecl=False)
        codes.append({"file": f"code-{index}.svg", "alt": f"QR code of {link}", "text": link})
    return codes


def _set(
    page: Sheet, content: dict[str, Any], drawings: list[Drawing], sides: Paper
) -> tuple[bytes, bytes, list[dict[str, Any]]]:
    """Return the PDF, the preview and how each record is laid out: first the texts, then figures for what remains."""
    page.set(content)
    if problems := page.query("problem")[0]:
        raise InputError(_too_long(problems[0]))
    for place, one, entry in zip(page.query("places")[0], drawings, content["records"], strict=True):
        name = f"figure-{place['index']}.svg"
        one.save(page.folder / name, (place["width"], place["height"]), content["figure_text"] * sides.scale)
        entry["figure"]["file"] = name
    layout = page.query("choice")[0]
    page.set(content | {"choice": layout})
    return page.pdf(), page.png(_PREVIEW, max(sides.width, sides.height)), layout["panels"]


def _too_long(problem: dict[str, Any]) -> str:
    """Return the sentence for a block that does not fit at the smallest size of its text."""
    name = problem["block"].rsplit(" ", 1)[0]
    if problem["wide"] > problem["width"]:
        return (
            f"no room for the {name}: at the smallest size of its text a word or formula takes "
            f"{problem['wide']:.0f} mm where there are {problem['width']:.0f} mm; break it"
        )
    return (
        f"no room for the {name}: at the smallest size of its text it takes {problem['high']:.0f} mm where there are "
        f"{problem['height']:.0f} mm, {problem['high'] - problem['height']:.0f} mm too much; shorten it"
    )
