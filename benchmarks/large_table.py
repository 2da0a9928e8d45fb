"""A million rows: peak memory and time of `solvable diagnose` on a parquet file of 10^6 rows and 20 columns."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks._result import Result, in_seconds

N_ROWS, N_COLUMNS = 1_000_000, 20
MOST_GIGABYTES = 2.0
# On Linux the peak of a process counts that of the one that started it, and here other benchmarks ran before.
LAUNCHER = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def run() -> Iterator[Result]:
    """Write the file, diagnose it in a process of its own, and report that process's peak."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.parquet"
        rng = np.random.default_rng(0)
        X = rng.standard_normal((N_ROWS, N_COLUMNS))
        y = np.sin(X[:, 0]) + 0.5 * X[:, 1] * X[:, 2] + 0.3 * rng.standard_normal(N_ROWS)
        table = pd.DataFrame(X, columns=[f"x{i}" for i in range(N_COLUMNS)]).assign(target=y)
        table.to_parquet(path)
        del X, table
        start = time.perf_counter()
        command = [sys.executable, "-m", "solvable", "diagnose", str(path), "--quiet"]
        launched = subprocess.run([sys.executable, "-c", LAUNCHER, *command], capture_output=True, text=True)
        seconds = time.perf_counter() - start
        status, peak = map(int, launched.stdout.split())
        # Linux counts in kibibytes, macOS in bytes.
        peak *= (1 if sys.platform == "darwin" else 1024) / 1e9
    yield Result(
        what="solvable diagnose on a large parquet file",
        size=f"{N_ROWS} rows × {N_COLUMNS} columns",
        ours=f"{in_seconds(seconds)}, peak {peak:.2f} GB",
        peer="–",
        accuracy=f"below {MOST_GIGABYTES:g} GB: {'yes' if peak < MOST_GIGABYTES else 'no'}",
        accurate=status == 0 and peak < MOST_GIGABYTES,
    )
