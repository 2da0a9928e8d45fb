"""neural-tangents as a peer: an environment of its own, and a child process in it that takes its turns.

neural-tangents 0.6.5 cannot be imported with the jax of today, nor with our NumPy. `python_of_the_peer` finds
or makes an environment for it; `Peer` starts this file there, and the two talk in lines of JSON over the
child's standard input and output, with arrays as temporary files. The child compiles a kernel once and times
nothing but the compiled call, until its result is there (`block_until_ready`).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

VARIABLE = "SOLVABLE_NEURAL_TANGENTS_PYTHON"
ENVIRONMENT = Path(__file__).resolve().parents[1] / ".venv-neural-tangents"
# neural-tangents asks only for tensorflow >= 2.15 and tf2jax >= 0.3.5, which it imports at once.
PINNED = (
    "neural-tangents==0.6.5",
    "jax==0.4.30",
    "jaxlib==0.4.30",
    "numpy==1.26.4",
    "scipy==1.13.1",
    "tf2jax==0.3.6",
    "tensorflow==2.21.0",
)


class Unavailable(Exception):
    """There is no neural-tangents here; the message says why."""


class PeerError(Exception):
    """The child could not do what it was asked for; the message is its own."""


def python_of_the_peer() -> Path:
    """Return the interpreter that imports neural-tangents: that of `VARIABLE`, else of an environment made here.

    Raises:
        Unavailable: where there is none and none can be made.
    """
    if named := os.environ.get(VARIABLE):
        _call([named, "-c", "import neural_tangents"], f"imported by {named} (${VARIABLE})")
        return Path(named)
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (ENVIRONMENT / "complete").exists():
        _call([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)])
        _call([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINNED])
        _call([str(python), "-c", "import neural_tangents"])
        (ENVIRONMENT / "complete").touch()
    return python


def _call(command: list[str], what: str = "installed") -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"neural-tangents could not be {what}: {error}") from error
    if done.returncode != 0:
        # pip's reason stands in its lines of errors, Python's in the last one.
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise Unavailable(f"neural-tangents could not be {what}: {errors[-1].removeprefix('ERROR: ')}")


class Peer:
    """A kernel of neural-tangents, compiled in a process of its own; use it in a `with` statement.

    Args:
        python: the interpreter.
        spec: what to build, see `kernel_of`.
        X: the inputs.
        address_space: limit of the child's address space in bytes, None for no limit.
    """

    def __init__(self, python: Path, spec: dict, X: np.ndarray, address_space: int | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._values = Path(self._folder.name) / "values.npy"
        inputs = Path(self._folder.name) / "inputs.npy"
        np.save(inputs, X)
        self._child = subprocess.Popen(
            [str(python), str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        job = {"spec": spec, "inputs": str(inputs), "values": str(self._values), "limit": address_space}
        try:
            self.compile_seconds = self._ask(job)["seconds"]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self) -> float:
        """Compute the kernel once more and return the seconds of the compiled call."""
        return self._ask({"run": True})["seconds"]

    def values(self) -> np.ndarray:
        """Return the kernel as last computed."""
        self._ask({"save": True})
        return np.load(self._values)

    def peak_bytes(self) -> int:
        """Return by how much the memory of the child ever exceeded that before it built the kernel."""
        return self._ask({"peak": True})["bytes"]

    def close(self) -> None:
        """End the child and remove its files."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()
        self._folder.cleanup()

    def _ask(self, job: dict) -> dict:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(job) + "\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"its process ended, exit status {self._child.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer


def kernel_of(spec: dict):
    """Return neural-tangents' `kernel_fn`; in the child only.

    `spec` holds `depth`, `activation` ("relu", or "tanh" by quadrature of degree `degree`), `w_std`, `b_std`,
    `readout_w_std` and, for a convolutional network with filters 3×3, `readout` ("flatten" or
    "global_average") and `padding`. The readout has no bias.
    """
    import jax.numpy as jnp
    from neural_tangents import stax

    bias = spec["b_std"] or None
    layers = []
    for _ in range(spec["depth"]):
        if "readout" in spec:
            layers.append(stax.Conv(1, (3, 3), padding=spec["padding"], W_std=spec["w_std"], b_std=bias))
        else:
            layers.append(stax.Dense(1, spec["w_std"], bias))
        if spec["activation"] == "relu":
            layers.append(stax.Relu())
        else:
            layers.append(stax.ElementwiseNumerical(jnp.tanh, deg=spec["degree"]))
    if "readout" in spec:
        layers.append(stax.Flatten() if spec["readout"] == "flatten" else stax.GlobalAvgPool())
    layers.append(stax.Dense(1, spec["readout_w_std"], None))
    return stax.serial(*layers)[2]


def _memory(field: str) -> int:
    """Return `VmRSS` or `VmHWM` of this process in bytes, 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def _serve() -> None:
    """Build what the first line asks for; then compute, save or report, line by line, until the input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print is not for the parent

    def answer(**fields: object) -> None:
        print(json.dumps(fields), file=out, flush=True)

    warnings.simplefilter("ignore")
    job = json.loads(sys.stdin.readline())
    try:
        import jax
        import neural_tangents  # noqa: F401

        jax.config.update("jax_enable_x64", True)
        X = jax.numpy.asarray(np.load(job["inputs"]))
        if job["limit"]:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (job["limit"],) * 2)
        before = _memory("VmRSS")
        kernel_fn = kernel_of(job["spec"])
        compiled = jax.jit(lambda X: kernel_fn(X, None, "ntk"))

        def timed() -> float:
            nonlocal K
            K = None
            start = time.perf_counter()
            K = compiled(X).block_until_ready()
            return time.perf_counter() - start

        K = None
        answer(seconds=timed())
        for line in sys.stdin:
            request = json.loads(line)
            if "run" in request:
                answer(seconds=timed())
            elif "save" in request:
                np.save(job["values"], np.asarray(K))
                answer()
            else:
                answer(bytes=_memory("VmHWM") - before)
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}".splitlines()[0])


if __name__ == "__main__":
    _serve()
