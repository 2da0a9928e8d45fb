"""Propagators against products of small exponentials, against each other, and their order of convergence."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import expm

from solvable.errors import InputError
from solvable.spins.device import OPERATORS, DonorDevice
from solvable.spins.fidelity import project
from solvable.spins.propagation import block_propagators, product, propagator
from solvable.spins.pulses import CONTROLS, Pulse
from solvable.spins.shapes import Ramp, SineSeries, SmoothSweep, Weighted

DEVICE = DonorDevice()
NU_E, NU_B = 5.592145175, 5.559250099


def driven(duration_ns: float = 8.0, **changes) -> Pulse:
    E_c, E_s, B_x, B_y = (
        SineSeries(c) for c in ((900.0, -150.0), (-90.0, 300.0), (4e-3, 1e-3), (-1e-3, 3e-3))
    )
    controls = {"E_V_per_m": SmoothSweep(-200, 150), "E_c_V_per_m": E_c, "E_s_V_per_m": E_s}
    controls |= {"B_x_T": B_x, "B_y_T": B_y, "nu_E_GHz": NU_E, "nu_B_GHz": NU_B}
    return Pulse(duration_ns, **(controls | changes))


def brute_force(pulse: Pulse, steps: int, lab_frame: bool = False) -> np.ndarray:
    """Product of exponentials at the middles of steps, extrapolated to steps of no length."""

    def run(n: int) -> np.ndarray:
        dt = pulse.duration_ns / n
        t = (np.arange(n) + 0.5) * dt
        B_x, B_y = pulse.controls(t)[:, 3:].T
        if lab_frame:
            turn = 2 * np.pi * NU_B * t
            B_x, B_y = 2 * (B_x * np.cos(turn) - B_y * np.sin(turn)), 0.0 * B_y
        H = DEVICE.hamiltonian(pulse.total_field(t), B_x, B_y, frame_GHz=0.0 if lab_frame else NU_B)
        levels, vectors = np.linalg.eigh(H)
        U = np.eye(8)
        for v, phases in zip(vectors, np.exp(-2j * np.pi * dt * levels), strict=True):
            U = v @ (phases[:, None] * (v.conj().T @ U))
        return U

    return (4 * run(2 * steps) - run(steps)) / 3


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    return propagator(DEVICE, driven(), step_ns=0.002)


def test_it_is_the_product_of_small_exponentials() -> None:
    pulse = driven(2.0)
    np.testing.assert_allclose(propagator(DEVICE, pulse, step_ns=0.004), brute_force(pulse, 1500), atol=1e-6)


def test_the_counter_rotating_drive_is_the_linear_field_of_the_laboratory() -> None:
    pulse = driven(2.0)
    lab = brute_force(pulse, 1500, lab_frame=True)
    frame = expm(2j * np.pi * NU_B * 2.0 * (OPERATORS.S_z + OPERATORS.I_z))
    ours = propagator(DEVICE, pulse, rotating_wave=False, step_ns=0.002)
    np.testing.assert_allclose(ours, frame @ lab, atol=2e-6)
    # And it matters: these fields are large.
    assert np.abs(ours - propagator(DEVICE, pulse, step_ns=0.004)).max() > 1e-3


def test_without_magnetic_drive_the_error_falls_as_the_sixth_power() -> None:
    pulse = driven(4.0, E_V_per_m=40.0, B_x_T=0.0, B_y_T=0.0)
    exact = propagator(DEVICE, pulse, step_ns=0.002)
    errors = [np.abs(propagator(DEVICE, pulse, step_ns=4.0 / n) - exact).max() for n in (100, 200)]
    assert errors[0] / errors[1] > 2**5.5


def test_with_magnetic_drive_the_error_falls_at_least_as_the_square(exact: np.ndarray) -> None:
    errors = [np.abs(propagator(DEVICE, driven(), step_ns=8.0 / n) - exact).max() for n in (400, 800)]
    assert errors[0] > 3.5 * errors[1]
    assert errors[1] < 1e-4


def test_it_is_unitary_and_keeps_the_shapes_of_its_arguments() -> None:
    U = propagator(DEVICE, driven(), [[0.0], [100.0]], amplitude_E=[0.9, 1.0, 1.1])
    assert U.shape == (2, 3, 8, 8)
    np.testing.assert_allclose(
        U @ np.swapaxes(U.conj(), -1, -2), np.broadcast_to(np.eye(8), U.shape), atol=1e-12
    )


def test_many_fields_at_once_are_those_one_by_one() -> None:
    pulse, offsets, gains = driven(), [-120.0, 0.0, 250.0], [0.9, 1.0, 1.2]
    together = propagator(DEVICE, pulse, offsets, amplitude_E=gains, amplitude_B=gains[::-1], step_ns=0.01)
    for U, offset, gain, other in zip(together, offsets, gains, gains[::-1], strict=True):
        factors = dict.fromkeys(CONTROLS[1:3], gain) | dict.fromkeys(CONTROLS[3:], other)
        scaled = replace(
            pulse, **{name: Weighted((getattr(pulse, name),), (f,)) for name, f in factors.items()}
        )
        alone = propagator(DEVICE, scaled, offset, step_ns=0.01)
        np.testing.assert_allclose(U, alone, atol=1e-6)


def test_an_offset_is_a_shift_of_the_slow_field() -> None:
    shifted = propagator(DEVICE, driven(E_V_per_m=SmoothSweep(-100, 250)), step_ns=0.01)
    np.testing.assert_allclose(propagator(DEVICE, driven(), 100.0, step_ns=0.01), shifted, atol=1e-9)


@pytest.mark.parametrize("n_blocks", [1, 3, 40])
def test_blocks_multiply_to_the_whole(n_blocks: int, exact: np.ndarray) -> None:
    blocks = block_propagators(DEVICE, driven(), n_blocks=n_blocks, step_ns=0.004)
    assert blocks.shape == (n_blocks, 8, 8)
    whole = np.eye(8)
    for one in blocks:
        whole = one @ whole
    np.testing.assert_allclose(whole, exact, atol=3e-5)
    np.testing.assert_allclose(product(blocks), whole, atol=1e-12)


def test_a_constant_trace_of_noise_is_an_offset() -> None:
    traces = np.full((2, 5), 70.0) * [[1], [-1]]
    noisy = block_propagators(DEVICE, driven(), n_blocks=2, noise_V_per_m=traces, step_ns=0.01)
    offset = block_propagators(DEVICE, driven(), [70.0, -70.0], n_blocks=2, step_ns=0.01)
    np.testing.assert_allclose(noisy, offset, atol=1e-10)


def test_a_straight_trace_of_noise_is_a_ramp() -> None:
    pulse = driven(E_V_per_m=20.0)
    noisy = block_propagators(DEVICE, pulse, 30.0, n_blocks=1, noise_V_per_m=[-40.0, 60.0], step_ns=0.005)[0]
    ramp = propagator(DEVICE, driven(E_V_per_m=Ramp(10, 110)), step_ns=0.005)
    np.testing.assert_allclose(noisy, ramp, atol=1e-7)


def test_a_strong_slow_field_is_part_of_what_is_exact() -> None:
    pulse = driven(2.0, E_V_per_m=2e4, B_x_T=0.0, B_y_T=0.0)
    # 72 GHz of detuning, where a splitting about zero field would need far shorter steps.
    M, exact = (project(DEVICE, propagator(DEVICE, pulse, step_ns=x), 2e4) for x in (0.02, 0.005))
    assert 1 - abs(np.trace(M.conj().T @ exact)) / 2 < 1e-6
    still = Pulse(10.0, E_V_per_m=2e4)
    U = expm(-20j * np.pi * DEVICE.hamiltonian(2e4))
    np.testing.assert_allclose(propagator(DEVICE, still), U, atol=1e-9)


def test_a_pulse_with_a_jump_is_the_product_of_its_pieces() -> None:
    a, b = Pulse(2.707), Pulse(1.71, E_V_per_m=300.0)
    np.testing.assert_allclose(
        propagator(DEVICE, a + b), propagator(DEVICE, b) @ propagator(DEVICE, a), atol=1e-6
    )


def test_a_pulse_of_no_length_does_nothing() -> None:
    U = propagator(DEVICE, Pulse(0.0), [0.0, 100.0])
    np.testing.assert_array_equal(U, np.broadcast_to(np.eye(8), (2, 8, 8)))
    assert block_propagators(DEVICE, Pulse(0.0), n_blocks=3).shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: propagator(DEVICE, driven(), 2e6), "offset_V_per_m is 2e"),
        (lambda: propagator(DEVICE, driven(), [0.0, np.nan]), "offset_V_per_m"),
        (lambda: propagator(DEVICE, driven(), amplitude_E="one"), "amplitude_E must be numbers"),
        (lambda: propagator(DEVICE, driven(), [0, 1], amplitude_B=[1, 1, 1]), "do not fit together"),
        (
            lambda: block_propagators(DEVICE, driven(), n_blocks=1, noise_V_per_m=[1.0]),
            "noise_V_per_m must have 2 or more times",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
