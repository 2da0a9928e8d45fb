"""What all losses share: checks of two views, a sum of terms, and the entries off the diagonal of a matrix."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from solvable.errors import InputError


@contextmanager
def two_views(z_a: Tensor, z_b: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Check two views and give them in one dtype of at least single precision, with autocast off."""
    for name, z in (("z_a", z_a), ("z_b", z_b)):
        if not isinstance(z, Tensor):
            raise InputError(f"{name} is a {type(z).__name__}; expected a tensor of shape (batch, dim)")
        if not z.is_floating_point():
            raise InputError(f"{name} has dtype {z.dtype}; expected floating numbers")
        if z.ndim != 2:
            mend = "; flatten the leading dimensions first, as in z.flatten(0, -2)" if z.ndim > 2 else ""
            raise InputError(f"{name} has shape {tuple(z.shape)}; expected (batch, dim){mend}")
    if z_a.shape != z_b.shape:
        raise InputError(
            f"z_a has shape {tuple(z_a.shape)} and z_b {tuple(z_b.shape)}; expected the same shape for both views"
        )
    if len(z_a) < 2 or z_a.shape[1] < 1:
        raise InputError(f"z_a has shape {tuple(z_a.shape)}; expected two rows and one column or more")
    if z_a.device != z_b.device:
        raise InputError(f"z_a is on {z_a.device} and z_b on {z_b.device}; expected one device")
    dtype = torch.promote_types(z_a.dtype, z_b.dtype)
    if dtype in (torch.float16, torch.bfloat16):
        dtype = torch.float32
    kind = z_a.device.type
    # Otherwise autocast would take the products of matrices in half precision, whatever the dtype of the inputs.
    with torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext():
        yield z_a.to(dtype), z_b.to(dtype)


def total(terms: tuple[Tensor, ...]) -> Tensor:
    return torch.stack(terms).sum()


def off_diagonal(matrix: Tensor) -> Tensor:
    """Return the entries off the diagonal of a square matrix: without its first, each row of n + 1 ends on the
    diagonal."""
    n = len(matrix)
    return matrix.flatten()[1:].view(n - 1, n + 1)[:, :-1]
