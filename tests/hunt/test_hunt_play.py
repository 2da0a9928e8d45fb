"""Playing a test hunt: opening, hints, guesses, the meta, and the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from solvable.errors import InputError
from solvable.hunt.journal import Journal
from solvable.hunt.play import Hunt


def test_hints_come_one_by_one(test_hunt: Hunt) -> None:
    total = test_hunt.puzzle(1).hints_total
    found = [test_hunt.hint("1") for _ in range(total + 1)]
    assert [left for _, left in found] == [*reversed(range(total)), 0]
    assert found[-1] == found[-2]
    assert len({text for text, _ in found}) == total
    assert test_hunt.progress().hints == {"1": total}


@pytest.mark.parametrize("id", ["0", "10", "", "one", "../1"])
def test_an_unknown_puzzle_is_refused(test_hunt: Hunt, id: str) -> None:
    with pytest.raises(InputError, match="puzzle"):
        test_hunt.hint(id)


def test_a_changed_file_is_refused(test_hunt: Hunt, tmp_path: Path) -> None:
    (name, *_) = test_hunt.puzzle(1).files
    assert [path.name for path in test_hunt.open(1, tmp_path / "a")] == list(test_hunt.puzzle(1).files)
    source = test_hunt.folder / "data" / name
    before = source.read_bytes()
    try:
        source.write_bytes(before + b" ")
        with pytest.raises(InputError, match="is not as it was shipped"):
            test_hunt.open(1, tmp_path / "b")
    finally:
        source.write_bytes(before)


def test_a_finish_code_depends_on_the_team(test_hunt: Hunt, answers: dict[str, str]) -> None:
    code = test_hunt.finish_code(1, answers["1"], "The  Ridge")
    assert len(code) == 10
    assert code == test_hunt.finish_code(1, f" {answers['1'].lower()} ", " the ridge ")
    assert code != test_hunt.finish_code(1, answers["1"], "the ridge 2")
    assert code != test_hunt.finish_code(2, answers["2"], "the ridge")
    with pytest.raises(InputError, match="not the answer"):
        test_hunt.finish_code(1, "wrong", "the ridge")
    with pytest.raises(InputError, match="has no name"):
        test_hunt.finish_code(1, answers["1"], "  ")
    with pytest.raises(InputError, match="has 101 letters; expected at most 100"):
        test_hunt.finish_code(1, answers["1"], "x" * 101)
    with pytest.raises(InputError, match="characters that are no text"):
        test_hunt.finish_code(1, answers["1"], "a\udcffb")


def test_the_meta_opens_with_six(test_hunt: Hunt, answers: dict[str, str]) -> None:
    for count, id in enumerate("12345", start=1):
        with pytest.raises(InputError, match=f"you have {count - 1}"):
            test_hunt.check("M", answers["M"])
        assert test_hunt.check(id, answers[id]).kind == "right"
    for closed in (test_hunt.nouns, lambda: test_hunt.hint("M"), lambda: test_hunt.open("M", "unused")):
        with pytest.raises(InputError, match="you have 5"):
            closed()
    test_hunt.check("6", answers["6"])
    assert len(test_hunt.nouns()) == 9
    assert test_hunt.check("m", answers["M"]).kind == "right"
    assert test_hunt.check("M", "nonsense").kind == "wrong"


def test_play_goes_on_where_nothing_can_be_kept(
    hunt_folder: Path, answers: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "full").write_text("")
    hunt = Hunt(hunt_folder, Journal(tmp_path / "full"))
    assert "cannot be written" in str(hunt.check(1, answers["1"]).warning)
    assert [hunt.hint(2)[1] for _ in range(2)] == [2, 1]
    assert "cannot be written" in str(hunt.journal.warning)
    for id in "23456":
        hunt.check(id, answers[id])
    assert len(hunt.nouns()) == 9


def test_damaged_lines_stop_nothing(test_hunt: Hunt, answers: dict[str, str]) -> None:
    test_hunt.journal.add("1", "hint", number=None)
    for id in ("10", "11", "12", "13", "14", "15"):
        test_hunt.journal.add(id, "answer", verdict="right", tag="00", letters="LANTERN")
    test_hunt.journal.add("1", "answer", verdict="right", tag="00", letters="1")
    test_hunt.journal.add("2", "answer", verdict="right", tag="00")
    assert {"1", "2"}.isdisjoint(test_hunt.progress().answers)
    with pytest.raises(InputError, match="you have 0"):
        test_hunt.nouns()
    assert test_hunt.check("1", answers["1"]).kind == "right"


def test_wrong_guesses_are_kept_as_tags_only(test_hunt: Hunt) -> None:
    test_hunt.check(1, "nonsense")
    assert "NONSENSE" not in test_hunt.journal.path.read_text().upper()


def test_the_command_line(command_line: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    code, out, _ = command_line("hunt", "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)["puzzles"]] == [*"123456789", "M"]
    code, out, _ = command_line("hunt", "open", "1", "--to", tmp_path)
    assert code == 0
    assert (tmp_path / "01_wafer.csv").is_file()
    assert "wafer-report" in out
    assert str(tmp_path / "01_wafer.csv") in out.replace("\n", "")
    code, out, _ = command_line("hunt", "answer", "1", "two", "words")
    assert code == 1
    code, out, _ = command_line("hunt", "page", tmp_path / "page.txt")
    code, out, _ = command_line("hunt", "hint", "1", "--quiet")
    assert code == 0
    code, out, _ = command_line("hunt", "answer", "1", "nonsense")
    assert (code, out.split()[0]) == (1, "Wrong.")
    code, _, error = command_line("hunt", "open", "M")
    assert code == 2
    assert "opens with 6" in error
    code, _, error = command_line("hunt", "answer", "1", "123")
    assert code == 2
    assert "letters" in error
    code, _, error = command_line("hunt", "certificate", "--out", tmp_path / "c.svg")
    assert code == 2
    code, out, _ = command_line("hunt", "reset", "--quiet")
    assert code == 0
    assert Path(out.strip()).is_file()
