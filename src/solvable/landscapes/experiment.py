"""What the studies measure: searches from many starts on a linear autoencoder, on the toy and on small networks."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from solvable.landscapes import toy
from solvable.landscapes.classification import KINDS, Classification, classify_all
from solvable.landscapes.critical_point import CriticalPoint
from solvable.landscapes.finders import find_critical_points
from solvable.landscapes.inputs import as_loss
from solvable.landscapes.losses import Loss, Numbers
from solvable.landscapes.methods import Method
from solvable.landscapes.minres import solve_batch
from solvable.landscapes.result import CriticalPoints
from solvable.landscapes.theory import CRITICAL

if TYPE_CHECKING:
    from solvable.landscapes.torch_losses import ModuleLoss

METHOD_NAMES = {"lm": "LM", "newton_mr": "Newton-MR", "damped_newton": "Damped Newton", "gnm": "GNM"}
"""The methods in words."""

KIND_NAMES = tuple(KINDS)
"""Kinds of points by their number in data sets."""

CRITICAL_KINDS = ("minimum", "saddle", "maximum", "degenerate")
"""The kinds that are critical."""

CUTOFFS = tuple(10.0**-k for k in (2, 4, 6, 8, 10, 12, 14))
"""Squared gradient norms at which a search might have been stopped."""

# Eigenvalues below this are negative, as in the paper. It is absolute: a limit that knows |g| would hide what an early
# stop does to the index.
_NEGATIVE = -1e-5
_TOY_STEPS = 50
# The paper's tolerance of Newton's system.
_LOOSE = 5e-4


def search(loss: Any, starts: Numbers, method: str | Method, max_iter: int) -> tuple[CriticalPoints, Numbers]:
    """Return the ends of a search, and all points after so many steps (steps + 1, B, N).

    A start that has ended stays where it is.
    """
    points = [starts]
    found = find_critical_points(
        loss,
        starts,
        method,
        max_iter=max_iter,
        batch_size=len(starts),
        callback=lambda _, theta: points.append(theta),
        quiet=True,
    )
    return found, np.stack(points)


# --- The linear autoencoder -------------------------------------------------------------------------------------------


def gaussian_covariance(
    n_inputs: int, n_samples: int, rng: np.random.Generator
) -> Float[NDArray, "n_inputs n_inputs"]:
    """Return the covariance of Gaussian samples with variances 1, ..., n_inputs, whose means are removed."""
    X = np.sqrt(np.arange(1, n_inputs + 1))[:, None] * rng.standard_normal((n_inputs, n_samples))
    X -= X.mean(axis=1, keepdims=True)
    return X @ X.T / n_samples


class EarlyStop(NamedTuple):
    """Errors at the first point of each search below a cut-off, against the class at its end.

    Attributes:
        right: share of the searches whose index is right.
        index_error: mean of |error of the index|.
        loss_error: mean of |relative error of the loss|.
    """

    right: float
    index_error: float
    loss_error: float


def stop_early(
    loss: Any, found: CriticalPoints, points: Numbers, ends: list[CriticalPoint | None], cutoff: float
) -> EarlyStop:
    r"""Return the errors of searches that are stopped as soon as $|g|^2$ is below the cut-off.

    Searches that end at no critical point, or have none below the cut-off, are left out; NaN if all are.

    Args:
        loss: as in `find_critical_points`.
        found: the ends of all searches (B).
        points: from `search` (steps + 1, B, N).
        ends: the exact critical point at which each search ends, or None (B).
        cutoff: on the squared gradient norm.
    """
    below = found.traces["squared_gradient"] < cutoff
    known = np.array([end is not None for end in ends])
    rows = np.flatnonzero(below.any(axis=0) & (found.squared_gradient <= CRITICAL) & known)
    if not rows.size:
        return EarlyStop(np.nan, np.nan, np.nan)
    first = as_loss(loss).at(points[below.argmax(axis=0)[rows], rows])
    index = (np.linalg.eigvalsh(first.hessian()) < _NEGATIVE).sum(axis=1)
    exact = np.array([(end.n_negative, end.loss) for end in (ends[row] for row in rows) if end is not None])
    error = np.abs(index - exact[:, 0])
    loss_error = np.abs(first.value / exact[:, 1] - 1)
    return EarlyStop(float((error == 0).mean()), float(error.mean()), float(loss_error.mean()))


# --- The toy ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ToySearch:
    """A search on the toy from a grid of 10 x 10 starts.

    Attributes:
        kinds: positions of the kinds of the ends in `KIND_NAMES` (100,).
        loss: of the ends (100,).
        squared_gradient: of the ends (100,).
        points: all points (51, 100, 2).
    """

    kinds: Int[NDArray, "starts"]
    loss: Float[NDArray, "starts"]
    squared_gradient: Float[NDArray, "starts"]
    points: Float[NDArray, "steps starts 2"]


def search_toy(method: str | Method) -> ToySearch:
    """Return where a method ends on the toy in 50 steps."""
    found, points = search(toy.loss(), toy.grid_of_starts(), method, _TOY_STEPS)
    points = np.concatenate([points, np.repeat(points[-1:], _TOY_STEPS + 1 - len(points), axis=0)])
    kinds = kind_numbers(classify_all(toy.loss(), found.theta, quiet=True))
    return ToySearch(kinds, found.loss, found.squared_gradient, points)


def kind_numbers(verdicts: list[Classification]) -> Int[NDArray, "points"]:
    """Return the positions of the kinds in `KIND_NAMES`."""
    return np.array([KIND_NAMES.index(verdict.kind) for verdict in verdicts])


# --- Networks ---------------------------------------------------------------------------------------------------------


def principal_components(X: Float[NDArray, "n m"], n_components: int) -> Float[NDArray, "n n_components"]:
    """Return the first principal components of standardised columns, each with variance 1.

    Constant columns are left out. There are fewer components if the rank is less.
    """
    X = X - X.mean(axis=0)
    spread = X.std(axis=0)
    X = X[:, spread > 1e-8 * spread.max(initial=0.0)]
    U, s, _ = np.linalg.svd(X / X.std(axis=0), full_matrices=False)
    rank = int((s > 1e-8 * s[0]).sum())
    return np.sqrt(len(X)) * U[:, : min(rank, n_components)]


def network_loss(
    sizes: tuple[int, ...],
    X: Float[NDArray, "n m"],
    y: NDArray[Any],
    classifier: bool,
    l2: float,
    seed: int,
) -> "ModuleLoss":
    r"""Return the loss of a network of swish units with biases.

    It is the mean of the squared errors over all entries or, of a classifier, the cross-entropy; plus
    $\lambda_2 |\theta|^2$. Its `theta0` has PyTorch's usual initialisation.
    """
    import torch
    from torch import nn

    from solvable.landscapes.torch_losses import module_loss

    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        linear: Any = nn.utils.skip_init(nn.Linear, n_in, n_out)
        for parameter in (linear.weight, linear.bias):
            nn.init.uniform_(parameter, -(n_in**-0.5), n_in**-0.5, generator=generator)
        layers += [linear, nn.SiLU()]

    def mean_square(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (output - target).square().mean()

    return module_loss(
        nn.Sequential(*layers[:-1]), "cross-entropy" if classifier else mean_square, X, y, l2=l2
    )


@dataclass(frozen=True, eq=False)
class NetworkSearch:
    """A search on a network's loss.

    Attributes:
        found: where it ends.
        verdicts: of `classify` on each end.
        loose_residual: r of Newton's system at each end, solved to the paper's tolerance, 5e-4 (B,).
        growth: of the norm of the parameters (B,).
    """

    found: CriticalPoints
    verdicts: list[Classification]
    loose_residual: Float[NDArray, "B"]
    growth: Float[NDArray, "B"]


def search_network(loss: Loss, starts: Numbers, method: Method, max_iter: int) -> NetworkSearch:
    """Return where a method ends, and the verdicts on these points."""
    found = find_critical_points(loss, starts, method, max_iter=max_iter, quiet=True)
    here = loss.at(found.theta)
    _, info = solve_batch(here.product, -here.gradient, rtol=_LOOSE, maxiter=starts.shape[1])
    growth = np.linalg.norm(found.theta, axis=1) / np.linalg.norm(starts, axis=1)
    return NetworkSearch(found, found.classify(quiet=True), info.relative_residual, growth)
