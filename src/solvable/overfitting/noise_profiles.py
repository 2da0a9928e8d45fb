r"""The study `noise-profiles`: the cost of label noise to a dozen models that fit it, and which of them recover.

Every model is trained on the same subsets with the same nested label flips and tested on clean labels. The studied
quantity is the normalised sensitivity $s_n(p)$ (see `NoiseProfile`): 0 ignores noise, 1 passes it on in full. It is
predicted for k nearest neighbours (in the limit of many samples, where neighbours share the class), and for kernel
regression from the weights of a separate fit. Trees, forests and nets are only measured.

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
from solvable.lab.text import percent
from solvable.overfitting.classification import Classification
from solvable.overfitting.drawing import color_and_marker
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
from solvable.overfitting.models import MODELS, Model, model_named
from solvable.overfitting.noise_profile import NoiseProfile
from solvable.overfitting.reference import knn_profile
from solvable.overfitting.study import PAPER
from solvable.overfitting.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Draws of the flips for a kernel machine in each trial: each costs a matrix product, no fit.
_DRAWS = 20
# Upper end of the sensitivity axis: models that have hardly learned anything have huge error bars.
_HIGHEST = 1.6


@dataclass(frozen=True)
class Parameters(FlipParameters):
    """Models, data and noise levels."""

    models: tuple[str, ...] = tuple(MODELS)
    """Models: 1-nn, 5-nn, log-nn, tree, forest, laplace, laplace-ridge, gaussian, ntk, ntk-ridge, mlp, mlp-early."""

    noise_levels: tuple[float, ...] = (0.1, 0.2, 0.4)
    """Shares of corrupted labels; training on clean ones is added."""

    ridge: float = 1.0
    """Ridge of the models that have one, in units of the mean of K(x, x)."""

    trials: int = 5
    """Number of training subsets, each with its own flips."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"n_train": 2, "n_test": 1, "noise_levels": 0, "length_scale": 1e-6, "trials": 1},
            above={"ridge": 0},
            at_most={"ridge": 1e6, "length_scale": 1e6},
        )
        for word in self.models:
            model_named(word)


@dataclass(frozen=True, eq=False)
class Setting:
    """The task, the grid, and the models."""

    task: Task
    levels: NDArray[np.float64]
    sizes: NDArray[np.int64]
    models: tuple[Model, ...]
    length_scale: float
    notes: tuple[str, ...]
    fingerprint: str


def prepare(parameters: Parameters) -> Setting:
    """Load and split the data."""
    data = flipped_data(parameters)
    scale = parameters.length_scale or median_distance(data.task.X)
    source = "" if parameters.length_scale else ", the median distance"
    notes = (*data.notes, f"Laplace and Gaussian kernels have the length scale {scale:.3g}{source}")
    models = tuple(model_named(word) for word in dict.fromkeys(parameters.models))
    levels = data.task.levels(parameters.noise_levels)
    return Setting(data.task, levels, data.sizes, models, float(scale), notes, data.fingerprint)


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the sensitivity of neighbours and kernels, NaN for the other models."""
    task, levels = setting.task, setting.levels[1:]
    sensitivity = np.full((len(setting.models), len(setting.sizes), len(levels)), np.nan)
    for s, n in enumerate(setting.sizes.tolist()):
        draw = task.draw(n, setting.levels, PILOT)
        for i, one in enumerate(setting.models):
            if one.neighbours is not None:
                sensitivity[i, s] = knn_profile(one.neighbours(n), levels, len(task.classes)).clean / levels
            elif one.kernel is not None:
                kernel, ridge = one.kernel(setting.length_scale), parameters.ridge * one.ridged
                sensitivity[i, s] = sensitivity_from_one_fit(kernel, task, draw, setting.levels, ridge)
    return xr.Dataset(
        {"sensitivity": (("model", "n_train", "noise_level"), sensitivity)},
        {"model": [one.name for one in setting.models], "n_train": setting.sizes, "noise_level": levels},
        {"data": parameters.data},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Train every model at every size on one subset, at all noise levels."""
    task, levels = setting.task, setting.levels
    test, train = np.empty((2, len(setting.models), len(setting.sizes), len(levels)))
    for s, n in enumerate(setting.sizes.tolist()):
        draw = task.draw(n, levels, index)
        for i, one in enumerate(setting.models):
            if one.kernel is not None:
                kernel = one.kernel(setting.length_scale)
                matrices = kernel_matrices(kernel, task, draw, parameters.ridge * one.ridged)
                test[i, s], train[i, s] = KernelFit(*matrices, task, draw, levels, _DRAWS).errors()
                continue
            assert one.estimator is not None
            for level in range(len(levels)):
                fit = one_fit(one.estimator(n), task, draw, level)
                test[i, s, level], train[i, s, level] = fit.test_error, fit.train_error
    dims = ("model", "n_train")
    sensitivity = sensitivity_of(test, levels, len(task.classes))
    facts = NoiseProfile.of(task, setting.sizes, levels, test[:1], train[:1], estimator="").data.attrs
    return xr.Dataset(
        {
            "test_error": ((*dims, "level"), test),
            "train_error": ((*dims, "level"), train),
            "sensitivity": ((*dims, "noise_level"), sensitivity),
        },
        {
            "model": [one.name for one in setting.models],
            "n_train": setting.sizes,
            "level": levels,
            "noise_level": levels[1:],
        },
        dict(facts) | {"notes": ""},
    )


def profiles(measurement: xr.Dataset) -> Mapping[str, NoiseProfile]:
    """Return the noise profile of each model from a measurement of this study, with a dim `trial`."""
    errors = measurement[["test_error", "train_error"]].rename(level="noise_level")
    errors = errors.transpose("model", "trial", "n_train", "noise_level")
    return {
        str(name): NoiseProfile(
            errors.sel(model=name, drop=True).assign_attrs(measurement.attrs | {"estimator": str(name)})
        )
        for name in measurement.model.to_numpy()
    }


def verdicts(measurement: xr.Dataset, strict: bool = False) -> Mapping[str, Classification]:
    """Return the verdict on each model, at the noise level nearest to 0.2."""
    return {name: profile.verdict(strict=strict) for name, profile in profiles(measurement).items()}


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw errors over the noise at the largest size, and sensitivities over the size near noise level 0.2."""
    from solvable.lab.figure import COLORS, log_axes, measured_points, prediction_line, subplots

    figure, (left, right) = subplots(1, 2, height=4.2)
    by_name = profiles(measurement)
    first = next(iter(by_name.values()))
    level = first.judged_level()
    for i, (name, profile) in enumerate(by_name.items()):
        # With more models than colours, the second round has hollow markers and dashed lines.
        color, marker = color_and_marker(i)
        line, face = ("--", "white") if i >= len(COLORS) else ("-", color)
        style: dict[str, Any] = {"color": color, "fmt": marker, "markerfacecolor": face}
        error, bar = (
            100 * one.isel(n_train=-1) for one in (profile.test_error, profile.test_error_standard_error)
        )
        measured_points(left, error.noise_level, error, bar, linestyle=line, linewidth=0.8, **style)
        s, bar = (one.sel(noise_level=level) for one in (profile.sensitivity, profile.standard_error))
        label = f"{name}: {profile.verdict().regime}"
        measured_points(right, s.n_train, s, bar, label=label, **style)
        s = prediction.sensitivity.sel(model=name).sel(noise_level=level, method="nearest")
        prediction_line(right, s.n_train, s, color=color, linestyle=line)
    highest = 115 * max(float(profile.test_error.isel(n_train=-1).max()) for profile in by_name.values())
    dotted: dict[str, Any] = {"color": "0.6", "linestyle": ":", "linewidth": 1.0}
    reference = first.reference()
    for curve, words in (("sampler", "as 1-NN"), ("chance", "chance")):
        p, error = reference.noise_level.to_numpy(), 100 * reference[curve].to_numpy()
        left.plot(p, error, **dotted)
        if error[-1] < highest:
            left.annotate(
                words, (p[-1], error[-1]), (3, -2), textcoords="offset points", color="0.4",
                annotation_clip=False,
            )  # fmt: skip
    title = f"n = {int(measurement.n_train[-1])}"
    left.set(xlabel="corrupted labels p (%)", ylabel="clean test errors (%)", title=title)
    left.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    left.set_ylim(0, highest)
    most = 1.1 * float(max(one.sensitivity.sel(noise_level=level).max() for one in by_name.values()))
    right.set_ylim(-0.1, max(min(right.get_ylim()[1], _HIGHEST), most))
    right.set(xlabel="training samples n", ylabel="sensitivity s", title=f"p = {100 * level:g} %")
    right.axhline(1.0, **dotted)
    right.axhline(0.0, **dotted)
    log_axes(right, "x")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3, columnspacing=1.2)
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the sensitivity of the best and the worst model at the largest size, and how many models recover."""
    by_name = profiles(measurement)
    level = next(iter(by_name.values())).judged_level()
    last = {name: _last_sensitivity(profile, level) for name, profile in by_name.items()}
    known = {name: s for name, s in last.items() if np.isfinite(s)}
    noise = f"{100 * level:.3g} % wrong labels"
    if not known:
        return f"With {noise} no model learned enough for its sensitivity to noise to be measured"
    best, worst = (choose(known, key=lambda name: known[name]) for choose in (min, max))
    # A model without any sensitivity has one below 0 by chance.
    low, high = (percent(max(known[name], 0.0), decimals=0) for name in (best, worst))
    found = f"{_in_line(best)} passes on {low}" + (f", {_in_line(worst)} {high}" if len(known) > 1 else "")
    regimes = [profile.verdict().regime for profile in by_name.values()]
    if benign := regimes.count("benign"):
        trend = f"; with more data the cost vanishes for {benign} of {len(regimes)}"
    else:
        trend = "" if "undecided" in regimes else "; more data cure none of them"
    return f"Of {noise} {found}{trend}"


def _in_line(name: str) -> str:
    """Return a model's name without a comma, such as `Laplace (ridge)`."""
    model, _, kind = name.partition(", ")
    return f"{model} ({kind})" if kind else model


def _last_sensitivity(profile: NoiseProfile, level: float) -> float:
    return float(profile.sensitivity.sel(noise_level=level).isel(n_train=-1))


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the kind of each model, its sensitivity to noise, and the accuracy of theory."""
    by_name = profiles(measurement)
    level = next(iter(by_name.values())).judged_level()
    models: dict[str, list[str]] = {"benign": [], "tempered": [], "catastrophic": [], "undecided": []}
    for name, profile in by_name.items():
        models[profile.verdict().regime].append(f"{name} ({_last_sensitivity(profile, level):.2f})")
    kinds = "; ".join(f"{regime}: {', '.join(names)}" for regime, names in models.items() if names)
    sentences = [
        f"In 0-1 loss at {100 * level:g} % noise, sensitivity at n = {int(measurement.n_train[-1])} in brackets: "
        f"{kinds}."
    ]
    unfitted = [name for name, profile in by_name.items() if not bool(profile.interpolates.all())]
    if unfitted:
        sentences.append(f"Not fitting all their labels: {', '.join(unfitted)}.")
    if comparison.summary["sensitivity"].counted:
        table: Any = comparison.table
        rows = table[table["counted"]]
        gap = float((rows["predicted"] - rows["measured"]).abs().median())
        sentences.append(f"Predicted sensitivities are within {gap:.2f} of the measured ones (median).")
    sentences.append(f"Verdicts assume that a vanishing cost falls at least as fast as n^-{SLOWEST:g}.")
    return " ".join(sentences)


study = Study(
    name="noise-profiles",
    title="The cost of label noise to neighbours, trees, kernels and nets, and which of them recover with more data",
    paper=PAPER,
    question="Which of my candidate models suffers least from wrong labels, and does more data help?",
    Parameters=Parameters,
    tiny=Parameters(data="wine", models=("1-nn", "laplace"), noise_levels=(0.2,), n_train=(20, 40), trials=2),
    compared=("sensitivity",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"sensitivity to a share $p$ of wrong labels, from the test error $e(p)$ on $C$ classes: "
        r"$s = \frac{e(p) - e(0)}{p (1 - \frac{C}{C - 1} e(0))}$",
        r"vote of $k$ neighbours of the same class: $e(p) = \sum_m \binom{k}{m} (1-p)^m p^{k-m} \ell_m$, where "
        r"$\ell_m$ is the chance that the right class loses with $m$ votes",
        r"kernel $K$ with ridge $\delta$: the answer is the class $c$ of the largest $w(x) \cdot y_c$ with weights "
        r"$w(x) = (K + \delta I)^{-1} k(x)$ and randomly flipped labels $y_c$",
    ),
)
