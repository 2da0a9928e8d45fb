"""The journal loses nothing that was acknowledged: not to a kill, not to a second writer, not to a torn line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from solvable.hunt.journal import Journal

WRITER = """
import sys
from pathlib import Path
from solvable.hunt.journal import Journal
journal = Journal(Path(sys.argv[1]))
for i in range(int(sys.argv[3])):
    assert journal.add(sys.argv[2], "answer", verdict="wrong", tag=f"{i:04d}") is None
    print(i, flush=True)
"""


def writer(folder: Path, puzzle: str, n: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), puzzle, str(n)], stdout=subprocess.PIPE, text=True
    )


def tags(folder: Path, puzzle: str) -> list[str]:
    lines = []
    for line in Journal(folder).path.read_text().splitlines():
        try:
            facts = json.loads(line)
        except ValueError:
            continue
        if facts["puzzle"] == puzzle:
            lines.append(facts["tag"])
    return lines


def test_state_is_read_from_the_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "folder")
    assert journal.progress().opened == set()
    journal.add("1", "opened")
    journal.add("1", "hint", number=1)
    journal.add("1", "hint", number=2)
    journal.add("1", "answer", verdict="wrong", tag="00")
    journal.add("1", "answer", verdict="right", tag="01", letters="LANTERN")
    journal.add("1", "answer", verdict="right", tag="01", letters="LANTERN")
    journal.add("1", "hint", number=3)  # out of curiosity
    progress = journal.progress()
    assert progress.hints_read == {"1": 3}
    assert (progress.opened, progress.hints, progress.answers) == ({"1"}, {"1": 2}, {"1": "LANTERN"})
    assert progress.guesses == {"1": 3}
    assert progress.solved_at["1"] <= json.loads(journal.path.read_text().split("\n")[-2])["time"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    with writer(tmp_path, "1", 10_000) as process:
        assert process.stdout is not None
        for _ in range(50):
            acknowledged = int(process.stdout.readline())
        process.kill()
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    found = tags(tmp_path, "1")
    assert found[: acknowledged + 1] == [f"{i:04d}" for i in range(acknowledged + 1)]


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    with writer(tmp_path, "1", 60) as one, writer(tmp_path, "2", 60) as other:
        one.communicate()
        other.communicate()
    for puzzle in "12":
        assert tags(tmp_path, puzzle) == [f"{i:04d}" for i in range(60)]


def test_half_a_line_is_ignored_and_spoils_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("1", "opened")
    with journal.path.open("a") as file:
        file.write('{"puzzle": "2", "eve')
    journal.add("3", "opened")
    with journal.path.open("a") as file:
        file.write('[1, 2]\n"text"\n{"puzzle": 4}\n')
    assert journal.progress().opened == {"1", "3"}


def test_a_full_disk_is_said_and_spoils_no_other_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, write, synced = Journal(tmp_path), os.write, []
    monkeypatch.setattr(os, "fsync", synced.append)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
        assert "no room" in str(journal.add("1", "opened"))
    assert journal.add("2", "opened") is None
    assert len(synced) == 2
    assert Journal(tmp_path).progress().opened == {"2"}


def test_reset_keeps_the_old_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.reset() is None
    asides = []
    for _ in range(2):
        journal.add("1", "opened")
        asides.append(journal.reset())
        assert journal.progress().opened == set()
    assert len(set(asides)) == 2
    assert all(aside is not None and "opened" in aside.read_text() for aside in asides)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot be written" in str(Journal(tmp_path / "hunt").add("1", "opened"))


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "hunt").write_text("")
    assert "cannot be written" in str(Journal(tmp_path / "hunt").add("1", "opened"))
    assert Journal(tmp_path / "hunt").progress().opened == set()
