"""The gallery: a list of the wings that have a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from solvable.wings import WINGS, Wing, load_study


@dataclass(frozen=True)
class Entry:
    """Entry of a wing.

    Attributes:
        name: name of the wing, and path of its page in the address.
        title: title of its first study.
        question: question of that study.
        paper: source of the theory.
        page: path of the marimo notebook.
    """

    name: str
    title: str
    question: str
    paper: str
    page: Path


def entries(wings: Sequence[Wing] = WINGS) -> list[Entry]:
    """Return an entry for each wing that has a page.

    >>> [entry.name for entry in entries() if entry.page.name == "page.py"]
    ['regression', 'overfitting', 'activations', 'scaling', 'stepwise', 'landscapes', 'junctions', 'spins']
    """
    result = []
    for wing in wings:
        if (page := wing.page()) is not None:
            study = load_study(next(iter(wing.studies)), wings)
            result.append(Entry(wing.name, study.title, study.question, study.paper, page))
    return result


def gallery(wings: Sequence[Entry]) -> str:
    """Return the gallery as HTML: the title and question of each wing, with a link to its page."""
    from jinja2 import Environment

    template = files("solvable.app").joinpath("gallery.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(template).render(wings=wings)
