"""A million rows: peak memory and time of `solvable diagnose` on a parquet file of 10^6 rows and 20 columns."""

import os
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
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        # Linux counts in kibibytes, macOS in bytes.
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    yield Result(
        what="solvable diagnose on a large parquet file",
        size=f"{N_ROWS} rows × {N_COLUMNS} columns",
        ours=f"{in_seconds(seconds)}, peak {peak:.2f} GB",
        peer="–",
        accuracy=f"below {MOST_GIGABYTES:g} GB: {'yes' if peak < MOST_GIGABYTES else 'no'}",
        accurate=process.returncode == 0 and peak < MOST_GIGABYTES,
    )
