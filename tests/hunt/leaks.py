"""Look for the hunt's words where they should not be: `python tests/hunt/leaks.py KEY_FILE PATH...`, before a release.

Paths are folders, files or wheels. Some answers are everyday words, so only two of them close together count, unless
both are short; and the replies to right answers.
"""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from solvable.hunt.play import META

# In characters: about three lines. Two words with this many letters or fewer may meet by chance.
_CLOSE, _SHORT = 300, 15
_SKIPPED = {".git", ".venv", ".cache"}


def leaks(text: str, key: dict[str, Any]) -> list[str]:
    """Return what a text tells."""
    found = [say for says in (key["right"], key["solutions"]) for say in says.values() if say in text]
    words = {word for id, answer in key["answers"].items() if id != META for word in answer.split()}
    places = sorted(
        (match.start(), match[0].upper())
        for match in re.finditer(rf"(?<![A-Za-z])({'|'.join(words)})(?![A-Za-z])", text, re.IGNORECASE)
    )
    for (here, one), (there, other) in pairwise(places):
        if one != other and there - here < _CLOSE and len(one + other) > _SHORT:
            found.append(text[here : there + len(other)])
    if all(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in key["answers"][META].split()):
        found.append("both words of the meta")
    return found


def texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the files in a folder or a wheel."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                yield name, wheel.read(name).decode("utf-8", "ignore")
    elif path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and not _SKIPPED & set(file.parts):
                yield str(file), file.read_bytes().decode("utf-8", "ignore")
    else:
        yield str(path), path.read_bytes().decode("utf-8", "ignore")


def main(key_file: str, *paths: str) -> None:
    """Print what was found, in the paths and in all commits, and exit with 1 if there is any."""
    key = json.loads(Path(key_file).read_text(encoding="utf-8"))
    log = ["git", "log", "-p", "--format=%B"]
    commits = subprocess.run(log, capture_output=True, check=True).stdout.decode("utf-8", "ignore")
    sources = [("commits", commits), *(pair for path in paths for pair in texts(Path(path)))]
    found = [f"{name}: {leak}" for name, text in sources for leak in leaks(text, key)]
    print("\n".join(found) or "nothing found")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
