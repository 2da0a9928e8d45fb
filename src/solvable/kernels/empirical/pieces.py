"""Gradients of a batch in factored form, and their inner products.

The gradient of output a at sample i to a layer's weights is a sum over the places s where the layer is applied
(positions of a sequence, patches of an image) of outer products h_is g_ias^T, h the layer's inputs and g the gradients
of the output to the layer's outputs. A piece stores h and g, n·width numbers, not the gradient, n·parameters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import torch
from torch import Tensor

Outputs = Literal["trace", "diagonal", "full"]

# Elementwise work on an entry of a matrix product costs as much as this many multiplications (memory traffic).
_ENTRY_COST = 16


class Piece(Protocol):
    """The gradients of n samples and K outputs to the parameters of one layer."""

    def pair(self, other: Self, outputs: Outputs, room: int) -> Tensor:
        """Return the inner products with the other's gradients, in about `room` numbers of memory.

        (n, m), summed over equal outputs, for "trace"; (n, m, K) for "diagonal"; (n, m, K, K') for "full".
        """
        ...

    def take(self, sample: int, output: int) -> Self:
        """Return the piece of one sample and one output."""
        ...

    def numbers(self) -> tuple[float, float]:
        """Return how many numbers are stored per sample, and additionally per sample and output."""
        ...


def inner_products(X: Tensor, Z: Tensor, outputs: Outputs) -> Tensor:
    """Return the inner products of vectors (n, K, p) and (m, K', p) in the shape of `Piece.pair`."""
    n, m = len(X), len(Z)
    if outputs == "trace":
        return X.reshape(n, -1) @ Z.reshape(m, -1).T
    if outputs == "diagonal":
        return (X.transpose(0, 1) @ Z.permute(1, 2, 0)).permute(1, 2, 0)
    product = X.reshape(-1, X.shape[-1]) @ Z.reshape(-1, Z.shape[-1]).T
    return product.view(n, X.shape[1], m, Z.shape[1]).transpose(1, 2)


@dataclass(frozen=True)
class Explicit:
    """Explicit gradients, (n, K, p): for the few parameters of a normalisation, or any others."""

    gradients: Tensor

    def pair(self, other: Self, outputs: Outputs, room: int) -> Tensor:
        return inner_products(self.gradients, other.gradients, outputs)

    def take(self, sample: int, output: int) -> Self:
        return type(self)(self.gradients[sample : sample + 1, output : output + 1])

    def numbers(self) -> tuple[float, float]:
        return 0.0, float(self.gradients[0, 0].numel())

    @classmethod
    def joined(cls, pieces: "Sequence[Explicit]") -> "Explicit":
        """Return the piece of a layer called several times: the gradients add up."""
        return cls(torch.stack([piece.gradients for piece in pieces]).sum(0))


@dataclass(frozen=True)
class Patches:
    """Gradients of a layer z_s = W h_s + b at S places, in G groups: Linear (G = 1) and convolutions."""

    inputs: Tensor  # h, a view that reshapes to (n, G, S, p)
    gradients: Tensor  # g = dz, (n, K, G, S, q)
    weight: bool  # whether W counts
    bias: bool

    def pair(self, other: Self, outputs: Outputs, room: int) -> Tensor:
        h, h_ = self._patches(), other._patches()
        (n, n_groups, S, p), (m, _, S_, _) = h.shape, h_.shape
        K, q = self.gradients.shape[1], self.gradients.shape[-1]
        if not self.weight:
            return inner_products(self._bias_gradients(), other._bias_gradients(), outputs)
        if n_groups == S == S_ == 1:
            similarity = h[:, 0, 0] @ h_[:, 0, 0].T + float(self.bias)
            block = inner_products(self.gradients[:, :, 0, 0], other.gradients[:, :, 0, 0], outputs)
            return block.mul_(similarity.view(n, m, *[1] * (block.ndim - 2)))
        # All pairs of places or explicit gradients, whichever takes fewer multiplications.
        tail = {"trace": 1, "diagonal": K, "full": K * other.gradients.shape[1]}[outputs]
        per_entry = q * (K if outputs == "trace" else tail) + _ENTRY_COST * tail
        by_places = n * m * S * S_ * (p + per_entry)
        products = n * m * (K if outputs == "trace" else tail)
        written_out = p * q * (products + K * (n * (S + _ENTRY_COST) + m * (S_ + _ENTRY_COST)))
        method = self._by_places if by_places <= written_out else self._written_out
        return method(other, h, h_, outputs, room, tail)

    def take(self, sample: int, output: int) -> Self:
        one = slice(sample, sample + 1)
        gradients = self.gradients[one, output : output + 1]
        return type(self)(self.inputs[one], gradients, self.weight, self.bias)

    def numbers(self) -> tuple[float, float]:
        return float(self.inputs[0].numel()), float(self.gradients[0, 0].numel())

    @classmethod
    def joined(cls, pieces: "Sequence[Patches]") -> "Patches":
        """Return the piece of a layer called several times; further calls are further places."""
        inputs = torch.cat([piece._patches() for piece in pieces], dim=2)
        gradients = torch.cat([piece.gradients for piece in pieces], dim=3)
        return cls(inputs, gradients, pieces[0].weight, pieces[0].bias)

    def _patches(self) -> Tensor:
        n, _, n_groups, S, _ = self.gradients.shape
        return self.inputs.reshape(n, n_groups, S, -1)

    def _bias_gradients(self) -> Tensor:
        return self.gradients.sum(3).flatten(2)

    def _by_places(
        self, other: Self, h: Tensor, h_: Tensor, outputs: Outputs, room: int, tail: int
    ) -> Tensor:
        """Return the sum over places s, t of (h_is·h_jt + 1) (g_is·g_jt), by tiles of samples."""

        def tile(rows: slice, columns: slice) -> Tensor:
            total = torch.zeros(())
            for group in range(h.shape[1]):
                similarity = h[rows, group].flatten(0, 1) @ h_[columns, group].flatten(0, 1).T + float(
                    self.bias
                )
                g, g_ = (
                    piece.gradients[part, :, group].transpose(1, 2).flatten(0, 1)
                    for piece, part in ((self, rows), (other, columns))
                )
                total = total + _over_places(
                    inner_products(g, g_, outputs), similarity, h[rows].shape[0], h_[columns].shape[0]
                )
            return total

        return _tiled(tile, len(h), len(h_), room // (h.shape[2] * h_.shape[2] * (2 * tail + 1)))

    def _written_out(
        self, other: Self, h: Tensor, h_: Tensor, outputs: Outputs, room: int, tail: int
    ) -> Tensor:
        """Return the inner products of explicit gradients, for a few entries of the weights at a time."""
        (n, n_groups, _, p), m = h.shape, len(h_)
        q = self.gradients.shape[-1]
        numbers = 2 * (n * self.gradients.shape[1] + m * other.gradients.shape[1])
        q_step = max(1, min(q, room // (numbers * p)))
        p_step = max(1, min(p, room // (numbers * q_step)))
        same = other is self
        total = torch.zeros(())
        for group in range(n_groups):
            for q_start in range(0, q, q_step):
                for p_start in range(0, p, p_step):
                    qs, ps = slice(q_start, q_start + q_step), slice(p_start, p_start + p_step)
                    J = _outer(h[:, group, :, ps], self.gradients[:, :, group, :, qs])
                    J_ = J if same else _outer(h_[:, group, :, ps], other.gradients[:, :, group, :, qs])
                    total = total + inner_products(J, J_, outputs)
        if self.bias:
            total = total + inner_products(self._bias_gradients(), other._bias_gradients(), outputs)
        return total


@dataclass(frozen=True)
class Tokens:
    """Gradients of an embedding: h_is are unit vectors, so that h_is·h_jt = 1 where two tokens agree."""

    tokens: Tensor  # (n, S), -1 for padding, which is not trained
    gradients: Tensor  # (n, K, S, q)

    def pair(self, other: Self, outputs: Outputs, room: int) -> Tensor:
        S, S_ = self.tokens.shape[1], other.tokens.shape[1]
        K, K_ = self.gradients.shape[1], other.gradients.shape[1]
        tail = {"trace": 1, "diagonal": K, "full": K * K_}[outputs]

        def tile(rows: slice, columns: slice) -> Tensor:
            tokens, tokens_ = self.tokens[rows], other.tokens[columns]
            trained = tokens.reshape(-1, 1) >= 0
            equal = tokens.reshape(-1, 1) == tokens_.reshape(1, -1)
            similarity = (equal & trained).to(self.gradients.dtype)
            g, g_ = (
                piece.gradients[part].transpose(1, 2).flatten(0, 1)
                for piece, part in ((self, rows), (other, columns))
            )
            return _over_places(inner_products(g, g_, outputs), similarity, len(tokens), len(tokens_))

        return _tiled(tile, len(self.tokens), len(other.tokens), room // (S * S_ * (2 * tail + 1)))

    def take(self, sample: int, output: int) -> Self:
        one = slice(sample, sample + 1)
        return type(self)(self.tokens[one], self.gradients[one, output : output + 1])

    def numbers(self) -> tuple[float, float]:
        return float(self.tokens[0].numel()), float(self.gradients[0, 0].numel())

    @classmethod
    def joined(cls, pieces: "Sequence[Tokens]") -> "Tokens":
        """Return the piece of a table used several times."""
        return cls(
            torch.cat([piece.tokens for piece in pieces], dim=1),
            torch.cat([piece.gradients for piece in pieces], dim=2),
        )


def _over_places(products: Tensor, similarity: Tensor, n: int, m: int) -> Tensor:
    """Return the sum over places of products (nS, mS', *tail) times similarity (nS, mS'): (n, m, *tail)."""
    tail = products.shape[2:]
    products = products * similarity.view(*similarity.shape, *[1] * len(tail))
    return products.reshape(n, len(similarity) // n, m, similarity.shape[1] // m, *tail).sum((1, 3))


def _outer(h: Tensor, g: Tensor) -> Tensor:
    """Return the gradients sum_s h_is g_ias^T, (n, K, p·q), of inputs (n, S, p) and gradients (n, K, S, q)."""
    n, K, S, q = g.shape
    # One product per sample for all outputs; broadcasting over K would copy h for each.
    J = h.transpose(1, 2) @ g.transpose(1, 2).reshape(n, S, K * q)
    return J.view(n, -1, K, q).transpose(1, 2).flatten(2)


def _tiled(tile, n: int, m: int, pairs: int) -> Tensor:
    """Return the (n, m, ...) block of tiles `tile(rows, columns)`, each of at most about `pairs` pairs."""
    width = max(1, min(m, pairs))
    height = max(1, min(n, pairs // width))
    strips = [
        torch.cat([tile(rows, columns) for columns in _slices(m, width)], dim=1)
        for rows in _slices(n, height)
    ]
    return torch.cat(strips)


def _slices(n: int, step: int) -> Iterator[slice]:
    return (slice(start, min(n, start + step)) for start in range(0, n, step))
