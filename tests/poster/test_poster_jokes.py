"""The label for shipping a poster, and the poster of nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
import zxingcpp
from pdfminer.high_level import extract_text

from solvable.lab import Record, run
from solvable.poster.accepted import NOTHING
from solvable.poster.label import label


def barcodes(path: Path, scale: float = 300 / 72) -> list[str]:
    (page,) = pypdfium2.PdfDocument(path)
    return [one.text for one in zxingcpp.read_barcodes(np.asarray(page.render(scale=scale).to_pil()))]


def words(path: Path) -> str:
    return " ".join(extract_text(path).split())


@pytest.mark.parametrize("n", [1, 4])
def test_the_barcode_holds_the_short_hashes(n: int, toy: Record, tmp_path: Path) -> None:
    label([toy] * n, tmp_path / "label.pdf")
    assert barcodes(tmp_path / "label.pdf") == ["-".join([toy.key[:7]] * n)]
    assert "Infinite Width Logistics" in words(tmp_path / "label.pdf").title()
    assert "the kernel trick" in words(tmp_path / "label.pdf")
    label([toy] * n, tmp_path / "again.pdf")
    assert (tmp_path / "again.pdf").read_bytes() == (tmp_path / "label.pdf").read_bytes()


def test_the_theory_of_nothing_goes_through_all_points(tmp_path: Path) -> None:
    record = run(NOTHING, runs_dir=tmp_path, quiet=True)
    table = record.comparison.table
    assert len(table) == record.measurement.x.size == 16
    assert (table["predicted"] == table["measured"]).all()
    # It is noise: not constant, and not a smooth curve.
    assert np.std(table["measured"]) > 0.5
    assert np.abs(np.corrcoef(table["measured"][1:], table["measured"][:-1])[0, 1]) < 0.6


def test_the_poster_of_nothing_needs_no_run(tmp_path: Path, command_line: Any) -> None:
    out = tmp_path / "poster.pdf"
    code, printed, _ = command_line("poster", "--accepted", "--ship", "--json", "--out", out)
    assert code == 0
    facts = json.loads(printed)
    assert facts["label"] == str(tmp_path / "poster-label.pdf")
    assert {path.name for path in tmp_path.iterdir()} == {"poster.pdf", "poster.png", "poster-label.pdf"}
    text = words(out)
    assert "the points are random numbers" in text
    assert "The theory was made after them, from them" in text
    assert "16 of 16 points" in text
    assert "solvable poster --accepted" in text
    (code_on_label,) = barcodes(tmp_path / "poster-label.pdf")
    assert f"nothing/{code_on_label}" in text


def test_the_label_is_written_for_a_record(tmp_path: Path, toy: Record, command_line: Any) -> None:
    out = tmp_path / "a.pdf"
    code, printed, error = command_line("poster", toy.path, "--ship", "--quiet", "--out", out)
    # The toy is in no table of wings, so its own figure serves.
    assert (code, error) == (0, "")
    assert printed.split() == [str(tmp_path / name) for name in ("a.pdf", "a.png", "a-label.pdf")]
    assert barcodes(tmp_path / "a-label.pdf") == [toy.key[:7]]


def test_what_cannot_go_together_is_refused(tmp_path: Path, toy: Record, command_line: Any) -> None:
    out = tmp_path / "a.pdf"
    code, _, error = command_line("poster", toy.path, "--accepted", "--out", out)
    assert code == 2
    assert "--accepted needs no record" in error
    code, _, error = command_line("poster", "--out", out)
    assert code == 2
    assert "no record was named" in error
    (tmp_path / "a-label.pdf").mkdir()
    code, _, error = command_line("poster", "--accepted", "--ship", "--out", out)
    assert code == 2
    assert "cannot be written" in error
    assert not out.exists()
