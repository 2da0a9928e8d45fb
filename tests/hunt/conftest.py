"""A hunt to test with: the texts of the puzzles, other words, and boxes of few rounds."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.hunt.seal import boxes

from solvable.hunt.journal import Journal
from solvable.hunt.play import HERE, Hunt

ROUNDS = 1000
WORDS = {
    "1": "LANTERN",
    "2": "COMPASS",
    "3": "OCTAGON",
    "4": "MAPLE",
    "5": "HARBOUR",
    "6": "VIOLET",
    "7": "QUARRY",
    "8": "SADDLE",
    "9": "THIMBLE",
    "M": "GREEN KETTLE",
}
POSTER = {
    "title": "One result",
    "panels": [
        {"panel": 1, "wing": "kernels", "claim": "There are 7 <of> them.", "inputs": {"dim": 3}, "printed": 7}
    ],
}
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 200"><title>One result</title>'
    '<rect width="300" height="200" fill="#eee"/><text x="20" y="100">There are 7.</text></svg>'
)


@pytest.fixture(scope="session")
def answers() -> dict[str, str]:
    """The answers of the test hunt."""
    return dict(WORDS)


@pytest.fixture(scope="session")
def hunt_key() -> dict[str, Any]:
    """The key file of the test hunt, as `seal.py` reads it."""
    return {
        "answers": WORDS,
        "right": {id: f"{word.capitalize()} it is." for id, word in WORDS.items()},
        "solutions": {id: f"Look at {id} & <think>." for id in WORDS},
        "close": {id: {f"{word}S": "One letter less."} for id, word in WORDS.items()},
        "nouns": ["door", "needle", "figure", "syrup", "master", "petal", "stone", "bag", "ring"],
        "drawing": {
            "svg": '<circle r="90" fill="none" stroke="#0072b2"/>',
            "alt": "A kettle, seen from above",
        },
    }


def _lay_out(folder: Path, key: dict[str, Any]) -> None:
    """Write a hunt into a folder, laid out as that of the library, with files that hold nothing."""
    (folder / "data").mkdir(parents=True)
    (folder / "puzzles.toml").write_bytes((HERE / "puzzles.toml").read_bytes())
    (folder / "sealed.json").write_text(json.dumps(boxes(key, ROUNDS)), encoding="utf-8")
    special = {"02_poster.svg": PICTURE, "02_poster.json": json.dumps(POSTER)}
    checksums = {}
    for name in [name for puzzle in Hunt(HERE).puzzles for name in puzzle.files]:
        content = special.get(name, f"Not the real {name}.\n").encode()
        (folder / "data" / name).write_bytes(content)
        checksums[name] = hashlib.sha256(content).hexdigest()
    (folder / "files.json").write_text(json.dumps(checksums), encoding="utf-8")


@pytest.fixture(scope="session")
def hunt_folder(tmp_path_factory: pytest.TempPathFactory, hunt_key: dict[str, Any]) -> Path:
    """The folder of the test hunt."""
    folder = tmp_path_factory.mktemp("hunts") / "test"
    _lay_out(folder, hunt_key)
    return folder


@pytest.fixture
def test_hunt(hunt_folder: Path, tmp_path: Path) -> Hunt:
    """The test hunt, with an empty journal."""
    return Hunt(hunt_folder, Journal(tmp_path / "progress"))


@pytest.fixture
def make_hunt(hunt_key: dict[str, Any], tmp_path: Path) -> Callable[..., Hunt]:
    """A function that returns another hunt, whose key file has other values, in a folder that may be changed."""

    def make(**values: Any) -> Hunt:
        _lay_out(tmp_path / "hunt", hunt_key | values)
        return Hunt(tmp_path / "hunt", Journal(tmp_path / "progress"))

    return make
