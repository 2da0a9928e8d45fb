"""Kernels of infinitely wide fully-connected networks.

Files: `fully_connected` has the kernels and `architecture` their layers; `angle_recursion` is for rectifiers,
`covariance_recursion` for any activation.
"""

from solvable.kernels.networks.fully_connected import NNGP, NTK

__all__ = ["NNGP", "NTK"]
