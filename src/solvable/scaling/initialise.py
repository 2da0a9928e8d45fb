r"""`init_` draws weights of the size that the condition asks; `scale_logits` adds the multiplier of tied embeddings."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from solvable.checks import one_number
from solvable.errors import InputError
from solvable.scaling.base import Depth, row_at_base
from solvable.scaling.description import Description, Row, Rules, describe, is_matrix
from solvable.scaling.groups import refuse_tied
from solvable.scaling.names import matches, named_parameters, unwrapped


@torch.no_grad()
def init_(
    model: nn.Module,
    gain: float | Mapping[str, float] = 1.0,
    readout: str = "spectral",
    *,
    generator: torch.Generator | None = None,
    base: nn.Module | None = None,
    depth: Depth | None = None,
    rules: Rules | None = None,
) -> Description:
    r"""Draw all weights anew, such that each layer's scaled norm is of order `gain` at every width.

    Matrices are N(0, σ²) with `theory.init_std`; embeddings and positions N(0, 1); LoRA's second matrix and biases 0;
    normalisation's gains 1. Frozen parameters, and vectors without a rule, keep their values.

    Args:
        model: any module that is not on the meta device.
        gain: of dense matrices and convolutions, such as $\sqrt 2$ for ReLU; one number, or regular expression of names
            -> number (1 for others).
        readout: `zero` starts the readout at 0, which is taken to be the last linear layer or convolution in order of
            registration (`describe(model).readout`); anything else is a regular expression of the matrices to start at
            0.
        generator: random number generator; by default torch's own.
        base: a narrower model of the same structure with the initialisation that you want there. Each parameter then
            gets the entries' size that it has in `base`, times the ratio of the rule; 0 stays 0.
        depth: the residual blocks, if the base has fewer.
        rules: as for `describe`.

    Returns:
        the description of the model.

    Raises:
        InputError: as for `describe`, and for a model on the meta device, tied embeddings whose logits have no
            multiplier, and gains that are not above 0.

    Source: eq. 6 of arXiv:2310.17813.

    >>> model = nn.Sequential(nn.Linear(64, 1024), nn.ReLU(), nn.Linear(1024, 10))
    >>> _ = init_(model, generator=torch.Generator().manual_seed(0))
    >>> round(model[2].weight.std().item(), 4)  # √10 / 1024
    0.0031
    """
    description = describe(model, rules)
    refuse_tied(description)
    parameters = named_parameters(model)
    if any(parameters[row.name].is_meta for row in description):
        raise InputError(
            f"{type(unwrapped(model)).__name__} is on the meta device and has no values; expected a model in memory; "
            "call model.to_empty(device=...) first"
        )
    if generator is not None and not isinstance(generator, torch.Generator):
        raise InputError(
            f"generator is {generator!r}; expected a torch.Generator, as in torch.Generator().manual_seed(0)"
        )
    gains = _gains(gain, description)
    sizes = None if base is None else _base_sizes(description, base, depth, rules)
    zeros = _zeros(readout, description)
    for row in description:
        parameter = parameters[row.name]
        if not row.trained:
            continue
        if row.name in zeros and "weight_norm" not in row.rule:
            parameter.zero_()
        elif sizes is not None and row.layout.kind != "magnitude":
            _as_in_base(parameter, row, sizes[row.name], generator)
        elif row.layout.kind == "gain" and not row.rule.startswith("the name"):
            # Some normalisations of others multiply by 1 + gain, and start at 0.
            parameter.fill_(1.0)
        elif (std := row.layout.init_std) is not None:
            _normal(parameter, std * gains.get(row.name, 1.0), generator)
    for row in description:
        if row.layout.kind == "magnitude" and row.trained:
            _restore_rows(row, parameters, zero=_direction_of(row.name) in zeros)
    for module in unwrapped(model).modules():
        padded = isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.padding_idx is not None
        if padded and module.weight.requires_grad:
            weight: Any = module.weight
            weight[module.padding_idx].zero_()
    return description


def _zeros(readout: str, description: Description) -> set[str]:
    """Return the names of the matrices that start at 0."""
    if readout == "spectral":
        return set()
    if not isinstance(readout, str):
        raise InputError(
            f"readout is {readout!r}; expected 'spectral', 'zero', or a regular expression of matrices"
        )
    if readout != "zero":
        names = {row.name for row in description if is_matrix(row) and matches("readout", readout, row.name)}
        if not names:
            raise InputError(
                f"readout is {readout!r}; expected 'spectral', 'zero', or a regular expression of matrices to start at "
                "0"
            )
        return names
    if description.readout is None or not is_matrix(description[description.readout]):
        raise InputError(
            "readout is 'zero', but the model has no matrix of its own for it; expected one that is no embedding; name "
            "the matrices, as in readout='head.weight'"
        )
    return {description.readout}


def _normal(parameter: Tensor, std: float, generator: torch.Generator | None) -> None:
    if std == 0:
        parameter.zero_()
    elif generator is not None and generator.device != parameter.device:
        parameter.copy_(torch.randn(parameter.shape, generator=generator, device=generator.device) * std)
    else:
        parameter.normal_(0.0, std, generator=generator)


def _restore_rows(row: Row, parameters: Mapping[str, Tensor], zero: bool) -> None:
    """Set the norms of weight normalisation to those of its direction, or to 0."""
    direction, magnitude = parameters[_direction_of(row.name)], parameters[row.name]
    norms = direction.flatten(1).norm(dim=1) * (0.0 if zero else 1.0)
    magnitude.copy_(norms.reshape(magnitude.shape))


def _direction_of(name: str) -> str:
    """Return the name of the direction that belongs to the norms of weight normalisation."""
    return name.replace("original0", "original1") if name.endswith("original0") else f"{name[:-2]}_v"


def _gains(gain: Any, description: Description) -> dict[str, float]:
    kinds = ("dense", "conv", "experts")
    names = [row.name for row in description if row.layout.kind in kinds]
    if not isinstance(gain, Mapping):
        return dict.fromkeys(names, one_number("gain", gain, above=0))
    gains = {}
    for key, value in gain.items():
        matched = [name for name in names if matches("gain", key, name)]
        if not matched:
            raise InputError(
                f"gain has {key!r}, which fits no matrix; expected part of a name that describe(model) lists"
            )
        gains |= dict.fromkeys(matched, one_number(f"gain[{key!r}]", value, above=0))
    return gains


def _base_sizes(
    description: Description, base: Any, depth: Depth | None, rules: Rules | None
) -> dict[str, float | Tensor | None]:
    """Return for each parameter the standard deviation to draw with, constants to fill its blocks with, or None.

    Only what a rule draws is drawn, and biases that are noise around 0; of gains, biases and vectors, constants are
    copied, and others stay as they are.
    """
    if not isinstance(base, nn.Module):
        raise InputError(
            f"base is a {type(base).__name__}; expected a module, whose weights give the sizes at its width"
        )
    reference, values = describe(base, rules), named_parameters(base)
    sizes: dict[str, float | Tensor | None] = {}
    for row in description:
        other = row_at_base(reference, row, depth)
        value = values[other.name].detach()
        if value.is_meta:
            raise InputError("base is on the meta device and has no values; expected a model in memory")
        blocks = value.reshape(other.layout.blocks, -1)
        if bool((blocks == blocks[:, :1]).all()):
            sizes[row.name] = blocks[:, 0].clone()
        elif row.layout.init_std and other.layout.init_std:
            sizes[row.name] = _rms(value) * row.layout.init_std / other.layout.init_std
        elif (
            row.layout.kind == "bias"
            and abs(float(value.double().mean())) < 3 * _rms(value) / value.numel() ** 0.5
        ):
            # Noise around 0, as torch draws biases.
            sizes[row.name] = _rms(value)
        else:
            sizes[row.name] = None
    return sizes


def _rms(value: Tensor) -> float:
    return float(value.double().square().mean().sqrt())


def _as_in_base(
    parameter: Tensor, row: Row, size: float | Tensor | None, generator: torch.Generator | None
) -> None:
    if isinstance(size, Tensor):
        per_block = parameter.numel() // len(size)
        parameter.copy_(size.to(parameter).repeat_interleave(per_block).reshape(parameter.shape))
    elif size is not None:
        _normal(parameter, size, generator)


class LogitsMultiplier:
    """A hook that multiplies a layer's input, and so its output but for the bias."""

    def __init__(self, multiplier: float) -> None:
        self.multiplier = multiplier

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0] * self.multiplier, *inputs[1:])


def scale_logits(model: nn.Module, multiplier: float | None = None, *, rules: Rules | None = None) -> Any:
    r"""Multiply the logits of a readout that shares its matrix with an embedding, which no learning rate can replace.

    The embedding's entries are of order 1 and stay so; with fan-in n the readout needs entries of order 1/n. A hook on
    the readout multiplies its input, $h \mapsto W (\alpha h) + b$. It survives `copy.deepcopy` and does not touch
    the `state_dict`; call it before `torch.compile`.

    Args:
        model: a module with an `nn.Embedding` and an `nn.Linear` of one weight.
        multiplier: $\alpha$; by default 1/n.
        rules: as for `describe`.

    Returns:
        the handle of the hook, whose `remove()` undoes it.

    Raises:
        InputError: if nothing is tied, or the logits have a multiplier.

    Source: table 8 of arXiv:2203.03466.
    """
    tied = [row for row in describe(model, rules) if row.reads_out]
    if not tied:
        raise InputError(
            "no readout shares its matrix with an embedding, or it has its multiplier already; expected an nn.Linear "
            "whose weight is that of an nn.Embedding"
        )
    (row,) = tied[:1]
    readout = unwrapped(model)
    modules = {
        id(module): module
        for module in readout.modules()
        if isinstance(module, nn.Linear) and module.weight is named_parameters(model)[row.name]
    }
    (layer,) = list(modules.values())[:1]
    factor = 1 / row.layout.fan_out if multiplier is None else one_number("multiplier", multiplier, above=0)
    return layer.register_forward_pre_hook(LogitsMultiplier(factor))
