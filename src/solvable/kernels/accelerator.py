"""The kernel matrix of a large sample in single precision on a GPU, where torch is installed and finds one."""

from importlib.util import find_spec
from typing import Any

import numpy as np

from solvable.kernels.base import Kernel, TiledKernel
from solvable.kernels.dot_product import Linear, Polynomial
from solvable.kernels.inputs import Array

WORTH_IT_FROM = 8000
"""Points from which on the matrix is worth the seconds that importing torch takes."""


def accelerator() -> Any | None:
    """Return torch's GPU, or None where torch is not installed or finds none."""
    if find_spec("torch") is None:
        return None
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else None


def large_gram(kernel: Kernel, X: Array) -> Array:
    """Return the kernel matrix of `X` and itself; of many points in single precision on a GPU where there is one.

    Single precision leaves a relative 1e-7 in each entry, which hides eigenvalues below that: predictions at a ridge of
    0 then rest on fewer of them. Whoever wants double precision on a GPU passes a tensor of it.

    Args:
        kernel: resolved.
        X: points, `(n, d)`; a tensor stays as it is.
    """
    # A kernel of few modes would seem to have as many as there are points: rounding fills the rest.
    full = isinstance(kernel, TiledKernel) and not isinstance(kernel, (Linear, Polynomial))
    worth_it = isinstance(X, np.ndarray) and len(X) >= WORTH_IT_FROM and full
    device = accelerator() if worth_it else None
    if device is None:
        return kernel(X)
    import torch

    return kernel(torch.as_tensor(X, dtype=torch.float32, device=device))
