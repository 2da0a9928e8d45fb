"""The layers of a torch module: names, activations, and variances of weights."""

from collections.abc import Iterator, Sequence
from typing import Any

from solvable.errors import InputError
from solvable.kernels.duals import Activation, as_activation


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
