"""`diagnose` against what a user does today for the same answer: `learning_curve` of a `GridSearchCV` over the ridges.

From half of digits (900 labelled images): the error at six sizes, each at its best ridge. The peer trains on shuffled
subsets of the sample, five folds outside and five inside, with scikit-learn's `KernelRidge` on one-hot columns; ours
reads it off one kernel matrix, and the forecast for twice and four times the sample with it. The truth is training on
as many of all 1797 images, at the best of the same ridges, tested on the others.
"""

import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, KFold, learning_curve
from threadpoolctl import threadpool_limits

from benchmarks._result import Result, alternate, in_seconds
from solvable.datasets import load
from solvable.kernels import Gaussian
from solvable.regression import measure
from solvable.regression.diagnose import diagnose_dataset
from solvable.regression.targets import Targets

RIDGES = tuple(float(ridge) for ridge in 10.0 ** np.arange(-6.0, 2.0))
N_SAMPLE = 900
SIZES = np.array([64, 128, 256, 384, 512, 720])


def run() -> Iterator[Result]:
    """Time both, and compare both answers with the truth."""
    digits = load("digits")
    order = np.random.default_rng(0).permutation(len(digits.X))
    sample = load("digits", rows=N_SAMPLE)
    kernel = Gaussian().for_data(sample.X)
    assert kernel.length_scale is not None
    gamma = 0.5 / kernel.length_scale**2

    def ours() -> np.ndarray:
        return (
            diagnose_dataset(sample, kernel)
            .forecast([*SIZES, 2 * N_SAMPLE, 4 * N_SAMPLE])
            .test_mse.to_numpy()
        )

    def peer() -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of matrices that are singular to rounding
            search = GridSearchCV(
                KernelRidge(kernel="rbf", gamma=gamma),
                {"alpha": RIDGES},
                cv=KFold(5, shuffle=True, random_state=0),
                scoring="neg_mean_squared_error",
            )
            folds = KFold(5, shuffle=True, random_state=1)
            scores = learning_curve(
                search,
                sample.X,
                sample.y,
                train_sizes=SIZES,
                cv=folds,
                scoring="neg_mean_squared_error",
                shuffle=True,
                random_state=0,
            )[2]
        return -sample.y.shape[1] * scores.mean(axis=1)

    with threadpool_limits(limits=1):
        seconds, peer_seconds, found, scored = alternate(ours, peer, repeats=3)
    targets = Targets(digits.y[order], digits.classes, digits.y[order].argmax(axis=1)).centred()
    truth = measure(kernel, digits.X[order], targets, n_train=SIZES, ridge=RIDGES, splits=10)
    best = truth.test_mse.mean("trial").squeeze().min("ridge").to_numpy()
    off, peer_off = (np.abs(answer / best - 1.0) for answer in (found[: len(SIZES)], scored))
    yield Result(
        what="what more labels buy: diagnose, and GridSearchCV in learning_curve, 1 BLAS thread each",
        size=f"digits, {N_SAMPLE} labelled, {len(SIZES)} sizes, {len(RIDGES)} ridges",
        ours=in_seconds(seconds),
        peer=f"{in_seconds(peer_seconds)} (scikit-learn)",
        ratio=peer_seconds / seconds,
        demanded=None,
        accuracy=f"off the truth by {100 * np.median(off):.1f} % (median; largest {100 * off.max():.0f} %); peer by "
        f"{100 * np.median(peer_off):.1f} % ({100 * peer_off.max():.0f} %), and none past the sample",
        accurate=bool(np.median(off) < 0.1),
    )
