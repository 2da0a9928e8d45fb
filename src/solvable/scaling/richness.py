r"""The study `richness`: how the largest stable learning rate depends on how much a network learns features.

A network $f$ whose output is replaced by $(f - f_0)/\gamma$ must change its weights the more the larger the richness
$\gamma$ is. The solvable model of `theory.max_lr_richness` predicts that the largest stable learning rate goes as
$\gamma^2$ for lazy training ($\gamma \ll 1$) and as $\gamma^{2/L}$ for rich training ($\gamma \gg 1$), with L layers of
weights. Real ReLU networks on real data are measured beside it.

Source: Atanasov, Meterez, Simon and Pehlevan, 2024, arXiv:2410.04642.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.datasets.labels import Task
from solvable.lab import Comparison, DataParameters, Study, check_parameters
from solvable.lab.parameters import seed_of
from solvable.lab.text import readable
from solvable.machine import at_once, bytes_of_training, need_memory
from solvable.scaling.study import Setting, need_two, split_data
from solvable.scaling.theory import max_lr_richness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAZY, RICH = "lazy", "rich"
_GAIN, _MOST_POINTS = 2**0.5, 256
# The search for the largest stable rate starts here, doubles or halves, and then halves the interval this often.
_FIRST_LR, _HALVINGS, _MOST_DOUBLINGS = 1.0, 3, 40


@dataclass(frozen=True)
class Parameters(DataParameters):
    """The networks, the data and the training."""

    task: Task = "auto"
    """Meaning of an integer target in a file; auto: classes if there are few different integers."""

    n_train: int | None = None
    """Number of training points; by default half of the data, at most 256."""

    gammas: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
    """Richness: the outputs are divided by it."""

    layers: tuple[int, ...] = (2, 3, 4)
    """Numbers of layers of weights."""

    width: int = 128
    """Width of the hidden layers."""

    steps: int = 100
    """Number of steps over which training must be stable."""

    trials: int = 2
    """Number of random initialisations."""

    random_state: int = 0
    """Seed of the split and the weights."""

    def __post_init__(self) -> None:
        least = {"n_train": 2, "layers": 2, "width": 1, "steps": 1, "trials": 1}
        limits = {"layers": 1000, "steps": 100_000, "gammas": 1e9}
        check_parameters(self, at_least=least | {"gammas": 1e-9}, at_most=limits)
        need_two("gammas", self.gammas)
        inner = [self.width] * (max(self.layers) - 1)
        n_bytes = at_once(self.trials) * bytes_of_training(inner, self.n_train or _MOST_POINTS)
        need_memory(n_bytes, f"training networks of width {self.width}", "lower width or layers")


def prepare(parameters: Parameters) -> Setting:
    """Load and split the data."""
    return split_data(
        parameters, parameters.task, parameters.n_train, parameters.random_state, most=_MOST_POINTS
    )


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the largest stable learning rates of the solvable model, and their exponents at both ends."""
    gammas = np.unique(parameters.gammas)
    grid = np.unique(np.concatenate([gammas, np.geomspace(gammas[0], gammas[-1], 60)]))
    layers = np.unique(parameters.layers)
    rates = np.array([max_lr_richness(grid, int(depth)) for depth in layers])
    ends = np.array([[2.0, 2 / depth] for depth in layers])
    return xr.Dataset(
        {
            # In units of the rate at the geometric mean of the richnesses, since the networks have other constants.
            "max_lr": (("layers", "gamma"), rates),
            "exponent": (("layers", "regime"), ends),
        },
        {"layers": layers, "gamma": grid, "regime": [LAZY, RICH]},
        {"data": parameters.data, "width": parameters.width, "steps": parameters.steps},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Return the largest stable learning rate of a network for each richness and number of layers."""
    gammas, layers = np.unique(parameters.gammas), np.unique(parameters.layers)
    rates = np.empty((len(layers), len(gammas)))
    for i, depth in enumerate(layers):
        seed = seed_of(parameters.random_state, 1 + index, i)
        guess = _FIRST_LR
        for j, gamma in enumerate(gammas):
            # From one richness to the next, the rate changes by no more than the square of the ratio.
            guess = rates[i, j] = largest_stable_lr(
                parameters, setting, int(depth), float(gamma), guess, seed
            )
    slopes = np.full((len(layers), 1), np.nan)
    if len(gammas) > 1:
        slopes = np.diff(np.log(rates), axis=1) / np.diff(np.log(gammas))
    return xr.Dataset(
        {
            "largest_lr": (("layers", "gamma"), rates),
            "exponent": (("layers", "regime"), slopes[:, [0, -1]]),
        },
        {"layers": layers, "gamma": gammas, "regime": [LAZY, RICH]},
    )


def largest_stable_lr(
    parameters: Parameters, setting: Setting, depth: int, gamma: float, guess: float, seed: int
) -> float:
    """Return the largest learning rate, to a factor of 2^(1/8), at which training does not diverge."""
    low = high = guess
    if _is_stable(parameters, setting, depth, gamma, guess, seed):
        for _ in range(_MOST_DOUBLINGS):
            high *= 2
            if not _is_stable(parameters, setting, depth, gamma, high, seed):
                break
            low = high
    else:
        for _ in range(_MOST_DOUBLINGS):
            low /= 2
            if _is_stable(parameters, setting, depth, gamma, low, seed):
                break
            high = low
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if _is_stable(parameters, setting, depth, gamma, middle, seed):
            low = middle
        else:
            high = middle
    return low


def _is_stable(
    parameters: Parameters, setting: Setting, depth: int, gamma: float, lr: float, seed: int
) -> bool:
    """Return whether full-batch gradient descent of (f - f_0)/gamma ends below its first loss."""
    import torch
    from torch import nn

    from solvable.networks import centred, train_batches
    from solvable.scaling.experiment import groups_of, initialise, mlp

    split = setting.split
    X, y = (torch.as_tensor(one, dtype=torch.float32) for one in (split.X, split.y))
    model = mlp(X.shape[1], parameters.width, y.shape[1], depth)
    initialise(model, "spectral", _GAIN, seed)

    class Divided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = centred(model)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x) / gamma

    optimizer = torch.optim.SGD(groups_of(model, "spectral", "sgd", lr))
    run = train_batches(Divided(), optimizer, X, y, steps=parameters.steps)
    return not run.diverged and run.final_loss() < run.losses[0]


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Plot the largest stable learning rate over the richness; the model's two units are fitted to each network."""
    from solvable.lab.figure import COLORS, MARKERS, legend, log_axes, measured_points, subplots

    figure, ax = subplots(1, 1, width=4.6, height=3.6)
    measured = np.log(measurement.largest_lr)
    gammas = measurement.gamma.values
    for i, depth in enumerate(prediction.layers.values):
        one = measured.sel(layers=depth)
        unit, factor = _constants(gammas, one.mean("trial").values, int(depth))
        theory = factor * max_lr_richness(prediction.gamma.values / unit, int(depth))
        style = {"color": COLORS[i % len(COLORS)]}
        ax.plot(prediction.gamma, theory, **style)
        mean = np.exp(one.mean("trial"))
        error = mean * one.std("trial", ddof=1) if one.sizes["trial"] > 1 else None
        label = f"{depth} layers"
        measured_points(
            ax, measurement.gamma, mean, error, fmt=MARKERS[i % len(MARKERS)], label=label, **style
        )
    ax.set(xlabel="richness γ", ylabel="largest stable learning rate")
    log_axes(ax)
    legend(ax)
    return figure


def _constants(gammas: NDArray[np.float64], log_lrs: NDArray[np.float64], depth: int) -> tuple[float, float]:
    """Return the units of richness and of the learning rate with which the solvable model is nearest to a network."""
    best = (np.inf, 1.0, 1.0)
    for unit in 10 ** np.arange(-3.0, 3.01, 0.1):
        off = log_lrs - np.log(max_lr_richness(gammas / unit, depth))
        best = min(best, (float(off.var()), float(unit), float(np.exp(off.mean()))))
    return best[1], best[2]


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return how the largest stable learning rate grows between the outermost richnesses, for the deepest nets."""
    gammas, depth = measurement.gamma.values, int(measurement.layers[-1])
    measured, limits = (one.exponent.sel(layers=depth) for one in (measurement.mean("trial"), prediction))
    parts: dict[str, list[str]] = {}
    for regime, (low, high) in zip((LAZY, RICH), (gammas[:2], gammas[-2:]), strict=True):
        growth, limit = (
            readable(float((high / low) ** one.sel(regime=regime)), 2) for one in (measured, limits)
        )
        # Of two richnesses in all, both limits are predictions.
        parts.setdefault(f"{readable(low, 2)}→{readable(high, 2)}: ×{growth}", []).append(limit)
    steps = ", ".join(f"{step} (theory {' or '.join(one)})" for step, one in parts.items())
    return f"Largest stable learning rate at richness {steps}; {depth} layers"


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return a sentence with the exponents for lazy and rich training."""
    mean = measurement.exponent.mean("trial")
    parts = [
        f"γ^{readable(float(mean.sel(layers=depth, regime=LAZY)), 3)} and "
        f"γ^{readable(float(mean.sel(layers=depth, regime=RICH)), 2)} with {depth} layers (predicted γ^2 and "
        f"γ^{readable(2 / depth, 2)})"
        for depth in prediction.layers.values.tolist()
    ]
    gammas = measurement.gamma.values
    return (
        f"Between the two smallest and the two largest richnesses of {readable(float(gammas[0]))} to "
        f"{readable(float(gammas[-1]))}, the largest stable learning rate goes as {'; '.join(parts)}."
    )


study = Study(
    name="richness",
    title="From lazy to rich: how the largest stable learning rate depends on the feature learning strength",
    paper=(
        "A. Atanasov, A. Meterez, J. B. Simon, C. Pehlevan, The optimization landscape of SGD across the feature "
        "learning strength, ICLR 2025, arXiv:2410.04642"
    ),
    question="How must I change the learning rate to make my network learn features more, or less?",
    Parameters=Parameters,
    tiny=Parameters(
        data="wine", n_train=40, gammas=(0.1, 1.0, 10.0), layers=(2,), width=16, steps=10, trials=2
    ),
    compared=("exponent",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"solvable model of $L$ layers with richness $\gamma$, from $a_i = 1$ to the target $y = 1$: "
        r"$f = (a_1 \cdots a_L - 1) / \gamma$",
        r"its largest stable learning rate, 2 over the sharpness of $\frac{1}{2} (f - y)^2$ at the solution: "
        r"$\eta_{\max} = \frac{2}{L} \gamma^2 (1 + \gamma)^{2/L - 2}$",
        r"limits: $\eta_{\max} \sim \gamma^2$ for lazy training ($\gamma \ll 1$), "
        r"$\eta_{\max} \sim \gamma^{2/L}$ for rich ($\gamma \gg 1$)",
    ),
)
