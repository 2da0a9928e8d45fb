"""The long sweep: an error of the field as an error of time, a flat flip probability, and its correction."""

import numpy as np
import pytest

from cases import representative
from solvable.errors import InputError
from solvable.spins.device import DonorDevice
from solvable.spins.fidelity import X90, average_gate_fidelity, leakage, virtual_z
from solvable.spins.propagation import propagator
from solvable.spins.pulses import Pulse
from solvable.spins.shapes import Ramp, SmoothSweep
from solvable.spins.sweep import SweepCurve, SweepGate, long_sweep, sweep_propagator, sweep_x90

DEVICE = DonorDevice.preset("sweep")
OFFSETS = np.linspace(-300, 300, 1000)
# Each with the offsets at which it is compared.
SWEEPS = [
    (Pulse(1000.0, E_V_per_m=Ramp(-5e3, 5e3)), (0, 700)),
    (Pulse(200.0, E_V_per_m=Ramp(1e3, -1e3), nu_B_GHz=5.5), (0, 999)),
    (Pulse(20.0, E_V_per_m=Ramp(-5e3, 5e3)), (333, 998)),
]


@pytest.fixture(scope="module")
def curve() -> SweepCurve:
    return SweepCurve()


@pytest.mark.parametrize(
    ("sweep", "k"),
    representative(SWEEPS, fast=SWEEPS[1:]),
    ids=["1 µs", "backward", "20 ns"],
)
def test_an_offset_is_a_shift_in_time(sweep: Pulse, k: tuple) -> None:
    U = sweep_propagator(DEVICE, sweep, OFFSETS)
    assert U.shape == (1000, 8, 8)
    for i in k:
        direct = propagator(DEVICE, sweep, OFFSETS[i], step_ns=0.005)
        assert np.abs(U[i] - direct).max() < 1e-6


def test_offsets_in_any_shape_and_order() -> None:
    sweep = Pulse(50.0, E_V_per_m=Ramp(-500, 500))
    offsets = np.array([[120.0, -300.0], [0.0, 120.0]])
    U = sweep_propagator(DEVICE, sweep, offsets)
    assert U.shape == (2, 2, 8, 8)
    np.testing.assert_array_equal(U[0, 0], U[1, 1])
    np.testing.assert_allclose(U, propagator(DEVICE, sweep, offsets, step_ns=0.005), atol=1e-6)


def test_offsets_beyond_the_sweep_are_computed_directly() -> None:
    sweep = Pulse(5.0, E_V_per_m=Ramp(-100, 100))
    offsets = [-300.0, 300.0]  # 15 ns apart, thrice the sweep
    np.testing.assert_allclose(
        sweep_propagator(DEVICE, sweep, offsets), propagator(DEVICE, sweep, offsets, step_ns=0.005), atol=1e-6
    )


def test_the_flip_probability_does_not_feel_the_offset() -> None:
    gate = SweepGate("", DEVICE, long_sweep(), X90)
    M = gate.propagators([-150.0, 0.0, 110.0])
    flips = np.abs(M[:, 1, 0]) ** 2
    assert flips[1] == pytest.approx(0.467, abs=1e-3)
    assert np.ptp(flips) < 3e-3
    assert leakage(M).max() < 1e-6


@pytest.mark.slow
def test_the_corrected_sweep_stands_noise_and_the_sweep_alone_does_not(curve: SweepCurve) -> None:
    for sigma, bound in ((30.0, 1e-3), (100.0, 6e-3)):
        alone, corrected = curve.mean_infidelities(sigma)
        assert corrected < bound
        assert alone > 50 * corrected


@pytest.mark.slow
def test_the_curve_is_that_of_the_gates(curve: SweepCurve) -> None:
    offsets = np.array([-200.0, 111.0])
    gates = (sweep_x90(corrected=False), sweep_x90())
    for M, gate in zip(curve.propagators(offsets), gates, strict=True):
        found = 1 - average_gate_fidelity(virtual_z(gate.before, M, gate.after), X90)
        np.testing.assert_allclose(found, gate.infidelity(offsets), atol=4e-4)
    assert [gate.duration_ns for gate in gates] == [3000.0, 5840.0]


@pytest.mark.parametrize(
    "sweep",
    [
        Pulse(100.0, E_V_per_m=SmoothSweep(-500, 500)),
        Pulse(100.0, E_V_per_m=50.0),
        Pulse(100.0, E_V_per_m=Ramp(50, 50)),
        Pulse(0.0, E_V_per_m=Ramp(-500, 500)),
        Pulse(100.0, E_V_per_m=Ramp(-500, 500), E_c_V_per_m=1.0, nu_E_GHz=5.6),
    ],
)
def test_other_pulses_are_refused(sweep: Pulse) -> None:
    with pytest.raises(
        InputError, match="sweep must be a pulse whose E_V_per_m is a Ramp, without drives; use"
    ):
        sweep_propagator(DEVICE, sweep, 10.0)


def test_bad_offsets_are_refused() -> None:
    with pytest.raises(InputError, match="offset_V_per_m"):
        sweep_propagator(DEVICE, Pulse(100.0, E_V_per_m=Ramp(-500, 500)), [0.0, np.nan])
