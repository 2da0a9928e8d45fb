"""What the studies of label flips share: data with classes, split once; kernel matrices of a draw; sensitivities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from solvable import datasets
from solvable.errors import InputError
from solvable.kernels import Kernel
from solvable.lab.parameters import DataParameters
from solvable.overfitting.build_task import prepare as prepare_task
from solvable.overfitting.linear_smoothers import linear_smoother_profile
from solvable.overfitting.noise_weights import Factor
from solvable.overfitting.task import Draw, Task

# Rows that are read of a larger data set.
_MOST_ROWS = 6000
_DRAWS = 100
PILOT = 2**20
"""The trial whose fit theory looks at; measured trials count from 0."""


@dataclass(frozen=True)
class FlipParameters(DataParameters):
    """Which data, with classes, a study of label flips runs on; each study adds its own parameters to these."""

    data: str = "digits"
    """Data set: digits, wine, breast-cancer, mnist, cifar10, or a FILE.npz, FILE.csv or FILE.parquet with classes."""

    two_classes: bool = False
    """Merge the classes into two, those at even and at odd places: even and odd digits."""

    n_train: tuple[int, ...] = ()
    """Training sizes; by default six over a factor of 32, up to what the test set leaves."""

    n_test: int | None = None
    """Test points; by default a fifth of the data, at most 2000."""

    length_scale: float | None = None
    """Length scale of kernels that have one; by default the median distance between inputs."""

    random_state: int = 0
    """Seed of the split, the subsets, the flips and the models."""


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


def flipped_data(parameters: FlipParameters) -> FlippedData:
    """Return the data that a study's parameters name.

    Args:
        parameters: of the study.

    Raises:
        InputError: for data that cannot be used, or whose target is a number.
    """
    task = "auto" if parameters.data in datasets.NAMES else "classes"
    data = parameters.load(task, _MOST_ROWS, parameters.random_state)
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
    split = prepare_task(data.X, labels, test_size=parameters.n_test, random_state=parameters.random_state)
    sizes = split.sizes(parameters.n_train or None)
    notes.append(
        f"{split.n_test} clean test points, others in each trial; training sizes {', '.join(str(n) for n in sizes)}; "
        "labels are flipped to one of the other classes, each as likely"
    )
    return FlippedData(split, sizes, (*notes, *split.notes), data.fingerprint)


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
