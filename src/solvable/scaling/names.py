"""Names of parameters, without what wrappers add to them, and what users write of names."""

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from solvable.errors import InputError


def unwrapped(model: Any) -> nn.Module:
    """Return the module inside the wrappers of torch.compile and of distributed training."""
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}; expected a torch.nn.Module")
    while True:
        wrapper = type(model).__name__
        if wrapper == "OptimizedModule" and hasattr(model, "_orig_mod"):
            model = model._orig_mod
        elif wrapper in ("DistributedDataParallel", "DataParallel") and hasattr(model, "module"):
            model = model.module
        else:
            return model  # pyright: ignore[reportReturnType]


def plain_name(name: str) -> str:
    """Return a parameter's name without what torch.compile adds to those of compiled submodules."""
    if "_orig_mod." in name or "_wrapped_module." in name:
        for wrapper in ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."):
            name = name.replace(wrapper, "")
    return name


def named_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters of a module by the names that `describe` gives them."""
    inner = unwrapped(model)
    return {plain_name(name): one for name, one in inner.named_parameters(remove_duplicate=False)}


def matches(argument: str, pattern: str, name: str) -> bool:
    """Return whether a regular expression of the user's fits a name.

    Raises:
        InputError: if it is not a valid one.
    """
    try:
        return re.search(pattern, name) is not None
    except re.error as problem:
        raise InputError(
            f"{argument} has {pattern!r}, which is no regular expression ({problem}); expected part of a name, with "
            "special letters behind a backslash"
        ) from None


def mapping(name: str, value: Any) -> Mapping[Any, Any]:
    """Return a mapping that an argument is, empty for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{name} is {value!r}; expected a dict, as in {name}={{...}}")
    return value
