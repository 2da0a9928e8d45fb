"""`Record`: one finished run as a folder that explains itself."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from solvable.errors import InputError
from solvable.lab.compare import Agreement, Comparison
from solvable.lab.files import read_netcdf, size

if TYPE_CHECKING:
    from solvable.lab.study import Study

CACHE = ".cache"


@dataclass(frozen=True, eq=False)
class Record:
    """A finished run: `runs/<study>/<time>-<short hash>/`.

    Beside `record.json`, which holds the attributes below, the folder has `parameters.json`,
    `environment.json`, `prediction.nc`, `measurement.nc`, `comparison.csv`, `figure.svg`, `figure.png` and
    `report.html`.

    Attributes:
        path: the folder.
        study: the study's name.
        title: the study's title.
        question: what was asked.
        paper: where the theory comes from.
        conclusion: the answer, in a sentence.
        command: what runs it again.
        created: when it was finished, ISO 8601 with time zone.
        seconds: how long it took, from preparing to the figure.
        notes: what a reader should know about data and method.
        key: hash of parameters, data and code; the same run has the same key.
    """

    path: Path
    study: str
    title: str
    question: str
    paper: str
    conclusion: str
    command: str
    created: str
    seconds: float
    notes: tuple[str, ...]
    key: str

    @classmethod
    def load(cls, path: str | Path) -> "Record":
        """Return the record in a folder.

        Raises:
            InputError: when the folder holds no record.
        """
        path = Path(path)
        try:
            facts = json.loads((path / "record.json").read_text(encoding="utf-8"))
            facts["notes"] = tuple(facts["notes"])
            return cls(path=path, **{f.name: facts[f.name] for f in fields(cls) if f.name != "path"})
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{str(path)!r} holds no record; expected a folder that `solvable run` wrote"
            ) from None

    @property
    def name(self) -> str:
        """The folder's name, by which commands find it."""
        return self.path.name

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the run; infinities are the string `inf`."""
        return json.loads((self.path / "parameters.json").read_text(encoding="utf-8"))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, platform and commit."""
        return json.loads((self.path / "environment.json").read_text(encoding="utf-8"))

    @cached_property
    def prediction(self) -> xr.Dataset:
        """What the theory says."""
        return read_netcdf(self.path / "prediction.nc")

    @cached_property
    def measurement(self) -> xr.Dataset:
        """What was measured, trial by trial."""
        return read_netcdf(self.path / "measurement.nc")

    @cached_property
    def comparison(self) -> Comparison:
        """The table of errors and its summary."""
        facts = json.loads((self.path / "record.json").read_text(encoding="utf-8"))
        table = pd.read_csv(self.path / "comparison.csv", dtype={"inside": "boolean"})
        return Comparison(table, {name: Agreement(**row) for name, row in facts["summary"].items()})

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return size(self.path)


def records(runs_dir: str | Path = "runs") -> list[Record]:
    """Return the records under a folder, the oldest first."""
    return sorted(_records(Path(runs_dir)), key=lambda record: datetime.fromisoformat(record.created))


def _records(runs_dir: Path) -> Iterator[Record]:
    for path in runs_dir.glob("[!.]*/[!.]*/record.json"):
        try:
            yield Record.load(path.parent)
        except InputError:  # a folder that someone edited is not a record any more
            continue


def find_record(reference: str | Path, runs_dir: str | Path = "runs") -> Record:
    """Return the record that a user means.

    Args:
        reference: `latest`, the path of a record, or the beginning of its name, its short hash or
            `study/name`.
        runs_dir: where to look.

    Raises:
        InputError: when none or more than one matches.
    """
    reference = str(reference).rstrip("/")
    if (Path(reference) / "record.json").is_file():
        return Record.load(reference)
    known = records(runs_dir)
    if not known:
        raise InputError(
            f"there are no records in {str(runs_dir)!r}; expected one: make it with `solvable run`"
        )
    if reference == "latest":
        return known[-1]
    matches = [
        record
        for record in known
        if any(
            text.startswith(reference)
            for text in (record.name, record.name.rsplit("-", 1)[-1], f"{record.study}/{record.name}")
        )
    ]
    if len(matches) == 1 and reference:
        return matches[0]
    shown = ", ".join(f"{record.study}/{record.name}" for record in (matches or known)[-5:])
    problem = f"{len(matches)} records match {reference!r}" if matches else f"no record matches {reference!r}"
    raise InputError(f"{problem}; expected one of {shown}, or latest")


def cache_sizes(runs_dir: str | Path = "runs") -> dict[str, tuple[int, int]]:
    """Return how many trials of each study are cached, and how many bytes they take."""
    return {
        folder.name: (sum(1 for _ in folder.glob("*/trial-*")), size(folder))
        for folder in sorted((Path(runs_dir) / CACHE).glob("[!.]*"))
    }


def finished(study: "Study", key: str, runs_dir: str | Path) -> Record | None:
    """Return the record of a run that was done before, if there is one."""
    folder = Path(runs_dir) / study.name
    return next((r for r in records(runs_dir) if r.path.parent == folder and r.key == key), None)
