"""Infinite-width kernels of torch modules."""

from solvable.kernels.modules.from_module import from_module

__all__ = ["from_module"]
