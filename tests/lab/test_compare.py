"""Comparing aligns two datasets; infinite and missing values are shown but not counted."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from solvable.errors import InputError
from solvable.lab import Agreement, Comparison, compare, mean_and_error


def _datasets(predicted, measured, n=(1, 2, 3), low=None, high=None):
    prediction = xr.Dataset({"mse": ("n", np.asarray(predicted, float))}, {"n": list(n)})
    if low is not None:
        prediction = prediction.assign(mse_low=("n", low), mse_high=("n", high))
    return prediction, xr.Dataset({"mse": (("trial", "n"), np.asarray(measured, float))}, {"n": list(n)})


def test_mean_error_and_interval():
    comparison = compare(
        *_datasets([1, 2, 4], [[1, 1, 4], [3, 3, 4]], low=[0, 0, 4.5], high=[3, 1, 5]), ["mse"]
    )
    table = comparison.table.set_index("n")
    np.testing.assert_allclose(table["measured"], [2, 2, 4])
    np.testing.assert_allclose(table["standard_error"], [1, 1, 0])
    np.testing.assert_allclose(table["relative_error"], [-0.5, 0, 0])
    np.testing.assert_allclose(table["standardized"], [-1, 0, np.nan])
    assert table["inside"].tolist() == [True, False, False]
    assert comparison.summary["mse"] == Agreement(3, 3, 0.0, 0.5, 1 / 3)


def test_infinite_and_missing_points_are_shown_and_not_counted():
    comparison = compare(*_datasets([1, np.inf, 3], [[1, 5, np.nan], [1, 6, np.nan]]), ["mse"])
    assert len(comparison.table) == 3
    assert comparison.table["counted"].tolist() == [True, False, False]
    assert comparison.summary["mse"].counted == 1
    assert "2 more without a finite value" in str(comparison.summary["mse"])
    nothing = compare(*_datasets([np.inf] * 3, [[1, 2, 3]]), ["mse"]).summary["mse"]
    assert nothing.counted == 0
    assert "none of 3 points" in str(nothing)


def test_a_trial_that_is_missing_is_left_out_of_the_mean():
    table = compare(*_datasets([1, 1, 1], [[1, 1, 1], [np.nan, 3, 1], [3, 2, 1]]), ["mse"]).table
    np.testing.assert_allclose(table["measured"], [2, 2, 1])
    np.testing.assert_allclose(table["standard_error"], [2**0.5 / 2**0.5, 1 / 3**0.5, 0])


def test_two_zeros_agree_and_one_trial_has_no_standard_error():
    table = compare(*_datasets([0, 1, 1], [[1e-25, 1, 2]]), ["mse"]).table
    np.testing.assert_allclose(table["relative_error"], [0, 0, -0.5])
    assert table["standard_error"].isna().all()
    assert table["standardized"].isna().all()


def test_a_prediction_may_be_on_a_finer_grid_and_in_another_order():
    prediction = xr.Dataset(
        {"mse": (("ridge", "n"), [[1.0, 2, 3], [4, 5, 6]])}, {"ridge": [0.0, np.inf], "n": [10, 20, 30]}
    )
    measurement = xr.Dataset(
        {"mse": (("trial", "n", "ridge"), [[[3.0, 6], [1, 4]]])}, {"n": [30, 10], "ridge": [0.0, np.inf]}
    )
    table = compare(prediction, measurement, ["mse"]).table
    assert len(table) == 4
    np.testing.assert_allclose(table["relative_error"], 0)
    assert table.columns[:3].tolist() == ["quantity", "ridge", "n"]


def test_quantities_over_different_dims_share_a_table():
    prediction = xr.Dataset({"a": ("n", [1.0, 2]), "b": ((), 3.0)}, {"n": [1, 2]})
    measurement = xr.Dataset({"a": (("n", "trial"), [[1.0], [2]]), "b": ("trial", [3.0])}, {"n": [1, 2]})
    table = compare(prediction, measurement, ["a", "b"]).table
    assert table["quantity"].tolist() == ["a", "a", "b"]
    assert table["n"].isna().tolist() == [False, False, True]


def test_rows_are_marked_where_an_interval_is_missed_and_only_there(tmp_path):
    prediction, measurement = _datasets([1, 2, 4], [[1, 2, 4.002]], low=[0, 2.5, 3], high=[3, 3, 5])
    both = [d.assign(plain=d["mse"]) for d in (prediction, measurement)]
    comparison = compare(*both, ["mse", "plain"])
    # A record reads its table back from CSV, where a missing truth value is an empty cell.
    comparison.table.to_csv(tmp_path / "table.csv", index=False)
    table = pd.read_csv(tmp_path / "table.csv", dtype={"inside": "boolean"})
    for again in (comparison, Comparison(table, comparison.summary)):
        _, heads, rows = again.rows("mse")
        assert heads == ["n", "predicted", "measured", "error", "interval"]
        assert [row["outside"] for row in rows] == [False, True, False]
        assert [row["cells"][3] for row in rows] == ["+0.0 %", "+0.0 %", "+0.0 %"]
        _, heads, rows = again.rows("plain")
        assert heads == ["n", "predicted", "measured", "error"]
        assert not any(row["outside"] for row in rows)


def test_datasets_that_cannot_be_compared():
    prediction, measurement = _datasets([1, 2, 3], [[1, 2, 3]])
    with pytest.raises(InputError, match="expected the same dims"):
        compare(prediction, measurement.isel(trial=0), ["mse"])
    with pytest.raises(InputError, match="no grid point in common"):
        compare(prediction, measurement.assign_coords(n=[7, 8, 9]), ["mse"])


def test_a_variable_that_one_side_lacks_is_a_sentence() -> None:
    prediction = xr.Dataset({"mse": ("n", [1.0])}, {"n": [1]})
    measurement = xr.Dataset({"rate": (("trial", "n"), [[1.0]])}, {"n": [1]})
    with pytest.raises(InputError, match="'mse' is not in the measurement; expected it in both"):
        compare(prediction, measurement, ["mse"])
    with pytest.raises(InputError, match="'rate' is not in the prediction"):
        compare(prediction, measurement, ["rate"])


def test_means_and_errors_ignore_missing_values() -> None:
    trials = xr.DataArray([[1.0, 1.0], [3.0, np.nan], [5.0, 3.0]], dims=("trial", "n"))
    mean, error = mean_and_error(trials)
    assert mean.values.tolist() == [3.0, 2.0]
    np.testing.assert_allclose(error, [2 / 3**0.5, 2**0.5 / 2**0.5])
    assert np.isnan(mean_and_error(trials.isel(trial=[0]))[1]).all()
