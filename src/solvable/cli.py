"""The command line: `solvable diagnose`, `noise-profile`, `activations`, `run`, `list`, `show`, `runs`, `app`.

The options of `solvable run <study>` are the fields of the study's `Parameters`; they are written down there
only. What is heavy is imported inside the commands, so that `solvable --help` answers at once.
"""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from solvable import __version__
from solvable.cli_activations import activations_app
from solvable.cli_diagnose import diagnose
from solvable.cli_noise_profile import noise_profile
from solvable.errors import InputError
from solvable.terminal import OUTPUT, Output, plain
from solvable.terminal import example as example_of
from solvable.terminal import show as print_

if TYPE_CHECKING:
    from solvable.lab import Record, Study


_MAX_ROWS = 30


def main(tokens: Sequence[str] | None = None, studies: Mapping[str, str] | None = None) -> None:
    """Run the command line and exit: 0 when it worked, 2 for input that cannot be used, 130 when interrupted.

    Args:
        tokens: the words after `solvable`; those of this process when left out.
        studies: name -> `module:attribute` of the studies; `solvable.studies.STUDIES` when left out.
    """
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    try:
        app = build_app(tokens, studies)
        app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except UnusedCliTokensError as error:
        got = " ".join(error.unused_tokens or ())
        _fail(f"unexpected {got!r}; a list is one word with commas and no spaces, as in --n-train 32,64")
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


def build_app(tokens: Sequence[str], studies: Mapping[str, str] | None = None) -> App:
    """Return the application; of the studies, only those that `tokens` need are imported."""
    if studies is None:
        from solvable.studies import STUDIES as studies
    app = App(
        name="solvable",
        help="Solvable theories of learning, next to the real thing.",
        help_format="plaintext",
        help_epilogue=example_of("solvable run regression"),
        version=__version__,
        default_parameter=Parameter(negative=(), allow_repeating=False),
        suppress_keyboard_interrupt=False,
    )
    known = dict(studies)

    @app.command(name="list", help_epilogue=example_of("solvable list"))
    def list_(*, output: Output = OUTPUT) -> None:
        """List the studies that can be run."""
        _list_studies(known, output)

    app.command(_run_app(tokens, known))
    app.command(diagnose, help_epilogue=example_of("solvable diagnose FILE.csv --target COLUMN --ridge 1"))
    app.command(noise_profile, help_epilogue=example_of("solvable noise-profile FILE.csv --target COLUMN"))
    app.command(activations_app())
    app.command(show, help_epilogue=example_of("solvable show latest"))
    app.command(runs)
    app.command(_gallery_command(known), name="app", help_epilogue=example_of("solvable app --port 8000"))
    return app


def _run_app(tokens: Sequence[str], studies: Mapping[str, str]) -> App:
    """Return the command `run` with a sub-command for each study that `tokens` can mean."""
    app = App(
        name="run",
        help="Run a study: predict, measure, compare, and keep a record with figure and report.\n\n"
        "Finished trials are kept: a run that was stopped goes on where it was when it is started again.\n\n"
        "What can be run, and with which options: solvable run STUDY --help",
    )
    words = list(tokens)
    if words[:1] == ["run"]:
        from solvable.options import example
        from solvable.studies import load_study

        named = words[1:2] if words[1:2] and words[1] in studies else list(studies)
        for name in named:
            study = load_study(name, studies)
            app.command(_run_command(study), name=name, help_epilogue=example_of(example(study)))
    return app


def _run_command(study: "Study") -> Callable[..., None]:
    """Return the command that runs one study, with the fields of its `Parameters` as options."""
    from solvable.options import options_of

    def command(
        *, output: Output = OUTPUT, n_jobs: int | None = None, cluster: str = "", **values: Any
    ) -> None:
        from solvable.lab.run import run

        try:
            parameters = study.Parameters(**values)
        except InputError:
            raise
        except ValueError as error:  # a check in the study's own Parameters
            raise InputError(str(error)) from None
        quiet = output.quiet or output.json
        record = run(
            study, parameters, runs_dir=output.runs_dir, n_jobs=n_jobs, cluster=cluster or None, quiet=quiet
        )
        _show_record(record, output)

    jobs_help = "Trials that run at once; by default as many as there are cores, or the cluster has threads."
    jobs = Annotated[int | None, Parameter(help=jobs_help, group="Engine")]
    cluster_help = (
        "Address of a dask scheduler whose workers run the trials, such as tcp://127.0.0.1:8786. Start one with "
        "`dask scheduler`, and on each machine that shall work `dask worker ADDRESS --nworkers auto`."
    )
    cluster = Annotated[
        str, Parameter(help=cluster_help, group="Engine", env_var="SOLVABLE_CLUSTER", show_default=False)
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        *options_of(study.Parameters),
        inspect.Parameter("n_jobs", keyword, default=None, annotation=jobs),
        inspect.Parameter("cluster", keyword, default="", annotation=cluster),
        inspect.Parameter("output", keyword, default=OUTPUT, annotation=Output),
    ]
    command.__signature__ = inspect.Signature(options)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {option.name: option.annotation for option in options}
    command.__doc__ = f"{study.title}.\n\n{study.question}"
    return command


def _gallery_command(studies: Mapping[str, str]) -> Callable[..., None]:
    """Return the command that serves the pages of these studies."""

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
            output.show({"address": address}, [address], lambda: print(words))

        run(studies, announce, port=port, browser=not no_browser)

    return gallery


def _list_studies(studies: Mapping[str, str], output: Output) -> None:
    from rich.padding import Padding

    from solvable.studies import load_study

    loaded = [load_study(name, studies) for name in studies]
    facts = [{"name": s.name, "title": s.title, "question": s.question, "paper": s.paper} for s in loaded]

    def full() -> None:
        for study in loaded:
            print_(f"[bold]{plain(study.name)}[/bold]  {plain(study.title)}")
            print_(Padding(f"{plain(study.question)}\n[dim]{plain(study.paper)}[/dim]", (0, 0, 1, 4)))

    output.show(facts, [study.name for study in loaded], full)


def show(run: str, /, *, output: Output = OUTPUT) -> None:
    """Show a record: the answer, the table of errors, and where figure and report are.

    Args:
        run: `latest`, a record's path, or the beginning of its name or of its short hash.
        output: how the result is printed.
    """
    from solvable.lab.record import find_record

    _show_record(find_record(run, output.runs_dir), output)


runs = App(
    name="runs",
    help="List, open and delete records and cached trials, with the space they take.",
    help_epilogue=example_of("solvable runs --runs-dir ~/experiments"),
)


@runs.default
def list_runs(*, output: Output = OUTPUT) -> None:
    """List records and cached trials, with the space they take."""
    from rich.table import Table

    from solvable.lab.record import cache_sizes, records
    from solvable.lab.text import file_size

    found, cached = records(output.runs_dir), cache_sizes(output.runs_dir)
    facts = {
        "records": [
            _identity(record) | {"created": record.created, "bytes": record.size} for record in found
        ],
        "cache": [{"study": name, "trials": n, "bytes": n_bytes} for name, (n, n_bytes) in cached.items()],
    }

    def full() -> None:
        if not found and not cached:
            print_(f"There is nothing in {plain(str(output.runs_dir))} yet; `solvable run` makes a record.")
        if found:
            table = Table("record", "study", "size", "answer", box=None, pad_edge=False, header_style="dim")
            for record in found:
                table.add_row(
                    plain(record.name), record.study, file_size(record.size), plain(record.conclusion)
                )
            print_(table)
        for study, (n, n_bytes) in cached.items():
            print_(f"[dim]cache[/dim] {study}: {n} trials, {file_size(n_bytes)}")

    output.show(facts, [record.name for record in found], full)


@runs.command(name="open", help_epilogue=example_of("solvable runs open latest"))
def open_(run: str, /, *, output: Output = OUTPUT) -> None:
    """Open a record's report in the browser, and print its path.

    Args:
        run: `latest`, a record's path, or the beginning of its name or of its short hash.
        output: how the result is printed.
    """
    import webbrowser

    from solvable.lab.record import find_record

    report = (find_record(run, output.runs_dir).path / "report.html").resolve()
    # Without a display, webbrowser would start a text browser inside the terminal.
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(report.as_uri())
    output.show({"report": report}, [str(report)], lambda: print(report))


@runs.command(help_epilogue=example_of("solvable runs delete 20260101-120000-1a2b3c4"))
def delete(*run: str, output: Output = OUTPUT) -> None:
    """Delete records. Their trials stay in the cache, so that the same run is quickly made anew.

    Args:
        run: one or more of: `latest`, a record's path, the beginning of its name or of its short hash.
        output: how the result is printed.
    """
    from solvable.lab.files import remove
    from solvable.lab.record import find_record

    if not run:
        raise InputError("no record was named; expected one or more, as `solvable runs` lists them")
    # All are looked up before the first is deleted, so that a typing error deletes nothing.
    found = {record.path.resolve(): record for record in (find_record(name, output.runs_dir) for name in run)}
    for path in found:
        remove(path)
    names = [record.name for record in found.values()]
    output.show({"deleted": names}, names, lambda: print(*(f"deleted {name}" for name in names), sep="\n"))


@runs.command(help_epilogue=example_of("solvable runs clear-cache"))
def clear_cache(*, output: Output = OUTPUT) -> None:
    """Delete all cached trials; records stay."""
    from solvable.lab.files import remove
    from solvable.lab.record import CACHE, cache_sizes
    from solvable.lab.text import file_size

    freed = sum(n_bytes for _, n_bytes in cache_sizes(output.runs_dir).values())
    remove(output.runs_dir / CACHE)
    output.show({"freed_bytes": freed}, [str(freed)], lambda: print(f"freed {file_size(freed)}"))


def _identity(record: "Record") -> dict[str, Any]:
    return {"name": record.name, "study": record.study, "path": record.path, "conclusion": record.conclusion}


def _show_record(record: "Record", output: Output) -> None:
    """Print a record: its table, its answer and its paths."""
    from rich.table import Table

    from solvable.lab.text import comparison_rows

    comparison = record.comparison
    facts = _identity(record) | {
        "title": record.title,
        "question": record.question,
        "paper": record.paper,
        "command": record.command,
        "created": record.created,
        "seconds": record.seconds,
        "notes": record.notes,
        "parameters": record.parameters,
        "environment": record.environment,
        "summary": comparison.summary,
        "comparison": comparison.table.to_dict("records"),
        "figure": record.path / "figure.png",
        "report": record.path / "report.html",
    }

    def full() -> None:
        for name, agreement in comparison.summary.items():
            fixed, heads, rows = comparison_rows(comparison, name)
            table = Table(box=None, pad_edge=False, header_style="dim")
            for head in heads:
                table.add_column(head, justify="right", no_wrap=True)
            for row in rows[:_MAX_ROWS]:
                style = "yellow" if row["outside"] else None if row["counted"] else "dim"
                table.add_row(*row["cells"], style=style)
            print_(f"[bold]{name}[/bold]{', ' if fixed else ''}{plain(fixed)}")
            print_(table)
            if len(rows) > _MAX_ROWS:
                print_(f"… {len(rows) - _MAX_ROWS} more rows in the report", style="dim")
            print_(f"{agreement}\n", style="dim")
        for note in record.notes:
            print_(f"[dim]note:[/dim] {plain(note)}")
        print_(f"\n[bold]{plain(record.conclusion)}[/bold]\n")
        for kind in ("figure.png", "report.html", "comparison.csv"):
            print_(plain(str(record.path / kind)), soft_wrap=True)

    output.show(facts, [str(record.path)], full)
