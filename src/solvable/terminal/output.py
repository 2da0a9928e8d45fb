"""Output of commands: in full, as JSON, or in a few words for a script."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from solvable.streams import can_show, visible


@Parameter(name="*")
@dataclass(frozen=True)
class Output:
    """Options of every command."""

    json: Annotated[bool, Parameter(group="Output", show_default=False)] = False
    """Print JSON on stdout and nothing else."""
    quiet: Annotated[bool, Parameter(group="Output", show_default=False)] = False
    """Print only what a script needs (names, paths, numbers), one per line; no progress bar."""
    runs_dir: Annotated[Path, Parameter(group="Output", env_var="SOLVABLE_RUNS")] = Path("runs")
    """Folder of records and cached trials."""

    @property
    def silent(self) -> bool:
        """Whether to suppress messages and progress bars."""
        return self.quiet or self.json

    def emit(
        self, facts: Any, short: Sequence[str], full: Callable[[], None], files: "Files | None" = None
    ) -> None:
        """Print a result, `facts` as JSON, the lines `short` for a script, or `full()` for a reader; then write files.

        The result took longer than the files: it is printed even if one of these cannot be drawn or written.

        Args:
            facts: what JSON has; with files, their paths are added as `written`.
            short: a few lines.
            full: prints the text.
            files: path -> function that writes it; paths may be None.
        """
        asked = {path: write for path, write in (files or {}).items() if path is not None}
        written = list(map(str, asked))
        if self.json:
            from solvable.lab.parameters import as_json

            facts = as_json(facts if files is None else facts | {"written": written})
            text = json.dumps(facts, indent=2, ensure_ascii=False)
            print(text if can_show(text) and visible(text) == text else json.dumps(facts, indent=2))
        elif self.quiet:
            print(*(f"{word}\n" for word in short), sep="", end="")
        else:
            full()
        sys.stdout.flush()
        for path, write in asked.items():
            write(path)
        if written and not self.silent:
            print(visible(f"\nwritten: {', '.join(written)}"))


Files = Mapping[Path | None, Callable[[Path], None]]
"""Files to write: path, or None if it was not asked for -> function that writes it."""

OUTPUT = Output()
"""The defaults."""


def example(command: str) -> str:
    """Return the example line at the end of a command's help."""
    return f"Example: {command}"


def print_styled(what: Any, **options: Any) -> None:
    """Print with rich markup."""
    from rich.console import Console

    Console(highlight=False).print(what, **options)


def print_table(table: Any) -> None:
    """Print a rich table without cutting its numbers: wider than the terminal if it has to be."""
    from rich.console import Console

    # A narrow console would measure no more than its own width.
    natural = Console(width=10_000).measure(table).maximum
    console = Console(highlight=False)
    console.width = max(console.width, natural)
    console.print(table)


def plain(text: str) -> str:
    """Return text with rich markup and control characters escaped."""
    from rich.markup import escape

    return escape(visible(text))


def open_in_browser(address: str) -> None:
    """Open an address in the browser if there is a display; without one, a text browser would start."""
    import os
    import webbrowser

    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)
