"""The command line: `solvable list`, `run`, `show`, `runs`.

The options of `solvable run <study>` are the fields of the study's `Parameters`; they are written down there
only. What is heavy is imported inside the commands, so that `solvable --help` answers at once.
"""

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from solvable import __version__
from solvable.errors import InputError

if TYPE_CHECKING:
    from solvable.lab import Record, Study


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """What every command shares."""

    json: Annotated[bool, Parameter(group="Output", show_default=False)] = False
    """Print JSON on stdout and nothing else."""
    quiet: Annotated[bool, Parameter(group="Output", show_default=False)] = False
    """Print only names or paths; no progress bar."""
    runs_dir: Annotated[Path, Parameter(group="Output", env_var="SOLVABLE_RUNS")] = Path("runs")
    """Folder of records and cached trials."""

    def show(self, facts: Any, short: Sequence[str], full: Callable[[], None]) -> None:
        """Print a result as JSON, as a few words for a script, or in full."""
        if self.json:
            from solvable.lab.parameters import as_json

            print(json.dumps(as_json(facts), indent=2, ensure_ascii=False))
        elif self.quiet:
            print(*(f"{word}\n" for word in short), sep="", end="")
        else:
            full()


_OUTPUT = Output()
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
        help_epilogue=_example("solvable run regression"),
        version=__version__,
        default_parameter=Parameter(negative=(), allow_repeating=False),
        suppress_keyboard_interrupt=False,
    )
    known = dict(studies)

    @app.command(name="list", help_epilogue=_example("solvable list"))
    def list_(*, output: Output = _OUTPUT) -> None:
        """List the studies that can be run."""
        _list_studies(known, output)

    app.command(_run_app(tokens, known))
    app.command(show, help_epilogue=_example("solvable show latest"))
    app.command(runs)
    return app


def _example(command: str) -> str:
    return f"Example: {command}"


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
            app.command(_run_command(study), name=name, help_epilogue=_example(example(study)))
    return app


def _run_command(study: "Study") -> Callable[..., None]:
    """Return the command that runs one study, with the fields of its `Parameters` as options."""
    from solvable.options import options_of

    def command(*, output: Output = _OUTPUT, n_jobs: int | None = None, **values: Any) -> None:
        from solvable.lab.run import run

        try:
            parameters = study.Parameters(**values)
        except InputError:
            raise
        except ValueError as error:  # a check in the study's own Parameters
            raise InputError(str(error)) from None
        quiet = output.quiet or output.json
        _show_record(run(study, parameters, runs_dir=output.runs_dir, n_jobs=n_jobs, quiet=quiet), output)

    jobs_help = "Trials that run at once; as many as there are cores by default."
    jobs = Annotated[int | None, Parameter(help=jobs_help, group="Output")]
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        *options_of(study.Parameters),
        inspect.Parameter("n_jobs", keyword, default=None, annotation=jobs),
        inspect.Parameter("output", keyword, default=_OUTPUT, annotation=Output),
    ]
    command.__signature__ = inspect.Signature(options)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {option.name: option.annotation for option in options}
    command.__doc__ = f"{study.title}.\n\n{study.question}"
    return command


def _list_studies(studies: Mapping[str, str], output: Output) -> None:
    from rich.padding import Padding

    from solvable.studies import load_study

    loaded = [load_study(name, studies) for name in studies]
    facts = [{"name": s.name, "title": s.title, "question": s.question, "paper": s.paper} for s in loaded]

    def full() -> None:
        for study in loaded:
            _print(f"[bold]{_plain(study.name)}[/bold]  {_plain(study.title)}")
            _print(Padding(f"{_plain(study.question)}\n[dim]{_plain(study.paper)}[/dim]", (0, 0, 1, 4)))

    output.show(facts, [study.name for study in loaded], full)


def show(run: str, /, *, output: Output = _OUTPUT) -> None:
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
    help_epilogue=_example("solvable runs --runs-dir ~/experiments"),
)


@runs.default
def list_runs(*, output: Output = _OUTPUT) -> None:
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
            _print(f"There is nothing in {_plain(str(output.runs_dir))} yet; `solvable run` makes a record.")
        if found:
            table = Table("record", "study", "size", "answer", box=None, pad_edge=False, header_style="dim")
            for record in found:
                table.add_row(
                    _plain(record.name), record.study, file_size(record.size), _plain(record.conclusion)
                )
            _print(table)
        for study, (n, n_bytes) in cached.items():
            _print(f"[dim]cache[/dim] {study}: {n} trials, {file_size(n_bytes)}")

    output.show(facts, [record.name for record in found], full)


@runs.command(name="open", help_epilogue=_example("solvable runs open latest"))
def open_(run: str, /, *, output: Output = _OUTPUT) -> None:
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


@runs.command(help_epilogue=_example("solvable runs delete 20260101-120000-1a2b3c4"))
def delete(*run: str, output: Output = _OUTPUT) -> None:
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


@runs.command(help_epilogue=_example("solvable runs clear-cache"))
def clear_cache(*, output: Output = _OUTPUT) -> None:
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
            _print(f"[bold]{name}[/bold]{', ' if fixed else ''}{_plain(fixed)}")
            _print(table)
            if len(rows) > _MAX_ROWS:
                _print(f"… {len(rows) - _MAX_ROWS} more rows in the report", style="dim")
            _print(f"{agreement}\n", style="dim")
        for note in record.notes:
            _print(f"[dim]note:[/dim] {_plain(note)}")
        _print(f"\n[bold]{_plain(record.conclusion)}[/bold]\n")
        for kind in ("figure.png", "report.html", "comparison.csv"):
            _print(_plain(str(record.path / kind)), soft_wrap=True)

    output.show(facts, [str(record.path)], full)


def _print(what: Any, **options: Any) -> None:
    from rich.console import Console

    Console(highlight=False).print(what, **options)


def _plain(text: str) -> str:
    """Return text in which rich sees no markup."""
    from rich.markup import escape

    return escape(text)
