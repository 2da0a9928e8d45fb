r"""Measuring a learning curve: 12 sizes × 5 ridges × 5 trials on scikit-learn's digits, Gaussian kernel.

Ours is `measure`, kernel matrix included: one kernel matrix for all, one Cholesky factorisation per trial and
ridge for all sizes. The peer is scikit-learn's `learning_curve` with `KernelRidge`, called once for each ridge,
on the same splits, targets and bandwidth, training scores included; it trains anew at each point. Both run as
one job, with as many BLAS threads as there are cores and with one.

scikit-learn's mean squared error averages over outputs; ours sums over them, hence the factor between the scores.
"""

import os
from collections.abc import Iterator

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import ShuffleSplit, learning_curve
from threadpoolctl import threadpool_limits

from benchmarks._result import Result, alternate, in_seconds
from solvable.datasets import Dataset, load
from solvable.kernels import Gaussian
from solvable.regression import measure

RIDGES = (0.001, 0.01, 0.1, 1.0, 10.0)
N_SIZES = 12
N_TRIALS = 5

Splits = list[tuple[np.ndarray, np.ndarray]]


def peer_errors(
    kernel: Gaussian, X: np.ndarray, y: np.ndarray, sizes: np.ndarray, splits: Splits
) -> np.ndarray:
    """Return scikit-learn's test and training errors, `(2, trial, n_train, ridge)`, summed over outputs."""
    assert kernel.length_scale is not None
    gamma = 0.5 / kernel.length_scale**2
    errors = []
    for ridge in RIDGES:
        model = KernelRidge(kernel="rbf", alpha=ridge, gamma=gamma)
        _, train, test = learning_curve(
            model, X, y, train_sizes=sizes, cv=splits, scoring="neg_mean_squared_error", n_jobs=1
        )[:3]
        errors.append((test.T, train.T))
    return -y.shape[1] * np.moveaxis(np.array(errors), 0, -1)


def run() -> Iterator[Result]:
    """Time and compare both."""
    digits = load("digits")
    kernel = Gaussian().for_data(digits.X)
    splits = list(ShuffleSplit(N_TRIALS, test_size=0.2, random_state=0).split(digits.X))
    sizes = np.linspace(0, len(splits[0][0]), N_SIZES + 1)[1:].astype(int)
    # As users run it, and with one thread each, which is the harder case for us.
    for threads, demanded in ((os.cpu_count() or 1, 8.0), (1, None)):
        yield timed(kernel, digits, splits, sizes, threads, demanded)


def timed(
    kernel: Gaussian, digits: Dataset, splits: Splits, sizes: np.ndarray, threads: int, demanded: float | None
) -> Result:
    """Return both sides' median times with this many BLAS threads each, and how their scores differ."""
    with threadpool_limits(limits=threads):
        seconds, peer_seconds, measured, errors = alternate(
            lambda: measure(kernel, digits.X, digits.y, n_train=sizes, ridge=RIDGES, splits=splits),
            lambda: peer_errors(kernel, digits.X, digits.y, sizes, splits),
            repeats=3,
        )
    ours = np.stack([measured[name].isel(n_features=0).to_numpy() for name in ("test_mse", "train_mse")])
    difference = np.abs(ours - errors).max(axis=(1, 2, 3))
    return Result(
        what=f"measured learning curve, test and train, {threads} BLAS thread{'s' if threads > 1 else ''} each",
        size=f"digits, {N_SIZES} sizes up to {sizes[-1]} × {len(RIDGES)} ridges × {N_TRIALS} trials",
        ours=in_seconds(seconds),
        peer=f"{in_seconds(peer_seconds)} (scikit-learn)",
        ratio=peer_seconds / seconds,
        demanded=demanded,
        accuracy="largest difference: test {:.0e}, train {:.0e}".format(*difference),
        accurate=bool(difference.max() <= 1e-6),
    )
