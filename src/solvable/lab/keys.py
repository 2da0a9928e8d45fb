"""Short hashes that say when two runs are the same: the same parameters, the same data, the same code.

The code of a trial is that of the modules in which it is written and of all that these import, read off the files:
which modules a session has loaded depends on what else it did. Of installed packages the version counts, of this
library and of code of one's own the content of the files.
"""

import hashlib
import importlib
import inspect
import json
import pickle
import pickletools
import re
import sys
from collections.abc import Iterable
from dataclasses import fields
from functools import cache, lru_cache
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from solvable.lab.parameters import as_json
from solvable.lab.study import Study

# Typed as unknown, since pandas' stubs hide it.
_pandas_util: Any = importlib.import_module("pandas.util")

# An import, as far as text shows it: parsing would take a second for this library. What only looks like one makes a key
# depend on more than it need, never on less.
_IMPORT = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+([.\w]+)[ \t\\\n]+import[ \t\\\n]*(\([^)]*\)|[^\n;]*)|import[ \t]+([^\n;]*))",
    re.MULTILINE,
)
_NAME = re.compile(r"([\w.]+)(?:\s+as\s+\w+)?")
_LIBRARY = "solvable"


def trial_key(study: Study, parameters: Any, setting: Any) -> str:
    """Return the key of a study's trials. How many there are is not in it: more trials extend a run."""
    values = {f.name: as_json(getattr(parameters, f.name)) for f in fields(parameters) if f.name != "trials"}
    fingerprint = getattr(setting, "fingerprint", None)
    code = code_of(study.trial, study.prepare)
    return short_hash([study.name, values, fingerprint, *code])


def record_key(study: Study, parameters: Any, setting: Any) -> str:
    """Return the key of a whole run: its trials' key, how many there are, and the code that makes a record of them."""
    trials = getattr(parameters, "trials", 1)
    code = code_of(study.predict, study.plot, study.conclude)
    return short_hash([trial_key(study, parameters, setting), trials, *code])


def object_key(value: Any) -> str | None:
    """Return a hash of an object's attributes and code; None where it has none that another session would share.

    What is made in a notebook stands in no file, and lambdas have no name.

    Args:
        value: such as an estimator.
    """
    try:
        attributes = joblib.hash(value)
        pickled = pickle.dumps(value, protocol=2, fix_imports=False)
    # Whatever an object raises that cannot be pickled: PicklingError, TypeError, AttributeError, its own.
    except Exception:
        return None
    names = {
        tuple(str(arg).split()[:2]) for code, arg, _ in pickletools.genops(pickled) if code.name == "GLOBAL"
    }
    modules = {module for name in names for module in _modules(*name)}
    if any(_file(module) is None for module in modules if _is_hashed(module)):
        return None
    return short_hash([attributes, *_closure(modules)])


def data_key(X: Any) -> str:
    """Return a hash of an array, table or sparse matrix, or of anything that joblib can hash."""
    return str(joblib.hash(_plain(X)))


def code_of(*functions: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the code that functions run: module -> hash of its file, and installed package -> version.

    A function that stands in no file is known by its own source.

    Args:
        functions: or classes.
    """
    modules = {function.__module__ for function in functions}
    files, packages = _closure(modules)
    for function in functions:
        if _file(function.__module__) is None:
            name = f"{function.__module__}.{getattr(function, '__qualname__', '')}"
            files[name] = short_hash(_own_source(function))
    return files, packages


def short_hash(value: Any) -> str:
    """Return a hash of a value that JSON can express."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _own_source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr(function) if code is None else repr((code.co_code, code.co_consts))


def _plain(X: Any) -> Any:
    """Return inputs as arrays of numbers: the bytes of pickled texts depend on which of them share memory."""
    if isinstance(X, pd.DataFrame):
        rows = _pandas_util.hash_pandas_object(X, index=False).to_numpy()
        return [rows, list(map(str, X.columns)), list(map(str, X.dtypes))]
    if hasattr(X, "tocsr"):
        return [X.data, X.indices, X.indptr, X.shape]
    if getattr(getattr(X, "dtype", None), "kind", "") == "O":
        return _pandas_util.hash_array(np.ravel(X).astype(str)), X.shape
    return X


def _modules(module: str, name: str) -> set[str]:
    """Return the modules that what is named there stands in: for a class, also those of its base classes."""
    bases = getattr(getattr(sys.modules.get(module), name, None), "__mro__", ())
    return {module, *(base.__module__ for base in bases)}


def _closure(modules: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return hashes of the files of modules and of all that they import, and the versions of installed packages."""
    files: dict[str, str] = {}
    versions: dict[str, str] = {}
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        package = name.split(".")[0]
        if name in files or package in versions or not _is_hashed(name) or (file := _file(name)) is None:
            continue
        installed = {"site-packages", "dist-packages"} & set(file.parts)
        if package != _LIBRARY and installed and (version := _version(package)):
            versions[package] = version
            continue
        state = file.stat()
        files[name], imported = _read(name, file, state.st_mtime_ns, state.st_size)
        waiting |= imported
    return dict(sorted(files.items())), dict(sorted(versions.items()))


def _is_hashed(name: str) -> bool:
    """Return whether a module's code counts: Python's own does not, its version is no part of what a trial is."""
    return name.split(".")[0] not in sys.stdlib_module_names


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


@cache
def _read(name: str, file: Path, modified: int, size: int) -> tuple[str, frozenset[str]]:
    """Return the hash of a file, and the modules that it imports with the packages that these stand in.

    The packages of this library only collect names, so they count where they are imported themselves.

    Args:
        name: of the module.
        file: where it stands.
        modified: when it was changed last, so that a changed file is read again.
        size: of the file, likewise.
    """
    code = file.read_bytes()
    digest = hashlib.sha256(code).hexdigest()
    if file.suffix != ".py":
        return digest, frozenset()
    parents = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
    imported: set[str] = set()
    for source, names, plain in _IMPORT.findall(code):
        if plain:
            imported |= set(_NAME.findall(plain.decode(errors="replace")))
            continue
        module = source.decode(errors="replace")
        level = len(module) - len(module.lstrip("."))
        above = parents[: len(parents) - level + 1] if level else []
        base = ".".join([*above, *([module[level:]] if module[level:] else [])])
        uncommented = re.sub(r"#[^\n]*", "", names.decode(errors="replace"))
        # Each name may be a module of that package, or stand in it.
        imported |= {base, *(f"{base}.{one}" for one in _NAME.findall(uncommented))}
    above = {
        ".".join(parts[:i])
        for parts in (one.split(".") for one in imported if not one.startswith(f"{_LIBRARY}."))
        for i in range(1, len(parts))
    }
    return digest, frozenset(one for one in imported | above if one.strip("."))
