"""What the wing's page shows of theory (`page.py`), without the page: what fitting noise costs a kernel, over n.

`explore_labels.py` has wrong labels and measurements of the user's own, `explore_profile.py` a real machine.
"""

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
        steps: values of it.
        start: the one that is shown first.
        kernel: name of a kernel on a sphere; None where the eigenvalues are a formula.
    """

    label: str
    steps: tuple[float, ...]
    start: float
    kernel: str | None = None


_DIMENSIONS = tuple(float(d) for d in range(2, 21))
POWER, EXPONENTIAL, LOGARITHM = "eigenvalues i^−α", "eigenvalues e^(−c i)", "eigenvalues 1/(i ln^a i)"
FAMILIES = {
    "Laplace kernel": Family("Dimension D of the data", _DIMENSIONS, 5.0, "laplace"),
    "Matérn 3/2 kernel": Family("Dimension D of the data", _DIMENSIONS, 5.0, "matern32"),
    "Gaussian kernel": Family("Dimension D of the data", _DIMENSIONS, 5.0, "gaussian"),
    "ReLU net (its NTK)": Family("Dimension D of the data", _DIMENSIONS, 5.0, "relu ntk"),
    POWER: Family("Exponent α", (1.05, *(round(1.1 + 0.1 * k, 1) for k in range(30))), 1.5),
    EXPONENTIAL: Family("Rate c", (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0), 0.1),
    LOGARITHM: Family("Power a of the logarithm", (1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0), 2.0),
}
"""What the page calls a kernel, or a decay of eigenvalues -> the family."""
RIDGES = (0.0, 1e-6, 1e-5, 1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Ridges, in units of K(x, x)."""
_STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
SIZES = (*(round(m * 10.0**e) for e in range(1, 6) for m in _STEPS), 1_000_000)
"""Numbers of training samples."""

# Degrees of the harmonics in each dimension up to D, and nodes: what n = 10^6 needs where doubles allow it, at 15 ms.
_LEVELS = ((2, 300, 700), (4, 200, 500), (8, 150, 400), (20, 100, 300))
_EXPLICIT, _LOG_END = 2000, 1e10
# Beyond e^-n of so many the exponential's own formula is exact to more digits than are shown.
_EXPONENTIAL_MODES, _EXPONENTIAL_SPAN = 400.0, 200.0
_LEAST_COST, _MOST_COST = 1e-3, 1e3


@dataclass(frozen=True)
class Setting:
    """A spectrum and a ridge.

    Attributes:
        family: a key of `FAMILIES`.
        number: what its slider says.
        ridge: in units of K(x, x), >= 0.
    """

    family: str
    number: float
    ridge: float = 0.0

    @property
    def law(self) -> Asymptotics:
        """What becomes of it as n grows."""
        delta = self.ridge * spectrum(self.family, self.number).trace
        if (name := FAMILIES[self.family].kernel) is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LowDimensionWarning)  # the page says it
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
    """Return the eigenvalues of a family.

    Args:
        family: a key of `FAMILIES`.
        number: what its slider says.
    """
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
    """Return λ = 1/(i ln^a i) mode by mode, then in bins, then by the trace: it ends where no n of the page reaches."""
    i = np.arange(1.0, _EXPLICIT + 1)
    ends = np.geomspace(_EXPLICIT, _LOG_END, 600)
    # Between two half-integers the integral is the sum, to the square of 1/i.
    after = np.log(ends + 0.5) ** (1.0 - power) / (power - 1.0)
    counts = np.diff(ends)
    logs = np.concatenate([-np.log(i) - power * np.log(np.log1p(i)), np.log(-np.diff(after) / counts)])
    multiplicities = np.concatenate([np.ones(_EXPLICIT), counts])
    return Eigensystem.from_log_eigenvalues(
        logs, multiplicities=multiplicities, tail_trace=float(after[-1]), source="logarithmic decay"
    )


@dataclass(frozen=True, eq=False)
class CostCurve:
    r"""What fitting noise costs at each of `SIZES`; NaN where the spectrum is not known well enough.

    Attributes:
        cost: $V = \mathcal{E}_0 - 1$, what noise adds to the test error, in units of its variance.
        log_effective_ridge: $\ln\kappa$, of the spectrum as it is.
        train_to_test: $\delta/(n\kappa)$, the root of training over test error.
        n_resolved: the last size that is known.
    """

    cost: Floats
    log_effective_ridge: Floats
    train_to_test: Floats
    n_resolved: int


@lru_cache(maxsize=256)
def cost_curve(setting: Setting) -> CostCurve:
    """Return the cost of noise over n."""
    task, law = spectrum(setting.family, setting.number), setting.law
    n, ridge = (
        np.array(SIZES, dtype=np.float64),
        setting.ridge * spectrum(setting.family, setting.number).trace,
    )
    exponential = setting.family == EXPONENTIAL and ridge == 0.0
    # A million modes would take seconds, to give c n.
    known = n <= _EXPONENTIAL_SPAN / setting.number if exponential else np.ones(len(n), bool)
    solution = implicit_regularization(task, n[known], ridge=ridge)
    cost, log_kappa = np.full(len(n), np.nan), np.full(len(n), np.nan)
    train_to_test = np.zeros(len(n))
    cost[known] = solution.overfitting_coefficient - 1.0
    log_kappa[known], train_to_test[known] = solution.log_effective_ridge, solution.unused_samples
    if exponential:
        beyond = ~known
        cost[beyond] = law.coefficient(n[beyond]) - 1.0
        log_kappa[beyond] = -setting.number * (n[beyond] + 0.5)
        resolved = len(n)
    else:
        resolved = _resolved(task, n, ridge)
    cost[resolved:] = np.nan
    return CostCurve(np.maximum(cost, 0.0), log_kappa, train_to_test, SIZES[max(resolved, 1) - 1])


def _resolved(task: Eigensystem, n: Floats, ridge: float) -> int:
    """Return for how many of the ascending sizes the spectrum is known well enough."""

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
    """What the page shows of one spectrum: a chart as SVG, facts (each a name, a number and a remark), and sentences.

    Attributes:
        chart: SVG.
        facts: four.
        advice: what to do.
        warning: what the numbers are not to be trusted in; empty where there is nothing.
        limit: where the dashed line is, in words; empty without one.
    """

    chart: str
    facts: tuple[Fact, ...]
    advice: str
    warning: str
    limit: str


def theory_view(setting: Setting, n_train: int) -> TheoryView:
    """Return chart, numbers and words for one spectrum and size.

    Args:
        setting: spectrum and ridge.
        n_train: one of `SIZES`; where the spectrum is not known that far, the last size that is known is taken.

    >>> seen = theory_view(Setting("Laplace kernel", 5.0), 1000)
    >>> seen.facts[0], seen.facts[1][:2], seen.limit
    (('fitting noise adds', '20.8 %', 'of its variance, at n = 1000'), ('as n grows', 'tempered'), '20 %')
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
    drawn = chart(
        "What fitting noise adds to the test error",
        LogAxis("training samples n", 10, 2e6),
        LogAxis("in units of the noise's variance", _LEAST_COST, _MOST_COST),
        curves,
        [Mark(n, cost, "here")],
    )
    kappa = float(curve.log_effective_ridge[at]) - spectrum(setting.family, setting.number).log_trace
    facts = (
        ("fitting noise adds", of_variance(cost)[0], f"{of_variance(cost)[1]}, at n = {n}"),
        ("as n grows", law.regime, _limit_in_words(setting, law)),
        ("effective ridge κ", _power_of_ten(kappa), _ridge_remark(setting, n)),
        (
            "training error",
            "0 %" if setting.ridge == 0 else percent(float(curve.train_to_test[at]) ** 2 * (1.0 + cost)),
            "the noise is fitted exactly" if setting.ridge == 0 else "of the noise's variance",
        ),
    )
    return TheoryView(
        drawn,
        facts,
        _advice(setting, law, n, cost),
        _theory_warning(law, n_train, curve.n_resolved),
        of_variance(limit)[0] if tempered else "",
    )


def of_variance(value: float) -> tuple[str, str]:
    """Return a cost of noise in percent or, from two on, as a factor, and what it is a share of.

    >>> of_variance(0.2), of_variance(250.0), of_variance(1e-7)
    (('20 %', 'of its variance'), ('250 times', 'its variance'), ('< 0.001 %', 'of its variance'))
    """
    if value < 2.0:
        return percent(value), "of its variance"
    return ("∞" if np.isinf(value) else f"{readable(value, 3)} times"), "its variance"


def _said(value: float) -> str:
    return " ".join(of_variance(value))


def _power_of_ten(logarithm: float) -> str:
    """Return a number by its natural logarithm, also where it is too small for a double.

    >>> _power_of_ten(-1201.5), _power_of_ten(np.log(0.02))
    ('10^-522', '0.02')
    """
    return readable(float(np.exp(logarithm)), 2) if logarithm > -600 else f"10^{logarithm / np.log(10):.0f}"


def _ridge_remark(setting: Setting, n: int) -> str:
    given = f"yours alone: {readable(setting.ridge / n, 2)}" if setting.ridge else "you gave none"
    return f"in units of K(x, x); {given}"


def _limit_in_words(setting: Setting, law: Asymptotics) -> str:
    if law.regime == "tempered":
        return f"it comes to rest at {of_variance(law.limit - 1.0)[0]}"
    if law.regime == "catastrophic":
        return "it grows without end"
    return "it falls to nothing, as 1/ln n" if setting.ridge == 0 else "it falls to nothing"


def _advice(setting: Setting, law: Asymptotics, n: int, cost: float) -> str:
    """Return what to do, in two sentences or three."""
    if setting.ridge > 0:
        bare = float(cost_curve(replace(setting, ridge=0.0)).cost[SIZES.index(n)])
        without = f"; without a ridge it would be {_said(bare)}" if np.isfinite(bare) else ""
        return (
            f"With a ridge that stays as it is, more data wash the noise out, whatever the kernel. At n = {n} noise "
            f"adds {_said(cost)}{without}. A ridge also blurs what there is to learn: choose it by "
            "validation."
        )
    if law.regime == "tempered":
        return (
            f"More data do not wash the noise out: noise adds about {_said(law.limit - 1.0)} to the "
            "test error however many samples there are. A ridge, early stopping or cleaner labels do."
        )
    if law.regime == "catastrophic":
        return "More data make it worse, without end. Do not fit noisy labels exactly: add a ridge or stop early."
    return (
        f"Benign, but only in the limit: at n = {n} noise still adds {_said(cost)}, and ten times the "
        "data hardly change that. At any size that you can train on treat it as tempered: a ridge or cleaner labels "
        "gain more than data."
    )


def _theory_warning(law: Asymptotics, asked: int, resolved: int) -> str:
    said = []
    if resolved < SIZES[-1]:
        numbers = ", and so do the numbers" if asked > resolved else ""
        said.append(
            f"The curve ends at n = {resolved}{numbers}: what the kernel does beyond hangs on eigenvalues that are not "
            "resolved."
        )
    if law.caveat:
        said.append(f"{law.caveat[0].upper()}{law.caveat[1:]}.")
    return " ".join(said)
