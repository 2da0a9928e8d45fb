"""Kernels of infinitely wide networks, next to neural-tangents 0.6.5 on jax 0.4.30.

Every row is an NTK of one set of inputs, float64, NTK parametrization. neural-tangents runs in a process of
its own, compiled (`jit`); the compiled call alone counts, and the two take turns. Both may use all cores of
the machine, with as many threads as each takes by itself. Where neural-tangents cannot be installed (see
`benchmarks._neural_tangents`) our times stand alone, and no ratio is demanded.

The error of tanh is that against a fine two-dimensional quadrature of some hundred entries; all other rows
compare the two kernels, of which neural-tangents' has an error of some 1e-8 on the diagonal, where its
arccos of a rounded cosine loses half of the digits.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks._neural_tangents import ENVIRONMENT, Peer
from benchmarks._peer import PeerError, Unavailable
from benchmarks._result import Result, in_seconds
from benchmarks.gram_memory import process_memory
from solvable import kernels

DEPTHS = (1, 3, 5)
N_POINTS = 2000
DIMENSION = 784
# With one hidden layer most of the time is the product of the inputs with themselves: we compute half of it,
# neural-tangents all, and nothing else can be saved.
DEMANDED_RELU = {1: 1.5, 3: 2.5, 5: 2.5}
DEMANDED_ANY = 50.0
DEMANDED_CONV = 2.0
DEGREE = 25  # of neural-tangents' quadrature: what its documentation recommends
PLAIN = {"w_std": 2**0.5, "b_std": 0.0, "readout_w_std": 2**0.5}
WIDE = {"w_std": 2**0.5, "b_std": 0.1, "readout_w_std": 2**0.5}
TANH = {"w_std": 1.0, "b_std": 0.1, "readout_w_std": 1.0}
LOUD = {"w_std": 1.5, "b_std": 0.1, "readout_w_std": 1.0}
CONV_ROWS = (("flatten", 200, 8), ("global_average", 50, 8), ("flatten", 100, 32))
N_CHECKED = 300
TOLERANCE = 1e-5  # of our tanh, of the largest entry
MEMORY_LIMIT = 8_000_000_000


def run() -> Iterator[Result]:
    """Time ReLU networks, a network of any activation and convolutional networks."""
    try:
        python, missing = ENVIRONMENT.python(), ""
    except Unavailable as error:
        python, missing = None, str(error)
    yield from relu(python, missing)
    yield from any_activation(python, missing)
    yield any_activation_memory(python, missing)
    yield from convolutional(python, missing)


def relu(python: Path | None, missing: str) -> Iterator[Result]:
    """Deep fully-connected ReLU networks."""
    X = points(N_POINTS)
    rows = [(depth, PLAIN, "", DEMANDED_RELU[depth]) for depth in DEPTHS] + [(3, WIDE, ", with biases", None)]
    for depth, variances, words, demanded in rows:
        kernel = kernels.NTK(depth, **variances)
        spec = {"depth": depth, "activation": "relu", **variances}
        yield compared(
            f"NTK of a ReLU network, depth {depth}{words}",
            f"n = {N_POINTS}, d = {DIMENSION}",
            lambda kernel=kernel: kernel(X),
            python and (python, spec, X),
            missing,
            demanded=demanded,
            repeats=7,
        )


def any_activation(python: Path | None, missing: str) -> Iterator[Result]:
    """An activation without closed form: tanh, which neural-tangents integrates on a grid for every pair."""
    for X, variances, words, demanded in (
        (points(500, spread=0.0), TANH, "variances near 1", DEMANDED_ANY),
        (points(500), LOUD, "variances 0.6 to 5", None),
    ):
        yield tanh(python, missing, X, variances, words, demanded)


def tanh(
    python: Path | None,
    missing: str,
    X: np.ndarray,
    variances: dict[str, float],
    words: str,
    demanded: float | None,
) -> Result:
    """One row of tanh; the larger the variances, the longer our series."""
    kernel = kernels.NTK(1, activation=np.tanh, **variances)
    rows, columns = np.random.default_rng(1).integers(len(X), size=(2, N_CHECKED))
    truth = tanh_ntk(X, rows, columns, variances)

    def check(ours: np.ndarray, peers: np.ndarray | None) -> tuple[str, bool]:
        off = [np.abs(K[rows, columns] - truth).max() / truth.max() for K in (ours, peers) if K is not None]
        text = " and ".join(f"{error:.0e}" for error in off)
        return f"off a fine quadrature by {text} of the largest entry", bool(
            off[0] <= min(TOLERANCE, off[-1])
        )

    return compared(
        f"NTK of a tanh network, depth 1, {words}",
        f"n = {len(X)}, d = {DIMENSION}",
        lambda: kernel(X),
        python and (python, {"depth": 1, "activation": "tanh", "degree": DEGREE, **variances}, X),
        missing,
        demanded=demanded,
        repeats=3,
        check=check,
    )


def any_activation_memory(python: Path | None, missing: str) -> Result:
    """Time and peak memory of a deep tanh network at the size where neural-tangents gives up."""
    child = [sys.executable, "-m", "benchmarks.network_kernels"]
    printed = subprocess.run(child, check=True, capture_output=True, text=True).stdout
    seconds, peak = map(float, printed.split())
    peer = missing
    if python:
        spec = {"depth": 3, "activation": "tanh", "degree": DEGREE, **TANH}
        try:
            with Peer(python, spec, points(N_POINTS), MEMORY_LIMIT) as compiled:
                peer = f"{in_seconds(compiled())}, {compiled.peak_bytes() / 1e9:.2g} GB (neural-tangents)"
        except PeerError as error:
            asked = re.search(r"allocating (\d+) bytes", str(error))
            reason = f"asks for {int(asked[1]) / 1e9:.0f} GB at once" if asked else str(error)
            peer = f"fails with {MEMORY_LIMIT / 1e9:.0f} GB: {reason} (neural-tangents)"
    return Result(
        what="NTK of a tanh network, depth 3",
        size=f"n = {N_POINTS}, d = {DIMENSION}",
        ours=f"{in_seconds(seconds)}, {peak / 1e6:.0f} MB",
        peer=peer,
        accuracy=f"peak at most 3 matrices ({24 * N_POINTS**2 / 1e6:.0f} MB)",
        accurate=peak <= 24 * N_POINTS**2,
    )


def convolutional(python: Path | None, missing: str) -> Iterator[Result]:
    """Three convolutions 3×3 with ReLU, then flattened or averaged over all positions."""
    for readout, n, side in CONV_ROWS:
        images = np.random.default_rng(0).standard_normal((n, side, side, 3))
        options: dict[str, Any] = {"readout": readout, "padding": "SAME", **WIDE}
        kernel = kernels.ConvNTK(3, **options)
        yield compared(
            f"NTK of a convolutional ReLU network, depth 3, {readout.replace('_', ' ')}",
            f"{n} images {side}×{side}×3",
            lambda kernel=kernel, images=images: kernel(images),
            python and (python, {"depth": 3, "activation": "relu", **options}, images),
            missing,
            demanded=DEMANDED_CONV,
            repeats=3,
        )


def points(n: int, spread: float = 0.5) -> np.ndarray:
    """Return n Gaussian points, their norms stretched by factors 1 - spread to 1 + spread."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, DIMENSION)) * rng.uniform(1 - spread, 1 + spread, (n, 1))


def agreement(ours: np.ndarray, peers: np.ndarray | None) -> tuple[str, bool]:
    """Return how far two symmetric kernels differ, on and off the diagonal, and whether that is within reason."""
    if peers is None:
        return "not compared", True
    difference = np.abs(ours - peers) / np.abs(peers).max()
    on = difference.diagonal().max()
    off = (difference - np.diag(difference.diagonal())).max()
    return f"{off:.0e} of the largest entry apart, {on:.0e} on the diagonal", bool(off < 1e-12 and on < 1e-6)


def compared(
    what: str,
    size: str,
    ours: Callable[[], np.ndarray],
    peer: tuple[Path, dict[str, Any], np.ndarray] | None,
    missing: str,
    demanded: float,
    repeats: int,
    check: Callable[[np.ndarray, np.ndarray | None], tuple[str, bool]] = agreement,
) -> Result:
    """Return the row of one kernel: the median seconds of each, who take turns, and how far their values differ."""
    ours()  # what is loaded and set up once does not count, as the peer's compilation does not
    seconds: list[float] = []
    peer_seconds: list[float] = []

    def our_turn() -> np.ndarray:
        start = perf_counter()
        K = ours()
        seconds.append(perf_counter() - start)
        return K

    if peer is None:
        K = [our_turn() for _ in range(repeats)][-1]
        text, accurate = check(K, None)
        return Result(what, size, in_seconds(median(seconds)), missing, text, accurate=accurate)
    with Peer(*peer) as compiled:
        for _ in range(repeats):
            K = our_turn()
            peer_seconds.append(compiled())
        text, accurate = check(K, compiled.values())
        memory = compiled.peak_bytes()
    return Result(
        what=what,
        size=size,
        ours=in_seconds(median(seconds)),
        peer=f"{in_seconds(median(peer_seconds))}, {memory / 1e9:.2g} GB (neural-tangents)",
        ratio=median(peer_seconds) / median(seconds),
        demanded=demanded,
        accuracy=text,
        accurate=accurate,
    )


def tanh_ntk(X: np.ndarray, rows: np.ndarray, columns: np.ndarray, variances: dict[str, float]) -> np.ndarray:
    """Return single entries of the NTK of one hidden layer of tanh, by the trapezoidal rule on the plane.

    For a function analytic in a strip around the real axis it converges exponentially in 1/step.
    """
    z = np.arange(-9.0, 9.01, 0.1)
    weights = np.exp(-(z**2) / 2)
    weights /= weights.sum()
    w2, b2 = variances["w_std"] ** 2, variances["b_std"] ** 2
    entries = []
    for x, y in zip(X[rows], X[columns], strict=True):
        a, b, c = (w2 * (p @ q) / len(x) + b2 for p, q in ((x, x), (y, y), (x, y)))
        u = np.tanh(np.sqrt(a) * z)[:, None]
        v = np.tanh((c / np.sqrt(a) * z)[:, None] + np.sqrt(max(b - c * c / a, 0.0)) * z)
        value, factor = (weights @ product @ weights for product in (u * v, (1 - u**2) * (1 - v**2)))
        entries.append(variances["readout_w_std"] ** 2 * (value + c * factor))
    return np.array(entries)


def print_time_and_memory() -> None:
    """Print the seconds of a tanh network of depth 3 and the peak memory beyond the inputs; in a fresh process."""
    X = points(N_POINTS)
    kernel = kernels.NTK(3, activation=np.tanh, **TANH)
    kernel(X[:256])  # what is loaded and set up once does not count
    before = process_memory("VmRSS")
    start = perf_counter()
    kernel(X)
    print(perf_counter() - start, process_memory("VmHWM") - before)


if __name__ == "__main__":
    print_time_and_memory()
