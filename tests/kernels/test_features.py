"""Random features: unbiased, converging, fixed after the first call, exchangeable."""

from itertools import product

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cases import representative
from solvable.errors import InputError
from solvable.kernels import (
    NNGP,
    NTK,
    ArcCosine,
    CallableKernel,
    Gaussian,
    Laplace,
    Linear,
    Matern,
    Polynomial,
    PowerSeries,
    RationalQuadratic,
)

UNBIASED = [
    Gaussian(1.5),
    Laplace(1.5),
    Matern(1.5, 1.5),
    Matern(2.5, 1.5),
    RationalQuadratic(0.7, 1.5),
    ArcCosine(0),
    ArcCosine(1),
    ArcCosine(2),
    ArcCosine(3),
    NNGP(1),
    NNGP(1, w_std=1.2, b_std=0.5, readout_w_std=0.8, readout_b_std=0.6),
    NNGP(1, "erf", b_std=0.5),
    NTK(1),
    NTK(1, "gelu", w_std=1.2, b_std=0.5, readout_w_std=0.8, readout_b_std=0.6),
    NTK(1, "sin", b_std=0.3, readout_b_std=0.3, parametrization="standard", widths=3),
    Linear(),
    Polynomial(3),
    PowerSeries([0.5, 1.0, 0.0, 0.3]),
]
SEEDED = pytest.mark.parametrize("kernel", UNBIASED, ids=str)


@SEEDED
def test_unbiased(kernel):
    X = np.random.default_rng(0).standard_normal((5, 4))
    draws = np.stack([phi @ phi.T for phi in (kernel.features(64, seed)(X) for seed in range(600))])
    standard_error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - kernel(X)) < 4.5 * standard_error).all()


@pytest.mark.parametrize(
    "kernel",
    [Gaussian(6.0), Laplace(6.0), Matern(1.5, 6.0), ArcCosine(1), NNGP(1), NTK(1), Polynomial(2)],
    ids=str,
)
def test_error_falls_as_one_over_the_root(kernel):
    X = np.random.default_rng(1).standard_normal((40, 20))
    K = kernel(X)
    # Within their first block of d, orthogonal frequencies gain more with each.
    sizes = np.array([256, 1024, 4096] if isinstance(kernel, Gaussian) else [64, 256, 1024, 4096])
    error = np.zeros(len(sizes))
    for seed in range(16):
        phi = kernel.features(int(sizes[-1]), seed)(X)
        # Leading columns, rescaled, are features too.
        for i, k in enumerate(sizes):
            part = phi[:, :k] * np.sqrt(sizes[-1] / k)
            error[i] += np.mean((part @ part.T - K) ** 2)
    slope = np.polyfit(np.log(sizes), 0.5 * np.log(error), 1)[0]
    assert -0.55 < slope < -0.45


@pytest.mark.parametrize(
    ("kind", "b_std"), representative(product([NNGP, NTK], [0.0, 0.4]), fast=[(NNGP, 0.4), (NTK, 0.4)])
)
def test_deep_network_features(kind, b_std):
    kernel = kind(3, b_std=b_std, readout_w_std=1.1, readout_b_std=b_std)
    X = np.random.default_rng(2).standard_normal((5, 4))
    draws = np.stack([phi @ phi.T for phi in (kernel.features(100, seed)(X) for seed in range(40))])
    standard_error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - kernel(X)) < 4.5 * standard_error + 0.01 * kernel(X)).all()


@SEEDED
def test_weights_stay(kernel):
    rng = np.random.default_rng(3)
    X, Z = rng.standard_normal((6, 4)), rng.standard_normal((3, 4))
    phi = kernel.features(10, random_state=7)
    features = phi(X)
    assert features.shape == (6, 10)
    np.testing.assert_array_equal(phi(X), features)
    np.testing.assert_allclose(phi(np.vstack([Z, X]))[3:], features, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(kernel.features(10, random_state=7)(X), features)
    np.testing.assert_array_equal(kernel.features(10, np.random.default_rng(7))(X), features)
    assert not np.array_equal(kernel.features(10, random_state=8)(X), features)
    assert not np.array_equal(kernel.features(10)(X), kernel.features(10)(X))
    with pytest.raises(
        InputError, match="X has 5 coordinates and the weights of these features were drawn for 4"
    ):
        phi(np.zeros((2, 5)))


@pytest.mark.parametrize("kernel", [*UNBIASED, NNGP(2)], ids=str)
def test_torch_sees_the_same_map(kernel):
    X = np.random.default_rng(4).standard_normal((6, 4))
    phi = kernel.features(10, random_state=0)
    expected = phi(X)
    same = phi(torch.as_tensor(X))
    assert isinstance(same, torch.Tensor)
    np.testing.assert_allclose(same.numpy(), expected, rtol=1e-12, atol=1e-13)
    assert phi(torch.as_tensor(X, dtype=torch.float32)).dtype == torch.float32


def test_orthogonal_features_have_a_fifth_of_the_variance():
    X = load_digits().data[:300] / 16.0
    kernel = Gaussian().for_data(X)
    variance = {
        orthogonal: np.mean([kernel.features(1024, seed, orthogonal).error(X) ** 2 for seed in range(10)])
        for orthogonal in (True, False)
    }
    # Of 512 pairs against 512 pairs the ratio is 0.195; the independent columns with phases are worse than pairs.
    assert variance[True] < 0.3 * variance[False]


def test_the_error_is_told():
    X = np.random.default_rng(0).standard_normal((30, 3))
    kernel = NTK(2, b_std=0.1)
    phi = kernel.features(500, random_state=0)
    by_hand = np.sqrt(np.mean((phi(X) @ phi(X).T - kernel(X)) ** 2)) / np.diag(kernel(X)).mean()
    assert phi.error(X) == pytest.approx(by_hand, rel=1e-12)
    assert phi.error(torch.as_tensor(X), torch.as_tensor(X)) == pytest.approx(by_hand, rel=1e-9)


def test_no_features():
    with pytest.raises(
        InputError, match="CallableKernel has no random features, since its formula is not known"
    ):
        CallableKernel(lambda X, Z: X @ Z.T).features(10)
    with pytest.raises(InputError, match="NTK has no orthogonal features"):
        NTK(1).features(10, orthogonal=True)


def test_bad_arguments():
    with pytest.raises(InputError, match=r"n_features must be .*; got 0"):
        Gaussian(1.0).features(0)
    with pytest.raises(InputError, match="random_state is 'seed'"):
        Gaussian(1.0).features(5, "seed")
    with pytest.raises(InputError, match="random_state is -1"):
        Gaussian(1.0).features(5, -1)


def test_features_of_the_kernel_that_is_zero():
    assert PowerSeries([0.0]).features(5, 0)([[1.0]]).tolist() == [[0.0] * 5]
