r"""Reference noise profiles and test errors in closed form: Bayes, sampler, neighbours, and linear smoothers.

A reference profile is the large-$n$ limit of a procedure on a task without errors of its own: test error as a function
of the flip rate $p$ of the training labels (see `noise_rates`). A measured profile on the Bayes curve is benign, one on
the sampler's curve is as sensitive as the nearest neighbour, and one at chance for every $p > 0$ is catastrophic.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, hyp0f1, ndtr, roots_legendre, xlogy

from solvable.checks import finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.overfitting.label_noise import chance_error, clean_to_noisy, noise_rates


class Profile(NamedTuple):
    """Test error as a function of label noise.

    Attributes:
        clean: against clean test labels; the shape of `noise_level`.
        noisy: against test labels that carry the same noise.
    """

    clean: NDArray[np.float64]
    noisy: NDArray[np.float64]


def _profile(clean: NDArray[np.float64], rates: NDArray[np.float64], n_classes: int) -> Profile:
    return Profile(clean, clean_to_noisy(clean, rates, n_classes))


def bayes_profile(noise_level: ArrayLike, n_classes: int = 2) -> Profile:
    r"""Return $e = 0$, $\tilde e = p$: the best possible error, and the limit of every benign procedure.

    Args:
        noise_level: flip rate $p$, in [0, 1 - 1/K], any shape.
        n_classes: $K$, at least 2.

    Raises:
        InputError: when a rate is out of range.

    Source: arXiv:2207.06569, section 2.

    Example:
        >>> bayes_profile([0.0, 0.2]).noisy.tolist()
        [0.0, 0.2]
    """
    rates = noise_rates(noise_level, n_classes)
    # At 1 - 1/K labels carry no information: even the best answer is a guess.
    return _profile(np.where(rates < chance_error(n_classes), 0.0, rates), rates, n_classes)


def sampler_profile(noise_level: ArrayLike, n_classes: int = 2) -> Profile:
    r"""Return $e = p$, $\tilde e = 1 - (1-p)^2 - p^2/(K-1)$: the error of one random noisy label.

    It is the limit of the nearest neighbour, whose answer is one noisy label, and has a sensitivity of 1 at every $p$.

    Args:
        noise_level: flip rate $p$, in [0, 1 - 1/K], any shape.
        n_classes: $K$, at least 2.

    Raises:
        InputError: when a rate is out of range.

    Source: Cover and Hart, IEEE Trans. Inf. Theory 13, 21 (1967); arXiv:2207.06569.

    Example:
        >>> sampler_profile(0.2).noisy.item()
        0.32
    """
    rates = noise_rates(noise_level, n_classes)
    return _profile(rates.copy(), rates, n_classes)


def knn_profile(k: int, noise_level: ArrayLike, n_classes: int = 2) -> Profile:
    r"""Return the error of a plurality vote of $k$ noisy labels, ties broken at random; exact for any $k$ and $K$.

    $$ e = \sum_c \mathrm{Bin}(c;\, k, 1-p)\; P[\text{the true class loses} \mid \text{it has } c \text{ votes}]. $$

    It is the limit of $k$ nearest neighbours for fixed $k$. (scikit-learn breaks ties in favour of the smallest label;
    the mean over classes is the same.)

    Args:
        k: number of votes, at least 1; hundreds take a fraction of a second. Errors are exact to about 1e-13.
        noise_level: flip rate $p$, in [0, 1 - 1/K], any shape.
        n_classes: $K$, at least 2.

    Raises:
        InputError: when `k` is not a whole number of at least 1, or a rate is out of range.

    Source: the multinomial of the votes, summed exactly; binary: Cover and Hart (1967).

    Example:
        >>> knn_profile(3, [0.1, 0.2]).clean.round(4).tolist()
        [0.028, 0.104]
        >>> knn_profile(5, 0.2, n_classes=10).clean.round(4).item()
        0.0143
    """
    k = whole("k", k, at_least=1)
    rates = noise_rates(noise_level, n_classes)
    votes = np.arange(k + 1)
    log_ways = gammaln(k + 1) - gammaln(votes + 1) - gammaln(k - votes + 1)
    p = rates[..., None]
    share = np.exp(log_ways + xlogy(votes, 1.0 - p) + xlogy(k - votes, p))
    return _profile(share @ _losses(k, int(n_classes)), rates, n_classes)


@lru_cache(maxsize=64)
def _losses(k: int, n_classes: int) -> NDArray[np.float64]:
    r"""Return, for $c = 0 \dots k$ votes of the true class, the probability that it loses.

    The other $r = k - c$ votes fall on $M = K - 1$ classes at random. With $q(x) = \sum_{i<c} x^i/i!$ for classes with
    fewer than $c$ votes, and $j$ classes that tie,

    $$ P[\text{win}] = \sum_j \frac{1}{1+j} \binom{M}{j} \frac{r!}{M^r} \frac{1}{c!^j}\, [x^{r - jc}]\, q(x)^{M-j}. $$

    All terms are positive. (A closed form of the sum over $j$ would be a difference of nearly equal numbers.)
    """
    others = n_classes - 1
    losses = np.ones(k + 1)
    for c in range(1, k + 1):
        rest = k - c
        if c > rest:
            losses[c] = 0.0
            continue
        # Coefficients are rescaled to Poisson probabilities of mean r/M: neither they nor their powers overflow.
        mean = rest / others
        log_poisson = xlogy(np.arange(c + 1), mean) - mean - gammaln(np.arange(c + 1) + 1)
        log_total = xlogy(rest, rest) - rest - gammaln(rest + 1)
        below = np.exp(log_poisson[:c])
        most_ties = min(rest // c, others)
        power = _power(below, others - most_ties, rest)
        win = 0.0
        for j in range(most_ties, -1, -1):
            degree = rest - j * c
            if degree < len(power):
                log_ways = gammaln(others + 1) - gammaln(j + 1) - gammaln(others - j + 1)
                win += np.exp(log_ways + j * log_poisson[c] - log_total) * power[degree] / (1 + j)
            power = np.convolve(power, below)[: rest + 1]
        losses[c] = max(0.0, 1.0 - win)
    losses.flags.writeable = False  # the cached array is shared
    return losses


def _power(polynomial: NDArray[np.float64], exponent: int, degree: int) -> NDArray[np.float64]:
    """Return a polynomial's power up to `degree`, by repeated squaring."""
    result, square = np.ones(1), polynomial[: degree + 1]
    while exponent:
        if exponent & 1:
            result = np.convolve(result, square)[: degree + 1]
        exponent >>= 1
        if exponent:
            square = np.convolve(square, square)[: degree + 1]
    return result


def knn_excess(k: ArrayLike) -> NDArray[np.float64]:
    r"""Return $V = 1/k$, the excess test error of $k$-nearest-neighbour regression per unit of noise variance.

    Args:
        k: number of neighbours, at least 1, any shape.

    Raises:
        InputError: when a `k` is below 1.

    Example:
        >>> knn_excess([1, 5]).tolist()
        [1.0, 0.2]
    """
    return 1.0 / numbers("k", k, at_least=1)


def linear_smoother_flip_error(
    noise_level: ArrayLike, margin: ArrayLike, weight_norm: ArrayLike
) -> NDArray[np.float64]:
    r"""Return the noise profile of a linear smoother from one fit on clean binary labels $\pm 1$,

    $$ e(p) = \mathop{\mathrm{mean}}_x \Phi\!\left( -\frac{(1-2p)\, y f_0(x)}{2\sqrt{p(1-p)}\, |w(x)|} \right). $$

    The prediction $f(x) = w(x) \cdot y$ is linear in the labels, so its mean and variance over flips are exact; it is
    Gaussian if many labels share the weight. Within 8 % on real digits for kernel regression; too low at small $p$ if
    few labels carry the weight, and wrong for the nearest neighbour (exact: `sampler_profile`).

    Args:
        noise_level: flip rate $p$, in [0, 1/2], any shape.
        margin: $y f_0(x)$ at each test point: the prediction from clean labels times the true label.
        weight_norm: $|w(x)|$ at each test point, at least 0.

    Returns:
        clean test error, the shape of `noise_level`.

    Raises:
        InputError: when a rate is out of range, or margins and norms do not match.

    Example:
        >>> linear_smoother_flip_error([0.0, 0.2, 0.5], margin=[0.9, 0.8], weight_norm=[0.5, 0.4]).round(3).tolist()
        [0.0, 0.078, 0.5]
    """
    rates = noise_rates(noise_level, 2)
    margins = numbers("margin", margin).ravel()
    norms = numbers("weight_norm", weight_norm, at_least=0.0).ravel()
    finite("margin", margins)
    finite("weight_norm", norms)
    if margins.shape != norms.shape:
        raise InputError(
            f"margin and weight_norm must have one value for each test point; got {margins.size} and {norms.size}"
        )
    p = rates[..., None]
    signal, spread = (1.0 - 2.0 * p) * margins, 2.0 * np.sqrt(p * (1.0 - p)) * norms
    with np.errstate(divide="ignore", invalid="ignore"):
        # Without spread the sign decides; without a signal too, the answer is random.
        score = np.where(signal == 0.0, 0.0, signal / spread)
    return ndtr(-score).mean(axis=-1)


# In units of the mean distance; for D >= 3 higher modes are reproduced with a correlation below 1e-12.
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
            f"frequencies and power must have one value for each mode; got {k.size} and {v2.size}"
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
    far = 40.0 ** (1.0 / d)  # the rest is e^-40
    near = np.minimum(q, _LOST)
    # At least two nodes for every oscillation, and enough for the distribution of the distance, of width 1/D.
    y, weight = roots_legendre(int(80 + 4 * d + near.max() * far))
    y, weight = far / 2 * (y + 1.0), far / 2 * weight
    z = near[..., None] * y
    # For small arguments 1 - Λ would be a difference of nearly equal numbers.
    series = z**2 / (2 * d) * (1.0 - z**2 / (4 * (d + 2)))
    unlike = np.where(z < 1e-2, series, 1.0 - hyp0f1(d / 2, -(z**2) / 4))
    lost = unlike @ (weight * d * y ** (d - 1) * np.exp(-(y**d)))
    return np.where(q < _LOST, lost, 1.0)
