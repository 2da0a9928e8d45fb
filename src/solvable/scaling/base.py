"""Factors relative to a base model of the same structure, narrower or with fewer residual blocks."""

import re
from dataclasses import dataclass
from typing import Any

from torch import nn

from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.scaling.description import Description, Row, Rules, describe
from solvable.scaling.optimizers import OptimizerKind, multiplier
from solvable.scaling.theory import depth_multipliers


@dataclass(frozen=True)
class Depth:
    r"""Residual blocks, for learning rates that hold at every depth.

    Your forward pass must multiply each residual branch by $(L/L_0)^{-\alpha}$; see `theory.depth_multipliers`.

    Attributes:
        blocks: name of the `nn.ModuleList` (or `nn.Sequential`) of the L blocks, as in `transformer.h`.
        base_depth: $L_0$, the number of blocks at which nothing changes.
        alpha: 1 (CompleteP) or 1/2.
    """

    blocks: str
    base_depth: int = 1
    alpha: float = 1.0

    def __post_init__(self) -> None:
        whole("base_depth", self.base_depth, at_least=1)
        one_number("alpha", self.alpha, at_least=0, at_most=1)


def as_description(base: Any, rules: Rules | None) -> Description:
    """Return the description of a base, which may be one already."""
    if isinstance(base, Description):
        return base
    if not isinstance(base, nn.Module):
        raise InputError(
            f"base is a {type(base).__name__}; expected a module or what describe returned for one"
        )
    return describe(base, rules)


def row_at_base(reference: Description, row: Row, depth: Depth | None) -> Row:
    """Return the row of the base model for a parameter; blocks beyond the base's depth correspond to its own in
    turn."""
    name = row.name
    if depth is not None and name not in reference.by_name:
        inside = re.match(rf"{re.escape(depth.blocks)}\.(\d+)\.", name)
        if inside:
            pattern = re.compile(rf"{re.escape(depth.blocks)}\.(\d+)\.")
            found = {int(match[1]) for one in reference.by_name if (match := pattern.match(one))}
            if found:
                name = f"{depth.blocks}.{int(inside[1]) % len(found)}.{name[inside.end() :]}"
    if name not in reference.by_name:
        deeper = "; if the model is deeper, say so by depth=Depth(...)" if depth is None else ""
        raise InputError(
            f"the base model has no parameter {name!r}; expected a model of the same structure{deeper}"
        )
    other = reference[name]
    if other.layout.kind != row.layout.kind or len(other.shape) != len(row.shape):
        raise InputError(
            f"{row.name} is {row.layout.kind} {row.shape}, and in the base model {other.layout.kind} {other.shape}; "
            "expected the same structure with other sizes"
        )
    return other


def blocks_of(model: nn.Module, depth: Depth) -> tuple[str, int]:
    """Return the name of the residual blocks and how many there are."""
    if not isinstance(depth, Depth):
        raise InputError(
            f"depth is {depth!r}; expected Depth('transformer.h', ...), with the name of the blocks"
        )
    try:
        blocks: Any = model.get_submodule(depth.blocks)
        n_blocks = len(blocks)
    except (AttributeError, TypeError):
        raise InputError(
            f"depth.blocks is {depth.blocks!r}; expected the name of an nn.ModuleList in the model, as in "
            "'transformer.h'"
        ) from None
    return depth.blocks, n_blocks


def scales_of(
    kind: OptimizerKind, row: Row, at_base: Row | None, n_blocks: int | None, depth: Depth | None
) -> tuple[float, float]:
    """Return the factors of the learning rate and of eps."""
    if row.layout.kind == "unscaled":
        return 1.0, 1.0
    scale, eps_scale = multiplier(row.layout, kind, row.shape), 1 / (row.layout.fan_out * row.layout.repeats)
    if at_base is not None:
        scale /= multiplier(at_base.layout, kind, at_base.shape)
        eps_scale *= at_base.layout.fan_out * at_base.layout.repeats
    if n_blocks is not None and depth is not None:
        deep = depth_multipliers(depth.alpha, n_blocks, depth.base_depth, kind.name)
        scale, eps_scale = scale * deep.lr, eps_scale * deep.eps
    return scale, eps_scale
