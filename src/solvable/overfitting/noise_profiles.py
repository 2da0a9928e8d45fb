r"""The study `noise-profiles`: what label noise costs a dozen machines trained to fit it, and which of them recover.

Every machine is trained on the same subsets with the same nested label flips and tested on clean labels. Compared is
the normalised sensitivity $s_n(p)$ (see `NoiseProfile`): 0 ignores noise, 1 passes it on in full. Theory knows that of
k nearest neighbours (the limit of many samples, where neighbours share the class), and that of kernel regression from
the weights of one fit, made for the purpose. For trees, forests and nets there is none here, only the measurement.

Source: Mallinar, Simon, Abedsoltan, Pandit, Belkin and Nakkiran, 2022, arXiv:2207.06569, figures 3 and 10.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.kernels import median_distance
from solvable.lab import Comparison, Study
from solvable.lab.parameters import check_parameters
from solvable.overfitting.classification import Classification
from solvable.overfitting.fitting import one_fit
from solvable.overfitting.flipped_data import (
    PILOT,
    FlipParameters,
    flipped_data,
    kernel_matrices,
    sensitivity_from_one_fit,
    sensitivity_of,
)
from solvable.overfitting.floor import SLOWEST
from solvable.overfitting.kernel_profile import KernelFit
from solvable.overfitting.machines import MACHINES, Machine, machine
from solvable.overfitting.noise_profile import NoiseProfile
from solvable.overfitting.reference import knn_profile
from solvable.overfitting.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Flips that are drawn for a kernel machine in each trial: they cost a product each, no fit.
_DRAWS = 20
# A machine that has hardly learned anything has a sensitivity with error bars beyond the figure.
_HIGHEST = 1.6


@dataclass(frozen=True)
class Parameters(FlipParameters):
    """Which machines, on which data, at which noise."""

    models: tuple[str, ...] = tuple(MACHINES)
    """Machines: 1-nn, 5-nn, log-nn, tree, forest, laplace, laplace-ridge, gaussian, ntk, ntk-ridge, mlp, mlp-early."""

    noise_levels: tuple[float, ...] = (0.1, 0.2, 0.4)
    """Shares of corrupted labels; training on clean ones is added."""

    ridge: float = 1.0
    """Ridge of the machines that have one, in units of the mean of K(x, x)."""

    trials: int = 5
    """How many training subsets and flips."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"n_train": 2, "n_test": 1, "noise_levels": 0, "trials": 1},
            above={"length_scale": 0, "ridge": 0},
        )
        for word in self.models:
            machine(word)


@dataclass(frozen=True, eq=False)
class Setting:
    """The task, the grid, and the machines."""

    task: Task
    levels: NDArray[np.float64]
    sizes: NDArray[np.int64]
    machines: tuple[Machine, ...]
    length_scale: float
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Load the data and split them."""
    data = flipped_data(parameters)
    scale = parameters.length_scale or median_distance(data.task.X)
    notes = (
        *data.notes,
        f"Laplace and Gaussian kernels have the length scale {scale:.3g}"
        + ("" if parameters.length_scale else ", the median distance"),
    )
    machines = tuple(machine(word) for word in dict.fromkeys(parameters.models))
    levels = data.task.levels(parameters.noise_levels)
    return Setting(data.task, levels, data.sizes, machines, float(scale), notes, data.fingerprint)


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the sensitivity of those machines of which theory knows it, NaN for the others."""
    task, levels = setting.task, setting.levels[1:]
    known = np.full((len(setting.machines), len(setting.sizes), len(levels)), np.nan)
    for s, n in enumerate(setting.sizes.tolist()):
        draw = task.draw(n, setting.levels, PILOT)
        for i, one in enumerate(setting.machines):
            if one.neighbours is not None:
                known[i, s] = knn_profile(one.neighbours(n), levels, len(task.classes)).clean / levels
            elif one.kernel is not None:
                kernel, ridge = one.kernel(setting.length_scale), parameters.ridge * one.ridged
                known[i, s] = sensitivity_from_one_fit(kernel, task, draw, setting.levels, ridge)
    return xr.Dataset(
        {"sensitivity": (("model", "n_train", "noise_level"), known)},
        {"model": [one.name for one in setting.machines], "n_train": setting.sizes, "noise_level": levels},
        {"data": parameters.data},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train every machine at every size on one subset, at all noise levels."""
    task, levels = setting.task, setting.levels
    shape = (len(setting.machines), len(setting.sizes), len(levels))
    test, train = np.empty(shape), np.empty(shape)
    for s, n in enumerate(setting.sizes.tolist()):
        draw = task.draw(n, levels, index)
        for i, one in enumerate(setting.machines):
            if one.kernel is not None:
                kernel = one.kernel(setting.length_scale)
                matrices = kernel_matrices(kernel, task, draw, parameters.ridge * one.ridged)
                test[i, s], train[i, s] = KernelFit(*matrices, task, draw, levels, _DRAWS).errors()
                continue
            assert one.estimator is not None
            for level in range(len(levels)):
                fit = one_fit(one.estimator(n), task, draw, level)
                test[i, s, level], train[i, s, level] = fit.test_error, fit.train_error
    dims = ("model", "n_train", "level")
    facts = NoiseProfile.of(task, setting.sizes, levels, test[:1], train[:1], estimator="").data.attrs
    return xr.Dataset(
        {
            "test_error": (dims, test),
            "train_error": (dims, train),
            "sensitivity": (
                ("model", "n_train", "noise_level"),
                sensitivity_of(test, levels, len(task.classes)),
            ),
        },
        {
            "model": [one.name for one in setting.machines],
            "n_train": setting.sizes,
            "level": levels,
            "noise_level": levels[1:],
        },
        dict(facts) | {"notes": ""},
    )


def profiles(measurement: xr.Dataset) -> Mapping[str, NoiseProfile]:
    """Return the noise profile of each machine in a measurement of this study.

    Args:
        measurement: with a dim `trial`, as a record of the study has it.
    """
    errors = measurement[["test_error", "train_error"]].rename(level="noise_level")
    errors = errors.transpose("model", "trial", "n_train", "noise_level")
    return {
        str(name): NoiseProfile(
            errors.sel(model=name, drop=True).assign_attrs(measurement.attrs | {"estimator": str(name)})
        )
        for name in measurement.model.to_numpy()
    }


def verdicts(measurement: xr.Dataset, strict: bool = False) -> Mapping[str, Classification]:
    """Return the verdict on each machine, at the noise level nearest to 0.2."""
    return {name: profile.verdict(strict=strict) for name, profile in profiles(measurement).items()}


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw errors over the noise at the largest size, and sensitivities over the size near noise level 0.2."""
    from solvable.lab.figure import COLORS, MARKERS, log_axes, measured_points, prediction_line, subplots

    figure, (left, right) = subplots(1, 2, height=4.0)
    found = profiles(measurement)
    for i, (name, profile) in enumerate(found.items()):
        # More machines than colours: the second round has hollow markers and dashed lines.
        color, again = COLORS[i % len(COLORS)], i >= len(COLORS)
        style: dict[str, Any] = {"color": color, "fmt": MARKERS[i % len(MARKERS)]}
        if again:
            style["markerfacecolor"] = "white"
        error = profile.test_error.isel(n_train=-1)
        measured_points(
            left,
            error.noise_level,
            100 * error,
            100 * profile.test_error_standard_error.isel(n_train=-1),
            linestyle="--" if again else "-",
            linewidth=0.8,
            **style,
        )
        level = _judged(profile)
        s = profile.sensitivity.sel(noise_level=level)
        verdict = profile.verdict(level)
        label = f"{name}: {verdict.regime}"
        measured_points(
            right, s.n_train, s, profile.standard_error.sel(noise_level=level), label=label, **style
        )
        line = prediction.sensitivity.sel(model=name).sel(noise_level=level, method="nearest")
        prediction_line(right, line.n_train, line, color=color, linestyle="--" if again else "-")
    highest = 115 * max(float(profile.test_error.isel(n_train=-1).max()) for profile in found.values())
    reference = next(iter(found.values())).reference()
    for curve, words in (("sampler", "as 1-NN"), ("chance", "chance")):
        level, error = reference.noise_level.to_numpy(), 100 * reference[curve].to_numpy()
        left.plot(level, error, color="0.6", linestyle=":", linewidth=1.0)
        if error[-1] < highest:
            left.annotate(
                words,
                (level[-1], error[-1]),
                xytext=(3, -2),
                textcoords="offset points",
                fontsize=7,
                color="0.4",
                annotation_clip=False,
            )
    n = int(measurement.n_train[-1])
    left.set(
        xlabel="share of labels corrupted p (%)", ylabel="errors on clean test labels (%)", title=f"n = {n}"
    )
    left.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    left.set_ylim(0, highest)
    right.set_ylim(-0.1, min(right.get_ylim()[1], _HIGHEST))
    level = _judged(next(iter(found.values())))
    right.set(xlabel="training samples n", ylabel="sensitivity s", title=f"p = {100 * level:g} %")
    right.axhline(1.0, color="0.6", linestyle=":", linewidth=1.0)
    right.axhline(0.0, color="0.6", linestyle=":", linewidth=1.0)
    log_axes(right, "x")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4, columnspacing=1.2)
    return figure


def _judged(profile: NoiseProfile) -> float:
    return profile.verdict().noise_level or float(profile.noise_levels[-1])


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Say of which kind each machine is, what one more label in a hundred wrong costs it, and how well theory knew."""
    found = profiles(measurement)
    judged = verdicts(measurement)
    n, level = int(measurement.n_train[-1]), _judged(next(iter(found.values())))
    kinds: dict[str, list[str]] = {}
    for name, verdict in judged.items():
        s = float(found[name].sensitivity.sel(noise_level=level).isel(n_train=-1))
        kinds.setdefault(verdict.regime, []).append(f"{name} ({s:.2f})")
    order = [kind for kind in ("benign", "tempered", "catastrophic", "undecided") if kind in kinds]
    said = [
        f"In 0-1 loss at {100 * level:g} % noise, sensitivity at n = {n} in brackets: "
        + "; ".join(f"{kind}: {', '.join(kinds[kind])}" for kind in order)
        + "."
    ]
    loose = [name for name, profile in found.items() if not bool(profile.interpolates.all())]
    if loose:
        said.append(f"Not fitting all their labels: {', '.join(loose)}.")
    agreement = comparison.summary["sensitivity"]
    table: Any = comparison.table
    rows = table[table["counted"]]
    if agreement.counted:
        gap = float((rows["predicted"] - rows["measured"]).abs().median())
        said.append(
            f"Where theory knows the sensitivity it is within {gap:.2f} of the measured one (median)."
        )
    said.append(f"Verdicts assume that a cost which vanishes does so at least as fast as n^-{SLOWEST:g}.")
    return " ".join(said)


study = Study(
    name="noise-profiles",
    title="What label noise costs neighbours, trees, kernels and nets, and which of them recover with more data",
    paper=(
        "N. Mallinar, J. B. Simon, A. Abedsoltan, P. Pandit, M. Belkin, P. Nakkiran, Benign, Tempered, or "
        "Catastrophic: A Taxonomy of Overfitting, NeurIPS 2022, arXiv:2207.06569"
    ),
    question="Which of my candidate models suffers least from wrong labels, and does more data help?",
    Parameters=Parameters,
    tiny=Parameters(data="wine", models=("1-nn", "laplace"), noise_levels=(0.2,), n_train=(20, 40), trials=2),
    compared=("sensitivity",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
)
