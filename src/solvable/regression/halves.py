"""The surface's check of itself: trained on half of its own sample, tested on the other half, does theory hold here?

Theory is about many samples in many dimensions, and about features that are nearly Gaussian. Where that fails (inputs
of one or two dimensions, a Gaussian kernel near interpolation, random Fourier features of a Laplace kernel, most of
which are pure high frequency) predictions can be off by far more than sampling error. Training on halves costs a
fraction of the eigendecomposition and tells. What it tells of the kernel itself goes into every interval. What it tells
of random features beyond that is taken off their predictions, at the same ratio of features to samples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels import Kernel
from solvable.regression import theory
from solvable.regression.error_rate import ErrorRates
from solvable.regression.estimated_curves import EstimatedCurves
from solvable.regression.experiment import trial_errors
from solvable.regression.targets import Targets

# Ridges that are tried, in units of the kernel's mean diagonal; the least one stands for all below it.
_RIDGES = np.array([1e-12, 1e-6, 1e-3, 1e-1, 10.0])
# Numbers of features, in units of the training half. Past the last, what is off falls as the root of their number.
_FEATURES = np.array([0.5, 1.0, 2.0])
# How much of what was taken off the predictions for random features remains in doubt.
_DOUBT = 0.5
# Doubt, in ln(test error), about random features where none could be tried.
_UNTRIED = 0.1
_SPLITS = 2


@dataclass(frozen=True, eq=False)
class HalvesCheck:
    """Logarithm of predicted over measured test error, trained on half of the sample.

    Attributes:
        ratios: numbers of random features that were tried, over the number of training samples; `inf`, the kernel
            itself, comes last.
        ridge: ridges that were tried, ascending.
        log_ratio: one for each pair of them.
        log_rate_ratio: the same of the error rate; None for numbers.
    """

    ratios: Float[NDArray, "features"]
    ridge: Float[NDArray, "ridges"]
    log_ratio: Float[NDArray, "features ridges"]
    log_rate_ratio: Float[NDArray, "features ridges"] | None = None

    def of_the_rate(self) -> "HalvesCheck":
        """Return the check of the error rate: of random features as it was found, of the kernel that of squared error.

        The kernel's own rate on a few hundred points is known to a tenth at best: it would add noise and no knowledge.
        """
        assert self.log_rate_ratio is not None
        beyond = self.log_rate_ratio - self.log_rate_ratio[-1]
        return HalvesCheck(self.ratios, self.ridge, beyond + self.log_ratio[-1])

    def correction(
        self, n_train: NDArray[np.float64], n_features: NDArray[np.float64], ridge: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what to subtract from ln(error) because features are random ones; 0 for the kernel itself."""
        # Below the third ridge from above, the peak at n = k dominates, and one measured peak does not fit another's
        # place.
        return self._beyond_the_kernel(
            n_train, n_features, np.maximum(ridge, self.ridge[max(len(self.ridge) - 3, 0)])
        )

    def standard_error(
        self, n_train: NDArray[np.float64], n_features: NDArray[np.float64], ridge: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return how far ln(error) may be off for reasons that the halves showed (broadcast, any shape)."""
        n_train, n_features, ridge = np.broadcast_arrays(n_train, n_features, ridge)
        of_the_kernel = self._at(ridge, np.abs(self.log_ratio[-1:]))[0]
        if len(self.ratios) == 1:
            return np.hypot(of_the_kernel, np.where(np.isfinite(n_features), _UNTRIED, 0.0))
        corrected = self.correction(n_train, n_features, ridge)
        left = np.abs(self._beyond_the_kernel(n_train, n_features, ridge) - corrected)
        return np.hypot(of_the_kernel, _DOUBT * np.abs(corrected) + left)

    def _beyond_the_kernel(
        self, n_train: NDArray[np.float64], n_features: NDArray[np.float64], ridge: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return how far random features were off beyond what the kernel itself was, at the same k/n."""
        n_train, n_features, ridge = np.broadcast_arrays(n_train, n_features, ridge)
        off = np.zeros(ridge.shape)
        if len(self.ratios) == 1:
            return off
        finite = np.isfinite(n_features)
        ratio = np.where(finite, n_features, 1.0) / n_train
        place = np.interp(
            np.log(ratio), np.log(self.ratios[:-1]), np.arange(len(self.ratios) - 1, dtype=float)
        )
        for i, row in enumerate(self._at(ridge, self.log_ratio[:-1] - self.log_ratio[-1])):
            off += np.maximum(1.0 - np.abs(place - i), 0.0) * row
        off *= np.sqrt(np.minimum(self.ratios[-2] / ratio, 1.0))
        return np.where(finite, off, 0.0)

    def _at(self, ridge: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each row at these ridges, `(rows, *shape)`; the least ridge tried stands for all below it."""
        x = np.log(np.maximum(ridge, self.ridge[0]))
        return np.array([np.interp(x, np.log(self.ridge), row) for row in rows])

    def __str__(self) -> str:
        """Say in words how far off it was."""
        return self.in_words()

    def in_words(self, with_features: bool = True) -> str:
        """Say how far off it was, of random features only where they matter."""

        def off(rows: NDArray[np.float64]) -> str:
            worst = float(np.abs(rows).max())
            return f"{100 * np.expm1(worst):.0f} %" if worst < 0.5 else f"a factor of {np.exp(worst):.1f}"

        text = f"on the sample's own halves the kernel's predictions were off by at most {off(self.log_ratio[-1])}"
        if with_features and len(self.ratios) > 1:
            text += f", those for random features by {off(self.log_ratio[:-1])} before they were corrected"
        return text


def check_halves(
    curves: EstimatedCurves,
    gram: Float[NDArray, "N N"],
    targets: Targets,
    kernel: Kernel | None = None,
    X: Any = None,
    groups: NDArray[np.int64] | None = None,
    rates: ErrorRates | None = None,
    least_ridge: float = 0.0,
) -> HalvesCheck:
    """Train on random halves of the sample, test on the others, and compare with what the curves predict.

    Args:
        curves: estimated from the whole sample.
        gram: its kernel matrix.
        targets: its targets.
        kernel: resolved; where it has random features they are tried too.
        X: the sample's inputs, `(N, d)`, for the random features.
        groups: index of each point's group; none is divided between the halves.
        rates: the sample's table of error rates, where the targets are classes.
        least_ridge: below it, in units of the diagonal, the entries' rounding would be what is fitted.
    """
    n = len(gram)
    half = n // 2
    ridge = np.unique(np.maximum(_RIDGES, least_ridge)) * gram.diagonal().mean()
    widths = np.array([np.inf])
    if kernel is not None:
        try:
            kernel.features(1)
            widths = np.append(np.maximum(np.round(_FEATURES * half), 1.0), np.inf)
        except InputError:
            pass  # a kernel without random features has none to try
    # Test error and, for classes, error rate.
    measured, predicted = np.zeros((2, 2, len(widths), len(ridge)))
    for split in range(_SPLITS):
        order, first = _halves(n, groups, split)
        last = half if groups is None else n - first
        for train, test in ((order[:first], order[first:]), (order[-last:], order[:-last])):
            sizes = np.array([len(train)])
            found = trial_errors(kernel, X, targets, gram, train, test, sizes, widths, ridge, [split])
            measured += found[[0, 2], 0]
            solution = theory.solve(curves, len(train), widths, ridge)
            predicted[0] += theory.test_mse(solution)[0]
            if rates is not None:
                predicted[1] += rates.of(curves, solution)[0, ..., 0]
    # A rate of none in all test points is not known to be 0.
    floors = (1e-12 * np.square(targets.columns).sum(axis=1).mean(), 1.0 / n)
    off, rate_off = (
        np.log(np.maximum(ours, floor) / np.maximum(theirs, floor))
        for ours, theirs, floor in zip(predicted, measured, floors, strict=True)
    )
    return HalvesCheck(widths / half, ridge, off, None if rates is None else rate_off)


def _halves(n: int, groups: NDArray[np.int64] | None, seed: int) -> tuple[NDArray[np.int64], int]:
    """Return a random order of the points, and where its first half ends: between two groups."""
    generator = np.random.default_rng(seed)
    if groups is None:
        return generator.permutation(n), n // 2
    place = generator.permutation(int(groups.max()) + 1)[groups]
    order = np.argsort(place, kind="stable")
    ends = np.flatnonzero(np.diff(place[order])) + 1
    return order, int(ends[np.abs(ends - n // 2).argmin()])
