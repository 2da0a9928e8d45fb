"""`Task`: clean data, from which every trial draws a test set, a training subset, and its noisy labels.

Without a test set of the user's, each trial has its own split, so that the scatter of errors includes the choice of
test points. A single split for all trials would leave that out.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import whole_grid
from solvable.datasets.sampling import draw_rows
from solvable.errors import InputError
from solvable.lab.keys import data_key, short_hash
from solvable.overfitting.label_noise import check_levels, nested_flips

# Default training sizes: their number, the factor between largest and smallest, and a lower bound.
_N_SIZES, _SPAN, _SMALLEST = 6, 32, 20
# Of groups to test on, until each class has samples to train on.
_MOST_DRAWINGS = 100
# Default noise levels for classes and for numbers.
_LEVELS_OF_CLASSES = (0.0, 0.1, 0.2, 0.3, 0.4)
_LEVELS_OF_NUMBERS = (0.0, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Draw:
    """Training and test samples of one trial at one size.

    Attributes:
        rows: row numbers of the training samples, `(n,)`, in random order.
        test: row numbers of the test samples, `(m,)`; None for a test set of the user's.
        labels: noisy labels at each noise level, `(levels, n)`; for a number `(levels, n)` or `(levels, n, outputs)`.
        seed: of the estimator, the same at all noise levels.
    """

    rows: NDArray[np.int64]
    test: NDArray[np.int64] | None
    labels: NDArray[Any]
    seed: int


@dataclass(frozen=True, eq=False)
class Task:
    r"""Samples with clean labels, and the number of them, or a separate set, for testing.

    Attributes:
        X: inputs, an array, table or sparse matrix of `n_samples` rows.
        y: classes as numbers from 0, `(n_samples,)`, or targets, `(n_samples,)` or `(n_samples, outputs)`.
        n_test: number of test samples in a trial.
        X_test: inputs of a test set of the user's; None if each trial keeps some of X for testing.
        y_test: its clean labels, as `y`, or None.
        classes: the classes in the order of their numbers; empty if the target is a number.
        matrix: the noise channel `(K, K)`; None for a number.
        flip_share: share of corrupted samples whose label changes: 1 unless the channel has a diagonal.
        noise_scale: $\sqrt{\sum_c \mathrm{var}(y_c)}$ over all samples, the standard deviation of noise of level 1,
            summed over outputs; 1 for classes.
        symmetric: whether the channel is the symmetric one.
        random_state: seed of all trials and their splits.
        notes: sentences on the data.
        groups: the group of each sample as a number from 0, `(n_samples,)`, if those of a group are never on both
            sides of a split; else None.
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
    groups: NDArray[np.int64] | None = None

    @property
    def n_classes(self) -> int | None:
        """Number of classes, or None if the target is a number."""
        return len(self.classes) or None

    @property
    def n_samples(self) -> int:
        """Number of samples, including those that a trial tests on."""
        return len(self.y)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that a trial depends on, including class names, which some estimators use."""
        data = (self.X, self.X_test, self.y, self.n_test, self.y_test, self.matrix, self.classes, self.groups)
        return short_hash([data_key(part) for part in (*data, self.random_state)])

    @property
    def n_pool(self) -> int:
        """Number of samples that every trial may train on."""
        if self.X_test is not None:
            return self.n_samples
        # The last group of a test set is kept from training as a whole.
        beyond = 0 if self.groups is None else int(np.bincount(self.groups).max()) - 1
        return self.n_samples - self.n_test - beyond

    def levels(self, noise_levels: ArrayLike | None) -> NDArray[np.float64]:
        """Return validated noise levels, rising, with 0 among them; by default those for the type of target."""
        if noise_levels is None and self.n_classes is None:
            noise_levels = _LEVELS_OF_NUMBERS
        elif noise_levels is None:
            # At 1 - 1/K labels carry no information: with two classes 0.4 is the last useful level.
            noise_levels = [p for p in _LEVELS_OF_CLASSES if p < 1.0 - 1.0 / len(self.classes)]
        return check_levels(noise_levels, self.n_classes, None if self.symmetric else self.matrix)

    def sizes(self, train_sizes: ArrayLike | None) -> NDArray[np.int64]:
        """Return validated training sizes, rising; by default six over a factor of 32, up to the pool's.

        Raises:
            InputError: for sizes that are not whole, too small for the classes, or larger than the pool.
        """
        least = max(2, 2 * len(self.classes))
        if train_sizes is None:
            smallest = min(max(self.n_pool / _SPAN, _SMALLEST, least), self.n_pool)
            return np.unique(np.geomspace(smallest, self.n_pool, _N_SIZES).round().astype(np.int64))
        sizes = whole_grid("train_sizes", train_sizes, at_least=1)
        if sizes.min() < least:
            what = f"{len(self.classes)} classes" if self.classes else "a fit"
            raise InputError(
                f"a train size of {sizes.min()} is too small for {what}; expected at least {least}"
            )
        if sizes.max() > self.n_pool:
            raise InputError(
                f"a train size of {sizes.max()} is too large; only {self.n_pool} samples are available for training "
                f"({self.n_test} are for testing): lower it, or give more data"
            )
        return np.unique(sizes)

    def draw(self, n_train: int, noise_levels: NDArray[np.float64], trial: int) -> Draw:
        """Return the samples and noisy labels of a trial: the same in every call, nested over the noise levels.

        Args:
            n_train: number of training samples, with classes in proportion.
            noise_levels: from `levels`.
            trial: its number.
        """
        # One stream for each trial and size, so that further trials or sizes do not change the others.
        stream = np.random.SeedSequence((3, self.random_state, trial, n_train))
        # Some estimators accept only seeds of 31 bits.
        split, seed, subset = (int(state) >> 1 for state in stream.generate_state(3))
        generator = np.random.default_rng(stream)
        codes = self.y if self.classes else None
        pool, test = np.arange(self.n_samples), None
        if self.groups is not None:
            test, pool = self._groups_apart(self.groups, split)
        elif self.X_test is None:
            test = draw_rows(codes, self.n_samples, self.n_test, split)
            pool = np.delete(pool, test)
        if n_train < len(pool):
            pool = pool[draw_rows(None if codes is None else codes[pool], len(pool), n_train, subset)]
        rows = generator.permutation(pool)
        return Draw(rows, test, self.noisy(rows, noise_levels, generator), seed)

    def _groups_apart(
        self, groups: NDArray[np.int64], seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return `n_test` samples of groups drawn at random, and the samples of all other groups.

        Raises:
            InputError: if in each of many drawings a class had all of its groups tested.
        """
        generator, sizes = np.random.default_rng(seed), np.bincount(groups)
        for _ in range(_MOST_DRAWINGS):
            order = generator.permutation(len(sizes))
            last = int(np.searchsorted(np.cumsum(sizes[order]), self.n_test))
            chosen = np.isin(groups, order[: last + 1])
            if not self.classes or len(np.unique(self.y[~chosen])) == len(self.classes):
                test = np.sort(generator.permutation(np.flatnonzero(chosen))[: self.n_test])
                return test, np.flatnonzero(~chosen)
        raise InputError(
            f"a class is in so few of the {len(sizes)} groups that testing on {self.n_test} samples of other groups "
            "leaves none to train on; expected classes in many groups: lower test_size, or merge classes"
        )

    def train_inputs(self, draw: Draw, most: int | None = None) -> Any:
        """Return a copy of a trial's training inputs, at most the first `most`; estimators may write to it."""
        return take(self.X, draw.rows[:most])

    def test_set(self, draw: Draw) -> tuple[Any, NDArray[Any]]:
        """Return a copy of a trial's test inputs, and their clean labels."""
        if draw.test is not None:
            return take(self.X, draw.test), self.y[draw.test]
        assert self.y_test is not None
        return take(self.X_test, np.arange(self.n_test)), self.y_test

    def noisy(
        self, rows: NDArray[np.int64], noise_levels: NDArray[np.float64], generator: np.random.Generator
    ) -> NDArray[Any]:
        """Return labels of some rows with noise, nested over the levels, `(levels, n)` or `(levels, n, outputs)`."""
        y = self.y[rows]
        if self.matrix is not None:
            return nested_flips(y, noise_levels, self.matrix, generator)
        noise = generator.standard_normal(y.shape) * self.y.std(axis=0)
        return y + noise_levels.reshape(-1, *(1,) * y.ndim) * noise


def take(X: Any, rows: NDArray[np.int64]) -> Any:
    """Return rows of an array, table or sparse matrix."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def widened(n_train: NDArray[np.int64], n_trials: int, n_pool: int, ratio: float) -> NDArray[np.float64]:
    """Return the factor for standard errors over trials; see `NoiseProfile.widening`.

    Args:
        n_train: training sizes.
        n_trials: number of trials behind the errors.
        n_pool: number of samples that a trial may train on.
        ratio: of test samples to `n_pool`.
    """
    shared = np.clip(2.0 * n_train / n_pool - 1.0, 0.0, 1.0)
    return np.sqrt(1.0 + n_trials * ratio * shared)
