"""Gradients in factored form for the layers that have a rule: one forward and K backward passes, no Jacobian.

During the forward pass the weights of each such layer are detached, and a zero, the probe, is added to its output. The
gradient to the probe is dz. A weight that still appears in the graph is used elsewhere (tied by hand, or passed to
`torch.nn.functional`): its gradient has further terms, and its Jacobian is computed instead. Cases that hooks cannot
detect, such as a module that mixes rows of a batch, are found by comparison with exact gradients of two samples.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.kernels.empirical.layers import NotCoveredError, Rule, rule_of
from solvable.kernels.empirical.network import Network
from solvable.kernels.empirical.pieces import Piece

Calls = dict[str, list[tuple[Tensor, Tensor]]]
"""The input and the probe of each call, in order, by layer."""


@dataclass(frozen=True)
class Layer:
    """A layer with a rule, and its trainable parameters that no other layer holds: names in the module by own name."""

    name: str
    module: nn.Module
    rule: Rule
    parameters: dict[str, str]


class UsedElsewhereError(Exception):
    """Parameters that the factored form does not cover; `names` are their names in the module."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(*names)
        self.names = list(names)


def known_layers(network: Network, excluded: set[str]) -> list[Layer]:
    """Return the layers with a rule and trainable parameters that no other module holds."""
    owners: dict[int, int] = {}
    for part in network.module.modules():
        for parameter in part._parameters.values():
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    names = {id(p): name for name, p in network.module.named_parameters()}
    trainable = set(network.trainable) - excluded
    layers = []
    for name, part in network.module.named_modules():
        rule = rule_of(part)
        own = {
            attribute: names[id(parameter)]
            for attribute, parameter in part._parameters.items()
            if attribute in ("weight", "bias") and parameter is not None and owners[id(parameter)] == 1
        }
        own = {attribute: full for attribute, full in own.items() if full in trainable}
        if rule is not None and own:
            layers.append(Layer(name, part, rule, own))
    return layers


@dataclass
class Factored:
    """A source of pieces for `blocks.accumulate`: the factored gradients of `layers`."""

    network: Network
    layers: list[Layer]
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def pieces(self, X: Tensor, cotangents: Tensor) -> list[Piece]:
        """Return a piece per layer: gradients of K combinations (K, k) of the outputs at n samples.

        Raises:
            UsedElsewhereError: naming the parameters whose Jacobian is needed.
            InputError: if an output depends on the other samples or on chance.
        """
        names = [name for layer in self.layers for name in layer.parameters.values()]
        leaves = {name: self.network.parameters[name].detach().requires_grad_() for name in names}
        with _recorded(self.layers) as calls:
            output = self.network(X, leaves)
        elsewhere = _leaves_of(output, leaves)
        elsewhere += [n for layer in self.layers if not calls[layer.name] for n in layer.parameters.values()]
        if elsewhere:
            raise UsedElsewhereError(elsewhere)
        gradients = _gradients(
            output, [probe for layer in self.layers for _, probe in calls[layer.name]], cotangents
        )
        pieces = []
        for layer in self.layers:
            trained = frozenset(layer.parameters)
            try:
                parts: list[Any] = [
                    layer.rule(layer.module, h, next(gradients), len(X), trained)
                    for h, _ in calls[layer.name]
                ]
                pieces.append(parts[0] if len(parts) == 1 else type(parts[0]).joined(parts))
            except NotCoveredError:
                raise UsedElsewhereError(list(layer.parameters.values())) from None
        self._check(X, cotangents, output.detach(), pieces)
        return pieces

    def bytes_needed(self, X: Tensor, n_outputs: int, dtype: torch.dtype) -> tuple[float, float]:
        """Return the bytes per sample, and the additional bytes per sample and output, from a trial on `X`."""
        # A random combination of the outputs, so that the check covers all of them.
        cotangents = torch.randn(1, n_outputs, dtype=dtype, generator=self.generator).to(X.device)
        numbers = [piece.numbers() for piece in self.pieces(X, cotangents)]
        # Autograd's buffers and the copies in products take three times as much again.
        size = cotangents.element_size()
        return size * sum(h for h, _ in numbers), 4.0 * size * sum(g for _, g in numbers)

    def _check(self, X: Tensor, cotangents: Tensor, output: Tensor, pieces: list[Piece]) -> None:
        """Compare the inner products of two samples, for one output, with those of exact gradients."""
        i, j = torch.randperm(len(X), generator=self.generator)[:2].tolist() if len(X) > 1 else (0, 0)
        a = int(torch.randint(len(cotangents), (), generator=self.generator))
        names = [name for layer in self.layers for name in layer.parameters.values()]
        exact = {}
        for row in {i, j}:
            alone, exact[row] = self.network.gradient(X[row], cotangents[a], names)
            check_alone(alone, output[row], output)
        tolerance = slack(output.dtype)
        wrong = []
        for layer, piece in zip(self.layers, pieces, strict=True):
            inner = {
                (r, s): sum(
                    float((exact[r][name] * exact[s][name]).sum()) for name in layer.parameters.values()
                )
                for r, s in ((i, i), (j, j), (i, j))
            }
            scale = max(inner[i, i], inner[j, j])
            for (r, s), expected in inner.items():
                product = float(piece.take(r, a).pair(piece.take(s, a), "trace", 1 << 20))
                if not abs(product - expected) <= tolerance * scale:
                    wrong += layer.parameters.values()
                    break
        if wrong:
            raise UsedElsewhereError(wrong)


def slack(dtype: torch.dtype) -> float:
    """Return how far two computations of one number may differ by rounding; errors are far larger."""
    return 30.0 * torch.finfo(dtype).eps ** 0.6


def check_alone(alone: Tensor, among_others: Tensor, all_outputs: Tensor) -> None:
    """Raise if the output for a sample alone differs from that in a batch."""
    scale = float(all_outputs.abs().max())
    difference = float((alone - among_others).abs().max())
    if difference > slack(alone.dtype) * scale:
        raise InputError(
            f"the output for one sample changed by {difference:.2g} (outputs are up to {scale:.2g}) when the module "
            "was called again without the others; expected a function of each sample alone; "
            "remove randomness and normalisation over the batch"
        )


@contextmanager
def _recorded(layers: list[Layer]) -> Iterator[Calls]:
    """Record inputs and probes of the layers' calls, and detach the layers' weights during them."""
    calls: Calls = {layer.name: [] for layer in layers}
    handles = []
    for layer in layers:
        before, after = _hooks(layer, calls[layer.name])
        handles.append(layer.module.register_forward_pre_hook(before))
        # Before all user hooks, whose effect on the output comes after the layer.
        handles.append(layer.module.register_forward_hook(after, prepend=True, with_kwargs=True))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _hooks(
    layer: Layer, calls: list[tuple[Tensor, Tensor]]
) -> tuple[Callable[..., None], Callable[..., Tensor]]:
    outside: dict[str, Any] = {}

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        # These are substitutes set by `functional_call`, which always removes them.
        for attribute in layer.parameters:
            outside[attribute] = module._parameters[attribute]
            module._parameters[attribute] = outside[attribute].detach()

    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor:
        module._parameters.update(outside)
        h = args[0] if args else kwargs["input"]
        probe = torch.zeros_like(output, requires_grad=True)
        # A copy and a new tensor, since later operations may work in place.
        calls.append((h.detach().clone(), probe))
        return output + probe

    return before, after


def _gradients(output: Tensor, probes: list[Tensor], cotangents: Tensor) -> Iterator[Tensor]:
    """Yield the gradients (rows, K, ...) of K combinations of the outputs to each probe (rows, ...)."""
    if not output.requires_grad:
        passes = [[None] * len(probes) for _ in cotangents]
    else:
        # One by one: as fast as batched on the CPU, and supported by every operation.
        passes = [
            torch.autograd.grad(
                output, probes, cotangent.expand_as(output), retain_graph=True, allow_unused=True
            )
            for cotangent in cotangents
        ]
    for index, probe in enumerate(probes):
        gradients = [one_pass[index] for one_pass in passes]
        axis = min(1, probe.ndim)
        yield torch.stack([torch.zeros_like(probe) if g is None else g for g in gradients], dim=axis)


def _leaves_of(output: Tensor, leaves: dict[str, Tensor]) -> list[str]:
    """Return the names of the leaves in the graph of `output`."""
    names = {id(leaf): name for name, leaf in leaves.items()}
    in_graph, visited, queue = [], set(), [output.grad_fn]
    while queue:
        node = queue.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        name = names.get(id(getattr(node, "variable", None)))
        in_graph += [] if name is None else [name]
        queue += [following for following, _ in node.next_functions]
    return in_graph
