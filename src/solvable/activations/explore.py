r"""What the wing's page shows (`page.py`), without the page: a kernel shaped by hand, its activation, a net trained.

A kernel is chosen by name or as $\sum_k a_k c^k$ with sliders for $a_0 \dots a_6$; what has to be fitted or integrated
is remembered, so that a slider waits for arithmetic alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.activations.design import design
from solvable.activations.designed import DesignedActivation
from solvable.activations.finite_width import finite_width_moments
from solvable.activations.fitting import non_negative_series
from solvable.activations.target import ANGLES, COSINES, as_target
from solvable.errors import InputError, missing_extra
from solvable.kernels import NNGP, NTK, Gaussian, Laplace
from solvable.kernels.duals import ABReLU, Sine
from solvable.lab.chart import Curve, LogAxis, chart
from solvable.lab.text import readable

if TYPE_CHECKING:
    from solvable.activations.experiment import Model, Split
    from solvable.networks import Training

Floats = NDArray[np.float64]

DEGREE = 6
"""Of the power series that has a slider for each coefficient."""
WIDTHS = tuple(2**k for k in range(6, 17))
"""Numbers of neurons that the slider can take."""
AUTOMATIC = "whatever suits the kernel"
TASKS = {"which of the ten digits": "ten", "a zero or not": "zero"}
"""What the page calls a task -> the task."""
MOST_TRAINED, STEPS = 1024, 120
"""Neurons that are trained at most, and steps of gradient descent: a few seconds on one core."""

# A slider's values; that with which it starts is added to them.
_VALUES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
_RECORDED = (1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 80, 100, 120)
_N_TRAIN = 400
# Of the rate at which an infinitely wide net would diverge; kernels of finite ones are larger here and there.
_SAFE = 0.4
_Z = np.linspace(-4.0, 4.0, 161)
# The middle of the normal distribution, where a polynomial is still small.
_CORE = np.abs(_Z) <= 2.5
_FEW_NEURONS = 0.1
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


# Hidden layers as in the paper, of variances 2 and 0.01.
_DEEP: Mapping[str, float] = {"w_std": 2**0.5, "b_std": 0.1}

PRESETS: Mapping[str, Preset] = {
    "NTK of a ReLU net, 4 hidden layers": Preset(NTK(4, **_DEEP), "relu+cos"),
    "NTK of an erf net, 4 hidden layers": Preset(NTK(4, "erf", **_DEEP), "relu+cos"),
    "Gaussian, exp(c − 1)": Preset(Gaussian(1.0), "hermite"),
    "Laplace, exp(−√(2 − 2c))": Preset(Laplace(1.0), "relu+cos"),
    "polynomial, c⁴ + c": Preset((0.0, 1.0, 0.0, 0.0, 1.0), "hermite"),
    "NTK of ½ sin 6z, said to solve parity": Preset(NTK(1, Sine(0.5, 6.0), w_std=1.0), "relu+cos"),
    "(3c² − 1)/2, which no such net has": Preset((-0.5, 0.0, 1.5), "hermite"),
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
        family: one of `design`'s, or `AUTOMATIC`: the preset's own, and a polynomial for a series, which it has exactly.
        signs: of a polynomial's Hermite coefficients.
        project: take the nearest kernel that a net has.
    """

    preset: str
    series: tuple[float, ...]
    kind: str = "ntk"
    family: str = AUTOMATIC
    signs: str = "alternate pairs"
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


@lru_cache(maxsize=256)
def shape(choice: Choice) -> Shape:
    """Return the activation that is asked for.

    Raises:
        InputError: when there is none, with the sentence that the page shows.
    """
    if not any(choice.series) and choice.shaped:
        raise InputError("all coefficients are 0, and so is the kernel; expected one above 0; move a slider")
    family = choice.chosen_family
    signs = {"signs": choice.signs} if family == "hermite" else {}
    try:
        phi = design(choice.kernel, choice.kind, DEGREE, family, project=choice.project, **signs)
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
    rms = f"{_percent(phi.kernel_rms_error)} rms, the last 9° to 0° left out"
    return (
        ("kernel error", "none" if exact else _percent(phi.kernel_error), "exact, K(1) included")
        if exact
        else ("largest kernel error", _percent(phi.kernel_error), f"of K(1); {rms}"),
        ("K(1), equal inputs", readable(float(seen.realised[0])), f"asked for {readable(phi.target[0])}"),
        (f"spread at {width} neurons", _spread(float(relative[0]) / width**0.5), "of the kernel, inputs 60° apart"),
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
    return f"± {_percent(fraction)}" if fraction < 10 else "all noise"


def _percent(fraction: float) -> str:
    """Return a fraction in percent, with two digits.

    >>> [_percent(fraction) for fraction in (0.0534, 2.345, 1.3e-6)]
    ['5.3 %', '234 %', '< 0.001 %']
    """
    if 0 < fraction < 1e-5:
        return "< 0.001 %"
    return f"{100 * fraction:.2g} %" if fraction < 0.995 else f"{100 * fraction:.0f} %"


def _kernel_chart(asked: Floats, seen: Shape | None, width: int) -> str:
    degrees = np.rad2deg(ANGLES)
    curves = [("asked", Curve(degrees, asked, dashed=np.ones(len(asked), bool)))]
    values = asked
    if seen is not None:
        spread = seen.scale / width**0.5
        realised = Curve(degrees, seen.realised, seen.realised - spread, seen.realised + spread)
        curves.insert(0, ("realised", realised))
        values = np.concatenate([asked, seen.realised])
    # The axis has room for some of the band, and stays where it is while the band breathes.
    low, high = float(values.min()), float(values.max())
    x = LinearAxis("angle between inputs, degrees", 0.0, 180.0, step=30.0)
    y = LinearAxis.around("kernel K", min(low, 0.0), high + 0.15 * (high - min(low, 0.0)))
    return drawn("Kernel: asked for, and of this net", x, y, curves)


def _activation_chart(phi: DesignedActivation) -> str:
    values = phi(_Z)
    y = LinearAxis.around("φ(z)", float(values[_CORE].min()), float(values[_CORE].max()))
    x = LinearAxis("pre-activation z, standard deviations", -4.0, 4.0, step=1.0)
    return drawn("Activation φ", x, y, [("realised", Curve(_Z, values))])


def _coefficient_chart(phi: DesignedActivation) -> str:
    b = _main_coefficients(phi)
    k, step = np.arange(len(b)), next(step for step in (1.0, 2.0, 5.0, 10.0) if step * 9 >= len(b))
    # A stem for each: from 0 to the coefficient, then a gap.
    stems = Curve(np.repeat(k, 3), np.stack([0 * b, b, np.full(len(b), np.nan)], axis=1).ravel())
    x = LinearAxis("degree k", -0.5, len(b) - 0.5, step=step)
    y = LinearAxis.around("coefficient of hₖ(z)", min(float(b.min()), 0.0), max(float(b.max()), 0.0))
    zero = Curve([-0.5, len(b) - 0.5], [0.0, 0.0])
    return drawn(
        "Hermite coefficients of φ", x, y, [("stem many" if len(b) > 16 else "stem", stems), ("zero", zero)]
    )


def _main_coefficients(phi: DesignedActivation) -> Floats:
    """Return Hermite coefficients up to the degree at which they have all but 2 % of φ's second moment."""
    b = phi.formula.coefficients(_MOST_TERMS)
    total = float(phi.formula.kernel(np.ones(1), "nngp")[0])
    enough = int(np.searchsorted(np.cumsum(b**2), 0.98 * total))
    return b[: min(max(enough, DEGREE), _MOST_TERMS) + 1]


def torch_missing() -> str:
    """Return the sentence that says what training needs and how to get it; nothing where it is there."""
    return "" if find_spec("torch") is not None else str(missing_extra("torch", "nets", "training a network"))


@dataclass(frozen=True, eq=False)
class Trained:
    """Two nets of one hidden layer, trained, and what their kernels said before; each by `steps`.

    Attributes:
        names: of the nets, "designed" first.
        measured: what training recorded, a net each.
        predicted: `training_curve`'s data set, a net each.
        steps: of gradient descent.
        rate: of both.
        width: of both.
        notes: on the data.
    """

    names: tuple[str, str]
    measured: tuple["Training", "Training"]
    predicted: tuple[Any, Any]
    steps: NDArray[np.int64]
    rate: float
    width: int
    notes: tuple[str, ...]


def train_both(
    choice: Choice, width: int, task: str, watch: Callable[[str], None] = lambda stage: None, seed: int = 0
) -> Trained:
    """Train a net with the activation, and one with ReLU, on handwritten digits.

    Args:
        choice: the activation that is asked for.
        width: number of neurons, of which at most `MOST_TRAINED` are taken.
        task: a value of `TASKS`.
        watch: is told each stage of the work before it begins.
        seed: of both nets' weights.

    Raises:
        InputError: as `shape`; a `MissingExtraError` without torch.
    """
    phi = shape(choice).phi
    if missing := torch_missing():
        raise InputError(missing)
    from solvable.activations.experiment import Model
    from solvable.activations.training import training_curve

    width = min(width, MOST_TRAINED)
    watch("asking the kernels what will happen")
    split = _digits(task)
    models = (
        Model("designed", phi, 1, width, 1.0, 0.0),
        Model("ReLU", ABReLU(), 1, width, 2**0.5, 0.0),
    )
    data = split.X, split.y, split.X_test, split.y_test
    kernels = [model.kernel() for model in models]
    if choice.kind == "nngp":
        kernels = [NNGP(1, model.activation, w_std=model.w_std) for model in models]
    # As fast as the steeper of the two kernels allows, so that neither net diverges.
    largest = min(_largest_rate(kernel, split) for kernel in kernels)
    rate = float(f"{_SAFE * largest:.2g}")
    predicted = [training_curve(kernel, *data, rate, (0, *_RECORDED)) for kernel in kernels]
    measured = []
    for model in models:
        watch(f"training the {model.name} net, {STEPS} steps")
        measured.append(_train(model, split, rate, choice.kind == "nngp", seed))
    steps = np.array((0, *_RECORDED))
    return Trained(
        ("designed", "ReLU"), tuple(measured), tuple(predicted), steps, rate, width, split.notes
    )


def _largest_rate(kernel: Any, split: "Split") -> float:
    values = np.linalg.eigvalsh(np.asarray(kernel(split.X)))
    return len(split.X) / float(values[-1])


@lru_cache(maxsize=2)
def _digits(task: str) -> "Split":
    """Return 400 digits to train on and the others to test on; of the task "zero" the targets are 1 and -1."""
    from dataclasses import replace

    from solvable import datasets
    from solvable.activations.experiment import split_on_sphere

    split = split_on_sphere(datasets.load("digits"), _N_TRAIN, 0)
    if task == "zero":
        return replace(split, y=2 * split.y[:, :1] - 1, y_test=2 * split.y_test[:, :1] - 1)
    return split


def _train(model: "Model", split: "Split", rate: float, readout_only: bool, seed: int) -> "Training":
    from solvable.networks import centred, train

    net = model.net(split.X.shape[1], split.y.shape[1], seed)
    if readout_only:
        net.layers[0].requires_grad_(False)
    return train(
        centred(net),
        split.X,
        split.y,
        rate,
        STEPS,
        X_test=split.X_test,
        y_test=split.y_test,
        record_at=(0, *_RECORDED),
    )


@dataclass(frozen=True)
class TrainedView:
    """What the page shows of the training: two charts as SVG, facts, and a sentence."""

    train_loss: str
    test_loss: str
    facts: tuple[tuple[str, str, str], ...]
    note: str


def trained_view(trained: Trained) -> TrainedView:
    """Return charts and numbers of two trained nets."""
    charts = [_loss_chart(trained, name) for name in ("train_loss", "test_loss")]
    designed, relu = trained.measured
    theory = trained.predicted[0]
    facts = [
        _loss_fact("training loss", "train_loss", designed, theory),
        _loss_fact("test loss", "test_loss", designed, theory),
        (
            "wrong test answers",
            _percent(float(designed.test_error_rate[-1])),
            f"the ReLU net: {_percent(float(relu.test_error_rate[-1]))}",
        ),
        (
            "weights moved by",
            _percent(float(designed.movement[-1])),
            f"in the first layer; the ReLU net: {_percent(float(relu.movement[-1]))}",
        ),
    ]
    diverged = [name for name, one in zip(trained.names, trained.measured, strict=True) if one.diverged]
    note = f"{_N_TRAIN} digits, {trained.width} neurons each, rate {readable(trained.rate)} for both."
    if diverged:
        note += (
            f" The {' and the '.join(diverged)} net diverged: with so few neurons its kernel is far from the one it "
            "was designed for; take more neurons."
        )
    return TrainedView(charts[0], charts[1], tuple(facts), note)


def _loss_fact(words: str, name: str, measured: "Training", theory: Any) -> tuple[str, str, str]:
    found, said = float(getattr(measured, name)[-1]), float(theory[name][-1])
    return words, "diverged" if measured.diverged else readable(found, 3), f"its kernel said {readable(said, 3)}"


def _loss_chart(trained: Trained, name: str) -> str:
    steps = trained.steps[1:]
    curves, values = [], []
    for net, measured, predicted in zip(trained.names, trained.measured, trained.predicted, strict=True):
        found, said = measured.at(trained.steps, name)[1:], predicted[name].to_numpy()[1:]
        kind = "realised" if net == "designed" else "other"
        curves += [
            (kind, Curve(steps, found)),
            (f"{kind} theory", Curve(steps, said, dashed=np.ones(len(said), bool))),
        ]
        values += [found, said]
    known = np.concatenate(values)
    known = known[np.isfinite(known) & (known > 0)]
    start = float(trained.predicted[0][name][0])
    low = max(float(known.min()) * 0.8, 1e-6 * start)
    title = {"train_loss": "Loss on the training points", "test_loss": "Loss on new points"}[name]
    x = LogAxis("steps of gradient descent", 1, STEPS)
    return drawn(title, x, LogAxis("mean squared error", min(low, 0.5 * start), 1.2 * start), curves)


@dataclass(frozen=True)
class LinearAxis(LogAxis):
    """A linear axis for `chart`.

    Attributes:
        step: between two values that are labelled.

    >>> LinearAxis("K", 0.0, 3.0, step=1.0).place([0, 1.5]), LinearAxis("K", 0.0, 3.0, step=1.0).ticks
    (array([0. , 0.5]), [0.0, 1.0, 2.0, 3.0])
    """

    step: float = 1.0

    def __post_init__(self) -> None:
        if not -np.inf < self.low < self.high < np.inf or not self.step > 0:
            raise InputError(
                f"a linear axis runs between two numbers, low < high; got {self.low:g} and {self.high:g}"
            )

    @classmethod
    def around(cls, label: str, low: float, high: float) -> "LinearAxis":
        """Return an axis that has room for two values, its ends and steps numbers that people choose.

        >>> axis = LinearAxis.around("K", 0.0, 5.83)
        >>> axis.low, axis.high, axis.step
        (0.0, 6.0, 1.0)
        """
        span = max(high - low, 1e-9 * max(abs(high), abs(low)), 1e-12)
        rough = span / 5
        power = 10.0 ** np.floor(np.log10(rough))
        step = float(next(power * m for m in (1, 2, 5, 10) if power * m >= 0.999 * rough))
        ends = np.floor(low / step + 1e-6) * step, np.ceil(high / step - 1e-6) * step
        return cls(label, float(ends[0]), max(float(ends[1]), float(ends[0]) + step), step=step)

    def place(self, values: ArrayLike) -> Floats:
        """Return where values lie, 0 at the axis' begin and 1 at its end; what lies off it stays near it."""
        place = (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)
        return np.clip(place, -2.0, 3.0)

    @property
    def ticks(self) -> list[float]:
        """Multiples of the step."""
        first, last = np.ceil(self.low / self.step - 1e-6), np.floor(self.high / self.step + 1e-6)
        # Adding 0 turns -0.0 into 0.0, and rounding 0.30000000000000004 into 0.3.
        return [float(f"{k * self.step:.10g}") + 0.0 for k in np.arange(first, last + 1)]


_CURVE = re.compile(r'class="curve(?: first)?((?: dashed)?)"')


def drawn(title: str, x: LogAxis, y: LogAxis, curves: Sequence[tuple[str, Curve]]) -> str:
    """Return a chart whose curves have classes of their own, by which the page colours them.

    Args:
        title: written above it.
        x: the horizontal axis.
        y: the vertical axis.
        curves: each with its classes.
    """
    classes = []
    for name, curve in curves:
        # A curve that is dashed somewhere is two paths.
        dashed = curve.dashed is not None and bool(np.any(curve.dashed))
        classes += [name] * (1 + dashed)
    names = iter(classes)
    return _CURVE.sub(
        lambda found: f'class="curve {next(names)}{found[1]}"', chart(title, x, y, [one for _, one in curves])
    )
