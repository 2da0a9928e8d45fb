r"""The four states of the idle charge under slow drives: a 4 x 4 Hamiltonian without the drive's fast oscillation.

At constant amplitudes the Hamiltonian has the period of the electric drive, and its propagator over one period is
$\exp(-2 \pi i H_F / \nu_E)$. Four of its eigenvectors are the states 0 to 3, dressed by the drive. Between them $H_F$
is simple: diagonal elements that are even in the amplitude, one odd coupling of 0 and 2, and the couplings of the
magnetic drive. Polynomials in amplitude and offset hold all of it, so that a pulse of 1 µs takes some hundred steps
in place of some ten thousand.

Source: derived here; not from the literature on this gate.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import schur

from solvable.checks import broadcast, numbers, one_number
from solvable.errors import InputError
from solvable.machine import limited_blas_threads
from solvable.spins.device import DonorDevice, field
from solvable.spins.propagation import propagator
from solvable.spins.pulses import Pulse

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

# Terms of the fits in the amplitude (even or odd powers) and in the offset (Chebyshev): residuals below 1e-5 MHz.
_TERMS_E, _TERMS_OFFSET = 5, 9
_NODES = 12
_STEPS_PER_PERIOD = 48
# Of a fit; 50 kHz would turn a state by 0.3 rad in 1 µs, which rounds of correction still take out.
_LARGEST_RESIDUAL_GHZ = 5e-5


class Coefficients(NamedTuple):
    """What `EffectiveModel.hamiltonian` is made of at given offsets; powers of the amplitude along the first axis."""

    levels: Array  # (terms, 3, ...): states 1, 2, 3 above 0, in GHz, times even powers of |z| / largest_E
    coupling: Array  # (terms, ...): of 2 and 0 in GHz per V/m, times even powers, and once z
    magnetic: Array  # (2, ...): of 2 and 1, and of 3 and 0, in GHz per T


@dataclass(frozen=True, eq=False)
class EffectiveModel:
    """Polynomials for the 4 x 4 Hamiltonian; `effective_model` makes it.

    Attributes:
        nu_E_GHz: frequency of the electric drive.
        nu_B_GHz: frequency of the magnetic drive.
        largest_E_V_per_m: amplitude up to which the polynomials were fitted.
        largest_offset_V_per_m: likewise for the offset, to either side.
        residual_MHz: largest error of the fits.
        series: Chebyshev coefficients in the offset, the first axis of each array.
    """

    nu_E_GHz: float
    nu_B_GHz: float
    largest_E_V_per_m: float
    largest_offset_V_per_m: float
    residual_MHz: float
    series: Coefficients

    def at(self, offset_V_per_m: ArrayLike) -> Coefficients:
        """Return the coefficients at these offsets.

        Raises:
            InputError: beyond the offsets of the fit.
        """
        offset = field(offset_V_per_m, "offset_V_per_m")
        if (bad := np.abs(offset) > self.largest_offset_V_per_m * (1 + 1e-9)).any():
            raise InputError(
                f"offset_V_per_m is {offset[bad].flat[0]:g}, but the model was fitted up to"
                f" {self.largest_offset_V_per_m:g}; give effective_model a larger largest_offset_V_per_m"
            )
        x = offset / self.largest_offset_V_per_m
        return Coefficients(*(np.asarray(chebyshev.chebval(x, one), dtype=np.float64) for one in self.series))

    def hamiltonian(
        self,
        E_c_V_per_m: ArrayLike = 0.0,
        E_s_V_per_m: ArrayLike = 0.0,
        B_x_T: ArrayLike = 0.0,
        B_y_T: ArrayLike = 0.0,
        offset_V_per_m: ArrayLike = 0.0,
    ) -> Complex:
        r"""Return the Hamiltonian between the states 0 to 3 in GHz.

        With $z = E_c + i E_s$ and $b = B_x + i B_y$, at an offset $o$,

        $$H = \begin{pmatrix} 0 & 0 & \bar g \bar z & \bar m_3 b \\ 0 & d_1 & m_1 b & 0 \\
            g z & m_1 \bar b & d_2 & 0 \\ m_3 \bar b & 0 & 0 & d_3 \end{pmatrix},$$

        $d_i(|z|^2, o)$, $g(|z|^2, o)$, $m_i(o)$ real. The frame is that of `propagator`, in which the spins turn with
        $\nu_B$, and on top of it the states 1 and 2 turn with $\nu_E$: then 1 and 2 as well as 0 and 3 are at rest with
        respect to the magnetic drive, and 0 and 2 with respect to the electric one. After a whole number of
        periods of $\nu_E$ both frames agree, and $\exp(-2 \pi i H t)$ is, up to a phase,
        `project(device, propagator(...), offset, n_states=4)`. Slow amplitudes that begin and end at zero leave errors
        of some 0.01 in 1 µs, since the dressing follows them late.

        Args:
            E_c_V_per_m: amplitude of the electric drive along the cosine; all arguments broadcast.
            E_s_V_per_m: that along the sine.
            B_x_T: rotating amplitude of the magnetic drive.
            B_y_T: that along y.
            offset_V_per_m: field from the ionisation point.

        Returns:
            The common shape of the arguments + (4, 4).
        """
        E_c, E_s, B_x, B_y, offset = broadcast(
            E_c_V_per_m=field(E_c_V_per_m, "E_c_V_per_m"),
            E_s_V_per_m=field(E_s_V_per_m, "E_s_V_per_m"),
            B_x_T=numbers("B_x_T", B_x_T),
            B_y_T=numbers("B_y_T", B_y_T),
            offset_V_per_m=field(offset_V_per_m, "offset_V_per_m"),
        )
        levels, coupling, magnetic = self.at(offset)
        powers = even_powers((E_c**2 + E_s**2) / self.largest_E_V_per_m**2, _TERMS_E)
        H = np.zeros((*offset.shape, 4, 4), dtype=np.complex128)
        for i in (1, 2, 3):
            H[..., i, i] = (powers * levels[:, i - 1]).sum(0)
        H[..., 2, 0] = (powers * coupling).sum(0) * (E_c + 1j * E_s)
        H[..., 2, 1], H[..., 3, 0] = magnetic * (B_x - 1j * B_y)
        for i, j in ((2, 0), (2, 1), (3, 0)):
            H[..., j, i] = H[..., i, j].conj()
        return H


@limited_blas_threads(1)
def effective_model(
    device: DonorDevice,
    nu_E_GHz: float,
    nu_B_GHz: float,
    largest_E_V_per_m: float,
    largest_offset_V_per_m: float,
) -> EffectiveModel:
    r"""Return the 4 x 4 model of a device, fitted to exact propagators over one period of the electric drive.

    The eigenvectors that overlap most with the states at rest are made orthonormal by polar decomposition. Their
    eigenfrequencies, on the branch nearest to state 0, make $H_F$.

    Args:
        device: the donor.
        nu_E_GHz: frequency of the electric drive, near the flip-flop transition.
        nu_B_GHz: frequency of the magnetic drive, near the electron's transition.
        largest_E_V_per_m: amplitude to fit up to.
        largest_offset_V_per_m: offset to fit up to, to either side.

    Returns:
        The model, with the residual of its fits: 1e-6 MHz for the default device up to 1760 V/m.

    Raises:
        InputError: if the polynomials fit badly, because the drive meets a resonance of the charge in this range.

    Source:
        Derived here.

    >>> model = effective_model(DonorDevice(), 5.592145, 5.55925, 1760, 500)
    >>> float(model.hamiltonian(E_c_V_per_m=1.0)[2, 0].real * 1e6).__round__(3)  # kHz per V/m
    -2.874
    """
    nu_E = one_number("nu_E_GHz", nu_E_GHz, above=0, at_most=200)
    nu_B = one_number("nu_B_GHz", nu_B_GHz, above=0, at_most=200)
    largest = one_number("largest_E_V_per_m", largest_E_V_per_m, at_least=1, at_most=1e5)
    widest = one_number("largest_offset_V_per_m", largest_offset_V_per_m, at_least=1, at_most=1e5)
    nodes = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    x, r = nodes, (1 + nodes) / 2
    H = _floquet(device, nu_E, nu_B, r * largest, x * widest)  # (offsets, amplitudes, 4, 4)
    in_offset = chebyshev.chebvander(x, _TERMS_OFFSET - 1)
    even = even_powers(r**2, _TERMS_E).T

    def fit(values: Array, in_E: Array) -> tuple[Array, float]:
        """Coefficients (offset, amplitude, ...) of values (offset, amplitude, ...), and the largest residual."""
        first, second = np.linalg.pinv(in_offset), np.linalg.pinv(in_E)
        found = np.einsum("ox,ea,xa...->oe...", first, second, values)
        fitted = np.einsum("xo,ae,oe...->xa...", in_offset, in_E, found)
        return found, float(np.abs(fitted - values).max())

    levels, error = fit(np.diagonal(H, axis1=2, axis2=3)[..., 1:].real, even)
    coupling, other = fit(H[..., 2, 0].real, even * (r * largest)[:, None])
    vectors = device.states(x * widest)[1]
    drive = np.swapaxes(vectors, -1, -2) @ device.per_tesla[0].real @ vectors
    magnetic = np.linalg.pinv(in_offset) @ drive[:, [2, 3], [1, 0]]
    rest = H.copy()
    for i, j in ((1, 1), (2, 2), (3, 3), (2, 0), (0, 2)):
        rest[..., i, j] = 0
    residual = max(error, other, float(np.abs(rest).max()))
    if not residual < _LARGEST_RESIDUAL_GHZ:
        raise InputError(
            f"the effective model errs by {1e3 * residual:.2g} MHz up to {largest:g} V/m, where the drive meets a"
            " resonance of the charge; lower largest_E_V_per_m or change tunnel_coupling_GHz"
        )
    series = Coefficients(levels, coupling, magnetic)
    return EffectiveModel(nu_E, nu_B, largest, widest, 1e3 * residual, series)


def even_powers(u: Array, n: int) -> Array:
    """Return $1, u, u^2, ...$ along a new first axis."""
    return np.multiply.accumulate(np.stack([np.ones_like(u), *[u] * (n - 1)]))


def _floquet(device: DonorDevice, nu_E: float, nu_B: float, E: Array, offset: Array) -> Complex:
    """Return H_F (offsets, amplitudes, 4, 4) at constant amplitudes along the cosine."""
    pulse = Pulse(1 / nu_E, E_c_V_per_m=1.0, nu_E_GHz=nu_E, nu_B_GHz=nu_B)
    step = 1 / (_STEPS_PER_PERIOD * nu_E)
    U = propagator(device, pulse, offset[:, None], amplitude_E=E, step_ns=step)
    idle = device.states(offset)[1]
    found = np.empty((offset.size, E.size, 4, 4), dtype=np.complex128)
    for i, j in np.ndindex(offset.size, E.size):
        # Of a unitary matrix the Schur vectors are eigenvectors, orthonormal also where eigenvalues are equal.
        triangle, vectors = schur(U[i, j], output="complex")[:2]
        overlap = idle[i].T @ vectors
        chosen = np.sort(np.argsort((np.abs(overlap) ** 2).sum(0))[4:])
        left, _, right = np.linalg.svd(overlap[:, chosen])
        basis = left @ right
        phases = np.diag(triangle)[chosen]
        reference = phases[np.argmax(np.abs(basis[0]))]
        frequencies = -np.angle(phases / reference) * nu_E / (2 * np.pi)
        H = (basis * frequencies) @ basis.conj().T
        found[i, j] = H - H[0, 0] * np.eye(4)
    return found
