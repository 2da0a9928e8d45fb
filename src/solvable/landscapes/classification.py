r"""`classify`: the kind of a point, with the numbers that certify it and what to try next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.lab.text import readable
from solvable.lab.verdict import Section, Table, Verdict
from solvable.landscapes.curvature import SCALES, Curvature, curvature
from solvable.landscapes.inputs import DENSE_LIMIT, as_batch, as_loss
from solvable.landscapes.losses import Expansion, Loss, Numbers
from solvable.landscapes.probes import (
    Polished,
    has_kink,
    is_minimum_of_gradient,
    kink_directions,
    lower_nearby,
    polish,
    reference_norm,
)
from solvable.progress import progress

KINDS = {
    "minimum": "critical, and the loss falls in no direction",
    "saddle": "critical, with directions in which the loss falls and others in which it rises or stays",
    "maximum": "critical, and the loss rises in no direction",
    "degenerate": "critical, and second derivatives do not tell which kind it is",
    "gradient-flat": "not critical: the gradient lies where the Hessian is nearly zero, and Newton-like methods stop",
    "not converged": "not critical: a search that goes on from here still makes progress",
    "non-smooth": "the gradient jumps nearby, so that the Hessian says nothing about the neighbourhood",
    "diverging": "the gradient falls only as the parameters grow without bound: there is no critical point to reach",
}
"""Kind of a point -> its meaning."""

_NEXT = {
    "minimum": (),
    "saddle": ("escape_direction(loss, theta) gives the direction in which the loss falls fastest",),
    "maximum": (),
    "degenerate": ("look at loss_slice(loss, theta) along the null directions",),
    "gradient-flat": (
        "do not count it among the critical points of a plot of loss against index",
        "start elsewhere, or from here with noise; with method='lm' if another was used",
    ),
    "not converged": (),
    "non-smooth": (
        "replace relu by a smooth activation such as softplus or silu to study the landscape with second derivatives",
    ),
    "diverging": (
        "add a penalty such as l2 of module_loss, so that critical points are at finite parameters",
    ),
}

# A point is stable if polishing moves it by less than this, relative to 1 + |theta|.
_STAYS = 0.05
# A search that still moves after so much growth is leaving.
_LEAVES = 1.2
# Newton's method is this fast at critical points whose Hessian is right about them.
_FEW_STEPS = 10
# Otherwise the smallest eigenvalues are those of the distance that is left, and this much of the largest is zero.
_SLOW_TOLERANCE = 1e-6
# Flat ground may be a few steps away; then most of the squared gradient must be left there.
_LEFT, _NEAR = 0.5, 0.5
_STATIONARY = 1e-6
_STRICT_LIMIT = 1000


@dataclass(frozen=True)
class Classification(Verdict):
    r"""The kind of a point and its certificate; `print` it, or let a notebook display it.

    Attributes:
        kind: one of `KINDS`.
        index: number of negative eigenvalues of the Hessian; None if unknown.
        nullity: number of zero eigenvalues; None if unknown.
        n_parameters: N.
        loss: its value.
        squared_gradient: $|g|^2$.
        scale_free_gradient: $|g|^2 / (|H|^2 (1 + |\theta|^2))$, which does not change if the loss is rescaled.
        curvature_ratio: $|H g| / (|H| |g|)$.
        residual: $r(p)$ of the least-squares Newton step, solved to rounding and measured with fresh products.
        cokernel_residual: $r_H(p)$ of it.
        profile: $\delta \to F(\delta)$, the share of $|g|^2$ in directions of curvature at most $\delta |H|$.
        gap: the smallest nonzero eigenvalue, in magnitude and relative to the largest; NaN if unknown.
        strict: of a gradient-flat point, whether it is certified as a local minimum of |g|; None if it is unknown.
    """

    kind: str = "not converged"
    index: int | None = None
    nullity: int | None = None
    n_parameters: int = 0
    loss: float = np.nan
    squared_gradient: float = np.nan
    scale_free_gradient: float = np.nan
    curvature_ratio: float = np.nan
    residual: float = np.nan
    cokernel_residual: float = np.nan
    profile: Mapping[float, float] | None = None
    gap: float = np.nan
    strict: bool | None = None


def classify(
    loss: Any,
    theta: Any = None,
    *,
    tolerance: float = 1e-10,
    flat_tolerance: float = 5e-4,
    index_tolerance: float = 1e-8,
) -> Classification:
    r"""Return what kind of point theta is: critical, gradient-flat, or neither, with its certificate.

    - *Critical* (`minimum`, `saddle`, `maximum`, `degenerate`): $|g|^2 \le$ tolerance, and a Newton-like search from
      there stays there. The signs of the eigenvalues are counted where it ends. A minimum with null directions is
      called one only if the loss does not fall in descents that begin off it along these directions.
    - *Gradient-flat*: $|g|^2$ is above the tolerance, and $|Hg| \le$ flat_tolerance $\cdot |H| |g|$ there, or where a
      search that minimises $|g|$ ends nearby with most of $|g|^2$ left. Flatness is measured from eigenvectors (beyond
      5000 parameters from a Krylov space), not taken from a solver that may have stopped early.
    - *Non-smooth*: the gradient jumps nearby. *Diverging*: the search leaves for infinity. *Not converged*: the rest.

    Args:
        loss: a torch function of one float64 vector (N,), or what `module_loss` or `numpy_loss` returns.
        theta: the point (N,); by default the module's own parameters.
        tolerance: largest $|g|^2$ of a critical point. It changes with the scale of the loss; a scale-free norm is
            reported beside it.
        flat_tolerance: $\delta$, the curvature along the gradient relative to the largest.
        index_tolerance: eigenvalues up to this, relative to the largest, count as zero.

    Raises:
        InputError: for a loss or a point that cannot be used.

    Source: arXiv:2003.10397; the scale of flatness and the tests of stability are derived here.

    >>> import torch
    >>> verdict = classify(lambda theta: theta[0] ** 2 - theta[1] ** 2, torch.zeros(2, dtype=torch.float64))
    >>> verdict.kind, verdict.index
    ('saddle', 1)
    """
    function = as_loss(loss, theta)
    points = as_batch(theta, function, "theta")
    if len(points) > 1:
        raise InputError(
            f"theta has {len(points)} rows; expected one point (N,); call classify for each of them"
        )
    options = _checked(tolerance, flat_tolerance, index_tolerance)
    function.check(points)
    return _classify(function, points, *options)


def classify_all(
    loss: Any,
    theta: Any,
    *,
    tolerance: float = 1e-10,
    flat_tolerance: float = 5e-4,
    index_tolerance: float = 1e-8,
    quiet: bool = False,
) -> list[Classification]:
    """Return the verdicts on several points (B, N); see `classify`."""
    function = as_loss(loss, theta)
    points = as_batch(theta, function, "theta")
    options = _checked(tolerance, flat_tolerance, index_tolerance)
    function.check(points)
    verdicts = []
    with progress("points", len(points), quiet=quiet) as advance:
        for point in points:
            verdicts.append(_classify(function, point[None], *options))
            advance()
    return verdicts


def _checked(tolerance: float, flat_tolerance: float, index_tolerance: float) -> tuple[float, float, float]:
    return (
        one_number("tolerance", tolerance, above=0),
        one_number("flat_tolerance", flat_tolerance, above=0, at_most=1),
        one_number("index_tolerance", index_tolerance, above=0, at_most=1),
    )


def _classify(
    loss: Loss, theta: Numbers, tolerance: float, flat_tolerance: float, index_tolerance: float
) -> Classification:
    rng = np.random.default_rng(0)
    here = loss.at(theta)
    squared = float(here.squared_gradient[0])
    if not np.isfinite(here.product(here.gradient)).all():
        return _verdict("non-smooth", here, None, "The Hessian is NaN or infinite here.")
    at_theta = curvature(here, index_tolerance)
    norm = at_theta.norm
    if norm == 0 and squared <= tolerance:
        # A loss that is flat in all directions at once may hide a kink, such as all weights of a ReLU network at 0.
        norm = 1.0
    search = polish(loss, here, norm)
    there = search.here
    directions = kink_directions(here, there.theta[0] - theta[0], rng)
    kinks = f" The loss has {', '.join(loss.kinks)}." if loss.kinks else ""

    if squared <= tolerance:
        if has_kink(loss, here, directions, norm, True):
            return _verdict("non-smooth", here, at_theta, f"The gradient jumps at this point.{kinks}")
        if search.distance <= _STAYS:
            return _critical(loss, here, search, index_tolerance, kinks, rng)
        if _leaves(search, 1 + _STAYS / 2):
            return _verdict("diverging", here, at_theta, _leaving(search))
        text = (
            f"The squared gradient is below the tolerance, {readable(tolerance)}, but a Newton-like search moves away "
            f"by {search.distance:.2g} of 1 + |theta|: its scale is small, or it is flat here, and "
            "the point is not critical."
        )
        flat = at_theta.ratio <= flat_tolerance
        return _verdict("gradient-flat" if flat else "not converged", here, at_theta, text)

    if has_kink(loss, here, directions, norm, False):
        text = "The gradient jumps near this point: Newton's system is solved and its steps are refused."
        return _verdict("non-smooth", here, at_theta, text + kinks)
    if at_theta.ratio <= flat_tolerance:
        return _flat(loss, here, here, at_theta, flat_tolerance)
    if _leaves(search, _LEAVES):
        return _verdict("diverging", here, at_theta, _leaving(search))
    end = float(there.squared_gradient[0])
    if end > max(tolerance, _LEFT * squared) and search.distance <= _NEAR:
        at_end = curvature(there, index_tolerance)
        if at_end.ratio <= flat_tolerance:
            return _flat(loss, here, there, at_end, flat_tolerance)
    text = f"|g|^2 is {readable(squared)}, above the tolerance of {readable(tolerance)}. "
    where = f"after {search.steps} steps, {search.distance:.2g} of 1 + |theta| away"
    if end <= tolerance:
        next_steps = ("continue with find_critical_points(loss, theta, 'lm')",)
        text += f"A search from here reaches a critical point, |g|^2 = {readable(end)}, {where}."
    else:
        next_steps = (
            "continue with find_critical_points(loss, theta, 'lm', max_iter=2000), or start elsewhere",
        )
        text += f"A search from here had |g|^2 = {readable(end)} {where}."
    return _verdict("not converged", here, at_theta, text, next_steps=next_steps)


def _critical(
    loss: Loss,
    here: Expansion,
    search: Polished,
    tolerance: float,
    kinks: str,
    rng: np.random.Generator,
) -> Classification:
    """Return the kind of a critical point, from the eigenvalues where polishing ends."""
    there = search.here
    found = curvature(there, tolerance, float(np.sqrt(there.squared_gradient[0])))
    index, nullity, N = found.index, found.nullity, there.theta.shape[1]
    if search.steps > _FEW_STEPS and found.norm:
        # Newton's method is slow where second derivatives vanish: compare eigenvalues with those nearby.
        slack = _SLOW_TOLERANCE * max(1.0, reference_norm(loss, there.theta, rng) / found.norm)
        found = curvature(there, max(tolerance, slack), 0.0)
        index, nullity = found.index, found.nullity
    notes = (f"the loss has kinks elsewhere:{kinks.removeprefix(' The loss has')}",) if kinks else ()

    def verdict(kind: str, text: str, flat: bool = False) -> Classification:
        name = f"{kind} (flat, nullity {nullity})" if flat else kind
        return _verdict(kind, here, found, text, name=name, notes=notes)

    if found.norm == 0 or nullity == N:
        return verdict(
            "degenerate", "The Hessian is zero: a constant loss, dead units, or a flat point of high order."
        )
    if index is None or nullity is None:
        if found.smallest < -tolerance * found.norm:
            return verdict("saddle", "The smallest eigenvalue is negative; the others were not counted.")
        return verdict(
            "degenerate",
            f"No eigenvalue is clearly negative; beyond {DENSE_LIMIT} parameters zeros are not told.",
        )
    if index and index + nullity < N:
        text = f"{index} of {N} eigenvalues are negative"
        return verdict("saddle", text + (f", and {nullity} are zero." if nullity else "."))
    sign = -1.0 if index else 1.0
    kind = "maximum" if index else "minimum"
    if not nullity:
        return verdict(kind, f"All {N} eigenvalues are {'negative' if index else 'positive'}.")
    null = found.null_vectors if found.null_vectors is not None else np.zeros((0, N))
    fall = lower_nearby(_Signed(loss, sign), _signed(there, sign), null, found.norm, rng)
    word = "rises" if index else "falls"
    if fall:
        text = (
            f"No eigenvalue is {'positive' if index else 'negative'} and {nullity} are zero, but off the point along "
            f"null directions the loss {word}, by {readable(fall)} at least: a non-strict saddle."
        )
        return verdict("degenerate", text)
    text = (
        f"{N - nullity} eigenvalues are {'negative' if index else 'positive'} and {nullity} are zero. Along the null "
        f"directions the loss never {word}: it was perturbed by up to 1 % of 1 + |theta| and descended from there."
    )
    return verdict(kind, text, flat=True)


def _flat(loss: Loss, here: Expansion, there: Expansion, found: Curvature, delta: float) -> Classification:
    """Return the verdict on flat ground, at the point or a few steps away."""
    strict = None
    if found.ratio <= _STATIONARY and there.theta.shape[1] <= _STRICT_LIMIT and found.norm:
        strict = is_minimum_of_gradient(loss, there)
    moved = float(np.linalg.norm(there.theta - here.theta))
    text = f"The gradient is not zero, and its curvature is {readable(found.ratio)} of the largest"
    if moved:
        left, before = (readable(float(point.squared_gradient[0])) for point in (there, here))
        text += f" where a search that minimises |g| ends, {readable(moved)} away, with |g|^2 = {left} of {before} left"
    text += f": gradient-flat at scale {readable(delta)}."
    if strict:
        text += " It is a strict local minimum of |g|: no method that decreases |g| leaves it."
    elif strict is False:
        text += " It is a saddle of |g|, which noise leaves."
    elif found.residual < 0.5:
        text += (
            " Newton's system can be solved here: if a solver reported a residual near 1, it stopped early."
        )
    return _verdict(
        "gradient-flat", here, found, text, name=f"gradient-flat at scale {readable(delta)}", strict=strict
    )


def _leaves(search: Polished, growth: float) -> bool:
    return not search.settled and search.growth >= growth


def _leaving(search: Polished) -> str:
    end = float(search.here.squared_gradient[0])
    return (
        f"In {search.steps} steps of a search |theta| grew {search.growth:.3g} times, to |g|^2 = {readable(end)}, and "
        "the steps do not become shorter."
    )


def _verdict(
    kind: str,
    here: Expansion,
    found: Curvature | None,
    text: str,
    *,
    name: str = "",
    notes: tuple[str, ...] = (),
    next_steps: tuple[str, ...] = (),
    strict: bool | None = None,
) -> Classification:
    value, squared = float(here.value[0]), float(here.squared_gradient[0])
    theta = here.theta[0]
    scale = np.inf if found is None else found.norm**2 * (1 + float(theta @ theta))
    free = squared / scale if scale else (0.0 if squared == 0 else np.inf)
    rows = [("loss", f"{value:.8g}"), ("squared gradient norm |g|^2", readable(squared))]
    if found is not None:
        rows += [
            ("|g|^2 / (|H|^2 (1 + |theta|^2)), scale-free", readable(free)),
            ("largest curvature |H|", readable(found.norm)),
            ("curvature along the gradient |Hg| / (|H| |g|)", readable(found.ratio)),
            ("residual r of the Newton step, and r_H", f"{found.residual:.2g}, {found.cokernel:.2g}"),
            *(
                (f"share F of |g|^2 below {d:g} |H|", f"{f:.3f}")
                for d, f in zip(SCALES, found.profile, strict=True)
            ),
            ("smallest eigenvalue", readable(found.smallest)),
        ]
        if found.index is not None:
            rows.append(
                ("negative and zero eigenvalues", f"{found.index} and {found.nullity} of {len(theta)}")
            )
            rows.append(("smallest nonzero eigenvalue / |H|", readable(found.gap)))
    sections = (
        Section(text=text),
        Section("Certificate", table=Table(("quantity", "value"), tuple(rows))),
        *((Section("What to try next", points=points),) if (points := next_steps or _NEXT[kind]) else ()),
    )
    certificate: dict[str, Any] = {}
    if found is not None:
        certificate = {
            "index": found.index,
            "nullity": found.nullity,
            "curvature_ratio": found.ratio,
            "residual": found.residual,
            "cokernel_residual": found.cokernel,
            "profile": dict(zip(SCALES, found.profile.tolist(), strict=True)),
            "gap": found.gap,
        }
    return Classification(
        name or kind,
        sections,
        notes,
        kind,
        n_parameters=len(theta),
        loss=value,
        squared_gradient=squared,
        scale_free_gradient=free,
        strict=strict,
        **certificate,
    )


class _Signed(Loss):
    """A loss times -1, to look for a higher loss with what looks for a lower one."""

    def __init__(self, loss: Loss, sign: float) -> None:
        self._loss, self._sign = loss, sign

    def gradient(self, theta: Numbers) -> tuple[Numbers, Numbers]:
        value, gradient = self._loss.gradient(theta)
        return self._sign * value, self._sign * gradient


def _signed(here: Expansion, sign: float) -> Expansion:
    return Expansion(here.theta, sign * here.value, sign * here.gradient)
