r"""Activations and their duals: $E[\phi(u)\phi(v)]$ and $E[\phi'(u)\phi'(v)]$ of two correlated Gaussians.

Files: `base` defines an activation; `closed_forms` and `shifted_relu` have a closed form; `hermite` and
`hermite_series` are series; `mehler` takes any function, with `kinks`, `expansion`, `series_sums` and `elementwise`.
`names` and `torch_modules` find an activation from what the user gives.
"""

from solvable.kernels.duals.base import Activation
from solvable.kernels.duals.closed_forms import GELU, ABReLU, Erf, Exponential, GaussianBump, Sine
from solvable.kernels.duals.hermite import hermite_coefficients
from solvable.kernels.duals.hermite_series import HermiteSeries
from solvable.kernels.duals.mehler import AnyActivation, TruncationWarning
from solvable.kernels.duals.names import ACTIVATION_NAMES, as_activation

__all__ = [
    "ACTIVATION_NAMES",
    "GELU",
    "ABReLU",
    "Activation",
    "AnyActivation",
    "Erf",
    "Exponential",
    "GaussianBump",
    "HermiteSeries",
    "Sine",
    "TruncationWarning",
    "as_activation",
    "hermite_coefficients",
]
