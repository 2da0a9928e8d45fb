"""A donor spin under charge noise, next to loops over QuTiP's `propagator`.

All on one thread, at equal accuracy: results must agree to 1e-6 where QuTiP was timed. Its times are those of a few
samples, extrapolated to all.

- A linear sweep of 1 µs at 1000 constant errors of the field, by the shift in time that each is equal to.
- The robust pulse of 1 µs at 1000 constant errors of the field, by interpolation. QuTiP is timed on its first 100 ns,
  where also the infidelities are compared, and extrapolated to its length.
- The robust pulse under 1000 traces of 1/f noise up to 10 MHz, by propagators of short pieces; likewise.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks._peer import Unavailable
from benchmarks._qutip import propagate
from benchmarks._result import Result, in_seconds
from solvable.spins.device import DonorDevice
from solvable.spins.fidelity import X90, average_gate_fidelity, project
from solvable.spins.gates import Gate, robust_x90
from solvable.spins.noise import NoiseCurve, PinkNoise
from solvable.spins.pulses import Pulse
from solvable.spins.shapes import Ramp
from solvable.spins.sweep import sweep_propagator

SAMPLES, TIMED, SIGMA_V_PER_M, ACCURACY = 1000, 5, 100.0, 1e-6
PART_NS, SPLINE_NS = 100.0, 0.0015
DEMANDED_SWEEP, DEMANDED_PULSE, DEMANDED_PINK = 1000.0, 200.0, 8.0


def run() -> Iterator[Result]:
    """Time the claims."""
    with threadpool_limits(1):
        yield sweep()
        yield from robust()


def sweep() -> Result:
    """Compare propagators of a sweep."""
    device = DonorDevice.preset("sweep")
    pulse = Pulse(1000.0, E_V_per_m=Ramp(-5e3, 5e3))
    offsets = np.linspace(-300, 300, SAMPLES)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        ours = sweep_propagator(device, pulse, offsets)
        seconds.append(time.perf_counter() - start)
    chosen = np.linspace(0, SAMPLES - 1, TIMED).astype(int)
    t = np.array([0.0, pulse.duration_ns])

    def peer(k: int) -> tuple[float, float]:
        ends = np.array([-5e3, 5e3]) + offsets[k]
        U, took = propagate(device.hamiltonian(), [(device.per_field, ends)], t, order=1)
        return float(np.abs(U - ours[k]).max()), took

    what = "propagators of a sweep of 1 µs", f"{SAMPLES} offsets", float(np.median(seconds))
    return compared(*what, peer, chosen, 1.0, DEMANDED_SWEEP)


def robust() -> Iterator[Result]:
    """Compare infidelities of the robust pulse under both kinds of noise."""
    gate = robust_x90()
    part = beginning(gate)
    longer = gate.duration_ns / PART_NS
    rng = np.random.default_rng(0)
    offsets = np.clip(SIGMA_V_PER_M * rng.standard_normal(SAMPLES), -5 * SIGMA_V_PER_M, 5 * SIGMA_V_PER_M)
    start = time.perf_counter()
    curve = NoiseCurve(gate, SIGMA_V_PER_M)
    curve.infidelity(offsets)
    took = time.perf_counter() - start
    short = NoiseCurve(part, SIGMA_V_PER_M).infidelity(offsets)

    def quasi_static(k: int) -> tuple[float, float]:
        trace = np.full(2, offsets[k])
        theirs, seconds = infidelity(part, trace)
        return abs(theirs - short[k]), seconds

    size = f"{SAMPLES} offsets, interpolated within {curve.error:.0e}"
    chosen = range(TIMED)
    yield compared("robust pulse of 1 µs", size, took, quasi_static, chosen, longer, DEMANDED_PULSE)

    start = time.perf_counter()
    PinkNoise(gate, SIGMA_V_PER_M, n_traces=SAMPLES).means(SIGMA_V_PER_M)
    took = time.perf_counter() - start
    noise = PinkNoise(part, SIGMA_V_PER_M, n_traces=TIMED)
    traces = SIGMA_V_PER_M * noise.traces
    pieces = 1 - average_gate_fidelity(noise.pieces.propagators(traces), X90)

    def pink(k: int) -> tuple[float, float]:
        theirs, seconds = infidelity(part, traces[k])
        return abs(theirs - pieces[k]), seconds

    size = f"{SAMPLES} traces of 1/f noise"
    yield compared("robust pulse of 1 µs", size, took, pink, chosen, longer, DEMANDED_PINK)


def beginning(gate: Gate) -> Gate:
    """Return the first part of the gate's pulse as a gate of its own, without virtual rotations."""
    T = gate.duration_ns
    names = ("E_c_V_per_m", "E_s_V_per_m", "B_x_T", "B_y_T")
    whole = {name: getattr(gate.pulse, name) for name in names}
    cut: dict[str, Any] = {
        name: lambda t_ns, _duration, shape=shape: shape(t_ns, T) for name, shape in whole.items()
    }
    return replace(gate, pulse=replace(gate.pulse, duration_ns=PART_NS, **cut), before=0.0, after=0.0)


def infidelity(gate: Gate, trace: NDArray[np.float64]) -> tuple[float, float]:
    """Return the infidelity by QuTiP and its seconds, the error of the field along a trace, straight between values."""
    device, pulse = gate.device, gate.pulse
    # A spline must not run over the corners of the trace.
    n = len(trace) - 1
    U, seconds = np.eye(8), 0.0
    for k, (left, right) in enumerate(pairwise(np.linspace(0, pulse.duration_ns, n + 1))):
        t = np.linspace(left, right, max(round((right - left) / SPLINE_NS), 4) + 1)
        B_x, B_y = pulse.controls(t)[:, 3:].T
        x, y = device.per_tesla
        E = pulse.total_field(t) + np.linspace(trace[k], trace[k + 1], len(t))
        static = device.hamiltonian(frame_GHz=pulse.nu_B_GHz)
        step, took = propagate(static, [(device.per_field, E), (x, B_x), (y, B_y)], t - left)
        U, seconds = step @ U, seconds + took
    M = project(device, U, trace[0], trace[-1])
    return float(1 - average_gate_fidelity(M, gate.target)), seconds


def compared(
    what: str, size: str, took: float, peer: Any, chosen: Any, longer: float, demanded: float
) -> Result:
    """Return the row of a comparison: the peer's seconds of the chosen samples times `longer`, for all samples."""
    try:
        found = np.array([peer(int(k)) for k in chosen])
    except Unavailable as problem:
        return Result(what, size, in_seconds(took), str(problem), "–", None, demanded)
    theirs = float(np.median(found[:, 1])) * longer * SAMPLES
    part = "" if longer == 1 else f" of {PART_NS:g} ns"
    error = float(found[:, 0].max())
    return Result(
        what,
        size,
        in_seconds(took),
        f"QuTiP, {in_seconds(theirs)} (from {len(found)}{part})",
        f"differ by {error:.0e}",
        theirs / took,
        demanded,
        error < ACCURACY,
    )
