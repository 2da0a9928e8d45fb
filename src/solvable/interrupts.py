"""Ctrl-C that is neither lost nor taken in the middle of a file.

Python drops a `KeyboardInterrupt` that is raised in a destructor or in the callback of a weak reference, and a file
library cannot finish a file in whose writing it was stopped.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds until a dropped interrupt is sent again: the callback that dropped it has ended by then.
AGAIN_AFTER = 0.01


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Finish the block before a Ctrl-C that arrives in it takes effect; outside the main thread, do nothing.

    >>> with uninterrupted():
    ...     answer = 42
    """
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread may set handlers, and one that was not set from Python could not be restored.
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    arrived: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if arrived:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def interrupts_noticed() -> Iterator[Callable[[], None]]:
    """Yield a function that raises `KeyboardInterrupt` if there was a Ctrl-C in the block that other code caught.

    >>> with interrupts_noticed() as notice:
    ...     notice()
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: None
        return
    arrived: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        before(number, frame)

    def notice() -> None:
        if arrived:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    try:
        yield notice
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def repeated_if_dropped() -> Iterator[None]:
    """Send a Ctrl-C that Python drops in the block once more.

    >>> with repeated_if_dropped():
    ...     answer = 42
    """
    before = sys.unraisablehook

    def hook(dropped: "sys.UnraisableHookArgs") -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            before(dropped)
            return
        # Later and in a thread: here it would be dropped again.
        timer = threading.Timer(AGAIN_AFTER, signal.raise_signal, [signal.SIGINT])
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
