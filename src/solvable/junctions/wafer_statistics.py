r"""Statistics of a wafer: spreads, nested components of the variance, the map, biases of the widths.

All work with $z = \ln R$ of junctions that are flagged ok, after the effects of their designs: differences of z are
relative differences of R.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import numbers
from solvable.errors import InputError

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

# Tukey's biweight loses 5 % of efficiency on normal values at 4.685 standard deviations.
_BIWEIGHT = 4.685
# Size of groups below which their own median deviation is too uncertain.
_FEW = 16

STANDS_OUT = 5.0
"""Robust standard deviations from which a residual stands out: `#` in the text map."""

MAD = 1.4826
"""Standard deviation of normal values over their median absolute deviation."""

Z95 = 1.959963984540054
"""Half-width of the 95 % interval of a normal variable, in standard deviations."""


def small_sample_factor(n: ArrayLike) -> Array:
    r"""Return c4, the mean of a sample's standard deviation over the true one: 0.886 for 3 and 0.973 for 10.

    $\sqrt{2 / (n - 1)}\,\Gamma(n / 2) / \Gamma((n - 1) / 2)$ for normal values.

    Args:
        n: sizes of samples, at least 2.

    >>> small_sample_factor([3, 10]).round(4)
    array([0.8862, 0.9727])
    """
    from scipy.special import gammaln

    m = numbers("n", n, at_least=2)
    return np.sqrt(2 / (m - 1)) * np.exp(gammaln(m / 2) - gammaln((m - 1) / 2))


def group_means(values: Array, codes: Codes, n_groups: int) -> Array:
    """Return the mean of each group; NaN for empty ones."""
    counts = np.bincount(codes, minlength=n_groups)
    with np.errstate(invalid="ignore"):
        return np.bincount(codes, values, n_groups) / counts


def two_way_effects(z: Array, designs: Codes, chips: Codes) -> tuple[Array, Array]:
    """Return the effects of designs and of chips on z by least squares; those of chips have a mean of 0 over junctions.

    Args:
        z: values (n,).
        designs: number of the design of each.
        chips: number of the chip of each.

    Returns:
        an effect for each design and each chip; 0 for those without a junction.
    """
    m, k = int(designs.max()) + 1, int(chips.max()) + 1
    # The larger set of effects is eliminated from the normal equations.
    first, second, n, r = (designs, chips, m, k) if m > k else (chips, designs, k, m)
    counts = np.bincount(first * r + second, minlength=n * r).reshape(n, r).astype(np.float64)
    per_first = np.maximum(counts.sum(axis=1), 1.0)
    share = counts / per_first[:, None]
    sums = np.bincount(first, z, n)
    matrix = np.diag(counts.sum(axis=0)) - counts.T @ share
    # Singular, since effects may be shifted against each other: the shortest solution.
    inner = np.linalg.lstsq(matrix, np.bincount(second, z, r) - share.T @ sums, rcond=1e-10)[0]
    outer = sums / per_first - share @ inner
    of_design, of_chip = (outer, inner) if m > k else (inner, outer)
    shift = of_chip[chips].mean()
    of_chip = np.where(np.bincount(chips, minlength=k) > 0, of_chip - shift, 0.0)
    return np.where(np.bincount(designs, minlength=m) > 0, of_design + shift, 0.0), of_chip


def separate_groups(designs: Codes, chips: Codes) -> int:
    """Return into how many groups the chips fall that share no design; more than 1 confounds designs with chips."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    d = np.unique(designs, return_inverse=True)[1]
    c = np.unique(chips, return_inverse=True)[1]
    n = int(d.max()) + 1
    size = n + int(c.max()) + 1
    graph = coo_array((np.ones(len(d)), (d, n + c)), shape=(size, size)).tocsr()
    return int(connected_components(graph, directed=False)[0])


class Component(NamedTuple):
    """A standard deviation of ln R, and its 95 % interval."""

    sd: float
    """Standard deviation, as a fraction of R."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


class VarianceComponents(NamedTuple):
    """The spread on chips and that among chips."""

    on_chip: Component
    """Within a chip."""
    among_chips: Component
    """Of the chips' means, beyond what the spread on chips causes."""
    n_chips: int
    """Number of chips."""


def variance_components(u: ArrayLike, chips: ArrayLike, n_designs: int = 1) -> VarianceComponents:
    r"""Return nested components of the variance of u, junctions on chips, by the analysis of variance.

    $s_\text{on}^2 = MS_\text{within}$ and $s_\text{among}^2 = \max(0, MS_\text{between} - MS_\text{within}) / n_0$ with
    $n_0 = (N - \sum_i n_i^2 / N) / (k - 1)$ for k chips of $n_i$ of all N junctions.

    Args:
        u: ln R less the effect of the design (N,).
        chips: name or number of the chip of each (N,).
        n_designs: number of designs whose effects were fitted and removed; they take degrees of freedom.

    Returns:
        both with 95 % intervals: chi-squared on chips, modified large-sample among chips (Ting et al., 1990).

    Raises:
        InputError: if there are fewer than two chips, every chip has one junction, or too few are left for the designs.

    >>> rng = np.random.default_rng(0)
    >>> chip = np.repeat(np.arange(40), 90)
    >>> u = 0.0253 * rng.standard_normal(40)[chip] + 0.027 * rng.standard_normal(3600)
    >>> parts = variance_components(u, chip)
    >>> round(100 * parts.on_chip.sd, 2), round(100 * parts.among_chips.sd, 1)  # percent
    (2.7, 2.0)
    """
    from scipy.stats import chi2, f

    values = numbers("u", u)
    names, codes = np.unique(np.asarray(chips), return_inverse=True)
    k, N = len(names), len(values)
    if k < 2:
        raise InputError("all junctions are on one chip; expected at least 2 chips to compare them")
    if k == N:
        raise InputError(
            "every chip has one junction; expected 2 or more on some, to tell the spread on chips from that among"
        )
    freedom = N - k - n_designs + 1
    if freedom < 1:
        raise InputError(
            f"{N} junctions of {n_designs} designs on {k} chips leave nothing to tell a spread by; expected more of "
            "each"
        )
    counts = np.bincount(codes)
    means = group_means(values, codes, k)
    within = float(np.square(values - means[codes]).sum() / freedom)
    between = float((counts * np.square(means - values.mean())).sum() / (k - 1))
    n0 = (N - np.square(counts).sum() / N) / (k - 1)
    among = max(between - within, 0.0) / n0
    ends = within * freedom / chi2.ppf([0.975, 0.025], freedom)
    # Ting, Burdick, Graybill, Jeyaratnam and Lu (1990), for a difference of mean squares.
    a, b = k - 1, freedom
    G1, G2 = 1 - a / chi2.ppf(0.975, a), 1 - b / chi2.ppf(0.975, b)
    H1, H2 = a / chi2.ppf(0.025, a) - 1, b / chi2.ppf(0.025, b) - 1
    F1, F2 = f.ppf(0.975, a, b), f.ppf(0.025, a, b)
    G12 = ((F1 - 1) ** 2 - G1**2 * F1**2 - H2**2) / F1
    H12 = ((1 - F2) ** 2 - H1**2 * F2**2 - G2**2) / F2
    down = (G1 * between) ** 2 + (H2 * within) ** 2 + G12 * between * within
    up = (H1 * between) ** 2 + (G2 * within) ** 2 + H12 * between * within
    low = max(between - within - np.sqrt(max(down, 0.0)), 0.0) / n0
    high = max(between - within + np.sqrt(max(up, 0.0)), 0.0) / n0
    return VarianceComponents(
        Component(*(float(np.sqrt(one)) for one in (within, *ends))),
        Component(*(float(np.sqrt(one)) for one in (among, low, high))),
        k,
    )


class WaferMap(NamedTuple):
    """A map of ln R over the wafer, z0 + gx x + gy y + q r²."""

    gradient_x_per_mm: float
    """gx."""
    gradient_y_per_mm: float
    """gy."""
    curvature_per_mm2: float
    """q."""
    errors: tuple[float, float, float]
    """Standard errors of the three."""
    explained: float
    """Share of the variance among the chips' means that it explains (R²)."""
    residual_sd: float
    """Standard deviation of the chips' means around it."""


def map_fit(x_mm: ArrayLike, y_mm: ArrayLike, level: ArrayLike, weight: ArrayLike = 1.0) -> WaferMap | None:
    """Return the map that fits the chips' levels best, or None where their places do not determine it.

    It takes 6 chips that are neither in a line nor on a circle.

    Args:
        x_mm: places of the chips (k,).
        y_mm: places of the chips (k,).
        level: mean of ln R, less the effect of the design, of each chip (k,).
        weight: weight of each chip (k,), as the inverse of the variance of its level; by default equal.

    >>> x, y = (one.ravel() for one in np.mgrid[-2:3, -2:3])
    >>> found = map_fit(x, y, 0.01 * x - 0.02 * y + 0.001 * (x**2 + y**2))
    >>> [round(value, 6) for value in found[:3]]
    [0.01, -0.02, 0.001]
    """
    x, y, z = numbers("x_mm", x_mm), numbers("y_mm", y_mm), numbers("level", level)
    basis = _basis(x, y)
    scale = np.abs(basis).max(axis=0)
    if len(z) < 6 or (scale == 0).any() or np.linalg.matrix_rank(basis / scale) < basis.shape[1]:
        return None
    w = np.broadcast_to(numbers("weight", weight, above=0), z.shape)
    root = np.sqrt(w / w.mean())
    scaled = basis / scale * root[:, None]
    theta, *_ = np.linalg.lstsq(scaled, z * root, rcond=None)
    rest = z - basis / scale @ theta
    variance = np.square(rest * root).sum() / (len(z) - basis.shape[1])
    errors = np.sqrt(variance * np.diag(np.linalg.inv(scaled.T @ scaled))) / scale
    theta = theta / scale
    total = (w * np.square(z - np.average(z, weights=w))).sum()
    explained = 1 - (w * np.square(rest)).sum() / total if total > 0 else 0.0
    return WaferMap(
        *map(float, theta[1:]),
        errors=tuple(map(float, errors[1:])),  # pyright: ignore[reportArgumentType]
        explained=float(explained),
        residual_sd=float(np.sqrt(variance)),
    )


def _basis(x: Array, y: Array) -> Array:
    return np.stack([np.ones_like(x), x, y, x**2 + y**2], axis=1)


def robust_residuals(z: Array, designs: Codes, x_mm: Array | None, y_mm: Array | None) -> Array:
    """Return what is left of ln R after design and a smooth trend over the wafer, both fitted robustly.

    The trend is that of `map_fit`, by Tukey's biweight from the medians of the designs, so that junctions that stand
    out do not hide themselves. Without places only the design is removed.

    Args:
        z: ln R (n,), NaN where there is none.
        designs: number of the design of each.
        x_mm: places on the wafer (n,), or None.
        y_mm: places on the wafer (n,), or None.
    """
    usable = np.isfinite(z)
    out = np.full(len(z), np.nan)
    if not usable.any():
        return out
    values, codes = z[usable], designs[usable]
    n = int(codes.max()) + 1
    level = _medians(values, codes, n)
    trend = np.zeros(len(values))
    if x_mm is not None and y_mm is not None and len(values) > 12:
        basis = _basis(x_mm[usable], y_mm[usable])
        basis /= np.maximum(np.abs(basis).max(axis=0), 1e-300)
        for _ in range(30):
            rest = values - level[codes] - trend
            scale = MAD * np.median(np.abs(rest - np.median(rest)))
            if scale == 0:
                break
            weight = np.square(np.clip(1 - np.square(rest / (_BIWEIGHT * scale)), 0, None))
            weighted = basis * weight[:, None]
            # lstsq of the normal equations: chips in a line leave a direction without information.
            theta = np.linalg.lstsq(weighted.T @ basis, weighted.T @ (values - level[codes]), rcond=1e-12)[0]
            before, trend = trend, basis @ theta
            sums = np.bincount(codes, weight, n)
            means = np.bincount(codes, weight * (values - trend), n) / np.maximum(sums, 1e-300)
            level = np.where(sums > 1, means, level)
            if np.abs(trend - before).max() < 1e-6 * scale:
                break
    rest = values - level[codes] - trend
    out[usable] = rest - _medians(rest, codes, n)[codes]
    return out


def group_medians(values: Array, codes: Codes) -> Array:
    """Return for each value the median of its group, without NaN; NaN in groups that have nothing else."""
    known = np.isfinite(values)
    n = int(codes.max()) + 1 if len(codes) else 0
    if not known.any():
        return np.full(len(values), np.nan)
    return _medians(values[known], codes[known], n)[codes]


def robust_spread(rest: Array, codes: Codes) -> Array:
    """Return for each value the robust standard deviation of its group, 1.4826 times the median of its size.

    Medians of a few values are often far too small: groups of fewer than 16 have at least the spread of all values
    together, so that the small ones among them are judged mildly.

    Args:
        rest: values around the median of their group (n,), NaN where there is none.
        codes: number of the group of each.
    """
    size = np.abs(rest)
    own = MAD * group_medians(size, codes)
    if not np.isfinite(rest).any():
        return own
    together = MAD * float(np.nanmedian(size))
    counts = np.bincount(codes[np.isfinite(rest)], minlength=int(codes.max()) + 1)[codes]
    return np.where(counts < _FEW, np.maximum(own, together), own)


def _medians(values: Array, codes: Codes, n_groups: int) -> Array:
    order = np.lexsort((values, codes))
    counts = np.bincount(codes, minlength=n_groups)
    ends = np.cumsum(counts)
    starts = ends - counts
    ordered = values[order]
    last = len(ordered) - 1
    low = np.minimum(starts + (counts - 1) // 2, last)
    high = np.minimum(starts + counts // 2, last)
    return np.where(counts > 0, (ordered[low] + ordered[high]) / 2, np.nan)


class WidthBias(NamedTuple):
    """By how much widths differ from the drawn ones, and the specific resistance."""

    rho_ohm_um2: float
    """Resistance times area at the temperature of the test."""
    bias1_um: float
    """Difference of the first width; negative for junctions smaller than drawn."""
    bias2_um: float
    """Difference of the second."""
    errors: tuple[float, float, float]
    """Standard errors: of rho, relative to it, and of the biases in µm."""
    common: bool
    """Whether both biases were taken as equal, since the designs do not tell them apart."""


def fit_width_bias(pairs_um: ArrayLike, level: ArrayLike, error: ArrayLike) -> WidthBias:
    r"""Return the fit of $\ln R = \ln \rho - \ln((w_1 + d_1)(w_2 + d_2))$ to the levels of designs.

    Args:
        pairs_um: drawn widths (n, 2).
        level: ln R of each design (n,).
        error: standard error of each level (n,), > 0; designs are weighted by it.

    Raises:
        InputError: if the designs do not tell rho from biases, as designs of one size.

    >>> pairs = np.array([[0.1, 0.2], [0.2, 0.1], [0.2, 0.2], [0.4, 0.1]])
    >>> R = 320 / ((pairs - [0.01, 0.03]).prod(axis=1))
    >>> found = fit_width_bias(pairs, np.log(R), np.full(4, 1e-3))
    >>> round(found.rho_ohm_um2, 6), round(found.bias1_um, 6), round(found.bias2_um, 6)
    (320.0, -0.01, -0.03)
    """
    from scipy.optimize import least_squares

    pairs, z, sd = (
        numbers("pairs_um", pairs_um, above=0),
        numbers("level", level),
        numbers("error", error, above=0),
    )
    free = np.stack([np.ones(len(z)), -1 / pairs[:, 0], -1 / pairs[:, 1]], axis=1)
    together = np.stack([free[:, 0], free[:, 1:].sum(axis=1)], axis=1)
    common = not _well_conditioned(free)
    if common and not _well_conditioned(together):
        raise InputError(
            f"{len(z)} design{'s' * (len(z) != 1)} of one size cannot tell biases of the widths from the specific "
            "resistance; expected junctions of two sizes, and both orders of unequal widths"
        )

    def spread(theta: Array) -> Array:
        return np.repeat(theta[1:], 2) if common else theta[1:]

    def residual(theta: Array) -> Array:
        return (z - theta[0] + np.log(pairs + spread(theta)).sum(axis=1)) / sd

    smallest = pairs.min(axis=0)
    lowest = [-np.inf, *([-0.95 * smallest.min()] if common else -0.95 * smallest)]
    start = np.zeros(2 if common else 3)
    start[0] = np.mean(z + np.log(pairs.prod(axis=1)))
    # Biases beyond the widths themselves are none: R would hardly depend on the drawn widths.
    highest = [np.inf, *([pairs.max()] * (len(start) - 1))]
    found = least_squares(
        residual, start, bounds=(lowest, highest), x_scale=[1.0] + [0.01] * (len(start) - 1)
    )
    if (found.active_mask[1:] != 0).any():
        raise InputError(
            "the resistances do not fall with the area as those of junctions do, so no biases of the widths can be "
            "fitted; expected w1_um and w2_um to be the drawn widths"
        )
    left = max(len(z) - len(start), 1)
    # Errors grow where the designs scatter more than their own errors say.
    inflation = max(2 * found.cost / left, 1.0)
    errors = np.sqrt(np.diag(np.linalg.inv(found.jac.T @ found.jac)) * inflation)
    bias, bias_error = spread(found.x), spread(errors)
    return WidthBias(
        float(np.exp(found.x[0])),
        float(bias[0]),
        float(bias[1]),
        (float(errors[0]), float(bias_error[0]), float(bias_error[1])),
        common,
    )


def _well_conditioned(columns: Array) -> bool:
    """Return whether the columns differ by more than a percent of their length."""
    if len(columns) < columns.shape[1]:
        return False
    unit = columns / np.linalg.norm(columns, axis=0)
    return bool(np.linalg.svd(unit, compute_uv=False)[-1] > 1e-2)


def chi_interval(sd: float, freedom: float) -> tuple[float, float]:
    """Return the 95 % interval of a standard deviation with some degrees of freedom."""
    from scipy.stats import chi2

    low, high = sd * np.sqrt(freedom / chi2.ppf([0.975, 0.025], freedom))
    return float(low), float(high)
