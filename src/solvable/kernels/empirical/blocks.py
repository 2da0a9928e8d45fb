"""The kernel of two sets of samples, block by block of samples and outputs, in bounded memory."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from solvable.kernels.empirical.pieces import Outputs, Piece

# Share of the memory for the pieces of two blocks; the rest is for their products.
_PIECES = 0.75
# Blocks of fewer samples are avoided by splitting outputs, whose pieces are computed once rather than per other block.
_FEW = 16


class Source(Protocol):
    """A source of pieces: the layers' rules or the Jacobians."""

    def pieces(self, X: Tensor, cotangents: Tensor) -> Sequence[Piece]:
        """Return the pieces of K combinations (K, k) of the outputs at n samples."""
        ...


def accumulate(
    theta: Tensor,
    source: Source,
    X: Tensor,
    Z: Tensor | None,
    outputs: Outputs,
    n_outputs: int,
    needed: tuple[float, float],
    memory: float,
    batch: int | None,
) -> None:
    """Add the inner products of the source's gradients to `theta`: (n, m), (n, m, k) or (n, m, k, k).

    Without Z, `theta` is symmetric before and after. `needed` is the bytes per sample, and the additional bytes per
    sample and output; `memory` is the limit in bytes, not counting `theta`; `batch` limits the samples in a block.
    """
    n, m = len(X), len(X if Z is None else Z)
    rows, width = sizes(max(n, m), n_outputs, needed, memory, batch)
    room = max(1, int((1.0 - _PIECES) * memory / theta.element_size()))
    identity = torch.eye(n_outputs, dtype=theta.dtype, device=theta.device)
    for block in _slices(n, rows):
        for part in _slices(n_outputs, width):
            pieces = source.pieces(X[block], identity[part])
            # Without Z only blocks on and right of the diagonal are computed.
            for other in _slices(m, rows, block.start if Z is None else 0):
                for part_ in _slices(n_outputs, width) if outputs == "full" else [part]:
                    if Z is None and other == block and part == part_:
                        pieces_ = pieces
                    else:
                        pieces_ = source.pieces((X if Z is None else Z)[other], identity[part_])
                    where: Any = {
                        "trace": (block, other),
                        "diagonal": (block, other, part),
                        "full": (block, other, part, part_),
                    }[outputs]
                    for piece, piece_ in zip(pieces, pieces_, strict=True):
                        theta[where] += piece.pair(piece_, outputs, room)
    if Z is None:
        _mirror(theta, rows)


def sizes(
    n: int, n_outputs: int, needed: tuple[float, float], memory: float, batch: int | None
) -> tuple[int, int]:
    """Return the numbers of samples and outputs in a block, at least one each; two blocks are held at a time."""
    per_sample, per_output = needed
    room = _PIECES * memory / 2.0
    most = min(n, batch or n)
    few = min(most, _FEW)
    width = int(min(n_outputs, max(1.0, (room / few - per_sample) / max(per_output, 1.0))))
    rows = int(room / max(per_sample + width * per_output, 1.0))
    return max(1, min(most, rows)), width


def _mirror(theta: Tensor, rows: int) -> None:
    """Make a kernel exactly symmetric from its blocks on and right of the diagonal."""
    flip = (1, 0, 3, 2) if theta.ndim == 4 else (1, 0, 2)[: theta.ndim]
    n = len(theta)
    for block in _slices(n, rows):
        for other in _slices(n, rows, block.start):
            if other == block:
                square = theta[block, block]
                theta[block, block] = (square + square.permute(flip)) / 2.0
            else:
                theta[other, block] = theta[block, other].permute(flip)


def _slices(n: int, step: int, start: int = 0) -> Iterator[slice]:
    return (slice(first, min(n, first + step)) for first in range(start, n, step))
