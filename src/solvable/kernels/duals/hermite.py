r"""Orthonormal Hermite polynomials $h_k = He_k/\sqrt{k!}$ of the standard normal, and coefficients in them.

They are computed as Hermite functions $\psi_k = \sqrt w\, h_k$ with $w(z) = e^{-z^2/2}/\sqrt{2\pi}$, which stay below
1, while $He_k$ overflows near k = 150.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import pi, sqrt
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import gammaln, ndtr

from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.kernels.duals.elementwise import values_of

_NODES_PER_PANEL = 16
_MOST_PANELS = 4096


def normal_density(z: Any) -> Any:
    r"""Return $w(z) = e^{-z^2/2}/\sqrt{2\pi}$ of a float or NumPy array."""
    return np.exp(-0.5 * np.square(z)) / sqrt(2 * pi)


def hermite_functions(
    z: NDArray[np.float64], degree: int
) -> Float[NDArray[np.float64], "degree_plus_1 *points"]:
    r"""Return $\psi_k(z) = \sqrt{w(z)}\, h_k(z)$ for k = 0 … `degree`, along a new first axis.

    By $\sqrt{k+1}\, \psi_{k+1} = z \psi_k - \sqrt k\, \psi_{k-1}$, which is stable upward; beyond |z| = 53, $\psi_0$
    underflows and all are 0.

    >>> psi = hermite_functions(np.linspace(-20, 20, 801), 60)
    >>> bool(np.allclose(psi @ psi.T * 0.05, np.eye(61), atol=1e-13))
    True
    """
    z = np.asarray(z, dtype=np.float64)
    psi = np.empty((degree + 1, *z.shape))
    psi[0] = np.exp(-0.25 * z * z) / (2 * pi) ** 0.25
    if degree > 0:
        psi[1] = z * psi[0]
    for k in range(1, degree):
        # The ellipsis makes a view even of a single point.
        after = psi[k + 1, ...]
        np.multiply(z, psi[k], out=after)
        after -= sqrt(k) * psi[k - 1]
        after /= sqrt(k + 1)
    return psi


def shifted_relu_coefficients(shift: float, degree: int) -> Float[NDArray[np.float64], "degree_plus_1"]:
    r"""Return $b_k = E[\max(z - t, 0)\, h_k(z)]$ for k = 0 … `degree`, z standard normal.

    t is `shift`; $b_0 = w(t) - t\,Q(t)$ and $b_1 = Q(t)$ with $Q(t) = P(z > t)$, then
    $b_k = w(t)\, h_{k-2}(t)/\sqrt{k(k-1)}$.

    Source: integration by parts of $\max(z-t,0)$ against $w h_k = -(w h_{k-1})'/\sqrt k$.

    >>> shifted_relu_coefficients(0.0, 4).round(4)
    array([ 0.3989,  0.5   ,  0.2821,  0.    , -0.0814])
    """
    return shifted_power_coefficients(
        np.array(one_number("shift", shift)), 1, whole("degree", degree, at_least=0)
    )


def shifted_power_coefficients(
    shift: NDArray[np.float64], power: int, degree: int
) -> Float[NDArray[np.float64], "*points degree_plus_1"]:
    r"""Return $E[\max(z - t, 0)^p\, h_k(z)]$ for shifts t of any shape, k along a new last axis.

    For $k > p$ it is $p!\, w(t)\, h_{k-p-1}(t)\, \sqrt{(k-p-1)!/k!}$; for $k \le p$,
    $\frac{p!}{(p-k)!\sqrt{k!}} E[\max(z-t, 0)^{p-k}]$. Power 0 is the step function.
    """
    t = np.asarray(shift, dtype=np.float64)
    # Points without variance have infinite or huge shifts; beyond 1e100 powers overflow.
    t = np.clip(t, -1e60, 1e60)
    b = np.zeros((*t.shape, degree + 1))
    w = normal_density(t)
    moments = [ndtr(-t), w - t * ndtr(-t)]
    for j in range(2, power + 1):
        moments.append((j - 1) * moments[j - 2] - t * moments[j - 1])
    factor = 1.0
    for k in range(min(power, degree) + 1):
        b[..., k] = factor * moments[power - k]
        factor *= (power - k) / sqrt(k + 1)
    if degree > power:
        psi = hermite_functions(t, degree - power - 1)
        k = np.arange(power + 1, degree + 1)
        falling = np.ones(len(k))
        for j in range(power + 1):
            falling *= k - j
        b[..., power + 1 :] = np.moveaxis(psi, 0, -1) * (
            np.sqrt(w)[..., None] * _factorial(power) / np.sqrt(falling)
        )
    return b


def cosine_coefficients(
    frequency: float, phase: float, degree: int
) -> Float[NDArray[np.float64], "degree_plus_1"]:
    r"""Return $b_k = E[\cos(fz + g)\, h_k(z)] = \cos(g + k\pi/2)\, e^{-f^2/2} f^k/\sqrt{k!}$ for k = 0 … `degree`.

    The frequency f is per unit of z, the phase g in radians; a sine has $g = -\pi/2$.

    >>> cosine_coefficients(1.0, 0.0, 4).round(4)
    array([ 0.6065, -0.    , -0.4289,  0.    ,  0.1238])
    """
    f, g = one_number("frequency", frequency), one_number("phase", phase)
    k = np.arange(whole("degree", degree, at_least=0) + 1)
    if f == 0:
        return np.where(k == 0, np.cos(g), 0.0)
    # Logarithms, since f^k overflows where e^{-f^2/2} underflows.
    size = np.exp(k * np.log(abs(f)) - 0.5 * f * f - 0.5 * gammaln(k + 1.0))
    # cos(g + k pi/2) by quarter turns, since k pi/2 is inaccurate for large k.
    turns = np.array([np.cos(g), -np.sin(g), -np.cos(g), np.sin(g)])[k % 4]
    return turns * np.where(k % 2 == 1, np.sign(f), 1.0) * size


def hermite_coefficients(
    function: Any, degree: int, variance: float = 1.0, kinks: Sequence[float] | None = None
) -> Float[NDArray[np.float64], "degree_plus_1"]:
    r"""Return $\alpha_k = E[\phi(\sqrt a\, z)\, h_k(z)]$ for k = 0 … `degree`, z standard normal.

    By Gauss-Legendre quadrature on panels between the kinks, which are halved until the coefficients are stable.

    Args:
        function: $\phi$: an `Activation`, or an elementwise function of NumPy arrays or torch tensors.
        degree: the last k, at least 0.
        variance: a > 0 of the pre-activation.
        kinks: where $\phi$ or a derivative jumps, in units of its argument; None: detected automatically.

    Raises:
        InputError: if the function is not finite, or grows so fast that its second moment diverges.

    >>> hermite_coefficients(lambda z: z**3 + 1, 3).round(4)
    array([1.    , 3.    , 0.    , 2.4495])
    """
    from solvable.kernels.duals.kinks import find_kinks, range_of

    degree, root = whole("degree", degree, at_least=0), sqrt(one_number("variance", variance, above=0))
    if kinks is None:
        kinks = tuple(kink.position for kink in find_kinks(function))
    edge = range_of(lambda u: values_of(function, u), root)
    breaks = np.array([one_number("kink", t) / root for t in kinks])
    previous, panels = None, 64
    while panels <= _MOST_PANELS:
        z, weights = panel_rule(edge, panels, breaks)
        root_w = np.exp(-0.25 * z * z) / (2 * pi) ** 0.25
        f = values_of(function, root * z) * root_w * weights
        alpha = _blocked_product(z, f, degree)
        norm = sqrt(max(float(np.sum(f * f / np.where(weights > 0, weights, 1))), 1e-300))
        if previous is not None and np.max(np.abs(alpha - previous)) <= 1e-13 * norm:
            break
        previous, panels = alpha, 2 * panels
    else:
        raise InputError(
            f"the Hermite coefficients of {function!r} do not converge at variance {variance:g} with {_MOST_PANELS} "
            "panels; expected a piecewise smooth function; pass the positions of its kinks as kinks=(...)"
        )
    alpha[np.abs(alpha) < 1e-15 * norm] = 0
    return alpha


def panel_rule(
    edge: float, panels: int, breaks: NDArray[np.float64]
) -> tuple[Float[NDArray[np.float64], "nodes"], Float[NDArray[np.float64], "nodes"]]:
    """Return nodes and weights of composite Gauss-Legendre on [-edge, edge] with panels that end at `breaks`."""
    inside = breaks[np.abs(breaks) < edge]
    ends = np.unique(np.concatenate([np.linspace(-edge, edge, panels + 1), inside]))
    x, w = gauss_legendre(_NODES_PER_PANEL)
    half = 0.5 * np.diff(ends)[:, None]
    return (ends[:-1, None] + half * (1 + x)).ravel(), (half * w).ravel()


@lru_cache(maxsize=16)
def gauss_legendre(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the n nodes and weights of Gauss-Legendre quadrature on [-1, 1]."""
    return np.polynomial.legendre.leggauss(n)


def _blocked_product(z: NDArray[np.float64], f: NDArray[np.float64], degree: int) -> NDArray[np.float64]:
    alpha = np.zeros(degree + 1)
    for start in range(0, len(z), 2048):
        part = slice(start, start + 2048)
        alpha += hermite_functions(z[part], degree) @ f[part]
    return alpha


def _factorial(n: int) -> float:
    return float(np.prod(np.arange(1, n + 1)))
