r"""The curvature at one point: norm and signs of the Hessian, and how flat it is along the gradient."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from solvable.landscapes.inputs import DENSE_LIMIT
from solvable.landscapes.lanczos import lanczos_measure
from solvable.landscapes.losses import Expansion, Numbers
from solvable.landscapes.minres import solve_batch
from solvable.landscapes.spectra import extreme_eigenpairs, one_point
from solvable.landscapes.theory import count_signs, curvature_ratio, flatness_profile

SCALES = (1e-6, 1e-5, 1e-4, 1e-3)
"""Curvatures relative to the largest, at which the flatness profile is reported."""

# Lanczos steps from the gradient, for the profile beyond the dense limit.
_STEPS = 100
# Steps of the solver of Newton's system there.
_SOLVING = 500
# Eigenvalues up to this share of the largest are rounding errors, and divide nothing.
_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class Curvature:
    r"""Second derivatives at one point.

    Attributes:
        norm: $|H|$, spectral.
        smallest: the smallest eigenvalue.
        index: number of negative eigenvalues; None if unknown.
        nullity: number of zero eigenvalues; None if unknown.
        gap: the smallest magnitude of the other eigenvalues, relative to the norm; NaN if unknown.
        ratio: $|H g| / (|H| |g|)$.
        rayleigh: $g^\top H g / (|H| |g|^2)$, which may vanish by cancellation.
        profile: $F(\delta)$ for `SCALES` (4,).
        residual: $r(p)$ of the Newton step, least-squares and of minimum length, measured with a fresh product.
        cokernel: $r_H(p)$ of it.
        null_vectors: an orthonormal basis of the kernel, in rows (nullity, N); None if unknown.
        escape: the eigenvector of the smallest eigenvalue (N,).
    """

    norm: float
    smallest: float
    index: int | None
    nullity: int | None
    gap: float
    ratio: float
    rayleigh: float
    profile: Numbers
    residual: float
    cokernel: float
    null_vectors: Numbers | None
    escape: Numbers


@dataclass(frozen=True)
class Flatness:
    r"""How flat a loss is along its gradient g.

    Attributes:
        ratio: $|H g| / (|H| |g|)$; 0 where g = 0.
        rayleigh: $g^\top H g / (|H| |g|^2)$, which may vanish by cancellation of both signs.
        profile: $\delta \to F(\delta)$, the share of $|g|^2$ in directions of curvature at most $\delta |H|$.
    """

    ratio: float
    rayleigh: float
    profile: Mapping[float, float]


def flatness(loss: Any, theta: Any = None) -> Flatness:
    r"""Return how flat a loss is along its gradient, from eigenvectors or, beyond 5000 parameters, a Krylov space.

    A small ratio says that Newton-like methods make little of the gradient here. Only `classify` tells flat ground from
    a long valley, by a search.

    Args:
        loss: as in `find_critical_points`.
        theta: parameters (N,); by default those of the module.

    Raises:
        InputError: for a point or a loss that cannot be used.

    Source: derived; see `flatness_profile`.

    >>> flatness(lambda t: t[0] ** 2 + 1e-4 * t[1] ** 2, [0.0, 1.0]).profile
    {1e-06: 0.0, 1e-05: 0.0, 0.0001: 1.0, 0.001: 1.0}
    """
    function, point = one_point(loss, theta)
    found = curvature(function.at(point[None]), 0.0)
    return Flatness(found.ratio, found.rayleigh, dict(zip(SCALES, found.profile.tolist(), strict=True)))


def curvature(here: Expansion, tolerance: float) -> Curvature:
    """Return the curvature at the one point of an expansion; signs as in `theory.count_signs`."""
    if here.theta.shape[1] <= DENSE_LIMIT:
        return _dense(here, tolerance)
    return _matrix_free(here, tolerance)


def _dense(here: Expansion, tolerance: float) -> Curvature:
    lam, V = np.linalg.eigh(here.hessian()[0])
    g = here.gradient[0]
    c = V.T @ g
    norm = float(np.abs(lam).max())
    index, nullity = (int(count) for count in count_signs(lam, tolerance))
    solid = np.abs(lam) > _ROUNDING * norm
    step = -V[:, solid] @ (c[solid] / lam[solid])
    others = np.sort(np.abs(lam))[nullity:]
    null = V[:, np.argsort(np.abs(lam), kind="stable")[:nullity]].T
    return Curvature(
        norm,
        float(lam[0]),
        index,
        nullity,
        float(others[0] / norm) if len(others) and norm else np.nan,
        float(curvature_ratio(lam, c)),
        _share(float(c @ (lam * c)), norm * float(c @ c)),
        flatness_profile(lam, c, SCALES),
        *_residuals(here, step, norm),
        null,
        V[:, 0],
    )


def _matrix_free(here: Expansion, tolerance: float) -> Curvature:
    g = here.gradient[0]
    (low, high), vectors = extreme_eigenpairs(here)
    norm = float(max(abs(low), abs(high)))
    limit = tolerance * norm
    squared = float(g @ g)
    if squared:
        nodes, weights = lanczos_measure(here.product, g, _STEPS)
        coefficients = np.sqrt(weights * squared)
        # The extreme eigenvalue gives the nodes their scale, and has no weight of its own.
        nodes, coefficients = np.append(nodes, norm), np.append(coefficients, 0.0)
        ratio = float(curvature_ratio(nodes, coefficients))
        profile = flatness_profile(nodes, coefficients, SCALES)
        rayleigh = _share(float(coefficients**2 @ nodes), norm * squared)
        step = solve_batch(here.product, -g[None], rtol=1e-10, maxiter=min(_SOLVING, len(g)))[0][0]
        residual, cokernel = _residuals(here, step, norm)
    else:
        ratio, profile, rayleigh, residual, cokernel = 0.0, np.ones(len(SCALES)), 0.0, 0.0, 0.0
    definite = low > limit or high < -limit
    return Curvature(
        norm,
        float(low),
        (0 if low > 0 else len(g)) if definite else None,
        0 if definite else None,
        float(min(abs(low), abs(high)) / norm) if definite else np.nan,
        ratio,
        rayleigh,
        profile,
        residual,
        cokernel,
        None,
        vectors[0],
    )


def _residuals(here: Expansion, step: Numbers, norm: float) -> tuple[float, float]:
    """Return r and r_H of a step, from products with the Hessian."""
    g = here.gradient[0]
    rest = here.product(step[None])[0] + g
    r = _share(float(np.linalg.norm(rest)), norm * float(np.linalg.norm(step)) + float(np.linalg.norm(g)))
    image = here.product(rest[None])[0]
    return r, _share(float(np.linalg.norm(image)), norm * float(np.linalg.norm(rest)))


def _share(a: float, b: float) -> float:
    return a / b if b > 0 else 0.0
