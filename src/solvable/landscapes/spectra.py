r"""Spectra of Hessians: all eigenvalues, extreme ones or a density, the index, and the directions of most curvature."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.landscapes.inputs import as_batch, as_loss, need_dense
from solvable.landscapes.lanczos import NOT_FINITE, Product, lanczos_measure
from solvable.landscapes.losses import Expansion, Loss, Numbers
from solvable.landscapes.theory import count_signs
from solvable.progress import progress

# Up to so many parameters the whole Hessian takes no longer than products with it one by one.
_DENSE = 200
# Steps after which Lanczos' method knows the norm of a matrix well enough to scale it.
_NORM_STEPS = 20
# Columns of a block that are computed at a time, and numbers in their copies of the parameters.
_LANES, _COPIES = 100, 2e7
_ASYMMETRY = 1e-10


@dataclass(frozen=True, eq=False)
class Spectrum:
    r"""Eigenvalues of a Hessian, or of a diagonal block of it, as far as they are known.

    Attributes:
        method: `exact`, `lanczos` or `slq`.
        n_parameters: size N of the matrix.
        eigenvalues: ascending; `exact`: all, `lanczos`: those at both ends, `slq`: the lowest and the highest.
        index: number of eigenvalues below -1e-8 of the norm; None unless `exact`. The number of negative
            `eigenvalues` is a lower bound.
        nullity: number of eigenvalues within 1e-8 of the norm from zero; None unless `exact`.
        trace: $\sum_i \lambda_i$; an estimate unless `exact`.
        trace_error: its standard error over the probes; 0 if it is exact, NaN for one probe.
        nodes: positions of the density, ascending (points,); None for `lanczos`.
        weights: share of the eigenvalues at each node (points,); they sum to 1.
    """

    method: str
    n_parameters: int
    eigenvalues: Numbers
    index: int | None
    nullity: int | None
    trace: float
    trace_error: float
    nodes: Numbers | None
    weights: Numbers | None

    @property
    def norm(self) -> float:
        """The spectral norm, the largest magnitude of an eigenvalue."""
        return float(np.abs(self.eigenvalues).max())

    def density(self, x: Float[ArrayLike, "*points"], width: float) -> Float[NDArray, "*points"]:
        r"""Return the density of eigenvalues, $\sum_k w_k\, \mathcal{N}(x; \mu_k, \sigma^2)$, with integral 1.

        Args:
            x: where, in units of the eigenvalues.
            width: $\sigma > 0$ of the Gaussian kernel.

        Raises:
            InputError: for a spectrum that has only extreme eigenvalues.
        """
        if self.nodes is None:
            raise InputError(
                "method lanczos gives the ends of the spectrum and no density; expected exact or slq"
            )
        at, sigma = numbers("x", x), one_number("width", width, above=0)
        bells = np.exp(-0.5 * np.square((at[..., None] - self.nodes) / sigma))
        return bells @ np.asarray(self.weights) / (np.sqrt(2 * np.pi) * sigma)


@dataclass(frozen=True)
class Index:
    """Signs of the eigenvalues of a Hessian.

    Attributes:
        count: number of eigenvalues below -tolerance times the norm.
        fraction: the count divided by the number of parameters.
        nullity: number of eigenvalues within the tolerance from zero.
        gap: smallest magnitude that counts as nonzero, relative to the norm; NaN if the Hessian is zero. The counts
            are sure if it is far above the tolerance.
    """

    count: int
    fraction: float
    nullity: int
    gap: float


def spectrum(
    loss: Any,
    theta: Any = None,
    *,
    method: str = "exact",
    n_eigenvalues: int = 10,
    n_probes: int = 10,
    n_steps: int = 80,
    per_layer: bool = False,
    random_state: int = 0,
) -> Any:
    r"""Return the `Spectrum` of the Hessian at a point, or of its blocks, or one for each point of a trajectory.

    | method | what it gives | cost |
    |---|---|---|
    | `exact` | all eigenvalues and the index | the whole matrix, up to 5000 parameters |
    | `lanczos` | eigenvalues at both ends, by ARPACK | a few hundred products with a vector, one by one |
    | `slq` | both ends and a density, by stochastic Lanczos quadrature | `n_steps` products, all probes at once |

    `slq` gives no index: the weight below zero is off by tenths, since it cannot tell small eigenvalues from zero. Its
    trace has a probe noise that only more probes reduce.

    Args:
        loss: as in `find_critical_points`.
        theta: parameters (N,), or a trajectory (T, N); by default those of the module.
        method: `exact`, `lanczos` or `slq`.
        n_eigenvalues: for `lanczos`, half of them from each end. Matrices of up to so many rows, or 200, get `exact`.
        n_probes: random vectors of signs, for `slq` and the traces of `lanczos`.
        n_steps: Lanczos steps of each probe, for `slq`.
        per_layer: whether to return the spectra of the diagonal blocks of the parameters, for a `module_loss`.
        random_state: seed of the probes and of the first vector; all points have the same.

    Returns:
        A `Spectrum`; with `per_layer` a dict, name of the parameter -> `Spectrum`; for a trajectory a list of T.

    Raises:
        InputError: for a point or a loss that cannot be used, and for too many parameters for `exact`.

    Source: for `slq`, Ubaru, Chen, Saad, SIAM J. Matrix Anal. Appl. 38 (2017) 1075.

    >>> import torch
    >>> curvatures = torch.tensor([-1.0, 0.0, 3.0], dtype=torch.float64)
    >>> found = spectrum(lambda t: (curvatures * t**2).sum() / 2, np.zeros(3))
    >>> found.eigenvalues.tolist(), found.index, found.nullity, found.trace
    ([-1.0, 0.0, 3.0], 1, 1, 2.0)
    """
    function = as_loss(loss, theta)
    points = as_batch(theta, function, "theta")
    n_eigenvalues = whole("n_eigenvalues", n_eigenvalues, at_least=2)
    n_probes, n_steps = whole("n_probes", n_probes, at_least=1), whole("n_steps", n_steps, at_least=1)
    random_state = whole("random_state", random_state, at_least=0)
    measures: dict[str, Callable[[_Block], Spectrum]] = {
        "exact": _exact,
        "lanczos": partial(_lanczos, n_eigenvalues=n_eigenvalues, n_probes=n_probes, seed=random_state),
        "slq": partial(_slq, n_probes=n_probes, n_steps=n_steps, seed=random_state),
    }
    measure = measures[choice("method", method, measures)]
    layers = layers_of(function) if per_layer else {}
    function.check(points)
    several = theta is not None and np.ndim(theta) == 2
    spectra: list[Any] = []
    with progress("spectra", len(points), quiet=not several) as advance:
        for point in points:
            if per_layer:
                found = {name: measure(_Block(function, point, part)) for name, part in layers.items()}
            else:
                found = measure(_Block(function, point, slice(0, len(point))))
            spectra.append(found)
            advance()
    return spectra if several else spectra[0]


def index(loss: Any, theta: Any = None, tolerance: float = 1e-8) -> Index:
    r"""Return the index of a Hessian: how many eigenvalues are below $-\epsilon |H|$, with the nullity and the gap.

    Args:
        loss: as in `find_critical_points`, or a symmetric matrix (N, N).
        theta: parameters (N,), up to 5000; by default those of the module; none for a matrix.
        tolerance: $\epsilon \ge 0$, relative to the spectral norm. Zeros are as small as that only where the gradient
            has gone; `classify` polishes a point first.

    Raises:
        InputError: for a point, a loss or a matrix that cannot be used.

    >>> index(np.diag([-2.0, 1e-9, 0.5, 1.0]))
    Index(count=1, fraction=0.25, nullity=1, gap=0.25)
    """
    tolerance = one_number("tolerance", tolerance, at_least=0)
    if isinstance(loss, Loss) or callable(loss):
        function, point = one_point(loss, theta)
        need_dense(len(point), "index", "choose spectrum with method lanczos or slq")
        here = function.at(point[None])
        eigenvalues = np.linalg.eigvalsh(_checked(here.hessian()[0]))
    elif theta is not None:
        raise InputError("theta was given with a matrix; expected a matrix alone, or a loss and theta")
    else:
        eigenvalues = np.linalg.eigvalsh(_symmetric(loss))
    count, nullity = (int(n) for n in count_signs(eigenvalues, tolerance))
    sizes = np.sort(np.abs(eigenvalues))
    gap = float(sizes[nullity] / sizes[-1]) if nullity < len(sizes) else np.nan
    return Index(count, count / len(sizes), nullity, gap)


def escape_direction(loss: Any, theta: Any = None) -> tuple[float, Numbers]:
    r"""Return the lowest eigenvalue of the Hessian and its unit eigenvector v (N,), the way out of a saddle.

    If the eigenvalue is negative and the gradient zero, $\theta + t v$ and $\theta - t v$ both have a lower loss for
    small t: start two searches there. If the gradient is not zero, the sign of v is such that the loss falls along +v.
    If the eigenvalue is not negative, no direction of negative curvature exists.

    Args:
        loss: as in `find_critical_points`.
        theta: parameters (N,), any number; by default those of the module.

    Raises:
        InputError: for a point or a loss that cannot be used.

    >>> import torch
    >>> value, v = escape_direction(lambda t: t[0] ** 2 - t[1] ** 2, np.zeros(2))
    >>> value, np.abs(v).tolist()
    (-2.0, [0.0, 1.0])
    """
    function, point = one_point(loss, theta)
    here = function.at(point[None])
    value, vector = extreme_eigenpair(here, "SA")
    return value, -vector if here.gradient[0] @ vector > 0 else vector


def sharpness(loss: Any, theta: Any = None) -> float:
    r"""Return the largest eigenvalue of the Hessian.

    Args:
        loss: as in `find_critical_points`.
        theta: parameters (N,), any number; by default those of the module.

    Raises:
        InputError: for a point or a loss that cannot be used.

    >>> sharpness(lambda t: (t**2).sum(), np.zeros(2))
    2.0
    """
    function, point = one_point(loss, theta)
    return extreme_eigenpair(function.at(point[None]), "LA")[0]


def max_stable_rate(sharpness: float, momentum: float = 0.0, *, nesterov: bool = False) -> float:
    r"""Return the learning rate up to which full-batch gradient descent is stable, $(2 + 2 \beta) / \lambda_{max}$.

    With Nesterov's momentum it is $(2 + 2 \beta) / (\lambda_{max} (1 + 2 \beta))$. Training that goes on at a larger
    rate is at the edge of stability.

    Args:
        sharpness: $\lambda_{max} > 0$.
        momentum: $\beta \in [0, 1)$, in the convention of `torch.optim.SGD`.
        nesterov: whether the momentum is Nesterov's.

    Source: Cohen et al., 2021, arXiv:2103.00065.

    >>> max_stable_rate(20.0), max_stable_rate(20.0, 0.5)
    (0.1, 0.15)
    """
    top, beta = one_number("sharpness", sharpness, above=0), one_number("momentum", momentum, at_least=0)
    if beta >= 1:
        raise InputError(f"momentum is {beta:g}; expected at least 0 and below 1")
    return (2 + 2 * beta) / (top * (1 + 2 * beta if nesterov else 1))


def extreme_eigenpair(here: Expansion, end: str) -> tuple[float, Numbers]:
    """Return the lowest (`SA`) or the highest (`LA`) eigenvalue of the Hessian at one point, and its eigenvector."""
    N = here.theta.shape[1]
    if N <= _DENSE:
        eigenvalues, vectors = np.linalg.eigh(_checked(here.hessian()[0]))
        at = 0 if end == "SA" else -1
        return float(eigenvalues[at]), vectors[:, at]
    eigenvalues, vectors = _arpack(here.product, N, 1, end, 0)
    return float(eigenvalues[0]), vectors[:, 0]


def extreme_eigenpairs(here: Expansion) -> tuple[Numbers, Numbers]:
    """Return the lowest and the highest eigenvalue (2,) of the Hessian at one point, and their eigenvectors (2, N)."""
    eigenvalues, vectors = _arpack(here.product, here.theta.shape[1], 2, "BE", 0)
    order = np.argsort(eigenvalues)
    return eigenvalues[order], vectors[:, order].T


def one_point(loss: Any, theta: Any, name: str = "theta") -> tuple[Loss, Numbers]:
    """Return a loss and one point (N,), after checking that they can be used."""
    function = as_loss(loss, theta)
    points = as_batch(theta, function, name)
    if len(points) > 1:
        raise InputError(f"{name} has {len(points)} points; expected one, of shape (N,)")
    function.check(points)
    return function, points[0]


def layers_of(loss: Loss) -> dict[str, slice]:
    """Return the slices of the loss' layers, or raise `InputError` if it has none."""
    if loss.layers is None:
        raise InputError("per_layer needs a loss that knows its layers; expected one from module_loss")
    return loss.layers


class _Block:
    """The diagonal block of a Hessian that belongs to a slice of the parameters (N,); the slice may be all."""

    def __init__(self, loss: Loss, theta: Numbers, part: slice) -> None:
        self._loss, self._theta, self._part = loss, theta, part
        self.size = len(theta[part])

    def product(self, lanes: int) -> Product:
        """Return the function that multiplies `lanes` vectors (lanes, size) by the block."""
        here = self._loss.at(np.repeat(self._theta[None], lanes, axis=0))

        def product(vectors: Numbers) -> Numbers:
            padded = np.zeros((lanes, len(self._theta)))
            padded[:, self._part] = vectors
            return here.product(padded)[:, self._part]

        return product

    def matrix(self) -> Numbers:
        """Return the block."""
        n = self.size
        need_dense(n, "method exact", "choose method lanczos or slq")
        if n == len(self._theta):
            H = self._loss.at(self._theta[None]).hessian()[0]
        else:
            lanes = min(n, _LANES, max(1, int(_COPIES / len(self._theta))))
            product, H = self.product(lanes), np.zeros((-(-n // lanes) * lanes, n))
            units = np.eye(*H.shape)
            for first in range(0, n, lanes):
                H[first : first + lanes] = product(units[first : first + lanes])
            H = (H[:n] + H[:n].T) / 2
        return _checked(H)


def _exact(block: _Block) -> Spectrum:
    eigenvalues = np.linalg.eigvalsh(block.matrix()).astype(np.float64)
    n = len(eigenvalues)
    below, zero = count_signs(eigenvalues)
    trace = float(eigenvalues.sum())
    return Spectrum(
        "exact", n, eigenvalues, int(below), int(zero), trace, 0.0, eigenvalues, np.full(n, 1 / n)
    )


def _lanczos(block: _Block, n_eigenvalues: int, n_probes: int, seed: int) -> Spectrum:
    if block.size <= max(n_eigenvalues, _DENSE):
        return _exact(block)
    eigenvalues = np.sort(_arpack(block.product(1), block.size, n_eigenvalues, "BE", seed)[0])
    probes = _signs(n_probes, block.size, seed)
    traces = np.einsum("bn,bn->b", probes, block.product(n_probes)(probes))
    return Spectrum("lanczos", block.size, eigenvalues, None, None, *_mean(traces), None, None)


def _slq(block: _Block, n_probes: int, n_steps: int, seed: int) -> Spectrum:
    product = block.product(n_probes)
    nodes, weights = lanczos_measure(product, _signs(n_probes, block.size, seed), n_steps)
    traces = block.size * (nodes * weights).sum(axis=1)
    order = np.argsort(nodes, axis=None)
    nodes, weights = nodes.ravel()[order], weights.ravel()[order] / n_probes
    ends = nodes[[0, -1]]
    return Spectrum("slq", block.size, ends, None, None, *_mean(traces), nodes, weights)


def _arpack(product: Product, n: int, count: int, end: str, seed: int) -> tuple[Numbers, Numbers]:
    """Return eigenvalues and eigenvectors (n, count) at one end (`SA`, `LA`) or at both (`BE`)."""
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    v0 = np.random.default_rng(seed).standard_normal(n)
    scale = float(np.abs(lanczos_measure(product, v0, _NORM_STEPS)[0]).max())
    if scale == 0:
        return np.zeros(count), np.eye(n, count)  # ARPACK refuses a zero matrix

    # ARPACK's tolerance is relative to each eigenvalue, so that it never accepts one near zero, which a minimum with
    # null directions has at its end. Of H / |H| + 2 all are of order 1.
    def shifted(v: Numbers) -> Numbers:
        return product(v.reshape(1, n))[0] / scale + 2 * v.ravel()

    operator: Any = LinearOperator((n, n), matvec=shifted, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    try:
        found: Any = eigsh(operator, k=count, which=end, v0=v0)
    except ArpackError as error:
        raise InputError(
            f"ARPACK did not find the {count} extreme eigenvalues of {n} parameters ({error}); expected ends of the "
            "spectrum that stand out; choose another method or another number of eigenvalues"
        ) from None
    return scale * (found[0] - 2), found[1]


def _signs(count: int, n: int, seed: int) -> Numbers:
    # Their squares do not vary, so that the trace of a diagonal matrix is exact.
    return np.random.default_rng(seed).choice([-1.0, 1.0], (count, n))


def _mean(values: Numbers) -> tuple[float, float]:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(values.mean()), float(error)


def _checked(H: Numbers) -> Numbers:
    if not np.isfinite(H).all():
        raise InputError(NOT_FINITE)
    return H


def _symmetric(matrix: Any) -> Numbers:
    H = numbers("matrix", matrix.detach().cpu() if hasattr(matrix, "detach") else matrix)
    if H.ndim != 2 or H.shape[0] != H.shape[1]:
        raise InputError(f"the matrix has shape {H.shape}; expected (N, N)")
    finite("matrix", H)
    if np.abs(H - H.T).max() > _ASYMMETRY * np.abs(H).max():
        raise InputError("the matrix is not symmetric; expected a Hessian; pass (H + H.T) / 2")
    return H
