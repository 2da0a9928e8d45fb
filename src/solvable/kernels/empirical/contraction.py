"""Explicit Jacobians, for parameters without a layer rule: exact for any module that autograd differentiates."""

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
    """A source of pieces for `blocks.accumulate`: the explicit gradients to `names`."""

    network: Network
    names: list[str]
    # All samples at once, which fails for modules with data-dependent control flow.
    vectorised: bool = True

    def pieces(self, X: Tensor, cotangents: Tensor) -> list[Explicit]:
        """Return a piece per parameter: gradients of K combinations (K, k) of the outputs at n samples."""
        if self.vectorised:
            try:
                with warnings.catch_warnings():
                    # torch warns about operations without a batching rule, which are slow but correct.
                    warnings.simplefilter("ignore")
                    return self._at_once(X, cotangents)
            except Exception:
                # Vectorising raises many exceptions; if the module itself fails, it fails again below.
                self.vectorised = False
        return self._one_by_one(X, cotangents)

    def bytes_needed(self) -> tuple[float, float]:
        """Return the bytes per sample, and the additional bytes per sample and output."""
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
                gradients = torch.autograd.grad(
                    output, list(leaves.values()), cotangent, retain_graph=True, allow_unused=True
                )
                for jacobian, gradient in zip(J, gradients, strict=True):
                    if gradient is not None:
                        jacobian[i, a] = dense(gradient).flatten()
        return [Explicit(jacobian) for jacobian in J]


def groups(
    network: Network, names: list[str], rows: int, n_outputs: int, memory: float
) -> Iterator[list[str]]:
    """Yield the names in groups whose Jacobians at all rows fit into memory, at least one name each."""
    # With more blocks of rows instead, each block's Jacobian would be recomputed for every other block.
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
