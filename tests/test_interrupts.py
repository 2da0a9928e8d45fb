"""An interrupt in the middle of a file waits for its end, and one that Python drops comes again."""

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress

import pytest

from solvable.interrupts import interrupts_noticed, repeated_if_dropped, uninterrupted
from solvable.lab import TrialStore, run_trials


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


def test_an_interrupt_that_other_code_caught_is_noticed():
    with interrupts_noticed() as notice:
        notice()
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            notice()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_a_trial_swallows_ends_the_run(tmp_path):
    done = []

    def trial(index):
        with suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        done.append(index)
        return (index,)

    store = TrialStore.of_tuples(tmp_path, "trial-{}.json".format, lambda *values: values)
    with pytest.raises(KeyboardInterrupt, match="finished trials are kept"):
        run_trials(trial, (), [(i,) for i in range(9)], store, engine="processes", n_jobs=1, quiet=True)
    assert done == [0]
    assert store.found([(0,), (1,)]) == {(0,): (0,)}


@pytest.mark.parametrize("module", ["solvable.cli", "cyclopts", "solvable.terminal.run", "xarray"])
def test_an_interrupt_during_imports_is_one_word(tmp_path, module):
    # Python imports this file at its start; it interrupts itself when the module is imported.
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    end = subprocess.run(
        [sys.executable, "-m", "solvable", "list"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (end.returncode, end.stderr) == (130, "interrupted\n")
