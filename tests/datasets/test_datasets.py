"""Data sets: what `load` and `encode_targets` return, and the sentence for what cannot be used."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solvable import datasets
from solvable.datasets import encode_targets, load, readers
from solvable.datasets.sampling import class_shares
from solvable.errors import InputError


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(3, 2, 40), "b": np.arange(40) ** 2, "kind": ["x", "y"] * 20})


@pytest.mark.parametrize(
    ("name", "shape", "n_outputs"),
    [
        ("digits", (1797, 64), 10),
        ("wine", (178, 13), 3),
        ("breast-cancer", (569, 30), 2),
        ("diabetes", (442, 10), 1),
    ],
)
def test_sets_of_scikit_learn(name, shape, n_outputs):
    data = load(name)
    assert data.X.shape == shape
    assert data.y.shape == (shape[0], n_outputs)
    assert data.X.dtype == data.y.dtype == np.float64
    assert len(data.classes) == (0 if name == "diabetes" else n_outputs)
    assert (data.labels is None) == (name == "diabetes")
    assert data.X.mean() == pytest.approx(0, abs=1e-10)
    assert data.X.std() == pytest.approx(1)
    assert data.y.mean() == pytest.approx(0, abs=1e-10)


def test_images_have_one_scale_and_tables_one_per_column():
    assert load("digits").X.std(axis=0).min() < 1e-10  # the corner pixels are always dark
    np.testing.assert_allclose(load("wine").X.std(axis=0), 1)


def test_number_targets_are_centred_and_the_mean_is_said():
    data = load("diabetes")
    assert "the target's mean 152.1 was subtracted" in data.notes


def test_fingerprint_follows_the_numbers(tmp_path, table):
    for i, value in enumerate((0.0, 0.0, 1.0)):
        table.loc[3, "a"] = value
        table.to_csv(tmp_path / f"{i}.csv", index=False)
    prints = [load(tmp_path / f"{i}.csv").fingerprint for i in range(3)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_sets_from_the_users_folder(name, tmp_path, monkeypatch):
    shape = (60, 28, 28) if name == "mnist" else (60, 32, 32, 3)
    rng = np.random.default_rng(0)
    file = "mnist.npz" if name == "mnist" else "cifar10_subset.npz"
    images, labels = rng.integers(0, 256, shape, dtype=np.uint8), np.arange(60, dtype=np.uint8) % 10
    np.savez(tmp_path / file, x_train=images, y_train=labels, x_test=images[:5], y_test=labels[:5])
    monkeypatch.setenv("SOLVABLE_DATA", str(tmp_path))
    data = load(name)
    assert data.X.shape == (60, np.prod(shape[1:]))
    assert data.X.std() == pytest.approx(1)
    np.testing.assert_array_equal(data.labels, labels)
    assert len(data.classes) == 10


def test_folder_that_is_not_set_or_empty(tmp_path, monkeypatch):
    monkeypatch.delenv("SOLVABLE_DATA", raising=False)
    with pytest.raises(InputError, match=r"SOLVABLE_DATA is not set.*folder with mnist.npz"):
        load("mnist")
    monkeypatch.setenv("SOLVABLE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"no file .*cifar10_subset\.npz"):
        load("cifar10")


@pytest.mark.skipif("SOLVABLE_DATA" not in os.environ, reason="SOLVABLE_DATA is not set")
def test_real_cifar10():
    assert load("cifar10").X.shape == (12000, 3072)


@pytest.mark.parametrize("keys", [("X", "y"), ("x_train", "y_train"), ("data", "target")])
def test_npz(tmp_path, keys):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2)) + 5
    np.savez(tmp_path / "a.npz", **dict(zip(keys, (X, y), strict=True)))
    data = load(tmp_path / "a.npz")
    np.testing.assert_allclose(data.X, (X - X.mean(axis=0)) / X.std(axis=0))
    np.testing.assert_allclose(data.y, y - y.mean(axis=0))


def test_csv_and_parquet_agree(tmp_path, table):
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    csv, parquet = load(tmp_path / "a.csv"), load(tmp_path / "a.parquet")
    np.testing.assert_allclose(csv.X, parquet.X)
    assert csv.classes == parquet.classes == ("x", "y")
    assert "target column: 'kind' (the last one)" in csv.notes


def test_target_is_found_by_its_name_or_given(tmp_path, table):
    table.rename(columns={"a": "Target"}).to_csv(tmp_path / "a.csv", index=False)
    assert load(tmp_path / "a.csv").target_name == "Target"
    table[["a", "b"]].rename(columns={"a": "Target"}).to_csv(tmp_path / "b.csv", index=False)
    assert "target column: 'Target' (by its name)" in load(tmp_path / "b.csv").notes
    assert "target column: 'b'" in load(tmp_path / "b.csv", target="b").notes


def test_integers_with_few_rows_each_are_a_number(tmp_path, table):
    table[["a", "b"]].to_csv(tmp_path / "a.csv", index=False)
    data = load(tmp_path / "a.csv")
    assert data.classes == ()
    assert any("40 different integers in 40 rows and is taken as a number" in note for note in data.notes)
    table.assign(b=np.arange(40) % 3)[["a", "b"]].to_csv(tmp_path / "b.csv", index=False)
    assert load(tmp_path / "b.csv").classes == ("0", "1", "2")
    assert load(tmp_path / "b.csv", task="number").classes == ()
    ages = pd.DataFrame({"x": np.arange(1000.0), "age": np.arange(1000) % 80})
    ages.to_csv(tmp_path / "ages.csv", index=False)
    assert load(tmp_path / "ages.csv").classes == ()
    assert len(load(tmp_path / "ages.csv", task="classes").classes) == 80
    with pytest.raises(InputError, match="has its own task; omit task"):
        load("digits", task="number")


def test_notes_on_constant_columns_duplicates_and_floats_that_look_like_classes(tmp_path, table):
    frame = pd.concat([table, table.iloc[:3]])[["a", "b"]].assign(
        c=7, label=lambda t: (t["b"] % 2).astype(float)
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    notes = "\n".join(load(tmp_path / "a.csv").notes)
    assert "1 constant column dropped: c" in notes
    assert "3 of 43 rows of X are duplicates" in notes
    assert "only 2 different values but is a float" in notes


def test_csv_as_people_write_them(tmp_path, table):
    numbers = table[["a", "b"]]
    numbers.to_csv(tmp_path / "plain.csv", index=False)
    expected = load(tmp_path / "plain.csv")
    numbers.to_csv(tmp_path / "semicolon.csv", index=False, sep=";")
    numbers.to_csv(tmp_path / "index.csv")
    numbers.to_csv(tmp_path / "headless.csv", index=False, header=False)
    numbers.set_axis([0, 1], axis=1).to_csv(tmp_path / "counted.csv", index=False)
    for name in ("semicolon", "index", "headless", "counted"):
        np.testing.assert_allclose(load(tmp_path / f"{name}.csv").X, expected.X)


def test_nullable_and_boolean_columns(tmp_path, table):
    frame = table[["a"]].assign(flag=[True, False] * 20, y=pd.array([1, 2] * 20, dtype="Int64"))
    frame.to_parquet(tmp_path / "a.parquet")
    data = load(tmp_path / "a.parquet")
    assert data.X.shape == (40, 2)
    assert data.classes == ("1", "2")


def _csv(text: str):
    return lambda path: Path(path).write_text(text)


def _npz(**arrays):
    return lambda path: np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("file", "write", "target", "sentence"),
    [
        ("a.csv", None, None, "there is no file"),
        ("a.csv", _csv(""), None, "is empty"),
        ("a.csv", _csv("a,b\n"), None, "has 0 rows; expected at least 2"),
        ("a.csv", _csv("a,b\n1,2\n"), None, "has 1 row; expected at least 2"),
        ("a.csv", _csv("a\n1\n2\n"), None, "expected inputs and a target"),
        (
            "a.csv",
            _csv("a,b\n1,2\n3,4\n"),
            "bb",
            "unknown column of .* 'bb'; expected one of a, b; did you mean 'b'",
        ),
        (
            "a.csv",
            _csv("age,b\n1,2\n,4\n"),
            None,
            r"column 'age' of .* missing values in 1 of 2 rows \(50.0%\), the first in data row 2; .*--missing drop",
        ),
        (
            "a.csv",
            _csv("age,size,b\n1,,2\n,4,4\n3,4,4.5\n"),
            None,
            r"columns 'age' \(1, 33.3%\), 'size' \(1, 33.3%\) of .* have missing values in 2 of 3 .*--missing mean",
        ),
        (
            "a.csv",
            _csv("age,b\n1,2\ninf,4\n"),
            None,
            "column 'age' of .* has 1 infinite value, .* data row 2",
        ),
        (
            "a.csv",
            _csv("age,b\n1,4\n2,5\n1,6\n"),
            None,
            "target 'b' looks like .* integers from 4 to 6.* --task number",
        ),
        ("a.csv", _csv("age,id\n1,4\n2,7\n1,9\n"), None, "target 'id' looks like .* is named like one"),
        (
            "a.csv",
            _csv("age,b\n1,x\n2,z\n3,u\n4,u\n"),
            None,
            "2 of the 3 classes of the target have a single row",
        ),
        ("a.csv", _csv(",b\n0,1.5\n1,2.5\n"), None, "the table has only 'b' and row numbers"),
        (
            "a.csv",
            _csv("age,b\n1,2\n2,\n"),
            None,
            "target column 'b' of .* 1 missing values .*--missing drop",
        ),
        ("a.csv", _csv("age,b\n1,2.5\n2,2.5\n"), None, "the target is constant"),
        ("a.csv", _csv("age,b\n1,x\n2,x\n"), None, "the target has one class only, x"),
        ("a.csv", _csv("age,b\n1,x\n2,z\n"), None, "as many classes as samples"),
        ("a.csv", _csv("age,b\n1,1.5\n1,2.5\n"), None, "every input column of .* is constant"),
        ("a.csv", _csv('a,b\n1,"2\n3,4,5\n'), None, "cannot be read as a CSV table"),
        (
            "a.csv",
            lambda path: Path(path).write_bytes(b"a,b\n\xff\xfe,1\n"),
            None,
            "cannot be read as a CSV table",
        ),
        ("a.parquet", _csv("nonsense"), None, "cannot be read as a Parquet table"),
        ("a.npz", _csv("nonsense"), None, "cannot be read as a .npz archive"),
        ("a.npz", _npz(u=np.eye(3), v=np.ones(3)), None, "holds the arrays u, v; expected X and y or"),
        ("a.npz", _npz(X=np.eye(3), y=np.arange(2.0)), None, "has 3 rows and y has 2"),
        ("a.npz", _npz(X=np.array([["a"], ["b"]]), y=np.arange(2.0)), None, "array X .* type <U1"),
        ("a.npz", _npz(X=np.arange(3), y=np.arange(3.0)), None, r"array X .* shape \(3,\)"),
        (
            "a.npz",
            _npz(X=np.array([[1.0], [np.nan]]), y=np.arange(2.0)),
            None,
            "column 0 of X in .* has missing values in 1 of 2 rows",
        ),
        (
            "a.npz",
            _npz(X=np.full((3, 2, 2), np.nan), y=np.arange(3.0)),
            None,
            "X in .* 12 values that are NaN or infinite, .* drop these images with --missing drop",
        ),
        ("a.npz", _npz(X=np.ones((3, 2, 2)), y=np.arange(3.0)), None, "every pixel has the same value"),
        (
            "a.npz",
            _npz(X=np.array([{}], dtype=object), y=np.arange(1.0)),
            None,
            "cannot be read as a .npz archive",
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path, file, write, target, sentence):
    path = tmp_path / file
    if write is not None:
        write(path)
    with pytest.raises(InputError, match=sentence) as caught:
        load(path, target=target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("digit", "did you mean 'digits'.*or a path to a file"),
        ("data.xlsx", "a file ending in '.xlsx'; expected a .npz, .csv, .parquet file"),
        ("some/folder", "a path without an ending"),
    ],
)
def test_names_that_do_not_exist(name, sentence):
    with pytest.raises(InputError, match=sentence):
        load(name)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target": "x"}, "has its own target"),
        ({"missing": "drop"}, "has no missing values; omit missing"),
        ({"drop": ["alcohol", "ash"]}, "drop='alcohol, ash' removes columns of a file"),
        ({"rows": 1}, "rows must be at least 2; got 1"),
    ],
)
def test_options_of_files_and_sets(options, sentence):
    with pytest.raises(InputError, match=sentence):
        load("wine", **options)


def test_integers_that_are_counted_or_named_so_are_taken_as_numbers_when_asked(tmp_path, table):
    table.assign(user_id=np.arange(40))[["a", "user_id"]].to_csv(tmp_path / "a.csv", index=False)
    data = load(tmp_path / "a.csv", task="number")
    np.testing.assert_allclose(data.y[:, 0] + data.offset, np.arange(40))
    with pytest.raises(InputError, match="as many classes as samples"):
        load(tmp_path / "a.csv", task="classes")
    table.to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(InputError, match="target holds text, as in 'x', and the task is a number"):
        load(tmp_path / "b.csv", task="number")


def test_few_classes_with_a_single_row_are_said(tmp_path, table):
    kinds = ["x"] * 20 + ["y"] * 19 + ["z"]
    table.assign(kind=kinds).to_csv(tmp_path / "a.csv", index=False)
    assert any("1 of 3 classes has a single row" in note for note in load(tmp_path / "a.csv").notes)


def test_columns_are_dropped_when_asked(tmp_path, table):
    table.to_csv(tmp_path / "a.csv", index=False)
    data = load(tmp_path / "a.csv", drop=["kind"], task="number")
    assert data.X.shape == (40, 1)
    assert data.target_name == "b"
    assert data.notes[0] == "columns dropped as requested: kind"
    with pytest.raises(InputError, match="to drop 'knd'; expected one of a, b, kind; did you mean 'kind'"):
        load(tmp_path / "a.csv", drop=["knd"])
    with pytest.raises(InputError, match=r"column 'a' of .* is both the target and dropped"):
        load(tmp_path / "a.csv", target="a", drop=["a"])
    with pytest.raises(InputError, match=r"has 1 column\(s\) besides a, b"):
        load(tmp_path / "a.csv", drop=["a", "b"])
    np.savez(tmp_path / "a.npz", X=np.eye(4), y=np.arange(4.0))
    with pytest.raises(InputError, match=r"columns of .* have no names, so a cannot be dropped"):
        load(tmp_path / "a.npz", drop=["a"])


def test_missing_targets_are_dropped_and_integers_stay_classes(tmp_path, table):
    table.assign(y=[np.nan, np.nan, *[1.0, 2.0] * 19]).to_csv(tmp_path / "a.csv", index=False)
    for missing in ("drop", "mean"):
        data = load(tmp_path / "a.csv", missing=missing)
        assert data.classes == ("1", "2")
        assert (len(data.X), data.n_rows) == (38, 40)
        assert "2 of 40 rows dropped because their target is missing" in data.notes


def test_names_with_spaces_after_the_commas(tmp_path):
    (tmp_path / "a.csv").write_text("size, kind, y\n1, u, 2.5\n2, v, 3.5\n4, u, 5.5\n")
    data = load(tmp_path / "a.csv", target="y")
    assert list(data.encoder.get_feature_names_out()) == ["size", "kind_u", "kind_v"]


@pytest.fixture
def large() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "a": rng.normal(size=20_000),
            "text": rng.choice(["u, v", 'w"x', "y\nz"], 20_000),
            "flag": rng.random(20_000) < 0.5,
            "whole": pd.array(rng.integers(0, 9, 20_000), dtype="Int64"),
            "kind": np.repeat(["x", "y", "z"], [15_000, 4_995, 5]),
        }
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_some_rows_of_a_large_file(tmp_path, monkeypatch, large, ending):
    monkeypatch.setattr(readers, "_BATCH", 3000)
    path = tmp_path / f"a.{ending}"
    large.loc[::7, "whole"] = pd.NA
    large.loc[11, "kind"] = None
    if ending == "csv":
        large.to_csv(path)
    else:
        large.to_parquet(path, row_group_size=2500)
    data = load(path, rows=400, missing="mean")
    assert data.X.shape == (400, 6)
    assert data.n_rows == 20_000
    assert "400 of 19999 rows, drawn at random (stratified by class)" in data.notes
    assert "1 of 20000 rows dropped because their target is missing" in data.notes
    assert np.unique(np.asarray(data.labels), return_counts=True)[1].tolist() == [300, 99, 1]
    # The rows are rows of the file, with their own labels.
    rows = {
        row.tobytes(): kind for row, kind in zip(data.encoder.transform(large), large["kind"], strict=True)
    }
    assert all(
        rows[row.tobytes()] == label for row, label in zip(data.X, np.asarray(data.labels), strict=True)
    )
    again, other = load(path, rows=400, missing="mean"), load(path, rows=400, missing="mean", random_state=1)
    assert again.fingerprint == data.fingerprint != other.fingerprint
    whole = load(path, missing="mean")
    assert load(path, rows=19_999, missing="mean").fingerprint == whole.fingerprint
    assert load(path, rows=20_000, missing="mean").fingerprint == whole.fingerprint
    assert whole.n_rows == 20_000
    number = load(path, target="a", rows=300, missing="mean", drop=["kind"])
    assert "300 of 20000 rows, drawn at random" in number.notes
    assert number.X.shape == (300, 5)


def test_parquet_that_is_damaged_inside(tmp_path, large):
    path = tmp_path / "a.parquet"
    large.to_parquet(path)
    damaged = bytearray(path.read_bytes())
    damaged[4:5000] = bytes(4996)
    path.write_bytes(damaged)
    for rows in (None, 100):
        with pytest.raises(InputError, match="cannot be read as a Parquet table"):
            load(path, rows=rows)


def test_csv_with_row_names_that_have_no_column_name(tmp_path, table):
    lines = ["a,b,kind", *(f"r{i},{a},{b},{kind}" for i, (a, b, kind) in enumerate(table.to_numpy()))]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert load(tmp_path / "a.csv").X.shape == (40, 2)
    assert load(tmp_path / "a.csv", rows=10).X.shape == (10, 2)


def test_some_rows_of_a_set_and_of_an_archive(tmp_path):
    data = load("digits", rows=100)
    assert data.X.shape == (100, 64)
    assert data.n_rows == 1797
    assert len(load("diabetes", rows=5000).X) == 442
    np.savez(tmp_path / "a.npz", X=np.random.default_rng(0).normal(size=(50, 2)), y=np.arange(50) % 2)
    assert load(tmp_path / "a.npz", rows=20).X.shape == (20, 2)


def test_whether_integers_are_classes_is_decided_by_all_rows(tmp_path):
    rng = np.random.default_rng(0)
    pd.DataFrame({"a": rng.normal(size=600), "y": np.arange(600) % 20}).to_csv(
        tmp_path / "a.csv", index=False
    )
    assert len(load(tmp_path / "a.csv", rows=40).classes) == 20


def test_few_rows_of_many_classes(tmp_path):
    kinds = np.repeat(list("abcde"), [60, 50, 5, 4, 1])
    frame = pd.DataFrame({"a": np.random.default_rng(0).normal(size=120), "kind": kinds})
    frame.to_parquet(tmp_path / "a.parquet")
    data = load(tmp_path / "a.parquet", rows=8)
    assert data.classes == ("a", "b", "c", "d")
    assert "8 of 120 rows, drawn at random (stratified by class), which omits 1 of 5 classes" in data.notes
    with pytest.raises(InputError, match=r"rows=3 is too few for 5 classes; expected at least 10"):
        load(tmp_path / "a.parquet", rows=3)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.data())
def test_shares_of_the_classes(counts, data):
    counts = np.array(counts)
    rows = data.draw(st.integers(1, int(counts.sum())))
    shares = class_shares(counts, rows)
    assert shares.sum() == rows
    assert (shares >= 0).all()
    assert (shares <= counts).all()
    several = counts >= 2
    if rows >= len(counts):
        assert (shares[several] >= 1).all()
    if (rows * counts >= counts.sum()).all():
        assert (np.abs(shares - rows * counts / counts.sum()) < 1).all()


BIG = """
import resource, sys
import pyarrow.parquet, pandas, sklearn.compose, sklearn.impute, sklearn.preprocessing
from solvable.datasets import load
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
before = peak()
data = load(sys.argv[1], rows=4000)
print(peak() - before, *data.X.shape, data.n_rows)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
@pytest.mark.slow
def test_memory_of_some_rows_of_a_large_file(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(20)]
    schema = pa.schema([*((name, pa.float64()) for name in names), ("y", pa.int64())])
    with parquet.ParquetWriter(tmp_path / "a.parquet", schema) as writer:
        for _ in range(10):
            values = {name: rng.normal(size=100_000) for name in names} | {"y": rng.integers(0, 3, 100_000)}
            writer.write_table(pa.table(values, schema))
    done = subprocess.run(
        [sys.executable, "-c", BIG, str(tmp_path / "a.parquet")], capture_output=True, text=True, check=True
    )
    growth, *facts = done.stdout.split()
    assert facts == ["4000", "20", "1000000"]
    assert float(growth) < 500
    assert done.stderr == ""  # no progress bar where there is no terminal


def test_progress_is_shown_in_a_terminal_only(tmp_path, monkeypatch, capsys, large):
    large.to_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    load(tmp_path / "a.parquet", rows=100)
    assert "reading" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    load(tmp_path / "a.parquet", rows=100, quiet=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("labels", [[3, 1, 3, 1], ["b", "a", "b", "a"], [True, False, True, False]])
def test_labels_become_centred_one_hot_columns(labels):
    y, classes = encode_targets(labels)
    np.testing.assert_allclose(y, [[-0.5, 0.5], [0.5, -0.5]] * 2)
    assert classes == tuple(str(value) for value in sorted(set(labels)))


def test_other_containers_of_labels():
    expected = encode_targets(["a", "b", "a"])
    for labels in (
        np.array(["a", "b", "a"], dtype=object),
        pd.Series(["a", "b", "a"]),
        np.array([["a"], ["b"], ["a"]]),
    ):
        y, classes = encode_targets(labels)
        np.testing.assert_array_equal(y, expected[0])
        assert classes == expected[1]


def test_floats_are_used_as_given():
    y, classes = encode_targets(np.array([[1.0, 5.0], [2.0, 5.0]]))
    np.testing.assert_array_equal(y, [[1, 5], [2, 5]])
    assert classes == ()


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        ([1.0, 1.0], "constant"),
        ([1, 1], "one class only"),
        ([1.0, np.nan], "1 missing values in 2 rows"),
        ([1.0, np.inf], "NaN or infinite"),
        (["a", None], "1 missing"),
        ([1.0], "1 samples"),
        ([], "0 samples"),
        (np.array(1.0), r"shape \(n,\) or \(n, c\); got \(\)"),
        (np.zeros((2, 2, 2)), "shape"),
        ([[1, 0], [0, 1]], "ambiguous"),
        ([1, 2, 3], "as many classes as samples"),
        (np.array(["a", 1], dtype=object), "mixes int and str"),
        (np.array([1j, 2j]), "holds complex values"),
        (np.zeros((3, 0)), "constant"),
    ],
)
def test_targets_that_cannot_be_used(y, sentence):
    with pytest.raises(InputError, match=sentence):
        encode_targets(y)


def test_every_name_is_in_the_docstring():
    named = set(re.findall(r"`([a-z0-9-]+)`", datasets.load.__doc__ or ""))
    assert set(datasets.NAMES) <= named


def test_decimal_commas_between_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "european.csv"
    rows = "".join(f"{i},5;{i % 7},25;{2 * i},0\n" for i in range(40))
    path.write_text(f"a;b;price\n{rows}")
    data = load(path, target="price")
    assert data.y.shape == (40, 1)
    assert data.offset == pytest.approx([39.0])
    drawn = load(path, target="price", rows=20)
    assert drawn.X.shape == (20, 2)
    point = tmp_path / "point.csv"
    point.write_text("a;price\n" + "".join(f"{i}.5;{2 * i}.5\n" for i in range(40)))
    assert load(point, target="price").offset == pytest.approx([39.5])
    comma = tmp_path / "comma.csv"
    comma.write_text("a\tprice\n" + "".join(f"{i},5\t{2 * i}.5\n" for i in range(40)))
    with pytest.raises(InputError, match=r"decimal comma, as in '0,5'; expected a decimal point"):
        load(comma, target="price")


def test_an_identifier_among_the_inputs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text("patient_id,a,price\n" + "".join(f"{i + 1000},{i % 7},{2 * i}.5\n" for i in range(40)))
    assert any("column 'patient_id'" in note and "--drop patient_id" in note for note in load(path).notes)
    assert not any("identifier" in note for note in load(path, drop=("patient_id",)).notes)


def test_another_encoding_is_told_to_be_saved_as_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes("größe,price\n1,2\n3,4\n".encode("latin-1"))
    with pytest.raises(InputError, match="save it as UTF-8"):
        load(path)
