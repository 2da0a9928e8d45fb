r"""Cost of noise to kernel regression, without labels: $1 + |w(x)|^2$ from the weights of the training labels.

Kernel regression is linear in its labels, $\hat f(x) = w(x) \cdot y$ with $w(x) = (K + \delta I)^{-1} k(x)$. Labels of
pure noise of unit variance give the test error $1 + |w(x)|^2$ for any noise distribution: its mean is the overfitting
coefficient $\mathcal{E}_0$, 1 if noise is ignored, 2 for one nearest neighbour. It needs no spectrum and no theory, so
it also holds where the theory of independent features fails.
"""

import warnings
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import get_lapack_funcs

from solvable.checks import finite, numbers, one_number
from solvable.eigh import eigh_in_place
from solvable.errors import InputError
from solvable.kernels import check_gram, check_positive_semidefinite
from solvable.kernels.gram import cholesky_in_place
from solvable.kernels.inputs import to_float64

Matrix = NDArray[np.float64]

_potri: Any
_potrs: Any
_potri, _potrs = get_lapack_funcs(("potri", "potrs"), dtype=np.float64)
# Number of points in one solve.
_AT_ONCE = 512
TAIL = 3.0
"""A larger ratio of mean to median indicates a heavy tail."""


class HeavyTailWarning(UserWarning):
    """Few terms dominate a mean: it may not exist in the limit, and may differ strongly in another sample."""


@overload
def loo_overfitting_coefficient(gram: ArrayLike, ridge: float = 0.0) -> float: ...
@overload
def loo_overfitting_coefficient(gram: ArrayLike, ridge: ArrayLike) -> Matrix: ...
def loo_overfitting_coefficient(gram: ArrayLike, ridge: ArrayLike = 0.0) -> float | Matrix:
    r"""Return the cost of noise to a kernel at this sample from its matrix alone: with $A = (K + \delta I)^{-1}$,

    $$ \mathcal{E}_\mathrm{loo} = \frac{1}{n} \sum_i \frac{(A^2)_{ii}}{A_{ii}^2}. $$

    This is the expected leave-one-out squared error of labels that are pure noise of unit variance, hence an unbiased
    estimate of the test error at $n - 1$ samples. It needs one factorisation, but no labels or test points. (The
    generalised cross-validation $n \mathrm{tr} A^2 / (\mathrm{tr} A)^2$ is no substitute: without ridge it is up to
    twice as large.)

    Args:
        gram: kernel matrix $K$ of the training points, `(n, n)`, n at least 2.
        ridge: $\delta \ge 0$, not divided by n; an array of ridges costs one eigendecomposition for all of them.

    Returns:
        $\mathcal{E}_\mathrm{loo} \ge 1$; for an array of ridges an array of its shape.

    Raises:
        InputError: when the matrix is not a kernel matrix, or numerically singular, so that any number would be wrong.

    Warns:
        HeavyTailWarning: when the mean is above three times the median over the points: use the median of
            `loo_noise_costs`.

    Source: pure-noise test error, arXiv:2207.06569, section 4; the leave-one-out form is derived for this library.

    Example:
        >>> import numpy as np
        >>> from solvable.kernels import Laplace
        >>> X = np.random.default_rng(0).normal(size=(400, 6))
        >>> sphere = X / np.linalg.norm(X, axis=1, keepdims=True)  # dimension 5, where the limit is 1 + 1/5
        >>> gram = Laplace(1.0)(sphere)
        >>> round(loo_overfitting_coefficient(gram), 3)
        1.206
        >>> loo_overfitting_coefficient(gram, ridge=[0.0, 0.1, 1.0]).round(3).tolist()  # a ridge lowers it
        [1.206, 1.155, 1.055]
    """
    costs = loo_noise_costs(gram, ridge)
    mean, median = costs.mean(axis=-1), np.median(costs, axis=-1)
    if (heavy := mean > TAIL * median).any():
        where = () if mean.ndim == 0 else tuple(np.argwhere(heavy)[0])
        warnings.warn(
            f"the noise cost has a heavy tail: its mean over the points is {mean[where]:.4g} and its median "
            f"{median[where]:.4g}; in the limit the mean may not exist, as for smooth kernels of one or two "
            "dimensions: report the median of loo_noise_costs",
            HeavyTailWarning,
            stacklevel=2,
        )
    return float(mean) if mean.ndim == 0 else mean


def loo_noise_costs(gram: ArrayLike, ridge: ArrayLike = 0.0) -> Matrix:
    r"""Return $(A^2)_{ii} / A_{ii}^2$ of each point: the cost of noise there when the point itself is left out.

    The mean is `loo_overfitting_coefficient`; if it has a heavy tail, use the median.

    Args:
        gram: kernel matrix $K$ of the training points, `(n, n)`, n at least 2.
        ridge: $\delta \ge 0$, not divided by n, of any shape.

    Returns:
        values of at least 1, of the shape of `ridge` followed by `(n,)`.

    Raises:
        InputError: as `loo_overfitting_coefficient`.

    Example:
        >>> loo_noise_costs([[2.0, 1.0], [1.0, 2.0]]).round(6).tolist()  # each prediction is half of the other label
        [1.25, 1.25]
    """
    matrix = check_gram(gram)
    n = len(matrix)
    if n < 2:
        raise InputError(
            "the kernel matrix has 1 point, and leaving it out leaves none to learn from; expected 2 or more"
        )
    ridges = _ridges(ridge)
    if ridges.ndim == 0:
        factor = Factor(matrix, float(ridges))
        if factor.lower is None:
            raise factor.refusal()
        # LAPACK computes the lower half of the inverse; the sums below are over the whole matrix.
        inverse = np.tril(_potri(factor.lower, lower=1, overwrite_c=1)[0])
        # Rescaled, so that squares neither over- nor underflow.
        inverse /= inverse.diagonal().max()
        diagonal = np.square(inverse.diagonal())
        inverse *= inverse
        return (inverse.sum(axis=0) + inverse.sum(axis=1)) / diagonal - 1.0
    values, vectors = eigh_in_place(matrix.copy())
    shifted = values[:, None] + ridges.ravel()
    # As for a single ridge, a factorisation decides; eigenvalues only exclude the cases in which it cannot fail: its
    # condition number is in another norm, at most n times theirs.
    bad = shifted[0] <= 2.0 * n**2 * np.finfo(float).eps * shifted[-1]
    for i in np.flatnonzero(bad):
        bad[i] = cholesky_in_place(matrix.copy().T, float(ridges.flat[i])) is None
    if bad.any():
        check_positive_semidefinite(values)
        raise _refusal(n, float(ridges.ravel()[bad.argmax()]), values[0], values[-1])
    inverse = shifted[0] / shifted
    vectors *= vectors
    costs = (vectors @ inverse**2) / np.square(vectors @ inverse)
    return costs.T.reshape(*ridges.shape, n)


def noise_sensitivity(gram: ArrayLike, gram_test: ArrayLike, ridge: float = 0.0) -> Matrix:
    r"""Return $|w(x)|^2$ of each test point, $w(x) = (K + \delta I)^{-1} k(x)$: its variance from unit noise.

    Its mean $V_n$ is the squared error that noise adds, per unit of its variance, and $\mathcal{E}_0 = 1 + V_n$. For
    labels $\pm 1$ that are flipped with probability $p$, predictions have the variance $4p(1-p)|w(x)|^2$.

    Args:
        gram: kernel matrix of the training points, `(n, n)`.
        gram_test: kernel of test and training points, `(m, n)`, as `kernel(X_test, X)`.
        ridge: $\delta \ge 0$, not divided by n.

    Returns:
        `(m,)`, at least 0.

    Raises:
        InputError: when shapes do not match, or the matrix is numerically singular.

    Source: arXiv:2207.06569, section 4.

    Example:
        >>> noise_sensitivity([[1.0, 0.5], [0.5, 1.0]], [[1.0, 0.5], [0.0, 0.0]]).tolist()
        [1.0, 0.0]
    """
    matrix = check_gram(gram)
    try:
        cross = to_float64(gram_test)
    except (TypeError, ValueError):
        raise InputError("gram_test holds no real numbers; expected the matrix kernel(X_test, X)") from None
    if cross.ndim != 2 or cross.shape[1] != len(matrix):
        raise InputError(
            f"gram_test has shape {cross.shape} and gram {matrix.shape}; expected (m, {len(matrix)}), one row for each "
            "test point: give kernel(X_test, X)"
        )
    finite("gram_test", cross, "check the kernel")
    factor = Factor(matrix, one_number("ridge", ridge, at_least=0.0))
    if factor.singular:
        raise factor.refusal()
    blocks = (cross[start : start + _AT_ONCE] for start in range(0, len(cross), _AT_ONCE))
    return np.concatenate([np.square(factor.solve(block.T)).sum(axis=0) for block in blocks])


class Factor:
    r"""A factorisation of $K + \delta I$: by Cholesky, or by eigenvectors if that fails by rounding.

    In the second case eigenvalues below $n \epsilon \lambda_\max$ are dropped: a least-norm fit of projected labels.

    Args:
        gram: $K$, `(n, n)`, exactly symmetric; it is overwritten.
        ridge: $\delta \ge 0$.

    Attributes:
        ridge: as given.
        lower: the Cholesky factor, or None if it failed.
        extremes: the smallest and the largest eigenvalue of K, if it failed.
    """

    def __init__(self, gram: Matrix, ridge: float) -> None:
        self.ridge, diagonal = ridge, gram.diagonal().copy()
        # Symmetric, so its transpose is the same matrix, in the order that LAPACK can overwrite.
        matrix = gram if gram.flags.f_contiguous else gram.T
        self.lower = cholesky_in_place(matrix, ridge)
        if self.lower is None:
            # The upper half is unchanged.
            np.fill_diagonal(matrix, diagonal)
            values, vectors = np.linalg.eigh(matrix, "U")
            check_positive_semidefinite(values)
            shifted = values + ridge
            known = shifted > len(gram) * np.finfo(float).eps * shifted[-1]
            self.extremes = float(values[0]), float(values[-1])
            self._vectors, self._inverse = vectors[:, known], 1.0 / shifted[known, None]

    @property
    def singular(self) -> bool:
        """Whether eigenvalues were lost in rounding."""
        return self.lower is None

    def solve(self, right: Matrix) -> Matrix:
        """Return the inverse applied to columns, `(n, columns)`."""
        if self.lower is None:
            return self._vectors @ (self._inverse * (self._vectors.T @ right))
        return _potrs(self.lower, right, lower=1)[0]

    def fitted(self, right: Matrix, solved: Matrix) -> Matrix:
        r"""Return $K \alpha$ for label columns `right`, with $\alpha$ = `solved` their solution.

        Since $(K + \delta I) \alpha$ equals the labels, or their projection, no product with K is needed.
        """
        if self.lower is None:
            right = self._vectors @ (self._vectors.T @ right)
        return right - self.ridge * solved if self.ridge else right

    def refusal(self) -> InputError:
        """Return the error to raise for a singular matrix."""
        return _refusal(len(self._vectors), self.ridge, *self.extremes)


def _ridges(ridge: ArrayLike) -> Matrix:
    ridges = numbers("ridge", ridge, at_least=0.0)
    if np.isinf(ridges).any():
        raise InputError("ridge must be finite; got inf")
    return ridges


def _refusal(n: int, ridge: float, smallest: float, largest: float) -> InputError:
    return InputError(
        f"the kernel matrix of {n} points with ridge {ridge:g} is numerically singular (its eigenvalues span "
        f"{smallest:.2g} to {largest:.2g}): round-off would act as a ridge and hide the cost of noise; give a larger "
        "ridge, fewer samples, a shorter length scale, or drop repeated rows"
    )
