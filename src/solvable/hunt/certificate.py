"""The certificate for solving the meta: an SVG, or a PDF. Its drawing is sealed under the meta's answer."""

import json
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from solvable.errors import InputError
from solvable.hunt.page import environment
from solvable.hunt.play import HERE, META, Hunt
from solvable.hunt.sealing import Key
from solvable.streams import short, visible

_WIDEST = 60
# Width of the line for the name, and of a letter of size 1, in the units of the template.
_LINE, _LETTER = 600, 0.72


def certificate(path: str | Path, name: str = "", *, hunt: Hunt | None = None) -> Path:
    """Write the certificate for solving the meta, and return its path.

    Args:
        path: ends in `.svg`, or in `.pdf` where the extra `poster` is installed.
        name: the name on it; without one there is a line to write it on.
        hunt: another hunt than the library's own.

    Raises:
        InputError: if the meta is not solved, the name is too long or has a letter that the PDF's fonts lack, or the
            path has another ending or cannot be written.
        MissingExtraError: if a PDF needs the extra `poster`.
    """
    from solvable.lab.files import atomically

    hunt = Hunt() if hunt is None else hunt
    path = Path(path)
    if path.suffix.lower() not in (".svg", ".pdf"):
        raise InputError(f"a certificate is an .svg or a .pdf file; got {str(path)!r}")
    svg, text = _svg(hunt, name)
    data = _pdf(svg, text) if path.suffix.lower() == ".pdf" else svg.encode()
    with atomically(path) as temporary:
        temporary.write_bytes(data)
    return path


def sealed_drawing(answer: str, drawing: Mapping[str, str], iterations: int) -> str:
    """Return the drawing, sealed under the meta's answer.

    Args:
        answer: of the meta.
        drawing: `svg`, elements within -150 to 150 in both directions, and `alt`, what they show.
        iterations: rounds of PBKDF2.
    """
    text = json.dumps(drawing, ensure_ascii=False, sort_keys=True).encode()
    return b64encode(drawing_key(answer, iterations).box(text)).decode()


def drawing_key(answer: str, iterations: int) -> Key:
    """Return what opens the drawing: not the key of a box, since two texts under one key would tell each other."""
    return Key(f"{META} drawing", answer, iterations)


def _svg(hunt: Hunt, name: str) -> tuple[str, str]:
    """Return the certificate, and what it says in words."""
    from markupsafe import Markup

    progress = hunt.progress()
    if META not in progress.answers:
        raise InputError(f"the certificate comes with the meta: solve puzzle {META} first")
    if not hunt.is_right(META, progress.answers[META]):
        raise InputError(f"the answer of puzzle {META} in {hunt.journal.path} is not right; answer it again")
    key = drawing_key(progress.answers[META], hunt.sealed["iterations"])
    drawing = json.loads(key.box(b64decode(hunt.sealed["certificate"])))
    name = " ".join(visible(name).split())
    width = sum(2 if unicodedata.east_asian_width(letter) in "FW" else 1 for letter in name)
    if width > _WIDEST:
        raise InputError(
            f"the name {short(name)!r} is too long for the certificate; expected at most {_WIDEST} letters"
        )
    solved = [
        {
            "id": puzzle.id,
            "title": puzzle.title,
            "wing": puzzle.wing,
            "hints": _hints(progress.hints.get(puzzle.id, 0)),
        }
        for puzzle in hunt.puzzles
        if puzzle.id in progress.answers
    ]
    time = _time(progress.solved_at[META])
    date = f"{time.day} {time:%B %Y}"
    text = (
        f"Certificate{f' of {name}' if name else ''}: the meta of the hunt was solved on {date}. Solved: "
        + "; ".join(f"{one['id']} {one['title']}, {one['hints']}" for one in solved)
    )
    svg = (
        environment()
        .get_template("certificate.svg.j2")
        .render(
            name=name,
            name_size=round(min(46.0, _LINE / (_LETTER * max(width, 1))), 1),
            line=_LINE,
            date=date,
            solved=solved,
            text=text,
            drawing=Markup(drawing["svg"]),
            alt=drawing["alt"],
        )
    )
    return svg, f"{text}. {drawing['alt']}"


def _time(text: str) -> datetime:
    """Return the time of the journal; now, if that line was damaged."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.now()


def _hints(count: int) -> str:
    return f"{count or 'no'} hint{'s' * (count != 1)}"


def _pdf(svg: str, text: str) -> bytes:
    from solvable.poster.typesetting import sheet

    with sheet(str(HERE / "certificate.typ")) as page:
        (page.folder / "certificate.svg").write_text(svg, encoding="utf-8")
        page.set({"text": text})
        return page.pdf()
