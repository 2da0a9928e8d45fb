"""The cost of a kernel matrix of images, estimated before it is computed."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from solvable.kernels.convolutional.layers import Stack


@dataclass(frozen=True)
class Cost:
    """The cost of a kernel matrix.

    Args:
        flops: floating-point operations; a transcendental function counts as ten.
        memory: peak memory in bytes, with the result but without the images.
        seconds: estimated time on this CPU with the current number of threads.
    """

    flops: float
    memory: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.flops:.2g} operations, {_bytes(self.memory)}, about {_time(self.seconds)}"


def seconds_per_number(stack: Stack, dtype: Any) -> list[float]:
    """Return the seconds that each layer takes per pair of pixels on one thread, from a probe of a few milliseconds."""
    activations = [layer.activation for layer in stack.layers]
    rates = {activation: _probe(stack, activation, dtype) for activation in set(activations)}
    return [rates[activation] for activation in activations]


def _probe(stack: Stack, activation: Any, dtype: Any) -> float:
    side = 64
    variances = np.linspace(0.5, 1.5, side).astype(dtype)
    c = (0.9 * np.sqrt(variances[:, None] * variances)).astype(dtype)
    prepared = activation.prepare(np, variances)
    best = np.inf
    for _ in range(3):
        start = perf_counter()
        activation.pair(
            np,
            tuple(p[:, None] for p in prepared),
            tuple(p[None] for p in prepared),
            c.copy(),
            stack.derivative,
        )
        best = min(best, perf_counter() - start)
    # Convolution and bookkeeping take about 2q additions and ten more passes.
    passes = 10 + 2 * stack.filter_size * (2 if stack.derivative else 1)
    return best / c.size + passes * 0.6e-9


def _bytes(n: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} TB"


def _time(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} seconds"
