"""Kernels of infinitely wide convolutional networks, called on images."""

from solvable.kernels.convolutional.cost import Cost
from solvable.kernels.convolutional.kernels import ConvNNGP, ConvNTK

__all__ = ["ConvNNGP", "ConvNTK", "Cost"]
