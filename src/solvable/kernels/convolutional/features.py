r"""Random features of convolutional kernels: a random net's last layer, and how it moves when its weights do."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from solvable.kernels.convolutional.boxes import offsets, output_size, segments
from solvable.kernels.convolutional.images import images
from solvable.kernels.features import DrawnFeatures
from solvable.kernels.inputs import Array, Namespace

if TYPE_CHECKING:
    from solvable.kernels.convolutional.kernels import ConvKernel

# A convolution of so many channels to as many costs a hundred thousand products a filter's pixel.
_NARROWEST_LOWER_LAYER = 256


class ConvFeatures(DrawnFeatures):
    r"""$\phi_j(x) = [\sqrt{r_w} A_j(\phi(z_j)) + \sigma_w' A_j(\phi'(z_j)\,t_j) + \sqrt{r_b}\,\epsilon_j]/\sqrt k$.

    In a random convolutional net, $z_j$ is channel j of the last layer's pre-activations. $A_j$ is the mean over
    positions (global average) or a sum of fair random signs over the root of their number (flatten). $t_j$ is the
    derivative along a random direction of all weights below, which the NTK needs and the NNGP kernel leaves out; its
    $r_w$ and $r_b$ are the readout's variances. The layers below have max(k, 256) channels, whose finite number
    leaves a bias of order 1/channels in kernels of more than one layer.
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
        moved: Array = None
        for number, activation in enumerate(kernel.activations):
            one = maps[number]
            drawn = (
                weights[4 * number : 4 * number + 4]
                if kernel.tangent
                else weights[2 * number : 2 * number + 2]
            )
            W, b = drawn[0] * one.w_variance**0.5, drawn[1] * one.b_variance**0.5
            z = self._convolve(xp, h, W) + b
            if kernel.tangent:
                t = self._convolve(xp, h, drawn[2] * one.w_rate**0.5) + drawn[3] * one.b_rate**0.5
                if moved is not None:
                    t += self._convolve(xp, moved, W)
                moved = self._pool(xp, activation.derivative(z) * t, number)
            h = self._pool(xp, activation(z), number)
        signs, bias = weights[-2:]
        last = maps[-1]
        features = self._read(xp, h, signs) * last.w_rate**0.5 + bias * last.b_rate**0.5
        if moved is not None:
            features += self._read(xp, moved, signs) * last.w_variance**0.5
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
