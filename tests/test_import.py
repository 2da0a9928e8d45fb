"""`import solvable` is cheap, and gives the wings when they are asked for."""

import subprocess
import sys

CODE = """
import sys, time
start = time.perf_counter()
import solvable
seconds = time.perf_counter() - start
heavy = ("torch", "matplotlib", "scipy", "sklearn", "xarray", "pandas")
print(seconds, *(name for name in heavy if name in sys.modules))
assert solvable.regression.LearningSurface and "regression" in dir(solvable)
print(*(name for name in ("torch", "matplotlib") if name in sys.modules))
"""


def test_import_is_quick_and_light() -> None:
    runs = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
        runs.append(done.stdout.splitlines())
    seconds = min(float(run[0].split()[0]) for run in runs)
    assert seconds < 0.5
    assert all(len(run[0].split()) == 1 for run in runs), "import solvable loads more than itself"
    assert all(run[1] == "" for run in runs), "a wing loads torch or matplotlib"
