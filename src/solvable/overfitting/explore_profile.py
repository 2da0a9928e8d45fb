"""Charts and text for the section of `page.py` on kernel regression of handwritten digits.

Each training set's kernel matrix is diagonalised once; then any ridge, and any number of noisy label vectors, costs a
matrix product. Another ridge is immediate, another kernel takes a tenth of a second.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from solvable import datasets
from solvable.eigh import eigh_in_place
from solvable.errors import InputError
from solvable.kernels import as_kernel
from solvable.kernels.stationary import Stationary, median_distance
from solvable.lab.chart import Curve, LogAxis, Mark, chart
from solvable.lab.text import percent, readable
from solvable.overfitting.explore import Fact
from solvable.overfitting.explore_labels import errors_chart
from solvable.overfitting.label_noise import chance_error, channel_matrix, nested_flips
from solvable.overfitting.linear_smoothers import answers, class_columns
from solvable.overfitting.noise_weights import HeavyTailWarning, loo_overfitting_coefficient

Floats = NDArray[np.float64]

KERNELS = {"Laplace": "laplace", "Gaussian": "gaussian", "ReLU net (its NTK)": "relu ntk"}
"""Name of a kernel on the page -> name for `as_kernel`."""
TASKS = {"which of the ten digits": 10, "even or odd": 2}
"""Name of a task on the page -> number of classes."""
LENGTHS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
"""Length scales, in units of the median distance between two digits."""
RIDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Ridges, in units of the mean of K(x, x)."""
SIZES = (25, 40, 70, 100, 160, 250, 400)
"""Numbers of training samples."""
JUDGED = 0.2
"""Share of wrong labels for the facts."""

_POOL, _TEST = 500, 400
# Most training sets of each size, and draws of the noise for each.
_MOST_SETS, _DRAWS = 6, 6
_LEVELS = {2: tuple(0.05 * k for k in range(1, 10)), 10: tuple(0.1 * k for k in range(1, 9))}


class _Digits(NamedTuple):
    X: Floats
    classes: NDArray[np.int64]
    X_test: Floats
    test_classes: NDArray[np.int64]


@lru_cache(maxsize=2)
def _digits(n_classes: int) -> _Digits:
    data = datasets.load("digits")
    order = np.random.default_rng(0).permutation(len(data.X))[: _POOL + _TEST]
    labels = np.asarray(data.labels)[order].astype(np.int64)
    labels = labels if n_classes == 10 else labels % 2
    X = np.asarray(data.X, dtype=np.float64)[order]
    return _Digits(X[:_POOL], labels[:_POOL], X[_POOL:], labels[_POOL:])


class _Fit(NamedTuple):
    """One training set: its kernel matrix with eigenvalues and eigenvectors, and the test points' rows times these."""

    gram: Floats
    values: Floats
    vectors: Floats
    cross: Floats

    def inverse(self, ridge: float) -> Floats:
        """Return 1/(λ + δ), with 0 for eigenvalues lost in rounding."""
        shifted = self.values + ridge
        known = shifted > len(shifted) * np.finfo(float).eps * shifted[-1]
        return np.where(known, 1.0 / np.where(known, shifted, 1.0), 0.0)


@dataclass(frozen=True)
class Machine:
    """Kernel regression of one-hot labels.

    Attributes:
        kernel: a value of `KERNELS`.
        length: one of `LENGTHS`; ignored by kernels without a length scale.
        n_classes: a value of `TASKS`.
    """

    kernel: str
    length: float
    n_classes: int

    @property
    def has_length(self) -> bool:
        """Whether its kernel has a length scale."""
        return isinstance(as_kernel(self.kernel), Stationary)


@lru_cache(maxsize=16)
def _fits(kernel: str, length: float | None) -> dict[int, tuple[_Fit, ...]]:
    """Return disjoint training sets of each size, 10 MB in all."""
    data, which = _digits(10), as_kernel(kernel)
    if length is not None and isinstance(which, Stationary):
        which = replace(which, length_scale=length * _median())  # pyright: ignore[reportCallIssue]
    gram, cross = np.asarray(which(data.X)), np.asarray(which(data.X_test, data.X))
    return {n: tuple(_diagonalised(gram[part, part], cross[:, part]) for part in _parts(n)) for n in SIZES}


@lru_cache(maxsize=1)
def _median() -> float:
    return median_distance(_digits(10).X)


def _parts(n: int) -> list[slice]:
    return [slice(k * n, (k + 1) * n) for k in range(min(_MOST_SETS, _POOL // n))]


def _diagonalised(gram: Floats, cross: Floats) -> _Fit:
    values, vectors = eigh_in_place(gram.copy())
    return _Fit(gram, values, vectors, cross @ vectors)


def _fits_of(machine: Machine) -> dict[int, tuple[_Fit, ...]]:
    # The fits do not depend on the task, nor on the length of a kernel without one.
    return _fits(machine.kernel, machine.length if machine.has_length else None)


@lru_cache(maxsize=64)
def _noisy_labels(n_classes: int, n: int, levels: tuple[float, ...]) -> tuple[Floats, ...]:
    """Return for each training set the columns of its label vectors: the clean one, then each draw's levels."""
    matrix = channel_matrix("symmetric", n_classes)
    columns = []
    for number, part in enumerate(_parts(n)):
        classes = _digits(n_classes).classes[part]
        generator = np.random.default_rng((n, number))
        draws = [nested_flips(classes, np.array(levels), matrix, generator) for _ in range(_DRAWS)]
        labels = np.concatenate([classes[None], *draws])
        columns.append(np.ascontiguousarray(class_columns(labels, n_classes)))
    return tuple(columns)


@dataclass(frozen=True, eq=False)
class Profile:
    r"""Noise profile of a machine at one size and ridge; means over training sets and draws.

    Attributes:
        n_classes: of the task.
        levels: shares of wrong labels, 0 first.
        error: wrong answers at each level, on true labels.
        unfitted: share of the noisy training labels not fitted, at each level; NaN if levels were passed to `profile`.
        cost: $V = \mathrm{mean} |w(x)|^2$ over test points, the squared error that unit noise adds.
        singular: whether eigenvalues were lost in rounding.
    """

    n_classes: int
    levels: Floats
    error: Floats
    unfitted: Floats
    cost: float
    singular: bool

    def error_at(self, level: float) -> float:
        """Return the error at one of the levels."""
        return float(self.error[int(np.abs(self.levels - level).argmin())])

    @property
    def sensitivity(self) -> float:
        """Sensitivity to a share `JUDGED` of wrong labels: 0 ignores them, 1 is that of the nearest neighbour."""
        clean = float(self.error[0])
        return (self.error_at(JUDGED) - clean) / (JUDGED * (1.0 - clean / chance_error(self.n_classes)))


@lru_cache(maxsize=512)
def profile(machine: Machine, n_train: int, ridge: float, levels: tuple[float, ...] = ()) -> Profile:
    """Return the noise profile of a machine.

    Args:
        machine: kernel, length scale and task.
        n_train: one of `SIZES`.
        ridge: in units of the mean of K(x, x), >= 0.
        levels: shares of wrong labels above 0; by default those of the page.
    """
    n_classes = machine.n_classes
    data, fits = _digits(n_classes), _fits_of(machine)[n_train]
    all_levels, levels = not levels, levels or _LEVELS[n_classes]
    labels = _noisy_labels(n_classes, n_train, levels)
    errors, unfitted, costs, singular = [], [], [], False
    for fit, columns in zip(fits, labels, strict=True):
        inverse = fit.inverse(ridge * float(fit.gram.diagonal().mean()))
        singular |= bool((inverse == 0.0).any())
        weights, rotated = fit.cross * inverse, fit.vectors.T @ columns
        predicted = answers(weights @ rotated, n_classes)
        errors.append((predicted != data.test_classes[:, None]).mean(axis=0))
        if all_levels:
            fitted = answers(fit.vectors @ ((fit.values * inverse)[:, None] * rotated), n_classes)
            unfitted.append((fitted != answers(columns, n_classes)).mean(axis=0))
        costs.append(np.square(weights).sum(axis=1).mean())

    def by_level(values: Sequence[Floats]) -> Floats:
        mean = np.mean(values, axis=0)
        return np.append(mean[0], mean[1:].reshape(_DRAWS, -1).mean(axis=0))

    return Profile(
        n_classes,
        np.array((0.0, *levels)),
        by_level(errors),
        by_level(unfitted) if all_levels else np.full(1 + len(levels), np.nan),
        float(np.mean(costs)),
        singular,
    )


def loo_cost(machine: Machine, n_train: int, ridge: float) -> float:
    """Return the squared error that unit noise adds, from kernel matrices alone; NaN if one is singular."""
    costs = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HeavyTailWarning)
        for fit in _fits_of(machine)[n_train]:
            delta = ridge * float(fit.gram.diagonal().mean())
            try:
                costs.append(loo_overfitting_coefficient(fit.gram, delta) - 1.0)
            except InputError as error:
                if "singular" not in str(error):
                    raise
                return float("nan")
    return float(np.mean(costs))


@dataclass(frozen=True)
class MachineView:
    """Contents of the page for one machine: two charts as SVG, facts, and sentences."""

    profile: str
    trend: str
    facts: tuple[Fact, ...]
    advice: str
    warning: str


def machine_view(machine: Machine, n_train: int, ridge: float) -> MachineView:
    """Return the contents of the page for one machine.

    Args:
        machine: kernel, length scale and task.
        n_train: one of `SIZES`.
        ridge: in units of the mean of K(x, x), >= 0.

    >>> view = machine_view(Machine("laplace", 1.0, 10), 400, 0.0)
    >>> [name for name, *_ in view.facts]
    ['wrong answers', '0-1 loss: sensitivity', 'squared loss: cost V', 'training labels missed']
    """
    current = profile(machine, n_train, ridge)
    trend = [profile(machine, n, ridge, (JUDGED,)) for n in SIZES]
    sensitivity, cost = np.array([one.sensitivity for one in trend]), np.array([one.cost for one in trend])
    at = SIZES.index(n_train)
    # The chart shows the same number as the facts: from the draws at all levels, not those at one.
    sensitivity[at] = current.sensitivity
    wrong = f"{100 * JUDGED:.0f} % wrong labels"
    error, loo = current.error_at(JUDGED), loo_cost(machine, n_train, ridge)
    unfitted = float(current.unfitted[int(np.abs(current.levels - JUDGED).argmin())])
    facts = (
        ("wrong answers", percent(error), f"at {wrong}; without any {percent(float(current.error[0]))}"),
        ("0-1 loss: sensitivity", readable(current.sensitivity, 2), "share of the wrong labels passed on"),
        (
            "squared loss: cost V",
            readable(current.cost, 3),
            f"of the noise's variance; leave-one-out: {readable(loo, 3)}",
        ),
        ("training labels missed", percent(unfitted), f"at {wrong}; 0 %: all are fitted"),
    )
    curve, mark = Curve(current.levels, current.error), Mark(JUDGED, error, "here")
    return MachineView(
        errors_chart(f"Wrong answers over wrong labels, n = {n_train}", machine.n_classes, curve, mark),
        _trend_chart(sensitivity, cost, at),
        facts,
        _machine_advice(sensitivity, cost, ridge),
        _SINGULAR if any(one.singular for one in (current, *trend)) else "",
    )


_SINGULAR = (
    "Some kernel matrices are singular to rounding. Eigenvalues below rounding were dropped, which acts as a ridge: "
    "the true cost of noise is larger than shown."
)


def _trend_chart(sensitivity: Floats, cost: Floats, at: int) -> str:
    # A measured sensitivity of 0 or below cannot be shown on a logarithmic axis: it leaves a gap.
    positive = np.where(sensitivity > 0, sensitivity, np.nan)
    marks = [Mark(SIZES[at], float(values[at]), "here") for values in (cost, positive) if values[at] > 0]
    return chart(
        "The same machine in two losses",
        LogAxis("training samples n", SIZES[0], SIZES[-1] * 1.1),
        LogAxis("cost of noise, nearest neighbour: 1", 0.01, 10.0),
        [Curve(SIZES, positive), Curve(SIZES, cost, classes="other")],
        marks,
    )


def _machine_advice(sensitivity: Floats, cost: Floats, ridge: float) -> str:
    trends, ranges = [], []
    for values in (sensitivity, cost):
        first, last = float(values[0]), float(values[-1])
        trends.append("falls" if last < 0.8 * first else "rises" if last > 1.25 * first else "hardly changes")
        ranges.append(f"from {readable(first, 2)} to {readable(last, 2)}")
    advice = (
        f"Between n = {SIZES[0]} and {SIZES[-1]} the cost of noise {trends[0]} in 0-1 loss, {ranges[0]}, and "
        f"{trends[1]} in squared loss, {ranges[1]}."
    )
    if trends[0] != trends[1]:
        advice += " Both are right: a verdict on overfitting must name its loss."
    if ridge == 0 and trends[1] != "falls":
        advice += " If you use the scores, and not the class alone, add a ridge."
    return advice
