"""Peak memory of a Gram matrix of 4000 points, for each family of kernels: at most the matrix and 100 MB.

Each kernel is computed in a fresh process. What counts is the larger of two peaks beyond the inputs: that of
Python's and NumPy's allocations (`tracemalloc`) and, on Linux, that of the whole process (`VmHWM`), linear
algebra's buffers included. (`ru_maxrss` would not do: a child inherits its parent's.) There is no peer: the
result itself is one matrix, and the naive way to a kernel of distances holds three or more.
"""

import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks._result import Result
from solvable.kernels import KERNEL_NAMES, NTK, Kernel, Polynomial, PowerSeries, as_kernel

N_POINTS = 4000
DIMENSION = 64
DEMANDED = 1 + 100e6 / (8 * N_POINTS**2)
UNNAMED = {
    "polynomial": Polynomial(3),
    "power series": PowerSeries([1.0, 1.0, 0.5]),
    "tanh ntk": NTK(2, np.tanh, b_std=0.1),
}


def process_memory(field: str) -> int:
    """Return `VmRSS` or `VmHWM` of this process in bytes, 0 where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


def peak_matrices(kernel: Kernel) -> float:
    """Return the peak memory of `kernel(X)` beyond its inputs, in units of n² doubles; call it in a fresh process."""
    X = np.random.default_rng(0).standard_normal((N_POINTS, DIMENSION))
    kernel = kernel.for_data(X[:256])
    kernel(X[:256])  # what is loaded and set up once does not count
    before = process_memory("VmRSS")
    tracemalloc.start()
    kernel(X)
    peak = max(tracemalloc.get_traced_memory()[1], process_memory("VmHWM") - before)
    return peak / (8.0 * N_POINTS**2)


def run() -> Iterator[Result]:
    """Measure every kernel that has a name, and the two that take coefficients."""
    for name in (*KERNEL_NAMES, *UNNAMED):
        child = [sys.executable, "-m", "benchmarks.gram_memory", name]
        peak = float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
        yield Result(
            what=f"memory of a Gram matrix, {name}",
            size=f"n = {N_POINTS}",
            ours=f"{peak:.2f} n² doubles",
            peer="–",
            accuracy="at most n² doubles + 100 MB",
            accurate=peak <= DEMANDED,
        )


if __name__ == "__main__":
    print(peak_matrices(UNNAMED.get(sys.argv[1]) or as_kernel(sys.argv[1])))
