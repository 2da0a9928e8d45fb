"""Robust pulses: gradients, statistics of the scenarios, and what is reported against exact propagators."""

import numpy as np
import pytest
from scipy.linalg import expm

from solvable.errors import InputError
from solvable.spins.device import DonorDevice
from solvable.spins.effective import effective_model
from solvable.spins.fidelity import X90, average_gate_fidelity, project, virtual_z
from solvable.spins.optimise import Cost, optimise_gate
from solvable.spins.propagation import propagator
from solvable.spins.pulses import Pulse
from solvable.spins.scenarios import (
    Scenarios,
    checking_scenarios,
    exact_propagators,
    field_errors,
    training_scenarios,
)
from solvable.spins.shapes import SineSeries

DEVICE = DonorDevice()
NU_E, NU_B = 5.592145175063364, 5.559250098685536


def cost_of(sigma, pink, gain, n_steps=20):
    """A cost with three sines on 200 ns, and its scenarios."""
    duration = round(200 * NU_E) / NU_E
    scenarios = training_scenarios(field_errors(duration, n_steps, sigma, pink, 0.01), gain)
    widest = max(1.05 * np.abs(scenarios.offset_V_per_m).max(), 1.0)
    model = effective_model(DEVICE, NU_E, NU_B, 2000, widest)
    return Cost(model, scenarios, X90, duration, n_steps, 3, (1600, 4e-4)), scenarios


@pytest.mark.parametrize(("sigma", "pink", "gain"), [(100.0, 0.0, 0.0), (50.0, 80.0, 0.01)])
def test_gradient_against_differences(sigma, pink, gain):
    cost, scenarios = cost_of(sigma, pink, gain)
    rng = np.random.default_rng(1)
    random = rng.normal(size=(2, scenarios.weights.size, 4, 4))
    cost.defects = np.linalg.qr(random[0] + 1j * random[1])[0]
    x = 0.6 * rng.normal(size=14)  # some amplitudes exceed the largest, so that this part of the cost counts
    found = cost(x)[1]
    step = 1e-5 * np.eye(14)
    differences = [(cost(x + one)[0] - cost(x - one)[0]) / 2e-5 for one in step]
    assert np.abs(found - differences).max() < 1e-7 * np.abs(found).max()


def test_the_cost_is_that_of_the_model():
    cost, scenarios = cost_of(100.0, 0.0, 0.01)
    x = 0.2 * np.random.default_rng(2).normal(size=14)
    pulse = cost.pulse(x)
    middles = (np.arange(20) + 0.5) / 20 * pulse.duration_ns
    E_c, E_s, B_x, B_y = pulse.controls(middles)[:, 1:].T
    lost = []
    for (offset,), gain_E, gain_B, _ in zip(*scenarios, strict=True):
        U = np.eye(4, dtype=np.complex128)
        for H in cost.model.hamiltonian(gain_E * E_c, gain_E * E_s, gain_B * B_x, gain_B * B_y, offset):
            U = expm(-2j * np.pi * pulse.duration_ns / 20 * H) @ U
        lost.append(1 - average_gate_fidelity(virtual_z(x[-2], U[:2, :2], x[-1]), X90))
    excess = sum(
        (np.maximum((a**2 + b**2) / largest**2 - 1, 0) ** 2).mean()
        for a, b, largest in ((E_c, E_s, 1600), (B_x, B_y, 4e-4))
    )
    assert cost(x)[0] == pytest.approx(scenarios.weights @ np.array(lost) + excess, rel=1e-10)


def test_scenarios_have_the_moments_of_the_errors():
    sigma, pink, gain = 30.0, 80.0, 0.02
    n_steps, duration = 100, 1000.0
    scenarios = training_scenarios(field_errors(duration, n_steps, sigma, pink, 0.01), gain)
    offset, gain_E, gain_B, weights = scenarios
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1)
    covariance = np.einsum("s,st,su->tu", weights, offset, offset)
    assert np.trace(covariance) / (n_steps + 1) == pytest.approx(sigma**2 + pink**2, rel=1e-6)
    for lag in (0, 3, 20, 100):
        # The integral of cos(2 pi f tau) / f from 1 Hz to 10 MHz over log f, which makes it smooth.
        logs = np.linspace(np.log(1e-9), np.log(1e-2), 20_001)
        values = np.cos(2 * np.pi * np.exp(logs) * lag * duration / n_steps)
        expected = sigma**2 + pink**2 * np.trapezoid(values, logs) / np.log(1e7)
        assert np.diagonal(covariance, lag).mean() == pytest.approx(expected, abs=0.01 * pink**2)
    for gains in (gain_E, gain_B):
        assert weights @ (gains - 1) == pytest.approx(0, abs=1e-12)
        assert weights @ (gains - 1) ** 2 == pytest.approx(gain**2)
    assert weights @ ((gain_E - 1) * (gain_B - 1)) == pytest.approx(0, abs=1e-12)


def test_traces_that_are_constant_are_offsets():
    pulse = Pulse(50.0, 0.0, SineSeries((300.0,)), 0.0, SineSeries((2e-4,)), nu_E_GHz=NU_E, nu_B_GHz=NU_B)
    ones = np.ones(2)
    offset = np.array([[120.0], [-60.0]])
    found = exact_propagators(DEVICE, pulse, Scenarios(offset * np.ones(9), ones, ones, ones / 2))
    expected = exact_propagators(DEVICE, pulse, Scenarios(offset, ones, ones, ones / 2))
    assert np.allclose(found, expected, atol=1e-12)


def test_a_small_optimisation_and_what_it_reports():
    found = optimise_gate(DEVICE, n_sines=2, duration_ns=120, sigma_V_per_m=60, n_iterations=15, n_rounds=1)
    assert found.history[-1] < found.history[0] / 2
    assert found.exact_by_round.size == 2
    assert round(found.pulse.duration_ns * found.pulse.nu_E_GHz, 9) == 671
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    M = project(DEVICE, propagator(DEVICE, found.pulse, 60 * nodes), 60 * nodes)
    lost = 1 - average_gate_fidelity(virtual_z(found.before, M, found.after), X90)
    assert found.exact_infidelity == pytest.approx(weights @ lost / weights.sum(), rel=1e-9)
    assert found.exact_infidelity == pytest.approx(found.exact_by_round.min(), rel=0.05)
    assert found.report[0] == "119.990 ns: 671 periods of the electric drive"
    peak = found.pulse.controls(np.linspace(0, found.pulse.duration_ns, 4001))
    assert found.largest_E_V_per_m == pytest.approx(np.hypot(peak[:, 1], peak[:, 2]).max(), rel=0.01)
    assert found.largest_B_uT == pytest.approx(1e6 * np.hypot(peak[:, 3], peak[:, 4]).max(), rel=0.01)


def test_without_errors_there_is_one_scenario():
    _, scenarios = cost_of(0.0, 0.0, 0.0)
    assert [one.tolist() for one in scenarios] == [[[0.0]], [1.0], [1.0], [1.0]]


def test_a_start_is_projected_and_improved():
    coefficients = np.array([[400.0, -100.0], [50.0, 300.0], [2e-4, 0.0], [0.0, 1e-4]])
    shapes = [SineSeries(tuple(one)) for one in coefficients]
    start = Pulse(150 / NU_E, 0.0, *shapes, nu_E_GHz=NU_E, nu_B_GHz=NU_B)
    cost, _ = cost_of(10.0, 0.0, 0.0)
    assert np.allclose(cost.projected(start).reshape(4, 3)[:, :2] * cost.caps[:, None], coefficients)
    found = optimise_gate(DEVICE, start=start, n_sines=2, n_iterations=5, n_rounds=0, amplitude_error=0.01)
    assert found.pulse.duration_ns == pytest.approx(start.duration_ns)
    assert found.history[-1] < found.history[0]


def test_pink_noise_is_checked_with_random_traces():
    found = optimise_gate(
        DEVICE,
        n_sines=1,
        duration_ns=20,
        sigma_V_per_m=0,
        pink_sigma_V_per_m=30,
        n_iterations=2,
        n_rounds=1,
        rotating_wave=False,
        random_state=np.random.default_rng(3),
    )
    assert 0 < found.standard_error < found.exact_infidelity
    assert "+-" in found.report[1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"target": np.ones((2, 2))}, "target must be a 2x2 unitary"),
        ({"n_sines": 0}, "n_sines"),
        ({"duration_ns": 0}, "duration_ns"),
        ({"sigma_V_per_m": -1}, "sigma_V_per_m"),
        ({"amplitude_error": 1}, "amplitude_error"),
        ({"pink_cutoff_MHz": np.nan}, "pink_cutoff_MHz"),
        ({"n_rounds": -1}, "n_rounds"),
        ({"random_state": "x"}, "random_state"),
        ({"start": Pulse(100.0)}, "start must have both drives"),
        (
            {"start": Pulse(100.0, 5.0, 100.0, 0.0, 1e-4, nu_E_GHz=NU_E, nu_B_GHz=NU_B)},
            "slow field",
        ),
    ],
)
def test_bad_inputs(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        optimise_gate(DEVICE, **changes)


@pytest.mark.slow
def test_from_scratch():
    found = optimise_gate(DEVICE)
    assert found.history[299] < 2e-4
    assert found.exact_infidelity < 1e-4
    assert found.largest_E_V_per_m < 1.03 * 1600
    assert found.largest_B_uT < 1.03 * 400


@pytest.mark.parametrize("gain", [0.0, 0.01])
def test_a_pulse_is_not_checked_at_the_errors_that_it_was_optimised_for(gain) -> None:
    modes = field_errors(1000.0, 100, 100.0, 0.0, 0.01)
    trained, checked = (
        training_scenarios(modes, gain),
        checking_scenarios(modes, gain, np.random.default_rng(0)),
    )
    distance = np.abs(trained.offset_V_per_m[:, None, 0] - checked.offset_V_per_m[None, :, 0])
    assert distance.min() > 1.0
    for one in (trained, checked):
        variance = one.weights @ one.offset_V_per_m[:, 0] ** 2
        assert variance == pytest.approx(1e4, rel=1e-9)
