"""Kernels of a network of finite width: any `torch.nn.Module`, with its current weights.

Files: `kernel` has both kernels, `checks` the validation; `structured`, with `layers` and `pieces`, factors gradients
of known layers; `contraction` takes Jacobians of the others; `blocks` bounds the memory; `network` makes a module a
function.
"""

from solvable.errors import missing_extra

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise missing_extra("torch", "nets", "the kernel of a torch module") from None

from solvable.kernels.empirical.kernel import empirical_nngp, empirical_ntk

__all__ = ["empirical_nngp", "empirical_ntk"]
