"""Closed forms against two-level and eight-level matrices, integration in time, and published numbers."""

import mpmath
import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import unitary_group

from solvable.errors import InputError
from solvable.spins import theory

X, Y, Z = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
ONE = np.eye(2)
ETA = 3.626984e-3  # GHz per V/m at 15 nm


def donor(V_t=10.0, E=0.0, B0=0.2):
    """Return H/h in GHz on charge (interface, donor) x electron x nucleus, without a change of gamma_e."""

    def on(charge, electron, nucleus):
        return np.kron(np.kron(charge, electron), nucleus)

    contact = sum(on((ONE - Z) / 2, one, one) for one in (X, Y, Z)) / 4
    zeeman = 27.97 * B0 * on(ONE, Z, ONE) / 2 - 0.01725 * B0 * on(ONE, ONE, Z) / 2
    return V_t / 2 * on(X, ONE, ONE) - ETA * E / 2 * on(Z, ONE, ONE) + zeeman + 0.117 * contact


def steps(H, times):
    """Return the product of exp(-2 pi i H dt) at midpoints."""
    dt = times[1] - times[0]
    U = np.eye(len(H(times[0])), dtype=complex)
    for t in times[:-1] + dt / 2:
        U = expm(-2j * np.pi * dt * H(t)) @ U
    return U


def test_frequencies_are_exact_for_two_spins():
    A, B0 = np.array([117.0, 58.5, 0.0]), np.array([0.02, 0.2, 1.0])
    f_ff, f_n = theory.flip_flop_frequency(A, B0), theory.nuclear_frequency(A, B0)
    for i in range(3):
        H = 27.97e3 * B0[i] * np.kron(Z, ONE) / 2 - 17.25 * B0[i] * np.kron(ONE, Z) / 2
        H = H + A[i] / 4 * sum(np.kron(one, one) for one in (X, Y, Z))
        # Of down up and up down, the middle block; down down is alone.
        low, high = np.linalg.eigvalsh(H[1:3, 1:3])
        assert f_ff[i] == pytest.approx(high - low, abs=1e-8)
        assert f_n[i] == pytest.approx(H[3, 3].real - low, abs=1e-8)


def test_spin_charge_coupling_is_the_matrix_element():
    for E in (0.0, 2000.0):
        charge = np.linalg.eigh(5 * X - ETA * E / 2 * Z)[1]
        ground, excited = (
            np.kron(charge[:, k], spins) for k, spins in ((0, [0, 1, 0, 0]), (1, [0, 0, 1, 0]))
        )
        expected = 1e3 * abs(ground.conj() @ donor(E=E) @ excited)
        assert theory.spin_charge_coupling(117.0, 10.0, ETA * E) == pytest.approx(expected, rel=1e-6)


def test_slope_and_dephasing():
    for V_t in (10.0, 20.0):
        for E in (0.0, 3000.0):
            f_n = [np.diff(np.linalg.eigvalsh(donor(V_t, E + step))[:2])[0] for step in (-1, 1)]
            slope = theory.frequency_slope(117.0, V_t, ETA * E)
            assert slope == pytest.approx(1e6 * (f_n[1] - f_n[0]) / 2, rel=0.02)
    field = np.random.default_rng(0).normal(0, 100, 100_000)
    phase = 2 * np.pi * 10.61e-3 * field * theory.dephasing_time(-10.61, 100.0)
    assert np.cos(phase).mean() == pytest.approx(np.exp(-1), abs=0.01)
    np.testing.assert_allclose(
        theory.dephasing_time([18, 10.6, 5.3, 2.65], 100), [0.125, 0.21, 0.42, 0.85], rtol=0.02
    )
    assert theory.dephasing_time(0.0, 100.0) == np.inf


@pytest.mark.parametrize(("V_t", "error"), [(10.0, 2e-3), (20.0, 1e-3)])
def test_electric_drive_of_the_flip_flop(V_t, error):
    # Rabi flips at a weak resonant drive: the flipped weight after whole periods is sin^2(2 pi c E t).
    H, per_field = donor(V_t), -ETA / 2 * np.kron(Z, np.eye(4))
    levels, vectors = np.linalg.eigh(H)
    f_ff, E_ac, n = levels[2] - levels[0], 50.0, 400
    one = steps(
        lambda t: H + E_ac * np.cos(2 * np.pi * f_ff * t) * per_field, np.linspace(0, 1 / f_ff, n + 1)
    )
    many = np.linalg.matrix_power(one, 200)
    flipped = abs(vectors[:, 2].conj() @ many @ vectors[:, 0])
    measured = np.arcsin(flipped) / (2 * np.pi * E_ac * 200 / f_ff) * 1e6
    assert theory.flip_flop_drive_per_field(117.0, V_t, f_ff) == pytest.approx(measured, rel=error)


def test_raman_coupling_of_three_levels():
    # The published example: 32 V/m and 0.4 mT, 290 MHz from the charge, turn the nucleus at 0.6 MHz.
    electron = theory.electron_drive_coupling(0.4e-3)
    flip_flop = 32e-3 * theory.flip_flop_drive_per_field(117.0, 5.592 + 0.29, 5.592)
    assert 2 * theory.raman_coupling(electron, flip_flop, 28.0) == pytest.approx(0.6, rel=0.02)
    # Two states 28 MHz below one to which both couple by 0.28 MHz: their splitting is twice the coupling.
    H = np.array([[0, 0, 0.28], [0, 0, 0.28], [0.28, 0.28, 28.0]])
    split = np.diff(np.linalg.eigvalsh(H)[:2])[0]
    assert 2 * theory.raman_coupling(0.28, 0.28, 28.0) == pytest.approx(split, rel=1e-3)


def test_bloch_siegert_shift_of_a_driven_spin():
    # Full transfer needs the drive at the shifted resonance: f + shift.
    f, B_ac = 5.559, 20e-3
    shift = 1e-6 * theory.bloch_siegert_shift(B_ac, f)

    def quasi_energy(nu):
        def H(t):
            return f / 2 * Z + 27.97 * B_ac * np.cos(2 * np.pi * nu * t) / 2 * X

        U = steps(H, np.linspace(0, 1 / nu, 201))
        return nu * np.arccos(-np.trace(U).real / 2) / np.pi

    # The splitting of quasi-energies, least at the resonance.
    offsets = np.linspace(-0.01, 0.012, 9)
    fit = np.polyfit(offsets, [quasi_energy(f + one) ** 2 for one in offsets], 3)
    resonance = np.roots(np.polyder(fit))
    assert min(abs(resonance - shift)) < 0.02 * shift


def test_sweep_through_a_crossing():
    gap, rate = 0.0585, 0.02
    times = np.linspace(-150, 150, 30_001)
    U = steps(lambda t: gap / 2 * X - rate * t / 2 * Z, times[::5])
    start, end = (np.linalg.eigh(gap / 2 * X - rate * t / 2 * Z)[1] for t in (-150, 150))
    assert abs(end[:, 1].conj() @ U @ start[:, 0]) ** 2 == pytest.approx(
        theory.landau_zener_loss(gap, rate), rel=0.05
    )
    assert theory.landau_zener_loss([0.0, 1.0], 0.0).tolist() == [1.0, 0.0]


def test_adiabaticity_is_twice_the_excited_amplitude():
    V_t, rate = 2.0, 100.0
    K = theory.adiabaticity(rate, V_t)
    np.testing.assert_allclose(theory.adiabaticity([5, 50, 500], 10.0), [2.9e-5, 2.9e-4, 2.9e-3], rtol=0.01)
    assert theory.adiabaticity(theory.safe_rate(V_t, K), V_t) == pytest.approx(K)

    def H(t):
        return V_t / 2 * X - ETA * rate * t / 2 * Z

    start, end = (np.linalg.eigh(H(t))[1] for t in (-40.0, 0.0))
    U = steps(H, np.linspace(-40, 0, 4001))
    assert 2 * abs(end[:, 1].conj() @ U @ start[:, 0]) == pytest.approx(K, rel=0.05)


def test_offset_of_a_sweep_is_a_phase():
    # A frequency that rises smoothly from 4 to 62 MHz while the field is swept.
    rate, offset, t = 500.0, 100.0, np.linspace(-40, 40, 8001)
    frequency = 33e-3 + 29e-3 * np.tanh(rate * (t + np.array([[0], [offset / rate]])) / 2000)
    nominal, early = 2 * np.pi * np.trapezoid(frequency, t)
    assert theory.sweep_phase(58.0, offset, rate) == pytest.approx(early - nominal, rel=1e-6)
    assert theory.sweep_phase(58.6, 100.0, 500.0) == pytest.approx(0.074, abs=5e-4)


def test_thermal_factor():
    for f, T in ((5.6, 0.1), (20.0, 0.1), (10.0, 0.3)):
        quantum = mpmath.mpf("6.62607015e-25") * f / (mpmath.mpf("1.380649e-23") * T)
        occupation = 1 / mpmath.expm1(quantum)
        assert theory.thermal_factor(f, T) == pytest.approx(float(1 + 2 * occupation), rel=1e-12)
    assert theory.thermal_factor(5.6, 0.0) == theory.thermal_factor(5.6, 1e-310) == 1


def test_u3_angles_make_the_target():
    haar = unitary_group.rvs(2, size=50, random_state=0)
    clifford = np.array(
        [ONE, X, Y, Z, (X + Z) / np.sqrt(2), (ONE - 1j * X) / np.sqrt(2), np.diag([1, 1j]), 1j * Y]
    )
    nearly = np.array([expm(-0.5j * angle * X) for angle in (1e-9, np.pi - 1e-9)])
    targets = np.concatenate([haar, clifford, nearly])

    def rz(angle):
        return np.exp(np.multiply.outer(angle, [-0.5j, 0.5j]))[..., None] * ONE

    x90 = expm(-0.25j * np.pi * X)
    theta, phi, lam = theory.u3_angles(targets)
    assert theta.shape == (60,)
    made = rz(phi + np.pi) @ x90 @ rz(theta + np.pi) @ x90 @ rz(lam)
    overlap = np.einsum("nij,nij->n", targets.conj(), made)
    np.testing.assert_allclose(made, targets * (overlap / 2)[:, None, None], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.spin_charge_coupling(117.0, -3), "tunnel_coupling_GHz must be above 0; got -3"),
        (lambda: theory.flip_flop_frequency("A", 0.2), "hyperfine_MHz must be numbers"),
        (lambda: theory.thermal_factor(5.6, -1), "temperature_K must be at least 0; got -1"),
        (lambda: theory.frequency_slope([1, 2], [1, 2, 3]), "do not fit together"),
        (lambda: theory.flip_flop_drive_per_field(117.0, 5.6, 5.6), "the response diverges"),
        (lambda: theory.raman_coupling(1.0, 1.0, 0.0), "detuning_MHz is 0"),
        (lambda: theory.sweep_phase(58.0, 100.0, 0.0), "which is no sweep"),
        (lambda: theory.u3_angles(np.eye(4)), r"2x2 unitary; got an array of shape \(4, 4\)"),
        (lambda: theory.u3_angles([[1, 0], [0, 2]]), r"\|U\^dag U - 1\| = 3"),
        (lambda: theory.u3_angles("x"), "2x2 unitary; got 'x'"),
        (lambda: theory.u3_angles([[np.nan, 0], [0, 1]]), r"= nan"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
