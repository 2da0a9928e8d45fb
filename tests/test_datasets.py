"""Data sets: what `load` and `encode_targets` return, and the sentence for what cannot be used."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from solvable import datasets
from solvable.datasets import encode_targets, load
from solvable.errors import InputError


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"a": rng.normal(3, 2, 40), "b": np.arange(40), "kind": ["x", "y"] * 20})


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
    with pytest.raises(InputError, match=r"SOLVABLE_DATA is not set.*holds mnist.npz"):
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
    with pytest.raises(InputError, match="column 'kind'"):
        load(tmp_path / "a.csv")
    table[["a", "b"]].rename(columns={"a": "Target"}).to_csv(tmp_path / "b.csv", index=False)
    assert "target column: 'Target' (by its name)" in load(tmp_path / "b.csv").notes
    assert "target column: 'b'" in load(tmp_path / "b.csv", target="b").notes


def test_integers_with_few_rows_each_are_a_number(tmp_path, table):
    table[["a", "b"]].to_csv(tmp_path / "a.csv", index=False)
    data = load(tmp_path / "a.csv")
    assert data.classes == ()
    assert any("40 different integers in 40 rows and is taken as a number" in note for note in data.notes)
    table.assign(b=table["b"] % 3)[["a", "b"]].to_csv(tmp_path / "b.csv", index=False)
    assert load(tmp_path / "b.csv").classes == ("0", "1", "2")
    assert load(tmp_path / "b.csv", task="number").classes == ()
    ages = pd.DataFrame({"x": np.arange(1000.0), "age": np.arange(1000) % 80})
    ages.to_csv(tmp_path / "ages.csv", index=False)
    assert load(tmp_path / "ages.csv").classes == ()
    assert len(load(tmp_path / "ages.csv", task="classes").classes) == 80
    with pytest.raises(InputError, match="leave it out"):
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
        ("a.csv", _csv("city,b\nRome,2\nParis,4\n"), None, "column 'city' of .* not numbers; .*get_dummies"),
        ("a.csv", _csv("age,b\n1,2\n,4\n"), None, "column 'age' of .* 1 missing or infinite .* data row 2"),
        (
            "a.csv",
            _csv("age,b\n1,2\ninf,4\n"),
            None,
            "column 'age' of .* 1 missing or infinite .* data row 2",
        ),
        ("a.csv", _csv("age,b\n1,2\n2,\n"), None, "target column 'b' of .* 1 missing values"),
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
        ("a.npz", _npz(X=np.eye(3), y=np.arange(2.0)), None, "3 inputs and 2 targets"),
        ("a.npz", _npz(X=np.array([["a"], ["b"]]), y=np.arange(2.0)), None, "array X .* type <U1"),
        ("a.npz", _npz(X=np.arange(3), y=np.arange(3.0)), None, r"array X .* shape \(3,\)"),
        (
            "a.npz",
            _npz(X=np.array([[1.0], [np.nan]]), y=np.arange(2.0)),
            None,
            "X in .* 1 values that are NaN",
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
        ("data.xlsx", "a file ending in '.xlsx'; expected .npz, .csv, .parquet"),
        ("some/folder", "a path without an ending"),
    ],
)
def test_names_that_do_not_exist(name, sentence):
    with pytest.raises(InputError, match=sentence):
        load(name)


def test_target_of_a_set_that_has_its_own():
    with pytest.raises(InputError, match="has its own target"):
        load("digits", target="x")


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
        ([1.0, np.nan], "1 values that are NaN"),
        ([1.0, np.inf], "NaN or infinite"),
        (["a", None], "1 missing"),
        ([1.0], "1 samples"),
        ([], "0 samples"),
        (np.array(1.0), r"shape \(n,\) or \(n, c\); got \(\)"),
        (np.zeros((2, 2, 2)), "shape"),
        ([[1, 0], [0, 1]], "ambiguous"),
        ([1, 2, 3], "as many classes as samples"),
        (np.array(["a", 1], dtype=object), "mixes int, str"),
        (np.array([1j, 2j]), "type complex128"),
        (np.zeros((3, 0)), "constant"),
    ],
)
def test_targets_that_cannot_be_used(y, sentence):
    with pytest.raises(InputError, match=sentence):
        encode_targets(y)


def test_every_name_is_in_the_docstring():
    named = set(re.findall(r"`([a-z0-9-]+)`", datasets.load.__doc__ or ""))
    assert set(datasets.NAMES) <= named
