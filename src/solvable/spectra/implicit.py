r"""Implicit regularisation: the effective ridge due to finitely many samples and features.

One equation governs kernel ridge regression and random-feature regression. With $z(\gamma)$ the number of modes
learned at effective ridge $\gamma$, $n$ samples, $k$ features (infinite for a kernel) and ridge $\delta$,

$$ \left(1 - \frac{z}{n}\right)\left(1 - \frac{z}{k}\right) = \frac{\delta}{n\gamma}, \qquad z < \min(n, k). $$

It is symmetric in samples and features. We solve it in $x = \ln\gamma$: writing $a = \min(n, k)$, $b = \max(n, k)$ and
$u = 1 - z/a$, the equation is a quadratic for $u$ whose positive root is a smooth decreasing function of $x$, so that
$z(x) + a\,u(x) = a$ has exactly one root, on an unrestricted domain and without cancellation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import elementwise

from solvable.checks import numbers
from solvable.errors import InputError
from solvable.spectra.sums import Grid, SpectralCurves, SpectralSums


@dataclass(frozen=True, eq=False)
class ImplicitRegularization:
    r"""Solution of the implicit equation on a grid; every array has the grid's shape.

    Attributes:
        n_train: $n$, may be `inf`.
        n_features: $k$, may be `inf`.
        ridge: $\delta$, in units of the kernel (not divided by $n$).
        log_feature_ridge: $\ln\gamma$; `-inf` where every learnable mode is learned.
        sums: $z$, $g$, $B_1$, $B_2$ at $\gamma$.
        unused_samples: $1 - z/n = \delta/(n\kappa)$, the ratio of train to test residual; exactly 0 at interpolation.
        unused_features: $1 - z/k = \kappa/\gamma$.
    """

    n_train: Grid
    n_features: Grid
    ridge: Grid
    log_feature_ridge: Grid
    sums: SpectralSums
    unused_samples: Grid
    unused_features: Grid

    @property
    def log_effective_ridge(self) -> Grid:
        r"""$\ln\kappa$; equal to $\ln\gamma$ for infinitely many features."""
        with np.errstate(divide="ignore"):
            return self.log_feature_ridge + np.log(self.unused_features)

    @property
    def overfitting_coefficient(self) -> Grid:
        r"""$\mathcal{E}_0$, the test error of pure unit-variance noise; at least 1, `inf` at $n = k$ and ridge 0.

        For a kernel it is $n / (n - \sum_i m_i L_i^2)$, formed here without the cancellation of that difference.

        Source: arXiv:2110.03922, eq. 5, extended to finitely many features.
        """
        one = np.ones_like(self.sums.squared_bias)
        return self.test_error(one, one)

    def test_error(self, squared_bias: Grid, linear_bias: Grid) -> Grid:
        r"""Return $n (F B_2 + g B_1) / (N F + g (N + F))$, where $N = n - z$ and $F = k - z$.

        Args:
            squared_bias: $B_2$ of a target at this effective ridge.
            linear_bias: $B_1$ of the target.
        """
        # Divided by n k, so that either may be infinite.
        unused_samples, unused_features = self.unused_samples, self.unused_features
        g = self.sums.partly_learned_modes
        with np.errstate(divide="ignore", invalid="ignore"):
            per_sample = np.where(np.isinf(self.n_train), 0.0, g / self.n_train)
            per_feature = np.where(np.isinf(self.n_features), 0.0, g / self.n_features)
            numerator = unused_features * squared_bias + per_feature * linear_bias
            denominator = unused_samples * unused_features + (
                per_sample * unused_features + per_feature * unused_samples
            )
            # As many features as modes and no ridge: F and g vanish together, the biases are equal, F and g cancel.
            all_learned = (unused_features == 0.0) & (per_feature == 0.0)
            numerator = np.where(all_learned, squared_bias, numerator)
            denominator = np.where(all_learned, unused_samples, denominator)
            ratio = numerator / denominator
        # 0/0: a noiseless target that is learned completely.
        ratio = np.where((numerator == 0.0) & (denominator == 0.0), 0.0, ratio)
        # Interpolation with infinitely many samples, features and modes: the limit depends on the path taken.
        infinite = np.isinf(self.n_train) & np.isinf(self.n_features) & (self.ridge == 0.0)
        return np.where(infinite & np.isinf(self.sums.learned_modes), np.nan, ratio)


def implicit_regularization(
    curves: SpectralCurves, n_train: ArrayLike, n_features: ArrayLike = np.inf, ridge: ArrayLike = 0.0
) -> ImplicitRegularization:
    r"""Solve for the effective ridges $\kappa$ and $\gamma$ of $n$ samples, $k$ features and ridge $\delta$.

    Args:
        curves: an `Eigensystem`, or another object with the attributes of `SpectralCurves`.
        n_train: number of training samples, > 0, `inf` for the limit.
        n_features: number of random features, > 0, `inf` for kernel regression.
        ridge: $\delta \ge 0$, finite, the number added to the diagonal of the Gram matrix.

    `n_train`, `n_features` and `ridge` broadcast against one another.

    Returns:
        the solution, each array of the broadcast shape.

    Raises:
        InputError: for values outside these ranges.

    Source: arXiv:2311.14646 (RF eigenframework), rewritten symmetrically.

    Example:
        Eight equal modes, four samples, no ridge: half of each mode is learned, so κ = λ.

        >>> from solvable.spectra import Eigensystem
        >>> solution = implicit_regularization(Eigensystem(eigenvalues=[0.1] * 8), n_train=4)
        >>> round(float(np.exp(solution.log_effective_ridge)), 12)
        0.1
    """
    shape = np.broadcast_shapes(np.shape(n_train), np.shape(n_features), np.shape(ridge))
    n, k, delta = (
        np.broadcast_to(numbers(name, values, **bounds), shape).ravel()
        for name, values, bounds in (
            ("n_train", n_train, {"above": 0.0}),
            ("n_features", n_features, {"above": 0.0}),
            ("ridge", ridge, {"at_least": 0.0}),
        )
    )
    if np.isinf(delta).any():
        raise InputError("ridge must be finite; got inf")
    a, b = np.minimum(n, k), np.maximum(n, k)
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isinf(a), 1.0, a / b)
    with np.errstate(divide="ignore"):
        log_ridge_per_sample = np.log(delta) - np.log(n)  # -inf: no explicit regularisation
    free = np.isneginf(log_ridge_per_sample)
    limit = (free & (a >= curves.rank)) | np.isinf(a)

    x = np.full(n.shape, -np.inf)
    todo = ~limit
    if todo.any():
        x[todo] = _solve(curves, a[todo], ratio[todo], log_ridge_per_sample[todo])
    sums = curves.sums(x)
    unused_smaller = np.where(
        free,
        0.0,
        _unused_fraction(np.where(limit, 0.0, x), ratio, np.where(free, -np.inf, log_ridge_per_sample)),
    )
    with np.errstate(invalid="ignore"):
        unused_smaller = np.where(limit, np.where(np.isinf(a), 1.0, 1.0 - curves.rank / a), unused_smaller)
    # 1 - z/b from 1 - z/a: no cancellation when both are small.
    unused_larger = (1.0 - ratio) + ratio * unused_smaller
    samples_are_fewer = n <= k
    fields = (
        n,
        k,
        delta,
        x,
        np.where(samples_are_fewer, unused_smaller, unused_larger),
        np.where(samples_are_fewer, unused_larger, unused_smaller),
    )
    n, k, delta, x, unused_samples, unused_features = (field.reshape(shape) for field in fields)
    sums = SpectralSums(*(total.reshape(shape) for total in sums))
    return ImplicitRegularization(n, k, delta, x, sums, unused_samples, unused_features)


def _unused_fraction(x: Grid, ratio: Grid, log_ridge_per_sample: Grid) -> Grid:
    """Return u, the positive root of `ratio u² + (1 - ratio) u = exp(log_ridge_per_sample - x)`."""
    # Beyond e^600 it is enough that the value is huge: it marks the wrong side of a bracket.
    pull = np.exp(np.minimum(log_ridge_per_sample - x, 600.0))
    gap = 1.0 - ratio
    with np.errstate(invalid="ignore"):
        return np.where(pull > 0.0, 2.0 * pull / (gap + np.sqrt(gap**2 + 4.0 * ratio * pull)), 0.0)


def _solve(curves: SpectralCurves, a: Grid, ratio: Grid, log_ridge_per_sample: Grid) -> Grid:
    r"""Return the root $x = \ln\gamma$ for each grid point; the caller excludes points without a root."""

    def excess(x: Grid, a: Grid, ratio: Grid, log_ridge_per_sample: Grid) -> Grid:
        # The logarithm makes this nearly linear in x for power laws and for dominant ridge alike.
        with np.errstate(divide="ignore"):
            return np.log(curves.sums(x).learned_modes / a + _unused_fraction(x, ratio, log_ridge_per_sample))

    # Upper end: z <= trace/γ <= a/4 and u <= 1/2. A mode that every ridge learns (an intercept) adds to z: go up until
    # the rest is small. Lower end: go down in doubling steps until the sign changes.
    high = np.maximum(curves.log_trace - np.log(a), log_ridge_per_sample) + np.log(4.0)
    while (too_low := excess(high, a, ratio, log_ridge_per_sample) > 0.0).any():
        high = np.where(too_low, high + 1.0, high)
    low, step = high - 2.0, 2.0
    while (too_high := excess(low, a, ratio, log_ridge_per_sample) < 0.0).any():
        high = np.where(too_high, low, high)
        step *= 2.0
        low = np.where(too_high, low - step, low)
    root = elementwise.find_root(excess, (low, high), args=(a, ratio, log_ridge_per_sample))
    if not np.all(root.success):
        raise InputError(
            "no effective ridge was found for some sizes and ridges, which are beyond floating point; expected "
            "sizes and ridges within about 1e-100 to 1e100 times the kernel's own scale"
        )
    return root.x


def log_effective_ridge(
    curves: SpectralCurves, n_train: ArrayLike, n_features: ArrayLike = np.inf, ridge: ArrayLike = 0.0
) -> Grid:
    r"""Return $\ln\kappa$, where $n = \sum_i m_i \lambda_i/(\lambda_i + \kappa) + \delta/\kappa$ for a kernel.

    `-inf` stands for $\kappa = 0$: no ridge, and at least as many samples as the kernel has modes. The arguments are
    those of `implicit_regularization`.

    Source: arXiv:2110.03922, eq. 3.

    Example:
        >>> from solvable.spectra import power_law
        >>> float(log_effective_ridge(power_law(alpha=2.0, beta=2.0), n_train=1000).round(3))
        -12.913
    """
    return implicit_regularization(curves, n_train, n_features, ridge).log_effective_ridge


def effective_ridge(
    curves: SpectralCurves, n_train: ArrayLike, n_features: ArrayLike = np.inf, ridge: ArrayLike = 0.0
) -> Grid:
    r"""Return $\kappa$, the exponential of `log_effective_ridge` (0 below 1e-308)."""
    return np.exp(log_effective_ridge(curves, n_train, n_features, ridge))
