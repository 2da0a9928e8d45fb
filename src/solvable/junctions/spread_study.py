r"""The study `junction-spread`: what a spread of resistances does to frequencies, and where it comes from.

- `frequency_sd` and `frequency_shift_MHz` of lognormal resistances, against $S c$ and $S (1 + S) c^2 f / 2$.
- `area_share`: share of the variance that the widths cause, from test wafers of different designs and from measured
  widths, against the truth; `share_error`: the standard error that each quotes, against the Fisher information.

Squares alone are refused, since of squares both causes go as 1 / area.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.junctions import transmon
from solvable.junctions.variability import (
    area_share_from_widths,
    designs,
    fit_variance_model,
    identifiable,
    share_error,
)
from solvable.lab import Comparison, Study, check_parameters
from solvable.lab.text import percent, readable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECTANGLES = "14 rectangles"
TWO = "0.2 x 0.2 and 0.05 x 0.8"
IMAGES = "measured widths"
METHODS = (RECTANGLES, TWO, IMAGES)
"""How the share is found."""

_AT = (0.2, 0.2)
# Errors of a width measured by electron microscope.
_SEM_UM = 0.002
_DRAWS = 40_000


@dataclass(frozen=True)
class Parameters:
    """The qubit, and the truth of the test wafers."""

    cv: tuple[float, ...] = (0.01, 0.027, 0.037, 0.1)
    """Spreads of R: standard deviation over mean."""

    f01_GHz: float = 5.0
    """Frequency of the qubit in GHz at the mean resistance."""

    EC_GHz: float = 0.2
    """Its charging energy in GHz."""

    width_sd_nm: float = 3.0
    """Standard deviation of a width in nm."""

    barrier_um2: float = 1e-5
    """Variance of the barrier times area, in µm²."""

    n_junctions: int = 3600
    """Number of junctions of a test wafer."""

    n_images: int = 100
    """Number of junctions whose widths were measured, to 2 nm."""

    trials: int = 40
    """Number of test wafers."""

    random_state: int = 0
    """Seed."""

    def __post_init__(self) -> None:
        check_parameters(
            self,
            at_least={"cv": 1e-4, "n_junctions": 100, "n_images": 10, "trials": 1},
            above={"f01_GHz": 0, "EC_GHz": 0, "width_sd_nm": 0, "barrier_um2": 0},
            at_most={
                "cv": 0.5,
                "f01_GHz": 100,
                "EC_GHz": 10,
                # 0.05 µm is the smallest width of the designs.
                "width_sd_nm": 8,
                "barrier_um2": 1e-2,
                "n_junctions": 1_000_000,
                "n_images": 1_000_000,
            },
        )
        if self.f01_GHz < 2 * self.EC_GHz:
            raise InputError(
                f"f01_GHz is {self.f01_GHz:g}; expected at least twice EC_GHz ({self.EC_GHz:g}), as of a transmon"
            )

    @property
    def EJ_GHz(self) -> float:
        """Josephson energy of the qubit."""
        return float(transmon.josephson_energy_for_frequency(self.f01_GHz, self.EC_GHz))


def shapes(method: str) -> NDArray[np.float64]:
    """Return the designs of a method, (n, 2) in µm."""
    if method == RECTANGLES:
        pairs = designs([0.1, 0.14, 0.2, 0.28, 0.4], 0.01, 0.16, both_orders=False)
        return pairs[pairs.prod(axis=1) < 0.159]
    return np.array([_AT, (0.05, 0.8)]) if method == TWO else np.array([_AT])


def predict(parameters: Parameters, setting: None) -> xr.Dataset:
    """Return the closed forms."""
    a, b = (1e-3 * parameters.width_sd_nm) ** 2, parameters.barrier_um2
    area = a * (1 / _AT[0] ** 2 + 1 / _AT[1] ** 2)
    truth = area / (area + b / (_AT[0] * _AT[1]))
    cv = np.asarray(parameters.cv)
    spread = transmon.frequency_spread(parameters.EJ_GHz, parameters.EC_GHz, cv)
    errors = [
        share_error(parameters.n_junctions, shapes(method), a_um2=a, b_um2=b, at_um=_AT)
        for method in (RECTANGLES, TWO)
    ]
    errors.append(_error_from_images(parameters, truth))
    return xr.Dataset(
        {
            "frequency_sd": ("cv", spread.sd_GHz / parameters.f01_GHz),
            "frequency_shift_MHz": ("cv", 1e3 * spread.shift_GHz),
            "area_share": ("method", np.full(len(METHODS), truth)),
            "share_error": ("method", errors),
        },
        {"cv": cv, "method": list(METHODS)},
        {
            "squares": str(identifiable([(0.1, 0.1), (0.2, 0.2), (0.4, 0.4)])),
            "n_junctions": parameters.n_junctions,
            "n_images": parameters.n_images,
        },
    )


def _error_from_images(parameters: Parameters, share: float) -> float:
    """Return the standard error of a slope: cov(z, y) / var(z) of normal values with n pairs."""
    # y is the logarithm of the measured area; its error beyond z's share is what scatters around the line.
    area = (1e-3 * parameters.width_sd_nm) ** 2 * 2 / _AT[0] ** 2
    total = area / share
    measured = area + _SEM_UM**2 * 2 / _AT[0] ** 2
    return float(np.sqrt((measured / total - share**2) / max(parameters.n_images - 2, 1)))


def trial(parameters: Parameters, setting: None, index: int) -> xr.Dataset:
    """Draw resistances and map them one by one; make a test wafer of each method and analyse it."""
    rng = np.random.default_rng((parameters.random_state, index))
    cv = np.asarray(parameters.cv)
    normal = rng.standard_normal(_DRAWS // 2)
    # With mirrored draws the linear term of the mean cancels.
    normal = np.concatenate([normal, -normal])
    sd, shift = np.empty((2, len(cv)))
    for k, c in enumerate(cv):
        width = np.sqrt(np.log1p(c**2))
        ratio = np.exp(width * normal - width**2 / 2)
        f = transmon.f01(parameters.EJ_GHz / ratio, parameters.EC_GHz)
        sd[k], shift[k] = f.std() / f.mean(), 1e3 * (f.mean() - parameters.f01_GHz)
    shares = [_share(parameters, method, rng) for method in METHODS]
    return xr.Dataset(
        {
            "frequency_sd": ("cv", sd),
            "frequency_shift_MHz": ("cv", shift),
            "area_share": ("method", [one.value for one in shares]),
            "share_error": ("method", [one.error for one in shares]),
            "low": ("method", [one.low for one in shares]),
            "high": ("method", [one.high for one in shares]),
        },
        {"cv": cv, "method": list(METHODS)},
    )


def _share(parameters: Parameters, method: str, rng: np.random.Generator) -> Any:
    """Make junctions of the designs of a method, and return the share that it finds."""
    pairs = shapes(method)
    n = parameters.n_images if method == IMAGES else parameters.n_junctions
    codes = np.arange(n) % len(pairs)
    drawn = pairs[codes]
    widths = np.maximum(drawn + 1e-3 * parameters.width_sd_nm * rng.standard_normal((n, 2)), 1e-3)
    z = -np.log(widths.prod(axis=1)) + np.sqrt(
        parameters.barrier_um2 / drawn.prod(axis=1)
    ) * rng.standard_normal(n)
    if method == IMAGES:
        seen = np.maximum(widths + _SEM_UM * rng.standard_normal((n, 2)), 1e-3)
        return area_share_from_widths(np.exp(z), seen[:, 0], seen[:, 1])
    counts = np.bincount(codes)
    mean = np.bincount(codes, z) / counts
    variance = np.bincount(codes, (z - mean[codes]) ** 2) / (counts - 1)
    return fit_variance_model(pairs[:, 0], pairs[:, 1], variance, counts - 1).area_share(*_AT)


def plot(prediction: xr.Dataset, measurement: xr.Dataset) -> "Figure":
    """Return a figure of the spread of frequencies, and of the shares that the methods find."""
    from solvable.lab.compare import mean_and_error
    from solvable.lab.figure import COLORS, legend_above, log_axes, measured_points, prediction_line, subplots

    figure, axes = subplots(1, 2, height=2.9)
    ax = axes[0]
    cv = 100 * prediction.cv.to_numpy()
    order = np.argsort(cv)
    predicted = 100 * prediction.frequency_sd.to_numpy()
    prediction_line(ax, cv[order], predicted[order], color=COLORS[1])
    mean, error = mean_and_error(measurement.frequency_sd)
    measured_points(ax, cv, 100 * mean, 100 * error, color=COLORS[1], label="spread of f01")
    ax.plot(cv[order], cv[order] / 2, ":", color="#777777", label="half that of R")
    log_axes(ax)
    ax.set_xlabel("spread of R (%)")
    ax.set_ylabel("spread of f01 (%)")
    ax = axes[1]
    place = np.arange(len(METHODS))
    truth = float(prediction.area_share[0])
    ax.axhline(truth, color=COLORS[0], label="truth")
    expected = prediction.share_error.to_numpy()
    ax.bar(
        place,
        2 * expected,
        0.6,
        bottom=truth - expected,
        color=COLORS[1],
        alpha=0.15,
        label="± predicted error",
    )
    values = measurement.area_share.to_numpy()
    for k in place:
        jitter = np.linspace(-0.22, 0.22, len(values))
        ax.plot(k + jitter, values[:, k], ".", color=COLORS[1], label="wafers" if k == 0 else None)
    ax.set_ylim(0, 1.05)
    ax.set_xticks(
        place, [RECTANGLES.replace(" ", "\n"), TWO.replace(" and ", "\nand "), IMAGES.replace(" ", "\n")]
    )
    ax.set_ylabel("share of the widths\nin the variance")
    legend_above(figure, *axes, columns=4)
    return figure


def headline(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the spread of f01, and the error of the share by the best method, over the wafers."""
    of_R, of_f01 = _spreads(prediction, measurement)
    best = int(np.argmin(prediction.share_error.to_numpy()))
    truth = float(prediction.area_share[best])
    error = float(np.sqrt(np.square(measurement.area_share.isel(method=best) - truth).mean()))
    return (
        f"A {of_R} spread of resistances is a {of_f01} spread of frequencies; the share of the widths in it, "
        f"{percent(truth, decimals=0)}, is found to ± {percent(error, 2)}"
    )


def _spreads(prediction: xr.Dataset, measurement: xr.Dataset) -> tuple[str, str]:
    """Return the spread of R nearest to that of the paper, and that of f01 with it, in percent."""
    cv = prediction.cv.to_numpy()
    at = int(np.argmin(np.abs(cv - 0.037)))
    return percent(float(cv[at]), 2), percent(float(measurement.frequency_sd.mean("trial")[at]), 3)


def conclude(prediction: xr.Dataset, measurement: xr.Dataset, comparison: Comparison) -> str:
    """Return the spread of f01, and how well each method tells the share."""
    of_R, of_f01 = _spreads(prediction, measurement)
    text = f"A spread of {of_R} in R gives {of_f01} in f01"
    truth = float(prediction.area_share[0])
    inside = ((measurement.low <= truth) & (measurement.high >= truth)).mean("trial").to_numpy()
    found = [
        f"{name} to ±{readable(float(error), 2)} ({percent(float(cover), decimals=0)} of the intervals hold it)"
        for name, error, cover in zip(METHODS, prediction.share_error.to_numpy(), inside, strict=True)
    ]
    n, m = prediction.attrs["n_junctions"], prediction.attrs["n_images"]
    return (
        f"{text}. The widths cause {percent(truth, decimals=0)} of the variance, which {n} junctions or {m} images "
        f"tell: {', '.join(found)}; squares alone cannot."
    )


study = Study(
    name="junction-spread",
    title="What a spread of resistances does to frequencies, and what causes it",
    paper=(
        "A. Osman et al., Simplified Josephson-junction fabrication process for reproducibly high-performance "
        "superconducting qubits, Appl. Phys. Lett. 118, 064002, 2021, arXiv:2011.05230"
    ),
    question="How much do frequencies scatter, and do widths or the barrier cause it?",
    Parameters=Parameters,
    tiny=Parameters(cv=(0.01, 0.037), n_junctions=600, n_images=30, trials=2),
    compared=("frequency_sd", "frequency_shift_MHz", "area_share", "share_error"),
    predict=predict,
    trial=trial,
    plot=plot,
    conclude=conclude,
    headline=headline,
    equations=(
        r"transmon of charging energy $E_C$ and Josephson energy $E_J \propto 1 / R$: "
        r"$H = 4 E_C (n - n_g)^2 - E_J \cos \varphi$",
        r"frequencies for a relative spread $c$ of the resistance $R$: spread $S c f_{01}$ and shift of the mean "
        r"$\frac{1}{2} S (1 + S) c^2 f_{01}$, where $S = -\frac{d \ln f_{01}}{d \ln R}$",
        r"variance of $\ln R$ by the widths $w_1$ and $w_2$ ($a$) and by the barrier ($b$): "
        r"$V = a (\frac{1}{w_1^2} + \frac{1}{w_2^2}) + \frac{b}{w_1 w_2}$",
        r"share of the widths in it: $\frac{a}{V} (\frac{1}{w_1^2} + \frac{1}{w_2^2})$",
    ),
)
