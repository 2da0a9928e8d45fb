"""Targets as numbers: classes or quantities, checks of targets, and one-hot columns."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite
from solvable.errors import InputError

Task = Literal["auto", "classes", "number"]

_MIN_ROWS_A_CLASS = 5
_MOST_CLASSES = 30
_NAMES_OF_IDENTIFIERS = ("id", "index", "idx", "row", "uid", "uuid", "guid", "key")


def encode_targets(y: ArrayLike) -> tuple[Float[NDArray, "n c"], tuple[str, ...]]:
    """Return targets as columns of numbers, and the names of their classes.

    Integers, strings and booleans are labels: they become one-hot columns minus 1/c, c the number of classes,
    in sorted order. A float array `(n,)` or `(n, c)` is used unchanged and has no classes.

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
            "sample, (n,), or numbers (n, c) as floats: use y.astype(float)"
        )
    values, codes = np.unique(array, return_inverse=True)
    _refuse_one_class(values)
    _refuse_as_many_as_samples(len(values), len(array))
    onehot = np.full((len(array), len(values)), -1 / len(values))
    onehot[np.arange(len(array)), codes] += 1
    return onehot, tuple(str(value) for value in values)


def split_missing(y: Any) -> tuple[Shaped[NDArray, "n *c"], Bool[NDArray, "rows"]]:
    """Return the targets that are not missing, and a mask of the rows whose target is missing.

    Whole numbers next to missing values become integers again; pandas had turned them into floats.
    """
    import pandas as pd
    from pandas.api import types

    if isinstance(y, pd.DataFrame):
        y = y.iloc[:, 0] if y.shape[1] == 1 else y.to_numpy(dtype=np.float64, na_value=np.nan)
    if not isinstance(y, pd.Series):
        array = np.asarray(y)
        if array.ndim == 0:
            raise InputError(f"the target must have shape (n,) or (n, c); got {array.shape}")
        absent = np.array(np.asarray(pd.isna(array)).reshape(len(array), -1).any(axis=1), dtype=bool)
        if array.dtype.kind == "f" and array.ndim == 1 and absent.any():
            return _integers_if_whole(array[~absent]), absent
        return _plain(array[~absent]), absent
    absent = y.isna().to_numpy(dtype=bool)
    present: Any = y[~absent]
    dtype: Any = y.dtype
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        raise InputError(
            f"the target holds dates, as in {str(present.iloc[0])!r}; expected labels or numbers: use the month or "
            "the days since a start instead"
        )
    if types.is_bool_dtype(dtype):
        return present.to_numpy(dtype=bool), absent
    if types.is_integer_dtype(dtype):
        return present.to_numpy(dtype=np.int64), absent
    if types.is_float_dtype(dtype):
        numbers = present.to_numpy(dtype=np.float64)
        return _integers_if_whole(numbers) if absent.any() else numbers, absent
    return _plain(present.to_numpy(dtype=object)), absent


def decide(
    labels: Shaped[NDArray, "n *c"], task: Task | None, name: str | None, choose_number: str
) -> tuple[Shaped[NDArray, "n *columns"], list[str]]:
    """Return the targets, as floats if they are a number and as labels if they are classes, and notes.

    Args:
        labels: all targets, none missing.
        task: meaning of integers; None: always classes.
        name: name of the target, which may be that of an identifier.
        choose_number: the option that makes the task a number.

    Raises:
        InputError: when the target looks like an identifier, or most classes have a single row.
    """
    import pandas as pd

    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or task is None or len(labels) < 2:
        return labels, []
    counts = np.bincount(pd.factorize(labels)[0])
    n, distinct = len(labels), len(counts)
    integers = labels.dtype.kind in "iu"
    notes = []
    if integers and task == "auto" and distinct == n:
        _refuse_identifier(labels, name, choose_number)
    few = distinct <= min(n / _MIN_ROWS_A_CLASS, _MOST_CLASSES)
    if task == "number" and (labels.dtype.kind == "b" or (integers and distinct == 1)):
        return labels.astype(np.float64), []
    if integers and distinct > 1 and (task == "number" or (task == "auto" and not few)):
        notes.append(
            f"the target holds {distinct} different integers in {n} rows and is taken as a number, not as classes "
            "(set the task to choose)"
        )
        return labels.astype(np.float64), notes
    if labels.dtype.kind == "f" and task != "classes":
        if task == "auto" and distinct <= 10 and n >= _MIN_ROWS_A_CLASS * distinct > _MIN_ROWS_A_CLASS:
            notes.append(
                f"the target has only {distinct} different values but is a float, so it is taken as a number; "
                "set the task to classes if they are class labels"
            )
        return labels, notes
    if task == "number":
        raise InputError(
            f"the target holds text, as in {str(labels[0])!r}, and the task is a number; expected numbers: convert "
            "the text, or do not set the task"
        )
    if task == "classes" and labels.dtype.kind == "f":
        finite("the target", labels, "drop these samples first")
    _refuse_as_many_as_samples(distinct, n)
    if 2 * (single := int((counts == 1).sum())) > distinct > 1:
        raise InputError(
            f"{single} of the {distinct} classes of the target have a single row, so most of them cannot be learned; "
            "expected two or more rows per class: merge rare classes, or predict another column"
        )
    return labels.astype(str) if task == "classes" else labels, notes


def encode(
    labels: Shaped[NDArray, "n *c"],
) -> tuple[Float[NDArray, "n c"], tuple[str, ...], Float[NDArray, "c"], list[str]]:
    """Return centred targets, their classes, the number subtracted from each column, and notes.

    Args:
        labels: targets from `decide`, or some of their rows.
    """
    y, classes = encode_targets(labels)
    if not classes:
        mean = y.mean(axis=0)
        notes = [f"the target's mean {', '.join(f'{m:.4g}' for m in mean)} was subtracted"]
        return y - mean, (), mean, notes
    notes = [f"{len(classes)} classes encoded as one-hot columns minus 1/{len(classes)}"]
    single = int(((y > 0).sum(axis=0) == 1).sum())
    if single:
        notes.append(
            f"{single} of {len(classes)} classes {'has' if single == 1 else 'have'} a single row, which leave-one-out "
            "always gets wrong"
        )
    return y, classes, np.full(len(classes), 1 / len(classes)), notes


def _refuse_one_class(values: Sequence[Any] | NDArray) -> None:
    if len(values) == 1:
        raise InputError(
            f"the target has one class only, {values[0]!s}, so there is nothing to learn; expected at least two"
        )


def _refuse_as_many_as_samples(distinct: int, n: int) -> None:
    if distinct == n:
        raise InputError(
            f"the target has as many classes as samples ({n}), so it looks like an identifier or a "
            "number; expected labels that repeat, or numbers as floats: use y.astype(float)"
        )


def names_an_identifier(name: str) -> bool:
    """Return whether a column's name is typical of identifiers.

    >>> names_an_identifier("Patient_ID"), names_an_identifier("width")
    (True, False)
    """
    word = name.lower()
    return word in _NAMES_OF_IDENTIFIERS or word.endswith(("_id", " id", "-id"))


def _refuse_identifier(labels: NDArray, name: str | None, choose_number: str) -> None:
    """Raise for integers that number the rows, or that are all different and named like an identifier."""
    least, most = int(labels.min()), int(labels.max())
    word = (name or "").lower()
    if most - least + 1 == len(labels):
        reason = f"holds the integers from {least} to {most}, each once"
    elif names_an_identifier(word):
        reason = "holds integers that are all different and is named like one"
    else:
        return
    target = f"the target {name!r}" if name else "the target"
    raise InputError(
        f"{target} looks like an identifier, since it {reason}; expected labels that repeat or a "
        f"quantity: predict another column, or set {choose_number} if it is a quantity"
    )


def _integers_if_whole(numbers: NDArray) -> NDArray:
    whole = bool((numbers == np.floor(numbers)).all()) and bool((np.abs(numbers) < 2.0**53).all())
    return numbers.astype(np.int64) if whole and len(numbers) else numbers


def _plain(y: ArrayLike) -> NDArray:
    """Return a target as an array of floats, or of integers, booleans or strings if it holds labels."""
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
