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
        trace: $R > 0$, in units of the kernel.
    """

    trace: float
    target_power: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.trace < np.inf:
            raise InputError(f"an unresolved tail needs a trace above 0; got {self.trace}")

    def sums(self, log_kappa: Grid) -> SpectralSums:
        r"""Return the tail's part of the four sums at each $\ln\kappa$."""
        with np.errstate(over="ignore"):
            learned = self.trace * np.exp(-np.asarray(log_kappa, dtype=np.float64))
        nothing = np.zeros_like(learned)
        return SpectralSums(learned, learned, nothing, nothing)

    def __str__(self) -> str:
        return f"an unresolved rest of the trace, {self.trace:.3g}"
