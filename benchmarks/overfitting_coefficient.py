r"""The ridgeless overfitting coefficient of a million modes at a thousand sample sizes.

Ours is `overfitting_coefficient` from a fresh `Eigensystem`: checking, sorting and compressing the modes are timed too.

The peer is the published algorithm, a bisection for $\kappa$ at each size over all modes and then
$\mathcal{E}_0 = n/(n - \sum L^2)$. Here it works in float64 and in $\ln\kappa$, bracketed between -690 and
$\ln(\mathrm{tr}/n)$, and halves that 50 times, to 1e-12. (The published code brackets $\kappa$ in [1e-15, 1e10] in
float32, which two of these spectra leave.) The time of ten sizes is scaled to all. The reference for both is the same
bisection run on until doubles cannot divide the bracket, then $\mathcal{E}_0 = n/\sum L(1 - L)$, whose terms are all
positive.
"""

from collections.abc import Iterator

import numpy as np

from benchmarks._result import Result, alternate, in_seconds
from solvable.overfitting.theory import overfitting_coefficient
from solvable.spectra import Eigensystem

N_MODES = 1_000_000
N_TRAIN = np.geomspace(10, 1e5, 1000)
SAMPLED = slice(0, 1000, 111)


def spectra() -> Iterator[tuple[str, np.ndarray]]:
    """Yield a name and eigenvalues of each case."""
    i = np.arange(1.0, N_MODES + 1)
    yield "power law", i**-1.5
    yield "rough spectrum", i**-1.3 * np.random.default_rng(1).lognormal(0.0, 2.0, N_MODES)
    yield "spectrum down to 1e-260", np.exp(-np.log(1e260) * (i / N_MODES) ** (1 / 3))


def ours(eigenvalues: np.ndarray) -> np.ndarray:
    """Return the coefficient at every size."""
    return overfitting_coefficient(Eigensystem(eigenvalues), N_TRAIN)


def peer(eigenvalues: np.ndarray, halvings: int = 50, *, without_cancellation: bool = False) -> np.ndarray:
    """Return the coefficient at the sampled sizes, `(10,)`, by bisection."""
    found = []
    buffer = np.empty_like(eigenvalues)
    trace = eigenvalues.sum()
    for n in N_TRAIN[SAMPLED]:
        low, high = -690.0, np.log(trace / n)
        for _ in range(halvings):
            middle = 0.5 * (low + high)
            np.add(eigenvalues, np.exp(middle), out=buffer)
            np.divide(eigenvalues, buffer, out=buffer)
            if buffer.sum() > n:
                low = middle
            else:
                high = middle
        kappa = np.exp(0.5 * (low + high))
        learned = eigenvalues / (eigenvalues + kappa)
        if without_cancellation:
            found.append(n / np.sum(learned * (kappa / (eigenvalues + kappa))))
        else:
            found.append(n / (n - np.sum(learned**2)))
    return np.array(found)


def run() -> Iterator[Result]:
    """Time and compare the three spectra."""
    scale = N_TRAIN.size / N_TRAIN[SAMPLED].size
    for name, eigenvalues in spectra():
        seconds, peer_seconds, coefficients, bisected = alternate(
            lambda e=eigenvalues: ours(e), lambda e=eigenvalues: peer(e), repeats=3
        )
        exact = peer(eigenvalues, halvings=64, without_cancellation=True)
        error, peer_error = (
            float(np.abs(values / exact - 1.0).max()) for values in (coefficients[SAMPLED], bisected)
        )
        yield Result(
            what=f"overfitting coefficient, {name}",
            size=f"{N_MODES:.0e} modes × {N_TRAIN.size} sizes",
            ours=in_seconds(seconds),
            peer=f"{in_seconds(peer_seconds * scale)} (bisection)",
            ratio=peer_seconds * scale / seconds,
            demanded=50.0,
            accuracy=f"E0 {error:.0e}, peer {peer_error:.0e}; largest E0 {coefficients.max():.3g}",
            accurate=error <= max(peer_error, 1e-12),
        )
