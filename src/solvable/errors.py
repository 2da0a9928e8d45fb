"""The one exception that bad input raises, and the checks at the door that many rooms share.

A message is one sentence in four parts: what is wrong, what was given, what was expected, how to mend it.
The command line prints it without a traceback and exits with 2.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class InputError(ValueError):
    """Input that cannot be used, said in one sentence."""


class MissingExtraError(ImportError, InputError):
    """An optional part of the library is needed and not installed."""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """Return the error that says which `pip install` brings an optional part."""
    return MissingExtraError(
        f"{purpose} needs {package}, which is not installed: pip install 'solvable[{extra}]'"
    )


def numbers(
    name: str, values: ArrayLike, *, above: float = -np.inf, at_least: float = -np.inf
) -> NDArray[np.float64]:
    """Return `values` as float64 of the same shape, each checked to lie in its range; `inf` is a value, NaN is not.

    Raises:
        InputError: when a value is not a number, or lies outside its range.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} must be numbers; got {values!r}")
    array = array.astype(np.float64)
    bound = (
        f"above {above:g}"
        if above > -np.inf
        else f"at least {at_least:g}"
        if at_least > -np.inf
        else "numbers"
    )
    if array.size == 0:
        raise InputError(
            f"{name} is empty; expected one or more numbers" + (f" {bound}" if bound != "numbers" else "")
        )
    bad = np.isnan(array) | (array < at_least)
    if above > -np.inf:
        bad |= array <= above
    if bad.any():
        raise InputError(f"{name} must be {bound}; got {array[bad].flat[0]:g}")
    return array


def one_number(name: str, value: Any, *, above: float = -np.inf, at_least: float = -np.inf) -> float:
    """Return `value` as a finite float; checked as `numbers` does.

    Raises:
        InputError: when it is not one number, or outside its range.
    """
    array = numbers(name, value, above=above, at_least=at_least)
    if array.size != 1:
        raise InputError(f"{name} must be one number; got {array.size}")
    if np.isinf(array).any():
        raise InputError(f"{name} must be finite; got {array.item():g}")
    return float(array.item())


def grid(
    name: str, values: ArrayLike, *, above: float = -np.inf, at_least: float = -np.inf
) -> NDArray[np.float64]:
    """Return the values of one axis of a grid as a flat array; checked as `numbers` does."""
    return numbers(name, values, above=above, at_least=at_least).ravel()


def choice(name: str, value: str, options: Iterable[str]) -> str:
    """Return `value` when it is one of `options`.

    Raises:
        InputError: with the options listed and the nearest one suggested.
    """
    options = list(options)
    if value in options:
        return value
    from difflib import get_close_matches

    near = get_close_matches(str(value), options, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"unknown {name} {value!r}; expected one of {', '.join(options)}{hint}")


def finite(name: str, array: Any, mend: str = "drop or fill these values first") -> None:
    """Raise when an array holds NaN or infinity, naming how many and where the first one is."""
    array = np.asarray(array)
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f"the first at row {first[0]}" + (f", column {first[1]}" if len(first) > 1 else "")
        raise InputError(f"{name} has {int(bad.sum())} values that are NaN or infinite, {where}; {mend}")
