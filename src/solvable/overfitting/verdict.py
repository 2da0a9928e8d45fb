"""The text of a noise profile: the measurement, its verdict, the gain from cleaning labels, and remarks."""

import numpy as np

from solvable.errors import InputError
from solvable.lab.text import percent, readable, with_error
from solvable.lab.verdict import Section, Table, Verdict
from solvable.overfitting.profile_numbers import ProfileNumbers


def verdict_on(p: ProfileNumbers, noise_level: float | None = None, *, strict: bool = False) -> Verdict:
    """Return a profile and its verdict in words.

    Args:
        p: measured profile.
        noise_level: level to judge by, as in `ProfileNumbers.verdict`.
        strict: as in `ProfileNumbers.verdict`.

    Raises:
        InputError: for a level that was not measured.
    """
    level = p.judged_level(noise_level)
    heading = f"Verdict at {noise_name(p, level)}"
    try:
        verdict = p.verdict(level, strict=strict)
        sections = verdict.sections(f"{heading}: {verdict.regime}")
    except InputError as error:
        sections = (Section(heading, f"There is no verdict: {error}."),)
    return Verdict(
        f"Noise profile of {p.estimator}",
        (
            Section(text=_measurement(p)),
            Section(
                "Sensitivity to noise ± standard error (0: ignores noise, 1: passes it on in full, as 1-NN does)",
                table=_sensitivities(p),
            ),
            Section("Test error", table=_errors(p, level)),
            *sections,
            Section("Cleaning labels", _cleaning(p, level)),
        ),
        notes_on(p),
    )


def notes_on(p: ProfileNumbers) -> tuple[str, ...]:
    """Return the notes on data and measurement, and remarks on the numbers."""
    return (*p.recorded_notes, *remarks(p))


def _measurement(p: ProfileNumbers) -> str:
    channel = {
        "symmetric": "a wrong label is any of the other classes, each equally likely",
        "matrix": "a wrong label is drawn from the given channel matrix",
        "gaussian": "Gaussian noise, in units of the target's standard deviation (sd)",
    }[str(p.data.attrs["channel"])]
    target = (
        f"{p.n_classes} classes, 0-1 loss" if p.n_classes else "a number, squared error (summed over outputs)"
    )
    sizes = readable(int(p.n_train[0])) + (f" to {p.n_train[-1]}" if len(p.n_train) > 1 else "")
    extent = f"{sizes} training samples, {p.data.attrs['n_test']} test samples, {p.n_trials} trial"
    extent += "s" * (p.n_trials != 1)
    text = f"{target} on clean test labels; {channel}. {extent}."
    return text[:1].upper() + text[1:]


def _sensitivities(p: ProfileNumbers) -> Table:
    s, error = p.sensitivity.to_numpy(), p.standard_error.to_numpy()
    heads = ["samples", *(noise_name(p, level) for level in p.noise_levels[1:])]
    rows = [
        (str(n), *(with_error(float(v), float(e)) for v, e in zip(s[i], error[i], strict=True)))
        for i, n in enumerate(p.n_train)
    ]
    return Table(tuple(heads), tuple(rows))


def _errors(p: ProfileNumbers, level: float) -> Table:
    levels = [0.0, level]
    mean, error = (
        one.sel(noise_level=levels).to_numpy() for one in (p.test_error, p.test_error_standard_error)
    )
    train = p.data.train_error.mean("trial").sel(noise_level=level).to_numpy()
    name = noise_name(p, level)
    heads = ["samples", "without noise", f"with {name}", f"training error, {name}"]
    factor, unit = (100.0, " %") if p.n_classes else (1.0, "")
    rows = [
        (
            str(n),
            *(f"{with_error(factor * mean[i, j], factor * error[i, j])}{unit}" for j in range(2)),
            f"{readable(factor * float(train[i]), 3)}{unit}",
        )
        for i, n in enumerate(p.n_train)
    ]
    return Table(tuple(heads), tuple(rows))


def _cleaning(p: ProfileNumbers, level: float) -> str:
    now = float(p.test_error.sel(noise_level=level)[-1])
    factor, unit = (100.0, " percentage points") if p.n_classes else (1.0, "")
    parts: list[str] = []
    for target in (level / 2, 0.0):
        gain = p.cleaning_gain(level, target).isel(n_train=-1)
        by, error = float(gain), float(gain.standard_error)
        amount = f"{with_error(factor * by, factor * error)}{unit}"
        significant = not np.isfinite(error) or by >= 2.0 * error
        effect = f"lowers it by {amount}" if significant else f"has no significant effect ({amount})"
        if target and target not in p.noise_levels:
            effect += ", interpolated"
        parts.append(f"cleaning to {noise_name(p, target) if target else 'none'} {effect}")
    error = percent(now) if p.n_classes else readable(now)
    start = f"With {p.n_train[-1]} samples and {noise_name(p, level)} the test error is {error}"
    return f"{start}; {', '.join(parts)}."


# With a larger ratio of mean to median, a few trials dominate the mean, and more trials may not settle it.
_HEAVY = 3.0


def remarks(profile: ProfileNumbers) -> tuple[str, ...]:
    """Return sentences on unfitted labels, heavy tails, missing skill, shared samples, and a shared test set."""
    sentences = (
        _not_interpolating(profile),
        _heavy_tails(profile),
        _no_skill(profile),
        _shared(profile),
        _resolution(profile),
    )
    return tuple(sentence for sentence in sentences if sentence)


def noise_name(profile: ProfileNumbers, level: float) -> str:
    """Return a noise level in words: `20 % noise`, or for a number `noise of 0.5 sd`."""
    return f"{percent(level, 4)} noise" if profile.n_classes else f"noise of {level:g} sd"


def _not_interpolating(profile: ProfileNumbers) -> str:
    unfitted = (~profile.interpolates).to_numpy()
    if not unfitted.any():
        return ""
    train = profile.data.train_error.mean("trial").where(~profile.interpolates)
    size, level = np.unravel_index(int(np.nanargmax(train.to_numpy())), unfitted.shape)
    at = f"{readable(float(train[size, level]), 3)} with {profile.n_train[size]} samples at "
    at += noise_name(profile, profile.noise_levels[level])
    where = "anywhere" if unfitted.all() else f"in {unfitted.sum()} of {unfitted.size} cases"
    return (
        f"it does not interpolate: its training labels are not all fitted {where} (mean training error up to {at}), so "
        "'overfitting' is a loose word for it"
    )


def _heavy_tails(profile: ProfileNumbers) -> str:
    """Name the worst case in which a few trials dominate the mean; errors of classes are bounded."""
    if profile.n_classes or profile.n_trials < 3:
        return ""
    noisy = profile.data.test_error.isel(noise_level=slice(1, None))
    ratio = (noisy.mean("trial") / noisy.median("trial")).to_numpy()
    if not (ratio > _HEAVY).any():
        return ""
    size, level = np.unravel_index(int(np.nanargmax(ratio)), ratio.shape)
    return (
        f"a few trials dominate the mean: with {profile.n_train[size]} samples at "
        f"{noise_name(profile, profile.noise_levels[1 + level])} it is {ratio[size, level]:.3g} times the median; the "
        "mean may not exist, and its standard errors are not reliable"
    )


def _no_skill(profile: ProfileNumbers) -> str:
    """Name the sizes at which a classifier is no better than chance without noise."""
    unknown = profile.n_train[np.isnan(profile.sensitivity.to_numpy()).all(axis=1)]
    if profile.n_classes is None or not len(unknown):
        return ""
    sizes = ", ".join(str(n) for n in unknown)
    return f"with {sizes} samples it is no better than chance without noise, so its sensitivity is undefined"


def _shared(profile: ProfileNumbers) -> str:
    """Report by how much the verdict widens standard errors because trials share samples."""
    factor = float(profile.widening[-1])
    if profile.n_trials < 2 or factor < 1.05:
        return ""
    return (
        f"with {profile.n_train[-1]} of {profile.data.attrs['n_pool']} samples trials share most of them and scatter "
        f"too little: the verdict uses {factor:.2g} times their standard error there"
    )


def _resolution(profile: ProfileNumbers) -> str:
    if profile.n_classes is None or not profile.data.attrs["one_test_set"]:
        return ""
    n_test = int(profile.data.attrs["n_test"])
    clean = float(profile.test_error[-1, 0])
    # An error of 0 is known to within 1/n_test.
    floor = max(np.sqrt(clean * (1.0 - clean) / n_test), 1.0 / n_test)
    return (
        f"a test set of {n_test} leaves each error uncertain by {readable(float(floor), 2)}, equally in all trials, "
        "which the standard errors do not include"
    )
