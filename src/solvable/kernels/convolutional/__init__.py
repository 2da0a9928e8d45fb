"""Kernels of infinitely wide convolutional networks, called on images.

Files: `kernels` has the kernels, `layers` their layers; `distances` is the recursion for rectifiers, `covariances`
for any activation, with `boxes` (sums over windows); `matrix` and `schedule` compute matrices; `cost` estimates them.
"""

from solvable.kernels.convolutional.cost import Cost
from solvable.kernels.convolutional.kernels import ConvNNGP, ConvNTK

__all__ = ["ConvNNGP", "ConvNTK", "Cost"]
