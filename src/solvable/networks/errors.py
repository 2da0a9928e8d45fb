"""How often outputs name the wrong class."""

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

# Outputs below this fraction of the targets say nothing: an odd kernel says 1e-17 where it knows nothing.
UNDECIDED = 1e-6


def error_rate(outputs: Float[NDArray, "n k"], y: Float[NDArray, "n k"]) -> float:
    r"""Return the share of samples whose class is wrong, NaN where the targets are no classes.

    Of several columns the largest is the class, where every row of `y` has one that is largest. One column is two
    classes where it has exactly two values, one above and one below 0: the sign tells them, and an output smaller than
    a millionth of the smaller of the two in magnitude is undecided, which counts as wrong.

    >>> y = np.array([[1.0], [-1.0], [1.0], [1.0]])
    >>> error_rate(np.array([[0.2], [-3.0], [1e-17], [-0.1]]), y)
    0.5
    """
    if y.shape[1] == 1:
        values = np.unique(y)
        if len(values) != 2 or not values[0] < 0 < values[1]:
            return np.nan
        return float(1 - (outputs * np.sign(y) > UNDECIDED * np.abs(values).min()).mean())
    top = np.sort(y, axis=1)[:, -2:]
    # Targets that are numbers have as many values as rows; classes have two.
    if len(np.unique(y.round(9))) > 2 or (top[:, 0] == top[:, 1]).any():
        return np.nan
    return float((outputs.argmax(axis=1) != y.argmax(axis=1)).mean())
