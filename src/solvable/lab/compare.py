"""Compare a prediction with a measurement, grid point by grid point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.lab.text import percent, readable, with_error

# Two values below this fraction of the largest measured one both count as zero: a training error at interpolation
# is 0 in theory and 1e-30 in floating point, which is agreement, not an error of 100 %.
ZERO = 1e-10


@dataclass(frozen=True)
class Agreement:
    """Accuracy of the prediction of one quantity over its grid points.

    Attributes:
        points: number of grid points.
        counted: number of points with finite prediction and measurement, which the statistics below cover.
        median_error: median of |relative error|, dimensionless; NaN if no point is counted.
        max_error: largest |relative error|.
        coverage: fraction of measured means inside the predicted interval; None without an interval.
    """

    points: int
    counted: int
    median_error: float
    max_error: float
    coverage: float | None

    def __str__(self) -> str:
        if not self.counted:
            return f"none of {self.points} points has a finite prediction and a finite measurement"
        text = f"median error {percent(self.median_error, decimals=1)}, largest {percent(self.max_error, decimals=1)}, "
        text += "at the one point" if self.counted == 1 else f"over {self.counted} points"
        if self.counted < self.points:
            text += f" ({self.points - self.counted} more without a finite value)"
        if self.coverage is not None:
            text += f"; {percent(self.coverage, decimals=0)} of the measured values lie inside the predicted interval"
        return text


@dataclass(frozen=True, eq=False)
class Comparison:
    """A prediction next to its measurement.

    Attributes:
        table: one row per grid point and quantity: `quantity`, the grid's coordinates, `predicted`, `low`,
            `high` (NaN without an interval), `measured` (mean over trials), `standard_error`,
            `relative_error` ((predicted - measured) / |measured|), `standardized` ((predicted - measured) /
            standard error), `inside` (missing without an interval), `counted`.
        summary: an `Agreement` for each quantity.
    """

    table: pd.DataFrame
    summary: Mapping[str, Agreement]

    def rows(self, quantity: str) -> tuple[str, list[str], list[dict[str, Any]]]:
        """Return the rows of one quantity, formatted for display.

        Returns:
            the coordinates that are the same in every row (`n_features = ∞`; may be empty), the column headings, and
            the rows: `cells`, a string per column, and the flags `outside` and `counted`.
        """
        table: Any = self.table[self.table["quantity"] == quantity]
        columns = list(table.columns)
        dims = [dim for dim in columns[1 : columns.index("predicted")] if table[dim].notna().any()]
        constant = [dim for dim in dims if len(table) > 1 and table[dim].nunique() == 1]
        varying = [dim for dim in dims if dim not in constant]
        has_interval = table["inside"].notna().any()
        heads = [*varying, "predicted", "measured", "error", *(["interval"] if has_interval else [])]
        rows = []
        for row in table.to_dict("records"):
            cells = [readable(row[dim]) for dim in varying] + [readable(row["predicted"])]
            is_zero = abs(row["measured"]) <= ZERO * np.abs(table["measured"]).max()
            cells.append("≈ 0" if is_zero else with_error(row["measured"], row["standard_error"]))
            error = percent(row["relative_error"], decimals=1, signed=True)
            cells.append(error if row["counted"] else "not counted")
            outside = bool(row["counted"] and pd.notna(row["inside"]) and not row["inside"])
            if has_interval:
                mark = "outside " if outside else ""
                cells.append(f"{mark}{readable(row['low'], 3)} … {readable(row['high'], 3)}")
            rows.append({"cells": cells, "outside": outside, "counted": bool(row["counted"])})
        return ", ".join(f"{dim} = {readable(table[dim].iloc[0])}" for dim in constant), heads, rows


def compare(prediction: xr.Dataset, measurement: xr.Dataset, compared: Sequence[str]) -> Comparison:
    """Compare two datasets at the grid points they share.

    Args:
        prediction: variables over any dims; `<name>_low` and `<name>_high` are the interval of a variable.
        measurement: the same variables over the same dims and `trial`.
        compared: names of the variables to compare; those that neither dataset has are skipped.

    Raises:
        InputError: if only one dataset has a variable, or if they have different dims or no grid point in common.

    >>> prediction = xr.Dataset({"mse": ("n_train", [1.0, 0.5])}, {"n_train": [10, 20]})
    >>> trials = (("trial", "n_train"), [[0.9, 0.5], [1.1, 0.6]])
    >>> measurement = xr.Dataset({"mse": trials}, {"n_train": [10, 20]})
    >>> comparison = compare(prediction, measurement, ["mse"])
    >>> comparison.table[["n_train", "predicted", "measured", "relative_error"]].round(3)
       n_train  predicted  measured  relative_error
    0       10        1.0      1.00           0.000
    1       20        0.5      0.55          -0.091
    >>> print(comparison.summary["mse"])
    median error 4.5 %, largest 9.1 %, over 2 points
    """
    compared = [name for name in compared if name in prediction or name in measurement]
    tables = [_quantity(prediction, measurement, name) for name in compared]
    summary = {name: _agreement(table) for name, table in zip(compared, tables, strict=True)}
    table: Any = pd.concat(tables, ignore_index=True)
    dims = [column for column in table if column not in _COLUMNS]
    return Comparison(table[["quantity", *dims, *_COLUMNS[1:]]], summary)


def mean_and_error(trials: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the mean over the dim `trial` and its standard error, ignoring NaN; with one trial the error is NaN.

    >>> mean, error = mean_and_error(xr.DataArray([1.0, 3.0], dims="trial"))
    >>> float(mean), float(error)
    (2.0, 1.0)
    """
    mean = trials.mean("trial")
    if trials.sizes["trial"] < 2:
        return mean, xr.full_like(mean, np.nan, dtype=float)
    return mean, trials.std("trial", ddof=1) / np.sqrt(trials.count("trial"))


_COLUMNS = (
    *("quantity", "predicted", "low", "high", "measured", "standard_error"),
    *("relative_error", "standardized", "inside", "counted"),
)


def _quantity(prediction: xr.Dataset, measurement: xr.Dataset, name: str) -> pd.DataFrame:
    """Return the table rows of one quantity."""
    for one, other in ((prediction, "prediction"), (measurement, "measurement")):
        if name not in one:
            raise InputError(
                f"{name!r} is not in the {other}; expected it in both prediction and measurement"
            )
    predicted, trials = prediction[name], measurement[name]
    dims = [str(dim) for dim in predicted.dims]
    if set(trials.dims) != {*dims, "trial"}:
        raise InputError(
            f"{name!r} is predicted over {predicted.dims} and measured over {trials.dims}; expected the same "
            "dims, and 'trial' in the measurement"
        )
    unknown = xr.full_like(predicted, np.nan, dtype=float)
    low, high = (prediction.get(f"{name}_{side}", unknown) for side in ("low", "high"))
    aligned = xr.align(predicted, low, high, *mean_and_error(trials), join="inner", copy=False)
    if aligned[0].size == 0:
        raise InputError(f"prediction and measurement of {name!r} have no grid point in common")
    names = ("predicted", "low", "high", "measured", "standard_error")
    flat = {
        key: a.transpose(*dims).to_numpy().astype(float).ravel()
        for key, a in zip(names, aligned, strict=True)
    }
    coordinates = np.meshgrid(*(aligned[0][dim].to_numpy() for dim in dims), indexing="ij")
    grid = {dim: values.ravel() for dim, values in zip(dims, coordinates, strict=True)}
    return pd.DataFrame({"quantity": name, **grid, **flat, **_error_columns(**flat)})


def _error_columns(
    predicted: NDArray, low: NDArray, high: NDArray, measured: NDArray, standard_error: NDArray
) -> dict[str, Any]:
    """Return the columns for the difference between prediction and measurement."""
    finite = np.isfinite(predicted) & np.isfinite(measured)
    zero = ZERO * np.max(np.abs(measured[finite]), initial=0.0)
    both_zero = finite & (np.abs(predicted) <= zero) & (np.abs(measured) <= zero)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Against a measurement that is only rounding error there is no relative error; the point is not counted.
        scale = np.where(np.abs(measured) <= zero, 0.0, np.abs(measured))
        relative = np.where(both_zero, 0.0, (predicted - measured) / scale)
        standardized = (predicted - measured) / standard_error
    inside = pd.array((low <= measured) & (measured <= high), dtype="boolean")
    inside[np.isnan(low) | np.isnan(high) | np.isnan(measured)] = pd.NA
    return {
        "relative_error": np.where(finite, relative, np.nan),
        "standardized": np.where(finite & np.isfinite(standardized), standardized, np.nan),
        "inside": inside,
        "counted": finite & np.isfinite(relative),
    }


def _agreement(table: Any) -> Agreement:
    counted = table[table["counted"]]
    errors = counted["relative_error"].abs()
    covered = None if counted["inside"].isna().all() else float(counted["inside"].mean())
    return Agreement(len(table), len(counted), float(errors.median()), float(errors.max()), covered)
