r"""Charge noise on gates: quasi-static noise, 1/f noise, and how much of each a gate withstands.

Quasi-static noise is an error of the field that is constant during a gate and normal from gate to gate; 1/f noise
changes during the gate. The propagators of short pieces of a pulse are smooth functions of the field, so these are
computed exactly at a few fields, and interpolated: at as many constant errors, or along as many random traces, as are
needed.

The method is ours.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from solvable.checks import choice, generator, numbers, one_number, whole
from solvable.errors import InputError
from solvable.progress import progress
from solvable.spins.device import LARGEST_FIELD_V_PER_M, Complex, field
from solvable.spins.fidelity import average_gate_fidelity, leakage, virtual_z
from solvable.spins.gates import Gate, one_pulse
from solvable.spins.pieces import (
    MOST_POINTS,
    PIECE_NS,
    PulsePieces,
    interpolant,
    refined,
)

Array = NDArray[np.float64]

# Offsets beyond this many standard deviations have a probability of 6e-7 and count as the last one.
_WIDTH = 5.0
_LARGEST_SIGMA = LARGEST_FIELD_V_PER_M / _WIDTH
_MOST_FROM_PIECES = 16_385
_BANDS_PER_DECADE = 30
_LARGEST_CUTOFF_HZ = 1e8


class AnyGate(Protocol):
    """What quasi-static noise needs of a gate; 1/f noise needs a `solvable.spins.gates.Gate`."""

    def infidelity(self, offset_V_per_m: ArrayLike) -> Any:
        """Return the average gate infidelity for each constant error of the field."""
        ...

    def leakage(self, offset_V_per_m: ArrayLike) -> Any:
        """Return the mean probability to leave the qubit, likewise."""
        ...


class NoiseCurve:
    r"""Infidelity and leakage of a gate against a constant error of the field, and their means over quasi-static noise.

    The curve is interpolated at Chebyshev points of $\pm 5 \sigma$. Their number is doubled, and all earlier ones are
    used again, until the mean of the absolute change is below $10^{-7} + 10^{-3}$ times the mean infidelity for every
    sigma.

    Args:
        gate: a gate, or anything with `infidelity` and `leakage`.
        sigma_V_per_m: standard deviations of the noise that will be asked for, each at most 2e4.
        pieces: those of the gate's pulse, for at least 5 sigma, if they have been computed before; the points are then
            computed from them instead of exactly.

    Attributes:
        half_width_V_per_m: the curve covers errors up to this.
        error: largest change of a mean infidelity by the last doubling: an upper estimate of the remaining error.
        n_points: number of points between which the curve is interpolated.
        n_exact: number of exact propagations.

    >>> from solvable.spins.gates import naive_x90
    >>> curve = NoiseCurve(naive_x90(), 30.0)
    >>> infidelity, leak = curve.means(30.0)
    >>> bool(0.02 < infidelity < 0.2), curve.n_exact
    (True, 17)
    """

    def __init__(self, gate: AnyGate, sigma_V_per_m: ArrayLike, pieces: PulsePieces | None = None) -> None:
        sigmas = _checked_sigmas(sigma_V_per_m).ravel()
        self.half_width_V_per_m = _WIDTH * float(sigmas.max()) or 1.0

        def compute(offsets: Array) -> Array:
            if pieces is None:
                return _exact(gate, offsets)
            traces = np.broadcast_to(offsets[:, None], (offsets.size, 2 * pieces.n_pieces + 1))
            return np.stack(_figures(gate, pieces.propagators(traces)), -1)

        def excess(old: Array, new: Array) -> tuple[float, float]:
            change = error = 0.0
            for sigma in sigmas:
                x, weights = self._quadrature(sigma)
                fine = interpolant(new, x)
                moved = float(weights @ np.abs(fine - interpolant(old, x))[:, 0])
                error = max(error, moved)
                change = max(change, moved / (1e-7 + 1e-3 * abs(float(weights @ fine[:, 0]))))
            return change, error

        most = MOST_POINTS if pieces is None else _MOST_FROM_PIECES
        self._values, self.error = refined(compute, excess, self.half_width_V_per_m, most)
        self.n_points = len(self._values)
        self.n_exact = self.n_points if pieces is None else pieces.n_exact

    def infidelity(self, offset_V_per_m: ArrayLike) -> Array:
        """Return the interpolated infidelity.

        Raises:
            InputError: for offsets beyond the curve.
        """
        return self._interpolated(offset_V_per_m)[..., 0]

    def leakage(self, offset_V_per_m: ArrayLike) -> Array:
        """Return the interpolated leakage; raises as `infidelity`."""
        return self._interpolated(offset_V_per_m)[..., 1]

    def means(self, sigma_V_per_m: ArrayLike) -> tuple[Array, Array]:
        """Return mean infidelity and mean leakage for standard deviations of any shape.

        The sum is the trapezoidal rule on 1001 points of the curve, which for smooth curves converges exponentially.
        """
        sigmas = _checked_sigmas(sigma_V_per_m)
        found = np.empty((sigmas.size, 2))
        for i, sigma in enumerate(sigmas.ravel()):
            x, weights = self._quadrature(sigma)
            found[i] = weights @ interpolant(self._values, x)
        return found[:, 0].reshape(sigmas.shape), found[:, 1].reshape(sigmas.shape)

    def monte_carlo(self, sigma_V_per_m: float, n_samples: int, random_state: Any = 0) -> tuple[float, float]:
        """Return the mean infidelity of random offsets and its standard error; those beyond the curve count as its end.

        Args:
            sigma_V_per_m: standard deviation of the noise.
            n_samples: number of offsets, at least 2; a million take about a second.
            random_state: seed or generator.
        """
        rng = generator("random_state", random_state)
        n = whole("n_samples", n_samples, at_least=2, at_most=10_000_000)
        offsets = float(_checked_sigmas(sigma_V_per_m)) * rng.standard_normal(n)
        # In parts, since the weights of all points at once would not fit the cache.
        found = np.concatenate(
            [
                interpolant(self._values, x / self.half_width_V_per_m)[:, 0]
                for x in np.array_split(offsets, n // 10_000 + 1)
            ]
        )
        return float(found.mean()), float(found.std(ddof=1) / np.sqrt(n))

    def _interpolated(self, offset_V_per_m: ArrayLike) -> Array:
        x = field(offset_V_per_m, "offset_V_per_m") / self.half_width_V_per_m
        if (beyond := np.abs(x) > 1).any():
            raise InputError(
                f"the curve covers offsets up to {self.half_width_V_per_m:g} V/m; got"
                f" {x[beyond].flat[0] * self.half_width_V_per_m:g}; make it for a larger sigma_V_per_m"
            )
        return interpolant(self._values, x)

    def _quadrature(self, sigma: float) -> tuple[Array, Array]:
        """Return places of the curve, in units of its half-width, and weights of a normal distribution."""
        z = np.linspace(-_WIDTH, _WIDTH, 1001) if sigma > 0 else np.zeros(1)
        weights = np.exp(-(z**2) / 2)
        return sigma * z / self.half_width_V_per_m, weights / weights.sum()


def pink_noise(
    n_traces: int,
    duration_ns: float,
    sigma_V_per_m: float = 1.0,
    f_low_Hz: float = 1.0,
    f_high_Hz: float = 1e7,
    n_times: int = 1001,
    random_state: Any = 0,
) -> Array:
    r"""Return traces of 1/f noise in V/m, (n_traces, n_times), at equal distances from beginning to end.

    The one-sided spectrum is $S(f) = S_1 / f$ between the two frequencies and zero elsewhere, with
    $\sigma^2 = S_1 \ln(f_{high} / f_{low})$. The decades between one second and one gate are too many for a Fourier
    transform. So the spectrum is cut into 30 bands per decade; in each a frequency is drawn log-uniformly and has a
    cosine and a sine with random normal amplitudes. Each trace has frequencies of its own. Mean and covariance are
    exactly those of 1/f noise, and given its frequencies a trace is normal.

    Args:
        n_traces: number of traces.
        duration_ns: time from the first to the last value.
        sigma_V_per_m: standard deviation of all noise between the two frequencies.
        f_low_Hz: lowest frequency, about one over the time of a whole experiment.
        f_high_Hz: highest frequency.
        n_times: number of values.
        random_state: seed or generator.

    >>> pink_noise(3, 1000.0, 100.0).shape
    (3, 1001)
    """
    n, n_t = whole("n_traces", n_traces, at_least=1), whole("n_times", n_times, at_least=2)
    sigma = float(_checked_sigmas(one_number("sigma_V_per_m", sigma_V_per_m)))
    duration = one_number("duration_ns", duration_ns, above=0)
    low = one_number("f_low_Hz", f_low_Hz, above=0)
    high = one_number("f_high_Hz", f_high_Hz, above=0)
    if not low < high:
        raise InputError(f"f_low_Hz must be below f_high_Hz; got {low:g} and {high:g}")
    rng = generator("random_state", random_state)
    n_bands = int(np.ceil(_BANDS_PER_DECADE * np.log10(high / low)))
    f = low * (high / low) ** ((np.arange(n_bands) + rng.random((n, n_bands))) / n_bands)
    amplitudes = rng.standard_normal((2, n, n_bands)) * (sigma / np.sqrt(n_bands))
    # Times are sums of coarse and fine ones, so that few exponentials are needed and the rest is a matrix product.
    n_fine = int(np.ceil(np.sqrt(n_t)))
    n_coarse = -(-n_t // n_fine)
    turn = 2e-9j * np.pi * f * (duration / (n_t - 1))
    coarse = np.exp(turn[:, None, :] * (n_fine * np.arange(n_coarse))[:, None])
    fine = np.exp(turn[:, :, None] * np.arange(n_fine))
    signal = (coarse * (amplitudes[0] - 1j * amplitudes[1])[:, None, :]) @ fine
    return signal.real.reshape(n, -1)[:, :n_t]


def noise_sweep(
    gate: Any,
    sigma_V_per_m: ArrayLike,
    kind: str = "quasi-static",
    f_low_Hz: float = 1.0,
    f_high_Hz: float = 1e7,
    nodes: int | None = None,
    n_traces: int = 300,
    random_state: Any = 0,
    quiet: bool = True,
) -> xr.Dataset:
    """Return mean infidelity and leakage of a gate against the standard deviation of charge noise.

    Args:
        gate: a gate; for quasi-static noise anything with `infidelity` and `leakage`.
        sigma_V_per_m: standard deviations, one or a list, 0 to 2e4.
        kind: `quasi-static`, constant during the gate, or `pink`, 1/f noise.
        f_low_Hz: lowest frequency of 1/f noise.
        f_high_Hz: highest frequency of 1/f noise, at most 1e8.
        nodes: number of exact Gauss-Hermite nodes for each sigma of quasi-static noise, instead of the interpolation,
            which finds its own number.
        n_traces: number of traces of 1/f noise; the same ones, rescaled, serve all sigmas.
        random_state: seed or generator of the traces.
        quiet: show no progress bar.

    Returns:
        Dataset on `sigma_V_per_m` with `infidelity` and `leakage`, for 1/f noise also `infidelity_error`, the standard
        error of the mean; attributes `interpolation_error` (see `NoiseCurve` and `PulsePieces`) and `n_exact`.

    >>> from solvable.spins.gates import naive_x90
    >>> swept = noise_sweep(naive_x90(), [10.0, 100.0], nodes=5)
    >>> bool(0.02 < swept.infidelity[0] < swept.infidelity[1] < 0.2)
    True
    """
    choice("kind", kind, ("quasi-static", "pink"))
    sigmas = _checked_sigmas(sigma_V_per_m).ravel()
    data: dict[str, Any] = {}
    if kind == "quasi-static":
        if nodes is None:
            curve = NoiseCurve(gate, sigmas)
            data["infidelity"], data["leakage"] = curve.means(sigmas)
            error, n_exact = curve.error, curve.n_exact
        else:
            x, weights = np.polynomial.hermite_e.hermegauss(whole("nodes", nodes, at_least=1, at_most=200))
            offsets = sigmas[:, None] * x
            weights = weights / weights.sum()
            data["infidelity"], data["leakage"] = np.moveaxis(weights @ _exact(gate, offsets), -1, 0)
            error, n_exact = 0.0, offsets.size
    else:
        if nodes is not None:
            raise InputError("nodes are for quasi-static noise; 1/f noise has n_traces")
        pink = PinkNoise(gate, float(sigmas.max()), f_low_Hz, f_high_Hz, n_traces, random_state)
        error, n_exact = pink.pieces.error, pink.pieces.n_exact
        found = np.empty((3, sigmas.size))
        with progress("standard deviations", sigmas.size, quiet=quiet) as advance:
            for i, sigma in enumerate(sigmas):
                found[:, i] = pink.means(sigma)
                advance()
        data = dict(zip(("infidelity", "leakage", "infidelity_error"), found, strict=True))
    return xr.Dataset(
        {name: ("sigma_V_per_m", values) for name, values in data.items()},
        {"sigma_V_per_m": sigmas},
        {"interpolation_error": error, "n_exact": n_exact, "kind": kind},
    )


class PinkNoise:
    """A gate under traces of 1/f noise that are the same for all standard deviations, up to their scale.

    Args:
        gate: a `Gate`.
        largest_sigma_V_per_m: largest standard deviation that will be asked for.
        f_low_Hz: lowest frequency of the noise.
        f_high_Hz: highest frequency, at most 1e8, which the pieces still resolve.
        n_traces: number of traces, at least 2; a thousand of 1 µs take about two seconds for each standard deviation.
        random_state: seed or generator.
        pieces: of the gate's pulse, if they have been computed before.
    """

    def __init__(
        self,
        gate: Gate,
        largest_sigma_V_per_m: float,
        f_low_Hz: float = 1.0,
        f_high_Hz: float = 1e7,
        n_traces: int = 300,
        random_state: Any = 0,
        pieces: PulsePieces | None = None,
    ) -> None:
        one_pulse(gate, "1/f noise")
        if gate.duration_ns == 0:
            raise InputError("the pulse must have a length above 0 ns for noise that changes in time")
        self.gate = gate
        one_number("f_high_Hz", f_high_Hz, above=0, at_most=_LARGEST_CUTOFF_HZ)
        n = whole("n_traces", n_traces, at_least=2, at_most=100_000)
        duration = gate.pulse.duration_ns
        n_times = 2 * int(np.ceil(duration / PIECE_NS)) + 1
        self.traces = pink_noise(n, duration or 1.0, 1.0, f_low_Hz, f_high_Hz, n_times, random_state)
        width = largest_sigma_V_per_m * float(np.abs(self.traces).max())
        self.pieces = pieces or PulsePieces(gate.device, gate.pulse, width or 1.0)

    def means(self, sigma_V_per_m: float) -> tuple[float, float, float]:
        """Return mean infidelity, mean leakage, and the standard error of the mean infidelity."""
        sigma = float(_checked_sigmas(sigma_V_per_m))
        infidelity, leak = _figures(self.gate, self.pieces.propagators(sigma * self.traces))
        error = infidelity.std(ddof=1) / np.sqrt(len(infidelity))
        return float(infidelity.mean()), float(leak.mean()), float(error)


def largest_sigma(
    gate: Any,
    infidelity: float = 1e-3,
    kind: str = "quasi-static",
    f_low_Hz: float = 1.0,
    f_high_Hz: float = 1e7,
    n_traces: int = 300,
    random_state: int = 0,
) -> float:
    """Return the standard deviation of the noise in V/m at which the mean infidelity reaches a bound.

    Args:
        gate: as for `noise_sweep`.
        infidelity: the bound, between 0 and 1.
        kind: as for `noise_sweep`, as are all others.
        f_low_Hz: lowest frequency of 1/f noise.
        f_high_Hz: highest frequency of 1/f noise.
        n_traces: number of traces of 1/f noise.
        random_state: seed of the traces.

    Returns:
        0 if the bound is exceeded even without noise; infinity if not even 12800 V/m reach it.

    >>> from solvable.spins.gates import naive_x90
    >>> largest_sigma(naive_x90())
    0.0
    """
    from scipy.optimize import brentq

    choice("kind", kind, ("quasi-static", "pink"))
    bound = one_number("infidelity", infidelity, above=0, at_most=1)
    if float(gate.infidelity(offset_V_per_m=0.0)) >= bound:
        return 0.0
    sigma = 100.0
    while sigma <= _LARGEST_SIGMA:
        if kind == "quasi-static":
            mean = NoiseCurve(gate, sigma).means
        else:
            mean = PinkNoise(gate, sigma, f_low_Hz, f_high_Hz, n_traces, random_state).means

        def above(s: float, mean: Callable[[float], Any] = mean) -> float:
            return float(mean(s)[0]) - bound

        if above(sigma) >= 0:
            return float(brentq(above, 0.0, sigma, xtol=1e-3, rtol=1e-4))  # pyright: ignore
        sigma *= 2
    return float("inf")


def _exact(gate: Any, offsets: Array) -> Array:
    """Return infidelity and leakage (..., 2) at constant errors of the field, by one propagation for a `Gate`."""
    if isinstance(gate, Gate):
        M = gate.propagators(offsets)
        return np.stack([1 - average_gate_fidelity(M, gate.target), leakage(M)], -1)
    return np.stack([gate.infidelity(offset_V_per_m=offsets), gate.leakage(offset_V_per_m=offsets)], -1)


def _figures(gate: Any, M: Complex) -> tuple[Array, Array]:
    """Return infidelity and leakage of propagators of the gate's pulse between the states at rest."""
    M = virtual_z(gate.before, M, gate.after)
    return 1 - average_gate_fidelity(M, gate.target), leakage(M)


def _checked_sigmas(sigma_V_per_m: ArrayLike) -> Array:
    sigmas = numbers("sigma_V_per_m", sigma_V_per_m, at_least=0, at_most=_LARGEST_SIGMA)
    if sigmas.size == 0:
        raise InputError("sigma_V_per_m is empty; give one or more standard deviations in V/m")
    return sigmas
