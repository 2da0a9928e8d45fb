"""Errors of a model of the user's own, laid over a diagnosis: which needs fewer data, by what factor."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.errors import InputError, numbers

if TYPE_CHECKING:
    import xarray as xr

    from solvable.regression.diagnose import Diagnosis


def lay_over(
    diagnosis: "Diagnosis", n_train: ArrayLike, error: ArrayLike, measure: str | None = None
) -> "xr.Dataset":
    """Return measured errors beside the kernel's; see `Diagnosis.with_measured`."""
    import xarray as xr

    from solvable.regression.diagnose import first_below

    name = diagnosis.measure_named(measure)
    sizes, errors = numbers("n_train", n_train, above=0.0), numbers("error", error, above=0.0)
    if sizes.ndim != 1 or sizes.shape != errors.shape or not np.isfinite([sizes, errors]).all():
        raise InputError(
            f"n_train has shape {sizes.shape} and error {errors.shape}; expected one finite error for each size"
        )
    if name == "error_rate" and errors.max() > 1.0:
        raise InputError(
            f"the largest error rate is {errors.max():g}; expected shares from 0 to 1: divide percentages by 100"
        )
    order = np.argsort(sizes, kind="stable")
    sizes, errors = sizes[order], errors[order]
    kernel_error = diagnosis.forecast(sizes)[name].to_numpy()
    equal = np.array([first_below(diagnosis.curve, name, value) for value in errors])
    return xr.Dataset(
        {
            "error": ("n_train", errors),
            "kernel_error": ("n_train", kernel_error),
            "equal_n": ("n_train", equal),
            "data_factor": ("n_train", equal / sizes),
        },
        {"n_train": sizes},
        attrs={"measure": name},
    )


def read_measured(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sizes and errors from a CSV file of two columns, with a header or without.

    Raises:
        InputError: when there is no such file, or it holds something else.
    """
    import pandas as pd

    expected = "expected a CSV of two columns, n and error, one row for each measurement"
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}; {expected}")
    try:
        table = pd.read_csv(path, header=None, comment="#", skip_blank_lines=True)
    except (ValueError, OSError) as problem:
        raise InputError(
            f"{str(path)!r} cannot be read ({str(problem).strip().splitlines()[0]}); {expected}"
        ) from None
    if table.shape[1] != 2:
        raise InputError(f"{str(path)!r} has {table.shape[1]} columns; {expected}")
    values: Any = table.apply(pd.to_numeric, errors="coerce")
    if values.iloc[0].isna().all():
        values = values.iloc[1:]
    if values.empty or values.isna().to_numpy().any():
        raise InputError(f"{str(path)!r} has values that are not numbers, or none; {expected}")
    return values[0].to_numpy(dtype=float), values[1].to_numpy(dtype=float)
