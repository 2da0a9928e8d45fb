"""A study's parameters as text: fields with their help, values as options, JSON."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import numpy as np
import pandas as pd

from solvable.errors import grid


@dataclass(frozen=True)
class ParameterField:
    """One field of a `Parameters` dataclass.

    Attributes:
        name: the field's name.
        type: its annotation.
        default: its default, `dataclasses.MISSING` where it has none.
        help: the string below it.
    """

    name: str
    type: Any
    default: Any
    help: str

    @property
    def option(self) -> str:
        """The field as an option of the command line: `n_train` is `--n-train`."""
        return f"--{self.name.replace('_', '-')}"


def parameter_fields(Parameters: type[Any]) -> tuple[ParameterField, ...]:
    """Return the fields of a `Parameters` dataclass, each with the documentation written below it."""
    from docstring_parser import parse_from_object

    docs = {p.arg_name: " ".join((p.description or "").split()) for p in parse_from_object(Parameters).params}
    hints = get_type_hints(Parameters)
    return tuple(
        ParameterField(
            f.name,
            hints[f.name],
            f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default,
            docs.get(f.name, ""),
        )
        for f in dataclasses.fields(Parameters)
    )


def as_text(value: Any) -> str:
    """Return a value as one would type it on the command line.

    >>> as_text((32, 64)), as_text((0.001, float("inf"))), as_text(None)
    ('32,64', '0.001,inf', 'none')
    """
    if isinstance(value, (tuple, list)):
        return ",".join(as_text(item) for item in value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def command_line(study_name: str, parameters: Any) -> str:
    """Return the command that runs a study with these parameters; options at their default are left out."""
    from shlex import quote

    words = ["solvable", "run", study_name]
    for f in parameter_fields(type(parameters)):
        value = getattr(parameters, f.name)
        if value == f.default:
            continue
        words += [f.option] if value is True else [f.option, quote(as_text(value))]
    return " ".join(words)


def as_json(value: Any) -> Any:
    """Return a value in terms that JSON has: infinities become the strings `inf` and `-inf`, NaN null.

    >>> as_json({"ridge": (0.0, float("inf"))})
    {'ridge': [0.0, 'inf']}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, np.ndarray)):
        return [as_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NA:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def checked_numbers(
    parameters: Any,
    whole_numbers: Mapping[str, int],
    positive: Sequence[str] = (),
    non_negative: Sequence[str] = (),
) -> None:
    """Raise for a field of parameters that is out of range.

    Args:
        parameters: a study's.
        whole_numbers: fields that are whole numbers (or tuples of them), and the least that each may be; None passes.
        positive: fields that are above 0.
        non_negative: fields that are at least 0.

    Raises:
        InputError: naming the field.
    """
    from solvable.kernels import inputs

    for name, least in whole_numbers.items():
        value = getattr(parameters, name)
        if isinstance(value, tuple):
            grid(name, value, at_least=least)
        for one in value if isinstance(value, tuple) else () if value is None else (value,):
            inputs.whole(name, one, at_least=least)
    for names, check in ((positive, inputs.positive), (non_negative, inputs.non_negative)):
        for name in names:
            check(name, getattr(parameters, name))


def seed_of(*numbers: int) -> int:
    """Return one seed that depends on all of the numbers, as a `torch.Generator` takes it."""
    # How many there are is one of them, since zeros at the end make no difference to a SeedSequence.
    return int(np.random.SeedSequence((len(numbers), *numbers)).generate_state(1)[0])
