"""The study `regression`: a learning curve predicted from a sample, next to the one that training gives."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable import datasets
from solvable.errors import InputError, grid
from solvable.kernels import Kernel, as_kernel
from solvable.lab import Comparison, Study
from solvable.regression import theory
from solvable.regression.experiment import as_dataset, random_split, trial_errors, whole_sizes
from solvable.regression.surface import LearningSurface
from solvable.spectra import plug_in_eigensystem

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Points that a study draws its training and test sets from when the data have more: one kernel matrix of 0.5 GB.
_POOL = 8000
_LARGEST_DEFAULT_SAMPLE = 2000
# How much more data the conclusion forecasts.
_FACTOR = 10


@dataclass(frozen=True)
class Parameters:
    """What is predicted and measured."""

    data: str = "digits"
    """Data set: digits, wine, breast-cancer, diabetes, mnist, cifar10, or a FILE.npz, FILE.csv or FILE.parquet."""

    target: str | None = None
    """Column of the file to predict; by default one named target, label or y, else the last."""

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

    trials: int = 10
    """How many random training and test sets the measurement averages over."""

    random_state: int = 0
    """Seed of the sample, the splits and the random features."""

    def __post_init__(self) -> None:
        if self.n_train:
            whole_sizes(self.n_train)
        grid("n_features", self.n_features, at_least=1.0)
        ridge = grid("ridge", self.ridge, at_least=0.0)
        if np.isinf(ridge).any():
            raise InputError("ridge must be finite, since it is measured; got inf")
        for name, least in (("trials", 1), ("random_state", 0), ("n_sample", 20)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} must be at least {least}; got {value}")


@dataclass(frozen=True, eq=False)
class Setting:
    """What prediction and measurement share: the points, the resolved kernel and its matrix."""

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    kernel: Kernel
    gram: NDArray[np.float64] | None
    sample: NDArray[np.int64]
    n_train: NDArray[np.int64]
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Load the data, choose the pool and the sample, resolve the kernel and compute its matrix once."""
    data = datasets.load(parameters.data, parameters.target)
    notes = list(data.notes)
    order = np.random.default_rng([parameters.random_state, 0]).permutation(len(data.X))
    largest = int(max(parameters.n_train, default=0))
    n_pool = min(len(order), max(_POOL, largest + largest // 3))
    if n_pool < len(order):
        notes.append(f"{n_pool} of the {len(order)} points, drawn at random, are trained and tested on")
    most = n_pool - max(1, n_pool // 10)
    if largest > most:
        raise InputError(
            f"n_train {largest} is too large to be measured: {parameters.data!r} has {len(order)} points and a "
            f"tenth is kept for testing; expected at most {most}; use LearningSurface.predict, which forecasts "
            "beyond the data"
        )
    pool = order[:n_pool]
    X, y = data.X[pool], data.y[pool]
    n_sample = parameters.n_sample or min(n_pool // 2, _LARGEST_DEFAULT_SAMPLE)
    if n_sample > n_pool:
        raise InputError(
            f"n_sample {n_sample} exceeds the {n_pool} points of {parameters.data!r}; take at most that"
        )
    sample = np.arange(n_sample)
    kernel = as_kernel(parameters.kernel).for_data(X[sample])
    notes.append(
        f"kernel {kernel!r}"
        + (
            ""
            if kernel == as_kernel(parameters.kernel)
            else ", its bandwidth by the median distance of the sample"
        )
    )
    gram = np.asarray(kernel(X)) if np.isinf(parameters.n_features).any() else None
    sizes = np.unique(np.array(parameters.n_train or _doubling(min(3 * n_pool // 4, 4096)), dtype=np.int64))
    if any(np.isfinite(parameters.n_features)):
        kernel.features(1)  # a kernel without random features says so now, not after the prediction
    return Setting(X, y, kernel, gram, sample, sizes, tuple(notes), data.fingerprint)


def _doubling(largest: int) -> list[int]:
    sizes = [32 * 2**i for i in range(20) if 32 * 2**i < 0.8 * largest]
    return [*sizes, largest]


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Predict errors from the sample's one kernel matrix, and by the plug-in for comparison."""
    s = setting.sample
    gram = (
        setting.gram[np.ix_(s, s)] if setting.gram is not None else np.asarray(setting.kernel(setting.X[s]))
    )
    surface = LearningSurface.from_gram(gram, setting.y[s], kernel=repr(setting.kernel))
    # A smooth line along the axis that the figure shows; the other dims as they are measured.
    n, widths = setting.n_train.astype(float), np.array(parameters.n_features, dtype=float)
    if len(widths) > len(n):
        widths = _with_steps_between(widths)
    else:
        n = _with_steps_between(n)
    prediction = surface.predict(n, widths, parameters.ridge)
    plug_in = theory.predict(plug_in_eigensystem(gram, setting.y[s]), n, widths, parameters.ridge)
    prediction["plug_in_test_mse"] = plug_in.test_mse

    now, later = len(s), _FACTOR * len(s)
    k = max(parameters.n_features)
    best = surface.optimal_ridge([now, later], k)
    forecast = surface.predict(later, k, best.to_numpy()[1]).squeeze()
    prediction.attrs |= {
        "optimal_ridge": float(best[0]),
        "optimal_test_mse": float(best.test_mse[0]),
        "later_n_train": later,
        "later_test_mse": float(forecast.test_mse),
        "later_low": float(forecast.test_mse_low),
        "later_high": float(forecast.test_mse_high),
        "notes": "\n".join(
            [
                f"the prediction saw {len(s)} labelled points; errors are sums over {setting.y.shape[1]} output "
                "columns (scikit-learn averages over them)",
                f"predictions are trusted for {prediction.attrs['trust']}",
                "plug_in_test_mse is the textbook prediction, which takes the sample's eigenvalues for the "
                "population's; it is shown for its bias",
            ]
        ),
    }
    return prediction


def _with_steps_between(values: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = values[np.isfinite(values)]
    return np.union1d(values, np.geomspace(finite.min(), finite.max(), 60))


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train on the first n points of one random order, for every n, k and ridge; test on the rest."""
    seed = [parameters.random_state, 1 + index]
    train, test = random_split(len(setting.X), int(setting.n_train.max()), seed)
    widths, ridges = np.array(parameters.n_features, dtype=float), np.array(parameters.ridge, dtype=float)
    errors = trial_errors(
        setting.kernel, setting.X, setting.y, setting.gram, train, test, setting.n_train, widths, ridges, seed
    )
    measured = as_dataset(errors, setting.n_train, widths, ridges)
    # The plug-in predicts the same quantity, so it is compared with the same measurement.
    return measured.assign(plug_in_test_mse=measured.test_mse)


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw test error against sample size (or features), and how far off the surface and the plug-in are."""
    from solvable.lab.figure import COLORS, MARKERS, curves, key, log_axes, subplots
    from solvable.lab.text import readable

    over_features = measurement.sizes["n_features"] > measurement.sizes["n_train"]
    x, panel = ("n_features", "n_train") if over_features else ("n_train", "n_features")
    label = {"n_train": "training samples", "n_features": "random features"}
    shown = measurement[panel].to_numpy()
    shown = shown[np.unique(np.linspace(0, len(shown) - 1, min(2, len(shown))).round().astype(int))]
    figure, axes = subplots(1, len(shown) + 1, height=2.9)
    for ax, value in zip(axes, shown, strict=False):
        predicted = prediction.sel({panel: value})
        curves(ax, predicted, measurement.sel({panel: value}), "test_mse", x=x, hue="ridge", label="ridge {}")
        ax.set_yscale("log")
        bounds = ax.get_ylim()  # those of surface and measurement: the plug-in may dive to zero
        for i, ridge in enumerate(prediction.ridge.to_numpy()):
            one = predicted.plug_in_test_mse.sel(ridge=ridge)
            ax.plot(one[x], one.where(np.isfinite(one)), ":", color=COLORS[i % len(COLORS)], linewidth=0.9)
        ax.set(ylim=bounds, xlabel=label[x], ylabel="test error (sum over outputs)")
        log_axes(ax)
        if len(shown) > 1 or np.isfinite(value):
            ax.set_title(f"{readable(float(value))} {label[panel]}")
        if x == "n_train":
            _mark_sample(ax, prediction)
    key(axes[0])

    measured = measurement.mean("trial")
    at_measured = prediction.sel(n_train=measurement.n_train, n_features=measurement.n_features)
    last = axes[-1]
    for i, ridge in enumerate(prediction.ridge.to_numpy()):
        style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)], "linewidth": 0.9}
        for name, line in (("test_mse", "-"), ("plug_in_test_mse", ":")):
            off = (100 * (at_measured[name] / measured.test_mse - 1)).sel({"ridge": ridge, panel: shown[-1]})
            last.plot(off[x], off.where(np.isfinite(off)), line, **style)
    last.axhline(0, color="0.4", linewidth=0.8)
    last.plot([], [], "-", color="0.4", label="learning surface")
    last.plot([], [], ":", color="0.4", label="plug-in")
    last.set(
        xlabel=label[x], ylabel="predicted / measured − 1 (%)", title=axes[len(shown) - 1].get_title("left")
    )
    log_axes(last, "x")
    if x == "n_train":
        _mark_sample(last, prediction)
    last.legend()
    return figure


def _mark_sample(ax, prediction: xr.Dataset) -> None:
    size = float(prediction.attrs["n_samples"])
    if size < ax.get_xlim()[1]:
        ax.axvline(size, color="0.6", linewidth=0.8)
        ax.annotate(
            "sample", (size, 0), (-3, 3), ("data", "axes fraction"), textcoords="offset points", ha="right",
            color="0.4", fontsize=7,
        )  # fmt: skip


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Answer the question: how well was the curve predicted, and what would more data buy."""
    facts = prediction.attrs
    surface, plug_in = comparison.summary["test_mse"], comparison.summary["plug_in_test_mse"]
    now, later = facts["optimal_test_mse"], facts["later_test_mse"]
    ridge = facts["optimal_ridge"]
    advice = "fit to zero training error (ridge 0)" if ridge == 0 else f"use ridge {ridge:.2g}"
    return (
        f"From one sample of {facts['n_samples']} labelled points the surface predicts the measured test error within "
        f"{100 * surface.median_error:.1f} % (median; largest {100 * surface.max_error:.1f} %), where the textbook "
        f"plug-in is off by up to {100 * plug_in.max_error:.0f} %. With this kernel and {facts['n_samples']} points, "
        f"{advice}; {_FACTOR} times the labels would bring the best test error from {now:.3g} to {later:.3g} (90 % "
        f"interval {facts['later_low']:.3g} to {facts['later_high']:.3g})."
    )


study = Study(
    name="regression",
    title="More is better: a learning curve, predicted from one sample and measured",
    paper=(
        "J. B. Simon, D. Karkada, N. Ghosh, M. Belkin, More is better in modern machine learning: when infinite "
        "overparameterization is optimal and overfitting is obligatory, ICLR 2024, arXiv:2311.14646"
    ),
    question="What will more labels (or more random features) buy me, and is my ridge right?",
    Parameters=Parameters,
    compared=("test_mse", "train_mse", "plug_in_test_mse"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
)
