"""Pulses: joined, scaled, filtered, written to files and read, and given to QuTiP."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from cases import representative
from solvable.errors import InputError
from solvable.spins.device import DonorDevice
from solvable.spins.fidelity import X90
from solvable.spins.gates import Gate
from solvable.spins.propagation import propagator
from solvable.spins.pulse_files import read_pulse
from solvable.spins.pulses import CONTROLS, Pulse
from solvable.spins.shapes import Ramp, Sampled, SineSeries, Weighted, Windowed

DEVICE = DonorDevice()
NU_E, NU_B = 5.592145175, 5.559250099
DRIVES = {"nu_E_GHz": NU_E, "nu_B_GHz": NU_B}


def driven(duration_ns: float = 60.0) -> Pulse:
    shapes = (SineSeries(c) for c in ((400.0, -150.0), (-90.0, 300.0), (2e-4, 1e-4), (-1e-4, 3e-4)))
    return Pulse(duration_ns, 30.0, *shapes, **DRIVES)


def with_jumps() -> Pulse:
    """Three pieces; both drives jump between them, and the slow field a little."""
    first = Pulse(13.7, Ramp(-20, 28), E_c_V_per_m=300.0, B_y_T=2e-4, **DRIVES)
    return first + driven(20.3) + Pulse(7.7, 30.0, E_s_V_per_m=Windowed(200.0), B_x_T=-1e-4, **DRIVES)


def test_a_pulse_of_two_pieces_is_one_after_the_other() -> None:
    a, b = driven(20.3), Pulse(7.7, 60.0)
    both = a + b
    assert both.duration_ns == pytest.approx(28.0)
    assert both.joints_ns == (20.3,)
    t = np.array([3.0, 20.2])
    np.testing.assert_allclose(both.controls(t), a.controls(t))
    np.testing.assert_allclose(both.controls(np.array([20.4, 28.0]))[:, 0], 60.0)
    assert (both.nu_E_GHz, both.nu_B_GHz) == (NU_E, NU_B)
    assert with_jumps().joints_ns == pytest.approx((13.7, 34.0))


def scaled(pulse: Pulse, gain_E: float, gain_B: float) -> Pulse:
    factors = dict.fromkeys(("E_c_V_per_m", "E_s_V_per_m"), gain_E) | dict.fromkeys(
        ("B_x_T", "B_y_T"), gain_B
    )
    return replace(pulse, **{name: Weighted((getattr(pulse, name),), (f,)) for name, f in factors.items()})


def test_phases_of_the_drives_go_on() -> None:
    """A drive cut in two is the uncut one, wherever the cut is."""
    whole = Pulse(20.0, E_c_V_per_m=500.0, E_s_V_per_m=100.0, B_x_T=3e-4, **DRIVES)
    cut = replace(whole, duration_ns=7.77) + replace(whole, duration_ns=12.23)
    t = np.linspace(0, 20, 999)
    np.testing.assert_allclose(cut.total_field(t), whole.total_field(t), atol=1e-9)
    U, V = (propagator(DEVICE, one, 50.0) for one in (whole, cut))
    np.testing.assert_allclose(U, V, atol=1e-6)


def test_nothing_added_is_the_same_pulse() -> None:
    a, nothing = driven(), Pulse(0.0)
    for both in (a + nothing, nothing + a):
        assert both.duration_ns == a.duration_ns
        assert (both.controls(np.array([1.0, 33.0])) == a.controls(np.array([1.0, 33.0]))).all()
    assert (nothing + nothing).duration_ns == 0
    with pytest.raises(TypeError):
        a + 1  # pyright: ignore


def test_scaled_amplitudes() -> None:
    t = np.linspace(0, 60, 7)
    np.testing.assert_allclose(
        scaled(driven(), 2.0, 0.5).controls(t), driven().controls(t) * [1, 2, 2, 0.5, 0.5]
    )
    U = propagator(DEVICE, driven(), amplitude_E=2.0, amplitude_B=0.5)
    np.testing.assert_allclose(U, propagator(DEVICE, scaled(driven(), 2.0, 0.5)), atol=1e-9)


def test_samples_by_name() -> None:
    found = driven().sample([0.0, 30.0, 60.0])
    assert list(found) == list(CONTROLS)
    assert found["E_V_per_m"].tolist() == [30, 30, 30]
    assert found["E_c_V_per_m"] == pytest.approx([0, 400, 0], abs=1e-9)


def test_a_filtered_pulse_is_the_solution_of_the_lines_equation() -> None:
    pulse, f = driven(), 20.0
    filtered, tau = pulse.filtered(f), 1e3 / (2 * np.pi * f)
    assert filtered.duration_ns == pytest.approx(60 + 8 * tau)

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        x = pulse.controls(np.array(min(t, 60.0)))
        if t > 60:
            x[1:] = 0
        return (x - y) / tau

    t = np.linspace(0, filtered.duration_ns, 50)
    start = pulse.controls(np.array(0.0)) * [1, 0, 0, 0, 0]
    exact = solve_ivp(rate, (0, t[-1]), start, t_eval=t, rtol=1e-9, atol=1e-12, max_step=0.5).y.T
    scale = np.abs(exact).max(0)
    assert (np.abs(filtered.controls(t) - exact) <= 3e-4 * scale).all()
    assert (np.abs(exact[-1, 1:]) < 1e-3 * scale[1:]).all()


def test_a_step_rises_behind_the_line_as_an_exponential() -> None:
    filtered = Pulse(100.0, E_c_V_per_m=100.0, nu_E_GHz=NU_E).filtered(50.0)
    t = np.linspace(0, 99, 100)
    expected = 100 * (1 - np.exp(-t * 2 * np.pi * 0.05))
    np.testing.assert_allclose(filtered.controls(t)[:, 1], expected, atol=1e-3)


def test_the_filter_sees_a_jump_when_it_comes() -> None:
    filtered = Pulse(100.0, E_c_V_per_m=100.0, nu_E_GHz=NU_E).filtered(50.0)
    assert filtered.sample([100.0])["E_c_V_per_m"] == pytest.approx(100.0, abs=1e-3)


@pytest.mark.parametrize("pulse", [driven(), with_jumps()], ids=["smooth", "with jumps"])
def test_a_pulse_from_its_file_makes_the_same_gate(pulse: Pulse, tmp_path: Path) -> None:
    found = read_pulse(pulse.to_csv(tmp_path / "pulse.csv"))
    assert (found.duration_ns, found.nu_E_GHz, found.nu_B_GHz) == (pulse.duration_ns, NU_E, NU_B)
    infidelities = [Gate("", DEVICE, one, X90).infidelity([0.0, 100.0]) for one in (pulse, found)]
    np.testing.assert_allclose(*infidelities, rtol=0, atol=1e-8)
    again = read_pulse(found.to_csv(tmp_path / "again.csv"))
    t = np.linspace(0.01, pulse.duration_ns - 0.01, 333)
    np.testing.assert_allclose(again.controls(t), found.controls(t), rtol=1e-6, atol=1e-7)


def test_columns_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("# nu_E_GHz = 5.6\nt_ns,E_c_V_per_m\n0,0\n5,10\n10,0\n")
    pulse = read_pulse(path)
    assert (pulse.duration_ns, pulse.nu_E_GHz, pulse.nu_B_GHz) == (10, 5.6, 0)
    np.testing.assert_allclose(pulse.controls([5.0])[0], [0, 10, 0, 0, 0], atol=1e-12)


def test_files_that_cannot_be_read_or_written_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_pulse(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read"):
        read_pulse(tmp_path / "binary.csv")
    with pytest.raises(InputError):
        driven().to_csv(tmp_path)


@pytest.mark.parametrize("duration_ns", representative([0.6, 6.0], fast=[0.6]))
def test_qutip_integrates_what_is_exported_to_the_same_propagator(duration_ns: float) -> None:
    qutip = pytest.importorskip("qutip")
    pulse = driven(duration_ns)
    options = {"method": "vern9", "atol": 1e-9, "rtol": 1e-9, "nsteps": 10**6, "progress_bar": ""}
    options["normalize_output"] = False
    theirs = qutip.propagator(pulse.to_qutip(DEVICE, 80.0), duration_ns, options=options).full()
    ours = propagator(DEVICE, pulse, 80.0, step_ns=0.005)
    assert np.abs(ours - theirs).max() < 5e-8 * duration_ns


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Pulse(-1.0), "duration_ns must be at least 0"),
        (lambda: Pulse(float("nan")), "duration_ns must be .*; got nan"),
        (lambda: Pulse(10, E_V_per_m="up"), "E_V_per_m must be one number; got 'up'"),
        (lambda: Pulse(10, E_V_per_m=2.5e6), "outside of"),
        (lambda: Pulse(10, E_V_per_m=Ramp(0, np.nan)), "E_V_per_m"),
        (lambda: Pulse(10, E_c_V_per_m=100), "has an electric drive, so nu_E_GHz is needed"),
        (lambda: Pulse(10, B_x_T=1e-4), "has a magnetic drive, so nu_B_GHz is needed"),
        (lambda: Pulse(10, B_x_T=0.4, nu_B_GHz=5.6), "B_x_T is 0.4; expected at most 0.1 T, and this looks"),
        (lambda: Pulse(10, nu_E_GHz=5.6e9), "nu_E_GHz must be at least 0 and at most 200"),
        (lambda: driven() + replace(driven(), nu_E_GHz=5.5), "must have one nu_E_GHz; got 5.59215 and 5.5"),
        (lambda: driven().filtered(0.0), "bandwidth_MHz must be at least 1"),
        (lambda: driven().sample([61.0]), "t_ns must be at least 0 and at most 60; got 61"),
        (lambda: driven().table(step_ns=0.0), "step_ns must be above 0"),
        (lambda: Pulse(10, Sampled(np.array([0.0, 10.0]), np.array([0.0, 3e5]))), "outside of"),
    ],
)
def test_bad_input_is_one_sentence(make, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()
