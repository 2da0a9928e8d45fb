r"""Pairs of views of a data set, and gradient descent on them, step by step: what the study `stepwise` measures.

The loss is $\|C - I\|_F^2$ with $C = \frac{1}{2n}(F_1^\top F_2 + F_2^\top F_1)$, where $F_1$ and $F_2$ (n, d) are the
embeddings of both views. No closed form and none of `theory` is used.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from solvable.datasets import Dataset
from solvable.errors import InputError
from solvable.stepwise.simulation import first_crossing

Matrix = NDArray[np.float64]

# A direction is learned beyond doubt when its eigenvalue of C is above this.
_LEARNED = 0.95
# Eigenvalues of so many records are computed at once.
_CHUNK = 64


def image_shape(data: Dataset) -> tuple[int, int, int] | None:
    """Return the height, width and number of colours of images; None for tables and for images that are no squares.

    Images with three colours have them last.

    >>> from solvable import datasets
    >>> image_shape(datasets.load("digits")), image_shape(datasets.load("wine"))
    ((8, 8, 1), None)
    """
    from solvable.datasets.encoding import ImageScaler

    if isinstance(data.encoder, ImageScaler):
        for colors in (1, 3):
            side = isqrt(data.X.shape[1] // colors)
            if side * side * colors == data.X.shape[1]:
                return side, side, colors
    return None


def crop_pairs(
    images: Float[NDArray, "n h w c"], side: int, rng: np.random.Generator
) -> tuple[Float[NDArray, "n m"], Float[NDArray, "n m"]]:
    """Return two squares of each image, each at a random place of its own, as rows of `side * side * c` numbers.

    >>> images = np.arange(32.0).reshape(2, 4, 4, 1)
    >>> [view.shape for view in crop_pairs(images, 3, np.random.default_rng(0))]
    [(2, 9), (2, 9)]
    """
    n, height, width, colors = images.shape
    squares = np.lib.stride_tricks.sliding_window_view(images, (side, side), axis=(1, 2))
    views = []
    for _ in range(2):
        top, left = rng.integers(height - side + 1, size=n), rng.integers(width - side + 1, size=n)
        # Colours come first in windows, and last in images.
        views.append(np.moveaxis(squares[np.arange(n), top, left], 1, -1).reshape(n, side * side * colors))
    return views[0], views[1]


def record_steps(last: int, share: int = 200) -> Int[NDArray, "records"]:
    """Return the numbers of steps at which training is recorded: all up to `share`, then each `1 / share` later.

    Times of all sizes then have the same relative resolution.

    >>> record_steps(10, share=4).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    """
    steps = [0]
    while steps[-1] < last:
        steps.append(min(steps[-1] + max(1, steps[-1] // share), last))
    return np.array(steps)


@dataclass(frozen=True, eq=False)
class Training:
    """Records of gradient descent.

    Attributes:
        steps: numbers of steps made `(records,)`.
        eigenvalues: eigenvalues of the embeddings' cross-correlation, descending `(records, d)`.
        loss: the loss `(records,)`.
        step_times: number of steps at which the j-th largest eigenvalue passed 1/2; `inf` if it did not `(d,)`.
    """

    steps: Int[NDArray, "records"]
    eigenvalues: Float[NDArray, "records d"]
    loss: Float[NDArray, "records"]
    step_times: Float[NDArray, "d"]


def train_linear(
    gamma: Float[NDArray, "m"],
    Y: Float[NDArray, "d m"],
    learning_rate: float,
    *,
    until: int,
    most: int | None = None,
) -> Training:
    r"""Train the linear model $f(x) = W x$ in the basis of all eigenvectors of $\Gamma$, an exact change of variables.

    Args:
        gamma: all eigenvalues of $\Gamma$, of any sign.
        Y: initial weights $W V$ in the basis of its eigenvectors.
        learning_rate: of gradient descent.
        until: number of steps to make; more are made until all directions are learned that can be.
        most: number of steps at which to stop in any case, by default four times `until`.
    """

    def correlation(Y: Matrix) -> Matrix:
        return (Y * gamma) @ Y.T

    def step(Y: Matrix, excess: Matrix) -> Matrix:
        return Y - 4 * learning_rate * (excess @ Y) * gamma

    n_learnable = min(len(Y), int((gamma > 0).sum()))
    return _train(Y, correlation, step, n_learnable, until, 4 * until if most is None else most)


def train_kernel(
    K: Float[NDArray, "2n 2n"],
    F: Float[NDArray, "2n d"],
    learning_rate: float,
    *,
    until: int,
    most: int | None = None,
) -> Training:
    r"""Train a kernel machine by its outputs, $F \leftarrow F - \frac{2\eta}{n} K S F (C - I)$.

    Args:
        K: kernel matrix of all first and then all second views.
        F: initial outputs on the same points.
        learning_rate: $\eta$ of gradient descent in the kernel's space.
        until: number of steps to make; more are made until all directions are learned.
        most: number of steps at which to stop in any case, by default four times `until`.

    Source: gradient of the loss of arXiv:2303.15438; S exchanges both views.
    """
    n = len(K) // 2

    def correlation(F: Matrix) -> Matrix:
        C = F[:n].T @ F[n:] / n
        return (C + C.T) / 2

    def step(F: Matrix, excess: Matrix) -> Matrix:
        swapped = np.concatenate([F[n:], F[:n]])
        return F - 2 * learning_rate / n * (K @ (swapped @ excess))

    return _train(F, correlation, step, F.shape[1], until, 4 * until if most is None else most)


@np.errstate(over="ignore", invalid="ignore")
def _train(
    state: Matrix,
    correlation: Callable[[Matrix], Matrix],
    step: Callable[[Matrix, Matrix], Matrix],
    n_learnable: int,
    until: int,
    most: int,
) -> Training:
    """Iterate `state = step(state, C - I)` and keep records; see `train_linear` for the numbers of steps."""
    grid = record_steps(until).tolist()
    steps: list[int] = []
    pending: list[Matrix] = []
    eigenvalues: list[Matrix] = []
    due = now = 0
    while True:
        C = correlation(state)
        if now == due:
            steps.append(now)
            pending.append(C)
            if len(pending) == _CHUNK or now >= until:
                eigenvalues.append(_eigenvalues(pending))
                pending = []
            done = now >= until and (eigenvalues[-1][-1, :n_learnable] > _LEARNED).all()
            if done or now >= most:
                break
            due = grid[len(steps)] if len(steps) < len(grid) else now + max(1, now // 200)
        state = step(state, C - np.eye(len(C)))
        now += 1
    values = np.concatenate(eigenvalues)
    loss = np.square(values - 1).sum(axis=1)
    half = [first_crossing(np.array(steps), values[:, j], 0.5) for j in range(values.shape[1])]
    return Training(np.array(steps), values, loss, np.array(half))


def _eigenvalues(pending: list[Matrix]) -> Matrix:
    C = np.stack(pending)
    if not np.isfinite(C).all():
        raise InputError("training diverges; expected a lower learning rate")
    return np.linalg.eigvalsh(C)[:, ::-1].astype(np.float64)
