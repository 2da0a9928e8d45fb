"""The kernel of a torch stack of convolutions, activations, average pooling and a linear readout."""

from typing import Any

from solvable.errors import InputError
from solvable.kernels.convolutional import ConvNNGP, ConvNTK
from solvable.kernels.duals import ABReLU, Activation
from solvable.kernels.modules.layers import elementwise, unknown, variances_of


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
