"""Near-duplicates, and the sentences that come first where a forecast is doubtful."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from solvable import datasets
from solvable.regression import Diagnosis, diagnose
from solvable.regression.near_duplicates import near_duplicates


def vowels(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return recordings of eleven vowels by fifteen speakers, each of whom says a vowel nearly the same way."""
    means = np.random.default_rng(3)
    vowel, speaker, both = (means.normal(size=shape) for shape in ((11, 10), (15, 10), (15, 11, 10)))
    rng = np.random.default_rng(seed)
    v, s = rng.integers(0, 11, n), rng.integers(0, 15, n)
    X = vowel[v] + 0.9 * speaker[s] + 0.6 * both[s, v] + 0.15 * rng.normal(size=(n, 10))
    return X, v.astype(str), s


def test_what_one_speaker_repeats_is_recognised() -> None:
    X, y, speaker = vowels(400, 0)
    columns = datasets.from_arrays(X, y).y
    share, alike = near_duplicates(X, columns)
    assert share > 0.5
    assert alike > 0.95
    assert near_duplicates(X, columns, groups=speaker)[0] < 0.05


@pytest.mark.parametrize("load", [load_breast_cancer, load_digits])
def test_real_tables_have_few(load) -> None:
    data = datasets.from_arrays(*load(return_X_y=True))
    assert near_duplicates(data.X, data.y)[0] < 0.06


@pytest.mark.parametrize("dimension", [1, 2, 5, 20, 100])
@pytest.mark.parametrize("draw", ["standard_normal", "uniform", "standard_cauchy"])
def test_smooth_densities_have_few(dimension: int, draw: str) -> None:
    rng = np.random.default_rng(0)
    X = (
        rng.uniform(size=(300, dimension)) if draw == "uniform" else getattr(rng, draw)((300, dimension))
    ).clip(-9, 9)
    assert near_duplicates(X, X)[0] < 0.1


def test_copies_and_equal_distances_do_not_count() -> None:
    X = np.random.default_rng(0).normal(size=(100, 4))
    assert near_duplicates(np.vstack([X, X]), np.vstack([X, X]))[0] < 0.05
    assert near_duplicates(np.eye(30), np.eye(30)) == (0.0, 0.0)
    assert near_duplicates(np.ones((30, 2)), np.eye(30)) == (0.0, 0.0)


def test_the_first_lines_ask_for_groups() -> None:
    X, y, speaker = vowels(300, 0)
    found = diagnose(X, y, "laplace")
    first = str(found).partition("Trained on")[0]
    assert "have a neighbour far nearer than is usual" in " ".join(first.split())
    grouped = diagnose(X, y, "laplace", groups=speaker)
    assert "far nearer" not in str(grouped)


@pytest.fixture(scope="module")
def tumours() -> Diagnosis:
    X, y = load_breast_cancer(return_X_y=True)
    return diagnose(X[:250], y[:250], "laplace")


@pytest.mark.parametrize(
    ("log_fall_ratio", "words"),
    [
        (0.4, "33 % below what the halves forecast: it falls faster than they show"),
        (-0.3, "35 % above what the halves forecast: it falls more slowly than they promise"),
        (1.2, "a factor of 3.3 below what the halves forecast"),
        (0.05, None),
    ],
)
def test_the_first_lines_name_halves_that_miss(
    tumours: Diagnosis, log_fall_ratio: float, words: str | None
) -> None:
    check = replace(tumours.surface.check, log_fall_ratio=log_fall_ratio)
    found = replace(tumours, surface=replace(tumours.surface, check=check))
    text = " ".join(str(found).split())
    first = text.partition("Trained on")[0]
    assert ("Caution" in first) == (words is not None)
    assert words is None or words in first
    assert "From half of the sample to all of it, the error comes out" in text
    # The less the halves agree, the wider the interval past the sample.
    widths = [
        float(np.log(one.test_mse_high / one.test_mse_low))
        for one in (d.forecast([1000]).squeeze() for d in (tumours, found))
    ]
    assert (widths[1] > widths[0]) == (abs(log_fall_ratio) > abs(tumours.surface.check.log_fall_ratio))


def test_the_first_lines_name_copies(tumours: Diagnosis) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    twice = diagnose(np.vstack([X[:200], X[:50]]), np.append(y[:200], y[:50]), "laplace")
    assert "Caution: 20 % of the rows repeat another one, target included" in " ".join(str(twice).split())
    assert "rows repeat" not in str(tumours)


def test_the_first_lines_name_a_theory_that_fails_on_halves(tumours: Diagnosis) -> None:
    check = replace(tumours.surface.check, log_ratio=tumours.surface.check.log_ratio + 1.0)
    found = replace(tumours, surface=replace(tumours.surface, check=check))
    first = " ".join(str(found).split()).partition("Trained on")[0]
    assert "Caution: theory does not hold well here" in first
    assert "Random features" not in str(found)
