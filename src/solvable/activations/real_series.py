r"""Power coefficients of kernels that take real cosines only, and their errors.

A circle in the complex plane gives hundreds of coefficients; for functions of real numbers there are three methods.
Functions whose Chebyshev series on [-1, 1] ends early are polynomials up to rounding, with known coefficients. For
other functions a polynomial on [-1/2, 1/2] gives the first ten. Rounding swamps further coefficients, but whether some
of them must be negative follows from the distance of the function to all series with non-negative coefficients.
"""

from collections.abc import Callable

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.polynomial.chebyshev import cheb2poly
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHECKED = 10
"""Highest power whose coefficient is computed if the series does not end: the next ones have hardly a correct digit."""
CLOSEST = 2e-5
"""Largest distance, relative to K(1), that can be due to the selection of powers below."""

_ROUNDING = 1e-11
_LONGEST_POLYNOMIAL = 30
_ALL_POWERS, _HIGHEST_POWER = 200, 200_000
# Between powers with a relative spacing s, c^k deviates from the mean of its neighbours by .068 s^2 at most: 3e-5.
_STEP = 0.02


def ending_series(function: Callable[[Floats], Floats], scale: float) -> tuple[Floats, Floats] | None:
    """Return coefficients and errors of a function that is, to rounding, a polynomial of degree <= 30; otherwise None.

    Args:
        function: a function of real cosines (m,).
        scale: the scale of its values.
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
    # Terms below the noise are missing from the next coefficients too.
    error = np.abs(powers[: degree + 1]) @ np.full(degree + 5, 4 * noise)
    return series, np.maximum(error, 1e-13 * scale)


def first_series(function: Callable[[Floats], Floats], scale: float) -> tuple[Floats, Floats] | None:
    """Return the first coefficients and their errors, by a polynomial on [-1/2, 1/2]; None if not analytic there.

    Args:
        function: a function of real cosines (m,).
        scale: the scale of its values.
    """
    estimates = []
    for half, degree in ((0.5, 30), (0.55, 36)):
        points = half * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
        chebyshev = Chebyshev.fit(points, function(points), degree, domain=[-half, half])
        # Powers of 1/half would amplify coefficients that are noise.
        noise = max(float(np.max(np.abs(chebyshev.coef[-4:]))), 1e-16 * scale)
        if noise > 1e-7 * scale:
            return None
        coefficients = np.where(np.abs(chebyshev.coef) > 2 * noise, chebyshev.coef, 0.0)
        series = Chebyshev(coefficients, domain=[-half, half]).convert(
            kind=Polynomial, domain=[-1, 1], window=[-1, 1]
        )
        estimates.append(np.pad(series.coef, (0, degree + 1 - len(series.coef)))[: CHECKED + 1])
    # One difference may be small by chance; those of higher powers are larger.
    error = np.maximum.accumulate(np.maximum(np.abs(estimates[0] - estimates[1]), _ROUNDING * scale))
    return estimates[0], 10 * error


def distance_from_non_negative(function: Callable[[Floats], Floats], scale: float) -> float:
    r"""Return the distance to the nearest series with $a_k \ge 0$: rms over the cosines, relative to the scale.

    The cosines are denser at both ends. The powers are all up to 200, and then in steps of 2 % up to 200 000, which is
    $c^\infty$ on these cosines. A kernel with such a series is at most `CLOSEST` away.

    Args:
        function: a function of real cosines (m,).
        scale: the scale of its values.
    """
    from scipy.optimize import nnls

    near = np.geomspace(1e-4, 0.1, 40)
    cosine = np.unique(np.concatenate([np.cos(np.linspace(0, np.pi, 101)), 1 - near, near - 1]))
    steps = np.geomspace(_ALL_POWERS, _HIGHEST_POWER, int(np.log(_HIGHEST_POWER / _ALL_POWERS) / _STEP))
    # Even and odd powers differ at c < 0.
    even = 2 * np.unique((steps / 2).round())
    powers = np.concatenate([np.arange(_ALL_POWERS), even, even + 1])
    columns = np.abs(cosine)[:, None] ** powers
    columns[cosine < 0] *= np.where(powers % 2, -1.0, 1.0)
    _, norm = nnls(columns, function(cosine) / scale, maxiter=20 * len(powers))
    return float(norm) / len(cosine) ** 0.5
