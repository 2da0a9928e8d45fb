r"""Training curves of infinitely wide networks, from one eigendecomposition of the kernel."""

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

# Inputs whose cosine under the kernel is within this of ±1 count as parallel.
_PARALLEL = 1e-13
# Eigenvalues below this, times n, relative to the largest are rounding errors.
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

    Training is full-batch gradient descent with rate $\eta$ on the squared error, summed over outputs and averaged over
    samples, for a centred network (its initial output subtracted) in the NTK parametrization.

    Args:
        kernel: the network's NTK, its name, or a designed activation; with an NNGP kernel only the readout is trained.
        X: training inputs, (n, d).
        y: training targets, (n,) or (n, outputs).
        X_test: test inputs, (m, d).
        y_test: test targets, (m,) or (m, outputs).
        rate: $\eta > 0$; below $n/\lambda_{\max}(K)$, where training is stable.
        steps: t, one or several whole numbers of at least 0 (10.0 is allowed).

    Returns:
        a dataset with the dim `step` and `train_loss`, `test_loss`; if targets are one-hot rows of two or more
        classes also `train_error_rate`, `test_error_rate`. Its attributes are `rate`, `largest_rate`
        ($n/\lambda_{\max}$), `null_directions` (number of the n directions that training does not change),
        `least_train_loss` (the targets' share in these directions, a lower bound of the training loss) and `notes`, a
        sentence with the reasons: for odd kernels, for example, $f(-x) = -f(x)$, so that only the difference of the
        targets at two antipodes is learned.

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
            f"y has {Y.shape[1]} outputs and y_test has {Y_new.shape[1]}; expected the same columns in both"
        )
    rate = one_number("rate", rate, above=0)
    t = np.array([_step(step) for step in np.atleast_1d(np.asarray(steps)).tolist()])
    if not len(t):
        raise InputError("steps is empty; expected one or more whole numbers, as in steps=[10, 100]")

    kernel = kernel.for_data(X_train)
    K = kernel(X_train)
    values, vectors = np.linalg.eigh(K)
    # Rounding can make eigenvalues of a singular kernel negative, and these would grow in training.
    values = np.maximum(values, 0.0)
    n, largest = len(X_train), float(values[-1])
    if largest > 0 and rate >= n / largest:
        raise InputError(
            f"rate is {rate:g}; expected a rate below n/lambda_max = {n / largest:.4g}, above which gradient descent "
            "diverges"
        )
    targets, cross = vectors.T @ Y, kernel(X_new, X_train) @ vectors
    facts = _null_directions(K, values, targets)
    values[: facts["null_directions"]] = 0.0
    shrink = 2 * rate * values / n
    records: dict[str, list[float]] = {"train_loss": [], "test_loss": []}
    one_hot = _one_hot(Y) and _one_hot(Y_new)
    if one_hot:
        records |= {"train_error_rate": [], "test_error_rate": []}
    for step in t:
        remaining, response = _remaining(shrink, int(step), rate / n)
        train = vectors @ ((1 - remaining)[:, None] * targets)
        test = cross @ (response[:, None] * targets)
        # From the residual itself: 1 - (1 - ...) would lose digits.
        records["train_loss"].append(float(np.sum((remaining[:, None] * targets) ** 2)) / n)
        records["test_loss"].append(float(np.sum((Y_new - test) ** 2)) / len(Y_new))
        if one_hot:
            records["train_error_rate"].append(_error_rate(train, Y))
            records["test_error_rate"].append(_error_rate(test, Y_new))
    largest_rate = n / largest if largest > 0 else np.inf
    return xr.Dataset(
        {name: ("step", series) for name, series in records.items()},
        {"step": t},
        {"rate": rate, "largest_rate": largest_rate} | facts,
    )


def _step(value: Any) -> int:
    step: Any = value
    if isinstance(value, float) and value.is_integer():
        step = int(value)
    return whole("steps", step, at_least=0)


def _null_directions(K: Floats, values: Floats, targets: Floats) -> dict[str, Any]:
    """Return the number of null directions of the kernel matrix, the least training loss, and the reasons in words.

    Args:
        K: the kernel of the training inputs, (n, n).
        values: its eigenvalues, ascending.
        targets: the targets in the basis of eigenvectors, (n, outputs).
    """
    n = len(K)
    root = np.sqrt(np.diag(K))
    zero = root == 0
    cosine = K / np.outer(*[np.where(zero, np.inf, root)] * 2)
    # Points that are parallel under the kernel are repeats of the first of them.
    parallel = np.abs(cosine) > 1 - _PARALLEL
    first = np.where(zero, np.arange(n), parallel.argmax(axis=1))
    sign = np.sign(cosine[np.arange(n), first])
    repeats = ~zero & (first < np.arange(n))
    n_opposite, n_equal = int((repeats & (sign < 0)).sum()), int((repeats & (sign > 0)).sum())
    n_zero = int(zero.sum())
    explained = n_opposite + n_equal + n_zero
    null = max(explained, int((values <= _ROUNDING * n * values[-1]).sum()))
    reasons = {
        "from antipodes of other training points, since this odd kernel has f(-x) = -f(x)": n_opposite,
        "from points that repeat others up to a factor": n_equal,
        "from points with K(x, x) = 0": n_zero,
        "by rounding": null - explained,
    }
    least = float(np.sum(targets[:null] ** 2)) / n
    counts = "; ".join(f"{count} {words}" for words, count in reasons.items() if count)
    notes = (
        f"The kernel matrix is singular: {null} of {n} directions are null ({counts}); training never changes them, "
        f"and the training loss stays above {least:.3g}."
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
            f"{name} does not hold numbers; expected numbers (n,) or (n, outputs); encode classes first"
        ) from None
    if Y.ndim not in (1, 2) or len(Y) != n:
        raise InputError(
            f"{name} has shape {Y.shape}; expected ({n},) or ({n}, outputs), one row for each input"
        )
    finite(name, Y)
    return Y[:, None] if Y.ndim == 1 else Y


def _one_hot(Y: Floats) -> bool:
    return Y.shape[1] > 1 and bool(np.isin(Y, (0.0, 1.0)).all() and (Y.sum(axis=1) == 1).all())


def _error_rate(prediction: Floats, Y: Floats) -> float:
    return float(np.mean(prediction.argmax(axis=1) != Y.argmax(axis=1)))
