"""Parameters of tests: their names, and which of them stand for all."""

import re
from collections.abc import Iterable
from typing import Any

import pytest


def name(value: object) -> str:
    """Return what a value prints, without addresses in memory: every process has others, and xdist compares ids."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def representative(values: Iterable[Any], fast: Iterable[Any]) -> list[Any]:
    """Return parameters of which those in `fast` stand for the claim in `make test`; the others are marked slow.

    Tuples are the values of several names.
    """
    fast = list(fast)
    return [
        value
        if any(value is one or value == one for one in fast)
        else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.slow)
        for value in values
    ]
