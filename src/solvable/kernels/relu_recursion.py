r"""The kernels of an infinitely wide ReLU network, layer by layer, at full precision for every angle.

Layer l of variance $a = K^l(x,x)$, $b = K^l(x',x')$, angle $\theta$ between the pre-activations:
$K^{l+1} = \sigma_w^2 E[\phi\phi] + \sigma_b^2$, $\Theta^{l+1} = K^{l+1} + \sigma_w^2 \Theta^l E[\phi'\phi']$,
$E[\phi\phi] = \sqrt{ab}\,\kappa(\theta)/2$, $\kappa = [\sin\theta + (\pi-\theta)\cos\theta]/\pi$,
$E[\phi'\phi'] = (\pi-\theta)/2\pi$.

The textbook form passes the covariance on and takes arccos of a ratio that rounds to 1 for close points: the
NTK is then wrong by 1e-8. Here three things are passed on instead, none of which cancels:

- $q = \sin^2(\theta/2) = (\sqrt{ab} - c) / 2\sqrt{ab}$ instead of the covariance c. ReLU:
  $q \to (1-\kappa)/2$.
- $r = \sqrt a - \sqrt b$. A bias of variance $\beta$ added to $h a, h b$ turns the vectors towards each other
  but adds to q what their different lengths bring in. With $u = \sqrt a$, $v = \sqrt{a + \beta/h}$, S and V
  the sums of u and of v over the pair: $q \to [u u' q + \tfrac14 r^2 (1 - S^2/V^2)] / v v'$,
  $r \to \sqrt h\, r S/V$, and $V - S = \sum (\beta/h)/(u+v)$, so that all terms are positive.
- $T = \Theta / \sqrt{ab}$ instead of the NTK.

Source: the recursions are those of Lee et al. 2018 (NNGP) and Jacot et al. 2018 (NTK); the form is ours.
"""

from dataclasses import dataclass
from math import factorial, pi

from solvable.kernels.inputs import Array, Namespace

# sin t - t cos t = sum over k >= 1 of (-1)^(k+1) 2k t^(2k+1) / (2k+1)!, a difference that cancels at small t;
# six terms give all digits below _SERIES.
_TERMS = [(-1) ** (k + 1) * 2 * k / factorial(2 * k + 1) for k in range(1, 7)]
_SERIES = 0.2


@dataclass(frozen=True)
class AffineLayer:
    r"""What the step $a \to h a + \beta$ needs of every point; all arrays broadcast against the tile."""

    gain: float
    bias: bool
    before: Array
    after: Array
    excess: Array

    def at(self, index: tuple[slice | None, ...]) -> "AffineLayer":
        """Return the numbers of some points, as a column (`[rows, None]`) or a row (`[None, columns]`)."""
        return AffineLayer(self.gain, self.bias, self.before[index], self.after[index], self.excess[index])


def affine_layers(
    xp: Namespace, norm: Array, d: int, depth: int, w_variance: float, b_variance: float
) -> tuple[list[AffineLayer], Array]:
    r"""Return the affine layers that come before the `depth` activations, and $\sqrt a$ of the last, (n,).

    Args:
        xp: the namespace of `norm`.
        norm: $|x_i|$, (n,).
        d: number of coordinates; the first layer's gain is $\sigma_w^2/d$, the others' $\sigma_w^2/2$.
        depth: number of hidden layers.
        w_variance: $\sigma_w^2 > 0$.
        b_variance: $\sigma_b^2 \ge 0$.
    """
    layers = []
    u = norm
    for layer in range(depth):
        gain = w_variance / (d if layer == 0 else 2)
        shift = b_variance / gain
        v = xp.sqrt(u * u + shift) if shift > 0 else u
        excess = shift / (u + v) if shift > 0 else u
        layers.append(AffineLayer(gain, shift > 0, u, v, excess))
        u = v * gain**0.5
    return layers, u


def relu(xp: Namespace, q: Array) -> tuple[Array, Array]:
    r"""Return $(1 - \kappa)/2$ and $(\pi - \theta)/\pi$ at $q = \sin^2(\theta/2)$, which it overwrites."""
    theta = xp.asin(xp.sqrt(q))
    theta *= 2
    lost = 1 - q
    lost *= q
    lost = xp.sqrt(lost)
    lost *= 2  # sin theta
    cos = q * -2
    cos += 1
    cos *= theta
    lost -= cos  # sin theta - theta cos theta
    if float(xp.min(theta)) < _SERIES:
        small = theta < _SERIES
        lost[small] = _sin_minus_product(theta[small])
    lost *= -0.5 / pi
    lost += q
    theta *= -1 / pi
    theta += 1
    return lost, theta


def affine(
    xp: Namespace, q: Array, r: Array | None, x: AffineLayer, z: AffineLayer
) -> tuple[Array, Array | None]:
    r"""Return q and r after the step $a \to h a + \beta$; it overwrites both."""
    if not x.bias:
        return q, None if r is None else r * x.gain**0.5
    assert r is not None
    S = x.before + z.before
    V = x.after + z.after
    turned = x.excess + z.excess
    turned *= S + V
    turned *= r
    turned *= r
    turned /= V
    turned /= V
    turned *= 0.25
    q *= x.before
    q *= z.before
    q += turned
    q /= x.after
    q /= z.after
    r *= S
    r /= V
    r *= x.gain**0.5
    return q, r


def nngp(
    xp: Namespace,
    q: Array,
    r: Array | None,
    layers: list[tuple[AffineLayer, AffineLayer]],
    lengths: tuple[Array, Array],
) -> Array:
    r"""Return $E[\phi\phi]$ of the last hidden layer for the pairs of inputs of a tile.

    Args:
        xp: the namespace of q.
        q: $\sin^2(\theta/2)$ of the inputs' angles, the tile; overwritten.
        r: the differences of the inputs' norms, the tile; overwritten; None without bias.
        layers: the affine layers of the rows and of the columns, from `affine_layers`.
        lengths: $\sqrt a$ of the last layer, of the rows and of the columns.
    """
    for x, z in layers:
        q, r = affine(xp, q, r, x, z)
        q, _ = relu(xp, q)
    q *= -1
    q += 0.5
    q *= lengths[0]
    q *= lengths[1]
    return q


def ntk(
    xp: Namespace,
    q: Array,
    r: Array | None,
    layers: list[tuple[AffineLayer, AffineLayer]],
    lengths: tuple[Array, Array],
) -> Array:
    r"""Return $E[\phi\phi] + \Theta E[\phi'\phi']$ of the last hidden layer; arguments as in `nngp`."""
    T = None
    for x, z in layers:
        q, r = affine(xp, q, r, x, z)
        if T is None:
            T = 1 - 2 * q
        else:
            if x.bias:
                T *= x.before / x.after
                T *= z.before / z.after
            # The layer's own kernel is sqrt(ab) (1 - 2q); subtracting twice needs no tile for 2q.
            T -= q
            T -= q
            T += 1
        q, derivative = relu(xp, q)
        T *= derivative
    assert T is not None
    T -= q
    T -= q
    T += 1
    T *= lengths[0]
    T *= lengths[1]
    T *= 0.5
    return T


def _sin_minus_product(theta: Array) -> Array:
    square = theta * theta
    total = square * _TERMS[-1]
    for term in _TERMS[-2:0:-1]:
        total += term
        total *= square
    total += _TERMS[0]
    total *= square
    total *= theta
    return total
