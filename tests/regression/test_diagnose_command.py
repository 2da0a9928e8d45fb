"""`solvable diagnose`: what it prints and writes, and the sentence for each bad input."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.datasets import load_breast_cancer, load_diabetes

from solvable.regression import diagnose
from strict_json import strict


@pytest.fixture
def solvable(command_line):
    """Return a function that runs `solvable diagnose` in a folder of its own: exit code, stdout and stderr."""
    return partial(command_line, "diagnose")


def diabetes(n: int = 442) -> pd.DataFrame:
    bunch = load_diabetes(as_frame=True)
    return bunch.frame.iloc[:n]


def save(table: pd.DataFrame, path: str = "table.csv") -> str:
    table.to_csv(path, index=False)
    return path


def test_a_table_of_numbers(solvable) -> None:
    path = save(diabetes())
    code, out, err = solvable(path, "--ridge", "0.1")
    assert (code, err) == (0, "")
    assert "442 labelled samples, 10 inputs, target 'target'" in " ".join(out.split())
    assert "Your ridge 0.1" in " ".join(out.split())
    found = diagnose(*load_diabetes(return_X_y=True))
    now = found.forecast([442]).isel(n_train=0)
    # The table on disk has all digits, so the command says what Python says.
    assert f"{float(now.rmse):.3g}" in out
    code, quiet, err = solvable(path, "--quiet")
    assert (code, err) == (0, "")
    np.testing.assert_allclose([float(line) for line in quiet.split()], found.to_dataset().rmse, rtol=1e-4)


def test_json_is_strict_and_holds_the_numbers(solvable) -> None:
    frame = load_breast_cancer(as_frame=True).frame
    words = ("--kernel", "laplace", "--want", "0.03", "--ridge", "1", "--json")
    code, out, err = solvable(save(frame), *words)
    assert (code, err) == (0, "")
    facts = strict(out)
    found = diagnose(*load_breast_cancer(return_X_y=True), kernel="laplace")
    assert (facts["n_samples"], facts["n_rows"], facts["compared"]) == (569, 569, {})
    assert facts["optimal_ridge"] == pytest.approx(found.optimal_ridge)
    assert facts["noise"] == pytest.approx(found.noise)
    assert (facts["ridge"], facts["ridge_cost"]) == (1.0, pytest.approx(found.cost_of(1.0)))
    assert facts["log_fall_ratio"] == pytest.approx(found.surface.check.log_fall_ratio)
    assert facts["near_duplicates"] == pytest.approx(found.near_duplicates)
    rows = facts["forecast"]
    assert [row["n_train"] for row in rows] == [569, 1138, 2276, 5690]
    np.testing.assert_allclose([row["error_rate"] for row in rows], found.to_dataset().error_rate, rtol=1e-6)
    # JSON has no infinity: it is a word.
    assert [float(n) for n in facts["samples_for"]] == pytest.approx(found.samples_for(0.03), rel=1e-6)
    assert facts["measured"] is None
    assert facts["written"] == []


@pytest.mark.parametrize("case", ["few modes", "never reached", "end unseen"])
def test_json_has_no_nan_nor_infinity(solvable, case: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 80 if case == "end unseen" else 3))
    table = pd.DataFrame(X).add_prefix("x").assign(y=X[:, 0] + rng.normal(size=60))
    code, out, err = solvable(save(table), "--kernel", "linear", "--want", "1e-6", "--json")
    assert (code, err) == (0, "")
    assert strict(out)["samples_for"][::2] == ["inf", "inf"]


def test_sizes_wanted_errors_figure_and_file(solvable, tmp_path: Path) -> None:
    path = save(diabetes())
    words = (path, "--kernel", "gaussian", "--n-train", "100,1000", "--want", "55")
    code, out, err = solvable(*words, "--figure", "curve.svg", "--save", "verdict.nc")
    assert (code, err) == (0, "")
    assert "rmse for --n-train (90 % interval, best ridge):" in out
    assert (
        len(re.findall(r"^ +(?:100|1000) +[\d.]+ \([\d.]+ to [\d.]+\), ridge", out, flags=re.MULTILINE)) == 2
    )
    n = diagnose(*load_diabetes(return_X_y=True), kernel="gaussian").samples_for(55)[0]
    assert f"rmse 55 takes {round(n)} samples" in out
    assert "written: curve.svg, verdict.nc" in out
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
    with xr.open_dataset("verdict.nc", engine="h5netcdf") as kept:
        assert {"test_mse", "test_mse_low", "test_mse_high", "rmse", "optimal_ridge", "noise"} <= set(kept)
    code, out, _ = solvable(*words, "--quiet")
    assert [round(float(word)) for word in out.split()] == [round(n)]  # what was asked for
    code, out, _ = solvable(*words[:-2], "--quiet")
    assert len(out.split()) == 2


def test_sizes_that_are_not_trusted_are_said_to_be(solvable) -> None:
    words = (save(diabetes()), "--kernel", "gaussian", "--n-train", "5,100,1e9")
    code, out, err = solvable(*words)
    assert (code, err) == (0, "")
    few, trusted, far = out.splitlines()[-3:]
    assert few.endswith("; too few: the theory is trusted from 30 samples")
    assert re.fullmatch(r" +100 .*, ridge [\d.]+", trusted)
    assert far.endswith("; beyond the tested range (16 times the sample)")


def test_repeated_rows_are_dropped_on_request(solvable) -> None:
    table = diabetes()
    path = save(pd.concat([table, table[:50]]))
    kept = solvable(path, "--kernel", "gaussian", "--json")
    dropped = solvable(path, "--kernel", "gaussian", "--drop-repeats", "--json")
    assert [strict(out)["n_samples"] for _, out, _ in (kept, dropped)] == [492, 442]
    assert any("50 of 492 points repeat another one" in note for note in strict(kept[1])["notes"])
    assert any("50 of 492 rows repeat another one and are left out" in n for n in strict(dropped[1])["notes"])


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_figures_of_other_kinds(solvable, tmp_path: Path, ending: str) -> None:
    code, _, err = solvable(save(diabetes(60)), "--kernel", "linear", "--figure", f"f.{ending}", "--quiet")
    assert (code, err) == (0, "")
    assert (tmp_path / f"f.{ending}").read_bytes()[:4] in (b"\x89PNG", b"%PDF")


def test_a_model_of_ones_own(solvable) -> None:
    Path("own.csv").write_text("n,error\n200,60\n400,54\n")
    code, out, err = solvable(save(diabetes()), "--kernel", "gaussian", "--measured", "own.csv", "--json")
    assert (code, err) == (0, "")
    measured = strict(out)["measured"]
    assert [row["n_train"] for row in measured] == [200, 400]
    assert [row["error"] for row in measured] == [60, 54]
    assert 1 < measured[1]["data_factor"] < 16
    code, out, _ = solvable("table.csv", "--kernel", "gaussian", "--measured", "own.csv")
    assert "Your model is better than the kernel at 1 of 2 sizes (rmse)" in " ".join(out.split())


def patients() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(40), 5)
    X = rng.normal(size=(40, 3))[who] + 0.3 * rng.normal(size=(200, 3))
    y = X[:, 0] + rng.normal(size=40)[who] + 0.1 * rng.normal(size=200)
    return pd.DataFrame(X, columns=["a", "b", "c"]).assign(patient=[f"p{i}" for i in who], y=y)


def test_groups_by_column(solvable) -> None:
    table = patients()
    code, out, err = solvable(save(table), "--groups", "patient", "--kernel", "laplace", "--json")
    assert (code, err) == (0, "")
    grouped = strict(out)
    expected = diagnose(table[["a", "b", "c"]].to_numpy(), table.y, "laplace", groups=table.patient)
    now = expected.forecast([200]).rmse.item()
    assert grouped["forecast"][0]["rmse"] == pytest.approx(now, rel=1e-6)
    # The column of the groups is no input.
    assert any("columns dropped as requested: patient" in note for note in grouped["notes"])
    code, out, _ = solvable("table.csv", "--drop", "patient", "--kernel", "laplace", "--json")
    assert strict(out)["forecast"][0]["rmse"] < 0.8 * now
    assert "new groups like these 40" in " ".join(
        solvable("table.csv", "--groups", "patient", "--kernel", "laplace")[1].split()
    )


def test_features_take_the_place_of_inputs(solvable) -> None:
    table = patients()
    embedding = np.random.default_rng(1).normal(size=(200, 6)) + table[["a"]].to_numpy()
    np.save("embedding.npy", embedding)
    words = (save(table), "--drop", "patient", "--features", "embedding.npy")
    code, out, err = solvable(*words, "--json")
    assert (code, err) == (0, "")
    facts = strict(out)
    assert facts["kernel"] == "Linear()"
    expected = diagnose(embedding, table.y, "linear").forecast([200]).rmse.item()
    assert facts["forecast"][0]["rmse"] == pytest.approx(expected, rel=1e-6)
    labels = table.assign(y=np.where(table.y > 0, "up", "down"))
    assert "target 'y': 2 classes" in " ".join(solvable(save(labels), *words[1:])[1].split())


def test_features_and_groups_follow_the_rows_that_are_left(solvable) -> None:
    table = patients()
    embedding = np.random.default_rng(1).normal(size=(200, 6)) + table[["a"]].to_numpy()
    np.save("embedding.npy", embedding)
    keep = np.arange(200) % 9 > 0
    table.loc[~keep, "y"] = np.nan
    words = (save(table), "--groups", "patient", "--features", "embedding.npy", "--missing", "drop")
    code, out, err = solvable(*words, "--json")
    assert (code, err) == (0, "")
    facts = strict(out)
    expected = diagnose(embedding[keep], table.y[keep], "linear", groups=table.patient[keep])
    assert (facts["n_samples"], facts["n_rows"]) == (keep.sum(), 200)
    assert facts["forecast"][0]["rmse"] == pytest.approx(
        expected.forecast([keep.sum()]).rmse.item(), rel=1e-6
    )
    assert any("rows dropped" in note for note in facts["notes"])


def test_a_probe_of_a_named_data_set(solvable) -> None:
    raw = load_breast_cancer().data
    np.save("embedding.npy", raw / raw.std(axis=0))
    code, out, err = solvable("breast-cancer", "--features", "embedding.npy", "--json")
    assert (code, err) == (0, "")
    rows = strict(out)["forecast"]
    # Thirty columns, 569 points: cross-validated least squares has 4 to 5 % wrong.
    assert 0.03 < rows[0]["error_rate"] < 0.07
    assert rows[-1]["error_rate"] <= 1.02 * rows[0]["error_rate"]


def test_missing_values_are_dropped_or_filled_only_when_asked(solvable) -> None:
    table = diabetes()
    rows = np.random.default_rng(0).permutation(442)[:5]
    table.loc[rows, "bmi"] = np.nan
    path = save(table)
    code, out, err = solvable(path)
    assert (code, out) == (2, "")
    assert "column 'bmi' of 'table.csv' has missing values in 5 of 442 rows (1.1%)" in err
    assert "--missing drop" in err
    for missing, n in (("drop", 437), ("mean", 442)):
        code, out, err = solvable(path, "--missing", missing, "--kernel", "linear", "--json")
        assert (code, err) == (0, "")
        facts = strict(out)
        assert facts["n_samples"] == n
        assert any("bmi (5)" in note for note in facts["notes"])


def test_columns_are_dropped(solvable) -> None:
    table = patients().assign(name=[f"n{i}" for i in range(200)])
    code, out, err = solvable(save(table), "--target", "y", "--drop", "name,patient", "--kernel", "linear")
    assert (code, err) == (0, "")
    assert ", 3 inputs, " in out


def test_a_terminal_of_another_process(tmp_path: Path) -> None:
    save(diabetes(60), str(tmp_path / "t.csv"))
    command = [sys.executable, "-m", "solvable", "diagnose", "t.csv", "--kernel", "linear", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 4


def small(**columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 2))
    return pd.DataFrame(X, columns=["a", "b"]).assign(y=X[:, 0] + rng.normal(size=1200)).assign(**columns)


BAD_TABLES = {
    "one column": (small()[["y"]], "has 1 column(s); expected inputs and a target"),
    "a text of a thousand values": (
        small(name=[f"n{i % 1000}" for i in range(1200)])[["a", "name", "y"]],
        "text column 'name' of 'table.csv' has 1000 different values; expected at most 30, each of which becomes a "
        "column: drop it with --drop name",
    ),
    "1 % missing": (
        small(a=np.where(np.arange(1200) % 100 == 7, np.nan, 1.0 * np.arange(1200))),
        "column 'a' of 'table.csv' has missing values in 12 of 1200 rows (1.0%), the first in data row 8; expected "
        "none: drop these rows with --missing drop",
    ),
    "40 classes of one": (
        small(y=[f"c{min(i, 40)}" for i in range(1200)]),
        "40 of the 41 classes of the target have a single row",
    ),
    "an identifier": (small(y=np.arange(1200)), "looks like an identifier"),
    "a text identifier": (small(y=[f"u{i}" for i in range(1200)]), "identifier"),
    "a constant": (small(y=3.5), "constant, so there is nothing to learn"),
    "a constant text": (small(y="x"), "expected"),
    "NaN in the target": (
        small(y=np.where(np.arange(1200) < 3, np.nan, np.arange(1200) / 7)),
        "target column 'y' of 'table.csv' has 3 missing values in 1200 rows",
    ),
    "fewer than 20 rows": (small().iloc[:19], "at least 20"),
    "a header only": (small().iloc[:0], "expected at least 2"),
    "constant inputs": (small(a=1, b=2), "every input column of 'table.csv' is constant"),
    "dates": (small(a=pd.date_range("2020", periods=1200)), "holds dates"),
    "infinity": (small(a=np.where(np.arange(1200) == 5, np.inf, 0.0)), "has 1 infinite value"),
}


def refused(result: tuple[int, str, str], sentence: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.parametrize("bad", list(BAD_TABLES))
def test_bad_tables_are_one_sentence(solvable, bad: str) -> None:
    table, sentence = BAD_TABLES[bad]
    refused(solvable(save(table)), sentence)


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("", "requires an argument"),
        ("nowhere.csv", "nowhere.csv"),
        ("table.txt", "a file ending in '.txt'"),
        ("digit", "did you mean 'digits'?"),
        ("table.csv --kernel laplas", "did you mean 'laplace'?"),
        ("table.csv --target z", "unknown column of 'table.csv' 'z'"),
        ("table.csv --drop z", "unknown column"),
        ("table.csv --drop a,b", "has 1 column(s) besides a, b"),
        ("table.csv --groups z", "unknown column"),
        ("table.csv --groups few", "there are 3 groups; expected at least 5"),
        ("table.csv --groups gaps", "missing values; expected a group for each point"),
        ("digits --groups patient", "--groups names a column of a file, but 'digits' has none"),
        ("table.csv --ridge -1", "ridge must be at least 0; got -1"),
        ("table.csv --ridge inf", "ridge must be finite"),
        ("table.csv --ridge nan", "ridge must be at least 0; got nan"),
        ("table.csv --ridge much", "ridge"),
        ("table.csv --missing guess", "missing"),
        ("table.csv --task guess", "task"),
        ("table.csv --n-train 10,x", "'x'"),
        ("table.csv --n-train 10,,20", "n-train"),
        ("table.csv --n-train 0", "n_train must be above 0 and at most 1e+09; got 0"),
        ("table.csv --n-train inf", "n_train must be above 0 and at most 1e+09; got inf"),
        ("table.csv --n-train 10 20", "unexpected '20'"),
        ("table.csv --want 0", "rmse must be above 0; got 0"),
        ("table.csv --want nan", "rmse must be above 0; got nan"),
        ("table.csv --want inf", "rmse must be finite"),
        ("table.csv --random-state -1", "random_state must be a whole number of at least 0; got -1"),
        ("table.csv --figure f.gif", "--figure is 'f.gif'; expected a file that ends in .svg, .png, .pdf"),
        ("table.csv --figure no/f.svg", "there is no such folder"),
        ("table.csv --save f.csv", "--save is 'f.csv'; expected a file that ends in .nc"),
        ("table.csv --save no/f.nc", "there is no such folder"),
        ("table.csv --measured no.csv", "there is no file 'no.csv'"),
        ("table.csv --measured three.csv", "has 3 columns; expected a CSV of two columns"),
        ("table.csv --measured words.csv", "has values that are not numbers"),
        ("table.csv --measured empty.csv", "empty.csv"),
        ("table.csv --measured header.csv", "not numbers, or none"),
        ("table.csv --measured negative.csv", "error must be above 0"),
        ("table.csv --measured bytes.csv", "bytes.csv"),
        ("table.csv --features no.npy", "there is no file 'no.npy'"),
        ("table.csv --features short.npy", "has shape (59, 3); expected one row for each of the 60 rows"),
        ("table.csv --features flat.npy", "has shape (60,)"),
        ("table.csv --features bytes.csv", "cannot be read as a .npy file"),
        ("table.csv --features text.npy", "'text.npy' has type <U1; expected numbers (n, d)"),
        ("table.csv --features nan.npy", "missing values"),
    ],
)
def test_bad_words_and_files_are_one_sentence(solvable, tmp_path: Path, tokens: str, sentence: str) -> None:
    rng = np.random.default_rng(0)
    table = (
        small()
        .iloc[:60]
        .assign(few=np.arange(60) % 3, gaps=np.where(np.arange(60) < 9, np.nan, np.arange(60)))
    )
    # Groups are tried as they come, with their column as no input.
    if "gaps" not in tokens:
        table = table.drop(columns="gaps")
    if "few" not in tokens:
        table = table.drop(columns="few")
    save(table[[*table.columns.drop("y"), "y"]])
    Path("table.txt").write_text("a,b\n")
    Path("three.csv").write_text("10,1,2\n")
    Path("words.csv").write_text("n,error\n10,low\n")
    Path("empty.csv").write_text("")
    Path("header.csv").write_text("n,error\n")
    Path("negative.csv").write_text("10,-1\n")
    Path("bytes.csv").write_bytes(bytes(range(256)))
    np.save("short.npy", rng.normal(size=(59, 3)))
    np.save("flat.npy", rng.normal(size=60))
    np.save("text.npy", np.full((60, 2), "x"))
    np.save("nan.npy", np.full((60, 2), np.nan))
    there = set(tmp_path.iterdir())
    words = tokens.split()
    if "--kernel" not in words and words[1:]:
        words += ["--kernel", "linear"]
    refused(solvable(*words), sentence)
    assert set(tmp_path.iterdir()) == there


def test_help_names_every_option(solvable) -> None:
    code, out, _ = solvable("--help")
    assert code == 0
    for option in (
        "--target",
        "--groups",
        "--features",
        "--missing",
        "--want",
        "--measured",
        "--save",
        "--json",
    ):
        assert option in out
    assert "Example: solvable diagnose" in out


def test_groups_of_a_table_with_row_names(solvable) -> None:
    # One name fewer than columns: the first column names the rows, as R writes tables.
    table = diabetes(60).assign(patient=np.arange(60) % 6)
    lines = table.to_csv(index=False).splitlines()
    named = [lines[0], *(f"row {i},{line}" for i, line in enumerate(lines[1:]))]
    Path("named.csv").write_text("\n".join(named))
    table.to_csv("plain.csv", index=False)
    options = ("--target", "target", "--groups", "patient", "--kernel", "linear", "--json")
    outs = [solvable(f"{name}.csv", *options) for name in ("plain", "named")]
    assert [code for code, _, _ in outs] == [0, 0]
    plain, other = (strict(out) for _, out, _ in outs)
    assert plain["forecast"] == other["forecast"]


def test_groups_of_arrays_whatever_the_case_of_the_ending(solvable) -> None:
    table = diabetes(60)
    arrays = {
        "X": table.drop(columns="target").to_numpy(),
        "y": table.target.to_numpy(),
        "g": np.arange(60) % 6,
    }
    np.savez("a.npz", **arrays)
    Path("A.NPZ").write_bytes(Path("a.npz").read_bytes())
    lower, upper = (
        solvable(name, "--groups", "g", "--kernel", "linear", "--json") for name in ("a.npz", "A.NPZ")
    )
    assert (lower[0], upper[0]) == (0, 0)
    assert strict(lower[1])["forecast"] == strict(upper[1])["forecast"]
