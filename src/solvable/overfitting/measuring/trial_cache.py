"""Finished trials on disk, so that a second call, more trials, sizes or noise levels measure only what is missing."""

import importlib
import json
import pickle
import pickletools
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

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
    numbers = [task.y, task.y_test, task.matrix, task.random_state, len(task.classes)]
    return str(joblib.hash([_plain(task.X), _plain(task.X_test), *numbers]))


def _plain(X: Any) -> Any:
    """Return inputs as arrays of numbers: the bytes of pickled texts depend on which of them share memory."""
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

    Code from packages is known by their versions, code of one's own by the file that it stands in. What is made in a
    notebook stands in no file, and lambdas have no name.
    """
    model = fresh(estimator, 0)
    try:
        parameters = joblib.hash(model)
        pickled = pickle.dumps(model, protocol=2, fix_imports=False)
    # Whatever an object raises that cannot be pickled: PicklingError, TypeError, AttributeError, its own.
    except Exception:
        return None
    names = {str(arg).split()[0] for code, arg, _ in pickletools.genops(pickled) if code.name == "GLOBAL"}
    sources = [_code(name) for name in sorted(names)]
    return None if None in sources else str(joblib.hash([parameters, sources]))


def _code(name: str) -> str | None:
    """Return what tells one state of a module's code from another."""
    package = name.split(".")[0]
    if package in sys.stdlib_module_names:
        return name
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return None
    if {"site-packages", "dist-packages"} & set(Path(file).parts):
        return f"{name} {getattr(sys.modules[package], '__version__', '')}"
    return str(joblib.hash(Path(file).read_bytes()))
