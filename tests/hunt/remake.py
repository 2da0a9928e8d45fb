"""Make the hunt's files again and compare them with those that are shipped: `python tests/hunt/remake.py FOLDER`.

It asks for the meta's answer, which opens the key file that is sealed beside this script. Maintainers who change a
puzzle give the key file itself instead: `python tests/hunt/remake.py FOLDER KEY_FILE`.
"""

import getpass
import json
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import making
import making_hard
import numpy as np
import pandas as pd
from seal import KEY_BOX, key_of_keys

from solvable.hunt.play import HERE
from solvable.hunt.sealing import ITERATIONS


def make_all(key: dict[str, Any], folder: Path) -> None:
    """Write the files of all puzzles into a folder."""
    for number in "12345":
        getattr(making, f"make_{number}")(key["answers"][number], folder)
    for number in "6789":
        getattr(making_hard, f"make_{number}")(key["answers"][number], folder)
    making_hard.make_m(**key["meta"], folder=folder)


def opened_key(answer: str, iterations: int = ITERATIONS) -> dict[str, Any]:
    """Return the key file that is sealed under the meta's answer.

    Raises:
        ValueError: if the answer is another.
    """
    return json.loads(key_of_keys(answer, iterations).box(b64decode(KEY_BOX.read_text(encoding="utf-8"))))


def same(one: Path, other: Path) -> bool:
    """Return whether two files hold the same, to the digits that another machine may differ in."""
    if one.suffix == ".npz":
        with np.load(one) as a, np.load(other) as b:
            return sorted(a) == sorted(b) and all(
                a[name].shape == b[name].shape and np.allclose(a[name], b[name], rtol=1e-6, atol=1e-12)
                for name in a
            )
    if one.suffix == ".csv":
        a, b = pd.read_csv(one), pd.read_csv(other)
        return a.shape == b.shape and all(
            np.allclose(a[name], b[name], rtol=1e-5, atol=1e-12, equal_nan=True)
            if pd.api.types.is_numeric_dtype(a[name])
            else a[name].equals(b[name])
            for name in a
        )
    return one.read_text(encoding="utf-8") == other.read_text(encoding="utf-8")


def main(folder: Path, key_file: str | None = None) -> None:
    """Make the files and print which differ from those that are shipped."""
    if key_file is None:
        try:
            key = opened_key(getpass.getpass("Answer of the meta: "))
        except ValueError:
            sys.exit("this is not the meta's answer")
    else:
        key = json.loads(Path(key_file).read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    make_all(key, folder)
    for shipped in sorted((HERE / "data").iterdir()):
        print(shipped.name, "same" if same(folder / shipped.name, shipped) else "DIFFERENT")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
