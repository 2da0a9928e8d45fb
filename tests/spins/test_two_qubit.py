"""The two-qubit gate: values of another program, integration without the library's steps, noise and echoes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.optimize import minimize

from solvable.errors import InputError
from solvable.spins import two_qubit
from solvable.spins.device import DonorDevice
from solvable.spins.pair import DonorPair
from solvable.spins.two_qubit import TwoQubitGate, fsim, infidelities, two_qubit_gate
from solvable.spins.two_qubit_noise import first_order_infidelity, noise_table

PEER = Path(__file__).parents[1] / "peers" / "qutip_5_3_1.json"


def pair(tunnel_coupling_GHz: float, distance_nm: float) -> DonorPair:
    device = DonorDevice(tunnel_coupling_GHz=tunnel_coupling_GHz)
    return DonorPair(device, device, distance_nm)


@pytest.fixture(scope="module")
def gate() -> TwoQubitGate:
    return two_qubit_gate()


@pytest.fixture(scope="module")
def echoes(gate: TwoQubitGate) -> list[TwoQubitGate]:
    return [gate, gate.echoed(2), gate.echoed(4), gate.echoed(8, "concatenated")]


def raw(gate: TwoQubitGate, a: float, b: float) -> np.ndarray:
    """Return a segment without rotations about z."""
    ramped = two_qubit._ramped(gate, np.array([a]), np.array([b]))
    return two_qubit._segment(ramped, gate.hold_ns)[0]


def test_it_agrees_with_qutip(gate: TwoQubitGate) -> None:
    peer = json.loads(PEER.read_text(encoding="utf-8"))["two_qubits"]
    assert_allclose(gate.nu_B_GHz, peer["nu_B_GHz"], atol=1e-9)
    assert_allclose(gate.pair.dipole_coupling_GHz, peer["g_dd_GHz"], rtol=1e-9)
    one = replace(gate, hold_ns=peer["hold_ns"])
    E = gate.pair.symmetric_field_V_per_m
    signs = np.sign((gate.pair.states(E, E)[1] * np.array(peer["basis"])).sum(0))
    theirs = np.array(peer["projected"]) @ [1, 1j] * np.outer(signs, signs)
    mine = raw(one, 0.0, 0.0)
    overlap = np.vdot(theirs, mine)
    # Frequencies are rounded to 1e-9 GHz in the peer: phases of 1e-5 in 2000 ns.
    assert np.abs(mine * np.exp(-1j * np.angle(overlap)) - theirs).max() < 5e-4
    assert_allclose(one.infidelity(), peer["infidelity"], atol=5e-7)
    assert_allclose(one.phi, peer["phi"], atol=1e-3)


def test_it_agrees_with_an_integration_of_all_levels() -> None:
    # Unequal offsets, short ramps and a strong drive, so that the ramps are far from adiabatic.
    gate = TwoQubitGate(DonorPair(), 20.0, 10.0, 2e-3, 30.0)
    a, b = 3.0, -40.0
    pair, total = gate.pair, 50.0
    E = pair.symmetric_field_V_per_m
    H = pair.hamiltonian(E + a, E + b, frame_GHz=gate.nu_B_GHz).real
    drive = pair.per_tesla[0].real
    start = pair.states(E + a, E + b)[1]
    # Energies are taken relative to those of the bunches, so that the integrator need not follow them.
    levels, vectors = np.linalg.eigh(H)
    V, c = vectors.T @ drive @ vectors, vectors.T @ start

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        edge = min(t, total - t, 20.0)
        B = 2e-3 * np.sin(np.pi * edge / 40.0) ** 2
        phases = np.exp(2j * np.pi * levels * t)[:, None]
        psi = y.reshape(64, 4)
        return (-2j * np.pi * B * phases * (V @ (phases.conj() * psi))).ravel()

    done = solve_ivp(
        rate, (0, total), c.astype(complex).ravel(), method="DOP853", rtol=1e-8, atol=1e-9, max_step=0.2
    )
    final = np.exp(-2j * np.pi * levels * total)[:, None] * done.y[:, -1].reshape(64, 4)
    assert np.abs(raw(gate, a, b) - c.T @ final).max() < 2e-4


def test_without_noise_it_is_the_target(gate: TwoQubitGate) -> None:
    assert gate.infidelity() < 1e-5
    assert gate.leakage < 1e-5
    assert_allclose(gate.phi, 0.25524, atol=2e-3)
    assert_allclose(gate.duration_ns, 2173, atol=10)
    assert_allclose(gate.exchange_kHz, 62.80, atol=0.01)
    assert_allclose(gate.target.conj().T @ gate.target, np.eye(4), atol=1e-12)
    longer = two_qubit_gate(ramp_ns=300)
    assert longer.infidelity() < 1e-6


def test_no_other_rotations_about_z_and_no_other_phi_are_better(gate: TwoQubitGate) -> None:
    M = raw(gate, 0.0, 0.0)

    def loss(x: np.ndarray) -> float:
        before, after = (np.kron([1, np.exp(1j * p)], [1, np.exp(1j * q)]) for p, q in (x[:2], x[2:4]))
        U = after[:, None] * M * before
        return float(1 - (abs(np.vdot(fsim(np.pi / 4, x[4]), U)) ** 2 + np.vdot(U, U).real) / 20)

    rng = np.random.default_rng(0)
    best = min(minimize(loss, rng.uniform(0, 2 * np.pi, 5), tol=1e-14).fun for _ in range(4))
    assert_allclose(gate.infidelity(), best, atol=1e-8)


@pytest.mark.parametrize(
    ("tunnel_coupling_GHz", "distance_nm", "B_x_T", "J_kHz"),
    [(5.84124, 200, 3e-4, 113.6), (5.64133, 385, 2e-4, 22.6)],
)
def test_other_pairs(tunnel_coupling_GHz: float, distance_nm: float, B_x_T: float, J_kHz: float) -> None:
    gate = two_qubit_gate(pair(tunnel_coupling_GHz, distance_nm), B_x_T=B_x_T)
    assert gate.infidelity() < 3e-5
    assert_allclose(gate.exchange_kHz, J_kHz, atol=0.05)


def test_a_coupling_of_the_other_sign() -> None:
    # Below the sum of flip-flop frequency and dipole coupling.
    gate = two_qubit_gate(DonorPair(distance_nm=200))
    assert gate.exchange_kHz < -50
    assert gate.infidelity() < 1e-5
    assert gate.echoed(4).infidelity() < 1e-4


def test_means_over_noise(gate: TwoQubitGate, echoes: list[TwoQubitGate]) -> None:
    sigma = [0.3, 1.0, 10.0]
    found = noise_table(echoes[:3], sigma, nodes=5)
    assert dict(found.sizes) == {"gate": 3, "sigma_V_per_m": 3}
    assert_allclose(found.infidelity[0], [2.0e-3, 2.2e-2, 0.558], rtol=0.06)
    assert_allclose(found.infidelity[1, 1:], [2.1e-3, 0.12], rtol=0.06)
    assert_allclose(found.infidelity[2, 1:], [6.9e-4, 5.5e-2], rtol=0.06)
    correlated = noise_table(gate, [1.0, 10.0], correlated=True, nodes=5)
    assert_allclose(correlated.infidelity, [2.4e-2, 0.36], rtol=0.06)
    converged = noise_table(gate, [0.0, 10.0], nodes=9)
    assert_allclose(converged.infidelity[1], 0.584, atol=0.003)
    assert_allclose(converged.infidelity[0], gate.infidelity(), rtol=1e-9)


def test_quadrature_agrees_with_random_draws(echoes: list[TwoQubitGate]) -> None:
    draws = 2.0 * np.random.default_rng(3).standard_normal((2, 60))
    values = infidelities(echoes, *draws)
    mean, error = values.mean(-1), values.std(-1) / np.sqrt(60)
    assert np.all(np.abs(mean - noise_table(echoes, 2.0).infidelity[:, 0]) < 3.5 * error)


def test_first_order_in_the_variance(echoes: list[TwoQubitGate]) -> None:
    found = noise_table(echoes[:3], 0.3).infidelity[:, 0] - infidelities(echoes[:3])
    expected = [first_order_infidelity(one, 0.3) for one in echoes[:3]]
    # The rate of the swap is not constant in the ramps, which the closed form leaves out.
    assert_allclose(found, expected, rtol=0.08)


def test_concatenated_echoes_have_fewer_pulses_and_stand_more_noise(echoes: list[TwoQubitGate]) -> None:
    quiet = two_qubit_gate(B_x_T=1e-3, detuning_MHz=50, ramp_ns=80).echoed(8, "concatenated")
    assert (echoes[2].n_pulses, echoes[3].n_pulses, quiet.n_pulses) == (4, 6, 6)
    assert echoes[3].signs == (1, -1, -1, 1, -1, 1, 1, -1)
    ten = noise_table(echoes[2:], 10.0, nodes=7).infidelity[:, 0]
    assert ten[1] < ten[0] / 10
    assert noise_table(quiet, 10.0, nodes=5).infidelity[0] < 6e-4
    assert noise_table(quiet, 10.0, True, nodes=5).infidelity[0] < 1e-3


def test_offsets_in_any_shape(gate: TwoQubitGate) -> None:
    found = gate.infidelity([[0.0], [1.0]], [0.0, 1.0, 2.0])
    assert found.shape == (2, 3)
    assert_allclose(found[0, 1], found[1, 0], rtol=1e-6)
    assert gate.propagators(1.0).shape == (4, 4)


def test_populations(gate: TwoQubitGate) -> None:
    found = gate.populations(101).population
    assert_allclose(found.sum("state"), 1.0, atol=1e-10)
    assert_allclose(found[-1], [0, 0.5, 0.5, 0, 0], atol=5e-3)
    assert 0.01 < float(found.sel(state="other").max()) < 0.05


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pair": DonorPair(DonorDevice(tunnel_coupling_GHz=5.7))}, "equal donors"),
        ({"pair": DonorPair(DonorDevice(), DonorDevice())}, "tunnel_coupling_GHz is 20, .* take about 5.7"),
        ({"pair": DonorPair(distance_nm=120)}, "increase distance_nm"),
        ({"B_x_T": 1e-6}, "increase B_x_T"),
        ({"detuning_MHz": 5}, "ramps of 150 ns alone"),
        ({"pair": pair(5.62, 300)}, "err by 0.0"),
        ({"detuning_MHz": -30}, "detuning_MHz"),
        ({"ramp_ns": 1e4}, "ramp_ns"),
    ],
)
def test_gates_that_cannot_be_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        two_qubit_gate(**arguments)


def test_echoes_and_noise_that_cannot_be_are_refused(gate: TwoQubitGate) -> None:
    refused: list[tuple[tuple[Any, ...], str]] = [
        ((3,), "even"),
        ((6, "concatenated"), "power of 2"),
        ((2, "perodic"), "did you mean 'periodic'"),
        ((64,), "fewer segments"),
    ]
    for arguments, words in refused:
        with pytest.raises(InputError, match=words):
            gate.echoed(*arguments)
    with pytest.raises(InputError, match="same pair, ramps and drive"):
        infidelities([gate, replace(gate, ramp_ns=100.0)])
    with pytest.raises(InputError, match="at most 400"):
        gate.infidelity(1e3)
    with pytest.raises(InputError, match="at most 30"):
        noise_table(gate, 300.0)
