"""Eigensystems of learning tasks, and the implicit regularisation due to finite samples and features.

Files: `eigensystem`, with `tails`, `levels` and `domains` (spectra known exactly); `sums` over a spectrum,
`compressed` for large ones; `implicit` (the effective ridge); `resolution` (of truncated spectra).
"""

from solvable.spectra.domains import circle, gaussian_data, hypercube, hypersphere, power_law
from solvable.spectra.eigensystem import Eigensystem, learnabilities, plug_in_eigensystem
from solvable.spectra.implicit import (
    ImplicitRegularization,
    effective_ridge,
    implicit_regularization,
    log_effective_ridge,
)
from solvable.spectra.sums import SpectralCurves, SpectralSums
from solvable.spectra.tails import PowerLawTail, UnresolvedTail

__all__ = [
    "Eigensystem",
    "ImplicitRegularization",
    "PowerLawTail",
    "SpectralCurves",
    "SpectralSums",
    "UnresolvedTail",
    "circle",
    "effective_ridge",
    "gaussian_data",
    "hypercube",
    "hypersphere",
    "implicit_regularization",
    "learnabilities",
    "log_effective_ridge",
    "plug_in_eigensystem",
    "power_law",
]
