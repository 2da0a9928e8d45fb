"""The study from end to end, at a small size, on scikit-learn's data and on files of the user's own."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.datasets import load_diabetes

from solvable.errors import InputError
from solvable.lab import compare, run
from solvable.regression.study import Parameters, study

SMALL = {"n_sample": 300, "n_train": (32, 128, 512), "ridge": (0.0, 1.0), "trials": 3}

CommandLine = Callable[..., tuple[int, str, str]]


def test_predicts_digits_within_the_claimed_error(tmp_path: Path) -> None:
    record = run(study, Parameters(**SMALL), runs_dir=tmp_path, quiet=True)
    summary = record.comparison.summary
    assert summary["test_mse"].median_error < 0.06
    assert summary["test_mse"].coverage >= 0.8
    assert summary["plug_in_test_mse"].max_error > 3 * summary["test_mse"].max_error
    for name in ("figure.png", "figure.svg", "report.html", "comparison.csv"):
        assert (record.path / name).stat().st_size > 1000
    table = pd.read_csv(record.path / "comparison.csv")
    assert {"test_mse", "error_rate", "train_mse", "plug_in_test_mse"} == set(table.quantity)
    assert "with 3000 points (90 % interval" in record.conclusion
    assert "always predicting the mean gives 0.9" in record.conclusion.replace("0.89", "0.9")
    report = (record.path / "report.html").read_text()
    assert "Laplace(length_scale=" in report
    assert "solvable run regression" in report


def test_random_features_over_the_peak(tmp_path: Path) -> None:
    parameters = Parameters(
        kernel="arc-cosine",
        n_sample=500,
        n_train=(64,),
        n_features=(32, 64, 128, 256, 512),
        ridge=(1e-3,),
        trials=3,
    )
    record = run(study, parameters, runs_dir=tmp_path, quiet=True)
    predicted = record.prediction.test_mse.sel(n_features=list(parameters.n_features)).squeeze()
    measured = record.measurement.test_mse.mean("trial").squeeze()
    assert int(predicted.argmax("n_features")) == int(measured.argmax("n_features")) == 1


def test_number_as_target_from_a_file(tmp_path: Path, command_line: CommandLine) -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X.assign(progress=y).to_csv(tmp_path / "diabetes.csv", index=False)
    code, out, err = command_line(
        *("run", "regression", "--data", "diabetes.csv", "--target", "progress", "--kernel", "gaussian"),
        *("--n-train", "32,128", "--ridge", "1,10", "--trials", "2", "--json"),
    )
    assert code == 0, err
    assert json.loads(out)["summary"]["test_mse"]["median_error"] < 0.25


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--data", "missing.csv"), "no file 'missing.csv'"),
        (("--data", "table.csv", "--target", "colour"), "colour"),
        (("--data", "holes.csv"), "missing"),
        (("--data", "one.csv"), "one"),
        (("--data", "constant.csv"), "constant|same"),
        (("--data", "text.csv"), "name"),
        (("--n-train", "5000"), "5000 is too large"),
        (("--ridge", "-1"), "ridge must be at least 0; got -1"),
        (("--ridge", "inf"), "finite"),
        (("--trials", "0"), "trials"),
        (("--trials", "2.5"), "2.5"),
        (("--n-features", "64.5"), "whole numbers"),
        (("--n-sample", "1700"), "1700 is too large"),
        (("--forecast", "inf"), "forecast must be at least 1 and at most"),
        (("--data", "table.csv", "--n-sample", "10"), "at least 20"),
        (("--n-sample", "5"), "n_sample must be a whole number of at least 20; got 5"),
        (("--kernel", "laplac"), "did you mean 'laplace'"),
        (("--n-train", "32", "64"), "64"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(
    words: tuple[str, ...], sentence: str, tmp_path: Path, command_line: CommandLine
) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "target"])
    table.to_csv(tmp_path / "table.csv", index=False)
    table.mask(table > 2).to_csv(tmp_path / "holes.csv", index=False)
    table[:1].to_csv(tmp_path / "one.csv", index=False)
    table.assign(target=1.0).to_csv(tmp_path / "constant.csv", index=False)
    table.assign(name="x" + table.a.astype(str)).to_csv(tmp_path / "text.csv", index=False)
    code, out, err = command_line("run", "regression", *words)
    assert (code, out) == (2, "")
    assert re.search(sentence, " ".join(err.split())), err


def test_parameters_are_checked() -> None:
    with pytest.raises(InputError, match="n_train must be a whole number of at least 1"):
        Parameters(n_train=(10.5,))  # pyright: ignore[reportArgumentType]


def test_tests_only_on_points_that_the_prediction_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from solvable.regression import study as module

    parameters = Parameters(n_sample=1200, n_train=(64, 1500), ridge=(1.0,))
    setting = module.prepare(parameters)
    seen = []
    original = module.trial_errors

    def watched(kernel, X, y, gram, train, test, *rest):
        seen.append((train, test))
        return original(kernel, X, y, gram, train, test, *rest)

    monkeypatch.setattr(module, "trial_errors", watched)
    for index in range(2):
        module.trial(parameters, setting, index)
    for train, test in seen:
        assert test.min() >= setting.n_sample
        assert len(test) == len(setting.X) - 1500
        assert len(np.intersect1d(train, test)) == 0
        assert len(np.unique(train)) == 1500
    assert (seen[0][1] != seen[1][1]).any()


def test_nothing_learned_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(300, 4)), columns=list("abcy"))
    table.to_csv(tmp_path / "noise.csv", index=False)
    parameters = Parameters(
        data=str(tmp_path / "noise.csv"), n_train=(32, 128), ridge=(10.0,), trials=2, forecast=(600,)
    )
    record = run(study, parameters, runs_dir=tmp_path, quiet=True)
    assert "nothing is learned from 150 points" in record.conclusion
    assert record.headline.startswith("From 150 labels this kernel learns nothing")
    assert "with 600 points" in record.conclusion


def test_duplicates_are_said_once_and_in_the_notes(tmp_path: Path, command_line: CommandLine) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(80, 3)), columns=["a", "b", "target"])
    pd.concat([table, table[:30]]).to_csv(tmp_path / "twice.csv", index=False)
    command = ("run", "regression", "--data", "twice.csv", "--trials", "1", "--n-train", "32")
    code, out, _ = command_line(*command)  # a warning would be an error here
    assert code == 0
    said = " ".join(out.split())
    assert "30 of 110 rows of X are duplicates" in said
    assert "repeated rows are kept once, which leaves 80 points" in said
    assert "From one sample of 40 labelled points" in said


def test_forecast_below_the_sample(tmp_path: Path) -> None:
    parameters = Parameters(n_sample=300, n_train=(64,), ridge=(0.0,), trials=2, forecast=(200, 1000))
    record = run(study, parameters, runs_dir=tmp_path, quiet=True)
    assert "300 points the best ridge is 0" in record.conclusion
    assert "with 200 points" in record.conclusion
    assert "with 1000 points" in record.conclusion


def test_the_headline_says_what_the_forecast_buys(tmp_path: Path) -> None:
    parameters = Parameters(n_sample=300, n_train=(64,), ridge=(0.0,), trials=2, forecast=(200, 1000))
    record = run(study, parameters, runs_dir=tmp_path, quiet=True)
    facts = record.prediction.attrs
    error = dict(zip(facts["forecast_n_train"], facts["forecast_test_mse"], strict=True))
    saved = round(100 * (error[300] - error[1000]) / error[300])
    assert record.headline.startswith(
        f"1000 labels in place of 300 would lower the test error by {saved} %, at"
    )
    off = np.median(np.abs(record.comparison.table.query("quantity == 'test_mse'").relative_error))
    assert float(record.headline.split()[-2]) == pytest.approx(100 * off, rel=0.05)
    assert study.headline is not None
    # No size beyond the sample, and a prediction that is nowhere finite.
    facts |= {
        name: facts[name][:2] for name in facts if name.startswith("forecast_") and np.ndim(facts[name])
    }
    unknown = xr.full_like(record.measurement, np.nan)
    text = study.headline(record.prediction, unknown, compare(record.prediction, unknown, study.compared))
    share = 100 * (1 - error[300] / facts["mean_answer_mse"])
    ridge = f"{facts['forecast_ridge'][1]:.2g}"
    assert text.startswith(f"The best ridge for 300 labels is {ridge}: its test error is {share:.0f} % below")
    assert text.endswith("that of the mean answer")
