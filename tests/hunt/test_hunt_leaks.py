"""The search for leaks finds what it should, in files and wheels."""

import zipfile
from pathlib import Path

import pytest
from leaks import leaks, texts

_KEY = {
    "answers": {"1": "LIGHTHOUSE", "2": "THUNDERSTORM", "3": "OAK", "4": "ELM", "M": "GREEN KETTLE"},
    "right": {"1": "It shines."},
    "solutions": {"1": "Look at the coast & <think>."},
}


@pytest.mark.parametrize(
    "text",
    [
        "lighthouse\nin a Thunderstorm",
        "A kettle, quite green.",
        "Look at the coast & <think>.",
        "so: It shines.",
    ],
)
def test_what_tells_is_found(text: str) -> None:
    assert leaks(text, _KEY)


@pytest.mark.parametrize(
    "text",
    ["a lighthouse, and a lighthouse", "oak and elm", "lighthouse" + " " * 400 + "thunderstorm", "green"],
)
def test_everyday_words_are_not(text: str) -> None:
    assert leaks(text, _KEY) == []


def test_folders_and_wheels_are_read(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "seen").write_text("no")
    (tmp_path / "page.html").write_text("yes")
    with zipfile.ZipFile(tmp_path / "one.whl", "w") as wheel:
        wheel.writestr("solvable/data.json", "inside")
    assert [text for name, text in texts(tmp_path) if not name.endswith(".whl")] == ["yes"]
    assert list(texts(tmp_path / "one.whl")) == [("solvable/data.json", "inside")]
