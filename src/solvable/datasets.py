"""Data sets as plain arrays: `load` reads one by name or from a file, `encode_targets` makes labels numbers.

Nothing is downloaded. What was done to the data (scaling, encoding, dropped columns) is said in
`Dataset.notes`.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError, choice, finite
from solvable.readers import FILE_TYPES, Raw, at_least_two, read_file

NAMES = ("digits", "wine", "breast-cancer", "diabetes", "mnist", "cifar10")

_MIN_ROWS_A_CLASS = 5
_MOST_CLASSES = 30


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets, ready for a kernel, and what was done to them.

    Attributes:
        name: the name or path it was loaded by.
        X: inputs `(n, d)`, scaled, dimensionless.
        y: targets `(n, c)`: one-hot columns minus 1/c for classes, in its own units for a number.
        labels: the labels before encoding `(n,)`, or None where the target is a number.
        classes: the name of each column of `y`; empty where the target is a number.
        notes: one sentence for each thing that was done to the data, or that a reader should know.
        fingerprint: short hash of `X` and `y`; results computed from the same numbers carry the same one.
    """

    name: str
    X: Float[NDArray, "n d"] = field(repr=False)
    y: Float[NDArray, "n c"] = field(repr=False)
    labels: Shaped[NDArray, "n"] | None = field(repr=False)
    classes: tuple[str, ...]
    notes: tuple[str, ...] = field(repr=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(repr((self.X.shape, self.y.shape)).encode())
        for array in (self.X, self.y):
            digest.update(np.ascontiguousarray(array).data)
        object.__setattr__(self, "fingerprint", digest.hexdigest()[:12])


def load(
    name_or_path: str | Path = "digits",
    target: str | None = None,
    task: Literal["auto", "classes", "number"] = "auto",
) -> Dataset:
    """Return a data set by name, or from a file of the user's own.

    Tables are scaled per column to mean 0 and standard deviation 1 (constant columns are dropped), images by
    one global mean and standard deviation. Classes are encoded by `encode_targets`; a target that is a number
    has its mean subtracted.

    Args:
        name_or_path: `digits`, `wine`, `breast-cancer`, `diabetes` (from scikit-learn); `mnist`, `cifar10`
            (from the folder named by the environment variable `SOLVABLE_DATA`: `mnist.npz`,
            `cifar10_subset.npz`, training part); or a path to a `.npz` (arrays X and y, x_train and y_train,
            or data and target), `.csv` or `.parquet` file.
        target: the column (in a `.npz`: the array) to predict; by default one named target, label or y, else
            the last column.
        task: what integers in a file mean: `classes`, `number`, or `auto`: classes when they are at most 30
            different ones with five rows each on average, else a number.

    Raises:
        InputError: when there is no such data set, file or column, or the data cannot be used as they are.

    >>> data = load("digits")
    >>> data.X.shape, data.y.shape, data.classes[:3]
    ((1797, 64), (1797, 10), ('0', '1', '2'))
    >>> print(data.notes[0])
    images flattened to 64 numbers and scaled by one global mean 4.884 and standard deviation 6.017
    """
    name = str(name_or_path)
    suffix = Path(name).suffix.lower()
    if suffix in FILE_TYPES:
        return _finish(
            name,
            read_file(Path(name).expanduser(), name, target),
            choice("task", task, ("auto", "classes", "number")),
        )
    if name not in NAMES and (suffix or os.sep in name):
        got = f"a file ending in {suffix!r}" if suffix else "a path without an ending"
        raise InputError(
            f"cannot read {name!r}, {got}; expected {', '.join(FILE_TYPES)}: convert it to one of them"
        )
    try:
        choice("data set", name, NAMES)
    except InputError as error:
        raise InputError(f"{error} (or a path to a file: {', '.join(FILE_TYPES)})") from None
    if task != "auto":
        raise InputError(f"task={task!r} says how to read a file, but {name!r} has its own; leave it out")
    if target is not None:
        raise InputError(
            f"target={target!r} chooses a column of a file, but {name!r} has its own target; leave it out"
        )
    return _from_folder(name) if name in ("mnist", "cifar10") else _from_sklearn(name)


def encode_targets(y: ArrayLike) -> tuple[Float[NDArray, "n c"], tuple[str, ...]]:
    """Return targets as columns of numbers, and the classes they stand for.

    Integers, strings and booleans are labels: they become one-hot columns minus 1/c, c the number of classes,
    in sorted order. A float array `(n,)` or `(n, c)` is used as given and has no classes.

    Args:
        y: labels `(n,)`, or numbers `(n,)` or `(n, c)`; at least two samples.

    Returns:
        targets `(n, c)` and the names of the classes, `()` for numbers.

    Raises:
        InputError: for a constant target, NaN, fewer than two samples, a wrong number of dimensions, or as
            many classes as samples.

    >>> encode_targets(["cat", "dog", "cat"])
    (array([[ 0.5, -0.5],
           [-0.5,  0.5],
           [ 0.5, -0.5]]), ('cat', 'dog'))
    >>> encode_targets([1.5, 2.0])
    (array([[1.5],
           [2. ]]), ())
    """
    array = _plain(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise InputError(f"the target must have shape (n,) or (n, c); got {array.shape}")
    if len(array) < 2:
        raise InputError(f"the target has {len(array)} samples; expected at least 2")
    if array.dtype.kind == "f":
        finite("the target", array, "drop these samples first")
        columns = np.asarray(array.reshape(len(array), -1), dtype=np.float64)
        if columns.shape[1] == 0 or (columns == columns[0]).all():
            raise InputError(
                "the target is constant, so there is nothing to learn; expected two or more values"
            )
        return columns, ()
    if array.ndim == 2:
        raise InputError(
            f"a target of shape {array.shape} with integers or text is ambiguous; expected one label per "
            "sample, (n,), or numbers (n, c) as floats: y.astype(float)"
        )
    values, codes = np.unique(array, return_inverse=True)
    if len(values) == 1:
        raise InputError(
            f"the target has one class only, {values[0]!s}, so there is nothing to learn; expected two"
        )
    if len(values) == len(array):
        raise InputError(
            f"the target has as many classes as samples ({len(array)}), so it looks like an identifier or a "
            "number; expected labels that repeat, or numbers as floats: y.astype(float)"
        )
    onehot = np.full((len(array), len(values)), -1 / len(values))
    onehot[np.arange(len(array)), codes] += 1
    return onehot, tuple(str(value) for value in values)


def _plain(y: ArrayLike) -> NDArray:
    """Return a target as an array of floats, or of integers, booleans or strings where it holds labels."""
    array = np.asarray(y)
    if array.dtype.kind == "O":
        flat = array.ravel().tolist()
        missing = sum(value is None or value != value for value in flat)
        if missing:
            raise InputError(f"the target has {missing} missing values; drop these samples first")
        if all(isinstance(value, str) for value in flat):
            return array.astype(str)
        kinds = {type(value).__name__ for value in flat}
        if kinds <= {"bool", "int"}:
            return array.astype(np.int64)
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
            raise InputError(
                f"the target mixes {', '.join(sorted(kinds))}; expected labels or numbers"
            ) from None
    if array.dtype.kind not in "fiubUS":
        raise InputError(
            f"the target has type {array.dtype}; expected numbers, integers, booleans or strings"
        )
    return array


def _finish(name: str, raw: Raw, task: str | None = None) -> Dataset:
    """Check, scale and encode: what every source has in common."""
    notes = list(raw.notes)
    n = len(raw.X)
    flat = raw.X.reshape(n, -1)
    at_least_two(name, n)
    if (n_targets := len(np.atleast_1d(np.asarray(raw.y)))) != n:
        raise InputError(f"{name!r} has {n} inputs and {n_targets} targets; expected as many of both")
    _check_finite(name, flat, raw.columns)
    # Rows are compared before scaling, where equal rows are equal bytes; adding 0 makes -0.0 equal to 0.0.
    duplicates = n - len({hash((row + 0).tobytes()) for row in flat})
    X, scaling = _scale_images(flat) if raw.images else _scale_columns(name, flat, raw.columns)
    notes += scaling
    y, labels, classes, encoding = _encode(raw.y, task)
    notes += encoding
    if duplicates:
        notes.append(
            f"{duplicates} of {n} rows of X are duplicates of another row: leave-one-out is optimistic on "
            "them, and so is every prediction that rests on it"
        )
    return Dataset(name, X, y, labels, classes, tuple(notes))


def _encode(
    target: ArrayLike, task: str | None
) -> tuple[NDArray[np.float64], NDArray | None, tuple[str, ...], list[str]]:
    """Return targets, labels, classes and notes."""
    labels = _plain(target)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    distinct = len(np.unique(labels))
    notes = []
    many = distinct > min(len(labels) / _MIN_ROWS_A_CLASS, _MOST_CLASSES)
    if labels.dtype.kind in "iu" and labels.ndim == 1 and task and distinct > 1:
        if task == "number" or (task == "auto" and many):
            notes.append(
                f"the target holds {distinct} different integers in {len(labels)} rows and is taken as a number, not "
                "as classes (the task says which)"
            )
            labels = labels.astype(np.float64)
    elif task == "classes" and labels.ndim == 1:
        labels = labels.astype(str)
    y, classes = encode_targets(labels)
    if classes:
        notes.append(f"{len(classes)} classes encoded as one-hot columns minus 1/{len(classes)}")
        return y, labels, classes, notes
    mean = y.mean(axis=0)
    notes.append(f"the target's mean {', '.join(f'{m:.4g}' for m in mean)} was subtracted")
    if task == "auto" and distinct <= 10 and len(labels) >= _MIN_ROWS_A_CLASS * distinct:
        notes.append(
            f"the target has only {distinct} different values but is a float, so it is taken as a number; "
            "say that the task is classes if it names classes"
        )
    return y - mean, None, (), notes


def _scale_images(flat: NDArray) -> tuple[NDArray[np.float64], list[str]]:
    X = flat.astype(np.float64)
    mean, sd = X.mean(), X.std()
    if sd == 0:
        raise InputError("every pixel has the same value; expected images that differ")
    # In place: 60 000 images of 784 pixels are 376 MB already.
    X -= mean
    X /= sd
    scale = f"one global mean {mean:.4g} and standard deviation {sd:.4g}"
    return X, [f"images flattened to {flat.shape[1]} numbers and scaled by {scale}"]


def _scale_columns(
    name: str, flat: NDArray, columns: Sequence[str] | None
) -> tuple[NDArray[np.float64], list[str]]:
    notes = []
    constant = (flat == flat[0]).all(axis=0)
    if constant.all():
        raise InputError(f"every input column of {name!r} is constant; expected at least one that varies")
    if constant.any():
        dropped = [columns[i] if columns else str(i) for i in np.flatnonzero(constant).tolist()]
        shown = ", ".join(dropped[:5]) + (f" and {len(dropped) - 5} more" if len(dropped) > 5 else "")
        notes.append(f"{len(dropped)} constant column{'s' * (len(dropped) > 1)} dropped: {shown}")
    X = flat[:, ~constant].astype(np.float64)
    X -= X.mean(axis=0)
    X /= X.std(axis=0)
    notes.append(f"{X.shape[1]} columns scaled to mean 0 and standard deviation 1 each")
    return X, notes


def _check_finite(name: str, flat: NDArray, columns: Sequence[str] | None) -> None:
    if columns is None:
        finite(f"X in {name!r}", flat, "drop or fill these values first")
        return
    bad = ~np.isfinite(flat)
    if not bad.any():
        return
    row, column = (int(i) for i in np.argwhere(bad)[0])
    raise InputError(
        f"column {columns[column]!r} of {name!r} has {int(bad[:, column].sum())} missing or infinite values, "
        f"the first in data row {row + 1}; drop these rows or fill the values first"
    )


def _from_sklearn(name: str) -> Dataset:
    from sklearn import datasets

    loader = {
        "digits": datasets.load_digits,
        "wine": datasets.load_wine,
        "breast-cancer": datasets.load_breast_cancer,
        "diabetes": datasets.load_diabetes,
    }[name]
    bunch: Any = loader()
    columns = [str(column) for column in bunch.feature_names]
    raw = Raw(bunch.data, bunch.target, columns=columns, images=name == "digits")
    return _finish(name, raw)


def _from_folder(name: str) -> Dataset:
    file = {"mnist": "mnist.npz", "cifar10": "cifar10_subset.npz"}[name]
    folder = os.environ.get("SOLVABLE_DATA")
    mend = (
        f"set the environment variable SOLVABLE_DATA to the folder that holds {file}; nothing is downloaded"
    )
    if not folder:
        raise InputError(f"data set {name!r} is read from your disk and SOLVABLE_DATA is not set; {mend}")
    path = Path(folder).expanduser() / file
    if not path.is_file():
        raise InputError(
            f"data set {name!r} is read from your disk and there is no file {str(path)!r}; {mend}"
        )
    return _finish(name, read_file(path, name))
