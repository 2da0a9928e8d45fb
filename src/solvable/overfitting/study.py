r"""The study `overfitting`: the trichotomy of kernel regression, from eigenvalues and from machines fitted to noise.

Labels are noise of unit variance and nothing else, and the machine interpolates them. Predicted is the test error
$\mathcal{E}_0(n)$ from the spectrum, measured the mean of $1 + |w(x)|^2$ over training sets and test points: for
spectra with Gaussian eigenfunctions, which is what theory assumes, and for kernels on a sphere, which is what one has.

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
from solvable.lab.compare import mean_and_error
from solvable.lab.parameters import check_parameters, seed_of
from solvable.lab.text import readable
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

# Degrees of the harmonics that are resolved; what lies above acts by its trace.
_LEVELS = 100
_MOST_TRAIN = 5000


@dataclass(frozen=True)
class Parameters:
    """Which spectra and kernels, at which sizes."""

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
    """Length scale of those kernels that have one; the sphere has radius 1."""

    ridge: float = 0.5
    """Ridge, in units of K(x, x), of the cases that have one: the power law, and the first kernel."""

    n_test: int = 400
    """Test points of each training set."""

    n_modes: int = 4000
    """Modes that are drawn of the spectra with Gaussian eigenfunctions; the power law's others act as a ridge."""

    trials: int = 10
    """How many training sets."""

    random_state: int = 0
    """Seed."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"n_train": 2, "dimension": 2, "n_test": 1, "n_modes": 10, "trials": 1},
            above={"alpha": 1, "decay": 0, "length_scale": 0, "ridge": 0},
        )
        largest = max(self.n_train)
        if largest > _MOST_TRAIN:
            raise InputError(
                f"n_train goes to {largest}; expected at most {_MOST_TRAIN}, since each trial fits a machine of "
                "that size"
            )
        if self.n_modes < 3 * largest:
            raise InputError(
                f"n_modes is {self.n_modes} for n_train up to {largest}; expected three times as many or more, since "
                "with fewer the end of the spectrum is what one sees; raise n_modes"
            )


@dataclass(frozen=True, eq=False)
class Case:
    """A spectrum or kernel, with ridge or without.

    Attributes:
        name: as tables and legends call it.
        eigensystem: what theory is told.
        ridge: in units of the kernel.
        asymptotics: what happens as n grows.
        cost: measures one training set: (n_train, generator) -> number.
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
    alpha, decay, n_modes = parameters.alpha, parameters.decay, parameters.n_modes
    power = power_law(alpha)
    fast = Eigensystem.from_log_eigenvalues(-decay * np.arange(1.0, n_modes + 1))
    names = [name.strip() for name in parameters.kernels]
    cases = [
        _spectrum(parameters, f"power law, α = {alpha:g}", power, 0.0, power_law_asymptotics(alpha)),
        _spectrum(parameters, f"exponential, c = {decay:g}", fast, 0.0, exponential_asymptotics(decay)),
        *(_kernel(parameters, name, 0.0) for name in names),
        _spectrum(
            parameters,
            "power law, ridge",
            power,
            parameters.ridge,
            power_law_asymptotics(alpha, parameters.ridge),
        ),
        *(_kernel(parameters, name, parameters.ridge) for name in names[:1]),
    ]
    caveats = {case.asymptotics.caveat for case in cases if case.asymptotics.caveat}
    return Setting(
        tuple(cases),
        (
            "labels are noise of unit variance: 1 is the Bayes error, what lies above it is the cost of fitting noise",
            f"of the spectra {parameters.n_modes} modes are drawn; kernels are on the sphere of intrinsic dimension "
            f"{parameters.dimension}, their spectra by quadrature",
            *sorted(caveats),
        ),
    )


def _spectrum(
    parameters: Parameters, name: str, task: Eigensystem, ridge: float, asymptotics: Asymptotics
) -> Case:
    # Modes beyond those drawn are too many and too small to be learned: they act as a ridge of the size of their trace.
    modes = np.arange(1.0, parameters.n_modes + 1)
    eigenvalues = np.exp(-parameters.decay * modes) if task.tail is None else modes**-parameters.alpha
    rest = 0.0 if task.tail is None else task.trace - float(eigenvalues.sum())
    return Case(
        name,
        task,
        ridge,
        asymptotics,
        lambda n, generator: gaussian_design_cost(eigenvalues, n, ridge + rest, parameters.n_test, generator),
    )


def _kernel(parameters: Parameters, name: str, share: float) -> Case:
    kernel = as_kernel(name)
    if isinstance(kernel, Stationary):
        kernel = replace(kernel, length_scale=parameters.length_scale)  # pyright: ignore[reportCallIssue]
    if not isinstance(kernel, AngularKernel):
        raise InputError(f"{name!r} is no kernel of the angle; expected one, such as laplace or relu ntk 2")
    d = parameters.dimension
    radius, ridge = radius_of(kernel, d), share * float(kernel.curve(np.ones(1))[0])
    # How many layers a net has changes nothing in its limit.
    known = " ".join(
        word for word in name.replace("-", " ").split() if not word.isdigit() and word != "depth"
    )
    return Case(
        f"{name}, ridge" if share else name,
        hypersphere(kernel.curve, d + 1, n_levels=_LEVELS),
        ridge,
        kernel_asymptotics(known, d, ridge),
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
    sizes = np.unique(parameters.n_train)
    values = [
        [
            case.cost(int(n), np.random.default_rng(seed_of(parameters.random_state, index, i, int(n))))
            for n in sizes
        ]
        for i, case in enumerate(setting.cases)
    ]
    return xr.Dataset(
        {"overfitting_coefficient": (("case", "n_train"), values)},
        {"case": [case.name for case in setting.cases], "n_train": sizes},
    )


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Draw the coefficient over n: spectra with Gaussian eigenfunctions on the left, kernels on the right."""
    from solvable.lab.figure import (
        COLORS,
        MARKERS,
        legend,
        log_axes,
        measured_points,
        prediction_line,
        subplots,
    )

    figure, axes = subplots(1, 2, height=3.4, sharey=True)
    names = [str(name) for name in prediction.case.to_numpy()]
    spectra = [name for name in names if name.startswith(("power law", "exponential"))]
    for ax, shown in zip(axes, (spectra, [name for name in names if name not in spectra]), strict=True):
        for i, name in enumerate(shown):
            one, trials = prediction.sel(case=name), measurement.sel(case=name).overfitting_coefficient
            color = COLORS[i % len(COLORS)]
            prediction_line(ax, one.n_train, one.overfitting_coefficient, color=color)
            label = f"{name} ({one.regime.item()})"
            measured_points(
                ax,
                trials.n_train,
                *mean_and_error(trials),
                color=color,
                fmt=MARKERS[i % len(MARKERS)],
                label=label,
            )
            if np.isfinite(limit := float(one.limit)):
                ax.axhline(limit, color=color, linestyle=":", linewidth=0.8)
        ax.set(xlabel="training samples n")
    axes[0].set(title="Gaussian eigenfunctions", ylabel="test error of pure unit noise, $\\mathcal{E}_0$")
    axes[1].set(title=f"kernels on the sphere, D = {prediction.attrs['dimension']}")
    for ax in axes:
        ax.set_ylim(0.97, None)
        log_axes(ax)
        ax.plot([], [], color="0.4", linestyle=":", linewidth=0.8, label="limit n → ∞")
        legend(ax, loc="upper left")
    return figure


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Say of each case what noise costs at the largest size, where that goes, and how well theory knew."""
    n = int(measurement.n_train[-1])
    mean = measurement.overfitting_coefficient.mean("trial")
    said, off = [], []
    for name in (str(name) for name in prediction.case.to_numpy()):
        one = prediction.sel(case=name)
        measured = mean.sel(case=name)
        predicted = one.overfitting_coefficient.sel(n_train=measured.n_train)
        off.append((float(np.abs(predicted / measured - 1).max()), name))
        limit = float(one.limit)
        to = f"towards {readable(limit)}" if np.isfinite(limit) else "without limit"
        moves = "rising" if float(measured[-1]) > float(measured[0]) else "falling"
        said.append(
            f"{name}: {float(measured[-1]):.3g} at n = {n}, {moves} from {float(measured[0]):.3g}, {to} "
            f"({one.regime.item()})"
        )
    off.sort(reverse=True)
    worst, which = off[0]
    agreement = comparison.summary["overfitting_coefficient"]
    return (
        f"Test error of pure unit noise, fitted. {'; '.join(said)}. Theory is within "
        f"{100 * agreement.median_error:.1f} % (median) and {100 * worst:.0f} % at worst ({which})"
        + (
            "; it takes eigenfunctions for independent and Gaussian, which those of a smooth kernel in few dimensions "
            "are not."
            if worst > 0.1
            else "."
        )
    )


study = Study(
    name="overfitting",
    title="Benign, tempered or catastrophic: what fitting noise costs, from a kernel's eigenvalues and measured",
    paper=(
        "N. Mallinar, J. B. Simon, A. Abedsoltan, P. Pandit, M. Belkin, P. Nakkiran, Benign, Tempered, or "
        "Catastrophic: A Taxonomy of Overfitting, NeurIPS 2022, arXiv:2207.06569"
    ),
    question="If my model fits its noisy labels exactly, does that ruin it, and do more data help?",
    Parameters=Parameters,
    tiny=Parameters(n_train=(8, 16), kernels=("laplace",), n_test=10, n_modes=60, trials=2),
    compared=("overfitting_coefficient",),
    prepare=prepare,
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
)
