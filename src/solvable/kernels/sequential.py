"""The infinite-width kernel of a torch module, from its layers and the variances of its weights."""

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from solvable.checks import choice
from solvable.errors import InputError
from solvable.kernels.convolutional import ConvNNGP, ConvNTK
from solvable.kernels.duals import ABReLU, Activation, as_activation
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


def from_convolutions(torch: Any, layers: list[tuple[str, Any]], kind: str) -> ConvNTK | ConvNNGP:
    """Return the infinite-width kernel of named layers in order, the readout last; see `kernels.from_module`."""
    nn = torch.nn
    convolutions: list[Any] = []
    activations: list[Activation] = []
    pool_after: list[int] = []
    pool_sizes: set[int] = set()
    global_average, flat, readout = False, False, None
    for name, layer in layers:
        if readout is not None or (
            (global_average or flat) and not isinstance(layer, (nn.Linear, nn.Flatten))
        ):
            raise unknown(name, layer, "one Linear layer follows the convolutions, and nothing follows it")
        if isinstance(layer, nn.Conv2d):
            _check(name, layer)
            if len(convolutions) > len(activations):
                activations.append(ABReLU(1.0, 1.0))
            convolutions.append(layer)
        elif isinstance(layer, nn.Flatten):
            flat = True
        elif isinstance(layer, nn.Linear):
            if not flat:
                # Without it torch would apply the layer along the rows of the image.
                raise unknown(name, layer, "Flatten comes before the readout")
            readout = layer
        elif isinstance(layer, nn.AdaptiveAvgPool2d):
            if layer.output_size not in (1, (1, 1)):
                raise unknown(name, layer, "AdaptiveAvgPool2d leaves one number per channel")
            global_average = True
        elif isinstance(layer, nn.AvgPool2d):
            pool_sizes.add(_window(name, layer))
            if len(activations) < len(convolutions):
                activations.append(ABReLU(1.0, 1.0))
            pool_after.append(len(convolutions))
        elif len(activations) < len(convolutions):
            activations.append(elementwise(name, layer))
        else:
            raise unknown(name, layer, "an activation follows a convolution")
    if readout is None:
        raise InputError(
            "the module ends without a Linear layer; expected a readout; add it after Flatten or AdaptiveAvgPool2d(1)"
        )
    if len(activations) < len(convolutions):
        activations.append(ABReLU(1.0, 1.0))
    paddings = {(_padding(layer), layer.kernel_size[0]) for layer in convolutions}
    if len(paddings) > 1 or len(pool_sizes) > 1 or len(set(pool_after)) < len(pool_after):
        raise InputError(
            "the convolutions of the module differ in filter size or padding, its poolings differ in their window, or "
            "two of them follow each other; expected one kind of each; use empirical_ntk(module, X), which takes any "
            "module"
        )
    padding, filter_size = paddings.pop()
    channels = convolutions[-1].out_channels
    if global_average and readout.in_features != channels:
        raise InputError(
            f"the readout has {readout.in_features} inputs after a global average of {channels} channels; expected "
            "equal numbers; check the module"
        )
    fan_ins = [layer.in_channels * filter_size**2 for layer in convolutions] + [readout.in_features]
    numbers: dict[str, Any] = {
        **variances_of([*convolutions, readout], fan_ins, trained=kind == "ntk"),
        "filter_size": filter_size,
        "padding": padding,
        "readout": "global_average" if global_average else "flatten",
        "pool_after": tuple(pool_after),
        "pool_size": pool_sizes.pop() if pool_sizes else 2,
    }
    depth, each = len(convolutions), tuple(activations)
    if kind == "nngp":
        return ConvNNGP(depth, each, **numbers)
    widths = tuple(layer.out_channels for layer in convolutions)
    return ConvNTK(depth, each, **numbers, parametrization="standard", widths=widths)


def _check(name: str, layer: Any) -> None:
    same = len(set(layer.kernel_size)) == 1
    if layer.stride != (1, 1) or layer.dilation != (1, 1) or layer.groups != 1 or not same:
        raise unknown(name, layer, "convolutions have square filters, stride 1, no dilation and one group")
    _padding(layer, name)


def _padding(layer: Any, name: str = "") -> str:
    q = layer.kernel_size[0]
    padding = layer.padding
    same_size = padding == "same" or (q % 2 == 1 and padding == (q // 2, q // 2))
    if padding in ("valid", (0, 0)):
        return "VALID"
    if same_size and layer.padding_mode in ("zeros", "circular"):
        return "CIRCULAR" if layer.padding_mode == "circular" else "SAME"
    raise unknown(name, layer, "convolutions pad to the same size (zeros or circular) or not at all")


def _window(name: str, layer: Any) -> int:
    def pair(value: Any) -> tuple[int, int]:
        return value if isinstance(value, tuple) else (value, value)

    size, stride = pair(layer.kernel_size), pair(layer.stride)
    if size[0] != size[1] or stride != size or pair(layer.padding) != (0, 0) or layer.ceil_mode:
        raise unknown(name, layer, "average pooling has adjacent square windows without padding")
    return size[0]


def layers_of(torch: Any, module: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the names and layers of nested `Sequential`s in order, without those that do nothing.

    An activation used in two places is yielded twice. Raise for a layer with weights, since tied layers have another
    kernel.
    """
    names: dict[int, str] = {}
    for where, layer in _in_order(torch, module, name):
        if any(True for _ in layer.parameters()):
            if id(layer) in names:
                raise InputError(
                    f"layers {names[id(layer)]!r} and {where!r} are one {type(layer).__name__}; expected layers with "
                    "separate weights; use empirical_ntk(module, X), which takes tied ones"
                )
            names[id(layer)] = where
        yield where, layer


def _in_order(torch: Any, module: Any, name: str) -> Iterator[tuple[str, Any]]:
    nn = torch.nn
    # A subclass may do anything in its forward, such as a residual connection.
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        # named_children() would skip a repeated module.
        for child_name, child in module._modules.items():
            yield from _in_order(torch, child, f"{name}.{child_name}" if name else child_name)
    elif not isinstance(module, (nn.Identity, nn.Dropout, nn.Dropout2d)):
        yield name, module


def elementwise(name: str, layer: Any) -> Activation:
    """Return the activation that a layer applies; raise if it is not an activation."""
    if next(layer.parameters(), None) is not None or next(layer.children(), None) is not None:
        raise unknown(name, layer, "layers are Linear, Conv2d or elementwise activations without parameters")
    try:
        return as_activation(layer)
    except InputError:
        kind = "has no dual" if "pool" in type(layer).__name__.lower() else "is not elementwise"
        raise unknown(name, layer, f"all other layers are activations, and this one {kind}") from None


def variances_of(layers: Sequence[Any], fan_ins: Sequence[int], trained: bool) -> dict[str, Any]:
    """Return `w_std`, `b_std` and the readout's, estimated from the weights of layers, the readout last.

    Raise for weights that are not finite, not initialised or, if `trained`, frozen.
    """
    for layer in layers:
        for name, parameter in layer.named_parameters():
            what = f"{name} of {layer}"
            if "Uninitialized" in type(parameter).__name__:
                raise InputError(f"{what} has no shape yet; expected numbers; call the module once")
            if not bool(parameter.isfinite().all()):
                raise InputError(
                    f"{what} has values that are NaN or infinite; expected finite numbers; initialise it again"
                )
            if trained and not parameter.requires_grad:
                raise InputError(
                    f"{what} is frozen; expected trainable weights, all of which the tangent kernel counts; unfreeze "
                    "them, pass kind='nngp', or use empirical_ntk(module, X)"
                )
    w_stds = tuple(_root_mean_square(layer.weight) * n**0.5 for layer, n in zip(layers, fan_ins, strict=True))
    b_stds = tuple(None if layer.bias is None else _root_mean_square(layer.bias) for layer in layers)
    return {
        "w_std": w_stds[:-1],
        "b_std": b_stds[:-1],
        "readout_w_std": w_stds[-1],
        "readout_b_std": b_stds[-1],
    }


def unknown(name: str, layer: Any, expected: str) -> InputError:
    """Return the error for an unsupported layer."""
    where = f"layer {name!r}" if name else "the module"
    return InputError(
        f"{where} is {type(layer).__name__}, whose infinite-width kernel is not known; expected a Sequential in which "
        f"{expected}; use empirical_ntk(module, X), which takes any module"
    )


def _root_mean_square(parameter: Any) -> float:
    return float(parameter.detach().double().square().mean().sqrt())
