r"""Spectra of kernels $f(x \cdot x')$ on the sphere, smooth or with a kink where the points meet.

The integrals over the cosine $t$ are taken in the angle $\theta$. Laplace kernels and network kernels, functions of
$\sqrt{1-t}$ near $t = 1$, are smooth in the angle up to the ends of the interval, so that Gauss-Legendre quadrature
converges to rounding.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from solvable.errors import InputError
from solvable.spectra.eigensystem import Eigensystem
from solvable.spectra.levels import CosineFunction, from_levels, kernel_values

# The weight sin^(d-2) is cut off at this logarithm relative to its maximum: little above the smallest double.
_LEAST_LOG_WEIGHT = -700.0


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
