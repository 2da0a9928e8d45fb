"""Atomic files: written under a temporary name in the same folder, then renamed.

A temporary name contains the host and the process id, which distinguish the leftovers of killed runs from files that
another run is writing.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import xarray as xr

from solvable.errors import InputError

_PREFIX = ".unfinished"


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path; the file or folder written there moves to `path` if the block succeeds.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "answer.txt"
    >>> with atomically(path) as temporary:
    ...     _ = temporary.write_text("42")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('42', 1)
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot create the folder {str(path.parent)!r} ({error.strerror}); choose another one"
        ) from None
    temporary = path.with_name(
        f"{_PREFIX}-{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}{path.suffix}"
    )
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        remove(temporary)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of dead processes of this machine from `folder`; those of running ones stay."""
    prefix = f"{_PREFIX}-{socket.gethostname()}-"
    for path in folder.glob(f"{prefix}*"):
        pid = path.name.removeprefix(prefix).split("-")[0]
        if pid.isdigit() and not _is_running(int(pid)):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Return the size of a file or a folder in bytes."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """Write a dataset atomically, as netCDF."""
    with atomically(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")


def read_netcdf(path: Path) -> xr.Dataset:
    """Read a dataset into memory."""
    return xr.load_dataset(path, engine="h5netcdf")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # owned by another user, so it is running
        return True
    return True
