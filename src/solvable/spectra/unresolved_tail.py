"""What is left of a kernel's trace beyond the levels that were computed."""

from dataclasses import dataclass

import numpy as np

from solvable.errors import InputError
from solvable.spectra.sums import Grid, SpectralSums


@dataclass(frozen=True)
class UnresolvedTail:
    r"""Endlessly many modes, each too small to be learned, of which only the total $R = \sum \lambda$ is known.

    With every $\lambda \ll \kappa$ they learn $z = R/\kappa$ modes, all of them barely: they act as a ridge $R$ that is
    always there, which is what keeps a truncated spectrum from being interpolated. No target power lies in them.

    Attributes:
        trace: $R > 0$, in units of the kernel; reads 0 where it lies below 1e-308.
        log_trace: $\ln R$; given instead of the trace where that underflows.
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
        nothing = np.zeros_like(learned)
        return SpectralSums(learned, learned, nothing, nothing)

    def __str__(self) -> str:
        shown = f"{self.trace:.3g}" if self.trace else f"e^{self.log_trace:.5g}"
        return f"an unresolved rest of the trace, {shown}"
