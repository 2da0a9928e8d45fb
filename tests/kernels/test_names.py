"""Whatever a user may give as a kernel, and the checks of what it returns."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import kernels as scikit
from sklearn.metrics.pairwise import laplacian_kernel

from solvable.errors import InputError
from solvable.kernels import (
    KERNEL_NAMES,
    NNGP,
    NTK,
    ArcCosine,
    CallableKernel,
    Gaussian,
    Kernel,
    Laplace,
    Linear,
    Matern,
    RationalQuadratic,
    ScikitLearnKernel,
    as_kernel,
    check_gram,
    check_positive_semidefinite,
)

X = np.random.default_rng(0).standard_normal((150, 4))
Z = np.random.default_rng(1).standard_normal((7, 4))


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("laplace", Laplace()),
        ("Gaussian", Gaussian()),
        ("matern32", Matern(1.5)),
        ("matern52", Matern(2.5)),
        ("rational quadratic", RationalQuadratic()),
        ("rational-quadratic", RationalQuadratic()),
        ("rational_quadratic", RationalQuadratic()),
        ("linear", Linear()),
        ("arc-cosine", ArcCosine(1)),
        ("arc cosine", ArcCosine(1)),
        ("relu nngp", NNGP(3, readout_w_std=2**0.5)),
        ("relu ntk", NTK(3, readout_w_std=2**0.5)),
        ("relu ntk 5", NTK(5, readout_w_std=2**0.5)),
        ("relu-ntk-depth-5", NTK(5, readout_w_std=2**0.5)),
        (" relu_nngp 1 ", NNGP(1, readout_w_std=2**0.5)),
    ],
)
def test_names(name, kernel):
    assert as_kernel(name) == kernel


def test_every_name_makes_a_kernel():
    for name in KERNEL_NAMES:
        kernel = as_kernel(name)
        assert isinstance(kernel, Kernel)
        assert as_kernel(kernel) is kernel
        assert kernel(X).shape == (150, 150)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("laplac", "unknown kernel 'laplac'; expected one of laplace.*did you mean 'laplace'"),
        ("relu ntk 0", "depth must be .*; got 0"),
        (3, "3 is not a kernel; expected a name"),
        (None, "None is not a kernel"),
        (Laplace, r"is not a kernel.*add \(\) after the class"),
    ],
)
def test_what_is_no_kernel(spec, says):
    with pytest.raises(InputError, match=says):
        as_kernel(spec)


def test_scikit_learn_kernel():
    theirs = scikit.ConstantKernel(2.0) * scikit.RBF(1.3) + scikit.WhiteKernel(0.1)
    kernel = as_kernel(theirs)
    assert kernel == ScikitLearnKernel(theirs)
    np.testing.assert_allclose(kernel(X), theirs(X), rtol=1e-14)
    np.testing.assert_allclose(kernel(X, Z), theirs(X, Z), rtol=1e-14)
    np.testing.assert_allclose(kernel.diag(X), theirs.diag(X), rtol=1e-14)
    assert (kernel(X) == kernel(X).T).all()
    assert kernel.for_data(X) is kernel


def test_function_is_called_with_two_sets():
    kernel = as_kernel(laplacian_kernel)
    assert kernel == CallableKernel(laplacian_kernel)
    np.testing.assert_array_equal(kernel(X, Z), laplacian_kernel(X, Z))
    np.testing.assert_allclose(kernel(X), laplacian_kernel(X, X), rtol=1e-15)
    np.testing.assert_allclose(kernel.diag(X), np.ones(150), rtol=1e-15)
    tensors = as_kernel(lambda A, B: torch.exp(-torch.cdist(A, B)))
    K = tensors(torch.as_tensor(X), torch.as_tensor(Z))
    np.testing.assert_allclose(K.numpy(), Laplace(1.0)(X, Z), rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda A, B: A @ A.T, r"returned shape \(150, 150\) for 150 and 7 points; expected \(150, 7\)"),
        (lambda A, B: np.full((len(A), len(B)), np.nan), "kernel function returned has 1050 values"),
        (lambda A, B: None, "expected|returned"),
        (lambda A, B: "text", "returned a str"),
    ],
)
def test_bad_functions(function, says):
    with pytest.raises(InputError, match=says):
        as_kernel(function)(X, Z)


def test_function_that_is_not_symmetric():
    with pytest.raises(InputError, match="not symmetric"):
        as_kernel(lambda A, B: A @ np.diag([1.0, 2, 3, 4])[::-1].T @ B.T + A[:, :1])(X)


def test_check_gram_returns_a_symmetric_copy():
    K = Laplace(1.0)(X)
    rounded = K.copy()
    rounded[3, 1] += 1e-10
    checked = check_gram(rounded)
    assert (checked == checked.T).all()
    np.testing.assert_allclose(checked, K, atol=1e-10)
    assert not np.shares_memory(checked, rounded)
    assert check_gram([[1, 0], [0, 1]]).dtype == np.float64
    assert check_gram(torch.eye(3)).dtype == np.float64
    np.testing.assert_array_equal(check_gram(np.zeros((2, 2))), 0)


@pytest.mark.parametrize(
    ("K", "says"),
    [
        (np.zeros((3, 4)), r"shape \(3, 4\); expected a square one"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((0, 0)), r"shape \(0, 0\)"),
        ([[1.0, np.inf], [np.inf, 1.0]], "2 values that are NaN or infinite, the first at row 0, column 1"),
        ([[1.0, 0.5], [0.5 + 1e-7, 1.0]], r"not symmetric: K\[1, 0\] is 0.5000001 and K\[0, 1\] is 0.5;"),
        ([["a"]], "does not hold"),
        (np.eye(2) * 1j, "does not hold"),
        (torch.eye(2) * 1j, "does not hold"),
    ],
)
def test_check_gram_refuses(K, says):
    with pytest.raises(InputError, match=says):
        check_gram(K)


def test_positive_semidefinite():
    check_positive_semidefinite([1.0, 0.5, -1e-9])
    check_positive_semidefinite(np.linalg.eigvalsh(Gaussian(3.0)(X)))
    with pytest.raises(InputError, match=r"eigenvalue -0.1 \(the largest is 2\)"):
        check_positive_semidefinite([2.0, 1.0, -0.1])
    with pytest.raises(InputError, match="eigenvalue -1"):
        check_positive_semidefinite([-1.0, 1.0])


@pytest.mark.parametrize("name", ["relu ntk -3", "relu ntk 4.5", "erf nngp depth x", "relu ntk depth -1"])
def test_a_depth_that_is_none(name):
    with pytest.raises(InputError, match=r"the depth in .* is not a whole number of at least 1"):
        as_kernel(name)


def test_any_activation_by_name():
    assert as_kernel("tanh ntk depth 2") == NTK(2, "tanh", readout_w_std=2**0.5)
    assert as_kernel("erf-nngp-4") == NNGP(4, "erf", readout_w_std=2**0.5)
