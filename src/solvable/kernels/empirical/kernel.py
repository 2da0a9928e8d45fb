"""The neural tangent kernel of a module, by few passes where its layers allow, and the kernel of its last features."""

from typing import Any

import torch
from torch import Tensor, nn

from solvable.checks import choice, one_number, whole
from solvable.errors import InputError
from solvable.kernels.empirical.blocks import accumulate
from solvable.kernels.empirical.checks import check_inputs, check_module, check_pair, check_trainable
from solvable.kernels.empirical.contraction import Jacobians, groups
from solvable.kernels.empirical.layers import linear, rule_of
from solvable.kernels.empirical.network import Network
from solvable.kernels.empirical.pieces import Outputs
from solvable.kernels.empirical.structured import Factored, UsedElsewhereError, check_alone, known_layers


def empirical_ntk(
    module: nn.Module,
    X: Any,
    Z: Any = None,
    outputs: Outputs = "trace",
    *,
    batch: int | None = None,
    memory: float = 2.0**30,
) -> Any:
    r"""Return $\Theta_{ab}(x, z) = \sum_\theta \partial f_a(x)/\partial\theta \; \partial f_b(z)/\partial\theta$.

    The sum is over all trainable parameters, in the module's parametrization; outputs of any shape are flattened to k.
    For layers that are linear in their weights, $z = W h + b$,

    $$\Theta_{ab}(x, x') = \sum_\ell (h_\ell \cdot h'_\ell + 1)\, (g_{\ell a} \cdot g'_{\ell b}),
    \qquad g_{\ell a} = \partial f_a / \partial z_\ell,$$

    which takes one forward and k backward passes and no Jacobian: Linear (also with sequence axes), Conv1d to Conv3d,
    Embedding and the scales of LayerNorm, RMSNorm, GroupNorm and BatchNorm in evaluation mode. Jacobians are computed
    for all other parameters, and for weights shared or used outside their layer, a few at a time. Every call compares
    the factored part with exact gradients of two samples.

    Args:
        module: any `torch.nn.Module` that is a function of each sample alone: in evaluation mode if it has Dropout or
            BatchNorm. It is not changed.
        X: the module's inputs, (n, ...): a torch tensor of the module's dtype and device, or an array-like, which is
            converted.
        Z: further inputs, (m, ...); `X` itself if omitted.
        outputs: "trace": the *mean* over outputs of $\Theta_{aa}$, (n, m), as in neural-tangents; other
            implementations sum, which is k times as much. "diagonal": $\Theta_{aa}$ of each output, (n, m, k).
            "full": (n, m, k, k).
        batch: the largest number of samples per call of the module; by default as many as `memory` allows.
        memory: limit of the computation in bytes, not counting the result and the module.

    Returns:
        A NumPy array or torch tensor, like X, without gradient; without `Z` exactly symmetric:
        $\Theta_{ab}(x, z) = \Theta_{ba}(z, x)$ to the last digit.

    Raises:
        InputError: if the module has no trainable parameter, is random or mixes samples, or does not return one real
            tensor (samples, ...); if the inputs are empty, complex or not finite, or do not fit the module.

    Source: Jacot et al. 2018, arXiv:1806.07572; the factored form is the "structured derivatives" of Novak et al. 2022,
    arXiv:2206.08720.

    >>> import torch
    >>> net = torch.nn.Linear(2, 3).double()
    >>> empirical_ntk(net, [[1.0, 2.0], [3.0, -1.0]])  # x·z + 1 for any weights
    array([[ 6.,  2.],
           [ 2., 11.]])
    >>> empirical_ntk(net, torch.ones(4, 2).double(), torch.ones(1, 2).double(), outputs="full").shape
    torch.Size([4, 1, 3, 3])
    """
    choice("outputs", outputs, ("trace", "diagonal", "full"))
    batch = None if batch is None else whole("batch", batch, at_least=1)
    memory = one_number("memory", memory, above=0)
    module = check_module(module)
    check_trainable(module)
    with torch.inference_mode(False), torch.enable_grad():
        X, is_tensor = check_inputs("X", X, module)
        if Z is not None:
            Z, _ = check_inputs("Z", Z, module)
            check_pair(X, Z)
        theta = _kernel(Network(module), X, Z, outputs, batch, memory)
    if not bool(torch.isfinite(theta).all()):
        raise InputError(
            "the kernel is not finite; expected finite gradients; look for NaN or huge numbers in the parameters, "
            "or a point where the module has no derivative"
        )
    return theta if is_tensor else theta.cpu().numpy()


def _kernel(
    network: Network, X: Tensor, Z: Tensor | None, outputs: Outputs, batch: int | None, memory: float
) -> Tensor:
    # A trial on two samples, from both X and Z if possible; a batch of one would hide mixing within a batch.
    two = torch.cat([X[:1], X[-1:] if Z is None else Z[-1:]])
    output = network.first(two)
    check_alone(network.first(two[:1])[0], output[0], output)
    n_outputs = output.shape[1]
    shape = (len(X), len(X if Z is None else Z)) + {"trace": 0, "diagonal": 1, "full": 2}[outputs] * (
        n_outputs,
    )
    theta = torch.zeros(shape, dtype=output.dtype, device=output.device)

    uncovered: set[str] = set()
    while layers := known_layers(network, uncovered):
        try:
            factored = Factored(network, layers)
            needed = factored.bytes_needed(two, n_outputs, output.dtype)
            accumulate(theta, factored, X, Z, outputs, n_outputs, needed, memory, batch)
            break
        except UsedElsewhereError as error:
            uncovered.update(error.names)
            theta.zero_()
    covered = {name for layer in layers for name in layer.parameters.values()}
    names = [name for name in network.trainable if name not in covered]
    rows = len(X) + (0 if Z is None else len(Z))
    for group in groups(network, names, rows, n_outputs, memory):
        source = Jacobians(network, group)
        accumulate(theta, source, X, Z, outputs, n_outputs, source.bytes_needed(), memory, batch)
    return theta.div_(n_outputs) if outputs == "trace" else theta


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
