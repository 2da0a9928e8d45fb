"""Small experiments around a point: polishing it, looking for a lower loss, for kinks, and for a minimum of |g|."""

from typing import NamedTuple

import numpy as np

from solvable.landscapes.losses import GAUSS, Expansion, Loss, Numbers
from solvable.landscapes.methods import LM, Method, NewtonMR

# Up to so many parameters a search takes eigenvectors and many steps; polishing takes eigenvectors up to the second
# size. Beyond, there are fewer steps, which need products only.
_SMALL, _MEDIUM, _STEPS, _FEWER_STEPS, _PRODUCTS = 300, 1000, 60, 20, 100
# Rounding decides about steps once |g|^2 has fallen so far.
_FALLEN = 1e-12
# Searches that end after so few steps have come to rest.
_AT_ONCE = 5
# Squared gradients up to this, relative to |H|^2 (1 + |theta|^2), are rounding errors.
_ROUNDING = 1e-29
# Steps of these lengths, relative to 1 + |theta|, look for kinks.
_LENGTHS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
# The remainder of a smooth gradient falls a hundred times as a step becomes ten times shorter.
_SMOOTH_FALL = 20.0
# A jump is left after so many bisections of the step in which it is; a smooth change is not.
_BISECTIONS, _JUMP = 14, 0.02
# Perturbations along null vectors, relative to 1 + |theta|, and the descents from there.
_RADII = (1e-4, 1e-3, 1e-2)
_DIRECTIONS, _DESCENT = 8, 300
# Losses are compared by integrals of the gradient, with this error relative to |H|.
_NOISE = 1e-15
# Descents by Newton's method: their steps, and curvatures below which they take larger ones.
_NEWTON_STEPS, _CURVATURE = 25, 1e-10


class Polished(NamedTuple):
    """Where a search leads that starts at a point.

    Attributes:
        here: the expansion at its end.
        steps: number of steps.
        distance: from the start, relative to 1 + |theta|.
        growth: of 1 + |theta|.
        settled: whether the last step was much shorter than others, or there were few.
        ended: whether it ended by itself, and not with the last step allowed.
    """

    here: Expansion
    steps: int
    distance: float
    growth: float
    settled: bool
    ended: bool


def polish(loss: Loss, here: Expansion, norm: float, cautious: bool) -> Polished:
    """Return where a Newton-like search leads that starts with full steps or, if cautious, with short ones.

    A full step from flat ground is huge and may end anywhere.
    """
    start, N, first = here.theta, here.theta.shape[1], float(here.squared_gradient[0])
    reach = 0.1 * (1 + float(np.linalg.norm(start))) if cautious else np.finfo(float).max
    dense = (_SMALL if cautious else _MEDIUM) >= N
    method: Method = (
        LM(damping=1e-2 if cautious else 1e-8)
        if dense
        else NewtonMR(inner_iterations=_PRODUCTS, max_norm=reach)
    )
    most = _STEPS if N <= _SMALL else _FEWER_STEPS
    state, steps, lengths = np.array([method.state0]), 0, []
    floor = _ROUNDING * norm**2 * (1 + float(np.square(start).sum()))
    ended = True
    while here.squared_gradient[0] > floor:
        if steps == most:
            ended = False
            break
        move, state = method.advance(loss, here, state)
        if not move.moved[0]:
            break
        there = loss.at(move.theta)
        if not np.isfinite(there.product(there.gradient)).all():
            break
        if here.squared_gradient[0] > _FALLEN * min(first, 1.0):
            lengths.append(float(np.linalg.norm(move.theta - here.theta)))
        here, steps = there, steps + 1
    size = float(np.linalg.norm(start))
    distance = float(np.linalg.norm(here.theta - start)) / (1 + size)
    settled = len(lengths) <= _AT_ONCE or lengths[-1] < 0.1 * max(lengths)
    growth = (1 + float(np.linalg.norm(here.theta))) / (1 + size)
    return Polished(here, steps, distance, growth, settled, ended)


def reference_norm(loss: Loss, theta: Numbers, rng: np.random.Generator) -> float:
    """Return the largest norm of the Hessian times a random unit vector, at a few points around theta (1, N)."""
    points = theta + 1e-2 * (1 + np.linalg.norm(theta)) * _units(rng, 4, theta.shape[1])
    return max(
        float(np.linalg.norm(loss.at(point[None]).product(unit[None])))
        for point, unit in zip(points, _units(rng, 4, theta.shape[1]), strict=True)
    )


def lower_nearby(
    loss: Loss, here: Expansion, null_vectors: Numbers, norm: float, sign: float, rng: np.random.Generator
) -> Numbers:
    r"""Return a displacement (N,) along which the loss times `sign` falls, from a point without negative curvature.

    It is zero if none was found. Points off it along its null vectors are tried, and those where descents from them
    end. Each is compared by the integral of the gradient along the line to it: a difference of losses would lose a
    small fall in the rounding of the loss.
    """
    theta = here.theta[0]
    size = 1 + float(np.linalg.norm(theta))
    random = _units(rng, _DIRECTIONS, len(null_vectors)) @ null_vectors
    directions = np.concatenate([random, null_vectors[:_DIRECTIONS]])
    directions = np.concatenate([directions, -directions])
    moves, seen = np.zeros_like(directions), np.zeros(len(directions), dtype=bool)
    for radius in _RADII:
        moves = radius * size * directions
        changes, noise = _changes(loss, theta, moves, norm, sign)
        falls = ~seen & (changes < -noise)
        if falls.any():
            return moves[int(np.argmin(np.where(falls, changes, np.inf)))]
        # In each direction the shortest radius counts at which the loss visibly changes.
        seen |= changes > noise
    moves = _descended(loss, theta, moves, norm, sign) - theta
    # A descent that comes back tells of a minimum.
    moves = moves[np.linalg.norm(moves, axis=1) > _RADII[0] * size]
    if not len(moves):
        return np.zeros(len(theta))
    changes, noise = _changes(loss, theta, moves, norm, sign)
    return moves[int(np.argmin(changes))] if (changes < -noise).any() else np.zeros(len(theta))


def _descended(loss: Loss, theta: Numbers, moves: Numbers, norm: float, sign: float) -> Numbers:
    """Return where descents of the loss times `sign` from a point and moves (moves, N) off it end.

    Steps of Newton's method with the magnitudes of the eigenvalues leave a saddle as fast as they reach a minimum, also
    where all curvature is small. Gradient descent takes their place where Hessians take long.
    """
    points = theta + moves
    if len(theta) > _SMALL:
        for _ in range(_DESCENT):
            gradients = loss.gradient(points)[1]
            points = points - sign * np.where(np.isfinite(gradients), gradients, 0.0) / (2 * norm)
        return points
    longest = float(np.linalg.norm(moves[0]))
    points = points[:: max(1, len(points) // _DIRECTIONS)]
    for _ in range(_NEWTON_STEPS):
        here = loss.at(points)
        H = here.hessian()
        H[~np.isfinite(H).all(axis=(1, 2))] = 0
        eigenvalues, vectors = np.linalg.eigh(H)
        along = np.einsum("bij,bi->bj", vectors, sign * here.gradient)
        steps = np.einsum("bij,bj->bi", vectors, along / np.maximum(np.abs(eigenvalues), _CURVATURE * norm))
        lengths = np.linalg.norm(steps, axis=1, keepdims=True)
        steps *= np.minimum(1, longest / np.where(lengths > 0, lengths, 1))
        points = points - np.where(np.isfinite(steps), steps, 0.0)
    return points


def _changes(loss: Loss, theta: Numbers, moves: Numbers, norm: float, sign: float) -> tuple[Numbers, Numbers]:
    r"""Return $L(\theta + d) - L(\theta)$ for moves d (moves, N), and the errors of these differences."""
    nodes, weights = GAUSS
    changes = np.zeros(len(moves))
    for node, weight in zip((1 + nodes) / 2, weights / 2, strict=True):
        gradients = loss.gradient(theta + node * moves)[1]
        changes += sign * weight * np.einsum("bn,bn->b", gradients, moves)
    size = (1 + np.linalg.norm(theta)) * np.linalg.norm(moves, axis=1)
    return np.where(np.isfinite(changes), changes, np.inf), _NOISE * norm * size


def has_kink(loss: Loss, here: Expansion, directions: Numbers, norm: float, critical: bool) -> bool:
    r"""Return whether the gradient jumps near a point, so that its Hessian says nothing about the neighbourhood.

    The remainder $|g(\theta + h u) - g - h H u|$ of a smooth loss falls as $h^2$, and a jump keeps it from falling.

    Args:
        loss: in question.
        here: at the point.
        directions: unit vectors u (directions, N).
        norm: $|H|$.
        critical: whether the gradient vanishes: then a kink must show at the shortest steps, since only it can make the
            verdict wrong. Elsewhere the jump must be left when the step in which it lies is bisected.
    """
    theta, g = here.theta[0], here.gradient[0]
    size = 1 + float(np.linalg.norm(theta))
    images = np.concatenate([here.product(u[None]) for u in directions])
    remainders = np.empty((len(_LENGTHS), len(directions)))
    for i, length in enumerate(_LENGTHS):
        h = length * size
        values, gradients = loss.gradient(theta + h * directions)
        rest = np.linalg.norm(gradients - g - h * images, axis=1)
        # Where the loss is not defined there is nothing to compare.
        remainders[i] = np.where(np.isfinite(values) & np.isfinite(rest), rest, 0.0)
    # A gradient is rounded like the numbers that cancel in it, which are those of gradients far away.
    with np.errstate(all="ignore"):
        away = np.concatenate([theta + size * directions, theta / size + directions])
        far = np.linalg.norm(loss.gradient(away)[1], axis=1)
    far = float(far[np.isfinite(far)].max(initial=0.0))
    noise = 1e-11 * (norm * size + float(np.linalg.norm(g))) + 1e-14 * far
    loud = remainders[1:] > noise
    slow = loud & (remainders[1:] > remainders[:-1] / _SMOOTH_FALL)
    # The two shortest steps whose remainder is no rounding: a loss that is only rough at long steps is none of these.
    for j in range(len(directions)):
        last = np.flatnonzero(loud[:, j])[-2:]
        if len(last) == 2 and slow[last, j].all():
            return True
    if critical:
        return False
    return any(
        _jumps(loss, theta, h * directions[j], h * images[j], float(remainders[i + 1, j]), noise)
        for i, j in np.argwhere(slow)
        for h in (_LENGTHS[int(i) + 1] * size,)
    )


def _jumps(loss: Loss, theta: Numbers, step: Numbers, image: Numbers, remainder: float, noise: float) -> bool:
    """Return whether the gradient jumps by the size of the remainder within a step; `image` is its linear change."""

    def rest(share: float) -> Numbers:
        value, gradient = loss.gradient((theta + share * step)[None])
        return gradient[0] - share * image if np.isfinite(value[0]) else np.full(len(theta), np.nan)

    low, high = 0.0, 1.0
    g_low, g_high = rest(low), rest(high)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        g = rest(middle)
        if np.linalg.norm(g - g_low) > np.linalg.norm(g_high - g):
            high, g_high = middle, g
        else:
            low, g_low = middle, g
    return bool(np.linalg.norm(g_high - g_low) > max(_JUMP * remainder, noise))


def curvature_of_gradient_norm(loss: Loss, here: Expansion) -> float:
    r"""Return the lowest eigenvalue of $H^2 + \nabla^3 L[g]$, the Hessian of $|g|^2 / 2$, relative to the largest."""
    g = here.gradient[0]
    length = float(np.linalg.norm(g))
    step = 1e-4 * (1 + float(np.linalg.norm(here.theta)))
    above, below = (loss.at(here.theta + sign * step * g / length).hessian()[0] for sign in (1, -1))
    H = here.hessian()[0]
    values = np.linalg.eigvalsh(H @ H + length * (above - below) / (2 * step))
    return float(values[0] / np.abs(values).max())


def _units(rng: np.random.Generator, n: int, size: int) -> Numbers:
    vectors = rng.standard_normal((n, size))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def kink_directions(here: Expansion, step: Numbers, rng: np.random.Generator) -> Numbers:
    """Return the directions in which kinks are looked for: the Newton step, downhill in |g|, and random ones."""
    given = np.stack([step, -here.product(here.gradient)[0]])
    lengths = np.linalg.norm(given, axis=1)
    usable = lengths > 0
    return np.concatenate([given[usable] / lengths[usable, None], _units(rng, 4, here.theta.shape[1])])
