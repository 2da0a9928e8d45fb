"""neural-tangents as a peer (see `benchmarks._peer`).

neural-tangents 0.6.5 cannot be imported with the jax of today, nor with our NumPy. Arrays go to and from the child as
temporary files. It compiles a kernel once and times nothing but the compiled call, until its result is there
(`block_until_ready`).
"""

import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks._peer import ROOT, Child, Environment, channel, reason

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
ENVIRONMENT = Environment("neural-tangents", "neural_tangents", ROOT / ".venv-neural-tangents", PINNED)


class Peer(Child):
    """A kernel of neural-tangents, compiled in a process of its own.

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
        super().__init__(python, "benchmarks._neural_tangents")
        job = {"spec": spec, "inputs": str(inputs), "values": str(self._values), "limit": address_space}
        try:
            self.compile_seconds = self.ask(job)["seconds"]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Peer":
        return self

    def __call__(self) -> float:
        """Compute the kernel once more and return the seconds of the compiled call."""
        return self.ask({"run": True})["seconds"]

    def values(self) -> np.ndarray:
        """Return the kernel as last computed."""
        self.ask({"save": True})
        return np.load(self._values)

    def peak_bytes(self) -> int:
        """Return by how much the memory of the child ever exceeded that before it built the kernel."""
        return self.ask({"peak": True})["bytes"]

    def close(self) -> None:
        """End the child and remove its files."""
        super().close()
        self._folder.cleanup()


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
    answer = channel()
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
        answer(error=reason(error))


if __name__ == "__main__":
    _serve()
