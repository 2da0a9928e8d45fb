"""What this machine has: memory that is free, asked before a large array is allocated."""

import os
from pathlib import Path

from solvable.errors import InputError


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
