r"""Content of the page (`page.py`), without marimo: a kernel shaped by sliders, and its activation.

A kernel is chosen by name or as $\sum_k a_k c^k$ with sliders for $a_0 \dots a_6$. Fits and integrals are cached, so
that a slider responds quickly. Training is in `explore_training.py`.
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
"""Degree of the power series; each coefficient has a slider."""
WIDTHS = tuple(2**k for k in range(6, 17))
"""Numbers of neurons on the slider."""
AUTOMATIC = "automatic"

# Values of a slider, besides its initial value.
_VALUES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
_Z = np.linspace(-4.0, 4.0, 161)
# The bulk of the normal distribution, where a polynomial is still small.
_CORE = np.abs(_Z) <= 2.5
_RELATIVE_STD = 0.1
_SIGNS = "alternate pairs"
# Largest number of Hermite coefficients in the chart.
_MOST_TERMS = 60


@dataclass(frozen=True)
class Preset:
    """A kernel to start from.

    Attributes:
        kernel: the kernel argument of `design`.
        family: a suitable family of activations.
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
"""Kernels by their names on the page."""


@lru_cache(maxsize=32)
def starting_series(preset: str) -> tuple[float, ...]:
    r"""Return the initial $a_0 \dots a_6$ of the sliders: the nearest series that an activation has, with 3 digits.

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
    """Return the values of a coefficient's slider, including `start`.

    >>> 0.368 in slider_values(0.368)
    True
    """
    return tuple(sorted({*_VALUES, start}))


@dataclass(frozen=True)
class Choice:
    """Settings of the page's controls for the activation.

    Attributes:
        preset: a key of `PRESETS`.
        series: the sliders' $a_0 \\dots a_6$; at their initial values the kernel is the preset's.
        kind: "ntk" or "nngp".
        family: a family of `design`, or `AUTOMATIC`: the preset's family, or for a series a polynomial, which is exact.
        signs: signs of a polynomial's Hermite coefficients.
        project: use the nearest kernel that an activation has.
    """

    preset: str
    series: tuple[float, ...]
    kind: str = "ntk"
    family: str = AUTOMATIC
    signs: str = _SIGNS
    project: bool = False

    @property
    def shaped(self) -> bool:
        """Whether a slider differs from its initial value."""
        return self.series != starting_series(self.preset)

    @property
    def kernel(self) -> Any:
        """The kernel argument of `design`."""
        return self.series if self.shaped else PRESETS[self.preset].kernel

    @property
    def chosen_family(self) -> str:
        """The family, with `AUTOMATIC` resolved."""
        if self.family != AUTOMATIC:
            return self.family
        return "hermite" if self.shaped else PRESETS[self.preset].family

    @property
    def waits(self) -> bool:
        """Whether the activation must be fitted, which takes a second."""
        return self.chosen_family != "hermite"


@dataclass(frozen=True, eq=False)
class Shape:
    r"""An activation and its kernel at `ANGLES`.

    Attributes:
        phi: the activation.
        realised: its infinite-width kernel.
        scale: S; with N neurons the kernel's standard deviation is $S/\sqrt N$.
    """

    phi: DesignedActivation
    realised: Floats
    scale: Floats


def shape(choice: Choice) -> Shape:
    """Return the activation for a choice, with its kernel.

    Raises:
        InputError: if there is none, with the message for the page.
    """
    # Only polynomials depend on the signs: with fixed signs a fit is cached once.
    return _shape(replace(choice, signs=_SIGNS) if choice.waits else choice)


@lru_cache(maxsize=256)
def _shape(choice: Choice) -> Shape:
    if not any(choice.series) and choice.shaped:
        raise InputError(
            "all coefficients are 0, and so is the kernel; expected at least one coefficient above 0; move a slider"
        )
    family = choice.chosen_family
    try:
        degree = DEGREE if family == "hermite" else None
        phi = design(choice.kernel, choice.kind, degree, family, choice.signs, choice.project)
    except InputError as error:
        offer = "the nearest kernel that an activation has is offered below"
        raise InputError(
            str(error).replace(
                "design(..., project=True) takes the nearest kernel that an activation has", offer
            )
        ) from None
    _, scale = finite_width_moments(phi, COSINES, choice.kind)
    return Shape(phi, phi.curve(COSINES), scale)


@dataclass(frozen=True)
class View:
    """Content of the page for one setting: charts as SVG, facts (name, number and remark), formula and code."""

    kernel: str
    activation: str
    coefficients: str
    facts: tuple[tuple[str, str, str], ...]
    formula: str
    source: Mapping[str, str]


def view(choice: Choice, width: int) -> View:
    """Return charts and numbers at one setting.

    Args:
        choice: the settings.
        width: number of neurons N of the net whose kernel's spread is shown.

    Raises:
        InputError: as in `shape`.

    >>> seen = view(Choice("polynomial, c⁴ + c", starting_series("polynomial, c⁴ + c")), 4096)
    >>> seen.formula, seen.facts[0]
    ('φ(z) = 0.70711 z + 0.44721 h4(z)', ('kernel error', 'none', 'exact, K(1) included'))
    """
    result = shape(choice)
    phi = result.phi
    return View(
        _kernel_chart(np.array(phi.target), result, width),
        _activation_chart(phi),
        _coefficient_chart(phi),
        _facts(result, width),
        f"φ(z) = {phi.formula}",
        {library: phi.source(library) for library in ("numpy", "torch")},
    )


def asked_chart(choice: Choice) -> str:
    """Return the chart of a kernel that no activation has."""
    return _kernel_chart(as_target(choice.kernel).values, None, 1)


def _facts(result: Shape, width: int) -> tuple[tuple[str, str, str], ...]:
    phi = result.phi
    exact = phi.kernel_error < 1e-12
    means, scales = finite_width_moments(phi, [0.5, 0.9], phi.kind)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(np.abs(means) > 1e-12 * scales, scales / np.abs(means), np.inf)
    widths = [readable_count(max(1.0, np.ceil((one / _RELATIVE_STD) ** 2))) for one in relative]
    rms = f"{percent(phi.kernel_rms_error, 2)} rms beyond 9°"
    return (
        ("kernel error", "none", "exact, K(1) included")
        if exact
        else ("largest kernel error", percent(phi.kernel_error, 2), f"of K(1); {rms}"),
        ("K(1), equal inputs", readable(float(result.realised[0])), f"target: {readable(phi.target[0])}"),
        (
            f"spread at {width} neurons",
            _spread(float(relative[0]) / width**0.5),
            "of the kernel, inputs 60° apart",
        ),
        ("neurons for ± 10 %", widths[0], f"at 60°; at 26° {widths[1]}"),
    )


def readable_count(number: float) -> str:
    """Return a count in readable form.

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


def _kernel_chart(target: Floats, result: Shape | None, width: int) -> str:
    degrees = np.rad2deg(ANGLES)
    curves = [Curve(degrees, target, dashed=np.ones(len(target), bool), classes="asked")]
    values = target
    if result is not None:
        spread = result.scale / width**0.5
        ends = result.realised - spread, result.realised + spread
        curves.insert(0, Curve(degrees, result.realised, *ends, classes="realised"))
        values = np.concatenate([target, result.realised])
    # The axis has room for some of the band, and does not change with the band's width.
    low, high = float(values.min()), float(values.max())
    x = LinearAxis("angle between inputs, degrees", 0.0, 180.0, step=30.0)
    y = LinearAxis.around("kernel K", min(low, 0.0), high + 0.15 * (high - min(low, 0.0)))
    return chart("Target kernel" if result is None else "Target kernel and kernel of the net", x, y, curves)


def _activation_chart(phi: DesignedActivation) -> str:
    values = phi(_Z)
    y = LinearAxis.around("φ(z)", float(values[_CORE].min()), float(values[_CORE].max()))
    x = LinearAxis("pre-activation z, standard deviations", -4.0, 4.0, step=1.0)
    return chart("Activation φ", x, y, [Curve(_Z, values, classes="realised")])


def _coefficient_chart(phi: DesignedActivation) -> str:
    b = _main_coefficients(phi)
    k, step = np.arange(len(b)), next(step for step in (1.0, 2.0, 5.0, 10.0) if step * 9 >= len(b))
    # One stem per coefficient: from 0 to the coefficient, then a gap.
    stems = np.stack([0 * b, b, np.full(len(b), np.nan)], axis=1).ravel()
    x = LinearAxis("degree k of the Hermite polynomial", -0.5, len(b) - 0.5, step=step)
    y = LinearAxis.around("coefficient of degree k", min(float(b.min()), 0.0), max(float(b.max()), 0.0))
    curves = [
        Curve(np.repeat(k, 3), stems, classes="stem many" if len(b) > 16 else "stem"),
        Curve([-0.5, len(b) - 0.5], [0.0, 0.0], classes="zero"),
    ]
    return chart("Hermite coefficients of φ", x, y, curves)


def _main_coefficients(phi: DesignedActivation) -> Floats:
    """Return the Hermite coefficients up to the degree at which they have 98 % of φ's second moment."""
    b = phi.formula.coefficients(_MOST_TERMS)
    total = float(phi.formula.kernel(np.ones(1), "nngp")[0])
    enough = int(np.searchsorted(np.cumsum(b**2), 0.98 * total))
    return b[: min(max(enough, DEGREE), _MOST_TERMS) + 1]
