r"""Any function as an activation, by Mehler's formula $E[\phi(u)\phi(v)] = \sum_k \alpha_k(a) \alpha_k(b) \rho^k$."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from solvable.errors import InputError
from solvable.kernels.duals.base import Activation, PointNumbers, check_moment, clipped
from solvable.kernels.duals.elementwise import apply, check_elementwise, name_of
from solvable.kernels.duals.expansion import Expansion, Floats, kink_pairs
from solvable.kernels.duals.kinks import Kink, Split, find_kinks, kinks_at
from solvable.kernels.duals.series_sums import mehler_sums
from solvable.kernels.inputs import Array, Namespace, positive, real, to_float64

_WARNED_ABOVE = 10.0
"""A warning is given when the error exceeds the tolerance by this factor."""
# A point without variance stands for the limit of a small one: the dual's values are then off by about 1e-12.
_LEAST_VARIANCE = 1e-12
_COMPLEX_TERMS = 1000


class TruncationWarning(UserWarning):
    """The dual of a function could not be computed to the tolerance asked for."""


@dataclass(frozen=True, repr=False)
class AnyActivation(Activation):
    r"""Any function $\phi$ as an activation; its dual comes from its Hermite coefficients.

    With $\alpha_k(a) = E[\phi(\sqrt a z) h_k(z)]$ and $\rho = c/\sqrt{ab}$: $E[\phi(u)\phi(v)] = \sum_k \alpha_k(a)
    \alpha_k(b) \rho^k$ and $E[\phi'(u)\phi'(v)] = (ab)^{-1/2} \sum_k k\, \alpha_k(a) \alpha_k(b) \rho^{k-1}$, without
    $\phi'$. The series ends where what is left out, known from the coefficients' tails, is below the tolerance at the
    variances at hand. Kinks and jumps are split off first, since series of them converge slowly; products of two are
    exact (bivariate normal probabilities). Points of variance 0 are taken at variance 1e-12.

    A function with jumps has an NNGP kernel and no NTK. At complex covariances (power series of kernels) kinks
    are summed to degree 1000: exact inside the unit circle, slowly convergent on it.

    Args:
        function: $\phi$, elementwise on NumPy arrays or torch tensors.
        kinks: where $\phi$, $\phi'$, $\phi''$ or $\phi'''$ jumps; left out, they are looked for at |z| < 30
            (`find_kinks`); () says that it is smooth.
        tolerance: the error allowed, relative to $E[\phi^2]$ and $E[\phi'^2]$.

    Raises:
        InputError: when the function is not elementwise, random, or fails on arrays.

    Source: Daniely, Frostig and Singer 2016 (dual activations); Mehler 1866.

    >>> value, slope = AnyActivation(np.tanh).dual(1.0, 1.0, 1.0)
    >>> print(f"{value:.6f} {slope:.6f}")
    0.394294 0.464403
    """

    function: Callable[[Any], Any]
    kinks: tuple[float, ...] | None = None
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if not callable(self.function) or isinstance(self.function, type):
            raise InputError(
                f"{self.function!r} is not a function; expected one of arrays, elementwise, such as np.tanh"
                + ("; put () after the class" if isinstance(self.function, type) else "")
            )
        if self.kinks is not None:
            values = tuple(sorted(real("kink", t) for t in self.kinks))
            object.__setattr__(self, "kinks", values)
        object.__setattr__(self, "tolerance", positive("tolerance", self.tolerance))
        check_elementwise(self.function)

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", None) or repr(self.function)
        kinks = "" if self.kinks is None else f", kinks={self.kinks}"
        tolerance = "" if self.tolerance == 1e-6 else f", tolerance={self.tolerance:g}"
        return f"AnyActivation({name}{kinks}{tolerance})"

    def __call__(self, z: Array) -> Array:
        return apply(self.function, z)

    @cached_property
    def singularities(self) -> tuple[Kink, ...]:
        """The kinks and jumps, given or found, with the jump of each derivative."""
        return find_kinks(self.function) if self.kinks is None else kinks_at(self.function, self.kinks)

    @cached_property
    def _expansion(self) -> Expansion:
        return Expansion(Split(self.function, self.singularities), self.tolerance)

    def check_derivative(self) -> None:
        jumps = self._expansion.split.jumps
        if jumps:
            raise InputError(
                f"{name_of(self.function)} jumps at z = {jumps[0]:g}: its derivative has no second moment, so that "
                "there is no NTK; expected a continuous function; use the NNGP kernel, or a steep continuous function"
            )

    def error(self, variance: float) -> tuple[float, float]:
        r"""Return what the truncated series may be off, of $E[\phi^2]$ and of $E[\phi'^2]$, at this variance.

        The largest error over all correlations; it is taken at $\rho = \pm 1$. Rounding is not in it. The second is
        infinite for functions with jumps.

        >>> AnyActivation(np.tanh).error(1.0)[1] < 1e-6
        True
        """
        variance = positive("variance", variance)
        plan = self._expansion.plan(variance, variance)
        return plan.value_error, plan.derivative_error

    def prepare(self, xp: Namespace, variances: Array) -> PointNumbers:
        unique, inverse = distinct(to_float64(variances))
        plan = self._expansion.plan(float(unique[0]), float(unique[-1]))
        self._warn(plan.value_error, plan.derivative_error, unique)
        coefficients = [self._expansion.smooth(unique, plan, plan.terms)]
        if self._expansion.kinked:
            coefficients.append(self._expansion.kinks(unique, plan.terms))
        return variances, *(spread(xp, alpha, inverse, variances) for alpha in coefficients)

    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        if c.ndim == 0:
            x, z = tuple(p[None] for p in x), tuple(p[None] for p in z)
            value, slope = self.pair(xp, x, z, c[None], derivative)
            return value[0], None if slope is None else slope[0]
        a, b = positive_variances(xp, x[0]), positive_variances(xp, z[0])
        scale = xp.sqrt(a) * xp.sqrt(b)
        rho = clipped(xp, c / scale)
        if self._expansion.kinked and xp.isdtype(rho.dtype, "complex floating"):
            A, B = (self._all_coefficients(p[0], _COMPLEX_TERMS) for p in (x, z))
            value, slope = mehler_sums(xp, [(A, B)], rho, derivative)
            return value, None if slope is None else slope / scale
        terms = max(x[1].shape[-1], z[1].shape[-1])
        x, z = self._extended(xp, x, terms), self._extended(xp, z, terms)
        if not self._expansion.kinked:
            value, slope = mehler_sums(xp, [(x[1], z[1])], rho, derivative)
            if slope is not None:
                slope /= scale
            return value, slope
        value, slope = mehler_sums(xp, [(x[1], z[1] + z[2]), (x[2], z[1])], rho, derivative)
        exact, exact_slope = kink_pairs(xp, self._expansion.split, a, b, rho, derivative)
        value += exact
        if slope is not None and exact_slope is not None:
            slope /= scale
            slope += exact_slope
        return value, slope

    def moments(self, xp: Namespace, variances: Array, derivative: bool) -> tuple[Array, Array | None]:
        unique, inverse = distinct(to_float64(variances))
        plan = self._expansion.plan(float(unique[0]), float(unique[-1]))
        if derivative:
            self.check_derivative()
        results = self._expansion.moments(unique, plan, derivative)
        spread_out = []
        for moment in results[: 2 if derivative else 1]:
            check_moment(repr(self), moment, unique)
            spread_out.append(spread(xp, moment[:, None], inverse, variances)[..., 0])
        return spread_out[0], spread_out[1] if derivative else None

    def _extended(self, xp: Namespace, x: PointNumbers, terms: int) -> PointNumbers:
        # Points of other variances may have been given fewer terms. What they lack is small, but the other side's
        # share of the same terms need not be, so that leaving it out could cost the root of the tolerance.
        if x[1].shape[-1] == terms:
            return x
        unique, inverse = distinct(to_float64(x[0]))
        plan = self._expansion.plan(float(unique[0]), float(unique[-1]))
        coefficients = [self._expansion.smooth(unique, plan, terms)]
        if self._expansion.kinked:
            coefficients.append(self._expansion.kinks(unique, terms))
        return x[0], *(spread(xp, alpha, inverse, x[0]) for alpha in coefficients)

    def _all_coefficients(self, variances: Array, terms: int) -> Floats:
        unique, inverse = distinct(to_float64(variances))
        plan = self._expansion.plan(float(unique[0]), float(unique[-1]))
        alpha = self._expansion.kinks(unique, terms)
        smooth = self._expansion.smooth(unique, plan, plan.terms)
        alpha[:, : plan.terms] += smooth
        return spread(np, alpha, inverse, to_float64(variances))

    def _warn(self, value_error: float, derivative_error: float, variances: Floats) -> None:
        errors = [error for error in (value_error, derivative_error) if np.isfinite(error)]
        if max(errors) > _WARNED_ABOVE * self.tolerance:
            warnings.warn(
                f"the dual of {self!r} is within {value_error:.1g} of E[phi^2] and {derivative_error:.1g} of E[phi'^2] "
                f"at pre-activation variance {variances[-1]:.3g}, not {self.tolerance:g}: it is too steep for a "
                "Hermite series; use smaller inputs or weights, name its kinks, or raise the tolerance",
                TruncationWarning,
                stacklevel=3,
            )


def positive_variances(xp: Namespace, variances: Array) -> Array:
    """Return the variances with 1e-12 in place of 0."""
    return xp.where(variances > 0, variances, xp.full_like(variances, _LEAST_VARIANCE))


def distinct(variances: Floats) -> tuple[Floats, Any]:
    """Return the different variances, in order, and which of them each point has (None: all the same).

    Rounded to 13 digits: normalised points differ by rounding only.
    """
    if variances.size == 0:
        return np.ones(1), np.zeros(variances.shape, dtype=int)
    if not np.isfinite(variances).all() or variances.min() < 0:
        raise InputError(
            "a pre-activation variance is negative, infinite or not a number; expected finite ones >= 0; "
            "use smaller inputs or weights"
        )
    fraction, exponent = np.frexp(np.where(variances > 0, variances, _LEAST_VARIANCE))
    unique, inverse = np.unique(
        np.ldexp(np.round(fraction * 2.0**44) / 2.0**44, exponent), return_inverse=True
    )
    if len(unique) == 2 and unique[1] - unique[0] <= 1e-12 * unique[1]:
        unique = unique[1:]
    return unique, None if len(unique) == 1 else inverse.reshape(variances.shape)


def spread(xp: Namespace, alpha: Floats, inverse: Any, variances: Array) -> Array:
    """Return the rows of `alpha` for each point, in the points' library; views of one row when all are the same."""
    shape = (*variances.shape, alpha.shape[1])
    rows = alpha[0] if inverse is None else alpha[inverse]
    if is_torch_array(variances):
        rows = xp.asarray(rows, dtype=variances.dtype, device=variances.device)
    return xp.broadcast_to(rows, shape)
