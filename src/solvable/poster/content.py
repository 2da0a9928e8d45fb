"""What stands on a poster: the texts and tables of its records, without folders of this machine."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from shlex import quote
from typing import TYPE_CHECKING, Any

from solvable.errors import InputError
from solvable.lab import Record
from solvable.lab.mathml import formulas_in
from solvable.lab.report import arxiv_number
from solvable.lab.text import first_sentence, percent
from solvable.streams import short

if TYPE_CHECKING:
    from solvable.lab import Study

# A path from the root, a home, here, a drive or a server; a slash in a formula, a unit or an address begins none.
_FOLDERS = re.compile(
    r"(?<![\w/.~\\])(?<!http:)(?<!https:)(?:(?:file://)?(?:~|\.\.?)?/|[A-Za-z]:[\\/]|\\\\[\w.-]+\\)"
    r"(?:[^\s/\\'\",;()]+[\\/])+"
)
# Between names; no line begins with it.
_DOT = "\u00a0· "
# A number stays with its unit.
_UNITS = re.compile(r"(?<=\d) (?=%|[nµmkMG]?(?:Hz|V/m|s|m|T|K)\b)")


def texts_of(record: Record, index: int, study: "Study | None", *, brief: bool) -> dict[str, Any]:
    """Return the texts and tables of one record.

    Args:
        record: the record.
        index: its number on the poster, from 0.
        study: its study, if this version knows it: the source of what an earlier version did not record.
        brief: whether there is room for only a row of the table.
    """
    headline, equations = record.headline, record.equations
    if study is not None:
        equations = equations or study.equations
        if study.headline is not None and headline == first_sentence(record.conclusion):
            headline = study.headline(record.prediction, record.measurement, record.comparison)

    def plain(text: str) -> str:
        return _UNITS.sub("\u00a0", without_folders(text, record))

    return {
        "index": index,
        "title": [plain(record.title.split(":")[0] if brief else record.title)],
        "question": [plain(record.question)],
        "answer": [plain(headline)],
        "equations": [_equation(text) for text in equations],
        "methods": [*_methods(record), ["To repeat it: ", {"code": plain(record.command)}]],
        "summary": _summary(record, brief=brief),
        "rows": _rows(record) | ({"rows": []} if brief else {}),
        "alt": plain(f"{record.title}: {headline}"),
    }


def links_of(records: Sequence[Record]) -> list[str]:
    """Return the addresses of the papers that have an arXiv number, each once."""
    numbers = [arxiv_number(record.paper) for record in records]
    return list(dict.fromkeys(f"https://arxiv.org/abs/{number}" for number in numbers if number))


def title_of(records: Sequence[Record]) -> str:
    """Return the title of one study, or what stands before the colon in those of several."""
    titles = list(dict.fromkeys(record.title for record in records))
    if len(titles) == 1:
        return titles[0]
    return _DOT.join(dict.fromkeys(title.split(":")[0] for title in titles))


def names_of(records: Sequence[Record]) -> str:
    """Return the names of the studies, each once."""
    return _DOT.join(dict.fromkeys(record.study for record in records))


def source_of(records: Sequence[Record]) -> str:
    """Return the line that says which records these are."""
    versions = dict.fromkeys(str(record.environment["solvable"]) for record in records)
    names = ", ".join(f"{record.study}/{record.key[:7]}" for record in records)
    return f"Made with solvable {', '.join(versions)} from record{'s' * (len(records) > 1)} {names}."


def without_folders(text: str, record: Record | None = None) -> str:
    """Return a text in which files have only their names.

    >>> without_folders("4 columns of /home/ada/data/wine.csv, 1/f noise, https://arxiv.org/abs/1")
    '4 columns of wine.csv, 1/f noise, https://arxiv.org/abs/1'
    """
    for value in _paths(record.parameters if record else {}):
        name = PurePath(value.replace("\\", "/")).name
        text = text.replace(quote(value), quote(name)).replace(value, name)
    return _FOLDERS.sub("", text)


def _paths(parameters: dict[str, Any]) -> list[str]:
    """Return the parameters that name a file in a folder, the longest first."""
    values = [one for value in parameters.values() for one in (value if isinstance(value, list) else [value])]
    paths = [
        one
        for one in values
        if isinstance(one, str) and re.search(r"^(?:~|[A-Za-z]:)?[\\/]|[\\/][^\\/]*\.\w+$", one)
    ]
    return sorted(paths, key=len, reverse=True)


def _equation(text: str) -> list[str | dict[str, str]]:
    """Return a text as strings and formulas in typst's language.

    Raises:
        InputError: for a formula with a #, which begins a command of typst: records may come from anybody.
    """
    from tylax import latex_to_typst

    if any(formula and "#" in part for formula, part in formulas_in(text)):
        raise InputError(
            f"the record's formula {short(text)!r} has a #, which would be a command; leave it out"
        )
    # `[|` and `|]` would be one bracket in typst.
    return [
        {"math": latex_to_typst(part).strip().replace("[|", "[ |").replace("|]", "| ]"), "alt": part}
        if formula
        else part
        for formula, part in formulas_in(text)
    ]


def _methods(record: Record) -> list[str]:
    """Return how it was measured, and how the table counts."""
    trials = record.parameters.get("trials", 1)
    times = "once" if trials == 1 else f"in {trials} independent trials"
    return [
        f"Measured {times}; the legend of the figure says what is predicted.",
        "In the table, an error is the prediction less the measurement, in per cent of the measurement.",
    ]


def _summary(record: Record, *, brief: bool) -> dict[str, Any]:
    """Return a table with a row for each compared quantity; a brief one has only the first, and says so."""
    summary = record.comparison.summary
    covered = any(one.coverage is not None for one in summary.values())
    heads = ["quantity", "points", "median error", "largest", *(["inside interval"] if covered else [])]
    rows = []
    for name, one in summary.items():
        row = [name, str(one.counted), *(percent(x, decimals=1) for x in (one.median_error, one.max_error))]
        if covered:
            row.append("–" if one.coverage is None else percent(one.coverage, decimals=0))
        rows.append(row)
    if brief and len(rows) > 1:
        heads[0] = f"quantity (1 of {len(rows)})"
        rows = rows[:1]
    return {"heads": heads, "rows": rows}


def _rows(record: Record) -> dict[str, Any]:
    """Return the table of the first quantity, without intervals and without rows that have no two numbers."""
    name = next(iter(record.comparison.summary), None)
    if name is None:
        return {"name": "", "fixed": "", "heads": [], "rows": [], "total": 0}
    fixed, heads, rows = record.comparison.rows(name)
    width = heads.index("error") + 1
    return {
        "name": name,
        "fixed": without_folders(fixed, record),
        "heads": heads[:width],
        "rows": [
            [without_folders(cell, record) for cell in row["cells"][:width]] for row in rows if row["counted"]
        ],
        "total": len(rows),
    }
