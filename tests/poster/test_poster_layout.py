"""No text of a poster is cut, covered or too small, whatever study, size and template; and the check sees it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import typst
from docs_tools.posters import GALLERY, RECORDS
from layout import LEAST, faults, page_of, quick_plot

from cases import representative
from solvable.lab import Record, run
from solvable.poster import typesetting
from solvable.poster.paper import paper
from solvable.wings import load_study, study_names
from toy_wing.study import study as toy_study

SIZES = ("a0", "a1", "a2", "a3", "a4", "36x48in")
FAST = (("a0", 1), ("a1", 2), ("a2", 1), ("a3", 4))
# Each pair of values of these three occurs in four cases, and each value in any three of the four.
_FOUR = (
    ("short", "portrait", "classic"),
    ("long", "landscape", "classic"),
    ("short", "landscape", "billboard"),
    ("long", "portrait", "billboard"),
)
_OTHER_FOUR = (
    ("long", "landscape", "billboard"),
    ("short", "portrait", "billboard"),
    ("long", "portrait", "classic"),
    ("short", "landscape", "classic"),
)


def every_pair() -> list[tuple[str, int, str, str, str]]:
    """Return cases in which each two values of different options meet."""
    cases = []
    for (i, size), (j, n) in product(enumerate(SIZES), enumerate((1, 2, 4))):
        texts, orientation, template = (_OTHER_FOUR if i % 2 else _FOUR)[(i // 2 + j) % 4]
        cases.append((size, n, texts, orientation, template))
    return cases


def test_every_two_values_meet() -> None:
    cases = every_pair()
    for i, j in combinations(range(5), 2):
        met = {(case[i], case[j]) for case in cases}
        assert met == set(product({case[i] for case in cases}, {case[j] for case in cases}))


@pytest.mark.parametrize(
    ("size", "n", "texts", "orientation", "template"),
    representative(every_pair(), [one for one in every_pair() if one[:2] in FAST]),
)
def test_long_and_short_texts_have_their_places(
    size: str,
    n: int,
    texts: str,
    orientation: str | None,
    template: str,
    extreme: dict[str, Record],
    made: Callable,
) -> None:
    if size == "36x48in" and orientation == "landscape":
        size, orientation = "48x36in", None
    poster = made([extreme[texts]] * n, size=size, orientation=orientation, template=template)
    assert poster.faults == []
    page, sides = page_of(poster.pdf), paper(size, orientation)
    assert (page.trim.right, page.trim.bottom) == pytest.approx((sides.width, sides.height), abs=0.01)
    # The bleed is 3 mm on each side.
    assert page.media.right - page.media.left == pytest.approx(sides.width + 6, abs=0.01)
    assert page.media.bottom - page.media.top == pytest.approx(sides.height + 6, abs=0.01)
    assert page.media.left == pytest.approx(-3, abs=0.01)


@pytest.mark.parametrize("size", ["140x350mm", "350x140mm", "500x500mm"])
@pytest.mark.slow
def test_unusual_papers(size: str, extreme: dict[str, Record], made: Callable) -> None:
    assert made(extreme["short"], size=size, authors=["A"], affiliations=()).faults == []


@pytest.mark.parametrize(
    "options",
    [
        {"authors": ()},
        {"affiliations": ()},
        {
            "title": '#panic("x") $*@< _ ` "q" \'s\' -- ... <a> // /* [ ] \\ # https://a.b',
            "authors": ['#panic("x") $*@<', *(f"Author Number {i}" for i in range(40))],
            "affiliations": ["Institute of everything that has a very long name " * 5],
            "answer": "This is what we say about it. " * 4,
            "link": "https://example.org/" + "folder/" * 40,
        },
    ],
    ids=["no authors", "no affiliations", "long and strange"],
)
def test_texts_of_users(options: dict[str, Any], toy: Record, made: Callable) -> None:
    assert made(toy, **options).faults == []


@pytest.mark.parametrize(
    "changes",
    [
        {"question": " ".join(["question"] * 300), "equations": ()},
        {
            "paper": "Some reference with many words and no number, " * 40,
            "command": f"solvable run toy --label {'x' * 300} --n-train {','.join(map(str, range(100, 300)))}",
            "equations": ("no formula", r"the price is 5 in $x$, $\frac{\frac{a}{b}}{\frac{c}{d}}$"),
        },
    ],
    ids=["a long question without theory", "long and strange"],
)
def test_texts_of_records(changes: dict[str, Any], toy: Record, made: Callable) -> None:
    assert made(replace(toy, **changes), orientation="landscape").faults == []


def test_a_figure_with_axes_keeps_its_text(toy: Record, made: Callable) -> None:
    assert made(toy, toy_study, orientation="landscape", template="billboard", size="a4").faults == []


@pytest.mark.slow
@pytest.mark.parametrize("name", study_names())
def test_posters_of_all_studies(name: str, tmp_path: Path, made: Callable) -> None:
    study = load_study(name)
    if name in GALLERY:  # the record is there
        (path,) = (RECORDS / name).iterdir()
        assert made(Record.load(path), study, **GALLERY[name]).faults == []
        return
    record = run(study, study.tiny, runs_dir=tmp_path, quiet=True)
    # Of two neighbours one is a billboard.
    board: dict[str, Any] = {"orientation": "landscape", "template": "billboard"}
    options = board if study_names().index(name) % 2 else {}
    assert made(record, study, **options).faults == []


# ---- The check finds what is wrong.

_TITLE = {"name": "title", "x": 10.0, "y": 10.0, "w": 180.0, "h": 20.0}
_FIGURE = {"name": "figure 0", "x": 10.0, "y": 40.0, "w": 180.0, "h": 50.0}
_SHEET = """
#set page(width: 200mm, height: 100mm, margin: 0mm)
#set text(size: 24pt)
#place(dx: 12mm, dy: 12mm)[{title}]
#place(dx: 12mm, dy: 42mm)[{figure}]
"""


@pytest.mark.parametrize(
    ("title", "figure", "blocks", "fault"),
    [
        ("Title", "x#super(size: 0.7em)[-2] and #rotate(90deg)[up]", [_TITLE, _FIGURE], ""),
        ("Title", "", [], "'T' lies in no block"),
        ("Title", "", [_TITLE | {"w": 8.0}], "'i' lies in no block"),
        ("Title", "", [_TITLE | {"h": 7.0}], "'T' leaves title"),
        ("Title #linebreak() #v(20mm) and more", "", [_TITLE, _FIGURE], "title holds 'Title' instead of"),
        ("Title" + "~e" * 50, "", [_TITLE], "'e' lies in no block"),
        ("Title", "", [_TITLE | {"x": -3.0}], "title leaves the sheet"),
        ("Title", "", [_TITLE, _FIGURE | {"y": 25.0}], "figure 0 overlaps title"),
        ("Title", "", [_TITLE, _TITLE], "two blocks have one name"),
        ("T#text(size: 23pt)[itle]", "", [_TITLE], "'i' in title has 23.0 points"),
        ("Title", "#text(size: 16pt)[small]", [_TITLE, _FIGURE], "'s' in figure 0 has 16.0 points"),
        (
            "Title",
            "#rotate(90deg, text(size: 16pt)[up])",
            [_TITLE, _FIGURE],
            "'u' in figure 0 has 16.0 points",
        ),
        # Of the size of a script, but far from any base.
        (
            "Title",
            "big #h(20mm) #text(size: 16.8pt)[far]",
            [_TITLE, _FIGURE],
            "'f' in figure 0 has 16.8 points",
        ),
    ],
)
def test_the_check_finds(title: str, figure: str, blocks: list, fault: str) -> None:
    pdf = typst.compile(_SHEET.format(title=title, figure=figure).encode(), format="pdf")
    text = "Title" if "and more" not in title else "Titleandmore"
    found = faults(pdf, blocks, 1.0, texts={"title": text} if fault else {}, figure_text=LEAST)
    assert any(fault in one for one in found) if fault else not found, found


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("measure(block(width: width, shown(one)), width: width).height", "0.5 * pt(one.size)", "leaves"),
        ("#let margin = 30mm * k", "#let margin = -20mm * k", "leaves the sheet"),
        ("#let smallest = 24", "#let smallest = 16", "points"),
        ("dy: start + above, one.content", "dy: start + above - 60mm * k, one.content", "overlaps"),
    ],
)
def test_the_check_finds_what_a_bad_template_does(
    old: str,
    new: str,
    fault: str,
    extreme: dict[str, Record],
    made: Callable,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    source = (typesetting._HERE / "poster.typ").read_text()
    assert source.count(old) == 1
    (tmp_path / "poster.typ").write_text(source.replace(old, new))
    monkeypatch.setattr(typesetting, "_HERE", tmp_path)
    assert any(fault in one for one in made(extreme["long"], template="billboard").faults)


@pytest.mark.parametrize(("x", "size"), [(0.9, 8), (0.1, 4)])
def test_the_check_finds_text_that_a_figure_cuts_or_sets_too_small(
    x: float, size: float, toy: Record, made: Callable
) -> None:
    def plot(prediction: Any, measurement: Any) -> Any:
        figure = quick_plot(prediction, measurement)
        figure.text(x, 0.5, "a text beyond its border", size=size)
        return figure

    assert made(toy, replace(toy_study, plot=plot)).faults
