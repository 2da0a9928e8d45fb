"""Losses of products of weight matrices, as functions of one flat vector of parameters."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, numbers
from solvable.errors import InputError


def layer_shapes(n_in: int, n_hidden: int, n_out: int, depth: int = 2) -> list[tuple[int, int]]:
    """Return the shapes of the weight matrices, first layer first.

    >>> layer_shapes(5, 2, 3, depth=3)
    [(2, 5), (2, 2), (3, 2)]
    """
    widths = [n_in, *[n_hidden] * (depth - 1), n_out]
    return list(zip(widths[1:], widths[:-1], strict=True))


def product_loss(
    shapes: Sequence[tuple[int, int]],
    target: NDArray[np.float64],
    covariance: NDArray[np.float64],
    scale: float,
    constant: float = 0.0,
) -> Callable[[Any], Any]:
    r"""Return the function $\theta \mapsto c + s\,\mathrm{tr}[(W - W_*) \Sigma (W - W_*)^\top]$, $W = W_D \cdots W_1$.

    It takes one vector (N,) of float64, a NumPy array or a torch tensor, and returns a scalar of the same library.
    `torch.vmap` and the transforms of `torch.func` apply to it.

    Args:
        shapes: shapes of $W_1, \dots, W_D$.
        target: $W_*$, (outputs, inputs).
        covariance: $\Sigma$, (inputs, inputs).
        scale: s.
        constant: c.
    """
    sizes = [prod(shape) for shape in shapes]
    ends = np.cumsum(sizes).tolist()

    def loss(theta: Any) -> Any:
        xp = array_namespace(theta)
        if tuple(theta.shape) != (ends[-1],):
            raise InputError(f"theta has shape {tuple(theta.shape)}; expected ({ends[-1]},)")
        if theta.dtype != xp.float64:
            raise InputError(f"theta has dtype {theta.dtype}; expected float64")
        product = xp.reshape(theta[: ends[0]], shapes[0])
        for shape, size, end in zip(shapes[1:], sizes[1:], ends[1:], strict=True):
            product = xp.reshape(theta[end - size : end], shape) @ product
        # Not kept from call to call: under a transform of torch.func the tensor belongs to that transform.
        where = device(theta)
        error = product - xp.asarray(target, device=where)
        return constant + scale * xp.sum((error @ xp.asarray(covariance, device=where)) * error)

    return loss


def flat_weights(weights: Sequence[NDArray[np.float64]], transforms: ArrayLike | None) -> NDArray[np.float64]:
    r"""Return the parameters $\theta$ (N,) of $C_1 W_1,\; C_2 W_2 C_1^{-1},\; \dots,\; W_D C_{D-1}^{-1}$.

    The product of the weight matrices does not depend on the $C_l$.

    Args:
        weights: $W_1, \dots, W_D$.
        transforms: $C_1, \dots, C_{D-1}$, (D - 1, p, p) or (p, p) if all are the same; identities if None.

    Raises:
        InputError: for another shape, and for matrices without an inverse.
    """
    if transforms is None:
        return np.concatenate([W.ravel() for W in weights])
    p, inner = len(weights[0]), len(weights) - 1
    C = numbers("transform", transforms)
    finite("transform", C, remedy="")
    if C.shape not in ((p, p), (inner, p, p)):
        raise InputError(
            f"transform has shape {C.shape}; expected ({p}, {p}), of the {p} hidden units"
            + (f", or ({inner}, {p}, {p})" if inner > 1 else "")
        )
    C = np.broadcast_to(C, (inner, p, p))
    if (condition := np.linalg.cond(C).max()) > 1e12:
        raise InputError(
            f"transform has the condition number {condition:.2g}; expected an invertible matrix, below 1e12"
        )
    inverses = np.linalg.inv(C)
    moved = [*(C[i] @ weights[i] for i in range(inner)), weights[-1]]
    moved[1:] = [W @ inverse for W, inverse in zip(moved[1:], inverses, strict=True)]
    return np.concatenate([W.ravel() for W in moved])
