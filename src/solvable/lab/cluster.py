"""Run trials on a dask cluster: connect, compare versions, and detect when the cluster goes away.

Trials go through joblib's dask backend. Their shared data, a `_Job`, are sent to each worker once. Finished trials come
back one by one, so those that the caller has saved are never lost.
"""

import asyncio
import logging
import pickle
import re
import socket
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from solvable.errors import InputError, missing_extra
from solvable.lab.keys import code_of, short_hash
from solvable.machine import limited_blas_threads

if TYPE_CHECKING:
    from distributed import Client

    from solvable.lab.cluster_backend import WatchedBackend

# Seconds without any worker after which a run ends.
GONE_AFTER = 30.0
# Seconds within which the scheduler must answer.
CONNECT_WITHIN = 8.0
# Losses of all copies of the shared data, without a finished trial in between, after which a run ends.
ATTEMPTS = 3

_RESUME = "finished trials are kept; rerun the same command to resume"

_ADDRESS = re.compile(
    r"(?:(?:tcp|tls|ws|wss)://)?(?P<host>[^\s/:\[\]]+|\[[0-9a-fA-F:.%]+\]):(?P<port>\d{1,5})/?"
)
# Packages that scheduler and workers need to communicate, and those that determine the numbers of a record.
_ENGINE = ("python", "solvable", "dask", "distributed", "cloudpickle", "joblib")
_NUMBERS = ("numpy", "scipy", "scikit-learn", "pandas", "xarray")


def check_address(address: str) -> tuple[str, int]:
    """Return host and port of a scheduler's address.

    Raises:
        InputError: if the address is invalid.

    >>> check_address("tcp://10.0.0.1:8786")
    ('10.0.0.1', 8786)
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InputError(
            f"cluster {address!r} is not the address of a dask scheduler; expected tcp://HOST:PORT as printed by "
            "`dask scheduler`, such as tcp://127.0.0.1:8786"
        )
    return match["host"].strip("[]"), int(match["port"])


@contextmanager
def connected(address: str) -> "Iterator[Client]":
    """Yield a client of the scheduler at `address`; at the end, cancel its unfinished tasks and close it.

    Raises:
        InputError: if the address is invalid or no scheduler answers within `CONNECT_WITHIN` seconds.
        MissingExtraError: if dask.distributed is not installed.
    """
    host, port = check_address(address)
    try:
        from distributed import Client
        from distributed.versions import VersionMismatchWarning
    except ImportError:
        raise missing_extra("dask.distributed", "cluster", "sending trials to a cluster") from None
    with _quiet():
        try:
            # dask would retry a refused connection until the timeout.
            socket.create_connection((host, port), timeout=CONNECT_WITHIN).close()
            with ThreadPoolExecutor(1) as thread:  # a notebook's thread already runs an event loop
                thread.submit(asyncio.run, _check_scheduler(address)).result()
            with warnings.catch_warnings():
                # _check_versions raises an error instead.
                warnings.simplefilter("ignore", VersionMismatchWarning)
                client = Client(address, timeout=CONNECT_WITHIN, set_as_default=False)
        # Services other than a scheduler cause many kinds of errors.
        except Exception as error:
            raise InputError(
                f"cannot reach a dask scheduler at {address!r} ({_one_line(error)}); start `dask scheduler` on that "
                f"host and `dask worker {address}` on each worker machine, or leave out --cluster (SOLVABLE_CLUSTER) "
                "to run the trials here"
            ) from None
        try:
            yield client
        finally:
            client.close(timeout=2)


async def _check_scheduler(address: str) -> None:
    """Raise unless a scheduler answers in time; with another service, a dask client may wait forever."""
    from distributed import Security
    from distributed.core import rpc

    async def service_type() -> str:
        remote: Any = rpc(address, connection_args=Security().get_connection_args("client"))
        async with remote:
            return (await remote.identity())["type"]

    try:
        service = await asyncio.wait_for(service_type(), CONNECT_WITHIN)
    except TimeoutError:
        raise OSError(f"no dask response within {CONNECT_WITHIN:g} s") from None
    if service != "Scheduler":
        raise OSError(f"it is the address of a {service.lower()}")


def describe(address: str) -> str:
    """Return a sentence about the cluster at `address`, after comparing its versions with those of this machine.

    Raises:
        InputError: as in `connected`, and if versions differ.
    """
    with connected(address) as client, _convert_losses(client, address):
        cores: Any = client.ncores()
        _check_versions(client)
    if not cores:
        return f"The cluster at {address} has no worker; waiting up to {GONE_AFTER:g} s for the first."
    workers, threads = f"{len(cores)} worker{'s' * (len(cores) > 1)}", sum(cores.values())
    return f"Trials run on the cluster at {address}: {workers} with {threads} thread{'s' * (threads > 1)}."


def trials_on(
    address: str,
    trial: Callable[..., Any],
    shared: tuple[Any, ...],
    calls: Sequence[tuple[Any, ...]],
    n_jobs: int | None = None,
) -> Generator[tuple[tuple[Any, ...], Any]]:
    """Yield calls and outcomes of `trial(*shared, *call)` from the cluster, in order of completion.

    If a worker dies, another one repeats its trials.

    Args:
        address: address of the scheduler.
        trial: a function that workers can import, or that can be pickled.
        shared: first arguments, the same in all calls.
        calls: the other arguments of each call.
        n_jobs: number of trials on the cluster at once; by default all, so that workers that join later get some.

    Raises:
        InputError: if the scheduler cannot be reached or goes away, if there was no worker for `GONE_AFTER` seconds,
            or if a worker has other versions or source files.
    """
    remaining, failures = list(calls), 0
    job = _Job(trial, shared, _source_hash(trial))
    while remaining:
        before = len(remaining)
        try:
            with connected(address) as client, _convert_losses(client, address):
                _wait_for_a_worker(client, address)
                _check_versions(client)
                with closing(_outcomes(client, address, job, tuple(remaining), n_jobs)) as outcomes:
                    for call, outcome in outcomes:
                        if isinstance(outcome, _Raised):
                            raise outcome.error
                        yield call, outcome
                        remaining.remove(call)
        except _LostData:
            # All workers that held the shared data died; new ones need it again.
            failures = failures + 1 if len(remaining) == before else 0
            if failures == ATTEMPTS:
                raise InputError(
                    f"all workers of the cluster at {address} died {ATTEMPTS} times before a trial was finished; "
                    f"expected enough memory for a trial and the study's data: see the workers' logs; {_RESUME}"
                ) from None


class _LostData(Exception):
    """No worker holds the shared data any more."""


@dataclass(frozen=True, eq=False)
class _Raised:
    """The error of a trial, as an outcome: raised, it would make joblib drop trials that finished before."""

    error: Exception


@dataclass(frozen=True, eq=False)
class _Job:
    """Shared data of all trials, sent to each worker once."""

    trial: Callable[..., Any]
    shared: tuple[Any, ...]
    source: str

    def __dask_tokenize__(self) -> str:
        # A random name saves hashing half a gigabyte and keeps other clients from releasing the data.
        return uuid4().hex


def _outcomes(
    client: "Client", address: str, job: _Job, calls: Sequence[tuple[Any, ...]], n_jobs: int | None
) -> Generator[tuple[tuple[Any, ...], Any]]:
    """Yield the outcomes of trials, and turn failures of dask into `InputError`s."""
    from distributed.scheduler import KilledWorker
    from joblib import Parallel, delayed, parallel_config

    from solvable.lab.cluster_backend import EngineError, WatchedBackend

    try:
        backend = WatchedBackend(client, scatter=[job])
    except (OSError, TimeoutError, KeyError):
        raise _LostData from None  # the workers died while receiving the data
    # dask passes on errors of workers as bare Exceptions.
    except Exception as error:
        raise InputError(
            f"the cluster at {address} cannot load the trials' shared data ({_one_line(error)}); expected a study that "
            "can be pickled and whose modules every worker can import: install them there, or start the workers with "
            "their folder in PYTHONPATH"
        ) from None
    with parallel_config(backend=backend):
        # Single trials: each is saved when it finishes, and a dead worker loses at most one.
        options: Any = {
            "batch_size": 1,
            "pre_dispatch": n_jobs if n_jobs and n_jobs > 0 else "all",
            "return_as": "generator_unordered",
        }
        parallel: Any = Parallel(**options)
    outcomes = parallel(delayed(_run_trial)(job, call) for call in calls)
    with _watch(client, backend, address):
        try:
            yield from outcomes
        except EngineError as error:
            if isinstance(error.__cause__, KilledWorker):
                deaths = error.__cause__.allowed_failures + 1
                raise InputError(
                    f"a trial killed {deaths} workers of the cluster at {address}, one after the other; expected "
                    f"enough memory for it: see the workers' logs; {_RESUME}"
                ) from None
            raise InputError(
                f"the cluster at {address} cannot run a trial ({_one_line(_root_cause(error))}); expected the same "
                f"packages as on this machine: install them there; {_RESUME}"
            ) from None
        finally:
            outcomes.close()


def _one_line(error: BaseException) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextmanager
def _watch(client: "Client", backend: "WatchedBackend", address: str) -> Iterator[None]:
    """Fail the pending trials after `GONE_AFTER` seconds without a worker; dask would wait forever."""
    stop = threading.Event()

    def watch() -> None:
        last_seen = time.monotonic()
        while not stop.wait(min(1.0, GONE_AFTER / 10)):
            try:
                workers = client.sync(client.scheduler.ncores, workers=None, callback_timeout=CONNECT_WITHIN)  # pyright: ignore
            except Exception:
                workers = None
            if workers:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > GONE_AFTER:
                backend.fail(_no_scheduler(address) if workers is None else _no_worker(address))

    thread = threading.Thread(target=watch, name="solvable-cluster-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(1)


@contextmanager
def _convert_losses(client: "Client", address: str) -> Iterator[None]:
    """Raise an `InputError` for the many errors of a lost connection, and `_LostData` for those of lost data."""
    from asyncio import CancelledError as Cancelled
    from concurrent.futures import CancelledError

    try:
        yield
    except (CancelledError, Cancelled, OSError, AttributeError) as error:
        if client.status != "running" or client.scheduler_comm is None or client.scheduler_comm.closed():
            raise _no_scheduler(address) from None
        if isinstance(error, (CancelledError, Cancelled)):
            raise _LostData from None
        raise


def _wait_for_a_worker(client: "Client", address: str) -> None:
    deadline = time.monotonic() + GONE_AFTER
    # A cluster that grows on demand starts its first worker only for a task.
    task = None
    while not client.ncores():
        task = task or client.submit(int, pure=False)
        if time.monotonic() > deadline:
            raise _no_worker(address)
        time.sleep(0.1)


def _no_worker(address: str) -> InputError:
    return InputError(
        f"the cluster at {address} has had no worker for {GONE_AFTER:g} s; start one with `dask worker {address}`; "
        + _RESUME
    )


def _no_scheduler(address: str) -> InputError:
    return InputError(f"the connection to the dask scheduler at {address} was lost; restart it; {_RESUME}")


def _check_versions(client: "Client") -> None:
    """Raise an `InputError` for the first package whose version on scheduler or workers is not that of this machine."""
    versions: Any = client.get_versions(packages=[*_ENGINE[1:], *_NUMBERS])
    here = versions["client"]["packages"]
    others = [("the scheduler", versions["scheduler"], _ENGINE)]
    others += [(f"worker {name}", facts, _ENGINE + _NUMBERS) for name, facts in versions["workers"].items()]
    for who, facts, packages in others:
        for package in packages if facts else ():
            ours, theirs = (_compared_part(package, p.get(package)) for p in (here, facts["packages"]))
            if theirs != ours:
                raise InputError(
                    f"{who} has {f'{package} {theirs}' if theirs else f'no {package}'}, and this machine has {ours}; "
                    f"expected the same version, so that the numbers are the same: install {package} {ours} there"
                )


def _compared_part(package: str, version: str | None) -> str | None:
    # Patch releases of Python change neither pickles nor numbers.
    return ".".join(version.split(".")[:2]) if package == "python" and version else version


def _source_hash(trial: Callable[..., Any]) -> str:
    """Return a hash of the files that a worker loads from its own disk to run `trial`."""
    name, module = getattr(trial, "__qualname__", "<"), getattr(trial, "__module__", "__main__")
    # A nested function, or one defined in a notebook, is pickled by value.
    files, _ = code_of(trial if "<" not in name and module != "__main__" else _source_hash)
    return short_hash(files)


def _run_trial(job: _Job, call: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """Run one trial, on a worker."""
    from joblib import parallel_config

    if _source_hash(job.trial) != job.source:
        from distributed import get_worker

        import solvable

        raise InputError(
            f"worker {get_worker().address} and the client have different source files of solvable or the study, "
            f"though both are version {solvable.__version__}; install the same files and restart the worker; {_RESUME}"
        )
    # A worker runs one trial per thread; joblib calls inside a trial stay in its thread, as without a cluster.
    with limited_blas_threads(1), parallel_config(backend="sequential"):
        try:
            return call, job.trial(*job.shared, *call)
        except Exception as error:
            error.add_note(f"On the worker:\n{traceback.format_exc()}")
            try:
                pickle.loads(pickle.dumps(error))
            except Exception:  # dask passes it on as it can
                raise error from None
            return call, _Raised(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence dask's log, whose relevant messages are raised as errors."""
    families = ("distributed", "tornado", "asyncio")
    loggers = {name: logging.getLogger(name) for name in families}
    # dask gives some of their children, such as tornado.application, levels of their own.
    loggers |= {
        name: logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if name.split(".")[0] in families and isinstance(logger, logging.Logger) and logger.level
    }
    levels = {name: logger.level for name, logger in loggers.items()}
    for logger in loggers.values():
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            loggers[name].setLevel(level)
