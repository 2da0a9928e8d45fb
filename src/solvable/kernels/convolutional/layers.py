"""The network as the recursions use it, and the pairs of pixels in a tile."""

from dataclasses import dataclass
from typing import Literal

from solvable.kernels.convolutional.boxes import output_size, shifted_sum
from solvable.kernels.duals.base import Activation
from solvable.kernels.duals.closed_forms import ABReLU
from solvable.kernels.inputs import Array, Namespace


@dataclass(frozen=True)
class Layer:
    r"""A convolution, its activation, and pooling.

    The layer's own term in the NTK is `own_scale` times its kernel + `own_shift`.
    """

    activation: Activation
    gain: float  # sigma_w^2 / q^2, the factor of a box sum
    bias: float  # sigma_b^2
    own_scale: float
    own_shift: float
    next_gain: float  # the gain of the next convolution, 1 before the readout
    pool: int  # the side of the pooling window, 1 for none


@dataclass(frozen=True)
class Stack:
    """The layers before the readout, and their common settings."""

    layers: tuple[Layer, ...]
    filter_size: int
    padding: str
    global_average: bool
    derivative: bool

    @property
    def last_pool(self) -> int:
        """The index of the last layer that pools, or -1."""
        return max((i for i, layer in enumerate(self.layers) if layer.pool > 1), default=-1)

    @property
    def by_distance(self) -> bool:
        """Whether the recursion uses distances instead of covariances."""
        return all(isinstance(layer.activation, ABReLU) for layer in self.layers)

    def sizes(self, size: int) -> list[tuple[int, int]]:
        """Return the numbers of positions along an axis of `size` pixels after each convolution and its pooling."""
        sizes = []
        for layer in self.layers:
            convolved = output_size(size, self.filter_size, self.padding)
            size = convolved // layer.pool
            sizes.append((convolved, size))
        return sizes

    def pixel_pairs(self, height: int, width: int) -> list[float]:
        """Return the number of pairs of pixels in each layer for a pair of images."""
        rows, columns = self.sizes(height), self.sizes(width)
        pairs = []
        for index in range(len(self.layers)):
            P = float(rows[index][0] * columns[index][0])
            pairs.append(P * P if self.global_average or index <= self.last_pool else P)
        return pairs

    def box(self, xp: Namespace, numbers: Array) -> Array:
        """Return the box sum of numbers of single pixels, (W, H, I)."""
        numbers = shifted_sum(xp, numbers, (0,), self.filter_size, self.padding)
        return shifted_sum(xp, numbers, (1,), self.filter_size, self.padding)


@dataclass(frozen=True)
class Pairing:
    r"""The pairs of pixels in a tile (W, W', H, H', I, J), and the broadcasting of numbers of pixels (W, H, I) to it.

    Args:
        positions: "equal" (p' = p), "all", or "displaced": all columns, and rows h' = h + `displacement`. A
            convolution shifts both pixels alike, so pairs of different displacement never mix; a tile of one
            displacement fits the cache.
        circular: whether rows wrap around.
        each_itself: whether image i is paired only with image i, J = 1.
        same: whether the two sets of images are one, so that pixels are also paired with themselves.
        displacement: see above.
    """

    positions: Literal["equal", "displaced", "all"]
    circular: bool = False
    each_itself: bool = False
    same: bool = False
    displacement: int = 0

    @property
    def columns(self) -> tuple[int, ...]:
        """The axes that a shift along the columns moves."""
        return (0,) if self.positions == "equal" else (0, 1)

    @property
    def rows(self) -> tuple[int, ...]:
        """The axes that a shift along the rows moves."""
        return (2, 3) if self.positions == "all" else (2,)

    def x(self, numbers: Array) -> Array:
        """Return numbers of the first images' pixels, (W, H, I, ...), as (W, 1, H, 1, I, 1, ...)."""
        return numbers[:, self.x_rows(numbers.shape[1]), ...][:, None, :, None, :, None]

    def z(self, xp: Namespace, numbers: Array) -> Array:
        """Return numbers of the second images' pixels as they broadcast against the tile."""
        n_rows, shift = numbers.shape[1], self.displacement
        if self.circular and shift:
            numbers = xp.concat([numbers[:, shift:], numbers[:, :shift]], axis=1)
        else:
            numbers = numbers[:, self.z_rows(n_rows)]
        first, second = (slice(None), None), (None, slice(None))
        columns = first if self.positions == "equal" else second
        rows = second if self.positions == "all" else first
        return numbers[columns + rows + (first if self.each_itself else second)]

    def x_rows(self, n_rows: int) -> slice:
        """Return the rows of the first images that have a partner."""
        return (
            slice(0, n_rows)
            if self.circular
            else slice(max(0, -self.displacement), n_rows - max(0, self.displacement))
        )

    def z_rows(self, n_rows: int) -> slice:
        """Return the rows of the second images that have a partner."""
        return (
            slice(0, n_rows)
            if self.circular
            else slice(max(0, self.displacement), n_rows + min(0, self.displacement))
        )

    def itself(self, xp: Namespace, shape: tuple[int, ...], device: object) -> tuple[Array, ...] | None:
        """Return the indices (w, w', h, h', i, j) at which a pixel of a tile meets itself, each (W, H, I)."""
        if not (self.same or self.each_itself) or self.displacement:
            return None
        w = xp.arange(shape[0], device=device)[:, None, None]
        h = xp.arange(shape[2], device=device)[None, :, None]
        i = xp.arange(shape[4], device=device)[None, None, :]
        zero = xp.zeros_like(i)
        w2 = zero if self.positions == "equal" else w
        h2 = h if self.positions == "all" else zero
        return w, w2, h, h2, i, zero if self.each_itself else i


def equal_positions(xp: Namespace, tile: Array) -> Array:
    """Return the part of a tile of all pairs of pixels, (W, W, H, H, I, J), that has p = p', (W, 1, H, 1, I, J)."""
    w = xp.arange(tile.shape[0], device=tile.device)[:, None]
    h = xp.arange(tile.shape[2], device=tile.device)[None, :]
    return tile[w, w, h, h][:, None, :, None]
