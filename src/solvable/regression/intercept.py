r"""A free intercept, removed exactly: n samples with an intercept are n - 1 contrasts without one.

Ridge regression with an intercept $b$ that is not penalised depends on the labels and the kernel matrix only through
$n - 1$ contrasts, orthonormal combinations of samples whose weights sum to zero. With the contrasts as columns of $H$
(Helmert's: each compares a sample with the mean of those before it),

$$ \alpha = H (H^\top K H + \delta I)^{-1} H^\top Y, \qquad b = \mathrm{mean}_i\,(Y - K \alpha)_i, $$

and with $A = (K + \delta I)^{-1}$ the matrix before $Y$ is $A - A 1 1^\top A / (1^\top A 1)$, but without the loss of
digits of that difference. The first $n - 1$ contrasts are about the first $n$ samples only, so nested
training sets stay nested.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

Array = NDArray[np.float64]


def contrasts(values: Float[NDArray, "n *shape"]) -> Float[NDArray, "contrasts *shape"]:
    r"""Return $H^\top$ times an array along its first axis.

    >>> contrasts(np.array([[1.0], [1.0], [1.0]])).ravel().tolist()
    [0.0, 0.0]
    """
    place = _along(np.arange(1.0, len(values)), values)
    return (np.cumsum(values[:-1], axis=0) - place * values[1:]) / np.sqrt(place * (place + 1.0))


def contrast_gram(gram: Float[NDArray, "n n"]) -> Float[NDArray, "contrasts contrasts"]:
    r"""Return $H^\top K H$, symmetric to the last bit."""
    matrix = contrasts(np.ascontiguousarray(contrasts(gram).T))
    matrix += matrix.T.copy()
    matrix *= 0.5
    return matrix


def from_contrasts(coefficients: Float[NDArray, "contrasts *shape"]) -> Float[NDArray, "n *shape"]:
    r"""Return $H$ times an array along its first axis: weights of samples, which sum to zero.

    >>> weights = from_contrasts(np.array([1.0, 2.0]))
    >>> contrasts(weights).round(12).tolist(), abs(float(weights.sum().round(12)))
    ([1.0, 2.0], 0.0)
    """
    n = len(coefficients) + 1
    place = _along(np.arange(1.0, n), coefficients)
    scaled = coefficients / np.sqrt(place * (place + 1.0))
    weights = np.zeros((n, *coefficients.shape[1:]))
    weights[:-1] = np.cumsum(scaled[::-1], axis=0)[::-1]
    weights[1:] -= place * scaled
    return weights


def _along(place: Array, values: NDArray[Any]) -> Array:
    return place.reshape(-1, *(1,) * (values.ndim - 1))
