"""Rules for the gradients of layers, one for each kind, from the layer's input h and the gradients dz.

A rule takes the layer, its input, the gradients (rows, K, ...) of K outputs to the layer's output, the number of
samples n, and the names of the parameters that count; it returns a `Piece`. If the leading axis holds several rows of
each sample (a sequence folded into the batch), they are assumed to be adjacent, which `structured.py` checks.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from solvable.kernels.empirical.pieces import Explicit, Patches, Piece, Tokens

Rule = Callable[[Any, Tensor, Tensor, int, frozenset[str]], Piece]


class NotCoveredError(Exception):
    """A layer is applied in a way that its rule does not cover."""


def linear(layer: nn.Linear, h: Tensor, g: Tensor, n: int, trained: frozenset[str]) -> Piece:
    """Return the piece of z = W h + b, h of shape (n, ..., p)."""
    if h.ndim < 2:
        raise NotCoveredError
    h = per_sample(h, n).reshape(n, 1, -1, h.shape[-1])
    g = outputs_first(g, n)
    g = g.reshape(n, g.shape[1], 1, -1, g.shape[-1])
    return Patches(h, g, "weight" in trained, "bias" in trained)


def convolution(layer: Any, h: Tensor, g: Tensor, n: int, trained: frozenset[str]) -> Piece:
    """Return the piece of a convolution: a Linear layer on the patches of each group of channels."""
    n_axes = len(layer.kernel_size)
    if h.ndim != n_axes + 2 or n == 0 or len(h) % n:
        raise NotCoveredError
    padding = list(layer._reversed_padding_repeated_twice)
    h = F.pad(h, padding, mode="constant" if layer.padding_mode == "zeros" else layer.padding_mode)
    h = h.unflatten(1, (layer.groups, -1))
    # Views, not copies: patches are formed only when they are multiplied.
    for axis, size in enumerate(layer.kernel_size):
        stride, dilation = layer.stride[axis], layer.dilation[axis]
        h = h.unfold(3 + axis, dilation * (size - 1) + 1, stride)[..., ::dilation]
    places, offsets = range(3, 3 + n_axes), range(3 + n_axes, 3 + 2 * n_axes)
    h = h.permute(0, 1, *places, 2, *offsets)
    if len(h) > n:
        h = per_sample(h.flatten(2, 1 + n_axes).flatten(3), n).transpose(1, 2)
    g = outputs_first(g, n).flatten(4).unflatten(3, (layer.groups, -1))  # (n, K, rows, G, q, places)
    g = g.permute(0, 1, 3, 2, 5, 4).flatten(3, 4)
    return Patches(h, g, "weight" in trained, "bias" in trained)


def embedding(layer: nn.Embedding, h: Tensor, g: Tensor, n: int, trained: frozenset[str]) -> Piece:
    """Return the piece of z = W[h]."""
    if layer.padding_idx is not None:
        h = torch.where(h == layer.padding_idx, -1, h)
    if h.ndim == 0:
        raise NotCoveredError
    g = outputs_first(g, n)
    return Tokens(per_sample(h, n).reshape(n, -1), g.reshape(n, g.shape[1], -1, g.shape[-1]))


def layer_norm(layer: nn.LayerNorm, h: Tensor, g: Tensor, n: int, trained: frozenset[str]) -> Piece:
    """Return the piece of z = w ĥ + b over the last axes."""
    shape = list(layer.normalized_shape)
    return _scaled(F.layer_norm(h, shape, None, None, layer.eps), g, n, trained, len(shape), last=True)


def rms_norm(layer: Any, h: Tensor, g: Tensor, n: int, trained: frozenset[str]) -> Piece:
    """Return the piece of z = w ĥ over the last axes."""
    shape = list(layer.normalized_shape)
    return _scaled(F.rms_norm(h, shape, None, layer.eps), g, n, trained, len(shape), last=True)


def batch_norm(layer: Any, h: Tensor, g: Tensor, n: int, trained: frozenset[str]) -> Piece:
    """Return the piece of z = w ĥ + b over channels, ĥ by the running mean and variance."""
    if layer.running_mean is None or layer.running_var is None:
        raise NotCoveredError
    normal = F.batch_norm(h, layer.running_mean, layer.running_var, None, None, False, 0.0, layer.eps)
    return _scaled(normal, g, n, trained, 1, last=False)


def group_norm(layer: nn.GroupNorm, h: Tensor, g: Tensor, n: int, trained: frozenset[str]) -> Piece:
    """Return the piece of z = w ĥ + b over channels, ĥ normal within groups of channels."""
    return _scaled(F.group_norm(h, layer.num_groups, None, None, layer.eps), g, n, trained, 1, last=False)


def per_sample(h: Tensor, n: int) -> Tensor:
    """Return (rows, ...) as (n, rows / n, ...)."""
    if n == 0 or len(h) % n:
        raise NotCoveredError
    return h.reshape(n, len(h) // n, *h.shape[1:])


def outputs_first(g: Tensor, n: int) -> Tensor:
    """Return gradients (rows, K, ...) as (n, K, rows / n, ...)."""
    return per_sample(g, n).transpose(1, 2)


def _scaled(normal: Tensor, g: Tensor, n: int, trained: frozenset[str], axes: int, last: bool) -> Piece:
    """Return the explicit gradients of z = w ∘ ĥ + b: sums of dz ∘ ĥ and of dz over all other axes."""
    normal, g = per_sample(normal, n)[:, None], outputs_first(g, n)
    own = set(range(g.ndim - axes, g.ndim)) if last else {3}
    if not last and g.ndim < 4:
        raise NotCoveredError
    others = [axis for axis in range(2, g.ndim) if axis not in own]
    parts = [g * normal] * ("weight" in trained) + [g] * ("bias" in trained)
    return Explicit(torch.cat([part.sum(others).flatten(2) for part in parts], dim=2))


RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Conv3d: convolution,
    nn.Embedding: embedding,
    nn.LayerNorm: layer_norm,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.BatchNorm3d: batch_norm,
    nn.GroupNorm: group_norm,
}
if hasattr(nn, "RMSNorm"):
    RULES[nn.RMSNorm] = rms_norm


def rule_of(layer: nn.Module) -> Rule | None:
    """Return the rule of a layer, or of a subclass that does not override `forward`; else None."""
    if "forward" in vars(layer):
        return None
    for kind, rule in RULES.items():
        if isinstance(layer, kind) and type(layer).forward is kind.forward:
            return rule
    return None
