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

    A page stands for its folder: where that has several studies, the first one names it.

    Args:
        studies: name -> `module:attribute` of the studies.

    >>> places = {"regression": "regression.study", "activations": "activations.study", "parity": "activations.parity"}
    >>> found = wings({name: f"solvable.{place}:study" for name, place in places.items()})
    >>> [(wing.name, wing.page.name) for wing in found]
    [('regression', 'page.py'), ('activations', 'page.py')]
    """
    found: list[Wing] = []
    for name, place in studies.items():
        spec = find_spec(place.split(":")[0])
        if (
            spec is None
            or spec.origin is None
            or not (page := Path(spec.origin).with_name("page.py")).is_file()
            or any(wing.page == page for wing in found)
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
