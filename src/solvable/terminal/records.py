"""The commands `solvable show` and `solvable runs`: show, open, list and delete records."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from cyclopts import App

from solvable.errors import InputError
from solvable.lab.files import remove
from solvable.lab.record import (
    CACHE,
    DamagedRecord,
    Record,
    cache_sizes,
    cached,
    damaged_records,
    find_record,
    records,
)
from solvable.lab.text import file_size
from solvable.streams import visible
from solvable.terminal.output import (
    OUTPUT,
    Output,
    example,
    open_in_browser,
    plain,
    print_styled,
    print_table,
)

_MAX_ROWS = 30

show = App(name="show", help_epilogue=example("solvable show latest"))


@show.default
def show_record(run: str, /, *, output: Output = OUTPUT) -> None:
    """Show a record: the answer, the table of errors, and the paths of figure and report.

    Args:
        run: `latest`, a record's path, or the beginning of its name or of its short hash.
        output: how the result is printed.
    """
    print_record(find_record(run, output.runs_dir), output)


runs = App(
    name="runs",
    help="List, open and delete records and cached trials, with their sizes.",
    help_epilogue=example("solvable runs --runs-dir ~/experiments"),
)


@runs.default
def list_runs(*, output: Output = OUTPUT) -> None:
    """List records and cached trials, with their sizes."""
    from rich.table import Table

    all_records, cache = records(output.runs_dir), cache_sizes(output.runs_dir)
    damaged = damaged_records(output.runs_dir)
    facts = {
        "records": [_identity(one) | {"created": one.created, "bytes": one.size} for one in all_records],
        "damaged": [
            {"name": one.name, "study": one.study, "path": one.path, "problem": one.problem}
            for one in damaged
        ],
        "cache": [{"study": name, "trials": n, "bytes": n_bytes} for name, (n, n_bytes) in cache.items()],
    }

    def full() -> None:
        if not all_records and not damaged and not cache:
            print_styled(
                f"There is nothing in {plain(str(output.runs_dir))} yet; `solvable run` creates a record."
            )
        if all_records:
            table = Table("record", "study", "size", "answer", box=None, pad_edge=False, header_style="dim")
            for one in all_records:
                table.add_row(plain(one.name), one.study, file_size(one.size), plain(one.headline))
            print_styled(table)
        for one in damaged:
            print_styled(f"[yellow]damaged[/yellow] {plain(f'{one.study}/{one.name}: {one.problem}')}")
        if damaged:
            print_styled(
                "[dim]Delete a damaged record with `solvable runs delete NAME`, then repeat the run.[/dim]"
            )
        for study, (n, n_bytes) in cache.items():
            print_styled(f"[dim]cache[/dim] {study}: {n} trials, {file_size(n_bytes)}")

    output.emit(facts, [record.name for record in all_records], full)


@runs.command(name="open", help_epilogue=example("solvable runs open latest"))
def open_(run: str, /, *, output: Output = OUTPUT) -> None:
    """Open a record's report in the browser, and print its path.

    Args:
        run: `latest`, a record's path, or the beginning of its name or of its short hash.
        output: how the result is printed.
    """
    report = (find_record(run, output.runs_dir).path / "report.html").resolve()
    open_in_browser(report.as_uri())
    output.emit({"report": report}, [str(report)], lambda: print(visible(str(report))))


@runs.command(help_epilogue=example("solvable runs delete 20260101-120000-1a2b3c4"))
def delete(*run: str, output: Output = OUTPUT) -> None:
    """Delete records. Their trials stay in the cache, so that repeating a run is fast.

    Args:
        run: one or more of: `latest`, a record's path, the beginning of its name or of its short hash.
        output: how the result is printed.
    """
    if not run:
        raise InputError("no record was named; expected one or more of those listed by `solvable runs`")
    # All records are looked up before the first is deleted, so that a typo deletes nothing.
    paths = {path.absolute(): path.name for path in (_folder(name, output) for name in run)}
    for path in paths:
        remove(path)
    names = list(paths.values())
    output.emit(
        {"deleted": names}, names, lambda: print(*(visible(f"deleted {name}") for name in names), sep="\n")
    )


@runs.command(help_epilogue=example("solvable runs clear-cache"))
def clear_cache(*, output: Output = OUTPUT) -> None:
    """Delete all cached trials; records stay."""
    n_bytes = sum(size for _, size in cache_sizes(output.runs_dir).values())
    for folders in cached(output.runs_dir).values():
        for folder in folders:
            remove(folder)
        with suppress(OSError):  # in use
            folders[0].parent.rmdir()
    with suppress(OSError):  # a link, or in use
        (output.runs_dir / CACHE).rmdir()
    output.emit({"freed_bytes": n_bytes}, [str(n_bytes)], lambda: print(f"freed {file_size(n_bytes)}"))


def _folder(reference: str, output: Output) -> Path:
    """Return the folder of a record, which may be damaged."""
    try:
        return find_record(reference, output.runs_dir).path
    except DamagedRecord as damaged:
        return damaged.path


def _identity(record: Record) -> dict[str, Any]:
    return {
        "name": record.name,
        "study": record.study,
        "path": record.path,
        "headline": record.headline,
        "conclusion": record.conclusion,
    }


def print_record(record: Record, output: Output) -> None:
    """Print the table, the answer and the paths of a record."""
    from rich.table import Table

    comparison = record.comparison
    facts = _identity(record) | {
        "title": record.title,
        "question": record.question,
        "paper": record.paper,
        "command": record.command,
        "created": record.created,
        "seconds": record.seconds,
        "equations": record.equations,
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
            constant, heads, rows = comparison.rows(name)
            table = Table(box=None, pad_edge=False, header_style="dim")
            for head in heads:
                table.add_column(head, justify="right", no_wrap=True)
            for row in rows[:_MAX_ROWS]:
                style = "yellow" if row["outside"] else None if row["counted"] else "dim"
                table.add_row(*map(plain, row["cells"]), style=style)
            print_styled(f"[bold]{name}[/bold]{', ' if constant else ''}{plain(constant)}")
            print_table(table)
            if len(rows) > _MAX_ROWS:
                print_styled(f"… {len(rows) - _MAX_ROWS} more rows in the report", style="dim")
            print_styled(f"{agreement}\n", style="dim")
        for note in record.notes:
            print_styled(f"[dim]note:[/dim] {plain(note)}")
        for equation in record.equations:
            print_styled(f"[dim]theory:[/dim] {plain(equation)}")
        print_styled(f"\n[bold]{plain(record.headline)}[/bold]")
        if record.conclusion != record.headline:
            print_styled(plain(record.conclusion))
        print()
        for kind in ("figure.png", "report.html", "comparison.csv"):
            print_styled(plain(str(record.path / kind)), soft_wrap=True)

    output.emit(facts, [str(record.path)], full)
