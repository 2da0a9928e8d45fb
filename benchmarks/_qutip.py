"""QuTiP as a peer: `propagator` of one Hamiltonian at a time, as fast as we could make it.

It is in our extra `qubits`, so it needs no environment of its own. Coefficients are splines through arrays, which QuTiP
evaluates in compiled code; functions in Python took three times as long.
"""

import time

import numpy as np
from numpy.typing import NDArray

from benchmarks._peer import Unavailable

TOLERANCE = 1e-10


def propagate(
    static: NDArray, parts: list[tuple[NDArray, NDArray]], t_ns: NDArray, order: int = 3
) -> tuple[NDArray, float]:
    """Return the propagator from the first time to the last, and the seconds that it took.

    Args:
        static: Hamiltonian in GHz (d, d).
        parts: matrices in GHz per unit, and their values at the times.
        t_ns: times at equal distances.
        order: of the splines between them.

    Raises:
        Unavailable: without QuTiP.
    """
    try:
        import qutip
    except ImportError as problem:
        raise Unavailable(f"QuTiP is not installed: {problem}") from problem
    options = {"method": "vern9", "atol": TOLERANCE, "rtol": TOLERANCE, "nsteps": 10**9}
    options |= {"progress_bar": "", "normalize_output": False}
    start = time.perf_counter()
    varying = [
        [qutip.Qobj(2 * np.pi * matrix), qutip.coefficient(values, tlist=t_ns, order=order)]
        for matrix, values in parts
    ]
    H = qutip.QobjEvo([qutip.Qobj(2 * np.pi * static), *varying])
    U = qutip.propagator(H, float(t_ns[-1]), options=options).full()
    return U, time.perf_counter() - start
