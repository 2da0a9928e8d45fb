"""Critical points of losses, and gradient-flat regions where a search only stopped (arXiv:2003.10397, 1901.10603).

Files: `theory` defines residuals, flatness and index. `linear_autoencoder`, `linear_network` and `deep_linear` know all
critical points of their losses (with `critical_point`, their record, `covariances` and `weight_product`); `toy` is a
loss of two parameters with a gradient-flat point. `losses` and `torch_losses` give values and derivatives of a batch of
points (`inputs` makes them of what users pass); `minres` (with `products`) solves symmetric singular systems; `finders`
runs `methods` from many starts and returns a `result`; `classification` gives verdicts, from `curvature` and `probes`.
`spectra` (with `lanczos`) and `slices` look around; `sampling` chooses starts. Studies: `study` and `flat_study` (with
`experiment`); figures are in `drawing`; `page` and `explore` are the page.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from solvable.errors import missing_extra
from solvable.landscapes import deep_linear, linear_autoencoder, linear_network, toy
from solvable.landscapes.classification import Classification, classify
from solvable.landscapes.critical_point import CriticalPoint
from solvable.landscapes.curvature import Flatness, flatness
from solvable.landscapes.drawing import plot_loss_index, plot_traces
from solvable.landscapes.finders import find_critical_points
from solvable.landscapes.losses import numpy_loss
from solvable.landscapes.methods import GNM, LM, DampedNewton, NewtonMR
from solvable.landscapes.minres import MinresInfo, minres_qlp
from solvable.landscapes.result import CriticalPoints
from solvable.landscapes.sampling import descend, sample_starts
from solvable.landscapes.slices import Slice, loss_slice
from solvable.landscapes.spectra import (
    Index,
    Spectrum,
    escape_direction,
    index,
    max_stable_rate,
    sharpness,
    spectrum,
)
from solvable.landscapes.theory import (
    cokernel_residual,
    count_signs,
    curvature_ratio,
    flatness_profile,
    relative_residual,
)

if TYPE_CHECKING:
    from solvable.landscapes.torch_losses import ModuleLoss, module_loss

_WITH_TORCH = {"ModuleLoss": "torch_losses", "module_loss": "torch_losses"}

__all__ = [
    "GNM",
    "LM",
    "Classification",
    "CriticalPoint",
    "CriticalPoints",
    "DampedNewton",
    "Flatness",
    "Index",
    "MinresInfo",
    "ModuleLoss",
    "NewtonMR",
    "Slice",
    "Spectrum",
    "classify",
    "cokernel_residual",
    "count_signs",
    "curvature_ratio",
    "deep_linear",
    "descend",
    "escape_direction",
    "find_critical_points",
    "flatness",
    "flatness_profile",
    "index",
    "linear_autoencoder",
    "linear_network",
    "loss_slice",
    "max_stable_rate",
    "minres_qlp",
    "module_loss",
    "numpy_loss",
    "plot_loss_index",
    "plot_traces",
    "relative_residual",
    "sample_starts",
    "sharpness",
    "spectrum",
    "toy",
]


def __getattr__(name: str) -> Any:
    # The theory and NumPy losses need no torch, so what does is imported when it is first used.
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec("torch") is None:
        raise missing_extra("torch", "nets", f"solvable.landscapes.{name}")
    return getattr(import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
