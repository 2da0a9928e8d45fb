"""The one door for data of a noise profile: checked, labels as numbers from 0, and how many samples to test on.

Everything that measures one comes through here: any estimator, a kernel, a net epoch by epoch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite
from solvable.datasets.in_memory import as_array
from solvable.datasets.labels import Task as Kind
from solvable.datasets.labels import decide, split_missing
from solvable.datasets.sampling import class_shares
from solvable.errors import InputError
from solvable.overfitting.label_noise import Channel, channel_matrix
from solvable.overfitting.task import Task

# Test points beyond these make errors no more certain than the trials are.
_MOST_TEST = 2000
_TEST_SHARE = 0.2
# Floats of fewer rows to each value are numbers, also where they are whole.
_ROWS_A_CLASS = 5


def prepare(
    X: Any,
    y: Any,
    *,
    X_test: Any = None,
    y_test: Any = None,
    test_size: float | int | None = None,
    kind: Kind = "auto",
    channel: "Channel | ArrayLike" = "symmetric",
    random_state: int = 0,
    nan_allowed: bool = False,
) -> Task:
    """Return the task that data pose: checked, labels as numbers from 0.

    Args:
        X: inputs, one row for each sample: array, table, sparse matrix, images, or texts.
        y: clean labels: integers, text or booleans name classes, floats are numbers, unless `kind` says otherwise.
        X_test: test inputs, with `y_test` their clean labels; by default a part of X, another in each trial.
        y_test: see `X_test`.
        test_size: how many samples to keep for testing, or which share; by default a fifth, at most 2000.
        kind: what y is; auto: as `datasets.load` decides.
        channel: label noise, as in `flip_labels`.
        random_state: seed of all trials and their splits, a whole number of at least 0.
        nan_allowed: whether the estimator takes missing inputs.

    Raises:
        InputError: for data that cannot be used.
    """
    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)) or random_state < 0:
        raise InputError(f"random_state must be a whole number of at least 0; got {random_state!r}")
    X = _inputs(X, "X", nan_allowed)
    if len_of(X) == 0:
        raise InputError("X has no samples; expected some hundreds: give more data")
    labels = _labels(y, "y", len_of(X), kind)
    own_test, labels_test = X_test is not None or y_test is not None, np.empty(0)
    if own_test:
        if X_test is None or y_test is None:
            raise InputError("one of X_test and y_test was given; expected both or neither")
        if test_size is not None:
            raise InputError(
                "test_size says how much of X to test on, but X_test was given; leave one of them out"
            )
        X_test = _inputs(X_test, "X_test", nan_allowed)
        labels_test = _labels(
            y_test, "y_test", len_of(X_test), "number" if labels.dtype.kind == "f" else "classes"
        )
    classes: tuple[Any, ...] = ()
    if labels.dtype.kind != "f":
        names, labels = np.unique(labels, return_inverse=True)
        if len(names) < 2:
            raise InputError(
                f"y holds one class only, {names[0]!s}, so no label can be confused; expected two or more"
            )
        if np.asarray(y).dtype.kind == "f" and len(names) > len(labels) / _ROWS_A_CLASS:
            raise InputError(
                f"y holds {len(names)} different numbers in {len(labels)} samples, but the estimator predicts classes; "
                "give a regressor, or integers or text if they are labels"
            )
        classes = tuple(names.tolist())
        if own_test:
            if unknown := sorted(set(labels_test.tolist()) - set(classes)):
                raise InputError(f"y_test holds {unknown[0]!r}, a class that y has not; expected those of y")
            labels_test = np.searchsorted(names, labels_test)
    elif not labels.std(axis=0).all():
        raise InputError("y is constant, so there is nothing to learn; expected two or more values")
    notes = (*_notes_on_duplicates(X), *_notes_on_imbalance(labels, classes))
    n_test = len(labels_test) if own_test else _n_test(labels, classes, test_size)
    matrix = channel_matrix(channel, len(classes)) if classes else None
    share = 1.0
    if matrix is not None:
        share = float(np.bincount(labels, minlength=len(classes)) @ (1.0 - matrix.diagonal()) / len(labels))
        if share == 0.0:
            raise InputError("the channel leaves every label as it is; expected one that corrupts some")
    elif not isinstance(channel, str):
        raise InputError("a channel matrix says how classes are confused, but y is a number; leave it out")
    scale = 1.0 if classes else float(np.sqrt(labels.var(axis=0).sum()))
    symmetric = isinstance(channel, str)
    known = labels_test if own_test else None
    return Task(
        X, labels, n_test, X_test, known, classes, matrix, share, scale, symmetric, int(random_state), notes
    )


def len_of(X: Any) -> int:
    """Return how many rows an array, table or sparse matrix has."""
    return X.shape[0]


def _inputs(X: Any, name: str, nan_allowed: bool) -> Any:
    if isinstance(X, pd.DataFrame):
        missing = int(X.isna().to_numpy().sum())
        if missing and not nan_allowed:
            raise InputError(
                f"{name} has {missing} missing values and the estimator does not take them; fill them in first, or "
                "put an imputer in front: make_pipeline(SimpleImputer(), estimator)"
            )
        return X
    if hasattr(X, "tocsr"):
        X = X.tocsr()
        finite(f"the data of {name}", X.data)
        return X
    array = as_array(X, name)
    if array.dtype.kind in "fc" and not nan_allowed:
        finite(
            name,
            array,
            "fill them in first, or put an imputer in front: make_pipeline(SimpleImputer(), estimator)",
        )
    if array.ndim == 0 or (array.ndim == 1 and array.dtype.kind in "fiub"):
        raise InputError(f"{name} has shape {array.shape}; expected one row for each sample, (n, d)")
    return array


def _labels(y: Any, name: str, n: int, kind: Kind) -> NDArray[Any]:
    """Return labels as integers, text or booleans where they name classes, as floats where they are numbers."""
    labels, absent = split_missing(y)
    if absent.any():
        raise InputError(
            f"{name} has {int(absent.sum())} missing values, the first at row {int(absent.argmax())}; drop them"
        )
    if len(labels) != n:
        raise InputError(f"{name} has {len(labels)} labels for {n} samples; expected one for each")
    if labels.dtype.kind == "f" and kind != "classes":
        finite(name, labels, "drop these samples")
    if kind == "number" and labels.dtype.kind in "US":
        raise InputError(
            f"{name} holds text, as in {str(labels.flat[0])!r}, but the estimator predicts numbers; give a classifier"
        )
    if kind == "number":
        return labels.astype(np.float64)
    if kind == "classes" and labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise InputError(
            f"{name} holds numbers such as {labels[labels != np.floor(labels)].flat[0]:g}, but the estimator predicts "
            "classes; give a regressor, or labels"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 and (labels.dtype.kind != "f" or kind == "classes"):
        raise InputError(f"{name} has shape {labels.shape}; expected one label for each sample, (n,)")
    if kind == "classes":
        return labels.astype(np.int64) if labels.dtype.kind == "f" else labels
    return decide(labels, "auto", None, 'a regressor or task="number"')[0]


def _n_test(labels: NDArray[Any], classes: Sequence[Any], test_size: float | int | None) -> int:
    """Return how many samples to keep for testing, checked to leave enough of each class to train on."""
    n = len(labels)
    wanted = min(_TEST_SHARE, _MOST_TEST / n) if test_size is None else test_size
    is_number = isinstance(wanted, (int, float, np.integer, np.floating)) and not isinstance(wanted, bool)
    if not is_number or not 0 < wanted < np.inf or (wanted >= 1 and wanted != int(wanted)):
        raise InputError(
            f"test_size must be a share between 0 and 1, or a whole number of samples; got {test_size!r}"
        )
    n_test = max(2, round(wanted * n)) if wanted < 1 else int(wanted)
    if n_test < 2:
        raise InputError(
            f"test_size is {test_size!r}, which is one sample to test on; expected a share below 1, or some "
            "hundreds of samples"
        )
    least = max(2, 2 * len(classes))
    if n - n_test < least:
        raise InputError(
            f"test_size {test_size or _TEST_SHARE!r} leaves {n - n_test} of {n} samples to train on; expected at least "
            f"{least}: test on fewer, or give more data"
        )
    if len(classes):
        counts = np.bincount(labels, minlength=len(classes))
        left = counts - class_shares(counts, n_test)
        if (left == 0).any():
            raise InputError(
                f"class {classes[int((left == 0).argmax())]!s} has too few samples for a test set of {n_test}; "
                "expected two or more of each class: merge rare classes, or leave them out"
            )
    return n_test


def _notes_on_imbalance(labels: NDArray[Any], classes: Sequence[Any]) -> tuple[str, ...]:
    """Return a note where always the same answer is hardly ever wrong."""
    if not len(classes):
        return ()
    counts = np.bincount(labels)
    missed = 1.0 - counts.max() / len(labels)
    if missed > 0.5 * (1.0 - 1.0 / len(classes)):
        return ()
    return (
        f"who always answers {classes[int(counts.argmax())]!s} is wrong in {100 * missed:.3g} % of cases: read errors "
        "beside that, not beside chance",
    )


def _notes_on_duplicates(X: Any) -> tuple[str, ...]:
    """Return a note where rows are repeated: two labels of one input cannot both be fitted."""
    try:
        repeated = int(pd.DataFrame(np.asarray(X).reshape(len_of(X), -1)).duplicated().sum())
    except (TypeError, ValueError, MemoryError):  # a sparse matrix, or cells that cannot be compared
        return ()
    if not repeated:
        return ()
    return (
        f"{repeated} of {len_of(X)} rows of X repeat another row: two labels of one input cannot both be fitted, and "
        "copies may be trained and tested on",
    )
