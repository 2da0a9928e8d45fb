r"""The study `two-losses`: the cost of label noise to the same kernel machine in squared and in 0-1 loss.

In squared loss noise of variance $\sigma^2$ costs $V_n \sigma^2$ with $V_n = \mathcal{E}_0 - 1 = E_x |w(x)|^2$, and for
a Laplace kernel that is the same at every n: tempered. In 0-1 loss the error of the same model, fitted to the same
flipped labels, keeps falling: a flip moves the prediction by a tenth of what would change the answer. Both are right;
a statement about overfitting must name its loss.

$V_n$ is predicted from the kernel matrix of the training inputs alone, leaving each out in turn: no labels, no test
set. The 0-1 sensitivity is predicted from the weights of one fit. $|w(x)|^2$ is measured on test points, and the
sensitivity with flipped labels.

Source: Mallinar, Simon, Abedsoltan, Pandit, Belkin and Nakkiran, 2022, arXiv:2207.06569; the comparison is ours.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

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
from solvable.overfitting.study import PAPER
from solvable.overfitting.task import Task, widened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Draws of flips for each fit, and subsets for the prediction.
_DRAWS, _PILOTS = 40, 4


@dataclass(frozen=True)
class Parameters(FlipParameters):
    """Kernels, data and noise."""

    kernels: tuple[str, ...] = ("laplace", "matern32", "gaussian")
    """Kernels: laplace, matern32, matern52, gaussian, relu ntk, ..."""

    ridge: float = 0.0
    """Ridge, in units of the mean of K(x, x); 0 fits the noisy labels exactly."""

    noise_level: float = 0.2
    """Share of flipped labels for the 0-1 loss; squared loss is for noise of any variance."""

    trials: int = 10
    """Number of training subsets."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={
                "n_train": 2,
                "n_test": 1,
                "ridge": 0,
                "length_scale": 1e-6,
                "noise_level": 1e-6,
                "trials": 1,
            },
            at_most={"ridge": 1e6, "length_scale": 1e6},
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
    """Load and split the data."""
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

    Both are means over a few subsets other than those measured.
    """
    task, levels, ridge = setting.task, setting.levels, parameters.ridge
    shape = (_PILOTS, len(setting.kernels), len(setting.sizes))
    cost, sensitivity = np.full((2, *shape), np.nan)
    singular = set()
    for t, i, s in np.ndindex(shape):
        name, kernel = list(setting.kernels.items())[i]
        draw = task.draw(int(setting.sizes[s]), levels, PILOT + t)
        gram, _, delta = kernel_matrices(kernel, task, draw, ridge)
        try:
            cost[t, i, s] = loo_overfitting_coefficient(gram, delta) - 1.0
        except InputError:
            singular.add(name)
        sensitivity[t, i, s] = sensitivity_from_one_fit(kernel, task, draw, levels, ridge)[0]
    notes = [
        f"the matrix of the {name} kernel is singular to rounding at some sizes, which have no prediction and where "
        "rounding acts as a ridge"
        for name in sorted(singular)
    ]
    dims = ("kernel", "n_train")
    return xr.Dataset(
        {"noise_cost": (dims, cost.mean(axis=0)), "sensitivity": (dims, sensitivity.mean(axis=0))},
        {"kernel": list(setting.kernels), "n_train": setting.sizes},
        {"notes": "\n".join(notes), "data": parameters.data},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Fit every kernel at every size on one subset, to clean and to flipped labels."""
    task, levels = setting.task, setting.levels
    cost, sensitivity = np.empty((2, len(setting.kernels), len(setting.sizes)))
    for s, n in enumerate(setting.sizes.tolist()):
        draw = task.draw(n, levels, index)
        for i, kernel in enumerate(setting.kernels.values()):
            matrices = kernel_matrices(kernel, task, draw, parameters.ridge)
            fit = KernelFit(*matrices, task, draw, levels, _DRAWS)
            cost[i, s] = fit.cost.mean()
            sensitivity[i, s] = sensitivity_of(fit.errors()[0], levels, len(task.classes))[0]
    dims = ("kernel", "n_train")
    return xr.Dataset(
        {"noise_cost": (dims, cost), "sensitivity": (dims, sensitivity)},
        {"kernel": list(setting.kernels), "n_train": setting.sizes},
        {
            "n_classes": len(task.classes),
            "noise_level": float(levels[1]),
            "n_pool": task.n_pool,
            "n_test": task.n_test,
        },
    )


def verdicts(measurement: xr.Dataset) -> dict[str, tuple[Classification, Classification]]:
    """Return for each kernel the verdicts in squared and in 0-1 loss from a measurement, with a dim `trial`."""
    facts, trials = measurement.attrs, measurement.sizes["trial"]
    sizes, pool = measurement.n_train.to_numpy(), int(facts["n_pool"])
    factor = widened(sizes, trials, pool, int(facts["n_test"]) / pool)
    noise = {"noise_level": float(facts["noise_level"]), "n_classes": int(facts["n_classes"])}

    def verdict(kernel: str, quantity: str, **options: Any) -> Classification:
        mean, error = (one.to_numpy() for one in mean_and_error(measurement[quantity].sel(kernel=kernel)))
        return classify_overfitting(sizes, mean, error * factor, n_trials=trials, **options)

    return {
        str(name): (verdict(name, "noise_cost"), verdict(name, "sensitivity", **noise))
        for name in measurement.kernel.to_numpy()
    }


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw the cost of noise in squared loss on the left, and the cost of flips in 0-1 loss on the right."""
    from solvable.lab.figure import curves, legend, log_axes, subplots

    figure, (left, right) = subplots(1, 2, height=3.2)
    curves(left, prediction, measurement, "noise_cost", x="n_train", hue="kernel")
    curves(right, prediction, measurement, "sensitivity", x="n_train", hue="kernel")
    share = 100 * float(measurement.attrs["noise_level"])
    left.set(title="squared loss", ylabel="cost of noise / its variance")
    right.set(title=f"0-1 loss, {share:.3g} % flipped", ylabel="sensitivity s")
    for ax in (left, right):
        ax.set_xlabel("training samples n")
    log_axes(left)
    log_axes(right, "x")
    right.axhline(0.0, color="0.6", linestyle=":", linewidth=1.0)
    # Lines may be anywhere within the axes.
    legend(right, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return how noise costs from the smallest to the largest size change, of the kernel whose two differ most."""
    ends = measurement.mean("trial").isel(n_train=[0, -1])
    first, last = ends.n_train.to_numpy()
    ratio = {}
    for name in ends.kernel.to_numpy():
        cost, sensitivity = (ends[one].sel(kernel=name).to_numpy() for one in ("noise_cost", "sensitivity"))
        if (np.isfinite(cost) & np.isfinite(sensitivity)).all() and min(*cost, *sensitivity) > 0:
            ratio[str(name)] = cost[1] / cost[0], sensitivity[1] / sensitivity[0]
    if not ratio:
        return "The two costs of noise cannot be compared: one of them has no positive value at the ends"
    name = max(ratio, key=lambda name: abs(np.log(ratio[name][0] / ratio[name][1])))
    if first == last:
        return (
            f"At n = {last} noise costs the {name} kernel {ends.noise_cost.sel(kernel=name).values[1]:.2g} of its "
            f"variance in squared error, and flips {ends.sensitivity.sel(kernel=name).values[1]:.2g} in wrong answers"
        )
    squared, wrong = (percent(abs(one - 1), 2) + (" more" if one > 1 else " less") for one in ratio[name])
    return (
        f"From {first} to {last} samples noise costs the {name} kernel {squared} in squared error, "
        f"{wrong} in wrong answers"
    )


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return for each kernel the cost of noise in either loss, and the regime."""
    mean = measurement.mean("trial")
    first, last = int(mean.n_train[0]), int(mean.n_train[-1])
    sentences = ["The same models in two losses."]
    for name, (squared, zero_one) in verdicts(measurement).items():
        one = mean.sel(kernel=name)
        cost, sensitivity = one.noise_cost.to_numpy(), one.sensitivity.to_numpy()
        sentences.append(
            f"{name}: from n = {first} to {last} the cost of noise goes from {cost[0]:.2g} to {cost[-1]:.2g} of its "
            f"variance in squared loss ({squared.regime}), and the sensitivity to flips from {sensitivity[0]:.2g} to "
            f"{sensitivity[-1]:.2g} in 0-1 loss ({zero_one.regime})."
        )
    agreement = comparison.summary["noise_cost"]
    if agreement.counted:
        sentences.append(
            "Leaving out one training point at a time, without labels or test points, predicts the cost in squared "
            f"loss within {percent(agreement.median_error, decimals=1)} (median)."
        )
    return " ".join(sentences)


study = Study(
    name="two-losses",
    title="One kernel machine, two losses: tempered in squared error, nearly benign in wrong answers",
    paper=PAPER,
    question="Does the cost of label noise to my model depend on the loss?",
    Parameters=Parameters,
    tiny=Parameters(data="wine", kernels=("laplace",), n_train=(20, 40), trials=2),
    compared=("noise_cost", "sensitivity"),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"cost of noise in squared loss, from the kernel matrix $K$ of $n$ inputs and ridge $\delta$: "
        r"$V_n = \frac{1}{n} \sum_i \frac{(A^2)_{ii}}{A_{ii}^2} - 1$ with $A = (K + \delta I)^{-1}$",
        r"in 0-1 loss the answer is the class $c$ of the largest $w(x) \cdot y_c$, with the weights "
        r"$w(x) = (K + \delta I)^{-1} k(x)$ and randomly flipped labels $y_c$",
        r"its sensitivity to a share $p$ of flips, from the test error $e(p)$ on $C$ classes: "
        r"$s = \frac{e(p) - e(0)}{p (1 - \frac{C}{C - 1} e(0))}$",
    ),
)
