r"""From a kernel to an activation: the theorem as a function to train with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from solvable.activations.designed import DesignedActivation
from solvable.activations.fitting import (
    Parameters,
    fit_formula,
    non_negative_series,
    rectifier_starts,
    relu_cos_starts,
)
from solvable.activations.formula import Formula
from solvable.activations.real_series import CLOSEST
from solvable.activations.signs import chosen_signs
from solvable.activations.target import Target, as_target
from solvable.activations.theory import KINDS, Floats, check_realisable, trained_factors
from solvable.checks import choice, one_number, whole
from solvable.errors import InputError

FAMILIES = ("hermite", "relu+cos", "shifted relus")
"""Families of activations for `design`."""

_HIGHEST_DEGREE = 100
_NEGLIGIBLE = 1e-9
_DEGREE, _RECTIFIERS, _PENALTY = 5, 3, 0.03


def design(
    kernel: Any,
    kind: str = "ntk",
    degree: int | None = None,
    family: str = "hermite",
    signs: str | Sequence[int] = "alternate pairs",
    project: bool = False,
    rectifiers: int | None = None,
    penalty: float | None = None,
) -> DesignedActivation:
    r"""Return an activation with which a network of ONE hidden layer has the given kernel.

    If $K(c) = \sum_k a_k c^k$ with $a_k \ge 0$, K is the NTK of $\phi = \sum_k \pm\sqrt{a_k/(1+k)}\, h_k$ and the NNGP
    kernel of $\sum_k \pm\sqrt{a_k}\, h_k$; no other kernels of the angle are positive semidefinite in every dimension.
    Conventions: hidden weights and readout weights have variance 1, there are no biases, and inputs have norm
    $\sqrt d$.

    Families:

    - "hermite": a polynomial. Exact for kernels that are polynomials of at most the given degree; otherwise the
      $a_k$ are those of the nearest polynomial (non-negative least squares at 100 angles, c = 1 counted twelve times,
      as in the paper). Kernels of ReLU networks have infinite slope at c = 1, where a polynomial is worst. Beyond a
      degree of about 6 polynomials fluctuate too much at usable widths.
    - "relu+cos": $a \max(z-b, 0) + cz + d + e\cos(fz + g)$, by least squares; best for kernels of ReLU networks.
    - "shifted relus": a sum of up to three shifted ReLUs, a slope and a constant, by least squares.

    Args:
        kernel: a kernel of the angle, such as `NTK(4)` or `Gaussian(1.0)`; a name such as "relu ntk 4" (with weight
            variance 2 in all layers, including the readout); a function K(c) of the cosine; or power coefficients
            $a_0, a_1, \dots$
        kind: "ntk" (all parameters are trained), "nngp" (the readout) or "first layer".
        degree: degree of the Hermite series, at least 0; in the other families only the length of `.coefficients`. By
            default that of the power coefficients if these are given, so that they are matched exactly (at least 5 if
            one of them is negative and the nearest kernel is used), otherwise 5. A lower degree gives the nearest
            polynomial.
        family: "hermite", "relu+cos" or "shifted relus".
        signs: signs of the Hermite coefficients, which do not affect the kernel: "alternate pairs"
            (+ + - - + + ...), "positive", "minimise variance" (a search for the least fluctuation at finite width), or
            1 or -1 for each coefficient.
        project: if no activation has the kernel, use the nearest kernel that an activation has.
        rectifiers: number of ReLUs in the family "shifted relus": 1, 2 or 3; by default 3.
        penalty: weight p, by default 0.03, of $E[\phi^4]$ in the fits of the last two families, whose objective is
            $\sum_\theta (K - K^*)^2 + (p\,E[\phi^4]/K^*(1))^2$. With a larger penalty networks of finite width
            fluctuate less, and for most kernels the fit is less close.

    Raises:
        InputError: for a kernel that no activation has, with its first negative coefficient; for a kernel that is not
            a function of the angle, not finite, complex or not analytic; and for arguments out of range.

    Source: Simon, Anand and DeWeese, Reverse engineering the neural tangent kernel, 2022 (arXiv:2106.03186).

    >>> phi = design([0.0, 1.0, 0.0, 0.0, 1.0])  # K = c + c^4
    >>> phi.coefficients.round(3)
    array([0.   , 0.707, 0.   , 0.   , 0.447])
    >>> phi.kernel.curve([1.0, 0.5]).round(4)
    array([2.    , 0.5625])
    >>> design(lambda c: (3 * c**2 - 1) / 2)
    Traceback (most recent call last):
    solvable.errors.InputError: the kernel K(c) has the power series coefficient a_0 = -0.5; expected none below 0, ...
    """
    choice("kind", kind, KINDS)
    choice("family", family, FAMILIES)
    if family != "hermite" and not (isinstance(signs, str) and signs == "alternate pairs"):
        raise _unused_argument("signs", signs, family)
    if family == "hermite" and penalty is not None:
        raise _unused_argument("penalty", penalty, family)
    if family != "shifted relus" and rectifiers is not None:
        raise _unused_argument("rectifiers", rectifiers, family)
    # Before the kernel is examined, which takes a while.
    degree = None if degree is None else _allowed_degree(degree)
    target = as_target(kernel)
    if degree is None:
        degree = _allowed_degree(_default_degree(target)) if family == "hermite" else _DEGREE
    if not project:
        # A zero coefficient may come out negative by rounding or by the error of the series.
        tolerance = np.maximum(target.error, 1e-12 * target.size)
        check_realisable(np.where(np.abs(target.series) > tolerance, target.series, 0.0), kind)
        _check_distance(target)
    if target.scale <= 0:
        raise InputError(
            f"{target.name} is {target.scale:.4g} at c = 1; expected a number above 0, since it is the kernel of an "
            "input with itself; change the sign"
        )
    formula = (
        Formula(tuple(_hermite(target, kind, degree, signs).tolist()))
        if family == "hermite"
        else _fit(
            target,
            kind,
            family,
            _RECTIFIERS if rectifiers is None else rectifiers,
            _PENALTY if penalty is None else penalty,
        )
    )
    values = tuple(target.values.tolist())
    return DesignedActivation(formula, kind, family, degree, target.name, values, target.checked)


def _unused_argument(name: str, value: object, family: str) -> InputError:
    return InputError(f"{name} is {value!r}, which the family {family!r} does not use; omit {name}")


def _allowed_degree(degree: int) -> int:
    degree = whole("degree", degree, at_least=0)
    if degree > _HIGHEST_DEGREE:
        raise InputError(
            f"degree is {degree}; expected at most {_HIGHEST_DEGREE}, since the values of higher polynomials are too "
            "large for training; lower the degree or use family='relu+cos'"
        )
    return degree


def _default_degree(target: Target) -> int:
    """Return the default degree of a polynomial: that of the power coefficients if they are given, otherwise 5."""
    if not target.ends:
        return _DEGREE
    last = len(target.series) - 1
    # The projection of a kernel is approximate, and takes more terms.
    return max(last, _DEGREE) if (target.series < 0).any() else last


def _check_distance(target: Target) -> None:
    """Raise if a coefficient beyond the known ones must be negative."""
    if (distance := target.distance) > CLOSEST:
        raise InputError(
            f"{target.name} has a negative power series coefficient beyond a_{target.checked}: no series without one "
            f"comes closer to it than {100 * distance:.2g} % of K(1); expected none below 0, since otherwise it is "
            "not positive semidefinite in every dimension, and no activation has it; design(..., project=True) "
            "takes the nearest kernel that an activation has"
        )


def _hermite(target: Target, kind: str, degree: int, signs: str | Sequence[int]) -> Floats:
    series = np.zeros(degree + 1)
    exact = target.series[: degree + 1]
    if target.degree <= degree and not (exact < -target.error[: degree + 1] - 1e-12 * target.scale).any():
        series[: len(exact)] = np.where(np.abs(exact) > target.error[: degree + 1], exact, 0.0)
        if kind == "first layer" and series[0] > 0:
            series = non_negative_series(target, kind, degree)
    else:
        series = non_negative_series(target, kind, degree)
    series = np.maximum(series, 0.0)
    if not series.any():
        raise InputError(
            f"the nearest kernel of degree {degree} to {target.name} is 0; expected a kernel above 0; raise the degree "
            "or choose another kernel"
        )
    # Tiny coefficients from the projection would only add terms to the formula.
    series[series < _NEGLIGIBLE * target.scale] = 0.0
    factors = trained_factors(kind, degree)
    sizes = np.sqrt(series / np.where(factors > 0, factors, 1.0))
    # Adding 0 turns the -0.0 of an absent coefficient into 0.0.
    return chosen_signs(signs, sizes, kind) * sizes + 0.0


def _fit(target: Target, kind: str, family: str, rectifiers: int, penalty: float) -> Formula:
    # The default penalty, 0.03, avoids designs with large terms that cancel. For eight ReLU layers it reduces E[phi^4]
    # of three shifted ReLUs to a fifth, with an error of 0.9 % of K(1) rather than 0.7 %; for a ReLU and a cosine to a
    # third for a Laplace kernel and to a half for a Gaussian (error 0.9 % rather than 0.1 %). For four ReLU layers the
    # best ReLU and cosine hardly changes (E[phi^4] = 9.06 rather than 9.08, error 0.2 % in both cases).
    penalty = one_number("penalty", penalty, at_least=0)
    if family == "relu+cos":
        return fit_formula(target, kind, Parameters(1, True), relu_cos_starts(target.scale), penalty)
    n = whole("rectifiers", rectifiers, at_least=1)
    if n > 3:
        raise InputError(f"rectifiers is {n}; expected 1, 2 or 3, since more only fit noise")
    return fit_formula(target, kind, Parameters(n, False), rectifier_starts(target.scale, n), penalty)
