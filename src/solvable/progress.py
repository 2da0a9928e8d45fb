"""The progress bar: on stderr, so that results can be piped, and only where someone sees it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """What `progress` gives: call it when work is done."""

    def __call__(self, pieces: int = 1, *, next: str | None = None) -> None:
        """Move the bar on.

        Args:
            pieces: how many pieces of work were done.
            next: what is done from now on, in words, where that changes.
        """
        ...


@contextmanager
def progress(
    what: str, total: int, *, done: int = 0, quiet: bool = False, always: bool = False
) -> Iterator[Bar]:
    """Show how many pieces of work are done, and how long the others will take.

    Args:
        what: is done, as in `trials`.
        total: how many pieces there are.
        done: how many were done before.
        quiet: show nothing.
        always: show it even where stderr is no terminal, which otherwise shows nothing.

    Returns:
        a context that gives a `Bar`.

    Example:
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
        transient=console.is_terminal,  # what is no terminal keeps the last line
    )
    with bar:
        task = bar.add_task(what, total=total, completed=done)

        def advance(pieces: int = 1, *, next: str | None = None) -> None:
            bar.update(task, advance=pieces, description=next)

        yield advance


def on_a_terminal() -> bool:
    """Return whether stderr is a terminal."""
    return sys.stderr.isatty()
