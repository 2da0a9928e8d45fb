"""Training and test points on a sphere, for studies of networks and of kernels of the angle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.datasets.loading import Dataset
from solvable.errors import InputError

# More test points improve the estimate little and cost as much as training.
_MOST_TEST_POINTS = 2000


@dataclass(frozen=True, eq=False)
class Split:
    r"""Training and test inputs of norm $\sqrt d$, and their targets.

    Attributes:
        X: training inputs `(n, d)`.
        y: targets `(n, c)`: zeros and a one for classes, a number with mean 0 and
            standard deviation 1 over the training points.
        X_test: test inputs `(m, d)`.
        y_test: targets `(m, c)`.
        notes: changes made to the data.
    """

    X: Float[NDArray, "n d"]
    y: Float[NDArray, "n c"]
    X_test: Float[NDArray, "m d"]
    y_test: Float[NDArray, "m c"]
    notes: tuple[str, ...]


def split_on_sphere(data: Dataset, n_train: int | None, random_state: int) -> Split:
    r"""Return half of the data for training and half for testing, all inputs of norm $\sqrt d$.

    Columns are scaled to mean 0 and standard deviation 1 over the training points, then every row is scaled to norm
    $\sqrt d$, since a kernel is a function of the cosine only on the sphere.

    Args:
        data: the data; classes keep their proportions in both halves.
        n_train: number of points of the training half to use; by default all, at most 400.
        random_state: seed of the split.

    Raises:
        InputError: if the half is smaller than `n_train`, or a row equals the mean and has no direction.
    """
    from sklearn.model_selection import train_test_split

    notes = []
    counts = np.unique(data.y.argmax(axis=1), return_counts=True)[1] if data.classes else np.array([2])
    stratify = (
        data.y.argmax(axis=1)
        if data.classes and counts.min() >= 2 and len(counts) <= len(data.X) // 2
        else None
    )
    if data.classes and stratify is None:
        notes.append("a class has one member, so the two halves are not stratified by class")
    halves: list[Any] = train_test_split(
        np.arange(len(data.X)), test_size=0.5, stratify=stratify, random_state=random_state
    )
    train, test = halves
    if n_train is not None and n_train > len(train):
        raise InputError(
            f"n_train is {n_train}; expected at most {len(train)}, half of the {len(data.X)} points of {data.name!r}"
        )
    train, test = train[: n_train or 400], test[:_MOST_TEST_POINTS]
    mean, std = data.X[train].mean(axis=0), data.X[train].std(axis=0)
    varying = std > 1e-12 * np.abs(data.X).max(initial=1.0)
    if varying.sum() < 2:
        raise InputError(
            f"the {len(train)} training points of {data.name!r} differ in {varying.sum()} columns; expected at least "
            "two, since on the sphere one coordinate is only a sign; give more columns or raise n_train"
        )
    X = (data.X[:, varying] - mean[varying]) / std[varying]
    norms = np.linalg.norm(X, axis=1)
    if (bad := norms[np.concatenate([train, test])] < 1e-9).any():
        row = np.concatenate([train, test])[np.argmax(bad)]
        raise InputError(
            f"row {data.rows[row]} of {data.name!r} is the mean of the training points and has no direction; expected "
            "rows that can be scaled to the sphere; drop this row"
        )
    X = X * (np.sqrt(X.shape[1]) / np.where(norms > 0, norms, 1.0))[:, None]
    notes.append(
        f"{len(train)} points for training and {len(test)} for testing; each of the {X.shape[1]} varying columns is "
        "scaled to mean 0 and standard deviation 1 over the training points, and then each row to norm √d, where "
        "kernels are functions of the angle"
    )
    # Classes as zeros and ones: the offset subtracted for regression without an intercept is added again.
    y = (data.y + data.offset).round() if data.classes else data.y
    if not data.classes:
        # A net of this width leaves the regime of its kernel if its targets are in the hundreds.
        mean, std = y[train].mean(axis=0), y[train].std(axis=0)
        if not (std > 0).all():
            raise InputError(
                f"the target of {data.name!r} is the same at all {len(train)} training points; expected different "
                "values; raise n_train"
            )
        y = (y - mean) / std
        notes.append(
            "the target is scaled to mean 0 and standard deviation 1 over the training points: predicting the mean has "
            "a loss of 1"
        )
    return Split(X[train], y[train], X[test], y[test], tuple(notes))
