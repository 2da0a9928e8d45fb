"""A shallow copy of a deep torch network has its infinite-width NTK."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import solvable.activations
from solvable.activations import ShallowNetwork, shallow_copy_of
from solvable.errors import InputError
from solvable.kernels import NTK
from solvable.kernels.duals import ABReLU


def deep(width: int = 256, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for fan_in in (12, width, width):
        linear = nn.Linear(fan_in, width)
        nn.init.normal_(linear.weight, std=(2 / fan_in) ** 0.5)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 2)).to(dtype)


def test_the_kernel_is_the_deep_ones() -> None:
    module = deep()
    copy = shallow_copy_of(module, width=64, random_state=0)
    assert isinstance(copy, ShallowNetwork)
    phi = copy.activation.activation
    assert phi.kernel_error < 0.03
    # The readout is torch's: variance 1/3, bias 1/(3 fan in). The others were read off to about 1 %.
    c = np.linspace(-1, 1, 9)
    architecture = NTK(3, readout_w_std=3**-0.5)
    np.testing.assert_allclose(phi.curve(c), architecture.curve(c), atol=0.06 * architecture.curve(1.0))
    assert copy(torch.ones(5, 12, dtype=torch.float64)).shape == (5, 2)
    assert copy.hidden.dtype == torch.float64


def test_its_own_empirical_kernel() -> None:
    copy = shallow_copy_of(deep(), "shifted relus", width=20_000, random_state=1)
    phi = copy.activation.activation
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.standard_normal((2, 12)))
    X *= 12**0.5 / X.norm(dim=1, keepdim=True)
    gradients = []
    for x in X:
        copy.zero_grad()
        copy(x[None])[0, 0].backward()
        gradients.append(
            torch.cat([p.grad.flatten().clone() for p in copy.parameters() if p.grad is not None])
        )
    c = float(X[0] @ X[1] / 12)
    found = float(gradients[0] @ gradients[1])
    assert abs(found - phi.curve(c)) < 4 * phi.finite_width_std(c, 20_000)


def test_seeds_and_normalisation() -> None:
    copies = [shallow_copy_of(deep(), "hermite", 32, seed, normalize=True) for seed in (0, 0, 1)]
    assert torch.equal(copies[0].hidden, copies[1].hidden)
    assert not torch.equal(copies[0].hidden, copies[2].hidden)
    X = torch.rand(3, 12, dtype=torch.float64)
    torch.testing.assert_close(copies[0](X), copies[0](5 * X))
    assert torch.isfinite(copies[0](0 * X)).all()


def test_refusals() -> None:
    with pytest.raises(InputError, match="Linear"):
        shallow_copy_of(nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 1)))
    with pytest.raises(InputError, match="Conv2d"):
        shallow_copy_of(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2)))
    with pytest.raises(InputError, match="width"):
        shallow_copy_of(deep(), width=0)
    with pytest.raises(InputError, match="expected 12"):
        shallow_copy_of(deep(), width=8)(torch.ones(2, 5, dtype=torch.float64))
    with pytest.raises(AttributeError):
        _ = solvable.activations.no_such_name


def test_a_network_of_any_activation() -> None:
    phi = solvable.activations.design([0.0, 1.0, 1.0])
    a, b = (ShallowNetwork(3, 8, 2, one, random_state=0) for one in (phi, phi.module()))
    X = torch.rand(4, 3)
    assert torch.equal(a(X), b(X))
    assert ShallowNetwork(3, 8, 2, torch.nn.ReLU())(X).shape == (4, 2)
    assert ShallowNetwork(3, 8, 2, ABReLU())(X).shape == (4, 2)
    assert "exact, K(1) included" in repr(a)
    assert "off by" in repr(shallow_copy_of(deep(), width=8, random_state=0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 0}, "width"),
        ({"n_inputs": 2.5}, "n_inputs"),
        ({"n_outputs": -1}, "n_outputs"),
        ({"activation": "relu"}, "expected a torch module"),
        ({"activation": torch.relu}, "expected a torch module"),
        ({"random_state": -1}, "random_state"),
        ({"random_state": 1, "generator": torch.Generator()}, "both given"),
    ],
)
def test_networks_that_are_refused(options, words) -> None:
    with pytest.raises(InputError, match=words):
        ShallowNetwork(
            **{"n_inputs": 3, "width": 8, "n_outputs": 2, "activation": torch.nn.ReLU(), **options}
        )


def test_inputs_that_are_refused() -> None:
    net: Any = ShallowNetwork(3, 8, 2, torch.nn.ReLU())
    for X, words in (
        (np.ones((2, 3)), "torch.as_tensor"),
        (torch.ones(2, 3, dtype=torch.float64), "torch.float64"),
        (torch.ones(3), "for one input"),
    ):
        with pytest.raises(InputError, match=words):
            net(X)
