"""Write `qutip_5_3_1.json`: levels and propagators of phosphorus donors in silicon by QuTiP 5.3.1.

Run by hand in an environment of its own (`pip install qutip==5.3.1`); it takes about eight minutes. It shares
no code with the library.

One donor: H / h in GHz, t in ns, fields in V/m and T, and the product basis charge (interface, donor) x
electron (up, down) x nucleus (up, down). With sigma_z = +1 at the interface and eps = e d E / h,

    H = V_t/2 sigma_x - eps/2 sigma_z + gamma_e B0 (1 + dg (1 + sigma_z)/2) S_z - gamma_n B0 I_z
        + A (1 - sigma_z)/2 S.I

and U = exp(-2 pi i H t). An electric drive is added to E: its term is -(e d/2h) E_ac(t) sigma_z. Two donors:
H_1 + H_2 + g_dd (sigma_z1 sigma_z2 + sigma_z1 + sigma_z2).

In the frame exp(2 pi i nu_B t (S_z + I_z)), with theta = 2 pi nu_B t, S_x becomes
S_x cos(theta) - S_y sin(theta). The rotating-wave drive is B_x M_x + B_y M_y, M = gamma_e S - gamma_n I. In
the laboratory it is a field that turns from x to y, the sense in which the electron precesses, since d<S>/dt
= 2 pi gamma_e B0 z x <S>. The linear field along x that contains it is 2 (B_x cos(theta) - B_y sin(theta)):
with plus, B_y would change its sign, since the part of 2 B_y sin(theta) along x that turns from x to y is
-B_y M_y in the frame. The counter-rotating half of the linear field turns from y to x; with it, the frame has
2 (B_x cos(theta) - B_y sin(theta)) (M_x cos(theta) - M_y sin(theta)).

Errors of propagators, by products of 1e5 and more exponentials of fourth order: 1e-10 for the sweep of 50 ns,
4e-9 for that of 1 us, 2e-8 for the robust pulse (after extrapolation in the step), 2e-9 for two donors.

Entries, matrices as rows of pairs [real, imaginary]:

- `parameters`: the constants of all devices; `versions`.
- `spectra`: `tunnel_coupling_GHz`, `B0_T`, `E_V_per_m`, `levels_GHz` (eight, ascending, without a zero
  shift).
- `sweeps`: undriven linear sweeps in the laboratory frame from `E_start_V_per_m` at `rate_V_per_m_ns` for
  `duration_ns`; `propagator`, 8 x 8.
- `robust_pulse`: the frequencies, `coefficients` (rows k = 1 to 14; E_c and E_s in V/m, B_x and B_y in uT,
  each sum_k c_k sin(k pi t/T)), `duration_ns`, and `runs`: `offset_V_per_m`, `counter_rotating`, `propagator`
  (8 x 8, in the frame of nu_B), `infidelity`. For this the propagator is projected on the eigenstates |0>
  (electron down, nucleus up) and |1> (down, down) of the lower charge state at the offset field, with real
  positive interface components, and compared with Rz(`rz_after`) Rx(pi/2) Rz(`rz_before`); leakage counts.
- `two_qubits`: `basis` (64 x 4, real) and `projected` (4 x 4) = basis^T U basis in the frame of nu_B of both
  donors, `infidelity` and the local phases that make it least. The basis spans the four levels, at the fields
  and without a drive, that overlap most with the products |00>, |01>, |10>, |11> of states of single donors
  at E = 0 (gauge as above); it is the projection of these products on the four levels, made orthonormal
  symmetrically.
"""

import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import qutip
import scipy
from scipy.constants import e, epsilon_0, h, pi
from scipy.optimize import minimize

GAMMA_E, GAMMA_N = 27.97, 0.01725  # GHz/T
A = 0.117  # GHz
DELTA_GAMMA, EPS_R, DEPTH = -0.002, 11.7, 15e-9
ETA = e * DEPTH / h * 1e-9  # GHz per V/m

SIGMA_X, SIGMA_Z = (
    qutip.tensor(one, qutip.qeye(2), qutip.qeye(2)) for one in (qutip.sigmax(), qutip.sigmaz())
)
S = [qutip.tensor(qutip.qeye(2), one, qutip.qeye(2)) for one in qutip.spin_J_set(0.5)]
I = [qutip.tensor(qutip.qeye(2), qutip.qeye(2), one) for one in qutip.spin_J_set(0.5)]  # noqa: E741
M_X, M_Y = (GAMMA_E * S[axis] - GAMMA_N * I[axis] for axis in (0, 1))

# Positions of electron and nucleus in (up, down) x (up, down), of |0>, |1>, |2>, |3>.
SPINS = (2, 3, 1, 0)

NU_B, NU_E = 5.559250098685536, 5.592145175063364
DURATION = 5590 / NU_E
COEFFICIENTS = np.array(
    [
        [51.8, 222.6, -14.3, -5.05],
        [263.7, 57.4, -162.07, 224.12],
        [220.7, -300.7, 131.19, 97.56],
        [155.1, -185, 60.98, -10.54],
        [438.7, -273.4, -68.14, -70.61],
        [165.1, 145.7, 8.18, 82.72],
        [-647.1, -432.5, -62.2, 29.75],
        [220.8, 66.3, 98.58, -73.41],
        [211.3, 550.9, -60.41, 107.26],
        [-275.3, -398.1, 4.93, -55.19],
        [-72.5, -95.2, 16.95, -6],
        [8.8, -230.8, 35.9, -10.25],
        [269, 94.5, -6.35, -25.9],
        [191.9, 23.8, 57.06, 38.64],
    ]
)
RZ_AFTER, RZ_BEFORE = 2.17589434, 2.27986393


def hamiltonian(V_t: float, B0: float, E: float, frame: float = 0.0) -> qutip.Qobj:
    """Return the static Hamiltonian of one donor."""
    return (
        V_t / 2 * SIGMA_X
        - ETA * E / 2 * SIGMA_Z
        + GAMMA_E * B0 * (1 + DELTA_GAMMA * (1 + SIGMA_Z) / 2) * S[2]
        - GAMMA_N * B0 * I[2]
        + A * (1 - SIGMA_Z) / 2 * sum(one * other for one, other in zip(S, I, strict=True))
        - frame * (S[2] + I[2])
    )


def idle_states(H: qutip.Qobj) -> np.ndarray:
    """Return |0>, |1>, |2>, |3> (8, 4): of the eigenstates, those nearest to products, interface component positive."""
    vectors = np.linalg.eigh(H.full())[1]
    charge = np.linalg.eigh(H.ptrace(0).full())[1][:, 0]
    products = np.kron(charge[:, None], np.eye(4)[:, list(SPINS)])
    chosen = vectors[:, np.argmax(abs(products.conj().T @ vectors), axis=1)]
    phases = chosen[list(SPINS), range(4)]
    return chosen * (abs(phases) / phases)


def options(tolerance: float) -> dict:
    """Return options of QuTiP's solvers; the norm is left as it comes out, since it shows the error."""
    return {
        "method": "vern9",
        "atol": tolerance,
        "rtol": tolerance,
        "nsteps": 10**9,
        "progress_bar": "",
        "normalize_output": False,
    }


def pairs(matrix: np.ndarray) -> list:
    """Return a matrix as rows of [real, imaginary]."""
    return [[[float(one.real), float(one.imag)] for one in row] for row in matrix]


def spectra() -> list[dict]:
    """Return levels of twelve devices at five fields."""
    return [
        {
            "tunnel_coupling_GHz": V_t,
            "B0_T": B0,
            "E_V_per_m": E,
            "levels_GHz": [float(one) for one in hamiltonian(V_t, B0, E).eigenenergies()],
        }
        for V_t in (5.9, 8.0, 10.0, 20.0)
        for B0 in (0.05, 0.2, 0.4)
        for E in (-2e4, -1e3, 0.0, 5e3, 2e4)
    ]


def sweep(start: float, rate: float, duration: float, tolerance: float) -> dict:
    """Return the propagator of a linear sweep at V_t = 10 GHz and 0.2 T."""
    H = [hamiltonian(10.0, 0.2, 0.0), [-ETA / 2 * SIGMA_Z, lambda t: start + rate * t]]
    U = qutip.propagator(scaled(H), duration, options=options(tolerance)).full()
    return {
        "tunnel_coupling_GHz": 10.0,
        "B0_T": 0.2,
        "E_start_V_per_m": start,
        "rate_V_per_m_ns": rate,
        "duration_ns": duration,
        "tolerance": tolerance,
        "propagator": pairs(U),
    }


def scaled(H: list) -> list:
    """Return 2 pi H, since QuTiP integrates exp(-i H t)."""
    return [2 * pi * one if isinstance(one, qutip.Qobj) else [2 * pi * one[0], one[1]] for one in H]


def robust_controls() -> Callable[[float], np.ndarray]:
    """Return a function of t: E_c, E_s (V/m), B_x, B_y (T)."""
    k = np.arange(1, 15) * pi / DURATION
    table = COEFFICIENTS * [1, 1, 1e-6, 1e-6]
    last = {"t": -1.0, "values": np.zeros(4)}

    def controls(t: float) -> np.ndarray:
        if last["t"] != t:  # the coefficients of one step share them
            last.update(t=t, values=np.sin(k * t) @ table)
        return last["values"]

    return controls


def robust(offset: float, counter_rotating: bool, tolerance: float) -> dict:
    """Return the propagator of the robust pulse and its infidelity."""
    u = robust_controls()

    def field(t: float) -> float:
        E_c, E_s, _, _ = u(t)
        return E_c * np.cos(2 * pi * NU_E * t) + E_s * np.sin(2 * pi * NU_E * t)

    def linear(t: float) -> float:
        _, _, B_x, B_y = u(t)
        return 2 * (B_x * np.cos(2 * pi * NU_B * t) - B_y * np.sin(2 * pi * NU_B * t))

    if counter_rotating:
        magnetic = [
            [M_X, lambda t: linear(t) * np.cos(2 * pi * NU_B * t)],
            [M_Y, lambda t: -linear(t) * np.sin(2 * pi * NU_B * t)],
        ]
    else:
        magnetic = [[M_X, lambda t: u(t)[2]], [M_Y, lambda t: u(t)[3]]]
    H = [hamiltonian(20.0, 0.2, offset, NU_B), [-ETA / 2 * SIGMA_Z, field], *magnetic]
    U = qutip.propagator(scaled(H), DURATION, options=options(tolerance)).full()
    qubit = idle_states(hamiltonian(20.0, 0.2, offset))[:, :2]
    M = qubit.conj().T @ U @ qubit
    rz = lambda angle: np.diag(np.exp([-0.5j * angle, 0.5j * angle]))  # noqa: E731
    target = rz(RZ_AFTER) @ np.array([[1, -1j], [-1j, 1]]) / np.sqrt(2) @ rz(RZ_BEFORE)
    return {
        "offset_V_per_m": offset,
        "counter_rotating": counter_rotating,
        "tolerance": tolerance,
        "propagator": pairs(U),
        "infidelity": infidelity(M, target),
    }


def infidelity(M: np.ndarray, target: np.ndarray) -> float:
    """Return the average infidelity of a projected propagator; leakage counts."""
    d = len(M)
    overlap = abs(np.trace(target.conj().T @ M)) ** 2
    return float(1 - (overlap + np.trace(M.conj().T @ M).real) / (d * (d + 1)))


def two_qubits(tolerance: float) -> dict:
    """Return the projected propagator of the dipole gate of two donors 300 nm apart."""
    V_t, B0, E, nu_B, distance, B_max = 5.694, 0.2, 34.187193, 5.521527729, 300e-9, 3e-4
    ramp, hold, phi = 150.0, 1873.35, 0.25524
    g_dd = e**2 * DEPTH**2 / (16 * pi * epsilon_0 * EPS_R * h * distance**3) * 1e-9
    one = qutip.tensor(qutip.qeye(2), qutip.qeye(2), qutip.qeye(2))
    Z1, Z2 = qutip.tensor(SIGMA_Z, one), qutip.tensor(one, SIGMA_Z)

    def static(frame: float) -> qutip.Qobj:
        H = hamiltonian(V_t, B0, E, frame)
        return qutip.tensor(H, one) + qutip.tensor(one, H) + g_dd * (Z1 * Z2 + Z1 + Z2)

    single = idle_states(hamiltonian(V_t, B0, 0.0))[:, :2]
    products = np.kron(single, single)
    vectors = np.linalg.eigh(static(0.0).full())[1]
    nearest = np.argsort((abs(products.conj().T @ vectors) ** 2).sum(axis=0))[-4:]
    left, _, right = np.linalg.svd(vectors[:, nearest].conj().T @ products)
    basis = vectors[:, nearest] @ left @ right
    assert abs(basis.imag).max() < 1e-12

    def envelope(t: float) -> float:
        edge = min(t, 2 * ramp + hold - t, ramp)
        return B_max * np.sin(pi * edge / (2 * ramp)) ** 2

    H = qutip.QobjEvo(scaled([static(nu_B), [qutip.tensor(M_X, one) + qutip.tensor(one, M_X), envelope]]))
    columns = []
    for column in basis.T:
        state = qutip.Qobj(column[:, None], dims=[[2] * 6, [1] * 6])
        # The ends of the ramps are on the list of times, since the envelope is not smooth there.
        times = [0.0, ramp, ramp + hold, 2 * ramp + hold]
        columns.append(qutip.sesolve(H, state, times, options=options(tolerance)).final_state.full()[:, 0])
    M = basis.T @ np.array(columns).T
    swap = np.array([[1, 0, 0, 0], [0, 1, -1j, 0], [0, -1j, 1, 0], [0, 0, 0, 1]], complex)
    swap[1:3, 1:3] /= np.sqrt(2)
    swap[3, 3] = np.exp(-1j * phi)

    def corrected(angles: np.ndarray) -> np.ndarray:
        after, before = (np.kron([1, np.exp(1j * x)], [1, np.exp(1j * y)]) for x, y in angles.reshape(2, 2))
        return after[:, None] * M * before

    rng = np.random.default_rng(0)
    best = min(
        (
            minimize(lambda x: infidelity(corrected(x), swap), rng.uniform(0, 2 * pi, 4), tol=1e-14)
            for _ in range(20)
        ),
        key=lambda found: found.fun,
    )
    return {
        "tunnel_coupling_GHz": V_t,
        "B0_T": B0,
        "E_V_per_m": E,
        "distance_nm": 1e9 * distance,
        "g_dd_GHz": g_dd,
        "nu_B_GHz": nu_B,
        "B_x_T": B_max,
        "ramp_ns": ramp,
        "hold_ns": hold,
        "phi": phi,
        "tolerance": tolerance,
        "basis": basis.real.tolist(),
        "projected": pairs(M),
        "phases_after": best.x[:2].tolist(),
        "phases_before": best.x[2:].tolist(),
        "infidelity": float(best.fun),
    }


def main() -> None:
    """Write the file beside this script."""

    def timed(make: Callable[..., dict], *arguments: float) -> dict:
        start = perf_counter()
        made = make(*arguments)
        print(make.__name__, arguments, made.get("infidelity"), f"{perf_counter() - start:.0f} s", flush=True)
        return made

    content = {
        "versions": {"qutip": qutip.__version__, "numpy": np.__version__, "scipy": scipy.__version__},
        "parameters": {
            "gamma_e_GHz_per_T": GAMMA_E,
            "gamma_n_MHz_per_T": 1e3 * GAMMA_N,
            "hyperfine_MHz": 1e3 * A,
            "delta_gamma": DELTA_GAMMA,
            "eps_r": EPS_R,
            "depth_nm": 1e9 * DEPTH,
        },
        "spectra": spectra(),
        "sweeps": [timed(sweep, -250.0, 10.0, 50.0, 1e-12), timed(sweep, -5e3, 10.0, 1e3, 1e-12)],
        "robust_pulse": {
            "tunnel_coupling_GHz": 20.0,
            "B0_T": 0.2,
            "nu_B_GHz": NU_B,
            "nu_E_GHz": NU_E,
            "duration_ns": DURATION,
            "coefficients": COEFFICIENTS.tolist(),
            "rz_after": RZ_AFTER,
            "rz_before": RZ_BEFORE,
            "runs": [
                timed(robust, offset, counter, 1e-12)
                for offset, counter in ((0.0, False), (100.0, False), (100.0, True))
            ],
        },
        "two_qubits": timed(two_qubits, 1e-11),
    }
    path = Path(__file__).with_name(f"qutip_{qutip.__version__.replace('.', '_')}.json")
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
