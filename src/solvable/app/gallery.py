"""The gallery: the wings that have a page, each with its title and its question."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from solvable.wings import WINGS, Wing, load_study


@dataclass(frozen=True)
class Entry:
    """What the gallery shows of a wing.

    Attributes:
        name: of the wing, and its place in the gallery's address.
        title: of its first study.
        question: that this study answers.
        paper: where the theory is from.
        page: the marimo notebook.
    """

    name: str
    title: str
    question: str
    paper: str
    page: Path


def entries(wings: Sequence[Wing] = WINGS) -> list[Entry]:
    """Return the wings that have a page.

    >>> [(entry.name, entry.page.name) for entry in entries()]
    [('regression', 'page.py'), ('overfitting', 'page.py'), ('activations', 'page.py')]
    """
    shown = []
    for wing in wings:
        if (page := wing.page()) is not None:
            study = load_study(next(iter(wing.studies)), wings)
            shown.append(Entry(wing.name, study.title, study.question, study.paper, page))
    return shown


def gallery(shown: Sequence[Entry]) -> str:
    """Return the gallery as HTML: each wing with its title and its question, as a link to its page."""
    from jinja2 import Environment

    template = files("solvable.app").joinpath("gallery.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(template).render(wings=shown)
