r"""The kernels of an infinitely wide network of any activations, covariances passed from layer to layer.

$K^{l+1} = \sigma_w^2 E[\phi(u)\phi(v)] + \sigma_b^2$ and
$\Theta^{l+1} = r_w E[\phi\phi] + r_b + \sigma_w^2 \Theta^l E[\phi'\phi']$ for (u, v) of covariance $K^l$. Smooth
activations lose nothing in it; what rectifiers would lose at small angles is why they have a recursion of their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from solvable.kernels.angular import DAMPING, degree_on_circle
from solvable.kernels.distances import Products, sum_of_squares
from solvable.kernels.duals import Activation, PointNumbers
from solvable.kernels.inputs import Array, Namespace
from solvable.kernels.networks.architecture import Affine


@dataclass(frozen=True)
class CovarianceRecursion:
    """The recursion for inputs of d coordinates.

    Args:
        maps: the affine maps, the readout last.
        activations: those between them.
        d: number of coordinates.
        tangent: the NTK if true, else the NNGP kernel.
    """

    maps: Sequence[Affine]
    activations: Sequence[Activation]
    d: int
    tangent: bool

    def tile_function(self, xp: Namespace, X: Array, Z: Array) -> Callable[[slice, slice], Array]:
        """Return the function that computes a tile of the kernel matrix."""
        products = Products(X, Z)
        x_layers = self._prepare(xp, sum_of_squares(xp, X) / self.d)
        z_layers = x_layers if Z is X else self._prepare(xp, sum_of_squares(xp, Z) / self.d)

        def tile(rows: slice, columns: slice) -> Array:
            layers = [
                (tuple(one[rows, None] for one in x), tuple(one[None, columns] for one in z))
                for x, z in zip(x_layers, z_layers, strict=True)
            ]
            return self._pairs(xp, products(rows, columns) / self.d, layers)

        return tile

    def diagonal(self, xp: Namespace, X: Array) -> Array:
        """Return K(x_i, x_i), (n,), by one-dimensional means."""
        mean = sum_of_squares(xp, X) / self.d
        theta = 0.0
        for one, following, activation in zip(self.maps[:-1], self.maps[1:], self.activations, strict=True):
            theta = theta + one.w_rate * mean + one.b_rate
            mean, slope = activation.moments(xp, one.w_variance * mean + one.b_variance, self.tangent)
            if slope is not None:
                theta = theta * slope * following.w_variance
        return self._readout(mean, theta if self.tangent else None)

    def at_cosines(self, xp: Namespace, cosine: Array) -> Array:
        r"""Return the kernel of inputs of norm $\sqrt d$ at real or (NumPy) complex cosines, (m,)."""
        one = xp.ones_like(abs(cosine[:1]))
        degree = degree_on_circle(cosine) if xp.isdtype(cosine.dtype, "complex floating") else 0
        layers = [(numbers, numbers) for numbers in self._prepare(xp, one, degree)]
        return self._pairs(xp, cosine, layers)

    def _prepare(self, xp: Namespace, mean: Array, degree: int = 0) -> list[PointNumbers]:
        layers = []
        for number, (one, activation) in enumerate(zip(self.maps[:-1], self.activations, strict=True)):
            variances = one.w_variance * mean + one.b_variance
            if degree and number == 0 and one.b_variance == 0:
                needed = degree
            else:
                # A function of a series with a constant term: each of its coefficients counts, until it is damped.
                needed = ceil(DAMPING * max(degree, 10)) if degree else 0
            layers.append(activation.prepare(xp, variances, self.tangent, needed))
            mean, _ = activation.moments(xp, variances, False)
        return layers

    def _pairs(self, xp: Namespace, mean: Array, layers: list[tuple[PointNumbers, PointNumbers]]) -> Array:
        theta = None
        for number, (x, z) in enumerate(layers):
            one = self.maps[number]
            if self.tangent:
                own = one.w_rate * mean + one.b_rate
                theta = own if theta is None else theta + own
            mean *= one.w_variance
            mean += one.b_variance
            mean, slope = self.activations[number].pair(xp, x, z, mean, self.tangent)
            if theta is not None:
                theta *= slope
                theta *= self.maps[number + 1].w_variance
        return self._readout(mean, theta)

    def _readout(self, mean: Array, theta: Array | None) -> Array:
        last = self.maps[-1]
        if theta is None:
            return last.w_variance * mean + last.b_variance
        return theta + (last.w_rate * mean + last.b_rate)
