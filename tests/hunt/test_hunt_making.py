"""The puzzles 1 to 5, made with words that are not the hunt's and solved again; their margins and their dead ends."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import making
import numpy as np
import pandas as pd
import pytest
import solving
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from solvable.junctions import wafer
from solvable.kernels import NNGP, NTK
from solvable.scaling import gaussian_spectral_norm, init_std, spectral_norm
from solvable.stepwise import directions_from_loss

_FIVE = ("BRICK", "OCEAN", "ZEBRA")
_EIGHT = ("LANTERNS", "OCTAGONS", "ZZAZYMUD")
# Together these have all letters.
_WAFERS = ("PICTURE", "HARBOUR", "BICYCLE", "ABCDEFGHIJKL", "MNOPQRSTUVWX", "YZ")


@pytest.mark.parametrize("word", _WAFERS)
def test_the_residuals_of_a_wafer_spell_the_word(word: str, tmp_path: Path) -> None:
    making.make_1(word, tmp_path)
    assert solving.solve_1(tmp_path) == word


def _wafer(word: str, folder: Path) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Return the table of a new wafer, and which of its junctions are dots of the word."""
    making.make_1(word, folder)
    table = wafer.read_csv(folder / "01_wafer.csv")
    x, y = (table[f"chip_{axis}_mm"] + table[f"{axis}_um"] / 1000 for axis in "xy")
    return table, making.on_letters(word, x, y)


@pytest.mark.parametrize("word", _WAFERS[:3])
def test_dots_are_far_from_other_junctions(word: str, tmp_path: Path) -> None:
    table, marked = _wafer(word, tmp_path)
    assert len(table) == 1584
    assert len(set(table["chip"])) == 44
    junctions = wafer.report(table).junctions
    # In standard deviations of the noise, which is 1 % of the resistance.
    size = junctions["residual"].to_numpy() / 0.01
    whole = np.abs(size) < 100
    assert size[marked].min() - size[whole & ~marked].max() > 9.5
    assert size[marked].mean() - size[whole & ~marked].mean() > 15
    # A solver does not know the noise.
    found = junctions["standardized"].to_numpy()
    assert found[marked].min() > 9
    assert np.abs(found[whole & ~marked]).max() < 3.5


@pytest.mark.parametrize("word", _WAFERS[:3])
def test_without_the_surface_a_wafer_shows_nothing(word: str, tmp_path: Path) -> None:
    table, marked = _wafer(word, tmp_path)
    flat = wafer.report(table.drop(columns=["chip_x_mm", "chip_y_mm"])).junctions
    assert not (flat["standardized"].to_numpy()[marked] > 5).any()
    # Nor do the largest resistances.
    R = table["R_ohm"].to_numpy()
    highest = np.argsort(np.where(R < 1e5, R, 0))[-marked.sum() :]
    assert marked[highest].mean() < 0.3


def test_a_word_has_to_fit_on_the_wafer(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        making.make_1("CIRCUMNAVIGATION", tmp_path)


@pytest.mark.parametrize("word", _FIVE)
def test_the_slips_of_a_poster_spell_the_word(word: str, tmp_path: Path) -> None:
    making.make_2(word, tmp_path)
    assert solving.solve_2(tmp_path) == word


def test_the_true_numbers_of_the_poster_are_nearly_whole() -> None:
    true = np.array([panel["true"] for panel in making._panels()])
    assert np.abs(true - np.rint(true)).max() < 0.06


def test_the_picture_says_what_the_data_say(tmp_path: Path) -> None:
    making.make_2(_FIVE[0], tmp_path)
    told = json.loads((tmp_path / "02_poster.json").read_text(encoding="utf-8"))
    svg = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(tmp_path / "02_poster.svg").getroot()
    drawn = [group for group in root.iter(f"{svg}g") if group.find(f"{svg}title") is not None]
    assert told["title"] in str(root.findtext(f"{svg}title"))
    assert len(drawn) == len(told["panels"]) == 5
    for group, panel in zip(drawn, told["panels"], strict=True):
        shown = [" ".join("".join(text.itertext()).split()) for text in group.iter(f"{svg}text")]
        assert any(text.startswith(f"{panel['printed']} ") for text in shown)
        assert panel["claim"] in shown
        description = str(group.findtext(f"{svg}desc"))
        for part in (panel["claim"], *(f"{name} = {value}" for name, value in panel["inputs"].items())):
            assert part in description


@pytest.mark.parametrize("word", [*_EIGHT, "COMPASS"])
def test_the_norms_of_layers_spell_the_word(word: str, tmp_path: Path) -> None:
    making.make_3(word, tmp_path)
    assert solving.solve_3(tmp_path) == word


def _chain(folder: Path) -> list[NDArray[np.float32]]:
    """Return the layers in the order in which they fit."""
    with np.load(folder / "03_network.npz", allow_pickle=False) as file:
        layers = list(file.values())
    return sorted(layers, key=lambda weight: making._WIDTHS.index(weight.shape[1]))


@pytest.mark.parametrize("word", _EIGHT)
@pytest.mark.parametrize("law", ["tracy-widom", "edge"])
def test_norms_are_whole_semitones_by_either_law(word: str, law: str, tmp_path: Path) -> None:
    making.make_3(word, tmp_path)
    keys = []
    for weight in _chain(tmp_path):
        assert weight.dtype == np.float32
        n_out, n_in = weight.shape
        expected, _ = gaussian_spectral_norm(n_out, n_in, init_std(n_in, n_out), law)
        keys.append(12 * np.log2(spectral_norm(weight) / expected))
    assert np.abs(np.array(keys) - making.numbers(word)).max() < 0.17


@pytest.mark.parametrize("word", _EIGHT)
def test_the_rule_of_fan_in_is_out_of_tune_where_layers_contract(word: str, tmp_path: Path) -> None:
    making.make_3(word, tmp_path)
    for weight, key in zip(_chain(tmp_path), making.numbers(word), strict=True):
        n_out, n_in = weight.shape
        off = 12 * np.log2(weight.std() * np.sqrt(n_in)) - key
        assert abs(off) < 0.7 if n_out > n_in else off < -1.8


def _stairs(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return the loss, the numbers of directions that it means, and the dimensions."""
    run = json.loads((folder / "04_run.json").read_text(encoding="utf-8"))
    loss = pd.read_csv(folder / "04_training_log.csv")["loss"].to_numpy()
    weight = run["off_diagonal_weight"]
    k = [directions_from_loss(one, run["dim"], weight, normalize=False).directions for one in loss]
    return loss, np.array(k), run["dim"]


def _check_stairs(word: str, folder: Path) -> None:
    assert solving.solve_4(folder) == word
    loss, k, dim = _stairs(folder)
    assert len(loss) == 700
    totals, records = np.unique(np.rint(k), return_counts=True)
    stairs = np.cumsum([0, *making.numbers(word)])
    assert records[np.isin(totals, stairs)].min() >= 40
    assert records[~np.isin(totals, stairs)].max() <= 15
    for stair in stairs[1:]:
        flat = np.rint(k) == stair
        assert abs(np.median(k[flat]) - stair) < 0.01
    # With a weight of 1 the loss would be the number of directions that are left.
    naive = np.array([dim - np.median(loss[np.rint(k) == stair]) for stair in stairs[1:-1]])
    assert (naive - stairs[1:-1]).min() > 1


@pytest.mark.parametrize("word", ["CAB", "FACE"])
def test_the_stairs_of_a_small_model_spell_the_word(word: str, tmp_path: Path) -> None:
    making.make_4(word, tmp_path, dim=24)
    _check_stairs(word, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["TEACHING", "COMPASS"])
def test_the_stairs_of_a_model_spell_the_word(word: str, tmp_path: Path) -> None:
    making.make_4(word, tmp_path)
    _check_stairs(word, tmp_path)


def test_a_word_has_to_fit_into_the_embedding(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="78 directions; expected fewer than 36"):
        making.make_4("ZZZ", tmp_path, dim=36)


@pytest.mark.parametrize("word", [*_EIGHT, "COMPASS"])
def test_the_powers_of_a_tangent_kernel_spell_the_word(word: str, tmp_path: Path) -> None:
    making.make_5(word, tmp_path)
    assert solving.solve_5(tmp_path) == word


def _powers(folder: Path, kernel: Callable[..., NTK | NNGP], w_std: float) -> NDArray[np.float64]:
    log = pd.read_csv(folder / "05_activation.csv")
    assert len(log) == 2401
    activation = CubicSpline(log["z"], log["phi"])
    return kernel(1, activation, w_std=w_std, b_std=0.0, readout_w_std=1.0, readout_b_std=0.0).power_series(
        12
    )


@pytest.mark.parametrize("word", _EIGHT)
def test_only_the_tangent_kernel_at_the_right_variance_has_whole_powers(word: str, tmp_path: Path) -> None:
    making.make_5(word, tmp_path)
    letters = np.zeros(13)
    letters[: len(word)] = making.numbers(word)
    assert np.abs(_powers(tmp_path, NTK, 1.5) - letters).max() < 1e-5
    for kernel, w_std in ((NNGP, 1.5), (NTK, 1.0), (NNGP, 1.0)):
        series = _powers(tmp_path, kernel, w_std)
        assert np.abs(series - np.rint(series)).max() > 0.1
        assert (np.rint(series) != letters).sum() >= 4


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_the_same_word_gives_the_same_files(number: int, tmp_path: Path) -> None:
    written = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        getattr(making, f"make_{number}")("BRICK", folder)
        written.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert written[0] == written[1]
