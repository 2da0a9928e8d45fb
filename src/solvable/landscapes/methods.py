r"""Methods that look for zeros of the gradient, each advancing a batch of starts by one accepted step.

All of them decrease $|g|^2$, so that saddles attract them as minima do: `LM` (Levenberg-Marquardt on the gradient),
`NewtonMR` (minimum-length Newton steps from a Krylov space), `DampedNewton` and `GNM` (gradient descent on
$\frac12 |g|^2$).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvable.checks import grid, one_number, whole
from solvable.landscapes.losses import Expansion, Loss, Numbers
from solvable.landscapes.minres import solve_batch

# A start has stalled if no step of this share, or no damping up to the largest, makes |g|^2 smaller.
_SMALLEST_SHARE = 1e-18
# Of |g|^2 a method must remove at least this share of what its model promises.
_LEAST_GAIN = 1e-4
_SMALLEST_DAMPING, _LARGEST_DAMPING = 1e-18, 1e6


class Move(NamedTuple):
    """One attempt of a batch of starts to move.

    Attributes:
        theta: where they are now; unchanged where no step was accepted (B, N).
        moved: whether a step was accepted (B,).
        residual: $r(p)$ of the Newton step with the spectral norm, measured with fresh products; NaN if there was no
            Newton step (B,).
        cokernel: $r_H(p)$ of it (B,).
        size: the accepted share of the step, or the damping (B,).
        broken: where second derivatives are NaN or infinite (B,).
    """

    theta: Numbers
    moved: NDArray[np.bool_]
    residual: Numbers
    cokernel: Numbers
    size: Numbers
    broken: NDArray[np.bool_]


class Method(ABC):
    """A method: `state0` is what each start remembers at first, `dense` whether it forms Hessians."""

    dense: ClassVar[bool] = False
    state0: float = 1.0

    @abstractmethod
    def advance(self, loss: Loss, here: Expansion, state: Numbers) -> tuple[Move, Numbers]:
        """Return the next points and what the starts remember."""


@dataclass(frozen=True)
class LM(Method):
    r"""Levenberg-Marquardt on the gradient: $p = -H (H^2 + \mu |H|^2)^{-1} g$.

    Directions of positive and negative curvature are treated alike, so that it is not drawn to minima. On linear
    networks it finds critical points from nearly all starts. Each step needs the eigenvectors of a Hessian.

    Args:
        damping: the first $\mu > 0$, relative to the squared norm of the Hessian.
    """

    damping: float = 1e-2
    dense: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_number("damping", self.damping, above=0)

    @property
    def state0(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.damping

    def advance(self, loss: Loss, here: Expansion, state: Numbers) -> tuple[Move, Numbers]:
        lam, V, broken = _eigenvectors(here)
        c = np.einsum("bij,bi->bj", V, here.gradient)
        squared = here.squared_gradient
        norm = np.abs(lam).max(axis=1, keepdims=True)
        relative = np.square(lam / np.where(norm > 0, norm, 1))
        mu, theta = state.copy(), here.theta.copy()
        kept = np.ones(lam.shape)
        waiting = np.flatnonzero((squared > 0) & (norm[:, 0] > 0))
        moved = np.zeros(len(theta), dtype=bool)
        while waiting.size:
            damping = mu[waiting, None]
            rest = damping / (relative[waiting] + damping)
            # p = -(1 - rest) c / lam, written so that small eigenvalues divide nothing.
            inverse = lam[waiting] / (norm[waiting] ** 2 * (relative[waiting] + damping))
            trial = here.theta[waiting] - np.einsum("bij,bj->bi", V[waiting], inverse * c[waiting])
            value, gradient = loss.gradient(trial)
            new = _squares(gradient)
            promised = squared[waiting] - np.square(rest * c[waiting]).sum(axis=1)
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                gain = (squared[waiting] - new) / promised
            good = np.isfinite(value) & np.isfinite(new) & (gain > _LEAST_GAIN)
            theta[waiting[good]], kept[waiting[good]] = trial[good], rest[good]
            moved[waiting[good]] = True
            better, worse = gain > 0.75, ~(gain >= 0.25)
            mu[waiting[good & better]] /= 9
            mu[waiting[worse | ~good]] *= 4
            mu = mu.clip(_SMALLEST_DAMPING, None)
            waiting = waiting[~good & (mu[waiting] < _LARGEST_DAMPING)]
        mu = mu.clip(_SMALLEST_DAMPING, _LARGEST_DAMPING)
        left = kept * c
        residual = _share(
            left, np.linalg.norm((1 - kept) * c / np.where(lam == 0, 1, lam), axis=1), norm, squared
        )
        cokernel = _relative(np.linalg.norm(lam * left, axis=1), norm[:, 0] * np.linalg.norm(left, axis=1))
        return Move(theta, moved, residual, cokernel, mu, broken), mu


@dataclass(frozen=True)
class NewtonMR(Method):
    r"""Newton's method with minimum-length steps: $p$ is the shortest that makes $|H p + g|$ least.

    The step comes from `minres_qlp` and is shortened until $|g|^2$ falls by $2 \rho \alpha\, p^\top H g$. It needs only
    products with the Hessian, for any number of parameters.

    Args:
        inner_iterations: products with the Hessian for one step, at most; early stopping keeps steps short.
        inner_rtol: tolerance of the solver. A loose one stops early and reports a large residual where the system can
            be solved.
        decrease: $\rho$, the share of the promised decrease that is demanded, in (0, 1).
        pure_decrease: the same of the full step, which is tried first.
        backtracking: factor of a step that was refused, in (0, 1).
        max_norm: longest step.

    Source: Roosta, Liu, Xu, Mahoney, 2018; arXiv:2003.10397.
    """

    inner_iterations: int = 25
    inner_rtol: float = 1e-10
    decrease: float = 0.1
    pure_decrease: float = 0.1
    backtracking: float = 0.9
    max_norm: float = 1e4

    def __post_init__(self) -> None:
        whole("inner_iterations", self.inner_iterations, at_least=1)
        for name in ("inner_rtol", "max_norm"):
            one_number(name, getattr(self, name), above=0)
        for name in ("decrease", "pure_decrease", "backtracking"):
            one_number(name, getattr(self, name), above=0, at_most=1 - 1e-9)

    def advance(self, loss: Loss, here: Expansion, state: Numbers) -> tuple[Move, Numbers]:
        g = here.gradient
        most = min(self.inner_iterations, g.shape[1])
        step, info = solve_batch(here.product, -g, rtol=self.inner_rtol, maxiter=most, max_norm=self.max_norm)
        slope = np.einsum("bn,bn->b", here.product(step), g)
        broken: NDArray[np.bool_] = np.logical_not(np.isfinite(slope))
        step[broken] = 0
        search = _backtrack(
            loss,
            here,
            step,
            np.minimum(slope, 0),
            state,
            self.decrease,
            self.pure_decrease,
            self.backtracking,
        )
        theta, moved, alpha = search
        memory = np.where(moved, np.minimum(1, alpha / self.backtracking), alpha)
        return Move(
            theta, moved, info.relative_residual, info.relative_normal_residual, alpha, broken
        ), memory


@dataclass(frozen=True)
class DampedNewton(Method):
    r"""Damped Newton steps: of $p = -(H + \gamma)^{-1} g$ for a grid of $\gamma$ the one that leaves the least $|g|^2$.

    It finds minima nearly always, and hardly any saddle: a control, not a recommendation.

    Args:
        dampings: $\gamma > 0$.
        step: factor of each step, in (0, 1].

    Source: Dauphin et al., 2014; arXiv:2003.10397.
    """

    dampings: tuple[float, ...] = field(default=tuple(10.0**-k for k in range(-2, 8)))
    step: float = 1.0
    dense: ClassVar[bool] = True

    def __post_init__(self) -> None:
        grid("dampings", self.dampings, above=0)
        one_number("step", self.step, above=0, at_most=1)

    def advance(self, loss: Loss, here: Expansion, state: Numbers) -> tuple[Move, Numbers]:
        lam, V, broken = _eigenvectors(here)
        c = np.einsum("bij,bi->bj", V, here.gradient)
        best, theta, chosen = here.squared_gradient, here.theta.copy(), np.full(len(lam), np.nan)
        moved = np.zeros(len(theta), dtype=bool)
        for gamma in self.dampings:
            shifted = lam + gamma
            shifted = np.where(shifted == 0, np.finfo(float).tiny, shifted)
            with np.errstate(over="ignore", invalid="ignore"):
                trial = here.theta - self.step * np.einsum("bij,bj->bi", V, c / shifted)
                usable = np.isfinite(trial).all(axis=1)
                value, gradient = loss.gradient(np.where(usable[:, None], trial, here.theta))
                new = _squares(gradient)
            good = usable & ~broken & np.isfinite(value) & (new < best)
            best, theta[good], chosen[good] = np.where(good, new, best), trial[good], gamma
            moved |= good
        nothing = np.full(len(theta), np.nan)
        return Move(theta, moved, nothing, nothing, chosen, broken), state


@dataclass(frozen=True)
class GNM(Method):
    r"""Gradient-norm minimisation: gradient descent on $\frac12 |g|^2$, whose gradient is $H g$.

    Cheap steps, and thousands of them. It ends at any stationary point of $|g|^2$, critical or flat.

    Args:
        step: the first step size > 0; it grows after a step that was accepted.
        decrease: share of the promised decrease that is demanded, in (0, 1).
        backtracking: factor of a step that was refused, in (0, 1).

    Source: arXiv:2003.10397.
    """

    step: float = 0.1
    decrease: float = 1e-4
    backtracking: float = 0.5

    def __post_init__(self) -> None:
        one_number("step", self.step, above=0)
        for name in ("decrease", "backtracking"):
            one_number(name, getattr(self, name), above=0, at_most=1 - 1e-9)

    @property
    def state0(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.step

    def advance(self, loss: Loss, here: Expansion, state: Numbers) -> tuple[Move, Numbers]:
        direction = -here.product(here.gradient)
        broken: NDArray[np.bool_] = np.logical_not(np.isfinite(direction).all(axis=1))
        slope = -_squares(direction)
        theta, moved, alpha = _backtrack(
            loss, here, direction, slope, state, self.decrease, None, self.backtracking
        )
        memory = np.where(moved, alpha / self.backtracking, alpha)
        nothing = np.full(len(theta), np.nan)
        return Move(theta, moved, nothing, nothing, alpha, broken), memory


METHODS: dict[str, type[Method]] = {
    "lm": LM,
    "newton_mr": NewtonMR,
    "damped_newton": DampedNewton,
    "gnm": GNM,
}
"""Name -> method, with its defaults."""


def _eigenvectors(here: Expansion) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """Return eigenvalues, eigenvectors, and where the Hessian is not finite (it is taken as 0 there)."""
    H = here.hessian()
    broken: NDArray[np.bool_] = np.logical_not(np.isfinite(H).all(axis=(1, 2)))
    H[broken] = 0
    lam, V = np.linalg.eigh(H)
    return lam, V, broken


def _backtrack(
    loss: Loss,
    here: Expansion,
    step: Numbers,
    slope: Numbers,
    remembered: Numbers,
    decrease: float,
    pure_decrease: float | None,
    factor: float,
) -> tuple[Numbers, NDArray[np.bool_], Numbers]:
    r"""Return points, whether they moved, and $\alpha$ with $|g|^2 \le |g_0|^2 + 2 \rho \alpha\, p^\top H g_0$.

    The full step is tried first, with its own $\rho$, unless that is None; then steps from the remembered one down.
    """
    squared = here.squared_gradient
    theta, moved, alpha = here.theta.copy(), np.zeros(len(step), dtype=bool), remembered.copy()
    waiting = np.flatnonzero(np.isfinite(step).all(axis=1) & np.any(step != 0, axis=1))
    pure = pure_decrease is not None
    while waiting.size:
        length = np.ones(len(waiting)) if pure else alpha[waiting]
        rho = pure_decrease if pure and pure_decrease is not None else decrease
        trial = here.theta[waiting] + length[:, None] * step[waiting]
        value, gradient = loss.gradient(trial)
        with np.errstate(over="ignore", invalid="ignore"):
            new = _squares(gradient)
            good = new <= squared[waiting] + 2 * rho * length * slope[waiting]
        # An equal norm is progress of nothing: rounding has taken over.
        good &= np.isfinite(value) & (new < squared[waiting])
        index = waiting[good]
        theta[index], alpha[index], moved[index] = trial[good], length[good], True
        waiting = waiting[~good]
        if not pure:
            alpha[waiting] *= factor
            waiting = waiting[alpha[waiting] >= _SMALLEST_SHARE]
        pure = False
    return theta, moved, alpha


def _squares(v: Numbers) -> Numbers:
    return np.einsum("bn,bn->b", v, v)


def _relative(a: Numbers, b: Numbers) -> Numbers:
    return np.where(b > 0, a / np.where(b > 0, b, 1), 0.0)


def _share(left: Numbers, length: Numbers, norm: Numbers, squared: Numbers) -> Numbers:
    return _relative(np.linalg.norm(left, axis=1), norm[:, 0] * length + np.sqrt(squared))
