"""The command line: the commands that serve all wings, and those of each wing.

Each command imports its heavy dependencies itself, so that `solvable --help` is fast.
"""

import errno
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from solvable import __version__
from solvable.errors import InputError
from solvable.interrupts import repeated_if_dropped
from solvable.streams import short, use_stand_ins, visible
from solvable.terminal.arguments import OptionalWhole
from solvable.terminal.output import OUTPUT, Output, example
from solvable.wings import WINGS, Wing, load_study, study_names

# An error without a file's name is one of stdout if it is of a disk.
_OF_A_DISK = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EBADF")}
# Most characters of a message: values in it can be as long as a command line.
_LONGEST = 1500
_RECORDS = "solvable.terminal.records"


def main(tokens: Sequence[str] | None = None, wings: Sequence[Wing] = WINGS) -> None:
    """Run the command line; exit with 2 for input that cannot be used and 130 when interrupted.

    Args:
        tokens: the words after `solvable`; by default `sys.argv[1:]`.
        wings: the wings that provide studies, commands and pages.
    """
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    use_stand_ins()
    try:
        app = build_app(tokens, wings)
        with repeated_if_dropped(), _warnings_after_success():
            app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()  # shows a full disk
    except UnusedCliTokensError as error:
        unused = " ".join(error.unused_tokens or ())
        numbers = any(letter.isdigit() for letter in unused)
        hint = "write a list with commas and no spaces, as in --n-train 32,64" if numbers else "see --help"
        _fail(f"unexpected {unused!r}; {hint}")
    except (CycloptsError, InputError) as error:
        _fail(str(error))
    except BrokenPipeError:
        _drop_output()
        sys.exit(0)
    except SystemExit as stop:
        # rich exits with 1 when the reader has closed the pipe.
        sys.exit(0 if isinstance(stop.__context__, BrokenPipeError) else stop.code)
    except MemoryError as error:
        _fail(
            f"not enough memory{f' ({error})' if str(error) else ''}; choose smaller sizes or fewer at once"
        )
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        if error.filename:
            path = os.fsdecode(error.filename)
            _fail(f"cannot use {path!r} ({reason}); expected a path that is allowed, and room there")
        if error.errno not in _OF_A_DISK:
            _fail(f"the system refused a request ({reason}); close other programs, or ask for less at once")
        _drop_output()
        _fail(f"cannot write the output ({reason}); expected room on the disk")
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop}" if str(stop) else "interrupted", file=sys.stderr)
        sys.exit(130)


def _fail(problem: str) -> None:
    # Where stderr is full or closed, the exit status has to do.
    with suppress(OSError):
        print(f"error: {visible(short(' '.join(problem.split()), _LONGEST))}", file=sys.stderr, flush=True)
    sys.exit(2)


def _drop_output() -> None:
    """Forget what stdout has not written yet, which would raise again at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _warnings_after_success() -> Iterator[None]:
    """Show warnings of libraries after the block; if it raises, its sentence is enough."""
    with warnings.catch_warnings(record=True) as caught:
        yield
    for one in caught:
        warnings.showwarning(one.message, one.category, one.filename, one.lineno)


def build_app(tokens: Sequence[str], wings: Sequence[Wing] = WINGS) -> App:
    """Return the application, importing only the wings that `tokens` need."""
    app = App(
        name="solvable",
        help="Solvable theories of learning, next to the real thing.",
        help_format="plaintext",
        help_epilogue=example("solvable run regression"),
        version=__version__,
        default_parameter=Parameter(negative=(), allow_repeating=False),
        suppress_keyboard_interrupt=False,
    )
    command, word = [*tokens[:2], "", ""][:2]

    def add(name: str, place: str, line: str) -> None:
        # `help` replaces the docstring, so the requested command gets none.
        app.command(place, name=name, help=None if name == command else line)

    @app.command(name="list", help_epilogue=example("solvable list"))
    def list_(*, output: Output = OUTPUT) -> None:
        """List the studies that can be run."""
        from solvable.terminal.run import list_studies

        list_studies([load_study(name, wings) for name in study_names(wings)], output)

    if command == "run":
        from solvable.terminal.run import run_app

        names = study_names(wings)
        app.command(run_app([load_study(name, wings) for name in ([word] if word in names else names)]))
    else:
        add(
            "run",
            "solvable.terminal.run:run_app",
            "Run a study: predict, measure, compare, and keep a record.",
        )
    for wing in wings:
        for name, line in wing.commands.items():
            add(name, wing.command(name), line)
    add(
        "show",
        f"{_RECORDS}:show",
        "Show a record: the answer, the table of errors and the paths of its files.",
    )
    add("runs", f"{_RECORDS}:runs", "List, open and delete records and cached trials, with their sizes.")
    add("poster", "solvable.poster.command:poster", "Make a conference poster of a record, or of up to four.")
    add(
        "hunt",
        "solvable.hunt.command:hunt",
        "Solve nine puzzles and a meta, each with a tool of the library.",
    )

    @app.command(name="app", help_epilogue=example("solvable app --port 8000"))
    def gallery(*, port: OptionalWhole = None, no_browser: bool = False, output: Output = OUTPUT) -> None:
        """Open the gallery: a page for each wing, with sliders for its theory and a field for your own data.

        It accepts requests from this machine only. Press Ctrl-C to stop it.

        Args:
            port: port on 127.0.0.1; by default a free one.
            no_browser: do not open the browser; without a display it is never opened.
            output: how the address is printed.
        """
        from solvable.app import run

        def announce(address: str) -> None:
            message = f"The gallery is at {address} (press Ctrl-C to stop it)"
            output.emit({"address": address}, [address], lambda: print(message))

        run(wings, announce, port=port, browser=not no_browser)

    return app
