r"""Closed forms for a donor's spins: frequencies, couplings, noise, sweeps and virtual Z rotations.

They are estimates to plan with; `device` and `pair` have the exact levels. With the detuning
$\varepsilon = e d E / h$ of the field E from the ionisation point, the charge has the splitting
$\varepsilon_o = \sqrt{V_t^2 + \varepsilon^2}$. Couplings are matrix elements: half of a Rabi frequency. All
arguments broadcast against each other.

Sources: Tosi et al., Nature Communications 8, 450 (2017), and Physical Review B 98, 075313 (2018); where a
docstring says "derived", the formula is our own.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solvable.checks import broadcast, numbers
from solvable.errors import InputError

Array = NDArray[np.float64]

_E_OVER_H = 1.602176634e-19 / 6.62607015e-34  # Hz per V, exact in the SI
_DETUNING = 1e-18 * _E_OVER_H  # e d / h in GHz, per V/m of the field and nm of the depth
_H_OVER_K = 6.62607015e-34 / 1.380649e-23 * 1e9  # K per GHz, exact in the SI


def flip_flop_frequency(
    hyperfine_MHz: ArrayLike,
    B0_T: ArrayLike,
    gamma_e_GHz_per_T: ArrayLike = 27.97,
    gamma_n_MHz_per_T: ArrayLike = 17.25,
) -> Array:
    r"""Return $f_{ff} = \sqrt{[(\gamma_e + \gamma_n) B_0]^2 + A^2}$ in MHz, down up to up down (electron, nucleus).

    The charge's excited state is left out, so this is too high by the dispersive shift
    $g_{so}^2 / (\varepsilon_o - f_{ff})$ at most.

    Args:
        hyperfine_MHz: A at this field, as `DonorDevice.hyperfine_at_MHz` returns it.
        B0_T: static magnetic field.
        gamma_e_GHz_per_T: gyromagnetic ratio of the electron, mean over donor and interface.
        gamma_n_MHz_per_T: that of the nucleus.

    Source: Tosi et al. (2017).

    >>> float(flip_flop_frequency(58.5, 0.2, 27.97 * 0.999).round(2))
    5592.16
    """
    A, B, gamma_e, gamma_n = _arrays(locals())
    return np.hypot((1e3 * gamma_e + gamma_n) * B, A)


def nuclear_frequency(
    hyperfine_MHz: ArrayLike,
    B0_T: ArrayLike,
    gamma_e_GHz_per_T: ArrayLike = 27.97,
    gamma_n_MHz_per_T: ArrayLike = 17.25,
) -> Array:
    r"""Return $f_n = A/2 + [f_{ff} - (\gamma_e - \gamma_n) B_0] / 2$ in MHz, down up to down down.

    The electron's resonance, down down to up down, is at $f_{ff} - f_n$. Arguments and source as in
    `flip_flop_frequency`.

    >>> float(nuclear_frequency(58.5, 0.2, 27.97 * 0.999).round(2))
    32.85
    """
    A, B, gamma_e, gamma_n = _arrays(locals())
    f_ff = np.hypot((1e3 * gamma_e + gamma_n) * B, A)
    return A / 2 + (f_ff - (1e3 * gamma_e - gamma_n) * B) / 2


def spin_charge_coupling(
    hyperfine_MHz: ArrayLike, tunnel_coupling_GHz: ArrayLike, detuning_GHz: ArrayLike = 0.0
) -> Array:
    r"""Return $g_{so} = A V_t / (4 \varepsilon_o)$ in MHz, by which flip-flop and charge repel each other.

    Args:
        hyperfine_MHz: A of the electron at the donor.
        tunnel_coupling_GHz: $V_t$, > 0.
        detuning_GHz: $\varepsilon$.

    Source: Tosi et al. (2017).

    >>> float(spin_charge_coupling(117.0, 10.0))
    29.25
    """
    A, V, eps = _arrays(locals())
    return A * V / (4 * np.hypot(V, eps))


def frequency_slope(
    hyperfine_MHz: ArrayLike,
    tunnel_coupling_GHz: ArrayLike,
    detuning_GHz: ArrayLike = 0.0,
    depth_nm: ArrayLike = 15.0,
) -> Array:
    r"""Return $d f_n / d E = -(A/4) (e d / h) V_t^2 / \varepsilon_o^3$ in kHz per V/m.

    It is the derivative of A/2; that of the flip-flop adds about 1 %. Derived.

    >>> frequency_slope(117.0, [5.9, 10.0, 20.0]).round(2)
    array([-17.98, -10.61,  -5.3 ])
    """
    A, V, eps, d = _arrays(locals())
    return -1e3 * A / 4 * _DETUNING * d * V**2 / np.hypot(V, eps) ** 3


def dephasing_time(slope_kHz_per_V_per_m: ArrayLike, sigma_V_per_m: ArrayLike) -> Array:
    r"""Return $T_2^* = 1 / (\sqrt{2} \pi |f'| \sigma)$ in us, after which quasi-static noise leaves 1/e of a coherence.

    Args:
        slope_kHz_per_V_per_m: $f'$, the derivative of the qubit's frequency by the field.
        sigma_V_per_m: standard deviation of the field, at least 0.

    Source: textbook (mean of a phase with a normal distribution).

    >>> float(dephasing_time(-10.61, 100.0).round(3))
    0.212
    """
    slope, sigma = _arrays(locals())
    with np.errstate(divide="ignore"):
        return 1e3 / (np.sqrt(2) * np.pi * np.abs(slope) * sigma)


def electron_drive_coupling(B_ac_T: ArrayLike, gamma_e_GHz_per_T: ArrayLike = 27.97) -> Array:
    r"""Return $g_B = \gamma_e B_{ac} / 4$ in MHz, for a linear drive $B_{ac} \cos(2 \pi \nu t)$.

    The rotating amplitude of such a drive, `B_x_T` of a device's Hamiltonian, is $B_{ac} / 2$.

    Source: Tosi et al. (2018).

    >>> float(electron_drive_coupling(0.4e-3).round(3))
    2.797
    """
    B, gamma_e = _arrays(locals())
    return 1e3 * gamma_e * B / 4


def raman_coupling(electron_MHz: ArrayLike, flip_flop_MHz: ArrayLike, detuning_MHz: ArrayLike) -> Array:
    r"""Return $g_B g_{ff} / \delta$ in MHz, of the nuclear states through the electron's excited ones.

    Args:
        electron_MHz: $g_B$, from `electron_drive_coupling`.
        flip_flop_MHz: $g_{ff}$, of the electric drive: `flip_flop_drive_per_field` times its amplitude.
        detuning_MHz: $\delta$ of both drives, much larger than the couplings, so that these states are empty.

    Source: Tosi et al. (2018), for equal detunings.

    >>> float(raman_coupling(2.8, 2.93, 28.0).round(3))
    0.293
    """
    electron, flip_flop, detuning = _arrays(locals())
    if (detuning == 0).any():
        raise InputError(
            "detuning_MHz is 0, which fills the excited states; expected more than the couplings"
        )
    return electron * flip_flop / detuning


def flip_flop_drive_per_field(
    hyperfine_MHz: ArrayLike,
    tunnel_coupling_GHz: ArrayLike,
    flip_flop_GHz: ArrayLike,
    depth_nm: ArrayLike = 15.0,
) -> Array:
    r"""Return $c = \frac{A}{8} \frac{e d}{h V_t} / (1 - f_{ff}^2 / V_t^2)$ in kHz per V/m, at the ionisation point.

    A resonant drive $E_{ac} \cos(2 \pi f_{ff} t)$ couples the flip-flop states by $c E_{ac}$. Derived: the
    linear response of $\sigma_z$, with the counter-rotating half; at 10 GHz 0.1 % above the exact value for
    weak drives.

    Raises:
        InputError: where $V_t = f_{ff}$, since the response diverges.

    >>> flip_flop_drive_per_field(117.0, [10.0, 20.0], 5.592).round(3)
    array([7.718, 2.877])
    """
    A, V, f, d = _arrays(locals())
    if (f == V).any():
        raise InputError("tunnel_coupling_GHz and flip_flop_GHz are equal, where the response diverges")
    return 1e3 * A / 8 * _DETUNING * d / V / (1 - (f / V) ** 2)


def bloch_siegert_shift(
    B_ac_T: ArrayLike, frequency_GHz: ArrayLike, gamma_e_GHz_per_T: ArrayLike = 27.97
) -> Array:
    r"""Return $(\gamma_e B_{ac} / 2)^2 / (4 f)$ in kHz, by which a linear drive raises the electron's resonance.

    It is what the rotating-wave approximation leaves out, to second order. Source: textbook.

    >>> float(bloch_siegert_shift(0.4e-3, 5.559).round(2))
    1.41
    """
    B, f, gamma_e = _arrays(locals())
    return 1e6 * (gamma_e * B / 2) ** 2 / (4 * f)


def landau_zener_loss(gap_GHz: ArrayLike, rate_GHz_per_ns: ArrayLike) -> Array:
    r"""Return $\exp(-\pi^2 \Delta^2 / |v|)$, the probability to jump across an avoided crossing.

    Args:
        gap_GHz: $\Delta$, the smallest splitting: $V_t$ of the charge, $2 g_{so}$ of flip-flop and charge.
        rate_GHz_per_ns: v, by which the splitting grows far from the crossing.

    Source: Landau, Zener, Stückelberg and Majorana (1932).

    >>> float(landau_zener_loss(0.0585, [0.01]).round(4)[0])
    0.0341
    """
    gap, rate = _arrays(locals())
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gap == 0, 1.0, np.exp(-((np.pi * gap) ** 2) / np.abs(rate)))


def adiabaticity(
    rate_V_per_m_ns: ArrayLike,
    tunnel_coupling_GHz: ArrayLike,
    detuning_GHz: ArrayLike = 0.0,
    depth_nm: ArrayLike = 15.0,
) -> Array:
    r"""Return $K = |d\varepsilon/dt| V_t / (2 \pi \varepsilon_o^3)$; the charge follows a sweep if $K \ll 1$.

    K is twice the amplitude of the excited charge state that a constant rate keeps up. Derived.

    >>> float(adiabaticity(50.0, 10.0).round(6))
    0.000289
    """
    v, V, eps, d = _arrays(locals())
    return np.abs(v) * _DETUNING * d * V / (2 * np.pi * np.hypot(V, eps) ** 3)


def safe_rate(
    tunnel_coupling_GHz: ArrayLike, largest_adiabaticity: ArrayLike = 0.05, depth_nm: ArrayLike = 15.0
) -> Array:
    """Return the rate in V/m per ns at which a sweep through the ionisation point reaches this `adiabaticity`.

    >>> float(safe_rate(10.0).round())
    8662.0
    """
    V, K, d = _arrays(locals())
    return 2 * np.pi * K * V**2 / (_DETUNING * d)


def sweep_phase(
    frequency_change_MHz: ArrayLike, offset_V_per_m: ArrayLike, rate_V_per_m_ns: ArrayLike
) -> Array:
    r"""Return $2 \pi (f_2 - f_1) \delta E / v$ in rad, the Z rotation that an error of the field adds to a sweep.

    A linear sweep with the offset $\delta E$ is the same sweep, earlier by $\delta E / v$: it spends so much
    less time at the first frequency and more at the last. Derived; exact if the frequency is flat at both
    ends.

    >>> float(sweep_phase(58.6, 100.0, 500.0).round(3))
    0.074
    """
    change, offset, rate = _arrays(locals())
    if (rate == 0).any():
        raise InputError("rate_V_per_m_ns is 0, which is no sweep; expected a positive or negative rate")
    return 2e-3 * np.pi * change * offset / rate


def thermal_factor(frequency_GHz: ArrayLike, temperature_K: ArrayLike) -> Array:
    r"""Return $\coth(h f / 2 k T)$, by which a bath at T relaxes a charge faster than one at T = 0.

    Source: textbook (detailed balance: emission and absorption together).

    >>> thermal_factor(5.6, [0.0, 0.1, 0.3]).round(2)
    array([1.  , 1.15, 2.38])
    """
    f, T = _arrays(locals())
    with np.errstate(divide="ignore", over="ignore"):
        return 1 / np.tanh(_H_OVER_K * f / (2 * T))


def u3_angles(target: ArrayLike) -> tuple[Array, Array, Array]:
    r"""Return theta, phi, lambda in rad of a gate that is made of two quarter turns about x and virtual Z rotations.

    Up to a phase, the target is
    $R_z(\phi + \pi)\, R_x(\pi/2)\, R_z(\theta + \pi)\, R_x(\pi/2)\, R_z(\lambda)$,
    where $R_z(p) = \mathrm{diag}(e^{-ip/2}, e^{ip/2})$.

    Args:
        target: unitaries, of shape (..., 2, 2).

    Returns:
        Three arrays of shape (...), theta in [0, pi].

    Raises:
        InputError: for another shape, or if a matrix is not unitary to 1e-6.

    Source: textbook (angles of Euler).

    >>> [float(angle.round(3)) for angle in u3_angles([[0.6, -0.8], [0.8, 0.6]])]
    [1.855, 0.0, 0.0]
    """
    try:
        U = np.asarray(target, dtype=np.complex128)
    except (TypeError, ValueError):
        raise InputError(f"target must be a 2x2 unitary; got {target!r}") from None
    if U.shape[-2:] != (2, 2):
        raise InputError(f"target must be a 2x2 unitary; got an array of shape {U.shape}")
    if not (error := np.abs(np.swapaxes(U.conj(), -1, -2) @ U - np.eye(2)).max(initial=0)) < 1e-6:
        raise InputError(f"target must be a 2x2 unitary; |U^dag U - 1| = {error:.2g}")
    a, b, c, d = U[..., 0, 0], U[..., 0, 1], U[..., 1, 0], U[..., 1, 1]
    theta = 2 * np.arctan2(np.abs(c), np.abs(a))
    # Products of two large entries: phases of small entries alone would be those of rounding errors.
    total, difference = np.angle(d * a.conj()), np.angle(-c * b.conj())
    # Both are known up to 2 pi, so their half sum up to pi; the first column decides.
    phi = (total + difference) / 2
    phi = phi + np.pi * ((c * a.conj() * np.exp(-1j * phi)).real < 0)
    return theta, phi, total - phi


_ABOVE_0 = ("tunnel_coupling_GHz", "frequency_GHz", "flip_flop_GHz", "depth_nm", "largest_adiabaticity")
_AT_LEAST_0 = ("hyperfine_MHz", "temperature_K", "sigma_V_per_m", "gap_GHz")


def _arrays(arguments: dict[str, ArrayLike]) -> list[Array]:
    """Return the arguments of a function as arrays of one shape, each in its range."""
    checked = {}
    for name, value in arguments.items():
        above, at_least = 0 if name in _ABOVE_0 else -np.inf, 0 if name in _AT_LEAST_0 else -np.inf
        checked[name] = numbers(name, value, above=above, at_least=at_least)
    return broadcast(**checked)
