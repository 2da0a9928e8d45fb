"""Run trials in threads, in processes or on a cluster, and keep each finished one on disk."""

import json
import os
import warnings
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal

import numpy as np

from solvable.errors import InputError
from solvable.interrupts import interrupts_noticed
from solvable.lab.files import (
    from_netcdf_bytes,
    netcdf_bytes,
    read_checked,
    remove_leftovers,
    written_once,
)
from solvable.machine import cores, limited_blas_threads, limited_torch_threads
from solvable.processes import MOST_JOBS, in_processes
from solvable.progress import progress

Engine = Literal["threads", "processes"]
Call = tuple[Hashable, ...]

MOST_TRIALS = 1_000_000
"""Number of trials that a run may have; their outcomes are in memory together."""


@dataclass(frozen=True)
class TrialStore:
    """A folder of finished trials, one file each, written atomically and with a checksum.

    Attributes:
        folder: the folder, created when the first trial is stored.
        name: function from a call to its file name, which may include folders. Folder and name must determine
            everything that the outcome depends on.
        encode: function from an outcome to bytes.
        decode: its inverse; an exception means that the trial is run again.

    Raises:
        InputError: if the folder cannot be written.
    """

    folder: Path
    name: Callable[..., str]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    def __post_init__(self) -> None:
        # Absolute, since a trial may change the working directory.
        object.__setattr__(self, "folder", self.folder.absolute())
        ancestor = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        try:
            with TemporaryFile(dir=ancestor):
                pass
        except OSError as error:
            raise InputError(
                f"cannot keep trials in {str(self.folder)!r}, since {str(ancestor)!r} cannot be written "
                f"({error.strerror}); choose another folder"
            ) from None

    @classmethod
    def of_datasets(cls, folder: Path, name: Callable[..., str]) -> "TrialStore":
        """Return a store of `xarray.Dataset`s: netCDF, followed by the checksum."""
        return cls(folder, name, netcdf_bytes, from_netcdf_bytes)

    @classmethod
    def of_tuples(cls, folder: Path, name: Callable[..., str], kind: Callable[..., Any]) -> "TrialStore":
        """Return a store of named tuples of numbers and strings: a line of JSON, and the checksum below it.

        `kind` is the class of the tuples.
        """
        return cls(
            folder, name, lambda outcome: json.dumps(outcome).encode(), lambda text: kind(*json.loads(text))
        )

    def path(self, call: Call) -> Path:
        """Return the file of a call."""
        return self.folder / self.name(*call)

    def kept(self, call: Call, outcome: Any) -> Any:
        """Keep an outcome, unless another process was faster, and return the one that is kept."""
        return written_once(self.path(call), lambda: self.encode(outcome), self.decode)

    def found(self, calls: Iterable[Call]) -> dict[Call, Any]:
        """Return the stored outcomes, and remove temporary files of killed processes."""
        outcomes: dict[Call, Any] = {}
        existing: dict[Path, set[str]] = {}
        for call in calls:
            path = self.path(call)
            if path.parent not in existing:
                remove_leftovers(path.parent)
                existing[path.parent] = set()
                with suppress(OSError):
                    existing[path.parent].update(os.listdir(path.parent))
            if path.name in existing[path.parent]:
                # A damaged file can raise any error.
                with suppress(Exception):
                    outcomes[call] = self.decode(read_checked(path))
        return outcomes


def run_trials(
    trial: Callable[..., Any],
    shared: tuple[Any, ...],
    calls: Sequence[Call],
    store: TrialStore | None = None,
    *,
    engine: Engine = "threads",
    n_jobs: int | None = None,
    cluster: str | None = None,
    what: str = "trials",
    describe: Callable[..., str] = "trial {}".format,
    quiet: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[Any]:
    """Return `trial(*shared, *call)` for each call, in order.

    Args:
        trial: a function; for processes and clusters it must be importable from a module.
        shared: first arguments, the same in all calls; on a cluster they are sent to each worker once.
        calls: the other arguments of each call.
        store: store of finished trials, which are not run again.
        engine: `threads`, between which BLAS threads are divided; or `processes`, for trials that change global state
            such as the random generators. A backend chosen with `joblib.parallel_config` takes precedence.
        n_jobs: number of parallel trials, -1 for one per core; by default one per core for threads, joblib's own
            default for processes.
        cluster: address of a dask scheduler, such as `tcp://127.0.0.1:8786`, whose workers run the trials.
        what: name of the trials in the progress bar.
        describe: function from a call to words for it in messages.
        quiet: show no progress bar; without a terminal on stderr there is none.
        say: function that receives a message about the stored trials.

    Raises:
        InputError: if the cluster cannot be reached or goes away, if a trial ends its process or cannot be sent to
            another one, or if finished trials cannot be kept; those that were are found by the next run.

    >>> run_trials(pow, (2,), [(0,), (1,), (10,)], quiet=True)
    [1, 2, 1024]
    """
    outcomes = {} if store is None else store.found(calls)
    missing = [call for call in calls if call not in outcomes]
    if outcomes and missing:
        n_stored = len(outcomes)
        say(
            f"Found {n_stored} of {len(calls)} {what} from an earlier run; measuring the other {len(missing)}."
        )
    elif outcomes:
        say(f"Found all {len(calls)} {what} from an earlier run.")
    if missing:
        bar = progress(what, len(calls), done=len(outcomes), quiet=quiet)
        resume = "" if store is None else "; finished ones are kept: rerun the same command to resume"
        if store is not None and not cluster:
            trial = partial(_and_kept, trial, store, len(shared))
        try:
            with (
                bar as advance,
                interrupts_noticed() as notice,
                _completions(
                    trial, shared, missing, engine, n_jobs, cluster, describe, resume
                ) as completions,
            ):
                for call, outcome in completions:
                    # Read back, so that interrupted and uninterrupted runs give bitwise equal results.
                    outcomes[call] = store.kept(call, outcome) if store is not None and cluster else outcome
                    notice()
                    advance()
        except KeyboardInterrupt:
            if store is not None and any(store.path(call).exists() for call in calls):
                raise KeyboardInterrupt(
                    f"finished {what} are kept; rerun the same command to resume"
                ) from None
            raise
    return [outcomes[call] for call in calls]


def check_trials(name: str, n: int) -> None:
    """Raise an `InputError` for more than `MOST_TRIALS` trials; `name` is what there are too many of."""
    if n > MOST_TRIALS:
        raise InputError(f"{name} must be at most {MOST_TRIALS}; got {n}")


def check_jobs(n_jobs: int | None) -> None:
    """Raise an `InputError` unless `n_jobs` is None, -1 or a whole number of at least 1."""
    whole = isinstance(n_jobs, (int, np.integer)) and not isinstance(n_jobs, bool)
    if n_jobs is not None and not (whole and (n_jobs == -1 or n_jobs >= 1)):
        raise InputError(
            f"n_jobs must be a whole number of at least 1, or -1 for one on each core; got {n_jobs!r}"
        )


@contextmanager
def _completions(
    trial: Callable[..., Any],
    shared: tuple[Any, ...],
    calls: Sequence[Call],
    engine: Engine,
    n_jobs: int | None,
    cluster: str | None,
    describe: Callable[..., str],
    resume: str,
) -> Iterator[Iterator[tuple[Call, Any]]]:
    """Yield an iterator over calls and outcomes; at the end of the block, cancel unfinished trials silently."""
    check_jobs(n_jobs)
    if cluster:
        from solvable.lab.cluster import trials_on

        outcomes = trials_on(cluster, trial, shared, calls, n_jobs)
    elif engine == "threads":
        outcomes = _in_threads(trial, shared, calls, n_jobs)
    else:
        outcomes = in_processes(trial, shared, calls, n_jobs, describe, resume)
    with warnings.catch_warnings(), closing(outcomes):
        # joblib warns about unused results, which an interrupted run always has.
        warnings.filterwarnings("ignore", category=UserWarning, module="joblib")
        yield outcomes


def _in_threads(
    trial: Callable[..., Any], shared: tuple[Any, ...], calls: Sequence[Call], n_jobs: int | None
) -> Generator[tuple[Call, Any]]:
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    active, configured = get_active_backend(prefer="threads")
    threads = type(active).__name__ == "ThreadingBackend"
    if n_jobs == -1 or (n_jobs is None and threads and configured in (None, 1)):
        n_jobs = cores()
    if n_jobs is not None:
        n_jobs = min(n_jobs, len(calls), MOST_JOBS * cores())
    # Without this limit, every trial would start as many BLAS threads as there are cores.
    share = max(1, cores() // n_jobs) if n_jobs else cores()
    with limited_blas_threads(share), limited_torch_threads(share):
        pool = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator_unordered")
        yield from pool(delayed(_with_call)(trial, shared, call) for call in calls)  # pyright: ignore


def _with_call(trial: Callable[..., Any], shared: tuple[Any, ...], call: Call) -> tuple[Call, Any]:
    return call, trial(*shared, *call)


def _and_kept(trial: Callable[..., Any], store: TrialStore, n_shared: int, *arguments: Any) -> Any:
    """Return the outcome of a trial, after keeping it where it was measured: no later failure can lose it."""
    return store.kept(arguments[n_shared:], trial(*arguments))
