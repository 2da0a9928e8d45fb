"""The certificate comes after the meta, says what was solved, and its drawing is sealed until then."""

import json
import xml.etree.ElementTree as ElementTree
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from solvable.errors import InputError
from solvable.hunt.certificate import certificate, sealed_drawing
from solvable.hunt.play import META, Hunt
from solvable.hunt.sealing import Key

NAME = 'Ada <b> & "Söhne"'


@pytest.fixture
def solved(test_hunt: Hunt, answers: dict[str, str]) -> Hunt:
    """The test hunt after six puzzles and the meta, with three hints."""
    for id in ("1", "4", "4", "9"):
        test_hunt.hint(id)
    for id in "134568":
        test_hunt.check(id, answers[id])
    test_hunt.hint("3")  # too late to have helped
    test_hunt.check(META, answers[META])
    return test_hunt


def texts(svg: Path) -> list[str]:
    tree = ElementTree.fromstring(svg.read_bytes())
    return ["".join(text.itertext()) for text in tree.iter("{http://www.w3.org/2000/svg}text")]


def test_it_says_what_was_solved(solved: Hunt, hunt_key: dict[str, Any], tmp_path: Path) -> None:
    path = certificate(tmp_path / "c.svg", f"  {NAME}\n", hunt=solved)
    shown = texts(path)
    assert NAME in shown
    assert [line[0] for line in shown if line.endswith(("hint", "hints"))] == list("134568M")
    assert "1Out of Familyjunctions1 hint" in shown
    assert "4The Learning Stairsstepwise2 hints" in shown
    assert "MNext to the Real Thingthe houseno hints" in shown
    tree = ElementTree.fromstring(path.read_bytes())
    assert "solved on" in str(tree.findtext("{http://www.w3.org/2000/svg}title"))
    assert tree.find(f".//*[@aria-label='{hunt_key['drawing']['alt']}']") is not None
    assert hunt_key["drawing"]["svg"] in path.read_text(encoding="utf-8")


def test_the_same_solver_gets_the_same_file(solved: Hunt, tmp_path: Path) -> None:
    first, second = (
        certificate(tmp_path / name, NAME, hunt=solved).read_bytes() for name in ("a.svg", "b.svg")
    )
    assert first == second


def test_without_a_name_there_is_a_line_for_it(solved: Hunt, tmp_path: Path) -> None:
    assert "" not in texts(certificate(tmp_path / "c.svg", " ", hunt=solved))


def test_long_names_are_set_smaller_and_longer_ones_refused(solved: Hunt, tmp_path: Path) -> None:
    assert "W" * 60 in texts(certificate(tmp_path / "c.svg", "W" * 60, hunt=solved))
    assert "名" * 30 in texts(certificate(tmp_path / "c.svg", "名" * 30, hunt=solved))
    for name in ("W" * 61, "名" * 31):
        with pytest.raises(InputError, match="too long for the certificate"):
            certificate(tmp_path / "c.svg", name, hunt=solved)
    assert "\\x1b[2J\\ud800" in texts(certificate(tmp_path / "c.svg", "\x1b[2J\ud800", hunt=solved))


def test_it_comes_with_the_meta(test_hunt: Hunt, answers: dict[str, str], tmp_path: Path) -> None:
    for id in "1234567":
        test_hunt.check(id, answers[id])
    with pytest.raises(InputError, match="solve puzzle M first"):
        certificate(tmp_path / "c.svg", hunt=test_hunt)
    # A journal that was written by hand does not open the drawing.
    test_hunt.journal.add(META, "answer", verdict="right", tag="00", letters="HARVEST")
    with pytest.raises(InputError, match="is not right; answer it again"):
        certificate(tmp_path / "c.svg", hunt=test_hunt)
    assert list(tmp_path.glob("*.svg")) == []


def test_a_file_of_another_kind_is_refused(solved: Hunt, tmp_path: Path) -> None:
    for name in ("c.png", "c"):
        with pytest.raises(InputError, match=r"an \.svg or a \.pdf file"):
            certificate(tmp_path / name, hunt=solved)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        certificate(tmp_path / "file" / "c.svg", hunt=solved)


def test_a_pdf_is_one_page_with_live_text(solved: Hunt, tmp_path: Path) -> None:
    pytest.importorskip("typst")
    import pypdfium2

    path = certificate(tmp_path / "c.pdf", "Jørgen Жанна", hunt=solved)
    document = pypdfium2.PdfDocument(path)
    text = document[0].get_textpage().get_text_range()
    assert len(document) == 1
    document.close()
    assert "Jørgen Жанна" in text
    assert "The Learning Stairs" in text
    with pytest.raises(InputError, match="no font of the poster has '名'"):
        certificate(tmp_path / "d.pdf", "名", hunt=solved)


def test_the_drawing_shares_no_stream_with_the_boxes(
    make_hunt: Callable[..., Hunt], hunt_key: dict[str, Any], answers: dict[str, str]
) -> None:
    """Two texts under one stream would tell each other: their XOR is that of the sealed ones."""
    hunt = make_hunt()
    key = Key(META, answers[META], hunt.sealed["iterations"])
    drawing = sealed_drawing(answers[META], hunt_key["drawing"], hunt.sealed["iterations"])
    assert hunt.sealed["certificate"] == drawing
    text = json.dumps(hunt_key["drawing"], ensure_ascii=False, sort_keys=True).encode()
    stream = bytes(a ^ b for a, b in zip(text, b64decode(drawing), strict=True))
    assert stream[:32] not in key.box(bytes(1 << 14))
    assert not any(word in json.dumps(hunt.sealed) for word in ("circle", "kettle", "KETTLE"))
