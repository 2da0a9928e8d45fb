"""Commands side by side on one folder: equal runs, other runs, and commands that delete what a run is writing."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import xarray as xr

from solvable.cli import main
from solvable.lab import Record, TrialStore, files, records, run
from solvable.lab.record import damaged_records
from solvable.wings import Wing
from toy_wing.study import Parameters, plain

HERE = Path(__file__).parent.parent
WINGS = (Wing("toy", studies={"toy": "toy_wing.study:study"}),)


def _left(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.startswith(files._UNFINISHED)]


def _start(runs_dir: Path, *options: str, **variables: str) -> subprocess.Popen:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    command = [
        sys.executable,
        "-m",
        "toy_wing",
        "run",
        "toy",
        "--runs-dir",
        str(runs_dir),
        "--quiet",
        *options,
    ]
    environment = os.environ | {"PYTHONPATH": path} | variables
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("n", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_equal_runs_make_one_record_that_all_show(tmp_path, n):
    ends = [process.communicate() for process in [_start(tmp_path, "--trials", "3") for _ in range(n)]]
    assert [err for _, err in ends] == [""] * n
    (record,) = records(tmp_path)
    assert {out for out, _ in ends} == {f"{record.path}\n"}
    assert [path.name for path in (tmp_path / "toy").iterdir()] == [record.name]
    assert damaged_records(tmp_path) == []
    assert _left(tmp_path) == []


def test_equal_runs_in_threads_that_finish_at_once_make_one_record(tmp_path):
    barrier = threading.Barrier(4)

    def conclude(*_):
        barrier.wait()
        return "Yes."

    together = replace(plain, conclude=conclude)
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(run, together, Parameters(trials=1), runs_dir=tmp_path, n_jobs=1, quiet=True)
            for _ in range(4)
        ]
        paths = {job.result().path for job in jobs}
    assert paths == {record.path for record in records(tmp_path)}
    assert len(paths) == 1


def test_the_first_of_two_outcomes_stays(tmp_path):
    stores = [
        TrialStore.of_tuples(tmp_path, "trial-{}.json".format, lambda *values: values) for _ in range(2)
    ]
    assert stores[0].kept((0,), (0.5, 1.0)) == (0.5, 1.0)
    # Measured at the same time by another process, in other seconds.
    assert stores[1].kept((0,), (0.5, 2.0)) == (0.5, 1.0)
    with ThreadPoolExecutor(8) as pool:
        kept = set(pool.map(lambda i: stores[i % 2].kept((1,), (0.5, float(i))), range(16)))
    assert len(kept) == 1
    assert stores[0].found([(0,), (1,)]) == {(0,): (0.5, 1.0), (1,): kept.pop()}
    assert _left(tmp_path) == []


def test_clearing_the_cache_hurts_no_run(tmp_path):
    process = _start(tmp_path, "--trials", "40", "--n-jobs", "1", TOY_SECONDS="0.02")
    cleared = 0
    while process.poll() is None:
        cleared += 1
        main(["runs", "clear-cache", "--runs-dir", str(tmp_path), "--quiet"], WINGS)
    out, err = process.communicate()
    assert err == ""
    assert process.returncode == 0
    assert cleared > 5
    (record,) = records(tmp_path)
    assert out == f"{record.path}\n"
    expected = run(plain, Parameters(trials=40), runs_dir=tmp_path / "undisturbed", quiet=True)
    xr.testing.assert_identical(record.measurement, expected.measurement)


def test_a_folder_that_vanishes_while_a_trial_is_written(tmp_path):
    store = TrialStore.of_tuples(tmp_path / "cache", "{}/trial.json".format, lambda *values: values)
    times = []

    def vanishes(outcome):
        times.append(outcome)
        if len(times) < 4:
            files.remove(tmp_path / "cache")
        return b"[1]"

    object.__setattr__(store, "encode", vanishes)
    assert store.kept(("a",), (1,)) == (1,)
    assert len(times) == 4
    assert store.found([("a",)]) == {("a",): (1,)}


def test_deleting_records_hurts_no_run(tmp_path, capsys):
    done = threading.Event()

    def delete() -> None:
        while not done.is_set():
            for record in records(tmp_path):
                files.remove(record.path)

    thread = threading.Thread(target=delete)
    thread.start()
    try:
        for trials in range(1, 6):
            record = run(plain, Parameters(trials=trials), runs_dir=tmp_path, quiet=True)
            assert record.comparison.summary["mse"].points
            assert record.parameters["trials"] == trials
    finally:
        done.set()
        thread.join()
    assert damaged_records(tmp_path) == []
    assert _left(tmp_path) == []


def test_two_records_of_one_second_have_two_names(tmp_path):
    first = run(plain, Parameters(trials=1), runs_dir=tmp_path, quiet=True)
    (first.path / "comparison.csv").unlink()
    again = run(plain, Parameters(trials=1), runs_dir=tmp_path, quiet=True)
    assert again.path != first.path
    assert Record.load(again.path).key == first.key
