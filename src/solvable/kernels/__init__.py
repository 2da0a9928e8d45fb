"""Kernels K(x, x'): classical, dot-product, infinitely wide networks and their finite copies, and the user's own.

Files: `base` defines a kernel, `names` and `adapters` accept the user's, `inputs` and `gram` check arguments and
matrices, `tiles` and `distances` compute matrices. Kernels: `stationary`, `dot_product`, `arc_cosine` and `angular`
(of the angle), `encoded` (of raw inputs). Networks: `duals` (activations), `networks` (fully connected),
`convolutional`, `sequential` (from a torch module), `empirical` (of finite width).
"""

from typing import TYPE_CHECKING, Any

from solvable.kernels.adapters import CallableKernel, ScikitLearnKernel
from solvable.kernels.arc_cosine import ArcCosine
from solvable.kernels.base import FeatureMap, Kernel
from solvable.kernels.convolutional import ConvNNGP, ConvNTK
from solvable.kernels.convolutional.cost import Cost
from solvable.kernels.dot_product import Linear, Polynomial, PowerSeries
from solvable.kernels.duals import ACTIVATION_NAMES, Activation, as_activation
from solvable.kernels.encoded import EncodedKernel
from solvable.kernels.gram import check_gram, check_positive_semidefinite
from solvable.kernels.names import KERNEL_NAMES, as_kernel
from solvable.kernels.networks import NNGP, NTK
from solvable.kernels.sequential import from_module
from solvable.kernels.stationary import Gaussian, Laplace, Matern, RationalQuadratic, median_distance

if TYPE_CHECKING:
    from solvable.kernels.empirical import empirical_nngp, empirical_ntk

__all__ = [
    "ACTIVATION_NAMES",
    "KERNEL_NAMES",
    "NNGP",
    "NTK",
    "Activation",
    "ArcCosine",
    "CallableKernel",
    "ConvNNGP",
    "ConvNTK",
    "Cost",
    "EncodedKernel",
    "FeatureMap",
    "Gaussian",
    "Kernel",
    "Laplace",
    "Linear",
    "Matern",
    "Polynomial",
    "PowerSeries",
    "RationalQuadratic",
    "ScikitLearnKernel",
    "as_activation",
    "as_kernel",
    "check_gram",
    "check_positive_semidefinite",
    "empirical_nngp",
    "empirical_ntk",
    "from_module",
    "median_distance",
]


def __getattr__(name: str) -> Any:
    # These two import torch, which is slow and optional.
    if name in ("empirical_nngp", "empirical_ntk"):
        from solvable.kernels import empirical

        return getattr(empirical, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
