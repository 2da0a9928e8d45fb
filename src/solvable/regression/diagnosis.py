"""The numbers of a diagnosis: forecasts, the best ridge, the noise floor, and how sure they are."""

import warnings
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from solvable.checks import grid, one_number
from solvable.datasets import Dataset
from solvable.errors import InputError
from solvable.kernels.encoded import EncodedKernel
from solvable.regression.intervals import NORMAL_90
from solvable.regression.one_gram import replicate_weights
from solvable.regression.own_model import check_share, first_below, lay_over
from solvable.regression.surface import TRUSTED_FACTOR, LearningSurface

if TYPE_CHECKING:
    import xarray as xr
    from sklearn.pipeline import Pipeline

MOST_SAMPLES = 4000
"""Larger data sets are subsampled to this many rows: a kernel matrix of 0.13 GB, less than a minute of algebra."""

COMPARED_ON = 1000
"""Kernels are compared on at most this many points, since the ranking needs fewer than the curve."""

FACTORS = (1, 2, 4, 10)
"""The sizes that are forecast by default, in units of the sample."""

# Number of sizes of the learning curve, from 30 samples to the largest trusted size.
_CURVE_STEPS = 40


@dataclass(frozen=True, eq=False)
class DiagnosisNumbers:
    """The numbers of a diagnosis; `Diagnosis` adds the verdict in words and the figure.

    Attributes:
        data: the sample after encoding and scaling, with notes on both.
        surface: predicted errors for every sample size, number of features and ridge, of the scaled data.
        kernel: the kernel of raw inputs, which includes encoding and scaling.
        ridge: the ridge in use now, or None.
        compared: leave-one-out error (mean square, at its best ridge) of each compared kernel, best first.
        n_groups: number of groups of points, or None.
        notes: notes on the data and on the reliability of the numbers.
        optimism: logarithm of the factor by which the least leave-one-out error is too low, since kernel and ridge were
            chosen by it; forecasts are raised by it.
        near_duplicates: share of points with a far nearer neighbour than usual, and the share of these with the same
            label; see `regression.near_duplicates`.
        measured: errors of the user's own model, by `with_measured`, or None.
    """

    data: Dataset
    surface: LearningSurface
    kernel: EncodedKernel
    ridge: float | None
    compared: dict[str, float]
    n_groups: int | None
    notes: tuple[str, ...] = field(repr=False)
    optimism: float = 0.0
    near_duplicates: tuple[float, float] = (0.0, 0.0)
    measured: "xr.Dataset | None" = field(default=None, repr=False)

    @property
    def n_samples(self) -> int:
        """Number of labelled points in the sample."""
        return self.surface.n_samples

    @cached_property
    def n_copies(self) -> int:
        """Number of rows that repeat another one, target included."""
        rows = np.hstack([self.data.X, self.data.y]) + 0.0
        return len(rows) - len({row.tobytes() for row in rows})

    @property
    def exponents(self) -> dict[str, float]:
        """Power laws of eigenvalues and target; see `LearningSurface.exponents`."""
        return self.surface.exponents

    @cached_property
    def variance(self) -> float:
        """Error of always predicting the mean, summed over outputs, in the target's unit squared."""
        y = self.data.y
        return float(np.square(y - y.mean(axis=0)).sum(axis=1).mean())

    @cached_property
    def learned(self) -> bool:
        """Whether the leave-one-out error is significantly below the error of predicting the mean.

        By a jackknife over the folds of the sample, at the 5 % level.
        """
        s = self.surface.statistics
        folds = len(s.fold_sizes)
        error = replicate_weights(s.fold_sizes) @ s.squared_error
        # The largest ridge predicts the mean.
        log_ratio = np.log(error[:, error[0].argmin()] / error[:, -1])
        return bool(log_ratio[0] + NORMAL_90 * np.sqrt((folds - 1) * log_ratio[1:].var()) < 0.0)

    @cached_property
    def optimal_ridge(self) -> float:
        """The ridge of least test error for a training set as large as the sample; 0: fit exactly."""
        return float(self.surface.optimal_ridge(self.n_samples))

    @property
    def noise(self) -> float:
        r"""Expected noise floor $\sigma^2$: the test error of this kernel that no number of samples removes.

        For a kernel with fewer modes than samples (linear): the error when all of them are learned.
        """
        return self._floor[1]

    @property
    def noise_interval(self) -> tuple[float, float]:
        r"""Bounds of the noise floor: the least that fits the curve's bend, and the error at the sample's end.

        The sample does not show the curve past its end, so the interval is wide: from no floor at all (0) to $B_2$ at
        the least effective ridge in the sample's range, with its sampling error (95 %), or the upper end of the test
        error's interval if that is less.
        """
        return self._floor[0], self._floor[2]

    @cached_property
    def _floor(self) -> tuple[float, float, float]:
        """The least, the expected and the largest noise floor, in this order."""
        curves = self.surface.curves
        log_bias = np.log(curves.squared_bias)
        spreads = NORMAL_90 * np.sqrt((log_bias.shape[1] - 2) * log_bias[:, 1:].var(axis=1))
        # B2 decreases as the effective ridge does: the least bound at any step holds at the sample's end too.
        most = min(float(np.exp((log_bias[:, 0] + spreads).min())), float(self.now.test_mse_high))
        if curves.continuation is None:
            expected, least = (
                float(np.exp(log_bias[:, 0].min())),
                float(np.exp((log_bias[:, 0] - spreads).min())),
            )
        else:
            floors, weights = curves.continuation.floors, curves.continuation.weights
            at = np.minimum((np.cumsum(weights, axis=1) < 0.05).sum(axis=1), floors.shape[1] - 1)
            least = float(np.take_along_axis(floors, at[:, None], axis=1).min() * np.exp(-spreads[0]))
            expected = curves.continuation.noise
        # No forecast lies below the floor.
        far = float(self.forecast(TRUSTED_FACTOR * self.n_samples).test_mse[0])
        expected = min(expected, most, far)
        return min(least, expected), expected, most

    def forecast(self, n_train: ArrayLike, ridge: float | None = None) -> "xr.Dataset":
        r"""Return the predicted errors of training sets of these sizes.

        Args:
            n_train: sizes, > 1, within the sample or beyond.
            ridge: one number $\delta \ge 0$ for all sizes; None: the best ridge for each.

        Returns:
            by `n_train`: `test_mse` (summed over outputs, in the target's unit squared), `test_mse_low` and
            `test_mse_high` (nominal 90 %), `train_mse`, `ridge`, `extrapolated`; for classes `error_rate`, for numbers
            `rmse` (in the target's unit) and `r2`, each with `_low` and `_high`.

        Raises:
            InputError: for values outside these ranges.
        """
        import xarray as xr

        # Beyond this many the remaining error is far below any that a sample can show.
        sizes = grid("n_train", n_train, above=0.0, at_most=1e9)
        if ridge is None:
            ridges = np.atleast_1d(self.surface.optimal_ridge(sizes).to_numpy())
        else:
            ridges = np.full(sizes.shape, one_number("ridge", ridge, at_least=0.0))
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # they are among the notes
            parts = [
                self.surface.predict(n, ridge=delta).squeeze(["n_features", "ridge"], drop=True)
                for n, delta in zip(sizes, ridges, strict=True)
            ]
        options: Any = {"data_vars": "all", "coords": "minimal", "compat": "override", "join": "exact"}
        predicted: Any = xr.concat(parts, "n_train", **options)
        predicted["ridge"] = ("n_train", ridges, {"long_name": "ridge"})
        predicted = self.raised(predicted)
        if not self.data.classes:
            outputs = self.data.y.shape[1]
            for end, other in (("", ""), ("_low", "_high"), ("_high", "_low")):
                predicted[f"rmse{end}"] = np.sqrt(predicted[f"test_mse{end}"] / outputs)
                predicted[f"r2{end}"] = 1.0 - predicted[f"test_mse{other}"] / self.variance
        return predicted.assign_attrs(variance=self.variance)

    def raised(self, predicted: "xr.Dataset") -> "xr.Dataset":
        """Return predicted errors raised by the optimism of the choice, the upper end by twice as much."""
        predicted = predicted.copy()
        for name in ("test_mse", "error_rate") if self.data.classes else ("test_mse",):
            most = np.inf if name == "test_mse" else 1.0
            for end, times in (("_low", 0.0), ("", 1.0), ("_high", 2.0)):
                factor = np.exp(times * self.optimism)
                predicted[f"{name}{end}"] = (predicted[f"{name}{end}"] * factor).clip(max=most)
        return predicted

    @cached_property
    def now(self) -> "xr.Dataset":
        """The forecast for a training set as large as the sample, at its best ridge."""
        return self.forecast(self.n_samples).isel(n_train=0)

    def cost_of(self, ridge: float) -> float:
        """Return how much more squared error a ridge has than the best one, with this sample, as a fraction."""
        return self.forecast(self.n_samples, ridge=ridge).test_mse.item() / float(self.now.test_mse) - 1.0

    @property
    def measure(self) -> str:
        """The measure of the verdict: `error_rate` for classes, `rmse` for numbers."""
        return "error_rate" if self.data.classes else "rmse"

    @cached_property
    def curve(self) -> "xr.Dataset":
        """The forecast at the best ridge, from 30 samples to 16 times the sample."""
        return self.forecast(np.geomspace(30, TRUSTED_FACTOR * self.n_samples, _CURVE_STEPS))

    def measure_named(self, measure: str | None) -> str:
        """Return a measure of these targets by name; None: the verdict's own.

        Raises:
            InputError: when these targets lack it.
        """
        names = ("test_mse", "error_rate") if self.data.classes else ("test_mse", "rmse")
        if measure is not None and measure not in names:
            raise InputError(f"measure is {measure!r}; expected one of {', '.join(names)} for these targets")
        return measure or self.measure

    def samples_for(self, error: float, measure: str | None = None) -> tuple[float, float, float]:
        """Return the size of the smallest training set whose error, at its best ridge, is at most `error`.

        Args:
            error: above 0, in the measure's unit.
            measure: `test_mse`, `rmse` or `error_rate`; by default the verdict's own.

        Returns:
            the size, and the ends of its interval (nominal 90 %); `inf` if 16 times the sample is not enough, 30 if 30
            or fewer are.

        Raises:
            InputError: for an error that is not above 0, or a measure that these targets lack.
        """
        name = self.measure_named(measure)
        level = one_number(name, error, above=0.0)
        if name == "error_rate":
            check_share(level)
        size, low, high = (first_below(self.curve, f"{name}{end}", level) for end in ("", "_low", "_high"))
        return size, low, high

    def with_measured(self, n_train: ArrayLike, error: ArrayLike, measure: str | None = None) -> Self:
        """Return the diagnosis with errors of your own model beside the curve.

        Args:
            n_train: sizes of its training sets, `(m,)`.
            error: its test errors, `(m,)`, above 0.
            measure: `test_mse`, `rmse` or `error_rate`; by default the verdict's own.

        Returns:
            a diagnosis whose `measured` has, by `n_train`: `error`, `kernel_error` (at the best ridge), `equal_n`, the
            number of samples that the kernel needs for the same error (NaN if 30 or fewer), and `data_factor`, the
            ratio of `equal_n` to `n_train`.
        """
        name = self.measure_named(measure)
        return replace(self, measured=lay_over(self.curve, self.forecast, name, n_train, error))

    @cached_property
    def estimator(self) -> "Pipeline":
        """The recommended model, fitted to the sample: encoding and scaling, then the kernel with its best ridge.

        A scikit-learn `Pipeline` that takes raw inputs.
        """
        from sklearn.pipeline import Pipeline

        from solvable.regression.estimator import KernelClassifier, KernelRegressor

        data, kernel = self.data, self.kernel.kernel
        if data.labels is not None:
            model: Any = KernelClassifier(kernel, self.optimal_ridge).fit(data.X, data.labels)
        else:
            columns = data.y + data.offset
            flat = columns[:, 0] if columns.shape[1] == 1 else columns
            model = KernelRegressor(kernel, self.optimal_ridge).fit(data.X, flat)
        # A copy, so that fitting the pipeline again does not change the encoder of this diagnosis.
        return Pipeline([("encode", deepcopy(data.encoder)), ("model", model)])

    def to_dataset(self) -> "xr.Dataset":
        """Return the forecast at 1, 2, 4 and 10 times the sample, with the verdict's other numbers as variables.

        If the sample was drawn from more rows, it includes the forecast for all of them.
        """
        sizes = self.n_samples * np.array(FACTORS, dtype=float)
        if self.data.n_rows > max(MOST_SAMPLES, self.n_samples):
            sizes = np.union1d(sizes, [float(self.data.n_rows)])
        low, high = self.noise_interval
        single = {
            "optimal_ridge": self.optimal_ridge,
            "noise": self.noise,
            "noise_low": low,
            "noise_high": high,
        }
        single |= {name: self.exponents.get(name, np.nan) for name in ("alpha", "beta")}
        return (
            self.forecast(sizes)
            .assign(single)
            .assign_attrs(data=self.data.name, kernel=repr(self.kernel.kernel), notes="\n".join(self.notes))
        )
