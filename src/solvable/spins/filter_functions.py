r"""Filter functions: how much noise of each frequency adds to the infidelity and the leakage of a gate.

For weak noise $\beta(t)$ with the one-sided spectrum $S(f)$ that multiplies an operator $B$ (so that the variance is
$\int_0^\infty S(f)\, df$), a gate on d of the system's states has to second order

$$1 - F_{avg} = \int_0^\infty S(f)\, F(f)\, df, \qquad
  F(f) = \frac{(d + 1)\, s(f) - |\mathrm{Tr}\, P A P|^2 - \lVert P A P \rVert^2}{d (d + 1)},$$

with $A(f) = 2 \pi \int U^\dagger(t) B U(t)\, e^{2 \pi i f t}\, dt$, the projector P on the d states, Frobenius norms,
and $s(f) = (\lVert A P \rVert^2 + \lVert P A \rVert^2) / 2$. The leakage has the filter
$(s(f) - \lVert P A P \rVert^2) / d$. The two norms of s differ when the noise can drive transitions out of the d
states: it does so at $f$ and at $-f$. Derived here.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from solvable.checks import grid, numbers, one_number, whole
from solvable.errors import InputError
from solvable.spins.device import Complex
from solvable.spins.gates import Gate, one_pulse
from solvable.spins.pieces import PulsePieces

Array = NDArray[np.float64]

_NARROWEST_V_PER_M = 10.0


def filter_functions(
    hamiltonians_GHz: ArrayLike,
    dt_ns: ArrayLike,
    noise_operator_GHz: ArrayLike,
    frequencies_Hz: ArrayLike,
    n_states: int | None = None,
) -> xr.Dataset:
    r"""Return the filter functions of a control that is constant in pieces; the integrals within pieces are exact.

    Args:
        hamiltonians_GHz: $H / h$ of each piece, (n, D, D).
        dt_ns: length of the pieces, one number or (n,).
        noise_operator_GHz: $B = \partial H / \partial \beta$ per unit of the noise, (D, D).
        frequencies_Hz: where to compute them, 0 or more.
        n_states: d, the first states of the basis are the gate's; by default all.

    Returns:
        Dataset on `frequency_Hz` with `infidelity_filter` and `leakage_filter`, in one over the unit of the noise
        squared; times $S(f)$ in that unit squared per Hz, integrated over f in Hz, they are dimensionless.

    Raises:
        InputError: for matrices that are not Hermitian or shapes that do not fit.

    >>> dephasing = filter_functions([np.zeros((2, 2))], 1000.0, np.diag([0.5, -0.5]), [0.0])
    >>> bool(np.isclose(dephasing.infidelity_filter[0], (2 * np.pi * 1000) ** 2 / 6))
    True
    """
    H = _hermitian("hamiltonians_GHz", hamiltonians_GHz, 3)
    B = _hermitian("noise_operator_GHz", noise_operator_GHz, 2)
    n, D = H.shape[:2]
    dt = numbers("dt_ns", dt_ns, above=0)
    if B.shape != (D, D) or dt.shape not in ((), (n,)):
        raise InputError(
            f"noise_operator_GHz must be of shape ({D}, {D}) and dt_ns one number or {n};"
            f" got {B.shape} and an array of shape {dt.shape}"
        )
    dt = np.broadcast_to(dt, n)
    f = 1e-9 * grid("frequencies_Hz", frequencies_Hz, at_least=0)
    d = D if n_states is None else whole("n_states", n_states, at_least=1, at_most=D)
    A = np.zeros((f.size, D, D), dtype=np.complex128)
    U, t = np.eye(D, dtype=np.complex128), 0.0
    for h, step in zip(H, dt, strict=True):
        levels, vectors = np.linalg.eigh(h)
        x = (levels[:, None] - levels + f[:, None, None]) * step
        integrals = step * np.exp(1j * np.pi * x) * np.sinc(x)
        inside = (vectors.conj().T @ B @ vectors) * integrals * np.exp(2j * np.pi * f * t)[:, None, None]
        turned = vectors.conj().T @ U
        A += turned.conj().T @ inside @ turned
        U = vectors @ (np.exp(-2j * np.pi * step * levels)[:, None] * turned)
        t += step
    return _filters(2 * np.pi * A, np.eye(D)[:, :d], 1e9 * f)


def gate_filter_functions(
    gate: Gate, frequencies_Hz: ArrayLike, pieces: PulsePieces | None = None
) -> xr.Dataset:
    r"""Return the filter functions of a gate for noise of the field, from exact propagators of short pieces.

    The noise operator of a piece of 1.7 ns comes from the derivative of its propagator with respect to the field, where
    the charge follows the field adiabatically (see `PulsePieces`); so frequencies are to be far below the charge's.

    Args:
        gate: the gate.
        frequencies_Hz: 0 to 1e8.
        pieces: those of the gate's pulse, if they have been computed before.

    Returns:
        Dataset on `frequency_Hz` with `infidelity_filter` and `leakage_filter` in 1 / (V/m)^2: what noise adds to the
        errors without noise, which are to be small (those of the naive gate are not; there they err by some 20 %).

    >>> from solvable.spins.gates import naive_x90
    >>> found = gate_filter_functions(naive_x90(), [0.0, 1e8])
    >>> bool(found.infidelity_filter[0] > 10 * found.infidelity_filter[1])
    True
    """
    f = grid("frequencies_Hz", frequencies_Hz, at_least=0, at_most=1e8)
    one_pulse(gate, "filter functions")
    pieces = pieces or PulsePieces(gate.device, gate.pulse, _NARROWEST_V_PER_M)
    V, slopes = pieces.derivatives()
    step_ns = gate.duration_ns / pieces.n_pieces
    middle_s = 1e-9 * step_ns * (np.arange(pieces.n_pieces) + 0.5)
    U, operators = np.eye(8, dtype=np.complex128), np.empty_like(V)
    for k, (one, slope) in enumerate(zip(V, slopes, strict=True)):
        operators[k] = 1j * U.conj().T @ one.conj().T @ slope @ U
        U = one @ U
    # Noise is taken to be constant within a piece, as in `PulsePieces`.
    A = np.exp(2j * np.pi * np.multiply.outer(f, middle_s)) @ operators.reshape(-1, 64)
    return _filters(A.reshape(-1, 8, 8), pieces.qubit(0.0, 0), f)


def expected_infidelity(
    filters: xr.Dataset, sigma_V_per_m: ArrayLike, f_low_Hz: float = 1.0, f_high_Hz: float = 1e7
) -> Array:
    r"""Return $\int S(f) F(f)\, df$ for 1/f noise, $S = \sigma^2 / (f \ln(f_{high} / f_{low}))$ in a band.

    Args:
        filters: from `gate_filter_functions`, on a grid that is fine on a logarithmic scale; below it the filter is
            constant.
        sigma_V_per_m: standard deviations of all noise between the two frequencies.
        f_low_Hz: lowest frequency of the noise.
        f_high_Hz: highest frequency, within the grid.

    Returns:
        What noise adds to the infidelity to second order, the shape of `sigma_V_per_m`.

    >>> flat = xr.Dataset({"infidelity_filter": ("frequency_Hz", [1e-6, 1e-6])}, {"frequency_Hz": [1.0, 1e7]})
    >>> float(expected_infidelity(flat, 10.0).round(12))
    0.0001
    """
    low, high = one_number("f_low_Hz", f_low_Hz, above=0), one_number("f_high_Hz", f_high_Hz, above=0)
    f = filters.frequency_Hz.to_numpy()
    if not low < high <= f.max():
        raise InputError(
            f"f_high_Hz must be above f_low_Hz and within the filter's grid, up to {f.max():g};"
            f" got {low:g} and {high:g}"
        )
    log_f = np.linspace(np.log(low), np.log(high), 4001)
    F = np.interp(log_f, np.log(np.maximum(f, 1e-30)), filters.infidelity_filter.to_numpy())
    mean = np.trapezoid(F, log_f) / np.log(high / low)
    return numbers("sigma_V_per_m", sigma_V_per_m, at_least=0) ** 2 * mean


def _filters(A: Complex, qubit: NDArray[Any], frequencies_Hz: Array) -> xr.Dataset:
    """Return the filters of A(f), (n, D, D), for a gate on the states that are the columns of `qubit`, (D, d)."""
    d = qubit.shape[1]

    def squares(matrices: Complex) -> Array:
        return (np.abs(matrices) ** 2).sum((-2, -1))

    inside = qubit.conj().T @ A @ qubit
    total = (squares(A @ qubit) + squares(qubit.conj().T @ A)) / 2
    trace = np.abs(np.trace(inside, axis1=-2, axis2=-1)) ** 2
    found = {
        "infidelity_filter": ((d + 1) * total - trace - squares(inside)) / (d * (d + 1)),
        "leakage_filter": (total - squares(inside)) / d,
    }
    return xr.Dataset(
        {name: ("frequency_Hz", values) for name, values in found.items()}, {"frequency_Hz": frequencies_Hz}
    )


def _hermitian(name: str, matrices: ArrayLike, ndim: int) -> Complex:
    found = np.asarray(matrices, dtype=np.complex128)
    if found.ndim != ndim or found.shape[-1] != found.shape[-2] or found.size == 0:
        shape = "(n, D, D)" if ndim == 3 else "(D, D)"
        raise InputError(f"{name} must be of shape {shape}; got {found.shape}")
    if not np.abs(found - np.swapaxes(found.conj(), -1, -2)).max() <= 1e-9 * (1 + np.abs(found).max()):
        raise InputError(f"{name} must be Hermitian, and of finite numbers")
    return found
