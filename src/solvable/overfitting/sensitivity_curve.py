"""Validate the sensitivity curve for a verdict on overfitting, and find reasons against a verdict."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import finite, grid, numbers, whole
from solvable.errors import InputError
from solvable.lab.text import readable
from solvable.overfitting.floor import HUGE, TINY, Floats
from solvable.overfitting.label_noise import chance_error, noise_rates, shares

_LEAST_SIZES, _LEAST_SPAN, _LEAST_TRIALS = 4, 8.0, 3


class SensitivityCurve(NamedTuple):
    """Validated input, sorted by size.

    Attributes:
        n: training set sizes.
        s: sensitivity at each size.
        se: its standard error, NaN if not known.
        trials: number at each size; None if standard errors are exact.
        noise_level: of the training labels.
        n_classes: None for regression.
        chance: sensitivity at chance level, under symmetric noise of this rate; infinite if there is none, None for
            regression.
        symmetric: whether the other classes are equally likely; otherwise labels follow a channel matrix.
        one_test_set: number of test points shared by all trials; None if each trial has its own.
    """

    n: Floats
    s: Floats
    se: Floats
    trials: Floats | None
    noise_level: float | None
    n_classes: int | None
    chance: float | None
    symmetric: bool
    one_test_set: int | None

    @property
    def test_set_error(self) -> float | None:
        r"""Upper bound on the standard error of s at the largest n from the choice of one test set; None if not known.

        The noise raises a point's probability of error by $d \in [0, 1]$ of mean $s p$ (without errors at $p = 0$); the
        variance of such a $d$ is at most $s p$, so that of $s$ over sets of T points at most $s/(pT)$.
        """
        if self.one_test_set is None or self.n_classes is None or not self.noise_level:
            return None
        return float(np.sqrt(max(self.s[-1], 0.0) / self.noise_level / self.one_test_set))


def checked_curve(
    n_train: ArrayLike,
    sensitivity: ArrayLike,
    standard_error: ArrayLike,
    noise_level: float | None,
    n_classes: int | None,
    n_trials: ArrayLike | None,
    symmetric: bool,
    one_test_set: int | None,
) -> SensitivityCurve:
    n = grid("n_train", n_train, above=0.0)
    s = np.asarray(sensitivity, dtype=object).ravel()
    se = np.asarray(standard_error, dtype=object).ravel()
    try:
        s, se = s.astype(np.float64), se.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"sensitivity and standard_error must be numbers; got {sensitivity!r} and {standard_error!r}: leave out "
            "sizes that were not measured, and give NaN for a standard error that is not known"
        ) from None
    finite("n_train", n, "give the sizes that were measured")
    finite("sensitivity", s, "leave out sizes that were not measured")
    if not len(n) == len(s) == len(se):
        raise InputError(
            f"n_train, sensitivity and standard_error must have one value for each size; got {len(n)}, {len(s)} and "
            f"{len(se)}: average over trials first"
        )
    if (se < 0.0).any():
        raise InputError(
            f"standard_error must be at least 0; got {se[se < 0][0]:g}: give NaN where it is not known"
        )
    # An infinite standard error means that it is not known.
    for name, sizes in (("sensitivity", np.abs(s)), ("standard_error", se[np.isfinite(se)])):
        if sizes.max(initial=0.0) > HUGE:
            raise InputError(
                f"{name} must be at most {HUGE:g} in size; got {sizes.max():g}: a nearest neighbour has 1, check the "
                "units"
            )
    trials = None
    if n_trials is not None:
        trials = grid("n_trials", n_trials, at_least=1)
        if trials.size not in (1, n.size):
            raise InputError(
                f"n_trials must be one number or one for each size; got {trials.size} for {n.size} sizes: give the "
                "smallest of them"
            )
        trials = np.broadcast_to(trials, n.shape)
    level, chance = None, None
    if n_classes is not None:
        if noise_level is None:
            raise InputError(
                f"noise_level is missing; with {n_classes} classes chance level depends on it: give the flip rate p of "
                "the training labels, or n_classes=None for regression"
            )
        most, value = chance_error(n_classes), _one(noise_level)
        level = float(noise_rates(value, n_classes) if symmetric else shares("noise_level", value))
        # With a channel matrix labels may be wrong more often than a guess; then chance is no sensitivity.
        chance = most / level if 0.0 < level <= most else np.inf
    elif noise_level is not None:
        level = float(numbers("noise_level", _one(noise_level), at_least=0.0))
    order = np.argsort(n, kind="stable")
    trials = None if trials is None else trials[order]
    points = None if one_test_set is None else whole("one_test_set", one_test_set, at_least=1)
    return SensitivityCurve(
        n[order], s[order], se[order], trials, level, n_classes, chance, symmetric, points
    )


def _one(noise_level: Any) -> Any:
    if np.size(noise_level) != 1:
        raise InputError(
            f"noise_level must be one number; got {np.size(noise_level)}: judge each level separately"
        )
    return np.reshape(noise_level, ())


def lacking(data: SensitivityCurve) -> tuple[str, str] | None:
    """Return the reason why these data allow no verdict, and advice on what to measure; None if they allow one."""
    sizes = np.unique(data.n)
    span = sizes[-1] / sizes[0]
    if data.noise_level == 0.0:
        return (
            "Without noise the sensitivity to it is unknown.",
            "Corrupt the training labels, for instance a fifth of them, and measure again.",
        )
    if len(sizes) < _LEAST_SIZES or span < _LEAST_SPAN:
        top = sizes[-1] if sizes[-1] >= 100 else _LEAST_SPAN * sizes[-1]
        proposal = ", ".join(readable(float(np.ceil(top / part))) for part in (8, 4, 2, 1))
        several = f"{len(sizes)} sizes spanning a factor {readable(float(span), 2)}"
        return (
            f"{'One size' if len(sizes) == 1 else several} cannot separate a trend in n from its limit: a verdict "
            f"needs at least {_LEAST_SIZES} sizes that span a factor {_LEAST_SPAN:g}.",
            f"Measure at n = {proposal}, or more.",
        )
    if not np.isfinite(data.se).all() or (data.trials is not None and data.trials.min() < _LEAST_TRIALS):
        return (
            f"Fewer than {_LEAST_TRIALS} trials at some size leave the standard error there unknown.",
            f"Run at least {_LEAST_TRIALS} trials at each size, better 10, each with a new training set and new noise.",
        )
    if not _has_error_bar(data).any():
        return (
            "All standard errors are 0, which no measurement has: the true uncertainty is not known.",
            "Give the standard error over trials; for exact values of a formula use its limit instead.",
        )
    return None


def _has_error_bar(data: SensitivityCurve) -> NDArray[np.bool_]:
    # Round-off between identical trials is no error bar.
    return data.se > max(1e-6 * data.se.max(), 1e-9 * np.abs(data.s).max())


def without_zeros(data: SensitivityCurve) -> tuple[Floats, tuple[str, ...]]:
    """Return standard errors with zeros replaced, since trials may agree by chance, and a warning about it."""
    known = _has_error_bar(data)
    if known.all():
        return np.maximum(data.se, TINY), ()
    typical = float(np.sqrt(np.mean(data.se[known] ** 2)))
    where = ", ".join(readable(n) for n in data.n[~known].tolist())
    text = f"The standard error at n = {where} is 0; replaced by {readable(typical, 2)}, typical of the other sizes."
    return np.maximum(np.where(known, data.se, typical), TINY), (text,)
