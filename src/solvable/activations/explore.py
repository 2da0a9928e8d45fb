r"""What the wing's page shows (`page.py`), without the page: a kernel shaped by hand, and the activation that has it.

A kernel is chosen by name or as $\sum_k a_k c^k$ with sliders for $a_0 \dots a_6$; what has to be fitted or integrated
is remembered, so that a slider waits for arithmetic alone. The net that is trained with it: `explore_training.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvable.activations.design import design
from solvable.activations.designed import DesignedActivation
from solvable.activations.finite_width import finite_width_moments
from solvable.activations.fitting import non_negative_series
from solvable.activations.target import ANGLES, COSINES, as_target
from solvable.errors import InputError
from solvable.kernels import NTK, Gaussian, Laplace
from solvable.kernels.duals import Sine
from solvable.lab.chart import Curve, LinearAxis, chart
from solvable.lab.text import percent, readable

Floats = NDArray[np.float64]

DEGREE = 6
"""Of the power series that has a slider for each coefficient."""
WIDTHS = tuple(2**k for k in range(6, 17))
"""Numbers of neurons that the slider can take."""
AUTOMATIC = "whatever suits the kernel"

# A slider's values; that with which it starts is added to them.
_VALUES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
_Z = np.linspace(-4.0, 4.0, 161)
# The middle of the normal distribution, where a polynomial is still small.
_CORE = np.abs(_Z) <= 2.5
_FEW_NEURONS = 0.1
_SIGNS = "alternate pairs"
# Hermite coefficients that are drawn at most.
_MOST_TERMS = 60


@dataclass(frozen=True)
class Preset:
    """A kernel to start from.

    Attributes:
        kernel: what `design` takes.
        family: of activations that suits it.
    """

    kernel: Any
    family: str


PRESETS: Mapping[str, Preset] = {
    "NTK of 4 ReLU layers": Preset(NTK(4, w_std=2**0.5, b_std=0.1), "relu+cos"),
    "NTK of 4 erf layers": Preset(NTK(4, "erf", w_std=2**0.5, b_std=0.1), "relu+cos"),
    "Gaussian, e^(c − 1)": Preset(Gaussian(1.0), "hermite"),
    "Laplace, e^(−√(2 − 2c))": Preset(Laplace(1.0), "relu+cos"),
    "polynomial, c⁴ + c": Preset((0.0, 1.0, 0.0, 0.0, 1.0), "hermite"),
    "NTK of ½ sin 6z (parity)": Preset(NTK(1, Sine(0.5, 6.0), w_std=1.0), "relu+cos"),
    "(3c² − 1)/2, impossible": Preset((-0.5, 0.0, 1.5), "hermite"),
}
"""What the page calls a kernel -> the kernel."""


@lru_cache(maxsize=32)
def starting_series(preset: str) -> tuple[float, ...]:
    r"""Return the $a_0 \dots a_6$ at which the sliders start: the nearest series that an activation has, 3 digits.

    >>> starting_series("polynomial, c⁴ + c")
    (0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    """
    target = as_target(PRESETS[preset].kernel)
    exact = target.series[: DEGREE + 1]
    if target.degree <= DEGREE and (exact >= 0).all():
        series = np.pad(exact, (0, DEGREE + 1 - len(exact)))
    else:
        series = non_negative_series(target, "ntk", DEGREE)
    return tuple(float(f"{a:.3g}") if a > 1e-3 * target.size else 0.0 for a in series)


def slider_values(start: float) -> tuple[float, ...]:
    """Return the values that a coefficient's slider takes, `start` among them.

    >>> 0.368 in slider_values(0.368)
    True
    """
    return tuple(sorted({*_VALUES, start}))


@dataclass(frozen=True)
class Choice:
    """What the page's controls say about the activation.

    Attributes:
        preset: a key of `PRESETS`.
        series: the sliders' $a_0 \\dots a_6$; where they stand as they started, the preset's kernel is meant.
        kind: "ntk" or "nngp".
        family: one of `design`'s, or `AUTOMATIC`: the preset's own, and for a series a polynomial,
            which has it exactly.
        signs: of a polynomial's Hermite coefficients.
        project: take the nearest kernel that a net has.
    """

    preset: str
    series: tuple[float, ...]
    kind: str = "ntk"
    family: str = AUTOMATIC
    signs: str = _SIGNS
    project: bool = False

    @property
    def shaped(self) -> bool:
        """Whether a slider was moved."""
        return self.series != starting_series(self.preset)

    @property
    def kernel(self) -> Any:
        """What `design` is asked for."""
        return self.series if self.shaped else PRESETS[self.preset].kernel

    @property
    def chosen_family(self) -> str:
        """The family, `AUTOMATIC` resolved."""
        if self.family != AUTOMATIC:
            return self.family
        return "hermite" if self.shaped else PRESETS[self.preset].family

    @property
    def waits(self) -> bool:
        """Whether the activation has to be fitted, which takes a second."""
        return self.chosen_family != "hermite"


@dataclass(frozen=True, eq=False)
class Shape:
    r"""An activation and its kernel at `ANGLES`.

    Attributes:
        phi: the activation.
        realised: its kernel, infinitely wide.
        scale: S; with N neurons the kernel's standard deviation is $S/\sqrt N$.
    """

    phi: DesignedActivation
    realised: Floats
    scale: Floats


def shape(choice: Choice) -> Shape:
    """Return the activation that is asked for.

    Raises:
        InputError: when there is none, with the sentence that the page shows.
    """
    # Only polynomials have signs: without them a fit is remembered once.
    return _shape(replace(choice, signs=_SIGNS) if choice.waits else choice)


@lru_cache(maxsize=256)
def _shape(choice: Choice) -> Shape:
    if not any(choice.series) and choice.shaped:
        raise InputError("all coefficients are 0, and so is the kernel; expected one above 0; move a slider")
    family = choice.chosen_family
    try:
        degree = DEGREE if family == "hermite" else None
        phi = design(choice.kernel, choice.kind, degree, family, choice.signs, choice.project)
    except InputError as error:
        offer = "the nearest kernel that one has is offered below"
        raise InputError(
            str(error).replace("project=True takes the nearest kernel that one has", offer)
        ) from None
    _, scale = finite_width_moments(phi, COSINES, choice.kind)
    return Shape(phi, phi.curve(COSINES), scale)


@dataclass(frozen=True)
class View:
    """What the page shows of one setting: charts as SVG, facts (each a name, a number and a remark), words and code."""

    kernel: str
    activation: str
    coefficients: str
    facts: tuple[tuple[str, str, str], ...]
    formula: str
    source: Mapping[str, str]


def view(choice: Choice, width: int) -> View:
    """Return charts and numbers at one setting.

    Args:
        choice: what is asked for.
        width: number of neurons N of the net whose kernel's spread is shown.

    Raises:
        InputError: as `shape`.

    >>> seen = view(Choice("polynomial, c⁴ + c", starting_series("polynomial, c⁴ + c")), 4096)
    >>> seen.formula, seen.facts[0]
    ('φ(z) = 0.70711 z + 0.44721 h4(z)', ('kernel error', 'none', 'exact, K(1) included'))
    """
    seen = shape(choice)
    phi = seen.phi
    return View(
        _kernel_chart(np.array(phi.target), seen, width),
        _activation_chart(phi),
        _coefficient_chart(phi),
        _facts(seen, width),
        f"φ(z) = {phi.formula}",
        {library: phi.source(library) for library in ("numpy", "torch")},
    )


def asked_chart(choice: Choice) -> str:
    """Return the chart of a kernel alone, for one that no activation has."""
    return _kernel_chart(as_target(choice.kernel).values, None, 1)


def _facts(seen: Shape, width: int) -> tuple[tuple[str, str, str], ...]:
    phi = seen.phi
    exact = phi.kernel_error < 1e-12
    # Both in one call, where the kernel is well above 0 and where inputs are near.
    means, scales = finite_width_moments(phi, [0.5, 0.9], phi.kind)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(np.abs(means) > 1e-12 * scales, scales / np.abs(means), np.inf)
    wanted = [readable_count(max(1.0, np.ceil((one / _FEW_NEURONS) ** 2))) for one in relative]
    rms = f"{percent(phi.kernel_rms_error, 2)} rms beyond 9°"
    return (
        ("kernel error", "none", "exact, K(1) included")
        if exact
        else ("largest kernel error", percent(phi.kernel_error, 2), f"of K(1); {rms}"),
        ("K(1), equal inputs", readable(float(seen.realised[0])), f"asked for {readable(phi.target[0])}"),
        (
            f"spread at {width} neurons",
            _spread(float(relative[0]) / width**0.5),
            "of the kernel, inputs 60° apart",
        ),
        ("neurons for ± 10 %", wanted[0], f"at 60°; at 26° {wanted[1]}"),
    )


def readable_count(number: float) -> str:
    """Return a count as people say it.

    >>> [readable_count(n) for n in (251, 34167, 5660543, 3e16, float("inf"))]
    ['251', '34 200', '5.7 million', 'more than 10⁹', '∞']
    """
    if not np.isfinite(number):
        return "∞"
    if number >= 1e9:
        return "more than 10⁹"
    if number >= 1e6:
        return f"{number / 1e6:.3g} million" if number >= 1e7 else f"{number / 1e6:.1f} million"
    return f"{int(float(f'{number:.3g}')) if number >= 1000 else int(number):,}".replace(",", " ")


def _spread(fraction: float) -> str:
    return f"± {percent(fraction, 2)}" if fraction < 10 else "all noise"


def _kernel_chart(asked: Floats, seen: Shape | None, width: int) -> str:
    degrees = np.rad2deg(ANGLES)
    curves = [Curve(degrees, asked, dashed=np.ones(len(asked), bool), classes="asked")]
    values = asked
    if seen is not None:
        spread = seen.scale / width**0.5
        ends = seen.realised - spread, seen.realised + spread
        curves.insert(0, Curve(degrees, seen.realised, *ends, classes="realised"))
        values = np.concatenate([asked, seen.realised])
    # The axis has room for some of the band, and stays where it is while the band breathes.
    low, high = float(values.min()), float(values.max())
    x = LinearAxis("angle between inputs, degrees", 0.0, 180.0, step=30.0)
    y = LinearAxis.around("kernel K", min(low, 0.0), high + 0.15 * (high - min(low, 0.0)))
    return chart("Kernel asked for" if seen is None else "Kernel, asked for and realised", x, y, curves)


def _activation_chart(phi: DesignedActivation) -> str:
    values = phi(_Z)
    y = LinearAxis.around("φ(z)", float(values[_CORE].min()), float(values[_CORE].max()))
    x = LinearAxis("pre-activation z, standard deviations", -4.0, 4.0, step=1.0)
    return chart("Activation φ", x, y, [Curve(_Z, values, classes="realised")])


def _coefficient_chart(phi: DesignedActivation) -> str:
    b = _main_coefficients(phi)
    k, step = np.arange(len(b)), next(step for step in (1.0, 2.0, 5.0, 10.0) if step * 9 >= len(b))
    # A stem for each: from 0 to the coefficient, then a gap.
    stems = np.stack([0 * b, b, np.full(len(b), np.nan)], axis=1).ravel()
    x = LinearAxis("degree k of the Hermite polynomial", -0.5, len(b) - 0.5, step=step)
    y = LinearAxis.around("coefficient of degree k", min(float(b.min()), 0.0), max(float(b.max()), 0.0))
    curves = [
        Curve(np.repeat(k, 3), stems, classes="stem many" if len(b) > 16 else "stem"),
        Curve([-0.5, len(b) - 0.5], [0.0, 0.0], classes="zero"),
    ]
    return chart("Hermite coefficients of φ", x, y, curves)


def _main_coefficients(phi: DesignedActivation) -> Floats:
    """Return Hermite coefficients up to the degree at which they have all but 2 % of φ's second moment."""
    b = phi.formula.coefficients(_MOST_TERMS)
    total = float(phi.formula.kernel(np.ones(1), "nngp")[0])
    enough = int(np.searchsorted(np.cumsum(b**2), 0.98 * total))
    return b[: min(max(enough, DEGREE), _MOST_TERMS) + 1]
