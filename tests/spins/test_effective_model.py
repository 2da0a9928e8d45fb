"""The 4 x 4 model against exact propagators over one period and over a pulse."""

import numpy as np
import pytest
from scipy.linalg import expm

from solvable.errors import InputError
from solvable.spins.device import DonorDevice
from solvable.spins.effective import effective_model
from solvable.spins.fidelity import project
from solvable.spins.propagation import propagator
from solvable.spins.pulses import Pulse
from solvable.spins.shapes import SineSeries

DEVICE = DonorDevice()
NU_E, NU_B = 5.592145175, 5.559250099


@pytest.fixture(scope="module")
def model():
    return effective_model(DEVICE, NU_E, NU_B, 1760.0, 450.0)


def test_residuals_are_small(model):
    assert model.residual_MHz < 1e-4


@pytest.mark.parametrize(("E", "offset"), [(1760.0, 0.0), (913.0, 137.0), (431.0, -402.0)])
def test_eigenfrequencies_are_those_of_one_period(model, E, offset):
    pulse = Pulse(1 / NU_E, E_c_V_per_m=E, nu_E_GHz=NU_E, nu_B_GHz=NU_B)
    exact = np.linalg.eigvals(propagator(DEVICE, pulse, offset, step_ns=1 / NU_E / 40))
    ours = np.exp(-2j * np.pi * np.linalg.eigvalsh(model.hamiltonian(E, offset_V_per_m=offset)) / NU_E)
    # Up to a common phase: with each of the eight as our first, distances to the nearest exact eigenvalue.
    errors = [np.abs(exact[:, None] - one * ours / ours[0]).min(0).max() for one in exact]
    assert min(errors) * NU_E / (2 * np.pi) < 1e-7


def test_coupling_of_a_weak_drive(model):
    # Negative: the field enters as -(e d / h) E sigma_z / 2.
    assert model.hamiltonian(1.0)[2, 0].real == pytest.approx(-2.874e-6, rel=1e-3)


def test_quadratures_turn_the_coupling(model):
    H = model.hamiltonian([300.0, 0.0], [0.0, 300.0], [1e-4, 0.0], [0.0, 1e-4])
    assert H.shape == (2, 4, 4)
    assert np.allclose(H, np.swapaxes(H, 1, 2).conj())
    assert H[1, 2, 0] == pytest.approx(1j * H[0, 2, 0])
    assert H[1, 2, 1] == pytest.approx(-1j * H[0, 2, 1])
    assert abs(H[0, 3, 0]) == pytest.approx(27.97e-4 / 2, rel=1e-3)


@pytest.mark.parametrize("offset", [0.0, 120.0])
def test_a_smooth_pulse(model, offset):
    """Both quadratures of both drives, with their signs; the errors shrink as the dressing is weak and slow."""
    periods = 1400
    shapes = [SineSeries(c) for c in ((150.0, 60.0), (-40.0, 90.0), (1e-4, -5e-5), (2e-5, 8e-5))]
    pulse = Pulse(periods / NU_E, 0.0, *shapes, nu_E_GHz=NU_E, nu_B_GHz=NU_B)
    exact = project(DEVICE, propagator(DEVICE, pulse, offset), offset, n_states=4)
    n = 250
    controls = pulse.controls((np.arange(n) + 0.5) * pulse.duration_ns / n)[:, 1:].T
    U = np.eye(4)
    for H in model.hamiltonian(*controls, offset_V_per_m=offset):
        U = expm(-2j * np.pi * pulse.duration_ns / n * H) @ U
    overlap = np.trace(U.conj().T @ exact) / 4
    assert 1 - abs(overlap) < 1e-5
    U *= overlap / abs(overlap)
    assert np.abs(U - exact).max() < 5e-3


def test_an_offset_beyond_the_fit(model):
    with pytest.raises(InputError, match="fitted up to 450"):
        model.hamiltonian(offset_V_per_m=500)


def test_a_drive_that_excites_the_charge_is_refused():
    with pytest.raises(InputError, match="resonance of the charge"):
        effective_model(DonorDevice(tunnel_coupling_GHz=5.7), NU_E, NU_B, 1000.0, 100.0)


@pytest.mark.parametrize(
    ("name", "value"), [("nu_E_GHz", 0.0), ("nu_B_GHz", np.nan), ("largest_E_V_per_m", -1.0)]
)
def test_numbers_out_of_range(name, value):
    arguments = {
        "nu_E_GHz": NU_E,
        "nu_B_GHz": NU_B,
        "largest_E_V_per_m": 100.0,
        "largest_offset_V_per_m": 100.0,
    }
    with pytest.raises(InputError, match=name):
        effective_model(DEVICE, **(arguments | {name: value}))
