"""The command line: puts together the commands that serve all wings and those of each wing.

What is heavy is imported when a command is asked for, so that `solvable --help` answers at once.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from solvable import __version__
from solvable.errors import InputError
from solvable.terminal.output import OUTPUT, Output, example
from solvable.wings import WINGS, Wing, load_study, study_names

_RECORDS = "solvable.terminal.records"


def main(tokens: Sequence[str] | None = None, wings: Sequence[Wing] = WINGS) -> None:
    """Run the command line and exit: 0 when it worked, 2 for input that cannot be used, 130 when interrupted.

    Args:
        tokens: the words after `solvable`; those of this process when left out.
        wings: whose studies, commands and pages there are.
    """
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    try:
        app = build_app(tokens, wings)
        app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except UnusedCliTokensError as error:
        unused = " ".join(error.unused_tokens or ())
        _fail(f"unexpected {unused!r}; a list is one word with commas and no spaces, as in --n-train 32,64")
    except (CycloptsError, InputError) as error:
        _fail(str(error))
    except BrokenPipeError:
        # Whoever read the output has read enough; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        print("interrupted: finished trials are kept; the same command goes on from them", file=sys.stderr)
        sys.exit(130)


def _fail(problem: str) -> None:
    print(f"error: {' '.join(problem.split())}", file=sys.stderr)
    sys.exit(2)


def build_app(tokens: Sequence[str], wings: Sequence[Wing] = WINGS) -> App:
    """Return the application; of the wings, only those that `tokens` need are imported."""
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
        # cyclopts shows this line in place of the docstring, so the command that is asked for has none.
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
        "show", f"{_RECORDS}:show", "Show a record: the answer, the table of errors, and where its files are."
    )
    add(
        "runs",
        f"{_RECORDS}:runs",
        "List, open and delete records and cached trials, with the space they take.",
    )

    @app.command(name="app", help_epilogue=example("solvable app --port 8000"))
    def gallery(*, port: int | None = None, no_browser: bool = False, output: Output = OUTPUT) -> None:
        """Open the gallery: a page for each wing, on which sliders move its theory and your own data can be dropped.

        It answers to this machine only. Ctrl-C ends it.

        Args:
            port: of 127.0.0.1; a free one by default.
            no_browser: do not open the browser; it is not opened either where there is no display.
            output: how the address is printed.
        """
        from solvable.app import run

        def announce(address: str) -> None:
            words = f"The gallery is at {address} (Ctrl-C ends it)"
            output.emit({"address": address}, [address], lambda: print(words))

        run(wings, announce, port=port, browser=not no_browser)

    return app
