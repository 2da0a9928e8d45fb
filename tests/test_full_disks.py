"""Disks that are full or cannot be written, closed pipes, and output that cannot be shown: one sentence each."""

import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from solvable.cli import main
from solvable.errors import InputError
from solvable.lab import figure, files, records

HERE = Path(__file__).parent
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")


def _toy(runs_dir: Path, *words: str, largest: int | None = None, **options) -> subprocess.CompletedProcess:
    """Run the toy wing where no file can be larger than `largest` bytes, as on a disk that is nearly full."""
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    limit = (
        None if largest is None else partial(resource.setrlimit, resource.RLIMIT_FSIZE, (largest, largest))
    )
    return subprocess.run(
        [sys.executable, "-m", "toy_wing", *words, "--runs-dir", str(runs_dir)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options,
        env=os.environ | {"PYTHONPATH": path},
        preexec_fn=limit,
        check=False,
    )


def _sentence(end: subprocess.CompletedProcess) -> str:
    assert end.returncode == 2, end.stderr
    (line,) = end.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_full_disk_keeps_what_was_finished(tmp_path):
    # No trial fits; then trials fit, but not the figure of the record.
    line = _sentence(_toy(tmp_path, "run", "toy", "--trials", "2", largest=1000))
    assert "cannot write" in line
    assert "make room there or choose another folder" in line
    assert list(tmp_path.rglob("trial-*")) == []
    line = _sentence(_toy(tmp_path, "run", "toy", "--trials", "2", largest=12_000))
    assert "cannot write" in line
    assert len(list(tmp_path.glob(".cache/toy/*/trial-*"))) == 2
    assert records(tmp_path) == []
    assert [path.name for path in (tmp_path / "toy").glob("*")] == []
    end = _toy(tmp_path, "run", "toy", "--trials", "2", "--quiet")
    assert end.returncode == 0
    assert "Found" not in end.stderr
    assert len(records(tmp_path)) == 1
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(files._UNFINISHED)]


@needs_full
@pytest.mark.parametrize("words", [["list"], ["--help"], ["runs"]])
def test_output_on_a_full_disk(tmp_path, words):
    with FULL.open("w") as full:
        end = _toy(tmp_path, *words, stdout=full)
        assert _sentence(end) == (
            "error: cannot write the output (No space left on device); expected room on the disk"
        )
        assert _toy(tmp_path, *words, stdout=full, stderr=full).returncode == 2


@pytest.mark.parametrize("words", [["list"], ["--help"], ["run", "toy", "--trials", "2"]])
def test_a_reader_that_closes_the_pipe_is_no_error(tmp_path, words):
    reader, writer = os.pipe()
    os.close(reader)
    end = _toy(tmp_path, *words, stdout=writer)
    os.close(writer)
    assert end.returncode == 0
    assert "error" not in end.stderr


@pytest.mark.parametrize("command", [["runs"], ["run", "toy"], ["show", "latest"], ["runs", "clear-cache"]])
@pytest.mark.parametrize("kind", ["file", "below a file", "long"])
def test_a_folder_that_cannot_be(tmp_path, kind, command):
    (tmp_path / "file").write_text("")
    folder = {"file": "file", "below a file": "file/runs", "long": "a" * 300}[kind]
    end = _toy(tmp_path / folder, *command)
    if end.returncode:
        _sentence(end)
    else:  # there is nothing below a file
        assert kind != "long"
        assert command[-1] in ("clear-cache", "runs")
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder of Linux in which nobody can write")
def test_a_folder_in_which_nobody_can_write():
    end = _toy(Path("/proc/solvable"), "run", "toy")
    assert "cannot keep trials in '/proc/solvable/.cache" in _sentence(end)


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_no_half_figure_remains(tmp_path, ending, monkeypatch):
    drawn, _ = figure.subplots()
    (old := tmp_path / f"figure{ending}").write_text("the old one")

    def fails(self, path, **options):
        Path(path).write_text("half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(type(drawn), "savefig", fails)
    with pytest.raises(InputError, match=r"cannot write '.*' \(No space left on device\)"):
        figure.save(drawn, old)
    assert old.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [old]


def test_no_half_profile_remains(tmp_path, monkeypatch):
    def fails(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(InputError, match="No space left on device"):
        files.write_netcdf(xr.Dataset({"a": 1}), tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_the_text_comes_before_the_figure(tmp_path, monkeypatch, capsys):
    from solvable.overfitting import command

    def fails(*_, **options):
        raise InputError("no ink")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "draw_profile", fails)
    small = [
        "noise-profile",
        "wine",
        "--estimator",
        "sklearn.neighbors:KNeighborsClassifier",
        "--trials",
        "1",
    ]
    with pytest.raises(SystemExit):
        main([*small, "--train-sizes", "20,40", "--figure", "figure.png"])
    out, err = capsys.readouterr()
    assert "Data: wine" in out
    assert "written" not in out
    assert err == "error: no ink\n"


@pytest.mark.filterwarnings("error")
def test_a_profile_in_which_nothing_is_learned_has_a_figure(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    np.savez("noise.npz", X=rng.standard_normal((200, 3)), y=rng.integers(0, 2, 200))
    words = [
        "--estimator",
        "sklearn.neighbors:KNeighborsClassifier",
        "--trials",
        "2",
        "--figure",
        "figure.svg",
    ]
    main(["noise-profile", "noise.npz", *words])
    assert "written: figure.svg" in capsys.readouterr().out
    assert Path("figure.svg").stat().st_size > 1000


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_of_the_output_shows_everything(tmp_path, encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    for words in (["list"], ["run", "toy", "--trials", "2"], ["run", "toy", "--trials", "2", "--json"]):
        end = _toy(tmp_path, *words, text=False)
        assert end.returncode == 0, end.stderr
        assert end.stdout.decode(encoding)
