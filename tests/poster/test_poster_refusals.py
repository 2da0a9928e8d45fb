"""What a poster cannot be made of is refused in a sentence, and nothing is written."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from solvable.errors import InputError, MissingExtraError
from solvable.lab import Record, run
from solvable.poster import make
from toy_wing.study import study as toy_study

_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1">{}</svg>'


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "3x4"}, "size is '3x4'; expected a0"),
        ({"size": "36x48"}, "with a unit"),
        ({"size": "a7"}, "size is 'a7'"),
        ({"size": "0x0in"}, "sides between 140 and 5000 mm"),
        ({"size": "100x100in", "orientation": "upright"}, "unknown orientation"),
        ({"size": "36x48in", "orientation": "landscape"}, "exchange the numbers"),
        ({"size": "200x600mm"}, "2.5 times the shorter"),
        ({"bleed": "3"}, "bleed is '3'; expected a length"),
        ({"bleed": float("nan")}, "bleed is nan"),
        ({"bleed": "nan"}, "bleed is 'nan'"),
        ({"bleed": -1}, "bleed is -1"),
        ({"template": "modern"}, "unknown template"),
        ({"title": " "}, "title is empty"),
        ({"authors": ["Ada", ""]}, "author is empty"),
        ({"affiliations": ["\n"]}, "affiliation is empty"),
        ({"link": ""}, "link is empty"),
        ({"link": "javascript:alert(1)"}, "expected an address that begins with https://"),
        ({"answer": ""}, "answer is empty"),
        (
            {"link": "https://example.org/" + "x" * 5000},
            "link has 5020 characters, more than a QR code holds",
        ),
        ({"title": "word" * 30}, "no room for the title: at the smallest size of its text a word"),
        ({"title": "many words " * 100}, "no room for the title: .* mm too much; shorten it"),
        ({"authors": ["Ada Lovelace"] * 300}, "no room for the authors"),
        ({"affiliations": ["Institute of everything " * 100]}, "no room for the affiliations"),
        ({"answer": "Donaudampfschifffahrt" * 10}, "no room for the answer: .* a word"),
        ({"answer": "many words " * 100, "template": "billboard"}, "no room for the answer"),
        ({"authors": ["李白 Li Bai"]}, "no font of the poster has '李', '白'; expected Latin"),
        ({"authors": ["\udce9ric"]}, r"author has control characters .*'\\udce9ric'"),
        ({"title": "a\x1b[2Jb"}, r"title has control characters .*'a\\x1b\[2Jb'"),
        ({"logos": ["logo.png"] * 9}, "got 9 logos; expected at most 8"),
        ({"out": "poster.txt"}, "expected a file that ends in .pdf"),
    ],
    ids=lambda value: (
        str(value)[:40].encode("ascii", "backslashreplace").decode() if isinstance(value, dict) else ""
    ),
)
def test_options(
    options: dict[str, Any], words: str, toy: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        make(toy, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.png", None, "cannot be read .No such file"),
        ("text.png", "a text", "is no picture that can be read; expected PNG"),
        ("empty.png", "", "is no picture that can be read"),
        ("open.svg", "<svg viewBox='0 0 2 1'><g>", "is no SVG that can be read .*never closed"),
        ("zero.svg", _SVG.format("\0"), "is no SVG that can be read"),
        ("file.svg", _SVG.format('<image href="photo.png"/>'), "refers to 'photo.png'; an SVG must hold all"),
        ("root.svg", _SVG.format("<image href='file:///etc/passwd'/>"), "refers to 'file:///etc/passwd'"),
        ("style.svg", _SVG.format("<style>@import 'a.css';</style>"), "refers to 'a.css'"),
        ("url.svg", _SVG.format('<rect fill="url(paint.svg)"/>'), "refers to 'paint.svg'"),
        ("entity.svg", '<!DOCTYPE svg [<!ENTITY a "a">]>' + _SVG.format("&a;"), "has entities"),
        ("letters.svg", _SVG.format("<text y='1'>李</text>"), "no font of the poster has '李'"),
    ],
)
def test_logos(name: str, content: str | None, words: str, toy: Record, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=words):
        make(toy, logos=[path], out=tmp_path / "poster.pdf")
    assert not (tmp_path / "poster.pdf").exists()


def test_devices_and_folders_are_no_logos(toy: Record, tmp_path: Path) -> None:
    for path in ("/dev/zero", tmp_path):
        with pytest.raises(InputError, match=r"cannot be read .it is no regular file"):
            make(toy, logos=[path], out=tmp_path / "poster.pdf")


def test_logos_of_all_kinds_and_proportions_have_their_places(
    toy: Record, tmp_path: Path, made: Callable
) -> None:
    logos = [tmp_path / name for name in ("wide.png", "tall.jpg", "mark.svg", "own.svg")]
    Image.new("RGB", (400, 20), "red").save(logos[0])
    Image.new("CMYK", (20, 400)).save(logos[1])
    logos[2].write_text(
        "<!-- <svg --><svg xmlns='http://www.w3.org/2000/svg' aria-label='a>b' viewBox='0 0 3 1'/>"
    )
    logos[3].write_text("<svg xmlns='http://www.w3.org/2000/svg' width='10mm' height='20mm'/>")
    poster = made(toy, logos=logos)
    assert poster.faults == []
    sizes = [one["w"] / one["h"] for one in poster.blocks if one["name"].startswith("logo")]
    assert sizes == pytest.approx([20, 1 / 20, 3, 1 / 2])
    assert made(toy, logos=logos * 2).faults == []


def test_records(toy: Record, tmp_path: Path) -> None:
    out = tmp_path / "poster.pdf"
    with pytest.raises(InputError, match="holds no record"):
        make(tmp_path, out=out)
    with pytest.raises(InputError, match="got 0 records; expected one to 4"):
        make([], out=out)
    with pytest.raises(InputError, match="got 5 records; expected one to 4"):
        make([toy] * 5, out=out)
    with pytest.raises(InputError, match="answer is for a poster of one record"):
        make([toy] * 2, answer="Yes", out=out)
    # A theory that is too wide for any column.
    sum_of_many = "$" + " + ".join(["a_{12345}"] * 40) + "$"
    with pytest.raises(InputError, match=r"no room for the equations: .* formula takes"):
        make(replace(toy, equations=(sum_of_many,)), out=out)
    with pytest.raises(InputError, match="no room for the question"):
        make(replace(toy, question="question " * 3000), size="400x160mm", out=out)
    for formula in (r"$\text{#panic(1)}$", r"$\text{#import \"x.typ\"}$"):
        with pytest.raises(InputError, match="has a #, which would be a command"):
            make(replace(toy, equations=(formula,)), out=out)
    with pytest.raises(InputError, match=r"authors is one text, 'Ada'; expected a list, as in \['Ada'\]"):
        make(toy, authors="Ada", out=out)
    assert list(tmp_path.iterdir()) == []


def test_a_record_without_numbers_and_figure(tmp_path: Path) -> None:
    record = run(toy_study, toy_study.tiny, runs_dir=tmp_path, quiet=True)
    (record.path / "measurement.nc").unlink()
    (record.path / "figure.svg").unlink()
    with pytest.raises(InputError, match=r"cannot be drawn: .* it has no figure\.svg; repeat the run"):
        make(record.path, out=tmp_path / "poster.pdf")


def test_an_older_poster_stays_when_one_of_its_files_cannot_be_written(toy: Record, tmp_path: Path) -> None:
    out = tmp_path / "poster.pdf"
    out.write_text("older")
    with pytest.raises(InputError, match="no font"):
        make(toy, authors=["李"], out=out)
    (tmp_path / "poster.png").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*poster\.png"):
        make(toy, out=out)
    with pytest.raises(InputError, match="cannot write"):
        make(toy, out=out / "poster.pdf")
    assert out.read_text() == "older"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["poster.pdf", "poster.png"]


@pytest.mark.parametrize("package", ["typst", "segno", "tylax", "barcode"])
def test_a_missing_package(
    package: str, toy: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'solvable\[poster\]'"):
        make(toy, out=tmp_path / "poster.pdf")


def test_the_command_line(
    toy: Record, command_line: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = [
        ([toy.path] * 5, "got 5 records"),
        ([], "no record was named"),
        ([tmp_path], "holds no record"),
        ([toy.path, "--author", ""], "author is empty"),
        ([toy.path, "--author", "李"], "no font of the poster has '李'"),
        ([toy.path, "--title", "word" * 30], "no room for the title"),
        ([toy.path, "--size", "a7"], "size is 'a7'"),
        ([toy.path, "--logo", "no.png"], "logo 'no.png' cannot be read"),
        ([toy.path, "--out", "/dev/null/poster.pdf"], "there is no such folder"),
    ]
    for tokens, words in refused:
        code, out, err = command_line("poster", *tokens)
        assert (code, out) == (2, "")
        assert words in err
        assert len(err.strip().splitlines()) <= 3
    monkeypatch.setitem(sys.modules, "typst", None)
    code, _, err = command_line("poster", toy.path)
    assert code == 2
    assert "pip install 'solvable[poster]'" in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []
