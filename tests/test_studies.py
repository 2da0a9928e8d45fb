"""The contract of every study: equal names in prediction and measurement, and reproducible records."""

import re
import shlex
from dataclasses import MISSING, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from solvable.errors import InputError
from solvable.lab import Record, run
from solvable.lab.mathml import formulas_in, to_mathml
from solvable.lab.parameters import parameter_fields
from solvable.lab.run import stacked
from solvable.lab.study import HEADLINE
from solvable.wings import WINGS, load_study, study_names
from strict_json import strict
from toy_wing.table import TOY

TABLE = WINGS if "toy" in study_names() else (*WINGS, *TOY)


@pytest.mark.parametrize("name", study_names(TABLE))
def test_a_study_keeps_the_contract(name: str, tmp_path: Path, command_line: Any) -> None:
    study = load_study(name, TABLE)
    tiny = study.tiny
    assert isinstance(tiny, study.Parameters)
    assert study.name == name

    # A run that is extended by further trials has bitwise the numbers of one that is measured without a store.
    run(study, replace(tiny, trials=1), runs_dir=tmp_path, quiet=True)
    record = run(study, tiny, runs_dir=tmp_path, quiet=True)
    setting = study.prepare(tiny)
    xr.testing.assert_identical(record.prediction, study.predict(tiny, setting))
    trials = [study.trial(tiny, setting, index) for index in range(tiny.trials)]
    xr.testing.assert_identical(record.measurement, stacked(trials))
    assert len(trials) > 1

    _check_sides(study, record)
    for kind in ("figure.svg", "figure.png", "report.html"):
        assert (record.path / kind).stat().st_size > 1000
    assert record.conclusion.strip().endswith(".")
    assert "nan" not in record.conclusion.lower().split()
    _check_headline(record.headline)
    assert record.equations == study.equations

    # The command in a report runs and finds the same record; --json prints JSON.
    words = shlex.split(record.command)[1:]
    code, out, err = command_line(*words, "--quiet", "--runs-dir", tmp_path, wings=TABLE)
    assert (code, out, err) == (0, f"{record.path}\n", "")
    code, out, _ = command_line("show", record.path, "--json", wings=TABLE)
    assert code == 0
    assert strict(out)["conclusion"] == record.conclusion


def _check_headline(headline: str) -> None:
    """Check that it can be read from afar: short, on one line, without a full stop."""
    assert 20 < len(headline) <= HEADLINE, headline
    assert headline == " ".join(headline.split())
    assert not headline.endswith(".")
    assert not {"nan", "inf", "none"} & set(re.findall(r"\w+", headline.lower())), headline


@pytest.mark.parametrize("name", study_names(TABLE))
def test_equations_can_be_set(name: str) -> None:
    """Reports show them as MathML, posters by typst, which is asked to show every formula."""
    typst, tylax = pytest.importorskip("typst"), pytest.importorskip("tylax")
    equations = load_study(name, TABLE).equations
    assert equations
    formulas = [part for text in equations for formula, part in formulas_in(text) if formula]
    assert all(text.count("$") % 2 == 0 for text in equations)
    assert formulas
    for formula in formulas:
        assert "<math" in to_mathml(formula)
        assert tylax.latex_to_typst_diagnostics(formula).warnings == []
    source = "\n".join(f"$ {tylax.latex_to_typst(formula)} $" for formula in formulas)
    assert typst.compile(source.encode(), format="svg")


def _check_sides(study: Any, record: Record) -> None:
    """Check that both sides have the compared variables, over the same dims, and share points of every axis."""
    compared = [name for name in study.compared if name in record.prediction]
    assert set(study.compared) - set(compared) <= {
        "error_rate",
        "sweep_infidelity",
    }  # numbers have none; left out
    for name in compared:
        predicted, measured = record.prediction[name], record.measurement[name]
        assert set(measured.dims) == {*predicted.dims, "trial"}, name
        for dim in predicted.dims:
            shared = np.intersect1d(predicted[dim].to_numpy(), measured[dim].to_numpy())
            assert len(shared), (name, dim)
        for end in ("low", "high"):
            if (bound := record.prediction.get(f"{name}_{end}")) is not None:
                assert bound.dims == predicted.dims
    assert set(record.comparison.summary) == set(compared)


def refusals() -> list[Any]:
    """Return invalid values for each field of each study."""
    cases = []
    for name in study_names(TABLE):
        study = load_study(name, TABLE)
        for field in parameter_fields(study.Parameters):
            value = getattr(study.tiny, field.name)
            if field.several:
                item = value[0] if len(value) else "a" if field.items is str else 80
                cases.append((name, field.name, (item, item), "twice"))
                cases.append((name, field.name, item, "must be a list"))
                if field.items is int:
                    cases += [(name, field.name, (wrong,), "whole number") for wrong in (2.5, 80.0)]
                if field.default is not MISSING and len(field.default):
                    cases.append((name, field.name, (), "is empty"))
            elif field.items is int:
                cases += [(name, field.name, wrong, "whole number") for wrong in (2.5, -1, "3")]
            elif field.items is float:
                cases += [(name, field.name, float("nan"), "got nan"), (name, field.name, "a", "one number")]
    return [pytest.param(*case, id=f"{case[0]}-{case[1]}-{case[2]}") for case in cases]


@pytest.mark.parametrize(("name", "field", "value", "words"), refusals())
def test_invalid_parameters_are_refused(name: str, field: str, value: Any, words: str) -> None:
    tiny = load_study(name, TABLE).tiny
    with pytest.raises(InputError, match=rf"^{field}.*{words}"):
        replace(tiny, **{field: value})


def test_a_field_with_a_unit_keeps_its_name_as_an_option(command_line: Any, tmp_path: Path) -> None:
    code, out, _ = command_line("run", "toy", "--help", wings=TABLE)
    assert code == 0
    assert "--B0-T" in out
    options = ("--B0-T", "0.5", "--trials", "1", "--json", "--runs-dir", tmp_path)
    code, out, _ = command_line("run", "toy", *options, wings=TABLE)
    assert code == 0
    facts = strict(out)
    assert facts["parameters"]["B0_T"] == 0.5
    assert facts["command"] == "solvable run toy --B0-T 0.5 --trials 1"
