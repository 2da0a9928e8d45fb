"""Pulses that jump, that end elsewhere, and errors of the field that are large."""

from dataclasses import replace

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.spins import (
    DonorDevice,
    Pulse,
    crossings,
    gate_filter_functions,
    naive_x90,
    noise_sweep,
    optimise_gate,
    propagator,
    read_gate,
    robust_gate,
    sweep_x90,
    write_gate,
)
from solvable.spins.fidelity import X180, project
from solvable.spins.gates import Gate, calibrated
from solvable.spins.shapes import Joined, Ramp, Windowed

DEVICE = DonorDevice()


@pytest.mark.parametrize("durations", [(3.3, 4.1, 5.7), (10 / 3, 4.0, 5.0), (20 / 7, 13 / 3, 17 / 3)])
def test_joined_pulses_are_the_product_of_the_pieces(durations) -> None:
    parts = [Pulse(t, E_V_per_m=E) for t, E in zip(durations, (0.0, 2000.0, 500.0), strict=True)]
    product = np.eye(8)
    for part in parts:
        product = propagator(DEVICE, part) @ product
    np.testing.assert_allclose(propagator(DEVICE, parts[0] + parts[1] + parts[2]), product, atol=1e-6)


def test_samples_of_a_jump_at_an_odd_time_are_those_of_either_side(tmp_path) -> None:
    pulse = Pulse(10 / 3) + Pulse(4.0, E_V_per_m=2000.0)
    table = pulse.table()
    at = table[np.isclose(table["t_ns"], 10 / 3)]
    assert at["E_V_per_m"].tolist() == [0.0, 2000.0]


@pytest.mark.parametrize("E", [300.0, 1e4, 6e4])
def test_an_offset_of_the_field_is_a_field(E) -> None:
    idle = Pulse(100.0)
    by_offset = project(DEVICE, propagator(DEVICE, idle, E), E)
    by_field = project(DEVICE, propagator(DEVICE, replace(idle, E_V_per_m=E)), E)
    np.testing.assert_allclose(by_offset, by_field, atol=1e-7)
    assert Gate("idle", DEVICE, idle, np.eye(2)).leakage(E) < 1e-8


@pytest.mark.parametrize("E", [0.0, 1000.0, 5000.0])
def test_noise_on_a_parked_qubit_turns_its_phase_and_nothing_else(E) -> None:
    """Low frequencies: (2 pi f' T)^2 / 6 per (V/m)^2, with f' by differences of exact levels."""
    gate = calibrated(Gate("idle", DEVICE, Pulse(200.0, E_V_per_m=E), np.eye(2)))
    f = DEVICE.transitions([E - 1, E + 1]).f_n_MHz.to_numpy()
    expected = (2 * np.pi * 1e6 * (f[1] - f[0]) / 2 * 200e-9) ** 2 / 6
    assert float(gate_filter_functions(gate, [1.0]).infidelity_filter[0]) == pytest.approx(expected, rel=2e-3)
    pink = noise_sweep(gate, 1.0, "pink", f_high_Hz=1e5, n_traces=400)
    assert float(pink.infidelity[0]) == pytest.approx(expected, rel=0.25)


def test_a_gate_whose_field_ends_elsewhere_is_judged_by_the_states_there() -> None:
    """A slow sweep without drives is a rotation about z, if its ends are not mixed up."""
    gate = calibrated(Gate("sweep", DEVICE, Pulse(300.0, E_V_per_m=Ramp(-3000, 6000)), np.eye(2)))
    assert gate.infidelity() < 1e-7
    assert gate.leakage() < 1e-7


def test_two_pulses_that_are_no_whole_number_of_periods_long() -> None:
    naive = naive_x90()
    longer = replace(naive.pulse, duration_ns=naive.duration_ns + 0.3 / naive.pulse.nu_E_GHz)
    for pulse in (longer, naive.pulse.filtered(500.0)):
        one = calibrated(replace(naive, pulse=pulse))
        assert robust_gate(X180, one).infidelity() < 4.5 * one.infidelity()


def test_the_corrected_sweep_is_no_single_pulse(tmp_path) -> None:
    gate = sweep_x90(sigma_V_per_m=0.0)
    for use in (lambda: write_gate(gate, tmp_path / "g.csv"), lambda: robust_gate(X180, gate)):
        with pytest.raises(ValueError, match="needs a Gate that consists of one pulse; got a SweepGate"):
            use()
    for use in (lambda: gate_filter_functions(gate, [1e6]), lambda: noise_sweep(gate, 1.0, "pink")):
        with pytest.raises(ValueError, match="needs a Gate that consists of one pulse; got a SweepGate"):
            use()


@pytest.mark.parametrize("E", [Joined((0.0, 8000.0, 0.0), (5, 10, 5)), Windowed(9000.0, 0.5)])
def test_a_sweep_there_and_back_is_judged_too(E) -> None:
    device = DEVICE if isinstance(E, Joined) else DonorDevice(tunnel_coupling_GHz=4)
    pulse = Pulse(20.0, E_V_per_m=E)
    with pytest.warns(UserWarning, match="stay below|Landau-Zener loss"):
        Gate("there and back", device, pulse, np.eye(2)).infidelity()


@pytest.mark.parametrize("changes", [{"depth_nm": 5}, {"tunnel_coupling_GHz": 90}])
def test_crossings_of_any_device(changes) -> None:
    assert [
        one.what for one in crossings(DonorDevice(**changes), Pulse(100, E_V_per_m=Ramp(-2500, 2500)))
    ] == ["charge"]


def test_an_error_of_the_static_field_is_another_device_with_the_same_drives() -> None:
    gate = naive_x90()
    for error in (2e-5, -5e-5):
        other = replace(gate, device=replace(DEVICE, B0_T=DEVICE.B0_T + error))
        assert gate.infidelity(B0_error_T=error) == pytest.approx(other.infidelity(), rel=1e-9)
    assert gate.infidelity(B0_error_T=5e-5) != pytest.approx(gate.infidelity(B0_error_T=-5e-5), rel=0.01)


def test_a_file_on_another_device_gets_other_rotations(tmp_path) -> None:
    gate = naive_x90()
    write_gate(gate, tmp_path / "g.csv")
    other = read_gate(tmp_path / "g.csv", replace(DEVICE, depth_nm=14.9))
    assert other.infidelity() == pytest.approx(calibrated(other).infidelity(), rel=1e-6)
    assert other.infidelity() < replace(gate, device=other.device).infidelity()


def test_pulses_without_length() -> None:
    assert Pulse(0.0, E_V_per_m=Ramp(5, 10)).controls(np.zeros(1))[0, 0] == 5
    with pytest.raises(ValueError, match="the pulse has no length"):
        Pulse(0.0).table()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: propagator(DEVICE, Pulse(1.0), step_ns=0), "step_ns must be above 0; got 0"),
        (lambda: propagator(DEVICE, Pulse(1.0), step_ns=np.nan), "step_ns must be above 0; got nan"),
        (
            lambda: Pulse(3.0, E_V_per_m=Joined((1.0, 2.0), (1.0,))),
            "one duration for each shape; got 1 for 2",
        ),
        (lambda: optimise_gate(DEVICE, start=3), "start must be a Pulse; got a int"),
        (lambda: noise_sweep(naive_x90(), 1.0, "pink", nodes=5), "nodes are for quasi-static noise"),
        (lambda: noise_sweep(Gate("", DEVICE, Pulse(0.0), np.eye(2)), 1.0, "pink"), "a length above 0 ns"),
    ],
)
def test_bad_input_is_a_sentence(call, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
