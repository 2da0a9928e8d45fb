r"""The noise profile of kernel regression: 2000 training samples, 50 noisy label vectors and the clean one.

Ours is `kernel_noise_profile`, the call that a user makes: data checked and split, noise drawn, kernel matrices, one
factorisation for all label vectors, test and training errors, and the noise cost in squared loss. The peer is
scikit-learn's `KernelRidge` with the same kernel and ridge, fitted anew for each label vector and asked for its test
predictions, as any loop over noise levels does; its data and labels are prepared outside the clock, and it measures no
more than test errors. The second row is the peer in expert hands, who knows that labels enter linearly and makes all
label vectors the columns of one fit: it is reported, not demanded.

Gaussian inputs, since the time of neither depends on the data; one BLAS thread each.
"""

from collections.abc import Iterator

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from threadpoolctl import threadpool_limits

from benchmarks._result import Result, alternate, in_seconds
from solvable.kernels import Gaussian
from solvable.overfitting.build_task import prepare
from solvable.overfitting.kernel_profile import KernelFit, kernel_noise_profile, label_vectors
from solvable.overfitting.linear_smoothers import answers, class_columns

N_TRAIN, N_TEST, N_FEATURES = 2000, 500, 20
LEVELS, N_DRAWS = (0.05, 0.1, 0.2, 0.3, 0.4), 10
RIDGE, KERNEL = 1e-3, Gaussian(4.0)
PEER = KernelRidge(kernel="rbf", gamma=1.0 / 32.0, alpha=RIDGE)


def run() -> Iterator[Result]:
    """Time and compare both."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((N_TRAIN + N_TEST, N_FEATURES))
    y = (X[:, 0] + 0.5 * X[:, 1] * X[:, 2] > 0).astype(int)
    # What the peer trains on: the same split, subset and noise.
    task = prepare(X, y, test_size=N_TEST)
    levels = task.levels(LEVELS)
    draw = task.draw(N_TRAIN, levels, 0)
    ((level, labels),) = label_vectors(task, draw, levels, N_DRAWS, at_once=N_DRAWS)
    inputs, columns = task.train_inputs(draw), class_columns(labels, 2)
    X_test, y_test = task.test_set(draw)
    fit = KernelFit(KERNEL(inputs), KERNEL(X_test, inputs), RIDGE, task, draw, levels, N_DRAWS)
    predictions = fit.predictions(columns)[0]

    def ours() -> np.ndarray:
        profile = kernel_noise_profile(
            KERNEL,
            X,
            y,
            LEVELS,
            train_sizes=N_TRAIN,
            n_trials=1,
            n_draws=N_DRAWS,
            ridge=RIDGE,
            test_size=N_TEST,
            quiet=True,
        )
        return profile.test_error.to_numpy()[0]

    def one_by_one() -> np.ndarray:
        return np.stack([PEER.fit(inputs, column).predict(X_test) for column in columns.T], axis=1)

    def all_columns() -> np.ndarray:
        return PEER.fit(inputs, columns).predict(X_test)

    size = f"n = {N_TRAIN}, {N_TEST} test points, {len(level)} label vectors, one BLAS thread"
    with threadpool_limits(limits=1):
        for what, peer, who, repeats, demanded in (
            ("noise profile of a kernel", one_by_one, "scikit-learn, a fit each", 3, 40.0),
            ("the same, the peer's labels stacked by hand", all_columns, "scikit-learn, one fit", 7, None),
        ):
            seconds, peer_seconds, errors, theirs = alternate(ours, peer, repeats)
            wrong = (answers(theirs, 2) != y_test[:, None]).mean(axis=0)
            peer_errors = np.bincount(level, wrong) / np.bincount(level)
            difference = float(np.abs(predictions - theirs).max())
            off = float(np.abs(errors - peer_errors).max())
            yield Result(
                what=what,
                size=size,
                ours=in_seconds(seconds),
                peer=f"{in_seconds(peer_seconds)} ({who})",
                ratio=peer_seconds / seconds,
                demanded=demanded,
                accuracy=f"predictions differ by {difference:.0e}, error rates by {off:.0e}",
                accurate=difference <= 1e-8 and off <= 1e-12,
            )
