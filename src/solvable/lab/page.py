"""What the wings' pages are made of: header, sliders, facts, a place to drop a file. It needs marimo (extra `app`).

Each function returns HTML, or a marimo element that can stand inside HTML. `page.css` says how it looks.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import marimo as mo

from solvable.lab.verdict import escape

LARGEST_FILE_MB = 25
"""No more of a file than this is looked at; larger ones only take longer to send."""


def header(title: str, lead: str) -> Any:
    """Return the head of a page, with a link to the gallery where that serves it.

    Args:
        title: one line.
        lead: one or two sentences below it, as HTML.
    """
    request = mo.app_meta().request
    # On its own, opened by `marimo`, there is no gallery above the page.
    in_gallery = request is not None and "/" in str(request.url["path"]).strip("/")
    link = '<p><a href="../">← all pages</a></p>' if in_gallery else ""
    return block(f'{link}<h1>{title}</h1><p class="lead">{lead}</p>')


def block(content: str) -> Any:
    """Return HTML as a part of the page."""
    return mo.Html(f'<div class="solvable">{content}</div>')


def footer(content: str) -> Any:
    """Return HTML as the small print at the end of the page."""
    return mo.Html(f'<div class="solvable soft">{content}</div>')


def explorer(
    controls: Iterable[Any], content: str, heading: str = "", lead: str = "", dense: bool = False
) -> Any:
    """Return controls at the left, and at the right what they do.

    Args:
        controls: elements, or HTML.
        content: HTML.
        heading: of this part of the page.
        lead: a sentence or two on what is shown, as HTML.
        dense: whether there are many controls.
    """
    above = (f"<h2>{heading}</h2>" if heading else "") + (f'<p class="soft">{lead}</p>' if lead else "")
    left = "".join(f"<div>{one}</div>" for one in controls)
    return block(
        f'{above}<div class="explorer"><div class="controls{" dense" if dense else ""}">{left}</div>'
        f"<div>{content}</div></div>"
    )


def slider(label: str, values: Sequence[Any], start: Any) -> Any:
    """Return a slider over values; its own value is an index, since values may be infinite, or their steps may grow.

    Args:
        label: what is set.
        values: in the order of the slider.
        start: the one that is shown first.
    """
    return mo.ui.slider(0, len(values) - 1, 1, value=list(values).index(start), label=label, full_width=True)


def choice(label: str, options: Any, value: Any = None) -> Any:
    """Return a menu.

    Args:
        label: what is chosen.
        options: names, or name -> value.
        value: name of the one that is chosen first; by default the first.
    """
    return mo.ui.dropdown(options, value=value or next(iter(options)), label=label, full_width=True)


def control(element: Any, value: str) -> str:
    """Return a slider with its value above it."""
    return f'<div class="control"><b>{escape(value)}</b>{element}</div>'


def facts(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return large numbers side by side.

    Args:
        rows: name, number and a remark each.
    """
    shown = (
        f'<div class="fact"><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd>{escape(remark)}</dd></div>'
        for name, value, remark in rows
    )
    return f'<dl class="facts">{"".join(shown)}</dl>'


def legend(*entries: tuple[str, str]) -> str:
    """Return the names of a chart's curves.

    Args:
        entries: class and name of each; see `page.css` for the classes.
    """
    shown = (f'<span class="{kind}">{escape(name)}</span>' for kind, name in entries)
    return f'<div class="legend">{"".join(shown)}</div>'


def warning(text: str) -> str:
    """Return a sentence that a reader should not miss; nothing for an empty one."""
    return f'<p class="warn">{escape(text)}</p>' if text else ""


def problem(error: Exception | str, more: str = "") -> str:
    """Return why something cannot be shown.

    Args:
        error: the sentence, or the exception that has it.
        more: HTML below it.
    """
    text = str(error)
    return (
        f'<div id="problem" class="problem" role="alert">{escape(text[:1].upper() + text[1:])}.{more}</div>'
    )


def file_drop() -> Any:
    """Return a place to drop a table of the user's own."""
    return mo.ui.file(
        filetypes=[".csv", ".npz", ".parquet"],
        kind="area",
        max_size=LARGEST_FILE_MB * 1_000_000,
        label=f"Your own data: .csv, .npz or .parquet, at most {LARGEST_FILE_MB} MB",
    )
