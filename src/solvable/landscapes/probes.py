"""Small experiments around a point: polishing it, looking for a lower loss, for kinks, and for a minimum of |g|."""

from typing import NamedTuple

import numpy as np

from solvable.landscapes.losses import Expansion, Loss, Numbers
from solvable.landscapes.methods import LM, Method, NewtonMR

# Up to so many parameters a point is polished with eigenvectors, in so many steps; beyond, with fewer steps that need
# products only.
_SMALL, _STEPS, _FEWER_STEPS, _PRODUCTS = 300, 60, 20, 100
# Squared gradients up to this, relative to |H|^2 (1 + |theta|^2), are rounding errors.
_ROUNDING = 1e-29
# Steps of these lengths, relative to 1 + |theta|, look for kinks.
_LENGTHS = (1e-3, 1e-4, 1e-5, 1e-6)
# The remainder of a smooth gradient falls a hundred times as a step becomes ten times shorter.
_SMOOTH_FALL = 20.0
# Perturbations along null vectors, relative to 1 + |theta|, and the descents from there.
_RADII = (1e-3, 1e-2)
_DIRECTIONS, _DESCENT = 8, 300


class Polished(NamedTuple):
    """Where a search leads that starts at a point.

    Attributes:
        here: the expansion at its end.
        steps: number of steps.
        distance: from the start, relative to 1 + |theta|.
        growth: of |theta|.
        settled: whether the last steps were much shorter than the first ones, or there were none.
    """

    here: Expansion
    steps: int
    distance: float
    growth: float
    settled: bool


def polish(loss: Loss, here: Expansion, norm: float) -> Polished:
    """Return where a Newton-like search leads that starts with full steps."""
    start = here.theta
    small = start.shape[1] <= _SMALL
    method: Method = LM(damping=1e-8) if small else NewtonMR(inner_iterations=_PRODUCTS)
    most = _STEPS if small else _FEWER_STEPS
    state, lengths = np.array([method.state0]), []
    floor = _ROUNDING * norm**2 * (1 + float(np.square(start).sum()))
    while len(lengths) < most and here.squared_gradient[0] > floor:
        move, state = method.advance(loss, here, state)
        if not move.moved[0]:
            break
        lengths.append(float(np.linalg.norm(move.theta - here.theta)))
        here = loss.at(move.theta)
    size = float(np.linalg.norm(start))
    distance = float(np.linalg.norm(here.theta - start)) / (1 + size)
    settled = not lengths or lengths[-1] < 0.1 * max(lengths)
    return Polished(here, len(lengths), distance, float(np.linalg.norm(here.theta)) / (size or 1.0), settled)


def reference_norm(loss: Loss, theta: Numbers, rng: np.random.Generator) -> float:
    """Return the largest norm of the Hessian times a random unit vector, at a few points around theta (1, N)."""
    points = theta + 1e-2 * (1 + np.linalg.norm(theta)) * _units(rng, 4, theta.shape[1])
    return max(
        float(np.linalg.norm(loss.at(point[None]).product(unit[None])))
        for point, unit in zip(points, _units(rng, 4, theta.shape[1]), strict=True)
    )


def lower_nearby(
    loss: Loss, here: Expansion, null_vectors: Numbers, norm: float, rng: np.random.Generator
) -> float:
    """Return by how much the loss falls in short descents that begin off the point along its null vectors.

    Zero where it does not fall: then the point is a minimum, as far as such descents can tell.
    """
    theta, value = here.theta[0], float(here.value[0])
    random = _units(rng, _DIRECTIONS, len(null_vectors)) @ null_vectors
    directions = np.concatenate([random, null_vectors[: _DIRECTIONS // 2]])
    directions = np.concatenate([directions, -directions])
    starts = np.concatenate([r * (1 + np.linalg.norm(theta)) * directions for r in _RADII]) + theta
    losses, gradients = loss.gradient(starts)
    rounding = 1e-12 * (abs(value) + float(np.abs(losses - value).max(initial=0.0)))
    points, best = starts, float(losses.min())
    for _ in range(_DESCENT):
        if best < value - rounding:
            break
        points = points - gradients / (2 * norm)
        losses, gradients = loss.gradient(points)
        best = float(np.where(np.isfinite(losses), losses, np.inf).min())
    return value - best if best < value - rounding else 0.0


def has_kink(loss: Loss, here: Expansion, directions: Numbers, norm: float, critical: bool) -> bool:
    r"""Return whether the gradient jumps near a point, so that its Hessian says nothing about the neighbourhood.

    The remainder $|g(\theta + h u) - g - h H u|$ of a smooth loss falls as $h^2$. A jump keeps it from falling.

    Args:
        loss: whose `kinks` are known from its graph, if it is a torch function.
        here: at the point.
        directions: unit vectors u (directions, N).
        norm: $|H|$.
        critical: whether the gradient vanishes: then a kink must show at the shortest steps, since only it can make the
            verdict wrong.
    """
    theta, g = here.theta[0], here.gradient[0]
    size = 1 + float(np.linalg.norm(theta))
    images = np.concatenate([here.product(u[None]) for u in directions])
    remainders = np.empty((len(_LENGTHS), len(directions)))
    for i, length in enumerate(_LENGTHS):
        h = length * size
        gradients = loss.gradient(theta + h * directions)[1]
        remainders[i] = np.linalg.norm(gradients - g - h * images, axis=1)
    # A gradient is rounded like the numbers that cancel in it, which are those of gradients far away.
    with np.errstate(all="ignore"):
        far = np.linalg.norm(loss.gradient(theta + size * directions)[1], axis=1)
    far = float(far[np.isfinite(far)].max(initial=0.0))
    noise = 1e-11 * (norm * size + float(np.linalg.norm(g))) + 1e-14 * far
    loud = remainders[1:] > noise
    slow = loud & (remainders[1:] > remainders[:-1] / _SMOOTH_FALL)
    if critical or not loss.kinks:
        # Two falls in a row that are too slow: a loss that is only rough at long steps is none of these.
        return bool((slow[-2] & slow[-1]).any())
    return bool(slow.any())


def is_minimum_of_gradient(loss: Loss, here: Expansion) -> bool:
    r"""Return whether the Hessian of $\frac12 |g|^2$, $H^2 + \nabla^3 L[g]$, is positive semidefinite."""
    g = here.gradient[0]
    length = float(np.linalg.norm(g))
    step = 1e-4 * (1 + float(np.linalg.norm(here.theta)))
    above, below = (loss.at(here.theta + sign * step * g / length).hessian()[0] for sign in (1, -1))
    H = here.hessian()[0]
    values = np.linalg.eigvalsh(H @ H + length * (above - below) / (2 * step))
    return bool(values[0] >= -1e-6 * np.abs(values).max())


def _units(rng: np.random.Generator, n: int, size: int) -> Numbers:
    vectors = rng.standard_normal((n, size))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def kink_directions(here: Expansion, step: Numbers, rng: np.random.Generator) -> Numbers:
    """Return the directions in which kinks are looked for: the Newton step, downhill in |g|, and random ones."""
    given = np.stack([step, -here.product(here.gradient)[0]])
    lengths = np.linalg.norm(given, axis=1)
    usable = lengths > 0
    return np.concatenate([given[usable] / lengths[usable, None], _units(rng, 4, here.theta.shape[1])])
