"""Finished trials on disk, so that a second call, more trials, sizes or noise levels measure only what is missing."""

import ast
import importlib
import json
import os
import pickle
import pickletools
import sys
from functools import lru_cache
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from solvable.errors import InputError
from solvable.lab.files import remove_leftovers, whole
from solvable.lab.keys import library_digest
from solvable.overfitting.measuring.task import Task
from solvable.overfitting.measuring.trials import Fit, fresh

# Typed as unknown, since pandas' stubs hide it.
_pandas_util: Any = importlib.import_module("pandas.util")


class TrialCache:
    """The fits of one estimator on one task: a file for each trial and size, `<key>/trial-<trial>-n<size>.json`.

    The key is of the estimator's parameters and code, the data and the code of this library. Noise levels are not in
    it: corruptions are nested, so that a level is the same whichever others are asked for.
    """

    def __init__(self, folder: Path, data: str, estimator: str) -> None:
        """Give the folder of all caches, `data_key` of the task and `estimator_key` of the estimator."""
        self.folder = folder / str(joblib.hash([library_digest(), data, estimator]))
        # Nothing is made before there is something to keep, but what cannot be made is said before the work.
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise InputError(
                f"cannot keep trials in {str(folder)!r}, since {str(there)!r} is no folder to write to; name "
                "another folder"
            )
        remove_leftovers(self.folder)

    def read(self, trial: int, n_train: int) -> dict[float, Fit]:
        """Return the fits that are there, by noise level; a damaged file counts as none."""
        try:
            rows = json.loads(self._path(trial, n_train).read_text())
            return {
                float(level): Fit(test, train, seconds, tuple(warned))
                for level, test, train, seconds, warned in rows
            }
        except (OSError, ValueError, TypeError, IndexError):
            return {}

    def write(self, trial: int, n_train: int, fits: dict[float, Fit]) -> None:
        """Keep the fits of a trial at one size."""
        with whole(self._path(trial, n_train)) as temporary:
            temporary.write_text(json.dumps([[level, *fit] for level, fit in sorted(fits.items())]))

    def _path(self, trial: int, n_train: int) -> Path:
        return self.folder / f"trial-{trial:04d}-n{n_train}.json"


def data_key(task: Task) -> str:
    """Return a hash of all that a trial takes from its task."""
    numbers = [task.y, task.n_test, task.y_test, task.matrix, task.random_state, len(task.classes)]
    return str(joblib.hash([_plain(task.X), _plain(task.X_test), *numbers]))


def _plain(X: Any) -> Any:
    """Return inputs as arrays of numbers: the bytes of pickled texts depend on which of them share memory."""
    if X is None:
        return None
    if isinstance(X, pd.DataFrame):
        rows = _pandas_util.hash_pandas_object(X, index=False).to_numpy()
        return [rows, list(map(str, X.columns)), list(map(str, X.dtypes))]
    if hasattr(X, "tocsr"):
        return [X.data, X.indices, X.indptr, X.shape]
    if X.dtype.kind == "O":
        return _pandas_util.hash_array(np.ravel(X).astype(str)), X.shape
    return X


def estimator_key(estimator: Any) -> str | None:
    """Return a hash of an estimator's parameters and code; None where it has none that another session would share.

    Code from packages is known by their versions, code of one's own by the files of its classes, of their base classes
    and of all that those files import. What is made in a notebook stands in no file, and lambdas have no name.
    """
    model = fresh(estimator, 0)
    try:
        parameters = joblib.hash(model)
        pickled = pickle.dumps(model, protocol=2, fix_imports=False)
    # Whatever an object raises that cannot be pickled: PicklingError, TypeError, AttributeError, its own.
    except Exception:
        return None
    named = {
        tuple(str(arg).split()[:2]) for code, arg, _ in pickletools.genops(pickled) if code.name == "GLOBAL"
    }
    sources = _sources({module for name in named for module in _modules(*name)})
    return None if sources is None else str(joblib.hash([parameters, sources]))


def _modules(module: str, name: str) -> set[str]:
    """Return the modules that what is named there stands in: for a class, also those of its base classes."""
    bases = getattr(getattr(sys.modules.get(module), name, None), "__mro__", ())
    return {module, *(base.__module__ for base in bases)}


def _sources(modules: set[str]) -> list[tuple[str, str]] | None:
    """Return what tells one state of modules, and of all that they import, from another; None if one has no file.

    Imports are read off the files: what a session has loaded depends on what else it did.
    """
    if any(_is_own(name) and _file(name) is None for name in modules):
        return None
    versions: dict[str, str] = {}
    codes: dict[str, str] = {}
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        package = name.split(".")[0]
        known = name in codes or package in versions
        file = _file(name) if _is_own(name) and not known else None
        if file is None:
            continue
        installed = {"site-packages", "dist-packages"} & set(file.parts)
        if installed and (version := _version(package)):
            versions[package] = version
        else:
            code = file.read_bytes()
            codes[name] = str(joblib.hash(code))
            waiting |= _imported(name, file, code)
    return sorted((versions | codes).items())


def _is_own(name: str) -> bool:
    """Return whether a module is neither Python's nor of this library, which is in every key already."""
    package = name.split(".")[0]
    return package != "solvable" and package not in sys.stdlib_module_names


def _file(name: str) -> Path | None:
    """Return where a module stands; nothing is imported to find it."""
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
    else:
        path, parts, spec = None, name.split("."), None
        for i in range(len(parts)):
            spec = PathFinder.find_spec(".".join(parts[: i + 1]), path)
            if spec is None or (i + 1 < len(parts) and spec.submodule_search_locations is None):
                return None
            path = spec.submodule_search_locations
        file = spec.origin if spec is not None and spec.has_location else None
    return Path(file) if file is not None and Path(file).is_file() else None


@lru_cache
def _version(package: str) -> str:
    """Return the version of the distribution that a package came with; nothing where none is known."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # named otherwise, as scikit-learn is
        names = _distributions().get(package, ())
        return " ".join(f"{name} {metadata.version(name)}" for name in sorted(set(names)))


@lru_cache
def _distributions() -> Any:
    return metadata.packages_distributions()


def _imported(name: str, file: Path, code: bytes) -> set[str]:
    """Return the modules that a file imports, also inside its functions, and the packages that they stand in."""
    if file.suffix != ".py":
        return set()
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError):
        return set()
    parents = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # Each may be a module of that package, or stand in it.
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    parts = [one.split(".") for one in found if one.strip(".")]
    return {".".join(one[:i]) for one in parts for i in range(1, len(one) + 1)}
