r"""Kernels of the distance $r = |x - x'|$ alone: Gaussian, Laplace, Matérn, rational quadratic.

All measure r in units of `length_scale`. By default it is the median of the pairwise distances of the training inputs,
the usual first guess, set by `kernel.for_data(X_train)`.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from math import inf, isfinite, log
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.angular import AngularKernel
from solvable.kernels.base import DrawnFeatures, FeatureMap
from solvable.kernels.distances import SquaredDistances
from solvable.kernels.inputs import Array, Namespace, points, to_float64

_MEDIAN_POINTS = 2000
_SMOOTHNESS = (0.5, 1.5, 2.5)
# exp(-1e4) is 0 in every dtype; the square of the other number is in the range of single precision.
_NOTHING = 1e4
# log(1 + e^x) is x from here on, and e^x is in the range of single precision.
_LARGE_LOGARITHM = 80.0
_LARGEST_SQUARED = 1e18


def median_distance(X: Array, weights: NDArray[np.float64] | None = None) -> float:
    """Return the median of the Euclidean distances between all pairs of rows of `X` (n, d) that differ.

    With `weights` of the rows (n,) it is what it would be if each row were repeated so often. Of more than 2000 points
    it takes every k-th, with the smallest k that leaves at most 2000: the median hardly changes, the result is
    deterministic, and the memory stays at 2000^2 doubles.

    Raises:
        InputError: for fewer than two points, or if all of them coincide.
    """
    _, X = points("X", X)
    n = X.shape[0]
    if n < 2:
        raise InputError(
            "X has one point; expected at least two for the median of their distances; "
            "add points or pass length_scale"
        )
    step = -(-n // _MEDIAN_POINTS)
    X = to_float64(X[::step])
    xp, X = points("X", X)
    n = X.shape[0]
    tile, size = SquaredDistances(xp, X, X), tiles.tile_size(X)
    distances = np.empty(n * (n - 1) // 2)
    pairs = None if weights is None else np.empty(n * (n - 1) // 2)
    share = np.ones(n) if weights is None else weights[::step] / weights[::step].max()
    filled = 0
    for rows in tiles.slices(n, size):
        for columns in tiles.slices(rows.stop, size):
            block = tile(rows, columns)
            triangle = np.tri(*block.shape, k=rows.start - columns.start - 1, dtype=bool)
            below = block[triangle]
            distances[filled : filled + below.size] = below
            if pairs is not None:
                pairs[filled : filled + below.size] = np.outer(share[rows], share[columns])[triangle]
            filled += below.size
    # Tables of few values have many equal rows, which carry no information on the scale.
    apart = distances > 0
    distances = distances[apart]
    if not len(distances):
        raise InputError(
            "all sampled rows of X are equal, so that their distances have no median; expected points that differ; "
            "pass other points or length_scale"
        )
    np.sqrt(distances, out=distances)
    if pairs is None:
        median = float(np.median(distances, overwrite_input=True)) / tile.unit
    else:
        median = _weighted_median(distances, pairs[apart]) / tile.unit
    return one_number("the median distance of X", median, above=0)


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the value with half of the weight below, or the mean of two such values."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    first = int(np.searchsorted(below, below[-1] / 2))
    second = first + (below[first] == below[-1] / 2)
    return float(values[order[[first, second]]].mean())


class Stationary(AngularKernel):
    """A kernel of the distance, in units of a length scale; K(x, x) = 1."""

    # Subclasses declare this field, so that other parameters may come first.
    length_scale: float | None

    def __post_init__(self) -> None:
        if self.length_scale is not None:
            object.__setattr__(self, "length_scale", one_number("length_scale", self.length_scale, above=0))

    @property
    def resolved(self) -> bool:
        return self.length_scale is not None

    def for_data(self, X: Array, weights: NDArray[np.float64] | None = None) -> Self:
        """Return the kernel, with an unset `length_scale` replaced by the median distance of `X` (n, d)."""
        if self.resolved:
            return self
        return replace(self, length_scale=median_distance(X, weights))  # pyright: ignore[reportArgumentType]

    def __call__(self, X: Array, Z: Array | None = None, out: Array | None = None) -> Array:
        if not self.resolved:
            if Z is not None and Z is not X:
                raise InputError(
                    f"the length_scale of {self} is not set, and on two sets the median heuristic is "
                    "ambiguous; expected a kernel with a length_scale; call "
                    "`kernel = kernel.for_data(X_train)` first or pass length_scale"
                )
            return self.for_data(X)(X, out=out)
        return super().__call__(X, Z, out)

    def features(
        self, n_features: int, random_state: Any = None, orthogonal: bool | None = None
    ) -> FeatureMap:
        self._check_resolved()
        if orthogonal is None:
            orthogonal = isinstance(self, Gaussian)
        kind = OrthogonalFeatures if orthogonal else FourierFeatures
        return kind(n_features, random_state, self)

    def curve(self, cosine: Array) -> Array:
        """Return the kernel of two inputs of norm 1 at the `cosine` between them, in [-1, 1], of any shape.

        >>> Gaussian(1.0).curve([1.0, 0.5]).round(4)
        array([1.    , 0.6065])
        """
        return super().curve(cosine)

    def _of_cosine(self, xp: Namespace, cosine: Array) -> Array:
        self._check_resolved()
        return self._of_squared(xp, 2 - 2 * cosine, 1 / self._length, 4.0)

    def _check_resolved(self) -> None:
        if self.length_scale is None:
            raise InputError(
                f"the length_scale of {self} is not set; expected a kernel with a length_scale; "
                "call `kernel = kernel.for_data(X_train)` first or pass length_scale"
            )

    @property
    def _length(self) -> float:
        assert self.length_scale is not None
        return self.length_scale

    def _diagonal(self, xp: Namespace, X: Array) -> Array:
        return xp.ones(X.shape[0], dtype=X.dtype, device=X.device)

    def _tile_function(self, xp: Namespace, X: Array, Z: Array) -> tiles.TileFunction:
        squared = SquaredDistances(xp, X, Z, length=self.length_scale)
        # In this order, since the product of length and unit may leave the range.
        per_length = 1 / squared.unit / self._length
        return lambda rows, columns: self._of_squared(xp, squared(rows, columns), per_length, squared.largest)

    @abstractmethod
    def _of_squared(self, xp: Namespace, r2: Array, per_length: float, largest: float) -> Array:
        """Return the kernel at squared distances.

        Args:
            xp: namespace of `r2`.
            r2: squared distances, which may be overwritten.
            per_length: factor from distances to distances in units of the length scale.
            largest: bound of `r2`.
        """

    @abstractmethod
    def sample_frequencies(self, generator: np.random.Generator, size: int, d: int) -> NDArray[np.float64]:
        """Return `size` draws (size, d) from the spectral density, the Fourier transform of the kernel."""

    def finite_frequencies(self, generator: np.random.Generator, size: int, d: int) -> NDArray[np.float64]:
        """Return what `sample_frequencies` does.

        Raises:
            InputError: for a length scale whose inverse is beyond floats.
        """
        with np.errstate(over="ignore"):
            frequencies = self.sample_frequencies(generator, size, d)
        if not np.isfinite(frequencies).all():
            raise InputError(
                f"the frequencies of random features of {self} are beyond the range of floats; expected a larger "
                "length_scale: use another unit for the inputs"
            )
        return frequencies


@dataclass(frozen=True)
class Gaussian(Stationary):
    r"""$K = e^{-r^2 / 2\ell^2}$.

    Others write $e^{-\gamma r^2}$: $\gamma = 1 / 2\ell^2$.

    Args:
        length_scale: $\ell > 0$, in the units of the inputs; None: the median distance of the training inputs.

    >>> Gaussian(2.0)([[0.0], [2.0]]).round(4)
    array([[1.    , 0.6065],
           [0.6065, 1.    ]])
    """

    length_scale: float | None = None

    def _of_squared(self, xp: Namespace, r2: Array, per_length: float, largest: float) -> Array:
        r2 = _times(xp, r2, 0.5 * per_length * per_length, largest)
        r2 *= -1
        return xp.exp(r2)

    def sample_frequencies(self, generator: np.random.Generator, size: int, d: int) -> NDArray[np.float64]:
        return generator.standard_normal((size, d)) / self._length


@dataclass(frozen=True)
class Laplace(Stationary):
    r"""$K = e^{-r / \ell}$ with the Euclidean distance r.

    Scikit-learn's `laplacian_kernel` uses the sum of absolute differences instead; this one is Matérn 1/2.

    Args:
        length_scale: $\ell > 0$, in the units of the inputs; None: the median distance of the training inputs.

    >>> Laplace().for_data([[0.0, 0.0], [3.0, 4.0]])
    Laplace(length_scale=5.0)
    """

    length_scale: float | None = None

    def _of_squared(self, xp: Namespace, r2: Array, per_length: float, largest: float) -> Array:
        r = _times(xp, xp.sqrt(r2), per_length, largest**0.5)
        r *= -1
        return xp.exp(r)

    def sample_frequencies(self, generator: np.random.Generator, size: int, d: int) -> NDArray[np.float64]:
        return _student_t(generator, size, d, 0.5) / self._length


@dataclass(frozen=True)
class Matern(Stationary):
    r"""The Matérn kernel of smoothness $\nu$: $K = e^{-u} p(u)$ with $u = \sqrt{2\nu}\, r / \ell$.

    p is 1 for $\nu = 1/2$ (the Laplace kernel), $1 + u$ for 3/2, $1 + u + u^2/3$ for 5/2.

    Args:
        nu: 0.5, 1.5 or 2.5: sample functions have $\nu - 1/2$ continuous derivatives.
        length_scale: $\ell > 0$, in the units of the inputs; None: the median distance of the training inputs.

    >>> Matern(1.5, length_scale=1.0)([[0.0]], [[1.0]]).round(4)
    array([[0.4834]])
    """

    nu: float = 1.5
    length_scale: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "nu", one_number("nu", self.nu, above=0))
        if self.nu not in _SMOOTHNESS:
            raise InputError(
                f"nu is {self.nu:g}; expected 0.5, 1.5 or 2.5; use Gaussian for a smoother kernel"
            )

    def _of_squared(self, xp: Namespace, r2: Array, per_length: float, largest: float) -> Array:
        u = _times(xp, xp.sqrt(r2), (2 * self.nu) ** 0.5 * per_length, largest**0.5)
        if self.nu == 0.5:
            return xp.exp(-u)
        K = xp.exp(-u)
        if self.nu == 2.5:
            polynomial = u * (1 / 3)
            polynomial += 1
            polynomial *= u
        else:
            polynomial = u
        polynomial += 1
        K *= polynomial
        return K

    def sample_frequencies(self, generator: np.random.Generator, size: int, d: int) -> NDArray[np.float64]:
        return _student_t(generator, size, d, self.nu) / self._length


@dataclass(frozen=True)
class RationalQuadratic(Stationary):
    r"""$K = (1 + r^2 / 2\alpha\ell^2)^{-\alpha}$: a mixture of Gaussian kernels of many lengths.

    Args:
        alpha: $\alpha > 0$; the Gaussian kernel is its limit at infinity.
        length_scale: $\ell > 0$, in the units of the inputs; None: the median distance of the training inputs.

    >>> RationalQuadratic(1.0, length_scale=1.0)([[0.0]], [[2.0]]).round(4)
    array([[0.3333]])
    """

    alpha: float = 1.0
    length_scale: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "alpha", one_number("alpha", self.alpha, above=0))

    def _of_squared(self, xp: Namespace, r2: Array, per_length: float, largest: float) -> Array:
        factor, limits = 0.5 * per_length * per_length / self.alpha, xp.finfo(r2.dtype)
        if factor * largest < float(limits.max) and factor > float(limits.smallest_normal):
            r2 *= factor
            # log1p is accurate at small distances, and exp is faster than a general power.
            K = xp.log1p(r2)
        else:
            # Where the square of s leaves the range, its logarithm does not.
            per_length /= (2 * self.alpha) ** 0.5
            if not isfinite(per_length):
                raise InputError(
                    f"the inverse of the length_scale of {self} is beyond the range of floats; expected a length_scale "
                    "of the size of the distances; leave it out for their median"
                )
            r = xp.sqrt(r2)
            same = r == 0
            logs = 2 * (
                xp.log(xp.where(same, xp.ones_like(r), r)) + (log(per_length) if per_length else -inf)
            )
            large = logs > _LARGE_LOGARITHM
            K = xp.where(large, logs, xp.log1p(xp.exp(xp.where(large, xp.zeros_like(r), logs))))
            K[same] = 0.0
        K *= -self.alpha
        return xp.exp(K)

    def sample_frequencies(self, generator: np.random.Generator, size: int, d: int) -> NDArray[np.float64]:
        precision = generator.gamma(self.alpha, 1 / self.alpha, (size, 1))
        return generator.standard_normal((size, d)) * np.sqrt(precision) / self._length


def _times(xp: Namespace, values: Array, factor: float, largest: float) -> Array:
    """Return positive values times a factor, but no more than 1e4, of which the exponential of minus is 0.

    The product overwrites the values; infinities would be NaN in what follows.
    """
    if not factor * largest < _LARGEST_SQUARED:
        # An infinite factor times a distance of 0 is NaN.
        factor = min(factor, float(xp.finfo(values.dtype).max))
        values = xp.minimum(values, xp.asarray(_NOTHING / factor, dtype=values.dtype, device=values.device))
    values *= factor
    return values


def _student_t(generator: np.random.Generator, size: int, d: int, nu: float) -> NDArray[np.float64]:
    """Return draws of the multivariate Student t with 2 nu degrees of freedom, Matérn's spectral density."""
    normal = generator.standard_normal((size, d))
    normal /= np.sqrt(generator.chisquare(2 * nu, (size, 1)) / (2 * nu))
    return normal


class FourierFeatures(DrawnFeatures):
    r"""$\phi_j(x) = \sqrt{2/k} \cos(w_j \cdot x + b_j)$ with random frequencies and phases.

    The frequencies w are draws from the kernel's spectral density, the phases b are uniform in [0, 2π). The columns
    are independent, as the theory of random-feature regression assumes.

    Source: Rahimi and Recht, Random features for large-scale kernel machines, 2007.
    """

    kernel: "Stationary"

    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        (d,) = shape
        frequencies = self.kernel.finite_frequencies(generator, self.n_features, d)
        return [frequencies.T, generator.uniform(0, 2 * np.pi, self.n_features)]

    def _transform(self, xp: Namespace, X: Array, weights: list[Array]) -> Array:
        phase = X @ weights[0]
        phase += weights[1]
        features = xp.cos(phase)
        features *= (2 / self.n_features) ** 0.5
        return features


class OrthogonalFeatures(DrawnFeatures):
    r"""$\sqrt{2/k} \cos(w_j \cdot x)$ and $\sqrt{2/k} \sin(w_j \cdot x)$ in turn, the $w_j$ orthogonal in blocks of d.

    The directions of a block are the rows of a random rotation; the lengths of the $w_j$ are those of independent
    draws. On digits the variance is 0.2 of that of independent frequencies. The last of an odd number of features is a
    cosine of random phase.

    Source: Yu, Suresh, Choromanski, Holtmann-Rice and Kumar, Orthogonal random features, 2016.
    """

    kernel: "Stationary"

    def _draw(self, generator: np.random.Generator, *shape: int) -> list[NDArray[np.float64]]:
        (d,) = shape
        size = -(-self.n_features // 2)
        directions = []
        for _ in range(-(-size // d)):
            rotation, triangle = np.linalg.qr(generator.standard_normal((d, d)))
            # These signs make the rotation uniform.
            directions.append(rotation * np.sign(np.diagonal(triangle)))
        frequencies = np.concatenate(directions, axis=1)[:, :size]
        # In units of the length scale, whose squares neither overflow nor underflow.
        unit = self.kernel._length
        lengths = np.linalg.norm(self.kernel.finite_frequencies(generator, size, d) * unit, axis=1) / unit
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
