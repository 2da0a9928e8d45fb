"""Charts and text for two sections of `page.py`: wrong labels and k neighbours, and verdicts on user data."""

from dataclasses import asdict, dataclass

import numpy as np

from solvable.errors import InputError
from solvable.lab.chart import Curve, LinearAxis, LogAxis, Mark, chart
from solvable.lab.text import percent, readable
from solvable.overfitting.classification import Classification
from solvable.overfitting.classify import THRESHOLD, classify_overfitting
from solvable.overfitting.explore import Fact
from solvable.overfitting.reference import bayes_profile, chance_error, knn_profile, sampler_profile

CLASSES = (2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100)
NEIGHBOURS = (1, 2, 3, 4, 5, 7, 9, 11, 15, 21, 31, 51)

EXAMPLE = """\
250    0.87   0.03
500    0.82   0.03
1000   0.76   0.03
2000   0.70   0.03
4000   0.69   0.03"""
"""A Gaussian kernel with a wide bandwidth on MNIST, a fifth of the labels wrong."""

_MOST_LINES = 200


@dataclass(frozen=True)
class LabelsView:
    """Contents of the page for one share of wrong labels: a chart as SVG, facts, and advice."""

    chart: str
    facts: tuple[Fact, ...]
    advice: str


def shares_of(n_classes: int) -> tuple[float, ...]:
    """Return shares of wrong labels, up to the one at which labels carry no information.

    >>> shares_of(2)[-1], shares_of(10)[-3:]
    (0.5, (0.88, 0.89, 0.9))
    """
    most = chance_error(n_classes)
    return (*(round(0.01 * k, 2) for k in range(int(np.ceil(100 * most - 1e-9)))), most)


def labels_view(n_classes: int, wrong: float, neighbours: int) -> LabelsView:
    """Return the cost of wrong training labels to k nearest neighbours, in the limit of many samples.

    Args:
        n_classes: at least 2.
        wrong: share of wrong labels, in [0, 1 - 1/K].
        neighbours: k, at least 1.

    >>> labels_view(2, 0.2, 3).facts[1]
    ('error of 3 neighbours', '10.4 %', 'against equally wrong test labels 26.2 %')
    """
    p = [*np.linspace(0.0, chance_error(n_classes), 61), wrong]
    votes = knn_profile(neighbours, p, n_classes)
    profiles = {
        "best possible error": bayes_profile(p, n_classes),
        f"error of {neighbours} neighbour{'s' * (neighbours > 1)}": votes,
        "error of the nearest neighbour": sampler_profile(p, n_classes),
    }
    clean = float(votes.clean[-1])
    facts = tuple(
        (
            name,
            percent(float(one.clean[-1])),
            f"against equally wrong test labels {percent(float(one.noisy[-1]))}",
        )
        for name, one in profiles.items()
    )
    share = clean / wrong if wrong > 0 else 0.0
    facts += (("passed on", percent(share), "of the wrong labels"),)
    svg = errors_chart(
        f"Cost of wrong labels, {n_classes} classes",
        n_classes,
        Curve(p[:-1], votes.clean[:-1]),
        Mark(wrong, clean, "here"),
    )
    return LabelsView(svg, facts, _labels_advice(neighbours, n_classes, wrong, share))


def errors_chart(title: str, n_classes: int, curve: Curve, mark: Mark) -> str:
    """Return a chart of errors over the share of wrong labels: a curve with its mark, 1-NN, Bayes and chance."""
    most = chance_error(n_classes)
    p = np.linspace(0.0, most, 61)
    curves = [
        curve,
        Curve(p, sampler_profile(p, n_classes).clean, classes="other"),
        Curve(p, bayes_profile(p, n_classes).clean, dashed=np.ones(len(p), bool), classes="theory"),
        Curve([0.0, most], [most, most], dashed=np.ones(2, bool), classes="asked"),
    ]
    return chart(
        title,
        LinearAxis("share of wrong training labels p", 0.0, most, step=0.1),
        LinearAxis("wrong answers, true labels", -0.03 * most, 1.04 * most, step=0.1),
        curves,
        [mark],
    )


def _labels_advice(k: int, n_classes: int, wrong: float, share: float) -> str:
    if wrong == 0:
        return "Without wrong labels there are no errors: the task itself is taken to be solvable."
    if wrong >= chance_error(n_classes):
        return "With this many wrong labels they carry no information: every answer is a guess."
    if k <= 2:
        return (
            "The answer is one label, right or wrong: each label that you clean is one error less, and more data "
            "change nothing."
        )
    return (
        f"A vote of {k} passes on {percent(share).replace('<', 'less than')} of the wrong labels, at any number of "
        "samples: tempered. Only if k grows with n, as ln n at least, does the error fall to the best possible: benign."
    )


@dataclass(frozen=True)
class Measurements:
    """Sensitivity to noise at some sizes, as measured by the user.

    Attributes:
        n_train, sensitivity, standard_error: one for each line.
        n_classes: K; None for regression.
        noise_level: share of wrong training labels; None if left empty.
    """

    n_train: tuple[float, ...]
    sensitivity: tuple[float, ...]
    standard_error: tuple[float, ...]
    n_classes: int | None
    noise_level: float | None


def read_measurements(text: str, n_classes: str, noise_level: str) -> Measurements:
    """Return the measurements in the page's text fields.

    Args:
        text: lines of n, sensitivity and standard error, separated by blanks, commas or semicolons; lines that begin
            with # are comments.
        n_classes: K; empty for regression.
        noise_level: share of wrong labels, as 0.2 or 20 %; may be empty for regression.

    Raises:
        InputError: naming the line or the field that cannot be read.

    >>> read_measurements("100 0.9 0.1", "10", "20 %")
    Measurements(n_train=(100.0,), sensitivity=(0.9,), standard_error=(0.1,), n_classes=10, noise_level=0.2)
    """
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace(",", " ").replace(";", " ").split()
        if not words or words[0].startswith("#"):
            continue
        where = f"line {number}, “{_short(line)}”"
        if len(words) != 3:
            raise InputError(
                f"{where}, has {len(words)} entr{'y' if len(words) == 1 else 'ies'}; expected three: n, sensitivity "
                "and standard error, with a point for decimals"
            )
        row = [_number(word, f"{name} of {where},") for word, name in zip(words, _ENTRIES, strict=True)]
        if row[0] <= 0:
            raise InputError(f"n of {where}, is {row[0]:g}; expected a number of samples above 0")
        if row[2] < 0:
            raise InputError(f"the standard error of {where}, is {row[2]:g}; expected 0 or more")
        rows.append(row)
    if not rows:
        raise InputError(
            "there are no measurements; expected a line for each training size, as in 1000 0.8 0.02"
        )
    if len(rows) > _MOST_LINES:
        raise InputError(f"there are {len(rows)} lines of measurements; expected at most {_MOST_LINES}")
    n, s, error = (tuple(column) for column in zip(*rows, strict=True))
    return Measurements(n, s, error, _classes(n_classes), _noise(noise_level))


_ENTRIES = ("n", "the sensitivity", "the standard error")


def _short(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= 40 else f"{words[:39]}…"


def _number(word: str, what: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"{what} is “{_short(word)}”; expected a number such as 0.8")
    return value


def _classes(word: str) -> int | None:
    if not word.strip():
        return None
    value = _number(word.strip(), "the number of classes")
    if value < 2 or value != int(value):
        raise InputError(
            f"the number of classes is {value:g}; expected a whole number from 2 on, or nothing for regression"
        )
    return int(value)


def _noise(word: str) -> float | None:
    word = word.strip()
    if not word:
        return None
    factor = 100.0 if word.endswith("%") else 1.0
    return _number(word.removesuffix("%").strip(), "the share of wrong labels") / factor


@dataclass(frozen=True)
class JudgedView:
    """Contents of the page for a verdict: a chart as SVG, facts, and sentences, its assumptions included."""

    chart: str
    facts: tuple[Fact, ...]
    reason: str
    advice: str
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]


def verdict_view(measured: Measurements, strict: bool = False) -> JudgedView:
    """Return the contents of the page for a verdict on measurements.

    Args:
        measured: from `read_measurements`.
        strict: also allow for decays as slow as 1/ln n, which decides less often.

    Raises:
        InputError: as `classify_overfitting`.

    >>> view = verdict_view(read_measurements(EXAMPLE, "10", "0.2"))
    >>> view.facts[0][1], view.facts[1]
    ('tempered', ('floor for n → ∞', '0.38 … 0.72', '95 %; below 0.05 counts as none'))
    """
    if measured.n_classes is not None and measured.noise_level is None:
        raise InputError(
            f"the share of wrong labels is missing; with {measured.n_classes} classes chance level depends on it; "
            "expected a share such as 20 %"
        )
    verdict = classify_overfitting(**asdict(measured), strict=strict)
    return JudgedView(
        _verdict_chart(verdict),
        _verdict_facts(verdict),
        verdict.reason,
        verdict.advice,
        verdict.warnings,
        verdict.assumptions,
    )


def _verdict_facts(verdict: Classification) -> tuple[Fact, ...]:
    n, s, error = verdict.n_train[-1], verdict.sensitivity[-1], verdict.standard_error[-1]
    low, high = verdict.floor_interval
    known = bool(np.isfinite(verdict.floor))
    loss, most = "in squared loss", "1 for a nearest neighbour, without bound"
    if verdict.n_classes is not None:
        chance = chance_error(verdict.n_classes) / verdict.noise_level if verdict.noise_level else np.inf
        loss, most = "in 0-1 loss", f"1 for a nearest neighbour, {readable(float(chance), 3)} at chance"
    return (
        ("verdict", verdict.regime, f"{loss}, from these sizes"),
        (
            "floor for n → ∞",
            f"{readable(low, 2)} … {readable(high, 2)}" if known else "–",
            f"95 %; below {THRESHOLD:g} counts as none" if known else "too few measurements",
        ),
        (f"measured at n = {readable(n)}", readable(s, 3), f"± {readable(error, 2)}; {most}"),
        (
            "slope of ln s over ln n",
            f"{verdict.slope:+.2f}" if np.isfinite(verdict.slope) else "–",
            f"± {verdict.slope_error:.2f}" if np.isfinite(verdict.slope) else "not known",
        ),
    )


def _verdict_chart(verdict: Classification) -> str:
    n, s = np.array(verdict.n_train), np.array(verdict.sensitivity)
    error = np.nan_to_num(np.array(verdict.standard_error))
    low, high = verdict.floor_interval
    ends = float(n.min()) / 1.25, float(n.max()) * 1.25
    top = max(float((s + error).max()), 0.1)
    bottom = min(float((s - error).min()), 0.0)
    curves = [Curve(ends, [THRESHOLD] * 2, dashed=np.ones(2, bool), classes="asked")]
    if np.isfinite(verdict.floor):
        top = max(top, verdict.floor)
        # The band may have no upper end; the chart clips it.
        floor, low, high = ([value] * 2 for value in (verdict.floor, low, min(high, 1e6)))
        curves.append(Curve(ends, floor, low, high, dashed=np.ones(2, bool), classes="theory"))
    # Each error bar is two points, then a gap.
    bars = np.stack([s - error, s + error, np.full(len(s), np.nan)], axis=1).ravel()
    curves.append(Curve(np.repeat(n, 3), bars, classes="other"))
    curves.append(Curve(n, s, classes="other"))
    return chart(
        "Sensitivity to noise, and its floor",
        LogAxis("training samples n", *ends),
        LinearAxis.around("sensitivity s", bottom, 1.05 * top),
        curves,
    )
