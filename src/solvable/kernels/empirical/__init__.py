"""Kernels of a network of finite width: any `torch.nn.Module`, with its current weights."""

from solvable.errors import missing_extra

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise missing_extra("torch", "nets", "the kernel of a torch module") from None

from solvable.kernels.empirical.kernel import empirical_nngp, empirical_ntk

__all__ = ["empirical_nngp", "empirical_ntk"]
