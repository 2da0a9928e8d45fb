"""The four sums over a spectrum that every closed form of kernel regression is made of.

Test error, train error, bias, variance and the overfitting coefficient depend on eigenvalues and target only through
these functions of one scalar, the effective ridge. Whatever can give them (a known `Eigensystem`, or a curve estimated
from a sample) can be solved and predicted from; this file is that agreement.
"""

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

if TYPE_CHECKING:
    Grid = NDArray[np.float64]
else:
    # Numbers on a grid of any shape, within one call all of the same one. NumPy makes scalars of arrays without dims.
    Grid = Float[np.ndarray | np.float64, "*grid"]


class SpectralSums(NamedTuple):
    r"""Sums over modes at effective ridge $\kappa$, with learnability $L_i = \lambda_i / (\lambda_i + \kappa)$.

    Attributes:
        learned_modes: $z = \sum_i m_i L_i$, the effective number of modes learned (degrees of freedom).
        partly_learned_modes: $g = \sum_i m_i L_i (1 - L_i) = -dz / d\ln\kappa$, formed without cancellation.
        linear_bias: $B_1 = \sum_i (1 - L_i) v_i^2 + \sigma^2$.
        squared_bias: $B_2 = \sum_i (1 - L_i)^2 v_i^2 + \sigma^2$, the bias of the mean predictor, noise included.
    """

    learned_modes: Grid
    partly_learned_modes: Grid
    linear_bias: Grid
    squared_bias: Grid

    def __add__(self, other: tuple) -> "SpectralSums":  # pyright: ignore[reportIncompatibleMethodOverride]
        """Add sum by sum: a spectrum's explicit modes and its tail."""
        return SpectralSums(*(a + b for a, b in zip(self, other, strict=True)))


@runtime_checkable
class SpectralCurves(Protocol):
    """What the implicit regularisation needs to know of a task: its sums as functions of the effective ridge."""

    @property
    def rank(self) -> float:
        """How many modes have a non-zero eigenvalue; may be `inf`."""
        ...

    @property
    def noise(self) -> float:
        r"""Label noise $\sigma^2$ per sample, summed over outputs, as far as it is known apart from the target."""
        ...

    @property
    def log_trace(self) -> float:
        r"""$\ln \sum_i m_i \lambda_i$."""
        ...

    def sums(self, log_kappa: Grid) -> SpectralSums:
        r"""Return the four sums at each $\ln\kappa$ (any shape, `-inf` included)."""
        ...
