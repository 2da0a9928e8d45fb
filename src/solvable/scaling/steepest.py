r"""Optimizers that obey the spectral condition: `SpectralSGD`, and `torch.optim.Muon` with the right factors."""

import inspect
from collections.abc import Callable
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.scaling.groups import param_groups
from solvable.scaling.norms import power_steps


class SpectralSGD(torch.optim.Optimizer):
    r"""SGD with momentum whose updates have the same spectral norm: $\Delta W = -\eta\,s\, M / \|M\|_*$.

    M is the momentum, and the norm that of one or two steps of the power method, started from the last step's vector.
    It costs a few products of a matrix and a vector where Muon's orthogonalisation costs fifteen of matrices, and
    unlike Newton-Schulz iterations it does not amplify noise in gradients of low rank.

    With groups of `param_groups(model, "spectral", lr=...)` the factor s is in their learning rates, and packed
    matrices, convolutions' groups, experts, rows of embeddings and gains are normalised one by one, each in the steps
    in which it has a gradient. With plain parameters, a tensor of shape (m, ...) is one matrix with
    $s = \sqrt{m/n}$, and a vector has n = 1.

    Args:
        params: parameters or groups.
        lr: learning rate: the scaled norm of each update.
        momentum: $\mu \in [0, 1)$, of a running mean $M \leftarrow \mu M + (1 - \mu)\,G$.
        nesterov: whether the update uses $\mu M + (1 - \mu) G$.
        weight_decay: decoupled decay, a share lr · weight_decay in each step.
        power_iters: steps of the power method per update.

    Raises:
        InputError: for numbers out of range, and for sparse gradients.

    Source: arXiv:2310.17813, section 6; arXiv:2409.20325.

    >>> model = nn.Linear(8, 2)
    >>> optimizer = SpectralSGD(model.parameters(), lr=0.1)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        momentum: float = 0.9,
        *,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        power_iters: int = 2,
    ) -> None:
        momentum = one_number("momentum", momentum, at_least=0)
        if momentum >= 1:
            raise InputError(f"momentum is {momentum:g}; expected at least 0 and below 1")
        defaults = {
            "lr": one_number("lr", lr, at_least=0),
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": one_number("weight_decay", weight_decay, at_least=0),
            "power_iters": whole("power_iters", power_iters, at_least=1),
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make a step; `closure` evaluates the loss again, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            matrices = group.get("matrices") or [None] * len(group["params"])
            for parameter, shape in zip(group["params"], matrices, strict=True):
                if parameter.grad is not None:
                    self._step(parameter, group, shape)
        return loss

    def _step(self, parameter: Tensor, group: dict[str, Any], shape: list[int] | None) -> None:
        gradient, state = parameter.grad, self.state[parameter]
        if gradient is None or gradient.is_sparse:
            raise InputError("a gradient is sparse; expected dense ones; use an embedding with sparse=False")
        whole_shape = [1, parameter.shape[0] if parameter.ndim else 1, prod(parameter.shape[1:]), 0]
        count, rows, columns, inputs = shape or whole_shape
        update = gradient
        if momentum := group["momentum"]:
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
            update = state["momentum"].lerp_(gradient, 1 - momentum)
            if group["nesterov"]:
                update = gradient.lerp(update, momentum)
        # Squares of very small and very large numbers would leave the range of single precision.
        wide = update if update.dtype in (torch.float32, torch.float64) else update.float()
        peak = wide.abs().amax().clamp_min(torch.finfo(wide.dtype).tiny)
        scaled = (wide / peak).contiguous()
        if inputs:
            stack = scaled.reshape(count, inputs, rows, -1).transpose(1, 2).reshape(count, rows, columns)
        else:
            stack = scaled.reshape(count, rows, columns)
        if columns == 1 or rows == 1:
            norms = torch.linalg.vector_norm(stack, dim=(1, 2))
        else:
            # Without an earlier vector, a few steps would be up to a third too low.
            steps = group["power_iters"] + (0 if "right" in state else 8)
            norms, state["right"] = power_steps(stack, state.get("right"), steps)
        # A zero gradient moves nothing, rather than dividing 0 by 0.
        factors = torch.where(norms > 0, 1 / norms.clamp_min(torch.finfo(norms.dtype).tiny), 0.0)
        own = 1.0 if "lr_scale" in group else sqrt(rows / columns)
        if group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        if count > 1 and group["momentum"]:
            # A row of an embedding, or an expert, that got no gradient stays: its momentum would be blown up.
            seen = torch.linalg.vector_norm(gradient.reshape(count, -1), dim=1) > 0
            factors = torch.where(seen, factors, 0.0)
        # The matrices lie one behind the other along the first dimension, whatever the order within them.
        scaled.view(count, -1).mul_(factors[:, None])
        parameter.add_(scaled.to(parameter.dtype), alpha=-group["lr"] * own)


def muon(
    model: nn.Module, lr: float, *, rest: str = "adamw", weight_decay: float = 0.0, **options: Any
) -> tuple[torch.optim.Muon, torch.optim.Optimizer]:
    r"""Return `torch.optim.Muon` for a model's matrices, and another optimizer for its other parameters.

    Muon multiplies its updates by $\sqrt{\max(1, m/n)}$, which is too much for layers with fewer outputs than inputs,
    or, with `match_rms_adamw`, by a factor that grows as $\sqrt{width}$. The learning rates here make up for it, so
    that one `lr` serves both optimizers and all widths. Call `step` and `zero_grad` of both.

    Args:
        model: any module.
        lr: learning rate, the scaled norm of an update.
        rest: `adamw`, `adam` or `sgd` for biases, gains, embeddings, convolutions and stacks of matrices.
        weight_decay: of matrices, decoupled.
        options: as for `param_groups`.

    Raises:
        InputError: as for `param_groups`.

    >>> from solvable.scaling import init_
    >>> model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    >>> _ = init_(model)
    >>> [type(one).__name__ for one in muon(model, lr=0.1)]
    ['Muon', 'AdamW']
    """
    known = inspect.signature(param_groups).parameters
    if unknown := [name for name in options if name not in known]:
        raise InputError(
            f"{unknown[0]!r} is no option of param_groups; for options of the optimizers, pass the two lists that "
            "param_groups(model, 'muon', ...) returns to torch.optim.Muon and to the other optimizer yourself"
        )
    others = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    if rest not in others:
        raise InputError(
            f"rest is {rest!r}; expected one of {', '.join(others)}; for others, use param_groups"
        )
    groups = param_groups(model, "muon", lr=lr, rest=rest, weight_decay=weight_decay, **options)
    if not groups.muon:
        raise InputError("the model has no matrix for Muon; expected one with dense layers")
    if not groups.rest:
        raise InputError(
            "the model has nothing but matrices; expected other parameters too; use param_groups and Muon alone"
        )
    return torch.optim.Muon(groups.muon), others[rest](groups.rest)
