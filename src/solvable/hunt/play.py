"""Playing the hunt: puzzles, files, hints, and what is said to a guess."""

import base64
import hashlib
import hmac
import json
import tomllib
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from solvable.checks import choice
from solvable.errors import InputError
from solvable.hunt.journal import Journal, Progress
from solvable.hunt.sealing import NEEDED, Key, letters, nouns, opened

HERE = Path(__file__).parent
META = "M"

_WRONG = "Guesses are never limited, and `solvable hunt hint` helps."
_CODE_LETTERS = 10


@dataclass(frozen=True)
class Puzzle:
    """A puzzle, as a solver sees it.

    Attributes:
        id: 1 to 9, or M for the meta.
        title: its title.
        wing: the part of the library that solves it.
        stars: how hard it is, from 1 to 5.
        minutes: with the library and without it.
        flavour: the text, of which every word works.
        given: what the files hold.
        start: where to begin.
        files: names of its files.
        hints_total: how many hints there are.
    """

    id: str
    title: str
    wing: str
    stars: int
    minutes: tuple[int, int]
    flavour: str
    given: str
    start: str
    files: tuple[str, ...]
    hints_total: int
    _hints: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Verdict:
    """What is said to a guess.

    Attributes:
        kind: `right`, `close` or `wrong`.
        message: a sentence or two.
        solution: of a right answer, how it was to be found.
        warning: why the answer was not kept, if it was not.
    """

    kind: str
    message: str
    solution: str = ""
    warning: str | None = None


class Hunt:
    """A hunt: puzzles with their files, sealed answers, and the journal of who solves it.

    Args:
        folder: has `puzzles.toml`, `sealed.json` and `data/`; by default the library's own.
        journal: where progress is kept; by default in the user's data folder.
    """

    def __init__(self, folder: Path = HERE, journal: Journal | None = None) -> None:
        self.folder = folder
        self.journal = Journal() if journal is None else journal

    @property
    def puzzles(self) -> tuple[Puzzle, ...]:
        """The puzzles, from the easiest to the hardest; the meta is the last."""
        return _puzzles(self.folder)

    @property
    def sealed(self) -> dict[str, Any]:
        """The sealed boxes."""
        return _sealed(self.folder)

    def puzzle(self, id: str | int) -> Puzzle:
        """Return a puzzle.

        Raises:
            InputError: if there is none of that name.
        """
        known = {puzzle.id: puzzle for puzzle in self.puzzles}
        return known[choice("puzzle", str(id).strip().upper(), known)]

    def progress(self) -> Progress:
        """Return what has been opened, hinted and solved."""
        return self.journal.progress()

    def open(self, id: str | int, folder: str | Path = ".") -> list[Path]:
        """Copy the files of a puzzle into a folder, and return their paths.

        Raises:
            InputError: if a file has changed since it was shipped or cannot be written, or the meta is not open yet.
        """
        from solvable.lab.files import atomically

        puzzle = self.puzzle(id)
        if puzzle.id == META:
            self.nouns()
        contents = {Path(folder) / name: self.content(name) for name in puzzle.files}
        for path, data in contents.items():
            with atomically(path) as temporary:
                temporary.write_bytes(data)
        self.journal.add(puzzle.id, "opened")
        return list(contents)

    def content(self, name: str) -> bytes:
        """Return a file of a puzzle.

        Raises:
            InputError: if it has changed since it was shipped.
        """
        path = self.folder / "data" / name
        checksums = json.loads((self.folder / "files.json").read_text(encoding="utf-8"))
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != checksums[name]:
            raise InputError(f"{name} is not as it was shipped; install the library again")
        return data

    def hint(self, id: str | int) -> tuple[str, int]:
        """Return the next hint, and how many are left; after the last one it is the last one again.

        Raises:
            InputError: if the meta is not open yet, since its hints tell of the answers.
        """
        puzzle = self.puzzle(id)
        if puzzle.id == META:
            self.nouns()
        number = min(self.progress().hints.get(puzzle.id, 0) + 1, puzzle.hints_total)
        self.journal.add(puzzle.id, "hint", number=number)
        return puzzle._hints[number - 1], puzzle.hints_total - number

    def check(self, id: str | int, guess: str) -> Verdict:
        """Return what is said to a guess, and keep it in the journal, a wrong one by its tag only.

        Raises:
            InputError: if the guess has no letters or too many, or the meta is not open yet.
        """
        puzzle = self.puzzle(id)
        key = Key(puzzle.id, guess, self.sealed["iterations"])
        if puzzle.id == META:
            self.nouns()
        said = opened(self.sealed["puzzles"][puzzle.id], key)
        kind = said["verdict"] if said else "wrong"
        facts = {"letters": letters(guess)} if kind == "right" else {}
        warning = self.journal.add(puzzle.id, "answer", verdict=kind, tag=key.tag, **facts)
        if said is None:
            return Verdict("wrong", _WRONG, warning=warning)
        return Verdict(kind, said["say"], said.get("solution", ""), warning)

    def nouns(self) -> list[str]:
        """Return what waits in the meta for the answers.

        Raises:
            InputError: if fewer than six of the nine puzzles are solved.
        """
        answers = {puzzle: word for puzzle, word in self.progress().answers.items() if puzzle != META}
        if len(answers) >= NEEDED:
            keys = {puzzle: Key(puzzle, word, self.sealed["iterations"]) for puzzle, word in answers.items()}
            if (found := nouns(self.sealed["meta"], keys)) is not None:
                return found
        raise InputError(
            f"puzzle {META} opens with {NEEDED} of the nine answers; you have {len(answers)}: solve others first"
        )

    def finish_code(self, id: str | int, guess: str, team: str) -> str:
        """Return the code that proves a right answer of a team: ten letters, worthless to another team.

        Raises:
            InputError: if the guess is not right, or the team has no name.
        """
        puzzle = self.puzzle(id)
        key = Key(puzzle.id, guess, self.sealed["iterations"])
        said = opened(self.sealed["puzzles"][puzzle.id], key)
        if said is None or said["verdict"] != "right":
            raise InputError(f"the guess is not the answer of puzzle {puzzle.id}; a code is for a right one")
        return finish_code(key, team)


def finish_code(key: Key, team: str) -> str:
    """Return the finish code of the key of a right answer, for a team.

    Raises:
        InputError: if the name of the team is empty.
    """
    name = " ".join(unicodedata.normalize("NFKC", team).casefold().split())
    if not name:
        raise InputError("the team has no name; give one with --team")
    digest = hmac.new(key.code_secret, name.encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode()[:_CODE_LETTERS]


@cache
def _puzzles(folder: Path) -> tuple[Puzzle, ...]:
    table = tomllib.loads((folder / "puzzles.toml").read_text(encoding="utf-8"))["puzzle"]
    return tuple(
        Puzzle(
            id=row["id"],
            title=row["title"],
            wing=row["wing"],
            stars=row["stars"],
            minutes=(row["minutes"][0], row["minutes"][1]),
            flavour=row["flavour"],
            given=row["given"],
            start=row["start"],
            files=tuple(row["files"]),
            hints_total=len(row["hints"]),
            _hints=tuple(row["hints"]),
        )
        for row in table
    )


@cache
def _sealed(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "sealed.json").read_text(encoding="utf-8"))
