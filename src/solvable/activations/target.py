r"""The target kernel of a design, as a function of the cosine and as a power series."""

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.activations.real_series import distance_from_non_negative, ending_series, first_series
from solvable.activations.theory import series_curve
from solvable.checks import finite, numbers
from solvable.errors import InputError
from solvable.kernels.angular import AngularKernel, power_series
from solvable.kernels.base import Kernel
from solvable.kernels.inputs import to_float64
from solvable.kernels.names import as_kernel

Floats = NDArray[np.float64]

ANGLES = np.linspace(0.0, np.pi, 100)
"""The 100 angles at which kernels are compared, both ends included."""
COSINES = np.cos(ANGLES)

_HIGHEST_POWER = 64
"""Highest power computed for the library's own kernels, which are positive semidefinite by construction."""
_HIGHEST_POWER_FUNCTION = 400
"""Highest power computed for functions of complex numbers."""
# On the circle that `power_series` uses for these powers rounding grows by e; the rest allows for functions that lose
# digits themselves.
_ROUNDING = 1e-11
# Of a coefficient, whose activation is raised to the fourth power.
_LARGEST = 1e60
_ROUNDING_ON_CIRCLE = 1e-13


@dataclass(frozen=True)
class Target:
    """A kernel of the angle, in the three forms that a design needs.

    Args:
        name: name of the kernel in sentences.
        values: the kernel at `COSINES`.
        series: $a_0, a_1, \\dots$
        error: error bound of each coefficient.
        ends: whether the series is known to end with `series`.
        function: the kernel as a function of real cosines, if coefficients beyond `series` could not be computed.
    """

    name: str
    values: Floats
    series: Floats
    error: Floats
    ends: bool
    function: Callable[[Floats], Floats] | None = None

    @property
    def checked(self) -> int | None:
        """The last power whose coefficient was checked, if further ones could not be; otherwise None."""
        return None if self.function is None else len(self.series) - 1

    @property
    def distance(self) -> float:
        """Distance of K from the nearest series with non-negative coefficients, relative to K(1); see `real_series`."""
        return 0.0 if self.function is None else distance_from_non_negative(self.function, self.size)

    @property
    def scale(self) -> float:
        """K(1)."""
        return float(self.values[0])

    @property
    def size(self) -> float:
        """The largest |K|, which is K(1) if K is a kernel."""
        return _size(self.values)

    @property
    def degree(self) -> float:
        """The last power with a non-zero coefficient; infinite if the series does not end."""
        present = np.flatnonzero(np.abs(self.series) > np.maximum(self.error, 0))
        last = float(present[-1]) if len(present) else 0.0
        if self.ends:
            return last
        # A series that ends within the known coefficients must also add up to the kernel, at both ends too.
        total = np.polynomial.polynomial.polyval(COSINES, self.series[: int(last) + 1])
        return last if np.max(np.abs(total - self.values)) <= 1e-9 * self.size else np.inf


def as_target(kernel: Any) -> Target:
    """Return a kernel as a target.

    Args:
        kernel: a kernel of the angle, its name, a function of the cosine, or power coefficients.

    Raises:
        InputError: for a kernel that is not a function of the angle, not finite, complex, or not analytic.
    """
    if isinstance(kernel, str):
        kernel = as_kernel(kernel)
    if isinstance(kernel, AngularKernel):
        name = _short(kernel)
        values = _finite_curve(name, to_float64(kernel.curve(COSINES)))
        series = kernel.power_series(_HIGHEST_POWER)
        return Target(name, values, series, np.full(len(series), _ROUNDING * _size(values)), False)
    scikit = sys.modules.get("sklearn.gaussian_process.kernels")
    if isinstance(kernel, Kernel) or (scikit is not None and isinstance(kernel, scikit.Kernel)):
        raise InputError(
            f"{kernel!r} is not known to be a function of the angle; expected a kernel of the angle such as Gaussian "
            "or NTK, a function of the cosine, or power coefficients; give K(c) as lambda c: ..."
        )
    if callable(kernel) and not isinstance(kernel, type):
        return _of_function(kernel)
    if isinstance(kernel, Sequence | np.ndarray) or hasattr(kernel, "__array__"):
        return _of_series(kernel)
    raise InputError(
        f"{kernel!r} is not a kernel of the angle; expected a kernel such as NTK(4), its name, a function of the "
        "cosine, or its power coefficients a_0, a_1, ..."
        + ("; write () after the class" if callable(kernel) else "")
    )


def _short(kernel: Kernel) -> str:
    """Return the call that creates the kernel, without default arguments."""
    arguments = []
    for one in fields(kernel):
        value = getattr(kernel, one.name)
        if one.repr and (one.default is MISSING or value != one.default):
            arguments.append(
                f"{one.name}={value:.4g}" if isinstance(value, float) else f"{one.name}={value!r}"
            )
    return f"{type(kernel).__name__}({', '.join(arguments)})"


def _of_series(values: Any) -> Target:
    if np.iscomplexobj(values):
        raise InputError("the power coefficients are complex; expected real numbers; take the real part")
    series = numbers("power coefficients", values)
    if series.ndim != 1:
        raise InputError(
            f"the power coefficients have shape {series.shape}; expected a flat list of numbers a_0, a_1, ..."
        )
    finite("power coefficients", series, remedy="")
    numbers("power coefficients", series, at_least=-_LARGEST, at_most=_LARGEST)
    words = ", ".join(f"{a:.4g}" for a in series[:6]) + (", …" if len(series) > 6 else "")
    name = f"the series {words}"
    curve = _finite_curve(name, series_curve(series, COSINES))
    return Target(name, curve, series, np.zeros(len(series)), True)


def _of_function(function: Callable[[Any], Any]) -> Target:
    name = getattr(function, "__name__", None) or repr(function)
    name = "the function" if name == "<lambda>" else str(name)
    values = _finite_curve(name, _real_values(name, function, COSINES))
    scale = _size(values)
    if (expansion := _complex_series(function, scale)) is not None:
        return Target(name, values, *expansion, False)

    def real(cosine: Floats) -> Floats:
        return _finite_values(name, _real_values(name, function, cosine), cosine)

    if (expansion := ending_series(real, scale)) is not None:
        return Target(name, values, *expansion, False)
    if (expansion := first_series(real, scale)) is None:
        raise InputError(
            f"{name} is not analytic around c = 0; expected a kernel with a power series, since by Schoenberg's "
            "theorem only such kernels are positive semidefinite in every dimension; |c| and clipped functions have "
            "none"
        )
    return Target(name, values, *expansion, False, real)


def _real_values(name: str, function: Callable[[Any], Any], cosine: Floats) -> Floats:
    with np.errstate(all="ignore"):
        try:
            values = function(cosine.copy())
        except Exception as array_error:
            # A function of one number, such as math.exp, is called number by number.
            try:
                values = np.array([function(float(c)) for c in cosine])
            except Exception:
                reason = (str(array_error).splitlines() or [""])[0]
                raise InputError(
                    f"{name} fails on an array of cosines ({type(array_error).__name__}: {reason}); expected a "
                    "function K(c) of arrays of cosines in [-1, 1]; write a kernel K(x, x') of points as a function "
                    "of the cosine"
                ) from array_error
    try:
        array = to_float64(values)
    except (TypeError, ValueError):
        raise InputError(
            f"{name} returned {_type_in_words(values)}; expected real numbers, one for each cosine; take the real part"
        ) from None
    if array.shape != cosine.shape:
        # A constant is a kernel too.
        if array.size == 1:
            return np.full(cosine.shape, float(array.ravel()[0]))
        raise InputError(
            f"{name} returned shape {array.shape} for {len(cosine)} cosines; expected one number for each cosine"
        )
    return array


def _size(values: Floats) -> float:
    return float(np.max(np.abs(values)))


def _type_in_words(values: Any) -> str:
    return (
        f"{np.asarray(values).dtype} numbers"
        if isinstance(values, np.ndarray)
        else f"a {type(values).__name__}"
    )


def _finite_curve(name: str, values: Floats) -> Floats:
    """Return the kernel at `COSINES` if it is finite."""
    if not np.isfinite(values[0]):
        raise InputError(
            f"{name} is {values[0]} at c = 1; expected a finite kernel of an input with itself; keep the singularity "
            "outside [-1, 1], as in 1/(1.1 - c)"
        )
    return _finite_values(name, values, COSINES)


def _finite_values(name: str, values: Floats, cosine: Floats) -> Floats:
    bad = ~np.isfinite(values)
    if bad.any():
        c = cosine[bad][0]
        raise InputError(
            f"{name} is {values[bad][0]} at c = {c:.4g}; expected finite numbers at all cosines in [-1, 1]"
        )
    return values


def _complex_series(function: Callable[[Any], Any], scale: float) -> tuple[Floats, Floats] | None:
    """Return the power series from a circle in the complex plane, and its error, or None if that does not work."""
    largest = 0.0

    def values(c: Any) -> Any:
        nonlocal largest
        result = np.asarray(function(c))
        if result.shape == () and c.shape:
            result = np.full(c.shape, result)
        if result.shape != c.shape or result.dtype.kind not in "fc" or not np.isfinite(result).all():
            raise ArithmeticError
        largest = max(largest, float(np.max(np.abs(result))))
        return result

    probe = np.linspace(-0.9, 0.9, 41)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # Casts that drop the imaginary part only warn.
        warnings.simplefilter("error")
        try:
            real = values(probe.copy())
            if np.max(np.abs(values(probe.astype(complex)) - real)) > 1e-9 * scale:
                return None
            series = power_series(values, _HIGHEST_POWER_FUNCTION)
        except Exception:
            return None
    # |c|, clipping and real parts accept complex numbers too, but are not analytic.
    if np.max(np.abs(np.polynomial.polynomial.polyval(probe, series) - real)) > 1e-9 * scale:
        return None
    # If the function is not a kernel, its values on the circle and their rounding may be far above the scale.
    return series, np.full(len(series), max(_ROUNDING * scale, _ROUNDING_ON_CIRCLE * largest))
