r"""The study `activations`: one hidden layer, designed to have the kernel of a deep ReLU net, compared with that net.

There are three networks: a deep ReLU net, a shallow net whose activation is designed to give it the deep net's tangent
kernel, and a shallow ReLU net for contrast. The predictions are the training curves of their kernels,

$$ f_t(x) = K(x, X)\, K^{-1} \left[1 - (1 - 2\eta K/n)^t\right] y, $$

and the measurements are nets of finite width, minus their initial output, under full-batch gradient descent.

Source: Simon, Anand and DeWeese, Reverse engineering the neural tangent kernel, 2022, arXiv:2106.03186.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable import datasets
from solvable.activations.design import design
from solvable.activations.experiment import Model, need_torch
from solvable.activations.training import training_curve
from solvable.datasets.labels import Task
from solvable.datasets.sphere import Split, split_on_sphere
from solvable.kernels.duals import ABReLU
from solvable.kernels.inputs import to_float64
from solvable.lab import Comparison, Study
from solvable.lab.compare import mean_and_error
from solvable.lab.parameters import DataParameters, check_parameters, seed_of
from solvable.lab.text import percent
from solvable.machine import at_once, bytes_of_training, need_memory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The authors' settings: hidden layers of variance 2 and 0.01, readout of variance 1 and no bias.
_W_STD, _B_STD = 2**0.5, 0.1
# Larger files are subsampled to this many rows.
_MOST_ROWS = 6000
# Ratio of distances from which the designed net counts as clearly closer to the deep kernel.
_CLEAR_RATIO = 3
_MOST_RATIO = 990
_COSINES = np.linspace(-1.0, 1.0, 21)
_Z = np.linspace(-3.0, 3.0, 301)
DEEP, DESIGNED, SHALLOW = "deep ReLU", "designed", "shallow ReLU"


@dataclass(frozen=True)
class Parameters(DataParameters):
    """The networks, the data and the training."""

    task: Task = "auto"
    """Meaning of an integer target in a file; auto: classes if there are few different integers."""

    n_train: int | None = None
    """Number of training points; by default half of the data, at most 400."""

    depth: int = 4
    """Number of hidden layers of the ReLU net whose kernel the shallow net is designed to have."""

    family: Literal["relu+cos", "shifted relus", "hermite"] = "relu+cos"
    """Family of the designed activation."""

    width: int = 4096
    """Number of units of the two nets with one hidden layer."""

    deep_width: int = 512
    """Number of units per hidden layer of the deep net."""

    rate: float = 0.1
    """Learning rate of full-batch gradient descent on the squared error, summed over outputs."""

    steps: int = 600
    """Number of steps of gradient descent."""

    trials: int = 2
    """Number of random initialisations; the split into training and test points is the same."""

    random_state: int = 0
    """Seed of the split and the weights."""

    def __post_init__(self) -> None:
        least = {"n_train": 2, "depth": 1, "width": 1, "deep_width": 1, "steps": 1, "trials": 1}
        most = {"depth": 100, "steps": 100_000, "rate": 1e6}
        check_parameters(self, at_least=least | {"rate": 1e-9}, at_most=most)


@dataclass(frozen=True, eq=False)
class Setting:
    """The data on the sphere, and the three networks."""

    split: Split
    models: tuple[Model, ...]
    is_classes: bool
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Load and split the data, and design the activation."""
    need_torch()
    rows = None if parameters.data in datasets.NAMES else _MOST_ROWS
    data = parameters.load(parameters.task, rows, parameters.random_state)
    split = split_on_sphere(data, parameters.n_train, parameters.random_state)
    d, k = split.X.shape[1], split.y.shape[1]
    for name, width, depth in (
        ("width", parameters.width, 1),
        ("deep_width", parameters.deep_width, parameters.depth),
    ):
        n_bytes = at_once(parameters.trials) * bytes_of_training([d, *[width] * depth, k], len(split.X))
        need_memory(n_bytes, f"training networks of width {width}", f"lower {name}")
    deep = Model(DEEP, ABReLU(), parameters.depth, parameters.deep_width, _W_STD, _B_STD)
    activation = design(deep.kernel(), family=parameters.family)
    designed = Model(DESIGNED, activation, 1, parameters.width, 1.0, 0.0)
    shallow = Model(SHALLOW, ABReLU(), 1, parameters.width, _W_STD, _B_STD)
    sizes = [f"{model.n_parameters(d, k):,} parameters ({model.name})" for model in (deep, designed, shallow)]
    notes = (
        *data.notes,
        *split.notes,
        f"the designed activation is {activation.formula}; its kernel is off the target by at most "
        f"{percent(activation.kernel_error, 2)} of K(1)",
        f"the nets have {', '.join(sizes)}",
    )
    return Setting(split, (deep, designed, shallow), bool(data.classes), notes, data.fingerprint)


def recorded_steps(steps: int) -> NDArray[np.int64]:
    """Return the steps at which nets are measured: 1, 2, 5, 10, 20, 50, ... and the last step.

    >>> recorded_steps(60)
    array([ 1,  2,  5, 10, 20, 50, 60])
    """
    grid = [first * 10**power for power in range(9) for first in (1, 2, 5)]
    return np.array([*[step for step in grid if step < steps], steps], dtype=np.int64)


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the kernels as functions of the cosine, and the training curves that they predict."""
    split, models = setting.split, setting.models
    steps = np.union1d(
        recorded_steps(parameters.steps), np.geomspace(1, parameters.steps, 60).round().astype(np.int64)
    )
    cosine = np.sort(np.concatenate([_COSINES, np.linspace(-0.995, 0.995, 200)]))
    curves, records = [], []
    for model in models:
        kernel = model.kernel()
        curves.append(to_float64(kernel.curve(cosine)))
        records.append(
            training_curve(
                kernel, split.X, split.y, split.X_test, split.y_test, parameters.rate, steps.tolist()
            )
        )
    names = {"train_loss": "train_loss", "test_loss": "test_loss"}
    if setting.is_classes:
        names["error_rate"] = "test_error_rate"
    dims = ("model", "step")
    return xr.Dataset(
        {name: (dims, [record[own].to_numpy() for record in records]) for name, own in names.items()}
        | {
            "kernel_curve": (("model", "cosine"), curves),
            "activation": (("model", "z"), [to_float64(model.activation(_Z)) for model in models]),
        },
        {"model": [model.name for model in models], "step": steps, "cosine": cosine, "z": _Z},
        {
            "data": parameters.data,
            "depth": parameters.depth,
            "width": parameters.width,
            "deep_width": parameters.deep_width,
            "n_train": len(split.X),
        },
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Measure the kernel of each net at initialisation, then train it."""
    split, models = setting.split, setting.models
    steps = recorded_steps(parameters.steps)
    records, curves = [], []
    for i, model in enumerate(models):
        seed = seed_of(parameters.random_state, 1 + index, i)
        curves.append(model.measured_curve(split.X.shape[1], _COSINES, seed))
        records.append(model.train(split, parameters.rate, parameters.steps, steps, seed))
    names = {"train_loss": "train_loss", "test_loss": "test_loss", "movement": "movement"}
    if setting.is_classes:
        names["error_rate"] = "test_error_rate"
    dims = ("model", "step")
    return xr.Dataset(
        {name: (dims, [record.at(steps, own) for record in records]) for name, own in names.items()}
        | {"kernel_curve": (("model", "cosine"), curves)},
        {"model": [model.name for model in models], "step": steps, "cosine": _COSINES},
    )


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Plot activations, kernels and movement of the first layer above, losses and errors during training below."""
    from solvable.lab.figure import COLORS, MARKERS, curves, log_axes, measured_points, subplots

    figure, axes = subplots(2, 3, height=5.2)
    (shape, kernel, movement), below = axes
    names = list(prediction.model.to_numpy())
    for i, name in enumerate(names):
        if name != SHALLOW:
            shape.plot(prediction.z, prediction.activation.sel(model=name), color=COLORS[i])
    shape.set(xlabel="pre-activation z", ylabel="activation φ(z)")

    curves(kernel, prediction, measurement, "kernel_curve", x="cosine", hue="model")
    kernel.set(xlabel="cosine of two inputs", ylabel="tangent kernel")
    _broad(kernel, prediction.kernel_curve, "cosine")

    percent = 100 * measurement.movement
    for i, name in enumerate(names):
        one = percent.sel(model=name)
        measured_points(movement, one.step, *mean_and_error(one), color=COLORS[i], fmt=MARKERS[i])
    movement.set(xlabel="step", ylabel="layer 1 moved (%)")
    # If training diverged, there are no points to set the limits.
    movement.set_xlim(0.8, 1.25 * int(percent.step[-1]))
    log_axes(movement, "xy" if bool((percent > 0).any()) else "x")

    panels = {
        "train_loss": "training loss",
        "test_loss": "test loss",
        "error_rate": "test errors (%)",
    }
    sides = [
        side.assign(error_rate=100 * side.error_rate) if "error_rate" in side else side
        for side in (prediction, measurement)
    ]
    for ax, (name, label) in zip(below, panels.items(), strict=True):
        if name not in measurement:
            ax.set_axis_off()
            continue
        curves(ax, sides[0], sides[1], name, x="step", hue="model")
        _broad(ax, sides[0][name], "step")
        ax.set(xlabel="step", ylabel=label)
        if name == "error_rate":
            ax.set_ylim(0, None)
        log_axes(ax, "x" if name == "error_rate" else "xy")
    _legend(figure, kernel)
    return figure


def _broad(ax: "Axes", predicted: xr.DataArray, x: str) -> None:
    """Draw a broad line under the deep kernel's line, which the designed kernel's would hide."""
    from solvable.lab.figure import COLORS

    one = predicted.sel(model=DEEP)
    ax.plot(one[x], one, color=COLORS[0], linewidth=4, alpha=0.25, zorder=1, label="_under")


def _legend(figure: "Figure", ax: "Axes") -> None:
    from matplotlib.lines import Line2D

    handles, labels = ax.get_legend_handles_labels()
    handles += [
        Line2D([], [], color="0.4"),
        Line2D([], [], color="0.4", marker="o", linestyle=""),
        Line2D([], [], color="0.75", linewidth=4),
    ]
    labels += ["kernel, predicted", "net, measured", "deep kernel, under the others"]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)


def _times_closer(prediction: xr.Dataset, measurement: xr.Dataset, loss: str = "train_loss") -> float:
    """Return how many times closer the designed net's final loss is to the deep kernel's than to SHALLOW's.

    Below 1 it is closer to the shallow net; NaN if training diverged.
    """
    mean = measurement[loss].mean("trial").isel(step=-1)
    designed, shallow = (float(mean.sel(model=name)) for name in (DESIGNED, SHALLOW))
    near = abs(designed - float(prediction[loss].sel(model=DEEP, step=int(mean.step))))
    far = abs(designed - shallow)
    # Rounded before it is judged, so that the words agree with the number.
    ratio = float(f"{min(far / near, _MOST_RATIO):.2g}") if near > 0 else float(_MOST_RATIO)
    return ratio if np.isfinite(mean).all() else np.nan


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return whether the designed net trains like the deep kernel or like a shallow ReLU net."""
    ratio, depth = _times_closer(prediction, measurement), int(prediction.attrs["depth"])
    if np.isnan(ratio):
        return "Training diverged: the nets need a lower learning rate"
    deep = f"the kernel of {depth} ReLU layer{'s' * (depth > 1)}"
    if ratio < 1:
        return f"The designed net of one hidden layer trains less like {deep} than like a shallow ReLU net"
    closer = f"{ratio:g} times closer to {deep} than to a shallow ReLU net"
    remark = "" if ratio >= _CLEAR_RATIO else ": inconclusive"
    if not remark and _times_closer(prediction, measurement, "test_loss") < 1:
        remark = "; not in test loss"
    return f"In training loss a designed one-layer net is {closer}{remark}"


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences that compare the designed shallow net with the deep one and with a shallow ReLU net."""
    facts, mean = prediction.attrs, measurement.mean("trial").isel(step=-1)
    step = int(mean.step)
    train = {str(name): float(mean.train_loss.sel(model=name)) for name in mean.model.to_numpy()}
    test = {name: float(mean.test_loss.sel(model=name)) for name in train}
    deep = prediction.sel(model=DEEP, step=step)
    if not all(np.isfinite(list(train.values()))):
        diverged = [name for name, value in train.items() if not np.isfinite(value)]
        return f"Training diverged ({', '.join(diverged)}): lower the rate."
    ratio = _times_closer(prediction, measurement)
    sentences = [
        f"After {step} steps on {facts['n_train']} points of {facts['data']} the designed net with one hidden layer "
        f"({facts['width']} units) has training loss {train[DESIGNED]:.3g} and test loss {test[DESIGNED]:.3g}.",
        f"The kernel of {facts['depth']} ReLU layers that it mimics predicts {float(deep.train_loss):.3g} and "
        f"{float(deep.test_loss):.3g}; the deep net itself ({facts['deep_width']} units per layer) has "
        f"{train[DEEP]:.3g} and {test[DEEP]:.3g}, and a shallow ReLU net {train[SHALLOW]:.3g} and {test[SHALLOW]:.3g}.",
    ]
    if ratio >= 1:
        sentences.append(
            f"In training loss the designed net is {ratio:g} times closer to the deep kernel "
            "than to the shallow ReLU net"
            + (
                ": the activation, not the depth, determines the training curve."
                if ratio >= _CLEAR_RATIO
                else f", less than {_CLEAR_RATIO} times and so inconclusive: try a wider net or more steps."
            )
        )
    else:
        sentences.append(
            "In training loss the designed net is closer to the shallow ReLU net than to the deep kernel: at this "
            "width the design does not carry over."
        )
    sentences.append(
        f"In test loss it is {abs(test[DESIGNED] - float(deep.test_loss)):.2g} from the deep kernel and "
        f"{abs(test[DESIGNED] - test[SHALLOW]):.2g} from the shallow ReLU net."
    )
    errors = {
        name: abs(float(prediction.test_loss.sel(model=name, step=step)) / test[name] - 1) for name in test
    }
    sentences.append(
        "The kernels predict the nets' final test loss within "
        + ", ".join(f"{percent(value, decimals=1)} ({name})" for name, value in errors.items())
        + "."
    )
    if "error_rate" in mean:
        rates = ", ".join(
            f"{percent(float(mean.error_rate.sel(model=name)), decimals=1)} ({name})" for name in test
        )
        sentences.append(f"Test errors: {rates}.")
    return " ".join(sentences)


study = Study(
    name="activations",
    title="A shallow net that learns like a deep one: its activation is designed for the deep net's kernel",
    paper=(
        "J. B. Simon, S. Anand, M. R. DeWeese, Reverse engineering the neural tangent kernel, ICML 2022, "
        "arXiv:2106.03186"
    ),
    question="Can a net of one hidden layer with a designed activation replace my deep net?",
    Parameters=Parameters,
    tiny=Parameters(data="wine", n_train=40, depth=2, width=64, deep_width=32, steps=20, trials=2),
    compared=("train_loss", "test_loss", "error_rate", "kernel_curve"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"outputs after $t$ steps of rate $\eta$ on $n$ points $X$ with targets $y$: "
        r"$f_t(x) = K(x, X) K^{-1} \left[ 1 - (1 - 2 \eta K / n)^t \right] y$",
        r"tangent kernel $K$ of a deep net, layer by layer: "
        r"$K_{l+1} = \Sigma_{l+1} + \sigma_w^2 K_l E[\phi'(u) \phi'(v)]$",
        r"there $u, v$ are normal with the covariance of layer $l$, from variances of weights and biases: "
        r"$\Sigma_{l+1} = \sigma_w^2 E[\phi(u) \phi(v)] + \sigma_b^2$",
        r"one hidden layer, with Hermite coefficients $b_k$ of its activation $\phi$ and the cosine $c$: "
        r"$K(c) = \sum_k (1 + k) b_k^2 c^k$, fitted to the deep kernel",
    ),
)
