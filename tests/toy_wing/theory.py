"""The closed form."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mean_squared_error(n_train: ArrayLike, sd: ArrayLike) -> NDArray[np.float64]:
    r"""Return $\sigma^2 / n$, the squared error of the mean of n draws, `(n_train, sd)`.

    Args:
        n_train: sample sizes.
        sd: standard deviations of a draw.

    >>> mean_squared_error([4], [2.0])
    array([[1.]])
    """
    return np.square(np.asarray(sd, dtype=float)) / np.asarray(n_train)[:, None]
