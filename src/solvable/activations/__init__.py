"""Reverse engineering the neural tangent kernel: activations designed for a kernel (arXiv:2106.03186).

Files: `theory` and `finite_width` are closed forms, `training` those of gradient descent. `design` is the tool, with
`target` and `real_series` (kernels), `signs`, `fitting`, `formula` and `designed` (the result); `shallow` and
`modules` are networks. Studies: `study`, `parity` and `kernel_convergence`, with `experiment`. Shown by `command`,
`page` and `explore`, `explore_training` (content of the page).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from solvable.activations.design import FAMILIES, design
from solvable.activations.designed import DesignedActivation
from solvable.activations.finite_width import finite_width_moments, finite_width_std, required_width
from solvable.activations.fitting import AUTHORS_MIMIC
from solvable.activations.formula import Formula
from solvable.activations.shallow import shallow_copy_of
from solvable.activations.signs import SIGNS
from solvable.activations.theory import KINDS, hermite_series, kernel_series
from solvable.activations.training import training_curve

if TYPE_CHECKING:
    from solvable.activations.modules import ActivationModule, ShallowNetwork

__all__ = [
    "AUTHORS_MIMIC",
    "FAMILIES",
    "KINDS",
    "SIGNS",
    "ActivationModule",
    "DesignedActivation",
    "Formula",
    "ShallowNetwork",
    "design",
    "finite_width_moments",
    "finite_width_std",
    "hermite_series",
    "kernel_series",
    "required_width",
    "shallow_copy_of",
    "training_curve",
]


def __getattr__(name: str) -> Any:
    # The torch modules are imported on first use, since `design` does not need torch.
    if name in ("ActivationModule", "ShallowNetwork"):
        return getattr(import_module("solvable.activations.modules"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
