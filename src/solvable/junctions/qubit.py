"""What turns the resistances of a wafer into frequencies, and into elements of circuit simulators."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import one_number
from solvable.junctions import transmon
from solvable.junctions.josephson import (
    COLD_RATIO,
    ALUMINIUM_GAP_eV,
    charging_energy,
    josephson_energy,
    josephson_inductance,
    junction_capacitance,
)
from solvable.junctions.wafer_statistics import Z95, WidthBias

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Qubit:
    """What turns resistances into frequencies.

    Attributes:
        shunt_fF: capacitance of the qubit without its junction.
        junction_fF_per_um2: capacitance of the junction per area; 45 to 75 are quoted for aluminium oxide. It raises
            the capacitance of a qubit with a large junction.
        gap_eV: gap of both electrodes.
        gap_sd_eV: its standard error: all frequencies shift together.
        cold_ratio: R_n when cold over R at room temperature; only the gap over this ratio matters.
        ng: offset charge.
    """

    shunt_fF: float = 78.0
    junction_fF_per_um2: float = 50.0
    gap_eV: float = ALUMINIUM_GAP_eV
    gap_sd_eV: float = 5e-6
    cold_ratio: float = COLD_RATIO
    ng: float = 0.25

    def __post_init__(self) -> None:
        for name in ("shunt_fF", "gap_eV", "cold_ratio"):
            one_number(name, getattr(self, name), above=0)
        for name in ("junction_fF_per_um2", "gap_sd_eV"):
            one_number(name, getattr(self, name), at_least=0)
        one_number("ng", self.ng)

    def EC_GHz(self, area_um2: ArrayLike) -> Array:
        """Return the charging energy with junctions of these areas."""
        C = 1e-15 * self.shunt_fF + junction_capacitance(area_um2, self.junction_fF_per_um2)
        return charging_energy(C)

    def frequencies(self, R_ohm: Array, area_um2: ArrayLike) -> tuple[Array, Array]:
        """Return frequency in GHz and sensitivity S of resistances at room temperature and areas."""
        EJ = josephson_energy(self.cold_ratio * R_ohm, self.gap_eV)
        return transmon.frequency_and_sensitivity(EJ, self.EC_GHz(area_um2), self.ng)


def effective_area(drawn_um: Array, widths: WidthBias | None) -> Array:
    """Return the areas of junctions of drawn widths (n, 2), after the biases if they are known."""
    bias = (0.0, 0.0) if widths is None else (widths.bias1_um, widths.bias2_um)
    return np.maximum(drawn_um + bias, 1e-4).prod(axis=1)


def predicted_frequencies(
    R: Array, area: Array, usable: NDArray, qubit: Qubit
) -> tuple[Array, Array, Array, list[str]]:
    """Return the frequencies of good junctions, their 95 % interval by the error of the gap, and notes."""
    f01, S = np.full(len(R), np.nan), np.full(len(R), np.nan)
    f01[usable], S[usable] = qubit.frequencies(R[usable], area[usable])
    reach = S * Z95 * qubit.gap_sd_eV / qubit.gap_eV
    ratio = josephson_energy(qubit.cold_ratio * R[usable], qubit.gap_eV) / qubit.EC_GHz(area[usable])
    notes = []
    if (few := int((ratio < 5).sum())) > 0:
        notes.append(
            f"{few} junctions have E_J / E_C below 5 with {qubit.shunt_fF:g} fF: their frequencies depend on the "
            "offset charge, and they are no transmons"
        )
    return f01, f01 * np.exp(-reach), f01 * np.exp(reach), notes


def lumped(R: Array, f01: Array, area: Array, qubit: Qubit) -> tuple[Array, Array]:
    """Return inductance and capacitance of the junctions, NaN where there is no frequency."""
    known = np.isfinite(f01)
    inductance, capacitance = np.full((2, len(R)), np.nan)
    inductance[known] = josephson_inductance(josephson_energy(qubit.cold_ratio * R[known], qubit.gap_eV))
    capacitance[known] = 1e15 * junction_capacitance(area[known], qubit.junction_fF_per_um2)
    return inductance, capacitance
