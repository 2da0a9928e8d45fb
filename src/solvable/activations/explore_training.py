"""Training on the page (`page.py`), without marimo: the net of `explore.py` and a ReLU net.

Both learn handwritten digits, and are compared with the predictions of their kernels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from solvable.activations.explore import Choice, shape
from solvable.errors import InputError, missing_extra
from solvable.kernels import NNGP
from solvable.kernels.duals import ABReLU
from solvable.lab.chart import Curve, LogAxis, chart
from solvable.lab.text import percent, readable

if TYPE_CHECKING:
    from solvable.activations.experiment import Model
    from solvable.datasets.sphere import Split
    from solvable.networks import Training

TASKS = {"which of the ten digits": "ten", "a zero or not": "zero"}
"""Tasks by their names on the page."""
MOST_TRAINED, STEPS = 1024, 120
"""Largest number of neurons, and number of steps of gradient descent: a few seconds on one core."""

_RECORD_AT = (1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 80, 100, 120)
_N_TRAIN = 400
# Share of the rate at which an infinitely wide net would diverge; a finite net's kernel may have larger eigenvalues.
_SAFE = 0.4


def torch_missing() -> str:
    """Return the message about a missing torch, or an empty string if it is installed."""
    return "" if find_spec("torch") is not None else str(missing_extra("torch", "nets", "training a network"))


@dataclass(frozen=True, eq=False)
class Trained:
    """Training records of two nets of one hidden layer and the predictions of their kernels.

    Attributes:
        formula: the designed activation as text.
        kind: "ntk" or "nngp".
        names: names of the nets, "designed" first.
        measured: training record of each net.
        predicted: data set from `training_curve` for each net.
        steps: recorded steps of gradient descent.
        rate: learning rate of both nets.
        width: number of neurons of both nets.
    """

    formula: str
    kind: str
    names: tuple[str, str]
    measured: tuple["Training", "Training"]
    predicted: tuple[Any, Any]
    steps: NDArray[np.int64]
    rate: float
    width: int


def train_both(
    choice: Choice, width: int, task: str, watch: Callable[[str], None] = lambda stage: None, seed: int = 0
) -> Trained:
    """Train a net with the designed activation and a ReLU net on handwritten digits.

    Args:
        choice: the settings of the activation.
        width: number of neurons, reduced to at most `MOST_TRAINED`.
        task: a value of `TASKS`.
        watch: called with the name of each stage before it begins.
        seed: seed of both nets' weights.

    Raises:
        InputError: as in `explore.shape`; a `MissingExtraError` without torch.
    """
    phi = shape(choice).phi
    if missing := torch_missing():
        raise InputError(missing)
    from solvable.activations.experiment import Model
    from solvable.activations.training import training_curve

    width = min(width, MOST_TRAINED)
    watch("computing the predictions of the kernels")
    split = _digits(task)
    models = (
        Model("designed", phi, 1, width, 1.0, 0.0),
        Model("ReLU", ABReLU(), 1, width, 2**0.5, 0.0),
    )
    data = split.X, split.y, split.X_test, split.y_test
    kernels = [model.kernel() for model in models]
    if choice.kind == "nngp":
        kernels = [NNGP(1, model.activation, w_std=model.w_std) for model in models]
    # The kernel with the largest eigenvalue sets the rate, so that neither net diverges.
    largest = min(_largest_rate(kernel, split) for kernel in kernels)
    rate = float(f"{_SAFE * largest:.2g}")
    predictions = [training_curve(kernel, *data, rate, (0, *_RECORD_AT)) for kernel in kernels]
    records = []
    for model in models:
        watch(f"training the {model.name} net, {STEPS} steps")
        records.append(_train(model, split, rate, choice.kind == "nngp", seed))
    return Trained(
        str(phi.formula),
        choice.kind,
        (models[0].name, models[1].name),
        (records[0], records[1]),
        (predictions[0], predictions[1]),
        np.array((0, *_RECORD_AT)),
        rate,
        width,
    )


def _largest_rate(kernel: Any, split: "Split") -> float:
    values = np.linalg.eigvalsh(np.asarray(kernel(split.X)))
    return len(split.X) / float(values[-1])


@lru_cache(maxsize=2)
def _digits(task: str) -> "Split":
    """Return 400 digits for training and the others for testing; for the task "zero" the targets are 1 and -1."""
    from solvable import datasets
    from solvable.datasets.sphere import split_on_sphere

    split = split_on_sphere(datasets.load("digits"), _N_TRAIN, 0)
    if task == "zero":
        return replace(split, y=2 * split.y[:, :1] - 1, y_test=2 * split.y_test[:, :1] - 1)
    return split


def _train(model: "Model", split: "Split", rate: float, readout_only: bool, seed: int) -> "Training":
    from solvable.networks import centred, train

    net = model.net(split.X.shape[1], split.y.shape[1], seed)
    if readout_only:
        net.layers[0].requires_grad_(False)
    return train(
        centred(net),
        split.X,
        split.y,
        rate,
        STEPS,
        X_test=split.X_test,
        y_test=split.y_test,
        record_at=(0, *_RECORD_AT),
    )


@dataclass(frozen=True)
class TrainedView:
    """Content of the page after training: two charts as SVG, facts, a note on the nets, and a warning or ""."""

    train_loss: str
    test_loss: str
    facts: tuple[tuple[str, str, str], ...]
    note: str
    warning: str


def trained_view(trained: Trained) -> TrainedView:
    """Return charts and numbers for two trained nets."""
    charts = [_loss_chart(trained, name) for name in ("train_loss", "test_loss")]
    designed, relu = trained.measured
    theory = trained.predicted[0]
    layer = "hidden layer" if trained.kind == "ntk" else "readout"
    facts = [
        _loss_fact("training loss", "train_loss", designed, theory),
        _loss_fact("test loss", "test_loss", designed, theory),
        (
            "wrong test answers",
            percent(float(designed.test_error_rate[-1]), 2),
            f"the ReLU net: {percent(float(relu.test_error_rate[-1]), 2)}",
        ),
        (
            "weights moved by",
            percent(float(designed.movement[-1]), 2),
            f"{layer}; the ReLU net: {percent(float(relu.movement[-1]), 2)}",
        ),
    ]
    diverged = [name for name, one in zip(trained.names, trained.measured, strict=True) if one.diverged]
    note = (
        f"One hidden layer of {trained.width} neurons with φ(z) = {trained.formula}, trained for {STEPS} steps at rate "
        f"{readable(trained.rate)}, like the ReLU net."
    )
    warning = (
        f"The {' and the '.join(diverged)} net diverged: with so few neurons its kernel is far from the "
        "infinite-width kernel. Use more neurons, or an activation that needs fewer."
        if diverged
        else ""
    )
    return TrainedView(charts[0], charts[1], tuple(facts), note, warning)


def _loss_fact(words: str, name: str, record: "Training", theory: Any) -> tuple[str, str, str]:
    return (
        words,
        "diverged" if record.diverged else readable(float(getattr(record, name)[-1]), 3),
        f"its kernel predicts {readable(float(theory[name][-1]), 3)}",
    )


def _loss_chart(trained: Trained, name: str) -> str:
    steps = trained.steps[1:]
    curves, values = [], []
    for net, record, prediction in zip(trained.names, trained.measured, trained.predicted, strict=True):
        losses, theory = record.at(trained.steps, name)[1:], prediction[name].to_numpy()[1:]
        kind = "realised" if net == "designed" else "other"
        curves += [
            Curve(steps, losses, classes=kind),
            Curve(steps, theory, dashed=np.ones(len(theory), bool), classes=f"{kind} theory"),
        ]
        values += [losses, theory]
    positive = np.concatenate(values)
    positive = positive[np.isfinite(positive) & (positive > 0)]
    start = float(trained.predicted[0][name][0])
    low = max(float(positive.min()) * 0.8, 1e-6 * start)
    title = {"train_loss": "Loss on the training points", "test_loss": "Loss on new points"}[name]
    x = LogAxis("steps of gradient descent", 1, STEPS)
    y = LogAxis("squared error, mean over points", min(low, 0.5 * start), 1.2 * start)
    return chart(title, x, y, curves)
