"""Run trials in threads, in processes or on a cluster, and keep each finished one on disk."""

import json
import os
import warnings
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from solvable.errors import InputError
from solvable.interrupts import uninterrupted
from solvable.lab.files import atomically, read_netcdf, remove_leftovers, write_netcdf
from solvable.machine import WHOLE_PROCESS, cores, limited_blas_threads, limited_torch_threads
from solvable.progress import progress

Engine = Literal["threads", "processes"]
Call = tuple[Hashable, ...]


@dataclass(frozen=True)
class TrialStore:
    """A folder of finished trials, one file each, written atomically.

    Attributes:
        folder: the folder, created when the first trial is stored.
        name: function from a call to its file name, which may include folders. Folder and name must determine
            everything that the outcome depends on.
        write: function that writes an outcome to a path.
        read: function that reads it; an exception means that the file is damaged and the trial is run again.

    Raises:
        InputError: if the folder cannot be created.
    """

    folder: Path
    name: Callable[..., str]
    write: Callable[[Any, Path], None]
    read: Callable[[Path], Any]

    def __post_init__(self) -> None:
        folder = self.folder.absolute()
        ancestor = next(path for path in (folder, *folder.parents) if path.exists())
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
            raise InputError(
                f"cannot keep trials in {str(self.folder)!r}, since {str(ancestor)!r} is not a writable folder; "
                "choose another"
            )

    @classmethod
    def of_datasets(cls, folder: Path, name: Callable[..., str]) -> "TrialStore":
        """Return a store of `xarray.Dataset`s in netCDF files."""
        return cls(folder, name, write_netcdf, read_netcdf)

    @classmethod
    def of_tuples(cls, folder: Path, name: Callable[..., str], kind: Callable[..., Any]) -> "TrialStore":
        """Return a store of named tuples of numbers and strings in JSON files; `kind` is the class of the tuples."""

        def write(outcome: Any, path: Path) -> None:
            with atomically(path) as temporary:
                temporary.write_text(json.dumps(outcome), encoding="utf-8")

        def read(path: Path) -> Any:
            return kind(*json.loads(path.read_text(encoding="utf-8")))

        return cls(folder, name, write, read)

    def path(self, call: Call) -> Path:
        """Return the file of a call."""
        return self.folder / self.name(*call)

    def found(self, calls: Sequence[Call]) -> dict[Call, Any]:
        """Return the stored outcomes, and remove temporary files of killed processes."""
        paths = {call: self.path(call) for call in calls}
        for folder in {path.parent for path in paths.values()}:
            remove_leftovers(folder)
        outcomes: dict[Call, Any] = {}
        for call, path in paths.items():
            if path.exists():
                # A damaged file can raise any error.
                try:
                    outcomes[call] = self.read(path)
                except Exception:
                    continue
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
        quiet: show no progress bar; without a terminal on stderr there is none.
        say: function that receives a message about the stored trials.

    Raises:
        InputError: if the cluster cannot be reached or goes away; finished trials are kept.

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
        try:
            with bar as advance, _completions(trial, shared, missing, engine, n_jobs, cluster) as completions:
                for call, outcome in completions:
                    if store is None:
                        outcomes[call] = outcome
                    else:
                        with uninterrupted():
                            store.write(outcome, store.path(call))
                            # Read back, so that interrupted and uninterrupted runs give bitwise equal results.
                            outcomes[call] = store.read(store.path(call))
                    advance()
        except KeyboardInterrupt:
            if store is not None and any(store.path(call).exists() for call in calls):
                raise KeyboardInterrupt(
                    f"finished {what} are kept; rerun the same command to resume"
                ) from None
            raise
    return [outcomes[call] for call in calls]


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
) -> Iterator[Iterator[tuple[Call, Any]]]:
    """Yield an iterator over calls and outcomes; at the end of the block, cancel unfinished trials silently."""
    check_jobs(n_jobs)
    if cluster:
        from solvable.lab.cluster import trials_on

        outcomes = trials_on(cluster, trial, shared, calls, n_jobs)
    else:
        outcomes = (_in_threads if engine == "threads" else _in_processes)(trial, shared, calls, n_jobs)
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
        n_jobs = min(cores(), len(calls))
    # Without this limit, every trial would start as many BLAS threads as there are cores.
    share = max(1, cores() // n_jobs) if n_jobs else cores()
    with limited_blas_threads(share), limited_torch_threads(share):
        pool = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator_unordered")
        yield from pool(delayed(_with_call)(trial, shared, call) for call in calls)  # pyright: ignore


def _in_processes(
    trial: Callable[..., Any], shared: tuple[Any, ...], calls: Sequence[Call], n_jobs: int | None
) -> Generator[tuple[Call, Any]]:
    from joblib import Parallel, delayed

    if n_jobs is not None and n_jobs > 1:
        n_jobs = min(n_jobs, len(calls), 4 * cores())
    # Copy-on-write, since some trials need writable arrays.
    pool = Parallel(n_jobs=n_jobs, return_as="generator_unordered", mmap_mode="c")
    yield from pool(delayed(_run_exclusively)(trial, shared, call) for call in calls)  # pyright: ignore


def _with_call(trial: Callable[..., Any], shared: tuple[Any, ...], call: Call) -> tuple[Call, Any]:
    return call, trial(*shared, *call)


def _run_exclusively(trial: Callable[..., Any], shared: tuple[Any, ...], call: Call) -> tuple[Call, Any]:
    """Run a trial while no other thread of this process does, since some joblib backends use threads."""
    with WHOLE_PROCESS:
        return call, trial(*shared, *call)
