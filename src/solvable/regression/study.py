"""The study `regression`: a learning curve predicted from a sample, next to the one that training gives."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from solvable.regression import theory
from solvable.regression.drawing import MEASURES
from solvable.regression.experiment import as_dataset, trial_errors
from solvable.regression.surface import FEWEST_SAMPLES, LearningSurface
from solvable.regression.targets import Targets
from solvable.spectra import plug_in_eigensystem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Points that a study draws its training and test sets from when the data have more: one kernel matrix of 0.5 GB.
_POOL = 8000
_LARGEST_DEFAULT_SAMPLE = 2000
# How much more data the conclusion forecasts.
_FACTOR = 10


@dataclass(frozen=True)
class Parameters(DataParameters):
    """What is predicted and measured."""

    task: Task = "auto"
    """What integers to predict in a file mean; auto: classes when they are few."""

    kernel: str = "laplace"
    """Kernel: laplace, gaussian, matern32, matern52, rational-quadratic, linear, arc-cosine, relu-nngp or relu-ntk."""

    n_sample: int | None = None
    """Labelled points that the prediction may see; by default half of the data, at most 2000."""

    n_train: tuple[int, ...] = ()
    """Training set sizes to measure; by default doubling from 32 to three quarters of the data, at most 4096."""

    n_features: tuple[float, ...] = (np.inf,)
    """Numbers of random features; inf is the kernel itself."""

    ridge: tuple[float, ...] = (0.0, 1.0, 10.0)
    """Ridges, added to the kernel matrix undivided, as scikit-learn's KernelRidge(alpha=) does."""

    forecast: tuple[float, ...] = ()
    """Sizes to predict without measuring, beyond the data too; by default ten times the sample."""

    trials: int = 10
    """How many random training and test sets the measurement averages over."""

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
        check_parameters(self, at_least=least)
        widths = np.asarray(self.n_features)
        if (np.isfinite(widths) & (widths != np.floor(widths))).any():
            raise InputError(
                f"n_features must be whole numbers or inf, since they are measured; got {widths.tolist()}"
            )
        if np.isinf(self.forecast).any():
            raise InputError("forecast must be finite: a sample does not tell the limit; got inf")
        if np.isinf(self.ridge).any():
            raise InputError("ridge must be finite, since it is measured; got inf")


@dataclass(frozen=True, eq=False)
class Setting:
    """What prediction and measurement share: the points, the resolved kernel and its matrix, and the grid.

    The first `n_sample` points are those that the prediction sees.
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
    # More rows than are trained and tested on are not read from a user's file.
    most = max(_POOL, largest + largest // 3)
    rows = None if parameters.data in datasets.NAMES else most
    data = parameters.load(parameters.task, rows, parameters.random_state)
    notes = list(data.notes)
    different = np.sort(list({row.tobytes(): i for i, row in reversed(list(enumerate(data.X)))}.values()))
    order = np.random.default_rng([parameters.random_state, 0]).permutation(different)
    if len(order) < len(data.X):
        notes.append(f"of repeated rows one is kept, which leaves {len(order)} points")
    n_pool = min(len(order), most)
    if n_pool < len(order):
        notes.append(f"{n_pool} of the {len(order)} points, drawn at random, are trained and tested on")
    most = n_pool - max(1, n_pool // 10)
    if largest > most:
        raise InputError(
            f"n_train {largest} is too large to be measured: {parameters.data!r} has {len(order)} different points and "
            f"a tenth is kept for testing; expected at most {most}; --forecast predicts sizes beyond the data"
        )
    n_sample = parameters.n_sample or min(n_pool // 2, _LARGEST_DEFAULT_SAMPLE)
    if n_sample > most:
        raise InputError(
            f"n_sample {n_sample} is too large: {parameters.data!r} has {len(order)} different points and a tenth is "
            f"kept for testing; expected at most {most}"
        )
    if n_sample < FEWEST_SAMPLES:
        raise InputError(
            f"{parameters.data!r} has {len(order)} different points, of which half, {n_sample}, would be the sample; "
            f"expected at least {FEWEST_SAMPLES}: set n_sample, or label a few more"
        )
    X, pool = data.X[order[:n_pool]], order[:n_pool]
    targets = Targets(data.y[pool], data.classes, data.y[pool].argmax(axis=1) if data.classes else None)
    given = as_kernel(parameters.kernel)
    kernel = given.for_data(X[:n_sample])
    by_median = "" if kernel == given else ", its bandwidth by the median distance of the sample"
    notes.append(f"kernel {kernel!r}{by_median}")
    sizes = np.unique(np.array(parameters.n_train or _doubling(min(3 * n_pool // 4, 4096)), dtype=np.int64))
    widths = np.unique(np.array(parameters.n_features, dtype=float))
    if np.isfinite(widths).any():
        kernel.features(1)  # a kernel without random features says so now, not after the prediction
    gram = to_float64(kernel(X)) if np.isinf(widths).any() else None
    ridge = np.unique(np.abs(np.array(parameters.ridge, dtype=float)))  # -0.0 is 0.0
    return Setting(X, targets, kernel, gram, n_sample, sizes, widths, ridge, tuple(notes), data.fingerprint)


def _doubling(largest: int) -> list[int]:
    sizes = [32 * 2**i for i in range(20) if 32 * 2**i < 0.8 * largest]
    return [*sizes, largest]


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Predict errors from the sample's one kernel matrix, and by the plug-in for comparison."""
    X, targets = setting.X[: setting.n_sample], setting.targets.take(np.arange(setting.n_sample))
    y = targets.columns
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        surface = LearningSurface.from_kernel(setting.kernel, X, targets)
        forecast = _forecast(surface, parameters, setting)
        # A smooth line along the axis that the figure shows; the other dims as they are measured.
        n, widths = setting.n_train.astype(float), setting.n_features
        if len(widths) > len(n):
            widths = _with_steps_between(widths)
        else:
            n = _with_steps_between(np.append(n, forecast.n_train))
        prediction = surface.predict(n, widths, setting.ridge)
    gram = to_float64(setting.kernel(X))
    plug_in = theory.predict(plug_in_eigensystem(gram, y), n, widths, setting.ridge)
    prediction["plug_in_test_mse"] = plug_in.test_mse

    # Test points are a sample too: what they know of the error, in the units of what the sample knows.
    unseen = len(setting.X) - len(X)
    here = forecast.sel(n_train=len(X))
    spread = np.log(here.test_mse_high / here.test_mse_low) / 2
    chance = float(np.expm1(spread * np.sqrt(1 + len(X) / unseen)))
    said = [
        f"the prediction saw {len(X)} labelled points; the {unseen} others are tested on, and since they are a sample "
        f"too, prediction and measurement may differ by about {percent(chance, decimals=0)} by chance; errors are "
        f"sums over {y.shape[1]} output column{'s' if y.shape[1] > 1 else ''} (scikit-learn averages over them)",
        surface.check.in_words(with_features=bool(np.isfinite(setting.n_features).any())),
        f"predictions are trusted for {prediction.attrs['trust']}",
        "plug_in_test_mse is the textbook prediction, which takes the sample's eigenvalues for the population's; it "
        "is shown for its bias",
        "to train what is predicted here with scikit-learn: KernelRidge(alpha=ridge, kernel='precomputed') on the "
        "matrix of this kernel (its own 'laplacian' takes another distance)",
    ]
    prediction.attrs |= {
        "notes": "\n".join([*said, *dict.fromkeys(str(w.message) for w in caught)]),
        "mean_answer_mse": float(np.square(y - y.mean(axis=0)).sum(axis=1).mean()),
        "forecast_n_train": forecast.n_train.to_numpy(),
        "forecast_n_features": float(forecast.n_features),
        "forecast_ridge": forecast.ridge.to_numpy(),
    } | {
        f"forecast_{name}": forecast[name].to_numpy()
        for name in ("test_mse", "test_mse_low", "test_mse_high")
    }
    return prediction


def _forecast(surface: LearningSurface, parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the error at the best ridge for the sample's size and for those beyond that are asked for."""
    sizes = np.unique([setting.n_sample, *(parameters.forecast or [_FACTOR * setting.n_sample])]).astype(
        float
    )
    k = float(setting.n_features.max())
    ridge = surface.optimal_ridge(sizes, k)
    each = [
        surface.predict(size, k, delta).squeeze() for size, delta in zip(sizes, ridge.to_numpy(), strict=True)
    ]
    return xr.concat(each, "n_train", coords=["ridge"], compat="equals")


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


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw errors against sample size (or features), and how far off the prediction is; for classes the rate too."""
    from solvable.lab.figure import legend, subplots
    from solvable.lab.text import readable

    over_features = measurement.sizes["n_features"] > measurement.sizes["n_train"]
    x, panel = ("n_features", "n_train") if over_features else ("n_train", "n_features")
    shown = measurement[panel].to_numpy()
    shown = shown[np.unique(np.linspace(0, len(shown) - 1, min(2, len(shown))).round().astype(int))]
    names = [name for name in MEASURES if name in measurement]
    figure, axes = subplots(len(names), len(shown) + 1, height=2.7 * len(names) + 0.2, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        for ax, value in zip(row, shown, strict=False):
            _draw_errors(ax, prediction.sel({panel: value}), measurement.sel({panel: value}), name, x)
            if len(shown) > 1 or np.isfinite(value):
                ax.set_title(f"{readable(float(value))} {_AXIS[panel]}")
        _draw_off(row[-1], prediction, measurement.sel({panel: shown[-1:]}), name, x)
        row[-1].set_title(row[len(shown) - 1].get_title("left"))
    legend(axes[0, 0])
    return figure


_AXIS = {"n_train": "training samples", "n_features": "random features"}


def _draw_errors(ax: "Axes", predicted: xr.Dataset, measured: xr.Dataset, name: str, x: str) -> None:
    """Draw one measure, predicted and measured, and of the squared error the plug-in too."""
    from solvable.lab.figure import COLORS, curves, log_axes

    curves(ax, predicted, measured, name, x=x, hue="ridge", label="ridge {}")
    ax.set_yscale("log")
    bounds = ax.get_ylim()  # those of surface and measurement: the plug-in may dive to zero
    if name == "test_mse":
        for i, ridge in enumerate(predicted.ridge.to_numpy()):
            one = predicted.plug_in_test_mse.sel(ridge=ridge)
            ax.plot(one[x], one.where(np.isfinite(one)), ":", color=COLORS[i % len(COLORS)], linewidth=0.9)
    ax.set(ylim=bounds, xlabel=_AXIS[x], ylabel=MEASURES[name])
    log_axes(ax)
    if x == "n_train":
        _mark_sample(ax, predicted)


def _draw_off(ax: "Axes", prediction: xr.Dataset, measurement: xr.Dataset, name: str, x: str) -> None:
    """Draw how far off one measure is, at the one value of the other axis that the measurement has."""
    from solvable.lab.figure import COLORS, MARKERS, log_axes

    measured = measurement.mean("trial")[name].squeeze()
    at_measured = prediction.sel(n_train=measurement.n_train, n_features=measurement.n_features).squeeze()
    lines = {name: "-"} | ({"plug_in_test_mse": ":"} if name == "test_mse" else {})
    for i, ridge in enumerate(np.atleast_1d(measurement.ridge.to_numpy())):
        style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)], "linewidth": 0.9}
        for one, line in lines.items():
            off = 100 * (at_measured[one] / measured - 1)
            off = off.sel(ridge=ridge) if "ridge" in off.dims else off
            ax.plot(np.atleast_1d(measurement[x]), np.atleast_1d(off.where(np.isfinite(off))), line, **style)
    ax.axhline(0, color="0.4", linewidth=0.8)
    ax.plot([], [], "-", color="0.4", label="learning surface")
    if len(lines) > 1:
        ax.plot([], [], ":", color="0.4", label="plug-in")
        ax.legend()
    ax.set(xlabel=_AXIS[x], ylabel="predicted / measured − 1 (%)")
    log_axes(ax, "x")
    if x == "n_train":
        _mark_sample(ax, prediction)


def _mark_sample(ax: "Axes", prediction: xr.Dataset) -> None:
    size = float(prediction.attrs["n_samples"])
    if size < ax.get_xlim()[1]:
        ax.axvline(size, color="0.6", linewidth=0.8)
        ax.annotate(
            "sample", (size, 0), (-3, 3), ("data", "axes fraction"), textcoords="offset points", ha="right",
            color="0.4", fontsize=7,
        )  # fmt: skip


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Answer the question: how well was the curve predicted, which ridge is best, and what would more data buy."""
    facts = prediction.attrs
    surface, plug_in = comparison.summary["test_mse"], comparison.summary["plug_in_test_mse"]
    n = facts["n_samples"]
    sentences = [
        f"From one sample of {n} labelled points the surface predicts the measured test error within "
        f"{percent(surface.median_error, decimals=1)} (median; largest {percent(surface.max_error, decimals=1)}; "
        f"{percent(surface.coverage or 0.0, decimals=0)} inside the intervals), the textbook plug-in within "
        f"{percent(plug_in.median_error, decimals=1)} (largest {percent(plug_in.max_error, decimals=0)})."
    ]
    sizes, ridges, error, low, high = (
        np.atleast_1d(facts[f"forecast_{name}"])
        for name in ("n_train", "ridge", "test_mse", "test_mse_low", "test_mse_high")
    )
    now = int(np.searchsorted(sizes, n))
    k, mean_answer = facts["forecast_n_features"], facts["mean_answer_mse"]
    model = "this kernel" if np.isinf(k) else f"{k:.0f} random features of this kernel"
    if error[now] > 0.98 * mean_answer:
        sentences.append(
            f"With {model} nothing is learned at {n} points: the best test error is {error[now]:.3g}, and always "
            f"answering the mean gives {mean_answer:.3g}."
        )
    else:
        advice = "0: fit to zero training error" if ridges[now] == 0 else f"{ridges[now]:.2g}"
        sentences.append(
            f"With {model} and {n} points the best ridge is {advice}; test error is then {error[now]:.3g}, where "
            f"always answering the mean gives {mean_answer:.3g}."
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
    plot=plot,
    conclude=conclude,
)
