"""A record as a self-contained HTML file, without scripts or external resources."""

import re
from pathlib import Path

from solvable.lab.record import Record
from solvable.lab.text import readable
from solvable.streams import visible

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})")


def render(record: Record) -> str:
    """Return the report of a record as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=templates,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    comparison = record.comparison
    quantities = [
        {"name": name, "agreement": str(agreement), "table": comparison.rows(name)}
        for name, agreement in comparison.summary.items()
    ]
    return environment.get_template("report.html.j2").render(
        record=record,
        figure=_inline_svg(record.path / "figure.svg", record.title),
        quantities=quantities,
        parameters={name: _as_text(value) for name, value in record.parameters.items()},
        arxiv=match.group(1) if (match := _ARXIV.search(record.paper)) else None,
    )


def _as_text(value: object) -> str:
    return ", ".join(map(_as_text, value)) if isinstance(value, list) else readable(value)


def _inline_svg(path: Path, title: str):
    """Return a figure as inline HTML, with a label for screen readers."""
    from markupsafe import Markup

    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    # The viewBox keeps the proportions; a maximum instead of a fixed width lets the figure shrink with the page, and
    # the factor 1.5 brings its 8-point text to the size of the text around it.
    head, body = svg.split(">", 1)
    width = re.search(r'\swidth="([\d.]+)pt"', head)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    head += f' style="max-width: {1.5 * float(width.group(1)):.0f}pt"' if width else ""
    label = Markup.escape(f"Figure: {title}, predicted as lines and measured as points")
    return Markup(f'{head} role="img" aria-label="{label}">{body}')
