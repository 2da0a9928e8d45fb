"""Files that are whole or not there: written under a temporary name beside their place, then renamed.

A temporary name carries the host and the process that writes it, so what a killed run left behind can be told
from what another run is writing now, and removed.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import xarray as xr

_PREFIX = ".unfinished"


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Give a temporary path; a file or folder written there moves to `path` when the block ends well.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "answer.txt"
    >>> with atomically(path) as temporary:
    ...     _ = temporary.write_text("42")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('42', 1)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(
        f"{_PREFIX}-{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}{path.suffix}"
    )
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        remove(temporary)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes of this machine left in `folder`; what a living one is writing stays."""
    mine = f"{_PREFIX}-{socket.gethostname()}-"
    for path in folder.glob(f"{mine}*"):
        pid = path.name.removeprefix(mine).split("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Return the bytes that a file or a folder takes."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """Write a dataset whole, as netCDF."""
    with atomically(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")


def read_netcdf(path: Path) -> xr.Dataset:
    """Read a dataset into memory."""
    return xr.load_dataset(path, engine="h5netcdf")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to someone else, so it lives
        return True
    return True
