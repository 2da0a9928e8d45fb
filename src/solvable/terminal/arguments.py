"""Command-line options: comma-separated lists, paths checked in advance, and a study's parameters."""

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
"""File extensions of figures."""


def comma_list(items: type, **options: Any) -> Parameter:
    """Return a `cyclopts.Parameter` for a comma-separated list of `items`: int, float or str.

    The list is a single token, so that the 64 in `--n-train 32 64` is an error and not another argument.
    """

    def convert(_: Any, tokens: Sequence[Any]) -> tuple[Any, ...]:
        words = [word.strip() for word in tokens[0].value.split(",")]
        values = tuple(_item(items, word) for word in words)
        if (twice := next((words[i] for i, one in enumerate(values) if one in values[:i]), None)) is not None:
            raise ValueError(f"{twice!r} is in the list twice; expected distinct values")
        return values

    metavar = {int: "INT,...", float: "NUMBER,...", str: "STR,..."}[items]
    defaults: dict[str, Any] = {"metavar": metavar, "show_default": False, "allow_leading_hyphen": True}
    return Parameter(converter=convert, n_tokens=1, **defaults | options)


def _item(items: type, word: str) -> Any:
    try:
        return _as_whole(word) if items is int else items(word)
    except ValueError:
        expected = "whole numbers, as in 32,64" if items is int else "numbers, as in 0.01,1"
        raise ValueError(f"{word!r} in the list; expected comma-separated {expected}") from None


def _whole(_: Any, tokens: Sequence[Any]) -> int:
    word = tokens[0].value
    try:
        return _as_whole(word)
    except ValueError:
        raise ValueError(f"{word!r}; expected a whole number") from None


def _as_whole(word: str) -> int:
    """Convert a whole number, of which cyclopts would round 2.5; `1e3` is one too, and long ones keep all digits."""
    try:
        return int(word)
    except ValueError:
        number = float(word)
        if not number.is_integer():
            raise
        return int(number)


Whole = Annotated[int, Parameter(converter=_whole)]
"""One whole number, as in `--trials 10`."""
OptionalWhole = Annotated[int | None, Parameter(converter=_whole)]
"""One whole number, or None by default."""
Words = Annotated[tuple[str, ...], comma_list(str)]
"""Comma-separated strings, as in `--drop name,date`."""
Numbers = Annotated[tuple[float, ...], comma_list(float)]
"""Comma-separated numbers, as in `--noise-levels 0.1,0.2`."""
Wholes = Annotated[tuple[int, ...], comma_list(int)]
"""Comma-separated whole numbers, as in `--n-train 32,64`."""


def check_path(option: str, path: Path | None, endings: tuple[str, ...]) -> None:
    """Raise if the file of an option cannot be written; meant to be called before the work.

    Args:
        option: name of the option, without dashes, or of an argument, in capitals.
        path: value of the option, if any.
        endings: allowed file extensions.
    """
    if path is None:
        return
    name = option if option.isupper() else f"--{option}"
    if path.suffix.lower() not in endings:
        raise InputError(f"{name} is {str(path)!r}; expected a file that ends in {', '.join(endings)}")
    if not path.parent.is_dir():
        raise InputError(f"{name} is {str(path)!r}, but there is no such folder; create it first")
    if path.is_dir() or not _writable(path):
        raise InputError(f"{name} is {str(path)!r}, which cannot be written; choose another path")


def _writable(path: Path) -> bool:
    """Return whether a file can be opened for writing, without leaving one behind."""
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
    """Return the fields of a study's `Parameters` as arguments for cyclopts."""
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

    # The name as in reports; cyclopts would turn B0_T into `--b0-t`.
    common: dict[str, Any] = {"name": field.option, "help": field.help, "group": "Parameters"}
    if field.several:
        metavar = f"{field.items.__name__.upper()},..."
        return comma_list(
            field.items, metavar=metavar, show_default=as_text if field.default else False, **common
        )
    converter: Callable[..., Any] | None = _whole if int in (field.items, *get_args(field.items)) else None
    return Parameter(converter=converter, show_default=None if field.type is not bool else False, **common)


def example_of(study: "Study") -> str:
    """Return an example command of a study, with its longest list option if it has one."""
    from solvable.lab.parameters import as_text, parameter_fields

    fields = parameter_fields(study.Parameters)
    candidates = [
        f for f in fields if f.default not in (MISSING, None, ()) and not isinstance(f.default, bool)
    ]
    candidates.sort(key=lambda field: len(field.default) if field.several else 0, reverse=True)
    option = " ".join(f"{field.option} {as_text(field.default)}" for field in candidates[:1])
    return f"solvable run {study.name} {option}".rstrip()
