"""Short hashes that identify equal runs: the same parameters, data and code.

The code of a trial is that of its own modules and of all modules they import, as found in the source files: which
modules a session has loaded depends on its history. Installed packages count by version, this library and the user's
own code by file content.
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

# Imports are found by pattern, since parsing this library would take a second. False matches can only make a key depend
# on more than it needs.
_IMPORT = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+([.\w]+)[ \t\\\n]+import[ \t\\\n]*(\([^)]*\)|[^\n;]*)|import[ \t]+([^\n;]*))",
    re.MULTILINE,
)
_NAME = re.compile(r"([\w.]+)(?:\s+as\s+\w+)?")
_LIBRARY = "solvable"


def trial_key(study: Study, parameters: Any, setting: Any) -> str:
    """Return the key of a study's trials; their number is not part of it, so more trials extend a run."""
    values = {f.name: as_json(getattr(parameters, f.name)) for f in fields(parameters) if f.name != "trials"}
    fingerprint = getattr(setting, "fingerprint", None)
    code = code_of(study.trial, study.prepare)
    return short_hash([study.name, values, fingerprint, *code])


def record_key(study: Study, parameters: Any, setting: Any) -> str:
    """Return the key of a run: the key and number of its trials, and the code that turns them into a record."""
    trials = getattr(parameters, "trials", 1)
    code = code_of(study.predict, study.plot, study.conclude, study.details)
    return short_hash([trial_key(study, parameters, setting), trials, *code])


def object_key(value: Any) -> str | None:
    """Return a hash of the attributes and code of an object, such as an estimator; None if no other session shares it.

    Code of a notebook is in no file, and lambdas have no name.
    """
    try:
        attributes = joblib.hash(value)
        pickled = pickle.dumps(value, protocol=2, fix_imports=False)
    # Objects that cannot be pickled raise PicklingError, TypeError, AttributeError or their own errors.
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
    """Return a hash of an array, a table, a sparse matrix, or anything else that joblib can hash."""
    return str(joblib.hash(_as_arrays(X)))


def code_of(*functions: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the code behind functions or classes: module -> hash of its file, and installed package -> version.

    A function without a file is identified by its own source.
    """
    modules = {function.__module__ for function in functions}
    files, packages = _closure(modules)
    for function in functions:
        if _file(function.__module__) is None:
            name = f"{function.__module__}.{getattr(function, '__qualname__', '')}"
            files[name] = short_hash(_own_source(function))
    return files, packages


def short_hash(value: Any) -> str:
    """Return a hash of a JSON-serialisable value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _own_source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr(function) if code is None else repr((code.co_code, code.co_consts))


def _as_arrays(X: Any) -> Any:
    """Return inputs as numeric arrays: the bytes of pickled strings depend on which of them share memory."""
    if isinstance(X, pd.DataFrame):
        rows = _pandas_util.hash_pandas_object(X, index=False).to_numpy()
        return [rows, list(map(str, X.columns)), list(map(str, X.dtypes))]
    if hasattr(X, "tocsr"):
        return [X.data, X.indices, X.indptr, X.shape]
    if getattr(getattr(X, "dtype", None), "kind", "") == "O":
        return _pandas_util.hash_array(np.ravel(X).astype(str)), X.shape
    return X


def _modules(module: str, name: str) -> set[str]:
    """Return the modules that define an object; for a class, also those of its base classes."""
    bases = getattr(getattr(sys.modules.get(module), name, None), "__mro__", ())
    return {module, *(base.__module__ for base in bases)}


def _closure(modules: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the file hashes of modules and all their imports, and the versions of installed packages."""
    files: dict[str, str] = {}
    versions: dict[str, str] = {}
    pending = set(modules)
    while pending:
        name = pending.pop()
        package = name.split(".")[0]
        if name in files or package in versions or not _is_hashed(name) or (file := _file(name)) is None:
            continue
        site_folders = {"site-packages", "dist-packages"} & set(file.parts)
        if package != _LIBRARY and site_folders and (version := _version(package)):
            versions[package] = version
            continue
        stat = file.stat()
        files[name], imports = _read(name, file, stat.st_mtime_ns, stat.st_size)
        pending |= imports
    return dict(sorted(files.items())), dict(sorted(versions.items()))


def _is_hashed(name: str) -> bool:
    """Return whether a module's code is part of keys: that of the standard library is not, nor is its version."""
    return name.split(".")[0] not in sys.stdlib_module_names


def _file(name: str) -> Path | None:
    """Return the file of a module, without importing it."""
    parent = sys.modules.get(name.rpartition(".")[0])
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
    # An attribute of a loaded module is the most common case, and a search would take long.
    elif parent is not None and not hasattr(parent, "__path__"):
        return None
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
    """Return the version of the distribution that provides a package; an empty string if unknown."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # the names differ, as for scikit-learn
        names = _distributions().get(package, ())
        return " ".join(f"{name} {metadata.version(name)}" for name in sorted(set(names)))


@lru_cache
def _distributions() -> Any:
    return metadata.packages_distributions()


@lru_cache
def _library_modules() -> frozenset[str]:
    folder = Path(__file__).parent.parent
    paths = (path.relative_to(folder.parent).with_suffix("") for path in folder.rglob("*.py"))
    return frozenset(".".join(path.parts).removesuffix(".__init__") for path in paths)


@cache
def _read(name: str, file: Path, modified: int, size: int) -> tuple[str, frozenset[str]]:
    """Return the hash of a module's file, and the modules that it imports together with their packages.

    Packages of this library only collect names, so they count only if imported themselves. `modified` and `size` are
    part of the cache key, so that a changed file is read again.
    """
    code = file.read_bytes()
    digest = hashlib.sha256(code).hexdigest()
    if file.suffix != ".py":
        return digest, frozenset()
    parents = name.split(".") if file.stem == "__init__" else name.split(".")[:-1]
    imports: set[str] = set()
    for source, names, plain in _IMPORT.findall(code):
        if plain:
            modules = set(_NAME.findall(plain.decode(errors="replace")))
            if name.split(".")[0] != _LIBRARY and any(one.split(".")[0] == _LIBRARY for one in modules):
                modules |= _library_modules()  # `import solvable` reaches them all as attributes
            imports |= modules
            continue
        module = source.decode(errors="replace")
        level = len(module) - len(module.lstrip("."))
        above = parents[: len(parents) - level + 1] if level else []
        base = ".".join([*above, *([module[level:]] if module[level:] else [])])
        code_only = re.sub(r"#[^\n]*", "", names.decode(errors="replace"))
        # A name may be a submodule or an attribute.
        imports |= {base, *(f"{base}.{one}" for one in _NAME.findall(code_only))}
    above = {
        ".".join(parts[:i])
        for parts in (one.split(".") for one in imports if not one.startswith(f"{_LIBRARY}."))
        for i in range(1, len(parts))
    }
    return digest, frozenset(one for one in imports | above if one.strip("."))
