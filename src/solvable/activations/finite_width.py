r"""Fluctuation of the kernel of a network of one hidden layer and finite width about the infinite-width kernel.

The means $E[g(u)g(v)]$ for g in $\phi^2, \phi\phi', \phi'^2, \phi, \phi'$ are Mehler series of the
g's Hermite coefficients. Kinks of $\phi$ are jumps of $\phi'$: the jumps of g and its first two derivatives are split
off as rectified powers, whose products are known in closed form, so that the series of the rest converges fast.
Derivatives are those of the interpolating polynomials on the quadrature's panels, none of which crosses a kink.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, factorial, sqrt
from types import FunctionType
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.activations.theory import KINDS, finite_width_scale
from solvable.checks import choice, one_number, whole
from solvable.errors import InputError
from solvable.kernels.angular import cosines
from solvable.kernels.duals import Activation, as_activation
from solvable.kernels.duals.elementwise import values_of
from solvable.kernels.duals.hermite import gauss_legendre, normal_density, shifted_power_coefficients
from solvable.kernels.duals.kinks import find_kinks, range_of
from solvable.kernels.duals.shifted_relu import RectifiedMoments
from solvable.kernels.inputs import Array, to_float64

Floats = NDArray[np.float64]
Cosines = Sequence[float] | NDArray[Any]

_NODES = 16
_FEWEST_PANELS, _MOST_PANELS = 64, 2048
_MOST_TERMS = 4096
_MOST_KINKS = 8
_POWERS = 3
_TAIL = 1e-11
_NARROW = 1e-3
# Derivatives of a constant are rounding errors divided by the panels' width; their squares are below this share.
_DUST = 1e-20
_WIDEST = 1e150


def finite_width_std(
    activation: Any,
    cosine: ArrayLike,
    width: int,
    kind: str = "ntk",
    w_std: float = 1.0,
    b_std: float = 0.0,
) -> Array:
    r"""Return the standard deviation $S/\sqrt N$ of the kernel of a network of one hidden layer of N neurons.

    The mean is the infinite-width kernel at every width; both are exact. The readout has variance 1 and no bias; a
    readout variance $\sigma_2^2$ multiplies both.

    Args:
        activation: a name, an `Activation`, or a function of arrays.
        cosine: cosine between inputs of norm $\sqrt d$, of any shape.
        width: N, the number of neurons, at least 1.
        kind: "ntk", "nngp" (only the readout is trained) or "first layer".
        w_std: $\sigma_w > 0$ of the hidden layer.
        b_std: $\sigma_b \ge 0$ of the hidden layer.

    Returns:
        The standard deviation, of the shape of `cosine`.

    Raises:
        InputError: for cosines outside [-1, 1], and for activations with jumps or with a divergent fourth moment.

    Source: derived for this library; see `theory.finite_width_scale`.

    >>> finite_width_std("relu", [0.5, 0.9], width=1).round(2)
    array([1.02, 1.57])
    """
    width = whole("width", width, at_least=1)
    return finite_width_moments(activation, cosine, kind, w_std, b_std)[1] / sqrt(width)


@overload
def required_width(
    activation: Any,
    relative_std: float,
    cosine: float = 0.5,
    kind: str = "ntk",
    w_std: float = 1.0,
    b_std: float = 0.0,
) -> int: ...


@overload
def required_width(
    activation: Any,
    relative_std: float,
    cosine: Cosines,
    kind: str = "ntk",
    w_std: float = 1.0,
    b_std: float = 0.0,
) -> NDArray[np.int64]: ...


def required_width(
    activation: Any,
    relative_std: float,
    cosine: float | Cosines = 0.5,
    kind: str = "ntk",
    w_std: float = 1.0,
    b_std: float = 0.0,
) -> int | NDArray[np.int64]:
    r"""Return the width $N = (S/(\varepsilon K))^2$ at which the kernel has the given relative standard deviation.

    Args:
        activation: a name, an `Activation`, or a function of arrays.
        relative_std: $\varepsilon > 0$, such as 0.1 for 10 %.
        cosine: cosine between inputs, in [-1, 1], of any shape.
        kind: "ntk", "nngp" (only the readout is trained) or "first layer".
        w_std: $\sigma_w > 0$ of the hidden layer.
        b_std: $\sigma_b \ge 0$ of the hidden layer.

    Returns:
        The width, an int for one cosine, otherwise integers of the shape of `cosine`.

    Raises:
        InputError: as for `finite_width_std`, and where the kernel is 0.

    >>> required_width("relu", 0.1)
    469
    >>> required_width("relu", 0.1, [0.5, 0.9])
    array([469, 349])
    """
    relative_std = one_number("relative_std", relative_std, above=0)
    means, scales = finite_width_moments(activation, cosine, kind, w_std, b_std)
    c = checked_cosines(cosine)
    widths = [
        _width(float(mean), float(scale), relative_std, float(where))
        for mean, scale, where in zip(means.flat, scales.flat, c.flat, strict=True)
    ]
    if not c.ndim:
        return widths[0]
    if max(widths) > np.iinfo(np.int64).max:
        raise InputError(
            f"relative_std is {relative_std:g}; expected a larger one, since the width is {max(widths):.2g}, too large "
            "for an array of integers; give one cosine at a time"
        )
    return np.array(widths, dtype=np.int64).reshape(c.shape)


def _width(mean: float, scale: float, relative_std: float, cosine: float) -> int:
    if abs(mean) <= 1e-12 * max(scale, 1e-300):
        raise InputError(
            f"the kernel is 0 at cosine {cosine:g}; expected a cosine where it is not 0, since the relative standard "
            "deviation is infinite there at every width"
        )
    ratio = scale / abs(mean) / relative_std
    if ratio > _WIDEST:
        raise InputError(
            f"relative_std is {relative_std:g}; expected a fraction such as 0.1, since the width has more than 300 "
            "digits"
        )
    return max(1, ceil(ratio**2))


def finite_width_moments(
    activation: Any, cosine: ArrayLike, kind: str = "ntk", w_std: float = 1.0, b_std: float = 0.0
) -> tuple[Floats, Floats]:
    r"""Return mean K and $S = \text{std} \cdot \sqrt N$ of the kernel of N neurons, each of the shape of `cosine`.

    Args:
        activation: a name, an `Activation`, or a function of arrays.
        cosine: cosine between inputs of norm $\sqrt d$.
        kind: "ntk", "nngp" (only the readout is trained) or "first layer".
        w_std: $\sigma_w > 0$ of the hidden layer.
        b_std: $\sigma_b \ge 0$ of the hidden layer.
    """
    activation = as_activation(activation)
    choice("kind", kind, KINDS)
    w, b = one_number("w_std", w_std, above=0) ** 2, one_number("b_std", b_std, at_least=0) ** 2
    c = checked_cosines(cosine)
    rho = ((w * c + b) / (w + b)).ravel()
    means = _neuron(activation, sqrt(w + b), kind != "nngp")
    squares, mixed, slopes, values, derivatives = means(rho)
    a2, ab, b2 = squares, rho * mixed, rho**2 * slopes
    scale = finite_width_scale(kind, a2, ab, b2, values, rho * derivatives)
    mean = {"ntk": values + rho * derivatives, "nngp": values, "first layer": rho * derivatives}[kind]
    return mean.reshape(c.shape), scale.reshape(c.shape)


def _neuron(activation: Activation, scale: float, derivative: bool) -> "NeuronMeans":
    make = _cached_neuron if _is_constant(activation) else NeuronMeans
    return make(activation, scale, derivative)


def _is_constant(activation: Activation) -> bool:
    """Return whether results for an activation can be cached: the user's functions and torch modules may change."""
    inner = getattr(activation, "function", activation)
    owner = inner if isinstance(inner, FunctionType) else type(inner)
    # Functions from `exec` belong to no module.
    home = str(getattr(owner, "__module__", None) or "")
    return isinstance(inner, np.ufunc) or home.split(".")[0] == __name__.split(".")[0]


def checked_cosines(cosine: ArrayLike) -> Floats:
    """Return cosines in [-1, 1] as float64 of the same shape.

    Raises:
        InputError: when they are not real numbers in [-1, 1].
    """
    try:
        values = to_float64(cosine)
    except (TypeError, ValueError):
        raise InputError(
            f"cosine is {cosine!r}; expected a real number in [-1, 1] or an array of them"
        ) from None
    if np.isnan(values).any():
        raise InputError(
            f"cosine is NaN in {int(np.isnan(values).sum())} of {values.size} values; expected numbers in [-1, 1]; "
            "drop inputs of norm 0, which have no cosine"
        )
    return cosines(values)[1]


class NeuronMeans:
    r"""$E[g(u)g(v)]$ of $g = \phi^2, \phi\phi', \phi'^2, \phi, \phi'$ as functions of the correlation of u and v.

    Args:
        activation: $\phi$.
        scale: s, the standard deviation of a pre-activation s u; $\phi'$ is the derivative with respect to u.
        derivative: whether $\phi'$ is needed; otherwise it is 0.

    Raises:
        InputError: if a fourth moment diverges, or $\phi$ is too steep to be resolved.
    """

    def __init__(self, activation: Activation, scale: float, derivative: bool) -> None:
        if derivative:
            activation.check_derivative()
        self._activation, self._scale, self._derivative = activation, scale, derivative
        kinks = getattr(activation, "kinks", None)
        positions = [kink.position for kink in find_kinks(activation)] if kinks is None else list(kinks)
        self._kinks = np.unique([t / scale for t in positions])
        with np.errstate(over="ignore"):
            edge = range_of(lambda z: values_of(activation, z) ** 2, scale)
        self._edge = edge
        self._kinks = self._kinks[np.abs(self._kinks) < edge]
        split = self._kinks if len(self._kinks) <= _MOST_KINKS else self._kinks[:0]
        panels = _FEWEST_PANELS
        coarse = self._moments(panels)
        while True:
            panels *= 2
            moments = self._moments(panels)
            if np.allclose(moments, coarse, rtol=1e-7, atol=1e-9 * float(np.max(moments))):
                break
            if panels >= _MOST_PANELS:
                raise InputError(
                    f"{activation!r} is not resolved by {panels} pieces of its range; expected a piecewise smooth "
                    "function; use a gentler one"
                )
            coarse = moments
        self._expand(panels, split)

    def __call__(self, rho: Floats) -> Floats:
        """Return the five means at correlations (m,), (5, m)."""
        inside = np.clip(rho, -1.0, 1.0)
        result = np.stack([np.polynomial.polynomial.polyval(inside, series) for series in self._series])
        jumps = self._jumps
        for i, t in enumerate(self._split):
            for j, s in enumerate(self._split[: i + 1]):
                M = RectifiedMoments(np, float(t), float(s), inside)
                for p in range(_POWERS):
                    for q in range(_POWERS):
                        both = jumps[:, i, p] * jumps[:, j, q] * (2 if j < i else 1)
                        if both.any():
                            result += both[:, None] * M(p, q) / (factorial(p) * factorial(q))
        # At the ends u = ±v, where the series converges most slowly.
        result[:, inside == 1] = self._ends[0][:, None]
        result[:, inside == -1] = self._ends[1][:, None]
        return result

    def _panels(self, panels: int) -> tuple[Floats, Floats, Floats]:
        """Return nodes and weights (with the density), (panels, 16), and the panels' ends."""
        # Kinks at both signs, since u = -v at correlation -1. Panels must not be narrow, since derivatives divide by
        # their width: mirrored kinks close to another kink and grid points close to kinks are omitted.
        mirrored = [-t for t in self._kinks if np.abs(self._kinks + t).min() > _NARROW]
        inside = np.concatenate([self._kinks, mirrored])
        grid = np.linspace(-self._edge, self._edge, panels + 1)
        far = np.abs(grid[:, None] - inside).min(axis=1, initial=np.inf) > 0.2 * (grid[1] - grid[0])
        ends = np.unique(np.concatenate([grid[far], inside, [-self._edge, self._edge]]))
        x, w = gauss_legendre(_NODES)
        half = 0.5 * np.diff(ends)[:, None]
        z = ends[:-1, None] + half * (1 + x)
        return z, half * w * normal_density(z), ends

    def _functions(self, z: Floats, ends: Floats) -> Floats:
        """Return the five functions at the panels' nodes, (5, panels, 16)."""
        phi = values_of(self._activation, self._scale * z)
        slope = (phi @ _differentiation().T) / (0.5 * np.diff(ends)[:, None]) if self._derivative else 0 * phi
        return np.stack([phi * phi, phi * slope, slope * slope, phi, slope])

    def _moments(self, panels: int) -> Floats:
        z, w, ends = self._panels(panels)
        return np.einsum("gpn,pn->g", self._functions(z, ends) ** 2, w)

    def _expand(self, panels: int, split: Floats) -> None:
        z, w, ends = self._panels(panels)
        g = self._functions(z, ends)
        self._split = split
        self._jumps = self._jumps_of(g, ends, split)
        reflected = g[:, ::-1, ::-1]
        self._ends = np.einsum("gpn,pn->g", g * g, w), np.einsum("gpn,gpn,pn->g", g, reflected, w)
        smooth = g.reshape(5, -1).copy()
        z, w = z.ravel(), w.ravel()
        for i, t in enumerate(split):
            past = np.maximum(z - t, 0.0)
            for p in range(_POWERS):
                smooth -= self._jumps[:, i, p, None] * (past**p if p else z > t) / factorial(p)
        alpha = _hermite_coefficients(smooth, z, w, self._ends[0])
        degree = alpha.shape[1] - 1
        kinked = np.zeros_like(alpha)
        for i, t in enumerate(split):
            for p in range(_POWERS):
                coefficients = shifted_power_coefficients(np.array(t), p, degree) / factorial(p)
                kinked += self._jumps[:, i, p, None] * coefficients
        self._series = alpha * (alpha + 2 * kinked)

    def _jumps_of(self, g: Floats, ends: Floats, split: Floats) -> Floats:
        """Return the jumps of the functions and their first two derivatives at the kinks, (5, kinks, 3)."""
        jumps = np.zeros((5, len(split), _POWERS))
        left, right = _one_sided()
        half = 0.5 * np.diff(ends)
        for i, t in enumerate(split):
            after = int(np.argmin(np.abs(ends - t)))
            if 0 < after < len(half) and min(half[after - 1], half[after]) > 0.4 * _NARROW:
                for p in range(_POWERS):
                    jumps[:, i, p] = (
                        g[:, after] @ left[p] / half[after] ** p
                        - g[:, after - 1] @ right[p] / half[after - 1] ** p
                    )
        return jumps


_cached_neuron: Callable[[Activation, float, bool], NeuronMeans] = lru_cache(maxsize=64)(NeuronMeans)


def _hermite_coefficients(functions: Floats, z: Floats, w: Floats, sizes: Floats) -> Floats:
    """Return the Hermite coefficients of functions (5, nodes), as many as necessary, (5, terms).

    The remainder is compared with the second moments `sizes` (5,) of the functions with their kinks.
    """
    # The second moments are of fourth order in the activation for the first three functions, of second for the others.
    largest = np.array([np.max(sizes[:3])] * 3 + [np.max(sizes[3:])] * 2)
    sizes = np.maximum(sizes, _DUST * largest)
    # Only two Hermite functions are in memory: there may be thousands.
    root = np.sqrt(w)
    f = functions * root
    total = np.sum(f * f, axis=1)
    before, psi = np.zeros_like(root), root.copy()
    alpha, squares = [], np.zeros(len(f))
    for k in range(_MOST_TERMS):
        alpha.append(f @ psi)
        squares = squares + alpha[-1] ** 2
        if k >= 16 and k % 16 == 0 and np.all(total - squares <= _TAIL * sizes):
            break
        before, psi = psi, (z * psi - sqrt(k) * before) / sqrt(k + 1)
    remainder = float(np.max((total - squares) / np.where(sizes > 0, sizes, 1.0)))
    if remainder > 1e-5:
        raise InputError(
            f"the activation is too steep for a Hermite series: {_MOST_TERMS} terms miss {remainder:.1g} of a fourth "
            "moment; expected a gentler one; lower its frequency or the variance of its inputs"
        )
    return np.stack(alpha, axis=1)


@lru_cache(maxsize=1)
def _differentiation() -> Floats:
    """Return the differentiation matrix for values at the Gauss-Legendre nodes."""
    x, _ = gauss_legendre(_NODES)
    vandermonde = np.polynomial.legendre.legvander(x, _NODES - 1)
    return _derivative_rows(x, 1) @ np.linalg.inv(vandermonde)


@lru_cache(maxsize=1)
def _one_sided() -> tuple[Floats, Floats]:
    """Return rows that map values at the nodes to derivatives 0, 1, 2 at a panel's left and right end."""
    x, _ = gauss_legendre(_NODES)
    inverse = np.linalg.inv(np.polynomial.legendre.legvander(x, _NODES - 1))
    ends = [
        np.concatenate([_derivative_rows(np.array([end]), p) for p in range(_POWERS)]) @ inverse
        for end in (-1.0, 1.0)
    ]
    return ends[0], ends[1]


def _derivative_rows(x: Floats, order: int) -> Floats:
    """Return the derivatives of the Legendre polynomials at x, (points, nodes)."""
    identity = np.eye(_NODES)
    rows = [
        np.polynomial.legendre.legval(x, np.polynomial.legendre.legder(one, order) if order else one)
        for one in identity
    ]
    return np.stack(rows, axis=1).astype(np.float64)
