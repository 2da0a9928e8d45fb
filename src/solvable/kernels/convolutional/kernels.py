r"""Infinitely wide convolutional networks: the NNGP kernel (only the readout trains) and the NTK (all layers do)."""

from dataclasses import KW_ONLY, dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from solvable.checks import choice, one_number, whole
from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.base import DrawnFeatures, FeatureMap, Kernel, in_range, rounded
from solvable.kernels.convolutional import matrix
from solvable.kernels.convolutional.boxes import offsets, output_size, segments
from solvable.kernels.convolutional.cost import Cost
from solvable.kernels.convolutional.layers import Layer, Stack
from solvable.kernels.duals import Activation
from solvable.kernels.inputs import Array, Namespace, image_pair, images, is_half
from solvable.kernels.networks.architecture import (
    Affine,
    affine_maps,
    bias_std,
    checked_activations,
    checked_stds,
    checked_widths,
    per_layer,
)
from solvable.machine import need_memory
from solvable.progress import on_a_terminal

# Number of seconds from which a computation shows its progress.
_WORTH_A_BAR = 2.0


@dataclass(frozen=True)
class ConvKernel(Kernel):
    """A kernel of an infinitely wide network of `depth` convolutions, see `ConvNTK` for its arguments."""

    depth: int
    activation: Any = field(default="relu", compare=False)
    w_std: float | tuple[float, ...] = 2**0.5
    b_std: float | tuple[float | None, ...] | None = 0.0
    readout_w_std: float = 1.0
    readout_b_std: float | None = 0.0
    _: KW_ONLY
    filter_size: int = 3
    padding: Literal["SAME", "VALID", "CIRCULAR"] = "SAME"
    readout: Literal["flatten", "global_average"] = "flatten"
    pool_after: tuple[int, ...] = ()
    pool_size: int = 2
    _activations: tuple[Activation, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        depth = whole("depth", self.depth, at_least=1, at_most=10_000)
        activation, activations = checked_activations(self.activation, depth)
        put(self, "depth", depth)
        put(self, "activation", activation)
        put(self, "_activations", activations)
        put(self, "w_std", checked_stds("w_std", self.w_std, depth))
        put(self, "b_std", checked_stds("b_std", self.b_std, depth))
        put(self, "readout_w_std", one_number("readout_w_std", self.readout_w_std, above=0))
        put(self, "readout_b_std", bias_std("readout_b_std", self.readout_b_std))
        put(self, "filter_size", whole("filter_size", self.filter_size, at_least=1))
        put(self, "padding", choice("padding", str(self.padding).upper(), ("SAME", "VALID", "CIRCULAR")))
        put(self, "readout", choice("readout", self.readout, ("flatten", "global_average")))
        put(self, "pool_size", whole("pool_size", self.pool_size, at_least=1))
        many = isinstance(self.pool_after, (tuple, list, set, frozenset))
        pool_after = self.pool_after if many else (self.pool_after,)
        layers = tuple(sorted({whole("pool_after", layer, at_least=1) for layer in pool_after}))
        if layers and layers[-1] > self.depth:
            raise InputError(
                f"pool_after names layer {layers[-1]} of a network of depth {self.depth}; expected layers 1 to "
                f"{self.depth}; omit it or increase depth"
            )
        put(self, "pool_after", layers)

    def __call__(
        self, X: Array, Z: Array | None = None, out: Array | None = None, progress: bool | None = None
    ) -> Array:
        """Return the kernel matrix of images `X` and `Z`, or of `X` with itself if `Z` is omitted.

        Args:
            X: images, (n, height, width, channels), NumPy or torch.
            Z: images of the same shape, (m, height, width, channels).
            out: array for the result, (n, m), of the images' dtype, such as a memory map.
            progress: whether to show a progress bar on standard error; None: if the computation takes more than about
                2 seconds and standard error is a terminal.

        Returns:
            (n, m), float64, or float32 for float32 images; for tensors a tensor on their device.

        Raises:
            InputError: if an array is not (images, height, width, channels), is not finite, the two do not match,
                the images are smaller than the filters, or more memory is needed than is free.
        """
        if is_half(X):
            return rounded(self, X, Z, out, progress=progress)
        xp, X, Z = _checked(X, Z)
        stack = self._stack(X)
        seconds_matter = progress is None and on_a_terminal()
        cost = matrix.cost(xp, stack, X, Z, allocate=out is None, probe=bool(progress) or seconds_matter)
        name = type(self).__name__
        n, m = X.shape[0], X.shape[0] if Z is None else Z.shape[0]
        need_memory(
            cost.memory, f"{name} of {n} x {m} images", "use fewer images, or pass a memory map as out="
        )
        K = tiles.result(xp, X, (n, m), out)
        show = cost.seconds > _WORTH_A_BAR if progress is None else progress
        for rows, columns, sums in matrix.tiles(xp, stack, X, Z, f"{name}: {cost}", show):
            tile = self._readout(stack, X, sums)
            K[rows, columns] = tile
            if Z is None and rows != columns:
                K[columns, rows] = xp.permute_dims(tile, (1, 0))
        return in_range(self, K)

    def diag(self, X: Array) -> Array:
        """Return $K(x_i, x_i)$, (n,), for images (n, height, width, channels), in O(n) tiles."""
        if is_half(X):
            return in_range(self, self.diag(X.float()).to(X.dtype))
        xp, X = images("X", X)
        stack = self._stack(X)
        K = xp.empty((X.shape[0],), dtype=X.dtype, device=X.device)
        for rows, sums in matrix.diagonal(xp, stack, X):
            K[rows] = self._readout(stack, X, sums)[:, 0]
        return in_range(self, K)

    def cost(self, X: Array, Z: Array | None = None) -> Cost:
        """Return the cost of the kernel matrix of these images: operations, bytes, estimated seconds.

        >>> import numpy as np
        >>> cost = ConvNTK(3, readout="global_average").cost(np.ones((1000, 32, 32, 3)))
        >>> print(f"{cost.flops:.0e}")
        1e+14
        """
        xp, X, Z = _checked(X, Z)
        return matrix.cost(xp, self._stack(X), X, Z, allocate=True, probe=True)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activation of each layer."""
        return self._activations

    def affine_maps(self, height: int, width: int, channels: int) -> list[Affine]:
        """Return the affine maps for images of this shape: those of the convolutions and of the readout."""
        q2, (rows, columns) = self.filter_size**2, self.positions(height, width)
        below = [channels, *self._channels[:-1]]
        read = self._channels[-1] * (1 if self.readout == "global_average" else rows * columns)
        return affine_maps(
            [*per_layer("w_std", self.w_std, self.depth), self.readout_w_std],
            [*per_layer("b_std", self.b_std, self.depth), self.readout_b_std],
            self._parametrization,
            [*(q2 * fan_in for fan_in in below), read],
        )

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """Return the numbers of rows and columns at the readout for images of this size."""
        sizes = [height, width]
        for layer in range(1, self.depth + 1):
            pool = self.pool_size if layer in self.pool_after else 1
            sizes = [output_size(size, self.filter_size, self.padding) // pool for size in sizes]
        return sizes[0], sizes[1]

    def _features(self, n_features: int, random_state: Any) -> FeatureMap:
        return ConvFeatures(n_features, random_state, self)

    @property
    def tangent(self) -> bool:
        """Whether the kernel is the NTK."""
        return False

    def _stack(self, X: Array) -> Stack:
        """Return the layers for images of this shape."""
        q2 = self.filter_size**2
        maps = self.affine_maps(*X.shape[1:])
        layers = []
        for i, affine in enumerate(maps[:-1]):
            scale = affine.w_rate / affine.w_variance
            layers.append(
                Layer(
                    activation=self.activations[i],
                    gain=affine.w_variance / q2,
                    bias=affine.b_variance,
                    own_scale=scale,
                    own_shift=affine.b_rate - scale * affine.b_variance,
                    next_gain=maps[i + 1].w_variance / q2 if i + 1 < self.depth else 1.0,
                    pool=self.pool_size if i + 1 in self.pool_after else 1,
                )
            )
        stack = Stack(
            tuple(layers), self.filter_size, self.padding, self.readout == "global_average", self.tangent
        )
        for name, axis in (("height", 1), ("width", 2)):
            size = X.shape[axis]
            for i, (convolved, after) in enumerate(stack.sizes(size), start=1):
                if convolved < 1:
                    raise InputError(
                        f"images have {name} {X.shape[axis]}, of which {size} pixels remain before layer {i}, whose "
                        f"filter needs {self.filter_size}; expected larger images; use padding='SAME' or fewer layers"
                    )
                if after < 1:
                    raise InputError(
                        f"images have {name} {X.shape[axis]}, of which {convolved} pixels remain after layer {i}, "
                        f"fewer than its pooling window of {self.pool_size}; expected larger images; pool less often"
                    )
                size = after
        return stack

    def _readout(self, stack: Stack, X: Array, sums: Array) -> Array:
        """Return the kernel from sums over positions of the NNGP kernel, (1, I, J), or of it and the NTK, (2, I, J)."""
        rows, columns = self.positions(X.shape[1], X.shape[2])
        P, last = rows * columns, self.affine_maps(*X.shape[1:])[-1]
        means = sums / (P * P if stack.global_average else P)
        if not self.tangent:
            return means[0] * last.w_variance + last.b_variance
        return means[1] * last.w_variance + means[0] * last.w_rate + last.b_rate

    @property
    def _parametrization(self) -> str:
        return "ntk"

    @property
    def _channels(self) -> tuple[int, ...]:
        return (1,) * self.depth


@dataclass(frozen=True)
class ConvNNGP(ConvKernel):
    r"""The kernel of an infinitely wide convolutional network with only the readout trained.

    $K^0[p, p'] = x_p \cdot x'_{p'} / C$; each of `depth` layers takes
    $K \to \frac{\sigma_w^2}{q^2} \sum_\delta K[p+\delta, p'+\delta] + \sigma_b^2$ and then $K \to E[\phi(u)\phi(v)]$
    with (u, v) Gaussian of covariance K; the readout is $\sigma_w^2$ times the mean of K over p = p' (flatten)
    or over all pairs of pixels (global average), $+\, \sigma_b^2$. The arguments are those of `ConvNTK`.

    Source: Novak et al., Bayesian deep convolutional networks with many channels are Gaussian processes, 2019.

    >>> import numpy as np
    >>> images = np.ones((2, 4, 4, 1)) * np.array([1.0, 2.0])[:, None, None, None]
    >>> ConvNNGP(2, padding="CIRCULAR")(images)
    array([[1., 2.],
           [2., 4.]])
    """


@dataclass(frozen=True)
class ConvNTK(ConvKernel):
    r"""The neural tangent kernel of an infinitely wide convolutional network with all layers trained.

    With K the kernels of `ConvNNGP` before each activation, $\Theta^0 = 0$ and $E'$ short for $E[\phi'(u)\phi'(v)]$:
    a convolution takes $\Theta \to \frac{\sigma_w^2}{q^2} \sum_\delta \Theta[p+\delta, p'+\delta] + K$, an activation
    $\Theta \to \Theta E'$, average pooling its mean over the windows of both positions, and the readout
    $\Theta \to \sigma_w^2\, \text{mean}\, \Theta + K$.

    In the standard parametrization (torch's layers, with weights $N(0, \sigma_w^2/\text{fan in})$ and gradients with
    respect to them) a layer's own term is $\text{fan in} \cdot \text{mean}_\delta E[\phi\phi][p+\delta, p'+\delta] + 1$
    instead of K, without the 1 if it has no bias; the fan in is $q^2$ times the channels below, in the readout the
    width (global average) or the width times the number of positions (flatten).

    Cost: time $O(n m P L)$ for flatten, P pixels and L layers, and $O(n m P^2 L)$ for a global average and for layers
    up to the last one with pooling; memory of the result and a few tiles.

    Rectifiers ("relu", "leaky relu", "abs", `ABReLU`) keep full precision for identical and nearly identical patches.
    With average pooling, the angle between patches of nearly identical images has an error of 1e-8.

    Args:
        depth: number of convolutions, each followed by the activation; a readout follows them.
        activation: a name, a function or an `Activation`; one for all layers or one per layer.
        w_std: $\sigma_w > 0$ of the convolutions, one number or one per layer.
        b_std: $\sigma_b \ge 0$ of the convolutions, likewise; None: without bias, which differs from 0 only in the
            standard parametrization.
        readout_w_std: $\sigma_w > 0$ of the readout. neural-tangents' examples use the value of the hidden layers.
        readout_b_std: $\sigma_b \ge 0$ of the readout, or None.
        filter_size: q, the side of the filters.
        padding: "SAME" (zeros; the divisor stays $q^2$), "VALID" (the image shrinks by q - 1) or "CIRCULAR".
        readout: "flatten" (a weight for each position) or "global_average".
        pool_after: the layers, counted from 1, with average pooling after their activation.
        pool_size: the side and stride of the pooling windows; rows and columns of incomplete windows are dropped.
        parametrization: "ntk" or "standard".
        widths: channels of the convolutions, one number or one per layer; only for the standard parametrization.

    Raises:
        InputError: for numbers outside their range, or an activation whose NTK does not exist.

    Source: Arora et al., On exact computation with an infinitely wide neural net, arXiv:1904.11955, and Novak et al.,
    Neural tangents, arXiv:1912.02803.

    >>> import numpy as np
    >>> images = np.ones((2, 4, 4, 1)) * np.array([1.0, 2.0])[:, None, None, None]
    >>> ConvNTK(2, padding="CIRCULAR", readout="global_average")(images).round(4)
    array([[ 3.,  6.],
           [ 6., 12.]])
    """

    _: KW_ONLY
    parametrization: Literal["ntk", "standard"] = "ntk"
    widths: int | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for activation in self.activations:
            activation.check_derivative()
        object.__setattr__(self, "widths", checked_widths(self.parametrization, self.widths, self.depth))

    @property
    def tangent(self) -> bool:
        return True

    @property
    def _parametrization(self) -> str:
        return self.parametrization

    @property
    def _channels(self) -> tuple[int, ...]:
        return self.widths if isinstance(self.widths, tuple) else super()._channels


def _checked(X: Array, Z: Array | None) -> tuple[Namespace, Array, Array | None]:
    if Z is None or Z is X:
        return *images("X", X), None
    return image_pair(X, Z)


# A convolution from this many channels to as many takes 65536 products per pixel of the filter.
_NARROWEST_LOWER_LAYER = 256


class ConvFeatures(DrawnFeatures):
    r"""$\phi_j(x) = [\sqrt{r_w} A_j(\phi(z_j)) + \sigma_w' A_j(\phi'(z_j)\,t_j) + \sqrt{r_b}\,\epsilon_j]/\sqrt k$.

    In a random convolutional net, $z_j$ is channel j of the last layer's pre-activations. $A_j$ is the mean over
    positions (global average) or the sum with fair random signs over the root of their number (flatten). $t_j$ is the
    derivative along a random direction of all weights below; the NNGP kernel has no such term, and its $r_w$ and $r_b$
    are the readout's variances. The layers below have max(k, 256) channels, whose finite number leaves a bias of order
    1/channels in kernels of more than one layer.
    """

    kernel: "ConvKernel"

    def _checked(self, X: Array) -> tuple[Namespace, Array]:
        return images("X", X)

    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        height, width, channels = shape
        kernel, k = self.kernel, self.n_features
        q2 = kernel.filter_size**2
        widths = [channels, *[max(k, _NARROWEST_LOWER_LAYER)] * (kernel.depth - 1), k]
        weights = []
        for fan_in, fan_out in pairwise(widths):
            for _ in range(2 if kernel.tangent else 1):
                weights.append(generator.standard_normal((q2, fan_in, fan_out)) / np.sqrt(q2 * fan_in))
                weights.append(generator.standard_normal(fan_out))
        rows, columns = kernel.positions(height, width)
        weights.append(generator.choice([-1.0, 1.0], (rows, columns, k)) / np.sqrt(rows * columns))
        weights.append(generator.choice([-1.0, 1.0], k))
        return weights

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        kernel = self.kernel
        maps = kernel.affine_maps(*X.shape[1:])
        h: Array = X
        tangent: Array = None
        per_layer = 4 if kernel.tangent else 2
        for number, activation in enumerate(kernel.activations):
            affine = maps[number]
            draws = weights[per_layer * number : per_layer * (number + 1)]
            W, b = draws[0] * affine.w_variance**0.5, draws[1] * affine.b_variance**0.5
            z = self._convolve(xp, h, W) + b
            if kernel.tangent:
                t = self._convolve(xp, h, draws[2] * affine.w_rate**0.5) + draws[3] * affine.b_rate**0.5
                if tangent is not None:
                    t += self._convolve(xp, tangent, W)
                tangent = self._pool(xp, activation.derivative(z) * t, number)
            h = self._pool(xp, activation(z), number)
        signs, bias = weights[-2:]
        last = maps[-1]
        features = self._read(xp, h, signs) * last.w_rate**0.5 + bias * last.b_rate**0.5
        if tangent is not None:
            features += self._read(xp, tangent, signs) * last.w_variance**0.5
        features *= self.n_features**-0.5
        return features

    def _convolve(self, xp: Namespace, h: Array, W: Array) -> Array:
        q, padding = self.kernel.filter_size, self.kernel.padding
        n, height, width, _ = h.shape
        size = output_size(height, q, padding), output_size(width, q, padding)
        out = xp.zeros((n, *size, W.shape[-1]), dtype=h.dtype, device=h.device)
        if padding == "VALID":
            for number in range(q * q):
                i, j = divmod(number, q)
                out += h[:, i : i + size[0], j : j + size[1]] @ W[number]
            return out
        for number in range(q * q):
            i, j = (offsets(q)[index] for index in divmod(number, q))
            for to_row, from_row in segments(height, i, padding):
                for to_column, from_column in segments(width, j, padding):
                    out[:, to_row, to_column] += h[:, from_row, from_column] @ W[number]
        return out

    def _pool(self, xp: Namespace, h: Array, number: int) -> Array:
        if number + 1 not in self.kernel.pool_after:
            return h
        size = self.kernel.pool_size
        n, height, width, channels = h.shape
        rows, columns = height // size, width // size
        windows = h[:, : rows * size, : columns * size]
        return xp.mean(xp.reshape(windows, (n, rows, size, columns, size, channels)), axis=(2, 4))

    def _read(self, xp: Namespace, h: Array, signs: Array) -> Array:
        if self.kernel.readout == "global_average":
            return xp.mean(h, axis=(1, 2))
        return xp.sum(h * signs, axis=(1, 2))
