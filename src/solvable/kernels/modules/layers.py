"""What layers of a torch module say about an infinitely wide one: names, activations, variances of their weights."""

from collections.abc import Iterator, Sequence
from typing import Any

from solvable.errors import InputError
from solvable.kernels.duals import Activation, as_activation


def layers_of(torch: Any, module: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the layers of nested `Sequential`s in order, with their names, without those that do nothing.

    An activation that stands in two places is yielded twice.

    Raises:
        InputError: when a layer with weights stands in two places, since tied layers have another kernel.
    """
    seen: dict[int, str] = {}
    for where, layer in _in_order(torch, module, name):
        if any(True for _ in layer.parameters()):
            if id(layer) in seen:
                raise InputError(
                    f"layers {seen[id(layer)]!r} and {where!r} are one {type(layer).__name__}; expected layers of "
                    "weights of their own; empirical_ntk(module, X) takes tied ones"
                )
            seen[id(layer)] = where
        yield where, layer


def _in_order(torch: Any, module: Any, name: str) -> Iterator[tuple[str, Any]]:
    nn = torch.nn
    # A subclass may do anything in its forward: a residual connection, say.
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        # named_children() would leave out a module that it has met before.
        for child_name, child in module._modules.items():
            yield from _in_order(torch, child, f"{name}.{child_name}" if name else child_name)
    elif not isinstance(module, (nn.Identity, nn.Dropout, nn.Dropout2d)):
        yield name, module


def elementwise(name: str, layer: Any) -> Activation:
    """Return the activation that a layer is.

    Raises:
        InputError: when it is none.
    """
    if next(layer.parameters(), None) is not None or next(layer.children(), None) is not None:
        raise unknown(name, layer, "layers are Linear, Conv2d or elementwise activations without parameters")
    try:
        return as_activation(layer)
    except InputError:
        kind = "has no dual" if "pool" in type(layer).__name__.lower() else "is not elementwise"
        raise unknown(name, layer, f"all other layers are activations, and this one {kind}") from None


def variances_of(layers: Sequence[Any], fan_ins: Sequence[int], trained: bool) -> dict[str, Any]:
    """Return `w_std`, `b_std` and the readout's, as the weights of layers, the readout last, have them.

    Args:
        layers: of weights.
        fan_ins: number of inputs of each.
        trained: whether all of them must be trainable, as the tangent kernel takes them.

    Raises:
        InputError: for weights that are frozen, not finite, or not there yet.
    """
    for layer in layers:
        for name, parameter in layer.named_parameters():
            what = f"{name} of {layer}"
            if "Uninitialized" in type(parameter).__name__:
                raise InputError(f"{what} has no shape yet; expected numbers; call the module once")
            if not bool(parameter.isfinite().all()):
                raise InputError(
                    f"{what} has values that are NaN or infinite; expected numbers; initialise it again"
                )
            if trained and not parameter.requires_grad:
                raise InputError(
                    f"{what} is frozen; expected weights that train, all of which the tangent kernel counts; unfreeze "
                    "them, take kind='nngp', or empirical_ntk(module, X)"
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
    """Return the error for a layer that the kernels do not know."""
    where = f"layer {name!r}" if name else "the module"
    return InputError(
        f"{where} is {type(layer).__name__}, whose infinite-width kernel is not known here; expected a Sequential in "
        f"which {expected}; empirical_ntk(module, X) takes any module"
    )


def _root_mean_square(parameter: Any) -> float:
    return float(parameter.detach().double().square().mean().sqrt())
