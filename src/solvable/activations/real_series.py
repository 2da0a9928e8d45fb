r"""Kernels that take real cosines only: how many of their power coefficients the real line tells, and how surely.

The circle in the complex plane gives hundreds of coefficients; where a function is not for it there are three ways.
Functions whose Chebyshev series on [-1, 1] ends early are polynomials to rounding, whose coefficients are known one by
one. Of others a polynomial on [-1/2, 1/2] tells the first ten. Further ones are blown up by rounding, but whether
there can be negative ones among them shows in the distance of the function from all series without.
"""

from collections.abc import Callable

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.polynomial.chebyshev import cheb2poly
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHECKED = 10
"""Coefficients up to this power are looked at where the series does not end: the next ones have hardly a digit left."""
CLOSEST = 2e-5
"""A distance, relative to K(1), that the choice of powers below explains."""

_ROUNDING = 1e-11
_LONGEST_POLYNOMIAL = 30
_ALL_POWERS, _HIGHEST_POWER = 200, 200_000
# Between neighbours that differ by a share s, c^k is off its neighbours' mean by .068 s^2 at most: 3e-5.
_STEP = 0.02


def ending_series(function: Callable[[Floats], Floats], scale: float) -> tuple[Floats, Floats] | None:
    """Return the coefficients and their errors of what is a polynomial of degree 30 at most, to rounding; else None.

    Args:
        function: of real cosines (m,).
        scale: of its values.
    """
    n = 2 * _LONGEST_POLYNOMIAL + 8
    points = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    coefficients = Chebyshev.fit(points, function(points), n - 1, domain=[-1, 1]).coef
    noise = max(float(np.max(np.abs(coefficients[_LONGEST_POLYNOMIAL + 1 :]))), 1e-16 * scale)
    if noise > 1e-14 * scale:
        return None
    present = np.flatnonzero(np.abs(coefficients) > 4 * noise)
    degree = int(present[-1]) if len(present) else 0
    powers = np.zeros((degree + 5, degree + 5))
    for k, row in enumerate(np.eye(degree + 5)):
        powers[: k + 1, k] = cheb2poly(row[: k + 1])
    series = powers[: degree + 1, : degree + 1] @ np.asarray(coefficients[: degree + 1], dtype=np.float64)
    # What is below the noise is missing from the next coefficients too.
    error = np.abs(powers[: degree + 1]) @ np.full(degree + 5, 4 * noise)
    return series, np.maximum(error, 1e-13 * scale)


def first_series(function: Callable[[Floats], Floats], scale: float) -> tuple[Floats, Floats] | None:
    """Return the first coefficients and their errors, by a polynomial through [-1/2, 1/2]; None if not analytic there.

    Args:
        function: of real cosines (m,).
        scale: of its values.
    """
    found = []
    for half, degree in ((0.5, 30), (0.55, 36)):
        points = half * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
        chebyshev = Chebyshev.fit(points, function(points), degree, domain=[-half, half])
        # Coefficients that are noise would be blown up by the powers of 1/half.
        noise = max(float(np.max(np.abs(chebyshev.coef[-4:]))), 1e-16 * scale)
        if noise > 1e-7 * scale:
            return None
        coefficients = np.where(np.abs(chebyshev.coef) > 2 * noise, chebyshev.coef, 0.0)
        series = Chebyshev(coefficients, domain=[-half, half]).convert(
            kind=Polynomial, domain=[-1, 1], window=[-1, 1]
        )
        found.append(np.pad(series.coef, (0, degree + 1 - len(series.coef)))[: CHECKED + 1])
    # One disagreement may be small by chance; those of higher powers are larger.
    error = np.maximum.accumulate(np.maximum(np.abs(found[0] - found[1]), _ROUNDING * scale))
    return found[0], 10 * error


def distance_from_non_negative(function: Callable[[Floats], Floats], scale: float) -> float:
    r"""Return how close series with $a_k \ge 0$ come: the root-mean-square over the cosines, relative to the scale.

    The cosines crowd at both ends; the powers are all up to 200, and then every fiftieth part further up to 200 000,
    which is $c^\infty$ on these cosines. A kernel with such a series is at most `CLOSEST` away.

    Args:
        function: of real cosines (m,).
        scale: of its values.
    """
    from scipy.optimize import nnls

    near = np.geomspace(1e-4, 0.1, 40)
    cosine = np.unique(np.concatenate([np.cos(np.linspace(0, np.pi, 101)), 1 - near, near - 1]))
    further = np.geomspace(_ALL_POWERS, _HIGHEST_POWER, int(np.log(_HIGHEST_POWER / _ALL_POWERS) / _STEP))
    # Even and odd ones differ at c < 0.
    even = 2 * np.unique((further / 2).round())
    powers = np.concatenate([np.arange(_ALL_POWERS), even, even + 1])
    columns = np.abs(cosine)[:, None] ** powers
    columns[cosine < 0] *= np.where(powers % 2, -1.0, 1.0)
    _, norm = nnls(columns, function(cosine) / scale, maxiter=20 * len(powers))
    return float(norm) / len(cosine) ** 0.5
