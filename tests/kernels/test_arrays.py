"""What comes in and what goes out: dtypes, torch, refusals, memory."""

import tracemalloc

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import kernels as scikit

from cases import name
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
    ScikitLearnKernel,
    median_distance,
)

NATIVE = [
    Gaussian(2.0),
    Laplace(2.0),
    Laplace(),
    Matern(0.5, 2.0),
    Matern(1.5, 2.0),
    Matern(2.5, 2.0),
    RationalQuadratic(1.5, 2.0),
    Linear(),
    Polynomial(3),
    PowerSeries([1.0, 0.5, 0.25]),
    ArcCosine(0),
    ArcCosine(1),
    ArcCosine(2),
    ArcCosine(3),
    NNGP(3),
    NNGP(2, b_std=0.3),
    NTK(3),
    NTK(2, b_std=0.3, readout_b_std=0.1),
]
BROUGHT = [CallableKernel(lambda X, Z: X @ Z.T), ScikitLearnKernel(1.5 * scikit.Matern(2.0, nu=1.5))]
EVERY = pytest.mark.parametrize("kernel", NATIVE + BROUGHT, ids=name)
RNG = np.random.default_rng(0)


@EVERY
def test_torch_float64_equals_numpy(kernel):
    X, Z = RNG.standard_normal((260, 5)), RNG.standard_normal((30, 5))
    X[1] = X[0] + 1e-7
    kernel = kernel.for_data(X)
    for args in ((X,), (X, Z)):
        expected = kernel(*args)
        K = kernel(*map(torch.as_tensor, args))
        assert isinstance(K, torch.Tensor)
        assert K.dtype == torch.float64
        np.testing.assert_allclose(K.numpy(), expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
        if len(args) == 1:
            assert (K == K.T).all()
            np.testing.assert_allclose(kernel.diag(torch.as_tensor(X)), K.diagonal(), rtol=1e-15)


@EVERY
def test_torch_float32_stays_float32(kernel):
    X = RNG.standard_normal((40, 5)).astype(np.float32)
    kernel = kernel.for_data(X)
    expected = kernel(X)
    assert expected.dtype == np.float64
    K = kernel(torch.as_tensor(X).requires_grad_())
    assert K.dtype == torch.float32
    assert not K.requires_grad
    assert kernel.diag(torch.as_tensor(X)).dtype == torch.float32
    np.testing.assert_allclose(K.numpy(), expected, rtol=1e-5, atol=2e-6 * np.abs(expected).max())


def test_torch_median_and_curve():
    X = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert median_distance(X) == median_distance(X.numpy())
    c = torch.linspace(-1, 1, 5, dtype=torch.float64)
    for kernel in (NTK(2, b_std=0.1), ArcCosine(2), PowerSeries([1, 2])):
        np.testing.assert_allclose(kernel.curve(c).numpy(), kernel.curve(c.numpy()), rtol=1e-13, atol=1e-15)


@EVERY
def test_whole_numbers_and_lists_become_float64(kernel):
    X = RNG.integers(-3, 4, (12, 4))
    kernel = kernel.for_data(X)
    expected = kernel(X.astype(float))
    for same in (X, X.tolist(), X.astype(np.int8), X.astype(np.float32)):
        K = kernel(same)
        assert K.dtype == np.float64
        np.testing.assert_array_equal(K, expected)
    with pytest.raises(InputError, match=r"X is a tensor of int64; expected floating-point .* X\.double\(\)"):
        kernel(torch.as_tensor(X))


@EVERY
def test_input_is_not_changed(kernel):
    X, Z = RNG.standard_normal((20, 4)), RNG.standard_normal((20, 4))
    before = X.copy(), Z.copy()
    kernel = kernel.for_data(X)
    kernel(X)
    kernel(X, Z)
    kernel.diag(X)
    np.testing.assert_array_equal((X, Z), before)


@EVERY
def test_peak_memory(kernel):
    n = 1500
    X = RNG.standard_normal((n, 64))
    tracemalloc.start()
    try:
        kernel(X)
        peak = tracemalloc.get_traced_memory()[1] / (8 * n**2)
    finally:
        tracemalloc.stop()
    assert peak < (3 if isinstance(kernel, CallableKernel) else 1.4)


@pytest.mark.parametrize("kernel", [Laplace(), NTK(2, b_std=0.1)], ids=name)
def test_two_tight_clusters(kernel):
    """Nearly all pairs within a cluster are too close for the expansion: the worst case for memory."""
    n = 1500
    X = RNG.standard_normal((n, 64)) + np.repeat([[0.0], [1e5]], n // 2, axis=0)
    tracemalloc.start()
    try:
        K = kernel(X)
        peak = tracemalloc.get_traced_memory()[1] / (8 * n**2)
    finally:
        tracemalloc.stop()
    assert peak < 1.6
    some = slice(-50, None)
    np.testing.assert_allclose(kernel.for_data(X)(X[some]), K[some, some], rtol=1e-10)


@pytest.mark.parametrize("kernel", [Laplace(1.0), Linear(), NTK(1), *BROUGHT], ids=name)
@pytest.mark.parametrize(
    ("X", "says"),
    [
        (np.zeros(4), r"X has shape \(4,\).*one point is X\[None, :\]"),
        (np.zeros((4, 8, 8)), r"X has shape \(4, 8, 8\).*X.reshape\(len\(X\), -1\)"),
        (np.zeros((0, 3)), "at least one point"),
        (np.array([[0.0, np.nan]]), "X has 1 value that is NaN or infinite, the first at row 0, column 1"),
        ([["a", "b"]], "X is a list that does not hold"),
        ([[1.0, 2.0], [3.0]], "X is a list that does not hold"),
        (np.ones((2, 2)) * 1j, "X is a ndarray of complex128 that does not hold"),
        (torch.ones(2, 2) * 1j, "that does not hold"),
        (torch.tensor([[torch.inf]]), "the first at row 0, column 0"),
    ],
)
def test_refused_points(kernel, X, says):
    with pytest.raises(InputError, match=says):
        kernel(X)
    with pytest.raises(InputError, match=says):
        kernel.diag(X)


@pytest.mark.parametrize("kernel", [Laplace(1.0), Linear(), NTK(1), *BROUGHT], ids=name)
@pytest.mark.parametrize(
    ("Z", "says"),
    [
        (np.zeros((2, 4)), "X has 3 coordinates and Z has 4"),
        (torch.zeros(2, 3), "different array libraries"),
        (np.full((2, 3), np.inf), "Z has 6 values that are NaN or infinite"),
    ],
)
def test_refused_pairs(kernel, Z, says):
    with pytest.raises(InputError, match=says):
        kernel(np.zeros((5, 3)), Z)


def test_refused_tensors_of_two_dtypes():
    with pytest.raises(InputError, match=r"X has dtype torch.float32 and Z has torch.float64"):
        Linear()(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.float64))


def test_every_kernel_is_a_value():
    assert len(set(NATIVE + BROUGHT)) == len(NATIVE + BROUGHT)
    for kernel in NATIVE:
        assert eval(repr(kernel)) == kernel


def test_numbers_that_cannot_be_points():
    with pytest.raises(InputError, match=r"X is a sparse tensor; expected a dense one; .* X\.to_dense\(\)"):
        NTK(1)(torch.eye(3).to_sparse())
    with pytest.raises(InputError, match="X has masked values"):
        NTK(1)(np.ma.masked_greater(np.eye(3), 0.5))
    for huge in (np.full((2, 3), 1e200), torch.full((2, 3), 1e25)):
        with np.errstate(over="ignore"), pytest.raises(InputError, match="beyond the range of float"):
            NTK(1)(huge)


def test_what_a_sequence_may_be():
    assert NTK(2, w_std=np.array([1.0, 2.0])) == NTK(2, w_std=[1.0, 2.0])
    standard = {"parametrization": "standard"}
    assert NTK(2, widths=np.array([5, 6]), **standard) == NTK(2, widths=(5, 6), **standard)
    assert NTK(2, widths=7) == NTK(2)  # the NTK parametrization has a kernel that does not depend on them
