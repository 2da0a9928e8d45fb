"""The tiles of a kernel matrix of images: how large, in which order, on how many threads, with which progress bar."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from array_api_compat import is_torch_array

from solvable.kernels import tiles
from solvable.kernels.inputs import Array

Task = TypeVar("Task")
Result = TypeVar("Result")

WORTH_A_BAR = 2.0
"""Seconds from which on a computation shows its progress."""
# Numbers in one array of a tile, 2 MB of doubles. Measured: with 2^16, which would fit a core's second-level cache, the
# calls into NumPy cost half as much again for global averages; flatten hardly feels the difference.
_CPU_TILE = 2**18
_ACCELERATOR_TILE = 2**24


def tile_numbers(X: Array) -> int:
    """Return how many numbers an array of a tile should have on the device of X."""
    return _CPU_TILE if tiles.on_cpu(X) else _ACCELERATOR_TILE


def workers(X: Array) -> int:
    """Return how many tiles of the library of X are computed at a time; torch has threads of its own."""
    return 1 if is_torch_array(X) else tiles.threads()


def in_order(work: Callable[[Task], Result], tasks: Iterable[Task], n_threads: int) -> Iterator[Result]:
    """Yield the results of tasks in their order; a few are under way at a time, so results do not pile up."""
    if n_threads == 1:
        yield from map(work, tasks)
        return
    with ThreadPoolExecutor(n_threads) as executor:
        under_way: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                under_way.append(executor.submit(work, task))
                if len(under_way) > 2 * n_threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


@contextmanager
def progress_bar(title: str, total: int, shown: bool) -> Iterator[Callable[[], None]]:
    """Give the function that moves a bar on standard error by one task, or one that does nothing."""
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    # What is not a terminal keeps the last line.
    with Progress(*columns, console=console, transient=console.is_terminal) as progress:
        bar = progress.add_task(title, total=total)
        yield lambda: progress.advance(bar)


def wants_bar(progress: bool | None, seconds: float) -> bool:
    """Return whether a bar is shown: as asked for, or for long computations on a terminal."""
    return progress if progress is not None else seconds > WORTH_A_BAR and on_a_terminal()


def on_a_terminal() -> bool:
    """Return whether standard error is a terminal."""
    return sys.stderr.isatty()
