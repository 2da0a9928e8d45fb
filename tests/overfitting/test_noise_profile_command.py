"""`solvable noise-profile`: what it prints, writes and keeps, and the sentence for each bad input."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine

from solvable.overfitting.noise_profile import NoiseProfile
from solvable.terminal.estimator import params_from
from strict_json import strict

NEAREST = ("--estimator", "sklearn.neighbors:KNeighborsClassifier", "--params", "n_neighbors=1")
QUICK = ("--rows", "600", "--trials", "3", "--noise-levels", "0.1,0.2", "--train-sizes", "40,100,200,400")


@pytest.fixture
def solvable(command_line):
    """Return a function that runs `solvable` in a folder of its own: exit code, stdout and stderr."""
    return lambda *tokens, name="noise-profile": command_line(name, *tokens)


def test_the_nearest_neighbour_in_full(solvable, tmp_path: Path) -> None:
    words = ("digits", *NEAREST, *QUICK)
    code, out, err = solvable(*words, "--figure", "f.png", "--save", "p.nc")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert "Data: digits, 1797 rows" in text
    assert "Noise profile of KNeighborsClassifier(n_neighbors=1)" in text
    assert "Verdict at 20 % noise" in text
    assert "600 of 1797 rows, drawn at random (stratified by class)" in text
    assert "one-hot" not in text
    assert "written: f.png, p.nc" in text
    assert (tmp_path / "f.png").read_bytes()[:4] == b"\x89PNG"
    kept = NoiseProfile.load("p.nc")
    assert any("drawn at random" in note for note in kept.notes)
    # The same trials again, from the cache; nothing is measured anew.
    trials = {path: path.stat().st_mtime_ns for path in Path("runs/.cache/noise-profile").glob("*/trial-*")}
    assert len(trials) == 36
    code, out, err = solvable(*words, "--json")
    assert (code, err) == (0, "")
    facts = strict(out)
    assert {path: path.stat().st_mtime_ns for path in trials} == trials
    assert (facts["n_classes"], facts["n_test"], facts["n_trials"], facts["judged_at"]) == (10, 120, 3, 0.2)
    assert facts["regime"] == facts["verdict"]["regime"] == kept.verdict().regime
    assert facts["verdict"]["floor_interval"][0] == pytest.approx(kept.verdict().floor_interval[0])
    table = [row for row in facts["profile"] if row["noise_level"] == 0.2]
    np.testing.assert_allclose([row["sensitivity"] for row in table], kept.sensitivity.sel(noise_level=0.2))
    assert facts["profile"][0]["sensitivity"] is None
    assert len(facts["cleaning_gain"]) == 4
    code, out, err = solvable(*words, "--quiet", "--judge-at", "0.1", "--strict")
    assert (code, out, err) == (0, f"{kept.verdict(0.1, strict=True).regime}\n", "")
    # The command that lists caches counts these too, and the one that deletes them does.
    assert re.search(r"cache noise-profile: 36 trials, ", solvable(name="runs")[1])
    assert solvable("clear-cache", name="runs")[0] == 0
    assert not Path("runs/.cache").exists()


def test_the_default_estimator_by_task(solvable) -> None:
    words = (
        "--params",
        "n_estimators=3",
        "--trials",
        "1",
        "--train-sizes",
        "40",
        "--noise-levels",
        "0.2",
        "--json",
    )
    wine = load_wine(as_frame=True).frame
    wine["target"] = np.array(["dry", "half", "sweet"])[wine.target]
    wine.to_csv("wine.csv", index=False)
    facts = strict(solvable("wine.csv", *words)[1])
    assert (facts["estimator"], facts["n_classes"]) == ("RandomForestClassifier(n_estimators=3)", 3)
    facts = strict(solvable("diabetes", *words)[1])
    assert (facts["estimator"], facts["n_classes"]) == ("RandomForestRegressor(n_estimators=3)", None)
    assert facts["loss"] == "squared"
    assert facts["regime"] == "undecided"
    # Labels of digits are the digits, whatever the encoding inside.
    facts = strict(solvable("wine.csv", "--target", "alcohol", *words)[1])
    assert facts["n_classes"] is None


def test_the_level_to_judge_by_is_measured_beside_the_default_ones(solvable) -> None:
    words = ("--trials", "1", "--train-sizes", "40", "--json")

    def measured(data: str, level: str, name: str = "neighbors:KNeighborsClassifier") -> tuple[list, float]:
        code, out, err = solvable(data, "--estimator", f"sklearn.{name}", "--judge-at", level, *words)
        assert (code, err) == (0, "")
        facts = strict(out)
        return [row["noise_level"] for row in facts["profile"]], facts["judged_at"]

    assert measured("digits", "0.25") == ([0.0, 0.1, 0.2, 0.25, 0.3, 0.4], 0.25)
    assert measured("digits", "0.3") == ([0.0, 0.1, 0.2, 0.3, 0.4], 0.3)
    # Digits are numbers to a regressor.
    for data in ("diabetes", "digits"):
        assert measured(data, "0.25", "linear_model:Ridge") == ([0.0, 0.25, 0.5, 1.0], 0.25)


MODULE = """
import math
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

three = make_pipeline(StandardScaler(), KNeighborsClassifier(3))

def logarithmic(n, factor=1.0):
    return KNeighborsClassifier(max(1, round(factor * math.log(n))))

def broken():
    return None

class Own(KNeighborsClassifier):
    pass
"""


def test_modules_in_the_working_directory(solvable, tmp_path) -> None:
    Path("mine_of_test.py").write_text(MODULE)
    words = (
        "digits",
        "--rows",
        "300",
        "--trials",
        "2",
        "--noise-levels",
        "0.2",
        "--train-sizes",
        "40,80",
        "--json",
    )

    def told(estimator: str, params: str = "", *more: str) -> str:
        code, out, err = solvable(
            *words, "--estimator", f"mine_of_test:{estimator}", "--params", params, *more
        )
        assert (code, err) == (0, "")
        return strict(out)["estimator"]

    try:
        assert told("three").startswith("Pipeline(")
        assert "n_neighbors=7" in told("three", "kneighborsclassifier__n_neighbors=7")
        assert "n_neighbors=4) at n = 40" in told("logarithmic")
        assert "n_neighbors=7) at n = 40" in told("logarithmic", "factor=2")
        assert told("Own", "n_neighbors=2") == "Own(n_neighbors=2)"
        code, out, err = solvable(*words, "--estimator", "mine_of_test:broken")
        assert (code, out) == (2, "")
        assert "expected a function of the number of training samples" in err
    finally:
        del sys.modules["mine_of_test"]


@pytest.mark.slow
def test_a_terminal_of_another_process(tmp_path: Path) -> None:
    (tmp_path / "mine_of_test.py").write_text(MODULE)
    words = (
        "noise-profile digits --rows 300 --trials 1 --noise-levels 0.2 --train-sizes 40,80 --n-jobs 2 --quiet"
    )
    command = [sys.executable, "-m", "solvable", *words.split(), "--estimator", "mine_of_test:Own"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "undecided\n", "")


def test_params_are_read() -> None:
    assert params_from("") == {}
    assert params_from("a=1,b=0.5,c=none,d=True,e=sqrt,f=[1,2],g=(3,),h='x,y',i=-1") == {
        "a": 1, "b": 0.5, "c": None, "d": True, "e": "sqrt", "f": [1, 2], "g": (3,), "h": "x,y", "i": -1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("", "requires an argument"),
        ("digit", "did you mean 'digits'?"),
        ("nowhere.csv", "nowhere.csv"),
        ("digits --estimator sklearn.ensemble", "expected MODULE:NAME"),
        ("digits --estimator sklearn.ensembel:X", "did you mean 'sklearn.ensemble'?"),
        (
            "digits --estimator sklearn.ensemble:RandomForestClasifier",
            "did you mean 'RandomForestClassifier'",
        ),
        ("digits --estimator nowhere_at_all:X", "there is no module 'nowhere_at_all' here"),
        ("digits --estimator half_of_test:X", "module 'half_of_test' cannot be imported (SyntaxError"),
        ("digits --estimator needs_of_test:X", "since it imports 'not_there_at_all'"),
        ("digits --estimator sklearn.preprocessing:StandardScaler", "StandardScaler has no predict"),
        ("digits --estimator math:pi", "for an estimator"),
        ("digits --params n_estimator=3", "did you mean 'n_estimators'?"),
        ("digits --params n_estimators", "expected name=value"),
        ("digits --params n_estimators=3,n_estimators=4", "names 'n_estimators' twice"),
        ("digits --params n_estimators=-3 --trials 1", "failed on"),
        ("digits --noise-levels 0.95", "too high"),
        ("digits --noise-levels 0", "no level above 0"),
        ("digits --noise-levels 0.1,x", "'x'"),
        ("digits --noise-levels 0.1 --judge-at 0.2", "not among the --noise-levels"),
        ("digits --judge-at -1", "judge_at must be above 0"),
        ("digits --judge-at 0.95", "noise level 0.95 is too high"),
        ("digits --train-sizes 5000", "a train size of 5000 is too large"),
        ("digits --train-sizes 10.5", "whole numbers"),
        ("digits --trials 0", "n_trials must be a whole number of at least 1; got 0"),
        ("digits --trials many", "many"),
        ("digits --test-size 2000", "test_size is 2000; expected fewer than the 1797 samples"),
        (
            "digits --n-jobs 0",
            "n_jobs must be a whole number of at least 1, or -1 for one on each core; got 0",
        ),
        ("digits --rows 1", "rows must be at least 2"),
        ("digits --target x", "has its own target"),
        ("digits --figure f.gif", "--figure is 'f.gif'; expected a file that ends in .svg, .png, .pdf"),
        ("digits --save no/p.nc", "there is no such folder"),
        ("digits --random-state -1", "random_state must be a whole number of at least 0"),
        ("diabetes --estimator sklearn.ensemble:RandomForestClassifier", "the estimator predicts classes"),
        ("wine --estimator sklearn.linear_model:Ridge --noise-levels x", "'x'"),
    ],
)
def test_bad_words_are_one_sentence(solvable, tmp_path: Path, tokens: str, sentence: str) -> None:
    Path("half_of_test.py").write_text("def")
    Path("needs_of_test.py").write_text("import not_there_at_all")
    there = set(tmp_path.iterdir())
    code, out, err = solvable(*tokens.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert {path for path in tmp_path.iterdir() if path.name != "__pycache__"} == there


def test_columns_and_missing_values(solvable) -> None:
    X, y = load_digits(return_X_y=True)
    table = (
        pd.DataFrame(X[:400, 10:30]).add_prefix("p").assign(name=[f"n{i}" for i in range(400)], digit=y[:400])
    )
    table.loc[3, "p4"] = np.nan
    table.to_csv("t.csv", index=False)
    words = ("t.csv", *NEAREST, "--trials", "1", "--noise-levels", "0.2", "--train-sizes", "100")
    assert "different values" in solvable(*words)[2]
    assert "--missing drop" in solvable(*words, "--drop", "name")[2]
    code, out, err = solvable(*words, "--drop", "name", "--missing", "drop", "--target", "digit", "--json")
    assert (code, err) == (0, "")
    assert strict(out)["n_classes"] == 10


def test_help_teaches(solvable) -> None:
    code, out, _ = solvable("--help")
    assert code == 0
    for part in (
        "--estimator",
        "--params",
        "--judge-at",
        "--strict",
        "--n-jobs",
        "tempered",
        "spend on data",
        "--json",
    ):
        assert part in out
    assert "Example: solvable noise-profile" in out
    assert "[default: ()]" not in out
    assert "noise-profile" in solvable(name="--help")[1]
