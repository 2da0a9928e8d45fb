r"""Spectra known exactly: power laws, cubes, circles, spheres, and Gaussian data under a Gaussian kernel.

A kernel on these domains is a callable on arrays, a function of the cosine $t$ between inputs (on the circle, of the
angle). Each function returns an `Eigensystem` of levels with multiplicities. `target_power` lists the levels in the
domain's natural order (degree 0, 1, 2 ...) and may be shorter than their number.

On the sphere the integrals over the cosine are taken in the angle: Laplace kernels and network kernels, functions of
$\sqrt{1-t}$ near $t = 1$, are smooth in the angle up to the ends of the interval, so that Gauss-Legendre quadrature
converges to rounding.
"""

import heapq

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from solvable.checks import grid
from solvable.errors import InputError
from solvable.spectra.eigensystem import Eigensystem
from solvable.spectra.levels import VISIBLE_TRACE, CosineFunction, from_levels, kernel_values, padded_power
from solvable.spectra.tails import PowerLawTail, UnresolvedTail

_EXPLICIT = 2000
# The weight sin^(d-2) is cut off at this logarithm relative to its maximum: little above the smallest double.
_LEAST_LOG_WEIGHT = -700.0


def power_law(
    alpha: float, beta: float | None = None, noise: float = 0.0, n_modes: float = np.inf
) -> Eigensystem:
    r"""Return $\lambda_i = i^{-\alpha}$, $v_i^2 = i^{-\beta}$ for $i = 1, 2, \dots$, infinite unless `n_modes` is set.

    Args:
        alpha: eigenvalue exponent, > 1 for the infinite spectrum (the kernel's trace is finite).
        beta: target exponent, > 1 for the infinite spectrum (the target's power is finite); None for no target.
        noise: label noise variance.
        n_modes: number of modes; `inf` adds the tail in closed form.

    Example:
        >>> task = power_law(alpha=1.5, beta=2.0)
        >>> round(task.trace, 6), round(task.total_target_power, 6)  # ζ(1.5), ζ(2)
        (2.612375, 1.644934)
    """
    grid("n_modes", n_modes, at_least=1.0)
    infinite = np.isinf(n_modes)
    exponents = f"α={alpha:g}" if beta is None else f"α={alpha:g}, β={beta:g}"
    if infinite and not (alpha > 1 and (beta is None or beta > 1)):
        raise InputError(
            f"an infinite power law needs alpha > 1 and beta > 1; got alpha={alpha:g}"
            + ("" if beta is None else f", beta={beta:g}")
            + "; set n_modes"
        )
    # Without a target the tail's exponent is arbitrary and its scale 0.
    target = {"beta": 2.0, "target_scale": 0.0} if beta is None else {"beta": beta}
    log_i = np.log(np.arange(1.0, (_EXPLICIT if infinite else int(n_modes)) + 1))
    return Eigensystem(
        log_eigenvalues=-alpha * log_i,
        target_power=None if beta is None else np.exp(-beta * log_i),
        noise=noise,
        tail=PowerLawTail(alpha, n_before=_EXPLICIT, **target) if infinite else None,
        source=f"power law {exponents}",
    )


def hypercube(
    kernel: CosineFunction, dimension: int, target_power: ArrayLike | None = None, noise: float = 0.0
) -> Eigensystem:
    r"""Return the spectrum of $f(x \cdot x'/d)$ for inputs uniform on $\{-1, 1\}^d$: one level for each parity size.

    $\lambda_k = 2^{-d}\sum_j \binom{d}{j} f(1 - 2j/d)\, K_k(j)/\binom{d}{k}$ with Krawtchouk polynomials, multiplicity
    $\binom{d}{k}$. The sums alternate: levels at rounding level are set to zero, their trace becomes an
    `UnresolvedTail`.

    Args:
        kernel: $f$, a function of the cosine.
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
    weighted = stats.binom.pmf(j, d, 0.5) * kernel_values(kernel, 1 - 2 * j / d)
    eigenvalues = np.empty(d + 1)
    before, now = np.zeros(d + 1), np.ones(d + 1)
    for k in range(d + 1):
        eigenvalues[k] = weighted @ now
        if k < d:
            before, now = now, ((d - 2 * j) * now - k * before) / (d - k)
    total, counts = float(kernel_values(kernel, np.ones(1))[0]), np.asarray(special.comb(d, j))
    return from_levels(eigenvalues, counts, total, target_power, noise, f"hypercube of {d} bits")


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
        n_levels: frequencies 0 to `n_levels - 1`, each above 0 twice (sine and cosine); the trace of the higher
            ones becomes an `UnresolvedTail`. Ignored with `n_points`, where all frequencies are returned.
        target_power: $\sum v^2$ of each frequency.
        noise: label noise variance.
        n_points: number of evenly spaced inputs, whose spectrum is finite; None for the continuous circle.

    Example:
        >>> task = circle(lambda angle: 1 + np.cos(angle), n_levels=3)
        >>> task.eigenvalues.round(6).tolist(), task.multiplicities.tolist()
        ([1.0, 0.5, 0.0], [1.0, 2.0, 2.0])
    """
    if n_points is not None and n_points < 1:
        raise InputError(f"n_points must be at least 1; got {n_points}")
    m = n_points or max(2**16, 8 * n_levels)
    angle = 2 * np.pi * np.arange(m) / m
    values = kernel_values(kernel, np.minimum(angle, 2 * np.pi - angle))
    transform = np.fft.rfft(values).real / m
    counts = np.full(len(transform), 2.0)
    counts[0] = 1.0
    if m % 2 == 0:
        counts[-1] = 1.0
    n_levels = len(transform) if n_points else n_levels
    source = f"circle of {n_points} points" if n_points else "circle"
    total = float(values[0]) if n_points is None else float(transform @ counts)
    next_count = 0.0 if n_points else 2.0
    return from_levels(
        transform[:n_levels], counts[:n_levels], total, target_power, noise, source, next_count=next_count
    )


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
        n_levels: number of levels: degrees when all dimensions are alike, otherwise the largest eigenvalues, one by
            one; the trace of the others becomes an `UnresolvedTail`.
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
        log_rest = _log_rest_of_degrees(n_levels, len(std), float(log_ratio[0]))
    else:
        logs, next_logs = np.split(log_first + _largest_sums(log_ratio, 2 * n_levels), 2)
        counts = np.ones(n_levels)
        rest = 1.0 - float(np.exp(logs).sum())
        # Below rounding, the next `n_levels` levels hold nearly all of the rest.
        log_rest = np.log(rest) if rest > VISIBLE_TRACE else np.logaddexp.reduce(next_logs)
    source = f"Gaussian kernel (length {length_scale:g}) on Gaussian data in {len(std)} dimensions"
    return Eigensystem(
        log_eigenvalues=logs,
        target_power=padded_power(target_power, len(logs)),
        noise=noise,
        multiplicities=counts,
        tail=UnresolvedTail(log_trace=float(log_rest)),
        source=source,
    )


def _log_rest_of_degrees(n_levels: int, dimension: int, log_ratio: float) -> float:
    r"""Return $\ln \sum_{k \ge K} \binom{k+d-1}{k} (1-r)^d r^k$, the trace above the levels; it never underflows."""
    ratio = np.exp(log_ratio)
    rest = special.betainc(n_levels, dimension, ratio)
    if rest > 1e-290:
        return float(np.log(rest))
    # This far out the terms fall geometrically.
    first = dimension * np.log1p(-ratio) + n_levels * log_ratio - np.log(n_levels + dimension)
    fall = ratio * (n_levels + dimension) / (n_levels + 1)
    return float(first - special.betaln(n_levels + 1, dimension) - np.log1p(-fall))


def _largest_sums(steps: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the `count` largest values of `m @ steps` over non-negative integer vectors m (all steps are negative)."""
    steps = np.sort(steps)[::-1]
    sums: list[float] = []
    # Best first; a vector grows only in its last non-zero coordinate or a later one, so each is reached once.
    frontier: list[tuple[float, int]] = [(0.0, 0)]
    while len(sums) < count:
        negated, last = heapq.heappop(frontier)
        sums.append(-negated)
        for i in range(last, len(steps)):
            heapq.heappush(frontier, (negated - steps[i], i))
    return np.array(sums)


def hypersphere(
    kernel: CosineFunction,
    dimension: int,
    n_levels: int = 30,
    target_power: ArrayLike | None = None,
    noise: float = 0.0,
    n_quadrature: int | None = None,
) -> Eigensystem:
    r"""Return the spectrum of $f(x \cdot x')$ for inputs uniform on the unit sphere $S^{d-1}$.

    $\lambda_k = \int f(\cos\theta)\, P_k(\cos\theta) \sin^{d-2}\theta\, d\theta / \int \sin^{d-2}\theta\, d\theta$ with
    $P_k = C_k/C_k(1)$, Gegenbauer polynomials of index $d/2 - 1$; multiplicity
    $N(d, k) = \frac{2k + d - 2}{k}\binom{k + d - 3}{k - 1}$.

    Args:
        kernel: $f$, a function of the cosine $t \in [-1, 1]$; smooth in the angle, as all common kernels are.
        dimension: $d \ge 3$ of the surrounding space (for $d = 2$ see `circle`).
        n_levels: number of degrees, 0 to `n_levels - 1`; the trace of higher ones becomes an `UnresolvedTail`.
        target_power: $\sum v^2$ of each degree.
        noise: label noise variance.
        n_quadrature: number of Gauss-Legendre nodes in the angle; `1000 + 2 n_levels` by default. Kernels narrower
            than 0.01 radian need more.

    Raises:
        InputError: for a negative eigenvalue: the kernel is not positive semi-definite on this sphere.

    Example:
        >>> task = hypersphere(np.exp, dimension=10)
        >>> (task.eigenvalues[:3].round(5)).tolist(), round(task.trace, 5)
        ([1.05105, 0.10424, 0.00864], 2.71828)
    """
    if dimension < 3:
        raise InputError(f"hypersphere needs dimension >= 3; got {dimension}; for 2 use circle")
    nodes, rule = special.roots_legendre(1000 + 2 * n_levels if n_quadrature is None else n_quadrature)
    # In high dimension all weight lies near the equator: the nodes are latitudes in a range that shrinks with it. The
    # weight's logarithm is relative to the equator's, so that it underflows in no dimension.
    widest = np.arccos(np.exp(_LEAST_LOG_WEIGHT / (dimension - 2)))
    latitude = widest * nodes
    weights = rule * np.exp((dimension - 2) * np.log(np.cos(latitude)))
    weights /= weights.sum()

    t = np.sin(latitude)
    weighted = weights * kernel_values(kernel, t)
    eigenvalues = np.empty(n_levels)
    before, now = np.zeros_like(t), np.ones_like(t)
    for k in range(n_levels):
        eigenvalues[k] = weighted @ now
        before, now = now, ((2 * k + dimension - 2) * t * now - k * before) / (k + dimension - 2)
    k = np.arange(n_levels + 1)
    counts = special.comb(k + dimension - 1, k) - np.where(
        k >= 2, special.comb(k + dimension - 3, k - 2), 0.0
    )
    total = float(kernel_values(kernel, np.ones(1))[0])
    source = f"sphere in {dimension} dimensions"
    return from_levels(
        eigenvalues, counts[:-1], total, target_power, noise, source, next_count=float(counts[-1])
    )
