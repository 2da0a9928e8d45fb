"""Filter functions against closed forms, another program, noise of one frequency by brute force, and 1/f noise."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import block_diag, expm

from solvable.errors import InputError
from solvable.spins.device import DonorDevice
from solvable.spins.fidelity import average_gate_fidelity, leakage
from solvable.spins.filter_functions import expected_infidelity, filter_functions, gate_filter_functions
from solvable.spins.gates import Gate, robust_x90
from solvable.spins.noise import NoiseCurve, PinkNoise
from solvable.spins.pieces import PulsePieces
from solvable.spins.pulses import Pulse

PEER = json.loads((Path(__file__).parents[1] / "peers" / "filter_functions_1_2_3.json").read_text())
CONSTANT = [case for case in PEER["cases"] if set(case["sensitivity"]) == {1.0}]
HALF_Z = np.diag([0.5, -0.5])
X = np.array([[0, 1], [1, 0]])


def test_an_idle_qubit_has_the_filter_of_ramsey():
    T, f = 1000.0, np.array([0.0, 2e5, 1e6, 3.3e6])
    found = filter_functions(np.zeros((3, 2, 2)), [200.0, 500.0, 300.0], HALF_Z, f)
    np.testing.assert_allclose(
        found.infidelity_filter, (2 * np.pi * T * np.sinc(1e-9 * f * T)) ** 2 / 6, atol=1e-3
    )
    np.testing.assert_allclose(found.leakage_filter, 0, atol=1e-6)


def test_white_noise_dephases_an_idle_qubit_at_the_known_rate():
    T, S = 100.0, 1e-12  # S in (GHz)^2 / Hz, one-sided: the variance of the phase is (2 pi)^2 S T / 2
    f = np.linspace(0, 40e9, 400_001)
    found = filter_functions([np.zeros((2, 2))], T, HALF_Z, f)
    infidelity = S * np.trapezoid(found.infidelity_filter, f)
    variance = (2 * np.pi) ** 2 * S * 1e9 * T / 2
    # Dephasing by a phase of this variance: (1 - exp(-variance / 2)) / 3.
    assert infidelity == pytest.approx(variance / 6, rel=1e-3)


def test_an_echo_has_its_filter():
    T, short = 1000.0, 1e-6
    f = np.array([1e4, 3e5, 1e6, 1.7e6])
    pieces = np.stack([np.zeros((2, 2)), X / (4 * short), np.zeros((2, 2))])
    found = filter_functions(pieces, [T / 2, short, T / 2], HALF_Z, f)
    g = 1e-9 * f
    expected = (2 * np.pi) ** 2 / 6 * 4 * np.sin(np.pi * g * T / 2) ** 4 / (np.pi * g) ** 2
    np.testing.assert_allclose(found.infidelity_filter, expected, rtol=1e-5, atol=1e-3)


def test_filters_are_what_noise_of_one_frequency_does_to_three_levels():
    rng = np.random.default_rng(7)

    def hermitian(n):
        a = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))
        return (a + a.conj().T) / 2

    # The control keeps the two states of the gate; the noise does not.
    H = np.zeros((3, 3, 3), dtype=np.complex128)
    for one in H:
        one[:] = 0.1 * block_diag(hermitian(2), hermitian(1))
    B, dt, steps, size, f = 0.1 * hermitian(3), 4.0, 400, 2e-3, 0.07
    found = filter_functions(H, dt, B, [1e9 * f], n_states=2)
    infidelity = leak = 0.0
    ideal = np.eye(3)
    for h in H:
        ideal = expm(-2j * np.pi * dt * h) @ ideal
    for phase in np.pi * np.arange(4) / 2:
        U = np.eye(3, dtype=np.complex128)
        for k in range(3 * steps):
            noise = np.sqrt(2) * size * np.cos(2 * np.pi * f * (k + 0.5) * dt / steps + phase)
            U = expm(-2j * np.pi * dt / steps * (H[k // steps] + noise * B)) @ U
        M = U[:2, :2]
        infidelity += (1 - average_gate_fidelity(M, ideal[:2, :2])) / 4
        leak += leakage(M) / 4
    assert infidelity / size**2 == pytest.approx(float(found.infidelity_filter[0]), rel=1e-3)
    assert leak / size**2 == pytest.approx(float(found.leakage_filter[0]), rel=1e-3)


def test_an_idle_donor_has_the_filter_of_its_frequency_slope():
    device = DonorDevice.preset("sweep")
    f = np.array([0.0, 3e6, 2e7])
    found = gate_filter_functions(Gate("idle", device, Pulse(60.0), np.eye(2, dtype=np.complex128)), f)
    slope = 1e-6 * float(device.frequency_slope_kHz_per_V_per_m(0.0))
    expected = (2 * np.pi * slope * 60.0 * np.sinc(1e-9 * f * 60.0)) ** 2 / 6
    np.testing.assert_allclose(found.infidelity_filter, expected, rtol=5e-3)


@pytest.mark.parametrize("case", CONSTANT, ids=lambda case: case["name"])
def test_filters_are_those_of_another_program(case):
    operators, B = (np.array(case[name]) @ [1, 1j] for name in ("operators", "noise_operator"))
    H = np.einsum("ck,cij->kij", case["coefficients"], operators)  # rad/us, as is B
    f, dt = np.array(PEER["omega_rad_per_us"]) * 1e6 / (2 * np.pi), 1e3 * np.array(case["dt_us"])
    found = filter_functions(H / (2e3 * np.pi), dt, B / (2e3 * np.pi), f).infidelity_filter
    theirs = np.array(case["filter_function"])
    np.testing.assert_allclose(found * (len(B) + 1), theirs, rtol=1e-8, atol=1e-10 * theirs.max())


def test_expected_infidelity_is_the_integral_over_the_spectrum():
    f = np.geomspace(1e2, 1e8, 3000)
    flat = filter_functions([np.zeros((2, 2))], 1000.0, HALF_Z, f)
    found = expected_infidelity(flat, [1e-9, 2e-9], 1.0, 1e8)
    x = np.geomspace(1.0, 1e8, 400_001)
    F = (2 * np.pi * 1000 * np.sinc(1e-6 * x)) ** 2 / 6
    assert found[0] == pytest.approx(1e-18 * np.trapezoid(F / x, x) / np.log(1e8), rel=1e-3)
    assert found[1] == pytest.approx(4 * found[0])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: filter_functions(np.eye(2), 1.0, HALF_Z, [0.0]),
            r"hamiltonians_GHz must be of shape \(n, D, D\)",
        ),
        (lambda: filter_functions([X], 1.0, [[0, 1], [0, 0]], [0.0]), "noise_operator_GHz must be Hermitian"),
        (lambda: filter_functions([X], [1.0, 2.0], HALF_Z, [0.0]), "dt_ns one number or 1"),
        (lambda: filter_functions([X], 1.0, HALF_Z, [-1.0]), "frequencies_Hz"),
        (lambda: filter_functions([X], 1.0, HALF_Z, [0.0], n_states=3), "n_states"),
        (
            lambda: expected_infidelity(filter_functions([X], 1.0, HALF_Z, [1.0, 1e6]), 1.0, 1.0, 1e7),
            "within the filter's grid",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()


@pytest.mark.slow
def test_filter_of_the_robust_gate_predicts_weak_pink_noise():
    gate = robust_x90()
    pieces = PulsePieces(gate.device, gate.pulse, 30.0)
    without = float(NoiseCurve(gate, 0.0, pieces).means(0.0)[0])
    filters = gate_filter_functions(gate, np.geomspace(1e3, 1e8, 400), pieces)
    for f_high in (1e6, 1e7):
        mean, _, error = PinkNoise(gate, 5.0, f_high_Hz=f_high, n_traces=1000, pieces=pieces).means(5.0)
        assert abs(mean - without - expected_infidelity(filters, 5.0, 1.0, f_high)) < 4 * error
        assert error < 0.05 * (mean - without)
    # Slow noise is refocused, noise near one over the duration is not.
    assert float(filters.infidelity_filter[0]) < 1e-3 * float(filters.infidelity_filter.max())
