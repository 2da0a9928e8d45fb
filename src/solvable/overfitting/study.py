r"""The study `overfitting`: the trichotomy of kernel regression, from eigenvalues and from fits to noise.

Labels are pure noise of unit variance, and the model interpolates them. The test error $\mathcal{E}_0(n)$ is predicted
from the spectrum, and measured as the mean of $1 + |w(x)|^2$ over training sets and test points: for spectra with
Gaussian eigenfunctions, as theory assumes, and for kernels on a sphere, as in practice.

Source: Mallinar, Simon, Abedsoltan, Pandit, Belkin and Nakkiran, 2022, arXiv:2207.06569.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from solvable.errors import InputError
from solvable.kernels import as_kernel
from solvable.kernels.angular import AngularKernel
from solvable.kernels.stationary import Stationary
from solvable.lab import Comparison, Study
from solvable.lab.parameters import check_parameters, seed_of
from solvable.lab.text import percent, readable
from solvable.machine import at_once, need_memory
from solvable.overfitting.asymptotics import (
    Asymptotics,
    exponential_asymptotics,
    kernel_asymptotics,
    power_law_asymptotics,
)
from solvable.overfitting.experiment import gaussian_design_cost, radius_of, sphere_cost
from solvable.overfitting.theory import overfitting_coefficient
from solvable.spectra import Eigensystem, hypersphere, power_law

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = (
    "N. Mallinar, J. B. Simon, A. Abedsoltan, P. Pandit, M. Belkin, P. Nakkiran, Benign, Tempered, or "
    "Catastrophic: A Taxonomy of Overfitting, NeurIPS 2022, arXiv:2207.06569"
)
"""Citation of the three studies."""

# Number of resolved degrees of the harmonics; higher ones enter by their trace.
_LEVELS = 100
_MOST_TRAIN = 5000
_LARGEST_LOGARITHM = 700.0
# What the name of a case with a ridge ends with.
_WITH_RIDGE = ", ridge"


@dataclass(frozen=True)
class Parameters:
    """Spectra, kernels and sizes."""

    n_train: tuple[int, ...] = (25, 50, 100, 200, 400, 800)
    """Training sizes."""

    alpha: float = 1.5
    """Exponent of the power-law spectrum i^-alpha, above 1; its limit is alpha."""

    decay: float = 0.02
    """Rate c of the exponential spectrum exp(-c i); its overfitting coefficient is c n, without limit."""

    kernels: tuple[str, ...] = ("laplace", "gaussian", "relu ntk 2")
    """Kernels on the sphere: laplace, gaussian, matern32, matern52, relu ntk 2, ... (nets without bias)."""

    dimension: int = 5
    """Intrinsic dimension D of the sphere, in D + 1 coordinates."""

    length_scale: float = 1.0
    """Length scale of kernels that have one; the sphere has radius 1."""

    ridge: float = 0.5
    """Ridge, in units of K(x, x), of the cases that have one: the power law, and the first kernel."""

    n_test: int = 400
    """Test points of each training set."""

    n_modes: int = 4000
    """Sampled modes of the spectra with Gaussian eigenfunctions; further modes of the power law act as a ridge."""

    trials: int = 10
    """Number of training sets."""

    random_state: int = 0
    """Seed."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"n_train": 2, "dimension": 2, "n_test": 1, "n_modes": 10, "trials": 1},
            above={"alpha": 1, "decay": 0, "length_scale": 0, "ridge": 0},
            at_most={"alpha": 20, "dimension": 1000, "length_scale": 1000, "ridge": 1e6},
        )
        largest = max(self.n_train)
        if largest > _MOST_TRAIN:
            raise InputError(
                f"n_train goes up to {largest}; expected at most {_MOST_TRAIN}, since each trial fits that many samples"
            )
        if self.n_modes < 3 * largest:
            raise InputError(
                f"n_modes is {self.n_modes} for n_train up to {largest}; expected at least three times as many, since "
                "with fewer the end of the spectrum dominates"
            )
        if self.decay * largest > _LARGEST_LOGARITHM:
            raise InputError(
                f"decay is {self.decay:g} for n_train up to {largest}, whose eigenvalues exp(-c n) are below the range "
                f"of floats; expected at most {_LARGEST_LOGARITHM / largest:.3g}"
            )
        columns = max(self.n_modes, self.dimension + 1)
        need_memory(
            8.0
            * at_once(self.trials)
            * (columns * (4 * largest + 2 * self.n_test) + 3 * largest * self.n_test),
            f"a trial with n_modes {self.n_modes}, n_test {self.n_test} and n_train {largest}, on each core,",
            "lower n_modes or n_test",
        )


@dataclass(frozen=True, eq=False)
class Case:
    """A spectrum or kernel, with ridge or without.

    Attributes:
        name: in tables and legends.
        eigensystem: for theory.
        ridge: in units of the kernel.
        asymptotics: for large n.
        cost: measurement of one training set: (n_train, generator) -> number.
    """

    name: str
    eigensystem: Eigensystem
    ridge: float
    asymptotics: Asymptotics
    cost: Callable[[int, np.random.Generator], float]


@dataclass(frozen=True, eq=False)
class Setting:
    """All cases."""

    cases: tuple[Case, ...]
    notes: tuple[str, ...]


def prepare(parameters: Parameters) -> Setting:
    """Return the cases: two spectra and the kernels without ridge, then one of each with it."""
    alpha, decay, ridge = parameters.alpha, parameters.decay, parameters.ridge
    power = power_law(alpha)
    fast = Eigensystem.from_log_eigenvalues(-decay * np.arange(1.0, parameters.n_modes + 1))
    names = [name.strip() for name in parameters.kernels]
    cases = (
        _spectrum(parameters, f"power law, α = {alpha:g}", power, 0.0, power_law_asymptotics(alpha)),
        _spectrum(parameters, f"exponential, c = {decay:g}", fast, 0.0, exponential_asymptotics(decay)),
        *(_kernel(parameters, name, 0.0) for name in names),
        _spectrum(parameters, f"power law{_WITH_RIDGE}", power, ridge, power_law_asymptotics(alpha, ridge)),
        *(_kernel(parameters, name, ridge) for name in names[:1]),
    )
    notes = (
        "labels are noise of unit variance: 1 is the Bayes error, and the excess is the cost of fitting noise",
        f"spectra have {parameters.n_modes} sampled modes; kernels are on the sphere of intrinsic dimension "
        f"{parameters.dimension}, their spectra by quadrature",
        *sorted({case.asymptotics.caveat for case in cases if case.asymptotics.caveat}),
    )
    return Setting(cases, notes)


def _spectrum(
    parameters: Parameters, name: str, task: Eigensystem, ridge: float, asymptotics: Asymptotics
) -> Case:
    # The many small modes beyond those sampled are not learned: they act as a ridge equal to their trace.
    modes = np.arange(1.0, parameters.n_modes + 1)
    eigenvalues = np.exp(-parameters.decay * modes) if task.tail is None else modes**-parameters.alpha
    rest = 0.0 if task.tail is None else task.trace - float(eigenvalues.sum())

    def cost(n: int, generator: np.random.Generator) -> float:
        return gaussian_design_cost(eigenvalues, n, ridge + rest, parameters.n_test, generator)

    return Case(name, task, ridge, asymptotics, cost)


def _kernel(parameters: Parameters, name: str, share: float) -> Case:
    kernel = as_kernel(name)
    if isinstance(kernel, Stationary):
        kernel = replace(kernel, length_scale=parameters.length_scale)  # pyright: ignore[reportCallIssue]
    if not isinstance(kernel, AngularKernel):
        raise InputError(f"{name!r} is not a kernel of the angle; give one such as laplace or relu ntk 2")
    d = parameters.dimension
    radius, ridge = radius_of(kernel, d), share * float(kernel.curve(np.ones(1))[0])
    # The limit does not depend on the number of layers.
    words = name.replace("-", " ").split()
    family = " ".join(word for word in words if not word.isdigit() and word != "depth")
    return Case(
        name + (_WITH_RIDGE if share else ""),
        hypersphere(kernel.curve, d + 1, n_levels=_LEVELS),
        ridge,
        kernel_asymptotics(family, d, ridge),
        lambda n, generator: sphere_cost(kernel, radius, d, n, ridge, parameters.n_test, generator),
    )


def predict(parameters: Parameters, setting: Setting) -> xr.Dataset:
    """Return the overfitting coefficient of every case from its spectrum, on a fine grid of n."""
    sizes = np.unique(parameters.n_train)
    grid = np.union1d(sizes, np.geomspace(sizes[0], sizes[-1], 40).round().astype(np.int64))
    return xr.Dataset(
        {
            "overfitting_coefficient": (
                ("case", "n_train"),
                [overfitting_coefficient(case.eigensystem, grid, case.ridge) for case in setting.cases],
            ),
            "limit": ("case", [case.asymptotics.limit for case in setting.cases]),
            "regime": ("case", [case.asymptotics.regime for case in setting.cases]),
        },
        {"case": [case.name for case in setting.cases], "n_train": grid},
        {"dimension": parameters.dimension},
    )


def trial(parameters: Parameters, setting: Setting, index: int) -> xr.Dataset:
    """Measure one training set of each case and size."""
    sizes, seed = np.unique(parameters.n_train).tolist(), parameters.random_state
    values = [
        [case.cost(n, np.random.default_rng(seed_of(seed, index, i, n))) for n in sizes]
        for i, case in enumerate(setting.cases)
    ]
    return xr.Dataset(
        {"overfitting_coefficient": (("case", "n_train"), values)},
        {"case": [case.name for case in setting.cases], "n_train": sizes},
    )


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw the coefficient over n: spectra with Gaussian eigenfunctions on the left, kernels on the right."""
    from matplotlib.lines import Line2D

    from solvable.lab.figure import COLORS, curves, log_axes, subplots

    figure, axes = subplots(1, 2, height=3.9, sharey=True)
    both = zip(prediction.case.to_numpy(), prediction.regime.to_numpy(), strict=True)
    names = [f"{case} ({regime})" for case, regime in both]
    prediction, measurement = prediction.assign_coords(case=names), measurement.assign_coords(case=names)
    is_spectrum = np.array([name.startswith(("power law", "exponential")) for name in names])
    for ax, selected in zip(axes, (is_spectrum, ~is_spectrum), strict=True):
        cases = prediction.isel(case=selected)
        curves(ax, cases, measurement, "overfitting_coefficient", x="n_train", hue="case")
        for i, limit in enumerate(cases.limit.to_numpy()):
            if np.isfinite(limit):
                ax.axhline(limit, color=COLORS[i % len(COLORS)], linestyle=":", linewidth=0.8)
        ax.set(xlabel="training samples n")
    axes[0].set(title="Gaussian eigenfunctions", ylabel="test error $\\mathcal{E}_0$ of noise")
    axes[1].set(title=f"kernels on the sphere, D = {prediction.attrs['dimension']}")
    for ax in axes:
        ax.set_ylim(0.97, None)
        log_axes(ax)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower right")
    handles = [
        Line2D([], [], color="0.4", label="predicted"),
        Line2D([], [], color="0.4", linestyle="", marker="o", label="measured"),
        Line2D([], [], color="0.4", linestyle=":", linewidth=0.8, label="limit n → ∞"),
    ]
    # Costs rise from the lower left, if they do.
    axes[0].legend(handles=handles, loc="upper left")
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the least and the largest measured cost of noise, of the cases without ridge, at the largest size."""
    exact = [str(name) for name in prediction.case.to_numpy() if not str(name).endswith(_WITH_RIDGE)]
    last = measurement.overfitting_coefficient.isel(n_train=-1).mean("trial").sel(case=exact).to_numpy()
    if not np.isfinite(last).any():
        return "Fitting labels of pure noise exactly has no finite test error"
    low, high = (f"{number(last[np.isfinite(last)]):.3g}" for number in (np.min, np.max))
    factors = low if low == high else f"{low} to {high}"
    off = percent(comparison.summary["overfitting_coefficient"].median_error, 2)
    return (
        f"At n = {int(measurement.n_train[-1])} fitted noise multiplies the test error by {factors}, depending on the "
        f"kernel; "
        f"theory has a median error of {off}"
    )


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return for each case the cost of noise at the largest size and its trend, and the accuracy of theory."""
    n = int(measurement.n_train[-1])
    mean = measurement.overfitting_coefficient.mean("trial")
    sentences, errors = [], {}
    for name in (str(name) for name in prediction.case.to_numpy()):
        one, measured = prediction.sel(case=name), mean.sel(case=name)
        predicted = one.overfitting_coefficient.sel(n_train=measured.n_train)
        errors[name] = float(np.abs(predicted / measured - 1).max())
        first, last, limit = float(measured[0]), float(measured[-1]), float(one.limit)
        to = f"towards {readable(limit)}" if np.isfinite(limit) else "without limit"
        trend = "rising" if last > first else "falling"
        sentences.append(
            f"{name}: {last:.3g} at n = {n}, {trend} from {first:.3g}, {to} ({one.regime.item()})"
        )
    worst = max(errors, key=lambda name: (errors[name], name))
    reason = ""
    if errors[worst] > 0.1:
        reason = (
            "; it assumes independent Gaussian features, which smooth kernels in few dimensions do not have."
        )
    return (
        f"Test error of fitted pure unit noise. {'; '.join(sentences)}. Theory is within "
        f"{100 * comparison.summary['overfitting_coefficient'].median_error:.1f} % (median) and "
        f"{100 * errors[worst]:.0f} % at worst ({worst}){reason or '.'}"
    )


study = Study(
    name="overfitting",
    title="Benign, tempered or catastrophic: the cost of fitting noise, from a kernel's eigenvalues and measured",
    paper=PAPER,
    question="If my model fits its noisy labels exactly, does that ruin it, and do more data help?",
    Parameters=Parameters,
    tiny=Parameters(n_train=(8, 16), kernels=("laplace",), n_test=10, n_modes=60, trials=2),
    compared=("overfitting_coefficient",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"effective ridge $\kappa$ of $n$ samples with ridge $\delta$ and eigenvalues $\lambda_i$: "
        r"$\sum_i L_i + \frac{\delta}{\kappa} = n$, where the share $L_i = \frac{\lambda_i}{\lambda_i + \kappa}$ "
        r"of mode $i$ is learned",
        r"test error of pure noise of variance 1: $\mathcal{E}_0 = \frac{n}{n - \sum_i L_i^2}$",
        r"without ridge, for $n \to \infty$: $\mathcal{E}_0 \to \alpha$ for eigenvalues $i^{-\alpha}$ (tempered), "
        r"$\mathcal{E}_0 \to \infty$ for $e^{-c i}$ (catastrophic); with a ridge: $\mathcal{E}_0 \to 1$ (benign)",
    ),
)
