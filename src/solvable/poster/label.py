"""A label for shipping a poster: a parody, with a barcode that holds the records' short hashes."""

from collections.abc import Sequence
from pathlib import Path

from solvable.lab import Record
from solvable.lab.files import atomically
from solvable.poster.content import names_of
from solvable.poster.typesetting import sheet

# Bars, in millimetres of the drawing; the label stretches it to its place. The quiet zone is ten modules on each side.
_MODULE, _QUIET, _HEIGHT = 0.3, 3.0, 24.0


def label(records: Sequence[Record], path: Path) -> None:
    """Write the label as a PDF of A6, with a Code 128 of the short hashes.

    Args:
        records: one to four records.
        path: the PDF.

    Raises:
        InputError: if the file cannot be written.
        MissingExtraError: if typst or python-barcode is not installed.
    """
    number = "-".join(record.key[:7] for record in records)
    content = {
        "carrier": "INFINITE WIDTH LOGISTICS",
        "slogan": "We deliver in the limit.",
        "number": number,
        "sender": ["A finite network", "1 Initialization Lane", "Overparametrized Heights"],
        "weight": ["order 1 in every layer", "fluctuations: 1/√width"],
        "service": "RIDGELESS OVERNIGHT",
        "receiver": ["The poster session", "Board to be announced", "Feature Space"],
        "contents": f"1 poster, flattened by nature: {names_of(records)}.",
        "marks": ["DO NOT OVERFIT", "TEST ERROR THIS SIDE DOWN"],
        "tagline": "The shipping trick: similar to, yet entirely different from, the kernel trick.",
        "print": [
            "Lost parcels are interpolated.",
            "Not a valid shipping label, except in the limit of infinite width.",
        ],
    }
    with sheet("label.typ") as page:
        (page.folder / "barcode.svg").write_text(_bars(number), encoding="utf-8")
        page.set(content)
        pdf = page.pdf()
    with atomically(path) as temporary:
        temporary.write_bytes(pdf)


def _bars(number: str) -> str:
    """Return a Code 128 as SVG."""
    from barcode import Code128

    modules = Code128(number).build()[0]
    bars = "".join(
        f'<rect x="{_QUIET + i * _MODULE:.2f}" width="{_MODULE}" height="{_HEIGHT}"/>'
        for i, module in enumerate(modules)
        if module == "1"
    )
    width = 2 * _QUIET + len(modules) * _MODULE
    box = f'viewBox="0 0 {width:.2f} {_HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} preserveAspectRatio="none">{bars}</svg>'
