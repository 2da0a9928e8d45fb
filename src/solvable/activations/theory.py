r"""Kernel and activation of one hidden layer as series, and the fluctuation at finite width.

Inputs have norm $\sqrt d$ and cosine c. With $h_k = He_k/\sqrt{k!}$, $s^2 = \sigma_w^2 + \sigma_b^2$ the
variance of a pre-activation and $\rho = (\sigma_w^2 c + \sigma_b^2)/s^2$ the correlation of two, a network of one
hidden layer with activation $\phi(z) = \sum_k b_k h_k(z/s)$ and readout variances $\sigma_2^2, \sigma_{b2}^2$ has

$$ K(c) = \sigma_2^2 \sum_k \kappa_k b_k^2 \rho^k + \sigma_{b2}^2, \qquad \kappa_k = 1 \text{ (only the readout is
   trained: "nngp")}, \; 1 + k \text{ (all: "ntk")}, \; k \text{ (only the first layer: "first layer", without }
       \sigma_{b2}^2). $$

By Schoenberg's theorem the kernels of the angle that are positive semidefinite in every dimension are those with
non-negative coefficients $a_k$ in $K = \sum_k a_k c^k$; each of them has its activation, $b_k =
\pm\sqrt{a_k/\kappa_k}$.

Source: Simon, Anand and DeWeese, Reverse engineering the neural tangent kernel, 2022 (arXiv:2106.03186).
"""

from collections.abc import Sequence
from math import pi, sqrt
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, finite, grid, numbers
from solvable.errors import InputError

Floats = NDArray[np.float64]

KINDS = ("ntk", "nngp", "first layer")
"""Trained parameters: all, the readout, or the first layer."""

_NO_VARIANCE = 1e-14


def trained_factors(kind: str, degree: int) -> Floats:
    r"""Return $\kappa_0 \dots \kappa_{\text{degree}}$: the kernel's coefficients are $\kappa_k b_k^2$.

    >>> trained_factors("ntk", 3)
    array([1., 2., 3., 4.])
    """
    k = np.arange(degree + 1.0)
    return {"ntk": 1 + k, "nngp": np.ones_like(k), "first layer": k}[choice("kind", kind, KINDS)]


def kernel_series(
    coefficients: ArrayLike,
    kind: str = "ntk",
    w_std: float = 1.0,
    b_std: float = 0.0,
    readout_w_std: float = 1.0,
    readout_b_std: float = 0.0,
) -> Floats:
    r"""Return $a_0 \dots a_K$ of the kernel $\sum_k a_k c^k$ of a network of one hidden layer.

    Args:
        coefficients: $b_0 \dots b_K$ of $\phi(z) = \sum_k b_k h_k(z/s)$.
        kind: "ntk", "nngp" or "first layer".
        w_std: $\sigma_w > 0$ of the hidden layer.
        b_std: $\sigma_b \ge 0$ of the hidden layer.
        readout_w_std: $\sigma_2 > 0$.
        readout_b_std: $\sigma_{b2} \ge 0$; without effect if only the first layer is trained.

    Source: theorem 3.1 of arXiv:2106.03186, extended here to general variances.

    >>> kernel_series([0.0, 0.5**0.5])  # the identity: K = 2 b^2 c
    array([0., 1.])
    """
    b = _series("coefficients", coefficients)
    a = readout_w_std**2 * trained_factors(kind, len(b) - 1) * b**2
    if b_std:
        variance = w_std**2 + b_std**2
        a = _compose(a, b_std**2 / variance, w_std**2 / variance)
    if kind != "first layer":
        a[0] += readout_b_std**2
    return a


def hermite_series(
    series: ArrayLike,
    kind: str = "ntk",
    signs: ArrayLike = 1,
    w_std: float = 1.0,
    b_std: float = 0.0,
    readout_w_std: float = 1.0,
    readout_b_std: float = 0.0,
) -> Floats:
    r"""Return $b_0 \dots b_K$ of an activation whose network has the kernel $\sum_k a_k c^k$: inverse `kernel_series`.

    A bias of the hidden layer can only reduce the set of possible kernels: a series that is non-negative in $\rho$ is
    non-negative in c, but not vice versa.

    Args:
        series: $a_0 \dots a_K$.
        kind: "ntk", "nngp" or "first layer".
        signs: signs $\pm 1$ of the $b_k$, one for all or one each (may be 0 if $a_k = 0$).
        w_std: $\sigma_w > 0$ of the hidden layer.
        b_std: $\sigma_b \ge 0$ of the hidden layer.
        readout_w_std: $\sigma_2 > 0$.
        readout_b_std: $\sigma_{b2} \ge 0$.

    Raises:
        InputError: for a kernel with a negative coefficient, with the first one; for invalid signs or a wrong number.

    >>> hermite_series([1.0, 0.5, 0.0, 1.0]).round(3)
    array([1. , 0.5, 0. , 0.5])
    """
    a = _series("series", series)
    if kind != "first layer":
        a[0] -= readout_b_std**2
    if b_std:
        ratio = (b_std / w_std) ** 2
        a = _compose(a, -ratio, 1 + ratio)
    # A zero coefficient may come out negative by rounding.
    a[np.abs(a) <= 1e-14 * np.max(np.abs(a))] = 0.0
    check_realisable(a, kind)
    factors = trained_factors(kind, len(a) - 1)
    sizes = np.sqrt(a / np.where(factors > 0, factors, 1.0)) / readout_w_std
    return sizes * explicit_signs(signs, len(a), absent=a == 0)


def explicit_signs(signs: Any, n: int, names: Sequence[str] = (), absent: ArrayLike = False) -> Floats:
    """Return n signs from n numbers, or from one number for all if there are no named patterns.

    Args:
        signs: numbers 1 or -1.
        n: number of coefficients.
        names: names of patterns, for the message.
        absent: mask of the coefficients whose sign may also be 0, as from `np.sign`.

    Raises:
        InputError: for other numbers, or a wrong number of signs.
    """
    array = numbers("signs", signs)
    for_all = not names and array.ndim == 0
    if not (for_all or array.shape == (n,)) or not _are_signs(array, absent):
        other = f"one of {', '.join(names)}" if names else "one for all"
        raise InputError(
            f"signs is {signs!r}; expected {n} numbers 1 or -1, one for each of b_0 … b_{n - 1}, or {other}"
        )
    return np.broadcast_to(array, (n,))


def _are_signs(array: Floats, absent: ArrayLike) -> bool:
    return bool((np.isin(array, (-1, 1)) | (np.asarray(absent) & (array == 0))).all())


def check_realisable(series: Floats, kind: str, tolerance: float = 0.0) -> None:
    r"""Raise if no network of one hidden layer has the kernel $\sum_k a_k c^k$.

    Args:
        series: $a_0, a_1, \dots$
        kind: "ntk", "nngp" or "first layer".
        tolerance: a coefficient may be this far below 0.

    Raises:
        InputError: with the first negative coefficient, or with $a_0$ if only the first layer is trained.
    """
    negative = np.flatnonzero(series < -tolerance)
    if len(negative):
        k = int(negative[0])
        raise InputError(
            f"the kernel K(c) has the power series coefficient a_{k} = {series[k]:.4g}; expected none below 0, since "
            "otherwise it is not positive semidefinite in every dimension, and no activation has it; "
            "design(..., project=True) takes the nearest kernel that an activation has"
        )
    if kind == "first layer" and series[0] > tolerance:
        raise InputError(
            f"the kernel K(c) has a_0 = {series[0]:.4g}; expected 0 if only the first layer is trained, since that "
            "kernel vanishes for orthogonal inputs; design(..., project=True) drops a_0, and kind='ntk' allows it"
        )


def series_curve(series: ArrayLike, cosine: ArrayLike) -> Floats:
    r"""Return $\sum_k a_k c^k$ at cosines of any shape."""
    curve = np.polynomial.polynomial.polyval(np.asarray(cosine, dtype=np.float64), _series("series", series))
    return np.asarray(curve, dtype=np.float64)


def relu_coefficients(degree: int) -> Floats:
    r"""Return the Hermite coefficients of $\max(z, 0)$.

    $b_0 = 1/\sqrt{2\pi}$, $b_1 = 1/2$, and for even k $b_k = (-1)^{k/2-1} (k-3)!!/\sqrt{2\pi k!}$, otherwise 0.

    >>> relu_coefficients(6).round(4)
    array([ 0.3989,  0.5   ,  0.2821,  0.    , -0.0814,  0.    ,  0.0446])
    """
    b = np.zeros(max(degree + 1, 3))
    b[:3] = 1 / sqrt(2 * pi), 0.5, 1 / sqrt(4 * pi)
    # By b_{k+2} = -b_k (k-1)/sqrt((k+1)(k+2)): with SciPy's factorial2(-1) = 0, b_2 would be 0.
    for k in range(2, degree - 1, 2):
        b[k + 2] = -b[k] * (k - 1) / sqrt((k + 1) * (k + 2))
    return b[: degree + 1]


def relu_ntk_tail(depth: int, k: ArrayLike) -> Floats:
    r"""Return $a_k \approx \frac{L(L+1)}{2} \frac{\sqrt 2}{\pi\sqrt\pi} k^{-3/2}$, the high coefficients of a ReLU NTK.

    It holds for L hidden layers, weight variance 2 in all layers including the readout, and no biases: depth scales the
    tail, but does not change its exponent. An activation with such a kernel has $b_k^2 \propto k^{-5/2}$, that is, a
    kink.

    Args:
        depth: L.
        k: powers, above 0.

    >>> relu_ntk_tail(4, [100]).round(6)
    array([0.00254])
    """
    return depth * (depth + 1) / 2 * sqrt(2) / (pi * sqrt(pi)) * grid("k", k, above=0) ** -1.5


def finite_width_scale(
    kind: str, a2: ArrayLike, ab: ArrayLike, b2: ArrayLike, a: ArrayLike, b: ArrayLike
) -> Floats:
    r"""Return S: the kernel of N neurons has standard deviation $S/\sqrt N$ about its mean, the infinite-width kernel.

    A neuron contributes $A + w^2 B$ with $A = \phi(u)\phi(v)$, $B = s^2\rho\,\phi'(u)\phi'(v)$ and w ~ N(0, 1) its
    weight in the readout, so that $S^2 = E[A^2] + 2E[AB] + 3E[B^2] - (E[A] + E[B])^2$.

    Args:
        kind: "ntk"; "nngp": A alone, $E[A^2] - E[A]^2$; "first layer": $w^2 B$ alone, $3E[B^2] - E[B]^2$.
        a2: $E[A^2]$.
        ab: $E[AB]$.
        b2: $E[B^2]$.
        a: $E[A]$.
        b: $E[B]$.

    Source: derived for this library; exact at every width.
    """
    a2, ab, b2, a, b = (np.asarray(value, dtype=np.float64) for value in (a2, ab, b2, a, b))
    choice("kind", kind, KINDS)
    if kind == "nngp":
        ab, b2, b = 0 * ab, 0 * b2, 0 * b
    elif kind == "first layer":
        a2, ab, a = 0 * a2, 0 * ab, 0 * a
    second = a2 + 2 * ab + 3 * b2
    variance = second - (a + b) ** 2
    # Constant activations have variance 0, which the root of a rounding error would hide.
    return np.sqrt(np.where(variance > _NO_VARIANCE * second, variance, 0.0))


def _series(name: str, values: ArrayLike) -> Floats:
    array = grid(name, values)
    finite(name, array, remedy="")
    return array


def _compose(series: Floats, shift: float, factor: float) -> Floats:
    """Return the coefficients in c of the series in `shift + factor c`."""
    coefficients = Polynomial(series)(Polynomial([shift, factor])).coef
    return np.pad(np.asarray(coefficients, dtype=np.float64), (0, len(series) - len(coefficients)))
