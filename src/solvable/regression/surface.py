"""`LearningSurface`: test error for every sample size, number of features and ridge, from one labelled sample."""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import grid
from solvable.datasets.groups import FEWEST_GROUPS, group_codes
from solvable.datasets.inputs import check_lengths, check_rows, point_array
from solvable.errors import InputError
from solvable.kernels import Kernel, Linear, as_kernel, check_gram
from solvable.kernels.encoded import EncodedKernel, large_gram
from solvable.kernels.gram import entry_rounding
from solvable.machine import need_memory
from solvable.regression import surface_file, theory
from solvable.regression.drawing import draw_surface
from solvable.regression.error_rate import ErrorRates, error_rates
from solvable.regression.estimated_curves import EstimatedCurves
from solvable.regression.halves import HalvesCheck, check_halves
from solvable.regression.intervals import NORMAL_90, error_rate, log_standard_error
from solvable.regression.one_gram import OneGram, decompose, one_gram
from solvable.regression.targets import Targets, as_targets
from solvable.spectra import implicit_regularization

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

# Smallest sample for leave-one-out statistics in twenty folds.
FEWEST_SAMPLES = 20
# Predictions with a larger log error on the sample's own halves come with a warning.
WARN_ABOVE = 0.25
# The kernel matrix, its eigenvectors and LAPACK's workspace: measured as 6.0 matrices of double precision.
_MATRICES = 6.2
# With a larger log error on the halves, that doubt is added to the error before the best ridge is searched.
_ROUGH_ABOVE = 0.05
# From this share of the modes on, a sample shows what is left when all of them are learned.
_END_SEEN = 0.9
# Number of sizes past the sample at which the best ridge for its size is tried.
_SIZES_TRIED = 33
# Largest factor past the sample at which the continuation was tested (MNIST and CIFAR-10, from 600 to 9600).
TRUSTED_FACTOR = 16
# The theory is about many samples: below this number its own error exceeds the sampling error.
FEWEST_TRUSTED = 30


@dataclass(frozen=True, eq=False)
class LearningSurface:
    r"""Learning surface of kernel ridge and random-feature regression, estimated from one sample.

    Create it with `from_kernel`, `from_gram` or `from_features`; after one eigendecomposition every prediction takes
    milliseconds, for sample sizes within the sample and beyond. The estimate is explained in `one_gram`, its
    continuation past the sample in `estimated_curves`.

    Labels: integers or strings become one-hot columns minus 1/c, a float `y` is used unchanged. Errors are summed over
    outputs (scikit-learn averages over them) and include the noise in the labels.

    Intervals (nominal 90 %) combine the sampling error, by a jackknife over 20 folds of the sample; the error of theory
    on these data, measured on the sample's own halves (`check`); and past the sample the doubt about the power laws.
    They are about the mean over training sets, not about one training set.

    Random features are predicted as if they were Gaussian, then corrected by the error on the halves: with
    `from_kernel`, for kernels that have `features`. From a matrix alone, nothing can be checked or corrected.

    Validity: `n_train` and `n_features` of at least 30, up to 16 times the sample (tested there), for test points from
    the distribution of the sample, in which points may repeat; time series and groups make leave-one-out errors
    wrong.

    Example:
        >>> import numpy as np
        >>> from sklearn.datasets import load_digits
        >>> from solvable.kernels import Laplace
        >>> X, y = load_digits(return_X_y=True)
        >>> surface = LearningSurface.from_kernel(Laplace(), X[:400], y[:400])
        >>> forecast = surface.predict(n_train=[200, 400, 1600], ridge=[0, 0.1])
        >>> forecast.test_mse.sizes["n_train"], bool(forecast.extrapolated.sel(n_train=1600, ridge=0).item())
        (3, True)
    """

    statistics: OneGram
    check: HalvesCheck
    kernel: str
    classes: tuple[str, ...] = ()
    n_modes: float = np.inf
    rates: ErrorRates | None = None

    @classmethod
    def from_gram(
        cls,
        gram: ArrayLike,
        y: ArrayLike | Targets,
        *,
        kernel: str = "precomputed",
        groups: ArrayLike | None = None,
    ) -> "LearningSurface":
        r"""Estimate the surface from a kernel matrix and labels.

        Args:
            gram: $K(x_i, x_j)$, `(N, N)`, symmetric positive semi-definite, N at least 20.
            y: labels `(N,)`: integers or strings are classes; or numbers `(N,)` or `(N, outputs)`.
            kernel: its name, for `repr`.
            groups: the group of each point, `(N,)`, for points that come in groups that are alike (patients, speakers,
                days); errors are then those on samples of new groups.

        Raises:
            InputError: when the matrix is not square, symmetric, positive semi-definite and finite, or labels
                do not fit.
        """
        return cls._estimate(gram, y, kernel, groups)

    @classmethod
    def from_kernel(
        cls, kernel: Any, X: ArrayLike, y: ArrayLike | Targets, *, groups: ArrayLike | None = None
    ) -> "LearningSurface":
        """Estimate the surface from a kernel and a sample.

        From 8000 points on the kernel matrix is computed in single precision on a GPU if torch finds one; the
        eigendecomposition runs on the CPU.

        Args:
            kernel: a `solvable.kernels.Kernel`, a kernel of scikit-learn's `gaussian_process`, a name
                (`kernels.KERNEL_NAMES`) or a callable `(X, Z) -> K`; a missing bandwidth is the median distance of `X`.
            X: inputs, `(N, d)`, already scaled.
            y: labels, as in `from_gram`.
            groups: as in `from_gram`.
        """
        check_rows(X=X, y=y, groups=groups)
        if isinstance(kernel, EncodedKernel):  # `X` may be a table
            kernel, X = kernel.kernel, kernel.encoder.transform(X)
        points: Any = X if hasattr(X, "detach") else point_array(X)  # tensors stay on their device
        _check_memory(len(points))
        resolved: Kernel = as_kernel(kernel).for_data(points)
        # A linear kernel has as many modes as coordinates, with a peak at that sample size.
        n_modes = float(points.shape[-1]) if resolved == Linear() else np.inf
        return cls._estimate(
            large_gram(resolved, points), y, repr(resolved), groups, n_modes, resolved, points
        )

    @classmethod
    def from_features(
        cls, features: ArrayLike, y: ArrayLike | Targets, *, groups: ArrayLike | None = None
    ) -> "LearningSurface":
        r"""Estimate the surface of ridge regression on your own features, such as a pretrained model's embedding.

        The kernel is $\phi(x) \cdot \phi(x')$, neither centred nor scaled.

        Args:
            features: $\phi(x_i)$, `(N, d)`.
            y: labels, as in `from_gram`.
            groups: as in `from_gram`.
        """
        check_rows(features=features, y=y, groups=groups)
        _check_memory(np.shape(features)[0])
        n_modes = float(np.shape(features)[-1])
        return cls._estimate(Linear()(features), y, "linear on given features", groups, n_modes)

    @classmethod
    def _estimate(
        cls,
        gram: Any,
        y: ArrayLike | Targets,
        name: str,
        groups: ArrayLike | None,
        n_modes: float = np.inf,
        kernel: Kernel | None = None,
        X: Any = None,
    ) -> "LearningSurface":
        matrix = check_gram(gram)
        targets = as_targets(y)
        check_lengths(len(matrix), len(targets), "the kernel matrix" if X is None else "X")
        codes = None if groups is None else group_codes(groups, len(matrix))
        rounding = entry_rounding(gram)
        if len(matrix) < FEWEST_SAMPLES:
            raise InputError(
                f"a learning surface needs at least {FEWEST_SAMPLES} samples; got {len(matrix)}: label more"
            )
        decomposition = decompose(matrix, rounding, codes, targets.intercept)
        if (n_distinct := int(decomposition.points.max()) + 1) < FEWEST_GROUPS:
            raise InputError(
                f"the {len(matrix)} samples have {n_distinct} different inputs; expected at least {FEWEST_GROUPS}: add "
                "inputs that distinguish them"
            )
        if note := _note_on_repeats(decomposition.points, targets):
            warnings.warn(note, UserWarning, stacklevel=3)
        statistics = one_gram(decomposition, targets.columns)
        # Modes that rounding adds to a matrix in single precision do not count.
        n_modes += statistics.intercept
        statistics = replace(statistics, rank=int(min(statistics.rank, n_modes)), n_modes=n_modes)
        rates = error_rates(decomposition, statistics, targets) if targets.classes else None
        least_ridge = decomposition.noise
        del decomposition
        curves = EstimatedCurves(statistics)
        check = check_halves(curves, matrix, targets, kernel, X, codes, rates, least_ridge, rounding)
        return cls(statistics, check, name, targets.classes, n_modes, rates)

    def __repr__(self) -> str:
        """Name the kernel, the size of the sample and the kind of labels."""
        kind = f"{len(self.classes)} classes" if self.classes else "numbers"
        return f"<LearningSurface of {self.kernel} from {self.n_samples} samples of {kind}>"

    @property
    def n_samples(self) -> int:
        """Number of labelled points that it was estimated from."""
        return self.statistics.n_samples

    @cached_property
    def curves(self) -> EstimatedCurves:
        """The estimated sums over the spectrum, accepted in place of an eigensystem in `regression.theory`."""
        return EstimatedCurves(self.statistics)

    @property
    def exponents(self) -> dict[str, float]:
        r"""The power laws that continue the surface past the sample.

        `alpha`: eigenvalues fall as $i^{-\alpha}$; `beta`: target power falls as $i^{-\beta}$; `noise`: the fitted
        floor $\sigma^2$ of the test error, 0 if none. Empty for a kernel of fewer modes than samples.
        """
        law = self.curves.continuation
        if law is None:
            return {}
        alpha = -1.0 / law.modes_slope
        return {"alpha": alpha, "beta": 1.0 + alpha * law.bias_slope, "noise": law.noise}

    def predict(
        self, n_train: ArrayLike, n_features: ArrayLike = np.inf, ridge: ArrayLike = 0.0
    ) -> "xr.Dataset":
        r"""Return the predicted errors for every combination of sample size, number of features and ridge.

        Args:
            n_train: training samples, > 0 (with an intercept > 1); may exceed the sample.
            n_features: random features of this kernel, > 0; `inf` is the kernel itself.
            ridge: $\delta \ge 0$, added to the Gram matrix undivided.

        Returns:
            the variables of `regression.predict` but `bias` and `variance`, since the noise is not known apart from the
            target (`squared_bias` includes both), and `test_mse_low`, `test_mse_high` (nominal 90 %); for classes
            `error_rate` with `error_rate_low`, `error_rate_high`: the share of new points that are assigned a wrong
            class; and `extrapolated`: whether the effective ridge lies below the sample's range.

        Raises:
            InputError: for values outside these ranges.
        """
        self._axes(n_train, n_features)
        ridges = grid("ridge", ridge, at_least=0.0)
        solution = theory.solve(self.curves, n_train, n_features, np.maximum(ridges, self.curves.least_ridge))
        prediction = theory.as_dataset(solution)
        prediction["ridge"] = prediction.ridge.copy(data=ridges)
        dims = prediction.test_mse.dims
        spread = log_standard_error(self.curves, self.check, solution)
        at = (solution.n_train, solution.n_features, solution.ridge)
        with_features = bool(np.isfinite(solution.n_features).any())
        if self.check.standard_error(*at).max() > WARN_ABOVE:
            warnings.warn(
                f"theory does not hold well here: {self.check.in_words(with_features)}; rely on the intervals, or "
                "train with regression.measure",
                UserWarning,
                stacklevel=2,
            )
        factor = np.exp(-self.check.correction(*at))
        for name in ("test_mse", "train_mse"):
            prediction[name] = prediction[name] * factor
        with np.errstate(invalid="ignore"):
            for side, sign in (("low", -1.0), ("high", 1.0)):
                bound = prediction.test_mse.to_numpy() * np.exp(sign * NORMAL_90 * spread)
                attrs = {"long_name": f"test error, {side} end of 90 %"}
                prediction[f"test_mse_{side}"] = (dims, bound, attrs)
        if self.rates is not None:
            best_ridge = np.zeros(solution.n_features.shape[1])
            if (solution.n_train > self.n_samples).any():  # rates within the sample do not need it
                best_ridge = np.atleast_1d(self.optimal_ridge(self.n_samples, solution.n_features[0, :, 0]))
            rates = error_rate(self.rates, self.curves, self.check, solution, best_ridge)
            names = ("error rate", "error rate, low end of 90 %", "error rate, high end of 90 %")
            for side, values, name in zip(("", "_low", "_high"), rates, names, strict=True):
                prediction[f"error_rate{side}"] = (dims, values, {"long_name": name})
        extrapolated = solution.log_feature_ridge < self.curves.log_kappa[0]
        prediction["extrapolated"] = (dims, extrapolated)
        # With n_modes own features the error has a peak at n = n_modes, which a smaller sample does not show.
        unseen_end = self.curves.continuation is not None
        before_it = unseen_end & extrapolated & (solution.sums.learned_modes > 0.5 * self.n_modes)
        before_it &= solution.n_train <= self.n_modes
        # What is left behind it is the noise, of which a sample of far fewer points shows only how large it may be.
        behind_it = (
            unseen_end & (solution.n_train > self.n_modes) & (self.n_samples < _END_SEEN * self.n_modes)
        )
        for name, most in (("test_mse", np.inf), ("error_rate", 1.0)):
            if name in prediction:
                prediction[f"{name}_low"] = prediction[f"{name}_low"].where(~(before_it | behind_it), 0.0)
                prediction[f"{name}_high"] = prediction[f"{name}_high"].where(~before_it, most)
        return prediction.assign_attrs(
            kernel=self.kernel,
            n_samples=self.n_samples,
            trust=(
                f"n_train and n_features from {FEWEST_TRUSTED} to {TRUSTED_FACTOR * self.n_samples} "
                f"({TRUSTED_FACTOR} times the sample of {self.n_samples})"
            ),
            check=self.check.in_words(with_features),
        )

    def optimal_ridge(self, n_train: ArrayLike, n_features: ArrayLike = np.inf) -> "xr.DataArray":
        """Return the ridge of least predicted test error for each sample size and number of features.

        Args:
            n_train: training samples, > 0 (with an intercept > 1).
            n_features: random features, > 0; `inf` is the kernel itself.

        Returns:
            ridges, with the error predicted at each as coordinate `test_mse`; 0 means: interpolate. If theory was off
            by more than 5 % on the sample's own halves at the best ridge, the ridge of least error plus that doubt,
            since the minimum would otherwise lie where theory is too optimistic. Past the sample the ridge stays the
            best one for its size, up to where more samples would do harm, and then grows so that the effective ridge
            stays: the minimum of continued curves was a worse ridge on most data. The dims are those of
            `n_train` and `n_features` that are sequences: for two single numbers, `float()` converts the ridge.
        """
        import xarray as xr

        n, k = self._axes(n_train, n_features)
        within = np.minimum(n, self.n_samples)
        ridge, error = theory.optimal_ridge(self.curves, within[:, None], k)
        if (rough := self.check.standard_error(within[:, None], k, ridge) > _ROUGH_ABOVE).any():
            with_doubt = self._least_with_doubt(within, k)
            ridge, error = (np.where(rough, *pair) for pair in zip(with_doubt, (ridge, error), strict=True))
        if (least := self.curves.least_ridge) > 0.0:
            ridge = np.maximum(ridge, least)
            error = self._errors(within[:, None], k, ridge)
        if (past := n > self.n_samples).any():
            # From where more samples do harm at this ridge it grows so that the effective ridge stays.
            at_sample = ridge[past][0]
            sizes = np.geomspace(self.n_samples, n.max(), _SIZES_TRIED)
            rising = np.diff(self._errors(sizes[:, None], k, at_sample), axis=0, append=-np.inf) > 0.0
            rising[-1] = True
            turn = sizes[rising.argmax(axis=0)]
            learned = implicit_regularization(self.curves, turn, k, at_sample).sums.learned_modes
            with np.errstate(invalid="ignore", divide="ignore"):
                growth = np.maximum(
                    np.nan_to_num((n[past, None] - learned) / (turn - learned), posinf=1.0), 1.0
                )
            both = [self._errors(n[past, None], k, each) for each in (at_sample, at_sample * growth)]
            ridge[past] = np.where(both[1] < both[0], at_sample * growth, at_sample)
            error[past] = np.minimum(*both)
        dims = ("n_train", "n_features")
        coords = {"n_train": n, "n_features": k, "test_mse": (dims, error)}
        single = [dim for dim, axis in zip(dims, (n_train, n_features), strict=True) if np.ndim(axis) == 0]
        attributes = {"long_name": "ridge of least test error"}
        return xr.DataArray(ridge, coords, dims, name="optimal_ridge", attrs=attributes).squeeze(single)

    def _errors(self, n: Array, k: Array, ridge: Array) -> Array:
        solution = implicit_regularization(self.curves, n, k, ridge)
        return theory.test_mse(solution) * np.exp(-self.check.correction(n, k, ridge))

    def _axes(self, n_train: ArrayLike, n_features: ArrayLike) -> tuple[Array, Array]:
        """Return both as flat arrays; one sample or feature is used up by the intercept, if there is one."""
        least = float(self.statistics.intercept)
        if np.isinf(grid("n_train", n_train, above=least)).any():
            raise InputError("n_train must be finite, since a sample does not determine the limit; got inf")
        return grid("n_train", n_train, above=least), grid("n_features", n_features, above=least)

    def _least_with_doubt(self, n: Array, k: Array) -> tuple[Array, Array]:
        """Return the ridge of least predicted error plus doubt, and the error there, `(n, k)`."""
        ridges = np.append(0.0, np.exp(self.curves.log_trace) * np.geomspace(1e-7, 1e4, 111))
        solution = theory.solve(self.curves, n, k, ridges)
        at = (solution.n_train, solution.n_features, solution.ridge)
        log_error = np.log(theory.test_mse(solution)) - self.check.correction(*at)
        best = np.argmin(log_error + self.check.standard_error(*at), axis=-1)
        return ridges[best], np.exp(np.take_along_axis(log_error, best[..., None], axis=-1)[..., 0])

    def plot(
        self,
        n_train: ArrayLike | None = None,
        n_features: float = np.inf,
        ridge: ArrayLike = (0.0, 0.1, 10.0),
    ) -> "Figure":
        """Draw test error (for classes the error rate too) against sample size, a line and its interval for each ridge.

        Past the sample the lines are dashed.

        Args:
            n_train: sample sizes; by default from 30 to 16 times the sample.
            n_features: number of random features; `inf` is the kernel itself.
            ridge: one line each.
        """
        if np.ndim(n_features) > 0:
            raise InputError(f"plot draws one number of features; got {n_features!r}; call it for each")
        if n_train is None:
            n_train = np.geomspace(FEWEST_TRUSTED, TRUSTED_FACTOR * self.n_samples, 80)
        return draw_surface(self.predict(n_train, n_features, ridge))

    def save(self, path: str | Path) -> None:
        """Write the surface to a netCDF file for `load`.

        Args:
            path: of the file, by convention ending in `.nc`.

        Raises:
            InputError: when there is no such folder to write in.
        """
        facts = {"kernel": self.kernel, "classes": self.classes, "n_modes": self.n_modes}
        surface_file.write(path, self.statistics, self.check, self.rates, facts)

    @classmethod
    def load(cls, path: str | Path) -> "LearningSurface":
        """Read a surface that `save` wrote.

        Raises:
            InputError: when the file is missing or is not such a surface.
        """
        statistics, check, rates, facts = surface_file.read(path)
        return cls(statistics, check, facts["kernel"], tuple(facts["classes"]), facts["n_modes"], rates)


def _note_on_repeats(points: NDArray[np.int64], targets: Targets) -> str:
    """Return a sentence about repeated points; empty if there are none."""
    _, first = np.unique(points, return_index=True)
    if len(first) == len(points):
        return ""
    differ = int((targets.columns != targets.columns[first][points]).any(axis=1).sum())
    labels = f" ({differ} of them with another label)" if differ else ""
    return (
        f"{len(points) - len(first)} of {len(points)} points repeat another one{labels}: errors are those on new "
        "points, which repeat points of the sample as often; if these are copies made by mistake, drop them "
        "(diagnose has drop_repeats=True, or --drop-repeats)"
    )


def _check_memory(n: int) -> None:
    need_memory(
        _MATRICES * 8.0 * n**2,
        f"a learning surface of {n} samples",
        "estimate it from fewer, drawn at random, and predict beyond them (4000 need 0.8 GB)",
    )
