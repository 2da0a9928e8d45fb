"""Options of commands: lists in one word, files that are checked before the work, a study's parameters as options."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from cyclopts import Parameter

from solvable.errors import InputError

if TYPE_CHECKING:
    from solvable.lab.parameters import ParameterField
    from solvable.lab.study import Study

FIGURES = (".svg", ".png", ".pdf")
"""Endings that a figure's file may have."""


def comma_list(items: type, **options: Any) -> Parameter:
    """Return an option that is a list, written as one word with commas.

    It is one token, so that in `--n-train 32 64` the 64 is an error and never the value of something else.

    Args:
        items: type of each value, int, float or str.
        options: more of `cyclopts.Parameter`.
    """

    def convert(_: Any, tokens: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(_item(items, word.strip()) for word in tokens[0].value.split(","))

    metavar = {int: "INT,...", float: "NUMBER,...", str: "STR,..."}[items]
    defaults: dict[str, Any] = {"metavar": metavar, "show_default": False, "allow_leading_hyphen": True}
    return Parameter(converter=convert, n_tokens=1, **defaults | options)


def _item(items: type, word: str) -> Any:
    """Return one word of a list as a number or a string; `1e3` is a whole number too."""
    try:
        if items is int:
            number = float(word)
            if not number.is_integer():
                raise ValueError
            return int(number)
        return items(word)
    except (ValueError, OverflowError):
        expected = "whole numbers, as in 32,64" if items is int else "numbers, as in 0.01,1"
        raise ValueError(f"{word!r} in the list; expected comma-separated {expected}") from None


def _whole(_: Any, tokens: Sequence[Any]) -> int:
    # cyclopts itself would cut 2.5 to 2.
    return _item(int, tokens[0].value)


Words = Annotated[tuple[str, ...], comma_list(str)]
"""Texts with commas between them, as in `--drop name,date`."""
Numbers = Annotated[tuple[float, ...], comma_list(float)]
"""Numbers with commas between them, as in `--noise-levels 0.1,0.2`."""
Wholes = Annotated[tuple[int, ...], comma_list(int)]
"""Whole numbers with commas between them, as in `--n-train 32,64`."""


def check_path(option: str, path: Path | None, endings: tuple[str, ...]) -> None:
    """Raise where a file cannot be written, so that it is said before the work and not after it.

    Args:
        option: whose value the path is, without dashes.
        path: to write to, if any.
        endings: that it may have.
    """
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise InputError(f"--{option} is {str(path)!r}; expected a file that ends in {', '.join(endings)}")
    if not path.parent.is_dir():
        raise InputError(f"--{option} is {str(path)!r}, but there is no such folder; make it first")
    if path.is_dir() or not _writable(path):
        raise InputError(f"--{option} is {str(path)!r}, which cannot be written; name another file or folder")


def _writable(path: Path) -> bool:
    """Return whether a file can be written, by trying, and leave nothing behind."""
    new = not path.exists()
    try:
        with path.open("ab"):
            pass
        if new:
            path.unlink()
    except OSError:
        return False
    return True


def options_of(Parameters: type[Any]) -> list[inspect.Parameter]:
    """Return the fields of a study's `Parameters` as arguments that cyclopts reads as options."""
    from solvable.lab.parameters import parameter_fields

    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=Annotated[field.type, _option(field)],
        )
        for field in parameter_fields(Parameters)
    ]


def _option(field: "ParameterField") -> Parameter:
    from solvable.lab.parameters import as_text

    # The name is the one that reports print: by itself cyclopts would make `--b0-t` of B0_T.
    common: dict[str, Any] = {"name": field.option, "help": field.help, "group": "Parameters"}
    if field.several:
        metavar = f"{field.items.__name__.upper()},..."
        return comma_list(
            field.items, metavar=metavar, show_default=as_text if field.default else False, **common
        )
    converter: Callable[..., Any] | None = _whole if int in (field.items, *get_args(field.items)) else None
    return Parameter(converter=converter, show_default=None if field.type is not bool else False, **common)


def example_of(study: "Study") -> str:
    """Return a command that shows how options of a study are written, its longest list if it has one."""
    from solvable.lab.parameters import as_text, parameter_fields

    fields = parameter_fields(study.Parameters)
    given = [f for f in fields if f.default not in (MISSING, None, ()) and not isinstance(f.default, bool)]
    given.sort(key=lambda field: len(field.default) if field.several else 0, reverse=True)
    shown = " ".join(f"{field.option} {as_text(field.default)}" for field in given[:1])
    return f"solvable run {study.name} {shown}".rstrip()
