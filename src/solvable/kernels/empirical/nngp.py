"""The kernel of a network's last features, for which only the readout is trained."""

from typing import Any

import torch
from torch import Tensor, nn

from solvable.errors import InputError
from solvable.kernels.empirical.checks import check_inputs, check_module, check_pair
from solvable.kernels.empirical.layers import linear, rule_of
from solvable.kernels.empirical.network import Network


def empirical_nngp(module: nn.Module, X: Any, Z: Any = None) -> Any:
    r"""Return $K(x, z) = h(x) \cdot h(z) / N$, $h \in \mathbb{R}^N$ the input of the Linear layer that runs last.

    It is the covariance of the outputs over readout weights from $\mathcal{N}(0, 1/N)$, without bias, with the rest of
    the network fixed. At random initialisation it tends to the network's NNGP kernel as the widths grow (for a readout
    variance of 1). Layer inputs with more axes, (n, ..., N), are flattened to one vector each.

    Args:
        module: any `torch.nn.Module` in evaluation mode with a Linear layer.
        X: the module's inputs, (n, ...): a torch tensor or an array-like.
        Z: further inputs, (m, ...); `X` itself if omitted.

    Returns:
        (n, m), a NumPy array or torch tensor like X, without gradient; exactly symmetric without `Z`.

    Raises:
        InputError: if the module has no Linear layer called on one row per sample, or as `empirical_ntk` does.

    Source: Lee et al. 2018, arXiv:1711.00165; Novak et al. 2022, arXiv:2206.08720.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(2, 1)).double()
    >>> empirical_nngp(net, [[1.0, 2.0], [3.0, -1.0]])
    array([[2.5, 1.5],
           [1.5, 4.5]])
    """
    module = check_module(module)
    X, is_tensor = check_inputs("X", X, module)
    network = Network(module)
    h = _features(network, X)
    if Z is None:
        K = h @ h.T / h.shape[1]
        K = (K + K.T) / 2.0
    else:
        Z, _ = check_inputs("Z", Z, module)
        check_pair(X, Z)
        K = h @ _features(network, Z).T / h.shape[1]
    if not bool(torch.isfinite(K).all()):
        raise InputError(
            "the kernel is not finite; expected finite features; look for NaN or huge numbers in the parameters"
        )
    return K if is_tensor else K.cpu().numpy()


def _features(network: Network, X: Tensor) -> Tensor:
    """Return the inputs of the Linear layer that runs last, flattened to (n, N)."""
    last: list[Tensor] = []

    def record(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> None:
        h = args[0] if args else kwargs["input"]
        last[:] = [h.detach().clone()]

    layers = [part for part in network.module.modules() if rule_of(part) is linear]
    handles = [layer.register_forward_hook(record, prepend=True, with_kwargs=True) for layer in layers]
    try:
        network.first(X)
    finally:
        for handle in handles:
            handle.remove()
    if not last or last[0].ndim < 2 or len(last[0]) != len(X):
        raise InputError(
            f"the module calls no torch.nn.Linear on one row per sample ({len(layers)} in it); expected a network "
            "with a Linear readout; append one"
        )
    return last[0].reshape(len(X), -1)
