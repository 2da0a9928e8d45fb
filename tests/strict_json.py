"""What JSON says, by its letter."""

import json
from typing import Any, NoReturn


def strict(text: str) -> Any:
    """Return what JSON says; NaN and Infinity, which it does not have, are refused."""

    def refuse(token: str) -> NoReturn:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)
