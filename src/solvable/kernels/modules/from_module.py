"""The infinite-width kernel of a torch module, from its layers and the variances of its weights."""

import sys
from itertools import pairwise
from typing import Any

from solvable.checks import choice
from solvable.errors import InputError
from solvable.kernels.convolutional import ConvNNGP, ConvNTK
from solvable.kernels.duals import ABReLU, Activation
from solvable.kernels.modules.convolutions import from_convolutions
from solvable.kernels.modules.layers import elementwise, layers_of, unknown, variances_of
from solvable.kernels.networks import NNGP, NTK

_KINDS = ("ntk", "nngp")


def from_module(module: Any, kind: str = "ntk") -> NTK | NNGP | ConvNTK | ConvNNGP:
    r"""Return the kernel of the infinitely wide version of a `torch.nn.Sequential`.

    It uses the standard parametrization with the module's widths, so that `empirical_ntk(module, X)` fluctuates about
    it just after initialisation. Variances are estimated from the weights: $\sigma_w^2$ is fan in times their mean
    square, $\sigma_b^2$ the mean square of the biases, with a relative error of $\sqrt{2/\text{number}}$ (12 % for 128
    biases). Torch's default initialisation has $\sigma_w^2 = 1/3$, $\sigma_b^2 = 1/(3\,\text{fan in})$.

    Args:
        module: a `torch.nn.Sequential` (may be nested) of `Linear` layers and elementwise activations, the last layer
            a `Linear`; `Identity`, `Dropout` and `Flatten` are skipped. With `Conv2d` layers (stride 1) there may be
            `AvgPool2d` after activations and `AdaptiveAvgPool2d(1)` before the readout; the kernel then takes images
            (n, height, width, channels), not channels first as the module does.
        kind: "ntk" or "nngp".

    Raises:
        InputError: naming the first unsupported layer.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 1000), torch.nn.Tanh(), torch.nn.Linear(1000, 1))
    >>> kernel = from_module(net)
    >>> kernel.depth, kernel.widths, round(kernel.w_std[0] ** 2, 1)
    (1, (1000,), 0.3)
    """
    choice("kind", kind, _KINDS)
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module):
        raise InputError(
            f"module is a {type(module).__name__}; expected a torch.nn.Sequential; "
            "use NTK(...) for a network given by its parameters"
        )
    layers = list(layers_of(torch, module))
    if any(isinstance(layer, torch.nn.Conv2d) for _, layer in layers):
        return from_convolutions(torch, layers, kind)
    layers = [(name, layer) for name, layer in layers if not isinstance(layer, torch.nn.Flatten)]
    linears, activations = _read(torch, layers)
    if len(linears) < 2:
        raise InputError(
            f"the module has {len(linears)} Linear layers; expected two or more, with an activation between; "
            "use kernels.Linear for the kernel of one"
        )
    for below, above in pairwise(linears):
        if below.out_features != above.in_features:
            raise InputError(
                f"{below} is followed by {above}; expected as many inputs as outputs; check the module"
            )
    numbers = variances_of(linears, [layer.in_features for layer in linears], trained=kind == "ntk")
    if kind == "nngp":
        return NNGP(len(activations), activations, **numbers)
    widths = tuple(layer.out_features for layer in linears[:-1])
    return NTK(len(activations), activations, **numbers, parametrization="standard", widths=widths)


def _read(torch: Any, layers: list[tuple[str, Any]]) -> tuple[list[Any], tuple[Activation, ...]]:
    """Return the linear layers and the activations between them."""
    linears: list[Any] = []
    activations: list[Activation] = []
    for name, layer in layers:
        if isinstance(layer, torch.nn.Linear):
            if len(linears) > len(activations):
                activations.append(ABReLU(1.0, 1.0))
            linears.append(layer)
            continue
        if len(activations) >= len(linears):
            raise unknown(name, layer, "an activation follows a Linear layer")
        activations.append(elementwise(name, layer))
    if linears and len(linears) != len(activations) + 1:
        raise InputError(
            "the module's last layer is an activation; expected a Linear readout; remove the activation"
        )
    return linears, tuple(activations)
