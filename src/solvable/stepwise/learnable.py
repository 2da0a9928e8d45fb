r"""How many directions data and augmentations support: held-out correlations, and rules for eigenvalues alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, numbers, one_number, whole
from solvable.errors import InputError
from solvable.stepwise.correlation import as_numpy, checked_views, cross_correlation


def learnable_directions(
    gamma: ArrayLike, *, weight_decay: float = 0.0, noise_floor: float | None = None
) -> int:
    r"""Return how many eigenvalues of $\Gamma$ stand for directions that training on fresh augmentations learns.

    Two views of the same samples have a positive semidefinite $\Gamma$ in the limit of infinite data, so its negative
    eigenvalues are noise, and the positive ones have as much. Counted are $\gamma_j > |\gamma_{min}|$, and with weight
    decay w only $\gamma_j > w/4$, since the others decay faster than they grow.

    Args:
        gamma: $\Gamma$, (m, m), or all of its eigenvalues (modes,).
        weight_decay: $w \ge 0$ of `torch.optim.SGD`.
        noise_floor: a limit of your own; by default $|\gamma_{min}|$. It is a little strict; `held_out_directions` is
            better where the views are at hand.

    Source: derived; the number of positive eigenvalues alone grows with the number of samples.

    >>> learnable_directions([3.0, 1.0, 0.2, 0.1, -0.15])
    3
    >>> learnable_directions([3.0, 1.0, 0.2, 0.1, -0.15], weight_decay=0.8)
    2
    """
    values = np.array(numbers("gamma", as_numpy(gamma)), dtype=np.float64)
    finite("gamma", values)
    if values.ndim == 2 and values.shape[0] == values.shape[1]:
        values = np.linalg.eigvalsh((values + values.T) / 2)
    elif values.ndim > 1:
        raise InputError(
            f"gamma has shape {values.shape}; expected eigenvalues (modes,) or a square matrix (m, m)"
        )
    w = one_number("weight_decay", weight_decay, at_least=0)
    rounding = 1e-12 * float(np.abs(values).max())
    floor = (
        max(-float(values.min()), rounding) if noise_floor is None else one_number("noise_floor", noise_floor)
    )
    return int((values > max(floor, w / 4)).sum())


@dataclass(frozen=True, eq=False)
class HeldOut:
    r"""Directions found on one half of the pairs and measured on the other, over both halves.

    Attributes:
        directions: number of leading directions whose held-out correlation is above two standard errors.
        gamma: eigenvalues of $\Gamma$ of the halves, mean of both `(modes,)`; biased upwards.
        held_out: correlation of the views along the same directions on the other half `(modes,)`; unbiased.
        error: standard errors of `held_out` `(modes,)`.
    """

    directions: int
    gamma: Float[NDArray, "modes"]
    held_out: Float[NDArray, "modes"]
    error: Float[NDArray, "modes"]

    def __str__(self) -> str:
        capped = " or more" if self.directions == len(self.gamma) else ""
        return f"{self.directions}{capped} directions are above the noise on held-out pairs"


def held_out_directions(
    X: Any,
    X2: Any,
    *,
    groups: Any = None,
    weight_decay: float = 0.0,
    center: bool = True,
    most: int = 200,
    random_state: int = 0,
) -> HeldOut:
    r"""Return how many directions the views support, measured on pairs that were not used to find them.

    The eigenvectors $v_j$ of $\Gamma$ of one half of the pairs are kept as long as the mean of
    $(v_j \cdot x)(v_j \cdot x')$ over the other half is above two standard errors and above w/4.

    Args:
        X: views (n, m), n at least 4.
        X2: the other views of the same samples (n, m).
        groups: the sample of each row (n,), if several rows are views of the same one: it is then in one half only.
        weight_decay: $w \ge 0$ of `torch.optim.SGD`.
        center: whether the mean is subtracted.
        most: number of directions to examine.
        random_state: seed of the halves.

    Raises:
        InputError: for shapes that differ, fewer than four pairs, NaN or infinite values.

    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=(400, 20)) * np.r_[3.0, 2.0, np.zeros(18)]
    >>> held_out_directions(shared + rng.normal(size=(400, 20)), shared + rng.normal(size=(400, 20))).directions
    2
    """
    A, B = checked_views(X, X2)
    if len(A) < 4:
        raise InputError(f"there are {len(A)} pairs; expected at least 4, two for each half")
    w = one_number("weight_decay", weight_decay, at_least=0)
    samples = np.arange(len(A)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    n_samples = int(samples.max()) + 1
    if samples.shape != (len(A),) or n_samples < 4:
        raise InputError(
            f"groups has shape {samples.shape} and {n_samples} different values; expected ({len(A)},), the sample of "
            "each row, and at least 4 samples"
        )
    order = np.random.default_rng(whole("random_state", random_state, at_least=0)).permutation(n_samples)
    first = np.isin(samples, order[: n_samples // 2])
    halves = np.flatnonzero(first), np.flatnonzero(~first)
    p = min(whole("most", most, at_least=1), A.shape[1])
    gammas, products = [], []
    for fit, test in (halves, halves[::-1]):
        values, V = np.linalg.eigh(cross_correlation(A[fit], B[fit], center=center))
        gammas.append(values[::-1][:p])
        mean = (A[fit].mean(axis=0) + B[fit].mean(axis=0)) / 2 if center else 0.0
        V = V[:, ::-1][:, :p]
        product = ((A[test] - mean) @ V) * ((B[test] - mean) @ V)
        # One value for each sample, since the errors of its rows are not independent.
        sums, counts = np.zeros((n_samples, p)), np.bincount(samples[test], minlength=n_samples)
        np.add.at(sums, samples[test], product)
        products.append(sums[counts > 0] / counts[counts > 0, None])
    both = np.concatenate(products)
    held_out, error = both.mean(axis=0), both.std(axis=0, ddof=1) / np.sqrt(len(both))
    # Equal views have positive products along all directions, some of them by rounding alone.
    floor = max(w / 4, 1e-12 * float(np.abs(held_out).max()))
    kept = held_out > np.maximum(2 * error, floor)
    n = p if kept.all() else int(kept.argmin())
    return HeldOut(n, np.mean(gammas, axis=0), held_out, error)
