r"""Classify overfitting as benign, tempered or catastrophic from the sensitivity to noise at a few training sizes.

The three regimes describe $n \to \infty$, and a measurement ends at some $n$. It gives an interval for the
sensitivity's floor, under an assumption on how fast the floor is approached. The verdict follows from that interval,
states the assumption, and is `undecided` if the data do not suffice.
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

# A lower floor counts as none: each noisy label costs at most a twentieth of its cost to a nearest neighbour.
THRESHOLD = 0.05
# An excess error that grows faster than n^0.1 is taken to diverge.
GROWTH = 0.1
# A sensitivity above this share of chance level counts as chance.
NEARLY = 0.9
# Statistical power of a plan for more data.
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
    r"""Return the kind of overfitting that a procedure shows, from its sensitivity to label noise at several sizes.

    Classes: $s_n = [e_n(p) - e_n(0)] / [p\,(1 - e_n(0) K/(K-1))]$, from errors on clean test labels; 0 is no cost, 1
    the nearest neighbour's, $(K-1)/(Kp)$ chance. Regression: $V_n$ = (mse with noise $-$ without) / noise variance.

    The fit is $s_n = s_\infty + a\,(n/n_0)^{-b}$, $b \ge 0.25$. Tempered: the 95 % interval of $s_\infty$ lies above
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
        n_trials: number behind each standard error, or one for all sizes; None takes standard errors as exact.
        strict: also allow decays as slow as $n^{-0.05}$ or $1/\ln n$; this decides less often.
        interpolates: whether the model fitted its noisy training labels exactly, if known.
        symmetric: whether wrong labels are equally likely in all other classes. For other channels the chance level is
            not known, and a sensitivity near that of symmetric noise is undecided.
        one_test_set: number of test points, if all trials share them; None if each trial has its own.

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
    warnings = ()
    if interpolates is False:
        warnings = (
            "The model does not fit its noisy training labels exactly: the verdict is on its sensitivity to noise, for "
            'which "overfitting" is a loose word.',
        )
    if missing := lacking(data):
        return _verdict(data, strict, None, None, _Finding("undecided", *missing), warnings)

    se, replacements = without_zeros(data)
    x = log_sizes(data.n)
    fit = fit_floor(x, data.s, se, decays, reach_of(data.trials))
    trend = log_trend(x, data.s, se)
    bounded = fit
    if data.chance is not None and symmetric:  # beyond chance there is nothing to lose
        floor, low, high = (min(one, data.chance) for one in (fit.floor, fit.low, fit.high))
        bounded = replace(fit, floor=floor, low=low, high=high)
    finding = _judge(data, se, bounded, trend)
    if finding.regime == "undecided" and not finding.advice:
        finding = finding._replace(advice=_plan(data, x, se, fit, decays, strict))
    warnings += replacements + _warnings(data, se, bounded, finding.regime)
    return _verdict(data, strict, bounded, trend, finding, warnings)


class _Finding(NamedTuple):
    regime: Regime
    reason: str
    advice: str = ""


def _judge(data: SensitivityCurve, se: Floats, fit: FloorFit, trend: Trend) -> _Finding:
    """Apply the rule; the caller fills in an empty advice."""
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
                f"{largest} {last} is near or above {chance}, the chance level of symmetric noise of this rate. The "
                "chance level of this channel matrix is not known, so whether noise leaves nothing but chance "
                "(catastrophic) is open.",
                "Measure at a lower noise level, or with symmetric noise.",
            )
        if near <= min(1.0, data.s[-1]):
            return _Finding(
                "undecided",
                f"{largest} is within 10 % of chance level, but at this noise level so is that of a nearest neighbour.",
                "Measure at a lower noise level, such as a fifth of the labels.",
            )
        # The best fit decides, not its interval: less precise data must not decide what better data leave open.
        if data.s[-1] > near > fit.best:
            return _Finding(
                "undecided",
                f"{largest} {last} is within 10 % of chance level, {chance}, but the best fit still falls, to "
                f"{readable(fit.best, 3)}: whether the limit is chance (catastrophic) or less is open.",
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
        # Every rise to a limit grows for a while, so such a curve must fail to fit. (The difference of chi² shrinks as
        # errors grow: less precise data must not decide what better data leave open.)
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
                "levels off (tempered) or diverges (catastrophic) is open.",
                f"Measure at larger n, {larger}, to see whether the curve levels off. Either way a ridge or early "
                "stopping helps.",
            )
    if fit.low > THRESHOLD:
        return _Finding(
            "tempered",
            f"{floor}, above {THRESHOLD}: more data do not average the noise out.",
            "Clean labels, add a ridge or stop early; more data of the same quality do not reduce the cost of noise.",
        )
    if fit.high < THRESHOLD:
        return _Finding(
            "benign",
            f"{floor}, below {THRESHOLD}: more data average the noise out.",
            "Spend on more data; cleaning labels gains little once n is large.",
        )
    now = f"{readable(float(data.s[-1]), 2)} of its cost to a nearest neighbour"
    return _Finding(
        "undecided",
        f"At n = {readable(float(data.n[-1]))} noise costs {now}; these measurements do not show whether more data "
        f"remove it. {floor}, on both sides of {THRESHOLD}.",
    )


class _Line(NamedTuple):
    """A line in ln n: its slope in units of its error, and in units of the mean sensitivity."""

    significance: float
    relative: float


def _line(data: SensitivityCurve, se: Floats) -> _Line:
    """Return the slope of s itself, which is defined even where ln s is not."""
    x, w = np.log(data.n), 1.0 / se**2
    off = x - np.average(x, weights=w)
    spread, rise = float(w @ off**2), float(w @ (off * data.s))
    mean = float(np.average(data.s, weights=w))
    return _Line(rise / np.sqrt(spread), rise / spread / mean if mean > 0.0 else 0.0)


def _plan(data: SensitivityCurve, x: Floats, se: Floats, fit: FloorFit, decays: Decays, strict: bool) -> str:
    """Return advice on further data that would decide if the best fit is right."""
    plans = remedies(fit, x, se, decays, reach_of(data.trials, _POWER), THRESHOLD)
    floor = readable(round(fit.floor, 3), 2)
    texts = []
    for one in plans:
        parts = []
        if one.more_trials > 1:
            smaller = f"standard errors {readable(one.more_trials**0.5, 2)} times smaller"
            parts.append(f"{one.more_trials} times the trials ({smaller})")
        if one.doublings:
            top = readable(float(data.n[-1]) * 2.0**one.doublings)
            parts.append(f"{one.doublings} more size{'s' * (one.doublings > 1)}, doubling up to n = {top}")
        texts.append(" and ".join(parts))
    if plans:
        outcome = "benign" if plans[0].benign else "tempered"
        advice = (
            f"If the best fit is right (a floor of {floor}), {', or '.join(texts)} would decide "
            f"({outcome}), with a chance of about {100 * _POWER:.0f} %."
        )
    else:
        advice = (
            f"Neither 100 times the trials nor 6 more doublings of n would decide: the best fit's floor, {floor}, "
            f"is too close to {THRESHOLD}, or too far beyond the sizes measured."
        )
    if strict:
        default = fit_floor(x, data.s, se, DEFAULT, reach_of(data.trials))
        if default.low > THRESHOLD or default.high < THRESHOLD:
            outcome = "tempered" if default.low > THRESHOLD else "benign"
            advice += f" If nothing decays slower than n^-0.25 (not strict): {outcome}."
    return advice


def _warnings(data: SensitivityCurve, se: Floats, fit: FloorFit, regime: Regime) -> tuple[str, ...]:
    reach = reach_of(data.trials)
    warnings = []
    if data.test_set_error is not None and regime in ("tempered", "benign"):
        # The bound is for test points that noise always or never spoils; half of it is typical.
        typical = data.test_set_error / 2.0
        gap = fit.low - THRESHOLD if regime == "tempered" else THRESHOLD - fit.high
        if gap < 1.96 * typical:
            warnings.append(
                f"The interval of the floor clears {THRESHOLD} by only {readable(gap, 2)}, less than the typical error "
                f"from the choice of these {data.one_test_set} test points (± {readable(1.96 * typical, 2)}): with "
                f"other points the verdict may not be {regime}."
            )
    if data.chance is not None:
        level = "chance level" if data.symmetric else "chance level of symmetric noise"
        if data.symmetric and data.s[-1] > NEARLY * data.chance and regime != "catastrophic":
            warnings.append(
                f"At the largest n the sensitivity is within 10 % of chance level ({readable(data.chance, 3)}), so a "
                "growing cost of noise would not show."
            )
        elif fit.high >= NEARLY * data.chance and regime == "tempered":
            warnings.append(f"The interval of the floor reaches {level}: the limit may be catastrophic.")
    steps = [
        (after - before) / np.hypot(*errors)
        for (before, after), errors in zip(pairwise(data.s), pairwise(se), strict=True)
    ]
    if max(steps) > reach and min(steps) < -reach:
        warnings.append(
            "The sensitivity both rises and falls with n, by more than its error: the trend may change again beyond "
            "the sizes measured (multiple descent)."
        )
    elif _line(data, se).significance > reach and regime in ("tempered", "benign"):
        warnings.append(
            "The sensitivity still rises with n: the fit assumes that it levels off, but a slow divergence looks the "
            "same."
        )
    if fit.misfit > 3.0 and regime != "catastrophic":
        warnings.append(
            f"The points scatter about the best fit by {readable(float(np.sqrt(fit.misfit)), 2)} times their standard "
            "errors: these are too small, or the curve has another form; the interval was widened by that factor."
        )
    if (data.s < -reach * se).any():
        warnings.append(
            "The sensitivity is below 0 at some size, by more than its error: noise helped there."
        )
    return tuple(warnings)


def _verdict(
    data: SensitivityCurve,
    strict: bool,
    fit: FloorFit | None,
    trend: Trend | None,
    finding: _Finding,
    warnings: tuple[str, ...],
) -> Classification:
    nan = float("nan")
    return Classification(
        regime=finding.regime,
        floor=nan if fit is None else fit.floor,
        floor_interval=(0.0, float("inf")) if fit is None else (fit.low, fit.high),
        decay=nan if fit is None else fit.decay,
        slope=nan if trend is None else trend.slope,
        slope_error=nan if trend is None else trend.error,
        reason=finding.reason,
        advice=finding.advice,
        assumptions=assumptions(data, strict, THRESHOLD),
        warnings=warnings,
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
