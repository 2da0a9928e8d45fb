r"""The kernels of an infinitely wide network of rectifiers, at full precision for small angles.

A rectifier is $\phi(z) = \alpha\min(z,0) + \beta\max(z,0)$; $m = (\alpha^2+\beta^2)/2$, and
$w = (\beta-\alpha)^2/(\alpha^2+\beta^2)$ is 1 for ReLU. Layer l of variances $a = K^l(x,x)$, $b = K^l(x',x')$ and
angle $\theta$ between the pre-activations: $K^{l+1} = \sigma_w^2 E[\phi\phi] + \sigma_b^2$,
$\Theta^{l+1} = r_w E[\phi\phi] + r_b + \sigma_w^2 \Theta^l E[\phi'\phi']$, with
$E[\phi\phi] = m\sqrt{ab}\,[w\kappa(\theta) + (1-w)\cos\theta]$, $\kappa = [\sin\theta + (\pi-\theta)\cos\theta]/\pi$,
$E[\phi'\phi'] = m\,[w(\pi-\theta)/\pi + 1 - w]$.

The textbook form iterates the covariance and takes arccos of a ratio that rounds to 1 for close points, which gives
the NTK an error of 1e-8. Here two quantities are iterated instead, neither of which cancels (within about 1e-8 of
opposite inputs, where q is 1, the angle is rounded):

- $q = \sin^2(\theta/2) = (\sqrt{ab} - c) / 2\sqrt{ab}$ instead of the covariance c. An activation maps it to
  $w(1-\kappa)/2 + (1-w)q$.
- $r = \sqrt a - \sqrt b$. A bias of variance $\beta$ added to $h a, h b$ turns the vectors towards each other, but
  adds a contribution of their different lengths to q. With $u = \sqrt a$, $v = \sqrt{a + \beta/h}$, S and V the sums
  of u and of v over the pair: $q \to [u u' q + \tfrac14 r^2 (1 - S^2/V^2)] / v v'$, $r \to \sqrt h\, r S/V$, and
  $V - S = \sum (\beta/h)/(u+v)$, so that all terms are positive.

Source: the recursions are those of Lee et al. 2018 (NNGP) and Jacot et al. 2018 (NTK); this form is new here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial, pi

from solvable.kernels.distances import Angles, sum_of_squares
from solvable.kernels.duals import ABReLU
from solvable.kernels.inputs import Array, Namespace
from solvable.kernels.networks.architecture import Affine

# sin t - t cos t = sum_k (-1)^(k+1) 2k t^(2k+1) / (2k+1)!, k >= 1, cancels at small t; six terms suffice below _SERIES.
_TERMS = [(-1) ** (k + 1) * 2 * k / factorial(2 * k + 1) for k in range(1, 7)]
_SERIES = 0.2


@dataclass(frozen=True)
class Lengths:
    r"""Lengths $u, v$ (over $\sqrt h$) of each point at an affine map: v, u / v, and v - u without cancellation."""

    after: Array
    ratio: Array
    excess: Array

    def at(self, index: tuple[slice | None, ...]) -> "Lengths":
        """Return the lengths of a slice of points, as a column (`[rows, None]`) or a row (`[None, columns]`)."""
        return Lengths(self.after[index], self.ratio[index], self.excess[index])


class AngleRecursion:
    """The recursion for rectifiers on inputs of d coordinates, with the readout as the last of `maps`."""

    def __init__(self, maps: Sequence[Affine], activations: Sequence[ABReLU], d: int, tangent: bool) -> None:
        self.maps, self.activations, self.tangent = maps, activations, tangent
        # h, by which an affine map multiplies a squared length: sigma_w^2 times 1/d in the first map, m in the others.
        means = [1 / d, *(activation.second_moment for activation in activations)]
        self.gains = [affine.w_variance * mean for affine, mean in zip(maps, means, strict=True)]
        self.biased = [affine.b_variance > 0 for affine in maps[:-1]]
        # The bias of the first map is treated as one more coordinate.
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
        r"""Return the kernel of pairs of inputs of equal norm at $q = \sin^2(\theta/2)$; overwrites q."""
        square = squared_norm
        if self.constant:
            square = squared_norm + self.constant**2
            q *= squared_norm
            q /= square
        return self._pairs(xp, q, q * 0, [(layer, layer) for layer in self._lengths(xp, xp.sqrt(square))])

    def _lengths(self, xp: Namespace, norm: Array) -> list[Lengths]:
        lengths, u = [], norm
        for affine, gain, biased in zip(self.maps[:-1], self.gains[:-1], self.biased, strict=True):
            shift = affine.b_variance / gain if biased else 0.0
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
        r"""Return a map's own term in the tangent kernel, $r_w M + r_b$ (in the NNGP kernel, the readout)."""
        # Before the readout v includes the bias, h v v' cos = sigma_w^2 M + sigma_b^2; the constant corrects for it.
        affine = self.maps[number]
        bias = 0.0 if number == len(self.maps) - 1 else affine.b_variance
        w_rate, b_rate = affine.w_rate, affine.b_rate
        if not self.tangent:
            w_rate, b_rate = affine.w_variance, affine.b_variance
        own = cos * (x.after * (self.gains[number] * w_rate / affine.w_variance))
        own *= z.after
        constant = b_rate - w_rate / affine.w_variance * bias
        if constant:
            own += constant
        return own


def _add_bias(q: Array, r2: Array | None, x: Lengths, z: Lengths) -> Array:
    r"""Add the bias to a tile, $q \to [uu'q + \tfrac14 r^2(1 - S^2/V^2)]/vv'$, in place; return $S/V$."""
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
    r"""Overwrite q with $w(1 - \kappa)/2 + (1-w)q$, and theta with $w(\pi - \theta)/\pi + 1 - w$."""
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
    r"""Return $w\kappa + (1-w)\cos\theta$; overwrite theta with $w(\pi - \theta)/\pi + 1 - w$."""
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
