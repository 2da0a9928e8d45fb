"""Options that several commands share: lists in one word, and files that are checked before the long work."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from solvable.errors import InputError

FIGURES = (".svg", ".png", ".pdf")


def _words(_: Any, tokens: Any) -> tuple[str, ...]:
    return tuple(word.strip() for word in tokens[0].value.split(","))


def _numbers(_: Any, tokens: Any) -> tuple[float, ...]:
    return tuple(float(word) for word in tokens[0].value.split(","))


Words = Annotated[
    tuple[str, ...], Parameter(converter=_words, n_tokens=1, metavar="STR,...", show_default=False)
]
"""Texts with commas between them, as in `--drop name,date`."""

Numbers = Annotated[
    tuple[float, ...], Parameter(converter=_numbers, n_tokens=1, metavar="NUMBER,...", show_default=False)
]
"""Numbers with commas between them, as in `--n-train 32,64`."""


def check_path(option: str, path: Path | None, endings: tuple[str, ...]) -> None:
    """Raise where a file cannot be written, so that it is said before the work and not after it.

    Args:
        option: whose value the path is, without dashes.
        path: to write to, if any.
        endings: that it may have.
    """
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise InputError(f"--{option} is {str(path)!r}; expected a file that ends in {', '.join(endings)}")
    if not path.parent.is_dir():
        raise InputError(f"--{option} is {str(path)!r}, but there is no such folder; make it first")
    if path.is_dir() or not _writable(path):
        raise InputError(f"--{option} is {str(path)!r}, which cannot be written; name another file or folder")


def _writable(path: Path) -> bool:
    """Return whether a file can be written, by trying, and leave nothing behind."""
    new = not path.exists()
    try:
        with path.open("ab"):
            pass
        if new:
            path.unlink()
    except OSError:
        return False
    return True
