"""A kernel of raw inputs: encodes and scales them as the data that it was made for, then applies another kernel."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

from solvable.kernels.base import Kernel
from solvable.kernels.features import FeatureMap
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

    def for_data(self, X: Any) -> Self:
        return (
            self if self.resolved else replace(self, kernel=self.kernel.for_data(self.encoder.transform(X)))
        )

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
