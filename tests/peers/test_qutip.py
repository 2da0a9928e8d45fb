"""Levels and propagators of a donor against QuTiP 5.3.1, from `make_qutip_values.py`."""

import json
from pathlib import Path

import numpy as np
import pytest

from cases import representative
from solvable.spins.device import DonorDevice
from solvable.spins.gates import transferred_x90
from solvable.spins.propagation import propagator
from solvable.spins.pulses import Pulse
from solvable.spins.shapes import Ramp
from solvable.spins.sweep import sweep_propagator

PEER = json.loads(Path(__file__).with_name("qutip_5_3_1.json").read_text())
RUNS = ["0", "100", "100, counter-rotating"]
SWEEP_50_NS, SWEEP_1_US = PEER["sweeps"]
PULSE = PEER["robust_pulse"]
# Infidelity of the pulse below which the wing claims it to be, with the counter-rotating part of the drive.
BOUND = 6e-5


def matrix(case: dict) -> np.ndarray:
    return np.array(case["propagator"]) @ [1, 1j]


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference of an element, without the common phase."""
    overlap = np.trace(theirs.conj().T @ ours)
    return float(np.abs(ours * overlap.conj() / abs(overlap) - theirs).max())


def linear(case: dict) -> tuple[DonorDevice, Pulse]:
    start, duration = case["E_start_V_per_m"], case["duration_ns"]
    stop = start + case["rate_V_per_m_ns"] * duration
    device = DonorDevice(tunnel_coupling_GHz=case["tunnel_coupling_GHz"], B0_T=case["B0_T"])
    return device, Pulse(duration, E_V_per_m=Ramp(start, stop))


def test_the_constants_are_the_same() -> None:
    for name, value in PEER["parameters"].items():
        assert getattr(DonorDevice(), name) == pytest.approx(value, rel=1e-14)


def test_levels() -> None:
    for case in PEER["spectra"]:
        device = DonorDevice(tunnel_coupling_GHz=case["tunnel_coupling_GHz"], B0_T=case["B0_T"])
        levels = np.linalg.eigvalsh(device.hamiltonian(case["E_V_per_m"]))
        np.testing.assert_allclose(levels, case["levels_GHz"], rtol=0, atol=1e-8)
        np.testing.assert_allclose(device.spectrum(case["E_V_per_m"]), levels - levels[0], rtol=0, atol=1e-8)


def test_a_sweep_of_50_ns() -> None:
    device, pulse = linear(SWEEP_50_NS)
    theirs = matrix(SWEEP_50_NS)
    # Phases too: nothing common is removed.
    assert np.abs(propagator(device, pulse, step_ns=0.01) - theirs).max() < 1e-8
    found = sweep_propagator(device, pulse, [-100.0, 0.0, 100.0], step_ns=0.01)[1]
    assert np.abs(found - theirs).max() < 1e-8


def test_a_sweep_of_50_ns_with_one_offset() -> None:
    device, pulse = linear(SWEEP_50_NS)
    assert np.abs(sweep_propagator(device, pulse, step_ns=0.01) - matrix(SWEEP_50_NS)).max() < 1e-8


def test_a_sweep_of_1_us() -> None:
    device, pulse = linear(SWEEP_1_US)
    assert np.abs(sweep_propagator(device, pulse, step_ns=0.012) - matrix(SWEEP_1_US)).max() < 1e-6


@pytest.mark.parametrize("run", representative(PULSE["runs"], fast=[PULSE["runs"][2]]), ids=RUNS)
def test_the_robust_pulse(run: dict) -> None:
    gate = transferred_x90(DonorDevice())
    pulse = gate.pulse
    assert (pulse.nu_E_GHz, pulse.nu_B_GHz, pulse.duration_ns) == pytest.approx(
        (PULSE["nu_E_GHz"], PULSE["nu_B_GHz"], PULSE["duration_ns"]), rel=1e-12
    )
    offset, rotating_wave = run["offset_V_per_m"], not run["counter_rotating"]
    ours = propagator(gate.device, pulse, offset, rotating_wave=rotating_wave, step_ns=0.0075)
    states = gate.device.states(offset)[1]
    for n_states, tolerance in ((2, 1e-6), (4, 2e-5)):
        basis = states[:, :n_states]
        assert distance(basis.T @ ours @ basis, basis.T @ matrix(run) @ basis) < tolerance
    # The phase of the excited charge, 20 GHz above, is the last to converge, and no gate depends on it.
    assert distance(ours, matrix(run)) < 1e-4
    infidelity = gate.infidelity(offset, rotating_wave=rotating_wave)
    assert infidelity == pytest.approx(run["infidelity"], abs=1e-6)
    assert infidelity < BOUND
