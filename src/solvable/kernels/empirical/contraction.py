"""Jacobians written out, for parameters that no layer's rule covers: exact for whatever autograd differentiates."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import vjp, vmap

from solvable.kernels.empirical.network import Network, dense
from solvable.kernels.empirical.pieces import Explicit


@dataclass
class Jacobians:
    """What `blocks.accumulate` asks for pieces, here the gradients to `names` written out.

    Attributes:
        vectorised: whether samples go through at once; a module with control flow that depends on the data
            cannot be vectorised, and its samples go one by one.
    """

    network: Network
    names: list[str]
    vectorised: bool = True

    def pieces(self, X: Tensor, cotangents: Tensor) -> list[Explicit]:
        """Return a piece per parameter: gradients of K combinations (K, k) of the outputs at n samples."""
        if self.vectorised:
            try:
                with warnings.catch_warnings():
                    # Operations without a rule for batches are slow, which torch warns of, and right.
                    warnings.simplefilter("ignore")
                    return self._at_once(X, cotangents)
            except Exception:
                # There is no one exception for what cannot be vectorised; if the module itself fails, it fails
                # again below, in words that are about the module.
                self.vectorised = False
        return self._one_by_one(X, cotangents)

    def bytes_needed(self) -> tuple[float, float]:
        """Return the bytes kept for one sample, and besides for each output of it."""
        parameters = [self.network.parameters[name] for name in self.names]
        return 0.0, 2.0 * sum(parameter.numel() * parameter.element_size() for parameter in parameters)

    def _at_once(self, X: Tensor, cotangents: Tensor) -> list[Explicit]:
        parameters = {name: self.network.parameters[name] for name in self.names}

        def of_one(x: Tensor) -> dict[str, Tensor]:
            pull_back: Any = vjp(lambda replaced: self.network(x[None], replaced)[0], parameters)[1]
            return vmap(lambda cotangent: pull_back(cotangent)[0])(cotangents)

        gradients = vmap(of_one)(X)
        return [Explicit(gradients[name].detach().flatten(2)) for name in self.names]

    def _one_by_one(self, X: Tensor, cotangents: Tensor) -> list[Explicit]:
        leaves = {name: self.network.parameters[name].detach().requires_grad_() for name in self.names}
        J = [
            torch.zeros(len(X), len(cotangents), leaf.numel(), dtype=leaf.dtype, device=leaf.device)
            for leaf in leaves.values()
        ]
        for i, x in enumerate(X):
            output = self.network(x[None], leaves)[0]
            if not output.requires_grad:
                continue
            for a, cotangent in enumerate(cotangents):
                found = torch.autograd.grad(
                    output, list(leaves.values()), cotangent, retain_graph=True, allow_unused=True
                )
                for written, gradient in zip(J, found, strict=True):
                    if gradient is not None:
                        written[i, a] = dense(gradient).flatten()
        return [Explicit(gradients) for gradients in J]


def groups(
    network: Network, names: list[str], rows: int, n_outputs: int, memory: float
) -> Iterator[list[str]]:
    """Yield the names in groups whose Jacobians at all rows fit into memory, or single names where none does.

    More groups need more backward passes, each once for all rows; more blocks of rows would need each block's
    Jacobian again for every other block.
    """
    group: list[str] = []
    used = 0.0
    for name in names:
        parameter = network.parameters[name]
        needed = 2.0 * parameter.numel() * parameter.element_size() * rows * n_outputs
        if group and used + needed > memory:
            yield group
            group, used = [], 0.0
        group.append(name)
        used += needed
    if group:
        yield group
