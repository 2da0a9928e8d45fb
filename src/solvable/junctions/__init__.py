"""Josephson junctions: from a wafer's resistances to qubit frequencies, and the one-lithography junction (PICT).

The chain is `josephson` (resistance to energies), `transmon` (energies to frequencies) and `calibration` (the gap from
measured qubits). `wafer` reports on a table of resistances: `wafer_table` reads and flags, `wafer_statistics` has
spreads, map and biases, `qubit` turns resistances into frequencies, `wafer_words` puts all into words, and `synthetic`
makes a table whose truth is known; `variability` says where the spread comes from. `ageing` forecasts resistances
(`ageing_laws`, `ageing_fit`). `collisions` counts collisions in `lattices` of qubits. `evaporation` simulates shadows,
`recipes` and `recipe_checks` those of whole processes; `process` compares flows of steps, and `layout` and
`wafer_layout` write GDS files. Studies: `study` (the chain), `spread_study`, `shadow_study`, `ageing_study` and
`collision_study`; figures are in `drawing` and `shadow_drawing`. `command` and `command_fabrication` have the commands;
`page` and `explore` are the page.

Units are in the names: energies are frequencies in GHz, lengths in µm, resistances in ohm.
"""

from solvable.junctions import (
    ageing,
    collisions,
    evaporation,
    josephson,
    lattices,
    layout,
    process,
    recipe_checks,
    recipes,
    transmon,
    variability,
    wafer,
    wafer_layout,
)
from solvable.junctions.calibration import GapCalibration, calibrate_gap
from solvable.junctions.collisions import Lattice
from solvable.junctions.drawing import plot_lattice
from solvable.junctions.josephson import (
    bcs_gap,
    charging_energy,
    cold_resistance,
    critical_current,
    josephson_energy,
    josephson_inductance,
)
from solvable.junctions.lattices import falcon27, heavy_hex
from solvable.junctions.shadow_drawing import plot_cross_section, plot_films, plot_process_window

__all__ = [
    "GapCalibration",
    "Lattice",
    "ageing",
    "bcs_gap",
    "calibrate_gap",
    "charging_energy",
    "cold_resistance",
    "collisions",
    "critical_current",
    "evaporation",
    "falcon27",
    "heavy_hex",
    "josephson",
    "josephson_energy",
    "josephson_inductance",
    "lattices",
    "layout",
    "plot_cross_section",
    "plot_films",
    "plot_lattice",
    "plot_process_window",
    "process",
    "recipe_checks",
    "recipes",
    "transmon",
    "variability",
    "wafer",
    "wafer_layout",
]
