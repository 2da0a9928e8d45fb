"""The command `solvable poster`."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from solvable.errors import InputError
from solvable.lab import DamagedRecord, Record, find_record
from solvable.poster.make import loaded
from solvable.streams import visible
from solvable.terminal.arguments import check_path
from solvable.terminal.output import OUTPUT, Output, example

poster = App(name="poster", help_epilogue=example("solvable poster latest --author 'Ada Lovelace' --size a1"))

_SEVERAL = Parameter(allow_repeating=True, negative=(), consume_multiple=False, show_default=False)


@poster.default
def make_poster(
    *run: str,
    size: str = "a0",
    orientation: str | None = None,
    title: str | None = None,
    author: Annotated[tuple[str, ...], _SEVERAL] = (),
    affiliation: Annotated[tuple[str, ...], _SEVERAL] = (),
    logo: Annotated[tuple[Path, ...], _SEVERAL] = (),
    link: str | None = None,
    answer: str | None = None,
    template: str = "classic",
    bleed: str = "0mm",
    out: Path = Path("poster.pdf"),
    ship: Annotated[bool, Parameter(show_default=False)] = False,
    accepted: Annotated[bool, Parameter(show_default=False)] = False,
    output: Output = OUTPUT,
) -> None:
    """Make a poster of a recorded study, or of two to four side by side: a PDF of one page, and a PNG preview.

    It shows the question, the answer in a few words, the theory, the figure drawn for this size, the table of errors,
    references and a QR code. Long texts are set smaller, down to 24 points at A0; what does not fit is refused.

    Args:
        run: one to four of: `latest`, a record's path, or the beginning of its name or of its short hash.
        size: a0 to a4, or width and height with a unit, such as 36x48in or 1016x812mm.
        orientation: portrait (by default) or landscape; a size in numbers has its own.
        title: title of the poster; by default that of the study.
        author: name of an author; may be repeated.
        affiliation: a place of work; may be repeated.
        logo: a PNG, JPEG, WebP, GIF or SVG file; may be repeated.
        link: address of the QR code; by default the paper's arXiv page.
        answer: the answer in your own words; by default the record's headline.
        template: classic, or billboard with the answer in letters that can be read from five metres.
        bleed: what is printed beyond each edge and cut off, such as 3mm.
        out: path of the PDF; the preview has the same name and ends in .png.
        ship: also write a label for shipping it, beside the poster.
        accepted: make the poster of nothing, which needs no run.
        output: how the result is printed.
    """
    from solvable.poster.accepted import accepted as nothing
    from solvable.poster.label import label
    from solvable.poster.make import make

    shipping = out.with_name(f"{out.stem}-label.pdf") if ship else None
    check_path("out", out, (".pdf",))
    for path in (out.with_suffix(".png"), shipping):
        check_path("out", path, (".png", ".pdf"))
    options = {
        "size": size,
        "orientation": orientation,
        "title": title,
        "authors": author,
        "affiliations": affiliation,
        "logos": logo,
        "link": link,
        "answer": answer,
        "template": template,
        "bleed": bleed,
        "out": out,
    }
    if accepted and run:
        raise InputError("--accepted needs no record; leave out either of them")
    if not run and not accepted:
        raise InputError(
            "no record was named; expected one to four of those listed by `solvable runs`, or latest"
        )
    if accepted:
        made = nothing(label=shipping, **options)
    else:
        records = [_found(reference, output.runs_dir) for reference in run]
        made = make(records, **options)
        if shipping is not None:
            label(records, shipping)
    files = [made.path, made.preview, *([shipping] if shipping else [])]

    def full() -> None:
        for note in made.notes:
            print(visible(f"note: {note}"))
        for path in files:
            print(visible(str(path)))

    facts = {"poster": made.path, "preview": made.preview, "label": shipping, "notes": made.notes}
    output.emit(facts, list(map(str, files)), full)


def _found(reference: str, runs_dir: Path) -> Record:
    """Return a record, which may lack its numbers."""
    try:
        return find_record(reference, runs_dir)
    except DamagedRecord as damaged:
        return loaded(damaged.path)
