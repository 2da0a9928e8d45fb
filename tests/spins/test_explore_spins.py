"""What the wing's page shows, without a browser."""

import itertools
import re

import numpy as np
import pytest

from solvable.spins import explore, theory
from solvable.spins.device import DonorDevice
from solvable.spins.explore import View
from solvable.spins.gates import Gate, calibrated, naive_x90, robust_x90
from solvable.spins.pulses import Pulse
from solvable.spins.shapes import SineSeries

# Of the charts, on which the sphere is 200 wide.
A_TENTH_OF_A_PIXEL = 1e-3


def numbers_of(text: str) -> list[float]:
    return [float(one) for one in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text.replace("−", "-"))]


def assert_can_be_shown(view: View) -> None:
    words = " ".join(word for fact in view.facts for word in fact) + view.sentence
    assert not re.search(r"\b(nan|inf)\b|∞|–", words)
    for drawn, legend in view.charts:
        assert drawn.startswith("<svg")
        assert not re.search(r"\b(nan|inf)\b", drawn)
        assert legend


@pytest.fixture(scope="module", autouse=True)
def short_gates():
    """The naive gate, and one of 20 ns in place of the robust one, whose integration takes seconds."""
    device = DonorDevice()
    at_rest = device.transitions(0.0)
    nu_E = 1e-3 * float(at_rest.f_ff_MHz)
    pulse = Pulse(
        112 / nu_E,
        E_c_V_per_m=SineSeries((900.0,)),
        B_x_T=SineSeries((3e-4,)),
        nu_E_GHz=nu_E,
        nu_B_GHz=1e-3 * float(at_rest.f_esr_MHz),
    )
    short = calibrated(Gate("short", device, pulse, np.eye(2, dtype=complex)))
    caches = (explore.run, explore._noise_curves)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explore, "GATES", {"robust": lambda: short, "naive": naive_x90})
        for one in caches:
            one.cache_clear()
        yield
    for one in caches:
        one.cache_clear()


ENDS = [(one[0], one[-1]) for one in (explore.COUPLINGS_GHz, explore.B0S_T, explore.DEPTHS_nm)]


@pytest.mark.parametrize("numbers", [*itertools.product(*ENDS), (5.5, 0.2, 15), (20.0, 0.2, 15)])
@pytest.mark.parametrize("field", [-20.0, 0.0, 3.0])
def test_every_device_has_its_numbers(numbers, field):
    coupling, B0, depth = numbers
    device = DonorDevice(tunnel_coupling_GHz=coupling, B0_T=B0, depth_nm=depth)
    for sigma in (1, 300):
        view = explore.device_view(device, field, sigma)
        assert_can_be_shown(view)
    if not view.warning:
        f_n, f_ff, f_esr = (numbers_of(view.facts[i][1])[0] for i in range(3))
        assert f_n == pytest.approx(f_ff - f_esr, abs=0.02)
        assert 0 < f_n < 80  # that of the chart's axis
        close = 1e3 * device.spin_charge_coupling_GHz / float(device.distance_to_crossing(1e3 * field))
        bare = theory.nuclear_frequency(
            device.hyperfine_at_MHz(1e3 * field), B0, _mean_gamma_e(device, 1e3 * field)
        )
        assert f_n == pytest.approx(float(bare), abs=0.3 + close)  # of first order


def _mean_gamma_e(device: DonorDevice, E_V_per_m: float) -> float:
    weight = 1 - float(device.hyperfine_at_MHz(E_V_per_m)) / device.hyperfine_MHz
    return device.gamma_e_GHz_per_T * (1 + device.delta_gamma * weight)


def test_the_default_device_is_that_of_the_closed_forms():
    view = explore.device_view(DonorDevice(), 0.0, 100)
    slope, T2, dipole = (numbers_of(view.facts[i][1])[-1] for i in (3, 4, 5))
    assert slope == pytest.approx(float(theory.frequency_slope(117.0, 20.0)), rel=0.02)
    assert pytest.approx(1e3 / (np.sqrt(2) * np.pi * abs(slope) * 100), rel=5e-3) == T2
    rabi = numbers_of(view.facts[5][2])[0]
    coupling = float(theory.flip_flop_drive_per_field(117.0, 20.0, 5.592))
    assert rabi == pytest.approx(2 * coupling, rel=5e-3)  # kHz per V/m is MHz per kV/m
    assert dipole == pytest.approx(1.14, abs=0.01)
    assert not view.warning
    assert "0.42 µs" in view.facts[4][1]


def test_where_charge_and_flip_flop_meet_the_page_says_so():
    device = DonorDevice(tunnel_coupling_GHz=5.5)
    view = explore.device_view(device, 0.3, 100)
    assert "mixed" in view.warning
    assert not explore.device_view(device, 20.0, 100).warning


def test_a_path_is_that_of_an_integration_of_all_levels():
    offset, n_pieces, n_steps = 137.0, 6, 12_000
    run = explore.run("naive")
    gate, device, pulse = run.gate, run.device, run.gate.pulse
    found = run.paths([0.0, offset])[1]
    step = float(n_pieces * pulse.duration_ns / run.n_pieces / n_steps)
    middle = np.linspace(step / 2, (n_steps - 0.5) * step, n_steps)
    B_x, B_y = pulse.controls(middle)[:, 3:].T
    H = device.hamiltonian(offset + pulse.total_field(middle), B_x, B_y, pulse.nu_B_GHz)
    values, vectors = np.linalg.eigh(H)
    phases = np.exp(-2j * np.pi * step * values)
    psi = device.states(offset)[1][:, 0] + 0j
    for i in range(n_steps):
        psi = vectors[i] @ (phases[i] * (vectors[i].conj().T @ psi))
        k, rest = divmod(i + 1, n_steps // n_pieces)
        if rest == 0:
            t = step * (i + 1)
            at_the_moment = offset + pulse.total_field(np.array([t]))[0]
            a, b = device.states(at_the_moment)[1][:, :2].T @ psi
            plus = 2 * np.conj(a) * b * np.exp(2j * np.pi * pulse.nu_E_GHz * t + 1j * gate.after)
            expected = [plus.real, plus.imag, abs(a) ** 2 - abs(b) ** 2]
            np.testing.assert_allclose(found[k], expected, atol=A_TENTH_OF_A_PIXEL)


@pytest.mark.parametrize("kind", ["naive", "robust"])
def test_a_path_begins_at_the_top_and_ends_where_the_gate_takes_it(kind):
    run = explore.run(kind)
    offsets = np.array([-333.0, 0.0, 90.0])
    paths = run.paths(offsets)
    M = run.gate.propagators(offsets)
    np.testing.assert_allclose(paths[:, 0], np.broadcast_to([0, 0, 1], (3, 3)), atol=1e-12)
    a, b = M[:, 0, 0], M[:, 1, 0]
    plus = 2 * a.conj() * b
    expected = np.stack([plus.real, plus.imag, abs(a) ** 2 - abs(b) ** 2], -1)
    np.testing.assert_allclose(paths[:, -1], expected, atol=A_TENTH_OF_A_PIXEL)
    assert (np.linalg.norm(paths, axis=-1) < 1 + 1e-9).all()


@pytest.mark.parametrize("kind", ["naive", "robust"])
@pytest.mark.parametrize("offset", [0, 25, 500])
def test_a_gate_has_its_infidelities(kind, offset):
    view = explore.gate_view(kind, offset)
    assert_can_be_shown(view)
    exact = explore.run(kind).gate.infidelity([-offset, 0, offset])
    shown = [float(fact[1]) for fact in view.facts]
    np.testing.assert_allclose(shown, exact, rtol=0.06, atol=1e-9)
    assert ("apart" in view.sentence) == (offset > 0)


def test_on_a_projection_the_sphere_is_round():
    drawn = explore.gate_view("naive", 100).charts[0][0]
    circle = re.search(r'class="curve zero" d="M([^"]+)"', drawn)
    assert circle is not None
    points = np.array([one.split(",") for one in circle[1].split("L")], dtype=float)
    assert np.ptp(points[:, 0]) == pytest.approx(np.ptp(points[:, 1]), abs=0.3)


def test_noise_is_averaged_over_normal_errors():
    gate = explore.run("naive").gate
    for sigma in (explore.SIGMAS_V_per_m[0], 50, explore.SIGMAS_V_per_m[-1]):
        view = explore.noise_view(sigma)
        assert_can_be_shown(view)
    x, weights = np.polynomial.hermite_e.hermegauss(15)
    exact = weights @ gate.infidelity(100 * x) / weights.sum()
    assert float(view.facts[1][1]) == pytest.approx(exact, rel=0.06)


@pytest.mark.slow
def test_the_robust_gate_ends_where_it_should():
    run = explore.Run(robust_x90())
    ends = run.paths([-200.0, -100.0, 0.0, 100.0, 200.0])[:, -1]
    np.testing.assert_allclose(ends, np.broadcast_to([0, -1, 0], ends.shape), atol=0.02)
    assert float(run.curve.means(100.0)[0]) == pytest.approx(3.2e-5, rel=0.1)
