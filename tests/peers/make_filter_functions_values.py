"""Write `filter_functions_1_2_3.json`: filter functions and infidelities by filter-functions 1.2.3.

Run by hand in an environment of its own (`pip install filter-functions==1.2.3`); that package is under the
GPL, so the library does not need it, and only its numbers are here.

Each case is a piecewise-constant Hamiltonian H_k / hbar = sum_c coefficients[c][k] operators[c] in rad/us and
noise delta(t) sensitivity[k] B with traceless B; a matrix has rows of [real, imaginary].

- `name`, `dt_us` (n,), `operators` (c, d, d), `coefficients` (c, n), `noise_operator` (d, d), `sensitivity`
  (n,).
- `omega_rad_per_us`, from 0.01 to 100, the same for all cases: beside the list of cases.
- `filter_function`: F(omega) = Tr(R^dag R) in us^2, with
  R = int_0^T sensitivity(t) U^dag(t) B U(t) e^{i omega t} dt.
- `infidelity`: int S(omega) F(omega) d omega / (2 pi d) by trapezoids on these frequencies, S = `S_1` /
  omega: the entanglement infidelity; d / (d + 1) of it is the average infidelity. If S is two-sided, the
  negative frequencies add as much again; if S is one-sided in omega / 2 pi, this is all.
"""

import json
from pathlib import Path

import filter_functions as ff
import numpy as np

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
OMEGA = np.geomspace(0.01, 100, 81)
S_1 = 1e-3


def cases() -> list[tuple]:
    """Return name, lengths of steps, operators, coefficients, noise operator and sensitivity of each case."""
    rng = np.random.default_rng(0)
    spins, z = PAULI / 2, PAULI[2] / 2
    matrices = rng.normal(size=(4, 4, 4)) + 1j * rng.normal(size=(4, 4, 4))
    hermitian = (matrices + matrices.conj().swapaxes(1, 2)) / 2
    traceless = hermitian[3] - np.eye(4) * np.trace(hermitian[3]) / 4
    smooth = np.sin(np.pi * (np.arange(40) + 0.5) / 40)
    return [
        ("idle", [1.0], spins[:1], [[0.0]], z, [1.0]),
        ("echo", [0.5, 0.01, 0.5], spins[:1], [[0.0, 100 * np.pi, 0.0]], z, [1.0, 1.0, 1.0]),
        ("rectangular half turn", [1.0], spins[:1], [[np.pi]], z, [1.0]),
        ("smooth half turn", [0.05] * 40, spins[:1], [np.pi * smooth / (0.05 * smooth.sum())], z, [1.0] * 40),
        ("random qubit", rng.uniform(0.02, 0.1, 24), spins, rng.normal(0, 6, (3, 24)), z, rng.uniform(0.5, 1.5, 24)),
        ("four levels", [0.05] * 20, hermitian[:3], rng.normal(0, 4, (3, 20)), traceless, [1.0] * 20),
        ("four levels, sensitivity varies", rng.uniform(0.02, 0.1, 16), hermitian[:2], rng.normal(0, 4, (2, 16)),
         traceless, rng.normal(1, 0.5, 16)),
    ]  # fmt: skip


def pairs(matrix: np.ndarray) -> list:
    """Return a matrix as rows of [real, imaginary]."""
    return [[[float(one.real), float(one.imag)] for one in row] for row in np.asarray(matrix, complex)]


def numbers(values: np.ndarray) -> list[float]:
    """Return an array as a list."""
    return [float(one) for one in values]


def main() -> None:
    """Write the file beside this script."""
    rows = []
    for name, dt, operators, coefficients, noise, sensitivity in cases():
        pulse = ff.PulseSequence(
            [[one, np.asarray(values)] for one, values in zip(operators, coefficients, strict=True)],
            [[noise, np.asarray(sensitivity)]],
            np.asarray(dt),
        )
        rows.append(
            {
                "name": name,
                "dt_us": numbers(dt),
                "operators": [pairs(one) for one in operators],
                "coefficients": [numbers(one) for one in coefficients],
                "noise_operator": pairs(noise),
                "sensitivity": numbers(sensitivity),
                "filter_function": numbers(pulse.get_filter_function(OMEGA)[0, 0].real),
                "infidelity": float(ff.infidelity(pulse, S_1 / OMEGA, OMEGA)[0]),
            }
        )
    content = {
        "filter_functions": ff.__version__,
        "omega_rad_per_us": numbers(OMEGA),
        "S_1": S_1,
        "cases": rows,
    }
    path = Path(__file__).with_name("filter_functions_1_2_3.json")
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
