"""Resources of the process: cores, BLAS threads and free memory."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from pathlib import Path
from typing import Any

from solvable.errors import InputError

WHOLE_PROCESS = threading.RLock()
"""Lock for changes of global state: the random generators, stdout, the number of torch threads."""

# Bytes that no machine lacks; looking how many are free takes longer than using them.
_LITTLE = 2**16
_jobs: ContextVar[int] = ContextVar("parallel trials", default=1)
_lock = threading.Lock()
_scan: tuple[int, list[Any]] = (0, [])
_limits: list[int] = []
_before: dict[str, int] = {}


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blas_threads() -> int:
    """Return the current number of BLAS threads, at most one per core.

    A limit of one thread (by `limited_blas_threads`, `OPENBLAS_NUM_THREADS` or a joblib worker) means that other work
    runs in parallel, so callers should then use one thread as well.
    """
    return max(1, min([cores(), *(library.num_threads for library in _blas_libraries())]))


@contextmanager
def limited_blas_threads(most: int) -> Iterator[None]:
    """Limit BLAS to `most` threads (at least 1) in the whole process until the block ends.

    Blocks may be nested or overlap in several threads: the smallest limit applies, and when the last block ends, each
    library gets back the number of threads it had before the first one.

    >>> with limited_blas_threads(1):
    ...     blas_threads()
    1
    """
    with _lock:
        if not _limits:
            _before.clear()
        _limits.append(most)
        _apply_limits()
    try:
        yield
    finally:
        with _lock:
            _limits.remove(most)
            _apply_limits()


def _apply_limits() -> None:
    """Set every library to the smallest active limit, or to its original number of threads."""
    for library in _blas_libraries():
        # A library loaded in the meantime still has all of its threads.
        before = _before.setdefault(library.filepath, library.num_threads)
        # threadpoolctl lets only one thread set the number during that thread's lifetime; the lock and the list of
        # limits make it safe for several.
        set_num_threads = getattr(library, "_real_set_num_threads", library.set_num_threads)
        set_num_threads(min([before, *_limits]))


@contextmanager
def limited_torch_threads(most: int) -> Iterator[None]:
    """Limit torch to `most` threads, in this thread and in those that first use torch inside the block.

    torch keeps the number for each thread; one that has used torch before keeps its own.
    """
    torch: Any = sys.modules.get("torch")
    # A module that is still being imported has no functions yet.
    if not hasattr(torch, "set_num_threads"):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, max(1, most)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _blas_libraries() -> list[Any]:
    global _scan
    # A scan takes some milliseconds, so it is repeated only after new imports.
    n_modules, libraries = _scan
    if n_modules != len(sys.modules):
        import scipy.linalg  # noqa: F401  # has a BLAS other than NumPy's
        from threadpoolctl import ThreadpoolController

        libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        _scan = len(sys.modules), libraries
    return libraries


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS, OpenMP, torch and joblib to one thread until the block ends.

    The order of summation is then fixed, so results are bitwise independent of the number of processes; and ten
    processes with ten threads each do not compete for ten cores.
    """
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    threads = None if torch is None else torch.get_num_threads()
    # The OpenMP limit applies to the calling thread only, so it needs no bookkeeping.
    with limited_blas_threads(1), threadpool_limits(1, "openmp"), parallel_config(backend="sequential"):
        if torch is not None:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(threads)


def free_memory() -> int | None:
    """Return the bytes of free memory of the machine, container or process, or None if unknown."""
    free = []
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError):
        pass
    for folder in _control_groups():
        # In version 2 or 1 of control groups.
        for limit, usage in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            try:
                remaining = int((folder / limit).read_text()) - int((folder / usage).read_text())
            except (OSError, ValueError):
                continue
            free.append(remaining + _file_cache(folder / "memory.stat"))
    free += _address_space()
    if not free and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(free, default=None)


def _control_groups() -> Iterator[Path]:
    """Yield the folders of the groups of this process, each of which may have a limit: containers, services, jobs."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in ["0::/", "0:memory:/", *lines]:
        _, controllers, path = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            root = Path("/sys/fs/cgroup") / controllers
            folder = root / path.lstrip("/")
            yield from (one for one in (folder, *folder.parents) if one.is_relative_to(root))


def _address_space() -> list[int]:
    """Return the bytes that this process may still reserve, if that is limited, as by `ulimit -v`."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return []
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError, ValueError):
        return []
    return [max(0, limit - pages * resource.getpagesize())]


@contextmanager
def parallel_trials(n_jobs: int | None) -> Iterator[None]:
    """Let `at_once` count on `n_jobs` trials at the same time in the block: None or -1 for one on each core.

    >>> with parallel_trials(2):
    ...     at_once(10)
    2
    """
    token = _jobs.set(cores() if n_jobs in (None, -1) else n_jobs)
    try:
        yield
    finally:
        _jobs.reset(token)


def at_once(trials: int) -> int:
    """Return how many of a study's trials are in memory at the same time; 1 where `parallel_trials` does not say."""
    return min(_jobs.get(), trials)


def _file_cache(statistics: Path) -> int:
    """Return the bytes of a container's file cache, which count as used but are freed on demand."""
    try:
        lines = [line.split() for line in statistics.read_text().splitlines()]
    except OSError:
        return 0
    return next((int(line[1]) for line in lines if line[0] in ("inactive_file", "total_inactive_file")), 0)


def bytes_of_training(sizes: Sequence[int], n_samples: int) -> float:
    """Return about how many bytes the training of a network takes.

    Args:
        sizes: units of its layers.
        n_samples: number of samples in a step.

    >>> bytes_of_training([10, 100, 1], 5)
    30880.0
    """
    weights = sum(a * b for a, b in pairwise(sizes))
    # A weight has a gradient, a copy of its first value and two moments of the optimizer; a unit has a pre-activation,
    # an activation and their gradients. The numbers have 4 bytes.
    return 4.0 * (5 * weights + 4 * n_samples * sum(sizes))


def need_memory(n_bytes: float, what: str, remedy: str) -> None:
    """Raise if a peak allocation of `n_bytes` exceeds the free memory.

    Args:
        n_bytes: size of the allocation.
        what: its purpose, as in `a learning surface of 50000 samples`.
        remedy: what to do instead.

    Raises:
        InputError: if less is free.
    """
    if n_bytes < _LITTLE:
        return
    free = free_memory()
    if free is not None and n_bytes > free:
        raise InputError(
            f"{what} needs about {n_bytes / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; {remedy}"
        )
