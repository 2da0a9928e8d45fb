"""The surface's check of itself: trained on half of its own sample, tested on the other half, does theory hold here?

Theory is about many samples in many dimensions, and about features that are nearly Gaussian. Where that fails (inputs
of one or two dimensions, a Gaussian kernel near interpolation, random Fourier features of a Laplace kernel, most of
which are pure high frequency) predictions can be off by far more than sampling error. Training on halves costs a
fraction of the eigendecomposition and tells; how far off it was goes into every interval.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels import Kernel
from solvable.regression import theory
from solvable.regression.estimated_curves import EstimatedCurves
from solvable.regression.experiment import trial_errors

# Ridges that are tried, in units of the kernel's mean diagonal; the least one stands for all below it.
_RIDGES = np.array([1e-6, 1e-3, 1e-1, 10.0])
# Numbers of features, in units of the training half.
_FEATURES = np.array([0.5, 2.0])
_SPLITS = 2


@dataclass(frozen=True, eq=False)
class HalvesCheck:
    """Logarithm of predicted over measured test error, trained on half of the sample.

    Attributes:
        n_features: numbers of random features that were tried, `inf` last for the kernel itself.
        ridge: ridges that were tried, ascending.
        log_ratio: one for each pair of them.
    """

    n_features: Float[NDArray, "features"]
    ridge: Float[NDArray, "ridges"]
    log_ratio: Float[NDArray, "features ridges"]

    def standard_error(
        self, n_features: NDArray[np.float64], ridge: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return how far ln(test error) was off nearest to these features and ridges (broadcast, any shape)."""
        n_features, ridge = np.broadcast_arrays(n_features, ridge)
        x = np.log(np.maximum(ridge, self.ridge[0]))
        rows = np.array([np.interp(x, np.log(self.ridge), np.abs(row)) for row in self.log_ratio])
        finite = np.isfinite(self.n_features)
        if not finite.any():
            return rows[-1]
        position = np.log(np.where(np.isfinite(n_features), n_features, self.n_features[0]))
        weight = np.interp(position, np.log(self.n_features[finite]), np.arange(finite.sum(), dtype=float))
        below = np.floor(weight).astype(int)
        above = np.minimum(below + 1, finite.sum() - 1)
        part = weight - below
        between = (1 - part) * np.take_along_axis(rows, below[None], 0)[0]
        between += part * np.take_along_axis(rows, above[None], 0)[0]
        return np.where(np.isfinite(n_features), between, rows[-1])

    def __str__(self) -> str:
        """Say in words how far off it was."""
        off = 100 * np.expm1(np.abs(self.log_ratio).max(axis=1))
        text = f"on the sample's own halves the kernel's predictions were off by at most {off[-1]:.0f} %"
        if len(off) > 1:
            text += f", those for random features by {off[:-1].max():.0f} %"
        return text


def check_halves(
    curves: EstimatedCurves,
    gram: Float[NDArray, "N N"],
    targets: Float[NDArray, "N outputs"],
    kernel: Kernel | None = None,
    X: Any = None,
) -> HalvesCheck:
    """Train on random halves of the sample, test on the others, and compare with what the curves predict.

    Args:
        curves: estimated from the whole sample.
        gram: its kernel matrix.
        targets: its targets.
        kernel: resolved; where it has random features they are tried too.
        X: the sample's inputs, `(N, d)`, for the random features.
    """
    n = len(gram)
    half = n // 2
    ridge = _RIDGES * gram.diagonal().mean()
    widths = np.array([np.inf])
    if kernel is not None:
        try:
            kernel.features(1)
            widths = np.append(np.maximum(np.round(_FEATURES * half), 1.0), np.inf)
        except InputError:
            pass  # a kernel without random features has none to try
    errors = []
    for split in range(_SPLITS):
        order = np.random.default_rng(split).permutation(n)
        for train, test in ((order[:half], order[half:]), (order[-half:], order[:-half])):
            sizes = np.array([half])
            found = trial_errors(kernel, X, targets, gram, train, test, sizes, widths, ridge, [split])
            errors.append(found[0, 0])
    measured = np.mean(errors, axis=0)
    predicted = theory.test_mse(theory.solve(curves, half, widths, ridge))[0]
    floor = 1e-12 * np.square(targets).sum(axis=1).mean()
    return HalvesCheck(widths, ridge, np.log(np.maximum(predicted, floor) / np.maximum(measured, floor)))
