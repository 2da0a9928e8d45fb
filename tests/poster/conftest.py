"""A recorded toy study, the same with the texts of the studies, and posters that are checked when they are made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from layout import LEAST, WatchedSheet, expected, faults, quick_plot

from solvable.lab import Record, Study, run
from solvable.lab.study import HEADLINE
from solvable.poster import typesetting
from solvable.poster.make import publish
from solvable.poster.paper import paper
from solvable.wings import load_study, study_names
from toy_wing.study import study as toy_study

OPTIONS: dict[str, Any] = {
    "size": "a0",
    "orientation": None,
    "title": None,
    "authors": ("Ada Lovelace", "Zoé Ångström"),
    "affiliations": ("Analytical Engine, London",),
    "logos": (),
    "link": None,
    "answer": None,
    "template": "classic",
    "bleed": "3mm",
}


quick = replace(toy_study, plot=quick_plot)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A record of the toy study."""
    return run(toy_study, toy_study.tiny, runs_dir=tmp_path_factory.mktemp("posters"), quiet=True)


@pytest.fixture(scope="session")
def extreme(toy: Record) -> dict[str, Record]:
    """Records with the shortest and with the longest texts of all studies."""
    studies = [load_study(name) for name in study_names()]

    def texts(choose: Callable[..., Any], headline: int) -> dict[str, Any]:
        sentence = "At 128 samples the network errs as its kernel says it does, within 1.2 % " * 3
        return {
            **{
                name: choose((getattr(one, name) for one in studies), key=len)
                for name in ("title", "question", "paper")
            },
            "equations": choose((one.equations for one in studies), key=lambda all: len("".join(all))),
            "headline": sentence[: headline - 1] + ".",
        }

    # The contract of studies wants more than 20 characters.
    return {"short": replace(toy, **texts(min, 21)), "long": replace(toy, **texts(max, HEADLINE))}


@dataclass(frozen=True)
class Made:
    """A poster, with what the template was given and how it was laid out."""

    pdf: bytes
    preview: bytes
    content: dict[str, Any]
    blocks: Sequence[Mapping[str, Any]]
    faults: list[str]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Made]:
    """A function that makes a poster of records with their studies, and checks its layout."""
    monkeypatch.setattr(typesetting, "Sheet", WatchedSheet)

    def make(records: Record | Sequence[Record], study: Study = quick, **options: Any) -> Made:
        records = [records] if isinstance(records, Record) else records
        chosen = OPTIONS | options
        poster = publish([(one, study) for one in records], **chosen, out=tmp_path / "poster.pdf")
        content, blocks = dict(WatchedSheet.content), list(WatchedSheet.blocks)
        pdf = poster.path.read_bytes()
        found = faults(
            pdf,
            blocks,
            paper(chosen["size"], chosen["orientation"]).scale,
            texts=expected(content),
            figure_text=LEAST if len(records) == 1 else 18.0,
        )
        return Made(pdf, poster.preview.read_bytes(), content, blocks, found)

    return make


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the toy study one that this version knows."""
    module = import_module("solvable.poster.make")
    monkeypatch.setattr(module, "study_names", lambda: ["toy"])
    monkeypatch.setattr(module, "load_study", lambda name: quick)
