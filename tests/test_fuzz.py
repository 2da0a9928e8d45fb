"""Seeded attacks: options, files, records and caches drawn at random, commands side by side, signals at any moment.

Each ends with a result or a sentence, and no number changes.
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from solvable import datasets
from solvable.errors import InputError
from solvable.lab import find_record, records, run
from solvable.lab.parameters import as_text, parameter_fields
from solvable.lab.record import damaged_records
from solvable.wings import load_study, study_names
from toy_wing.study import Parameters, plain, study
from toy_wing.table import TOY

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
NUMBERS = (
    "1",
    "2",
    "3",
    "0.5",
    "0",
    "-1",
    "-0.0",
    "1e-300",
    "1e300",
    "nan",
    "inf",
    "-inf",
    "1e12",
    "1e18",
    "9" * 400,
    "",
    "x",
    "1,1",
    "1;2",
)


def _assert_result_or_sentence(code: int, out: str, err: str, words: Any) -> None:
    assert code in (0, 2), (words, err)
    assert "Traceback" not in err, words
    if code == 2:
        (line,) = err.splitlines()
        assert line.startswith("error: "), words
        assert len(line) < 1200, words


@pytest.mark.filterwarnings("ignore::UserWarning")  # such as that a network starts far from the condition
@pytest.mark.parametrize("name", study_names())
def test_options_at_random(name: str, tmp_path: Path, command_line: Any) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    chosen = load_study(name)
    fields = parameter_fields(chosen.Parameters)
    tiny = [
        f"{field.option}={as_text(value)}"
        for field in fields
        if (value := getattr(chosen.tiny, field.name)) != field.default and not isinstance(value, bool)
    ]
    sentences = 0
    for _ in range(12):
        changed = rng.choice(len(fields), rng.integers(1, 3), replace=False)
        words = [f"{fields[i].option}={rng.choice(NUMBERS)}" for i in changed]
        kept = [word for word in tiny if word.split("=")[0] not in {fields[i].option for i in changed}]
        ends = command_line("run", name, *kept, *words, "--runs-dir", tmp_path, "--n-jobs", "1", "--quiet")
        _assert_result_or_sentence(*ends, words)
        sentences += ends[0] == 2
    print(f"options of {name}: 12 draws, {sentences} sentences, {12 - sentences} results")


def _flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with one of the damages that disks and people do."""
    if not content:
        return b"\0"
    kind, place = rng.integers(5), int(rng.integers(len(content)))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + content[place + 1 :]
    if kind == 2:
        return content + rng.bytes(9)
    if kind == 3:
        return content[:place] + rng.bytes(9) + content[place + 9 :]
    return content[:place] + bytes([content[place] ^ 1 << int(rng.integers(8))]) + content[place + 1 :]


def test_records_and_caches_damaged_at_random(tmp_path: Path, command_line: Any) -> None:
    rng, sound = np.random.default_rng(0), tmp_path / "sound"
    expected = run(plain, Parameters(trials=3), runs_dir=sound, quiet=True)
    damaged = 0
    for i in range(24):
        folder = tmp_path / f"damaged{i}"
        shutil.copytree(sound, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in rng.choice(np.array(files), rng.integers(1, 4), replace=False):
            if rng.random() < 0.2:
                path.unlink()
            else:
                path.write_bytes(_flipped(path.read_bytes(), rng))
        options = ("--runs-dir", str(folder))
        for words in (("runs",), ("show", "latest")):
            _assert_result_or_sentence(*command_line(*words, *options, wings=TOY), words)
        damaged += len(damaged_records(folder))
        # The same command has the same result, from the record, the trials that are sound, or anew.
        again = run(plain, Parameters(trials=3), runs_dir=folder, quiet=True)
        assert find_record(again.name, folder).path == again.path
        xr.testing.assert_identical(again.measurement, expected.measurement)
        xr.testing.assert_identical(again.prediction, expected.prediction)
        pd.testing.assert_frame_equal(again.comparison.table, expected.comparison.table)
        shutil.rmtree(folder)
    print(
        f"records: 24 folders with 1 to 3 damaged files, {damaged} damaged records named, no number changed"
    )
    assert damaged > 8


def test_files_damaged_at_random(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"a": rng.standard_normal(40), "b": list("xyzw") * 10, "y": rng.integers(0, 3, 40)})
    table.to_parquet(parquet := io.BytesIO())
    np.savez(npz := io.BytesIO(), X=rng.standard_normal((40, 3)), y=np.arange(40) % 4)
    sound = {
        ".csv": table.to_csv(index=False).encode(),
        ".parquet": parquet.getvalue(),
        ".npz": npz.getvalue(),
    }
    counts = {"read": 0, "refused": 0}
    for i in range(450):
        ending = list(sound)[i % 3]
        content = sound[ending]
        for _ in range(rng.integers(1, 3)):
            content = _flipped(content, rng)
        path = tmp_path / f"file{ending}"
        path.write_bytes(content)
        try:
            data = datasets.load(path, missing="drop", quiet=True)
        except InputError:
            counts["refused"] += 1
        else:
            assert np.isfinite(data.X).all()
            assert len(data.X) == len(data.y) >= 2
            counts["read"] += 1
    print(f"files of users: 450, {counts}")
    assert min(counts.values()) > 20


def _start(runs_dir: Path, words: list[str], **variables: str) -> subprocess.Popen:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = os.environ | {"PYTHONPATH": path} | variables
    command = [sys.executable, "-m", "toy_wing", *words, "--runs-dir", str(runs_dir)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Children of a shell that runs the tests in the background ignore Ctrl-C.
    listen = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(command, env=environment, preexec_fn=listen, **pipes)


def test_commands_side_by_side_at_random(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    runs = [["run", "toy", "--trials", str(n)] for n in (2, 3, 4)]
    others = [["runs"], ["show", "latest"], ["runs", "clear-cache"], ["runs", "delete", "latest"]]
    for _ in range(4):
        chosen = [
            runs[rng.integers(3)],
            runs[rng.integers(3)],
            others[rng.integers(4)],
            others[rng.integers(4)],
        ]
        processes = [_start(tmp_path, words) for words in chosen]
        for process, words in zip(processes, chosen, strict=True):
            _, err = process.communicate()
            assert "Traceback" not in err, (words, err)
            # There may be no record to show or delete.
            assert process.returncode in ((0,) if words[0] == "run" else (0, 2)), (words, err)
        assert damaged_records(tmp_path) == []
        keys = [record.key for record in records(tmp_path)]
        assert len(keys) == len(set(keys))
    for record in records(tmp_path):
        expected = run(
            study, Parameters(trials=record.parameters["trials"]), runs_dir=tmp_path / "sound", quiet=True
        )
        xr.testing.assert_identical(record.measurement, expected.measurement)


@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_signals_at_random_moments(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(3)
    expected = run(study, Parameters(trials=12), runs_dir=tmp_path / "sound", quiet=True)
    runs_dir, words = tmp_path / "runs", ["run", "toy", "--trials", "12", "--n-jobs", "2", "--quiet"]
    kept: dict[str, bytes] = {}
    for i in range(4):
        log = tmp_path / f"log{i}"
        process = _start(runs_dir, words, TOY_SECONDS="0.05", TOY_LOG=str(log))
        # Before its first import is complete, Python itself prints a traceback at Ctrl-C.
        while kind == "SIGINT" and not log.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3 if kind == "SIGINT" else 1.5))
        process.send_signal(getattr(signal, kind))
        _, err = process.communicate()
        assert "Traceback" not in err
        assert process.returncode in (0, 130, -getattr(signal, kind))
        # What was kept before is there to the bit, and there is no half record.
        found = {path.name: path.read_bytes() for path in runs_dir.glob(".cache/toy/*/trial-*")}
        assert kept.items() <= found.items()
        kept = found
        assert damaged_records(runs_dir) == []
    record = run(study, Parameters(trials=12), runs_dir=runs_dir, quiet=True)
    xr.testing.assert_identical(record.measurement, expected.measurement)
    assert len(records(runs_dir)) == 1
