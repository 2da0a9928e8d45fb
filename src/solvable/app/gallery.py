"""The wings that have a page, and the gallery that lists them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from solvable.studies import load_study


@dataclass(frozen=True)
class Wing:
    """A wing with a page.

    Attributes:
        name: its name, and its place in the gallery's address.
        title: of its study.
        question: that its study answers.
        paper: where the theory is from.
        page: the marimo notebook.
    """

    name: str
    title: str
    question: str
    paper: str
    page: Path


def wings(studies: Mapping[str, str]) -> list[Wing]:
    """Return the wings that have a `page.py` beside their study.

    Args:
        studies: name -> `module:attribute` of the studies.

    >>> from solvable.studies import STUDIES
    >>> [(wing.name, wing.page.name) for wing in wings(STUDIES)]
    [('regression', 'page.py')]
    """
    found = []
    for name, place in studies.items():
        spec = find_spec(place.split(":")[0])
        if (
            spec is None
            or spec.origin is None
            or not (page := Path(spec.origin).with_name("page.py")).is_file()
        ):
            continue
        study = load_study(name, studies)
        found.append(Wing(name, study.title, study.question, study.paper, page))
    return found


def gallery(shown: Sequence[Wing]) -> str:
    """Return the gallery as HTML: each wing with its title and its question, as a link to its page."""
    from jinja2 import Environment

    template = files("solvable.app").joinpath("gallery.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(template).render(wings=shown)
