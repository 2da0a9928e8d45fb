"""What scikit-learn estimators take: inputs, labels or targets of a regression, and weights of samples."""

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import NDArray

from solvable.checks import finite, numbers
from solvable.datasets.inputs import as_array, as_pandas, is_sparse
from solvable.datasets.labels import as_declared, as_numbers, complete_labels
from solvable.errors import InputError


def readable(values: Any, name: str = "X") -> Any:
    """Return a table or column as pandas', a sparse matrix as one with rows, and everything else as an array.

    Raises:
        InputError: for rows of different lengths.

    >>> readable([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    values = as_pandas(values)
    if is_sparse(values):
        return values.tocsr()
    return values if hasattr(values, "iloc") else as_array(values, name)


def regression_targets(y: Any) -> Float[NDArray, "n *outputs"]:
    """Return the targets of a regression as floats in the shape given, `(n,)` or `(n, outputs)`.

    Raises:
        InputError: as `complete_labels`, and for text.

    >>> regression_targets([[1, 2], [3, 4]]).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    targets = _in_their_shape(y)
    return as_numbers(targets.ravel(), "y").reshape(targets.shape)


def class_labels(y: Any) -> Shaped[NDArray, "n *columns"]:
    """Return labels, or several columns of labels or numbers, in the shape given; categories of floats as text.

    Raises:
        InputError: as `complete_labels`.

    >>> class_labels([["cat"], ["dog"]]).tolist()
    [['cat'], ['dog']]
    """
    return as_declared(_in_their_shape(y), y)


def _in_their_shape(y: Any) -> Shaped[NDArray, "n *columns"]:
    given, y = y, readable(y, "y")
    if isinstance(y, np.ndarray) and y.dtype.kind == "c":
        # In scikit-learn's words, which its checks look for.
        raise InputError("y holds complex numbers; expected labels or numbers: Complex data not supported")
    if isinstance(y, np.ndarray) and y.ndim > 1 and y.shape[1] != 1 and y.dtype.kind in "iub":
        return y
    # A list still tells booleans and large integers from numbers.
    labels = complete_labels(given if isinstance(given, (list, tuple)) else y)
    return labels.reshape(y.shape) if labels.ndim == 1 else labels


def sample_weights(sample_weight: Any, n: int) -> Float[NDArray, "n"]:
    """Return the weights of n samples, `(n,)`; one number is the weight of all.

    Raises:
        InputError: for another shape, negative or infinite weights, and if all are zero.

    >>> sample_weights([1, 0, 2], 3).tolist()
    [1.0, 0.0, 2.0]
    """
    weights = numbers("sample_weight", readable(sample_weight, "sample_weight"), at_least=0.0)
    if weights.shape not in ((), (n,)):
        raise InputError(
            f"sample_weight has shape {weights.shape}; expected ({n},), one weight for each sample"
        )
    finite("sample_weight", weights, remedy="")
    if not weights.any():
        raise InputError("sample_weight is zero for all samples; expected a weight above 0 for some")
    return np.broadcast_to(weights, (n,))
