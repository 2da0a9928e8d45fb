r"""Fully-connected networks of finite width in the NTK parametrization; `solvable.kernels.NTK` is their limit."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from solvable.checks import one_number, whole
from solvable.errors import InputError
from solvable.kernels import NTK
from solvable.kernels.duals import ABReLU, Activation, as_activation
from solvable.kernels.networks.architecture import checked_stds, per_layer


class ScaledLinear(nn.Module):
    r"""$z = \frac{\sigma_w}{\sqrt{\text{fan in}}} W h + \sigma_b b$, with all of W and b drawn from N(0, 1).

    Without a bias where $\sigma_b = 0$.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        w_std: float,
        b_std: float,
        dtype: torch.dtype,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.linear: nn.Linear
        self.bias: nn.Parameter | None
        self.scale, self.b_std = w_std / fan_in**0.5, b_std
        # A Linear inside, since `empirical_ntk` has a rule for it.
        linear: Any = nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=False, dtype=dtype)
        self.linear = linear
        # Drawn in double precision, so that a seed gives the same network in both precisions.
        draw: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
        weight = torch.randn(fan_out, fan_in, **draw)
        with torch.no_grad():
            self.linear.weight.copy_(weight)
        self.bias = nn.Parameter(torch.randn(fan_out, **draw).to(dtype)) if b_std > 0 else None

    def forward(self, h: Tensor) -> Tensor:
        weight = self.linear.weight
        # The smaller of input and output is scaled.
        narrow_input = weight.shape[1] <= weight.shape[0]
        z = self.linear(self.scale * h) if narrow_input else self.scale * self.linear(h)
        return z if self.bias is None else z + self.b_std * self.bias


class FullyConnected(nn.Module):
    r"""A network of hidden layers $h \mapsto \phi(\frac{\sigma_w}{\sqrt{\text{fan in}}} W h + \sigma_b b)$ and a
    linear readout.

    All weights and biases are N(0, 1) and trained. Gradient descent changes each of them little, and in the limit of
    infinite widths the network performs kernel regression with `kernel()`.

    Args:
        d: number of coordinates of an input.
        widths: widths of the hidden layers: one number for one layer, or a sequence.
        n_outputs: number of outputs.
        activation: a name, an activation of `solvable.kernels.duals` or any function of arrays or tensors; one for
            all layers, or one per layer.
        w_std: $\sigma_w > 0$ of the hidden layers, one number or one per layer.
        b_std: $\sigma_b \ge 0$ of the hidden layers, one number or one per layer; 0 is a layer without bias.
        readout_w_std: $\sigma_w$ of the readout.
        readout_b_std: $\sigma_b$ of the readout.
        random_state: seed of the weights, or a `torch.Generator` on the CPU.
        dtype: `torch.float64` or `torch.float32`; a seed draws the same weights in both.

    Attributes:
        layers: an `nn.ModuleList` with the readout last; `layers[0].linear.weight` is the first W, (width, d).

    Raises:
        InputError: for numbers out of range, sequences of the wrong length, or an unknown activation.

    Source: Jacot, Gabriel and Hongler, Neural tangent kernel, 2018, arXiv:1806.07572.

    >>> net = FullyConnected(3, [64, 64], activation="erf")
    >>> net(torch.ones(5, 3, dtype=torch.float64)).shape
    torch.Size([5, 1])
    >>> net.kernel() == NTK(2, "erf")
    True
    """

    def __init__(
        self,
        d: int,
        widths: int | Sequence[int],
        n_outputs: int = 1,
        activation: Any = "relu",
        *,
        w_std: float | Sequence[float] = 2**0.5,
        b_std: float | Sequence[float] = 0.0,
        readout_w_std: float = 1.0,
        readout_b_std: float = 0.0,
        random_state: int | torch.Generator = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        if dtype not in (torch.float64, torch.float32):
            raise InputError(f"dtype is {dtype}; expected torch.float64 or torch.float32")
        sequence = widths if isinstance(widths, Sequence) else [widths]
        self.widths = tuple(whole("widths", one, at_least=1) for one in sequence)
        if not self.widths:
            raise InputError("widths is empty; expected the width of at least one hidden layer")
        depth = len(self.widths)
        several = isinstance(activation, Sequence) and not isinstance(activation, str)
        self.activation = tuple(activation) if several else activation
        self.w_std, self.b_std = checked_stds("w_std", w_std, depth), checked_stds("b_std", b_std, depth)
        self.readout_w_std = one_number("readout_w_std", readout_w_std, above=0)
        self.readout_b_std = one_number("readout_b_std", readout_b_std, at_least=0)
        self._functions = [tensor_function(one) for one in per_layer("activation", self.activation, depth)]

        fan = [whole("d", d, at_least=1), *self.widths, whole("n_outputs", n_outputs, at_least=1)]
        w = [*per_layer("w_std", self.w_std, depth), self.readout_w_std]
        b = [*per_layer("b_std", self.b_std, depth), self.readout_b_std]
        generator = random_state
        if not isinstance(generator, torch.Generator):
            generator = torch.Generator().manual_seed(whole("random_state", generator, at_least=0))
        self.layers = nn.ModuleList(
            ScaledLinear(fan[i], fan[i + 1], w[i], b[i] or 0.0, dtype, generator) for i in range(depth + 1)
        )

    def forward(self, X: Tensor) -> Tensor:
        *hidden, readout = self.layers
        for layer, function in zip(hidden, self._functions, strict=True):
            X = function(layer(X))
        return readout(X)

    def kernel(self) -> NTK:
        """Return the tangent kernel of the network of infinite width."""
        return NTK(
            len(self.widths),
            self.activation,
            w_std=self.w_std,
            b_std=self.b_std,
            readout_w_std=self.readout_w_std,
            readout_b_std=self.readout_b_std,
        )


def tensor_function(spec: Any) -> Callable[[Tensor], Tensor]:
    r"""Return the activation `spec` as a function of tensors that autograd differentiates.

    Torch's own function is used for ReLU, since it is faster. A function that only NumPy can compute gets
    its derivative from its activation, by finite differences if necessary.

    Args:
        spec: a name, an activation of `solvable.kernels.duals` or any function of arrays or tensors.

    Raises:
        InputError: when `spec` is not an activation, or its derivative is not finite.
    """
    activation = as_activation(spec)
    if activation == ABReLU():
        return torch.relu
    z = torch.tensor([-1.3, 0.4, 2.1], dtype=torch.float64, requires_grad=True)
    try:
        out = activation(z)
        (slope,) = torch.autograd.grad(out.sum(), z)
    # No graph: the function does not use torch, or works in place on its input.
    except RuntimeError:
        return lambda z: _WithoutGraph.apply(z, activation)  # pyright: ignore[reportReturnType]
    if not bool(torch.isfinite(slope).all()):
        raise InputError(
            f"the derivative of {spec!r} is not finite at all of -1.3, 0.4 and 2.1; expected a finite derivative"
        )
    return activation


class _WithoutGraph(torch.autograd.Function):
    """An activation that autograd cannot differentiate, with the derivative of its `Activation`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, activation: Activation) -> Tensor:
        ctx.save_for_backward(z)
        ctx.activation = activation
        return torch.as_tensor(activation(z.detach()), dtype=z.dtype, device=z.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (z,) = ctx.saved_tensors
        return gradients[0] * ctx.activation.derivative(z), None
