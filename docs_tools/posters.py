"""The gallery of posters: one for each wing, made from the records in `docs_tools/records/` when the site is built.

A record there is one of `solvable run` without report and figures, which a poster does not need. `python -m
docs_tools.posters [FOLDER]` writes a PDF and a small picture of each into a folder of the docs, which git ignores.
"""

import sys
from pathlib import Path

from solvable.lab import Record
from solvable.poster import make

RECORDS = Path(__file__).parent / "records"
# Both templates and orientations, and the sizes that conferences ask for.
GALLERY = {
    "regression": {"size": "a0"},
    "overfitting": {"size": "a0", "orientation": "landscape"},
    "activations": {"size": "36x48in", "template": "billboard"},
    "scaling": {"size": "a1", "orientation": "landscape", "template": "billboard"},
    "stepwise": {"size": "a0"},
    "landscapes": {"size": "a1", "orientation": "landscape"},
    "junctions": {"size": "a0", "template": "billboard"},
    "spins": {"size": "48x36in"},
}
# The longer side of a picture; the page shows it at half of that.
_PIXELS = 900


def main(folder: Path = Path("docs/posters")) -> None:
    """Write the posters."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for study, options in GALLERY.items():
        (path,) = (RECORDS / study).iterdir()
        poster = make(Record.load(path), out=folder / f"{study}.pdf", **options)
        with Image.open(poster.preview) as picture:
            picture.thumbnail((_PIXELS, _PIXELS))
            picture.save(poster.preview, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
