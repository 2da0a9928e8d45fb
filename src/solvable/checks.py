"""Argument checks with uniform error messages."""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError


def numbers(
    name: str,
    values: ArrayLike,
    *,
    above: float = -np.inf,
    at_least: float = -np.inf,
    at_most: float = np.inf,
) -> NDArray[np.float64]:
    """Return `values` as a float64 array of the same shape, after checking their range.

    `above` is an exclusive bound, `at_least` and `at_most` are inclusive. Infinity is allowed, NaN is not.

    Raises:
        InputError: if `values` is empty, not numeric, or has NaN or a number outside the range.

    >>> numbers("ridge", [0, 1], at_least=0)
    array([0., 1.])
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf" and not all(isinstance(one, Real) for one in array.flat):
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):  # text; lists of different lengths; 10**400
        raise InputError(f"{name} must be numbers; got {_shortened(values)}") from None
    if array.size == 0:
        raise InputError(f"{name} is empty; expected one or more numbers")
    bad = np.isnan(array) | (array <= above) & (above > -np.inf) | (array < at_least) | (array > at_most)
    if bad.any():
        raise InputError(f"{name} must be {_range(above, at_least, at_most)}; got {array[bad].flat[0]:g}")
    return array


def grid(
    name: str,
    values: ArrayLike,
    *,
    above: float = -np.inf,
    at_least: float = -np.inf,
    at_most: float = np.inf,
) -> NDArray[np.float64]:
    """Return the values of a grid axis as a flat array, checked as in `numbers`."""
    return numbers(name, values, above=above, at_least=at_least, at_most=at_most).ravel()


def whole_grid(name: str, values: ArrayLike, *, at_least: int) -> NDArray[np.int64]:
    """Return the values of a grid axis as a flat array of integers.

    Raises:
        InputError: as in `numbers`, and for fractions and infinity.

    >>> whole_grid("n_train", [32, 64.0], at_least=1)
    array([32, 64])
    """
    array = grid(name, values, at_least=at_least)
    if (fractional := np.isinf(array) | (array != np.floor(array))).any():
        raise InputError(f"{name} must be whole numbers; got {array[fractional][0]:g}")
    if (large := array >= 2.0**63).any():
        raise InputError(f"{name} must be below 2**63; got {array[large][0]:g}")
    return array.astype(np.int64)


def one_number(
    name: str,
    value: Any,
    *,
    above: float = -np.inf,
    at_least: float = -np.inf,
    at_most: float = np.inf,
) -> float:
    """Return `value` as a finite float, with bounds as in `numbers`.

    Raises:
        InputError: if it is not one finite number or is outside the range.

    >>> one_number("length_scale", 2, above=0)
    2.0
    """
    if not isinstance(value, Real):
        array = np.asarray(value)
        value = array.item() if array.size == 1 else value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        got = repr(value) if np.size(value) == 1 else f"{np.size(value)} values"
        raise InputError(f"{name} must be one number; got {got}")
    number = float(value)
    if np.isnan(number) and max(above, at_least, -at_most) == -np.inf:
        raise InputError(f"{name} must be one number; got nan")
    if np.isinf(number):
        raise InputError(f"{name} must be finite; got {number:g}")
    return float(numbers(name, number, above=above, at_least=at_least, at_most=at_most))


def whole(name: str, value: Any, *, at_least: int, at_most: float = np.inf) -> int:
    """Return `value` as an int.

    Raises:
        InputError: if it is not a whole number of at least `at_least` and at most `at_most`.

    >>> whole("steps", 3, at_least=1, at_most=10)
    3
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or int(value) < at_least:
        raise InputError(f"{name} must be a whole number of at least {at_least}; got {value!r}")
    if int(value) > at_most:
        raise InputError(f"{name} must be a whole number of at most {at_most:,}; got {value!r}")
    return int(value)


def seed(name: str, value: Any) -> int:
    """Return a seed: `value` itself, or one that is drawn from it if it is a generator of NumPy.

    Raises:
        InputError: if it is neither a whole number of at least 0 nor a generator.

    >>> seed("random_state", 3), seed("random_state", np.random.default_rng(0))
    (3, 1826701614)
    """
    if isinstance(value, np.random.Generator):
        return int(value.integers(2**31 - 1))
    if isinstance(value, np.random.RandomState):
        return int(value.randint(2**31 - 1))
    return whole(name, value, at_least=0)


def generator(name: str, value: Any) -> np.random.Generator:
    """Return `value` if it is a generator of NumPy, else the generator of this seed.

    Raises:
        InputError: as `seed`.
    """
    return value if isinstance(value, np.random.Generator) else np.random.default_rng(seed(name, value))


def broadcast(**arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Return arrays in their common shape.

    Raises:
        InputError: if they have none, with the names and shapes.

    >>> [array.shape for array in broadcast(a=np.ones(3), b=np.array(2.0))]
    [(3,), (3,)]
    """
    try:
        return list(np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise InputError(f"the shapes of these arguments do not fit together: {shapes}") from None


def choice(name: str, value: str, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`.

    Raises:
        InputError: otherwise, listing the options and suggesting the nearest one.
    """
    options = list(options)
    if value in options:
        return value
    from difflib import get_close_matches

    near = get_close_matches(str(value), options, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown {name} {value!r}; expected one of {', '.join(options)}{hint}")


def finite(name: str, array: Any, remedy: str = "drop or fill these values first") -> None:
    """Raise if an array has NaN or infinite values, with their number and the position of the first."""
    array = np.atleast_1d(array)
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f"the first at row {first[0]}" + (f", column {first[1]}" if len(first) > 1 else "")
        count = int(bad.sum())
        values = "1 value that is" if count == 1 else f"{count} values that are"
        raise InputError(f"{name} has {values} NaN or infinite, {where}{remedy and '; '}{remedy}")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]} ..."


def _range(above: float, at_least: float, at_most: float) -> str:
    """Return a range in words.

    >>> _range(0, -np.inf, np.inf), _range(-np.inf, 0, 1), _range(-np.inf, -np.inf, np.inf)
    ('above 0', 'at least 0 and at most 1', 'numbers')
    """
    ends = []
    if above > -np.inf:
        ends.append(f"above {above:g}")
    if at_least > -np.inf:
        ends.append(f"at least {at_least:g}")
    if at_most < np.inf:
        ends.append(f"at most {at_most:g}")
    return " and ".join(ends) or "numbers"
