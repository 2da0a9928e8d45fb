r"""Networks of any width under several parametrizations, for the studies: MLPs, residual nets and a small character
GPT.

Weights are drawn from a generator only, since trials run in threads side by side. A parametrization with multipliers in
the forward pass (NTP's $W = w/\sqrt{\text{fan in}}$) is built as the equivalent one without: the same initial matrices
and a learning rate divided by the multiplier's square (SGD) or by the multiplier (Adam).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from solvable.checks import choice, whole
from solvable.scaling.description import describe, is_matrix
from solvable.scaling.groups import param_groups
from solvable.scaling.initialise import init_
from solvable.scaling.names import named_parameters
from solvable.scaling.optimizers import kind_of

PARAMETRIZATIONS = ("spectral", "sp", "ntp")
"""Names of parametrizations: the spectral condition's (muP), the standard one (one learning rate), the NTK's."""


def mlp(n_inputs: int, width: int, n_outputs: int, depth: int = 3) -> nn.Sequential:
    """Return a ReLU network of `depth` layers of weights without biases, not initialised."""
    depth = whole("depth", depth, at_least=2)
    sizes = [n_inputs, *[width] * (depth - 1), n_outputs]
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [
            _empty(nn.Linear, sizes[i], sizes[i + 1], bias=False),
            *([nn.ReLU()] if i < depth - 1 else []),
        ]
    return nn.Sequential(*layers)


@torch.no_grad()
def hidden_features(model: nn.Sequential, x: Tensor) -> list[Tensor]:
    """Return the outputs of all layers of weights but the last, before the activations."""
    features = []
    for layer in list(model)[:-1]:
        x = layer(x)
        if isinstance(layer, nn.Linear):
            features.append(x)
    return features


class Residual(nn.Module):
    r"""A residual network: input layer, L blocks $h \leftarrow h + r\,W_2 \phi(W_1 h)$, readout; not initialised.

    Args:
        n_inputs: number of inputs.
        width: width of the residual stream and of the blocks.
        n_outputs: number of outputs.
        n_blocks: L.
        multiplier: r.
    """

    def __init__(self, n_inputs: int, width: int, n_outputs: int, n_blocks: int, multiplier: float) -> None:
        super().__init__()
        self.read = _empty(nn.Linear, n_inputs, width, bias=False)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _empty(nn.Linear, width, width, bias=False),
                nn.ReLU(),
                _empty(nn.Linear, width, width, bias=False),
            )
            for _ in range(n_blocks)
        )
        self.readout = _empty(nn.Linear, width, n_outputs, bias=False)
        self.multiplier = multiplier

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Return the residual stream after the last block."""
        h = self.read(x)
        for block in self.blocks:
            h = h + self.multiplier * block(h)
        return h


class CharGPT(nn.Module):
    r"""A decoder-only transformer with normalisation before each block and logits of $q \cdot k$ / head size; not
    initialised.

    Args:
        n_symbols: size of the vocabulary.
        width: width of the residual stream.
        n_blocks: number of blocks.
        n_heads: number of heads, which divides the width.
        context: largest number of positions.
    """

    def __init__(
        self, n_symbols: int, width: int, n_blocks: int = 2, n_heads: int = 4, context: int = 32
    ) -> None:
        super().__init__()
        self.token = _empty(nn.Embedding, n_symbols, width)
        self.position = _empty(nn.Embedding, context, width)
        self.blocks = nn.ModuleList(_Block(width, n_heads) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width)
        self.head = _empty(nn.Linear, width, n_symbols, bias=False)

    def forward(self, symbols: Tensor) -> Tensor:
        h = self.token(symbols) + self.position(torch.arange(symbols.shape[1], device=symbols.device))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


class _Block(nn.Module):
    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = _empty(nn.Linear, width, 3 * width, bias=False)
        self.out = _empty(nn.Linear, width, width, bias=False)
        self.up = _empty(nn.Linear, width, 4 * width, bias=False)
        self.down = _empty(nn.Linear, 4 * width, width, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        batch, length, width = h.shape
        shape = (batch, length, 3, self.n_heads, width // self.n_heads)
        q, k, v = self.qkv(self.attention_norm(h)).reshape(shape).permute(2, 0, 3, 1, 4)
        # Trained, q and k are aligned, and their product is of the order of the head's size, not of its root.
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.n_heads / width)
        h = h + self.out(attended.transpose(1, 2).reshape(batch, length, width))
        return h + self.down(F.relu(self.up(self.mlp_norm(h))))


def initialise(model: nn.Module, parametrization: str, gain: float, seed: int) -> None:
    """Draw a model's weights: by `init_`, or with variance gain²/fan_in in every matrix (sp and ntp)."""
    choice("parametrization", parametrization, PARAMETRIZATIONS)
    generator = torch.Generator().manual_seed(seed)
    init_(model, gain, generator=generator)
    if parametrization != "spectral":
        parameters = named_parameters(model)
        with torch.no_grad():
            for row in describe(model):
                if is_matrix(row):
                    std = gain / row.layout.fan_in**0.5
                    parameters[row.name].normal_(0, std, generator=generator)


def groups_of(
    model: nn.Module, parametrization: str, optimizer: str, lr: float, **options: Any
) -> list[dict[str, Any]]:
    """Return the parameter groups of a parametrization: the condition's, one learning rate, or NTP's."""
    choice("parametrization", parametrization, PARAMETRIZATIONS)
    if parametrization == "spectral":
        return param_groups(model, optimizer, lr=lr, **options)
    power = 1.0 if kind_of(optimizer).family == "sgd" else 0.5
    parameters = named_parameters(model)
    return [
        {
            "params": [parameters[row.name]],
            "lr": lr / row.layout.fan_in**power if parametrization == "ntp" and is_matrix(row) else lr,
        }
        for row in describe(model)
    ]


def characters(text: str, context: int) -> tuple[Tensor, int]:
    """Return a text as windows of `context` + 1 symbols, (windows, context + 1), and the number of symbols."""
    symbols = {symbol: i for i, symbol in enumerate(sorted(set(text)))}
    codes = np.array([symbols[symbol] for symbol in text])
    n_windows = (len(codes) - 1) // context
    starts = context * np.arange(n_windows)
    return torch.as_tensor(codes[starts[:, None] + np.arange(context + 1)]), len(symbols)


def manual() -> str:
    """Return a text of half a million characters that comes with Python: its manual's topics."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def _empty(kind: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return a module with memory for its parameters and no values, without reading torch's random numbers."""
    return nn.utils.skip_init(kind, *arguments, **options)
