"""A progress bar on stderr, so that results can be piped, and by default only on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from solvable.streams import visible


class Bar(Protocol):
    """The callback that `progress` yields."""

    def __call__(self, pieces: int = 1, *, next: str | None = None) -> None:
        """Advance the bar by `pieces`; `next` changes its description."""
        ...


@contextmanager
def progress(
    what: str, total: int, *, done: int = 0, quiet: bool = False, always: bool = False
) -> Iterator[Bar]:
    """Show the number of finished pieces of work and the remaining time, and yield a `Bar`.

    Args:
        what: description of the work, as in `trials`.
        total: number of pieces.
        done: number of pieces finished before.
        quiet: show nothing.
        always: show the bar even if stderr is not a terminal.

    >>> with progress("trials", 2, quiet=True) as advance:
    ...     advance()
    """
    if quiet or not (always or on_a_terminal()):
        yield lambda pieces=1, next=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=console.is_terminal,  # a file keeps the last line
    )
    with bar:
        task = bar.add_task(visible(what), total=total, completed=done)

        def advance(pieces: int = 1, *, next: str | None = None) -> None:
            bar.update(task, advance=pieces, description=next)

        yield advance


def on_a_terminal() -> bool:
    """Return whether stderr is a terminal."""
    return sys.stderr.isatty()
