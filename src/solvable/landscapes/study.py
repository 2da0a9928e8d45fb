r"""The study `landscapes`: critical points found on a linear autoencoder, against all that there are.

The loss of a linear autoencoder with one hidden layer has one class of critical points for each set of principal
components, with a known loss and index (the number of negative eigenvalues of the Hessian). Searches start from points
of a training trajectory, half of them with noise. Each trial draws starts of its own. What is measured:

- `loss`, the mean over the critical points that were found with each index, compared with the mean, the smallest and
  the largest loss of all classes with that index;
- what would have been reported if the searches had stopped as soon as $|g|^2$ was below a cut-off.

Source: Frye et al., 2019, arXiv:1901.10603; Frye et al., 2021, arXiv:2003.10397.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.lab import Comparison, Study, check_parameters
from solvable.lab.parameters import seed_of
from solvable.lab.text import percent, readable
from solvable.landscapes import linear_autoencoder
from solvable.landscapes.critical_point import CriticalPoint
from solvable.landscapes.drawing import plot
from solvable.landscapes.experiment import CUTOFFS, METHOD_NAMES, gaussian_covariance, search, stop_early
from solvable.landscapes.sampling import descend, sample_starts
from solvable.landscapes.theory import CRITICAL
from solvable.machine import at_once, need_memory

_LEARNING_RATE, _INIT_STD = 0.01, 0.1
# At |g|^2 = 1e-10 the loss is right to nine digits.
_LOSS_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Parameters:
    """The autoencoder, and the search."""

    n_inputs: int = 16
    """Number of inputs, with variances 1, 2, 3, ..."""

    n_hidden: int = 4
    """Number of hidden units."""

    n_samples: int = 10_000
    """Number of Gaussian samples."""

    method: Literal["lm", "newton_mr", "damped_newton", "gnm"] = "lm"
    """Method of the search."""

    starts: int = 20
    """Number of starts in each trial."""

    noise_std: float = 0.1
    """Standard deviation of the noise on the parameters of half of the starts."""

    steps: int = 4000
    """Number of steps of gradient descent on whose trajectory the starts are."""

    max_iter: int = 500
    """Number of steps of the search from each start, at most."""

    trials: int = 5
    """Number of sets of starts."""

    random_state: int = 0
    """Seed of the samples, the training and the starts."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={
                "n_inputs": 2,
                "n_hidden": 1,
                "n_samples": 3,
                "starts": 1,
                "noise_std": 0,
                "steps": 1,
                "max_iter": 1,
                "trials": 1,
            },
            at_most={
                "n_inputs": 100,
                "starts": 10_000,
                "noise_std": 1e6,
                "steps": 100_000,
                "max_iter": 100_000,
            },
        )
        n_parameters = 2 * self.n_inputs * self.n_hidden
        # The trajectory and a copy, Hessians of the starts, the samples.
        n_numbers = n_parameters * (2 * self.steps + 3 * n_parameters * at_once(self.trials))
        need_memory(
            8.0 * (n_numbers + 2 * self.n_samples * self.n_inputs),
            f"the search with {n_parameters:,} parameters, {self.steps:,} steps and {self.n_samples:,} samples",
            "lower n_hidden, n_inputs, steps or n_samples",
        )
        if self.n_samples <= self.n_inputs:
            raise InputError(
                f"n_samples is {self.n_samples}; expected more than n_inputs, which is {self.n_inputs}: with fewer the "
                "covariance is singular"
            )


@dataclass(frozen=True, eq=False)
class Setting:
    """The data and the training that all trials share.

    Attributes:
        covariance: of the samples.
        exact: all classes of critical points.
        trajectory: parameters in training `(steps + 1, N)`.
        losses: their losses `(steps + 1,)`.
        notes: on the training.
    """

    covariance: Float[NDArray, "n_inputs n_inputs"]
    exact: list[CriticalPoint]
    trajectory: Float[NDArray, "steps N"]
    losses: Float[NDArray, "steps"]
    notes: tuple[str, ...]


def prepare(parameters: Parameters) -> Setting:
    """Draw the data, list the critical points, and train."""
    import solvable.networks  # noqa: F401  # says so if torch is missing

    k, p = parameters.n_inputs, parameters.n_hidden
    rng = np.random.default_rng(parameters.random_state)
    covariance = gaussian_covariance(k, parameters.n_samples, rng)
    exact = linear_autoencoder.theory(covariance, p, 1 / k)
    start = _INIT_STD * rng.standard_normal(2 * p * k)
    trajectory, losses = descend(
        linear_autoencoder.loss(covariance, p, 1 / k),
        start,
        learning_rate=_LEARNING_RATE,
        n_steps=parameters.steps,
    )
    note = (
        f"starts are on a trajectory of gradient descent from loss {readable(float(losses[0]))} to "
        f"{readable(float(losses[-1]))}, uniform in loss; the smallest loss is "
        f"{readable(min(point.loss for point in exact))}"
    )
    return Setting(covariance, exact, trajectory, losses, (note,))


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the loss of the critical points with each index, and all of them."""
    losses = np.array([point.loss for point in setting.exact])
    indices = np.array([point.n_negative for point in setting.exact])
    grid = np.arange(parameters.n_inputs * parameters.n_hidden + 1)
    mean, low, high = np.full((3, len(grid)), np.nan)
    for i in np.unique(indices):
        some = losses[indices == i]
        mean[i], low[i], high[i] = some.mean(), some.min(), some.max()
    return xr.Dataset(
        {
            "loss": ("index", mean),
            "loss_low": ("index", (1 - _LOSS_TOLERANCE) * low),
            "loss_high": ("index", (1 + _LOSS_TOLERANCE) * high),
            "exact_loss": ("exact", losses),
            "exact_index": ("exact", indices),
        },
        {"index": grid, "exact": np.arange(len(losses))},
        {
            "n_parameters": 2 * parameters.n_inputs * parameters.n_hidden,
            "method": METHOD_NAMES[parameters.method],
        },
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Search from the starts of one trial."""
    k, p = parameters.n_inputs, parameters.n_hidden
    loss = linear_autoencoder.loss(setting.covariance, p, 1 / k)
    starts = sample_starts(
        setting.trajectory,
        setting.losses,
        parameters.starts,
        noise_std=parameters.noise_std,
        random_state=seed_of(parameters.random_state, index),
    )
    found, points = search(loss, starts, parameters.method, parameters.max_iter)
    critical = found.squared_gradient <= CRITICAL
    classes = {point.subset: i for i, point in enumerate(setting.exact)}
    ends: list[CriticalPoint | None] = [
        end if below else None
        for end, below in zip(
            linear_autoencoder.identify(found.theta, setting.covariance, p, 1 / k), critical, strict=True
        )
    ]
    mean = np.full(k * p + 1, np.nan)
    for i in np.unique(found.index[critical]):
        # An index above that of the origin is no class's; conclude tells of it.
        if 0 <= i < len(mean):
            mean[i] = found.loss[critical & (found.index == i)].mean()
    stops = np.array([stop_early(loss, found, points, ends, cutoff) for cutoff in CUTOFFS])
    trace = np.full((parameters.starts, parameters.max_iter + 1), np.nan)
    recorded = found.traces["squared_gradient"].T
    trace[:, : recorded.shape[1]] = recorded
    return xr.Dataset(
        {
            "loss": ("index", mean),
            "found_loss": ("start", found.loss),
            "found_index": ("start", found.index),
            "found_class": ("start", [-1 if end is None else classes[end.subset] for end in ends]),
            "squared_gradient": ("start", found.squared_gradient),
            "trace": (("start", "step"), trace),
            "index_right": ("cutoff", stops[:, 0]),
            "index_error": ("cutoff", stops[:, 1]),
            "loss_error": ("cutoff", stops[:, 2]),
        },
        {
            "index": np.arange(len(mean)),
            "start": np.arange(parameters.starts),
            "step": np.arange(parameters.max_iter + 1),
            "cutoff": list(CUTOFFS),
        },
    )


class _Found(NamedTuple):
    """Numbers of starts, of those that end critical, of classes among these, and of ends unlike their class."""

    starts: int
    critical: int
    classes: int
    lost: int
    wrong: int


def _counts(prediction: xr.Dataset, measurement: xr.Dataset) -> _Found:
    kinds = measurement.found_class.values.ravel()
    critical = measurement.squared_gradient.values.ravel() <= CRITICAL
    known = kinds >= 0
    exact = kinds[known]
    wrong_index = measurement.found_index.values.ravel()[known] != prediction.exact_index.values[exact]
    ratio = measurement.found_loss.values.ravel()[known] / prediction.exact_loss.values[exact]
    wrong = wrong_index | (np.abs(ratio - 1) > _LOSS_TOLERANCE)
    lost = critical & ~known
    return _Found(len(kinds), int(critical.sum()), len(np.unique(exact)), int(lost.sum()), int(wrong.sum()))


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return from how many starts critical points are found, of how many classes, and how many are exact."""
    name, total = prediction.attrs["method"], prediction.sizes["exact"]
    found = _counts(prediction, measurement)
    if not found.critical:
        return f"{name} finds none of {total} classes of critical points from {found.starts} starts"
    exact = found.critical - found.lost - found.wrong
    return (
        f"{name} finds critical points from {found.critical} of {found.starts} starts, "
        f"{'each' if exact == found.critical else exact} with a loss and index of theory: {found.classes} of all "
        f"{total} classes"
    )


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return sentences on successes, their diversity, and what an early stop would have reported."""
    name, total = prediction.attrs["method"], prediction.sizes["exact"]
    n, successes, distinct, lost, wrong = _counts(prediction, measurement)
    text = f"{name} reached |g|² ≤ {CRITICAL:g} from {successes} of {n} starts"
    if not successes:
        return (
            f"{text}: it found none of the {total} classes of critical points. Raise max_iter, or choose lm."
        )
    text += f" and found {distinct} of the {total} classes of critical points"
    if distinct == 1 and successes > 1:
        text += ", always the same one"
    text += ". "
    if lost:
        text += f"{lost} of these points {'is' if lost == 1 else 'are'} near no class. "
    text += (
        "Each has exactly the index and the loss of its class."
        if not wrong
        else f"{wrong} of them {'has' if wrong == 1 else 'have'} another index or loss than the class."
    )
    return f"{text} {_early(measurement)}".strip()


def _early(measurement: xr.Dataset) -> str:
    """Return a sentence on what the indices would be if searches stopped early."""
    right = measurement.index_right.mean("trial")
    loose, strict = 1e-6, CRITICAL
    shares = [float(right.sel(cutoff=cut, method="nearest")) for cut in (loose, strict)]
    if not np.isfinite(shares).all():
        return ""
    error = float(measurement.loss_error.sel(cutoff=loose, method="nearest").mean("trial"))
    return (
        f"Stopped at the first |g|² below {loose:g}, {percent(shares[0], decimals=0)} of the indices would be right, "
        f"and below {strict:g} {percent(shares[1], decimals=0)}; at {loose:g} the mean relative error "
        f"of the loss is already {readable(error, 2)}."
    )


study = Study(
    name="landscapes",
    title="Critical points of a linear autoencoder: those found, and all that there are",
    paper=(
        "C. G. Frye, J. Simon, N. S. Wadia, A. Ligeralde, M. R. DeWeese, K. E. Bouchard, Critical point-finding "
        "methods reveal gradient-flat regions of deep network losses, Neural Computation 33(6), 2021, arXiv:2003.10397"
    ),
    question="Do methods that look for critical points find them, and which: are loss and index right?",
    Parameters=Parameters,
    tiny=Parameters(n_inputs=4, n_hidden=2, n_samples=200, starts=6, steps=100, max_iter=60, trials=2),
    compared=("loss",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"loss of weights $W = W_2 W_1$ with $p$ hidden units, on data of $k$ inputs and covariance $\Sigma$: "
        r"$L = \frac{1}{k} \mathrm{tr} [(I - W) \Sigma (I - W)^\top]$",
        r"one class of critical points for each set $S$ of $m \le p$ principal components, onto which $W$ projects; "
        r"there are $\sum_{m \le p} \binom{k}{m}$ for $p \le k$",
        r"its loss, for variances $\lambda_i$ of the components: $L = \frac{1}{k} \sum_{i \notin S} \lambda_i$",
        r"its index, the number of negative eigenvalues of the Hessian: $(p - m)(k - m)$, plus $1$ for each pair "
        r"$i \in S$, $j \notin S$ with $\lambda_j > \lambda_i$",
    ),
)
