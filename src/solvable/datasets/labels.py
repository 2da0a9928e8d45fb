"""Targets as numbers: classes or quantities, checks of targets, and one-hot columns."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite
from solvable.datasets.files import plain
from solvable.errors import InputError
from solvable.streams import short

Task = Literal["auto", "classes", "number"]

_MIN_ROWS_A_CLASS = 5
_MOST_CLASSES = 30
# Squared errors, summed over rows, stay within the range of floats.
_LARGEST = 1e140
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
    array = as_declared(complete_labels(y, "the target"), y)
    if len(array) < 2:
        raise InputError(f"the target has {len(array)} samples; expected at least 2")
    if array.dtype.kind == "f":
        finite("the target", array, "drop these samples first")
        columns = array.reshape(len(array), -1)
        if columns.shape[1] == 0 or (columns == columns[0]).all():
            raise InputError(
                "the target is constant, so there is nothing to learn; expected two or more values"
            )
        refuse_extreme(columns)
        return columns, ()
    if array.ndim == 2:
        raise InputError(
            f"a target of shape {array.shape} with integers or text is ambiguous; expected one label per "
            "sample, (n,), or numbers (n, c) as floats: use y.astype(float)"
        )
    values, codes = np.unique(array, return_inverse=True)
    refuse_one_class(values, "the target")
    _refuse_as_many_as_samples(len(values), len(array))
    onehot = np.full((len(array), len(values)), -1 / len(values))
    onehot[np.arange(len(array)), codes] += 1
    return onehot, tuple(str(value) for value in values)


def complete_labels(y: Any, name: str = "y") -> Shaped[NDArray, "n *c"]:
    """Return the labels or numbers of all samples as an array; see `split_missing`.

    Raises:
        InputError: as `split_missing`, and for missing values.
    """
    labels, absent = split_missing(y, name)
    if absent.any():
        raise InputError(
            f"{name} has {absent.sum()} missing values in {len(absent)} rows ({absent.mean():.1%}), the first in row "
            f"{absent.argmax() + 1}; expected none: drop these rows"
        )
    return labels


def split_missing(y: Any, name: str = "the target") -> tuple[Shaped[NDArray, "n *c"], Bool[NDArray, "rows"]]:
    """Return the targets that are not missing, and a mask of the rows whose target is missing.

    Numbers `(n, c)` and floats become float64. Other targets `(n,)` are whole numbers of 64 bits, booleans or text;
    whole numbers next to missing values, which pandas or NumPy had turned into floats, become integers again.

    Args:
        y: a list, an array, a masked array, a tensor, or a column or table of pandas, polars or another library.
        name: name of the target in messages.

    Raises:
        InputError: for dates, bytes, complex numbers, a mixture of types, integers beyond 64 bits, a table with text
            in it, and another number of dimensions.
    """
    import pandas as pd

    from solvable.datasets.inputs import as_array, as_pandas, with_gaps

    kind, y = "" if isinstance(y, np.ndarray) else type(y).__name__, as_pandas(y)
    if isinstance(y, pd.DataFrame):
        if y.shape[1] != 1:
            return _rows_of_numbers(y, name)
        y = y.iloc[:, 0]
    if not isinstance(y, pd.Series):
        # A list of booleans or large integers with gaps would lose them as an array of floats.
        y = np.array(y, dtype=object) if _is_flat_list(y) else as_array(y, name)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim == 2:
            return _rows_of_numbers(y, name)
        if y.ndim != 1:
            got = f"a {kind} without rows" if kind and y.ndim == 0 else str(y.shape)
            raise InputError(f"{name} must have shape (n,) or (n, c); got {got}")
        if y.dtype.kind == "f":
            absent = np.isnan(y)
            return _numbers(y[~absent], gaps=bool(absent.any())), absent
        if y.dtype.kind in "iub":
            return y, np.zeros(len(y), dtype=bool)
        if y.dtype.kind == "V":
            raise InputError(
                f"{name} has the type {short(y.dtype)}; expected labels or numbers, all of one type"
            )
        y = with_gaps(y)
        y = pd.Series(y) if y.dtype.kind != "S" else pd.Series(y.tolist(), dtype=object)
    absent = y.isna().to_numpy(dtype=bool)
    return _present(y[~absent], name, gaps=bool(absent.any())), absent


def as_numbers(labels: NDArray, name: str = "y") -> NDArray[np.float64]:
    """Return labels from `complete_labels` as floats.

    Raises:
        InputError: for text, and for large integers of which different ones become equal floats.
    """
    if labels.dtype.kind == "U":
        raise InputError(f"{name} holds text, as in {short(labels.flat[0])!r}; expected numbers")
    numbers = labels.astype(np.float64)
    if labels.dtype.kind in "iu" and len(np.unique(numbers)) < len(np.unique(labels)):
        raise InputError(
            f"{name} holds integers near {int(labels[0])}, of which floats keep only 16 digits; expected numbers that "
            "differ in these: subtract a constant first"
        )
    return numbers


def name_of_target(y: Any) -> str | None:
    """Return the name of a pandas column, or the names of a table's columns; None if there is none."""
    names = list(getattr(y, "columns", [getattr(y, "name", None)]))
    return ", ".join(map(str, names)) if names and names[0] is not None else None


def declares_classes(y: Any) -> bool:
    """Return whether targets have a category dtype, by which a user says that they are classes.

    >>> import pandas as pd
    >>> declares_classes(pd.Series([1.5, 2.5], dtype="category")), declares_classes([1.5, 2.5])
    (True, False)
    """
    import pandas as pd

    from solvable.datasets.inputs import as_pandas

    y = as_pandas(y)
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        y = y.iloc[:, 0]
    return isinstance(getattr(y, "dtype", None), pd.CategoricalDtype)


def as_declared(labels: NDArray, y: Any) -> NDArray:
    """Return the labels of targets y: floats as text if y declares classes, since floats are numbers elsewhere."""
    return labels.astype(str) if labels.dtype.kind == "f" and declares_classes(y) else labels


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
        return as_numbers(labels, "the target"), []
    if integers and distinct > 1 and (task == "number" or (task == "auto" and not few)):
        notes.append(
            f"the target holds {distinct} different integers in {n} rows and is taken as a number, not as classes "
            "(set the task to choose)"
        )
        return as_numbers(labels, "the target"), notes
    if labels.dtype.kind == "f" and task != "classes":
        if task == "auto" and distinct <= 10 and n >= _MIN_ROWS_A_CLASS * distinct > _MIN_ROWS_A_CLASS:
            notes.append(
                f"the target has only {distinct} different values but is a float, so it is taken as a number; "
                "set the task to classes if they are class labels"
            )
        return labels, notes
    if task == "number":
        raise InputError(
            f"the target holds text, as in {short(labels[0])!r}, and the task is a number; expected numbers: convert "
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
    return labels.astype(str) if labels.dtype.kind == "f" else labels, notes


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


def refuse_extreme(y: Float[NDArray, "n c"], name: str = "the target") -> None:
    """Raise for numbers whose squares, or those of their differences, leave the range of floats."""
    # Halves, since the difference of two large numbers may overflow.
    largest, spread = float(np.abs(y).max()), float(np.ptp(y / 2, axis=0).max())
    if largest > _LARGEST or 0 < spread < 1 / _LARGEST:
        size = f"values up to {largest:.3g}" if largest > _LARGEST else f"differences up to {2 * spread:.3g}"
        raise InputError(
            f"{name} has {size}, whose squares are beyond floating point; expected sizes between "
            f"{1 / _LARGEST:.0e} and {_LARGEST:.0e}: use another unit"
        )


def refuse_one_class(values: Sequence[Any] | NDArray, name: str = "y") -> None:
    """Raise if the distinct labels are a single one."""
    if len(values) == 1:
        raise InputError(
            f"{name} has one class only, {plain(values[0])}, so there is nothing to learn; expected at least two"
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
    return (
        word in _NAMES_OF_IDENTIFIERS or word.startswith("unnamed:") or word.endswith(("_id", " id", "-id"))
    )


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
    target = f"the target {short(name)!r}" if name else "the target"
    raise InputError(
        f"{target} looks like an identifier, since it {reason}; expected labels that repeat or a "
        f"quantity: predict another column, or set {choose_number} if it is a quantity"
    )


def _is_flat_list(y: Any) -> bool:
    return isinstance(y, (list, tuple)) and not any(hasattr(one, "__len__") and np.ndim(one) for one in y[:1])


def _present(column: Any, name: str, gaps: bool) -> NDArray:
    """Return the values of a pandas column without missing ones as integers, booleans, floats or text."""
    from pandas.api import types

    if not len(column):
        return np.empty(0)
    kind = types.infer_dtype(column, skipna=True)
    if kind == "categorical":
        categories = column.cat.categories
        plain = types.infer_dtype(categories, skipna=True) in ("integer", "floating", "boolean", "string")
        # Others, such as the intervals of `pd.cut`, are named by their text.
        return _present(column.astype(categories.dtype if plain else str), name, gaps)
    if kind == "boolean":
        return column.to_numpy(dtype=bool)
    if kind == "integer":
        least, most = int(column.min()), int(column.max())
        if least >= -(2**63) and most < 2**63:
            return column.to_numpy(dtype=np.int64)
        if least >= 0 and most < 2**64:
            return column.to_numpy(dtype=np.uint64)
        raise InputError(
            f"{name} holds integers beyond 64 bits, as in {short(most if most >= 2**63 else least)}; expected "
            "smaller ones: use floats if they are numbers, or text if they are names"
        )
    if kind in ("floating", "mixed-integer-float", "decimal"):
        return _numbers(column.to_numpy(dtype=np.float64), gaps)
    if kind == "string":
        return column.to_numpy(dtype=object).astype(str)
    example = column.iloc[0]
    if kind == "bytes":
        raise InputError(
            f"{name} holds bytes, as in {short(example)}; expected text: use [one.decode() for one in y]"
        )
    if kind in ("datetime64", "datetime", "date", "timedelta64", "timedelta", "time", "period"):
        raise InputError(
            f"{name} holds dates or times, as in {str(example)!r}; expected labels or numbers: use the month or the "
            "days since a start instead"
        )
    kinds = sorted({type(one).__name__ for one in column})
    if len(kinds) > 1:
        raise InputError(f"{name} mixes {' and '.join(kinds)}; expected labels or numbers, all of one type")
    raise InputError(f"{name} holds {kinds[0]} values; expected numbers, integers, booleans or text")


def _rows_of_numbers(table: Any, name: str) -> tuple[NDArray, NDArray[np.bool_]]:
    """Return a target of several columns as floats, and a mask of the rows with a missing value."""
    shape, is_array = table.shape, isinstance(table, np.ndarray)
    if is_array and table.dtype.kind in "iubUS":
        raise InputError(
            f"{name} of shape {shape} with integers or text is ambiguous; expected one label per sample, (n,), or "
            "numbers (n, c) as floats: use y.astype(float)"
        )
    try:
        numbers = (table if is_array else table.astype("Float64").to_numpy(na_value=np.nan)).astype(
            np.float64
        )
    except (TypeError, ValueError):
        raise InputError(
            f"{name} has shape {shape} and values that are not numbers; expected one label per sample, (n,), or "
            "numbers (n, c): choose one column, or drop those with text"
        ) from None
    absent: NDArray[np.bool_] = np.asarray(np.isnan(numbers).any(axis=1))
    return numbers[~absent], absent


def _numbers(numbers: NDArray, gaps: bool) -> NDArray:
    """Return floats, or integers if they are whole and stood beside gaps, which only floats can."""
    whole = (
        gaps and len(numbers) and (numbers == np.floor(numbers)).all() and (np.abs(numbers) < 2.0**53).all()
    )
    return numbers.astype(np.int64 if whole else np.float64)
