"""`Dataset`, and the functions that return one: `load` by name or from a file, `from_arrays` from memory."""

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
from solvable.datasets.files import LONGEST_PATH, listed
from solvable.datasets.labels import Task, decide, declares_classes, encode, name_of_target, split_missing
from solvable.datasets.readers import FILE_TYPES, Source, at_least_two, open_file
from solvable.datasets.sampling import draw_rows
from solvable.errors import InputError
from solvable.streams import short

if TYPE_CHECKING:
    from solvable.datasets.columns import Origin

NAMES = ("digits", "wine", "breast-cancer", "diabetes", "mnist", "cifar10")

_TASKS = ("auto", "classes", "number")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets, ready for a kernel, and a record of their preparation.

    Attributes:
        name: the name or path of the data.
        X: inputs `(n, d)`, scaled, dimensionless.
        y: targets `(n, c)`: one-hot columns minus 1/c for classes, or a centred number in its own units.
        labels: the labels before encoding `(n,)`, or None if the target is a number.
        classes: the name of each column of `y`; empty if the target is a number.
        notes: one sentence for each change to the data and for each caveat.
        encoder: the fitted scikit-learn transformer from raw inputs to `X`: `encoder.transform(inputs)`. It accepts a
            table with the same column names (without a header: `"0"`, `"1"`, ...), in any order and with further
            columns; an array with all its columns; or images of the same shape. A text not present in the data is
            zero in every one-hot column before scaling.
        offset: number subtracted from each column of the target `(c,)`: its mean, in its own units, or 1/c.
        target_name: the name of the target, if it has one.
        n_rows: number of rows in the source; `len(X)` unless rows were dropped.
        rows: the numbers of these rows in the source `(n,)`, ascending.
        fingerprint: short hash of `X` and `y`, equal for equal numbers.
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

    @property
    def distinct(self) -> Int[NDArray, "distinct"]:
        """The places in `X` of the rows that repeat no row before them, ascending."""
        # 0.0 and -0.0 are equal, but their bytes differ.
        first = {(row + 0.0).tobytes(): i for i, row in reversed(list(enumerate(self.X)))}
        return np.sort(list(first.values()))

    def without_repeats(self) -> "Dataset":
        """Return the data set with one row of each that are equal, and a note on it.

        >>> data = from_arrays([[0.0], [1.0], [0.0]] * 4, [0.5, 1.5, 2.5] * 4).without_repeats()
        >>> len(data.X), data.notes[-1]
        (2, '10 of 12 rows repeat another one and are left out: errors are those on rows that the sample does not have')
        """
        kept = self.distinct
        if not (left_out := len(self.X) - len(kept)):
            return self
        note = (
            f"{left_out} of {len(self.X)} rows repeat another one and are left out: errors are those on rows that the "
            "sample does not have"
        )
        return replace(
            self,
            X=self.X[kept],
            y=self.y[kept],
            labels=None if self.labels is None else self.labels[kept],
            rows=self.rows[kept],
            notes=(*self.notes, note),
        )


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
    """Return a data set by name, or from the user's file.

    Tables are scaled per column to mean 0 and standard deviation 1 (constant columns are dropped), images by
    one global mean and standard deviation. Text with at most 30 different values becomes one-hot columns, scaled
    together to mean 0 and total variance 1, the variance of one numeric column. Booleans are 0 and 1.
    Classes are encoded by `encode_targets`; a target that is a number has its mean subtracted.

    Args:
        name_or_path: `digits`, `wine`, `breast-cancer`, `diabetes` (from scikit-learn); `mnist`, `cifar10`
            (from the folder named by the environment variable `SOLVABLE_DATA`: `mnist.npz`,
            `cifar10_subset.npz`, training part); or a path to a `.npz` (arrays X and y, x_train and y_train,
            or data and target), `.csv` or `.parquet` file.
        target: the column (in a `.npz`: the array) to predict; by default the one named target, label or y, otherwise
            the last column.
        task: meaning of integers in a file: `classes`, `number`, or `auto`: classes if there are at most 30 different
            integers with five rows each on average, otherwise a number.
        missing: treatment of missing values in a file: `drop` the rows, or fill in the column's `mean` (for text, a
            value of its own); None: refuse them. Rows without a target are dropped by both.
        drop: columns of a `.csv` or `.parquet` file to remove.
        rows: larger data sets are subsampled at random to this many rows, stratified by class; a larger `.csv` or
            `.parquet` file is never in memory as a whole. None: all rows.
        random_state: seed of the subsample.
        quiet: whether to hide the progress bar, which appears only if stderr is a terminal.

    Raises:
        InputError: for an unknown data set, file or column, or data that cannot be used.

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
        shown = short(name, LONGEST_PATH)
        source = open_file(Path(name), shown, target, drop, rows=rows, quiet=quiet)
        return _finish(name, repr(shown), source, task, missing, rows, random_state, file=True)
    if name not in NAMES and (suffix or os.sep in name):
        got = f"a file ending in {short(suffix)!r}" if suffix else "a path without an ending"
        raise InputError(
            f"cannot read {short(name, LONGEST_PATH)!r}, {got}; expected a {', '.join(FILE_TYPES)} file: convert it"
        )
    try:
        choice("data set", short(name), NAMES)
    except InputError as error:
        raise InputError(f"{error} (or a path to a file: {', '.join(FILE_TYPES)})") from None
    if task != "auto":
        raise InputError(f"task={task!r} applies to files, but {name!r} has its own task; omit task")
    if target is not None:
        raise InputError(
            f"target={short(target)!r} chooses a column of a file, but {name!r} has its own target; omit target"
        )
    if missing is not None:
        raise InputError(
            f"missing={missing!r} applies to files, but {name!r} has no missing values; omit missing"
        )
    if drop:
        raise InputError(
            f"drop={listed(drop)!r} removes columns of a file, but {name!r} is a fixed data set; omit drop"
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
    """Return a data set from inputs and targets in memory; checked, scaled, encoded and documented as in `load`.

    Args:
        X: inputs: an array, list or tensor of numbers `(n, d)`, scaled per column; images `(n, ...)`, with one common
            scale; or a table of pandas, polars, pyarrow or another library, which may have text columns. Masked values
            are missing values.
        y: targets: labels or numbers `(n,)`, or floats `(n, outputs)`; may be a column of a table, in the same order of
            rows as X.
        task: meaning of integers in y, as in `load`; floats are numbers, unless the task is `classes` or they have
            pandas' category dtype, which makes them classes.
        missing: treatment of missing values, as in `load`.
        rows: larger data sets are subsampled to this many rows, as in `load`.
        random_state: seed of the subsample.
        name: name of the data in messages.

    Raises:
        InputError: for data that cannot be used.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"size": [1.0, 2.0, 4.0, 5.0], "kind": ["x", "y", "x", "y"]})
    >>> data = from_arrays(table, [3.0, 4.0, 8.0, 9.0])
    >>> data.X.shape, data.offset
    ((4, 3), array([6.]))
    >>> bool((data.encoder.transform(table) == data.X).all())
    True
    """
    from solvable.datasets.inputs import as_pandas, check_rows, given_inputs

    _check_choices(task, missing)
    inputs, names = given_inputs(X, name)
    targets = as_pandas(y)
    check_rows(X=inputs, y=targets)
    target_name = name_of_target(targets)
    images = isinstance(inputs, np.ndarray) and inputs.ndim > 2
    source = Source.of_arrays(inputs, targets, names=names, images=images, target_name=target_name)
    return _finish(name, name, source, task, missing, rows, random_state)


def _check_choices(task: str, missing: str | None) -> None:
    choice("task", task, _TASKS)
    if missing is not None:
        choice("treatment of missing values", missing, ("drop", "mean"))


def _finish(
    name: str,
    name_in_messages: str,
    source: Source,
    task: Task | None,
    missing: Missing,
    rows: int | None,
    random_state: int,
    file: bool = False,
) -> Dataset:
    """Return the data set of a source: check, choose rows, scale and encode."""
    from solvable.datasets.columns import Origin
    from solvable.datasets.encoding import encode_inputs
    from solvable.datasets.inputs import check_lengths

    origin = Origin(name_in_messages, file, source.names)
    notes = list(source.notes)
    labels, present, target_notes = _present_targets(source, origin, missing)
    if source.n_inputs is not None:
        check_lengths(source.n_inputs, len(present), f"X in {name_in_messages}" if file else "X")
    at_least_two(name_in_messages, len(present))
    at_least_two(name_in_messages, len(labels))
    choose_number = '--task number (in Python: task="number")' if file else 'task="number"'
    if task == "auto" and declares_classes(source.y):
        task = "classes"
    labels, kind_notes = decide(labels, task, source.target_name, choose_number)
    n_rows, n_present = len(present), int(present.sum())
    indices = np.flatnonzero(present)
    if rows is not None and rows < n_present:
        labels, indices, sample_note = _draw(labels, indices, rows, random_state)
        notes.append(sample_note)
    raw = source.read(None if len(indices) == n_rows else indices)
    origin = replace(origin, rows=indices)
    X, keep, encoder, input_notes = encode_inputs(raw, origin, images=source.images, missing=missing)
    labels = labels[keep]
    # 0.0 and -0.0 are equal, but their bytes differ.
    duplicates = len(X) - len({hash((row + 0).tobytes()) for row in X})
    y, classes, offset, encoding_notes = encode(labels)
    notes += [*target_notes, *input_notes, *kind_notes, *encoding_notes]
    if duplicates:
        notes.append(f"{duplicates} of {len(X)} rows of X are duplicates of another row")
    return Dataset(
        name,
        X,
        y,
        labels if classes else None,
        classes,
        tuple(notes),
        encoder,
        offset,
        source.target_name,
        n_rows,
        indices[keep],
    )


def _present_targets(
    source: Source, origin: "Origin", missing: str | None
) -> tuple[Shaped[NDArray, "n *c"], Shaped[NDArray, "rows"], list[str]]:
    """Return the targets that are not missing, a mask of their rows, and a note on the others."""
    file_target = f"target column {short(source.target_name)!r} of {origin.shown}"
    labels, absent = split_missing(source.y, file_target if origin.file else "the target")
    integers = labels.dtype.kind == "i" and getattr(getattr(source.y, "dtype", None), "kind", "") == "f"
    if not absent.any():
        return labels, ~absent, []
    if missing is None:
        where = file_target if origin.file else "the target"
        raise InputError(
            f"{where} has {absent.sum()} missing values in {len(absent)} rows ({absent.mean():.1%}), the first in data "
            f"row {absent.argmax() + 1}; expected none: drop these rows with {origin.option('missing', 'drop')}"
        )
    notes = [f"{absent.sum()} of {len(absent)} rows dropped because their target is missing"]
    if integers:
        notes.append(
            "the target's floats are whole numbers beside missing ones, so they are taken for integers"
        )
    return labels, ~absent, notes


def _draw(
    labels: Shaped[NDArray, "n *c"], numbers: NDArray[np.int64], rows: int, random_state: int
) -> tuple[Shaped[NDArray, "rows *c"], NDArray[np.int64], str]:
    """Return some of the labels, the numbers of their rows, and a note."""
    import pandas as pd

    codes, classes = (None, ()) if labels.dtype.kind == "f" else pd.factorize(labels)
    sample = draw_rows(codes, len(numbers), rows, random_state)
    note = f"{rows} of {len(numbers)} rows, drawn at random"
    if codes is not None:
        n_classes = len(np.unique(codes[sample]))
        if n_classes == rows:
            raise InputError(
                f"rows={rows} is too few for {len(classes)} classes; expected at least {2 * len(classes)}, two of each"
            )
        note += " (stratified by class)"
        if n_classes < len(classes):
            note += f", which omits {len(classes) - n_classes} of {len(classes)} classes"
    return labels[sample], numbers[sample], note


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
    remedy = f"set the environment variable SOLVABLE_DATA to the folder with {file}; nothing is downloaded"
    if not folder:
        raise InputError(f"data set {name!r} is read from disk, but SOLVABLE_DATA is not set; {remedy}")
    path = Path(folder).expanduser() / file
    if not path.is_file():
        raise InputError(f"data set {name!r} is read from disk, but there is no file {str(path)!r}; {remedy}")
    return open_file(path, name)
