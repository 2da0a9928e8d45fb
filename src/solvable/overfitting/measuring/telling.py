"""A noise profile in words for a terminal: what was measured, the verdict, what cleaning labels would buy."""

from textwrap import fill

import numpy as np

from solvable.errors import InputError
from solvable.lab.text import readable, with_error
from solvable.overfitting.measuring.profile import NoiseProfile
from solvable.overfitting.measuring.remarks import noise_name

_WIDTH = 96


def told(profile: NoiseProfile, noise_level: float | None = None, *, strict: bool = False) -> str:
    """Return a profile and its verdict as text.

    Args:
        profile: as measured.
        noise_level: the level to judge by, as `NoiseProfile.verdict` takes it.
        strict: as `NoiseProfile.verdict` takes it.

    Raises:
        InputError: for a level that was not measured.
    """
    level = profile.judged_level(noise_level)
    parts = [_title(profile), _sensitivities(profile), _errors(profile, level)]
    try:
        verdict = str(profile.verdict(level, strict=strict))
    except InputError as nothing_learned:
        verdict = _filled(f"There is no verdict: {nothing_learned}.")
    parts += [
        f"Verdict at {noise_name(profile, level)}\n\n{verdict}",
        f"Cleaning labels\n{_cleaning(profile, level)}",
    ]
    if profile.notes:
        parts.append("Notes\n" + "\n".join(_filled(note, "  - ", "    ") for note in profile.notes))
    return "\n\n".join(parts)


def _title(p: NoiseProfile) -> str:
    channel = {
        "symmetric": "a wrong label is any of the other classes, each as likely",
        "matrix": "a wrong label is drawn from the channel matrix given",
        "gaussian": "Gaussian noise, in units of the target's standard deviation (sd)",
    }[str(p.data.attrs["channel"])]
    target = (
        f"{p.n_classes} classes, 0-1 loss" if p.n_classes else "a number, squared error (summed over outputs)"
    )
    kind = f"{target} on clean test labels; {channel}"
    sizes = readable(int(p.n_train[0])) + (f" to {p.n_train[-1]}" if len(p.n_train) > 1 else "")
    extent = f"{sizes} training samples, {p.data.attrs['n_test']} test samples, {p.n_trials} trial"
    extent += "s" * (p.n_trials != 1)
    return "\n".join(
        [_filled(f"Noise profile of {p.estimator}", ""), _filled(f"{kind}."), _filled(f"{extent}.")]
    )


def _sensitivities(p: NoiseProfile) -> str:
    s, error = p.sensitivity.to_numpy(), p.standard_error.to_numpy()
    heads = ["samples", *(noise_name(p, level) for level in p.noise_levels[1:])]
    rows = [
        [str(n), *(with_error(float(v), float(e)) for v, e in zip(s[i], error[i], strict=True))]
        for i, n in enumerate(p.n_train)
    ]
    scale = "0: ignores noise, 1: passes it on in full, as 1-NN does"
    return f"Sensitivity to noise ± standard error ({scale})\n{_table(heads, rows)}"


def _errors(p: NoiseProfile, level: float) -> str:
    levels = [0.0, level]
    mean, error = (
        one.sel(noise_level=levels).to_numpy() for one in (p.test_error, p.test_error_standard_error)
    )
    train = p.data.train_error.mean("trial").sel(noise_level=level).to_numpy()
    name = noise_name(p, level)
    heads = ["samples", "without noise", f"with {name}", f"training error, {name}"]
    factor, unit = (100.0, " %") if p.n_classes else (1.0, "")
    rows = [
        [
            str(n),
            *(f"{with_error(factor * mean[i, j], factor * error[i, j])}{unit}" for j in range(2)),
            f"{readable(factor * float(train[i]), 3)}{unit}",
        ]
        for i, n in enumerate(p.n_train)
    ]
    return f"Test error\n{_table(heads, rows)}"


def _cleaning(p: NoiseProfile, level: float) -> str:
    now = float(p.test_error.sel(noise_level=level)[-1])
    parts: list[str] = []
    for target in (level / 2, 0.0):
        gain = p.cleaning_gain(level, target).isel(n_train=-1)
        by, error = float(gain), float(gain.standard_error)
        if np.isfinite(error) and by < 2.0 * error:
            worth = f"gains nothing that shows ({_amount(p, by, error)})"
        else:
            worth = f"lowers it by {_amount(p, by, error)}"
        if target and target not in p.noise_levels:
            worth += ", interpolated"
        parts.append(f"cleaning to {noise_name(p, target) if target else 'none'} {worth}")
    error = f"{readable(100 * now, 3)} %" if p.n_classes else readable(now)
    start = f"With {p.n_train[-1]} samples and {noise_name(p, level)} the test error is {error}"
    return _filled(f"{start}; {', '.join(parts)}.")


def _amount(p: NoiseProfile, value: float, error: float) -> str:
    # Percent of what would be open: of all answers, or of the error now.
    return (
        f"{with_error(100 * value, 100 * error)} percentage points"
        if p.n_classes
        else with_error(value, error)
    )


def _table(heads: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    return "\n".join(
        "  " + "   ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (heads, *rows)
    )


def _filled(text: str, first: str = "  ", others: str = "  ") -> str:
    # A number is not parted from its percent sign.
    bound = text.replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0")
    lines = fill(bound, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)
    return lines.replace("\u00a0", " ")
