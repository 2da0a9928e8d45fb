"""The hunt that is shipped can be solved: by the library's calls, from its files, without an answer in the tests."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import solving
import solving_hard
import torch
from font import STROKES

from solvable.hunt import Hunt, Journal, open_puzzle
from solvable.hunt.play import HERE
from solvable.landscapes import linear_autoencoder
from solvable.spins import bloch

# In which the puzzles belong to the things of the meta.
_ORDER = "384715926"
_NO_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoTorch())
"""
_SOLVERS = {number: getattr(solving, f"solve_{number}") for number in "12345"} | {
    number: getattr(solving_hard, f"solve_{number}") for number in "6789"
}


@pytest.fixture(scope="module")
def hunt(tmp_path_factory: pytest.TempPathFactory) -> Hunt:
    return Hunt(journal=Journal(tmp_path_factory.mktemp("progress")))


@pytest.fixture(scope="module")
def found(hunt: Hunt, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each solver makes of the files that a newcomer gets."""
    folder = tmp_path_factory.mktemp("files")
    for number in _SOLVERS:
        hunt.open(number, folder)
    return {number: solve(folder) for number, solve in _SOLVERS.items()}


@pytest.mark.parametrize("number", _SOLVERS)
def test_a_puzzle_is_solved_from_its_files(number: str, hunt: Hunt, found: dict[str, str]) -> None:
    assert hunt.check(number, found[number]).kind == "right"


def test_the_meta_is_solved_by_what_the_puzzles_say(
    hunt: Hunt, found: dict[str, str], tmp_path: Path
) -> None:
    for number, word in found.items():
        hunt.check(number, word)
    hunt.open("M", tmp_path)
    theory, real = solving_hard.solve_m(tmp_path, [found[number] for number in _ORDER], hunt.nouns())
    assert hunt.check("M", theory).kind == "close"
    assert hunt.check("M", real).kind == "close"
    assert hunt.check("M", f"{theory} {real}").kind == "right"


def test_no_fate_is_near_another() -> None:
    verdicts = solving_hard.classify_pages(HERE / "data")
    assert min(one.floor_interval[0] for one in verdicts if one.regime == "tempered") > 0.36
    assert max(one.floor_interval[1] for one in verdicts if one.regime == "benign") < 0.026


def test_the_noise_of_a_curve_is_a_whole_number_and_its_ridge_a_rung() -> None:
    ridge, noise = solving_hard.fit_curves(HERE / "data")
    assert np.abs(noise / 0.02 - np.rint(noise / 0.02)).max() < 0.13
    assert np.abs(np.log2(np.sort(ridge) / 0.01) - np.arange(12)).max() < 0.18


def test_where_the_walkers_sat_gives_at_most_two_letters(found: dict[str, str]) -> None:
    with np.load(HERE / "data" / "08_walkers.npz", allow_pickle=False) as file:
        loss = linear_autoencoder.loss(file["covariance"], int(file["n_hidden"]))
        theta = torch.from_numpy(file["theta"])
    order = np.argsort([-float(loss(row)) for row in theta])
    hessians = [torch.autograd.functional.hessian(loss, row) for row in theta[order]]
    curvatures = np.linalg.eigvalsh(np.array(hessians))
    letters = [ord(letter) - ord("A") + 1 for letter in found["8"]]
    for tolerance in np.geomspace(1e-9, 1, 200):
        index = (curvatures < -tolerance).sum(axis=1)
        assert (index[: len(letters)] == letters).sum() <= 2


def test_no_letter_of_the_spin_is_like_another() -> None:
    with np.load(HERE / "data" / "09_pulses.npz", allow_pickle=False) as file:
        controls, dt, initial = file["controls"], file["dt"][:, None], file["initial"]
    paths = bloch.paths(controls, dt, initial, *solving_hard.find_errors(controls, dt, initial))
    np.testing.assert_allclose(paths[:, -1], initial, atol=1e-12)
    for path in paths:
        nearest, other = sorted(solving_hard.unlikeness(path, letter) for letter in STROKES)[:2]
        assert other > 10 * nearest


def test_a_marked_block_ends_at_a_gap() -> None:
    with np.load(HERE / "data" / "10_herd.npz", allow_pickle=False) as file:
        spectra, levels = np.log(file["eigenvalues"]), file["level"]
    for eigenvalues, level in zip(spectra, levels, strict=True):
        blocks = solving_hard.find_blocks(np.exp(eigenvalues), int(level))
        first, end = sum(blocks[:level]), sum(blocks[: level + 1])
        assert eigenvalues[end - 1] - eigenvalues[end] - np.ptp(eigenvalues[first:end]) > 1.18


def test_the_first_lines_run_without_torch(hunt: Hunt) -> None:
    """But for the puzzle of which the docs say that it needs torch."""
    starts = [puzzle.start for puzzle in hunt.puzzles if puzzle.id != "8"]
    lines = [start for start in starts if not start.startswith("solvable ")]
    subprocess.run([sys.executable, "-c", "\n".join([_NO_TORCH, *lines])], check=True)


def test_one_call_gives_the_files_of_a_puzzle(tmp_path: Path) -> None:
    assert [path.name for path in open_puzzle(1, tmp_path)] == ["01_wafer.csv"]
