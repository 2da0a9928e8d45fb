"""What a `Monitor` measures of one layer: norms of its weights and of an update, and what they do to its input."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from solvable.scaling.description import Row, is_matrix
from solvable.scaling.names import named_parameters
from solvable.scaling.norms import power_steps, spectral_norm

NORMS = ("weight_norm", "update_norm")
FEATURES = ("feature_norm", "feature_change", "weight_alignment", "update_alignment")
MEASURED = ("weight_frobenius", "update_frobenius", *NORMS, *FEATURES)

# Rows of a batch, and images, of which the products with W and ΔW are taken.
_ROWS, _IMAGES = 16, 4
_BLOCK_NAMES = {
    "MultiheadAttention": ("q", "k", "v"),
    "LSTM": ("input", "forget", "cell", "output"),
    "GRU": ("reset", "update", "new"),
}
_TINY = 1e-30


@dataclass
class Line:
    """One line of the table: a parameter, or one of the matrices packed into it.

    Attributes:
        label: the parameter's name, and in brackets the block's.
        row: the parameter's description.
        parameter: the parameter.
        module: the module that owns it.
        block: number of the block, None for the whole parameter.
        optimizer: number of the optimizer that has it.
        right: vectors from which the next power step for the weights starts.
        update_right: the same for the update.
    """

    label: str
    row: Row
    parameter: nn.Parameter
    module: nn.Module
    block: int | None
    optimizer: int | None = None
    right: Tensor | None = None
    update_right: Tensor | None = None

    def matrices(self, tensor: Tensor) -> Tensor:
        """Return the matrices of this line in a tensor of the parameter's shape."""
        stack = self.row.layout.view(tensor)
        return stack if self.block is None else stack[self.block : self.block + 1]

    def measure(self, weights: Tensor, update: Tensor, seen: "Seen | None") -> list[Tensor]:
        """Return what `MEASURED` names, as tensors of one number; not finite where the weights or the update are not.

        Args:
            weights: the parameter before the step.
            update: its change.
            seen: what its module saw in the step's forward pass.
        """
        W, dW = self.matrices(weights), self.matrices(update)
        norm, self.right = _largest(W, self.right, 1, rough=True)
        update_norm, self.update_right = _largest(dW, self.update_right, 4)
        scale = self.row.layout.scale
        norms = [frobenius(W), frobenius(dW), norm * scale, update_norm * scale]
        return [*norms, *self._features(W, dW, norm, update_norm, seen)]

    def _features(
        self, W: Tensor, dW: Tensor, norm: Tensor, update_norm: Tensor, seen: "Seen | None"
    ) -> list[Tensor]:
        nan, layout = torch.full((), float("nan"), device=W.device), self.row.layout
        if seen is None or not seen.squares or not (is_matrix(self.row) or layout.kind == "embedding"):
            return [nan] * 4
        out_norm, x = torch.stack(seen.squares).mean().sqrt(), seen.inputs
        if x is None or not is_matrix(self.row) or len(W) != 1 or layout.unit != 1:
            return [out_norm, nan, nan, nan]
        if isinstance(self.module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            kernels = [one.reshape(self.row.shape).to(x.dtype) for one in (W, dW)]
            products = [self.module._conv_forward(x, kernel, None) for kernel in kernels]
        elif self._sees_its_input() and x.ndim == 2 and x.shape[1] == layout.fan_in:
            products = [x @ one[0].T.to(x.dtype) for one in (W, dW)]
        else:
            return [out_norm, nan, nan, nan]
        through, change = (_rms(one) for one in products)
        allowed = _rms(x) * layout.scale
        return [
            out_norm,
            change / through.clamp_min(_TINY),
            through / (allowed * norm).clamp_min(_TINY),
            torch.where(update_norm > 0, change / (allowed * update_norm).clamp_min(_TINY), nan),
        ]

    def _sees_its_input(self) -> bool:
        """Return whether the module's input is the matrix's own; attention is used with one input for q, k and v."""
        known = (
            isinstance(self.module, (nn.Linear, nn.MultiheadAttention))
            or type(self.module).__name__ == "Conv1D"
        )
        return known and self.row.layout.kind in ("dense", "lora_A", "lora_B")


@dataclass
class Seen:
    """What the forward passes of one step showed of a module.

    Attributes:
        inputs: some rows or images of its first input.
        squares: mean squares of its outputs, one for each call.
    """

    inputs: Tensor | None = None
    squares: list[Tensor] = field(default_factory=list)

    @torch.no_grad()
    def add(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Keep what one call shows; of modules that return several tensors, the first."""
        first, x = first_tensor(output), first_tensor(inputs)
        if first is None:
            return
        self.squares.append(first.detach().float().square().mean())
        # With several inputs it is not known which one a matrix gets.
        same = not isinstance(module, nn.MultiheadAttention) or all(one is inputs[0] for one in inputs[:3])
        if self.inputs is None and x is not None and x.is_floating_point() and same:
            x = x.detach()
            if isinstance(module, nn.modules.conv._ConvNd):
                self.inputs = x[:_IMAGES].clone()
            else:
                flat = x.reshape(-1, x.shape[-1])
                self.inputs = flat[:: max(1, len(flat) // _ROWS)][:_ROWS].clone()


def lines_of(model: nn.Module, rows: tuple[Row, ...]) -> Iterator[Line]:
    """Yield the lines of all trained parameters of a module."""
    owners = {
        id(parameter): module
        for module in reversed(list(model.modules()))
        for parameter in module._parameters.values()
        if parameter is not None
    }
    parameters = named_parameters(model)
    for row in rows:
        if not row.trained:
            continue
        parameter = parameters[row.name]
        module = owners[id(parameter)]
        if row.layout.blocks == 1 or not is_matrix(row):
            yield Line(row.name, row, parameter, module, None)
            continue
        labels = _BLOCK_NAMES.get(row.module, ())
        for block in range(row.layout.blocks):
            label = labels[block] if row.layout.blocks == len(labels) else str(block)
            yield Line(f"{row.name}[{label}]", row, parameter, module, block)


def first_tensor(what: Any) -> Tensor | None:
    """Return the first tensor in nested tuples, lists and dicts."""
    if isinstance(what, Tensor):
        return what
    if isinstance(what, dict):
        what = list(what.values())
    if isinstance(what, (tuple, list)):
        return next((found for one in what if (found := first_tensor(one)) is not None), None)
    return None


def _largest(
    stack: Tensor, start: Tensor | None, steps: int, rough: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Return the largest singular value of a stack of matrices, and the vectors to start from next time."""
    stack = stack if stack.dtype in (torch.float32, torch.float64) else stack.float()
    count, rows, columns = stack.shape
    if rows == 1 or columns == 1:
        return torch.linalg.vector_norm(stack, dim=(1, 2)).max(), None
    if start is None and count == 1 and rough:
        # Weights have no gap between their largest singular values, and power steps alone would be 30 % too low.
        finite = torch.nan_to_num(stack[0], 0.0, 0.0, 0.0)
        start = spectral_norm(finite, tol=0.03, return_vectors=True)[2][None].to(stack)
    elif start is None:
        steps += 8
    norms, right = power_steps(stack, start, steps)
    # Vectors that are not finite would spoil all later samples.
    return norms.max(), torch.nan_to_num(right, 0.0, 0.0, 0.0)


def frobenius(tensor: Tensor) -> Tensor:
    """Return the Frobenius norm, in single precision of half-precision numbers."""
    half = tensor.dtype not in (torch.float32, torch.float64)
    return torch.linalg.vector_norm(tensor, dtype=torch.float32 if half else None)


def _rms(tensor: Tensor) -> Tensor:
    return tensor.float().square().mean().sqrt()
