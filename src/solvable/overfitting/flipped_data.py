"""Shared parts of the studies of label flips: data with classes, kernel matrices of a draw, and sensitivities."""

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

# Larger data sets are subsampled to this many rows.
_MOST_ROWS = 6000
_DRAWS = 100
PILOT = 2**20
"""Number of the trial that predictions use; measured trials count from 0."""


@dataclass(frozen=True)
class FlipParameters(DataParameters):
    """Data with classes for a study of label flips; each study adds its own parameters."""

    data: str = "digits"
    """Data set: digits, wine, breast-cancer, mnist, cifar10, or a FILE.npz, FILE.csv or FILE.parquet with classes."""

    two_classes: bool = False
    """Merge the classes into two, those at even and at odd places: even and odd digits."""

    n_train: tuple[int, ...] = ()
    """Training sizes; by default six over a factor of 32, up to all samples outside the test set."""

    n_test: int | None = None
    """Test points; by default a fifth of the data, at most 2000."""

    length_scale: float | None = None
    """Length scale of kernels that have one; by default the median distance between inputs."""

    random_state: int = 0
    """Seed of the split, the subsets, the flips and the models."""


@dataclass(frozen=True, eq=False)
class FlippedData:
    """A task with classes, its training sizes (rising), notes on the data (a sentence each), and their fingerprint."""

    task: Task
    sizes: NDArray[np.int64]
    notes: tuple[str, ...]
    fingerprint: str


def flipped_data(parameters: FlipParameters) -> FlippedData:
    """Return the data of a study.

    Raises:
        InputError: for data that cannot be used, or whose target is a number.
    """
    task = "auto" if parameters.data in datasets.NAMES else "classes"
    data = parameters.load(task, _MOST_ROWS, parameters.random_state)
    if not data.classes:
        raise InputError(
            f"the target of {parameters.data!r} is a number, but this study flips labels of classes; choose another "
            "column, or measure a regressor with noise_profile"
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
        "labels are flipped to one of the other classes, each equally likely"
    )
    return FlippedData(split, sizes, (*notes, *split.notes), data.fingerprint)


def kernel_matrices(
    kernel: Kernel, task: Task, draw: Draw, ridge: float
) -> tuple[Float[NDArray, "n n"], Float[NDArray, "m n"], float]:
    """Return the kernel matrices of training inputs and of test with training inputs, and the ridge in their units.

    Args:
        kernel: resolved for the task's inputs.
        task: source of the draw.
        draw: training and test samples.
        ridge: in units of the mean of K(x, x).
    """
    X = task.train_inputs(draw)
    gram, cross = np.asarray(kernel(X)), np.asarray(kernel(task.test_set(draw)[0], X))
    return gram, cross, ridge * float(gram.trace()) / len(gram)


def sensitivity_of(
    error: Float[NDArray, "*grid levels"], levels: Float[NDArray, "levels"], n_classes: int
) -> NDArray[np.float64]:
    """Return the normalised sensitivity at the levels above 0; NaN if the error without noise is chance or worse.

    Args:
        error: on clean test labels, the noise levels last.
        levels: rising, 0 first.
        n_classes: number of classes.
    """
    skill = 1.0 - error[..., :1] * n_classes / (n_classes - 1)
    return (error[..., 1:] - error[..., :1]) / (levels[1:] * np.where(skill > 0, skill, np.nan))


def sensitivity_from_one_fit(
    kernel: Kernel, task: Task, draw: Draw, levels: Float[NDArray, "levels"], ridge: float
) -> NDArray[np.float64]:
    """Return the sensitivity from the weights of one fit, `(levels - 1,)`; `ridge` is as in `kernel_matrices`."""
    gram, cross, delta = kernel_matrices(kernel, task, draw, ridge)
    weights = Factor(gram, delta).solve(cross.T).T
    # A Gaussian approximation of the sums would need no draws, but with ten classes it gives half of the true errors: a
    # wrong class has its votes from few flips.
    error = linear_smoother_profile(
        weights, task.y[draw.rows], task.test_set(draw)[1], levels, n_draws=_DRAWS
    ).test_error
    return sensitivity_of(error.to_numpy(), levels, len(task.classes))
