"""The empirical NTK of a ReLU network next to PyTorch's own recipe, Jacobians by `torch.func` and their contraction.

The peer is the recipe of PyTorch's tutorial "Neural Tangent Kernels": `vmap(jacrev(...))` for all parameters,
then an einsum per parameter, summed. Its Jacobians are n·k·parameters numbers (2.7 GB at n = 100, and about
twice that at its peak). Both run on one thread in single precision; the network is 784-512-512-10.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from benchmarks._result import Result, alternate, in_seconds
from solvable.kernels.empirical import empirical_ntk

N_SAMPLES = 100
N_LARGE = 1000
DEMANDED = 50.0
TOLERANCE = 1e-5


def network(width: int) -> nn.Module:
    """Return the ReLU network 784-width-width-10 with PyTorch's own initialisation."""
    return nn.Sequential(
        nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def recipe(module: nn.Module, X: Tensor) -> Tensor:
    """Return the mean over outputs of the kernel as the tutorial computes it."""
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}

    def of_one(values: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(module, values, (x[None],))[0]

    jacobians = vmap(jacrev(of_one), (None, 0))(parameters, X).values()
    total = torch.stack([torch.einsum("Naf,Maf->NM", j.flatten(2), j.flatten(2)) for j in jacobians]).sum(0)
    return total / 10


def run() -> Iterator[Result]:
    """Time both at 100 samples, and ours alone where the peer's Jacobians would take a hundred gigabytes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module, X = network(512), torch.randn(N_SAMPLES, 784)
            empirical_ntk(module, X[:2])  # what is loaded and set up once does not count
            recipe(module, X[:2])
            seconds, peer_seconds, ours, peers = alternate(
                lambda: empirical_ntk(module, X), lambda: recipe(module, X), repeats=2
            )
            error = float((ours - peers).abs().max() / peers.abs().max())
            yield Result(
                what="empirical NTK, network 784-512-512-10",
                size=f"n = {N_SAMPLES}, float32",
                ours=in_seconds(seconds),
                peer=f"{in_seconds(peer_seconds)} (torch.func, Jacobian contraction)",
                ratio=peer_seconds / seconds,
                demanded=DEMANDED,
                accuracy=f"differs by {error:.1g} of the largest entry, at most {TOLERANCE:g}",
                accurate=error <= TOLERANCE,
            )
            module, X = network(1024), torch.randn(N_LARGE, 784)
            seconds, _, theta, _ = alternate(lambda: empirical_ntk(module, X), lambda: None, repeats=2)
            # In double precision: in single, the recipe's own sums over 10^7 numbers are off by 2e-4.
            two = recipe(module.double(), X[[0, -1]].double())
            error = float((theta[[0, -1]][:, [0, -1]] - two).abs().max() / two.abs().max())
            yield Result(
                what="empirical NTK, network 784-1024-1024-10",
                size=f"n = {N_LARGE}, float32",
                ours=in_seconds(seconds),
                peer="– (its Jacobians: 75 GB)",
                accuracy=f"differs by {error:.1g} on two samples from the recipe in float64, at most {TOLERANCE:g}",
                accurate=error <= TOLERANCE,
            )
    finally:
        torch.set_num_threads(threads)
