"""An `Eigensystem` from computed levels: rounding, the rest of the trace, and whether the levels end.

A level computed by quadrature is accurate to about 1e-16 of the kernel's largest value. Smaller levels are set to zero,
and two cases must be told apart: a kernel of finite rank, whose remaining levels *are* zero, and one whose levels
continue below rounding. The second gets an `UnresolvedTail` even where its missing trace is below rounding, so that its
last visible level is not mistaken for the end of the spectrum.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import grid
from solvable.errors import InputError
from solvable.spectra.eigensystem import Eigensystem
from solvable.spectra.tails import UnresolvedTail

CosineFunction = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# The smallest share of the trace that is more than rounding.
VISIBLE_TRACE = 1e-13
_FLOOR = 1e-14


def kernel_values(kernel: CosineFunction, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the kernel at the points.

    Raises:
        InputError: unless these are as many finite numbers as points.
    """
    values = np.asarray(kernel(points), dtype=np.float64)
    if values.shape != points.shape or not np.isfinite(values).all():
        raise InputError(
            f"the kernel must map an array of {len(points)} numbers to as many finite numbers; got shape {values.shape}"
            + ("" if np.isfinite(values).all() else " with NaN or infinite values")
        )
    return values


def padded_power(target_power: ArrayLike | None, n_levels: int) -> NDArray[np.float64]:
    """Return the target power of each level, zero beyond the end of `target_power`."""
    power = np.zeros(n_levels)
    if target_power is not None:
        first = grid("target_power", target_power, at_least=0.0)
        if len(first) > n_levels:
            raise InputError(
                f"target_power has {len(first)} levels but the spectrum has only {n_levels}; raise n_levels or "
                "shorten target_power"
            )
        power[: len(first)] = first
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
    """Return the eigensystem of the levels; those at rounding level are set to zero and their trace goes to the tail.

    Args:
        eigenvalues: in the domain's order, `(levels,)`.
        counts: multiplicities, `(levels,)`.
        total: the kernel's trace.
        target_power: for each level; may be shorter.
        noise: label noise variance.
        source: the domain in words.
        next_count: multiplicity of the first level that was not computed; 0 if there is none.

    Raises:
        InputError: for a level below zero by more than rounding.
    """
    rounding = _FLOOR * max(float(np.abs(eigenvalues).max()), total)
    negative = np.flatnonzero(eigenvalues < -100 * rounding)
    if len(negative):
        k = int(negative[0])
        raise InputError(
            f"the kernel is not positive semi-definite on the {source}: level {k} has eigenvalue {eigenvalues[k]:.3g}; "
            "expected no eigenvalue below zero"
        )
    eigenvalues = np.where(eigenvalues > rounding, eigenvalues, 0.0)
    rest = total - float(counts @ eigenvalues)
    tail = None
    if rest > VISIBLE_TRACE * total:
        tail = UnresolvedTail(rest)
    elif hidden_trace := _hidden_trace(eigenvalues, np.append(counts, next_count), total, rounding):
        tail = UnresolvedTail(hidden_trace)
    return Eigensystem(
        eigenvalues=eigenvalues,
        target_power=padded_power(target_power, len(eigenvalues)),
        noise=noise,
        multiplicities=counts,
        tail=tail,
        source=source,
    )


def _hidden_trace(
    eigenvalues: NDArray[np.float64], counts: NDArray[np.float64], total: float, rounding: float
) -> float:
    """Return the largest trace that the next level may have without being visible, or 0 where the levels seem to end.

    They seem to end when the next level, at the ratio of the last two, would be visible but is missing.
    """
    visible = np.flatnonzero(eigenvalues)
    if len(visible) < 2 or counts[visible[-1] + 1] == 0:
        return 0.0
    next_count = counts[visible[-1] + 1]
    # A level is visible by its eigenvalue or by its trace, the sharper criterion for large multiplicities.
    floor = min(rounding, VISIBLE_TRACE * total / next_count)
    log_last, log_before = np.log(eigenvalues[visible[-1]]), np.log(eigenvalues[visible[-2]])
    expected = log_last + min(0.0, log_last - log_before)
    # The ratio may fall from level to level: a factor of 100 allows for that.
    ends = expected > np.log(100.0 * floor)
    return 0.0 if ends else float(floor * next_count)
