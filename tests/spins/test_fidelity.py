"""Average gate fidelity against the mean over random states; virtual rotations against a search."""

import numpy as np
import pytest
from scipy.stats import unitary_group

from solvable.errors import InputError
from solvable.spins.device import DonorDevice
from solvable.spins.fidelity import (
    X90,
    X180,
    average_gate_fidelity,
    best_virtual_z,
    leakage,
    project,
    virtual_z,
)


def contraction(d: int, seed: int) -> np.ndarray:
    """The corner of a random unitary: a gate with leakage."""
    return unitary_group.rvs(d + 1, random_state=seed)[:d, :d]


@pytest.mark.parametrize("d", [2, 4])
def test_it_is_the_mean_over_random_states(d: int) -> None:
    target, M = unitary_group.rvs(d, random_state=1), contraction(d, 2)
    rng = np.random.default_rng(0)
    n = 200_000
    psi = rng.standard_normal((n, d)) + 1j * rng.standard_normal((n, d))
    psi /= np.linalg.norm(psi, axis=1, keepdims=True)
    kept = np.abs(np.einsum("ni,ni->n", (psi @ target.T).conj(), psi @ M.T)) ** 2
    assert abs(kept.mean() - average_gate_fidelity(M, target)) < 4 * kept.std() / np.sqrt(n)
    lost = 1 - (np.abs(psi @ M.T) ** 2).sum(1)
    assert abs(lost.mean() - leakage(M)) < 4 * lost.std() / np.sqrt(n)


def test_gates_that_are_right_up_to_a_phase() -> None:
    assert average_gate_fidelity(np.exp(0.7j) * X90, X90) == pytest.approx(1)
    assert average_gate_fidelity(0.8 * X90, X90) == pytest.approx(0.64)
    assert average_gate_fidelity(X180, X90 @ X90) == pytest.approx(1)
    assert average_gate_fidelity(np.stack([X90, X180]), X90).shape == (2,)
    # Turned too far about x by an angle a: 1 - (2 / 3) sin(a / 2)^2.
    a = 0.1
    far = np.array([[np.cos(a / 2), -1j * np.sin(a / 2)], [-1j * np.sin(a / 2), np.cos(a / 2)]])
    assert 1 - average_gate_fidelity(far @ X90, X90) == pytest.approx(2 / 3 * np.sin(a / 2) ** 2)


def test_virtual_rotations_are_found() -> None:
    rng = np.random.default_rng(3)
    for before, after in rng.uniform(-np.pi, np.pi, (20, 2)):
        b, a = best_virtual_z(virtual_z(-before, X90, -after), X90)
        turned = virtual_z(b, virtual_z(-before, X90, -after), a)
        assert average_gate_fidelity(turned, X90) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_no_virtual_rotations_are_better(seed: int) -> None:
    """For several propagators at once, with weights, and a target that none of them reaches."""
    target = unitary_group.rvs(2, random_state=seed)
    M = np.stack([contraction(2, 10 * seed + i) for i in range(1, 5)])
    weights = np.array([0.1, 0.4, 0.3, 0.2])

    def mean(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        turned = virtual_z(before[..., None], M, after[..., None])
        return average_gate_fidelity(turned, target) @ weights

    angles = np.linspace(0, 2 * np.pi, 201)
    scanned = mean(*np.meshgrid(angles, angles)).max()
    found = best_virtual_z(M, target, weights)
    best = float(mean(np.array(found[0]), np.array(found[1])))
    assert scanned - 1e-9 < best < scanned + 1e-3


def test_projection_is_on_the_states_at_the_actual_field() -> None:
    """A field that stays as it is does nothing but phases, however far the charge is tilted."""
    device, E = DonorDevice(), np.array([0.0, 100.0, 4000.0])
    energies, vectors = np.linalg.eigh(device.hamiltonian(E))
    U = (vectors * np.exp(-2j * np.pi * 30 * energies)[:, None, :]) @ np.swapaxes(vectors.conj(), -1, -2)
    for n_states in (2, 4):
        M = project(device, U, E, n_states=n_states)
        assert M.shape == (3, n_states, n_states)
        expected = np.exp(-2j * np.pi * 30 * device.states(E)[0][:, :n_states])
        np.testing.assert_allclose(M, expected[:, :, None] * np.eye(n_states), atol=1e-9)
    # By the states of another field the tilt looks like leakage.
    assert leakage(project(device, U, 0.0))[1] > 1e-5
    # Between two fields the overlap of the charge is lost.
    tilt = np.diff(np.arctan2(20.0, -device.detuning_GHz([0.0, 4000.0])))[0]
    both = project(device, np.eye(8), 0.0, 4000.0)
    np.testing.assert_allclose(both, np.cos(tilt / 2) * np.eye(2), atol=1e-3)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (np.diag([1, 0.7]), r"target must be a 2x2 unitary; \|U\^dag U - 1\| = 0.51"),
        (np.eye(4), r"target must be a 2x2 unitary; got an array of shape \(4, 4\)"),
        ("X", "target must be a 2x2 unitary; got 'X'"),
        (np.full((2, 2), np.nan), "target must be a 2x2 unitary"),
    ],
)
def test_a_target_that_is_no_gate_is_refused(target, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        average_gate_fidelity(X90, target)
    with pytest.raises(InputError, match=sentence):
        best_virtual_z(X90, target)
