"""From computed levels to an `Eigensystem`: what is rounding, what is left of the trace, and whether the levels end.

A level computed by quadrature is known to about 1e-16 of the kernel's largest value. Below that it reads as zero, and
two cases must be told apart: a kernel of finite rank, whose remaining levels *are* zero, and one whose levels fall
through the floor and go on unseen. The second gets an `UnresolvedTail` even where what it lacks of the trace is below
rounding, so that nobody takes its last visible level for the end of the spectrum.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import grid
from solvable.errors import InputError
from solvable.spectra.eigensystem import Eigensystem
from solvable.spectra.tails import UnresolvedTail

CosineFunction = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# What of the trace is more than rounding, relative to the whole.
VISIBLE_TRACE = 1e-13
_FLOOR = 1e-14


def kernel_values(kernel: CosineFunction, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the kernel at the points, checked to be as many finite numbers."""
    values = np.asarray(kernel(points), dtype=np.float64)
    if values.shape != points.shape or not np.isfinite(values).all():
        raise InputError(
            f"the kernel must map an array of {len(points)} numbers to as many finite numbers; got shape {values.shape}"
            + ("" if np.isfinite(values).all() else " with values that are NaN or infinite")
        )
    return values


def padded_power(target_power: ArrayLike | None, n_levels: int) -> NDArray[np.float64]:
    """Return the target power of each level, zero where none is given."""
    power = np.zeros(n_levels)
    if target_power is not None:
        given = grid("target_power", target_power, at_least=0.0)
        if len(given) > n_levels:
            raise InputError(
                f"target_power has {len(given)} levels but the spectrum only {n_levels}; raise n_levels or shorten it"
            )
        power[: len(given)] = given
    return power


def from_levels(
    eigenvalues: NDArray[np.float64],
    counts: NDArray[np.float64],
    total: float,
    target_power: ArrayLike | None,
    noise: float,
    source: str,
    *,
    next_count: float = 0.0,
) -> Eigensystem:
    """Return an eigensystem of levels; those at rounding read as zero, and `total` says what trace they had.

    Args:
        eigenvalues: in the domain's order, `(levels,)`.
        counts: multiplicities, `(levels,)`.
        total: the kernel's trace.
        target_power: for each level; may be shorter.
        noise: label noise variance.
        source: the domain in words.
        next_count: multiplicity of the first level that was not computed; 0 where there is none.

    Raises:
        InputError: for a level below zero by more than rounding.
    """
    rounding = _FLOOR * max(float(np.abs(eigenvalues).max()), total)
    negative = np.flatnonzero(eigenvalues < -100 * rounding)
    if len(negative):
        k = int(negative[0])
        raise InputError(
            f"the kernel is not positive semi-definite on the {source}: level {k} has eigenvalue {eigenvalues[k]:.3g}; "
            "expected none below zero"
        )
    eigenvalues = np.where(eigenvalues > rounding, eigenvalues, 0.0)
    rest = total - float(counts @ eigenvalues)
    tail = None
    if rest > VISIBLE_TRACE * total:
        tail = UnresolvedTail(rest)
    elif unseen := _unseen_trace(eigenvalues, np.append(counts, next_count), total, rounding):
        tail = UnresolvedTail(unseen)
    return Eigensystem(
        eigenvalues=eigenvalues,
        target_power=padded_power(target_power, len(eigenvalues)),
        noise=noise,
        multiplicities=counts,
        tail=tail,
        source=source,
    )


def _unseen_trace(
    eigenvalues: NDArray[np.float64], counts: NDArray[np.float64], total: float, rounding: float
) -> float:
    """Return the trace that the next level may have without being seen, or 0 where the levels seem to end.

    They end when the next one, falling as far as the last did, would have been seen and is not there.
    """
    seen = np.flatnonzero(eigenvalues)
    if len(seen) < 2 or counts[seen[-1] + 1] == 0:
        return 0.0
    following = counts[seen[-1] + 1]
    # A level is seen by its eigenvalue, and by its trace, which tells more where multiplicities are large.
    floor = min(rounding, VISIBLE_TRACE * total / following)
    log_last, log_before = np.log(eigenvalues[seen[-1]]), np.log(eigenvalues[seen[-2]])
    expected = log_last + min(0.0, log_last - log_before)
    # Falls grow longer from level to level: a hundredfold is allowed for that.
    ends = expected > np.log(100.0 * floor)
    return 0.0 if ends else float(floor * following)
