r"""The study `two-losses`: one kernel machine, two losses, two answers to what label noise costs it.

In squared loss noise of variance $\sigma^2$ costs $V_n \sigma^2$ with $V_n = \mathcal{E}_0 - 1 = E_x |w(x)|^2$, and for
a Laplace kernel that is the same at every n: tempered. In 0-1 loss the same machine, fitted to the same flipped labels,
errs less and less: a flip moves the prediction by a tenth of what it would take to turn it. Both are right; a statement
about overfitting that does not name its loss says nothing.

Predicted is $V_n$ from the kernel matrix of the training inputs alone, leaving each out in turn: no labels, no test
set. The 0-1 sensitivity is predicted from the weights of one fit. Measured are $|w(x)|^2$ on test points, and flips.

Source: Mallinar, Simon, Abedsoltan, Pandit, Belkin and Nakkiran, 2022, arXiv:2207.06569; the comparison is ours.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels import Kernel, as_kernel
from solvable.kernels.stationary import Stationary
from solvable.lab import Comparison, Study
from solvable.lab.compare import mean_and_error
from solvable.lab.parameters import check_parameters
from solvable.lab.text import percent
from solvable.overfitting.classification import Classification
from solvable.overfitting.classify import classify_overfitting
from solvable.overfitting.flipped_data import (
    PILOT,
    FlipParameters,
    flipped_data,
    kernel_matrices,
    sensitivity_from_one_fit,
    sensitivity_of,
)
from solvable.overfitting.kernel_profile import KernelFit
from solvable.overfitting.noise_weights import loo_overfitting_coefficient
from solvable.overfitting.task import Task, widened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Flips for each fit, and subsets that theory looks at.
_DRAWS, _PILOTS = 40, 4


@dataclass(frozen=True)
class Parameters(FlipParameters):
    """Which kernels, on which data, at which noise."""

    kernels: tuple[str, ...] = ("laplace", "matern32", "gaussian")
    """Kernels: laplace, matern32, matern52, gaussian, relu ntk, ..."""

    ridge: float = 0.0
    """Ridge, in units of the mean of K(x, x); 0 fits the noisy labels exactly."""

    noise_level: float = 0.2
    """Share of labels that are flipped for the 0-1 loss; squared loss is for noise of any variance."""

    trials: int = 10
    """How many training subsets."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"n_train": 2, "n_test": 1, "ridge": 0, "trials": 1},
            above={"length_scale": 0, "noise_level": 0},
        )
        for name in self.kernels:
            as_kernel(name)


@dataclass(frozen=True, eq=False)
class Setting:
    """The task, the grid, and the kernels."""

    task: Task
    levels: NDArray[np.float64]
    sizes: NDArray[np.int64]
    kernels: dict[str, Kernel]
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Load the data and split them."""
    data = flipped_data(parameters)
    kernels: dict[str, Kernel] = {}
    for name in parameters.kernels:
        kernel = as_kernel(name)
        if isinstance(kernel, Stationary) and parameters.length_scale is not None:
            kernel = replace(kernel, length_scale=parameters.length_scale)  # pyright: ignore[reportCallIssue]
        kernels[name] = kernel.for_data(data.task.X)
    levels = data.task.levels([parameters.noise_level])
    notes = (*data.notes, f"kernels: {', '.join(str(kernel) for kernel in kernels.values())}")
    return Setting(data.task, levels, data.sizes, kernels, notes, data.fingerprint)


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the noise cost from training inputs alone, and the sensitivity from the weights of a fit.

    Both are means over a few subsets that are not among those measured.
    """
    shape = (_PILOTS, len(setting.kernels), len(setting.sizes))
    cost, sensitivity = np.full(shape, np.nan), np.empty(shape)
    lost = set()
    for t, i, s in np.ndindex(shape):
        name, kernel = list(setting.kernels.items())[i]
        draw = setting.task.draw(int(setting.sizes[s]), setting.levels, PILOT + t)
        gram, _, delta = kernel_matrices(kernel, setting.task, draw, parameters.ridge)
        try:
            cost[t, i, s] = loo_overfitting_coefficient(gram, delta) - 1.0
        except InputError:
            lost.add(name)
        sensitivity[t, i, s] = sensitivity_from_one_fit(
            kernel, setting.task, draw, setting.levels, parameters.ridge
        )[0]
    notes = [
        f"the matrix of the {name} kernel is singular to rounding at some sizes, where nothing is predicted and "
        "rounding acts as a ridge"
        for name in sorted(lost)
    ]
    dims = ("kernel", "n_train")
    return xr.Dataset(
        {"noise_cost": (dims, cost.mean(axis=0)), "sensitivity": (dims, sensitivity.mean(axis=0))},
        {"kernel": list(setting.kernels), "n_train": setting.sizes},
        {"notes": "\n".join(notes), "data": parameters.data},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Fit every kernel at every size on one subset, to clean and to flipped labels."""
    task = setting.task
    shape = (len(setting.kernels), len(setting.sizes))
    cost, sensitivity = np.empty(shape), np.empty(shape)
    for s, n in enumerate(setting.sizes.tolist()):
        draw = task.draw(n, setting.levels, index)
        for i, kernel in enumerate(setting.kernels.values()):
            fit = KernelFit(
                *kernel_matrices(kernel, task, draw, parameters.ridge), task, draw, setting.levels, _DRAWS
            )
            cost[i, s] = fit.cost.mean()
            sensitivity[i, s] = sensitivity_of(fit.errors()[0], setting.levels, len(task.classes))[0]
    return xr.Dataset(
        {"noise_cost": (("kernel", "n_train"), cost), "sensitivity": (("kernel", "n_train"), sensitivity)},
        {"kernel": list(setting.kernels), "n_train": setting.sizes},
        {
            "n_classes": len(task.classes),
            "noise_level": float(setting.levels[1]),
            "n_pool": task.n_pool,
            "n_test": task.n_test,
        },
    )


def verdicts(measurement: xr.Dataset) -> dict[str, tuple[Classification, Classification]]:
    """Return for each kernel the verdict in squared loss and the one in 0-1 loss.

    Args:
        measurement: of this study, with a dim `trial`.
    """
    trials = measurement.sizes["trial"]
    sizes, pool = measurement.n_train.to_numpy(), int(measurement.attrs["n_pool"])
    wider = widened(sizes, trials, pool, int(measurement.attrs["n_test"]) / pool)
    found = {}
    for name in (str(name) for name in measurement.kernel.to_numpy()):
        both = []
        for quantity, facts in (
            ("noise_cost", {}),
            (
                "sensitivity",
                {
                    "noise_level": float(measurement.attrs["noise_level"]),
                    "n_classes": int(measurement.attrs["n_classes"]),
                },
            ),
        ):
            mean, error = mean_and_error(measurement[quantity].sel(kernel=name))
            both.append(
                classify_overfitting(
                    sizes,
                    mean.to_numpy(),
                    error.to_numpy() * wider,
                    n_trials=trials,
                    **facts,
                )
            )
        found[name] = (both[0], both[1])
    return found


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw what noise costs in squared loss on the left, and what flips cost in 0-1 loss on the right."""
    from solvable.lab.figure import curves, legend, log_axes, subplots

    figure, (left, right) = subplots(1, 2, height=3.2)
    curves(left, prediction, measurement, "noise_cost", x="n_train", hue="kernel")
    curves(right, prediction, measurement, "sensitivity", x="n_train", hue="kernel")
    share = 100 * float(measurement.attrs["noise_level"])
    left.set(
        title="squared loss", xlabel="training samples n", ylabel="cost of noise, in units of its variance"
    )
    right.set(
        title=f"0-1 loss, {share:g} % of labels flipped", xlabel="training samples n", ylabel="sensitivity s"
    )
    log_axes(left)
    log_axes(right, "x")
    right.axhline(0.0, color="0.6", linestyle=":", linewidth=1.0)
    legend(right)
    return figure


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Say for each kernel what noise costs in either loss, and of which kind that is."""
    mean = measurement.mean("trial")
    first, last = int(mean.n_train[0]), int(mean.n_train[-1])
    said = []
    for name, (squared, counted) in verdicts(measurement).items():
        one = mean.sel(kernel=name)
        cost, sensitivity = one.noise_cost.to_numpy(), one.sensitivity.to_numpy()
        said.append(
            f"{name}: from n = {first} to {last} the cost of noise goes from {cost[0]:.2g} to {cost[-1]:.2g} of its "
            f"variance in squared loss ({squared.regime}), and the sensitivity to flips from {sensitivity[0]:.2g} to "
            f"{sensitivity[-1]:.2g} in 0-1 loss ({counted.regime})."
        )
    agreement = comparison.summary["noise_cost"]
    if agreement.counted:
        said.append(
            "Leaving out one training point at a time, without labels or test points, tells the cost in squared loss "
            f"within {percent(agreement.median_error, decimals=1)} (median)."
        )
    return "The same machines in two losses. " + " ".join(said)


study = Study(
    name="two-losses",
    title="One kernel machine, two losses: tempered in squared error, nearly benign in wrong answers",
    paper=(
        "N. Mallinar, J. B. Simon, A. Abedsoltan, P. Pandit, M. Belkin, P. Nakkiran, Benign, Tempered, or "
        "Catastrophic: A Taxonomy of Overfitting, NeurIPS 2022, arXiv:2207.06569"
    ),
    question="Does it matter in which loss I ask what label noise costs my model?",
    Parameters=Parameters,
    tiny=Parameters(data="wine", kernels=("laplace",), n_train=(20, 40), trials=2),
    compared=("noise_cost", "sensitivity"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
)
