r"""The arc-cosine kernels: the mean product of two rectified powers of random projections."""

from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.checks import whole
from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.angular import AngularKernel
from solvable.kernels.base import DrawnFeatures, FeatureMap, Kernel
from solvable.kernels.distances import Angles, norms
from solvable.kernels.inputs import Array, Namespace

# J_p at angle 0, divided by 2 pi: E[max(0, z)^(2p)] of a standard normal z.
_AT_ZERO = (0.5, 0.5, 1.5, 7.5)


@dataclass(frozen=True)
class ArcCosine(AngularKernel):
    r"""$K = E_w[\max(0, w \cdot x)^p \max(0, w \cdot x')^p] = s^p J_p(\theta) / 2\pi$, $w \sim N(0, I/d)$.

    $s = |x||x'|/d$, $\theta$ is the angle between the inputs and $J_0 = \pi - \theta$,
    $J_1 = \sin\theta + (\pi-\theta)\cos\theta$,
    $J_2 = 3\sin\theta\cos\theta + (\pi-\theta)(1 + 2\cos^2\theta)$,
    $J_3 = 15\sin\theta - 11\sin^3\theta + (\pi-\theta)(9\cos\theta + 6\cos^3\theta)$. Order 1 is the kernel of random
    ReLU features. The kernel of a zero vector is 0.

    Args:
        order: p, from 0 (the step function) to 3.

    Source: Cho and Saul, Kernel methods for deep learning, 2009; their normalisation is twice this one for
    $w \sim N(0, I)$.

    >>> ArcCosine(order=1).curve([1.0, 0.0]).round(4)
    array([0.5   , 0.1592])
    """

    order: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", whole("order", self.order, at_least=0))
        if self.order > 3:
            raise InputError(f"order is {self.order}; expected 0, 1, 2 or 3")

    def _of_cosine(self, xp: Namespace, cosine: Array) -> Array:
        return self._of_angle(xp, 0.5 - 0.5 * cosine)

    def _features(self, n_features: int, random_state: Any) -> FeatureMap:
        return RectifiedPowerFeatures(n_features, random_state, self, self.order)

    def _diagonal(self, xp: Namespace, X: Array) -> Array:
        power = self._power(xp, norms(xp, X) * X.shape[1] ** -0.5)
        return power * power * _AT_ZERO[self.order]

    def _tile_function(self, xp: Namespace, X: Array, Z: Array) -> tiles.TileFunction:
        angles = Angles(xp, X, Z)
        scale = X.shape[1] ** -0.5
        x_factor, z_factor = self._power(xp, angles.x_norm * scale), self._power(xp, angles.z_norm * scale)

        def tile(rows: slice, columns: slice) -> Array:
            q, _ = angles(rows, columns)
            K = self._of_angle(xp, q)
            K *= x_factor[rows][:, None]
            K *= z_factor[columns][None, :]
            return K

        return tile

    def _power(self, xp: Namespace, norm: Array) -> Array:
        # The step function is 0 at 0, so the kernel of a zero vector is 0 at order 0 too (0^0 would be 1).
        return xp.astype(norm > 0, norm.dtype) if self.order == 0 else norm**self.order

    def _of_angle(self, xp: Namespace, q: Array) -> Array:
        """Return J_p / 2 pi at q = sin^2(theta/2)."""
        rest = 2 * xp.acos(xp.sqrt(q))  # pi - theta
        if self.order == 0:
            rest /= 2 * pi
            return rest
        cos = 1 - 2 * q
        sin = 2 * xp.sqrt(q * (1 - q))
        if self.order == 1:
            J = sin + rest * cos
        elif self.order == 2:
            J = 3 * sin * cos + rest * (1 + 2 * cos * cos)
        else:
            J = sin * (15 - 11 * sin * sin) + rest * cos * (9 + 6 * cos * cos)
        J /= 2 * pi
        return J


class RectifiedPowerFeatures(DrawnFeatures):
    r"""$\phi_j(x) = \max(0, w_j \cdot x)^p / \sqrt{k}$, $w_j \sim N(0, I/d)$; p = 0: 1[w·x > 0]."""

    def __init__(self, n_features: int, random_state: Any, kernel: "Kernel", order: int) -> None:
        super().__init__(n_features, random_state, kernel)
        self.order = order

    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        (d,) = shape
        return [generator.standard_normal((self.n_features, d)).T / np.sqrt(d)]

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        z = X @ weights[0]
        features = xp.astype(z > 0, z.dtype)
        for _ in range(self.order):
            features *= z
        features *= self.n_features**-0.5
        return features
