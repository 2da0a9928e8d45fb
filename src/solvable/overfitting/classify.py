r"""Benign, tempered or catastrophic? A verdict from the sensitivity to noise at a few training set sizes.

The three regimes are statements about $n \to \infty$, and a measurement ends at some $n$. What can be had is an
interval for the sensitivity's floor, under an assumption on how fast it is approached. The verdict is what that
interval allows; it says the assumption each time, and it is `undecided` whenever the data do not reach.
"""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from solvable.lab.text import readable
from solvable.overfitting.classification import Classification, Regime, assumptions
from solvable.overfitting.floor import (
    DEFAULT,
    STRICT,
    Decays,
    Floats,
    FloorFit,
    Trend,
    fit_floor,
    log_sizes,
    log_trend,
    reach_of,
    remedies,
)
from solvable.overfitting.sensitivity_curve import SensitivityCurve, checked_curve, lacking, without_zeros

# A floor below it counts as none: at most a twentieth of what each noisy label costs a nearest neighbour.
THRESHOLD = 0.05
# An excess error that grows faster than n^0.1 is taken to diverge.
GROWTH = 0.1
# So much of the way to chance level counts as all of it.
NEARLY = 0.9
# What a plan for more data is to have.
_POWER = 0.8


def classify_overfitting(
    n_train: ArrayLike,
    sensitivity: ArrayLike,
    standard_error: ArrayLike,
    *,
    noise_level: float | None = None,
    n_classes: int | None = None,
    n_trials: ArrayLike | None = None,
    strict: bool = False,
    interpolates: bool | None = None,
    symmetric: bool = True,
    one_test_set: int | None = None,
) -> Classification:
    r"""Return which kind of overfitting a procedure shows, from its sensitivity to label noise at several sizes.

    Classes: $s_n = [e_n(p) - e_n(0)] / [p\,(1 - e_n(0) K/(K-1))]$, from errors on clean test labels; 0 is no cost, 1
    the nearest neighbour's, $(K-1)/(Kp)$ chance. Regression: $V_n$ = (mse with noise $-$ without) / noise variance.

    Fitted is $s_n = s_\infty + a\,(n/n_0)^{-b}$, $b \ge 0.25$. Tempered: the 95 % interval of $s_\infty$ lies above
    0.05; benign: below; catastrophic: $s$ at the largest $n$ is within 10 % of chance (two standard errors clear), and
    so is the best fit's $s_\infty$; or $\ln V_n$ grows faster than $0.1 \ln n$ (95 %), and a power of $n$ fits better
    than every curve with a limit (95 %). Undecided: otherwise, and always with fewer than 4 sizes, sizes within a
    factor 8, or fewer than 3 trials.

    Args:
        n_train: training set sizes, above 0, in any order.
        sensitivity: $s_n$ or $V_n$ at each, a mean over trials.
        standard_error: of each mean; NaN where it is not known.
        noise_level: flip rate $p$ to another class, in [0, 1 - 1/K] (up to 1 unless `symmetric`); for regression any
            measure of it, only reported.
        n_classes: $K$; None for regression.
        n_trials: behind each standard error, one number or one for each size; None takes standard errors as exact.
        strict: also allow decays as slow as $n^{-0.05}$ or $1/\ln n$; this decides less often.
        interpolates: whether the model fitted its noisy training labels exactly, if known.
        symmetric: whether a wrong label is of every other class equally often. Where chance level lies under another
            channel is not known: near that of symmetric noise it is then undecided.
        one_test_set: number of test points where all trials share them; None where each trial has its own.

    Returns:
        a `Classification`; `print` it.

    Raises:
        InputError: when lengths differ or a value is out of range.

    Source: arXiv:2207.06569, definitions 1 and 2, and a profile likelihood in the floor.

    Example:
        >>> n = [250, 500, 1000, 2000, 4000]
        >>> nearest = classify_overfitting(n, [1.05, 1.05, 0.98, 0.98, 0.96], [0.03] * 5, noise_level=0.2, n_classes=10)
        >>> nearest.regime
        'tempered'
        >>> classify_overfitting(n, [0.26, 0.11, 0.07, 0.03, 0.01], [0.01] * 5, noise_level=0.2, n_classes=10).regime
        'benign'
    """
    data = checked_curve(
        n_train, sensitivity, standard_error, noise_level, n_classes, n_trials, symmetric, one_test_set
    )
    decays = STRICT if strict else DEFAULT
    warned = ()
    if interpolates is False:
        warned = (
            "The model does not fit its noisy training labels exactly: what is judged is its sensitivity to noise, and "
            '"overfitting" is a loose word for it.',
        )
    missing = lacking(data)
    if missing:
        return _verdict(data, strict, None, None, _Finding("undecided", *missing), warned)

    se, filled = without_zeros(data)
    x = log_sizes(data.n)
    fit = fit_floor(x, data.s, se, decays, reach_of(data.trials))
    trend = log_trend(x, data.s, se)
    capped = fit
    if data.chance is not None and symmetric:  # beyond chance there is nothing to lose
        floor, low, high = (min(one, data.chance) for one in (fit.floor, fit.low, fit.high))
        capped = replace(fit, floor=floor, low=low, high=high)
    finding = _judge(data, se, capped, trend)
    if finding.regime == "undecided" and not finding.advice:
        finding = finding._replace(advice=_plan(data, x, se, fit, decays, strict))
    warned += filled + _warnings(data, se, capped, finding.regime)
    return _verdict(data, strict, capped, trend, finding, warned)


class _Finding(NamedTuple):
    regime: Regime
    reason: str
    advice: str = ""


def _judge(data: SensitivityCurve, se: Floats, fit: FloorFit, trend: Trend) -> _Finding:
    """Apply the rule; an empty advice is to be filled in."""
    reach = reach_of(data.trials)
    low, high = trend.slope - reach * trend.error, trend.slope + reach * trend.error
    larger = f"{readable(2.0 * float(data.n[-1]))} and {readable(4.0 * float(data.n[-1]))}"
    interval = f"between {readable(fit.low, 2)} and {readable(fit.high, 2)} (95 %)"
    floor = f"The floor of the sensitivity at n → ∞ lies {interval}"
    if data.chance is not None:
        largest = f"At n = {readable(float(data.n[-1]))} the sensitivity"
        last, chance = readable(float(data.s[-1]), 3), readable(data.chance, 3)
        near = NEARLY * data.chance
        if not data.symmetric and data.s[-1] > near:
            return _Finding(
                "undecided",
                f"{largest} {last} is near or above {chance}, chance level under symmetric noise of this rate. Where "
                "it lies under this channel matrix is not known, so whether noise leaves nothing but chance "
                "(catastrophic) is open.",
                "Measure at a lower noise level, or with symmetric noise.",
            )
        if near <= min(1.0, data.s[-1]):
            return _Finding(
                "undecided",
                f"{largest} is within 10 % of chance level, but at this noise level so is that of a nearest neighbour.",
                "Measure at a lower noise level, such as a fifth of the labels.",
            )
        # The best fit decides, whatever its interval: less precise data must not decide what better data left open.
        if data.s[-1] > near > fit.best:
            return _Finding(
                "undecided",
                f"{largest} {last} is within 10 % of chance level, {chance}, but the best fit still falls from "
                f"there, to rest at {readable(fit.best, 3)}: whether the limit is chance (catastrophic) or less is "
                "open.",
                f"Measure at larger n, {larger}, to see whether it still falls. Either way clean labels, a ridge or "
                "early stopping help.",
            )
        if data.s[-1] - max(2.0, reach) * se[-1] > near:
            return _Finding(
                "catastrophic",
                f"{largest} {last} is within 10 % of {chance}, where noisy labels leave nothing but chance.",
                "Do not fit noisy labels exactly with this model: add a ridge, stop early, or clean the labels.",
            )
    else:
        grows = f"The excess error grows with n, as n^{trend.slope:.2f} (95 %: {low:.2f} to {high:.2f})"
        # Every rise to a limit grows for a while: it takes data that such a curve does not fit. (The difference shrinks
        # as errors grow: less precise data must not decide what better data left open.)
        limitless = fit.misfit * (len(data.n) - 3) - trend.chi2 > reach**2
        if low > GROWTH and limitless:
            return _Finding(
                "catastrophic",
                f"{grows}: more data make the noise worse.",
                "Do not fit noisy labels exactly with this model: add a ridge or stop early.",
            )
        line = _line(data, se)
        unclear = (
            trend.slope > GROWTH / 2 and high > GROWTH if np.isfinite(low) else line.relative > GROWTH / 2
        )
        if fit.low > THRESHOLD and unclear:
            return _Finding(
                "undecided",
                f"{grows if np.isfinite(low) else 'The excess error grows with n'}: it is not benign, but whether it "
                "comes to rest (tempered) or diverges (catastrophic) is open.",
                f"Measure at larger n, {larger}: a limit shows as a curve that levels off. Either way a ridge or early "
                "stopping helps.",
            )
    if fit.low > THRESHOLD:
        return _Finding(
            "tempered",
            f"{floor}, above {THRESHOLD}: more data do not wash the noise out.",
            "Clean labels, add a ridge or stop early; more data of the same quality leave the cost of noise as it is.",
        )
    if fit.high < THRESHOLD:
        return _Finding(
            "benign",
            f"{floor}, below {THRESHOLD}: more data wash the noise out.",
            "Spend on more data; cleaning labels gains little once n is large.",
        )
    now = f"{readable(float(data.s[-1]), 2)} of what it costs a nearest neighbour"
    return _Finding(
        "undecided",
        f"At n = {readable(float(data.n[-1]))} noise costs {now}; whether more data take that away these measurements "
        f"do not say. {floor}, on both sides of {THRESHOLD}.",
    )


class _Line(NamedTuple):
    """A line in ln n: its slope in units of its error, and in units of the mean sensitivity (as a logarithm's)."""

    significance: float
    relative: float


def _line(data: SensitivityCurve, se: Floats) -> _Line:
    """Return the slope of s itself, which exists where logarithms do not."""
    x, w = np.log(data.n), 1.0 / se**2
    off = x - np.average(x, weights=w)
    spread, rise = float(w @ off**2), float(w @ (off * data.s))
    mean = float(np.average(data.s, weights=w))
    return _Line(rise / np.sqrt(spread), rise / spread / mean if mean > 0.0 else 0.0)


def _plan(data: SensitivityCurve, x: Floats, se: Floats, fit: FloorFit, decays: Decays, strict: bool) -> str:
    """Return which further data would decide, tried on the best fit."""
    reach = reach_of(data.trials, _POWER)
    found = remedies(fit, x, se, decays, reach, THRESHOLD)
    floor = readable(round(fit.floor, 3), 2)
    texts = []
    for one in found:
        parts = []
        if one.more_trials > 1:
            smaller = f"standard errors {readable(one.more_trials**0.5, 2)} times smaller"
            parts.append(f"{one.more_trials} times the trials ({smaller})")
        if one.doublings:
            top = readable(float(data.n[-1]) * 2.0**one.doublings)
            parts.append(f"{one.doublings} more size{'s' * (one.doublings > 1)}, doubling up to n = {top}")
        texts.append(" and ".join(parts))
    if found:
        outcome = "benign" if found[0].benign else "tempered"
        advice = (
            f"If the best fit is right (a floor of {floor}), {', or '.join(texts)} would decide "
            f"({outcome}), with a chance of about {100 * _POWER:.0f} %."
        )
    else:
        advice = (
            f"Neither 100 times the trials nor 6 more doublings of n would decide: the best fit's floor, {floor}, "
            f"is too near {THRESHOLD}, or too far beyond the sizes measured."
        )
    if strict:
        default = fit_floor(x, data.s, se, DEFAULT, reach_of(data.trials))
        if default.low > THRESHOLD or default.high < THRESHOLD:
            outcome = "tempered" if default.low > THRESHOLD else "benign"
            advice += f" Taking for granted that nothing decays slower than n^-0.25 (not strict): {outcome}."
    return advice


def _warnings(data: SensitivityCurve, se: Floats, fit: FloorFit, regime: Regime) -> tuple[str, ...]:
    reach = reach_of(data.trials)
    warned = []
    if data.test_set_error is not None and regime in ("tempered", "benign"):
        # The bound is for points that noise spoils always or never; half of it is typical.
        typical = data.test_set_error / 2.0
        gap = fit.low - THRESHOLD if regime == "tempered" else THRESHOLD - fit.high
        if gap < 1.96 * typical:
            warned.append(
                f"The interval of the floor clears {THRESHOLD} by {readable(gap, 2)} only, which is less than what the "
                f"choice of these {data.one_test_set} test points may add (typically ± {readable(1.96 * typical, 2)}): "
                f"others may not be {regime}."
            )
    if data.chance is not None:
        level = "chance level" if data.symmetric else "chance level of symmetric noise"
        if data.symmetric and data.s[-1] > NEARLY * data.chance and regime != "catastrophic":
            warned.append(
                f"At the largest n the sensitivity is within 10 % of chance level ({readable(data.chance, 3)}): it "
                "could not be much larger, so a growing cost of noise would not show."
            )
        elif fit.high >= NEARLY * data.chance and regime == "tempered":
            warned.append(f"The interval of the floor reaches {level}: the limit may be catastrophic.")
    steps = [
        (after - before) / np.hypot(*errors)
        for (before, after), errors in zip(pairwise(data.s), pairwise(se), strict=True)
    ]
    if max(steps) > reach and min(steps) < -reach:
        warned.append(
            "The sensitivity both rises and falls with n, by more than its error: the trend may turn again beyond the "
            "sizes measured (multiple descent)."
        )
    elif _line(data, se).significance > reach and regime in ("tempered", "benign"):
        warned.append(
            "The sensitivity still rises with n: that it comes to rest is the model's assumption, a slow divergence "
            "looks the same."
        )
    if fit.misfit > 3.0 and regime != "catastrophic":
        warned.append(
            f"The points scatter about the best fit by {readable(float(np.sqrt(fit.misfit)), 2)} times their standard "
            "errors: these are too small, or the curve is of another form; the interval was widened by that factor."
        )
    if (data.s < -reach * se).any():
        warned.append("The sensitivity is below 0 at some size, by more than its error: noise helped there.")
    return tuple(warned)


def _verdict(
    data: SensitivityCurve,
    strict: bool,
    fit: FloorFit | None,
    trend: Trend | None,
    finding: _Finding,
    warned: tuple[str, ...],
) -> Classification:
    nothing = float("nan")
    return Classification(
        regime=finding.regime,
        floor=nothing if fit is None else fit.floor,
        floor_interval=(0.0, float("inf")) if fit is None else (fit.low, fit.high),
        decay=nothing if fit is None else fit.decay,
        slope=nothing if trend is None else trend.slope,
        slope_error=nothing if trend is None else trend.error,
        reason=finding.reason,
        advice=finding.advice,
        assumptions=assumptions(data, strict, THRESHOLD),
        warnings=warned,
        n_train=tuple(data.n.tolist()),
        sensitivity=tuple(data.s.tolist()),
        standard_error=tuple(data.se.tolist()),
        noise_level=data.noise_level,
        n_classes=data.n_classes,
        n_trials=None if data.trials is None else tuple(data.trials.tolist()),
        strict=strict,
        symmetric=data.symmetric,
        one_test_set=data.one_test_set,
    )
