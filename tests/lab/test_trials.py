"""Trials are run once, kept on disk, and found again, even after a SIGKILL."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import joblib
import pytest
import threadpoolctl
import xarray as xr

from solvable.lab import TrialStore, files, keys, run, run_trials
from solvable.lab.run import stacked
from toy_wing.study import Parameters, study

HERE = Path(__file__).parent.parent


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Return a function that lists the trials run so far."""
    path = tmp_path / "log"
    monkeypatch.setenv("TOY_LOG", str(path))
    return lambda: sorted(int(line) for line in path.read_text().split()) if path.exists() else []


def _sweep(parameters, folder, trial=study.trial, **options) -> xr.Dataset:
    store = TrialStore.of_datasets(folder, "trial-{:04d}.nc".format)
    shared, calls = (parameters, study.prepare(parameters)), [(index,) for index in range(parameters.trials)]
    return stacked(run_trials(trial, shared, calls, store, **options))


def test_trials_are_stacked_and_do_not_depend_on_the_order_they_finish_in(tmp_path):
    one, many = (_sweep(Parameters(), tmp_path / str(n), n_jobs=n) for n in (1, 3))
    assert one.mse.dims == ("trial", "n_train", "sd")
    assert one.trial.values.tolist() == list(range(6))
    xr.testing.assert_identical(one, many)


def test_more_trials_extend_a_sweep(tmp_path, log):
    messages = []
    few = _sweep(Parameters(trials=2), tmp_path / "t", say=messages.append)
    more = _sweep(Parameters(trials=5), tmp_path / "t", say=messages.append)
    assert log() == [0, 1, 2, 3, 4]
    assert messages == ["Found 2 of 5 trials from an earlier run; measuring the other 3."]
    xr.testing.assert_identical(few, more.isel(trial=slice(2)))


def test_damaged_trials_are_run_again(tmp_path, log):
    whole = _sweep(Parameters(trials=4), tmp_path / "t")
    paths = sorted((tmp_path / "t").glob("trial-*.nc"))
    paths[1].write_bytes(paths[1].read_bytes()[:1000])
    paths[2].write_text("nonsense")
    paths[3].write_bytes(b"")
    xr.testing.assert_identical(whole, _sweep(Parameters(trials=4), tmp_path / "t"))
    assert log() == [0, 1, 1, 2, 2, 3, 3]


def test_blas_threads_share_the_cores_with_the_trials(tmp_path):
    threads = set()

    def trial(parameters, setting, index):
        pools = threadpoolctl.threadpool_info()
        threads.update(pool["num_threads"] for pool in pools if pool["user_api"] == "blas")
        return study.trial(parameters, setting, index)

    _sweep(Parameters(trials=3), tmp_path, trial, n_jobs=os.cpu_count())
    assert threads == {1}


def test_another_engine_through_the_same_call(tmp_path):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        elsewhere = _sweep(Parameters(trials=3), tmp_path / "loky")
    xr.testing.assert_identical(elsewhere, _sweep(Parameters(trials=3), tmp_path / "threads"))


def test_an_error_in_a_trial_keeps_the_finished_ones(tmp_path, log):
    def trial(parameters, setting, index):
        if index == 3:
            raise RuntimeError("no power")
        return study.trial(parameters, setting, index)

    with pytest.raises(RuntimeError, match="no power"):
        _sweep(Parameters(), tmp_path / "t", trial, n_jobs=1)
    assert len(list((tmp_path / "t").iterdir())) == 3


def _start(tmp_path: Path, seconds: float, *options: str) -> subprocess.Popen:
    environment = os.environ | {"TOY_LOG": str(tmp_path / "log"), "TOY_SECONDS": str(seconds)}
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment["PYTHONPATH"] = path.rstrip(os.pathsep)
    command = [sys.executable, "-m", "toy_wing", "run", "toy", "--runs-dir", str(tmp_path / "runs"), *options]
    # Children of a shell that runs the tests in the background ignore Ctrl-C.
    listen = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listen
    )


def _trial_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "runs").glob(".cache/toy/*/trial-*.nc"))


def _wait_for_trials(process: subprocess.Popen, tmp_path: Path, n: int) -> None:
    """Wait without a time limit until n trials are on disk, and fail if the program ends before."""
    while True:
        running = process.poll() is None
        if len(_trial_files(tmp_path)) >= n:
            return
        assert running, process.communicate()
        time.sleep(0.02)


def test_a_killed_run_resumes_where_it_stopped(tmp_path):
    process = _start(tmp_path, 0.2, "--n-jobs", "1", "--trials", "6")
    _wait_for_trials(process, tmp_path, 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    saved = _trial_files(tmp_path)
    assert 2 <= len(saved) < 6
    assert list((tmp_path / "runs").glob("toy/*")) == []
    # Leftovers of a process that was killed while writing, the second without its lock file.
    dead = f"{files._UNFINISHED}trial-0005.nc"
    (saved[0].parent / dead).write_text("half a trial")
    (saved[0].parent / f"{dead}{files._LOCK}").touch()
    (tmp_path / "runs" / "toy" / f"{files._UNFINISHED}0123").mkdir(parents=True)

    again = _start(tmp_path, 0, "--n-jobs", "1", "--trials", "6")
    out, err = again.communicate()
    assert again.returncode == 0, err
    assert f"Found {len(saved)} of 6 trials from an earlier run; measuring the other {6 - len(saved)}." in err
    assert "report.html" in out
    # A trial can be logged and killed before it is on disk, but trials on disk must not run again.
    runs = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert set(runs) == set(range(6))
    assert all(runs.count(int(path.stem.removeprefix("trial-"))) == 1 for path in saved)
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.name.startswith(files._UNFINISHED)]
    assert len(list((tmp_path / "runs").glob("toy/*/record.json"))) == 1


def test_ctrl_c_says_that_trials_are_kept(tmp_path):
    process = _start(tmp_path, 1, "--n-jobs", "1", "--trials", "50")
    _wait_for_trials(process, tmp_path, 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.strip() == "interrupted: finished trials are kept; rerun the same command to resume"


def test_leftovers_of_running_processes_stay(tmp_path):
    # A process id would be wrong in both cases: another container on this folder may have the same one.
    elsewhere = "from solvable.lab.files import locked\nfrom pathlib import Path\nimport sys\n"
    elsewhere += (
        "with locked(Path(sys.argv[1])) as path:\n    path.touch()\n    print('locked', flush=True)\n"
    )
    elsewhere += "    sys.stdin.read()\n"
    command = [sys.executable, "-c", elsewhere, str(tmp_path / "trial.nc")]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "locked\n"
    left = {path.name for path in tmp_path.iterdir()}
    assert f"{files._UNFINISHED}trial.nc" in left
    files.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == left
    other.kill()
    other.communicate()
    files.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_keys_follow_parameters_data_and_code(monkeypatch):
    setting = study.prepare(Parameters())
    base = keys.trial_key(study, Parameters(), setting)
    assert keys.trial_key(study, Parameters(trials=50), setting) == base
    assert keys.trial_key(study, Parameters(sd=(3.0,)), setting) != base
    assert keys.trial_key(study, Parameters(), None) != base
    few, many = (keys.record_key(study, Parameters(trials=n), setting) for n in (6, 50))
    assert few != many
    monkeypatch.setattr(keys, "_read", lambda *file: ("other code", frozenset()))
    assert keys.trial_key(study, Parameters(), setting) != base


def test_nothing_is_measured_twice_for_the_same_record(tmp_path, log):
    first = run(study, Parameters(trials=2), runs_dir=tmp_path / "runs", quiet=True)
    assert run(study, Parameters(trials=2), runs_dir=tmp_path / "runs", quiet=True).path == first.path
    assert log() == [0, 1]
