"""Generators of the puzzles 1 to 5: each writes the files of a puzzle whose answer is a given word.

No word of the hunt stands here. Seeds, sizes and margins are those of the files that are shipped; `remake.py` makes
these again.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from font import LETTERS
from jinja2 import Environment, FileSystemLoader
from numpy.typing import ArrayLike, NDArray
from scipy.special import eval_gegenbauer

from solvable import junctions, landscapes, overfitting, spectra, stepwise
from solvable.junctions import transmon
from solvable.kernels.duals import HermiteSeries
from solvable.scaling import gaussian_spectral_norm, init_std

# Columns from letter to letter and rows from line to line, in dots.
_ADVANCE, _LINE = 6, 10
_PITCH_MM = 5 / 6
_WIDTHS = (96, 160, 112, 192, 128, 176, 80, 144, 104)
# Each group of directions is slower than the one before by this factor; eight groups take this long.
_SLOWER, _FLOW_TIME = 1.75, 4800.0
_SIGNS = (1, 1, -1, -1)
# Of a drawing on the poster.
_WIDTH, _HEIGHT = 320, 110


def numbers(word: str) -> list[int]:
    """Return the places of letters in the alphabet: A is 1."""
    return [ord(letter) - ord("A") + 1 for letter in word]


def make_1(word: str, folder: Path, seed: int = 20201) -> None:
    """Write a wafer on which the residuals of some junctions spell a word, in two lines."""
    rng = np.random.default_rng(seed)
    i, j = np.meshgrid(np.arange(-5, 5), np.arange(-5, 5))
    centres = 5.0 * np.stack([i.ravel(), j.ravel()], axis=1) + 2.5
    centres = centres[np.argsort(np.hypot(*centres.T), kind="stable")][:44]
    place = (np.arange(6) - 2.5) * _PITCH_MM
    x_um, y_um = (1000 * axis.ravel() for axis in np.meshgrid(place, place))
    x = (centres[:, :1] + x_um / 1000).ravel()
    y = (centres[:, 1:] + y_um / 1000).ravel()
    designs = np.array([[0.2, 0.2], [0.2, 0.14], [0.14, 0.14], [0.28, 0.2]])
    w1, w2 = designs[np.tile((np.arange(36) + np.arange(36) // 6) % 4, 44)].T
    marked = on_letters(word, x, y)
    log_resistance = np.log(320 / (w1 * w2)) + 9e-3 * x - 6e-3 * y + 3.5e-4 * (x**2 + y**2)
    log_resistance += rng.normal(0, 0.01, x.size) + 0.15 * marked
    n_open, n_short = round(0.006 * x.size), round(0.004 * x.size)
    broken = rng.permutation(np.flatnonzero(~marked))[: n_open + n_short]
    log_resistance[broken[:n_open]] += np.log(10) * (1.5 + 2.5 * rng.random(n_open))
    log_resistance[broken[n_open:]] -= np.log(10) * (1.5 + 1.5 * rng.random(n_short))
    table = pd.DataFrame(
        {
            "wafer": "W1",
            "chip": np.repeat([f"C{k + 1:02d}" for k in range(44)], 36),
            "chip_x_mm": np.repeat(centres[:, 0], 36),
            "chip_y_mm": np.repeat(centres[:, 1], 36),
            "junction": np.tile([f"J{k + 1:02d}" for k in range(36)], 44),
            "x_um": np.tile(x_um.round(2), 44),
            "y_um": np.tile(y_um.round(2), 44),
            "w1_um": w1,
            "w2_um": w2,
            "R_ohm": np.exp(log_resistance).round(1),
            "date": "2020-02-01",
        }
    )
    table.iloc[rng.permutation(len(table))].to_csv(folder / "01_wafer.csv", index=False)


def on_letters(word: str, x_mm: ArrayLike, y_mm: ArrayLike) -> NDArray[np.bool_]:
    """Return which places on the wafer are dots of a word, which stands in its middle in two lines.

    Raises:
        ValueError: if a dot has no place.
    """
    columns, rows = (np.rint(np.asarray(place) / _PITCH_MM - 0.5).astype(int) for place in (x_mm, y_mm))
    marked = np.zeros(columns.shape, dtype=bool)
    n_dots = 0
    for line, text in enumerate((word[: len(word) // 2], word[len(word) // 2 :])):
        left = -((_ADVANCE * len(text) - 1) // 2)
        top = (_LINE + 7) // 2 - 1 - _LINE * line
        for k, letter in enumerate(text):
            for down, right in np.argwhere(LETTERS[letter]):
                marked |= (columns == left + _ADVANCE * k + right) & (rows == top - down)
                n_dots += 1
    if marked.sum() < n_dots:
        raise ValueError(f"{word} does not fit on the wafer")
    return marked


def make_2(word: str, folder: Path) -> None:
    """Write a poster of five results whose printed numbers exceed the true ones by as much as each letter says.

    Args:
        word: of five letters.
        folder: where the files go.
    """
    panels = _panels()
    for number, (panel, slip) in enumerate(zip(panels, numbers(word), strict=True), start=1):
        panel["panel"] = number
        panel["printed"] = round(panel.pop("true")) + slip
        panel["claim"] = panel["claim"].format(panel["printed"])
    title = "Five results, no training"
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    poster = templates.get_template("poster.svg.j2")
    svg = poster.render(title=title, panels=panels, width=_WIDTH, height=_HEIGHT)
    (folder / "02_poster.svg").write_text(svg, encoding="utf-8")
    shown = [
        {name: panel[name] for name in ("panel", "wing", "claim", "inputs", "printed")} for panel in panels
    ]
    text = json.dumps({"title": title, "panels": shown}, indent=1, ensure_ascii=False)
    (folder / "02_poster.json").write_text(text + "\n", encoding="utf-8")


def _panels() -> list[dict[str, Any]]:
    """Return what is on each panel: wing, claim, inputs, the true number and its unit, and the shapes of a drawing."""
    EJ = junctions.josephson_energy(junctions.cold_resistance(8332.5, 1.1385), 180e-6)
    EC = junctions.charging_energy(90e-15)
    phase = np.linspace(-np.pi, np.pi, 81)
    potential = [_shape("line", phase, -np.cos(phase), (-np.pi, np.pi), (-1, 1))]
    for level in transmon.energy_levels(EJ, EC) / EJ:
        turning = np.arccos(-level)
        potential.append(_shape("soft", [-turning, turning], [level, level], (-np.pi, np.pi), (-1, 1)))

    classes = landscapes.linear_autoencoder.theory(np.diag(np.arange(1.0, 14.0)), 5)
    sizes = np.bincount([len(one.subset) for one in classes])
    bars = [_shape("soft", [0, 1], [0, 0], (0, 1), (0, 1))] + [
        _shape("bar", i + np.array([0.1, 0.1, 0.9, 0.9]), [0, n, n, 0], (0, len(sizes)), (0, sizes.max()))
        for i, n in enumerate(sizes)
    ]

    angle = np.linspace(0, 2 * np.pi, 181)
    zonal = eval_gegenbauer(4, 3, np.cos(angle)) / eval_gegenbauer(4, 3, 1.0)
    sphere = [
        _shape("soft", angle[[0, -1]], [0, 0], (0, 2 * np.pi), (-0.2, 1)),
        _shape("line", angle, zonal, (0, 2 * np.pi), (-0.2, 1)),
    ]

    log_k = np.linspace(0, np.log(4096), 600)
    stairs = np.exp(np.floor(2.5 * log_k) / 2.5)
    loss = stepwise.plateau_loss(stairs, dim=4096, off_diagonal_weight=0.0078)
    falling = [
        _shape("soft", log_k[[0, -1]], [300, 300], (0, log_k[-1]), (0, 4096)),
        _shape("line", log_k, loss, (0, log_k[-1]), (0, 4096)),
    ]

    tower = spectra.Eigensystem(np.exp(-0.4 * np.arange(200)))
    kappa = spectra.implicit_regularization(tower, 45).log_effective_ridge
    modes = np.arange(91)
    learned = spectra.learnabilities(tower, kappa)[:91]
    slope = [
        _shape("soft", [45, 45], [0, 1], (0, 90), (0, 1)),
        _shape("line", modes, learned, (0, 90), (0, 1)),
    ]
    return [
        {
            "wing": "junctions",
            "claim": "A junction of 8332.5 ohm at room temperature, shunted by 90 fF, makes a qubit of {} MHz.",
            "inputs": {
                "R_room_ohm": 8332.5,
                "cold_ratio": 1.1385,
                "gap_uev": 180,
                "c_shunt_ff": 90,
                "n_g": 0.25,
            },
            "true": 1e3 * float(transmon.f01(EJ, EC, 0.25)),
            "unit": "MHz",
            "shapes": potential,
        },
        {
            "wing": "landscapes",
            "claim": "A linear autoencoder of 13 inputs and 5 hidden units has {} classes of critical points.",
            "inputs": {"inputs": 13, "hidden": 5},
            "true": len(classes),
            "unit": "classes",
            "shapes": bars,
        },
        {
            "wing": "kernels",
            "claim": "On the sphere in 8 dimensions, every kernel of the angle has {} equal eigenvalues at level 4.",
            "inputs": {"ambient_dim": 8, "level": 4},
            "true": float(spectra.hypersphere(np.exp, 8).multiplicities[4]),
            "unit": "equal eigenvalues",
            "shapes": sphere,
        },
        {
            "wing": "stepwise",
            "claim": "At a loss of 300, Barlow Twins with 4096 dimensions has learned at least {} directions.",
            "inputs": {"dim": 4096, "off_diagonal_weight": 0.0078, "loss": 300},
            "true": stepwise.directions_from_loss(300, 4096, 0.0078).directions,
            "unit": "directions",
            "shapes": falling,
        },
        {
            "wing": "overfitting",
            "claim": "Without a ridge, 45 samples turn unit noise into a test error E0 of {}: eigenvalues exp(-0.4 i).",
            "inputs": {"decay": 0.4, "n_train": 45},
            "true": float(overfitting.overfitting_coefficient(tower, 45)),
            "unit": "times the noise",
            "shapes": slope,
        },
    ]


def _shape(
    kind: str, x: ArrayLike, y: ArrayLike, across: tuple[float, float], up: tuple[float, float]
) -> dict[str, str]:
    """Return a polyline in the coordinates of a drawing."""
    right = _WIDTH * (np.asarray(x, dtype=float) - across[0]) / (across[1] - across[0])
    down = _HEIGHT * (up[1] - np.asarray(y, dtype=float)) / (up[1] - up[0])
    return {"kind": kind, "points": " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(right, down, strict=True))}


def make_3(word: str, folder: Path, seed: int = 20192) -> None:
    """Write weights whose spectral norms are too large by as many semitones as each letter says.

    Args:
        word: of at most eight letters.
        folder: where the file goes.
        seed: of the weights and of the order in which they are named.
    """
    rng = np.random.default_rng(seed)
    names = [f"weight_{letter}" for letter in "abcdefgh"[: len(word)]]
    order = rng.permutation(len(word))
    layers = {}
    for semitones, place, n_in, n_out in zip(numbers(word), order, _WIDTHS, _WIDTHS[1:], strict=False):
        weight = rng.normal(size=(n_out, n_in))
        # Between the two formulas that a solver may use.
        mean, edge = (
            gaussian_spectral_norm(n_out, n_in, init_std(n_in, n_out), law)[0]
            for law in ("tracy-widom", "edge")
        )
        weight *= 2 ** (semitones / 12) * np.sqrt(mean * edge) / np.linalg.norm(weight, 2)
        layers[names[place]] = weight.astype(np.float32)
    np.savez(folder / "03_network.npz", **{name: layers[name] for name in names})


def make_4(word: str, folder: Path, seed: int = 20211, dim: int = 96) -> None:
    """Write the loss of a linear model that learns, on each stair, as many directions as a letter says.

    It is gradient flow, integrated. The noise of the loss, 0.05 %, keeps medians of stairs within 0.01 of whole
    numbers. The log counts steps of gradient descent at the learning rate of the run.

    Args:
        word: its numbers add up to less than `dim`.
        folder: where the files go.
        seed: of the initial weights and of the noise of the loss.
        dim: dimensions of the embedding; 96 takes half a minute.
    """
    n = numbers(word)
    if sum(n) >= dim:
        raise ValueError(f"{word} needs {sum(n)} directions; expected fewer than {dim}")
    weight, learning_rate = 0.05, 0.002
    rng = np.random.default_rng(seed)
    gamma = np.repeat(_SLOWER ** -np.arange(float(len(n))), n)
    W0 = 1e-6 * rng.normal(size=(dim, sum(n))) / np.sqrt(sum(n))
    end = _FLOW_TIME * _SLOWER ** (len(n) - 8)
    flow = stepwise.simulate(gamma, W0, until=end, off_diagonal_weight=weight, n_modes=sum(n))
    steps = np.geomspace(500, end / learning_rate, 700).round().astype(int)
    loss = np.interp(steps * learning_rate, flow.times, flow.loss) * rng.normal(1, 5e-4, steps.size)
    table = pd.DataFrame({"step": steps, "loss": loss})
    table.to_csv(folder / "04_training_log.csv", index=False, float_format="%.6g")
    run = {
        "loss": "barlow_twins",
        "normalize": False,
        "dim": dim,
        "off_diagonal_weight": weight,
        "learning_rate": learning_rate,
    }
    (folder / "04_run.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def make_5(word: str, folder: Path) -> None:
    """Write an activation of whose tangent kernel the power series has the letters as coefficients."""
    network = {
        "depth": 1,
        "w_std": 1.5,
        "b_std": 0.0,
        "readout_w_std": 1.0,
        "readout_b_std": 0.0,
        "trained": "all",
        "input_norm": "sqrt(dimension)",
    }
    k = np.arange(len(word))
    # The signs do not change the kernel, and keep the activation small.
    b = np.resize(_SIGNS, len(word)) * np.sqrt(np.array(numbers(word)) / (1 + k))
    z = np.linspace(-12, 12, 2401).round(2)
    phi = HermiteSeries(b, network["w_std"])(z)
    pd.DataFrame({"z": z, "phi": phi}).to_csv(folder / "05_activation.csv", index=False)
    (folder / "05_network.json").write_text(json.dumps(network, indent=1) + "\n", encoding="utf-8")
