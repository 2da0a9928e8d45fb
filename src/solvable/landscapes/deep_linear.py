r"""Critical points of deep linear autoencoders in closed form.

The loss of $W = W_D \cdots W_1$, with p units in each hidden layer, on k uncorrelated features of variances $\lambda_i$
is

$$ L(\theta) = s\,\mathrm{tr}\left[(I - W)\,\mathrm{diag}(\lambda)\,(I - W)^\top\right], \qquad
   N = 2pk + (D - 2)p^2, $$

with $\theta = (W_1, \dots, W_D)$ row by row. Correlated features are the same problem in the basis of the eigenvectors.
At a critical point W is the projection $P_S$ onto a subset S of m features. For $D \ge 3$ and m < p loss and index no
longer follow from S alone: they depend on the ranks of the middle matrices too. Two branches are listed here,

- *tight*: all middle matrices are $\mathrm{diag}(I_m, 0)$;
- *not tight*: all middle matrices are $I_p$,

each up to $W_l \to C_l W_l C_{l-1}^{-1}$. Others lie between them: at D = 3, with a middle matrix
$\mathrm{diag}(I_{m+q}, 0)$, the index grows by k - m for each of the q ranks.

Source: Achour, Malgouyres and Gerchinovitz, The loss landscape of deep linear neural networks: a second-order analysis,
2021, arXiv:2107.13289, for the term tight; the inertia is derived.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.landscapes.covariances import check_distinct, check_positive
from solvable.landscapes.critical_point import CriticalPoint, check_subset, records, subsets_by_size
from solvable.landscapes.weight_product import flat_weights, layer_shapes, product_loss

__all__ = ["loss", "representative", "theory"]


def theory(eigenvalues: ArrayLike, n_hidden: int, depth: int, scale: float = 0.5) -> list[CriticalPoint]:
    r"""Return a record for each subset S and branch.

    The loss is $s \sum_{i \notin S} \lambda_i$. With $\#$ the number of inversions, pairs of i in S and j not in S with
    $\lambda_j > \lambda_i$,

    | branch | $n_-$ | $n_0$ |
    |---|---|---|
    | tight | $\#$ | $N - 2mk + m^2$ |
    | not tight | $\# + (p - m)(k - m)$ | $(D - 2)p^2 + 2pm - m^2$ |

    For m = p the two are the same class, which has one record, with `tight=True`. With two layers there are no middle
    matrices, and no tight class for m < p. A tight class of the largest m < min(p, k) eigenvalues has no negative
    eigenvalue but is not a minimum: it is a non-strict saddle. At the origin the whole Hessian is 0.

    Args:
        eigenvalues: $\lambda_i > 0$, all different, (k,) in any order.
        n_hidden: p, the number of units in each hidden layer.
        depth: D, the number of weight matrices, at least 2.
        scale: s > 0.

    Returns:
        Records by size of the subset, then by branch, tight first. `.subset` are positions in `eigenvalues`.

    Raises:
        InputError: for eigenvalues that are not positive or repeated (to 1e-8), and for more than a million subsets.

    Source: derived; checked against dense Hessians.

    >>> for point in theory([1.0, 2.0], n_hidden=2, depth=3)[:3]:
    ...     print(point.subset, point.loss, point.tight, point.n_negative, point.n_zero, point.n_positive)
    () 1.5 True 0 12 0
    () 1.5 False 4 4 4
    (0,) 1.0 True 1 9 2
    """
    values, p, D = _network(eigenvalues, n_hidden, depth)
    s, k = one_number("scale", scale, above=0), len(values)
    check_distinct("eigenvalues", values)
    n_parameters = 2 * p * k + (D - 2) * p**2
    points = []
    for subsets in subsets_by_size(k, p):
        m = len(subsets[0])
        if D > 2 or m == p:
            n_zero = n_parameters - 2 * m * k + m**2
            points += records(
                subsets,
                values,
                scale=s,
                from_unused=0,
                n_zero=n_zero,
                n_parameters=n_parameters,
                tight=True,
            )
        if m < p:
            n_zero = (D - 2) * p**2 + 2 * p * m - m**2
            points += records(
                subsets,
                values,
                scale=s,
                from_unused=(p - m) * (k - m),
                n_zero=n_zero,
                n_parameters=n_parameters,
                tight=False,
            )
    return points


def representative(
    subset: Iterable[int],
    eigenvalues: ArrayLike,
    n_hidden: int,
    depth: int,
    *,
    tight: bool,
    transforms: ArrayLike | None = None,
) -> NDArray[np.float64]:
    r"""Return a critical point (N,), with $W_1 = W_D^\top = [e_i,\, i \in S;\; 0]$ before the transforms.

    Args:
        subset: S, positions in `eigenvalues`, at most p of them.
        eigenvalues: $\lambda_i$, (k,).
        n_hidden: p, the number of units in each hidden layer.
        depth: D, the number of weight matrices, at least 2.
        tight: whether the middle matrices are $\mathrm{diag}(I_m, 0)$; otherwise $I_p$.
        transforms: $C_1, \dots, C_{D-1}$, (D - 1, p, p), invertible; identities by default.

    Raises:
        InputError: for a subset that does not exist, a tight class that does not exist (two layers and m < p), and a
            transform without inverse.

    >>> representative([1], [1.0, 2.0], n_hidden=1, depth=3, tight=True).tolist()
    [0.0, 1.0, 1.0, 0.0, 1.0]
    """
    values, p, D = _network(eigenvalues, n_hidden, depth)
    S = check_subset(subset, len(values), p)
    if tight and D == 2 and len(S) < p:
        raise InputError(
            f"depth is 2, and subset has {len(S)} positions for {p} hidden units; expected tight=False, "
            "since there are no middle matrices"
        )
    last = np.zeros((len(values), p))
    last[S, range(len(S))] = 1.0
    middle = np.diag((np.arange(p) < len(S)).astype(np.float64)) if tight else np.eye(p)
    return flat_weights([last.T, *[middle] * (D - 2), last], transforms)


def loss(eigenvalues: ArrayLike, n_hidden: int, depth: int, scale: float = 0.5) -> Callable[[Any], Any]:
    r"""Return the function $\theta \mapsto s\,\mathrm{tr}[(I - W)\,\mathrm{diag}(\lambda)\,(I - W)^\top]$.

    It takes one (N,) of float64, a NumPy array or a torch tensor. `torch.vmap` and `torch.func` apply to it.

    Args:
        eigenvalues: $\lambda_i > 0$, (k,).
        n_hidden: p, the number of units in each hidden layer.
        depth: D, the number of weight matrices, at least 2.
        scale: s > 0.

    >>> float(loss([1.0, 2.0], n_hidden=1, depth=3)(np.zeros(5)))
    1.5
    """
    values, p, D = _network(eigenvalues, n_hidden, depth)
    k, s = len(values), one_number("scale", scale, above=0)
    return product_loss(layer_shapes(k, p, k, D), np.eye(k), np.diag(values), s)


def _network(eigenvalues: ArrayLike, n_hidden: int, depth: int) -> tuple[NDArray[np.float64], int, int]:
    values = numbers("eigenvalues", eigenvalues)
    finite("eigenvalues", values, remedy="")
    if values.ndim != 1:
        raise InputError(f"eigenvalues have shape {values.shape}; expected (k,)")
    check_positive("the covariance", values, "leave such features out")
    return values, whole("n_hidden", n_hidden, at_least=1), whole("depth", depth, at_least=2)
