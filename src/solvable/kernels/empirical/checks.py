"""Validation of the module and the inputs of the empirical kernels."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from solvable.checks import finite
from solvable.errors import InputError

_TOKENS = (nn.Embedding, nn.EmbeddingBag)


def check_module(module: Any) -> nn.Module:
    """Return the module without wrappers.

    Raises:
        InputError: if it is not a module, is compiled to TorchScript, has weights that are not real numbers, or part
            of it depends on the batch or on chance (BatchNorm, Dropout in training mode).
    """
    if not isinstance(module, nn.Module):
        kind = f"the class {module.__name__}" if isinstance(module, type) else f"a {type(module).__name__}"
        raise InputError(
            f"module is {kind}; expected a torch.nn.Module; wrap a function in a module that holds its parameters"
        )
    # Functional calls need the module inside torch.compile and data-parallel wrappers.
    for wrapped in ("_orig_mod", "module"):
        inner = module._modules.get(wrapped)
        if wrapped == "_orig_mod" or type(module).__name__ in ("DataParallel", "DistributedDataParallel"):
            module = module if inner is None else inner
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError(
            "module is a TorchScript module; expected an ordinary torch.nn.Module; pass the module before scripting"
        )
    for name, parameter in module.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise InputError(
                f"parameter {name} has no shape yet; expected an initialised module; "
                "run one batch through the module first"
            )
        if parameter.is_complex():
            raise InputError(
                f"parameter {name} is {parameter.dtype}; expected real weights; "
                "write its real and imaginary parts as two parameters"
            )
    for name, part in module.named_modules():
        if part.training and (kind := _in_training(part)):
            raise InputError(
                f"{name or 'module'} ({type(part).__name__}) is in training mode, where {kind}; expected a "
                "function of each sample alone; call module.eval() first"
            )
        if isinstance(part, _TOKENS) and part.max_norm is not None:
            raise InputError(
                f"{name or 'module'} has max_norm={part.max_norm:g}, which rescales its weights at every call; "
                "expected constant weights; set max_norm to None after training"
            )
    return module


def check_trainable(module: nn.Module) -> None:
    """Raise if no parameter of the module has a gradient."""
    if not any(parameter.requires_grad for parameter in module.parameters()):
        n_frozen = sum(1 for _ in module.parameters())
        raise InputError(
            f"module has no trainable parameters ({n_frozen} frozen); expected at least one with requires_grad=True; "
            "call requires_grad_(True) on those that train"
        )


def check_inputs(name: str, X: Any, module: nn.Module) -> tuple[Tensor, bool]:
    """Return the inputs as a tensor for the module, and whether `X` is a torch tensor.

    NumPy input takes the module's dtype and device; integers are kept if the module embeds tokens.

    Raises:
        InputError: if they are not real numbers, are empty or hold NaN, or if a tensor differs from the module in
            dtype or device.
    """
    like = next((p for p in module.parameters() if p.is_floating_point()), None)
    dtype = torch.get_default_dtype() if like is None else like.dtype
    device = torch.device("cpu") if like is None else like.device
    if is_tensor := isinstance(X, Tensor):
        tensor = X.detach()
        if tensor.layout is not torch.strided:
            raise InputError(
                f"{name} is a {tensor.layout} tensor; expected a dense one; call {name}.to_dense() first"
            )
        if tensor.is_complex():
            raise _not_real(name, X)
        if tensor.device != device:
            raise InputError(
                f"{name} is on {tensor.device} and the module on {device}; expected one device; "
                f"pass {name}.to({str(device)!r})"
            )
        if tensor.is_floating_point() and tensor.dtype != dtype:
            raise InputError(
                f"{name} has dtype {tensor.dtype} and the module {dtype}; expected the same; "
                f"pass {name}.to({dtype}) or module.to({tensor.dtype})"
            )
    else:
        try:
            array = np.asarray(X)
        except (TypeError, ValueError):
            raise _not_real(name, X) from None
        if array.dtype.kind not in "biuf":
            raise _not_real(name, X)
        tokens = array.dtype.kind in "iu" and any(isinstance(part, _TOKENS) for part in module.modules())
        # A copy, since torch warns about read-only arrays.
        array = array.astype(np.int64 if tokens else np.float64)
        tensor = torch.from_numpy(array).to(device=device, dtype=torch.int64 if tokens else dtype)
    if tensor.ndim == 0:
        raise InputError(
            f"{name} is one number; expected (samples, ...) as the module takes; pass one sample as {name}[None]"
        )
    if tensor.numel() == 0:
        raise InputError(
            f"{name} has shape {tuple(tensor.shape)}; expected at least one sample; "
            "check the selection that made it"
        )
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        finite(name, tensor.cpu().double().numpy())
    # Tensors created in inference mode cannot enter a graph.
    return (tensor.clone() if tensor.is_inference() else tensor), is_tensor


def check_pair(X: Tensor, Z: Tensor) -> None:
    """Raise if `X` and `Z` differ in sample shape or dtype."""
    if X.shape[1:] != Z.shape[1:]:
        raise InputError(
            f"samples of X have shape {tuple(X.shape[1:])} and those of Z {tuple(Z.shape[1:])}; "
            "expected the same; preprocess both alike"
        )
    if X.dtype != Z.dtype:
        raise InputError(f"X has dtype {X.dtype} and Z has {Z.dtype}; expected the same; convert one of them")


def _in_training(part: nn.Module) -> str:
    """Return why a module in training mode is not a function of one sample, or an empty string."""
    if isinstance(part, _BatchNorm):
        return "each output depends on the whole batch"
    rate = part.p if isinstance(part, _DropoutNd) else getattr(part, "dropout", 0.0)
    return "its outputs are random" if isinstance(rate, float) and rate > 0 else ""


def _not_real(name: str, X: Any) -> InputError:
    kind = f"{type(X).__name__}" + (f" of {X.dtype}" if hasattr(X, "dtype") else "")
    return InputError(
        f"{name} is a {kind} that does not hold a dense block of real numbers; "
        "expected a NumPy array or a torch tensor (samples, ...); convert it to floating point first"
    )
