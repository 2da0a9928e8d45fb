"""Commands side by side on one folder: equal runs, other runs, and commands that delete what a run is writing."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import xarray as xr

from solvable.cli import main
from solvable.lab import Record, TrialStore, files, records, run, run_trials
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
        time.sleep(0.005)
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


def test_a_run_whose_twin_is_killed_while_it_writes_takes_over(tmp_path):
    # The leftover came after leftovers were removed, while the lock was waited for.
    leftover = tmp_path / f"{files._UNFINISHED}key"
    leftover.mkdir()
    (leftover / "half").touch()
    with files.locked(tmp_path / "key") as temporary:
        assert temporary == leftover
        assert not temporary.exists()


def test_trials_that_finished_before_another_failed_are_kept(tmp_path):
    """Those whose outcomes were not yet looked at when the failure came, too."""
    store = TrialStore.of_tuples(tmp_path, "trial-{}.json".format, lambda *values: values)
    started = threading.Barrier(2)

    def trial(index: int) -> tuple[int]:
        if index < 2:
            started.wait()
        if index == 1:
            while len(list(tmp_path.glob("trial-*"))) < 5:
                time.sleep(0.01)
            raise RuntimeError("no power")
        return (index,)

    with pytest.raises(RuntimeError, match="no power"):
        run_trials(trial, (), [(i,) for i in range(6)], store, n_jobs=2, quiet=True)
    assert set(store.found([(i,) for i in range(6)])) == {(0,), (2,), (3,), (4,), (5,)}


def test_files_of_users_stay_what_they_are(tmp_path):
    target, link, pipe = tmp_path / "target.nc", tmp_path / "link.nc", tmp_path / "pipe"
    target.touch(mode=0o600)
    target.chmod(0o600)
    link.symlink_to(target)
    files.write_netcdf(xr.Dataset({"a": 1}), link)
    assert link.is_symlink()
    assert files.read_netcdf(target).a == 1
    assert target.stat().st_mode & 0o777 == 0o600
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    with files.atomically(pipe) as path:
        path.write_bytes(b"through")
    reader.join()
    assert received == [b"through"]
    assert pipe.is_fifo()


def test_names_that_are_no_unicode_are_recorded(tmp_path):
    name = os.fsdecode(b"a\xff")
    record = run(plain, Parameters(trials=1, label=name), runs_dir=tmp_path, quiet=True)
    assert Record.load(record.path).parameters["label"] == name
    assert "a\\udcff" in (record.path / "report.html").read_text()


def test_a_closed_stderr_ends_no_run(tmp_path):
    run(
        plain, Parameters(trials=1), runs_dir=tmp_path, quiet=True
    )  # whose trial the other run finds, and says so
    reader, writer = os.pipe()
    os.close(reader)
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    command = [sys.executable, "-m", "toy_wing", "run", "toy", "--trials", "2", "--runs-dir", str(tmp_path)]
    end = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=writer, check=False
    )
    os.close(writer)
    assert end.returncode == 0
    assert b"report.html" in end.stdout
    assert len(records(tmp_path)) == 2
