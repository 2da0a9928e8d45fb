"""One progress bar for the house: on stderr, so that results can be piped, and only where someone sees it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int, *, done: int = 0, quiet: bool = False) -> Iterator[Callable[[], None]]:
    """Show how many pieces of work are done, and how long the others will take.

    Args:
        what: is done, as in `trials`.
        total: how many pieces there are.
        done: how many were done before.
        quiet: show nothing; nothing is shown either where stderr is no terminal.

    Returns:
        a context that gives a function, to be called when a piece is done.

    Example:
        >>> with progress("trials", 2, quiet=True) as advance:
        ...     advance()
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=total, completed=done)
        yield lambda: bar.advance(task)
