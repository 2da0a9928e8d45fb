"""Event mode: the site, the tables for gph-site, and the ranking."""

import csv
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from solvable.errors import InputError
from solvable.hunt.event import export, score
from solvable.hunt.play import Hunt, finish_code
from solvable.hunt.sealing import Key

EVENT = {
    "name": '"Hunt & <friends>"',
    "start": "2027-03-01T10:00:00-05:00",
    "end": "2027-03-01T18:00:00-05:00",
    "contact": '"help@example.org"',
    "team_size": "5",
}


@pytest.fixture
def event(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes an event file with other values; None leaves one out."""

    def write(**values: str | None) -> Path:
        lines = [f"{name} = {value}" for name, value in (EVENT | values).items() if value is not None]
        (tmp_path / "event.toml").write_text("\n".join(lines), encoding="utf-8")
        return tmp_path / "event.toml"

    return write


@pytest.fixture
def key(tmp_path: Path, answers: dict[str, str]) -> Path:
    path = tmp_path / "answers.txt"
    lines = ["# answers", "", *(f"{id.lower()}  {word.lower()}" for id, word in answers.items())]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def submissions(tmp_path: Path) -> Callable[[Iterable[Iterable[str]]], Path]:
    """A function that writes submissions."""

    def write(rows: Iterable[Iterable[str]], header: str = "Time,Team,Puzzle,Code,Remark") -> Path:
        path = tmp_path / "submissions.csv"
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            file.write(header + "\n")
            csv.writer(file).writerows(rows)
        return path

    return write


def test_errata_have_a_page(event: Callable[..., Path], test_hunt: Hunt, tmp_path: Path) -> None:
    errata = [
        {"time": "1 March, 11:00", "text": "Read `dt` in us, <not> ms.", "puzzle": 9},
        {"time": "1 March, 12:00", "text": "Lunch."},
    ]
    (tmp_path / "errata.json").write_text(json.dumps(errata), encoding="utf-8")
    paths = {path.name: path for path in export(tmp_path / "site", event=event(), hunt=test_hunt)}
    text = paths["errata.html"].read_text(encoding="utf-8")
    assert "9 Handwriting" in text
    assert "Read <code>dt</code> in us, &lt;not&gt; ms." in text
    assert text.index("Lunch.") < text.index("Handwriting")
    pages = [path.read_text(encoding="utf-8") for name, path in paths.items() if name.endswith(".html")]
    assert len(pages) == 12
    assert sum('href="errata.html"' in page for page in pages) == 11


@pytest.mark.parametrize(
    ("errata", "said"),
    [
        ("{", "is not JSON"),
        ("{}", "list of objects with time, text and perhaps puzzle; got dict"),
        ('[{"time": "now"}]', "number 1 is not"),
        ('[{"time": "now", "text": "x", "puzzle": "11"}]', "unknown puzzle '11'"),
    ],
)
def test_bad_errata_are_refused(
    event: Callable[..., Path], test_hunt: Hunt, tmp_path: Path, errata: str, said: str
) -> None:
    (tmp_path / "errata.json").write_text(errata, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(said)):
        export(tmp_path / "site", event=event(), hunt=test_hunt)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": None}, "must have name, text; it is missing"),
        ({"name": '""'}, "must have name, text; got ''"),
        ({"team_size": "0"}, "must be at least 1; got 0"),
        ({"team_size": "true"}, "must have team_size, a whole number; got 'True'"),
        (
            {"start": '"noon"'},
            "must have start, a date and time, as in 2027-03-01T10:00:00-05:00; got 'noon'",
        ),
        ({"start": "2027-03-01"}, "got '2027-03-01'"),
        ({"end": "2027-03-01T09:00:00-05:00"}, "must be after start"),
        ({"end": "2027-03-01T18:00:00"}, "both with a time zone or both without"),
        ({"teamsize": "5"}, "did you mean 'team_size'?"),
        ({"name": "hunt"}, "is not TOML"),
    ],
)
def test_bad_events_are_refused(
    event: Callable[..., Path], test_hunt: Hunt, tmp_path: Path, values: dict[str, str | None], said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        export(tmp_path / "site", event=event(**values), hunt=test_hunt)


def test_bad_arguments_are_refused(test_hunt: Hunt, key: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ({"platform": "ghp"}, "did you mean 'gph'?"),
        ({"platform": "gph"}, "needs the answers"),
        ({"answers": key}, "a static site has its answers sealed"),
        ({"event": tmp_path / "none.toml"}, "No such file"),
        ({"event": tmp_path}, "cannot read"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            export(tmp_path / "site", hunt=test_hunt, **arguments)


def test_gph_site_gets_its_table(
    test_hunt: Hunt, key: Path, answers: dict[str, str], hunt_key: Any, tmp_path: Path
) -> None:
    export(tmp_path / "plain", "gph", answers=key, hunt=test_hunt)
    assert not (tmp_path / "plain" / "messages.tsv").exists()
    with key.open("a", encoding="utf-8") as file:
        file.write(f"\n1 {answers['1']}s = Too & many.\n2 {answers['2']}s =\n")
    paths = export(tmp_path / "gph", "gph", answers=key, hunt=test_hunt)
    folder = tmp_path / "gph"
    assert sorted(paths) == sorted(path for path in folder.rglob("*") if path.is_file())
    rows = [line.split("\t") for line in (folder / "puzzles.tsv").read_text(encoding="utf-8").splitlines()]
    assert {len(row) for row in rows} == {8}
    assert [row[0] for row in rows] == ["The hunt", *[""] * 9]
    assert [row[4] for row in rows] == list(answers.values())
    assert [row[5:] for row in rows] == [["0", "", ""]] * 9 + [["", "", "6"]]
    assert [row[1] for row in rows if row[1].endswith(" (Meta)")] == ["Next to the Real Thing (Meta)"]
    messages = (folder / "messages.tsv").read_text(encoding="utf-8").splitlines()
    assert messages == [
        f"out-of-family\t{answers['1']}s\tToo & many.",
        f"errata\t{answers['2']}s\tOne letter less.",
    ]
    assert "empties the tables" in (folder / "README.md").read_text(encoding="utf-8")
    bodies = folder / "puzzles" / "templates" / "puzzle_bodies"
    assert sorted(path.stem for path in bodies.iterdir()) == sorted(row[2] for row in rows)
    for body in bodies.iterdir():
        text = body.read_text(encoding="utf-8")
        assert text.startswith('{% extends "puzzle.html" %}\n')
        assert all(noun in text for noun in hunt_key["nouns"]) == (body.stem == rows[-1][2])
        for name in re.findall('static "(.*?)"', text):
            assert (folder / "puzzles" / "static" / name).is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "has no answer of puzzle M; expected a line for each"),
        (lambda lines: [*lines, lines[2]], "line 13: puzzle 1 has an answer already"),
        (lambda lines: [*lines, "1 harvest = x"], "line 13: 'harvest' is not a near miss of puzzle 1"),
        (lambda lines: ["1 harvest", *lines], "line 1: 'harvest' is not the answer of puzzle 1"),
        (lambda lines: ["11 x", *lines], "line 1: unknown puzzle '11'"),
        (lambda lines: ["1", *lines], "line 1: puzzle 1 has no answer"),
        (lambda lines: ["\udcff"], "is not UTF-8"),
    ],
)
def test_bad_answers_are_refused(
    test_hunt: Hunt, key: Path, tmp_path: Path, change: Callable[[list[str]], list[str]], said: str
) -> None:
    lines = change(key.read_text(encoding="utf-8").splitlines())
    key.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match=re.escape(said)):
        export(tmp_path / "gph", "gph", answers=key, hunt=test_hunt)
    assert not (tmp_path / "gph").exists()


def test_teams_are_ranked(
    test_hunt: Hunt,
    key: Path,
    event: Callable[..., Path],
    answers: dict[str, str],
    submissions: Callable[..., Path],
) -> None:
    def code(team: str, id: str) -> str:
        return test_hunt.finish_code(id, answers[id], team)

    rows = [
        # Two, the last at 12:00; the first spelling is shown, and a solve counts once, when it was first.
        ("2027-03-01 11:00", " The  Ridge", "1", code("the ridge", "1")),
        ("2027-03-01 12:00", "THE RIDGE", "2", code("the ridge", "2").lower()),
        ("2027-03-01 17:00", "the ridge", "2", f" {code('the ridge', '2')} "),
        # Two, of which one is the meta.
        ("2027-03-01 16:00", "Late, but", "3", " ".join(code("Late, but", "3").lower()).replace(" ", "-")),
        ("2027-03-01T16:30:00Z", "Late, but", "m", code("Late, but", "M")),
        # Two, the last at 11:30 by the clock of Greenwich.
        ("2027-03-01T06:30:00-05:00", "Norm", "4", code("Norm", "4")),
        ("2027-03-01 10:00", "Norm", "5", code("Norm", "5")),
        # One, before all others.
        ("2027-03-01 09:00", "=cmd|x", "6", code("=cmd|x", "6")),
        # None of these counts.
        ("2027-03-01 09:00", "Copy", "1", code("the ridge", "1")),
        ("2027-03-01 09:00", "Norm", "6", "ABCDEFGHIJ"),
        ("2027-03-01 09:00", "Norm", "1", code("Norm", "2")),
        ("2027-03-01 09:00", "Norm", "12", "ABCDEFGHIJ"),
        ("3/1/2027 9:00", "Norm", "6", code("Norm", "6")),
        ("2027-03-01 09:00", "  ", "6", "ABCDEFGHIJ"),
        ("2027-03-01 09:00", "Norm"),
    ]
    with pytest.raises(InputError, match="some times have a zone and others have none"):
        score(submissions(rows), key, hunt=test_hunt)
    day = event(start="2027-03-01T00:00:00Z", end="2027-03-02T00:00:00Z")
    ranking, wrong = score(submissions(rows), key, event=day, hunt=test_hunt)
    assert ranking == [
        {"place": 1, "team": "Late, but", "solved": 2, "meta": True, "last": "2027-03-01T16:30:00Z"},
        {"place": 2, "team": "Norm", "solved": 2, "meta": False, "last": "2027-03-01T06:30:00-05:00"},
        {"place": 3, "team": "The Ridge", "solved": 2, "meta": False, "last": "2027-03-01 12:00"},
        {"place": 4, "team": "=cmd|x", "solved": 1, "meta": False, "last": "2027-03-01 09:00"},
    ]
    expected = (
        "line 10: for puzzle 1, team 'Copy' gave the code of team 'The  Ridge'",
        "line 11: for puzzle 6, team 'Norm' gave 'ABCDEFGHIJ', which is not its code",
        "line 12: for puzzle 1, team 'Norm' gave",
        "line 13: unknown puzzle '12'",
        "line 14: the time '3/1/2027 9:00' cannot be read",
        "line 15: the team has no name",
        "line 16: unknown puzzle ''",
    )
    assert len(wrong) == len(expected)
    assert all(line.startswith(start) for line, start in zip(wrong, expected, strict=True))


def test_only_the_time_of_the_event_counts(
    test_hunt: Hunt,
    key: Path,
    submissions: Callable[..., Path],
    event: Callable[..., Path],
    answers: dict[str, str],
) -> None:
    def row(time: str, team: str) -> tuple[str, str, str, str]:
        return time, team, "1", test_hunt.finish_code(1, answers["1"], team)

    rows = [
        row("0001-01-01 10:00", "early"),
        row("2027-03-01 09:59:59", "early"),
        # In the event's zone, so that both are equal.
        row("2027-03-01 10:00", "one"),
        row("2027-03-01T15:00:00Z", "two"),
        row("2027-03-01 17:30", "three"),
        row("2031-01-01 10:00", "late"),
    ]
    ranking, wrong = score(submissions(rows), key, event=event(), hunt=test_hunt)
    assert [(one["place"], one["team"]) for one in ranking] == [(1, "one"), (1, "two"), (3, "three")]
    assert [line.split(" is ", 1)[1] for line in wrong] == ["before the start of the event"] * 2 + [
        "after the end of the event"
    ]


def test_another_site_is_not_written_over(
    test_hunt: Hunt, event: Callable[..., Path], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    (tmp_path / "errata.json").write_text('[{"time": "now", "text": "Lunch."}]', encoding="utf-8")
    export(site, event=event(), hunt=test_hunt)
    assert (site / "errata.html").exists()
    (tmp_path / "errata.json").unlink()
    export(site, event=event(), hunt=test_hunt)
    assert not (site / "errata.html").exists()
    (site / "index.html").write_text("<h1>Mine</h1>", encoding="utf-8")
    with pytest.raises(InputError, match="is there and not of a hunt"):
        export(site, event=event(), hunt=test_hunt)


def test_bad_submissions_are_refused(
    test_hunt: Hunt, key: Path, submissions: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has no column puzzle, code; expected time, team, puzzle, code"):
        score(submissions([], header="time,team"), key, hunt=test_hunt)
    with pytest.raises(InputError, match="cannot read"):
        score(tmp_path / "none.csv", key, hunt=test_hunt)
    (tmp_path / "open.csv").write_text('time,team,puzzle,code\n"x,1,1,1\n', encoding="utf-8")
    with pytest.raises(InputError, match="is not CSV"):
        score(tmp_path / "open.csv", key, hunt=test_hunt)
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="has no column time"):
        score(tmp_path / "empty.csv", key, hunt=test_hunt)
    assert score(submissions([]), key, hunt=test_hunt) == ([], [])


@pytest.mark.slow
def test_two_thousand_teams_are_ranked(
    test_hunt: Hunt, key: Path, answers: dict[str, str], submissions: Callable[..., Path]
) -> None:
    keys = [Key(id, word, test_hunt.sealed["iterations"]) for id, word in answers.items()]
    rows = [
        (f"2027-03-01 10:{i:02d}", f"team {team}", id, finish_code(keys[i], f"team {team}"))
        for team in range(2000)
        for i, id in enumerate(list(answers)[: 1 + team % len(answers)])
    ]
    ranking, wrong = score(submissions(rows), key, hunt=test_hunt)
    assert wrong == []
    assert len(ranking) == 2000
    assert sum(one["solved"] for one in ranking) == len(rows)
