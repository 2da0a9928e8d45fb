"""Calls of a function in parallel processes, which say how they ended and end with the main one."""

import faulthandler
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pickle import PicklingError
from tempfile import TemporaryDirectory
from typing import Any

from solvable.errors import InputError
from solvable.machine import WHOLE_PROCESS, cores

MOST_JOBS = 4
"""Largest number of parallel calls for each core."""


def in_processes(
    function: Callable[..., Any],
    shared: tuple[Any, ...],
    calls: Sequence[tuple[Any, ...]],
    n_jobs: int | None,
    describe: Callable[..., str],
    resume: str = "",
) -> Generator[tuple[tuple[Any, ...], Any]]:
    """Yield calls and outcomes of `function(*shared, *call)`, in order of completion.

    Args:
        function: may change global state, such as the working directory and the random generators.
        shared: first arguments, the same in all calls.
        calls: the other arguments of each call.
        n_jobs: number of processes; None: joblib's default.
        describe: function from a call to words for it in messages.
        resume: end of the message if a process ends.

    Raises:
        InputError: if a call ends its process, or cannot be sent to one.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import BrokenProcessPool
    from joblib.parallel import get_active_backend

    if n_jobs is not None and n_jobs > 1:
        n_jobs = min(n_jobs, len(calls), MOST_JOBS * cores())
    # Copy-on-write, since some functions need writable arrays.
    options: Any = {"return_as": "generator_unordered", "mmap_mode": "c"}
    active, configured = get_active_backend()
    if type(active).__name__ == "LokyBackend":
        jobs = configured if n_jobs is None else n_jobs
        with parallel_config("loky", n_jobs=jobs, initializer=_end_with, initargs=(os.getpid(),)):
            pool = Parallel(**options)
    else:
        pool = Parallel(n_jobs=n_jobs, **options)
    with TemporaryDirectory(prefix="solvable-trials-", ignore_cleanup_errors=True) as running:
        job = _Job(function, shared, Path(running), os.getpid())
        try:
            with _deaf_children():
                outcomes: Any = pool(delayed(_run_exclusively)(job, i, call) for i, call in enumerate(calls))
            yield from outcomes
        except BrokenProcessPool as error:
            started = sorted(int(one.name) for one in Path(running).iterdir())
            if not started and error.__cause__ is not None:
                raise InputError(
                    f"another process cannot load what is sent to it ({_last_line(error.__cause__)}); expected modules "
                    f"that it can import: leave n_jobs out, or install them{resume}"
                ) from error
            suspects = " or ".join(describe(*calls[i]) for i in started) or "its start"
            codes = re.search(r"\{(.*)\}", str(error))
            raise InputError(
                f"a process ended{f' with {codes[1]}' if codes else ''} during {suspects}; expected a trial that "
                f"returns, and enough memory for as many at once: run it alone to see why{resume}"
            ) from error
        except PicklingError as error:
            raise InputError(
                f"the trials cannot be sent to other processes ({_last_line(error.__cause__ or error)}); expected "
                "objects that pickle can copy: leave n_jobs out, or remove locks, open files and the like"
            ) from error


def _last_line(error: BaseException) -> str:
    # The text of a remote error is a traceback in quotes.
    return "".join(str(error).strip(' \n"').splitlines()[-1:])


@dataclass(frozen=True, eq=False)
class _Job:
    """What all calls share.

    Attributes:
        function: the function.
        shared: its first arguments.
        running: a folder in which each call has a file with its number while it runs.
        parent: id of the process that waits for the results.
    """

    function: Callable[..., Any]
    shared: tuple[Any, ...]
    running: Path
    parent: int


def _run_exclusively(job: _Job, number: int, call: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """Run a call while no other thread of this process does, since some joblib backends use threads."""
    with WHOLE_PROCESS:
        if os.getpid() != job.parent:
            # If it crashes, the parent says so in a sentence; joblib's handler would print a page before.
            faulthandler.disable()
        mark = job.running / str(number)
        with suppress(OSError):
            mark.touch()
        try:
            # Others of this process would not find their files in another working directory.
            with chdir("."):
                return call, job.function(*job.shared, *call)
        finally:
            with suppress(OSError):
                mark.unlink()


@cache
def _end_with(parent: int) -> None:
    """Let this process end soon after `parent` has ended; joblib's would wait for five minutes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, name="solvable-parent-watch", daemon=True).start()


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Let processes that start in the block ignore Ctrl-C, which the main one hears; they inherit the mask."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
