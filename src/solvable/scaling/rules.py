"""The rules of module types: which parameter is a matrix, a bias, an embedding, and of which fan-in and fan-out."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from solvable.errors import InputError
from solvable.scaling.layout import (
    KINDS,
    Layout,
    convolution,
    dense,
    layout_of_words,
    rows,
    vector,
    with_blocks,
)

Rule = str | Layout | Mapping[str, str] | Callable[[nn.Module, str], "str | Layout | None"]
"""Words (`dense`, `blocks:3`, ...), a mapping from a module's parameter names to words, or a function of the module
and the parameter's name that returns words, a `Layout`, or None for the built-in rule."""

_registered: dict[type[nn.Module], Rule] = {}

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (
    nn.LayerNorm,
    nn.RMSNorm,
    nn.GroupNorm,
    nn.modules.batchnorm._NormBase,
)
# Names by which projections that are packed into one matrix usually go.
_PACKED = (
    (re.compile(r"c_attn|.*qkv(_proj)?|query_key_value", re.IGNORECASE), 3, lambda o, i: o == 3 * i),
    (re.compile(r"gate_up_proj|gate_up|w12|fc1_gate", re.IGNORECASE), 2, lambda o, i: o % 2 == 0),
)
_POSITIONS = re.compile(r"pos(ition(al|s)?)?(_?(emb|enc)\w*)?|(cls|class|mask|dist|register|sep|eos)_tokens?")
_SPECIAL = re.compile(r"lora|qkv|c_attn|query_key_value|gate|w12", re.IGNORECASE)
_LORA = re.compile(r"lora_?(?P<part>[ab])(\.|$|_)|lora_(?P<way>down|up)", re.IGNORECASE)


def register_rule(module_type: type[nn.Module], rule: Rule) -> None:
    """Say what the parameters of a module type are, for the rest of the process.

    Args:
        module_type: the type; it holds for subclasses too.
        rule: words for all its parameters of two or more dimensions; a mapping from their names to words, as in
            `{"kernel": "dense transposed"}`; or a function `(module, name) -> words, Layout or None`. None leaves the
            parameter to the built-in rules.

    Raises:
        InputError: if the type is no module type, or the rule none of these.

    >>> class Einsum(nn.Module):
    ...     def __init__(self, d: int, h: int):
    ...         super().__init__()
    ...         self.kernel = nn.Parameter(torch.randn(d, h))
    >>> import torch
    >>> from solvable.scaling import describe
    >>> register_rule(Einsum, {"kernel": "dense transposed"})
    >>> describe(Einsum(8, 32))["kernel"].layout.fan_in
    8
    """
    if not (isinstance(module_type, type) and issubclass(module_type, nn.Module)):
        raise InputError(f"module_type is {module_type!r}; expected a subclass of torch.nn.Module")
    if isinstance(rule, str):
        words, rule = rule, lambda module, name: words if module._parameters[name].ndim > 1 else None  # pyright: ignore
        layout_of_words(
            words, (12, 12, 12) if words.startswith("experts") else (12, 12), module_type.__name__
        )
    if not callable(rule) and not isinstance(rule, Mapping):
        raise InputError(
            f"the rule of {module_type.__name__} is {rule!r}; expected words such as {', '.join(list(KINDS)[:3])}, a "
            "mapping from parameter names to words, or a function"
        )
    _registered[module_type] = rule


def built_in(
    module: nn.Module, own: str, parameter: Tensor, name: str, owner: tuple[nn.Module, str] | None
) -> tuple[Layout, str] | None:
    """Return the layout of a parameter and the rule's name, or None if no rule fits.

    Args:
        module: the module that owns the parameter.
        own: the parameter's name in it.
        parameter: the parameter.
        name: its full name.
        owner: the parametrized module and the attribute, if the module is a list of parametrizations.
    """
    for kind, rule in reversed(_registered.items()):
        if isinstance(module, kind):
            words: Any = rule(module, own) if callable(rule) else rule.get(own)  # pyright: ignore
            if words is not None:
                layout = (
                    words
                    if isinstance(words, Layout)
                    else layout_of_words(words, tuple(parameter.shape), name)
                )
                return layout, f"registered for {kind.__name__}"
    if owner is not None:
        return _parametrized(module, own, parameter, name, *owner)
    if own in ("weight_g", "weight_v") and hasattr(module, "weight"):
        return _normalised(module, own == "weight_g", parameter, name)
    layout = _lora(own, name, parameter) or _by_type(module, own, parameter, name)
    if layout is not None:
        return layout, type(module).__name__
    if parameter.ndim == 1 and own.endswith("bias") and getattr(module, "weight", None) is not None:
        return vector("bias", tuple(parameter.shape)), "its name"
    if (
        parameter.ndim == 1
        and own in ("weight", "scale", "gamma", "g")
        and "norm" in type(module).__name__.lower()
    ):
        return vector("gain", tuple(parameter.shape)), f"the name {type(module).__name__}"
    if parameter.ndim <= 1:
        return vector("vector", tuple(parameter.shape)), "at most one dimension"
    if _POSITIONS.fullmatch(own):
        return rows("position", tuple(parameter.shape)), "its name"
    return None


def is_plain_linear(module: nn.Module, prefix: str) -> bool:
    """Return whether a module is a linear layer that no registered rule and no name makes a special case."""
    if type(module) is not nn.Linear or _SPECIAL.search(prefix) is not None:
        return False
    return not _registered or not any(isinstance(module, kind) for kind in _registered)


@lru_cache(maxsize=4096)
def of_linear(own: str, shape: tuple[int, ...]) -> tuple[Layout, str]:
    """Return the layout of a plain linear layer's parameter, and the rule's name."""
    return dense(*shape) if own == "weight" else vector("bias", shape), "Linear"


def _by_type(module: nn.Module, own: str, parameter: Tensor, name: str) -> Layout | None:
    shape = tuple(parameter.shape)
    bias = vector("bias", shape)
    match module:
        case nn.Linear() if own in ("weight", "bias"):
            layer = name.rsplit(".", 2)[-2] if "." in name else ""
            packed = _packing(layer, module.out_features, module.in_features)
            layout = bias if own == "bias" else dense(*shape)
            return _blocks(layout, packed) if packed > 1 else layout
        case nn.MultiheadAttention():
            if own == "in_proj_weight":
                return _blocks(dense(*shape), 3)
            if own == "in_proj_bias":
                return _blocks(bias, 3)
            return dense(*shape) if own.endswith("_proj_weight") else vector("vector", shape)
        case nn.RNNBase() | nn.RNNCellBase():
            gates = 4 if isinstance(module, (nn.LSTM, nn.LSTMCell)) else 1
            gates = 3 if isinstance(module, (nn.GRU, nn.GRUCell)) else gates
            if own.startswith("bias"):
                return _blocks(bias, gates)
            return dense(*shape) if own.startswith("weight_hr") else _blocks(dense(*shape), gates)
        case nn.Bilinear():
            if own != "weight":
                return bias
            # The inputs are products of two vectors, so the larger of them is what the outputs are compared with.
            return replace(dense(shape[0], shape[1] * shape[2]), kernel_size=min(shape[1:]))
        case nn.Embedding() | nn.EmbeddingBag() if own == "weight":
            return rows("embedding", shape)
        case nn.PReLU():
            return vector("vector", shape)
    if isinstance(module, _CONVOLUTIONS + _TRANSPOSED) and own in ("weight", "bias"):
        if own == "bias":
            return bias
        transposed = isinstance(module, _TRANSPOSED)
        return convolution(shape, module.groups, module.stride, transposed)
    if isinstance(module, _NORMS) and own in ("weight", "bias"):
        return vector("gain", shape) if own == "weight" else bias
    if type(module).__name__ == "Conv1D" and own in ("weight", "bias") and hasattr(module, "nf"):
        # GPT-2's layer of the transformers library: a dense layer that stores (inputs, outputs).
        stored: Any = module.weight
        inputs, outputs = stored.shape
        packed = _packing(name.rsplit(".", 2)[-2] if "." in name else "", outputs, inputs)
        layout = bias if own == "bias" else replace(dense(outputs, inputs), transposed=True)
        return _blocks(layout, packed) if packed > 1 else layout
    return None


@lru_cache(maxsize=4096)
def _packing(layer: str, fan_out: int, fan_in: int) -> int:
    """Return the number of projections that a linear layer of this name packs into one matrix."""
    for pattern, blocks, fits in _PACKED:
        if pattern.fullmatch(layer) and fits(fan_out, fan_in):
            return blocks
    return 1


def _lora(own: str, name: str, parameter: Tensor) -> Layout | None:
    match = _LORA.search(".".join(name.split(".")[-3:])) if "lora" in name.lower() else None
    if match is None or parameter.ndim < 2 or own.endswith("bias"):
        return None
    first = (match["part"] or "").lower() == "a" or match["way"] == "down"
    fan_out, fan_in = parameter.shape[0], parameter[0].numel()
    return dense(fan_out, fan_in, kind="lora_A" if first else "lora_B")


def _blocks(layout: Layout, blocks: int) -> Layout:
    return with_blocks(layout, blocks, InputError(f"the shape does not consist of {blocks} blocks"))


def owner_of(modules: Mapping[str, nn.Module], path: str) -> tuple[nn.Module, str] | None:
    """Return the parametrized module and the attribute's name for a path such as `0.parametrizations.weight`."""
    owner, found, attribute = path.rpartition("parametrizations.")
    if not found or "." in attribute:
        return None
    return modules[owner.removesuffix(".")], attribute


def _parametrized(
    module: Any, own: str, parameter: Tensor, name: str, owner: nn.Module, attribute: str
) -> tuple[Layout, str] | None:
    steps = [type(step).__name__ for step in module]
    if steps == ["_WeightNorm"]:
        return _normalised(owner, own == "original0", parameter, name, attribute)
    raise InputError(
        f"{name} is the parameter behind {attribute!r} of a {type(owner).__name__} with the parametrization "
        f"{', '.join(steps)}, which decides the norm of the weight by itself; expected a plain weight or weight_norm; "
        f'give its rule, as in rules={{"{re.escape(name)}": "unscaled"}}, or remove the parametrization'
    )


def _normalised(
    module: nn.Module, magnitude: bool, parameter: Tensor, name: str, attribute: str = "weight"
) -> tuple[Layout, str] | None:
    weight: Any = getattr(module, attribute)
    layout = _by_type(
        module, attribute, weight, f"{name.rsplit('.', 1)[0]}.{attribute}" if "." in name else attribute
    )
    if layout is None or layout.transposed or (magnitude and parameter.numel() != parameter.shape[0]):
        return None
    if not magnitude:
        return layout, "weight_norm, direction"
    # Rows of the initial matrix have the norm min(1, √(outputs/inputs)), and an update of one norm by that much, times
    # lr, changes the features as an update of the matrix does.
    unit = min(1.0, (layout.fan_out / layout.groups * layout.kernel_size / layout.fan_in) ** 0.5)
    return replace(vector("magnitude", (len(parameter),)), unit=unit), "weight_norm, norms of the rows"
