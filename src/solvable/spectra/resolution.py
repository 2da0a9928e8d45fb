r"""A check of how far a truncated spectrum can be trusted.

An `UnresolvedTail` of trace $R$ counts $R/\kappa$ modes as learned, as if all its eigenvalues were far below $\kappa$.
They are only known to be at most $\lambda_M$, the last level of the spectrum, so the count is too large by

$$ \sum_{\text{tail}} \Big(\frac{\lambda}{\kappa} - \frac{\lambda}{\lambda + \kappa}\Big)
   \le \sum_{\text{tail}} \frac{\lambda^2}{\kappa^2} \le \frac{\lambda_M R}{\kappa^2}, $$

and an excess of $e\,n$ learned modes moves $\ln\kappa$, and with it the overfitting coefficient, by about
$\mathcal{E}_0\, e$. This is small when $\kappa$ is well above the last level, or when the tail has little trace.
"""

import numpy as np

from solvable.errors import InputError
from solvable.spectra.eigensystem import Eigensystem
from solvable.spectra.implicit import ImplicitRegularization
from solvable.spectra.sums import SpectralCurves
from solvable.spectra.tails import UnresolvedTail

# Measured errors were 0.05 to 0.75 of the bound, for power laws and exponentials: below it they are within 1 %.
_LARGEST_BOUND = 0.01


def check_resolved(curves: SpectralCurves, solution: ImplicitRegularization) -> None:
    r"""Raise where $\mathcal{E}_0 \lambda_M R/(n\kappa^2) > 0.01$: the omitted part of the spectrum would matter.

    Spectra without an `UnresolvedTail` are taken to be complete.

    Args:
        curves: the task; curves other than an `Eigensystem` pass.
        solution: its implicit regularisation for a kernel, on any grid.

    Raises:
        InputError: with the smallest `n_train` that is not resolved.

    Example:
        >>> from solvable.spectra import Eigensystem, implicit_regularization
        >>> modes = np.arange(1.0, 101.0)
        >>> task = Eigensystem.from_log_eigenvalues(-2 * np.log(modes), tail_trace=0.00995)
        >>> check_resolved(task, implicit_regularization(task, n_train=20))
        >>> check_resolved(task, implicit_regularization(task, n_train=90))
        Traceback (most recent call last):
            ...
        solvable.errors.InputError: the spectrum is not resolved at n = 90: its last level matters there, and ...
    """
    if not isinstance(curves, Eigensystem) or not isinstance(curves.tail, UnresolvedTail):
        return
    log_kappa, n = solution.log_effective_ridge, solution.n_train
    # A level of the tail is no larger than the last explicit level, nor than the tail's trace.
    log_levels = curves.log_eigenvalues[curves.log_eigenvalues > -np.inf]
    log_largest = min(float(log_levels[-1]) if log_levels.size else np.inf, curves.tail.log_trace)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_bound = (
            np.log(solution.overfitting_coefficient)
            + log_largest
            + curves.tail.log_trace
            - np.log(n)
            - 2.0 * log_kappa
        )
    bad = np.ravel(n)[np.ravel(~(log_bound <= np.log(_LARGEST_BOUND)))]
    if bad.size:
        raise InputError(
            f"the spectrum is not resolved at n = {bad.min():g}: its last level matters there, and only the trace is "
            f"known beyond its {len(log_levels)} non-zero levels ({curves.source}); expected an effective ridge well "
            "above the last level; give more levels, a larger ridge or a smaller n"
        )
