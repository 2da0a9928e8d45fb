"""What belongs to the whole process: its cores, the threads of linear algebra, its free memory."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from solvable.errors import InputError

WHOLE_PROCESS = threading.RLock()
"""Held while a thread changes what all threads share: the global random generators, stdout, the threads of torch."""

_lock = threading.Lock()
_scan: tuple[int, list[Any]] = (0, [])
_limits: list[int] = []
_before: dict[str, int] = {}


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blas_threads() -> int:
    """Return how many threads linear algebra may use now, at most one for each core.

    Where linear algebra is held to one thread (by `limited_blas_threads`, by `OPENBLAS_NUM_THREADS`, in joblib's
    workers), other work runs beside this one, which should then take one thread as well.
    """
    return max(1, min([cores(), *(library.num_threads for library in _blas_libraries())]))


@contextmanager
def limited_blas_threads(most: int) -> Iterator[None]:
    """Hold linear algebra to `most` threads, in the whole process, until the block ends.

    Blocks may be nested and may overlap in several threads: the smallest of their limits holds, and when the last one
    ends, each library has as many threads as before the first one began.

    Args:
        most: at least 1.

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
    """Give every library the smallest limit in force, or what it had before the first one."""
    for library in _blas_libraries():
        # A library that was loaded meanwhile still has all of its threads.
        before = _before.setdefault(library.filepath, library.num_threads)
        # threadpoolctl lets one thread alone set the number, for as long as that thread lives; here a lock and the list
        # of limits see to it that several may.
        set_num_threads = getattr(library, "_real_set_num_threads", library.set_num_threads)
        set_num_threads(min([before, *_limits]))


def _blas_libraries() -> list[Any]:
    global _scan
    # Looking for libraries takes some milliseconds, so it is done again only after something was imported.
    n_modules, libraries = _scan
    if n_modules != len(sys.modules):
        import scipy.linalg  # noqa: F401  # its BLAS is another one than NumPy's
        from threadpoolctl import ThreadpoolController

        libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        _scan = len(sys.modules), libraries
    return libraries


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS, OpenMP, torch and joblib to one thread until the block ends.

    Sums are then added in one order wherever the block runs, so that the number of processes changes no bit; and ten
    processes of ten threads each do not compete for ten cores.
    """
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    threads = None if torch is None else torch.get_num_threads()
    # The limit of OpenMP is one of the calling thread, so it needs no account of others.
    with limited_blas_threads(1), threadpool_limits(1, "openmp"), parallel_config(backend="sequential"):
        if torch is not None:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(threads)


def free_memory() -> int | None:
    """Return how many bytes may be allocated before the machine (or the container's limit) runs out; None: unknown."""
    free = []
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError):
        pass
    # Containers have a limit of their own, by version 2 or 1 of control groups.
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        try:
            left = int(Path(limit).read_text()) - int(Path(used).read_text())
        except (OSError, ValueError):
            continue
        free.append(left + _forgettable(Path(used).with_name("memory.stat")))
    if not free and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(free, default=None)


def _forgettable(statistics: Path) -> int:
    """Return how many bytes a container holds of files that it has read: counted as used, but free when needed."""
    try:
        lines = [line.split() for line in statistics.read_text().splitlines()]
    except OSError:
        return 0
    return next((int(line[1]) for line in lines if line[0] in ("inactive_file", "total_inactive_file")), 0)


def need_memory(n_bytes: float, what: str, mend: str) -> None:
    """Raise when so much memory is not free.

    Args:
        n_bytes: what will be allocated at the peak.
        what: for what, as in `a learning surface of 50000 samples`.
        mend: what to do instead.

    Raises:
        InputError: when less is free.
    """
    free = free_memory()
    if free is not None and n_bytes > free:
        raise InputError(
            f"{what} needs about {n_bytes / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; {mend}"
        )
