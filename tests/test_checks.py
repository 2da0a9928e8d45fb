"""Checks of arguments: what they take, and the sentence for what they do not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from solvable.checks import finite, numbers, one_number, whole, whole_grid
from solvable.errors import InputError


def test_values_are_converted() -> None:
    assert numbers("x", [True, 2, 3.5]).tolist() == [1.0, 2.0, 3.5]
    assert numbers("x", [10**30]).tolist() == [1e30]
    assert whole_grid("n", [[3.0, 4]], at_least=1).tolist() == [3, 4]
    assert whole("n", np.int64(3), at_least=1) == 3
    assert one_number("x", np.array([2.5])) == 2.5
    finite("x", np.ones((2, 2)))


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (lambda: numbers("x", [[1, 2], [3]]), r"^x must be numbers; got \[\[1, 2\], \[3\]\]$"),
        (lambda: numbers("x", ["1"]), r"^x must be numbers; got \['1'\]$"),
        (lambda: numbers("x", [10**400]), r"^x must be numbers; got \[1000.* \.\.\.$"),
        (lambda: numbers("x", []), "^x is empty"),
        (lambda: numbers("x", [0.0], above=0), "^x must be above 0; got 0$"),
        (lambda: whole_grid("n", [2.5], at_least=1), "^n must be whole numbers; got 2.5$"),
        (lambda: whole_grid("n", [1e300], at_least=1), r"^n must be below 2\*\*63; got 1e\+300$"),
        (lambda: whole("n", 2.0, at_least=1), "^n must be a whole number of at least 1; got 2.0$"),
        (lambda: one_number("x", [1, 2]), "^x must be one number; got 2 values$"),
        (
            lambda: finite("x", np.nan),
            "^x has 1 value that is NaN or infinite, the first at row 0; drop or fill",
        ),
        (
            lambda: finite("x", [[1, np.inf], [np.nan, 1]], ""),
            "^x has 2 values that are NaN .* row 0, column 1$",
        ),
    ],
)
def test_bad_values_are_refused(check: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        check()
