"""A record as a self-contained HTML file, without scripts or external resources."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from solvable.lab.mathml import formulas_in, to_mathml
from solvable.lab.record import Record
from solvable.lab.text import readable
from solvable.streams import visible

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from solvable.lab.verdict import Verdict

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})")


def render(record: Record, details: "Sequence[Verdict | Figure]" = ()) -> str:
    """Return the report of a record as HTML, with further verdicts and figures of the study."""
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
        figure=_inline_svg(
            record.path / "figure.svg", f"{record.title}, predicted as lines and measured as points"
        ),
        details=[_detail(one, record.title) for one in details],
        quantities=quantities,
        parameters={name: _as_text(value) for name, value in record.parameters.items()},
        equations=[_equation(text) for text in record.equations],
        arxiv=arxiv_number(record.paper),
    )


def arxiv_number(paper: str) -> str | None:
    """Return the arXiv number in a citation, if it has one.

    >>> arxiv_number('Simon et al., "More is better", arXiv:2311.14646')
    '2311.14646'
    """
    return match.group(1) if (match := _ARXIV.search(paper)) else None


def _equation(text: str) -> "Markup":
    """Return a text with formulas between dollar signs as HTML; a formula alone gets a line of its own."""
    from markupsafe import Markup

    parts = list(formulas_in(text))
    alone = len(parts) == 1
    return Markup("").join(
        Markup(to_mathml(part, block=alone)) if formula else part for formula, part in parts
    )


def _as_text(value: object) -> str:
    return ", ".join(map(_as_text, value)) if isinstance(value, list) else readable(value)


def _detail(one: "Verdict | Figure", title: str):
    """Return a verdict or a figure as HTML."""
    from markupsafe import Markup

    from solvable.lab.verdict import Verdict

    if isinstance(one, Verdict):
        return Markup(one._repr_html_())
    from io import StringIO

    from solvable.lab.figure import house_style

    svg = StringIO()
    with house_style():
        one.savefig(svg, format="svg", metadata={"Date": None})
    return Markup('<figure><div class="sheet">{}</div></figure>').format(
        _as_markup(svg.getvalue(), f"{title}, details")
    )


def _inline_svg(path: Path, title: str):
    """Return a figure as inline HTML, with a label for screen readers."""
    return _as_markup(path.read_text(encoding="utf-8"), title)


def _as_markup(svg: str, title: str):
    from markupsafe import Markup

    svg = svg[svg.index("<svg") :]
    # The viewBox keeps the proportions; a maximum instead of a fixed width lets the figure shrink with the page, and
    # the factor 1.5 brings its 8-point text to the size of the text around it.
    head, body = svg.split(">", 1)
    width = re.search(r'\swidth="([\d.]+)pt"', head)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    head += f' style="max-width: {1.5 * float(width.group(1)):.0f}pt"' if width else ""
    label = Markup.escape(f"Figure: {title}")
    return Markup(f'{head} role="img" aria-label="{label}">{body}')
