r"""An activation as a function of tensors through which gradients go."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from solvable.errors import InputError
from solvable.kernels.duals import ABReLU, Activation, as_activation


def tensor_function(spec: Any) -> Callable[[Tensor], Tensor]:
    r"""Return the activation that `spec` means, as a function of tensors that autograd differentiates.

    Torch's own function stands in where it is the same one and faster. A function that only NumPy can compute gets
    its derivative from its activation, by differences if need be.

    Args:
        spec: a name, an activation of `solvable.kernels.duals`, any function of arrays or tensors.

    Raises:
        InputError: when it is no activation, or its derivative is not finite.
    """
    activation = as_activation(spec)
    if activation == ABReLU():
        return torch.relu
    z = torch.tensor([-1.3, 0.4, 2.1], dtype=torch.float64, requires_grad=True)
    try:
        out = activation(z)
        (slope,) = torch.autograd.grad(out.sum(), z)
    # No graph: the function left torch, or works in place on its input.
    except RuntimeError:
        return lambda z: _Differenced.apply(z, activation)  # pyright: ignore[reportReturnType]
    if not bool(torch.isfinite(slope).all()):
        raise InputError(
            f"the derivative of {spec!r} is not finite; expected one that is; give another activation"
        )
    return activation


class _Differenced(torch.autograd.Function):
    """An activation without a graph, its derivative taken from the activation."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, activation: Activation) -> Tensor:
        ctx.save_for_backward(z)
        ctx.activation = activation
        return torch.as_tensor(activation(z.detach()), dtype=z.dtype, device=z.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (z,) = ctx.saved_tensors
        return gradients[0] * ctx.activation.derivative(z), None
