"""The poster of nothing leaves only its files, or none."""

from pathlib import Path
from typing import Any

from solvable.lab import run
from solvable.poster.accepted import NOTHING


def test_the_same_bytes_every_time(tmp_path: Path, command_line: Any) -> None:
    for name in ("one", "other"):
        code, _, error = command_line("poster", "--accepted", "--ship", "--out", f"{name}.pdf")
        # No progress bar.
        assert (code, error) == (0, "")
    endings = (".pdf", ".png", "-label.pdf")
    for ending in endings:
        assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"other{ending}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2 * len(endings)


def test_the_agreement_is_complete(tmp_path: Path) -> None:
    agreement = run(NOTHING, runs_dir=tmp_path, quiet=True).comparison.summary["result"]
    assert (agreement.points, agreement.counted) == (16, 16)
    assert (agreement.median_error, agreement.max_error, agreement.coverage) == (0, 0, 1)


def test_a_poster_that_is_refused_leaves_no_label(tmp_path: Path, command_line: Any) -> None:
    code, _, error = command_line("poster", "--accepted", "--ship", "--title", "word " * 2000)
    assert code == 2
    assert "no room for the title" in error
    assert not list(tmp_path.iterdir())
