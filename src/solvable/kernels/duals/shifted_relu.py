r"""Exact means of products of shifted rectified powers, $E[\max(u-t,0)^p \max(v-s,0)^q]$, of correlated Gaussians.

All follow from the orthant probability P(U > h, V > k) of two standard normals by Stein's lemma,
$E[U f] = E[f_U] + r E[f_V]$.
"""

from math import exp, pi, sqrt
from typing import Any

from array_api_compat import is_torch_array
from scipy.special import ndtr as numpy_ndtr

from solvable.kernels.duals.hermite import gauss_legendre
from solvable.kernels.inputs import Array, Namespace

_NEAR_ONE = 0.925


def shifted_relu_dual(
    xp: Namespace, a: Array, b: Array, c: Array, t: float, s: float, derivative: bool = True
) -> tuple[Array, Array | None]:
    r"""Return $E[\max(u-t,0)\max(v-s,0)]$ and $P(u > t, v > s)$, the dual of two ReLUs shifted by t and s.

    The variances a of u and b of v, > 0, and the real covariances c, clipped to $\pm\sqrt{ab}$, broadcast. Without
    `derivative` the probability is None.

    >>> import numpy as np
    >>> one = np.ones(1)
    >>> value, slope = shifted_relu_dual(np, one, one, 0.5 * one, 1.06, 1.06)
    >>> print(f"{value[0]:.6f} {slope[0]:.6f}")
    0.023705 0.054737
    """
    root_a, root_b = xp.sqrt(a), xp.sqrt(b)
    rho = xp.clip(c / (root_a * root_b), -1.0, 1.0)
    moments = RectifiedMoments(xp, t / root_a, s / root_b, rho)
    value = moments(1, 1) * (root_a * root_b)
    return value, moments(0, 0) if derivative else None


class RectifiedMoments:
    r"""$M(p, q) = E[\max(U-h,0)^p \max(V-k,0)^q]$ of standard normals of correlation r, each computed once.

    For $p \ge 1$, $M(p,q) = -h M(p-1,q) + (p-1) M(p-2,q) + r q M(p-1,q-1)$, plus $w(h) E[\max(V-k,0)^q | U=h]$
    if p = 1, plus $r\, w(k) E[\max(U-h,0)^{p-1} | V=k]$ if q = 0. Power 0 is the step function. h and k broadcast
    against r, the correlations in [-1, 1], or are the float 0.
    """

    def __init__(self, xp: Namespace, h: Any, k: Any, r: Array) -> None:
        self.xp, self.h, self.k, self.r = xp, h, k, r
        # The floor avoids division by 0.
        self.spread = xp.clip(xp.sqrt((1 - r) * (1 + r)), 1e-30, None)
        self._cache: dict[Any, Array] = {}

    def __call__(self, p: int, q: int) -> Array:
        """Return M(p, q)."""
        if (p, q) not in self._cache:
            self._cache[p, q] = self._moment(p, q)
        return self._cache[p, q]

    def _moment(self, p: int, q: int) -> Array:
        xp, h, k, r = self.xp, self.h, self.k, self.r
        if p == q == 0:
            return orthant(xp, h, k, r)
        if p == 0:
            rest = _density(xp, k) * self._conditional("u", 0) if q == 1 else (q - 1) * self(0, q - 2)
            rest = rest - k * self(0, q - 1) if _shifted(k) else rest
            return rest + r * _density(xp, h) * self._conditional("v", q - 1)
        rest = _density(xp, h) * self._conditional("v", q) if p == 1 else (p - 1) * self(p - 2, q)
        rest = rest - h * self(p - 1, q) if _shifted(h) else rest
        if q == 0:
            return rest + r * _density(xp, k) * self._conditional("u", p - 1)
        return rest + r * q * self(p - 1, q - 1)

    def _conditional(self, of: str, power: int) -> Array:
        """Return the mean of V's power given U = h (`of` is "v"), or of U's given V = k."""
        if (of, power) not in self._cache:
            xp, tau = self.xp, self.spread
            # r h - k would cancel near h = k and r = 1, where it is of the size of 1 - r; likewise near -1.
            at, start = (self.h, self.k) if of == "v" else (self.k, self.h)
            r = self.r
            m = xp.where(r < 0, (1 + r) * at - (at + start), (at - start) - (1 - r) * at)
            if power == 0:
                result = _cdf(m / tau)
            elif power == 1:
                result = m * self._conditional(of, 0) + tau * _density(xp, m / tau)
            else:
                result = m * self._conditional(of, power - 1)
                result = result + (power - 1) * tau * tau * self._conditional(of, power - 2)
            self._cache[of, power] = result
        return self._cache[of, power]


def orthant(xp: Namespace, h: Any, k: Any, r: Array) -> Array:
    r"""Return P(U > h, V > k) of standard normals of correlation r, to about 1e-15.

    Away from $|r| = 1$, $Q(h) Q(k) + \frac{1}{2\pi} \int_0^{\arcsin r} \exp\frac{2hk\sin\theta - h^2 - k^2}
    {2\cos^2\theta}\, d\theta$ by Gauss-Legendre. Near it, the integral from the other end, whose integrand rises within
    $|h - k|$: this part is split off and integrated exactly. h and k broadcast against r, the correlations in [-1, 1],
    or are the float 0.

    Source: Drezner and Wesolowsky 1990, in the form of Genz, Numerical computation of rectangular bivariate and
    trivariate normal and t probabilities, 2004.

    >>> import numpy as np
    >>> print(f"{orthant(np, 0.0, 0.0, np.array([0.5]))[0]:.12f}")
    0.333333333333
    """
    if not _shifted(h) and not _shifted(k):
        return 0.25 + xp.asin(r) / (2 * pi)
    zero = r * 0
    h, k = xp.clip(h + zero, -40.0, 40.0), xp.clip(k + zero, -40.0, 40.0)
    size = abs(r)
    near = size >= _NEAR_ONE
    any_near = bool(xp.any(near))
    if any_near and bool(xp.all(near)):
        return _near_one(xp, h, k, r)
    regular = xp.where(near, zero, r) if any_near else r
    result = _regular(xp, h, k, regular)
    if any_near:
        result[near] = _near_one(xp, h[near], k[near], r[near])
    return result


def _regular(xp: Namespace, h: Array, k: Array, r: Array) -> Array:
    largest = float(xp.max(abs(r)))
    nodes, weights = gauss_legendre(6 if largest < 0.3 else 12 if largest < 0.75 else 20)
    angle = xp.asin(r)
    hk = h * k
    squares = (h * h + k * k) * 0.5
    total = r * 0
    for x, w in zip(nodes, weights, strict=True):
        sine = xp.sin(angle * ((1 + float(x)) / 2))
        exponent = sine * hk
        exponent -= squares
        sine *= sine
        exponent /= 1 - sine
        total += xp.exp(exponent) * float(w)
    total *= angle / (4 * pi)
    return total + _cdf(-h) * _cdf(-k)


def _near_one(xp: Namespace, h: Array, k: Array, r: Array) -> Array:
    negative = r < 0
    k = xp.where(negative, -k, k)
    hk = h * k
    squared = (1 - abs(r)) * (1 + abs(r))
    a = xp.sqrt(squared)
    gap = (h - k) ** 2
    c, d = (4 - hk) / 8, (12 - hk) / 16
    tiny = xp.clip(squared, 1e-60 if "64" in str(r.dtype) else 1e-30, None)
    root_gap, root_tiny = abs(h - k), xp.sqrt(tiny)

    bounded = xp.clip(-(gap / tiny + hk) / 2, -700.0, 700.0)
    total = (
        a
        * xp.exp(bounded)
        * (1 - c * (gap - squared) * (1 - d * gap / 5) / 3 + c * d * squared * squared / 5)
    )
    edge = xp.exp(xp.clip(-hk / 2, -700.0, 700.0)) * sqrt(2 * pi) * _cdf(-root_gap / root_tiny) * root_gap
    # For h and k far out on opposite sides of 0, both terms are large and their difference is small; the probability is
    # that of the farther one alone.
    far = hk < -100
    total = total - xp.where(far, edge * 0, edge * (1 - c * gap * (1 - d * gap / 5) / 3))
    half = a / 2
    nodes, weights = gauss_legendre(20)
    for x, w in zip(nodes, weights, strict=True):
        xs = (half * (1 + float(x))) ** 2
        root = xp.sqrt(1 - xs)
        bounded = xp.clip(
            -(gap / xp.clip(xs, 1e-300 if "64" in str(r.dtype) else 1e-37, None) + hk) / 2, -700.0, 700.0
        )
        exact = xp.exp(xp.clip(-hk * xs / (2 * (1 + root) ** 2), None, 700.0)) / root
        part = half * float(w) * xp.exp(bounded) * (exact - (1 + c * xs * (1 + d * xs)))
        total = total + xp.where(bounded > -100, part, part * 0)
    total = total / (-2 * pi)
    positive = total + _cdf(-xp.where(h > k, h, k))
    # P(U > h, -V > k') with k' = -k: the part of U > h that is not above k.
    opposite = xp.where(k > h, xp.where(h < 0, _cdf(k) - _cdf(h), _cdf(-h) - _cdf(-k)), k * 0)
    return xp.clip(xp.where(negative, opposite - total, positive), 0.0, None)


def _shifted(h: Any) -> bool:
    return not (isinstance(h, float) and h == 0)


def _cdf(x: Any) -> Any:
    if is_torch_array(x):
        import torch

        return torch.special.ndtr(x)
    return numpy_ndtr(x)


def _density(xp: Namespace, x: Any) -> Any:
    if isinstance(x, float):
        return exp(-x * x / 2) / sqrt(2 * pi)
    # Clipped, since squares of the shifts of points without variance overflow.
    bounded = xp.clip(x, -40.0, 40.0)
    return xp.exp(-0.5 * bounded * bounded) / sqrt(2 * pi)
