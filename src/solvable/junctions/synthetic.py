"""A synthetic wafer, whose truth is known, to test an analysis with."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from solvable.checks import generator, numbers, one_number, whole
from solvable.errors import InputError
from solvable.junctions.variability import designs as rectangles

CHIP_MM = 5.0
"""Pitch of the chips."""


class SyntheticWafer(NamedTuple):
    """A table of resistances, and what they were made from."""

    table: pd.DataFrame
    """Columns as in `wafer.read_csv`."""
    truth: dict[str, Any]
    """The arguments, and `flag`, for each row whether it was made open or short."""


def chip_centres(n_chips: int) -> np.ndarray:
    """Return the centres (n, 2) in mm of the chips nearest to the wafer's centre; ties by y, then x.

    >>> chip_centres(4).tolist()
    [[-2.5, -2.5], [2.5, -2.5], [-2.5, 2.5], [2.5, 2.5]]
    """
    side = int(np.ceil(np.sqrt(n_chips))) + 2
    grid = CHIP_MM * (np.arange(-side, side) + 0.5)
    x, y = (one.ravel() for one in np.meshgrid(grid, grid))
    nearest = np.lexsort((x, y, (x**2 + y**2).round(6)))[:n_chips]
    chosen = np.sort(nearest)  # row by row
    return np.stack([x[chosen], y[chosen]], axis=1)


def synthetic_wafer(
    random_state: int | np.random.Generator = 0,
    *,
    n_chips: int = 40,
    per_design: int = 4,
    designs: Any = None,
    rho_ohm_um2: float = 320.0,
    bias1_um: float = -0.010,
    bias2_um: float = -0.030,
    width_sd_um: float = 0.003,
    barrier_um2: float = 1e-5,
    chip_sd: float = 0.02,
    gradient_x_per_mm: float = 2e-3,
    gradient_y_per_mm: float = -1e-3,
    curvature_per_mm2: float = -2e-5,
    probe_sd: float = 0.002,
    open_share: float = 0.005,
    short_share: float = 0.003,
) -> SyntheticWafer:
    r"""Return a wafer of junctions whose widths, barrier, chips and map vary as told.

    Each junction has $A = (w_1 + d_1 + s n_1)(w_2 + d_2 + s n_2)$ and
    $\ln R = \ln(\rho / A) + \text{chip} + \sqrt{b / A_0}\, n_3 + 0.002\, n_4$ with normal $n_i$ and
    $A_0 = (w_1 + d_1)(w_2 + d_2)$; a chip at (x, y) has $0.02 n + g_x x + g_y y + q r^2$. The defaults give 3.0 % on
    chip and 4.1 % over the wafer at 0.2 x 0.2 µm.

    Args:
        random_state: seed, or a generator.
        n_chips: number of chips of 5 mm, those nearest to the centre.
        per_design: junctions of each design on each chip.
        designs: widths (n, 2) in µm; by default the 25 of 0.1, 0.14, 0.2, 0.28 and 0.4 µm from 0.01 to 0.16 µm².
        rho_ohm_um2: resistance times area at room temperature.
        bias1_um: d1, by which the first width differs from the drawn one.
        bias2_um: d2, of the second.
        width_sd_um: s, standard deviation of a width.
        barrier_um2: b, variance of the barrier times area.
        chip_sd: standard deviation of ln R among chips.
        gradient_x_per_mm: g_x.
        gradient_y_per_mm: g_y.
        curvature_per_mm2: q.
        probe_sd: standard deviation of ln R by the probe.
        open_share: share of junctions made open, by a factor of 30 to 10,000.
        short_share: share made short, by 30 to 1000.

    Raises:
        InputError: for values outside of their range.

    >>> table, truth = synthetic_wafer(0)
    >>> len(table), truth["bias1_um"]
    (4000, -0.01)
    """
    rng = generator("random_state", random_state)
    whole("n_chips", n_chips, at_least=1, at_most=10_000)
    whole("per_design", per_design, at_least=1, at_most=10_000)
    for name, value in (
        ("width_sd_um", width_sd_um),
        ("barrier_um2", barrier_um2),
        ("chip_sd", chip_sd),
        ("probe_sd", probe_sd),
    ):
        one_number(name, value, at_least=0)
    for name, value in (("open_share", open_share), ("short_share", short_share)):
        one_number(name, value, at_least=0, at_most=0.5)
    for name, value in (
        ("gradient_x_per_mm", gradient_x_per_mm),
        ("gradient_y_per_mm", gradient_y_per_mm),
        ("curvature_per_mm2", curvature_per_mm2),
    ):
        one_number(name, value)
    rho = one_number("rho_ohm_um2", rho_ohm_um2, above=0)
    pairs = rectangles([0.1, 0.14, 0.2, 0.28, 0.4], 0.01, 0.16)
    if designs is not None:
        pairs = numbers("designs", designs, above=0)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise InputError(f"designs has shape {pairs.shape}; expected (n, 2), the two widths of each")
    biases = np.array([one_number("bias1_um", bias1_um), one_number("bias2_um", bias2_um)])
    if ((pairs + biases) <= 0).any():
        raise InputError(f"the biases leave no width of {pairs.min():g} µm; expected smaller ones")
    truth: dict[str, Any] = {
        "rho_ohm_um2": rho,
        "bias1_um": bias1_um,
        "bias2_um": bias2_um,
        "width_sd_um": width_sd_um,
        "barrier_um2": barrier_um2,
        "chip_sd": chip_sd,
        "gradient_x_per_mm": gradient_x_per_mm,
        "gradient_y_per_mm": gradient_y_per_mm,
        "curvature_per_mm2": curvature_per_mm2,
        "probe_sd": probe_sd,
    }
    centres = chip_centres(n_chips)
    m = len(pairs) * per_design
    n = n_chips * m
    chip = np.repeat(np.arange(n_chips), m)
    drawn = np.tile(np.repeat(pairs, per_design, axis=0), (n_chips, 1))
    widths = drawn + biases + width_sd_um * rng.standard_normal((n, 2))
    # A width that shrinks to nothing makes an open junction; a thousandth of it stands for that.
    widths = np.maximum(widths, 1e-3 * drawn)
    x, y = centres.T
    level = chip_sd * rng.standard_normal(n_chips)
    level += gradient_x_per_mm * x + gradient_y_per_mm * y + curvature_per_mm2 * (x**2 + y**2)
    z = np.log(rho / widths.prod(axis=1)) + level[chip]
    z += np.sqrt(barrier_um2 / (drawn + biases).prod(axis=1)) * rng.standard_normal(n)
    z += probe_sd * rng.standard_normal(n)
    kind = rng.choice(3, size=n, p=[1 - open_share - short_share, open_share, short_share])
    decades = np.select([kind == 1, kind == 2], [rng.uniform(1.5, 4, n), -rng.uniform(1.5, 3, n)], 0.0)
    # On each chip the junctions stand in rows, in random order, so that designs and places are not confounded.
    across = int(np.ceil(np.sqrt(m)))
    place = rng.permuted(np.tile(np.arange(m), (n_chips, 1)), axis=1).ravel()
    pitch = 1e3 * CHIP_MM / (across + 1)
    table = pd.DataFrame(
        {
            "wafer": "synthetic",
            "chip": np.char.add("C", np.char.zfill((chip + 1).astype(str), 2)),
            "chip_x_mm": x[chip],
            "chip_y_mm": y[chip],
            "junction": np.char.add("J", np.char.zfill((place + 1).astype(str), 3)),
            "x_um": (place % across - (across - 1) / 2) * pitch,
            "y_um": (place // across - (across - 1) / 2) * pitch,
            "w1_um": drawn[:, 0],
            "w2_um": drawn[:, 1],
            "R_ohm": np.exp(z) * 10.0**decades,
        }
    )
    truth["flag"] = np.array(["ok", "open", "short"])[kind]
    return SyntheticWafer(table, truth)
