"""A study's parameters: fields with their help, checks by their types, values as options and as JSON."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

from solvable import datasets
from solvable.checks import choice, grid, one_number, whole, whole_grid
from solvable.datasets import Dataset
from solvable.datasets.encoding import Missing
from solvable.datasets.labels import Task
from solvable.errors import InputError


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
        """The field as an option of the command line: `n_train` is `--n-train`, `B0_T` is `--B0-T`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def items(self) -> Any:
        """The type of one value: T for `T`, `T | None`, `tuple[T, ...]` and `tuple[T, ...] | None`."""
        rest = [part for part in get_args(self.type) if part is not NoneType]
        plain = rest[0] if NoneType in get_args(self.type) and len(rest) == 1 else self.type
        return get_args(plain)[0] if get_origin(plain) is tuple else plain

    @property
    def several(self) -> bool:
        """Whether the value is a list."""
        return any(get_origin(one) is tuple for one in (self.type, *get_args(self.type)))


@lru_cache
def parameter_fields(Parameters: type[Any]) -> tuple[ParameterField, ...]:
    """Return the fields of a `Parameters` dataclass, each with the documentation written below it."""
    from docstring_parser import parse_from_object

    docs = {
        one.arg_name: " ".join((one.description or "").split())
        # A field that a class inherits is documented there.
        for base in reversed(Parameters.__mro__)
        if dataclasses.is_dataclass(base)
        for one in parse_from_object(base).params
    }
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


@dataclass(frozen=True)
class DataParameters:
    """Which data a study runs on; a study with data of the user's adds its own parameters to these."""

    data: str = "digits"
    """Data set: digits, wine, breast-cancer, diabetes, mnist, cifar10, or a FILE.npz, FILE.csv or FILE.parquet."""

    target: str | None = None
    """Column of the file to predict; by default one named target, label or y, else the last."""

    missing: Missing = None
    """Rows of the file with missing values: drop them, or fill in the column's mean; by default an error."""

    drop: tuple[str, ...] = ()
    """Columns of the file to leave out."""

    def load(self, task: Task, rows: int | None, random_state: int) -> Dataset:
        """Return the data.

        Args:
            task: what integers to predict mean, as `datasets.load` takes it.
            rows: how many are read of a larger file.
            random_state: seed of the draw of rows.

        Raises:
            InputError: when they cannot be used.
        """
        return datasets.load(
            self.data, self.target, task, self.missing, self.drop, rows=rows, random_state=random_state
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


def check_parameters(
    parameters: Any, *, at_least: Mapping[str, float] | None = None, above: Mapping[str, float] | None = None
) -> None:
    """Raise for a field of a study's parameters whose value is not of its type, out of range, or listed twice.

    None passes where it is the default, and so does an empty list. Numbers are finite, those of a list may be infinite.

    Args:
        parameters: an instance of a `Parameters` dataclass.
        at_least: field -> the least that it, or each of its items, may be.
        above: field -> what it, or each of its items, is above.

    Raises:
        InputError: naming the field.
    """
    for field in parameter_fields(type(parameters)):
        value: Any = getattr(parameters, field.name)
        if value is None:
            if field.default is not None:
                raise InputError(f"{field.name} is None; expected a value such as {as_text(field.default)}")
            continue
        if field.several:
            if len(value) or field.default:
                _check_list(field, value, at_least or {}, above or {})
        elif field.items is int:
            whole(field.name, value, at_least=int((at_least or {}).get(field.name, 0)))
        elif field.items is float:
            one_number(field.name, value, **_bounds(field.name, at_least or {}, above or {}))
        elif get_origin(field.items) is Literal:
            choice(field.name, str(value), get_args(field.items))


def _check_list(
    field: ParameterField, value: Any, at_least: Mapping[str, float], above: Mapping[str, float]
) -> None:
    if len(value) == 0:
        raise InputError(f"{field.name} is empty; expected one or more, as in {as_text(field.default)}")
    if field.items is int:
        whole_grid(field.name, value, at_least=int(at_least.get(field.name, 0)))
    elif field.items is float:
        grid(field.name, value, **_bounds(field.name, at_least, above))
    twice = next((item for i, item in enumerate(value) if item in value[:i]), None)
    if twice is not None:
        raise InputError(f"{field.name} lists {as_text(twice)} twice; list each value once")


def _bounds(name: str, at_least: Mapping[str, float], above: Mapping[str, float]) -> dict[str, float]:
    bounds = {"at_least": at_least.get(name), "above": above.get(name)}
    return {end: value for end, value in bounds.items() if value is not None}


def seed_of(*numbers: int) -> int:
    """Return one seed that depends on all of the numbers, as a `torch.Generator` takes it."""
    # How many there are is one of them, since zeros at the end make no difference to a SeedSequence.
    return int(np.random.SeedSequence((len(numbers), *numbers)).generate_state(1)[0])
