"""`Task`: clean data split once, from which every trial draws a training subset and its noisy labels.

One door for everything that measures a noise profile: any estimator, a kernel, a net epoch by epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from solvable.datasets.in_memory import as_array
from solvable.datasets.labels import decide, split_missing
from solvable.datasets.sampling import draw_rows
from solvable.errors import InputError, finite, grid
from solvable.overfitting.measuring.channel import Channel, channel_matrix, check_levels, nested_flips

Kind = Literal["auto", "classes", "number"]

# Test points beyond these make errors no more certain than the trials are.
_MOST_TEST = 2000
_TEST_SHARE = 0.2
# Floats of fewer rows to each value are numbers, also where they are whole.
_ROWS_A_CLASS = 5
# The default training sizes: so many, over this factor.
_N_SIZES, _SPAN, _SMALLEST = 6, 32, 20


_LEVELS_OF_CLASSES = (0.0, 0.1, 0.2, 0.3, 0.4)
_LEVELS_OF_NUMBERS = (0.0, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Draw:
    """What one trial at one size trains on.

    Attributes:
        rows: of the task's training pool, `(n,)`, in random order.
        labels: noisy ones at each noise level, `(levels, n)`; for a number `(levels, n)` or `(levels, n, outputs)`.
        seed: of the estimator, the same at all noise levels.
    """

    rows: NDArray[np.int64]
    labels: NDArray[Any]
    seed: int


@dataclass(frozen=True, eq=False)
class Task:
    r"""A training pool and a clean test set.

    Attributes:
        X: inputs of the pool, an array, table or sparse matrix of `n_pool` rows.
        y: classes as numbers from 0, `(n_pool,)`, or targets, `(n_pool,)` or `(n_pool, outputs)`.
        X_test: inputs of the test set.
        y_test: its clean labels, as `y`.
        classes: the classes in the order of their numbers; empty where the target is a number.
        matrix: the noise channel `(K, K)`; None for a number.
        flip_share: the share of corrupted samples whose label really changes: 1 but for a channel with a diagonal.
        noise_scale: $\sqrt{\sum_c \mathrm{var}(y_c)}$ of the pool, the standard deviation of noise of level 1, summed
            over outputs; 1 for classes.
        symmetric: whether the channel is the symmetric one.
        random_state: seed of the split and of all trials.
        notes: what a reader should know of the data.
    """

    X: Any
    y: NDArray[Any]
    X_test: Any
    y_test: NDArray[Any]
    classes: tuple[Any, ...]
    matrix: NDArray[np.float64] | None
    flip_share: float
    noise_scale: float
    symmetric: bool
    random_state: int
    notes: tuple[str, ...]

    @property
    def n_classes(self) -> int | None:
        """How many classes, or None where the target is a number."""
        return len(self.classes) or None

    @property
    def n_pool(self) -> int:
        """How many samples there are to train on."""
        return len(self.y)

    @property
    def n_test(self) -> int:
        """How many samples there are to test on."""
        return len(self.y_test)

    def levels(self, noise_levels: ArrayLike | None) -> NDArray[np.float64]:
        """Return noise levels checked, in rising order, with 0; by default those that suit the task."""
        if noise_levels is None and self.n_classes is None:
            noise_levels = _LEVELS_OF_NUMBERS
        elif noise_levels is None:
            # At 1 - 1/K nothing is left to learn from: with two classes 0.4 is the most that says something.
            noise_levels = [p for p in _LEVELS_OF_CLASSES if p < 1.0 - 1.0 / len(self.classes)]
        return check_levels(noise_levels, self.n_classes, None if self.symmetric else self.matrix)

    def sizes(self, train_sizes: ArrayLike | None) -> NDArray[np.int64]:
        """Return training sizes checked, in rising order; by default six over a factor of 32, up to the pool's.

        Raises:
            InputError: for sizes that are no whole numbers, too small for the classes, or larger than the pool.
        """
        least = max(2, 2 * len(self.classes))
        if train_sizes is None:
            smallest = min(max(self.n_pool / _SPAN, _SMALLEST, least), self.n_pool)
            return np.unique(np.geomspace(smallest, self.n_pool, _N_SIZES).round().astype(np.int64))
        sizes = grid("train_sizes", train_sizes, above=0.0)
        if (sizes != np.floor(sizes)).any():
            raise InputError(
                f"train_sizes must be whole numbers of samples; got {sizes[sizes != np.floor(sizes)][0]:g}"
            )
        if sizes.min() < least:
            what = f"{len(self.classes)} classes" if self.classes else "a fit"
            raise InputError(
                f"a train size of {sizes.min():.0f} is too small for {what}; expected at least {least}"
            )
        if sizes.max() > self.n_pool:
            raise InputError(
                f"a train size of {sizes.max():.0f} was asked for, but {self.n_pool} samples are there to train on "
                f"({self.n_test} are kept for testing); lower it, or give more data"
            )
        return np.unique(sizes.astype(np.int64))

    def draw(self, n_train: int, noise_levels: NDArray[np.float64], trial: int) -> Draw:
        """Return the subset and the noisy labels of a trial: the same in every call, nested over the noise levels.

        Args:
            n_train: how many samples, classes in their proportion.
            noise_levels: from `levels`.
            trial: its number.
        """
        # One stream for each trial and size, so that more trials or other sizes leave the others as they were.
        stream = np.random.SeedSequence((3, self.random_state, trial, n_train))
        # Some estimators take seeds of 31 bits only.
        split, seed = (int(state) >> 1 for state in stream.generate_state(2))
        generator = np.random.default_rng(stream)
        if n_train == self.n_pool:
            rows = np.arange(n_train)
        else:
            rows = draw_rows(self.y if self.classes else None, self.n_pool, n_train, split)
        rows = generator.permutation(rows)
        return Draw(rows, self.noisy(rows, noise_levels, generator), seed)

    def noisy(
        self, rows: NDArray[np.int64], noise_levels: NDArray[np.float64], generator: np.random.Generator
    ) -> NDArray[Any]:
        """Return labels of some rows with noise, nested over the levels, `(levels, n)` or `(levels, n, outputs)`.

        Args:
            rows: of the pool.
            noise_levels: from `levels`.
            generator: of random numbers.
        """
        y = self.y[rows]
        if self.matrix is not None:
            return nested_flips(y, noise_levels, self.matrix, generator)
        noise = generator.standard_normal(y.shape) * self.y.std(axis=0)
        return y + noise_levels.reshape(-1, *(1,) * y.ndim) * noise


def take(X: Any, rows: NDArray[np.int64]) -> Any:
    """Return rows of an array, table or sparse matrix."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def prepare(
    X: Any,
    y: Any,
    *,
    X_test: Any = None,
    y_test: Any = None,
    test_size: float | int | None = None,
    kind: Kind = "auto",
    channel: "Channel | ArrayLike" = "symmetric",
    random_state: int = 0,
    nan_allowed: bool = False,
) -> Task:
    """Return the task that data pose: checked, labels as numbers from 0, split into pool and test set.

    Args:
        X: inputs, one row for each sample: array, table, sparse matrix, images, or texts.
        y: clean labels: integers, text or booleans name classes, floats are numbers, unless `kind` says otherwise.
        X_test: test inputs, with `y_test` their clean labels; by default a part of X.
        y_test: see `X_test`.
        test_size: how many samples to keep for testing, or which share; by default a fifth, at most 2000.
        kind: what y is; auto: as `datasets.load` decides.
        channel: label noise, as in `flip_labels`.
        random_state: seed of the split and of all trials, a whole number of at least 0.
        nan_allowed: whether the estimator takes missing inputs.

    Raises:
        InputError: for data that cannot be used.
    """
    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)) or random_state < 0:
        raise InputError(f"random_state must be a whole number of at least 0; got {random_state!r}")
    X = _inputs(X, "X", nan_allowed)
    labels = _labels(y, "y", len_of(X), kind)
    own_test, labels_test = X_test is not None or y_test is not None, np.empty(0)
    if own_test:
        if X_test is None or y_test is None:
            raise InputError("one of X_test and y_test was given; expected both or neither")
        if test_size is not None:
            raise InputError(
                "test_size says how much of X to test on, but X_test was given; leave one of them out"
            )
        X_test = _inputs(X_test, "X_test", nan_allowed)
        labels_test = _labels(
            y_test, "y_test", len_of(X_test), "number" if labels.dtype.kind == "f" else "classes"
        )
    classes: tuple[Any, ...] = ()
    if labels.dtype.kind != "f":
        names, labels = np.unique(labels, return_inverse=True)
        if len(names) < 2:
            raise InputError(
                f"y holds one class only, {names[0]!s}, so no label can be confused; expected two or more"
            )
        if np.asarray(y).dtype.kind == "f" and len(names) > len(labels) / _ROWS_A_CLASS:
            raise InputError(
                f"y holds {len(names)} different numbers in {len(labels)} samples, but the estimator predicts classes; "
                "give a regressor, or integers or text if they are labels"
            )
        classes = tuple(names.tolist())
        if own_test:
            if unknown := sorted(set(labels_test.tolist()) - set(classes)):
                raise InputError(f"y_test holds {unknown[0]!r}, a class that y has not; expected those of y")
            labels_test = np.searchsorted(names, labels_test)
    elif not labels.std(axis=0).all():
        raise InputError("y is constant, so there is nothing to learn; expected two or more values")
    notes = _notes_on_duplicates(X)
    if not own_test:
        train, test = _split(labels, classes, test_size, random_state)
        X, labels, X_test, labels_test = take(X, train), labels[train], take(X, test), labels[test]
    matrix = channel_matrix(channel, len(classes)) if classes else None
    share = 1.0
    if matrix is not None:
        share = float(np.bincount(labels, minlength=len(classes)) @ (1.0 - matrix.diagonal()) / len(labels))
        if share == 0.0:
            raise InputError("the channel leaves every label as it is; expected one that corrupts some")
    elif not isinstance(channel, str):
        raise InputError("a channel matrix says how classes are confused, but y is a number; leave it out")
    scale = 1.0 if classes else float(np.sqrt(labels.var(axis=0).sum()))
    symmetric = isinstance(channel, str)
    return Task(
        X, labels, X_test, labels_test, classes, matrix, share, scale, symmetric, int(random_state), notes
    )


def len_of(X: Any) -> int:
    """Return how many rows an array, table or sparse matrix has."""
    return X.shape[0]


def _inputs(X: Any, name: str, nan_allowed: bool) -> Any:
    if isinstance(X, pd.DataFrame):
        missing = int(X.isna().to_numpy().sum())
        if missing and not nan_allowed:
            raise InputError(
                f"{name} has {missing} missing values and the estimator does not take them; fill them in first, or "
                "put an imputer in front: make_pipeline(SimpleImputer(), estimator)"
            )
        return X
    if hasattr(X, "tocsr"):
        X = X.tocsr()
        finite(f"the data of {name}", X.data)
        return X
    array = as_array(X, name)
    if array.dtype.kind in "fc" and not nan_allowed:
        finite(
            name,
            array,
            "fill them in first, or put an imputer in front: make_pipeline(SimpleImputer(), estimator)",
        )
    if array.ndim == 0 or (array.ndim == 1 and array.dtype.kind in "fiub"):
        raise InputError(f"{name} has shape {array.shape}; expected one row for each sample, (n, d)")
    return array


def _labels(y: Any, name: str, n: int, kind: Kind) -> NDArray[Any]:
    """Return labels as integers, text or booleans where they name classes, as floats where they are numbers."""
    labels, absent = split_missing(y)
    if absent.any():
        raise InputError(
            f"{name} has {int(absent.sum())} missing values, the first at row {int(absent.argmax())}; drop them"
        )
    if len(labels) != n:
        raise InputError(f"{name} has {len(labels)} labels for {n} samples; expected one for each")
    if labels.dtype.kind == "f" and kind != "classes":
        finite(name, labels, "drop these samples")
    if kind == "number" and labels.dtype.kind in "US":
        raise InputError(
            f"{name} holds text, as in {str(labels.flat[0])!r}, but the estimator predicts numbers; give a classifier"
        )
    if kind == "number":
        return labels.astype(np.float64)
    if kind == "classes" and labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        raise InputError(
            f"{name} holds numbers such as {labels[labels != np.floor(labels)].flat[0]:g}, but the estimator predicts "
            "classes; give a regressor, or labels"
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 and labels.dtype.kind != "f":
        raise InputError(f"{name} has shape {labels.shape}; expected one label for each sample, (n,)")
    if kind == "classes":
        return labels.astype(np.int64) if labels.dtype.kind == "f" else labels
    return decide(labels, "auto", None, 'a regressor or task="number"')[0]


def _split(
    labels: NDArray[Any], classes: Sequence[Any], test_size: float | int | None, random_state: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the pool and of the test set."""
    n = len(labels)
    wanted = min(_TEST_SHARE, _MOST_TEST / n) if test_size is None else test_size
    is_number = isinstance(wanted, (int, float, np.integer, np.floating)) and not isinstance(wanted, bool)
    if not is_number or not wanted > 0 or (wanted >= 1 and wanted != int(wanted)):
        raise InputError(
            f"test_size must be a share between 0 and 1, or a whole number of samples; got {test_size!r}"
        )
    n_test = max(1, round(wanted * n)) if wanted < 1 else int(wanted)
    least = max(2, 2 * len(classes))
    if n - n_test < least:
        raise InputError(
            f"test_size {test_size or _TEST_SHARE!r} leaves {n - n_test} of {n} samples to train on; expected at least "
            f"{least}: test on fewer, or give more data"
        )
    # The test set has each class in its proportion, and leaves at least one of each to train on.
    test = draw_rows(labels if len(classes) else None, n, n_test, random_state)
    if len(classes):
        left = np.bincount(np.delete(labels, test), minlength=len(classes))
        if (left == 0).any():
            raise InputError(
                f"class {classes[int((left == 0).argmax())]!s} has too few samples for a test set of {n_test}; "
                "expected two or more of each class: merge rare classes, or leave them out"
            )
    return np.delete(np.arange(n), test), test


def _notes_on_duplicates(X: Any) -> tuple[str, ...]:
    """Return a note where rows are repeated: two labels of one input cannot both be fitted."""
    try:
        repeated = int(pd.DataFrame(np.asarray(X).reshape(len_of(X), -1)).duplicated().sum())
    except (TypeError, ValueError, MemoryError):  # a sparse matrix, or cells that cannot be compared
        return ()
    if not repeated:
        return ()
    return (
        f"{repeated} of {len_of(X)} rows of X repeat another row: two labels of one input cannot both be fitted",
    )
