"""The chain from resistances to frequencies, collisions of lattices, and the report on a wafer.

All on one thread.

- f01 of 100,000 junctions, the table's construction included, next to a loop over scqubits (timed on some and
  extrapolated), at equal accuracy, 1e-8.
- Yield of a lattice of 27 qubits, 20,000 draws at 14 MHz: next to a loop over lattices in Python floats that leaves at
  the first collision, and next to a loop over lattices with rows of NumPy; the same draws give the same yield.
- Report on a wafer of 100,000 junctions, in seconds of CPU beyond reading.
"""

import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks._peer import PeerError, Unavailable
from benchmarks._result import Result, alternate, in_seconds
from benchmarks._scqubits import ENVIRONMENT, Peer
from solvable.junctions import falcon27, transmon, wafer
from solvable.junctions.collisions import Lattice

JUNCTIONS, TIMED, EC, NG = 100_000, 1000, 0.24, 0.25
DRAWS, SIGMA = 20_000, 0.014
DEMANDED_F01, DEMANDED_FLOATS, DEMANDED_ROWS, MOST_SECONDS = 300.0, 10.0, 50.0, 2.0


def run() -> Iterator[Result]:
    """Time the claims."""
    with threadpool_limits(1):
        yield frequencies()
        yield from collisions()
        yield report()


def frequencies() -> Result:
    """Compare with scqubits."""
    rng = np.random.default_rng(0)
    EJ = EC * np.exp(rng.uniform(np.log(20), np.log(100), JUNCTIONS))
    size = f"{JUNCTIONS:,} junctions"
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        ours = transmon.f01(EJ, EC, NG)
        seconds.append(time.perf_counter() - start)
    took = float(np.median(seconds))
    try:
        with Peer(ENVIRONMENT.python()) as peer:
            peer.frequencies(EJ[:10].tolist(), EC, NG)
            found = [peer.frequencies(EJ[:TIMED].tolist(), EC, NG) for _ in range(3)]
    except (Unavailable, PeerError) as problem:
        return Result("f01 of transmons", size, in_seconds(took), str(problem), "–", None, DEMANDED_F01)
    theirs = float(np.median([one[1] for one in found])) * JUNCTIONS / TIMED
    error = float(np.abs(ours[:TIMED] / np.array(found[0][0]) - 1).max())
    return Result(
        "f01 of transmons",
        size,
        in_seconds(took),
        f"scqubits, {in_seconds(theirs)} (from {TIMED})",
        f"differ by {error:.0e}",
        theirs / took,
        DEMANDED_F01,
        error < 1e-8,
    )


def collisions() -> Iterator[Result]:
    """Compare with loops over lattices."""
    lattice = falcon27()
    size = f"27 qubits, {DRAWS:,} draws"

    def ours() -> float:
        return float(lattice.collision_free_yield(SIGMA, DRAWS, 0))

    for name, loop, demanded in (
        ("early exit, Python floats", loop_of_floats, DEMANDED_FLOATS),
        ("rows of NumPy", loop_of_rows, DEMANDED_ROWS),
    ):
        took, theirs, value, other = alternate(ours, lambda loop=loop: loop(lattice), 3)
        yield Result(
            "yield without collisions",
            size,
            in_seconds(took),
            f"loop, {name}: {in_seconds(theirs)}",
            f"yields {value:.4f} and {other:.4f}",
            theirs / took,
            demanded,
            value == other,
        )


def loop_of_floats(lattice: Lattice) -> float:
    """Return the yield by a loop that leaves a lattice at its first collision."""
    rng = np.random.default_rng(0)
    edges = lattice.edges
    alpha = float(lattice.anharmonicity_GHz[0])
    targets: dict[int, list[int]] = {}
    for c, t in edges:
        targets.setdefault(c, []).append(t)
    triples = [
        (c, i, k) for c, several in targets.items() for n, i in enumerate(several) for k in several[n + 1 :]
    ]
    free = 0
    for row in draws(lattice, rng).tolist():
        free += _is_free(row, edges, triples, alpha)
    return free / DRAWS


def _is_free(f: list[float], edges: tuple, triples: list, alpha: float) -> bool:
    for c, t in edges:
        d = f[t] - f[c]
        if abs(d) < 0.017 or abs(d - alpha / 2) < 0.002 or abs(d - alpha) < 0.03 or abs(d + alpha) < 0.03:
            return False
        if not alpha <= d <= 0:
            return False
    for c, i, k in triples:
        d = f[i] - f[k]
        if abs(d) < 0.017 or abs(d - alpha) < 0.025 or abs(d + alpha) < 0.025:
            return False
        if abs(2 * f[c] + alpha - f[i] - f[k]) < 0.017:
            return False
    return True


def loop_of_rows(lattice: Lattice) -> float:
    """Return the yield by a loop over lattices whose rules are arrays."""
    rng = np.random.default_rng(0)
    c, t = np.array(lattice.edges).T
    alpha = float(lattice.anharmonicity_GHz[0])
    triples = np.array(
        [(a, b, e) for n, (a, b) in enumerate(lattice.edges) for d, e in lattice.edges[n + 1 :] if a == d]
    ).T
    free = 0
    for f in draws(lattice, rng):
        d = f[t] - f[c]
        bad = (np.abs(d) < 0.017).any() or (np.abs(d - alpha / 2) < 0.002).any()
        bad |= (np.abs(d - alpha) < 0.03).any() or (np.abs(d + alpha) < 0.03).any()
        bad |= ((d < alpha) | (d > 0)).any()
        a, i, k = triples
        e = f[i] - f[k]
        bad |= (
            (np.abs(e) < 0.017).any()
            or (np.abs(e - alpha) < 0.025).any()
            or (np.abs(e + alpha) < 0.025).any()
        )
        bad |= (np.abs(2 * f[a] + alpha - f[i] - f[k]) < 0.017).any()
        free += not bad
    return free / DRAWS


def draws(lattice: Lattice, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the lattices that `collision_free_yield` draws."""
    return lattice.frequencies_GHz + SIGMA * rng.standard_normal((DRAWS, len(lattice.frequencies_GHz)))


def report() -> Result:
    """Time the report on a large wafer."""
    table, truth = wafer.synthetic_wafer(0, n_chips=100, per_design=40)
    start = time.process_time()
    found = wafer.report(table)
    str(found)
    seconds = time.process_time() - start
    # Its cost does not depend on the number of junctions, apart from the first figure of a process.
    found.plot().savefig(BytesIO(), format="svg")
    with_figure = time.process_time() - start
    bias = found.widths
    assert bias is not None
    error = 1e3 * max(abs(bias.bias1_um - truth["bias1_um"]), abs(bias.bias2_um - truth["bias2_um"]))
    return Result(
        "report on a wafer",
        f"{len(table):,} junctions",
        f"{seconds:.2f} s of CPU ({with_figure:.2f} s with its figure)",
        f"at most {MOST_SECONDS:g} s",
        f"biases of the widths within {error:.2f} nm",
        MOST_SECONDS / seconds,
        1.0,
        error < 0.5,
    )
