"""`Classification`: the verdict on overfitting that `classify_overfitting` returns, and its text."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from solvable.lab.text import readable, with_error
from solvable.lab.verdict import Section, Verdict
from solvable.overfitting.floor import SLOWEST, SLOWEST_STRICT
from solvable.overfitting.sensitivity_curve import SensitivityCurve

Regime = Literal["benign", "tempered", "catastrophic", "undecided"]


@dataclass(frozen=True)
class Classification:
    r"""The kind of overfitting that a procedure shows, with the data and assumptions behind it.

    Attributes:
        regime: `benign`, `tempered`, `catastrophic` or `undecided`.
        floor: best $s_\infty$, the sensitivity to noise at $n \to \infty$; NaN when there were too few data to fit.
        floor_interval: its 95 % interval.
        decay: best exponent $b$ of the approach to the floor; NaN if the curve is flat within its errors.
        slope: of $\ln s$ against $\ln n$, for the record; NaN unless all $s$ are positive.
        slope_error: its standard error.
        reason: one sentence.
        advice: recommended action; for `undecided`, the data that would decide.
        assumptions: sentences that the verdict depends on.
        warnings: sentences on anything odd about these data.
        n_train: training sizes, ascending.
        sensitivity: at each size.
        standard_error: at each size, as given.
        noise_level: as given.
        n_classes: as given; None for regression.
        n_trials: at each size, if given.
        strict: whether slower decays were allowed.
        symmetric: whether wrong labels were equally likely in all other classes.
        one_test_set: number of test points shared by all trials, if they were.
    """

    regime: Regime
    floor: float
    floor_interval: tuple[float, float]
    decay: float
    slope: float
    slope_error: float
    reason: str
    advice: str
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    n_train: tuple[float, ...]
    sensitivity: tuple[float, ...]
    standard_error: tuple[float, ...]
    noise_level: float | None
    n_classes: int | None
    n_trials: tuple[float, ...] | None
    strict: bool
    symmetric: bool = True
    one_test_set: int | None = None

    def sections(self, heading: str = "") -> tuple[Section, ...]:
        """Return the verdict in words, with its assumptions; `heading` is that of the first section."""
        rows = zip(self.n_train, self.sensitivity, self.standard_error, strict=True)
        measured = ", ".join(f"{with_error(s, e)} (n = {readable(n)})" for n, s, e in rows)
        return (
            Section(heading, self.reason),
            Section(text=self.advice),
            Section(text=f"Sensitivity to noise: {measured}."),
            *(
                Section(heading, points=sentences)
                for heading, sentences in (("Warnings", self.warnings), ("This assumes", self.assumptions))
                if sentences
            ),
        )

    def __str__(self) -> str:
        return str(self._in_words)

    def _repr_html_(self) -> str:
        return self._in_words._repr_html_()

    @property
    def _in_words(self) -> Verdict:
        return Verdict(f"{self.regime.capitalize()}.", self.sections())


def assumptions(data: SensitivityCurve, strict: bool, threshold: float) -> tuple[str, ...]:
    """Return the assumptions of a verdict in sentences.

    Args:
        data: the curve that was judged.
        strict: whether slower decays were allowed.
        threshold: a floor below it counts as none.
    """
    level = None if data.noise_level is None else readable(data.noise_level)
    if data.n_classes is None:
        loss = (
            "Loss: squared error, without the test labels' own noise. Sensitivity: the error that noise adds, in "
            "units of the noise variance; 1 for a nearest neighbour."
        )
        channel = "Noise: independent, with mean 0 and the same variance everywhere"
        channel += f"; level {level}." if level is not None else "."
    else:
        at_chance = (
            f", {readable(data.chance, 3)} at chance level." if data.chance and isfinite(data.chance) else "."
        )
        loss = (
            "Loss: 0-1 error against clean test labels; in squared error the same model may be of another kind. "
            f"Sensitivity: 0 where noise costs nothing, 1 for a nearest neighbour{at_chance}"
        )
        channel = f"Noise: each training label is flipped with probability {level}."
        if not data.symmetric:
            channel = (
                f"Noise: a share {level} of the training labels is replaced according to a channel matrix; chance "
                "level and the scale of the sensitivity are those of symmetric noise of the same rate."
            )
        elif data.n_classes > 2:
            channel = (
                f"Noise: each training label is replaced, with probability {level}, by one of the "
                f"{data.n_classes - 1} other classes, each equally likely."
            )
    slow = f"n^-{SLOWEST_STRICT:g} or 1/ln n" if strict else f"n^-{SLOWEST:g}"
    sizes = " to ".join(dict.fromkeys(readable(float(one)) for one in (data.n[0], data.n[-1])))
    return (
        f"The verdict is about a procedure at n → ∞, from measurements at n = {sizes}.",
        loss,
        channel,
        f"The approach to the floor is no slower than {slow}: a slower decay would look like a floor.",
        f"A floor below {threshold:g} counts as none (benign).",
        _independence(data),
    )


def _independence(data: SensitivityCurve) -> str:
    least = "" if data.trials is None else readable(float(data.trials.min()))
    if data.one_test_set is None:
        fewest = f"; at least {least} trials" if least else ""
        return f"Errors at different sizes are independent: each trial has its own split of the data{fewest}."
    points = f"{data.one_test_set} test point{'s' * (data.one_test_set > 1)}"
    error, bound = data.test_set_error, ""
    if error is not None:
        bound = f" by about {readable(error, 2)} at most (n = {readable(float(data.n[-1]))})"
    fewest = f" (at least {least})" if least else ""
    return (
        f"All errors are for these {points}, the same in all trials{fewest}: their choice leaves the sensitivity "
        f"uncertain{bound}, equally at all sizes, which the interval does not include."
    )
