"""One donor: levels, names of states, effective Hamiltonian, dipoles, and what is refused."""

import numpy as np
import pytest

from solvable.errors import InputError
from solvable.spins.device import OPERATORS, DonorDevice

SWEEP = DonorDevice.preset("sweep")

# Levels in GHz above the lowest at the ionisation point, 0.2 T, by another program.
LEVELS = {
    10.0: [0, 0.03292519, 5.59204122, 5.61786483, 10.00031129, 10.03295317, 15.59231621, 15.61792553],
    5.9: [0, 0.03295684, 5.58951893, 5.61788511, 5.90292894, 5.93300427, 11.49238635, 11.51798800],
}
# Field in V/m; f_n, f_ff, f_ESR in MHz at 10 GHz and 0.2 T, by another program.
TRANSITIONS = np.array(
    [
        [-20e3, 62.281832, 5598.608849, 5536.327016],
        [-5e3, 58.861272, 5597.826789, 5538.965517],
        [-1e3, 43.009294, 5594.226361, 5551.217067],
        [0, 32.925191, 5592.041225, 5559.116034],
        [1e3, 22.854150, 5589.992678, 5567.138528],
        [5e3, 7.097927, 5586.958368, 5579.860441],
        [20e3, 3.724294, 5586.314444, 5582.590150],
    ]
)


@pytest.mark.parametrize("tunnel_coupling_GHz", LEVELS)
def test_levels(tunnel_coupling_GHz: float) -> None:
    levels = DonorDevice(tunnel_coupling_GHz=tunnel_coupling_GHz).spectrum(0.0)
    np.testing.assert_allclose(levels, LEVELS[tunnel_coupling_GHz], rtol=0, atol=6e-9)


def test_transitions() -> None:
    found = SWEEP.transitions(TRANSITIONS[:, 0])
    for name, expected in zip(("f_n_MHz", "f_ff_MHz", "f_esr_MHz"), TRANSITIONS.T[1:], strict=True):
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-6)


def test_the_hamiltonian_is_that_of_the_six_terms() -> None:
    """Element by element, from states written down by hand."""
    device, E = DonorDevice(tunnel_coupling_GHz=7.0, B0_T=0.3, delta_gamma=-0.004), 321.0
    H = device.hamiltonian(E)
    eps = device.detuning_GHz_per_V_per_m * E
    zeeman_e, zeeman_n, A = 27.97 * 0.3, 0.01725 * 0.3, 0.117
    for charge in (0, 1):
        for electron in (0, 1):
            for nucleus in (0, 1):
                z, s, i = 1 - 2 * charge, 0.5 - electron, 0.5 - nucleus
                k = 4 * charge + 2 * electron + nucleus
                g = 1 - 0.004 * (charge == 0)
                expected = -eps / 2 * z + zeeman_e * g * s - zeeman_n * i + (charge == 1) * A * s * i
                assert H[k, k] == pytest.approx(expected)
                assert H[k, (k + 4) % 8] == pytest.approx(3.5)
    assert H[5, 6] == pytest.approx(A / 2)  # flip-flop at the donor
    assert H[1, 2] == 0  # and not at the interface
    assert np.count_nonzero(H) == 8 + 8 + 2


def test_states_are_named_by_their_spins_where_levels_change_order() -> None:
    """Far on the interface's side the states 2 and 3 stand in the other order."""
    for device in (SWEEP, DonorDevice(tunnel_coupling_GHz=10.0, B0_T=0.02), DonorDevice.preset("pair")):
        E = np.linspace(-20e3, 20e3, 41)
        energies, vectors = device.states(E)
        assert np.allclose(device.hamiltonian(E) @ vectors, vectors * energies[:, None, :])
        for operator, signs in ((OPERATORS.S_z, (-1, -1, 1, 1)), (OPERATORS.I_z, (1, -1, -1, 1))):
            means = np.einsum("...is,ij,...js->...s", vectors, operator.real, vectors)
            assert (means * signs > 0.2).all()
    at = SWEEP.states([0.0, 20e3])[0]
    assert at[0, 2] < at[0, 3]
    assert at[1, 3] < at[1, 2]


def test_states_are_smooth_in_the_field() -> None:
    E = np.linspace(-3000, 3000, 601)
    vectors = SWEEP.states(E)[1]
    assert np.abs(np.diff(vectors, axis=0)).max() < 3e-3


@pytest.mark.parametrize(
    ("tunnel_coupling_GHz", "B0_T", "largest_MHz"),
    [
        (10.0, 0.2, (1.8e-6, 9.3e-6, 1.1e-5)),
        (20.0, 0.2, (2e-7, 2e-7, 4e-7)),
        (8.0, 0.2, (4.9e-6, 5.7e-5, 6.2e-5)),
        (6.5, 0.2, (2.3e-5, 1.0e-3, 1.0e-3)),
        (10.0, 0.05, (1.7e-6, 6e-7, 2.3e-6)),
        (14.0, 0.4, (1.8e-6, 3.5e-5, 3.6e-5)),
    ],
)
def test_schrieffer_wolff(tunnel_coupling_GHz: float, B0_T: float, largest_MHz: tuple) -> None:
    device = DonorDevice(tunnel_coupling_GHz=tunnel_coupling_GHz, B0_T=B0_T)
    E = np.linspace(-20e3, 20e3, 161)
    exact = np.stack([one.to_numpy() for one in device.transitions(E).data_vars.values()], -1)

    def errors(order: int) -> np.ndarray:
        energies, vectors = np.linalg.eigh(device.schrieffer_wolff(E, order))
        named = np.take_along_axis(energies, np.argmax(np.abs(vectors), axis=-1), -1)
        found = named[:, [1, 2, 2]] - named[:, [0, 0, 1]]
        return np.abs(1e3 * found - exact).max(0)

    # A tenth more than what was found, for rounding of the printed digits.
    assert (errors(2) < 1.1 * np.array(largest_MHz) + 1e-7).all()
    assert (errors(1) > 100 * errors(2)).all()
    assert errors(1).max() < 1.5


def test_slope_is_that_of_differences() -> None:
    E = np.array([-4000.0, -300.0, 0.0, 120.0, 900.0])
    step = 0.5
    after, before = (SWEEP.transitions(E + x).f_n_MHz.to_numpy() for x in (step, -step))
    slope = SWEEP.frequency_slope_kHz_per_V_per_m(E)
    np.testing.assert_allclose(slope, 1e3 * (after - before) / (2 * step), rtol=1e-5)
    # -(A / 4) (e d / h) / V_t, without corrections of the next order.
    assert slope[2] == pytest.approx(-117 / 4 * SWEEP.detuning_GHz_per_V_per_m / 10 * 1e3, rel=0.02)


def test_electric_dipole_is_the_response_of_energies_and_states() -> None:
    device, E, step = SWEEP, 200.0, 1e-2
    debye_per_GHz = 6.62607015e-34 * 1e9 / 3.33564e-30
    found = device.dipoles(E).electric_Debye.to_numpy()
    energies, vectors = device.states(E)
    up, down = device.states(E + step), device.states(E - step)
    # -dH/dE is the dipole: on the diagonal -dE_a/dE, beside it <a|db/dE> (E_b - E_a) with the sign of first order.
    diagonal = -(up[0] - down[0]) / (2 * step) * debye_per_GHz
    np.testing.assert_allclose(np.diag(found), diagonal, rtol=1e-5)
    change = vectors.T @ (up[1] - down[1]) / (2 * step)  # <a|db/dE>
    element = -change[0, 2] * (energies[2] - energies[0]) * debye_per_GHz
    assert found[0, 2] == pytest.approx(element, rel=1e-5)
    assert np.allclose(found, found.T)


def test_magnetic_matrix_elements_are_those_of_free_spins_far_from_the_donor() -> None:
    found = SWEEP.dipoles(50e3).magnetic_GHz_per_T.to_numpy()
    assert abs(found[1, 2]) == pytest.approx(27.97 / 2, rel=1e-5)
    assert abs(found[0, 3]) == pytest.approx(27.97 / 2, rel=1e-5)
    assert abs(found[0, 1]) == pytest.approx(0.01725 / 2, rel=0.02)


def test_no_coupling_without_hyperfine_interaction() -> None:
    device = DonorDevice(hyperfine_MHz=0.0)
    assert device.distance_to_crossing(0.0) == np.inf
    assert abs(device.dipoles().electric_Debye[0, 2]) < 1e-12
    assert device.transitions(0.0).f_n_MHz == pytest.approx(17.25 * 0.2, rel=1e-9)


def test_where_charge_and_flip_flop_cross_names_are_doubted() -> None:
    device = DonorDevice(tunnel_coupling_GHz=5.6)
    with pytest.warns(UserWarning, match="within 3 times their coupling"):
        device.states(0.0)
    with pytest.raises(InputError, match="expansion fails; use spectrum"):
        device.schrieffer_wolff(0.0)
    near = DonorDevice(tunnel_coupling_GHz=5.7)  # between 3 and 5 couplings: named, but not expanded
    assert 3 < near.distance_to_crossing(0.0) < 5
    near.states(0.0)
    with pytest.raises(InputError, match="within 5 times"):
        near.schrieffer_wolff([1e4, 0.0])


def test_presets_and_units() -> None:
    couplings = [DonorDevice.preset(name).tunnel_coupling_GHz for name in ("robust", "sweep", "pair")]
    assert couplings == [20, 10, 5.694]
    assert DonorDevice().detuning_GHz(100.0) == pytest.approx(0.3626984, rel=1e-6)
    assert DonorDevice().field_V_per_m(DonorDevice().detuning_GHz(123.0)) == pytest.approx(123.0)
    assert DonorDevice().hyperfine_at_MHz([-1e5, 0.0, 1e5]) == pytest.approx([117, 58.5, 0], abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"tunnel_coupling_GHz": -3}, "tunnel_coupling_GHz must be positive; got -3"),
        ({"tunnel_coupling_GHz": 10e9}, r"expected 1 to 100 GHz; this looks like Hz"),
        ({"tunnel_coupling_GHz": 10e3}, r"expected 1 to 100 GHz; this looks like MHz"),
        ({"tunnel_coupling_GHz": float("nan")}, "tunnel_coupling_GHz must be one number; got nan"),
        ({"tunnel_coupling_GHz": "ten"}, "tunnel_coupling_GHz must be one number; got 'ten'"),
        ({"B0_T": 200}, "B0_T is 200; expected 0.02 to 2 T; this looks like mT"),
        ({"B0_T": 0}, "B0_T must be positive; got 0"),
        ({"depth_nm": 15e-9}, "expected 5 to 30 nm; this looks like m$"),
        ({"hyperfine_MHz": 0.117}, "expected MHz, and this looks like GHz"),
        ({"hyperfine_MHz": 117e6}, "expected 0 to 120 MHz; this looks like Hz"),
        ({"gamma_n_MHz_per_T": 0.01725}, "this looks like GHz/T"),
        ({"delta_gamma": -2}, "delta_gamma is -2; expected -0.01 to 0.01$"),
        ({"eps_r": [11, 12]}, "eps_r must be one number; got 2 values"),
    ],
)
def test_a_device_that_cannot_be_is_refused(arguments: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        DonorDevice(**arguments)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: SWEEP.spectrum(2.5e6), r"2.5e\+06 V/m, outside of \+-1e5 V/m; did you pass kV/m twice"),
        (lambda: SWEEP.spectrum([0.0, float("nan")]), "E_V_per_m"),
        (lambda: SWEEP.spectrum("far"), "E_V_per_m must be numbers"),
        (lambda: SWEEP.hamiltonian(B_x_T=0.4), "B_x_T must be at least -0.1 and at most 0.1; got 0.4"),
        (lambda: SWEEP.hamiltonian([0, 1], [0, 1e-4, 0]), "do not fit together"),
        (lambda: SWEEP.transitions([[0.0]]), "one number or a list of them"),
        (lambda: SWEEP.schrieffer_wolff(0.0, order=3), "unknown order '3'"),
        (lambda: DonorDevice.preset("swep"), "did you mean 'sweep'"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()
