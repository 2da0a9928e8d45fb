r"""Designed activations and networks as torch modules."""

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from solvable.checks import whole
from solvable.errors import InputError
from solvable.kernels.duals import Activation
from solvable.networks.fully_connected import tensor_function


class ActivationModule(nn.Module):
    """An activation as a module without parameters.

    Attributes:
        activation: the `DesignedActivation`, or the `Activation` of `solvable.kernels`.
    """

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.activation: Any = activation
        self._function = tensor_function(activation)

    def forward(self, z: Tensor) -> Tensor:
        return self._function(z)

    def extra_repr(self) -> str:
        # The description of a designed activation is longer than its repr.
        return getattr(self.activation, "description", None) or repr(self.activation)


class ShallowNetwork(nn.Module):
    r"""One hidden layer in the NTK parametrization, $f(x) = V \phi(W x/\sqrt d)/\sqrt N$, all of W and V ~ N(0, 1).

    For inputs of norm $\sqrt d$ its NTK at infinite width is the kernel that $\phi$ was designed for.

    Attributes:
        activation: $\phi$, as a module.
        hidden: W, (width, d).
        readout: V, (outputs, width).

    Args:
        n_inputs: d.
        width: N.
        n_outputs: number of outputs.
        activation: $\phi$, a module or an activation, such as `design` returns.
        normalize: whether inputs are scaled to norm $\sqrt d$ first (0 stays 0).
        generator: random number generator for the weights; by default torch's own.
        dtype: dtype of the weights.
        random_state: seed of the weights, instead of a generator.

    Raises:
        InputError: for sizes that are not whole numbers of at least 1, and for an invalid activation.
    """

    def __init__(
        self,
        n_inputs: int,
        width: int,
        n_outputs: int,
        activation: nn.Module | Activation,
        normalize: bool = False,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
        random_state: int | None = None,
    ) -> None:
        super().__init__()
        n_inputs = whole("n_inputs", n_inputs, at_least=1)
        width = whole("width", width, at_least=1)
        n_outputs = whole("n_outputs", n_outputs, at_least=1)
        if random_state is not None:
            if generator is not None:
                raise InputError("generator and random_state are both given; expected at most one of them")
            seed = whole("random_state", random_state, at_least=0)
            generator = torch.Generator().manual_seed(seed)
        self.activation: Any = _module_of(activation)
        self.normalize = normalize
        self.hidden = nn.Parameter(torch.randn(width, n_inputs, generator=generator, dtype=dtype))
        self.readout = nn.Parameter(torch.randn(n_outputs, width, generator=generator, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, (n, outputs), of inputs (n, ...) with d numbers each."""
        width, d = self.hidden.shape
        if not isinstance(x, Tensor):
            raise InputError(
                f"inputs are a {type(x).__name__}; expected a torch tensor of shape (n, {d}); convert them with "
                f"torch.as_tensor(x, dtype={self.hidden.dtype})"
            )
        if x.ndim < 2:
            raise InputError(
                f"inputs have shape {tuple(x.shape)}; expected (n, {d}); use x[None] for one input"
            )
        # Under autocast the dtypes may differ.
        if x.dtype != self.hidden.dtype and not torch.is_autocast_enabled(x.device.type):
            raise InputError(
                f"inputs are {x.dtype} and the weights {self.hidden.dtype}; expected the same dtype; convert the "
                f"inputs with x.to({self.hidden.dtype}), or the network with .to({x.dtype})"
            )
        x = x.flatten(1)
        if x.shape[1] != d:
            raise InputError(
                f"inputs have {x.shape[1]} numbers each; expected {d}, as in the network's weights"
            )
        if self.normalize:
            x = x * (sqrt(d) / x.norm(dim=1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny))
        return self.activation(x @ self.hidden.T / sqrt(d)) @ self.readout.T / sqrt(width)

    def extra_repr(self) -> str:
        (width, d), outputs = self.hidden.shape, len(self.readout)
        return f"{d} -> {width} -> {outputs}, normalize={self.normalize}"


def _module_of(activation: Any) -> nn.Module:
    if isinstance(activation, nn.Module):
        return activation
    if isinstance(activation, Activation):
        return ActivationModule(activation)
    raise InputError(
        f"activation is {activation!r}; expected a torch module such as torch.nn.ReLU(), or an activation of solvable "
        "such as design(...)"
    )
