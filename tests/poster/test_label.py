"""The label's layout: one page, and no text on another or outside the page."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
import zxingcpp
from pdfminer.high_level import extract_pages
from pdfminer.layout import LTPage, LTTextContainer, LTTextLine

from solvable.lab import Record
from solvable.poster.label import label
from solvable.wings import study_names


def lines_of(page: LTPage) -> Iterator[LTTextLine]:
    for container in page:
        if isinstance(container, LTTextContainer):
            yield from (line for line in container if isinstance(line, LTTextLine))


@pytest.mark.parametrize("n", [1, 4])
def test_everything_has_its_place(n: int, toy: Record, tmp_path: Path) -> None:
    path = tmp_path / "label.pdf"
    longest = sorted(study_names(), key=len)[-n:]
    label([replace(toy, study=name, title="A title " * 100) for name in longest], path)
    (page,) = extract_pages(path)
    # A6, in points.
    assert (page.width, page.height) == pytest.approx((105 * 72 / 25.4, 148 * 72 / 25.4), abs=0.1)
    lines = list(lines_of(page))
    # Names may be broken after a hyphen, the tagline not at all.
    text = "".join(line.get_text().strip("\n") for line in lines)
    assert all(name in text for name in longest)
    assert any("the kernel trick." in line.get_text() for line in lines)
    margin = 5 * 72 / 25.4
    for line in lines:
        assert margin <= line.x0 < line.x1 <= page.width - margin
        # The font's descent below the last line is in the margin.
        assert margin - 2 <= line.y0 < line.y1 <= page.height - margin
    for one, other in combinations(lines, 2):
        # pdfminer's lines are as high as the font's ascent and descent, a little more than their distance.
        assert not (one.is_hoverlap(other) and one.voverlap(other) > 0.3 * min(one.height, other.height))


@pytest.mark.parametrize("n", [1, 4])
def test_label_printers_are_fine_enough_for_the_barcode(n: int, toy: Record, tmp_path: Path) -> None:
    path = tmp_path / "label.pdf"
    label([toy] * n, path)
    # 203 dots per inch is what the coarsest of them have.
    (page,) = pypdfium2.PdfDocument(path)
    (found,) = zxingcpp.read_barcodes(np.asarray(page.render(scale=203 / 72).to_pil()))  # pyright: ignore
    assert found.format == zxingcpp.BarcodeFormat.Code128
    assert found.text == "-".join([toy.key[:7]] * n)
