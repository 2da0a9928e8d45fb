"""The one runner of trials: side by side in threads, in processes or on a cluster, each finished one kept on disk."""

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
from solvable.lab.files import atomically, read_netcdf, remove_leftovers, write_netcdf
from solvable.machine import WHOLE_PROCESS, cores, limited_blas_threads
from solvable.progress import progress

Engine = Literal["threads", "processes"]
Call = tuple[Hashable, ...]


@dataclass(frozen=True)
class TrialStore:
    """Finished trials in a folder, one file each; a file is complete or not there.

    Attributes:
        folder: it is made when there is something to keep.
        name: from what tells one call from another to the name of its file, which may have folders in it; folder and
            name hold everything that the outcome depends on.
        write: writes an outcome to a path.
        read: reads it again; whatever it raises means that the file is damaged and the trial is to be run again.

    Raises:
        InputError: when the folder could not be made.
    """

    folder: Path
    name: Callable[..., str]
    write: Callable[[Any, Path], None]
    read: Callable[[Path], Any]

    def __post_init__(self) -> None:
        above = next(
            path for path in (self.folder.absolute(), *self.folder.absolute().parents) if path.exists()
        )
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise InputError(
                f"cannot keep trials in {str(self.folder)!r}, since {str(above)!r} is not a folder that can be "
                "written to; name another folder"
            )

    @classmethod
    def of_datasets(cls, folder: Path, name: Callable[..., str]) -> "TrialStore":
        """Return a store of `xarray.Dataset`s, as netCDF."""
        return cls(folder, name, write_netcdf, read_netcdf)

    @classmethod
    def of_tuples(cls, folder: Path, name: Callable[..., str], kind: Callable[..., Any]) -> "TrialStore":
        """Return a store of named tuples of numbers and texts, as JSON.

        Args:
            folder: of the store.
            name: of a call's file.
            kind: makes an outcome from the values of the tuple.
        """

        def write(outcome: Any, path: Path) -> None:
            with atomically(path) as temporary:
                temporary.write_text(json.dumps(outcome), encoding="utf-8")

        def read(path: Path) -> Any:
            return kind(*json.loads(path.read_text(encoding="utf-8")))

        return cls(folder, name, write, read)

    def path(self, call: Call) -> Path:
        """Return where the outcome of a call is kept."""
        return self.folder / self.name(*call)

    def found(self, calls: Sequence[Call]) -> dict[Call, Any]:
        """Return the outcomes that are there, and remove what killed processes left."""
        paths = {call: self.path(call) for call in calls}
        for folder in {path.parent for path in paths.values()}:
            remove_leftovers(folder)
        outcomes: dict[Call, Any] = {}
        for call, path in paths.items():
            if path.exists():
                # A damaged file raises whatever its reader met first.
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
    """Return `trial(*shared, *call)` for each of the calls, in their order.

    Args:
        trial: a function; for processes and clusters one of a module, so that they can import it.
        shared: the first arguments, the same in all calls; on a cluster they are sent to each worker once.
        calls: the other arguments: what tells one trial from another.
        store: where finished trials are kept; those found there are not run again.
        engine: `threads`, with linear algebra held to the cores that are left to each of them; or `processes`, for
            trials that change what belongs to the whole process, such as the global random generators. An engine that
            the caller chose by `joblib.parallel_config` is used instead of either.
        n_jobs: how many trials run at once, -1 for one on each core; by default one on each core for threads, joblib's
            own default for processes.
        cluster: address of a dask scheduler, such as `tcp://127.0.0.1:8786`, whose workers run the trials.
        what: the trials are, as the progress bar calls them.
        quiet: show no progress bar; there is none either where stderr is no terminal.
        say: is told, in a sentence, how many trials were found.

    Raises:
        InputError: when the cluster cannot be reached, or goes away; finished trials stay.

    >>> run_trials(pow, (2,), [(0,), (1,), (10,)], quiet=True)
    [1, 2, 1024]
    """
    outcomes = {} if store is None else store.found(calls)
    missing = [call for call in calls if call not in outcomes]
    if outcomes and missing:
        say(
            f"Found {len(outcomes)} of {len(calls)} {what} from an earlier run; measuring the other "
            f"{len(missing)}."
        )
    elif outcomes:
        say(f"Found all {len(calls)} {what} from an earlier run.")
    if missing:
        bar = progress(what, len(calls), done=len(outcomes), quiet=quiet)
        with bar as advance, _finished(trial, shared, missing, engine, n_jobs, cluster) as finished:
            for call, outcome in finished:
                if store is None:
                    outcomes[call] = outcome
                else:
                    store.write(outcome, store.path(call))
                    # Read back, so that a run in one go and one that was killed give the same to the bit.
                    outcomes[call] = store.read(store.path(call))
                advance()
    return [outcomes[call] for call in calls]


def check_jobs(n_jobs: int | None) -> None:
    """Raise for a number of trials at once that cannot be.

    Raises:
        InputError: when it is neither None, -1 nor a whole number of at least 1.
    """
    whole = isinstance(n_jobs, (int, np.integer)) and not isinstance(n_jobs, bool)
    if n_jobs is not None and not (whole and (n_jobs == -1 or n_jobs >= 1)):
        raise InputError(
            f"n_jobs must be a whole number of at least 1, or -1 for one on each core; got {n_jobs!r}"
        )


@contextmanager
def _finished(
    trial: Callable[..., Any],
    shared: tuple[Any, ...],
    calls: Sequence[Call],
    engine: Engine,
    n_jobs: int | None,
    cluster: str | None,
) -> Iterator[Iterator[tuple[Call, Any]]]:
    """Give calls and their outcomes as they finish; what is left when the block ends is cancelled, in silence."""
    check_jobs(n_jobs)
    if cluster:
        from solvable.lab.cluster import trials_on

        outcomes = trials_on(cluster, trial, shared, calls, n_jobs)
    else:
        outcomes = (_in_threads if engine == "threads" else _in_processes)(trial, shared, calls, n_jobs)
    with warnings.catch_warnings(), closing(outcomes):
        # joblib warns of results that were not waited for; who interrupts a run knows that.
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
    # Without this limit, the linear algebra of every trial would start as many threads as there are cores.
    with limited_blas_threads(max(1, cores() // n_jobs) if n_jobs else cores()):
        pool = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator_unordered")
        yield from pool(delayed(_with_call)(trial, shared, call) for call in calls)  # pyright: ignore


def _in_processes(
    trial: Callable[..., Any], shared: tuple[Any, ...], calls: Sequence[Call], n_jobs: int | None
) -> Generator[tuple[Call, Any]]:
    from joblib import Parallel, delayed

    if n_jobs is not None and n_jobs > 1:
        n_jobs = min(n_jobs, len(calls), 4 * cores())
    # Copy-on-write: some trials want arrays that they may write to.
    pool = Parallel(n_jobs=n_jobs, return_as="generator_unordered", mmap_mode="c")
    yield from pool(delayed(_alone)(trial, shared, call) for call in calls)  # pyright: ignore


def _with_call(trial: Callable[..., Any], shared: tuple[Any, ...], call: Call) -> tuple[Call, Any]:
    return call, trial(*shared, *call)


def _alone(trial: Callable[..., Any], shared: tuple[Any, ...], call: Call) -> tuple[Call, Any]:
    """Run a trial while no other thread of this process does; some engines of joblib make workers of threads."""
    with WHOLE_PROCESS:
        return call, trial(*shared, *call)
