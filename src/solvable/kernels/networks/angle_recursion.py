r"""The kernels of an infinitely wide network of rectifiers, at full precision for small angles.

A rectifier is $\phi(z) = \alpha\min(z,0) + \beta\max(z,0)$; $m = (\alpha^2+\beta^2)/2$, and
$w = (\beta-\alpha)^2/(\alpha^2+\beta^2)$ is 1 for ReLU. Layer l of variances $a = K^l(x,x)$, $b = K^l(x',x')$ and
angle $\theta$ between the pre-activations: $K^{l+1} = \sigma_w^2 E[\phi\phi] + \sigma_b^2$,
$\Theta^{l+1} = r_w E[\phi\phi] + r_b + \sigma_w^2 \Theta^l E[\phi'\phi']$, with
$E[\phi\phi] = m\sqrt{ab}\,[w\kappa(\theta) + (1-w)\cos\theta]$, $\kappa = [\sin\theta + (\pi-\theta)\cos\theta]/\pi$,
$E[\phi'\phi'] = m\,[w(\pi-\theta)/\pi + 1 - w]$.

(Within some 1e-8 of opposite inputs the angle is rounded, since q is 1 there.)

The textbook form passes the covariance on and takes arccos of a ratio that rounds to 1 for close points: the
NTK is then wrong by 1e-8. Here two things are passed on instead, neither of which cancels:

- $q = \sin^2(\theta/2) = (\sqrt{ab} - c) / 2\sqrt{ab}$ instead of the covariance c. An activation makes of it
  $w(1-\kappa)/2 + (1-w)q$.
- $r = \sqrt a - \sqrt b$. A bias of variance $\beta$ added to $h a, h b$ turns the vectors towards each other
  but adds to q what their different lengths bring in. With $u = \sqrt a$, $v = \sqrt{a + \beta/h}$, S and V
  the sums of u and of v over the pair: $q \to [u u' q + \tfrac14 r^2 (1 - S^2/V^2)] / v v'$,
  $r \to \sqrt h\, r S/V$, and $V - S = \sum (\beta/h)/(u+v)$, so that all terms are positive.

Source: the recursions are those of Lee et al. 2018 (NNGP) and Jacot et al. 2018 (NTK); the form is ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial, pi

from solvable.kernels.distances import Angles, sum_of_squares
from solvable.kernels.duals import ABReLU
from solvable.kernels.inputs import Array, Namespace
from solvable.kernels.networks.architecture import Affine

# sin t - t cos t = sum over k >= 1 of (-1)^(k+1) 2k t^(2k+1) / (2k+1)!, a difference that cancels at small t;
# six terms give all digits below _SERIES.
_TERMS = [(-1) ** (k + 1) * 2 * k / factorial(2 * k + 1) for k in range(1, 7)]
_SERIES = 0.2


@dataclass(frozen=True)
class Lengths:
    r"""What an affine map needs of every point: lengths $u, v$ (over $\sqrt h$) and what follows from them."""

    after: Array
    """v."""

    ratio: Array
    """u / v."""

    excess: Array
    """v - u, without the cancellation."""

    def at(self, index: tuple[slice | None, ...]) -> "Lengths":
        """Return the numbers of some points, as a column (`[rows, None]`) or a row (`[None, columns]`)."""
        return Lengths(self.after[index], self.ratio[index], self.excess[index])


class AngleRecursion:
    """The recursion for a network of rectifiers on inputs of d coordinates.

    Args:
        maps: the affine maps, the readout last.
        activations: the rectifiers between them.
        d: number of coordinates.
        tangent: the NTK if true, else the NNGP kernel.
    """

    def __init__(self, maps: Sequence[Affine], activations: Sequence[ABReLU], d: int, tangent: bool) -> None:
        self.maps, self.activations, self.tangent = maps, activations, tangent
        # h, the factor of an affine map on a squared length: of the first map 1/d, of the others m.
        means = [1 / d, *(activation.second_moment for activation in activations)]
        self.gains = [one.w_variance * mean for one, mean in zip(maps, means, strict=True)]
        self.biased = [one.b_variance > 0 for one in maps[:-1]]
        # The bias of the first map is a coordinate more.
        self.constant = (maps[0].b_variance / self.gains[0]) ** 0.5
        self.biased[0] = False

    def tile_function(self, xp: Namespace, X: Array, Z: Array) -> Callable[[slice, slice], Array]:
        """Return the function that computes a tile of the kernel matrix."""
        angles = Angles(xp, X, Z, self.constant)
        x_lengths = self._lengths(xp, angles.x_norm)
        z_lengths = x_lengths if Z is X else self._lengths(xp, angles.z_norm)

        def tile(rows: slice, columns: slice) -> Array:
            q, r = angles(rows, columns, norm_differences=any(self.biased))
            lengths = [
                (x.at((rows, None)), z.at((None, columns))) for x, z in zip(x_lengths, z_lengths, strict=True)
            ]
            return self._pairs(xp, q, r, lengths)

        return tile

    def diagonal(self, xp: Namespace, X: Array) -> Array:
        """Return K(x_i, x_i), (n,)."""
        squared_norm = sum_of_squares(xp, X)
        return self.at_angles(xp, squared_norm * 0, squared_norm)

    def at_angles(self, xp: Namespace, q: Array, squared_norm: Array) -> Array:
        r"""Return the kernel of pairs of inputs of the same norm at $q = \sin^2(\theta/2)$; overwrites q."""
        square = squared_norm
        if self.constant:
            square = squared_norm + self.constant**2
            q *= squared_norm
            q /= square
        return self._pairs(xp, q, q * 0, [(one, one) for one in self._lengths(xp, xp.sqrt(square))])

    def _lengths(self, xp: Namespace, norm: Array) -> list[Lengths]:
        lengths, u = [], norm
        for one, gain, biased in zip(self.maps[:-1], self.gains[:-1], self.biased, strict=True):
            shift = one.b_variance / gain if biased else 0.0
            v = xp.sqrt(u * u + shift) if shift > 0 else u
            lengths.append(Lengths(v, u / v, shift / (u + v)) if shift > 0 else Lengths(u, u, u))
            u = v * gain**0.5
        return [*lengths, Lengths(u, u, u)]

    def _pairs(
        self, xp: Namespace, q: Array, r: Array | None, lengths: list[tuple[Lengths, Lengths]]
    ) -> Array:
        """Return the kernel for the pairs of a tile; overwrites q and r."""
        r2 = None if r is None else r * r
        cos = q
        tangent = None
        last = len(self.activations) - 1
        for number, activation in enumerate(self.activations):
            x, z = lengths[number]
            if self.biased[number]:
                shrunk = _add_bias(q, r2, x, z)
                if r2 is not None and any(self.biased[number + 1 :]):
                    r2 *= shrunk
                    r2 *= shrunk
            if r2 is not None and any(self.biased[number + 1 :]):
                r2 *= self.gains[number]
            cos, sin, theta = _angle(xp, q)
            if self.tangent:
                own = self._own(number, cos, x, z)
                if tangent is None:
                    tangent = own
                else:
                    tangent += own
            if number < last:
                _next(xp, q, cos, sin, theta, activation.bend)
            else:
                cos = _last_cos(cos, sin, theta, activation.bend)
            if tangent is not None:
                # theta is now (pi - theta) w / pi + 1 - w, the slope in units of m.
                theta *= self.gains[number + 1]
                tangent *= theta
        x, z = lengths[-1]
        K = self._own(last + 1, cos, x, z)
        if tangent is not None:
            K += tangent
        return K

    def _own(self, number: int, cos: Array, x: Lengths, z: Lengths) -> Array:
        r"""Return what a map itself adds to the kernel, $r_w M + r_b$ (or, of the NNGP kernel, its readout)."""
        # Before the readout v carries the bias: h v v' cos = sigma_w^2 M + sigma_b^2, and where the rates differ from
        # the variances, M's share of it is taken out again.
        one = self.maps[number]
        bias = 0.0 if number == len(self.maps) - 1 else one.b_variance
        w_rate, b_rate = (one.w_rate, one.b_rate) if self.tangent else (one.w_variance, one.b_variance)
        own = cos * (x.after * (self.gains[number] * w_rate / one.w_variance))
        own *= z.after
        constant = b_rate - w_rate / one.w_variance * bias
        if constant:
            own += constant
        return own


def _add_bias(q: Array, r2: Array | None, x: Lengths, z: Lengths) -> Array:
    r"""Turn the vectors of a tile as their common bias does, $q \to [uu'q + \tfrac14 r^2(1 - S^2/V^2)]/vv'$.

    Returns:
        $S/V$.
    """
    assert r2 is not None
    t = x.excess + z.excess
    t /= x.after + z.after  # 1 - S / V
    turned = 2 - t
    turned *= t
    turned *= r2
    turned *= 0.25 / x.after
    turned /= z.after
    q *= x.ratio
    q *= z.ratio
    q += turned
    return 1 - t


def _angle(xp: Namespace, q: Array) -> tuple[Array, Array, Array]:
    r"""Return $\cos\theta$, $\sin\theta$ and $\theta$ at $q = \sin^2(\theta/2)$."""
    cos = q * -2
    cos += 1
    sin = 1 - q
    sin *= q
    sin = xp.sqrt(sin)
    sin *= 2
    return cos, sin, xp.atan2(sin, cos)


def _next(xp: Namespace, q: Array, cos: Array, sin: Array, theta: Array, bend: float) -> None:
    r"""Make of q $w(1 - \kappa)/2 + (1-w)q$, and of theta $w(\pi - \theta)/\pi + 1 - w$."""
    cos *= theta
    sin -= cos
    if float(xp.min(theta)) < _SERIES:
        small = theta < _SERIES
        sin[small] = _sin_minus_product(theta[small])
    # w (q - (sin theta - theta cos theta) / 2 pi) + (1 - w) q
    sin *= -0.5 * bend / pi
    q += sin
    theta *= -bend / pi
    theta += 1


def _last_cos(cos: Array, sin: Array, theta: Array, bend: float) -> Array:
    r"""Return $w\kappa + (1-w)\cos\theta$; of theta it makes $w(\pi - \theta)/\pi + 1 - w$."""
    theta *= -bend / pi
    theta += 1
    cos *= theta
    sin *= bend / pi
    cos += sin
    return cos


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
