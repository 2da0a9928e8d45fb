"""The puzzles 6 to 9 and the meta, made with words that are not the hunt's and solved again; margins and dead ends."""

from pathlib import Path

import making
import making_hard
import numpy as np
import pandas as pd
import pytest
import solving_hard
import torch
from font import STROKES
from numpy.typing import NDArray

from cases import representative
from solvable.landscapes import find_critical_points, linear_autoencoder
from solvable.overfitting import classify_overfitting
from solvable.spectra import hypersphere
from solvable.spins import bloch

_FOURTEEN = ("THUNDERSTORMY", "ABZYJKQRMNAZI", "LEARNINGCURVES")
_ALL_LETTERS = ("ABCDEF", "GHIJKLMNO", "PQRSTUVWX", "YZ")


def _check_curves(word: str, folder: Path) -> None:
    ridge, noise = solving_hard.fit_curves(folder)
    order = ridge.argsort()
    ridge, noise = ridge[order], noise[order]
    assert np.abs(noise / making_hard.NOISE_STEP - making.numbers(word)).max() < 0.13
    assert np.abs(np.log2(ridge / making_hard.RIDGES[: len(word)])).max() < 0.18
    assert solving_hard.solve_6(folder) == word


@pytest.mark.parametrize("word", representative(["AZURE", "MAPLE"], ["AZURE"]))
def test_the_noise_of_a_few_curves_spells_the_word(word: str, tmp_path: Path) -> None:
    making_hard.make_6(word, tmp_path, n_designs=20)
    _check_curves(word, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["THUNDERSTORM", "ZZABYCXDWEVF"])
def test_the_noise_of_learning_curves_spells_the_word(word: str, tmp_path: Path) -> None:
    making_hard.make_6(word, tmp_path)
    with np.load(tmp_path / "06_curves.npz", allow_pickle=False) as file:
        assert {name: array.shape for name, array in file.items()} == {
            "eigenvalues": (200,),
            "target_power": (200,),
            "n_train": (6,),
            "test_mse": (12, 6),
            "standard_error": (12, 6),
        }
    _check_curves(word, tmp_path)


@pytest.mark.parametrize("word", _FOURTEEN)
def test_fates_spell_the_word(word: str, tmp_path: Path) -> None:
    making_hard.make_7(word, tmp_path)
    assert len(pd.read_csv(tmp_path / "07_fates.csv")) == 21 * len(word)
    assert solving_hard.solve_7(tmp_path) == word


@pytest.mark.parametrize("seed", range(5))
def test_fates_are_far_from_doubt(seed: int, tmp_path: Path) -> None:
    making_hard.make_7("LEARNINGCURVES", tmp_path, seed)
    assert solving_hard.solve_7(tmp_path) == "LEARNINGCURVES"
    verdicts = solving_hard.classify_pages(tmp_path)
    assert min(one.floor_interval[0] for one in verdicts if one.regime == "tempered") > 0.3


def test_raw_errors_mislead(tmp_path: Path) -> None:
    making_hard.make_7("LEARNINGCURVES", tmp_path)
    raw = [
        classify_overfitting(page["n_train"], page["error_with_noise"], page["standard_error"]).regime
        for _, page in pd.read_csv(tmp_path / "07_fates.csv").groupby(["notebook", "page"])
    ]
    right = [one.regime for one in solving_hard.classify_pages(tmp_path)]
    assert np.mean([a == b for a, b in zip(raw, right, strict=True)]) < 0.7


@pytest.mark.parametrize("word", ["STONE", "WORLD", "TULIP"])
def test_indices_of_critical_points_spell_the_word(word: str, tmp_path: Path) -> None:
    making_hard.make_8(word, tmp_path)
    assert solving_hard.solve_8(tmp_path) == word


@pytest.mark.parametrize("word", ["STONE", "WORLD"])
def test_walkers_end_where_they_began_and_an_index_read_before_is_wrong(word: str, tmp_path: Path) -> None:
    making_hard.make_8(word, tmp_path)
    with np.load(tmp_path / "08_walkers.npz", allow_pickle=False) as file:
        covariance, n_hidden, theta = file["covariance"], int(file["n_hidden"]), file["theta"]
    loss = linear_autoencoder.loss(covariance, n_hidden)
    found = find_critical_points(loss, torch.from_numpy(theta), gtol=1e-20, quiet=True)
    assert found.squared_gradient.max() < 1e-20
    classes = linear_autoencoder.identify(np.asarray(found.theta), covariance, n_hidden)
    n = len(covariance)
    lowest = tuple(range(n - n_hidden, n))
    expected = [*making_hard.spelled(word), lowest, lowest]
    order = np.argsort(-found.loss)
    assert [classes[i].subset for i in order] == expected
    # The same from a point twice as far away.
    far = theta + (theta - np.asarray(found.theta))
    again = find_critical_points(loss, torch.from_numpy(far), gtol=1e-20, quiet=True)
    assert [
        one.subset for one in linear_autoencoder.identify(np.asarray(again.theta), covariance, n_hidden)
    ] == [one.subset for one in classes]
    hessians = [torch.autograd.functional.hessian(loss, row) for row in torch.from_numpy(theta)]
    curvatures = np.linalg.eigvalsh(np.array(hessians))
    for tolerance in np.geomspace(1e-9, 1, 200):
        index = (curvatures < -tolerance).sum(axis=1)[order]
        assert (index[: len(word)] == making.numbers(word)).sum() <= len(word) // 2


def test_a_word_that_no_critical_points_spell_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no critical points of this spectrum spell ZEBRA"):
        making_hard.make_8("ZEBRA", tmp_path)


def _pulses(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    with np.load(folder / "09_pulses.npz", allow_pickle=False) as file:
        return file["controls"], file["dt"][:, None], file["initial"]


@pytest.mark.parametrize("word", representative(_ALL_LETTERS, ["ABCDEF", "YZ"]))
def test_a_spin_without_its_errors_writes_the_word(word: str, tmp_path: Path) -> None:
    making_hard.make_9(word, tmp_path)
    controls, dt, initial = _pulses(tmp_path)
    assert controls.shape == (len(word), 360, 3)
    assert np.unique(dt).size == len(word)
    paths = bloch.paths(controls, dt, initial, making_hard.OFFSET, making_hard.GAIN)
    np.testing.assert_allclose(paths[:, -1], initial, atol=1e-12)
    for path, name in zip(paths, word, strict=True):
        nearest, other = sorted(solving_hard.unlikeness(path, letter) for letter in STROKES)[:2]
        assert solving_hard.read_path(path) == name
        assert other > 20 * nearest


def test_what_the_spin_was_told_is_no_word(tmp_path: Path) -> None:
    making_hard.make_9("HANDLOOM", tmp_path)
    controls, dt, initial = _pulses(tmp_path)
    told = bloch.paths(controls, dt, initial)
    assert np.linalg.norm(told[:, -1] - initial, axis=1).max() > 0.3
    read = "".join(map(solving_hard.read_path, told))
    assert sum(a == b for a, b in zip(read, "HANDLOOM", strict=True)) <= 3


@pytest.mark.parametrize("word", ["OCTAGON", pytest.param("LANTERN", marks=pytest.mark.slow)])
def test_closed_loops_give_the_errors_and_the_word(word: str, tmp_path: Path) -> None:
    making_hard.make_9(word, tmp_path)
    pulses = _pulses(tmp_path)
    found = solving_hard.find_errors(*pulses)
    np.testing.assert_allclose(found, [making_hard.OFFSET, making_hard.GAIN], atol=1e-6)
    assert "".join(map(solving_hard.read_path, bloch.paths(*pulses, *found))) == word


def test_levels_of_spheres_index_the_words(tmp_path: Path) -> None:
    dimensions, levels = [3, 5, 8], [2, 0, 1]
    making_hard.make_m(dimensions, levels, tmp_path, seed=1)
    counts = [int(hypersphere(np.exp, d).multiplicities[k]) for d, k in zip(dimensions, levels, strict=True)]
    answers = ["x" * (count - 1) + letter for count, letter in zip(counts, "OAK", strict=True)]
    things = ["ten", "n", "seven"]
    assert solving_hard.solve_m(tmp_path, answers, things) == ("OAK", "n")


@pytest.mark.parametrize(("dimension", "level"), [(3, 4), (4, 2), (8, 1)])
def test_a_marked_block_stands_apart(dimension: int, level: int, tmp_path: Path) -> None:
    making_hard.make_m([dimension], [level], tmp_path)
    with np.load(tmp_path / "10_herd.npz", allow_pickle=False) as file:
        eigenvalues = file["eigenvalues"][0]
    ends = np.cumsum(hypersphere(np.exp, dimension).multiplicities[: level + 1]).astype(int)
    block = np.log(eigenvalues[ends[-2] : ends[-1]])
    gap = block[-1] - np.log(eigenvalues[ends[-1]])
    assert gap - np.ptp(block) > 1.18
