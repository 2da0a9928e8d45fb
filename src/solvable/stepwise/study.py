r"""The study `stepwise`: when a linear model or a kernel machine learns each direction, predicted before training.

Two views of each sample are crops of an image, or a row of a table with noise. The model is trained by full-batch
gradient descent on $\|C - I\|_F^2$, the unnormalised Barlow Twins loss, from small random weights. Each trial has
weights of its own, and the prediction for a trial is made from these. What is compared:

- `step_time`, the number of steps at which the j-th eigenvalue of C passes 1/2, as means over the trials of the
  predictions and of the measurements;
- `ratio`, measured over predicted time in each trial, for the three ways in which `theory.step_times` computes it.

Source: Simon et al., 2023, arXiv:2303.15438, figure 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import expit

from solvable.datasets import Dataset
from solvable.errors import InputError
from solvable.kernels import as_kernel
from solvable.kernels.inputs import to_float64
from solvable.lab import Comparison, DataParameters, Study, check_parameters
from solvable.lab.text import percent, readable
from solvable.machine import need_memory
from solvable.stepwise.drawing import plot
from solvable.stepwise.experiment import (
    Training,
    crop_pairs,
    image_shape,
    record_steps,
    train_kernel,
    train_linear,
)
from solvable.stepwise.theory import (
    HeldOut,
    cross_correlation,
    held_out_directions,
    max_learning_rate,
    step_times,
)

THEORIES = {
    "qr": "the paper's closed form",
    "rows": "the closed form by rows",
    "simulation": "simulation of the leading modes",
}
"""The methods of `theory.step_times` that are compared, in words."""

# Slow directions of large data would train for hours.
_MOST_STEPS = 200_000
_PAIRS, _PAIRS_OF_KERNELS = 2000, 250
_NOISE_OF_TABLES = 0.5


@dataclass(frozen=True)
class Parameters(DataParameters):
    """The data, the views, the model and the training."""

    kernel: str = "linear"
    """Model: linear, or the kernel of a kernel machine: laplace, gaussian, matern32, matern52, rational-quadratic,
    arc-cosine, relu-nngp or relu-ntk."""

    dim: int = 10
    """Number of dimensions of the embedding."""

    n_pairs: int | None = None
    """Number of samples, with two views each; by default all, at most 2000, or 250 for a kernel."""

    crop: float = 0.75
    """Side of the two random crops of an image, as a share of its side; 1 for the whole image."""

    noise: float | None = None
    """Standard deviation of the noise in each number of each view; by default 0 for images and 0.5 for tables."""

    uncentred: bool = False
    """Leave the mean of the views in, as the paper does; the first direction is then the mean."""

    init_scale: float = 1e-4
    """Root mean square of the embeddings before training."""

    learning_rate: float | None = None
    """Learning rate of gradient descent; by default a tenth of the largest stable one."""

    trials: int = 3
    """Number of random initialisations."""

    random_state: int = 0
    """Seed of the views and the weights."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"dim": 1, "n_pairs": 8, "noise": 0, "init_scale": 1e-30, "trials": 1},
            above={"crop": 0, "learning_rate": 0},
            at_most={"dim": 10_000, "noise": 1e6},
        )
        if self.crop > 1:
            raise InputError(f"crop is {self.crop:g}; expected at most 1, the whole image")
        check_small(self.init_scale)


def check_small(init_scale: float) -> None:
    """Raise if weights do not start small."""
    if init_scale > 0.1:
        raise InputError(
            f"init_scale is {init_scale:g}; expected at most 0.1: directions are learned one by one from small weights "
            "only"
        )


@dataclass(frozen=True, eq=False)
class Setting:
    r"""The correlation of the views, and what training needs.

    Attributes:
        gamma: eigenvalues of $\Gamma$, descending `(m,)`.
        V: its eigenvectors as columns `(m, m)`.
        weight_scale: standard deviation of the initial weights.
        features: the kernel's features of all views `(2n, m)`, centred as the loss does; None for the linear model.
        K: the kernel matrix of all views `(2n, 2n)`, likewise; None for the linear model.
        held_out: the correlation along the directions of one half of the pairs, measured on the other half.
        learning_rate: of gradient descent.
        last_step: the last record of the eigenvalues.
        notes: on data and views.
        fingerprint: of the data.
    """

    gamma: Float[NDArray, "m"]
    V: Float[NDArray, "m m"]
    weight_scale: float
    features: Float[NDArray, "2n m"] | None
    K: Float[NDArray, "2n 2n"] | None
    held_out: HeldOut
    learning_rate: float
    last_step: int
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Load the data, draw the views, and compute the spectrum of their correlation."""
    rows = max(_PAIRS, parameters.n_pairs or 0)
    data = parameters.load("auto", rows, parameters.random_state)
    linear = parameters.kernel == "linear"
    X, X2, notes = _views(parameters, data, linear)
    features = K = None
    if not linear:
        features, K, note = _kernel_features(parameters, np.concatenate([X, X2]))
        X, X2 = np.split(features, 2)
        notes.append(note)
    center = not parameters.uncentred
    values, V = np.linalg.eigh(cross_correlation(X, X2, center=center))
    gamma, V = values[::-1].copy(), V[:, ::-1].copy()
    limit = max_learning_rate(gamma)
    if not gamma[0] > 1e-12 * np.abs(gamma).max():
        raise InputError(
            f"the views of {parameters.data!r} have no positive correlation in any direction; expected less noise, or "
            "more pairs"
        )
    learning_rate = parameters.learning_rate or 0.1 * limit
    both = np.concatenate([X, X2])
    size = np.square(both - both.mean(axis=0) if center else both).sum(axis=1).mean()
    weight_scale = parameters.init_scale / float(np.sqrt(size))
    Y = _initial_weights(parameters, weight_scale, V, 0)[1]
    times = step_times(gamma, Y, learning_rate, method="qr")
    last = float(times[np.isfinite(times)].max())
    if last > _MOST_STEPS:
        raise InputError(
            f"direction {int(np.isfinite(times).sum())} takes about {last:.2g} steps; expected at most {_MOST_STEPS:,}"
            ": lower dim, or raise learning_rate or init_scale"
        )
    notes.append(
        f"the learning rate is {readable(learning_rate, 3)}; the largest stable one is {readable(limit, 3)}"
    )
    return Setting(
        gamma,
        V,
        weight_scale,
        features,
        K,
        held_out_directions(X, X2, center=center, random_state=parameters.random_state),
        learning_rate,
        int(1.2 * last) + 20,
        (*data.notes, *notes),
        data.fingerprint,
    )


def _views(
    parameters: Parameters, data: Dataset, linear: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Return both views (n, m) of some of the samples, and notes."""
    n = parameters.n_pairs or min(len(data.X), _PAIRS if linear else _PAIRS_OF_KERNELS)
    if n > len(data.X):
        raise InputError(
            f"n_pairs is {n}; expected at most {len(data.X)}, the samples of {parameters.data!r}"
        )
    rng = np.random.default_rng([parameters.random_state, 0])
    rows = data.X[rng.permutation(len(data.X))[:n]]
    shape = image_shape(data)
    noise = parameters.noise
    if shape is None:
        X, X2 = rows, rows
        noise = _NOISE_OF_TABLES if noise is None else noise
        words = f"{n} rows"
    else:
        side = max(1, round(parameters.crop * shape[0]))
        X, X2 = crop_pairs(rows.reshape(n, *shape), side, rng)
        words = f"{n} images, two random crops of {side} × {side} pixels each"
    if noise:
        X, X2 = (view + noise * rng.normal(size=view.shape) for view in (X, X2))
        words += f", with noise of standard deviation {noise:g} in each number of each view"
    return X, X2, [f"views: {words}"]


def _kernel_features(
    parameters: Parameters, views: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Return features whose products are the kernel matrix of the views, that matrix, and a note."""
    need_memory(4 * 8 * len(views) ** 2, f"the kernel of {len(views)} views", "lower n_pairs")
    kernel = as_kernel(parameters.kernel).for_data(views)
    K = to_float64(kernel(views))
    if not parameters.uncentred:
        K = K - K.mean(axis=0)
        K -= K.mean(axis=1, keepdims=True)
    K = (K + K.T) / 2
    values, U = np.linalg.eigh(K)
    kept = values > 1e-12 * values[-1]
    return U[:, kept] * np.sqrt(values[kept]), K, f"kernel {kernel!r}"


def _initial_weights(
    parameters: Parameters, weight_scale: float, V: NDArray[np.float64], index: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the initial weights of a trial (d, m) on the features, and in the eigenbasis of their correlation."""
    rng = np.random.default_rng([parameters.random_state, 1, index])
    W = weight_scale * rng.normal(size=(parameters.dim, len(V)))
    return W, W @ V


def predicted_times(parameters: Parameters, setting: Setting, index: int) -> dict[str, Float[NDArray, "d"]]:
    """Return the numbers of steps after which each direction of a trial is learned, by the names of `THEORIES`.

    Args:
        parameters: of the study.
        setting: from `prepare`.
        index: of the trial, whose initial weights are drawn.
    """
    Y = _initial_weights(parameters, setting.weight_scale, setting.V, index)[1]
    return {method: step_times(setting.gamma, Y, setting.learning_rate, method=method) for method in THEORIES}


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the times of all directions, and the curves of the first trial's eigenvalues and loss."""
    d, gamma, held_out = parameters.dim, setting.gamma, setting.held_out
    weights = [
        _initial_weights(parameters, setting.weight_scale, setting.V, index)[1]
        for index in range(parameters.trials)
    ]
    times = [step_times(gamma, Y, setting.learning_rate) for Y in weights]
    steps = record_steps(setting.last_step)
    curves = _logistic(gamma, times[0], steps, setting.learning_rate)
    shown = min(len(gamma), len(held_out.held_out), max(3 * d, 20))
    following = np.inf
    if d < len(gamma) and gamma[d] > 0:
        following = float(
            step_times(gamma[d], s0=setting.weight_scale, learning_rate=setting.learning_rate)[0]
        )
    return xr.Dataset(
        {
            "step_time": ("direction", np.mean(times, axis=0)),
            "first_step_time": ("direction", times[0]),
            "ratio": (("theory", "direction"), np.ones((len(THEORIES), d))),
            "eigenvalue": (("step", "direction"), curves),
            "loss": ("step", np.square(1 - curves).sum(axis=1)),
            "gamma": ("mode", gamma[:shown]),
            "held_out": ("mode", held_out.held_out[:shown]),
            "held_out_error": ("mode", held_out.error[:shown]),
        },
        {
            "direction": np.arange(1, d + 1),
            "theory": list(THEORIES),
            "step": steps,
            "mode": np.arange(1, shown + 1),
        },
        {
            "directions_of_data": held_out.directions,
            "noise_floor": max(-float(gamma[-1]), 0.0),
            "learning_rate": setting.learning_rate,
            "max_learning_rate": max_learning_rate(gamma),
            "next_step_time": following,
        },
    )


def _logistic(
    gamma: NDArray[np.float64], times: NDArray[np.float64], steps: NDArray[np.int64], learning_rate: float
) -> NDArray[np.float64]:
    """Return logistic eigenvalues (records, d), of the rates of the theory, that pass 1/2 at the predicted times."""
    curves = np.zeros((len(steps), len(times)))
    known = np.flatnonzero(np.isfinite(times))
    rates = 2 * np.log1p(4 * learning_rate * gamma[known])
    curves[:, known] = expit(rates * (steps[:, None] - times[known]))
    return np.sort(curves, axis=1)[:, ::-1]


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train from the initial weights of one trial."""
    W, Y = _initial_weights(parameters, setting.weight_scale, setting.V, index)
    rate, last = setting.learning_rate, setting.last_step
    run: Training
    if setting.K is None or setting.features is None:
        run = train_linear(setting.gamma, Y, rate, until=last)
    else:
        run = train_kernel(setting.K, setting.features @ W.T, rate, until=last)
    shown = run.steps <= last
    measured = np.where(np.isfinite(run.step_times), run.step_times, np.nan)
    predicted = np.array(list(predicted_times(parameters, setting, index).values()))
    # Directions that are learned from the start, or never, have no ratio.
    predicted[(predicted == 0) | np.isinf(predicted)] = np.nan
    return xr.Dataset(
        {
            "step_time": ("direction", measured),
            "ratio": (("theory", "direction"), measured / predicted),
            "eigenvalue": (("step", "direction"), run.eigenvalues[shown]),
            "loss": ("step", run.loss[shown]),
        },
        {
            "direction": np.arange(1, parameters.dim + 1),
            "theory": list(THEORIES),
            "step": run.steps[shown],
        },
    )


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return how many directions are learned, when, with which error of the steps, and how many are confirmed."""
    d, (times, learned) = prediction.sizes["direction"], _learned(measurement)
    if not learned:
        return f"None of {d} directions is learned"
    text = f"{_all_or_some(learned, d)} learned by step {readable(float(times[learned - 1]), 3)}"
    error = worst_error(measurement.ratio.sel(theory="rows"))
    if np.isfinite(error):
        text += f", as a formula predicts within {percent(max(error, 1e-5), 2)}"
    real = int(prediction.attrs["directions_of_data"])
    return f"{text}; unseen pairs confirm {'all' if real >= learned else real or 'none'} of them"


def _learned(measurement: xr.Dataset) -> tuple[NDArray[np.float64], int]:
    """Return the mean steps of all directions, and the number of directions that are learned."""
    times = measurement.step_time.mean("trial").values
    return times, int(np.isfinite(times).sum())


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences on the errors of the times, the directions in the data, and what more steps would buy."""
    d, facts = prediction.sizes["direction"], prediction.attrs
    times, learned = _learned(measurement)
    errors = [
        f"{percent(worst_error(measurement.ratio.sel(theory=name)), 2).replace('< ', 'below ')} ({words})"
        for name, words in THEORIES.items()
    ]
    text = (
        f"{_all_or_some(learned, d)} learned, the first at step {readable(float(times[0]), 3)} and the last at step "
        f"{readable(float(times[learned - 1]), 3)}; predicted from the initial weights, the largest errors of the "
        f"steps are {', '.join(errors[:-1])} and {errors[-1]}."
    )
    real = int(facts["directions_of_data"])
    text += f" Held-out pairs confirm {real} direction{'s' * (real != 1)} of this data and these views"
    text += (
        f", so that the last {learned - real} learned here may be noise of the sample."
        if real < learned
        else "."
    )
    return f"{text} {_more_steps(learned, d, facts)}"


def worst_error(ratio: xr.DataArray) -> float:
    """Return the largest deviation from 1 of finite ratios; NaN if there are none."""
    values = ratio.values[np.isfinite(ratio.values)]
    return float(np.abs(values - 1).max()) if values.size else np.nan


def _all_or_some(learned: int, d: int) -> str:
    return f"All {d} directions are" if learned == d and d > 1 else f"{learned} of {d} directions are"


def _more_steps(learned: int, d: int, facts: dict[str, Any]) -> str:
    if learned < d:
        return "More steps add none, since no other direction has a positive correlation."
    if not np.isfinite(facts["next_step_time"]):
        return "More steps add none, and neither does a wider embedding."
    when = readable(float(f"{facts['next_step_time']:.2g}"))
    return f"More steps add none: direction {d + 1} needs a wider embedding and about {when} steps."


study = Study(
    name="stepwise",
    title="One direction at a time: the steps of self-supervised learning, predicted before training",
    paper=(
        "J. B. Simon, M. Knutins, L. Ziyin, D. Geisz, A. J. Fetterman, J. Albrecht, On the stepwise nature of "
        "self-supervised learning, ICML 2023, arXiv:2303.15438"
    ),
    question="How many directions will a self-supervised model learn from my data, and when?",
    Parameters=Parameters,
    tiny=Parameters(data="wine", dim=3, n_pairs=60, init_scale=1e-3, trials=2),
    compared=("step_time", "ratio"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"correlation of the two views $x$ and $z$ of $n$ samples, with eigenvalues $\gamma_j$ and eigenvectors $V$: "
        r"$\Gamma = \frac{1}{2n} \sum (x z^\top + z x^\top)$",
        r"small weights $W$ lower $\left\| C - I \right\|^2$, where $C = W \Gamma W^\top$: direction $j$ is learned "
        r"when its eigenvalue passes $\frac{1}{2}$, growing by "
        r"$\frac{d \lambda_j}{dt} = 8 \gamma_j \lambda_j (1 - \lambda_j)$",
        r"closed form of its time $\tau_j$, of which a step passes the learning rate: "
        r"$8 \gamma_j \tau_j = \ln(1 / \lambda_j(0) - 1)$ from "
        r"$\lambda_j(0) = \gamma_j R_{jj}^2$, where $W_0 V = Q R$, $R$ triangular, for the initial weights $W_0$",
        r"with all of row $j$ of $R$: $\tau_j = \int_0^{\theta_j} \frac{d \theta}{1 - \Lambda_j(\theta)}$, where "
        r"$\Lambda_j(\theta) = \sum_{k \ge j} \gamma_k R_{jk}^2 e^{8 \gamma_k \theta}$ and "
        r"$\Lambda_j(\theta_j) = \frac{1}{2}$",
    ),
)
