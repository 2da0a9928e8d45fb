"""Validate X and y and build the `Task` that every kind of noise profile is measured on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, seed
from solvable.datasets.groups import group_codes
from solvable.datasets.inputs import (
    as_array,
    as_pandas,
    check_columns,
    check_lengths,
    check_rows,
    is_sparse,
    numeric_inputs,
)
from solvable.datasets.labels import Task as Kind
from solvable.datasets.labels import (
    as_declared,
    as_numbers,
    complete_labels,
    decide,
    declares_classes,
    refuse_extreme,
    refuse_one_class,
)
from solvable.datasets.sampling import class_shares, number_of
from solvable.errors import InputError
from solvable.overfitting.label_noise import Channel, channel_matrix
from solvable.overfitting.task import Task

# With more test points, errors are no more certain: the scatter over trials dominates.
_MOST_TEST = 2000
_TEST_SHARE = 0.2
# Floats with fewer rows to each value are numbers, even if they are whole.
_ROWS_A_CLASS = 5
_IMPUTE = "fill them in first, or put an imputer in front: make_pipeline(SimpleImputer(), estimator)"


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
    groups: "ArrayLike | None" = None,
) -> Task:
    """Return the task for these data, validated, with classes encoded as numbers from 0.

    Args:
        X: inputs, one row for each sample: array, table, sparse matrix, images, or texts.
        y: clean labels: integers, text or booleans name classes, floats are numbers, unless `kind` says otherwise.
        X_test: test inputs, with `y_test` their clean labels; by default a part of X, another in each trial.
        y_test: see `X_test`.
        test_size: number or share of samples for testing; by default a fifth, at most 2000.
        kind: type of y; auto: as `datasets.load` decides.
        channel: label noise, as in `flip_labels`.
        random_state: seed of all trials and their splits, or a generator that it is drawn from.
        nan_allowed: whether the estimator accepts missing inputs.
        groups: the group of each sample, never on both sides of a split.

    Raises:
        InputError: for data that cannot be used.
    """
    random_state = seed("random_state", random_state)
    X = _inputs(X, "X", nan_allowed)
    check_rows(X=X, y=y, groups=groups)
    if X.shape[0] == 0:
        raise InputError("X has no samples; give some hundreds")
    labels, test_labels = _labels(y, "y", X.shape[0], kind), None
    if X_test is not None or y_test is not None:
        if X_test is None or y_test is None:
            raise InputError("one of X_test and y_test was given; expected both or neither")
        if test_size is not None:
            raise InputError("test_size is a part of X, but X_test was given; leave one of them out")
        X_test = _inputs(X_test, "X_test", nan_allowed)
        check_rows(X_test=X_test, y_test=y_test)
        check_columns(X=X, X_test=X_test)
        kind = "number" if labels.dtype.kind == "f" else "classes"
        test_labels = _labels(y_test, "y_test", X_test.shape[0], kind)
    classes: tuple[Any, ...] = ()
    if labels.dtype.kind != "f":
        names, labels = np.unique(labels, return_inverse=True)
        refuse_one_class(names)
        classes = tuple(names.tolist())
        if test_labels is not None:
            if unknown := sorted(set(test_labels.tolist()) - set(classes)):
                raise InputError(
                    f"y_test holds {unknown[0]!r}, which is no class of y; expected classes of y"
                )
            test_labels = np.searchsorted(names, test_labels)
    elif (labels == labels[0]).all(axis=0).any():
        raise InputError("y is constant, so there is nothing to learn; expected two or more values")
    else:
        refuse_extreme(labels.reshape(len(labels), -1), "y")
    n_test = _n_test(labels, classes, test_size) if test_labels is None else len(test_labels)
    symmetric = isinstance(channel, str)
    matrix, share, scale = None, 1.0, 1.0
    if classes:
        matrix = channel_matrix(channel, len(classes))
        share = float(np.bincount(labels, minlength=len(classes)) @ (1.0 - matrix.diagonal()) / len(labels))
        if share == 0.0:
            raise InputError("the channel leaves every label as it is; expected one that corrupts some")
    else:
        if not symmetric:
            raise InputError("a channel matrix is for classes, but y is a number; leave it out")
        scale = float(np.sqrt(labels.var(axis=0).sum()))
    notes = (*_notes_on_duplicates(X), *_notes_on_imbalance(labels, classes))
    codes = None
    if groups is not None:
        if X_test is not None:
            raise InputError("groups divides X for testing, but X_test was given; leave one of them out")
        codes = group_codes(groups, X.shape[0], fewest=2)
        notes += (f"tested on samples of other groups than trained on, of {codes.max() + 1}",)
    options = (classes, matrix, share, scale, symmetric, random_state, notes, codes)
    task = Task(X, labels, n_test, X_test, test_labels, *options)
    if codes is not None:
        _check_groups(task, codes)
    return task


def _check_groups(task: Task, codes: NDArray[np.int64]) -> None:
    """Raise if the largest group leaves too few samples for training, or a class is in one group only."""
    if task.n_pool < max(2, 2 * len(task.classes)):
        raise InputError(
            f"the largest group has {np.bincount(codes).max()} of {task.n_samples} samples, which leaves too few to "
            "train on when it is tested on; expected smaller groups: lower test_size, or collect more groups"
        )
    for number, name in enumerate(task.classes):
        if len(np.unique(codes[task.y == number])) < 2:
            raise InputError(
                f"class {name!s} is in one group only, so it cannot be trained on and tested on; expected two or more "
                "groups with it: leave it out, or merge classes"
            )


def _inputs(X: Any, name: str, nan_allowed: bool) -> Any:
    X = as_pandas(X)
    if is_sparse(X):
        X = X.tocsr()
        finite(f"the data of {name}", X.data)
        return X
    X = X if isinstance(X, pd.DataFrame) else as_array(X, name)
    if X.ndim == 0 or (X.ndim == 1 and X.dtype.kind in "fiub"):
        raise InputError(f"{name} has shape {X.shape}; expected one row for each sample, (n, d)")
    if isinstance(X, np.ndarray) and X.dtype.kind in "mMVc":
        numeric_inputs(X, name)
    if nan_allowed:
        return X
    if missing := int(np.asarray(pd.isna(X)).sum()):
        raise InputError(
            f"{name} has {missing} missing values, which the estimator does not accept; {_IMPUTE}"
        )
    if isinstance(X, np.ndarray) and X.dtype.kind in "fc":
        finite(name, X, _IMPUTE)
    return X


def _labels(y: Any, name: str, n: int, kind: Kind) -> NDArray[Any]:
    """Return labels as integers, text or booleans for classes, as floats for numbers."""
    labels = complete_labels(y, name)
    check_lengths(n, len(labels), name.replace("y", "X"), name)
    if kind != "number" and declares_classes(y):
        return as_declared(labels, y)
    if labels.dtype.kind == "f" and kind != "classes":
        finite(name, labels, "drop these samples")
    if kind == "number" and labels.dtype.kind == "U":
        raise InputError(
            f"{name} holds text, as in {str(labels.flat[0])!r}, but the estimator predicts numbers; give a classifier"
        )
    if kind == "number":
        return as_numbers(labels, name)
    if kind == "classes" and labels.dtype.kind == "f":
        return _whole(labels, name)
    if labels.ndim != 1 and labels.dtype.kind != "f":
        raise InputError(f"{name} has shape {labels.shape}; expected one label for each sample, (n,)")
    return labels if kind == "classes" else decide(labels, "auto", None, 'a regressor or task="number"')[0]


def _whole(labels: NDArray[np.float64], name: str) -> NDArray[np.int64]:
    """Return floats that name classes as integers."""
    if labels.ndim != 1:
        raise InputError(f"{name} has shape {labels.shape}; expected one label for each sample, (n,)")
    if (fractions := labels[labels != np.floor(labels)]).size:
        raise InputError(
            f"{name} holds numbers such as {fractions[0]:g}, but the estimator predicts classes; give a regressor, or "
            "labels"
        )
    if (distinct := len(np.unique(labels))) > len(labels) / _ROWS_A_CLASS:
        raise InputError(
            f"{name} holds {distinct} different numbers in {len(labels)} samples, but the estimator predicts classes; "
            "give a regressor, or integers or text if they are labels"
        )
    return labels.astype(np.int64)


def _n_test(labels: NDArray[Any], classes: Sequence[Any], test_size: float | int | None) -> int:
    """Return the number of test samples, checked to leave enough of each class to train on."""
    n = len(labels)
    wanted = min(_TEST_SHARE, _MOST_TEST / n) if test_size is None else test_size
    n_test = number_of("test_size", wanted, n, at_least=2)
    least = max(2, 2 * len(classes))
    if n_test > n:
        raise InputError(f"test_size is {wanted:g}; expected fewer than the {n} samples, or a share below 1")
    if n - n_test < least:
        raise InputError(
            f"test_size {test_size or _TEST_SHARE!r} leaves {n - n_test} of {n} samples to train on; expected at least "
            f"{least}: test on fewer, or give more data"
        )
    if len(classes):
        counts = np.bincount(labels, minlength=len(classes))
        empty = counts == class_shares(counts, n_test)
        if empty.any():
            raise InputError(
                f"class {classes[int(empty.argmax())]!s} has too few samples for a test set of {n_test}; "
                "expected two or more of each class: merge rare classes, or leave them out"
            )
    return n_test


def _notes_on_imbalance(labels: NDArray[Any], classes: Sequence[Any]) -> tuple[str, ...]:
    """Return a note if always predicting the largest class is wrong less than half as often as chance."""
    if not len(classes):
        return ()
    counts = np.bincount(labels)
    missed = 1.0 - counts.max() / len(labels)
    if missed > 0.5 * (1.0 - 1.0 / len(classes)):
        return ()
    return (
        f"always predicting {classes[int(counts.argmax())]!s} is wrong {100 * missed:.3g} % of the time: compare "
        "errors with that, not with chance",
    )


def _notes_on_duplicates(X: Any) -> tuple[str, ...]:
    """Return a note if rows of X are repeated."""
    n = X.shape[0]
    try:
        repeated = int(pd.DataFrame(np.asarray(X).reshape(n, -1)).duplicated().sum())
    except (TypeError, ValueError, MemoryError):  # a sparse matrix, or cells that cannot be compared
        return ()
    if not repeated:
        return ()
    return (
        f"{repeated} of {n} rows of X repeat another row: two labels of one input cannot both be fitted, and "
        "copies may be in both training and test set",
    )
