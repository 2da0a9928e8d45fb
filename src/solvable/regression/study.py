"""The study `regression`: a learning curve predicted from a sample, next to the one measured by training."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable import datasets
from solvable.datasets.labels import Task
from solvable.errors import InputError
from solvable.kernels import Kernel, as_kernel
from solvable.kernels.inputs import to_float64
from solvable.lab import Comparison, Study
from solvable.lab.parameters import DataParameters, check_parameters
from solvable.lab.text import percent
from solvable.machine import at_once, need_memory
from solvable.regression import theory
from solvable.regression.drawing import draw_study
from solvable.regression.experiment import as_dataset, trial_errors, whole_widths
from solvable.regression.surface import FEWEST_SAMPLES, LearningSurface
from solvable.regression.targets import Targets
from solvable.spectra import plug_in_eigensystem

# Larger data sets are subsampled to this many points for training and testing: one kernel matrix of 0.5 GB.
_POOL = 8000
_LARGEST_DEFAULT_SAMPLE = 2000
# The conclusion forecasts this many times the sample.
_FACTOR = 10
# An error above this share of that of the mean answer means that nothing is learned.
_NOTHING_LEARNED = 0.98

_EQUATIONS = (
    r"effective ridge $\kappa$ of kernel regression on $n$ samples with ridge $\delta$ and eigenvalues $\lambda_i$: "
    r"$\sum_i L_i + \frac{\delta}{\kappa} = n$, where the share $L_i = \frac{\lambda_i}{\lambda_i + \kappa}$ "
    r"of mode $i$ is learned",
    r"cost of fitting noise, for the kernel: $\mathcal{E}_0 = \frac{n}{n - \sum_i L_i^2}$",
    r"test error for noise $\sigma^2$ and target coefficients $v_i$: "
    r"$\mathcal{E}_0 (\sum_i (1 - L_i)^2 v_i^2 + \sigma^2)$; the sums are estimated from one sample",
    r"with $k$ random features the ridge $\kappa$ is larger: "
    r"$(n - \sum_i L_i) (k - \sum_i L_i) = k \frac{\delta}{\kappa}$, and the cost of noise and the bias differ",
)


@dataclass(frozen=True)
class Parameters(DataParameters):
    """Parameters of the study."""

    task: Task = "auto"
    """Meaning of an integer target in a file; auto: classes if there are few different values."""

    kernel: str = "laplace"
    """Kernel: laplace, gaussian, matern32, matern52, rational-quadratic, linear, arc-cosine, relu-nngp or relu-ntk."""

    n_sample: int | None = None
    """Labelled points that the prediction uses; by default half of the data, at most 2000."""

    n_train: tuple[int, ...] = ()
    """Training set sizes to measure; by default doubling from 32 to three quarters of the data, at most 4096."""

    n_features: tuple[float, ...] = (np.inf,)
    """Numbers of random features; inf is the kernel itself."""

    ridge: tuple[float, ...] = (0.0, 1.0, 10.0)
    """Ridges, added to the kernel matrix undivided, as scikit-learn's KernelRidge(alpha=) does."""

    forecast: tuple[float, ...] = ()
    """Sizes to predict without measuring, also beyond the data; by default ten times the sample."""

    trials: int = 10
    """Number of random training and test sets that the measurement averages over."""

    random_state: int = 0
    """Seed of the sample, the splits and the random features."""

    def __post_init__(self) -> None:
        least = {
            "n_sample": FEWEST_SAMPLES,
            "n_train": 1,
            "n_features": 1,
            "ridge": 0,
            "forecast": 1,
            "trials": 1,
        }
        check_parameters(self, at_least=least, at_most={"forecast": 1e9})
        whole_widths(self.n_features)
        if np.isinf(self.forecast).any():
            raise InputError("forecast must be finite, since a sample does not determine the limit; got inf")
        if np.isinf(self.ridge).any():
            raise InputError("ridge must be finite, since it is measured; got inf")


@dataclass(frozen=True, eq=False)
class Setting:
    """Input of prediction and measurement: the points, the resolved kernel, its matrix, and the grid.

    The prediction uses the first `n_sample` points.
    """

    X: NDArray[np.float64]
    targets: Targets
    kernel: Kernel
    gram: NDArray[np.float64] | None
    n_sample: int
    n_train: NDArray[np.int64]
    n_features: NDArray[np.float64]
    ridge: NDArray[np.float64]
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Load the data, choose the pool and the sample, resolve the kernel and compute its matrix once."""
    largest = int(max(parameters.n_train, default=0))
    # Rows beyond those needed are not read from a user's file.
    most_used = max(_POOL, largest + largest // 3)
    rows = None if parameters.data in datasets.NAMES else most_used
    data = parameters.load(parameters.task, rows, parameters.random_state)
    notes = list(data.notes)
    order = np.random.default_rng([parameters.random_state, 0]).permutation(data.distinct)
    if len(order) < len(data.X):
        notes.append(f"repeated rows are kept once, which leaves {len(order)} points")
    n_pool = min(len(order), most_used)
    if n_pool < len(order):
        notes.append(
            f"{n_pool} of the {len(order)} points, drawn at random, are used for training and testing"
        )
    most = n_pool - max(1, n_pool // 10)
    n_sample = parameters.n_sample or min(n_pool // 2, _LARGEST_DEFAULT_SAMPLE)
    for name, size, hint in (
        ("n_train", largest, ": use --forecast for larger sizes"),
        ("n_sample", n_sample, ""),
    ):
        if size > most:
            raise InputError(
                f"{name} {size} is too large: {parameters.data!r} has {len(order)} different points, a tenth of which "
                f"are kept for testing; expected at most {most}{hint}"
            )
    if n_sample < FEWEST_SAMPLES:
        raise InputError(
            f"the sample would be half of the {len(order)} different points of {parameters.data!r}, {n_sample}; "
            f"expected at least {FEWEST_SAMPLES}: set n_sample, or label more points"
        )
    pool = order[:n_pool]
    X, targets = data.X[pool], Targets.of(data.y[pool], data.classes)
    unresolved = as_kernel(parameters.kernel)
    kernel = unresolved.for_data(X[:n_sample])
    by_median = "" if kernel == unresolved else ", with the median distance of the sample as bandwidth"
    notes.append(f"kernel {kernel!r}{by_median}")
    sizes = np.unique(np.array(parameters.n_train or _doubling(min(3 * n_pool // 4, 4096)), dtype=np.int64))
    widths = np.unique(np.array(parameters.n_features, dtype=float))
    if np.isfinite(widths).any():
        kernel.features(1)  # raises for a kernel without random features, before the long work
        k, columns = widths[np.isfinite(widths)].max(), targets.columns.shape[1]
        # Features of the points, scaled and copied by the solver; their frequencies; weights for each fit.
        per_feature = 4 * n_pool + X.shape[1] + 2 * len(parameters.ridge) * len(sizes) * columns
        need_memory(
            8.0 * at_once(parameters.trials) * k * per_feature,
            f"a fit of {k:g} random features to {n_pool} points on each core",
            "lower n_features, or take inf for the kernel itself",
        )
    gram = to_float64(kernel(X)) if np.isinf(widths).any() else None
    ridge = np.unique(np.abs(np.array(parameters.ridge, dtype=float)))  # -0.0 is 0.0
    return Setting(X, targets, kernel, gram, n_sample, sizes, widths, ridge, tuple(notes), data.fingerprint)


def _doubling(largest: int) -> list[int]:
    sizes = [32 * 2**i for i in range(20) if 32 * 2**i < 0.8 * largest]
    return [*sizes, largest]


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Predict errors from the sample's kernel matrix, and by the plug-in for comparison."""
    X, targets = setting.X[: setting.n_sample], setting.targets.take(np.arange(setting.n_sample))
    y = targets.columns
    with warnings.catch_warnings(record=True, action="always", category=UserWarning) as records:
        surface = LearningSurface.from_kernel(setting.kernel, X, targets)
        forecast = _forecast(surface, parameters, setting)
        # More values along the axis of the figure, for a smooth line; the other axes as measured.
        n, widths = setting.n_train.astype(float), setting.n_features
        if len(widths) > len(n):
            widths = _with_steps_between(widths)
        else:
            n = _with_steps_between(np.append(n, forecast.n_train))
        prediction = surface.predict(n, widths, setting.ridge)
    gram = to_float64(setting.kernel(X))
    plug_in = theory.predict(plug_in_eigensystem(gram, y), n, widths, setting.ridge)
    prediction["plug_in_test_mse"] = plug_in.test_mse

    # The test points are a sample too: scale their error from that of the prediction's sample.
    unseen = len(setting.X) - len(X)
    here = forecast.sel(n_train=len(X))
    spread = np.log(here.test_mse_high / here.test_mse_low) / 2
    chance = float(np.expm1(spread * np.sqrt(1 + len(X) / unseen)))
    notes = [
        f"the prediction uses {len(X)} labelled points and the measurement tests on the other {unseen}, so that they "
        f"may differ by about {percent(chance, decimals=0)} by chance; errors are sums over {y.shape[1]} output "
        f"column{'s' if y.shape[1] > 1 else ''} (scikit-learn averages over them)",
        surface.check.in_words(with_features=bool(np.isfinite(setting.n_features).any())),
        f"predictions can be trusted for {prediction.attrs['trust']}",
        "plug_in_test_mse is the textbook prediction, which uses the sample's eigenvalues in place of the population's "
        "and is shown for its bias",
        "the same model in scikit-learn: KernelRidge(alpha=ridge, kernel='precomputed') on the matrix of this kernel "
        "(scikit-learn's 'laplacian' uses another distance)",
    ]
    prediction.attrs |= {
        "notes": "\n".join([*notes, *dict.fromkeys(str(w.message) for w in records)]),
        "mean_answer_mse": float(np.square(y - y.mean(axis=0)).sum(axis=1).mean()),
        "forecast_n_train": forecast.n_train.to_numpy(),
        "forecast_n_features": float(forecast.n_features),
        "forecast_ridge": forecast.ridge.to_numpy(),
    }
    for name in ("test_mse", "test_mse_low", "test_mse_high"):
        prediction.attrs[f"forecast_{name}"] = forecast[name].to_numpy()
    return prediction


def _forecast(surface: LearningSurface, parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the error at the best ridge for the sample's size and the sizes to forecast."""
    sizes = np.unique([setting.n_sample, *(parameters.forecast or [_FACTOR * setting.n_sample])]).astype(
        float
    )
    k = float(setting.n_features.max())
    ridge = surface.optimal_ridge(sizes, k)
    best = [surface.predict(n, k, delta).squeeze() for n, delta in zip(sizes, ridge.to_numpy(), strict=True)]
    return xr.concat(best, "n_train", coords=["ridge"], compat="equals")


def _with_steps_between(values: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = values[np.isfinite(values)]
    return np.union1d(values, np.geomspace(finite.min(), finite.max(), 60))


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train on the first n points of one random order, for every n, k and ridge; test on points outside the sample."""
    seed = [parameters.random_state, 1 + index]
    largest, n_pool = int(setting.n_train.max()), len(setting.X)
    unseen = np.random.default_rng([*seed, 2]).permutation(np.arange(setting.n_sample, n_pool))
    test = unseen[: n_pool - largest]
    train = np.random.default_rng([*seed, 0]).permutation(np.setdiff1d(np.arange(n_pool), test))[:largest]
    grid_of = (setting.n_train, setting.n_features, setting.ridge)
    errors = trial_errors(
        setting.kernel, setting.X, setting.targets, setting.gram, train, test, *grid_of, seed
    )
    measured = as_dataset(errors, *grid_of)
    # The plug-in predicts the same quantity, so it is compared with the same measurement.
    return measured.assign(plug_in_test_mse=measured.test_mse)


class _Forecast(NamedTuple):
    """Errors at the best ridge, for the sizes to forecast; `now` is the place of the sample's size among them."""

    sizes: NDArray[np.float64]
    ridges: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    now: int
    learned: bool


def _forecast_of(facts: Mapping[str, Any]) -> _Forecast:
    """Return the forecast from the attributes of a prediction, and whether anything is learned from the sample."""
    sizes, ridges, error, low, high = (
        np.atleast_1d(facts[f"forecast_{name}"])
        for name in ("n_train", "ridge", "test_mse", "test_mse_low", "test_mse_high")
    )
    now = int(np.searchsorted(sizes, facts["n_samples"]))
    learned = bool(error[now] <= _NOTHING_LEARNED * facts["mean_answer_mse"])
    return _Forecast(sizes, ridges, error, low, high, now, learned)


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return what the most labels of the forecast would buy, or the best ridge if none is beyond the sample."""
    facts = prediction.attrs
    forecast, n = _forecast_of(facts), facts["n_samples"]
    now, most = forecast.now, len(forecast.sizes) - 1
    if not forecast.learned:
        return f"From {n} labels this kernel learns nothing: always predicting the mean is as good"
    off = comparison.summary["test_mse"].median_error
    accuracy = f"; the prediction's median error is {percent(off, 2)}" if np.isfinite(off) else ""
    if most == now:
        share = percent(1 - float(forecast.error[now]) / facts["mean_answer_mse"], decimals=0)
        found = f"The best ridge for {n} labels is {forecast.ridges[now]:.2g}"
        return f"{found}: its test error is {share} below that of the mean answer{accuracy}"
    saved = 1 - float(forecast.error[most]) / float(forecast.error[now])
    change = (
        f"lower the test error by {percent(saved, decimals=0)}"
        if saved >= 0.005
        else "not lower the test error"
    )
    return f"{forecast.sizes[most]:.0f} labels in place of {n} would {change}, at the best ridge{accuracy}"


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return how well the curve was predicted, which ridge is best, and the error with more data, as sentences."""
    facts = prediction.attrs
    surface, plug_in = comparison.summary["test_mse"], comparison.summary["plug_in_test_mse"]
    n = facts["n_samples"]
    sentences = [
        f"From one sample of {n} labelled points the surface predicts the measured test error within "
        f"{percent(surface.median_error, decimals=1)} (median; largest {percent(surface.max_error, decimals=1)}; "
        f"{percent(surface.coverage or 0.0, decimals=0)} inside the intervals), the textbook plug-in within "
        f"{percent(plug_in.median_error, decimals=1)} (largest {percent(plug_in.max_error, decimals=0)})."
    ]
    sizes, ridges, error, low, high, now, learned = _forecast_of(facts)
    k, mean_answer = facts["forecast_n_features"], facts["mean_answer_mse"]
    model = "this kernel" if np.isinf(k) else f"{k:.0f} random features of this kernel"
    if not learned:
        sentences.append(
            f"With {model} nothing is learned from {n} points: the best test error is {error[now]:.3g}, and always "
            f"predicting the mean gives {mean_answer:.3g}."
        )
    else:
        advice = "0: fit to zero training error" if ridges[now] == 0 else f"{ridges[now]:.2g}"
        sentences.append(
            f"With {model} and {n} points the best ridge is {advice}; the test error is then {error[now]:.3g}, and "
            f"always predicting the mean gives {mean_answer:.3g}."
        )
    later = [
        f"{error[i]:.3g} with {sizes[i]:.0f} points (90 % interval {low[i]:.3g} to {high[i]:.3g})"
        for i in range(len(sizes))
        if i != now
    ]
    if later:
        sentences.append(f"At the best ridge it would be {', '.join(later)}.")
    return " ".join(sentences)


study = Study(
    name="regression",
    title="More is better: a learning curve, predicted from one sample and measured",
    paper=(
        "J. B. Simon, D. Karkada, N. Ghosh, M. Belkin, More is better in modern machine learning: when infinite "
        "overparameterization is optimal and overfitting is obligatory, ICLR 2024, arXiv:2311.14646"
    ),
    question="What will more labels (or more random features) buy me, and is my ridge right?",
    Parameters=Parameters,
    tiny=Parameters(data="wine", n_sample=60, n_train=(16, 32), ridge=(0.0, 1.0), trials=2),
    compared=("test_mse", "error_rate", "train_mse", "plug_in_test_mse"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=draw_study,
    conclude=conclude,
    headline=headline,
    equations=_EQUATIONS,
)
