"""`diagnose`: from labelled data to a decision: what more labels would buy, which kernel, which ridge, and how sure."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray

from solvable import datasets
from solvable.checks import one_number, whole
from solvable.datasets import Dataset
from solvable.datasets.in_memory import as_array
from solvable.errors import InputError
from solvable.kernels import as_kernel
from solvable.kernels.encoded import EncodedKernel
from solvable.kernels.inputs import to_float64
from solvable.machine import cores, limited_blas_threads
from solvable.regression.diagnosis import COMPARED_ON, MOST_SAMPLES, DiagnosisNumbers
from solvable.regression.drawing import MEASURES, mark_sample, predicted_curve
from solvable.regression.one_gram import decompose, one_gram
from solvable.regression.surface import LearningSurface
from solvable.regression.targets import Targets, group_codes
from solvable.regression.verdict import verdict_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NATURAL_KERNELS = ("linear", "gaussian", "laplace", "matern52", "relu ntk")
"""The kernels that `diagnose` chooses from, by leave-one-out error; bandwidths are the median distance."""

Watch = Callable[[str], None]


class Diagnosis(DiagnosisNumbers):
    """What one labelled sample says about models of its kernel; made by `diagnose`.

    `print` it for the verdict in words; a notebook shows it as a page.
    """

    def plot(self) -> "Figure":
        """Draw the learning curve at the best ridge and what the ridge does, with 90 % intervals."""
        from solvable.lab.figure import (
            COLORS,
            MARKERS,
            house_style,
            log_axes,
            measured_points,
            prediction_line,
            subplots,
        )

        with house_style():
            figure, (left, right) = subplots(1, 2)
            predicted_curve(left, self.curve, self.measure, color=COLORS[0], label="best ridge")
            if self.ridge is not None:
                present = self.forecast(self.curve.n_train, ridge=self.ridge)
                predicted_curve(left, present, self.measure, color=COLORS[1], label=f"ridge {self.ridge:g}")
            measure = self.measure
            if self.measured is not None and self.measured.attrs["measure"] == measure:
                measured_points(
                    left,
                    self.measured.n_train,
                    self.measured.error,
                    color=COLORS[2],
                    fmt=MARKERS[2],
                    label="your model",
                )
            mark_sample(left, self.n_samples)
            left.set(xlabel="training samples", ylabel=MEASURES[measure])
            log_axes(left)
            left.legend()

            unit = float(np.exp(self.surface.curves.log_trace))
            ridges = unit * np.geomspace(1e-5, 1e3, 60)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # what they say is among the notes
                by_ridge = self.surface.predict(self.n_samples, ridge=ridges).squeeze(
                    ["n_train", "n_features"]
                )
            low, high = by_ridge.test_mse_low, by_ridge.test_mse_high
            prediction_line(right, ridges, by_ridge.test_mse, low, high, color=COLORS[0])
            if ridges[0] < self.optimal_ridge < ridges[-1]:
                right.axvline(self.optimal_ridge, color="0.6", linewidth=0.8)
                right.annotate(
                    f"best {self.optimal_ridge:.2g}", (self.optimal_ridge, 0), (3, 3), ("data", "axes fraction"),
                    textcoords="offset points", color="0.4", fontsize=7,
                )  # fmt: skip
            right.set(xlabel="ridge, added to the kernel matrix", ylabel=MEASURES["test_mse"])
            right.set_title(f"{self.n_samples} samples")
            log_axes(right)
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
) -> Diagnosis:
    r"""Say what one labelled sample tells: what more labels would buy, which kernel and ridge, and how sure that is.

    The model is kernel ridge regression with an intercept, $\hat f(x) = b + k(x)^\top (K + \delta I)^{-1} (Y - b)$, on
    inputs that are scaled as `solvable run` scales them: columns to mean 0 and standard deviation 1 each, images
    (arrays of more than two dimensions) by one mean and standard deviation. Every number is estimated from
    leave-one-out statistics of one kernel matrix (`LearningSurface`).

    Args:
        X: inputs: an array `(n, d)` or images `(n, ...)`, or a pandas table, text columns of few values allowed.
        y: integers of few values, text or booleans are classes; floats `(n,)` or `(n, outputs)` are numbers.
        kernel: as `LearningSurface.from_kernel` takes it; None: the best of `NATURAL_KERNELS` by leave-one-out error.
        ridge: the ridge in use now, $\delta \ge 0$, to say what it costs.
        groups: the group of each point `(n,)`, where points of a group are alike (patients, days): errors are then
            those on new groups.
        random_state: seed of the draw where there are more than 4000 rows.
        missing: what to do with missing values, `"drop"` or `"mean"`; None: refuse them.

    Raises:
        InputError: when the data cannot be used as they are.

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
    whole("random_state", random_state, at_least=0)
    data = datasets.from_arrays(X, y, missing=missing, rows=MOST_SAMPLES, random_state=random_state)
    given = None if groups is None else as_array(groups, "groups")
    if given is not None and given.shape != (data.n_rows,):
        raise InputError(
            f"groups has shape {given.shape}; expected one group for each of the {data.n_rows} points"
        )
    codes = None if given is None else given[data.rows]
    return diagnose_dataset(data, kernel, ridge, codes, random_state)


def diagnose_dataset(
    data: Dataset,
    kernel: Any = None,
    ridge: float | None = None,
    groups: ArrayLike | None = None,
    random_state: int = 0,
    watch: Watch = lambda stage: None,
) -> Diagnosis:
    """Return the verdict on a data set, such as `datasets.load` returns; arguments as in `diagnose`.

    Args:
        data: the sample; all of it is used, so draw what memory can hold (`load(..., rows=4000)`).
        kernel: as there.
        ridge: as there.
        groups: the group of each point of the data set.
        random_state: as there.
        watch: is told each stage of the work before it begins, in a few words.
    """
    whole("random_state", random_state, at_least=0)
    if ridge is not None:
        ridge = one_number("ridge", ridge, at_least=0.0)
    codes = None if groups is None else group_codes(groups, len(data.X))
    targets = Targets(data.y, data.classes, data.y.argmax(axis=1) if data.classes else None).centred()
    compared: dict[str, float] = {}
    if kernel is None:
        compared = compare_kernels(data.X, targets, codes, random_state, watch)
        kernel = next(iter(compared))
    resolved = as_kernel(kernel).for_data(data.X)
    watch(f"the learning surface of {resolved!r}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        surface = LearningSurface.from_kernel(resolved, data.X, targets, groups=codes)
    n_groups = None if codes is None else int(codes.max()) + 1
    said = [*data.notes, *(str(warning.message) for warning in caught), str(surface.check)]
    return Diagnosis(
        data,
        surface,
        EncodedKernel(resolved, data.encoder),
        ridge,
        compared,
        n_groups,
        tuple(dict.fromkeys(said)),
    )


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
    jobs = min(cores(), len(NATURAL_KERNELS))
    errors = []
    with limited_blas_threads(max(1, cores() // jobs)):
        work = (delayed(left_out)(name) for name in NATURAL_KERNELS)
        for done in Parallel(jobs, prefer="threads", return_as="generator")(work):
            errors.append(done)
            watch(f"comparing kernels ({len(errors)} of {len(NATURAL_KERNELS)} done)")
    return dict(sorted(zip(NATURAL_KERNELS, errors, strict=True), key=lambda item: item[1]))
