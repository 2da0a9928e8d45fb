r"""The study `kernel-convergence`: distance of the kernel of a network of N units from the infinite-width kernel.

The deviation is $\|\hat\Theta - \Theta\|_F / \|\Theta\|_F$ on points of the sphere. The study compares its square,
whose mean over networks the theory gives:

- One hidden layer: exactly, at every width. The empirical kernel is a mean over N independent neurons, so that
  $E\|\hat\Theta - \Theta\|_F^2 = \frac1N \sum_{ij} S_{ij}^2$ with $S^2$ a Gaussian mean of the activation
  (`solvable.activations.finite_width_std`).
- Deeper: no closed form is known. Only the law is predicted, squares falling as 1/N; its constant is measured on
  separate pilot networks of one width.

The interval for the mean over the trials is based on the pilots' spread.

Source: Simon, Anand and DeWeese, Reverse engineering the neural tangent kernel, 2022, arXiv:2106.03186, which uses nets
of width 2^14; the exact deviation was derived for this library.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.activations.experiment import activation_of, check_gain, need_torch
from solvable.activations.finite_width import finite_width_moments
from solvable.errors import InputError
from solvable.kernels import NTK
from solvable.kernels.inputs import to_float64
from solvable.lab import Comparison, Study
from solvable.lab.compare import mean_and_error
from solvable.lab.parameters import check_parameters, seed_of
from solvable.lab.text import readable
from solvable.machine import at_once, need_memory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PILOTS = 100
_PILOT_WIDTH = 256
_LARGEST_WEIGHTS = 2.0**28
"""Largest number of weights in one network: 2 GB in double precision."""
_LARGEST_GAIN = 1e60
_AIM = 0.05
_FEWEST_TRIALS = 10


@dataclass(frozen=True)
class Parameters:
    """The networks and the points."""

    activation: str = "relu"
    """Activation: a name (relu, tanh, gelu, ...), or a sinusoid such as "0.5 sin 6z"."""

    depth: tuple[int, ...] = (1, 4)
    """Numbers of hidden layers."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    """Widths of the hidden layers."""

    n_points: int = 20
    """Number of random points on the sphere of radius sqrt(d)."""

    d: int = 10
    """Number of coordinates of a point."""

    w_std: float = 2**0.5
    """Standard deviation of the hidden layers' weights, times 1/sqrt(fan in)."""

    b_std: float = 0.0
    """Standard deviation of the hidden layers' biases."""

    trials: int = 30
    """Number of networks of each depth and width."""

    random_state: int = 0
    """Seed of the points and the weights."""

    def __post_init__(self) -> None:
        least = {"depth": 1, "widths": 1, "n_points": 1, "d": 1, "b_std": 0, "trials": 1}
        check_parameters(self, at_least=least, at_most={"depth": 1000, "d": 100_000, "b_std": 1e6})
        check_gain(self.w_std, max(self.depth), _LARGEST_GAIN)
        numbers = max(self.widths) ** 2 * (max(self.depth) - 1) + max(self.widths) * self.d
        if numbers > _LARGEST_WEIGHTS:
            raise InputError(
                f"a network of {max(self.depth)} layers of {max(self.widths)} units has {numbers:.2g} weights; "
                f"expected at most {_LARGEST_WEIGHTS:.2g} (2 GB); lower the width"
            )
        # Matrices of the points for each depth and in each trial, and the outputs of all layers.
        n_matrices = len(self.depth) + 6 * at_once(self.trials)
        units = max(self.widths) * max(self.depth) + self.d
        need_memory(
            8.0 * self.n_points * (n_matrices * self.n_points + 2 * at_once(self.trials) * units),
            f"the kernel of {self.n_points} points",
            "lower n_points",
        )


@dataclass(frozen=True, eq=False)
class Setting:
    """The points `(n, d)` of norm √d, and the kernel and its matrix at infinite width for each depth."""

    X: Float[NDArray, "n d"]
    kernels: dict[int, NTK]
    matrices: dict[int, Float[NDArray, "n n"]]
    notes: tuple[str, ...]


def prepare(parameters: Parameters) -> Setting:
    """Draw the points and compute the kernels' matrices."""
    need_torch()
    X = np.random.default_rng(parameters.random_state).normal(size=(parameters.n_points, parameters.d))
    X *= np.sqrt(parameters.d) / np.linalg.norm(X, axis=1, keepdims=True)
    activation = activation_of(parameters.activation)
    kernels = {
        int(depth): NTK(int(depth), activation, w_std=parameters.w_std, b_std=parameters.b_std)
        for depth in np.unique(parameters.depth)
    }
    notes = (
        "the deviation is the Frobenius norm of empirical minus infinite-width tangent kernel, divided by that of the "
        f"latter, on {parameters.n_points} random points of the sphere in {parameters.d} dimensions; squares are "
        "compared, since the theory predicts their mean",
    )
    return Setting(X, kernels, {depth: to_float64(kernel(X)) for depth, kernel in kernels.items()}, notes)


def deviation_squared(setting: Setting, depth: int, width: int, seed: int) -> float:
    r"""Return $\|\hat\Theta - \Theta\|_F^2 / \|\Theta\|_F^2$ of one network.

    Args:
        setting: the points and kernels.
        depth: number of hidden layers.
        width: width of each hidden layer.
        seed: seed of the weights.
    """
    from solvable.kernels.empirical import empirical_ntk
    from solvable.networks import FullyConnected

    kernel, limit = setting.kernels[depth], setting.matrices[depth]
    net: Any = FullyConnected(
        setting.X.shape[1],
        (width,) * depth,
        activation=kernel.activation,
        w_std=kernel.w_std,
        b_std=kernel.b_std,  # pyright: ignore[reportArgumentType]
        random_state=seed,
    )
    return float(np.square(empirical_ntk(net, setting.X) - limit).sum() / np.square(limit).sum())


def exact_constant(parameters: Parameters, X: Float[NDArray, "n d"]) -> float:
    r"""Return $\sum_{ij} S_{ij}^2 / \sum_{ij} \Theta_{ij}^2$: N times the mean square deviation of one hidden layer.

    Args:
        parameters: provides activation, w_std and b_std.
        X: points of norm $\sqrt d$.

    >>> X = np.sqrt(2.0) * np.array([[1.0, 0.0]])  # one point: var(z_+^2 + w^2 1_{z>0}) = 1.5 + 1 + 1.5 - 1
    >>> round(exact_constant(Parameters(), X), 6)
    3.0
    """
    cosine = np.clip(X @ X.T / X.shape[1], -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    mean, scale = finite_width_moments(
        activation_of(parameters.activation), cosine, "ntk", parameters.w_std, parameters.b_std
    )
    return float(np.square(scale).sum() / np.square(mean).sum())


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the mean square deviation by depth and width, exact for one hidden layer, else from pilot networks."""
    depths, widths = list(setting.kernels), np.unique(parameters.widths)
    pilot_width = min(_PILOT_WIDTH, int(widths.max()))
    constants, spreads, notes = [], [], []
    for depth in depths:
        pilots = [
            deviation_squared(setting, depth, pilot_width, seed_of(parameters.random_state, 1, depth, i))
            for i in range(_PILOTS)
        ]
        pilot_constant = pilot_width * float(np.mean(pilots))
        spreads.append(float(np.std(pilots, ddof=1) / np.mean(pilots)))
        if depth == 1:
            constants.append(exact_constant(parameters, setting.X))
            notes.append(
                f"one hidden layer: predicted exactly, deviation {np.sqrt(constants[-1]):.3g}/√N (root mean square)"
            )
        else:
            constants.append(pilot_constant)
            notes.append(
                f"{depth} hidden layers: no formula is known; the prediction is the law 1/√N with the constant "
                f"{np.sqrt(pilot_constant):.3g} from {_PILOTS} pilot networks of width {pilot_width}"
            )
    grid = np.union1d(widths, np.geomspace(widths.min(), widths.max(), 30).round().astype(int))
    mean = np.array(constants)[:, None] / grid
    # Relative error of the mean over the trials, and of the pilots if they give the constant.
    relative_error = np.array(
        [
            s * np.sqrt(1 / parameters.trials + (depth > 1) / _PILOTS)
            for s, depth in zip(spreads, depths, strict=True)
        ]
    )
    factor = np.exp(1.645 * relative_error)[:, None]
    dims = ("depth", "width")
    return xr.Dataset(
        {
            "squared_deviation": (dims, mean),
            "squared_deviation_low": (dims, mean / factor),
            "squared_deviation_high": (dims, mean * factor),
        },
        {"depth": depths, "width": grid},
        {"notes": "\n".join(notes), "activation": parameters.activation, "constants": np.sqrt(constants)},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Measure one network of each depth and width."""
    depths, widths = list(setting.kernels), np.unique(parameters.widths)
    values = [
        [
            deviation_squared(
                setting, depth, int(n), seed_of(parameters.random_state, 0, depth, index, int(n))
            )
            for n in widths
        ]
        for depth in depths
    ]
    return xr.Dataset({"squared_deviation": (("depth", "width"), values)}, {"depth": depths, "width": widths})


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Plot the root mean square deviation against width, and the deviation times √N, which should be constant."""
    from solvable.lab.figure import (
        COLORS,
        MARKERS,
        legend,
        log_axes,
        measured_points,
        prediction_line,
        subplots,
    )

    figure, axes = subplots(1, 2, height=2.9)
    name = "squared_deviation"
    squares, spread = mean_and_error(measurement[name])
    for i, depth in enumerate(prediction.depth.to_numpy()):
        one = prediction.sel(depth=depth)
        root, low, high = (100 * one[f"{name}{side}"] ** 0.5 for side in ("", "_low", "_high"))
        measured = 100 * squares.sel(depth=depth) ** 0.5
        # The root's relative error is half that of the square.
        error = measured * spread.sel(depth=depth) / squares.sel(depth=depth) / 2
        color, label = COLORS[i % len(COLORS)], f"{depth} hidden layer{'s' if depth > 1 else ''}"
        for ax, of_width in ((axes[0], None), (axes[1], 0.01)):
            line, dots = ((1.0 if of_width is None else of_width * a.width**0.5) for a in (one, measured))
            prediction_line(ax, one.width, root * line, low * line, high * line, color=color)
            measured_points(
                ax,
                measured.width,
                measured * dots,
                error * dots,
                color=color,
                fmt=MARKERS[i % len(MARKERS)],
                label=label,
            )
    axes[0].set(xlabel="width N (units per layer)", ylabel="rms deviation (%)")
    axes[1].set(xlabel="width N (units per layer)", ylabel="rms deviation · √N")
    log_axes(axes[0])
    log_axes(axes[1], "x")
    axes[1].set_ylim(0, None)
    for ax in axes:
        ax.set_xticks(measurement.width.to_numpy())
    legend(axes[1], loc="lower center", ncols=2)
    return figure


def _wide_enough(prediction: xr.Dataset) -> dict[int, str]:
    """Return for each depth the width at which the predicted deviation is `_AIM`, to two digits."""
    constants = np.atleast_1d(prediction.attrs["constants"])
    widths = np.maximum((constants / _AIM) ** 2, 1.0)
    depths = prediction.depth.to_numpy().tolist()
    return {depth: readable(float(f"{width:.2g}")) for depth, width in zip(depths, widths, strict=True)}


def _layers(depth: int) -> str:
    return "one hidden layer" if depth == 1 else f"{depth} hidden layers"


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the width that brings the kernel near to its limit, for the shallowest and the deepest nets."""
    needed = _wide_enough(prediction)
    ends = dict.fromkeys((min(needed), max(needed)))
    parts = [f"{needed[depth]} unit{'s' * (needed[depth] != '1')} with {_layers(depth)}" for depth in ends]
    return (
        f"A net has its infinite-width kernel within {100 * _AIM:.0f} % from about {' and '.join(parts)} on"
    )


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences on the deviation of the widest nets, its exponent, and the width for a deviation of 5 %."""
    squares = measurement.squared_deviation.mean("trial")
    widths, sentences = squares.width.to_numpy(), []
    for depth, needed in _wide_enough(prediction).items():
        root = np.sqrt(squares.sel(depth=depth).to_numpy())
        network = f"{_layers(depth)} of {prediction.attrs['activation']}"
        text = f"With {network} the kernel at width {widths[-1]} is off by "
        text += f"{100 * root[-1]:.2g} %"
        trials = measurement.squared_deviation.sel(depth=depth).transpose("trial", "width").to_numpy()
        if (slope := exponent(widths, trials)) is not None:
            text += f", falling as N^({slope[0]:.2f} ± {slope[1]:.2g})"
        sentences.append(f"{text}; {100 * _AIM:.0f} % needs about {needed} units per layer.")
    agreement = comparison.summary["squared_deviation"]
    exact = " (exact for one hidden layer, from pilot networks for more)" if len(sentences) > 1 else ""
    sentences.append(
        f"Mean squares are predicted{exact} within {100 * agreement.median_error:.0f} % (median; largest error "
        f"{100 * agreement.max_error:.0f} %, {100 * (agreement.coverage or 0):.0f} % inside the intervals)."
    )
    return " ".join(sentences)


def exponent(
    widths: Float[NDArray, "widths"], squares: Float[NDArray, "trials widths"]
) -> tuple[float, float] | None:
    r"""Return the exponent of N of the root mean square, and its standard error.

    A straight line is fitted to the logarithms, each weighted by the spread of its trials. None for a single width, or
    for fewer than 10 trials, whose spread is too uncertain for a weight.

    >>> spread = np.random.default_rng(0).gamma(9.0, 1 / 9, size=(40, 3))
    >>> slope, error = exponent(np.array([64, 256, 1024]), spread / np.array([64, 256, 1024]))
    >>> abs(slope + 0.5) < 3 * error < 0.1
    True
    """
    n = len(squares)
    if len(widths) < 2 or n < _FEWEST_TRIALS:
        return None
    mean = squares.mean(axis=0)
    # The logarithm of the root is half that of the square, and so is its error.
    error = squares.std(axis=0, ddof=1) / mean / np.sqrt(n) / 2
    if not (np.isfinite(error) & (error > 0)).all():
        return None
    x, weight = np.log(widths), error**-2.0
    x = x - np.average(x, weights=weight)
    size = float(np.sum(weight * x**2))
    return float(np.sum(weight * x * np.log(mean) / 2)) / size, size**-0.5


study = Study(
    name="kernel-convergence",
    title="How wide is wide: how fast the kernel of a finite network approaches the infinite-width one",
    paper=(
        "J. B. Simon, S. Anand, M. R. DeWeese, Reverse engineering the neural tangent kernel, ICML 2022, "
        "arXiv:2106.03186"
    ),
    question="How wide must my network be before the infinite-width kernel describes it?",
    Parameters=Parameters,
    tiny=Parameters(depth=(1, 2), widths=(8, 16), n_points=3, d=3, trials=2),
    compared=("squared_deviation",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"mean square distance of the kernel $\hat\Theta$ of nets of width $N$ from its limit $\Theta$: "
        r"$E \|\hat\Theta - \Theta\|_F^2 = \frac{C}{N} \|\Theta\|_F^2$",
        r"one hidden layer, exactly: $C = \sum_{ij} S_{ij}^2 / \sum_{ij} \Theta_{ij}^2$ with "
        r"$S^2 = E[A^2] + 2 E[A B] + 3 E[B^2] - (E[A] + E[B])^2$",
        r"there $A = \phi(u) \phi(v)$ and $B = s^2 \rho \phi'(u) \phi'(v)$, for the activation $\phi$ and "
        r"pre-activations $u, v$ of variance $s^2$ and correlation $\rho$",
        r"more layers: the law $C / N$ alone, with $C$ measured on separate nets of one width",
    ),
)
