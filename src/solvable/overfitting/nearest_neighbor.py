r"""The learning curve of the nearest neighbour on a torus, in closed form.

Its answer at $x$ is the label at distance $r$, and $n V_D r^D$ is exponentially distributed ($V_D$: the volume of the
unit ball). A Fourier mode of frequency $k$ is therefore reproduced with correlation

$$ \varphi_D(q) = \int_0^\infty e^{-u}\, \Lambda_D\!\left(q\, (u/(n V_D))^{1/D}\right) du, \qquad
   \Lambda_D(z) = \Gamma(D/2) (2/z)^{D/2-1} J_{D/2-1}(z), \qquad q = 2\pi|k|, $$

where $\Lambda_D$ is the mean of a plane wave over a sphere. Points at uniform density are taken to be a Poisson process
without boundary, which costs 1 to 3 % where neighbours are few.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, hyp0f1, roots_legendre

from solvable.errors import InputError, finite, numbers, one_number
from solvable.kernels.inputs import whole

# In units of the mean distance; for D >= 3 modes beyond it are reproduced with a correlation below 1e-12.
_LOST = 250.0


def nearest_neighbor_torus_mse(
    frequencies: ArrayLike, power: ArrayLike, n_train: ArrayLike, dimension: int, noise: float = 0.0
) -> NDArray[np.float64]:
    r"""Return $\sum_k |v_k|^2\, 2 (1 - \varphi_D(2\pi|k|)) + 2\sigma^2$, the test error of the nearest neighbour.

    In one dimension $2(1-\varphi) = 2\pi^2k^2/(\pi^2k^2 + n^2)$, in two $2 - 2 e^{-\pi k^2/n}$.

    Args:
        frequencies: $|k|$ of each mode $e^{2\pi i k\cdot x}$ of the target on the unit torus, at least 0.
        power: $|v_k|^2$ of each mode.
        n_train: $n$, number of uniform training points, above 0, any shape.
        dimension: $D$ of the torus, at least 1.
        noise: variance $\sigma^2$ of train and test labels.

    Returns:
        mean squared error against noisy test labels, the shape of `n_train`.

    Raises:
        InputError: when an input is out of range, or frequencies and powers do not match.

    Source: J. B. Simon's note on a "1NN eigenframework" (2024) for $D \le 2$; general $D$ by the same argument.

    Example:
        >>> nearest_neighbor_torus_mse([3.0, 3.0], [0.25, 0.25], 50, dimension=1).round(4).item()
        0.0343
    """
    k = numbers("frequencies", frequencies, at_least=0.0).ravel()
    v2 = numbers("power", power, at_least=0.0).ravel()
    finite("frequencies", k)
    finite("power", v2)
    if k.shape != v2.shape:
        raise InputError(
            f"frequencies and power must have one value for each mode; got {k.size} and {v2.size}: list |v_k|^2 in "
            "the order of |k|"
        )
    n = numbers("n_train", n_train, above=0.0)[..., None]
    sigma2 = one_number("noise", noise, at_least=0.0)
    d = whole("dimension", dimension, at_least=1)
    if d == 1:
        lost = 1.0 / (1.0 + (n / (np.pi * np.where(k > 0, k, 1.0))) ** 2) * (k > 0)
    elif d == 2:
        lost = -np.expm1(-np.pi * k**2 / n)
    else:
        log_volume = d / 2 * np.log(np.pi) - gammaln(d / 2 + 1)
        lost = _lost(2.0 * np.pi * k * np.exp(-(np.log(n) + log_volume) / d), d)
    return 2.0 * (lost @ v2) + 2.0 * sigma2


def _lost(q: NDArray[np.float64], d: int) -> NDArray[np.float64]:
    r"""Return $1 - \varphi_D = \int_0^\infty D y^{D-1} e^{-y^D} (1 - \Lambda_D(q y))\, dy$, by Gauss-Legendre."""
    far = 40.0 ** (1.0 / d)  # e^-40 is left beyond
    near = np.minimum(q, _LOST)
    # Two nodes for every oscillation at least, and enough for the distance's own distribution, of width 1/D.
    y, weight = roots_legendre(int(80 + 4 * d + near.max() * far))
    y, weight = far / 2 * (y + 1.0), far / 2 * weight
    z = near[..., None] * y
    # For small arguments 1 - Λ would be a difference of nearly equal numbers.
    series = z**2 / (2 * d) * (1.0 - z**2 / (4 * (d + 2)))
    unlike = np.where(z < 1e-2, series, 1.0 - hyp0f1(d / 2, -(z**2) / 4))
    lost = unlike @ (weight * d * y ** (d - 1) * np.exp(-(y**d)))
    return np.where(q < _LOST, lost, 1.0)
