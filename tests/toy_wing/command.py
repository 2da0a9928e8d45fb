"""The command `toy-size`: how many draws a mean needs."""

from solvable.checks import one_number
from solvable.terminal.output import OUTPUT, Output


def toy_size(error: float, /, *, sd: float = 1.0, output: Output = OUTPUT) -> None:
    """Say how many draws bring the error of their mean down to a wanted one.

    Args:
        error: Wanted root mean square error.
        sd: Standard deviation of a draw.
        output: How the result is printed.
    """
    n = round((one_number("sd", sd, above=0) / one_number("error", error, above=0)) ** 2)
    output.emit({"n": n}, [str(n)], lambda: print(f"{n} draws"))
