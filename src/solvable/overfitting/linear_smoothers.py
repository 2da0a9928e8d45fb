r"""The whole noise profile of a linear smoother from its weights: no model is trained again.

Kernel and ridge regression, k nearest neighbours and kernel smoothing all predict $\hat f(x) = \sum_i w_i(x)\, y_i$
with weights that no label enters. A noisy label vector is then one more column to multiply with.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, finite, one_number, whole
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
# Scores that are closer, relative to the weights, are a tie: votes of three neighbours do not add up to 1 exactly.
_TIE = 1e-12
# Weights that rest on fewer labels than this are far from a Gaussian sum.
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
        weights: $w(x)$ of each test point, `(m, n)`: of kernel regression `solve(K + ridge * eye(n), K_test.T).T`.
        y: clean training labels, `(n,)`: integers, text, booleans, or whole numbers such as $\pm 1$.
        y_test: clean test labels, `(m,)`, of the same classes.
        noise_levels: shares of corrupted labels, in [0, 1 - 1/K]; 0 is added.
        n_draws: label vectors to draw for each level.
        channel: what a corrupted label becomes, as in `flip_labels`.
        method: `draws` is exact up to their number; `gaussian`, for two classes, takes $w(x) \cdot y$ as Gaussian with
            its exact mean and variance: at once, on real digits within 8 % from p = 0.1 on, and too low at smaller
            noise (by 16 % at 0.05).
        random_state: seed of the draws.

    Returns:
        `test_error` and `standard_error` (over draws, given this training and test set; 0 for `gaussian`), dim
        `noise_level`.

    Raises:
        InputError: for shapes that do not match, labels of one class, and weights that rest on too few labels for
            `gaussian`.

    Source: a noisy label vector enters linearly; the Gaussian form is `reference.linear_smoother_flip_error`.

    Example:
        >>> import numpy as np
        >>> nearest = np.eye(50)  # each test point has one neighbour: its answer is one noisy label
        >>> y = np.repeat([-1, 1], 25)
        >>> linear_smoother_profile(nearest, y, y, [0.1, 0.2], n_draws=10).test_error.round(6).values.tolist()
        [0.0, 0.1, 0.2]
    """
    import xarray as xr

    choice("method", method, ("draws", "gaussian"))
    W = _checked_weights(weights)
    names, codes = np.unique(_labels("y", y, W.shape[1], "column"), return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"y holds one class only, {names[0]!s}, so no label can be confused; expected two or more"
        )
    test = _labels("y_test", y_test, W.shape[0], "row")
    truth = np.searchsorted(names, test).clip(max=len(names) - 1)
    if (unknown := names[truth] != test).any():
        raise InputError(f"y_test holds {test[unknown][0]!s}, a class that y has not; expected those of y")
    matrix = channel_matrix(channel, len(names))
    levels = check_levels(noise_levels, len(names), None if isinstance(channel, str) else matrix)
    if method == "gaussian":
        if not isinstance(channel, str):
            raise InputError("method 'gaussian' knows the symmetric channel only; take method='draws'")
        error = _gaussian(W, codes, truth, levels, len(names))
        deviation = np.zeros(len(levels))
    else:
        draws = whole("n_draws", n_draws, at_least=2)
        error, deviation = _drawn(W, codes, truth, levels, matrix, draws, np.random.default_rng(random_state))
    return xr.Dataset(
        {
            "test_error": ("noise_level", error, {"long_name": "test error on clean labels"}),
            "standard_error": ("noise_level", deviation, {"long_name": "over draws of the noise"}),
        },
        {"noise_level": ("noise_level", levels, {"long_name": "share of corrupted labels"})},
        {"method": method, "n_classes": len(names)},
    )


def class_columns(codes: NDArray[np.int64], n_classes: int) -> Matrix:
    """Return one-hot columns minus 1/K but for the last class's, which is minus the sum of the others.

    Args:
        codes: label vectors of classes as numbers from 0, `(r, n)`.
        n_classes: K.

    Returns:
        `(n, r (K - 1))`, the columns of a label vector side by side, in the order that LAPACK takes without a copy.
    """
    one_hot = codes[:, None, :] == np.arange(n_classes - 1)[:, None]
    return (one_hot - 1.0 / n_classes).reshape(-1, codes.shape[1]).T


def answers(columns: Matrix, n_classes: int, tie: Matrix | float = 0.0) -> NDArray[np.int64]:
    """Return the class of the largest score for each point and label vector, `(m, r)`.

    Args:
        columns: scores of all classes but the last, `(m, r (K - 1))`, as from `class_columns`.
        n_classes: K.
        tie: scores so close are equal, and the class that sorts first is taken; a number or `(m, 1)`.
    """
    scores = columns.reshape(len(columns), -1, n_classes - 1)
    if n_classes == 2:
        return (scores[:, :, 0] < -0.5 * np.asarray(tie)).astype(np.int64)
    last = -scores.sum(axis=2)
    best = np.maximum(scores.max(axis=2), last) - tie
    reached = scores >= best[:, :, None]
    return np.where(reached.any(axis=2), reached.argmax(axis=2), n_classes - 1)


def _drawn(
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
        found = answers(weights @ class_columns(labels, n_classes), n_classes, tie)
        return (found != truth[:, None]).mean(axis=0)

    clean = errors(codes[None]).item()
    per_draw = len(noisy) * (n_classes - 1) * max(weights.shape)
    block = max(1, _AT_ONCE // per_draw)
    found = np.empty((n_draws, len(noisy)))
    for start in range(0, n_draws, block):
        some = range(start, min(start + block, n_draws))
        labels = np.concatenate([nested_flips(codes, noisy, matrix, generator) for _ in some])
        found[some.start : some.stop] = errors(labels).reshape(len(some), -1)
    deviation = found.std(axis=0, ddof=1) / np.sqrt(n_draws)
    return np.append(clean, found.mean(axis=0)), np.append(0.0, deviation)


def _gaussian(
    weights: Matrix, codes: NDArray[np.int64], truth: NDArray[np.int64], levels: Matrix, n_classes: int
) -> Matrix:
    if n_classes != 2:
        raise InputError(
            f"method 'gaussian' knows two classes only; got {n_classes}: take method='draws', which is exact"
        )
    square = np.square(weights)
    total = square.sum(axis=1)
    # How many labels the variance rests on: 1 where a single one has all the weight.
    carried = total**2 / np.maximum(np.square(square).sum(axis=1), np.finfo(float).tiny)
    if np.median(carried) < _FEWEST_LABELS:
        raise InputError(
            f"the weights of half the test points rest on {np.median(carried):.2g} labels or fewer, so predictions are "
            "far from Gaussian; take method='draws', which is exact (one nearest neighbour: the noise level itself)"
        )
    prediction = weights @ (2.0 * codes - 1.0)
    return linear_smoother_flip_error(levels, (2.0 * truth - 1.0) * prediction, np.sqrt(total))


def _checked_weights(weights: Any) -> Matrix:
    try:
        W = to_float64(weights)
    except (TypeError, ValueError):
        raise InputError(
            f"weights is a {type(weights).__name__} that holds no real numbers; expected an array (m, n)"
        ) from None
    if W.ndim != 2 or W.size == 0:
        raise InputError(
            f"weights has shape {W.shape}; expected (m, n), a row for each test point and a column for each training "
            "label"
        )
    finite("weights", W, "check the matrix that was inverted")
    return W


def _labels(name: str, y: ArrayLike, n: int, along: str) -> NDArray[Any]:
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise InputError(
            f"{name} has shape {labels.shape}; expected ({n},), one label for each {along} of the weights"
        )
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise InputError(
            f"{name} holds {labels[labels != np.floor(labels)][0]:g}, which names no class; expected integers, text or "
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

    def for_data(self, X: Array) -> Self:
        return replace(self, kernel=self.kernel.for_data(X))

    def __call__(self, X: Array, Z: Array | None = None) -> Array:
        return self.kernel(X, Z) + self.height * Gaussian(self.width)(X, Z)

    def diag(self, X: Array) -> Array:
        return self.kernel.diag(X) + self.height


def spiky_smooth(kernel: Any, height: float, width: float) -> SpikySmooth:
    r"""Return $K(x, x') + h\, e^{-|x - x'|^2 / 2 w^2}$, which interpolates its labels at the noise cost of a ridge $h$.

    With a width far below the distance of any two inputs the spikes are $h I$ on the training points and 0 everywhere
    else: the fit is that of $K$ with ridge $h$, and in each training point a spike reaches for its label. So an
    interpolating model can overfit benignly.

    Args:
        kernel: what `as_kernel` takes.
        height: $h > 0$, the ridge that it is like.
        width: $w > 0$, in the units of the inputs.

    Raises:
        InputError: for a kernel that is none, or numbers out of range.

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
