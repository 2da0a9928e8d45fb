"""An interrupt in the middle of a file waits for its end, and one that Python drops comes again."""

import signal
import sys
import threading
import time
import weakref

import pytest

from solvable.interrupts import repeated_if_dropped, uninterrupted


@pytest.fixture(autouse=True)
def listening():
    """Children of a shell that runs the tests in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _interrupted_block(done, error=None):
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append("written")
        if error:
            raise error


def test_the_block_ends_before_the_interrupt_takes_effect():
    done = []
    with pytest.raises(KeyboardInterrupt):
        _interrupted_block(done)
    assert done == ["written"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_in_the_block_gives_way_to_the_interrupt():
    with pytest.raises(KeyboardInterrupt):
        _interrupted_block([], OSError("disk full"))
    with pytest.raises(OSError, match="disk full"), uninterrupted():
        raise OSError("disk full")


def test_other_threads_and_ignored_interrupts_are_left_alone():
    seen = []

    def elsewhere():
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


class Dropping:
    def __init__(self, error):
        self.error = error

    def __call__(self, _):
        raise self.error


def _dies(error):
    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing, Dropping(error))
    del thing
    assert reference() is None


def _drop_an_interrupt_and_wait():
    _dies(KeyboardInterrupt())
    # Without a time limit, since the machine may be slow.
    while True:
        time.sleep(0.01)


def test_an_interrupt_that_python_drops_is_sent_again():
    with repeated_if_dropped(), pytest.raises(KeyboardInterrupt):
        _drop_an_interrupt_and_wait()


def test_other_errors_that_python_drops_are_reported_as_before(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    with repeated_if_dropped():
        _dies(ValueError("of a callback"))
    assert [one.exc_type for one in reported] == [ValueError]
    assert sys.unraisablehook.__self__ is reported
