r"""Limit of the ridgeless overfitting coefficient (benign, tempered or catastrophic) by the decay of the spectrum.

| spectrum | $\mathcal{E}_0$ for $n \to \infty$ | regime |
|---|---|---|
| any with finite trace, fixed ridge > 0 | 1 | benign |
| $1/(i \ln^a (i + 1))$, $a > 1$ | 1, as $1 + (a-1)/\ln n$ | benign |
| $i^{-\alpha}$, $\alpha > 1$ | $\alpha$ | tempered |
| $i^{-\ln i}$, $e^{-c i^p}$: faster than any power | $\infty$ | catastrophic |

These are limits. At practical sizes a log-corrected spectrum looks tempered (1.1 to 1.2), and so does a Gaussian kernel
in high dimension (1.5 to 3). `overfitting_coefficient` gives the exact value of a spectrum at a size; formulas that are
known only up to a constant are not evaluated here.

Source: arXiv:2207.06569, the trichotomy; the finite-size forms are $-d\ln\kappa/d\ln n$ of the Euler-Maclaurin
expansion of $n(\kappa)$, derived here and checked in the tests.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from solvable.checks import choice, numbers, one_number
from solvable.errors import InputError
from solvable.spectra.sums import Grid

Regime = Literal["benign", "tempered", "catastrophic"]

# Smoothness ν of each kernel: λ_i falls as i^-(1 + 2ν/D) in D intrinsic dimensions.
KERNEL_SMOOTHNESS = {
    "laplace": 0.5,
    "matern32": 1.5,
    "matern52": 2.5,
    "relu ntk": 0.5,
    "relu nngp": 1.5,
    "gaussian": np.inf,
}


class LowDimensionWarning(UserWarning):
    """The eigenframework is qualitatively wrong for a kernel this smooth in a dimension this low."""


@dataclass(frozen=True)
class Asymptotics:
    r"""The behaviour of $\mathcal{E}_0(n)$ for large $n$.

    Attributes:
        regime: "benign" (limit 1), "tempered" (a finite limit above 1) or "catastrophic" (no finite limit).
        limit: $\lim_{n\to\infty} \mathcal{E}_0$, `inf` where catastrophic.
        rate: approach to the limit, as a formula.
        accuracy: measured deviation of `coefficient` from the exact value at finite $n$; empty without a formula.
        caveat: why measured errors may differ from this theory, or None.

    Example:
        >>> law = exponential_asymptotics(rate=0.5)
        >>> law.regime, law.limit, law.rate, float(law.coefficient(90))
        ('catastrophic', inf, 'E0 ~ 0.5 n', 45.0)
    """

    regime: Regime
    limit: float
    rate: str
    accuracy: str = ""
    caveat: str | None = None
    _formula: Callable[[Grid], Grid] | None = field(default=None, repr=False, compare=False)

    def coefficient(self, n_train: ArrayLike) -> Grid:
        r"""Return the leading finite-size form of $\mathcal{E}_0(n)$, at least 1; `accuracy` gives its error.

        Args:
            n_train: number of training samples, > 1, may be `inf`.

        Returns:
            $\mathcal{E}_0$, of the same shape.

        Raises:
            InputError: where the prefactor depends on the whole spectrum.
        """
        n = numbers("n_train", n_train, above=1.0)
        if self._formula is None:
            raise InputError(
                f"there is no formula for the coefficient at n = {n.flat[0]:g}, only {self.rate}: its constant "
                "depends on the whole spectrum; give the spectrum to overfitting_coefficient"
            )
        return np.where(
            np.isinf(n), self.limit, np.maximum(self._formula(np.where(np.isinf(n), 2.0, n)), 1.0)
        )


def power_law_coefficient(alpha: float, n_train: ArrayLike = np.inf, train_to_test: ArrayLike = 0.0) -> Grid:
    r"""Return $\mathcal{E}_0 = \alpha / (1 + (\alpha - 1)\tau + 1/2n)$ for endless $\lambda_i = i^{-\alpha}$.

    $\tau = \delta/(n\kappa)$ is the square root of train over test error. The two limits are $\alpha n/(n + 1/2)$
    without ridge ($\tau = 0$) and $\alpha/(1 + (\alpha - 1)\tau)$ for many samples; at $\tau = 1$ the ridge dominates
    and nothing is learned.

    Accurate to 3e-6 for $\alpha \ge 1.5$, $n \ge 100$; 7e-4 at $n = 10$, $\alpha = 1.5$; 2 % at $n = 10$,
    $\alpha = 1.05$.

    Args:
        alpha: $\alpha > 1$, decay of the eigenvalues.
        n_train: $n$, > 0, `inf` for the limit.
        train_to_test: $\tau \in [0, 1]$, broadcasts with `n_train`.

    Example:
        >>> power_law_coefficient(1.5, [100, np.inf]).round(4).tolist()
        [1.4925, 1.5]
        >>> float(power_law_coefficient(1.5, train_to_test=0.5))
        1.2
    """
    alpha = one_number("alpha", alpha, above=1.0)
    n = numbers("n_train", n_train, above=0.0)
    tau = numbers("train_to_test", train_to_test, at_least=0.0, at_most=1.0)
    return np.maximum(alpha / (1.0 + (alpha - 1.0) * tau + 0.5 / n), 1.0)


def power_law_asymptotics(alpha: float, ridge: float = 0.0) -> Asymptotics:
    r"""Return the law of $\lambda_i = i^{-\alpha}$: tempered with limit $\alpha$, benign under a fixed ridge.

    With a ridge the coefficient is `power_law_coefficient` at the $\tau$ that solves
    $n + 1/2 = \frac{\pi/\alpha}{\sin(\pi/\alpha)} \kappa^{-1/\alpha} + \delta/\kappa$.

    Args:
        alpha: $\alpha > 1$.
        ridge: $\delta \ge 0$, fixed as $n$ grows, in units of the first eigenvalue.

    Example:
        >>> law = power_law_asymptotics(1.5)
        >>> law.regime, law.limit, law.coefficient([10, 1000]).round(4).tolist()
        ('tempered', 1.5, [1.4286, 1.4993])
        >>> power_law_asymptotics(1.5, ridge=0.1).regime
        'benign'
    """
    alpha, ridge = one_number("alpha", alpha, above=1.0), one_number("ridge", ridge, at_least=0.0)
    if ridge == 0.0:
        return Asymptotics(
            "tempered",
            alpha,
            f"E0 = {alpha:g} n/(n + 1/2)",
            "3e-6 for alpha >= 1.5 and n >= 100; 7e-4 at n = 10; 2 % at n = 10 for alpha = 1.05",
            _formula=lambda n: power_law_coefficient(alpha, n),
        )
    constant = np.pi / alpha / np.sin(np.pi / alpha)

    def with_ridge(n: Grid) -> Grid:
        # Newton from below the root: the right-hand side is convex and falls in ln κ, so it never overshoots.
        x = np.maximum(alpha * np.log(constant / (n + 0.5)), np.log(ridge / (n + 0.5)))
        for _ in range(12):
            modes, pull = constant * np.exp(-x / alpha), ridge * np.exp(-x)
            x = x + (modes + pull - n - 0.5) / (modes / alpha + pull)
        return power_law_coefficient(alpha, n, np.minimum(ridge * np.exp(-x) / n, 1.0))

    slowest = constant * (1.0 - 1.0 / alpha) * ridge ** (-1.0 / alpha)
    return Asymptotics(
        "benign",
        1.0,
        f"E0 - 1 ~ {slowest:.3g} n^-{1.0 - 1.0 / alpha:.3g}",
        "3e-4 at n = 100 and 3e-6 at n = 1000 for a ridge of at most ten first eigenvalues",
        _formula=with_ridge,
    )


def log_corrected_asymptotics(log_power: float) -> Asymptotics:
    r"""Return the law of $\lambda_i = 1/(i \ln^a (i + 1))$: benign, but only as $1 + (a - 1)/\ln n$.

    Args:
        log_power: $a > 1$, so that the trace is finite.

    Example:
        >>> log_corrected_asymptotics(2).coefficient([100, 1e5]).round(3).tolist()  # exact: 1.2745, 1.1020
        [1.217, 1.087]
    """
    a = one_number("log_power", log_power, above=1.0)
    return Asymptotics(
        "benign",
        1.0,
        f"E0 - 1 ~ {a - 1:g}/ln n",
        "for log_power 2 too low by 4.5 % at n = 100, 1.4 % at n = 1e5",
        _formula=lambda n: 1.0 + (a - 1.0) / np.log(n),
    )


def exponential_asymptotics(rate: float, power: float = 1.0) -> Asymptotics:
    r"""Return the law of $\lambda_i = e^{-c i^p}$: catastrophic, $\mathcal{E}_0 \sim c\,p\,n^p$.

    Args:
        rate: $c > 0$.
        power: $p > 0$; 1 is the plain exponential.

    Example:
        >>> float(exponential_asymptotics(3.0, power=0.5).coefficient(100))
        15.0
    """
    c, p = one_number("rate", rate, above=0.0), one_number("power", power, above=0.0)
    form = f"E0 ~ {c * p:g} n^{p:g}"
    accuracy = (
        "for rate 3: 1e-3 at n = 100 for power 0.5; too low by 10 % at 100 and 0.7 % at 1e5 for power 0.2"
    )
    if p == 1.0:
        form = f"E0 ~ {c:g} n"
        accuracy = (
            "1e-8 for rate <= 0.5 and rate n > 50; too low by 0.2 % at rate 2, a factor 1.4 at 5, 7.5 at 10"
        )
    return Asymptotics("catastrophic", np.inf, form, accuracy, _formula=lambda n: c * p * n**p)


def log_normal_asymptotics() -> Asymptotics:
    r"""Return the law of $\lambda_i = i^{-\ln i}$: catastrophic, though only as $2 \ln n$.

    Example:
        >>> float(log_normal_asymptotics().coefficient(1000).round(2))
        13.82
    """
    return Asymptotics(
        "catastrophic", np.inf, "E0 ~ 2 ln n", "5e-4 at n = 1000", _formula=lambda n: 2.0 * np.log(n)
    )


def matern_asymptotics(smoothness: float, dimension: float, ridge: float = 0.0) -> Asymptotics:
    r"""Return the law of a Matérn kernel: $\lambda_i \sim i^{-(1 + 2\nu/D)}$, so that $\mathcal{E}_0 \to 1 + 2\nu/D$.

    Args:
        smoothness: $\nu > 0$; 1/2 is the Laplace kernel, `inf` the Gaussian, which is catastrophic.
        dimension: $D \ge 1$, intrinsic: of the surface on which the inputs lie, 5 for a sphere in six dimensions.
        ridge: $\delta \ge 0$, fixed as $n$ grows; above 0 all are benign.

    Warns:
        LowDimensionWarning: where real kernels do not follow this theory even qualitatively (`low_dimension_caveat`).

    Example:
        >>> matern_asymptotics(0.5, dimension=5).limit
        1.2
    """
    return _of_smoothness(smoothness, dimension, ridge)


def kernel_asymptotics(name: str, dimension: float, ridge: float = 0.0) -> Asymptotics:
    r"""Return the law of a kernel by its name: `matern_asymptotics` of its smoothness.

    Laplace and ReLU NTK have $\nu = 1/2$, Matérn 3/2 and ReLU NNGP $\nu = 3/2$, Matérn 5/2 $\nu = 5/2$, the Gaussian
    $\nu = \infty$.

    Args:
        name: one of `KERNEL_SMOOTHNESS`.
        dimension: $D \ge 1$, intrinsic.
        ridge: $\delta \ge 0$, fixed as $n$ grows.

    Example:
        >>> kernel_asymptotics("relu ntk", dimension=3).limit, kernel_asymptotics("gaussian", dimension=9).regime
        (1.3333333333333333, 'catastrophic')
    """
    return _of_smoothness(KERNEL_SMOOTHNESS[choice("kernel", name, KERNEL_SMOOTHNESS)], dimension, ridge)


def effective_dimension(coefficient: ArrayLike, smoothness: float) -> Grid:
    r"""Return $D = 2\nu/(\mathcal{E}_0 - 1)$, the dimension in which a kernel overfits as much as measured.

    Args:
        coefficient: $\mathcal{E}_0 \ge 1$, measured where it no longer changes with $n$.
        smoothness: $\nu > 0$ of the kernel, finite.

    Returns:
        $D$, of the shape of `coefficient`; `inf` at 1.

    Example:
        MNIST under a Laplace kernel has coefficient 1.10 from n = 125 to 2000:

        >>> float(effective_dimension(1.10, smoothness=0.5).round(6))
        10.0
    """
    nu = one_number("smoothness", smoothness, above=0.0)
    excess = numbers("coefficient", coefficient, at_least=1.0) - 1.0
    with np.errstate(divide="ignore"):
        return 2.0 * nu / excess


def low_dimension_caveat(smoothness: float, dimension: float) -> str | None:
    r"""Return one sentence on the error of this theory for a Matérn kernel in low dimension, or None.

    The theory assumes independent features. Two samples at distance $t$ far below the typical $\ell$ force a slope of
    $1/t$, and the interpolant overshoots by $(\ell/t)^b$, $b = \min(2\nu - 1, 1)$. Pairs have density $t^{D-1}$: the
    mean squared error of ridgeless interpolation is infinite exactly for $D \le 2b$.

    Args:
        smoothness: $\nu > 0$, may be `inf`.
        dimension: $D \ge 1$, intrinsic.

    Source: derived here; it agrees with every row measured on circles and spheres (docs/overfitting).

    Example:
        >>> low_dimension_caveat(0.5, 5) is None
        True
        >>> low_dimension_caveat(1.5, 1)
        'the mean squared error of ridgeless interpolation is infinite for smoothness 1.5 in dimension 1, ...'
    """
    nu, dimension = _smoothness_and_dimension(smoothness, dimension)
    if _mean_is_infinite(nu, dimension):
        which = "a Gaussian kernel" if np.isinf(nu) else f"smoothness {nu:g}"
        return (
            f"the mean squared error of ridgeless interpolation is infinite for {which} in dimension "
            f"{dimension:g}, whatever this theory says, because close pairs of samples make it overshoot; report "
            "medians, or add a ridge"
        )
    if dimension <= 3:
        return (
            f"in dimension {dimension:g} measured coefficients differ from this theory by some per cent, more for "
            "smoother kernels (Laplace: -17 % in 1, -5 % in 2, -2 % in 3; Gaussian in 3: five times as large)"
        )
    if np.isinf(nu):
        return (
            f"a Gaussian kernel in dimension {dimension:g} overfits more than this theory predicts (by 15 to 50 % in 5 "
            "dimensions, 1 to 5 % in 9)"
        )
    return None


def _of_smoothness(smoothness: float, dimension: float, ridge: float) -> Asymptotics:
    nu, dimension = _smoothness_and_dimension(smoothness, dimension)
    alpha = 1.0 + 2.0 * nu / dimension
    if one_number("ridge", ridge, at_least=0.0) > 0.0:
        rate = (
            "E0 - 1 falls as a power of ln n over n" if np.isinf(nu) else f"E0 - 1 ~ n^-{1 - 1 / alpha:.3g}"
        )
        return Asymptotics("benign", 1.0, rate)
    caveat = low_dimension_caveat(nu, dimension)
    if _mean_is_infinite(nu, dimension):
        warnings.warn(LowDimensionWarning(caveat), stacklevel=3)
    if np.isinf(nu):
        return Asymptotics(
            "catastrophic", np.inf, f"E0 ~ n^{1 / dimension:.3g} up to logarithms", caveat=caveat
        )
    return Asymptotics(
        "tempered",
        alpha,
        f"E0 -> {alpha:.4g}",
        "on spheres, for n >= 100: 1.5 % for Laplace kernels in D = 2 to 5, 3 % in 9; 4 % for Matérn 3/2 in D = 2 to "
        "5; networks come from further above (a ReLU NTK on S^9 has 1.24 at n = 400, limit 1.11)",
        caveat,
        lambda n: power_law_coefficient(alpha, n),
    )


def _mean_is_infinite(nu: float, dimension: float) -> bool:
    return dimension <= 2.0 * min(2.0 * nu - 1.0, 1.0)


def _smoothness_and_dimension(smoothness: float, dimension: float) -> tuple[float, float]:
    nu = numbers("smoothness", smoothness, above=0.0)
    if nu.size != 1:
        raise InputError(f"smoothness must be one number; got {nu.size}")
    return float(nu.item()), one_number("dimension", dimension, at_least=1.0)
