"""Two coupled donors: couplings, states at rest, and refusals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from solvable.errors import InputError
from solvable.spins.device import OPERATORS, DonorDevice
from solvable.spins.pair import DonorPair


def pair(tunnel_coupling_GHz: float, distance_nm: float) -> DonorPair:
    device = DonorDevice(tunnel_coupling_GHz=tunnel_coupling_GHz)
    return DonorPair(device, device, distance_nm)


def test_the_dipole_coupling_is_that_of_two_point_dipoles() -> None:
    # Energies of point charges +-e/2 at both ends of each dipole, in elementary charges, metres and volts.
    e, k = 1.602176634e-19, 8.9875517923e9 / 11.7
    r, d = 600e-9, 5e-9
    sides = np.array([[1, -1], [-1, 1]])
    places = np.array([0.0, d])
    distances = np.hypot(r, places[:, None] - places)
    # Terms sz1 sz2 of sum over pairs of charges (1 +- sz1)(1 +- sz2)/4 / distance.
    expected = k * e * (sides / distances).sum() / 4 * 1e-9 / 4.135667696e-15
    device = DonorDevice(depth_nm=5)
    found = DonorPair(device, device, 600.0).dipole_coupling_GHz
    assert_allclose(found, expected, rtol=1e-4)
    table = {180: 287.03, 200: 209.24, 250: 107.13, 300: 62.00, 385: 29.33, 400: 26.16}
    for r, MHz in table.items():
        assert_allclose(1e3 * pair(5.694, r).dipole_coupling_GHz, MHz, atol=0.006)


def test_each_charge_is_balanced_at_the_symmetric_field() -> None:
    two = pair(5.694, 300)
    E = two.symmetric_field_V_per_m
    assert_allclose(E, 34.187193, atol=1e-5)
    ground = two.states(E, E)[1][:, 0]
    for z in (np.kron(OPERATORS.charge_z, np.eye(8)), np.kron(np.eye(8), OPERATORS.charge_z)):
        # The hyperfine coupling of the electron at the donor pulls by less than 1 %.
        assert abs(ground @ z.real @ ground) < 0.01


def test_far_donors_have_the_levels_of_two_single_ones() -> None:
    two = pair(8.0, 1000)
    single = two.a.spectrum(0.0)
    E = two.symmetric_field_V_per_m
    found = np.linalg.eigvalsh(two.hamiltonian(E, E))
    sums = np.sort((single[:, None] + single).ravel())
    assert_allclose(found - found[0], sums, atol=2.1 * two.dipole_coupling_GHz)
    # To first order each nucleus shifts its charge by a field that the other feels: 2 f_n' / (e d / h) in sigma_z.
    shift = 2e-6 * two.a.frequency_slope_kHz_per_V_per_m() / two.a.detuning_GHz_per_V_per_m
    assert_allclose(two.zeta_kHz, 1e6 * two.dipole_coupling_GHz * shift**2, rtol=0.01)


def test_couplings_at_rest_and_in_the_drive() -> None:
    assert_allclose(pair(5.85, 200).zeta_kHz, 21.36, atol=0.01)
    assert_allclose(pair(5.694, 300).exchange(3e-4, 30.0), (62.80, 19.76), atol=0.006)
    J, zeta = pair(5.694, 300).exchange(0.0, 30.0)
    assert_allclose(zeta, pair(5.694, 300).zeta_kHz, rtol=1e-6)
    assert abs(J) < 10


def test_states_are_smooth_and_orthonormal_where_charge_and_flip_flop_cross() -> None:
    # V_t = f_ff: names of single-donor levels mean little there, but those of the nuclear states do.
    two = pair(5.5915, 300)
    E = two.symmetric_field_V_per_m + np.linspace(-3, 3, 13)
    energies, vectors = two.states(E, two.symmetric_field_V_per_m)
    assert energies.shape == (13, 4)
    assert_allclose(
        np.swapaxes(vectors, -1, -2) @ vectors, np.broadcast_to(np.eye(4), (13, 4, 4)), atol=1e-12
    )
    assert np.abs(np.diff(vectors, axis=0)).max() < 1e-3
    # Flips of nucleus b do not depend on the field at a; flips of a do, by the slope of f_n.
    flips = 1e6 * (energies[:, 2] - energies[:, 0])
    assert_allclose(np.gradient(flips, E)[6], -19.0, atol=0.8)


def test_the_energies_are_levels_of_the_hamiltonian() -> None:
    two = pair(5.694, 300)
    energies, _ = two.states(60.0, 10.0)
    levels = np.linalg.eigvalsh(two.hamiltonian(60.0, 10.0))
    for one in energies:
        assert np.abs(levels - one).min() < 1e-9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"distance_nm": -1}, "positive"),
        ({"distance_nm": 0.3}, "looks like µm"),
        ({"distance_nm": 3e-7}, "looks like m"),
        ({"distance_nm": 5000}, "looks like ångström"),
        ({"a": 3}, "a must be a DonorDevice"),
        ({"b": DonorDevice(B0_T=0.3)}, "same B0_T"),
    ],
)
def test_pairs_that_cannot_be_are_refused(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        DonorPair(**arguments)
