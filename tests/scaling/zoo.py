"""Small modules of every kind that the rules know, and what each of their parameters is, worked out by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations


@dataclass(frozen=True)
class Animal:
    """A module and its parameters: kind, fan-in, fan-out, blocks, groups."""

    make: Callable[[], nn.Module]
    expected: dict[str, tuple[str, int, int, int, int]]
    rules: dict[Any, Any] = field(default_factory=dict)


class Positional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(11, 8)
        self.pos_embedding = nn.Parameter(torch.randn(5, 8))
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.temperature = nn.Parameter(torch.ones(()))
        self.query = nn.Parameter(torch.randn(8))


class Conv1D(nn.Module):
    """GPT-2's dense layer of the transformers library, which stores (inputs, outputs)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf)), nn.Parameter(torch.zeros(nf))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class LoRA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(12, 20, bias=False)
        self.base.requires_grad_(False)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(12, 4, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(4, 20, bias=False)})


class LoRAParameters(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lora_A, self.lora_B = nn.Parameter(torch.randn(4, 12)), nn.Parameter(torch.zeros(20, 4))


class Attention(nn.Module):
    def __init__(self, name: str = "qkv", out: int = 24, inside: int = 8) -> None:
        super().__init__()
        self.add_module(name, nn.Linear(inside, out))


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(6, 4, bias=False)
        self.up = nn.Parameter(torch.randn(4, 10, 6))
        self.down = nn.Parameter(torch.randn(4, 10, 6))


class RMS(nn.Module):
    """A normalisation of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(7))


class MyRMSNorm(RMS):
    pass


def old_weight_norm() -> nn.Module:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(nn.Linear(6, 4))


ZOO: dict[str, Animal] = {
    "linear": Animal(
        lambda: nn.Linear(6, 4), {"weight": ("dense", 6, 4, 1, 1), "bias": ("bias", 1, 4, 1, 1)}
    ),
    "layer norm": Animal(
        lambda: nn.LayerNorm(6), {"weight": ("gain", 1, 6, 1, 6), "bias": ("bias", 1, 6, 1, 1)}
    ),
    "rms norm": Animal(lambda: nn.RMSNorm(6), {"weight": ("gain", 1, 6, 1, 6)}),
    "batch norm": Animal(
        lambda: nn.BatchNorm2d(6), {"weight": ("gain", 1, 6, 1, 6), "bias": ("bias", 1, 6, 1, 1)}
    ),
    "group norm": Animal(
        lambda: nn.GroupNorm(2, 6), {"weight": ("gain", 1, 6, 1, 6), "bias": ("bias", 1, 6, 1, 1)}
    ),
    "instance norm": Animal(
        lambda: nn.InstanceNorm1d(6, affine=True),
        {"weight": ("gain", 1, 6, 1, 6), "bias": ("bias", 1, 6, 1, 1)},
    ),
    "a norm of one's own": Animal(MyRMSNorm, {"scale": ("gain", 1, 7, 1, 7)}),
    "embedding": Animal(lambda: nn.Embedding(11, 6), {"weight": ("embedding", 1, 6, 1, 1)}),
    "embedding bag": Animal(lambda: nn.EmbeddingBag(11, 6), {"weight": ("embedding", 1, 6, 1, 1)}),
    "positions": Animal(
        Positional,
        {
            "pos_embedding": ("position", 1, 8, 1, 1),
            "cls_token": ("position", 1, 8, 1, 1),
            "temperature": ("vector", 1, 1, 1, 1),
            "query": ("vector", 1, 8, 1, 1),
            "token.weight": ("embedding", 1, 8, 1, 1),
        },
    ),
    "conv 1d": Animal(
        lambda: nn.Conv1d(4, 6, 5), {"weight": ("conv", 20, 6, 1, 1), "bias": ("bias", 1, 6, 1, 1)}
    ),
    "conv 2d in groups": Animal(
        lambda: nn.Conv2d(4, 6, (3, 2), groups=2, bias=False), {"weight": ("conv", 12, 6, 1, 2)}
    ),
    "conv 3d": Animal(lambda: nn.Conv3d(2, 3, 2, bias=False), {"weight": ("conv", 16, 3, 1, 1)}),
    "depthwise": Animal(lambda: nn.Conv2d(6, 6, 3, groups=6, bias=False), {"weight": ("conv", 9, 6, 1, 6)}),
    # Each output of a transposed convolution meets kernel / stride positions.
    "transposed 1d": Animal(
        lambda: nn.ConvTranspose1d(6, 4, 4, stride=2, bias=False), {"weight": ("conv", 12, 4, 1, 1)}
    ),
    "transposed 2d in groups": Animal(
        lambda: nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2),
        {"weight": ("conv", 3, 4, 1, 2), "bias": ("bias", 1, 4, 1, 1)},
    ),
    "attention": Animal(
        lambda: nn.MultiheadAttention(8, 2),
        {
            "in_proj_weight": ("dense", 8, 8, 3, 1),
            "in_proj_bias": ("bias", 1, 8, 3, 1),
            "out_proj.weight": ("dense", 8, 8, 1, 1),
            "out_proj.bias": ("bias", 1, 8, 1, 1),
        },
    ),
    "attention with other keys": Animal(
        lambda: nn.MultiheadAttention(8, 2, kdim=5, vdim=3, add_bias_kv=True),
        {
            "q_proj_weight": ("dense", 8, 8, 1, 1),
            "k_proj_weight": ("dense", 5, 8, 1, 1),
            "v_proj_weight": ("dense", 3, 8, 1, 1),
            "in_proj_bias": ("bias", 1, 8, 3, 1),
            "bias_k": ("vector", 1, 8, 1, 1),
            "bias_v": ("vector", 1, 8, 1, 1),
            "out_proj.weight": ("dense", 8, 8, 1, 1),
            "out_proj.bias": ("bias", 1, 8, 1, 1),
        },
    ),
    "lstm with projection": Animal(
        lambda: nn.LSTM(5, 6, proj_size=3),
        {
            "weight_ih_l0": ("dense", 5, 6, 4, 1),
            "weight_hh_l0": ("dense", 3, 6, 4, 1),
            "bias_ih_l0": ("bias", 1, 6, 4, 1),
            "bias_hh_l0": ("bias", 1, 6, 4, 1),
            "weight_hr_l0": ("dense", 6, 3, 1, 1),
        },
    ),
    "gru both ways": Animal(
        lambda: nn.GRU(5, 6, bias=False, bidirectional=True),
        {
            "weight_ih_l0": ("dense", 5, 6, 3, 1),
            "weight_hh_l0": ("dense", 6, 6, 3, 1),
            "weight_ih_l0_reverse": ("dense", 5, 6, 3, 1),
            "weight_hh_l0_reverse": ("dense", 6, 6, 3, 1),
        },
    ),
    "rnn": Animal(
        lambda: nn.RNN(5, 6, bias=False),
        {"weight_ih_l0": ("dense", 5, 6, 1, 1), "weight_hh_l0": ("dense", 6, 6, 1, 1)},
    ),
    "lstm cell": Animal(
        lambda: nn.LSTMCell(5, 6, bias=False),
        {"weight_ih": ("dense", 5, 6, 4, 1), "weight_hh": ("dense", 6, 6, 4, 1)},
    ),
    "gru cell": Animal(
        lambda: nn.GRUCell(5, 6),
        {
            "weight_ih": ("dense", 5, 6, 3, 1),
            "weight_hh": ("dense", 6, 6, 3, 1),
            "bias_ih": ("bias", 1, 6, 3, 1),
            "bias_hh": ("bias", 1, 6, 3, 1),
        },
    ),
    "rnn cell": Animal(
        lambda: nn.RNNCell(5, 6, bias=False),
        {"weight_ih": ("dense", 5, 6, 1, 1), "weight_hh": ("dense", 6, 6, 1, 1)},
    ),
    "bilinear": Animal(
        lambda: nn.Bilinear(3, 5, 4), {"weight": ("dense", 15, 4, 1, 1), "bias": ("bias", 1, 4, 1, 1)}
    ),
    "prelu": Animal(lambda: nn.PReLU(6), {"weight": ("vector", 1, 6, 1, 1)}),
    "weight norm": Animal(
        lambda: parametrizations.weight_norm(nn.Linear(6, 4)),
        {
            "bias": ("bias", 1, 4, 1, 1),
            "parametrizations.weight.original0": ("magnitude", 1, 4, 1, 4),
            "parametrizations.weight.original1": ("dense", 6, 4, 1, 1),
        },
    ),
    "weight norm of old": Animal(
        old_weight_norm,
        {
            "bias": ("bias", 1, 4, 1, 1),
            "weight_g": ("magnitude", 1, 4, 1, 4),
            "weight_v": ("dense", 6, 4, 1, 1),
        },
    ),
    "weight norm of a convolution": Animal(
        lambda: parametrizations.weight_norm(nn.Conv1d(4, 6, 5, bias=False)),
        {
            "parametrizations.weight.original0": ("magnitude", 1, 6, 1, 6),
            "parametrizations.weight.original1": ("conv", 20, 6, 1, 1),
        },
    ),
    "packed q, k, v": Animal(
        Attention, {"qkv.weight": ("dense", 8, 8, 3, 1), "qkv.bias": ("bias", 1, 8, 3, 1)}
    ),
    "packed gate and up": Animal(
        lambda: Attention("gate_up_proj", 32),
        {"gate_up_proj.weight": ("dense", 8, 16, 2, 1), "gate_up_proj.bias": ("bias", 1, 16, 2, 1)},
    ),
    "lora": Animal(
        LoRA,
        {
            "base.weight": ("dense", 12, 20, 1, 1),
            "lora_A.default.weight": ("lora_A", 12, 4, 1, 1),
            "lora_B.default.weight": ("lora_B", 4, 20, 1, 1),
        },
    ),
    "lora's parameters": Animal(
        LoRAParameters, {"lora_A": ("lora_A", 12, 4, 1, 1), "lora_B": ("lora_B", 4, 20, 1, 1)}
    ),
    "gpt-2's layer": Animal(
        lambda: Conv1D(10, 6), {"weight": ("dense", 6, 10, 1, 1), "bias": ("bias", 1, 10, 1, 1)}
    ),
    "experts": Animal(
        Experts,
        {
            "router.weight": ("dense", 6, 4, 1, 1),
            "up": ("experts", 6, 10, 1, 1),
            "down": ("experts", 10, 6, 1, 1),
        },
        {r"\bup$": "experts", "down": "experts transposed"},
    ),
}


def mlp(width: int = 512, n_inputs: int = 64, n_outputs: int = 10, bias: bool = True) -> nn.Sequential:
    """The network of the fact sheet's worked example."""
    return nn.Sequential(
        nn.Linear(n_inputs, width, bias=bias),
        nn.ReLU(),
        nn.Linear(width, width, bias=bias),
        nn.ReLU(),
        nn.Linear(width, n_outputs, bias=bias),
    )


class Tied(nn.Module):
    """A language model whose readout is the embedding."""

    def __init__(self, width: int = 8, bias: bool = False) -> None:
        super().__init__()
        self.token, self.body = nn.Embedding(11, width), nn.Linear(width, width)
        self.head = nn.Linear(width, 11, bias=bias)
        self.head.weight = self.token.weight

    def forward(self, symbols: Tensor) -> Tensor:
        return self.head(torch.tanh(self.body(self.token(symbols))))


def everything() -> nn.Module:
    """One module of all animals whose rules need no help."""
    return nn.ModuleDict(
        {name.replace(".", ""): animal.make() for name, animal in ZOO.items() if not animal.rules}
    )
