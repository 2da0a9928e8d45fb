"""What the studies of label flips share: data with classes, split once; kernel matrices of a draw; sensitivities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from solvable import datasets
from solvable.errors import InputError
from solvable.kernels import Kernel
from solvable.overfitting.measuring.posing import prepare as prepare_task
from solvable.overfitting.measuring.task import Draw, Task
from solvable.overfitting.smoothers.linear_smoothers import linear_smoother_profile
from solvable.overfitting.smoothers.noise_weights import Factor

# Rows that are read of a larger data set.
_MOST_ROWS = 6000
_DRAWS = 100
PILOT = 2**20
"""The trial whose fit theory looks at; measured trials count from 0."""


@dataclass(frozen=True, eq=False)
class FlippedData:
    """A task with classes, its training sizes, and what was done to the data.

    Attributes:
        task: what trials are drawn from.
        sizes: training sizes, rising.
        notes: a sentence each.
        fingerprint: of the data.
    """

    task: Task
    sizes: NDArray[np.int64]
    notes: tuple[str, ...]
    fingerprint: str


def flipped_data(parameters: Any) -> FlippedData:
    """Return the data that a study's parameters name.

    Args:
        parameters: with `data`, `target`, `missing`, `drop`, `two_classes`, `n_train`, `n_test` and `random_state`.

    Raises:
        InputError: for data that cannot be used, or whose target is a number.
    """
    data = datasets.load(
        parameters.data,
        parameters.target,
        "auto" if parameters.data in datasets.NAMES else "classes",
        parameters.missing,
        parameters.drop,
        rows=_MOST_ROWS,
        random_state=parameters.random_state,
    )
    if not data.classes:
        raise InputError(
            f"the target of {parameters.data!r} is a number; this study flips labels, so expected classes: choose "
            "another column, or measure a regressor with noise_profile"
        )
    labels: NDArray[Any] = data.y.argmax(axis=1)
    notes = list(data.notes)
    if parameters.two_classes:
        labels = labels % 2
        notes.append(f"{len(data.classes)} classes merged into two, those at even and at odd places")
    task = prepare_task(data.X, labels, test_size=parameters.n_test, random_state=parameters.random_state)
    sizes = task.sizes(parameters.n_train or None)
    notes.append(
        f"{task.n_test} clean test points, others in each trial; training sizes {', '.join(str(n) for n in sizes)}; "
        "labels are flipped to one of the other classes, each as likely"
    )
    return FlippedData(task, sizes, (*notes, *task.notes), data.fingerprint)


def kernel_matrices(
    kernel: Kernel, task: Task, draw: Draw, ridge: float
) -> tuple[Float[NDArray, "n n"], Float[NDArray, "m n"], float]:
    """Return the matrix of a draw's inputs, that of the test points with them, and the ridge in its units.

    Args:
        kernel: of the task's inputs.
        task: where they are.
        draw: which of them.
        ridge: in units of the mean of K(x, x).
    """
    X = task.train_inputs(draw)
    gram, cross = np.asarray(kernel(X)), np.asarray(kernel(task.test_set(draw)[0], X))
    return gram, cross, ridge * float(gram.trace()) / len(gram)


def sensitivity_of(
    error: Float[NDArray, "*grid levels"], levels: Float[NDArray, "levels"], n_classes: int
) -> NDArray[np.float64]:
    """Return the normalised sensitivity at the levels above 0, NaN where there is no skill that noise could cost.

    Args:
        error: on clean test labels, the noise levels last.
        levels: rising, 0 first.
        n_classes: how many classes.
    """
    skill = 1.0 - error[..., :1] * n_classes / (n_classes - 1)
    return (error[..., 1:] - error[..., :1]) / (levels[1:] * np.where(skill > 0, skill, np.nan))


def sensitivity_from_one_fit(
    kernel: Kernel, task: Task, draw: Draw, levels: Float[NDArray, "levels"], ridge: float
) -> NDArray[np.float64]:
    """Return the sensitivity that the weights of one fit imply: labels are flipped under them, nothing is fitted again.

    Args:
        kernel: of the task's inputs.
        task: where they are.
        draw: which of them; only its rows matter.
        levels: rising, 0 first.
        ridge: in units of the mean of K(x, x).
    """
    gram, cross, delta = kernel_matrices(kernel, task, draw, ridge)
    weights = Factor(gram, delta).solve(cross.T).T
    # Taken as Gaussian the sums would need no draws, but with ten classes they come out at half of the true errors: a
    # wrong class has its votes from few flips.
    error = linear_smoother_profile(
        weights, task.y[draw.rows], task.test_set(draw)[1], levels, n_draws=_DRAWS
    ).test_error
    return sensitivity_of(error.to_numpy(), levels, len(task.classes))
