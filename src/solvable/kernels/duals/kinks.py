r"""The kinks of a function, and its split $\phi = S + \sum_i \sum_p J_{ip} \max(z-t_i,0)^p/p!$.

$J_{ip}$ is the jump of the p-th derivative at $t_i$: p = 0 is a jump of $\phi$, p = 1 a kink. The remainder S has four
continuous derivatives, so that its Hermite series converges fast.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels.duals.elementwise import name_of, values_of

POWERS = 4
"""The highest derivative whose jumps are split off."""
MOST_KINKS = 8

# Irrational ends and cuts, since the search would miss kinks on them, and kinks are often at round numbers.
# The search ends at 30, which is 12 standard deviations of a pre-activation of variance 6.
_LEFT, _RIGHT, _PIECES, _CUT = -30.2718281828, 30.1414213562, 61, 0.4931471805599453
_DEGREE = 16
_NARROW = 4e-3
_RESOLVED = 2e-13
_MOST_INTERVALS = 2048
# Noise of one-sided differentiation in the jump of each derivative, relative to the function.
_NOISE = (1e-10, 1e-9, 1e-7, 1e-5, 1e-3)

_POINTS = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
_TO_COEFFICIENTS = np.linalg.inv(np.polynomial.chebyshev.chebvander(_POINTS, _DEGREE))

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Kink:
    r"""A point where $\phi$ or a derivative jumps; `jumps` of $\phi$ and four derivatives, right minus left side."""

    position: float
    jumps: tuple[float, ...]


@dataclass(frozen=True)
class Polynomial:
    """A Chebyshev interpolant on one side of a point."""

    centre: float
    half: float
    coefficients: NDArray[np.float64]

    def at(self, z: Any, order: int = 0) -> Any:
        """Return the derivative of this order at z."""
        c = np.polynomial.chebyshev.chebder(self.coefficients, order) if order else self.coefficients
        return np.polynomial.chebyshev.chebval((z - self.centre) / self.half, c) / self.half**order


def find_kinks(function: Any) -> tuple[Kink, ...]:
    r"""Return the kinks and jumps of $\phi$, and of its second derivative, at |z| < 30, in order.

    Intervals are halved until a polynomial of degree 16 resolves the function, which happens soon for smooth functions,
    even steep ones; intervals not resolved at a width of 0.004 are candidates. A candidate is a kink if the polynomials
    on its two sides reproduce the function right up to one point, which is located to about 1e-12.

    >>> [round(kink.position, 9) for kink in find_kinks(lambda z: np.clip(z, -1, 1))]
    [-1.0, 1.0]
    >>> find_kinks(lambda z: np.tanh(20 * z))
    ()
    """

    def phi(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return values_of(function, z)

    typical = _typical_size(phi)
    kinks = []
    brackets = _candidates(phi, typical)
    for i, (left, right) in enumerate(brackets):
        before = brackets[i - 1][1] if i else _LEFT - 1
        after = brackets[i + 1][0] if i + 1 < len(brackets) else _RIGHT + 1
        kink = _kink_between(phi, left, right, before, after, typical)
        if kink is not None:
            kinks.append(kink)
    return tuple(kinks)


def kinks_at(function: Any, positions: Sequence[float]) -> tuple[Kink, ...]:
    """Return the kinks at known positions, without those where no derivative up to the fourth jumps."""

    def phi(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return values_of(function, z)

    typical, kinks = _typical_size(phi), []
    ends = [-np.inf, *sorted(positions), np.inf]
    for before, t, after in zip(ends, ends[1:], ends[2:], strict=False):
        sides = _side(phi, t, before, typical), _side(phi, t, after, typical)
        if sides[0] is None or sides[1] is None:
            raise InputError(
                f"{name_of(function)} is not smooth on both sides of its kink at {t:g}; expected a piecewise smooth "
                "function; pass all its kinks, or None to have them detected"
            )
        kink = _jumps_at(t, sides[0], sides[1], typical)
        if any(kink.jumps):
            kinks.append(kink)
    return tuple(kinks)


def range_of(phi: Function, root: float) -> float:
    r"""Return the edge |z| beyond which $\phi(\sqrt a\, z)^2 e^{-z^2/2}$ is negligible, $\sqrt a$ = `root`.

    Raises:
        InputError: if $\phi$ is not finite within it, or there is no such edge: $E[\phi^2]$ diverges.
    """
    for edge in (12.5, 16.0, 20.0, 26.0, 34.0, 44.0, 52.0):
        z = np.linspace(-edge, edge, 257)
        f = np.abs(phi(root * z))
        bad = ~np.isfinite(f)
        if bad.any():
            nearest = z[bad][np.argmin(np.abs(z[bad]))]
            overflow = np.isinf(f[bad]).all() and np.nanmax(f[~bad], initial=0.0) > 1e30
            if overflow:
                raise _diverges(root)
            raise InputError(
                f"the activation is {phi(np.array([root * nearest]))[0]} at z = {root * nearest:.4g}; expected a "
                "finite function; change it there or use another activation"
            )
        with np.errstate(divide="ignore"):
            log_density = 2 * np.log(f) - 0.5 * z * z
        if max(log_density[0], log_density[-1]) <= np.max(log_density) - 64 or not f.any():
            return edge
    raise _diverges(root)


def _diverges(root: float) -> InputError:
    return InputError(
        f"the second moment of the activation diverges at pre-activation variance {root * root:.4g}; expected a "
        "finite one; use smaller inputs or weights, or an activation that grows more slowly"
    )


def _typical_size(phi: Function) -> float:
    z = np.linspace(-3.03, 3.01, 97)
    values = np.abs(phi(z))
    return float(np.max(values[np.isfinite(values)], initial=0.0))


def _candidates(phi: Function, typical: float) -> list[tuple[float, float]]:
    """Return narrow intervals, in order and merged, on which the function is not resolved."""
    ends = np.linspace(_LEFT, _RIGHT, _PIECES + 1)
    left, right = ends[:-1], ends[1:]
    while len(left):
        values = phi(_chebyshev_points(left, right))
        finite = np.isfinite(values).all(axis=1)
        left, right, values = left[finite], right[finite], values[finite]
        open_ = ~_resolved(values @ _TO_COEFFICIENTS.T, values, typical)
        left, right = left[open_], right[open_]
        if len(left) > _MOST_INTERVALS:
            # A noisy function, such as one in single precision, is unresolved everywhere.
            return []
        if len(left) == 0 or right[0] - left[0] < _NARROW:
            break
        middle = left + _CUT * (right - left)
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
    merged: list[tuple[float, float]] = []
    for low, high in sorted(zip(left.tolist(), right.tolist(), strict=True)):
        if merged and low - merged[-1][1] < _NARROW:
            merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged


def _resolved(
    coefficients: NDArray[np.float64], values: NDArray[np.float64], typical: float
) -> NDArray[np.bool_]:
    size = np.maximum(np.max(np.abs(values), axis=-1), max(typical, 1e-290))
    return np.max(np.abs(coefficients[..., -3:]), axis=-1) <= _RESOLVED * size


def _chebyshev_points(left: Any, right: Any) -> NDArray[np.float64]:
    left, right = np.asarray(left)[..., None], np.asarray(right)[..., None]
    return 0.5 * (left + right) + 0.5 * (right - left) * _POINTS


def _side(phi: Function, t: float, limit: float, typical: float) -> Polynomial | None:
    """Return the interpolant on the widest resolved interval from t towards `limit`, or None."""
    width = min(0.5, 0.98 * abs(limit - t))
    direction = 1.0 if limit > t else -1.0
    while width > 1e-3:
        ends = sorted((t, t + direction * width))
        values = phi(_chebyshev_points(*ends))
        if np.isfinite(values).all():
            coefficients = _TO_COEFFICIENTS @ values
            size = max(np.max(np.abs(values)), typical)
            if np.max(np.abs(coefficients[-3:])) <= 1e-14 * size or (
                width < 0.1 and np.max(np.abs(coefficients[-3:])) <= 1e-12 * size
            ):
                return Polynomial(0.5 * (ends[0] + ends[1]), 0.5 * width, coefficients)
        width /= 1.6
    return None


def _kink_between(
    phi: Function, left: float, right: float, before: float, after: float, typical: float
) -> Kink | None:
    below, above = _side(phi, left, before, typical), _side(phi, right, after, typical)
    if below is None or above is None:
        return None
    middle = 0.5 * (left + right)
    size = max(typical, abs(float(below.at(middle))), abs(float(above.at(middle))))
    gaps = [abs(float(above.at(middle, p) - below.at(middle, p))) for p in range(POWERS + 1)]
    if gaps[0] > max(1e-7 * size, 3 * (right - left) * gaps[1]):
        t = _bisected(phi, below, above, left, right)
    else:
        # The sides of the lowest derivative that jumps differ by its jump; those of the one below cross at the kink.
        order = next(
            (p for p in range(1, POWERS + 1) if gaps[p] > max(_NOISE[p] * size, 3e-3 * max(gaps[p:]))), 0
        )
        if order == 0:
            return None
        t = _crossing(lambda z: float(above.at(z, order - 1) - below.at(z, order - 1)), left, right)
    # Kinks are often at round numbers, up to noise.
    rounded = round(t, 8)
    t = rounded if abs(t - rounded) < 1e-11 else t
    z = np.concatenate([np.linspace(left, right, 33), t + np.array([-1e-6, -1e-9, 1e-9, 1e-6])])
    model = np.where(z < t, below.at(z), above.at(z))
    if np.max(np.abs(phi(z) - model)) > 1e-8 * size:
        return None
    kink = _jumps_at(t, below, above, typical)
    return kink if any(kink.jumps) else None


def _jumps_at(t: float, below: Polynomial, above: Polynomial, typical: float) -> Kink:
    jumps = []
    for p in range(POWERS + 1):
        right, left = float(above.at(t, p)), float(below.at(t, p))
        # One-sided derivatives of narrow interpolants are noisier.
        noise = (
            _NOISE[p]
            * max(typical, abs(right) if p == 0 else 0)
            * max(1.0, (0.2 / min(above.half, below.half))) ** p
        )
        jump = right - left if abs(right - left) > noise else 0.0
        jumps.append(round(jump, 9) if abs(jump - round(jump, 9)) < 1e-11 else jump)
    # Adding 0 turns -0.0 into 0.0.
    return Kink(float(t) + 0.0, tuple(jumps))


def _bisected(phi: Function, below: Polynomial, above: Polynomial, left: float, right: float) -> float:
    for _ in range(60):
        middle = 0.5 * (left + right)
        value = float(phi(np.array([middle]))[0])
        if abs(value - float(below.at(middle))) < abs(value - float(above.at(middle))):
            left = middle
        else:
            right = middle
    return 0.5 * (left + right)


def _crossing(difference: Callable[[float], float], left: float, right: float) -> float:
    """Return where a nearly linear function vanishes, by the secant rule."""
    a, b = left, right
    fa, fb = difference(a), difference(b)
    for _ in range(8):
        if fb == fa or fb == 0:
            break
        a, b, fa = b, b - fb * (b - a) / (fb - fa), fb
        b = min(max(b, left - _NARROW), right + _NARROW)
        fb = difference(b)
    return b


class Split:
    r"""$\phi = S + \sum_i \sum_p J_{ip} \max(z - t_i, 0)^p/p!$, with S smooth."""

    def __init__(self, function: Any, kinks: tuple[Kink, ...]) -> None:
        self.function = function
        # More kinks are not split off, since each pair of them costs.
        self.kinks = kinks if len(kinks) <= MOST_KINKS else ()
        self.jumps = tuple(kink.position for kink in kinks if kink.jumps[0] != 0)

    def smooth(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return S(z)."""
        for t in self.jumps:
            # The value at the jump itself is arbitrary.
            z = np.where(np.abs(z - t) < 1e-10, t - 2e-10, z)
        values = values_of(self.function, z)
        for kink in self.kinks:
            past = np.maximum(z - kink.position, 0.0)
            for p, jump in enumerate(kink.jumps):
                if jump:
                    values -= (jump / factorial(p)) * (past**p if p else z > kink.position)
        return values
