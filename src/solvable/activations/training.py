r"""What gradient descent does with an infinitely wide network, from one eigendecomposition of its kernel."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.activations.designed import DesignedActivation
from solvable.checks import finite, one_number, whole
from solvable.errors import InputError
from solvable.kernels.inputs import points, to_float64
from solvable.kernels.names import as_kernel

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.float64]

# Inputs of which the kernel sees the same to this are one for it; eigenvalues below this, times n, are rounding.
_PARALLEL = 1e-13
_ROUNDING = 2e-16


def training_curve(
    kernel: Any,
    X: ArrayLike,
    y: ArrayLike,
    X_test: ArrayLike,
    y_test: ArrayLike,
    rate: float = 0.1,
    steps: Sequence[int] | int = (1, 10, 100, 1000),
) -> "xr.Dataset":
    r"""Return the losses of a wide network in training, $f_t(x) = K(x, X) K^{-1} [1 - (1 - 2\eta K/n)^t] y$.

    It is full-batch gradient descent at rate $\eta$ on the mean over samples of the sum over outputs of squared errors,
    for a centred network (its output at the start subtracted) in the NTK parametrization.

    Args:
        kernel: its NTK, a name, or a designed activation, of whose network it is; with the NNGP kernel only the readout
            is trained.
        X: training inputs, (n, d).
        y: training targets, (n,) or (n, outputs).
        X_test: test inputs, (m, d).
        y_test: test targets, (m,) or (m, outputs).
        rate: $\eta > 0$; below $n/\lambda_{\max}(K)$, where training is stable.
        steps: t, one or several whole numbers of at least 0 (10.0 is one).

    Returns:
        a dataset with the dim `step` and `train_loss`, `test_loss`; where targets are one-hot rows of two or more
        classes also `train_error_rate`, `test_error_rate`; the attributes `rate`, `largest_rate`
        ($n/\lambda_{\max}$), `null_directions` (how many of the n no training moves), `least_train_loss` (what they
        hold of the targets, below which the training loss never falls) and `notes`, a sentence about why: for odd
        kernels $f(-x) = -f(x)$, so that of the targets at two antipodes only the difference is learned.

    Raises:
        InputError: for shapes that do not match, and for rates at which training diverges.

    Source: Jacot, Gabriel and Hongler, Neural tangent kernel, 2018; Lee et al., Wide neural networks of any depth
    evolve as linear models, 2019, in discrete time.

    >>> import numpy as np
    >>> X, y = np.array([[1.0, 0.0], [0.0, 1.0]]), [1.0, -1.0]
    >>> curve = training_curve("relu ntk 1", X, y, X, y, rate=0.1, steps=[0, 100])
    >>> curve.train_loss.to_numpy().round(4).tolist()
    [1.0, 0.0]
    """
    import xarray as xr

    kernel = kernel.kernel if isinstance(kernel, DesignedActivation) else as_kernel(kernel)
    X_train, X_new = (to_float64(points(name, values)[1]) for name, values in (("X", X), ("X_test", X_test)))
    Y, Y_new = _targets("y", y, len(X_train)), _targets("y_test", y_test, len(X_new))
    if Y.shape[1] != Y_new.shape[1]:
        raise InputError(
            f"y has {Y.shape[1]} outputs and y_test has {Y_new.shape[1]}; expected the same number; give both the "
            "same columns"
        )
    rate = one_number("rate", rate, above=0)
    t = np.array([_step(step) for step in np.atleast_1d(np.asarray(steps)).tolist()])
    if not len(t):
        raise InputError("steps is empty; expected one or more whole numbers; give e.g. steps=[10, 100]")

    kernel = kernel.for_data(X_train)
    K = kernel(X_train)
    values, vectors = np.linalg.eigh(K)
    # Rounding makes eigenvalues of a singular kernel negative, which would grow in training.
    values = np.maximum(values, 0.0)
    n, largest = len(X_train), float(values[-1])
    if largest > 0 and rate >= n / largest:
        raise InputError(
            f"rate is {rate:g}; expected one below n/lambda_max = {n / largest:.4g}, above which gradient descent "
            "diverges; "
            "lower rate"
        )
    targets, cross = vectors.T @ Y, kernel(X_new, X_train) @ vectors
    facts = _null_directions(K, values, targets)
    values[: facts["null_directions"]] = 0.0
    shrink = 2 * rate * values / n
    measured: dict[str, list[float]] = {"train_loss": [], "test_loss": []}
    one_hot = _one_hot(Y) and _one_hot(Y_new)
    if one_hot:
        measured |= {"train_error_rate": [], "test_error_rate": []}
    for step in t:
        remaining, response = _remaining(shrink, int(step), rate / n)
        train = vectors @ ((1 - remaining)[:, None] * targets)
        test = cross @ (response[:, None] * targets)
        # The residual itself, whose digits 1 - (1 - ...) would lose.
        measured["train_loss"].append(float(np.sum((remaining[:, None] * targets) ** 2)) / n)
        measured["test_loss"].append(float(np.sum((Y_new - test) ** 2)) / len(Y_new))
        if one_hot:
            measured["train_error_rate"].append(_error_rate(train, Y))
            measured["test_error_rate"].append(_error_rate(test, Y_new))
    largest_rate = n / largest if largest > 0 else np.inf
    return xr.Dataset(
        {name: ("step", series) for name, series in measured.items()},
        {"step": t},
        {"rate": rate, "largest_rate": largest_rate} | facts,
    )


def _step(value: Any) -> int:
    step: Any = value
    if isinstance(value, float) and value.is_integer():
        step = int(value)
    return whole("steps", step, at_least=0)


def _null_directions(K: Floats, values: Floats, targets: Floats) -> dict[str, Any]:
    """Return how many directions of the kernel matrix are null, what they hold of the targets, and why in words.

    Args:
        K: the kernel of the training inputs, (n, n).
        values: its eigenvalues, ascending.
        targets: in the directions, (n, outputs).
    """
    n = len(K)
    root = np.sqrt(np.diag(K))
    nowhere = root == 0
    cosine = K / np.outer(*[np.where(nowhere, np.inf, root)] * 2)
    # Of points that are one for the kernel, up to a factor, the first stands for all.
    one = np.abs(cosine) > 1 - _PARALLEL
    first = np.where(nowhere, np.arange(n), one.argmax(axis=1))
    sign = np.sign(cosine[np.arange(n), first])
    again = ~nowhere & (first < np.arange(n))
    opposite, equal = int((again & (sign < 0)).sum()), int((again & (sign > 0)).sum())
    zero = int(nowhere.sum())
    explained = opposite + equal + zero
    null = max(explained, int((values <= _ROUNDING * n * values[-1]).sum()))
    reasons = {
        "from antipodes of other training points, since this odd kernel has f(-x) = -f(x)": opposite,
        "from points that repeat others up to a factor": equal,
        "from points with K(x, x) = 0": zero,
        "by rounding": null - explained,
    }
    least = float(np.sum(targets[:null] ** 2)) / n
    said = "; ".join(f"{count} {words}" for words, count in reasons.items() if count)
    notes = (
        f"The kernel matrix is singular: {null} of {n} directions are null ({said}); training never moves them, and "
        f"its loss stays above {least:.3g}."
        if null
        else ""
    )
    return {"null_directions": null, "least_train_loss": least, "notes": notes}


def _remaining(shrink: Floats, step: int, rate_per_sample: float) -> tuple[Floats, Floats]:
    r"""Return $(1-x)^t$ and $[1 - (1-x)^t]/\lambda$ for $x = 2\eta\lambda/n$, $2\eta t/n$ at $\lambda = 0$."""
    small = shrink < 0.5
    logarithm = step * np.log1p(-np.where(small, shrink, 0.0))
    remaining = np.where(small, np.exp(logarithm), (1 - shrink) ** step)
    learned = np.where(small, -np.expm1(logarithm), 1 - remaining)
    safe = np.where(shrink > 0, shrink, 1.0)
    return remaining, 2 * rate_per_sample * np.where(shrink > 0, learned / safe, step)


def _targets(name: str, y: Any, n: int) -> Floats:
    try:
        Y = to_float64(y)
    except (TypeError, ValueError):
        raise InputError(
            f"{name} does not hold numbers; expected targets (n,) or (n, outputs); encode classes first"
        ) from None
    if Y.ndim not in (1, 2) or len(Y) != n:
        raise InputError(
            f"{name} has shape {Y.shape}; expected ({n},) or ({n}, outputs), a row for each input; check which "
            "belong together"
        )
    finite(name, Y)
    return Y[:, None] if Y.ndim == 1 else Y


def _one_hot(Y: Floats) -> bool:
    return Y.shape[1] > 1 and bool(np.isin(Y, (0.0, 1.0)).all() and (Y.sum(axis=1) == 1).all())


def _error_rate(prediction: Floats, Y: Floats) -> float:
    return float(np.mean(prediction.argmax(axis=1) != Y.argmax(axis=1)))
