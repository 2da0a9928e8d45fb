"""Kernels of infinitely wide fully-connected networks."""

from solvable.kernels.networks.fully_connected import NNGP, NTK

__all__ = ["NNGP", "NTK"]
