r"""Random features: maps $\phi$ of k columns with $E[\phi(x) \cdot \phi(x')] = K(x, x')$.

The factor $1/\sqrt{k}$ is included. The columns are independent and alike given the weights of lower layers,
so the first k' columns times $\sqrt{k/k'}$ are k' features of the same kind.
"""

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels.inputs import Array, Namespace, points, whole

if TYPE_CHECKING:
    from solvable.kernels.networks import NNGP
    from solvable.kernels.stationary import Stationary

_NARROWEST_LOWER_LAYER = 1024


class FeatureMap(ABC):
    r"""A callable: `phi(X)` has shape (n, `n_features`) and `phi(X) @ phi(Z).T` estimates the kernel matrix.

    The weights are drawn at the first call, from `random_state` and the number of coordinates of its points,
    and stay: training and test set see the same map. Tensors get the same weights, in their dtype, on their
    device.

    Made by `kernel.features(n_features, random_state)`.

    >>> from solvable.kernels import Gaussian
    >>> phi = Gaussian(length_scale=1.0).features(5000, random_state=0)
    >>> features = phi([[0.0, 0.0], [1.0, 0.0]])
    >>> features.shape
    (2, 5000)
    >>> print(f"{features[0] @ features[1]:.2f} estimates {np.exp(-0.5):.2f}")
    0.61 estimates 0.61
    """

    n_features: int

    @abstractmethod
    def __call__(self, X: Array) -> Array:
        """Return the features of the points `X` (n, d), shape (n, n_features).

        Raises:
            InputError: for points that a kernel would refuse, or of another d than at the first call.
        """


class DrawnFeatures(FeatureMap):
    """Features of weights that are drawn once."""

    def __init__(self, n_features: int, random_state: Any) -> None:
        self.n_features = whole("n_features", n_features, at_least=1)
        try:
            self._generator = np.random.default_rng(random_state)
        except (TypeError, ValueError):
            raise InputError(
                f"random_state is {random_state!r}; expected None, a whole number >= 0 or a "
                "numpy.random.Generator; give one of these"
            ) from None
        self._weights: list[NDArray[np.float64]] | None = None
        self._n_coordinates = 0

    def __call__(self, X: Array) -> Array:
        xp, X = points("X", X)
        d = X.shape[1]
        if self._weights is None:
            self._weights = self._draw(self._generator, d)
            self._n_coordinates = d
        if d != self._n_coordinates:
            raise InputError(
                f"X has {d} coordinates and the weights of these features were drawn for "
                f"{self._n_coordinates}; expected the same number; make a new map with kernel.features(...)"
            )
        weights = [xp.asarray(w, dtype=X.dtype, device=X.device) for w in self._weights]
        return self._transform(xp, X, weights)

    @abstractmethod
    def _draw(self, generator: np.random.Generator, d: int) -> list[NDArray[np.float64]]:
        """Return the weights for points of d coordinates."""

    @abstractmethod
    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        """Return the features of checked points."""


class FourierFeatures(DrawnFeatures):
    r"""$\phi_j(x) = \sqrt{2/k} \cos(w_j \cdot x + b_j)$ with random frequencies and phases.

    The frequencies w are draws from the kernel's spectral density, the phases b are uniform in [0, 2π).

    The paired form, $\cos(w \cdot x)$ and $\sin(w \cdot x)$ of k/2 frequencies, has a smaller variance at
    large kernel values, but its columns come in dependent pairs. The theory of random-feature regression is
    about independent features, so each column here has a frequency and a phase of its own.

    Source: Rahimi and Recht, Random features for large-scale kernel machines, 2007.
    """

    def __init__(self, n_features: int, random_state: Any, kernel: "Stationary") -> None:
        super().__init__(n_features, random_state)
        self.kernel = kernel

    def _draw(self, generator: np.random.Generator, d: int) -> list[NDArray[np.float64]]:
        frequencies = self.kernel.sample_frequencies(generator, self.n_features, d)
        return [frequencies.T, generator.uniform(0, 2 * np.pi, self.n_features)]

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        phase = X @ weights[0]
        phase += weights[1]
        features = xp.cos(phase)
        features *= (2 / self.n_features) ** 0.5
        return features


class RectifiedPowerFeatures(DrawnFeatures):
    r"""$\phi_j(x) = \max(0, w_j \cdot x)^p / \sqrt{k}$, $w_j \sim N(0, I/d)$; p = 0: 1[w·x > 0]."""

    def __init__(self, n_features: int, random_state: Any, order: int) -> None:
        super().__init__(n_features, random_state)
        self.order = order

    def _draw(self, generator: np.random.Generator, d: int) -> list[NDArray[np.float64]]:
        return [generator.standard_normal((self.n_features, d)).T / np.sqrt(d)]

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        z = X @ weights[0]
        features = xp.astype(z > 0, z.dtype)
        for _ in range(self.order):
            features *= z
        features *= self.n_features**-0.5
        return features


class NetworkFeatures(DrawnFeatures):
    r"""$\phi_j(x) = (\sigma_w' \max(0, z_j) + \sigma_b' \epsilon_j) / \sqrt{k}$ of a random net.

    z are the pre-activations of the last hidden layer, of k units; the hidden layers below have max(k, 1024).
    The sign $\epsilon_j = \pm 1$ of each feature is fair, independent of all else: it brings the readout's
    bias variance into the mean of $\phi(x) \cdot \phi(x')$, and the columns remain alike. With one hidden
    layer the estimate is unbiased; with more, the finite width of the layers below leaves a bias of order
    1/width.
    """

    def __init__(self, n_features: int, random_state: Any, kernel: "NNGP") -> None:
        super().__init__(n_features, random_state)
        self.kernel = kernel

    def _draw(self, generator: np.random.Generator, d: int) -> list[NDArray[np.float64]]:
        kernel, k = self.kernel, self.n_features
        widths = [d, *[max(k, _NARROWEST_LOWER_LAYER)] * (kernel.depth - 1), k]
        weights = []
        for fan_in, fan_out in pairwise(widths):
            weights.append(generator.standard_normal((fan_out, fan_in)).T * (kernel.w_std / np.sqrt(fan_in)))
            weights.append(generator.standard_normal(fan_out) * kernel.b_std)
        weights.append(generator.choice([-1.0, 1.0], k) * kernel.readout_b_std)
        return weights

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        h = X
        for w, b in zip(weights[0:-1:2], weights[1:-1:2], strict=True):
            h = h @ w
            h += b
            h *= xp.astype(h > 0, h.dtype)
        h *= self.kernel.readout_w_std
        h += weights[-1]
        h *= self.n_features**-0.5
        return h
