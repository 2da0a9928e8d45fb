r"""The kernels of an infinitely wide network of any activations, by covariances passed from layer to layer.

$K^{l+1} = \sigma_w^2 E[\phi(u)\phi(v)] + \sigma_b^2$ and
$\Theta^{l+1} = r_w E[\phi\phi] + r_b + \sigma_w^2 \Theta^l E[\phi'\phi']$ for (u, v) of covariance $K^l$. It is
accurate for smooth activations; rectifiers, which would lose digits at small angles, have a separate recursion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from solvable.kernels.angular import DAMPING, degree_on_circle
from solvable.kernels.distances import Products, sum_of_squares
from solvable.kernels.duals.base import Activation, PointNumbers
from solvable.kernels.inputs import Array, Namespace
from solvable.kernels.networks.architecture import Affine


@dataclass(frozen=True)
class CovarianceRecursion:
    """The recursion for inputs of d coordinates: the NTK if `tangent`, else the NNGP kernel."""

    maps: Sequence[Affine]  # the readout last
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
                (tuple(array[rows, None] for array in x), tuple(array[None, columns] for array in z))
                for x, z in zip(x_layers, z_layers, strict=True)
            ]
            return self._pairs(xp, products(rows, columns) / self.d, layers)

        return tile

    def diagonal(self, xp: Namespace, X: Array) -> Array:
        """Return K(x_i, x_i), (n,), by one-dimensional means."""
        mean = sum_of_squares(xp, X) / self.d
        theta = 0.0
        for affine, after, activation in zip(self.maps[:-1], self.maps[1:], self.activations, strict=True):
            theta = theta + affine.w_rate * mean + affine.b_rate
            mean, slope = activation.moments(xp, affine.w_variance * mean + affine.b_variance, self.tangent)
            if slope is not None:
                theta = theta * slope * after.w_variance
        return self._readout(mean, theta if self.tangent else None)

    def at_cosines(self, xp: Namespace, cosine: Array) -> Array:
        r"""Return the kernel of inputs of norm $\sqrt d$ at real or (NumPy) complex cosines, (m,)."""
        one = xp.ones_like(abs(cosine[:1]))
        degree = degree_on_circle(cosine) if xp.isdtype(cosine.dtype, "complex floating") else 0
        layers = [(numbers, numbers) for numbers in self._prepare(xp, one, degree)]
        return self._pairs(xp, cosine, layers)

    def _prepare(self, xp: Namespace, mean: Array, degree: int = 0) -> list[PointNumbers]:
        layers = []
        for number, (affine, activation) in enumerate(zip(self.maps[:-1], self.activations, strict=True)):
            variances = affine.w_variance * mean + affine.b_variance
            if degree and number == 0 and affine.b_variance == 0:
                n_terms = degree
            else:
                # A function of a series with a constant term needs each coefficient until it is damped.
                n_terms = ceil(DAMPING * max(degree, 10)) if degree else 0
            layers.append(activation.prepare(xp, variances, self.tangent, n_terms))
            mean, _ = activation.moments(xp, variances, False)
        return layers

    def _pairs(self, xp: Namespace, mean: Array, layers: list[tuple[PointNumbers, PointNumbers]]) -> Array:
        theta = None
        for number, (x, z) in enumerate(layers):
            affine = self.maps[number]
            if self.tangent:
                own = affine.w_rate * mean + affine.b_rate
                theta = own if theta is None else theta + own
            mean *= affine.w_variance
            mean += affine.b_variance
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
