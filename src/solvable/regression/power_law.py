r"""When fitting to zero training error is optimal: the power-law theorem of "More is better".

For eigenvalues $\lambda_i = i^{-\alpha}$, target power $v_i^2 = i^{-\beta}$ with $\alpha > 1$ and $1 < \beta <
2\alpha + 1$, infinitely many features and many samples, the test error depends on the ridge only through $\tau
= \delta/(n\kappa)$, the square root of train error over test error:

$$ \frac{\text{test}(\tau)}{\text{test}(0)} = \frac{1}{1 + (\alpha - 1)\tau} \cdot
   \frac{(1-\tau)^{-(\beta-1)} + \alpha \sigma_\text{rel}^2}{1 + \alpha \sigma_\text{rel}^2}, $$

where the relative noise $\sigma_\text{rel}^2$ is the noise over the noiseless test error at zero ridge. The best
$\tau$ is 0, that is to interpolate, exactly when $\sigma_\text{rel}^2 \le (\beta - \alpha)/(\alpha(\alpha - 1))$.

Source: arXiv:2311.14646, theorem on power-law eigenstructure ("overfitting is obligatory"), re-derived.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import elementwise

from solvable.checks import numbers
from solvable.errors import InputError
from solvable.spectra.sums import Grid


def _exponents(alpha: ArrayLike, beta: ArrayLike) -> tuple[Grid, Grid]:
    a = numbers("alpha", alpha, above=1.0)
    b = numbers("beta", beta, above=1.0)
    if (b >= 2 * a + 1).any():
        raise InputError("beta must be below 2 alpha + 1: ridge regression cannot use a smoother target")
    return a, b


def _noise(relative_noise: ArrayLike) -> Grid:
    noise = numbers("relative_noise", relative_noise, at_least=0.0)
    if np.isinf(noise).any():
        raise InputError("relative_noise must be finite; got inf")
    return noise


def interpolation_threshold(alpha: ArrayLike, beta: ArrayLike) -> Grid:
    r"""Return the relative noise $(\beta - \alpha)/(\alpha(\alpha - 1))$ up to which zero ridge is optimal.

    Negative when $\beta < \alpha$: then some ridge helps even without noise.

    Args:
        alpha: eigenvalue exponent, > 1.
        beta: target exponent, $1 < \beta < 2\alpha + 1$; broadcasts with `alpha`.

    Example:
        >>> float(interpolation_threshold(1.5, 2.0).round(4))
        0.6667
    """
    a, b = _exponents(alpha, beta)
    return (b - a) / (a * (a - 1))


def relative_test_mse(
    residual_ratio: ArrayLike, alpha: ArrayLike, beta: ArrayLike, relative_noise: ArrayLike
) -> Grid:
    r"""Return test error at $\tau$ over test error at zero ridge, by the equation above.

    Args:
        residual_ratio: $\tau \in [0, 1)$, root of train error over test error.
        alpha: eigenvalue exponent, > 1.
        beta: target exponent.
        relative_noise: $\sigma_\text{rel}^2 \ge 0$; all four broadcast.

    Example:
        >>> float(relative_test_mse(0.1, alpha=1.5, beta=2.0, relative_noise=1.0).round(4))
        0.9947
    """
    a, b = _exponents(alpha, beta)
    tau = numbers("residual_ratio", residual_ratio, at_least=0.0)
    if (tau >= 1.0).any():
        raise InputError(f"residual_ratio must be below 1; got {tau.max():g}")
    noise = a * _noise(relative_noise)
    return ((1 - tau) ** (1 - b) + noise) / ((1 + (a - 1) * tau) * (1 + noise))


def optimal_train_test_ratio(alpha: ArrayLike, beta: ArrayLike, relative_noise: ArrayLike) -> Grid:
    r"""Return train error over test error, $\tau^2$, at the optimal ridge; 0 means interpolate.

    $\tau$ solves $(\beta - 1)(1-\tau)^{-\beta}(1 + (\alpha-1)\tau) = (\alpha - 1)[(1-\tau)^{-(\beta-1)} + \alpha
    \sigma_\text{rel}^2]$, whose left side over its right side grows with $\tau$.

    Args:
        alpha: eigenvalue exponent, > 1.
        beta: target exponent, $1 < \beta < 2\alpha + 1$.
        relative_noise: $\sigma_\text{rel}^2 \ge 0$; all three broadcast.

    Example:
        >>> optimal_train_test_ratio(1.5, 2.0, [0.5, 1.0]).round(5).tolist()
        [0.0, 0.01065]
    """
    a, b, noise = np.broadcast_arrays(*_exponents(alpha, beta), _noise(relative_noise))

    def slope(tau: Grid, a: Grid, b: Grid, noise: Grid) -> Grid:
        # Multiplied by (1 - τ)^b > 0, which keeps it finite up to τ = 1.
        u = 1 - tau
        return (b - 1) * (1 + (a - 1) * tau) - (a - 1) * (u + a * noise * u**b)

    inside = slope(np.zeros_like(a), a, b, noise) < 0.0
    tau = np.zeros(a.shape)
    if inside.any():
        args = (a[inside], b[inside], noise[inside])
        bracket = (np.zeros_like(args[0]), np.ones_like(args[0]))
        tau[inside] = elementwise.find_root(slope, bracket, args=args).x
    return tau**2
