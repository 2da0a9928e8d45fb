"""Seal the hunt's answers, near misses and messages: `python tests/hunt/seal.py KEY_FILE`, run by maintainers.

The key file is not in the repository. It is JSON: `answers` (puzzle -> word), `right` and `solutions` (puzzle -> text),
`close` (puzzle -> guess -> nudge), `nouns`, `drawing` (svg and alt, of the certificate), and what the generators need.
A copy is sealed under the meta's answer, so that whoever has finished the hunt can make its files again and compare.
"""

import hashlib
import json
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

from solvable.hunt.certificate import sealed_drawing
from solvable.hunt.play import HERE, META
from solvable.hunt.sealing import ITERATIONS, Key, sealed

KEY_BOX = Path(__file__).parent / "key.box"
SEALED = HERE / "sealed.json"


def sealed_key(key: dict[str, Any], iterations: int = ITERATIONS) -> str:
    """Return the key file under the meta's answer, in base64."""
    text = json.dumps(key, ensure_ascii=False, sort_keys=True).encode()
    return b64encode(key_of_keys(key["answers"][META], iterations).box(text)).decode()


def key_of_keys(answer: str, iterations: int = ITERATIONS) -> Key:
    """Return what opens the sealed key file."""
    # A salt of its own: two texts under one stream would tell each other.
    return Key(f"{META} key", answer, iterations)


def boxes(key: dict[str, Any], iterations: int = ITERATIONS) -> dict[str, Any]:
    """Return the content of `sealed.json`."""
    contents: dict[str, dict[str, Any]] = {}
    for puzzle, answer in key["answers"].items():
        right = {"verdict": "right", "say": key["right"][puzzle], "solution": key["solutions"][puzzle]}
        nudges = {guess: {"verdict": "close", "say": say} for guess, say in key["close"][puzzle].items()}
        contents[puzzle] = {answer: right, **nudges}
    feeders = {puzzle: answer for puzzle, answer in key["answers"].items() if puzzle != META}
    drawing = sealed_drawing(key["answers"][META], key["drawing"], iterations)
    return sealed(contents, key["nouns"], feeders, iterations) | {"certificate": drawing}


def tags(boxes: dict[str, Any]) -> set[str]:
    """Return the names of all boxes."""
    return {box["tag"] for some in boxes["puzzles"].values() for box in some}


def main(path: str) -> None:
    """Write `sealed.json`, `files.json` and `key.box`."""
    key = json.loads(Path(path).read_text(encoding="utf-8"))
    new, box = boxes(key), sealed_key(key)
    if SEALED.exists():
        old = json.loads(SEALED.read_text(encoding="utf-8"))
        changed = new != old or box != KEY_BOX.read_text(encoding="utf-8").strip()
        if changed and tags(new) & tags(old):
            # Whoever has both files, from the history, could read what was changed.
            sys.exit("other texts are sealed with these keys already: raise the number in sealing.SALT")
    SEALED.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
    files = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted((HERE / "data").iterdir())
    }
    (HERE / "files.json").write_text(json.dumps(files, indent=1) + "\n", encoding="utf-8")
    KEY_BOX.write_text(box + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
