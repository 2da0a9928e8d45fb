"""`Dataset`, and the two ways to one: `load` by name or from a file, `from_arrays` from what is in memory."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import NDArray

from solvable.checks import choice
from solvable.datasets.encoding import Missing
from solvable.datasets.labels import Task, decide, encode, split_missing
from solvable.datasets.readers import FILE_TYPES, Source, at_least_two, open_file
from solvable.datasets.sampling import draw_rows
from solvable.errors import InputError

if TYPE_CHECKING:
    from solvable.datasets.columns import Origin

NAMES = ("digits", "wine", "breast-cancer", "diabetes", "mnist", "cifar10")

_TASKS = ("auto", "classes", "number")


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
        encoder: the fitted scikit-learn transformer from inputs as they were given to `X`:
            `encoder.transform(inputs)`. It takes a table by the names of its columns, in any order and with others
            beside them (of a file without a header: `"0"`, `"1"`, ...); an array with all its columns; images as
            they were. A text that it has not seen is zero in every one-hot column before scaling.
        offset: what was subtracted from each column of the target `(c,)`: its mean, in its own units, or 1/c.
        target_name: the name of the target, where it has one.
        n_rows: the number of rows where the data come from; `len(X)` unless rows were left out.
        rows: which of those rows these are `(n,)`, ascending.
        fingerprint: short hash of `X` and `y`; results computed from the same numbers carry the same one.
    """

    name: str
    X: Float[NDArray, "n d"] = field(repr=False)
    y: Float[NDArray, "n c"] = field(repr=False)
    labels: Shaped[NDArray, "n"] | None = field(repr=False)
    classes: tuple[str, ...]
    notes: tuple[str, ...] = field(repr=False)
    encoder: Any = field(repr=False)
    offset: Float[NDArray, "c"] = field(repr=False)
    target_name: str | None
    n_rows: int
    rows: Int[NDArray, "n"] = field(repr=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(repr((self.X.shape, self.y.shape)).encode())
        for array in (self.X, self.y):
            digest.update(np.ascontiguousarray(array).data)
        object.__setattr__(self, "fingerprint", digest.hexdigest()[:12])


def load(
    name_or_path: str | Path = "digits",
    target: str | None = None,
    task: Task = "auto",
    missing: Missing = None,
    drop: Sequence[str] = (),
    rows: int | None = None,
    random_state: int = 0,
    quiet: bool = False,
) -> Dataset:
    """Return a data set by name, or from a file of the user's own.

    Tables are scaled per column to mean 0 and standard deviation 1 (constant columns are dropped), images by
    one global mean and standard deviation. Text with at most 30 different values becomes one-hot columns, those of
    each text scaled to mean 0 and total variance 1: as much as one column of numbers has. Booleans are 0 and 1.
    Classes are encoded by `encode_targets`; a target that is a number has its mean subtracted.

    Args:
        name_or_path: `digits`, `wine`, `breast-cancer`, `diabetes` (from scikit-learn); `mnist`, `cifar10`
            (from the folder named by the environment variable `SOLVABLE_DATA`: `mnist.npz`,
            `cifar10_subset.npz`, training part); or a path to a `.npz` (arrays X and y, x_train and y_train,
            or data and target), `.csv` or `.parquet` file.
        target: the column (in a `.npz`: the array) to predict; by default one named target, label or y, else
            the last column.
        task: what integers in a file mean: `classes`, `number`, or `auto`: classes when they are at most 30
            different ones with five rows each on average, else a number.
        missing: what to do with missing values in a file: `drop` the rows, or fill in the column's `mean` (of text:
            a value of its own); None: refuse them. Rows without a target are dropped by both.
        drop: columns of a `.csv` or `.parquet` file to leave out.
        rows: how many rows to draw at random where there are more, each class in its proportion; a larger `.csv` or
            `.parquet` file is never in memory as a whole. None: all rows.
        random_state: seed of the draw.
        quiet: whether to show no progress bar; there is none where stderr is no terminal.

    Raises:
        InputError: when there is no such data set, file or column, or the data cannot be used as they are.

    >>> data = load("digits")
    >>> data.X.shape, data.y.shape, data.classes[:3]
    ((1797, 64), (1797, 10), ('0', '1', '2'))
    >>> print(data.notes[0])
    images flattened to 64 numbers and scaled by one global mean 4.884 and standard deviation 6.017
    >>> print(load("digits", rows=300).notes[0])
    300 of 1797 rows, drawn at random (stratified by class)
    """
    name = str(name_or_path)
    suffix = Path(name).suffix.lower()
    if rows is not None and rows < 2:
        raise InputError(f"rows must be at least 2; got {rows}")
    if isinstance(drop, str):
        drop = (drop,)
    if suffix in FILE_TYPES:
        _check_choices(task, missing)
        source = open_file(Path(name).expanduser(), name, target, drop, rows=rows, quiet=quiet)
        return _finish(name, repr(name), source, task, missing, rows, random_state, file=True)
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
    if missing is not None:
        raise InputError(
            f"missing={missing!r} says how to read a file, but {name!r} has no missing values; leave it out"
        )
    if drop:
        raise InputError(
            f"drop={', '.join(drop)!r} leaves out columns of a file, but {name!r} is used as it is; leave it out"
        )
    source = _from_folder(name) if name in ("mnist", "cifar10") else _from_sklearn(name)
    return _finish(name, repr(name), source, None, None, rows, random_state)


def from_arrays(
    X: Any,
    y: Any,
    *,
    task: Task = "auto",
    missing: Missing = None,
    rows: int | None = None,
    random_state: int = 0,
    name: str = "the data",
) -> Dataset:
    """Return a data set from inputs and targets in memory; checked, scaled, encoded and noted as `load` does.

    Args:
        X: inputs: an array, list or tensor of numbers `(n, d)`, columns scaled each; images `(n, ...)`, one scale for
            all; or a pandas table, text columns allowed.
        y: targets: labels or numbers `(n,)`, or floats `(n, outputs)`; a pandas column is fine.
        task: what integers in y mean, as in `load`; floats are numbers, unless it says `classes`.
        missing: what to do with missing values, as in `load`.
        rows: how many rows to draw at random where there are more, as in `load`.
        random_state: seed of the draw.
        name: what to call the data in messages.

    Raises:
        InputError: when the data cannot be used as they are.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"size": [1.0, 2.0, 4.0, 5.0], "kind": ["x", "y", "x", "y"]})
    >>> data = from_arrays(table, [3.0, 4.0, 8.0, 9.0])
    >>> data.X.shape, data.offset
    ((4, 3), array([6.]))
    >>> bool((data.encoder.transform(table) == data.X).all())
    True
    """
    from solvable.datasets.in_memory import given_inputs, given_targets

    _check_choices(task, missing)
    inputs, names = given_inputs(X, name)
    targets, target_name = given_targets(X, y)
    images = isinstance(inputs, np.ndarray) and inputs.ndim > 2
    source = Source.of_arrays(inputs, targets, names=names, images=images, target_name=target_name)
    return _finish(name, name, source, task, missing, rows, random_state)


def _check_choices(task: str, missing: str | None) -> None:
    choice("task", task, _TASKS)
    if missing is not None:
        choice("way with missing values", missing, ("drop", "mean"))


def _finish(
    name: str,
    shown: str,
    source: Source,
    task: Task | None,
    missing: Missing,
    rows: int | None,
    random_state: int,
    file: bool = False,
) -> Dataset:
    """Check, choose rows, scale and encode: what every source has in common."""
    from solvable.datasets.columns import Origin
    from solvable.datasets.encoding import encode_inputs

    origin = Origin(shown, file, source.names)
    notes = list(source.notes)
    n_targets = np.shape(source.y)[:1]
    if source.n_inputs is not None and n_targets not in ((), (source.n_inputs,)):
        raise InputError(
            f"{shown} has {source.n_inputs} inputs and {n_targets[0]} targets; expected as many of both"
        )
    labels, present, dropped = _present_targets(source, origin, missing)
    at_least_two(shown, len(labels))
    choose_number = '--task number (in Python: task="number")' if file else 'task="number"'
    labels, kind_notes = decide(labels, task, source.target_name, choose_number)
    n_rows, n_present = len(present), int(present.sum())
    chosen = np.flatnonzero(present)
    if rows is not None and rows < n_present:
        labels, chosen, drawn = _draw(labels, chosen, rows, random_state)
        notes.append(drawn)
    raw = source.read(None if len(chosen) == n_rows else chosen)
    origin = replace(origin, rows=chosen)
    X, keep, encoder, scaling = encode_inputs(raw, origin, images=source.images, missing=missing)
    labels = labels[keep]
    # 0.0 and -0.0 are equal, but not their bytes.
    duplicates = len(X) - len({hash((row + 0).tobytes()) for row in X})
    y, classes, offset, encoding = encode(labels)
    notes += [*dropped, *scaling, *kind_notes, *encoding]
    if duplicates:
        notes.append(
            f"{duplicates} of {len(X)} rows of X are duplicates of another row: leave-one-out is optimistic on "
            "them, and so is every prediction that rests on it"
        )
    kept_labels = labels if classes else None
    return Dataset(
        name,
        X,
        y,
        kept_labels,
        classes,
        tuple(notes),
        encoder,
        offset,
        source.target_name,
        n_rows,
        chosen[keep],
    )


def _present_targets(
    source: Source, origin: "Origin", missing: str | None
) -> tuple[Shaped[NDArray, "n *c"], Shaped[NDArray, "rows"], list[str]]:
    """Return the targets that are there, which rows have one, and a note on the others."""
    labels, absent = split_missing(source.y)
    if not absent.any():
        return labels, ~absent, []
    if missing is None:
        where = f"target column {source.target_name!r} of {origin.shown}" if origin.file else "the target"
        raise InputError(
            f"{where} has {absent.sum()} missing values in {len(absent)} rows ({absent.mean():.1%}), the first in data "
            f"row {absent.argmax() + 1}; expected none: drop these rows with {origin.option('missing', 'drop')}"
        )
    return labels, ~absent, [f"{absent.sum()} of {len(absent)} rows dropped, since their target is missing"]


def _draw(
    labels: Shaped[NDArray, "n *c"], numbers: NDArray[np.int64], rows: int, random_state: int
) -> tuple[Shaped[NDArray, "rows *c"], NDArray[np.int64], str]:
    """Return some of the labels, the numbers of their rows, and a note."""
    import pandas as pd

    codes, classes = (None, ()) if labels.dtype.kind == "f" else pd.factorize(labels)
    drawn = draw_rows(codes, len(numbers), rows, random_state)
    note = f"{rows} of {len(numbers)} rows, drawn at random"
    if codes is not None:
        kept = len(np.unique(codes[drawn]))
        if kept == rows:
            raise InputError(
                f"rows={rows} is too few for {len(classes)} classes; expected at least {2 * len(classes)}, two of each"
            )
        note += " (stratified by class)"
        if kept < len(classes):
            note += f", which leaves {len(classes) - kept} of {len(classes)} classes out"
    return labels[drawn], numbers[drawn], note


def _from_sklearn(name: str) -> Source:
    from sklearn import datasets

    loader = {
        "digits": datasets.load_digits,
        "wine": datasets.load_wine,
        "breast-cancer": datasets.load_breast_cancer,
        "diabetes": datasets.load_diabetes,
    }[name]
    bunch: Any = loader()
    columns = [str(column) for column in bunch.feature_names]
    return Source.of_arrays(bunch.data, bunch.target, names=columns, images=name == "digits")


def _from_folder(name: str) -> Source:
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
    return open_file(path, name)
