"""The infinite-width kernel read off a torch module."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from solvable.errors import InputError
from solvable.kernels import NNGP, NTK, empirical_ntk, from_module


def mlp(activation, *widths, bias=True, seed=0):
    torch.manual_seed(seed)
    layers = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out, bias=bias, dtype=torch.float64), activation()]
    return nn.Sequential(*layers[:-1])


def test_torchs_own_initialisation():
    kernel = from_module(mlp(nn.ReLU, 20, 2000, 2000, 10))
    assert isinstance(kernel, NTK)
    assert (kernel.depth, kernel.widths, kernel.parametrization) == (2, (2000, 2000), "standard")
    np.testing.assert_allclose(np.square(kernel.w_std), 1 / 3, rtol=0.02)
    np.testing.assert_allclose(np.square(kernel.b_std), [1 / 60, 1 / 6000], rtol=0.1)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU, nn.Tanh, lambda: nn.LeakyReLU(0.3)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_finite_kernel_fluctuates_about_it(activation, bias):
    X = np.random.default_rng(0).standard_normal((6, 10))
    off, limit = np.zeros((6, 6)), np.zeros((6, 6))
    for seed in range(6):
        module = mlp(activation, 10, 1000, 1000, 3, bias=bias, seed=seed)
        limit = from_module(module)(X)
        off += (empirical_ntk(module, X) - limit) / 6
    # One net of this width is off by 8 %.
    assert np.linalg.norm(off) < 0.06 * np.linalg.norm(limit)


def test_one_activation_in_several_places():
    X = np.random.default_rng(0).standard_normal((6, 10))
    torch.manual_seed(0)
    act, linears = nn.ReLU(), [nn.Linear(a, b) for a, b in pairwise((10, 300, 300, 1))]
    shared = nn.Sequential(linears[0], act, linears[1], act, linears[2])
    apart = nn.Sequential(linears[0], nn.ReLU(), linears[1], nn.ReLU(), linears[2])
    assert from_module(shared) == from_module(apart)
    np.testing.assert_array_equal(from_module(shared)(X), from_module(apart)(X))
    with pytest.raises(
        InputError, match="layers '1' and '3' are one Linear; expected layers with separate weights"
    ):
        from_module(nn.Sequential(nn.Linear(4, 4), square := nn.Linear(4, 4), act, square, nn.Linear(4, 1)))


def test_a_subclass_with_a_forward_of_its_own():
    class Residual(nn.Sequential):
        def forward(self, input):
            return input + super().forward(input)

    inner = Residual(nn.Linear(4, 4), nn.ReLU())
    with pytest.raises(InputError, match="layer '1' is Residual, whose infinite-width kernel is not known"):
        from_module(nn.Sequential(nn.Linear(3, 4), inner, nn.Linear(4, 1)))


def test_nested_and_passed_over():
    inner = nn.Sequential(nn.Linear(4, 50), nn.Identity(), nn.Tanh(), nn.Dropout(0.0))
    module = nn.Sequential(nn.Flatten(), inner, nn.Linear(50, 50), nn.Linear(50, 2))
    kernel = from_module(module, kind="nngp")
    assert isinstance(kernel, NNGP)
    assert kernel.depth == 2  # two linear layers in a row have the identity between
    assert kernel.curve(1.0) > 0


def test_weights_that_say_nothing():
    frozen = mlp(nn.ReLU, 3, 4, 1)
    frozen[0].requires_grad_(False)
    with pytest.raises(InputError, match=r"weight of Linear.* is frozen; .* pass kind='nngp'"):
        from_module(frozen)
    assert from_module(frozen, kind="nngp").depth == 1
    broken = mlp(nn.ReLU, 3, 4, 1)
    with torch.no_grad():
        broken[2].bias.fill_(float("nan"))
    with pytest.raises(InputError, match=r"bias of Linear.* has values that are NaN"):
        from_module(broken)
    with pytest.raises(InputError, match="has no shape yet"):
        from_module(nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 1)))
    with pytest.raises(InputError, match=r"is followed by .* expected as many inputs as outputs"):
        from_module(nn.Sequential(nn.Linear(10, 5), nn.ReLU(), nn.Linear(6, 1)))


def test_refusals():
    with pytest.raises(InputError, match="module is a int; expected a torch"):
        from_module(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="has 1 Linear layers"):
        from_module(nn.Sequential(nn.Linear(3, 2)))
    with pytest.raises(InputError, match="last layer is an activation"):
        from_module(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    with pytest.raises(InputError, match="layer '1' is LayerNorm, whose infinite-width kernel is not known"):
        from_module(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 1)))
    with pytest.raises(InputError, match="layer '0' is ReLU"):
        from_module(nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    with pytest.raises(InputError, match="unknown kind 'nkt'"):
        from_module(nn.Sequential(nn.Linear(3, 2)), kind="nkt")


def convolutions(*layers, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize("readout", ["flatten", "global average"])
@pytest.mark.parametrize("padding", [{"padding": 1}, {"padding": "same", "padding_mode": "circular"}, {}])
def test_convolutions_fluctuate_about_their_limit(readout, padding):
    images = np.random.default_rng(0).standard_normal((3, 3, 6, 6))
    off, limit = np.zeros((3, 3)), np.zeros((3, 3))
    for seed in range(6):
        width, pixels = 200, 36 if padding else 4
        end = [nn.Flatten(), nn.Linear(width * pixels, 1)]
        if readout != "flatten":
            end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1)]
        middle = [nn.ReLU(), nn.Conv2d(width, width, 3, **padding), nn.ReLU()]
        module = convolutions(nn.Conv2d(3, width, 3, **padding), *middle, *end, seed=seed)
        kernel = from_module(module)
        limit = kernel(images.transpose(0, 2, 3, 1))
        off += (empirical_ntk(module, images) - limit) / 6
    assert np.linalg.norm(off) < 0.1 * np.linalg.norm(limit)


def test_average_pooling_is_read():
    pooled = convolutions(
        nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8 * 9, 1)
    )
    kernel = from_module(pooled, kind="nngp")
    assert kernel.pool_after == (1,)
    assert kernel.pool_size == 2


def test_convolutions_that_are_not_known():
    end = [nn.Flatten(), nn.Linear(8, 1)]
    for layer, problem in (
        (nn.Conv2d(3, 8, 3, stride=2), "stride 1"),
        (nn.Conv2d(3, 8, (3, 5)), "square filters"),
        (nn.Conv2d(3, 8, 3, padding=2), "pad to the same size"),
        (nn.MaxPool2d(2), "an activation follows a convolution"),
    ):
        first = [] if isinstance(layer, nn.Conv2d) else [nn.Conv2d(3, 8, 3), nn.ReLU()]
        with pytest.raises(InputError, match=problem):
            from_module(nn.Sequential(*first, layer, *end))
    with pytest.raises(InputError, match="Flatten comes before the readout"):
        from_module(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Linear(6, 2)))
    with pytest.raises(InputError, match="ends without a Linear layer"):
        from_module(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))
    with pytest.raises(InputError, match="differ in filter size"):
        from_module(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 5), nn.ReLU(), *end))
