r"""Any function as an activation, by Mehler's formula $E[\phi(u)\phi(v)] = \sum_k \alpha_k(a) \alpha_k(b) \rho^k$."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.kernels.duals.base import Activation, PointNumbers, as_tile, check_moment
from solvable.kernels.duals.elementwise import apply, check_elementwise, name_of
from solvable.kernels.duals.expansion import MOST_TERMS, Expansion, Floats, Plan, kink_pairs
from solvable.kernels.duals.kinks import Kink, Split, find_kinks, kinks_at
from solvable.kernels.duals.series_sums import complex_sums, integer_power, mehler_sums
from solvable.kernels.inputs import Array, Namespace, to_float64

# A warning is given if the error exceeds the tolerance by this factor.
_WARNED_ABOVE = 10.0
# A larger relative error makes a result useless; the moment is usually infinite.
_HOPELESS = 0.5
# A point without variance is treated as one of this variance, which changes the dual's values by about 1e-12.
_LEAST_VARIANCE = 1e-12
MOST_DEGREE = 400_000
"""The largest degree of Hermite coefficients of a function with kinks."""
# A power series warns of errors above this share of E[phi^2], the accuracy of those of closed forms.
_SERIES_ACCURACY = 1e-14
# A correlation comes from a covariance and two variances, each rounded several times.
_ROUNDINGS = 8
_PACKAGE = __name__.split(".")[0]


class TruncationWarning(UserWarning):
    """The dual of a function could not be computed to the requested tolerance."""


@dataclass(frozen=True, repr=False)
class AnyActivation(Activation):
    r"""An arbitrary function $\phi$ as an activation; its dual comes from its Hermite coefficients.

    With $\alpha_k(a) = E[\phi(\sqrt a z) h_k(z)]$ and $\rho = c/\sqrt{ab}$: $E[\phi(u)\phi(v)] = \sum_k \alpha_k(a)
    \alpha_k(b) \rho^k$ and $E[\phi'(u)\phi'(v)] = (ab)^{-1/2} \sum_k k\, \alpha_k(a) \alpha_k(b) \rho^{k-1}$, without
    $\phi'$. The series is truncated where the remainder, estimated from the coefficients' tails, is below the tolerance
    at the variances of the data. The remainder of $E[\phi^2]$ and $E[\phi'^2]$ is added as a last term, so that these
    are accurate to rounding for identical points, also in deep networks. Kinks and jumps are split off first, since
    their series converge slowly; products of two are exact (bivariate normal probabilities). Points of variance 0 are
    given variance 1e-12.

    A function with jumps has an NNGP kernel but no NTK. Power series of kernels use all Hermite coefficients that
    matter, at most 400000; those of the smooth part end at degree 999, which matters, with a warning, only for
    functions that are not quite smooth.

    Args:
        function: $\phi$, elementwise on NumPy arrays or torch tensors.
        kinks: where $\phi$, $\phi'$, $\phi''$ or $\phi'''$ jumps; None: detected at |z| < 30 (`find_kinks`); (): none.
        tolerance: the allowed error, relative to $E[\phi^2]$ and $E[\phi'^2]$.

    Raises:
        InputError: if the function is not elementwise, is random, or fails on arrays.

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
                f"{self.function!r} is not a function; expected an elementwise function of arrays, such as np.tanh"
                + ("; add () after the class" if isinstance(self.function, type) else "")
            )
        if self.kinks is not None:
            values = tuple(sorted(one_number("kink", t) for t in self.kinks))
            object.__setattr__(self, "kinks", values)
        object.__setattr__(self, "tolerance", one_number("tolerance", self.tolerance, above=0))
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
        """The kinks and jumps, with the jump of each derivative."""
        return find_kinks(self.function) if self.kinks is None else kinks_at(self.function, self.kinks)

    @cached_property
    def _expansion(self) -> Expansion:
        return Expansion(Split(self.function, self.singularities), self.tolerance)

    def check_derivative(self) -> None:
        jumps = self._expansion.split.jumps
        if jumps:
            raise InputError(
                f"{name_of(self.function)} jumps at z = {jumps[0]:g}: its derivative has no second moment, so that "
                "there is no NTK; expected a continuous function; use the NNGP kernel or a steep continuous function"
            )

    def error(self, variance: float) -> tuple[float, float]:
        r"""Return the truncation error at this variance, relative to $E[\phi^2]$ and to $E[\phi'^2]$.

        It is the largest over all correlations, at $\rho = \pm 1$, without rounding. The second number is infinite for
        functions with jumps.

        >>> AnyActivation(np.tanh).error(1.0)[1] < 1e-6
        True
        """
        variance = one_number("variance", variance, above=0)
        plan = self._expansion.plan(variance, variance)
        return plan.value_error, plan.derivative_error

    def prepare(
        self, xp: Namespace, variances: Array, derivative: bool = True, degree: int = 0
    ) -> PointNumbers:
        derivative = derivative and not self._expansion.split.jumps
        unique, inverse = distinct(to_float64(variances))
        plan = self._expansion.plan(float(unique[0]), float(unique[-1]), derivative)
        self._warn(plan.value_error, plan.derivative_error, unique, derivative)
        if degree:
            coefficients = [self._series(unique, plan, degree)]
        else:
            coefficients = self._expansion.with_remainders(unique, plan, plan.terms, derivative)
        return variances, *(spread(xp, alpha, inverse, variances) for alpha in coefficients)

    @as_tile
    def pair(
        self, xp: Namespace, x: PointNumbers, z: PointNumbers, c: Array, derivative: bool
    ) -> tuple[Array, Array | None]:
        a, b = positive_variances(xp, x[0]), positive_variances(xp, z[0])
        scale = xp.sqrt(a) * xp.sqrt(b)
        if xp.isdtype(c.dtype, "complex floating"):
            A, B = (p[1] if len(p) == 2 else self._series_of(p[0]) for p in (x, z))
            value, slope = complex_sums(A, B, c / scale, derivative)
            return value, None if slope is None else slope / scale
        rho = snapped(xp, c / scale)
        terms = max(x[1].shape[-1], z[1].shape[-1])
        x, z = self._extended(xp, x, terms, derivative), self._extended(xp, z, terms, derivative)
        kinked = self._expansion.kinked
        factors = [(x[1], z[1] + z[2]), (x[2], z[1])] if kinked else [(x[1], z[1])]
        value, slope = mehler_sums(xp, factors, rho, derivative)
        even = terms + terms % 2
        power = integer_power(rho, even - 1)
        if slope is not None and x[-1].shape[-1] == z[-1].shape[-1] == 8:
            # The remainder of E[phi' phi'] has the other parity and is already divided by the variances' roots.
            slope /= scale
            slope += power * _remainder(xp, x[-1][..., 4:], z[-1][..., 4:], rho)
        elif slope is not None:
            slope /= scale
        power *= rho
        value += power * _remainder(xp, x[-1][..., :4], z[-1][..., :4], rho)
        if not kinked:
            return value, slope
        exact, exact_slope = kink_pairs(xp, self._expansion.split, a, b, rho, derivative)
        value += exact
        if slope is not None and exact_slope is not None:
            slope += exact_slope
        return value, slope

    def moments(self, xp: Namespace, variances: Array, derivative: bool) -> tuple[Array, Array | None]:
        unique, inverse = distinct(to_float64(variances))
        if derivative:
            self.check_derivative()
        plan = self._expansion.plan(float(unique[0]), float(unique[-1]), derivative)
        results = self._expansion.moments(unique, plan, derivative)
        spread_out = []
        for moment in results[: 2 if derivative else 1]:
            check_moment(repr(self), moment, unique)
            spread_out.append(spread(xp, moment[:, None], inverse, variances)[..., 0])
        return spread_out[0], spread_out[1] if derivative else None

    def _extended(self, xp: Namespace, x: PointNumbers, terms: int, derivative: bool) -> PointNumbers:
        # Points of other variances may have fewer terms. The missing ones are small, but those of the other side may be
        # large, so that omitting them could cause an error of the root of the tolerance.
        if x[1].shape[-1] == terms:
            return x
        unique, inverse = distinct(to_float64(x[0]))
        plan = self._expansion.plan(float(unique[0]), float(unique[-1]), derivative)
        coefficients = self._expansion.with_remainders(unique, plan, terms, derivative)
        return x[0], *(spread(xp, alpha, inverse, x[0]) for alpha in coefficients)

    def _series_of(self, variances: Array) -> Floats:
        unique, inverse = distinct(to_float64(variances))
        plan = self._expansion.plan(float(unique[0]), float(unique[-1]), not self._expansion.split.jumps)
        return spread(np, self._series(unique, plan, MOST_TERMS - 1), inverse, to_float64(variances))

    def _series(self, variances: Floats, plan: Plan, degree: int) -> Floats:
        """Return the coefficients of the whole function up to a degree, for a power series."""
        kinked = self._expansion.kinked
        if kinked and degree > MOST_DEGREE:
            raise InputError(
                f"the power series takes {degree} Hermite coefficients of {self!r}; expected at most {MOST_DEGREE} "
                "of a function with kinks; reduce the degree or use an activation with a closed form, such as 'relu'"
            )
        smooth = self._expansion.smooth(variances, plan, MOST_TERMS)
        if degree >= MOST_TERMS:
            size = np.sqrt(np.sum(smooth**2, axis=1, keepdims=True))
            tail = float(np.max(np.abs(smooth[:, -50:]) / np.maximum(size, 1e-300))) ** 2
            if tail > _SERIES_ACCURACY:
                warn(
                    f"the power series takes {degree} Hermite coefficients, but those of {self!r} are only computed to "
                    f"degree {MOST_TERMS - 1}, where they are still {tail:.1g} of E[phi^2], which is the error of all "
                    "higher ones; reduce the degree or pass the function's kinks"
                )
        if not kinked:
            return smooth
        alpha = self._expansion.kinks(variances, max(degree + 1, MOST_TERMS))
        alpha[:, :MOST_TERMS] += smooth
        return alpha

    def _warn(self, value_error: float, slope_error: float, variances: Floats, derivative: bool) -> None:
        errors = [error for error in (value_error, slope_error) if np.isfinite(error)]
        if max(errors) > _HOPELESS:
            moment = "E[phi'^2]" if value_error <= _HOPELESS else "E[phi^2]"
            raise InputError(
                f"{moment} of {self!r} at pre-activation variance {variances[-1]:.3g} does not converge: it is "
                "infinite, or the function is too steep for a Hermite series; expected a function with finite moments; "
                "use smaller inputs or weights, pass its kinks, or use another activation"
            )
        if max(errors) > _WARNED_ABOVE * self.tolerance:
            slopes = f" and {slope_error:.1g} of E[phi'^2]" if derivative else ""
            warn(
                f"the dual of {self!r} has an error of {value_error:.1g} of E[phi^2]{slopes} at pre-activation "
                f"variance {variances[-1]:.3g}, not {self.tolerance:g}: it is too steep for a Hermite series; use "
                "smaller inputs or weights, pass its kinks, or raise the tolerance"
            )


def warn(message: str) -> None:
    """Issue a `TruncationWarning` at the user's line that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, TruncationWarning, stacklevel=level)


def _remainder(xp: Namespace, x: Array, z: Array, rho: Array) -> Array:
    r"""Return the even part and $\rho$ times the odd part of two rows of `Expansion.with_remainders`."""
    return mehler_sums(xp, [(x[..., :2], z[..., :2]), (x[..., 2:], -z[..., 2:])], rho, False)[0]


def snapped(xp: Namespace, rho: Array) -> Array:
    """Return correlations with those within rounding of +-1 set to it, since slopes have the root of that error."""
    if xp.isdtype(rho.dtype, "complex floating"):
        return rho
    nearly = 1 - _ROUNDINGS * float(xp.finfo(rho.dtype).eps)
    return xp.where(abs(rho) > nearly, xp.sign(rho), rho)


def positive_variances(xp: Namespace, variances: Array) -> Array:
    """Return the variances with 1e-12 in place of 0."""
    return xp.where(variances > 0, variances, xp.full_like(variances, _LEAST_VARIANCE))


def distinct(variances: Floats) -> tuple[Floats, Any]:
    """Return the distinct variances, ascending, to 13 digits, and each point's index in them (None: all equal)."""
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
    """Return the row of `alpha` of each point, in the points' library; views of one row if all are equal."""
    shape = (*variances.shape, alpha.shape[1])
    rows = alpha[0] if inverse is None else alpha[inverse]
    if is_torch_array(variances):
        rows = xp.asarray(rows, dtype=variances.dtype, device=variances.device)
    return xp.broadcast_to(rows, shape)
