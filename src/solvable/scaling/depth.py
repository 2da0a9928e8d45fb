r"""The study `depth`: do features and learning rates stay the same when a residual network gets deeper?

The blocks of $h \leftarrow h + L^{-\alpha} W_2 \phi(W_1 h)$ are trained for some steps at several depths L, with
the factor of the learning rates that `theory.depth_multipliers` gives and without it. With it the change of the
features does not depend on depth; without it it grows as $L^{1-\alpha}$ (Adam) or $L^{1-2\alpha}$ (SGD).

Source: arXiv:2310.02244 ($\alpha = 1/2$), arXiv:2505.01618 ($\alpha = 1$, CompleteP).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from solvable.datasets.labels import Task
from solvable.lab import Comparison, DataParameters, Study, check_parameters
from solvable.lab.parameters import seed_of
from solvable.lab.text import readable, with_error
from solvable.machine import at_once, bytes_of_training, need_memory
from solvable.scaling.study import Setting, need_two, split_data
from solvable.scaling.theory import depth_multipliers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from solvable.scaling.sweep import Transfer

_ALPHAS, _WITH, _WITHOUT = (1.0, 0.5), "with the factor", "without"
# The two schemes whose learning rates are compared: CompleteP, and a residual multiplier alone with an exponent at
# which the factor of the learning rates matters.
_SWEEPS = ("CompleteP", "multiplier alone")
_ALONE = {"adam": 0.5, "sgd": 1.0}
_LOG2_LRS = {"adam": np.arange(-8.0, 1.1, 0.5), "sgd": np.arange(-8.0, 3.1, 0.5)}
_STEPS_OF_CHANGES, _RATE = 10, {"adam": 0.005, "sgd": 0.02}


@dataclass(frozen=True)
class Parameters(DataParameters):
    """The networks, the data and the training."""

    task: Task = "auto"
    """Meaning of an integer target in a file; auto: classes if there are few different integers."""

    n_train: int | None = None
    """Number of training points; by default half of the data, at most 1000."""

    depths: tuple[int, ...] = (4, 8, 16, 32)
    """Numbers of residual blocks."""

    width: int = 64
    """Width of the residual stream and of the blocks."""

    optimizer: Literal["adam", "sgd"] = "adam"
    """Optimizer."""

    steps: int = 40
    """Number of steps of the runs that compare learning rates."""

    batch_size: int = 128
    """Samples in a batch of those runs."""

    trials: int = 2
    """Number of random initialisations."""

    random_state: int = 0
    """Seed of the split, the weights and the batches."""

    def __post_init__(self) -> None:
        least = {"n_train": 2, "depths": 1, "width": 2, "steps": 1, "batch_size": 1, "trials": 1}
        check_parameters(self, at_least=least, at_most={"depths": 1000, "steps": 100_000})
        need_two("depths", self.depths)
        inner = [self.width] * (2 * max(self.depths) + 1)
        n_bytes = at_once(self.trials) * bytes_of_training(inner, self.batch_size)
        need_memory(n_bytes, f"training networks of width {self.width}", "lower width, depths or batch_size")


def prepare(parameters: Parameters) -> Setting:
    """Load and split the data."""
    return split_data(parameters, parameters.task, parameters.n_train, parameters.random_state)


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return how the change of the features grows with depth, relative to the first depth."""
    depths = np.unique(parameters.depths)
    grid = np.unique(np.concatenate([depths, np.geomspace(depths[0], depths[-1], 30).round()])).astype(
        np.int64
    )
    growth = np.ones((len(_ALPHAS), 2, len(grid)))
    for i, alpha in enumerate(_ALPHAS):
        for k, depth in enumerate(grid):
            # Without the factor, an update is too large by what the factor would have taken off.
            factor = depth_multipliers(alpha, int(depth), 1, parameters.optimizer).lr
            first = depth_multipliers(alpha, int(depths[0]), 1, parameters.optimizer).lr
            growth[i, 1, k] = first / factor
    return xr.Dataset(
        {"feature_change": (("alpha", "rates", "depth"), growth)},
        {"alpha": list(_ALPHAS), "rates": [_WITH, _WITHOUT], "depth": grid},
        {"data": parameters.data, "optimizer": parameters.optimizer, "width": parameters.width},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train residual networks of all depths, and return the features' changes and the losses for all learning rates."""
    depths = np.unique(parameters.depths)
    change = np.empty((len(_ALPHAS), 2, len(depths)))
    for k, depth in enumerate(depths):
        seed = seed_of(parameters.random_state, 1 + index, k)
        for i, alpha in enumerate(_ALPHAS):
            for j, factor in enumerate((True, False)):
                change[i, j, k] = _change(parameters, setting, int(depth), alpha, factor, seed)
    lrs = 2.0 ** _LOG2_LRS[parameters.optimizer]
    loss = np.empty((len(_SWEEPS), len(depths), len(lrs)))
    for i, (alpha, factor) in enumerate(((1.0, True), (_ALONE[parameters.optimizer], False))):
        for k, depth in enumerate(depths):
            seed = seed_of(parameters.random_state, 1 + index, k)
            for m, lr in enumerate(lrs):
                loss[i, k, m] = _final_loss(parameters, setting, int(depth), alpha, factor, float(lr), seed)
    return xr.Dataset(
        {
            "feature_change": (("alpha", "rates", "depth"), change / change[..., :1]),
            "absolute_change": (("alpha", "rates", "depth"), change),
            "loss": (("sweep", "depth", "lr"), loss),
        },
        {
            "alpha": list(_ALPHAS),
            "rates": [_WITH, _WITHOUT],
            "depth": depths,
            "sweep": list(_SWEEPS),
            "lr": lrs,
        },
    )


def _network(
    parameters: Parameters,
    setting: Setting,
    depth: int,
    alpha: float,
    factor: bool,
    lr: float,
    seed: int,
    whole: bool,
) -> tuple[Any, Any]:
    """Return an initialised network and its optimizer, of all parameters or of the blocks alone."""
    import torch

    from solvable.scaling.base import Depth
    from solvable.scaling.experiment import Residual
    from solvable.scaling.groups import param_groups
    from solvable.scaling.initialise import init_

    split = setting.split
    multiplier = depth_multipliers(alpha, depth).residual
    model = Residual(split.X.shape[1], parameters.width, split.y.shape[1], depth, multiplier)
    init_(model, generator=torch.Generator().manual_seed(seed))
    if not whole:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("blocks."))
    kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    scheme = Depth("blocks", alpha=alpha) if factor else None
    groups = param_groups(model, parameters.optimizer, lr=lr, depth=scheme)
    return model, kinds[parameters.optimizer](groups)


def _change(
    parameters: Parameters, setting: Setting, depth: int, alpha: float, factor: bool, seed: int
) -> float:
    """Return the RMS change of the features after some steps of training the blocks."""
    import torch

    from solvable.networks import train_batches

    split, size = setting.split, min(parameters.batch_size, len(setting.split.X))
    X = torch.as_tensor(split.X[:size], dtype=torch.float32)
    y = torch.as_tensor(split.y[:size], dtype=torch.float32)
    rate = _RATE[parameters.optimizer]
    model, optimizer = _network(parameters, setting, depth, alpha, factor, rate, seed, whole=False)
    with torch.no_grad():
        before = model.features(X)
    train_batches(model, optimizer, X, y, steps=_STEPS_OF_CHANGES)
    with torch.no_grad():
        return float((model.features(X) - before).square().mean().sqrt())


def _final_loss(
    parameters: Parameters, setting: Setting, depth: int, alpha: float, factor: bool, lr: float, seed: int
) -> float:
    from solvable.networks import train_batches

    split, size = setting.split, min(parameters.batch_size, len(setting.split.X))
    model, optimizer = _network(parameters, setting, depth, alpha, factor, lr, seed, whole=True)
    X, y = split.X.astype(np.float32), split.y.astype(np.float32)
    run = train_batches(model, optimizer, X, y, steps=parameters.steps, batch_size=size, random_state=seed)
    return run.final_loss()


def transfer_of(measurement: xr.Dataset, sweep: str) -> "Transfer":
    """Return the optima of the learning rates over the depths."""
    from solvable.scaling.sweep import from_losses

    losses = measurement.loss.sel(sweep=sweep).transpose("depth", "lr", "trial").values
    return from_losses(measurement.depth.values, measurement.lr.values, losses)


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Plot the features' changes over the depth, and the losses over the learning rate of both schemes."""
    from solvable.lab.compare import mean_and_error
    from solvable.lab.figure import COLORS, MARKERS, log_axes, measured_points, subplots
    from solvable.scaling.sweep import draw_losses

    figure, (change, *sweeps) = subplots(1, 3, height=3.1)
    for i, alpha in enumerate(prediction.alpha.values):
        for j, rates in enumerate(prediction.rates.values):
            where = {"alpha": alpha, "rates": rates}
            color = COLORS[2 * i + j]
            change.plot(prediction.depth, prediction.feature_change.sel(where), color=color)
            points = mean_and_error(measurement.feature_change.sel(where))
            label = f"α = {alpha:g}, {rates}"
            measured_points(
                change, measurement.depth, *points, color=color, fmt=MARKERS[2 * i + j], label=label
            )
    change.set(xlabel="residual blocks L", ylabel="change of features")
    log_axes(change)
    # Every number of blocks, and none between.
    change.set_xticks(measurement.depth.values)
    change.set_xticks([], minor=True)
    alone = f"α = {_ALONE[prediction.attrs['optimizer']]:g}, no factor"
    titles = dict(zip(_SWEEPS, ("CompleteP (α = 1)", alone), strict=True))
    for ax, sweep in zip(sweeps, _SWEEPS, strict=True):
        draw_losses(ax, transfer_of(measurement, sweep).data)
        ax.set_title(titles[sweep])
    handles, labels = change.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2, title="features")
    handles, labels = sweeps[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2, title="residual blocks")
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return how the best learning rate changes with the depth, with CompleteP and without a factor of the rates."""
    complete, alone = (transfer_of(measurement, sweep).change() for sweep in _SWEEPS)
    depths = measurement.depth.values
    return (
        f"Best learning rate from {depths[0]} to {depths[-1]} blocks: {complete} with CompleteP, "
        f"{alone} with a residual multiplier alone"
    )


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences with the exponents of depth and the drift of the best learning rate."""
    from solvable.scaling.coordinates import slope

    depths, parts = measurement.depth.values, []
    for alpha in prediction.alpha.values:
        for rates in prediction.rates.values:
            where = {"alpha": alpha, "rates": rates}
            values = measurement.feature_change.sel(where).transpose("depth", "trial").values
            expected = prediction.feature_change.sel(where)
            power = np.log(float(expected[-1])) / np.log(depths[-1] / depths[0]) if len(depths) > 1 else 0.0
            measured = slope(depths, values)[0] if len(depths) > 1 else np.nan
            parts.append(
                f"L^{readable(measured, 2)} for α = {alpha:g} {rates} (predicted L^{readable(power + 0.0, 2)})"
            )
    optimizer = prediction.attrs["optimizer"]
    text = f"With {optimizer.upper() if optimizer == 'sgd' else 'Adam'}, the features change by {', '.join(parts)}."
    for sweep, words in zip(
        _SWEEPS, ("with CompleteP", f"with α = {_ALONE[optimizer]:g} and no factor"), strict=True
    ):
        done = transfer_of(measurement, sweep)
        edge = ", at the edge of the grid" if bool(done.data.at_edge.any()) else ""
        text += (
            f" {words[0].upper()}{words[1:]}, the best learning rate drifts by "
            f"{with_error(done.drift, done.drift_error)} octaves per doubling of the depth{edge}."
        )
    return text


study = Study(
    name="depth",
    title="Features and learning rates that do not depend on depth: residual multipliers and CompleteP",
    paper=(
        "N. Dey et al., Don't be lazy: CompleteP enables compute-efficient deep transformers, 2025, arXiv:2505.01618; "
        "G. Yang, D. Yu, C. Zhu, S. Hayou, Tensor Programs VI, 2023, arXiv:2310.02244"
    ),
    question="Can I tune the learning rate on a shallow residual network and use it on a deep one?",
    Parameters=Parameters,
    tiny=Parameters(data="wine", depths=(2, 4), width=8, steps=4, batch_size=32, trials=2),
    compared=("feature_change",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"residual block with weights $W_1, W_2$, of $L$: $h \leftarrow h + L^{-\alpha} W_2 \phi(W_1 h)$",
        r"factor of the blocks' learning rates: $L^{\alpha - 1}$ for Adam, $L^{2 \alpha - 1}$ for SGD",
        r"change of the features $h$: $\Delta h \sim 1$ with the factor; without it $\Delta h \sim L^{1 - \alpha}$ "
        r"(Adam), $\Delta h \sim L^{1 - 2 \alpha}$ (SGD)",
    ),
)
