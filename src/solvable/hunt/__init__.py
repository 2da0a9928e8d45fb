"""The hunt: nine puzzles and a meta, from the easiest to the hardest, each solved with a tool of the library.

Start where you like: `solvable hunt` lists them, and `solvable hunt open 1` gives the first. Only the meta waits for
six answers. Answers are sealed: nothing here tells them.

Files: `puzzles.toml` has texts and hints, `data/` the files of the puzzles, `sealed.json` the boxes that `sealing`
opens; `play` is the game, `journal` keeps progress; `certificate` and `page` (one HTML file) are what a solver takes
away, `event` is for organisers; `command` is `solvable hunt`.
"""

from pathlib import Path

from solvable.hunt.certificate import certificate
from solvable.hunt.event import export, score
from solvable.hunt.journal import Journal, Progress
from solvable.hunt.page import page
from solvable.hunt.play import Hunt, Puzzle, Verdict

__all__ = [
    "Hunt",
    "Journal",
    "Progress",
    "Puzzle",
    "Verdict",
    "certificate",
    "check",
    "export",
    "finish_code",
    "hint",
    "open_puzzle",
    "page",
    "progress",
    "puzzles",
    "score",
]


def puzzles() -> tuple[Puzzle, ...]:
    """Return the puzzles, from the easiest to the hardest; the meta is the last.

    >>> [puzzle.title for puzzle in puzzles()][:2]
    ['Out of Family', 'Errata']
    """
    return Hunt().puzzles


def open_puzzle(id: str | int, folder: str | Path = ".") -> list[Path]:
    """Copy the files of a puzzle into a folder, and return their paths.

    Args:
        id: 1 to 9, or M for the meta.
        folder: where the files go; made if it is not there.

    Raises:
        InputError: if there is no such puzzle, a file has changed since it was shipped, or the meta is not open yet.
    """
    return Hunt().open(id, folder)


def hint(id: str | int) -> tuple[str, int]:
    """Return the next hint of a puzzle, and how many are left.

    Args:
        id: 1 to 9, or M for the meta.

    Raises:
        InputError: if there is no such puzzle, or the meta is not open yet.
    """
    return Hunt().hint(id)


def check(id: str | int, guess: str) -> Verdict:
    """Return the reply to a guess: right, close or wrong, and a sentence.

    Args:
        id: 1 to 9, or M for the meta.
        guess: only its letters count.

    Raises:
        InputError: if there is no such puzzle, the guess has no letters or too many, or the meta is not open yet.
    """
    return Hunt().check(id, guess)


def progress() -> Progress:
    """Return what this user has opened, hinted and solved."""
    return Hunt().progress()


def finish_code(id: str | int, guess: str, team: str) -> str:
    """Return the code that proves a right answer of a team: ten letters, worthless to another team.

    Args:
        id: 1 to 9, or M for the meta.
        guess: the right answer.
        team: name of the team; case and blanks do not count.

    Raises:
        InputError: if the guess is not right, or the team has no name.
    """
    return Hunt().finish_code(id, guess, team)
