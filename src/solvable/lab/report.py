"""A record as one HTML file that needs nothing else: no script, nothing fetched."""

import re
from pathlib import Path

from solvable.lab.record import Record
from solvable.lab.text import readable

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})")


def render(record: Record) -> str:
    """Return the report of a record as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
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
        parameters={name: _shown(value) for name, value in record.parameters.items()},
        arxiv=match.group(1) if (match := _ARXIV.search(record.paper)) else None,
    )


def _shown(value: object) -> str:
    return ", ".join(map(_shown, value)) if isinstance(value, list) else readable(value)


def _inline_svg(path: Path, title: str):
    """Return a figure as markup that can stand inside HTML, with a name for those who cannot see it."""
    from markupsafe import Markup

    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    # The drawing keeps its proportions from its viewBox; as a largest width instead of a fixed one, its own
    # lets it shrink with the page. Half as large again brings its 8 points to the size of the text around it.
    head, body = svg.split(">", 1)
    width = re.search(r'\swidth="([\d.]+)pt"', head)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    head += f' style="max-width: {1.5 * float(width.group(1)):.0f}pt"' if width else ""
    label = Markup.escape(f"Figure: {title}, predicted as lines and measured as points")
    return Markup(f'{head} role="img" aria-label="{label}">{body}')
