"""Donor nuclear spin qubits in silicon: Hamiltonians with units, fast gates, and what charge noise does to them.

`device` is one donor, with its levels and dipoles, and `pair` two that are coupled; `theory` has the closed forms.
`shapes` and `pulses` are controls in time (`pulse_files` reads them), `propagation` has exact propagators, `fidelity`
turns these into figures of merit, and `adiabatic` says whether the electron follows a sweep. `gates` has the naive
and the robust gates (`robust_pulses` are those shipped), `gate_files` reads and writes them, and `sweep` is the long
sweep. `optimise` finds pulses, with `effective` (a model of four levels) and `scenarios` (the errors to withstand).
`noise` averages over quasi-static and 1/f noise (`pieces` has propagators along traces), and `filter_functions` says
at which frequencies it hurts. `two_qubit` is the gate of a pair and `two_qubit_noise` what noise does to it. `bloch`
has paths on the Bloch sphere, `drawing` the figures. Studies: `study` (slow noise), `noise_study` (slow and fast) and
`two_qubit_study`. `command` has the commands; `page` and `explore` are the page.

Units are in the names: H/h in GHz, times in ns, fields in V/m and T. Every gate is our own, after the idea of Simon et
al. (2020), of which only the abstract was used.
"""

from solvable.spins import bloch, fidelity, filter_functions, shapes, sweep, theory
from solvable.spins.adiabatic import adiabaticity, crossings
from solvable.spins.device import DonorDevice
from solvable.spins.drawing import draw_levels
from solvable.spins.filter_functions import gate_filter_functions
from solvable.spins.gate_files import read_gate, write_gate
from solvable.spins.gates import Gate, calibrated, naive_x90, robust_gate, robust_x90
from solvable.spins.noise import NoiseCurve, largest_sigma, noise_sweep, pink_noise
from solvable.spins.optimise import Optimised, optimise_gate
from solvable.spins.pair import DonorPair
from solvable.spins.propagation import propagator
from solvable.spins.pulse_files import read_pulse
from solvable.spins.pulses import Pulse
from solvable.spins.sweep import sweep_x90
from solvable.spins.two_qubit import TwoQubitGate, two_qubit_gate
from solvable.spins.two_qubit_noise import noise_table

__all__ = [
    "DonorDevice",
    "DonorPair",
    "Gate",
    "NoiseCurve",
    "Optimised",
    "Pulse",
    "TwoQubitGate",
    "adiabaticity",
    "bloch",
    "calibrated",
    "crossings",
    "draw_levels",
    "fidelity",
    "filter_functions",
    "gate_filter_functions",
    "largest_sigma",
    "naive_x90",
    "noise_sweep",
    "noise_table",
    "optimise_gate",
    "pink_noise",
    "propagator",
    "read_gate",
    "read_pulse",
    "robust_gate",
    "robust_x90",
    "shapes",
    "sweep",
    "sweep_x90",
    "theory",
    "two_qubit_gate",
    "write_gate",
]
