"""The tail of a spectrum beyond its explicit levels: a power law, or only the rest of its trace."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import expit

from solvable.errors import InputError
from solvable.spectra.sums import Grid, SpectralSums

# Where a logistic function equals its exponential to machine precision: e^-40 = 4e-18.
_SATURATED = 40.0


@dataclass(frozen=True)
class PowerLawTail:
    r"""Modes $i > M$ with $\lambda_i = A i^{-\alpha}$, target power $v_i^2 = B i^{-\beta}$, one each.

    Attributes:
        alpha: exponent of the eigenvalues, > 1.
        beta: exponent of the target power, > 1.
        n_before: $M$, number of modes before the tail, at least 1000 for full precision.
        log_eigenvalue_scale: $\ln A$.
        target_scale: $B \ge 0$.
    """

    alpha: float
    beta: float
    n_before: int
    log_eigenvalue_scale: float = 0.0
    target_scale: float = 1.0

    def __post_init__(self) -> None:
        if not (self.alpha > 1 and self.beta > 1 and self.target_scale >= 0 and self.n_before >= 1):
            raise InputError(
                "a power-law tail needs alpha > 1, beta > 1, target_scale >= 0 and n_before >= 1; got "
                f"alpha={self.alpha}, beta={self.beta}, target_scale={self.target_scale}, n_before={self.n_before}"
            )

    @property
    def _start(self) -> float:
        return self.n_before + 0.5

    def __str__(self) -> str:
        return f"a power-law tail (α={self.alpha:g}, β={self.beta:g})"

    @property
    def trace(self) -> float:
        r"""$\sum_{i>M} \lambda_i$; may underflow where `log_trace` does not."""
        return float(np.exp(self.log_trace))

    @property
    def log_trace(self) -> float:
        r"""$\ln \sum_{i>M} \lambda_i$."""
        return float(self.log_power_sum(1, np.asarray(float(self.n_before))))

    def log_power_sum(self, power: int, before: Grid) -> Grid:
        r"""Return $\ln \sum_{i>k} \lambda_i^s$ for $k \ge M$, by the midpoint rule with its first correction.

        Args:
            power: $s$, at least 1.
            before: $k$, any shape.
        """
        start, decay = before + 0.5, power * self.alpha
        integral = start / (decay - 1) - decay / (24 * start)
        return power * self.log_eigenvalue_scale - decay * np.log(start) + np.log(integral)

    @property
    def target_power(self) -> float:
        r"""$\sum_{i>M} v_i^2$."""
        start, beta = self._start, self.beta
        return float(self.target_scale * start**-beta * (start / (beta - 1) - beta / (24 * start)))

    def sums(self, log_kappa: Grid) -> SpectralSums:
        r"""Return the tail's part of the four sums at each $\ln\kappa$; `-inf` gives the limit $\kappa \to 0$."""
        alpha, start = self.alpha, self._start
        log_kappa = np.asarray(log_kappa, dtype=np.float64)
        y0 = log_kappa - self.log_eigenvalue_scale + alpha * np.log(start)  # ln(κ/λ) where the tail begins
        at_zero = np.isneginf(y0)
        y0 = np.where(at_zero, 0.0, y0)

        decay = (self.beta - 1.0) / alpha
        power = self.target_scale * start ** (1.0 - self.beta)
        z = start / alpha * _integral(y0, 1 / alpha, learned=1, unlearned=0)
        g = start / alpha * _integral(y0, 1 / alpha, learned=1, unlearned=1)
        b1 = power / alpha * _integral(y0, -decay, learned=0, unlearned=1)
        b2 = power / alpha * _integral(y0, -decay, learned=0, unlearned=2)

        learned, unlearned = expit(-y0), expit(y0)
        z -= alpha / (24 * start) * learned * unlearned
        g += alpha / (24 * start) * learned * unlearned * (learned - unlearned)
        b1 += power / (24 * start**2) * unlearned * (-self.beta + alpha * learned)
        b2 += power / (24 * start**2) * unlearned**2 * (-self.beta + 2 * alpha * learned)
        infinite, zero = np.where(at_zero, np.inf, z), np.where(at_zero, 0.0, 1.0)
        return SpectralSums(infinite, np.where(at_zero, np.inf, g), b1 * zero, b2 * zero)


def _integral(y0: Grid, rate: float, *, learned: int, unlearned: int) -> Grid:
    r"""Return $\int_0^\infty e^{r u} \sigma(-y)^a \sigma(y)^b du$, $y = y_0 + u$, $\sigma$ the logistic function."""
    low = np.clip(y0, -_SATURATED, _SATURATED)
    # Left part, y from y0 to -40: σ(-y)^a σ(y)^b = e^{b y}.
    length = low - np.minimum(y0, low)
    rate_left = rate + unlearned
    grown = length if rate_left == 0 else np.expm1(rate_left * length) / rate_left
    total = np.where(length > 0, np.exp(unlearned * np.minimum(y0, 0.0)) * grown, 0.0)
    # Right part, y from max(y0, 40) on: e^{-a y}.
    high = np.maximum(y0, _SATURATED)
    total += np.exp(rate * (high - y0) - learned * high) / (learned - rate)
    # Between: smooth on the scale of one nat.
    nodes, weights = _panels()
    y = low[..., None] + (_SATURATED - low)[..., None] * nodes
    values = np.exp(rate * (y - y0[..., None]))
    values *= expit(-y) ** learned * expit(y) ** unlearned
    return total + (_SATURATED - low) * (values @ weights)


@lru_cache
def _panels(n_panels: int = 40, n_nodes: int = 14) -> tuple[Grid, Grid]:
    """Return the nodes and weights of a composite Gauss-Legendre rule on [0, 1]."""
    t, w = np.polynomial.legendre.leggauss(n_nodes)
    edges = np.arange(n_panels)[:, None]
    return ((edges + (t + 1) / 2) / n_panels).ravel(), np.tile(w / (2 * n_panels), n_panels)


@dataclass(frozen=True)
class UnresolvedTail:
    r"""Infinitely many modes, each too small to be learned, of which only the total $R = \sum \lambda$ is known.

    With every $\lambda \ll \kappa$ they contribute $z = R/\kappa$: they act as a permanent ridge $R$, which keeps a
    truncated spectrum from being interpolated. They have no target power.

    Attributes:
        trace: $R > 0$, in units of the kernel; 0 below 1e-308.
        log_trace: $\ln R$; give it instead of the trace where that underflows.
    """

    trace: float = np.nan
    target_power: float = 0.0
    log_trace: float = np.nan

    def __post_init__(self) -> None:
        if np.isnan(self.log_trace):
            if not 0.0 < self.trace < np.inf:
                raise InputError(f"an unresolved tail needs a trace above 0; got {self.trace}")
            object.__setattr__(self, "log_trace", float(np.log(self.trace)))
        elif np.isfinite(self.log_trace):
            object.__setattr__(self, "trace", float(np.exp(self.log_trace)))
        else:
            raise InputError(f"an unresolved tail needs a finite log_trace; got {self.log_trace}")

    def sums(self, log_kappa: Grid) -> SpectralSums:
        r"""Return the tail's part of the four sums at each $\ln\kappa$."""
        with np.errstate(over="ignore"):
            learned = np.exp(self.log_trace - np.asarray(log_kappa, dtype=np.float64))
        zeros = np.zeros_like(learned)
        return SpectralSums(learned, learned, zeros, zeros)

    def __str__(self) -> str:
        trace = f"{self.trace:.3g}" if self.trace else f"e^{self.log_trace:.5g}"
        return f"an unresolved tail of trace {trace}"
