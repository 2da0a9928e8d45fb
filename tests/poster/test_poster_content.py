"""What a poster says: its texts, links and tables, the same each time, and no folder of the machine that made it."""

import json
import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from io import BytesIO
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import pytest
import zxingcpp
from layout import folded, printed_cells
from pdfminer.high_level import extract_text
from pdfminer.pdfdocument import PDFDocument
from pdfminer.pdfparser import PDFParser
from PIL import Image

from cases import representative
from solvable.lab import Record, run
from solvable.poster import make
from solvable.poster.content import without_folders
from toy_wing.study import study as toy_study


def test_a_poster_says_what_the_record_says(toy: Record, made: Callable) -> None:
    poster = made(toy, title="A title of our own")
    text = folded(extract_text(BytesIO(poster.pdf)))
    for words in ("A title of our own", toy.question, toy.headline, toy.paper, toy.command):
        assert folded(words) in text
    # All rows of the toy's table are printed, as the lab formats them.
    (record,) = poster.content["records"]
    _, heads, rows = toy.comparison.rows("mse")
    assert record["rows"]["heads"] == heads[: heads.index("error") + 1]
    assert record["rows"]["rows"] == [row["cells"][: heads.index("error") + 1] for row in rows]
    printed = printed_cells(record, poster.content["choice"]["panels"][0]["n"])
    assert {cell for row in record["rows"]["rows"] for cell in row} <= set(printed)
    for cell in printed:
        assert folded(cell) in text
    document = PDFDocument(PDFParser(BytesIO(poster.pdf)))
    assert document.info[0]["Title"].decode("ascii") == "A title of our own"


@pytest.mark.parametrize("size", representative(["a0", "a4", "48x36in"], ["a4"]))
def test_codes_are_read_from_the_preview(size: str, toy: Record, made: Callable) -> None:
    other = replace(toy, paper="Another, arXiv:2311.14646")
    links = _codes(made([toy, other], size=size, orientation="landscape").preview)
    assert links == ["https://arxiv.org/abs/1713.00001", "https://arxiv.org/abs/2311.14646"]
    link = "https://example.org/a/page?of=ours&with=ü#here"
    assert _codes(made(toy, size=size, link=link).preview) == [link]


def _codes(preview: bytes) -> list[str]:
    with Image.open(BytesIO(preview)) as picture:
        return sorted(code.text for code in zxingcpp.read_barcodes(picture.convert("L")))


def test_the_same_record_gives_the_same_bytes(toy: Record, made: Callable) -> None:
    posters = [made(toy, toy_study) for _ in range(2)]
    first, second = ((one.pdf, one.preview) for one in posters)
    assert first == second


def test_files_have_only_their_names(tmp_path, toy: Record, made: Callable) -> None:
    folder = tmp_path / "a secret folder"
    folder.mkdir()
    Image.new("RGB", (40, 20)).save(folder / "logo.png", pnginfo=None)
    (folder / "mark.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:i="http://i.org" i:from="{folder}/x.png" viewBox="0 0 2 1">'
        '<rect width="2" height="1"/></svg>'
    )
    label = str(folder / "wine and beer.csv")
    record = run(toy_study, replace(toy_study.tiny, label=label), runs_dir=folder, quiet=True)
    paths = rf"from {label}, C:\secret\x.csv, ~/secret/a.csv and /mnt/secret/b.csv but not a/b"
    record = replace(
        record, question=f"Files {paths}?", headline=f"It is {paths}", paper=r"Ours, of D:\secret\b.csv"
    )
    assert "secret" in json.dumps(record.command)
    poster = made(record, logos=[folder / "logo.png", folder / "mark.svg"], authors=["A"])
    for content in (*_streams(poster.pdf), poster.preview, poster.pdf):
        for encoding in ("utf-8", "utf-16-be", "utf-16-le"):
            for word in ("secret", tmp_path.name):
                assert word.encode(encoding) not in content
    text = extract_text(BytesIO(poster.pdf))
    assert "secret" not in folded(text)
    assert "wineandbeer.csv,x.csv,a.csvandb.csvbutnota/b" in folded(text)


def _streams(pdf: bytes) -> list[bytes]:
    """Return the streams of a PDF, unpacked: pages, fonts, and objects with titles and text alternatives."""
    packed = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, flags=re.DOTALL)
    unpacked = []
    for one in packed:
        try:
            unpacked.append(zlib.decompress(one))
        except zlib.error:
            unpacked.append(one)
    assert any(b"/Title" in one or b"StructElem" in one for one in (*unpacked, pdf))
    return unpacked


def test_units_and_addresses_are_no_paths() -> None:
    for text in (
        "1/f noise, 3 m/s",
        "https://arxiv.org/abs/1",
        "and/or",
        "x / y / z",
        "a\\b",
        "see http://a.org/b/",
    ):
        assert without_folders(text) == text


@pytest.mark.parametrize(
    "path",
    [
        "/home/ada/",
        "file:///home/ada/",
        "~/ada/",
        "../private/ada/",
        "./ada/",
        "C:\\ada\\",
        r"\\server\ada" + "\\",
    ],
)
def test_files_anywhere_have_only_their_names(path: str) -> None:
    assert without_folders(f"of {path}x.csv (see:{path}y.csv)") == "of x.csv (see:y.csv)"


@pytest.mark.parametrize(
    ("label", "shown"),
    [("/tmp/My Data's/in here/wine 2.csv", "'wine 2.csv'"), ("/home/ada/My Data", "'My Data'")],
)
def test_a_quoted_path_in_the_command_has_only_its_name(label: str, shown: str, tmp_path: Path) -> None:
    record = run(toy_study, replace(toy_study.tiny, label=label), runs_dir=tmp_path, quiet=True)
    assert quote(label) in record.command
    assert f"--label {shown}" in without_folders(record.command, record)


@pytest.mark.usefixtures("known")
def test_a_record_of_another_version_keeps_its_figure(
    toy: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wants_more(prediction: Any, measurement: Any, comparison: Any) -> str:
        return f"It is {float(prediction.attrs['another number'])}"

    module = import_module("solvable.poster.make")
    monkeypatch.setattr(module, "load_study", lambda _: replace(toy_study, headline=wants_more))
    poster = make(toy, out=tmp_path / "poster.pdf")
    assert any("numbers are those of another version" in note for note in poster.notes)


@pytest.mark.usefixtures("known")
def test_the_recorded_figure_stands_in_for_one_that_cannot_be_drawn(tmp_path, toy: Record) -> None:
    record = run(toy_study, toy_study.tiny, runs_dir=tmp_path, quiet=True)
    assert make(record, out=tmp_path / "drawn.pdf").notes == ()
    (record.path / "prediction.nc").unlink()
    poster = make(record.path, out=tmp_path / "poster.pdf")
    (note,) = poster.notes
    assert f"toy/{record.name} is the recorded one" in note
    assert "prediction.nc is missing" in note
    assert poster.path.stat().st_size > 10_000


def test_a_record_of_an_unknown_study_keeps_its_figure(toy: Record, tmp_path) -> None:
    (note,) = make(toy.path, out=tmp_path / "poster.pdf").notes
    assert "this version does not know its study" in note


@pytest.mark.parametrize("orientation", ["portrait", "landscape"])
def test_the_recorded_figure_is_whole_whatever_its_place(
    orientation: str, toy: Record, tmp_path: Path
) -> None:
    folder = tmp_path / "toy" / toy.path.name
    shutil.copytree(toy.path, folder)
    (folder / "figure.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 240">'
        '<rect x="10" y="10" width="700" height="220" fill="none" stroke="#ff0000" stroke-width="20"/></svg>'
    )
    poster = make(folder, orientation=orientation, out=tmp_path / "poster.pdf")
    with Image.open(poster.preview) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    red = (pixels[..., 0] > 200) & (pixels[..., 1:].max(axis=-1) < 60)
    rows, columns = (np.flatnonzero(red.any(axis=axis)) for axis in (1, 0))
    frame = red[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert frame.shape[1] / frame.shape[0] == pytest.approx(3, rel=0.02)
    for side in (frame[2], frame[-3], frame[:, 2], frame[:, -3]):
        assert side.mean() > 0.98


@pytest.mark.usefixtures("known")
def test_theory_that_has_no_room_is_said(toy: Record, tmp_path: Path) -> None:
    long = replace(toy, equations=(r"the error is $E = \sigma^2 / n$, " * 900,))
    poster = make([toy, long], out=tmp_path / "poster.pdf")
    assert poster.notes == ("There is no room for the theory of toy.",)
    assert make(toy, out=tmp_path / "poster.pdf").notes == ()
