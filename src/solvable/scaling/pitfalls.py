"""What keeps learning rates from transferring, in sentences: weights of another size, strong decay, schedulers."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.scaling.base import Depth, row_at_base
from solvable.scaling.description import Description, Row, is_matrix
from solvable.scaling.names import named_parameters

# A decay that removes more than this share of the weights per step outweighs most updates.
_STRONG_DECAY = 0.01
_MOST_OF_ONE = 50
_USUAL_LR = 1e-4, 100.0
# Weights this many times larger or smaller than `init_` draws them are worth a warning.
_FAR_FROM_INIT = 3.0


class ScalingWarning(UserWarning):
    """Something that keeps learning rates from transferring."""


def warn_of_lr(lr: float) -> None:
    """Warn of a learning rate that is far from 1, since without a base it is in units of the scaled norm."""
    if not _USUAL_LR[0] <= lr <= _USUAL_LR[1]:
        warnings.warn(
            f"lr is {lr:g}; without a base it is the scaled norm of each update, for which 0.01 to 1 are common (a "
            "learning rate of 3e-4 for a layer of 1024 inputs is 0.3); tune it, or pass the base at which yours is "
            "right",
            ScalingWarning,
            stacklevel=3,
        )


def warn_of_decay(lr: float, decay: float) -> None:
    """Warn of a decay that outweighs the updates."""
    if lr * decay > 1.001 * _STRONG_DECAY:
        warnings.warn(
            f"weight_decay {decay:g} at lr {lr:g} removes {_share(lr * decay)} of the weights in each step; lr is "
            "in units of the scaled norm here, larger than usual: divide the decay by as much",
            ScalingWarning,
            stacklevel=3,
        )


def _share(part: float) -> str:
    return f"{100 * part:.2g} %" if part < 1 else "more than all"


def warn_of_weights(
    description: Description,
    parameters: Mapping[str, Tensor],
    base: Any,
    reference: Description | None,
    depth: Depth | None,
) -> None:
    """Warn if weights are far from the size that the rules assume, once, naming the worst."""
    rows = [row for row in _some_of_each(description.rows) if not parameters[row.name].is_meta]
    if not rows:
        return
    expected = [row.layout.init_std or 1.0 for row in rows]
    if reference is not None:
        if not isinstance(base, nn.Module):
            return
        values = named_parameters(base)
        others = [row_at_base(reference, row, depth) for row in rows]
        if any(values[other.name].is_meta for other in others):
            return
        sizes = _sizes([values[other.name] for other in others])
        expected = [
            size * std / (other.layout.init_std or 1.0)
            for size, std, other in zip(sizes, expected, others, strict=True)
        ]
    sizes = _sizes([parameters[row.name] for row in rows])
    ratios = {
        row.name: (size / std, size, std)
        for row, size, std in zip(rows, sizes, expected, strict=True)
        if size > 0 < std
    }
    far = {name: one for name, one in ratios.items() if not 1 / _FAR_FROM_INIT < one[0] < _FAR_FROM_INIT}
    if far:
        name, (ratio, size, std) = max(far.items(), key=lambda item: max(item[1][0], 1 / item[1][0]))
        others = f" (and {len(far) - 1} more)" if len(far) > 1 else ""
        call = "init_(model)" if reference is None else "init_(model, base=base)"
        warnings.warn(
            f"{name}{others} has entries of size {size:.3g}, {ratio:.2g} times the {std:.3g} that {call} draws, and "
            f"learning rates transfer only together with the initialisation; call {call} first, unless these weights "
            "are trained",
            ScalingWarning,
            stacklevel=3,
        )


def _some_of_each(rows: tuple[Row, ...]) -> list[Row]:
    """Return at most 50 or so of the trained matrices of each layout: a thousand equal layers are drawn alike."""
    of_layout: dict[int, list[Row]] = {}
    for row in rows:
        of_layout.setdefault(id(row.layout), []).append(row)
    matrices = [same for same in of_layout.values() if is_matrix(same[0]) and same[0].layout.init_std]
    return [row for same in matrices for row in same[:: -(-len(same) // _MOST_OF_ONE)] if row.trained]


@torch.no_grad()
def _sizes(tensors: list[Tensor]) -> list[float]:
    """Return the RMS of the entries of each tensor, in one transfer from each device."""
    sizes = [0.0] * len(tensors)
    kinds: dict[Any, list[int]] = {}
    for i, one in enumerate(tensors):
        kinds.setdefault((one.dtype, one.device), []).append(i)
    for (dtype, _), here in kinds.items():
        same = [tensors[i] for i in here]
        if dtype not in (torch.float32, torch.float64):
            same = [one.float() for one in same]
        norms = torch.stack(torch._foreach_norm(same))  # pyright: ignore[reportPrivateImportUsage]
        # Norms of distributed tensors are put together first.
        values = getattr(norms, "full_tensor", lambda norms=norms: norms)().tolist()
        for i, value in zip(here, values, strict=True):
            sizes[i] = value / tensors[i].numel() ** 0.5
    return sizes


def broken_multipliers(optimizer: torch.optim.Optimizer) -> str | None:
    """Return a sentence if the groups' learning rates no longer have the ratios of their `lr_scale`, else None."""
    units = [
        float(group["lr"]) / group["lr_scale"]
        for group in optimizer.param_groups
        if group.get("lr_scale") and group["lr"]
    ]
    if len(units) < 2 or max(units) <= 1.01 * min(units):
        return None
    return (
        "the learning rates no longer follow lr_scale: something sets them, such as a scheduler (OneCycleLR or "
        "CyclicLR with one number, CosineAnnealingLR with eta_min, ReduceLROnPlateau with min_lr) or a line of your "
        "own; multiply each "
        'group\'s rate by group["lr_scale"]'
    )


def scheduler_problem(scheduler: Any) -> str | None:
    """Return a sentence if a scheduler sets learning rates without regard to the groups' factors, else None."""
    if not hasattr(scheduler, "optimizer") and not hasattr(scheduler, "_schedulers"):
        raise InputError(
            f"scheduler is a {type(scheduler).__name__}; expected one of torch.optim.lr_scheduler"
        )
    for inner in getattr(scheduler, "_schedulers", ()):
        if (problem := scheduler_problem(inner)) is not None:
            return problem
    name, groups = type(scheduler).__name__, scheduler.optimizer.param_groups
    scales = [group.get("lr_scale", 1.0) for group in groups]
    if len(set(scales)) < 2:
        return None

    def follows(values: Any) -> bool:
        values = np.broadcast_to(np.asarray(values, dtype=float), (len(scales),))
        units = values / np.array(scales)
        return bool(np.ptp(units) <= 0.01 * np.abs(units).max())

    remedy = None
    if name == "OneCycleLR":
        if not follows([group["max_lr"] for group in groups]):
            remedy = 'max_lr=[lr * group["lr_scale"] for group in optimizer.param_groups]'
    elif name == "CyclicLR":
        highest = [group["max_lr"] for group in groups] if "max_lr" in groups[0] else scheduler.max_lrs
        if not (follows(highest) and follows(scheduler.base_lrs)):
            remedy = 'max_lr and base_lr as lists, each number times group["lr_scale"]'
    elif name == "SWALR":
        if not follows([group["swa_lr"] for group in groups]):
            remedy = 'swa_lr=[lr * group["lr_scale"] for group in optimizer.param_groups]'
    elif name in ("CosineAnnealingLR", "CosineAnnealingWarmRestarts"):
        if scheduler.eta_min != 0:
            remedy = "eta_min=0, or LambdaLR"
    elif name == "ReduceLROnPlateau" and not follows(
        scheduler.min_lrs if hasattr(scheduler, "min_lrs") else 0
    ):
        remedy = 'min_lr=[least * group["lr_scale"] for group in optimizer.param_groups], or 0'
    if remedy is None:
        return None
    return f"{name} sets one learning rate for all groups, which overwrites their factors (lr_scale); use {remedy}"
