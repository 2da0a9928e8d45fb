"""What the numbers of a noise profile themselves say that a reader should know before believing the verdict."""

from typing import TYPE_CHECKING

import numpy as np

from solvable.lab.text import readable

if TYPE_CHECKING:
    from solvable.overfitting.measuring.profile import NoiseProfile

# A mean that is so many times the median comes from a few trials: more of them may not settle it.
_HEAVY = 3.0


def remarks(profile: "NoiseProfile") -> tuple[str, ...]:
    """Return a sentence each on labels that were not fitted, on heavy tails, and on what the test set resolves."""
    found = (
        _not_interpolating(profile),
        _heavy_tails(profile),
        _no_skill(profile),
        _shared(profile),
        _resolution(profile),
    )
    return tuple(sentence for sentence in found if sentence)


def noise_name(profile: "NoiseProfile", level: float) -> str:
    """Return a noise level in words: `20 % noise`, or for a number `noise of 0.5 sd`."""
    return f"{100 * level:.4g} % noise" if profile.n_classes else f"noise of {level:g} sd"


def _not_interpolating(profile: "NoiseProfile") -> str:
    left = (~profile.interpolates).to_numpy()
    if not left.any():
        return ""
    train = profile.data.train_error.mean("trial").where(~profile.interpolates)
    size, level = np.unravel_index(int(np.nanargmax(train.to_numpy())), left.shape)
    at = f"{readable(float(train[size, level]), 3)} with {profile.n_train[size]} samples at "
    at += noise_name(profile, profile.noise_levels[level])
    where = "anywhere" if left.all() else f"in {left.sum()} of {left.size} cases"
    return (
        f"it does not interpolate: its training labels are not all fitted {where} (mean training error up to {at}), so "
        "the word overfitting is loose here"
    )


def _heavy_tails(profile: "NoiseProfile") -> str:
    """Say where a few trials make the mean; errors of classes are bounded."""
    if profile.n_classes or profile.n_trials < 3:
        return ""
    noisy = profile.data.test_error.isel(noise_level=slice(1, None))
    ratio = (noisy.mean("trial") / noisy.median("trial")).to_numpy()
    if not (ratio > _HEAVY).any():
        return ""
    size, level = np.unravel_index(int(np.nanargmax(ratio)), ratio.shape)
    return (
        f"a few trials make the mean: with {profile.n_train[size]} samples at "
        f"{noise_name(profile, profile.noise_levels[1 + level])} it is {ratio[size, level]:.3g} times the median; the "
        "mean may not exist, and its standard errors mean little"
    )


def _no_skill(profile: "NoiseProfile") -> str:
    """Say at which sizes a classifier is no better than chance without noise."""
    if profile.n_classes is None:
        return ""
    unknown = profile.n_train[np.isnan(profile.sensitivity.to_numpy()).all(axis=1)]
    if not len(unknown):
        return ""
    sizes = ", ".join(str(n) for n in unknown)
    return (
        f"with {sizes} samples it is no better than chance without noise: a sensitivity has no meaning there"
    )


def _shared(profile: "NoiseProfile") -> str:
    """Say where trials share most of their samples, and what the verdict makes of it."""
    factor = float(profile.widening[-1])
    if profile.n_trials < 2 or factor < 1.05:
        return ""
    return (
        f"with {profile.n_train[-1]} of {profile.data.attrs['n_pool']} samples trials train on much the same ones and "
        f"scatter too little: the verdict takes {factor:.2g} times their standard error there"
    )


def _resolution(profile: "NoiseProfile") -> str:
    if profile.n_classes is None:
        return ""
    if not profile.data.attrs["one_test_set"]:
        return ""
    n_test = int(profile.data.attrs["n_test"])
    clean = float(profile.test_error[-1, 0])
    # An error of nothing is known to one in so many.
    floor = max(np.sqrt(clean * (1.0 - clean) / n_test), 1.0 / n_test)
    return (
        f"a test set of {n_test} leaves each error uncertain by {readable(float(floor), 2)}, in all trials alike: it "
        "is not in the standard errors"
    )
