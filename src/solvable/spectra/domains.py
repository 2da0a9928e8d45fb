r"""Spectra that are known exactly: power laws, spheres, cubes, circles, and Gaussian data under a Gaussian kernel.

A kernel on these domains is a function of the cosine $t$ between inputs (of the angle, on the circle), given as a
callable on arrays. Each returns an `Eigensystem` whose levels carry their multiplicities; `target_power` is given level
by level in the domain's natural order (degree 0, 1, 2 ...) and may be shorter than the levels.
"""

import heapq
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from solvable.errors import InputError, grid
from solvable.spectra.eigensystem import Eigensystem
from solvable.spectra.power_law_tail import PowerLawTail
from solvable.spectra.unresolved_tail import UnresolvedTail

CosineFunction = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_EXPLICIT = 2000


def power_law(alpha: float, beta: float, noise: float = 0.0, n_modes: float = np.inf) -> Eigensystem:
    r"""Return $\lambda_i = i^{-\alpha}$, $v_i^2 = i^{-\beta}$ for $i = 1, 2, \dots$, endless unless an end is given.

    Args:
        alpha: eigenvalue exponent, > 1 for the infinite spectrum (the kernel's trace is finite).
        beta: target exponent, > 1 for the infinite spectrum (the target's power is finite).
        noise: label noise variance.
        n_modes: where the spectrum ends; `inf` adds the tail in closed form.

    Example:
        >>> task = power_law(alpha=1.5, beta=2.0)
        >>> round(task.trace, 6), round(task.total_target_power, 6)  # ζ(1.5), ζ(2)
        (2.612375, 1.644934)
    """
    grid("n_modes", n_modes, at_least=1.0)
    endless = np.isinf(n_modes)
    if endless and not (alpha > 1 and beta > 1):
        raise InputError(
            f"an endless power law needs alpha > 1 and beta > 1; got alpha={alpha:g}, beta={beta:g}; set n_modes"
        )
    log_i = np.log(np.arange(1.0, (_EXPLICIT if endless else int(n_modes)) + 1))
    return Eigensystem(
        log_eigenvalues=-alpha * log_i,
        target_power=np.exp(-beta * log_i),
        noise=noise,
        tail=PowerLawTail(alpha, beta, n_before=_EXPLICIT) if endless else None,
        source=f"power law α={alpha:g}, β={beta:g}",
    )


def hypersphere(
    kernel: CosineFunction,
    dimension: int,
    n_levels: int = 30,
    target_power: ArrayLike | None = None,
    noise: float = 0.0,
    n_quadrature: int = 1000,
) -> Eigensystem:
    r"""Return the spectrum of $f(x \cdot x')$ for inputs uniform on the unit sphere $S^{d-1}$.

    $\lambda_k = \int f(t)\, C_k(t)/C_k(1)\, d\mu_d(t)$ with Gegenbauer polynomials of index $d/2 - 1$ and
    $\mu_d$ the law of the cosine; multiplicity $N(d, k) = \frac{2k + d - 2}{k}\binom{k + d - 3}{k - 1}$.

    Args:
        kernel: $f$, of the cosine $t \in [-1, 1]$.
        dimension: $d \ge 3$ of the surrounding space (for $d = 2$ see `circle`).
        n_levels: how many degrees, 0 to `n_levels - 1`; the trace of those above becomes an `UnresolvedTail`.
        target_power: $\sum v^2$ of each degree.
        noise: label noise variance.
        n_quadrature: Gauss-Gegenbauer nodes; smooth kernels need `2 n_levels`, kinks at $t = \pm 1$ many more.

    Raises:
        InputError: when a degree's eigenvalue is negative: the kernel is not positive semi-definite on this sphere.

    Example:
        >>> task = hypersphere(np.exp, dimension=10)
        >>> (task.eigenvalues[:3].round(5)).tolist(), round(task.trace, 5)
        ([1.05105, 0.10424, 0.00864], 2.71828)
    """
    if dimension < 3:
        raise InputError(f"hypersphere needs dimension >= 3; got {dimension}; for 2 use circle")
    # The weight (1-t²)^((d-3)/2) by Golub and Welsch: SciPy's Gegenbauer rule overflows in high dimension.
    j = np.arange(1.0, n_quadrature)
    index = dimension / 2 - 1
    off_diagonal = np.sqrt(j * (j + 2 * index - 1) / (4 * (j + index) * (j + index - 1)))
    from scipy.linalg import eigh_tridiagonal

    t, vectors = eigh_tridiagonal(np.zeros(n_quadrature), off_diagonal)
    weighted = vectors[0] ** 2 * _values(kernel, t)
    eigenvalues = np.empty(n_levels)
    before, now = np.zeros_like(t), np.ones_like(t)
    for k in range(n_levels):
        eigenvalues[k] = weighted @ now
        before, now = now, ((2 * k + dimension - 2) * t * now - k * before) / (k + dimension - 2)
    k = np.arange(n_levels)
    counts = special.comb(k + dimension - 1, k) - np.where(
        k >= 2, special.comb(k + dimension - 3, k - 2), 0.0
    )
    total = float(_values(kernel, np.ones(1))[0])
    source = f"sphere in {dimension} dimensions"
    return _levels(eigenvalues, counts, total, target_power, noise, source)


def hypercube(
    kernel: CosineFunction, dimension: int, target_power: ArrayLike | None = None, noise: float = 0.0
) -> Eigensystem:
    r"""Return the spectrum of $f(x \cdot x'/d)$ for inputs uniform on $\{-1, 1\}^d$: one level for each parity size.

    $\lambda_k = 2^{-d}\sum_j \binom{d}{j} f(1 - 2j/d)\, K_k(j)/\binom{d}{k}$ with Krawtchouk polynomials, multiplicity
    $\binom{d}{k}$. The sums alternate: levels at rounding read as zero, their trace becomes an `UnresolvedTail`.

    Args:
        kernel: $f$, of the cosine.
        dimension: $d \ge 1$, the number of bits.
        target_power: $\sum v^2$ of each parity size, 0 to d.
        noise: label noise variance.

    Raises:
        InputError: for a negative eigenvalue.

    Example:
        >>> task = hypercube(lambda t: t**2, dimension=4)
        >>> task.eigenvalues[:2].round(6).tolist(), task.multiplicities[:2].tolist()
        ([0.25, 0.125], [1.0, 6.0])
    """
    if dimension < 1:
        raise InputError(f"hypercube needs dimension >= 1; got {dimension}")
    d = dimension
    j = np.arange(d + 1.0)
    weighted = stats.binom.pmf(j, d, 0.5) * _values(kernel, 1 - 2 * j / d)
    eigenvalues = np.empty(d + 1)
    before, now = np.zeros(d + 1), np.ones(d + 1)
    for k in range(d + 1):
        eigenvalues[k] = weighted @ now
        if k < d:
            before, now = now, ((d - 2 * j) * now - k * before) / (d - k)
    total, counts = float(_values(kernel, np.ones(1))[0]), np.asarray(special.comb(d, j))
    return _levels(eigenvalues, counts, total, target_power, noise, f"hypercube of {d} bits")


def circle(
    kernel: CosineFunction,
    n_levels: int = 200,
    target_power: ArrayLike | None = None,
    noise: float = 0.0,
    n_points: int | None = None,
) -> Eigensystem:
    r"""Return the Fourier spectrum of a kernel $f(\theta)$ of the angle between points on a circle.

    Args:
        kernel: an even, 2π-periodic function of the angle $\theta \in [0, \pi]$.
        n_levels: frequencies 0 to `n_levels - 1`, each above 0 twice (sine and cosine); the trace of those above
            becomes an `UnresolvedTail`. All frequencies for finitely many points.
        target_power: $\sum v^2$ of each frequency.
        noise: label noise variance.
        n_points: for inputs on that many evenly spaced points, whose spectrum is finite; None for the
            continuous circle.

    Example:
        >>> task = circle(lambda angle: 1 + np.cos(angle), n_levels=3)
        >>> task.eigenvalues.round(6).tolist(), task.multiplicities.tolist()
        ([1.0, 0.5, 0.0], [1.0, 2.0, 2.0])
    """
    if n_points is not None and n_points < 1:
        raise InputError(f"n_points must be at least 1; got {n_points}")
    m = n_points or max(2**16, 8 * n_levels)
    angle = 2 * np.pi * np.arange(m) / m
    values = _values(kernel, np.minimum(angle, 2 * np.pi - angle))
    transform = np.fft.rfft(values).real / m
    counts = np.full(len(transform), 2.0)
    counts[0] = 1.0
    if m % 2 == 0:
        counts[-1] = 1.0
    n_levels = len(transform) if n_points else n_levels
    source = f"circle of {n_points} points" if n_points else "circle"
    total = float(values[0]) if n_points is None else float(transform @ counts)
    return _levels(transform[:n_levels], counts[:n_levels], total, target_power, noise, source)


def gaussian_data(
    length_scale: float,
    data_std: ArrayLike = 1.0,
    dimension: int = 1,
    n_levels: int = 100,
    target_power: ArrayLike | None = None,
    noise: float = 0.0,
) -> Eigensystem:
    r"""Return the spectrum of the Gaussian kernel $e^{-|x - x'|^2/2\ell^2}$ on Gaussian data.

    In one dimension with standard deviation $s$: $\lambda_k = \sqrt{2a/A}\,(b/A)^k$, where $a = 1/4s^2$,
    $b = 1/2\ell^2$, $A = a + b + \sqrt{a^2 + 2ab}$ (Mehler's formula; the eigenfunctions are Hermite functions).
    Dimensions multiply.

    Args:
        length_scale: $\ell > 0$, in units of the data.
        data_std: one standard deviation for all dimensions, or one each `(d,)`.
        dimension: number of dimensions when `data_std` is one number.
        n_levels: how many levels: degrees when all dimensions are alike, else the largest eigenvalues, one by one;
            the trace of the others becomes an `UnresolvedTail`.
        target_power: $\sum v^2$ of each level, in the order of descending eigenvalues.
        noise: label noise variance.

    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, sec. 4.3.1.

    Example:
        >>> task = gaussian_data(length_scale=1.0, dimension=2)
        >>> round(task.trace, 12), task.multiplicities[:3].tolist()
        (1.0, [1.0, 2.0, 3.0])
    """
    std = grid("data_std", data_std, above=0.0)
    grid("length_scale", length_scale, above=0.0)
    if std.size > 1 and dimension not in (1, std.size):
        raise InputError(f"data_std has {std.size} values but dimension is {dimension}; give one of the two")
    std = np.full(dimension, std[0]) if std.size == 1 else std
    a, b = 1 / (4 * std**2), 1 / (2 * length_scale**2)
    total = a + b + np.sqrt(a**2 + 2 * a * b)
    log_first, log_ratio = float(np.sum(0.5 * np.log(2 * a / total))), np.log(b / total)
    if np.allclose(std, std[0], rtol=1e-12):
        k = np.arange(n_levels)
        logs, counts = log_first + k * log_ratio[0], np.asarray(special.comb(k + len(std) - 1, k))
    else:
        logs = log_first + _largest_sums(log_ratio, n_levels)
        counts = np.ones(n_levels)
    source = f"Gaussian kernel (length {length_scale:g}) on Gaussian data in {len(std)} dimensions"
    return Eigensystem(
        log_eigenvalues=logs,
        target_power=_padded(target_power, len(logs)),
        noise=noise,
        multiplicities=counts,
        tail=_rest(1.0, float(counts @ np.exp(logs))),
        source=source,
    )


def _largest_sums(steps: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the `count` largest values of `m @ steps` over non-negative integer vectors m (all steps are negative)."""
    steps = np.sort(steps)[::-1]
    found: list[float] = []
    # Best first; a vector grows only in its last used coordinate or beyond, so each is reached exactly once.
    frontier: list[tuple[float, int]] = [(0.0, 0)]
    while len(found) < count:
        negated, last = heapq.heappop(frontier)
        found.append(-negated)
        for i in range(last, len(steps)):
            heapq.heappush(frontier, (negated - steps[i], i))
    return np.array(found)


def _values(kernel: CosineFunction, points: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(kernel(points), dtype=np.float64)
    if values.shape != points.shape or not np.isfinite(values).all():
        raise InputError(
            f"the kernel must map an array of {len(points)} numbers to as many finite numbers; got shape {values.shape}"
            + ("" if np.isfinite(values).all() else " with values that are NaN or infinite")
        )
    return values


def _padded(target_power: ArrayLike | None, n_levels: int) -> NDArray[np.float64]:
    power = np.zeros(n_levels)
    if target_power is not None:
        given = grid("target_power", target_power, at_least=0.0)
        if len(given) > n_levels:
            raise InputError(
                f"target_power has {len(given)} levels but the spectrum only {n_levels}; raise n_levels or shorten it"
            )
        power[: len(given)] = given
    return power


def _rest(total: float, resolved: float) -> UnresolvedTail | None:
    """Return what the computed levels lack of the kernel's trace, if that is more than rounding."""
    return UnresolvedTail(total - resolved) if total - resolved > 1e-13 * total else None


def _levels(
    eigenvalues: NDArray[np.float64],
    counts: NDArray[np.float64],
    total: float,
    target_power: ArrayLike | None,
    noise: float,
    source: str,
) -> Eigensystem:
    """Return an eigensystem of levels; those at rounding read as zero, and `total` says what trace they had."""
    rounding = 1e-14 * max(float(np.abs(eigenvalues).max()), total)
    negative = np.flatnonzero(eigenvalues < -100 * rounding)
    if len(negative):
        k = int(negative[0])
        raise InputError(
            f"the kernel is not positive semi-definite on the {source}: level {k} has eigenvalue {eigenvalues[k]:.3g}; "
            "expected none below zero"
        )
    eigenvalues = np.where(eigenvalues > rounding, eigenvalues, 0.0)
    return Eigensystem(
        eigenvalues=eigenvalues,
        target_power=_padded(target_power, len(eigenvalues)),
        noise=noise,
        multiplicities=counts,
        tail=_rest(total, float(counts @ eigenvalues)),
        source=source,
    )
