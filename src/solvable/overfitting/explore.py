"""Chart and text for the theory section of `page.py`: the cost of fitting noise with a kernel, over n."""

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from solvable.errors import InputError
from solvable.kernels import as_kernel
from solvable.kernels.angular import AngularKernel
from solvable.kernels.stationary import Stationary
from solvable.lab.chart import Curve, LogAxis, Mark, chart
from solvable.lab.text import percent, readable
from solvable.overfitting.asymptotics import (
    Asymptotics,
    LowDimensionWarning,
    exponential_asymptotics,
    kernel_asymptotics,
    log_corrected_asymptotics,
    power_law_asymptotics,
)
from solvable.overfitting.theory import overfitting_coefficient
from solvable.spectra import Eigensystem, hypersphere, implicit_regularization, power_law

Floats = NDArray[np.float64]
Fact = tuple[str, str, str]


@dataclass(frozen=True)
class Family:
    """Spectra that differ in one number.

    Attributes:
        label: of the slider that sets the number.
        steps: its values.
        start: its first value on the page.
        kernel: name of a kernel on a sphere; None if the eigenvalues are a formula.
    """

    label: str
    steps: tuple[float, ...]
    start: float
    kernel: str | None = None


POWER, EXPONENTIAL, LOGARITHM = "eigenvalues i^−α", "eigenvalues e^(−c i)", "eigenvalues 1/(i ln^a i)"
_KERNELS = {
    "Laplace kernel": "laplace",
    "Matérn 3/2 kernel": "matern32",
    "Gaussian kernel": "gaussian",
    "ReLU net (its NTK)": "relu ntk",
}
_DIMENSIONS = tuple(float(d) for d in range(2, 21))
FAMILIES = {
    **{
        name: Family("Dimension D of the data", _DIMENSIONS, 5.0, kernel) for name, kernel in _KERNELS.items()
    },
    POWER: Family("Exponent α", (1.05, *(round(1.1 + 0.1 * k, 1) for k in range(30))), 1.5),
    EXPONENTIAL: Family("Rate c", (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0), 0.1),
    LOGARITHM: Family("Power a of the logarithm", (1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0), 2.0),
}
"""Name of a kernel or of a decay of eigenvalues on the page -> family."""
RIDGES = (0.0, 1e-6, 1e-5, 1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Ridges, in units of K(x, x)."""
_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
SIZES = (*(round(m * 10.0**e) for e in range(1, 6) for m in _STEPS), 1_000_000)
"""Numbers of training samples."""

# Up to dimension D: degrees of the harmonics, and nodes; enough for n = 10^6 as far as doubles allow, in 15 ms.
_LEVELS = ((2, 300, 700), (4, 200, 500), (8, 150, 400), (20, 100, 300))
_EXPLICIT, _LOG_END = 2000, 1e10
# For larger c n the asymptotic formula of the exponential is exact to more digits than are shown.
_EXPONENTIAL_MODES, _EXPONENTIAL_SPAN = 400.0, 200.0
_LEAST_COST, _MOST_COST = 1e-3, 1e3


@dataclass(frozen=True)
class Setting:
    """A spectrum and a ridge.

    Attributes:
        family: a key of `FAMILIES`.
        number: value of its slider.
        ridge: in units of K(x, x), >= 0.
    """

    family: str
    number: float
    ridge: float = 0.0

    @property
    def law(self) -> Asymptotics:
        """Behaviour for large n."""
        delta = self.ridge * spectrum(self.family, self.number).trace
        if (name := FAMILIES[self.family].kernel) is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LowDimensionWarning)  # the page shows it
                return kernel_asymptotics(name, self.number, delta)
        if self.family == POWER:
            return power_law_asymptotics(self.number, delta)
        if self.ridge > 0:
            return Asymptotics("benign", 1.0, "E0 falls to 1")
        if self.family == EXPONENTIAL:
            return exponential_asymptotics(self.number)
        return log_corrected_asymptotics(self.number)


@lru_cache(maxsize=128)
def spectrum(family: str, number: float) -> Eigensystem:
    """Return the eigenvalues of a family, a key of `FAMILIES`, at the value of its slider."""
    if family == POWER:
        return power_law(number)
    if family == EXPONENTIAL:
        return Eigensystem.from_log_eigenvalues(-number * np.arange(1.0, _EXPONENTIAL_MODES / number))
    if family == LOGARITHM:
        return _log_corrected(number)
    kernel = as_kernel(FAMILIES[family].kernel)
    if isinstance(kernel, Stationary):
        kernel = replace(kernel, length_scale=1.0)  # pyright: ignore[reportCallIssue]
    assert isinstance(kernel, AngularKernel)
    levels, nodes = next(rule[1:] for rule in _LEVELS if number <= rule[0])
    return hypersphere(kernel.curve, int(number) + 1, n_levels=levels, n_quadrature=nodes)


def _log_corrected(power: float) -> Eigensystem:
    """Return λ = 1/(i ln^a i), first mode by mode, then in bins, and beyond the largest n of the page by the trace."""
    i = np.arange(1.0, _EXPLICIT + 1)
    ends = np.geomspace(_EXPLICIT, _LOG_END, 600)
    # Between half-integers the integral equals the sum, up to terms of order 1/i².
    after = np.log(ends + 0.5) ** (1.0 - power) / (power - 1.0)
    counts = np.diff(ends)
    logs = np.concatenate([-np.log(i) - power * np.log(np.log1p(i)), np.log(-np.diff(after) / counts)])
    multiplicities = np.concatenate([np.ones(_EXPLICIT), counts])
    return Eigensystem.from_log_eigenvalues(
        logs, multiplicities=multiplicities, tail_trace=float(after[-1]), source="logarithmic decay"
    )


@dataclass(frozen=True, eq=False)
class CostCurve:
    r"""Cost of fitting noise at each of `SIZES`; NaN where too little of the spectrum is known.

    Attributes:
        cost: $V = \mathcal{E}_0 - 1$, the test error that noise adds, in units of its variance.
        log_effective_ridge: $\ln\kappa$, not normalised.
        train_to_test: $\delta/(n\kappa)$, the square root of training over test error.
        n_resolved: the largest size with a known cost.
    """

    cost: Floats
    log_effective_ridge: Floats
    train_to_test: Floats
    n_resolved: int


@lru_cache(maxsize=256)
def cost_curve(setting: Setting) -> CostCurve:
    """Return the cost of noise over n."""
    task = spectrum(setting.family, setting.number)
    n, ridge = np.array(SIZES, dtype=np.float64), setting.ridge * task.trace
    exponential = setting.family == EXPONENTIAL and ridge == 0.0
    # A million modes would take seconds, only to give c n.
    known = n <= _EXPONENTIAL_SPAN / setting.number if exponential else np.ones(len(n), bool)
    solution = implicit_regularization(task, n[known], ridge=ridge)
    cost, log_kappa = np.full(len(n), np.nan), np.full(len(n), np.nan)
    train_to_test = np.zeros(len(n))
    cost[known] = solution.overfitting_coefficient - 1.0
    log_kappa[known], train_to_test[known] = solution.log_effective_ridge, solution.unused_samples
    if exponential:
        beyond = ~known
        cost[beyond] = setting.law.coefficient(n[beyond]) - 1.0
        log_kappa[beyond] = -setting.number * (n[beyond] + 0.5)
        resolved = len(n)
    else:
        resolved = _resolved(task, n, ridge)
    cost[resolved:] = np.nan
    return CostCurve(np.maximum(cost, 0.0), log_kappa, train_to_test, SIZES[max(resolved, 1) - 1])


def _resolved(task: Eigensystem, n: Floats, ridge: float) -> int:
    """Return the number of the ascending sizes for which enough of the spectrum is known."""

    def known(count: int) -> bool:
        try:
            overfitting_coefficient(task, n[count - 1], ridge)
        except InputError as error:
            if "not resolved" not in str(error):
                raise
            return False
        return True

    low, high = 0, len(n)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if known(middle) else (low, middle - 1)
    return low


@dataclass(frozen=True)
class TheoryView:
    """Contents of the page for one spectrum.

    Attributes:
        chart: SVG.
        facts: four, each a name, a number and a remark.
        advice: sentences.
        warning: limits of these numbers; may be empty.
        limit: height of the dashed line, in words; empty without one.
    """

    chart: str
    facts: tuple[Fact, ...]
    advice: str
    warning: str
    limit: str


def theory_view(setting: Setting, n_train: int) -> TheoryView:
    """Return the contents of the page for one spectrum and size.

    Args:
        setting: spectrum and ridge.
        n_train: one of `SIZES`, lowered to the largest one with a known cost.

    >>> view = theory_view(Setting("Laplace kernel", 5.0), 1000)
    >>> view.facts[0], view.facts[1][:2], view.limit
    (('fitting noise adds', '20.8 %', 'of its variance, at n = 1000'), ('for large n', 'tempered'), '20 %')
    """
    curve, law = cost_curve(setting), setting.law
    at = SIZES.index(min(n_train, curve.n_resolved))
    n, cost = SIZES[at], float(curve.cost[at])
    curves = [Curve(SIZES, curve.cost, classes="realised")]
    if setting.ridge > 0:
        curves.insert(0, Curve(SIZES, cost_curve(replace(setting, ridge=0.0)).cost, classes="other"))
    limit = law.limit - 1.0
    tempered = law.regime == "tempered"
    if tempered:
        curves.append(Curve([10, 2e6], [limit] * 2, dashed=np.ones(2, bool), classes="asked"))
    svg = chart(
        "Test error added by fitting noise",
        LogAxis("training samples n", 10, 2e6),
        LogAxis("in units of the noise's variance", _LEAST_COST, _MOST_COST),
        curves,
        [Mark(n, cost, "here")],
    )
    kappa = float(curve.log_effective_ridge[at]) - spectrum(setting.family, setting.number).log_trace
    facts = (
        ("fitting noise adds", of_variance(cost)[0], f"{of_variance(cost)[1]}, at n = {n}"),
        ("for large n", law.regime, _limit_in_words(setting, law)),
        ("effective ridge κ", _power_of_ten(kappa), _ridge_remark(setting, n)),
        (
            "training error",
            "0 %" if setting.ridge == 0 else percent(float(curve.train_to_test[at]) ** 2 * (1.0 + cost)),
            "the noise is fitted exactly" if setting.ridge == 0 else "of the noise's variance",
        ),
    )
    return TheoryView(
        svg,
        facts,
        _advice(setting, law, n, cost),
        _theory_warning(law, n_train, curve.n_resolved),
        of_variance(limit)[0] if tempered else "",
    )


def of_variance(value: float) -> tuple[str, str]:
    """Return a cost of noise in percent or, from two on, as a factor, and its unit.

    >>> of_variance(0.2), of_variance(250.0), of_variance(1e-7)
    (('20 %', 'of its variance'), ('250 times', 'its variance'), ('< 0.001 %', 'of its variance'))
    """
    if value < 2.0:
        return percent(value), "of its variance"
    return ("∞" if np.isinf(value) else f"{readable(value, 3)} times"), "its variance"


def _cost_in_words(value: float) -> str:
    return " ".join(of_variance(value))


def _power_of_ten(logarithm: float) -> str:
    """Return the text of a number from its natural logarithm, even if it is too small for a double.

    >>> _power_of_ten(-1201.5), _power_of_ten(np.log(0.02))
    ('10^-522', '0.02')
    """
    return readable(float(np.exp(logarithm)), 2) if logarithm > -600 else f"10^{logarithm / np.log(10):.0f}"


def _ridge_remark(setting: Setting, n: int) -> str:
    own = f"the ridge alone: {readable(setting.ridge / n, 2)}" if setting.ridge else "no ridge added"
    return f"in units of K(x, x); {own}"


def _limit_in_words(setting: Setting, law: Asymptotics) -> str:
    if law.regime == "tempered":
        return f"it levels off at {of_variance(law.limit - 1.0)[0]}"
    if law.regime == "catastrophic":
        return "it grows without limit"
    return "it falls to zero, as 1/ln n" if setting.ridge == 0 else "it falls to zero"


def _advice(setting: Setting, law: Asymptotics, n: int, cost: float) -> str:
    if setting.ridge > 0:
        bare = float(cost_curve(replace(setting, ridge=0.0)).cost[SIZES.index(n)])
        without = f"; without a ridge it would be {_cost_in_words(bare)}" if np.isfinite(bare) else ""
        return (
            f"With a fixed ridge, more data average the noise out for every kernel. At n = {n} noise adds "
            f"{_cost_in_words(cost)}{without}. A ridge also smooths the target: choose it by validation."
        )
    if law.regime == "tempered":
        return (
            f"More data do not average the noise out: noise adds about {_cost_in_words(law.limit - 1.0)} to the "
            "test error at any number of samples. A ridge, early stopping or cleaner labels reduce it."
        )
    if law.regime == "catastrophic":
        return "More data make it worse, without limit. Do not fit noisy labels exactly: add a ridge or stop early."
    return (
        f"Benign, but only in the limit: at n = {n} noise still adds {_cost_in_words(cost)}, and ten times the "
        "data hardly change that. At practical sizes treat it as tempered: a ridge or cleaner labels gain more than "
        "data."
    )


def _theory_warning(law: Asymptotics, n_train: int, resolved: int) -> str:
    sentences = []
    if resolved < SIZES[-1]:
        numbers = ", and so do the numbers" if n_train > resolved else ""
        sentences.append(
            f"The curve ends at n = {resolved}{numbers}: beyond, the cost depends on eigenvalues that are not resolved."
        )
    if law.caveat:
        sentences.append(f"{law.caveat[0].upper()}{law.caveat[1:]}.")
    return " ".join(sentences)
