"""Which of a few natural kernels suits a sample: the one of least leave-one-out error, each at its best ridge."""

from collections.abc import Callable
from threading import Lock

import numpy as np
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from solvable.kernels import as_kernel
from solvable.kernels.inputs import to_float64
from solvable.regression.one_gram import decompose, one_gram
from solvable.regression.targets import Targets

NATURAL_KERNELS = ("linear", "gaussian", "laplace", "matern52", "relu ntk")
"""The kernels that `diagnose` chooses from, by leave-one-out error; bandwidths are the median distance."""

COMPARED_ON = 1000
"""Kernels are compared on no more points than this: the ranking needs less than the curve."""

Watch = Callable[[str], None]

_ONE_AT_A_TIME = Lock()


def compare_kernels(
    X: NDArray[np.float64],
    targets: Targets,
    groups: NDArray[np.int64] | None,
    random_state: int,
    watch: Watch,
) -> dict[str, float]:
    """Return the leave-one-out error of each natural kernel at its best ridge, best first."""
    chosen = np.sort(np.random.default_rng([random_state, 7]).permutation(len(X))[:COMPARED_ON])
    X, targets = X[chosen], targets.take(chosen)
    groups = None if groups is None else np.unique(groups[chosen], return_inverse=True)[1]

    def left_out(name: str) -> float:
        gram = to_float64(as_kernel(name).for_data(X)(X))
        statistics = one_gram(decompose(gram, groups=groups), targets.columns, targets.intercept)
        weights = statistics.fold_sizes / statistics.fold_sizes.sum()
        return float((weights @ statistics.squared_error).min())

    # Kernels side by side, each with its share of the cores: several threads inside one decomposition gain less.
    jobs = min(cpu_count(), len(NATURAL_KERNELS))
    errors = []
    # The limit holds for the whole process: two that overlap would restore each other's, and leave BLAS limited.
    with _ONE_AT_A_TIME, threadpool_limits(max(1, cpu_count() // jobs), user_api="blas"):
        work = (delayed(left_out)(name) for name in NATURAL_KERNELS)
        for done in Parallel(jobs, prefer="threads", return_as="generator")(work):
            errors.append(done)
            watch(f"comparing kernels ({len(errors)} of {len(NATURAL_KERNELS)} done)")
    return dict(sorted(zip(NATURAL_KERNELS, errors, strict=True), key=lambda item: item[1]))
