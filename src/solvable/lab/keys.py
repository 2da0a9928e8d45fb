"""Short hashes that say when two runs are the same: the same parameters, the same data, the same code."""

import hashlib
import inspect
import json
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from solvable.lab.parameters import as_json
from solvable.lab.study import Study


def trial_key(study: Study, parameters: Any, setting: Any) -> str:
    """Return the key of a study's trials. How many there are is not in it: more trials extend a run."""
    values = {f.name: as_json(getattr(parameters, f.name)) for f in fields(parameters) if f.name != "trials"}
    fingerprint = getattr(setting, "fingerprint", None)
    return _short_hash([study.name, values, fingerprint, code_digest(study)])


def record_key(study: Study, parameters: Any, setting: Any) -> str:
    """Return the key of a whole run: its trials' key and how many there are."""
    return _short_hash([trial_key(study, parameters, setting), getattr(parameters, "trials", 1)])


def code_digest(study: Study) -> str:
    """Return a hash of the source of this library, and of the study's own file where that lies outside it.

    It is part of every key, so that a number computed by yesterday's code is never taken for today's.
    """
    package = _package()
    own = inspect.getsourcefile(study.trial)
    outside = own is not None and not Path(own).is_relative_to(package) and Path(own).is_file()
    return _short_hash([_digest(package), Path(own).read_text() if own and outside else ""])


def library_digest() -> str:
    """Return a hash of the source of this library, for keys of what belongs to no study."""
    return _digest(_package())


def _package() -> Path:
    import solvable

    return Path(solvable.__file__).parent


@lru_cache
def _digest(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".j2"):
            digest.update(str(path.relative_to(package)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _short_hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
