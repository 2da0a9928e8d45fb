"""`python -m benchmarks [NAME ...]`: run all, or those named, print one table; exit status 1 on a miss."""

import importlib
import os
import pkgutil
import platform
import sys
import time

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks._result import Result


def main(wanted: list[str]) -> int:
    """Run, print, and return the exit status."""
    # Piped into a file, rich would assume 80 columns and break the table's words.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    known = [
        module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")
    ]
    if unknown := sorted(set(wanted) - set(known)):
        console.print(f"there is no benchmark {unknown[0]!r}; expected {', '.join(known)}")
        return 2
    start, results = time.perf_counter(), []
    for name in wanted or known:
        with console.status(f"{name} ..."):
            for result in importlib.import_module(f"benchmarks.{name}").run():
                results.append(result)
    console.print(table_of(results))
    missed = [result.what for result in results if not result.ok]
    console.print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{time.perf_counter() - start:.0f} s in all. "
        + (f"[red]Demands missed: {'; '.join(missed)}." if missed else "[green]Every demand is met.")
    )
    return 1 if missed else 0


def table_of(results: list[Result]) -> Table:
    """Return the results as one table."""
    table = Table(title="solvable and its peers on the same work, medians of alternating repeats")
    for column in ("what", "size", "ours", "peer"):
        table.add_column(column)
    table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("demanded", justify="right", no_wrap=True)
    table.add_column("accuracy")
    table.add_column("ok")
    for r in results:
        ratio = "–" if r.ratio is None else f"{r.ratio:.1f}" if r.ratio < 100 else f"{r.ratio:.0f}"
        demanded = "–" if r.demanded is None else f"≥ {r.demanded:g}"
        ok = "[green]yes" if r.ok else "[red]no"
        table.add_row(r.what, r.size, r.ours, r.peer, ratio, demanded, r.accuracy, ok)
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
