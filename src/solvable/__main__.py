"""Run the command `solvable`, also as `python -m solvable`."""

import os
import signal
import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback, also while modules are imported and at exit."""
    listening = signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def stop(*_: object) -> None:
        # Nothing is lost yet, and an exception in the middle of an import can turn into another one.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"interrupted\n")
        os._exit(130)

    if listening:
        signal.signal(signal.SIGINT, stop)
    from solvable.cli import main as run

    if listening:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    finally:
        if listening:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
