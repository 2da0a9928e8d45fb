r"""Metrics of embeddings that need no labels: effective rank, RankMe, $\alpha$-ReQ, LiDAR and the participation ratio.

Each follows the definition of its paper. They are easily confused: RankMe takes singular values of the embeddings, as
they are; $\alpha$-ReQ and most reports of an effective rank take eigenvalues of their covariance, which are squares.
None of them changes when all embeddings are scaled, LiDAR nearly so; a collapsed embedding can have a high value, so
look at the size of the eigenvalues too.

The functions whose names end in `_of` take a spectrum, or covariances, in the place of embeddings.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.stepwise.correlation import as_numpy

# Eigenvalues of a covariance in float32 may be as negative as this share of the largest, by rounding.
_ROUNDING = 1e-5


def effective_rank(A: Any) -> float:
    r"""Return the effective rank of a matrix, the exponential of the entropy of its singular values.

    $$ \exp\Big(-\sum_k p_k \ln p_k\Big), \qquad p_k = \sigma_k \Big/ \sum_j \sigma_j $$

    It is k if k singular values are equal and the others 0. Of a covariance it is what is mostly reported as the
    effective rank of embeddings; of the embeddings themselves it is RankMe without $\epsilon$, a larger number.

    Args:
        A: matrix (m, n), an array, nested lists or a tensor.

    Returns:
        Between 1 and min(m, n); 0 if all entries are 0.

    Raises:
        InputError: if A is not a matrix of finite numbers.

    Source: Roy and Vetterli, The effective rank: a measure of effective dimensionality, EUSIPCO 2007.

    >>> round(effective_rank(np.diag([2.0, 2.0, 2.0, 0.0])), 12)
    3.0
    """
    return effective_rank_of(np.linalg.svd(_array("A", A, "(m, n)"), compute_uv=False))


def effective_rank_of(singular_values: ArrayLike) -> float:
    """Return the effective rank, as `effective_rank`, of a matrix with these singular values.

    For a covariance give its eigenvalues: those below 0 by rounding count as 0.

    Args:
        singular_values: at least 0, in any order (k,).

    Raises:
        InputError: for numbers that are negative, NaN or infinite.

    >>> round(effective_rank_of([1.0, 1.0]), 12)
    2.0
    """
    return _exp_entropy(_spectrum("singular_values", singular_values), eps=0.0)


def rankme(Z: Any, eps: float = 1e-7) -> float:
    r"""Return RankMe of embeddings, a smooth count of their dimensions.

    $$ \exp\Big(-\sum_{k=1}^{\min(N, d)} p_k \ln p_k\Big), \qquad
       p_k = \frac{\sigma_k}{\sum_j \sigma_j} + \epsilon $$

    with the singular values $\sigma_k$ of the embeddings, from which no mean is subtracted. It weighs amplitudes, not
    variances: one learned direction and 63 others of 1 % of its amplitude count as 9.7.

    Args:
        Z: embeddings (N, d), N several times d; the paper uses 25 600. An array, nested lists or a tensor.
        eps: $\epsilon \ge 0$, 1e-7 in the paper for single precision.

    Returns:
        Between 1 and about min(N, d); 0 if all embeddings are 0.

    Raises:
        InputError: if Z is not a matrix of finite numbers.

    Source: Garrido, Balestriero, Najman and LeCun, 2023, arXiv:2210.02885, eq. 1.

    >>> round(rankme(np.eye(100, 8)), 4)
    8.0
    """
    return rankme_of(np.linalg.svd(_array("Z", Z, "(N, d)"), compute_uv=False), eps)


def rankme_of(singular_values: ArrayLike, eps: float = 1e-7) -> float:
    r"""Return RankMe, as `rankme`, of embeddings with these singular values.

    They are the roots of the eigenvalues of $\sum_i z_i z_i^\top$, without centring and up to a common factor.

    Args:
        singular_values: all min(N, d), zeros too, in any order.
        eps: $\epsilon \ge 0$.

    Raises:
        InputError: for numbers that are negative, NaN or infinite.

    >>> round(rankme_of([1.0] + 63 * [0.01]), 1)
    9.7
    """
    return _exp_entropy(_spectrum("singular_values", singular_values), one_number("eps", eps, at_least=0))


def alpha_req(Z: Any, fit_range: tuple[int, int] | None = None) -> float:
    r"""Return $\alpha$ of embeddings, the exponent with which the eigenvalues of their covariance fall.

    It is minus the slope of the straight line that least squares fit to $\ln \lambda_i$ against $\ln i$, for the
    eigenvalues $\lambda_1 \ge \lambda_2 \ge \dots$ of the covariance. Good representations have $\alpha$ near 1.

    Args:
        Z: embeddings (N, d), an array, nested lists or a tensor.
        fit_range: first and last i of the fit, counted from 1; by default from 3 to min(100, r/2), where
            r = min(N - 1, d). The value depends on it, so report it too.

    Returns:
        $\alpha$; `nan` if there are fewer than two eigenvalues above 0 in the range, as for r below 8.

    Raises:
        InputError: if Z is not a matrix of finite numbers with two rows or more, or the range is not within 1 and d.

    Source: Agrawal, Mondal, Ghosh and Richards, α-ReQ, NeurIPS 2022, which fits a range in the middle of the spectrum.

    >>> scales = np.arange(1, 65) ** -0.5  # variances 1/i
    >>> round(alpha_req(np.vstack([np.diag(scales), -np.diag(scales)])), 6)
    1.0
    """
    embeddings = _array("Z", Z, "(N, d)")
    if len(embeddings) < 2:
        raise InputError("Z has one row; expected two embeddings or more, as one has no covariance")
    amplitudes = np.linalg.svd(embeddings - embeddings.mean(axis=0), compute_uv=False)
    # The mean takes one row: the last of N <= d singular values is 0 but for rounding.
    return alpha_req_of(amplitudes[: len(embeddings) - 1] ** 2, fit_range)


def alpha_req_of(eigenvalues: ArrayLike, fit_range: tuple[int, int] | None = None) -> float:
    r"""Return $\alpha$, as `alpha_req`, of embeddings whose covariance has these eigenvalues.

    Args:
        eigenvalues: of the covariance, in any order and up to a common factor (r,).
        fit_range: first and last i of the fit, counted from 1; by default from 3 to min(100, r/2).

    Raises:
        InputError: for numbers that are negative, NaN or infinite, and a range that is not within 1 and r.

    >>> round(alpha_req_of([1.0, 1 / 4, 1 / 9, 1 / 16], fit_range=(1, 4)), 12)
    2.0
    """
    spectrum = np.sort(_spectrum("eigenvalues", eigenvalues))[::-1]
    if fit_range is None:
        first, last = 3, min(100, len(spectrum) // 2)
    else:
        first, last = _ends(fit_range)
        if not 1 <= first < last <= len(spectrum):
            raise InputError(
                f"fit_range is ({first}, {last}); expected first < last, both from 1 to {len(spectrum)}, the number of "
                "eigenvalues"
            )
    index = np.arange(first, last + 1)
    fitted = spectrum[first - 1 : last]
    # Eigenvalues that are 0 but for rounding have no logarithm worth fitting.
    positive = fitted > len(spectrum) * np.finfo(np.float64).eps * spectrum[0]
    if positive.sum() < 2:
        return float("nan")
    return float(-np.polyfit(np.log(index[positive]), np.log(fitted[positive]), 1)[0])


def lidar(Z: Any, delta: float = 1e-6, eps: float = 1e-7) -> float:
    r"""Return LiDAR of embeddings, the smooth rank of what tells samples apart from their augmented views.

    $$ \exp\Big(-\sum_i p_i \ln p_i\Big), \qquad p_i = \frac{\lambda_i}{\sum_j \lambda_j} + \epsilon $$

    with the eigenvalues $\lambda_i$ of $\Sigma_w^{-1/2} \Sigma_b \Sigma_w^{-1/2}$. Every sample is a class of its own:
    $\Sigma_b$ is the covariance of the means $\mu_i$ of the q views of each sample, and $\Sigma_w$ that of the views
    about these means, to which $\delta I$ is added:

    $$ \Sigma_b = \frac{1}{n-1} \sum_i (\mu_i - \mu)(\mu_i - \mu)^\top, \qquad
       \Sigma_w = \frac{1}{n(q-1)} \sum_{i,j} (z_{ij} - \mu_i)(z_{ij} - \mu_i)^\top + \delta I. $$

    Args:
        Z: embeddings (n_sources, n_views, d) of augmented views of n samples, both numbers at least 2. The paper takes
            about 1000 samples and 50 views. An array, nested lists or a tensor.
        delta: $\delta > 0$, in the units of the embeddings' variance. The paper calls it a small constant; values below
            it make LiDAR depend on the scale of the embeddings.
        eps: $\epsilon \ge 0$, a small constant too.

    Returns:
        Between 1 and about min(n_sources - 1, d); 0 if all samples have the same mean.

    Raises:
        InputError: for other shapes, fewer samples or views, NaN or infinite values.

    Source: Thilak et al., 2023, arXiv:2312.04000. Its covariances are expectations; these are their unbiased estimates,
    whose factors cancel but for $\delta$.

    >>> samples = 10 * np.vstack([np.eye(3, 8), -np.eye(3, 8)])  # three directions tell the samples apart
    >>> views = np.concatenate([np.eye(8), -np.eye(8)])
    >>> round(lidar(samples[:, None] + views), 3)
    3.0
    """
    embeddings = _array("Z", Z, "(n_sources, n_views, d)")
    n, q, d = embeddings.shape
    if n < 2 or q < 2:
        raise InputError(f"Z has {n} sources and {q} views of each; expected two or more of both")
    means = embeddings.mean(axis=1)
    centred = means - means.mean(axis=0)
    residual = (embeddings - means[:, None]).reshape(-1, d)
    return lidar_of(centred.T @ centred / (n - 1), residual.T @ residual / (n * (q - 1)), delta, eps)


def lidar_of(between: ArrayLike, within: ArrayLike, delta: float = 1e-6, eps: float = 1e-7) -> float:
    r"""Return LiDAR, as `lidar`, from the two covariances.

    Args:
        between: $\Sigma_b$, covariance of the samples' means (d, d).
        within: $\Sigma_w$ without $\delta I$, covariance of views about the mean of their sample (d, d).
        delta: $\delta > 0$.
        eps: $\epsilon \ge 0$.

    Raises:
        InputError: if these are not two square matrices of the same size with finite numbers.

    >>> round(lidar_of(np.diag([1.0, 4.0]), np.diag([1.0, 4.0])), 4)
    2.0
    """
    B, W = _array("between", between, "(d, d)"), _array("within", within, "(d, d)")
    if B.shape != W.shape or B.shape[0] != B.shape[1]:
        raise InputError(
            f"between has shape {B.shape} and within {W.shape}; expected (d, d), the same for both"
        )
    ridge, shift = one_number("delta", delta, above=0), one_number("eps", eps, at_least=0)
    values, V = np.linalg.eigh((W + W.T) / 2)
    V = V / np.sqrt(np.maximum(values, 0.0) + ridge)
    # V differs from the symmetric root by a rotation, which leaves the eigenvalues as they are.
    ratio = V.T @ ((B + B.T) / 2) @ V
    return _exp_entropy(np.maximum(np.linalg.eigvalsh((ratio + ratio.T) / 2), 0.0), shift)


def participation_ratio(eigenvalues: ArrayLike) -> float:
    r"""Return $(\sum_i \lambda_i)^2 / \sum_i \lambda_i^2$, a count of eigenvalues that leans on the largest.

    Args:
        eigenvalues: of a covariance, in any order (d,); those below 0 by rounding count as 0.

    Returns:
        Between 1 and d; 0 if all eigenvalues are 0.

    Raises:
        InputError: for numbers that are negative, NaN or infinite.

    Source: Gao et al., A theory of multineuronal dimensionality, dynamics and measurement, 2017.

    >>> participation_ratio([3.0, 3.0, 0.0])
    2.0
    """
    spectrum = _spectrum("eigenvalues", eigenvalues)
    # Over the largest first, so that squares of tiny numbers are not 0.
    shares = spectrum / (spectrum.max() or 1.0)
    return float(shares.sum() ** 2 / (shares @ shares)) if shares.any() else 0.0


def _exp_entropy(spectrum: NDArray[np.float64], eps: float) -> float:
    """Return the exponential of the entropy of numbers over their sum, plus eps; 0 if they are all 0."""
    largest = spectrum.max()
    if largest == 0:
        return 0.0
    shares = spectrum / largest
    p = shares / shares.sum() + eps
    p = p[p > 0]
    return float(np.exp(-(p @ np.log(p))))


def _spectrum(name: str, values: Any) -> NDArray[np.float64]:
    """Return singular values or eigenvalues as a vector, those that are negative by rounding as 0."""
    spectrum = _array(name, values, "(k,)")
    if spectrum.min() < -_ROUNDING * spectrum.max():
        raise InputError(f"{name} has the number {spectrum.min():.3g}; expected numbers of at least 0")
    return np.maximum(spectrum, 0.0)


def _array(name: str, values: Any, shape: str) -> NDArray[np.float64]:
    """Return an array, nested lists or a tensor in double precision, after checking that it has as many dimensions."""
    array = numbers(name, as_numpy(values))
    if array.ndim != shape.count(",") + (",)" not in shape):
        raise InputError(f"{name} has shape {array.shape}; expected {shape}")
    finite(name, array)
    return array


def _ends(fit_range: Any) -> tuple[int, int]:
    if not isinstance(fit_range, tuple | list) or len(fit_range) != 2:
        raise InputError(f"fit_range is {fit_range!r}; expected two numbers, first and last")
    return whole("fit_range[0]", fit_range[0], at_least=1), whole("fit_range[1]", fit_range[1], at_least=1)
