"""Building blocks of the wings' pages: header, sliders, facts, file upload. Requires marimo (extra `app`).

Each function returns HTML, or a marimo element that can be embedded in HTML. The styles are in `page.css`.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import marimo as mo

from solvable.lab.verdict import Table, escape

LARGEST_FILE_MB = 25
"""Size limit of an uploaded file."""


def header(title: str, lead: str) -> Any:
    """Return the header of a page, with a link to the gallery if that serves the page; `lead` is HTML."""
    request = mo.app_meta().request
    # A page opened directly with `marimo` has no gallery above it.
    in_gallery = request is not None and "/" in str(request.url["path"]).strip("/")
    link = '<p><a href="../">← all pages</a></p>' if in_gallery else ""
    return block(f'{link}<h1>{title}</h1><p class="lead">{lead}</p>')


def block(content: str) -> Any:
    """Return HTML as a block of the page."""
    return mo.Html(f'<div class="solvable">{content}</div>')


def footer(content: str) -> Any:
    """Return HTML as the small print at the end of the page."""
    return mo.Html(f'<div class="solvable soft">{content}</div>')


def explorer(
    controls: Iterable[Any], content: str, heading: str = "", lead: str = "", dense: bool = False
) -> Any:
    """Return controls (elements or HTML) on the left and `content` on the right, below a heading and a lead.

    `content` and `lead` are HTML; `dense` moves the controls closer together.
    """
    above = (f"<h2>{heading}</h2>" if heading else "") + (f'<p class="soft">{lead}</p>' if lead else "")
    left = "".join(f"<div>{one}</div>" for one in controls)
    return block(
        f'{above}<div class="explorer"><div class="controls{" dense" if dense else ""}">{left}</div>'
        f"<div>{content}</div></div>"
    )


def slider(label: str, values: Sequence[Any], start: Any) -> Any:
    """Return a slider over `values`; its own value is an index, since values may be infinite or unevenly spaced."""
    return mo.ui.slider(0, len(values) - 1, 1, value=list(values).index(start), label=label, full_width=True)


def choice(label: str, options: Any, value: Any = None) -> Any:
    """Return a menu of `options` (names, or name -> value); `value` is the initial name, by default the first."""
    return mo.ui.dropdown(options, value=value or next(iter(options)), label=label, full_width=True)


def control(element: Any, value: str) -> str:
    """Return a slider with its value above it."""
    return f'<div class="control"><b>{escape(value)}</b>{element}</div>'


def facts(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return large numbers side by side, from rows of name, number and remark."""
    items = (
        f'<div class="fact"><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd>{escape(remark)}</dd></div>'
        for name, value, remark in rows
    )
    return f'<dl class="facts">{"".join(items)}</dl>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of short strings that fits a narrow window: names in the first column, then numbers."""
    content = Table(tuple(heads), tuple(tuple(row) for row in rows)).as_html()
    return f'<div class="numbers">{content}</div>'


def legend(*entries: tuple[str, str]) -> str:
    """Return the legend of a chart, from the CSS class (see `page.css`) and name of each curve."""
    items = (f'<span class="{kind}">{escape(name)}</span>' for kind, name in entries)
    return f'<div class="legend">{"".join(items)}</div>'


def warning(text: str) -> str:
    """Return a highlighted sentence, or nothing for an empty text."""
    return f'<p class="warn">{escape(text)}</p>' if text else ""


def problem(error: Exception | str, more: str = "") -> str:
    """Return an error message, with the HTML `more` below it."""
    text = str(error)
    return (
        f'<div id="problem" class="problem" role="alert">{escape(text[:1].upper() + text[1:])}.{more}</div>'
    )


def file_drop() -> Any:
    """Return an upload field for the user's own table."""
    return mo.ui.file(
        filetypes=[".csv", ".npz", ".parquet"],
        kind="area",
        max_size=LARGEST_FILE_MB * 1_000_000,
        label=f"Your own data: .csv, .npz or .parquet, at most {LARGEST_FILE_MB} MB",
    )
