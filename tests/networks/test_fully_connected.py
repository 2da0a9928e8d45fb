"""Networks of finite width against their infinite-width kernel, and against PyTorch's own layers."""

import numpy as np
import pytest
import torch

from solvable.errors import InputError
from solvable.kernels import NTK
from solvable.kernels.empirical import empirical_ntk
from solvable.networks import FullyConnected, centred


def sphere(n: int, d: int) -> np.ndarray:
    X = np.random.default_rng(0).normal(size=(n, d))
    return X * np.sqrt(d) / np.linalg.norm(X, axis=1, keepdims=True)


def test_forward_is_the_formula() -> None:
    net = FullyConnected(
        3, [5, 4], 2, "tanh", w_std=[1.3, 0.7], b_std=[0.2, 0.0], readout_w_std=0.9, readout_b_std=0.4
    )
    X = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    W = [layer.linear.weight.detach().numpy() for layer in net.layers]  # pyright: ignore
    b = [None if layer.bias is None else layer.bias.detach().numpy() for layer in net.layers]
    assert b[1] is None
    assert b[0] is not None
    assert b[2] is not None
    h = np.tanh(1.3 / 3**0.5 * X.numpy() @ W[0].T + 0.2 * b[0])
    h = np.tanh(0.7 / 5**0.5 * h @ W[1].T)
    expected = 0.9 / 2.0 * h @ W[2].T + 0.4 * b[2]
    assert np.abs(net(X).detach().numpy() - expected).max() < 1e-14


@pytest.mark.parametrize(
    ("activation", "widths", "options"),
    [
        ("relu", [2000], {"b_std": 0.3}),
        ("erf", [300, 300], {"w_std": 1.5, "readout_b_std": 0.5}),
        (np.tanh, [2000], {"w_std": 1.0}),
        (torch.nn.functional.silu, [2000], {"readout_w_std": 1.7}),
    ],
)
def test_empirical_kernel_is_the_ntk_within_its_fluctuation(activation, widths, options) -> None:
    X = sphere(6, 4)
    nets = [FullyConnected(4, widths, 1, activation, random_state=i, **options) for i in range(12)]
    kernels = np.array([empirical_ntk(net, X) for net in nets])
    limit = nets[0].kernel()(X)
    error = kernels.mean(axis=0) - limit
    # A mean over 12 nets: within 5 of its own standard errors everywhere, and within 5 % in all.
    assert (np.abs(error) < 5 * kernels.std(axis=0, ddof=1) / 12**0.5 + 1e-12).all()
    assert np.linalg.norm(error) < 0.05 * np.linalg.norm(limit)


def test_kernel_has_the_network_s_own_settings() -> None:
    net = FullyConnected(4, [8, 8], activation="gelu", b_std=0.1, readout_w_std=2.0)
    assert net.kernel() == NTK(2, "gelu", b_std=0.1, readout_w_std=2.0)


def test_a_seed_means_the_same_network_in_both_precisions() -> None:
    double, single = (
        FullyConnected(4, 64, 3, random_state=7, dtype=t) for t in (torch.float64, torch.float32)
    )
    X = torch.as_tensor(sphere(5, 4))
    assert single(X.float()).dtype == torch.float32
    assert torch.allclose(double(X), single(X.float()).double(), atol=1e-5)
    again = FullyConnected(4, 64, 3, random_state=torch.Generator().manual_seed(7))
    assert torch.equal(double(X), again(X))
    assert not torch.equal(double(X), FullyConnected(4, 64, 3, random_state=8)(X))


def test_numpy_function_has_a_gradient() -> None:
    def only_numpy(z):
        return np.asarray(np.sinh(z) / np.cosh(z))

    X = torch.as_tensor(sphere(5, 4))
    gradients = []
    for activation in (only_numpy, "tanh"):
        net = FullyConnected(4, 16, activation=activation)
        gradients.append(torch.autograd.grad(net(X).square().sum(), list(net.parameters())))
    for ours, exact in zip(*gradients, strict=True):
        assert torch.allclose(ours, exact, atol=1e-8)


def test_centred_starts_at_zero_with_the_same_kernel() -> None:
    net = FullyConnected(4, 32, 2, b_std=0.1)
    module = centred(net)
    X = sphere(5, 4)
    assert module(torch.as_tensor(X)).abs().max() == 0
    assert np.allclose(empirical_ntk(module, X), empirical_ntk(net, X), rtol=1e-12)
    assert all(not parameter.requires_grad for parameter in module.start.parameters())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"widths": []}, "widths is empty"),
        ({"widths": [8, 0]}, "widths must be .*; got 0"),
        ({"widths": 2.5}, "widths must be .*; got 2.5"),
        ({"activation": "rely"}, "did you mean 'relu'"),
        ({"activation": 3}, "not an activation"),
        ({"w_std": [1.0, 1.0]}, "w_std has 2 values"),
        ({"w_std": -1.0}, "w_std"),
        ({"b_std": -0.1}, "b_std"),
        ({"n_outputs": 0}, "n_outputs"),
        ({"dtype": torch.float16}, "float64 or torch.float32"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_refusals(options, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        FullyConnected(**{"d": 4, "widths": 8} | options)


def test_centred_refuses_what_is_no_module() -> None:
    with pytest.raises(InputError, match="function"):
        centred(lambda x: x)  # pyright: ignore[reportArgumentType]
