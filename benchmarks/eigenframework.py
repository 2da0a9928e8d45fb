r"""A million eigenvalues on a thousand grid points: effective ridge, overfitting coefficient, test error.

Ours is `predict` from a fresh `Eigensystem`: checking, sorting and compressing the modes are timed too.

The peer is the published approach, bisection for $\kappa$ at each grid point over all modes, then the closed
forms. Here it works in float64, vectorised over the modes, and brackets $\ln\kappa$ between -690 and the bound
$\ln((\mathrm{tr} + \delta)/n)$; it halves that 50 times, to 1e-12. (The published code brackets $\kappa$ in
[1e-15, 1e10] in float32: at ridge 0 it fails on the third spectrum, which goes far below.) The time of ten
points is scaled to all. Accuracy is against the same bisection run on until doubles cannot divide the bracket.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from benchmarks._result import Result, alternate, in_seconds
from solvable.regression import predict
from solvable.spectra import Eigensystem

N_MODES = 1_000_000
N_TRAIN = np.geomspace(10, 1e5, 100)
RIDGES = np.concatenate([[0.0], np.geomspace(1e-8, 1.0, 9)])
NOISE = 0.1
# Ten points across the grid, (index of n, index of ridge); no ridge meets the largest n, the least κ of all.
SAMPLED = [(99 - 11 * r, r) for r in range(10)]
QUANTITIES = ("effective_ridge", "overfitting_coefficient", "test_mse")


def spectra() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield a name, eigenvalues and target power of each case."""
    generator = np.random.default_rng(1)
    i = np.arange(1.0, N_MODES + 1)
    yield "power law", i**-1.5, i**-1.8
    rough = i**-1.3 * generator.lognormal(0.0, 2.0, N_MODES)
    yield "rough spectrum, rough target", rough, rough * generator.lognormal(0.0, 3.0, N_MODES)
    fast = np.exp(-np.log(1e260) * (i / N_MODES) ** (1 / 3))
    yield "spectrum down to 1e-260", fast, i**-1.5


def ours(eigenvalues: np.ndarray, power: np.ndarray) -> xr.Dataset:
    """Predict the whole grid."""
    return predict(Eigensystem(eigenvalues, power, noise=NOISE), n_train=N_TRAIN, ridge=RIDGES)


def peer(eigenvalues: np.ndarray, power: np.ndarray, halvings: int = 50) -> np.ndarray:
    """Return the three quantities at the sampled points, `(10, 3)`, by bisection."""
    found = []
    buffer = np.empty_like(eigenvalues)
    trace = eigenvalues.sum()
    for i, r in SAMPLED:
        n, ridge = N_TRAIN[i], RIDGES[r]
        low, high = -690.0, np.log((trace + ridge) / n)
        for _ in range(halvings):
            middle = 0.5 * (low + high)
            kappa = np.exp(middle)
            np.add(eigenvalues, kappa, out=buffer)
            np.divide(eigenvalues, buffer, out=buffer)
            if buffer.sum() + ridge / kappa > n:
                low = middle
            else:
                high = middle
        kappa = np.exp(0.5 * (low + high))
        learned = eigenvalues / (eigenvalues + kappa)
        overfitting = n / (n - np.sum(learned**2))
        found.append((kappa, overfitting, overfitting * (np.sum((1.0 - learned) ** 2 * power) + NOISE)))
    return np.array(found)


def run() -> Iterator[Result]:
    """Time and compare the three spectra."""
    scale = N_TRAIN.size * RIDGES.size / len(SAMPLED)
    for name, eigenvalues, power in spectra():
        seconds, peer_seconds, prediction, _ = alternate(
            lambda a=eigenvalues, b=power: ours(a, b), lambda a=eigenvalues, b=power: peer(a, b), repeats=3
        )
        exact = peer(eigenvalues, power, halvings=64)
        at_points = np.array(
            [
                [prediction[q].isel(n_train=i, n_features=0, ridge=r).item() for q in QUANTITIES]
                for i, r in SAMPLED
            ]
        )
        error = np.abs(at_points / exact - 1.0).max(axis=0)
        yield Result(
            what=f"eigenframework, {name}",
            size=f"{N_MODES:.0e} modes × {N_TRAIN.size * RIDGES.size} points",
            ours=in_seconds(seconds),
            peer=f"{in_seconds(peer_seconds * scale)} (bisection)",
            ratio=peer_seconds * scale / seconds,
            demanded=100.0,
            accuracy="κ {:.0e}, E0 {:.0e}, test {:.0e}; least κ {:.0e}".format(
                *error, prediction.effective_ridge.min().item()
            ),
            accurate=bool(error.max() <= 1e-8),
        )
