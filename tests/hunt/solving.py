"""How the puzzles 1 to 5 are solved: each function reads a puzzle's files from a folder and returns the word.

No answer stands here. Each is what a solver would type, by the calls of the wing.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from font import LETTERS
from scipy.interpolate import CubicSpline

from solvable import overfitting, spectra, stepwise
from solvable.junctions import charging_energy, cold_resistance, josephson_energy, transmon, wafer
from solvable.kernels import NTK
from solvable.landscapes import linear_autoencoder
from solvable.scaling import gaussian_spectral_norm, init_std

# A plateau has many more records than a stretch between two of them.
_PLATEAU = 20


def letter(number: float) -> str:
    """Return the letter at a place in the alphabet: 1 is A."""
    return chr(ord("A") - 1 + round(number))


def solve_1(folder: Path) -> str:
    """Map the junctions that stand out after design and trend, and read the letters."""
    rows = wafer.report(wafer.read_csv(folder / "01_wafer.csv")).text_map().splitlines()
    columns = max(map(len, rows))
    dots = np.pad([[mark == "#" for mark in row.ljust(columns)] for row in rows], 1)
    # A letter is 7 x 5 dots with nothing around it; but a junction or two may stand out beside the letters.
    windows = np.lib.stride_tricks.sliding_window_view(dots, (9, 7))
    alike = {name: (windows == np.pad(glyph, 1)).sum(axis=(2, 3)) for name, glyph in LETTERS.items()}
    places = np.argwhere(np.max(list(alike.values()), axis=0) >= 9 * 7 - 2)
    return "".join(max(LETTERS, key=lambda name: alike[name][row, column]) for row, column in places)


def solve_2(folder: Path) -> str:
    """Compute each number of the poster again, and take the printed one less the true one."""
    panels = json.loads((folder / "02_poster.json").read_text(encoding="utf-8"))["panels"]
    one, two, three, four, five = (panel["inputs"] for panel in panels)
    EJ = josephson_energy(cold_resistance(one["R_room_ohm"], one["cold_ratio"]), 1e-6 * one["gap_uev"])
    EC = charging_energy(1e-15 * one["c_shunt_ff"])
    covariance = np.diag(np.arange(1.0, 1 + two["inputs"]))
    tower = spectra.Eigensystem(np.exp(-five["decay"] * np.arange(10 * five["n_train"])))
    true = (
        1e3 * transmon.f01(EJ, EC, one["n_g"]),
        len(linear_autoencoder.theory(covariance, two["hidden"])),
        spectra.hypersphere(np.exp, three["ambient_dim"]).multiplicities[three["level"]],
        stepwise.directions_from_loss(four["loss"], four["dim"], four["off_diagonal_weight"]).directions,
        overfitting.overfitting_coefficient(tower, five["n_train"]),
    )
    return "".join(
        letter(panel["printed"] - float(number)) for panel, number in zip(panels, true, strict=True)
    )


def solve_3(folder: Path) -> str:
    """Chain the layers by their shapes, and read how many semitones each spectral norm is too large."""
    with np.load(folder / "03_network.npz") as file:
        layer_of = {weight.shape[1]: weight for weight in file.values()}
    (width,) = set(layer_of) - {weight.shape[0] for weight in layer_of.values()}
    word = ""
    while width in layer_of:
        weight = layer_of[width]
        n_out, n_in = weight.shape
        expected, _ = gaussian_spectral_norm(n_out, n_in, init_std(n_in, n_out))
        word += letter(12 * np.log2(np.linalg.norm(weight, 2) / expected))
        width = n_out
    return word


def solve_4(folder: Path) -> str:
    """Turn the loss into the number of learned directions, and read how many each stair adds."""
    run = json.loads((folder / "04_run.json").read_text(encoding="utf-8"))
    log = pd.read_csv(folder / "04_training_log.csv")
    k = [
        stepwise.directions_from_loss(
            loss, run["dim"], run["off_diagonal_weight"], normalize=run["normalize"]
        ).directions
        for loss in log["loss"]
    ]
    totals, records = np.unique(np.rint(k), return_counts=True)
    return "".join(letter(new) for new in np.diff(totals[records >= _PLATEAU]))


def solve_5(folder: Path) -> str:
    """Expand the tangent kernel of the network in powers of the cosine, and read the coefficients."""
    network = json.loads((folder / "05_network.json").read_text(encoding="utf-8"))
    log = pd.read_csv(folder / "05_activation.csv")
    stds = {name: network[name] for name in ("w_std", "b_std", "readout_w_std", "readout_b_std")}
    kernel = NTK(network["depth"], CubicSpline(log["z"], log["phi"]), **stds)
    powers = np.rint(kernel.power_series(12))
    return "".join(letter(power) for power in np.trim_zeros(powers, "b"))
