r"""A kernel that interpolates and still ignores noise: a smooth kernel with narrow spikes on top."""

from dataclasses import dataclass, replace
from typing import Any, Self

from solvable.kernels import Gaussian, Kernel, as_kernel
from solvable.kernels.inputs import Array, positive


@dataclass(frozen=True)
class SpikySmooth(Kernel):
    r"""$K(x, x') + h\, e^{-|x - x'|^2 / 2 w^2}$; see `spiky_smooth`."""

    kernel: Kernel
    height: float
    width: float

    @property
    def resolved(self) -> bool:
        return self.kernel.resolved

    def for_data(self, X: Array) -> Self:
        return replace(self, kernel=self.kernel.for_data(X))

    def __call__(self, X: Array, Z: Array | None = None) -> Array:
        return self.kernel(X, Z) + self.height * Gaussian(self.width)(X, Z)

    def diag(self, X: Array) -> Array:
        return self.kernel.diag(X) + self.height


def spiky_smooth(kernel: Any, height: float, width: float) -> SpikySmooth:
    r"""Return $K(x, x') + h\, e^{-|x - x'|^2 / 2 w^2}$, which interpolates its labels at the noise cost of a ridge $h$.

    With a width far below the distance of any two inputs the spikes are $h I$ on the training points and 0 everywhere
    else: the fit is that of $K$ with ridge $h$, and in each training point a spike reaches for its label. So an
    interpolating model can overfit benignly.

    Args:
        kernel: what `as_kernel` takes.
        height: $h > 0$, the ridge that it is like.
        width: $w > 0$, in the units of the inputs.

    Raises:
        InputError: for a kernel that is none, or numbers out of range.

    Source: Haas, Holzmüller, von Luxburg and Steinwart, arXiv:2305.14077.

    Example:
        >>> import numpy as np
        >>> from solvable.kernels import Laplace
        >>> X = np.random.default_rng(0).normal(size=(50, 3))
        >>> spiky = spiky_smooth(Laplace(1.0), height=1.0, width=1e-3)
        >>> bool(np.allclose(spiky(X), Laplace(1.0)(X) + np.eye(50)))
        True
    """
    return SpikySmooth(as_kernel(kernel), positive("height", height), positive("width", width))
