r"""Noise profiles of linear smoothers from their weights, without retraining, and the spiky-smooth kernel.

Kernel and ridge regression, k nearest neighbours and kernel smoothing all predict $\hat f(x) = \sum_i w_i(x)\, y_i$
with weights that do not depend on the labels. A noisy label vector is then one more column to multiply with.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, finite, one_number, whole
from solvable.datasets.labels import complete_labels, refuse_one_class
from solvable.errors import InputError
from solvable.kernels import Gaussian, Kernel, as_kernel
from solvable.kernels.inputs import Array, to_float64
from solvable.overfitting.label_noise import Channel, channel_matrix, check_levels, nested_flips
from solvable.overfitting.reference import linear_smoother_flip_error

if TYPE_CHECKING:
    import xarray as xr


Matrix = NDArray[np.float64]

# Numbers in one block of scores or label columns: 32 MB.
_AT_ONCE = 2**22
# Closer scores, relative to the weights, are a tie: votes of three neighbours do not add up to 1 exactly.
_TIE = 1e-12
# With weights on fewer labels than this, the sum is far from Gaussian.
_FEWEST_LABELS = 4.0


def linear_smoother_profile(
    weights: ArrayLike,
    y: ArrayLike,
    y_test: ArrayLike,
    noise_levels: ArrayLike = (0.0, 0.1, 0.2, 0.3, 0.4),
    *,
    n_draws: int = 1000,
    channel: "Channel | ArrayLike" = "symmetric",
    method: Literal["draws", "gaussian"] = "draws",
    random_state: int = 0,
) -> "xr.Dataset":
    r"""Return the clean test error of $\hat f(x) = \sum_i w_i(x)\, e_{y_i}$ trained on labels with noise.

    $e_c$ is the one-hot column of class c, and the answer is the class of the largest sum; for two classes that is the
    sign of $w(x) \cdot y$ with $y = \pm 1$. Ties within rounding go to the class that sorts first.

    Args:
        weights: $w(x)$ of each test point, `(m, n)`; for kernel regression `solve(K + ridge * eye(n), K_test.T).T`.
        y: clean training labels, `(n,)`: integers, text, booleans, or whole numbers such as $\pm 1$.
        y_test: clean test labels, `(m,)`, of the same classes.
        noise_levels: shares of corrupted labels, in [0, 1 - 1/K]; 0 is added.
        n_draws: label vectors to draw for each level.
        channel: distribution of a corrupted label, as in `flip_labels`.
        method: `draws` is exact up to sampling error; `gaussian`, for two classes, takes $w(x) \cdot y$ as Gaussian
            with its exact mean and variance: fast, on real digits within 8 % from p = 0.1 on, and too low at smaller
            noise (by 16 % at 0.05).
        random_state: seed of the draws.

    Returns:
        `test_error` and `standard_error` (over draws, given this training and test set; 0 for `gaussian`), dim
        `noise_level`.

    Raises:
        InputError: for shapes that do not match, labels of one class, and weights on too few labels for `gaussian`.

    Source: predictions are linear in the noisy labels; the Gaussian form is `reference.linear_smoother_flip_error`.

    Example:
        >>> import numpy as np
        >>> nearest = np.eye(50)  # each test point has one neighbour, so its answer is one noisy label
        >>> y = np.repeat([-1, 1], 25)
        >>> linear_smoother_profile(nearest, y, y, [0.1, 0.2], n_draws=10).test_error.round(6).values.tolist()
        [0.0, 0.1, 0.2]
    """
    import xarray as xr

    choice("method", method, ("draws", "gaussian"))
    W = _checked_weights(weights)
    names, codes = np.unique(_labels("y", y, W.shape[1], "column"), return_inverse=True)
    refuse_one_class(names)
    test = _labels("y_test", y_test, W.shape[0], "row")
    truth = np.searchsorted(names, test).clip(max=len(names) - 1)
    if (unknown := names[truth] != test).any():
        raise InputError(f"y_test holds {test[unknown][0]!s}, which is no class of y; expected classes of y")
    matrix = channel_matrix(channel, len(names))
    levels = check_levels(noise_levels, len(names), None if isinstance(channel, str) else matrix)
    if method == "gaussian":
        if not isinstance(channel, str):
            raise InputError("method 'gaussian' needs the symmetric channel; use method='draws'")
        error = _gaussian_error(W, codes, truth, levels, len(names))
        deviation = np.zeros(len(levels))
    else:
        draws, generator = whole("n_draws", n_draws, at_least=2), np.random.default_rng(random_state)
        error, deviation = _error_of_draws(W, codes, truth, levels, matrix, draws, generator)
    return xr.Dataset(
        {
            "test_error": ("noise_level", error, {"long_name": "test error on clean labels"}),
            "standard_error": ("noise_level", deviation, {"long_name": "over draws of the noise"}),
        },
        {"noise_level": ("noise_level", levels, {"long_name": "share of corrupted labels"})},
        {"method": method, "n_classes": len(names)},
    )


def class_columns(codes: NDArray[np.int64], n_classes: int) -> Matrix:
    """Return one-hot columns minus 1/K, without the last class, whose column is minus the sum of the others.

    Args:
        codes: label vectors of classes as numbers from 0, `(r, n)`.
        n_classes: K.

    Returns:
        `(n, r (K - 1))`, the columns of a label vector side by side, in the order that LAPACK accepts without a copy.
    """
    one_hot = codes[:, None, :] == np.arange(n_classes - 1)[:, None]
    return (one_hot - 1.0 / n_classes).reshape(-1, codes.shape[1]).T


def answers(columns: Matrix, n_classes: int, tie: Matrix | float = 0.0) -> NDArray[np.int64]:
    """Return the class of the largest score for each point and label vector, `(m, r)`.

    Args:
        columns: scores of all classes but the last, `(m, r (K - 1))`, as from `class_columns`.
        n_classes: K.
        tie: closer scores are equal, and the class that sorts first is taken; a number or `(m, 1)`.
    """
    scores = columns.reshape(len(columns), -1, n_classes - 1)
    if n_classes == 2:
        return (scores[:, :, 0] < -0.5 * np.asarray(tie)).astype(np.int64)
    last = -scores.sum(axis=2)
    best = np.maximum(scores.max(axis=2), last) - tie
    is_best = scores >= best[:, :, None]
    return np.where(is_best.any(axis=2), is_best.argmax(axis=2), n_classes - 1)


def _error_of_draws(
    weights: Matrix,
    codes: NDArray[np.int64],
    truth: NDArray[np.int64],
    levels: Matrix,
    matrix: Matrix,
    n_draws: int,
    generator: np.random.Generator,
) -> tuple[Matrix, Matrix]:
    """Return the mean error at each level and its standard error over draws."""
    n_classes, noisy = len(matrix), levels[1:]
    tie = _TIE * np.abs(weights).sum(axis=1, keepdims=True)

    def errors(labels: NDArray[np.int64]) -> Matrix:
        predicted = answers(weights @ class_columns(labels, n_classes), n_classes, tie)
        return (predicted != truth[:, None]).mean(axis=0)

    clean = errors(codes[None]).item()
    block = max(1, _AT_ONCE // (len(noisy) * (n_classes - 1) * max(weights.shape)))
    error = np.empty((n_draws, len(noisy)))
    for start in range(0, n_draws, block):
        stop = min(start + block, n_draws)
        labels = [nested_flips(codes, noisy, matrix, generator) for _ in range(start, stop)]
        error[start:stop] = errors(np.concatenate(labels)).reshape(stop - start, -1)
    deviation = error.std(axis=0, ddof=1) / np.sqrt(n_draws)
    return np.append(clean, error.mean(axis=0)), np.append(0.0, deviation)


def _gaussian_error(
    weights: Matrix, codes: NDArray[np.int64], truth: NDArray[np.int64], levels: Matrix, n_classes: int
) -> Matrix:
    if n_classes != 2:
        raise InputError(
            f"method 'gaussian' needs two classes; got {n_classes}: use method='draws', which is exact"
        )
    square = np.square(weights)
    total = square.sum(axis=1)
    # The effective number of labels behind the variance: 1 if a single one has all the weight.
    n_labels = np.median(total**2 / np.maximum(np.square(square).sum(axis=1), np.finfo(float).tiny))
    if n_labels < _FEWEST_LABELS:
        raise InputError(
            f"the weights of half the test points are on {n_labels:.2g} labels or fewer, so predictions are far from "
            "Gaussian; use method='draws', which is exact (one nearest neighbour: the noise level itself)"
        )
    prediction = weights @ (2.0 * codes - 1.0)
    return linear_smoother_flip_error(levels, (2.0 * truth - 1.0) * prediction, np.sqrt(total))


def _checked_weights(weights: Any) -> Matrix:
    try:
        W = to_float64(weights)
    except (TypeError, ValueError):
        raise InputError(
            f"weights is a {type(weights).__name__} without real numbers; expected an array (m, n)"
        ) from None
    if W.ndim != 2 or W.size == 0:
        raise InputError(
            f"weights has shape {W.shape}; expected (m, n), a row for each test point and a column for each training "
            "label"
        )
    finite("weights", W, "check the matrix that was inverted")
    return W


def _labels(name: str, y: ArrayLike, n: int, along: str) -> NDArray[Any]:
    labels = complete_labels(y, name)
    if labels.shape != (n,):
        raise InputError(
            f"{name} has shape {labels.shape}; expected ({n},), one label for each {along} of the weights"
        )
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise InputError(
            f"{name} holds {labels[labels != np.floor(labels)][0]:g}, which is no class; expected integers, text or "
            "whole numbers such as -1 and 1"
        )
    return labels


@dataclass(frozen=True)
class SpikySmooth(Kernel):
    r"""$K(x, x') + h\, e^{-|x - x'|^2 / 2 w^2}$; see `spiky_smooth`."""

    kernel: Kernel
    height: float
    width: float

    @property
    def resolved(self) -> bool:
        return self.kernel.resolved

    def for_data(self, X: Array, weights: Array | None = None) -> Self:
        return replace(self, kernel=self.kernel.for_data(X, weights))

    def __call__(self, X: Array, Z: Array | None = None) -> Array:
        return self.kernel(X, Z) + self.height * Gaussian(self.width)(X, Z)

    def diag(self, X: Array) -> Array:
        return self.kernel.diag(X) + self.height


def spiky_smooth(kernel: Any, height: float, width: float) -> SpikySmooth:
    r"""Return $K(x, x') + h\, e^{-|x - x'|^2 / 2 w^2}$, which interpolates its labels at the noise cost of a ridge $h$.

    With a width far below the distance of any two inputs the spikes are $h I$ on the training points and 0 everywhere
    else: the fit is that of $K$ with ridge $h$, plus a spike up to the label at each training point. So an
    interpolating model can overfit benignly.

    Args:
        kernel: any kernel that `as_kernel` accepts.
        height: $h > 0$, the equivalent ridge.
        width: $w > 0$, in the units of the inputs.

    Raises:
        InputError: for an invalid kernel, or numbers out of range.

    Source: Haas, Holzmüller, von Luxburg and Steinwart, arXiv:2305.14077.

    Example:
        >>> import numpy as np
        >>> from solvable.kernels import Laplace
        >>> X = np.random.default_rng(0).normal(size=(50, 3))
        >>> spiky = spiky_smooth(Laplace(1.0), height=1.0, width=1e-3)
        >>> bool(np.allclose(spiky(X), Laplace(1.0)(X) + np.eye(50)))
        True
    """
    return SpikySmooth(
        as_kernel(kernel), one_number("height", height, above=0), one_number("width", width, above=0)
    )
