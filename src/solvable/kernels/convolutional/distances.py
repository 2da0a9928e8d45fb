r"""The recursion for rectifiers, by distances: full precision for identical and nearly identical patches.

For a pair of pre-activations of variances $a, b$, covariance c and angle $\theta$, with $s = \sqrt{ab}$, the textbook
form iterates c and takes the arccos of c/s, which is inaccurate for close patches and gives the NTK an error of 1e-8.
Here the excess $E = 2(s - c) = 4 s \sin^2(\theta/2)$ and the squared distance $D = a + b - 2c
= E + (\sqrt a - \sqrt b)^2$ replace c.

- Activation with slopes $\alpha, \beta$: $E \to (\beta-\alpha)^2 s (1 - \kappa) + \alpha\beta E$, $1 - \kappa =
  2\sin^2(\theta/2) - (\sin\theta - \theta\cos\theta)/\pi$; a and b are multiplied by $(\alpha^2+\beta^2)/2$.
- Convolution: D is linear, $D \to \frac{\sigma_w^2}{q^2} \sum_\delta D[p+\delta, p'+\delta]$, and biases cancel.
  If one of the two pixels is zero padding, D is the variance of the other.
- Parallel patches of different norms have a D of almost $R^2 = (\sqrt a - \sqrt b)^2$, so that $E = D - R^2$ cancels.
  These few are recomputed: with u, v the norms of the patches' pixels,
  $E = \sum_\delta E_\delta + S \sum_\delta (u_\delta/\sqrt a - v_\delta/\sqrt b)^2$, $S = \sqrt{ab}$, the bias being
  one more pixel; in the first layer u and v are the pixels themselves.
- Opposite patches, which only the input has, are distinguished from nearly opposite ones in the same way.
- Average pooling: D becomes its mean over the windows less half the mean distances within either window (the distance
  of the means). This does cancel for nearly identical images: their angle then has an error of 1e-8.

Source: F5 of Arora et al., On exact computation with an infinitely wide neural net, arXiv:1904.11955; this form is new
here.
"""

from dataclasses import dataclass, replace
from math import pi
from typing import cast

import numpy as np
from array_api_compat import is_torch_array

from solvable.kernels.convolutional.boxes import (
    add_one_sided,
    add_shifted,
    offsets,
    pooled,
    shifted_sum,
    summed_shape,
)
from solvable.kernels.convolutional.layers import Layer, Pairing, Stack, equal_positions
from solvable.kernels.convolutional.schedule import Workspace
from solvable.kernels.duals.closed_forms import ABReLU
from solvable.kernels.inputs import Array, Namespace

# Numbers in the gathered pixels of one round of recomputed pairs.
_GATHERED = 2**17


@dataclass(frozen=True)
class Norms:
    r"""Input of the recursion for each image's pixels, (W, H, I), layer by layer."""

    # The input times sqrt(g/C), g the first layer's gain, (W, H, I, C).
    pixels: Array
    # Root mean squares: sqrt(a) of the pre-activations; the output, times sqrt(g) of the next layer; the same pooled.
    before: tuple[Array, ...] = ()
    after: tuple[Array, ...] = ()
    pooled: tuple[Array, ...] = ()
    # Half the mean squared distances within each pooling window, in the units of `pooled`; None without pooling.
    within: tuple[Array | None, ...] = ()


def norms(xp: Namespace, stack: Stack, images: Array) -> Norms:
    """Return the `Norms` of images (I, H, W, C)."""
    x = xp.asarray(xp.permute_dims(images, (2, 1, 0, 3)), copy=True)
    x *= (stack.layers[0].gain / x.shape[3]) ** 0.5
    numbers = Norms(x)
    square = xp.linalg.vecdot(x, x)
    # Pooling mixes pixels of one image, so their distances are needed as well.
    itself = DistanceTile(
        xp, replace(stack, derivative=False), Pairing("all", each_itself=True), Workspace(xp, x)
    )
    for index, layer in enumerate(stack.layers):
        activation = cast(ABReLU, layer.activation)
        a = stack.box(xp, square)
        a += layer.bias
        square = a * (activation.second_moment * layer.next_gain)
        root = xp.sqrt(square)
        numbers = replace(numbers, before=(*numbers.before, xp.sqrt(a)), after=(*numbers.after, root))
        within = None
        if index <= stack.last_pool:
            itself.convolve(index, numbers, numbers)
            itself.activate(index, numbers, numbers)
        if layer.pool > 1:
            D = pooled(itself.squared_distances(root, root), (0, 1, 2, 3), layer.pool)
            at = Pairing("all", each_itself=True).itself(xp, D.shape, D.device)
            assert at is not None
            within = 0.5 * D[at]
            square = xp.clip(pooled(square, (0, 1), layer.pool) - within, 0.0, None)
        after_pool = root if within is None else xp.sqrt(square)
        numbers = replace(numbers, within=(*numbers.within, within), pooled=(*numbers.pooled, after_pool))
        if within is not None:
            itself.pool(index, numbers, numbers)
    return numbers


class DistanceTile:
    """The state of the recursion on one tile: the excess E and, with a derivative, the NTK T, (W, W', H, H', I, J)."""

    def __init__(self, xp: Namespace, stack: Stack, pairing: Pairing, space: Workspace) -> None:
        self.xp, self.stack, self.pairing, self.space = xp, stack, pairing, space
        self.E: Array = None
        self.T: Array | None = None
        self._opposite: list[tuple[tuple[Array, ...], Array]] = []

    def run(self, x: Norms, z: Norms) -> tuple[Array, Array | None]:
        """Return the sums over pairs of pixels of the last kernel and of the NTK, (I, J) each."""
        xp, stack = self.xp, self.stack
        for index, layer in enumerate(stack.layers):
            self.convolve(index, x, z)
            self.activate(index, x, z)
            if layer.pool > 1:
                self.pool(index, x, z)
                if index == stack.last_pool and not stack.global_average:
                    self.E = equal_positions(xp, self.E)
                    self.T = None if self.T is None else equal_positions(xp, self.T)
                    self.pairing = replace(self.pairing, positions="equal")
        product = self.space.take(self.E.shape)
        xp.multiply(self.pairing.x(x.pooled[-1]), self.pairing.z(xp, z.pooled[-1]), out=product)
        self.E *= 0.5
        product -= self.E
        over = (0, 1, 2, 3)
        K = xp.sum(product, axis=over)
        T = None if self.T is None else xp.sum(self.T, axis=over)
        self.space.give(product, self.E, *(() if self.T is None else (self.T,)))
        return K, T

    def squared_distances(self, u: Array, v: Array) -> Array:
        r"""Return $D = E + (u - v)^2$, u and v the norms of the two sides' pixels."""
        D = self.space.take(self.E.shape)
        self.xp.subtract(self.pairing.x(u), self.pairing.z(self.xp, v), out=D)
        D *= D
        D += self.E
        return D

    def convolve(self, index: int, x: Norms, z: Norms) -> None:
        """Apply a convolution to E and T."""
        xp, layer, pairing, space = self.xp, self.stack.layers[index], self.pairing, self.space
        if index == 0:
            u, v = (xp.sqrt(xp.linalg.vecdot(side.pixels, side.pixels)) for side in (x, z))
            D = _pixel_distances(xp, pairing, space, x.pixels, z.pixels)
        else:
            u, v = x.pooled[index - 1], z.pooled[index - 1]
            D = self.squared_distances(u, v)
        D = self._box(D, u * u, v * v)
        U, V = pairing.x(x.before[index]), pairing.z(xp, z.before[index])
        if self.stack.derivative:
            self._add_own(layer, D, U, V)
        R2 = space.take(D.shape)
        xp.subtract(U, V, out=R2)
        R2 *= R2
        D -= R2
        tolerance = float(xp.finfo(D.dtype).eps) ** 0.375
        R2 *= tolerance
        inaccurate = R2 > D
        if index == 0:
            # Nearly opposite patches, too; later layers have them only after linear activations.
            xp.multiply(U * (4 - tolerance), V, out=R2)
            inaccurate |= R2 < D
        space.give(R2)
        if bool(xp.any(inaccurate)):
            inner = None if index == 0 else self.E
            self._opposite = _recompute(xp, self.stack, pairing, D, inaccurate, inner, index, x, z)
        if self.E is not None:
            space.give(self.E)
        self.E = D

    def activate(self, index: int, x: Norms, z: Norms) -> None:
        """Apply an activation to E and T."""
        xp, layer, space = self.xp, self.stack.layers[index], self.space
        activation = cast(ABReLU, layer.activation)
        product = activation.negative * activation.positive
        square = (activation.positive - activation.negative) ** 2
        linear = None if product == 0 else self.E * (product * layer.next_gain)
        norms = x.before[index], z.before[index]
        halves = [0.5 / xp.where(n > 0, n, xp.full_like(n, 0.5)) for n in norms]
        q = self.E
        q *= self.pairing.x(halves[0])
        q *= self.pairing.z(xp, halves[1])
        _clip_to_one(q)
        dead = [n == 0 for n in norms]
        if any(bool(xp.any(d)) for d in dead):
            # A patch without variance has no angle; like all activations here, this takes a right angle.
            q[xp.broadcast_to(self.pairing.x(dead[0]) | self.pairing.z(xp, dead[1]), q.shape)] = 0.5
        half, rest, cosine = (space.take(q.shape) for _ in range(3))
        xp.sqrt(q, out=half)
        xp.asin(half, out=half)  # theta / 2
        xp.multiply(q, -1.0, out=rest)
        rest += 1.0
        xp.subtract(rest, q, out=cosine)
        for at, value in self._opposite:
            # 1 - q, whose digits q itself has lost next to 1.
            rest[at] = value
            half[at] = pi / 2 - xp.asin(xp.sqrt(value))
        self._opposite = []
        rest *= q
        xp.sqrt(rest, out=rest)  # sin(theta) / 2
        cosine *= half
        rest -= cosine  # (sin theta - theta cos theta) / 2, with a rounding error far below q
        rest *= 1 / pi
        q -= rest  # (1 - kappa) / 2
        root = (2 * square * layer.next_gain) ** 0.5
        q *= self.pairing.x(norms[0] * root)
        q *= self.pairing.z(xp, norms[1] * root)
        if linear is not None:
            q += linear
        if self.T is not None:
            half *= -square * layer.next_gain / pi
            half += (square / 2 + product) * layer.next_gain
            self.T *= half
        space.give(half, rest, cosine)

    def pool(self, index: int, x: Norms, z: Norms) -> None:
        """Apply the average pooling after a layer to E and T."""
        xp, layer, pairing = self.xp, self.stack.layers[index], self.pairing
        axes = (0, 1, 2, 3)
        D = pooled(self.squared_distances(x.after[index], z.after[index]), axes, layer.pool)
        within = pairing.x(x.within[index]) + pairing.z(xp, z.within[index])
        D -= within
        # Within rounding these windows are identical.
        within *= 16 * float(xp.finfo(D.dtype).eps)
        D[within > D] = 0.0
        at = pairing.itself(xp, D.shape, D.device)
        if at is not None:
            D[at] = 0.0
        R = pairing.x(x.pooled[index]) - pairing.z(xp, z.pooled[index])
        self.E = xp.clip(D - R * R, 0.0, None)
        if self.T is not None:
            self.T = pooled(self.T, axes, layer.pool)

    def _box(self, D: Array, a: Array, b: Array) -> Array:
        xp, q, padding, pairing = self.xp, self.stack.filter_size, self.stack.padding, self.pairing
        for stage, axes in enumerate((pairing.columns, pairing.rows)):
            total = self.space.take(summed_shape(D.shape, axes, q, padding))
            add_shifted(total, D, axes, q, padding, fresh=True)
            self.space.give(D)
            D = total
            if padding != "SAME" or pairing.positions == "equal":
                continue
            if len(axes) == 2:
                add_one_sided(D, pairing.x(a), pairing.z(xp, b), axes, q)
            elif pairing.displacement:
                D += pairing.x(_without_partner(xp, a, pairing.x_rows(a.shape[1]), q))
                D += pairing.z(xp, _without_partner(xp, b, pairing.z_rows(b.shape[1]), q))
            a, b = (shifted_sum(xp, n, (stage,), q, padding) for n in (a, b))
        return D

    def _add_own(self, layer: Layer, D: Array, U: Array, V: Array) -> None:
        q, padding, space = self.stack.filter_size, self.stack.padding, self.space
        own = space.take(D.shape)
        self.xp.multiply(D, -layer.own_scale / 2, out=own)
        own += U * U * (layer.own_scale / 2) + layer.own_shift
        own += V * V * (layer.own_scale / 2)
        if self.T is not None:
            columns, rows = self.pairing.columns, self.pairing.rows
            T = space.take(summed_shape(self.T.shape, columns, q, padding))
            add_shifted(T, self.T, columns, q, padding, fresh=True)
            add_shifted(own, T, rows, q, padding)
            space.give(T, self.T)
        self.T = own


def _pixel_distances(xp: Namespace, pairing: Pairing, space: Workspace, x: Array, z: Array) -> Array:
    shape = tuple(
        max(pair) for pair in zip(pairing.x(x[..., 0]).shape, pairing.z(xp, z[..., 0]).shape, strict=True)
    )
    D, difference = space.take(shape), space.take(shape)
    for channel in range(x.shape[3]):
        target = D if channel == 0 else difference
        xp.subtract(pairing.x(x[..., channel]), pairing.z(xp, z[..., channel]), out=target)
        target *= target
        if channel:
            D += difference
    space.give(difference)
    return D


def _clip_to_one(q: Array) -> None:
    if is_torch_array(q):
        q.clamp_(0.0, 1.0)
    else:
        np.clip(q, 0.0, 1.0, out=q)


def _without_partner(xp: Namespace, numbers: Array, rows: slice, filter_size: int) -> Array:
    """Return the box sum along the rows over the rows inside the image without a partner, at those with one."""
    numbers = xp.asarray(numbers, copy=True)
    numbers[:, rows] = 0.0
    return shifted_sum(xp, numbers, (1,), filter_size, "SAME")


def _recompute(
    xp: Namespace,
    stack: Stack,
    pairing: Pairing,
    E: Array,
    inaccurate: Array,
    inner: Array | None,
    index: int,
    x: Norms,
    z: Norms,
) -> list[tuple[tuple[Array, ...], Array]]:
    """Recompute `inaccurate` E from the pixels' E, `inner`; return indices and 1 - E/4s of nearly opposite patches."""
    layer = stack.layers[index]
    u, v = x.pixels, z.pixels
    if index:
        u, v = x.pooled[index - 1][..., None], z.pooled[index - 1][..., None]
    shape = [u.shape[:2], v.shape[:2]]
    indices, opposites = xp.nonzero(inaccurate), []
    round_size = max(1, _GATHERED // u.shape[3])
    for start in range(0, indices[0].shape[0], round_size):
        at = tuple(i[start : start + round_size] for i in indices)
        w, h = at[0], at[2] + pairing.x_rows(x.before[index].shape[1]).start
        w2 = w if pairing.positions == "equal" else at[1]
        if pairing.positions == "all":
            h2 = at[3]
        else:
            h2 = at[2] + pairing.z_rows(z.before[index].shape[1]).start
            if pairing.circular:
                h2 = (h2 + pairing.displacement) % shape[1][1]
        i, j = at[4], at[4] if pairing.each_itself else at[5]
        U, V = x.before[index][w, h, i], z.before[index][w2, h2, j]
        U, V = (xp.where(n > 0, n, xp.ones_like(n)) for n in (U, V))
        root = layer.bias**0.5
        near, far = (root / U - root / V) ** 2, (root / U + root / V) ** 2
        rest = xp.zeros_like(near)
        steps = range(stack.filter_size) if stack.padding == "VALID" else offsets(stack.filter_size)
        for dw in steps:
            for dh in steps:
                p, inside_x = _padded_position(xp, stack.padding, (w + dw, h + dh), shape[0])
                p2, inside_z = _padded_position(xp, stack.padding, (w2 + dw, h2 + dh), shape[1])
                one = u[(*p, i)] * (inside_x / U)[:, None]
                other = v[(*p2, j)] * (inside_z / V)[:, None]
                near += xp.sum((one - other) ** 2, axis=1)
                far += xp.sum((one + other) ** 2, axis=1)
                if inner is not None:
                    both = inside_x * inside_z
                    row = (
                        p[1]
                        if pairing.positions == "all" or pairing.circular
                        else p[1] - pairing.x_rows(shape[0][1]).start
                    )
                    # A pixel whose partner is outside is not in a displaced tile.
                    row = xp.where(both > 0, row, xp.zeros_like(row))
                    w_inner = xp.zeros_like(p[0]) if pairing.positions == "equal" else p2[0]
                    h_inner = p2[1] if pairing.positions == "all" else xp.zeros_like(p[1])
                    rest += both * inner[(p[0], w_inner, row, h_inner, *at[4:])]
        S = x.before[index][w, h, i] * z.before[index][w2, h2, j]
        value = S * near + rest
        if index == 0:
            opposite = far < near
            value = xp.where(opposite, S * (4 - far), value)
            opposites.append((tuple(k[opposite] for k in at), far[opposite] / 4))
        E[at] = value
    return opposites


def _padded_position(
    xp: Namespace, padding: str, position: tuple[Array, Array], shape: tuple[int, int]
) -> tuple[tuple[Array, Array], Array]:
    """Return the position moved into the image, and 1.0 where it was inside, 0.0 in the padding."""
    w, h = position
    if padding == "CIRCULAR":
        return (w % shape[0], h % shape[1]), 1.0
    inside = (w >= 0) & (w < shape[0]) & (h >= 0) & (h < shape[1])
    return (xp.clip(w, 0, shape[0] - 1), xp.clip(h, 0, shape[1] - 1)), inside * 1.0
