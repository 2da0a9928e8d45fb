r"""Infinitely wide fully-connected networks: the NNGP kernel (readout trains) and the NTK (all trains)."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from solvable.errors import choice
from solvable.kernels import relu_recursion, tiles
from solvable.kernels.base import TiledKernel
from solvable.kernels.distances import Angles, sum_of_squares
from solvable.kernels.dot_product import cosines
from solvable.kernels.features import FeatureMap, NetworkFeatures
from solvable.kernels.inputs import Array, Namespace, non_negative, positive, whole

ACTIVATIONS = ("relu",)
"""The activations that the network kernels know."""


@dataclass(frozen=True)
class NetworkKernel(TiledKernel):
    """A kernel of an infinitely wide network of `depth` hidden layers."""

    depth: int
    activation: str = "relu"
    w_std: float = 2**0.5
    b_std: float = 0.0
    readout_w_std: float = 1.0
    readout_b_std: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", whole("depth", self.depth, at_least=1))
        choice("activation", self.activation, ACTIVATIONS)
        for name, check in (
            ("w_std", positive),
            ("b_std", non_negative),
            ("readout_w_std", positive),
            ("readout_b_std", non_negative),
        ):
            object.__setattr__(self, name, check(name, getattr(self, name)))

    def curve(self, cosine: Array) -> Array:
        r"""Return the kernel of two inputs of norm $\sqrt d$ at the `cosine` between them, in [-1, 1]."""
        xp, cosine = cosines(cosine)
        q = xp.reshape(0.5 - 0.5 * cosine, (-1,))
        layers, length = self._layers(xp, xp.ones_like(q), 1)
        K = self._recursion(xp, q, q * 0, [(layer, layer) for layer in layers], (length, length))
        return xp.reshape(self._readout(K), cosine.shape)

    def _diagonal(self, xp: Namespace, X: Array) -> Array:
        norm = xp.sqrt(sum_of_squares(xp, X))
        layers, length = self._layers(xp, norm, X.shape[1])
        K = self._recursion(xp, norm * 0, norm * 0, [(layer, layer) for layer in layers], (length, length))
        return self._readout(K)

    def _tile_function(self, xp: Namespace, X: Array, Z: Array) -> tiles.TileFunction:
        angles = Angles(xp, X, Z)
        x_layers, x_length = self._layers(xp, angles.x_norm, X.shape[1])
        z_layers, z_length = (x_layers, x_length) if Z is X else self._layers(xp, angles.z_norm, X.shape[1])

        def tile(rows: slice, columns: slice) -> Array:
            q, r = angles(rows, columns, norm_differences=self.b_std > 0)
            as_rows, as_columns = (rows, None), (None, columns)
            layers = [(x.at(as_rows), z.at(as_columns)) for x, z in zip(x_layers, z_layers, strict=True)]
            return self._readout(self._recursion(xp, q, r, layers, (x_length[as_rows], z_length[as_columns])))

        return tile

    def _layers(self, xp: Namespace, norm: Array, d: int) -> tuple[list[relu_recursion.AffineLayer], Array]:
        return relu_recursion.affine_layers(xp, norm, d, self.depth, self.w_std**2, self.b_std**2)

    def _readout(self, K: Array) -> Array:
        K *= self.readout_w_std**2
        K += self.readout_b_std**2
        return K

    @abstractmethod
    def _recursion(
        self,
        xp: Namespace,
        q: Array,
        r: Array | None,
        layers: list[tuple[relu_recursion.AffineLayer, relu_recursion.AffineLayer]],
        lengths: tuple[Array, Array],
    ) -> Array:
        """Return the kernel of the last hidden layer, before the readout's variances."""


@dataclass(frozen=True)
class NNGP(NetworkKernel):
    r"""The kernel of an infinitely wide network of which only the readout is trained.

    $K^1 = \sigma_w^2 x \cdot x'/d + \sigma_b^2$, $K^{l+1} = \sigma_w^2 E[\phi(u)\phi(v)] + \sigma_b^2$ with
    (u, v) Gaussian of covariance $K^l$; the readout, the last of these steps, has variances of its own.

    Args:
        depth: number of hidden layers (of activations), at least 1.
        activation: "relu".
        w_std: $\sigma_w > 0$ of the hidden layers; $\sqrt 2$ keeps a ReLU network's variance from layer to
            layer.
        b_std: $\sigma_b \ge 0$ of the hidden layers.
        readout_w_std: $\sigma_w > 0$ of the readout. Beware a factor of 2: neural-tangents' examples use the
            value of the hidden layers, the paper on reverse-engineering kernels uses 1.
        readout_b_std: $\sigma_b \ge 0$ of the readout.

    Source: Lee et al., Deep neural networks as Gaussian processes, 2018.

    >>> NNGP(1).curve([1.0, 0.0]).round(4)
    array([1.    , 0.3183])
    """

    def features(self, n_features: int, random_state: Any = None) -> FeatureMap:
        """Return the last hidden layer of a random network as features, see `NetworkFeatures`."""
        return NetworkFeatures(n_features, random_state, self)

    def _recursion(self, xp: Namespace, q: Array, r: Array | None, layers: Any, lengths: Any) -> Array:
        return relu_recursion.nngp(xp, q, r, layers, lengths)


@dataclass(frozen=True)
class NTK(NetworkKernel):
    r"""The neural tangent kernel: that of an infinitely wide network, all of which is trained by gradient
    descent.

    $\Theta^1 = K^1$, $\Theta^{l+1} = K^{l+1} + \sigma_w^2 \Theta^l E[\phi'(u)\phi'(v)]$ with K the NNGP
    kernels, in the NTK parametrization: weights are N(0, 1) and each layer multiplies by
    $\sigma_w / \sqrt{\text{fan in}}$.

    Args:
        depth: number of hidden layers (of activations), at least 1.
        activation: "relu".
        w_std: $\sigma_w > 0$ of the hidden layers; $\sqrt 2$ keeps a ReLU network's variance from layer to
            layer.
        b_std: $\sigma_b \ge 0$ of the hidden layers.
        readout_w_std: $\sigma_w > 0$ of the readout. Beware a factor of 2: neural-tangents' examples use the
            value of the hidden layers, the paper on reverse-engineering kernels uses 1.
        readout_b_std: $\sigma_b \ge 0$ of the readout.

    Source: Jacot, Gabriel and Hongler, Neural tangent kernel, 2018.

    >>> NTK(3, readout_w_std=2**0.5).curve([1.0, 0.0]).round(4)
    array([8.    , 2.1208])
    """

    def _recursion(self, xp: Namespace, q: Array, r: Array | None, layers: Any, lengths: Any) -> Array:
        return relu_recursion.ntk(xp, q, r, layers, lengths)
