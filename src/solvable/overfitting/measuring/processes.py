"""Trials in processes side by side, the same to the bit for every number of them, and failures that say where."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from solvable.errors import InputError
from solvable.overfitting.measuring.estimators import name_of

IN_TURN = threading.RLock()
"""Held by whoever seeds the global generators, catches what is printed or limits threads: all are the whole process's.

Threads, of which some of joblib's engines make their workers, so take turns, and measure what processes do.
"""


def in_processes(function: Callable[..., Any], calls: Sequence[tuple], n_jobs: int | None) -> Iterator[Any]:
    """Give what a function returns for each of its arguments, in the order in which calls finish.

    Where joblib is configured for threads, or for a cluster whose workers have several, one call runs at a time in each
    process: the results are the same, and only processes make it faster.

    Args:
        function: of a module, which a process can find.
        calls: its arguments, one tuple for each call.
        n_jobs: how many processes, -1 for one on each core; None: joblib's default.

    Raises:
        InputError: for a number of processes that joblib does not take.
    """
    from joblib import Parallel, cpu_count, delayed

    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0):
        raise InputError(f"n_jobs is {n_jobs!r}; expected a number of processes, or -1 for all cores")
    if n_jobs is not None and n_jobs > 1:
        n_jobs = min(n_jobs, max(len(calls), 1), 4 * cpu_count())
    # Copy-on-write: some estimators want inputs that they may write to.
    pool = Parallel(n_jobs=n_jobs, return_as="generator_unordered", mmap_mode="c")
    finished: Any = pool(delayed(_in_turn)(function, arguments) for arguments in calls)
    return finished


def _in_turn(function: Callable[..., Any], arguments: tuple) -> Any:
    """Call a function while no other thread of this process does."""
    with IN_TURN:
        return function(*arguments)


@contextmanager
def naming_failures(estimator: Any, n_train: int, level: float) -> Iterator[None]:
    """Turn what an estimator raises into a sentence that says which fit it was.

    Args:
        estimator: that is fitted.
        n_train: on how many samples.
        level: at which noise level.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as problem:
        lines = str(problem).strip().splitlines()
        raise InputError(
            f"{name_of(estimator)} failed on {n_train} samples at noise level {level:g}: {type(problem).__name__}: "
            f"{lines[0] if lines else 'no message'}"
        ) from problem
