"""Trials on a real dask cluster of processes: equal numbers even if processes are killed, and the error messages.

Workers refuse code that differs from the client's, so these tests fail if a source file of the library is edited while
they run.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import threadpoolctl
import xarray as xr

from solvable.cli import main
from solvable.errors import InputError
from solvable.lab import Record, TrialStore, cluster, run, run_trials
from solvable.lab.run import stacked
from toy_wing.study import Parameters, study
from toy_wing.table import TOY

pytest.importorskip("distributed")

HERE = Path(__file__).parent.parent


class Processes:
    """A scheduler and single-threaded workers on the loopback interface."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "trials"
        self.workers: list[subprocess.Popen] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(file))
        _until(lambda: file.exists() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"]

    def add_worker(self) -> None:
        self.workers.append(self._start("worker", self.address, "--no-nanny", "--nthreads", "1"))

    def _start(self, role: str, *options: str) -> subprocess.Popen:
        path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        environment = os.environ | {"PYTHONPATH": path, "TOY_SECONDS": "0.2", "TOY_LOG": str(self.log)}
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", *options]
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--no-dashboard"], env=environment, stdout=log, stderr=log
            )

    def kill(self, *processes: subprocess.Popen) -> None:
        for process in processes:
            process.kill()
            process.wait()
            self.workers = [worker for worker in self.workers if worker is not process]


@contextmanager
def _processes(folder: Path, n_workers: int):
    processes = Processes(folder)
    try:
        for _ in range(n_workers):
            processes.add_worker()
        yield processes
    finally:
        processes.kill(*processes.workers, processes.scheduler)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with _processes(tmp_path_factory.mktemp("cluster"), 2) as processes:
        yield processes


@pytest.fixture
def pair(shared):
    """Return the cluster with two workers, replacing those that earlier tests killed."""
    while len(shared.workers) < 2:
        shared.add_worker()
    shared.log.unlink(missing_ok=True)
    return shared


def _until(condition) -> None:
    """Wait without a time limit, since the machine may be slow."""
    while not condition():
        time.sleep(0.02)


@contextmanager
def _after_trials(n: int, folder: Path, act):
    """Call `act` in a thread as soon as `folder` has n trials."""
    over = threading.Event()

    def wait() -> None:
        while not over.wait(0.02):
            if len(list(folder.glob("**/trial-*.nc"))) >= n:
                act()
                break

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _sweep(folder, trials: int, address: str | None = None, changed=study, **options) -> xr.Dataset:
    parameters = Parameters(trials=trials)
    store = TrialStore.of_datasets(folder, "trial-{:04d}.nc".format)
    shared, calls = (parameters, changed.prepare(parameters)), [(index,) for index in range(trials)]
    return stacked(run_trials(changed.trial, shared, calls, store, cluster=address, quiet=True, **options))


def _fails(capsys, *tokens: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(tokens, wings=TOY)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ")
    return err


@pytest.mark.slow
def test_the_regression_study_gives_the_same_numbers_as_here(pair, tmp_path, capsys, monkeypatch):
    command = ["run", "regression", "--n-train", "32,64", "--trials", "4", "--quiet", "--runs-dir"]
    main([*command, str(tmp_path / "here")])
    monkeypatch.setenv("SOLVABLE_CLUSTER", pair.address)
    main([*command, str(tmp_path / "there")])
    out, err = capsys.readouterr()
    assert err == ""
    here, there = (Record.load(path).measurement for path in out.split())
    assert there.sizes["trial"] == 4
    xr.testing.assert_allclose(there, here, rtol=1e-10, atol=0)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(pair, tmp_path):
    victim = pair.workers[0]
    with _after_trials(3, tmp_path / "there", lambda: pair.kill(victim)):
        there = _sweep(tmp_path / "there", 16, pair.address)
    assert victim not in pair.workers
    xr.testing.assert_allclose(there, _sweep(tmp_path / "here", 16), rtol=1e-10, atol=0)


@pytest.mark.slow
def test_without_workers_a_run_ends_and_goes_on_later(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "GONE_AFTER", 1.5)
    sentence = "has had no worker for 1.5 s; .* rerun the same command to resume"
    with (
        _after_trials(2, tmp_path, lambda: pair.kill(*pair.workers)),
        pytest.raises(InputError, match=sentence),
    ):
        _sweep(tmp_path, 30, pair.address)
    n_trials = len(list(tmp_path.glob("trial-*.nc")))
    assert 2 <= n_trials < 30
    with pytest.raises(InputError, match=sentence):  # none from the start
        _sweep(tmp_path, 30, pair.address)

    monkeypatch.setattr(cluster, "GONE_AFTER", 20.0)
    pair.add_worker()
    messages = []
    there = _sweep(tmp_path, n_trials + 2, pair.address, say=messages.append)
    assert messages == [
        f"Found {n_trials} of {n_trials + 2} trials from an earlier run; measuring the other 2."
    ]
    assert there.sizes["trial"] == n_trials + 2


@pytest.mark.slow
def test_workers_that_come_after_all_have_died_go_on(pair, tmp_path):
    def change_shift() -> None:
        pair.kill(*pair.workers)
        pair.add_worker()

    with _after_trials(2, tmp_path / "there", change_shift):
        there = _sweep(tmp_path / "there", 8, pair.address)
    xr.testing.assert_allclose(there, _sweep(tmp_path / "here", 8), rtol=1e-10, atol=0)


@pytest.mark.slow
def test_each_worker_receives_the_setting_once_and_has_one_blas_thread(pair, tmp_path):
    received = tmp_path / "received"

    class Setting:
        def __init__(self) -> None:
            self.gram = np.eye(1000)

        def __setstate__(self, state) -> None:
            self.__dict__ |= state
            with received.open("a") as file:
                file.write(f"{os.getpid()}\n")

    def trial(parameters, setting, index):
        blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        return xr.Dataset({"blas": max(blas), "trace": setting.gram.trace()})

    there = _sweep(
        tmp_path / "t", 8, pair.address, replace(study, trial=trial, prepare=lambda parameters: Setting())
    )
    assert (there.blas == 1).all()
    assert (there.trace == 1000).all()
    pids = received.read_text().split()
    assert len(pids) == len(set(pids)) <= 2


@pytest.mark.slow
def test_an_error_in_a_trial_is_the_users_own_and_n_jobs_is_kept(pair, tmp_path):
    def trial(parameters, setting, index):
        if index == 3:
            raise RuntimeError("no power")
        return study.trial(parameters, setting, index)

    with pytest.raises(RuntimeError, match="no power"):
        _sweep(tmp_path, 6, pair.address, replace(study, trial=trial), n_jobs=1)
    assert len(list(tmp_path.glob("trial-*.nc"))) == 3


@pytest.mark.slow
def test_code_that_a_worker_cannot_load_is_a_sentence(pair, tmp_path, monkeypatch):
    import types

    module = types.ModuleType("only_here")
    exec("def trial(parameters, setting, index): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(
        InputError, match=r"cannot load the trials' shared data \(.*No module named 'only_here'"
    ):
        _sweep(tmp_path, 6, pair.address, replace(study, trial=module.trial))
    monkeypatch.setattr(cluster, "_source_hash", lambda trial: "other code")
    with pytest.raises(
        InputError, match=r"worker tcp://.* have different source files of solvable or the study"
    ):
        _sweep(tmp_path, 6, pair.address)


@pytest.mark.parametrize("name", ["distributed.client", "tornado.application", "asyncio"])
def test_no_logger_of_dask_writes_to_the_terminal(name):
    import distributed  # noqa: F401  (gives tornado.application a level of its own)

    logger = logging.getLogger(name)
    before = logger.level
    with cluster._quiet():
        assert not logger.isEnabledFor(logging.CRITICAL)
    assert logger.level == before


@pytest.mark.slow
def test_ctrl_c_cancels_the_remaining_trials(pair, tmp_path):
    from distributed import Client

    command = [sys.executable, "-m", "toy_wing", "run", "toy", "--trials", "100", "--quiet"]
    process = subprocess.Popen(
        [*command, "--cluster", pair.address, "--runs-dir", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE)},
        # Children of a shell that runs the tests in the background ignore Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    _until(lambda: list(tmp_path.glob(".cache/toy/*/trial-*.nc")) or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err == "interrupted: finished trials are kept; rerun the same command to resume\n"
    with cluster._quiet(), Client(pair.address, set_as_default=False) as client:
        _until(lambda: client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0)


@pytest.mark.slow
def test_a_scheduler_that_dies_is_a_sentence(tmp_path, capsys):
    with (
        _processes(tmp_path, 1) as processes,
        _after_trials(1, tmp_path / "runs", processes.scheduler.kill),
    ):
        err = _fails(
            *(capsys, "run", "toy", "--trials", "50", "--quiet", "--runs-dir", str(tmp_path / "runs")),
            *("--cluster", processes.address),
        )
    assert f"the connection to the dask scheduler at {processes.address} was lost; restart it" in err
    assert "rerun the same command to resume" in err


@pytest.mark.parametrize(
    "address", ["foo", "tcp://", "tcp://host:notaport", "tcp://host:99999", "http://host:80"]
)
def test_an_invalid_address_is_a_sentence(capsys, tmp_path, address):
    err = _fails(capsys, "run", "toy", "--runs-dir", str(tmp_path), "--cluster", address)
    assert f"cluster {address!r} is not the address of a dask scheduler; expected tcp://HOST:PORT" in err
    assert list(tmp_path.iterdir()) == []


def test_no_scheduler_is_a_sentence(capsys, tmp_path, monkeypatch):
    import socket

    monkeypatch.setattr(cluster, "CONNECT_WITHIN", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        command = ["run", "toy", "--runs-dir", str(tmp_path), "--cluster", address]
        assert "(no dask response within 1 s)" in _fails(capsys, *command)
    err = _fails(capsys, *command)
    assert (
        f"cannot reach a dask scheduler at {address!r} (Connection refused); start `dask scheduler` on" in err
    )
    assert list(tmp_path.iterdir()) == []


def test_another_version_is_a_sentence():
    def client(**workers):
        packages = dict.fromkeys(cluster._ENGINE + cluster._NUMBERS, "1.2.3")
        here = {"packages": packages}
        others = {name: {"packages": packages | changed} for name, changed in workers.items()}
        return SimpleNamespace(
            get_versions=lambda packages: {"client": here, "scheduler": here, "workers": others}
        )

    cluster._check_versions(client(a={"python": "1.2.9"}))
    with pytest.raises(
        InputError, match=r"^worker b has no solvable, and this machine has 1\.2\.3; expected"
    ):
        cluster._check_versions(client(a={}, b={"solvable": None}))
    with pytest.raises(InputError, match=r"worker a has python 1\.3, and this machine has 1\.2; expected"):
        cluster._check_versions(client(a={"python": "1.3.0"}))


def test_a_missing_extra_is_a_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["run", "toy", "--runs-dir", str(tmp_path), "--cluster", "tcp://127.0.0.1:8786"]
    assert "pip install 'solvable[cluster]'" in _fails(capsys, *command)


def test_an_empty_address_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLVABLE_CLUSTER", "")
    main(["run", "toy", "--trials", "1", "--quiet", "--runs-dir", str(tmp_path)], TOY)
    assert run(study, Parameters(trials=1), runs_dir=tmp_path, cluster="", quiet=True)


def test_dask_is_loaded_for_a_cluster_only():
    code = (
        "import sys\nfrom solvable.cli import main\nmain([])\nprint([m for m in sys.modules if 'dask' in m])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
