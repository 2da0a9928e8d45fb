r"""All critical points of a linear autoencoder with one hidden layer, in closed form.

The loss of $W = W_2 W_1$, with $W_1$ (p, k) and $W_2$ (k, p), on data of covariance $\Sigma$ (k, k) is

$$ L(\theta) = s\,\mathrm{tr}\left[(I - W)\,\Sigma\,(I - W)^\top\right], \qquad
   \theta = (W_1, W_2) \text{ row by row}, \quad N = 2pk. $$

This is the order of the parameters of `Sequential(Linear(k, p, bias=False), Linear(p, k, bias=False))`. The factor is
$s = 1/2$ for $\frac12 |x - Wx|^2$ per sample and $1/k$ for the mean over all entries; it changes no count.

Let $\Sigma$ have distinct positive eigenvalues $\lambda_1 < \dots < \lambda_k$ with eigenvectors $u_i$. There is one
class of critical points for each subset S of at most min(p, k) of them: $W = P_S = \sum_{i \in S} u_i u_i^\top$ with
$W_1 = C\,[U_S\; 0]^\top$, $W_2 = [U_S\; 0]\,C^{-1}$ for any invertible C. There are no others.

Source: Baldi and Hornik, Neural networks and principal component analysis, Neural Networks 2, 1989; the inertia is
derived.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.landscapes.covariances import check_distinct, check_positive, covariance_matrix
from solvable.landscapes.critical_point import CriticalPoint, check_subset, records, subsets_by_size
from solvable.landscapes.weight_product import flat_weights, layer_shapes, product_loss

__all__ = ["identify", "loss", "representative", "theory"]

# Projections of different classes are at least 1 apart, so that below 1/2 the class is unique.
_NEAR = 0.1


def theory(covariance: ArrayLike, n_hidden: int, scale: float = 0.5) -> list[CriticalPoint]:
    r"""Return a record for each class of critical points.

    With m the number of elements of S,

    $$ L = s \sum_{i \notin S} \lambda_i, \qquad
       n_- = \#\{i \in S,\, j \notin S: \lambda_j > \lambda_i\} + (p - m)(k - m), \qquad n_0 = 2pm - m^2. $$

    The only class without negative eigenvalues is that of the largest eigenvalues: the global minima, which are never
    isolated, as the orbit of C has dimension $n_0$. The Hessian is not singular across the orbit.

    Args:
        covariance: $\Sigma$, (k, k), with distinct positive eigenvalues.
        n_hidden: p, the number of hidden units; more than k are allowed.
        scale: s > 0.

    Returns:
        Records by size of the subset and then in lexical order. `.subset` are positions in ascending order of the
        eigenvalues, 0 for the smallest.

    Raises:
        InputError: if $\Sigma$ is singular (to 1e-12) or an eigenvalue is repeated (to 1e-8), since there are more
            critical points then, with more zero eigenvalues; and for more than a million classes.

    Source: derived; checked against dense Hessians.

    >>> for point in theory([[2.0, 0.0], [0.0, 1.0]], n_hidden=1):
    ...     print(point.subset, point.loss, point.n_negative, point.n_zero, point.n_positive)
    () 1.5 2 0 2
    (0,) 1.0 1 1 2
    (1,) 0.5 0 1 3
    """
    eigenvalues, _ = _classified(covariance)
    p, s = whole("n_hidden", n_hidden, at_least=1), one_number("scale", scale, above=0)
    sizes = subsets_by_size(len(eigenvalues), p)
    return [point for subsets in sizes for point in _records(subsets, eigenvalues, p, s)]


def identify(theta: ArrayLike, covariance: ArrayLike, n_hidden: int, scale: float = 0.5) -> Any:
    r"""Return the record of the class at which $\theta$ is, or None if it is near none.

    S holds the eigenvectors with $u_i^\top W u_i > 1/2$. The point is near the class if

    $$ \|W - P_S\|_F, \qquad \frac{\|W_1 (I - P_S)\|_F}{\max(1, \|W_1\|_F)}, \qquad
       \frac{\|(I - P_S) W_2\|_F}{\max(1, \|W_2\|_F)} $$

    are all below 0.1; they are all 0 if and only if it is a critical point. The last two matter: $W_2 = 0$ alone gives
    $W = P_\emptyset$ but not a zero gradient. Nearness identifies a class; it does not certify a small gradient.

    Args:
        theta: (N,), or (B, N) for a list of B answers. NaN is near nothing.
        covariance: $\Sigma$, (k, k), as in `theory`.
        n_hidden: p, the number of hidden units.
        scale: s > 0, used for the loss in the record.

    Raises:
        InputError: as in `theory`, and for another shape.

    >>> covariance = np.diag([1.0, 2.0, 4.0])
    >>> theta = representative((0, 2), covariance, n_hidden=2, transform=[[1.0, 3.0], [0.0, 2.0]])
    >>> identify(theta, covariance, n_hidden=2)
    CriticalPoint(subset=(0, 2), loss=1.0, n_negative=1, n_zero=4, n_positive=7, tight=True)
    >>> print(identify(theta + 0.2, covariance, n_hidden=2))
    None
    """
    eigenvalues, U = _classified(covariance)
    p, s, k = (
        whole("n_hidden", n_hidden, at_least=1),
        one_number("scale", scale, above=0),
        len(eigenvalues),
    )
    points = np.asarray(theta, dtype=np.float64)
    if points.ndim not in (1, 2) or points.shape[-1] != 2 * p * k:
        raise InputError(f"theta has shape {points.shape}; expected ({2 * p * k},) or (points, {2 * p * k})")
    # In the eigenbasis P_S is diagonal, with ones at S.
    W1 = points.reshape(-1, 2 * p * k)[:, : p * k].reshape(-1, p, k) @ U
    W2 = U.T @ points.reshape(-1, 2 * p * k)[:, p * k :].reshape(-1, k, p)
    W = W2 @ W1
    chosen = np.diagonal(W, axis1=1, axis2=2) > 0.5
    outside = ~chosen
    distances = [
        _norms(W - chosen[:, :, None] * np.eye(k)),
        _norms(W1 * outside[:, None, :]) / np.maximum(1, _norms(W1)),
        _norms(W2 * outside[:, :, None]) / np.maximum(1, _norms(W2)),
    ]
    near = np.max(distances, axis=0) < _NEAR
    answers = [
        _records([tuple(np.flatnonzero(row).tolist())], eigenvalues, p, s)[0] if is_near else None
        for row, is_near in zip(chosen, near, strict=True)
    ]
    return answers if points.ndim == 2 else answers[0]


def representative(
    subset: Iterable[int], covariance: ArrayLike, n_hidden: int, transform: ArrayLike | None = None
) -> NDArray[np.float64]:
    r"""Return a critical point $\theta$ (N,) of a class: $W_1 = C\,[U_S\; 0]^\top$ and $W_2 = [U_S\; 0]\,C^{-1}$.

    Args:
        subset: S, positions in ascending order of the eigenvalues, at most p of them.
        covariance: $\Sigma$, (k, k).
        n_hidden: p, the number of hidden units.
        transform: C, (p, p), invertible; the identity by default.

    Raises:
        InputError: for a subset that does not exist, and a transform without inverse.

    >>> representative([1], [[1.0, 0.0], [0.0, 4.0]], n_hidden=1, transform=[[2.0]]).tolist()
    [0.0, 2.0, 0.0, 0.5]
    """
    _, U = np.linalg.eigh(covariance_matrix("covariance", covariance))
    p = whole("n_hidden", n_hidden, at_least=1)
    S = check_subset(subset, len(U), p)
    W2 = np.zeros((len(U), p))
    W2[:, : len(S)] = U[:, S]
    return flat_weights([W2.T, W2], transform)


def loss(covariance: ArrayLike, n_hidden: int, scale: float = 0.5) -> Callable[[Any], Any]:
    r"""Return the function $\theta \mapsto s\,\mathrm{tr}[(I - W)\Sigma(I - W)^\top]$.

    It takes one (N,) of float64, a NumPy array or a torch tensor. `torch.vmap` and `torch.func` apply to it.

    Args:
        covariance: $\Sigma$, (k, k).
        n_hidden: p, the number of hidden units.
        scale: s > 0.

    >>> float(loss([[1.0, 0.0], [0.0, 4.0]], n_hidden=1)(np.zeros(4)))
    2.5
    """
    sigma = covariance_matrix("covariance", covariance)
    k, p = len(sigma), whole("n_hidden", n_hidden, at_least=1)
    return product_loss(layer_shapes(k, p, k), np.eye(k), sigma, one_number("scale", scale, above=0))


def _classified(covariance: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ascending eigenvalues and the eigenvectors, after checking that the classes are those of `theory`."""
    eigenvalues, U = np.linalg.eigh(covariance_matrix("covariance", covariance))
    check_positive("covariance", eigenvalues, "drop constant and dependent features, or project on the range")
    check_distinct("covariance", eigenvalues)
    return eigenvalues, U


def _records(
    subsets: list[tuple[int, ...]], eigenvalues: NDArray[np.float64], p: int, scale: float
) -> list[CriticalPoint]:
    k, m = len(eigenvalues), len(subsets[0])
    return records(
        subsets,
        eigenvalues,
        scale=scale,
        from_unused=(p - m) * (k - m),
        n_zero=2 * p * m - m**2,
        n_parameters=2 * p * k,
        tight=m == p,
    )


def _norms(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(matrices, axis=(1, 2))
