"""Parameters of studies: fields with help, checks by type, and values as options or JSON."""

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
from solvable.checks import choice, grid, one_number, whole
from solvable.datasets import Dataset
from solvable.datasets.encoding import Missing
from solvable.datasets.labels import Task
from solvable.errors import InputError

_LARGEST_WHOLE = 2**32 - 1
"""Largest whole number of a field without a bound of its own, as scikit-learn's seeds have."""


@dataclass(frozen=True)
class ParameterField:
    """One field of a `Parameters` dataclass.

    Attributes:
        name: the field's name.
        type: its annotation.
        default: its default, or `dataclasses.MISSING`.
        help: the documentation string below it.
    """

    name: str
    type: Any
    default: Any
    help: str

    @property
    def option(self) -> str:
        """Command-line option of the field: `n_train` is `--n-train`, `B0_T` is `--B0-T`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def items(self) -> Any:
        """Type of a single value: T for `T`, `T | None`, `tuple[T, ...]` and `tuple[T, ...] | None`."""
        rest = [part for part in get_args(self.type) if part is not NoneType]
        plain = rest[0] if NoneType in get_args(self.type) and len(rest) == 1 else self.type
        return get_args(plain)[0] if get_origin(plain) is tuple else plain

    @property
    def several(self) -> bool:
        """Whether the value is a list."""
        return any(get_origin(one) is tuple for one in (self.type, *get_args(self.type)))


@lru_cache
def parameter_fields(Parameters: type[Any]) -> tuple[ParameterField, ...]:
    """Return the fields of a `Parameters` dataclass, each with the documentation string below it."""
    from docstring_parser import parse_from_object

    docs = {
        one.arg_name: " ".join((one.description or "").split())
        # Inherited fields are documented in their base class.
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
    """Choice of the data set; studies of user data add their own parameters."""

    data: str = "digits"
    """Data set: digits, wine, breast-cancer, diabetes, mnist, cifar10, or a FILE.npz, FILE.csv or FILE.parquet."""

    target: str | None = None
    """Column of the file to predict; by default one named target, label or y, else the last."""

    missing: Missing = None
    """Treatment of rows with missing values: drop them, or fill in the column's mean; by default an error."""

    drop: tuple[str, ...] = ()
    """Columns of the file to leave out."""

    def load(self, task: Task, rows: int | None, random_state: int) -> Dataset:
        """Load the data.

        Args:
            task: meaning of integer targets, as in `datasets.load`.
            rows: number of rows to read from a larger file.
            random_state: seed of the choice of rows.

        Raises:
            InputError: if the data cannot be used.
        """
        return datasets.load(
            self.data, self.target, task, self.missing, self.drop, rows=rows, random_state=random_state
        )


def as_text(value: Any) -> str:
    """Return a value as it is typed on the command line.

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
    """Return the command that runs a study with these parameters, without options at their defaults."""
    from shlex import quote

    words = ["solvable", "run", study_name]
    for f in parameter_fields(type(parameters)):
        value = getattr(parameters, f.name)
        if value == f.default:
            continue
        words += [f.option] if value is True else [f.option, quote(as_text(value))]
    return " ".join(words)


def as_json(value: Any) -> Any:
    """Return a value in JSON types: infinities become the strings `inf` and `-inf`, NaN becomes null.

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
    parameters: Any,
    *,
    at_least: Mapping[str, float] | None = None,
    above: Mapping[str, float] | None = None,
    at_most: Mapping[str, float] | None = None,
) -> None:
    """Raise if a field of a study's parameters has the wrong type, is out of range, or lists a value twice.

    None and empty lists are valid where they are the default. Numbers must be finite, except in lists.

    Args:
        parameters: an instance of a `Parameters` dataclass.
        at_least: field -> inclusive lower bound of its value or of each item.
        above: field -> exclusive lower bound, likewise.
        at_most: field -> inclusive upper bound; whole numbers without one are below 2^32, as seeds must be.

    Raises:
        InputError: naming the field.
    """
    for field in parameter_fields(type(parameters)):
        value: Any = getattr(parameters, field.name)
        sides = {"at_least": at_least, "above": above, "at_most": at_most}
        bounds: dict[str, Any] = {
            side: of[field.name] for side, of in sides.items() if of and field.name in of
        }
        if field.items is int:
            bounds = {"at_least": 0, "at_most": _LARGEST_WHOLE} | bounds
        if value is None:
            if field.default is not None:
                raise InputError(f"{field.name} is None; expected a value such as {as_text(field.default)}")
            continue
        if field.several:
            if not isinstance(value, (tuple, list, np.ndarray)):
                raise InputError(f"{field.name} must be a list; got {value!r}")
            if len(value) or field.default:
                _check_list(field, value, bounds)
        elif field.items is int:
            whole(field.name, value, **bounds)
        elif field.items is float:
            one_number(field.name, value, **bounds)
        elif get_origin(field.items) is Literal:
            choice(field.name, str(value), get_args(field.items))
        elif isinstance(field.items, type) and not isinstance(value, field.items):
            expected = {str: "text", bool: "True or False"}.get(field.items, field.items.__name__)
            raise InputError(f"{field.name} must be {expected}; got {value!r}")


def _check_list(field: ParameterField, value: Any, bounds: Mapping[str, Any]) -> None:
    if len(value) == 0:
        raise InputError(f"{field.name} is empty; expected one or more, as in {as_text(field.default)}")
    if field.items is int:
        for item in value:
            whole(field.name, item, **bounds)
    elif field.items is float:
        grid(field.name, value, **bounds)
    elif any(not isinstance(item, str) for item in value):
        raise InputError(f"{field.name} must be a list of text; got {value!r}")
    if len(set(value)) < len(value):
        duplicate = next(item for i, item in enumerate(value) if item in value[:i])
        raise InputError(f"{field.name} lists {as_text(duplicate)} twice; expected distinct values")


def seed_of(*numbers: int) -> int:
    """Return a seed for a `torch.Generator` that depends on all of the numbers."""
    # Their count is part of the seed, since a SeedSequence ignores zeros at the end.
    return int(np.random.SeedSequence((len(numbers), *numbers)).generate_state(1)[0])
