"""mup 1.0.0 as a peer: an environment of its own, and a child process in it that takes its turns.

mup asks for torchvision, which replaces torch where the two do not fit. So it stands in an environment of its own,
without what it asks for, and that environment sees the torch of ours. `python_of_the_peer` finds or makes it; `Peer`
starts this file there, and the two talk in lines of JSON over the child's standard input and output. The child times
nothing but mup's set-up, on one thread.
"""

import json
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

VARIABLE = "SOLVABLE_MUP_PYTHON"
ENVIRONMENT = Path(__file__).resolve().parents[1] / ".cache" / "mup"
PINNED = ("mup==1.0.0", "PyYAML==6.0.3")
# As in mup's documentation: the smallest base model, and another width, which tells what grows.
BASE_WIDTH, DELTA_WIDTH = 1, 2


class Unavailable(Exception):
    """There is no mup here; the message says why."""


class PeerError(Exception):
    """The child could not do what it was asked for; the message is its own."""


def python_of_the_peer() -> Path:
    """Return the interpreter that imports mup: that of `VARIABLE`, else of an environment made here.

    Raises:
        Unavailable: where there is none and none can be made.
    """
    if named := os.environ.get(VARIABLE):
        _call([named, "-c", "import mup"], f"imported by {named} (${VARIABLE})")
        return Path(named)
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (ENVIRONMENT / "complete").exists():
        _call([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)])
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _call([*install, *PINNED])
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        Path(_call([str(python), "-c", where]), "ours.pth").write_text("\n".join(sorted(ours)) + "\n")
        (ENVIRONMENT / "complete").touch()
    _call([str(python), "-c", "import mup"], "imported")
    return python


def _call(command: list[str], what: str = "installed") -> str:
    """Run a command and return what it prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"mup could not be {what}: {error}") from error
    if done.returncode != 0:
        # pip's reason stands in its lines of errors, Python's in the last one.
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise Unavailable(f"mup could not be {what}: {errors[-1].removeprefix('ERROR: ')}")
    return done.stdout.strip()


class Peer:
    """mup's set-up of a network of equal linear layers, in a process of its own; use it in a `with` statement.

    Args:
        python: the interpreter.
        width: inputs and outputs of each layer.
        depth: number of layers.
        lr: learning rate.
    """

    def __init__(self, python: Path, width: int, depth: int, lr: float) -> None:
        self._child = subprocess.Popen(
            [str(python), str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._job = {"width": width, "depth": depth, "lr": lr}
        self.rates: list[float] = []
        """Learning rates of all parameters, as last set up, in the order of the model."""

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self) -> float:
        """Set up a new model and return the seconds that it took, without those of the model itself."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(self._job) + "\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"its process ended, exit status {self._child.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        self.rates = answer["rates"]
        return answer["seconds"]

    def close(self) -> None:
        """End the child."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()


def _set_up(width: int, depth: int, lr: float) -> tuple[float, list[float]]:
    """Return the seconds of mup's set-up and the learning rate of each parameter; in the child only."""
    import mup
    from torch import nn

    def network(width: int) -> nn.Module:
        return nn.Sequential(*(nn.Linear(width, width) for _ in range(depth)))

    target = network(width)
    start = time.perf_counter()
    mup.set_base_shapes(target, network(BASE_WIDTH), delta=network(DELTA_WIDTH))
    # The groups alone, as ours are: no optimizer is made of them.
    groups = mup.MuAdam(target.parameters(), impl=lambda groups, **_: groups, lr=lr)
    seconds = time.perf_counter() - start
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    return seconds, [rates[id(parameter)] for parameter in target.parameters()]


def _serve() -> None:
    """Set up what each line asks for, until the input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print is not for the parent
    for line in sys.stdin:
        try:
            import torch

            torch.set_num_threads(1)
            seconds, rates = _set_up(**json.loads(line))
            answer = {"seconds": seconds, "rates": rates}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    _serve()
