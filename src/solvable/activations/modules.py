r"""Designed activations and networks as torch modules."""

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from solvable.errors import InputError

if TYPE_CHECKING:
    from solvable.activations.designed import DesignedActivation


class ActivationModule(nn.Module):
    """A designed activation as a module without parameters.

    Attributes:
        activation: the `DesignedActivation`.
    """

    def __init__(self, activation: "DesignedActivation") -> None:
        super().__init__()
        self.activation = activation

    def forward(self, z: Tensor) -> Tensor:
        return self.activation(z)

    def extra_repr(self) -> str:
        return str(self.activation.formula)


class ShallowNetwork(nn.Module):
    r"""One hidden layer in the NTK parametrization, $f(x) = V \phi(W x/\sqrt d)/\sqrt N$, all of W and V ~ N(0, 1).

    Its NTK at infinite width is the kernel that $\phi$ was designed for, at inputs of norm $\sqrt d$.

    Attributes:
        activation: $\phi$, as a module.
        hidden: W, (width, d).
        readout: V, (outputs, width).

    Args:
        n_inputs: d.
        width: N.
        n_outputs: number of outputs.
        activation: $\phi$, a module.
        normalize: whether inputs are scaled to norm $\sqrt d$ first (0 stays 0).
        generator: of the weights.
        dtype: of the weights.
    """

    def __init__(
        self,
        n_inputs: int,
        width: int,
        n_outputs: int,
        activation: Callable[[Tensor], Tensor],
        normalize: bool = False,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.normalize = normalize
        self.hidden = nn.Parameter(torch.randn(width, n_inputs, generator=generator, dtype=dtype))
        self.readout = nn.Parameter(torch.randn(n_outputs, width, generator=generator, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, (n, outputs), of inputs (n, ...) with d numbers each."""
        x = x.flatten(1)
        width, d = self.hidden.shape
        if x.shape[1] != d:
            raise InputError(
                f"inputs have {x.shape[1]} numbers each; expected {d}; give what the network was made for"
            )
        if self.normalize:
            x = x * (sqrt(d) / x.norm(dim=1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny))
        return self.activation(x @ self.hidden.T / sqrt(d)) @ self.readout.T / sqrt(width)

    def extra_repr(self) -> str:
        (width, d), outputs = self.hidden.shape, len(self.readout)
        return f"{d} -> {width} -> {outputs}, normalize={self.normalize}"
