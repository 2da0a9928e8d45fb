r"""The study `scaling`: do features and the best learning rate stay the same when a network gets wider?

Two measurements on networks of several widths. *Changes*: full-batch gradient descent on two classes to a wanted loss,
then the relative change of every weight matrix and of the features, under the spectral condition and in the NTK
parametrization (NTP).
*Learning rates*: the loss after some steps of mini-batch SGD for a grid of learning rates, under the condition and in
the standard parametrization (SP). The prediction is how the changes grow with the width n:

| | spectral | NTP |
|---|---|---|
| $\|\Delta W\|_*/\|W\|_*$ | 1 | $n^{-1/2}$ |
| $\|\Delta W\|_F/\|W\|_F$ | 1, in hidden layers $n^{-1/2}$ | $n^{-1/2}$, in hidden layers $n^{-1}$ |
| $\|\Delta h\|/\|h\|$ of hidden features | 1 | $n^{-1/2}$ |

Source: Yang, Simon and Bernstein, 2023, arXiv:2310.17813, figure 1.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.datasets.labels import Task
from solvable.datasets.sphere import Split, split_on_sphere
from solvable.errors import InputError
from solvable.lab import Comparison, DataParameters, Study, check_parameters
from solvable.lab.parameters import seed_of
from solvable.lab.text import readable, with_error
from solvable.machine import at_once, bytes_of_training, need_memory
from solvable.scaling.drawing import CHANGES, NTP, SP, SPECTRAL, SWEEPS, plot, transfer_of
from solvable.scaling.parametrizations import exponents

if TYPE_CHECKING:
    pass

_MOST_ROWS, _MOST_TRAINING_POINTS, _POINTS_OFCHANGES = 6000, 1000, 200
# The rates with which changes are measured, slow enough to follow the gradient flow at every width.
_RATES = {SPECTRAL: 0.05, NTP: 0.05}
_MOST_STEPS = 4000
# Largest and smallest log2 learning rate of the sweeps at the narrowest width; both parametrizations agree there.
_OCTAVES = {SPECTRAL: (-6.0, 1.5), SP: (-12.0, -2.5)}
_GAIN = 2**0.5


@dataclass(frozen=True)
class Parameters(DataParameters):
    """The networks, the data and the training."""

    task: Task = "auto"
    """Meaning of an integer target in a file; auto: classes if there are few different integers."""

    n_train: int | None = None
    """Number of training points; by default half of the data, at most 1000."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Widths of the hidden layers."""

    depth: int = 3
    """Number of layers of weights."""

    loss_share: float = 0.05
    """Changes are measured when gradient descent has brought the loss to this share of its first value."""

    steps: int = 60
    """Number of steps of the runs that compare learning rates."""

    batch_size: int = 128
    """Samples in a batch of those runs."""

    lrs_per_octave: int = 2
    """Learning rates tried per factor of 2."""

    trials: int = 4
    """Number of random initialisations."""

    random_state: int = 0
    """Seed of the split, the weights and the batches."""

    def __post_init__(self) -> None:
        least = {
            "n_train": 2,
            "widths": 2,
            "depth": 2,
            "steps": 1,
            "batch_size": 1,
            "lrs_per_octave": 1,
            "trials": 1,
        }
        most = {"depth": 1000, "steps": 100_000, "lrs_per_octave": 1000}
        check_parameters(self, at_least=least | {"loss_share": 1e-6}, at_most=most)
        need_two("widths", self.widths)
        inner = [max(self.widths)] * (self.depth - 1)
        n_bytes = at_once(self.trials) * bytes_of_training(inner, self.batch_size)
        need_memory(
            n_bytes, f"training networks of width {max(self.widths)}", "lower widths, depth or batch_size"
        )
        if self.loss_share >= 1:
            raise InputError(
                f"loss_share is {self.loss_share:g}; expected a share below 1, to which the loss falls"
            )


def need_two(name: str, values: tuple[float, ...]) -> None:
    """Raise unless an axis along which exponents are fitted has two values."""
    if len(values) < 2:
        raise InputError(f"{name} has one value; expected two or more, as the exponents of a line are fitted")


@dataclass(frozen=True, eq=False)
class Setting:
    """The data on the sphere."""

    split: Split
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Load and split the data."""
    halves = (
        "changes of weights and features are measured on two classes, 1 and -1: the first half of the classes against "
        "the others, or for one column of numbers those above the median"
    )
    setting = split_data(parameters, parameters.task, parameters.n_train, parameters.random_state)
    return replace(setting, notes=(*setting.notes, halves))


def split_data(
    parameters: DataParameters,
    task: Task,
    n_train: int | None,
    random_state: int,
    most: int = _MOST_TRAINING_POINTS,
) -> Setting:
    """Load and split the data of any of the wing's studies; by default half is for training, at most `most` points."""
    import solvable.networks  # noqa: F401  # says so if torch is missing

    data = parameters.load(task, _MOST_ROWS, random_state)
    split = split_on_sphere(data, n_train or min(len(data.X) // 2, most), random_state)
    return Setting(split, (*data.notes, *split.notes), data.fingerprint)


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return how the changes of each layer grow with the width, relative to the narrowest network."""
    widths = np.unique(parameters.widths)
    grid = np.unique(np.concatenate([widths, np.geomspace(widths[0], widths[-1], 30).round()])).astype(
        np.int64
    )
    ratio = grid / widths[0]
    depth = parameters.depth
    growth = {
        name: np.empty((len(CHANGES), depth, len(grid))) for name in ("spectral_change", "frobenius_change")
    }
    features = np.full((len(CHANGES), depth, len(grid)), np.nan)
    for i, name in enumerate(CHANGES):
        weight, update = (exponents(name, "sgd", depth, what) for what in ("weight", "update"))
        # A matrix of independent entries has a Frobenius norm of √(smaller side) spectral norms, an update a few.
        sides = np.array([0.0, *[0.5] * (depth - 2), 0.0])
        growth["spectral_change"][i] = ratio ** (update - weight)[:, None]
        growth["frobenius_change"][i] = ratio ** (update - weight - sides)[:, None]
        hidden = exponents(name, "sgd", depth, "feature_change")[:-1]
        features[i, :-1] = ratio ** hidden[:, None]
    dims = ("parametrization", "layer", "width")
    return xr.Dataset(
        {name: (dims, values) for name, values in growth.items()} | {"feature_change": (dims, features)},
        {"parametrization": list(CHANGES), "layer": np.arange(1, depth + 1), "width": grid},
        {
            "data": parameters.data,
            "depth": depth,
            "steps": parameters.steps,
            "loss_share": parameters.loss_share,
        },
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train networks of all widths, and return their changes and the losses for all learning rates."""
    widths, depth = np.unique(parameters.widths), parameters.depth
    shape = (len(CHANGES), depth, len(widths))
    names = ("spectral_change", "frobenius_change", "feature_change")
    raw = {name: np.full(shape, np.nan) for name in names}
    for i, name in enumerate(CHANGES):
        for j, width in enumerate(widths):
            seed = seed_of(parameters.random_state, 1 + index, i, j)
            changes = _changes(parameters, setting.split, name, int(width), seed)
            for key, values in changes.items():
                raw[key][i, : len(values), j] = values
    octaves = {name: _grid(name, parameters.lrs_per_octave) for name in SWEEPS}
    rungs = max(map(len, octaves.values()))
    lrs, losses = np.full((len(SWEEPS), rungs), np.nan), np.full((len(SWEEPS), len(widths), rungs), np.nan)
    for i, name in enumerate(SWEEPS):
        lrs[i, : len(octaves[name])] = octaves[name]
        for j, width in enumerate(widths):
            seed = seed_of(parameters.random_state, 1 + index, 2 + i, j)
            for k, lr in enumerate(octaves[name]):
                losses[i, j, k] = _final_loss(parameters, setting.split, name, int(width), float(lr), seed)
    dims = ("parametrization", "layer", "width")
    return xr.Dataset(
        # Relative to the narrowest network, as predicted; the values themselves are kept beside.
        {name: (dims, raw[name] / raw[name][..., :1]) for name in names}
        | {f"absolute_{name}": (dims, raw[name]) for name in names}
        | {"lr": (("sweep", "rung"), lrs), "loss": (("sweep", "width", "rung"), losses)},
        {
            "parametrization": list(CHANGES),
            "layer": np.arange(1, depth + 1),
            "width": widths,
            "sweep": list(SWEEPS),
            "rung": np.arange(rungs),
        },
    )


def _grid(name: str, per_octave: int) -> NDArray[np.float64]:
    low, high = _OCTAVES[name]
    return 2.0 ** np.arange(low, high + 1e-9, 1 / per_octave)


def _changes(
    parameters: Parameters, split: Split, name: str, width: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return the relative changes of weights and hidden features when the loss has fallen to the wanted share."""
    import torch

    from solvable.networks import train_batches
    from solvable.scaling.experiment import groups_of, hidden_features, initialise, mlp
    from solvable.scaling.norms import spectral_norm

    X = torch.as_tensor(split.X[:_POINTS_OFCHANGES], dtype=torch.float32)
    y = torch.as_tensor(two_classes(split.y)[:_POINTS_OFCHANGES], dtype=torch.float32)
    model = mlp(X.shape[1], width, y.shape[1], parameters.depth)
    initialise(model, name, _GAIN, seed)
    weights = [p.detach().clone() for p in model.parameters()]
    features = hidden_features(model, X)
    optimizer = torch.optim.SGD(groups_of(model, name, "sgd", _RATES[name]))
    first = float((model(X) - y).detach().square().sum()) / len(X)
    run = train_batches(model, optimizer, X, y, steps=_MOST_STEPS, stop_at=parameters.loss_share * first)
    moved = [p.detach() - w for p, w in zip(model.parameters(), weights, strict=True)]
    changed = zip(hidden_features(model, X), features, strict=True)
    if run.diverged:
        nan = np.full(parameters.depth, np.nan)
        return {"spectral_change": nan, "frobenius_change": nan, "feature_change": nan[:-1]}
    return {
        "spectral_change": np.array(
            [spectral_norm(d) / spectral_norm(w) for d, w in zip(moved, weights, strict=True)]
        ),
        "frobenius_change": np.array(
            [float(d.norm() / w.norm()) for d, w in zip(moved, weights, strict=True)]
        ),
        "feature_change": np.array([float((after - h).norm() / h.norm()) for after, h in changed]),
    }


def two_classes(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return targets of 1 and -1 `(n, 1)`: the first half of the classes against the others, or above the median."""
    if y.shape[1] > 1:
        return np.where(y.argmax(axis=1) < y.shape[1] / 2, 1.0, -1.0)[:, None]
    return np.where(y > np.median(y), 1.0, -1.0)


def _final_loss(parameters: Parameters, split: Split, name: str, width: int, lr: float, seed: int) -> float:
    import torch

    from solvable.networks import train_batches
    from solvable.scaling.experiment import groups_of, initialise, mlp

    model = mlp(split.X.shape[1], width, split.y.shape[1], parameters.depth)
    initialise(model, name, _GAIN, seed)
    optimizer = torch.optim.SGD(groups_of(model, name, "sgd", lr))
    size = min(parameters.batch_size, len(split.X))
    run = train_batches(
        model,
        optimizer,
        split.X.astype(np.float32),
        split.y.astype(np.float32),
        steps=parameters.steps,
        batch_size=size,
        random_state=seed,
    )
    return run.final_loss()


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return how the best learning rate changes with the width, under the condition and without it."""
    spectral, standard = (transfer_of(measurement, name).change() for name in (SPECTRAL, SP))
    widths = measurement.width.values
    return (
        f"Best learning rate from width {widths[0]} to {widths[-1]}: {spectral} under the spectral condition, "
        f"{standard} without it"
    )


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences with the measured exponents and the drift of the best learning rate."""
    from solvable.scaling.coordinates import slope

    sentences = []
    hidden = 2 if prediction.attrs["depth"] > 2 else 1
    for name, words in ((SPECTRAL, "Under the spectral condition"), (NTP, "in the NTK parametrization")):
        found = []
        for quantity in ("spectral_change", "frobenius_change"):
            values = (
                measurement[quantity]
                .sel(parametrization=name, layer=hidden)
                .transpose("width", "trial")
                .values
            )
            values = values[:, np.isfinite(values).all(axis=0)]
            exponent = slope(measurement.width.values, values)[0] if values.size else np.nan
            found.append(f"width^{readable(exponent, 2)}" if np.isfinite(exponent) else "(training diverged)")
        sentences.append(
            f"{words} the relative change of layer {hidden}'s weights goes as {found[0]} in spectral norm and as "
            f"{found[1]} in Frobenius norm"
        )
    widths = measurement.width.values
    text = f"{sentences[0]}; {sentences[1]}."
    for name, words in ((SPECTRAL, "Under the condition"), (SP, "with one learning rate for all layers")):
        done = transfer_of(measurement, name)
        last = float(done.data.transferred_loss[-1])
        reached = readable(last, 3) if np.isfinite(last) else "diverges"
        edge = ", at the edge of the grid" if bool(done.data.at_edge.any()) else ""
        text += (
            f" {words[0].upper()}{words[1:]}, the best one drifts by {with_error(done.drift, done.drift_error)} "
            f"octaves per doubling of the width{edge}: at width {widths[-1]} the best of width {widths[0]} "
            + (f"reaches a loss of {reached}" if np.isfinite(last) else reached)
            + f" (best there: {readable(float(done.data.best_loss[-1]), 3)})."
        )
    return text


study = Study(
    name="scaling",
    title="Features and learning rates that do not depend on width: the spectral condition",
    paper=(
        "G. Yang, J. B. Simon, J. Bernstein, A spectral condition for feature learning, 2023, arXiv:2310.17813"
    ),
    question="Can I tune the learning rate on a narrow network and use it on a wide one?",
    Parameters=Parameters,
    tiny=Parameters(
        data="wine", widths=(16, 32), steps=6, batch_size=32, lrs_per_octave=1, loss_share=0.5, trials=2
    ),
    compared=("spectral_change", "frobenius_change", "feature_change"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"spectral norms of every layer's weights $W$ and their updates $\Delta W$, from $n$ to $m$ units, under the "
        r"condition: $\|W\| \sim \|\Delta W\| \sim \sqrt{m / n}$",
        r"then the relative changes of weights and features $h$ do not depend on the width $n$: "
        r"$\|\Delta W\| / \|W\| \sim 1$, $\|\Delta h\| / \|h\| \sim 1$; in the NTK parametrization they "
        r"fall as $n^{-1/2}$",
        r"in Frobenius norm those of hidden weights fall: $\|\Delta W\|_F / \|W\|_F \sim n^{-1/2}$, in the NTK "
        r"parametrization $n^{-1}$",
    ),
)
