r"""Signs of the Hermite coefficients: they affect not the kernel, but its fluctuation at finite width."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from solvable.activations.target import COSINES
from solvable.activations.theory import explicit_signs, finite_width_scale
from solvable.checks import choice
from solvable.kernels.duals.hermite import hermite_functions

Floats = NDArray[np.float64]

SIGNS = ("alternate pairs", "positive", "minimise variance")
"""Named patterns of signs for `design`."""

_EXHAUSTIVE = 12
"""Up to this number of coefficients all patterns, at most 2048, are tried; beyond it, flips of one or two signs."""


def chosen_signs(signs: str | Sequence[int], sizes: Floats, kind: str) -> Floats:
    r"""Return the signs of $b_0 \dots b_K$.

    Args:
        signs: "alternate pairs" (+ + - - + + ...), "positive", "minimise variance", or K + 1 numbers 1 or -1.
        sizes: $|b_k|$.
        kind: which parameters of the network are trained.

    Raises:
        InputError: for other names or numbers, or a wrong number of signs.

    >>> chosen_signs("alternate pairs", np.ones(6), "ntk").tolist()
    [1.0, 1.0, -1.0, -1.0, 1.0, 1.0]
    """
    if not isinstance(signs, str):
        return explicit_signs(signs, len(sizes), SIGNS)
    pairs = np.where(np.arange(len(sizes)) % 4 < 2, 1.0, -1.0)
    return {
        "alternate pairs": lambda: pairs,
        "positive": lambda: np.ones(len(sizes)),
        "minimise variance": lambda: least_variance_signs(sizes, kind, pairs),
    }[choice("signs", signs, SIGNS)]()


def least_variance_signs(sizes: Floats, kind: str, start: Floats) -> Floats:
    """Return the signs for which the kernel of a finite network fluctuates least, in the mean square over all angles.

    Args:
        sizes: magnitudes of the coefficients, (K + 1,).
        kind: which parameters of the network are trained.
        start: initial signs of the search, if there are too many to try them all.
    """
    present = np.flatnonzero(sizes)
    # The signs of phi and of z change nothing: the first coefficient and the first odd one may be positive.
    fixed = {int(present[0])} | {int(k) for k in present[present % 2 == 1][:1]} if len(present) else set()
    free = [int(k) for k in present if int(k) not in fixed]
    if len(present) <= _EXHAUSTIVE:
        patterns = np.ones((2 ** len(free), len(sizes)))
        if free:
            patterns[:, free] = np.array(list(product((1.0, -1.0), repeat=len(free))))
        return patterns[np.argmin(mean_square_scales(patterns * sizes, kind))]
    best = start.copy()
    least = mean_square_scales((best * sizes)[None], kind)[0]
    while True:
        flips = [[k] for k in present] + [[j, k] for i, j in enumerate(present) for k in present[:i]]
        patterns = np.repeat(best[None], len(flips), axis=0)
        for pattern, flip in zip(patterns, flips, strict=True):
            pattern[flip] *= -1
        scales = mean_square_scales(patterns * sizes, kind)
        if np.min(scales) >= least * (1 - 1e-9):
            return best
        best, least = patterns[np.argmin(scales)], float(np.min(scales))


def mean_square_scales(coefficients: Floats, kind: str) -> Floats:
    r"""Return the mean over 100 angles of $S^2$ of `theory.finite_width_scale`, for Hermite series (patterns, K + 1).

    The quadrature is exact, since the series are polynomials.
    """
    degree = coefficients.shape[1] - 1
    z, w = hermegauss(2 * degree + 2)
    w = w / w.sum()
    # h_k at the nodes, from Hermite functions, which do not overflow.
    density_root = np.exp(-0.25 * z * z) / (2 * np.pi) ** 0.25
    h = hermite_functions(z, max(2 * degree, 1)) / density_root
    k = np.arange(degree + 1)
    phi = coefficients @ h[: degree + 1]
    slope = (coefficients * np.sqrt(k))[:, 1:] @ h[:degree] if degree else 0 * phi
    analyse = (h * w).T
    powers = np.vander(COSINES, len(h), increasing=True).T
    squares, mixed, slopes, values, derivatives = (
        (g @ analyse) ** 2 @ powers for g in (phi * phi, phi * slope, slope * slope, phi, slope)
    )
    c = COSINES
    scales = finite_width_scale(kind, squares, c * mixed, c * c * slopes, values, c * derivatives)
    return np.mean(scales**2, axis=1)
