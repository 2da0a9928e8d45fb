"""`diagnose`: what more labels would buy, which kernel and which ridge, from one labelled sample, with intervals."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray

from solvable import datasets
from solvable.checks import one_number, seed
from solvable.datasets import Dataset
from solvable.datasets.groups import group_array, group_codes
from solvable.datasets.inputs import check_rows
from solvable.errors import InputError
from solvable.kernels import as_kernel
from solvable.kernels.encoded import EncodedKernel
from solvable.kernels.inputs import to_float64
from solvable.lab.figure import COLORS, MARKERS, house_style, measured_points, subplots
from solvable.machine import cores, limited_blas_threads
from solvable.regression.diagnosis import COMPARED_ON, MOST_SAMPLES, DiagnosisNumbers
from solvable.regression.drawing import error_by_ridge, finish_learning_curve, predicted_curve
from solvable.regression.near_duplicates import near_duplicates
from solvable.regression.one_gram import OneGram, decompose, distinct_points, one_gram, optimism
from solvable.regression.surface import FEWEST_SAMPLES, LearningSurface
from solvable.regression.targets import Targets
from solvable.regression.verdict import verdict_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NATURAL_KERNELS = ("linear", "gaussian", "laplace", "matern52", "relu ntk")
"""The kernels compared by `diagnose`, by leave-one-out error; bandwidths are the median distance."""

Watch = Callable[[str], None]


class Diagnosis(DiagnosisNumbers):
    """Verdict on one labelled sample, returned by `diagnose`; `print` shows it as text, a notebook as a page."""

    @house_style()
    def plot(self) -> "Figure":
        """Draw the learning curve at the best ridge, and the test error against the ridge, with 90 % intervals."""
        figure, (left, right) = subplots(1, 2)
        predicted_curve(left, self.curve, self.measure, color=COLORS[0], label="best ridge")
        if self.ridge is not None:
            present = self.forecast(self.curve.n_train, ridge=self.ridge)
            predicted_curve(left, present, self.measure, color=COLORS[1], label=f"ridge {self.ridge:g}")
        if (own := self.measured) is not None and own.attrs["measure"] == self.measure:
            measured_points(left, own.n_train, own.error, color=COLORS[2], fmt=MARKERS[2], label="your model")
        finish_learning_curve(left, self.n_samples, self.measure)

        ridges = float(np.exp(self.surface.curves.log_trace)) * np.geomspace(1e-5, 1e3, 60)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # they are among the notes
            by_ridge = self.surface.predict(self.n_samples, ridge=ridges).squeeze(["n_train", "n_features"])
        by_ridge = self.raised(by_ridge)
        error_by_ridge(right, by_ridge, self.optimal_ridge)
        right.set_title(f"{self.n_samples} samples")
        return figure

    def __str__(self) -> str:
        """Return the verdict in words."""
        return str(verdict_on(self))

    def _repr_html_(self) -> str:
        return verdict_on(self)._repr_html_()


def diagnose(
    X: Any,
    y: Any,
    kernel: Any = None,
    ridge: float | None = None,
    groups: ArrayLike | None = None,
    random_state: int = 0,
    *,
    missing: Any = None,
    drop_repeats: bool = False,
) -> Diagnosis:
    r"""Return what more labels would buy, which kernel and ridge are best, and how sure that is, from one sample.

    The model is kernel ridge regression with an intercept, $\hat f(x) = b + k(x)^\top (K + \delta I)^{-1} (Y - b)$, on
    inputs scaled as in `solvable run`: columns to mean 0 and standard deviation 1 each, images (arrays of more than two
    dimensions) by one mean and standard deviation. Every number is estimated from leave-one-out statistics of one
    kernel matrix (`LearningSurface`).

    Args:
        X: inputs: an array `(n, d)` or images `(n, ...)`, or a pandas table, text columns of few values allowed.
        y: integers of few values, text or booleans are classes; floats `(n,)` or `(n, outputs)` are numbers.
        kernel: as in `LearningSurface.from_kernel`; None: the best of `NATURAL_KERNELS` by leave-one-out error.
        ridge: the ridge in use now, $\delta \ge 0$, to be compared with the best.
        groups: the group of each point `(n,)`, if points of a group are alike (patients, days): errors are then those
            on new groups.
        random_state: seed of the draw from more than 4000 rows.
        missing: what to do with missing values, `"drop"` or `"mean"`; None: raise.
        drop_repeats: whether rows with equal inputs are copies made by mistake: one of each is then kept, and errors
            are those on rows that the sample does not have. Otherwise new rows repeat rows of the sample as often as
            these repeat each other.

    Raises:
        InputError: when the data cannot be used.

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> verdict = diagnose(X, y, kernel="laplace")
        >>> forecast = verdict.forecast([442, 4420])
        >>> bool(forecast.rmse[1] < forecast.rmse[0] < y.std())
        True
        >>> verdict.estimator.predict(X[:2]).shape
        (2,)
    """
    random_state = seed("random_state", random_state)
    check_rows(X=X, y=y, groups=groups)
    data = datasets.from_arrays(X, y, missing=missing, rows=MOST_SAMPLES, random_state=random_state)
    codes = None if groups is None else group_array(groups, data.n_rows)[data.rows]
    return diagnose_dataset(data, kernel, ridge, codes, random_state, drop_repeats=drop_repeats)


def diagnose_dataset(
    data: Dataset,
    kernel: Any = None,
    ridge: float | None = None,
    groups: ArrayLike | None = None,
    random_state: int = 0,
    *,
    drop_repeats: bool = False,
    watch: Watch = lambda stage: None,
) -> Diagnosis:
    """Return the verdict on a data set, as returned by `datasets.load`.

    Args:
        data: the sample; all of it is used, so draw what memory can hold (`load(..., rows=4000)`).
        kernel: as in `diagnose`.
        ridge: as in `diagnose`.
        groups: the group of each point of the data set.
        random_state: as in `diagnose`.
        drop_repeats: as in `diagnose`.
        watch: called with a few words before each stage of the work.
    """
    random_state = seed("random_state", random_state)
    if ridge is not None:
        ridge = one_number("ridge", ridge, at_least=0.0)
    codes = None if groups is None else group_codes(groups, len(data.X))
    if drop_repeats and len(kept := data.distinct) < len(data.X):
        codes = None if codes is None else group_codes(codes[kept], len(kept), " without the repeated rows")
        if len(kept) < FEWEST_SAMPLES:
            raise InputError(
                f"without repeated rows {len(kept)} of {len(data.X)} are left; expected at least {FEWEST_SAMPLES}: "
                "keep the repeats, or label more"
            )
        data = data.without_repeats()
    targets = Targets.of(data.y, data.classes).centred()
    compared: dict[str, float] = {}
    choice = None
    if kernel is None:
        compared, choice = compare_kernels(data.X, targets, codes, random_state, watch)
        kernel = next(iter(compared))
    resolved = as_kernel(kernel).for_data(data.X)
    watch(f"the learning surface of {resolved!r}")
    with warnings.catch_warnings(record=True, action="always", category=UserWarning) as records:
        surface = LearningSurface.from_kernel(resolved, data.X, targets, groups=codes)
    if choice is None:
        choice = optimism(surface.statistics.squared_error, surface.statistics.fold_sizes)
    n_groups = None if codes is None else int(codes.max()) + 1
    notes = dict.fromkeys([*data.notes, *(str(warning.message) for warning in records)])
    encoded = EncodedKernel(resolved, data.encoder)
    near = near_duplicates(data.X, targets.columns, codes, random_state)
    return Diagnosis(data, surface, encoded, ridge, compared, n_groups, tuple(notes), choice, near)


def compare_kernels(
    X: NDArray[np.float64],
    targets: Targets,
    groups: NDArray[np.int64] | None,
    random_state: int,
    watch: Watch,
) -> tuple[dict[str, float], float]:
    """Return the leave-one-out error of each natural kernel at its best ridge, best first, and the choice's optimism.

    See `one_gram.optimism`; for all points, if fewer are compared.
    """
    n = len(X)
    rows = np.sort(np.random.default_rng([random_state, 7]).permutation(len(X))[:COMPARED_ON])
    X, targets = X[rows], targets.take(rows)
    groups = None if groups is None else np.unique(groups[rows], return_inverse=True)[1]

    points = distinct_points(X @ X.T)  # the same for all kernels, so that their folds are

    def leave_one_out_error(name: str) -> OneGram:
        gram = to_float64(as_kernel(name).for_data(X)(X))
        decomposition = decompose(gram, groups=groups, intercept=targets.intercept, points=points)
        return one_gram(decomposition, targets.columns)

    # Kernels in parallel, each with its share of the cores: several threads in one decomposition are slower.
    jobs = min(cores(), len(NATURAL_KERNELS))
    statistics: list[OneGram] = []
    with limited_blas_threads(max(1, cores() // jobs)):
        work = (delayed(leave_one_out_error)(name) for name in NATURAL_KERNELS)
        results: Any = Parallel(jobs, prefer="threads", return_as="generator")(work)
        for one in results:
            statistics.append(one)
            watch(f"comparing kernels ({len(statistics)} of {len(NATURAL_KERNELS)} done)")
    sizes = statistics[0].fold_sizes
    errors = [float((sizes @ one.squared_error).min() / sizes.sum()) for one in statistics]
    # Chance has less of a say with more points: by the root of their number between kernels, faster between ridges.
    choice = optimism(np.hstack([one.squared_error for one in statistics]), sizes) * np.sqrt(len(X) / n)
    return dict(sorted(zip(NATURAL_KERNELS, errors, strict=True), key=lambda item: item[1])), choice
