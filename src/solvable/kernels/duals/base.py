r"""The base class of activations: a function $\phi$ and the Gaussian means that wide layers need."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps

import numpy as np
from array_api_compat import array_namespace

from solvable.errors import InputError
from solvable.kernels.inputs import Array, Namespace, to_float64

PointNumbers = tuple[Array, ...]
"""Numbers of single points, computed before pairs; every array starts with the axes of the variances."""


class Activation(ABC):
    r"""A function $\phi$ and its dual, the effect of a wide layer on a kernel.

    For $(u, v)$ Gaussian of covariance $\begin{pmatrix} a & c \\ c & b \end{pmatrix}$ the dual is the pair
    $E[\phi(u)\phi(v)]$ and $E[\phi'(u)\phi'(v)]$; by Price's theorem the second is the derivative of the first with
    respect to c. Activations compare and hash by their parameters.

    A subclass computes the dual in two steps, since a kernel matrix of n points has $n^2$ pairs: `prepare` for single
    points, `pair` for the rest. Both work on NumPy and torch, and `pair` also on complex NumPy covariances of magnitude
    at most $\sqrt{ab}$ (power series of kernels are computed on a circle in the complex plane).

    Source: Daniely, Frostig and Singer, Toward deeper understanding of neural networks, 2016.
    """

    @abstractmethod
    def __call__(self, z: Array) -> Array:
        r"""Return $\phi(z)$, elementwise, for a NumPy array or a torch tensor."""

    def derivative(self, z: Array) -> Array:
        r"""Return $\phi'(z)$, elementwise; by default to about 1e-10, by central differences."""
        xp, h = library_of(z), 1e-5
        # In single precision the differences would have errors of several per cent.
        wide = xp.astype(z, xp.float64)
        slope = (self(wide + h) - self(wide - h)) * (0.5 / h)
        return xp.astype(slope, z.dtype) if xp.isdtype(z.dtype, "real floating") else slope

    def prepare(
        self, xp: Namespace, variances: Array, derivative: bool = True, degree: int = 0
    ) -> PointNumbers:
        r"""Return the input of `pair` for points of these variances; by default the variances.

        Args:
            xp: the namespace of the array.
            variances: of any shape.
            derivative: whether `pair` will compute $E[\phi'\phi']$; without it, series are cheaper.
            degree: the number of terms of $\sum_k \alpha_k^2 \rho^k$ that matter for complex covariances; else 0.
        """
        return (variances,)

    @abstractmethod
    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        r"""Return $E[\phi\phi]$ and, with `derivative`, $E[\phi'\phi']$ (else None), both of the shape of `c`.

        Args:
            xp: the namespace of the arrays.
            x: numbers of one side, from `prepare`, shaped so that their leading axes broadcast against c.
            z: numbers of the other side.
            c: covariances, which rounding may have moved beyond $\pm\sqrt{ab}$; may be overwritten.
            derivative: whether to compute $E[\phi'\phi']$.
        """

    @abstractmethod
    def moments(self, xp: Namespace, variances: Array, derivative: bool) -> tuple[Array, Array | None]:
        r"""Return $E[\phi(u)^2]$ and, with `derivative`, $E[\phi'(u)^2]$, for variances of any shape.

        Raises:
            InputError: if one of them is infinite or not a number.
        """

    def check_derivative(self) -> None:  # noqa: B027  # nothing to raise for functions without jumps
        r"""Raise an `InputError` if $\phi$ jumps: then $E[\phi'^2]$ is infinite, and networks of it have no NTK."""

    def dual(self, a: Array, b: Array, c: Array) -> tuple[Array, Array]:
        r"""Return $E[\phi(u)\phi(v)]$ and $E[\phi'(u)\phi'(v)]$ for Gaussians of variances a, b and covariance c.

        Args:
            a: variances of u, $\ge 0$; the three broadcast.
            b: variances of v, $\ge 0$.
            c: covariances, $|c| \le \sqrt{ab}$ (to rounding).

        Returns:
            Two float64 arrays of the common shape.

        Raises:
            InputError: for numbers that are not a covariance matrix, or if $\phi'$ has no second moment.
        """
        self.check_derivative()
        a, b, c = np.broadcast_arrays(*(to_float64(value) for value in (a, b, c)))
        legal = (a >= 0) & (b >= 0) & (np.abs(c) <= np.sqrt(np.abs(a * b)) * (1 + 1e-12) + 1e-300)
        if not legal.all():
            i = np.unravel_index(int(np.argmin(legal)), legal.shape)
            raise InputError(
                f"a = {a[i]:g}, b = {b[i]:g}, c = {c[i]:g} is no covariance; expected a, b >= 0 and |c| <= sqrt(a b); "
                "check the order of the three arguments"
            )
        x, z = self.prepare(np, a.copy()), self.prepare(np, b.copy())
        value, slope = self.pair(np, x, z, c.copy(), derivative=True)
        assert slope is not None
        return value, slope

    def hermite_coefficients(self, degree: int, variance: float = 1.0) -> Array:
        r"""Return $\alpha_k = E[\phi(\sqrt a\, z) h_k(z)]$ for k = 0 … `degree`, $h_k = He_k/\sqrt{k!}$.

        With them $E[\phi(u)\phi(v)] = \sum_k \alpha_k(a) \alpha_k(b) \rho^k$ (Mehler).

        Args:
            degree: the last k.
            variance: a > 0.
        """
        from solvable.kernels.duals.hermite import hermite_coefficients

        return hermite_coefficients(self, degree, variance)


def as_tile(pair: Callable[..., tuple[Array, Array | None]]) -> Callable[..., tuple[Array, Array | None]]:
    """Return `pair`, which needs at least one axis, as a function that also takes single numbers."""

    @wraps(pair)
    def of_any_shape(
        self: Activation, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        if c.ndim:
            return pair(self, xp, x, z, c, derivative)
        x, z = tuple(p[None] for p in x), tuple(p[None] for p in z)
        value, slope = pair(self, xp, x, z, c[None], derivative)
        return value[0], None if slope is None else slope[0]

    return of_any_shape


def clipped(xp: Namespace, rho: Array) -> Array:
    """Return correlations clipped to [-1, 1]; complex ones are unchanged."""
    return rho if xp.isdtype(rho.dtype, "complex floating") else xp.clip(rho, -1.0, 1.0)


def library_of(z: Array) -> Namespace:
    """Return the namespace of an array on which an activation is called."""
    return array_namespace(z)


def check_moment(name: str, moment: Array, variances: Array) -> None:
    """Raise if a second moment overflows or is not a number."""
    moment, variances = to_float64(moment), to_float64(variances)
    bad = ~np.isfinite(moment)
    if bad.any():
        raise InputError(
            f"the second moment of {name} at pre-activation variance {variances[bad].flat[0]:.4g} is "
            f"{moment[bad].flat[0]}; expected a finite one; use smaller inputs or weights, or another activation"
        )
