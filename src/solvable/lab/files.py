"""Files and folders that are written whole or not at all, and files that show whether they were damaged.

They are written under a temporary name in the same folder, then renamed. A lock of the name keeps other processes from
writing the same file, and distinguishes the leftovers of killed processes from what is being written: a process id
would not, since containers with a common folder have the same ones.
"""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import xarray as xr
from filelock import FileLock, Timeout

from solvable.errors import InputError
from solvable.interrupts import uninterrupted

T = TypeVar("T")

_UNFINISHED = ".unfinished-"
_LOCK = ".lock"
# Seconds until a lock must be free; files are written within a fraction of one.
_LOCKED_WITHIN = 15.0
# How often a file is written again after its folder was removed meanwhile.
_ATTEMPTS = 20


@contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Hold the lock of a path, and yield a temporary path beside it, which is removed at the end if it exists.

    >>> from tempfile import mkdtemp
    >>> with locked(Path(mkdtemp()) / "answer.txt") as temporary:
    ...     temporary.name
    '.unfinished-answer.txt'
    """
    with writing_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{_UNFINISHED}{path.name}")
        lock = temporary.with_name(temporary.name + _LOCK)
        with FileLock(lock, timeout=_LOCKED_WITHIN):
            _remove_now(temporary)  # left by a killed process
            try:
                yield temporary
            finally:
                _remove_now(temporary)
                # Unlinked while held: a process that waits for it looks whether the name is still that of its lock.
                with suppress(OSError):
                    lock.unlink()


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path; the file written there moves to `path` if the block succeeds.

    A link stays a link, and a file keeps its mode; a device or a pipe is written itself.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "answer.txt"
    >>> with atomically(path) as temporary:
    ...     _ = temporary.write_text("42")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('42', 1)
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        with writing_errors(path):
            yield path
        return
    with locked(path) as temporary:
        yield temporary
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)


def written_once(path: Path, content: Callable[[], bytes], read: Callable[[bytes], T]) -> T:
    """Return what `read` makes of the file, after writing `content()` and its checksum if it is absent or damaged.

    Of several processes one writes and all read the same. File and folder may be removed at any time.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "answer"
    >>> [written_once(path, lambda: word, bytes.decode) for word in (b"42", b"43")]
    ['42', '42']
    """
    for attempt in range(_ATTEMPTS):
        try:
            with locked(path) as temporary, uninterrupted():
                # A damaged file can raise any error.
                with suppress(Exception):
                    return read(read_checked(path))
                temporary.write_bytes(_with_checksum(content()))
                outcome = read(read_checked(temporary))
                os.replace(temporary, path)
                return outcome
        except InputError as error:
            gone = isinstance(error.__cause__, FileNotFoundError)
            # `mkdir` says that a folder exists if it is gone a moment later.
            if not gone and not (isinstance(error.__cause__, FileExistsError) and attempt < _ATTEMPTS - 1):
                raise
    # Another process removes the folder all the time.
    return read(content())


def read_checked(path: Path) -> bytes:
    """Return the content of a file from `written_once`.

    Raises:
        ValueError: if the file was changed.
        OSError: if it cannot be read.
    """
    whole = regular_bytes(path)
    content = whole[: -len(_with_checksum(b""))]
    if _with_checksum(content) != whole:
        raise ValueError(f"{path} differs from its checksum")
    return content


def regular_bytes(path: Path) -> bytes:
    """Return the content of a file of our own.

    Raises:
        OSError: for a pipe or a link, such as to a device, which could be read without end.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return path.read_bytes()


def _with_checksum(content: bytes) -> bytes:
    return content + b"\n" + checksum(content).encode()


def checksum(content: bytes) -> str:
    """Return the SHA-256 hash of bytes."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Raise an `InputError` in place of an `OSError`, for a disk that is full or cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {str(path)!r} ({error.strerror or error}); make room there or choose another folder"
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left in a folder; what others are writing stays."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        lock = path if path.suffix == _LOCK else path.with_name(path.name + _LOCK)
        # Nothing is lost if it stays, as in a folder that cannot be written.
        with suppress(OSError, Timeout), FileLock(lock, blocking=False):
            _remove_now(path)
            lock.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it exists; a folder disappears at once, for other processes too."""
    if path.is_dir() and not path.is_symlink():
        renamed = path.with_name(f"{_UNFINISHED}{uuid4().hex}")
        with suppress(FileNotFoundError):  # another process was faster
            os.replace(path, renamed)
        path = renamed
    _remove_now(path)


def _remove_now(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # Another process may be removing it as well.
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Return the size of a file or a folder in bytes."""
    total = 0
    for file in [path] if path.is_file() else path.rglob("*"):
        with suppress(OSError):  # removed meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total


def netcdf_bytes(dataset: xr.Dataset) -> bytes:
    """Return a dataset as a netCDF file: on a full disk, the HDF5 library would crash at exit."""
    return bytes(dataset.to_netcdf(engine="h5netcdf"))  # pyright: ignore[reportArgumentType]


def from_netcdf_bytes(content: bytes) -> xr.Dataset:
    """Return the dataset in the bytes of a netCDF file."""
    return xr.load_dataset(BytesIO(content), engine="h5netcdf")


def write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """Write a dataset atomically, as netCDF."""
    with atomically(path) as temporary:
        temporary.write_bytes(netcdf_bytes(dataset))


def read_netcdf(path: Path) -> xr.Dataset:
    """Read a dataset into memory."""
    return xr.load_dataset(path, engine="h5netcdf")
