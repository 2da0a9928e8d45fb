r"""The overfitting coefficient of kernel regression in closed form, its bounds, and the cost of overfitting.

With eigenvalues $\lambda_i$ of multiplicity $m_i$, $n$ samples and ridge $\delta$, the effective ridge $\kappa$ solves
$n = \sum_i m_i L_i + \delta/\kappa$ with $L_i = \lambda_i/(\lambda_i + \kappa)$, and

$$ \mathcal{E}_0 = \frac{n}{n - \sum_i m_i L_i^2} = \frac{n}{\sum_i m_i L_i (1 - L_i) + \delta/\kappa}
   = -\frac{d \ln\kappa}{d \ln n}. $$

The test error of a target with noise $\sigma^2$ is $\mathcal{E}_0$ times (bias $+\, \sigma^2$), so pure noise has test
error $\mathcal{E}_0 \sigma^2$ and noise adds $V = \mathcal{E}_0 - 1$ times its variance to the error on clean labels.
By the last form, $\mathcal{E}_0(n)$ is the local slope of $\kappa(n)$ on logarithmic axes.

Conventions as in `solvable.regression.theory`: $\delta$ is added to the Gram matrix undivided.

Sources: arXiv:2207.06569 (taxonomy), arXiv:2306.13185 (effective ranks, cost of overfitting).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import numbers
from solvable.errors import InputError
from solvable.regression.theory import optimal_ridge, test_mse
from solvable.spectra import (
    Eigensystem,
    PowerLawTail,
    SpectralCurves,
    implicit_regularization,
)
from solvable.spectra.resolution import check_resolved
from solvable.spectra.sums import Grid

# The bounds try every k up to here, then as many again, spaced geometrically: any subset gives a valid bound.
_EVERY_K = 10_000


def overfitting_coefficient(eigensystem: SpectralCurves, n_train: ArrayLike, ridge: ArrayLike = 0.0) -> Grid:
    r"""Return $\mathcal{E}_0 = n / \big(\sum_i m_i L_i (1 - L_i) + \delta/\kappa\big)$, the test error of unit noise.

    This form of $n/(n - \sum_i m_i L_i^2)$ has no cancellation. Without ridge, more samples than the rank $M$ of the
    kernel give $\kappa = 0$ and $n/(n - M)$; as many give `inf`, the interpolation peak.

    Args:
        eigensystem: the task; its target and noise play no part.
        n_train: number of training samples, > 0.
        ridge: $\delta \ge 0$, added to the diagonal of the Gram matrix, not divided by $n$; broadcasts with `n_train`.

    Returns:
        $\mathcal{E}_0 \ge 1$, of the broadcast shape. $\mathcal{E}_0 - 1$ is the excess error per unit noise.

    Raises:
        InputError: for values outside these ranges, and if $n$ is too large for the known part of a truncated spectrum.

    Source: arXiv:2110.03922, eq. 5; the slope identity is derived here and checked in the tests.

    Example:
        An endless power law tends to its exponent, a finite rank is interpolated and then averaged over:

        >>> from solvable.spectra import power_law
        >>> overfitting_coefficient(power_law(1.5), n_train=[100, 1000, 10_000]).round(4).tolist()
        [1.4925, 1.4993, 1.4999]
        >>> overfitting_coefficient(Eigensystem([1.0] * 100), n_train=[50, 100, 150]).round(6).tolist()
        [2.0, inf, 3.0]
    """
    _check(eigensystem, SpectralCurves)
    solution = implicit_regularization(eigensystem, n_train, ridge=ridge)
    check_resolved(eigensystem, solution)
    return solution.overfitting_coefficient


def effective_ranks(eigensystem: Eigensystem, k: ArrayLike) -> tuple[Grid, Grid]:
    r"""Return $r_k = \sum_{i>k} \lambda_i/\lambda_{k+1}$ and $R_k = (\sum_{i>k} \lambda_i)^2/\sum_{i>k} \lambda_i^2$.

    They are effective numbers of equal directions in the spectrum after its first $k$ modes; $r_k \le R_k \le r_k^2$.

    Args:
        eigensystem: the task. A power-law tail is summed in closed form; the squares of an `UnresolvedTail` are bounded
            as if its trace were in modes of the last level: $R_k$ is then never too large.
        k: number of leading modes left out, whole numbers >= 0 in any shape; modes are counted one by one, so that $k$
            may fall inside a level.

    Returns:
        $r_k$ and $R_k$, each of the shape of `k`.

    Raises:
        InputError: for a $k$ that leaves no mode, or that reaches into an `UnresolvedTail`.

    Source: Bartlett et al., arXiv:1906.11300.

    Example:
        >>> r, R = effective_ranks(Eigensystem([1.0, 0.5], multiplicities=[1, 10]), k=[0, 1, 4])
        >>> r.round(4).tolist(), R.round(4).tolist()
        ([6.0, 10.0, 7.0], [10.2857, 10.0, 7.0])
    """
    _check(eigensystem, Eigensystem)
    k = numbers("k", k, at_least=0.0)
    if (bad := np.isinf(k) | (k != np.floor(k))).any():
        raise InputError(f"k must be whole numbers; got {k[bad].flat[0]:g}; count modes one by one")
    after = _after(eigensystem, k.ravel())
    if (unknown := np.isneginf(after.log_next)).any():
        known = eigensystem.multiplicities[eigensystem.log_eigenvalues > -np.inf].sum()
        raise InputError(
            f"no eigenvalue is known after the first k = {k.ravel()[unknown][0]:g} modes; the spectrum has {known:g} "
            "known modes: give a smaller k or more levels"
        )
    r, rank = np.exp(after.log_sum - after.log_next), np.exp(2 * after.log_sum - after.log_squares)
    return r.reshape(k.shape), rank.reshape(k.shape)


def overfitting_bounds(eigensystem: Eigensystem, n_train: ArrayLike) -> tuple[Grid, Grid]:
    r"""Return bounds on the ridgeless $\mathcal{E}_0$ that do not require solving for $\kappa$.

    With $T_k = \sum_{i>k} \lambda_i$ and $\bar\kappa = \min_{k<n} T_k/(n - k) \ge \kappa$,

    $$ \max_{k<n} \Big[1 - \frac{k}{n}\Big(\frac{\lambda_k}{\lambda_k + \bar\kappa}\Big)^2\Big]^{-1} \le \mathcal{E}_0
       \le \min_{k<n,\; R_k>n} \Big[\Big(1 - \frac{k}{n}\Big)\Big(1 - \frac{n}{R_k}\Big)\Big]^{-1}. $$

    The upper bound is close for slowly decaying and for flat tails, the lower one is loose for both.

    Args:
        eigensystem: the task, with any tail.
        n_train: number of training samples, > 0, finite.

    Returns:
        lower and upper bound, each of the shape of `n_train`; upper is `inf` where no $k$ qualifies. Where $n$ exceeds
        the rank both are $n/(n - \text{rank})$.

    Source: the upper bound sharpens that of arXiv:2306.13185, whose first factor is squared; both are proved from
    $L_i \ge 1 - \kappa/\lambda_i$ and $L_i$ being concave in $\lambda_i$.

    Example:
        >>> spiked = Eigensystem([1.0, 1e-3], multiplicities=[10, 20_000])
        >>> low, high = overfitting_bounds(spiked, n_train=1000)
        >>> float(low.round(4)), float(overfitting_coefficient(spiked, 1000).round(4)), float(high.round(4))
        (1.0097, 1.0623, 1.0633)
    """
    _check(eigensystem, Eigensystem)
    n = numbers("n_train", n_train, above=0.0)
    if np.isinf(n).any():
        raise InputError("n_train must be finite for bounds on the overfitting coefficient; got inf")
    most = int(min(np.ceil(n.max()), eigensystem.rank + 1))
    ends = np.cumsum(eigensystem.multiplicities[eigensystem.log_eigenvalues > -np.inf])
    if eigensystem.tail and not isinstance(eigensystem.tail, PowerLawTail):
        most = int(min(most, ends[-1] if ends.size else 1))
    k = np.arange(min(most, _EVERY_K), dtype=np.float64)
    if most > _EVERY_K:
        spaced = np.floor(np.geomspace(_EVERY_K, most - 1, _EVERY_K))
        k = np.unique(np.concatenate([k, spaced, np.floor(ends[ends < most])]))
    after = _after(eigensystem, k)
    with np.errstate(invalid="ignore"):
        share = np.exp(after.log_squares - 2.0 * after.log_sum)  # 1/R_k
    share = np.where(np.isneginf(after.log_sum), 0.0, share)
    rank = eigensystem.rank
    pairs = [
        (size / (size - rank),) * 2 if size > rank else _bounds_at(size, k, after, share)
        for size in n.ravel()
    ]
    lower, upper = np.array(pairs).T
    return lower.reshape(n.shape), upper.reshape(n.shape)


class CostOfOverfitting(NamedTuple):
    r"""The cost of interpolation relative to the best ridge.

    Attributes:
        cost: $C = \text{test}(\delta = 0)/\min_\delta \text{test}(\delta)$, between 1 and $\mathcal{E}_0$.
        best_ridge: the minimising $\delta$.
        overfitting_coefficient: the ridgeless $\mathcal{E}_0$, the largest cost over all targets.
    """

    cost: Grid
    best_ridge: Grid
    overfitting_coefficient: Grid


def cost_of_overfitting(eigensystem: SpectralCurves, n_train: ArrayLike) -> CostOfOverfitting:
    r"""Return $C = \text{test}(0)/\min_{\delta \ge 0}\text{test}(\delta)$ with $1 \le C \le \mathcal{E}_0$.

    The error is $\mathcal{E}_0(\delta)\, B(\kappa(\delta))$ with a bias $B$ that grows with $\kappa$, and
    $\mathcal{E}_0 \ge 1$: no ridge saves more than the factor $\mathcal{E}_0(0)$, and pure noise attains it.

    Args:
        eigensystem: the task, with its target and noise.
        n_train: number of training samples, > 0, finite.

    Returns:
        cost, best ridge and $\mathcal{E}_0$, each of the shape of `n_train`; the cost is 1 if there is no error at all.

    Raises:
        InputError: as `overfitting_coefficient`.

    Source: arXiv:2306.13185.

    Example:
        >>> i = np.arange(1.0, 2001.0)
        >>> cost, ridge, largest = cost_of_overfitting(Eigensystem(i**-1.5, i**-2.0, noise=0.5), n_train=50)
        >>> float(cost.round(3)), float(largest.round(3))
        (1.226, 1.561)
    """
    _check(eigensystem, SpectralCurves)
    ridgeless = implicit_regularization(eigensystem, n_train)
    check_resolved(eigensystem, ridgeless)
    best_ridge, least = optimal_ridge(eigensystem, n_train)
    error = test_mse(ridgeless)
    with np.errstate(invalid="ignore", divide="ignore"):
        cost = np.where(least == 0.0, np.where(error == 0.0, 1.0, np.inf), error / least)
    return CostOfOverfitting(cost[()], best_ridge[()], ridgeless.overfitting_coefficient)


def _check(eigensystem: object, kind: type) -> None:
    """Raise for an object of another kind, most often an array of eigenvalues."""
    if not isinstance(eigensystem, kind):
        raise InputError(
            f"the theory of overfitting takes an Eigensystem; got a {type(eigensystem).__name__}: make one of "
            "eigenvalues with Eigensystem(eigenvalues)"
        )


class _After(NamedTuple):
    """Logarithms of sums of λ and λ² after the first k modes, and of λ_k and λ_{k+1}, one for each k."""

    log_sum: NDArray[np.float64]
    log_squares: NDArray[np.float64]
    log_last: NDArray[np.float64]
    log_next: NDArray[np.float64]


def _after(eigensystem: Eigensystem, k: NDArray[np.float64]) -> _After:
    """Return the sums after each k; `-inf` for zero or unknown values."""
    positive = eigensystem.log_eigenvalues > -np.inf
    logs, counts = eigensystem.log_eigenvalues[positive], eigensystem.multiplicities[positive]
    ends, tail = np.cumsum(counts), eigensystem.tail
    n_explicit = float(ends[-1]) if ends.size else 0.0
    # One more entry, for the end of the last level.
    padded = np.append(logs, -np.inf)
    level = np.searchsorted(ends, k, side="right")
    remaining = np.append(ends, np.inf)[level] - k

    sums = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for power in (1, 2):
            terms = np.append(np.log(counts) + power * logs, _log_tail(eigensystem, power))
            suffix = np.append(np.logaddexp.accumulate(terms[::-1])[::-1], -np.inf)
            within = np.where(level < len(logs), np.log(remaining) + power * padded[level], -np.inf)
            sums.append(np.logaddexp(within, suffix[np.minimum(level + 1, len(logs))]))
    log_sum, log_squares = sums
    log_next = padded[level].copy()
    log_last = np.where(k > 0, padded[np.searchsorted(ends, k, side="left")], np.inf)

    if isinstance(tail, PowerLawTail):
        # The tail has its own numbering: the k-th mode of the spectrum is its mode i.
        i = k - n_explicit + tail.n_before

        def log_eigenvalue(i: NDArray[np.float64]) -> NDArray[np.float64]:
            return tail.log_eigenvalue_scale - tail.alpha * np.log(np.maximum(i, tail.n_before))

        beyond = k >= n_explicit
        log_sum = np.where(beyond, tail.log_power_sum(1, np.maximum(i, tail.n_before)), log_sum)
        log_squares = np.where(beyond, tail.log_power_sum(2, np.maximum(i, tail.n_before)), log_squares)
        log_next = np.where(beyond, log_eigenvalue(i + 1), log_next)
        log_last = np.where(k > n_explicit, log_eigenvalue(i), log_last)
    return _After(log_sum, log_squares, log_last, log_next)


def _log_tail(eigensystem: Eigensystem, power: int) -> float:
    """Return the logarithm of the tail's sum of eigenvalues or of their squares; an upper bound for unknown ones."""
    tail = eigensystem.tail
    if tail is None:
        return -np.inf
    if power == 1:
        return tail.log_trace
    if isinstance(tail, PowerLawTail):
        return float(tail.log_power_sum(2, np.asarray(float(tail.n_before))))
    logs = eigensystem.log_eigenvalues[eigensystem.log_eigenvalues > -np.inf]
    return tail.log_trace + min(float(logs[-1]) if logs.size else np.inf, tail.log_trace)


def _bounds_at(
    n: float, k: NDArray[np.float64], after: _After, share: NDArray[np.float64]
) -> tuple[float, float]:
    """Return both bounds at one n; `share` is 1/R_k, zero if no modes follow."""
    # By rounding, fractional multiplicities may add up to less than the rank: no mode is known after such a k.
    inside = (k < n) & (after.log_sum > -np.inf)
    k, share = k[inside], share[inside]
    log_kappa = np.min(after.log_sum[inside] - np.log(n - k))
    with np.errstate(over="ignore"):
        learned = np.where(k > 0, 1.0 / (1.0 + np.exp(log_kappa - after.log_last[inside])), 0.0)
    lower = 1.0 / (1.0 - np.max(k / n * learned**2))
    good = n * share < 1.0 - 1e-12  # R_k = n up to rounding bounds nothing
    if not good.any():
        return float(lower), np.inf
    return float(lower), float(1.0 / np.max((1.0 - k[good] / n) * (1.0 - n * share[good])))
