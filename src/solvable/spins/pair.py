r"""Two donors that are coupled by their electric dipoles: Hamiltonian, states of the nuclei, and their couplings.

With $\sigma_z = 1$ for an electron at the interface, in GHz

$$H = H_a + H_b + g_{dd} (\sigma_{za} \sigma_{zb} + \sigma_{za} + \sigma_{zb}), \qquad
    g_{dd} = \frac{e^2 d^2}{16 \pi \varepsilon_0 \varepsilon_r h r^3}$$

for donors at a depth $d$ and a distance $r$. Image charges are neglected. The nuclei hardly feel each other at rest; a
magnetic drive close to the electrons' frequency mixes charge into their states, and so couples them.
Source: Hamiltonian of Tosi et al., Nature Communications 8, 450 (2017), arXiv:1509.08538; couplings are computed here
from the exact 64 levels.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import e, epsilon_0, h, pi

from solvable.checks import broadcast, numbers, one_number
from solvable.errors import InputError
from solvable.spins.device import OPERATORS, Complex, DonorDevice
from solvable.spins.device import field as checked_field

Array = NDArray[np.float64]

_SHARED = ("B0_T", "depth_nm", "eps_r", "gamma_e_GHz_per_T", "gamma_n_MHz_per_T")
# Levels of one donor with S_z + I_z = 0, where |0> is the lowest, and with -1, where |1> is.
_SECTORS_OF_NUCLEUS = (np.array([1, 2, 5, 6]), np.array([3, 7]))


@dataclass(frozen=True)
class DonorPair:
    """Two donors next to each other, in one magnetic field and at one depth.

    Attributes:
        a: one donor.
        b: the other one.
        distance_nm: $r$, 100 to 1000.

    Raises:
        InputError: for a distance out of range, with the likely unit, and for donors that differ in magnetic field,
            depth, permittivity or gyromagnetic ratios.

    >>> pair = DonorPair()
    >>> round(1e3 * pair.dipole_coupling_GHz, 2), round(pair.symmetric_field_V_per_m, 2)
    (62.0, 34.19)
    """

    a: DonorDevice = field(default_factory=lambda: DonorDevice.preset("pair"))
    b: DonorDevice = field(default_factory=lambda: DonorDevice.preset("pair"))
    distance_nm: float = 300.0

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            if not isinstance(getattr(self, name), DonorDevice):
                raise InputError(f"{name} must be a DonorDevice; got {getattr(self, name)!r}")
        r = one_number("distance_nm", self.distance_nm)
        if r <= 0:
            raise InputError(f"distance_nm must be positive; got {r:g}")
        if not 100 <= r <= 1000:
            units = {1e-9: "m", 1e-3: "µm", 10: "ångström"}
            looks = [unit for factor, unit in units.items() if 100 <= r / factor <= 1000]
            hint = f"; this looks like {looks[0]}" if looks else ""
            raise InputError(f"distance_nm is {r:g}; expected 100 to 1000 nm{hint}")
        for name in _SHARED:
            one, other = getattr(self.a, name), getattr(self.b, name)
            if one != other:
                raise InputError(f"the donors of a pair must have the same {name}; got {one:g} and {other:g}")

    @cached_property
    def dipole_coupling_GHz(self) -> float:
        """$g_{dd}$."""
        moment = e * 1e-9 * self.a.depth_nm
        r = 1e-9 * self.distance_nm
        return moment**2 / (16 * pi * epsilon_0 * self.a.eps_r * h * r**3) * 1e-9

    @cached_property
    def symmetric_field_V_per_m(self) -> float:
        """The field at both donors where each is at its ionisation point, $2 g_{dd} h / (e d)$."""
        return 2 * self.dipole_coupling_GHz / self.a.detuning_GHz_per_V_per_m

    @cached_property
    def per_tesla(self) -> Complex:
        r"""$\gamma_e S - \gamma_n I$ of both donors along x and y in GHz per T (2, 64, 64)."""
        return np.stack([_on_both(one, one) for one in self.a.per_tesla])

    def hamiltonian(
        self,
        E_a_V_per_m: ArrayLike,
        E_b_V_per_m: ArrayLike,
        B_x_T: ArrayLike = 0.0,
        B_y_T: ArrayLike = 0.0,
        frame_GHz: float = 0.0,
    ) -> Complex:
        """Return $H$ in GHz, in a frame that turns all spins at `frame_GHz`.

        Args:
            E_a_V_per_m: field at donor a, -1e5 to 1e5, from the point where that donor alone would be ionised.
            E_b_V_per_m: field at donor b.
            B_x_T: rotating magnetic drive along x, half of a linear one; the same at both donors.
            B_y_T: rotating magnetic drive along y.
            frame_GHz: the frame's frequency.

        Returns:
            The common shape of the arguments + (64, 64): the levels of donor a (8) times those of donor b (8).

        >>> pair = DonorPair()
        >>> pair.hamiltonian([34.0, 34.2, 34.4], 34.2).shape
        (3, 64, 64)
        """
        E_a, E_b, B_x, B_y = broadcast(
            E_a_V_per_m=checked_field(E_a_V_per_m, "E_a_V_per_m"),
            E_b_V_per_m=checked_field(E_b_V_per_m, "E_b_V_per_m"),
            B_x_T=numbers("B_x_T", B_x_T),
            B_y_T=numbers("B_y_T", B_y_T),
        )
        singles = [device.hamiltonian(E, B_x, B_y, frame_GHz) for device, E in ((self.a, E_a), (self.b, E_b))]
        z = OPERATORS.charge_z
        return _on_both(*singles) + self.dipole_coupling_GHz * (np.kron(z, z) + _on_both(z, z))

    def products(self, E_a_V_per_m: ArrayLike, E_b_V_per_m: ArrayLike) -> Array:
        """Return products of the nuclear states of single donors, |00>, |01>, |10> and |11>, (..., 64, 4).

        Each donor is taken at its field less the symmetric one. |0> and |1> are the lowest states of their sectors, so
        that they have names where charge and flip-flop cross, too.
        """
        E_a, E_b = broadcast(
            E_a_V_per_m=checked_field(E_a_V_per_m, "E_a_V_per_m"),
            E_b_V_per_m=checked_field(E_b_V_per_m, "E_b_V_per_m"),
        )
        a, b = (
            _nuclear_states(device, E - self.symmetric_field_V_per_m)
            for device, E in ((self.a, E_a), (self.b, E_b))
        )
        return np.einsum("...im,...jn->...ijmn", a, b).reshape(*E_a.shape, 64, 4)

    def states(self, E_a_V_per_m: ArrayLike, E_b_V_per_m: ArrayLike) -> tuple[Array, Array]:
        """Return energies in GHz (..., 4) and vectors (..., 64, 4) of |00>, |01>, |10> and |11> at rest.

        The vectors span the four levels that products of single-donor states overlap most with, and are as close to
        these products as orthonormal vectors of that space can be: real, and smooth in the fields. |01> and |10>
        exchange by less than 1 kHz at rest; where their difference in energy is less than that, they are no
        eigenstates, and the energies are expectation values.

        >>> pair = DonorPair()
        >>> energies, vectors = pair.states(pair.symmetric_field_V_per_m, pair.symmetric_field_V_per_m)
        >>> round(1e3 * float(energies[1] - energies[0]), 2), vectors.shape
        (32.96, (64, 4))
        """
        levels, vectors = np.linalg.eigh(self.hamiltonian(E_a_V_per_m, E_b_V_per_m).real)
        which, mixed = nearest(vectors, self.products(E_a_V_per_m, E_b_V_per_m))
        kept = np.take_along_axis(vectors, which[..., None, :], -1)
        effective = effective_hamiltonian(np.take_along_axis(levels, which, -1), mixed)
        return np.diagonal(effective, axis1=-2, axis2=-1), kept @ mixed

    @cached_property
    def zeta_kHz(self) -> float:
        """The coupling ZZ at rest at the symmetric field, $E_{11} + E_{00} - E_{01} - E_{10}$."""
        E = self.symmetric_field_V_per_m
        return 1e6 * float(self.states(E, E)[0] @ [1, -1, -1, 1])

    @cached_property
    def esr_GHz(self) -> float:
        """Frequency of the electron spin of donor a alone at its ionisation point, nucleus down."""
        static = self.a.static.real
        zero, one = _SECTORS_OF_NUCLEUS
        levels, vectors = np.linalg.eigh(static[np.ix_(zero, zero)])
        # Electron up and nucleus down, the charge in its ground state, (1, -1) / sqrt(2).
        weights = (vectors[0] - vectors[2]) ** 2
        return float(levels[np.argmax(weights)] - np.linalg.eigvalsh(static[np.ix_(one, one)])[0])

    def exchange(self, B_x_T: float, detuning_MHz: float) -> tuple[float, float]:
        r"""Return the couplings of the nuclei with the drive on, $J$ and $\zeta$ in kHz, at the symmetric field.

        The four levels that the nuclear states become in the drive have the Hamiltonian
        $J (XX + YY) / 2 + \zeta ZZ / 4$ and local terms: $2 J$ is the splitting of the two states with one nucleus
        flipped, and $\zeta = E_{11} + E_{00} - E_+ - E_-$.

        Args:
            B_x_T: rotating amplitude of the drive.
            detuning_MHz: how far it is below the electron's frequency of a single donor, `esr_GHz`.

        >>> [round(one, 2) for one in DonorPair().exchange(3e-4, 30.0)]
        [62.8, 19.76]
        """
        E = self.symmetric_field_V_per_m
        B_x = one_number("B_x_T", B_x_T)
        frame = self.esr_GHz - 1e-3 * one_number("detuning_MHz", detuning_MHz)
        levels, vectors = np.linalg.eigh(self.hamiltonian(E, E, B_x, frame_GHz=frame).real)
        which, mixed = nearest(vectors, self.states(E, E)[1])
        effective = 1e6 * effective_hamiltonian(levels[which], mixed)
        return float(effective[1, 2]), float(np.diag(effective) @ [1, -1, -1, 1])


def nearest(vectors: Array, wanted: Array) -> tuple[NDArray[np.int64], Array]:
    """Return which orthonormal vectors (..., n, n) overlap most with those wanted (..., n, k), and a rotation.

    Args:
        vectors: columns.
        wanted: columns.

    Returns:
        indices (..., k), ascending, and the orthogonal matrix (..., k, k) that takes the columns of these indices as
        close as possible to those wanted (polar decomposition).
    """
    overlap = np.swapaxes(vectors, -1, -2) @ wanted
    k = wanted.shape[-1]
    which = np.sort(np.argsort((overlap**2).sum(-1), axis=-1)[..., -k:], axis=-1)
    left, _, right = np.linalg.svd(np.take_along_axis(overlap, which[..., None], -2))
    return which, left @ right


def effective_hamiltonian(levels: Array, rotation: Array) -> Array:
    """Return the Hamiltonian of levels (..., k) between the rotated vectors (..., k, k)."""
    return np.swapaxes(rotation, -1, -2) @ (levels[..., None] * rotation)


def _nuclear_states(device: DonorDevice, E: Array) -> Array:
    """Return |0> and |1> of one donor, (..., 8, 2), the component with the electron at the interface positive."""
    H = device.hamiltonian(E).real
    found = np.zeros((*E.shape, 8, 2))
    for state, (sector, position) in enumerate(zip(_SECTORS_OF_NUCLEUS, (1, 0), strict=True)):
        lowest = np.linalg.eigh(H[..., sector[:, None], sector])[1][..., 0]
        found[..., sector, state] = lowest * np.sign(lowest[..., position])[..., None]
    return found


def _on_both(a: Complex, b: Complex) -> Complex:
    """Return a x 1 + 1 x b of matrices (..., 8, 8)."""
    one = np.eye(8)
    both = np.einsum("...ij,kl->...ikjl", a, one) + np.einsum("ij,...kl->...ikjl", one, b)
    return both.reshape(*both.shape[:-4], 64, 64)
