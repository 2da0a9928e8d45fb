"""Check of the theory on a sample's own halves: train on one half, test on the other, compare with the prediction.

The theory is about many samples in many dimensions, and about features that are nearly Gaussian. Where that fails
(inputs of one or two dimensions, a Gaussian kernel near interpolation, random Fourier features of a Laplace kernel,
most of which are pure high frequency), predictions can be off by far more than the sampling error. Training on halves
shows this at a fraction of the cost of the eigendecomposition. The error of the kernel itself widens every interval.
The error of random features beyond that is subtracted from their predictions, at the same ratio of features to samples.

Each half also forecasts how much the error falls from its own size to that of the sample, where it is known. What that
misses goes with the errors of forecasts past the sample (rank correlation 0.5 over 27 data sets) and widens their
intervals.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels import Kernel
from solvable.lab.text import percent, readable
from solvable.regression import theory
from solvable.regression.error_rate import ErrorRates
from solvable.regression.estimated_curves import EstimatedCurves
from solvable.regression.experiment import trial_errors
from solvable.regression.one_gram import decompose, one_gram
from solvable.regression.targets import Targets

Array = NDArray[np.float64]

# Ridges of the check, in units of the kernel's mean diagonal; the smallest stands for all below it.
_RIDGES = np.array([1e-12, 1e-6, 1e-3, 1e-1, 10.0])
# Numbers of features, in units of the training half. Past the last, the error falls as the root of their number.
_FEATURES = np.array([0.5, 1.0, 2.0])
# Part of the correction for random features that counts as doubt.
_DOUBT = 0.5
# Doubt, in ln(test error), about random features that could not be checked.
_UNTRIED = 0.1
_SPLITS = 2
# Smaller halves tell nothing of the curve past them.
_FEWEST = 20
# In words: errors above this are named apart, and those above the other are factors (of the logarithm).
_ROUGH, _FACTOR = 0.2, 0.5


@dataclass(frozen=True, eq=False)
class HalvesCheck:
    """Logarithm of predicted over measured test error, trained on half of the sample.

    Attributes:
        ratios: numbers of random features over the number of training samples; the last is `inf`, the kernel itself.
        ridge: ridges, ascending.
        log_ratio: one for each pair of them.
        log_rate_ratio: the same for the error rate; None for numbers.
        log_fall_ratio: logarithm of the error's ratio from half of the sample to all of it, as forecast from halves,
            minus the same from the whole sample; positive where the error falls faster than forecast. NaN if the halves
            have fewer than 20 points.
    """

    ratios: Float[NDArray, "features"]
    ridge: Float[NDArray, "ridges"]
    log_ratio: Float[NDArray, "features ridges"]
    log_rate_ratio: Float[NDArray, "features ridges"] | None = None
    log_fall_ratio: float = np.nan

    def of_the_rate(self) -> "HalvesCheck":
        """Return the check for the error rate: its own for random features, that of the squared error for the kernel.

        A few hundred points determine the kernel's own rate to a tenth at best, which would only add noise.
        """
        assert self.log_rate_ratio is not None
        beyond = self.log_rate_ratio - self.log_rate_ratio[-1]
        return HalvesCheck(self.ratios, self.ridge, beyond + self.log_ratio[-1], None, self.log_fall_ratio)

    def correction(self, n_train: Array, n_features: Array, ridge: Array) -> Array:
        """Return what to subtract from ln(error) because features are random; 0 for the kernel itself."""
        # Below the third largest ridge the peak at n = k dominates, and its error does not carry over to other n, k.
        least = self.ridge[max(len(self.ridge) - 3, 0)]
        return self._beyond_the_kernel(n_train, n_features, np.maximum(ridge, least))

    def standard_error(self, n_train: Array, n_features: Array, ridge: Array) -> Array:
        """Return the standard error of ln(error) that the halves showed (arguments broadcast)."""
        n_train, n_features, ridge = np.broadcast_arrays(n_train, n_features, ridge)
        kernel_error = self._at(ridge, np.abs(self.log_ratio[-1:]))[0]
        if len(self.ratios) == 1:
            return np.hypot(kernel_error, np.where(np.isfinite(n_features), _UNTRIED, 0.0))
        correction = self.correction(n_train, n_features, ridge)
        rest = np.abs(self._beyond_the_kernel(n_train, n_features, ridge) - correction)
        return np.hypot(kernel_error, _DOUBT * np.abs(correction) + rest)

    def _beyond_the_kernel(self, n_train: Array, n_features: Array, ridge: Array) -> Array:
        """Return the log ratio of random features minus that of the kernel, at the same k/n."""
        n_train, n_features, ridge = np.broadcast_arrays(n_train, n_features, ridge)
        beyond = np.zeros(ridge.shape)
        if len(self.ratios) == 1:
            return beyond
        finite = np.isfinite(n_features)
        ratio = np.where(finite, n_features, 1.0) / n_train
        nodes = np.arange(len(self.ratios) - 1, dtype=float)
        place = np.interp(np.log(ratio), np.log(self.ratios[:-1]), nodes)
        for i, row in enumerate(self._at(ridge, self.log_ratio[:-1] - self.log_ratio[-1])):
            beyond += np.maximum(1.0 - np.abs(place - i), 0.0) * row
        beyond *= np.sqrt(np.minimum(self.ratios[-2] / ratio, 1.0))
        return np.where(finite, beyond, 0.0)

    def _at(self, ridge: Array, rows: Array) -> Array:
        """Return each row interpolated to these ridges, `(rows, *shape)`; constant below the smallest ridge."""
        x = np.log(np.maximum(ridge, self.ridge[0]))
        return np.array([np.interp(x, np.log(self.ridge), row) for row in rows])

    def __str__(self) -> str:
        """Describe the errors in words."""
        return self.in_words()

    def in_words(self, with_features: bool = True) -> str:
        """Describe the errors in words, those of random features only on request."""
        errors = np.abs(self.log_ratio[-1])
        # Near interpolation the theory may fail on data that it suits at all ridges that are of use.
        rough = np.flatnonzero(errors > _ROUGH)
        text = f"on halves of the sample the kernel's predictions were off by at most {size_of(errors.max())}"
        if len(rough) and rough[-1] < len(errors) - 1:
            fine = rough[-1] + 1
            text = (
                f"on halves of the sample the kernel's predictions were off by at most {size_of(errors[fine:].max())} "
                f"from ridge {self.ridge[fine]:.2g} on, and by {size_of(errors.max())} below"
            )
        if with_features and len(self.ratios) > 1:
            worst = np.abs(self.log_ratio[:-1]).max()
            text += f", those for random features by {size_of(worst)} before correction"
        fall = self.missed_fall()
        return f"{text}; from half of the sample to all of it, the error comes out {fall}" if fall else text

    def missed_fall(self) -> str:
        """Return how the whole sample's error compares with forecasts from halves; empty if they are too small."""
        miss = abs(self.log_fall_ratio)
        if np.isnan(miss):
            return ""
        if miss < 0.01:
            return "as the halves forecast (to 1 %)"
        way = "below" if self.log_fall_ratio > 0 else "above"
        size = (
            size_of(miss)
            if miss > _FACTOR
            else percent(abs(float(np.expm1(-self.log_fall_ratio))), decimals=0)
        )
        return f"{size} {way} what the halves forecast"


def size_of(log_ratio: float) -> str:
    """Return the size of an error in words: a percentage, or a factor if it is large.

    >>> size_of(0.1), size_of(1.0)
    ('11 %', 'a factor of 2.7')
    """
    if log_ratio > _FACTOR:
        return f"a factor of {readable(float(np.exp(log_ratio)), 2)}"
    return percent(float(np.expm1(log_ratio)), decimals=0)


def check_halves(
    curves: EstimatedCurves,
    gram: Float[NDArray, "N N"],
    targets: Targets,
    kernel: Kernel | None = None,
    X: Any = None,
    groups: NDArray[np.int64] | None = None,
    rates: ErrorRates | None = None,
    least_ridge: float = 0.0,
    entry_rounding: float = 0.0,
) -> HalvesCheck:
    """Train on random halves of the sample, test on the others, and compare with what the curves predict.

    Args:
        curves: estimated from the whole sample.
        gram: its kernel matrix.
        targets: its targets.
        kernel: resolved; its random features, if it has some, are checked too.
        X: the sample's inputs, `(N, d)`, for the random features.
        groups: index of each point's group; no group is divided between the halves.
        rates: the sample's table of error rates, for classes.
        least_ridge: the ridge, in units of the diagonal, below which the rounding of the entries would be fitted.
        entry_rounding: of the kernel matrix, as in `one_gram.decompose`.
    """
    n = len(gram)
    half = n // 2
    ridge = np.unique(np.maximum(_RIDGES, least_ridge)) * gram.diagonal().mean()
    widths = np.array([np.inf])
    if kernel is not None:
        with suppress(InputError):  # raised by a kernel without random features
            kernel.features(1)
            widths = np.append(np.maximum(np.round(_FEATURES * half), 1.0), np.inf)
    # Test error and, for classes, error rate.
    measured, predicted = np.zeros((2, 2, len(widths), len(ridge)))
    for split in range(_SPLITS):
        order, first = _halves(n, groups, split)
        last = half if groups is None else n - first
        for train, test in ((order[:first], order[first:]), (order[-last:], order[:-last])):
            sizes = np.array([len(train)])
            errors = trial_errors(kernel, X, targets, gram, train, test, sizes, widths, ridge, [split])
            measured += errors[[0, 2], 0]
            solution = theory.solve(curves, len(train), widths, ridge)
            predicted[0] += theory.test_mse(solution)[0]
            if rates is not None:
                predicted[1] += rates.of(curves, solution)[0, ..., 0]
    # No wrong answer among all test points does not mean a rate of 0.
    floors = (1e-12 * np.square(targets.columns).sum(axis=1).mean(), 1.0 / n)
    log_ratio, log_rate_ratio = (
        np.log(np.maximum(ours, floor) / np.maximum(theirs, floor))
        for ours, theirs, floor in zip(predicted, measured, floors, strict=True)
    )
    fall = _log_fall_ratio(curves, gram, targets, groups, entry_rounding)
    return HalvesCheck(widths / half, ridge, log_ratio, None if rates is None else log_rate_ratio, fall)


def _log_fall_ratio(
    curves: EstimatedCurves,
    gram: Float[NDArray, "N N"],
    targets: Targets,
    groups: NDArray[np.int64] | None,
    entry_rounding: float,
) -> float:
    """Return `HalvesCheck.log_fall_ratio`, at the best ridge of the whole sample."""
    n = len(gram)
    ridge = theory.optimal_ridge(curves, n)[0]
    order, first = _halves(n, groups, 0)

    def log_fall(of: EstimatedCurves, half: int) -> float:
        errors = theory.test_mse(theory.solve(of, [half, n], np.inf, ridge)).ravel()
        return float(np.log(errors[0] / errors[1]))

    misses = []
    for rows in (order[:first], order[first:]):
        codes = None if groups is None else np.unique(groups[rows], return_inverse=True)[1]
        if len(rows) < _FEWEST or (codes is not None and codes.max() < 1):
            return np.nan
        decomposition = decompose(gram[np.ix_(rows, rows)], entry_rounding, codes, targets.intercept)
        statistics = one_gram(decomposition, targets.columns[rows])
        n_modes = curves.statistics.n_modes
        statistics = replace(statistics, rank=int(min(statistics.rank, n_modes)), n_modes=n_modes)
        misses.append(log_fall(curves, len(rows)) - log_fall(EstimatedCurves(statistics), len(rows)))
    return float(np.mean(misses))


def _halves(n: int, groups: NDArray[np.int64] | None, seed: int) -> tuple[NDArray[np.int64], int]:
    """Return a random order of the points, and where its first half ends: between two groups."""
    generator = np.random.default_rng(seed)
    if groups is None:
        return generator.permutation(n), n // 2
    place = generator.permutation(int(groups.max()) + 1)[groups]
    order = np.argsort(place, kind="stable")
    ends = np.flatnonzero(np.diff(place[order])) + 1
    return order, int(ends[np.abs(ends - n // 2).argmin()])
