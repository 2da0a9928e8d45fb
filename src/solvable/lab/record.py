"""`Record`: a finished run, stored as a self-explanatory folder."""

import json
import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from solvable.errors import InputError
from solvable.lab.compare import Agreement, Comparison
from solvable.lab.files import checksum, read_netcdf, regular_bytes, size
from solvable.lab.text import first_sentence

if TYPE_CHECKING:
    from solvable.lab.study import Study

CACHE = ".cache"

_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{7}")
_KEY = re.compile(r"[0-9a-f]{16}")
_OURS = ("trial-", ".unfinished-")
_SUMS = "sha256"
_CHECKED = ("parameters.json", "environment.json", "prediction.nc", "measurement.nc", "comparison.csv")


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
        headline: the answer in a few words; in records of earlier versions the first sentence of the conclusion.
        equations: the theory's formulas, as LaTeX between dollar signs; none in records of earlier versions.
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
    headline: str = ""
    equations: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | Path, *, may_lack: Collection[str] = ()) -> "Record":
        """Return the record in a folder, after comparing its files with their checksums.

        Args:
            path: the folder.
            may_lack: names of files that need not be there.

        Raises:
            InputError: if the folder holds no record.
            DamagedRecord: if a file is missing or was changed.
        """
        path = Path(path)
        if not (path / "record.json").is_file() and not _NAME.fullmatch(path.name):
            raise InputError(f"{str(path)!r} holds no record; expected a folder that `solvable run` wrote")
        facts = _verified(path, may_lack)
        try:
            # Those with a default came later.
            known: dict[str, Any] = {
                f.name: facts[f.name]
                for f in fields(cls)
                if f.name != "path" and (f.default is MISSING or f.name in facts)
            }
        except KeyError as error:  # another version wrote it
            raise DamagedRecord(path, f"record.json has no {error.args[0]}") from None
        known["notes"] = tuple(known["notes"])
        known["equations"] = tuple(known.get("equations", ()))
        known["headline"] = known.get("headline") or first_sentence(known["conclusion"])
        return cls(path=path, **known)

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
    valid = (one for one in _all(runs_dir) if isinstance(one, Record))
    return sorted(valid, key=lambda record: datetime.fromisoformat(record.created))


def damaged_records(runs_dir: str | Path = "runs") -> "list[DamagedRecord]":
    """Return an error for each damaged record in a folder, by name."""
    return sorted((one for one in _all(runs_dir) if isinstance(one, DamagedRecord)), key=lambda one: one.name)


def _all(runs_dir: str | Path) -> "Iterator[Record | DamagedRecord]":
    for path in Path(runs_dir).glob("[!.]*/[!.]*/"):
        if _NAME.fullmatch(path.name) or (path / "record.json").is_file():
            try:
                yield Record.load(path)
            except DamagedRecord as error:
                if path.exists():  # not deleted meanwhile
                    yield error


class DamagedRecord(InputError):
    """A record of which a file with numbers is missing or was changed.

    Attributes:
        path: the folder.
        problem: what is wrong, in a few words.
        name, study: names of the folder and of its study.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path, self.problem = path, problem
        # Of a path such as `.`, too.
        self.name, self.study = path.resolve().name, path.resolve().parent.name
        super().__init__(
            f"record {self.study}/{self.name} is damaged: {problem}; delete it with `solvable runs delete "
            f"{self.name}`, then repeat the run"
        )


def seal(folder: Path) -> None:
    """Add checksums to `record.json`: its own, and those of the files from which figure and report are made."""
    path = folder / "record.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    facts[_SUMS] = {name: checksum((folder / name).read_bytes()) for name in _CHECKED}
    facts[_SUMS][path.name] = _own_checksum(facts)
    write_json(path, facts)


def write_json(path: Path, facts: Any) -> None:
    """Write facts as JSON; halves of surrogate pairs, as in names of files that are not UTF-8, become escapes."""
    text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _own_checksum(facts: dict[str, Any]) -> str:
    return checksum(json.dumps(facts, sort_keys=True).encode())


def _verified(folder: Path, may_lack: Collection[str] = ()) -> dict[str, Any]:
    """Return the content of `record.json`.

    Raises:
        DamagedRecord: if a file does not have its checksum.
    """
    name = "record.json"
    try:
        facts = json.loads(regular_bytes(folder / name))
        if isinstance(facts, dict) and _SUMS not in facts:
            raise DamagedRecord(folder, "record.json has no checksums, as in an earlier version")
        if facts[_SUMS].pop("record.json") != _own_checksum(facts):
            raise DamagedRecord(folder, "record.json was changed")
        for name in _CHECKED:
            if name in may_lack and not (folder / name).exists():
                continue
            if checksum(regular_bytes(folder / name)) != facts[_SUMS][name]:
                raise DamagedRecord(folder, f"{name} was changed")
    except DamagedRecord:
        raise
    except FileNotFoundError:
        raise DamagedRecord(folder, f"{name} is missing") from None
    except OSError as error:
        raise DamagedRecord(folder, f"{name} cannot be read ({error.strerror})") from None
    # Anything may stand in the file.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedRecord(folder, "record.json was changed") from None
    return facts


def find_record(reference: str | Path, runs_dir: str | Path = "runs") -> Record:
    """Return the record that matches a reference.

    Args:
        reference: `latest`, the path of a record, or the beginning of its name, its short hash or `study/name`.
        runs_dir: folder of the records.

    Raises:
        InputError: if none or more than one matches.
        DamagedRecord: if the one that matches is damaged.
    """
    reference = str(reference).rstrip("/")
    if (Path(reference) / "record.json").is_file() or (os.sep in reference and Path(reference).is_dir()):
        return Record.load(reference)
    valid, damaged = records(runs_dir), damaged_records(runs_dir)
    candidates: list[Record | DamagedRecord] = [*valid, *damaged]
    if not candidates:
        raise InputError(f"there are no records in {str(runs_dir)!r}; create one with `solvable run`")

    def names(one: Record | DamagedRecord) -> tuple[str, ...]:
        return one.name, one.name.rsplit("-", 1)[-1], f"{one.study}/{one.name}"

    if reference == "latest":
        # Names begin with the time.
        dated = [one for one in damaged if _NAME.fullmatch(one.name)]
        matches = [one for one in dated[-1:] if not valid or one.name > valid[-1].name] or valid[-1:]
    else:
        matches = [one for one in candidates if any(name.startswith(reference) for name in names(one))]
    if len(matches) == 1 and reference:
        if isinstance(matches[0], DamagedRecord):
            raise matches[0]
        return matches[0]
    options = ", ".join(names(one)[-1] for one in (matches or candidates)[-5:])
    problem = f"{len(matches)} records match {reference!r}" if matches else f"no record matches {reference!r}"
    raise InputError(f"{problem}; expected one of {options}, or latest")


def cached(runs_dir: str | Path = "runs") -> dict[str, list[Path]]:
    """Return the folders of cached trials of each study: only those that hold nothing else.

    Other programs have a folder of this name too, such as that in a home directory.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted((Path(runs_dir) / CACHE).glob("[!.]*/*/")):
        with suppress(OSError):  # removed meanwhile
            if _KEY.fullmatch(path.name) and all(one.name.startswith(_OURS) for one in path.iterdir()):
                found.setdefault(path.parent.name, []).append(path)
    return found


def cache_sizes(runs_dir: str | Path = "runs") -> dict[str, tuple[int, int]]:
    """Return the number of cached trials and their size in bytes, for each study."""
    return {
        study: (sum(1 for folder in folders for _ in folder.glob("trial-*")), sum(map(size, folders)))
        for study, folders in cached(runs_dir).items()
    }


def finished(study: "Study", key: str, runs_dir: str | Path) -> Record | None:
    """Return the record of an earlier run with the same key, if any."""
    for path in sorted((Path(runs_dir) / study.name).glob("[!.]*/record.json")):
        # Few are of this run, so that few are compared with their checksums.
        with suppress(OSError, ValueError, DamagedRecord):
            if key in path.read_text(encoding="utf-8") and (record := Record.load(path.parent)).key == key:
                return record
    return None
