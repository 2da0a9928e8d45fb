r"""Critical points of a linear network with one hidden layer that regresses y on x, in closed form.

The loss of $W = W_2 W_1$, with $W_1$ (p, inputs) and $W_2$ (outputs, p), is

$$ L(\theta) = \tfrac12\, E\,|y - W x|^2, \qquad \theta = (W_1, W_2) \text{ row by row}. $$

It depends on the data through $\Sigma_{xx}$, $\Sigma_{yx}$ and $\Sigma_{yy}$ only. Let
$M = \Sigma_{yx} \Sigma_{xx}^{-1} \Sigma_{xy}$ have the positive eigenvalues $\mu_1 < \dots < \mu_r$ with eigenvectors
$u_i$; r is the rank of $\Sigma_{yx}$. At a critical point $W = P_S\, \Sigma_{yx} \Sigma_{xx}^{-1}$ for a subset S of at
most min(p, r) of them. A linear autoencoder is the case y = x.

Source: Baldi and Hornik, Neural networks and principal component analysis, Neural Networks 2, 1989; the inertia is
derived.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, numbers, whole
from solvable.errors import InputError
from solvable.landscapes.covariances import check_distinct, check_positive, covariance_matrix, rank
from solvable.landscapes.critical_point import CriticalPoint, check_subset, records, subsets_by_size
from solvable.landscapes.weight_product import flat_weights, layer_shapes, product_loss

__all__ = ["loss", "representative", "theory"]


def theory(Sxx: ArrayLike, Syx: ArrayLike, Syy: ArrayLike, n_hidden: int) -> list[CriticalPoint]:
    r"""Return a record for each W at which there are critical points.

    With m the number of elements of S, and $d_{in}$ and $d_{out}$ the numbers of inputs and outputs,

    $$ L = \tfrac12 \Big(\mathrm{tr}\,\Sigma_{yy} - \sum_{i \in S} \mu_i\Big), \qquad
       n_- = \#\{i \in S,\, j \notin S: \mu_j > \mu_i\} + (p - m)(r - m), $$

    $$ n_0 = 2pm - m^2 + (p - m)(d_{in} + d_{out} - 2r). $$

    The orbit of `representative` is not all: if m < p, unused hidden units may instead write into q directions that
    cannot be predicted ($q \le d_{out} - r$). There W, loss and index are the same, and $n_0$ is smaller by
    $q (d_{in} - r)$, so that it differs only if r is below both $d_{in}$ and $d_{out}$. The same holds for units that
    read inputs that predict nothing, with $d_{in}$ and $d_{out}$ exchanged.

    Args:
        Sxx: $\Sigma_{xx} = E\,xx^\top$, (inputs, inputs), invertible.
        Syx: $\Sigma_{yx} = E\,yx^\top$, (outputs, inputs).
        Syy: $\Sigma_{yy} = E\,yy^\top$, (outputs, outputs).
        n_hidden: p, the number of hidden units; any number is allowed.

    Returns:
        Records by size of the subset and then in lexical order. `.subset` are positions among the positive $\mu_i$ in
        ascending order.

    Raises:
        InputError: if $\Sigma_{xx}$ is singular (to 1e-12), if a positive $\mu_i$ is repeated (to 1e-8), if the three
            matrices cannot come from one data set, and for more than a million subsets.

    Source: derived; checked against dense Hessians.

    >>> for point in theory(Sxx=[[1.0, 0.0], [0.0, 1.0]], Syx=[[2.0, 0.0]], Syy=[[5.0]], n_hidden=1):
    ...     print(point.subset, point.loss, point.n_negative, point.n_zero, point.n_positive)
    () 2.5 1 1 1
    (0,) 0.5 0 1 2
    """
    fit, p = _best_fit(Sxx, Syx, Syy), whole("n_hidden", n_hidden, at_least=1)
    check_distinct("Syx Sxx^-1 Sxy", fit.mu)
    (n_out, n_in), r = fit.weights.shape, len(fit.mu)
    points = []
    for subsets in subsets_by_size(r, p):
        m = len(subsets[0])
        points += records(
            subsets,
            fit.mu,
            scale=0.5,
            unexplained=fit.unexplained,
            from_unused=(p - m) * (r - m),
            n_zero=2 * p * m - m**2 + (p - m) * (n_in + n_out - 2 * r),
            n_parameters=p * (n_in + n_out),
            tight=m == p,
        )
    return points


def representative(
    subset: Iterable[int],
    Sxx: ArrayLike,
    Syx: ArrayLike,
    Syy: ArrayLike,
    n_hidden: int,
    transform: ArrayLike | None = None,
) -> NDArray[np.float64]:
    r"""Return a critical point (N,): $W_1 = C\,[U_S\; 0]^\top \Sigma_{yx} \Sigma_{xx}^{-1}$, $W_2 = [U_S\; 0]\,C^{-1}$.

    Args:
        subset: S, positions among the positive $\mu_i$ in ascending order, at most p of them.
        Sxx: $\Sigma_{xx}$, (inputs, inputs), invertible.
        Syx: $\Sigma_{yx}$, (outputs, inputs).
        Syy: $\Sigma_{yy}$, (outputs, outputs).
        n_hidden: p, the number of hidden units.
        transform: C, (p, p), invertible; the identity by default.

    Raises:
        InputError: for a subset that does not exist, and a transform without inverse.

    >>> representative([0], [[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0]], [[5.0]], n_hidden=1).round(12).tolist()
    [2.0, 0.0, 1.0]
    """
    fit, p = _best_fit(Sxx, Syx, Syy), whole("n_hidden", n_hidden, at_least=1)
    S = check_subset(subset, len(fit.mu), p)
    W2 = np.zeros((len(fit.weights), p))
    W2[:, : len(S)] = fit.U[:, S]
    return flat_weights([W2.T @ fit.weights, W2], transform)


def loss(Sxx: ArrayLike, Syx: ArrayLike, Syy: ArrayLike, n_hidden: int) -> Callable[[Any], Any]:
    r"""Return the function $\theta \mapsto \frac12 E\,|y - W_2 W_1 x|^2$.

    It takes one (N,) of float64, a NumPy array or a torch tensor. `torch.vmap` and `torch.func` apply to it.

    Args:
        Sxx: $\Sigma_{xx}$, (inputs, inputs), invertible.
        Syx: $\Sigma_{yx}$, (outputs, inputs).
        Syy: $\Sigma_{yy}$, (outputs, outputs).
        n_hidden: p, the number of hidden units.

    >>> float(loss([[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0]], [[5.0]], n_hidden=1)(np.zeros(3)))
    2.5
    """
    fit, p = _best_fit(Sxx, Syx, Syy), whole("n_hidden", n_hidden, at_least=1)
    n_out, n_in = fit.weights.shape
    # The squared distance from the best fit has no cancellation near it, as the three traces of the loss would.
    sigma = covariance_matrix("Sxx", Sxx)
    return product_loss(layer_shapes(n_in, p, n_out), fit.weights, sigma, 0.5, fit.unexplained)


class _BestFit(NamedTuple):
    weights: NDArray[np.float64]  # Syx Sxx^-1
    mu: NDArray[np.float64]  # positive eigenvalues of M, ascending
    U: NDArray[np.float64]  # their eigenvectors, as columns
    unexplained: float  # loss of the best fit


def _best_fit(Sxx: ArrayLike, Syx: ArrayLike, Syy: ArrayLike) -> _BestFit:
    xx, yy, yx = covariance_matrix("Sxx", Sxx), covariance_matrix("Syy", Syy), numbers("Syx", Syx)
    finite("Syx", yx, remedy="")
    if yx.shape != (len(yy), len(xx)):
        raise InputError(
            f"Syx has shape {yx.shape}; expected ({len(yy)}, {len(xx)}), outputs by inputs as in Syy and Sxx"
        )
    check_positive(
        "Sxx", np.linalg.eigvalsh(xx), "drop constant and dependent features, or project on the range"
    )
    # Singular values of Syx Sxx^-1/2 are the roots of mu, with half the digits lost that M would lose.
    whitened = np.linalg.solve(np.linalg.cholesky(xx), yx.T).T
    U, roots, _ = np.linalg.svd(whitened, full_matrices=False)
    r = rank(roots)
    residual = yy - whitened @ whitened.T
    smallest, size = float(np.linalg.eigvalsh(residual)[0]), float(np.trace(yy))
    if smallest < -1e-8 * size or size < 0:
        raise InputError(
            f"Syy - Syx Sxx^-1 Sxy has the eigenvalue {smallest:.2g}; expected none below 0: take the three matrices "
            "from the same data"
        )
    unexplained = max(0.5 * float(np.trace(residual)), 0.0)
    weights = np.asarray(np.linalg.solve(xx, yx.T).T, dtype=np.float64)
    return _BestFit(weights, roots[:r][::-1] ** 2, U[:, :r][:, ::-1], unexplained)
