"""What the wing's page shows of training (`page.py`), without the page: the net of `explore.py` beside one with ReLU.

Both learn handwritten digits; what their kernels said before stands beside what they did.
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
    from solvable.activations.experiment import Model, Split
    from solvable.networks import Training

TASKS = {"which of the ten digits": "ten", "a zero or not": "zero"}
"""What the page calls a task -> the task."""
MOST_TRAINED, STEPS = 1024, 120
"""Neurons that are trained at most, and steps of gradient descent: a few seconds on one core."""

_RECORDED = (1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 80, 100, 120)
_N_TRAIN = 400
# Of the rate at which an infinitely wide net would diverge; kernels of finite ones are larger here and there.
_SAFE = 0.4


def torch_missing() -> str:
    """Return the sentence that says what training needs and how to get it; nothing where it is there."""
    return "" if find_spec("torch") is not None else str(missing_extra("torch", "nets", "training a network"))


@dataclass(frozen=True, eq=False)
class Trained:
    """Two nets of one hidden layer, trained, and what their kernels said before; each by `steps`.

    Attributes:
        formula: of the designed activation, as one reads it.
        kind: "ntk" or "nngp".
        names: of the nets, "designed" first.
        measured: what training recorded, a net each.
        predicted: `training_curve`'s data set, a net each.
        steps: of gradient descent.
        rate: of both.
        width: of both.
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
    """Train a net with the activation, and one with ReLU, on handwritten digits.

    Args:
        choice: the activation that is asked for.
        width: number of neurons, of which at most `MOST_TRAINED` are taken.
        task: a value of `TASKS`.
        watch: is told each stage of the work before it begins.
        seed: of both nets' weights.

    Raises:
        InputError: as `explore.shape`; a `MissingExtraError` without torch.
    """
    phi = shape(choice).phi
    if missing := torch_missing():
        raise InputError(missing)
    from solvable.activations.experiment import Model
    from solvable.activations.training import training_curve

    width = min(width, MOST_TRAINED)
    watch("asking the kernels what will happen")
    split = _digits(task)
    models = (
        Model("designed", phi, 1, width, 1.0, 0.0),
        Model("ReLU", ABReLU(), 1, width, 2**0.5, 0.0),
    )
    data = split.X, split.y, split.X_test, split.y_test
    kernels = [model.kernel() for model in models]
    if choice.kind == "nngp":
        kernels = [NNGP(1, model.activation, w_std=model.w_std) for model in models]
    # As fast as the steeper of the two kernels allows, so that neither net diverges.
    largest = min(_largest_rate(kernel, split) for kernel in kernels)
    rate = float(f"{_SAFE * largest:.2g}")
    predicted = [training_curve(kernel, *data, rate, (0, *_RECORDED)) for kernel in kernels]
    measured = []
    for model in models:
        watch(f"training the {model.name} net, {STEPS} steps")
        measured.append(_train(model, split, rate, choice.kind == "nngp", seed))
    return Trained(
        str(phi.formula),
        choice.kind,
        (models[0].name, models[1].name),
        (measured[0], measured[1]),
        (predicted[0], predicted[1]),
        np.array((0, *_RECORDED)),
        rate,
        width,
    )


def _largest_rate(kernel: Any, split: "Split") -> float:
    values = np.linalg.eigvalsh(np.asarray(kernel(split.X)))
    return len(split.X) / float(values[-1])


@lru_cache(maxsize=2)
def _digits(task: str) -> "Split":
    """Return 400 digits to train on and the others to test on; of the task "zero" the targets are 1 and -1."""
    from solvable import datasets
    from solvable.activations.experiment import split_on_sphere

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
        record_at=(0, *_RECORDED),
    )


@dataclass(frozen=True)
class TrainedView:
    """What the page shows of the training: two charts as SVG, facts, what was trained, and what went wrong."""

    train_loss: str
    test_loss: str
    facts: tuple[tuple[str, str, str], ...]
    note: str
    warning: str


def trained_view(trained: Trained) -> TrainedView:
    """Return charts and numbers of two trained nets."""
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
        f"Trained: one hidden layer of {trained.width} neurons with φ(z) = {trained.formula}, {STEPS} steps at rate "
        f"{readable(trained.rate)}, as was the ReLU net."
    )
    warning = (
        f"The {' and the '.join(diverged)} net diverged: with so few neurons its kernel is far from that of an "
        "infinite width. Take more neurons, or an activation that needs fewer."
        if diverged
        else ""
    )
    return TrainedView(charts[0], charts[1], tuple(facts), note, warning)


def _loss_fact(words: str, name: str, measured: "Training", theory: Any) -> tuple[str, str, str]:
    found, said = float(getattr(measured, name)[-1]), float(theory[name][-1])
    return (
        words,
        "diverged" if measured.diverged else readable(found, 3),
        f"its kernel said {readable(said, 3)}",
    )


def _loss_chart(trained: Trained, name: str) -> str:
    steps = trained.steps[1:]
    curves, values = [], []
    for net, measured, predicted in zip(trained.names, trained.measured, trained.predicted, strict=True):
        found, said = measured.at(trained.steps, name)[1:], predicted[name].to_numpy()[1:]
        kind = "realised" if net == "designed" else "other"
        curves += [
            Curve(steps, found, classes=kind),
            Curve(steps, said, dashed=np.ones(len(said), bool), classes=f"{kind} theory"),
        ]
        values += [found, said]
    known = np.concatenate(values)
    known = known[np.isfinite(known) & (known > 0)]
    start = float(trained.predicted[0][name][0])
    low = max(float(known.min()) * 0.8, 1e-6 * start)
    title = {"train_loss": "Loss on the training points", "test_loss": "Loss on new points"}[name]
    x = LogAxis("steps of gradient descent", 1, STEPS)
    y = LogAxis("squared error, mean over points", min(low, 0.5 * start), 1.2 * start)
    return chart(title, x, y, curves)
