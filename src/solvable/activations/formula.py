r"""Activations given by a formula: the sum of a Hermite series, shifted ReLUs and a cosine."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from array_api_compat import array_namespace, is_torch_array
from numpy.typing import NDArray

from solvable.activations.theory import trained_factors
from solvable.checks import choice
from solvable.errors import InputError
from solvable.kernels.duals.hermite import cosine_coefficients, shifted_relu_coefficients
from solvable.kernels.duals.shifted_relu import shifted_relu_dual
from solvable.kernels.inputs import Array

Floats = NDArray[np.float64]

_MONOMIALS = 12


@dataclass(frozen=True)
class Formula:
    r"""$\phi(z) = \sum_k b_k h_k(z) + \sum_i w_i \max(z - t_i, 0) + e\cos(fz + g)$.

    Args:
        hermite: $b_0, b_1, \dots$; the first two are a constant and a slope.
        rectifiers: pairs $(w_i, t_i)$.
        cosine: $(e, f, g)$ with $f \ne 0$, or None.

    >>> phi = Formula(hermite=(0.5, 1.0), rectifiers=((2.0, 1.0),))
    >>> phi(np.array([0.0, 3.0]))
    array([0.5, 7.5])
    """

    hermite: tuple[float, ...] = (0.0,)
    rectifiers: tuple[tuple[float, float], ...] = ()
    cosine: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        # Without terms the series is the constant 0, which needs no special case elsewhere.
        object.__setattr__(self, "hermite", self.hermite or (0.0,))

    def __call__(self, z: Array) -> Array:
        r"""Return $\phi(z)$ for numbers, a NumPy array or a torch tensor (with gradient)."""
        z = _to_float(z)
        xp = array_namespace(z)
        # The sum is a new array, so terms are added in place: half of the time is memory access.
        value = _hermite_sum(z, self.hermite)
        for weight, shift in self.rectifiers:
            past = z - shift
            value = _add(value, weight, past.relu() if is_torch_array(past) else np.maximum(past, 0.0))
        if self.cosine is not None:
            e, f, g = self.cosine
            value = _add(value, e, xp.cos(f * z + g))
        return value

    def derivative(self, z: Array) -> Array:
        r"""Return $\phi'(z)$; at a kink, the derivative from the left."""
        z = _to_float(z)
        xp = array_namespace(z)
        value = _hermite_sum(z, tuple(sqrt(k) * b for k, b in enumerate(self.hermite))[1:] or (0.0,))
        for weight, shift in self.rectifiers:
            value = value + weight * xp.astype(z > shift, z.dtype)
        if self.cosine is not None:
            e, f, g = self.cosine
            value = value - e * f * xp.sin(f * z + g)
        return value

    @property
    def kinks(self) -> tuple[float, ...]:
        """Positions where the derivative jumps, ascending."""
        return tuple(sorted({shift for weight, shift in self.rectifiers if weight}))

    def coefficients(self, degree: int) -> Floats:
        r"""Return the Hermite coefficients $E[\phi(z) h_k(z)]$ for k = 0 … degree, in closed form."""
        total = self.smooth_coefficients(degree)
        for weight, shift in self.rectifiers:
            total += weight * shifted_relu_coefficients(shift, degree)
        return total

    def smooth_coefficients(self, degree: int) -> Floats:
        """Return the Hermite coefficients without those of the rectifiers."""
        total = np.zeros(degree + 1)
        series = self.hermite[: degree + 1]
        total[: len(series)] = series
        if self.cosine is not None:
            e, f, g = self.cosine
            total += e * cosine_coefficients(f, g, degree)
        return total

    @property
    def smooth_degree(self) -> int:
        """A degree beyond which the Hermite coefficients without the rectifiers' are below 1e-17."""
        degree = len(self.hermite) - 1
        if self.cosine is None:
            return degree
        # The cosine's coefficients are largest at k = f^2 and fall like the weights of a Poisson distribution.
        f = abs(self.cosine[1])
        return max(degree, int(f * f + 12 * f + 40))

    def kernel(self, cosine: Floats, kind: str = "ntk") -> Floats:
        r"""Return the kernel of one hidden layer at cosines (m,), exactly: unit weights, no biases.

        Products of two rectifiers are bivariate normal probabilities; the rest is a series that ends with the smooth
        part's coefficients.
        """
        degree = self.smooth_degree
        smooth, all_ = self.smooth_coefficients(degree), self.coefficients(degree)
        series = trained_factors(kind, degree) * smooth * (2 * all_ - smooth)
        total = np.asarray(np.polynomial.polynomial.polyval(cosine, series), dtype=np.float64)
        one = np.ones_like(cosine)
        for i, (w, t) in enumerate(self.rectifiers):
            for j, (v, s) in enumerate(self.rectifiers[: i + 1]):
                value, slope = shifted_relu_dual(np, one, one, cosine * 1.0, t, s)
                total = total + (2 if j < i else 1) * w * v * _combine(kind, cosine, value, slope)
        return total

    def __str__(self) -> str:
        """Return the formula as text, with five digits."""
        terms = [(w, f"relu(z {_five_digits(-t)})") for w, t in self.rectifiers]
        terms += [(b, ("", "z")[k] if k < 2 else f"h{k}(z)") for k, b in enumerate(self.hermite) if b]
        if self.cosine is not None:
            e, f, g = self.cosine
            terms.append((e, f"cos({f:.5g} z {_five_digits(g)})"))
        if not terms:
            return "0"
        words = [" ".join([_five_digits(factor), *([term] if term else [])]) for factor, term in terms]
        text = " ".join(words)
        return text[2:] if text.startswith("+ ") else "-" + text[2:]

    def source(self, library: str = "numpy", name: str = "activation", about: str = "") -> str:
        """Return Python code of a function that computes the formula, with all digits.

        Args:
            library: "numpy" or "torch", for arrays or tensors.
            name: name of the function.
            about: its docstring, one line; by default the formula.
        """
        module = {"numpy": "np", "torch": "torch"}[choice("library", library, ("numpy", "torch"))]
        header = "import numpy as np" if library == "numpy" else "import torch"
        clip = "({}).clip(min=0)" if library == "torch" else "np.maximum({}, 0)"
        setup: list[str] = []
        terms = [(w, clip.format(f"z {_all_digits(-t)}")) for w, t in self.rectifiers]
        if self.cosine is not None:
            e, f, g = self.cosine
            terms.append((e, f"{module}.cos({f!r} * z {_all_digits(g)})"))
        if len(self.hermite) > _MONOMIALS + 1:
            # Powers of z would lose digits by cancellation.
            setup = [
                f"    b = {list(self.hermite)!r}",
                "    before, h, series = 0 * z, 0 * z + 1, 0 * z",
                "    for k in range(len(b)):",
                "        series = series + b[k] * h",
                "        before, h = h, (z * h - k**0.5 * before) / (k + 1) ** 0.5",
            ]
            terms.append((1.0, "series"))
        else:
            powers = enumerate(_monomials(self.hermite))
            terms += [(a, "" if k == 0 else "z" if k == 1 else f"z**{k}") for k, a in powers if a]
        body = [f"        {_product(factor, term)}" for factor, term in terms] or ["        0 * z"]
        if not any(term for _, term in terms) and terms:
            body.append("        + 0 * z")
        if terms:
            # Only the sign at the start of the first line changes.
            sign, rest = body[0][8:10], body[0][10:]
            body[0] = " " * 8 + ("-" if sign == "- " else "") + rest
        lines = [header, "", "", f"def {name}(z):", f'    """{about or f"Return {self}."}"""', *setup]
        return "\n".join([*lines, "    return (", *body, "    )", ""])


def _combine(kind: str, cosine: Floats, value: Floats, slope: Array) -> Floats:
    return {"ntk": value + cosine * slope, "nngp": value, "first layer": cosine * slope}[kind]


def _to_float(z: Array) -> Array:
    if is_torch_array(z):
        if z.is_complex():
            raise _not_real(str(z.dtype))
        return z if z.is_floating_point() else z.double()
    try:
        array = np.asarray(z)
        if array.dtype.kind == "O":
            # NumPy would convert None to NaN.
            return np.array([float(value) for value in array.flat]).reshape(array.shape)
        if array.dtype.kind in "fbiu":
            return array if array.dtype.kind == "f" else array.astype(np.float64)
    except (TypeError, ValueError):
        raise _not_real(f"a {type(z).__name__} without an array of numbers") from None
    raise _not_real(repr(z) if array.ndim == 0 else f"an array of {array.dtype}")


def _not_real(got: str) -> InputError:
    return InputError(f"z is {got}; expected real numbers: a number, a NumPy array or a torch tensor")


def _hermite_sum(z: Array, coefficients: tuple[float, ...]) -> Array:
    """Return the Hermite series as a new array."""
    present = [k for k, b in enumerate(coefficients) if b]
    last = present[-1] if present else 0
    if not last:
        # A constant must also depend on z, with gradient 0.
        return coefficients[0] + 0 * z
    before, h = 1.0, z
    total = coefficients[1] * z if coefficients[1] or coefficients[0] else None
    if total is not None and coefficients[0]:
        total += coefficients[0]
    for k in range(2, last + 1):
        before, h = h, (z * h - sqrt(k - 1) * before) / sqrt(k)
        if b := coefficients[k]:
            total = b * h if total is None else _add(total, b, h)
    return total


def _add(total: Array, factor: float, term: Array) -> Array:
    """Return `total + factor * term`, computed in place in `total`."""
    if is_torch_array(total):
        return total.add_(term, alpha=factor)
    total += factor * term
    return total


def _monomials(coefficients: tuple[float, ...]) -> list[float]:
    """Return the coefficients of powers of z."""
    scaled, root = [], 1.0
    for k, b in enumerate(coefficients):
        root *= sqrt(max(k, 1))
        scaled.append(b / root)
    return [float(a) for a in np.polynomial.hermite_e.herme2poly(scaled)]


def _five_digits(number: float) -> str:
    return f"{'-' if number < 0 else '+'} {abs(number):.5g}"


def _product(factor: float, term: str) -> str:
    return f"+ {term}" if factor == 1 and term else f"{_all_digits(factor)}{' * ' + term if term else ''}"


def _all_digits(number: float) -> str:
    return f"{'-' if number < 0 else '+'} {abs(number)!r}"
