"""Gates on the exact eight levels: what the robust pulses withstand, and what they do not."""

import numpy as np
import pytest
from scipy.stats import unitary_group

from cases import representative
from solvable.errors import InputError
from solvable.spins.device import DonorDevice
from solvable.spins.fidelity import X90, X180, best_virtual_z
from solvable.spins.gates import Gate, naive_x90, robust_gate, robust_x90, transferred_x90

H = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
TARGETS = [X180, H, *unitary_group.rvs(2, size=3, random_state=0)]


@pytest.fixture(scope="module")
def robust() -> Gate:
    return robust_x90()


@pytest.fixture(scope="module")
def naive() -> Gate:
    return naive_x90()


def test_the_robust_pulse_stands_large_offsets(robust: Gate) -> None:
    found = robust.infidelity([-300.0, -100.0, 0.0, 100.0, 300.0])
    # Bounds of the wing's facts: 3e-5 at most near zero, below 1e-3 at three standard deviations.
    assert (found[1:4] < [2e-5, 3.2e-5, 3.6e-5]).all()
    assert (found[[0, 4]] < 5e-4).all()
    assert robust.leakage(0.0) < 6e-5


def test_its_bound_holds_with_the_counter_rotating_drive(robust: Gate) -> None:
    assert (robust.infidelity([0.0, 100.0], rotating_wave=False) < 6e-5).all()


def test_its_virtual_rotations_are_the_best_ones(robust: Gate) -> None:
    bare = Gate("", robust.device, robust.pulse, X90)
    before, after = best_virtual_z(bare.propagators([-100.0, 0.0, 100.0]), X90, [1 / 6, 2 / 3, 1 / 6])
    assert np.exp(1j * before) == pytest.approx(np.exp(1j * robust.before), abs=3e-3)
    assert np.exp(1j * after) == pytest.approx(np.exp(1j * robust.after), abs=3e-3)


def test_errors_of_the_drives_spoil_it(robust: Gate) -> None:
    found = robust.infidelity(amplitude_E=[1.01, 1.0], amplitude_B=[1.0, 1.01])
    assert found == pytest.approx([1.9e-3, 3.8e-3], rel=0.05)


def test_an_error_of_the_static_field_spoils_it(robust: Gate) -> None:
    """10 µT turn the electron by 28 kHz times 1 µs more, which drives that keep their frequencies do not follow."""
    assert 1e-3 < robust.infidelity(B0_error_T=1e-5) < 0.1


@pytest.mark.slow
def test_small_errors_of_the_static_field_count_squared(robust: Gate) -> None:
    quadratic = robust.infidelity(B0_error_T=2e-6) - robust.infidelity()
    assert (robust.infidelity(B0_error_T=4e-6) - robust.infidelity()) / quadratic == pytest.approx(4, rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("against", "errors", "bound"),
    [
        ("amplitude", {"amplitude_E": 1.01}, 6e-5),
        ("amplitude", {"amplitude_B": 0.99}, 6e-5),
        ("fast-noise", {"offset_V_per_m": 100.0}, 1e-3),
    ],
)
def test_other_shipped_pulses_stand_other_errors(against: str, errors: dict, bound: float) -> None:
    gate = robust_x90(against=against)
    assert gate.infidelity(**errors) < bound


def test_the_naive_gate_is_lost(naive: Gate, robust: Gate) -> None:
    found = naive.infidelity([0.0, 100.0, -100.0])
    assert (found[1:] > 0.05).all()
    assert (found[1:] < 0.2).all()
    assert found[1] > 1000 * robust.infidelity(100.0)
    # A quarter of a full turn: what is left at zero noise is the dressing that a sudden drive leaves.
    assert found[0] < 0.1
    assert abs(naive.propagators()[1, 0]) ** 2 == pytest.approx(0.5, abs=0.1)


def test_the_naive_mean_over_noise(naive: Gate) -> None:
    x, weights = np.polynomial.hermite_e.hermegauss(15)
    assert 0.05 < naive.infidelity(100.0 * x) @ weights / weights.sum() < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("k", range(5))
def test_any_gate_is_made_of_two_pulses(k: int, robust: Gate) -> None:
    gate = robust_gate(TARGETS[k], robust)
    x, weights = np.polynomial.hermite_e.hermegauss(5)
    mean = gate.infidelity(100.0 * x) @ weights / weights.sum()
    assert mean < 2e-4
    assert gate.duration_ns == pytest.approx(2 * robust.duration_ns)


@pytest.mark.slow
def test_two_pulses_make_gates_without_unique_angles(robust: Gate) -> None:
    """Where the Euler angles are not unique, and where X(π/2) is turned back."""
    for target in (np.eye(2), X90.T.conj()):
        assert robust_gate(target, robust).infidelity() < 2e-4


@pytest.mark.slow
def test_the_pulse_is_optimised_again_for_another_device() -> None:
    """A tenth of the default number of iterations is enough here."""
    device = DonorDevice(B0_T=0.25)
    assert transferred_x90(device).infidelity(100.0) > 1e-3
    gate = robust_x90(device, n_iterations=40, n_rounds=1)
    assert (gate.infidelity([-100.0, 0.0, 100.0]) < 1e-4).all()


@pytest.mark.parametrize(
    ("changes", "bound"),
    representative(
        [({"depth_nm": 12.0}, 6e-5), ({"tunnel_coupling_GHz": 15.0}, 2e-4), ({"B0_T": 0.25}, 3e-3)],
        fast=[({"depth_nm": 12.0}, 6e-5)],
    ),
)
def test_the_pulse_on_other_devices(changes: dict, bound: float) -> None:
    """A better start than none: how far off it is depends on what changed."""
    assert (transferred_x90(DonorDevice(**changes)).infidelity([0.0, 100.0]) < bound).all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda gate: robust_gate(np.diag([1, 0.5]), gate), "target must be a 2x2 unitary"),
        (lambda gate: robust_gate(np.eye(4), gate), r"got an array of shape \(4, 4\)"),
        (lambda gate: gate.infidelity(1e6), r"offset_V_per_m is 1e\+06 V/m, outside of"),
        (lambda gate: gate.infidelity(amplitude_E=100), "amplitude_E must be at least -10 and at most 10"),
        (lambda gate: gate.infidelity(B0_error_T=0.2), "B0_error_T must be at least -0.01"),
        (lambda gate: gate.infidelity([0, 1], [1, 1, 1]), "do not fit together"),
        (lambda gate: robust_x90(against="heat"), "unknown against 'heat'; expected one of slow-noise"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence: str, robust: Gate) -> None:
    with pytest.raises(InputError, match=sentence):
        call(robust)
