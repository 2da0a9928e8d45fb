"""What a benchmark returns, and the one way of timing that all share."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes:
        what: what was done.
        size: of which size.
        ours: our time or memory, with its unit.
        peer: the peer's.
        ratio: peer over ours, or None where it is no ratio that is measured.
        demanded: the least ratio that we claim; None: reported only.
        accuracy: how far the two results differ, or what else was checked.
        accurate: whether that is within the claim.
    """

    what: str
    size: str
    ours: str
    peer: str
    accuracy: str
    ratio: float | None = None
    demanded: float | None = None
    accurate: bool = True

    @property
    def ok(self) -> bool:
        """Whether both claims hold, the ratio and the accuracy."""
        return self.accurate and (
            self.demanded is None or (self.ratio is not None and self.ratio >= self.demanded)
        )


def alternate(
    ours: Callable[[], Any], peer: Callable[[], Any], repeats: int
) -> tuple[float, float, Any, Any]:
    """Return the median seconds of each and their last results; they take turns, so that both meet the same load."""
    seconds: tuple[list[float], list[float]] = [], []
    results: list[Any] = [None, None]
    for _ in range(repeats):
        for who, work in enumerate((ours, peer)):
            start = time.perf_counter()
            results[who] = work()
            seconds[who].append(time.perf_counter() - start)
    return median(seconds[0]), median(seconds[1]), *results


def in_seconds(seconds: float) -> str:
    """Return a duration with three digits."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
