"""A kernel of raw inputs, which it encodes as its data set was; kernel matrices on a GPU."""

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, Self

import numpy as np

from solvable.kernels.base import FeatureMap, Kernel, TiledKernel
from solvable.kernels.dot_product import Linear, Polynomial
from solvable.kernels.inputs import Array


@dataclass(frozen=True)
class EncodedKernel(Kernel):
    r"""$K(x, x') = K_0(e(x), e(x'))$ with a fitted encoder $e$.

    Attributes:
        kernel: $K_0$.
        encoder: a fitted scikit-learn transformer from raw inputs to numbers, such as `datasets.Dataset.encoder`.

    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from solvable.kernels import Linear
    >>> X = np.array([[1.0], [2.0], [3.0]])
    >>> EncodedKernel(Linear(), StandardScaler().fit(X))(X, [[2.0], [3.0]]).round(2).tolist()
    [[0.0, -1.5], [0.0, 0.0], [0.0, 1.5]]
    """

    kernel: Kernel
    encoder: Any = field(repr=False)

    @property
    def resolved(self) -> bool:
        return self.kernel.resolved

    def for_data(self, X: Any, weights: Array | None = None) -> Self:
        if self.resolved:
            return self
        return replace(self, kernel=self.kernel.for_data(self.encoder.transform(X), weights))

    def __call__(self, X: Any, Z: Any = None) -> Array:
        encoded = self.encoder.transform(X)
        return (
            self.kernel(encoded) if Z is None or Z is X else self.kernel(encoded, self.encoder.transform(Z))
        )

    def diag(self, X: Any) -> Array:
        return self.kernel.diag(self.encoder.transform(X))

    def features(
        self, n_features: int, random_state: Any = None, orthogonal: bool | None = None
    ) -> FeatureMap:
        return EncodedFeatures(self.kernel.features(n_features, random_state, orthogonal), self)


class EncodedFeatures(FeatureMap):
    """Random features of raw inputs."""

    def __init__(self, features: FeatureMap, kernel: EncodedKernel) -> None:
        self.n_features, self.kernel = features.n_features, kernel
        self._features, self._encoder = features, kernel.encoder

    def __call__(self, X: Any) -> Array:
        return self._features(self._encoder.transform(X))


# Number of points from which the matrix is worth the seconds that importing torch takes.
WORTH_IT_FROM = 8000


def accelerator() -> Any | None:
    """Return torch's GPU, or None if torch is not installed or finds none."""
    if find_spec("torch") is None:
        return None
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else None


def large_gram(kernel: Kernel, X: Array) -> Array:
    """Return the kernel matrix of `X` (n, d), for many points in single precision on a GPU if there is one.

    Single precision has a relative error of 1e-7 per entry, which hides smaller eigenvalues: predictions at a ridge of
    0 then rest on fewer of them. For double precision on a GPU pass a tensor, which is used as it is.
    """
    # A kernel of low rank would seem to have full rank, because of rounding.
    full = isinstance(kernel, TiledKernel) and not isinstance(kernel, (Linear, Polynomial))
    worth_it = isinstance(X, np.ndarray) and len(X) >= WORTH_IT_FROM and full
    device = accelerator() if worth_it else None
    if device is None:
        return kernel(X)
    import torch

    return kernel(torch.as_tensor(X, dtype=torch.float32, device=device))
