"""For organisers: the hunt as a static site or as tables for gph-site, and a ranking by finish codes."""

import csv
import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from solvable.checks import choice
from solvable.errors import InputError
from solvable.hunt.page import environment, picture, render
from solvable.hunt.play import META, Hunt, Puzzle, finish_code, team_name
from solvable.hunt.sealing import NEEDED, Key, nouns, opened

_FILES = "files"
_ERRATA, _ERRATA_PAGE = "errata.json", "errata.html"
_EVENT = {"name": str, "start": datetime, "end": datetime, "contact": str, "team_size": int}
_EXPECTED = {str: "text", datetime: "a date and time, as in 2027-03-01T10:00:00-05:00", int: "a whole number"}
_COLUMNS = ("time", "team", "puzzle", "code")


def export(
    folder: str | Path,
    platform: str = "static",
    *,
    event: str | Path | None = None,
    answers: str | Path | None = None,
    hunt: Hunt | None = None,
) -> list[Path]:
    """Write the hunt as a site for an event, and return the paths of its files.

    Args:
        folder: where the site goes.
        platform: `static` for pages that any web server can serve, `gph` for gph-site.
        event: TOML file with name, start, end, contact and team_size. Errata are read from the `errata.json` beside it,
            a list of objects with time, text and, if it is about one puzzle, puzzle.
        answers: of gph, the organiser's file: a line `puzzle answer` for each puzzle, and `puzzle guess = response` for
            near misses; without a response it is the hunt's own.
        hunt: another hunt than the library's own.

    Raises:
        InputError: if a file cannot be read or lacks something, an answer is not right, or the site cannot be written.
    """
    from solvable.lab.files import atomically

    hunt = Hunt() if hunt is None else hunt
    if choice("platform", platform, ("static", "gph")) == "static":
        if answers is not None:
            raise InputError("a static site has its answers sealed; give no file of answers, or platform gph")
        _refuse_another_site(Path(folder) / "index.html")
        files = _static(hunt, None if event is None else Path(event))
        if _ERRATA_PAGE not in files:
            (Path(folder) / _ERRATA_PAGE).unlink(missing_ok=True)  # of an earlier export
    else:
        if answers is None:
            raise InputError(
                "gph-site needs the answers: give the organiser's file with --answers (in Python: answers=)"
            )
        files = _gph(hunt, _Answers.read(Path(answers), hunt))
    paths = []
    for name, data in files.items():
        path = Path(folder) / name
        with atomically(path) as temporary:
            temporary.write_bytes(data)
        paths.append(path)
    return paths


def score(
    submissions: str | Path, key: str | Path, *, event: str | Path | None = None, hunt: Hunt | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the ranking of the teams by their finish codes, and what was not counted.

    A team is ahead of another if it has solved more; among equals, if it has solved the meta; then if its last solve
    was earlier.

    Args:
        submissions: CSV with the columns time (ISO 8601, such as 2027-03-01 10:15:00; without a zone, that of the
            event, else UTC), team, puzzle and code.
        key: the organiser's file, with a line `puzzle answer` for each puzzle.
        event: TOML file of the event, as for `export`: what came before its start or after its end does not count.
        hunt: another hunt than the library's own.

    Returns:
        a dictionary for each team with place (the same for equals), team, solved (number), meta (whether), last (time);
        and a sentence for each line that does not count.

    Raises:
        InputError: if a file cannot be read or lacks something, or an answer is not right.
    """
    hunt = Hunt() if hunt is None else hunt
    keys = _Answers.read(Path(key), hunt).keys
    rows = list(_rows(Path(submissions)))
    times = _Times(None if event is None else _event(Path(event)), [row["time"] for _, row in rows])
    codes = _Codes(keys, [row["team"] for _, row in rows])
    solves: dict[str, dict[str, tuple[datetime, str]]] = {}
    shown: dict[str, str] = {}
    wrong = []
    for number, row in rows:
        try:
            time = times.read(row["time"])
            puzzle = hunt.puzzle(row["puzzle"]).id
            team = codes.check(row["team"], puzzle, row["code"])
        except InputError as error:
            wrong.append(f"line {number}: {error}")
            continue
        shown.setdefault(team, " ".join(row["team"].split()))
        before = solves.setdefault(team, {}).get(puzzle)
        if before is None or time < before[0]:
            solves[team][puzzle] = (time, row["time"].strip())

    def place(team: str) -> tuple[int, bool, datetime]:
        return -len(solves[team]), META not in solves[team], max(solves[team].values())[0]

    ranks = sorted(map(place, solves))
    ranking = [
        {
            "place": 1 + ranks.index(place(team)),
            "team": shown[team],
            "solved": len(solves[team]),
            "meta": META in solves[team],
            "last": max(solves[team].values())[1],
        }
        for team in sorted(solves, key=place)
    ]
    return ranking, wrong


class _Codes:
    """The finish codes of all teams, so that a code of another team is told from a wrong one."""

    def __init__(self, keys: dict[str, Key], teams: Iterable[str]) -> None:
        self._keys = keys
        self._owners: dict[tuple[str, str], str] = {}
        for team in dict.fromkeys(teams):
            if team.strip():
                for puzzle, key in keys.items():
                    self._owners.setdefault((puzzle, finish_code(key, team)), team)

    def check(self, team: str, puzzle: str, code: str) -> str:
        """Return what a team is known by: its name without case and repeated blanks.

        Raises:
            InputError: if the code is not that of the team and the puzzle.
        """
        if not team.strip():
            raise InputError("the team has no name")
        code = "".join(filter(str.isalnum, code.upper()))
        if code == finish_code(self._keys[puzzle], team):
            return team_name(team)
        owner = self._owners.get((puzzle, code))
        said = f"the code of team {owner.strip()!r}" if owner else f"{code!r}, which is not its code"
        raise InputError(f"for puzzle {puzzle}, team {team.strip()!r} gave {said}")


@dataclass(frozen=True)
class _Answers:
    """The organiser's answers, checked against the boxes.

    Attributes:
        words: puzzle -> answer, as it is written.
        keys: puzzle -> key of the answer.
        near: puzzle, guess and response of near misses.
    """

    words: dict[str, str]
    keys: dict[str, Key]
    near: list[tuple[str, str, str]]

    @classmethod
    def read(cls, path: Path, hunt: Hunt) -> "_Answers":
        """Read a file of answers."""
        found = cls({}, {}, [])
        for number, line in enumerate(_text(path).splitlines(), start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    found._add(line, hunt)
                except InputError as error:
                    raise InputError(f"{path}, line {number}: {error}") from None
        if missing := [puzzle.id for puzzle in hunt.puzzles if puzzle.id not in found.words]:
            raise InputError(f"{path} has no answer of puzzle {', '.join(missing)}; expected a line for each")
        return found

    def _add(self, line: str, hunt: Hunt) -> None:
        id, _, rest = " ".join(line.split()).partition(" ")
        guess, mark, response = (part.strip() for part in rest.partition("="))
        puzzle = hunt.puzzle(id.rstrip(":")).id
        if not guess:
            raise InputError(f"puzzle {puzzle} has no answer; expected the puzzle, a blank and the answer")
        key = Key(puzzle, guess, hunt.sealed["iterations"])
        said = opened(hunt.sealed["puzzles"][puzzle], key)
        expected = "close" if mark else "right"
        if said is None or said["verdict"] != expected:
            kind = "a near miss" if mark else "the answer"
            raise InputError(
                f"{guess!r} is not {kind} of puzzle {puzzle} in the sealed boxes; correct this line"
            )
        if mark:
            self.near.append((puzzle, guess, response or said["say"]))
        elif puzzle in self.words:
            raise InputError(f"puzzle {puzzle} has an answer already; expected one line for each")
        else:
            self.words[puzzle], self.keys[puzzle] = guess, key


def _refuse_another_site(path: Path) -> None:
    """Raise if there is a page that no export has written."""
    if path.exists() and 'id="hunt"' not in _text(path):
        raise InputError(f"{str(path)!r} is there and not of a hunt; choose an empty folder, or move it away")


def _static(hunt: Hunt, event: Path | None) -> dict[str, bytes]:
    """Return the files of the static site."""
    facts = None if event is None else _event(event)
    title = "The hunt" if facts is None else facts["name"]
    shown = {} if facts is None else facts | {name: _shown(facts[name]) for name in ("start", "end")}
    errata = [] if event is None else _errata(event.with_name(_ERRATA), hunt)
    # With numbers: one of the puzzles has the title of the page of errata.
    links = {puzzle.id: f"{puzzle.id.lower()}-{_slug(puzzle)}.html" for puzzle in hunt.puzzles}
    news = [("Errata of the hunt", _ERRATA_PAGE)] if errata else []

    def write(name: str, pages: Sequence[tuple[str, str]], **what: Any) -> None:
        files[name] = render(hunt, links, event=shown, pages=pages, files=_FILES, **what).encode()

    files: dict[str, bytes] = {}
    write("index.html", news, title=title, front=True)
    names = [(f"{puzzle.id} {puzzle.title}", links[puzzle.id]) for puzzle in hunt.puzzles]
    for i, puzzle in enumerate(hunt.puzzles):
        beside = names[max(i - 1, 0) : i] + names[i + 1 : i + 2]
        pages = [("All puzzles", "index.html"), *beside, *news]
        write(links[puzzle.id], pages, title=f"{puzzle.title}: {title}", puzzles=[puzzle])
    if errata:
        write(
            _ERRATA_PAGE,
            [("All puzzles", "index.html")],
            title=f"Errata of the hunt: {title}",
            errata=errata,
        )
    return files | {
        f"{_FILES}/{name}": hunt.content(name) for puzzle in hunt.puzzles for name in puzzle.files
    }


def _gph(hunt: Hunt, answers: _Answers) -> dict[str, bytes]:
    """Return what goes into a checkout of gph-site, with instructions."""
    waiting = nouns(hunt.sealed["meta"], {id: key for id, key in answers.keys.items() if id != META})
    template = environment().get_template("gph_body.html.j2")
    files, rows = {}, []
    for puzzle in hunt.puzzles:
        is_meta = puzzle.id == META
        unlock = ("", "", str(NEEDED)) if is_meta else ("0", "", "")
        title = puzzle.title + " (Meta)" * is_meta
        round_title = "" if rows else "The hunt"
        rows.append((round_title, title, _slug(puzzle), "", answers.words[puzzle.id].upper(), *unlock))
        pictures = [picture(hunt, name) for name in puzzle.files if name.endswith(".svg")]
        panels = [panel for one in pictures for panel in one["panels"]]
        body = template.render(puzzle=puzzle, nouns=waiting if is_meta else None, panels=panels)
        files[f"puzzles/templates/puzzle_bodies/{_slug(puzzle)}.html"] = body.encode()
        for name in puzzle.files:
            files[f"puzzles/static/hunt/{name}"] = hunt.content(name)
    slugs = {puzzle.id: _slug(puzzle) for puzzle in hunt.puzzles}
    near = [(slugs[id], guess, response) for id, guess, response in answers.near]
    text = environment().get_template("gph_readme.md.j2").render(near=near)
    first = {"README.md": text.encode(), "puzzles.tsv": _tsv(rows)} | (
        {"messages.tsv": _tsv(near)} if near else {}
    )
    return first | files


def _slug(puzzle: Puzzle) -> str:
    return re.sub("[^a-z0-9]+", "-", puzzle.title.lower()).strip("-")


def _tsv(rows: Iterable[Sequence[str]]) -> bytes:
    return "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows).encode()


def _event(path: Path) -> dict[str, Any]:
    """Return the facts of an event."""
    try:
        facts = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    for name in facts:
        choice(f"key in {path}", name, _EVENT)
    for name, kind in _EVENT.items():
        value = facts.get(name)
        if type(value) is not kind or value == "":
            got = "it is missing" if value is None else f"got {_shown(value)!r}"
            raise InputError(f"{path} must have {name}, {_EXPECTED[kind]}; {got}")
    if facts["team_size"] < 1:
        raise InputError(f"team_size in {path} must be at least 1; got {facts['team_size']}")
    start, end = facts["start"], facts["end"]
    if (start.tzinfo is None) != (end.tzinfo is None) or end <= start:
        raise InputError(
            f"end in {path} must be after start, both with a time zone or both without; got {end}"
        )
    return facts


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        zone = f" {value.tzname()}" if value.tzinfo else ""
        return f"{value.day} {value:%B %Y, %H:%M}{zone}"
    return value.isoformat() if isinstance(value, date) else str(value)


def _errata(path: Path, hunt: Hunt) -> list[dict[str, str]]:
    """Return the errata, the newest first, with the titles of their puzzles; none if there is no such file."""
    if not path.exists():
        return []
    try:
        errata = json.loads(_text(path))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    expected = f"{path} must be a list of objects with time, text and perhaps puzzle"
    if not isinstance(errata, list):
        raise InputError(f"{expected}; got {type(errata).__name__}")
    shown = []
    for number, one in enumerate(errata, start=1):
        if not isinstance(one, dict) or not all(isinstance(one.get(name), str) for name in ("time", "text")):
            raise InputError(f"{expected}; number {number} is not")
        puzzle = "" if one.get("puzzle") is None else hunt.puzzle(one["puzzle"])
        shown.append(
            {
                "time": one["time"],
                "text": one["text"],
                "puzzle": f"{puzzle.id} {puzzle.title}" if puzzle else "",
            }
        )
    return shown[::-1]


def _rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield the lines of the submissions, with their numbers."""
    try:
        reader = csv.DictReader(StringIO(_text(path), newline=""), strict=True)
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        if missing := [name for name in _COLUMNS if name not in reader.fieldnames]:
            raise InputError(
                f"{path} has no column {', '.join(missing)}; expected {', '.join(_COLUMNS)}, between commas"
            )
        for row in reader:
            yield reader.line_num, {name: row[name] or "" for name in _COLUMNS}
    except csv.Error as error:
        raise InputError(f"{path} is not CSV: {error}") from None


class _Times:
    """Times of submissions, which must lie within the event, if there is one."""

    def __init__(self, event: dict[str, Any] | None, texts: Iterable[str]) -> None:
        if event is None and len({_has_zone(text) for text in texts} - {None}) > 1:
            raise InputError(
                "some times have a zone and others have none; give the event's file, whose zone then holds for these"
            )
        self._zone = UTC if event is None else event["start"].tzinfo or UTC
        self._bounds = None if event is None else [self._with_zone(event[name]) for name in ("start", "end")]

    def read(self, text: str) -> datetime:
        """Return a time.

        Raises:
            InputError: if it cannot be read, or lies outside the event.
        """
        text = text.strip()
        try:
            time = self._with_zone(datetime.fromisoformat(text))
        except ValueError:
            raise InputError(f"the time {text!r} cannot be read; expected 2027-03-01 10:15:00") from None
        if self._bounds and time < self._bounds[0]:
            raise InputError(f"{text} is before the start of the event")
        if self._bounds and time > self._bounds[1]:
            raise InputError(f"{text} is after the end of the event")
        return time

    def _with_zone(self, time: datetime) -> datetime:
        return time if time.tzinfo else time.replace(tzinfo=self._zone)


def _has_zone(text: str) -> bool | None:
    try:
        return datetime.fromisoformat(text.strip()).tzinfo is not None
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r} ({error.strerror}); expected a text file") from None
    except UnicodeDecodeError:
        raise InputError(f"cannot read {str(path)!r}, which is not UTF-8; expected a text file") from None
