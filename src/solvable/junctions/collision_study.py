r"""The study `collisions`: how much the frequencies of a lattice may scatter.

- `collisions`: expected number in a heavy-hexagon lattice of 27 qubits, closed form against random lattices.
- `yield_without_collision`: $e^{-m}$ of m expected collisions, an estimate for rare ones, against random lattices.

Both for a range of spreads, and for a range of distances between the three design frequencies at one spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.junctions.collisions import Lattice
from solvable.junctions.lattices import falcon27
from solvable.lab import Comparison, Study, check_parameters
from solvable.lab.text import percent, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Parameters:
    """The lattice and its spread."""

    sigma_MHz: tuple[float, ...] = (5.0, 10.0, 14.0, 20.0, 30.0, 50.0)
    """Standard deviations of the frequencies in MHz."""

    lowest_GHz: float = 5.0
    """Lowest of the three design frequencies in GHz."""

    spacing_MHz: float = 70.0
    """Distance of the three design frequencies in MHz."""

    spacings_MHz: tuple[float, ...] = (50.0, 60.0, 65.0, 70.0, 80.0)
    """Distances in MHz that are compared at one spread."""

    at_sigma_MHz: float = 14.0
    """Spread in MHz at which they are compared."""

    anharmonicity_MHz: float = -330.0
    """f12 - f01 in MHz, below 0."""

    rules: Literal["hertzberg2021", "brink2018"] = "hertzberg2021"
    """Published set of rules."""

    n_draws: int = 20_000
    """Number of random lattices of each trial."""

    trials: int = 5
    """Number of trials."""

    random_state: int = 0
    """Seed."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"n_draws": 100, "trials": 1},
            above={"sigma_MHz": 0, "lowest_GHz": 0, "spacing_MHz": 0, "spacings_MHz": 0, "at_sigma_MHz": 0},
            at_most={
                "sigma_MHz": 1e4,
                "lowest_GHz": 1e3,
                "spacing_MHz": 1e5,
                "spacings_MHz": 1e5,
                "at_sigma_MHz": 1e4,
                "n_draws": 1_000_000,
            },
        )
        if not -1e5 <= self.anharmonicity_MHz < 0:
            raise InputError(
                f"anharmonicity_MHz is {self.anharmonicity_MHz:g}; expected f12 - f01 of a transmon, which is below 0"
            )

    def lattice(self, spacing_MHz: float) -> Lattice:
        """Return the lattice with three frequencies at this distance."""
        frequencies = self.lowest_GHz + 1e-3 * spacing_MHz * np.arange(3)
        return falcon27(frequencies, 1e-3 * self.anharmonicity_MHz, self.rules)


def predict(parameters: Parameters, setting: None) -> xr.Dataset:
    """Return the closed forms."""
    # Finer than what is measured, for smooth lines.
    sigma, spacing = (smooth_grid(one) for one in (parameters.sigma_MHz, parameters.spacings_MHz))
    by_sigma = parameters.lattice(parameters.spacing_MHz).expected(1e-3 * sigma)
    at = 1e-3 * parameters.at_sigma_MHz
    by_spacing = np.array([float(parameters.lattice(one).expected(at)) for one in spacing])
    return xr.Dataset(
        {
            "collisions": ("sigma_MHz", by_sigma),
            "collisions_by_spacing": ("spacing_MHz", by_spacing),
            "yield_estimate": ("sigma_MHz", np.exp(-by_sigma)),
            "yield_estimate_by_spacing": ("spacing_MHz", np.exp(-by_spacing)),
        },
        {"sigma_MHz": sigma, "spacing_MHz": spacing},
        {"spacing_MHz": parameters.spacing_MHz, "sigma_MHz": parameters.at_sigma_MHz},
    )


def smooth_grid(values: Sequence[float], n: int = 60) -> NDArray[np.float64]:
    """Return positive values, sorted, with others between them.

    >>> smooth_grid([1.0, 4.0], 3)
    array([1., 2., 4.])
    """
    return np.union1d(values, np.geomspace(min(values), max(values), n)[1:-1])


def trial(parameters: Parameters, setting: None, index: int) -> xr.Dataset:
    """Count the collisions of random lattices."""
    rng = np.random.default_rng((parameters.random_state, index))
    sigmas = 1e-3 * np.asarray(parameters.sigma_MHz)
    middle = parameters.lattice(parameters.spacing_MHz)
    counts = np.array([_counts(middle, sigma, parameters.n_draws, rng) for sigma in sigmas])
    spacings = [
        _counts(parameters.lattice(spacing), 1e-3 * parameters.at_sigma_MHz, parameters.n_draws, rng)
        for spacing in parameters.spacings_MHz
    ]
    return xr.Dataset(
        {
            "collisions": ("sigma_MHz", counts[:, 0]),
            "yield_without_collision": ("sigma_MHz", counts[:, 1]),
            "collisions_by_spacing": ("spacing_MHz", [one[0] for one in spacings]),
            "yield_by_spacing": ("spacing_MHz", [one[1] for one in spacings]),
        },
        {"sigma_MHz": list(parameters.sigma_MHz), "spacing_MHz": list(parameters.spacings_MHz)},
    )


def _counts(
    lattice: Lattice, sigma_GHz: float, n_draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the mean number of collisions of random lattices, and the share of those without any."""
    total = free = 0
    for start in range(0, n_draws, 5000):
        n = min(5000, n_draws - start)
        f = lattice.frequencies_GHz + sigma_GHz * rng.standard_normal((n, len(lattice.frequencies_GHz)))
        # A frequency of 0 or less, at absurd spreads, breaks the rules all the same.
        found = lattice.count(np.maximum(f, 1e-9))
        total += int(found.sum())
        free += int((found == 0).sum())
    return total / n_draws, free / n_draws


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Return a figure of collisions and yield against spread, and against the distance of the frequencies."""
    from solvable.lab.compare import mean_and_error
    from solvable.lab.figure import COLORS, legend_above, log_axes, measured_points, prediction_line, subplots

    figure, axes = subplots(1, 2, height=2.9)
    for ax, dim, end, source in (
        (axes[0], "sigma_MHz", "", "yield_without_collision"),
        (axes[1], "spacing_MHz", "_by_spacing", "yield_by_spacing"),
    ):
        theories, sources = (f"collisions{end}", f"yield_estimate{end}"), (f"collisions{end}", source)
        for theory, source, color, label in zip(
            theories, sources, (COLORS[2], COLORS[1]), ("collisions", "yield"), strict=True
        ):
            prediction_line(ax, prediction[dim], prediction[theory], color=color)
            measured_points(
                ax, measurement[dim], *mean_and_error(measurement[source]), color=color, label=label
            )
        ax.set_ylim(bottom=0)
    axes[0].set_yscale("log")
    smallest = measurement.yield_without_collision.mean("trial").to_numpy()
    shown = min([1e-2, *smallest[smallest > 0]])
    axes[0].set_ylim(shown / 2, 2 * max(1.0, float(prediction.collisions.max())))
    log_axes(axes[0], "xy")
    axes[0].set_xlabel("spread of the frequencies (MHz)")
    axes[0].set_ylabel("collisions, yield")
    axes[0].set_title(f"design frequencies {readable(prediction.attrs['spacing_MHz'])} MHz apart")
    axes[1].set_xlabel("distance of the frequencies (MHz)")
    axes[1].set_title(f"spread of {readable(prediction.attrs['sigma_MHz'])} MHz")
    legend_above(figure, axes[1], columns=4)
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the yields at the largest spread at which it is a half or more, and at the next one."""
    free = measurement.yield_without_collision.mean("trial").sortby("sigma_MHz")
    last = max(int((free >= 0.5).sum()) - 1, 0)
    shares = [
        (readable(float(one.sigma_MHz)), percent(float(one), decimals=1)) for one in free[last : last + 2]
    ]
    text = "At a spread of {} MHz {} of lattices of 27 qubits have no collision".format(*shares[0])
    return text + (", at {} MHz {}".format(*shares[1]) if len(shares) > 1 else "")


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the yields at the ends, and the best distance."""
    free = measurement.yield_without_collision.mean("trial")
    sigma = measurement.sigma_MHz.to_numpy()
    low, high = int(np.argmin(sigma)), int(np.argmax(sigma))
    text = (
        f"With a spread of {readable(float(sigma[low]))} MHz {percent(float(free[low]), decimals=1)} of the lattices "
        "have no collision"
    )
    if high != low:
        text += f", with {readable(float(sigma[high]))} MHz {percent(float(free[high]), decimals=1)}"
    by_spacing = measurement.yield_by_spacing.mean("trial")
    best = int(np.argmax(by_spacing.to_numpy()))
    if len(by_spacing) > 1:
        text += (
            f"; at {readable(prediction.attrs['sigma_MHz'])} MHz frequencies "
            f"{readable(float(by_spacing.spacing_MHz[best]))} MHz apart are the best of these, with "
            f"{percent(float(by_spacing[best]), decimals=1)}"
        )
    return f"{text}."


study = Study(
    name="collisions",
    title="Frequency collisions in a lattice of 27 fixed-frequency transmons",
    paper=(
        "J. B. Hertzberg et al., Laser-annealing Josephson junctions for yielding scaled-up superconducting quantum "
        "processors, npj Quantum Information 7, 129, 2021, arXiv:2009.00781"
    ),
    question="How much may the frequencies of a lattice scatter before its qubits collide?",
    Parameters=Parameters,
    tiny=Parameters(sigma_MHz=(10.0, 30.0), spacings_MHz=(60.0, 70.0), n_draws=500, trials=2),
    compared=("collisions", "collisions_by_spacing"),
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"qubits collide where a sum of their frequencies is in a window, for instance "
        r"$\left| f_c - f_t \right| < 17$ MHz or $\left| f_c + \frac{\alpha}{2} - f_t \right| < 2$ MHz for control "
        r"and target with the anharmonicity $\alpha$",
        r"with the spread $\sigma$ of frequencies the sum is normal, with the mean $\mu$ of the design and the spread "
        r"$s = \sqrt{2} \sigma$, or $\sqrt{6} \sigma$ for a control and two targets",
        r"expected collisions, over all windows from $l$ to $h$, with the normal distribution $\Phi$: "
        r"$m = \sum [\Phi(\frac{h - \mu}{s}) - \Phi(\frac{l - \mu}{s})]$",
        r"share of lattices without a collision, if these are rare: $e^{-m}$",
    ),
)
