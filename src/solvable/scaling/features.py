"""One run of a coordinate check: how far the outputs of all layers of a model move in some steps."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.networks.minibatch import Loss, loss_function
from solvable.scaling.description import Rules, describe
from solvable.scaling.names import unwrapped
from solvable.scaling.optimizers import check_optimizer, kind_of


def one_run(
    make_model: Callable[[int], nn.Module],
    make_optimizer: Callable[[nn.Module], Any],
    batches: Sequence[tuple[Any, Any]],
    steps: int,
    loss: str | Loss | None,
    rules: Rules | None,
    width: int,
    seed: int,
) -> tuple[dict[str, float], dict[str, float], str | None, tuple[Any, ...], bool]:
    """Return change and initial RMS of each layer's output, the readout, all shapes, and whether groups are scaled."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1_000_003 * seed + width)
        model = make_model(width)
        made = make_optimizer(unwrapped(model))
        optimizers = list(made) if isinstance(made, (list, tuple)) else [made]
        for optimizer in optimizers:
            check_optimizer(optimizer)
        check_eps(optimizers)
        description = describe(model, rules)
        before = _outputs(model, batches[0][0], seed)
        for step in range(steps):
            x, y = batches[step % len(batches)]
            value = _loss(loss, model(x), y)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            value.backward()
            for optimizer in optimizers:
                optimizer.step()
        after = _outputs(model, batches[0][0], seed)
    changes = {name: _rms(after[name] - one) for name, one in before.items() if name in after}
    if bad := [name for name, one in changes.items() if not np.isfinite(one)]:
        what = f"the output of layer {bad[0]!r} is not finite"
        if not np.isfinite(_rms(before[bad[0]])):
            raise InputError(f"{what} at the start; expected finite inputs and weights; check both")
        raise InputError(
            f"the model of width {width} diverged within {steps} steps ({what}); expected a learning rate that is "
            "stable at every width; lower it"
        )
    readout = description.readout and description.readout.rpartition(".")[0]
    shapes = tuple(row.shape for row in description)
    scaled = any("lr_scale" in group for optimizer in optimizers for group in optimizer.param_groups)
    return changes, {name: _rms(before[name]) for name in changes}, readout, shapes, scaled


def _loss(loss: str | Loss | None, output: Any, y: Any) -> Tensor:
    if (loss is None or isinstance(loss, str)) and not (isinstance(output, Tensor) and isinstance(y, Tensor)):
        raise InputError(
            f"the model returns a {type(output).__name__} for targets that are a {type(y).__name__}; expected tensors; "
            "give a loss, a function of both"
        )
    value = loss_function(loss, y)(output, y)
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
        raise InputError(f"loss returns {value!r}; expected a tensor of one number with a gradient")
    return value


def as_tensors(what: Any) -> Any:
    """Return arrays as tensors, in single precision if they are not of integers; leave everything else alone."""
    if not isinstance(what, np.ndarray):
        return what
    return torch.as_tensor(what, dtype=torch.float32 if what.dtype.kind == "f" else None)


def check_eps(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Raise for an Adam-like optimizer with eps = 0."""
    for optimizer in optimizers:
        name = type(optimizer).__name__
        # Its kind is asked last, since it may be unknown.
        if (
            any(group.get("eps") == 0 for group in optimizer.param_groups)
            and kind_of(optimizer).family == "sign"
        ):
            raise InputError(
                f"eps of {name} is 0, which gives NaN as soon as one entry of a gradient is 0 (a dead unit, a constant "
                "input); expected a positive number, such as 1e-16"
            )


def _outputs(model: nn.Module, x: Any, seed: int) -> dict[str, Tensor]:
    """Return the output of each layer with parameters on a batch; of a layer that is called several times, the
    first."""
    found: dict[str, Tensor] = {}
    inner = unwrapped(model)

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            first = output
            while isinstance(first, (tuple, list)) and first:
                first = first[0]
            if isinstance(first, Tensor) and name not in found:
                found[name] = first.detach().double()

        return hook

    handles = [
        module.register_forward_hook(keep(name or type(inner).__name__))
        for name, module in inner.named_modules()
        if "parametrizations." not in f"{name}." and _has_parameters(module)
    ]
    try:
        # The same dropout before and after.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            inner(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _has_parameters(module: nn.Module) -> bool:
    own = any(one is not None for one in module._parameters.values())
    return own or hasattr(module, "parametrizations")


def _rms(tensor: Tensor) -> float:
    return float(tensor.square().mean().sqrt())
