r"""One phosphorus donor in silicon below a gate: Hamiltonian, levels, transitions and dipoles.

The electron of the donor is shared with the interface above it (charge: $\sigma_z = 1$ at the interface, $-1$ at the
donor); with the spins of electron and nucleus this makes $2 \times 2 \times 2 = 8$ levels. In GHz

$$H = \frac{V_t}{2} \sigma_x - \frac{\varepsilon}{2} \sigma_z
    + \gamma_e B_0 \left(1 + \Delta_\gamma \frac{1 + \sigma_z}{2}\right) S_z - \gamma_n B_0 I_z
    + A \frac{1 - \sigma_z}{2} \mathbf{S} \cdot \mathbf{I}, \qquad \varepsilon = \frac{e d E}{h}$$

with the field $E$ measured from the ionisation point, where donor and interface have the same energy.
Source: Tosi et al., Nature Communications 8, 450 (2017), arXiv:1509.08538.
"""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.constants import e, h

from solvable.checks import broadcast, choice, numbers, one_number
from solvable.errors import InputError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

PAPER = (
    "J. Simon, F. A. Calderon-Vargas, E. Barnes, S. E. Economou, Fast noise-resistant control of donor nuclear spin "
    "qubits in silicon, Phys. Rev. B 101, 205307, 2020, arXiv:2001.10029"
)
"""The paper of the wing."""

LARGEST_FIELD_V_PER_M = 1e5
# Of the magnetic field of a drive: that of a large on-chip antenna is a few mT.
_LARGEST_DRIVE_T = 0.1
_DEBYE = 3.33564e-30  # C m
# Distances of charge and flip-flop, in units of their coupling, at which names of levels, and the expansion, fail.
_CLOSE, _TOO_CLOSE = 3.0, 5.0


def _kron(charge: NDArray[Any], electron: NDArray[Any], nucleus: NDArray[Any]) -> Complex:
    return np.kron(np.kron(charge, electron), nucleus).astype(np.complex128)


_ONE, _X = np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])
_Y, _Z = np.array([[0.0, -1.0j], [1.0j, 0.0]]), np.diag([1.0, -1.0])


class Operators(NamedTuple):
    """Operators on charge (interface, donor) x electron (up, down) x nucleus (up, down), each (8, 8)."""

    charge_x: Complex = _kron(_X, _ONE, _ONE)
    charge_z: Complex = _kron(_Z, _ONE, _ONE)
    S_x: Complex = _kron(_ONE, _X, _ONE) / 2
    S_y: Complex = _kron(_ONE, _Y, _ONE) / 2
    S_z: Complex = _kron(_ONE, _Z, _ONE) / 2
    I_x: Complex = _kron(_ONE, _ONE, _X) / 2
    I_y: Complex = _kron(_ONE, _ONE, _Y) / 2
    I_z: Complex = _kron(_ONE, _ONE, _Z) / 2
    at_interface: Complex = _kron(np.diag([1.0, 0.0]), _ONE, _ONE)
    S_dot_I: Complex = sum(_kron(_ONE, s, s) for s in (_X, _Y, _Z)) / 4  # pyright: ignore[reportAssignmentType]


OPERATORS = Operators()

# The spins (electron, nucleus) of the states 0 to 3: down up, down down, up down, up up.
SPINS_OF_STATES = (2, 3, 1, 0)


@dataclass(frozen=True)
class DonorDevice:
    """A donor and what surrounds it; the defaults are those of the robust gate.

    Attributes:
        tunnel_coupling_GHz: $V_t$, 1 to 100; tunable over orders of magnitude (Tosi et al., 2017).
        B0_T: static magnetic field, 0.02 to 2; 0.4 in Tosi et al. (2017).
        depth_nm: distance of donor and interface d, 5 to 30; 15 in Tosi et al. (2017).
        hyperfine_MHz: $A$ of the electron at the donor, 0 to 120; 117 for P in Si.
        gamma_e_GHz_per_T: gyromagnetic ratio of the electron at the donor.
        gamma_n_MHz_per_T: that of the nucleus.
        delta_gamma: relative change of `gamma_e_GHz_per_T` at the interface, -0.01 to 0.01; -0.002 is a typical
            value, and that of a real device is to be measured.
        eps_r: relative permittivity, for the coupling of two donors; 11.7 for Si.

    Raises:
        InputError: for numbers out of range, with the likely unit.

    >>> DonorDevice(tunnel_coupling_GHz=10).transitions(0.0).f_n_MHz.item().__round__(4)
    32.9252
    """

    tunnel_coupling_GHz: float = 20.0
    B0_T: float = 0.2
    depth_nm: float = 15.0
    hyperfine_MHz: float = 117.0
    gamma_e_GHz_per_T: float = 27.97
    gamma_n_MHz_per_T: float = 17.25
    delta_gamma: float = -0.002
    eps_r: float = 11.7

    def __post_init__(self) -> None:
        ranges = {
            "tunnel_coupling_GHz": (1, 100, "GHz", {1e9: "Hz", 1e3: "MHz"}),
            "B0_T": (0.02, 2, "T", {1e3: "mT", 10: "mT"}),
            "depth_nm": (5, 30, "nm", {1e-9: "m", 1e-3: "µm"}),
            "hyperfine_MHz": (0, 120, "MHz", {1e6: "Hz", 1e3: "kHz"}),
            "gamma_e_GHz_per_T": (1, 100, "GHz/T", {1e9: "Hz/T", 1e3: "MHz/T"}),
            "gamma_n_MHz_per_T": (1, 100, "MHz/T", {1e6: "Hz/T", 1e-3: "GHz/T"}),
            "delta_gamma": (-0.01, 0.01, "", {}),
            "eps_r": (1, 100, "", {}),
        }
        for name, (low, high, unit, factors) in ranges.items():
            value = one_number(name, getattr(self, name))
            if low > 0 >= value:
                raise InputError(f"{name} must be positive; got {value:g}")
            if not low <= value <= high:
                looks = [other for factor, other in factors.items() if low <= value / factor <= high]
                hint = f"; this looks like {looks[0]}" if looks else ""
                raise InputError(f"{name} is {value:g}; expected {low:g} to {high:g} {unit}".rstrip() + hint)
        if 0 < self.hyperfine_MHz < 1:
            raise InputError(
                f"hyperfine_MHz is {self.hyperfine_MHz:g}; expected MHz, and this looks like GHz"
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "DonorDevice":
        """Return a device: `robust` (20 GHz), `sweep` (10 GHz) or `pair` (5.694 GHz, near the flip-flop frequency).

        >>> DonorDevice.preset("sweep", B0_T=0.4).tunnel_coupling_GHz
        10.0
        """
        coupling = {"robust": 20.0, "sweep": 10.0, "pair": 5.694}[
            choice("preset", name, ("robust", "sweep", "pair"))
        ]
        return replace(cls(tunnel_coupling_GHz=coupling), **changes)

    @cached_property
    def detuning_GHz_per_V_per_m(self) -> float:
        """$e d / h$: 3.627 MHz per V/m for a donor at 15 nm."""
        return e * self.depth_nm * 1e-9 / h * 1e-9

    def detuning_GHz(self, E_V_per_m: ArrayLike) -> Array:
        r"""Return $\varepsilon = e d E / h$."""
        return self.detuning_GHz_per_V_per_m * field(E_V_per_m)

    def field_V_per_m(self, detuning_GHz: ArrayLike) -> Array:
        r"""Return the field of a detuning, $E = h \varepsilon / (e d)$."""
        return np.asarray(detuning_GHz, dtype=np.float64) / self.detuning_GHz_per_V_per_m

    def charge_splitting_GHz(self, E_V_per_m: ArrayLike) -> Array:
        r"""Return $\varepsilon_o = \sqrt{V_t^2 + \varepsilon^2}$."""
        return np.hypot(self.tunnel_coupling_GHz, self.detuning_GHz(E_V_per_m))

    def hyperfine_at_MHz(self, E_V_per_m: ArrayLike) -> Array:
        r"""Return $A (1 - \varepsilon / \varepsilon_o) / 2$, the hyperfine coupling of the charge's ground state."""
        ratio = self.detuning_GHz(E_V_per_m) / self.charge_splitting_GHz(E_V_per_m)
        return self.hyperfine_MHz * (1 - ratio) / 2

    @cached_property
    def static(self) -> Complex:
        """The Hamiltonian at the ionisation point, without drive, in GHz (8, 8)."""
        op, B0 = OPERATORS, self.B0_T
        electron = self.gamma_e_GHz_per_T * B0 * (op.S_z + self.delta_gamma * op.at_interface @ op.S_z)
        nucleus = -1e-3 * self.gamma_n_MHz_per_T * B0 * op.I_z
        at_donor = np.eye(8) - op.at_interface
        hyperfine = 1e-3 * self.hyperfine_MHz * at_donor @ op.S_dot_I
        return self.tunnel_coupling_GHz / 2 * op.charge_x + electron + nucleus + hyperfine

    @cached_property
    def per_field(self) -> Complex:
        r"""$\partial H / \partial E = -(e d / 2 h) \sigma_z$ in GHz per V/m (8, 8)."""
        return -self.detuning_GHz_per_V_per_m / 2 * OPERATORS.charge_z

    @cached_property
    def per_tesla(self) -> Complex:
        r"""$\gamma_e S - \gamma_n I$ along x and y in GHz per T (2, 8, 8)."""
        op, gamma_n = OPERATORS, 1e-3 * self.gamma_n_MHz_per_T
        gamma_e = self.gamma_e_GHz_per_T
        return np.stack([gamma_e * op.S_x - gamma_n * op.I_x, gamma_e * op.S_y - gamma_n * op.I_y])

    def hamiltonian(
        self,
        E_V_per_m: ArrayLike = 0.0,
        B_x_T: ArrayLike = 0.0,
        B_y_T: ArrayLike = 0.0,
        frame_GHz: float = 0.0,
    ) -> Complex:
        r"""Return $H$ in GHz, in a frame that turns both spins at `frame_GHz`.

        A linear drive $B_{ac} \cos(2 \pi \nu_B t)$ is, in the frame $\nu_B$ and without its counter-rotating part, a
        constant field of half its amplitude: `B_x_T` is $B_{ac} / 2$.

        Args:
            E_V_per_m: field from the ionisation point, -1e5 to 1e5.
            B_x_T: rotating magnetic drive along x.
            B_y_T: rotating magnetic drive along y.
            frame_GHz: the frame's frequency.

        Returns:
            The common shape of the arguments + (8, 8), charge (interface, donor) x electron (up, down) x nucleus (up,
            down).

        >>> DonorDevice().hamiltonian([0.0, 100.0]).shape
        (2, 8, 8)
        """
        E, B_x, B_y = broadcast(
            E_V_per_m=field(E_V_per_m),
            B_x_T=numbers("B_x_T", B_x_T, at_least=-_LARGEST_DRIVE_T, at_most=_LARGEST_DRIVE_T),
            B_y_T=numbers("B_y_T", B_y_T, at_least=-_LARGEST_DRIVE_T, at_most=_LARGEST_DRIVE_T),
        )
        frame = one_number("frame_GHz", frame_GHz) * (OPERATORS.S_z + OPERATORS.I_z)
        x, y = self.per_tesla
        drive = B_x[..., None, None] * x + B_y[..., None, None] * y
        return self.static - frame + E[..., None, None] * self.per_field + drive

    def spectrum(self, E_V_per_m: ArrayLike = 0.0) -> Array:
        """Return the eight levels in GHz above the lowest, ascending, the shape of `E_V_per_m` + (8,).

        >>> DonorDevice.preset("sweep").spectrum(0.0).round(4).tolist()
        [0.0, 0.0329, 5.592, 5.6179, 10.0003, 10.033, 15.5923, 15.6179]
        """
        levels = np.linalg.eigvalsh(self.hamiltonian(E_V_per_m))
        return levels - levels[..., :1]

    def states(self, E_V_per_m: ArrayLike = 0.0) -> tuple[Array, Array]:
        """Return energies in GHz (..., 4) and vectors (..., 8, 4) of the states 0 to 3 at rest.

        These have the charge in its ground state and the spins (electron, nucleus) down up, down down, up down and up
        up. They are named by what they consist of, not by their order. The gauge is smooth in the field: each vector
        is real, its component along the ground state of the charge with these spins positive.
        """
        E = field(E_V_per_m)
        self._warn_if_levels_mix(E)
        energies, vectors = np.linalg.eigh(self.hamiltonian(E).real)
        # Ground state of the charge, by the angle of the field (V_t, -eps): lower eigenvector of V_t sx - eps sz.
        half = np.arctan2(self.tunnel_coupling_GHz, -self.detuning_GHz(E)) / 2
        ground = np.stack([-np.sin(half), np.cos(half)], -1)  # (..., charge)
        spins = np.eye(4)[list(SPINS_OF_STATES)]
        pure = np.einsum("...c,sk->...cks", ground, spins).reshape(*E.shape, 8, 4)
        overlap = np.swapaxes(vectors, -1, -2) @ pure  # (..., level, state)
        # Down up is the lowest of its sector; by weight the others are unique away from crossings.
        which = np.argmax(np.abs(overlap), axis=-2)
        chosen = np.take_along_axis(vectors, which[..., None, :], -1)
        sign = np.sign(np.take_along_axis(overlap, which[..., None, :], -2))
        return np.take_along_axis(energies, which, -1), chosen * sign

    def transitions(self, E_V_per_m: ArrayLike = 0.0) -> xr.Dataset:
        """Return the three transition frequencies in MHz against the field.

        Returns:
            Dataset on `E_V_per_m` with `f_n_MHz` (nuclear spin, states 0 and 1), `f_ff_MHz` (flip-flop, 0 and 2) and
            `f_esr_MHz` (electron spin, 1 and 2).

        >>> DonorDevice.preset("sweep").transitions([0.0]).f_ff_MHz.item().__round__(3)
        5592.041
        """
        E = field(E_V_per_m)
        energies = 1e3 * self.states(E)[0]
        dims = () if E.ndim == 0 else ("E_V_per_m",)
        if E.ndim > 1:
            raise InputError(
                f"E_V_per_m must be one number or a list of them; got an array of shape {E.shape}"
            )
        pairs = {"f_n_MHz": (0, 1), "f_ff_MHz": (0, 2), "f_esr_MHz": (1, 2)}
        return xr.Dataset(
            {name: (dims, energies[..., b] - energies[..., a]) for name, (a, b) in pairs.items()},
            coords={"E_V_per_m": (dims, E)},
        )

    def frequency_slope_kHz_per_V_per_m(self, E_V_per_m: ArrayLike = 0.0) -> Array:
        r"""Return $d f_n / d E$ exactly (Hellmann and Feynman): what charge noise does to the idle nuclear spin.

        >>> round(float(DonorDevice.preset("sweep").frequency_slope_kHz_per_V_per_m(0.0)), 2)
        -10.72
        """
        vectors = self.states(E_V_per_m)[1]
        slopes = np.einsum("...is,ij,...js->...s", vectors, self.per_field.real, vectors)
        return 1e6 * (slopes[..., 1] - slopes[..., 0])

    def dipoles(self, E_V_per_m: float = 0.0) -> xr.Dataset:
        r"""Return the matrix elements that drives couple to, between the states 0 to 3.

        Returns:
            Dataset with `electric_Debye`, $\langle a| e d \sigma_z / 2 |b \rangle$, and `magnetic_GHz_per_T`,
            $\langle a| \gamma_e S_x - \gamma_n I_x |b \rangle$, both (4, 4).

        >>> float(abs(DonorDevice().dipoles().electric_Debye[0, 2])).__round__(1)
        1.1
        """
        vectors = self.states(one_number("E_V_per_m", E_V_per_m))[1]
        moment = e * self.depth_nm * 1e-9 / 2 / _DEBYE
        electric = moment * vectors.T @ OPERATORS.charge_z.real @ vectors
        magnetic = vectors.T @ self.per_tesla[0].real @ vectors
        return xr.Dataset(
            {
                "electric_Debye": (("state", "other"), electric),
                "magnetic_GHz_per_T": (("state", "other"), magnetic),
            },
            coords={"state": range(4), "other": range(4)},
        )

    @cached_property
    def spin_charge_coupling_GHz(self) -> float:
        """$A / 4$, by which flip-flop and charge repel each other at the ionisation point."""
        return 1e-3 * self.hyperfine_MHz / 4

    @property
    def zeeman_GHz(self) -> float:
        r"""$(\gamma_e + \gamma_n) B_0$, the flip-flop frequency but for the hyperfine coupling."""
        return (self.gamma_e_GHz_per_T + 1e-3 * self.gamma_n_MHz_per_T) * self.B0_T

    def distance_to_crossing(self, E_V_per_m: ArrayLike) -> Array:
        r"""Return $|\varepsilon_o - f_{ff}| / g_{so}$, where charge and flip-flop meet; small: the levels mix."""
        splitting = self.charge_splitting_GHz(E_V_per_m)
        flip_flop = np.hypot(self.zeeman_GHz, 1e-3 * self.hyperfine_at_MHz(E_V_per_m))
        coupling = self.spin_charge_coupling_GHz * self.tunnel_coupling_GHz / splitting
        with np.errstate(divide="ignore"):
            return np.abs(splitting - flip_flop) / coupling

    def schrieffer_wolff(self, E_V_per_m: ArrayLike = 0.0, order: int = 2) -> Array:
        r"""Return the effective Hamiltonian of the two spins, the charge in its ground state, in GHz (..., 4, 4).

        With $K(\sigma_z)$ the spins' Hamiltonian for a charge at $\sigma_z$, $W = \partial K / \partial \sigma_z$,
        $c = \varepsilon / \varepsilon_o$, $s = V_t / \varepsilon_o$: order 1 is $K(c) - \varepsilon_o / 2$; order 2
        adds, between eigenstates $|i \rangle$ of $K(c)$ and $|k \rangle$ of $K(-c)$ with energies $w_i$, $w'_k$,
        $\frac{s^2}{2} \sum_k W_{ik} W_{kj} [(w_i - \varepsilon_o - w'_k)^{-1} + (w_j - \varepsilon_o - w'_k)^{-1}]$.
        Derived here. The error of order 2 goes as $(\varepsilon_o - f_{ff})^{-3}$.

        Args:
            E_V_per_m: field.
            order: 1 or 2.

        Returns:
            In the basis down up, down down, up down, up up (electron, nucleus), as the states 0 to 3.

        Raises:
            InputError: within 5 $g_{so}$ of $\\varepsilon_o = f_{ff}$, where the expansion fails.

        >>> device = DonorDevice.preset("sweep")
        >>> levels = np.linalg.eigvalsh(device.schrieffer_wolff(0.0))
        >>> bool(abs(levels[1] - levels[0] - device.spectrum(0.0)[1]) < 1e-8)
        True
        """
        E = field(E_V_per_m)
        choice("order", str(order), ("1", "2"))
        if (close := self.distance_to_crossing(E) < _TOO_CLOSE).any():
            raise InputError(
                f"at {E[close].flat[0]:g} V/m charge and flip-flop are within 5 times their coupling of each other,"
                " where the expansion fails; use spectrum, which is exact"
            )
        splitting = self.charge_splitting_GHz(E)[..., None, None]
        c = self.detuning_GHz(E)[..., None, None] / splitting
        spins = list(SPINS_OF_STATES)
        at = self.static[:4, :4][np.ix_(spins, spins)].real  # charge at the interface: K(1)
        donor = self.static[4:, 4:][np.ix_(spins, spins)].real  # K(-1)
        mean, W = (at + donor) / 2, (at - donor) / 2
        below, above = mean + c * W, mean - c * W
        effective = below - splitting / 2 * np.eye(4)
        if order == 2:
            w, left = np.linalg.eigh(below)
            w_above, right = np.linalg.eigh(above)
            elements = np.swapaxes(left, -1, -2) @ W @ right  # (..., i, k)
            scaled = elements / (w[..., :, None] - splitting - w_above[..., None, :])
            half = scaled @ np.swapaxes(elements, -1, -2)
            s2 = (self.tunnel_coupling_GHz / splitting) ** 2
            second = s2 / 2 * (half + np.swapaxes(half, -1, -2))
            effective = effective + left @ second @ np.swapaxes(left, -1, -2)
        return effective

    def _warn_if_levels_mix(self, E: Array) -> None:
        if (close := self.distance_to_crossing(E) < _CLOSE).any():
            warnings.warn(
                f"at {E[close].flat[0]:g} V/m charge and flip-flop are within 3 times their coupling of each other;"
                " their states are mixed, so the names of the levels mean little there",
                stacklevel=3,
            )


def field(E_V_per_m: ArrayLike, name: str = "E_V_per_m") -> Array:
    """Return fields as an array.

    Raises:
        InputError: beyond 1e5 V/m, where the two-level charge is no model; most often a wrong unit.
    """
    E = numbers(name, E_V_per_m)
    if (bad := ~(np.abs(E) <= LARGEST_FIELD_V_PER_M)).any():
        raise InputError(
            f"{name} is {E[bad].flat[0]:g} V/m, outside of +-1e5 V/m; did you pass kV/m twice, or V/m for V/µm?"
            " Fields count from the ionisation point"
        )
    return E
