r"""Where the spread of resistances comes from: fluctuating widths, or an inhomogeneous barrier.

The model of the variance of ln R of junctions of the widths $w_1$ and $w_2$ on one chip is
$V = a\,(1/w_1^2 + 1/w_2^2) + b / (w_1 w_2) + c$: widths with independent errors of standard deviation $\sqrt a$, a
barrier of independent patches, and noise that does not depend on the area. Of squares, the first two terms are both
proportional to 1 / area: only rectangles, or measured widths, tell them apart. The model is our own, not the paper's.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import broadcast, choice, numbers, one_number, whole
from solvable.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Edges = Literal["independent", "rough"]

# Standard design, at which shares are given, in µm.
_AT = (0.2, 0.2)
# Relative distance of areas that count as equal: 0.4 * 0.4 is more than 0.16 in floating point.
_EQUAL = 1e-9
# Smallest eigenvalue over largest of the scaled information: below, designs differ by less than 1 % of a square.
_IDENTIFIABLE = 1e-5
_ROUNDS = 200


def area_variance(
    w1_um: ArrayLike,
    w2_um: ArrayLike,
    sd1_um: ArrayLike,
    sd2_um: ArrayLike | None = None,
    correlation: ArrayLike = 0.0,
) -> Array:
    r"""Return the variance of the area over its squared mean, for normal errors of both widths.

    $s_1^2/w_1^2 + s_2^2/w_2^2 + 2 r s_1 s_2/(w_1 w_2) + (1 + r^2) s_1^2 s_2^2/(w_1 w_2)^2$, over
    $(1 + r s_1 s_2/(w_1 w_2))^2$, the squared mean; exact.

    Args:
        w1_um: widths of one electrode, > 0.
        w2_um: widths of the other, > 0.
        sd1_um: standard deviation of the first width, at least 0.
        sd2_um: that of the second; by default the same.
        correlation: correlation r of the errors, -1 to 1.

    >>> round(float(area_variance(0.2, 0.2, 0.003)), 8)
    0.00045005
    """
    w1, w2 = numbers("w1_um", w1_um, above=0), numbers("w2_um", w2_um, above=0)
    s1 = numbers("sd1_um", sd1_um, at_least=0)
    s2 = s1 if sd2_um is None else numbers("sd2_um", sd2_um, at_least=0)
    r = numbers("correlation", correlation, at_least=-1, at_most=1)
    w1, w2, s1, s2, r = broadcast(w1_um=w1, w2_um=w2, sd1_um=s1, sd2_um=s2, correlation=r)
    u, v = s1 / w1, s2 / w2
    return (u**2 + v**2 + 2 * r * u * v + (1 + r**2) * u**2 * v**2) / (1 + r * u * v) ** 2


def width_variance(edge_sd_um: ArrayLike, correlation_length_um: ArrayLike, length_um: ArrayLike) -> Array:
    r"""Return the variance in µm² of a width whose two edges are rough, averaged over a length.

    $2 s^2 g(L / \xi)$ with $g(x) = 2 (x - 1 + e^{-x}) / x^2$, for edges with an exponential correlation.

    Args:
        edge_sd_um: standard deviation s of one edge, at least 0.
        correlation_length_um: ξ, > 0.
        length_um: L, the width of the other electrode, > 0.

    >>> round(float(width_variance(0.002, 0.02, 0.2)) * 1e6, 3)  # nm²
    1.44
    """
    s = numbers("edge_sd_um", edge_sd_um, at_least=0)
    xi = numbers("correlation_length_um", correlation_length_um, above=0)
    x = numbers("length_um", length_um, above=0) / xi
    # expm1 keeps short lengths exact, where g is 1 - x / 3.
    g = np.where(x > 1e-4, 2 * (x + np.expm1(-x)) / np.square(np.maximum(x, 1e-4)), 1 - x / 3)
    return 2 * s**2 * g


def barrier_variance(patch_cv: ArrayLike, patch_area_um2: ArrayLike, area_um2: ArrayLike) -> Array:
    """Return the variance of the conductance over its squared mean, cv² times patch area over area.

    Args:
        patch_cv: coefficient of variation of the conductance of independent patches, at least 0.
        patch_area_um2: their area, > 0.
        area_um2: area of the junction, > 0.

    >>> float(barrier_variance(0.5, 4e-5, 0.04).round(6))
    0.00025
    """
    cv = numbers("patch_cv", patch_cv, at_least=0)
    patch = numbers("patch_area_um2", patch_area_um2, above=0)
    return cv**2 * patch / numbers("area_um2", area_um2, above=0)


def designs(
    widths_um: ArrayLike, area_min_um2: float = 0.0, area_max_um2: float = np.inf, *, both_orders: bool = True
) -> Array:
    """Return the pairs (n, 2) of widths whose area lies between two bounds, which are allowed themselves.

    Args:
        widths_um: widths (m,) that are combined, > 0.
        area_min_um2: smallest area.
        area_max_um2: largest area.
        both_orders: with (0.1, 0.2) also (0.2, 0.1), which biases of the widths need; otherwise w1 <= w2.

    Raises:
        InputError: if no pair is left.

    >>> [len(designs([0.1, 0.14, 0.2, 0.28, 0.4], 0.01, 0.16, both_orders=both)) for both in (True, False)]
    [25, 15]
    """
    widths = np.unique(numbers("widths_um", widths_um, above=0))
    least, most = (
        numbers("area_min_um2", area_min_um2, at_least=0),
        numbers("area_max_um2", area_max_um2, above=0),
    )
    w1, w2 = (one.ravel() for one in np.meshgrid(widths, widths, indexing="ij"))
    area = w1 * w2
    # Decimal widths are not exact in floating point.
    kept = (area >= least * (1 - _EQUAL)) & (area <= most * (1 + _EQUAL)) & (both_orders | (w1 <= w2))
    if not kept.any():
        raise InputError(
            f"no pair of widths has an area from {least:g} to {most:g} µm²; the areas are {area.min():g} to "
            f"{area.max():g} µm²: choose other bounds or widths"
        )
    return np.stack([w1[kept], w2[kept]], axis=1)


def _terms(pairs: Array, edges: str = "independent") -> Array:
    """Return what a, b and c are multiplied by, (n, 3)."""
    w1, w2 = pairs.T
    # A rough edge is averaged over the width of the other electrode.
    area = 1 / w1**2 + 1 / w2**2 if edges == "independent" else (1 / w1 + 1 / w2) / (w1 * w2)
    return np.stack([area, 1 / (w1 * w2), np.ones_like(w1)], axis=1)


class Share(NamedTuple):
    """The share of the variance that fluctuations of the area cause."""

    value: float
    """The share, 0 to 1. Of the standard deviation it is the root: 65 % of the variance are 81 %."""
    error: float
    """Standard error."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""


@dataclass(frozen=True, eq=False)
class VarianceModel:
    """A fitted model of the variance.

    Attributes:
        a_um2: variance of a width; with rough edges, that times a length, in µm³.
        b_um2: variance of the barrier times area.
        c: part that does not depend on the area; 0 if it was not fitted.
        covariance: of a, b and c, (3, 3).
        edges: the law of the area's variance.
        misfit_p: probability of groups that fit at least as badly if the model is right: a small one contradicts it.
    """

    a_um2: float
    b_um2: float
    c: float
    covariance: Array
    edges: Edges
    misfit_p: float

    def variance(self, w1_um: ArrayLike, w2_um: ArrayLike) -> Array:
        """Return the variance of ln R of junctions of these widths."""
        w1, w2 = np.broadcast_arrays(numbers("w1_um", w1_um, above=0), numbers("w2_um", w2_um, above=0))
        terms = _terms(np.stack([w1.ravel(), w2.ravel()], axis=1), self.edges)
        return (terms @ [self.a_um2, self.b_um2, self.c]).reshape(w1.shape)

    def area_share(self, w1_um: float = _AT[0], w2_um: float = _AT[1]) -> Share:
        """Return the share of the variance that the widths cause, with its interval."""
        terms = _terms(np.array([[w1_um, w2_um]]), self.edges)[0]
        value, gradient = _share(np.array([self.a_um2, self.b_um2, self.c]), terms)
        error = float(np.sqrt(max(gradient @ self.covariance @ gradient, 0.0)))
        return Share(value, error, max(value - 1.96 * error, 0.0), min(value + 1.96 * error, 1.0))


def _share(theta: Array, terms: Array) -> tuple[float, Array]:
    """Return a's share of the variance, and its gradient by the parameters."""
    parts = theta * terms
    total = parts.sum()
    share = parts[0] / total
    gradient = -share * terms / total
    gradient[0] += terms[0] / total
    return float(share), gradient


def fit_variance_model(
    w1_um: ArrayLike,
    w2_um: ArrayLike,
    variance: ArrayLike,
    freedom: ArrayLike,
    *,
    constant: bool = False,
    edges: Edges = "independent",
) -> VarianceModel:
    """Return the model that fits sample variances of ln R by maximum likelihood, with a, b and c at least 0.

    Args:
        w1_um: width of one electrode of each group of equal junctions (n,).
        w2_um: width of the other.
        variance: sample variance of ln R of each group, after opens, shorts and outliers were left out; > 0.
        freedom: degrees of freedom of each, the number of junctions minus 1.
        constant: whether to fit c, too; it competes with b where all areas are similar.
        edges: `independent`, errors of a width that do not depend on the length over which it is averaged, or `rough`,
            edges that are uncorrelated along that length, whose term for squares goes as area^(-3/2).

    Raises:
        InputError: if the groups cannot tell the terms apart, as squares alone.

    Source: own derivation; gamma likelihood of sample variances.

    >>> pairs = np.array([[0.2, 0.2], [0.05, 0.8]])
    >>> V = 9e-6 * (1 / pairs**2).sum(axis=1) + 1e-5 / pairs.prod(axis=1)
    >>> model = fit_variance_model(*pairs.T, V, [1799, 1799])
    >>> share = model.area_share()
    >>> round(share.value, 3), round(share.error, 3)
    (0.643, 0.037)
    """
    from scipy.optimize import nnls
    from scipy.special import digamma
    from scipy.stats import chi2

    choice("edges", edges, ("independent", "rough"))
    w1, w2 = numbers("w1_um", w1_um, above=0), numbers("w2_um", w2_um, above=0)
    V, nu = numbers("variance", variance, above=0), numbers("freedom", freedom, above=0)
    if not (w1.shape == w2.shape == V.shape == nu.shape) or w1.ndim != 1:
        raise InputError(
            f"w1_um, w2_um, variance and freedom have {w1.size}, {w2.size}, {V.size} and {nu.size} values; expected "
            "one of each per group"
        )
    pairs = np.stack([w1, w2], axis=1)
    columns = [0, 1, 2] if constant else [0, 1]
    X = _terms(pairs, edges)[:, columns]
    # Weights by the barrier's law, since sample variances of few junctions are noise.
    _check_identifiable(pairs, X, X[:, 1], nu)
    # Maximum likelihood by weighted least squares, repeated with the weights of the fit.
    fitted, theta = V, np.zeros(len(columns))
    for _ in range(_ROUNDS):
        weight = np.sqrt(nu / 2) / fitted
        scale = np.linalg.norm(X * weight[:, None], axis=0)
        before, theta = theta, nnls(X * weight[:, None] / scale, V * weight)[0] / scale
        fitted = np.maximum(X @ theta, 1e-3 * fitted)
        if np.allclose(theta, before, rtol=1e-10, atol=0):
            break
    weighted = X / fitted[:, None]
    covariance = np.zeros((3, 3))
    covariance[np.ix_(columns, columns)] = np.linalg.inv((weighted.T * nu / 2) @ weighted)
    a, b, c = (*theta, 0.0)[:3]
    # Each term over its mean for normal values, which is above 1 for few degrees of freedom.
    mean = nu * (np.log(nu / 2) - digamma(nu / 2))
    deviance = float((nu * (V / fitted - 1 - np.log(V / fitted)) / mean).sum())
    left = len(V) - len(columns)
    misfit = float(chi2.sf(deviance, left)) if left else np.nan
    return VarianceModel(float(a), float(b), float(c), covariance, edges, misfit)


def _check_identifiable(pairs: Array, X: Array, V: Array, nu: Array) -> None:
    """Raise if the groups do not tell the terms apart."""
    weighted = X / V[:, None] * np.sqrt(nu)[:, None]
    weighted /= np.linalg.norm(weighted, axis=0)
    if np.linalg.eigvalsh(weighted.T @ weighted)[0] > _IDENTIFIABLE:
        return
    shapes = len(np.unique(np.sort(pairs, axis=1).round(9), axis=0))
    if np.allclose(pairs[:, 0], pairs[:, 1]):
        problem = "all junctions are squares, for which both terms go as 1 / area"
        cure = "add rectangles such as 0.05 x 0.8 µm (`plan_designs` proposes some), or measure widths"
    else:
        problem = (
            f"{shapes} shape{'s' * (shapes != 1)} of junctions {'is' if shapes == 1 else 'are'} too alike"
        )
        cure = "add rectangles of other proportions and areas, or leave out the constant"
    raise InputError(f"area and barrier cannot be told apart: {problem}; {cure}")


def identifiable(pairs_um: ArrayLike, *, constant: bool = False, edges: Edges = "independent") -> bool:
    """Return whether resistances of these designs tell the terms of the model apart.

    Args:
        pairs_um: widths (n, 2).
        constant: whether c is fitted, too.
        edges: as in `fit_variance_model`.

    >>> identifiable([[0.1, 0.1], [0.2, 0.2]]), identifiable([[0.2, 0.2], [0.1, 0.4]])
    (False, True)
    """
    pairs = _pairs(pairs_um)
    X = _terms(pairs, choice("edges", edges, ("independent", "rough")))[:, : 3 if constant else 2]
    try:
        _check_identifiable(pairs, X, X[:, 1], np.ones(len(X)))
    except InputError:
        return False
    return True


def share_error(
    n: int,
    designs: ArrayLike,
    *,
    a_um2: float = 9e-6,
    b_um2: float = 1e-5,
    c: float = 0.0,
    counts: ArrayLike | None = None,
    at_um: tuple[float, float] = _AT,
    constant: bool = False,
) -> float:
    """Return the standard error with which n junctions of these designs tell the area's share of the variance.

    It is infinite if they cannot, as for squares alone.

    Args:
        n: number of junctions.
        designs: widths (m, 2) in µm, as `designs` returns them.
        a_um2: true a of the model, > 0: here widths with errors of 3 nm.
        b_um2: true b, > 0.
        c: true c, at least 0.
        counts: how the junctions are divided among the designs (m,); by default equally.
        at_um: design at which the share is wanted.
        constant: whether c has to be fitted, too.

    Source: own derivation, Fisher information of sample variances.

    >>> share_error(3600, [[0.2, 0.2], [0.3, 0.3]])
    inf
    >>> round(share_error(3600, [[0.2, 0.2], [0.05, 0.8]]), 3)
    0.037
    """
    pairs = _pairs(designs)
    total = whole("n", n, at_least=1)
    theta = np.array(
        [
            one_number("a_um2", a_um2, above=0),
            one_number("b_um2", b_um2, above=0),
            one_number("c", c, at_least=0),
        ]
    )
    parts = np.ones(len(pairs)) if counts is None else numbers("counts", counts, at_least=0)
    if parts.shape != (len(pairs),) or parts.sum() == 0:
        raise InputError(f"counts has {parts.size} values; expected one per design, {len(pairs)}")
    used = [0, 1, 2] if constant else [0, 1]
    if not identifiable(pairs[parts > 0], constant=constant):
        return np.inf
    X = _terms(pairs)
    weighted = X[:, used] / (X @ theta)[:, None]
    information = (weighted.T * (total * parts / parts.sum() / 2)) @ weighted
    _, gradient = _share(theta, _terms(np.array([at_um]))[0])
    return float(np.sqrt(gradient[used] @ np.linalg.solve(information, gradient[used])))


def plan_designs(
    n: int,
    width_min_um: float = 0.05,
    width_max_um: float = 0.8,
    area_min_um2: float = 0.01,
    area_max_um2: float = 0.16,
    *,
    a_um2: float = 9e-6,
    b_um2: float = 1e-5,
    at_um: tuple[float, float] = _AT,
) -> "pd.DataFrame":
    """Return which designs on the next test wafer tell the area's share best, with the error that they give.

    Two designs are enough for two unknowns: a compact one and an elongated one. Each pair of candidates, 40 widths
    between the bounds, is tried with the best division of the junctions.

    Args:
        n: number of junctions.
        width_min_um: smallest width that can be made.
        width_max_um: largest width.
        area_min_um2: smallest area.
        area_max_um2: largest area.
        a_um2: a of the model, as known so far.
        b_um2: b of the model.
        at_um: design at which the share is wanted.

    Returns:
        a table with a row for each plan, best first: `plan`, `designs` (widths in µm), `counts`, `error`. The second
        is an equal division among common rectangles.

    >>> plan_designs(3600).error.round(3).tolist()
    [0.037, 0.12]
    """
    import pandas as pd

    total = whole("n", n, at_least=2)
    low = one_number("width_min_um", width_min_um, above=0)
    widths = np.geomspace(low, one_number("width_max_um", width_max_um, above=low), 40)
    pairs = designs(np.concatenate([widths, at_um]), area_min_um2, area_max_um2, both_orders=False)
    theta = np.array([one_number("a_um2", a_um2, above=0), one_number("b_um2", b_um2, above=0)])
    X = _terms(pairs)[:, :2]
    rows = X / (X @ theta)[:, None]
    _, gradient = _share(np.append(theta, 0.0), _terms(np.array([at_um]))[0])
    # With two designs the gradient is a sum of their rows, and each gets junctions in proportion to its factor.
    i, k = np.triu_indices(len(pairs), 1)
    determinant = rows[i, 0] * rows[k, 1] - rows[i, 1] * rows[k, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.abs((gradient[0] * rows[k, 1] - gradient[1] * rows[k, 0]) / determinant)
        other = np.abs((gradient[1] * rows[i, 0] - gradient[0] * rows[i, 1]) / determinant)
    error = np.where(np.isfinite(one + other), one + other, np.inf)
    if not (i.size and np.isfinite(error.min()) and identifiable(pairs)):
        raise InputError(
            "designs within these bounds are too alike to tell the widths from the barrier; allow a wider range of "
            "widths"
        )
    # All squares tell as much, so the one nearest to the wanted design is taken.
    distance = np.abs(np.log(pairs / at_um)).sum(axis=1)
    best = int(np.argmin(error * (1 + 1e-6 * np.minimum(distance[i], distance[k]))))
    chosen = pairs[[i[best], k[best]]]
    share = one[best] / (one[best] + other[best])
    first = min(max(round(total * share), 1), total - 1)
    options = {"a_um2": a_um2, "b_um2": b_um2, "at_um": at_um}
    plans = [("best two", chosen, np.array([first, total - first]))]
    common = designs(_COMMON_UM, both_orders=False)
    inside = common.prod(axis=1)
    kept = (inside >= area_min_um2 * (1 - _EQUAL)) & (inside <= min(area_max_um2, 0.15) * (1 + _EQUAL))
    kept &= (common >= low * (1 - _EQUAL)).all(axis=1) & (common <= widths[-1] * (1 + _EQUAL)).all(axis=1)
    if kept.any() and identifiable(common[kept]):
        n = int(kept.sum())
        plans.append((f"{n} common rectangles", common[kept], np.full(n, total / n)))
    return pd.DataFrame(
        [
            {
                "plan": name,
                "designs": ", ".join(f"{w1:.3g} x {w2:.3g}" for w1, w2 in shapes),
                "counts": counts.round().astype(int).tolist(),
                "error": share_error(total, shapes, counts=counts, **options),
            }
            for name, shapes, counts in plans
        ]
    )


# Widths whose combinations make 14 rectangles from 0.01 to below 0.16 µm².
_COMMON_UM = (0.1, 0.14, 0.2, 0.28, 0.4)


def _pairs(pairs_um: ArrayLike) -> Array:
    pairs = numbers("designs", pairs_um, above=0)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise InputError(f"designs has shape {pairs.shape}; expected (n, 2), the two widths of each")
    return pairs


def area_share_from_widths(R_ohm: ArrayLike, w1_um: ArrayLike, w2_um: ArrayLike) -> Share:
    r"""Return the area's share of the variance of equal junctions whose widths were measured, as by SEM.

    $\mathrm{cov}(\ln R, -\ln A) / \mathrm{var}(\ln R)$, to which independent errors of the measured widths add nothing;
    they lower the squared correlation.

    Args:
        R_ohm: resistances (n,) of junctions of one design.
        w1_um: measured widths (n,).
        w2_um: measured widths (n,).

    Returns:
        the share with an interval from the jackknife.

    >>> rng = np.random.default_rng(0)
    >>> w1, w2 = 0.2 + 0.003 * rng.standard_normal((2, 300))
    >>> R = 320 / (w1 * w2) * np.exp(0.0158 * rng.standard_normal(300))
    >>> share = area_share_from_widths(R, w1, w2)
    >>> round(share.value, 2), round(share.error, 2)
    (0.7, 0.03)
    """
    z = np.log(numbers("R_ohm", R_ohm, above=0))
    w1, w2 = numbers("w1_um", w1_um, above=0), numbers("w2_um", w2_um, above=0)
    if z.ndim != 1 or not z.shape == w1.shape == w2.shape:
        raise InputError(
            f"R_ohm, w1_um and w2_um have {z.size}, {w1.size} and {w2.size} values; expected one resistance and two "
            "widths per junction"
        )
    y = -np.log(w1) - np.log(w2)
    n = len(z)
    if n < 10 or np.ptp(z) == 0 or np.ptp(y) == 0:
        raise InputError(
            f"R_ohm has {n} junctions; expected at least 10, of different resistances and widths"
        )

    def share(x: Array, y: Array, m: int) -> Array:
        """Return covariance over variance from sums over m junctions, for any leading axis."""
        sums = [s.sum(axis=-1) for s in (x * y, x, y, x * x)]
        return (sums[0] - sums[1] * sums[2] / m) / (sums[3] - sums[1] ** 2 / m)

    x, y = z - z.mean(), y - y.mean()
    value = float(share(x, y, n))
    xx, xy = np.square(x).sum(), (x * y).sum()
    # Sums without one junction; those of x and y are 0 with all.
    left = (xy - x * y - x * y / (n - 1)) / (xx - x * x - x * x / (n - 1))
    error = float(np.sqrt((n - 1) / n * np.square(left - left.mean()).sum()))
    return Share(value, error, value - 1.96 * error, value + 1.96 * error)
