"""The command line with the toy study: output, and error messages for bad input."""

import json
import re
import subprocess
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest

from solvable.cli import main
from solvable.errors import InputError
from solvable.lab.parameters import command_line, parameter_fields
from solvable.terminal import run as terminal_run
from solvable.wings import load_study
from toy_wing.study import Parameters
from toy_wing.table import TOY


@pytest.fixture
def solvable(command_line, tmp_path, monkeypatch):
    """Return a function that runs a command with the toy wing alone and returns exit code, stdout and stderr."""
    monkeypatch.setenv("SOLVABLE_RUNS", str(tmp_path / "runs"))
    return partial(command_line, wings=TOY)


def test_run_show_list_delete(solvable, tmp_path):
    code, out, err = solvable("run", "toy", "--n-train", "8,1e2", "--sd", "1", "--trials", "2", "--centred")
    assert (code, err) == (0, "")
    assert re.search(r"8 +0.125 +0.1\d+ ± 0.0\d+", out)
    assert "Twice the sample halves the error" in out
    report = Path(next(line for line in out.splitlines() if line.endswith("report.html")))
    assert report.is_file()
    name = report.parent.name
    assert solvable("show", "latest")[1] == out
    assert name in solvable("runs")[1]
    assert "2 trials" in solvable("runs")[1]
    assert solvable("runs", "open", name)[1].strip() == str(report.resolve())
    assert solvable("runs", "delete", name)[1].strip() == f"deleted {name}"
    assert not report.exists()
    assert "freed" in solvable("runs", "clear-cache")[1]
    assert "nothing in" in solvable("runs")[1]
    assert list((tmp_path / "runs").rglob("*.nc")) == []


def test_repeating_a_run_shows_its_record(solvable):
    first = solvable("run", "toy", "--trials", "1")
    second = solvable("run", "toy", "--trials", "1")
    assert second[1] == first[1]
    assert "was finished on" in second[2]


def test_json_and_quiet(solvable, tmp_path):
    code, out, err = solvable("run", "toy", "--trials", "2", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["parameters"]["trials"] == 2
    assert facts["summary"]["mse"]["counted"] == len(facts["comparison"]) == 6
    assert Path(facts["report"]).is_file()
    assert json.loads(solvable("show", "latest", "--json")[1]) == facts
    assert [study["name"] for study in json.loads(solvable("list", "--json")[1])] == ["toy"]
    runs = json.loads(solvable("runs", "--json")[1])
    assert runs["records"][0]["name"] == facts["name"]
    assert runs["cache"][0]["trials"] == 2
    assert json.loads(solvable("runs", "open", "latest", "--json")[1])["report"].endswith("report.html")
    assert solvable("run", "toy", "--trials", "2", "--quiet")[1:] == (f"{facts['path']}\n", "")
    assert solvable("list", "--quiet")[1] == "toy\n"
    assert solvable("runs", "--quiet")[1] == f"{facts['name']}\n"
    assert json.loads(solvable("runs", "delete", "latest", "--json")[1]) == {"deleted": [facts["name"]]}
    assert json.loads(solvable("runs", "clear-cache", "--json")[1])["freed_bytes"] > 0
    assert solvable("runs", "--quiet")[1] == ""


def test_runs_dir(solvable, tmp_path):
    solvable("run", "toy", "--trials", "1", "--runs-dir", str(tmp_path / "other"))
    assert len(list((tmp_path / "other").glob("toy/*/record.json"))) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("run toy --n-train 32 64", "unexpected '64'; write a list with commas and no spaces"),
        ("run toy 5", "unexpected '5'"),
        ("run toy --n-train 3.5", "'3.5' in the list; expected comma-separated whole numbers"),
        ("run toy --n-train 8,,9", "'' in the list"),
        ("run toy --n-train 8,9,8.0", "'8.0' is in the list twice; expected distinct values"),
        ("run toy --n-train inf", "'inf' in the list"),
        ("run toy --sd 1,x", "'x' in the list; expected comma-separated numbers"),
        ("run toy --n-train -3", "n_train must be a whole number of at least 1; got -3"),
        ("run toy --n-train --json", "'--json' in the list"),
        ("run toy --n-train 8 --n-train 9", "specified multiple times"),
        ("run toy --no-centred", "Unknown option"),
        ("run toy --centred yes", "unexpected 'yes'"),
        ("run toy --law poisson", 'Choose from: "normal", "uniform"'),
        ("run toy --trials", "requires an argument"),
        ("run toy --trials 0", "trials must be a whole number of at least 1; got 0"),
        (
            "run toy --n-jobs 0",
            "n_jobs must be a whole number of at least 1, or -1 for one on each core; got 0",
        ),
        ("run toy --frials 3", "Did you mean --trials?"),
        ("run toy --output.json", "Unknown option"),
        ("run nope", 'Unknown command "nope". Available commands: toy.'),
        ("nope", "Unknown command"),
        ("show", "requires an argument"),
        ("show latest", "there are no records in"),
        ("runs open latest", "there are no records in"),
        ("runs delete", "no record was named"),
        ("run toy --runs-dir /dev/null/x", "cannot keep trials in '/dev/null/x"),
        ("run toy --runs-dir /proc/x", "cannot "),
        ("run toy --trials 2.5", "'2.5'; expected a whole number"),
        ("run toy --n-jobs 1.5", "'1.5'; expected a whole number"),
        ("list toy", "unexpected 'toy'; see --help"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(solvable, tmp_path, tokens, sentence):
    code, out, err = solvable(*tokens.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "tokens",
    [
        "diagnose wine --random-state 1.9",
        "diagnose wine --random-state nan",
        "diagnose wine --random-state 1e400",
        "noise-profile wine --trials 2.9",
        "noise-profile wine --rows 99.5",
        "activations design 0,1,1 --width 9.9",
        "activations design 0,1,1 --degree 2.6",
        "app --port 80.5",
    ],
)
def test_a_fraction_is_no_whole_number(command_line, tokens):
    *_, value = tokens.split()
    code, out, err = command_line(*tokens.split())
    assert (code, out) == (2, "")
    assert f"{value!r}; expected a whole number" in err


def test_a_long_whole_number_keeps_its_digits(command_line, monkeypatch):
    seeds = []

    def run(*_, random_state, **__):
        seeds.append(random_state)
        raise InputError("seen")

    monkeypatch.setattr("solvable.regression.command.datasets.load", run)
    for word in ("9007199254740993", "1e3"):
        assert command_line("diagnose", "wine", "--random-state", word)[0] == 2
    assert seeds == [9007199254740993, 1000]


def test_numbers_are_not_cut_in_a_narrow_terminal(solvable, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    _, out, _ = solvable("run", "toy", "--n-train", "1000", "--sd", "1e-9", "--trials", "2")
    (row,) = (line for line in out.splitlines() if "e-22 ± " in line or "e-21 ± " in line)
    assert row.split()[0] == "1000"
    assert "…" not in row.replace(" … ", "")


def test_a_file_is_no_folder_of_records(solvable, tmp_path):
    (tmp_path / "table.csv").touch()
    code, out, err = solvable("runs", "--runs-dir", "table.csv")
    assert (code, out) == (2, "")
    assert "'table.csv' is a file; expected the folder of the records" in err


def test_an_interrupt_before_any_trial_promises_nothing(command_line, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("toy_wing.study.measured_squared_errors", interrupted)
    code, _, err = command_line("run", "toy", "--n-jobs", "1", "--quiet", wings=TOY)
    assert (code, err) == (130, "interrupted\n")


def test_deleting_with_a_typo_deletes_nothing(solvable):
    path = Path(json.loads(solvable("run", "toy", "--trials", "1", "--json")[1])["path"])
    assert solvable("runs", "delete", "latest", "typo")[0] == 2
    assert path.exists()


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ("--help", ["list", "run", "show", "runs", "solvable run"]),
        ("run --help", ["toy", "Finished trials are kept"]),
        (
            "run toy --help",
            ["Sample sizes, comma-separated.", "[default: 8,32,128]", "solvable run toy --n-train"],
        ),
        ("show --help", ["latest", "solvable show latest"]),
        ("runs --help", ["clear-cache", "delete", "open", "solvable runs"]),
        ("runs delete --help", ["solvable runs delete"]),
        ("list --help", ["solvable list"]),
    ],
)
def test_help_teaches_with_an_example(solvable, tokens, words):
    code, out, _ = solvable(*tokens.split())
    assert code == 0
    for word in [*words, "Example: "]:
        assert word in out
    if tokens != "--help" and tokens != "run --help":
        assert all(option in out for option in ("--json", "--quiet", "--runs-dir"))
    assert "--no-" not in out


def test_every_field_is_an_option_with_help(solvable):
    out = solvable("run", "toy", "--help")[1]
    for field in parameter_fields(Parameters):
        assert field.option in out
        assert field.help
    assert len(parameter_fields(Parameters)) == len(fields(Parameters))


def test_command_line_leads_back_to_the_parameters(monkeypatch):
    import shlex

    original = Parameters(n_train=(4,), sd=(0.5, float("inf")), centred=True, label="two words", trials=3)
    words = shlex.split(command_line("toy", original))
    assert words[:3] == ["solvable", "run", "toy"]
    calls = []

    def stop(study, parameters, **options):
        calls.append(parameters)
        raise InputError("stopped")

    monkeypatch.setattr(terminal_run, "run", stop)
    with pytest.raises(SystemExit):
        main(words[1:], wings=TOY)
    assert calls == [original]
    assert command_line("toy", Parameters()) == "solvable run toy"


def test_studies_of_a_table_are_found_by_name():
    assert load_study("toy", TOY).name == "toy"
    with pytest.raises(InputError, match="unknown study 'top'; expected one of toy; did you mean 'toy'"):
        load_study("top", TOY)


def test_an_internal_error_keeps_its_traceback(monkeypatch, tmp_path):
    from dataclasses import replace

    import toy_wing.study

    def predict(parameters, setting):
        raise ValueError("a mistake in the code")

    monkeypatch.setattr(toy_wing.study, "study", replace(toy_wing.study.study, predict=predict))
    with pytest.raises(ValueError, match="a mistake in the code"):
        main(["run", "toy", "--quiet", "--runs-dir", str(tmp_path)], wings=TOY)


def test_the_module_starts_without_heavy_imports():
    code = (
        "import sys; from solvable.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = 'matplotlib', 'torch', 'xarray', 'pandas', 'sklearn', 'scipy'\n"
        "print([module for module in heavy if module in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")
    command = [sys.executable, "-m", "solvable", "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", version.strip())
