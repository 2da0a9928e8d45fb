"""`find_critical_points`: run a method from many starts at once, each with its own end."""

from collections.abc import Callable
from typing import Any

import numpy as np

from solvable.checks import choice, one_number, whole
from solvable.errors import InputError
from solvable.landscapes.inputs import as_batch, as_loss, need_dense
from solvable.landscapes.losses import Loss, Numbers
from solvable.landscapes.methods import METHODS, Method
from solvable.landscapes.result import CriticalPoints
from solvable.progress import progress

# Memory for the Hessians of starts that advance together: the matrix, its eigenvectors and copies.
_BYTES, _COPIES = 1e9, 5
# Parameters that have grown by this factor have left for infinity.
_DIVERGED = 1e4
_NOT_DENSE = "choose newton_mr or gnm, which need only products with it"


def find_critical_points(
    loss: Any,
    theta0: Any = None,
    method: str | Method = "lm",
    gtol: float = 1e-20,
    max_iter: int = 500,
    *,
    batch_size: int | None = None,
    callback: Callable[[int, Numbers], None] | None = None,
    quiet: bool = False,
) -> CriticalPoints:
    r"""Look for points with zero gradient from one or many starts.

    A start ends with one of these statuses: `converged` ($|g|^2 \le$ gtol), `stalled` (no step makes $|g|^2$ smaller),
    `iteration limit`, `diverging` ($|\theta|$ has grown ten thousand times), `nan`. Only `.classify()` of the result
    says which of the points are critical.

    Args:
        loss: a torch function of one float64 vector (N,), or what `module_loss` or `numpy_loss` returns.
        theta0: starts (N,) or (B, N), from `sample_starts` for example; or an earlier result, which is continued; by
            default the module's own parameters.
        method: `lm`, `newton_mr`, `damped_newton` or `gnm`, or an instance of `LM`, `NewtonMR`, `DampedNewton` or `GNM`
            with other settings. `lm` is best on networks, not on all losses, and takes up to 5000 parameters.
        gtol: end of the search, $|g|^2 \ge 0$; far below the tolerance of a verdict, since the index is right long
            after the loss is.
        max_iter: accepted steps of each start, at most; those of an earlier result count.
        batch_size: starts that advance together; by default all, or as many as have Hessians of 1 GB in all. The result
            is the same.
        callback: called after each step with its number and the parameters of the starts that advance together.
        quiet: show no progress bar.

    Returns:
        A `CriticalPoints` with arrays over the starts.

    Raises:
        InputError: for starts or a loss that cannot be used, or too many parameters for the method.

    >>> from solvable.landscapes import find_critical_points
    >>> import torch
    >>> def double_well(theta):
    ...     return 1 + theta[0] ** 2 - theta[1] ** 2 + theta[1] ** 4
    >>> found = find_critical_points(double_well, torch.tensor([[0.3, 0.1], [0.2, 0.9]], dtype=torch.float64))
    >>> found.index.tolist(), found.loss.round(6).tolist()
    ([1, 0], [1.0, 0.75])
    """
    earlier = theta0 if isinstance(theta0, CriticalPoints) else None
    function = as_loss(loss, theta0)
    theta = as_batch(theta0 if earlier is None else earlier.theta, function)
    gtol, max_iter = one_number("gtol", gtol, at_least=0), whole("max_iter", max_iter, at_least=0)
    if isinstance(method, str):
        method = METHODS[choice("method", method, METHODS)]()
    elif not isinstance(method, Method):
        raise InputError(
            f"method is {method!r}; expected one of {', '.join(METHODS)}, or an instance such as LM()"
        )
    B, N = theta.shape
    if method.dense:
        need_dense(N, f"method {type(method).__name__}", _NOT_DENSE)
    size = int(_BYTES / (8 * N**2 * _COPIES)) if method.dense and batch_size is None else batch_size or B
    size = whole("batch_size", max(size, 1) if batch_size is None else batch_size, at_least=1)
    function.check(theta, size)
    if earlier is None:
        result = CriticalPoints.start(theta, method.state0)
    elif earlier.method != repr(method):
        raise InputError(
            f"the earlier result is of {earlier.method}; expected the same method to continue it, got {method!r}; "
            "start anew from its theta"
        )
    else:
        result = earlier.copy()
    result.method, result.function = repr(method), function
    result.extend(max_iter)
    with progress("steps of starts", B * max_iter, quiet=quiet) as advance:
        for first in range(0, B, size):
            _run(function, method, result, slice(first, first + size), gtol, max_iter, callback, advance)
    result.trim()
    return result


def _run(
    loss: Loss,
    method: Method,
    result: CriticalPoints,
    rows: slice,
    gtol: float,
    max_iter: int,
    callback: Callable[[int, Numbers], None] | None,
    advance: Any,
) -> None:
    """Advance a group of starts until each has ended, and write into the result."""
    group = np.arange(len(result.theta))[rows]
    reach = _DIVERGED * (1 + np.linalg.norm(result.theta0[group], axis=1))
    # A converged start goes on where a smaller gtol is asked for.
    unfinished = (result.status[group] == "converged") & (result.squared_gradient[group] > gtol)
    running = group[np.isin(result.status[group], ("", "iteration limit")) | unfinished]
    advance(int(result.n_iter[running].sum()) + max_iter * (len(group) - len(running)))
    result.status[running] = ""
    while running.size:
        here = loss.at(result.theta[running])
        squared = here.squared_gradient
        step = result.n_iter[running]
        result.loss[running], result.squared_gradient[running] = here.value, squared
        result.record(running, step, loss=here.value, squared_gradient=squared)
        norm = np.linalg.norm(here.theta, axis=1)
        broken = ~(np.isfinite(here.value) & np.isfinite(squared))
        for status, ended in (
            ("iteration limit", step >= max_iter),
            ("diverging", norm > reach[running - group[0]]),
            ("converged", squared <= gtol),
            ("nan", broken),
        ):
            result.status[running[ended]] = status
        going = result.status[running] == ""
        advance(int((max_iter - step[~going]).sum()))
        if not going.all():
            running = running[going]
            if not running.size:
                break
            here, step = loss.at(result.theta[running]), step[going]
        move, memory = method.advance(loss, here, result.state[running])
        result.record(
            running, step, residual=move.residual, cokernel_residual=move.cokernel, step_size=move.size
        )
        result.theta[running], result.state[running] = move.theta, memory
        result.n_iter[running] += move.moved
        result.status[running[~move.moved]] = "stalled"
        result.status[running[move.broken]] = "nan"
        advance(int(move.moved.sum() + (max_iter - step[~move.moved]).sum()))
        running = running[move.moved]
        if callback is not None and running.size:
            callback(int(result.n_iter[group].max()), result.theta[group].copy())
