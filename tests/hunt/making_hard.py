"""Generators of the puzzles 6 to 9 and of the meta: each writes the file of a puzzle whose answer is a given word.

No word of the hunt stands here. Seeds, sizes and margins are those of the files that are shipped; `remake.py` makes
these again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from font import STROKES, along
from making import numbers
from numpy.typing import NDArray
from scipy.stats import ortho_group

from solvable.landscapes import linear_autoencoder

_N_TRAIN = (32, 64, 96, 128, 256, 512)
NOISE_STEP, RIDGES = 0.02, 0.01 * 2.0 ** np.arange(12)

_SIZES = 125 * 2 ** np.arange(7)
_FATES = ("benign", "tempered", "catastrophic")

_SPECTRUM = (0.4, 0.52, 0.66, 0.82, 1.21, 1.56, 2.21, 4.76, 6.81)
_HIDDEN = 4
# Losses of neighbours in the order of the word differ by this factor or more.
_APART = 1.05

# Told too loud, so that the gain that undoes it is below 1.
OFFSET, GAIN = -1.37, 0.923
# Radians of a unit of the strokes, to the right and upwards.
_SIZE = np.array([0.8 / 4, 1.1 / 6])
_SEGMENTS = 180


def make_6(word: str, folder: Path, seed: int = 20228, n_designs: int = 60) -> None:
    """Write learning curves of ridge regression whose label noise spells a word, in the order of their ridges.

    Features are Gaussian. Signs of the target and the noise are averaged exactly, designs by drawing some.

    Args:
        word: of at most twelve letters.
        folder: where the file goes.
        seed: of the designs and of the order of the curves.
        n_designs: at each size.
    """
    rng = np.random.default_rng(seed)
    i = np.arange(1.0, 201.0)
    eigenvalues, target_power = i**-1.4, i**-1.9
    noise, ridges = NOISE_STEP * np.array(numbers(word)), RIDGES[: len(word)]
    errors = np.empty((n_designs, len(word), len(_N_TRAIN)))
    for column, n in enumerate(_N_TRAIN):
        for design in range(n_designs):
            features = rng.normal(size=(n, i.size)) * np.sqrt(eigenvalues)
            _, s, V = np.linalg.svd(features, full_matrices=False)
            for row, (ridge, variance) in enumerate(zip(ridges, noise, strict=True)):
                learned = V.T * (s**2 / (s**2 + ridge)) @ V
                # Between targets and predictions, both as coefficients of eigenfunctions of unit variance.
                lost = np.eye(i.size) - np.sqrt(eigenvalues)[:, None] * learned / np.sqrt(eigenvalues)
                spread = (eigenvalues * (V.T * (s / (s**2 + ridge))).T ** 2).sum()
                errors[design, row, column] = (lost**2).sum(axis=0) @ target_power + variance * (1 + spread)
    order = rng.permutation(len(word))
    np.savez(
        folder / "06_curves.npz",
        eigenvalues=eigenvalues,
        target_power=target_power,
        n_train=np.array(_N_TRAIN),
        test_mse=errors.mean(axis=0)[order],
        standard_error=errors.std(axis=0, ddof=1)[order] / np.sqrt(n_designs),
    )


def make_7(word: str, folder: Path, seed: int = 20248) -> None:
    """Write errors of models with and without label noise, whose kinds of overfitting are the digits of a word.

    Args:
        word: each letter becomes three digits of base three: 0 benign, 1 tempered, 2 catastrophic.
        folder: where the file goes.
        seed: of the curves and their errors.
    """
    rng = np.random.default_rng(seed)
    pages = [
        {"notebook": notebook, "page": page} | row
        for notebook, number in enumerate(numbers(word), start=1)
        for page, digit in enumerate((number // 9, number // 3 % 3, number % 3), start=1)
        for row in _page(_FATES[digit], rng)
    ]
    table = pd.DataFrame(pages)
    table["n_classes"] = table["n_classes"].astype("Int64")
    table.to_csv(folder / "07_fates.csv", index=False, float_format="%.6g")


def _page(fate: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return a row for each size: errors without and with noise, of a model of one fate."""
    decay = (_SIZES / _SIZES[0]) ** -rng.uniform(0.15, 0.45)
    floor = rng.uniform(0.02, 0.15)
    if rng.random() < 0.5:
        loss, n_classes, noise = "squared", None, round(rng.uniform(0.1, 0.5), 2)
        without = floor + rng.uniform(0.3, 0.8) * decay
        unit, chance = np.full(_SIZES.size, noise), None
    else:
        loss, n_classes, noise = "0-1", int(rng.choice([2, 5, 10])), round(rng.uniform(0.1, 0.3), 2)
        chance = (n_classes - 1) / (n_classes * noise)
        without = floor + rng.uniform(0.3, 0.5) * (1 - 1 / n_classes) * decay
        unit = noise * (1 - without * n_classes / (n_classes - 1))
    sensitivity = _sensitivity(fate, chance, rng)
    difference = unit * sensitivity
    error = 0.01 * difference + 0.001 if chance else 0.012 * difference + 0.0005
    with_noise = without + difference + error * rng.normal(size=_SIZES.size)
    columns = {
        "n_train": _SIZES,
        "error_without_noise": without,
        "error_with_noise": with_noise,
        "standard_error": error,
    }
    return [
        {"loss": loss, "n_classes": n_classes, "noise": noise} | dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def _sensitivity(fate: str, chance: float | None, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return what a unit of noise costs at each size; `chance` is that of guessing, of the 0-1 loss."""
    growth = _SIZES / _SIZES[0]
    if fate == "benign":
        return rng.uniform(0.35, 0.9) * growth ** -rng.uniform(0.75, 1.1)
    if fate == "tempered":
        return rng.uniform(0.35, 0.95) * (1 + rng.uniform(-0.25, 0.25) * growth**-0.5)
    if chance is None:
        return rng.uniform(0.6, 1.2) * growth ** rng.uniform(0.45, 0.9)
    return chance * (1 - rng.uniform(0.2, 0.5) * growth ** -rng.uniform(0.75, 1.1))


def make_8(
    word: str,
    folder: Path,
    seed: int = 20233,
    spectrum: Sequence[float] = _SPECTRUM,
) -> None:
    """Write points near critical points of a linear autoencoder whose indices, in the order of the loss, spell a word.

    Two more are near global minima.

    Args:
        word: its letters are indices that the spectrum has, at losses in that order.
        folder: where the file goes.
        seed: of the rotation, of the points and of their order.
        spectrum: eigenvalues of the covariance.

    Raises:
        ValueError: if no critical points spell the word with losses that can be told apart.
    """
    rng = np.random.default_rng(seed)
    n = len(spectrum)
    rotation = ortho_group.rvs(n, random_state=rng)
    covariance = rotation * spectrum @ rotation.T
    covariance = (covariance + covariance.T) / 2
    lowest = tuple(range(n - _HIDDEN, n))
    theta = []
    for subset in [*spelled(word, spectrum), lowest, lowest]:
        while np.linalg.cond(move := rng.normal(size=(_HIDDEN, _HIDDEN))) > 6:
            pass
        point = linear_autoencoder.representative(subset, covariance, _HIDDEN, move)
        theta.append(point + 0.01 * rng.normal(size=point.size))
    np.savez(
        folder / "08_walkers.npz",
        covariance=covariance,
        n_hidden=np.array(_HIDDEN),
        theta=np.array(theta)[rng.permutation(len(theta))],
    )


def spelled(word: str, spectrum: Sequence[float] = _SPECTRUM) -> list[tuple[int, ...]]:
    """Return subsets of eigenvalues whose critical points spell a word, as far apart in the loss as can be.

    Raises:
        ValueError: if two neighbours cannot be told apart.
    """
    classes = linear_autoencoder.theory(np.diag(spectrum), _HIDDEN)
    last = next(one for one in classes if one.n_negative == 0)
    # From the end: the best chain of each class down to the minimum, with its smallest gap.
    chains = [(np.inf, [last])]
    for number in numbers(word)[::-1]:
        chains = [
            max(
                ((min(gap, np.log(one.loss / chain[0].loss)), [one, *chain]) for gap, chain in chains),
                key=lambda found: found[0],
            )
            for one in classes
            if one.n_negative == number
        ] or [(-np.inf, [last])]
    gap, chain = max(chains, key=lambda found: found[0])
    if gap < np.log(_APART):
        raise ValueError(f"no critical points of this spectrum spell {word}")
    return [one.subset for one in chain[:-1]]


def make_9(word: str, folder: Path, seed: int = 20232) -> None:
    """Write pulses that make a spin draw a word, one letter each, out and back, if two errors are undone.

    Args:
        word: of any letters.
        folder: where the file goes.
        seed: of speeds, axes and lengths of the segments.
    """
    rng = np.random.default_rng(seed)
    dt = rng.permutation(np.linspace(0.0083, 0.0121, len(word)).round(5))
    tilts = rng.uniform(0.3, 0.8, (len(word), 2)) * rng.choice([-1, 1], len(word))[:, None] * [1, -1]
    controls, initial = [], []
    for letter, length, (tilt_out, tilt_back) in zip(word, dt, tilts, strict=True):
        line = STROKES[letter] * _SIZE
        out, back = (_on_sphere(along(line, _part(rng))) for _ in range(2))
        omega = np.concatenate([_rotations(out, tilt_out), _rotations(back[::-1], tilt_back)]) / length
        controls.append((omega - [0, 0, OFFSET]) / GAIN)
        initial.append(out[0])
    np.savez(folder / "09_pulses.npz", controls=np.array(controls), initial=np.array(initial), dt=dt)


def _part(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how much of a line is drawn after each segment, with changing speed."""
    u, swings = np.linspace(0, 1, _SEGMENTS + 1), int(rng.integers(2, 6))
    return u + rng.uniform(0.3, 0.6) * np.sin(2 * np.pi * swings * u) / (2 * np.pi * swings)


def _on_sphere(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors at azimuths and elevations."""
    azimuth, elevation = places.T
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)


def _rotations(path: NDArray[np.float64], tilt: float) -> NDArray[np.float64]:
    """Return rotation vectors from each point to the next, about axes tilted towards the middle of the two."""
    a, b = path[:-1], path[1:]
    across, middle = np.cross(a, b), a + b
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    axis = np.cos(tilt) * across + np.sin(tilt) * middle
    a, b = (point - (point * axis).sum(axis=1, keepdims=True) * axis for point in (a, b))
    angle = np.arctan2((np.cross(a, b) * axis).sum(axis=1), (a * b).sum(axis=1))
    return angle[:, None] * axis


def make_m(dimensions: Sequence[int], levels: Sequence[int], folder: Path, seed: int = 20233) -> None:
    """Write spectra of a kernel on random points of spheres.

    Args:
        dimensions: of the space around each sphere.
        levels: the one that is marked on each.
        folder: where the file goes.
        seed: of the points.
    """
    rng = np.random.default_rng(seed)
    spectra = []
    for dimension in dimensions:
        x = rng.normal(size=(1500, dimension))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        spectra.append(np.linalg.eigvalsh(np.exp(1.2 * (x @ x.T)))[:-61:-1] / len(x))
    np.savez(folder / "10_herd.npz", level=np.array(levels), eigenvalues=np.array(spectra))
