"""The command `solvable hunt`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from solvable.errors import InputError
from solvable.hunt.play import META, Hunt, Puzzle, team_name
from solvable.streams import visible
from solvable.terminal.arguments import check_path
from solvable.terminal.output import OUTPUT, Output, example, open_in_browser, plain, print_styled
from solvable.wings import WINGS

hunt = App(
    name="hunt",
    help="Nine puzzles and a meta, from the easiest to the hardest, each solved with a tool of the library.",
    help_epilogue=example("solvable hunt open 1"),
)


@hunt.default
def list_puzzles(*, output: Output = OUTPUT) -> None:
    """List the puzzles, with stars, minutes, hints used and those solved."""
    from rich.table import Table

    game = Hunt()
    progress = game.progress()

    def row(puzzle: Puzzle) -> dict[str, Any]:
        return {
            "id": puzzle.id,
            "title": puzzle.title,
            "wing": puzzle.wing,
            "stars": puzzle.stars,
            "minutes": puzzle.minutes,
            "hints_used": progress.hints.get(puzzle.id, 0),
            "hints_total": puzzle.hints_total,
            "solved": puzzle.id in progress.answers,
        }

    rows = [row(puzzle) for puzzle in game.puzzles]

    def full() -> None:
        columns = ("", "title", "wing", "stars", "minutes*", "hints", "")
        table = Table(*columns, box=None, pad_edge=False)
        for one in rows:
            minutes = " / ".join(dict.fromkeys(map(str, one["minutes"])))
            hints = f"{one['hints_used']} of {one['hints_total']}"
            mark = "solved" if one["solved"] else ""
            table.add_row(one["id"], one["title"], one["wing"], "*" * one["stars"], minutes, hints, mark)
        print_styled(table)
        print_styled(
            f"\n[dim]Start where you like: solvable hunt open 1. Puzzle {META} opens with six answers.\n"
            "* with the library / without it[/dim]"
        )

    output.emit({"puzzles": rows}, [one["id"] for one in rows if one["solved"]], full)


@hunt.command(name="open", help_epilogue=example("solvable hunt open 1 --to hunt"))
def open_(id: str, /, *, to: Path = Path(), web: bool = False, output: Output = OUTPUT) -> None:
    """Show a puzzle, and copy its files.

    Args:
        id: 1 to 9, or M for the meta, which opens with six answers.
        to: folder for the files.
        web: also write the page of all puzzles there, and open it in the browser.
        output: how the puzzle is printed.
    """
    game = Hunt()
    puzzle = game.puzzle(id)
    files = game.open(id, to)
    nouns = game.nouns() if puzzle.id == META else []
    if web:
        from solvable.hunt.page import page

        files.append(page(to / "hunt.html"))
        open_in_browser(files[-1].resolve().as_uri())
    facts = {"id": puzzle.id, "title": puzzle.title, "flavour": puzzle.flavour, "given": puzzle.given}

    def full() -> None:
        print_styled(
            f"[bold]{puzzle.id} {plain(puzzle.title)}[/bold] ({'*' * puzzle.stars}, {puzzle.wing})\n"
        )
        print_styled(f"[italic]{plain(puzzle.flavour)}[/italic]\n")
        print_styled(plain(puzzle.given))
        if nouns:
            print_styled(f"\nWaiting, in the order of the file: {plain(', '.join(nouns))}")
        start = puzzle.start
        for path in files:
            start = start.replace(path.name, shlex.quote(str(path)))
        print_styled(f"\n[dim]To begin:[/dim] {plain(start)}")
        print_styled(f"[dim]Then: solvable hunt answer {puzzle.id} (or: hint {puzzle.id})[/dim]\n")
        for path in files:
            print(visible(str(path)))

    output.emit(facts | {"nouns": nouns, "files": list(map(str, files))}, [str(path) for path in files], full)
    _warn(game)


@hunt.command(help_epilogue=example("solvable hunt hint 1"))
def hint(id: str, /, *, output: Output = OUTPUT) -> None:
    """Show the next hint of a puzzle, and how many are left.

    Args:
        id: 1 to 9, or M for the meta.
        output: how the hint is printed.
    """
    game = Hunt()
    text, left = game.hint(id)

    def full() -> None:
        print_styled(f"{plain(text)}\n[dim]{left} more hint{'s' * (left != 1)}[/dim]")

    output.emit({"hint": text, "left": left}, [text], full)
    _warn(game)


@hunt.command(help_epilogue=example("solvable hunt answer 1"))
def answer(id: str, /, *guess: str, team: str | None = None, output: Output = OUTPUT) -> None:
    """Check a guess: right, close or wrong. It ends with status 0 if it is right, else 1.

    Args:
        id: 1 to 9, or M for the meta.
        guess: your answer; without it you are asked, so that the shell's history does not keep it.
        team: name of a team: a right answer then prints its finish code, for events.
        output: how the verdict is printed.
    """
    game = Hunt()
    puzzle = game.puzzle(id)
    word = " ".join(guess) or _asked(puzzle)
    if team is not None:
        team_name(team)  # refused before the answer is kept
    verdict = game.check(id, word)
    facts: dict[str, Any] = {
        "verdict": verdict.kind,
        "message": verdict.message,
        "warning": verdict.warning,
    }
    if verdict.kind == "right":
        facts["solution"] = verdict.solution
        if team is not None:
            facts["finish_code"] = game.finish_code(id, word, team)

    def full() -> None:
        print_styled(f"[bold]{verdict.kind.capitalize()}.[/bold] {plain(verdict.message)}")
        if verdict.solution:
            print_styled(f"\n{plain(verdict.solution)}")
        if verdict.solution and puzzle.wing in {wing.name for wing in WINGS}:
            print_styled(f"\n[dim]The page of this wing: solvable app, or docs/{puzzle.wing}.md[/dim]")
        if "finish_code" in facts:
            print_styled(f"\nFinish code of {plain(str(team))}: [bold]{facts['finish_code']}[/bold]")

    output.emit(facts, [facts.get("finish_code", verdict.kind)], full)
    _warn(game)
    if verdict.kind != "right":
        sys.exit(1)


def _warn(game: Hunt) -> None:
    """Say once that progress is not kept."""
    if game.journal.warning:
        print(visible(f"warning: {game.journal.warning}; this is not kept"), file=sys.stderr)


def _asked(puzzle: Puzzle) -> str:
    print(f"Answer of {puzzle.id} ({puzzle.title}): ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


@hunt.command(help_epilogue=example("solvable hunt certificate --name 'Ada Lovelace'"))
def certificate(*, name: str = "", out: Path = Path("certificate.svg"), output: Output = OUTPUT) -> None:
    """Write the certificate for solving the meta.

    Args:
        name: the name on it.
        out: path: an SVG, or a PDF where the extra `poster` is installed.
        output: how the path is printed.
    """
    from solvable.hunt.certificate import certificate as write

    check_path("out", out, (".svg", ".pdf"))
    path = write(out, name)
    output.emit({"certificate": path}, [str(path)], lambda: print(visible(str(path))))


@hunt.command(help_epilogue=example("solvable hunt page hunt.html"))
def page(out: Path, /, *, output: Output = OUTPUT) -> None:
    """Write all puzzles as one HTML file that needs no network, to play in a browser or to print.

    Args:
        out: path of the HTML file.
        output: how the path is printed.
    """
    from solvable.hunt.page import page as write

    check_path("OUT", out, (".html",))
    path = write(out)
    output.emit({"page": path}, [str(path)], lambda: print(visible(str(path))))


@hunt.command(help_epilogue=example("solvable hunt export site --event event.toml"))
def export(
    folder: Path,
    /,
    *,
    event: Path | None = None,
    platform: str = "static",
    answers: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Write the hunt as a site for an event: static pages, or tables for a puzzle hunt server.

    Args:
        folder: where the site goes.
        event: a TOML file with name, start, end, contact and team_size.
        platform: static, or gph for the importer of gph-site.
        answers: of gph, the organiser's file with a line `puzzle answer` for each.
        output: how the paths are printed.
    """
    from solvable.hunt.event import export as write

    paths = write(folder, platform, event=event, answers=answers)

    def full() -> None:
        for path in paths:
            print(visible(str(path)))

    output.emit({"files": list(map(str, paths))}, list(map(str, paths)), full)


@hunt.command(help_epilogue=example("solvable hunt score submissions.csv --key answers.txt"))
def score(
    submissions: Path,
    /,
    *,
    key: Annotated[Path, Parameter(required=True)],
    event: Path | None = None,
    output: Output = OUTPUT,
) -> None:
    """Rank the teams of an event by their finish codes.

    Args:
        submissions: CSV with the columns time, team, puzzle and code.
        key: the organiser's file with a line `puzzle answer` for each.
        event: the TOML file of the event: what came before its start or after its end does not count.
        output: how the ranking is printed.
    """
    from rich.table import Table

    from solvable.hunt.event import score as rank

    ranking, wrong = rank(submissions, key, event=event)

    def full() -> None:
        table = Table("", "team", "solved", "meta", "last", box=None, pad_edge=False)
        for one in ranking:
            table.add_row(
                str(one["place"]),
                plain(one["team"]),
                str(one["solved"]),
                "yes" if one["meta"] else "",
                one["last"],
            )
        print_styled(table)
        for one in wrong:
            print_styled(f"[yellow]not counted[/yellow] {plain(one)}")

    output.emit({"ranking": ranking, "not_counted": wrong}, [one["team"] for one in ranking], full)


@hunt.command(help_epilogue=example("solvable hunt reset"))
def reset(*, output: Output = OUTPUT) -> None:
    """Begin again: the journal of your progress is renamed, not deleted.

    Args:
        output: how the path of the old journal is printed.
    """
    aside = Hunt().journal.reset()
    if aside is None:
        raise InputError("there is no progress to reset; `solvable hunt open 1` begins")
    output.emit({"journal": aside}, [str(aside)], lambda: print(visible(f"the old journal is {aside}")))
