"""What all readers of files share: paths, names in messages, arrays of NumPy's files, and errors of damaged files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.machine import need_memory
from solvable.streams import short

_MOST_LISTED = 20
LONGEST_PATH = 200
"""Most characters of a path in a message."""
# By the ending of a file's name: what it is, and what was expected of one that cannot be read.
_KINDS = {
    ".csv": (
        "a CSV table",
        "rows of equally many cells, of at most 131072 characters each, with closed quotes",
    ),
    ".parquet": ("a Parquet table", "a complete one: write or copy it again"),
    ".npz": ("a .npz archive of plain arrays", "a complete one of numbers or text, written by numpy.savez"),
    ".npy": ("a .npy file", "a complete one of numbers, written by numpy.save"),
}


def plain(name: Any) -> str:
    r"""Return a name as a list without quotes shows it: short, and escaped where a terminal would obey it.

    >>> print(plain("height"), plain("\x1b[31mred"))
    height \x1b[31mred
    """
    text = short(name)
    return text if text.isprintable() else repr(text)[1:-1]


def listed(names: Sequence[Any], most: int = _MOST_LISTED) -> str:
    """Return names as a list without quotes, the first ones if there are many.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(map(plain, names[:most])) + (f" and {more} more" if more > 0 else "")


def choose(what: str, name: str, options: Sequence[str]) -> str:
    """Return a name if it is one of a file's; unlike `checks.choice`, for names that are many, long or strange.

    Raises:
        InputError: otherwise, with the nearest one.
    """
    if name in options:
        return name
    near = get_close_matches(short(name), (one for one in options if len(one) <= LONGEST_PATH), n=1)
    hint = f"; did you mean {short(near[0])!r}?" if near else ""
    raise InputError(f"unknown {what} {short(name)!r}; expected one of {listed(options)}{hint}")


def refuse_repeats(names: Iterable[str], file: str) -> None:
    """Raise for names that repeat, since a second target among the inputs would give it away."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(
            f"{file!r} has more than one column {short(repeated[0])!r}; expected unique names: rename the columns"
        )


def existing_file(path: Path, name: str, expected: str) -> Path:
    """Return the path of a file, with `~` replaced.

    Raises:
        InputError: for a path that is none of a regular file, or cannot be one.
    """
    try:
        path = path.expanduser()
        found, kind = (
            path.is_file(),
            "a folder" if path.is_dir() else "a pipe or device" if path.exists() else "",
        )
    # Too long; a character with the code 0; an unknown user behind `~`.
    except (OSError, ValueError, RuntimeError):
        found, kind = False, ""
    if not found and kind:
        raise InputError(f"{name!r} is {kind}; expected {expected}")
    if not found:
        raise InputError(f"there is no file {name!r}; expected {expected}")
    return path


@contextmanager
def read_errors(name: str, ending: str) -> Iterator[None]:
    """Raise `InputError` for a file that cannot be read as what the ending of its name says."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        reason = short(str(error) or type(error).__name__, LONGEST_PATH)
        raise InputError(
            f"{name!r} needs more memory than is free ({reason}); write a smaller file, or one with fewer columns"
        ) from error
    # Damaged files raise errors of many types: those of csv, zipfile, zlib and pyarrow, EOFError, ...
    except Exception as error:
        kind, expected = _KINDS[ending]
        if type(error).__name__ == "EmptyDataError":
            raise InputError(f"{name!r} is empty; expected a header and at least 2 rows") from None
        if isinstance(error, UnicodeError) and ending == ".csv":
            expected = "text in UTF-8: save it as UTF-8"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{name!r} cannot be read as {kind} ({short(reason, LONGEST_PATH)}); expected {expected}"
        ) from error


def need_memory_for(name: str, n_bytes: int, remedy: str = "write a smaller file") -> None:
    """Raise if a file with so many bytes of data, its copy and its scaled copy are larger than the free memory."""
    need_memory(3.0 * n_bytes, f"reading {name!r}", remedy)


def array_of(archive: Any, key: str, name: str) -> NDArray:
    """Return an array of an open `.npz`.

    Raises:
        InputError: for a member that is no array, or that unpacks to more than the free memory.
    """
    # The directory of the archive bounds what is unpacked, and a header cannot claim more.
    members = [one for one in archive.zip.infolist() if one.filename in (key, f"{key}.npy")]
    need_memory_for(name, sum(one.file_size for one in members))
    array = archive[key]
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"{short(key)!r} in {name!r} is not an array; expected one of numbers or text: write it with numpy.savez"
        )
    return array


def read_npy(path: Path, name: str) -> NDArray:
    """Return the array in a `.npy` file.

    Raises:
        InputError: for a file that is damaged, holds objects, or is larger than the free memory.
    """
    with read_errors(name, ".npy"), path.open("rb") as file:
        need_memory_for(name, path.stat().st_size)
        return np.lib.format.read_array(file, allow_pickle=False)
