"""All puzzles as one HTML file that needs no network: texts, hints, files, and answers checked in the browser."""

import hashlib
import json
import re
import unicodedata
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from solvable import __version__
from solvable.hunt.play import HERE, META, Hunt, Puzzle
from solvable.hunt.sealing import LONGEST, NEEDED, SALT

_TYPES = {".csv": "text/csv", ".json": "application/json", ".svg": "image/svg+xml"}
# Code between backquotes, emphasis between asterisks.
_MARKED = re.compile(r"`([^`]+)`|\*(\S(?:[^*]*\S)?)\*")


def page(path: str | Path, *, hunt: Hunt | None = None) -> Path:
    """Write all puzzles as one HTML file, to play in a browser or to print, and return its path.

    Args:
        path: of the HTML file.
        hunt: another hunt than the library's own.

    Raises:
        InputError: if a file of a puzzle has changed since it was shipped, or the page cannot be written.
    """
    from solvable.lab.files import atomically

    hunt = Hunt() if hunt is None else hunt
    links = {puzzle.id: f"#puzzle-{puzzle.id}" for puzzle in hunt.puzzles}
    text = render(hunt, links, "The hunt", puzzles=hunt.puzzles, front=True)
    path = Path(path)
    with atomically(path) as temporary:
        temporary.write_bytes(text.encode())
    return path


def render(
    hunt: Hunt,
    links: Mapping[str, str],
    title: str,
    *,
    puzzles: Sequence[Puzzle] = (),
    front: bool = False,
    files: str | None = None,
    **more: Any,
) -> str:
    """Return a page as HTML.

    Args:
        hunt: with the texts, files and boxes.
        links: puzzle -> where it is.
        title: of the page.
        puzzles: those on this page.
        front: whether it has the list of all puzzles.
        files: folder of the files, as in a link; if there is none they are in the page.
        more: of an event: `event` (its facts), `pages` (names and links), `errata`.
    """
    shown = [
        _fields(puzzle)
        | {
            "hints": puzzle.hints,
            "downloads": [_download(name, hunt.content(name), files) for name in puzzle.files],
            "pictures": [picture(hunt, name) for name in puzzle.files if name.endswith(".svg")],
        }
        for puzzle in puzzles
    ]
    ids = [puzzle.id for puzzle in puzzles]
    facts = {
        "id": hunt.sealed["meta"]["check"][:16],
        "salt": SALT,
        "longest": LONGEST,
        "iterations": hunt.sealed["iterations"],
        "needed": NEEDED,
        "ids": [puzzle.id for puzzle in hunt.puzzles],
        "hints": {puzzle.id: puzzle.hints_total for puzzle in hunt.puzzles},
        "puzzles": {id: hunt.sealed["puzzles"][id] for id in ids},
        "meta": hunt.sealed["meta"] if META in ids else None,
        "folds": _folds(),
        "event": bool(more.get("event")),
    }
    context: dict[str, Any] = {"event": None, "pages": (), "errata": ()}
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            context
            | more
            | {
                "title": title,
                "puzzles": shown,
                "index": [_fields(puzzle) | {"href": links[puzzle.id]} for puzzle in hunt.puzzles],
                "front": front,
                "facts": facts,
                "meta": META,
                "needed": NEEDED,
                "version": __version__,
            }
        )
    )


@cache
def environment() -> Any:
    """Return the Jinja2 environment of the hunt's pages."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Part of the page, so that a policy by hashes allows these two and nothing else.
    environment.globals["script"] = Markup((HERE / "page.js").read_text(encoding="utf-8"))
    environment.globals["style"] = Markup((HERE / "page.css").read_text(encoding="utf-8"))
    environment.filters["source"] = _source
    environment.filters["inline"] = _inline
    return environment


def _source(text: str) -> str:
    """Return a script or a style as a content security policy names it."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _inline(text: str) -> Any:
    """Return a text as HTML."""
    from markupsafe import Markup

    def tag(found: re.Match[str]) -> Markup:
        code, emphasis = found.groups()
        return Markup("<code>{}</code>").format(code) if code else Markup("<em>{}</em>").format(emphasis)

    found, at = Markup(""), 0
    for match in _MARKED.finditer(text):
        found += text[at : match.start()]
        found += tag(match)
        at = match.end()
    return found + text[at:]


def _fields(puzzle: Puzzle) -> dict[str, Any]:
    names = ("id", "title", "wing", "stars", "minutes", "flavour", "given", "start", "hints_total")
    return {name: getattr(puzzle, name) for name in names}


def _download(name: str, data: bytes, folder: str | None) -> dict[str, str]:
    size = f"{len(data) / 1000:.0f} kB" if len(data) >= 1000 else f"{len(data)} bytes"
    return {
        "name": name,
        "size": size,
        "source": _embedded(name, data) if folder is None else f"{folder}/{name}",
    }


def picture(hunt: Hunt, name: str) -> dict[str, Any]:
    """Return a picture with its text, which is in the JSON file of the same name."""
    text = json.loads(hunt.content(str(Path(name).with_suffix(".json"))))
    return {"source": _embedded(name, hunt.content(name)), "title": text["title"], "panels": text["panels"]}


def _embedded(name: str, data: bytes) -> str:
    kind = _TYPES.get(Path(name).suffix, "application/octet-stream")
    return f"data:{kind};base64,{b64encode(data).decode()}"


@cache
def _folds() -> dict[str, str]:
    """Return how letters fold whose lower case, which is all that browsers know, is something else."""
    every = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    folds = {letter: letter.casefold() for letter in every if letter.casefold() != letter.lower()}
    return {letter: fold for letter, fold in folds.items() if unicodedata.normalize("NFKC", letter) == letter}
