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
    curvature_of_gradient_norm,
    has_kink,
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
    "non-smooth": "the gradient or its slope jumps nearby, so that the Hessian says nothing about the neighbourhood",
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
# The gradient of a critical point vanishes, relative to |H|^2 (1 + |theta|^2), when it is polished.
_VANISHED = 1e-20
# A search is leaving if |theta| has grown so much, less where |g| is small already, while |g|^2 fell by this factor and
# its steps did not become shorter.
_LEAVES, _GROWS, _FELL = 1.2, 1.025, 1e-6
# Newton's method is this fast at critical points whose Hessian is right about them.
_FEW_STEPS = 10
# Otherwise the smallest eigenvalues are those of the distance that is left, and this much of the largest is zero.
_SLOW_TOLERANCE = 1e-6
# Flat ground may be a few steps away; then most of the squared gradient must be left there.
_LEFT, _NEAR = 0.5, 0.5
_STATIONARY = 1e-6
# Here |g| is stationary to rounding, wherever a search goes that rounding throws off.
_EXACTLY_FLAT = 1e-8
# The Hessian of |g|^2 has a sign if its lowest eigenvalue is so large, relative to the largest.
_SURE = 1e-6
# The loss falls in proportion to a gradient that is along the move.
_LINEAR = 0.01
_NEAR_A_KINK = "The gradient or its slope jumps near this point, so that Newton's steps are refused."
_STRICT_LIMIT = 1000


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"Classification({self.title!r}, index={self.index}, nullity={self.nullity}, loss={self.loss:.6g})"


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
      there stays there while its gradient vanishes to rounding. The signs of the eigenvalues are counted where it ends.
      A minimum with null directions is called one only if the loss does not fall in descents that begin off it along
      these directions.
    - *Gradient-flat*: no search from there reaches a critical point, and $|Hg| \le$ flat_tolerance $\cdot |H| |g|$
      there, or where a search that minimises $|g|$ ends nearby with most of $|g|^2$ left. Flatness is measured from
      eigenvectors (beyond 5000 parameters from a Krylov space), not taken from a solver that may have stopped early.
    - *Non-smooth*: the gradient jumps nearby. *Diverging*: the gradient vanishes along a search that leaves for
      infinity. *Not converged*: the rest.

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
    if not np.isfinite(squared):
        text = "The squared gradient overflows here: rescale the loss, or start nearer."
        return _verdict("not converged", here, None, text)
    if not np.isfinite(here.product(here.gradient)).all():
        return _verdict("non-smooth", here, None, "The Hessian is NaN or infinite here.")
    at_theta = curvature(here, index_tolerance)
    norm = at_theta.norm
    if norm == 0 and squared <= tolerance:
        # A loss that is flat in all directions at once may hide a kink, such as all weights of a ReLU network at 0.
        norm = 1.0
    search = polish(loss, here, norm, squared > tolerance)
    there = search.here
    end = float(there.squared_gradient[0])
    fell = end <= _FELL * squared
    # What rounding leaves is far below; at flat ground of a small loss it is not.
    vanished = fell or end <= _VANISHED * norm**2 * (1 + float(np.square(there.theta).sum()))
    directions = kink_directions(here, there.theta[0] - theta[0], rng)
    if has_kink(loss, here, directions, norm, squared <= tolerance):
        text = "The gradient or its slope jumps at this point." if squared <= tolerance else _NEAR_A_KINK
        kinks = f" The loss has {', '.join(loss.kinks)}." if loss.kinks else ""
        return _verdict("non-smooth", here, at_theta, text + kinks)
    if squared <= tolerance and vanished and search.settled and search.distance <= _STAYS:
        return _critical(loss, here, search, index_tolerance, rng)
    text = f"|g|^2 is {readable(squared)}, above the tolerance of {readable(tolerance)}. "
    if squared <= tolerance:
        text = (
            f"|g|^2 is {readable(squared)}, below the tolerance of {readable(tolerance)}, but a Newton-like search "
            "does not make it vanish nearby: the loss has a small scale, or it is flat here. "
            if search.ended
            else f"|g|^2 is {readable(squared)}, and a search had not ended after {search.steps} steps. "
        )
    if not search.settled and search.growth >= (_GROWS if squared <= tolerance else _LEAVES) and fell:
        text = (
            f"In {search.steps} steps of a search 1 + |theta| grew {search.growth:.3g} times, to |g|^2 = "
            f"{readable(end)}, and the steps do not become shorter."
        )
        return _verdict("diverging", here, at_theta, text)
    where = f"after {search.steps} steps, {search.distance:.2g} of 1 + |theta| away"
    if end <= tolerance and vanished and at_theta.ratio > _EXACTLY_FLAT:
        if not search.steps:
            text += "It is at the level of rounding: the scale of the loss is large. "
            following = f"classify(loss, theta, tolerance={10 * squared:.0e})"
        else:
            text += f"A search from here reaches a critical point, |g|^2 = {readable(end)}, {where}."
            following = "continue with find_critical_points(loss, theta, 'lm')"
        return _verdict("not converged", here, at_theta, text, next_steps=(following,))
    if at_theta.ratio <= flat_tolerance:
        return _flat(loss, here, here, at_theta, flat_tolerance)
    if end > _LEFT * squared and search.distance <= _NEAR:
        at_end = curvature(there, index_tolerance)
        if at_end.ratio <= flat_tolerance:
            return _flat(loss, here, there, at_end, flat_tolerance)
    text += f"A search from here had |g|^2 = {readable(end)} {where}."
    following = "continue with find_critical_points(loss, theta, 'lm', max_iter=2000), or start elsewhere"
    return _verdict("not converged", here, at_theta, text, next_steps=(following,))


def _critical(
    loss: Loss,
    here: Expansion,
    search: Polished,
    tolerance: float,
    rng: np.random.Generator,
) -> Classification:
    """Return the kind of a critical point, from the eigenvalues where polishing ends."""
    there = search.here
    found = curvature(there, tolerance)
    index, nullity, N = found.index, found.nullity, there.theta.shape[1]
    if search.steps > _FEW_STEPS and found.norm:
        # Newton's method is slow where second derivatives vanish: compare eigenvalues with those nearby.
        slack = _SLOW_TOLERANCE * max(1.0, reference_norm(loss, there.theta, rng) / found.norm)
        found = curvature(there, max(tolerance, slack))
        index, nullity = found.index, found.nullity
    notes = (f"the loss has kinks elsewhere: {', '.join(loss.kinks)}",) if loss.kinks else ()

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
            f"No eigenvalue is clearly negative; beyond {DENSE_LIMIT} parameters zeros are not counted.",
        )
    zeros = f"{nullity} {'is' if nullity == 1 else 'are'} zero"
    if index and index + nullity < N:
        text = f"{index} of {N} eigenvalues {'is' if index == 1 else 'are'} negative"
        return verdict("saddle", text + (f", and {zeros}." if nullity else "."))
    sign = -1.0 if index else 1.0
    kind, sense, word = ("maximum", "negative", "rises") if index else ("minimum", "positive", "falls")
    if not nullity:
        return verdict(kind, f"All {N} eigenvalues are {sense}." if N > 1 else f"The eigenvalue is {sense}.")
    null = found.null_vectors if found.null_vectors is not None else np.zeros((0, N))
    move = lower_nearby(loss, there, null, found.norm, sign, rng)
    if move.any():
        apart = float(np.linalg.norm(move)) / (1 + float(np.linalg.norm(there.theta)))
        distance = f"{readable(apart, 2)} of 1 + |theta| away, along null directions, the loss {word}"
        slope = float(sign * there.gradient[0] @ move)
        if -slope > _LINEAR * float(np.linalg.norm(there.gradient[0]) * np.linalg.norm(move)) and _is_linear(
            loss, there, move
        ):
            text = f"The gradient is small and not zero: it lies along null directions, and {distance} in proportion."
            return _verdict("gradient-flat", here, found, text)
        text = (
            f"No eigenvalue has the other sign and {zeros}, but {distance}: a non-strict saddle, unless a barrier lies "
            "in between."
        )
        return verdict("degenerate", text)
    text = (
        f"{N - nullity} eigenvalue{'s are' if N - nullity > 1 else ' is'} {sense} and {zeros}. The loss {word} at none "
        "of the points tried off it along null directions, up to 1 % of 1 + |theta| away, and in no descent from there."
    )
    return verdict(kind, text, flat=True)


def _is_linear(loss: Loss, there: Expansion, move: Numbers) -> bool:
    """Return whether the gradient along a move is still what it is at the point."""
    g = there.gradient[0] @ move
    after = loss.gradient(there.theta + move)[1][0] @ move
    return bool(abs(after - g) <= 0.5 * abs(g))


def _flat(loss: Loss, here: Expansion, there: Expansion, found: Curvature, delta: float) -> Classification:
    """Return the verdict on flat ground, at the point or a few steps away."""
    strict = None
    if found.ratio <= _STATIONARY and there.theta.shape[1] <= _STRICT_LIMIT and found.norm:
        lowest = curvature_of_gradient_norm(loss, there)
        strict = lowest > 0 if abs(lowest) > _SURE else None
    moved = float(np.linalg.norm(there.theta - here.theta))
    text = f"The gradient is not zero, and its curvature is {readable(found.ratio)} of the largest"
    if moved:
        left, before = (readable(float(point.squared_gradient[0])) for point in (there, here))
        text += f" where a search that minimises |g| ends, {readable(moved)} away, with |g|^2 = {left} of {before} left"
    text += f": gradient-flat at scale {readable(delta)}."
    if strict:
        text += " It is a strict local minimum of |g|, which methods that decrease |g| do not leave."
    elif strict is False:
        text += " It is a saddle of |g|, which noise leaves."
    elif found.residual < 0.5:
        text += (
            " Newton's system can be solved here: if a solver reported a residual near 1, it stopped early."
        )
    return _verdict(
        "gradient-flat", here, found, text, name=f"gradient-flat at scale {readable(delta)}", strict=strict
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
