"""Damaged, endless and huge files, and strange names: one short sentence each."""

import io
import os
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from solvable import machine
from solvable.cli import main
from solvable.datasets import csv_files, files, from_arrays, load, readers
from solvable.datasets.readers import read_column
from solvable.errors import InputError
from solvable.regression.own_model import read_measured

X = np.arange(40.0).reshape(20, 2) ** 1.1
Y = np.arange(20.0) ** 1.5
STRANGE = "\x1b[31mred\u202e"


def _npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _claims(shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(80)


def _refused(function, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        function()
    message = str(caught.value)
    assert len(message) < 700
    assert message.isprintable()


MEMBERS = {
    "no array": (b"hello", "X", "is not an array; expected one of numbers or text"),
    "garbage": (b"hello", "X.npy", "is not an array"),
    "empty": (b"", "X.npy", "is not an array"),
    "cut": (_npy(X)[:200], "X.npy", "cannot be read as a .npz archive"),
    "objects": (_npy(np.array([[1, None]])), "X.npy", "Object arrays cannot be loaded"),
    "huge": (_claims((10**9, 10**9)), "X.npy", "needs more memory than is free"),
    "negative": (_claims((-3, 10)), "X.npy", "cannot be read as a .npz archive"),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_members_of_an_archive(tmp_path, case):
    content, member, sentence = MEMBERS[case]
    path = tmp_path / "a.npz"
    for other, role in (("y.npy", "X"), ("x_train.npy", "y_train")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member.replace("X", role), content)
            archive.writestr(other, _npy(Y if role == "X" else X))
        _refused(lambda: load(path), sentence)
        _refused(lambda role=role: read_column(path, "a.npz", role), sentence)


@pytest.mark.parametrize("content", [b"", b"garbage" * 50, _npy(X), b"PK\x03\x04" + bytes(90)])
def test_files_that_are_no_archive(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    _refused(lambda: load(path), "cannot be read as a .npz archive")
    _refused(lambda: read_column(path, "a.npz", "X"), "cannot be read as a .npz archive")


def test_more_than_the_memory(tmp_path, monkeypatch):
    columns = {"a": np.arange(40000.0) % 7, "y": np.arange(40000.0) % 5}
    np.savez_compressed(tmp_path / "a.npz", X=np.c_[columns["a"], columns["a"]], y=columns["y"])
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("a,y\n" + "1.5,2.5\n2.5,3.5\n" * 20000)
    np.save(tmp_path / "a.npy", columns["a"])
    monkeypatch.setattr(machine, "free_memory", lambda: 100_000)
    for ending in ("npz", "parquet", "csv"):
        _refused(lambda ending=ending: load(tmp_path / f"a.{ending}"), "of memory and 0.0 GB are free")
        name = "y" if ending != "csv" else "a"
        _refused(
            lambda ending=ending, name=name: read_column(tmp_path / f"a.{ending}", "a", name), "GB are free"
        )
    _refused(lambda: files.read_npy(tmp_path / "a.npy", "a.npy"), "GB are free")
    monkeypatch.setattr(readers, "_SMALL_FILE", 0)
    assert len(load(tmp_path / "a.csv", rows=50).X) == 50


@pytest.mark.parametrize(
    "content", [b"", b"garbage", _npy(X)[:20], _npy(X)[:150], _claims((10**9, 10**9)), _npy(np.array([None]))]
)
def test_embeddings(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    _refused(
        lambda: files.read_npy(tmp_path / "a.npy", "a.npy"),
        "(cannot be read as a .npy file|needs more memory)",
    )


@pytest.mark.parametrize("metadata", [b"[1]", b"{x", b'{"columns": null, "index_columns": null}', b"\xff"])
def test_metadata_of_parquet(tmp_path, metadata):
    table = pa.table({"a": Y, "y": Y[::-1]}).replace_schema_metadata({b"pandas": metadata})
    parquet.write_table(table, tmp_path / "a.parquet")
    _refused(lambda: load(tmp_path / "a.parquet"), "cannot be read as a Parquet table")


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (pa.array([[1.0, 2.0]] * 20), "holds ndarray values"),
        (pa.array([{"u": 1}] * 20), "holds dict values"),
        (pa.nulls(20), "missing values"),
        (pa.array([b"\xff", b"a"] * 10).view(pa.string()), "cannot be read as a Parquet table"),
    ],
)
def test_columns_of_parquet(tmp_path, column, sentence):
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a": Y, "b": column, "y": Y[::-1]}), path)
    _refused(lambda: load(path), sentence)
    _refused(lambda: load(path, target="b"), sentence)
    _refused(lambda: load(path, rows=10), sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a" * 17_000_000, "a line of more than 16000000 characters"),
        ("1.2," * 4_250_000, "a line of more than 16000000 characters"),
        ("a,y\n" + "x" * 200_000 + ",2\n3,4\n", "cannot be read as a CSV table .field larger"),
        ("a,y\n" + "1,2\n" * 60 + "x" * 200_000 + ",2\n3,\n", "field larger"),
        ("a\0,y\n1,2\n3,4\n", "characters with the code 0"),
        ("a,y\n" + "x,2.5\nz,3.5\n" * 60 + "z\0,4\n", "characters with the code 0"),
        (f"{STRANGE},y\n1,{STRANGE}\n2,{STRANGE}\n", "one class only"),
        ("x" * 100_000 + ",y\n1,2.5\n,3\n4,5\n", "missing values"),
        (f"{STRANGE},y\n1,2.5\n,3\n4,5\n", "missing values"),
    ],
)
def test_csv(tmp_path, text, sentence):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    _refused(lambda: load(path), sentence)


def test_a_wide_table(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 8_000)).round(3)
    lines = [",".join(f"c{i}" for i in range(8_000)), *(",".join(map(str, row)) for row in values)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    data = load(tmp_path / "a.csv")
    np.testing.assert_allclose(data.y[:, 0], values[:, -1] - values[:, -1].mean())
    inputs = values[:, :-1]
    np.testing.assert_allclose(data.X, (inputs - inputs.mean(0)) / inputs.std(0), atol=1e-9)
    _refused(lambda: load(tmp_path / "a.csv", target="c77x"), "c19 and 7980 more; did you mean 'c77")


def test_names_in_notes(tmp_path):
    (tmp_path / "a.csv").write_text(
        f"{STRANGE},{'x' * 500},b,y\n1,1,2,3.5\n2,1,1,4.5\n3,1,5,5.5\n", encoding="utf-8"
    )
    notes = load(tmp_path / "a.csv", drop=[STRANGE]).notes
    assert notes[0] == r"columns dropped as requested: \x1b[31mred\u202e"
    assert all(note.isprintable() and len(note) < 200 for note in notes)


@pytest.mark.parametrize(
    "name", ["a" * 5000 + ".csv", "a\0.csv", "~nobody-of-this-name/a.csv", "\udcff\x1b.npz"]
)
def test_paths(tmp_path, name):
    _refused(lambda: load(name), "there is no file")
    _refused(lambda: read_column(tmp_path / name, name, "y"), "there is no file")
    _refused(lambda: read_measured(tmp_path / name), "there is no file")


def test_no_regular_files(tmp_path):
    (tmp_path / "d.csv").mkdir()
    os.mkfifo(tmp_path / "f.csv")
    (tmp_path / "z.csv").symlink_to("/dev/zero")
    for name, kind in (("d.csv", "is a folder"), ("f.csv", "is a pipe"), ("z.csv", "is a pipe or device")):
        _refused(lambda name=name: load(tmp_path / name), kind)


def test_images_beyond_the_squares_of_floats():
    images = np.array([1e300, -1e300] * 40).reshape(20, 2, 2)
    _refused(lambda: from_arrays(images, Y), "whose squares are beyond floating point")


def test_measurements_are_few(tmp_path):
    (tmp_path / "m.csv").write_text("1.2," * 300_000)
    _refused(lambda: read_measured(tmp_path / "m.csv"), "has 1200000 bytes, more than 1000000")


def test_structures_are_no_labels(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, y=np.zeros(20, dtype=[("a", "f8")]))
    _refused(lambda: load(tmp_path / "a.npz"), "has the type .*expected labels or numbers")


@pytest.mark.parametrize("command", ["diagnose", "noise-profile"])
def test_commands_end_with_a_sentence(tmp_path, capsys, command):
    (tmp_path / "a.csv").write_text("1.2," * 1_250_000)
    (tmp_path / "a.npz").write_bytes(b"")
    for path in (tmp_path / "a.csv", tmp_path / "a.npz", "~nobody-of-this-name/a.csv"):
        with pytest.raises(SystemExit) as caught:
            main([command, str(path)])
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert "expected" in error
        assert "Traceback" not in error


@pytest.mark.parametrize(("cell", "times"), [("1", 15), ("0.123456789012", 3)])
def test_short_cells_take_more_than_the_file(tmp_path, monkeypatch, cell, times):
    path = tmp_path / "a.csv"
    header = ",".join(f"c{i}" for i in range(200))
    path.write_text("\n".join([header, *[",".join([cell] * 200)] * 3000]) + "\n")
    size = path.stat().st_size
    # pandas needs about 45 bytes for a number; long ones are the file's own size, three times.
    for free, fits in ((times * size, False), (2 * times * size, True)):
        monkeypatch.setattr(machine, "free_memory", lambda free=free: int(0.95 * free))
        file = csv_files.CsvFile.of(path, "a.csv")
        if fits:
            assert file.read().shape == (3000, 200)
        else:
            _refused(file.read, "GB are free")
