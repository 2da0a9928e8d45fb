"""Playing the hunt: puzzles, files, hints, and the replies to guesses."""

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

_WRONG = "Guesses are never limited, and `solvable hunt hint {}` helps."
_CODE_LETTERS = 10
_LONGEST_TEAM = 100


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
        hints: all of them, from the vaguest; `Hunt.hint` gives them one by one.
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
    hints: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Verdict:
    """The reply to a guess.

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
    """A hunt: puzzles with their files, sealed answers, and the journal of a solver.

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
        number = min(self.progress().hints_read.get(puzzle.id, 0) + 1, puzzle.hints_total)
        self.journal.add(puzzle.id, "hint", number=number)
        return puzzle.hints[number - 1], puzzle.hints_total - number

    def check(self, id: str | int, guess: str) -> Verdict:
        """Return the reply to a guess, and keep it in the journal, a wrong one by its tag only.

        Raises:
            InputError: if the guess has no letters or too many, or the meta is not open yet.
        """
        puzzle = self.puzzle(id)
        key, said = self._reply(puzzle.id, guess)
        if puzzle.id == META:
            self.nouns()
        kind = said["verdict"] if said else "wrong"
        facts = {"letters": letters(guess)} if kind == "right" else {}
        warning = self.journal.add(puzzle.id, "answer", verdict=kind, tag=key.tag, **facts)
        if said is None:
            return Verdict("wrong", _WRONG.format(puzzle.id), warning=warning)
        return Verdict(kind, said["say"], said.get("solution", ""), warning)

    def nouns(self) -> list[str]:
        """Return what waits in the meta for the answers.

        Raises:
            InputError: if fewer than six of the nine puzzles are solved.
        """
        feeders = {puzzle.id for puzzle in self.puzzles} - {META}
        answers = {id: word for id, word in self.progress().answers.items() if id in feeders}
        if len(answers) >= NEEDED:
            keys = {id: self._key(id, word) for id, word in answers.items()}
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
        if not self.is_right(puzzle.id, guess):
            raise InputError(f"the guess is not the answer of puzzle {puzzle.id}; a code is for a right one")
        return finish_code(self._key(puzzle.id, guess), team)

    def is_right(self, id: str, guess: str) -> bool:
        """Return whether a guess is the answer, without keeping it."""
        _, said = self._reply(id, guess)
        return said is not None and said["verdict"] == "right"

    def _key(self, id: str, guess: str) -> Key:
        return Key(id, guess, self.sealed["iterations"])

    def _reply(self, id: str, guess: str) -> tuple[Key, dict[str, Any] | None]:
        key = self._key(id, guess)
        return key, opened(self.sealed["puzzles"][id], key)


def finish_code(key: Key, team: str) -> str:
    """Return the finish code of the key of a right answer, for a team.

    Raises:
        InputError: if the name of the team is empty, or no text.
    """
    digest = hmac.new(key.code_secret, team_name(team).encode(), hashlib.sha256).digest()
    return base64.b32encode(digest).decode()[:_CODE_LETTERS]


def team_name(team: str) -> str:
    """Return the name of a team without case and repeated blanks.

    Raises:
        InputError: if it is empty or too long, or has characters that are no text.

    >>> team_name("The  Ridge ")
    'the ridge'
    """
    name = " ".join(unicodedata.normalize("NFKC", team).casefold().split())
    if len(team) > _LONGEST_TEAM:
        raise InputError(f"the team's name has {len(team)} letters; expected at most {_LONGEST_TEAM}")
    if not name:
        raise InputError("the team has no name; give one with --team")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"the team's name, {team!r}, has characters that are no text; leave them out"
        ) from None
    return name


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
            hints=tuple(row["hints"]),
        )
        for row in table
    )


@cache
def _sealed(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "sealed.json").read_text(encoding="utf-8"))
