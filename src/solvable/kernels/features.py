r"""Random features: maps $\phi$ of k columns with $E[\phi(x) \cdot \phi(x')] = K(x, x')$.

The factor $1/\sqrt{k}$ is included. The columns are independent and alike given the weights of lower layers,
so the first k' columns times $\sqrt{k/k'}$ are k' features of the same kind.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels.inputs import Array, Namespace, points, whole

if TYPE_CHECKING:
    from solvable.kernels.base import Kernel
    from solvable.kernels.stationary import Stationary


class FeatureMap(ABC):
    r"""A callable: `phi(X)` has shape (n, `n_features`) and `phi(X) @ phi(Z).T` estimates the kernel matrix.

    The weights are drawn at the first call, from `random_state` and the number of coordinates of its points,
    and stay: training and test set see the same map. Tensors get the same weights, in their dtype, on their
    device.

    Made by `kernel.features(n_features, random_state)`.

    >>> from solvable.kernels import Gaussian
    >>> phi = Gaussian(length_scale=1.0).features(5000, random_state=0)
    >>> features = phi([[0.0, 0.0], [1.0, 0.0]])
    >>> features.shape
    (2, 5000)
    >>> print(f"{features[0] @ features[1]:.2f} estimates {np.exp(-0.5):.2f}")
    0.60 estimates 0.61
    """

    n_features: int
    kernel: "Kernel"

    def error(self, X: Array, Z: Array | None = None) -> float:
        r"""Return how far $\phi(X)\phi(Z)^\top$ is from the kernel matrix: its rms, over the mean of the diagonal.

        Args:
            X: points, (n, d): some hundred are enough.
            Z: points, (m, d); `X` itself when left out.

        >>> from solvable.kernels import Gaussian
        >>> X = np.random.default_rng(0).standard_normal((50, 3))
        >>> errors = [Gaussian(2.0).features(k, random_state=0).error(X) for k in (100, 10_000)]
        >>> print(f"{errors[0]:.2f} {errors[1]:.3f}")
        0.06 0.005
        """
        features = self(X)
        xp = array_namespace(features)
        estimate = features @ (features if Z is None else self(Z)).T
        off = estimate - self.kernel(X, Z)
        return float(xp.sqrt(xp.mean(off * off)) / xp.mean(self.kernel.diag(X)))

    @abstractmethod
    def __call__(self, X: Array) -> Array:
        """Return the features of the points `X` (n, d), shape (n, n_features).

        Raises:
            InputError: for points that a kernel would refuse, or of another d than at the first call.
        """


class DrawnFeatures(FeatureMap):
    """Features of weights that are drawn once."""

    def __init__(self, n_features: int, random_state: Any, kernel: "Kernel") -> None:
        self.n_features = whole("n_features", n_features, at_least=1)
        self.kernel = kernel
        try:
            self._generator = np.random.default_rng(random_state)
        except (TypeError, ValueError):
            raise InputError(
                f"random_state is {random_state!r}; expected None, a whole number >= 0 or a "
                "numpy.random.Generator; give one of these"
            ) from None
        self._weights: list[NDArray[np.float64]] | None = None
        self._shape: tuple[int, ...] = ()

    def __call__(self, X: Array) -> Array:
        xp, X = self._checked(X)
        shape = tuple(X.shape[1:])
        if self._weights is None:
            self._weights = self._draw(self._generator, *shape)
            self._shape = shape
        if shape != self._shape:
            raise InputError(
                f"X has {_described(shape)} and the weights of these features were drawn for "
                f"{_described(self._shape)}; expected the same; make a new map with kernel.features(...)"
            )
        weights = [xp.asarray(w, dtype=X.dtype, device=X.device) for w in self._weights]
        return self._transform(xp, X, weights)

    def _checked(self, X: Array) -> tuple[Namespace, Array]:
        return points("X", X)

    @abstractmethod
    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        """Return the weights for points of this shape: (d,), or (height, width, channels)."""

    @abstractmethod
    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        """Return the features of checked points."""


def _described(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} coordinates" if len(shape) == 1 else f"images of {' x '.join(map(str, shape))}"


class FourierFeatures(DrawnFeatures):
    r"""$\phi_j(x) = \sqrt{2/k} \cos(w_j \cdot x + b_j)$ with random frequencies and phases.

    The frequencies w are draws from the kernel's spectral density, the phases b are uniform in [0, 2π). The columns
    are independent, which is what the theory of random-feature regression is about.

    Source: Rahimi and Recht, Random features for large-scale kernel machines, 2007.
    """

    kernel: "Stationary"

    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        (d,) = shape
        frequencies = self.kernel.sample_frequencies(generator, self.n_features, d)
        return [frequencies.T, generator.uniform(0, 2 * np.pi, self.n_features)]

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        phase = X @ weights[0]
        phase += weights[1]
        features = xp.cos(phase)
        features *= (2 / self.n_features) ** 0.5
        return features


class OrthogonalFeatures(DrawnFeatures):
    r"""$\sqrt{2/k} \cos(w_j \cdot x)$ and $\sqrt{2/k} \sin(w_j \cdot x)$ in turn, the $w_j$ orthogonal in blocks of d.

    The directions of a block are the rows of a random rotation, the lengths of the $w_j$ those of Gaussian draws.
    On digits the variance is 0.2 of that of independent frequencies. Of an odd number of features the last is a cosine
    of a random phase.

    Source: Yu, Suresh, Choromanski, Holtmann-Rice and Kumar, Orthogonal random features, 2016.
    """

    kernel: "Stationary"

    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        (d,) = shape
        size = -(-self.n_features // 2)
        directions = []
        for _ in range(-(-size // d)):
            rotation, triangle = np.linalg.qr(generator.standard_normal((d, d)))
            # Without these signs the rotation would not be uniform.
            directions.append(rotation * np.sign(np.diagonal(triangle)))
        frequencies = np.concatenate(directions, axis=1)[:, :size]
        lengths = np.linalg.norm(self.kernel.sample_frequencies(generator, size, d), axis=1)
        return [frequencies * lengths, generator.uniform(0, 2 * np.pi, 1)]

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        k = self.n_features
        phase = X @ weights[0]
        features = xp.empty((X.shape[0], k), dtype=X.dtype, device=X.device)
        features[:, 1::2] = xp.sin(phase[:, : k // 2])
        if k % 2:
            phase[:, -1] += weights[1]
        features[:, ::2] = xp.cos(phase)
        features *= (2 / k) ** 0.5
        return features


class MaclaurinFeatures(DrawnFeatures):
    r"""$\phi_j(x) = \sqrt{S/k} \prod_{i \le D_j} (s_{ji} \cdot x)/\sqrt d$ for $K = \sum_k a_k (x \cdot x'/d)^k$.

    The degree $D_j$ is k with probability $a_k/S$, S the sum of the $a_k$, and the s are fair random signs. It is
    unbiased for inputs of any length; its variance grows fast with the degree.

    Source: Kar and Karnick, Random feature maps for dot product kernels, 2012.
    """

    def __init__(
        self, n_features: int, random_state: Any, kernel: "Kernel", coefficients: Any, scale: bool = True
    ) -> None:
        super().__init__(n_features, random_state, kernel)
        self._coefficients, self._scale = np.asarray(coefficients, dtype=float), scale

    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        (d,) = shape
        total = self._coefficients.sum()
        # Sorted, the columns that have an i-th factor are the last ones; which column has which degree does not matter.
        degrees = np.sort(
            generator.choice(len(self._coefficients), self.n_features, p=self._coefficients / total)
        )
        order = generator.permutation(self.n_features)
        weights = [np.sqrt([total / self.n_features]), degrees.astype(float), order.astype(float)]
        for power in range(1, int(degrees[-1]) + 1):
            columns = int((degrees >= power).sum())
            weights.append(generator.choice([-1.0, 1.0], (d, columns)) / (np.sqrt(d) if self._scale else 1.0))
        return weights

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        features = xp.ones((X.shape[0], self.n_features), dtype=X.dtype, device=X.device)
        for signs in weights[3:]:
            features[:, self.n_features - signs.shape[1] :] *= X @ signs
        features *= weights[0]
        return xp.take(features, xp.astype(weights[2], xp.int64), axis=1)


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
