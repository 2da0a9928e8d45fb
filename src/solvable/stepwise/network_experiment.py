r"""Networks that learn from two augmented views of each sample: what the study `stepwise-network` measures.

They have no biases, He's initialisation, and a small last layer. All random numbers come from generators, since trials
run in threads side by side.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from solvable.lab.parameters import seed_of
from solvable.networks import train_batches
from solvable.stepwise.augment import Augmentation
from solvable.stepwise.experiment import record_steps
from solvable.stepwise.growth import Forecast
from solvable.stepwise.losses import barlow_twins
from solvable.stepwise.prediction import StepPrediction, predict_from_features
from solvable.stepwise.theory import cross_correlation, max_learning_rate
from solvable.stepwise.tracker import SpectrumTracker

# Times are recorded to this share of themselves.
RECORDS_SHARE = 30
# Pairs on which the eigenvalues are measured, and the eigenvalue at which the next step is forecast.
_FIXED_PAIRS, FORECAST_AT = 1000, 0.01
# Pairs of views of each sample for a prediction: with two of them, steps of digits are off by up to 10 % by chance.
_COPIES, _PREDICTION_PAIRS = 8, 16_000
_FEW_SAMPLES = 500
# Training goes on for this share of the time after the last direction is learned.
_AFTER = 0.1
_SMALL_IMAGES, _NOISE_OF_TABLES = 16, 0.5


def augmentation_for(shape: tuple[int, int, int] | None) -> Augmentation:
    """Return the usual augmentation of standardised images of a shape (height, width, colours), or of tables.

    >>> augmentation_for(None)
    Augmentation(degrees=0.0, shift=0.0, scale=0.0, padding='zeros', crop=None, gain=0.0, offset=0.0, noise=0.5)
    """
    if shape is None:
        return Augmentation(noise=_NOISE_OF_TABLES)
    if shape[2] == 3:
        return Augmentation(15, 0.12, 0.15, "reflection", gain=0.4, offset=0.2, noise=0.1)
    if shape[0] < _SMALL_IMAGES:
        return Augmentation(10, 0.125, 0.1, noise=0.2)
    return Augmentation(15, 0.12, 0.15, noise=0.1)


@dataclass(frozen=True, eq=False)
class Task:
    """What a network is, and what it is trained on.

    Attributes:
        images: standardised images, or rows of a table as (n, 1, 1, m) `(n, c, h, w)`.
        augmentation: makes views of them.
        convolutional: whether the network has three convolutional layers, else two hidden layers.
        width: of the hidden layers.
        dim: d, dimensions of the embedding.
        init_scale: of the last layer, relative to $1/\\sqrt{\\text{fan in}}$.
        batch_size: pairs in a batch.
        random_state: seed of everything.
    """

    images: Float[NDArray, "n c h w"]
    augmentation: Augmentation
    convolutional: bool
    width: int
    dim: int
    init_scale: float
    batch_size: int
    random_state: int

    def seed(self, trial: int, purpose: int) -> int:
        """Return the seed of one purpose in one trial."""
        return seed_of(self.random_state, trial, purpose)

    def network(self, trial: int) -> nn.Sequential:
        """Return the network of a trial before training."""
        generator = Generator().manual_seed(self.seed(trial, 0))
        colors, *sides = self.images.shape[1:]
        layers: list[nn.Module] = []
        if self.convolutional:
            for c_in, c_out in ((colors, 32), (32, 64), (64, 64)):
                convolution = nn.utils.skip_init(nn.Conv2d, c_in, c_out, 3, stride=2, padding=1, bias=False)
                layers += [_drawn(convolution, 2**0.5, generator), nn.ReLU()]
                sides = [(side + 1) // 2 for side in sides]
            sizes = [64 * sides[0] * sides[1]]
        else:
            sizes = [colors * sides[0] * sides[1], self.width, self.width]
        layers.append(nn.Flatten())
        for n_in, n_out in pairwise(sizes):
            linear = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=False)
            layers += [_drawn(linear, 2**0.5, generator), nn.ReLU()]
        head = nn.utils.skip_init(nn.Linear, sizes[-1], self.dim, bias=False)
        return nn.Sequential(*layers, _drawn(head, self.init_scale, generator))

    def pairs(self, images: Tensor, trial: int, purpose: int) -> tuple[Tensor, Tensor]:
        """Return two views of images."""
        generator = Generator().manual_seed(self.seed(trial, purpose))
        return self.augmentation(images, generator), self.augmentation(images, generator)

    def predict(self, trial: int) -> StepPrediction:
        """Return the prediction for a trial's network before training, without a learning rate."""
        images = torch.as_tensor(self.images)
        copies = min(max(_PREDICTION_PAIRS // len(images), 1), _COPIES)
        pairs = self.pairs(images.repeat(copies, 1, 1, 1), trial, 1)
        return predict_from_features(self.network(trial), pairs)

    def max_learning_rate(self, trial: int) -> float:
        """Return the largest stable learning rate of a trial, from some of the samples."""
        features = self.network(trial)[:-1]
        pairs = self.pairs(torch.as_tensor(self.images[:_FEW_SAMPLES]), trial, 7)
        with torch.no_grad():
            gamma = cross_correlation(*(features(view) for view in pairs))
        return max_learning_rate(gamma)

    def directions(self) -> int:
        """Return how many directions of the first trial's features are confirmed on samples that did not give them."""
        # One pair of each sample: views of one sample in both halves would agree in what is its own.
        return predict_from_features(
            self.network(0), self.pairs(torch.as_tensor(self.images), 0, 6)
        ).learnable


@torch.no_grad()
def _drawn(layer: nn.Module, gain: float, generator: Generator) -> nn.Module:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    weight.normal_(0, gain / weight[0].numel() ** 0.5, generator=generator)
    return layer


class _Pairs(nn.Module):
    """Two fresh views of each image, and their embeddings (n, 2, d)."""

    def __init__(self, net: nn.Module, augmentation: Augmentation, generator: Generator) -> None:
        super().__init__()
        self.net, self.augmentation, self.generator = net, augmentation, generator

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            views = [self.augmentation(images, self.generator) for _ in range(2)]
        return self.net(torch.cat(views)).unflatten(0, (2, len(images))).transpose(0, 1)


def _loss(embeddings: Tensor, _: Tensor) -> Tensor:
    return barlow_twins(embeddings[:, 0], embeddings[:, 1], 1.0, normalize=False)


@dataclass(eq=False)
class NetworkTraining:
    """What was measured while a network was trained.

    Attributes:
        steps: numbers of steps of the records `(records,)`.
        eigenvalues: of the cross-correlation of fixed pairs of views, descending `(records, d)`.
        step_times: when the j-th largest passed 1/2; NaN if it did not `(d,)`.
        rates: growth of its logarithm per step before; NaN if it was not seen to grow `(d,)`.
        forecasts: the tracker's forecasts, each when the eigenvalue was first above 0.01, by direction.
        diverged: whether the loss grew without bound.
    """

    steps: Int[NDArray, "records"]
    eigenvalues: Float[NDArray, "records d"]
    step_times: Float[NDArray, "d"]
    rates: Float[NDArray, "d"]
    forecasts: dict[int, Forecast] = field(default_factory=dict)
    diverged: bool = False


def train_network(task: Task, trial: int, learning_rate: float, most: int) -> NetworkTraining:
    """Train the network of a trial by SGD on the loss of fresh pairs, and watch its eigenvalues with a tracker.

    Args:
        task: data and network.
        trial: number of the trial.
        learning_rate: of SGD.
        most: number of steps at which to stop, if not all directions are learned before.
    """
    net = task.network(trial)
    images = torch.as_tensor(task.images)
    order = torch.randperm(len(images), generator=Generator().manual_seed(task.seed(trial, 2)))
    fixed = task.pairs(images[order[:_FIXED_PAIRS]], trial, 3)
    # With such a window each spectrum is that of one evaluation of the fixed pairs.
    tracker = SpectrumTracker(task.dim, window=max(len(fixed[0]), 2), level=1.0)
    due = set(record_steps(most, RECORDS_SHARE).tolist())
    forecasts: dict[int, Forecast] = {}

    def watch(step: int) -> bool:
        if step not in due:
            return False
        with torch.no_grad():
            tracker.update(*(net(view) for view in fixed), step=step)
        forecast = tracker.forecast()
        if forecast is not None and forecast.share >= FORECAST_AT:
            forecasts.setdefault(forecast.direction, forecast)
        return len(tracker.steps) == task.dim and step > (1 + _AFTER) * tracker.steps[-1].step

    watch(0)
    run = train_batches(
        _Pairs(net, task.augmentation, Generator().manual_seed(task.seed(trial, 4))),
        torch.optim.SGD(net.parameters(), lr=learning_rate),
        images,
        np.zeros(len(images)),
        steps=most,
        batch_size=min(task.batch_size, len(images)),
        loss=_loss,
        random_state=task.seed(trial, 5),
        after_step=watch,
    )
    data = tracker.to_dataset()
    rates = np.full(task.dim, np.nan)
    rates[: len(tracker.steps)] = [step.rate for step in tracker.steps]
    return NetworkTraining(
        data.step.values.astype(np.int64),
        data.eigenvalue.values,
        data.step_time.values,
        rates,
        forecasts,
        run.diverged,
    )
