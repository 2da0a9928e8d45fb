"""The gallery of the docs: one poster for each wing, from records that this version can still read."""

from pathlib import Path

import pytest
from docs_tools.posters import GALLERY, RECORDS, main

from solvable.lab import Record
from solvable.poster.content import without_folders
from solvable.wings import WINGS


def test_there_is_a_record_for_each_wing() -> None:
    wings = [wing for wing in WINGS if wing.page() is not None]
    assert list(GALLERY) == [wing.name for wing in wings]
    for study in GALLERY:
        (path,) = (RECORDS / study).iterdir()
        record = Record.load(path)
        assert record.study == study
        assert record.headline
        assert record.equations
        assert not {file.suffix for file in path.iterdir()} & {".html", ".svg", ".png"}
    assert sum(file.stat().st_size for file in RECORDS.rglob("*.*")) < 1_200_000


@pytest.mark.slow
def test_the_gallery_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one wing: `test_poster_layout.py` makes the posters of all of them."""
    monkeypatch.setattr("docs_tools.posters.GALLERY", {"overfitting": GALLERY["overfitting"]})
    main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"overfitting.pdf", "overfitting.png"}


def test_records_name_no_folder_of_the_machine_that_made_them() -> None:
    for path in RECORDS.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert without_folders(text) == text
