r"""Squared distances and angles between points, tile by tile, at full precision even for close pairs.

Both come from one matrix product, $|x - z|^2 = |x|^2 + |z|^2 - 2 x \cdot z$, which is fast but inaccurate for close
points: its rounding error is $\epsilon (|x|^2 + |z|^2)$. Two remedies keep the speed:

- Points are centred first. Distances do not change, and the error depends on the spread of the data instead of its
  distance from the origin (inputs around 10^6 would leave no digit of a unit distance).
- The few pairs that are still close relative to their norms are recomputed from $x - z$ itself.
"""

import threading
from collections.abc import Callable
from math import ceil, frexp

from solvable.errors import InputError
from solvable.kernels import tiles
from solvable.kernels.inputs import Array, Namespace

# Numbers in the gathered points of one round of close pairs (0.5 MB in float64).
_GATHERED = 2**16
# Squared distance of the farthest point from the mean, in units of the median one, from which the mean is no centre.
_OUTLIER = 1e4


class Products:
    r"""$x_i \cdot z_j$ of `X` (n, d) and `Z` (m, d); a call with two slices returns a view of that tile.

    On a CPU each thread caches the product of one band of rows (`tiles.bands`), up to its last row if `Z` is `X`.
    """

    def __init__(self, X: Array, Z: Array) -> None:
        self.X, self.Z = X, Z
        self._height = next(tiles.bands(X.shape[0], Z.shape[0])).stop
        self._cache = threading.local()

    def __call__(self, rows: slice, columns: slice) -> Array:
        if not tiles.on_cpu(self.X):
            return self.X[rows] @ self.Z[columns].T
        cache, start = self._cache, rows.start // self._height * self._height
        assert rows.stop <= start + self._height, "a tile lies in one band"
        if getattr(cache, "start", None) != start:
            stop = start + self._height
            cache.product = None  # Free the old band before the next is computed.
            cache.product = self.X[start:stop] @ self.Z[: stop if self.Z is self.X else None].T
            cache.start = start
        return cache.product[rows.start - start : rows.stop - start, columns]


class SquaredDistances:
    r"""$s |x_i - z_j|^2 u^2$ of `X` (n, d) and `Z` (m, d), s the `scale`; a call with two slices returns that tile.

    Attributes:
        unit: u, a power of 2: 1 unless squares of the coordinates would leave the range of the dtype.
        largest: a bound of $|x_i - z_j|^2 u^2$.

    Args:
        length: distances of this size matter, however large the others are; None: the size of the largest.
    """

    def __init__(
        self,
        xp: Namespace,
        X: Array,
        Z: Array,
        scale: float = 1.0,
        overwrite: bool = False,
        length: float | None = None,
    ) -> None:
        self.xp, self.scale = xp, scale
        limits = xp.finfo(X.dtype)
        # A distance whose square is lost is 0, to all digits, in units of the length if that is above this.
        shortest = float(limits.smallest_normal) ** 0.5 / float(limits.eps)
        self.unit = _unit(xp, X, Z, small=length is not None and length < shortest)
        self._all_matter = self.unit != 1.0 and (length is None or length * self.unit < shortest)
        if self.unit != 1.0:
            same = Z is X
            X = X * self.unit
            Z = X if same else Z * self.unit
        # Differences are taken of the points as they are: centring by the mean of data with an outlier rounds them.
        self._originals = None if overwrite else (X, Z)
        centre = xp.mean(X, axis=0)  # subtracted in place with `overwrite`
        self.X = _minus(X, centre, overwrite)
        # Halved, so that one final factor serves all three terms.
        self.x2 = sum_of_squares(xp, self.X) * 0.5
        if not overwrite and _has_outliers(xp, self.x2):
            centre = _median(xp, X)
            self.X = _minus(X, centre, overwrite)
            self.x2 = sum_of_squares(xp, self.X) * 0.5
        self.Z = self.X if Z is X else _minus(Z, centre, overwrite)
        self.z2 = self.x2 if Z is X else sum_of_squares(xp, self.Z) * 0.5
        self.largest = 4.0 * (float(xp.max(self.x2)) + float(xp.max(self.z2)))
        self._products = Products(self.X, self.Z)

    def __call__(self, rows: slice, columns: slice) -> Array:
        xp = self.xp
        X, Z = self._originals or (self.X, self.Z)
        X, Z = X[rows], Z[columns]

        def from_difference(i: Array, j: Array) -> Array:
            differences = xp.take(X, i, axis=0) - xp.take(Z, j, axis=0)
            squares = sum_of_squares(xp, differences)
            if self._all_matter:
                _refuse_lost(xp, squares, differences)
            return squares * self.scale

        tile, close = self.expanded(rows, columns)
        replace_pairs(tile, close, from_difference, X.shape[1])
        return tile

    def expanded(self, rows: slice, columns: slice) -> tuple[Array, tuple[Array, ...] | None]:
        """Return the expanded tile, and the indices (i, j) of inaccurate pairs, including all that may be negative."""
        xp, x2, z2 = self.xp, self.x2[rows], self.z2[columns]
        tile = self._products(rows, columns) - x2[:, None]
        tile -= z2[None, :]
        tile *= -2 * self.scale
        # About 1e-6 in float64: the error of a squared distance is below 1e-10, that of a distance, relative to the
        # data's spread, below 1e-13.
        tolerance = 2 * self.scale * float(xp.finfo(tile.dtype).eps) ** 0.375
        # Finding the minimum is one cheap pass, and most tiles hold no close pair.
        if float(xp.min(tile)) > tolerance * float(xp.max(x2) + xp.max(z2)):
            return tile, None
        return tile, xp.nonzero(tile <= tolerance * (x2[:, None] + z2[None, :]))


class Angles:
    r"""The angles $\theta_{ij}$ between `X` (n, d) and `Z` (m, d) seen from the origin.

    They are represented by $q = \sin^2(\theta/2) = |\hat x - \hat z|^2 / 4$, which resolves small angles where the
    cosine $1 - 2q$ rounds to 1; it is arbitrary in [0, 1] if a point is the origin. `constant` is one more coordinate
    common to all points, such as a bias.

    Attributes:
        x_norm, z_norm: the norms (n,) and (m,).
        scale: a power of 2 by which points are multiplied, so that their squares stay in range.
    """

    def __init__(self, xp: Namespace, X: Array, Z: Array, constant: float = 0.0) -> None:
        self.xp = xp
        self.scale = _unit(xp, X, Z, constant)
        if self.scale != 1.0:
            same = Z is X
            X, constant = X * self.scale, constant * self.scale
            Z = X if same else Z * self.scale
        self.X, self.Z, self.constant = X, Z, constant
        x_norm = xp.sqrt(sum_of_squares(xp, X) + constant**2)
        z_norm = x_norm if Z is X else xp.sqrt(sum_of_squares(xp, Z) + constant**2)
        self.x_norm = x_norm / self.scale
        self.z_norm = self.x_norm if Z is X else z_norm / self.scale
        for norm in (self.x_norm, self.z_norm):
            if not bool(xp.all(xp.isfinite(norm))):
                raise InputError(
                    "the norm of a point overflows: its coordinates are too large to square; expected smaller ones; "
                    "scale the inputs"
                )
        self._x_safe = _not_zero(xp, x_norm)
        self._z_safe = self._x_safe if Z is X else _not_zero(xp, z_norm)
        x_unit = _unit_vectors(xp, X, self._x_safe, constant)
        z_unit = x_unit if Z is X else _unit_vectors(xp, Z, self._z_safe, constant)
        self._unit = SquaredDistances(xp, x_unit, z_unit, scale=0.25, overwrite=True)

    def __call__(
        self, rows: slice, columns: slice, norm_differences: bool = False
    ) -> tuple[Array, Array | None]:
        r"""Return the tile of q and, with `norm_differences`, that of $|x_i| - |z_j|$ (else None)."""
        xp, unit = self.xp, self._unit
        X, Z, x_norm, z_norm = self.X[rows], self.Z[columns], self._x_safe[rows], self._z_safe[columns]

        def norm_difference(i: Array, j: Array) -> Array:
            x, z = xp.take(X, i, axis=0), xp.take(Z, j, axis=0)
            return xp.sum((x - z) * (x + z), axis=1) / (xp.take(x_norm, i) + xp.take(z_norm, j))

        def from_difference(i: Array, j: Array) -> Array:
            # With t^2 = |z|/|x|, w = t x - z/t has |w|^2 = |x||z| |x^ - z^|^2. It is formed from x - z, whose
            # rounding error is small, not from the unit vectors, which are already rounded.
            x_length, z_length = xp.take(x_norm, i), xp.take(z_norm, j)
            z = xp.take(Z, j, axis=0)
            product = x_length * z_length
            shorter = norm_difference(i, j) / xp.sqrt(product)
            w = xp.sqrt(z_length / x_length)[:, None] * (xp.take(X, i, axis=0) - z)
            w -= shorter[:, None] * z
            return (sum_of_squares(xp, w) + (shorter * self.constant) ** 2) / (4 * product)

        q, close = unit.expanded(rows, columns)
        replace_pairs(q, close, from_difference, X.shape[1])
        # Within rounding these pairs are opposite, and the error of theta is the root of an error in 1 - q.
        opposite = 1 - 8 * float(xp.finfo(q.dtype).eps)
        if float(xp.max(q)) > opposite:
            q[q > opposite] = 1
        if not norm_differences:
            return q, None
        difference = self.x_norm[rows][:, None] - self.z_norm[columns][None, :]
        replace_pairs(difference, close, lambda i, j: norm_difference(i, j) / self.scale, X.shape[1])
        return q, difference


def replace_pairs(
    tile: Array, pairs: tuple[Array, ...] | None, compute: Callable[[Array, Array], Array], n_coordinates: int
) -> None:
    """Set tile[i, j] = compute(i, j) for the index arrays in `pairs`, in rounds of bounded memory."""
    if pairs is None:
        return
    i, j = pairs
    per_round = ceil(_GATHERED / n_coordinates)
    for start in range(0, i.shape[0], per_round):
        part = slice(start, start + per_round)
        tile[i[part], j[part]] = compute(i[part], j[part])


def _unit_vectors(xp: Namespace, X: Array, norm: Array, constant: float) -> Array:
    """Return the points, with their constant coordinate if there is one, divided by their norms."""
    if not constant:
        return X / norm[:, None]
    n, d = X.shape
    unit = xp.empty((n, d + 1), dtype=X.dtype, device=X.device)
    unit[:, :d] = X
    unit[:, d] = constant
    unit /= norm[:, None]
    return unit


def norms(xp: Namespace, X: Array) -> Array:
    """Return |x_i|, (n,), without overflow or underflow of squares."""
    unit = _unit(xp, X, X)
    return xp.sqrt(sum_of_squares(xp, X * unit)) / unit if unit != 1.0 else xp.sqrt(sum_of_squares(xp, X))


def _unit(xp: Namespace, X: Array, Z: Array, constant: float = 0.0, small: bool = False) -> float:
    """Return a power of 2 by which points are multiplied, so that their squares stay in range.

    They become large, so that differences that are much smaller can be squared too; also if the points are in range,
    but `small` differences matter.
    """
    largest = max(float(xp.max(xp.abs(X))), 0.0 if Z is X else float(xp.max(xp.abs(Z))), abs(constant))
    limits = xp.finfo(X.dtype)
    # Sums of squares of d differences, and squares of differences that are 1e-10 of the largest coordinate.
    if largest == 0 or (
        not small
        and largest < (float(limits.max) / (64 * X.shape[1])) ** 0.5
        and largest > 1e10 * float(limits.smallest_normal) ** 0.5
    ):
        return 1.0
    # The square of 2**480, summed over coordinates, is in range, and so is the inverse of the square.
    top = frexp(float(limits.max))[1]
    exponent = top // 2 - top // 32 - frexp(largest)[1]
    # Not 2**1074, which is beyond the range.
    return 2.0 ** min(exponent, top - top // 32)


def _refuse_lost(xp: Namespace, squares: Array, differences: Array) -> None:
    """Raise where points differ, but the square of their difference is lost beside the largest distance."""
    tiny = float(xp.finfo(squares.dtype).smallest_normal)
    lost = squares < tiny
    if bool(xp.any(lost)) and bool(xp.any(differences[lost] != 0)):
        raise InputError(
            f"points are so far away that the distances between others are lost in {squares.dtype}; expected distances "
            "that differ less: leave out the points that are far away"
        )


def _has_outliers(xp: Namespace, x2: Array) -> bool:
    """Return whether a few points are so far away that the mean of the points is far from nearly all of them."""
    ordered = xp.sort(x2)
    return float(ordered[-1]) > _OUTLIER * float(ordered[(x2.shape[0] - 1) // 2])


def _median(xp: Namespace, X: Array) -> Array:
    return xp.sort(X, axis=0)[X.shape[0] // 2, :]


def _minus(X: Array, centre: Array, overwrite: bool) -> Array:
    if not overwrite:
        return X - centre
    X -= centre
    return X


def sum_of_squares(xp: Namespace, X: Array) -> Array:
    """Return |x_i|^2, (n,)."""
    return xp.linalg.vecdot(X, X)


def _not_zero(xp: Namespace, norm: Array) -> Array:
    # A zero vector has no direction: it stays zero, and its kernels do not use its angle.
    return xp.where(norm > 0, norm, xp.ones((), dtype=norm.dtype, device=norm.device))
