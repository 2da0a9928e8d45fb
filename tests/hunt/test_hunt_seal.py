"""The maintainers' script seals nothing twice under one key."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import seal


@pytest.fixture
def sealing(tmp_path: Path, hunt_key: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key file whose boxes go to a folder of their own."""
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(seal, "HERE", tmp_path)
    monkeypatch.setattr(seal, "SEALED", tmp_path / "sealed.json")
    monkeypatch.setattr(seal, "KEY_BOX", tmp_path / "key.box")
    for function in (seal.boxes, seal.sealed_key, seal.key_of_keys):
        monkeypatch.setattr(function, "__defaults__", (100,))
    (tmp_path / "key.json").write_text(json.dumps(hunt_key), encoding="utf-8")
    return tmp_path / "key.json"


def test_other_texts_need_another_salt(
    sealing: Path, hunt_key: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seal.main(str(sealing))
    before = (sealing.parent / "sealed.json").read_bytes()
    seal.main(str(sealing))
    assert (sealing.parent / "sealed.json").read_bytes() == before
    sealing.write_text(
        json.dumps(hunt_key | {"right": hunt_key["right"] | {"1": "Another."}}), encoding="utf-8"
    )
    with pytest.raises(SystemExit, match=r"raise the number in sealing\.SALT"):
        seal.main(str(sealing))
    sealing.write_text(json.dumps(hunt_key | {"more": 1}), encoding="utf-8")  # only in the sealed key file
    with pytest.raises(SystemExit, match="raise the number"):
        seal.main(str(sealing))
    assert (sealing.parent / "sealed.json").read_bytes() == before
    monkeypatch.setattr("solvable.hunt.sealing.SALT", "solvable hunt 2:")
    seal.main(str(sealing))
    assert (sealing.parent / "sealed.json").read_bytes() != before


def test_the_sealed_key_file_seals_the_same_boxes(sealing: Path, hunt_key: dict[str, Any]) -> None:
    seal.main(str(sealing))
    box = b64decode((sealing.parent / "key.box").read_text(encoding="utf-8"))
    key = json.loads(seal.key_of_keys(hunt_key["answers"]["M"]).box(box))
    assert seal.boxes(key) == json.loads((sealing.parent / "sealed.json").read_text(encoding="utf-8"))
