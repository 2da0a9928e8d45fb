"""A study's `Parameters` as options of the command line."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from cyclopts import Parameter

from solvable.lab.parameters import ParameterField, as_text, parameter_fields
from solvable.lab.study import Study


def options_of(Parameters: type[Any]) -> list[inspect.Parameter]:
    """Return the fields of a `Parameters` dataclass as arguments that cyclopts reads as options."""
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=Annotated[field.type, _option(field)],
        )
        for field in parameter_fields(Parameters)
    ]


def example(study: Study) -> str:
    """Return a command that shows how options of this study are written, its longest list if it has one."""
    fields = parameter_fields(study.Parameters)
    given = [f for f in fields if f.default not in (MISSING, None, ()) and not isinstance(f.default, bool)]
    given.sort(key=lambda field: len(field.default) if _item_type(field.type) else 0, reverse=True)
    shown = " ".join(f"{field.option} {as_text(field.default)}" for field in given[:1])
    return f"solvable run {study.name} {shown}".rstrip()


def _option(field: ParameterField) -> Parameter:
    group = "Parameters"
    items = _item_type(field.type)
    if items is None:
        # cyclopts itself would cut 2.5 to 2.
        strict = field.type is int or int in get_args(field.type)
        converter = (lambda _, tokens: _item(int, tokens[0].value)) if strict else None
        show_default = None if field.type is not bool else False
        return Parameter(help=field.help, group=group, converter=converter, show_default=show_default)
    # One token, so that in `--n-train 32 64` the 64 is an error and never the value of something else.
    return Parameter(
        help=field.help,
        group=group,
        converter=_comma_separated(items),
        n_tokens=1,
        allow_leading_hyphen=True,
        show_default=as_text if field.default else False,
        metavar=f"{items.__name__.upper()},...",
    )


def _item_type(hint: Any) -> type | None:
    """Return T for `tuple[T, ...]` and `tuple[T, ...] | None`, and None for what is not a list.

    >>> _item_type(tuple[int, ...] | None), _item_type(str)
    (<class 'int'>, None)
    """
    if get_origin(hint) is tuple:
        return get_args(hint)[0]
    rest = [part for part in get_args(hint) if part is not NoneType]
    return _item_type(rest[0]) if len(rest) == 1 and NoneType in get_args(hint) else None


def _comma_separated(items: type) -> Callable[[Any, Sequence[Any]], tuple[Any, ...]]:
    def convert(_: Any, tokens: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(_item(items, word.strip()) for word in tokens[0].value.split(","))

    return convert


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
