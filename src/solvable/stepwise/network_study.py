r"""The study `stepwise-network`: when a network learns each direction, predicted from its features before training.

A network with a small last layer is trained by SGD on the unnormalised Barlow Twins loss, with fresh augmentations in
each step. Two predictions are compared with the step at which the j-th eigenvalue of the cross-correlation of fixed
pairs of views passes 1/2:

- before training, from the features before the last layer (`predict_from_features`), as if they stayed what they are;
- in training, by a `SpectrumTracker` when that eigenvalue is first above 0.01.

Each trial has a network of its own and is compared with the prediction for it; `step_time` has the means.

Source: Simon et al., 2023, arXiv:2303.15438, which shows the steps of networks; their prediction is derived.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.lab import Comparison, DataParameters, Study, check_parameters
from solvable.lab.text import percent
from solvable.machine import at_once, bytes_of_training, need_memory
from solvable.stepwise.drawing import plot_network
from solvable.stepwise.experiment import image_shape, record_steps
from solvable.stepwise.study import check_small
from solvable.stepwise.theory import simulate, step_times

if TYPE_CHECKING:
    from solvable.stepwise.network_experiment import Task
    from solvable.stepwise.prediction import StepPrediction

MADE = ("before training", "in training")
"""When predictions are made."""

_LARGEST_SAMPLE = 2000
_PREDICTION_VIEWS = 8000
# The learning rate as a share of the largest stable one of so many networks; the longest training, as a multiple of the
# last predicted step.
_SHARE, _NETWORKS, _LONGEST = 0.2, 4, 1.6
_MOST_STEPS = 20_000
_SHOWN = 20
# So many directions are examined on held-out samples.
_MOST_EXAMINED = 200


@dataclass(frozen=True)
class Parameters(DataParameters):
    """The data, the network and the training."""

    model: Literal["auto", "mlp", "conv"] = "auto"
    """Network: mlp, two hidden layers; conv, three convolutional ones; auto: conv for images with colours, else mlp."""

    width: int = 1024
    """Width of the hidden layers of an mlp."""

    dim: int = 6
    """Number of dimensions of the embedding."""

    init_scale: float = 1e-4
    """Size of the last layer's weights before training, relative to 1/sqrt(fan in)."""

    n_samples: int | None = None
    """Number of samples; by default all, at most 2000."""

    learning_rate: float | None = None
    """Learning rate of SGD; by default a fifth of the largest one that is stable for each of four networks."""

    batch_size: int = 256
    """Pairs of views in a batch."""

    steps: int | None = None
    """Number of steps; by default until all directions are learned, or 1.6 times as many as predicted."""

    trials: int = 3
    """Number of networks."""

    random_state: int = 0
    """Seed of the samples, the weights, the views and the batches."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={
                "width": 2,
                "dim": 1,
                "n_samples": 8,
                "batch_size": 2,
                "steps": 1,
                "init_scale": 1e-15,
                "learning_rate": 1e-9,
                "trials": 1,
            },
            at_most={"dim": 10_000, "steps": 1_000_000},
        )
        check_small(self.init_scale)
        sizes = [self.width, self.width, self.dim]
        # Predictions and records are for thousands of samples at once.
        n_bytes = at_once(self.trials) * bytes_of_training(sizes, _PREDICTION_VIEWS)
        need_memory(n_bytes, f"training networks of width {self.width}", "lower width or dim")


@dataclass(frozen=True, eq=False)
class Setting:
    """The task, and what follows from the first trial's network.

    Attributes:
        task: data and network.
        first: prediction for the first trial's network, in flow time.
        learning_rate: of SGD.
        last_step: the last record that is shown.
        notes: on the data, the network and the views.
        fingerprint: of the data.
    """

    task: "Task"
    first: "StepPrediction"
    learning_rate: float
    last_step: int
    notes: tuple[str, ...]
    fingerprint: str

    def prediction(self, trial: int) -> "StepPrediction":
        """Return the prediction for a trial's network, in flow time."""
        return self.first if trial == 0 else self.task.predict(trial)

    def steps_of(self, prediction: "StepPrediction") -> NDArray[np.float64]:
        """Return the predicted numbers of steps."""
        return step_times(prediction.gamma, prediction.weights, self.learning_rate)


def prepare(parameters: Parameters) -> Setting:
    """Load the data, choose network and augmentation, and set the learning rate."""
    import solvable.networks  # noqa: F401  # says so if torch is missing
    from solvable.stepwise.network_experiment import Task, augmentation_for

    data = parameters.load("auto", max(_LARGEST_SAMPLE, parameters.n_samples or 0), parameters.random_state)
    n = parameters.n_samples or len(data.X)
    if n > len(data.X):
        raise InputError(
            f"n_samples is {n}; expected at most {len(data.X)}, the samples of {parameters.data!r}"
        )
    shape = image_shape(data)
    if shape is None and parameters.model == "conv":
        raise InputError(f"model is conv, and {parameters.data!r} has no square images; expected mlp")
    colored = shape is not None and shape[2] == 3
    convolutional = parameters.model == "conv" or (parameters.model == "auto" and colored)
    rows = data.X[np.random.default_rng(parameters.random_state).permutation(len(data.X))[:n]]
    images = rows.reshape(n, *(shape or (1, data.X.shape[1], 1))).transpose(0, 3, 1, 2)
    task = Task(
        np.ascontiguousarray(images, dtype=np.float32),
        augmentation_for(shape),
        convolutional,
        parameters.width,
        parameters.dim,
        parameters.init_scale,
        parameters.batch_size,
        parameters.random_state,
    )
    first = task.predict(0)
    learning_rate = parameters.learning_rate
    if learning_rate is None:
        # The first eigenvalue of random convolutional features differs up to five times between networks.
        limit = min(task.max_learning_rate(i) for i in range(_NETWORKS))
        learning_rate = float(f"{_SHARE * limit:.2g}")
    known = _finite(step_times(first.gamma, first.weights, learning_rate))
    last = parameters.steps or min(int(1.2 * known.max(initial=50.0)), _MOST_STEPS)
    layers = (
        "three convolutional layers"
        if convolutional
        else f"two hidden layers of {parameters.width} ReLU units"
    )
    notes = (
        f"network: {layers} and a linear one, without biases; trained on {n} samples with "
        f"{'noise' if shape is None else 'affine maps, noise' + ' and colours' * colored} as augmentation, fresh in "
        f"each step, by SGD with learning rate {learning_rate:g}",
    )
    return Setting(task, first, learning_rate, last, (*data.notes, *notes), data.fingerprint)


def _finite(values: Any) -> Any:
    return values[np.isfinite(values)]


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the predictions from the features before training, and the curves of the first trial."""
    d, first = parameters.dim, setting.first
    predictions = [setting.prediction(i) for i in range(parameters.trials)]
    times = [setting.steps_of(one) for one in predictions]
    steps = record_steps(setting.last_step)
    run = simulate(first.gamma, first.weights, setting.learning_rate, setting.last_step)
    curves = np.stack([np.interp(steps, run.times, column) for column in run.eigenvalues.T], axis=1)
    shown = min(len(first.gamma), max(2 * d, _SHOWN))
    change = float(np.mean([one.change_of_features for one in predictions]))
    return xr.Dataset(
        {
            "step_time": ("direction", np.mean(times, axis=0)),
            "first_step_time": ("direction", times[0]),
            "ratio": (("made", "direction"), np.ones((len(MADE), d))),
            "eigenvalue": (("step", "direction"), curves),
            "loss": ("step", np.square(1 - curves).sum(axis=1)),
            "gamma": ("mode", first.gamma[:shown]),
        },
        {
            "direction": np.arange(1, d + 1),
            "made": list(MADE),
            "step": steps,
            "mode": np.arange(1, shown + 1),
        },
        {
            "directions_of_data": setting.task.directions(),
            "learning_rate": setting.learning_rate,
            "max_learning_rate": first.max_learning_rate,
            "change_of_features": change,
            "notes": "\n".join(dict.fromkeys(note for one in predictions for note in one.notes)),
        },
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train one network, and compare its steps with the predictions."""
    from solvable.stepwise.network_experiment import RECORDS_SHARE, train_network

    d, rate = parameters.dim, setting.learning_rate
    predicted = setting.steps_of(setting.prediction(index))
    most = parameters.steps
    if most is None:
        most = min(int(_LONGEST * max(_finite(predicted).max(initial=50.0), setting.last_step)), _MOST_STEPS)
    run = train_network(setting.task, index, rate, most)
    # Directions that are learned from the start, or never, have no ratio.
    predicted[(predicted == 0) | np.isinf(predicted)] = np.nan
    forecast = np.array([run.forecasts[j].step if j in run.forecasts else np.nan for j in range(1, d + 1)])
    grid = record_steps(setting.last_step, RECORDS_SHARE)
    # Training may end before the last step that is shown, and goes on after it for late directions.
    curves = np.full((len(grid), d), np.nan)
    at = np.isin(grid, run.steps)
    curves[at] = run.eigenvalues[np.searchsorted(run.steps, grid[at])]
    return xr.Dataset(
        {
            "step_time": ("direction", run.step_times),
            "ratio": (
                ("made", "direction"),
                np.array([run.step_times / predicted, run.step_times / forecast]),
            ),
            "eigenvalue": (("step", "direction"), curves),
            "loss": ("step", np.square(1 - curves).sum(axis=1)),
            # A logarithm grows by 2 ln(1 + 4 lr gamma) in a step.
            "growth": ("direction", np.expm1(run.rates / 2) / (4 * rate)),
            "diverged": run.diverged,
        },
        {"direction": np.arange(1, d + 1), "made": list(MADE), "step": grid},
    )


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the error of the forecasts in training, how many directions are learned, and how many there are."""
    if diverged := int(measurement.diverged.astype(bool).sum()):
        return f"Training diverged in {diverged} of {measurement.sizes['trial']} networks: lower the learning rate"
    d, (least, most) = prediction.sizes["direction"], _learned(measurement)
    count = str(least) if least == most else f"{least} to {most}"
    counts = f"{count} of {d} directions are learned, the features hold {_confirmed(prediction)}"
    for made in reversed(MADE):
        error = _largest_error(measurement.ratio.sel(made=made))
        if np.isfinite(error):
            return f"Steps on a flat loss are foretold {made} within {_at_most(error)}; {counts}"
    return counts


def _learned(measurement: xr.Dataset) -> tuple[int, int]:
    """Return the least and the largest number of directions that a network learned."""
    learned = np.isfinite(measurement.step_time.transpose("trial", "direction").values).sum(axis=1)
    return int(learned.min()), int(learned.max())


def _confirmed(prediction: xr.Dataset) -> str:
    """Return the number of directions that held-out samples confirm."""
    real = int(prediction.attrs["directions_of_data"])
    return f"{real} or more" if real >= _MOST_EXAMINED else str(real)


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences on the errors of prediction and forecast, and on what more steps would buy."""
    trials, d = measurement.sizes["trial"], prediction.sizes["direction"]
    least, most = _learned(measurement)
    count = str(d) if least == d else f"{least} of {d}" if least == most else f"{least} to {most} of {d}"
    text = (
        f"{trials} network{'s' * (trials != 1)} learned {count} direction{'s' * (d != 1)}. Predicted from the features "
        "before training, "
    )
    before, later = (measurement.ratio.sel(made=made) for made in MADE)
    early = min(max(d - 1, 1), 5)
    text += "the first step is" if early == 1 else f"the first {early} steps are"
    text += f" off by at most {_worst(before.isel(direction=slice(None, early)))}"
    if d > early:
        others = "the last" if d - early == 1 else f"the last {d - early}"
        text += f" and {others} by at most {_worst(before.isel(direction=slice(early, None)))}"
    text += f"; forecasts in training, at an eigenvalue of 0.01, by at most {_worst(later)}."
    last = _finite(before.isel(direction=-1).values)
    if last.size and np.median(last) < 0.9:
        text += " The late steps come earlier than predicted: features are learned too."
    if bool(measurement.diverged.any()):
        text += " Training diverged in some trials: lower the learning rate."
    elif least == d:
        count = _confirmed(prediction)
        text += f" More steps add no direction to these {d}"
        text += (
            f"; held-out samples confirm {count} in the features, so that a wider embedding would learn more."
            if prediction.attrs["directions_of_data"] > d
            else f", of which held-out samples confirm {count}."
        )
    else:
        text += " More steps may add the others."
    return text


def _worst(ratio: xr.DataArray) -> str:
    """Return the largest error of predictions in percent."""
    error = _largest_error(ratio)
    return _at_most(error) if np.isfinite(error) else "an unknown share"


def _at_most(error: float) -> str:
    """Return an error in percent that follows words such as "at most"."""
    return percent(max(error, 1e-5), 2)


def _largest_error(ratio: xr.DataArray) -> float:
    """Return the largest error of predictions relative to what was measured; NaN if there are none."""
    values = _finite(ratio.values)
    # What is learned at step 0 has no relative error.
    values = values[values > 0]
    return float(np.abs(1 / values - 1).max()) if values.size else np.nan


study = Study(
    name="stepwise-network",
    title="One direction at a time: the steps of a network, predicted from its features and forecast in training",
    paper=(
        "J. B. Simon, M. Knutins, L. Ziyin, D. Geisz, A. J. Fetterman, J. Albrecht, On the stepwise nature of "
        "self-supervised learning, ICML 2023, arXiv:2303.15438"
    ),
    question="My loss is flat: when will the next direction be learned, and how many are left?",
    Parameters=Parameters,
    tiny=Parameters(
        data="wine", width=32, dim=2, n_samples=60, batch_size=32, init_scale=1e-2, steps=60, trials=2
    ),
    compared=("step_time", "ratio"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot_network,
    conclude=conclude,
    headline=headline,
    equations=(
        r"correlation of the features $h$ and $k$ of two views of $n$ samples before the last layer, with eigenvalues "
        r"$\gamma_j$ and eigenvectors $V$: $\Gamma = \frac{1}{2n} \sum (h k^\top + k h^\top)$",
        r"correlation of the outputs of the last layer $W$: $C = W \Gamma W^\top$, whose eigenvalues start at "
        r"$\lambda_j(0) = \gamma_j R_{jj}^2$, where $W_0 V = Q R$, $R$ triangular, before training",
        r"small eigenvalues grow by a factor per step of learning rate $\eta$: $(1 + 4 \eta \gamma_j)^2$",
        r"direction $j$ is learned, as its eigenvalue passes $\frac{1}{2}$, after about "
        r"$\frac{\ln(1 / \lambda_j(0) - 1)}{2 \ln(1 + 4 \eta \gamma_j)}$ steps",
    ),
)
