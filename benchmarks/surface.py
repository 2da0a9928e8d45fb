"""A whole learning surface from one Gram matrix, next to measuring the same curve; nothing is demanded.

Both sides get the same 1500 digits. Ours computes the Gaussian kernel's matrix, estimates the
`LearningSurface` from it and predicts 12 sizes × 5 ridges. The peer trains at each of them: scikit-learn's
`learning_curve` with `KernelRidge`, five splits. The error is that of the prediction against the peer's mean
over the splits, which has a sampling error of its own.
"""

from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import ShuffleSplit
from threadpoolctl import threadpool_limits

from benchmarks._result import Result, alternate, in_seconds
from benchmarks.learning_curve import N_SIZES, N_TRIALS, RIDGES, peer_errors
from solvable.datasets import load
from solvable.kernels import Gaussian
from solvable.regression import LearningSurface

N_SAMPLES = 1500


def run() -> Iterator[Result]:
    """Time both and compare prediction and measurement."""
    digits = load("digits")
    chosen = np.random.default_rng(0).permutation(len(digits.X))[:N_SAMPLES]
    X, y = digits.X[chosen], digits.y[chosen]
    kernel = Gaussian().for_data(X)
    splits = list(ShuffleSplit(N_TRIALS, test_size=0.2, random_state=0).split(X))
    sizes = np.linspace(0, len(splits[0][0]), N_SIZES + 1)[1:].astype(int)
    with threadpool_limits(limits=1):
        seconds, peer_seconds, predicted, errors = alternate(
            lambda: LearningSurface.from_kernel(kernel, X, y).predict(n_train=sizes, ridge=RIDGES),
            lambda: peer_errors(kernel, X, y, sizes, splits),
            repeats=2,
        )
    off = np.abs(predicted.test_mse.isel(n_features=0).to_numpy() / errors[0].mean(axis=0) - 1.0)
    yield Result(
        what="predicted learning surface",
        size=f"digits, {N_SAMPLES} samples, {N_SIZES} sizes × {len(RIDGES)} ridges",
        ours=in_seconds(seconds),
        peer=f"{in_seconds(peer_seconds)} (scikit-learn, measured)",
        ratio=peer_seconds / seconds,
        accuracy=f"off the measurement: median {np.median(off):.1%}, largest {off.max():.1%}",
    )
