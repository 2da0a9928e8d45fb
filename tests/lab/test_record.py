"""A record is a complete, self-explanatory folder that can be found again."""

import json
import re
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from solvable.errors import InputError
from solvable.lab import DamagedRecord, Record, Study, find_record, records, run
from solvable.lab.record import seal, write_json
from toy_wing.study import Parameters, study

FILES = {
    *(
        "record.json",
        "parameters.json",
        "environment.json",
        "prediction.nc",
        "measurement.nc",
        "comparison.csv",
    ),
    *("figure.svg", "figure.png", "report.html"),
}
MARKED_UP = Parameters(n_train=(8, 1_000), label="a <b>bold</b> word")


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def record(runs_dir):
    return run(study, MARKED_UP, runs_dir=runs_dir, quiet=True)


def test_folder(record):
    assert {path.name for path in record.path.iterdir()} == FILES
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{7}", record.name)
    assert record.path.parent.name == "toy"


def test_round_trip(record):
    again = Record.load(record.path)
    assert again.conclusion == record.conclusion
    assert again.parameters["n_train"] == [8, 1000]
    assert again.environment["python"]
    assert again.notes == ("draws are <independent>", "the interval is a guess")
    setting = study.prepare(Parameters())
    xr.testing.assert_identical(again.prediction, study.predict(Parameters(n_train=(8, 1_000)), setting))
    assert again.measurement.mse.dims == ("trial", "n_train", "sd")
    table = again.comparison.table
    assert table["inside"].dtype == pd.BooleanDtype()
    assert again.comparison.summary["mse"].points == len(table) == 4
    assert again.size == sum(path.stat().st_size for path in record.path.iterdir())


def test_figure_and_report_have_the_same_bytes_every_time(record, tmp_path):
    other = run(study, MARKED_UP, runs_dir=tmp_path, quiet=True)
    for name in ("figure.svg", "figure.png", "comparison.csv", "parameters.json"):
        assert (other.path / name).read_bytes() == (record.path / name).read_bytes()


def test_report(record):
    html = (record.path / "report.html").read_text()
    answer = "Twice the sample halves the error &amp; the theory"
    assert all(part in html for part in (study.title, study.question, answer, "<svg", record.key[:7]))
    assert "solvable run toy --n-train 8,1000 --label &#39;a &lt;b&gt;bold&lt;/b&gt; word&#39;" in html
    assert "draws are &lt;independent&gt;" in html
    outside = (~record.comparison.table["inside"]).sum()
    assert html.count('<tr class="outside">') == outside > 0
    assert "<script" not in html
    links = re.findall(r'(?:src|href|action|data)="([^"]*)"', html)
    assert [link for link in links if not link.startswith("#")] == ["https://arxiv.org/abs/1713.00001"]
    assert "url(http" not in html
    assert "@import" not in html


def test_a_report_shows_headline_and_formulas(record):
    html = (record.path / "report.html").read_text()
    assert record.headline == "Twice the sample halves the squared error of a mean & the theory says so"
    assert f'<p class="answer">{record.headline.replace("&", "&amp;")}</p>' in html
    assert '<p class="conclusion">Twice the sample halves the error &amp; the theory says so too (' in html
    assert record.equations == study.equations
    assert html.count("<math") == 2
    assert "squared error of the mean <math" in html
    assert f"<code>solvable poster {record.key[:7]}</code>" in html


def test_a_record_of_an_earlier_version_has_a_headline_but_no_equations(record, tmp_path):
    shutil.copytree(record.path, old := tmp_path / record.name)
    facts = json.loads((old / "record.json").read_text())
    del facts["headline"], facts["equations"], facts["sha256"]
    facts["conclusion"] = "The error is 0.5 (e.g. at n = 10). More data help."
    write_json(old / "record.json", facts)
    seal(old)
    loaded = Record.load(old)
    assert loaded.headline == "The error is 0.5 (e.g. at n = 10)."
    assert loaded.equations == ()


def test_a_record_may_lack_files_but_not_have_changed_ones(record, tmp_path):
    shutil.copytree(record.path, other := tmp_path / record.name)
    (other / "prediction.nc").unlink()
    with pytest.raises(DamagedRecord, match=r"prediction.nc is missing"):
        Record.load(other)
    assert Record.load(other, may_lack=("prediction.nc",)).key == record.key
    (other / "prediction.nc").write_bytes(b"changed")
    with pytest.raises(DamagedRecord, match=r"prediction.nc was changed"):
        Record.load(other, may_lack=("prediction.nc",))


def test_an_equal_run_is_found_and_reported(record, runs_dir, capsys):
    again = run(study, MARKED_UP, runs_dir=runs_dir)
    assert again.path == record.path
    err = capsys.readouterr().err
    assert "was finished on" in err
    assert f"solvable runs delete {record.name}" in err


def test_finding_records(record, runs_dir):
    other = run(study, Parameters(trials=1), runs_dir=runs_dir, quiet=True)
    (runs_dir / "toy" / "broken").mkdir(exist_ok=True)
    (runs_dir / "toy" / "broken" / "record.json").write_text("{}")
    assert [r.path for r in records(runs_dir)] == [record.path, other.path]
    for reference in ("latest", other.name, other.key[:7], f"toy/{other.name}", other.path, f"{other.path}/"):
        assert find_record(reference, runs_dir).path == other.path
    with pytest.raises(InputError, match="no record matches 'nope'; expected one of toy/"):
        find_record("nope", runs_dir)
    with pytest.raises(InputError, match="2 records match '2"):
        find_record(record.name[:4], runs_dir)
    with pytest.raises(InputError, match="there are no records"):
        find_record("latest", runs_dir / "elsewhere")
    with pytest.raises(InputError, match="holds no record"):
        Record.load(runs_dir)


def test_a_study_that_fails_leaves_nothing(tmp_path):
    def plot(prediction, measurement):
        raise RuntimeError("no ink")

    with pytest.raises(RuntimeError, match="no ink"):
        run(replace(study, plot=plot), Parameters(trials=1), runs_dir=tmp_path, quiet=True)
    assert records(tmp_path) == []
    assert list((tmp_path / "toy").iterdir()) == []


@dataclass(frozen=True)
class NoParameters:
    """A study without parameters has one trial."""


def test_the_smallest_study_and_infinite_values(tmp_path):
    from solvable.lab.figure import measured_points, prediction_line, subplots

    def predict(parameters, setting):
        return xr.Dataset({"mse": ("n", [np.inf, 0.5])}, {"n": [1, 2]})

    def plot(prediction, measurement):
        figure, ax = subplots()
        prediction_line(ax, prediction.n, prediction.mse)
        measured_points(ax, measurement.n, measurement.mse.mean("trial"))
        return figure

    smallest = Study(
        name="smallest",
        title="Smallest",
        paper="none",
        question="?",
        Parameters=NoParameters,
        tiny=NoParameters(),
        compared=("mse",),
        predict=predict,
        trial=lambda parameters, setting, index: xr.Dataset({"mse": ("n", [3.0, 0.5])}, {"n": [1, 2]}),
        plot=plot,
        conclude=lambda prediction, measurement, comparison: "Yes.",
    )
    record = run(smallest, runs_dir=tmp_path, quiet=True)
    assert record.comparison.summary["mse"].counted == 1
    assert record.measurement.sizes["trial"] == 1
    assert json.loads((record.path / "record.json").read_text())["summary"]["mse"]["coverage"] is None
    html = (record.path / "report.html").read_text()
    assert "∞" in html
    assert "Not counted" in html


@dataclass(frozen=True)
class OnByDefault:
    """No option can switch it off."""

    centred: bool = True
    """Centre the draws."""


def test_parameters_must_be_a_frozen_dataclass_without_flags_that_are_on():
    with pytest.raises(TypeError, match="'centred' is on by default"):
        replace(study, Parameters=OnByDefault)
    with pytest.raises(TypeError, match="frozen dataclass"):
        replace(study, Parameters=dict)
