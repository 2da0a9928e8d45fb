r"""Random features of network kernels: a random net's last hidden layer, and how it moves when its weights do."""

from abc import abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from solvable.kernels.features import DrawnFeatures
from solvable.kernels.inputs import Array, Namespace

if TYPE_CHECKING:
    from solvable.kernels.networks.fully_connected import NetworkKernel

_NARROWEST_LOWER_LAYER = 1024


class RandomNetFeatures(DrawnFeatures):
    """Features of a random net of k last hidden units; the hidden layers below have max(k, 1024).

    With one hidden layer the estimate is unbiased; with more, the finite width of the layers below leaves a bias of
    order 1/width.
    """

    kernel: "NetworkKernel"

    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        (d,) = shape
        k = self.n_features
        widths = [d, *[max(k, _NARROWEST_LOWER_LAYER)] * (self.kernel.depth - 1), k]
        weights = []
        for (fan_in, fan_out), layer in zip(pairwise(widths), self.kernel.affine_maps(d), strict=False):
            weights += self._draw_layer(generator, fan_in, fan_out, layer.w_variance, layer.b_variance)
        weights.append(generator.choice([-1.0, 1.0], k) * self.kernel.affine_maps(d)[-1].b_rate ** 0.5)
        return weights

    @abstractmethod
    def _draw_layer(
        self, generator: np.random.Generator, fan_in: int, fan_out: int, w_variance: float, b_variance: float
    ) -> list[NDArray[np.float64]]:
        """Return the weights of one layer."""


class NetworkFeatures(RandomNetFeatures):
    r"""$\phi_j(x) = (\sigma_w' \phi(z_j) + \sigma_b' \epsilon_j) / \sqrt{k}$ of a random net.

    z are the pre-activations of the last hidden layer. The sign $\epsilon_j = \pm 1$ of each feature is fair,
    independent of all else: it brings the readout's bias variance into the mean of $\phi(x) \cdot \phi(x')$, and the
    columns remain alike.
    """

    def _draw_layer(
        self, generator: np.random.Generator, fan_in: int, fan_out: int, w_variance: float, b_variance: float
    ) -> list[NDArray[np.float64]]:
        W = generator.standard_normal((fan_out, fan_in)).T * np.sqrt(w_variance / fan_in)
        return [W, generator.standard_normal(fan_out) * np.sqrt(b_variance)]

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        h = X
        for activation, W, b in zip(self.kernel.activations, weights[0:-1:2], weights[1:-1:2], strict=True):
            h = activation(h @ W + b)
        h = h * self.kernel.readout_w_std
        h += weights[-1]
        h *= self.n_features**-0.5
        return h


class TangentFeatures(RandomNetFeatures):
    r"""$\phi_j(x) = (\sqrt{r_w}\,\phi(z_j) + \sigma_w' \phi'(z_j)\, t_j + \sqrt{r_b}\,\epsilon_j)/\sqrt k$.

    In a random net, z are the pre-activations of the last hidden layer and t their derivative along a random Gaussian
    direction of all weights below, so that t has the tangent kernel of the layers below for its covariance. One
    forward pass carries both: $t^{l+1} = W^{l+1}(\phi'(z^l) t^l) + V^{l+1}\phi(z^l) + v^{l+1}$, V and v the direction.

    The columns are alike, at the cost of two nets; no Jacobian and no sketch of one is formed.
    """

    def _draw_layer(
        self, generator: np.random.Generator, fan_in: int, fan_out: int, w_variance: float, b_variance: float
    ) -> list[NDArray[np.float64]]:
        draws = []
        for _ in range(2):
            draws.append(generator.standard_normal((fan_out, fan_in)).T / np.sqrt(fan_in))
            draws.append(generator.standard_normal(fan_out))
        draws[0] *= np.sqrt(w_variance)
        draws[1] *= np.sqrt(b_variance)
        return draws

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        maps = self.kernel.affine_maps(X.shape[1])
        h: Array = X
        moved: Array = None
        for number, activation in enumerate(self.kernel.activations):
            W, b, V, v = weights[4 * number : 4 * number + 4]
            one = maps[number]
            z = h @ W + b
            t = (h @ V) * one.w_rate**0.5 + v * one.b_rate**0.5
            if moved is not None:
                t += moved @ W
            h = activation(z)
            moved = activation.derivative(z) * t
        h = h * maps[-1].w_rate ** 0.5
        h += moved * self.kernel.readout_w_std
        h += weights[-1]
        h *= self.n_features**-0.5
        return h
