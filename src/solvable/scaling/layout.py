"""`Layout`: a parameter as matrices from inputs to outputs, with the fan-in and fan-out that its rule needs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod, sqrt
from typing import Any

from scipy.stats import norm

from solvable.checks import choice, whole
from solvable.errors import InputError
from solvable.scaling.theory import gaussian_spectral_norm, init_std

KINDS = {
    "dense": "a matrix (fan_out, fan_in)",
    "conv": "a convolution's kernel, as matrices (outputs, inputs x positions), one for each group",
    "experts": "a stack of matrices (experts, fan_out, fan_in)",
    "lora_A": "the first matrix of a LoRA pair, (rank, fan_in)",
    "lora_B": "the second matrix of a LoRA pair, (fan_out, rank), which starts at 0",
    "embedding": "a table of rows, of which an input selects one",
    "position": "rows that are added to the features or joined to them",
    "bias": "a bias",
    "gain": "factors of the features, as in a normalisation layer",
    "magnitude": "norms of the rows of a matrix with weight normalisation",
    "vector": "a parameter of at most one dimension without a rule of its own, treated like a bias",
    "unscaled": "left alone: learning rate as given, not initialised",
}
"""Kinds of parameters, and what each is."""

MATRICES = ("dense", "conv", "experts", "lora_A", "lora_B")
"""The kinds that are matrices between features."""

_WORDS = re.compile(r"(?P<kind>[a-zA-Z_]+?)(?::(?P<blocks>\d+))?(?P<transposed> transposed)?")


@dataclass(frozen=True)
class Layout:
    """How a parameter maps inputs to outputs.

    Attributes:
        kind: one of `KINDS`.
        fan_in: number of inputs that one output sums over.
        fan_out: number of outputs of one block, of all groups together.
        matrices: number, rows and columns of the matrices of which the parameter consists.
        groups: number of groups of a convolution.
        blocks: number of matrices along the first dimension that are layers of their own, as in packed q, k, v.
        kernel_size: number of positions of a convolution's kernel.
        transposed: whether inputs come before outputs in the parameter's shape.
        unit: natural size of an update, relative to the rule.
        repeats: of a transposed convolution with a stride, kernel positions over those that one output meets.
    """

    kind: str
    fan_in: int
    fan_out: int
    matrices: tuple[int, int, int]
    groups: int = 1
    blocks: int = 1
    kernel_size: int = 1
    transposed: bool = False
    unit: float = 1.0
    repeats: float = 1.0

    @cached_property
    def init_std(self) -> float | None:
        """Standard deviation of the entries that `init_` draws with gain 1, 0 for zeros, None if it draws none."""
        match self.kind:
            case "lora_A":
                return self.fan_in**-0.5
            case "embedding" | "position":
                return 1.0
            case "lora_B" | "bias":
                return 0.0
            case "dense" | "conv" | "experts":
                return init_std(self.fan_in, self.fan_out // self.groups, kernel_size=self.kernel_size)
            case _:
                return None

    @property
    def scale(self) -> float:
        """Factor that turns the largest singular value of one of the matrices into the scaled norm."""
        return sqrt(self.fan_in * self.groups / self.fan_out) / self.unit

    def expected_norm(self, gain: float = 1.0) -> float | None:
        """Return the scaled norm that `init_` gives, 1 for gains, and None where it gives zeros or nothing."""
        if self.kind in ("gain", "magnitude"):
            return 1.0
        if not self.init_std:
            return None
        count, rows, columns = self.matrices
        gain = gain if self.kind in ("dense", "conv", "experts") else 1.0
        mean, spread = gaussian_spectral_norm(rows, columns, self.init_std * gain)
        # The largest of several: Blom's approximation of the mean of the largest order statistic.
        several = count // self.blocks
        return self.scale * (
            mean + spread * float(norm.ppf((several - 0.375) / (several + 0.25))) * (several > 1)
        )

    def stored_matrices(self, shape: Sequence[int]) -> list[int]:
        """Return the matrices as they lie in memory: number, rows, columns, and the number of inputs if they come
        first.

        A transposed matrix has the norm of the matrix, so only convolutions need the number of inputs. Transposed
        blocks lie side by side and count as one matrix.
        """
        count, rows, columns = self.matrices
        if not self.transposed:
            return [count, rows, columns, 0]
        if self.kind == "conv":
            return [count, rows, columns, shape[0] // count]
        return [count, columns, rows, 0] if self.kind == "experts" else [1, *shape, 0]

    def view(self, tensor: Any) -> Any:
        """Return a tensor of the parameter's shape as `(number, rows, columns)`."""
        count, rows, columns = self.matrices
        if not self.transposed:
            return tensor.reshape(count, rows, columns)
        if self.kind == "conv":
            pieces = tensor.reshape(count, tensor.shape[0] // count, rows, -1)
            return pieces.transpose(1, 2).reshape(count, rows, columns)
        if self.kind == "experts":
            return tensor.transpose(1, 2)
        return tensor.reshape(columns, count, rows).permute(1, 2, 0)


def layout_of_words(words: str, shape: Sequence[int], name: str) -> Layout:
    """Return the layout of a parameter from words such as `dense`, `dense transposed`, `blocks:3` or `embedding`.

    Args:
        words: a kind of `KINDS`; or `blocks:N` for N dense matrices, one below the other; ` transposed` if the inputs
            come first in the shape.
        shape: shape of the parameter.
        name: its name, for messages.

    Raises:
        InputError: for other words, and for a shape that does not fit them.

    >>> layout_of_words("blocks:3", (96, 32), "qkv.weight").matrices
    (3, 32, 32)
    """
    match = _WORDS.fullmatch(words.strip()) if isinstance(words, str) else None
    if match is None:
        raise InputError(
            f"the rule of {name!r} is {words!r}; expected a kind ({', '.join(KINDS)}) or blocks:N, with ' transposed' "
            "behind it if the parameter's inputs come first"
        )
    kind, blocks = (
        match["kind"],
        whole(f"blocks in the rule of {name!r}", int(match["blocks"] or 1), at_least=1),
    )
    if kind == "blocks":
        kind = "dense"
    kind = choice(f"rule of {name!r}", kind, KINDS)
    shape, transposed = tuple(shape), match["transposed"] is not None
    wrong = InputError(
        f"the rule of {name!r} is {words!r}, and its shape {shape}; expected "
        + ("three dimensions" if kind == "experts" else "two dimensions, or more that can be flattened")
        + (f", of which the outputs can be divided by {blocks}" if blocks > 1 else "")
    )
    if kind in ("vector", "bias", "gain", "unscaled", "magnitude"):
        layout = vector(kind, shape)
        return with_blocks(layout, blocks, wrong) if blocks > 1 else layout
    if kind in ("embedding", "position"):
        return rows(kind, shape) if len(shape) >= 1 else vector("vector", shape)
    if len(shape) < 2 or (kind == "experts" and len(shape) != 3):
        raise wrong
    if kind == "experts":
        fan_out, fan_in = shape[:0:-1] if transposed else shape[1:]
        return Layout(kind, fan_in, fan_out, (shape[0], fan_out, fan_in), transposed=transposed)
    if kind == "conv":
        return convolution(shape)
    if transposed and len(shape) != 2:
        raise wrong
    fan_out, fan_in = shape[::-1] if transposed else (shape[0], prod(shape[1:]))
    layout = replace(dense(fan_out, fan_in, kind), transposed=transposed)
    return with_blocks(layout, blocks, wrong) if blocks > 1 else layout


@lru_cache(maxsize=4096)
def dense(fan_out: int, fan_in: int, kind: str = "dense") -> Layout:
    """Return the layout of a matrix (fan_out, fan_in)."""
    return Layout(kind, fan_in, fan_out, (1, fan_out, fan_in))


def with_blocks(layout: Layout, blocks: int, wrong: InputError) -> Layout:
    """Return a matrix or a bias as equal blocks of outputs, each a layer of its own."""
    if layout.fan_out % whole("blocks", blocks, at_least=1):
        raise wrong
    fan_out = layout.fan_out // blocks
    if layout.kind == "gain":
        return replace(layout, fan_out=fan_out, groups=fan_out, blocks=blocks)
    _, _, columns = layout.matrices
    return replace(layout, fan_out=fan_out, matrices=(blocks, fan_out, columns), blocks=blocks)


@lru_cache(maxsize=4096)
def vector(kind: str, shape: Sequence[int]) -> Layout:
    """Return the layout of a bias, of factors or of single numbers."""
    size = prod(shape)
    if kind in ("gain", "magnitude"):
        return Layout(kind, 1, size, (size, 1, 1), groups=size)
    return Layout(kind, 1, size, (1, size, 1))


@lru_cache(maxsize=4096)
def rows(kind: str, shape: Sequence[int]) -> Layout:
    """Return the layout of a table whose last dimension is a feature vector."""
    return Layout(kind, 1, shape[-1], (prod(shape[:-1]), shape[-1], 1))


def convolution(
    shape: Sequence[int], groups: int = 1, stride: Sequence[int] = (), transposed: bool = False
) -> Layout:
    """Return the layout of a kernel (outputs, inputs / groups, ...), or (inputs, outputs / groups, ...) if transposed.

    A transposed convolution adds up kernel / stride positions at each output.
    """
    positions = prod(shape[2:])
    if not transposed:
        fan_in, fan_out = shape[1] * positions, shape[0]
        return Layout("conv", fan_in, fan_out, (groups, fan_out // groups, fan_in), groups, 1, positions)
    inputs, outputs = shape[0] // groups, shape[1]
    met = max(1, round(positions / max(1, prod(stride))))
    matrices = (groups, outputs, inputs * positions)
    repeats = positions / met
    return Layout(
        "conv", inputs * met, outputs * groups, matrices, groups, 1, met, transposed=True, repeats=repeats
    )
