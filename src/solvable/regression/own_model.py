"""Measured errors of the user's own model beside those of the kernel: which needs less data, and by what factor."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import numbers
from solvable.datasets.files import LONGEST_PATH, existing_file
from solvable.errors import InputError
from solvable.streams import short

if TYPE_CHECKING:
    import xarray as xr


def lay_over(
    curve: "xr.Dataset",
    forecast: "Callable[[ArrayLike], xr.Dataset]",
    name: str,
    n_train: ArrayLike,
    error: ArrayLike,
) -> "xr.Dataset":
    """Return measured errors beside the kernel's; see `DiagnosisNumbers.with_measured`.

    Args:
        curve: the kernel's learning curve.
        forecast: returns the kernel's errors at given sizes.
        name: of the measure.
        n_train: sizes of the model's training sets, `(m,)`.
        error: its test errors, `(m,)`, above 0.
    """
    import xarray as xr

    sizes, errors = numbers("n_train", n_train, above=0.0), numbers("error", error, above=0.0)
    if sizes.ndim != 1 or sizes.shape != errors.shape or not np.isfinite([sizes, errors]).all():
        raise InputError(
            f"n_train has shape {sizes.shape} and error {errors.shape}; expected one finite error for each size"
        )
    if name == "error_rate":
        check_share(float(errors.max()))
    order = np.argsort(sizes, kind="stable")
    sizes, errors = sizes[order], errors[order]
    equal = np.array([first_below(curve, name, value) for value in errors])
    equal[equal <= float(curve.n_train[0])] = np.nan  # fewer samples than the curve's first size
    columns = {
        "error": errors,
        "kernel_error": forecast(sizes)[name].to_numpy(),
        "equal_n": equal,
        "data_factor": equal / sizes,
    }
    variables = {key: ("n_train", values) for key, values in columns.items()}
    return xr.Dataset(variables, {"n_train": sizes}, attrs={"measure": name})


# Ten thousands of measurements; a line of any length would fill the memory.
_MOST_BYTES = 10**6


def read_measured(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sizes and errors from a CSV file of two columns, with or without a header.

    Raises:
        InputError: when there is no such file, or its content is something else.
    """
    import pandas as pd

    description = "a CSV of two columns, n and error, one row for each measurement"
    expected, name = f"expected {description}", short(path, LONGEST_PATH)
    path = existing_file(path, name, description)
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise InputError(f"{name!r} has {size} bytes, more than {_MOST_BYTES}; {expected}")
    try:
        table = pd.read_csv(path, header=None, comment="#", skip_blank_lines=True)
    except (ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name!r} cannot be read ({reason}); {expected}") from None
    if table.shape[1] != 2:
        raise InputError(f"{name!r} has {table.shape[1]} columns; {expected}")
    values: Any = table.apply(pd.to_numeric, errors="coerce")
    if values.iloc[0].isna().all():
        values = values.iloc[1:]
    if values.empty or values.isna().to_numpy().any():
        raise InputError(f"{name!r} has values that are not numbers, or none; {expected}")
    return values[0].to_numpy(dtype=float), values[1].to_numpy(dtype=float)


def check_share(rate: float) -> None:
    """Raise for an error rate that looks like a percentage."""
    if rate > 1.0:
        raise InputError(f"the error rate is {rate:g}; expected at most 1: divide percentages by 100")


def first_below(curve: "xr.Dataset", name: str, level: float) -> float:
    """Return the size at which a curve first falls to a level, interpolated in logarithms; `inf` if it never does."""
    sizes, values = np.log(curve.n_train.to_numpy()), curve[name].to_numpy()
    below = np.flatnonzero(values <= level)
    if not len(below):
        return np.inf
    i = int(below[0])
    if i == 0:
        return float(np.exp(sizes[0]))
    before, after = np.log(values[i - 1]), np.log(max(values[i], 1e-300))
    share = (before - np.log(level)) / (before - after) if np.isfinite(before) else 1.0
    return float(np.exp(sizes[i - 1] + share * (sizes[i] - sizes[i - 1])))
