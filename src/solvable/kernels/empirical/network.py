"""A module as a function of its inputs and parameters; calls do not change the module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from solvable.errors import InputError


class Network:
    """The function f(x; theta) of a module: outputs flattened to (n, k), one row per sample.

    Calls use substitutes for the parameters and copies of the buffers, so that no gradient or running mean of the
    user's module is written. `parameters` holds every parameter by name, detached, tied ones once; `trainable` the
    names of those with `requires_grad`, in order.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
        self.trainable = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
        self._buffers = dict(module.named_buffers())

    def __call__(self, X: Tensor, replaced: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return f(X), (n, k), with some parameters replaced."""
        buffers = {name: buffer.detach().clone() for name, buffer in self._buffers.items()}
        state = {**self.parameters, **buffers, **(replaced or {})}
        # A copy of the inputs, since a module may begin with an in-place operation.
        return flat(functional_call(self.module, state, (X.clone(),)), len(X))

    def first(self, X: Tensor) -> Tensor:
        """Return f(X) for the first call, which most likely fails because the inputs do not fit the module."""
        try:
            with torch.no_grad():
                return self(X)
        except InputError:
            raise
        except Exception as error:
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"the module does not take inputs of shape {tuple(X.shape)} and dtype {X.dtype} ({line}); expected "
                f"inputs for its forward, one row per sample; try module(X[:{len(X)}])"
            ) from error

    def gradient(self, x: Tensor, cotangent: Tensor, names: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return f(x), (k,), for one sample, and the gradient of cotangent·f(x) to the named parameters."""
        leaves = {name: self.parameters[name].detach().requires_grad_() for name in names}
        output = self(x[None], leaves)[0]
        if not output.requires_grad:
            return output, {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
        gradients = torch.autograd.grad(output, list(leaves.values()), cotangent, allow_unused=True)
        return output.detach(), {
            name: torch.zeros_like(leaf) if gradient is None else dense(gradient)
            for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True)
        }


def dense(gradient: Tensor) -> Tensor:
    """Return a gradient as a dense tensor; those of embeddings may be sparse."""
    return gradient.to_dense() if gradient.layout is not torch.strided else gradient


def flat(output: object, n: int) -> Tensor:
    """Return a module's output as (n, k); raise if it is not one real tensor with a row for each sample."""
    if not isinstance(output, Tensor):
        raise InputError(
            f"the module returns a {type(output).__name__}; expected one tensor (samples, ...); wrap it in a "
            "module that returns one of its tensors"
        )
    if output.ndim == 0 or output.shape[0] != n:
        raise InputError(
            f"the module returns shape {tuple(output.shape)} for {n} samples; expected a row for each sample; "
            "remove reductions over the batch"
        )
    if not output.is_floating_point():
        raise InputError(
            f"the module returns {output.dtype}; expected real floating-point outputs; remove its last step"
        )
    if output.numel() == 0:
        raise InputError(
            f"the module returns shape {tuple(output.shape)}; expected at least one output; check its last layer"
        )
    return output.reshape(n, -1)
