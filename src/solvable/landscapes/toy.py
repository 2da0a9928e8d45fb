r"""A loss of two parameters with one critical point and one gradient-flat minimum of the gradient norm.

$$L(x, y) = \tfrac14 x^4 - 3 x^2 + 9 x + 0.9 y^4 + 5 y^2 + 40$$

Source: Frye et al., 2021, arXiv:2003.10397, figure 2.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.landscapes.losses import Loss, numpy_loss

Numbers = NDArray[np.float64]

CRITICAL = (-3.0, 0.0)
"""The only critical point, a minimum with loss 6.25."""

FLAT = (2**0.5, 0.0)
r"""A strict local minimum of $|g|$ that is not critical: $|g|^2 = (9 - 4\sqrt2)^2 = 11.18$, loss 47.73."""

FLAT_SADDLE = (-(2**0.5), 0.0)
r"""A gradient-flat saddle of $|g|$: $|g|^2 = (9 + 4\sqrt2)^2 = 214.8$, loss 22.27."""


def value(theta: Any) -> Any:
    """Return the loss at points (..., 2), NumPy or torch.

    >>> float(value(np.array(CRITICAL)))
    6.25
    """
    x, y = theta[..., 0], theta[..., 1]
    x2, y2 = x * x, y * y
    return x2 * x2 / 4 - 3 * x2 + 9 * x + 0.9 * y2 * y2 + 5 * y2 + 40


def gradient(theta: Numbers) -> Numbers:
    r"""Return $(x^3 - 6x + 9,\; 3.6 y^3 + 10 y)$ at points (..., 2)."""
    x, y = theta[..., 0], theta[..., 1]
    return np.stack([(x * x - 6) * x + 9, (3.6 * y * y + 10) * y], axis=-1)


def hessian(theta: Numbers) -> Numbers:
    r"""Return $\operatorname{diag}(3x^2 - 6,\; 10.8 y^2 + 10)$ at points (..., 2)."""
    diagonal = np.stack([3 * theta[..., 0] ** 2 - 6, 10.8 * theta[..., 1] ** 2 + 10], axis=-1)
    return diagonal[..., None] * np.eye(2)


def loss() -> Loss:
    """Return the toy as a loss for the finders, without torch."""
    return numpy_loss(value, gradient, hess=hessian, batched=True)


def grid_of_starts(n: int = 10, extent: float = 4.0) -> Numbers:
    """Return n x n starts on a square around 0, (n * n, 2)."""
    axis = np.linspace(-extent, extent, n)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
