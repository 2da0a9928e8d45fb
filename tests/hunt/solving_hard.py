"""How the puzzles 6 to 9 and the meta are solved: each function reads a file from a folder and returns the word.

No answer stands here. Each is what a solver would type, by the calls of the wing.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from font import STROKES, along
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import KDTree
from solving import letter

from solvable.landscapes import find_critical_points, linear_autoencoder
from solvable.overfitting import Classification, classify_overfitting
from solvable.regression import predict
from solvable.spectra import Eigensystem, hypersphere
from solvable.spins import bloch


def solve_6(folder: Path) -> str:
    """Fit ridge and noise of each learning curve, and read the noises in the order of the ridges."""
    ridge, noise = fit_curves(folder)
    return "".join(letter(one / 0.02) for one in noise[ridge.argsort()])


def fit_curves(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ridges and noise variances of the curves."""
    with np.load(folder / "06_curves.npz") as file:
        curves = dict(file)
    # The error is linear in the noise: two predictions at many ridges are all that is needed. A search from one start
    # may end at a ridge that is too small where it is too large, since one looks almost like the other.
    ridges = np.geomspace(1e-3, 1e2, 2000)
    quiet, loud = (
        predict(
            Eigensystem(curves["eigenvalues"], target_power=curves["target_power"], noise=noise),
            n_train=curves["n_train"],
            ridge=ridges,
        ).test_mse.to_numpy()[:, 0]
        for noise in (0.0, 1.0)
    )
    weight = curves["standard_error"][..., None] ** -2
    rest, slope = curves["test_mse"][..., None] - quiet, loud - quiet
    noise = (weight * rest * slope).sum(axis=1) / (weight * slope**2).sum(axis=1)
    misfit = (weight * (rest - noise[:, None] * slope) ** 2).sum(axis=1)
    best = misfit.argmin(axis=1)
    return ridges[best], noise[np.arange(len(noise)), best]


def solve_7(folder: Path) -> str:
    """Classify each page, and read three of them as a number in base three."""
    digit = {"benign": 0, "tempered": 1, "catastrophic": 2}
    digits = [digit[verdict.regime] for verdict in classify_pages(folder)]
    return "".join(letter(nine * 9 + three * 3 + one) for nine, three, one in np.reshape(digits, (-1, 3)))


def classify_pages(folder: Path) -> list[Classification]:
    """Return the verdicts on all models, in the order of notebooks and pages."""
    pages = pd.read_csv(folder / "07_fates.csv").groupby(["notebook", "page"])
    return [classify_page(page) for _, page in pages]


def classify_page(page: pd.DataFrame) -> Classification:
    """Return the verdict on one model."""
    without, noise = page["error_without_noise"], page["noise"].iloc[0]
    n_classes = None if page["loss"].iloc[0] == "squared" else int(page["n_classes"].iloc[0])
    unit = noise if n_classes is None else noise * (1 - without * n_classes / (n_classes - 1))
    sensitivity = (page["error_with_noise"] - without) / unit
    return classify_overfitting(
        page["n_train"], sensitivity, page["standard_error"] / unit, noise_level=noise, n_classes=n_classes
    )


def solve_8(folder: Path) -> str:
    """Take each walker to the critical point that it was near, and read indices in the order of the loss."""
    with np.load(folder / "08_walkers.npz") as file:
        covariance, n_hidden, theta = file["covariance"], int(file["n_hidden"]), file["theta"]
    loss = linear_autoencoder.loss(covariance, n_hidden)
    found = find_critical_points(loss, torch.from_numpy(theta), method="lm", gtol=1e-20, quiet=True)
    order = np.argsort(-found.loss)
    return "".join(letter(index) for index in found.index[order] if index > 0)


def solve_9(folder: Path) -> str:
    """Find the two errors that close all loops, and read the letters that the spin draws without them."""
    with np.load(folder / "09_pulses.npz") as file:
        controls, dt, initial = file["controls"], file["dt"][:, None], file["initial"]
    offset, gain = find_errors(controls, dt, initial)
    return "".join(read_path(path) for path in bloch.paths(controls, dt, initial, offset, gain))


def find_errors(
    controls: NDArray[np.float64], dt: NDArray[np.float64], initial: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return offset and gain that close all loops."""
    offsets, gains = np.meshgrid(np.linspace(-5, 5, 41), np.linspace(0.8, 1.2, 17), indexing="ij")
    ends = bloch.paths(controls[:3], dt[:3], initial[:3], offsets, gains)[..., -1, :]
    open_by = ((ends - initial[:3, None, None]) ** 2).sum(axis=(0, -1))

    def gaps(errors: NDArray[np.float64]) -> NDArray[np.float64]:
        return (bloch.paths(controls, dt, initial, *errors)[:, -1] - initial).ravel()

    best = np.argsort(open_by, axis=None)[:4]
    starts = np.stack([offsets.ravel()[best], gains.ravel()[best]], axis=1)
    return min((least_squares(gaps, start) for start in starts), key=lambda fit: fit.cost).x


def read_path(path: NDArray[np.float64]) -> str:
    """Return the letter that a path on the sphere looks most like, seen from +x with z up."""
    return min(STROKES, key=partial(unlikeness, path))


def unlikeness(path: NDArray[np.float64], name: str) -> float:
    """Return how far a path is from the strokes of a letter, and these from the path, on average."""
    x, y, z = path.T
    seen = np.stack([np.arctan2(y, x) / 0.2, np.arcsin(z) / (1.1 / 6)], axis=1)
    drawn, strokes = (_centred(along(line, np.linspace(0, 1, 3000))) for line in (seen, STROKES[name]))
    there, back = (KDTree(one).query(other[::10])[0] for one, other in ((strokes, drawn), (drawn, strokes)))
    return there.mean() + back.mean()


def _centred(line: NDArray[np.float64]) -> NDArray[np.float64]:
    return line - (line.min(axis=0) + line.max(axis=0)) / 2


def solve_m(folder: Path, answers: Sequence[str], things: Sequence[str]) -> tuple[str, str]:
    """Count the modes of each marked level, and read that letter of each answer and of each thing.

    Args:
        folder: has the file of the meta.
        answers: of the nine puzzles, in the order of the things.
        things: what waits in the meta.
    """
    with np.load(folder / "10_herd.npz") as file:
        counts = [count_modes(*row) for row in zip(file["eigenvalues"], file["level"], strict=True)]
    theory, real = (
        "".join(word[count - 1] for word, count in zip(words, counts, strict=True) if count <= len(word))
        for words in (answers, things)
    )
    return theory, real


def count_modes(eigenvalues: NDArray[np.float64], level: int) -> int:
    """Return how many eigenvalues the block of a level has."""
    return find_blocks(eigenvalues, level)[level]


def find_blocks(eigenvalues: NDArray[np.float64], level: int) -> list[int]:
    """Return the sizes of the blocks up to a level (and two at least), on the sphere that fits the spectrum best."""
    steps = -np.diff(np.log(eigenvalues))

    def blocks(dimension: int) -> list[int]:
        levels = hypersphere(np.exp, dimension, n_levels=max(level, 1) + 1, n_quadrature=200)
        return levels.multiplicities.astype(int).tolist()

    def contrast(dimension: int) -> float:
        ends = np.cumsum(blocks(dimension)) - 1
        if ends[-1] >= steps.size:
            return 0.0
        return steps[ends].min() / np.delete(steps[: ends[-1]], ends[:-1]).max()

    return blocks(max(range(3, 13), key=contrast))
