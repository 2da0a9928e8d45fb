r"""Minimum-length least-squares solutions of symmetric systems, singular or not, many at once."""

from collections.abc import Callable, Generator
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.landscapes.products import row_product
from solvable.machine import limited_blas_threads, need_memory

Array = NDArray[np.float64]
Product = Callable[[Array], Array]

SOLUTION = "solution"
LEAST_SQUARES = "least-squares solution"
ITERATION_LIMIT = "iteration limit"
LENGTH_LIMIT = "length limit"
UNCONFIRMED = "unconfirmed"
NOT_FINITE = "not finite"

# Singular values of the small matrix below this share of the largest count as zeros.
_CUT = 1e-12
# Factor of the tolerance where the residuals of a least-squares solution turn out to be too large.
_CLOSER = 1e-2
# Room in the basis for this many vectors at first; it doubles when it is full.
_ROOM = 32
_EPS = float(np.finfo(float).eps)


class MinresInfo(int):
    r"""The outcome of `minres_qlp`: the integer 0 for a solution, otherwise the number of iterations (at least 1).

    In a batch, the integer is 0 if every system was solved, otherwise the largest number of iterations of those that
    were not, and each attribute is an array with one entry per system. With r = b - A x, computed with products of A
    after the last iteration:

    Attributes:
        status: `"solution"`: `relative_residual` <= rtol; otherwise `"least-squares solution"`:
            `relative_normal_residual` <= rtol; otherwise `"iteration limit"`, `"length limit"` (a longer x would have
            a smaller residual), `"unconfirmed"` (the iteration ended, but products of A do not confirm it: rtol is too
            small for float64, or A is not symmetric), or `"not finite"` (b or a product has NaN or infinity).
        n_iterations: Lanczos steps, each with one product of A.
        residual_norm: |r|.
        relative_residual: |r| / (|A| |x| + |b|), between 0 and 1 up to the error of |A|.
        relative_normal_residual: |A r| / (|A| |r|), 0 where r = 0.
        norm: estimate of the spectral norm |A| from below, so that the two ratios are not too small; 0 where b = 0.
        length: |x|.
    """

    status: Any
    n_iterations: Any
    residual_norm: Any
    relative_residual: Any
    relative_normal_residual: Any
    norm: Any
    length: Any

    def __new__(cls, value: int, **attributes: Any) -> "MinresInfo":
        info = super().__new__(cls, value)
        vars(info).update(attributes)
        return info

    def __repr__(self) -> str:
        kinds, counts = np.unique(np.atleast_1d(self.status), return_counts=True)
        words = ", ".join(f"{kind} ({count})" for kind, count in zip(kinds, counts, strict=True))
        return f"{int(self)}: {words if np.ndim(self.status) else self.status}"


def minres_qlp(
    A: Any, b: ArrayLike, *, rtol: float = 1e-10, maxiter: int | None = None, max_norm: float = np.inf
) -> tuple[Array, MinresInfo]:
    r"""Return the shortest x of those that minimise $|b - A x|$ for a symmetric A, and how well it does.

    $x = A^+ b$ for any symmetric A: definite or not, singular or not, and b in its range or not. If A is singular and b
    outside its range, `scipy.sparse.linalg.minres` may return an arbitrarily long x and report success.

    The method minimises the residual over Krylov spaces, as MINRES-QLP does, with another arithmetic: the Lanczos basis
    is stored and orthogonalised twice, and x comes from a QR or singular value decomposition of the small tridiagonal
    matrix. The short recurrence loses many digits on singular systems if rtol is below 1e-8. The basis takes 8 N bytes
    per system and iteration.

    Args:
        A: symmetric matrix (N, N), dense or sparse; `LinearOperator`; function v -> A v of shape (N,) -> (N,). For a
            batch: one of these for all systems, the function then of (B, N) -> (B, N); dense matrices (B, N, N); a
            function that applies the matrix of system i to row i.
        b: right-hand side (N,), or one per row (B, N).
        rtol: tolerance of the two relative residuals of `MinresInfo`, between 0 and 1.
        maxiter: most iterations, at least 1; N by default and at most, which is enough, because an orthogonal basis
            then spans the whole space.
        max_norm: most |x|, above 0: the radius of a trust region. Where an iterate is longer, the result is on the line
            to it from the one before.

    Returns:
        x of the shape of b, and a `MinresInfo`.

    Raises:
        InputError: if a matrix is not symmetric, shapes do not fit, a number is outside its range, A or b has NaN or
            infinite values, or there is no memory for the basis.

    Source: S.-C. T. Choi, C. C. Paige, M. A. Saunders, SIAM J. Sci. Comput. 33 (2011) 1810.

    >>> A = np.diag([2.0, -1.0, 0.0])
    >>> x, info = minres_qlp(A, [2.0, 3.0, 5.0])
    >>> np.allclose(x, [1.0, -3.0, 0.0]), info, round(info.residual_norm, 9)
    (True, 0: least-squares solution, 5.0)
    """
    rhs = numbers("b", b)
    if rhs.ndim not in (1, 2):
        raise InputError(f"b has shape {rhs.shape}; expected (N,), or (B, N) for a batch")
    finite("b", rhs)
    rtol = one_number("rtol", rtol, at_least=0, at_most=1)
    N = rhs.shape[-1]
    limit = N if maxiter is None else min(whole("maxiter", maxiter, at_least=1), N)
    if max_norm != np.inf:
        max_norm = one_number("max_norm", max_norm, above=0)
    product = row_product(A, rhs)
    x, info = solve_batch(product, np.atleast_2d(rhs), rtol=rtol, maxiter=limit, max_norm=max_norm)
    if rhs.ndim == 2:
        return x, info
    return x[0], MinresInfo(info, **{name: values[0].item() for name, values in vars(info).items()})


def solve_batch(
    product: Product, b: Array, *, rtol: float, maxiter: int, max_norm: float = np.inf
) -> tuple[Array, MinresInfo]:
    """Return what `minres_qlp` does, for a function of (B, N) arrays and without checks of the arguments.

    A row of b, or of a product, with NaN ends this system alone, as "not finite". The rows of systems that have ended
    go on to be multiplied while others run, and do not change the result. After the last iteration there are two more
    products, and again two if a least-squares solution becomes shorter.
    """
    # With several threads, the many small decompositions of a batch take ten times longer.
    threads = limited_blas_threads(1) if len(b) > 1 else nullcontext()
    with np.errstate(all="ignore"), threads:
        process, tolerance = _lanczos(product, b, rtol, maxiter), rtol
        space = next(process)
        while True:
            y, limited = _within(space, max_norm)
            x = np.matmul(y[:, None, :], space.V[:, : y.shape[1]])[:, 0] * space.unit[:, None]
            measures, direction = _measured(product, b, x, space.norm)
            smaller = np.minimum(measures["relative_residual"], measures["relative_normal_residual"])
            missed = space.least_squares & ~limited & (smaller > rtol) & (space.n_iterations < maxiter)
            # What the recurrences promise for r may not hold for that of the shortest x if rtol is loose.
            if tolerance <= _CUT or not missed.any():
                break
            space, tolerance = process.send(missed), tolerance * _CLOSER
        # Where A r = 0, a part of x along r only makes it longer. Removing it adds as much to A r as its length tells.
        along = np.einsum("bn,bn->b", direction, x)
        growth = 1 + np.abs(along) * measures["norm"] / measures["residual_norm"]
        shorter = (measures["relative_normal_residual"] * growth <= rtol) & (
            measures["relative_residual"] > rtol
        )
        if shorter.any():
            x[shorter] -= along[shorter, None] * direction[shorter]
            measures, _ = _measured(product, b, x, space.norm)
    residual, normal = measures["relative_residual"], measures["relative_normal_residual"]
    is_finite = space.finite & np.isfinite(residual) & np.isfinite(normal)
    status = np.select(
        [~is_finite, residual <= rtol, normal <= rtol, limited, space.ended],
        [NOT_FINITE, SOLUTION, LEAST_SQUARES, LENGTH_LIMIT, UNCONFIRMED],
        ITERATION_LIMIT,
    )
    failed = (status != SOLUTION) & (status != LEAST_SQUARES)
    value = max(1, int(space.n_iterations[failed].max())) if failed.any() else 0
    return x, MinresInfo(value, status=status, n_iterations=space.n_iterations, **measures)


class _Krylov(NamedTuple):
    r"""Lanczos' relation $A V_k = V_{k+1} T_k$ for each system, and the factor R of T = Q R.

    Attributes:
        V: basis as rows (B, K, N).
        T: tridiagonal matrices (B, K + 1, K), of A divided by its scale.
        R: main diagonal and the two above it; entry k is in column k (3, B, K).
        t: $Q^\top e_1$ (B, K).
        n_columns: columns of T in the solution (B,).
        n_iterations: products of A before the system ended (B,).
        least_squares: whether the last column of T depends on the others, so that A r = 0 (B,).
        ended: whether the system ended by itself (B,).
        finite: whether b and the products are finite (B,).
        unit: |b| / scale of A, the unit of x (B,).
        norm: estimate of |A| (B,).
    """

    V: Array
    T: Array
    R: Array
    t: Array
    n_columns: NDArray[np.int64]
    n_iterations: NDArray[np.int64]
    least_squares: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    finite: NDArray[np.bool_]
    unit: Array
    norm: Array


def _lanczos(
    product: Product, b: Array, tolerance: float, maxiter: int
) -> Generator[_Krylov, NDArray[np.bool_]]:
    """Yield the Krylov space of each system, up to where its residual r, or A r, is small enough.

    Systems whose mask is sent back go on, to a tighter tolerance of A r.
    """
    B, N = b.shape
    b_norm = _norms(b)
    is_finite = np.isfinite(b_norm)
    running = is_finite & (b_norm > 0)
    n_columns, n_iterations = np.zeros(B, np.int64), np.zeros(B, np.int64)
    least_squares, ended = np.zeros(B, bool), ~running
    v = np.where(running[:, None], b / b_norm[:, None], 0.0)
    V = np.empty((B, 0, N))
    scale, norm = np.ones(B), np.zeros(B)
    columns: list[tuple[Array, ...]] = []
    # Rounding errors of a product, relative to |A|: a next vector as small as this is noise.
    noise = 10 * _EPS * np.sqrt(N)
    c, s, phi = np.full(B, -1.0), np.zeros(B), np.ones(B)
    delta, epsilon, beta = np.zeros(B), np.zeros(B), np.zeros(B)
    target = max(tolerance, _EPS)

    def found() -> _Krylov:
        K = len(columns)
        alphas, betas, *R, t = np.array(columns).transpose(1, 2, 0) if columns else np.zeros((6, B, 0))
        T, j = np.zeros((B, K + 1, K)), np.arange(K)
        T[:, j, j], T[:, j + 1, j] = alphas, betas
        T[:, j[:-1], j[1:]] = betas[:, :-1]
        spectral = np.abs(np.linalg.eigvalsh(T[:, :K])).max(axis=1, initial=0.0)
        best, unit = np.maximum(norm, spectral) * scale, b_norm / scale
        ends = (n_columns, n_iterations, least_squares, ended, is_finite)
        return _Krylov(V, T, np.array(R), t, *ends, unit, best)

    if not running.any():
        yield found()
        return
    for k in range(maxiter):
        if k == V.shape[1]:
            V = _enlarged(V, maxiter)
        V[:, k] = v
        W = product(v)
        if k == 0:
            # Squares of the entries of A then neither overflow nor underflow.
            scale = np.abs(W).max(axis=1)
            scale[~((scale > 0) & np.isfinite(scale))] = 1.0
        W = W / scale[:, None]
        # The first pass is Lanczos' recurrence; the second removes what rounding has left.
        alpha, basis = np.zeros(B), V[:, : k + 1]
        for _ in range(2):
            parts = np.matmul(W[:, None, :], basis.transpose(0, 2, 1))
            W -= np.matmul(parts, basis)[:, 0]
            alpha += parts[:, 0, k]
        beta_next = np.sqrt(np.einsum("bn,bn->b", W, W))
        bad = ~np.isfinite(beta_next)
        if bad.any():
            W[bad], alpha[bad], beta_next[bad] = 0.0, 0.0, 0.0
        norm = np.maximum(norm, np.sqrt(alpha**2 + beta**2 + beta_next**2))
        exhausted = beta_next <= noise * norm
        beta_next[exhausted] = 0.0
        v = W / np.where(exhausted, np.inf, beta_next)[:, None]

        # A Givens rotation removes beta_next below the diagonal.
        delta_2, gamma = c * delta + s * alpha, s * delta - c * alpha
        delta = -c * beta_next
        # |A r| / |r| of the residual r before this step.
        normal = np.hypot(gamma, delta)
        dependent = normal <= max(_CUT, tolerance) * norm
        rho = np.hypot(gamma, beta_next)
        positive = rho > 0
        divisor = np.where(positive, rho, 1.0)
        c, s_next = gamma / divisor, np.where(positive, beta_next / divisor, 1.0)
        tau = c * phi
        columns.append((alpha, beta_next, rho, delta_2, epsilon, tau))
        epsilon, s, phi = s * beta_next, s_next, s_next * phi
        beta = beta_next

        dependent &= ~bad
        stop = running & (dependent | (phi <= target) | exhausted | bad)
        n_iterations[running] = n_columns[running] = k + 1
        n_columns[running & bad] = k
        is_finite[running & bad] = False
        least_squares[stop] = dependent[stop]
        ended |= stop
        running &= ~stop
        if running.any() and k + 1 < maxiter:
            continue
        again = yield found()
        running |= again
        ended[again] = least_squares[again] = False
        n_iterations[again] = n_columns[again] = k + 1
        tolerance *= _CLOSER
    yield found()


def _enlarged(V: Array, maxiter: int) -> Array:
    """Return V with room for twice as many vectors."""
    B, used, N = V.shape
    size = min(max(_ROOM, 2 * used), maxiter)
    what = f"the Lanczos basis of {B} systems of size {N} for {size} iterations"
    need_memory(8.0 * B * size * (N + 3 * size), what, "use a smaller maxiter or a smaller batch")
    larger = np.empty((B, size, N))
    larger[:, :used] = V
    return larger


def _within(space: _Krylov, max_norm: float) -> tuple[Array, NDArray[np.bool_]]:
    """Return the coefficients (B, K) of the last iterates within `max_norm`, and which are not the last of all."""
    lanes = np.arange(len(space.V))
    y = _coefficients(space, lanes, space.n_columns)

    def is_long(y: Array, lanes: NDArray[np.int64]) -> NDArray[np.bool_]:
        return _norms(y) * space.unit[lanes] > max_norm

    limited = is_long(y, lanes)
    lanes = lanes[limited]
    if len(lanes):
        # Bisection: iterate `low` is short enough, `high` is not.
        low, high = np.zeros(len(lanes), np.int64), space.n_columns[lanes]
        while (high - low > 1).any():
            middle = (low + high) // 2
            long = is_long(_coefficients(space, lanes, middle), lanes)
            low, high = np.where(long, low, middle), np.where(long, middle, high)
        y[lanes] = _up_to(
            _coefficients(space, lanes, low), _coefficients(space, lanes, high), max_norm / space.unit[lanes]
        )
    return y, limited


def _up_to(short: Array, long: Array, length: Array) -> Array:
    """Return the points of given lengths on the lines from short to long vectors."""
    change = long - short
    a, b, c = (np.einsum("bk,bk->b", *pair) for pair in ((change, change), (short, change), (short, short)))
    share = (np.sqrt(b**2 + a * np.maximum(length**2 - c, 0)) - b) / a
    return short + np.clip(np.where(np.isfinite(share), share, 0.0), 0, 1)[:, None] * change


def _coefficients(space: _Krylov, lanes: NDArray[np.int64], n_columns: NDArray[np.int64]) -> Array:
    """Return the shortest y (lanes, K) that minimise |e_1 - T y| for the first `n_columns` columns of T.

    R y = t by substitution, which is as good as a singular value decomposition if no singular value is near zero.
    """
    K = space.T.shape[2]
    unused = np.arange(K) >= n_columns[:, None]
    first, second, third = np.where(unused, 0.0, space.R[:, lanes])
    squares = (first**2 + second**2 + third**2).sum(axis=1)
    # Unused columns become those of a multiple of the identity matrix, which adds no small singular value.
    first = np.where(unused, np.sqrt(squares)[:, None], first)
    # R X = (1, t): the inverse tells the condition.
    X = np.zeros((K + 2, len(lanes), K + 1))
    X[np.arange(K), :, np.arange(K)] = 1.0
    X[:K, :, K] = np.where(unused, 0.0, space.t[lanes]).T
    beyond = np.zeros((len(lanes), 2))
    second, third = np.hstack([second, beyond]), np.hstack([third, beyond])
    for i in reversed(range(K)):
        X[i] -= second[:, i + 1, None] * X[i + 1] + third[:, i + 2, None] * X[i + 2]
        X[i] /= first[:, i, None]
    y = X[:K, :, K].T.copy()
    inverse = np.einsum("ibj,ibj->b", X[:K, :, :K], X[:K, :, :K])
    # The last column of a least-squares solution is dependent up to the tolerance only, which may be above the cut.
    dependent = space.least_squares[lanes] & (n_columns == space.n_columns[lanes])
    (hard,) = np.nonzero((n_columns > 0) & ~(~dependent & (squares * inverse < 1 / _CUT**2)))
    y[n_columns == 0] = 0.0
    if len(hard):
        T = np.where(unused[hard, None, :], 0.0, space.T[lanes[hard]])
        U, values, Vt = np.linalg.svd(T, full_matrices=False)
        last = n_columns[hard, None] - dependent[hard, None]
        kept = (values > _CUT * values[:, :1]) & (np.arange(K) < last)
        parts = np.where(kept, U[:, 0] / values, 0.0)
        y[hard] = np.matmul(parts[:, None, :], Vt)[:, 0]
    return y


def _measured(product: Product, b: Array, x: Array, norm: Array) -> tuple[dict[str, Array], Array]:
    """Return the measures in `MinresInfo` from two products of A, and r / |r|; `norm` estimates |A| from below."""
    Ax = product(x)
    r = b - Ax
    residual, length = _norms(r), _norms(x)
    direction = r / np.where(residual > 0, residual, np.inf)[:, None]
    normal = _norms(product(direction))
    norm = np.fmax(norm, np.fmax(normal, _ratio(_norms(Ax), length)))
    measures = {
        "residual_norm": residual,
        "relative_residual": _ratio(residual, norm * length + _norms(b)),
        "relative_normal_residual": _ratio(normal, norm),
        "norm": norm,
        "length": length,
    }
    return measures, direction


def _ratio(a: Array, b: Array) -> Array:
    """Return a / b, and 0 where a = 0."""
    return np.where(a == 0, 0.0, a / b)


def _norms(W: Array) -> Array:
    """Return the norm of each row, without overflow or underflow of squares."""
    peak = np.abs(W).max(axis=1, initial=0.0)
    peak = np.where(peak == 0, 1.0, peak)
    scaled = W / peak[:, None]
    return peak * np.sqrt(np.einsum("bn,bn->b", scaled, scaled))
