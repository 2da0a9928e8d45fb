r"""Infinitely wide fully-connected networks: the NNGP kernel (only the readout trains) and the NTK (all layers do)."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.angular import AngularKernel
from solvable.kernels.base import DrawnFeatures, FeatureMap
from solvable.kernels.duals import ABReLU, Activation
from solvable.kernels.inputs import Array, Namespace
from solvable.kernels.networks.angle_recursion import AngleRecursion
from solvable.kernels.networks.architecture import (
    Affine,
    affine_maps,
    bias_std,
    checked_activations,
    checked_stds,
    checked_widths,
    per_layer,
)
from solvable.kernels.networks.covariance_recursion import CovarianceRecursion

ActivationLike = str | Activation | Callable[[Array], Array]


@dataclass(frozen=True)
class NetworkKernel(AngularKernel):
    """A kernel of an infinitely wide network of `depth` hidden layers."""

    depth: int
    # Kernels compare by _activations, since "relu" and ABReLU() are the same network.
    activation: ActivationLike | Sequence[ActivationLike] = field(default="relu", compare=False)
    w_std: float | Sequence[float] = 2**0.5
    b_std: float | Sequence[float | None] | None = 0.0
    readout_w_std: float = 1.0
    readout_b_std: float | None = 0.0
    _activations: tuple[Activation, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        depth = whole("depth", self.depth, at_least=1, at_most=10_000)
        activation, activations = checked_activations(self.activation, depth)
        for name, value in (
            ("depth", depth),
            ("activation", activation),
            ("_activations", activations),
            ("w_std", checked_stds("w_std", self.w_std, depth)),
            ("b_std", checked_stds("b_std", self.b_std, depth)),
            ("readout_w_std", one_number("readout_w_std", self.readout_w_std, above=0)),
            ("readout_b_std", bias_std("readout_b_std", self.readout_b_std)),
        ):
            object.__setattr__(self, name, value)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activation of each hidden layer."""
        return self._activations

    def curve(self, cosine: Array) -> Array:
        r"""Return the kernel of two inputs of norm $\sqrt d$ at the `cosine` between them, in [-1, 1], of any shape.

        >>> NTK(3, readout_w_std=2**0.5).curve([1.0, 0.0]).round(4)
        array([8.    , 2.1208])
        """
        return super().curve(cosine)

    def _of_cosine(self, xp: Namespace, cosine: Array) -> Array:
        recursion = self._recursion(1)
        if isinstance(recursion, AngleRecursion) and not np.iscomplexobj(cosine):
            return recursion.at_angles(xp, 0.5 - 0.5 * cosine, xp.ones_like(cosine))
        return self._covariances(1).at_cosines(xp, cosine)

    def _diagonal(self, xp: Namespace, X: Array) -> Array:
        return self._recursion(X.shape[1]).diagonal(xp, X)

    def _tile_function(self, xp: Namespace, X: Array, Z: Array) -> tiles.TileFunction:
        return self._recursion(X.shape[1]).tile_function(xp, X, Z)

    def _recursion(self, d: int) -> AngleRecursion | CovarianceRecursion:
        rectifiers = [activation for activation in self.activations if isinstance(activation, ABReLU)]
        if len(rectifiers) == self.depth:
            return AngleRecursion(self.affine_maps(d), rectifiers, d, self._tangent)
        return self._covariances(d)

    def _covariances(self, d: int) -> CovarianceRecursion:
        return CovarianceRecursion(self.affine_maps(d), self.activations, d, self._tangent)

    @property
    def _tangent(self) -> bool:
        return False

    def affine_maps(self, d: int) -> list[Affine]:
        """Return the affine maps for inputs of d coordinates, the readout last."""
        return self._affine_maps("ntk", [d] * (self.depth + 1))

    def _affine_maps(self, parametrization: str, fan_ins: Sequence[int]) -> list[Affine]:
        w_stds = [*per_layer("w_std", self.w_std, self.depth), self.readout_w_std]
        b_stds = [*per_layer("b_std", self.b_std, self.depth), self.readout_b_std]
        return affine_maps(w_stds, b_stds, parametrization, fan_ins)


@dataclass(frozen=True)
class NNGP(NetworkKernel):
    r"""The kernel of an infinitely wide network with only the readout trained.

    $K^1 = \sigma_w^2 x \cdot x'/d + \sigma_b^2$, $K^{l+1} = \sigma_w^2 E[\phi(u)\phi(v)] + \sigma_b^2$ with
    (u, v) Gaussian of covariance $K^l$; the readout, the last of these steps, has separate variances.

    Args:
        depth: number of hidden layers (of activations), at least 1.
        activation: a name such as "relu", "erf", "gelu", "tanh" (`solvable.kernels.ACTIVATION_NAMES` lists them), an
            activation of `solvable.kernels.duals`, any function of arrays, or a `torch.nn` activation; or one for
            each hidden layer.
        w_std: $\sigma_w > 0$ of the hidden layers, one number or one for each; $\sqrt 2$ preserves the variance of a
            ReLU network from layer to layer.
        b_std: $\sigma_b \ge 0$ of the hidden layers, likewise; None is a layer without bias.
        readout_w_std: $\sigma_w > 0$ of the readout. Beware of a factor of 2: neural-tangents' examples use the value
            of the hidden layers, the paper on reverse-engineering kernels uses 1.
        readout_b_std: $\sigma_b \ge 0$ of the readout.

    Raises:
        InputError: for numbers out of range, an unknown activation, or sequences of another length than `depth`.

    Source: Lee et al., Deep neural networks as Gaussian processes, 2018.

    >>> NNGP(1).curve([1.0, 0.0]).round(4)
    array([1.    , 0.3183])
    >>> NNGP(2, "erf", w_std=1.5)([[1.0, 0.0], [0.0, 2.0]]).round(4)
    array([[0.4818, 0.    ],
           [0.    , 0.5519]])
    """

    def _features(self, n_features: int, random_state: Any) -> FeatureMap:
        return NetworkFeatures(n_features, random_state, self)


@dataclass(frozen=True)
class NTK(NetworkKernel):
    r"""The neural tangent kernel: that of an infinitely wide network trained by gradient descent on all weights.

    $\Theta^1 = K^1$, $\Theta^{l+1} = K^{l+1} + \sigma_w^2 \Theta^l E[\phi'(u)\phi'(v)]$ with K the NNGP kernels, in
    the NTK parametrization: weights are N(0, 1) and each layer multiplies by $\sigma_w / \sqrt{\text{fan in}}$. In the
    standard one, used by `torch.nn.Linear`, weights are $N(0, \sigma_w^2/\text{fan in})$ and the gradients are with
    respect to them: each layer adds $\text{fan in} \cdot E[\phi\phi] + 1$ in place of $K^{l+1}$ (no 1 without a bias),
    and the kernel grows with the widths.

    Args:
        depth: number of hidden layers (of activations), at least 1.
        activation: a name such as "relu", "erf", "gelu", "tanh" (`solvable.kernels.ACTIVATION_NAMES` lists them), an
            activation of `solvable.kernels.duals`, any function of arrays, or a `torch.nn` activation; or one for
            each hidden layer.
        w_std: $\sigma_w > 0$ of the hidden layers, one number or one for each; $\sqrt 2$ preserves the variance of a
            ReLU network from layer to layer.
        b_std: $\sigma_b \ge 0$ of the hidden layers, likewise; None is a layer without bias.
        readout_w_std: $\sigma_w > 0$ of the readout. Beware of a factor of 2: neural-tangents' examples use the value
            of the hidden layers, the paper on reverse-engineering kernels uses 1.
        readout_b_std: $\sigma_b \ge 0$ of the readout.
        parametrization: "ntk" or "standard". Do not use the learning rates of one with the kernel of the other.
        widths: of the hidden layers, one number or one for each; only for the standard parametrization.

    Raises:
        InputError: for numbers out of range, an unknown activation or one with jumps (its derivative has no second
            moment), sequences of another length than `depth`.

    Source: Jacot, Gabriel and Hongler, Neural tangent kernel, 2018; the standard parametrization: Sohl-Dickstein et
    al., On the infinite width limit of neural networks with a standard parameterization, 2020.

    >>> NTK(3, readout_w_std=2**0.5).curve([1.0, 0.0]).round(4)
    array([8.    , 2.1208])
    >>> NTK(1, parametrization="standard", widths=512)([[1.0, 0.0], [0.0, 1.0]]).round(1)
    array([[258. ,  82.7],
           [ 82.7, 258. ]])
    """

    parametrization: str = "ntk"
    widths: int | Sequence[int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for activation in self.activations:
            activation.check_derivative()
        object.__setattr__(self, "widths", checked_widths(self.parametrization, self.widths, self.depth))

    @property
    def _tangent(self) -> bool:
        return True

    def _of_cosine(self, xp: Namespace, cosine: Array) -> Array:
        if self.parametrization == "standard":
            raise InputError(
                "the kernel of the standard parametrization is no function of the cosine alone: its first layer adds "
                "x . x', which grows with d; expected parametrization='ntk'; pass it, or call the kernel on points"
            )
        return super()._of_cosine(xp, cosine)

    def _features(self, n_features: int, random_state: Any) -> FeatureMap:
        return TangentFeatures(n_features, random_state, self)

    def affine_maps(self, d: int) -> list[Affine]:
        widths = self.widths if isinstance(self.widths, tuple) else (d,) * self.depth
        return self._affine_maps(self.parametrization, [d, *widths])


_NARROWEST_LOWER_LAYER = 1024


class RandomNetFeatures(DrawnFeatures):
    """Features of a random net with k units in the last hidden layer and max(k, 1024) in those below.

    The estimate is unbiased for one hidden layer; for more, the finite width of the lower ones leaves a bias of order
    1/width.
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

    z are the pre-activations of the last hidden layer. The independent fair signs $\epsilon_j = \pm 1$ add the
    readout's bias variance to the mean of $\phi(x) \cdot \phi(x')$ and keep the columns identically distributed.
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
    direction (V, v) of all weights below, so that the covariance of t is the tangent kernel of the layers below. One
    forward pass computes both, $t^{l+1} = W^{l+1}(\phi'(z^l) t^l) + V^{l+1}\phi(z^l) + v^{l+1}$, at the cost of two
    nets and without a Jacobian; the columns are identically distributed.
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
        tangent: Array = None
        for number, activation in enumerate(self.kernel.activations):
            W, b, V, v = weights[4 * number : 4 * number + 4]
            affine = maps[number]
            z = h @ W + b
            t = (h @ V) * affine.w_rate**0.5 + v * affine.b_rate**0.5
            if tangent is not None:
                t += tangent @ W
            h = activation(z)
            tangent = activation.derivative(z) * t
        h = h * maps[-1].w_rate ** 0.5
        h += tangent * self.kernel.readout_w_std
        h += weights[-1]
        h *= self.n_features**-0.5
        return h
