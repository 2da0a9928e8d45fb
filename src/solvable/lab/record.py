"""`Record`: a finished run, stored as a self-explanatory folder."""

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

    The folder has `record.json` with the attributes below, `parameters.json`, `environment.json`, `prediction.nc`,
    `measurement.nc`, `comparison.csv`, `figure.svg`, `figure.png` and `report.html`.

    Attributes:
        path: the folder.
        study: the study's name.
        title: the study's title.
        question: the study's question.
        paper: source of the theory.
        conclusion: the answer, in a sentence.
        command: the command that repeats the run.
        created: time of completion, ISO 8601 with time zone.
        seconds: duration, from preparation to figure.
        notes: remarks on data and method.
        key: hash of parameters, data and code; equal runs have equal keys.
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
            InputError: if the folder holds no record.
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
        """Name of the folder, by which commands find the record."""
        return self.path.name

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the run; infinities are the string `inf`."""
        return json.loads((self.path / "parameters.json").read_text(encoding="utf-8"))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, platform and commit."""
        return json.loads((self.path / "environment.json").read_text(encoding="utf-8"))

    @cached_property
    def prediction(self) -> xr.Dataset:
        """Predicted values."""
        return read_netcdf(self.path / "prediction.nc")

    @cached_property
    def measurement(self) -> xr.Dataset:
        """Measured values, trial by trial."""
        return read_netcdf(self.path / "measurement.nc")

    @cached_property
    def comparison(self) -> Comparison:
        """Table of errors and its summary."""
        facts = json.loads((self.path / "record.json").read_text(encoding="utf-8"))
        table = pd.read_csv(self.path / "comparison.csv", dtype={"inside": "boolean"})
        return Comparison(table, {name: Agreement(**row) for name, row in facts["summary"].items()})

    @property
    def size(self) -> int:
        """Size on disk in bytes."""
        return size(self.path)


def records(runs_dir: str | Path = "runs") -> list[Record]:
    """Return the records in a folder, oldest first.

    Raises:
        InputError: if it is a file.
    """
    if Path(runs_dir).is_file():
        raise InputError(f"{str(runs_dir)!r} is a file; expected the folder of the records")
    return sorted(_records(Path(runs_dir)), key=lambda record: datetime.fromisoformat(record.created))


def _records(runs_dir: Path) -> Iterator[Record]:
    for path in runs_dir.glob("[!.]*/[!.]*/record.json"):
        try:
            yield Record.load(path.parent)
        except InputError:  # edited by hand
            continue


def find_record(reference: str | Path, runs_dir: str | Path = "runs") -> Record:
    """Return the record that matches a reference.

    Args:
        reference: `latest`, the path of a record, or the beginning of its name, its short hash or `study/name`.
        runs_dir: folder of the records.

    Raises:
        InputError: if none or more than one matches.
    """
    reference = str(reference).rstrip("/")
    if (Path(reference) / "record.json").is_file():
        return Record.load(reference)
    candidates = records(runs_dir)
    if not candidates:
        raise InputError(f"there are no records in {str(runs_dir)!r}; create one with `solvable run`")
    if reference == "latest":
        return candidates[-1]

    def names(record: Record) -> tuple[str, ...]:
        return record.name, record.name.rsplit("-", 1)[-1], f"{record.study}/{record.name}"

    matches = [one for one in candidates if any(name.startswith(reference) for name in names(one))]
    if len(matches) == 1 and reference:
        return matches[0]
    options = ", ".join(names(record)[-1] for record in (matches or candidates)[-5:])
    problem = f"{len(matches)} records match {reference!r}" if matches else f"no record matches {reference!r}"
    raise InputError(f"{problem}; expected one of {options}, or latest")


def cache_sizes(runs_dir: str | Path = "runs") -> dict[str, tuple[int, int]]:
    """Return the number of cached trials and their size in bytes, for each study."""
    return {
        folder.name: (sum(1 for _ in folder.glob("*/trial-*")), size(folder))
        for folder in sorted((Path(runs_dir) / CACHE).glob("[!.]*"))
    }


def finished(study: "Study", key: str, runs_dir: str | Path) -> Record | None:
    """Return the record of an earlier run with the same key, if any."""
    folder = Path(runs_dir) / study.name
    return next((r for r in records(runs_dir) if r.path.parent == folder and r.key == key), None)
