"""Send trials to a dask cluster: connect, see that it fits, and notice when it goes away.

The trials go through joblib's dask backend. What they share, `_Job`, is sent to each worker once. Finished trials come
back one by one, so what the caller has kept is never lost.
"""

import asyncio
import logging
import re
import socket
import threading
import time
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
# Seconds that the scheduler has to answer.
CONNECT_WITHIN = 8.0
# How often in a row all copies of the shared data may be lost before a single trial is finished.
ATTEMPTS = 3

_ADDRESS = re.compile(
    r"(?:(?:tcp|tls|ws|wss)://)?(?P<host>[^\s/:\[\]]+|\[[0-9a-fA-F:.%]+\]):(?P<port>\d{1,5})/?"
)
# What scheduler and workers load to understand one another, and what a record names as having made its numbers.
_ENGINE = ("python", "solvable", "dask", "distributed", "cloudpickle", "joblib")
_NUMBERS = ("numpy", "scipy", "scikit-learn", "pandas", "xarray")


def check_address(address: str) -> tuple[str, int]:
    """Return host and port of a scheduler's address.

    Raises:
        InputError: when it is none.

    >>> check_address("tcp://10.0.0.1:8786")
    ('10.0.0.1', 8786)
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InputError(
            f"cluster {address!r} is no address of a dask scheduler; expected tcp://HOST:PORT, as `dask scheduler` "
            "prints it when it starts, such as tcp://127.0.0.1:8786"
        )
    return match["host"].strip("[]"), int(match["port"])


@contextmanager
def connected(address: str) -> "Iterator[Client]":
    """Give a client of the scheduler at `address`, which is closed at the end, its unfinished tasks cancelled.

    Raises:
        InputError: when the address is none, or when no scheduler answers there within `CONNECT_WITHIN` seconds.
        MissingExtraError: where dask.distributed is not installed.
    """
    host, port = check_address(address)
    try:
        from distributed import Client
        from distributed.versions import VersionMismatchWarning
    except ImportError:
        raise missing_extra("dask.distributed", "cluster", "sending trials to a cluster") from None
    with _quiet():
        try:
            # dask would try a refused connection again and again until its time is up.
            socket.create_connection((host, port), timeout=CONNECT_WITHIN).close()
            with ThreadPoolExecutor(1) as thread:  # a notebook's own thread has a loop already
                thread.submit(asyncio.run, _see_that_it_schedules(address)).result()
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", VersionMismatchWarning
                )  # _check_versions says it in a sentence
                client = Client(address, timeout=CONNECT_WITHIN, set_as_default=False)
        # What else than a scheduler may listen there answers in many ways.
        except Exception as error:
            raise InputError(
                f"cannot reach a dask scheduler at {address!r} ({_in_a_line(error)}); expected one that is running: "
                f"start `dask scheduler` on that host and `dask worker {address}` on each machine that shall work, or "
                "leave --cluster (SOLVABLE_CLUSTER) out to measure here"
            ) from None
        try:
            yield client
        finally:
            client.close(timeout=2)


async def _see_that_it_schedules(address: str) -> None:
    """Raise unless a scheduler answers in time; a client that meets something else may wait without end."""
    from distributed import Security
    from distributed.core import rpc

    async def ask() -> str:
        remote: Any = rpc(address, connection_args=Security().get_connection_args("client"))
        async with remote:
            return (await remote.identity())["type"]

    try:
        found = await asyncio.wait_for(ask(), CONNECT_WITHIN)
    except TimeoutError:
        raise OSError(f"nothing that dask understands was answered within {CONNECT_WITHIN:g} s") from None
    if found != "Scheduler":
        raise OSError(f"it is the address of a {found.lower()}")


def describe(address: str) -> str:
    """Return a sentence about the cluster at `address`, after seeing that its software is that of this machine.

    Raises:
        InputError: as `connected`, and when the software differs.
    """
    with connected(address) as client, _lost_is_said(client, address):
        cores: Any = client.ncores()
        _check_versions(client)
    if not cores:
        return f"The cluster at {address} has no worker; waiting up to {GONE_AFTER:g} s for the first."
    return f"Trials run on the cluster at {address}: {len(cores)} workers with {sum(cores.values())} threads."


def trials_on(
    address: str,
    trial: Callable[..., Any],
    shared: tuple[Any, ...],
    calls: Sequence[tuple[Any, ...]],
    n_jobs: int | None = None,
) -> Generator[tuple[tuple[Any, ...], Any]]:
    """Yield calls and their outcomes, `trial(*shared, *call)`, run on the cluster, in the order in which they finish.

    A trial whose worker dies is run again by another one.

    Args:
        address: of the scheduler.
        trial: a function that workers can import, or that can be pickled.
        shared: its first arguments, the same in all calls.
        calls: its other arguments.
        n_jobs: how many are on the cluster at once; all by default, so that workers that come later find some.

    Raises:
        InputError: when the scheduler cannot be reached or goes away, when no worker was there for `GONE_AFTER`
            seconds, or when a worker has other software.
    """
    left, barren = list(calls), 0
    job = _Job(trial, shared, _source(trial))
    while left:
        before = len(left)
        try:
            with connected(address) as client, _lost_is_said(client, address):
                _wait_for_a_worker(client, address)
                _check_versions(client)
                with closing(_outcomes(client, address, job, tuple(left), n_jobs)) as outcomes:
                    for call, outcome in outcomes:
                        yield call, outcome
                        left.remove(call)
        except _LostData:
            # All workers that held the shared data died; those that have come since need it again.
            barren = barren + 1 if len(left) == before else 0
            if barren == ATTEMPTS:
                raise InputError(
                    f"all workers of the cluster at {address} died {ATTEMPTS} times before a trial was finished; "
                    "expected workers with memory enough for a trial and the study's data: see their logs; finished "
                    "trials are kept, and the same command goes on from them"
                ) from None


class _LostData(Exception):
    """No worker is left that holds what the trials share."""


@dataclass(frozen=True, eq=False)
class _Job:
    """What all trials share, sent to each worker once."""

    trial: Callable[..., Any]
    shared: tuple[Any, ...]
    source: str

    def __dask_tokenize__(self) -> str:
        # A name of its own, so that half a gigabyte need not be hashed and no other client can release it.
        return uuid4().hex


def _outcomes(
    client: "Client", address: str, job: _Job, calls: Sequence[tuple[Any, ...]], n_jobs: int | None
) -> Generator[tuple[tuple[Any, ...], Any]]:
    """Yield what the trials return; how dask fails becomes a sentence."""
    from distributed.scheduler import KilledWorker
    from joblib import Parallel, delayed, parallel_config

    from solvable.lab.cluster_backend import EngineError, WatchedBackend

    try:
        backend = WatchedBackend(client, scatter=[job])
    except (OSError, TimeoutError, KeyError):
        raise _LostData from None  # the workers died while they received it
    # A bare Exception is how dask passes on what a worker met.
    except Exception as error:
        raise InputError(
            f"the cluster at {address} cannot take what the trials share ({_in_a_line(error)}); expected a study that "
            "can be pickled, and whose modules every worker can import: install them there, or name their folder in "
            "PYTHONPATH when the workers start"
        ) from None
    with parallel_config(backend=backend):
        # Single trials: each is kept as soon as it is finished, and a dead worker takes no more than one with it.
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
                died = error.__cause__.allowed_failures + 1
                raise InputError(
                    f"a trial took down {died} workers of the cluster at {address}, one after the other; expected "
                    "workers with memory enough for it: see their logs; finished trials are kept, and the same command "
                    "goes on from them"
                ) from None
            raise InputError(
                f"the cluster at {address} cannot run a trial ({_in_a_line(_root(error))}); expected the "
                "same software on every machine: install there what is installed here; finished trials are kept, "
                "and the same command goes on from them"
            ) from None
        finally:
            outcomes.close()


def _in_a_line(error: BaseException) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextmanager
def _watch(client: "Client", backend: "WatchedBackend", address: str) -> Iterator[None]:
    """Fail the waiting trials when no worker was there for `GONE_AFTER` seconds; dask would wait for ever."""
    stop = threading.Event()

    def watch() -> None:
        seen = time.monotonic()
        while not stop.wait(min(1.0, GONE_AFTER / 10)):
            try:
                workers = client.sync(client.scheduler.ncores, workers=None, callback_timeout=CONNECT_WITHIN)  # pyright: ignore
            except Exception:
                workers = None
            if workers:
                seen = time.monotonic()
            elif time.monotonic() - seen > GONE_AFTER:
                backend.fail(_scheduler_lost(address) if workers is None else _gone(address))

    thread = threading.Thread(target=watch, name="solvable-cluster-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(1)


@contextmanager
def _lost_is_said(client: "Client", address: str) -> Iterator[None]:
    """Turn the many errors of a lost connection into a sentence, and those of lost data into `_LostData`."""
    from asyncio import CancelledError as Cancelled
    from concurrent.futures import CancelledError

    try:
        yield
    except (CancelledError, Cancelled, OSError, AttributeError) as error:
        if client.status != "running" or client.scheduler_comm is None or client.scheduler_comm.closed():
            raise _scheduler_lost(address) from None
        if isinstance(error, (CancelledError, Cancelled)):
            raise _LostData from None
        raise


def _wait_for_a_worker(client: "Client", address: str) -> None:
    deadline = time.monotonic() + GONE_AFTER
    # A cluster that grows on demand starts its first worker only when there is a task.
    task = None
    while not client.ncores():
        task = task or client.submit(int, pure=False)
        if time.monotonic() > deadline:
            raise _gone(address)
        time.sleep(0.1)


def _gone(address: str) -> InputError:
    return InputError(
        f"the cluster at {address} has had no worker for {GONE_AFTER:g} s; expected at least one: start some with "
        f"`dask worker {address}`; finished trials are kept, and the same command goes on from them"
    )


def _scheduler_lost(address: str) -> InputError:
    return InputError(
        f"the connection to the dask scheduler at {address} was lost; expected it to run until the last trial: "
        "start it again; finished trials are kept, and the same command goes on from them"
    )


def _check_versions(client: "Client") -> None:
    """See that scheduler and workers have the software of this machine.

    Raises:
        InputError: naming the first that has not.
    """
    found: Any = client.get_versions(packages=[*_ENGINE[1:], *_NUMBERS])
    here = found["client"]["packages"]
    others = [("the scheduler", found["scheduler"], _ENGINE)]
    others += [(f"worker {name}", facts, _ENGINE + _NUMBERS) for name, facts in found["workers"].items()]
    for who, facts, packages in others:
        for package in packages if facts else ():
            ours, theirs = (_short(package, p.get(package)) for p in (here, facts["packages"]))
            if theirs != ours:
                raise InputError(
                    f"{who} has {f'{package} {theirs}' if theirs else f'no {package}'}, and this machine has {ours}; "
                    f"expected the same on both, since the numbers shall be the same: install {package} {ours} there"
                )


def _short(package: str, found: str | None) -> str | None:
    # Bug fixes of Python change neither what is pickled nor numbers.
    return ".".join(found.split(".")[:2]) if package == "python" and found else found


def _source(trial: Callable[..., Any]) -> str:
    """Return a hash of the files that a worker takes from its own disk to run `trial`."""
    name, module = getattr(trial, "__qualname__", "<"), getattr(trial, "__module__", "__main__")
    # A function inside another one or of a notebook travels as it is.
    files, _ = code_of(trial if "<" not in name and module != "__main__" else _source)
    return short_hash(files)


def _run_trial(job: _Job, call: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """Run one trial, on a worker."""
    from joblib import parallel_config

    if _source(job.trial) != job.source:
        from distributed import get_worker

        import solvable

        raise InputError(
            f"worker {get_worker().address} has other code of solvable or of the study than the machine that asks, "
            f"though both are version {solvable.__version__}; expected the same files: install there what is installed "
            "here, and start the worker again; finished trials are kept, and the same command goes on from them"
        )
    # A worker runs as many trials as it has threads. Whatever a trial gives to joblib stays in its own thread, as in a
    # run without a cluster.
    with limited_blas_threads(1), parallel_config(backend="sequential"):
        return call, job.trial(*job.shared, *call)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask's log off the terminal: what matters in it is said in sentences."""
    loggers = {name: logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")}
    loggers |= {
        name: logger
        for name, logger in list(logging.root.manager.loggerDict.items())
        if name.startswith("distributed.") and isinstance(logger, logging.Logger) and logger.level
    }
    levels = {name: logger.level for name, logger in loggers.items()}
    for logger in loggers.values():
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            loggers[name].setLevel(level)
