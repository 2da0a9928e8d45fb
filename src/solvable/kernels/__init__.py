"""Kernels K(x, x'): classical, dot-product, infinitely wide ReLU networks, and the user's own."""

from solvable.kernels.adapters import CallableKernel, ScikitLearnKernel
from solvable.kernels.arc_cosine import ArcCosine
from solvable.kernels.base import Kernel
from solvable.kernels.dot_product import Linear, Polynomial, PowerSeries
from solvable.kernels.features import FeatureMap
from solvable.kernels.gram import check_gram, check_positive_semidefinite
from solvable.kernels.names import KERNEL_NAMES, as_kernel
from solvable.kernels.networks import NNGP, NTK
from solvable.kernels.stationary import Gaussian, Laplace, Matern, RationalQuadratic, median_distance

__all__ = [
    "KERNEL_NAMES",
    "NNGP",
    "NTK",
    "ArcCosine",
    "CallableKernel",
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
    "as_kernel",
    "check_gram",
    "check_positive_semidefinite",
    "median_distance",
]
