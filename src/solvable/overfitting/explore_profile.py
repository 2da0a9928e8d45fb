"""What the wing's page shows of a real machine (`page.py`), without the page: kernel regression on handwritten digits.

Each training set's kernel matrix is diagonalised once; then a ridge, and any number of noisy label vectors, is a
product of matrices. So the ridge answers at once, and another kernel within a tenth of a second.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from solvable import datasets
from solvable.errors import InputError
from solvable.kernels import as_kernel
from solvable.kernels.stationary import Stationary, median_distance
from solvable.lab.chart import Curve, LinearAxis, LogAxis, Mark, chart
from solvable.lab.text import readable
from solvable.overfitting.explore import Fact, percent
from solvable.overfitting.label_noise import channel_matrix, nested_flips
from solvable.overfitting.linear_smoothers import answers, class_columns
from solvable.overfitting.noise_weights import HeavyTailWarning, loo_overfitting_coefficient
from solvable.overfitting.reference import bayes_profile, chance_error, sampler_profile

Floats = NDArray[np.float64]

KERNELS = {"Laplace": "laplace", "Gaussian": "gaussian", "ReLU net (its NTK)": "relu ntk"}
"""What the page calls a kernel -> its name."""
TASKS = {"which of the ten digits": 10, "even or odd": 2}
"""What the page calls a task -> its number of classes."""
LENGTHS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
"""Length scales, in units of the median distance between two digits."""
RIDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Ridges, in units of the mean of K(x, x)."""
SIZES = (25, 40, 70, 100, 160, 250, 400)
"""Numbers of training samples."""
JUDGED = 0.2
"""The share of wrong labels that facts are told at."""

_POOL, _TEST = 500, 400
# Training sets of each size, as far as the pool has them, and draws of the noise for each.
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
    """One training set: eigenvalues and vectors of its kernel matrix, and the test points' rows times the vectors."""

    gram: Floats
    values: Floats
    vectors: Floats
    cross: Floats

    def inverse(self, ridge: float) -> Floats:
        """Return 1/(λ + δ), with 0 for eigenvalues that are lost in rounding."""
        shifted = self.values + ridge
        known = shifted > len(shifted) * np.finfo(float).eps * shifted[-1]
        return np.where(known, 1.0 / np.where(known, shifted, 1.0), 0.0)


@dataclass(frozen=True)
class Machine:
    """Kernel regression of one-hot labels.

    Attributes:
        kernel: a value of `KERNELS`.
        length: one of `LENGTHS`; a kernel without a length scale has no use for it.
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
    """Return the training sets of each size, 10 MB in all: parts of the pool that do not overlap."""
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
    values, vectors = eigh(gram, driver="evd", check_finite=False)
    return _Fit(gram, values, vectors, cross @ vectors)


def _fits_of(machine: Machine) -> dict[int, tuple[_Fit, ...]]:
    # A length scale that is not used makes no other machine, nor does the task.
    return _fits(machine.kernel, machine.length if machine.has_length else None)


@lru_cache(maxsize=64)
def _noisy_labels(n_classes: int, n: int, levels: tuple[float, ...]) -> tuple[Floats, ...]:
    """Return for each training set the columns of its label vectors: the clean one, then each draw's levels."""
    matrix, at = channel_matrix("symmetric", n_classes), np.array(levels)
    columns = []
    for number, part in enumerate(_parts(n)):
        classes = _digits(n_classes).classes[part]
        generator = np.random.default_rng((n, number))
        drawn = [nested_flips(classes, at, matrix, generator) for _ in range(_DRAWS)]
        columns.append(
            np.ascontiguousarray(class_columns(np.concatenate([classes[None], *drawn]), n_classes))
        )
    return tuple(columns)


@dataclass(frozen=True, eq=False)
class Profile:
    r"""What one machine makes of noise at one size and ridge; means over training sets and draws.

    Attributes:
        n_classes: of the task.
        levels: shares of wrong labels, 0 first.
        error: wrong answers at each, on true labels.
        unfitted: training labels, as they are given, that it does not repeat, at each; NaN of single levels.
        cost: $V = \mathrm{mean} |w(x)|^2$ over test points, what noise adds to the squared error.
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
        """What share of `JUDGED` wrong labels it passes on: 0 none, 1 as the nearest neighbour."""
        clean = float(self.error[0])
        return (self.error_at(JUDGED) - clean) / (JUDGED * (1.0 - clean / chance_error(self.n_classes)))


@lru_cache(maxsize=512)
def profile(machine: Machine, n_train: int, ridge: float, levels: tuple[float, ...] = ()) -> Profile:
    """Return the noise profile of a machine.

    Args:
        machine: kernel, length scale and task.
        n_train: one of `SIZES`.
        ridge: in units of the mean of K(x, x), >= 0.
        levels: shares of wrong labels above 0; those of the page when empty.
    """
    data, fits = _digits(machine.n_classes), _fits_of(machine)[n_train]
    at_all, levels = not levels, levels or _LEVELS[machine.n_classes]
    labels = _noisy_labels(machine.n_classes, n_train, levels)
    errors, unfitted, costs, singular = [], [], [], False
    for fit, columns in zip(fits, labels, strict=True):
        inverse = fit.inverse(ridge * float(fit.gram.diagonal().mean()))
        singular |= bool((inverse == 0.0).any())
        weights, rotated = fit.cross * inverse, fit.vectors.T @ columns
        found = answers(weights @ rotated, machine.n_classes)
        errors.append((found != data.test_classes[:, None]).mean(axis=0))
        if at_all:
            fitted = answers(fit.vectors @ ((fit.values * inverse)[:, None] * rotated), machine.n_classes)
            unfitted.append((fitted != answers(columns, machine.n_classes)).mean(axis=0))
        costs.append(np.square(weights).sum(axis=1).mean())

    def by_level(values: Sequence[Floats]) -> Floats:
        mean = np.mean(values, axis=0)
        return np.append(mean[0], mean[1:].reshape(_DRAWS, -1).mean(axis=0))

    return Profile(
        machine.n_classes,
        np.array((0.0, *levels)),
        by_level(errors),
        by_level(unfitted) if at_all else np.full(1 + len(levels), np.nan),
        float(np.mean(costs)),
        singular,
    )


def loo_cost(machine: Machine, n_train: int, ridge: float) -> float:
    """Return what noise adds to the squared error, from the kernel matrices alone; NaN where they are singular."""
    costs = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HeavyTailWarning)
        for fit in _fits_of(machine)[n_train]:
            try:
                costs.append(
                    loo_overfitting_coefficient(fit.gram, ridge * float(fit.gram.diagonal().mean())) - 1.0
                )
            except InputError as error:
                if "singular" not in str(error):
                    raise
                return float("nan")
    return float(np.mean(costs))


@dataclass(frozen=True)
class MachineView:
    """What the page shows of a machine: two charts as SVG, facts, and sentences."""

    profile: str
    trend: str
    facts: tuple[Fact, ...]
    advice: str
    warning: str


def machine_view(machine: Machine, n_train: int, ridge: float) -> MachineView:
    """Return charts and numbers of one machine.

    Args:
        machine: kernel, length scale and task.
        n_train: one of `SIZES`.
        ridge: in units of the mean of K(x, x), >= 0.

    >>> seen = machine_view(Machine("laplace", 1.0, 10), 400, 0.0)
    >>> [name for name, *_ in seen.facts]
    ['wrong answers', '0-1 loss: sensitivity', 'squared loss: cost V', 'training labels missed']
    """
    seen = profile(machine, n_train, ridge)
    trend = [profile(machine, n, ridge, (JUDGED,)) for n in SIZES]
    sensitivity, cost = np.array([one.sensitivity for one in trend]), np.array([one.cost for one in trend])
    here = seen.sensitivity
    at = SIZES.index(n_train)
    # The chart shows the number that the facts tell: of the draws at all levels, not of those at one.
    sensitivity[at] = here
    wrong = f"{100 * JUDGED:.0f} % wrong labels"
    left_out = loo_cost(machine, n_train, ridge)
    facts = (
        (
            "wrong answers",
            percent(seen.error_at(JUDGED)),
            f"at {wrong}; without any {percent(float(seen.error[0]))}",
        ),
        ("0-1 loss: sensitivity", readable(here, 2), "part of the wrong labels that is passed on"),
        (
            "squared loss: cost V",
            readable(seen.cost, 3),
            f"of the noise's variance; leave-one-out: {readable(left_out, 3)}",
        ),
        (
            "training labels missed",
            percent(float(seen.unfitted[int(np.abs(seen.levels - JUDGED).argmin())])),
            f"at {wrong}; 0 %: all are fitted",
        ),
    )
    return MachineView(
        _profile_chart(seen, machine.n_classes, n_train),
        _trend_chart(sensitivity, cost, at),
        facts,
        _machine_advice(sensitivity, cost, ridge),
        _machine_warning(seen, trend),
    )


def _profile_chart(seen: Profile, n_classes: int, n_train: int) -> str:
    most = chance_error(n_classes)
    p = np.linspace(0.0, most, 61)
    curves = [
        Curve(seen.levels, seen.error),
        Curve(p, sampler_profile(p, n_classes).clean, classes="other"),
        Curve(p, bayes_profile(p, n_classes).clean, dashed=np.ones(len(p), bool), classes="theory"),
        Curve([0.0, most], [most, most], dashed=np.ones(2, bool), classes="asked"),
    ]
    return chart(
        f"Wrong answers over wrong labels, n = {n_train}",
        LinearAxis("share of wrong training labels p", 0.0, most, step=0.1),
        LinearAxis("wrong answers, true labels", -0.03 * most, 1.04 * most, step=0.1),
        curves,
        [Mark(JUDGED, seen.error_at(JUDGED), "here")],
    )


def _trend_chart(sensitivity: Floats, cost: Floats, at: int) -> str:
    # A sensitivity measured as 0 or below has no place on the axis: it leaves a gap.
    shown = np.where(sensitivity > 0, sensitivity, np.nan)
    marks = [Mark(SIZES[at], float(cost[at]), "here")]
    if shown[at] == shown[at]:
        marks.append(Mark(SIZES[at], float(shown[at]), "here"))
    return chart(
        "The same machine in two losses",
        LogAxis("training samples n", SIZES[0], SIZES[-1] * 1.1),
        LogAxis("cost of noise, nearest neighbour: 1", 0.01, 10.0),
        [Curve(SIZES, shown), Curve(SIZES, cost, classes="other")],
        marks,
    )


def _trend_word(values: Floats) -> str:
    """Return what a cost does from the least size to the largest."""
    first, last = float(values[0]), float(values[-1])
    if last < 0.8 * first:
        return "falls"
    return "rises" if last > 1.25 * first else "hardly changes"


def _machine_advice(sensitivity: Floats, cost: Floats, ridge: float) -> str:
    words = [_trend_word(values) for values in (sensitivity, cost)]
    ends = [
        f"from {readable(float(one[0]), 2)} to {readable(float(one[-1]), 2)}" for one in (sensitivity, cost)
    ]
    told = (
        f"Between n = {SIZES[0]} and {SIZES[-1]} what noise costs {words[0]} in 0-1 loss, {ends[0]}, and {words[1]} in "
        f"squared loss, {ends[1]}."
    )
    if words[0] != words[1]:
        told += " Both are right: a verdict on overfitting must say in which loss."
    if ridge == 0:
        told += (
            " If you use the scores, and not the class alone, give it a ridge." if words[1] != "falls" else ""
        )
    return told


def _machine_warning(seen: Profile, trend: Sequence[Profile]) -> str:
    if not (seen.singular or any(one.singular for one in trend)):
        return ""
    return (
        "Some kernel matrices are singular to rounding. Eigenvalues below it were dropped, which acts as a ridge: the "
        "true cost of noise is larger than shown."
    )
