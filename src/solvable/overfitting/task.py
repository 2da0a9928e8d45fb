"""`Task`: clean data, from which every trial draws a test set, a training subset, and its noisy labels.

Where no test set is given, each trial splits the samples anew: its errors then vary with the test points too, and their
scatter says how uncertain a mean is. One split for all would leave that out.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import grid
from solvable.datasets.sampling import draw_rows
from solvable.errors import InputError
from solvable.lab.keys import data_key, short_hash
from solvable.overfitting.label_noise import check_levels, nested_flips

# The default training sizes: so many, over this factor.
_N_SIZES, _SPAN, _SMALLEST = 6, 32, 20
# The default noise levels, of classes and of numbers.
_LEVELS_OF_CLASSES = (0.0, 0.1, 0.2, 0.3, 0.4)
_LEVELS_OF_NUMBERS = (0.0, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Draw:
    """What one trial at one size trains and tests on.

    Attributes:
        rows: of the task's samples to train on, `(n,)`, in random order.
        test: of the task's samples to test on, `(m,)`; None where a test set was given.
        labels: noisy ones at each noise level, `(levels, n)`; for a number `(levels, n)` or `(levels, n, outputs)`.
        seed: of the estimator, the same at all noise levels.
    """

    rows: NDArray[np.int64]
    test: NDArray[np.int64] | None
    labels: NDArray[Any]
    seed: int


@dataclass(frozen=True, eq=False)
class Task:
    r"""Samples with clean labels, and how many of them, or which others, to test on.

    Attributes:
        X: inputs, an array, table or sparse matrix of `n_samples` rows.
        y: classes as numbers from 0, `(n_samples,)`, or targets, `(n_samples,)` or `(n_samples, outputs)`.
        n_test: how many samples a trial tests on.
        X_test: inputs of a test set that was given; None where each trial keeps some of X for testing.
        y_test: its clean labels, as `y`, or None.
        classes: the classes in the order of their numbers; empty where the target is a number.
        matrix: the noise channel `(K, K)`; None for a number.
        flip_share: the share of corrupted samples whose label really changes: 1 but for a channel with a diagonal.
        noise_scale: $\sqrt{\sum_c \mathrm{var}(y_c)}$ over all samples, the standard deviation of noise of level 1,
            summed over outputs; 1 for classes.
        symmetric: whether the channel is the symmetric one.
        random_state: seed of all trials and their splits.
        notes: what a reader should know of the data.
    """

    X: Any
    y: NDArray[Any]
    n_test: int
    X_test: Any
    y_test: NDArray[Any] | None
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
    def n_samples(self) -> int:
        """How many samples there are, those that a trial tests on among them."""
        return len(self.y)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that a trial takes from here, the names of the classes included: some estimators see them."""
        parts = [
            self.X,
            self.X_test,
            self.y,
            self.n_test,
            self.y_test,
            self.matrix,
            self.classes,
            self.random_state,
        ]
        return short_hash([data_key(part) for part in parts])

    @property
    def n_pool(self) -> int:
        """How many samples a trial has to train on."""
        return self.n_samples - (self.n_test if self.X_test is None else 0)

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
        split, seed, subset = (int(state) >> 1 for state in stream.generate_state(3))
        generator = np.random.default_rng(stream)
        codes = self.y if self.classes else None
        pool, test = np.arange(self.n_samples), None
        if self.X_test is None:
            test = draw_rows(codes, self.n_samples, self.n_test, split)
            pool = np.delete(pool, test)
        if n_train < len(pool):
            pool = pool[draw_rows(None if codes is None else codes[pool], len(pool), n_train, subset)]
        rows = generator.permutation(pool)
        return Draw(rows, test, self.noisy(rows, noise_levels, generator), seed)

    def train_inputs(self, draw: Draw, most: int | None = None) -> Any:
        """Return a copy of the inputs that a trial trains on, or of the first of them: estimators may write to it.

        Args:
            draw: from `draw`.
            most: how many.
        """
        return take(self.X, draw.rows[:most])

    def test_set(self, draw: Draw) -> tuple[Any, NDArray[Any]]:
        """Return a copy of the inputs that a trial tests on, and their clean labels."""
        if draw.test is not None:
            return take(self.X, draw.test), self.y[draw.test]
        assert self.y_test is not None
        return take(self.X_test, np.arange(self.n_test)), self.y_test

    def noisy(
        self, rows: NDArray[np.int64], noise_levels: NDArray[np.float64], generator: np.random.Generator
    ) -> NDArray[Any]:
        """Return labels of some rows with noise, nested over the levels, `(levels, n)` or `(levels, n, outputs)`.

        Args:
            rows: of the samples.
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


def widened(n_train: NDArray[np.int64], n_trials: int, n_pool: int, ratio: float) -> NDArray[np.float64]:
    """Return what to multiply standard errors over trials with; see `NoiseProfile.widening`.

    Args:
        n_train: training sizes.
        n_trials: over which errors were taken.
        n_pool: how many samples a trial has to train on.
        ratio: of test samples to these.
    """
    shared = np.clip(2.0 * n_train / n_pool - 1.0, 0.0, 1.0)
    return np.sqrt(1.0 + n_trials * ratio * shared)
